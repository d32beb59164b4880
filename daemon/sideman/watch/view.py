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

from sideman.control.requests import REQUESTS, ModeRequest, Request, SetRequest
from sideman.core.actions import ACTIONS
from sideman.core.errors import SidemanError
from sideman.core.input.midi_mapping import stepped_value
from sideman.core.settings.schema import KEYS
from sideman.core.settings.types import ChoiceRange
from sideman.core.turns import MODE_NAMES
from sideman.watch.model import WatchState, read_message
from sideman.watch.roll import FINE_COLUMNS
from sideman.watch.screen import SETTING_NAMES, draw_screen, glyphs_for

ACTION_KEYS = {action.key: action for action in ACTIONS.values() if action.key}
QUIT_KEYS = ("q", "Q")
_MODE_KEYS = {str(number): name for number, name in enumerate(MODE_NAMES, 1)}
_UP, _DOWN, _RIGHT, _LEFT = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
_STEPS = {"+": 1, "=": 1, _RIGHT: 1, "-": -1, "_": -1, _LEFT: -1}
_ENTER, _ESCAPE, _BACKSPACE = ("\r", "\n"), "\x1b", ("\x7f", "\b")
_MAX_COMMAND_LENGTH = 1000
_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_FRAME_INTERVAL_S = 0.1  # the shortest time between two pictures
_MAX_WAITING_LINES = 5000  # lines that may wait to be taken in; then the thread that reads them waits
_ERASE = (ControlType.ERASE_IN_LINE, 2)


def run_view(
    lines: Iterable[str], stream: TextIO, send: Callable[[Request], None], read: Callable[[str], Request]
) -> None:
    """Show on the terminal `stream` what comes in `lines`, until they end or the user leaves. See `watch`."""
    view = TerminalView(stream, send, read)
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

    def __init__(self, stream: TextIO, send: Callable[[Request], None], read: Callable[[str], Request]) -> None:
        self.console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self.feed_ended = False
        self.user_quit = False
        self._state = WatchState()
        self._stream = stream
        self._send = send
        self._read = read
        self._glyphs = glyphs_for(stream.encoding, os.environ)
        self._drawn_lines: list[Text] = []
        self._last_drawn: tuple[object, ...] = ()
        self._change_count = 0

    def run_turn(self, incoming: queue.Queue[str | None], keys: int | None) -> None:
        """Wait for a key for the time of one picture, take in what has come, and draw."""
        for key in read_keys(keys, _FRAME_INTERVAL_S):
            self._change_count += 1
            if self._state.command is not None:
                request = self._type(key)
            else:
                self.user_quit = self.user_quit or key in QUIT_KEYS
                request = request_for_key(key, self._state)
            if request is not None:
                with contextlib.suppress(OSError):  # the daemon has ended; then the lines end, too
                    self._send(request)
                self._state.apply_request(request)
        second = time.monotonic()
        for _ in range(incoming.qsize()):
            line = incoming.get()
            if line is None:
                self.feed_ended = True
            else:
                self._state.apply_event(read_message(line), second)
                self._change_count += 1
        self._redraw(second)

    def _type(self, key: str) -> Request | None:
        """Take a key of the request that is typed. Returns the request at its end, if it can be understood."""
        state, text = self._state, self._state.command or ""
        if key in _BACKSPACE:
            state.command = text[:-1] if text else None
        elif key == _ESCAPE:
            state.command = None
        elif key in _ENTER:
            state.command = None
            try:
                return self._read(text) if text.strip() else None
            except SidemanError as error:
                state.add_log("error", str(error))
        elif key.isprintable() and len(text) < _MAX_COMMAND_LENGTH:
            state.command = text + key
        return None

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
    if key in _MODE_KEYS:
        return ModeRequest(_MODE_KEYS[key])
    if key == "?":
        state.shows_keys = not state.shows_keys
    elif key == ":":
        state.command = ""
    elif key in (_UP, _DOWN):
        place = SETTING_NAMES.index(state.selected) + (1 if key == _DOWN else -1)
        state.selected = SETTING_NAMES[place % len(SETTING_NAMES)]
    elif key in _STEPS:
        return _turned(f"play.{state.selected}", _STEPS[key], state)
    return None


def _turned(name: str, steps: int, state: WatchState) -> Request | None:
    """Return the request that turns a setting by this many steps; what cannot be turned has to be typed."""
    span, value = KEYS[name].value_type.controller_range, state.settings.get(name)
    if span is None or name not in state.settings:
        state.command = f"set {name} "
        return None
    if isinstance(span, ChoiceRange) or span.integers_only or not isinstance(value, int | float):
        return SetRequest(name, stepped_value(span, value, steps))
    step = 0.1 if span.high > 1 else 0.05
    lowest = span.low + (step if span.excludes_low else 0.0)
    return SetRequest(name, round(min(max(value + steps * step, lowest), span.high), 2))
