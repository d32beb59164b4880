# SPDX-License-Identifier: Apache-2.0
"""The piano roll of both players: time from left to right, pitch upwards, one letter for each cell."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sideman.watch.model import NoteSource, ViewNote, WatchState

LABEL_COLUMNS = 4  # to the left of the roll, for the names of the pitches
FINE_COLUMNS, COARSE_COLUMNS = 6, 3
"""Columns for each beat. With both, eighths (swung or straight) and triplets have columns of their own."""
_FINE_FROM_COLUMNS = 40  # the least width for the fine columns
_AHEAD_BEATS = 2  # beats to the right of the present
_RANGE_STEP = 6  # semitones; the range moves in such steps, so that it moves rarely
_DEFAULT_PITCHES = range(57, 70)  # the pitches shown when there are none
_DRAW_ORDER = ("comp", "heard", "own", "next")

CELLS = {"own": "O=", "heard": "Y-", "comp": "cc", "next": "??", "both": "BB", "now": "||", "bar": "::"}
"""The letters of each kind of cell: of a note's onset and of what follows, of the bar lines, of the present."""


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

    def column_of(moment: float) -> int:  # which may be outside the roll
        return math.floor((moment - first) * a_beat + 1e-6)

    notes = [note for note in state.notes(beat) if note.end > first and note.beat < first + columns / a_beat]
    coming = state.next_note
    if coming is not None and coming.pitch is not None:
        notes.append(ViewNote("next", coming.pitch, coming.beat, coming.beat))
    lowest, step = _pitch_scale(notes, rows)

    cells = [[" "] * columns for _ in range(rows)]
    axis, bar = "", state.bar_at(first)  # in the axis the numbers of the bars, from 1, are below their bar lines
    while (column := column_of(state.bar_line_beat(bar))) < columns:
        bar += 1
        if column >= 0:
            for row in cells:
                row[column] = CELLS["bar"][0]
            number = state.bars_before + bar
            axis = axis.ljust(column) + (str(number) if number >= 1 and len(axis) <= column else "")
    for row in cells:
        row[now_column] = CELLS["now"][0]
    for note in sorted(notes, key=lambda note: _DRAW_ORDER.index(note.source)):
        row_number = rows - 1 - (note.pitch - lowest) // step
        if 0 <= row_number < rows and (note.source != "next" or note.beat > beat):
            end = math.ceil((note.end - first) * a_beat - 1e-6)
            _draw_note(cells[row_number], note.source, column_of(note.beat), end)

    pitches = reversed(range(lowest, lowest + rows * step, step))
    names = (f"{state.pitch_name(pitch):{LABEL_COLUMNS}}" for pitch in pitches)
    lines = [f"{name}{''.join(row)}" for name, row in zip(names, cells, strict=True)]
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


def _draw_note(row: list[str], source: NoteSource, first: int, end: int) -> None:
    """Draw what is in view of a note. A cell in which both players sound gets a letter of its own."""
    for column in range(max(first, 0), min(max(first + 1, end), len(row))):
        before, letter = row[column], CELLS[source][0 if column == first else 1]
        both = before in CELLS["both"] or (before in CELLS["heard"] and letter in CELLS["own"])
        row[column] = CELLS["both"][0] if both else letter
