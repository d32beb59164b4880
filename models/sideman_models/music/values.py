# SPDX-License-Identifier: Apache-2.0
"""Musical values: the symbols of the network, relative to the chord and to the previous note.

A value has a kind (how the pitch relates to the chord), a duration, and an interval from the previous pitch. Two
dialects share this grammar. In the *classic* dialect, of deepjazz and the course *Sequence Models*, the interval is a
window between two spelled intervals (``C,0.250,<P1,d-5>``). In the *modern* dialect, the interval is the number of
semitones that was played (``C,0.500,+2``), and rests are values too (``R,1.000``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.errors import ValueTextError
from sideman_models.music.harmony import Chord
from sideman_models.music.qualities import TONE_KINDS
from sideman_models.music.smoothing import within_leap, without_repeated

TICKS_PER_QUARTER = 12
"""Ticks in a quarter note: the coarsest grid that has a tick on every quarter, third and sixth of a beat."""

VALUE_KINDS = TONE_KINDS + "R"
"""The kinds of chords in their order (chord tone, scale tone, approach tone, any other tone), and the rest."""
REST_KIND = VALUE_KINDS.index("R")
MAX_INTERVAL = 12
"""The largest modern interval, in semitones up or down: an octave. Larger ones are clipped."""

_MAX_DURATION = 4 * TICKS_PER_QUARTER
DURATION_GRID = tuple(ticks for ticks in range(2, _MAX_DURATION + 1) if ticks % 2 == 0 or ticks % 3 == 0)
"""Modern durations in ticks: the multiples of 1/6, 1/4 and 1/3 of a quarter note, up to four quarter notes."""

# Midway between two grid durations the binary one wins. Half of the shortest duration is rounded up to it.
_OF_A_QUARTER = (0, 2, 2, 3, 4, 6, 6, 6, 8, 9, 10, 12)
_NEAREST_GRID_TICKS = tuple(
    ticks // TICKS_PER_QUARTER * TICKS_PER_QUARTER + _OF_A_QUARTER[ticks % TICKS_PER_QUARTER]
    for ticks in range(_MAX_DURATION + 1)
)


def quantize_duration(ticks: float) -> int:
    """Return the grid duration nearest to `ticks`, at most four quarter notes; 0 below half of the shortest one."""
    if ticks < 1.0:
        return 0
    if ticks >= _MAX_DURATION:
        return _MAX_DURATION
    whole = int(ticks)
    lower, upper = _NEAREST_GRID_TICKS[whole], _NEAREST_GRID_TICKS[whole + (ticks > whole)]
    return lower if abs(lower - ticks) <= abs(upper - ticks) else upper


class IntervalRange(Struct, frozen=True):
    """A classic interval: any interval from `lower` to `upper`. Both are spelled, such as ``P1`` or ``d-5``."""

    upper: str
    lower: str


_INTERVAL_PATTERN = re.compile(r"(P|M|m|A{1,4}|d{1,4})(-?)([1-9]\d?)")
_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_PERFECT_DEGREES = (0, 3, 4)


@lru_cache(maxsize=1024)
def interval_semitones(name: str) -> int:
    """Return the semitones of a spelled interval: ``M3`` is 4, ``P-4`` is -5. Raises `ValueTextError`."""
    match = _INTERVAL_PATTERN.fullmatch(name)
    if match is None:
        raise ValueTextError(f"{name!r} is not an interval such as P1, m3, A4 or d-5")
    quality, minus, number = match.groups()
    octaves, step = divmod(int(number) - 1, 7)
    perfect = step in _PERFECT_DEGREES
    if (quality == "P") != perfect and quality in "PMm":
        raise ValueTextError(
            f"there is no {name!r}: unisons, fourths and fifths are perfect, the others major or minor"
        )
    size = 12 * octaves + _MAJOR_SCALE[step]
    if quality[0] == "A":
        size += len(quality)
    elif quality[0] == "d":
        size -= len(quality) + (0 if perfect else 1)
    elif quality == "m":
        size -= 1
    return -size if minus else size


class Value(Struct, frozen=True):
    """One symbol of the network: what the soloist does next.

    `kind` is one letter of `VALUE_KINDS`; `ticks` is the duration in twelfths of a quarter note. `interval` is the
    number of semitones from the previous pitch (modern), an `IntervalRange` (classic), or None for a rest and for the
    first note of a phrase.
    """

    kind: str
    ticks: int
    interval: int | IntervalRange | None = None

    @property
    def text(self) -> str:
        """The written form: kind, duration in quarter notes, interval."""
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
    """Read a value of either dialect. Raises `ValueTextError`, which quotes the text and says what is valid."""
    match = _VALUE_PATTERN.fullmatch(text)
    if match is None:
        raise ValueTextError(f"{text!r} is not a value such as C,0.500,+2 or C,0.250,<P1,d-5> or R,1.000")
    kind, duration, upper, lower, semitones = match.groups()
    ticks = round(float(duration) * TICKS_PER_QUARTER)
    if ticks < 1 or f"{ticks / TICKS_PER_QUARTER:.3f}" != duration:
        raise ValueTextError(f"{text!r}: the duration {duration} is not a whole number of twelfths of a quarter note")
    if kind == "R" and (upper or semitones):
        raise ValueTextError(f"{text!r}: a rest has no interval")
    if upper:
        interval_semitones(upper), interval_semitones(lower)
        return Value(kind, ticks, IntervalRange(upper, lower))
    return Value(kind, ticks, None if semitones is None else int(semitones))


_ALL_INTERVALS = (None, *range(-MAX_INTERVAL, MAX_INTERVAL + 1))
_TABLE_ROWS = {ticks: row for row, ticks in enumerate(DURATION_GRID)}
_TABLE_COLUMNS: dict[int | IntervalRange | None, int] = {each: column for column, each in enumerate(_ALL_INTERVALS)}


class _OfKind(Struct, frozen=True):
    """The values of one kind: their indices, durations, the middles of their intervals, and whether they have one."""

    indices: npt.NDArray[np.intp]
    ticks: npt.NDArray[np.int16]
    middle: npt.NDArray[np.float64]
    has_interval: npt.NDArray[np.bool_]

    def nearest(self, ticks: Sequence[int], intervals: Sequence[int | IntervalRange | None]) -> npt.NDArray[np.intp]:
        """Return the index of the nearest value for each of D durations and I intervals (D, I).

        Twice the duration counts as much as a major third, a missing interval as much as a tritone.
        """
        duration = 4.0 * np.abs(np.log2(self.ticks / np.array(ticks)[:, None]))  # (D, n)
        middles = np.array([sum(interval_bounds(each)) / 2 for each in intervals])
        distance = np.abs(self.middle - middles[:, None])  # (I, n)
        has_none = np.array([each is None for each in intervals])
        distance[self.has_interval == has_none[:, None]] = 6.0
        nearest: npt.NDArray[np.intp] = self.indices[[(row + distance).argmin(axis=1) for row in duration]]
        return nearest


class Vocabulary:
    """The values that a network knows, in index order, with their parts as arrays.

    The arrays have one entry a value, n in all: `kinds` (n,) indices into `VALUE_KINDS`; `ticks` (n,) durations; `low`
    and `high` (n,) the bounds of the interval in semitones, 0 if there is no interval; `has_interval` (n,) and
    `is_rest` (n,) booleans. `classic` is true if a value has a classic interval.
    """

    def __init__(self, values: Sequence[Value]) -> None:
        self.values = tuple(values)
        self.classic = any(isinstance(value.interval, IntervalRange) for value in self.values)
        self.kinds: npt.NDArray[np.int8] = np.array([VALUE_KINDS.index(value.kind) for value in self.values], np.int8)
        self.ticks: npt.NDArray[np.int16] = np.array([value.ticks for value in self.values], np.int16)
        bounds = [interval_bounds(value.interval) for value in self.values]
        self.low: npt.NDArray[np.int16] = np.array([low for low, _ in bounds], np.int16)
        self.high: npt.NDArray[np.int16] = np.array([high for _, high in bounds], np.int16)
        self.has_interval: npt.NDArray[np.bool_] = np.array([one.interval is not None for one in self.values], np.bool_)
        self.is_rest: npt.NDArray[np.bool_] = self.kinds == REST_KIND
        self._indices = {value: index for index, value in enumerate(self.values)}
        self._nearest_indices: dict[Value, int | None] = dict(self._indices)
        # Of every modern value, because a note of the player's has to be heard at once.
        self._nearest_tables = {
            kind: self._all_of_kind(kind).nearest(DURATION_GRID, _ALL_INTERVALS)
            for kind in VALUE_KINDS
            if (self.kinds == VALUE_KINDS.index(kind)).any()
        }
        self._no_clash = np.zeros(len(self.values), np.bool_)
        self._clash_masks: dict[tuple[tuple[int, ...], int], npt.NDArray[np.bool_]] = {}

    def __len__(self) -> int:
        return len(self.values)

    def index_of(self, value: Value) -> int | None:
        """Return the index of `value`, or None if the network does not know it."""
        return self._indices.get(value)

    def nearest_index(self, value: Value) -> int | None:
        """Return the index of the known value most like `value`: of the same kind, nearest in duration and interval.

        If no known value has that kind, the next kind further from the chord is used, and after the last kind the chord
        tones. So each note has a nearest value. The result is None only for a rest in a vocabulary without rests.
        """
        if value not in self._nearest_indices:
            self._nearest_indices[value] = self._find_nearest(value)
        return self._nearest_indices[value]

    def _find_nearest(self, value: Value) -> int | None:
        kinds = "R" if value.kind == "R" else TONE_KINDS
        start = kinds.index(value.kind)
        for kind in kinds[start:] + kinds[:start]:
            if (table := self._nearest_tables.get(kind)) is None:
                continue
            row, column = _TABLE_ROWS.get(value.ticks), _TABLE_COLUMNS.get(value.interval)
            if row is None or column is None:  # not a modern value
                return int(self._all_of_kind(kind).nearest([value.ticks], [value.interval])[0, 0])
            return int(table[row, column])
        return None

    def _all_of_kind(self, kind: str) -> _OfKind:
        same = (self.kinds == VALUE_KINDS.index(kind)).nonzero()[0]
        return _OfKind(same, self.ticks[same], (self.low[same] + self.high[same]) / 2, self.has_interval[same])

    def clash_mask(self, chord: Chord, previous_pitch: int | None) -> npt.NDArray[np.bool_]:
        """Return which values (n,) do not fit over `chord` after the pitch `previous_pitch`, as booleans.

        A value clashes if its interval leads to a pitch that is not of its kind. Rests and values without an interval
        never clash, and before the first note (`previous_pitch` is None) no value does. The array is cached: the caller
        must not change it. There are at most 12 arrays for each set of kinds.
        """
        if previous_pitch is None:
            return self._no_clash
        kinds, start = chord.quality.kinds, (previous_pitch - chord.root) % 12
        clash = self._clash_masks.get((kinds, start))
        if clash is None:
            reached = np.array(kinds, np.int8)[(self.low + start) % 12]
            clash = self._clash_masks[kinds, start] = (reached != self.kinds) & self.has_interval
        return clash


def interval_bounds(interval: int | IntervalRange | None) -> tuple[int, int]:
    """Return the lowest and the highest interval in semitones, 0 if there is none."""
    match interval:
        case None:
            return 0, 0
        case IntervalRange(one, other):
            low, high = sorted((interval_semitones(one), interval_semitones(other)))
            return low, high
        case semitones:
            return semitones, semitones


def clip_interval(semitones: int) -> int:
    """Return the interval as a modern value writes it: at most an octave up or down, in semitones."""
    return max(-MAX_INTERVAL, min(MAX_INTERVAL, semitones))


@lru_cache(maxsize=1024)  # a tune returns to its chords
def _pitches_of_kind(kinds: tuple[int, ...], root: int, kind: int, low: int, high: int) -> tuple[int, ...]:
    """Return the pitches from `low` to `high` of a kind over the chord with these `kinds` above `root`."""
    return tuple(pitch for pitch in range(low, high + 1) if kinds[(pitch - root) % 12] == kind)


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
    """Return the MIDI pitch from `low` to `high` that plays `value` over `chord`, or None for a rest.

    A pitch fits if it is of the kind of the value. A modern value takes the fitting pitch nearest to its interval from
    `previous_pitch`; without a previous pitch, nearest to the middle of the range. With `widen`, it takes any fitting
    pitch within that many semitones of the interval; a classic value takes any fitting pitch in its window. `draw` (0
    <= draw < 1) chooses among them. A target outside the range is moved into it by octaves.

    If another pitch fits, the pitch `avoid` is left out, and so are pitches more than `max_leap` semitones from the
    previous one (0: no limit). If no pitch in the range is of the kind, the result is a rest. This function never
    raises an error.
    """
    kind = VALUE_KINDS.index(value.kind)
    fitting: Sequence[int] = _pitches_of_kind(chord.quality.kinds, chord.root, kind, low, high)
    if kind == REST_KIND or not fitting:
        return None
    fitting = within_leap(without_repeated(fitting, avoid), previous_pitch, max_leap)
    target = (low + high) // 2
    if previous_pitch is not None:
        least, most = interval_bounds(value.interval)
        if value.interval is not None:
            least, most = least - widen, most + widen
        if least != most:
            choice: Sequence[int] = [pitch for pitch in fitting if least <= pitch - previous_pitch <= most]
            if isinstance(value.interval, IntervalRange):
                choice = without_repeated(choice, previous_pitch)
            if choice:
                return choice[int(draw * len(choice))]
        target = previous_pitch + (least + most) // 2
        if target < low:
            target = min(high, low + (target - low) % 12)
        elif target > high:
            target = max(low, high - (high - target) % 12)
    return min(fitting, key=lambda pitch: (abs(pitch - target), pitch))
