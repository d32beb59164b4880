# SPDX-License-Identifier: Apache-2.0
"""What `sideman ctl watch` shows: a live view on a terminal, plain lines elsewhere.

It knows nothing but the lines of the control socket, and lives in a process of its own, so that it can disturb no note.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable
from typing import TextIO

Request = dict[str, object]


def watch(lines: Iterable[str], stream: TextIO, *, send: Callable[[Request], None] | None = None) -> int:
    """Show on `stream` what comes in `lines`, one JSON object each, until they end or the user leaves; the exit status.

    With `send`, which takes a request of the control socket, some keys do something.
    """
    if not _draws(stream):
        from sideman.watchview.plain import write

        return write(lines, stream)
    from sideman.watchview.view import run  # rich is loaded only where it can be seen

    return run(lines, stream, send=send)


def _draws(stream: TextIO) -> bool:
    terminal = stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    return terminal and importlib.util.find_spec("rich") is not None
