# SPDX-License-Identifier: Apache-2.0
"""What systemd is told, as systemd would read it from its socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sideman.service.systemd import SystemdNotifier


@contextmanager
def _manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.setblocking(False)
        yield manager


def test_all_it_says(tmp_path: Path) -> None:
    """Systemd would not know that sideman plays, lives, or is ending, and would kill or restart it."""
    address = str(tmp_path / "notify")
    with _manager(address) as manager:
        notifier = SystemdNotifier({"NOTIFY_SOCKET": address})
        notifier.ready("playing")
        notifier.status("two\nlines")
        notifier.notify_watchdog()
        notifier.stopping()
        told = [manager.recv(4096).decode() for _ in range(4)]
    assert told == ["READY=1\nSTATUS=playing", "STATUS=two lines", "WATCHDOG=1", "STOPPING=1\nSTATUS=stopping"]


@pytest.mark.skipif(not Path("/proc/sys/kernel").exists(), reason="abstract sockets are Linux's")
def test_abstract_socket() -> None:
    """Systemd's own address is of this kind in containers: sideman would never seem ready there."""
    name = f"sideman-test-{os.getpid()}"
    with _manager(f"\0{name}") as manager:
        SystemdNotifier({"NOTIFY_SOCKET": f"@{name}"}).ready("playing")
        assert manager.recv(4096).startswith(b"READY=1\n")


def test_silent_outside_systemd() -> None:
    """Sideman could not be run by hand."""
    notifier = SystemdNotifier({})
    notifier.ready("playing")
    assert notifier.watchdog_interval_s is None


def test_manager_that_is_gone(tmp_path: Path) -> None:
    """The music would stop because nobody listens to the status."""
    SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).notify_watchdog()


def test_busy_manager_does_not_hold_the_music(tmp_path: Path) -> None:
    """A service manager that does not read would make sideman wait for it."""
    address = str(tmp_path / "notify")
    with _manager(address):
        notifier = SystemdNotifier({"NOTIFY_SOCKET": address})
        for _ in range(2000):
            notifier.notify_watchdog()


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "10000000"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], interval: float | None) -> None:
    """Sideman would be killed for not answering in time, or answer for another process."""
    assert SystemdNotifier({"NOTIFY_SOCKET": "@nobody", **environ}).watchdog_interval_s == interval
