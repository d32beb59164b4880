# SPDX-License-Identifier: Apache-2.0
"""The live view: takes in what comes, draws what has changed, heeds keys, and leaves the terminal as it found it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from sideman.watch import Request
from sideman.watch.keys import HELP, LEAVES, keyboard, pressed, request
from sideman.watch.model import Scene, read_event
from sideman.watch.roll import FINE
from sideman.watch.screen import looks_for, picture

FRAME_S = 0.1
"""Between two pictures at least."""
_WAITING = 5000  # lines that may wait to be taken in; beyond that whoever sends them waits
_ENDED = "the daemon has ended"
_ERASE = (ControlType.ERASE_IN_LINE, 2)


def run(lines: Iterable[str], stream: TextIO, *, send: Callable[[Request], None] | None = None) -> int:
    """Show on the terminal `stream` what comes in `lines` until they end, or the user leaves; the exit status.

    With `send`, which takes a request of the control socket, keys do more than leave.
    """
    view = View(stream, send)
    incoming: queue.Queue[str | None] = queue.Queue(_WAITING)
    threading.Thread(target=_read, args=(lines, incoming), name="socket", daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt), _ending_tidily(), keyboard(sys.stdin) as keys, view.shown():
        while not view.ended and not view.left:
            view.turn(incoming, keys)
    if view.ended:
        stream.write(f"{_ENDED}\n")
        stream.flush()
    return 0


def _read(lines: Iterable[str], incoming: queue.Queue[str | None]) -> None:
    try:
        for line in lines:
            incoming.put(line)
    except (OSError, ValueError):
        pass  # a connection that breaks, or is closed, has ended
    finally:
        incoming.put(None)


@contextlib.contextmanager
def _ending_tidily() -> Iterator[None]:
    """Let SIGTERM end the view as Ctrl-C does, so that the terminal is restored."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class View:
    """A scene on a terminal. `ended`: nothing more will come; `left`: the user has had enough."""

    def __init__(self, stream: TextIO, send: Callable[[Request], None] | None) -> None:
        self.scene = Scene()
        self.ended = False
        self.left = False
        self._stream = stream
        self._send = send
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._looks = looks_for(stream.encoding, os.environ)
        self._drawn: list[Text] = []
        self._size = (0, 0)
        self._shown: tuple[object, ...] = ()
        self._taken = 0

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """The terminal's other screen, without a cursor, while it lasts."""
        with self._console.screen(hide_cursor=True):
            yield

    def turn(self, incoming: queue.Queue[str | None], keys: int | None) -> None:
        """Wait for a key for the time of a picture, take in what has come, and draw."""
        for key in pressed(keys, FRAME_S):
            self._press(key)
        self._take_all(incoming)
        self._draw(time.monotonic())

    def _take_all(self, incoming: queue.Queue[str | None]) -> None:
        second = time.monotonic()
        for _ in range(incoming.qsize()):
            line = incoming.get()
            self.ended = self.ended or line is None
            if line is not None:
                self.scene.take(read_event(line), second)
                self._taken += 1

    def _press(self, key: str) -> None:
        self.left = self.left or key in LEAVES
        asked = request(key, self.scene)
        if self._send is not None and asked is not None:
            with contextlib.suppress(OSError):  # that the daemon has ended is told by the lines
                self._send(asked)
            self.scene.expect(asked)
            self._taken += 1

    # -- drawing

    def _draw(self, second: float) -> None:
        size, beat = _size(self._stream), self.scene.beat_at(second) or 0.0
        quiet = int(second - (second if self.scene.told is None else self.scene.told))
        shows = (size, self._taken, int(beat * FINE), quiet)
        if shows == self._shown:
            return
        self._shown = shows
        lines = picture(self.scene, second, *size, self._looks, HELP if self._send else "q quit")
        if size != self._size:
            self._size, self._drawn = size, []
            self._console.size = size
        self._put(lines)

    def _put(self, lines: list[Text]) -> None:
        """Write the lines that are others than those on the screen."""
        with self._console:  # all of them at once
            for row, line in enumerate(lines):
                if row < len(self._drawn) and self._drawn[row] == line:
                    continue
                self._console.control(Control((ControlType.CURSOR_MOVE_TO, 0, row), _ERASE))
                self._console.print(line, end="", no_wrap=True, overflow="ignore", crop=True)
        self._drawn = lines


def _size(stream: TextIO) -> tuple[int, int]:
    """Columns and lines of the terminal, now."""
    try:
        width, height = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):  # it is gone, and so will we be
        width, height = 0, 0
    return width or 80, height or 24
