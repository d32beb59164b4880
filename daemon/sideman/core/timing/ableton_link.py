# SPDX-License-Identifier: Apache-2.0
"""Follows an Ableton Link session: whether the music rolls, where it is, and its tempo.

The programs in a Link session share a tempo, a beat that has the same position in the bar in all of them, and whether
the session plays. A session has no position in a song. Therefore:

- The music starts at its top on the session's next bar line when the session plays. Without `wait_start`, or after a
  start by a command, it starts although the session does not play; once the session has played, its stops and starts
  count.
- A stop of the session stops the music; the next start begins at the top.
- If the session's beat jumps (two sessions have joined), the music continues at the nearest position with the same
  place in the bar as the session. A difference of at most `JUMP_BEATS` only moves the music a little.
- A session is never lost: a program that is alone in it goes on.

All bars of a session have one length, that of the chart's first meter. After a change of meter the bar lines of the
music differ from those of the session until the beats add up again.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec.structs import replace

from sideman.core.events import ClockInput, LinkState
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT, next_sixteenth
from sideman.core.timing.tempo import Tempo

JUMP_BEATS = 0.1
"""A greater difference between the session's beat and the expected one is a jump."""


class LinkFollower:
    """Follows a session whose bars have `bar_beats` quarter notes.

    `on_change` is called when `status_text` has changed, `request_tempo` to ask the session for another tempo.
    """

    def __init__(
        self,
        bar_beats: float,
        wait_start: bool = True,
        on_change: Callable[[], None] = lambda: None,
        request_tempo: Callable[[float], None] = lambda _bpm: None,
    ) -> None:
        self.rolling = False
        self.relocated = False
        self._bar_beats = bar_beats
        self._starts_unprompted = not wait_start  # the music rolls although the session does not play
        self._on_change = on_change
        self.request_tempo = request_tempo  # it is in force when the session has taken it over
        self._state: LinkState | None = None
        self._session_tempo = Tempo(120.0, 0.0, 0.0)  # from beats of the session to seconds
        self._start_beat = 0.0  # the beat of the session on which the music begins
        self._shown_text = self.status_text

    @property
    def tempo(self) -> Tempo:
        """From beats, counted from the top of the music, to seconds, by the session's last state."""
        session = self._session_tempo
        return Tempo(session.bpm, session.second, session.beat - self._start_beat)

    @property
    def tick(self) -> int:
        """The next tick on a sixteenth note, whose position can be sent; 0 before the top."""
        return max(0, next_sixteenth(math.floor(self.tempo.beat * CLOCK_TICKS_PER_BEAT)))

    @property
    def status_text(self) -> str:
        """What the session does, in words for the log."""
        if self._state is None:
            return "looking for a Link session"
        peers = f"{self._state.peers} other{'' if self._state.peers == 1 else 's'}" if self._state.peers else "alone"
        state = "following Link" if self.rolling else "waiting for the start of Link"
        return f"{state} at {self._state.bpm:.1f} bpm, {peers}"

    def receive(self, item: ClockInput, second: float) -> None:
        """Take in the state of the session at `second`; messages of a MIDI clock are ignored."""
        if not isinstance(item, LinkState):
            return
        expected_beat, self._state = self._session_tempo.beat_at(second), item
        self._session_tempo = Tempo(item.bpm, second, item.beat)
        self._starts_unprompted = self._starts_unprompted and not item.playing
        if not (item.playing or self._starts_unprompted):
            self.rolling = False
        elif self.rolling:  # follow a jump of the beat, but not by whole bars
            jump_beats = item.beat - expected_beat
            whole_bars = round(jump_beats / self._bar_beats) * self._bar_beats
            self._start_beat += whole_bars
            self.relocated = self.relocated or abs(jump_beats - whole_bars) > JUMP_BEATS
        else:  # start at the next bar line
            self._start_beat = math.ceil(item.beat / self._bar_beats) * self._bar_beats
            self.rolling = self.relocated = True
        if self.status_text != self._shown_text:
            self._shown_text = self.status_text
            self._on_change()

    def lost_at(self) -> float:
        """See `ClockSource`. A session is never lost."""
        return math.inf

    def mark_lost(self) -> None:
        """See `ClockSource`. A session is never lost."""

    def request_rolling(self, rolling: bool, second: float) -> None:
        """See `ClockSource`. Others in the session are not started or stopped from here.

        A start begins on the next bar line, also if the session does not seem to play: it may have played before we
        joined it, which Link does not tell.
        """
        if self._state is not None and self._state.playing:
            return
        self._starts_unprompted = rolling
        if self._state is not None:
            self.receive(replace(self._state, beat=self._session_tempo.beat_at(second)), second)

    def set_port_period(self, period_s: float) -> None:
        """See `ClockSource`. A session does not come through a MIDI port."""
