# SPDX-License-Identifier: Apache-2.0
"""Somebody else's MIDI clock -> where the music is, and whether it goes on.

The tempo and phase come from the ticks (`ClockPLL`), the place from start, continue and the song position, as the
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

from sideman.core.events import ClockContinue, ClockMessage, ClockStart, ClockStop, ClockTick, LinkState, SongPosition
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT, CLOCK_TICKS_PER_SIXTEENTH, ClockPLL
from sideman.core.timing.tempo import Tempo

_LOST_TICKS = 3 * CLOCK_TICKS_PER_BEAT // 2
_TEMPO_CHANGE_BPM = 0.5  # beats a minute, from which a change is told
_EXCESS_TICKS_RATIO = 1.2


class MidiClockFollower:
    """Follows a clock that is expected to go at `bpm`; `on_change` is called when `status_text` has become another."""

    def __init__(self, bpm: float, *, wait_start: bool = True, on_change: Callable[[], None] = lambda: None) -> None:
        self.rolling = False
        """Whether the music goes on now."""
        self.relocated = False
        """Whether it is at a place it did not come to by going on; whoever goes there takes this back."""
        self._wait_start = wait_start
        self._on_change = on_change
        self._pll = ClockPLL(bpm)
        self._alive = False
        self._stopped = False
        self._armed = False  # the next tick is the one where the music goes on
        self._armed_s = 0.0
        self._tick = 0  # the last, counted from the top of the music
        self._resume_tick: int | None = None  # where the music goes on; None: nobody has said
        self._was_lost = False
        self._reported_bpm = 0.0  # as told
        self._measured_ticks, self._measured_from_s = 0, 0.0  # since it was measured last
        self._measured_messages, self._has_excess_ticks = 0, False
        self._reported_text = self.status_text

    @property
    def tempo(self) -> Tempo:
        """From beats of the music, from its top, to seconds."""
        return Tempo(self._pll.bpm, self._pll.last_tick_s, self._tick / CLOCK_TICKS_PER_BEAT)

    @property
    def tick(self) -> int:
        """The last tick, counted from the top of the music."""
        return self._tick

    @property
    def status_text(self) -> str:
        """What it does, in words."""
        if self.rolling:
            much = "; more ticks come than that: is the clock connected twice?" if self._has_excess_ticks else ""
            return f"following {self._reported_bpm:.1f} bpm{much}" if self._reported_bpm else "following the clock"
        if self._stopped:
            return "stopped by the clock"
        if self._alive and self._reported_bpm:
            return f"hearing a clock at {self._reported_bpm:.1f} bpm, waiting for its start"
        return "clock lost, waiting for it" if self._was_lost else "waiting for clock"

    def receive(self, item: ClockMessage | LinkState, second: float) -> None:
        """Take a message of the clock that came at `second`."""
        match item:
            case ClockTick():
                self._receive_tick(second)
            case ClockStart():
                self._locate(0)
                self._arm(second)
            case SongPosition(sixteenths):
                self._locate(sixteenths * CLOCK_TICKS_PER_SIXTEENTH)
                if not self._stopped:
                    self._arm(second)
            case ClockContinue() if not self.rolling:
                if self._resume_tick is None:
                    self._locate(0)
                self._arm(second)
            case ClockStop():
                self._stop_rolling()
                self._stopped, self._armed, self._alive = True, False, False
            case _:
                pass
        self._notify_if_changed()

    def set_port_period(self, period_s: float) -> None:
        """The port carries its messages in rounds, so many seconds apart; 0: each at once."""
        self._pll.port_period_s = period_s

    def lost_at(self) -> float:
        """The second when the clock will be lost, if no tick comes before; infinite while none is expected."""
        if not self._alive or self._stopped:
            return math.inf
        return max(self._pll.last_arrival_s, self._armed_s) + _LOST_TICKS * self._pll.period_s

    def mark_lost(self) -> None:
        """It is lost, and the music has gone on without it until now."""
        self._tick += _LOST_TICKS
        self._stop_rolling()
        self._alive, self._armed, self._was_lost, self._reported_bpm = False, False, True, 0.0
        self._notify_if_changed()

    def request_tempo(self, bpm: float) -> None:
        """Who sends a MIDI clock cannot be asked."""

    def _receive_tick(self, second: float) -> None:
        if self._armed:
            self._pll.restart_phase(second)
        passed = self._pll.receive_tick(second)
        self._alive = True
        if self.rolling:
            self._tick += passed
        elif self._armed and self._resume_tick is not None:
            self._roll(self._resume_tick)
        elif not (self._wait_start or self._stopped):
            if self._resume_tick is None:
                self._locate(0)
            self._roll(-(-(self._resume_tick or 0) // CLOCK_TICKS_PER_BEAT) * CLOCK_TICKS_PER_BEAT)
        self._measure_tempo(passed)

    def _measure_tempo(self, passed: int) -> None:
        """The tempo to be told: that of whole beats, which wavers less than the line."""
        self._measured_ticks += passed
        self._measured_messages += 1
        if not self._pll.locked:
            self._measured_ticks, self._measured_messages, self._measured_from_s = 0, 0, self._pll.last_tick_s
            return
        if not self._reported_bpm:
            self._reported_bpm = self._pll.bpm
        if self._measured_ticks >= CLOCK_TICKS_PER_BEAT:
            bpm = (
                60.0
                / CLOCK_TICKS_PER_BEAT
                * self._measured_ticks
                / max(self._pll.last_tick_s - self._measured_from_s, 1e-3)
            )
            self._has_excess_ticks = self._measured_messages > _EXCESS_TICKS_RATIO * self._measured_ticks
            self._measured_ticks, self._measured_messages, self._measured_from_s = 0, 0, self._pll.last_tick_s
            if abs(bpm - self._reported_bpm) >= _TEMPO_CHANGE_BPM:
                self._reported_bpm = bpm

    def _locate(self, tick: int) -> None:
        self._stop_rolling()
        self._resume_tick, self.relocated = tick, True

    def _arm(self, second: float) -> None:
        self._armed, self._armed_s, self._stopped = True, second, False

    def _roll(self, tick: int) -> None:
        self._tick = tick
        self.rolling, self._armed, self._was_lost = True, False, False

    def _stop_rolling(self) -> None:
        if self.rolling:
            self.rolling, self._resume_tick = False, self._tick + 1

    def _notify_if_changed(self) -> None:
        if self.status_text != self._reported_text:
            self._reported_text = self.status_text
            self._on_change()
