# SPDX-License-Identifier: Apache-2.0
"""The player's clock, and the inbox in which other threads leave events and commands. Tests have a clock that jumps."""

from __future__ import annotations

import queue
import time
from typing import Protocol

from msgspec import Struct

from sideman.core.events import Command, MidiEvent


class Arrival(Struct, frozen=True):
    """An event or a command with the second at which it came in; None asks the player to stop."""

    second: float
    item: MidiEvent | Command | None


class Clock(Protocol):
    """Gives the time and waits for arrivals."""

    def now(self) -> float:
        """Return the second; it never decreases."""

    def wait(self, until: float) -> Arrival | None:
        """Return the next arrival, or None at the second `until`."""

    def woken_at(self, until: float) -> float:
        """Return the second up to which to play after a wait for `until`: `until`, or now if that is later."""

    def sleep(self, until: float) -> None:
        """Sleep until the second `until`, whatever arrives."""

    def is_idle(self) -> bool:
        """Whether no arrival is waiting."""


class Inbox:
    """The system's monotonic clock, and a queue into which any thread may put events and commands."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Arrival] = queue.SimpleQueue()

    def put(self, item: MidiEvent | Command | None, second: float | None = None) -> None:
        """Leave something that came in at `second`, or now."""
        self._queue.put(Arrival(self.now() if second is None else second, item))

    def now(self) -> float:
        """Return the second of the monotonic clock, which stands still while the machine is suspended."""
        return time.monotonic()

    def wait(self, until: float) -> Arrival | None:
        """See `Clock`. Sleeps once, exactly until `until`."""
        try:
            return self._queue.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return None

    def woken_at(self, until: float) -> float:
        """See `Clock`."""
        return max(self.now(), until)

    def sleep(self, until: float) -> None:
        """See `Clock`."""
        if (remaining_s := until - time.monotonic()) > 0:
            time.sleep(remaining_s)

    def is_idle(self) -> bool:
        """See `Clock`."""
        return self._queue.empty()
