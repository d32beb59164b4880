# SPDX-License-Identifier: Apache-2.0
"""From what the user named to settings and a chart: at the start, and again whenever something is changed live."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sideman.charts.detect import read_chart, split_song
from sideman.charts.ireal import IREAL_LINK, read_ireal
from sideman.config import resources
from sideman.config.yaml import YamlContent, read_yaml
from sideman.core.chart.chart import Chart, ChartError, parse_changes
from sideman.core.errors import NoSuchInput, UnreadableInput
from sideman.core.settings.bindings import bindings_key_of, read_binding
from sideman.core.settings.resolve import SettingsLayer, WrittenValue, resolve_settings
from sideman.core.settings.schema import Settings
from sideman.core.settings.types import ActionTarget

PRESETS, CHARTS = ("presets", ".yaml"), ("charts", ".chart", ".txt")
PATH_KEYS = ("chart.file", "model.bundle")
"""Keys whose relative paths start, in a file, at that file's folder."""


@dataclass(frozen=True, slots=True)
class SettingsSources:
    """What the settings are read from: the preset and the configuration file named, and what the user said beside.

    Later ones win: defaults, preset, configuration file, what is given.
    """

    preset: str | None = None
    config: str | None = None
    overrides: SettingsLayer = field(default_factory=dict)

    def read(self) -> Settings:
        """The settings as they are now.

        Raises NoSuchInput or NotPermitted for a file that is not to be had, and one ConfigError with every problem of
        every layer.
        """
        reads = [read_preset(self.preset)] if self.preset is not None else []
        config = config_path(self.config)
        reads += [_resolve_paths(read_yaml(config), config.parent)] if config is not None else []
        layers: list[SettingsLayer] = [*(read.values for read in reads), self.overrides]
        problems = [problem for read in reads for problem in read.problems]
        return resolve_settings(layers, [*problems, *_missing_preset_problems(layers)])


def read_preset(name: str) -> YamlContent:
    """What the preset called `name` says. Raises NoSuchInput, NotPermitted or ConfigError."""
    path = resources.find_resource(PRESETS[0], name, PRESETS[1])
    if path is None:
        raise NoSuchInput(f"preset {name}: no such preset; {_available_hint(name, *PRESETS)}")
    return _resolve_paths(read_yaml(path), path.parent)


def _missing_preset_problems(layers: Iterable[SettingsLayer]) -> Iterator[str]:
    """A line for each preset that a pedal or a program is to call, and that is nowhere."""
    for name, given in (entry for layer in layers for entry in layer.items() if bindings_key_of(entry[0])):
        try:
            _, target = read_binding(name, given.value)
        except ValueError:
            continue  # it is told by whoever reads the settings
        if isinstance(target, ActionTarget) and target.name == "preset":
            preset = target.argument
            if resources.find_resource(PRESETS[0], preset, PRESETS[1]) is None:
                yield f"{given.source}: {name}: {preset}: no such preset; {_available_hint(preset, *PRESETS)}"


def config_path(named: str | None) -> Path | None:
    """The configuration file that is read: --config, $SIDEMAN_CONFIG, else the usual one if there is one."""
    named = named if named is not None else os.environ.get("SIDEMAN_CONFIG") or None
    return resources.expand_user(named) if named is not None else resources.default_config_file()


def load_chart(settings: Settings) -> Chart:
    """The changes to play over, transposed: those of chart.file, else chart.changes.

    Raises NoSuchInput or NotPermitted for a chart file that is not to be had, UnreadableInput for one of no sense.
    """
    if settings.chart.file is None:
        chart = parse_changes(settings.chart.changes, settings.tempo.meter, "chart.changes")
    else:
        chart = _chart_file(settings.chart.file, settings)
    return chart.transposed(settings.chart.transpose) if settings.chart.transpose else chart


def _resolve_paths(read: YamlContent, folder: Path) -> YamlContent:
    """`read`, its relative paths starting at `folder`; what names nothing there is left to be found by name."""
    for key in PATH_KEYS:
        given = read.values.get(key)
        if given is None or not isinstance(given.value, str) or "\0" in given.value:
            continue
        path = folder / Path(given.value)
        there = os.path.lexists(path) or os.path.lexists(folder / split_song(given.value)[0])
        if (os.sep in given.value or "." in given.value) and there:
            read.values[key] = WrittenValue(str(path.absolute()), given.source)
    return read


def _chart_path(named: str) -> tuple[Path, str | None]:
    """The chart file that is meant, and which song of it."""
    for name, song in ((named, None), split_song(named)):
        path = resources.expand_user(name)
        found = path if path.exists() else resources.find_resource(CHARTS[0], name, *CHARTS[1:])
        if found is not None:
            return found, song
    if os.sep in named:
        return resources.expand_user(split_song(named)[0]), None
    raise NoSuchInput(
        f"chart.file: {named}: no such file, and no chart of that name; {_available_hint(named, *CHARTS)}"
    )


def _chart_file(named: str, settings: Settings) -> Chart:
    try:
        if IREAL_LINK.match(named):
            return read_ireal(named, "chart.file")
        path, song = _chart_path(named)
        return read_chart(path, settings.tempo.meter, song)
    except ChartError as error:
        raise UnreadableInput(str(error)) from None


def _available_hint(name: str, kind: str, *suffixes: str) -> str:
    import difflib  # only a mistake needs it

    names = resources.resource_names(kind, *suffixes)
    near = difflib.get_close_matches(name, names, 1)
    return f"there are {', '.join(names) or 'none'}" + (f"; did you mean {near[0]}?" if near else "")
