# SPDX-License-Identifier: Apache-2.0
"""Smooths the ticks of a MIDI clock: a second-order phase-locked loop.

A tick (24 a quarter note) arrives a little early or late. The loop keeps a line: the second of the last tick and the
period, the time from tick to tick. Every tick moves both a little towards what was measured (gains `ALPHA` and `BETA`).
Because the loop is locked to the phase, an error of the tempo cannot add up to a drift.

- **Acquisition**: the line is fitted by least squares through the first ticks, again with each tick, up to
  `ACQUIRE_TICKS`. Then the loop takes over.
- **Numbering**: a tick gets the number at which it falls on the line. A tick that falls on the last number again is a
  second copy, or belongs to a jam of ticks that were counted before; a tick that falls further on means that ticks were
  lost in between. The first `COUNTED_TICKS` ticks, while the line is uncertain, are simply counted: a loss among them
  goes unnoticed.
- **Tempo jump**: if the last `RECENT` ticks, numbered one by one, fit a straight line with another tempo at least as
  well as they fit the current one (residual below `_AGREE` periods), they are renumbered and the line is fitted to
  them.
- **Coarse ports**: a port that delivers its messages in rounds (JACK: every 21 ms with 1,024 frames) moves the ticks to
  its rounds, so that now and then a tick seems lost or doubled. If that happens three times in sixteen beats, all these
  ticks are renumbered one by one, and later ticks are only counted. Ticks that are really lost look the same; therefore
  this is done only if the port is known to be coarse (`port_period_s`).
- **Gaps**: after more than `_GAP_TICKS` lost ticks, or if the music starts off the line by more than
  `_PHASE_TOLERANCE` (`restart_phase`), the tempo is kept and the phase is taken from the next ticks.
- **Limits**: a clock slower than 20 or faster than 400 beats a minute is followed at that limit.

Delays that are never early (a busy machine, a slow cable) move the line by their mean; `play.offset_ms` corrects that.
A second earlier than the last one counts as the last one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

CLOCK_TICKS_PER_BEAT = 24
CLOCK_TICKS_PER_SIXTEENTH = CLOCK_TICKS_PER_BEAT // 4
SLOWEST_BPM, FASTEST_BPM = 20.0, 400.0
SHORTEST_PERIOD_S, LONGEST_PERIOD_S = (60.0 / (CLOCK_TICKS_PER_BEAT * bpm) for bpm in (FASTEST_BPM, SLOWEST_BPM))
"""The periods of the fastest and the slowest tempo."""
ACQUIRE_TICKS = 32
COUNTED_TICKS = 12
RECENT = 7
ALPHA, BETA = 0.11, 0.008
"""The gains of phase and period; the damping is 0.61. Jitter is reduced to about the root of α/2 + β/2α of itself. If
the period grows by c with every tick, the line is c/β behind."""
_AGREE = 0.25  # periods; the greatest residual of ticks that agree on a tempo
_EQUAL_FIT_RATIO = 1.001  # a residual greater by this factor is still as good a fit
_TRUSTED_TICKS = 8  # from this many ticks on, their period replaces the one known before
_GAP_TICKS = 6
_PHASE_TOLERANCE = 0.25  # periods
HISTORY_TICKS, _MIN_IRREGULAR_STEPS, _MAX_RECENT_IRREGULAR = 16 * CLOCK_TICKS_PER_BEAT, 3, 2
_COARSE_PERIODS = 3.5  # periods; with a coarse port a shorter gap means no lost tick
_FINE_PERIODS = 0.25  # periods; a port with shorter rounds is not coarse, its ticks are only a little late
_MAX_FIRST_GAP_S = 1.0  # two ticks further apart than this do not give a tempo


class ClockPLL:
    """Follows the ticks of a clock. `period_s` is the time from tick to tick; before the second tick, that of `bpm`."""

    def __init__(self, bpm: float) -> None:
        self.port_period_s = 0.0
        """The period of the rounds in which the port delivers messages; 0 if it delivers each message at once."""
        self.period_s = _clamp_period(60.0 / (CLOCK_TICKS_PER_BEAT * bpm))
        self.last_tick_s = 0.0
        """The second of the last tick on the line."""
        self.last_arrival_s = 0.0
        """The second at which the last tick arrived."""
        self.tempo_known = False
        """Whether the tempo was measured; otherwise it is the one expected."""
        self._tick_number = 0
        self._points: list[tuple[int, float]] = []  # number and second of the ticks that the line is fitted to
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._history: deque[tuple[int, float]] = deque(maxlen=HISTORY_TICKS)
        self._coarse = False
        self._irregular_ticks_left = 0  # for this many ticks an irregular step is remembered

    @property
    def bpm(self) -> float:
        """The tempo in quarter notes a minute."""
        return 60.0 / (CLOCK_TICKS_PER_BEAT * self.period_s)

    @property
    def locked(self) -> bool:
        """Whether the acquisition is over and the loop follows."""
        return len(self._points) >= ACQUIRE_TICKS

    def receive_tick(self, second: float) -> int:
        """Take in a tick that arrived at `second`; returns by how many ticks the clock has advanced.

        0: it was a second copy. More than 1: ticks before it were lost. Less than 0: ticks are renumbered after a tempo
        jump, and had been counted as too many.
        """
        before = self._tick_number
        second = max(second, self.last_arrival_s)
        if not self.tempo_known and second - self.last_arrival_s > _MAX_FIRST_GAP_S:
            self._points = []
        step = 1
        only_counted = self._coarse and second - self.last_arrival_s < _COARSE_PERIODS * self.period_s
        if self._points and self.tempo_known and not only_counted:
            step = max(0, round((second - self.last_tick_s) / self.period_s))
        if step:
            self._tick_number += step
            if step > _GAP_TICKS:
                self._points = []
            if self.locked:
                expected = self.last_tick_s + step * self.period_s
                self.last_tick_s = expected + ALPHA * (second - expected)
                self.period_s = _clamp_period(self.period_s + BETA * (second - expected) / step)
            else:
                self._points.append((self._tick_number, second))
                self._acquire()
        self.last_arrival_s = second
        self._recent.append((self._tick_number, second))
        self._history.append((self._tick_number, second))
        if step != 1:
            self._irregular_ticks_left = RECENT
        if self._irregular_ticks_left:
            self._irregular_ticks_left -= 1
            self._detect_tempo_jump()
            self._detect_coarse_timing()
        return self._tick_number - before

    def restart_phase(self, second: float) -> None:
        """The music starts with the tick at `second`: take the phase from it, unless a tick was expected there."""
        ticks = (second - self.last_tick_s) / self.period_s
        has_gap = second - self.last_arrival_s > _GAP_TICKS * self.period_s
        if has_gap or abs(ticks - round(ticks)) > _PHASE_TOLERANCE:
            self._points = []

    # -- the line

    def _acquire(self) -> None:
        """Fit the line to the points; if the tempo is known, the first points fit only its phase."""
        points = self._points
        number, second, period_s = _fitted_line(points)
        if len(points) >= (_TRUSTED_TICKS if self.tempo_known else 2):
            self.period_s = _clamp_period(period_s)
        self.last_tick_s = second + (self._tick_number - number) * self.period_s
        self.tempo_known = self.tempo_known or len(points) >= COUNTED_TICKS

    def _detect_tempo_jump(self) -> None:
        """Renumber the last ticks one by one if they then fit a line at least as well as with their numbers.

        After a lost tick or a jam their numbers fit better.
        """
        first = self._recent[0][0]
        last = first + RECENT - 1
        if len(self._recent) < RECENT or not self.tempo_known or self._tick_number == last:
            return
        points = [(first + index, second) for index, (_, second) in enumerate(self._recent)]
        residual, (_, _, period) = _residual_s(points), _fitted_line(points)
        largest_residual = min(_AGREE * period, _EQUAL_FIT_RATIO * _residual_s(self._recent))
        if not SHORTEST_PERIOD_S <= period <= LONGEST_PERIOD_S or residual > largest_residual:
            return
        self.period_s = period
        self._renumber(points)

    def _detect_coarse_timing(self) -> None:
        """If too many ticks seem lost or doubled, renumber them one by one and only count from now on."""
        if self._coarse or not self.tempo_known or self.port_period_s < _FINE_PERIODS * self.period_s:
            return
        if sum(step != 1 for step in _steps(self._recent)) > _MAX_RECENT_IRREGULAR:
            return
        steps = _steps(self._history)
        if min(abs(steps.count(2) - steps.count(0)), abs(sum(steps) - len(steps))) < _MIN_IRREGULAR_STEPS:
            return
        self._coarse = True
        numbers = accumulate((step if step > 2 else 1 for step in steps), initial=self._history[0][0])
        points = [(number, second) for number, (_, second) in zip(numbers, self._history, strict=True)]
        self._renumber(points)

    def _renumber(self, points: list[tuple[int, float]]) -> None:
        """Replace the last ticks by `points` and fit the line to them."""
        self._tick_number, self._points = points[-1][0], points[-ACQUIRE_TICKS:]
        self._recent = deque(points, RECENT)
        for _ in points[1:]:
            self._history.pop()
        self._history.extend(points[1:])
        self._acquire()


def _steps(points: Iterable[tuple[int, float]]) -> list[int]:
    """Return the differences of the numbers of successive points."""
    return [after - before for (before, _), (after, _) in pairwise(points)]


def _clamp_period(period: float) -> float:
    return min(max(period, SHORTEST_PERIOD_S), LONGEST_PERIOD_S)


def _residual_s(points: Sequence[tuple[int, float]]) -> float:
    """Return the root mean square distance, in seconds, of `points` from their line of least squares."""
    mean_number, mean_s, slope = _fitted_line(points)
    errors = (second - mean_s - (number - mean_number) * slope for number, second in points)
    return math.hypot(*errors) / math.sqrt(len(points))


def _fitted_line(points: Sequence[tuple[int, float]]) -> tuple[float, float, float]:
    """Return the line of least squares: its mean number and second, and its period (0 if all numbers are equal)."""
    mean_number, mean_s = (sum(column) / len(points) for column in zip(*points, strict=True))
    spread = sum((number - mean_number) ** 2 for number, _ in points)
    products = sum((number - mean_number) * (second - mean_s) for number, second in points)
    return mean_number, mean_s, products / spread if spread else 0.0


def next_sixteenth(tick: int) -> int:
    """Return the first tick after `tick` that lies on a sixteenth, so that its position can be sent."""
    return (tick // CLOCK_TICKS_PER_SIXTEENTH + 1) * CLOCK_TICKS_PER_SIXTEENTH
