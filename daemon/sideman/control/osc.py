# SPDX-License-Identifier: Apache-2.0
"""The same requests as OSC messages: `/sideman/play/temperature 1.2`, `/sideman/mode trade`, `/sideman/panic`.

Served in the main thread, like the control socket and with its bounds: in a round so many messages are answered, and
the system drops what comes beyond that. Garbage is counted, and nothing else. The only module that imports python-osc.
"""

from __future__ import annotations

import json
import logging
import math
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sideman.control.server import REQUESTS_PER_ROUND, ROUND_S, RequestHandler
from sideman.core.errors import SidemanError, Unavailable

PREFIX = "sideman"
MAX_DATAGRAM_BYTES = 1 << 16
"""Bytes of a datagram."""
ANSWERED_REQUESTS = ("get", "status")
"""The requests that are answered with more than silence."""

_BOOLEAN_ARGUMENTS = ("on", "now")
_DIGITS = 7  # what a number of 32 bits is good for


class OscPort:
    """A UDP port that is ours: `port` at `host`; 0 takes one that is free.

    Raises Unavailable where python-osc is not installed, or the port is not to be had.
    """

    def __init__(self, host: str, port: int) -> None:
        self.packet, self.builder = _load_pythonosc()
        self.socket = _bound_socket(host, port)

    @property
    def number(self) -> int:
        """The port."""
        return int(self.socket.getsockname()[1])

    def close(self) -> None:
        """Let go of it."""
        self.socket.close()


