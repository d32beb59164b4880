# SPDX-License-Identifier: Apache-2.0
"""The OSC server, on a real UDP port of this machine, with a real control API."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_packet import OscPacket

from sideman.control.osc import OscPort, OscServer
from sideman.control.requests import REQUESTS
from sideman.control.server import REQUESTS_PER_ROUND, ROUND_S
from sideman.core.actions import Panic
from sideman.core.errors import ConfigError, SidemanError, Unavailable
from sideman.core.events import SetMode
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.core.settings.schema import KEYS, is_live, settings_line
from sideman.core.settings.written import setting_to_json
from support.control import ControlScene, control_scene
from support.processes import TIMEOUT_S, running_daemon


class Surface:
    """A control surface, which sends messages to the port and takes the replies."""

    def __init__(self, key: str | None = None) -> None:
        self.scene: ControlScene = control_scene()
        self.port = OscPort("127.0.0.1", 0, key)
        self.port_number: int = self.port.socket.getsockname()[1]
        self.osc = OscServer(self.port, self.scene.api.answer_guest, lambda: None)
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

    def answer_bytes(self) -> int:
        """How many bytes wait for the surface."""
        self.socket.setblocking(False)
        count = 0
        with suppress(BlockingIOError):
            while True:
                count += len(self.socket.recv(1 << 16))
        return count

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


SECRET = "root:x:0:0:hunter2"
KEY = "a-key-of-my-own"


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that only the daemon may read, in its current folder; and a chart of the musician's, called `mine`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    charts = tmp_path / "config" / "sideman" / "charts"
    charts.mkdir(parents=True)
    (charts / "mine.chart").write_text("| Eb7 |")
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "mine").write_text(SECRET)
    (charts / "sub").mkdir()
    (charts / "sub" / "secret.chart").write_text(SECRET)
    return tmp_path / "secret"


def test_no_file_is_opened_for_a_sender(surface: Surface, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: any user of the machine who has the daemon open a file with its rights and quote it."""
    opened: list[object] = []
    monkeypatch.setattr("sideman.config.sources.read_chart", lambda path, *_: opened.append(path))
    up = os.path.relpath(secret, secret.parent / "config" / "sideman" / "charts")
    names = [
        str(secret),
        "secret",
        "./secret",
        up,
        "~/secret",
        "sub/secret",
        "secret#1",
        f"{up}#1",
        "..",
        ".",
        "#",
        "mine/",
    ]
    for name in [*names, f"file://{secret}", f"/proc/self/cwd/{secret.name}", f"mine.chart/../{up}"]:
        for address, arguments in (
            ("/sideman/chart/file", (name,)),
            ("/sideman/set", ("chart.file", name)),
            ("/sideman/set", ("chart", f"{{file: '{name}'}}")),
            ("/sideman/set", ("chart", f"{{transpose: 1, file: '{name}'}}")),
        ):
            surface.send(address, *arguments)
            assert surface.reply()[0] == "/sideman/error"
    assert not opened
    assert not surface.scene.commands


def test_a_chart_is_chosen_by_its_name(surface: Surface, secret: Path) -> None:
    """Guards against: a pad that cannot change the tune, or a file in the daemon's folder in place of the chart."""
    surface.send("/sideman/chart/file", "mine")
    assert surface.scene.api.settings_api.chart.text() == "| Eb7 |"
    assert surface.scene.api.settings.chart.file == str(secret.parent / "config/sideman/charts/mine.chart")
    surface.send("/sideman/chart/file", "null")
    assert surface.scene.api.settings.chart.file is None


def test_every_live_setting_with_a_path_is_known() -> None:
    """Guards against: a new setting that names a file and lets every user of the machine have it read."""
    texts = {name for name, key in KEYS.items() if is_live(name) and "path" in key.value_type.allowed}
    assert texts == {"chart.file"}


def test_no_error_quotes_a_preset_or_the_configuration(surface: Surface, secret: Path) -> None:
    """Guards against: a password that stands in a configuration and is sent to any user of the machine."""
    presets = secret.parent / "config" / "sideman" / "presets"
    presets.mkdir()
    (presets / "wrong.yaml").write_text(f"play.gate: {SECRET!r}")
    (presets.parent / "config.yaml").write_text(f"control:\n  osc_key: {SECRET!r}")
    for message_sent in (("/sideman/preset", "wrong"), ("/sideman/reload",), ("/sideman/preset", str(secret))):
        surface.send(*message_sent)
        address, (_, text) = surface.reply()
        assert address == "/sideman/error"
        assert "hunter2" not in text


