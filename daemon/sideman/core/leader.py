# SPDX-License-Identifier: Apache-2.0
"""What leads: modes and charts that are asked for begin on a bar line (a mode at once, if so asked), and leave no note.

The turns themselves are arithmetic (`Rota`); here they meet the schedule, the ledger and the bar lines of the tune.
"""

from __future__ import annotations

import math

from sideman.core.chart.chart import Chart
from sideman.core.chart.timeline import Tune
from sideman.core.conductor import ALMOST_TICKS, Conductor, Span
from sideman.core.events import Event
from sideman.core.ledger import Ledger
from sideman.core.parts.soloist import Soloist
from sideman.core.reports import ModeSet
from sideman.core.schedule import RELEASE, NewMode, ReleaseAll
from sideman.core.settings.schema import Mode, Settings, changed
from sideman.core.timing.midi_clock import Clocks
from sideman_models.music.context import next_line
from sideman_models.music.values import TICKS

_ALMOST = 1e-7  # ticks; what arithmetic may leave between a bar line and the beat that was waited for


class Leader(Conductor):
    """Lets the soloist play in the mode that is asked for, over the chart that is asked for."""

    def __init__(self, settings: Settings, tune: Tune, soloist: Soloist, span: Span, clocks: Clocks) -> None:
        super().__init__(settings, tune, soloist, span, clocks)
        self.improviser = soloist.improviser
        self.ledger = Ledger(settings.midi.channel)

    def _take_over(self, chart: Chart) -> None:
        """From the next bar line on, play over `chart`, as often as is asked for; another end is put on a bar line.

        Music that is over stays so, until it begins anew.
        """
        self.tune.change(chart, self._line / TICKS)
        end = -math.inf if self.end is None else self.end * TICKS
        if end >= self._line - _ALMOST and not self._end_after_choruses(self._line / TICKS):
            self._end_at(next_line(self.tune, end) / TICKS)
        self._schedule.put(self._line / TICKS, RELEASE, ReleaseAll())
        self.soloist.another_chart(self._line)

    def _ask_mode(self, mode: Mode, second: float, *, now: bool = False) -> list[Event]:
        self.soloist.take_back()
        if mode == self.settings.play.mode:
            planned = self.soloist.rota.planned
            if planned is not None and planned[1] != mode:
                self.soloist.rota.cancel()
            return []
        if now or not self._rolls:
            return self._set_mode(mode, self._beat_of(second) if self._rolls else self._reached)
        self._plan(mode)
        return []

    def _plan(self, mode: Mode) -> None:
        self.soloist.plan(mode, self._line)
        self._schedule.put(self._line / TICKS, RELEASE, NewMode())

    def _set_mode(self, mode: Mode, beat: float) -> list[Event]:
        """Let `mode` hold from `beat` on, where nothing of ours sounds any more; its turns count from this bar."""
        beat = max(beat, self._start)  # nothing is played while bars are counted in
        tick = self._unswung(beat)
        self.improviser.cut(tick)
        self.settings = changed(self.settings, [("play.mode", mode)])
        line, _ = self.tune.bar_at(beat * TICKS + ALMOST_TICKS)
        self.soloist.set_mode(self.settings.play, self.soloist.next_pulse(tick - _ALMOST), line)
        self.tell(ModeSet(mode, beat))
        return self.ledger.release_all(self.settings.midi.channel)

    def _turn_over(self, beat: float) -> list[Event]:
        """A bar line from which on another mode was to hold, unless that was taken back."""
        planned = self.soloist.rota.planned
        if planned is None or planned[0] > beat * TICKS + _ALMOST:
            return []
        return [*self._set_mode(planned[1], beat), *self._do(beat)]

    def _settle(self) -> list[Event]:
        planned = self.soloist.rota.planned
        self.soloist.take_back()  # it may have been chosen for what was to hold later
        return self._set_mode(planned[1], self._reached) if planned else []

    def _count_anew(self) -> list[Event]:
        """Turns are of another length: if there are turns, or are to be, they count from the next bar line."""
        planned = self.soloist.rota.planned
        mode = planned[1] if planned else self.settings.play.mode
        if mode != "trade":
            return []
        if not self._rolls:
            return self._set_mode(mode, self._reached)
        self._plan(mode)
        return []
