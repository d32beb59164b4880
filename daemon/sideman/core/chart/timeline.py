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

from sideman.core.chart.chart import Chart, Meter
from sideman_models.music.harmony import Chord
from sideman_models.music.values import TICKS_PER_QUARTER

_MAX_HELD_CHORDS = 256


@dataclass(frozen=True, slots=True)
class ChartSpan:
    """`chart`, from beat `start` on; `bars_before` are the bars from the top of the music up to there."""

    start: float
    chart: Chart
    bars_before: int = 0
    tick: int = field(init=False, repr=False)
    """The tick of its start."""
    _lines: tuple[int, ...] = field(init=False, repr=False)
    """The ticks from the top of the chart to its bar lines, and to its end."""

    def __post_init__(self) -> None:
        lines = (round(self.chart.beat_of_bar(bar) * TICKS_PER_QUARTER) for bar in range(len(self.chart.bars) + 1))
        object.__setattr__(self, "tick", round(self.start * TICKS_PER_QUARTER))
        object.__setattr__(self, "_lines", tuple(lines))

    def bar_at(self, tick: float) -> int:
        """The bar at `tick`, counted from 0 at the first top of the chart and going round."""
        count = len(self.chart.bars)
        chorus, place = divmod(tick - self.tick, self._lines[-1])
        return int(chorus) * count + bisect_right(self._lines, place, hi=count) - 1

    def bar_line_tick(self, bar: int) -> int:
        """The tick on which a bar begins, counted so."""
        chorus, index = divmod(bar, len(self.chart.bars))
        return self.tick + chorus * self._lines[-1] + self._lines[index]


class ChartTimeline:
    """What the changes and the bars are at any beat or tick of the performance, counted from its start."""

    def __init__(self, chart: Chart) -> None:
        self._previous = self._current = ChartSpan(0.0, chart)
        self._held: list[tuple[float, Chord | None]] = []  # from which beat on, in order; None: the chart's chords

    @property
    def chart(self) -> Chart:
        """The chart that was set last."""
        return self._current.chart

    def set_chart(self, chart: Chart, beat: float) -> None:
        """Let `chart` take over, from its top, at `beat`, a bar line: from a chart, and from chords that are held."""
        over = self.bar_number_at(beat * TICKS_PER_QUARTER)
        if beat > self._current.start:  # else the chart that was to take over there never does
            self._previous = self._current
        self._current = ChartSpan(beat, chart, over)
        self._set_held(None, beat)

    def hold_chord(self, chord: Chord, beat: float) -> None:
        """Somebody holds `chord` from `beat` on: that is what is played over. The last few hundred are remembered."""
        if self.held_chord_at(beat) != chord:
            ends = [one for one in self._held[-1:] if one[1] is None and one[0] > beat]
            self._set_held(chord, beat)
            self._held += ends

    def move_top(self, top: float) -> None:
        """From now on, let the top of the chart that was set last fall on beat `top`, be it past or to come."""
        self._previous = self._current = ChartSpan(top, self.chart)
        if self.held_chord_at(math.inf) is None:
            self._held.clear()

    @property
    def charts(self) -> tuple[ChartSpan, ChartSpan]:
        """The chart that was set last, after the one before it, each with the beat of its first top."""
        return self._previous, self._current

    def chord_at(self, beat: float) -> Chord:
        """The chord at `beat`."""
        held = self.held_chord_at(beat)
        if held is not None:
            return held
        now = self._span_at(beat)
        return now.chart.chord_at(beat - now.start)

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """Return the next different chord and the beats until it (infinite if there is none).

        After a held chord the next chord is not known, unless another chart is about to take over.
        """
        chord, change = self._next_change_beat(beat)
        return chord, change - beat

    def next_change_tick(self, tick: float) -> float:
        """Return the tick on which the next different chord begins; infinite if there is none."""
        return self._next_change_beat(tick / TICKS_PER_QUARTER)[1] * TICKS_PER_QUARTER

    def _next_change_beat(self, beat: float) -> tuple[Chord, float]:
        held, takes_over = self.held_chord_at(beat), self._current.start
        if held is not None:
            chart_follows = beat < takes_over and self._held[-1] == (takes_over, None)
            return (self.chord_at(takes_over), takes_over) if chart_follows else (held, math.inf)
        span = self._span_at(beat)
        chord, change = span.chart.next_change_beat(beat - span.start)
        change += span.start
        return (self.chord_at(takes_over), takes_over) if beat < takes_over <= change else (chord, change)

    def chords_in_bar(self, beat: float) -> tuple[Chord, ...]:
        """The chords of the bar that begins at `beat`."""
        now, tick = self._span_at(beat), round(beat * TICKS_PER_QUARTER)
        number, (_, length) = now.bar_at(tick), self.bar_at(tick)
        held = [since for since, _ in self._held if beat < since < beat + length / TICKS_PER_QUARTER]
        if not held and self.held_chord_at(beat) is None:
            return now.chart.chords_in_bar(number)
        places = [beat + at for at, _ in now.chart.bars[number % len(now.chart.bars)].chords]
        return tuple(chord for chord, _ in groupby(map(self.chord_at, sorted({*places, *held}))))

    def held_chord_at(self, beat: float) -> Chord | None:
        """The chord that somebody holds at `beat`, if that is what counts there."""
        at = bisect_right(self._held, beat, key=lambda one: one[0])
        return self._held[at - 1][1] if at else None

    def _set_held(self, chord: Chord | None, beat: float) -> None:
        while self._held and self._held[-1][0] >= beat:
            del self._held[-1]
        self._held.append((beat, chord))
        del self._held[:-_MAX_HELD_CHORDS]

    def chords_within(self, beat: float, beats: float) -> Iterator[tuple[float, Chord]]:
        """Yield the chord at `beat` and each that begins within `beats` from there, with its distance from `beat`."""
        position = beat
        while position < beat + beats:
            yield position - beat, self.chord_at(position)
            position = self._next_change_beat(position)[1]

    # -- bars

    def bar_at(self, tick: float) -> tuple[int, int]:
        """The tick of the bar line at or before `tick`, and how many ticks the bar has that begins there."""
        now = self._span_at_tick(tick)
        bar = now.bar_at(tick)
        line = now.bar_line_tick(bar)
        return line, now.bar_line_tick(bar + 1) - line

    def bar_number_at(self, tick: float) -> int:
        """How many bars are over at `tick`, counted from the top of the music."""
        now = self._span_at_tick(tick)
        return now.bars_before + now.bar_at(tick)

    def bar_line_tick(self, number: int) -> int:
        """The tick of the bar line where so many bars are over."""
        now = self._current if number >= self._current.bars_before else self._previous
        return now.bar_line_tick(number - now.bars_before)

    def meter_at(self, tick: float) -> Meter:
        """The meter of the bar at `tick`."""
        now = self._span_at_tick(tick)
        return now.chart.bars[now.bar_at(tick) % len(now.chart.bars)].meter

    def _span_at_tick(self, tick: float) -> ChartSpan:
        return self._current if tick >= self._current.tick else self._previous

    def _span_at(self, beat: float) -> ChartSpan:
        return self._current if beat >= self._current.start else self._previous
