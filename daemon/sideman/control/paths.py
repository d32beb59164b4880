# SPDX-License-Identifier: Apache-2.0
"""Where the control socket is: one rule for the daemon that makes it and for whoever looks for it."""

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
"""Where the service has its socket, seen by those who are not the service."""


def socket_folder() -> Path:
    """The folder of our socket: the service manager's, else the session's, else that of the state."""
    for variable, below in (("RUNTIME_DIRECTORY", ""), ("XDG_RUNTIME_DIR", "sideman")):
        folder = Path(os.environ.get(variable, "").split(":")[0] or ".", below)
        if folder.is_absolute():
            return folder
    return state_folder()


def socket_file_name(client: str) -> str:
    """The socket's file name for a daemon whose midi.client is `client`, so that several can run."""
    plain = re.sub(r"[^\w.+-]", "_", client)
    return "control.sock" if client == DEFAULT_CLIENT else f"control-{plain}.sock"


def socket_path(wanted: str | None, client: str) -> Path | None:
    """The socket of a daemon with this control.socket (None: the usual place) and midi.client; None: it has none."""
    if wanted == NO_SOCKET:
        return None
    return expand_user(wanted) if wanted is not None else socket_folder() / socket_file_name(client)


def candidate_socket_paths(client: str) -> Iterator[Path]:
    """Where a daemon of that name may have its socket if nothing is said: ours, then the service's."""
    paths = [folder / socket_file_name(client) for folder in (socket_folder(), state_folder(), SERVICE_SOCKET_FOLDER)]
    yield from dict.fromkeys(paths)
