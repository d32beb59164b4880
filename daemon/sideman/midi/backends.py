# SPDX-License-Identifier: Apache-2.0
"""What the MIDI systems of this machine offer, and one way in or out of them. The only module that imports rtmidi.

What may be wanted of a way:

- `auto`: a virtual port (`sideman:out`, `sideman-in:in`) at the first MIDI system that runs: ALSA's sequencer, JACK,
  CoreMIDI; where virtual ports do not exist (Windows), the first real port.
- anything else: the real port of that name, else the one whose name contains it. Sideman's own ports are never meant.

What rtmidi and libjack need, found by trying (tests/ports):

- A JACK client made while one of a dead server still exists makes the next deletion crash the process. So JACK is not
  asked while `server.gone`; first all clients go (`MidiPort.delete_client`), then the watch, and only then is a new
  server looked for.
- rtmidi closes and deletes with Python's lock held, and waits for its thread, which may be waiting for that lock to
  hand us a note: for ever. So an input is made deaf first, and is closed a moment later (`DEAF_S`). What its thread
  is about to call then is freed with it, unless we keep it.
- Deleting an output whose server died takes rtmidi a second, with Python's lock held. The player is late for that
  second; it had nobody to play to.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sideman.core.errors import Unavailable
from sideman.core.events import MidiEvent
from sideman.midi.decoder import MidiDecoder
from sideman.midi.jack import RETRY_PAUSES_S, JackServer, load_libjack
from sideman.midi.names import ambiguous_port_error, is_own_port, match_ports, port_not_found_error

AUTO = "auto"

ReceiveCallback = Callable[[MidiEvent, float], None]
"""Takes an event and the second of its arrival on time.monotonic(); called in a thread of rtmidi's."""


class RtMidiClient(Protocol):
    """An rtmidi client, MidiIn or MidiOut, as far as we use it."""

    def get_ports(self) -> list[str]:
        """The real ports at the other side."""

    def open_port(self, port: int, name: str) -> object:
        """Connect to one of them."""

    def open_virtual_port(self, name: str) -> object:
        """Be a port oneself."""

    def close_port(self) -> None:
        """End either."""

    def delete(self) -> None:
        """End the client."""

    def send_message(self, message: Sequence[int]) -> None:
        """Send; a MidiOut only."""

    def cancel_callback(self) -> None:
        """Hear no more; a MidiIn only."""


@dataclass(frozen=True, slots=True)
class PortInfo:
    """A real port: its MIDI system, its place in that system's list, and its name there."""

    backend: int
    index: int
    name: str


class Backends:
    """The MIDI systems that rtmidi was built for, in the order of `auto`, and the watch over JACK's server.

    Raises Unavailable where rtmidi is not there or was built without any. `on_server_lost` is called, in a thread of
    libjack's, when the JACK server dies.
    """

    def __init__(self, client: str, on_server_lost: Callable[[], None] = lambda: None) -> None:
        self.rtmidi = _rtmidi()
        self.client = client
        self.server: JackServer | None = None
        self.jack: int = self.rtmidi.API_UNIX_JACK
        order = ("API_LINUX_ALSA", "API_UNIX_JACK", "API_MACOSX_CORE", "API_WINDOWS_MM")
        built = self.rtmidi.get_compiled_api()
        self._built = [system for system in (getattr(self.rtmidi, name) for name in order) if system in built]
        if not self._built:
            raise Unavailable(
                "the installed python-rtmidi was built without any MIDI system: build it again where the "
                "headers of ALSA or JACK are installed, or set midi.output and midi.input to none"
            )
        self._libjack = load_libjack(self.rtmidi._rtmidi.__file__)  # noqa: SLF001 - the extension has no other name
        self._on_server_lost = on_server_lost
        self._server_probed = False

    def running(self) -> Iterator[int]:
        """Those worth asking now: JACK only while its server lives."""
        return (system for system in self._built if system != self.jack or self._jack_runs())

    def forget_server_probe(self) -> None:
        """Forget that JACK's server did not run: that is asked once between two refreshes, as it takes time."""
        self._server_probed = False

    def backend_name(self, system: int) -> str:
        """What people call a system."""
        return "JACK" if system == self.jack else str(self.rtmidi.get_api_display_name(system))

    def has_virtual_ports(self, system: int) -> bool:
        """Whether a program can have a port of its own there."""
        return bool(system != self.rtmidi.API_WINDOWS_MM)

    def server_lost(self) -> bool:
        """Whether the JACK server that we had clients of is gone."""
        return self.server is not None and self.server.has_died

    def stop_watching(self) -> None:
        """Take the watch over JACK away, when no other client of ours is left there."""
        if self.server is not None:
            self.server.close()
        self.server = None

    def make_output(self, system: int) -> RtMidiClient:
        """A client that sends. Raises rtmidi's error where the system does not run."""
        client: RtMidiClient = self.rtmidi.MidiOut(system, name=self.client)
        return client

    def make_input(self, system: int, receive: ReceiveCallback | None = None, *, clock: bool = False) -> RtMidiClient:
        """A client that hears, for `receive`; of a clock too, if asked. Raises rtmidi's error where nothing runs."""
        client = self.rtmidi.MidiIn(system, name=f"{self.client}-in")
        client.ignore_types(sysex=True, timing=not clock, active_sense=True)
        if receive is not None:
            client.set_callback(input_callback(receive, clock=clock))
        made: RtMidiClient = client
        return made

    def _jack_runs(self) -> bool:
        if self.server is None and self._libjack is not None and not self._server_probed:
            self._server_probed = True
            self.server = JackServer.connect(self._libjack, f"{self.client}-watch", self._on_server_lost)
        return self.server is not None and not self.server.has_died


