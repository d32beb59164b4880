# SPDX-License-Identifier: Apache-2.0
"""Making the control socket: its file belongs to its owner alone, and to one daemon at a time."""

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
"""How many may wait to be let in."""

_MODE = 0o600


class UnixListener:
    """A Unix socket at `path` that listens, open to its owner only; it replaces one that a dead process has left.

    Raises Unavailable while another process listens there, and OSError where it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _folder_lock(path.parent):
            _remove_stale_socket(path)
            self.socket = _listening_socket(path)
            self._own_file = self._current_file()

    def close(self) -> None:
        """Remove it, unless another has taken its place, and listen no more."""
        with contextlib.suppress(OSError):
            if self._current_file() == self._own_file:
                self.path.unlink()
        self.socket.close()

    def _current_file(self) -> tuple[int, int]:
        found = self.path.lstat()
        return found.st_ino, found.st_mtime_ns  # the number alone is given to the next file


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`: of two that start at once, one could remove the socket that the other has made."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Unavailable(f"control.socket: another sideman starts in {folder} at this very moment") from None
    finally:
        os.close(file)


def _remove_stale_socket(path: Path) -> None:
    """Remove a socket at `path` to which nobody listens."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(17, "something that is no socket is there")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(os.fspath(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
        return
    except BlockingIOError:
        pass  # so many wait for an answer that there is no place for us
    hint = "give this one a name of its own (--set midi.client=NAME), or a control.socket"
    raise Unavailable(f"control.socket: {path}: another sideman listens there; {hint}")


def _listening_socket(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o777 & ~_MODE)  # its mode is right from the moment it is there
    try:
        listener.bind(os.fspath(path))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener
