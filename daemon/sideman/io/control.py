# SPDX-License-Identifier: Apache-2.0
"""The control socket: JSON lines from and to other programs of the same user. docs/control.md describes them.

It lives in the main thread: `fileno` is readable when there is something to `serve`, and serving takes a bounded time
whatever the other side does. In each round of `ROUND_S` a client has `EACH` requests answered, and all together `ALL`,
in turn, a long one counting for each KiB of it; what they send beyond that stays in the system's buffers, where it
costs them and not us. One that sends no requests, or does not read what it is sent, is let go of.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import json.scanner
import logging
import math
import os
import selectors
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sideman.core.errors import SidemanError, Unavailable, UsageError

VERSION = 1
LONGEST = 1 << 16
"""Bytes of a line; the longest request is one with a chart in it."""
PENDING = 1 << 18
"""Bytes that may wait for a client to read them."""
MOST = 64
"""Clients at a time."""
ROUND_S, EACH, ALL = 0.02, 8, 64
MISTAKES = 10
"""Lines in a row that are no requests: whoever sends so many does not mean us."""

Event = Mapping[str, object]
Answer = Callable[[Mapping[str, object]], object]

_MODE = 0o600
_LONGEST_ID = 200
_SHORT = 1024
_PARTS = 500
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

_log = logging.getLogger(__name__)


class Listener:
    """A Unix socket at `path` that listens, open to its owner only; it replaces one that a dead process has left.

    Raises Unavailable while another process listens there, and OSError where it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _alone_in(path.parent):
            _clear(path)
            self.socket = _listening(path)
            self._made = self._file()

    def close(self) -> None:
        """Remove it, unless another has taken its place, and listen no more."""
        with contextlib.suppress(OSError):
            if self._file() == self._made:
                self.path.unlink()
        self.socket.close()

    def _file(self) -> tuple[int, int]:
        found = self.path.lstat()
        return found.st_ino, found.st_mtime_ns  # the number alone is given to the next file


