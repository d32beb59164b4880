# SPDX-License-Identifier: Apache-2.0
"""Lines for tests, as values over the changes of the tests."""

from __future__ import annotations

from sideman.core.chart.text import parse_changes
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.settings.groups.tempo import COMMON_TIME
from sideman_models.music.line import LineValue, MelodicLine
from sideman_models.music.values import TICKS_PER_QUARTER
from support.fakes import CHANGES

_HALF = TICKS_PER_QUARTER // 2


def line_of(pitches: list[int], *, heard: bool = True) -> list[LineValue]:
    """The values of a line of eighths, played by the player or by us."""
    chart = ChartTimeline(parse_changes(CHANGES, COMMON_TIME, "test"))
    line, written = MelodicLine(chart, chart), list[LineValue]()
    for number, pitch in enumerate(pitches):
        if heard:
            written += line.add_note(number * _HALF, pitch, heard=True)
        else:
            written += line.add_own_note(number * _HALF, pitch, drawn_index=0)
        line.release((number + 1) * _HALF)
    return written


def lick(bars: int) -> list[int]:
    """A player who plays one figure over and over."""
    return [60 + step for _ in range(bars) for step in (0, 2, 4, 5, 4, 2, 0, -1)]
