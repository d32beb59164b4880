# SPDX-License-Identifier: Apache-2.0
"""What the MIDI systems of this machine offer, and one way in or out of them. The only module that imports rtmidi.

What may be wanted of a way:

- `auto`: a virtual port (`sideman:out`, `sideman-in:in`) at the first MIDI system that runs: ALSA's sequencer, JACK,
  CoreMIDI; where virtual ports do not exist (Windows), the first real port.
- anything else: the real port of that name, else the one whose name contains it. Sideman's own ports are never meant.

What rtmidi and libjack need, found by trying (tests/ports):

- A JACK client made while one of a dead server still exists makes the next deletion crash the process. So JACK is not
  asked while `server.gone`; first all clients go (`Side.forget`), then the watch, and only then is a new server
  looked for.
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
from sideman.core.events import Event
from sideman.midi.decoder import Decoder
from sideman.midi.jack import RETRIES_S, JackServer, load
from sideman.midi.names import ambiguous, is_own, match, not_found

AUTO = "auto"

Receive = Callable[[Event, float], None]
"""Takes an event and the second of its arrival on time.monotonic(); called in a thread of rtmidi's."""


class Client(Protocol):
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
class Offer:
    """A real port: its MIDI system, its place in that system's list, and its name there."""

    system: int
    index: int
    name: str


class Systems:
    """The MIDI systems that rtmidi was built for, in the order of `auto`, and the watch over JACK's server.

    Raises Unavailable where rtmidi is not there or was built without any. `woken` is called, in a thread of
    libjack's, when the JACK server dies.
    """

    def __init__(self, client: str, woken: Callable[[], None] = lambda: None) -> None:
        self.rtmidi = _rtmidi()
        self.client = client
        self.server: JackServer | None = None
        self.jack: int = self.rtmidi.API_UNIX_JACK
        order = ("API_LINUX_ALSA", "API_UNIX_JACK", "API_MACOSX_CORE", "API_WINDOWS_MM")
        built = self.rtmidi.get_compiled_api()
        self._all = [system for system in (getattr(self.rtmidi, name) for name in order) if system in built]
        if not self._all:
            raise Unavailable(
                "the installed python-rtmidi was built without any MIDI system: build it again where the "
                "headers of ALSA or JACK are installed, or set midi.output and midi.input to none"
            )
        self._libjack = load(self.rtmidi._rtmidi.__file__)  # noqa: SLF001 - the extension has no other name
        self._woken = woken
        self._asked = False

    def running(self) -> Iterator[int]:
        """Those worth asking now: JACK only while its server lives."""
        return (system for system in self._all if system != self.jack or self._jack_runs())

    def refresh(self) -> None:
        """Forget that JACK's server did not run: that is asked once between two refreshes, as it takes time."""
        self._asked = False

    def title(self, system: int) -> str:
        """What people call a system."""
        return "JACK" if system == self.jack else str(self.rtmidi.get_api_display_name(system))

    def has_virtual_ports(self, system: int) -> bool:
        """Whether a program can have a port of its own there."""
        return bool(system != self.rtmidi.API_WINDOWS_MM)

    def lost(self) -> bool:
        """Whether the JACK server that we had clients of is gone."""
        return self.server is not None and self.server.gone

    def unwatch(self) -> None:
        """Take the watch over JACK away, when no other client of ours is left there."""
        if self.server is not None:
            self.server.close()
        self.server = None

    def make_output(self, system: int) -> Client:
        """A client that sends. Raises rtmidi's error where the system does not run."""
        client: Client = self.rtmidi.MidiOut(system, name=self.client)
        return client

    def make_input(self, system: int, receive: Receive | None = None, *, clock: bool = False) -> Client:
        """A client that hears, for `receive`; of a clock too, if asked. Raises rtmidi's error where nothing runs."""
        client = self.rtmidi.MidiIn(system, name=f"{self.client}-in")
        client.ignore_types(sysex=True, timing=not clock, active_sense=True)
        if receive is not None:
            client.set_callback(hearing(receive, clock=clock))
        made: Client = client
        return made

    def _jack_runs(self) -> bool:
        if self.server is None and self._libjack is not None and not self._asked:
            self._asked = True
            self.server = JackServer.connect(self._libjack, f"{self.client}-watch", self._woken)
        return self.server is not None and not self.server.gone


def _rtmidi() -> Any:  # noqa: ANN401 - a module that says nothing of its types
    """Rtmidi itself; imported late, so that who wants no ports needs none of it."""
    try:
        import rtmidi
    except ImportError as error:
        raise Unavailable(
            f"python-rtmidi does not load ({error}): install it again, or set midi.output and midi.input to none"
        ) from error
    return rtmidi


def hearing(receive: Receive, *, clock: bool = False) -> Callable[[tuple[Sequence[int], float], object], None]:
    """What rtmidi is to call with each message: stamp, decode, pass on. No error escapes: nobody would take it."""
    decoder = Decoder(clock=clock)

    def callback(message: tuple[Sequence[int], float], _data: object = None) -> None:
        second = time.monotonic()  # not rtmidi's own delta, which leaves out what it filters
        try:
            for event in decoder.feed(message[0]):
                receive(event, second)
        except Exception:
            logging.getLogger(__name__).exception("a message that was heard is lost: %s", message[0])

    return callback