class Control:
    """Serves those who come to `listener`. `answer` answers requests; `welcome` makes what a watcher is told first.

    `step_aside` is called before each request, so that what is more urgent goes first.
    """

    def __init__(
        self,
        listener: Listener,
        answer: Answer,
        welcome: Callable[[], Iterable[Event]],
        step_aside: Callable[[], None] = lambda: None,
    ) -> None:
        self._listener = listener.socket
        self._answer = answer
        self._welcome = welcome
        self._step_aside = step_aside
        self._clients: list[_Client] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, _READ)
        self._deaf = False  # to those who come, until the next round
        self._ends, self._left, self._places = -math.inf, ALL, EACH  # of the round

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return any(client.watches for client in self._clients)

    def fileno(self) -> int:
        """Readable when there is something to serve."""
        return self._selector.fileno()

    def wakes_at(self) -> float:
        """The second when there is something to serve whether `fileno` is readable or not; infinite if never."""
        return self._ends if self._deaf or any(client.asks for client in self._clients) else math.inf

    def serve(self, now: float) -> None:
        """Do what there is to do, for a bounded time. Nothing that a client does makes it raise."""
        if now >= self._ends:
            self._begin_round(now)
        for key, events in self._selector.select(0):
            if key.data is None:
                self._accept_all()
            else:
                self._move(key.data, events)
        self._answer_in_turn()
        self._settle()

    def tell(self, events: Iterable[Event]) -> None:
        """Send `events` to everybody who watches."""
        lines = b"".join(_line(event) for event in events)
        if not lines:
            return
        for client in self._clients:
            if client.watches:
                client.send(lines)
        self._settle()

    def close(self) -> None:
        """Let go of everybody."""
        for client in self._clients:
            client.way.close()
        self._clients.clear()
        self._selector.close()

    # -- requests

    def _begin_round(self, now: float) -> None:
        self._ends, self._left, self._places = now + ROUND_S, ALL, EACH
        for client in self._clients:
            client.left = min(client.left + EACH, EACH)
        if self._clients:
            self._clients.append(self._clients.pop(0))  # nobody is first in every round
        if self._deaf:
            self._deaf = False
            self._selector.register(self._listener, _READ)

    def _answer_in_turn(self) -> None:
        """One request of each client after the other, until there are none, or no more in this round."""
        began = time.monotonic()
        asking = [client for client in self._clients if client.asks and client.left > 0]
        while asking and self._left:
            for client in asking[: self._left]:
                self._left -= 1
                self._step_aside()
                self._answer_next(client)
                took = time.monotonic() - began
                if took > ROUND_S:  # each a chart of thousands of bars: let signals in between, and rest as long
                    self._left, self._ends = 0, self._ends + took
                    return
            asking = [client for client in asking if client.asks and client.left > 0]

    def _answer_next(self, client: _Client) -> None:
        line = client.next_line()
        client.left -= 1 + len(line) // _SHORT  # a long one takes long to read
        if not line.strip():
            return
        try:
            request = _decoded(line)
        except ValueError as error:
            client.mistakes += 1
            client.send(_refusal(None, f"not a request: {error}"))
            if client.mistakes >= MISTAKES:
                client.part("nothing here is a request; good-bye")
            return
        client.mistakes = 0
        self._reply(client, request)

    def _reply(self, client: _Client, request: Mapping[str, object]) -> None:
        number = request.get("id")
        watches = request.get("do") == "watch"
        try:
            if request.get("v", VERSION) != VERSION:
                raise UsageError(f"v: this sideman speaks version {VERSION}")
            result = None if watches else self._answer(request)
        except SidemanError as error:
            client.send(_refusal(number, str(error)))
            return
        client.send(_line({"id": number, "ok": True, "result": result}))
        if watches:
            client.watches = True
            client.send(b"".join(_line(event) for event in self._welcome()))

    # -- clients

    def _accept_all(self) -> None:
        """Let in who comes, so many in a round: whoever is let go of may come again at once."""
        while self._places > 0:
            try:
                way, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("control.socket: nobody more can come in: %s", error.strerror)
                break
            self._places -= 1
            self._accept(way)
        self._deaf = True
        self._selector.unregister(self._listener)

    def _accept(self, way: socket.socket) -> None:
        way.setblocking(False)
        client = _Client(way)
        if len(self._clients) >= MOST:
            client.part(f"{MOST} others are here already; come back later")
            way.close()
        else:
            self._clients.append(client)

    def _move(self, client: _Client, events: int) -> None:
        if events & _WRITE:
            client.flush()
        if events & _READ:
            client.read()

    def _settle(self) -> None:
        """Wait for what is to be waited for from each client, or let go of it."""
        for client in self._clients:
            wanted = 0 if client.over else client.interest
            if wanted != client.registered:
                self._register(client, wanted)
            if client.over:
                client.way.close()
        if any(client.over for client in self._clients):
            self._clients = [client for client in self._clients if not client.over]

    def _register(self, client: _Client, wanted: int) -> None:
        if not client.registered:
            self._selector.register(client.way, wanted, client)
        elif wanted:
            self._selector.modify(client.way, wanted, client)
        else:
            self._selector.unregister(client.way)
        client.registered = wanted


