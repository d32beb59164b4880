# SPDX-License-Identifier: Apache-2.0
"""The tempo of a clock that is followed, as it is shown: it changes when the tempo has changed, not with the jitter.

- The first tempo is shown when two beats agree on it, or else after `CALM_BEATS`.
- A tempo that differs by `CHANGE` is shown when two beats agree on it. An accelerando never settles: it is shown every
  `PATIENCE_BEATS`.
- If the beats go up and down and do not settle, or a change is taken back soon after it, or ticks are at once missing
  and too many, the clock is unsteady until `CALM_BEATS` agree again; meanwhile nothing else is shown.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

CHANGE = 0.01
"""As a share of the tempo."""
_SETTLED = 0.0075
PATIENCE_BEATS = 4
CALM_BEATS = 8


class ShownTempo:
    """Shows the tempo of a clock, whose beats are passed to `add_beat` one by one."""

    def __init__(self) -> None:
        self.bpm = 0.0
        """The tempo; 0: not known yet."""
        self.unsteady = False
        """Whether the tempo is only about `bpm`."""
        self._beats: deque[float] = deque(maxlen=CALM_BEATS)
        self._unshown_beats = 0  # in a row, with another tempo than the one that is shown
        self._since_change, self._last_change = 0, 0.0  # beats; the new tempo less the old one

    @property
    def has_beats(self) -> bool:
        """Whether a beat was added."""
        return bool(self._beats)

    def add_beat(self, bpm: float, *, irregular: bool = False) -> None:
        """A beat was played, on the whole at `bpm`; `irregular`: ticks were missing and others too many."""
        if irregular:
            self._beats.clear()
        self._beats.append(bpm)
        self._since_change += 1
        if self.unsteady:
            if len(self._beats) == CALM_BEATS and all(_agree(beat, bpm, CHANGE) for beat in self._beats):
                self.unsteady, self.bpm, self._last_change = False, bpm, 0.0
            return
        if irregular:
            self._show_unsteady()
        elif self.bpm and _agree(bpm, self.bpm, CHANGE):
            self._unshown_beats = 0
        else:
            self._add_other_beat(bpm)

    def _add_other_beat(self, bpm: float) -> None:
        """Take in a beat whose tempo is not the one that is shown."""
        self._unshown_beats += 1
        recent = list(self._beats)[-PATIENCE_BEATS:]
        if len(recent) > 1 and _agree(recent[-1], recent[-2], _SETTLED):
            self._show(sum(recent[-2:]) / 2)
        elif self._unshown_beats >= (PATIENCE_BEATS if self.bpm else CALM_BEATS):
            steps = [after - before for before, after in pairwise(recent)]
            if all(step > 0 for step in steps) or all(step < 0 for step in steps):
                self._show(bpm)
            else:
                self._show_unsteady()

    def _show(self, bpm: float) -> None:
        change = bpm - self.bpm if self.bpm else 0.0
        if change * self._last_change < 0 and self._since_change <= CALM_BEATS:
            self._show_unsteady()
            return
        self.bpm, self._last_change = bpm, change
        self._unshown_beats = self._since_change = 0

    def _show_unsteady(self) -> None:
        self.unsteady, self.bpm = True, sum(self._beats) / len(self._beats)
        self._unshown_beats = 0


def _agree(bpm: float, other: float, share: float) -> bool:
    return abs(bpm - other) <= share * other
