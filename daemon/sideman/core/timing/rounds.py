# SPDX-License-Identifier: Apache-2.0
"""The ticks of a clock that a port delivers in rounds: which lines explain them.

A line gives each tick its second. It explains a tick if the tick arrives neither before its second nor more than one
round after it, but for `JITTER_S`. In a round that delivers several ticks, the first and the last say all.
"""

from __future__ import annotations

import math

JITTER_S = 0.001
"""How far a tick may miss its round before a line no longer explains it."""
_HELD_UP_TICKS = 12
_MAX_POINTS = 48  # with two points a round at most, 24 rounds or more; with a tick a round, two beats
_TRUSTED_POINTS, _TRUSTED_ROUNDS = 8, 3  # from these numbers on, the ticks show the period


class RoundedTicks:
    """The last ticks that came in rounds of `rounds_s`."""

    def __init__(self, rounds_s: float) -> None:
        self._rounds_s = rounds_s
        self._points: list[tuple[int, float]] = []  # number and arrival, the oldest first
        self._held_up: tuple[int, float] | None = None  # the last tick that was left out

    def add(self, number: int, arrival_s: float) -> None:
        """Take in the tick `number`."""
        points = self._points
        if len(points) > 1 and arrival_s - points[-2][1] < self._rounds_s / 2:
            points.pop()  # it lies within a round
        points.append((number, arrival_s))
        del points[:-_MAX_POINTS]

    def is_held_up(self, number: int, arrival_s: float, second: float, period_s: float) -> bool:
        """Whether the tick `number`, on the line at `second`, is a single one that is later than its round allows.

        Then the machine was busy, and the tick says nothing. If another is late soon after it, both are to be believed.
        """
        _, latest = self.shifts(number, second, period_s)
        if not self.tell_period or arrival_s - self._rounds_s - second <= latest + 2 * JITTER_S:
            return False
        held_up, self._held_up = self._held_up, (number, arrival_s)
        if held_up is None or number - held_up[0] > _HELD_UP_TICKS:
            return True
        self._points = sorted([*self._points, held_up])
        self._held_up = None
        return False

    @property
    def tell_period(self) -> bool:
        """Whether the ticks are enough to tell the time from tick to tick."""
        points = self._points
        return len(points) >= _TRUSTED_POINTS and points[-1][1] - points[0][1] >= _TRUSTED_ROUNDS * self._rounds_s

    def shifts(self, number: int, second: float, period_s: float) -> tuple[float, float]:
        """Return by how much the line with the tick `number` at `second` has to move, at least and at most.

        If the first is greater than the second, no line of this period explains all ticks.
        """
        waits = [arrival_s - second - (other - number) * period_s for other, arrival_s in self._points]
        return max(waits, default=-math.inf) - self._rounds_s, min(waits, default=math.inf)

    def drop_unexplained(self) -> float:
        """Keep the latest ticks that one line explains; returns the middle of the periods of such lines, 0: unknown."""
        shortest, longest, tolerance_s = 0.0, math.inf, self._rounds_s + 2 * JITTER_S
        kept: list[tuple[int, float]] = []
        for number, arrival_s in reversed(self._points):
            least, most = shortest, longest
            for later, later_s in kept:
                least = max(least, (later_s - arrival_s - tolerance_s) / (later - number))
                most = min(most, (later_s - arrival_s + tolerance_s) / (later - number))
            if least > most:
                break
            shortest, longest = least, most
            kept.append((number, arrival_s))
        self._points = kept[::-1]
        return (shortest + longest) / 2 if self.tell_period else 0.0
