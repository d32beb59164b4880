# SPDX-License-Identifier: Apache-2.0
"""The plain accompaniment as a part: plays what the rules of `comp` say, bar by bar, with `play.style` plain."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

from msgspec import Struct

from sideman.core.parts.comp import GATES, Comp, CompMemory, CompStyle
from sideman.core.parts.improviser import Improviser
from sideman.core.parts.part import Part, PlayedNote
from sideman.core.positions import tick_at
from sideman.core.settings.groups.play import PlaySettings
from sideman.core.timeline import Timeline
from sideman_models.music.context import ticks_after_bar_line


class _Onset(Struct, frozen=True):
    tick: int
    beat: float
    style: CompStyle


class AccompanimentMemory(Struct, frozen=True):
    """The state of the accompaniment as plain data: its next onset, and what it played last."""

    next: _Onset | None
    comp: CompMemory


def _plain_style(play: PlaySettings) -> CompStyle:
    """What is played: the first of bass and shells, only with `play.style` plain."""
    voices = play.comp if play.style == "plain" else ()
    return "bass" if "bass" in voices else "shells" if "shells" in voices else "off"


class Accompaniment(Part):
    """Accompanies the solo. It draws from the random source of the solo, for purposes of its own.

    Each bar starts afresh at its bar line: there a change of `play.comp` takes effect.
    """

    decision = 0

    def __init__(self, timeline: Timeline, improviser: Improviser) -> None:
        self._timeline, self._chart, self._live = timeline, timeline.chart, timeline.live
        self._improviser = improviser
        self._comp = Comp(timeline.chart)
        self._next: _Onset | None = None
        self._next_bar = math.ceil(tick_at(timeline.start))  # where it starts afresh

    def next_beat(self) -> float:
        """See `Part`."""
        return math.inf if self._next is None else self._next.beat

    def start_bar(self, tick: int) -> None:
        """Play from `tick` to the end of its bar, in the style of the settings."""
        self._announce(self._comp.first_onset(tick), tick, _plain_style(self._live.play))

    def play(self, second: float) -> Sequence[PlayedNote]:
        """See `Part`."""
        if self._next is None:
            return []
        onset = self._next
        following = self._comp.next_onset(onset.style, onset.tick, self._improviser.random_source.draw)
        self._announce(following, onset.tick, onset.style)
        if self._timeline.is_late(onset.beat, second):
            self.missed_notes += 1
            return []
        return self._notes(onset, following, self._comp)

    @property
    def planned(self) -> Sequence[PlayedNote]:
        """See `Part`. It is the next onset, or, after the last one of a bar, the first of the next bar."""
        onset = self._next or self._onset(self._next_bar, _plain_style(self._live.play))
        if onset is None:
            return ()
        following = self._comp.next_onset(onset.style, onset.tick, self._improviser.random_source.draw)
        return self._notes(onset, following, copy.copy(self._comp))

    def _notes(self, onset: _Onset, following: int, comp: Comp) -> Sequence[PlayedNote]:
        """Return what `comp` plays, which changes it."""
        draw = self._improviser.random_source.draw
        end = onset.beat + (self._timeline.accompanying_beat(following) - onset.beat) * GATES[onset.style]
        end = self._timeline.end_after(onset.beat, end)
        notes = comp.notes_at(onset.style, onset.tick, self._live.play.velocity, self._live.midi.comp, draw)
        return [PlayedNote(note, onset.beat, end, "comp", onset.tick) for note in notes]

    def memory(self) -> AccompanimentMemory:
        """Return the state as plain data."""
        return AccompanimentMemory(self._next, self._comp.memory())

    def recall(self, memory: AccompanimentMemory) -> None:
        """Continue from `memory`. Raises ChordError."""
        self._next, self._next_bar = memory.next, math.ceil(tick_at(self._timeline.start))
        self._comp.recall(memory.comp)

    def relocate(self) -> None:
        """See `Part`. In the middle of a bar it starts at once; on a bar line, with the bar."""
        self._next = None
        first = self._next_bar = math.ceil(tick_at(self._timeline.start))
        if ticks_after_bar_line(self._chart, first):
            self.start_bar(first)

    def _announce(self, tick: int, current_tick: int, style: CompStyle) -> None:
        """Play next at `tick`, unless that lies beyond the bar of `current_tick`, or beyond the end."""
        line, bar_ticks = self._chart.bar_at(current_tick)
        self._next_bar = line + bar_ticks
        self.decision = next(self._timeline.decisions)
        self._next = self._onset(tick, style) if tick < self._next_bar else None

    def _onset(self, tick: int, style: CompStyle) -> _Onset | None:
        """Return the onset at `tick`, if there is one in this style before the end."""
        plays = style != "off" and tick < self._timeline.end_tick
        return _Onset(tick, self._timeline.accompanying_beat(tick), style) if plays else None
