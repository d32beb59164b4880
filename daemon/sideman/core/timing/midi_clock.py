# SPDX-License-Identifier: Apache-2.0
"""Follows an incoming MIDI clock: whether the music rolls, where it is, and its tempo.

The tempo and the phase come from the ticks (`ClockPLL`). The position comes from start, continue and song position, as
the MIDI 1.0 specification says: each message gives the position of the *next* tick. The specification leaves some
cases open. Here they are:

- A clock that already runs when we connect has a tempo but no position. Its tempo is followed in silence until a start,
  a continue or a song position arrives. Without `wait_start` its first tick is the first beat.
- Continue without a known position starts at the top. Start while the music rolls starts again at the top.
- A song position while the music rolls, or is about to roll, takes effect with the next tick. After a stop, and before
  the first tick, the music waits for continue: jack_midi_clock sends ticks for two seconds in between.
- If no tick arrives for a beat and a half, without a stop before, the clock is lost. If it comes back it needs a start;
  without `wait_start` the music continues at the next beat with the first tick.
- If many more ticks arrive than the music advances by (two cables from one machine, or a tempo beyond the limit), the
  status text says so. A clock that is doubled from its first tick on, and not beyond the limit, cannot be noticed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct

from sideman.core.events import ClockContinue, ClockInput, ClockStart, ClockStop, ClockTick, SongPosition
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT, SHORTEST_PERIOD_S, ClockPLL
from sideman.core.timing.shown_tempo import CALM_BEATS, ShownTempo
from sideman.core.timing.song_position import PositionReader, PositionUnit
from sideman.core.timing.tempo import Tempo

_LOST_TICKS = 3 * CLOCK_TICKS_PER_BEAT // 2
_IRREGULAR_TICKS = 3
_EXCESS_TICKS_RATIO = 1.2  # of tick messages to the ticks of the music


class _MeasuredBeat(Struct):
    """What has come since a beat of the clock."""

    from_s: float = 0.0
    ticks: int = 0
    messages: int = 0
    doubled: int = 0  # messages that were no tick
    missing: int = 0  # ticks with others before them that did not come


class MidiClockFollower:
    """Follows a clock, expected at `bpm`, whose song positions count `position`.

    `on_change` is called when `status_text` has changed.
    """

    def __init__(
        self,
        bpm: float,
        *,
        wait_start: bool = True,
        position: PositionUnit = "sixteenths",
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.rolling = False
        self.relocated = False
        self.tick = 0
        """The last tick, counted from the top of the music."""
        self._wait_start = wait_start
        self._on_change = on_change
        self._pll = ClockPLL(bpm)
        self._positions = PositionReader(position)
        self._alive = False
        self._stopped = False
        self._armed = False  # the music rolls from the next tick on
        self._armed_s = 0.0
        self._resume_tick: int | None = None  # where the music continues; None: not known
        self._was_lost = False
        self._shown = ShownTempo()
        self._beat = _MeasuredBeat()
        self._excess_beats = 0  # for this many beats we say that too many ticks come
        self._shown_text = self.status_text

    @property
    def tempo(self) -> Tempo:
        """From beats, counted from the top of the music, to seconds."""
        return Tempo(self._pll.bpm, self._pll.last_tick_s, self.tick / CLOCK_TICKS_PER_BEAT)

    @property
    def status_text(self) -> str:
        """What the clock does, in words for the log."""
        hint = self._positions.hint
        return f"{self._state_text}; {hint}" if hint else self._state_text

    @property
    def _state_text(self) -> str:
        shown = self._shown
        tempo = f"an unsteady clock, about {shown.bpm:.0f} bpm" if shown.unsteady else f"{shown.bpm:.1f} bpm"
        if self.rolling:
            excess = (
                "; more ticks come than that: is the clock connected twice?"
                if self._excess_beats and not shown.unsteady
                else ""
            )
            return f"following {tempo}{excess}" if shown.bpm else "following the clock"
        if self._stopped:
            return "stopped by the clock"
        if self._alive and shown.bpm:
            at = "" if shown.unsteady else "a clock at "
            return f"hearing {at}{tempo}, waiting for its start"
        if self._alive and self._pll.locked:
            return "hearing a clock, waiting for its start"
        return "clock lost, waiting for it" if self._was_lost else "waiting for clock"

    def receive(self, item: ClockInput, second: float) -> None:
        """Take in a message of the clock that came at `second`."""
        match item:
            case ClockTick():
                self._receive_tick(second)
            case ClockStart():
                self._locate(0)
                self._arm(second)
            case SongPosition(position):
                self._locate(self._positions.read(position, self.tick + 1 if self.rolling else self._resume_tick))
                if self._alive and not self._stopped:
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
        corrected = self._pll.change_rounds(period_s)
        if self.rolling:
            self.tick += corrected

    def lost_at(self) -> float:
        """Return the second at which the clock is lost unless a tick comes before; infinite while none is expected."""
        if not self._alive or self._stopped:
            return math.inf
        return max(self._pll.last_arrival_s, self._armed_s) + _LOST_TICKS * self._pll.period_s

    def mark_lost(self) -> None:
        """The clock is lost; the music has continued without it until now."""
        self.tick += _LOST_TICKS
        self._stop_rolling()
        self._alive, self._armed, self._was_lost, self._shown = False, False, True, ShownTempo()
        self._notify_if_changed()

    def request_tempo(self, bpm: float) -> None:
        """See `ClockSource`. The sender of a MIDI clock cannot be asked."""

    def request_rolling(self, rolling: bool, second: float) -> None:
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
        beat = self._beat
        beat.ticks += passed
        beat.messages += 1
        beat.doubled += passed < 1
        beat.missing += passed > 1
        if self._pll.locked:
            if not self._shown.has_beats:
                self._shown.add_beat(self._pll.bpm)  # of the ticks until now
            if beat.ticks < CLOCK_TICKS_PER_BEAT:
                return
            elapsed_s = max(self._pll.last_tick_s - beat.from_s, beat.ticks * SHORTEST_PERIOD_S)
            irregular = min(beat.doubled, beat.missing) >= _IRREGULAR_TICKS
            self._shown.add_beat(60.0 / CLOCK_TICKS_PER_BEAT * beat.ticks / elapsed_s, irregular=irregular)
            excess = beat.messages > _EXCESS_TICKS_RATIO * beat.ticks
            self._excess_beats = CALM_BEATS if excess else max(0, self._excess_beats - 1)
        self._beat = _MeasuredBeat(self._pll.last_tick_s)

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
