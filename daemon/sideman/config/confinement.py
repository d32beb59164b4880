# SPDX-License-Identifier: Apache-2.0
"""A process beside the daemon, and what it gives up of its rights before it looks at data of unknown origin."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess  # loaded only where a process is started

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38

_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


def start_beside(
    program: str, variables: Mapping[str, str] = _NO_VARIABLES
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the Python `program` in a process; the socket, which never blocks, is its standard input and output.

    `variables` are added to its environment. Raises OSError.
    """
    import subprocess

    # Modules are looked for where this process has found its own, and not in the folder that it runs in.
    options = ["-B", "-P", "-S", *(["-O"] if sys.flags.optimize else [])]
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, *options, "-c", program],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is for the daemon
            )
        except OSError:
            ours.close()
            raise
    ours.setblocking(False)
    return process, ours


def end_with_the_daemon() -> None:
    """End when the daemon ends, and give up the right to become another user."""
    with contextlib.suppress(AttributeError, OSError):  # not on macOS
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def confine(memory_bytes: int) -> None:
    """Give up the right to write files, and to use more memory."""
    limit_memory(memory_bytes)
    limit(resource.RLIMIT_FSIZE, 0)


def limit_memory(memory_bytes: int) -> None:
    """Give up the right to use more memory, and to leave it in a file after a crash."""
    limit(resource.RLIMIT_AS, memory_bytes)
    limit(resource.RLIMIT_CORE, 0)


def go_last(niceness: int) -> None:
    """Run only when the daemon and others do not, even if the daemon has a real-time priority: it is inherited."""
    with contextlib.suppress(AttributeError, OSError):  # not on macOS; a service's system calls may be filtered
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)


def open_nothing_more() -> None:
    """Give up the right to open files, sockets and pipes, and to start processes and threads.

    Raises OSError if that cannot be done: then nothing of unknown origin is looked at.
    """
    limit(resource.RLIMIT_NPROC, 0)
    limit(resource.RLIMIT_NOFILE, 0)
    if resource.getrlimit(resource.RLIMIT_NOFILE) != (0, 0):
        raise OSError(errno.EPERM, "not read: the system does not let a process give up its right to open files")


def limit(what: int, most: int) -> None:
    """Set a limit of the system; a smaller one that holds already stays."""
    with contextlib.suppress(ValueError, OSError):  # a smaller limit holds already, or macOS does not know it
        resource.setrlimit(what, (most, most))
