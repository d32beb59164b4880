# SPDX-License-Identifier: Apache-2.0
"""What is sent to JACK, with a server and a client of our own: rtmidi's buffer must never be full."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.midi.driver import Direction, DriverError
from sideman.midi.jack_driver import JackPort

BUFFER_MESSAGES = 2340
PERIOD = 64


class Server:
    """A JACK server that empties the buffer of our client in each period, unless it stands still or has removed it."""

    has_died = False

    def __init__(self) -> None:
        self.frames = 2**32 - 500  # the counter will soon start again at 0
        self.waiting = 0  # messages in the buffer
        self.has_removed = False
        self.names = ["other:in"]

    def run(self, periods: int) -> None:
        """Let time pass."""
        self.frames = (self.frames + periods * PERIOD) % 2**32
        if periods and not self.has_removed:
            self.waiting = 0

    def has_passed(self, periods: int, since: int) -> bool:
        """See `JackServer`."""
        return (self.frames - since) % 2**32 >= periods * PERIOD

    def ports(self, _flags: int) -> list[str]:
        """See `JackServer`."""
        return self.names

    def connections(self, _port: str) -> list[str] | None:
        """See `JackServer`."""
        return None if self.has_removed else []


class Client:
    """An rtmidi client, which would never return from `send_message` if its buffer were full."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def open_virtual_port(self, label: str) -> None:
        """Open the port."""
        self._server.names = [*self._server.names, f"sideman-01:{label}"]

    def send_message(self, _message: object) -> None:
        """Put a message into the buffer."""
        self._server.waiting += 1
        assert self._server.waiting < BUFFER_MESSAGES, "rtmidi would hang"


def port_at(server: Any) -> JackPort:
    """An output at the server."""
    rtmidi = SimpleNamespace(RtMidiError=RuntimeError)
    client: Any = Client(server)
    return JackPort(rtmidi, client, server, "sideman", Direction.OUTPUT, None)


def test_the_port_is_found_under_the_name_that_jack_gave_it() -> None:
    """Guards against: the port of another program that is taken for ours."""
    server = Server()
    server.names = ["sideman:out", "sideman-2:out"]
    assert port_at(server).name == "sideman-01:out"


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 20), st.booleans()), max_size=30))
def test_the_buffer_is_never_full(storm: list[tuple[int, int, bool]]) -> None:
    """Guards against: a program that spins for ever, deaf to every signal, because JACK does not take its notes."""
    server = Server()
    port = port_at(server)
    for messages, periods, removes in storm:
        server.has_removed = server.has_removed or removes
        for _ in range(messages):
            try:
                port.send((0x90, 60, 80))
            except DriverError:
                return
        server.run(periods)


@given(st.lists(st.integers(0, 600), min_size=20, max_size=60))
def test_a_server_that_runs_takes_every_message(bursts: list[int]) -> None:
    """Guards against: notes that are refused although JACK takes them."""
    server = Server()
    port = port_at(server)
    for messages in bursts:
        for _ in range(messages):
            port.send((0x90, 60, 80))
        server.run(2)


@pytest.mark.parametrize(("removed", "message"), [(True, "has removed the port"), (False, "does not take")])
def test_the_reason_is_said(removed: bool, message: str) -> None:
    """Guards against: silence without a reason."""
    server = Server()
    port = port_at(server)
    server.has_removed = removed

    def send_many() -> None:
        for _ in range(BUFFER_MESSAGES):
            port.send((0x90, 60, 80))
            server.run(2 if removed else 0)

    with pytest.raises(DriverError, match=message):
        send_many()
