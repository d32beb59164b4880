# SPDX-License-Identifier: Apache-2.0
"""A client of the control socket, for programs that control a running daemon or watch it.

    >>> from sideman.control.client import connect
    >>> from sideman.control.codec import decode_message
    >>> from sideman.control.socket_file import candidate_socket_paths
    >>> client = connect(candidate_socket_paths("sideman"))     # the daemon whose midi.client is "sideman"
    >>> client.request("set", key="play.temperature", value=1.3)
    {'changed': {'play.temperature': 1.3}}
    >>> client.request("watch")
    >>> for line in client.lines():
    ...     event = decode_message(line)

docs/control.md describes the requests, and `sideman.control.protocol` the events. The module loads fast, because a key
that runs `sideman ctl` should act at once.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sideman.control.codec import decode_message, encode_json
from sideman.control.protocol import PROTOCOL_VERSION, REQUESTS, Answer, Refusal, Request
from sideman.core.errors import NotPermitted, Unavailable, UnreadableInput
from sideman_models.limits import EXPORT_SECONDS, READING_SECONDS

ANSWER_TIMEOUT_S = 2.0 * READING_SECONDS + 2.0  # a preset that names a chart needs two readings
"""Seconds after which a daemon that has not answered is taken to be gone."""
LATE_TIMEOUT_S = ANSWER_TIMEOUT_S + EXPORT_SECONDS
"""The same for a request that may be answered late."""


class RequestRefused(UnreadableInput):
    """The daemon refused a request. The text is its reason, one line for each problem."""


class ControlClient:
    """A connection to the daemon whose control socket is at `path`.

    Use `connect` to find the daemon. `request` is for one thread at a time. `lines` may wait in another thread, and
    `close` ends that. Raises OSError if no daemon listens at `path`.
    """

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

    def request(self, name: str, /, **fields: object) -> Any:  # noqa: ANN401 - each request has its own result
        """Send the request `name` with these fields, wait for the answer, and return its result as JSON values.

        It must not be called after a `watch` request, because events would come in place of the answer. Raises
        RequestRefused if the daemon refuses the request, and Unavailable if it does not answer within
        `ANSWER_TIMEOUT_S`, or `LATE_TIMEOUT_S`, or is not a sideman daemon.
        """
        timeout_s = LATE_TIMEOUT_S if name in REQUESTS and REQUESTS[name].answered_late else ANSWER_TIMEOUT_S
        self._socket.settimeout(timeout_s)
        try:
            with contextlib.suppress(ConnectionError):  # the daemon may have sent a reason before it hung up
                self.send({"v": PROTOCOL_VERSION, "id": 1, "do": name, **fields})
            line = self._reader.readline()
        except TimeoutError:
            reason = f"no answer within {timeout_s:g} seconds; does it still run?"
            raise Unavailable(f"{self._path}: {reason}") from None
        except OSError:
            line = ""
        if not line.endswith("\n"):
            raise Unavailable(f"{self._path}: the daemon ended before it answered")
        with contextlib.suppress(ValueError):
            match decode_message(line):
                case Answer(result=result):
                    return result
                case Refusal(error=reason):
                    raise RequestRefused(reason)
        raise Unavailable(f"{self._path}: the program that answers there is not sideman")

    def send(self, request: Request | Mapping[str, object]) -> None:
        """Send a request without waiting for its answer, which comes among the `lines`.

        Raises OSError if the daemon has ended, or does not read what it is sent.
        """
        # MSG_DONTWAIT: `request` may wait for the socket's timeout, but `send`, after `lines`, must not wait at all.
        self._socket.sendall(encode_json(request) + b"\n", socket.MSG_DONTWAIT)

    def lines(self) -> Iterator[str]:
        """Return the lines that the daemon sends, one after the other, until it ends. Each is a JSON object."""
        self._socket.settimeout(None)
        with contextlib.suppress(OSError):
            yield from self._reader

    def close(self) -> None:
        """Close the connection, even while another thread waits in `lines`, which then ends."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.close()
        self._socket.close()


def connect(paths: Iterable[Path]) -> ControlClient:
    """Connect to the first daemon that listens at one of `paths`.

    Raises Unavailable, with the places that were tried, if there is none; NotPermitted if it belongs to another user.
    """
    tried = []
    for path in paths:
        try:
            return ControlClient(path)
        except PermissionError:
            raise NotPermitted(f"{path}: it belongs to another user; ask as that user, or with sudo") from None
        except OSError:
            tried.append(str(path))
    raise Unavailable(f"no sideman answers; looked at {', '.join(tried)}; start one with `sideman run`")
