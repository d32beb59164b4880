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

from sideman.control.server import ALL, ROUND_S, Answer
from sideman.core.errors import SidemanError, Unavailable

PREFIX = "sideman"
LARGEST = 1 << 16
"""Bytes of a datagram."""
TELLS = ("get", "status")
"""The requests that are answered with more than silence."""

_SWITCHES = ("on", "now")
_DIGITS = 7  # what a number of 32 bits is good for


class OscPort:
    """A UDP port that is ours: `port` at `host`; 0 takes one that is free.

    Raises Unavailable where python-osc is not installed, or the port is not to be had.
    """

    def __init__(self, host: str, port: int) -> None:
        self.packet, self.builder = _library()
        self.socket = _bound(host, port)

    @property
    def number(self) -> int:
        """The port."""
        return int(self.socket.getsockname()[1])

    def close(self) -> None:
        """Let go of it."""
        self.socket.close()


class Osc:
    """Serves those who send to `port`. `answer` answers requests; `names` gives a verb's arguments in their order.

    `step_aside` is called before each packet and each message in it, so that what is more urgent goes first.
    """

    def __init__(
        self,
        port: OscPort,
        answer: Answer,
        names: Callable[[str], Sequence[str]],
        step_aside: Callable[[], None] = lambda: None,
    ) -> None:
        self.ignored = 0
        """Messages that were none, or not for us."""
        self._port = port
        self._way = port.socket
        self._answer = answer
        self._names = names
        self._step_aside = step_aside
        self._ends, self._left = -math.inf, ALL
        self._messages: deque[tuple[str, Sequence[object], Any]] = deque()  # of a packet, and who sent it
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._way, selectors.EVENT_READ)
        self._registered = True

    def fileno(self) -> int:
        """Readable when there is something to serve."""
        return self._selector.fileno()

    def wakes_at(self) -> float:
        """The second when there is something to serve whether `fileno` is readable or not; infinite if never."""
        return math.inf if self._registered else self._ends

    def serve(self, now: float) -> None:
        """Answer what has come, for a bounded time. Nothing that is sent makes it raise."""
        if now >= self._ends:
            self._ends, self._left = now + ROUND_S, ALL
        began = time.monotonic()
        while self._left > 0 and (self._messages or self._take_in()):
            if self._messages:
                self._left -= 1
                self._step_aside()
                self._heed(*self._messages.popleft())
            took = time.monotonic() - began
            if took > ROUND_S:  # let signals in between, and rest as long
                self._left, self._ends = 0, self._ends + took
        self._wait(listening=self._left > 0)

    def close(self) -> None:
        """Serve nobody any more."""
        self._selector.close()

    def _wait(self, *, listening: bool) -> None:
        if listening and not self._registered:
            self._selector.register(self._way, selectors.EVENT_READ)
        elif self._registered and not listening:
            self._selector.unregister(self._way)
        self._registered = listening

    def _receive(self) -> tuple[bytes, Any] | None:
        try:
            return self._way.recvfrom(LARGEST)
        except OSError:  # nothing more, or the word that somebody we answered has gone
            return None

    def _take_in(self) -> bool:
        """Take the messages of the next packet, if there is one."""
        came = self._receive()
        if came is None:
            return False
        self._step_aside()
        self._unpack(*came)
        return True

    def _unpack(self, data: bytes, sender: Any) -> None:  # noqa: ANN401 - an address as sockets have them
        try:
            messages = [(each.message.address, each.message.params) for each in self._port.packet(data).messages]
        except Exception:  # noqa: BLE001 - whatever the library stumbles over, it was no OSC
            self.ignored += 1
            messages = []
        if not messages:
            self._left -= 1  # garbage, too, has taken its time
        self._messages.extend((address, arguments, sender) for address, arguments in messages[:ALL])

    def _heed(self, address: str, arguments: Sequence[object], sender: Any) -> None:  # noqa: ANN401 - as above
        for verb, reply in self._answered(address, arguments):
            self._reply(verb, reply, sender)

    def _answered(self, address: str, arguments: Sequence[object]) -> Iterator[tuple[str, str | SidemanError]]:
        """What to reply, if anything."""
        request = self._request(address, [_plain(each) for each in arguments])
        if request is None:
            self.ignored += 1
            return
        verb = str(request["do"])
        try:
            result = self._answer(request)
        except SidemanError as error:
            yield verb, error
            return
        if verb in TELLS:
            yield verb, json.dumps(result)

    def _request(self, address: str, arguments: list[object]) -> dict[str, object] | None:
        """The request that a message stands for; None for one that is not for us, or says that a button came up."""
        match address.split("/"):
            case ["", prefix, group, key] if prefix == PREFIX and arguments:
                return {"do": "set", "key": f"{group}.{key}", "value": arguments[0]}
            case ["", prefix, verb] if prefix == PREFIX:
                names = self._names(verb)
                if not names and arguments[:1] in ([0], [False]):
                    return None
                given = dict(zip(names, arguments, strict=False))
                return {"do": verb, **{name: _switch(name, value) for name, value in given.items()}}
        return None

    def _reply(self, verb: str, told: str | SidemanError, sender: Any) -> None:  # noqa: ANN401 - as above
        message = self._port.builder(f"/{PREFIX}/{'error' if isinstance(told, SidemanError) else 'reply'}")
        try:
            for text in (verb, str(told)):
                message.add_arg(text)
            self._way.sendto(message.build().dgram, sender)
        except (OSError, ValueError, UnicodeError):
            self.ignored += 1  # it does not listen, or it is too long for a datagram


def _library() -> tuple[Any, Any]:
    try:
        from pythonosc.osc_message_builder import OscMessageBuilder
        from pythonosc.osc_packet import OscPacket
    except ImportError:
        raise Unavailable("control.osc: python-osc is not installed; it comes with sideman[osc]") from None
    logging.getLogger().addFilter(_is_ours)
    return OscPacket, OscMessageBuilder


def _is_ours(record: logging.LogRecord) -> bool:
    """The library logs a line for every wrong message: whoever sends them would fill the log."""
    return "pythonosc" not in record.pathname


def _bound(host: str, port: int) -> socket.socket:
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


def _plain(value: object) -> object:
    """A number of 32 bits as it was meant: 1.2, not 1.2000000476837158; and 3, not 3.0."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return int(value) if value.is_integer() else float(f"{value:.{_DIGITS}g}")


def _switch(name: str, value: object) -> object:
    return bool(value) if name in _SWITCHES and isinstance(value, int | float) else value
