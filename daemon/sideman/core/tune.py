# SPDX-License-Identifier: Apache-2.0
"""The chords of a whole performance: one chart after another, each looped until the next takes over at a bar line."""

from __future__ import annotations

from sideman.core.chart import Chart
from sideman_models.harmony import Chord


class Tune:
    """What the changes are at any beat of the performance, counted from its start."""

    def __init__(self, chart: Chart) -> None:
        self._before: tuple[float, Chart] = (0.0, chart)
        self._now: tuple[float, Chart] = (0.0, chart)

    @property
    def chart(self) -> Chart:
        """The chart that was set last."""
        return self._now[1]

    def change(self, chart: Chart, beat: float) -> None:
        """Let `chart` take over, from its top, at `beat`."""
        if beat > self._now[0]:  # else the chart that was to take over there never does
            self._before = self._now
        self._now = (beat, chart)

    def move(self, top: float) -> None:
        """From now on, let the top of the chart that was set last fall on beat `top`, be it past or to come."""
        self._now = (top, self.chart)
        self._before = self._now

    @property
    def charts(self) -> tuple[tuple[float, Chart], tuple[float, Chart]]:
        """The chart that was set last, after the one before it, each with the beat of its first top."""
        return self._before, self._now

    def chord_at(self, beat: float) -> Chord:
        """The chord at `beat`."""
        start, chart = self._at(beat)
        return chart.chord_at(beat - start)

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """The next different chord, and the beats until it (infinite if there is none)."""
        start, chart = self._at(beat)
        chord, beats = chart.next_change(beat - start)
        takes_over = self._now[0]
        if beat < takes_over <= beat + beats:
            return self.chord_at(takes_over), takes_over - beat
        return chord, beats

    def chords_in_bar(self, beat: float) -> tuple[Chord, ...]:
        """The chords of the bar that begins at `beat`."""
        start, chart = self._at(beat)
        return chart.chords_in_bar(round((beat - start) / float(chart.meter.quarters)))

    def _at(self, beat: float) -> tuple[float, Chart]:
        return self._now if beat >= self._now[0] else self._before
