# SPDX-License-Identifier: Apache-2.0
"""A chart as plain data: how journals and saved states hold it. What is read is checked."""

from __future__ import annotations

from typing import Annotated, Self

import msgspec

from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, parse_meter
from sideman.core.chart.styles import Style
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import parse_chord

_Onset = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]


class WrittenInfo(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is written about a chart besides its chords: the fields of `ChartInfo`."""

    title: str
    composer: str
    key: str
    tempo: _Onset | None
    sections: tuple[tuple[int, str], ...]
    style: Style | None = None


class WrittenChart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A chart bar by bar, each chord with its onset, so that any onsets can be written, unlike in `Chart.text`.

    `meter` is that of the first bar; `meters` are the bars where it changes, counted from 0.
    """

    meter: str
    bars: tuple[tuple[tuple[_Onset, str], ...], ...]
    meters: tuple[tuple[int, str], ...] = ()
    about: WrittenInfo

    @classmethod
    def of(cls, chart: Chart) -> Self:
        """The form of a chart."""
        before = [chart.meter, *(bar.meter for bar in chart.bars)]
        return cls(
            meter=str(chart.meter),
            bars=tuple(tuple((at, chord.text) for at, chord in bar.chords) for bar in chart.bars),
            meters=tuple((at, str(bar.meter)) for at, bar in enumerate(chart.bars) if bar.meter != before[at]),
            about=msgspec.convert(chart.info, WrittenInfo, from_attributes=True),
        )

    def chart(self) -> Chart:
        """The chart of this form. Raises ValueError."""
        try:
            meter, changes = parse_meter(self.meter), dict(self.meters)
            bars = []
            for number, chords in enumerate(self.bars):
                meter = parse_meter(changes[number]) if number in changes else meter
                onsets = [at for at, _ in chords]
                if not onsets or onsets[0] != 0 or onsets != sorted(set(onsets)) or onsets[-1] >= meter.quarters:
                    raise ChartError("chords out of their bar")
                bars.append(Bar(tuple((at, parse_chord(text)) for at, text in chords), meter))
            return Chart(tuple(bars), ChartInfo(**msgspec.structs.asdict(self.about)))
        except (ChartError, ModelsError) as error:
            raise ValueError(f"not a chart: {error}") from None
