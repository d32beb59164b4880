# SPDX-License-Identifier: Apache-2.0
"""The control socket: JSON lines from and to other programs of the same user. docs/control.md describes them.

It lives in the main thread: `fileno` is readable when there is something to `serve`, and serving takes a bounded time
whatever the other side does. In each round of `ROUND_S` a client has `EACH` requests answered, and all together `ALL`,
in turn, a long one counting for each KiB of it; what they send beyond that stays in the system's buffers, where it
costs them and not us. One that sends no requests, or does not read what it is sent, is let go of.
"""

from __future__ import annotations

import logging
import math
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Mapping

from sideman.control.protocol import SHORT, VERSION, decoded, line_of, refusal
from sideman.control.unix_listener import Listener
from sideman.core.errors import SidemanError, UsageError

LONGEST = 1 << 16
"""Bytes of a line; the longest request is one with a chart in it."""
PENDING = 1 << 18
"""Bytes that may wait for a client to read them."""
MOST = 64
"""Clients at a time."""
ROUND_S, EACH, ALL = 0.02, 8, 64
MISTAKES = 10
"""Lines in a row that are no requests: whoever sends so many does not mean us."""

Event = Mapping[str, object]
Answer = Callable[[Mapping[str, object]], object]

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

_log = logging.getLogger(__name__)


class Control:
    """Serves those who come to `listener`. `answer` answers requests; `welcome` makes what a watcher is told first.

    `step_aside` is called before each request, so that what is more urgent goes first.
    """

    def __init__(
        self,
        listener: Listener,
        answer: Answer,
        welcome: Callable[[], Iterable[Event]],
        step_aside: Callable[[], None] = lambda: None,
    ) -> None:
        self._listener = listener.socket
        self._answer = answer
        self._welcome = welcome
        self._step_aside = step_aside
        self._clients: list[_Client] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, _READ)
        self._deaf = False  # to those who come, until the next round
        self._ends, self._left, self._places = -math.inf, ALL, EACH  # of the round

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return any(client.watches for client in self._clients)

    def fileno(self) -> int:
        """Readable when there is something to serve."""
        return self._selector.fileno()

    def wakes_at(self) -> float:
        """The second when there is something to serve whether `fileno` is readable or not; infinite if never."""
        return self._ends if self._deaf or any(client.asks for client in self._clients) else math.inf

    def serve(self, now: float) -> None:
        """Do what there is to do, for a bounded time. Nothing that a client does makes it raise."""
        if now >= self._ends:
            self._begin_round(now)
        for key, events in self._selector.select(0):
            if key.data is None:
                self._accept_all()
            else:
                self._move(key.data, events)
        self._answer_in_turn()
        self._settle()

    def tell(self, events: Iterable[Event]) -> None:
        """Send `events` to everybody who watches."""
        lines = b"".join(line_of(event) for event in events)
        if not lines:
            return
        for client in self._clients:
            if client.watches:
                client.send(lines)
        self._settle()

    def close(self) -> None:
        """Let go of everybody."""
        for client in self._clients:
            client.way.close()
        self._clients.clear()
        self._selector.close()

    # -- requests

    def _begin_round(self, now: float) -> None:
        self._ends, self._left, self._places = now + ROUND_S, ALL, EACH
        for client in self._clients:
            client.left = min(client.left + EACH, EACH)
        if self._clients:
            self._clients.append(self._clients.pop(0))  # nobody is first in every round
        if self._deaf:
            self._deaf = False
            self._selector.register(self._listener, _READ)

    def _answer_in_turn(self) -> None:
        """One request of each client after the other, until there are none, or no more in this round."""
        began = time.monotonic()
        asking = [client for client in self._clients if client.asks and client.left > 0]
        while asking and self._left:
            for client in asking[: self._left]:
                self._left -= 1
                self._step_aside()
                self._answer_next(client)
                took = time.monotonic() - began
                if took > ROUND_S:  # each a chart of thousands of bars: let signals in between, and rest as long
                    self._left, self._ends = 0, self._ends + took
                    return
            asking = [client for client in asking if client.asks and client.left > 0]

    def _answer_next(self, client: _Client) -> None:
        line = client.nextline_of()
        client.left -= 1 + len(line) // SHORT  # a long one takes long to read
        if not line.strip():
            return
        try:
            request = decoded(line)
        except ValueError as error:
            client.mistakes += 1
            client.send(refusal(None, f"not a request: {error}"))
            if client.mistakes >= MISTAKES:
                client.part("nothing here is a request; good-bye")
            return
        client.mistakes = 0
        self._reply(client, request)

    def _reply(self, client: _Client, request: Mapping[str, object]) -> None:
        number = request.get("id")
        watches = request.get("do") == "watch"
        try:
            if request.get("v", VERSION) != VERSION:
                raise UsageError(f"v: this sideman speaks version {VERSION}")
            result = None if watches else self._answer(request)
        except SidemanError as error:
            client.send(refusal(number, str(error)))
            return
        client.send(line_of({"id": number, "ok": True, "result": result}))
        if watches:
            client.watches = True
            client.send(b"".join(line_of(event) for event in self._welcome()))

    # -- clients

    def _accept_all(self) -> None:
        """Let in who comes, so many in a round: whoever is let go of may come again at once."""
        while self._places > 0:
            try:
                way, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("control.socket: nobody more can come in: %s", error.strerror)
                break
            self._places -= 1
            self._accept(way)
        self._deaf = True
        self._selector.unregister(self._listener)

    def _accept(self, way: socket.socket) -> None:
        way.setblocking(False)
        client = _Client(way)
        if len(self._clients) >= MOST:
            client.part(f"{MOST} others are here already; come back later")
            way.close()
        else:
            self._clients.append(client)

    def _move(self, client: _Client, events: int) -> None:
        if events & _WRITE:
            client.flush()
        if events & _READ:
            client.read()

    def _settle(self) -> None:
        """Wait for what is to be waited for from each client, or let go of it."""
        for client in self._clients:
            wanted = 0 if client.over else client.interest
            if wanted != client.registered:
                self._register(client, wanted)
            if client.over:
                client.way.close()
        if any(client.over for client in self._clients):
            self._clients = [client for client in self._clients if not client.over]

    def _register(self, client: _Client, wanted: int) -> None:
        if not client.registered:
            self._selector.register(client.way, wanted, client)
        elif wanted:
            self._selector.modify(client.way, wanted, client)
        else:
            self._selector.unregister(client.way)
        client.registered = wanted


