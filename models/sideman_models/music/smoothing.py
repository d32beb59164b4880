# SPDX-License-Identifier: Apache-2.0
"""What the originals did to a finished bar, done to each note before its time comes.

Each rule is a small pure function of plain numbers: what is about to be played, and what sounded before it. None looks
ahead, so a note is final once its turn has come; each leaves alone what already obeys it, and does nothing to what it
did itself. The rules on pitch narrow the pitches to choose among and never leave none; the rules on time set a length.

| rule | says |
| --- | --- |
| `settle` | durations settle on the grid: a beat is parted in quarters or in thirds, not in both |
| `too_often`, `unrepeated` | the same pitch does not come too often in a row |
| `within_leap` | two successive notes are not too far apart in pitch |
| `keep_apart` | nor too close in time |
| `in_turn` | no two notes of the voice start at once |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

QUARTERS_AND_THIRDS = (4, 3)
"""How the classic grid parts a beat."""


def settle(onset: int, length: int, beat: int, least: int = 1, parts: tuple[int, int] = QUARTERS_AND_THIRDS) -> int:
    """The length nearest to `length` with which a note begun at `onset` ends on the grid. All in ticks, `beat` a beat.

    `parts` says into how many a beat may be parted, in one way and in the other, both dividing `beat`. From a place on
    the grid, a length too is of one of them: so a triplet begun on the beat is completed, and none begins within. Of
    two equally near the one that ends on the first grid is taken, then the shorter. It is never shorter than `least`.
    """
    return _settled(onset % beat, length, beat, max(1, least), parts)


@lru_cache(maxsize=4096)
def _settled(place: int, length: int, beat: int, least: int, parts: tuple[int, int]) -> int:
    first, second = (beat // part for part in parts)

    def falls(ticks: int) -> bool:
        return ticks % first == 0 or ticks % second == 0

    ending = [ticks for ticks in range(least, max(least, length) + beat + 1) if falls((place + ticks) % beat)]
    if falls(place):
        ending = [ticks for ticks in ending if falls(ticks)]
    return min(ending, key=lambda ticks: (abs(ticks - length), (place + ticks) % first != 0, ticks))


def keep_apart(length: int, least: int) -> int:
    """`length`, or `least` if that is longer: the time from this onset to the next, both in ticks. 0: no limit."""
    return max(length, least)


def in_turn(onset: float, before: float, least: float) -> float:
    """`onset`, moved to `least` after the onset `before` if it is nearer (or earlier); in any one unit of time."""
    return max(onset, before + least)


def too_often(times: int, most: int) -> bool:
    """Whether a pitch struck `times` in a row has been struck as often as it may; a `most` of 0 sets no limit."""
    return 0 < most <= times


def unrepeated(pitches: Sequence[int], worn: int | None) -> Sequence[int]:
    """`pitches` without the one struck too often, unless it is the only one; `worn` is None where none was."""
    if worn is None:
        return pitches
    return [pitch for pitch in pitches if pitch != worn] or pitches


def within_leap(pitches: Sequence[int], previous: int | None, widest: int) -> Sequence[int]:
    """Those of `pitches` at most `widest` semitones from the pitch before, else the nearest; 0 sets no limit."""
    if previous is None or widest <= 0 or not pitches:
        return pitches
    reach = max(widest, min(abs(pitch - previous) for pitch in pitches))
    return [pitch for pitch in pitches if abs(pitch - previous) <= reach]


_ALMOST = 1e-9  # of a tick, which a share of a beat may be off


@dataclass(frozen=True, slots=True)
class Rules:
    """Which rules are kept, each off at False or 0: repeats in a row, `leap` in semitones, `apart` in beats."""

    settle: bool = False
    repetition: int = 0
    leap: int = 0
    apart: float = 0.0

    def length(self, onset: int, length: int, beat: int) -> int:
        """How long a note begun at `onset` lasts by the rules on time; in ticks, `beat` of them a beat."""
        least = self.least(beat)
        length = keep_apart(length, least)
        return settle(onset, length, beat, least) if self.settle else length

    def least(self, beat: int) -> int:
        """The least ticks from onset to onset, `beat` of them a beat."""
        return math.ceil(self.apart * beat - _ALMOST)

    def worn(self, previous: int | None, times: int) -> int | None:
        """The pitch before, if it has been struck as often in a row as it may."""
        return previous if too_often(times, self.repetition) else None


ORIGINALS = Rules(settle=True, repetition=2, leap=12, apart=0.25)
"""What a classic bundle keeps unless told otherwise."""
NONE = Rules()
