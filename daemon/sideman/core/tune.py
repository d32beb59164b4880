# SPDX-License-Identifier: Apache-2.0
"""The chords of a whole performance: one chart after another, each looped until the next takes over at a bar line.

A chord that somebody holds takes the chart's place, until another is held or another chart takes over.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby

from sideman.core.chart import TOLERANCE, Chart
from sideman_models.harmony import Chord

_KEPT = 256


class Tune:
    """What the changes are at any beat of the performance, counted from its start."""

    def __init__(self, chart: Chart) -> None:
        self._before: tuple[float, Chart] = (0.0, chart)
        self._now: tuple[float, Chart] = (0.0, chart)
        self._held: list[tuple[float, Chord | None]] = []  # from which beat on, in order; None: the chart's chords

    @property
    def chart(self) -> Chart:
        """The chart that was set last."""
        return self._now[1]

    def change(self, chart: Chart, beat: float) -> None:
        """Let `chart` take over, from its top, at `beat`: from a chart, and from chords that are held."""
        if beat > self._now[0]:  # else the chart that was to take over there never does
            self._before = self._now
        self._now = (beat, chart)
        self._hold(None, beat)

    def hold(self, chord: Chord, beat: float) -> None:
        """Somebody holds `chord` from `beat` on: that is what is played over. The last few hundred are remembered."""
        if self._held_at(beat) != chord:
            ends = [one for one in self._held[-1:] if one[1] is None and one[0] > beat]
            self._hold(chord, beat)
            self._held += ends

    def move(self, top: float) -> None:
        """From now on, let the top of the chart that was set last fall on beat `top`, be it past or to come."""
        self._now = (top, self.chart)
        self._before = self._now
        if self._held_at(math.inf) is None:
            self._held.clear()

    def chord_at(self, beat: float) -> Chord:
        """The chord at `beat`."""
        held = self._held_at(beat)
        if held is not None:
            return held
        start, chart = self._at(beat)
        return chart.chord_at(beat - start)

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """The next different chord, and the beats until it (infinite if there is none).

        After a chord that is held nobody knows what comes, unless another chart is about to take over.
        """
        held, takes_over = self._held_at(beat), self._now[0]
        if held is not None:
            over = beat < takes_over and self._held[-1] == (takes_over, None)
            return (self.chord_at(takes_over), takes_over - beat) if over else (held, math.inf)
        start, chart = self._at(beat)
        chord, beats = chart.next_change(beat - start)
        if beat < takes_over <= beat + beats:
            return self.chord_at(takes_over), takes_over - beat
        return chord, beats

    def chords_in_bar(self, beat: float) -> tuple[Chord, ...]:
        """The chords of the bar that begins at `beat`."""
        start, chart = self._at(beat)
        number, length = round((beat - start) / float(chart.meter.quarters)), float(chart.meter.quarters)
        held = [since for since, _ in self._held if beat < since < beat + length]
        if not held and self._held_at(beat) is None:
            return chart.chords_in_bar(number)
        places = [beat + at for at, _ in chart.bars[number % len(chart.bars)].chords]
        return tuple(chord for chord, _ in groupby(map(self.chord_at, sorted({*places, *held}))))

    def _held_at(self, beat: float) -> Chord | None:
        at = bisect_right(self._held, beat, key=lambda one: one[0])
        return self._held[at - 1][1] if at else None

    def _hold(self, chord: Chord | None, beat: float) -> None:
        while self._held and self._held[-1][0] >= beat:
            del self._held[-1]
        self._held.append((beat, chord))
        del self._held[:-_KEPT]

    def changes(self, beat: float, beats: float) -> Iterator[tuple[float, Chord]]:
        """The chord at `beat`, and each that takes over within so many `beats`, with its place from `beat`."""
        at = 0.0
        while at < beats - TOLERANCE:
            yield at, self.chord_at(beat + at)
            at += self.next_change(beat + at)[1]

    def _at(self, beat: float) -> tuple[float, Chart]:
        return self._now if beat >= self._now[0] else self._before
