# SPDX-License-Identifier: Apache-2.0
"""What several commands share: options for settings and for reading music, checks of options, lists, quiet imports."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sideman.config.sources import SettingsSources, load_chart, names_chart, song_in_set
from sideman.config.yaml import parse_setting
from sideman.core.errors import UsageError
from sideman.core.settings.instruments import read_instrument
from sideman.core.settings.resolve import SettingsLayer, WrittenValue
from sideman.core.settings.schema import KEYS, Settings, with_values
from sideman.core.turns import MODE_NAMES
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import parse_chord
from sideman_models.text import printable

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


def add_play_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options for the settings that people change most; `settings_sources` reads them."""
    add_options(
        parser.add_argument_group("what is played"),
        ("--chart", "CHART", str, "a chart by name, its file, a link, or the chords: '| Dm7 | G7 |' (chart.file)"),
        ("--key", "KEY", str, "play the chart in this key, as you read it, such as Bb or Am (chart.transpose)"),
        ("--bpm", "N", str, "the tempo in beats a minute (tempo.bpm)"),
        ("--mode", "MODE", str, f"who plays when: {', '.join(MODE_NAMES)} (play.mode)"),
        ("--rate", "RATE", str, f"how often it plays: {KEYS['play.rate'].value_type.allowed} (play.rate)"),
        ("--seed", "N", str, "the random seed: the same seed plays the same again (play.seed)"),
        ("--instrument", "NAME", str, "the sound of the solo, such as 'tenor sax' (midi.program)"),
    )


_FLAGS = {"bpm": "tempo.bpm", "mode": "play.mode", "rate": "play.rate", "seed": "play.seed"}
"""The options of `add_play_options` that give the value of one setting as it is written."""


def _flag_overrides(args: argparse.Namespace) -> dict[str, WrittenValue]:
    """The settings that the options of `add_play_options` give, but for the key. Raises UsageError."""
    given = {name: value for name, value in vars(args).items() if value is not None}
    overrides: dict[str, WrittenValue] = {}
    for flag, key in _FLAGS.items():
        if flag in given:
            overrides |= parse_setting(key, given[flag], f"--{flag}")
    if "chart" in given:
        chart = given["chart"]
        if not chart.strip():
            raise UsageError("--chart needs the file or the name of a chart, or its chords between bar lines")
        is_chords = chart.lstrip().startswith("|") or ("|" in chart and not names_chart(chart))
        overrides["chart.changes" if is_chords else "chart.file"] = WrittenValue(chart, "--chart")
    if given.get("learn"):
        overrides |= parse_setting("model.learn", "true", "--learn")
    if "instrument" in given:
        try:
            overrides["midi.program"] = WrittenValue(read_instrument(given["instrument"]), "--instrument")
        except ValueError as error:
            raise UsageError(f"--instrument {given['instrument']}: {error}") from None
    return overrides


def _transposition(key: str, settings: Settings) -> int:
    """The chart.transpose with which the player reads the chart in `key`. Raises UsageError."""
    chart = load_chart(with_values(settings, [("chart.transpose", 0)]))
    try:
        wanted, tonic = parse_chord(key), parse_chord(chart.info.key) if chart.info.key else chart.chord_at(0.0)
    except ModelsError:
        raise UsageError(f"--key {key}: write a key such as Bb, F# or Am") from None
    if chart.info.key and 3 in wanted.quality.tones and 3 not in tonic.quality.tones:
        raise UsageError(f"--key {key}: the chart is in {chart.info.key}, which is major; name a major key")
    semitones = (wanted.root + settings.midi.transpose - tonic.root) % 12
    return semitones - 12 if semitones > 6 else semitones


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
        overrides |= parse_setting(key.strip(), value.strip(), "--set")
    overrides |= _flag_overrides(args)
    sources = SettingsSources(args.preset, args.config, overrides)
    if (number := _song_in_set(args, overrides)) is not None:
        overrides = {name: given for name, given in overrides.items() if name != "chart.file"}
        overrides["chart.song"] = WrittenValue(number, "--chart")
        sources = SettingsSources(args.preset, args.config, overrides)
    key = getattr(args, "key", None)
    if key is None:
        return sources
    transpose = WrittenValue(_transposition(key, sources.read()), "--key")
    return SettingsSources(args.preset, args.config, overrides | {"chart.transpose": transpose})


