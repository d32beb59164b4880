# SPDX-License-Identifier: Apache-2.0
"""Listening: what the player does becomes part of the music.

A note of the player moves the network's state on, so a choice that was already made is taken back while there is time
to choose again. In a mode that gives way it ends what we play; in every mode it counts as the player's activity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from sideman.core.events import ControlChange, MidiEvent, NoteHeard, NoteOn
from sideman.core.input.melody import MelodyTracker
from sideman.core.ledger import Ledger
from sideman.core.parts.improviser import Improviser
from sideman.core.parts.soloist import Soloist
from sideman.core.timeline import Timeline
from sideman.core.timing.tempo import Tempo
from sideman.core.transport import Transport
from sideman.core.turns import TurnPlan
from sideman_models.music.values import TICKS_PER_QUARTER

TAKE_BACK_S = 0.003
"""A choice is taken back for a note heard at least this many seconds before its onset: time enough to choose again."""


class Listening:
    """Hears the player, and lets `soloist` react."""

    def __init__(
        self,
        timeline: Timeline,
        transport: Transport,
        ledger: Ledger,
        soloist: Soloist,
        turns: TurnPlan,
        improviser: Improviser,
    ) -> None:
        self.heard_notes = 0
        self.melody = MelodyTracker(timeline.live, timeline.chart)
        self.echo_filter = self.melody.echo_filter
        self.chord_detector = self.melody.chord_detector
        self._timeline = timeline
        self._transport = transport
        self._ledger = ledger
        self._soloist = soloist
        self._turns = turns
        self._improviser = improviser

    def hear(
        self, received: MidiEvent, second: float, before_note: Callable[[float], object] = lambda _second: None
    ) -> Iterator[NoteHeard]:
        """Take in what came from the player's port; yields the notes of the player in it.

        `before_note` is called before a note-on of the player is heard: the music may begin with it.
        """
        for event in self.melody.player_events(received, second):
            if isinstance(event, NoteOn):
                before_note(second)
            tempo = self._timeline.tempo
            if not self._transport.rolling:
                if isinstance(event, NoteOn):
                    continue  # but a note that started before a stop may end during it
                tempo = Tempo(tempo.bpm, second, self._transport.stopped_beat)
            beat = tempo.beat_at(second)
            tick = self._timeline.unswung_tick(beat)
            if isinstance(event, NoteOn) and self._turns.mode_at(math.floor(tick)).gives_way:
                stop = self._soloist.next_pulse(math.floor(tick) + 1, TICKS_PER_QUARTER)
                self._soloist.give_way(stop)
                if self._soloist.note_id is not None:
                    self._ledger.end_by(self._soloist.note_id, stop / TICKS_PER_QUARTER)
            else:
                self.reconsider(second)
            self.melody.track(event, second, tempo, self._timeline.swing, self._improviser)
            if isinstance(event, ControlChange):
                continue
            if isinstance(event, NoteOn):
                self._improviser.touch.player_struck(event.velocity)
                self.heard_notes += 1
                self._turns.activity.note_on(tick)
            else:
                self._turns.activity.note_off(tick, keys_held=self.melody.keys_held)
            yield NoteHeard(beat, event)

    def is_too_near(self, tick: int, second: float) -> bool:
        """Whether there is no time left at `second` to choose again for the onset at `tick`."""
        return self._timeline.second_at(self._soloist.earliest_beat(tick)) - second < TAKE_BACK_S

    def reconsider(self, second: float) -> None:
        """Let what came in at `second` count for the next choice, unless that is too near."""
        tick = self._soloist.next_tick()
        if tick is None:
            return
        if not self.is_too_near(tick, second):
            self._soloist.take_back()
        elif self._transport.rolling:
            self._soloist.prepare(second)

    def settle_chord(self, second: float) -> None:
        """The keys on the chord channel have settled: their chord holds from when they went down."""
        detected = self.chord_detector.detect()
        if detected is None:
            return
        self.reconsider(second)
        chord, since = detected
        if self._transport.rolling:
            beat = self.melody.intended_beat(since, self._timeline.tempo, self._timeline.swing)
        else:
            beat = self._transport.stopped_beat
        self._timeline.chart.hold_chord(chord, beat)
        self._improviser.reconsider_changes()
