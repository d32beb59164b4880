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
from typing import Literal

from msgspec import Struct


class _Command(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A command without arguments. Its tag is its name in journals, see `sideman.core.events`."""


class Start(_Command, frozen=True, tag="Begin"):
    """Start the music from its top, after the count-in that play.count_in asks for."""


class Stop(_Command, frozen=True, tag="Halt"):
    """Stop the music until the next start."""


class Panic(_Command, frozen=True, tag="Panic"):
    """Silence every channel that we play on at once, and go on playing."""


class TapTempo(_Command, frozen=True, tag="Tap"):
    """One tap; several give the tempo."""


class PlayVariation(_Command, frozen=True, tag="Again"):
    """Play the last phrase again, varied: its rhythm and contour with other notes."""


ActionCommand = Start | Stop | Panic | TapTempo | PlayVariation
"""The commands of actions."""


class Action(Struct, frozen=True):
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
        Action("start", "start from the top of the chart, after the count-in; armed music begins", Start(), key="s"),
        Action("stop", "stop the music until the next start", Stop(), key="x"),
        Action("panic", "silence every note at once; the music goes on", Panic(), key="p"),
        # `SetMode` needs to know which mode comes next: see `sideman.core.input.midi_mapping`.
        Action(
            "mode",
            "change the play mode at the next bar line: to the next one, or to NAME",
            argument="optional",
            key="m",
        ),
        Action("tap", "tap the tempo", TapTempo(), key="t"),
        Action("again", "play the last phrase again, varied", PlayVariation(), key="a"),
        Action("keep", "save the last minutes as a take", key="k"),
        Action("preset", "use the settings of the preset NAME", argument="required"),
    )
}
"""Every action by its name."""


def action_list() -> str:
    """Return every way to write an action, as a sentence names them: `start, stop, … or preset:NAME`."""
    spellings = [spelling for action in ACTIONS.values() for spelling in action.spellings]
    return f"{', '.join(spellings[:-1])} or {spellings[-1]}"