class _Client:
    """One at the other end: what came from it and is not answered, what it has not read yet."""

    def __init__(self, way: socket.socket) -> None:
        self.way = way
        self.watches = False
        self.mistakes = 0
        self.left = EACH  # short requests that are answered in this round; below 0 it has had those of the next
        self.registered = 0
        self._received = bytearray()
        self._waiting = bytearray()
        self._ended = False  # it sends no more, but may go on reading
        self._gone = False

    @property
    def asks(self) -> bool:
        """Whether a whole line is there; the last one may lack its end."""
        return not self._gone and (b"\n" in self._received or (self._ended and bool(self._received)))

    @property
    def interest(self) -> int:
        """What to wait for: no more is read while lines are left to be answered."""
        read = 0 if self._ended or self.asks else _READ
        return read | (_WRITE if self._waiting else 0)

    @property
    def over(self) -> bool:
        """Whether there is nothing more to be had from it, or for it."""
        return self._gone or (self._ended and not (self.asks or self._waiting or self.watches))

    def read(self) -> None:
        """Take in what has come, a line at most beyond those that are whole."""
        try:
            data = self.way.recv(LONGEST + 1 - len(self._received))
        except BlockingIOError:
            return
        except OSError:
            self._gone = True
            return
        self._ended = not data
        self._received += data
        if len(self._received) > LONGEST and b"\n" not in self._received:
            self.part(f"a line of more than {LONGEST} bytes; good-bye")

    def nextline_of(self) -> bytes:
        """Take the next line, without its end."""
        end = self._received.find(b"\n")
        length = len(self._received) if end < 0 else end + 1
        line = bytes(self._received[:length])
        del self._received[:length]
        return line

    def send(self, data: bytes) -> None:
        """Send `data` as soon as it is read; one that leaves too much unread is gone."""
        self._waiting += data
        self.flush()
        if len(self._waiting) > PENDING:
            _log.info("control.socket: a client that does not read was let go of")
            self._gone = True

    def part(self, why: str) -> None:
        """Say why, as far as that can be said at once, and have done with it."""
        self.send(refusal(None, why))
        self._gone = True

    def flush(self) -> None:
        """Send what can be sent now."""
        try:
            while self._waiting:
                del self._waiting[: self.way.send(self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self._gone = True
