# SPDX-License-Identifier: Apache-2.0
"""Loads settings and charts from the preset, the files and the options that the user named."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from sideman.charts.detect import IREAL_LINK, read_chart, split_song
from sideman.charts.songs import pick_title
from sideman.config import resources
from sideman.config.resources import CHARTS, PRESETS
from sideman.config.yaml import YamlContent, edit_yaml, parse_yaml, write_over
from sideman.core.chart.chart import Chart, ChartError
from sideman.core.chart.text import parse_changes
from sideman.core.errors import ConfigError, NoSuchInput, SidemanError, Unavailable, UnreadableInput
from sideman.core.settings.bindings import (
    bindings_key_of,
    learnable,
    read_binding,
    read_learn_target,
    with_learned,
)
from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.settings.resolve import SettingsLayer, WrittenValue, resolve_settings
from sideman.core.settings.schema import Settings, song_of, tempo_of, with_values
from sideman.core.settings.set_list import find_song, has_loose_parts, parse_set_song
from sideman.core.targets import ActionTarget, Target
from sideman.files import read_file
from sideman_models.errors import ModelsError
from sideman_models.limits import SETTINGS
from sideman_models.music.harmony import parse_chord
from sideman_models.text import closest, printable

PATH_KEYS = ("chart.file", "model.bundle")
"""In a file, a relative path in these keys starts at the folder of that file.

