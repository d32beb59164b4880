# SPDX-License-Identifier: Apache-2.0
"""The way out and the way in, kept open over losses.

A `MidiPorts` never gives up what is wanted: what is not there, or goes away while it plays (the JACK server dies, a
named port is unplugged), is silent, and is looked for at each `poll()`. Where `auto` finds no MIDI system at all, the
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
from sideman.midi.backends import AUTO, Backends, MidiPort, ReceiveCallback, RtMidiClient

NO_PORT, IN_PROCESS = "none", "in-process"
LINGER_S = 0.02  # at least, between the last message and the end of the port
MAX_LINGER_S = 0.5
CALLBACK_DRAIN_S = 0.01  # for a note on its way in, before the port is closed
CLOSE_STEP_S = (
    0.01  # between two steps of the end: libjack crashes on a client that ends while it is told of another's end
)
OUTPUT, INPUT = "midi.output", "midi.input"


@dataclass(frozen=True, slots=True)
class PortRequest:
    """The ports to choose: AUTO, NONE or a name; our own name; whether a named port may come later.

    With `clock` what the input hears of a clock is heard too.
    """

    output: str = AUTO
    input: str = AUTO
    client: str = "sideman"
    wait: bool = False
    clock: bool = False


@dataclass(frozen=True, slots=True)
class PortChanged:
    """A port was opened or lost, or cannot be found for a new reason. `key` is OUTPUT or INPUT, `text` a sentence."""

    key: str
    is_open: bool
    text: str


class MidiPorts:
    """Two ways, either of which may be none. The player's Output; opened, polled and closed by the main thread.

    Raises Unavailable, when made, where rtmidi itself is missing or broken and ports are wanted.
    """

    def __init__(self, request: PortRequest, receive: ReceiveCallback) -> None:
        self._request = request
        self._lock = threading.Lock()
        self._output_client: RtMidiClient | None = None  # where `send` sends; None: nowhere
        self._last_sent_s, self._failure = 0.0, ""
        self._missing_reasons: dict[str, str] = {}  # by key: why a port that is wanted is not open
        self._ports: dict[str, MidiPort] = {}
        self._backends: Backends | None = None
        if request.output != NO_PORT or request.input != NO_PORT:
            self._backends = systems = Backends(request.client, self._wake_main_thread)
            out = MidiPort(systems, OUTPUT, request.output, f"{request.client}:out", systems.make_output)
            hear = partial(systems.make_input, receive=receive, clock=request.clock)
            in_ = MidiPort(systems, INPUT, request.input, f"{request.client}-in:in", hear)
            self._ports = {way.key: way for way in (out, in_) if way.wanted != NO_PORT}
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)

    @property
    def output_name(self) -> str:
        """The output: 'sideman:out (ALSA)', a real port's name and system, 'in-process', 'none', "waiting for 'X'"."""
        return self._port_title(OUTPUT)

    @property
    def has_output(self) -> bool:
        """Whether there is a port that we play to."""
        return self._output_client is not None

    @property
    def input_period_s(self) -> float:
        """Seconds between the rounds in which the input's messages are carried, as JACK does; 0: each at once."""
        way, systems = self._ports.get(INPUT), self._backends
        if (
            way is None
            or systems is None
            or systems.server is None
            or systems.server_lost()
            or not way.has_client(systems.jack)
        ):
            return 0.0
        return systems.server.period_s

    @property
    def status_text(self) -> str:
        """Both ways in a line."""
        return f"output {self._port_title(OUTPUT)}, input {self._port_title(INPUT)}"

    def open(self) -> list[str]:
        """Open what is there; answer why the rest is not, in sentences. Raises Unavailable unless it may come later."""
        for way in self._ports.values():
            try:
                self._open_port(way)
            except Unavailable as error:
                if way.wanted != AUTO and not self._request.wait:
                    self.close()
                    raise
                self._missing_reasons[way.key] = str(error)
        return list(self._missing_reasons.values())

    def fileno(self) -> int:
        """Readable when `poll` has something to tell at once: for the main thread's selector."""
        return self._wake_reader.fileno()

    def poll(self) -> list[PortChanged]:
        """What has come and gone. To be called every second or two, and whenever `fileno` is readable."""
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(64)
        return [*self._check_stalled_server(), *self._close_lost_ports(), *self._reopen_ports()]

    def send(self, message: Sequence[int]) -> None:
        """Pass on one message of 1 to 3 bytes, or lose it while there is no port."""
        with self._lock:
            if self._output_client is None or self._backends is None or self._backends.server_lost():
                return
            try:
                self._output_client.send_message(message)
            except self._backends.rtmidi.RtMidiError as error:
                self._output_client, self._failure = None, str(error)
                self._wake_main_thread()
            self._last_sent_s = time.monotonic()

    def close(self) -> None:
        """Let go of both ports once all that was sent has arrived."""
        if self._backends is not None:
            if INPUT in self._ports:
                self._ports[INPUT].stop_receiving()
            self._wait_until_sent(self._backends)
            self._detach_output()
            for step in (MidiPort.close_port, MidiPort.delete_clients):
                for way in self._ports.values():
                    step(way)
                    time.sleep(CLOSE_STEP_S)
            self._backends.stop_watching()
            self._backends = None
        self._wake_reader.close()
        self._wake_writer.close()

    def _port_title(self, key: str) -> str:
        way = self._ports.get(key)
        if way is None:
            return NO_PORT
        return way.title or (IN_PROCESS if way.wanted == AUTO else f"waiting for '{way.wanted}'")

    def _wait_until_sent(self, systems: Backends) -> None:
        """Let what was sent leave. By the server's own rounds, which on a busy machine last longer than they should."""
        if systems.server is not None and self._output_client is not None:
            systems.server.wait_periods(3, MAX_LINGER_S)
        time.sleep(max(CALLBACK_DRAIN_S, self._last_sent_s + LINGER_S - time.monotonic()))

    def _open_port(self, way: MidiPort) -> None:
        way.open()
        self._missing_reasons.pop(way.key, None)
        if way.key == OUTPUT:
            with self._lock:
                self._output_client, self._failure = way.open_client, ""
        self._leave_unused_jack()

    def _leave_unused_jack(self) -> None:
        """Leave JACK once all that is wanted was found elsewhere."""
        ways = self._ports.values()
        if self._backends is not None and not any(
            way.open_client is None or way.has_client(self._backends.jack) for way in ways
        ):
            self._backends.stop_watching()

    def _check_stalled_server(self) -> Iterator[PortChanged]:
        """Send nothing while JACK's server stands still: rtmidi's buffer for it fills, and then rtmidi hangs in it."""
        way, server = self._ports.get(OUTPUT), self._backends.server if self._backends else None
        if way is None or way.open_client is None or server is None or server.has_died:
            return
        still = server.is_stalled()
        if still and self._output_client is not None:
            self._detach_output()
            yield PortChanged(OUTPUT, False, f"{OUTPUT}: the JACK server stands still; silent until it goes on")
        elif still is False and self._output_client is None:
            with self._lock:
                self._output_client = way.open_client
            yield PortChanged(OUTPUT, True, f"{OUTPUT}: the JACK server goes on")

    def _close_lost_ports(self) -> Iterator[PortChanged]:
        """Let go of what is no longer there."""
        before = {key: way.title for key, way in self._ports.items() if way.open_client is not None}
        if self._backends is not None and self._backends.server_lost():
            self._detach_output()
            for way in self._ports.values():
                way.delete_client(self._backends.jack)
            self._backends.stop_watching()
        for way in self._ports.values():
            if way.open_client is not None and self._is_broken(way):
                if way.key == OUTPUT:
                    self._detach_output()
                way.close_port()
        for key, title in before.items():
            if self._ports[key].open_client is None:
                yield PortChanged(key, False, f"{key}: {title} is gone; looking for it")

    def _is_broken(self, port: MidiPort) -> bool:
        return not port.is_connected() or (port.key == OUTPUT and bool(self._failure))

    def _detach_output(self) -> None:
        with self._lock:
            self._output_client = None

    def _reopen_ports(self) -> Iterator[PortChanged]:
        """Look for what is wanted and not open."""
        if self._backends is not None:
            self._backends.forget_server_probe()
        for way in self._ports.values():
            if way.open_client is not None:
                continue
            try:
                self._open_port(way)
            except Unavailable as error:
                if self._missing_reasons.get(way.key) != str(error):
                    self._missing_reasons[way.key] = str(error)
                    yield PortChanged(way.key, False, str(error))
            else:
                yield PortChanged(way.key, True, f"{way.key}: {way.title} is open")

    def _wake_main_thread(self) -> None:
        """Called in whatever thread notices that something is wrong."""
        with contextlib.suppress(OSError):
            self._wake_writer.send(b"!")
