# SPDX-License-Identifier: Apache-2.0
"""The protocol of a MIDI system of this machine, and of our port there.

There are three kinds of drivers: `alsa_driver` (ALSA's sequencer), `jack_driver` (JACK, PipeWire) and `rtmidi_driver`
(CoreMIDI, Windows). A port is either *virtual*, so that other programs connect to it, or it is connected to a *target*:
a port of a device or of another program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Protocol

SendBytes = Sequence[int]
"""One whole MIDI message of 1 to 3 bytes."""
ReceiveBytes = Callable[[Iterable[int]], None]
"""Takes the bytes of a message at the moment of its arrival. It is called in a thread of the driver."""


def labelled(client: str, label: str) -> str:
    """The name of our client with the port `label`: `sideman`, `sideman-comp`."""
    return f"{client}-{label}" if label else client


class Direction(Enum):
    """Which way our port goes: we send on an output and receive on an input."""

    OUTPUT = "out"
    INPUT = "in"


class DriverError(Exception):
    """A MIDI system has refused something, or has ended. The text is that of the system."""


class DriverPort(Protocol):
    """Our port at a MIDI system. All methods but `send` are for the main thread."""

    name: str
    """As other programs see it: `sideman:out`."""

    def connect(self, target: str) -> None:
        """Connect to the port `target`, and to nothing else that was connected before. Raises `DriverError`."""

    def exists(self) -> bool:
        """Whether the MIDI system still has our port."""

    def is_connected(self, target: str) -> bool:
        """Whether the connection to `target` exists."""

    def peers(self) -> frozenset[str]:
        """The ports that are connected to ours; empty if the system does not say it."""

    def send(self, message: SendBytes) -> None:
        """Send a message. Never waits. Raises `DriverError` if the port is lost or is not served."""

    def stop_receiving(self) -> None:
        """Receive nothing more. Returns when no message is being received."""

    def close(self) -> None:
        """Close the port. What was sent before has arrived only if the driver's `linger` has passed."""


class MidiDriver(Protocol):
    """One MIDI system. Unless stated otherwise, its methods are for the main thread."""

    title: str
    """The name of the system for the user."""
    has_virtual_ports: bool
    """Whether other programs can connect to our port."""

    def is_running(self) -> bool:
        """Whether ports can be opened now. Looks again if the system did not run at the last call of `forget`."""

    def targets(self, direction: Direction) -> list[str]:
        """The ports of devices and other programs that our port of this direction can connect to."""

    def open_port(
        self, direction: Direction, receive: ReceiveBytes | None = None, *, clock: bool = False, label: str = ""
    ) -> DriverPort:
        """Open a port: an input passes what it receives to `receive`, clock messages only with `clock`.

        `label` distinguishes it from our other ports of this direction (see `labelled`). Raises `DriverError`.
        """

    def has_died(self) -> bool:
        """Whether the system has ended since `is_running` was true. Any thread may ask."""

    def is_stalled(self) -> bool | None:
        """Whether the system stands still; None if it is too early to say, or if it cannot be known."""

    @property
    def library(self) -> str:
        """Which library serves it, where there may be more than one; otherwise empty."""

    @property
    def period_s(self) -> float:
        """The period in which the system delivers messages; 0 if it delivers each at once."""

    def linger(self) -> bool:
        """Wait, for a limited time, until what was sent has left; returns False if the system stands still.

        Closing a port of a system that stands still may never return.
        """

    def forget(self) -> None:
        """Let `is_running` look for the system again. One that has died is closed before this."""

    def close(self) -> None:
        """Stop watching the system, for now or for good. All ports there are closed before this."""
