# SPDX-License-Identifier: Apache-2.0
"""JACK's driver: ports by rtmidi, everything else by libjack (`jack`).

Rules for rtmidi and libjack, found by experiment (tests/ports):

- JACK's process thread must never wait for Python's lock, or the whole graph is late. So rtmidi has no callback of
  ours: it leaves what it receives in a queue, and our own thread reads that queue right after each period begins.
- rtmidi's buffer for what we send holds about 2,340 messages. If JACK does not empty it, because the server stands
  still or has removed our client, the next message makes rtmidi loop for ever with Python's lock held. So every few
  hundred messages we look whether JACK has served our port meanwhile, and send nothing more if it has not.
- If a client is made while a client of a dead server still exists, the next deletion crashes the process. So all ports
  are closed first, then the watch (`close`), and only then do we look for a new server.
- Closing a port whose server stands still never returns, with Python's lock held. So such a port stays open: the
  process ends without closing it (rtmidi does not close a port by itself when Python deletes its client).
- Deleting an output whose server has died takes rtmidi a second, with Python's lock held. The player is late for that
  second, but there was no port to play to.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from sideman.midi.driver import Direction, DriverError, DriverPort, ReceiveBytes, SendBytes, labelled
from sideman.midi.jack import (
    IS_INPUT,
    IS_OUTPUT,
    LINGER_PERIODS,
    MAX_LINGER_S,
    RETRY_PAUSES_S,
    JackServer,
    libjack_text,
)
from sideman.midi.rtmidi_driver import LINGER_S, RtMidiClient, make_client

_PROOF_MESSAGES, _MOST_UNPROVED_MESSAGES = 800, 1400
"""Messages after the last proof that JACK empties our buffer: when to look again, and when to send no more.

The proof may be as old as the server's last period, so twice as many may wait in the buffer.
"""
_SERVED_PERIODS = 2  # after these our buffer was empty
_READ_AFTER_S = 0.00015  # after a period begins: its clients have run by then
_MIN_READ_PAUSE_S, _MAX_READ_PAUSE_S = 0.0005, 0.1
_OWN_PERIODS = 32
_IDLE_AFTER_S, _IDLE_PAUSE_S = 2.0, 0.005
"""After silence of this length an input is read less often: 750 times a second would cost some percent of a core."""
_ALONE_PAUSE_S = 0.1  # between two looks at an input in silence to which nothing is connected
_CLOSE_STEP_S = 0.01  # libjack crashes if a client closes while it is notified that another one has closed


class JackDriver:
    """JACK or PipeWire, with `library` as libjack. `on_death` is called in libjack's thread when the server dies."""

    title = "JACK"
    has_virtual_ports = True

    def __init__(self, rtmidi: Any, library: ctypes.CDLL, client: str, on_death: Callable[[], None]) -> None:
        self._rtmidi, self._library, self._client, self._on_death = rtmidi, library, client, on_death
        self._server: JackServer | None = None
        self._looked = False  # for a server: that takes time, so only once after each `forget`

    @property
    def library(self) -> str:
        """See `MidiDriver`."""
        return libjack_text(self._library)

    @property
    def server(self) -> JackServer:
        """The server that is watched. Raises `DriverError` if there is none."""
        if self._server is None:
            raise DriverError("no JACK server runs")
        return self._server

    def is_running(self) -> bool:
        """See `MidiDriver`."""
        if self._server is None and not self._looked:
            self._looked = True
            self._server = JackServer.connect(self._library, f"{self._client}-watch", self._on_death)
        return self._server is not None and not self._server.has_died

    def targets(self, direction: Direction) -> list[str]:
        """See `MidiDriver`."""
        return self.server.ports(IS_INPUT if direction is Direction.OUTPUT else IS_OUTPUT)

    def open_port(
        self, direction: Direction, receive: ReceiveBytes | None = None, *, clock: bool = False, label: str = ""
    ) -> DriverPort:
        """See `MidiDriver`."""
        name = labelled(self._client, label)

        def attempt() -> JackPort:
            client = make_client(self._rtmidi, self._rtmidi.API_UNIX_JACK, direction, name, clock=clock)
            return JackPort(self._rtmidi, client, self.server, name, direction, receive)

        for pause in RETRY_PAUSES_S:
            with contextlib.suppress(DriverError):
                return attempt()
            time.sleep(pause)
        return attempt()

    def has_died(self) -> bool:
        """See `MidiDriver`."""
        return self._server is not None and self._server.has_died

    def is_stalled(self) -> bool | None:
        """See `MidiDriver`."""
        return None if self._server is None or self._server.has_died else self._server.is_stalled()

    @property
    def period_s(self) -> float:
        """See `MidiDriver`."""
        return 0.0 if self._server is None or self._server.has_died else self._server.period_s

    def linger(self) -> bool:
        """See `MidiDriver`."""
        time.sleep(LINGER_S)
        return self._server is None or self._server.wait_periods(LINGER_PERIODS, MAX_LINGER_S)

    def forget(self) -> None:
        """See `MidiDriver`."""
        self._looked = False

    def close(self) -> None:
        """See `MidiDriver`."""
        if self._server is not None:
            self._server.close()
        self._server = None


