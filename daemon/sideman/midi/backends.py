# SPDX-License-Identifier: Apache-2.0
"""The MIDI systems of this machine, and a port at one of them. The only module that imports rtmidi.

A port can be requested as

- `auto`: a virtual port (`sideman:out`, `sideman-in:in`) at the first MIDI system that runs: ALSA's sequencer, JACK,
  CoreMIDI. Where virtual ports do not exist (Windows): the first real port.
- a name: the real port of that name, else the one whose name contains it. Our own ports are never chosen.

Rules for rtmidi and libjack, found by experiment (tests/ports):

- If a JACK client is made while a client of a dead server still exists, the next deletion crashes the process. So JACK
  is not asked while `server_lost()`. First all clients are deleted (`MidiPort.delete_client`), then the watch is
  closed, and only then do we look for a new server.
- rtmidi closes and deletes a client while it holds Python's lock, and waits for its thread. That thread may wait for
  the same lock to deliver a note: a deadlock. So an input first stops receiving and is closed a moment later
  (`CALLBACK_DRAIN_S`). Its thread may still call our callback then, so we keep the callback alive.
- Deleting an output whose server has died takes rtmidi a second, with Python's lock held. The player is late for that
  second, but there was no port to play to.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

from msgspec import Struct

from sideman.core.errors import Unavailable
from sideman.core.events import MidiEvent
from sideman.midi.decoder import MidiDecoder
from sideman.midi.jack import RETRY_PAUSES_S, JackServer, load_libjack
from sideman.midi.names import is_own_port, match_ports, nearest_port_name, quoted_names

AUTO = "auto"

ReceiveCallback = Callable[[MidiEvent, float], None]
"""Takes an event and the second of its arrival (time.monotonic()). It is called in rtmidi's thread."""


class RtMidiClient(Protocol):
    """The methods of an rtmidi client, MidiIn or MidiOut, that we use."""

    get_ports: Callable[[], list[str]]  # the names of the real ports that it can connect to
    open_port: Callable[[int, str], object]  # connect to one of them, by a port of our own with this name
    open_virtual_port: Callable[[str], object]  # open a virtual port that others can connect to
    close_port: Callable[[], None]
    delete: Callable[[], None]
    send_message: Callable[[Sequence[int]], None]  # MidiOut
    cancel_callback: Callable[[], None]  # MidiIn: stop receiving


