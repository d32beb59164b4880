# SPDX-License-Identifier: Apache-2.0
"""The clicks that count in: bars before the music, or before a round of practice, in the meter of its first bar."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from sideman.core.events import NoteOn
from sideman.core.parts.part import Part, PlayedNote
from sideman.core.timeline import Timeline
from sideman_models.music.values import TICKS_PER_QUARTER

CLICK_PITCH, CLICK_BEATS = 37, 0.1
"""The side stick of a General MIDI drum kit, and how long it is held."""
ACCENT_VELOCITY, CLICK_VELOCITY = 112, 80
"""The velocities of the first click of a bar and of the others."""


class CountIn(Part):
    """Plays clicks on the drum channel before the music, or before a round.

    One that comes too late is left out, and not counted.
    """

    decision = 0

    def __init__(self, timeline: Timeline) -> None:
        self._timeline, self._live = timeline, timeline.live
        self._clicks: deque[tuple[float, int]] = deque()  # beat and velocity

    def start(self, bars: int | None = None) -> float:
        """Count in to the beat on which the music begins; returns the beat of the first click, or that beat.

        There are `bars` with clicks, if that is given, else those of `play.count_in`.
        """
        self.decision = next(self._timeline.decisions)
        meter = self._timeline.chart.meter_at(self._timeline.start * TICKS_PER_QUARTER)
        count = (self._live.play.count_in if bars is None else bars) * meter.numerator
        for number in range(count):
            beat = self._timeline.start - (count - number) * 4 / meter.denominator
            self._clicks.append((beat, CLICK_VELOCITY if number % meter.numerator else ACCENT_VELOCITY))
        return min(self.next_beat(), self._timeline.start)

    def next_beat(self) -> float:
        """See `Part`."""
        return self._clicks[0][0] if self._clicks else math.inf

    def play(self, second: float) -> Sequence[PlayedNote]:
        """See `Part`."""
        beat, velocity = self._clicks.popleft()
        return [] if self._timeline.is_late(beat, second) else [self._click(beat, velocity)]

    @property
    def planned(self) -> Sequence[PlayedNote]:
        """See `Part`."""
        return [self._click(*each) for each in self._clicks]

    def _click(self, beat: float, velocity: int) -> PlayedNote:
        note = NoteOn(CLICK_PITCH, velocity, self._live.midi.drums)
        return PlayedNote(note, beat, beat + CLICK_BEATS, "clicks", round(beat * TICKS_PER_QUARTER))

    def relocate(self) -> None:
        """See `Part`."""
        self._clicks.clear()
