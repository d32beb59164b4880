# SPDX-License-Identifier: Apache-2.0
"""The clicks that count in: `play.count_in` bars before the first beat, in the meter of the first bar."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from sideman.core.events import NoteOn
from sideman.core.parts.part import ONSET_RANK, PlayedNote
from sideman.core.timeline import Timeline
from sideman_models.music.values import TICKS_PER_QUARTER

CLICK_PITCH, CLICK_BEATS = 37, 0.1
"""The side stick of a General MIDI drum kit, and how long it is held."""
ACCENT_VELOCITY, CLICK_VELOCITY = 112, 80
"""The velocities of the first click of a bar and of the others."""


class CountIn:
    """Plays clicks on the drum channel before the first beat of the music."""

    rank: ClassVar[int] = ONSET_RANK

    def __init__(self, timeline: Timeline) -> None:
        self.missed_notes = self.decision = 0  # a click that comes too late is left out, and not counted
        self._timeline, self._live = timeline, timeline.live
        self._clicks: deque[tuple[float, int]] = deque()  # beat and velocity

    @property
    def beats(self) -> float:
        """How many beats are counted in before the music begins."""
        return self._live.play.count_in * float(self._timeline.first_meter.quarters)

    def start(self) -> None:
        """Count in to the beat on which the music begins."""
        self.decision = self._timeline.number_decision()
        meter = self._timeline.first_meter
        count = self._live.play.count_in * meter.numerator
        for number in range(count):
            beat = self._timeline.start - (count - number) * 4 / meter.denominator
            self._clicks.append((beat, CLICK_VELOCITY if number % meter.numerator else ACCENT_VELOCITY))

    def next_beat(self) -> float:
        """See `Part`."""
        return self._clicks[0][0] if self._clicks else math.inf

    def prepare(self, second: float) -> None:
        """See `Part`. There is nothing to choose."""

    def play(self, second: float) -> Sequence[PlayedNote]:
        """See `Part`."""
        beat, velocity = self._clicks.popleft()
        if self._timeline.is_late(beat, second):
            return []
        note = NoteOn(CLICK_PITCH, velocity, self._live.midi.drums)
        return [PlayedNote(note, beat, beat + CLICK_BEATS, "clicks", round(beat * TICKS_PER_QUARTER))]

    def sent(self) -> None:
        """See `Part`."""

    def relocate(self) -> None:
        """See `Part`."""
        self._clicks.clear()
