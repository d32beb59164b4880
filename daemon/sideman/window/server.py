# SPDX-License-Identifier: Apache-2.0
"""Serves the page: its files, and a WebSocket at `/socket` that leads to the daemon.

Only files that lie in `page/` when the server starts are served, by their exact path. Every answer forbids the browser
to run or load anything from elsewhere.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs
from weakref import WeakSet

from msgspec import Struct
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from sideman.window.bridge import OTHER_USER, WRONG_TOKEN, bridge
from sideman.window.gate import Gate, is_other_user

PAGE_FOLDER = Path(__file__).with_name("page")
SOCKET_PATH = "/socket"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".ogg": "audio/ogg",
    ".txt": "text/plain; charset=utf-8",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; media-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # a browser keeps the files, and asks whether they are still the same
}
_MAX_REQUEST_BYTES = 1 << 16  # as of the control socket
CLOSE_S = 0.2
"""How long the end waits for pages: one that does not read, or a connection without a request, may never close."""

# The library logs what strangers send, as it is.
_silent = logging.getLogger(f"{__name__}.connections")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class _PageFile(Struct, frozen=True):
    path: Path
    content_type: str
    tag: str  # changes when the file does


def page_files(folder: Path) -> Mapping[str, _PageFile]:
    """Return the files that are served, by the path in their address."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (kind := _TYPES.get(path.suffix)):
            status = path.stat()
            tag = f'"{status.st_size:x}-{status.st_mtime_ns:x}"'
            files[f"/{path.relative_to(folder).as_posix()}"] = _PageFile(path, kind, tag)
    return files | {"/": files["/index.html"]}


class WindowServer(Struct, frozen=True):
    """Serves pages to whom `gate` lets in. `daemon_paths` returns the places where the daemon's socket may be."""

    gate: Gate
    daemon_paths: Callable[[], Iterable[Path]]
    files: Mapping[str, _PageFile]

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[int]:
        """Serve on `port`, 0 for any that is free. Yields the port. Raises OSError if it is taken."""
        connections = WeakSet[ServerConnection]()

        def connection(*words: Any, **options: Any) -> ServerConnection:  # noqa: ANN401 - the library's own
            made = ServerConnection(*words, **options)
            connections.add(made)
            return made

        server: Server = await serve(
            self._serve_page,
            self.gate.listens_at,
            port,
            process_request=self._process_request,
            compression=None,  # lines are short, and come in time or not at all
            max_size=_MAX_REQUEST_BYTES,
            server_header=None,
            logger=_silent,
            create_connection=cast("type[ServerConnection]", connection),
        )
        try:
            yield next(iter(server.sockets)).getsockname()[1]
        finally:
            server.close()
            try:
                await asyncio.wait_for(server.wait_closed(), CLOSE_S)
            except TimeoutError:
                for each in connections:
                    if hasattr(each, "transport"):  # it has one as soon as it is served
                        each.transport.abort()
                await server.wait_closed()

    def _process_request(self, _connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request for a file; None lets the WebSocket begin."""
        path = request.path.partition("?")[0]
        is_socket = path == SOCKET_PATH
        host, origin = (_only(request.headers, name) for name in ("Host", "Origin"))
        if reason := self.gate.refusal(host, origin, is_socket=is_socket):
            return _response(http.HTTPStatus.FORBIDDEN, "text/plain; charset=utf-8", f"{reason}\n".encode())
        if is_socket:
            return None
        file = self.files.get(path)
        try:
            if file is None:
                raise FileNotFoundError
            if request.headers.get("If-None-Match") == file.tag:
                return _response(http.HTTPStatus.NOT_MODIFIED, file.content_type, b"", file.tag)
            return _response(http.HTTPStatus.OK, file.content_type, file.path.read_bytes(), file.tag)
        except OSError:
            return _response(http.HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"there is no such file\n")

    async def _serve_page(self, page: ServerConnection) -> None:
        query = "" if page.request is None else page.request.path.partition("?")[2]
        peer, own = page.remote_address, page.local_address
        if self.gate.token is None and is_other_user(peer[1], own[1]):
            await page.close(OTHER_USER, "this sideman belongs to another user of the machine")
        elif not self.gate.has_token("".join(parse_qs(query).get("token", []))):
            await page.close(WRONG_TOKEN, "the address lacks the right token")
        else:
            await bridge(page, self.daemon_paths)


def _only(headers: Headers, name: str) -> str | None:
    """Return a header; None if it is missing or given more than once."""
    given = headers.get_all(name)
    return given[0] if len(given) == 1 else None


def _response(status: http.HTTPStatus, content_type: str, body: bytes, tag: str = "") -> Response:
    headers = Headers({**_HEADERS, "Content-Type": content_type, "Content-Length": str(len(body))})
    headers["Connection"] = "close"
    if tag:
        headers["ETag"] = tag
    return Response(status.value, status.phrase, headers, body)
