# SPDX-License-Identifier: Apache-2.0
"""What the solo aims at: the target notes of `play.target` as they come round, and the tone it ends on.

A target is aimed at in our own turn only. Everything is asked when it is needed, so it holds for the chart, the turns
and the settings in force; what was found is kept only as long as all of these are the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator

from msgspec import Struct

from sideman.core.chart.chart import Chart, ChartError
from sideman.core.chart.places import Place, find_place
from sideman.core.chart.timeline import ChartSpan
from sideman.core.parts.approach import HORIZON_TICKS, Approach
from sideman.core.parts.improviser import Improviser
from sideman.core.settings.target_notes import TargetNote, missing, pitches_of, problem_in
from sideman.core.timeline import Timeline
from sideman.core.turns import TurnPlan
from sideman_models.music.harmony import Chord
from sideman_models.music.values import TICKS_PER_QUARTER

_AHEAD_TICKS = 3 * HORIZON_TICKS
"""How far ahead of a target its approach is worked out, where there is time."""
_SHOWN_TICKS = 4096 * TICKS_PER_QUARTER
_MAX_APPROACHES, _MAX_CHARTS = 8, 4


class Aim(Struct, frozen=True):
    """One of `pitches` is to sound at `tick`."""

    tick: int
    pitches: frozenset[int]


class _Occurrence(Struct, frozen=True):
    """A target, or what is shown of one, as it comes round at `tick`, with the chart and the chord there."""

    tick: int
    target: TargetNote
    chart: Chart
    chord: Chord


class Aims:
    """The aims of the solo over `timeline`, in the turns of `turns`."""

    def __init__(self, timeline: Timeline, improviser: Improviser, turns: TurnPlan) -> None:
        self._timeline, self._chart, self._live = timeline, timeline.chart, timeline.live
        self._improviser, self._turns = improviser, turns
        # What was found last, the ticks for which it holds, and what it depends on.
        self._found: Approach | None = None
        self._found_for, self._numbers = (0, -1), (-1, 0.0, False)
        self._basis: tuple[object, ...] = (None, None, None)
        self._approaches: dict[tuple[object, ...], Approach] = {}
        self._made_for: tuple[object, ...] = ()
        self._places: dict[object, tuple[list[tuple[int, TargetNote]], object]] = {}

    # -- where the targets are

    def ahead(self, tick: int, until: float) -> Iterator[Aim]:
        """Yield what is aimed at from `tick` on, before `until`, in order."""
        play, final = self._live.play, self._timeline.final_note_tick()
        for each in self._occurrences(tick, min(until, final + 1)):
            pitches = pitches_of(each.target.tones, each.chord, play.range)
            if pitches and self._is_ours(each.tick):
                yield Aim(each.tick, pitches)
                if each.tick == final:
                    return
        if tick <= final < until and play.ending and self._is_ours(int(final)):
            chord = self._chart.chord_at(final / TICKS_PER_QUARTER)
            if pitches := pitches_of(play.ending, chord, play.range):
                yield Aim(int(final), pitches)

    def _is_ours(self, tick: int) -> bool:
        return tick < self._timeline.end_tick and self._turns.next_open_tick(tick) == tick

    def _occurrences(self, tick: int, until: float) -> Iterator[_Occurrence]:
        """Yield the targets from `tick` on, before `until`, in order."""
        if not self._live.play.target:
            return
        previous, current = self._chart.charts
        yield from self._in_chart(previous, tick, min(until, current.tick))
        start = max(tick, current.begin_tick)
        if start >= until:
            return
        loop, bar = self._loop(current.chart), current.bar_at(start)
        count = len(current.chart.bars)
        if loop is None or not loop.first <= bar % count < loop.end:
            yield from self._in_chart(current, start, until)
            return
        line = current.bar_line_tick(bar - bar % count + loop.end)
        yield from self._in_chart(current, start, min(until, line))
        yield from self._in_rounds(current, loop, line, until)

    def _in_chart(self, span: ChartSpan, tick: int, until: float) -> Iterator[_Occurrence]:
        """Yield the targets from `tick` on, before `until`, while the chart of `span` goes on."""
        places = self._places_in(span)
        period = span.bar_line_tick(len(span.chart.bars)) - span.bar_line_tick(0)
        if tick >= until or not places:
            return
        chorus = (tick - span.bar_line_tick(0)) // period * period
        while chorus + places[0][0] < until:
            for place, target in places:
                if tick <= chorus + place < until:
                    at = chorus + place
                    chord = self._chart.chord_at(at / TICKS_PER_QUARTER)
                    yield _Occurrence(at, target, span.chart, chord)
            chorus += period

    def _in_rounds(self, span: ChartSpan, loop: Place, line: int, until: float) -> Iterator[_Occurrence]:
        """Yield the targets before `until` of the rounds of a loop, of which the next begins at `line`."""
        chart, top, first = span.chart, span.bar_line_tick(0), span.bar_line_tick(loop.first)
        bars, bar_beats = self._live.settings.practice.count_in, chart.bars[loop.first].meter.quarters
        count_in = round(bars * bar_beats * TICKS_PER_QUARTER)
        places = [each for each in self._places_in(span) if first <= each[0] < span.bar_line_tick(loop.end)]
        begins = line + count_in
        while places and begins < until:
            for place, target in places:
                if (at := begins + place - first) < until:
                    yield _Occurrence(at, target, chart, chart.chord_at((place - top) / TICKS_PER_QUARTER))
            begins += span.bar_line_tick(loop.end) - first + count_in

    def _places_in(self, span: ChartSpan) -> list[tuple[int, TargetNote]]:
        """Return the ticks of the targets in the first chorus of the chart of `span`."""
        targets, bars = self._live.play.target, span.chart.bars
        key = (span.bar_line_tick(0), id(span.chart), id(targets))  # both are kept in what is known
        if (entry := self._places.get(key)) is None:
            if len(self._places) >= _MAX_CHARTS:
                self._places.clear()
            places = [
                (span.bar_line_tick(target.bar - 1) + ticks, target)
                for target in targets
                if target.bar <= len(bars) and (ticks := target.ticks(bars[target.bar - 1].meter)) is not None
            ]
            entry = self._places[key] = sorted(places, key=lambda place: place[0]), (span.chart, targets)
        return entry[0]

    def _loop(self, chart: Chart) -> Place | None:
        written = self._live.settings.practice.loop
        if written is None:
            return None
        try:
            return find_place(chart, written)
        except ChartError:
            return None

    # -- the way there

    def approach(self, tick: int, bound: float) -> Approach | None:
        """Return the way to what is aimed at next at a choice for `tick`, before `bound`, where the line breaks off."""
        return self._approach(tick, min(bound, tick + HORIZON_TICKS + 1))

    def _approach(self, tick: int, until: float) -> Approach | None:
        turns, first, last = self._turns, *self._found_for
        basis = (self._live.settings, turns.mode_at(tick), turns.scheduled)
        numbers = (self._chart.revision, self._timeline.end, turns.next_open_tick(tick) == tick)
        is_same = numbers == self._numbers and all(map(operator.is_, basis, self._basis))
        if not is_same or not first <= tick <= last:
            self._basis, self._numbers, found = basis, numbers, self._find(tick)
            last = found.tick if found else tick + _AHEAD_TICKS - HORIZON_TICKS - 1
            self._found, self._found_for = found, (tick, last)
        return self._found if self._found is not None and self._found.tick < until else None

    def _find(self, tick: int) -> Approach | None:
        aims = self.ahead(tick, tick + _AHEAD_TICKS + HORIZON_TICKS)
        first = next(aims, None)
        if first is None or first.tick >= tick + _AHEAD_TICKS:
            return None
        then = next(aims, None)
        reach = min(self._turns.turn_end(first.tick), first.tick + HORIZON_TICKS)
        then = None if then is None or then.tick >= reach else then
        return self._made(first, None if then is None else self._made(then, None))

    def _made(self, aim: Aim, then: Approach | None) -> Approach:
        """Return the way to `aim`; the same one as long as what it depends on is the same."""
        steps = self._improviser.steps
        basis = (steps, self._chart.revision)
        if basis != self._made_for:
            self._made_for = basis
            self._approaches.clear()
        key = aim.tick, aim.pitches, None if then is None else (then.tick, then.pitches)
        if key not in self._approaches:
            if len(self._approaches) >= _MAX_APPROACHES:
                del self._approaches[next(iter(self._approaches))]
            self._approaches[key] = Approach(steps, aim.tick, aim.pitches, self._chart, self._chart, then)
        return self._approaches[key]

    def work_ahead(self, tick: int) -> bool:
        """Do a part, of a bounded size, of what has to be worked out for the way to the next aim from `tick` on.

        Returns whether there was anything to do.
        """
        approach = self._approach(tick, tick + _AHEAD_TICKS)
        return approach is not None and approach.work()

    # -- what is shown

    def text(self, tick: int, next_tick: int, last_tick: int, varied: Callable[[int], bool], transpose: int) -> str:
        """Return the next target from `tick` on, as it is shown to an instrument in the key `transpose`.

        If it will not be played, the text says why. The next choice is for `next_tick`, the last one was for
        `last_tick`; `varied` says whether a phrase comes again at a tick. Empty without a target.
        """
        targets, play = self._live.play.target, self._live.play
        if not targets:
            return ""
        each = next(self._occurrences(tick, min(tick + _SHOWN_TICKS, self._timeline.end_tick)), None)
        if each is None:
            chart = self._chart.chart
            problems = (problem_in(target, chart, play.range) for target in targets)
            problem = next(filter(None, problems), "")
            return f"target: {problem}" if problem else ""
        problem = missing(each.target.tones, each.chord, play.range)
        if not problem and each.tick > self._timeline.final_note_tick():
            problem = "the last note sounds"
        if not problem and not self._is_ours(each.tick):
            problem = "sideman only listens" if play.mode == "off" else "your turn"
        if not problem and each.tick < next_tick and each.tick != last_tick:
            problem = "too late"
        if not problem and varied(each.tick):
            problem = "the last phrase comes again"
        words = f"target: {each.target.words(each.chord.shown(transpose))}"
        return f"{words}: {problem}" if problem else words