def _song_in_set(args: argparse.Namespace, overrides: SettingsLayer) -> int | None:
    """The number of the song of chart.set that --chart names; None if it names a chart, or there is no set."""
    named = overrides.get("chart.file")
    if named is None or named.source != "--chart":
        return None
    without = {name: given for name, given in overrides.items() if name != "chart.file"}
    settings, wanted = SettingsSources(args.preset, args.config, without).read(), str(named.value)
    return song_in_set(settings, wanted) if settings.chart.set else None


def song_choice(args: argparse.Namespace, settings: Settings) -> bool:
    """Whether --chart has chosen one song of a set, or another chart."""
    return args.chart is not None or not settings.chart.set


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


OUTPUT_SUFFIXES = {
    "out": (".mid", ".midi"), "picture": (".png",), "wav": (".wav",), "score": (".musicxml",), "ireal": (".html",),
    "text": (".txt",),
}  # fmt: skip
"""The kinds of files that are written, each with the suffixes of its name."""
_FILE_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{1,7}")


def output_kind(option: str, path: Path) -> str:
    """The kind of file that is written to the `path` of `option`: --out writes what the name says.

    Raises UsageError where the name says something that cannot be written there.
    """
    suffix = path.suffix.lower()
    kinds = OUTPUT_SUFFIXES if option == "out" else {option: OUTPUT_SUFFIXES[option]}
    for kind, suffixes in kinds.items():
        if suffix in suffixes:
            return kind
    if _FILE_SUFFIX.fullmatch(suffix):  # in `take 1.5` the dot belongs to the name
        names = ", ".join(name for suffixes in kinds.values() for name in suffixes)
        raise UsageError(f"--{option} {path}: its name says {suffix}; this can be {names}")
    return option


def check_midi_name(path: Path | None) -> None:
    """Raises UsageError if the `path` of --out, where only a MIDI file is written, says something else."""
    if path is not None and output_kind("out", path) != "out":
        raise UsageError(f"--out {path}: its name says {path.suffix}; this is a MIDI file, .mid")


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
    feels = (
        "which 4/4 solos to use: swing (default); all: also learn from those that do not swing, while measuring and "
        "playing still use swing; latin; ballad: ballads and what else is slower than 100 bpm"
    )
    parser.add_argument_group("solo databases").add_argument(
        "--feels", choices=("swing", "all", "latin", "ballad"), default="swing", help=feels
    )
    parser.set_defaults(chords="auto")


def reading_options(args: argparse.Namespace) -> ReadingOptions:
    """How to read music, by the options of `add_reading_options`. Raises UsageError."""
    from sideman_models.corpus.midi.reader import TRACK_PREFIX, ReadingOptions  # not loaded by commands that only play

    if args.chords not in ("auto", "text", "infer") and not args.chords.startswith(TRACK_PREFIX):
        raise UsageError(f"--chords {args.chords}: auto, text, infer, or track:NAME")
    if args.chords == TRACK_PREFIX or args.melody == "":
        raise UsageError("--melody and --chords track: need the name or the number of a track")
    return ReadingOptions(args.melody, args.chords, not args.no_cache, args.feels)


def read_music(paths: Sequence[Path], args: argparse.Namespace) -> Corpus:
    """Read the music in these files, by the options of `add_reading_options`. `check_readable` has passed the files.

    A line on standard error sums up what was read from MIDI files. Raises UsageError and CorpusError.
    """
    from sideman_models.corpus.corpus import midi_summary, read_corpus

    corpus = read_corpus(paths, reading_options(args))
    if summary := midi_summary(corpus):
        print(f"{summary} (more with: sideman corpus)", file=sys.stderr)
    return corpus


def print_list(
    facts: Sequence[Mapping[str, Any]], rows: Sequence[Sequence[str]], nothing: str, *, as_json: bool
) -> None:
    """Print the `facts` about the members of a list as JSON, or `rows` (a heading, then the members) as a table."""
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
    elif not facts:
        print(nothing)
    else:
        cells = [[printable(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def silence_stderr() -> Iterator[None]:
    """Discard what is written to stderr's file descriptor while the context lasts.

    TensorFlow's C++ code writes there without Python, even if its own switch forbids it. Exceptions are not affected.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    try:
        with Path(os.devnull).open("wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
