# SPDX-License-Identifier: Apache-2.0
"""The MIDI clock that we send: a part of the performance whose onsets are ticks, 24 a quarter note.

On one beat the order is: note ends, the clock, notes. A tick is one byte; who follows our clock should know the beat
when its note comes. The note comes later by the time of that one byte on the wire, the same on every beat.

With `tempo.clock_when_stopped` the ticks go on between a stop and the next start, in the tempo in force. They have no
position: who follows the clock waits for the start. While the music does not roll, the engine asks for them separately.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sideman.core.events import ClockContinue, ClockStart, ClockStop, ClockTick, MidiEvent, SongPosition
from sideman.core.parts.part import CLOCK_RANK, Part
from sideman.core.positions import reached_beat
from sideman.core.timeline import Timeline
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT, CLOCK_TICKS_PER_SIXTEENTH, next_sixteenth

START_AHEAD_TICKS = 0.5
"""How long before its first tick the clock announces its start, so that followers can get ready."""
_SONG_POSITIONS = 1 << 14
"""How many sixteenths a song position can count: 1,024 bars of 4/4. After them it begins again."""


class MidiClockOut(Part):
    """Sends a MIDI clock in the time of `timeline`."""

    rank = CLOCK_RANK
    decision = 0

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._running = False
        self._last_sent = 0  # tick, counted from the top of the music
        self._next: int | None = None  # tick, counted from beat 0
        self._free: int | None = None  # the next tick without a position, counted from beat 0
        self._starts = False  # what is next is not the tick itself, but the message that it is the next
        self._invites = False  # somebody has connected and does not know yet where the music is

    # -- the part

    def next_beat(self) -> float:
        """See `Part`."""
        return min(self._announced_beat, self.free_beat)

    @property
    def _announced_beat(self) -> float:
        if self._next is None:
            return math.inf
        return (self._next - (START_AHEAD_TICKS if self._starts else 0)) / CLOCK_TICKS_PER_BEAT

    def play(self, second: float) -> Sequence[MidiEvent]:
        """See `Part`. If the machine stood still for more than a beat, the clock stops and starts at a new place."""
        if self.free_beat < self._announced_beat:
            return self.play_free(second)
        tick, self._next = self._next, None
        if tick is None:
            return []
        if self._starts:
            return self._start(tick - self._top)
        now = math.floor(self._timeline.beat_at(second) * CLOCK_TICKS_PER_BEAT)
        if now - tick > CLOCK_TICKS_PER_BEAT:
            self._announce(next_sixteenth(now), starts=True)
            return self.stop_messages()
        self._last_sent = tick - self._top
        self._announce(tick + 1, starts=self._invites and (self._last_sent + 1) % CLOCK_TICKS_PER_SIXTEENTH == 0)
        return [ClockTick()]

    def relocate(self) -> None:
        """See `Part`. No tick is announced until the clock is started again."""
        self._next, self._invites = None, False

    # -- ticks without a position

    @property
    def free_beat(self) -> float:
        """The beat of the next tick without a position; infinite if there is none."""
        return math.inf if self._free is None else self._free / CLOCK_TICKS_PER_BEAT

    def run_free(self, second: float) -> None:
        """Send ticks without a position from `second` on, in the tempo in force, until the clock is started."""
        if self._timeline.live.settings.tempo.clock_when_stopped and not self._running:
            self._free = math.floor(reached_beat(self._timeline.beat_at(second)) * CLOCK_TICKS_PER_BEAT) + 1

    def play_free(self, second: float) -> Sequence[MidiEvent]:
        """Play the next tick without a position, but none again for the time in which the machine stood still."""
        if self._free is None:
            return []
        now = math.floor(self._timeline.beat_at(second) * CLOCK_TICKS_PER_BEAT)
        self._free = max(self._free + 1, now - CLOCK_TICKS_PER_BEAT)
        return [ClockTick()]

    # -- starting and stopping

    def invite(self) -> None:
        """Send the position and continue once more while the clock runs, for those who have connected meanwhile.

        That is done half a tick before the next tick whose position can be sent. For those who follow the clock
        already it is the place where they are.
        """
        self._invites = self._running

    def start_at(self, beat: float) -> None:
        """Start with the tick on `beat`."""
        self._announce(round(beat * CLOCK_TICKS_PER_BEAT), starts=True)

    def start_after(self, tick: int) -> None:
        """Start with the first tick after `tick`, counted from the top, whose position can be sent."""
        self._announce(next_sixteenth(tick + self._top), starts=True)

    def join(self, tick: int, beat: float) -> list[MidiEvent]:
        """Start with `tick` of a clock that we follow; both are counted from the top, and the music is on `beat`.

        Returns what to send now. A tick that is still to come is announced when it is near.
        """
        if tick <= reached_beat(beat) * CLOCK_TICKS_PER_BEAT:
            return self._start(tick)
        self._announce(tick + self._top, starts=True)
        return []

    def stop_messages(self) -> list[MidiEvent]:
        """Stop the clock if it runs, and return what to send."""
        was_running, self._running = self._running, False
        return [ClockStop()] if was_running else []

    @property
    def _top(self) -> int:
        """The tick of the top of the music."""
        return round(self._timeline.top * CLOCK_TICKS_PER_BEAT)

    def _announce(self, number: int, *, starts: bool) -> None:
        if number < self._timeline.end * CLOCK_TICKS_PER_BEAT:
            self._next, self._starts = number, starts

    def _start(self, tick: int) -> list[MidiEvent]:
        """Start with `tick`, counted from the top, or the one after it if it has been sent; returns what says so.

        A position between two sixteenths cannot be sent: a follower that stopped with us stands at our last tick.
        That may be one tick before or after the clock that we follow, if its stop came close to a tick.
        """
        was_sent = tick % CLOCK_TICKS_PER_SIXTEENTH and tick == self._last_sent
        self._announce((tick + 1 if was_sent else tick) + self._top, starts=False)
        self._running, self._free, self._invites = True, None, False
        if tick == 0:
            return [ClockStart()]
        if tick % CLOCK_TICKS_PER_SIXTEENTH:
            return [ClockContinue(), *([ClockTick()] if self._last_sent == tick - 2 else [])]
        return [SongPosition(tick // CLOCK_TICKS_PER_SIXTEENTH % _SONG_POSITIONS), ClockContinue()]
