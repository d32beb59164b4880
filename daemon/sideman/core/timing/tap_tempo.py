# SPDX-License-Identifier: Apache-2.0
"""A tempo tapped with a foot."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median

PAUSE_S = 2.0
"""A longer pause between two taps begins a new count."""
SLOWEST, FASTEST = 20.0, 400.0
_LAST = 9  # taps, which have eight times between them


class Taps:
    """The last taps."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_LAST)

    def tap(self, second: float) -> float | None:
        """The tempo of the last taps, one of which falls on `second`, in beats a minute; None for a first tap.

        It is that of the median of the times between them, so that a tap that is missed or doubled does no harm.
        """
        if self._seconds and not 0 < second - self._seconds[-1] <= PAUSE_S:
            self._seconds.clear()
        self._seconds.append(second)
        if len(self._seconds) < 2:
            return None
        between = median(after - before for before, after in pairwise(self._seconds))
        return round(min(max(60.0 / between, SLOWEST), FASTEST), 1)
