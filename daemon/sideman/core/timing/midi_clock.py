# SPDX-License-Identifier: Apache-2.0
"""Somebody else's MIDI clock -> where the music is, and whether it goes on.

The tempo and phase come from the ticks (`ClockFilter`), the place from start, continue and the song position, as the
MIDI 1.0 specification has them: each says what the *next* tick is. What it leaves open is settled so:

- A clock that already runs when we arrive has a tempo and no place. It is followed in silence until it starts,
  continues or tells its position; without `wait_start` its first tick is taken for the first beat.
- Continue without any place told before goes on from the top. Start while the music goes on begins anew.
- The position, told while the music goes on or is waited for, is taken up with the next tick; after a stop the music
  waits for continue.
- A clock that is silent for a beat and a half without having stopped is lost. What comes later needs a start; without
  `wait_start` the music goes on from the next beat with the first tick.
- Where many more ticks come than the music goes on by (two cables from one machine; a tempo beyond the fastest), that
  is told. A clock that is doubled from its first tick on, and not too fast so, cannot be known for one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sideman.core.events import ClockContinue, ClockStart, ClockStop, ClockTick, LinkState, SongPosition, Timing
from sideman.core.timing.pll import TICKS_A_BEAT, ClockFilter
from sideman.core.timing.tempo import Tempo

TICKS_A_SIXTEENTH = TICKS_A_BEAT // 4
_LOST_TICKS = 3 * TICKS_A_BEAT // 2
_ANOTHER_TEMPO = 0.5  # beats a minute, from which a change is told
_TOO_MANY = 1.2


class Followed(Protocol):
    """Somebody else's clock, as the engine follows it. Beats and ticks are counted from the top of the music."""

    rolling: bool
    """Whether the music goes on now."""
    moved: bool
    """Whether it is at a place it did not come to by going on; whoever goes there takes this back."""

    @property
    def line(self) -> Tempo:
        """From beats to seconds. A beat below 0: the music is about to begin."""

    @property
    def tick(self) -> int:
        """The tick with which a clock of ours may begin: where the line is now, or one to come."""

    @property
    def text(self) -> str:
        """What it does, in words."""

    def hear(self, item: Timing | LinkState, second: float) -> None:
        """Take in what came of it at `second`."""

    def ends_at(self) -> float:
        """The second when it will be lost, unless something comes before; may be infinite."""

    def lose(self) -> None:
        """It is lost."""

    def propose(self, bpm: float) -> None:
        """We are asked for another tempo; who follows what cannot be asked goes on as before."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Which clocks of others there are: one that is followed, and whether a MIDI clock is sent."""

    followed: Followed | None = None
    sent: bool = False


ALONE = Clocks()


class Transport:
    """Follows a clock that is expected to go at `bpm`; `tell` is called when `text` has become another."""

    def __init__(self, bpm: float, *, wait_start: bool = True, tell: Callable[[], None] = lambda: None) -> None:
        self.rolling = False
        """Whether the music goes on now."""
        self.moved = False
        """Whether it is at a place it did not come to by going on; whoever goes there takes this back."""
        self._wait_start = wait_start
        self._tell = tell
        self._filter = ClockFilter(bpm)
        self._alive = False
        self._stopped = False
        self._armed = False  # the next tick is the one where the music goes on
        self._armed_at = 0.0
        self._tick = 0  # the last, counted from the top of the music
        self._next: int | None = None  # where the music goes on; None: nobody has said
        self._lost = False
        self._bpm = 0.0  # as told
        self._ticks, self._since = 0, 0.0  # since it was measured last
        self._messages, self._too_many = 0, False
        self._text = self.text

    @property
    def line(self) -> Tempo:
        """From beats of the music, from its top, to seconds."""
        return Tempo(self._filter.bpm, self._filter.second, self._tick / TICKS_A_BEAT)

    @property
    def tick(self) -> int:
        """The last tick, counted from the top of the music."""
        return self._tick

    @property
    def text(self) -> str:
        """What it does, in words."""
        if self.rolling:
            much = "; more ticks come than that: is the clock connected twice?" if self._too_many else ""
            return f"following {self._bpm:.1f} bpm{much}" if self._bpm else "following the clock"
        if self._stopped:
            return "stopped by the clock"
        if self._alive and self._bpm:
            return f"hearing a clock at {self._bpm:.1f} bpm, waiting for its start"
        return "clock lost, waiting for it" if self._lost else "waiting for clock"

    def hear(self, item: Timing | LinkState, second: float) -> None:
        """Take a message of the clock that came at `second`."""
        match item:
            case ClockTick():
                self._hear_tick(second)
            case ClockStart():
                self._go_to(0)
                self._arm(second)
            case SongPosition(sixteenths):
                self._go_to(sixteenths * TICKS_A_SIXTEENTH)
                if not self._stopped:
                    self._arm(second)
            case ClockContinue() if not self.rolling:
                if self._next is None:
                    self._go_to(0)
                self._arm(second)
            case ClockStop():
                self._halt()
                self._stopped, self._armed, self._alive = True, False, False
            case _:
                pass
        self._tell_change()

    def arrives_in(self, rounds: float) -> None:
        """The port carries its messages in rounds, so many seconds apart; 0: each at once."""
        self._filter.rounds = rounds

    def ends_at(self) -> float:
        """The second when the clock will be lost, if no tick comes before; infinite while none is expected."""
        if not self._alive or self._stopped:
            return math.inf
        return max(self._filter.heard, self._armed_at) + _LOST_TICKS * self._filter.period

    def lose(self) -> None:
        """It is lost, and the music has gone on without it until now."""
        self._tick += _LOST_TICKS
        self._halt()
        self._alive, self._armed, self._lost, self._bpm = False, False, True, 0.0
        self._tell_change()

    def propose(self, bpm: float) -> None:
        """Who sends a MIDI clock cannot be asked."""

    def _hear_tick(self, second: float) -> None:
        if self._armed:
            self._filter.seat(second)
        passed = self._filter.tick(second)
        self._alive = True
        if self.rolling:
            self._tick += passed
        elif self._armed and self._next is not None:
            self._roll(self._next)
        elif not (self._wait_start or self._stopped):
            if self._next is None:
                self._go_to(0)
            self._roll(-(-(self._next or 0) // TICKS_A_BEAT) * TICKS_A_BEAT)
        self._measure(passed)

    def _measure(self, passed: int) -> None:
        """The tempo to be told: that of whole beats, which wavers less than the line."""
        self._ticks += passed
        self._messages += 1
        if not self._filter.locked:
            self._ticks, self._messages, self._since = 0, 0, self._filter.second
            return
        if not self._bpm:
            self._bpm = self._filter.bpm
        if self._ticks >= TICKS_A_BEAT:
            bpm = 60.0 / TICKS_A_BEAT * self._ticks / max(self._filter.second - self._since, 1e-3)
            self._too_many = self._messages > _TOO_MANY * self._ticks
            self._ticks, self._messages, self._since = 0, 0, self._filter.second
            if abs(bpm - self._bpm) >= _ANOTHER_TEMPO:
                self._bpm = bpm

    def _go_to(self, tick: int) -> None:
        self._halt()
        self._next, self.moved = tick, True

    def _arm(self, second: float) -> None:
        self._armed, self._armed_at, self._stopped = True, second, False

    def _roll(self, tick: int) -> None:
        self._tick = tick
        self.rolling, self._armed, self._lost = True, False, False

    def _halt(self) -> None:
        if self.rolling:
            self.rolling, self._next = False, self._tick + 1

    def _tell_change(self) -> None:
        if self.text != self._text:
            self._text = self.text
            self._tell()
