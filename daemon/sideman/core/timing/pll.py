# SPDX-License-Identifier: Apache-2.0
"""The ticks of a MIDI clock -> a straight line from ticks to seconds: a phase-locked loop of second order.

A tick, 24 to the quarter note, says where the music is, but comes a little early or late. The filter holds a line,
the second of the last tick and the time from tick to tick, and answers each tick that comes by moving both a little
towards it (gains `ALPHA` and `BETA`): it is locked to the phase, so that no error of the tempo can add up to a drift.

- Acquired by least squares: the line through the first ticks, anew with each, up to `ACQUIRE_TICKS`; then the loop.
- A tick is numbered by where it falls on the line: what falls on the last one again is a second copy, or the end of a
  jam that was counted already, and what falls further on tells that ticks were lost between. Only the first
  `COUNTED_TICKS` ticks, when the line is not sure yet, are simply counted: of a tick lost among these nobody will know.
- A jump of the tempo: when the last `RECENT` ticks, counted as they came, agree on a tempo of their own, and make no
  worse a line so than as they were numbered, they are numbered anew, and the line is acquired from them.
- A port that carries messages in rounds (JACK: 21 ms at 1,024 frames) makes of a clock one of the round's tempo, with
  a tick that seems lost, or comes twice, now and then. So when three in sixteen beats do, all are numbered as they
  came, and only counted from then on. Ticks that are really lost look alike; hence it has to be known of the port.
- After a gap, and where the phase is off by more than a quarter of a tick (`seat`), the tempo is kept and the phase
  taken from the ticks that come.
- A clock slower than 20 or faster than 400 beats a minute is followed at that limit.

Delays that are never early (a busy machine, a slow cable) move the line by their mean: `play.offset_ms` is there for
that. Seconds that go backward are taken for the latest seen. Pure: seconds come in, nothing is read.
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
"""Seconds from tick to tick at the fastest and the slowest tempo."""
ACQUIRE_TICKS = 32
COUNTED_TICKS = 12
RECENT = 7
ALPHA, BETA = 0.11, 0.008
"""Gains of phase and period, a damping of 0.61. Jitter comes through by the root of about α/2 + β/2α; a tempo whose
period grows by c with each tick is followed c/β behind."""
_AGREE = 0.25  # periods; ticks no further off their own line agree on a tempo
_EQUAL_FIT_RATIO = 1.001
_TRUSTED_TICKS = 8  # ticks whose own period is trusted more than the one known before
_GAP_TICKS = 6  # ticks lost, after which the phase is taken anew
_PHASE_TOLERANCE = 0.25  # periods
HISTORY_TICKS, _MIN_IRREGULAR_STEPS, _MAX_RECENT_IRREGULAR = 16 * CLOCK_TICKS_PER_BEAT, 3, 2
_COARSE_PERIODS = 3.5  # periods
_FINE_PERIODS = 0.25  # periods; rounds shorter than that only make ticks a little late
_MAX_FIRST_GAP_S = 1.0  # so far apart, two ticks do not make a tempo


class ClockPLL:
    """Follows ticks. `period_s` is the time from tick to tick in seconds: before the second tick, that of `bpm`."""

    def __init__(self, bpm: float, port_period_s: float = 0.0) -> None:
        self.port_period_s = port_period_s
        """Seconds between the rounds in which the port carries messages; 0: it carries each at once."""
        self.period_s = _clamp_period(60.0 / (CLOCK_TICKS_PER_BEAT * bpm))
        self.last_tick_s = 0.0
        """Where the line has the last tick."""
        self.last_arrival_s = 0.0
        """When the last tick came."""
        self.lost_ticks = 0
        """How many ticks never came."""
        self.tempo_known = False
        """Whether the tempo has been heard, and is not merely what was expected."""
        self._tick_number = 0
        self._points: list[tuple[int, float]] = []  # number and second of the ticks that the line is acquired from
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._history: deque[tuple[int, float]] = deque(maxlen=HISTORY_TICKS)
        self._coarse = False
        self._irregular_ticks_left = 0  # ticks for which a step that was not one is to be thought of

    @property
    def bpm(self) -> float:
        """The tempo in quarter notes a minute."""
        return 60.0 / (CLOCK_TICKS_PER_BEAT * self.period_s)

    @property
    def locked(self) -> bool:
        """Whether the line has been acquired, and the loop follows."""
        return len(self._points) >= ACQUIRE_TICKS

    def receive_tick(self, second: float) -> int:
        """Take the tick that came at `last_tick_s`; by how many ticks the clock is further now.

        0: it was no new one. More than 1: some were lost before it. Less than 0: ticks of a tempo that has jumped had
        been taken for more than they were.
        """
        before = self._tick_number
        second = max(second, self.last_arrival_s)
        if not self.tempo_known and second - self.last_arrival_s > _MAX_FIRST_GAP_S:
            self._points = []
        step = self._ticks_until(second)
        if step:
            self._tick_number += step
            self.lost_ticks += step - 1
            self._track(second, step)
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
        """Start the music with the tick at `last_tick_s`. Take its phase, unless it falls where a tick was expected."""
        if (
            abs(self._phase_error(second)) > _PHASE_TOLERANCE
            or second - self.last_arrival_s > _GAP_TICKS * self.period_s
        ):
            self._points = []

    def _ticks_until(self, second: float) -> int:
        if not self._points or not self.tempo_known:
            return 1
        if self._coarse and second - self.last_arrival_s < _COARSE_PERIODS * self.period_s:
            return 1
        return max(0, round((second - self.last_tick_s) / self.period_s))

    def _phase_error(self, second: float) -> float:
        """How far `last_tick_s` is from the nearest tick of the line, in periods."""
        ticks = (second - self.last_tick_s) / self.period_s
        return ticks - round(ticks)

    # -- the line

    def _track(self, second: float, step: int) -> None:
        if step > _GAP_TICKS:
            self._points = []
        if not self.locked:
            self._points.append((self._tick_number, second))
            self._acquire()
            return
        due = self.last_tick_s + step * self.period_s
        self.last_tick_s = due + ALPHA * (second - due)
        self.period_s = _clamp_period(self.period_s + BETA * (second - due) / step)

    def _acquire(self) -> None:
        """Lay the line through the points; by a few of them its phase only, if the tempo is known."""
        points = self._points
        if len(points) >= (_TRUSTED_TICKS if self.tempo_known else 2):
            self.period_s = _clamp_period(_slope_s(points))
        number, second = _mean_point(points)
        self.last_tick_s = second + (self._tick_number - number) * self.period_s
        self.tempo_known = self.tempo_known or len(points) >= COUNTED_TICKS

    def _detect_tempo_jump(self) -> None:
        """Number the last ticks as they came, if that makes a better line of them than numbering them by the old one.

        To one that was lost among them, and to a jam, the old line does better.
        """
        first = self._recent[0][0]
        last = first + RECENT - 1
        if len(self._recent) < RECENT or not self.tempo_known or self._tick_number == last:
            return
        came = [(first + place, second) for place, (_, second) in enumerate(self._recent)]
        off, period = _residual_s(came), _slope_s(came)
        if not SHORTEST_PERIOD_S <= period <= LONGEST_PERIOD_S or off > min(
            _AGREE * period, _EQUAL_FIT_RATIO * _residual_s(self._recent)
        ):
            return
        self.lost_ticks = max(0, self.lost_ticks + last - self._tick_number)
        self.period_s = period
        self._renumber(came)

    def _detect_coarse_timing(self) -> None:
        """Count the ticks as they came, from now on too, if more seem lost, or double, than ever are."""
        if self._coarse or not self.tempo_known or self.port_period_s < _FINE_PERIODS * self.period_s:
            return
        if sum(step != 1 for step in _steps(self._recent)) > _MAX_RECENT_IRREGULAR:
            return
        steps = _steps(self._history)
        if min(abs(steps.count(2) - steps.count(0)), abs(sum(steps) - len(steps))) < _MIN_IRREGULAR_STEPS:
            return
        self._coarse = True
        numbers = accumulate((step if step > 2 else 1 for step in steps), initial=self._history[0][0])
        came = [(number, second) for number, (_, second) in zip(numbers, self._history, strict=True)]
        self.lost_ticks = max(0, self.lost_ticks + came[-1][0] - self._tick_number)
        self._renumber(came)

    def _renumber(self, points: list[tuple[int, float]]) -> None:
        """The last ticks were `came`: the line is acquired from them."""
        self._tick_number, self._points = points[-1][0], points[-ACQUIRE_TICKS:]
        self._recent = deque(points, RECENT)
        for _ in points[1:]:
            self._history.pop()
        self._history.extend(points[1:])
        self._acquire()


def _steps(points: Iterable[tuple[int, float]]) -> list[int]:
    return [after - before for (before, _), (after, _) in pairwise(points)]


def _clamp_period(period: float) -> float:
    return min(max(period, SHORTEST_PERIOD_S), LONGEST_PERIOD_S)


def _residual_s(points: Sequence[tuple[int, float]]) -> float:
    """The root of the mean square, in seconds, by which `points` are off their line of least squares."""
    (middle, mean), slope = _mean_point(points), _slope_s(points)
    return math.hypot(*(second - mean - (number - middle) * slope for number, second in points)) / math.sqrt(
        len(points)
    )


def _mean_point(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """The mean number and the mean second: the line of least squares goes through it."""
    return sum(number for number, _ in points) / len(points), sum(second for _, second in points) / len(points)


def _slope_s(points: Sequence[tuple[int, float]]) -> float:
    """Seconds from tick to tick on the line of least squares; 0 where all points have the same number."""
    middle, mean = _mean_point(points)
    spread = sum((number - middle) ** 2 for number, _ in points)
    return sum((number - middle) * (second - mean) for number, second in points) / spread if spread else 0.0


def next_sixteenth(tick: int) -> int:
    """Return the first tick after `tick` that lies on a sixteenth, so that its position can be sent."""
    return (tick // CLOCK_TICKS_PER_SIXTEENTH + 1) * CLOCK_TICKS_PER_SIXTEENTH
