# SPDX-License-Identifier: Apache-2.0
"""An Ableton Link session -> where the music is, and whether it goes on.

Link shares a tempo, a beat that is alike in all programs by the bar, and whether the session plays. It knows of no
place in a song. So:

- The music begins at its top, with the session's next bar line, when the session plays or is started. Without
  `wait_start` it begins though nobody has started the session; a stop, and what comes after it, holds for it all the
  same.
- A stop silences it; after that it begins at its top.
- Where the session's beat jumps (two sessions become one), the music goes to the nearest place that lies in its bar as
  the session now does. What is less than `JUMP_BEATS` of a beat off is only moved along.
- A session is never lost: who is left alone in it goes on.

A session has bars of one length: those of the chart's first meter. Where the meter changes, the music's bar lines go
their own way, and come together with the session's again where the beats add up.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from sideman.core.events import ClockMessage, LinkState
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT, next_sixteenth
from sideman.core.timing.tempo import Tempo

JUMP_BEATS = 0.1


class LinkFollower:
    """Follows a session whose bars have `bar_beats` quarter notes.

    `on_change` is called when `status_text` has become another, `request_tempo` to give the session another tempo.
    """

    def __init__(
        self,
        bar_beats: float,
        *,
        wait_start: bool = True,
        on_change: Callable[[], None] = lambda: None,
        request_tempo: Callable[[float], None] = lambda _bpm: None,
    ) -> None:
        self.rolling = False
        self.relocated = False
        self._bar_beats = bar_beats
        self._starts_unprompted = not wait_start  # it plays though nobody has started the session
        self._on_change = on_change
        self._request_tempo = request_tempo
        self._state: LinkState | None = None
        self._session_tempo = Tempo(120.0, 0.0, 0.0)  # from the session's beats to seconds
        self._start_beat = 0.0  # the beat of the session on which the music begins
        self._reported_text = self.status_text

    @property
    def tempo(self) -> Tempo:
        """From beats of the music to seconds, by the last that was heard of the session."""
        session = self._session_tempo
        return Tempo(session.bpm, session.second, session.beat - self._start_beat)

    @property
    def tick(self) -> int:
        """The next tick whose place can be told: the top, if that is to come."""
        return max(0, next_sixteenth(math.floor(self.tempo.beat * CLOCK_TICKS_PER_BEAT)))

    @property
    def status_text(self) -> str:
        """What it does, in words."""
        if self._state is None:
            return "looking for a Link session"
        peers = f"{self._state.peers} other{'' if self._state.peers == 1 else 's'}" if self._state.peers else "alone"
        does = "following Link" if self.rolling else "waiting for the start of Link"
        return f"{does} at {self._state.bpm:.1f} bpm, {peers}"

    def receive(self, item: ClockMessage | LinkState, second: float) -> None:
        """Take in how the session stands at `second`. A MIDI clock that comes in as well is none of ours."""
        if not isinstance(item, LinkState):
            return
        before, self._state = self._session_tempo.beat_at(second), item
        self._session_tempo = Tempo(item.bpm, second, item.beat)
        self._starts_unprompted = self._starts_unprompted and not item.playing
        if not (item.playing or self._starts_unprompted):
            self.rolling = False
        elif self.rolling:
            self._follow_beat(item.beat - before)
        else:
            self._start_at_next_bar()
        if self.status_text != self._reported_text:
            self._reported_text = self.status_text
            self._on_change()

    def lost_at(self) -> float:
        """Never."""
        return math.inf

    def mark_lost(self) -> None:
        """It is never lost."""

    def request_tempo(self, bpm: float) -> None:
        """Ask the session for another tempo; it is ours when the session has it."""
        self._request_tempo(bpm)

    def set_port_period(self, period_s: float) -> None:
        """See `ClockSource`. A session does not come through a MIDI port."""

    def _start_at_next_bar(self) -> None:
        self._start_beat = math.ceil(self._session_tempo.beat / self._bar_beats) * self._bar_beats
        self.rolling = self.relocated = True

    def _follow_beat(self, jump_beats: float) -> None:
        """The session's beat is `further` than it would be by what was heard of it before."""
        bars = round(jump_beats / self._bar_beats) * self._bar_beats
        self._start_beat += bars
        self.relocated = self.relocated or abs(jump_beats - bars) > JUMP_BEATS
