# SPDX-License-Identifier: Apache-2.0
"""Wakes the main thread, which waits in a selector, for a report of the player; and takes the signals.

The signal handlers do nothing. Python writes the number of each signal into a socket (`signal.set_wakeup_fd`), and a
thread that does nothing else reads it there: the main thread may have much to do, or wait for a disk, and the end or a
panic must not wait for that.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator

from sideman.core import events
from sideman.core.events import Report

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_URGENT_REPORTS = (events.BarPlayed, events.ActionRequested)
_WATCHED_REPORTS = (
    events.NotePlayed, events.NoteSent, events.PlanChanged, events.NoteHeard, events.SettingsChanged,
    events.ModeChanged, events.StateChanged,
)  # fmt: skip
"""Reports that are urgent while a client watches."""


class Wakeup:
    """The socket on which the main loop waits, and the player's reports. Any thread may call `wake` and `put`."""

    def __init__(self) -> None:
        self.reports: deque[Report] = deque()
        self.has_watchers = False
        """Whether a client watches; then more reports are urgent."""
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._pending = False  # a 0 is in the socket

    def fileno(self) -> int:
        """For the selector."""
        return self._reader.fileno()

    def wake(self) -> None:
        """Wake the main thread."""
        if self._pending:
            return
        self._pending = True
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def put(self, report: Report) -> None:
        """Queue a report for the main thread, and wake it if the report is urgent."""
        self.reports.append(report)
        if isinstance(report, _URGENT_REPORTS) or (self.has_watchers and isinstance(report, _WATCHED_REPORTS)):
            self.wake()

    def clear(self) -> None:
        """The main thread is awake."""
        try:
            self._reader.recv(4096)
        except BlockingIOError:
            pass
        finally:
            self._pending = False  # after the read: a report put before it is handled in this turn of the loop

    @contextlib.contextmanager
    def catch_signals(self, handle: Callable[[int], None]) -> Iterator[None]:
        """Pass the stop signals and SIGUSR1 to `handle`, in a thread of its own, until the context ends."""
        numbers = [*STOP_SIGNALS, signal.SIGUSR1]
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            numbers.remove(signal.SIGHUP)  # started with nohup: the daemon has to survive its terminal
        reader, writer = socket.socketpair()
        writer.setblocking(False)

        def read() -> None:
            while (data := reader.recv(4096)) and not data.endswith(b"\0"):
                for number in data:
                    handle(number)

        thread = threading.Thread(target=read, name="signals", daemon=True)
        thread.start()
        previous_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        # Only now: a signal that came to a handler without the socket would be lost.
        handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(previous_fd)
            with writer, reader:
                writer.send(b"\0")
                thread.join()

    def close(self) -> None:
        """Close the socket."""
        self._reader.close()
        self._writer.close()
