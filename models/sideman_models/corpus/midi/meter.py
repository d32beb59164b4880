# SPDX-License-Identifier: Apache-2.0
"""The metre of a MIDI file: stretches of bars of one length.

The metre is that of the time signatures, 4/4 until the first. A signature that leaves the bar as long as it was changes
nothing, nor does one beyond 16 notes a bar or sixteenths. A stretch shorter than the first bar after it is a pick-up
and goes with that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, gcd

from sideman_models.corpus.midi.chord_finder import TimeSlots
from sideman_models.corpus.midi.parser import TimedNote
from sideman_models.music.solos import BAR_TICKS
from sideman_models.music.values import TICKS_PER_QUARTER

MAX_SECTIONS = 256
_MAX_METER_NUMBER = 16

TimeSignature = tuple[float, int, int]
"""Where it stands, in `TICKS_PER_QUARTER`, numerator and denominator."""


@dataclass(frozen=True, slots=True)
class MeterSection:
    """Bars of one length from the bar line `start` to `end`; music begins at `music_start` (before it: a pick-up)."""

    meter: str
    bar_ticks: int
    start: float
    music_start: float
    end: float

    @property
    def bar_count(self) -> int:
        """How many there are, the last begun one counted."""
        return ceil((self.end - self.music_start) / self.bar_ticks)

    @property
    def slots_per_beat(self) -> int:
        """Slots for chords in a quarter note: the beats of the metre, or as many as make bars whole."""
        return max(TICKS_PER_QUARTER // gcd(self.bar_ticks, TICKS_PER_QUARTER), int(self.meter.partition("/")[2]) // 4)

    def slots(self, divisor: int = 1) -> TimeSlots:
        """Its time in such slots, or twice as fine ones; never none."""
        ticks = max(1, TICKS_PER_QUARTER // (divisor * self.slots_per_beat))
        return TimeSlots(max(1, ceil((self.end - self.start) / ticks)), ticks, self.bar_ticks // ticks)

    def notes_within(self, notes: Sequence[TimedNote]) -> list[TimedNote]:
        """Those of the notes, in order of onset, that begin in it, counted from its start and ended with it."""
        first, last = (bisect_left(notes, at, key=lambda note: note[0]) for at in (self.music_start, self.end))
        return [(start - self.start, min(end, self.end) - self.start, pitch) for start, end, pitch in notes[first:last]]


def find_meter_sections(signatures: Iterable[TimeSignature], end: float) -> tuple[list[MeterSection], list[str]]:
    """The stretches of music up to `end`, at least one; and what was not heeded of the signatures."""
    changes = [(0.0, "4/4", BAR_TICKS)]
    remarks: list[str] = []
    for at, numerator, denominator in sorted(signatures):
        metre, bar_ticks = f"{numerator}/{denominator}", 4 * TICKS_PER_QUARTER * numerator // denominator
        if numerator > _MAX_METER_NUMBER or denominator > _MAX_METER_NUMBER:
            remarks.append(f"no metre of ours: {metre}, counted on as before")
        elif at <= changes[-1][0]:
            changes[-1] = (changes[-1][0], metre, bar_ticks)
        elif bar_ticks != changes[-1][2] and at < end:
            changes.append((at, metre, bar_ticks))
    if len(changes) > MAX_SECTIONS:
        remarks.append(f"its metre changes more than {MAX_SECTIONS} times: counted on from there")
    return _make_sections(changes[:MAX_SECTIONS], end), list(dict.fromkeys(remarks))


def _make_sections(changes: Sequence[tuple[float, str, int]], end: float) -> list[MeterSection]:
    found: list[MeterSection] = []
    first: float | None = None
    for (start, metre, bar_ticks), (until, _, after) in pairwise([*changes, (end, "", 0)]):
        if until - start < after and first is None:
            first = start  # a pick-up
            continue
        begins = start if first is None else start - bar_ticks
        found.append(MeterSection(metre, bar_ticks, begins, start if first is None else first, until))
        first = None
    return found
