# SPDX-License-Identifier: Apache-2.0
"""The live view: takes in events, draws what has changed, reacts to keys, and leaves the terminal as it was."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import TextIO

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from sideman.control.protocol import REQUESTS, ModeRequest, Request, SetRequest
from sideman.core.actions import ACTIONS
from sideman.core.turns import MODE_NAMES
from sideman.watch.model import WatchState, read_message
from sideman.watch.roll import FINE_COLUMNS
from sideman.watch.screen import draw_screen, glyphs_for

ACTION_KEYS = {action.key: action for action in ACTIONS.values() if action.key}
QUIT_KEYS = ("q", "Q")
_TEMPERATURE, _MAX_TEMPERATURE = "play.temperature", 5.0
_TEMPERATURE_STEPS = {"+": 0.1, "=": 0.1, "\x1b[A": 0.1, "-": -0.1, "\x1b[B": -0.1}  # the arrows up and down among them
_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_FRAME_INTERVAL_S = 0.1  # the shortest time between two pictures
_MAX_WAITING_LINES = 5000  # lines that may wait to be taken in; then the thread that reads them waits
_ERASE = (ControlType.ERASE_IN_LINE, 2)


def run_view(lines: Iterable[str], stream: TextIO, send: Callable[[Request], None]) -> None:
    """Show on the terminal `stream` what comes in `lines`, until they end or the user leaves. See `watch`."""
    view = TerminalView(stream, send)
    incoming: queue.Queue[str | None] = queue.Queue(_MAX_WAITING_LINES)
    threading.Thread(target=_read_lines, args=(lines, incoming), name="socket", daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: the terminal has to be restored
        with raw_keyboard(sys.stdin) as keys, view.console.screen(hide_cursor=True):
            while not view.feed_ended and not view.user_quit:
                view.run_turn(incoming, keys)
    if view.feed_ended:
        stream.write("the daemon has ended\n")
        stream.flush()


def _read_lines(lines: Iterable[str], incoming: queue.Queue[str | None]) -> None:
    try:
        for line in lines:
            incoming.put(line)
    except (OSError, ValueError):
        pass  # the connection was lost, or closed
    finally:
        incoming.put(None)


class TerminalView:
    """Shows a daemon on a terminal. `feed_ended`: no more lines will come; `user_quit`: the user wants to leave."""

    def __init__(self, stream: TextIO, send: Callable[[Request], None]) -> None:
        self.console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self.feed_ended = False
        self.user_quit = False
        self._state = WatchState()
        self._stream = stream
        self._send = send
        self._glyphs = glyphs_for(stream.encoding, os.environ)
        self._drawn_lines: list[Text] = []
        self._last_drawn: tuple[object, ...] = ()
        self._change_count = 0

    def run_turn(self, incoming: queue.Queue[str | None], keys: int | None) -> None:
        """Wait for a key for the time of one picture, take in what has come, and draw."""
        for key in read_keys(keys, _FRAME_INTERVAL_S):
            self.user_quit = self.user_quit or key in QUIT_KEYS
            request = request_for_key(key, self._state)
            if request is not None:
                with contextlib.suppress(OSError):  # the daemon has ended; then the lines end, too
                    self._send(request)
                self._state.apply_request(request)
                self._change_count += 1
        second = time.monotonic()
        for _ in range(incoming.qsize()):
            line = incoming.get()
            if line is None:
                self.feed_ended = True
            else:
                self._state.apply_event(read_message(line), second)
                self._change_count += 1
        self._redraw(second)

    def _redraw(self, second: float) -> None:
        """Write the lines of the picture that differ from those on the screen."""
        try:
            width, height = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):  # the terminal has been closed, and the view will end
            width, height = 0, 0
        size, beat = (width or 80, height or 24), self._state.beat_at(second) or 0.0
        quiet_s = 0 if self._state.last_event_s is None else int(second - self._state.last_event_s)
        shown = (size, self._change_count, int(beat * FINE_COLUMNS), quiet_s)
        if shown == self._last_drawn:
            return
        lines = draw_screen(self._state, second, *size, self._glyphs)
        if self._last_drawn[:1] != (size,):
            self._drawn_lines, self.console.size = [], size
        self._last_drawn = shown
        with self.console:  # in one go
            for row, (line, before) in enumerate(zip_longest(lines, self._drawn_lines)):
                if line != before:
                    self.console.control(Control((ControlType.CURSOR_MOVE_TO, 0, row), _ERASE))
                    self.console.print(line, end="", no_wrap=True, overflow="ignore", crop=True)
        self._drawn_lines = lines


# -- keys


@contextlib.contextmanager
def raw_keyboard(stream: TextIO | None) -> Iterator[int | None]:
    """Read `stream` key by key and without echo: its descriptor, or None if it is not a terminal."""
    if stream is None or stream.closed or not stream.isatty():
        yield None
        return
    number = stream.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        # Without Ctrl-Z, which would leave the shell on the view's screen, without a cursor.
        settings = termios.tcgetattr(number)
        settings[tty.CC][termios.VSUSP] = os.fpathconf(number, "PC_VDISABLE").to_bytes(1, "big")
        termios.tcsetattr(number, termios.TCSANOW, settings)
        yield number
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def read_keys(number: int | None, seconds: float) -> list[str]:
    """Wait up to `seconds` for keys and return those pressed. A terminal that has been closed counts as `q`."""
    readable, _, _ = select.select([] if number is None else [number], [], [], seconds)
    if number is None or not readable:
        return []
    try:
        typed = os.read(number, 256).decode("utf-8", "replace")
    except OSError:
        typed = ""
    return [key.replace("\x1bO", "\x1b[") for key in _KEY.findall(typed)] or [QUIT_KEYS[0]]


def request_for_key(key: str, state: WatchState) -> Request | None:
    """Return the request that a key sends, if any."""
    action = ACTION_KEYS.get(key)
    if action is not None and action.name == "mode":
        mode = state.requested_mode or state.mode
        following = MODE_NAMES.index(mode) + 1 if mode in MODE_NAMES else 0
        return ModeRequest(MODE_NAMES[following % len(MODE_NAMES)])
    if action is not None:
        return REQUESTS[action.name]()
    temperature, step = state.settings.get(_TEMPERATURE), _TEMPERATURE_STEPS.get(key)
    if step is not None and isinstance(temperature, int | float):
        return SetRequest(_TEMPERATURE, round(min(max(temperature + step, 0.0), _MAX_TEMPERATURE), 2))
    return None
