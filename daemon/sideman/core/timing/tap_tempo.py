# SPDX-License-Identifier: Apache-2.0
"""The tempo of taps, with a foot or on a button."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median

from sideman.core.timing.pll import FASTEST_BPM, SLOWEST_BPM

MAX_TAP_GAP_S = 2.0
"""After a longer pause the taps are counted from the start again."""
_MAX_TAPS = 9  # with eight intervals between them


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
