# SPDX-License-Identifier: Apache-2.0
"""What is shown of the engine: whose turn it is, by report and lamp; how everything stands; what comes."""

from __future__ import annotations

import math

from sideman.core import events
from sideman.core.ensemble import Ensemble
from sideman.core.events import ControlChange, MidiEvent, PlayState
from sideman.core.parts.part import PlayedNote
from sideman.core.positions import tick_at, whole_tick_at
from sideman.core.snapshot import Snapshot
from sideman_models.music.values import TICKS_PER_QUARTER

MAX_OPTIONS = 8
"""How many values are reported of those that the soloist could choose."""
LAMP: dict[PlayState, int] = {"idle": 0, "listening": 64, "playing": 127}
"""What the controller `midi.lamp` is sent for each state."""
LAMP_BEFORE_NEWS: dict[PlayState, int] = {**LAMP, "listening": 80, "playing": 111}
"""The same in a bar after which practice brings something else than the next bar."""


class Display:
    """Shows what `ensemble` does."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._ensemble = ensemble
        self._state: PlayState = "idle"
        self._state_until: float | None = None
        self._lamp_value = LAMP["idle"]  # what the lamp was sent last

    # -- the state and the lamp

    def update_state(self, beat: float, tick: int | None = None) -> list[MidiEvent]:
        """Report the state on `beat` if it has changed. `tick` is given where the written onset is known."""
        timeline, soloist = self._ensemble.timeline, self._ensemble.soloist
        if not self._ensemble.transport.rolling:
            return self.set_state("idle")
        if tick is None:
            tick = math.floor(timeline.unswung_tick(beat))
        started = tick_at(beat) >= tick_at(timeline.start)
        playing = started and soloist.is_our_turn(tick)
        first = tick if started else whole_tick_at(timeline.start)
        return self.set_state("playing" if playing else "listening", soloist.turn_change(first))

    def set_state(self, state: PlayState, until: float | None = None) -> list[MidiEvent]:
        """Report `state`, which lasts until the beat `until`, if it has changed; returns what the lamp is sent."""
        if (state, until) != (self._state, self._state_until):
            self._state, self._state_until = state, until
            self._ensemble.report(events.StateChanged(state, until))
        return self.lamp(changed=True)

    def lamp(self, *, changed: bool = False) -> list[MidiEvent]:
        """Return what the lamp is sent; with `changed`, only if that has changed."""
        midi = self._ensemble.live.midi
        values = LAMP if self._ensemble.practice.coming is None else LAMP_BEFORE_NEWS
        value = values[self._state]
        if midi.lamp is None or (changed and value == self._lamp_value):
            return []
        self._lamp_value = value
        return [ControlChange(midi.lamp, value, midi.channel)]

    # -- how everything stands, and what comes

    def snapshot(self, second: float) -> Snapshot:
        """Return how everything stands at `second`."""
        ensemble, chart, timeline = self._ensemble, self._ensemble.chart, self._ensemble.timeline
        soloist, listening, settings = ensemble.soloist, ensemble.listening, ensemble.live.settings
        beat, top, choice = ensemble.transport.beat_at(second), timeline.top, soloist.choice
        sounding = whole_tick_at(max(beat, timeline.start)) / TICKS_PER_QUARTER
        return Snapshot(
            second=second,
            beat=beat - top,
            bar=chart.bar_number_at(tick_at(beat)) + 1,
            top=top,
            charts=chart.charts,
            bpm=timeline.tempo.bpm,
            rolling=ensemble.transport.rolling,
            waiting=ensemble.transport.waiting_text,
            mode=settings.play.mode,
            state=self._state,
            state_until=None if self._state_until is None else self._state_until - top,
            held_chord=chart.held_chord_at(sounding),
            next_choice=choice,
            next_choice_beat=math.nan if choice is None else soloist.next_beat() - top,
            seed=ensemble.improviser.random_source.seed,
            late_notes=ensemble.late_notes,
            heard_notes=listening.heard_notes,
            echoes=listening.echo_filter.echoes,
            played_notes=soloist.played_notes,
            settings=settings,
            start_bar=ensemble.practice.start_bar(self._start_place) + 1,
            practice=ensemble.practice.text(settings.midi.transpose),
            target=soloist.target_text(whole_tick_at(max(beat, timeline.start))),
        )

    @property
    def _start_place(self) -> int:
        """The bar of the chart, from 0, at which a start begins: at the top, if the music has begun before."""
        if not self._ensemble.transport.waiting_text:
            return 0
        chart, tick = self._ensemble.chart, whole_tick_at(self._ensemble.timeline.start)
        return chart.bar_up_to(tick) % len(self._ensemble.practice.chart.bars)

    def plan(self) -> tuple[events.PlannedNote, ...]:
        """Return what the parts have decided and not yet played, in order; nothing while the music does not roll."""
        if not self._ensemble.transport.rolling:
            return ()
        planned = [
            events.PlannedNote(
                each.beat,
                each.end - each.beat,
                each.note if isinstance(each, PlayedNote) else None,
                each.voice,
                each.value,
                each.motif if isinstance(each, PlayedNote) else 0,
            )
            for part in self._ensemble.parts
            for each in part.planned
        ]
        return tuple(sorted(planned, key=lambda note: note.beat))

    def options(self) -> events.ChoiceMade | None:
        """Return what the soloist could choose when it made its present choice; None if it has made none."""
        soloist = self._ensemble.soloist
        if soloist.choice is None:
            return None
        return events.ChoiceMade(soloist.next_beat(), self._ensemble.improviser.options(MAX_OPTIONS))
