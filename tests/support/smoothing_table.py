# SPDX-License-Identifier: Apache-2.0
"""The effect of each rule of post-processing on the music: the table of docs/post-processing.md.

`python tests/support/smoothing_table.py BUNDLE FILE CHORUSES` lets the bundle play with each rule alone, and prints the
table. Its solos are compared with FILE: for a classic bundle the classic corpus (it then plays over the default
changes), otherwise solos with their changes (it plays over those from which it has not learned).
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from msgspec.structs import replace

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT.parent / "daemon"), str(ROOT.parent / "models")]

from sideman.core.chart.text import parse_changes  # noqa: E402
from sideman.core.chart.timeline import ChartTimeline  # noqa: E402
from sideman.core.engine import play_through  # noqa: E402
from sideman.core.events import BarPlayed, NoteOn  # noqa: E402
from sideman.core.settings.groups.play import PlaySettings  # noqa: E402
from sideman.core.settings.schema import Settings  # noqa: E402
from sideman.playing.assembly import Performance  # noqa: E402
from sideman.render.over_solos import chart_of_solo  # noqa: E402
from sideman_models.corpus.corpus import read_corpus  # noqa: E402
from sideman_models.course.corpus import read_classic  # noqa: E402
from sideman_models.evaluation.statistics import count_statistics, half_distances, jensen_shannon_distance  # noqa: E402
from sideman_models.music.line import LineNote  # noqa: E402
from sideman_models.music.solos import ChordGrid, Piece, Solo, solo_to_piece  # noqa: E402
from sideman_models.music.values import (  # noqa: E402
    TICKS_PER_QUARTER,
    IntervalRange,
    interval_bounds,
    parse_value,
)
from sideman_models.network.bundle import Bundle, load_bundle  # noqa: E402
from sideman_models.network.lstm import NumpyNetwork  # noqa: E402
from sideman_models.training.split import split_by_rule  # noqa: E402

OFF: Mapping[str, Any] = {"settle": False, "repetition": 0, "leap": 0, "apart": 0.0}
ROWS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "settle": {"settle": True},
    "repetition 2": {"repetition": 2},
    "repetition 1": {"repetition": 1},
    "leap 12": {"leap": 12},
    "leap 7": {"leap": 7},
    "apart 0.083": {"apart": 1 / 12},
    "apart 0.25": {"apart": 0.25},
    "apart 0.5": {"apart": 0.5},
    "settle, repetition 2, leap 12, apart 0.25": {"settle": True, "repetition": 2, "leap": 12, "apart": 0.25},
    "auto": {"settle": None, "repetition": 2, "leap": None, "apart": None},
}
DISTANCES = ("kinds", "durations", "intervals", "strong beats", "repeated motifs")
SWING = 0.67  # where a triplet and a swung sixteenth would meet


CLASSIC_GRID = {0, 3, 4, 6, 8, 9}
MODERN_GRID = {*CLASSIC_GRID, 2, 10}
"""The ticks of a beat on which a value may begin: quarters and thirds, with modern values sixths too."""


@dataclass(frozen=True, slots=True)
class PlayedChorus:
    """One chorus: its values; its notes as (onset in ticks, pitch); and the beats on which they were struck, if known.

    Only the latter include the swing.
    """

    piece: Piece
    notes: tuple[tuple[int, int], ...]
    struck: tuple[float, ...] = ()


def play_choruses(bundle: Bundle, solos: Sequence[Solo], choruses: int, **keys: Any) -> list[PlayedChorus]:
    """Choruses over the changes of `solos` with the given keys of `play`, each with a seed of its own."""
    settings = Settings(play=replace(PlaySettings(rate="phrase", swing=SWING), **keys))
    network = NumpyNetwork(bundle.weights)
    chosen = [solos[number % len(solos)] for number in range(choruses)]
    return [
        _chorus(solo, Performance(settings, chart_of_solo(solo), bundle, network, n)) for n, solo in enumerate(chosen)
    ]


def _chorus(solo: Solo, performance: Performance) -> PlayedChorus:
    notes, struck = list[LineNote](), list[float]()
    for due in play_through(performance.make_engine(0.0, beats=performance.chart.length)):
        if isinstance(due.item, NoteOn):
            struck.append(due.beat)
        elif isinstance(due.item, BarPlayed):
            for each in due.item.choices:
                if each.pitch is not None:
                    begins = True if each.value.interval is None else None
                    notes.append(LineNote(each.tick, each.tick + each.length, each.pitch, begins))
    line = tuple((round(note.onset), note.pitch) for note in notes)
    return PlayedChorus(
        solo_to_piece(Solo(solo.title, "", tuple(notes), solo.changes, solo.bar_ticks)), line, tuple(struck)
    )


def chorus_of_piece(piece: Piece) -> PlayedChorus:
    """A written piece as a chorus."""
    now, notes = piece.places[0].tick_in_bar if piece.places else 0, []
    for value, pitch in zip(piece.values, piece.pitches or (), strict=False):
        if pitch is not None:
            notes.append((now, pitch))
        now += value.ticks
    return PlayedChorus(piece, tuple(notes))


def rule_counts(heard: Sequence[PlayedChorus], grid: Container[int]) -> dict[str, str]:
    """Counts of what the rules change."""
    onsets = [onset for one in heard for onset, _ in one.notes]
    runs = [run for one in heard for run in _runs([pitch for _, pitch in one.notes])]
    moves = [(b[0] - a[0], abs(b[1] - a[1])) for one in heard for a, b in pairwise(one.notes)]
    sounded = [b - a for one in heard for a, b in pairwise(one.struck)]
    return {
        "notes": str(len(onsets)),
        "off the grid": _share([onset % TICKS_PER_QUARTER not in grid for onset in onsets]),
        "a third time or more": _share([again >= 2 for run in runs for again in range(run)]),
        "leaps beyond a fifth": _share([leap > 7 for _, leap in moves]),
        "beyond an octave": _share([leap > 12 for _, leap in moves]),
        "nearer than 1/4 beat": _share([wait < TICKS_PER_QUARTER / 4 for wait, _ in moves]),
        "than 1/12, swung": _share([gap < 1 / TICKS_PER_QUARTER - 1e-9 for gap in sounded]),
    }


def _runs(pitches: Sequence[int]) -> Iterator[int]:
    """How often each pitch is struck in a row."""
    length = 0
    for before, pitch in pairwise([None, *pitches]):
        if length and pitch != before:
            yield length
            length = 0
        length += 1
    yield length


def _share(cases: Sequence[bool]) -> str:
    return f"{100 * sum(cases) / len(cases):.1f} %" if cases else "–"


def _format_distance(apart: float | None) -> str:
    return "–" if apart is None else f"{apart:.3f}"


def table_lines(bundle: Bundle, real: Sequence[Piece], solos: Sequence[Solo], choruses: int) -> Iterator[str]:
    """The lines of the table in Markdown: the rules in use, the counts, and the distances to the real music.

    The row of the real music has the distances between two random halves of it; without pitches it has no counts.
    """
    grid, theirs = CLASSIC_GRID if bundle.classic else MODERN_GRID, count_statistics(real)
    names = [name for name in DISTANCES if theirs[name]]
    facts, halves = rule_counts([chorus_of_piece(piece) for piece in real], grid), half_distances(real)
    yield " | ".join(["| rules kept", *facts, *names]) + " |"
    yield "| --- " * (1 + len(facts) + len(names)) + "|"
    if facts["notes"] != "0":
        yield (
            " | ".join(["| *the music itself*", *facts.values(), *(_format_distance(halves[name]) for name in names)])
            + " |"
        )
    for name, kept in ROWS.items():
        heard = play_choruses(bundle, solos, choruses, **{**OFF, **kept})
        ours = count_statistics([one.piece for one in heard])
        far = [_format_distance(jensen_shannon_distance(theirs[each], ours[each])) for each in names]
        yield " | ".join([f"| {name}", *rule_counts(heard, grid).values(), *far]) + " |"


def read_classic_music(path: Path) -> tuple[list[Piece], list[Solo]]:
    """The classic corpus, with the played intervals in place of windows; and the default changes to play over."""
    values = [parse_value(token) for token in read_classic(path).tokens]
    played = tuple(
        replace(value, interval=sum(interval_bounds(value.interval)) // 2)
        if isinstance(value.interval, IntervalRange)
        else value
        for value in values
    )
    changes = Settings().chart.changes
    timeline = ChartTimeline(parse_changes(changes, Settings().tempo.meter, "chart.changes"))
    beats = int(timeline.chart.length)
    solo = Solo("changes", "", (), ChordGrid(tuple(timeline.chord_at(beat) for beat in range(beats))))
    return [Piece(path.name, "", played)], [solo]


def read_unseen_music(path: Path) -> tuple[list[Piece], list[Solo]]:
    """The solos from which no bundle has learned."""
    pieces = split_by_rule(read_corpus([path]).pieces).held_out
    return [*pieces], [piece.solo for piece in pieces if piece.solo]


if __name__ == "__main__":
    chosen, file = load_bundle(sys.argv[1]), Path(sys.argv[2])
    music, over = (read_classic_music if chosen.classic else read_unseen_music)(file)
    for line in table_lines(chosen, music, over, int(sys.argv[3])):
        print(line, flush=True)  # noqa: T201 - a script
