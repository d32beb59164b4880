# SPDX-License-Identifier: Apache-2.0
"""Where the control socket is: one rule for the daemon that makes it and for the programs that look for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from sideman.config.resources import expand_user
from sideman.playing.state import state_folder

NO_SOCKET = "none"
DEFAULT_CLIENT = "sideman"
SERVICE_SOCKET_FOLDER = Path("/run/sideman")
"""Where the systemd service has its socket."""


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
    """Return the socket's path for a control.socket of `wanted` (None: auto) and a midi.client of `client`.

    None means that the daemon has no socket.
    """
    if wanted == NO_SOCKET:
        return None
    return expand_user(wanted) if wanted is not None else socket_folder() / socket_file_name(client)


def candidate_socket_paths(client: str) -> Iterator[Path]:
    """Return the default paths for a daemon called `client`: those of this user, then that of the service."""
    paths = [folder / socket_file_name(client) for folder in (socket_folder(), state_folder(), SERVICE_SOCKET_FOLDER)]
    yield from dict.fromkeys(paths)
