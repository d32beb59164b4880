# SPDX-License-Identifier: Apache-2.0
"""A solo as notes over chord changes, and as the values that it becomes. All readers of music return these."""

from __future__ import annotations

from functools import cached_property
from itertools import groupby

from msgspec import Struct

from sideman_models.music.context import EvenBars, Place
from sideman_models.music.harmony import Chord
from sideman_models.music.line import LineNote, notes_to_values
from sideman_models.music.values import TICKS_PER_QUARTER, Value

BEATS_PER_BAR = 4
BAR_TICKS = BEATS_PER_BAR * TICKS_PER_QUARTER


class ChordGrid(Struct, frozen=True, dict=True):
    """Chords, `slots_per_beat` a beat: a `context.ChordChanges`. The first also holds before, the last after them."""

    chords: tuple[Chord, ...]
    slots_per_beat: int = 1

    @cached_property
    def _next_change_index(self) -> tuple[int, ...]:
        """For each chord the index of the next different one (the number of chords if there is none)."""
        next_change: list[int] = []
        for _, run in groupby(self.chords):
            count = len(list(run))
            next_change += [len(next_change) + count] * count
        return tuple(next_change)

    @property
    def length_beats(self) -> float:
        """The length of the grid in beats."""
        return len(self.chords) / self.slots_per_beat

    def chord_at(self, beat: float) -> Chord:
        """Return the chord that sounds at `beat`."""
        return self.chords[self._index_at(beat)]

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """Return the next different chord, and the beats until it (infinite if the last chord has begun)."""
        at = self._next_change_index[self._index_at(beat)]
        if at == len(self.chords):
            return self.chords[-1], float("inf")
        return self.chords[at], at / self.slots_per_beat - beat

    def _index_at(self, beat: float) -> int:
        return max(0, min(len(self.chords) - 1, int(beat * self.slots_per_beat)))


class Solo(Struct, frozen=True):
    """A transcribed solo: its notes in order of onset, over the changes of the tune, in bars of `bar_ticks`.

    `unplaced_notes` counts notes that have no place in the meter; `unread_chords` holds the chord symbols that could
    not be read. `other_feel` marks music of another feel than swing, and arrangements: it is used for training, and
    never to measure a network. `bpm` is the tempo at which it was played, None if that is not known.
    """

    title: str
    performer: str
    notes: tuple[LineNote, ...]
    changes: ChordGrid
    bar_ticks: int = BAR_TICKS
    unplaced_notes: int = 0
    unread_chords: tuple[str, ...] = ()
    other_feel: bool = False
    bpm: float | None = None


class Piece(Struct, frozen=True):
    """A line of T values. If it comes from a solo, it has the place and pitch (None: a rest) of each, and the `solo`.

    `source_notes` is the number of notes in the source, of which `dropped_notes` have no value. `notes` are those of a
    solo that have one, in order.
    """

    title: str
    performer: str
    values: tuple[Value, ...]
    places: tuple[Place, ...] | None = None
    pitches: tuple[int | None, ...] | None = None
    source_notes: int = 0
    dropped_notes: int = 0
    solo: Solo | None = None
    notes: tuple[LineNote, ...] = ()

    @property
    def other_feel(self) -> bool:
        """Whether the music is of another feel than swing: see `Solo`."""
        return self.solo is not None and self.solo.other_feel


def solo_to_piece(solo: Solo) -> Piece:
    """Return the solo as values."""
    written, kept = notes_to_values(solo.notes, solo.changes, EvenBars(solo.bar_ticks))
    values, places = tuple(one.value for one in written), tuple(one.place for one in written)
    pitches, unplaced = tuple(one.pitch for one in written), solo.unplaced_notes
    notes, dropped = len(solo.notes) + unplaced, len(solo.notes) - len(kept) + unplaced
    return Piece(solo.title, solo.performer, values, places, pitches, notes, dropped, solo, tuple(kept))
