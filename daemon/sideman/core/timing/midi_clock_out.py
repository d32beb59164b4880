# SPDX-License-Identifier: Apache-2.0
"""The MIDI clock we send: 24 ticks to the quarter note, from the same schedule as the notes.

At one beat the order is: releases, clock, notes. A tick is one byte, and who follows it should know of the beat when
its note comes; the note is later by the time of that one byte on the wire, alike on every beat.
"""

from __future__ import annotations

from sideman.core.events import ClockContinue, ClockStart, ClockStop, ClockTick, Event, SongPosition
from sideman.core.schedule import CLOCK, Schedule, Tick
from sideman.core.timing.pll import TICKS_A_BEAT

AHEAD_TICKS = 0.5
"""How long before its tick it is told that the clock begins: what follows us has to get ready."""
_SIXTEENTH = TICKS_A_BEAT // 4
_PLACES = 1 << 14
"""So many sixteenths the song position can tell: 1,024 bars of 4/4. Beyond them it begins again."""


class ClockOut:
    """What a clock sends, and when: its ticks are in `schedule`, one at a time, numbered from beat 0."""

    def __init__(self, schedule: Schedule) -> None:
        self.runs = False
        self.sent = 0
        """The tick that was sent last, counted from the top of the music."""
        self._schedule = schedule
        self._due: Tick | None = None  # any other in the schedule is passed over

    def put(self, number: int, *, begins: bool) -> None:
        """Let the tick `number` be due, or, just before it, the word that it is next."""
        self._due = Tick(number, begins)
        self._schedule.put((number - AHEAD_TICKS if begins else number) / TICKS_A_BEAT, CLOCK, self._due)

    def drop(self) -> None:
        """Let no tick be due."""
        self._due = None

    def awaits(self, tick: Tick) -> bool:
        """Whether `tick` is the one that is due."""
        return tick is self._due

    def begin(self, tick: int) -> list[Event]:
        """The next tick is `tick`, counted from the top of the music.

        A place between two sixteenths cannot be told; who stopped with us there, is where our last tick was. That may
        be one tick before or behind the clock that we follow, whose stop came beside a tick.
        """
        self.runs = True
        if tick == 0:
            return [ClockStart()]
        if tick % _SIXTEENTH:
            return [ClockContinue(), *([ClockTick()] if self.sent == tick - 2 else [])]
        return [SongPosition(tick // _SIXTEENTH % _PLACES), ClockContinue()]

    def first(self, tick: int) -> int:
        """The tick to send next where the music goes on with `tick`: not one that was sent and cannot be taken back."""
        return tick + 1 if tick % _SIXTEENTH and tick == self.sent else tick

    def end(self) -> list[Event]:
        """Stop, if it runs."""
        was, self.runs = self.runs, False
        return [ClockStop()] if was else []


def next_sixteenth(tick: int) -> int:
    """The first tick after `tick` whose place can be told."""
    return (tick // _SIXTEENTH + 1) * _SIXTEENTH
