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
- **Rounds**: a port can deliver its messages in rounds (JACK: every 21 ms with 1,024 frames). Short rounds are jitter
  like any other. In rounds of `_LONG_ROUNDS_S` and more, a tick waits for the end of its round, so the line is half a
  round before the arrivals; and a loop would follow the pattern of the waits. So there the line is any that explains
  the last ticks (`RoundedTicks`). As long as the present line explains them, it stays; else it moves as little as
  possible; if no phase explains them, the tempo is taken from the latest ticks that one line explains. In rounds longer
  than `_HIDING_ROUNDS`, a lost tick looks like one that waits; so ticks are only counted there.
- **Change of the rounds** (`change_rounds`): it is known only some time after it has happened. So the line goes back to
  where it was `RECOUNT_S` before; the ticks since then are counted one by one.
- **Gaps**: after more than `_GAP_TICKS` lost ticks, or if the music starts off the line by more than
  `_PHASE_TOLERANCE` (`restart_phase`), the tempo is kept and the phase is taken from the next ticks.
- **Limits**: a clock slower than 20 or faster than 400 beats a minute is followed at that limit.

Other delays that are never early (a busy machine, a slow cable) move the line by their mean; `play.offset_ms` corrects
that.
A second earlier than the last one counts as the last one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from sideman.core.timing.rounds import JITTER_S, RoundedTicks

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
_LONG_ROUNDS_S = 0.002
_HIDING_ROUNDS = 0.4  # periods; in longer rounds a lost tick looks like one that waits
_STRAY_TICKS = 12  # this many ticks in a row that are far off the line are a new line
_WAITING_PERIODS = 12  # periods, besides a round; after a shorter gap no tick of a port with long rounds counts as lost
RECOUNT_S = 1.0
"""For how long at most a change of the rounds goes unnoticed."""
_HISTORY_TICKS = 512  # at the fastest tempo there are 160 in a second
_LIMIT_TICKS = 64
_MAX_FIRST_GAP_S = 1.0  # two ticks further apart than this do not give a tempo


class _Line(NamedTuple):
    """How the line was after the tick `number`, which arrived at `arrival_s`."""

    arrival_s: float
    number: int
    last_tick_s: float
    period_s: float


