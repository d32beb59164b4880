# SPDX-License-Identifier: Apache-2.0
"""The ensemble: everything that keeps time, hears and plays in one performance, made once."""

from __future__ import annotations

from sideman.core import events
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.input.midi_mapping import MidiMapping
from sideman.core.ledger import Ledger
from sideman.core.listening import Listening
from sideman.core.parts.accompaniment import Accompaniment
from sideman.core.parts.band import MEMBERS, BandPart
from sideman.core.parts.count_in import CountIn
from sideman.core.parts.improviser import Improviser
from sideman.core.parts.midi_clock_out import MidiClockOut
from sideman.core.parts.part import Part
from sideman.core.parts.soloist import Soloist
from sideman.core.practice import Practice
from sideman.core.settings.live import LiveSettings
from sideman.core.timeline import PlaySpan, Timeline
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.transport import Transport
from sideman.core.turns import TurnPlan


class Ensemble:
    """What plays over `chart` by the settings of `live`: see `Engine`. `parts` are all parts, in order."""

    def __init__(
        self, live: LiveSettings, chart: ChartTimeline, improviser: Improviser, span: PlaySpan, clocks: ClockConfig
    ) -> None:
        self.report: events.ReportSink = events.ignore_report
        self.live = live
        self.chart = chart
        self.improviser = improviser
        self.timeline = Timeline(live, chart, span)
        self.transport = Transport(self.timeline, clocks.source)
        self.ledger = Ledger(live.midi.channel)
        self.mapping = MidiMapping()
        self.practice = Practice(self.timeline)
        self.turns = TurnPlan(live, chart)
        self.soloist = Soloist(self.timeline, improviser, self.turns)
        self.accompaniment = Accompaniment(self.timeline, improviser)
        self.count_in = CountIn(self.timeline)
        self.listening = Listening(self.timeline, self.transport, self.ledger, self.soloist, self.turns, improviser)
        self.clock_out = MidiClockOut(self.timeline) if clocks.sends_midi_clock else None
        self.band = tuple(BandPart(name, self.timeline, improviser) for name in MEMBERS)
        self.parts: list[Part] = [self.count_in, self.accompaniment, *self.band, self.soloist]
        if self.clock_out is not None:
            self.parts.append(self.clock_out)
            if self.transport.rolling:
                self.clock_out.start_at(span.start)

    @property
    def late_notes(self) -> int:
        """How many notes were left out because they would have come too late."""
        return sum(part.missed_notes for part in self.parts)
