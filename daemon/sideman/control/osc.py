# SPDX-License-Identifier: Apache-2.0
"""The OSC server: the same requests as OSC messages, such as `/sideman/play/temperature 1.2` or `/sideman/mode trade`.

It runs in the main thread, with the limits of the control socket: in a round a limited number of messages is answered,
and the system drops what comes beyond that. This is the only module that imports python-osc.

UDP does not say who has sent a packet: every user of the machine can, and over a network the sender's address may be
forged. So requests are those of a guest (`ControlApi.answer_guest`). With `control.osc_key` a message without the key
is ignored. Without a key, only this machine gets answers. What is no request, such as the answer of another program, is
never answered: two daemons would answer each other for ever.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import math
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, get_args

from msgspec.structs import fields as struct_fields

from sideman.control.codec import encode_json, make_request
from sideman.control.protocol import REQUESTS, Request, request_fields
from sideman.control.readings import Pending
from sideman.control.server import REQUESTS_PER_ROUND, ROUND_S, RequestHandler
from sideman.control.tally import Tally
from sideman.core.errors import SidemanError, Unavailable
from sideman.core.settings.schema import GROUPS

PREFIX = "sideman"
_MAX_DATAGRAM_BYTES = 1 << 16
_MAX_ERROR_LENGTH = 300
_MAX_ANSWER_BYTES = 1 << 14  # in a round
_FLOAT32_DIGITS = 7  # the decimal digits that a float of 32 bits holds

_log = logging.getLogger(__name__)


class OscPort:
    """An open UDP port: `port` at `host`; 0 takes a free one. Each message has to give `key`, unless that is None.

    Raises Unavailable if python-osc is not installed or the port cannot be opened.
    """

    def __init__(self, host: str, port: int, key: str | None = None) -> None:
        try:
            from pythonosc.osc_message_builder import OscMessageBuilder
            from pythonosc.osc_packet import OscPacket
        except ImportError:
            raise Unavailable("control.osc: python-osc is not installed; it comes with sideman[osc]") from None
        # The library writes a line to the log for every wrong message.
        logging.getLogger().addFilter(lambda record: "pythonosc" not in record.pathname)
        self.packet, self.builder, self.key = OscPacket, OscMessageBuilder, key
        try:
            family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self.socket = socket.socket(family, kind, proto)
        except OSError as error:
            raise Unavailable(f"control.osc_host: {host}: {error.strerror or error}") from None
        try:
            self.socket.bind(address)
            self.socket.setblocking(False)
        except OSError as error:
            self.socket.close()
            raise Unavailable(f"control.osc: port {port} of {host}: {error.strerror or error}") from None

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the port."""
        return _is_local(self.socket.getsockname())

    def close(self) -> None:
        """Close the port."""
        self.socket.close()


