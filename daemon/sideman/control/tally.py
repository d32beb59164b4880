# SPDX-License-Identifier: Apache-2.0
"""Counts what may happen thousands of times a second, and logs it once in a while."""

from __future__ import annotations

import logging
import math

INTERVAL_S = 10.0


class Tally:
    """Logs `text`, in which `%s` is the count since the last line, at most every `INTERVAL_S`."""

    def __init__(self, logger: logging.Logger, text: str) -> None:
        self.count = 0
        self._logger, self._text = logger, text
        self._next_s = -math.inf

    def log(self, now: float) -> None:
        """Log what has been counted, if it is time."""
        if self.count and now >= self._next_s:
            self._logger.warning(self._text, f"{self.count:,}")
            self.count, self._next_s = 0, now + INTERVAL_S
