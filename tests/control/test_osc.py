# SPDX-License-Identifier: Apache-2.0
"""The OSC server, on a real UDP port of this machine, with a real control API."""

from __future__ import annotations

import json
import math
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_packet import OscPacket

from sideman.control.osc import OscPort, OscServer
from sideman.control.protocol import REQUESTS
from sideman.control.server import REQUESTS_PER_ROUND, ROUND_S
from sideman.core.actions import Panic
from sideman.core.errors import Unavailable
from sideman.core.events import SetMode
from support.control import ControlScene, control_scene
from support.processes import TIMEOUT_S, running_daemon


class Surface:
    """A control surface, which sends messages to the port and takes the replies."""

    def __init__(self) -> None:
        self.scene: ControlScene = control_scene()
        self.port = OscPort("127.0.0.1", 0)
        self.port_number: int = self.port.socket.getsockname()[1]
        self.osc = OscServer(self.port, self.scene.api.answer, lambda: None)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(TIMEOUT_S)

    def send(self, address: str, *arguments: object) -> None:
        """Send a message and let the server answer it."""
        self.socket.sendto(message(address, *arguments), ("127.0.0.1", self.port_number))
        self.osc.serve(0.0)

    def reply(self) -> tuple[str, list[Any]]:
        """The reply, which must be there: its address and arguments."""
        (reply,) = OscPacket(self.socket.recv(1 << 16)).messages
        return reply.message.address, reply.message.params

    def close(self) -> None:
        """Close both ends."""
        self.socket.close()
        self.osc.close()
        self.port.close()


def message(address: str, *arguments: Any) -> bytes:
    """An OSC message."""
    builder = OscMessageBuilder(address)
    for each in arguments:
        builder.add_arg(each)
    return bytes(builder.build().dgram)


@pytest.fixture
def surface(monkeypatch: pytest.MonkeyPatch) -> Iterator[Surface]:
    """A control surface that is connected to a daemon. Time stands still: a slow machine would pause."""
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    with closing(Surface()) as made:
        yield made


@pytest.mark.parametrize(
    ("address", "arguments", "key", "value"),
    [
        ("/sideman/play/temperature", (1.2,), "play.temperature", 1.2),
        ("/sideman/set", ("play.temperature", 0.3), "play.temperature", 0.3),
        ("/sideman/set", ("play.gate", "0.25"), "play.gate", 0.25),
        ("/sideman/play/velocity", (64.0,), "play.velocity", 64),
        ("/sideman/play/range", ("C4-C5",), "play.range", "C4-C5"),
        ("/sideman/play/resume", (True,), "play.resume", True),
        ("/sideman/chart/changes", ("| Eb7 |",), "chart.changes", "| Eb7 |"),
    ],
)
def test_a_fader_sets_a_setting(
    surface: Surface, address: str, arguments: tuple[object, ...], key: str, value: object
) -> None:
    """Guards against: a number of 32 bits that changes on its way, or a whole number that is refused as a fraction."""
    surface.send(address, *arguments)
    assert surface.scene.ask("get", key=key)["value"] == value


def test_buttons_act_when_they_go_down(surface: Surface) -> None:
    """Guards against: buttons that act twice, when they are pressed and when they are released."""
    for pressed in (1.0, 0.0, 1, 0):
        surface.send("/sideman/panic", pressed)
    surface.send("/sideman/panic")
    surface.send("/sideman/mode", "trade", 1)
    surface.send("/sideman/mode", "duet")
    surface.send("/sideman/mute", 1.0)
    surface.send("/sideman/mute", 0.0)
    modes = [SetMode("trade", now=True), SetMode("duet"), SetMode("off", now=True), SetMode("duet", now=True)]
    assert surface.scene.commands == [Panic(), Panic(), Panic(), *modes]


def test_get_and_status_are_answered_and_mistakes_reported(surface: Surface) -> None:
    """Guards against: a surface that can show nothing, and against a fader that does nothing without a reason."""
    surface.send("/sideman/get", "play.gate")
    address, (name, text) = surface.reply()
    assert (address, name, json.loads(text)["value"]) == ("/sideman/reply", "get", 0.9)
    surface.send("/sideman/status")
    assert json.loads(surface.reply()[1][1])["mode"] == "solo"
    surface.send("/sideman/play/temperature", 9.0)
    address, (name, text) = surface.reply()
    assert (address, name) == ("/sideman/error", "set")
    assert "allowed is a number from 0 to 5" in text
    surface.send("/sideman/dance")
    assert "no such request" in surface.reply()[1][1]
    surface.send("/sideman/watch")
    assert surface.reply()[1] == ["watch", "watch: only on the control socket"]


def test_every_message_of_a_bundle_is_answered(surface: Surface) -> None:
    """Guards against: the loss of a scene that a control surface sends as one bundle."""
    bundle = OscBundleBuilder(IMMEDIATELY)
    for key, value in (("gate", 0.5), ("density", 2.0)):
        builder = OscMessageBuilder(f"/sideman/play/{key}")
        builder.add_arg(value)
        bundle.add_content(builder.build())
    surface.socket.sendto(bundle.build().dgram, ("127.0.0.1", surface.port_number))
    surface.osc.serve(0.0)
    play = surface.scene.engine.settings.play
    assert (play.gate, play.density) == (0.5, 2.0)


