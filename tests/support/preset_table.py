# SPDX-License-Identifier: Apache-2.0
"""Figures of what each preset, and each end of two musical controls, plays: the measured tables of docs/controls.md.

`python tests/support/preset_table.py` lets the bundled network play some choruses of the default blues with each of
them, always in mode solo, and prints both tables. The first line names the network, so that a test finds tables that
were measured with another one.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT.parent / "daemon"), str(ROOT.parent / "models")]

from sideman.config import resources  # noqa: E402
from sideman.config.yaml import read_yaml  # noqa: E402
from sideman.core.chart.chart import Chart  # noqa: E402
from sideman.core.chart.text import parse_changes  # noqa: E402
from sideman.core.events import note_spans  # noqa: E402
from sideman.core.settings.resolve import SettingsLayer, WrittenValue, resolve_settings  # noqa: E402
from sideman.playing.assembly import load_performance  # noqa: E402
from sideman.render.render import RenderedTake, render_take  # noqa: E402
from sideman_models.music.harmony import pitch_name  # noqa: E402

NONE = "(none)"
CHORUSES, CONTROL_CHORUSES = 24, 8
PRESETS_MEASURED = (NONE, *(name for name in resources.resource_names("presets", ".yaml") if name != "service"))


@dataclass(frozen=True, slots=True)
class Note:
    """A note as played: onset and length in beats, and whether its pitch is a chord tone."""

    onset: float
    length: float
    pitch: int
    velocity: int
    of_chord: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """Statistics of some choruses: shares of notes from 0 to 1, intervals in semitones, lengths in beats."""

    bpm: float
    notes_a_beat: float
    silence: float
    length: float
    interval: float
    leaps: float
    of_chord: float
    repeated: float
    lowest: int
    highest: int
    velocity: float


def preset_figures(preset: str, choruses: int, **keys: object) -> Figures:
    """The figures of `choruses` choruses, each with a seed of its own."""
    layers: list[SettingsLayer] = [{f"play.{name}": WrittenValue(value, "test") for name, value in keys.items()}]
    layers.append({"play.mode": WrittenValue("solo", "test"), "play.count_in": WrittenValue(0, "test")})
    if preset != NONE:
        path = resources.find_resource("presets", preset, ".yaml")
        assert path
        layers.insert(0, read_yaml(path).values)
    takes = list[tuple[Chart, RenderedTake]]()
    for seed in range(choruses):
        settings = resolve_settings(
            [*layers, {"play.seed": WrittenValue(seed, "test"), "chart.choruses": WrittenValue(1, "test")}]
        )
        chart = parse_changes(settings.chart.changes, settings.tempo.meter, "chart.changes")
        takes.append((chart, render_take(load_performance(settings, chart), None, preset)))
    return _figures([(take, list(_notes(chart, take))) for chart, take in takes])


def _notes(chart: Chart, take: RenderedTake) -> Iterator[Note]:
    for onset, length, note in sorted(note_spans(take.events), key=lambda each: each[0]):
        of_chord = chart.chord_at(onset).kind_of(note.pitch) == 0
        yield Note(onset, length, note.pitch, note.velocity, of_chord)


def _figures(takes: list[tuple[RenderedTake, list[Note]]]) -> Figures:
    beats = sum(take.beats for take, _ in takes)
    notes = [note for _, each in takes for note in each]
    moves = [abs(after.pitch - before.pitch) for _, each in takes for before, after in pairwise(each)]
    return Figures(
        bpm=takes[0][0].bpm,
        notes_a_beat=len(notes) / beats,
        silence=1 - sum(note.length for note in notes) / beats,
        length=fmean(note.length for note in notes),
        interval=fmean(moves),
        leaps=fmean(move > 7 for move in moves),
        of_chord=fmean(note.of_chord for note in notes),
        repeated=fmean(move == 0 for move in moves),
        lowest=min(note.pitch for note in notes),
        highest=max(note.pitch for note in notes),
        velocity=fmean(note.velocity for note in notes),
    )


COLUMNS = (
    "preset", "bpm", "notes per beat", "silence", "length", "interval", "leaps", "of the chord", "repeated", "pitches",
    "velocity",
)  # fmt: skip
HEAD = f"| {' | '.join(COLUMNS)} |"


def table_row(preset: str, figures: Figures) -> str:
    """A line of the table."""
    pitches = f"{pitch_name(figures.lowest)}-{pitch_name(figures.highest)}"
    cells = [
        preset,
        f"{figures.bpm:g}",
        f"{figures.notes_a_beat:.2f}",
        f"{figures.silence:.0%}",
        f"{figures.length:.2f}",
        f"{figures.interval:.1f}",
        f"{figures.leaps:.0%}",
        f"{figures.of_chord:.0%}",
        f"{figures.repeated:.0%}",
        pitches,
        f"{figures.velocity:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


CONTROL_HEAD = "| | of the chord | interval | leaps |"
CONTROLS: dict[str, dict[str, object]] = {
    "as it learned": {},
    "`play.harmony=0`": {"harmony": 0},
    "`play.harmony=2.5`": {"harmony": 2.5},
    "`play.contour=0`": {"contour": 0},
    "`play.contour=3`": {"contour": 3},
}


def control_row(name: str) -> str:
    """A line of the table of the musical controls, at rate phrase."""
    figures = preset_figures(NONE, CONTROL_CHORUSES, rate="phrase", **CONTROLS[name])
    return f"| {name} | {figures.of_chord:.0%} | {figures.interval:.1f} | {figures.leaps:.0%} |"


def network_line() -> str:
    """The line that says with which network the tables were measured. A page does not show it."""
    weights = ROOT.parent / "models/sideman_models/bundles/default/weights.npz"
    return f"<!-- measured with the network {hashlib.sha256(weights.read_bytes()).hexdigest()[:12]} -->"


def tables() -> Iterator[str]:
    """The lines of both tables."""
    yield from (network_line(), HEAD, f"| {' | '.join('---' for _ in COLUMNS)} |")
    yield from (table_row(name, preset_figures(name, CHORUSES)) for name in PRESETS_MEASURED)
    yield from ("", CONTROL_HEAD, "| --- | --- | --- | --- |", *map(control_row, CONTROLS))


if __name__ == "__main__":
    for line in tables():
        print(line)  # noqa: T201 - a script
