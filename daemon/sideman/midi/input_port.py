# SPDX-License-Identifier: Apache-2.0
"""One MIDI input: decodes what comes, and releases the keys of a keyboard that is gone.

If the clocks of several inputs could be followed, `ClockChoice` lets that of one of them through.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from sideman.core.events import (
    ClockContinue,
    ClockMessage,
    ClockStart,
    ClockStop,
    MidiEvent,
    NoteOff,
    NoteOn,
    PortChanged,
    SongPosition,
)
from sideman.midi.decoder import MidiDecoder
from sideman.midi.driver import MidiDriver
from sideman.midi.request import CHANNELS, INPUT, WantedPort
from sideman.midi.requested_port import RequestedPort
from sideman_models.text import printable

CLOCK_SILENCE_S = 2.0
"""A clock from which nothing has come for so long gives way to that of another input."""
ReceiveCallback = Callable[[MidiEvent, float], None]
"""Takes an event and the second of its arrival (time.monotonic()). It is called in a thread of the driver."""

_log = logging.getLogger(__name__)


class InputReceiver:
    """Passes on what an input receives, decoded and with its time, and knows which keys are held down."""

    def __init__(self, receive: ReceiveCallback, *, clock: bool = False) -> None:
        self._receive, self._decoder = receive, MidiDecoder(clock=clock)
        self.held: set[tuple[int, int]] = set()  # pitch and channel

    def receive_bytes(self, message: Iterable[int]) -> None:
        """Take the time, decode a message, pass the events on. Never raises."""
        second = time.monotonic()
        try:
            for event in self._decoder.feed(message):
                if isinstance(event, NoteOn):
                    self.held.add((event.pitch, event.channel))
                elif isinstance(event, NoteOff):
                    self.held.discard((event.pitch, event.channel))
                self._receive(event, second)
        except Exception:  # noqa: BLE001 - a defect must not end the input
            _log.exception("a received message is lost: %s", message)

    def release_held(self, others: Iterable[InputReceiver] = ()) -> None:
        """Release the keys that are held down, but on none of the `others`: the device that would do so is gone."""
        second, released = time.monotonic(), self.held.difference(*(list(other.held) for other in others))
        self.held.clear()
        for pitch, channel in sorted(released):
            self._receive(NoteOff(pitch, channel), second)


class ClockChoice:
    """Which of several inputs' clocks is followed: one at a time, or the tempo would be doubled.

    It is the first that comes. Another takes its place when that one is gone or has been silent for `CLOCK_SILENCE_S`;
    and when it has not started the music, but the other one starts it.
    """

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self.followed = ""
        """The input, by the `id` of its `WantedPort`."""
        self._on_change = on_change
        self._lock = threading.Lock()  # each input may have a thread of its own
        self._rolling, self._last_s = False, 0.0
        self._ignored: set[str] = set()
        self._reported: tuple[str, set[str]] = "", set()

    def accepts(self, port: str, message: ClockMessage, second: float) -> bool:
        """Whether `message`, which came in at `port`, belongs to the clock that is followed."""
        with self._lock:
            if port != self.followed:
                starts = isinstance(message, ClockStart | ClockContinue | SongPosition) and not self._rolling
                if self.followed and not starts and second - self._last_s < CLOCK_SILENCE_S:
                    is_new = port not in self._ignored
                    self._ignored.add(port)
                    if is_new:
                        self._on_change()
                    return False
                if self.followed:
                    self._ignored.add(self.followed)
                    self._on_change()
                self.followed, self._rolling = port, False
                self._ignored.discard(port)
            self._last_s = second
            if isinstance(message, ClockStart | ClockContinue | ClockStop):
                self._rolling = not isinstance(message, ClockStop)
            return True

    def forget(self, port: str) -> None:
        """The input `port` is gone."""
        with self._lock:
            self._ignored.discard(port)
            if port == self.followed:
                self.followed, self._rolling = "", False

    def take_news(self) -> tuple[str, list[str]] | None:
        """The input whose clock is followed, and the others that send one, if that is not what was returned last."""
        with self._lock:
            if not (self.followed and self._ignored) or (self.followed, self._ignored) == self._reported:
                return None
            self._reported = self.followed, set(self._ignored)
            return self.followed, sorted(self._ignored)


class InputPort:
    """The input that `wanted` asks for. `choice` decides whether its clock is followed, where there are several."""

    def __init__(
        self, wanted: WantedPort, client: str, receive: ReceiveCallback, choice: ClockChoice | None = None
    ) -> None:
        self.receiver = InputReceiver(_only_wanted(wanted, receive, choice), clock=wanted.carries_clock)
        self.requested = RequestedPort(wanted, client, self.receiver.receive_bytes)

    def open(self, drivers: Sequence[MidiDriver], others: Sequence[RequestedPort]) -> None:
        """Find the port and open it. Raises Unavailable."""
        self.requested.open(drivers, others)

    def drop_if_lost(self) -> Iterator[PortChanged]:
        """Notice that the port is gone."""
        requested = self.requested
        if requested.is_open and requested.is_lost():
            title, requested.is_open = requested.title, False
            yield self.changed(False, f"{title} is gone; looking for it")

    def notice_gone_peers(self) -> Iterator[PortChanged]:
        """Notice that somebody's keyboard is not connected to our port any more.

        The port does not say whose keys are down; so all of them are released.
        """
        before, peers = self.requested.look_at_peers()
        if self.requested.serving is not None:
            for name in map(printable, sorted(before - peers)):
                yield self.changed(True, f"{name} is no longer connected; its keys are released")

    def changed(self, is_open: bool, text: str) -> PortChanged:
        """A change of this port."""
        wanted = self.requested.wanted
        return PortChanged(wanted.key, is_open, f"{wanted.key}: {text}", port=wanted.id)


def _only_wanted(wanted: WantedPort, receive: ReceiveCallback, choice: ClockChoice | None) -> ReceiveCallback:
    """Pass on what `wanted` carries, and of the clock what `choice` accepts."""
    port = wanted.id
    if not wanted.carries & CHANNELS:

        def receive_clock(event: MidiEvent, second: float) -> None:
            if isinstance(event, ClockMessage):
                receive(event, second)

        return receive_clock
    if choice is None or not wanted.carries_clock:
        return receive

    def receive_chosen(event: MidiEvent, second: float) -> None:
        if not isinstance(event, ClockMessage) or choice.accepts(port, event, second):
            receive(event, second)

    return receive_chosen


def clock_text(followed: str, ignored: Iterable[str]) -> str:
    """Say which of several clocks is followed."""
    clock, *others = (port.partition(": ")[2] for port in (followed, *ignored))
    left_out = ", ".join(others)
    return f"{INPUT}: several MIDI clocks come in: following that of {clock}, not of {left_out}; tempo.port chooses"
