# SPDX-License-Identifier: Apache-2.0
"""`sideman ctl` with a real daemon that it finds, controls, watches and floods. No ports are needed."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sideman import cli
from sideman.control.client import ControlClient, RequestRefused
from sideman.control.hub import Endpoints, open_endpoints
from sideman.control.requests import REQUESTS
from sideman.control.socket_file import candidate_socket_paths, socket_file_name, socket_folder, socket_path
from sideman.core.errors import Unavailable
from support.control import SocketClient
from support.fakes import settings
from support.processes import TIMEOUT_S, DaemonProcess, daemon_environment, running_daemon

QUIET = ("midi.output=none", "midi.input=none", "tempo.bpm=240")
Said = pytest.CaptureFixture[str]


@contextmanager
def playing(folder: Path, *given: str, **env: str) -> Iterator[tuple[DaemonProcess, Path]]:
    """A daemon that plays, and its socket."""
    path = folder / "c.sock"
    with running_daemon(folder, *QUIET, f"control.socket={path}", *given, **env) as daemon:
        daemon.wait_for("ready")
        yield daemon, path


@pytest.mark.subprocess
def test_a_daemon_answers_and_is_controlled(tmp_path: Path, capsys: Said) -> None:
    """Guards against: control that works only in unit tests."""
    with playing(tmp_path) as (daemon, path):

        def ctl(*words: str) -> str:
            assert cli.main(["ctl", "--socket", str(path), *words]) == 0, capsys.readouterr().err
            return capsys.readouterr().out

        def until(**wanted: object) -> None:
            statuses = (json.loads(ctl("status", "--json")) for _ in range(10_000))
            assert any(wanted.items() <= status.items() for status in statuses)

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "mode     solo, " in ctl("status")
        assert json.loads(ctl("status", "--json"))["bpm"] == 240
        assert ctl("set", "play.temperature", "0.5") == "play.temperature is 0.5\n"
        assert ctl("set", "play.range=C4-C5") == "play.range is C4-C5\n"
        daemon.wait_for("play.temperature is 0.5")
        assert ctl("get", "play.temperature").startswith("play.temperature is 0.5\n")
        assert "play.range: C4-C5\n" in ctl("get")
        assert json.loads(ctl("get", "play.range", "--json"))["value"] == "C4-C5"
        assert ctl("set", "chart.transpose", "-2") == "chart.transpose is -2\n"
        assert ctl("mode", "off", "--now") == "mode off\n"
        assert ctl("mute", "on") == "mute on\n"
        assert "play.gate is" in ctl("preset", "bebop")
        assert "play.temperature is 1.0" in ctl("reload")
        assert ctl("panic") == "every note is silenced; the music goes on\n"
        assert ctl("tap") == "the tempo is 240 bpm; tap again on the next beat\n"
        assert ctl("stop").startswith("stops in bar ")
        until(rolling=False)
        assert ctl("stop").endswith("start begins at the top\n")
        until(rolling=False)
        assert ctl("jump", "3") == "bar 3 from the next bar line on\n"
        until(start_bar=3)
        assert ctl("start") == "starts the chart in bar 3, at 240 bpm\n"
        assert ctl("loop", "2") == "practice.loop is 2\n"
        until(start_bar=2)
        assert ctl("stop").endswith("start begins in bar 2\n")
        until(rolling=False)
        assert ctl("loop", "off") == "practice.loop is null\n"
        until(start_bar=1)
        assert ctl("slower") == "slower than 240 bpm from the next start on\n"
        until(bpm=216.0)
        assert ctl("faster") == "faster than 216 bpm from the next start on\n"
        until(bpm=240.0)
        assert ctl("start") == "starts the chart from the top, at 240 bpm\n"
        until(rolling=True)
        assert ctl("slower") == "slower than 240 bpm from the next bar line on\n"
        assert ctl("next") == "no song follows: chart.set names the songs of a set\n"
        assert "last phrase" in ctl("again")
        assert ctl("stop", "--json") == "null\n"
        ctl("set", "log.level", "error")
        daemon.wait_for("log.level is error")
        assert daemon.stop(signal.SIGTERM) == 0
    assert not path.exists()
    assert cli.main(["ctl", "--socket", str(path), "status"]) == 69
    assert f"no sideman answers; looked at {path}" in capsys.readouterr().err


@pytest.mark.subprocess
def test_a_refused_request_is_an_error(tmp_path: Path, capsys: Said) -> None:
    """Guards against: a script that does not notice a refused setting."""
    with playing(tmp_path) as (_, path):
        for words, status, why in (
            (("set", "play.temperature", "9"), 65, "allowed is a number from 0 to 5"),
            (("set", "midi.channel", "3"), 65, "cannot be changed while it plays"),
            (("set", "chart.changes", "| C | H |"), 65, "bar 2"),
            (("set", "play.gate"), 2, "write KEY VALUE"),
            (("dance",), 2, "dance: choose from status, get"),
        ):
            assert cli.main(["ctl", "--socket", str(path), *words]) == status, words
            assert why in capsys.readouterr().err


@pytest.mark.subprocess
def test_a_chart_path_is_relative_to_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    """Guards against: a relative chart path that the daemon resolves in its own folder."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.chart").write_text("title: Mine\n| Gm7 |\n")
    monkeypatch.chdir(tmp_path / "here")
    with playing(tmp_path) as (_, path):
        assert cli.main(["ctl", "--socket", str(path), "set", "chart.file", "mine.chart"]) == 0
        assert str(tmp_path / "here" / "mine.chart") in capsys.readouterr().out


