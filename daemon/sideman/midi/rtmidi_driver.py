# SPDX-License-Identifier: Apache-2.0
"""The MIDI systems of macOS and Windows, through rtmidi; and the rtmidi clients that JACK's driver uses.

rtmidi closes and deletes a client while it holds Python's lock, and waits for its thread. That thread may wait for the
same lock to deliver a note: a deadlock. So an input first stops receiving and is closed a moment later. Its thread may
still call our callback then, so we keep the callback alive.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from sideman.midi import jack
from sideman.midi.driver import Direction, DriverError, DriverPort, ReceiveBytes, SendBytes, labelled

LINGER_S = 0.02
_QUEUE_SIZE = 4096  # messages that wait to be read: rtmidi loses what comes beyond, which may be a note-off
_DRAIN_S = 0.01  # for a note that is being received when the port is closed


def import_rtmidi() -> Any:
    """Import rtmidi, bound to the system's libjack. Raises ImportError."""
    jack.load_system_libjack()
    import rtmidi  # without ports, sideman does not need it

    return rtmidi


class RtMidiClient(Protocol):
    """The methods of an rtmidi client, MidiIn or MidiOut, that we use."""

    get_ports: Callable[[], list[str]]  # the names of the real ports that it can connect to
    open_port: Callable[[int, str], object]  # connect to one of them, by a port of our own with this name
    open_virtual_port: Callable[[str], object]  # open a virtual port that others can connect to
    close_port: Callable[[], None]
    delete: Callable[[], None]
    send_message: Callable[[Sequence[int]], None]  # MidiOut
    set_callback: Callable[[Callable[[tuple[Iterable[int], float], object], None]], None]  # MidiIn
    cancel_callback: Callable[[], None]  # MidiIn
    get_message: Callable[[], tuple[Iterable[int], float] | None]  # MidiIn: the next message that waits


def make_client(rtmidi: Any, api: int, direction: Direction, name: str, *, clock: bool = False) -> RtMidiClient:
    """Make a client at the system `api`, an input with `clock` for clock messages too. Raises `DriverError`."""
    try:
        if direction is Direction.OUTPUT:
            output: RtMidiClient = rtmidi.MidiOut(api, name=name)
            return output
        client = rtmidi.MidiIn(api, name=f"{name}-in", queue_size_limit=_QUEUE_SIZE)
        client.ignore_types(sysex=True, timing=not clock, active_sense=True)
        made: RtMidiClient = client
        return made
    except rtmidi.RtMidiError as error:
        raise DriverError(str(error)) from error


class RtMidiDriver:
    """CoreMIDI or Windows' MIDI. There are always ports, and losses are seen in the list of ports alone."""

    period_s, library = 0.0, ""

    def __init__(self, rtmidi: Any, api: int, client: str) -> None:
        self.title = str(rtmidi.get_api_display_name(api))
        self.has_virtual_ports = api != rtmidi.API_WINDOWS_MM
        self._rtmidi, self._api, self._client = rtmidi, api, client

    def is_running(self) -> bool:
        """See `MidiDriver`."""
        return True

    def targets(self, direction: Direction) -> list[str]:
        """See `MidiDriver`."""
        client = make_client(self._rtmidi, self._api, direction, f"{self._client}-list")
        try:
            return client.get_ports()
        finally:
            client.delete()

    def open_port(
        self, direction: Direction, receive: ReceiveBytes | None = None, *, clock: bool = False, label: str = ""
    ) -> DriverPort:
        """See `MidiDriver`. A port that is not virtual exists only once it is connected."""
        name = labelled(self._client, label)

        def make() -> RtMidiClient:
            client = make_client(self._rtmidi, self._api, direction, name, clock=clock)
            if receive is not None:
                client.set_callback(lambda message, _data=None: receive(message[0]))  # type: ignore[misc]
            return client

        return _RtMidiPort(self._rtmidi, make, direction, name, is_virtual=self.has_virtual_ports)

    def has_died(self) -> bool:
        """See `MidiDriver`."""
        return False

    def is_stalled(self) -> bool | None:
        """See `MidiDriver`."""
        return None

    def linger(self) -> bool:
        """See `MidiDriver`."""
        time.sleep(LINGER_S)
        return True

    def forget(self) -> None:
        """See `MidiDriver`."""

    def close(self) -> None:
        """See `MidiDriver`."""


class _RtMidiPort:
    """A port of one client, which is made again for each connection: a client whose port is closed stays deaf."""

    def __init__(
        self,
        rtmidi: Any,
        make: Callable[[], RtMidiClient],
        direction: Direction,
        client: str,
        *,
        is_virtual: bool,
    ) -> None:
        self.name = f"{client}{'-in' if direction is Direction.INPUT else ''}:{direction.value}"
        self._error, self._make, self._label = rtmidi.RtMidiError, make, direction.value
        self._client = make()
        self._callbacks: list[object] = []
        if is_virtual:
            try:
                self._client.open_virtual_port(self._label)
            except self._error as error:
                self._client.delete()
                raise DriverError(str(error)) from error

    def connect(self, target: str) -> None:
        """See `DriverPort`."""
        self.close()
        self._client = self._make()
        try:
            self._client.open_port(self._client.get_ports().index(target), self._label)
        except (self._error, ValueError) as error:
            raise DriverError(f"{target} has disappeared") from error

    def exists(self) -> bool:
        """See `DriverPort`."""
        return True

    def is_connected(self, target: str) -> bool:
        """See `DriverPort`."""
        return target in self._client.get_ports()

    def peers(self) -> frozenset[str]:
        """See `DriverPort`: these systems do not say it."""
        return frozenset()

    def send(self, message: SendBytes) -> None:
        """See `DriverPort`."""
        try:
            self._client.send_message(message)
        except self._error as error:
            raise DriverError(str(error)) from error

    def stop_receiving(self) -> None:
        """See `DriverPort`."""
        if hasattr(self._client, "cancel_callback"):
            self._callbacks += gc.get_referents(self._client)
            self._client.cancel_callback()
            time.sleep(_DRAIN_S)

    def close(self) -> None:
        """See `DriverPort`."""
        self.stop_receiving()
        self._client.close_port()
        self._client.delete()
