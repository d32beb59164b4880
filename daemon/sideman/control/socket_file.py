# SPDX-License-Identifier: Apache-2.0
"""The file of the control socket: where the daemon makes it and other programs look for it, and how it is made."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from sideman.config.resources import expand_user
from sideman.core.errors import Unavailable
from sideman.files import state_folder

NO_SOCKET = "none"
DEFAULT_CLIENT = "sideman"
_SERVICE_FOLDER = Path("/run/sideman")  # where the systemd service has its socket
_BACKLOG = 64  # clients that may wait to be accepted


def socket_folder() -> Path:
    """Return the folder for the socket: the service manager's, else the login session's, else the state folder."""
    for variable, below in (("RUNTIME_DIRECTORY", ""), ("XDG_RUNTIME_DIR", "sideman")):
        folder = Path(os.environ.get(variable, "").split(":")[0] or ".", below)
        if folder.is_absolute():
            return folder
    return state_folder()


def socket_file_name(client: str) -> str:
    """Return the socket's file name for a daemon whose midi.client is `client`, so that several can run."""
    plain = re.sub(r"[^\w.+-]", "_", client)
    return "control.sock" if client == DEFAULT_CLIENT else f"control-{plain}.sock"


def socket_path(wanted: str | None, client: str) -> Path | None:
    """Return the path for a control.socket of `wanted` (None: auto) and a midi.client of `client`; None: no socket."""
    if wanted == NO_SOCKET:
        return None
    return expand_user(wanted) if wanted is not None else socket_folder() / socket_file_name(client)


def candidate_socket_paths(client: str) -> Iterator[Path]:
    """Return the default paths for a daemon called `client`: those of this user, then that of the service."""
    paths = [folder / socket_file_name(client) for folder in (socket_folder(), state_folder(), _SERVICE_FOLDER)]
    yield from dict.fromkeys(paths)


class UnixListener:
    """A listening Unix socket at `path`, open to its owner only. It replaces a socket that a dead process has left.

    Raises Unavailable while another process listens there, and OSError if the socket cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _folder_lock(path.parent):
            _remove_stale_socket(path)
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            mask = os.umask(0o177)  # so that the file has the mode 0600 from the beginning
            try:
                self.socket.bind(os.fspath(path))
                self.socket.listen(_BACKLOG)
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
    except (FileNotFoundError, ConnectionRefusedError):
        path.unlink(missing_ok=True)
        return
    except BlockingIOError:
        pass  # a daemon listens, but too many clients wait to be accepted
    hint = "give this one a name of its own (--set midi.client=NAME), or a control.socket"
    raise Unavailable(f"control.socket: {path}: another sideman listens there; {hint}")
