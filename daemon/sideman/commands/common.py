# SPDX-License-Identifier: Apache-2.0
"""What several commands share: the options that settle the settings, and the chart these name."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sideman.charts.files import read_chart, split_song
from sideman.charts.ireal import LINK, read_ireal
from sideman.core.chart import Chart, ChartError, parse_changes
from sideman.core.errors import NoSuchInput, NotPermitted, UnreadableInput, UsageError
from sideman.core.layers import Given, Layer, read_settings
from sideman.core.settings import Settings
from sideman.core.tables import read_entry, table_of
from sideman.core.targets import Action
from sideman.io import resources
from sideman.io.scalars import scalar
from sideman.io.yamlfile import Read, read_yaml
from sideman_models.wording import printable

if TYPE_CHECKING:
    from sideman_models.corpus import Corpus
    from sideman_models.midi.reading import Reading

PRESETS, CHARTS = ("presets", ".yaml"), ("charts", ".chart", ".txt")
PATHS = ("chart.file", "model.bundle")
"""Keys whose relative paths start, in a file, at that file's folder."""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options that `load_settings` reads."""
    group = parser.add_argument_group("settings", "later ones win: defaults, preset, configuration file, --set")
    group.add_argument("--config", metavar="FILE", help="the configuration file, instead of the usual one")
    group.add_argument("--preset", metavar="NAME", help="a ready-made way of playing, such as bebop")
    group.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one setting, such as tempo.bpm=160; may be repeated",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="log only what is wrong (log.level=warning)")
    group.add_argument("-v", "--verbose", action="store_true", help="log everything (log.level=debug)")


