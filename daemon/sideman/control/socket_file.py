# SPDX-License-Identifier: Apache-2.0
"""The file of the control socket: where the daemon makes it and other programs look for it, and how it is made."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from sideman.config.resources import config_path, expand_user
from sideman.core.errors import SidemanError, Unavailable
from sideman.files import state_folder
from sideman_models.text import printable
from sideman_models.writing import delete, locked_file

NO_SOCKET = "none"
DEFAULT_CLIENT = "sideman"
_SERVICE_FOLDER = Path("/run/sideman")  # where the systemd service has its socket
_BACKLOG = 64  # clients that may wait to be accepted
_LOCK_TRIES, _LOCK_PAUSE_S = 20, 0.05


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


def daemon_paths(named: str | None, name: str | None) -> Iterator[Path]:
    """Where to look for the daemon: the given socket, else the usual places and the place in the configuration."""
    if named is not None:
        yield expand_user(named)
        return
    usual = list(candidate_socket_paths(name or DEFAULT_CLIENT))
    yield from usual[:-1]
    if (file := config_path(None)) is not None:
        from sideman.config.yaml import read_yaml  # loaded only if the usual places have no daemon

        with contextlib.suppress(SidemanError):
            values = {key: given.value for key, given in read_yaml(file).values.items()}
            wanted, client = values.get("control.socket"), values.get("midi.client")
            known = wanted if isinstance(wanted, str) and wanted not in ("auto", NO_SOCKET) else None
            configured = socket_path(known, name or (client if isinstance(client, str) else DEFAULT_CLIENT))
            if configured is not None and configured not in usual:
                yield configured
    yield usual[-1]


class UnixListener:
    """A listening Unix socket at `path`, open to its owner only. It replaces a socket that a dead process has left.

    Raises Unavailable while another of our processes listens there, and OSError if the socket cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _start_lock(path):
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
                delete(self.path)
        self.socket.close()

    def _current_file(self) -> tuple[int, int]:
        status = self.path.lstat()
        return status.st_ino, status.st_mtime_ns  # the inode alone does not do: the next file may get the same


@contextlib.contextmanager
def _start_lock(path: Path) -> Iterator[None]:
    """Hold the lock of the socket `path`: of two daemons that start at once, one could remove the other's socket.

    The lock is a file that only we may open, so that no other user can keep it. Raises OSError if it stays busy.
    """
    for _ in range(_LOCK_TRIES):
        with locked_file(path.with_name(f".{path.name}.lock")) as is_free:
            if is_free:
                yield
                return
        time.sleep(_LOCK_PAUSE_S)
    raise OSError(errno.EBUSY, "another sideman has been starting there for a while")


def _remove_stale_socket(path: Path) -> None:
    """Remove the socket at `path` if no process listens on it."""
    try:
        status = path.lstat()
        if not stat.S_ISSOCK(status.st_mode):
            raise FileExistsError(errno.EEXIST, "the file there is not a socket")
        if status.st_uid != os.geteuid():
            raise FileExistsError(errno.EEXIST, "the socket there belongs to another user")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(os.fspath(path))
    except (FileNotFoundError, ConnectionRefusedError):
        delete(path)
        return
    except BlockingIOError:
        pass  # a daemon listens, but too many clients wait to be accepted
    hint = "give this one a name of its own (--set midi.client=NAME), or a control.socket"
    raise Unavailable(f"control.socket: {printable(path)}: another sideman listens there; {hint}")
