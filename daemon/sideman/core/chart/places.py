# SPDX-License-Identifier: Apache-2.0
"""Places in a chart as a bandleader names them: `B` for a section, `17` for a bar, `5-8` for bars."""

from __future__ import annotations

import re

from msgspec import Struct

from sideman.core.chart.chart import Chart, ChartError
from sideman_models.text import printable

_BARS = re.compile(r"(\d{1,6})(?:\s*[-–]\s*(\d{1,6}))?")
_MAX_LENGTH = 60


class Place(Struct, frozen=True):
    """The bars from `first` up to, but not including, `end`, counted from 0 at the top of the chart."""

    first: int
    end: int

    @property
    def text(self) -> str:
        """The place as it is written, in numbers."""
        return str(self.first + 1) if self.end == self.first + 1 else f"{self.first + 1}-{self.end}"


def check_place(text: str) -> str:
    """Return `text` as a place is written. Raises ValueError if it cannot be one in any chart."""
    text = " ".join(text.split())
    if not text or len(text) > _MAX_LENGTH or not text.isprintable():
        raise ValueError
    if match := _BARS.fullmatch(text):
        first, last = int(match[1]), int(match[2] or match[1])
        if first < 1:
            raise ValueError("bars are counted from 1")
        if last < first:
            raise ValueError(f"no bar lies between {first} and {last}: the first bar comes first, as in {last}-{first}")
        return f"{first}-{last}" if match[2] else str(first)
    return text


def find_place(chart: Chart, text: str) -> Place:
    """Return the bars of `chart` that `text` names: of a section that comes again, its first time.

    Raises ChartError, which says what the chart has.
    """
    try:
        text = check_place(text)
    except ValueError as error:
        reason = str(error) or "no place in a chart"
        raise ChartError(f"{printable(text)[:_MAX_LENGTH]!r}: {reason}; {_what_there_is(chart)}") from None
    count = len(chart.bars)
    if match := _BARS.fullmatch(text):
        place = Place(int(match[1]) - 1, int(match[2] or match[1]))
        if place.end > count:
            raise ChartError(f"{text}: the chart has no bar {place.end}; {_what_there_is(chart)}")
        return place
    starts = [(bar, name.casefold()) for bar, name in chart.info.sections if bar < count]
    for number, (bar, name) in enumerate(starts):
        if name == text.casefold():
            return Place(bar, starts[number + 1][0] if number + 1 < len(starts) else count)
    raise ChartError(f"{text!r}: the chart has no section of that name; {_what_there_is(chart)}")


def section_at(chart: Chart, bar: int) -> Place:
    """Return the section that contains `bar`; in a chart without sections, four bars."""
    count = len(chart.bars)
    starts = sorted({bar for bar, _ in chart.info.sections if bar < count}) or list(range(0, count, 4))
    bounds = sorted({0, *starts, count})
    first = max(each for each in bounds if each <= bar)
    return Place(first, min(each for each in bounds if each > bar))


def _what_there_is(chart: Chart) -> str:
    names = list(dict.fromkeys(name for _, name in chart.info.sections))
    sections = f"its sections are {', '.join(names[:20])}" if names else "it has no sections"
    return f"its bars are 1-{len(chart.bars)}, {sections}"
