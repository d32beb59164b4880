# SPDX-License-Identifier: Apache-2.0
"""The process that learns, beside a daemon that is a process itself."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from support.processes import TIMEOUT_S, running_daemon

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.skipif(sys.platform != "linux", reason="the processes of a system are looked up in /proc"),
]
NO_PORTS = ("midi.output=none", "midi.input=none")


def learning_process(parent: int) -> int | None:
    """The process that learns for the daemon `parent`."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            about, command = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(about.rpartition(")")[2].split()[1]) == parent and b"sideman.learning.process" in command:
            return int(folder.name)
    return None


def wait_for_process(parent: int) -> int:
    """The process that learns, as soon as it runs in its limits."""
    ends = time.monotonic() + TIMEOUT_S
    while (found := learning_process(parent)) is None or "Max open files            0" not in limits_of(found):
        assert time.monotonic() < ends
        time.sleep(0.01)
    return found


def limits_of(pid: int) -> str:
    """The limits that the system has for a process."""
    return Path(f"/proc/{pid}/limits").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_daemon(number: signal.Signals, tmp_path: Path) -> None:
    """Guards against: processes that learn although no daemon plays, one more after each crash."""
    with running_daemon(tmp_path, *NO_PORTS, "model.learn=true", STATE_DIRECTORY=str(tmp_path)) as daemon:
        daemon.wait_for("bar 1")
        pid = wait_for_process(daemon.process.pid)
        daemon.stop(number)
    ends = time.monotonic() + TIMEOUT_S
    while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_it_gives_way_and_has_limits(tmp_path: Path) -> None:
    """Guards against: late notes, a full memory or an open door, all because of learning."""
    with running_daemon(tmp_path, *NO_PORTS, "model.learn=true", STATE_DIRECTORY=str(tmp_path)) as daemon:
        daemon.wait_for("bar 1")
        pid = wait_for_process(daemon.process.pid)
        assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
        assert os.sched_getscheduler(pid) == os.SCHED_BATCH
        limits = {line[:26].strip(): line[26:].split()[0] for line in limits_of(pid).splitlines()}
        assert limits["Max address space"] == str(1 << 29)
        assert limits["Max file size"] == limits["Max open files"] == limits["Max processes"] == "0"
        assert daemon.stop(signal.SIGTERM) == 0


def test_without_it_there_is_no_such_process(tmp_path: Path) -> None:
    """Guards against: memory and a processor that are used although nothing is to be learned."""
    with running_daemon(tmp_path, *NO_PORTS, STATE_DIRECTORY=str(tmp_path)) as daemon:
        daemon.wait_for("bar 1")
        assert learning_process(daemon.process.pid) is None
        assert daemon.stop(signal.SIGTERM) == 0
    assert not list(tmp_path.glob("learned-*"))
