# SPDX-License-Identifier: Apache-2.0
"""The memory of an engine: all that it needs to go on with the same music after a restart, as plain data."""

from __future__ import annotations

import math

from msgspec import Struct

from sideman.core.changes.bar_line import BarLine, ChangeName
from sideman.core.changes.song_queue import SongMemory, SongQueue
from sideman.core.chart.timeline import ChartsMemory
from sideman.core.ensemble import Ensemble
from sideman.core.parts.accompaniment import AccompanimentMemory
from sideman.core.parts.band import BandMemory, MemberName
from sideman.core.parts.improviser import ImproviserMemory
from sideman.core.parts.soloist import SoloistMemory
from sideman.core.practice import PracticeMemory
from sideman.core.settings.schema import choruses_of
from sideman.core.turns import TurnsMemory


class EngineMemory(Struct, frozen=True):
    """All that an engine needs to go on with the same music, as plain data; `bar_line` is the tick of the next one.

    It has got to `beat`, nothing is played before `start`, and `end` is None if the music does not end by itself.
    `changes` are what takes effect on the next bar line, in order.
    """

    beat: float
    bar_line: int
    start: float
    top: float
    end: float | None
    changes: tuple[ChangeName, ...]
    rate: str
    choruses: int | None
    improviser: ImproviserMemory
    charts: ChartsMemory
    turns: TurnsMemory
    soloist: SoloistMemory
    accompaniment: AccompanimentMemory
    band: dict[MemberName, BandMemory] = {}  # an earlier version has none
    song: SongMemory | None = None
    practice: PracticeMemory = PracticeMemory()


def memory_of(ensemble: Ensemble, bar_line: BarLine, songs: SongQueue) -> EngineMemory:
    """Return the memory of an engine that consists of these."""
    timeline = ensemble.timeline
    return EngineMemory(
        min(max(timeline.start, ensemble.transport.reached_beat), timeline.end),
        bar_line.tick,
        timeline.start,
        timeline.top,
        None if timeline.end == math.inf else timeline.end,
        tuple(bar_line.changes),
        ensemble.live.play.rate,
        choruses_of(ensemble.live.settings),
        ensemble.improviser.memory(),
        ensemble.chart.memory(),
        ensemble.turns.memory(),
        ensemble.soloist.memory(),
        ensemble.accompaniment.memory(),
        {part.name: part.memory() for part in ensemble.band},
        songs.memory(),
        ensemble.practice.memory(),
    )


def recall(memory: EngineMemory, ensemble: Ensemble, bar_line: BarLine, songs: SongQueue) -> None:
    """Let an engine that consists of these go on from `memory`: see `Engine.recall`."""
    timeline = ensemble.timeline
    timeline.start, timeline.top = memory.start, memory.top
    timeline.end = math.inf if memory.end is None else memory.end
    ensemble.chart.recall(memory.charts)
    ensemble.improviser.recall(memory.improviser)
    ensemble.turns.recall(memory.turns)
    ensemble.soloist.recall(memory.soloist)
    ensemble.accompaniment.recall(memory.accompaniment)
    for part in ensemble.band:
        if part.name in memory.band:
            part.recall(memory.band[part.name])
        else:
            part.relocate()
    songs.recall(memory.song)
    bar_line.changes = list(dict.fromkeys(memory.changes))
    ensemble.practice.recall(memory.practice, chart_follows="chart" in memory.changes)
    bar_line.move_to(memory.bar_line)
    songs.announce()