class OscServer:
    """Answers OSC messages sent to `port`. `handle` answers requests; `argument_names` orders a request's arguments.

    `yield_to_player` is called before each packet and each message in it, so that what is more urgent goes first.
    """

    def __init__(
        self,
        port: OscPort,
        handle: RequestHandler,
        argument_names: Callable[[str], Sequence[str]],
        yield_to_player: Callable[[], None] = lambda: None,
    ) -> None:
        self.ignored = 0
        """Messages that were none, or not for us."""
        self._port = port
        self._socket = port.socket
        self._handle = handle
        self._argument_names = argument_names
        self._yield_to_player = yield_to_player
        self._round_end_s, self._requests_left = -math.inf, REQUESTS_PER_ROUND
        self._messages: deque[tuple[str, Sequence[object], Any]] = deque()  # of a packet, and who sent it
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._registered = True

    def fileno(self) -> int:
        """Readable when there is something to serve."""
        return self._selector.fileno()

    def wakes_at(self) -> float:
        """The second when there is something to serve whether `fileno` is readable or not; infinite if never."""
        return math.inf if self._registered else self._round_end_s

    def serve(self, now: float) -> None:
        """Answer what has come, for a bounded time. Nothing that is sent makes it raise."""
        if now >= self._round_end_s:
            self._round_end_s, self._requests_left = now + ROUND_S, REQUESTS_PER_ROUND
        began = time.monotonic()
        while self._requests_left > 0 and (self._messages or self._receive_packet()):
            if self._messages:
                self._requests_left -= 1
                self._yield_to_player()
                self._handle_message(*self._messages.popleft())
            took = time.monotonic() - began
            if took > ROUND_S:  # let signals in between, and rest as long
                self._requests_left, self._round_end_s = 0, self._round_end_s + took
        self._set_listening(listening=self._requests_left > 0)

    def close(self) -> None:
        """Serve nobody any more."""
        self._selector.close()

    def _set_listening(self, *, listening: bool) -> None:
        if listening and not self._registered:
            self._selector.register(self._socket, selectors.EVENT_READ)
        elif self._registered and not listening:
            self._selector.unregister(self._socket)
        self._registered = listening

    def _receive_datagram(self) -> tuple[bytes, Any] | None:
        try:
            return self._socket.recvfrom(MAX_DATAGRAM_BYTES)
        except OSError:  # nothing more, or the word that somebody we answered has gone
            return None

    def _receive_packet(self) -> bool:
        """Take the messages of the next packet, if there is one."""
        came = self._receive_datagram()
        if came is None:
            return False
        self._yield_to_player()
        self._unpack(*came)
        return True

    def _unpack(self, data: bytes, sender: Any) -> None:  # noqa: ANN401 - an address as sockets have them
        try:
            messages = [(each.message.address, each.message.params) for each in self._port.packet(data).messages]
        except Exception:  # noqa: BLE001 - whatever the library stumbles over, it was no OSC
            self.ignored += 1
            messages = []
        if not messages:
            self._requests_left -= 1  # garbage, too, has taken its time
        self._messages.extend((address, arguments, sender) for address, arguments in messages[:REQUESTS_PER_ROUND])

    def _handle_message(self, address: str, arguments: Sequence[object], sender: Any) -> None:  # noqa: ANN401 - as above
        for verb, reply in self._replies(address, arguments):
            self._reply(verb, reply, sender)

    def _replies(self, address: str, arguments: Sequence[object]) -> Iterator[tuple[str, str | SidemanError]]:
        """What to reply, if anything."""
        request = self._parse_request(address, [_plain_number(each) for each in arguments])
        if request is None:
            self.ignored += 1
            return
        verb = str(request["do"])
        try:
            result = self._handle(request)
        except SidemanError as error:
            yield verb, error
            return
        if verb in ANSWERED_REQUESTS:
            yield verb, json.dumps(result)

    def _parse_request(self, address: str, arguments: list[object]) -> dict[str, object] | None:
        """The request that a message stands for; None for one that is not for us, or says that a button came up."""
        match address.split("/"):
            case ["", prefix, group, key] if prefix == PREFIX and arguments:
                return {"do": "set", "key": f"{group}.{key}", "value": arguments[0]}
            case ["", prefix, verb] if prefix == PREFIX:
                names = self._argument_names(verb)
                if not names and arguments[:1] in ([0], [False]):
                    return None
                given = dict(zip(names, arguments, strict=False))
                return {"do": verb, **{name: _as_boolean(name, value) for name, value in given.items()}}
        return None

    def _reply(self, verb: str, result: str | SidemanError, sender: Any) -> None:  # noqa: ANN401 - as above
        message = self._port.builder(f"/{PREFIX}/{'error' if isinstance(result, SidemanError) else 'reply'}")
        try:
            for text in (verb, str(result)):
                message.add_arg(text)
            self._socket.sendto(message.build().dgram, sender)
        except (OSError, ValueError, UnicodeError):
            self.ignored += 1  # it does not listen, or it is too long for a datagram


def _load_pythonosc() -> tuple[Any, Any]:
    try:
        from pythonosc.osc_message_builder import OscMessageBuilder
        from pythonosc.osc_packet import OscPacket
    except ImportError:
        raise Unavailable("control.osc: python-osc is not installed; it comes with sideman[osc]") from None
    logging.getLogger().addFilter(_is_not_pythonosc)
    return OscPacket, OscMessageBuilder


def _is_not_pythonosc(record: logging.LogRecord) -> bool:
    """The library logs a line for every wrong message: whoever sends them would fill the log."""
    return "pythonosc" not in record.pathname


def _bound_socket(host: str, port: int) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        way = socket.socket(family, kind, proto)
    except OSError as error:
        raise Unavailable(f"control.osc_host: {host}: {error.strerror or error}") from None
    try:
        way.bind(address)
        way.setblocking(False)
    except OSError as error:
        way.close()
        raise Unavailable(f"control.osc: port {port} of {host}: {error.strerror or error}") from None
    return way


def _plain_number(value: object) -> object:
    """A number of 32 bits as it was meant: 1.2, not 1.2000000476837158; and 3, not 3.0."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return int(value) if value.is_integer() else float(f"{value:.{_DIGITS}g}")


def _as_boolean(name: str, value: object) -> object:
    return bool(value) if name in _BOOLEAN_ARGUMENTS and isinstance(value, int | float) else value
