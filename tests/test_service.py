# SPDX-License-Identifier: Apache-2.0
"""The daemon as a process: starting, stopping, signals, systemd's notifications. No ports are needed here."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from processes import LONG, running

NO_PORTS = ("midi.output=none", "midi.input=none")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_good_order(number: signal.Signals, tmp_path: Path) -> None:
    """Without it stopping the service would look like a failure."""
    with running(tmp_path, *NO_PORTS, "tempo.bpm=400") as daemon:
        daemon.until("bar 1")
        assert daemon.end(number) == 0


def test_one_line_says_ready_and_nothing_but_bars_comes_after(tmp_path: Path) -> None:
    """Without it a script could not know when it plays."""
    with running(tmp_path, *NO_PORTS, "tempo.bpm=400") as daemon:
        daemon.until("bar 2")
        daemon.end(signal.SIGTERM)
    lines = [number for number, line in enumerate(daemon.log) if "ready" in line]
    assert len(lines) == 1
    assert all("bar" in line for line in daemon.log[lines[0] + 1 :])


def test_it_ends_by_itself_after_the_choruses(tmp_path: Path) -> None:
    """Without it a tune with an end would never end."""
    with running(tmp_path, *NO_PORTS, "tempo.bpm=400", "chart.changes=| C |", "chart.choruses=2") as daemon:
        assert daemon.end() == 0
    assert sum("bar" in line for line in daemon.log) >= 2


def test_quiet_is_quiet(tmp_path: Path) -> None:
    """Without it a service's journal would fill with bars."""
    settings = (*NO_PORTS, "tempo.bpm=400", "chart.choruses=1", "log.level=warning")
    with running(tmp_path, *settings) as daemon:
        assert daemon.end() == 0
    assert daemon.log == []


def test_panic_plays_on(tmp_path: Path) -> None:
    """Without it silencing a stuck synth would cost the solo."""
    with running(tmp_path, *NO_PORTS, "tempo.bpm=400") as daemon:
        daemon.until("bar 1")
        daemon.process.send_signal(signal.SIGUSR1)
        bars = sum("bar" in line for line in daemon.log)
        daemon.until("bar", bars + 3)
        assert daemon.end(signal.SIGTERM) == 0


def test_systemd_is_told_the_truth(tmp_path: Path) -> None:
    """Without it systemd would believe in a player that is not there, or kill one that plays."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(LONG)
        env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
        with running(tmp_path, *NO_PORTS, **env) as daemon:
            told = manager.recv(4096).decode()
            assert told.startswith("READY=1")
            assert "STATUS=playing; output none" in told
            while "WATCHDOG=1" not in told:
                told = manager.recv(4096).decode()
            daemon.process.send_signal(signal.SIGTERM)
            while "STOPPING=1" not in told:
                told = manager.recv(4096).decode()
            assert daemon.end() == 0


def test_the_state_is_kept_for_the_next_start(tmp_path: Path) -> None:
    """Without it the service would begin anew after every restart of the machine."""
    env = {"STATE_DIRECTORY": str(tmp_path / "state")}
    settings = (*NO_PORTS, "tempo.bpm=400", "play.resume=true", "play.seed=null")
    with running(tmp_path, *settings, **env) as daemon:
        daemon.until("bar 3")
        assert daemon.end(signal.SIGTERM) == 0
    with running(tmp_path, *settings, **env) as daemon:
        daemon.until(" bar ")
        daemon.end(signal.SIGTERM)
    first = next(line for line in daemon.log if " bar " in line)
    assert "bar 1 " not in first
    seeds = [line.partition("seed ")[2] for line in daemon.log if "seed" in line]
    assert seeds


def test_a_stopped_process_takes_up_the_beat_again(tmp_path: Path) -> None:
    """Without it a laptop that was put to sleep would play everything it missed, at once."""
    settings = (*NO_PORTS, "tempo.bpm=400")
    with running(tmp_path, *settings) as daemon:
        daemon.until("bar 1")
        daemon.process.send_signal(signal.SIGSTOP)
        with running(tmp_path, *settings) as meanwhile:
            meanwhile.until(" bar ", 4)
        seen = len(daemon.log)
        daemon.process.send_signal(signal.SIGCONT)
        daemon.until("bar", seen)
        assert daemon.end(signal.SIGTERM) == 0
    bars = [int(line.partition("bar ")[2].split()[0]) for line in daemon.log if " bar " in line]
    assert bars == sorted(set(bars))
    assert bars[-1] - bars[0] >= len(bars)  # the bars it slept through are passed over, not played late
