# SPDX-License-Identifier: Apache-2.0
"""`sideman window` and `sideman run --window` as processes."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sideman import cli
from support.processes import TIMEOUT_S, daemon_environment, running_daemon, write_bundle

pytest.importorskip("websockets")


@contextmanager
def process(*arguments: str, home: Path) -> Iterator[subprocess.Popen[str]]:
    """A command of sideman, without a screen, ended at the end."""
    env = daemon_environment(XDG_RUNTIME_DIR=str(home), HOME=str(home))
    env.pop("DISPLAY", None)
    env.pop("WAYLAND_DISPLAY", None)
    command = [sys.executable, "-m", "sideman", *arguments]
    running = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def first_line(running: subprocess.Popen[str]) -> str:
    """What it prints first."""
    assert running.stdout is not None
    return running.stdout.readline().strip()


def page_at(address: str) -> str:
    """The page at an address on this machine."""
    with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
        return str(answer.read().decode())


@pytest.mark.subprocess
def test_the_page_says_where_it_is_and_what_sounds(tmp_path: Path) -> None:
    """Guards against: a first minute without an address, or without a word on how to hear it."""
    path = tmp_path / "s"
    with running_daemon(tmp_path, f"control.socket={path}", "midi.output=none", "midi.input=none") as daemon:
        daemon.wait_for("ready")
        with process("window", "--port", "0", "--socket", str(path), home=tmp_path) as window:
            line = first_line(window)
            address = line.split()[1]
            assert line == f"Open {address}  ·  MIDI: none"
            assert "sideman run --sound" in first_line(window)
            assert "<title>sideman</title>" in page_at(address)
            window.send_signal(signal.SIGINT)
            assert window.wait(TIMEOUT_S) == 0


@pytest.mark.subprocess
def test_two_pages_on_one_machine(tmp_path: Path) -> None:
    """Guards against: a second page that does not start because the usual port is taken, or takes another unasked."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with process("window", "--port", port, home=tmp_path) as window:
            assert window.wait(TIMEOUT_S) == 69
            _, errors = window.communicate()
            assert "--port" in errors
            assert len(errors.splitlines()) == 1
    with process("window", home=tmp_path) as one, process("window", home=tmp_path) as other:
        addresses = {first_line(each).split()[1] for each in (one, other)}
        assert len(addresses) == 2
        for address in addresses:
            assert "<title>sideman</title>" in page_at(address)


@pytest.mark.subprocess
def test_the_page_ends_with_the_daemon_that_started_it(tmp_path: Path) -> None:
    """Guards against: a server that stays behind, and keeps the port, when the daemon is killed."""
    settings = [f"model.bundle={write_bundle(tmp_path)}", "midi.output=none", "midi.input=none"]
    options = [word for each in settings for word in ("--set", each)]
    for end, status in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        with process("run", "--window", "--quiet", *options, home=tmp_path) as daemon:
            address = first_line(daemon).split()[1]
            assert "<title>sideman</title>" in page_at(address)
            daemon.send_signal(end)
            assert daemon.wait(TIMEOUT_S) == status
            assert daemon.stdout is not None
            daemon.stdout.read()  # ends when the page's process has closed it, too


def test_what_is_asked_for_and_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a page that was asked for and silently is not there."""
    assert cli.main(["run", "--window", "--set", "control.socket=none", "--set", "midi.output=none"]) == 2
    assert "control.socket is none" in capsys.readouterr().err
    assert cli.main(["window", "--port", "70000"]) == 2
    assert "0 to 65535" in capsys.readouterr().err


@pytest.mark.subprocess
def test_a_phone_gets_a_token_and_a_word_of_warning(tmp_path: Path) -> None:
    """Guards against: a page that is open to the network without a word; an address that a phone cannot open."""
    with process("window", "--port", "0", "--host", "127.0.0.1", home=tmp_path) as window:
        assert "/#" in first_line(window)
        assert window.stdout is not None
        assert "https" in window.stdout.readline() + window.stdout.readline()


@pytest.mark.subprocess
@pytest.mark.skipif(Path("/dev/snd/seq").exists(), reason="this machine has ALSA's sequencer")
def test_without_midi_the_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a newcomer who sees two warnings of a machine without MIDI before the address of the page."""
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "no-such-server")
    with process("run", "--window", "--quiet", "--preset", "band", home=tmp_path) as daemon:
        line = first_line(daemon)
        assert line.startswith("Open http://127.0.0.1:")
        assert "no MIDI here: ALSA's sequencer" in line
        daemon.send_signal(signal.SIGTERM)
        _, errors = daemon.communicate(timeout=TIMEOUT_S)
        assert errors == ""
