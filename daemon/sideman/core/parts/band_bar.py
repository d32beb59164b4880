# SPDX-License-Identifier: Apache-2.0
"""What a part of the band is given to play one bar, and what it returns: the notes, and a state for the next bar.

A *rule* is a pure function of a bar and of the state that the bar before has left. So a bar that is planned again,
after a setting, a chord or the chart has changed, is the same as one that was planned so from the start. Ticks are
written ticks, 12 a quarter note.
"""

from __future__ import annotations

import math
from typing import Annotated

from msgspec import Meta, Struct

from sideman.core.chart.styles import Style
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.parts.comp import DrawFunction, beat_ticks
from sideman_models.music.harmony import Chord
from sideman_models.music.values import TICKS_PER_QUARTER

RuleState = tuple[Annotated[int, Meta(ge=0, le=127)], ...]
"""What a bar leaves to the next one; empty where nothing has been played before."""
EIGHTH = TICKS_PER_QUARTER // 2


class WrittenNote(Struct, frozen=True):
    """A note of the band: its onset and its length in ticks, its pitch, and its velocity above that of the solo."""

    tick: int
    length: int
    pitch: int
    loudness: int


class BandBar(Struct, frozen=True):
    """The bar that begins at the tick `line`, to be played in `style`.

    From the tick `final` to `end` the last notes of the music sound; both are infinite if it does not end. With
    `brushes` the tempo is one for brushes, otherwise for sticks. `anticipation` and `click` are the settings.
    """

    chart: ChartTimeline
    line: int
    style: Style
    draw: DrawFunction
    final: float
    end: float
    brushes: bool
    anticipation: float
    click: str

    @property
    def ticks(self) -> int:
        """Its length."""
        return self.chart.bar_at(self.line)[1]

    @property
    def stop(self) -> int:
        """The tick of the next bar line."""
        return self.line + self.ticks

    @property
    def beat(self) -> int:
        """The ticks of a beat."""
        return beat_ticks(self.chart.meter_at(self.line))

    @property
    def is_common(self) -> bool:
        """Whether it has four quarters."""
        return self.ticks == 4 * TICKS_PER_QUARTER and self.beat == TICKS_PER_QUARTER

    def chord_at(self, tick: int) -> Chord:
        """Return the chord at `tick`."""
        return self.chart.chord_at(tick / TICKS_PER_QUARTER)

    def changes(self) -> list[tuple[int, Chord]]:
        """Return the chord at the bar line and each that begins later in the bar, with their ticks.

        A chord that is held from within a beat is played from the next beat on.
        """
        start, beats = self.line / TICKS_PER_QUARTER, self.ticks / TICKS_PER_QUARTER
        places = {start + at for at, _ in self.chart.chords_within(start, beats)}
        found: dict[int, Chord] = {}
        for place in sorted({*places, *self.chart.held_within(start, beats)}):
            tick = math.ceil((place - start) * TICKS_PER_QUARTER)
            if self.chart.held_chord_at(place) is not None:
                tick = -(-tick // self.beat) * self.beat
            if tick < self.ticks:
                found[self.line + tick] = self.chart.chord_at(place)
        kept = dict(zip(found.items(), [None, *found.values()], strict=False))
        return [(tick, chord) for (tick, chord), last in kept.items() if chord != last]

    def changes_at_line(self) -> bool:
        """Whether another chord begins at the bar line than the one before it."""
        return self.chord_at(self.line) != self.chord_at(self.line - 1)

    def within(self, notes: list[WrittenNote]) -> list[WrittenNote]:
        """Return `notes` as far as they begin before the music ends, in order."""
        return sorted((note for note in notes if note.tick < self.end), key=lambda note: (note.tick, note.pitch))