@pytest.mark.subprocess
def test_watching_ends_with_the_daemon_or_the_reader(tmp_path: Path) -> None:
    """Guards against: `ctl watch | head` never ends, or ends with an error."""
    with playing(tmp_path) as (daemon, path):
        command = [sys.executable, "-m", "sideman", "ctl", "watch", "--json", "--socket", str(path)]

        def watcher() -> subprocess.Popen[str]:
            return subprocess.Popen(
                command, env=daemon_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )

        with watcher() as first, watcher() as second, watcher() as third:
            kinds: dict[int, set[str]] = {}
            for number, each in enumerate((first, second, third)):
                assert each.stdout is not None
                kinds[number] = set()
                while not kinds[number] >= {"chart", "beat", "value", "bar", "status"}:
                    kinds[number].add(json.loads(each.stdout.readline())["event"])
            assert first.stdout is not None
            first.stdout.close()
            assert first.wait(TIMEOUT_S) == 0
            assert first.stderr is not None
            assert first.stderr.read() == ""
            second.send_signal(signal.SIGINT)
            assert second.wait(TIMEOUT_S) in (0, 130)
            assert daemon.stop(signal.SIGTERM) == 0
            assert third.wait(TIMEOUT_S) == 0
            assert third.stdout is not None
            third.stdout.read()


