# SPDX-License-Identifier: Apache-2.0
"""The MIDI output and input. They are connected again whenever they are lost.

A port can be requested as

- `auto`: a virtual port (`sideman:out`, `sideman-in:in`) at the first MIDI system that runs: ALSA's sequencer, JACK,
  CoreMIDI. Where virtual ports do not exist (Windows): the first real port.
- a name: the real port of that name, else the one whose name contains it. Our own ports are never chosen.

`MidiPorts` never gives up a requested port. If the port does not exist, or disappears while we play (the JACK server
dies, a device is unplugged), we are silent, and each `poll()` looks for the port again. What is looked at is the
connection itself, from both sides: a device that was away for a moment is found again although its port exists. If
`auto` finds no MIDI system at all, the output is in-process: it accepts everything and leads nowhere, until there is a
MIDI system.

Two threads use `MidiPorts`: the player calls only `send`, the main thread calls everything else. `send` waits at most
for the change of one attribute: ports are closed only after `send` no longer uses them.

A port that is closed right after a message may lose that message (over JACK in 5 of 80 trials). So `close()` lets the
driver wait until everything that was sent has left.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from sideman.core.errors import Unavailable
from sideman.core.events import MidiEvent, NoteOff, NoteOn, PortChanged
from sideman.midi.decoder import MidiDecoder
from sideman.midi.driver import Direction, DriverError, DriverPort, MidiDriver
from sideman.midi.drivers import load_drivers, no_system_message
from sideman.midi.names import is_own_port, match_ports, nearest_port_name, quoted_names, same_port
from sideman_models.text import printable

AUTO, NO_PORT, IN_PROCESS = "auto", "none", "in-process"
OUTPUT, INPUT = "midi.output", "midi.input"
_DIRECTIONS = {OUTPUT: Direction.OUTPUT, INPUT: Direction.INPUT}
ReceiveCallback = Callable[[MidiEvent, float], None]
"""Takes an event and the second of its arrival (time.monotonic()). It is called in a thread of the driver."""

_log = logging.getLogger(__name__)


class PortRequest(Struct, frozen=True):
    """The requested ports (AUTO, NO_PORT or a name), our client name, and whether a named port may appear later.

    With `clock`, the input also receives clock messages.
    """

    output: str = AUTO
    input: str = AUTO
    client: str = "sideman"
    wait: bool = False
    clock: bool = False


class _RequestedPort(Struct):
    """A requested port: what was found for it."""

    key: str
    wanted: str
    is_open: bool = False
    driver: MidiDriver | None = None
    port: DriverPort | None = None  # ours; it may outlive its connection
    target: str = ""  # the real port that it was connected to last; "" for a virtual port
    title: str = ""  # for the user, of what was opened last
    missing: str = ""  # why it is not open
    peers: frozenset[str] = frozenset()  # of an output: what was connected to it at the last look
    listeners: frozenset[str] = frozenset()  # and what has been sent everything that it needs

    def close(self) -> None:
        """Close our port."""
        if self.port is not None:
            self.port.close()
        self.port, self.driver, self.is_open = None, None, False


class MidiPorts:
    """The output and the input, each of which may be NO_PORT. It is the player's `MidiOutput`.

    The constructor raises Unavailable if ports are requested and a driver cannot be loaded.
    """

    def __init__(self, request: PortRequest, receive: ReceiveCallback) -> None:
        self._request = request
        self._lock = threading.Lock()
        self._output: DriverPort | None = None  # what `send` uses; None: nothing is sent
        self._failure = ""
        wanted = {OUTPUT: request.output, INPUT: request.input}
        self._ports = {key: _RequestedPort(key, name) for key, name in wanted.items() if name != NO_PORT}
        self._drivers = load_drivers(request.client, self._wake_main_thread) if self._ports else []
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._receiver = InputReceiver(receive, clock=request.clock)

    @property
    def output_name(self) -> str:
        """The output: 'sideman:out (ALSA)', a real port with its system, 'in-process', 'none', or "waiting for 'X'"."""
        return self._port_title(OUTPUT)

    @property
    def has_output(self) -> bool:
        """Whether a port is open for what we play."""
        return self._output is not None

    @property
    def input_period_s(self) -> float:
        """The period in which the input delivers messages (JACK); 0 if it delivers each at once."""
        port = self._ports.get(INPUT)
        return port.driver.period_s if port is not None and port.is_open and port.driver is not None else 0.0

    @property
    def status_text(self) -> str:
        """Output and input in one line."""
        return f"output {self._port_title(OUTPUT)}, input {self._port_title(INPUT)}"

    @property
    def library_text(self) -> str:
        """Which library serves an open port, where there may be more than one; otherwise empty."""
        return next((port.driver.library for port in self._ports.values() if port.driver and port.driver.library), "")

    def open(self) -> list[str]:
        """Open the ports. Returns a reason for each that cannot be opened; Unavailable if a named port may not wait."""
        for port in self._ports.values():
            try:
                self._open(port)
            except Unavailable as error:
                if port.wanted != AUTO and not self._request.wait:
                    self.close()
                    raise
                port.missing = str(error)
        return [port.missing for port in self._ports.values() if port.missing]

    def fileno(self) -> int:
        """For the main thread's selector: readable when `poll` should be called at once."""
        return self._wake_reader.fileno()

    def poll(self) -> list[PortChanged]:
        """Look after the ports. Call it a few times a second, and when `fileno` is readable. Returns the changes."""
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(64)
        changes = [*self._check_stalled_system(), *self._drop_lost_ports(), *self._reopen_ports()]
        return [*changes, *self._notice_listeners()]

    def send(self, message: Sequence[int]) -> None:
        """Send one message of 1 to 3 bytes. Without an open port, it is lost."""
        with self._lock:
            if self._output is None:
                return
            try:
                self._output.send(message)
            except DriverError as error:
                self._output, self._failure = None, str(error)
                self._wake_main_thread()

    def close(self) -> None:
        """Close both ports when everything that was sent has arrived."""
        if (port := self._ports.get(INPUT)) is not None and port.port is not None:
            port.port.stop_receiving()
        if (port := self._ports.get(OUTPUT)) is not None and port.is_open and port.driver is not None:
            port.driver.linger()
        self._detach_output()
        for port in self._ports.values():
            port.close()
        for driver in self._drivers:
            driver.close()
        self._ports, self._drivers = {}, []
        self._wake_reader.close()
        self._wake_writer.close()

    # -- opening

    def _open(self, port: _RequestedPort) -> None:
        """Find the requested port and open it. Raises Unavailable with the reason and the existing ports."""
        try:
            running = [driver for driver in self._drivers if driver.is_running()]
            driver = next((driver for driver in running if driver.has_virtual_ports), None)
            if port.wanted == AUTO and driver is not None:
                target, ours = "", self._make_port(port, driver)
            else:
                driver, target = self._choose_target(port, running)
                kept = port.port if port.driver is driver else None
                ours = kept if kept is not None and kept.exists() else self._make_port(port, driver)
                ours.connect(target)
        except DriverError as error:
            raise Unavailable(f"{port.key}: {printable(error)}") from error
        port.is_open, port.missing, port.target = True, "", target
        port.title = f"{printable(target or ours.name)} ({driver.title})"
        if port.key == OUTPUT:
            with self._lock:
                self._output, self._failure = ours, ""
            port.listeners = _peers(ours)  # the change itself is for them

    def _make_port(self, port: _RequestedPort, driver: MidiDriver) -> DriverPort:
        port.close()
        receive = self._receiver.receive_bytes if port.key == INPUT else None
        made = driver.open_port(_DIRECTIONS[port.key], receive, clock=self._request.clock)
        port.port, port.driver = made, driver
        return made

    def _choose_target(self, port: _RequestedPort, running: Sequence[MidiDriver]) -> tuple[MidiDriver, str]:
        """The requested real port, and its system."""
        if not running:
            raise Unavailable(f"{port.key}: {no_system_message()}")
        targets = [(driver, name) for driver in running for name in driver.targets(_DIRECTIONS[port.key])]
        targets = [target for target in targets if not is_own_port(target[1], self._request.client)]
        if port.wanted == AUTO and targets:
            return targets[0]
        names = [name for _, name in targets]
        # A device that comes back may have another number. It is the one that was connected, not one with a like name.
        again = [target for target in targets if port.target and same_port(target[1], port.target)]
        found = again[:1] or [targets[n] for n in match_ports(port.wanted, names)]
        if not found:
            guess = nearest_port_name(port.wanted, names)
            meant = f"; did you mean '{printable(guess)}'?" if guess else ""
            ports_text = f"(the ports are: {quoted_names(names)})"
            raise Unavailable(f"{port.key}: no port is called '{port.wanted}'{meant} {ports_text}")
        # Only those of the first system: a port at ALSA and one at JACK may be the same device.
        same = [target for target in found if target[0] is found[0][0]]
        if len(same) > 1:
            matches = quoted_names([name for _, name in same])
            raise Unavailable(f"{port.key}: '{port.wanted}' matches {matches}: write more of the name")
        return same[0]

    # -- looking after

    def _check_stalled_system(self) -> Iterator[PortChanged]:
        """Send nothing while the JACK server is stalled: rtmidi's buffer for it would fill, and then rtmidi hangs."""
        port = self._ports.get(OUTPUT)
        if port is None or not port.is_open or port.driver is None or port.driver.has_died() or self._failure:
            return
        stalled = port.driver.is_stalled()
        if stalled and self._output is not None:
            self._detach_output()
            yield PortChanged(OUTPUT, False, f"{OUTPUT}: the JACK server is stalled; silent until it continues")
        elif stalled is False and self._output is None:
            with self._lock:
                self._output = port.port
            yield PortChanged(OUTPUT, True, f"{OUTPUT}: the JACK server continues")

    def _drop_lost_ports(self) -> Iterator[PortChanged]:
        """Notice the ports that no longer exist or are no longer connected, and the systems that have ended."""
        for port in [port for port in self._ports.values() if port.is_open and self._is_lost(port)]:
            if port.key == INPUT:
                self._receiver.release_held()
            else:
                self._detach_output()
                if self._failure:
                    port.close()  # what does not take our messages is made again
            port.is_open = False
            yield PortChanged(port.key, False, f"{port.key}: {port.title} is gone; looking for it")
        for driver in self._drivers:
            if driver.has_died():  # first all ports are closed, then the watch
                for port in self._ports.values():
                    if port.driver is driver:
                        port.close()
            driver.forget()

    def _is_lost(self, port: _RequestedPort) -> bool:
        if port.port is None or port.driver is None or port.driver.has_died() or not port.port.exists():
            return True
        has_failed = port.key == OUTPUT and bool(self._failure)
        return has_failed or (bool(port.target) and not port.port.is_connected(port.target))

    def _detach_output(self) -> None:
        with self._lock:
            self._output = None

    def _reopen_ports(self) -> Iterator[PortChanged]:
        """Look for the requested ports that are not open."""
        for port in [port for port in self._ports.values() if not port.is_open]:
            try:
                self._open(port)
            except Unavailable as error:
                if port.missing != str(error):
                    port.missing = str(error)
                    yield PortChanged(port.key, False, str(error))
            else:
                yield PortChanged(port.key, True, f"{port.key}: {port.title} is open")

    def _notice_listeners(self) -> Iterator[PortChanged]:
        """Notice the ports that have connected to our output since it was opened.

        A new connection at JACK carries only from the next period on, so there it has to be seen twice.
        """
        port = self._ports.get(OUTPUT)
        if port is None or not port.is_open or port.port is None or port.driver is None:
            return
        if self._output is None or port.driver.has_died():
            return
        before, port.peers = port.peers, _peers(port.port)
        new = port.peers - port.listeners
        if port.driver.period_s:
            new &= before
        port.listeners = (port.listeners & port.peers) | new
        for name in map(printable, sorted(new)):
            yield PortChanged(OUTPUT, True, f"{OUTPUT}: {name} listens now", name)

    def _port_title(self, key: str) -> str:
        port = self._ports.get(key)
        if port is None:
            return NO_PORT
        if port.is_open:
            return port.title
        return IN_PROCESS if port.wanted == AUTO else f"waiting for '{port.wanted}'"

    def _wake_main_thread(self) -> None:
        """May be called in any thread that notices an error."""
        with contextlib.suppress(OSError):
            self._wake_writer.send(b"!")


