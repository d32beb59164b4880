# SPDX-License-Identifier: Apache-2.0
"""Reads the song positions of a MIDI clock, and notices a sender that counts them in another unit.

The MIDI 1.0 specification counts sixteenths. Some programs (Ardour 7.3) send MIDI clocks, six times as many: bar 5 of
4/4 as 384 and not as 64. One position alone does not show this. It is suspicious if

- the position, read in the other unit, is where the clock stands (within a sixteenth, and not in the first beat), and
  read in ours it is not; or
- in sixteenths: the last `_SUSPICIOUS` different positions are all whole beats if read as clocks; or
- in clocks: the position is not on a sixteenth.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Literal, get_args

from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT, CLOCK_TICKS_PER_SIXTEENTH

PositionUnit = Literal["sixteenths", "clocks"]
"""What a song position counts, as in `tempo.position`."""

_TICKS: Mapping[PositionUnit, int] = {"sixteenths": CLOCK_TICKS_PER_SIXTEENTH, "clocks": 1}
_SUSPICIOUS = 3


class PositionReader:
    """Reads positions that count `unit`."""

    def __init__(self, unit: PositionUnit = "sixteenths") -> None:
        self.hint = ""
        """What is wrong with the positions, and which setting mends it; empty if nothing is known to be wrong."""
        self._unit: PositionUnit = unit
        self._other: PositionUnit = next(name for name in get_args(PositionUnit) if name != unit)
        self._seen: deque[int] = deque(maxlen=_SUSPICIOUS)

    def read(self, position: int, standing_tick: int | None) -> int:
        """Return the tick of `position`. The clock stands before `standing_tick`, if that is known."""
        tick, other = position * _TICKS[self._unit], position * _TICKS[self._other]
        if position and position not in self._seen:
            self._seen.append(position)
        near = standing_tick is not None and abs(standing_tick - tick) < CLOCK_TICKS_PER_BEAT
        # Near the top, a small step in one unit is one in the other, too.
        other_near = standing_tick is not None and abs(standing_tick - other) < CLOCK_TICKS_PER_SIXTEENTH
        other_near &= other >= CLOCK_TICKS_PER_BEAT
        if near and not other_near:
            self.hint = ""
            self._seen.clear()
        elif (other_near and not near) or self._looks_wrong(position):
            beat, likely = (1 + place / CLOCK_TICKS_PER_BEAT for place in (tick, other))
            self.hint = (
                f"song position {position} is beat {beat:g} in {self._unit}, but beat {likely:g} in {self._other} is "
                f"more likely: set tempo.position to {self._other}?"
            )
        return tick

    def _looks_wrong(self, position: int) -> bool:
        if self._unit == "clocks":
            return position % CLOCK_TICKS_PER_SIXTEENTH != 0
        return len(self._seen) == _SUSPICIOUS and not any(seen % CLOCK_TICKS_PER_BEAT for seen in self._seen)