@contextmanager
def answering(folder: Path, said: bytes) -> Iterator[ControlClient]:
    """A client whose server has sent this and closed the connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "o.sock"))
        listener.listen()
        with contextlib.closing(ControlClient(folder / "o.sock")) as caller:
            other, _ = listener.accept()
            with other:
                other.sendall(said)
            yield caller


def test_a_closed_connection_is_no_success(tmp_path: Path) -> None:
    """Guards against: `ctl panic` ends with status 0 although nothing was done."""
    for number, (said, error, why) in enumerate((
        (b'{"v":1,"id":null,"ok":false,"error":"64 others are here already"}\n', RequestRefused, "64 others"),
        (b"", Unavailable, "ended before it answered"),
        (b"HTTP/1.1 400 Bad Request\n", Unavailable, "is not sideman"),
        (b"[]\n", Unavailable, "is not sideman"),
    )):  # fmt: skip
        (tmp_path / str(number)).mkdir()
        with answering(tmp_path / str(number), said) as caller, pytest.raises(error, match=why):
            caller.request("panic")


@contextmanager
def daemon_that_says(folder: Path, *said: object) -> Iterator[tuple[Path, list[str]]]:
    """The socket of a daemon that says this after the requests `watch` and `learn`; and what it was requested then."""
    requested: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "o.sock"))
        listener.listen()

        def serve() -> None:
            other, _ = listener.accept()
            with other, other.makefile("r") as lines:
                requested.append(lines.readline())
                with contextlib.suppress(OSError):  # a client that gives up does not wait for the answers
                    other.sendall(b'{"v":1,"id":1,"ok":true,"result":null}\n')
                requested.append(lines.readline())
                with contextlib.suppress(OSError):
                    other.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in said))
                    other.shutdown(socket.SHUT_WR)
                requested.extend(lines)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield folder / "o.sock", requested
        thread.join(TIMEOUT_S)


MOVE = {"v": 1, "id": None, "ok": True, "result": {"learn": "play.gate"}}
LEARNED = {"event": "learned", "binding": "midi.cc.74", "target": "play.gate relative", "file": "", "problem": ""}


@pytest.mark.parametrize(
    ("said", "status", "out"),
    [
        ([{"event": "doing", "doing": "idle"}, MOVE, {"event": "new"}, LEARNED], 0, "midi.cc.74: play.gate relative\n"),
        ([MOVE, {**LEARNED, "file": "/my.yaml"}], 0, "midi.cc.74: play.gate relative; written to /my.yaml\n"),
        ([MOVE, {**LEARNED, "problem": "no room"}], 65, "not written: no room"),
        ([MOVE, {**LEARNED, "target": "play.rate"}], 65, "another request came in between: midi.cc.74: play.rate"),
        ([LEARNED], 69, "the daemon ended before a controller was moved"),
        ([{"v": 1, "id": None, "ok": False, "error": "learn: no such key"}], 65, "learn: no such key"),
    ],
)
def test_learn_answers_in_the_terminal_that_requested_it(
    said: list[object], status: int, out: str, tmp_path: Path, capsys: Said
) -> None:
    """Guards against: a musician who moves knob after knob without knowing whether one was bound."""
    with daemon_that_says(tmp_path, *said) as (path, requested):
        assert cli.main(["ctl", "--socket", str(path), "learn", "play.gate", "--write"]) == status
    shown = capsys.readouterr()
    assert out in shown.out + shown.err
    assert ("move the controller for play.gate; Ctrl-C cancels" in shown.out) == (MOVE in said)
    assert json.loads(requested[1]) == {"do": "learn", "key": "play.gate", "write": True}


def test_ctrl_c_cancels_learning(tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a knob that is bound long after the musician gave up."""

    def interrupted(_client: ControlClient) -> Iterator[str]:
        yield json.dumps(MOVE)
        raise KeyboardInterrupt

    monkeypatch.setattr(ControlClient, "lines", interrupted)
    with daemon_that_says(tmp_path) as (path, requested):
        assert cli.main(["ctl", "--socket", str(path), "learn", "play.gate"]) == 130
    assert json.loads(requested[2]) == {"do": "learn", "cancel": True}
    assert "move the controller" in capsys.readouterr().out


def test_a_view_can_be_left_while_the_daemon_is_frozen(tmp_path: Path) -> None:
    """Guards against: `q` does not leave the view while the daemon is frozen."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "o.sock"))
        listener.listen()
        caller, first = ControlClient(tmp_path / "o.sock"), threading.Event()

        def read() -> None:
            for _ in caller.lines():
                first.set()

        def press_many_keys() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller.send(REQUESTS["tap"]())

        other, _ = listener.accept()
        with other:
            reads, presses, leaves = (
                threading.Thread(target=each, daemon=True) for each in (read, press_many_keys, caller.close)
            )
            reads.start()
            other.sendall(b"a line\n")
            assert first.wait(TIMEOUT_S)
            for thread in (presses, leaves):
                thread.start()
                thread.join(TIMEOUT_S / 10)
                assert not thread.is_alive()
            reads.join(TIMEOUT_S / 10)
            assert not reads.is_alive()


@pytest.mark.subprocess
def test_a_request_loads_little(tmp_path: Path) -> None:
    """Guards against: a key that is bound to `ctl panic` acts half a second late."""
    with playing(tmp_path) as (_, path):
        code = (
            "import sys; from sideman.cli import main;"
            f"assert main(['ctl', '--socket', {str(path)!r}, 'panic']) == 0;"
            "print({'numpy', 'yaml', 'rich', 'rtmidi', 'sideman.core.settings.schema'} & {*sys.modules})"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=daemon_environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    assert done.stdout.splitlines()[1:] == ["set()"]


@pytest.mark.subprocess
def test_the_socket_is_found(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Said) -> None:
    """Guards against: users have to name the socket."""
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    config = home / ".config" / "sideman" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("midi:\n  client: alto\n")
    with running_daemon(tmp_path, *QUIET, "control.socket=auto") as daemon:
        daemon.wait_for("ready")
        assert stat.S_IMODE((run / "sideman").stat().st_mode) == 0o700
        for words in ([], ["--name", "alto"]):  # by the configuration, by name
            assert cli.main(["ctl", *words, "status"]) == 0
            assert "'alto'" in capsys.readouterr().out
        assert cli.main(["ctl", "--name", "tenor", "status"]) == 69
        printed = capsys.readouterr().err
        assert str(run / "sideman" / "control-tenor.sock") in printed
        assert "/run/sideman/control-tenor.sock" in printed
        again = [sys.executable, "-m", "sideman", "run", "--set", "midi.output=none", "--set", "midi.input=none"]
        second = subprocess.run(
            again, env=daemon_environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert second.returncode == 69
        assert "another sideman listens there" in second.stderr
        with running_daemon(tmp_path, *QUIET, "control.socket=auto", "midi.client=tenor") as other:
            other.wait_for("ready")
            assert cli.main(["ctl", "--name", "tenor", "status"]) == 0


@pytest.mark.subprocess
def test_the_socket_of_a_killed_daemon_is_no_obstacle(tmp_path: Path, capsys: Said) -> None:
    """Guards against: the socket of a killed daemon blocks a new start, or confuses `ctl`."""
    with playing(tmp_path) as (daemon, path):
        daemon.stop(signal.SIGKILL)
    assert path.exists()
    assert cli.main(["ctl", "--socket", str(path), "status"]) == 69
    assert "no sideman answers" in capsys.readouterr().err
    with playing(tmp_path):
        assert cli.main(["ctl", "--socket", str(path), "status"]) == 0


def test_without_a_socket_it_plays_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: a full or read-only disk, or a wrong path, ends the music."""
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "no" / "where", tmp_path / ("x" * 200)):
        with open_endpoints(settings(control__socket=str(path))) as opened:
            assert opened == Endpoints()
        assert f"control.socket: {path}: " in caplog.messages[-1]
        assert caplog.messages[-1].endswith("playing without")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.subprocess
