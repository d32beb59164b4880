# SPDX-License-Identifier: Apache-2.0
"""The meter of a MIDI file: sections of bars of one length.

The meter follows the time signatures, and is 4/4 before the first. A signature with the same bar length changes
nothing, and so does one with more than 16 beats or notes shorter than sixteenths. A section shorter than the first bar
of the next section is a pick-up and belongs to that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil, gcd

from msgspec import Struct

from sideman_models.corpus.midi.chord_finder import TimeSlots
from sideman_models.corpus.midi.parser import TimedNote
from sideman_models.music.solos import BAR_TICKS
from sideman_models.music.values import TICKS_PER_QUARTER

MAX_SECTIONS = 256
_MAX_METER_NUMBER = 16


class MeterSection(Struct, frozen=True):
    """Bars of one length from the bar line `start` to `end`, in ticks of `TICKS_PER_QUARTER`.

    The music begins at `music_start`: before `start` there is a pick-up, if there is one.
    """

    meter: str
    bar_ticks: int
    start: float
    music_start: float
    end: float

    @property
    def bar_count(self) -> int:
        """The number of bars, with the last one even if it is not complete."""
        return ceil((self.end - self.music_start) / self.bar_ticks)

    @property
    def slots_per_beat(self) -> int:
        """Slots for chords in a quarter note: one for each beat of the meter, or as many as make bars whole."""
        return max(TICKS_PER_QUARTER // gcd(self.bar_ticks, TICKS_PER_QUARTER), int(self.meter.partition("/")[2]) // 4)

    def slots(self, divisor: int = 1) -> TimeSlots:
        """Return the slots of the section, at least one; `divisor` 2 makes them half as long."""
        ticks = max(1, TICKS_PER_QUARTER // (divisor * self.slots_per_beat))
        return TimeSlots(max(1, ceil((self.end - self.start) / ticks)), ticks, self.bar_ticks // ticks)

    def notes_within(self, notes: Sequence[TimedNote]) -> list[TimedNote]:
        """Return the notes that begin in the section, relative to its start and ended at its end."""
        first, last = (bisect_left(notes, at, key=lambda note: note[0]) for at in (self.music_start, self.end))
        return [(start - self.start, min(end, self.end) - self.start, pitch) for start, end, pitch in notes[first:last]]


def find_meter_sections(
    signatures: Iterable[tuple[float, int, int]], end: float
) -> tuple[list[MeterSection], list[str]]:
    """Return the sections up to `end`, at least one, and remarks on ignored signatures (see `MidiTrack`)."""
    changes = [(0.0, "4/4", BAR_TICKS)]
    remarks: list[str] = []
    for at, numerator, denominator in sorted(signatures):
        meter, bar_ticks = f"{numerator}/{denominator}", 4 * TICKS_PER_QUARTER * numerator // denominator
        if numerator > _MAX_METER_NUMBER or denominator > _MAX_METER_NUMBER:
            remarks.append(f"unsupported meter {meter}: the previous one is kept")
        elif at <= changes[-1][0]:
            changes[-1] = (changes[-1][0], meter, bar_ticks)
        elif bar_ticks != changes[-1][2] and at < end:
            changes.append((at, meter, bar_ticks))
    if len(changes) > MAX_SECTIONS:
        remarks.append(f"the meter changes more than {MAX_SECTIONS} times: later changes are ignored")
    sections: list[MeterSection] = []
    pick_up: float | None = None
    for (start, meter, bar_ticks), (until, _, next_bar_ticks) in pairwise([*changes[:MAX_SECTIONS], (end, "", 0)]):
        if until - start < next_bar_ticks and pick_up is None:
            pick_up = start
            continue
        bar_line = start if pick_up is None else start - bar_ticks
        sections.append(MeterSection(meter, bar_ticks, bar_line, start if pick_up is None else pick_up, until))
        pick_up = None
    return sections, list(dict.fromkeys(remarks))
