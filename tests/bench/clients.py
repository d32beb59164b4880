# SPDX-License-Identifier: Apache-2.0
"""Clients of a control socket, all in one process: some watch, the others send requests as fast as they can.

Pages watch in version 2, with what is planned and could be chosen; the first of them reads nothing.
`python -m bench.clients SOCKET WATCHING PAGES FLOODING` prints a line when it is ready, and connects as soon as the
socket exists. A client whose connection ends, because the daemon has dropped it or has stopped, connects again.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time

_RETRY_S = 0.005
_WATCH, _PAGE = b'{"do":"watch"}\n', b'{"v":2,"do":"watch","choices":true}\n'
_SLEEPER = b'{"v":2,"id":"asleep","do":"watch","choices":true}\n'
_SETTINGS = [b'{"do":"set","key":"play.late_ms","value":%d}\n' % (900 + number % 9) for number in range(999)]
_FLOODS = (b'{"do":"status"}\n' * 1000, b"".join(_SETTINGS), b"[" + b"[]," * 20000 + b"[]]\n", b"\0\xff\n" * 1000)

_sleeping: list[socket.socket] = []


def main(path: str, watching: int, pages: int, flooding: int) -> None:
    """Connect and stay connected, until the process is killed."""
    print("ready", flush=True)  # noqa: T201 - read by the benchmark
    selector = selectors.DefaultSelector()
    watches = [_WATCH] * watching + [_SLEEPER] * (pages > 0) + [_PAGE] * (pages - 1)
    floods = [_FLOODS[number % len(_FLOODS)] for number in range(flooding)]
    for sent in watches + floods:
        _connect(selector, path, sent)
    while True:
        for key, events in selector.select():
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            if not _serve(connection, events, key.data):
                selector.unregister(connection)
                connection.close()
                _connect(selector, path, key.data)


def _connect(selector: selectors.BaseSelector, path: str, flood: bytes) -> None:
    """Connect a client that sends `flood` again and again, or that watches, if that is what it sends."""
    watches = flood in (_WATCH, _PAGE, _SLEEPER)
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            if watches:
                connection.sendall(flood)
        except OSError:  # no socket yet, or the daemon stopped just after it accepted the connection
            connection.close()
            time.sleep(_RETRY_S)
            continue
        connection.setblocking(False)
        if flood == _SLEEPER:
            _sleeping.append(connection)
            return
        selector.register(connection, selectors.EVENT_READ | (0 if watches else selectors.EVENT_WRITE), flood)
        return


def _serve(connection: socket.socket, events: int, flood: bytes) -> bool:
    """Send and receive what can be sent and received now; whether the connection is still open."""
    try:
        if events & selectors.EVENT_WRITE:
            connection.send(flood)
        return not events & selectors.EVENT_READ or bool(connection.recv(1 << 16))
    except BlockingIOError:
        return True
    except OSError:
        return False


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
