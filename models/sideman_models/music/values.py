# SPDX-License-Identifier: Apache-2.0
"""Musical values: the network's symbols, relative to the chord and to the note before.

A value has a kind (how the pitch sits in the chord), a duration, and an interval from the previous pitch. Two dialects
share this grammar: the *classic* one of deepjazz and the course *Sequence Models*, where the interval is a spelled
window (``C,0.250,<P1,d-5>``), and the *modern* one, where it is the semitones really played (``C,0.500,+2``) and where
rests are values too (``R,1.000``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sideman_models.errors import ValueTextError
from sideman_models.music.harmony import KINDS, Chord
from sideman_models.music.smoothing import unrepeated, within_leap

TICKS = 12
"""Ticks a quarter note: the finest grid on which quarters, thirds and sixths of a beat all fall."""

VALUE_KINDS = KINDS + "R"
"""Chord tone, scale tone, approach tone, any other tone, as chords number them; and rest."""

REST = VALUE_KINDS.index("R")
WIDEST = 12
"""Modern intervals are clipped to an octave either way, in semitones."""

_LONGEST = 4 * TICKS
GRID: tuple[int, ...] = tuple(ticks for ticks in range(2, _LONGEST + 1) if ticks % 2 == 0 or ticks % 3 == 0)
"""Modern durations in ticks: the multiples of 1/6, 1/4 and 1/3 of a quarter, up to four quarters."""

# Midway between two grid durations the binary one wins; half of the shortest counts as the shortest.
_NEAREST = (0, 2, 2, 3, 4, 6, 6, 6, 8, 9, 10, 12)


def to_grid(ticks: float) -> int:
    """The grid duration nearest to a length in ticks; 0 for less than half of the shortest; at most four quarters."""
    if ticks < 1.0:
        return 0
    if ticks >= _LONGEST:
        return _LONGEST
    around = (_whole_to_grid(math.floor(ticks)), _whole_to_grid(math.ceil(ticks)))
    return min(around, key=lambda grid: abs(grid - ticks))


def _whole_to_grid(ticks: int) -> int:
    return TICKS * (ticks // TICKS) + _NEAREST[ticks % TICKS]


@dataclass(frozen=True, slots=True)
class Window:
    """A classic interval: anything from `lower` to `upper`, each a spelled interval such as ``P1`` or ``d-5``."""

    upper: str
    lower: str

    @property
    def high(self) -> int:
        """The upper bound in semitones."""
        return semitones(self.upper)

    @property
    def low(self) -> int:
        """The lower bound in semitones."""
        return semitones(self.lower)


_SPELLED = re.compile(r"(P|M|m|A{1,4}|d{1,4})(-?)([1-9]\d?)")
_MAJOR_STEPS = (0, 2, 4, 5, 7, 9, 11)
_PERFECT_STEPS = (0, 3, 4)


@lru_cache(maxsize=1024)
def semitones(name: str) -> int:
    """Semitones of a spelled interval: ``M3`` is 4, ``P-4`` is -5. Raises `ValueTextError`."""
    match = _SPELLED.fullmatch(name)
    if match is None:
        raise ValueTextError(f"{name!r} is not an interval such as P1, m3, A4 or d-5")
    quality, minus, number = match.groups()
    octaves, step = divmod(int(number) - 1, 7)
    size = 12 * octaves + _MAJOR_STEPS[step] + _alteration(quality, step in _PERFECT_STEPS, name)
    return -size if minus else size


def _alteration(quality: str, perfect: bool, name: str) -> int:
    if (quality == "P") != perfect and quality in "PMm":
        raise ValueTextError(
            f"there is no {name!r}: unisons, fourths and fifths are perfect, the others major or minor"
        )
    if quality[0] == "A":
        return len(quality)
    if quality[0] == "d":
        return -len(quality) - (0 if perfect else 1)
    return -1 if quality == "m" else 0


@dataclass(frozen=True, slots=True)
class Value:
    """What the soloist does next.

    `kind` is one letter of `VALUE_KINDS`; `ticks` the duration in twelfths of a quarter note; `interval` the semitones
    from the previous pitch (modern), a `Window` (classic) or None: the start of a phrase, or a rest.
    """

    kind: str
    ticks: int
    interval: int | Window | None = None

    @property
    def text(self) -> str:
        """As it is written: kind, duration in quarter notes, interval."""
        start = f"{self.kind},{self.ticks / TICKS:.3f}"
        match self.interval:
            case None:
                return start
            case Window(upper, lower):
                return f"{start},<{upper},{lower}>"
            case interval:
                return f"{start},{interval:+d}"

    def __str__(self) -> str:
        return self.text


_VALUE = re.compile(r"([CSAXR]),(\d{1,3}\.\d{3})(?:,(?:<([^,<>]+),([^,<>]+)>|([+-]\d{1,2})))?")


def parse_value(text: str) -> Value:
    """The value written as `text`, in either dialect. Raises `ValueTextError` telling the text and what is right."""
    match = _VALUE.fullmatch(text)
    if match is None:
        raise ValueTextError(f"{text!r} is not a value such as C,0.500,+2 or C,0.250,<P1,d-5> or R,1.000")
    kind, duration, upper, lower, played = match.groups()
    ticks = round(float(duration) * TICKS)
    if ticks < 1 or f"{ticks / TICKS:.3f}" != duration:
        raise ValueTextError(f"{text!r}: the duration {duration} is not a whole number of twelfths of a quarter note")
    if kind == "R" and (upper or played):
        raise ValueTextError(f"{text!r}: a rest has no interval")
    if upper:
        semitones(upper), semitones(lower)
        return Value(kind, ticks, Window(upper, lower))
    return Value(kind, ticks, None if played is None else int(played))


class Vocabulary:
    """The values a network knows, in index order, with their parts as arrays for masks.

    `kinds` (n,) indices into `VALUE_KINDS`; `ticks` (n,); `low`, `high` (n,) the bounds of the interval in semitones,
    zero where there is none; `bounded` (n,) whether there is an interval; `rests` (n,).
    """

    def __init__(self, values: Sequence[Value]) -> None:
        self.values = tuple(values)
        self.classic = any(isinstance(value.interval, Window) for value in self.values)
        self.kinds: npt.NDArray[np.int8] = np.array([VALUE_KINDS.index(value.kind) for value in self.values], np.int8)
        self.ticks: npt.NDArray[np.int16] = np.array([value.ticks for value in self.values], np.int16)
        bounds = [_bounds(value.interval) for value in self.values]
        self.low: npt.NDArray[np.int16] = np.array([low for low, _ in bounds], np.int16)
        self.high: npt.NDArray[np.int16] = np.array([high for _, high in bounds], np.int16)
        self.bounded: npt.NDArray[np.bool_] = np.array([value.interval is not None for value in self.values], np.bool_)
        self.rests: npt.NDArray[np.bool_] = self.kinds == REST
        self._index = {value: index for index, value in enumerate(self.values)}
        self._nearest: dict[Value, int | None] = dict(self._index)
        self._nothing = np.zeros(len(self.values), np.bool_)
        self._clashes: dict[tuple[tuple[int, ...], int], npt.NDArray[np.bool_]] = {}

    def __len__(self) -> int:
        return len(self.values)

    def index(self, value: Value) -> int | None:
        """Where `value` stands in the vocabulary, or None if the network does not know it."""
        return self._index.get(value)

    def nearest(self, value: Value) -> int | None:
        """The index of the known value most like `value`: same kind first, then duration and interval together.

        Every note has one. None only for a rest in a vocabulary without rests: there silence is not a value.
        """
        if value not in self._nearest:
            self._nearest[value] = self._search(value)
        return self._nearest[value]

    def _search(self, value: Value) -> int | None:
        # A kind that no known value has is heard as the next kind further from the chord, round to the chord itself.
        kinds = "R" if value.kind == "R" else "CSAX"
        start = kinds.index(value.kind)
        for kind in kinds[start:] + kinds[:start]:
            same = np.flatnonzero(self.kinds == VALUE_KINDS.index(kind))
            if same.size:
                return int(same[np.argmin(self._distance(value, same))])
        return None

    def clashes(self, chord: Chord, previous: int | None) -> npt.NDArray[np.bool_]:
        """Which values (n,) do not fit over `chord` after the pitch `previous`. Not to be changed: it is kept.

        Such a value's interval leads to a pitch that is not of its kind. Rests and values without an interval never
        clash; nor does anything before the first note. The cases are no more than qualities times twelve.
        """
        if previous is None:
            return self._nothing
        kinds, start = chord.quality.kinds, (previous - chord.root) % 12
        clash = self._clashes.get((kinds, start))
        if clash is None:
            landed = np.array(kinds, np.int8)[(self.low + start) % 12]
            clash = self._clashes[kinds, start] = (landed != self.kinds) & self.bounded
        return clash

    def _distance(self, value: Value, among: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        # Twice as long is as far off as a major third; a missing interval as far as a tritone.
        duration = 4.0 * np.abs(np.log2(self.ticks[among] / value.ticks))
        low, high = _bounds(value.interval)
        leap = np.abs((self.low[among] + self.high[among]) / 2 - (low + high) / 2)
        unlike = self.bounded[among] != (value.interval is not None)
        return np.asarray(duration + np.where(unlike, 6.0, leap), np.float64)


def _bounds(interval: int | Window | None) -> tuple[int, int]:
    match interval:
        case None:
            return 0, 0
        case Window():
            return min(interval.low, interval.high), max(interval.low, interval.high)
        case played:
            return played, played


def clip_interval(semitones: int) -> int:
    """An interval as modern values write it: at most an octave either way."""
    return max(-WIDEST, min(WIDEST, semitones))


def realise(  # noqa: PLR0913 - a pitch depends on all of these
    value: Value,
    chord: Chord,
    previous: int | None,
    low: int,
    high: int,
    widen: int = 0,
    dice: float = 0.0,
    *,
    avoid: int | None = None,
    leap: int = 0,
) -> int | None:
    """The pitch that plays `value` over `chord` after the pitch `previous`, within `low`..`high`; None is a rest.

    A modern value takes the fitting pitch nearest to its interval; `widen` opens that to any fitting pitch that many
    semitones around, a classic value to any in its window, chosen by `dice` (0 <= dice < 1). A target outside the range
    is moved into it by octaves. The pitch `avoid` is left out when another fits, and all that lie more than `leap`
    semitones from the previous one (0: none). Where no pitch in the range is of the value's kind, it is a rest: never
    an error.
    """
    kind = VALUE_KINDS.index(value.kind)
    fitting: Sequence[int] = [pitch for pitch in range(low, high + 1) if chord.kind(pitch) == kind]
    if kind == REST or not fitting:
        return None
    fitting = within_leap(unrepeated(fitting, avoid), previous, leap)
    if previous is None:
        return _nearest_pitch(fitting, (low + high) // 2)
    least, most = _bounds(value.interval)
    if value.interval is not None:
        least, most = least - widen, most + widen
    if least != most:
        choice = [pitch for pitch in fitting if least <= pitch - previous <= most]
        if isinstance(value.interval, Window):
            choice = [pitch for pitch in choice if pitch != previous] or choice
        if choice:
            return choice[int(dice * len(choice))]
    return _nearest_pitch(fitting, _into_range(previous + (least + most) // 2, low, high))


def _nearest_pitch(fitting: Iterable[int], target: int) -> int:
    return min(fitting, key=lambda pitch: (abs(pitch - target), pitch))


def _into_range(target: int, low: int, high: int) -> int:
    if target < low:
        target += -(-(low - target) // 12) * 12
    elif target > high:
        target -= -(-(target - high) // 12) * 12
    return max(low, min(high, target))
