# SPDX-License-Identifier: Apache-2.0
"""A snapshot of the engine, made by the player's thread, that any thread may read."""

from __future__ import annotations

from msgspec import Struct

from sideman.core.chart.timeline import ChartSpan
from sideman.core.events import Choice, PlayState
from sideman.core.positions import snapped_beat, tick_at
from sideman.core.settings.schema import Settings
from sideman.core.turns import ModeName
from sideman_models.music.harmony import Chord


class Snapshot(Struct, frozen=True):
    """The state of the engine at `second`.

    `beat` and `bar` (from 1) count from the top of the music, which is on beat `top` of the timeline. `charts` are the
    last two charts (see `ChartTimeline.charts`), in beats of the timeline; `held_chord` replaces their chords.
    `waiting` says what the music waits for before it begins; it is empty once it has begun.
    `next_choice` is the soloist's next choice, on `next_choice_beat`; it may still be taken back. `late_notes` counts
    the notes that were left out, `heard_notes` the player's notes, `echoes` our own notes that came back. `state` lasts
    until the beat `state_until`; None where that is not known ahead.
    A start begins with the bar `start_bar` of the chart, or where the clock is that is followed. `practice` says what
    practice brings next, `target` which target note comes next.
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
    waiting: str
    next_choice: Choice | None
    next_choice_beat: float
    seed: int
    late_notes: int
    heard_notes: int
    echoes: int
    played_notes: int
    settings: Settings
    state_until: float | None = None
    start_bar: int = 1
    practice: str = ""
    target: str = ""

    def beats_since(self, second: float) -> float:
        """Return the quarter notes from the snapshot to `second`, if nothing has changed in between."""
        return (second - self.second) * self.bpm / 60.0 if self.rolling else 0.0

    def chord_and_next(self, beats_ahead: float = 0.0) -> tuple[Chord, Chord]:
        """Return the chord `beats_ahead` beats later and the chord after it; a held chord twice, as no end is known."""
        span, _ = self.chart_span(beats_ahead)
        if self.held_chord is not None and span is self.chart_span()[0]:
            return self.held_chord, self.held_chord
        place = span.place_at(self.top + self.beat + beats_ahead)
        return span.chart.chord_at(place), span.chart.next_change(place)[0]

    def bar_number(self, beats_ahead: float) -> int:
        """Return the number, from 1, of the bar that sounds `beats_ahead` beats later."""
        span, _ = self.chart_span(beats_ahead)
        return span.bars_before + span.bar_at(tick_at(self.top + self.beat + beats_ahead)) + 1

    def chart_span(self, beats_ahead: float = 0.0) -> tuple[ChartSpan, float]:
        """Return the span of the chart played `beats_ahead` beats later, and the quarter notes since its top.

        A bar of the count-in counts as the bar that is counted in.
        """
        beat = self.top + self.beat + beats_ahead
        previous, current = self.charts
        span = current if snapped_beat(beat) >= current.start else previous
        if span.counted_in and (early := snapped_beat(beat) - span.begin) < 0:
            return span, span.place + early % ((span.begin - span.start) / span.counted_in)
        return span, beat - span.top
