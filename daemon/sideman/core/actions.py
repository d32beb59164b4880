# SPDX-License-Identifier: Apache-2.0
"""THE table of actions: what a musician can ask for at once, with a pedal, a pad, a key of the live view or a request.

How to add an action:

1. Give it a row in `ACTIONS`. Bindings (`midi.cc`, `midi.notes`), requests of the control socket, OSC, `sideman ctl`,
   the live view and the documentation take it from there.
2. If the engine performs it, define its command here too, and handle that command in `Engine.receive`. An action
   without a command needs a file, which the engine never touches: the main thread performs it, as the request of the
   same name (`sideman.control.api`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Start:
    """Start the music from its top, after the count-in that play.count_in asks for."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the music until the next start."""


@dataclass(frozen=True, slots=True)
class Panic:
    """Silence everything on every channel that we play on, and go on playing."""


@dataclass(frozen=True, slots=True)
class TapTempo:
    """One tap; two or more give a tempo."""


@dataclass(frozen=True, slots=True)
class PlayVariation:
    """Play the last phrase again, varied: its rhythm and contour with other notes."""


ActionCommand = Start | Stop | Panic | TapTempo | PlayVariation
"""The commands that have no arguments, so that an action can stand for each of them."""


@dataclass(frozen=True, slots=True)
class Action:
    """One action: its name, what it does in a musician's words, and the engine's `command` for it, if it has one.

    `argument` says whether a name may or must follow, as in `mode:trade`. `key` is its key in the live view.
    """

    name: str
    help: str
    command: ActionCommand | None = None
    argument: Literal["none", "optional", "required"] = "none"
    key: str = ""

    @property
    def spellings(self) -> Iterator[str]:
        """How it is written in a binding: `mode` and `mode:NAME`."""
        if self.argument != "required":
            yield self.name
        if self.argument != "none":
            yield f"{self.name}:NAME"


ACTIONS = {
    action.name: action
    for action in (
        Action("start", "start from the top of the chart, after the count-in", Start()),
        Action("stop", "stop until the next start", Stop()),
        Action("panic", "silence every note at once and go on playing", Panic(), key="p"),
        # `SetMode` needs to know which mode comes next: see `sideman.core.input.midi_mapping`.
        Action("mode", "change to another play mode at the next bar line", argument="optional", key="m"),
        Action("tap", "tap the tempo", TapTempo(), key="t"),
        Action("again", "play the last phrase again, varied", PlayVariation(), key="a"),
        Action("keep", "save the last minutes as a take"),
        Action("preset", "change to the settings of a preset", argument="required"),
    )
}
"""Every action by its name."""


def action_list() -> str:
    """Return every way to write an action, as a sentence names them: `start, stop, … or preset:NAME`."""
    spellings = [spelling for action in ACTIONS.values() for spelling in action.spellings]
    return f"{', '.join(spellings[:-1])} or {spellings[-1]}"