While it plays, only `chart.file` can be changed, by OSC only to the name of a chart (`chart_by_name`).
"""


class SettingsSources(Struct, frozen=True):
    """The preset, the configuration file and the single settings that the user named.

    They override each other in this order: defaults, preset, configuration file, `overrides`.
    """

    preset: str | None = None
    config: str | None = None
    overrides: SettingsLayer = field(default_factory=dict)

    def read(self) -> Settings:
        """Read the settings.

        Raises NoSuchInput or NotPermitted for a file that cannot be read, and one ConfigError with all problems of all
        layers.
        """
        return self.read_with_presets(())[0]

    def read_with_presets(
        self, names: Sequence[str], before_parsing: Callable[[], None] = lambda: None
    ) -> tuple[Settings, list[SettingsLayer]]:
        """Read the settings, and the presets `names` besides.

        `before_parsing` is called when all files are read, before anything looks at their content. Raises what `read`
        raises.
        """
        presets = [_open_preset(name) for name in names]
        own = [_open_preset(self.preset)] if self.preset is not None else []
        path = resources.config_path(self.config)
        own += [_open(path)] if path is not None else []
        before_parsing()
        layers = [_layer_of(file) for file in presets]
        if problems := [problem for layer in layers for problem in missing_presets(layer)]:
            raise ConfigError("\n".join(problems))
        contents = [_content_of(file) for file in own]
        return self._resolved(contents), layers

    def _resolved(self, contents: Sequence[YamlContent]) -> Settings:
        layers: list[SettingsLayer] = [*(content.values for content in contents), self.overrides]
        problems = [problem for content in contents for problem in content.problems]
        for layer in layers:
            problems += missing_presets(layer)
        return resolve_settings(layers, problems)


class _File(Struct, frozen=True):
    path: Path
    data: bytes


def missing_presets(layer: SettingsLayer) -> list[str]:
    """Return a line for each binding of `layer` to a preset that does not exist."""
    problems = []
    for name, given in layer.items():
        if not bindings_key_of(name):
            continue
        with contextlib.suppress(ValueError):  # resolve_settings reports it
            _, target = read_binding(name, given.value)
            if target is not None and (missing := missing_preset(target)):
                problems.append(f"{given.source}: {name}: {missing}")
    return problems


def missing_preset(target: Target) -> str:
    """Return what is wrong if `target` applies a preset that does not exist; otherwise an empty text."""
    if not isinstance(target, ActionTarget) or target.name != "preset":
        return ""
    if resources.find_resource(PRESETS[0], target.argument, PRESETS[1]) is not None:
        return ""
    return f"{target.argument}: no such preset; {_available_hint(target.argument, *PRESETS)}"


def read_preset(name: str) -> SettingsLayer:
    """Read the preset called `name`. Raises NoSuchInput, NotPermitted or ConfigError."""
    return _layer_of(_open_preset(name))


def _open_preset(name: str) -> _File:
    path = resources.find_resource(PRESETS[0], name, PRESETS[1])
    if path is None:
        raise NoSuchInput(f"preset {name}: no such preset; {_available_hint(name, *PRESETS)}")
    return _open(path)


def _open(path: Path) -> _File:
    return _File(path, read_file(path, SETTINGS.bytes, ConfigError))


def _layer_of(file: _File) -> SettingsLayer:
    content = _content_of(file)
    if content.problems:
        raise ConfigError("\n".join(content.problems))
    return content.values


def _content_of(file: _File) -> YamlContent:
    """Parse a file. Relative paths that exist are made absolute; other names stay, to be found as charts or bundles."""
    content, folder = parse_yaml(file.data, str(file.path)), file.path.parent
    for key in PATH_KEYS:
        match content.values.get(key):
            case WrittenValue(str(name), source):
                content.values[key] = WrittenValue(_from_folder(folder, name), source)
    match content.values.get("chart.set"):
        case WrittenValue(list(songs), source):
            written = [_song_from_folder(folder, song) if isinstance(song, str) else song for song in songs]
            content.values["chart.set"] = WrittenValue(written, source)
    return content


def _from_folder(folder: Path, name: str) -> str:
    """Return the absolute path of a file that a file in `folder` names, if there is one; else the name."""
    if "\0" in name or not (os.sep in name or "." in name):
        return name
    path = folder / name
    exists = os.path.lexists(path) or os.path.lexists(folder / split_song(name)[0])
    return str(path.absolute()) if exists else name


def _song_from_folder(folder: Path, written: str) -> str:
    with contextlib.suppress(ValueError):  # resolve_settings reports it
        song = parse_set_song(written)
        return replace(song, chart=_from_folder(folder, song.chart)).text
    return written


class Edited(Struct, frozen=True, tag="edited"):
    """The configuration file as it will be: its `text`. `stamp` is of the file that was read, None for a new one."""

    path: str
    text: str
    stamp: tuple[int, int, int] | None

    def write(self) -> Path:
        """Write it, and return its path. Raises ConfigError if the file has changed, CannotCreate or DiskError."""
        path = Path(self.path)
        if _stamp(path) != self.stamp:
            raise ConfigError(f"{printable(path)}: it was changed meanwhile; learn again")
        write_over(path, self.text.encode())
        return path


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def with_binding(
    named: str | None, binding: str, target: str, before_parsing: Callable[[], None] = lambda: None
) -> Edited:
    """Return the configuration file with `target` as the entry `binding`, such as midi.cc.20.

    Other entries for the same target are taken out; without a file it is a new one. `before_parsing` is called when the
    file is read. Raises ConfigError if the file has mistakes or an unusual layout, Unavailable, NoSuchInput or
    NotPermitted.
    """
    path = resources.writable_config_path(named)
    if path is None:
        raise Unavailable("this user has no home folder; start sideman with --config FILE")
    stamp = _stamp(path)
    file = _open(path) if stamp is not None else _File(path, b"")
    before_parsing()
    before = learnable(MidiSettings())
    places: dict[tuple[str, int], str] = {}
    for name, given in parse_yaml(file.data, str(path)).values.items():
        table = bindings_key_of(name)
        if table not in before:
            continue
        try:
            number, bound = read_binding(name, given.value)
        except ValueError:
            continue  # said at the start
        places[table, number] = name
        before[table] = before[table].with_binding(number, bound)
    wanted = with_learned(before, binding, read_learn_target(target))
    changes: dict[str, str | None] = {
        name: None
        for (table, number), name in places.items()
        if number in dict(before[table]) and number not in dict(wanted[table])
    }
    # The same pitch or number may be written in another way.
    spelling = places.get((bindings_key_of(binding) or "", read_binding(binding, None)[0]), binding)
    after = edit_yaml(file.data, {**changes, spelling: target}, str(path))
    return Edited(str(path), after.decode(), stamp)


def load_chart(settings: Settings, before_parsing: Callable[[], None] = lambda: None) -> Chart:
    """Load the chart that `settings` name: the song of chart.set, chart.file or else chart.changes; and transpose it.

    `before_parsing` is called when the file is read, before anything looks at its content. Raises
    NoSuchInput or NotPermitted for a file that cannot be read, UnreadableInput for a file that is not a chart.
    """
    song, meter = song_of(settings), settings.tempo.meter
    named = settings.chart.file if song is None else song.chart
    if named is None:
        before_parsing()
        chart = parse_changes(settings.chart.changes, meter, "chart.changes")
    else:
        try:
            if IREAL_LINK.match(named):
                from sideman.charts.ireal import read_ireal  # loaded only if it is needed

                before_parsing()
                chart = read_ireal(named, "chart.file")
            else:
                path, title = _chart_path(named)
                chart = read_chart(path, meter, title, before_parsing)
        except ChartError as error:
            raise UnreadableInput(str(error)) from None
        except NoSuchInput as error:
            if song is None or not has_loose_parts(song):
                raise
            raise NoSuchInput(f"{error}; after a chart's name come commas: CHART, in Bb, 160 bpm, 3 choruses") from None
    if song is not None and song.key is not None:
        return song.in_key(chart)
    return chart.transposed(settings.chart.transpose) if settings.chart.transpose else chart


def song_in_set(settings: Settings, wanted: str) -> int | None:
    """Return the number of the song of chart.set that is `wanted`: by number, chart, title, or a part of one.

    A chart of that name comes before a part of a title. None if no song is meant. Raises NoSuchInput if several are.
    """
    number = find_song(settings.chart.set, wanted)
    if number is not None or IREAL_LINK.match(wanted):
        return number
    with contextlib.suppress(NoSuchInput):
        if _chart_path(wanted)[0].exists():
            return None
    titles = [song.name for song in settings.chart.set]
    for at in range(len(titles)):
        with contextlib.suppress(SidemanError):  # then it has the name that the set gives it
            chart = load_chart(with_values(settings, [("chart.song", at + 1)]))
            titles[at] = chart.info.title or titles[at]
    try:
        return pick_title(titles, wanted, "chart.set", "sideman check") + 1
    except ChartError as error:
        raise NoSuchInput(f"{wanted}: no chart of that name; {error}") from None


def at_chart_tempo(settings: Settings, chart: Chart) -> Settings:
    """Return `settings` with the tempo that the chart, or the song of the set, asks for."""
    bpm = tempo_of(settings, chart)
    return settings if bpm is None else with_values(settings, [("tempo.bpm", bpm)])


def names_chart(text: str) -> bool:
    """Whether `text` is a link with a chart in it, a file, or the name of a chart, perhaps with a song after `#`."""
    if IREAL_LINK.match(text):
        return True
    try:
        return _chart_path(text)[0].exists()
    except (NoSuchInput, OSError):  # such as a text that is too long for a name
        return False


def _chart_path(named: str) -> tuple[Path, str | None]:
    """Return the path of the chart file, and the name of the song in it if one is given."""
    for name, song in ((named, None), split_song(named)):
        path = resources.expand_user(name)
        found = path if path.exists() else resources.find_resource(CHARTS[0], name, *CHARTS[1:])
        if found is not None:
            return found, song
    hint = ""
    if _are_chords(named):
        hint = f"chords go between bar lines: | {' | '.join(named.split())} |"
    elif os.sep in named:
        return resources.expand_user(split_song(named)[0]), None
    hint = hint or _available_hint(named, *CHARTS)
    raise NoSuchInput(f"chart.file: {named}: no such file, and no chart of that name; {hint}")


def _are_chords(text: str) -> bool:
    try:
        return len([parse_chord(word) for word in text.split()]) > 1
    except ModelsError:
        return False


def chart_by_name(named: str | None) -> str | None:
    """Return the path of the chart, or of the song in a chart, that has this name in one of the folders of charts.

    Not even a file of that name in the current folder counts, and the path is returned so that none comes between. None
    and a link with the music in it stay as they are. Raises NoSuchInput.
    """
    if named is None or IREAL_LINK.match(named):
        return named
    for name, song in ((named, None), split_song(named)):
        found = resources.find_resource(CHARTS[0], name, *CHARTS[1:])
        if found is not None:
            return f"{found}#{song}" if song else str(found)
    raise NoSuchInput(f"chart.file: no chart of that name; {_available_hint(named, *CHARTS)}")


def _available_hint(name: str, kind: str, *suffixes: str) -> str:
    try:
        names = resources.resource_names(kind, *suffixes)
    except OSError:  # a process that may open nothing any more
        return "see the folder of the configuration"
    near = closest(name, names)
    return f"there are {', '.join(names) or 'none'}" + (f"; did you mean {near}?" if near else "")
