# SPDX-License-Identifier: Apache-2.0
"""The control socket: JSON lines from and to other programs of the same user. docs/control.md describes them.

It lives in the main thread: `fileno` is readable when there is something to `serve`, and serving takes a bounded time
whatever the other side does. In each round of `ROUND_S` a client has `REQUESTS_PER_CLIENT` requests answered, and all
together `REQUESTS_PER_ROUND`, in turn, a long one counting for each KiB of it; what they send beyond that stays in the
system's buffers, where it costs them and not us. One that sends no requests, or does not read what it is sent, is let
go of.
"""

from __future__ import annotations

import logging
import math
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Mapping

from sideman.control.protocol import PROTOCOL_VERSION, SHORT_LINE_BYTES, decode_request, encode_line, encode_refusal
from sideman.control.unix_listener import UnixListener
from sideman.core.errors import SidemanError, UsageError

MAX_LINE_BYTES = 1 << 16
"""Bytes of a line; the longest request is one with a chart in it."""
MAX_UNSENT_BYTES = 1 << 18
"""Bytes that may wait for a client to read them."""
MAX_CLIENTS = 64
"""Clients at a time."""
ROUND_S, REQUESTS_PER_CLIENT, REQUESTS_PER_ROUND = 0.02, 8, 64
MAX_MISTAKES = 10
"""Lines in a row that are no requests: whoever sends so many does not mean us."""

FeedEvent = Mapping[str, object]
RequestHandler = Callable[[Mapping[str, object]], object]

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

_log = logging.getLogger(__name__)


class ControlServer:
    """Serves the clients of `listener`. `handle` answers requests; `initial_events` are sent to a new watcher first.

    `yield_to_player` is called before each request, so that what is more urgent goes first.
    """

    def __init__(
        self,
        listener: UnixListener,
        handle: RequestHandler,
        initial_events: Callable[[], Iterable[FeedEvent]],
        yield_to_player: Callable[[], None] = lambda: None,
    ) -> None:
        self._listener = listener.socket
        self._handle = handle
        self._initial_events = initial_events
        self._yield_to_player = yield_to_player
        self._clients: list[_Connection] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, _READ)
        self._is_accepting_paused = False  # to those who come, until the next round
        self._round_end_s, self._requests_left, self._accepts_left = (
            -math.inf,
            REQUESTS_PER_ROUND,
            REQUESTS_PER_CLIENT,
        )  # of the round

    @property
    def has_watchers(self) -> bool:
        """Whether anybody watches."""
        return any(client.is_watching for client in self._clients)

    def fileno(self) -> int:
        """Readable when there is something to serve."""
        return self._selector.fileno()

    def wakes_at(self) -> float:
        """The second when there is something to serve whether `fileno` is readable or not; infinite if never."""
        return (
            self._round_end_s
            if self._is_accepting_paused or any(client.has_request for client in self._clients)
            else math.inf
        )

    def serve(self, now: float) -> None:
        """Do what there is to do, for a bounded time. Nothing that a client does makes it raise."""
        if now >= self._round_end_s:
            self._begin_round(now)
        for key, events in self._selector.select(0):
            if key.data is None:
                self._accept_all()
            else:
                self._transfer(key.data, events)
        self._answer_in_turn()
        self._update_clients()

    def publish(self, events: Iterable[FeedEvent]) -> None:
        """Send `events` to everybody who watches."""
        lines = b"".join(encode_line(event) for event in events)
        if not lines:
            return
        for client in self._clients:
            if client.is_watching:
                client.send(lines)
        self._update_clients()

    def close(self) -> None:
        """Let go of everybody."""
        for client in self._clients:
            client.connection.close()
        self._clients.clear()
        self._selector.close()

    # -- requests

    def _begin_round(self, now: float) -> None:
        self._round_end_s, self._requests_left, self._accepts_left = (
            now + ROUND_S,
            REQUESTS_PER_ROUND,
            REQUESTS_PER_CLIENT,
        )
        for client in self._clients:
            client.requests_left = min(client.requests_left + REQUESTS_PER_CLIENT, REQUESTS_PER_CLIENT)
        if self._clients:
            self._clients.append(self._clients.pop(0))  # nobody is first in every round
        if self._is_accepting_paused:
            self._is_accepting_paused = False
            self._selector.register(self._listener, _READ)

    def _answer_in_turn(self) -> None:
        """One request of each client after the other, until there are none, or no more in this round."""
        began = time.monotonic()
        asking = [client for client in self._clients if client.has_request and client.requests_left > 0]
        while asking and self._requests_left:
            for client in asking[: self._requests_left]:
                self._requests_left -= 1
                self._yield_to_player()
                self._answer_one(client)
                took = time.monotonic() - began
                if took > ROUND_S:  # each a chart of thousands of bars: let signals in between, and rest as long
                    self._requests_left, self._round_end_s = 0, self._round_end_s + took
                    return
            asking = [client for client in asking if client.has_request and client.requests_left > 0]

    def _answer_one(self, client: _Connection) -> None:
        line = client.next_line()
        client.requests_left -= 1 + len(line) // SHORT_LINE_BYTES  # a long one takes long to read
        if not line.strip():
            return
        try:
            request = decode_request(line)
        except ValueError as error:
            client.mistakes += 1
            client.send(encode_refusal(None, f"not a request: {error}"))
            if client.mistakes >= MAX_MISTAKES:
                client.reject("nothing here is a request; good-bye")
            return
        client.mistakes = 0
        self._reply(client, request)

    def _reply(self, client: _Connection, request: Mapping[str, object]) -> None:
        number = request.get("id")
        watches = request.get("do") == "watch"
        try:
            if request.get("v", PROTOCOL_VERSION) != PROTOCOL_VERSION:
                raise UsageError(f"v: this sideman speaks version {PROTOCOL_VERSION}")
            result = None if watches else self._handle(request)
        except SidemanError as error:
            client.send(encode_refusal(number, str(error)))
            return
        client.send(encode_line({"id": number, "ok": True, "result": result}))
        if watches:
            client.is_watching = True
            client.send(b"".join(encode_line(event) for event in self._initial_events()))

    # -- clients

    def _accept_all(self) -> None:
        """Let in who comes, so many in a round: whoever is let go of may come again at once."""
        while self._accepts_left > 0:
            try:
                way, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("control.socket: nobody more can come in: %s", error.strerror)
                break
            self._accepts_left -= 1
            self._accept(way)
        self._is_accepting_paused = True
        self._selector.unregister(self._listener)

    def _accept(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        client = _Connection(connection)
        if len(self._clients) >= MAX_CLIENTS:
            client.reject(f"{MAX_CLIENTS} others are here already; come back later")
            connection.close()
        else:
            self._clients.append(client)

    def _transfer(self, client: _Connection, events: int) -> None:
        if events & _WRITE:
            client.flush()
        if events & _READ:
            client.read()

    def _update_clients(self) -> None:
        """Wait for what is to be waited for from each client, or let go of it."""
        for client in self._clients:
            wanted = 0 if client.is_finished else client.wanted_events
            if wanted != client.registered_events:
                self._register(client, wanted)
            if client.is_finished:
                client.connection.close()
        if any(client.is_finished for client in self._clients):
            self._clients = [client for client in self._clients if not client.is_finished]

    def _register(self, client: _Connection, wanted: int) -> None:
        if not client.registered_events:
            self._selector.register(client.connection, wanted, client)
        elif wanted:
            self._selector.modify(client.connection, wanted, client)
        else:
            self._selector.unregister(client.connection)
        client.registered_events = wanted


class _Connection:
    """One at the other end: what came from it and is not answered, what it has not read yet."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.is_watching = False
        self.mistakes = 0
        self.requests_left = (
            REQUESTS_PER_CLIENT  # short requests that are answered in this round; below 0 it has had those of the next
        )
        self.registered_events = 0
        self._received = bytearray()
        self._unsent = bytearray()
        self._has_ended = False  # it sends no more, but may go on reading
        self._is_gone = False

    @property
    def has_request(self) -> bool:
        """Whether a whole line is there; the last one may lack its end."""
        return not self._is_gone and (b"\n" in self._received or (self._has_ended and bool(self._received)))

    @property
    def wanted_events(self) -> int:
        """What to wait for: no more is read while lines are left to be answered."""
        read = 0 if self._has_ended or self.has_request else _READ
        return read | (_WRITE if self._unsent else 0)

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing more to be had from it, or for it."""
        return self._is_gone or (self._has_ended and not (self.has_request or self._unsent or self.is_watching))

    def read(self) -> None:
        """Take in what has come, a line at most beyond those that are whole."""
        try:
            data = self.connection.recv(MAX_LINE_BYTES + 1 - len(self._received))
        except BlockingIOError:
            return
        except OSError:
            self._is_gone = True
            return
        self._has_ended = not data
        self._received += data
        if len(self._received) > MAX_LINE_BYTES and b"\n" not in self._received:
            self.reject(f"a line of more than {MAX_LINE_BYTES} bytes; good-bye")

    def next_line(self) -> bytes:
        """Take the next line, without its end."""
        end = self._received.find(b"\n")
        length = len(self._received) if end < 0 else end + 1
        line = bytes(self._received[:length])
        del self._received[:length]
        return line

    def send(self, data: bytes) -> None:
        """Send `data` as soon as it is read; one that leaves too much unread is gone."""
        self._unsent += data
        self.flush()
        if len(self._unsent) > MAX_UNSENT_BYTES:
            _log.info("control.socket: a client that does not read was let go of")
            self._is_gone = True

    def reject(self, reason: str) -> None:
        """Say why, as far as that can be said at once, and have done with it."""
        self.send(encode_refusal(None, reason))
        self._is_gone = True

    def flush(self) -> None:
        """Send what can be sent now."""
        try:
            while self._unsent:
                del self._unsent[: self.connection.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._is_gone = True
