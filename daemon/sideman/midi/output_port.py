# SPDX-License-Identifier: Apache-2.0
"""One MIDI output: sends, stops sending where it cannot, and notices who listens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from sideman.core.events import PortChanged
from sideman.core.ledger import is_release
from sideman.midi.driver import DriverError, DriverPort, MidiDriver, SendBytes
from sideman.midi.requested_port import RequestedPort
from sideman_models.text import printable


class OutputPort:
    """The output that `requested` finds. `on_failure` is called, perhaps in the player's thread, if sending fails.

    The player calls only `send` and `send_to`. They wait at most for the change of one attribute: a port is closed only
    after they no longer use it.
    """

    def __init__(self, requested: RequestedPort, on_failure: Callable[[], None]) -> None:
        self.requested = requested
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._sink: DriverPort | None = None  # what `send` uses; None: nothing is sent
        self._failure = ""
        self._listeners = frozenset[str]()  # what has been sent everything that it needs

    @property
    def is_sending(self) -> bool:
        """Whether a port is open for what we play."""
        return self._sink is not None

    def send(self, message: SendBytes) -> None:
        """Send one message of 1 to 3 bytes. Without an open port, it is lost."""
        with self._lock:
            if self._sink is None:
                return
            try:
                self._sink.send(message)
            except DriverError as error:
                self._sink, self._failure = None, str(error)
                self._on_failure()

    def send_to(self, port_id: str, message: SendBytes) -> None:
        """Send a message if this is the port of that `id` (see `WantedPort`) and carries it.

        What releases notes is sent in any case: an earlier run may have played other channels here.
        """
        wanted = self.requested.wanted
        if wanted.id == port_id and (message[0] in wanted.carries or is_release(message)):
            self.send(message)

    def open(self, drivers: Sequence[MidiDriver], others: Sequence[RequestedPort]) -> None:
        """Find the port and open it. Raises Unavailable."""
        opened = self.requested.open(drivers, others)
        with self._lock:
            self._sink, self._failure = opened, ""
        _, self._listeners = self.requested.look_at_peers()  # the change itself is for them

    def drop_if_lost(self) -> Iterator[PortChanged]:
        """Send nothing more if the port is gone, or does not take what is sent."""
        requested = self.requested
        if not requested.is_open or not (self._failure or requested.is_lost()):
            return
        self.detach()
        title = requested.title
        if self._failure:
            requested.close()  # what does not take our messages is made again
        requested.is_open = False
        yield self.changed(False, f"{title} is gone; looking for it")

    def check_stalled(self, stalled: bool | None) -> Iterator[PortChanged]:
        """Send nothing while the JACK server is stalled: rtmidi's buffer for it would fill, and then rtmidi hangs."""
        if self._failure or self.requested.serving is None:
            return
        if stalled and self.is_sending:
            self.detach()
            yield self.changed(False, "the JACK server is stalled; silent until it continues")
        elif stalled is False and not self.is_sending:
            with self._lock:
                self._sink = self.requested.port
            yield self.changed(True, "the JACK server continues")

    def notice_listeners(self) -> Iterator[PortChanged]:
        """Notice the ports that have connected to ours since it was opened.

        A new connection at JACK carries only from the next period on, so there it has to be seen twice.
        """
        if not self.is_sending or self.requested.serving is None:
            return
        _, driver = self.requested.serving
        before, peers = self.requested.look_at_peers()
        new = peers - self._listeners
        if driver.period_s:
            new &= before
        self._listeners = (self._listeners & peers) | new
        for name in map(printable, sorted(new)):
            yield self.changed(True, f"{name} listens now", name)

    def detach(self) -> None:
        """Send nothing from now on."""
        with self._lock:
            self._sink = None

    def changed(self, is_open: bool, text: str, listener: str = "") -> PortChanged:
        """A change of this port."""
        wanted = self.requested.wanted
        return PortChanged(wanted.key, is_open, f"{wanted.key}: {text}", listener, wanted.id)
