# SPDX-License-Identifier: Apache-2.0
"""Where a note that somebody plays would be written: people swing, and play a little before and behind the beat.

**Swing.** `SwingEstimator` measures how far into the beat the player's second eighth falls: the median of the last
beats that hold two moments, one near the beat and one that can be a second eighth. A beat of three, as a triplet, does
not count. Until enough is heard the player is taken to swing as we do.

**Places.** `quantize` takes the place of the grid on which a note would sound nearest to where it sounded; but
people mean simple places more often than others, and hit them a few hundredths of a second early or late. So each
other place than a beat has a handicap (`HANDICAP_S`), as if it lay further off. A note 30 ms before a bar line thus
belongs to that bar at any tempo up to 240, one 60 ms before it up to 110. After the second third of a beat, the last
third is taken to be simpler than the half.

The figures were chosen so that the onsets of the Weimar Jazz Database's solos fall most often on the places where its
authors wrote them.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from sideman.core.timing.tempo import position_in_bar, swung_beat
from sideman_models.music.context import Bars
from sideman_models.music.values import TICKS_PER_QUARTER

HANDICAP_S = {0: 0.0, 6: 0.005, 3: 0.03, 9: 0.02, 4: 0.025, 8: 0.03, 2: 0.1, 10: 0.1}
"""By the places of a beat, in ticks: so many seconds nearer must a note be to be taken for that and not for a beat."""
MAX_AHEAD_TICKS = 2.0
"""Two moments have two places, unless the second's would be so many ticks later than it sounded."""

_TRIPLET_HANDICAP = {8: 6, 6: 8}
_NEAR_BEAT = 0.12  # of a beat: what begins a beat
_SECOND_EIGHTH_RANGE = (0.42, 0.78)
_SWING_RANGE = (0.5, 0.75)
_MEASURED_BEATS = 12
_PRIOR_BEATS = 3  # so many of the beats in the median are ours


def quantize(beat: float, bars: Bars, swing: float, beat_s: float, previous_tick: int | None = None) -> int:
    """The tick at which a note that sounds on `beat` would be written, with a beat of `beat_s` seconds.

    It comes after `previous_tick`, the place of the moment before; where none is near enough, it is that place again.
    """
    top, bar_ticks, place = position_in_bar(beat, bars)
    here = math.floor(place) * TICKS_PER_QUARTER
    places = sorted({min(here + tick, bar_ticks) for tick in (*HANDICAP_S, TICKS_PER_QUARTER, TICKS_PER_QUARTER + 2)})
    free = [tick for tick in places if previous_tick is None or top + tick > previous_tick]
    in_thirds = previous_tick == top + here + TICKS_PER_QUARTER // 3

    def distance(tick: int) -> float:
        if tick == bar_ticks:
            return abs(place - tick / TICKS_PER_QUARTER) * beat_s
        easy = _TRIPLET_HANDICAP.get(tick - here, tick % TICKS_PER_QUARTER) if in_thirds else tick % TICKS_PER_QUARTER
        return abs(place - swung_beat(tick, swing)) * beat_s + HANDICAP_S[easy]

    best = top + min(free or places, key=distance)
    too_late = not free or best - beat * TICKS_PER_QUARTER > MAX_AHEAD_TICKS
    return previous_tick if previous_tick is not None and too_late else best


class SwingEstimator:
    """How far into the beat the player's second eighth falls, as far as that can be told from their onsets."""

    def __init__(self) -> None:
        self._ratios: deque[float] = deque(maxlen=_MEASURED_BEATS)
        self._beat: tuple[int, int] = (0, -1)  # tick of the bar line, beats after it
        self._onset_positions: list[float] = []  # of the onsets since that beat, in beats

    def add_onset(self, beat: float, bars: Bars) -> None:
        """A moment of the player's falls on `beat`."""
        top, bar_ticks, place = position_in_bar(beat, bars)
        if bar_ticks / TICKS_PER_QUARTER - place <= _NEAR_BEAT:
            top, place = top + bar_ticks, place - bar_ticks / TICKS_PER_QUARTER
        number = math.floor(place + _NEAR_BEAT)
        if (top, number) != self._beat:
            self._finish_beat()
            self._beat = top, number
        self._onset_positions.append(place - number)

    def estimate(self, default: float) -> float:
        """Their swing: 0.5 straight, 0.67 triplets; `default` until they have shown it."""
        least, most = _SWING_RANGE
        return max(least, min(most, median([*self._ratios, *[default] * _PRIOR_BEATS])))

    def _finish_beat(self) -> None:
        earliest, latest = _SECOND_EIGHTH_RANGE
        if (
            len(self._onset_positions) == 2
            and self._onset_positions[0] <= _NEAR_BEAT
            and earliest <= self._onset_positions[1] <= latest
        ):
            self._ratios.append(self._onset_positions[1])
        self._onset_positions = []
