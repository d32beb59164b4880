# SPDX-License-Identifier: Apache-2.0
"""The transport of a real JACK server, with another program that controls it."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ports.conftest import Jackd, until
from sideman.core.events import JackPosition
from sideman.core.timing.jack_transport import JackTransportFollower
from sideman.midi.jack import JackServer
from sideman.midi.jack_transport import JackTransport, TransportClient, find_libjack
from support.processes import running_daemon

pytestmark = pytest.mark.ports


class Controller:
    """Another program that controls the transport."""

    def __init__(self) -> None:
        self._library = find_libjack()
        server = JackServer.connect(self._library, "controller", lambda: None)
        assert server is not None
        self._server = server
        self.transport = TransportClient(self._library, server._client)

    def locate(self, frame: int) -> None:
        """Go to a frame."""
        self._library.jack_transport_locate.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
        self._library.jack_transport_locate(self._server._client, frame)

    def set_period(self, frames: int) -> None:
        """Change the period of the server."""
        self._library.jack_set_buffer_size.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
        assert self._library.jack_set_buffer_size(self._server._client, frames) == 0

    def rewind(self) -> None:
        """Stop the transport at its start."""
        self.transport.set_rolling(False)
        self.locate(0)
        until(lambda: self.transport.read()[0] == JackPosition(False, 0.0, 0.0, 0.0))

    def close(self) -> None:
        """Leave the server."""
        self._server.close()


@pytest.fixture
def controller(only_jack: Jackd) -> Iterator[Controller]:
    """A controller of the running server's transport."""
    assert only_jack.runs()
    program = Controller()
    program.rewind()
    yield program
    program.rewind()
    program.close()


class Followed:
    """A follower of the transport, and the positions that it received."""

    def __init__(self, bpm: float = 120.0) -> None:
        self.follower = JackTransportFollower(bpm)
        self.positions: list[JackPosition] = []
        self.transport = JackTransport(find_libjack(), "followed-transport", self._receive)
        self.transport.open()
        until(lambda: self.positions)

    def _receive(self, position: JackPosition, second: float) -> None:
        self.follower.receive(position, second)
        self.positions.append(position)


@pytest.fixture
def followed(controller: Controller) -> Iterator[Followed]:
    """A follower of the running server's transport, which is stopped at its start."""
    assert not controller.transport.read()[0].rolling
    program = Followed()
    yield program
    program.transport.close()


def off_s(followed: Followed, controller: Controller) -> float:
    """How far the line of the follower is from the transport, in seconds of our own tempo."""
    position, second = controller.transport.read()
    return abs(followed.follower.tempo.beat_at(second) / 2 - position.transport_s)


def test_it_starts_jumps_and_stops_with_the_transport(followed: Followed, controller: Controller) -> None:
    """Guards against: a solo that is not where Ardour, Hydrogen or the looper is."""
    pause = threading.Event()
    assert not followed.follower.rolling
    controller.transport.set_rolling(True)
    until(lambda: followed.follower.rolling)
    for _ in range(5):
        pause.wait(0.1)
        assert off_s(followed, controller) <= 0.002
    controller.locate(48_000 * 30)
    until(lambda: followed.follower.tempo.beat > 59)
    pause.wait(0.2)
    assert off_s(followed, controller) <= 0.002
    assert len(followed.positions) < 10  # a steady transport is reported once
    controller.transport.set_rolling(False)
    until(lambda: not followed.follower.rolling)


def test_it_can_start_and_stop_the_transport(followed: Followed, controller: Controller) -> None:
    """Guards against: a start in sideman that starts no other program although tempo.jack_control asks for it."""
    followed.transport.request_rolling(True)
    until(lambda: controller.transport.read()[0].rolling)
    followed.transport.request_rolling(False)
    until(lambda: not controller.transport.read()[0].rolling)


def test_a_master_gives_bars_and_tempo(followed: Followed, controller: Controller) -> None:
    """Guards against: the tempo and the bars of the DAW that are ignored."""
    master = subprocess.Popen(
        ["jack_transport"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )
    with master, contextlib.ExitStack() as at_end:
        at_end.callback(master.kill)
        assert master.stdin is not None
        master.stdin.write("master\ntempo 90\nplay\n")
        master.stdin.flush()
        until(lambda: followed.follower.rolling and followed.follower.tempo.bpm == pytest.approx(90, abs=0.01))
        position, second = controller.transport.read()
        assert followed.follower.tempo.beat_at(second) == pytest.approx(position.beat, abs=0.003)
        assert position.beat == pytest.approx(position.transport_s * 1.5, abs=0.05)


def test_a_server_that_dies_stops_it_and_the_next_one_is_followed(only_jack: Jackd) -> None:
    """Guards against: a solo that plays on when JACK is gone, or that has to be restarted with it."""
    followed = Followed()
    try:
        followed.transport.request_rolling(True)
        until(lambda: followed.follower.rolling)
        only_jack.kill()
        until(lambda: not followed.follower.rolling)
        only_jack.start()

        def starts() -> bool:
            followed.transport.request_rolling(True)
            return followed.follower.rolling

        until(starts)
    finally:
        if not only_jack.runs():
            only_jack.start()
        followed.transport.close()


def test_the_daemon_plays_with_the_transport(controller: Controller, tmp_path: Path) -> None:
    """Guards against: tempo.source jack-transport that works in a library and not in the program."""
    settings = ("tempo.source=jack-transport", "midi.client=band", "tempo.bpm=240", "play.density=4")
    with running_daemon(tmp_path, *settings, "play.late_ms=1000") as daemon:
        daemon.wait_for("transport is stopped")
        controller.transport.set_rolling(True)
        daemon.wait_for("following JACK's transport at 240.0 bpm, our own")
        controller.transport.set_rolling(False)
        until(lambda: sum("transport is stopped" in line for line in daemon.log) >= 2)
        assert daemon.stop(signal.SIGTERM) == 0


def test_a_changed_period_reaches_the_clock_that_is_followed(
    only_jack: Jackd, controller: Controller, tmp_path: Path
) -> None:
    """Guards against: a quantum of PipeWire that changes while we play, and that the clock never learns of."""
    settings = ("tempo.source=midi-clock", "midi.client=band", f"takes.folder={tmp_path}", "takes.record=true")
    with running_daemon(tmp_path, *settings) as daemon:
        daemon.wait_for("ready")
        try:
            controller.set_period(512)
            threading.Event().wait(0.5)
            assert daemon.stop(signal.SIGTERM) == 0
        finally:
            controller.set_period(round(only_jack.period * 48_000))
    journal = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    periods = [part.split("]")[0] for part in journal.split('["ClockRounds",')[1:]]
    assert [float(period) for period in periods] == pytest.approx([only_jack.period, 512 / 48_000])
