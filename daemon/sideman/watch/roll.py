# SPDX-License-Identifier: Apache-2.0
"""The piano roll of both players: time from left to right, pitch upwards, one letter of a kind for each cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sideman.watch.model import Coming, Note, Scene

LABEL = 4
"""Columns to the left of the roll, for the names of the pitches."""
FINE, COARSE = 6, 3
"""Columns a beat: both show eighths, swung or straight, and triplets apart."""
_ROOMY = 40  # columns from which on a beat has the fine ones
_AHEAD = 2  # beats to the right of now
_STEADY = 6  # semitones by which the range moves, so that it does so rarely
_MIDDLE = range(57, 70)  # the pitches shown when there are none
_ORDER = ("comp", "heard", "own")


@dataclass(frozen=True, slots=True)
class Span:
    """What a roll shows: `beats` from `first` on, `columns` of them each; `low` at the bottom, `step` pitches a row."""

    first: float
    columns: int
    now: int
    low: int
    step: int

    def column(self, beat: float) -> int:
        """The column in which `beat` lies; it may be outside."""
        return math.floor((beat - self.first) * self.columns + 1e-6)


def roll(scene: Scene, beat: float, width: int, height: int) -> list[str]:
    """The roll at `beat` in `height` lines of `width` cells, the labels and, below, the numbers of the bars included.

    The letters are those of `CELLS`; whoever draws them chooses their looks.
    """
    rows, columns = height - 1, width - LABEL
    if rows < 1 or columns < 1:
        return []
    span, notes = _span(scene, beat, rows, columns)
    cells = [[" "] * columns for _ in range(rows)]
    _rule(cells, scene, span)
    for note in notes:
        _draw(cells, span, note)
    if scene.coming is not None and scene.coming.pitch is not None and scene.coming.beat > beat:
        _draw(cells, span, Note("own", scene.coming.pitch, scene.coming.beat, scene.coming.beat), "next")
    labels = (_label(scene, span, row, rows) for row in range(rows))
    return [*(label + "".join(row) for label, row in zip(labels, cells, strict=True)), _axis(scene, span, columns)]


CELLS = {
    "own": ("O", "="), "heard": ("Y", "-"), "comp": ("c", "c"), "next": ("?", "?"), "both": ("B", "B"),
    "now": ("|", "|"), "bar": (":", ":"),
}  # fmt: skip
"""The letter of a note's onset, and of what follows, by who plays it; of the bar lines and of now."""


def _span(scene: Scene, beat: float, rows: int, columns: int) -> tuple[Span, list[Note]]:
    """What is shown, and the notes of it."""
    a_beat = FINE if columns >= _ROOMY else COARSE
    now = columns - 1 - min(_AHEAD * a_beat, columns // 4)
    first = math.floor(beat * a_beat + 1e-6) / a_beat - now / a_beat
    last = first + columns / a_beat
    notes = [note for note in scene.notes(beat) if note.end > first and note.beat < last]
    low, step = _pitches(notes, scene.coming, rows)
    return Span(first, a_beat, now, low, step), sorted(notes, key=lambda note: _ORDER.index(note.who))


def _pitches(notes: Iterable[Note], coming: Coming | None, rows: int) -> tuple[int, int]:
    """The lowest pitch, and how many a row must hold: the range of the solo and of what is heard.

    The accompaniment is shown where that has room for it.
    """
    pitches = [note.pitch for note in notes if note.who != "comp"]
    pitches += [coming.pitch] if coming is not None and coming.pitch is not None else []
    low, high = min(pitches, default=_MIDDLE.start), max(pitches, default=_MIDDLE.stop - 1)
    low -= low % _STEADY
    step = math.ceil((high + 1 - low) / rows)
    spare = rows * step - (high + 1 - low)
    return low - spare // 2 // _STEADY * _STEADY, step


def _rule(cells: list[list[str]], scene: Scene, span: Span) -> None:
    """Draw the bar lines, and now."""
    columns = [column for _, column in _bar_lines(scene, span, len(cells[0]))]
    for row in cells:
        for column in columns:
            row[column] = CELLS["bar"][0]
        row[span.now] = CELLS["now"][0]


def _bar_lines(scene: Scene, span: Span, columns: int) -> Iterator[tuple[int, int]]:
    """The bars that begin in view, counted from 0 at the top of the music, and their columns."""
    bar = scene.bar_at(span.first)
    while (column := span.column(scene.line_of(bar))) < columns:
        if column >= 0:
            yield scene.before + bar, column
        bar += 1


def _draw(cells: list[list[str]], span: Span, note: Note, kind: str | None = None) -> None:
    row = len(cells) - 1 - (note.pitch - span.low) // span.step
    if not 0 <= row < len(cells):
        return
    onset, tail = CELLS[kind or note.who]
    first = span.column(note.beat)
    last = max(first, math.ceil((note.end - span.first) * span.columns - 1e-6) - 1)
    for column in range(max(first, 0), min(last + 1, len(cells[0]))):
        letter = onset if column == first else tail
        cells[row][column] = _over(cells[row][column], letter)


def _over(there: str, letter: str) -> str:
    """The letter of a cell in which `letter` comes over what is there: both players may sound in it."""
    heard, own = (there in CELLS["heard"], letter in CELLS["own"])
    return CELLS["both"][0] if (heard and own) or there in CELLS["both"] else letter


def _label(scene: Scene, span: Span, row: int, rows: int) -> str:
    return f"{scene.named(span.low + (rows - 1 - row) * span.step):{LABEL}}"


def _axis(scene: Scene, span: Span, columns: int) -> str:
    """The numbers of the bars, from 1, below their lines."""
    line = ""
    for bar, column in _bar_lines(scene, span, columns):
        line = line.ljust(column) + (str(bar + 1) if bar >= 0 and len(line) <= column else "")
    return (" " * LABEL + line.ljust(columns))[: LABEL + columns]
