# SPDX-License-Identifier: Apache-2.0
"""The player's clock, and the inbox in which other threads leave events and commands. Tests have a clock that jumps.

What asks for silence goes first: the end, a panic, a stop. Then comes what is due to be played, and then what has come
in, in its order. Each sender has a budget, so the inbox is bounded, and no sender keeps out another (`overload`).
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from sideman.core.actions import Panic, Stop
from sideman.core.events import Command, MidiEvent
from sideman.playing.overload import Arrival, Overload, Sender

URGENT: tuple[Panic | Stop | None, ...] = (None, Panic(), Stop())
"""What goes first, in this order. Once is enough of each."""
PANIC_PAUSE_S = 0.05
"""The shortest time between two panics: each one sends many messages."""
RELEASE_PAUSE_S = 0.002
"""The shortest time between two messages that were held back."""
QUIET_S = 0.002
"""A sender beyond its budget pauses from this long before something is due until this long after."""
_MAX_SENDERS = 32


class Clock(Protocol):
    """Gives the time and waits for arrivals."""

    def now(self) -> float:
        """Return the second; it never decreases."""

    def wait(self, until: float) -> Arrival | None:
        """Return the next arrival, or None at the second `until`; after it only what goes first (`URGENT`)."""

    def woken_at(self, until: float) -> float:
        """Return the second up to which to play after a wait for `until`: `until`, or now if that is later."""

    def sleep(self, until: float) -> None:
        """Sleep until the second `until`, whatever arrives."""

    def is_idle(self) -> bool:
        """Whether there is time to choose ahead: no arrival is waiting."""

    def has_more(self, until: float) -> bool:
        """Whether, after an arrival, another one is waiting, or it is before the second `until`."""


class Inbox:
    """The system's monotonic clock, and what any thread may put in. Each thread that puts something is a sender.

    A MIDI input is read by a thread of its own. `is_behind` says whether what the player reports is dealt with too
    slowly: then nothing more is taken in than has to be.
    """

    def __init__(self) -> None:
        self.is_behind: Callable[[], bool] = lambda: False
        self._queue: queue.SimpleQueue[tuple[Sender, Arrival] | None] = queue.SimpleQueue()  # None only wakes
        self._urgent: dict[Panic | Stop | None, Arrival] = {}
        self._next_panic_s = self._next_release_s = -math.inf
        self._due_s = math.inf  # up to which the player waits
        self._senders: dict[int, Sender] = {}  # by thread
        self._left: Overload = Overload()  # by senders that are gone
        self._holders: dict[int, Sender] = {}  # the senders of whom something is held back
        self._released: deque[Arrival] = deque()  # what was held back and comes next
        self._keys_down: set[tuple[int, int]] = set()
        self._lock = threading.Lock()  # of what is held back

    @property
    def overload(self) -> Overload:
        """What was left out so far."""
        return sum((sender.overload for sender in list(self._senders.values())), self._left)

    def put(self, item: MidiEvent | Command | None, second: float | None = None) -> None:
        """Leave something that came in at `second`, or now."""
        arrival = Arrival(self.now() if second is None else second, item)
        if item is None or isinstance(item, Panic | Stop):  # no lock here: nothing may keep this waiting
            was_empty = self._queue.empty()
            if item not in self._urgent:
                self._urgent[item] = arrival
                self._queue.put(None)
            if was_empty or not isinstance(item, Stop):
                return  # else it counts once more in its turn: after a start that was put before it
        thread = threading.get_ident()
        sender = self._senders.get(thread) or self._new_sender(thread)
        with self._lock:
            admitted = sender.admit(arrival, is_behind=self.is_behind())
            if admitted:
                self._queue.put((sender, arrival))
            elif sender.holds and thread not in self._holders:
                self._holders[thread] = sender
                self._queue.put(None)
        if not admitted and abs(left := self._due_s - arrival.second) < QUIET_S:
            time.sleep(left + QUIET_S)  # a thread that loses its processor goes on holding the interpreter

    def _new_sender(self, thread: int) -> Sender:
        with self._lock:
            if len(self._senders) >= _MAX_SENDERS:
                for gone, sender in list(self._senders.items()):
                    if not sender.holds and not sender.waiting:
                        del self._senders[gone]
                        self._left += sender.overload
            made = self._senders[thread] = Sender(self._keys_down)
            return made

    def now(self) -> float:
        """Return the second of the monotonic clock, which stands still while the machine is suspended."""
        return time.monotonic()

    def wait(self, until: float) -> Arrival | None:
        """See `Clock`. Sleeps exactly until `until` if nothing comes in."""
        self._due_s = until
        while True:
            now = time.monotonic()
            if self._urgent and (urgent := self._take_urgent(now)) is not None:
                return urgent
            if now >= until:
                return None
            if self._released or (self._holders and now >= self._next_release_s):
                if (released := self._take_released(now)) is not None:
                    return released
                continue
            pause = min(
                until,
                self._next_release_s if self._holders else math.inf,
                self._next_panic_s if self._urgent else math.inf,
            )
            try:
                taken = self._queue.get(timeout=max(0.0, pause - now))
            except queue.Empty:
                continue
            if taken is not None:
                sender, arrival = taken
                sender.taken += 1
                return arrival

    def _take_urgent(self, now: float) -> Arrival | None:
        for item in URGENT:
            if item not in self._urgent or (isinstance(item, Panic) and now < self._next_panic_s):
                continue
            if isinstance(item, Panic):
                self._next_panic_s = now + PANIC_PAUSE_S
            return self._urgent.pop(item)
        return None

    def _take_released(self, now: float) -> Arrival | None:
        """Return the next message that was held back: of each sender one kind in turn."""
        with self._lock:
            if not self._released:
                self._next_release_s = now + RELEASE_PAUSE_S
                thread, sender = next(iter(self._holders.items()))
                del self._holders[thread]
                self._released.extend(sender.release())
                if sender.holds:
                    self._holders[thread] = sender
        return self._released.popleft() if self._released else None

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

    def has_more(self, until: float) -> bool:
        """See `Clock`."""
        return not self._queue.empty() or self.now() < until
