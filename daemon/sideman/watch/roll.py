# SPDX-License-Identifier: Apache-2.0
"""The piano roll of both players: time from left to right, pitch upwards, one letter for each cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from msgspec import Struct

from sideman.watch.model import ViewNote, WatchState

LABEL_COLUMNS = 4
"""Columns to the left of the roll, for the names of the pitches."""
FINE_COLUMNS, COARSE_COLUMNS = 6, 3
"""Columns for each beat. With both, eighths (swung or straight) and triplets have columns of their own."""
_FINE_FROM_COLUMNS = 40  # the least width for the fine columns
_AHEAD_BEATS = 2  # beats to the right of the present
_RANGE_STEP = 6  # semitones; the range moves in such steps, so that it moves rarely
_DEFAULT_PITCHES = range(57, 70)  # the pitches shown when there are none
_DRAW_ORDER = ("comp", "heard", "own", "next")


CELLS = {
    "own": ("O", "="), "heard": ("Y", "-"), "comp": ("c", "c"), "next": ("?", "?"), "both": ("B", "B"),
    "now": ("|", "|"), "bar": (":", ":"),
}  # fmt: skip
"""The letters of each kind of cell: of a note's onset and of what follows, of the bar lines, of the present."""


class RollView(Struct, frozen=True):
    """The part of the music that a roll shows: beats from `first` on, pitches from `lowest_pitch` up."""

    first: float
    columns_per_beat: int
    lowest_pitch: int
    pitches_per_row: int

    def column(self, beat: float) -> int:
        """Return the column of `beat`, which may be outside the roll."""
        return math.floor((beat - self.first) * self.columns_per_beat + 1e-6)


def draw_roll(state: WatchState, beat: float, width: int, height: int) -> list[str]:
    """Return the roll at `beat` in `height` lines of `width` cells, with pitch names and, below, bar numbers.

    The letters are those of `CELLS`; the caller replaces them with the characters of the terminal.
    """
    rows, columns = height - 1, width - LABEL_COLUMNS
    if rows < 1 or columns < 1:
        return []
    a_beat = FINE_COLUMNS if columns >= _FINE_FROM_COLUMNS else COARSE_COLUMNS
    now_column = columns - 1 - min(_AHEAD_BEATS * a_beat, columns // 4)
    first = math.floor(beat * a_beat + 1e-6) / a_beat - now_column / a_beat
    notes = [note for note in state.notes(beat) if note.end > first and note.beat < first + columns / a_beat]
    coming = state.next_note
    if coming is not None and coming.pitch is not None:
        notes.append(ViewNote("next", coming.pitch, coming.beat, coming.beat))
    view = RollView(first, a_beat, *_pitch_scale(notes, rows))

    cells = [[" "] * columns for _ in range(rows)]
    bar_lines = list(_visible_bar_lines(state, view, columns))
    for row in cells:
        for _, column in bar_lines:
            row[column] = CELLS["bar"][0]
        row[now_column] = CELLS["now"][0]
    for note in sorted(notes, key=lambda note: _DRAW_ORDER.index(note.source)):
        if note.source != "next" or note.beat > beat:
            _draw_note(cells, view, note)

    pitches = range(view.lowest_pitch, view.lowest_pitch + rows * view.pitches_per_row, view.pitches_per_row)
    lines = [
        f"{state.pitch_name(pitch):{LABEL_COLUMNS}}{''.join(row)}"
        for pitch, row in zip(reversed(pitches), cells, strict=True)
    ]
    axis = ""  # the numbers of the bars, from 1, below their bar lines
    for bar, column in bar_lines:
        axis = axis.ljust(column) + (str(bar + 1) if bar >= 0 and len(axis) <= column else "")
    return [*lines, (" " * LABEL_COLUMNS + axis.ljust(columns))[:width]]


def _pitch_scale(notes: Iterable[ViewNote], rows: int) -> tuple[int, int]:
    """Return the lowest pitch and the pitches per row that show the solo, the next note and the player's notes.

    Notes of the accompaniment are shown if they happen to be in this range.
    """
    pitches = [note.pitch for note in notes if note.source != "comp"]
    low, high = min(pitches, default=_DEFAULT_PITCHES.start), max(pitches, default=_DEFAULT_PITCHES.stop - 1)
    low -= low % _RANGE_STEP
    step = math.ceil((high + 1 - low) / rows)
    spare = rows * step - (high + 1 - low)
    return low - spare // 2 // _RANGE_STEP * _RANGE_STEP, step


def _visible_bar_lines(state: WatchState, view: RollView, columns: int) -> Iterator[tuple[int, int]]:
    """Return the bars that begin in view, counted from 0 at the top of the music, and their columns."""
    bar = state.bar_at(view.first)
    while (column := view.column(state.bar_line_beat(bar))) < columns:
        if column >= 0:
            yield state.bars_before + bar, column
        bar += 1


def _draw_note(cells: list[list[str]], view: RollView, note: ViewNote) -> None:
    """Draw what is in view of a note. A cell in which both players sound gets a letter of its own."""
    row = len(cells) - 1 - (note.pitch - view.lowest_pitch) // view.pitches_per_row
    if not 0 <= row < len(cells):
        return
    onset, tail = CELLS[note.source]
    first = view.column(note.beat)
    last = max(first, math.ceil((note.end - view.first) * view.columns_per_beat - 1e-6) - 1)
    for column in range(max(first, 0), min(last + 1, len(cells[0]))):
        before, letter = cells[row][column], onset if column == first else tail
        both = before in CELLS["both"] or (before in CELLS["heard"] and letter in CELLS["own"])
        cells[row][column] = CELLS["both"][0] if both else letter
