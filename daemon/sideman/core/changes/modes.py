# SPDX-License-Identifier: Apache-2.0
"""Changes of the mode: on the next bar line, or at once while the music stands or where that is asked for."""

from __future__ import annotations

from sideman.core import events
from sideman.core.changes.bar_line import BarLine
from sideman.core.display import Display
from sideman.core.ensemble import Ensemble
from sideman.core.events import MidiEvent
from sideman.core.positions import tick_at
from sideman.core.turns import ModeName


class ModeChanges:
    """Changes the mode in which `ensemble` plays."""

    def __init__(self, ensemble: Ensemble, bar_line: BarLine, display: Display) -> None:
        self._ensemble, self._bar_line, self._display = ensemble, bar_line, display
        self._live, self._timeline, self._transport = ensemble.live, ensemble.timeline, ensemble.transport
        self._turns, self._soloist = ensemble.turns, ensemble.soloist

    def request(self, mode: ModeName, second: float, *, now: bool = False) -> list[MidiEvent]:
        """Play in another mode, if `mode` is not the one in force: from the next bar line on or, if `now`, at once."""
        self._soloist.take_back()
        if mode == self._live.play.mode:
            if self._turns.scheduled is not None and self._turns.scheduled.name != mode:
                self._turns.scheduled = None
            return []
        if now and self._transport.rolling:
            return self._start(mode, self._timeline.beat_at(second))
        return self._schedule(mode)

    def count_again(self) -> list[MidiEvent]:
        """Begin the mode again, or the one that is scheduled: its turns are counted in another way."""
        return self._schedule(self.latest)

    @property
    def latest(self) -> ModeName:
        """The mode that is scheduled, or else the one in force."""
        return self._turns.scheduled.name if self._turns.scheduled else self._live.play.mode

    def start_scheduled(self, beat: float) -> list[MidiEvent]:
        """Play in the mode that was scheduled, if one was, from `beat` on."""
        scheduled = self._turns.scheduled
        return [] if scheduled is None else [*self._start(scheduled.name, beat), *self._display.update_state(beat)]

    def stand_at(self, beat: float) -> list[MidiEvent]:
        """The music stops at `beat`: a scheduled mode starts here."""
        return self._start(self._turns.scheduled.name, beat) if self._turns.scheduled else []

    def _schedule(self, mode: ModeName) -> list[MidiEvent]:
        """Play in `mode` from the next bar line on, or at once while the music stands."""
        if not self._transport.rolling:
            return self._start(mode, self._transport.stopped_beat)
        self._turns.schedule_mode(mode, self._bar_line.tick)
        self._soloist.give_way(self._bar_line.tick)
        self._bar_line.add("mode")
        return []

    def _start(self, mode: ModeName, beat: float) -> list[MidiEvent]:
        """Play in `mode` from `beat` on, where our notes end; its turns count from the bar line before."""
        beat = max(beat, self._timeline.start)  # nothing is played while bars are counted in
        tick = self._timeline.unswung_tick(beat)
        self._ensemble.improviser.cut_note(tick)
        self._live.change([("play.mode", mode)])
        line, _ = self._ensemble.chart.bar_at(tick_at(beat))
        self._soloist.start_mode(tick, line)
        self._ensemble.report(events.ModeChanged(self._live.play.mode, beat))
        return self._ensemble.ledger.release_all(self._live.midi.channel)
