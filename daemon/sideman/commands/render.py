# SPDX-License-Identifier: Apache-2.0
"""`sideman render`: writes solos as MIDI files, pictures and sound.

The engine is that of `sideman run`, on a clock that does not wait. A set is played to its end, song by song.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from sideman.charts.chart_writer import CHART_WRITERS, ireal_page
from sideman.charts.score_writer import musicxml_bytes
from sideman.commands.common import (
    OUTPUT_SUFFIXES,
    add_options,
    add_play_options,
    add_settings_options,
    check_numbers,
    load_settings,
    output_kind,
    song_choice,
)
from sideman.config.sources import at_chart_tempo, load_chart
from sideman.core.chart.chart import Chart
from sideman.core.errors import UsageError
from sideman.core.events import MidiEvent, QueueSong
from sideman.core.settings.schema import Settings, choruses_of, tempo_of, with_values
from sideman.files import explain_write_errors, write_file
from sideman.playing.assembly import Performance, load_performance
from sideman.render.render import RenderedTake, render_take, take_name, take_picture, take_seed
from sideman.service import log
from sideman.sound.fluidsynth import find_fluidsynth
from sideman_models.course.names import load_name_model as load_names
from sideman_models.text import count_noun
from sideman_models.writing import make_folder

if TYPE_CHECKING:
    from sideman_models.pictures import Player  # which needs matplotlib

_log = logging.getLogger(__name__)

DEFAULT_BARS = 32
PLACEHOLDERS = ("{name}", "{number}", "{seed}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman render`."""
    out = "the file to write, by its name: .mid; .musicxml, a score; .wav; .png; its chart: .html (iReal Pro), .txt"
    parser.add_argument("--out", metavar="FILE.mid", type=Path, required=True, help=out)
    takes = (
        "write N solos, each with its own name and seed; then --out, --picture and --wav are folders, or paths with "
        "{name}, {number} or {seed} in them"
    )
    add_options(
        parser,
        ("--picture", "FILE.png", Path, "also draw a piano roll over the chords"),
        ("--wav", "FILE.wav", Path, "also render it to a sound file with fluidsynth"),
        ("--sound-font", "FILE.sf2", Path, "the sound font for fluidsynth"),
        ("--bars", "N", int, f"how many bars (default: chart.choruses, else {DEFAULT_BARS})"),
        ("--takes", "N", int, takes),
    )
    add_play_options(parser)
    add_settings_options(parser)


def run(args: argparse.Namespace) -> int:
    """Render, and print what was written and how much faster than real time."""
    check_numbers(args, {"bars": (1, 100_000), "takes": (1, 10_000)})
    outputs = list(_outputs(args))
    if args.sound_font is not None and not any(output.kind == "wav" for output in outputs):
        raise UsageError("--sound-font needs --wav FILE.wav")
    settings = load_settings(args)
    log.configure_logging(settings.log.level)
    chart = _load_chart(settings)
    following = [] if song_choice(args, settings) else list(_following(settings))
    if following and args.bars is not None:
        raise UsageError("--bars is for one song, and this is a set; name a song of it with --chart")
    if following and settings.chart.choruses is None:
        settings = with_values(settings, [("chart.choruses", 1)])
    settings = at_chart_tempo(settings, chart)
    performance = load_performance(settings, chart)
    bars = args.bars or (None if choruses_of(settings) else DEFAULT_BARS)
    for output in outputs:
        output.check(many=args.takes is not None)
        if following and output.kind == "text":
            raise UsageError(f"{output.option} {output.path}: a text holds one song, not a set; .html holds all")
    if args.takes is None:
        files = [(output, output.path) for output in outputs]
        summary, played, spent = _render(performance, bars, "sideman", files, following)
        print(f"{summary}, {_format_speed(played, spent)}")
    else:
        _render_many(performance, bars, outputs, args.takes, following)
    return 0


def _load_chart(settings: Settings) -> Chart:
    chart = load_chart(settings)
    for warning in chart.info.warnings:
        _log.warning("%s", warning)
    return chart


def _following(settings: Settings) -> Iterator[QueueSong]:
    """The songs of the set after the one that is played first. Raises SidemanError for one that cannot be read."""
    first = settings.chart.song
    for number in range(first + 1, len(settings.chart.set) + 1) if first else ():
        wanted = with_values(settings, [("chart.song", number)])
        chart = _load_chart(wanted)
        yield QueueSong(number, chart, tempo_of(wanted, chart))


# -- what is written


