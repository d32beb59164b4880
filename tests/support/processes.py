# SPDX-License-Identifier: Apache-2.0
"""The program as a user starts it: a process of its own, with an untrained bundle."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sideman_models.network.bundle import save_bundle
from support.fakes import modern_bundle

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0  # seconds: against hanging only


_HELD = """
import os, signal, sys
import sideman.commands.run, sideman.service.service
os.kill(os.getpid(), signal.SIGSTOP)
from sideman.cli import main
sys.exit(main())
"""
"""What `python -m sideman` does, with a stop after the imports, which are most of a start."""
OWN_NETWORK = ("unshare", "--map-root-user", "--net", "--kill-child")
"""Runs a command in a network namespace of its own, which has only a loopback interface that is down."""


@cache
def can_unshare_network() -> bool:
    """Whether this machine lets us make a network namespace."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run([*OWN_NETWORK, "ip", "link"], capture_output=True, check=False).returncode == 0


def write_bundle(folder: Path) -> Path:
    """A bundle on disk, in `folder`."""
    path = folder / "untrained"
    if not path.exists():
        save_bundle(modern_bundle(), path)
    return path


def daemon_environment(**more: str) -> dict[str, str]:
    """Our environment, in which a process finds the packages of this checkout."""
    paths = [str(ROOT / folder) for folder in ("daemon", "models", "tests")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


def run_sideman(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "sideman", *arguments]
    return subprocess.run(
        command, env=daemon_environment(**(env or {})), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


class DaemonProcess:
    """A running daemon; its log is read while it is written. One that is `held` does nothing before `release`."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], held: bool = False) -> None:
        command = [sys.executable, *(("-c", _HELD) if held else ("-m", "sideman")), "run", *arguments]
        self.process = subprocess.Popen(command, env=daemon_environment(**env), stderr=subprocess.PIPE, text=True)
        self.log: list[str] = []
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._grown:
                self.log.append(line.rstrip("\n"))
                self._grown.notify_all()

    def release(self) -> None:
        """Let it go on, once it has loaded what it needs."""
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self.process.send_signal(signal.SIGCONT)

    def wait_for(self, word: str, times: int = 1) -> None:
        """Wait until `times` lines of the log contain `word`."""
        with self._grown:
            found = self._grown.wait_for(lambda: sum(word in line for line in self.log) >= times, TIMEOUT_S)
        assert found, f"{word!r} is not in the log: {self.log}"

    def stop(self, number: int | None = None) -> int:
        """Send the signal of this number, if any; returns the exit status."""
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return status

    def close(self) -> None:
        """Kill it if it still runs, and read its log to the end."""
        assert self.process.stderr is not None
        self.process.kill()
        self.process.wait()
        self._reader.join(TIMEOUT_S)
        self.process.stderr.close()


@contextmanager
def running_daemon(folder: Path, *settings: str, **env: str) -> Iterator[DaemonProcess]:
    """A daemon with `settings` (KEY=VALUE), killed at the end if it still runs; it has no socket by default."""
    with contextlib.closing(DaemonProcess(_arguments(folder, settings), env)) as daemon:
        yield daemon


@contextmanager
def held_daemon(folder: Path, *settings: str) -> Iterator[DaemonProcess]:
    """A daemon as from `running_daemon`, which does nothing before its `release`."""
    with contextlib.closing(DaemonProcess(_arguments(folder, settings), {}, held=True)) as daemon:
        yield daemon


def _arguments(folder: Path, settings: Sequence[str]) -> list[str]:
    given = [f"model.bundle={write_bundle(folder)}", "play.seed=1", "control.socket=none", *settings]
    return [word for setting in given for word in ("--set", setting)]
