# SPDX-License-Identifier: Apache-2.0
"""Practice: bars that are repeated, jumps, another tempo and another key in each round; all on bar lines.

What comes at a bar line is settled one bar ahead (`Practice.prepare`), so that the soloist chooses its notes for it,
and as often as something changes on which it depends. It holds once the bar line is crossed (`Practice.begin`). A round
is a chorus or, while bars are repeated (`practice.loop`), once through these bars. A round counts as a chorus: after as
many as were asked for the music ends, or the next song follows. A new chart begins in its own key.

The bars of the chart are played as another stretch of the same chart: see `ChartTimeline.set_chart`.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from sideman.core.chart.chart import Chart, ChartError
from sideman.core.chart.places import Place, find_place
from sideman.core.events import SongTempo
from sideman.core.positions import EPSILON_BEATS
from sideman.core.settings.groups.practice import CYCLES, PracticeSettings
from sideman.core.settings.schema import Settings
from sideman.core.timeline import Timeline
from sideman.core.timing.clock_source import CLOCK_SOURCES
from sideman.core.timing.pll import FASTEST_BPM, SLOWEST_BPM
from sideman_models.music.values import TICKS_PER_QUARTER

SLOWER = 0.9
"""What `slower` multiplies the tempo by, and `faster` divides it by."""


def check_loop(settings: Settings, chart: Chart) -> None:
    """Raise ChartError if `chart` has not the bars that `practice.loop` names."""
    if settings.practice.loop is not None:
        try:
            find_place(chart, settings.practice.loop)
        except ChartError as error:
            raise ChartError(f"practice.loop: {error}") from None


class PracticeMemory(Struct, frozen=True):
    """The state of practice as plain data.

    The chart sounds `semitones` higher than it is written. At the next bar line the music jumps to the bar `jump` and
    takes up the tempo `bpm`, if these are there; for what comes there, the end has been moved by `end_moved` beats.
    """

    semitones: Annotated[int, Meta(ge=-11, le=11)] = 0
    jump: Annotated[int, Meta(ge=0)] | None = None
    bpm: SongTempo | None = None
    end_moved: Annotated[float, Meta(ge=-1e6, le=1e6)] = 0.0


class Coming(Struct, frozen=True):
    """What comes at a bar line: the `bar`, as `Chart` counts it, `semitones` higher than written.

    `leaves`: it is not the bar or the key that would follow. A new tempo is `bpm`; `count_in_bars` are counted in.
    """

    bar: int
    semitones: int
    leaves: bool = False
    bpm: float | None = None
    count_in_bars: int = 0
    count_in: float = 0.0

    @property
    def is_news(self) -> bool:
        """Whether anything comes but the next bar."""
        return self.leaves or self.bpm is not None


class Practice:
    """Decides what comes at the next bar line of `timeline`."""

    def __init__(self, timeline: Timeline) -> None:
        self.jump: int | None = None
        """The bar, from 0, to which the music jumps at the next bar line."""
        self.asked_bpm: float | None = None
        """The tempo that `slower` and `faster` have asked for."""
        self.coming: Coming | None = None
        """What comes at the next bar line, if anything but the next bar does: the end counts, after the last round."""
        self._timeline, self._chart, self._live = timeline, timeline.chart, timeline.live
        self.end_moved = 0.0
        """By how many beats the end has been moved for what comes."""
        self._resumes = False  # the music before the start was played, before a restart of the program
        self.set_chart(self._chart.chart)

    def set_chart(self, chart: Chart) -> None:
        """Another chart is played, in its own key."""
        self._keys: dict[int, Chart] = {0: chart}  # the chart in the keys that have been played
        self._semitones = 0

    @property
    def chart(self) -> Chart:
        """The chart in its own key."""
        return self._keys[0]

    def restart(self) -> None:
        """The music starts from the top, in the key of the chart."""
        self._semitones, self._resumes = 0, False

    def cancel(self) -> None:
        """Take back what was to come at the next bar line; it is settled again at another one."""
        self._timeline.move_end(-self.end_moved)
        self.end_moved, self.coming = 0.0, None

    # -- what comes

    def prepare(self, line: int, *, chart_follows: bool) -> bool:
        """Settle what comes at the bar line at tick `line`; returns whether it is not what was settled before.

        `chart_follows`: another chart takes over there, from its top.
        """
        self.cancel()
        coming, end_moved = self._settle(line, 0 if chart_follows else self._chart.bar_up_to(line), fresh=chart_follows)
        self.end_moved = end_moved
        self._timeline.move_end(end_moved)
        self.coming = coming if coming.is_news or end_moved else None
        chart, beat, counted_in = self._in_key(coming.semitones), line / TICKS_PER_QUARTER, coming.count_in_bars
        place, set_last = chart.beat_of_bar(coming.bar), self._chart.charts[1]
        counts = set_last.counted_in if set_last.start >= beat else 0  # otherwise that count-in is over on this line
        goes_on = counts == counted_in and (not counted_in or (set_last.start, set_last.place) == (beat, place))
        if goes_on and set_last.chart == chart and set_last.top == beat + coming.count_in - place:
            return False
        self._chart.set_chart(chart, beat, place, counted_in)
        return True

    def _settle(self, line: int, following: int, *, fresh: bool) -> tuple[Coming, float]:
        """Return what comes at `line`, where bar `following` would follow, and by how much the end moves for it.

        `fresh`: no bar of the chart comes before `following`. A bar that has been counted in is played.
        """
        chart, timeline = self.chart, self._timeline
        count, loop, jump = len(chart.bars), self.loop, self.jump
        counted = any(span.counted_in and span.begin_tick == line for span in self._chart.charts)
        fresh = fresh or counted or (line <= timeline.start * TICKS_PER_QUARTER and not self._resumes)
        # The place after the last bar, up to the end of the chart, and how many choruses came before that bar.
        place, chorus = (following % count, following // count) if fresh else _place_after(following, count)
        target = jump if jump is not None and jump < count else None
        round_ends = not fresh and target is None and place == (count if loop is None else loop.end)
        is_over = not timeline.has_final_note or (target is None and line > timeline.end_tick)
        if target is None and not counted and loop is not None and not loop.first <= place < loop.end:
            target = loop.first
        if line >= timeline.end_tick and (target is None or is_over):
            return Coming(following, self._semitones), 0.0
        bpm = self.asked_bpm
        if round_ends and bpm is None:
            bpm = self.next_bpm
        semitones = self.next_semitones if round_ends else self._semitones if self._cycle else 0
        moves = semitones != self._semitones
        if target is None:
            return Coming(following, semitones, moves, bpm), 0.0
        bars = 0 if fresh else self._settings.count_in
        count_in = bars * float(chart.bars[target].meter.quarters)
        bar = (chorus if fresh else chorus + 1) * count + target
        end_moved = 0.0
        if timeline.has_final_note:
            end_moved = chart.beat_of_bar(place) - chart.beat_of_bar(target) - chart.length * round_ends
            end, beat = min(timeline.end, timeline.song_start), line / TICKS_PER_QUARTER
            if round_ends and end + end_moved < beat + EPSILON_BEATS:  # this was the last round
                return Coming(following, self._semitones), beat - end
            end_moved += count_in
        leaves = moves or bar != following or bars > 0 or target == jump  # each jump is made once
        return Coming(bar, semitones, leaves, bpm, bars, count_in), end_moved

    @property
    def loop(self) -> Place | None:
        """The bars that are repeated; None if there are none, or the chart has no such bars."""
        if self._settings.loop is None:
            return None
        try:
            return find_place(self.chart, self._settings.loop)
        except ChartError:
            return None

    def start_bar(self, place: int) -> int:
        """Return the bar, from 0, with which a start at the bar `place` begins: that of a jump, or of the loop."""
        if self.jump is not None and self.jump < len(self.chart.bars):
            return self.jump
        loop = self.loop
        return loop.first if loop is not None and not loop.first <= place < loop.end else place

    @property
    def next_bpm(self) -> float | None:
        """The tempo of the next round, if it is another one."""
        settings, bpm = self._settings, self._timeline.tempo.bpm
        if not settings.tempo or not self.sets_tempo:
            return None
        if settings.tempo > 0:
            limit = settings.tempo_limit or FASTEST_BPM
            wanted = max(bpm, min(limit, bpm + settings.tempo))
        else:
            limit = settings.tempo_limit or SLOWEST_BPM
            wanted = min(bpm, max(limit, bpm + settings.tempo))
        return None if wanted == bpm else wanted

    @property
    def next_semitones(self) -> int:
        """The key of the next round, in semitones from the chart as it is written; the nearer way, up or down."""
        return (self._semitones + self._cycle + 5) % 12 - 5 if self._cycle else 0

    @property
    def sets_tempo(self) -> bool:
        """Whether the tempo is ours to change."""
        return CLOCK_SOURCES[self._live.settings.tempo.source].accepts_tempo

    def changed_bpm(self, *, slower: bool) -> float:
        """Return the tempo that `slower` or `faster` asks for; asked again, it is slower or faster still."""
        bpm = self._timeline.tempo.bpm if self.asked_bpm is None else self.asked_bpm
        wanted = bpm * SLOWER if slower else bpm / SLOWER
        return round(min(max(wanted, SLOWEST_BPM), FASTEST_BPM), 1)

    @property
    def _cycle(self) -> int:
        return CYCLES[self._settings.transpose]

    @property
    def _settings(self) -> PracticeSettings:
        return self._live.settings.practice

    def _in_key(self, semitones: int) -> Chart:
        if semitones not in self._keys:
            self._keys[semitones] = self.chart.transposed(semitones)
        return self._keys[semitones]

    # -- the bar line

    def begin(self) -> Coming | None:
        """The bar line is crossed: what was to come there holds. Returns it, if there was anything."""
        coming, self.coming = self.coming, None
        if coming is not None:
            self._semitones = coming.semitones
        self.jump = self.asked_bpm = None
        self.end_moved = 0.0
        return coming

    # -- saving, restoring, showing

    def memory(self) -> PracticeMemory:
        """Return the state as plain data."""
        return PracticeMemory(self._semitones, self.jump, self.asked_bpm, self.end_moved)

    def recall(self, memory: PracticeMemory, *, chart_follows: bool) -> None:
        """Continue from `memory`; the timeline has been recalled. `chart_follows`: as in `prepare`."""
        self.jump, self.asked_bpm, self.end_moved = memory.jump, memory.bpm, memory.end_moved
        semitones, sounding = memory.semitones, self._chart.charts[1].chart
        if chart_follows or all(self._in_key(key) != sounding for key in range(-5, 7)):  # it is of another chart
            self.set_chart(sounding.transposed(-semitones))
        self._semitones = semitones
        self._resumes = self._timeline.start > self._timeline.top

    def text(self, transpose: int) -> str:
        """Return what comes in a musician's words, for an instrument in the key `transpose`; empty if nothing does."""
        loop, bpm = self.loop, self.asked_bpm or self.next_bpm
        parts = [f"bar{'s' if '-' in loop.text else ''} {loop.text} again"] if loop else []
        parts = parts if self.jump is None else [f"bar {self.jump + 1} next"]
        if self._cycle:
            key = self._in_key(self.next_semitones).info.transposed(-transpose).key
            parts.append(f"then in {key}" if key else f"then {self.next_semitones:+d} semitones")
        if bpm is not None:
            parts.append(f"then {bpm:g} bpm")
        if self.coming is not None and self.coming.count_in_bars:
            parts.append("counted in")
        return ", ".join(parts)


def _place_after(following: int, count: int) -> tuple[int, int]:
    """Return how many bars of its chorus have been played before bar `following`, and the choruses before that."""
    chorus, bar = divmod(following - 1, count)
    return bar + 1, chorus