class _Client:
    """One at the other end: what came from it and is not answered, what it has not read yet."""

    def __init__(self, way: socket.socket) -> None:
        self.way = way
        self.watches = False
        self.mistakes = 0
        self.left = EACH  # short requests that are answered in this round; below 0 it has had those of the next
        self.registered = 0
        self._received = bytearray()
        self._waiting = bytearray()
        self._ended = False  # it sends no more, but may go on reading
        self._gone = False

    @property
    def asks(self) -> bool:
        """Whether a whole line is there; the last one may lack its end."""
        return not self._gone and (b"\n" in self._received or (self._ended and bool(self._received)))

    @property
    def interest(self) -> int:
        """What to wait for: no more is read while lines are left to be answered."""
        read = 0 if self._ended or self.asks else _READ
        return read | (_WRITE if self._waiting else 0)

    @property
    def over(self) -> bool:
        """Whether there is nothing more to be had from it, or for it."""
        return self._gone or (self._ended and not (self.asks or self._waiting or self.watches))

    def read(self) -> None:
        """Take in what has come, a line at most beyond those that are whole."""
        try:
            data = self.way.recv(LONGEST + 1 - len(self._received))
        except BlockingIOError:
            return
        except OSError:
            self._gone = True
            return
        self._ended = not data
        self._received += data
        if len(self._received) > LONGEST and b"\n" not in self._received:
            self.part(f"a line of more than {LONGEST} bytes; good-bye")

    def next_line(self) -> bytes:
        """Take the next line, without its end."""
        end = self._received.find(b"\n")
        length = len(self._received) if end < 0 else end + 1
        line = bytes(self._received[:length])
        del self._received[:length]
        return line

    def send(self, data: bytes) -> None:
        """Send `data` as soon as it is read; one that leaves too much unread is gone."""
        self._waiting += data
        self.flush()
        if len(self._waiting) > PENDING:
            _log.info("control.socket: a client that does not read was let go of")
            self._gone = True

    def part(self, why: str) -> None:
        """Say why, as far as that can be said at once, and have done with it."""
        self.send(_refusal(None, why))
        self._gone = True

    def flush(self) -> None:
        """Send what can be sent now."""
        try:
            while self._waiting:
                del self._waiting[: self.way.send(self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self._gone = True


def _line(message: Mapping[str, object]) -> bytes:
    return json.dumps({"v": VERSION, **message}, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _refusal(number: object, why: str) -> bytes:
    return _line({"id": number, "ok": False, "error": why})


# -- reading what anybody may have written


def _decoded(line: bytes) -> Mapping[str, object]:
    """The request in a line. ValueError says what is wrong."""
    try:
        text = line.decode()
        request = (_decoder if len(text) <= _SHORT else _patient_decoder).decode(text)
    except UnicodeDecodeError:
        raise ValueError("no text (UTF-8)") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos + 1}") from None
    if not isinstance(request, dict):
        raise ValueError('want an object such as {"v":1,"id":1,"do":"status"}')  # noqa: TRY004 - a wrong line
    _check_id(request.get("id"))
    return request


def _check_id(number: object) -> None:
    """It goes back as it came, so it has to be something small."""
    small = isinstance(number, str | int | float | None) and len(str(number)) <= _LONGEST_ID
    if not small:
        raise ValueError(f"id: want a number or a text of up to {_LONGEST_ID} characters")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]}: too large a number")
    return number


def _no_constant(text: str) -> object:
    raise ValueError(f"{text}: no JSON")


def _whole(text: str) -> int:
    if len(text) > _LONGEST_ID:
        raise ValueError(f"{text[:20]}…: too large a number")
    return int(text)


class _Patient(json.JSONDecoder):
    """Decodes step by step in Python: the scanner in C would hold the interpreter for the whole of a long line.

    So would letting go of many values at once; a request has few.
    """

    def __init__(self, **hooks: Any) -> None:  # noqa: ANN401 - as JSONDecoder has them
        super().__init__(**hooks)
        self._left = 0
        array, thing = self.parse_array, self.parse_object  # type: ignore[has-type]
        self.parse_array = lambda at, scan: array(at, self._counting(scan))
        self.parse_object = lambda at, strict, scan, *rest: thing(at, strict, self._counting(scan), *rest)
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]

    def decode(self, s: str, *how: Any) -> Any:  # noqa: ANN401 - as JSONDecoder has it
        self._left = _PARTS
        return super().decode(s, *how)

    def _counting(self, scan: Callable[[str, int], Any]) -> Callable[[str, int], Any]:
        def scan_and_count(text: str, at: int) -> Any:  # noqa: ANN401 - any value
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"more than {_PARTS} values in one request")
            return scan(text, at)

        return scan_and_count


_HOOKS: dict[str, Any] = {"parse_float": _finite, "parse_int": _whole, "parse_constant": _no_constant}
_decoder, _patient_decoder = json.JSONDecoder(**_HOOKS), _Patient(**_HOOKS)


# -- making the socket


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`: of two that start at once, one could remove the socket that the other has made."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Unavailable(f"control.socket: another sideman starts in {folder} at this very moment") from None
    finally:
        os.close(file)


def _clear(path: Path) -> None:
    """Remove a socket at `path` to which nobody listens."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(17, "something that is no socket is there")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(os.fspath(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
        return
    except BlockingIOError:
        pass  # so many wait for an answer that there is no place for us
    hint = "give this one a name of its own (--set midi.client=NAME), or a control.socket"
    raise Unavailable(f"control.socket: {path}: another sideman listens there; {hint}")


def _listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o777 & ~_MODE)  # its mode is right from the moment it is there
    try:
        listener.bind(os.fspath(path))
        listener.listen(MOST)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener
