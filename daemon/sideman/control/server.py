# SPDX-License-Identifier: Apache-2.0
"""The server of the control socket, which other programs of the same user connect to. docs/control.md describes it.

It runs in the main thread: its `selector` is readable when there is something to `serve`, and `serve` takes a bounded
time whatever clients do. Time is divided into rounds of `ROUND_S`. In each round at most `REQUESTS_PER_CLIENT` requests
of a client are answered, and at most `REQUESTS_PER_ROUND` of all clients, in turn; a long request counts once for each
KiB. What a client sends beyond that stays in the system's buffers, where only the client has to wait for it. A client
that sends no requests, or does not read its messages, is disconnected.
"""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import socket
import time
from collections.abc import Callable, Iterable

from msgspec import Struct

from sideman.control.codec import ReceivedRequest, encode_line
from sideman.control.protocol import (
    PROTOCOL_VERSION,
    REQUESTS,
    Answer,
    ChoicesEvent,
    Event,
    Event2,
    Refusal,
    Request,
    WatchRequest,
)
from sideman.control.readings import Pending
from sideman.control.socket_file import UnixListener
from sideman.core.errors import SidemanError
from sideman_models.limits import REQUEST

MAX_CLIENTS = 64  # at a time
MAX_LINE_BYTES = REQUEST.bytes  # the longest requests are those that contain a chart
MAX_UNSENT_BYTES = 1 << 18  # that wait for a client to read them
MAX_MISTAKES = 10
"""Lines in a row that are not requests: a client that sends this number of them was not meant for this socket."""
ROUND_S, REQUESTS_PER_CLIENT, REQUESTS_PER_ROUND = 0.02, 8, 64
_LONG_REQUEST_BYTES = 1024  # each of these counts as one more request

RequestHandler = Callable[[Request], object]
_NEVER_WAIT = (REQUESTS["panic"], REQUESTS["stop"])
"""Requests that are done at once, even if an earlier request of their client still waits for its files."""

_log = logging.getLogger(__name__)


