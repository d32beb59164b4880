# SPDX-License-Identifier: Apache-2.0
"""The view of `sideman ctl watch`: a live picture on a terminal, plain lines elsewhere.

It knows only what comes through the control socket, and it runs in a process of its own, so it cannot delay a note.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable
from typing import TextIO

from sideman.control.requests import Request
from sideman.core.errors import UsageError
from sideman_models.text import terminal_of


def read_no_request(text: str) -> Request:
    """Refuse every request that is typed."""
    raise UsageError(f"{text}: no request can be typed here")


def watch(
    lines: Iterable[str],
    stream: TextIO,
    send: Callable[[Request], None],
    read: Callable[[str], Request] = read_no_request,
) -> int:
    """Show on `stream` what comes in `lines` of the control socket. Return the exit status.

    It ends with the lines, or when the user leaves. `send` sends the request of a key to the daemon, `read` reads one
    that is typed.
    """
    capable = stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    if capable and importlib.util.find_spec("rich") is not None:
        from sideman.watch.view import run_view  # rich takes long to load, so only where it is used

        run_view(lines, terminal_of(stream), send, read)
    else:
        from sideman.watch.plain import write_plain

        if capable:
            stream.write("without rich there are only lines; install sideman[watch] to see more\n")
        write_plain(lines, stream)
    return 0
