# SPDX-License-Identifier: Apache-2.0
"""All MIDI outputs and inputs. They are connected again whenever they are lost, each for itself.

A port can be requested as

- `auto`: a virtual port (`sideman:out`, `sideman-in:in`) at the first MIDI system that runs: ALSA's sequencer, JACK,
  CoreMIDI. Where virtual ports do not exist (Windows): the first real port.
- a name: the real port of that name, else the one whose name contains it. Our own ports are never chosen.

`MidiPorts` never gives up a requested port. If the port does not exist, or disappears while we play (the JACK server
dies, a device is unplugged), nothing is sent there, and each `poll()` looks for the port again; the others play on.
What is looked at is the connection itself, from both sides: a device that was away for a moment is found again although
its port exists. If `auto` finds no MIDI system at all, the output is in-process: it accepts everything and leads
nowhere, until there is a MIDI system.

Two threads use `MidiPorts`: the player calls only `send` and `send_to` of `player_output`, the main thread everything
else.

A port that is closed right after a message may lose that message (over JACK in 5 of 80 trials). So `close()` lets the
driver wait until everything that was sent has left.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence

from msgspec import Struct

from sideman.core.errors import Unavailable
from sideman.core.events import PortChanged
from sideman.midi.driver import Direction, DriverError
from sideman.midi.drivers import load_drivers
from sideman.midi.input_port import ClockChoice, InputPort, ReceiveCallback, clock_text
from sideman.midi.names import is_own_port
from sideman.midi.output_port import OutputPort
from sideman.midi.request import AUTO, INPUT, NO_PORT, OUTPUT, TITLES, PortRequest
from sideman.midi.requested_port import RequestedPort
from sideman_models.text import printable


class MidiPorts:
    """The ports of a request, each of which may be NO_PORT.

    The constructor raises Unavailable if ports are requested and a driver cannot be loaded.
    """

    def __init__(self, request: PortRequest, receive: ReceiveCallback) -> None:
        self._request = request
        client, inputs = request.client, request.inputs
        self._choice = ClockChoice(self._wake_main_thread)
        choice = self._choice if sum(wanted.carries_clock for wanted in inputs) > 1 else None
        self._outputs = [
            OutputPort(RequestedPort(wanted, client), self._wake_main_thread) for wanted in request.outputs
        ]
        self._inputs = [InputPort(wanted, client, receive, choice) for wanted in inputs]
        self._routes = [
            tuple(port for port in self._outputs if status in port.requested.wanted.carries) for status in range(0x100)
        ]
        self._drivers = load_drivers(client, self._wake_main_thread) if self._requested else []
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)

    @property
    def player_output(self) -> MidiPorts | OutputPort:
        """What the player sends to. With one output it is that: it carries everything, so there is no way to choose."""
        return self if len(self._outputs) != 1 else self._outputs[0]

    @property
    def outputs(self) -> list[OutputPort]:
        """The outputs."""
        return list(self._outputs)

    @property
    def output_name(self) -> str:
        """The output: 'sideman:out (ALSA)', a real port with its system, 'in-process', 'none', or "waiting for 'X'"."""
        return self._titles(OUTPUT)

    @property
    def input_period_s(self) -> float:
        """The period in which the input, that of the clock if there is one, delivers messages (JACK).

        It is 0 if each message is delivered at once.
        """
        followed = self._choice.followed
        ports = sorted(
            (port.requested for port in self._inputs),
            key=lambda port: (port.wanted.id != followed, not port.wanted.carries_clock),
        )
        return next((port.serving[1].period_s for port in ports if port.serving is not None), 0.0)

    @property
    def status_text(self) -> str:
        """All ports in one line."""
        named = {port.key for port in self._requested}
        texts = [f"{title} {self._titles(key)}" for key, title in TITLES.items() if key in named | {OUTPUT, INPUT}]
        return ", ".join(texts)

    def connections(self) -> list[tuple[str, str, bool, list[str], str]]:
        """All ports: the setting, the name, whether it is open, what was connected to it, and why it is not open."""
        return [(port.key, port.title, port.is_open, port.peers, port.why_closed) for port in self._requested]

    @property
    def library_text(self) -> str:
        """Which library serves an open port, where there may be more than one; otherwise empty."""
        return next((port.driver.library for port in self._requested if port.driver and port.driver.library), "")

    def open(self) -> list[str]:
        """Open the ports. Returns a reason for each that cannot be opened.

        Raises `Unavailable` if a named port may not wait; those that are open have to be closed then, too.
        """
        for port in self._all:
            try:
                port.open(self._drivers, self._others(port))
            except Unavailable as error:
                if port.requested.wanted.name != AUTO and not self._request.wait:
                    raise
                port.requested.missing = str(error)
        return [port.missing for port in self._requested if port.missing]

    def fileno(self) -> int:
        """For the main thread's selector: readable when `poll` should be called at once."""
        return self._wake_reader.fileno()

    def poll(self) -> list[PortChanged]:
        """Look after the ports. Call it a few times a second, and when `fileno` is readable. Returns the changes."""
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(64)
        changes = [*self._check_stalled_systems(), *self._drop_lost_ports(), *self._reopen_ports()]
        for output in self._outputs:
            changes += output.notice_listeners()
        return [*changes, *self._notice_gone_keyboards(), *self._report_clocks()]

    def send(self, message: Sequence[int]) -> None:
        """Send one message of 1 to 3 bytes to the outputs that carry it. Without an open port, it is lost."""
        for port in self._routes[message[0]]:
            port.send(message)

    def send_to(self, port_id: str, message: Sequence[int]) -> None:
        """Send a message to one output alone (see `OutputPort.send_to`)."""
        for port in self._outputs:
            port.send_to(port_id, message)

    def close(self) -> bool:
        """Close all ports when everything that was sent has arrived.

        Returns False if a system stands still: then nothing is closed, because that could wait for ever, and what was
        sent there has not arrived.
        """
        for port in self._inputs:
            if port.requested.port is not None:
                port.requested.port.stop_receiving()
        served = [requested.driver for requested in self._requested if requested.is_open]
        if not all(driver.linger() for driver in self._drivers if driver in served):
            return False
        for output in self._outputs:
            output.detach()
        for requested in self._requested:
            requested.close()
        for driver in self._drivers:
            driver.close()
        self._outputs, self._inputs, self._drivers = [], [], []
        self._wake_reader.close()
        self._wake_writer.close()
        return True

    # -- looking after

    @property
    def _all(self) -> list[OutputPort | InputPort]:
        return [*self._outputs, *self._inputs]

    @property
    def _requested(self) -> list[RequestedPort]:
        return [port.requested for port in self._all]

    def _others(self, port: OutputPort | InputPort) -> list[RequestedPort]:
        """The ports that are requested in the same direction."""
        direction = port.requested.wanted.direction
        return [other for other in self._requested if other.wanted.direction is direction]

    def _check_stalled_systems(self) -> Iterator[PortChanged]:
        for driver in self._drivers:
            ports = [port for port in self._outputs if port.requested.driver is driver]
            if ports and not driver.has_died():
                stalled = driver.is_stalled()  # since it was asked last: it is asked once
                for port in ports:
                    yield from port.check_stalled(stalled)

    def _drop_lost_ports(self) -> Iterator[PortChanged]:
        """Notice the ports that no longer exist or are no longer connected, and the systems that have ended."""
        # Asked once, before the outputs are detached: ports are never closed while the player may send to them.
        dead = [driver for driver in self._drivers if driver.has_died()]
        for output in self._outputs:
            yield from output.drop_if_lost()
        for port in self._inputs:
            for change in port.drop_if_lost():
                self._release_keys(port)
                self._choice.forget(port.requested.wanted.id)
                yield change
        for driver in self._drivers:
            if driver in dead:  # first all ports are closed, then the watch
                for requested in self._requested:
                    if requested.driver is driver:
                        requested.close()
                driver.close()
            driver.forget()

    def _reopen_ports(self) -> Iterator[PortChanged]:
        """Look for the requested ports that are not open."""
        for port in [port for port in self._all if not port.requested.is_open]:
            try:
                port.open(self._drivers, self._others(port))
            except Unavailable as error:
                if port.requested.missing != str(error):
                    port.requested.missing = str(error)
                    yield PortChanged(port.requested.key, False, str(error), port=port.requested.wanted.id)
            else:
                yield port.changed(True, f"{port.requested.title} is open")

    def _notice_gone_keyboards(self) -> Iterator[PortChanged]:
        for port in self._inputs:
            for change in port.notice_gone_peers():
                self._release_keys(port)
                yield change

    def _release_keys(self, port: InputPort) -> None:
        port.receiver.release_held(other.receiver for other in self._inputs if other is not port)

    def _report_clocks(self) -> Iterator[PortChanged]:
        if (news := self._choice.take_news()) is not None:
            yield PortChanged(INPUT, True, clock_text(*news))

    def _titles(self, key: str) -> str:
        return " + ".join(port.title for port in self._requested if port.key == key) or NO_PORT

    def _wake_main_thread(self) -> None:
        """May be called in any thread that notices an error."""
        with contextlib.suppress(OSError):
            self._wake_writer.send(b"!")


class SystemPorts(Struct, frozen=True):
    """A running MIDI system, and the names of its real ports."""

    system: str
    library: str  # which one serves it, where there may be more than one
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    has_virtual_ports: bool


def list_ports(client: str = "sideman") -> list[SystemPorts]:
    """The ports of all running MIDI systems, without `client`'s own, in the order of `auto`. Raises as `MidiPorts`."""
    listings = []
    drivers = load_drivers(f"{client}-ports")
    for driver in drivers:
        with contextlib.suppress(DriverError):
            if driver.is_running():
                outputs, inputs = (
                    tuple(printable(name) for name in driver.targets(direction) if not is_own_port(name, client))
                    for direction in Direction
                )
                listings.append(SystemPorts(driver.title, driver.library, outputs, inputs, driver.has_virtual_ports))
    for driver in drivers:
        driver.close()
    return listings
