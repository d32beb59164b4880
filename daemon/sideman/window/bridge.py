# SPDX-License-Identifier: Apache-2.0
"""Passes lines between a page and the daemon: one WebSocket, one connection to the control socket, both as they are.

The page speaks the control protocol itself. When the daemon ends, the WebSocket is closed at once, with a code that
says so, and the page falls silent. A page that does not read is not waited for: the daemon drops a client that leaves
too much unread, and the page connects again when it wakes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

DAEMON_ENDED, NO_DAEMON, WRONG_TOKEN, OTHER_USER = 4001, 4002, 4003, 4004
"""The codes with which we close a WebSocket; `connection.js` has the same."""
_READ_BYTES = 1 << 16


async def open_daemon(paths: Iterable[Path]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first daemon that listens at one of `paths`. Raises OSError with the last reason."""
    reason = OSError("no control socket was named")
    for path in paths:
        try:
            return await asyncio.open_unix_connection(path, limit=_READ_BYTES)
        except OSError as error:
            reason = error
    raise reason


async def bridge(page: ServerConnection, paths: Callable[[], Iterable[Path]]) -> None:
    """Pass lines in both ways until one side ends."""
    try:
        reader, writer = await open_daemon(paths())
    except OSError:
        await page.close(NO_DAEMON, "no sideman plays")
        return
    ways = [asyncio.ensure_future(_to_page(reader, page)), asyncio.ensure_future(_to_daemon(page, writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        await page.close(DAEMON_ENDED, "sideman has ended")
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.close()


async def _to_page(reader: asyncio.StreamReader, page: ServerConnection) -> None:
    """Send what comes, whole lines of it in one message."""
    rest = b""
    with contextlib.suppress(ConnectionClosed, OSError):
        while data := await reader.read(_READ_BYTES):
            lines, end, rest = (rest + data).rpartition(b"\n")
            if end:
                await page.send(lines, text=True)


async def _to_daemon(page: ServerConnection, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionClosed, OSError):
        async for message in page:
            if isinstance(message, str):
                writer.write(message.replace("\n", " ").encode() + b"\n")
                await writer.drain()
