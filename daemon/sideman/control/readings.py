# SPDX-License-Identifier: Apache-2.0
"""Reads charts, presets and the configuration for a playing daemon, and exports takes, in processes of their own.

What a file holds can cost neither a note nor a panic: the main thread starts the process, waits for nothing, and takes
its answer a piece at a time. A process that needs longer than its limit is killed. `sideman.config.reading` is what
runs in it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from sideman.config.confinement import start_beside
from sideman.config.reading import MAX_ANSWER_BYTES, AnswerReader, Job, encode_job
from sideman.core.errors import SidemanError, Unavailable, UnreadableInput
from sideman.exit_status import exit_status_and_message

if TYPE_CHECKING:
    import subprocess  # loaded only if there is something to read

Steps = Generator[Job, Any, object]
"""A request that needs files: it yields each job, is sent its answer, and returns the result of the request."""

_PROGRAM = "from sideman.config.reading import main; main()"
_PIECE_BYTES = 1 << 16

_log = logging.getLogger(__name__)


class Pending:
    """The outcome of a request that still waits for its files: its result, or the error that refuses it."""

    def __init__(self) -> None:
        self._callback: Callable[[object], None] | None = None

    def then(self, callback: Callable[[object], None]) -> None:
        """Call `callback` with the outcome as soon as it is there."""
        self._callback = callback

    def finish(self, outcome: object) -> None:
        """Set the outcome, once."""
        if self._callback is not None:
            self._callback(outcome)


def plain_error(name: str, error: Exception) -> SidemanError:
    """Return what a client gets for an error while its request `name` was handled."""
    if isinstance(error, SidemanError):
        return error
    if not isinstance(error, OSError):  # an error in this program, not of the system
        _log.error("%s failed", name, exc_info=error)
    return SidemanError(exit_status_and_message(error)[1])


class _Done(Struct, frozen=True):
    outcome: object


def _go_on(name: str, steps: Steps, answer: object) -> Job | _Done:
    """Let `steps` go on with the answer to its job, or with the error; None at the start. Return its next job."""
    try:
        return steps.throw(answer) if isinstance(answer, SidemanError) else steps.send(answer)
    except StopIteration as end:
        return _Done(end.value)
    except Exception as error:  # noqa: BLE001 - the client gets it
        return _Done(plain_error(name, error))


def read_here(name: str, steps: Steps) -> object:
    """Perform the jobs of `steps` in this process, for the request `name`. Return the result, or raise the error."""
    step = _go_on(name, steps, None)
    while not isinstance(step, _Done):
        answer: object
        try:
            answer = step.perform()
        except Exception as error:  # noqa: BLE001 - the steps get it
            answer = plain_error(name, error)
        step = _go_on(name, steps, answer)
    if isinstance(step.outcome, SidemanError):
        raise step.outcome
    return step.outcome


class _Request(Struct):
    """A request that is under way, or waits for its turn."""

    name: str
    steps: Steps
    pending: Pending


class Readings:
    """Performs the jobs of requests in processes, a request at a time; of several that are alike, the latest.

    Its `selector` is readable when there is something to `serve`. `yield_to_player` is called before a process is
    started: a note that is due goes first.
    """

    def __init__(self, yield_to_player: Callable[[], None] = lambda: None) -> None:
        self.selector = selectors.DefaultSelector()
        self._yield_to_player = yield_to_player
        self._waiting: dict[str, _Request] = {}
        self._request: _Request | None = None  # that is under way
        self._process: _ReadingProcess | None = None  # of its job
        self._ended: list[subprocess.Popen[bytes]] = []  # that the system still lists

    def perform(self, name: str, steps: Steps) -> Pending:
        """Begin with a request, or let it wait for its turn. It takes the place of one that is called the same."""
        request = _Request(name, steps, Pending())
        if (older := self._waiting.pop(name, None)) is not None:
            older.pending.finish(Unavailable(f"{name}: not done: the same was requested again before its turn came"))
        self._waiting[name] = request
        return request.pending

    def wakes_at(self) -> float:
        """Return the second when there is something to serve even if `selector` is not readable; infinite if never."""
        if self._process is not None:
            return self._process.ends_at
        return -math.inf if self._waiting else math.inf

    def serve(self, now: float) -> None:
        """Do what there is to do, for a bounded time."""
        self._ended = [process for process in self._ended if process.poll() is None]
        if self._process is not None:
            for _, events in self.selector.select(0):
                self._process.exchange(events)
            if now >= self._process.ends_at:
                self._process.fail(f"it takes longer than {self._process.job.seconds} s")
            if (answer := self._process.answer) is not None:
                self._end_process()
                self._go_on(answer)
        elif self._waiting:
            self._request = self._waiting.pop(next(iter(self._waiting)))
            self._go_on(None)

    def close(self) -> None:
        """Kill what is under way, and refuse the rest."""
        self._end_process()
        requests = [*([self._request] if self._request is not None else []), *self._waiting.values()]
        self._request, self._waiting = None, {}
        for request in requests:
            request.pending.finish(Unavailable(f"{request.name}: sideman stops"))
            request.steps.close()
        for process in self._ended:
            with contextlib.suppress(Exception):  # it is killed: if it does not end now, it will without us
                process.wait(0.1)
        self.selector.close()

    def _go_on(self, answer: object) -> None:
        """Pass on the answer to the job of the request that is under way, and begin with its next job, if any."""
        request = self._request
        while request is not None:
            step = _go_on(request.name, request.steps, answer)
            if isinstance(step, _Done):
                self._request = None
                request.pending.finish(step.outcome)
                return
            try:
                self._yield_to_player()
                self._process = _ReadingProcess(step, self.selector)
                return
            except OSError as error:
                answer = Unavailable(f"{request.name}: no process can be started: {error.strerror or error}")

    def _end_process(self) -> None:
        if self._process is not None:
            self._ended.append(self._process.end())
            self._process = None


class _ReadingProcess:
    """A process that performs `job`. Its `answer` is None until it is there: an error, if it cannot answer."""

    def __init__(self, job: Job, selector: selectors.BaseSelector) -> None:

        self.answer: object = None
        self.job = job
        self.ends_at = time.monotonic() + job.seconds
        self._selector = selector
        self._unsent = encode_job(job)
        self._received = bytearray()
        self._left = MAX_ANSWER_BYTES
        self._reader = AnswerReader()
        self._process, self._socket = start_beside(_PROGRAM)
        selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def exchange(self, events: int) -> None:
        """Send and take in what can be sent and taken in now, a bounded piece of it."""
        try:
            if events & selectors.EVENT_WRITE:
                sent = self._socket.send(self._unsent[:_PIECE_BYTES])
                self._unsent = self._unsent[sent:]
                if not self._unsent:
                    self._socket.shutdown(socket.SHUT_WR)
                    self._selector.modify(self._socket, selectors.EVENT_READ)
            if events & selectors.EVENT_READ:
                self._take(self._socket.recv(min(_PIECE_BYTES, self._left + 1)))
        except BlockingIOError:
            pass
        except OSError:
            self._fail_at_limit()
        except (ValueError, TypeError, LookupError, RecursionError, SidemanError) as error:
            _log.debug("the process that reads: %s", error)
            self.fail("it cannot be read here")

    def _take(self, data: bytes) -> None:
        self._left -= len(data)
        self._received += data
        *lines, rest = bytes(self._received).split(b"\n")
        self._received = bytearray(rest)
        for line in lines:
            self._reader.take(line)
        if self._reader.is_complete:
            self.answer = self._reader.answer()
        elif not data or self._left < 0:
            self._fail_at_limit()

    def _fail_at_limit(self) -> None:
        self.fail(self.job.at_limit)

    def fail(self, reason: str) -> None:
        """Let the job fail, unless it has an answer."""
        self.answer = self.answer or UnreadableInput(reason)

    def end(self) -> subprocess.Popen[bytes]:
        """Kill the process and those that it has started. The system may list it for a moment."""
        self._selector.unregister(self._socket)
        self._socket.close()
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it leads its own session, and was not waited for yet
        return self._process
