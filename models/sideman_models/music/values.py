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
from sideman_models.music.harmony import TONE_KINDS, Chord
from sideman_models.music.smoothing import within_leap, without_repeated

TICKS_PER_QUARTER = 12
"""Ticks a quarter note: the finest grid on which quarters, thirds and sixths of a beat all fall."""

VALUE_KINDS = TONE_KINDS + "R"
"""Chord tone, scale tone, approach tone, any other tone, as chords number them; and rest."""

REST_KIND = VALUE_KINDS.index("R")
MAX_INTERVAL = 12
"""Modern intervals are clipped to an octave either way, in semitones."""

_MAX_DURATION = 4 * TICKS_PER_QUARTER
DURATION_GRID: tuple[int, ...] = tuple(
    ticks for ticks in range(2, _MAX_DURATION + 1) if ticks % 2 == 0 or ticks % 3 == 0
)
"""Modern durations in ticks: the multiples of 1/6, 1/4 and 1/3 of a quarter, up to four quarters."""

# Midway between two grid durations the binary one wins; half of the shortest counts as the shortest.
_NEAREST_GRID_TICKS = (0, 2, 2, 3, 4, 6, 6, 6, 8, 9, 10, 12)


def quantize_duration(ticks: float) -> int:
    """The grid duration nearest to a length in ticks; 0 for less than half of the shortest; at most four quarters."""
    if ticks < 1.0:
        return 0
    if ticks >= _MAX_DURATION:
        return _MAX_DURATION
    around = (_quantize_whole_ticks(math.floor(ticks)), _quantize_whole_ticks(math.ceil(ticks)))
    return min(around, key=lambda grid: abs(grid - ticks))


