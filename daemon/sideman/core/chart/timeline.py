# SPDX-License-Identifier: Apache-2.0
"""The chords and bars of a whole performance: one chart after another, each looped until the next takes over.

That is at a bar line. A chord that somebody holds takes the place of the chart's chords, until another is held or
another chart takes over; the bars remain the chart's. Bars are counted from the top of the music, where that was last.
Before it they go on backwards, as the chart does.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from sideman.core.chart.chart import TOLERANCE, Chart, Meter
from sideman_models.music.harmony import Chord
from sideman_models.music.values import TICKS

_KEPT = 256


@dataclass(frozen=True, slots=True)
class Stretch:
    """`chart`, from beat `start` on; `before` are the bars from the top of the music up to there."""

    start: float
    chart: Chart
    before: int = 0
    tick: int = field(init=False, repr=False)
    """The tick of its start."""
    _lines: tuple[int, ...] = field(init=False, repr=False)
    """The ticks from the top of the chart to its bar lines, and to its end."""

    def __post_init__(self) -> None:
        lines = (round(self.chart.beat_of(bar) * TICKS) for bar in range(len(self.chart.bars) + 1))
        object.__setattr__(self, "tick", round(self.start * TICKS))
        object.__setattr__(self, "_lines", tuple(lines))

    def bar(self, tick: float) -> int:
        """The bar at `tick`, counted from 0 at the first top of the chart and going round."""
        count = len(self.chart.bars)
        chorus, place = divmod(tick - self.tick, self._lines[-1])
        return int(chorus) * count + bisect_right(self._lines, place, hi=count) - 1

    def line(self, bar: int) -> int:
        """The tick on which a bar begins, counted so."""
        chorus, index = divmod(bar, len(self.chart.bars))
        return self.tick + chorus * self._lines[-1] + self._lines[index]


class Tune:
    """What the changes and the bars are at any beat or tick of the performance, counted from its start."""

    def __init__(self, chart: Chart) -> None:
        self._before = self._now = Stretch(0.0, chart)
        self._held: list[tuple[float, Chord | None]] = []  # from which beat on, in order; None: the chart's chords

    @property
    def chart(self) -> Chart:
        """The chart that was set last."""
        return self._now.chart

    def change(self, chart: Chart, beat: float) -> None:
        """Let `chart` take over, from its top, at `beat`, a bar line: from a chart, and from chords that are held."""
        over = self.number_at(beat * TICKS)
        if beat > self._now.start:  # else the chart that was to take over there never does
            self._before = self._now
        self._now = Stretch(beat, chart, over)
        self._hold(None, beat)

    def hold(self, chord: Chord, beat: float) -> None:
        """Somebody holds `chord` from `beat` on: that is what is played over. The last few hundred are remembered."""
        if self.held_at(beat) != chord:
            ends = [one for one in self._held[-1:] if one[1] is None and one[0] > beat]
            self._hold(chord, beat)
            self._held += ends

    def move(self, top: float) -> None:
        """From now on, let the top of the chart that was set last fall on beat `top`, be it past or to come."""
        self._before = self._now = Stretch(top, self.chart)
        if self.held_at(math.inf) is None:
            self._held.clear()

    @property
    def charts(self) -> tuple[Stretch, Stretch]:
        """The chart that was set last, after the one before it, each with the beat of its first top."""
        return self._before, self._now

    def chord_at(self, beat: float) -> Chord:
        """The chord at `beat`."""
        held = self.held_at(beat)
        if held is not None:
            return held
        now = self._at(beat)
        return now.chart.chord_at(beat - now.start)

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """The next different chord, and the beats until it (infinite if there is none).

        After a chord that is held nobody knows what comes, unless another chart is about to take over.
        """
        held, takes_over = self.held_at(beat), self._now.start
        if held is not None:
            over = beat < takes_over and self._held[-1] == (takes_over, None)
            return (self.chord_at(takes_over), takes_over - beat) if over else (held, math.inf)
        now = self._at(beat)
        chord, beats = now.chart.next_change(beat - now.start)
        if beat < takes_over <= beat + beats:
            return self.chord_at(takes_over), takes_over - beat
        return chord, beats

    def chords_in_bar(self, beat: float) -> tuple[Chord, ...]:
        """The chords of the bar that begins at `beat`."""
        now, tick = self._at(beat), round(beat * TICKS)
        number, (_, length) = now.bar(tick), self.bar_at(tick)
        held = [since for since, _ in self._held if beat < since < beat + length / TICKS]
        if not held and self.held_at(beat) is None:
            return now.chart.chords_in_bar(number)
        places = [beat + at for at, _ in now.chart.bars[number % len(now.chart.bars)].chords]
        return tuple(chord for chord, _ in groupby(map(self.chord_at, sorted({*places, *held}))))

    def held_at(self, beat: float) -> Chord | None:
        """The chord that somebody holds at `beat`, if that is what counts there."""
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

    # -- bars

    def bar_at(self, tick: float) -> tuple[int, int]:
        """The tick of the bar line at or before `tick`, and how many ticks the bar has that begins there."""
        now = self._at_tick(tick)
        bar = now.bar(tick)
        line = now.line(bar)
        return line, now.line(bar + 1) - line

    def number_at(self, tick: float) -> int:
        """How many bars are over at `tick`, counted from the top of the music."""
        now = self._at_tick(tick)
        return now.before + now.bar(tick)

    def line_of(self, number: int) -> int:
        """The tick of the bar line where so many bars are over."""
        now = self._now if number >= self._now.before else self._before
        return now.line(number - now.before)

    def meter_at(self, tick: float) -> Meter:
        """The meter of the bar at `tick`."""
        now = self._at_tick(tick)
        return now.chart.bars[now.bar(tick) % len(now.chart.bars)].meter

    def _at_tick(self, tick: float) -> Stretch:
        return self._now if tick >= self._now.tick else self._before

    def _at(self, beat: float) -> Stretch:
        return self._now if beat >= self._now.start else self._before
