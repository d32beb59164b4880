# SPDX-License-Identifier: Apache-2.0
"""The ticks of a MIDI clock -> a straight line from ticks to seconds: a phase-locked loop of second order.

A tick, 24 to the quarter note, says where the music is, but comes a little early or late. The filter holds a line,
the second of the last tick and the time from tick to tick, and answers each tick that comes by moving both a little
towards it (gains `ALPHA` and `BETA`): it is locked to the phase, so that no error of the tempo can add up to a drift.

- Acquired by least squares: the line through the first ticks, anew with each, up to `ACQUIRE`; then the loop.
- A tick is numbered by where it falls on the line: what falls on the last one again is a second copy, or the end of a
  jam that was counted already, and what falls further on tells that ticks were lost between. Only the first
  `COUNTED` ticks, when the line is not sure yet, are simply counted: of a tick lost among these nobody will know.
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

TICKS_A_BEAT = 24
SLOWEST_BPM, FASTEST_BPM = 20.0, 400.0
SHORTEST, LONGEST = (60.0 / (TICKS_A_BEAT * bpm) for bpm in (FASTEST_BPM, SLOWEST_BPM))
"""Seconds from tick to tick at the fastest and the slowest tempo."""
ACQUIRE = 32
COUNTED = 12
RECENT = 7
ALPHA, BETA = 0.11, 0.008
"""Gains of phase and period, a damping of 0.61. Jitter comes through by the root of about α/2 + β/2α; a tempo whose
period grows by c with each tick is followed c/β behind."""
_AGREE = 0.25  # periods; ticks no further off their own line agree on a tempo
_AS_GOOD = 1.001
_SURE = 8  # ticks whose own period is trusted more than the one known before
_GAP = 6  # ticks lost, after which the phase is taken anew
_ASTRAY = 0.25  # periods
PAST, _MOST_ODD, _ODD = 16 * TICKS_A_BEAT, 3, 2
_COARSE = 3.5  # periods
_FINE = 0.25  # periods; rounds shorter than that only make ticks a little late
_APART_S = 1.0  # so far apart, two ticks do not make a tempo


class ClockFilter:
    """Follows ticks. `period` is the time from tick to tick in seconds: before the second tick, that of `bpm`."""

    def __init__(self, bpm: float, rounds: float = 0.0) -> None:
        self.rounds = rounds
        """Seconds between the rounds in which the port carries messages; 0: it carries each at once."""
        self.period = _bounded(60.0 / (TICKS_A_BEAT * bpm))
        self.second = 0.0
        """Where the line has the last tick."""
        self.heard = 0.0
        """When the last tick came."""
        self.lost = 0
        """How many ticks never came."""
        self.known = False
        """Whether the tempo has been heard, and is not merely what was expected."""
        self._number = 0
        self._points: list[tuple[int, float]] = []  # number and second of the ticks that the line is acquired from
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._past: deque[tuple[int, float]] = deque(maxlen=PAST)
        self._coarse = False
        self._odd = 0  # ticks for which a step that was not one is to be thought of

    @property
    def bpm(self) -> float:
        """The tempo in quarter notes a minute."""
        return 60.0 / (TICKS_A_BEAT * self.period)

    @property
    def locked(self) -> bool:
        """Whether the line has been acquired, and the loop follows."""
        return len(self._points) >= ACQUIRE

    def tick(self, second: float) -> int:
        """Take the tick that came at `second`; by how many ticks the clock is further now.

        0: it was no new one. More than 1: some were lost before it. Less than 0: ticks of a tempo that has jumped had
        been taken for more than they were.
        """
        before = self._number
        second = max(second, self.heard)
        if not self.known and second - self.heard > _APART_S:
            self._points = []
        step = self._steps_to(second)
        if step:
            self._number += step
            self.lost += step - 1
            self._follow(second, step)
        self.heard = second
        self._recent.append((self._number, second))
        self._past.append((self._number, second))
        if step != 1:
            self._odd = RECENT
        if self._odd:
            self._odd -= 1
            self._heed_jump()
            self._heed_coarseness()
        return self._number - before

    def seat(self, second: float) -> None:
        """The music begins with the tick at `second`: unless it falls where a tick was due, the phase is a new one."""
        if abs(self._off(second)) > _ASTRAY or second - self.heard > _GAP * self.period:
            self._points = []

    def _steps_to(self, second: float) -> int:
        if not self._points or not self.known:
            return 1
        if self._coarse and second - self.heard < _COARSE * self.period:
            return 1
        return max(0, round((second - self.second) / self.period))

    def _off(self, second: float) -> float:
        """How far `second` is from the nearest tick of the line, in periods."""
        ticks = (second - self.second) / self.period
        return ticks - round(ticks)

    # -- the line

    def _follow(self, second: float, step: int) -> None:
        if step > _GAP:
            self._points = []
        if not self.locked:
            self._points.append((self._number, second))
            self._acquire()
            return
        due = self.second + step * self.period
        self.second = due + ALPHA * (second - due)
        self.period = _bounded(self.period + BETA * (second - due) / step)

    def _acquire(self) -> None:
        """Lay the line through the points; by a few of them its phase only, if the tempo is known."""
        points = self._points
        if len(points) >= (_SURE if self.known else 2):
            self.period = _bounded(_slope(points))
        number, second = _middle(points)
        self.second = second + (self._number - number) * self.period
        self.known = self.known or len(points) >= COUNTED

    def _heed_jump(self) -> None:
        """Number the last ticks as they came, if that makes a better line of them than numbering them by the old one.

        To one that was lost among them, and to a jam, the old line does better.
        """
        first = self._recent[0][0]
        last = first + RECENT - 1
        if len(self._recent) < RECENT or not self.known or self._number == last:
            return
        came = [(first + place, second) for place, (_, second) in enumerate(self._recent)]
        off, period = _spread(came), _slope(came)
        if not SHORTEST <= period <= LONGEST or off > min(_AGREE * period, _AS_GOOD * _spread(self._recent)):
            return
        self.lost = max(0, self.lost + last - self._number)
        self.period = period
        self._renumber(came)

    def _heed_coarseness(self) -> None:
        """Count the ticks as they came, from now on too, if more seem lost, or double, than ever are."""
        if self._coarse or not self.known or self.rounds < _FINE * self.period:
            return
        if sum(step != 1 for step in _steps(self._recent)) > _ODD:
            return
        steps = _steps(self._past)
        if min(abs(steps.count(2) - steps.count(0)), abs(sum(steps) - len(steps))) < _MOST_ODD:
            return
        self._coarse = True
        numbers = accumulate((step if step > 2 else 1 for step in steps), initial=self._past[0][0])
        came = [(number, second) for number, (_, second) in zip(numbers, self._past, strict=True)]
        self.lost = max(0, self.lost + came[-1][0] - self._number)
        self._renumber(came)

    def _renumber(self, came: list[tuple[int, float]]) -> None:
        """The last ticks were `came`: the line is acquired from them."""
        self._number, self._points = came[-1][0], came[-ACQUIRE:]
        self._recent = deque(came, RECENT)
        for _ in came[1:]:
            self._past.pop()
        self._past.extend(came[1:])
        self._acquire()


def _steps(points: Iterable[tuple[int, float]]) -> list[int]:
    return [after - before for (before, _), (after, _) in pairwise(points)]


def _bounded(period: float) -> float:
    return min(max(period, SHORTEST), LONGEST)


def _spread(points: Sequence[tuple[int, float]]) -> float:
    """The root of the mean square, in seconds, by which `points` are off their line of least squares."""
    (middle, mean), slope = _middle(points), _slope(points)
    return math.hypot(*(second - mean - (number - middle) * slope for number, second in points)) / math.sqrt(
        len(points)
    )


def _middle(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """The mean number and the mean second: the line of least squares goes through it."""
    return sum(number for number, _ in points) / len(points), sum(second for _, second in points) / len(points)


def _slope(points: Sequence[tuple[int, float]]) -> float:
    """Seconds from tick to tick on the line of least squares; 0 where all points have the same number."""
    middle, mean = _middle(points)
    spread = sum((number - middle) ** 2 for number, _ in points)
    return sum((number - middle) * (second - mean) for number, second in points) / spread if spread else 0.0
