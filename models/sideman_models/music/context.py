# SPDX-License-Identifier: Apache-2.0
"""What the network is told beside the value before: where the coming one falls, over which chords, after which pitch.

Each feature is a group of one-hot rows that stand below the values' rows in the cell's kernel. A bundle names its
features in order; a classic bundle has none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sideman_models.music.harmony import CHORD_FAMILIES, NO_CHORD, TONE_KINDS, Chord
from sideman_models.music.values import TICKS_PER_QUARTER, Vocabulary

RowIndices = npt.NDArray[np.intp]


class ChordChanges(Protocol):
    """The chords of a tune along the beats (quarter notes) of its performance."""

    def chord_at(self, beat: float) -> Chord:
        """The chord that sounds at `beat`."""
        ...

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """The next different chord after `beat`, and the beats until it (infinite if the chord never changes)."""
        ...


class Bars(Protocol):
    """The bars of a tune along the ticks (twelfths of a quarter note) of its performance."""

    def bar_at(self, tick: float) -> tuple[int, int]:
        """The tick of the bar line at or before `tick`, and how many ticks the bar has that begins there."""
        ...


@dataclass(frozen=True, slots=True)
class EvenBars:
    """Bars of so many `ticks`, one beginning at tick 0."""

    ticks: int

    def bar_at(self, tick: float) -> tuple[int, int]:
        """See `Bars`."""
        return int(tick // self.ticks) * self.ticks, self.ticks


def ticks_after_bar_line(bars: Bars, tick: int) -> int:
    """How many ticks `tick` lies after its bar line."""
    return tick - bars.bar_at(tick)[0]


def next_bar_line(bars: Bars, tick: float) -> int:
    """The tick of the first bar line at or after `tick`."""
    line, length = bars.bar_at(tick)
    return line if line == tick else line + length


@dataclass(frozen=True, slots=True)
class Place:
    """All that is known of a value before it is chosen.

    `tick_in_bar` of its onset within the bar; the `chord` then, the chord `next_chord` it and the `beats_to_change`
    until that; and the pitch of the note before, `previous_pitch`, or None at the very start.
    """

    tick_in_bar: int
    chord: Chord
    next_chord: Chord
    beats_to_change: float
    previous_pitch: int | None


def place_at(changes: ChordChanges, bars: Bars, tick: int, previous_pitch: int | None) -> Place:
    """The place of a value that begins `tick` ticks from the top."""
    beat = tick / TICKS_PER_QUARTER
    after, beats = changes.next_change(beat)
    return Place(ticks_after_bar_line(bars, tick), changes.chord_at(beat), after, beats, previous_pitch)


_BEATS_PER_BAR = 4
_REGISTER_COUNT = 8
_NO_OFFSET = 12
_CHANGE_BOUNDS = (1.0, 2.0, 3.0, 4.0, 8.0)
_MAX_CACHED = 4096


def _position_in_bar(place: Place) -> list[int]:
    return [place.tick_in_bar % (_BEATS_PER_BAR * TICKS_PER_QUARTER)]


def _position_in_beat(place: Place) -> list[int]:
    return [place.tick_in_bar % TICKS_PER_QUARTER]


def _beat_in_bar(place: Place) -> list[int]:
    return [place.tick_in_bar // TICKS_PER_QUARTER % _BEATS_PER_BAR]


def _family_now(place: Place) -> list[int]:
    return [CHORD_FAMILIES.index(place.chord.quality.family)]


def _family_next(place: Place) -> list[int]:
    return [CHORD_FAMILIES.index(place.next_chord.quality.family)]


def _root_motion(place: Place) -> list[int]:
    if place.chord == place.next_chord or NO_CHORD in (place.chord, place.next_chord):
        return [_NO_OFFSET]
    return [(place.next_chord.root - place.chord.root) % 12]


def _beats_to_change(place: Place) -> list[int]:
    return [bisect_left(_CHANGE_BOUNDS, place.beats_to_change)]


def _register(place: Place) -> list[int]:
    if place.previous_pitch is None:
        return [_REGISTER_COUNT]
    return [max(0, min(_REGISTER_COUNT - 1, (place.previous_pitch - 42) // 6))]


def _from_root_now(place: Place) -> list[int]:
    return [_from_root(place.previous_pitch, place.chord)]


def _from_root_next(place: Place) -> list[int]:
    return [_from_root(place.previous_pitch, place.next_chord)]


def _from_root(pitch: int | None, chord: Chord) -> int:
    return _NO_OFFSET if pitch is None or chord == NO_CHORD else (pitch - chord.root) % 12


def _kinds_now(place: Place) -> Sequence[int]:
    return _kinds_above(place.previous_pitch, place.chord)


def _kinds_next(place: Place) -> Sequence[int]:
    return _kinds_above(place.previous_pitch, place.next_chord)


def _kinds_above(pitch: int | None, chord: Chord) -> Sequence[int]:
    return () if pitch is None else _kind_rows(chord.quality.kinds, (pitch - chord.root) % 12)


def _kind_rows(kinds: tuple[int, ...], start: int) -> tuple[int, ...]:
    return tuple(len(TONE_KINDS) * offset + kinds[(start + offset) % 12] for offset in range(12))


@dataclass(frozen=True, slots=True)
class Feature:
    """One group of one-hot rows: how many there are, how many of them can be on at once, and which are."""

    row_count: int
    max_active: int
    active_rows: Callable[[Place], Sequence[int]]


FEATURES: dict[str, Feature] = {
    "position in the bar": Feature(_BEATS_PER_BAR * TICKS_PER_QUARTER, 1, _position_in_bar),
    "place in the beat": Feature(TICKS_PER_QUARTER, 1, _position_in_beat),
    "beat": Feature(_BEATS_PER_BAR, 1, _beat_in_bar),
    "chord family now": Feature(len(CHORD_FAMILIES), 1, _family_now),
    "chord family next": Feature(len(CHORD_FAMILIES), 1, _family_next),
    "root motion": Feature(13, 1, _root_motion),
    "beats to the change": Feature(6, 1, _beats_to_change),
    "register": Feature(_REGISTER_COUNT + 1, 1, _register),
    "previous pitch from the root now": Feature(13, 1, _from_root_now),
    "previous pitch from the root next": Feature(13, 1, _from_root_next),
    "kinds of the twelve offsets now": Feature(12 * len(TONE_KINDS), 12, _kinds_now),
    "kinds of the twelve offsets next": Feature(12 * len(TONE_KINDS), 12, _kinds_next),
}
"""Every feature a bundle may name. Positions are those of bars of four beats; in longer bars the count begins anew."""


class ContextFeatures:
    """The context of a bundle: its features in order. `n_rows` is the number of rows below the values' own."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        self.n_rows = sum(FEATURES[name].row_count for name in names)
        self.max_active = sum(FEATURES[name].max_active for name in names)
        self._cache: dict[tuple[object, ...], RowIndices] = {}

    def active_rows(self, place: Place) -> RowIndices:
        """The rows that are on at `place`, (active,), each 0..size-1; `n_rows` stands for no row. Not to be changed.

        A tune comes back to the same places over and over, and a value is seen there twice: when it is chosen and when
        it has been played. So the last few thousand are kept, by all that the features look at.
        """
        now, after = place.chord, place.next_chord
        beats = bisect_left(_CHANGE_BOUNDS, place.beats_to_change)
        key = (
            place.tick_in_bar,
            now.root,
            now.quality.name,
            after.root,
            after.quality.name,
            beats,
            place.previous_pitch,
        )
        rows = self._cache.get(key)
        if rows is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            rows = self._cache[key] = self._find_active_rows(place)
        return rows

    def _find_active_rows(self, place: Place) -> RowIndices:
        on: list[int] = []
        start = 0
        for name in self.names:
            feature = FEATURES[name]
            on.extend(start + row for row in feature.active_rows(place))
            start += feature.row_count
        on.extend([self.n_rows] * (self.max_active - len(on)))
        return np.array(on, np.intp)


def clash_mask_at(vocabulary: Vocabulary, place: Place) -> npt.NDArray[np.bool_]:
    """Which values (n,) do not fit at `place`; see `Vocabulary.clash_mask`."""
    return vocabulary.clash_mask(place.chord, place.previous_pitch)
