# SPDX-License-Identifier: Apache-2.0
"""Saves the state of a performance in one small file, so that the daemon continues with it after a restart."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from sideman_models.files import read_plain_file, write_whole

_log = logging.getLogger(__name__)
STATE_VERSION = 1
_MAX_BYTES = 1 << 24


def state_folder() -> Path:
    """Return the folder of the saved state: of the systemd unit, else of the user, else of the system."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    base = Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"))  # noqa: PTH111 - never raises
    return base / "sideman" if base.is_absolute() else Path("/var/lib/sideman")


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write `state` to `path`, completely or not at all. A failure is only logged."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"version": STATE_VERSION, **state}).encode())
    except OSError as error:
        _log.warning("%s: the state could not be saved: %s", path, error.strerror)


def load_state(path: Path) -> dict[str, Any] | None:
    """Return the state saved at `path`; None if there is none, or if it cannot be read, which is logged."""
    try:
        state = json.loads(read_plain_file(path, _MAX_BYTES))
        if isinstance(state, dict) and state.get("version") == STATE_VERSION:
            return state
        _log.warning("%s: not a state of this version; starting afresh", path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("%s: the state cannot be read (%s); starting afresh", path, error)
    return None
