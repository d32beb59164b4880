# SPDX-License-Identifier: Apache-2.0
"""The driver of ALSA's sequencer, through alsa-midi.

We have a client for each port, so that their names are as stable as at JACK (`sideman:out`, `sideman-in:in`), and one
more, without a port for others, to which ALSA announces ports and connections that come and go.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sideman.midi.driver import Direction, DriverError, DriverPort, ReceiveBytes, SendBytes, labelled
from sideman.midi.rtmidi_driver import LINGER_S

_LOOKS = 5  # at the ports: a client that goes while we ask for its ports is an error
_LISTENER_ERRORS = (-errno.EAGAIN, -errno.ENOMEM, -errno.ENOSPC)


class AlsaDriver:
    """ALSA's sequencer. `on_change` is called in our reader's thread when a port or a connection comes or goes."""

    title = "ALSA"
    has_virtual_ports = True
    library = ""
    period_s = 0.0

    def __init__(self, alsa: Any, client: str, on_change: Callable[[], None]) -> None:
        self._alsa, self._client, self._on_change = alsa, client, on_change
        self._watch: _Reader | None = None
        self._looked = False

    def is_running(self) -> bool:
        """See `MidiDriver`."""
        if self._watch is None and not self._looked:
            self._looked = True
            with contextlib.suppress(DriverError):
                caps = self._alsa.PortCaps.WRITE | self._alsa.PortCaps.NO_EXPORT
                self._watch = _Reader(self._alsa, f"{self._client}-watch", "watch", caps, _ignore)
                self._watch.follow_announcements(self._on_change)
        return self._watch is not None

    def targets(self, direction: Direction) -> list[str]:
        """See `MidiDriver`."""
        return list(self.addresses(direction))

    def open_port(
        self,
        direction: Direction,
        receive: ReceiveBytes | None = None,
        *,
        clock: bool = False,  # noqa: ARG002 - the decoder ignores clock messages
        label: str = "",
    ) -> DriverPort:
        """See `MidiDriver`."""
        return AlsaPort(self._alsa, self, labelled(self._client, label), direction, receive)

    def has_died(self) -> bool:
        """See `MidiDriver`: the kernel's sequencer does not end."""
        return False

    def is_stalled(self) -> bool | None:
        """See `MidiDriver`."""
        return None

    def linger(self) -> bool:
        """See `MidiDriver`: the kernel delivers at once."""
        threading.Event().wait(LINGER_S)
        return True

    def forget(self) -> None:
        """See `MidiDriver`."""
        self._looked = False

    def close(self) -> None:
        """See `MidiDriver`."""
        if self._watch is not None:
            self._watch.close()
        self._watch = None

    def address_of(self, direction: Direction, name: str) -> Any:
        """The address of the port `name`, as `targets` lists it; None if it does not exist."""
        return self.addresses(direction).get(name)

    def addresses(self, direction: Direction) -> dict[str, Any]:
        """The ports that our port of this direction can connect to: their addresses by name, with their numbers."""
        if self._watch is None:
            raise DriverError("ALSA's sequencer is not open")
        wanted = {"output": True} if direction is Direction.OUTPUT else {"input": True}
        ports = []
        for look in range(_LOOKS):
            try:
                ports = self._watch.client.list_ports(**wanted, type=0, include_no_export=False)
                break
            except self._alsa.ALSAError as error:
                if look == _LOOKS - 1:
                    raise DriverError(str(error)) from error
        addresses = [self._alsa.Address(port.client_id, port.port_id) for port in ports]
        return {f"{port.client_name}:{port.name} {at}": at for port, at in zip(ports, addresses, strict=True)}


class _Reader:
    """A client with one port, and a thread that reads it, until it is closed."""

    def __init__(self, alsa: Any, client: str, port: str, caps: Any, receive: ReceiveBytes) -> None:
        self._alsa, self._receive = alsa, receive
        self._on_announcement: Callable[[], None] = _ignore
        with _as_driver_error(alsa):
            self.client = alsa.client.SequencerClientBase(client)
            self.port = self.client.create_port(port, caps=caps)
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._thread = threading.Thread(target=self._read, name=f"alsa-{port}", daemon=True)
        self._thread.start()

    def follow_announcements(self, on_announcement: Callable[[], None]) -> None:
        """Call `on_announcement` in the reader's thread when a port, a client or a connection comes or goes."""
        self._on_announcement = on_announcement
        with _as_driver_error(self._alsa):
            self.port.connect_from(self._alsa.SYSTEM_ANNOUNCE)

    def stop(self) -> None:
        """Read nothing more. Returns when the thread has ended."""
        if self._thread.is_alive():
            self._stop_writer.send(b"!")
            self._thread.join()
            self._stop_writer.close()
            self._stop_reader.close()

    def close(self) -> None:
        """Close the client."""
        self.stop()
        self.client.close()

    def _read(self) -> None:
        descriptors = self._alsa.ffi.new("struct pollfd[]", 1)
        self._alsa.alsa.snd_seq_poll_descriptors(self.client.handle, descriptors, 1, select.POLLIN)
        sources = select.poll()
        sources.register(descriptors[0].fd, select.POLLIN)
        sources.register(self._stop_reader, select.POLLIN)
        while not any(source == self._stop_reader.fileno() for source, _ in sources.poll()):
            with contextlib.suppress(self._alsa.ALSAError):  # nothing more waits, or the kernel has dropped messages
                while True:
                    event = self.client.event_input(prefer_bytes=True)
                    if isinstance(event, self._alsa.MidiBytesEvent):
                        self._receive(event.midi_bytes)
                    else:
                        self._on_announcement()


