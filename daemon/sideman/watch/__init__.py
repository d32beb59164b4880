# SPDX-License-Identifier: Apache-2.0
"""What `sideman ctl watch` shows: a live view on a terminal, plain lines elsewhere.

It knows nothing but the lines of the control socket, and lives in a process of its own, so that it can disturb no note.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable
from typing import TextIO

RequestMessage = dict[str, object]


def watch(lines: Iterable[str], stream: TextIO, *, send: Callable[[RequestMessage], None] | None = None) -> int:
    """Show on `stream` what comes in `lines`, one JSON object each, until they end or the user leaves; the exit status.

    With `send`, which takes a request of the control socket, some keys do something.
    """
    capable = stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    rich = importlib.util.find_spec("rich") is not None
    if capable and rich:
        from sideman.watch.view import run_view  # rich is loaded only where it can be seen

        return run_view(lines, stream, send=send)
    from sideman.watch.plain import write_plain

    if capable:
        stream.write("without rich there are only lines; install sideman[watch] to see more\n")
    return write_plain(lines, stream)
