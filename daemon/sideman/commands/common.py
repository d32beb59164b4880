# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have: those for the settings, and those for reading music."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sideman.config.sources import SettingsSources
from sideman.config.yaml import parse_scalar
from sideman.core.errors import UsageError
from sideman.core.settings.resolve import WrittenValue
from sideman.core.settings.schema import Settings
from sideman.files import check_readable

if TYPE_CHECKING:
    from sideman_models.corpus.corpus import Corpus
    from sideman_models.corpus.midi.reader import ReadingOptions

MAX_SEED = 2**32 - 1


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options that `load_settings` reads."""
    order = "later ones override earlier ones: defaults, preset, configuration file, --set"
    group = parser.add_argument_group("settings", order)
    group.add_argument("--config", metavar="FILE", help="the configuration file, instead of the usual one")
    group.add_argument("--preset", metavar="NAME", help="a ready-made style, such as bebop")
    text = "one setting, such as tempo.bpm=160; may be repeated"
    group.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=text)
    group.add_argument("-q", "--quiet", action="store_true", help="log only warnings and errors (log.level=warning)")
    group.add_argument("-v", "--verbose", action="store_true", help="log everything (log.level=debug)")


def settings_sources(args: argparse.Namespace) -> SettingsSources:
    """The sources of the settings, by the options of `add_settings_options`. Raises UsageError."""
    if args.quiet and args.verbose:
        raise UsageError("--quiet and --verbose: choose one of them")
    overrides = {"log.level": WrittenValue("warning", "--quiet")} if args.quiet else {}
    overrides |= {"log.level": WrittenValue("debug", "--verbose")} if args.verbose else {}
    for each in args.set:
        key, equals, value = each.partition("=")
        if not equals:
            raise UsageError(f"--set {each}: write KEY=VALUE, such as tempo.bpm=160")
        overrides[key.strip()] = WrittenValue(parse_scalar(value.strip()), "--set")
    return SettingsSources(args.preset, args.config, overrides)


def load_settings(args: argparse.Namespace) -> Settings:
    """Return the settings of a command line. Raises UsageError, and what `SettingsSources.read` raises."""
    return settings_sources(args).read()


def add_options(parser: argparse._ActionsContainer, *options: tuple[str, str, Callable[[str], Any], str]) -> None:
    """Give `parser` options with a value: the option, the value's name in the help, its type, its help."""
    for option, metavar, kind, text in options:
        parser.add_argument(option, metavar=metavar, type=kind, help=text)


def check_numbers(args: argparse.Namespace, ranges: Mapping[str, tuple[int, int]], words: str = "from") -> None:
    """Raises UsageError for an option whose number is not in its range (the least, the most)."""
    for name, (least, most) in ranges.items():
        number = getattr(args, name)
        if number is not None and not least <= number <= most:
            raise UsageError(f"--{name} {number}: {words} {least} to {most}")


def check_out_folder(folder: Path, marker: str, kind: str) -> None:
    """Raises UsageError if something else than `kind`, which has a file `marker`, is at the place for the output."""
    if folder.exists() and not (folder / marker).is_file():
        raise UsageError(f"--out {folder}: something else than {kind} is already there")


def add_reading_options(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Give `parser` the files of music, and the options for `read_music`. `more` is added to the help of the files."""
    files = "MIDI file, folder of MIDI files, solo database (.jsonl, .jsonl.gz) or value file"
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=files + more)
    group = parser.add_argument_group("MIDI files", "where to find their melody and their chords")
    melody = "the track of the melody, by name or number (default: found automatically)"
    chords = (
        "text: chord symbols in texts and markers; track:NAME: the chords that this track plays; infer: detected "
        "from all parts but the melody; auto: the first of these that the file has"
    )
    add_options(group, ("--melody", "TRACK", str, melody), ("--chords", "HOW", str, chords))
    unused = "do not use or write the cache of files that were read before"
    group.add_argument("--no-cache", action="store_true", help=unused)
    feels = "all: also learn from 4/4 solos that do not swing; measuring and playing still use swing (default: swing)"
    database = parser.add_argument_group("solo databases")
    database.add_argument("--feels", choices=("swing", "all"), default="swing", help=feels)
    parser.set_defaults(chords="auto")


def reading_options(args: argparse.Namespace) -> ReadingOptions:
    """How to read music, by the options of `add_reading_options`. Raises UsageError."""
    from sideman_models.corpus.midi.reader import TRACK_PREFIX, ReadingOptions  # not loaded by commands that only play

    if args.chords not in ("auto", "text", "infer") and not args.chords.startswith(TRACK_PREFIX):
        raise UsageError(f"--chords {args.chords}: auto, text, infer, or track:NAME")
    if args.chords == TRACK_PREFIX or args.melody == "":
        raise UsageError("--melody and --chords track: need the name or the number of a track")
    return ReadingOptions(args.melody, args.chords, not args.no_cache, args.feels == "all")


def read_music(paths: Iterable[Path], args: argparse.Namespace) -> Corpus:
    """Read the music in these files, by the options of `add_reading_options`.

    A line on standard error sums up what was read from MIDI files. Raises UsageError, CorpusError, and what
    `check_readable` raises.
    """
    from sideman_models.corpus.corpus import midi_summary, read_corpus

    files, options = list(paths), reading_options(args)
    for path in files:
        check_readable(path)
    corpus = read_corpus(files, options)
    if summary := midi_summary(corpus):
        print(f"{summary} (more with: sideman corpus)", file=sys.stderr)
    return corpus


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print a table. Each column is as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
