# SPDX-License-Identifier: Apache-2.0
"""How it stands: one snapshot, made by the player, that any thread may read."""

from __future__ import annotations

from dataclasses import dataclass

from sideman.core.chart.chart import Chart
from sideman.core.chart.timeline import ChartSpan
from sideman.core.events import Choice, PlayState
from sideman.core.positions import snapped_beat
from sideman.core.settings.schema import Settings
from sideman.core.turns import ModeName
from sideman_models.music.harmony import Chord


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How it stands at `second`.

    `beat` and `bar` (from 1) count from the top of the music, which is beat `top` of the engine; `charts` are the one
    before and the one set last, with the engine's beat of its top; a chord that is `held_chord` takes their chords'
    place. `next_choice` is what is chosen to be played next, on `next_choice_beat`, unless something is heard before.
    `late_notes` counts the notes left out, `heard_notes` those of the player, `echoes` our own that came back.
    """

    second: float
    beat: float
    bar: int
    top: float
    charts: tuple[ChartSpan, ChartSpan]
    bpm: float
    rolling: bool
    mode: ModeName
    state: PlayState
    held_chord: Chord | None
    next_choice: Choice | None
    next_choice_beat: float
    seed: int
    late_notes: int
    heard_notes: int
    echoes: int
    played_notes: int
    settings: Settings

    def beats_since(self, second: float) -> float:
        """The quarter notes that have gone by at `second`, if nothing has come between."""
        return (second - self.second) * self.bpm / 60.0 if self.rolling else 0.0

    def chart_position(self, beats_ahead: float = 0.0) -> tuple[Chart, float]:
        """The chart that is played `beats_ahead` beats from here, and the quarter notes since its first top."""
        now, place = self._chart_span(beats_ahead)
        return now.chart, place

    def chord_and_next(self, beats_ahead: float = 0.0) -> tuple[Chord, Chord]:
        """The chord `beats_ahead` beats from here, and the next: after one that is held nobody knows what comes."""
        now, place = self._chart_span(beats_ahead)
        if self.held_chord is not None and now is self._chart_span(0.0)[0]:
            return self.held_chord, self.held_chord
        return now.chart.chord_at(place), now.chart.next_change(place)[0]

    def bar_number(self, beats_ahead: float) -> int:
        """The bar of the music, from 1, that sounds `beats_ahead` beats from here."""
        now, place = self._chart_span(beats_ahead)
        return now.bars_before + now.chart.bar_at(place)[0] + 1

    def _chart_span(self, gone: float) -> tuple[ChartSpan, float]:
        beat = self.top + self.beat + gone
        before, last = self.charts
        now = last if snapped_beat(beat) >= last.start else before
        return now, beat - now.start
