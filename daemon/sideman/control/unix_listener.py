# SPDX-License-Identifier: Apache-2.0
"""Makes the control socket: a file that only its owner can use, and that belongs to one daemon at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from sideman.core.errors import Unavailable

BACKLOG = 64
"""Clients that may wait to be accepted."""

_MODE = 0o600


class UnixListener:
    """A listening Unix socket at `path`, open to its owner only. It replaces a socket that a dead process has left.

    Raises Unavailable while another process listens there, and OSError if the socket cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _folder_lock(path.parent):
            _remove_stale_socket(path)
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            mask = os.umask(0o777 & ~_MODE)  # so that the file has its mode from the beginning
            try:
                self.socket.bind(os.fspath(path))
                self.socket.listen(BACKLOG)
                self.socket.setblocking(False)
            except BaseException:
                self.socket.close()
                raise
            finally:
                os.umask(mask)
            self._own_file = self._current_file()

    def close(self) -> None:
        """Stop listening, and remove the file unless another daemon has replaced it."""
        with contextlib.suppress(OSError):
            if self._current_file() == self._own_file:
                self.path.unlink()
        self.socket.close()

    def _current_file(self) -> tuple[int, int]:
        status = self.path.lstat()
        return status.st_ino, status.st_mtime_ns  # the inode alone does not do: the next file may get the same


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Hold a lock on `folder`: of two daemons that start at once, one could remove the socket of the other."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Unavailable(f"control.socket: another sideman starts in {folder} at this very moment") from None
    finally:
        os.close(file)


def _remove_stale_socket(path: Path) -> None:
    """Remove the socket at `path` if no process listens on it."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(17, "the file there is not a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(os.fspath(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
        return
    except BlockingIOError:
        pass  # a daemon listens, but too many clients wait to be accepted
    hint = "give this one a name of its own (--set midi.client=NAME), or a control.socket"
    raise Unavailable(f"control.socket: {path}: another sideman listens there; {hint}")