def test_faulty_clients_delay_no_note_and_no_signal(tmp_path: Path) -> None:
    """Guards against: a faulty client that makes notes late."""
    tune = ("chart.changes=| Dm7 | G7 |", "chart.choruses=2", "tempo.bpm=400", "play.late_ms=1000")
    with playing(tmp_path, *tune) as (alone, _):
        assert alone.stop() == 0
    with playing(tmp_path, *tune) as (crowded, path):
        ended = threading.Event()
        threads = [threading.Thread(target=_pester, args=(path, data, ended)) for data in PESTS]
        for thread in threads:
            thread.start()
        sleepers = [SocketClient(path) for _ in range(20)]
        for sleeper in sleepers:
            sleeper.send_request(do="watch")
        gentle = socket.socket(socket.AF_UNIX)
        gentle.settimeout(TIMEOUT_S)
        gentle.connect(str(path))
        gentle.sendall(b'{"do":"status"}\n')
        assert json.loads(gentle.makefile().readline())["ok"]
        gentle.close()
        assert crowded.stop() == 0
        ended.set()
        for thread in threads:
            thread.join(TIMEOUT_S)

    def bars(daemon: DaemonProcess) -> list[str]:
        return [line.partition(" ")[2] for line in daemon.log if " bar " in line]

    assert bars(alone) == bars(crowded)
    assert len(bars(alone)) == 4


PESTS = (
    b'{"do":"status"}\n' * 1000,
    b"\x00\xff\n" * 1000,
    b"x" * 1_000_000,
    b'{"do":"get"}\n' * 1000,
    b"[" * 50_000 + b"\n",
)


def _pester(path: Path, data: bytes, ended: threading.Event) -> None:
    """Send requests without reading the answers, and connect again, while the daemon runs."""
    while not ended.is_set():
        try:
            with socket.socket(socket.AF_UNIX) as way:
                way.settimeout(1.0)
                way.connect(str(path))
                while not ended.is_set():
                    way.sendall(data)
        except OSError:
            continue


def test_the_folder_of_the_socket_is_that_of_the_design(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Guards against: the service's socket is in a folder where clients do not look."""
    assert socket_folder() == home / ".local" / "state" / "sideman"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")
    assert socket_folder() == Path("/run/user/1/sideman")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/sideman:/run/other")
    assert socket_folder() == Path("/run/sideman")
    assert socket_path(None, "sideman") == Path("/run/sideman/control.sock")
    assert socket_path("none", "sideman") is None
    assert socket_path("~/x", "sideman") == home / "x"
    assert socket_file_name("a/b c") == "control-a_b_c.sock"
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    folders = [path.parent for path in candidate_socket_paths("sideman")]
    assert folders == [Path("/run/user/1/sideman"), home / ".local" / "state" / "sideman", Path("/run/sideman")]
