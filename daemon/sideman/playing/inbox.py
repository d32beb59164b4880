# SPDX-License-Identifier: Apache-2.0
"""Real time: the clock and the inbox in which the player waits. The tests have a clock that jumps instead."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from typing import Protocol

from sideman.core.events import Command, MidiEvent


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something heard or asked for, stamped with the second it came in; None asks the player to stop."""

    second: float
    item: MidiEvent | Command | None


class Clock(Protocol):
    """Tells the time, and waits for an arrival."""

    def now(self) -> float:
        """Seconds that only grow."""
        ...

    def wait(self, until: float) -> Arrival | None:
        """The next arrival, or None once it is `until`."""
        ...

    def woken_at(self, until: float) -> float:
        """Return the second up to which to play after a wait for `until`: `until`, or now if that is later."""
        ...

    def sleep(self, until: float) -> None:
        """Sleep until it is `until`, whatever arrives."""
        ...

    def is_idle(self) -> bool:
        """Whether no arrival is waiting."""
        ...


class Inbox:
    """The monotonic clock, and the queue on which other threads leave what arrives. Any thread may put."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Arrival] = queue.SimpleQueue()

    def put(self, item: MidiEvent | Command | None, second: float | None = None) -> None:
        """Leave something that came in at `second` (now, if not said)."""
        self._queue.put(Arrival(self.now() if second is None else second, item))

    def now(self) -> float:
        """Seconds of the system's monotonic clock, which stands still while the machine is suspended."""
        return time.monotonic()

    def wait(self, until: float) -> Arrival | None:
        """The next arrival, or None once it is `until`: sleeps to that very second, never in slices."""
        try:
            return self._queue.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return None

    def woken_at(self, until: float) -> float:
        """See `Clock`."""
        return max(self.now(), until)

    def sleep(self, until: float) -> None:
        """Sleep until it is `until`, whatever arrives; not at all where that is past."""
        if (rest := until - time.monotonic()) > 0:
            time.sleep(rest)

    def is_idle(self) -> bool:
        """Whether no arrival is waiting."""
        return self._queue.empty()
