# SPDX-License-Identifier: Apache-2.0
"""An Ableton Link session -> where the music is, and whether it goes on.

Link shares a tempo, a beat that is alike in all programs by the bar, and whether the session plays. It knows of no
place in a song. So:

- The music begins at its top, with the session's next bar line, when the session plays or is started. Without
  `wait_start` it begins though nobody has started the session; a stop, and what comes after it, holds for it all the
  same.
- A stop silences it; after that it begins at its top.
- Where the session's beat jumps (two sessions become one), the music goes to the nearest place that lies in its bar as
  the session now does. What is less than `JUMP` of a beat off is only moved along.
- A session is never lost: who is left alone in it goes on.

A session has bars of one length: those of the chart's first meter. Where the meter changes, the music's bar lines go
their own way, and come together with the session's again where the beats add up.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from sideman.core.events import LinkState, Timing
from sideman.core.timing.midi_clock_out import next_sixteenth
from sideman.core.timing.pll import TICKS_A_BEAT
from sideman.core.timing.tempo import Tempo

JUMP = 0.1


class LinkTransport:
    """Follows a session whose bars have `bar` quarter notes.

    `tell` is called when `text` has become another, `ask` to give the session another tempo.
    """

    def __init__(
        self,
        bar: float,
        *,
        wait_start: bool = True,
        tell: Callable[[], None] = lambda: None,
        ask: Callable[[float], None] = lambda _bpm: None,
    ) -> None:
        self.rolling = False
        self.moved = False
        self._bar = bar
        self._unasked = not wait_start  # it plays though nobody has started the session
        self._tell = tell
        self._ask = ask
        self._state: LinkState | None = None
        self._session = Tempo(120.0, 0.0, 0.0)  # from the session's beats to seconds
        self._top = 0.0  # the beat of the session on which the music begins
        self._text = self.text

    @property
    def line(self) -> Tempo:
        """From beats of the music to seconds, by the last that was heard of the session."""
        session = self._session
        return Tempo(session.bpm, session.second, session.beat - self._top)

    @property
    def tick(self) -> int:
        """The next tick whose place can be told: the top, if that is to come."""
        return max(0, next_sixteenth(math.floor(self.line.beat * TICKS_A_BEAT)))

    @property
    def text(self) -> str:
        """What it does, in words."""
        if self._state is None:
            return "looking for a Link session"
        peers = f"{self._state.others} other{'' if self._state.others == 1 else 's'}" if self._state.others else "alone"
        does = "following Link" if self.rolling else "waiting for the start of Link"
        return f"{does} at {self._state.bpm:.1f} bpm, {peers}"

    def hear(self, item: Timing | LinkState, second: float) -> None:
        """Take in how the session stands at `second`. A MIDI clock that comes in as well is none of ours."""
        if not isinstance(item, LinkState):
            return
        before, self._state = self._session.beat_at(second), item
        self._session = Tempo(item.bpm, second, item.beat)
        self._unasked = self._unasked and not item.playing
        if not (item.playing or self._unasked):
            self.rolling = False
        elif self.rolling:
            self._keep_place(item.beat - before)
        else:
            self._begin()
        if self.text != self._text:
            self._text = self.text
            self._tell()

    def ends_at(self) -> float:
        """Never."""
        return math.inf

    def lose(self) -> None:
        """It is never lost."""

    def propose(self, bpm: float) -> None:
        """Ask the session for another tempo; it is ours when the session has it."""
        self._ask(bpm)

    def _begin(self) -> None:
        self._top = math.ceil(self._session.beat / self._bar) * self._bar
        self.rolling = self.moved = True

    def _keep_place(self, further: float) -> None:
        """The session's beat is `further` than it would be by what was heard of it before."""
        bars = round(further / self._bar) * self._bar
        self._top += bars
        self.moved = self.moved or abs(further - bars) > JUMP
