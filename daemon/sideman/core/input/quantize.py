# SPDX-License-Identifier: Apache-2.0
"""Quantises what a player plays: finds the written tick of an onset, although people swing and play early or late.

**Swing.** `SwingEstimator` measures where the player's second eighth note falls in the beat. It takes the median over
the last beats with exactly two onsets, one near the beat and one that can be a second eighth note; so triplets do not
count. Three beats with our own swing are always part of the median: there the estimate begins.

**Grid.** `quantize` chooses the grid position whose swung time is nearest to the onset. But players mean simple
positions more often than others, and miss them by a few hundredths of a second. So every position other than the beat
has a handicap (`HANDICAP_S`), which counts as additional distance. A note 30 ms before a bar line thus belongs to the
bar line up to a tempo of 240, a note 60 ms before it up to 110. After an onset on the second triplet of a beat, the
third triplet has the small handicap of the second eighth, and the reverse.

The figures are those with which most onsets of the solos in the Weimar Jazz Database are quantised to the positions
where the transcribers wrote them.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from sideman.core.timing.tempo import position_in_bar
from sideman_models.music.context import Bars
from sideman_models.music.swing import swung_beat
from sideman_models.music.values import TICKS_PER_QUARTER

HANDICAP_S = {0: 0.0, 6: 0.005, 3: 0.03, 9: 0.02, 4: 0.025, 8: 0.03, 2: 0.1, 10: 0.1}
"""The handicap of each grid position, by its tick in the beat: how much nearer than a beat a note has to be."""
MAX_AHEAD_TICKS = 2.0
"""Two onsets get two ticks, unless the second tick would lie more than this after the second onset."""

_TRIPLET_HANDICAP = {8: 6, 6: 8}
_NEAR_BEAT = 0.12  # beats; an onset this near to a beat is on the beat
_EARLIEST_SECOND_EIGHTH, _LATEST_SECOND_EIGHTH = 0.42, 0.78
_LEAST_SWING, _MOST_SWING = 0.5, 0.75
_MEASURED_BEATS = 12
_PRIOR_BEATS = 3  # beats with our own swing in the median


def quantize(beat: float, bars: Bars, swing: float, beat_s: float, previous_tick: int | None = None) -> int:
    """Return the written tick of a note that sounds on `beat`, where a beat lasts `beat_s` seconds.

    It lies after `previous_tick`, that of the onset before; if no such tick is near enough, it is `previous_tick`.
    """
    line, bar_ticks, position = position_in_bar(beat, bars)
    beat_tick = math.floor(position) * TICKS_PER_QUARTER  # of the beat before, from the bar line
    ticks = (*HANDICAP_S, TICKS_PER_QUARTER, TICKS_PER_QUARTER + 2)
    grid = sorted({min(beat_tick + tick, bar_ticks) for tick in ticks})
    later = [tick for tick in grid if previous_tick is None or line + tick > previous_tick]
    in_triplet = previous_tick == line + beat_tick + TICKS_PER_QUARTER // 3

    def distance_s(tick: int) -> float:
        if tick == bar_ticks:
            return abs(position - tick / TICKS_PER_QUARTER) * beat_s
        place = tick - beat_tick
        place = _TRIPLET_HANDICAP.get(place, place) if in_triplet else place
        return abs(position - swung_beat(tick, swing)) * beat_s + HANDICAP_S[place % TICKS_PER_QUARTER]

    best = line + min(later or grid, key=distance_s)
    too_late = not later or best - beat * TICKS_PER_QUARTER > MAX_AHEAD_TICKS
    return previous_tick if previous_tick is not None and too_late else best


class SwingEstimator:
    """Estimates the player's swing: the share of the beat after which the second eighth note falls."""

    def __init__(self) -> None:
        self._ratios: deque[float] = deque(maxlen=_MEASURED_BEATS)
        self._beat: tuple[int, int] = (0, -1)  # tick of the bar line, beats after it
        self._onset_positions: list[float] = []  # the onsets of this beat, in beats from it

    def add_onset(self, beat: float, bars: Bars) -> None:
        """Take in an onset of the player on `beat`."""
        line, bar_ticks, position = position_in_bar(beat, bars)
        if bar_ticks / TICKS_PER_QUARTER - position <= _NEAR_BEAT:
            line, position = line + bar_ticks, position - bar_ticks / TICKS_PER_QUARTER
        number = math.floor(position + _NEAR_BEAT)
        if (line, number) != self._beat:
            match self._onset_positions:
                case [first, second] if first <= _NEAR_BEAT:
                    if _EARLIEST_SECOND_EIGHTH <= second <= _LATEST_SECOND_EIGHTH:
                        self._ratios.append(second)
            self._beat, self._onset_positions = (line, number), []
        self._onset_positions.append(position - number)

    def estimate(self, default: float) -> float:
        """Return the player's swing: 0.5 is straight, 0.67 triplets. It begins at `default`."""
        return max(_LEAST_SWING, min(_MOST_SWING, median([*self._ratios, *[default] * _PRIOR_BEATS])))