class ControlServer(Struct, dict=True):
    """Serves the clients of `listener`. `handle` answers requests.

    A new watcher gets `initial_events` first, of version 2 `initial_timed_events`: events with their seconds.

    `yield_to_player` is called before each request: a note about to be sent goes first.
    """

    listener: UnixListener
    handle: RequestHandler
    initial_events: Callable[[], Iterable[Event]]
    yield_to_player: Callable[[], None]
    initial_timed_events: Callable[[], Iterable[tuple[float, Event2]]] = tuple

    def __post_init__(self) -> None:
        self._clients: list[Connection] = []
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener.socket, selectors.EVENT_READ)
        self._round_end_s = -math.inf
        self._requests_left = REQUESTS_PER_ROUND
        self._accepts_left = REQUESTS_PER_CLIENT  # 0: the selector does not wait for the listener until the next round

    @property
    def has_watchers(self) -> bool:
        """Whether a client watches."""
        return any(client.watches is not None for client in self._clients)

    def has_timed_watchers(self, *, choices: bool = False) -> bool:
        """Whether a client watches in version 2; with `choices`, whether one wants to see these."""
        watched = [client.watches for client in self._clients if client.watches is not None and client.watches.v == 2]
        return any(each.choices or not choices for each in watched)

    def wakes_at(self) -> float:
        """Return the second when there is something to serve even if `selector` is not readable; infinite if never."""
        waiting = not self._accepts_left or any(client.has_request for client in self._clients)
        return self._round_end_s if waiting else math.inf

    def serve(self, now: float) -> None:
        """Do what there is to do, for a bounded time. It raises nothing, whatever clients do."""
        if now >= self._round_end_s:
            if not self._accepts_left:
                self.selector.register(self.listener.socket, selectors.EVENT_READ)
            self._round_end_s = now + ROUND_S
            self._requests_left, self._accepts_left = REQUESTS_PER_ROUND, REQUESTS_PER_CLIENT
            for client in self._clients:
                client.requests_left = min(client.requests_left + REQUESTS_PER_CLIENT, REQUESTS_PER_CLIENT)
            self._clients = [*self._clients[1:], *self._clients[:1]]  # so that no client is always the first
        for key, events in self.selector.select(0):
            if key.data is None:
                self._accept_clients()
                continue
            if events & selectors.EVENT_WRITE:
                key.data.flush()
            if events & selectors.EVENT_READ:
                key.data.read()
                self._look_ahead(key.data)
        self._answer_in_turn()
        self._update_clients()

    def publish(self, events: Iterable[Event], timed: Iterable[tuple[float, Event2]] = ()) -> None:
        """Send `events` to all clients that watch, `timed` ones to those of version 2."""
        watched = {client.watches.v for client in self._clients if client.watches is not None}
        lines = b"".join(map(encode_line, events)) if PROTOCOL_VERSION in watched else b""
        timed_lines = [(encode_line(event, 2, second), isinstance(event, ChoicesEvent)) for second, event in timed]
        with_choices = b"".join(line for line, _ in timed_lines)
        without = b"".join(line for line, is_choice in timed_lines if not is_choice)
        for client in self._clients:
            if client.watches is not None:
                first = client.watches.v == PROTOCOL_VERSION
                client.send(lines if first else with_choices if client.watches.choices else without)
        self._update_clients()

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.socket.close()
        self._clients.clear()
        self.selector.close()

    # -- requests

    def _answer_in_turn(self) -> None:
        """Answer one request of each client after the other, until the requests or this round's limits are used up."""
        began = time.monotonic()
        asking = [client for client in self._clients if client.has_request and client.requests_left > 0]
        while asking and self._requests_left:
            for client in asking[: self._requests_left]:
                self._requests_left -= 1
                self.yield_to_player()
                self._answer_one(client)
                took = time.monotonic() - began
                if took > ROUND_S:  # such as charts of thousands of bars: let signals in, and pause as long as it took
                    self._requests_left, self._round_end_s = 0, self._round_end_s + took
                    return
            asking = [client for client in asking if client.has_request and client.requests_left > 0]

    def _answer_one(self, client: Connection) -> None:
        line = client.next_line()
        client.requests_left -= 1 + len(line) // _LONG_REQUEST_BYTES
        if not line.strip():
            return
        try:
            received = ReceivedRequest(line)
        except ValueError as error:
            client.mistakes += 1
            client.send(encode_line(Refusal(None, False, f"not a request: {error}")))
            if client.mistakes >= MAX_MISTAKES:
                client.reject("nothing here is a request; good-bye")
            return
        client.mistakes = 0
        try:
            request = received.read()
            result = None if isinstance(request, WatchRequest) else self.handle(request)
        except SidemanError as error:
            client.send(encode_line(Refusal(received.id, False, str(error)), received.version or PROTOCOL_VERSION))
            return
        if isinstance(result, Pending):
            in_turn = not request.answered_late
            client.is_waiting, client.late = client.is_waiting or in_turn, client.late + (not in_turn)
            result.then(lambda outcome: self._finish(client, request, outcome))
            self._look_ahead(client)
            return
        client.send(encode_line(Answer(received.id, True, result), request.v))
        if isinstance(request, WatchRequest):
            client.watches = request
            if request.v == PROTOCOL_VERSION:
                client.send(b"".join(map(encode_line, self.initial_events())))
            else:
                first = self.initial_timed_events()
                client.send(b"".join(encode_line(event, request.v, second) for second, event in first))

    def _finish(self, client: Connection, request: Request, outcome: object) -> None:
        """Answer the request that `client` waits for."""
        if request.answered_late:
            client.late -= 1
        else:
            client.is_waiting = False
        refusal = Refusal(request.id, False, str(outcome)) if isinstance(outcome, SidemanError) else None
        client.send(encode_line(refusal or Answer(request.id, True, outcome), request.v))

    def _look_ahead(self, client: Connection) -> None:
        """Do at once what must not wait for a file, among the requests of a client that waits.

        They are answered when their turn comes, and done again then: the requests between them may undo them.
        """
        for line in client.lines_ahead() if client.is_waiting else ():
            if b"panic" in line or b"stop" in line:
                with contextlib.suppress(ValueError, SidemanError):
                    request = ReceivedRequest(line).read()
                    if isinstance(request, _NEVER_WAIT):
                        self.handle(request)

    # -- clients

    def _accept_clients(self) -> None:
        """Accept new clients, a limited number in a round: a client that is disconnected may come back at once."""
        while self._accepts_left:
            try:
                connection, _ = self.listener.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("control.socket: no further client can be accepted: %s", error.strerror)
                break
            self._accepts_left -= 1
            connection.setblocking(False)
            client = Connection(connection)
            if len(self._clients) >= MAX_CLIENTS:
                client.reject(f"{MAX_CLIENTS} others are here already; come back later")
            self._clients.append(client)
        self._accepts_left = 0
        self.selector.unregister(self.listener.socket)

    def _update_clients(self) -> None:
        """Let the selector wait for what each client wants, and remove clients that are finished."""
        for client in self._clients:
            wanted, registered = 0 if client.is_finished else client.wanted_events, client.registered_events
            if registered and wanted != registered:
                self.selector.unregister(client.socket)
            if wanted and wanted != registered:
                self.selector.register(client.socket, wanted, client)
            client.registered_events = wanted
            if client.is_finished:
                client.socket.close()
        self._clients = [client for client in self._clients if not client.is_finished]


