# SPDX-License-Identifier: Apache-2.0
"""A MIDI system in memory: devices that are plugged in and out, and our ports there. It is a `MidiDriver`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest

from sideman.core.events import MidiEvent, encode
from sideman.midi.driver import Direction, DriverError, ReceiveBytes, labelled
from sideman.midi.ports import MidiPorts
from sideman.midi.request import PortRequest


class BayPort:
    """Our port; `sent` is what a device that is connected to it has received, by device."""

    def __init__(self, bay: Bay, name: str, direction: Direction, receive: ReceiveBytes | None) -> None:
        self.name, self.direction, self.receive = name, direction, receive
        self.connected: set[str] = set()
        self._bay = bay

    def connect(self, target: str) -> None:
        """See `DriverPort`."""
        if target not in self._bay.targets(self.direction):
            raise DriverError(f"{target} has disappeared")
        self.connected = {target}

    def exists(self) -> bool:
        """See `DriverPort`."""
        return self in self._bay.ports

    def is_connected(self, target: str) -> bool:
        """See `DriverPort`."""
        return target in self.connected

    def peers(self) -> frozenset[str]:
        """See `DriverPort`."""
        return frozenset(self.connected)

    def send(self, message: Sequence[int]) -> None:
        """See `DriverPort`."""
        for device in self.connected:
            self._bay.received.setdefault(device, []).append(tuple(message))

    def stop_receiving(self) -> None:
        """See `DriverPort`."""

    def close(self) -> None:
        """See `DriverPort`."""
        if self in self._bay.ports:
            self._bay.ports.remove(self)


class Bay:
    """The system. `synths` receive, `keyboards` send; `received` is what each synth has received."""

    title, library, has_virtual_ports, period_s = "Bay", "", True, 0.0

    def __init__(self, synths: Iterable[str] = (), keyboards: Iterable[str] = ()) -> None:
        self.synths, self.keyboards = list(synths), list(keyboards)
        self.received: dict[str, list[tuple[int, ...]]] = {}
        self.ports: list[BayPort] = []
        self.client = "sideman"

    def unplug(self, device: str) -> None:
        """Take a device away, and all connections to it."""
        for devices in (self.synths, self.keyboards):
            if device in devices:
                devices.remove(device)
        for port in self.ports:
            port.connected.discard(device)

    def play(self, keyboard: str, *events: MidiEvent) -> None:
        """Let a keyboard send to what it is connected to."""
        for port in self.ports:
            if keyboard in port.connected and port.receive is not None:
                for event in events:
                    port.receive(encode(event))

    def take(self, synth: str) -> list[tuple[int, ...]]:
        """What `synth` has received since the last call."""
        return self.received.pop(synth, [])

    @contextmanager
    def open(self, heard: list[Any] | None = None, **wanted: Any) -> Iterator[MidiPorts]:
        """Open the ports of a request; what is heard is left in `heard`."""
        sink: list[Any] = [] if heard is None else heard
        with self.being_the_only_one():
            ports = MidiPorts(PortRequest(**wanted), lambda event, _second: sink.append(event))
        with closing(ports):
            ports.open()
            yield ports

    @contextmanager
    def being_the_only_one(self) -> Iterator[None]:
        """Load no other driver."""

        def load(client: str, *_: object) -> list[Bay]:
            self.client = client
            return [self]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sideman.midi.ports.load_drivers", load)
            yield

    def is_running(self) -> bool:
        """See `MidiDriver`."""
        return True

    def targets(self, direction: Direction) -> list[str]:
        """See `MidiDriver`."""
        return list(self.synths if direction is Direction.OUTPUT else self.keyboards)

    def open_port(
        self, direction: Direction, receive: ReceiveBytes | None = None, *, clock: bool = False, label: str = ""
    ) -> BayPort:
        """See `MidiDriver`."""
        own = labelled(self.client, label) + ("-in" if direction is Direction.INPUT else "")
        self.ports.append(BayPort(self, f"{own}:{direction.value}", direction, receive))
        return self.ports[-1]

    def has_died(self) -> bool:
        """See `MidiDriver`."""
        return False

    def is_stalled(self) -> bool | None:
        """See `MidiDriver`."""
        return None

    def linger(self) -> bool:
        """See `MidiDriver`."""
        return True

    def forget(self) -> None:
        """See `MidiDriver`."""

    def close(self) -> None:
        """See `MidiDriver`."""
