# SPDX-License-Identifier: Apache-2.0
"""A tempo tapped with a foot."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median

MAX_TAP_GAP_S = 2.0
"""A longer pause between two taps begins a new count."""
SLOWEST_BPM, FASTEST_BPM = 20.0, 400.0
_MAX_TAPS = 9  # taps, which have eight times between them


class TapTempoEstimator:
    """The last taps."""

    def __init__(self) -> None:
        self._tap_seconds: deque[float] = deque(maxlen=_MAX_TAPS)

    def tap(self, second: float) -> float | None:
        """The tempo of the last taps, one of which falls on `second`, in beats a minute; None for a first tap.

        It is that of the median of the times between them, so that a tap that is missed or doubled does no harm.
        """
        if self._tap_seconds and not 0 < second - self._tap_seconds[-1] <= MAX_TAP_GAP_S:
            self._tap_seconds.clear()
        self._tap_seconds.append(second)
        if len(self._tap_seconds) < 2:
            return None
        between = median(after - before for before, after in pairwise(self._tap_seconds))
        return round(min(max(60.0 / between, SLOWEST_BPM), FASTEST_BPM), 1)
