# SPDX-License-Identifier: Apache-2.0
"""The way out and the way in, kept open over losses.

A `Link` never gives up what is wanted: what is not there, or goes away while it plays (the JACK server dies, a named
port is unplugged), is silent, and is looked for at each `poll()`. Where `auto` finds no MIDI system at all, the
output is the in-process port, which takes everything and leads nowhere, until there is one.

Two threads use a Link: the player calls `send` and nothing else, the main thread everything else. `send` waits for no
more than the change of one attribute: clients are closed and deleted only after it has been turned away from them.

A port closed straight after a message may lose it (over JACK in 5 of 80 closings). So `close()` stays for two full
periods of the JACK server, and at least 20 ms, after the last message.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sideman.core.errors import Unavailable
from sideman.midi.backends import AUTO, Client, Receive, Side, Systems

NONE, IN_PROCESS = "none", "in-process"
LINGER_S = 0.02  # at least, between the last message and the end of the port
LONGEST_LINGER_S = 0.5
DEAF_S = 0.01  # for a note on its way in, before the port is closed
SETTLE_S = 0.01  # between two steps of the end: libjack crashes on a client that ends while it is told of another's end
OUTPUT, INPUT = "midi.output", "midi.input"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The ports to choose: AUTO, NONE or a name; our own name; whether a named port may come later.

    With `clock` what the input hears of a clock is heard too.
    """

    output: str = AUTO
    input: str = AUTO
    client: str = "sideman"
    wait: bool = False
    clock: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A port came, went, or cannot be found for a new reason: `key` OUTPUT or INPUT, `open` now or not, a sentence."""

    key: str
    open: bool
    text: str


class Link:
    """Two ways, either of which may be none. The player's Output; opened, polled and closed by the main thread.

    Raises Unavailable, when made, where rtmidi itself is missing or broken and ports are wanted.
    """

    def __init__(self, wanted: Wanted, receive: Receive) -> None:
        self._wanted = wanted
        self._lock = threading.Lock()
        self._port: Client | None = None  # where `send` sends; None: nowhere
        self._sent, self._failure = 0.0, ""
        self._whys: dict[str, str] = {}  # by key: why a port that is wanted is not open
        self._ways: dict[str, Side] = {}
        self._systems: Systems | None = None
        if wanted.output != NONE or wanted.input != NONE:
            self._systems = systems = Systems(wanted.client, self._woken)
            out = Side(systems, OUTPUT, wanted.output, f"{wanted.client}:out", systems.make_output)
            hear = partial(systems.make_input, receive=receive, clock=wanted.clock)
            in_ = Side(systems, INPUT, wanted.input, f"{wanted.client}-in:in", hear)
            self._ways = {way.key: way for way in (out, in_) if way.wanted != NONE}
        self._awake, self._wake = socket.socketpair()
        self._awake.setblocking(False)
        self._wake.setblocking(False)

    @property
    def name(self) -> str:
        """The output: 'sideman:out (ALSA)', a real port's name and system, 'in-process', 'none', "waiting for 'X'"."""
        return self._title(OUTPUT)

    @property
    def plays(self) -> bool:
        """Whether there is a port that we play to."""
        return self._port is not None

    @property
    def rounds(self) -> float:
        """Seconds between the rounds in which the input's messages are carried, as JACK does; 0: each at once."""
        way, systems = self._ways.get(INPUT), self._systems
        if way is None or systems is None or systems.server is None or systems.lost() or not way.uses(systems.jack):
            return 0.0
        return systems.server.period

    @property
    def text(self) -> str:
        """Both ways in a line."""
        return f"output {self._title(OUTPUT)}, input {self._title(INPUT)}"

    def open(self) -> list[str]:
        """Open what is there; answer why the rest is not, in sentences. Raises Unavailable unless it may come later."""
        for way in self._ways.values():
            try:
                self._find(way)
            except Unavailable as error:
                if way.wanted != AUTO and not self._wanted.wait:
                    self.close()
                    raise
                self._whys[way.key] = str(error)
        return list(self._whys.values())

    def fileno(self) -> int:
        """Readable when `poll` has something to tell at once: for the main thread's selector."""
        return self._awake.fileno()

    def poll(self) -> list[Change]:
        """What has come and gone. To be called every second or two, and whenever `fileno` is readable."""
        with contextlib.suppress(BlockingIOError):
            self._awake.recv(64)
        return [*self._hold(), *self._lose(), *self._seek()]

    def send(self, message: Sequence[int]) -> None:
        """Pass on one message of 1 to 3 bytes, or lose it while there is no port."""
        with self._lock:
            if self._port is None or self._systems is None or self._systems.lost():
                return
            try:
                self._port.send_message(message)
            except self._systems.rtmidi.RtMidiError as error:
                self._port, self._failure = None, str(error)
                self._woken()
            self._sent = time.monotonic()

    def close(self) -> None:
        """Let go of both ports once all that was sent has arrived."""
        if self._systems is not None:
            if INPUT in self._ways:
                self._ways[INPUT].deafen()
            self._linger(self._systems)
            self._turn_away()
            for step in (Side.let_go, Side.close):
                for way in self._ways.values():
                    step(way)
                    time.sleep(SETTLE_S)
            self._systems.unwatch()
            self._systems = None
        self._awake.close()
        self._wake.close()

    def _title(self, key: str) -> str:
        way = self._ways.get(key)
        if way is None:
            return NONE
        return way.title or (IN_PROCESS if way.wanted == AUTO else f"waiting for '{way.wanted}'")

    def _linger(self, systems: Systems) -> None:
        """Let what was sent leave. By the server's own rounds, which on a busy machine last longer than they should."""
        if systems.server is not None and self._port is not None:
            systems.server.pass_rounds(3, LONGEST_LINGER_S)
        time.sleep(max(DEAF_S, self._sent + LINGER_S - time.monotonic()))

    def _find(self, way: Side) -> None:
        way.find()
        self._whys.pop(way.key, None)
        if way.key == OUTPUT:
            with self._lock:
                self._port, self._failure = way.port, ""
        self._unwatch_unused()

    def _unwatch_unused(self) -> None:
        """Leave JACK once all that is wanted was found elsewhere."""
        ways = self._ways.values()
        if self._systems is not None and not any(way.port is None or way.uses(self._systems.jack) for way in ways):
            self._systems.unwatch()

    def _hold(self) -> Iterator[Change]:
        """Send nothing while JACK's server stands still: rtmidi's buffer for it fills, and then rtmidi hangs in it."""
        way, server = self._ways.get(OUTPUT), self._systems.server if self._systems else None
        if way is None or way.port is None or server is None or server.gone:
            return
        still = server.stands_still()
        if still and self._port is not None:
            self._turn_away()
            yield Change(OUTPUT, False, f"{OUTPUT}: the JACK server stands still; silent until it goes on")
        elif still is False and self._port is None:
            with self._lock:
                self._port = way.port
            yield Change(OUTPUT, True, f"{OUTPUT}: the JACK server goes on")

    def _lose(self) -> Iterator[Change]:
        """Let go of what is no longer there."""
        before = {key: way.title for key, way in self._ways.items() if way.port is not None}
        if self._systems is not None and self._systems.lost():
            self._turn_away()
            for way in self._ways.values():
                way.forget(self._systems.jack)
            self._systems.unwatch()
        for way in self._ways.values():
            if way.port is not None and self._is_broken(way):
                if way.key == OUTPUT:
                    self._turn_away()
                way.let_go()
        for key, title in before.items():
            if self._ways[key].port is None:
                yield Change(key, False, f"{key}: {title} is gone; looking for it")

    def _is_broken(self, way: Side) -> bool:
        return not way.stands() or (way.key == OUTPUT and bool(self._failure))

    def _turn_away(self) -> None:
        with self._lock:
            self._port = None

    def _seek(self) -> Iterator[Change]:
        """Look for what is wanted and not open."""
        if self._systems is not None:
            self._systems.refresh()
        for way in self._ways.values():
            if way.port is not None:
                continue
            try:
                self._find(way)
            except Unavailable as error:
                if self._whys.get(way.key) != str(error):
                    self._whys[way.key] = str(error)
                    yield Change(way.key, False, str(error))
            else:
                yield Change(way.key, True, f"{way.key}: {way.title} is open")

    def _woken(self) -> None:
        """Called in whatever thread notices that something is wrong."""
        with contextlib.suppress(OSError):
            self._wake.send(b"!")
