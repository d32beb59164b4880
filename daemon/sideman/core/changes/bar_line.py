# SPDX-License-Identifier: Apache-2.0
"""The next bar line: its tick, and what changes on it. A chart takes over there, and what practice brings."""

from __future__ import annotations

import math
from typing import Literal

from sideman.core.chart.chart import Chart
from sideman.core.ensemble import Ensemble
from sideman_models.music.context import next_bar_line
from sideman_models.music.values import TICKS_PER_QUARTER

ChangeName = Literal["mode", "chart", "song", "practice"]
"""What can change on a bar line."""


class BarLine:
    """The next bar line of `ensemble`."""

    def __init__(self, ensemble: Ensemble) -> None:
        self.tick = 0
        self.changes: list[ChangeName] = []
        """What takes effect on it, in order."""
        self.lies_before_end = False
        """Whether it lies before the end of the music."""
        self._timeline, self._chart = ensemble.timeline, ensemble.chart
        self._soloist, self._practice = ensemble.soloist, ensemble.practice

    @property
    def beat(self) -> float:
        """The beat of the bar line."""
        return self.tick / TICKS_PER_QUARTER

    def move_to(self, tick: int) -> None:
        """The next bar line is at `tick`."""
        self.tick = tick
        self.prepare()

    def add(self, change: ChangeName) -> None:
        """Let `change` take effect; once is enough."""
        if change not in self.changes:
            self.changes.append(change)

    def drop(self, change: ChangeName) -> bool:
        """Let `change` not take effect; returns whether it was to."""
        was_to = change in self.changes
        if was_to:
            self.changes.remove(change)
        return was_to

    def take_changes(self) -> list[ChangeName]:
        """The bar line is reached: return what takes effect, in order."""
        changes, self.changes = self.changes, []
        return changes

    def prepare(self) -> None:
        """Settle what practice brings."""
        if self._practice.prepare(self.tick, chart_follows="chart" in self.changes):
            self._soloist.chart_changed(self.tick)
        self.drop("practice")
        if self._practice.coming is not None:
            self.add("practice")
        self.lies_before_end = self.tick <= self._timeline.end_tick

    def change_chart(self, chart: Chart) -> None:
        """Play over `chart` from here. An end that was set moves to a bar line of the new chart.

        Music that has ended stays so until it is started again.
        """
        self._practice.cancel()
        end = self._timeline.end_tick
        self._chart.set_chart(chart, self.beat)
        if self.tick <= end < math.inf and not self._timeline.end_after_choruses(self.beat):
            self._timeline.end = next_bar_line(self._chart, end) / TICKS_PER_QUARTER
        self.add("chart")
        self._soloist.chart_changed(self.tick)
        self._practice.set_chart(chart)
        self.prepare()