def test_the_player_goes_first_before_each_message_of_a_bundle(surface: Surface) -> None:
    """Guards against: a note that waits while a whole scene of a control surface is set."""
    done: list[object] = []
    osc = OscServer(surface.port, done.append, lambda: done.append("a note"))
    bundle = OscBundleBuilder(IMMEDIATELY)
    for name in ("again", "tap"):
        bundle.add_content(OscMessageBuilder(f"/sideman/{name}").build())
    surface.socket.sendto(bundle.build().dgram, ("127.0.0.1", surface.port_number))
    with closing(osc):
        osc.serve(0.0)
    assert done == ["a note", "a note", REQUESTS["again"](), "a note", REQUESTS["tap"]()]


@settings(max_examples=50)
@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: b"#bundle\0" + tail) |
       st.binary(max_size=40).map(lambda tail: b"/sideman/set\0\0\0\0" + tail))  # fmt: skip
def test_data_that_is_not_osc_is_ignored(data: bytes) -> None:
    """Guards against: a program that sends to the wrong port and ends the music, or fills the log."""
    with pytest.MonkeyPatch.context() as patch, closing(Surface()) as surface:
        patch.setattr("time.monotonic", lambda: 0.0)
        surface.socket.sendto(data, ("127.0.0.1", surface.port_number))
        surface.send("/other/play/gate", 0.1)
        surface.send("/sideman/play/gate", 0.4)
        assert surface.scene.engine.settings.play.gate == 0.4
        assert len(surface.scene.commands) == 1


def test_a_flood_takes_a_bounded_time(surface: Surface) -> None:
    """Guards against: a sequencer that sends a thousand messages a second and keeps the main thread from all others."""
    for _ in range(REQUESTS_PER_ROUND + 20):
        surface.socket.sendto(message("/sideman/panic"), ("127.0.0.1", surface.port_number))
    for _ in range(5):
        surface.osc.serve(0.0)
    assert len(surface.scene.commands) == REQUESTS_PER_ROUND
    assert surface.osc.wakes_at() == ROUND_S
    surface.osc.serve(2 * ROUND_S)
    assert len(surface.scene.commands) > REQUESTS_PER_ROUND


def test_a_slow_request_is_followed_by_a_pause_of_the_same_length(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: long charts, one after the other or in one bundle, that delay signals and the player."""
    second = 0.0

    def answer_slowly(_request: object) -> None:
        nonlocal second
        second += 10 * ROUND_S

    monkeypatch.setattr("time.monotonic", lambda: second)
    osc = OscServer(surface.port, answer_slowly, lambda: None)
    with closing(osc):
        bundle = OscBundleBuilder(IMMEDIATELY)
        for _ in range(2):
            bundle.add_content(OscMessageBuilder("/sideman/tap").build())
            surface.socket.sendto(message("/sideman/tap"), ("127.0.0.1", surface.port_number))
        surface.socket.sendto(bundle.build().dgram, ("127.0.0.1", surface.port_number))
        for number in range(4):
            osc.serve(float(number))
            assert second == pytest.approx(10 * ROUND_S * (number + 1))
            assert osc.wakes_at() == pytest.approx(number + 11 * ROUND_S)
        osc.serve(9.0)
        assert osc.wakes_at() == math.inf


def test_a_port_that_is_in_use_is_an_error(surface: Surface) -> None:
    """Guards against: a daemon that seems to listen and receives nothing."""
    with pytest.raises(Unavailable, match=f"control.osc: port {surface.port_number} of 127.0.0.1"):
        OscPort("127.0.0.1", surface.port_number)
    with pytest.raises(Unavailable, match=r"control.osc_host: no\.such\.host\.invalid"):
        OscPort("no.such.host.invalid", 0)


def test_without_python_osc_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a traceback for a user who has not installed the extra."""
    monkeypatch.setitem(sys.modules, "pythonosc.osc_packet", None)
    with pytest.raises(Unavailable, match=r"python-osc is not installed; it comes with sideman\[osc\]"):
        OscPort("127.0.0.1", 0)


@pytest.mark.subprocess
def test_the_daemon_answers_osc(tmp_path: Path) -> None:
    """Guards against: an OSC server that works only in the tests."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as surface:
        surface.bind(("127.0.0.1", 0))
        surface.settimeout(TIMEOUT_S)
        with closing(OscPort("127.0.0.1", 0)) as port:
            free = port.socket.getsockname()[1]
        with running_daemon(tmp_path, "midi.output=none", "midi.input=none", f"control.osc={free}") as daemon:
            daemon.wait_for("ready")
            surface.sendto(message("/sideman/play/temperature", 0.5), ("127.0.0.1", free))
            surface.sendto(message("/sideman/get", "play.temperature"), ("127.0.0.1", free))
            text = OscPacket(surface.recv(1 << 16)).messages[0].message.params[1]
            assert json.loads(text)["value"] == 0.5
            daemon.wait_for("play.temperature is 0.5")
            assert daemon.stop(signal.SIGTERM) == 0
