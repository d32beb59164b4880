# SPDX-License-Identifier: Apache-2.0
"""The MIDI clock we send: 24 ticks to the quarter note, from the same schedule as the notes.

At one beat the order is: releases, clock, notes. A tick is one byte, and who follows it should know of the beat when
its note comes; the note is later by the time of that one byte on the wire, alike on every beat.
"""

from __future__ import annotations

from sideman.core.events import ClockContinue, ClockStart, ClockStop, ClockTick, MidiEvent, SongPosition
from sideman.core.schedule import CLOCK, Schedule, Tick
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT

START_AHEAD_TICKS = 0.5
"""How long before its tick it is told that the clock begins: what follows us has to get ready."""
_TICKS_PER_SIXTEENTH = CLOCK_TICKS_PER_BEAT // 4
_SONG_POSITIONS = 1 << 14
"""So many sixteenths the song position can tell: 1,024 bars of 4/4. Beyond them it begins again."""


class MidiClockOut:
    """What a clock sends, and when: its ticks are in `schedule`, one at a time, numbered from beat 0."""

    def __init__(self, schedule: Schedule) -> None:
        self.running = False
        self.last_sent_tick = 0
        """The tick that was sent last, counted from the top of the music."""
        self._schedule = schedule
        self._pending: Tick | None = None  # any other in the schedule is passed over

    def schedule_tick(self, number: int, *, starts: bool) -> None:
        """Let the tick `number` be due, or, just before it, the word that it is next."""
        self._pending = Tick(number, starts)
        self._schedule.put(
            (number - START_AHEAD_TICKS if starts else number) / CLOCK_TICKS_PER_BEAT, CLOCK, self._pending
        )

    def cancel(self) -> None:
        """Let no tick be due."""
        self._pending = None

    def is_pending(self, tick: Tick) -> bool:
        """Whether `tick` is the one that is due."""
        return tick is self._pending

    def start_messages(self, tick: int) -> list[MidiEvent]:
        """The next tick is `tick`, counted from the top of the music.

        A place between two sixteenths cannot be told; who stopped with us there, is where our last tick was. That may
        be one tick before or behind the clock that we follow, whose stop came beside a tick.
        """
        self.running = True
        if tick == 0:
            return [ClockStart()]
        if tick % _TICKS_PER_SIXTEENTH:
            return [ClockContinue(), *([ClockTick()] if self.last_sent_tick == tick - 2 else [])]
        return [SongPosition(tick // _TICKS_PER_SIXTEENTH % _SONG_POSITIONS), ClockContinue()]

    def first_unsent_tick(self, tick: int) -> int:
        """The tick to send next where the music goes on with `tick`: not one that was sent and cannot be taken back."""
        return tick + 1 if tick % _TICKS_PER_SIXTEENTH and tick == self.last_sent_tick else tick

    def stop_messages(self) -> list[MidiEvent]:
        """Stop, if it runs."""
        was, self.running = self.running, False
        return [ClockStop()] if was else []


def next_sixteenth(tick: int) -> int:
    """The first tick after `tick` whose place can be told."""
    return (tick // _TICKS_PER_SIXTEENTH + 1) * _TICKS_PER_SIXTEENTH