class OscServer:
    """Answers OSC messages that are sent to `port`. `handle` answers requests.

    `yield_to_player` is called before each packet and each message in it: a note about to be sent goes first.
    """

    def __init__(self, port: OscPort, handle: RequestHandler, yield_to_player: Callable[[], None]) -> None:
        self._port = port
        self._socket = port.socket
        self._handle = handle
        self._yield_to_player = yield_to_player
        self._round_end_s, self._requests_left = -math.inf, REQUESTS_PER_ROUND
        self._answer_bytes_left = _MAX_ANSWER_BYTES
        self._keyless = Tally(_log, "control.osc: %s messages without the right key were ignored")
        self._messages: deque[tuple[str, Sequence[object], Any]] = deque()  # address, arguments, sender
        self.selector = selectors.DefaultSelector()  # of the port, while requests are left
        self.selector.register(self._socket, selectors.EVENT_READ)

    def wakes_at(self) -> float:
        """Return the second when there is something to serve even if `selector` is not readable; infinite if never."""
        return math.inf if self._requests_left > 0 else self._round_end_s

    def serve(self, now: float) -> None:
        """Answer what has come, for a bounded time. It raises nothing, whatever is sent."""
        self._keyless.log(now)
        listened = self._requests_left > 0
        if now >= self._round_end_s:
            self._round_end_s, self._requests_left = now + ROUND_S, REQUESTS_PER_ROUND
            self._answer_bytes_left = _MAX_ANSWER_BYTES
        began = time.monotonic()
        while self._requests_left > 0 and (self._messages or self._receive_packet()):
            if self._messages:
                self._requests_left -= 1
                self._yield_to_player()
                self._handle_message(*self._messages.popleft())
            took = time.monotonic() - began
            if took > ROUND_S:  # let signals in, and pause as long as it took
                self._requests_left, self._round_end_s = 0, self._round_end_s + took
        listens = self._requests_left > 0
        if listens and not listened:
            self.selector.register(self._socket, selectors.EVENT_READ)
        elif listened and not listens:
            self.selector.unregister(self._socket)

    def close(self) -> None:
        """Stop serving."""
        self.selector.close()

    def _receive_packet(self) -> bool:
        """Take the messages of the next packet, if there is one."""
        try:
            data, sender = self._socket.recvfrom(_MAX_DATAGRAM_BYTES)
        except OSError:  # there is no packet, or a client to which we replied is gone
            return False
        self._yield_to_player()
        try:
            messages = [(each.message.address, each.message.params) for each in self._port.packet(data).messages]
        except Exception:  # noqa: BLE001 - python-osc raises many kinds of errors for data that is not OSC
            messages = []
        if not messages:
            self._requests_left -= 1  # so that a flood of wrong packets ends, too
        self._messages.extend((address, arguments, sender) for address, arguments in messages[:REQUESTS_PER_ROUND])
        return True

    def _handle_message(self, address: str, arguments: Sequence[object], sender: Any) -> None:  # noqa: ANN401 - an address as sockets have them
        words = self._words_of(address)
        named = _name_and_fields(words, [_plain_number(argument) for argument in arguments])
        if named is None or named[0] not in REQUESTS:
            return
        name, fields = named
        try:
            result = self._handle(make_request(name, fields))
        except SidemanError as error:
            result = error
        if isinstance(result, Pending):
            result.then(lambda outcome: self._reply(name, outcome, sender))
        else:
            self._reply(name, result, sender)

    def _reply(self, name: str, outcome: object, sender: Any) -> None:  # noqa: ANN401 - an address as sockets have them
        if isinstance(outcome, SidemanError):
            kind, text = "error", str(outcome)[:_MAX_ERROR_LENGTH]
        elif REQUESTS[name].osc_replies:
            kind, text = "reply", encode_json(outcome).decode()
        else:
            return
        if self._port.key is None and not _is_local(sender):
            return
        message = self._port.builder(f"/{PREFIX}/{kind}")
        with contextlib.suppress(OSError, ValueError):  # the client is gone, or the text is too long for a datagram
            message.add_arg(name)
            message.add_arg(text)
            dgram = message.build().dgram
            if len(dgram) <= self._answer_bytes_left:
                self._answer_bytes_left -= len(dgram)
                self._socket.sendto(dgram, sender)

    def _words_of(self, address: str) -> list[str]:
        """Return the parts of an address after the prefix and the key; none if it is not for us."""
        match address.split("/"):
            case ["", prefix, *words] if prefix == PREFIX:
                pass
            case _:
                return []
        if self._port.key is None:
            return words
        from hmac import compare_digest  # with OpenSSL, which a playing process does not need otherwise

        given, key = (word.encode() for word in (words[0] if words else "", self._port.key))
        if compare_digest(given, key):
            return words[1:]
        self._keyless.count += 1
        return []


def _is_local(address: Any) -> bool:  # noqa: ANN401 - an address as sockets have them
    """Whether `address` is of this machine alone. An IPv4 address may be written as an IPv6 one."""
    ip = ipaddress.ip_address(address[0].partition("%")[0])
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def _name_and_fields(words: list[str], arguments: list[object]) -> tuple[str, dict[str, object]] | None:
    """Return the request of a message; None if it is none, or if it says that a button was released.

    OSC clients send 1 and 0 for true and false.
    """
    match words:
        case [group, key] if group in GROUPS and arguments:
            return "set", {"key": f"{group}.{key}", "value": arguments[0]}
        case [name]:
            kind = REQUESTS.get(name, Request)
            types = {field.name: field.type for field in struct_fields(kind)}
            fields = dict(zip(request_fields(kind), arguments, strict=False))
            for field, value in fields.items():
                if isinstance(value, int | float) and bool in (types[field], *get_args(types[field])):
                    fields[field] = bool(value)
            return None if not fields and arguments[:1] in ([0], [False]) else (name, fields)
    return None


def _plain_number(value: object) -> object:
    """Return a float of 32 bits as it was meant: 1.2 instead of 1.2000000476837158, 3 instead of 3.0."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return int(value) if value.is_integer() else float(f"{value:.{_FLOAT32_DIGITS}g}")