def load_settings(args: argparse.Namespace) -> Settings:
    """The settings for a command line read with `add_settings`.

    Raises UsageError, NoSuchInput or NotPermitted for a file or option that is not right, and one ConfigError with
    every problem of every layer.
    """
    reads = [read for read in (_preset(args.preset), _config(args.config)) if read]
    layers: list[Layer] = [*(read.values for read in reads), dict(_switches(args)), dict(_set(args.set))]
    problems = [problem for read in reads for problem in read.problems]
    return read_settings(layers, [*problems, *_missing_presets(layers)])


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options that `reading` reads: how MIDI files become music to learn from."""
    group = parser.add_argument_group("MIDI files", "how their melody and chords are found")
    group.add_argument(
        "--melody", metavar="TRACK", help="the melody's track, by its name or number (default: it is looked for)"
    )
    group.add_argument(
        "--chords",
        metavar="HOW",
        default="auto",
        help="text: symbols in texts and markers; track:NAME: what that track plays; infer: found from all other parts;"
        " auto: the first of these that there is",
    )
    group.add_argument("--no-cache", action="store_true", help="read every file anew, and keep nothing of it")
    database = parser.add_argument_group("solo databases")
    database.add_argument(
        "--feels",
        choices=("swing", "all"),
        default="swing",
        help="all: learn from 4/4 solos that do not swing, too; what is measured, and played, swings (swing)",
    )


def reading(args: argparse.Namespace) -> Reading:
    """How to read, for a command line read with `add_reading_options`. Raises UsageError."""
    from sideman_models.midi.reading import BY_TRACK, Reading  # what only plays reads no music

    if args.chords not in ("auto", "text", "infer") and not args.chords.startswith(BY_TRACK):
        raise UsageError(f"--chords {args.chords}: auto, text, infer, or track:NAME")
    if args.chords == BY_TRACK or args.melody == "":
        raise UsageError("--melody and --chords track: want the name or the number of a track")
    return Reading(args.melody, args.chords, not args.no_cache, args.feels == "all")


def read_music(paths: Iterable[Path], args: argparse.Namespace) -> Corpus:
    """The music of the files named, on a command line read with `add_reading_options`.

    A line on standard error tells what became of MIDI files. Raises UsageError, CorpusError, and what
    `check_readable` raises.
    """
    from sideman_models.corpus import midi_summary, read

    named, how = list(paths), reading(args)
    for path in named:
        check_readable(path)
    corpus = read(named, how)
    if summary := midi_summary(corpus):
        print(f"{summary} (sideman corpus tells more)", file=sys.stderr)
    return corpus


def check_readable(path: Path) -> None:
    """Raises NoSuchInput, NotPermitted or UnreadableInput for what is no file or folder that can be read."""
    if not path.exists():
        raise NoSuchInput(f"{printable(path)}: no such file")
    if not path.is_file() and not path.is_dir():  # a pipe would be waited for, a device may never end
        raise UnreadableInput(f"{printable(path)}: not a plain file; keep in one what is to be read")
    if not os.access(path, os.R_OK):
        raise NotPermitted(f"{printable(path)}: may not be read by this user")


def config_path(named: str | None) -> Path | None:
    """The configuration file that is read: --config, $SIDEMAN_CONFIG, else the usual one if there is one."""
    named = named if named is not None else os.environ.get("SIDEMAN_CONFIG") or None
    return resources.at_home(named) if named is not None else resources.usual_config()


def load_chart(settings: Settings) -> Chart:
    """The changes to play over, transposed: those of chart.file, else chart.changes.

    Raises NoSuchInput or NotPermitted for a chart file that is not to be had, UnreadableInput for one of no sense.
    """
    if settings.chart.file is None:
        chart = parse_changes(settings.chart.changes, settings.tempo.meter, "chart.changes")
    else:
        chart = _chart_file(settings.chart.file, settings)
    return chart.transposed(settings.chart.transpose) if settings.chart.transpose else chart


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _preset(name: str | None) -> Read | None:
    if name is None:
        return None
    path = resources.find(PRESETS[0], name, PRESETS[1])
    if path is None:
        raise NoSuchInput(f"--preset {name}: no such preset; {_there_are(name, *PRESETS)}")
    return _anchored(read_yaml(path), path.parent)


def _missing_presets(layers: Iterable[Layer]) -> Iterator[str]:
    """A line for each preset that a pedal or a program is to call, and that is nowhere."""
    for name, given in (entry for layer in layers for entry in layer.items() if table_of(entry[0])):
        try:
            _, target = read_entry(name, given.value)
        except ValueError:
            continue  # it is told by whoever reads the settings
        if isinstance(target, Action) and target.verb == "preset":
            preset = target.argument
            if resources.find(PRESETS[0], preset, PRESETS[1]) is None:
                yield f"{given.where}: {name}: {preset}: no such preset; {_there_are(preset, *PRESETS)}"


def _config(named: str | None) -> Read | None:
    path = config_path(named)
    return _anchored(read_yaml(path), path.parent) if path else None


def _switches(args: argparse.Namespace) -> Iterator[tuple[str, Given]]:
    if args.quiet and args.verbose:
        raise UsageError("--quiet and --verbose: one or the other")
    if args.quiet or args.verbose:
        yield "log.level", Given("warning" if args.quiet else "debug", "--quiet" if args.quiet else "--verbose")


def _set(settings: list[str]) -> Iterator[tuple[str, Given]]:
    for each in settings:
        key, equals, value = each.partition("=")
        if not equals:
            raise UsageError(f"--set {each}: write KEY=VALUE, such as tempo.bpm=160")
        yield key.strip(), Given(scalar(value.strip()), "--set")


def _anchored(read: Read, folder: Path) -> Read:
    """`read`, its relative paths starting at `folder`; what names nothing there is left to be found by name."""
    for key in PATHS:
        given = read.values.get(key)
        if given is None or not isinstance(given.value, str) or "\0" in given.value:
            continue
        path = folder / Path(given.value)
        there = os.path.lexists(path) or os.path.lexists(folder / split_song(given.value)[0])
        if (os.sep in given.value or "." in given.value) and there:
            read.values[key] = Given(str(path.absolute()), given.where)
    return read


def _chart_path(named: str) -> tuple[Path, str | None]:
    """The chart file that is meant, and which song of it."""
    for name, song in ((named, None), split_song(named)):
        path = resources.at_home(name)
        found = path if path.exists() else resources.find(CHARTS[0], name, *CHARTS[1:])
        if found is not None:
            return found, song
    if os.sep in named:
        return resources.at_home(split_song(named)[0]), None
    raise NoSuchInput(f"chart.file: {named}: no such file, and no chart of that name; {_there_are(named, *CHARTS)}")


def _chart_file(named: str, settings: Settings) -> Chart:
    try:
        if LINK.match(named):
            return read_ireal(named, "chart.file")
        path, song = _chart_path(named)
        return read_chart(path, settings.tempo.meter, song)
    except ChartError as error:
        raise UnreadableInput(str(error)) from None


def _there_are(name: str, kind: str, *suffixes: str) -> str:
    import difflib  # only a mistake needs it

    names = resources.names(kind, *suffixes)
    near = difflib.get_close_matches(name, names, 1)
    return f"there are {', '.join(names) or 'none'}" + (f"; did you mean {near[0]}?" if near else "")
