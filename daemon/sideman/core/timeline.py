# SPDX-License-Identifier: Apache-2.0
"""Converts between seconds, beats and written ticks, and knows where the music begins and ends.

Three units: *seconds* of the clock that is passed in; *beats* (quarter notes) as they sound, swung and at the tempo
that holds; *ticks* (12 a quarter note) as they are written, before swing. The beat counter only grows: after a jump
the music continues at a later beat with the same position in the bar, and the chart is moved under it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from typing import Literal

from msgspec import Struct

from sideman.core.chart.styles import STRAIGHT_STYLES, Style
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.positions import next_multiple, tick_at
from sideman.core.settings.groups.play import PlaySettings
from sideman.core.settings.live import LiveSettings
from sideman.core.settings.schema import choruses_of
from sideman.core.timing.tempo import Tempo, default_swing, exact_tick
from sideman_models.music.swing import swung_beat, swung_in_order
from sideman_models.music.values import TICKS_PER_QUARTER

LEAST_LENGTH_BEATS = 1 / 24
"""What accompanies lasts at least this long, except up to the end of the music."""


class PlaySpan(Struct, frozen=True):
    """What is to be played: from the bar line on beat `start`, which falls on `second`, to beat `end`.

    Without an `end` the music does not end by itself. With a clock that is followed, the clock says when it begins.
    `has_final_note`: the last note is a tone of the last chord and lasts to the end.
    """

    second: float
    start: float = 0.0
    end: float | None = None
    has_final_note: bool = False


class Timeline:
    """The times of a performance over `chart`, by the settings of `live`. `start`, `top` and `end` are beats.

    Nothing is played before `start`. `end` is infinite if the music does not end by itself; where another song follows
    instead, that begins on `song_start`, which is infinite otherwise. `top` is the beat on which the chart's first bar
    began the last time: positions that a clock gives are counted from there.
    """

    def __init__(self, live: LiveSettings, chart: ChartTimeline, span: PlaySpan) -> None:
        self.tempo = Tempo(live.settings.tempo.bpm, span.second, span.start)
        self.start = span.start
        self.top = 0.0
        self.end = math.inf if span.end is None else span.end
        self.song_start = math.inf
        self.live = live
        self.chart = chart
        self.has_final_note = span.has_final_note
        self.decisions = count(1)
        """The numbers of the decisions on onsets, for all parts in order; see `Part.decision`."""

    # -- seconds and beats

    @property
    def offset_s(self) -> float:
        """The seconds by which we play later than the beat; below 0 earlier."""
        return self.live.play.offset_ms / 1000

    def beat_at(self, second: float) -> float:
        """Return the beat that we play at `second`."""
        return self.tempo.beat_at(second - self.offset_s)

    def second_at(self, beat: float) -> float:
        """Return the second at which we play `beat`."""
        return self.tempo.second_at(beat) + self.offset_s

    def is_late(self, beat: float, second: float) -> bool:
        """Whether a note on `beat` would come more than `play.late_ms` too late at `second`."""
        return second - self.second_at(beat) > self.live.play.late_ms / 1000

    # -- beats and written ticks

    @property
    def swing(self) -> float:
        """Where the second eighth note of a beat falls, as a share of the beat."""
        return swing_of(self.live.play, self.chart.chart.info.style, self.tempo.bpm)

    def style_at(self, tick: int) -> Style | Literal["plain"]:
        """Return how the band plays at `tick`."""
        return self.live.play.style or self.chart.style_at(tick)

    def swung_beat(self, tick: int) -> float:
        """Return the beat on which the written `tick` sounds. Swing starts again at each bar line, and crosses none."""
        return self._swung_in_bar(tick, swung_beat)

    def accompanying_beat(self, tick: int) -> float:
        """Return the beat on which what accompanies sounds at `tick`: as `swung_beat`, never before an earlier tick."""
        return self._swung_in_bar(tick, swung_in_order)

    def _swung_in_bar(self, tick: int, swung: Callable[[int, float], float]) -> float:
        line, bar_ticks = self.chart.bar_at(tick)
        place = swung(tick - line, self.swing)
        is_beyond = place >= bar_ticks / TICKS_PER_QUARTER  # in a beat that the bar line cuts short, as in 7/8
        return line / TICKS_PER_QUARTER + ((tick - line) / TICKS_PER_QUARTER if is_beyond else place)

    def end_after(self, beat: float, end: float) -> float:
        """Return where a note on `beat` that was to last to the beat `end` ends: after `beat`, within the music."""
        return min(max(end, beat + LEAST_LENGTH_BEATS), self.end)

    def unswung_tick(self, beat: float) -> float:
        """Return the tick (not rounded, but exact on ticks) at which a note that sounds on `beat` is written."""
        return tick_at(exact_tick(beat, self.chart, self.swing) / TICKS_PER_QUARTER)

    # -- start, top and end

    @property
    def end_tick(self) -> float:
        """The written tick at which the music ends; infinite if it does not end by itself."""
        return self.end if self.end == math.inf else tick_at(self.end)

    def move(self, position: float, reached: float, ahead: float = 0.0) -> None:
        """Continue at `position`, in beats from the top, at least `ahead` beats after the beat `reached`.

        The beats continue where the bar is at the same position as at `position`: after a whole number of bars, or
        of quarter notes where the bars of the chart have several lengths. A `position` below 0 lies before the top.
        """
        lengths = {bar.meter.quarters for bar in self.chart.chart.bars}
        step = float(lengths.pop()) if len(lengths) == 1 else 1.0
        top = next_multiple(reached + ahead - position, step)
        if not self.end_after_choruses(top):
            self.end += top - self.top
        self.top, self.start = top, max(position, 0.0) + top
        self.chart.move_top(top)

    def move_end(self, beats: float) -> None:
        """Let the music end `beats` later, or the song that follows begin so much later."""
        self.end += beats
        self.song_start += beats

    def final_note_tick(self) -> float:
        """Return the tick of the final note: where the last chord begins, or the last bar line if that is later."""
        end = self.end_tick
        if not self.has_final_note or end == math.inf:
            return math.inf
        tick: float = self.chart.bar_at(end - 1)[0]
        while (change := self.chart.next_change_tick(tick)) < end:
            tick = change
        return math.ceil(tick)

    def end_after_choruses(self, top: float) -> bool:
        """Set the end to `chart.choruses` times the chart after beat `top`; False where no number is set."""
        choruses = choruses_of(self.live.settings)
        if not self.has_final_note or choruses is None:
            return False
        self.end = top + choruses * self.chart.chart.length
        return True


def swing_of(play: PlaySettings, chart_style: Style | None, bpm: float) -> float:
    """Return where the second eighth note of a beat falls, as a share of the beat, in a chart of this style."""
    if play.swing is not None:
        return play.swing
    return 0.5 if (play.style or chart_style) in STRAIGHT_STYLES else default_swing(bpm)