def _quantize_whole_ticks(ticks: int) -> int:
    return TICKS_PER_QUARTER * (ticks // TICKS_PER_QUARTER) + _NEAREST_GRID_TICKS[ticks % TICKS_PER_QUARTER]


@dataclass(frozen=True, slots=True)
class IntervalRange:
    """A classic interval: anything from `lower` to `upper`, each a spelled interval such as ``P1`` or ``d-5``."""

    upper: str
    lower: str

    @property
    def high_semitones(self) -> int:
        """The upper bound in semitones."""
        return interval_semitones(self.upper)

    @property
    def low_semitones(self) -> int:
        """The lower bound in semitones."""
        return interval_semitones(self.lower)


_INTERVAL_PATTERN = re.compile(r"(P|M|m|A{1,4}|d{1,4})(-?)([1-9]\d?)")
_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_PERFECT_DEGREES = (0, 3, 4)


@lru_cache(maxsize=1024)
def interval_semitones(name: str) -> int:
    """Semitones of a spelled interval: ``M3`` is 4, ``P-4`` is -5. Raises `ValueTextError`."""
    match = _INTERVAL_PATTERN.fullmatch(name)
    if match is None:
        raise ValueTextError(f"{name!r} is not an interval such as P1, m3, A4 or d-5")
    quality, minus, number = match.groups()
    octaves, step = divmod(int(number) - 1, 7)
    size = 12 * octaves + _MAJOR_SCALE[step] + _alteration(quality, step in _PERFECT_DEGREES, name)
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
    from the previous pitch (modern), a `IntervalRange` (classic) or None: the start of a phrase, or a rest.
    """

    kind: str
    ticks: int
    interval: int | IntervalRange | None = None

    @property
    def text(self) -> str:
        """As it is written: kind, duration in quarter notes, interval."""
        start = f"{self.kind},{self.ticks / TICKS_PER_QUARTER:.3f}"
        match self.interval:
            case None:
                return start
            case IntervalRange(upper, lower):
                return f"{start},<{upper},{lower}>"
            case interval:
                return f"{start},{interval:+d}"

    def __str__(self) -> str:
        return self.text


_VALUE_PATTERN = re.compile(r"([CSAXR]),(\d{1,3}\.\d{3})(?:,(?:<([^,<>]+),([^,<>]+)>|([+-]\d{1,2})))?")


def parse_value(text: str) -> Value:
    """The value written as `text`, in either dialect. Raises `ValueTextError` telling the text and what is right."""
    match = _VALUE_PATTERN.fullmatch(text)
    if match is None:
        raise ValueTextError(f"{text!r} is not a value such as C,0.500,+2 or C,0.250,<P1,d-5> or R,1.000")
    kind, duration, upper, lower, played = match.groups()
    ticks = round(float(duration) * TICKS_PER_QUARTER)
    if ticks < 1 or f"{ticks / TICKS_PER_QUARTER:.3f}" != duration:
        raise ValueTextError(f"{text!r}: the duration {duration} is not a whole number of twelfths of a quarter note")
    if kind == "R" and (upper or played):
        raise ValueTextError(f"{text!r}: a rest has no interval")
    if upper:
        interval_semitones(upper), interval_semitones(lower)
        return Value(kind, ticks, IntervalRange(upper, lower))
    return Value(kind, ticks, None if played is None else int(played))


class Vocabulary:
    """The values a network knows, in index order, with their parts as arrays for masks.

    `kinds` (n,) indices into `VALUE_KINDS`; `ticks` (n,); `low`, `high` (n,) the bounds of the interval in semitones,
    zero where there is none; `has_interval` (n,) whether there is an interval; `is_rest` (n,).
    """

    def __init__(self, values: Sequence[Value]) -> None:
        self.values = tuple(values)
        self.classic = any(isinstance(value.interval, IntervalRange) for value in self.values)
        self.kinds: npt.NDArray[np.int8] = np.array([VALUE_KINDS.index(value.kind) for value in self.values], np.int8)
        self.ticks: npt.NDArray[np.int16] = np.array([value.ticks for value in self.values], np.int16)
        bounds = [_interval_bounds(value.interval) for value in self.values]
        self.low: npt.NDArray[np.int16] = np.array([low for low, _ in bounds], np.int16)
        self.high: npt.NDArray[np.int16] = np.array([high for _, high in bounds], np.int16)
        self.has_interval: npt.NDArray[np.bool_] = np.array(
            [value.interval is not None for value in self.values], np.bool_
        )
        self.is_rest: npt.NDArray[np.bool_] = self.kinds == REST_KIND
        self._indices = {value: index for index, value in enumerate(self.values)}
        self._nearest_indices: dict[Value, int | None] = dict(self._indices)
        self._no_clash = np.zeros(len(self.values), np.bool_)
        self._clash_masks: dict[tuple[tuple[int, ...], int], npt.NDArray[np.bool_]] = {}

    def __len__(self) -> int:
        return len(self.values)

    def index_of(self, value: Value) -> int | None:
        """Where `value` stands in the vocabulary, or None if the network does not know it."""
        return self._indices.get(value)

    def nearest_index(self, value: Value) -> int | None:
        """The index of the known value most like `value`: same kind first, then duration and interval together.

        Every note has one. None only for a rest in a vocabulary without rests: there silence is not a value.
        """
        if value not in self._nearest_indices:
            self._nearest_indices[value] = self._find_nearest(value)
        return self._nearest_indices[value]

    def _find_nearest(self, value: Value) -> int | None:
        # A kind that no known value has is heard as the next kind further from the chord, round to the chord itself.
        kinds = "R" if value.kind == "R" else "CSAX"
        start = kinds.index(value.kind)
        for kind in kinds[start:] + kinds[:start]:
            same = np.flatnonzero(self.kinds == VALUE_KINDS.index(kind))
            if same.size:
                return int(same[np.argmin(self._distance(value, same))])
        return None

    def clash_mask(self, chord: Chord, previous_pitch: int | None) -> npt.NDArray[np.bool_]:
        """Which values (n,) do not fit over `chord` after the pitch `previous_pitch`. Not to be changed: it is kept.

        Such a value's interval leads to a pitch that is not of its kind. Rests and values without an interval never
        clash; nor does anything before the first note. The cases are no more than qualities times twelve.
        """
        if previous_pitch is None:
            return self._no_clash
        kinds, start = chord.quality.kinds, (previous_pitch - chord.root) % 12
        clash = self._clash_masks.get((kinds, start))
        if clash is None:
            landed = np.array(kinds, np.int8)[(self.low + start) % 12]
            clash = self._clash_masks[kinds, start] = (landed != self.kinds) & self.has_interval
        return clash

    def _distance(self, value: Value, indices: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        # Twice as long is as far off as a major third; a missing interval as far as a tritone.
        duration = 4.0 * np.abs(np.log2(self.ticks[indices] / value.ticks))
        low, high = _interval_bounds(value.interval)
        leap = np.abs((self.low[indices] + self.high[indices]) / 2 - (low + high) / 2)
        unlike = self.has_interval[indices] != (value.interval is not None)
        return np.asarray(duration + np.where(unlike, 6.0, leap), np.float64)


def _interval_bounds(interval: int | IntervalRange | None) -> tuple[int, int]:
    match interval:
        case None:
            return 0, 0
        case IntervalRange():
            return min(interval.low_semitones, interval.high_semitones), max(
                interval.low_semitones, interval.high_semitones
            )
        case played:
            return played, played


def clip_interval(semitones: int) -> int:
    """An interval as modern values write it: at most an octave either way."""
    return max(-MAX_INTERVAL, min(MAX_INTERVAL, semitones))


def choose_pitch(  # noqa: PLR0913 - a pitch depends on all of these
    value: Value,
    chord: Chord,
    previous_pitch: int | None,
    low: int,
    high: int,
    widen: int = 0,
    draw: float = 0.0,
    *,
    avoid: int | None = None,
    max_leap: int = 0,
) -> int | None:
    """The pitch that plays `value` over `chord` after the pitch `previous_pitch`, within `low`..`high`; None is a rest.

    A modern value takes the fitting pitch nearest to its interval; `widen` opens that to any fitting pitch that many
    semitones around, a classic value to any in its window, chosen by `draw` (0 <= dice < 1). A target outside the range
    is moved into it by octaves. The pitch `avoid` is left out when another fits, and all that lie more than `max_leap`
    semitones from the previous one (0: none). Where no pitch in the range is of the value's kind, it is a rest: never
    an error.
    """
    kind = VALUE_KINDS.index(value.kind)
    fitting: Sequence[int] = [pitch for pitch in range(low, high + 1) if chord.kind_of(pitch) == kind]
    if kind == REST_KIND or not fitting:
        return None
    fitting = within_leap(without_repeated(fitting, avoid), previous_pitch, max_leap)
    if previous_pitch is None:
        return _nearest_pitch(fitting, (low + high) // 2)
    least, most = _interval_bounds(value.interval)
    if value.interval is not None:
        least, most = least - widen, most + widen
    if least != most:
        choice = [pitch for pitch in fitting if least <= pitch - previous_pitch <= most]
        if isinstance(value.interval, IntervalRange):
            choice = [pitch for pitch in choice if pitch != previous_pitch] or choice
        if choice:
            return choice[int(draw * len(choice))]
    return _nearest_pitch(fitting, _fold_into_range(previous_pitch + (least + most) // 2, low, high))


def _nearest_pitch(fitting: Iterable[int], target: int) -> int:
    return min(fitting, key=lambda pitch: (abs(pitch - target), pitch))


def _fold_into_range(target: int, low: int, high: int) -> int:
    if target < low:
        target += -(-(low - target) // 12) * 12
    elif target > high:
        target -= -(-(target - high) // 12) * 12
    return max(low, min(high, target))