def no_system() -> str:
    """Why nothing at all is offered here, in words."""
    if platform.system() == "Linux":
        return "there is no MIDI system: ALSA's sequencer (/dev/snd/seq) cannot be opened, and no JACK server runs"
    return "there is no MIDI system"


class Side:
    """One way: what is wanted of it, the clients that look for it, and the port found, if any.

    `own` is the name of our virtual port, `client:port`; `make` makes a client at a system.
    """

    def __init__(self, systems: Systems, key: str, wanted: str, own: str, make: Callable[[int], Client]) -> None:
        self.key, self.wanted = key, wanted
        self.port: Client | None = None  # the client whose port is open
        self.title = ""  # of the open port
        self._systems, self._own, self._make = systems, own, make
        self._label = own.partition(":")[2]
        self._target = ""  # the real port at the other end; "" for a virtual one, whose other ends are not our concern
        self._clients: dict[int, Client] = {}
        self._callbacks: list[object] = []

    def offers(self) -> list[Offer]:
        """Every real port there is, system by system. Raises Unavailable where no system runs."""
        clients = [(system, self._client(system)) for system in self._systems.running()]
        found = [(system, client.get_ports()) for system, client in clients if client is not None]
        if not found:
            raise Unavailable(f"{self.key}: {no_system()}")
        own = self._systems.client
        return [Offer(s, n, name) for s, names in found for n, name in enumerate(names) if not is_own(name, own)]

    def virtual_system(self) -> int | None:
        """The first system that runs and has virtual ports."""
        for system in self._systems.running():
            if self._systems.has_virtual_ports(system) and self._client(system) is not None:
                return system
        return None

    def find(self) -> None:
        """Look for what is wanted and open it. Raises Unavailable with the reason, and with what there is."""
        system = self.virtual_system() if self.wanted == AUTO else None
        try:
            if system is not None:
                self._clients[system].open_virtual_port(self._label)
                self._opened(system, "")
            else:
                offer = self._choose(self.offers())
                self._clients[offer.system].open_port(offer.index, self._label)
                self._opened(offer.system, offer.name)
        except self._systems.rtmidi.RtMidiError as error:
            raise Unavailable(f"{self.key}: {error}") from error

    def stands(self) -> bool:
        """Whether the open port's other end is still there."""
        return not self._target or (self.port is not None and self._target in self.port.get_ports())

    def let_go(self) -> None:
        """Close the port but keep the client, to look for the port again."""
        if self.port is not None:
            self.port.close_port()
        self._closed()

    def forget(self, system: int) -> None:
        """Delete the client at one system, its port with it."""
        client = self._clients.pop(system, None)
        if client is self.port:
            self._closed()
        if client is not None:
            client.delete()

    def deafen(self) -> None:
        """Hear nothing more. See the module's note on why this must come well before the end."""
        for client in self._clients.values():
            self._callbacks += gc.get_referents(client)
            client.cancel_callback()

    def close(self) -> None:
        """Delete every client."""
        for system in list(self._clients):
            self.forget(system)

    def uses(self, system: int) -> bool:
        """Whether there is a client of ours at that system."""
        return system in self._clients

    def _closed(self) -> None:
        self.port, self._target, self.title = None, "", ""

    def _client(self, system: int) -> Client | None:
        pauses = RETRIES_S if system == self._systems.jack else (0.0,)
        for pause in pauses:
            if system in self._clients:
                break
            with contextlib.suppress(self._systems.rtmidi.RtMidiError):  # it does not run here
                self._clients[system] = self._make(system)
                break
            time.sleep(pause)
        return self._clients.get(system)

    def _choose(self, offers: Sequence[Offer]) -> Offer:
        if self.wanted == AUTO and offers:
            return offers[0]
        names = [offer.name for offer in offers]
        found = [offers[n] for n in match(self.wanted, names)]
        if not found:
            raise not_found(self.key, self.wanted, names)
        # The first system's alone: a port of ALSA's and one of JACK's may be the same device.
        same = [offer for offer in found if offer.system == found[0].system]
        if len(same) > 1:
            raise ambiguous(self.key, self.wanted, [offer.name for offer in same])
        return same[0]

    def _opened(self, system: int, target: str) -> None:
        self.port, self._target = self._clients[system], target
        self.title = f"{target or self._own} ({self._systems.title(system)})"
        for other in [other for other in self._clients if other != system]:
            self.forget(other)


@dataclass(frozen=True, slots=True)
class Listing:
    """One MIDI system that runs, and the real ports one may name there: where to send, where to hear."""

    system: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    virtual: bool


def survey(client: str = "sideman") -> list[Listing]:
    """All that the MIDI systems offer now but `client`'s own ports, in the order of `auto`. Raises as Systems does."""
    systems = Systems(f"{client}-ports")
    listings = []
    for system in systems.running():
        with contextlib.suppress(systems.rtmidi.RtMidiError):
            outputs = _foreign(systems.make_output(system), client)
            inputs = _foreign(systems.make_input(system), client)
            listings.append(Listing(systems.title(system), outputs, inputs, systems.has_virtual_ports(system)))
    systems.unwatch()
    return listings


def _foreign(client: Client, own: str) -> tuple[str, ...]:
    names = tuple(name for name in client.get_ports() if not is_own(name, own))
    client.delete()
    return names