def test_the_configuration_is_not_written_for_a_sender(surface: Surface) -> None:
    """Guards against: any user of the machine who changes what the pedals do after the next start."""
    surface.send("/sideman/learn", "play.gate", "", 1)
    assert "only the control socket" in surface.reply()[1][1]
    assert not surface.scene.commands


def test_two_daemons_do_not_answer_each_other(surface: Surface) -> None:
    """Guards against: two daemons that answer each other for ever, and answers to what is no request at all."""
    for verb in ("error", "reply", "dance", "", "set/"):
        surface.send(f"/sideman/{verb}", "set", "no such key")
    surface.send("/sideman")
    surface.send("/sideman/error/x/y", 1)
    assert surface.answer_bytes() == 0


def test_answers_are_not_many_times_larger_than_requests(surface: Surface) -> None:
    """Guards against: a daemon that multiplies a flood of small packets."""
    surface.send("/sideman/get")
    assert surface.answer_bytes() < 200
    for _ in range(60):
        surface.socket.sendto(message("/sideman/status"), ("127.0.0.1", surface.port_number))
    surface.osc.serve(0.0)
    assert 1000 < surface.answer_bytes() < 1 << 14


def test_a_key_keeps_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a key that is asked for only now and then, or that the daemon gives away."""
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    with closing(Surface(KEY)) as surface:
        for part in ("", "/", "/another-key-", f"/{KEY[:-1]}", f"/{KEY}x", f"//{KEY}", "/\xe9", f"/{KEY.upper()}"):
            for rest in ("/status", "/panic", "/play/gate", "/dance"):
                surface.send(f"/sideman{part}{rest}", 1.0)
        surface.send(f"/sideman/panic/{KEY}", 1)
        surface.send(f"/{KEY}/sideman/panic", 1)
        assert not surface.scene.commands
        assert surface.answer_bytes() == 0
        surface.send(f"/sideman/{KEY}/panic")
        surface.send(f"/sideman/{KEY}/play/gate", 0.5)
        assert len(surface.scene.commands) == 2
        surface.socket.settimeout(TIMEOUT_S)
        surface.send(f"/sideman/{KEY}/status")
        address, (name, _) = surface.reply()
        assert (address, name) == ("/sideman/reply", "status")


def test_the_key_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: a key in the log, in the status, in an error, in a take or in the saved state."""
    scene = control_scene(control__osc_key=KEY)
    assert scene.api.settings.control.osc_key == KEY
    shown = [scene.ask("get", key="control.osc_key"), scene.ask("get"), scene.ask("status")]
    shown.append(settings_line([("control.osc_key", KEY)]))
    shown.append(setting_to_json("control.osc_key", KEY))
    for value in (KEY, KEY + "!", [KEY], {KEY: KEY}):
        with pytest.raises(SidemanError) as refusal:
            scene.ask("set", key="control.osc_key", value=value)
        shown.append(str(refusal.value))
    for wrong in (KEY + "!", KEY[:11], f"x {KEY}", [KEY]):
        with pytest.raises(ConfigError) as problem:
            resolve_settings([{"control.osc_key": WrittenValue(wrong, "test")}])
        shown.append(str(problem.value))
    assert KEY[:11] not in repr(shown) + caplog.text


def test_without_a_key_only_this_machine_is_answered(surface: Surface, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a daemon that sends what a forger wants to the machine whose address was forged."""
    answered = list[object]()
    monkeypatch.setattr(surface.osc, "_socket", SimpleNamespace(sendto=lambda _data, to: answered.append(to[0])))
    senders = ["192.0.2.1", "::1", "fe80::1%eth0", "::ffff:192.0.2.1", "::ffff:127.0.0.1", "127.9.9.9"]
    for sender in senders:
        surface.osc._handle_message("/sideman/status", (), (sender, 9000))
    assert answered == ["::1", "::ffff:127.0.0.1", "127.9.9.9"]


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