def _peers(port: DriverPort) -> frozenset[str]:
    try:
        return port.peers()
    except DriverError:  # the port is noticed as lost, if it is
        return frozenset()


class InputReceiver:
    """Passes on what an input receives, decoded and with its time, and knows which keys are held down."""

    def __init__(self, receive: ReceiveCallback, *, clock: bool = False) -> None:
        self._receive, self._decoder = receive, MidiDecoder(clock=clock)
        self._held: set[tuple[int, int]] = set()  # pitch and channel

    def receive_bytes(self, message: Iterable[int]) -> None:
        """Take the time, decode a message, pass the events on. Never raises."""
        second = time.monotonic()
        try:
            for event in self._decoder.feed(message):
                if isinstance(event, NoteOn):
                    self._held.add((event.pitch, event.channel))
                elif isinstance(event, NoteOff):
                    self._held.discard((event.pitch, event.channel))
                self._receive(event, second)
        except Exception:  # noqa: BLE001 - a defect must not end the input
            _log.exception("a received message is lost: %s", message)

    def release_held(self) -> None:
        """Release the keys that are held down: the device that would do so is gone."""
        second, held = time.monotonic(), sorted(self._held)
        self._held.clear()
        for pitch, channel in held:
            self._receive(NoteOff(pitch, channel), second)


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
