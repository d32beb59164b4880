# SPDX-License-Identifier: Apache-2.0
"""The notifications, as systemd reads them from its socket."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sideman.core.errors import NotPermitted
from sideman.service import systemd
from sideman.service.systemd import SystemdNotifier, check_network
from support.fakes import settings


@contextmanager
def _manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.setblocking(False)
        yield manager


def test_all_notifications(tmp_path: Path) -> None:
    """Guards against: systemd kills or restarts a daemon that works."""
    address = str(tmp_path / "notify")
    with _manager(address) as manager:
        notifier = SystemdNotifier({"NOTIFY_SOCKET": address})
        notifier.ready("playing")
        notifier.status("two\nlines\x1b[2J\u202e\u2028READY=0")
        notifier.notify_watchdog()
        notifier.stopping()
        printed = [manager.recv(4096).decode() for _ in range(4)]
    status = r"STATUS=two lines\x1b[2J\u202e READY=0"
    assert printed == [
        "READY=1\nSTATUS=playing",
        status,
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=stopping",
    ]


@pytest.mark.skipif(not Path("/proc/sys/kernel").exists(), reason="abstract sockets are Linux's")
def test_abstract_socket() -> None:
    """Guards against: the daemon never seems ready in a container, where the address is abstract."""
    name = f"sideman-test-{os.getpid()}"
    with _manager(f"\0{name}") as manager:
        SystemdNotifier({"NOTIFY_SOCKET": f"@{name}"}).ready("playing")
        assert manager.recv(4096).startswith(b"READY=1\n")


def test_silent_outside_systemd() -> None:
    """Guards against: sideman that cannot run without systemd."""
    notifier = SystemdNotifier({})
    notifier.ready("playing")
    assert notifier.watchdog_interval_s is None


def test_manager_that_is_gone(tmp_path: Path) -> None:
    """Guards against: the music stops because systemd does not listen."""
    SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "no-socket")}).notify_watchdog()


def test_a_busy_manager_does_not_block_the_music(tmp_path: Path) -> None:
    """Guards against: sideman waits for a busy service manager."""
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
    """Guards against: the watchdog kills sideman, or sideman answers for another process."""
    assert SystemdNotifier({"NOTIFY_SOCKET": "@no-socket", **environ}).watchdog_interval_s == interval


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, None),
        ({"control__osc": 9000}, "control.osc: .*osc.conf"),
        ({"tempo__source": "link"}, "tempo.source: link: .*link.conf"),
        ({"control__osc": 9000, "tempo__source": "link"}, "control.osc, tempo.source: link: .*osc.conf and link.conf"),
    ],
)
def test_without_a_network_it_says_who_needs_it(
    keys: dict[str, object], message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: a service that is asked for OSC or Link, has no network, and plays where no message arrives."""
    made = settings(**keys)
    check_network(made)

    def refused(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refused)
    if message is None:
        check_network(made)
    else:
        with pytest.raises(NotPermitted, match=message):
            check_network(made)


@pytest.mark.parametrize(("interfaces", "is_said"), [(["lo"], True), (["lo", "eth0"], False), ([], False)])
def test_a_network_that_leads_nowhere_is_said(
    interfaces: list[str], is_said: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards against: a unit with half of the lines that OSC needs, which plays and hears no message."""
    monkeypatch.setattr(systemd, "_interfaces", lambda: interfaces)
    check_network(settings(control__osc=9000), {"NOTIFY_SOCKET": "/run/systemd/notify"})
    assert ("osc.conf" in caplog.text) is is_said
    caplog.clear()
    check_network(settings(control__osc=9000), {})
    check_network(settings(), {"NOTIFY_SOCKET": "/run/systemd/notify"})
    assert not caplog.text
