# SPDX-License-Identifier: Apache-2.0
"""What leads: modes and charts that are asked for begin on a bar line (a mode at once, if so asked), and leave no note.

The turns themselves are arithmetic (`Rota`); here they meet the schedule, the ledger and the bar lines of the tune.
"""

from __future__ import annotations

import math

from sideman.core.chart.chart import Chart
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.conductor import ALMOST_TICKS, Conductor, PlaySpan
from sideman.core.events import MidiEvent, ModeChanged
from sideman.core.ledger import Ledger
from sideman.core.parts.soloist import Soloist
from sideman.core.schedule import RELEASE, NewMode, ReleaseAll
from sideman.core.settings.schema import ModeName, Settings, with_values
from sideman.core.timing.midi_clock import ClockConfig
from sideman_models.music.context import next_bar_line
from sideman_models.music.values import TICKS_PER_QUARTER

_ALMOST = 1e-7  # ticks; what arithmetic may leave between a bar line and the beat that was waited for


class Leader(Conductor):
    """Lets the soloist play in the mode that is asked for, over the chart that is asked for."""

    def __init__(
        self, settings: Settings, tune: ChartTimeline, soloist: Soloist, span: PlaySpan, clocks: ClockConfig
    ) -> None:
        super().__init__(settings, tune, soloist, span, clocks)
        self.improviser = soloist.improviser
        self.ledger = Ledger(settings.midi.channel)

    def _take_over(self, chart: Chart) -> None:
        """From the next bar line on, play over `chart`, as often as is asked for; another end is put on a bar line.

        Music that is over stays so, until it begins anew.
        """
        self.tune.set_chart(chart, self._line / TICKS_PER_QUARTER)
        end = -math.inf if self.end is None else self.end * TICKS_PER_QUARTER
        if end >= self._line - _ALMOST and not self._end_after_choruses(self._line / TICKS_PER_QUARTER):
            self._end_at(next_bar_line(self.tune, end) / TICKS_PER_QUARTER)
        self._schedule.put(self._line / TICKS_PER_QUARTER, RELEASE, ReleaseAll())
        self.soloist.another_chart(self._line)

    def _ask_mode(self, mode: ModeName, second: float, *, now: bool = False) -> list[MidiEvent]:
        self.soloist.take_back()
        if mode == self.settings.play.mode:
            planned = self.soloist.rota.scheduled
            if planned is not None and planned[1] != mode:
                self.soloist.rota.cancel_scheduled()
            return []
        if now or not self._rolls:
            return self._set_mode(mode, self._beat_of(second) if self._rolls else self._reached)
        self._plan(mode)
        return []

    def _plan(self, mode: ModeName) -> None:
        self.soloist.plan(mode, self._line)
        self._schedule.put(self._line / TICKS_PER_QUARTER, RELEASE, NewMode())

    def _set_mode(self, mode: ModeName, beat: float) -> list[MidiEvent]:
        """Let `mode` hold from `beat` on, where nothing of ours sounds any more; its turns count from this bar."""
        beat = max(beat, self._start)  # nothing is played while bars are counted in
        tick = self._unswung(beat)
        self.improviser.cut_note(tick)
        self.settings = with_values(self.settings, [("play.mode", mode)])
        line, _ = self.tune.bar_at(beat * TICKS_PER_QUARTER + ALMOST_TICKS)
        self.soloist.set_mode(self.settings.play, self.soloist.next_pulse(tick - _ALMOST), line)
        self.tell(ModeChanged(mode, beat))
        return self.ledger.release_all(self.settings.midi.channel)

    def _turn_over(self, beat: float) -> list[MidiEvent]:
        """A bar line from which on another mode was to hold, unless that was taken back."""
        planned = self.soloist.rota.scheduled
        if planned is None or planned[0] > beat * TICKS_PER_QUARTER + _ALMOST:
            return []
        return [*self._set_mode(planned[1], beat), *self._do(beat)]

    def _settle(self) -> list[MidiEvent]:
        planned = self.soloist.rota.scheduled
        self.soloist.take_back()  # it may have been chosen for what was to hold later
        return self._set_mode(planned[1], self._reached) if planned else []

    def _count_anew(self) -> list[MidiEvent]:
        """Turns are of another length: if there are turns, or are to be, they count from the next bar line."""
        planned = self.soloist.rota.scheduled
        mode = planned[1] if planned else self.settings.play.mode
        if mode != "trade":
            return []
        if not self._rolls:
            return self._set_mode(mode, self._reached)
        self._plan(mode)
        return []
