# SPDX-License-Identifier: Apache-2.0
"""The context: what the network knows about a value before it chooses it, beside the previous value.

The context says where in the bar the value falls, over which chords, and after which pitch. Each feature is a group of
one-hot rows below the rows of the values in the kernel of the LSTM cell. A bundle names its features in order; a
classic bundle has none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.music.harmony import NO_CHORD, Chord
from sideman_models.music.qualities import CHORD_FAMILIES, TONE_KINDS
from sideman_models.music.values import TICKS_PER_QUARTER, Vocabulary

RowIndices = npt.NDArray[np.intp]


class ChordChanges(Protocol):
    """The chords of a performance by beat. Beats are quarter notes, counted from 0 at the top."""

    def chord_at(self, beat: float) -> Chord:
        """The chord that sounds at `beat`."""

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """Return the next different chord after `beat`, and the beats until it (infinite if there is none)."""


class Bars(Protocol):
    """The bars of a performance by tick. Ticks are twelfths of a quarter note, counted from 0 at the top."""

    def bar_at(self, tick: float) -> tuple[int, int]:
        """Return the tick of the bar line at or before `tick`, and the length of the bar after it in ticks."""


class EvenBars(Struct, frozen=True):
    """Bars that are all `ticks` long. The first begins at tick 0."""

    ticks: int

    def bar_at(self, tick: float) -> tuple[int, int]:
        """Return the bar line at or before `tick`, and the length of each bar."""
        return int(tick // self.ticks) * self.ticks, self.ticks


def ticks_after_bar_line(bars: Bars, tick: int) -> int:
    """Return the ticks from the bar line at or before `tick` to `tick`."""
    return tick - bars.bar_at(tick)[0]


def next_bar_line(bars: Bars, tick: float) -> int:
    """Return the tick of the first bar line at or after `tick`."""
    line, length = bars.bar_at(tick)
    return line if line == tick else line + length


class Place(Struct, frozen=True):
    """What is known about a value before it is chosen.

    `tick_in_bar` is its onset in ticks after the bar line; `chord` is the chord at the onset, `next_chord` the next
    different one, and `beats_to_change` the beats until that. `previous_pitch` is the pitch of the previous note, or
    None before the first note.
    """

    tick_in_bar: int
    chord: Chord
    next_chord: Chord
    beats_to_change: float
    previous_pitch: int | None


def place_at(changes: ChordChanges, bars: Bars, tick: int, previous_pitch: int | None) -> Place:
    """Return the place of a value with its onset at `tick` (from the top) after the pitch `previous_pitch`."""
    beat = tick / TICKS_PER_QUARTER
    next_chord, beats = changes.next_change(beat)
    return Place(ticks_after_bar_line(bars, tick), changes.chord_at(beat), next_chord, beats, previous_pitch)


_BEATS_PER_BAR = 4
_BAR_TICKS = _BEATS_PER_BAR * TICKS_PER_QUARTER
_FAMILY_COUNT = len(CHORD_FAMILIES)
_REGISTER_COUNT = 8
_NO_OFFSET = 12
_CHANGE_BOUNDS = (1.0, 2.0, 3.0, 4.0, 8.0)
_MAX_CACHED = 4096


def _root_motion(place: Place) -> int:
    if place.chord == place.next_chord or NO_CHORD in (place.chord, place.next_chord):
        return _NO_OFFSET
    return (place.next_chord.root - place.chord.root) % 12


def _register(pitch: int | None) -> int:
    return _REGISTER_COUNT if pitch is None else max(0, min(_REGISTER_COUNT - 1, (pitch - 42) // 6))


def _from_root(pitch: int | None, chord: Chord) -> int:
    return _NO_OFFSET if pitch is None or chord == NO_CHORD else (pitch - chord.root) % 12


def _kinds_above(pitch: int | None, chord: Chord) -> Sequence[int]:
    """Return one row for each offset 0..11 above `pitch`: the one of the kind that the pitch there has over `chord`."""
    return () if pitch is None else _kinds_from(chord.quality.kinds, (pitch - chord.root) % 12)


@lru_cache(maxsize=1024)  # twelve for each quality
def _kinds_from(kinds: tuple[int, ...], start: int) -> tuple[int, ...]:
    return tuple(len(TONE_KINDS) * offset + kinds[(start + offset) % 12] for offset in range(12))


class Feature(Struct, frozen=True):
    """A group of one-hot rows. `active_rows` returns those that are on: at most `max_active`, each 0..row_count-1."""

    row_count: int
    active_rows: Callable[[Place], Sequence[int]]
    max_active: int = 1


FEATURES: dict[str, Feature] = {
    "position in the bar": Feature(_BAR_TICKS, lambda place: [place.tick_in_bar % _BAR_TICKS]),
    "place in the beat": Feature(TICKS_PER_QUARTER, lambda place: [place.tick_in_bar % TICKS_PER_QUARTER]),
    "beat": Feature(_BEATS_PER_BAR, lambda place: [place.tick_in_bar // TICKS_PER_QUARTER % _BEATS_PER_BAR]),
    "chord family now": Feature(_FAMILY_COUNT, lambda place: [CHORD_FAMILIES.index(place.chord.quality.family)]),
    "chord family next": Feature(_FAMILY_COUNT, lambda place: [CHORD_FAMILIES.index(place.next_chord.quality.family)]),
    "root motion": Feature(13, lambda place: [_root_motion(place)]),
    "beats to the change": Feature(6, lambda place: [bisect_left(_CHANGE_BOUNDS, place.beats_to_change)]),
    "register": Feature(_REGISTER_COUNT + 1, lambda place: [_register(place.previous_pitch)]),
    "previous pitch from the root now": Feature(13, lambda place: [_from_root(place.previous_pitch, place.chord)]),
    "previous pitch from the root next": Feature(
        13, lambda place: [_from_root(place.previous_pitch, place.next_chord)]
    ),
    "kinds of the twelve offsets now": Feature(
        12 * len(TONE_KINDS), lambda place: _kinds_above(place.previous_pitch, place.chord), max_active=12
    ),
    "kinds of the twelve offsets next": Feature(
        12 * len(TONE_KINDS), lambda place: _kinds_above(place.previous_pitch, place.next_chord), max_active=12
    ),
}
"""The features that a bundle may name. Positions count within four beats; in a longer bar the count starts again."""


class ContextFeatures:
    """The features of a bundle in order, with `n_rows` rows in all, of which at most `max_active` are on at once."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        self.n_rows = sum(FEATURES[name].row_count for name in names)
        self.max_active = sum(FEATURES[name].max_active for name in names)
        self._cache: dict[tuple[object, ...], RowIndices] = {}

    def active_rows(self, place: Place) -> RowIndices:
        """Return the rows that are on at `place`: `max_active` indices, each 0..n_rows-1, or `n_rows` for no row.

        The last few thousand results are cached, because a tune returns to the same places, and each place is looked up
        twice: when the value is chosen and when it is played. The caller must not change the array.
        """
        now, then = place.chord, place.next_chord
        beats = bisect_left(_CHANGE_BOUNDS, place.beats_to_change)
        key = (place.tick_in_bar, now.root, now.quality.name, then.root, then.quality.name, beats, place.previous_pitch)
        if (cached := self._cache.get(key)) is not None:
            return cached
        active: list[int] = []
        start = 0
        for name in self.names:
            feature = FEATURES[name]
            active.extend(start + row for row in feature.active_rows(place))
            start += feature.row_count
        active.extend([self.n_rows] * (self.max_active - len(active)))
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        rows = self._cache[key] = np.array(active, np.intp)
        return rows


def clash_mask_at(vocabulary: Vocabulary, place: Place) -> npt.NDArray[np.bool_]:
    """Return which values (n,) do not fit at `place`: see `Vocabulary.clash_mask`."""
    return vocabulary.clash_mask(place.chord, place.previous_pitch)