class JackPort:
    """Our port at JACK. An input is read by a thread of its own."""

    def __init__(
        self,
        rtmidi: Any,
        client: RtMidiClient,
        server: JackServer,
        client_name: str,
        direction: Direction,
        receive: ReceiveBytes | None,
    ) -> None:
        self._client, self._server, self._is_output = client, server, direction is Direction.OUTPUT
        self._error: type[Exception] = rtmidi.RtMidiError
        self._target = ""
        self._unproved, self._proved_frames = 0, server.frames
        own = re.compile(rf"{re.escape(client_name)}{'' if self._is_output else '-in'}(-\d+)?:{direction.value}")
        before = self._ports()
        try:
            client.open_virtual_port(direction.value)
            self.name = next(name for name in self._ports() if own.fullmatch(name) and name not in before)
        except (self._error, StopIteration) as error:
            client.delete()
            raise DriverError(str(error) or f"JACK has no port {client_name}:{direction.value}") from error
        self._stopping = threading.Event()
        self._reader: threading.Thread | None = None
        if receive is not None:
            self._reader = threading.Thread(target=self._read, args=(receive,), name="jack-input", daemon=True)
            self._reader.start()

    def connect(self, target: str) -> None:
        """See `DriverPort`."""
        if self._target not in ("", target):
            self._server.disconnect_ports(*self._pair(self._target))
        if not self._server.connect_ports(*self._pair(target)):
            raise DriverError(f"{target} has disappeared")
        self._target = target

    def exists(self) -> bool:
        """See `DriverPort`."""
        return self._server.connections(self.name) is not None

    def is_connected(self, target: str) -> bool:
        """See `DriverPort`."""
        return target in (self._server.connections(self.name) or ())

    def peers(self) -> frozenset[str]:
        """See `DriverPort`."""
        return frozenset(self._server.connections(self.name) or ())

    def send(self, message: SendBytes) -> None:
        """See `DriverPort`."""
        self._unproved += 1
        if self._unproved > _PROOF_MESSAGES:
            if not self._server.has_died and self._server.has_passed(_SERVED_PERIODS, self._proved_frames):
                if not self.exists():
                    raise DriverError("JACK has removed the port")
                self._unproved, self._proved_frames = 1, self._server.frames
            elif self._unproved > _MOST_UNPROVED_MESSAGES:
                raise DriverError("JACK does not take what is sent")
        try:
            self._client.send_message(message)
        except self._error as error:
            raise DriverError(str(error)) from error

    def stop_receiving(self) -> None:
        """See `DriverPort`."""
        self._stopping.set()
        if self._reader is not None:
            self._reader.join()
            self._reader = None

    def close(self) -> None:
        """See `DriverPort`."""
        self.stop_receiving()
        for step in (self._client.close_port, self._client.delete):
            step()
            time.sleep(_CLOSE_STEP_S)

    def _ports(self) -> list[str]:
        return self._server.ports(IS_OUTPUT if self._is_output else IS_INPUT)

    def _pair(self, other: str) -> tuple[str, str]:
        return (self.name, other) if self._is_output else (other, self.name)

    def _read(self, receive: ReceiveBytes) -> None:
        """Pass on what was received, soon after each period begins, until `stop_receiving`."""
        get_message, last_s = self._client.get_message, time.monotonic()
        next_s, period_s = last_s, 0.0
        periods = 0  # for which we count on before the server is asked again: that takes longer than all the rest
        alone, next_look_s = False, 0.0
        while not self._stopping.is_set():
            now = time.monotonic()
            if now - last_s >= _IDLE_AFTER_S or self._server.has_died:
                if now >= next_look_s:
                    alone, next_look_s = not self._server.has_died and not self.peers(), now + _ALONE_PAUSE_S
                next_s, periods = now + (_ALONE_PAUSE_S if alone else _IDLE_PAUSE_S), 0
            elif periods == 0 or next_s + period_s < now:
                period_s, periods = max(self._server.period_s, _MIN_READ_PAUSE_S), _OWN_PERIODS
                next_s = now + max(0.0, self._server.until_next_period_s()) + _READ_AFTER_S
            else:
                next_s, periods = next_s + period_s, periods - 1
            time.sleep(min(max(next_s - now, 0.0), _MAX_READ_PAUSE_S))
            try:
                while not self._stopping.is_set() and (message := get_message()):
                    receive(message[0])
                    last_s = now
            except self._error:  # the port is being lost: the main thread will find out
                time.sleep(_IDLE_PAUSE_S)
