# SPDX-License-Identifier: Apache-2.0
"""The MIDI output and input. They are opened again whenever they are lost.

`MidiPorts` never gives up a requested port. If the port does not exist, or disappears while we play (the JACK server
dies, a device is unplugged), we are silent, and each `poll()` looks for the port again. If `auto` finds no MIDI system
at all, the output is in-process: it accepts everything and leads nowhere, until there is a MIDI system.

Two threads use `MidiPorts`: the player calls only `send`, the main thread calls everything else. `send` waits at most
for the change of one attribute: clients are closed and deleted only after `send` no longer uses them.

A port that is closed right after a message may lose that message (over JACK in 5 of 80 trials). So `close()` waits for
two full periods of the JACK server, and at least 20 ms, after the last message.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial

from msgspec import Struct

from sideman.core.errors import Unavailable
from sideman.midi.backends import AUTO, Backends, MidiPort, ReceiveCallback, RtMidiClient

NO_PORT, IN_PROCESS = "none", "in-process"
LINGER_S = 0.02  # at least this long between the last message and closing the port
MAX_LINGER_S = 0.5
CALLBACK_DRAIN_S = 0.01  # for a note that is being received when the port is closed
CLOSE_STEP_S = 0.01  # libjack crashes if a client closes while it is notified that another one has closed
OUTPUT, INPUT = "midi.output", "midi.input"


class PortRequest(Struct, frozen=True):
    """The requested ports (AUTO, NO_PORT or a name), our client name, and whether a named port may appear later.

    With `clock`, the input also receives clock messages.
    """

    output: str = AUTO
    input: str = AUTO
    client: str = "sideman"
    wait: bool = False
    clock: bool = False


class PortChanged(Struct, frozen=True):
    """A port was opened or lost, or cannot be opened for a new reason. `key` is OUTPUT or INPUT; `text` for the log."""

    key: str
    is_open: bool
    text: str


class MidiPorts:
    """The output and the input, each of which may be NO_PORT. It is the player's `MidiOutput`.

    The constructor raises Unavailable if ports are requested and rtmidi is missing or broken.
    """

    def __init__(self, request: PortRequest, receive: ReceiveCallback) -> None:
        self._request = request
        self._lock = threading.Lock()
        self._output_client: RtMidiClient | None = None  # the client that `send` uses; None: nothing is sent
        self._last_sent_s, self._failure = 0.0, ""
        self._missing_reasons: dict[str, str] = {}  # by key: why a requested port is not open
        self._ports: dict[str, MidiPort] = {}
        self._backends: Backends | None = None
        if request.output != NO_PORT or request.input != NO_PORT:
            self._backends = backends = Backends(request.client, self._wake_main_thread)
            out = MidiPort(backends, OUTPUT, request.output, f"{request.client}:out", backends.make_output)
            make_input = partial(backends.make_input, receive=receive, clock=request.clock)
            in_ = MidiPort(backends, INPUT, request.input, f"{request.client}-in:in", make_input)
            self._ports = {port.key: port for port in (out, in_) if port.wanted != NO_PORT}
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)

    @property
    def output_name(self) -> str:
        """The output: 'sideman:out (ALSA)', a real port with its system, 'in-process', 'none', or "waiting for 'X'"."""
        return self._port_title(OUTPUT)

    @property
    def has_output(self) -> bool:
        """Whether a port is open for what we play."""
        return self._output_client is not None

    @property
    def input_period_s(self) -> float:
        """The period in which the input delivers messages (JACK); 0 if it delivers each at once."""
        port, backends = self._ports.get(INPUT), self._backends
        if port and backends and (server := backends.server) and not server.has_died and backends.jack in port.clients:
            return server.period_s
        return 0.0

    @property
    def status_text(self) -> str:
        """Output and input in one line."""
        return f"output {self._port_title(OUTPUT)}, input {self._port_title(INPUT)}"

    def open(self) -> list[str]:
        """Open the ports. Returns a reason for each that cannot be opened; Unavailable if a named port may not wait."""
        for port in self._ports.values():
            try:
                self._open_port(port)
            except Unavailable as error:
                if port.wanted != AUTO and not self._request.wait:
                    self.close()
                    raise
                self._missing_reasons[port.key] = str(error)
        return list(self._missing_reasons.values())

    def fileno(self) -> int:
        """For the main thread's selector: readable when `poll` should be called at once."""
        return self._wake_reader.fileno()

    def poll(self) -> list[PortChanged]:
        """Look after the ports. Call it every second or two, and whenever `fileno` is readable. Returns the changes."""
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(64)
        return [*self._check_stalled_server(), *self._close_lost_ports(), *self._reopen_ports()]

    def send(self, message: Sequence[int]) -> None:
        """Send one message of 1 to 3 bytes. Without an open port, it is lost."""
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
        """Close both ports when everything that was sent has arrived."""
        if self._backends is not None:
            if INPUT in self._ports:
                self._ports[INPUT].stop_receiving()
            if self._backends.server is not None and self._output_client is not None:
                self._backends.server.wait_periods(3, MAX_LINGER_S)  # periods can be longer on a busy machine
            time.sleep(max(CALLBACK_DRAIN_S, self._last_sent_s + LINGER_S - time.monotonic()))
            self._detach_output()
            for step in (MidiPort.close_port, MidiPort.delete_clients):
                for port in self._ports.values():
                    step(port)
                    time.sleep(CLOSE_STEP_S)
            self._backends.stop_watching()
            self._backends = None
        self._wake_reader.close()
        self._wake_writer.close()

    def _port_title(self, key: str) -> str:
        port = self._ports.get(key)
        if port is None:
            return NO_PORT
        if port.open_client is not None:
            return port.title
        return IN_PROCESS if port.wanted == AUTO else f"waiting for '{port.wanted}'"

    def _open_port(self, port: MidiPort) -> None:
        port.open()
        self._missing_reasons.pop(port.key, None)
        if port.key == OUTPUT:
            with self._lock:
                self._output_client, self._failure = port.open_client, ""
        others, backends = self._ports.values(), self._backends
        if backends and not any(other.open_client is None or backends.jack in other.clients for other in others):
            backends.stop_watching()  # every requested port was found elsewhere than at JACK

    def _check_stalled_server(self) -> Iterator[PortChanged]:
        """Send nothing while the JACK server is stalled: rtmidi's buffer for it would fill, and then rtmidi hangs."""
        port, server = self._ports.get(OUTPUT), self._backends.server if self._backends else None
        if port is None or port.open_client is None or server is None or server.has_died:
            return
        stalled = server.is_stalled()
        if stalled and self._output_client is not None:
            self._detach_output()
            yield PortChanged(OUTPUT, False, f"{OUTPUT}: the JACK server is stalled; silent until it continues")
        elif stalled is False and self._output_client is None:
            with self._lock:
                self._output_client = port.open_client
            yield PortChanged(OUTPUT, True, f"{OUTPUT}: the JACK server continues")

    def _close_lost_ports(self) -> Iterator[PortChanged]:
        """Close the ports that no longer exist."""
        titles = {key: port.title for key, port in self._ports.items() if port.open_client is not None}
        if self._backends is not None and self._backends.server_lost():
            self._detach_output()
            for port in self._ports.values():
                port.delete_client(self._backends.jack)
            self._backends.stop_watching()
        for port in self._ports.values():
            has_failed = port.key == OUTPUT and bool(self._failure)
            if port.open_client is not None and (has_failed or not port.is_connected()):
                if port.key == OUTPUT:
                    self._detach_output()
                port.close_port()
        for key, title in titles.items():
            if self._ports[key].open_client is None:
                yield PortChanged(key, False, f"{key}: {title} is gone; looking for it")

    def _detach_output(self) -> None:
        with self._lock:
            self._output_client = None

    def _reopen_ports(self) -> Iterator[PortChanged]:
        """Look for the requested ports that are not open."""
        if self._backends is not None:
            self._backends.server_probed = False
        for port in self._ports.values():
            if port.open_client is not None:
                continue
            try:
                self._open_port(port)
            except Unavailable as error:
                if self._missing_reasons.get(port.key) != str(error):
                    self._missing_reasons[port.key] = str(error)
                    yield PortChanged(port.key, False, str(error))
            else:
                yield PortChanged(port.key, True, f"{port.key}: {port.title} is open")

    def _wake_main_thread(self) -> None:
        """May be called in any thread that notices an error."""
        with contextlib.suppress(OSError):
            self._wake_writer.send(b"!")
