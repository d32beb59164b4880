# SPDX-License-Identifier: Apache-2.0
"""The other end of the control socket: for programs that ask a daemon, or watch it. Light to load."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sideman.control.protocol import encode_line
from sideman.core.errors import NotPermitted, Unavailable, UnreadableInput

ANSWER_TIMEOUT_S = 10.0
"""A daemon that has not answered by then does not."""


class RequestRefused(UnreadableInput):
    """The daemon refuses the request and says why."""


class ControlClient:
    """Connected to the daemon whose socket is at `path`. Raises OSError while nobody listens there."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(ANSWER_TIMEOUT_S)
            self._socket.connect(str(path))
        except BaseException:
            self._socket.close()
            raise
        self._reader = self._socket.makefile("r", encoding="utf-8", errors="replace", newline="\n")
        self._path = path

    def request(self, verb: str, **arguments: object) -> Any:  # noqa: ANN401 - whatever the answer is
        """The result of a request. Raises Refused, or Unavailable where no answer comes."""
        try:
            with contextlib.suppress(ConnectionError):  # whoever hangs up may have said why
                self.send({"do": verb, **arguments})
            line = self._reader.readline()
        except TimeoutError:
            raise Unavailable(
                f"{self._path}: no answer within {ANSWER_TIMEOUT_S:g} seconds; does it still run?"
            ) from None
        except OSError:
            line = ""
        if not line.endswith("\n"):
            raise Unavailable(f"{self._path}: the daemon ended before it answered")
        reply = self._parse_reply(line)
        if not reply.get("ok"):
            raise RequestRefused(str(reply.get("error")))
        return reply.get("result")

    def _parse_reply(self, line: str) -> Mapping[str, Any]:
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            raise Unavailable(f"{self._path}: whoever answers there is no sideman")
        return reply

    def send(self, request: Mapping[str, object]) -> None:
        """Send a request and wait for no answer. Raises OSError once the daemon has ended, or takes no more."""
        # MSG_DONTWAIT: while an answer is awaited, for so long at most; else not at all.
        self._socket.sendall(encode_line({"id": 1, **request}), socket.MSG_DONTWAIT)

    def lines(self) -> Iterator[str]:
        """The lines that come, as they come, until the daemon ends."""
        self._socket.settimeout(None)
        with contextlib.suppress(OSError):
            yield from self._reader

    def close(self) -> None:
        """Let go of it, whoever still waits for its lines in another thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.close()
        self._socket.close()


def connect(paths: Iterable[Path]) -> ControlClient:
    """The first daemon that listens at one of `paths`.

    Raises Unavailable where there is none, and says where it was looked for; NotPermitted for one of somebody else's.
    """
    looked = []
    for path in paths:
        try:
            return ControlClient(path)
        except PermissionError:
            raise NotPermitted(f"{path}: it belongs to somebody else; ask as that user, or with sudo") from None
        except OSError:
            looked.append(str(path))
    raise Unavailable(f"no sideman answers; looked at {', '.join(looked)}; start one with `sideman run`")