class Connection:
    """One client's connection: bytes in and out, never waiting, never more than a bounded amount."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.watches: WatchRequest | None = None  # what it has asked to watch
        self.is_waiting = False  # for the files that its request needs
        self.late = 0  # its requests that are answered as soon as they are done, whatever it asks meanwhile
        self.mistakes = 0  # lines in a row that were not requests
        self.requests_left = REQUESTS_PER_CLIENT  # in this round; negative after a long one, to be made up for later
        self.registered_events = 0  # what the server's selector waits for
        self._received = bytearray()
        self._unsent = bytearray()
        self._looked_at = 0  # how many of the bytes received were looked through while it waits
        self._has_ended = False  # the client sends no more, but may still read
        self._is_gone = False

    @property
    def has_request(self) -> bool:
        """Whether a request can be answered now."""
        return self._has_line and not self.is_waiting

    @property
    def _has_line(self) -> bool:
        """Whether a whole line has come. The last line of a client may lack its line end."""
        return not self._is_gone and (b"\n" in self._received or (self._has_ended and bool(self._received)))

    @property
    def wanted_events(self) -> int:
        """What the selector has to wait for. While a request waits for its turn, nothing more is read."""
        is_full = len(self._received) > MAX_LINE_BYTES or (self._has_line and not self.is_waiting)
        read = 0 if self._has_ended or is_full else selectors.EVENT_READ
        return read | (selectors.EVENT_WRITE if self._unsent else 0)

    @property
    def is_finished(self) -> bool:
        """Whether the connection can be closed: nothing more will come and nothing is left to send."""
        is_busy = self._has_line or self.is_waiting or self.late or self._unsent or self.watches is not None
        return self._is_gone or (self._has_ended and not is_busy)

    def read(self) -> None:
        """Take in what has come, up to the size of one line."""
        try:
            data = self.socket.recv(MAX_LINE_BYTES + 1 - len(self._received))
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
        """Take the next line."""
        length = self._received.find(b"\n") + 1 or len(self._received)
        line = bytes(self._received[:length])
        del self._received[:length]
        self._looked_at = max(0, self._looked_at - length)
        return line

    def lines_ahead(self) -> list[bytes]:
        """Return the whole lines that have come and were not looked at yet; they stay to be answered."""
        end = self._received.rfind(b"\n") + 1
        *lines, _ = bytes(self._received[self._looked_at : end]).split(b"\n")
        self._looked_at = max(self._looked_at, end)
        return lines

    def send(self, lines: bytes) -> None:
        """Send lines as soon as the client reads them. A client that leaves too much unread is dropped."""
        self._unsent += lines
        self.flush()
        if len(self._unsent) > MAX_UNSENT_BYTES:
            _log.info("control.socket: a client that does not read was disconnected")
            self._is_gone = True

    def reject(self, reason: str) -> None:
        """Send the reason, as far as it can be sent at once, and end the connection."""
        self.send(encode_line(Refusal(None, False, reason)))
        self._is_gone = True

    def flush(self) -> None:
        """Send what can be sent now."""
        try:
            while self._unsent:
                del self._unsent[: self.socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._is_gone = True
