# SPDX-License-Identifier: Apache-2.0
"""Written positions, and the one place where two positions may be almost equal.

Written positions are exact: bar lines and onsets are whole ticks (12 a quarter note), chords begin on whole or half
ticks. Only a beat that is computed from a second is inexact: the deadline of a note is a second
that was computed from its beat, and the beat of that second may come out a little below it. `EPSILON_BEATS` bridges
that gap, here and nowhere else.
"""

from __future__ import annotations

import math

from sideman_models.music.values import TICKS_PER_QUARTER

EPSILON_BEATS = 1e-7
"""The rounding error, in beats, that a beat computed from a second may have."""


def reached_beat(beat: float) -> float:
    """Return the greatest beat that counts as reached when a second was converted to `beat`."""
    return beat + EPSILON_BEATS


def tick_at(beat: float) -> float:
    """Return `beat` in ticks: exactly a whole or half number where it differs from one by a rounding error only."""
    ticks = beat * TICKS_PER_QUARTER
    nearest = round(2 * ticks) / 2
    return nearest if abs(ticks - nearest) <= EPSILON_BEATS * TICKS_PER_QUARTER else ticks


def snapped_beat(beat: float) -> float:
    """Return `beat`, or the beat of the tick that it means if it differs from it by a rounding error only."""
    return tick_at(beat) / TICKS_PER_QUARTER


def whole_tick_at(beat: float) -> int:
    """Return the last whole tick at or before `beat`."""
    return math.floor(tick_at(beat))


def next_multiple(beat: float, step: float) -> float:
    """Return the first multiple of `step` (in beats) at or after `beat`, at least 0."""
    return max(0, math.ceil(beat / step - EPSILON_BEATS)) * step
