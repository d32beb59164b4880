# SPDX-License-Identifier: Apache-2.0
"""The songs of a set: the one that follows, and the bar line on which it takes over.

It takes over where the music would end (`Timeline.song_start`, in place of `Timeline.end`), or where it is asked for.
"""

from __future__ import annotations

import math

from msgspec import Struct

from sideman.core import events
from sideman.core.changes.bar_line import BarLine
from sideman.core.chart.chart import Chart
from sideman.core.chart.written import WrittenChart
from sideman.core.ensemble import Ensemble
from sideman.core.positions import tick_at


class SongMemory(Struct, frozen=True):
    """The song of the set that follows, as plain data, and the beat on which it takes over, if that is known."""

    number: events.SongNumber
    chart: WrittenChart
    bpm: events.SongTempo | None
    start: float | None


class SongQueue:
    """Lets one song of the set follow another at a bar line of `ensemble`."""

    def __init__(self, ensemble: Ensemble, bar_line: BarLine) -> None:
        self._ensemble, self._bar_line = ensemble, bar_line
        self._live, self._timeline = ensemble.live, ensemble.timeline
        self._song: events.QueueSong | None = None  # the song that follows
        self._written_chart: WrittenChart | None = None  # its chart as plain data; made once, as in `ChartSpan`
        self._asked_end: float | None = None  # the end of the form at which to go on; NaN: the song is not there yet

    # -- what is asked for

    def queue(self, song: events.QueueSong, second: float) -> None:
        """Let `song` follow: after the last chorus of the one that is played, or when it is asked for."""
        if "song" in self._bar_line.changes:  # it begins at the next bar line, and then the one after it is asked for
            return
        self._song = None if song.chart is None else song
        self._written_chart = None if song.chart is None else WrittenChart.of(song.chart)
        timeline = self._timeline
        if timeline.song_start < math.inf:  # another song was to begin there
            timeline.end, timeline.song_start = timeline.song_start, math.inf
            timeline.has_final_note = timeline.has_final_note or self._song is None
        self._let_follow()
        if self._song is not None and self._asked_end is not None:
            self._asked_end = None
            self.ask_for_next(second)

    def ask_for_next(self, second: float) -> None:
        """Go on at the end of the form, or, where that is asked for already, at the next bar line."""
        chart, line, timeline = self._live.settings.chart, self._bar_line, self._timeline
        if not 0 <= chart.song <= len(chart.set) or not chart.set:
            return
        if self._song is None and chart.song < len(chart.set):
            self._asked_end = math.nan
        elif not self._ensemble.transport.rolling:
            if self._song is not None and self._song.chart is not None:
                line.change_chart(self._song.chart)
                self._start(second)
        elif line.tick <= timeline.end_tick:
            form_end = self._ensemble.chart.form_end(line.beat)
            end, self._asked_end = line.beat if self._asked_end == form_end else form_end, form_end
            if self._song is None:
                timeline.end, timeline.has_final_note = end, True
                line.prepare()
            else:
                timeline.end, timeline.song_start = math.inf, end
                self.announce()

    def replace_chart(self, chart: Chart) -> None:
        """Play over `chart` from the next bar line, even where the next song was to take over."""
        if self._bar_line.drop("song"):
            self._timeline.song_start = math.inf
        self._bar_line.change_chart(chart)

    def count_choruses(self) -> None:
        """Another song of the set is played, from the top of the chart: it ends after its own number of choruses."""
        timeline = self._timeline
        if self._bar_line.tick <= timeline.end_tick and timeline.has_final_note:
            timeline.end = timeline.song_start = math.inf
            self._asked_end = None
            timeline.end_after_choruses(self._ensemble.chart.charts[1].start)
            self._let_follow()

    # -- the bar line

    def _let_follow(self) -> None:
        """Where the music would end, the next song begins, if there is one."""
        timeline = self._timeline
        if self._song is not None and self._bar_line.tick <= timeline.end_tick < math.inf:
            timeline.song_start, timeline.end = timeline.end, math.inf
            self.announce()

    def announce(self) -> None:
        """Let the next song take over at the next bar line, if that is where it begins."""
        song, line, start = self._song, self._bar_line, self._timeline.song_start
        if song is None or song.chart is None or start == math.inf:
            return
        if tick_at(start) <= line.tick and "song" not in line.changes:
            line.change_chart(song.chart)
            line.add("song")

    def begin(self, beat: float) -> list[events.MidiEvent]:
        """The next song begins on `beat`."""
        self._start(self._timeline.second_at(beat))
        return []

    def _start(self, second: float) -> None:
        song, self._song, self._asked_end = self._song, None, None
        timeline = self._timeline
        timeline.song_start = math.inf
        if song is None:
            return
        values: list[tuple[str, object]] = [("chart.song", song.number)]
        values += [("tempo.bpm", song.bpm)] if song.bpm is not None else []
        self._live.change(values)
        if song.bpm is not None and self._ensemble.transport.clock is None:
            timeline.tempo = timeline.tempo.with_bpm(song.bpm, second - timeline.offset_s)
        self.count_choruses()
        self._ensemble.report(events.SettingsChanged(tuple(values)))

    def relocate(self) -> None:
        """The music continues elsewhere: the song follows at the end that holds there."""
        self._timeline.song_start, self._asked_end = math.inf, None
        self._let_follow()

    # -- saving and restoring

    def memory(self) -> SongMemory | None:
        """Return the song that follows as plain data; None if none does."""
        song, start = self._song, self._timeline.song_start
        if song is None or self._written_chart is None:
            return None
        return SongMemory(song.number, self._written_chart, song.bpm, None if start == math.inf else start)

    def recall(self, memory: SongMemory | None) -> None:
        """Continue from `memory`. Raises ValueError or ChordError."""
        if memory is not None:
            self._song = events.QueueSong(memory.number, memory.chart.chart(), memory.bpm)
            self._written_chart = memory.chart
        self._timeline.song_start = math.inf if memory is None or memory.start is None else memory.start
