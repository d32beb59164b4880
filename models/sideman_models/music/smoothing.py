# SPDX-License-Identifier: Apache-2.0
"""What the originals did to a finished bar, done to each note before its time comes.

Each rule is a small pure function of plain numbers: what is about to be played, and what sounded before it. None looks
ahead, so a note is final once its turn has come; each leaves alone what already obeys it, and does nothing to what it
did itself. The rules on pitch narrow the pitches to choose among and never leave none; the rules on time set a length.

| rule | says |
| --- | --- |
| `settle_length` | durations settle on the grid: a beat is parted in quarters or in thirds, not in both |
| `is_repeated_too_often`, `without_repeated` | the same pitch does not come too often in a row |
| `within_leap` | two successive notes are not too far apart in pitch |
| `limit_to_min_length` | nor too close in time |
| `delay_onset` | no two notes of the voice start at once |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

CLASSIC_BEAT_DIVISIONS = (4, 3)
"""How the classic grid parts a beat."""


def settle_length(
    onset: int, length: int, beat: int, min_length: int = 1, divisions: tuple[int, int] = CLASSIC_BEAT_DIVISIONS
) -> int:
    """The length nearest to `length` with which a note begun at `onset` ends on the grid. All in ticks, `beat` a beat.

    `divisions` says into how many a beat may be parted, in one way and in the other, both dividing `beat`. From a place
    on the grid, a length too is of one of them: so a triplet begun on the beat is completed, and none begins within. Of
    two equally near the one that ends on the first grid is taken, then the shorter. It is never shorter than
    `min_length`.
    """
    return _settle_length(onset % beat, length, beat, max(1, min_length), divisions)


@lru_cache(maxsize=4096)
def _settle_length(position: int, length: int, beat: int, min_length: int, divisions: tuple[int, int]) -> int:
    first, second = (beat // part for part in divisions)

    def falls(ticks: int) -> bool:
        return ticks % first == 0 or ticks % second == 0

    ending = [
        ticks for ticks in range(min_length, max(min_length, length) + beat + 1) if falls((position + ticks) % beat)
    ]
    if falls(position):
        ending = [ticks for ticks in ending if falls(ticks)]
    return min(ending, key=lambda ticks: (abs(ticks - length), (position + ticks) % first != 0, ticks))


def limit_to_min_length(length: int, min_length: int) -> int:
    """`length`, or `min_length` if that is longer: the time from this onset to the next, both in ticks. 0: no limit."""
    return max(length, min_length)


def delay_onset(onset: float, previous_onset: float, min_gap: float) -> float:
    """Return `onset`, or `previous_onset` + `min_gap` if that is later. All three have the same unit of time."""
    return max(onset, previous_onset + min_gap)


def is_repeated_too_often(repeats: int, max_repeats: int) -> bool:
    """Whether a pitch played `repeats` times in a row may not come again; a `max_repeats` of 0 sets no limit."""
    return 0 < max_repeats <= repeats


def without_repeated(pitches: Sequence[int], repeated: int | None) -> Sequence[int]:
    """`pitches` without the one struck too often, unless it is the only one; `repeated` is None where none was."""
    if repeated is None:
        return pitches
    return [pitch for pitch in pitches if pitch != repeated] or pitches


def within_leap(pitches: Sequence[int], previous_pitch: int | None, max_leap: int) -> Sequence[int]:
    """Those of `pitches` at most `max_leap` semitones from the pitch before, else the nearest; 0 sets no limit."""
    if previous_pitch is None or max_leap <= 0 or not pitches:
        return pitches
    reach = max(max_leap, min(abs(pitch - previous_pitch) for pitch in pitches))
    return [pitch for pitch in pitches if abs(pitch - previous_pitch) <= reach]


_EPSILON_TICKS = 1e-9  # of a tick, which a share of a beat may be off


@dataclass(frozen=True, slots=True)
class SmoothingRules:
    """Which rules are kept, each off at False or 0: repeats in a row, `leap` in semitones, `apart` in beats."""

    settle: bool = False
    repetition: int = 0
    leap: int = 0
    apart: float = 0.0

    def smoothed_length(self, onset: int, length: int, beat: int) -> int:
        """How long a note begun at `onset` lasts by the rules on time; in ticks, `beat` of them a beat."""
        least = self.min_ticks(beat)
        length = limit_to_min_length(length, least)
        return settle_length(onset, length, beat, least) if self.settle else length

    def min_ticks(self, beat: int) -> int:
        """The least ticks from onset to onset, `beat` of them a beat."""
        return math.ceil(self.apart * beat - _EPSILON_TICKS)

    def repeated_too_often(self, previous_pitch: int | None, repeats: int) -> int | None:
        """The pitch before, if it has been struck as often in a row as it may."""
        return previous_pitch if is_repeated_too_often(repeats, self.repetition) else None


ORIGINAL_RULES = SmoothingRules(settle=True, repetition=2, leap=12, apart=0.25)
"""What a classic bundle keeps unless told otherwise."""
NO_RULES = SmoothingRules()