def _rtmidi() -> Any:  # noqa: ANN401 - a module that says nothing of its types
    """Rtmidi itself; imported late, so that who wants no ports needs none of it."""
    try:
        import rtmidi
    except ImportError as error:
        raise Unavailable(
            f"python-rtmidi does not load ({error}): install it again, or set midi.output and midi.input to none"
        ) from error
    return rtmidi


def input_callback(
    receive: ReceiveCallback, *, clock: bool = False
) -> Callable[[tuple[Sequence[int], float], object], None]:
    """What rtmidi is to call with each message: stamp, decode, pass on. No error escapes: nobody would take it."""
    decoder = MidiDecoder(clock=clock)

    def callback(message: tuple[Sequence[int], float], _data: object = None) -> None:
        second = time.monotonic()  # not rtmidi's own delta, which leaves out what it filters
        try:
            for event in decoder.feed(message[0]):
                receive(event, second)
        except Exception:
            logging.getLogger(__name__).exception("a message that was heard is lost: %s", message[0])

    return callback


def no_backend_message() -> str:
    """Why nothing at all is offered here, in words."""
    if platform.system() == "Linux":
        return "there is no MIDI system: ALSA's sequencer (/dev/snd/seq) cannot be opened, and no JACK server runs"
    return "there is no MIDI system"


