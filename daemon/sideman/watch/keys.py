# SPDX-License-Identifier: Apache-2.0
"""The keys of the live view, and the requests of the control socket that they stand for."""

from __future__ import annotations

import contextlib
import os
import re
import select
import termios
import tty
from collections.abc import Iterator
from typing import TextIO

from sideman.core.actions import ACTIONS
from sideman.core.turns import MODE_NAMES
from sideman.watch import RequestMessage
from sideman.watch.model import WatchState

ACTION_KEYS = {action.key: action for action in ACTIONS.values() if action.key}
KEY_HELP = "  ".join(["q quit", *(f"{key} {action.name}" for key, action in ACTION_KEYS.items()), "+- temp"])
QUIT_KEYS = ("q", "Q")
WARMER_KEYS, COOLER_KEYS = ("+", "=", "\x1b[A"), ("-", "\x1b[B")  # the arrows up and down among them
TEMPERATURE_STEP = 0.1
_TEMPERATURE, _MAX_TEMPERATURE = "play.temperature", 5.0
_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_CONTROL_CHARACTERS = 6  # where tcgetattr has them


@contextlib.contextmanager
def raw_keyboard(stream: TextIO | None) -> Iterator[int | None]:
    """Read `stream` key by key, unseen, while it lasts: its descriptor, or None where it is no terminal."""
    if stream is None or stream.closed or not stream.isatty():
        yield None
        return
    number = stream.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        _without_suspending(number)
        yield number
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _without_suspending(number: int) -> None:
    """Ctrl-Z would leave the shell on our screen, without a cursor."""
    settings = termios.tcgetattr(number)
    settings[_CONTROL_CHARACTERS][termios.VSUSP] = os.fpathconf(number, "PC_VDISABLE").to_bytes(1, "big")
    termios.tcsetattr(number, termios.TCSANOW, settings)


def read_keys(number: int | None, seconds: float) -> list[str]:
    """The keys pressed within so many seconds: as soon as there is one, else none. A terminal that is gone says `q`."""
    readable, _, _ = select.select([] if number is None else [number], [], [], seconds)
    if number is None or not readable:
        return []
    try:
        typed = os.read(number, 256).decode("utf-8", "replace")
    except OSError:
        typed = ""
    return [found.replace("\x1bO", "\x1b[") for found in _KEY.findall(typed)] or [QUIT_KEYS[0]]


def request_for_key(key: str, state: WatchState) -> RequestMessage | None:
    """What the key asks of the daemon; None for one that asks nothing."""
    action = ACTION_KEYS.get(key)
    if action is not None and action.name == "mode":
        mode = state.requested_mode or state.mode
        following = MODE_NAMES.index(mode) + 1 if mode in MODE_NAMES else 0
        return {"v": 1, "do": "mode", "mode": MODE_NAMES[following % len(MODE_NAMES)]}
    if action is not None:
        return {"v": 1, "do": action.name}
    temperature = state.settings.get(_TEMPERATURE)
    if key in WARMER_KEYS + COOLER_KEYS and isinstance(temperature, int | float):
        other = min(
            max(temperature + (TEMPERATURE_STEP if key in WARMER_KEYS else -TEMPERATURE_STEP), 0.0), _MAX_TEMPERATURE
        )
        return {"v": 1, "do": "set", "key": _TEMPERATURE, "value": round(other, 2)}
    return None
