# SPDX-License-Identifier: Apache-2.0
"""The chords and bars of a whole performance: one chart after another, each repeated until the next one takes over.

A chart takes over at a bar line. A chord that the player holds on the chord channel replaces the chart's chords until
another chord is held or another chart takes over; the bars remain those of the chart. Bars are counted from the latest
top of the music; before it they go on backwards, as in a chart.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from sideman.core.chart.chart import Chart, Meter
from sideman.core.chart.styles import Style
from sideman.core.chart.written import WrittenChart
from sideman.core.positions import EPSILON_BEATS
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.values import TICKS_PER_QUARTER

_MAX_HELD_CHORDS = 256
_NO_BAR = 0, 0, (0, 0)
_KEPT_CHORDS = 16  # more than a line that is one bar old can ask for


class ChartSpan(Struct, frozen=True, dict=True):
    """`chart`, from beat `start` on, from its own beat `place`, after a count-in of `counted_in` bars.

    The count-in has the meter and the first chord of the bar at `place`. `bars_before` is the number of bars from the
    top of the music to the top of the chart, which may lie before `start`; bars that are counted in take the numbers
    before that of the bar at `place`.
    """

    start: float
    chart: Chart
    bars_before: int = 0
    place: float = 0.0
    counted_in: int = 0

    @cached_property
    def begin(self) -> float:
        """The beat on which the bar at `place` begins: `start`, or the end of the count-in."""
        return self.start + self.counted_in * float(self.chart.meter_at(self.place).quarters)

    @property
    def top(self) -> float:
        """The beat on which the chart's first bar began, or would have begun."""
        return self.begin - self.place

    def place_at(self, beat: float) -> float:
        """Return the chart's own beat that holds at `beat`; during the count-in `place`."""
        return (max(beat, self.begin) if self.counted_in else beat) - self.top

    @cached_property
    def tick(self) -> int:
        """The tick of `start`."""
        return round(self.start * TICKS_PER_QUARTER)

    @cached_property
    def begin_tick(self) -> int:
        """The tick of `begin`."""
        return round(self.begin * TICKS_PER_QUARTER)

    @cached_property
    def first_number(self) -> int:
        """The number of the bar at `start`."""
        return self.bars_before + self.bar_at(self.tick)

    @cached_property
    def _top_tick(self) -> int:
        return round(self.top * TICKS_PER_QUARTER)

    @cached_property
    def written_chart(self) -> WrittenChart:
        """The chart as plain data; made once, because a memory is left each bar."""
        return WrittenChart.of(self.chart)

    @cached_property
    def _bar_lines(self) -> tuple[int, ...]:
        """The ticks of the chart's bar lines and of its end, from the top of the chart."""
        bars = range(len(self.chart.bars) + 1)
        return tuple(round(self.chart.beat_of_bar(bar) * TICKS_PER_QUARTER) for bar in bars)

    def bar_at(self, tick: float) -> int:
        """Return the index of the bar at `tick`, as in `Chart`: 0 at `top`, and on through all choruses.

        Bars that are counted in have the indices before that of the bar at `place`.
        """
        if self.counted_in and tick < self.begin_tick:
            return self._first_bar - math.ceil((self.begin_tick - tick) / self._count_in_bar_ticks)
        count = len(self.chart.bars)
        chorus, chorus_tick = divmod(tick - self._top_tick, self._bar_lines[-1])
        return int(chorus) * count + bisect_right(self._bar_lines, chorus_tick, hi=count) - 1

    def written_bar_at(self, tick: float) -> int:
        """Return the index in the chart of the bar that holds at `tick`; during the count-in of the bar at `place`."""
        return self.bar_at(max(tick, self.begin_tick) if self.counted_in else tick) % len(self.chart.bars)

    def bar_line_tick(self, bar: int) -> int:
        """Return the tick on which the bar with this index begins, or would begin if nothing were counted in."""
        return self._top_tick + round(self.chart.beat_of_bar(bar) * TICKS_PER_QUARTER)

    def line_tick(self, bar: int) -> int:
        """Return the tick on which the bar with this index, which may be counted in, begins."""
        if self.counted_in and bar < self._first_bar:
            return self.begin_tick - (self._first_bar - bar) * self._count_in_bar_ticks
        return self.bar_line_tick(bar)

    @cached_property
    def _first_bar(self) -> int:
        return self.bar_at(self.begin_tick)

    @cached_property
    def _count_in_bar_ticks(self) -> int:
        return (self.begin_tick - self.tick) // self.counted_in


