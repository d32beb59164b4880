# SPDX-License-Identifier: Apache-2.0
"""The keys of the live view, and the requests that they send."""

from __future__ import annotations

import contextlib
import os
import re
import select
import termios
import tty
from collections.abc import Iterator
from typing import TextIO

from sideman.control.protocol import REQUESTS, ModeRequest, Request, SetRequest
from sideman.core.actions import ACTIONS
from sideman.core.turns import MODE_NAMES
from sideman.watch.model import WatchState

ACTION_KEYS = {action.key: action for action in ACTIONS.values() if action.key}
KEY_HELP = "  ".join(["q quit", *(f"{key} {action.name}" for key, action in ACTION_KEYS.items()), "+- temp"])
QUIT_KEYS = ("q", "Q")
WARMER_KEYS, COOLER_KEYS = ("+", "=", "\x1b[A"), ("-", "\x1b[B")  # the arrows up and down among them
TEMPERATURE_STEP = 0.1
_TEMPERATURE, _MAX_TEMPERATURE = "play.temperature", 5.0
_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_CONTROL_CHARACTERS = 6  # their index in what tcgetattr returns


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
        settings[_CONTROL_CHARACTERS][termios.VSUSP] = os.fpathconf(number, "PC_VDISABLE").to_bytes(1, "big")
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
    temperature = state.settings.get(_TEMPERATURE)
    if key in WARMER_KEYS + COOLER_KEYS and isinstance(temperature, int | float):
        step = TEMPERATURE_STEP if key in WARMER_KEYS else -TEMPERATURE_STEP
        return SetRequest(_TEMPERATURE, round(min(max(temperature + step, 0.0), _MAX_TEMPERATURE), 2))
    return None