class ClockPLL:
    """Follows the ticks of a clock. `period_s` is the time from tick to tick; before the second tick, that of `bpm`."""

    def __init__(self, bpm: float) -> None:
        self._rounds_s = 0.0  # of the port; 0 if they are short
        self._rounded = RoundedTicks(0.0)
        self._settle_s, self._settled_at = (
            0.0,
            -math.inf,
        )  # how long, and until when ticks come that waited in two kinds of rounds
        self.period_s = _clamp_period(60.0 / (CLOCK_TICKS_PER_BEAT * bpm))
        self.last_tick_s = 0.0
        """The second of the last tick on the line."""
        self.last_arrival_s = 0.0
        """The second at which the last tick arrived."""
        self.tempo_known = False
        """Whether the tempo was measured; otherwise it is the one expected."""
        self._tick_number = 0
        self._points: list[tuple[int, float]] = []  # number and second of the ticks that the line is fitted to
        self._fitted_ticks = 0  # by how many ticks the line was moved since its phase was taken
        self._strays: list[tuple[int, float]] = []  # the last ticks, as far as they are far off the line
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._lines: deque[_Line] = deque(maxlen=_HISTORY_TICKS)
        self._irregular_ticks_left = 0  # for this many ticks an irregular step is remembered

    @property
    def bpm(self) -> float:
        """The tempo in quarter notes a minute."""
        return 60.0 / (CLOCK_TICKS_PER_BEAT * self.period_s)

    @property
    def locked(self) -> bool:
        """Whether the acquisition is over and the loop follows."""
        return self._fitted_ticks >= ACQUIRE_TICKS

    def receive_tick(self, second: float) -> int:
        """Take in a tick that arrived at `second`; returns by how many ticks the clock has advanced.

        0: it was a second copy. More than 1: ticks before it were lost. Less than 0: ticks are renumbered after a tempo
        jump, and had been counted as too many.
        """
        before = self._tick_number
        second = max(second, self.last_arrival_s)
        if not self.tempo_known and second - self.last_arrival_s > _MAX_FIRST_GAP_S:
            self._restart_line()
        step = self._step_to(second)
        if step:
            self._tick_number += step
            if step > _GAP_TICKS:
                self._restart_line()
            self._move_line(second, step)
        self.last_arrival_s = second
        self._recent.append((self._tick_number, second))
        if step != 1:
            self._irregular_ticks_left = RECENT
        if self._irregular_ticks_left:
            self._irregular_ticks_left -= 1
            self._detect_tempo_jump()
        self._lines.append(_Line(second, self._tick_number, self.last_tick_s, self.period_s))
        return self._tick_number - before

    def restart_phase(self, second: float) -> None:
        """The music starts with the tick at `second`: take the phase from it, unless a tick was expected there."""
        ticks = (second - self._rounds_s / 2 - self.last_tick_s) / self.period_s
        has_gap = second - self.last_arrival_s > _GAP_TICKS * self.period_s
        if has_gap or abs(ticks - round(ticks)) > _PHASE_TOLERANCE + self._rounds_s / 2 / self.period_s:
            self._restart_line()
        self._lines.clear()  # what was counted before the start stays as it is

    def change_rounds(self, rounds_s: float) -> int:
        """The port delivers in rounds of `rounds_s` now; returns by how many ticks the count was wrong since then."""
        rounds_s = rounds_s if rounds_s >= _LONG_ROUNDS_S else 0.0
        if rounds_s == self._rounds_s:
            return 0
        self._settle_s = rounds_s + self._rounds_s if self.tempo_known else 0.0
        self._rounds_s = rounds_s
        self._restart_line()
        if rounds_s and self.tempo_known:
            self._fitted_ticks = ACQUIRE_TICKS  # the line holds until it no longer explains the ticks
        self._recent.clear()
        before = self._tick_number
        since = [line for line in self._lines if line.arrival_s >= self.last_arrival_s - RECOUNT_S]
        self._lines.clear()
        if since and self.tempo_known:
            ticks, self.period_s = len(since) - 1, since[0].period_s
            self._tick_number = since[0].number + ticks
            self.last_tick_s = since[0].last_tick_s + ticks * self.period_s
        return self._tick_number - before

    # -- the line

    def _restart_line(self) -> None:
        """Take the phase from the next ticks."""
        self._points, self._strays, self._fitted_ticks = [], [], 0
        self._rounded = RoundedTicks(self._rounds_s)

    def _step_to(self, second: float) -> int:
        """Return by how many ticks the tick that arrived at `second` is further than the last one."""
        settles = self._settle_s or second < self._settled_at
        is_near = second - self.last_arrival_s < self._rounds_s + _WAITING_PERIODS * self.period_s
        hidden = self._rounds_s > _HIDING_ROUNDS * self.period_s and is_near
        if not self._fitted_ticks or not self.tempo_known or settles or hidden:
            return 0 if self._rounds_s and self._is_beyond_limit(second) else 1
        off_s = second - self._rounds_s / 2 - self.last_tick_s - self.period_s
        off_s -= min(max(off_s, -self._rounds_s / 2), self._rounds_s / 2)
        return max(0, 1 + round(off_s / self.period_s))

    def _is_beyond_limit(self, second: float) -> bool:
        """Whether one more tick at `second` would make a tempo beyond the limit."""
        if len(self._lines) < _LIMIT_TICKS:
            return False
        past = self._lines[-_LIMIT_TICKS]
        fewest_s = (self._tick_number + 1 - past.number) * SHORTEST_PERIOD_S
        return second - past.arrival_s + self._rounds_s < fewest_s

    def _move_line(self, arrival_s: float, step: int) -> None:
        """Move the line to its next tick."""
        expected = self.last_tick_s + step * self.period_s
        if self._settle_s:
            self._settled_at, self._settle_s = arrival_s + self._settle_s, 0.0
        if arrival_s < self._settled_at:
            self.last_tick_s = expected
        elif self._rounds_s:
            self.last_tick_s = expected
            self._explain_tick(self._rounded, arrival_s)
        elif self.locked:
            self.last_tick_s = expected + ALPHA * (arrival_s - expected)
            self.period_s = _clamp_period(self.period_s + BETA * (arrival_s - expected) / step)
        else:
            self._points.append((self._tick_number, arrival_s))
            self._fitted_ticks += 1
            self._acquire()

    def _explain_tick(self, ticks: RoundedTicks, arrival_s: float) -> None:
        """Move the line, which has come to its next tick, so that it explains the last ticks."""
        off_s = arrival_s - self._rounds_s / 2 - self.last_tick_s
        if ticks.tell_period and abs(off_s) > 1.5 * self._rounds_s + self.period_s:
            self._strays.append((self._tick_number, arrival_s))
            if len(self._strays) < _STRAY_TICKS:
                return
            ticks = self._restart_in_rounds(self._strays)
        elif ticks.is_held_up(self._tick_number, arrival_s, self.last_tick_s, self.period_s):
            return
        else:
            self._fitted_ticks += 1
            ticks.add(self._tick_number, arrival_s)
        self._strays = []
        earliest, latest = ticks.shifts(self._tick_number, self.last_tick_s, self.period_s)
        if earliest > latest + 2 * JITTER_S:
            if period_s := ticks.drop_unexplained():
                self.period_s = _clamp_period(period_s)
            earliest, latest = ticks.shifts(self._tick_number, self.last_tick_s, self.period_s)
        stays = self._fitted_ticks > COUNTED_TICKS and earliest <= latest
        self.last_tick_s += min(max(0.0, earliest), latest) if stays else (earliest + latest) / 2
        self.tempo_known = self.tempo_known or (ticks.tell_period and self._fitted_ticks >= COUNTED_TICKS)

    def _restart_in_rounds(self, points: Sequence[tuple[int, float]]) -> RoundedTicks:
        """Take phase and period from `points` and from the next ticks."""
        self._restart_line()
        self._fitted_ticks = len(points)
        for number, arrival_s in points:
            self._rounded.add(number, arrival_s)
        return self._rounded

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

    def _renumber(self, points: list[tuple[int, float]]) -> None:
        """Replace the last ticks by `points` and fit the line to them."""
        self._restart_line()
        self._tick_number, self._points, self._fitted_ticks = points[-1][0], points, len(points)
        self._recent = deque(points, RECENT)
        self._acquire()
        if self._rounds_s:
            self.last_tick_s -= self._rounds_s / 2
            self._restart_in_rounds(points)


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
