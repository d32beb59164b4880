# SPDX-License-Identifier: Apache-2.0
"""The tempo map of a take: where the tempo changed, from the seconds and beats that the reports give.

With our own clock every tempo is exact, and so is the beat on which it changes (`ExactTempo`). The beats of a clock
that is followed are some milliseconds late or early: by the jitter of its cable, by the rounds of a JACK port. There
the tempo is fitted (`FittedTempo`), and a mark is written only where the beats show that it really changed.

The file has no pauses and no jumps: the time while the music stands is left out, and a jump takes no time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from sideman.takes.journal import TakeHeader

MIN_BEAT_S, MAX_BEAT_S = 0.06, 6.0
"""The length of a beat at 1000 and at 10 bpm; anything else is a jump and no tempo."""
_SHORTEST_BEAT_S = 0.12  # music that is faster than 500 bpm has jumped; no clock or setting is as fast
_JUMP_BEATS = 0.1  # beats that pass in no time, which is more than the corrections of a clock
_TOLERANCE_US = 5.0  # with our own clock, a beat of another tempo is longer or shorter by more than this
_SHORTEST_BEATS = 0.001  # what is shorter is too short to measure a tempo in it
_BINS_PER_BEAT = 4  # the points of a quarter of a beat are averaged
_WINDOW_BEATS = 32  # a change that is older than this is not looked for
_UNSETTLED_BEATS = 2.0  # at first a clock's line is still being found
_BINS_BEFORE, _BINS_AFTER = 4, 4  # on either side of a change; with fewer after it, wait
_DRIFT_S, _ROUNDING_S = 0.002, 0.002
_SIGNIFICANCE = 100.0
"""By how many times the variance of a point a change has to lower the sum of squares. The noise of a clock's line lasts
for a beat or two, so that far more than for independent noise is needed."""
_USUAL_NOISE_S, _USUAL_POINTS = 0.0005, 8


class TempoMark(NamedTuple):
    """From `beat` on a beat lasts `beat_us` microseconds."""

    beat: float
    beat_us: int


class TempoMap(Protocol):
    """A tempo map that grows. `marks` are in order, the first on the first beat; the last tempo may still change."""

    marks: list[TempoMark]

    @property
    def settled(self) -> float:
        """Up to this beat no mark will be added."""

    def add(self, second: float, beat: float, *, by_command: bool) -> None:
        """The music was at `beat` at `second`; with `by_command` the tempo may change there."""

    def start_bar(self, beat: float) -> None:
        """A bar begins on `beat`: practice and the songs of a set change the tempo there, without a command."""


class _Music:
    """Seconds without the time while the music stands or jumps."""

    def __init__(self, second: float, beat: float) -> None:
        self._skew_s = 0.0
        self._second, self.beat = second, beat

    def passes(self, second: float, beat: float, beat_s: float) -> tuple[float, bool]:
        """The second of the music at `beat`, and whether it stands or has jumped just before; a beat lasts `beat_s`."""
        seconds, beats = second - self._second, beat - self.beat
        stands = beats == 0.0 and seconds > 0
        jumps = beats > _JUMP_BEATS + max(0.0, seconds) / _SHORTEST_BEAT_S
        if stands or jumps:
            self._skew_s += seconds - beats * beat_s
        self._second, self.beat = second, beat
        return second - self._skew_s, stands or jumps


class ExactTempo:
    """The tempo map of a take with our own clock, from beat `beat`, which falls on `second` (None: not known yet)."""

    def __init__(self, beat_us: int, beat: float, second: float | None) -> None:
        self.marks = [TempoMark(beat, beat_us)]
        self.settled = beat
        self._settled_s = 0.0
        self._beat_s = beat_us / 1e6  # as measured last; a mark is rounded
        self._music: _Music | None = None
        if second is not None:
            self._begin(second)

    def _begin(self, second: float) -> None:
        self._settled_s, self._music = second, _Music(second, self.settled)

    def start_bar(self, beat: float) -> None:
        """See `TempoMap`. Up to there the tempo is the last one, so the next one is measured from there."""
        if self._music is not None and beat > self.settled:
            self._settled_s += (beat - self.settled) * self._beat_s
            self.settled = beat

    def add(self, second: float, beat: float, *, by_command: bool) -> None:
        """See `TempoMap`. The tempo is measured after each beat, or at once where a command may change it."""
        beat_us = self.marks[-1].beat_us
        if self._music is None and beat >= self.settled:
            self._begin(second - (beat - self.settled) * beat_us / 1e6)
        if self._music is None:
            return
        second, is_break = self._music.passes(second, beat, beat_us / 1e6)
        if is_break:
            self.settled, self._settled_s = beat, second
            return
        beats, seconds = beat - self.settled, second - self._settled_s
        if beats < (_SHORTEST_BEATS if by_command else 1.0):
            return
        if MIN_BEAT_S <= seconds / beats <= MAX_BEAT_S:  # anything else is a jump
            self._beat_s = seconds / beats
            if abs(1e6 * self._beat_s - beat_us) > _TOLERANCE_US:
                if self.settled == self.marks[0].beat:
                    self.marks.clear()
                self.marks.append(TempoMark(self.settled, microseconds(self._beat_s)))
        self.settled, self._settled_s = beat, second


class _Line(NamedTuple):
    """Beat `beat` falls on `second`, and a beat lasts `beat_s`."""

    beat: float
    second: float
    beat_s: float

    def at(self, beat: float) -> float:
        return self.second + (beat - self.beat) * self.beat_s


class _Spread(NamedTuple):
    """The points of a line: how many, their means, and the sums of squares and products about the means."""

    number: int = 0
    beat: float = 0.0
    second: float = 0.0
    beats_2: float = 0.0
    product: float = 0.0

    def __or__(self, other: _Spread) -> _Spread:
        """The points of both."""
        count = self.number + other.number
        if not count:
            return self
        share, beats, seconds = other.number / count, other.beat - self.beat, other.second - self.second
        weight = self.number * share
        return _Spread(
            count,
            self.beat + share * beats,
            self.second + share * seconds,
            self.beats_2 + other.beats_2 + weight * beats * beats,
            self.product + other.product + weight * beats * seconds,
        )


def _spread(points: Sequence[tuple[float, float]]) -> _Spread:
    """The spread of points, each a beat and its second."""
    if not points:
        return _Spread()
    beats, seconds = np.array(points).T
    beat, second = float(beats.mean()), float(seconds.mean())
    off = beats - beat
    return _Spread(len(points), beat, second, float(off @ off), float(off @ (seconds - second)))


class FittedTempo:
    """The tempo map of a take that follows a clock, from beat `beat` on, expected at `beat_us`.

    Points are averaged over quarters of a beat. The last mark's tempo is the line of least squares through all points
    since that mark. After each beat the line is compared with two lines that meet at a beat of the last
    `_WINDOW_BEATS`; if these fit much better than the noise explains, and the one would be wrong by more than
    `_DRIFT_S`, a mark is set where they meet. The line after it begins where the file has got to (`_pin`), so that
    errors do not add up. A stop or a jump begins a new line, but no new tempo: its slope is fitted to all of them.
    """

    def __init__(self, beat_us: int, beat: float) -> None:
        self.marks = [TempoMark(beat, beat_us)]
        self._mark_s = 0.0  # the second of the last mark in the file
        self._music: _Music | None = None
        self._line = _Line(beat, 0.0, beat_us / 1e6)
        self._broken = True
        self._run_beat = beat  # where the music began after the last stop or jump
        self._former = 0.0, beat_us / 1e6  # weight and slope of the lines before that
        self._pin: float | None = None  # what has to be added to a second of the file, once a mark was set in this run
        self._old = _Spread()  # the points that have left the window
        self._window: deque[tuple[float, float]] = deque()
        self._noise = _USUAL_POINTS * _USUAL_NOISE_S**2  # sum of squares
        self._noise_count = _USUAL_POINTS
        self._bin, self._bin_number = _Spread(), math.floor(beat * _BINS_PER_BEAT)

    @property
    def settled(self) -> float:
        """See `TempoMap`."""
        if self._old.number or self._pin is not None:
            return self._window[0][0] if self._window else self.marks[-1].beat
        return self._run_beat

    def start_bar(self, beat: float) -> None:
        """See `TempoMap`. A clock takes no notice of bar lines."""

    def add(self, second: float, beat: float, *, by_command: bool) -> None:  # noqa: ARG002 - a clock may change at any time
        """See `TempoMap`."""
        if self._music is None:
            self._music = _Music(second, beat)
            return
        second, is_break = self._music.passes(second, beat, self._line.beat_s)
        if is_break:
            self._broken = True
            return
        if self._broken:
            self._begin_run(beat)
        number = math.floor(beat * _BINS_PER_BEAT)
        if number > self._bin_number:
            self._end_bin(number)
        if beat >= self._run_beat + _UNSETTLED_BEATS:
            self._bin |= _Spread(1, beat, second)

    def _begin_run(self, beat: float) -> None:
        points, (weight, _) = self._points, self._former
        if points.number > 1 or self._pin is not None:
            self._former = weight + points.beats_2, self._line.beat_s
        self._broken, self._run_beat, self._pin = False, beat, None
        self._old, self._bin = _Spread(), _Spread()
        self._window.clear()

    def _end_bin(self, number: int) -> None:
        """A quarter of a beat is over; at each beat the tempo is fitted."""
        is_beat = number // _BINS_PER_BEAT > self._bin_number // _BINS_PER_BEAT
        if self._bin.number:
            self._window.append((self._bin.beat, self._bin.second))
        self._bin, self._bin_number = _Spread(), number
        if not is_beat or len(self._window) < 2:
            return
        self._line = self._fit(self._points)
        self._find_change()
        line = self._line = self._fit(self._points)
        while self._window and self._window[0][0] < self._window[-1][0] - _WINDOW_BEATS:
            beat, second = self._window.popleft()
            self._noise += (second - line.at(beat)) ** 2
            self._noise_count += 1
            self._old |= _Spread(1, beat, second)
        mark, beat_us = self.marks[-1], microseconds(line.beat_s)
        self.marks[-1] = TempoMark(mark.beat, beat_us)
        if abs(line.beat_s - beat_us / 1e6) * (self._window[-1][0] - mark.beat) > _ROUNDING_S:
            self._set_mark(self._window[-1][0], line, self._points)

    @property
    def _points(self) -> _Spread:
        return self._old | _spread(self._window)

    def _free_line(self, points: _Spread) -> _Line:
        """The line through points of this run since the last mark."""
        weight, slope = self._former
        total = points.beats_2 + weight
        return _Line(points.beat, points.second, (points.product + weight * slope) / total if total else slope)

    def _fit(self, points: _Spread) -> _Line:
        """The same, but if a mark was set in this run, it begins where the file has got to."""
        if self._pin is None:
            return self._free_line(points)
        mark = self.marks[-1]
        begin = mark.beat, self._mark_s + self._pin
        beats, seconds = points.beat - begin[0], points.second - begin[1]
        total = points.beats_2 + points.number * beats * beats
        product = points.product + points.number * beats * seconds
        return _Line(*begin, product / total if total else mark.beat_us / 1e6)

    def _find_change(self) -> None:
        """Set a mark if two lines fit much better than one."""
        points = self._points
        line = self._free_line(points)
        beats, seconds = np.array(self._window).T
        edges = np.concatenate([[self._run_beat], (beats[1:] + beats[:-1]) / 2])
        before = np.arange(len(edges)) + self._old.number
        possible = before >= _BINS_BEFORE
        possible[0] = self._former[0] > 0 and self._pin is None and not self._old.number
        edges = edges[possible]
        if not len(edges):
            return
        residuals = seconds - line.second - (beats - line.beat) * line.beat_s
        bends = np.maximum(0.0, beats[:, None] - edges[None, :])  # a line of slope 1 from each edge on
        about, weight = beats - points.beat, points.beats_2 + self._former[0]
        explained = bends.sum(0) ** 2 / points.number + (about @ bends) ** 2 / weight
        power = np.maximum((bends**2).sum(0) - explained, 1e-9)
        slopes = (residuals @ bends) / power
        gains = slopes**2 * power
        best = int(np.argmax(gains))
        variance = (self._noise + max(0.0, float(residuals @ residuals) - gains[best])) / (
            self._noise_count + len(beats)
        )
        if len(edges) - best < _BINS_AFTER:
            return
        if gains[best] > _SIGNIFICANCE * variance and abs(slopes[best]) * (beats[-1] - edges[best]) > _DRIFT_S:
            self._split(float(edges[best]))

    def _split(self, edge: float) -> None:
        """Set a mark near `edge`, where the lines through the points before and after it meet."""
        # The change may lie in the middle of a point, so that the points next to it fit neither line.
        before = [point for point in self._window if point[0] < edge][:-1]
        after = _spread([point for point in self._window if point[0] >= edge][1:])
        earlier = self._old | _spread(before)
        first = self._free_line(earlier)
        second = _Line(after.beat, after.second, after.product / after.beats_2)
        if not MIN_BEAT_S <= second.beat_s <= MAX_BEAT_S:
            return
        if not earlier.number:  # since a stop or a jump
            self._mark_s += (edge - self.marks[-1].beat) * self.marks[-1].beat_us / 1e6
            self.marks.append(TempoMark(edge, microseconds(second.beat_s)))
            self._former = 0.0, second.beat_s
            return
        meeting = min(_meeting(first, second, edge), self._window[-2][0])  # some points are left for the next line
        self._set_mark(max(meeting, self.marks[-1].beat, self.settled), self._fit(earlier), earlier)

    def _set_mark(self, beat: float, line: _Line, earlier: _Spread) -> None:
        """Set a mark on `beat`; `line` through the points `earlier` gives the tempo before it."""
        mark, beat_us = self.marks[-1], microseconds(line.beat_s)
        self.marks[-1] = TempoMark(mark.beat, beat_us)
        if self._pin is None:
            self._pin = line.at(earlier.beat) - self._mark_s - (earlier.beat - mark.beat) * beat_us / 1e6
        self._mark_s += (beat - mark.beat) * beat_us / 1e6
        self._former, self._old = (0.0, line.beat_s), _Spread()
        self._window = deque(point for point in self._window if point[0] > beat)
        self.marks.append(TempoMark(beat, beat_us))
        self.marks[-1] = TempoMark(beat, microseconds(self._fit(self._points).beat_s))


def _meeting(first: _Line, second: _Line, near: float) -> float:
    """The beat at which two lines meet, or `near` if they meet more than a beat from there."""
    bend = first.beat_s - second.beat_s
    beat = first.beat + (second.at(first.beat) - first.second) / bend if bend else near
    return beat if abs(beat - near) <= 1.0 else near


def microseconds(beat_s: float) -> int:
    """The length of a beat as a MIDI file has it, within the limits of a tempo."""
    return round(min(max(beat_s, MIN_BEAT_S), MAX_BEAT_S) * 1e6)


def take_tempo(header: TakeHeader) -> TempoMap:
    """The tempo map of a take that begins with this header."""
    beat_us, settings = microseconds(60 / header.settings.tempo.bpm), header.settings
    if settings.tempo.source == "internal":
        return ExactTempo(beat_us, header.first_beat, header.second if header.whole else None)
    return FittedTempo(beat_us, header.first_beat)
