# SPDX-License-Identifier: Apache-2.0
"""The band: bass, shells, drums and click, each a part that plans its notes a bar ahead by a rule of its own.

A part plans the bar that sounds and the next one. What it has planned and not yet played can be read (`planned`) until
it is played, or until the settings, the chart or a held chord change: then both bars are planned again from what the
bar before has left, and only what has not been played counts. A part begins and ends, and takes up another style, on a
bar line.

The parts draw from the random source of the solo, each for purposes of its own: a number depends only on seed, tick and
purpose, so neither the solo nor another part changes when a part comes in.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from sideman.core.chart.styles import Style
from sideman.core.events import NoteOn, Voice
from sideman.core.parts.band_bar import BandBar, RuleState, WrittenNote
from sideman.core.parts.count_in import ACCENT_VELOCITY, CLICK_VELOCITY
from sideman.core.parts.drumming import HIGH_CLICK, play_click, play_drums
from sideman.core.parts.improviser import Improviser
from sideman.core.parts.part import Part, PlayedNote
from sideman.core.parts.voicing import play_shells
from sideman.core.parts.walking import play_bass
from sideman.core.positions import tick_at
from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.settings.groups.play import PlaySettings
from sideman.core.settings.schema import Settings
from sideman.core.settings.voices import VOICES, bass_voice
from sideman.core.timeline import Timeline
from sideman_models.music.context import ticks_after_bar_line

BRUSHES_BELOW = 150.0
"""The tempo in beats per minute from which drums are played with sticks."""
QUIETER = 4
"""The band's notes are at least this much below `play.velocity`."""
_LAST_DECISION = 2**62
"""Of the parts that play on one beat, the soloist goes first."""

MemberName = Literal["bass", "shells", "drums", "click"]


class Member(Struct, frozen=True):
    """One of the band: its rule, the voice that it is, and whether the settings ask for it."""

    rule: Callable[[BandBar, RuleState], tuple[list[WrittenNote], RuleState]]
    voice: Callable[[MidiSettings, PlaySettings], Voice]
    plays: Callable[[PlaySettings], bool]


MEMBERS: Mapping[MemberName, Member] = {
    "bass": Member(play_bass, bass_voice, lambda play: "bass" in play.comp and play.style != "plain"),
    "shells": Member(play_shells, lambda _m, _p: "comp", lambda play: "shells" in play.comp and play.style != "plain"),
    "drums": Member(play_drums, lambda _m, _p: "drums", lambda play: "drums" in play.comp and play.style != "plain"),
    "click": Member(play_click, lambda _m, _p: "clicks", lambda play: play.click != "off"),
}


class BandMemory(Struct, frozen=True):
    """The state of a part of the band as plain data.

    The bar at the tick `line` sounds, in `style` (None: the part does not play in it), after one that has left
    `before`. What it has up to the tick `played` has been played.
    """

    line: int
    style: Style | None
    before: RuleState
    played: int


class _PlannedBar(Struct, frozen=True):
    line: int
    stop: int
    style: Style | None
    before: RuleState
    after: RuleState
    notes: tuple[WrittenNote, ...]


