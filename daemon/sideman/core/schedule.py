# SPDX-License-Identifier: Apache-2.0
"""What is to come, in order: a heap keyed by beat. At one beat releases go first, then the clock, bar lines, onsets."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from itertools import count

from sideman.core.events import BarPlayed, Choice, MidiEvent, NoteOff, NoteOn, Voice
from sideman.core.parts.comp import CompStyle

RELEASE, CLOCK, BAR_LINE, ONSET = range(4)


@dataclass(frozen=True, slots=True)
class DueItem:
    """An event, or the report of a bar, with the beat and the second it was meant for."""

    beat: float
    second: float
    item: MidiEvent | BarPlayed


@dataclass(frozen=True, slots=True)
class Release:
    """The end of a note, by the number of its strike."""

    note: NoteOff
    strike: int


@dataclass(frozen=True, slots=True)
class ReleaseAll:
    """The end of all that sounds."""


@dataclass(frozen=True, slots=True)
class Strike:
    """A note that is no choice, of so many beats."""

    note: NoteOn
    beats: float
    voice: Voice


@dataclass(frozen=True, slots=True)
class BarLine:
    """A bar line, at `tick`."""

    tick: int


@dataclass(frozen=True, slots=True)
class NewMode:
    """Another mode is to hold from here on."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick of our clock, by its number from beat 0; `begins`: not the tick itself, but the word that it is next."""

    number: int
    begins: bool


@dataclass(frozen=True, slots=True)
class CompOnset:
    """The accompaniment strikes at `tick`."""

    tick: int
    style: CompStyle


Item = Release | ReleaseAll | Strike | BarLine | NewMode | Tick | CompOnset | Choice


@dataclass(order=True, slots=True)
class Scheduled:
    """An item on its beat."""

    beat: float
    rank: int
    serial: int
    what: Item = field(compare=False)


class Schedule:
    """Items by beat and rank; of equals the first comes first."""

    def __init__(self) -> None:
        self._heap: list[Scheduled] = []
        self._serial = count()

    def put(self, beat: float, rank: int, what: Item) -> None:
        """Let `what` be due on `beat`."""
        heapq.heappush(self._heap, Scheduled(beat, rank, next(self._serial), what))

    @property
    def next_beat(self) -> float:
        """The beat on which something is due; infinite where nothing is."""
        return self._heap[0].beat if self._heap else math.inf

    def pop(self) -> Scheduled:
        """Take out what is due first."""
        return heapq.heappop(self._heap)

    def clear(self) -> None:
        """Nothing is due any more."""
        self._heap.clear()