class AlsaPort:
    """Our port at ALSA's sequencer. An input is read by a thread of its own."""

    def __init__(
        self,
        alsa: Any,
        driver: AlsaDriver,
        client: str,
        direction: Direction,
        receive: ReceiveBytes | None,
    ) -> None:
        self._alsa, self._driver, self._direction = alsa, driver, direction
        self._reader: _Reader | None = None
        if direction is Direction.INPUT:
            own = f"{client}-in"
            self._reader = _Reader(alsa, own, "in", alsa.WRITE_PORT, receive or _ignore)
            self._sequencer, self._port = self._reader.client, self._reader.port
        else:
            own = client
            with _as_driver_error(alsa):
                # Not `SequencerClient`: that one waits for a listener that does not read.
                self._sequencer = alsa.client.SequencerClientBase(own)
                self._port = self._sequencer.create_port("out", caps=alsa.READ_PORT)
        self.name = f"{own}:{direction.value}"
        self._target: Any = None

    def connect(self, target: str) -> None:
        """See `DriverPort`."""
        address = self._driver.address_of(self._direction, target)
        if address is None:
            raise DriverError(f"{target} has disappeared")
        with contextlib.suppress(self._alsa.ALSAError):  # it is gone
            if self._target not in (None, address):
                self._join(self._sequencer.unsubscribe_port, self._target)
        if address not in self._peer_addresses():
            with _as_driver_error(self._alsa):
                self._join(self._sequencer.subscribe_port, address)
        self._target = address

    def exists(self) -> bool:
        """See `DriverPort`: only we can remove it."""
        return True

    def is_connected(self, target: str) -> bool:
        """See `DriverPort`."""
        address = self._driver.address_of(self._direction, target)
        return address is not None and address in self._peer_addresses()

    def peers(self) -> frozenset[str]:
        """See `DriverPort`."""
        names = {address: name for name, address in self._driver.addresses(self._direction).items()}
        return frozenset(names.get(address, str(address)) for address in self._peer_addresses())

    def send(self, message: SendBytes) -> None:
        """See `DriverPort`. What a listener does not take, because it does not read, is lost to that listener alone."""
        event = self._alsa.MidiBytesEvent(bytes(message))
        try:  # not by `event_output_direct`, which in alsa-midi 1.0.4 only fills the buffer
            self._sequencer.event_output(event, port=self._port)
            self._sequencer.drain_output()
        except self._alsa.ALSAError as error:
            if error.errnum not in _LISTENER_ERRORS:
                raise DriverError(str(error)) from error
            self._sequencer.drop_output_buffer()

    def stop_receiving(self) -> None:
        """See `DriverPort`."""
        if self._reader is not None:
            self._reader.stop()

    def close(self) -> None:
        """See `DriverPort`."""
        self.stop_receiving()
        self._sequencer.close()

    def _join(self, function: Callable[[Any, Any], object], other: Any) -> None:
        """Subscribe or unsubscribe our port and another."""
        pair = (self._port, other) if self._direction is Direction.OUTPUT else (other, self._port)
        function(*pair)

    def _peer_addresses(self) -> list[Any]:
        kinds = self._alsa.SubscriptionQueryType
        kind = kinds.READ if self._direction is Direction.OUTPUT else kinds.WRITE
        with _as_driver_error(self._alsa):
            return [query.addr for query in self._sequencer.list_port_subscribers(self._port, kind)]


def _ignore(*_: object) -> None:
    """Do nothing."""


@contextlib.contextmanager
def _as_driver_error(alsa: Any) -> Iterator[None]:
    try:
        yield
    except alsa.Error as error:
        raise DriverError(str(error)) from error
