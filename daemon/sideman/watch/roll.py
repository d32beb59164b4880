# SPDX-License-Identifier: Apache-2.0
"""The piano roll of both players: time from left to right, pitch upwards, one letter for each cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sideman.control.protocol import NextNote
from sideman.watch.model import ViewNote, WatchState

LABEL_COLUMNS = 4
"""Columns to the left of the roll, for the names of the pitches."""
FINE_COLUMNS, COARSE_COLUMNS = 6, 3
"""Columns for each beat. With both, eighths (swung or straight) and triplets have columns of their own."""
_FINE_FROM_COLUMNS = 40  # the least width for the fine columns
_AHEAD_BEATS = 2  # beats to the right of the present
_RANGE_STEP = 6  # semitones; the range moves in such steps, so that it moves rarely
_DEFAULT_PITCHES = range(57, 70)  # the pitches shown when there are none
_DRAW_ORDER = ("comp", "heard", "own")


@dataclass(frozen=True, slots=True)
class RollView:
    """The part of the music that a roll shows: beats from `first` on, pitches from `lowest_pitch` up."""

    first: float
    columns_per_beat: int
    now_column: int
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
    span, notes = _view_and_notes(state, beat, rows, columns)
    cells = [[" "] * columns for _ in range(rows)]
    _draw_rules(cells, state, span)
    for note in notes:
        _draw_note(cells, span, note)
    if state.next_note is not None and state.next_note.pitch is not None and state.next_note.beat > beat:
        _draw_note(
            cells, span, ViewNote("own", state.next_note.pitch, state.next_note.beat, state.next_note.beat), "next"
        )
    labels = (_pitch_label(state, span, row, rows) for row in range(rows))
    return [*(label + "".join(row) for label, row in zip(labels, cells, strict=True)), _bar_axis(state, span, columns)]


CELLS = {
    "own": ("O", "="), "heard": ("Y", "-"), "comp": ("c", "c"), "next": ("?", "?"), "both": ("B", "B"),
    "now": ("|", "|"), "bar": (":", ":"),
}  # fmt: skip
"""The letters of each kind of cell: of a note's onset and of what follows, of the bar lines, of the present."""


def _view_and_notes(state: WatchState, beat: float, rows: int, columns: int) -> tuple[RollView, list[ViewNote]]:
    """Return what the roll shows, and its notes."""
    a_beat = FINE_COLUMNS if columns >= _FINE_FROM_COLUMNS else COARSE_COLUMNS
    now = columns - 1 - min(_AHEAD_BEATS * a_beat, columns // 4)
    first = math.floor(beat * a_beat + 1e-6) / a_beat - now / a_beat
    last = first + columns / a_beat
    notes = [note for note in state.notes(beat) if note.end > first and note.beat < last]
    low, step = _pitch_scale(notes, state.next_note, rows)
    return RollView(first, a_beat, now, low, step), sorted(notes, key=lambda note: _DRAW_ORDER.index(note.source))


def _pitch_scale(notes: Iterable[ViewNote], next_note: NextNote | None, rows: int) -> tuple[int, int]:
    """Return the lowest pitch and the pitches per row that show the solo and the player's notes.

    Notes of the accompaniment are shown if they happen to be in this range.
    """
    pitches = [note.pitch for note in notes if note.source != "comp"]
    pitches += [next_note.pitch] if next_note is not None and next_note.pitch is not None else []
    low, high = min(pitches, default=_DEFAULT_PITCHES.start), max(pitches, default=_DEFAULT_PITCHES.stop - 1)
    low -= low % _RANGE_STEP
    step = math.ceil((high + 1 - low) / rows)
    spare = rows * step - (high + 1 - low)
    return low - spare // 2 // _RANGE_STEP * _RANGE_STEP, step


def _draw_rules(cells: list[list[str]], state: WatchState, span: RollView) -> None:
    """Draw the bar lines, and the line of the present."""
    columns = [column for _, column in _visible_bar_lines(state, span, len(cells[0]))]
    for row in cells:
        for column in columns:
            row[column] = CELLS["bar"][0]
        row[span.now_column] = CELLS["now"][0]


def _visible_bar_lines(state: WatchState, span: RollView, columns: int) -> Iterator[tuple[int, int]]:
    """Return the bars that begin in view, counted from 0 at the top of the music, and their columns."""
    bar = state.bar_at(span.first)
    while (column := span.column(state.bar_line_beat(bar))) < columns:
        if column >= 0:
            yield state.bars_before + bar, column
        bar += 1


def _draw_note(cells: list[list[str]], span: RollView, note: ViewNote, kind: str | None = None) -> None:
    row = len(cells) - 1 - (note.pitch - span.lowest_pitch) // span.pitches_per_row
    if not 0 <= row < len(cells):
        return
    onset, tail = CELLS[kind or note.source]
    first = span.column(note.beat)
    last = max(first, math.ceil((note.end - span.first) * span.columns_per_beat - 1e-6) - 1)
    for column in range(max(first, 0), min(last + 1, len(cells[0]))):
        letter = onset if column == first else tail
        cells[row][column] = _combined_letter(cells[row][column], letter)


def _combined_letter(there: str, letter: str) -> str:
    """Return the letter of a cell that has one and gets another: both players may sound in it."""
    heard, own = (there in CELLS["heard"], letter in CELLS["own"])
    return CELLS["both"][0] if (heard and own) or there in CELLS["both"] else letter


def _pitch_label(state: WatchState, span: RollView, row: int, rows: int) -> str:
    return f"{state.pitch_name(span.lowest_pitch + (rows - 1 - row) * span.pitches_per_row):{LABEL_COLUMNS}}"


def _bar_axis(state: WatchState, span: RollView, columns: int) -> str:
    """Return the numbers of the bars, from 1, below their bar lines."""
    line = ""
    for bar, column in _visible_bar_lines(state, span, columns):
        line = line.ljust(column) + (str(bar + 1) if bar >= 0 and len(line) <= column else "")
    return (" " * LABEL_COLUMNS + line.ljust(columns))[: LABEL_COLUMNS + columns]