class Backends:
    """The MIDI systems that rtmidi was built for, in the order of `auto`, and the watch on the JACK server.

    Raises Unavailable if rtmidi is not installed or was built without any MIDI system. `on_server_lost` is called in
    libjack's thread when the JACK server dies.
    """

    def __init__(self, client: str, on_server_lost: Callable[[], None] = lambda: None) -> None:
        try:
            import rtmidi  # without ports, sideman does not need it
        except ImportError as error:
            advice = "install it again, or set midi.output and midi.input to none"
            raise Unavailable(f"python-rtmidi cannot be loaded ({error}): {advice}") from error
        self.rtmidi: Any = rtmidi  # it has no types
        self.client = client
        self.server: JackServer | None = None
        self.jack: int = self.rtmidi.API_UNIX_JACK
        order = (rtmidi.API_LINUX_ALSA, self.jack, rtmidi.API_MACOSX_CORE, rtmidi.API_WINDOWS_MM)
        self._built = [system for system in order if system in rtmidi.get_compiled_api()]
        if not self._built:
            raise Unavailable(
                "the installed python-rtmidi was built without any MIDI system: build it again where the "
                "headers of ALSA or JACK are installed, or set midi.output and midi.input to none"
            )
        self._libjack = load_libjack(self.rtmidi._rtmidi.__file__)  # noqa: SLF001 - there is no public name for the extension
        self._on_server_lost = on_server_lost
        self.server_probed = False  # probing for the JACK server takes time: `running` does it only once after this

    def running(self) -> Iterator[int]:
        """The systems that can be used now: JACK only while its server runs."""
        for system in self._built:
            if system == self.jack and self.server is None and self._libjack is not None and not self.server_probed:
                self.server_probed = True
                self.server = JackServer.connect(self._libjack, f"{self.client}-watch", self._on_server_lost)
            if system != self.jack or (self.server is not None and not self.server.has_died):
                yield system

    def backend_name(self, system: int) -> str:
        """The name of a system for the user."""
        return "JACK" if system == self.jack else str(self.rtmidi.get_api_display_name(system))

    def has_virtual_ports(self, system: int) -> bool:
        """Whether a program can open virtual ports there."""
        return bool(system != self.rtmidi.API_WINDOWS_MM)

    def server_lost(self) -> bool:
        """Whether the JACK server that we had clients at has died."""
        return self.server is not None and self.server.has_died

    def stop_watching(self) -> None:
        """Stop watching JACK. Call it only after all other clients there are deleted."""
        if self.server is not None:
            self.server.close()
        self.server = None

    def make_output(self, system: int) -> RtMidiClient:
        """A client that sends. Raises RtMidiError if the system does not run."""
        return cast(RtMidiClient, self.rtmidi.MidiOut(system, name=self.client))

    def make_input(self, system: int, receive: ReceiveCallback | None = None, *, clock: bool = False) -> RtMidiClient:
        """A client that receives, with `clock` also clock messages. Raises RtMidiError if the system does not run."""
        client = self.rtmidi.MidiIn(system, name=f"{self.client}-in")
        client.ignore_types(sysex=True, timing=not clock, active_sense=True)
        if receive is not None:
            client.set_callback(input_callback(receive, clock=clock))
        return cast(RtMidiClient, client)


def input_callback(
    receive: ReceiveCallback, *, clock: bool = False
) -> Callable[[tuple[Sequence[int], float], object], None]:
    """The callback for rtmidi: takes the time, decodes the message, passes the events on. It never raises."""
    decoder = MidiDecoder(clock=clock)

    def callback(message: tuple[Sequence[int], float], _data: object = None) -> None:
        second = time.monotonic()  # rtmidi's own time ignores the messages that it filters out
        try:
            for event in decoder.feed(message[0]):
                receive(event, second)
        except Exception:
            logging.getLogger(__name__).exception("a received message is lost: %s", message[0])

    return callback


def no_backend_message() -> str:
    """The message that no MIDI system is available."""
    if platform.system() == "Linux":
        return "there is no MIDI system: ALSA's sequencer (/dev/snd/seq) cannot be opened, and no JACK server runs"
    return "there is no MIDI system"


