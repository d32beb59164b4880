# SPDX-License-Identifier: Apache-2.0
"""Smooths the line as the original programs smoothed a finished bar, but for each note before its time comes.

Each rule is a small pure function of plain numbers: of the note about to be played, and of those before it. No rule
looks ahead, so a note is final as soon as it is chosen. A rule leaves a note unchanged that already obeys it. The rules
on pitch narrow down the pitches to choose from, but always leave one. The rules on time set a length.

| function | rule |
| --- | --- |
| `settle_length` | durations settle on the grid: a beat is divided into quarters or thirds, not both |
| `is_repeated_too_often`, `without_repeated` | a pitch is not repeated too often in a row |
| `within_leap` | successive notes are not too far apart in pitch |
| `SmoothingRules.min_ticks` | successive notes are not too close in time |
| `delay_onset` | no two notes of the voice start at once |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct


def settle_length(onset: int, length: int, beat: int, min_length: int = 1, divisions: tuple[int, int] = (4, 3)) -> int:
    """Return the length nearest to `length` with which a note that begins at `onset` ends on the grid.

    All values are in ticks, and `beat` is the length of a beat. `divisions` are the two numbers into which a beat may
    be divided, quarters or thirds in the classic grid; both divide `beat`. From an onset on the grid, the length too
    must be of one division, so that a triplet that begins on the beat is completed, and none begins elsewhere. Of two
    equally near lengths, one that ends on the first division is preferred, then the shorter. The result is at least
    `min_length`.
    """
    return _settle_length(onset % beat, length, beat, max(1, min_length), divisions)


@lru_cache(maxsize=4096)
def _settle_length(position: int, length: int, beat: int, min_length: int, divisions: tuple[int, int]) -> int:
    first, second = (beat // part for part in divisions)

    def on_grid(ticks: int) -> bool:
        return ticks % first == 0 or ticks % second == 0

    longest = max(min_length, length) + beat
    lengths = [ticks for ticks in range(min_length, longest + 1) if on_grid((position + ticks) % beat)]
    if on_grid(position):
        lengths = [ticks for ticks in lengths if on_grid(ticks)]
    return min(lengths, key=lambda ticks: (abs(ticks - length), (position + ticks) % first != 0, ticks))


def delay_onset(onset: float, previous_onset: float, min_gap: float) -> float:
    """Return the later of `onset` and `previous_onset` + `min_gap`. All have the same unit of time."""
    return max(onset, previous_onset + min_gap)


def is_repeated_too_often(repeats: int, max_repeats: int) -> bool:
    """Whether a pitch played `repeats` times in a row must not be repeated. `max_repeats` 0: no limit."""
    return 0 < max_repeats <= repeats


def without_repeated(pitches: Sequence[int], repeated: int | None) -> Sequence[int]:
    """Return `pitches` without the pitch `repeated` (None: no such pitch), unless it is the only one."""
    if repeated is None:
        return pitches
    return [pitch for pitch in pitches if pitch != repeated] or pitches


def within_leap(pitches: Sequence[int], previous_pitch: int | None, max_leap: int) -> Sequence[int]:
    """Return the pitches at most `max_leap` semitones from the previous pitch, or else the nearest. 0: no limit."""
    if previous_pitch is None or max_leap <= 0 or not pitches:
        return pitches
    reach = max(max_leap, min(abs(pitch - previous_pitch) for pitch in pitches))
    return [pitch for pitch in pitches if abs(pitch - previous_pitch) <= reach]


class SmoothingRules(Struct, frozen=True):
    """Which rules apply. A rule is off if its field is False or 0.

    `repetition` is the largest number of repeats in a row, `leap` the largest interval in semitones, `apart` the least
    time from onset to onset in beats.
    """

    settle: bool = False
    repetition: int = 0
    leap: int = 0
    apart: float = 0.0

    def smoothed_length(self, onset: int, length: int, beat: int) -> int:
        """Return the length in ticks of a note that begins at `onset`, by the rules on time."""
        least = self.min_ticks(beat)
        return settle_length(onset, length, beat, least) if self.settle else max(length, least)

    def min_ticks(self, beat: int) -> int:
        """Return the least ticks from onset to onset; `beat` is the length of a beat in ticks."""
        return math.ceil(self.apart * beat - 1e-9)  # the product may be a little too large


ORIGINAL_RULES = SmoothingRules(settle=True, repetition=2, leap=12, apart=0.25)
"""The rules that apply to a classic bundle unless the settings say otherwise."""
NO_RULES = SmoothingRules()
"""All rules are off."""
