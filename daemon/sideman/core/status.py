# SPDX-License-Identifier: Apache-2.0
"""How it stands: one snapshot, made by the player, that any thread may read."""

from __future__ import annotations

from dataclasses import dataclass

from sideman.core.chart import Chart
from sideman.core.improviser import Choice
from sideman.core.reports import Doing
from sideman.core.settings import Mode, Settings
from sideman_models.harmony import Chord


@dataclass(frozen=True, slots=True)
class Status:
    """How it stands at `second`.

    `beat` and `bar` (from 1) count from the top of the music, which is beat `top` of the engine; it has got to `place`
    in `chart`, in quarter notes since that began. `coming` is what is chosen to be played next, on `coming_beat`,
    unless something is heard before. `late` counts the notes left out, `heard` those of the player, `echoes` our own
    that came back.
    """

    second: float
    beat: float
    bar: int
    top: float
    chart: Chart
    place: float
    bpm: float
    rolling: bool
    mode: Mode
    doing: Doing
    chord: Chord
    chord_next: Chord
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