class MidiPort:
    """One way: what is wanted of it, the clients that look for it, and the port found, if any.

    `own_name` is the name of our virtual port, `client:port`; `make_client` makes a client at a system.
    """

    def __init__(
        self, backends: Backends, key: str, wanted: str, own_name: str, make_client: Callable[[int], RtMidiClient]
    ) -> None:
        self.key, self.wanted = key, wanted
        self.open_client: RtMidiClient | None = None  # the client whose port is open
        self.title = ""  # of the open port
        self._backends, self._own_name, self._make_client = backends, own_name, make_client
        self._label = own_name.partition(":")[2]
        self._target = ""  # the real port at the other end; "" for a virtual one, whose other ends are not our concern
        self._clients: dict[int, RtMidiClient] = {}
        self._callbacks: list[object] = []

    def available_ports(self) -> list[PortInfo]:
        """Every real port there is, system by system. Raises Unavailable where no system runs."""
        clients = [(system, self._client(system)) for system in self._backends.running()]
        found = [(system, client.get_ports()) for system, client in clients if client is not None]
        if not found:
            raise Unavailable(f"{self.key}: {no_backend_message()}")
        own = self._backends.client
        return [
            PortInfo(s, n, name) for s, names in found for n, name in enumerate(names) if not is_own_port(name, own)
        ]

    def virtual_backend(self) -> int | None:
        """The first system that runs and has virtual ports."""
        for system in self._backends.running():
            if self._backends.has_virtual_ports(system) and self._client(system) is not None:
                return system
        return None

    def open(self) -> None:
        """Look for what is wanted and open it. Raises Unavailable with the reason, and with what there is."""
        system = self.virtual_backend() if self.wanted == AUTO else None
        try:
            if system is not None:
                self._clients[system].open_virtual_port(self._label)
                self._mark_open(system, "")
            else:
                offer = self._choose_port(self.available_ports())
                self._clients[offer.backend].open_port(offer.index, self._label)
                self._mark_open(offer.backend, offer.name)
        except self._backends.rtmidi.RtMidiError as error:
            raise Unavailable(f"{self.key}: {error}") from error

    def is_connected(self) -> bool:
        """Whether the open port's other end is still there."""
        return not self._target or (self.open_client is not None and self._target in self.open_client.get_ports())

    def close_port(self) -> None:
        """Close the port but keep the client, to look for the port again."""
        if self.open_client is not None:
            self.open_client.close_port()
        self._mark_closed()

    def delete_client(self, backend: int) -> None:
        """Delete the client at one system, its port with it."""
        client = self._clients.pop(backend, None)
        if client is self.open_client:
            self._mark_closed()
        if client is not None:
            client.delete()

    def stop_receiving(self) -> None:
        """Hear nothing more. See the module's note on why this must come well before the end."""
        for client in self._clients.values():
            self._callbacks += gc.get_referents(client)
            client.cancel_callback()

    def delete_clients(self) -> None:
        """Delete every client."""
        for system in list(self._clients):
            self.delete_client(system)

    def has_client(self, backend: int) -> bool:
        """Whether there is a client of ours at that system."""
        return backend in self._clients

    def _mark_closed(self) -> None:
        self.open_client, self._target, self.title = None, "", ""

    def _client(self, system: int) -> RtMidiClient | None:
        pauses = RETRY_PAUSES_S if system == self._backends.jack else (0.0,)
        for pause in pauses:
            if system in self._clients:
                break
            with contextlib.suppress(self._backends.rtmidi.RtMidiError):  # it does not run here
                self._clients[system] = self._make_client(system)
                break
            time.sleep(pause)
        return self._clients.get(system)

    def _choose_port(self, ports: Sequence[PortInfo]) -> PortInfo:
        if self.wanted == AUTO and ports:
            return ports[0]
        names = [offer.name for offer in ports]
        found = [ports[n] for n in match_ports(self.wanted, names)]
        if not found:
            raise port_not_found_error(self.key, self.wanted, names)
        # The first system's alone: a port of ALSA's and one of JACK's may be the same device.
        same = [offer for offer in found if offer.backend == found[0].backend]
        if len(same) > 1:
            raise ambiguous_port_error(self.key, self.wanted, [offer.name for offer in same])
        return same[0]

    def _mark_open(self, backend: int, target: str) -> None:
        self.open_client, self._target = self._clients[backend], target
        self.title = f"{target or self._own_name} ({self._backends.backend_name(backend)})"
        for other in [other for other in self._clients if other != backend]:
            self.delete_client(other)


@dataclass(frozen=True, slots=True)
class BackendPorts:
    """One MIDI system that runs, and the real ports one may name there: where to send, where to hear."""

    backend: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    has_virtual_ports: bool


def list_ports(client: str = "sideman") -> list[BackendPorts]:
    """All that the MIDI systems offer now but `client`'s own ports, in the order of `auto`. Raises as Systems does."""
    systems = Backends(f"{client}-ports")
    listings = []
    for system in systems.running():
        with contextlib.suppress(systems.rtmidi.RtMidiError):
            outputs = _other_ports(systems.make_output(system), client)
            inputs = _other_ports(systems.make_input(system), client)
            listings.append(
                BackendPorts(systems.backend_name(system), outputs, inputs, systems.has_virtual_ports(system))
            )
    systems.stop_watching()
    return listings


def _other_ports(client: RtMidiClient, own: str) -> tuple[str, ...]:
    names = tuple(name for name in client.get_ports() if not is_own_port(name, own))
    client.delete()
    return names
