# SPDX-License-Identifier: Apache-2.0
"""Tempo, swing, taps. A tempo is a straight line from beats (quarter notes) to seconds; a change starts a new line.

How a written tick sounds is in `sideman_models.music.swing`.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from statistics import median

from msgspec import Struct

from sideman.core.timing.pll import FASTEST_BPM, SLOWEST_BPM
from sideman_models.music.context import Bars
from sideman_models.music.swing import DEFAULT_SWING, STRAIGHT, warp_beat
from sideman_models.music.values import TICKS_PER_QUARTER

MAX_SWING_BPM = 220.0
"""Above this tempo eighths are played straight unless the swing is set."""

MAX_TAP_GAP_S = 2.0
"""After a longer pause the taps are counted from the start again."""
_MAX_TAPS = 9  # with eight intervals between them


class Tempo(Struct, frozen=True):
    """`bpm` quarter notes a minute, through the point where `beat` falls on `second`."""

    bpm: float
    second: float
    beat: float

    def beat_at(self, second: float) -> float:
        """Return the beat that falls on `second`."""
        return self.beat + (second - self.second) * self.bpm / 60.0

    def second_at(self, beat: float) -> float:
        """Return the second on which `beat` falls."""
        return self.second + (beat - self.beat) * 60.0 / self.bpm

    def with_bpm(self, bpm: float, second: float) -> Tempo:
        """Return the tempo that continues with `bpm` from the beat at `second`."""
        return Tempo(bpm, second, self.beat_at(second))


def default_swing(bpm: float) -> float:
    """Return the share of the beat after which the second eighth note falls if `play.swing` is not set."""
    return DEFAULT_SWING if bpm <= MAX_SWING_BPM else STRAIGHT


def position_in_bar(beat: float, bars: Bars) -> tuple[int, int, float]:
    """Return the tick of the bar line before `beat`, the ticks of its bar, and the beats since the bar line.

    Swing starts again at each bar line, so a bar of odd length swings as if it stood alone.
    """
    line, bar_ticks = bars.bar_at(beat * TICKS_PER_QUARTER)
    return line, bar_ticks, beat - line / TICKS_PER_QUARTER


def exact_tick(beat: float, bars: Bars, swing: float) -> float:
    """Return the tick (not rounded) at which a note that sounds on `beat` is written; reverses `swung_beat`."""
    line, _, position = position_in_bar(beat, bars)
    whole = math.floor(position)
    return line + TICKS_PER_QUARTER * (whole + warp_beat(position - whole, swing, STRAIGHT))


class TapTempoEstimator:
    """Estimates a tempo from the last taps."""

    def __init__(self) -> None:
        self._tap_seconds: deque[float] = deque(maxlen=_MAX_TAPS)

    def tap(self, second: float) -> float | None:
        """Take a tap at `second` and return the tempo in beats a minute; None after a first tap.

        It is the tempo of the median interval, so that a tap too few or too many does no harm.
        """
        if self._tap_seconds and not 0 < second - self._tap_seconds[-1] <= MAX_TAP_GAP_S:
            self._tap_seconds.clear()
        self._tap_seconds.append(second)
        if len(self._tap_seconds) < 2:
            return None
        interval = median(after - before for before, after in pairwise(self._tap_seconds))
        return round(min(max(60.0 / interval, SLOWEST_BPM), FASTEST_BPM), 1)