class _OutputFile(Struct, frozen=True):
    """One kind of output file, and its path or path pattern."""

    option: str
    path: Path
    kind: str
    write: Callable[[RenderedTake, Path], None]

    @property
    def suffix(self) -> str:
        """The suffix of its names."""
        return OUTPUT_SUFFIXES[self.kind][0]

    @property
    def _is_pattern(self) -> bool:
        return any(place in str(self.path) for place in PLACEHOLDERS)

    def check(self, *, many: bool) -> None:
        """Check that the path names one file, or allows `many`."""
        if self._is_pattern and not many:
            raise UsageError(f"{self.option} {self.path}: {' and '.join(PLACEHOLDERS)} need --takes N")
        if many and not self._is_pattern and self.path.suffix.lower() == self.suffix:
            places = " or ".join(PLACEHOLDERS)
            raise UsageError(f"{self.option} {self.path}: with --takes, give a folder, or a path with {places} in it")

    def take_path(self, name: str, number: int, seed: int) -> Path:
        """The path for one take: the pattern filled in, else a file of that name in the folder."""
        if not self._is_pattern:
            return self.path / f"{name}{self.suffix}"
        text = str(self.path).replace("{name}", name).replace("{number}", str(number))
        return Path(text.replace("{seed}", str(seed)))


def _outputs(args: argparse.Namespace) -> Iterator[_OutputFile]:
    """The requested outputs. Raises now, before anything is played, if matplotlib or fluidsynth is missing."""
    for option in OUTPUT_SUFFIXES:
        path: Path | None = getattr(args, option, None)
        if path is None:
            continue
        is_folder = args.takes is not None and not any(place in str(path) for place in PLACEHOLDERS)
        kind = option if is_folder else output_kind(option, path)
        yield _OutputFile(f"--{option}", path, kind, _writer(kind, args.sound_font))


def _writer(kind: str, sound_font: Path | None) -> Callable[[RenderedTake, Path], None]:
    if kind == "picture":
        importlib.import_module("sideman_models.pictures")  # raises if matplotlib is not installed
        return _write_picture
    if kind == "wav":
        synth = find_fluidsynth(sound_font)
        return lambda take, path: synth.render_wav(take.midi, path, take.seconds)
    if kind == "score":
        return lambda take, path: write_file(path, musicxml_bytes(take.score))
    if kind == "ireal":
        return lambda take, path: write_file(path, ireal_page([song.chart for song in take.songs]).encode())
    if kind in CHART_WRITERS:
        return lambda take, path: write_file(path, CHART_WRITERS[kind](take.chart, 0))
    return lambda take, path: write_file(path, take.midi)


def _write_picture(take: RenderedTake, path: Path) -> None:
    title = f"{take.name} · seed {take.seed} · {take.bpm:g} bpm"
    players: dict[Player, Sequence[tuple[float, MidiEvent]]] = {"sideman": take.events, "band": take.band}
    write_file(path, take_picture(players, take.chords, title, take.beat_of_bar))


# -- one take, or many


def _render(
    performance: Performance,
    bars: int | None,
    name: str,
    files: Sequence[tuple[_OutputFile, Path]],
    following: Sequence[QueueSong],
) -> tuple[str, float, float]:
    """Play a take and write its files. Returns a line about it, and in seconds its length and the time to make it."""
    if len({path.absolute() for _, path in files}) < len(files):
        raise UsageError(f"{' and '.join(output.option for output, _ in files)}: the same file {files[0][1]}")
    start = time.perf_counter()
    take = render_take(performance, bars, name, following)
    spent = time.perf_counter() - start
    for output, path in files:
        output.write(take, path)
    paths = ", ".join(str(path) for _, path in files)
    songs = f"{len(take.songs)} songs, " if following else ""
    music = f"{count_noun(take.notes, 'note')}, {count_noun(take.bars, 'bar')}"
    return f"{paths}: {songs}{music}, seed {take.seed}", take.seconds, spent


def _render_many(
    performance: Performance,
    bars: int | None,
    outputs: Sequence[_OutputFile],
    count: int,
    following: Sequence[QueueSong],
) -> None:
    """Render `count` takes, each with its own seed and name. Each is written at once."""
    model, known = load_names(), set[str]()
    played, spent = 0.0, 0.0
    for number in range(1, count + 1):
        seed = take_seed(performance.seed, number)
        name = take_name(model, seed, known)
        files = [(output, output.take_path(name, number, seed)) for output in outputs]
        for _, path in files:
            with explain_write_errors(path.parent):
                make_folder(path.parent)
        summary, seconds, spent_seconds = _render(replace(performance, seed=seed), bars, name, files, following)
        played, spent = played + seconds, spent + spent_seconds
        print(summary, flush=True)
    print(f"{count} takes, seed {performance.seed}: {played / 60:.1f} minutes of music, {_format_speed(played, spent)}")


def _format_speed(played: float, spent: float) -> str:
    return f"{played / max(spent, 1e-9):,.0f} × real time"
