# SPDX-License-Identifier: Apache-2.0
"""How it stands: one snapshot, made by the player, that any thread may read."""

from __future__ import annotations

from dataclasses import dataclass

from sideman.core.chart.chart import Chart
from sideman.core.chart.timeline import Stretch
from sideman.core.parts.improviser import Choice
from sideman.core.reports import Doing
from sideman.core.settings.schema import Mode, Settings
from sideman_models.music.harmony import Chord

_ALMOST = 1e-6  # beats; what arithmetic may leave between a bar line and the beat that was waited for


@dataclass(frozen=True, slots=True)
class Status:
    """How it stands at `second`.

    `beat` and `bar` (from 1) count from the top of the music, which is beat `top` of the engine; `charts` are the one
    before and the one set last, with the engine's beat of its top; a chord that is `held` takes their chords' place.
    `coming` is what is chosen to be played next, on `coming_beat`, unless something is heard before. `late` counts the
    notes left out, `heard` those of the player, `echoes` our own that came back.
    """

    second: float
    beat: float
    bar: int
    top: float
    charts: tuple[Stretch, Stretch]
    bpm: float
    rolling: bool
    mode: Mode
    doing: Doing
    held: Chord | None
    coming: Choice | None
    coming_beat: float
    seed: int
    late: int
    heard: int
    echoes: int
    played: int
    settings: Settings

    def beats_since(self, second: float) -> float:
        """The quarter notes that have gone by at `second`, if nothing has come between."""
        return (second - self.second) * self.bpm / 60.0 if self.rolling else 0.0

    def place(self, gone: float = 0.0) -> tuple[Chart, float]:
        """The chart that is played `gone` beats from here, and the quarter notes since its first top."""
        now, place = self._stretch(gone)
        return now.chart, place

    def chords(self, gone: float = 0.0) -> tuple[Chord, Chord]:
        """The chord `gone` beats from here, and the next: after one that is held nobody knows what comes."""
        now, place = self._stretch(gone)
        if self.held is not None and now is self._stretch(0.0)[0]:
            return self.held, self.held
        return now.chart.chord_at(place), now.chart.next_change(place)[0]

    def bar_after(self, gone: float) -> int:
        """The bar of the music, from 1, that sounds `gone` beats from here."""
        now, place = self._stretch(gone)
        return now.before + now.chart.bar_at(place)[0] + 1

    def _stretch(self, gone: float) -> tuple[Stretch, float]:
        beat = self.top + self.beat + gone
        before, last = self.charts
        now = last if beat >= last.start - _ALMOST else before
        return now, beat - now.start
