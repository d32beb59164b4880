# SPDX-License-Identifier: Apache-2.0
"""The page's server as a process beside the daemon: `sideman run --window`.

The process ends when its standard input does. So it never outlives us, even after a kill -9.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

from sideman.core.errors import Unavailable

EXIT_TIMEOUT_S = 0.3
"""How long our end waits for it. By then it knows from the control socket that we end, and so do the pages."""


def check_installed() -> None:
    """Raises Unavailable, with what to install, if the libraries of the page are missing."""
    if importlib.util.find_spec("websockets") is None:
        how = "pip install 'sideman[window]'; in a clone: .venv/bin/pip install -e '.[window]'"
        raise Unavailable(f"window: the page needs websockets: {how}")


class WindowProcess:
    """A `sideman window` for the daemon whose control socket is at `path`, until `close`. It prints its address."""

    def __init__(self, path: Path) -> None:
        check_installed()
        command = [sys.executable, "-m", "sideman", "window", "--until-stdin-ends", "--socket", str(path)]
        # It runs in its own session, so that Ctrl-C reaches only us.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - ourselves

    def close(self) -> None:
        """End it."""
        cast("IO[bytes]", self._process.stdin).close()
        try:
            self._process.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