class MidiPort:
    """An output or input: the request, our clients at the MIDI systems, and the open port, if any.

    `own_name` is the name of our virtual port, `client:port`; `make_client` makes a client at a system.
    """

    def __init__(
        self, backends: Backends, key: str, wanted: str, own_name: str, make_client: Callable[[int], RtMidiClient]
    ) -> None:
        self.key, self.wanted = key, wanted
        self.open_client: RtMidiClient | None = None  # the client whose port is open
        self.title = ""  # of the port that was opened last
        self.clients: dict[int, RtMidiClient] = {}  # by system
        self._backends, self._own_name, self._make_client = backends, own_name, make_client
        self._label = own_name.partition(":")[2]
        self._target = ""  # the real port that was opened last; "" for a virtual port
        self._callbacks: list[object] = []

    def open(self) -> None:
        """Find the requested port and open it. Raises Unavailable with the reason and the existing ports."""
        try:
            for system in self._backends.running() if self.wanted == AUTO else ():
                if self._backends.has_virtual_ports(system) and (client := self._client(system)) is not None:
                    client.open_virtual_port(self._label)
                    self._mark_open(system, "")
                    return
            system, index, name = self._choose_port()
            self.clients[system].open_port(index, self._label)
            self._mark_open(system, name)
        except self._backends.rtmidi.RtMidiError as error:
            raise Unavailable(f"{self.key}: {error}") from error

    def is_connected(self) -> bool:
        """Whether the port that we are connected to still exists."""
        return not self._target or (self.open_client is not None and self._target in self.open_client.get_ports())

    def close_port(self) -> None:
        """Close the port, but keep the client to look for the port again."""
        if self.open_client is not None:
            self.open_client.close_port()
            self.open_client = None

    def delete_client(self, backend: int) -> None:
        """Delete the client at one system, and with it its port."""
        if (client := self.clients.pop(backend, None)) is not None:
            self.open_client = None if client is self.open_client else self.open_client
            client.delete()

    def stop_receiving(self) -> None:
        """Stop receiving. The module's docstring says why this comes some time before the client is deleted."""
        for client in self.clients.values():
            self._callbacks += gc.get_referents(client)
            client.cancel_callback()

    def delete_clients(self) -> None:
        """Delete every client."""
        for system in list(self.clients):
            self.delete_client(system)

    def _client(self, system: int) -> RtMidiClient | None:
        pauses = RETRY_PAUSES_S if system == self._backends.jack else (0.0,)
        for pause in pauses:
            if system in self.clients:
                break
            with contextlib.suppress(self._backends.rtmidi.RtMidiError):  # the system does not run
                self.clients[system] = self._make_client(system)
                break
            time.sleep(pause)
        return self.clients.get(system)

    def _choose_port(self) -> tuple[int, int, str]:
        """The system of the requested real port, its index in that system's list, and its name."""
        clients = [(system, self._client(system)) for system in self._backends.running()]
        listed = [(system, client.get_ports()) for system, client in clients if client is not None]
        if not listed:
            raise Unavailable(f"{self.key}: {no_backend_message()}")
        ports = [(system, index, name) for system, names in listed for index, name in enumerate(names)]
        ports = [port for port in ports if not is_own_port(port[2], self._backends.client)]
        if self.wanted == AUTO and ports:
            return ports[0]
        names = [name for _, _, name in ports]
        found = [ports[n] for n in match_ports(self.wanted, names)]
        if not found:
            guess = nearest_port_name(self.wanted, names)
            meant = f"; did you mean '{guess}'?" if guess else ""
            ports_text = f"(the ports are: {quoted_names(names)})"
            raise Unavailable(f"{self.key}: no port is called '{self.wanted}'{meant} {ports_text}")
        # Only those of the first system: a port at ALSA and one at JACK may be the same device.
        same = [port for port in found if port[0] == found[0][0]]
        if len(same) > 1:
            matches = quoted_names([name for _, _, name in same])
            raise Unavailable(f"{self.key}: '{self.wanted}' matches {matches}: write more of the name")
        return same[0]

    def _mark_open(self, backend: int, target: str) -> None:
        self.open_client, self._target = self.clients[backend], target
        self.title = f"{target or self._own_name} ({self._backends.backend_name(backend)})"
        for other in [other for other in self.clients if other != backend]:
            self.delete_client(other)


class BackendPorts(Struct, frozen=True):
    """A running MIDI system, and the names of its real ports."""

    backend: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    has_virtual_ports: bool


def list_ports(client: str = "sideman") -> list[BackendPorts]:
    """The ports of all running MIDI systems, without `client`'s own, in the order of `auto`. Raises as `Backends`."""
    systems = Backends(f"{client}-ports")
    listings = []
    for system in systems.running():
        with contextlib.suppress(systems.rtmidi.RtMidiError):
            names = []
            for make_client in (systems.make_output, systems.make_input):
                opened = make_client(system)
                names.append(tuple(name for name in opened.get_ports() if not is_own_port(name, client)))
                opened.delete()
            has_virtual_ports = systems.has_virtual_ports(system)
            listings.append(BackendPorts(systems.backend_name(system), names[0], names[1], has_virtual_ports))
    systems.stop_watching()
    return listings