class BandPart(Part):
    """Plays what the rule of one member says."""

    decision = _LAST_DECISION

    def __init__(self, name: MemberName, timeline: Timeline, improviser: Improviser) -> None:
        self.name = name
        self._member = MEMBERS[name]
        self._timeline, self._chart, self._live = timeline, timeline.chart, timeline.live
        self._improviser = improviser
        self._bars: list[_PlannedBar] = []  # the one that sounds, or the first, and the next
        self._notes: deque[WrittenNote] = deque()  # of these bars, not yet played
        self._beat = math.inf  # of the first of them
        self._planned_with: tuple[Settings | None, int, float, float] = (None, 0, 0.0, 0.0)
        self._memory = BandMemory(0, None, (), -1)  # of the first bar
        self._is_begun = False  # the first bar's line has been crossed: its style is settled
        self._not_late_before = 0  # a note before this tick is no loss: another plan has brought it
        self.relocate()

    # -- the plan

    @property
    def planned(self) -> tuple[PlayedNote, ...]:
        """See `Part`: at most the bar that sounds and the next one."""
        self._plan()
        return tuple(self._sounding(note, self._timeline.accompanying_beat(note.tick)) for note in self._notes)

    def prepare(self) -> None:
        """Plan the next bar, if that has not been done: now there is time."""
        self._plan()
        if len(self._bars) == 1:
            self._add_bar()

    def _plan(self) -> None:
        """Plan again if anything has changed on which the plan depends."""
        timeline, chart = self._timeline, self._chart
        settings, revision, start, end = self._planned_with
        if (
            self._live.settings is settings
            and chart.revision == revision
            and timeline.start == start
            and timeline.end == end
        ):
            return
        self._planned_with = self._live.settings, chart.revision, timeline.start, timeline.end
        memory = self._memory
        line = chart.bar_at(memory.line)[0]
        before = self._notes[0].tick if self._notes else 0
        self._bars, count = [], max(1, len(self._bars))
        self._notes.clear()
        self._add_bar(line, memory.before, settled=memory.style if self._is_begun else "now")
        if count > 1:
            self._add_bar()
        self._not_late_before = before
        self._settle_beat()

    def _add_bar(self, line: int | None = None, before: RuleState = (), settled: str | None = "now") -> None:
        """Plan the bar at `line`, else the one after those that are planned."""
        if line is None:
            line, before = self._bars[-1].stop, self._bars[-1].after
        style = self._style_at(line) if settled == "now" else settled
        timeline, play = self._timeline, self._live.play
        notes: list[WrittenNote] = []
        after: RuleState = ()
        end = timeline.end_tick
        if style is not None and line < end:
            bar = BandBar(
                self._chart,
                line,
                style,  # type: ignore[arg-type]
                self._improviser.random_source.draw,
                timeline.final_note_tick(),
                end,
                brushes=timeline.tempo.bpm < BRUSHES_BELOW,
                anticipation=play.anticipation,
                click=play.click,
            )
            notes, after = self._member.rule(bar, before)
        stop = line + self._chart.bar_at(line)[1]
        self._bars.append(_PlannedBar(line, stop, style, before, after, tuple(notes)))  # type: ignore[arg-type]
        self._notes.extend(note for note in notes if note.tick > self._memory.played)
        self._settle_beat()

    def _style_at(self, line: int) -> Style | None:
        style = self._timeline.style_at(line)
        if not self._member.plays(self._live.play):
            return None
        return self._chart.style_at(line) if style == "plain" else style

    def _settle_beat(self) -> None:
        self._beat = self._timeline.accompanying_beat(self._notes[0].tick) if self._notes else math.inf

    def _velocity(self, note: WrittenNote) -> int:
        if self.name == "click":
            return ACCENT_VELOCITY if note.pitch == HIGH_CLICK else CLICK_VELOCITY
        loudest = self._live.play.velocity
        return max(1, min(127, loudest - QUIETER, loudest + note.loudness))

    def _end(self, note: WrittenNote, beat: float) -> float:
        return self._timeline.end_after(beat, self._timeline.accompanying_beat(note.tick + note.length))

    # -- as a part

    def next_beat(self) -> float:
        """See `Part`."""
        self._plan()
        return self._beat

    def start_bar(self, tick: int) -> None:
        """The bar at `tick` begins."""
        self._plan()
        before: RuleState = ()
        while self._bars and self._bars[0].line < tick:
            before = self._bars.pop(0).after
        if not self._bars:
            self._add_bar(tick, before)
        first, self._is_begun = self._bars[0], True
        self._memory = BandMemory(first.line, first.style, first.before, self._memory.played)

    def play(self, second: float) -> Sequence[PlayedNote]:
        """See `Part`."""
        if not self._notes:
            return []
        tick, beat = self._notes[0].tick, self._beat
        due = [self._notes.popleft()]
        while self._notes and self._notes[0].tick == tick:
            due.append(self._notes.popleft())
        memory = self._memory
        self._memory = BandMemory(memory.line, memory.style, memory.before, tick)
        self._settle_beat()
        if self._timeline.is_late(beat, second):
            self.missed_notes += tick >= self._not_late_before
            return []
        return [self._sounding(note, beat) for note in due]

    def _sounding(self, note: WrittenNote, beat: float) -> PlayedNote:
        midi, play = self._live.midi, self._live.play
        voice = self._member.voice(midi, play)
        channel = midi.drums if voice == "clicks" else VOICES[voice].channel(midi)
        return PlayedNote(
            NoteOn(note.pitch, self._velocity(note), channel), beat, self._end(note, beat), voice, note.tick
        )

    def relocate(self) -> None:
        """See `Part`. In the middle of a bar it starts at once; on a bar line, with the bar."""
        first = math.ceil(tick_at(self._timeline.start))
        line = self._chart.bar_at(first)[0]
        self._restart(
            BandMemory(line, self._style_at(line), (), first - 1), bool(ticks_after_bar_line(self._chart, first))
        )

    def _restart(self, memory: BandMemory, is_begun: bool) -> None:
        self._memory, self._is_begun = memory, is_begun
        self._bars, self._planned_with = [], (None, 0, 0.0, 0.0)
        self._notes.clear()
        self._beat = math.inf

    # -- saving and restoring

    def memory(self) -> BandMemory:
        """Return the state as plain data."""
        return self._memory

    def recall(self, memory: BandMemory) -> None:
        """Continue from `memory`."""
        self._restart(memory, is_begun=True)
