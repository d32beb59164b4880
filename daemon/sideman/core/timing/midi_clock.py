# SPDX-License-Identifier: Apache-2.0
"""Follows an incoming MIDI clock: whether the music rolls, where it is, and its tempo.

The tempo and the phase come from the ticks (`ClockPLL`). The position comes from start, continue and song position, as
the MIDI 1.0 specification says: each message gives the position of the *next* tick. The specification leaves some
cases open. Here they are:

- A clock that already runs when we connect has a tempo but no position. Its tempo is followed in silence until a start,
  a continue or a song position arrives. Without `wait_start` its first tick is the first beat.
- Continue without a known position starts at the top. Start while the music rolls starts again at the top.
- A song position while the music rolls, or is about to roll, takes effect with the next tick. After a stop the music
  waits for continue.
- If no tick arrives for a beat and a half, without a stop before, the clock is lost. If it comes back it needs a start;
  without `wait_start` the music continues at the next beat with the first tick.
- If many more ticks arrive than the music advances by (two cables from one machine, or a tempo beyond the limit), the
  status text says so. A clock that is doubled from its first tick on, and not beyond the limit, cannot be noticed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from sideman.core.events import ClockContinue, ClockInput, ClockStart, ClockStop, ClockTick, SongPosition
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT, CLOCK_TICKS_PER_SIXTEENTH, ClockPLL
from sideman.core.timing.tempo import Tempo

_LOST_TICKS = 3 * CLOCK_TICKS_PER_BEAT // 2
_TEMPO_CHANGE_BPM = 0.5  # smaller changes are not shown
_EXCESS_TICKS_RATIO = 1.2  # of tick messages to the ticks of the music


class MidiClockFollower:
    """Follows a clock, expected at `bpm`; `on_change` is called when `status_text` has changed."""

    def __init__(self, bpm: float, *, wait_start: bool = True, on_change: Callable[[], None] = lambda: None) -> None:
        self.rolling = False
        self.relocated = False
        self.tick = 0
        """The last tick, counted from the top of the music."""
        self._wait_start = wait_start
        self._on_change = on_change
        self._pll = ClockPLL(bpm)
        self._alive = False
        self._stopped = False
        self._armed = False  # the music rolls from the next tick on
        self._armed_s = 0.0
        self._resume_tick: int | None = None  # where the music continues; None: not known
        self._was_lost = False
        self._shown_bpm = 0.0
        self._measured_ticks, self._measured_from_s = 0, 0.0  # since the tempo was measured last
        self._measured_messages, self._has_excess_ticks = 0, False
        self._shown_text = self.status_text

    @property
    def tempo(self) -> Tempo:
        """From beats, counted from the top of the music, to seconds."""
        return Tempo(self._pll.bpm, self._pll.last_tick_s, self.tick / CLOCK_TICKS_PER_BEAT)

    @property
    def status_text(self) -> str:
        """What the clock does, in words for the log."""
        if self.rolling:
            excess = "; more ticks come than that: is the clock connected twice?" if self._has_excess_ticks else ""
            return f"following {self._shown_bpm:.1f} bpm{excess}" if self._shown_bpm else "following the clock"
        if self._stopped:
            return "stopped by the clock"
        if self._alive and self._shown_bpm:
            return f"hearing a clock at {self._shown_bpm:.1f} bpm, waiting for its start"
        return "clock lost, waiting for it" if self._was_lost else "waiting for clock"

    def receive(self, item: ClockInput, second: float) -> None:
        """Take in a message of the clock that came at `second`."""
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
        self._notify_if_changed()

    def set_port_period(self, period_s: float) -> None:
        """The port delivers its messages in rounds of `period_s`; 0: each at once."""
        self._pll.port_period_s = period_s

    def lost_at(self) -> float:
        """Return the second at which the clock is lost unless a tick comes before; infinite while none is expected."""
        if not self._alive or self._stopped:
            return math.inf
        return max(self._pll.last_arrival_s, self._armed_s) + _LOST_TICKS * self._pll.period_s

    def mark_lost(self) -> None:
        """The clock is lost; the music has continued without it until now."""
        self.tick += _LOST_TICKS
        self._stop_rolling()
        self._alive, self._armed, self._was_lost, self._shown_bpm = False, False, True, 0.0
        self._notify_if_changed()

    def request_tempo(self, bpm: float) -> None:
        """See `ClockSource`. The sender of a MIDI clock cannot be asked."""

    def _receive_tick(self, second: float) -> None:
        if self._armed:
            self._pll.restart_phase(second)
        passed = self._pll.receive_tick(second)
        self._alive = True
        if self.rolling:
            self.tick += passed
        elif self._armed or not (self._wait_start or self._stopped):
            if self._resume_tick is None:
                self._locate(0)
            self.tick = self._resume_tick or 0
            if not self._armed:  # the next beat
                self.tick = -(-self.tick // CLOCK_TICKS_PER_BEAT) * CLOCK_TICKS_PER_BEAT
            self.rolling, self._armed, self._was_lost = True, False, False
        self._measure_tempo(passed)

    def _measure_tempo(self, passed: int) -> None:
        """Measure the tempo to show: that of whole beats, which varies less than that of the line."""
        self._measured_ticks += passed
        self._measured_messages += 1
        if self._pll.locked:
            self._shown_bpm = self._shown_bpm or self._pll.bpm
            if self._measured_ticks < CLOCK_TICKS_PER_BEAT:
                return
            elapsed_s = max(self._pll.last_tick_s - self._measured_from_s, 1e-3)
            bpm = 60.0 / CLOCK_TICKS_PER_BEAT * self._measured_ticks / elapsed_s
            self._has_excess_ticks = self._measured_messages > _EXCESS_TICKS_RATIO * self._measured_ticks
            if abs(bpm - self._shown_bpm) >= _TEMPO_CHANGE_BPM:
                self._shown_bpm = bpm
        self._measured_ticks, self._measured_messages, self._measured_from_s = 0, 0, self._pll.last_tick_s

    def _locate(self, tick: int) -> None:
        self._stop_rolling()
        self._resume_tick, self.relocated = tick, True

    def _arm(self, second: float) -> None:
        self._armed, self._armed_s, self._stopped = True, second, False

    def _stop_rolling(self) -> None:
        if self.rolling:
            self.rolling, self._resume_tick = False, self.tick + 1

    def _notify_if_changed(self) -> None:
        if self.status_text != self._shown_text:
            self._shown_text = self.status_text
            self._on_change()
