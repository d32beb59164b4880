# SPDX-License-Identifier: Apache-2.0
"""The piano roll of both players: time from left to right, pitch upwards, one letter for each cell."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sideman.watch.model import NoteSource, ViewNote, WatchState

LABEL_COLUMNS, WIDE_LABEL_COLUMNS = 4, 8
"""To the left of the roll, for the name of a row's pitch, or of its lowest and its highest: a row says all it shows."""
FINE_COLUMNS, COARSE_COLUMNS = 6, 3
"""Columns for each beat. With both, eighths (swung or straight) and triplets have columns of their own."""
_FINE_FROM_COLUMNS = 40  # the least width for the fine columns
_AHEAD_BEATS = 2  # beats to the right of the present
_RANGE_STEP = 6  # semitones; the range moves in such steps, so that it moves rarely
_DEFAULT_PITCHES = range(57, 70)  # the pitches shown when there are none
_DRAW_ORDER = ("comp", "heard", "own", "next")

CELLS = {"own": "O=", "heard": "Y-", "comp": "cc", "next": "??", "both": "BB", "now": "||", "bar": "::"}
"""The letters of each kind of cell: of a note's onset and of what follows, of the bar lines, of the present."""


def draw_roll(state: WatchState, beat: float, width: int, height: int) -> list[tuple[str, str]]:
    """Return the roll at `beat` in `height` lines of `width` cells: the label of each, and its cells.

    The labels are names of pitches; the last line has the numbers of the bars. The letters of the cells are those of
    `CELLS`; the caller replaces them with the characters of the terminal.
    """
    lines, step = _draw_roll(state, beat, width, height, LABEL_COLUMNS)
    return lines if step == 1 else _draw_roll(state, beat, width, height, WIDE_LABEL_COLUMNS)[0]


def _draw_roll(
    state: WatchState, beat: float, width: int, height: int, label_columns: int
) -> tuple[list[tuple[str, str]], int]:
    """Return the lines of the roll, and the number of pitches in a row."""
    rows, columns = height - 1, width - label_columns
    if rows < 1 or columns < 1:
        return [], 1
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
    labels = (f"{_row_label(state, pitch, step):{label_columns}}" for pitch in pitches)
    lines = [(label, "".join(row)) for label, row in zip(labels, cells, strict=True)]
    return [*lines, (" " * label_columns, axis.ljust(columns)[:columns])], step


def _row_label(state: WatchState, pitch: int, step: int) -> str:
    """Return the name of the pitch of a row, or of its lowest and its highest."""
    names = [state.pitch_name(each) for each in (pitch, pitch + step - 1)]
    return names[0] if step == 1 else "-".join(filter(None, names))[:WIDE_LABEL_COLUMNS]


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