class SpanMemory(Struct, frozen=True):
    """A chart as plain data; the other fields are those of `ChartSpan`."""

    start: float
    chart: WrittenChart
    bars_before: int
    place: float = 0.0
    counted_in: Annotated[int, Meta(ge=0, le=16)] = 0


class ChartsMemory(Struct, frozen=True):
    """The chords and bars of a performance as plain data; a held chord is a symbol, or None for the chart's."""

    previous: SpanMemory
    current: SpanMemory
    held: tuple[tuple[float, str | None], ...]


class ChartTimeline:
    """The chord and the bar at any beat or tick of the performance."""

    def __init__(self, chart: Chart) -> None:
        self._previous = self._current = ChartSpan(0.0, chart)
        self._held: list[tuple[float, Chord | None]] = []  # held chords by the beat they hold from; None: the chart's
        self._last_bar = _NO_BAR
        self.revision = 0
        """Another number after each change of what is asked here."""

    @property
    def chart(self) -> Chart:
        """The chart that was set last."""
        return self._current.chart

    def memory(self) -> ChartsMemory:
        """Return the state as plain data."""
        previous, current = (
            SpanMemory(span.start, span.written_chart, span.bars_before, span.place, span.counted_in)
            for span in self.charts
        )
        held = ((beat, None if chord is None else chord.text) for beat, chord in self._held[-_KEPT_CHORDS:])
        return ChartsMemory(previous, current, tuple(held))

    def recall(self, memory: ChartsMemory) -> None:
        """Continue from `memory`. Raises ValueError or ChordError."""
        self._previous, self._current = (
            ChartSpan(span.start, span.chart.chart(), span.bars_before, span.place, span.counted_in)
            for span in (memory.previous, memory.current)
        )
        self._held = [(beat, None if text is None else parse_chord(text)) for beat, text in memory.held]
        self.revision += 1
        self._last_bar = _NO_BAR

    def set_chart(self, chart: Chart, beat: float, place: float = 0.0, counted_in: int = 0) -> None:
        """Let `chart` take over at the bar line on `beat`, as `ChartSpan` says; it also ends a held chord."""
        number = self.bar_number_at(beat * TICKS_PER_QUARTER)
        if beat > self._current.start:  # otherwise it replaces a chart that has not begun yet
            self._previous = self._current
        span = ChartSpan(beat, chart, 0, place, counted_in)
        self._current = replace(span, bars_before=number - span.first_number)
        self._last_bar = _NO_BAR
        self._set_held(None, beat)

    def hold_chord(self, chord: Chord, beat: float) -> None:
        """Let `chord`, which the player holds, replace the chart's chords from `beat` on."""
        if self.held_chord_at(beat) != chord:
            chart_start = [entry for entry in self._held[-1:] if entry[1] is None and entry[0] > beat]
            self._set_held(chord, beat)
            self._held += chart_start

    def form_end(self, beat: float) -> float:
        """Return the first beat at or after `beat` on which a chorus ends."""
        span = self._span_at(beat)
        return (
            span.start + max(1, math.ceil((beat - span.start) / span.chart.length - EPSILON_BEATS)) * span.chart.length
        )

    def move_top(self, top: float) -> None:
        """Move the top of the chart that was set last to beat `top`, which may lie in the past or in the future."""
        self._previous = self._current = ChartSpan(top, self.chart)
        self._last_bar = _NO_BAR
        self.revision += 1
        if self.held_chord_at(math.inf) is None:
            self._held.clear()

    @property
    def charts(self) -> tuple[ChartSpan, ChartSpan]:
        """The chart before the last one that was set, and that last one."""
        return self._previous, self._current

    def chord_at(self, beat: float) -> Chord:
        """Return the chord at `beat`."""
        if (held := self.held_chord_at(beat)) is not None:
            return held
        span = self._span_at(beat)
        return span.chart.chord_at(span.place_at(beat))

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """Return the next different chord and the beats until it (infinite if there is none).

        While a chord is held, the next chord is not known, unless another chart is about to take over.
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
        chord, change = span.chart.next_change_beat(span.place_at(beat))
        change += span.top
        return (self.chord_at(takes_over), takes_over) if beat < takes_over <= change else (chord, change)

    def chords_in_bar(self, beat: float) -> tuple[Chord, ...]:
        """Return the chords of the bar that begins on `beat`."""
        span, tick = self._span_at(beat), round(beat * TICKS_PER_QUARTER)
        _, bar_ticks = self.bar_at(tick)
        held = self.held_within(beat, bar_ticks / TICKS_PER_QUARTER)
        onsets = [beat + onset for onset, _ in span.chart.bars[span.written_bar_at(tick)].chords]
        return tuple(chord for chord, _ in groupby(map(self.chord_at, sorted({*onsets, *held}))))

    def held_chord_at(self, beat: float) -> Chord | None:
        """Return the held chord that replaces the chart's chord at `beat`, if there is one."""
        count = bisect_right(self._held, beat, key=itemgetter(0))
        return self._held[count - 1][1] if count else None

    def held_within(self, beat: float, beats: float) -> list[float]:
        """Return the beats after `beat`, by less than `beats`, on which the player holds another chord."""
        return [since for since, _ in self._held if beat < since < beat + beats]

    def _set_held(self, chord: Chord | None, beat: float) -> None:
        self._held[bisect_left(self._held, beat, key=itemgetter(0)) :] = [(beat, chord)]
        del self._held[:-_MAX_HELD_CHORDS]
        self.revision += 1

    def chords_within(self, beat: float, beats: float) -> Iterator[tuple[float, Chord]]:
        """Yield the chord at `beat` and each that begins within `beats` from there, with its distance from `beat`."""
        position = beat
        while position < beat + beats:
            yield position - beat, self.chord_at(position)
            position = self._next_change_beat(position)[1]

    # -- bars

    def bar_at(self, tick: float) -> tuple[int, int]:
        """Return the tick of the bar line at or before `tick`, and the number of ticks in its bar."""
        first, stop, bar = self._last_bar  # most calls ask for the bar that was asked for before
        if not first <= tick < stop:
            span = self._span_at_tick(tick)
            index = span.bar_at(tick)
            line, end = span.line_tick(index), span.line_tick(index + 1)
            bar, takes_over = (line, end - line), self._current.tick
            # An answer must not depend on what was asked before, even where a chart takes over within a bar.
            known = (max(line, takes_over), end) if span is self._current else (line, min(end, takes_over))
            self._last_bar = *known, bar
        return bar

    def bar_up_to(self, tick: int) -> int:
        """Return the index, as in `Chart`, that the bar at the bar line `tick` has if nothing takes over there."""
        return (self._current if tick > self._current.tick else self._previous).bar_at(tick)

    def bar_number_at(self, tick: float) -> int:
        """Return the number of the bar at `tick`: 0 is the bar at the top of the music."""
        span = self._span_at_tick(tick)
        return span.bars_before + span.bar_at(tick)

    def bar_line_tick(self, number: int) -> int:
        """Return the tick on which the bar with this number begins."""
        span = self._current if number >= self._current.first_number else self._previous
        return span.line_tick(number - span.bars_before)

    def meter_at(self, tick: float) -> Meter:
        """Return the meter of the bar at `tick`."""
        span = self._span_at_tick(tick)
        return span.chart.bars[span.written_bar_at(tick)].meter

    def begins_section(self, tick: int) -> bool:
        """Whether a section begins at the bar line at `tick`; without names of sections, each eight bars are one."""
        span = self._span_at_tick(tick)
        count, sections = len(span.chart.bars), span.chart.info.sections
        bar = span.written_bar_at(tick)
        return bar in dict(sections) if sections else bar == 0 or (count % 8 == 0 and bar % 8 == 0)

    def is_top(self, tick: int) -> bool:
        """Whether a chorus begins at the bar line at `tick`."""
        span = self._span_at_tick(tick)
        return span.written_bar_at(tick) == 0

    def key_at(self, tick: float) -> str:
        """Return the key of the chart that is played at `tick`; empty if it names none."""
        return self._span_at_tick(tick).chart.info.key

    def style_at(self, tick: float) -> Style:
        """Return the style of the chart at `tick`; where it names none, a waltz in three, else swing."""
        chart = self._span_at_tick(tick).chart
        return chart.info.style or ("waltz" if chart.meter.numerator == 3 else "swing")

    def _span_at_tick(self, tick: float) -> ChartSpan:
        return self._current if tick >= self._current.tick else self._previous

    def _span_at(self, beat: float) -> ChartSpan:
        return self._current if beat >= self._current.start else self._previous
