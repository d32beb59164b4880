# SPDX-License-Identifier: Apache-2.0
"""Swing: a note is written at a tick (12 a quarter note) and sounds on a beat; swing makes the difference."""

from __future__ import annotations

from sideman_models.music.values import TICKS_PER_QUARTER

STRAIGHT = 0.5
DEFAULT_SWING = 0.54
_TRIPLETS = {2: 0, 4: 3, 8: 6, 10: 9}
"""The ticks of triplets and their halves, each with the tick before it that swing may move beyond it."""


def swung_beat(tick: int, swing: float) -> float:
    """Return the beat on which the written `tick` sounds: the second eighth note moves to `swing` of its beat.

    Sixteenths move in proportion; triplets and their halves stay where they are.
    """
    beat, tick_in_beat = divmod(tick, TICKS_PER_QUARTER)
    if tick_in_beat in _TRIPLETS:
        return beat + tick_in_beat / TICKS_PER_QUARTER
    return beat + warp_beat(tick_in_beat / TICKS_PER_QUARTER, STRAIGHT, swing)


def swung_in_order(tick: int, swing: float) -> float:
    """Return the beat of `swung_beat`, but for a triplet not before that of an eighth or sixteenth written before it.

    With a swing above 2/3 both sound at once.
    """
    before = _TRIPLETS.get(tick % TICKS_PER_QUARTER)
    beat = swung_beat(tick, swing)
    return beat if before is None else max(beat, swung_beat(tick - tick % TICKS_PER_QUARTER + before, swing))


def warp_beat(position: float, old_middle: float, new_middle: float) -> float:
    """Move a position in a beat: both halves of the beat are stretched so that its middle moves."""
    if position < old_middle:
        return position / old_middle * new_middle
    return new_middle + (position - old_middle) / (1.0 - old_middle) * (1.0 - new_middle)
