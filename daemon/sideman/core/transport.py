# SPDX-License-Identifier: Apache-2.0
"""Whether the music rolls: one table of states and transitions.

The states are: *rolling*; *stopped* by a command, a pedal or a key; *waiting* for the clock that is followed to start;
and, before the music begins, *armed*, which waits for a start, or *expecting*, which waits for the player's first note
(see `play.start`). Counting in is rolling before the first beat. A transition can silence what sounds (`silences`) and
then start the music somewhere (`then`):

- `begin`: where it has not begun yet, counted in: at the top, or where a saved solo goes on;
- `enter`: at the same place, but on the note that has come in, which is the first beat;
- `restart`: from the top, counted in;
- `join`: where the clock is, at the clock's own message;
- `rejoin`: where the clock has got to meanwhile, between two of its messages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from sideman.core.events import ClockInput
from sideman.core.timeline import Timeline
from sideman.core.timing.clock_source import ClockSource

State = Literal["rolling", "stopped", "waiting", "armed", "expecting"]
CommandTrigger = Literal["start", "stop", "note"]
Trigger = CommandTrigger | Literal["clock starts", "clock jumps", "clock stops"]
Then = Literal["", "begin", "enter", "restart", "join", "rejoin"]


class Transition(Struct, frozen=True):
    """What a trigger does: the new state, whether all notes are released, and how the music starts again."""

    state: State
    silences: bool = False
    then: Then = ""


INTERNAL: Mapping[tuple[State, Trigger], Transition] = {
    ("rolling", "start"): Transition("rolling", silences=True, then="restart"),
    ("rolling", "stop"): Transition("stopped", silences=True),
    ("stopped", "start"): Transition("rolling", then="restart"),
    ("armed", "start"): Transition("rolling", then="begin"),
    ("expecting", "start"): Transition("rolling", then="begin"),
    ("expecting", "note"): Transition("rolling", then="enter"),
    ("expecting", "stop"): Transition("armed"),
}
"""The transitions with our own clock. A trigger that is not in the table changes nothing."""

FOLLOWING: Mapping[tuple[State, Trigger], Transition] = {
    ("rolling", "stop"): Transition("stopped", silences=True),
    ("rolling", "clock jumps"): Transition("rolling", silences=True, then="join"),
    ("rolling", "clock stops"): Transition("waiting", silences=True),
    ("waiting", "stop"): Transition("stopped"),
    ("waiting", "start"): Transition("rolling", then="rejoin"),
    ("waiting", "clock starts"): Transition("rolling", then="join"),
    ("stopped", "clock starts"): Transition("rolling", then="join"),
    ("stopped", "start"): Transition("rolling", then="rejoin"),
    ("armed", "start"): Transition("rolling", then="rejoin"),
    ("armed", "clock starts"): Transition("rolling", then="join"),
    ("expecting", "start"): Transition("rolling", then="rejoin"),
    ("expecting", "note"): Transition("rolling", then="rejoin"),
    ("expecting", "stop"): Transition("armed"),
}
"""The transitions while a clock is followed. Where the clock does not run, 'start' leads to 'waiting', and a note
changes nothing."""

_FIRST_STATES: Mapping[str, State] = {"armed": "armed", "first note": "expecting"}
"""The state for each value of `play.start` that lets the music wait."""


class Transport:
    """The state of the music on `timeline`, which follows `clock` if there is one."""

    def __init__(self, timeline: Timeline, clock: ClockSource | None) -> None:
        self.clock = clock
        self.state: State = _FIRST_STATES.get(timeline.live.play.start, "rolling" if clock is None else "waiting")
        self.stopped_beat = timeline.start
        """The beat at which the music stands while it does not roll."""
        self._timeline = timeline
        self._played_to_s = -math.inf

    @property
    def rolling(self) -> bool:
        """Whether the music rolls now."""
        return self.state == "rolling"

    @property
    def waiting_text(self) -> str:
        """What the music waits for before it begins; empty once it has begun."""
        if self.state == "armed":
            return "armed: waits for start"
        if self.state != "expecting":
            return ""
        clock_runs = self.clock is None or self.clock.rolling
        return f"armed: waits for {'' if clock_runs else 'a start of the clock, then for '}your first note"

    def beat_at(self, second: float) -> float:
        """Return the beat of the tempo at `second`; while the music does not roll, the beat at which it stands."""
        return self._timeline.tempo.beat_at(second) if self.rolling else self.stopped_beat

    def note_played_to(self, second: float) -> None:
        """Everything up to `second` has been played."""
        self._played_to_s = max(self._played_to_s, second)

    @property
    def reached_beat(self) -> float:
        """How far the music has been played; before it was, below every beat."""
        return self._timeline.beat_at(self._played_to_s) if self.rolling else self.stopped_beat

    def furthest_beat(self, second: float) -> float:
        """Return how far the beats have come at `second`; with a negative offset, what was played ahead counts."""
        second = max(second, self._played_to_s)
        return max(self._timeline.tempo.beat_at(second), self._timeline.beat_at(second))

    def stand_at(self, beat: float) -> None:
        """The music stops at `beat`, or later if it has stopped later before."""
        self.stopped_beat = max(self.stopped_beat, beat)

    def command(self, trigger: CommandTrigger, second: float) -> Transition:
        """Take the transition of a command at `second`, or of a note of the player; then `state` is the new one."""
        if self.clock is not None and trigger in ("start", "stop"):
            self.clock.request_rolling(trigger == "start", second)
        before, transition = self.state, self._take(trigger)
        if transition.then == "rejoin" and self.clock is not None and not self.clock.rolling:
            transition = Transition("waiting" if trigger == "start" else before)
            self.state = transition.state
        return transition

    def follow(self, item: ClockInput, second: float) -> Transition:
        """Pass a message to the clock source and take the transition that follows from what the clock does."""
        if self.clock is None:
            return Transition(self.state)
        was_running = self.clock.rolling
        self.clock.receive(item, second)
        if not self.clock.rolling:
            return self._take("clock stops") if was_running else Transition(self.state)
        if not was_running:
            return self._take("clock starts")
        return self._take("clock jumps") if self.clock.relocated else Transition(self.state)

    @property
    def lost_at(self) -> float:
        """The second at which the clock that is followed will count as lost; infinite if none is expected."""
        return math.inf if self.clock is None else self.clock.lost_at()

    def lose_clock(self) -> Transition:
        """The clock has not been heard for too long."""
        if self.clock is not None:
            self.clock.mark_lost()
        return self._take("clock stops")

    def _take(self, trigger: Trigger) -> Transition:
        table = INTERNAL if self.clock is None else FOLLOWING
        transition = table.get((self.state, trigger), Transition(self.state))
        self.state = transition.state
        return transition
