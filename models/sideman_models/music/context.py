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

from sideman_models.music.harmony import FAMILIES, KINDS, NO_CHORD, Chord
from sideman_models.music.values import TICKS, Vocabulary

Rows = npt.NDArray[np.intp]


class Changes(Protocol):
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


def place_in_bar(bars: Bars, tick: int) -> int:
    """How many ticks `tick` lies after its bar line."""
    return tick - bars.bar_at(tick)[0]


def next_line(bars: Bars, tick: float) -> int:
    """The tick of the first bar line at or after `tick`."""
    line, length = bars.bar_at(tick)
    return line if line == tick else line + length


@dataclass(frozen=True, slots=True)
class Place:
    """All that is known of a value before it is chosen.

    `tick` of its onset within the bar; the `chord` then, the chord `after` it and the `beats` until that; and the pitch
    of the note before, `previous`, or None at the very start.
    """

    tick: int
    chord: Chord
    after: Chord
    beats: float
    previous: int | None


def place_at(changes: Changes, bars: Bars, tick: int, previous: int | None) -> Place:
    """The place of a value that begins `tick` ticks from the top."""
    beat = tick / TICKS
    after, beats = changes.next_change(beat)
    return Place(place_in_bar(bars, tick), changes.chord_at(beat), after, beats, previous)


_BEATS = 4
_REGISTERS = 8
_NONE = 12
_CHANGE_BOUNDS = (1.0, 2.0, 3.0, 4.0, 8.0)
_MOST_KEPT = 4096


def _position(place: Place) -> list[int]:
    return [place.tick % (_BEATS * TICKS)]


def _place_in_beat(place: Place) -> list[int]:
    return [place.tick % TICKS]


def _beat(place: Place) -> list[int]:
    return [place.tick // TICKS % _BEATS]


def _family_now(place: Place) -> list[int]:
    return [FAMILIES.index(place.chord.quality.family)]


def _family_next(place: Place) -> list[int]:
    return [FAMILIES.index(place.after.quality.family)]


def _root_motion(place: Place) -> list[int]:
    if place.chord == place.after or NO_CHORD in (place.chord, place.after):
        return [_NONE]
    return [(place.after.root - place.chord.root) % 12]


def _beats_to_change(place: Place) -> list[int]:
    return [bisect_left(_CHANGE_BOUNDS, place.beats)]


def _register(place: Place) -> list[int]:
    if place.previous is None:
        return [_REGISTERS]
    return [max(0, min(_REGISTERS - 1, (place.previous - 42) // 6))]


def _from_root_now(place: Place) -> list[int]:
    return [_from_root(place.previous, place.chord)]


def _from_root_next(place: Place) -> list[int]:
    return [_from_root(place.previous, place.after)]


def _from_root(pitch: int | None, chord: Chord) -> int:
    return _NONE if pitch is None or chord == NO_CHORD else (pitch - chord.root) % 12


def _kinds_now(place: Place) -> Sequence[int]:
    return _kinds_above(place.previous, place.chord)


def _kinds_next(place: Place) -> Sequence[int]:
    return _kinds_above(place.previous, place.after)


def _kinds_above(pitch: int | None, chord: Chord) -> Sequence[int]:
    return () if pitch is None else _kind_rows(chord.quality.kinds, (pitch - chord.root) % 12)


def _kind_rows(kinds: tuple[int, ...], start: int) -> tuple[int, ...]:
    return tuple(len(KINDS) * offset + kinds[(start + offset) % 12] for offset in range(12))


@dataclass(frozen=True, slots=True)
class Feature:
    """One group of one-hot rows: how many there are, how many of them can be on at once, and which are."""

    size: int
    active: int
    rows: Callable[[Place], Sequence[int]]


FEATURES: dict[str, Feature] = {
    "position in the bar": Feature(_BEATS * TICKS, 1, _position),
    "place in the beat": Feature(TICKS, 1, _place_in_beat),
    "beat": Feature(_BEATS, 1, _beat),
    "chord family now": Feature(len(FAMILIES), 1, _family_now),
    "chord family next": Feature(len(FAMILIES), 1, _family_next),
    "root motion": Feature(13, 1, _root_motion),
    "beats to the change": Feature(6, 1, _beats_to_change),
    "register": Feature(_REGISTERS + 1, 1, _register),
    "previous pitch from the root now": Feature(13, 1, _from_root_now),
    "previous pitch from the root next": Feature(13, 1, _from_root_next),
    "kinds of the twelve offsets now": Feature(12 * len(KINDS), 12, _kinds_now),
    "kinds of the twelve offsets next": Feature(12 * len(KINDS), 12, _kinds_next),
}
"""Every feature a bundle may name. Positions are those of bars of four beats; in longer bars the count begins anew."""


class Context:
    """The context of a bundle: its features in order. `size` is the number of rows below the values' own."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        self.size = sum(FEATURES[name].size for name in names)
        self.active = sum(FEATURES[name].active for name in names)
        self._kept: dict[tuple[object, ...], Rows] = {}

    def rows(self, place: Place) -> Rows:
        """The rows that are on at `place`, (active,), each 0..size-1; `size` stands for no row. Not to be changed.

        A tune comes back to the same places over and over, and a value is seen there twice: when it is chosen and when
        it has been played. So the last few thousand are kept, by all that the features look at.
        """
        now, after = place.chord, place.after
        beats = bisect_left(_CHANGE_BOUNDS, place.beats)
        key = (place.tick, now.root, now.quality.name, after.root, after.quality.name, beats, place.previous)
        rows = self._kept.get(key)
        if rows is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            rows = self._kept[key] = self._rows(place)
        return rows

    def _rows(self, place: Place) -> Rows:
        on: list[int] = []
        start = 0
        for name in self.names:
            feature = FEATURES[name]
            on.extend(start + row for row in feature.rows(place))
            start += feature.size
        on.extend([self.size] * (self.active - len(on)))
        return np.array(on, np.intp)


def clashes(vocabulary: Vocabulary, place: Place) -> npt.NDArray[np.bool_]:
    """Which values (n,) do not fit at `place`; see `Vocabulary.clashes`."""
    return vocabulary.clashes(place.chord, place.previous)
