# SPDX-License-Identifier: Apache-2.0
"""Takes for tests: performances on the clock that jumps, recorded as the daemon records them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path

from msgspec.structs import replace

from sideman.core.engine import Engine
from sideman.core.events import Command, MidiEvent, Report
from sideman.core.timing.clock_source import ClockConfig
from sideman.playing.assembly import Performance, make_clock_source
from sideman.playing.overload import Arrival
from sideman.playing.player import Player
from sideman.takes import replay as takes
from sideman.takes.folder import TakeFolder
from sideman.takes.journal import Journal, TakeHeader
from sideman.takes.recorder import TakeRecorder as Writer
from support.fakes import FakeClock, RecordingOutput, performance

Arrivals = Iterable[tuple[float, MidiEvent | Command]]
LATE_S = 0.2


def take_names() -> Iterator[str]:
    """Names without end."""
    return (f"Name-{number}" for number in count())


def take_recorder(folder: Path, header: TakeHeader, *, record: bool = True, limit_mb: int = 500) -> Writer:
    """A recorder of takes in `folder`, of a performance with this header."""
    settings = replace(performance().settings.takes, record=record, limit_mb=limit_mb)
    return Writer(TakeFolder(folder), settings, take_names(), header)


def clock_config(made: Performance) -> ClockConfig:
    """The clocks with which the daemon begins a performance, without a Link session."""
    return ClockConfig(make_clock_source(made.settings, made.chart), made.settings.tempo.clock_out)


def perform_with_reports(
    made: Performance, arrivals: Arrivals, until: float, oversleeps: Callable[[], float] = lambda: 0.0,
    engine: Engine | None = None,
) -> tuple[TakeHeader, list[Report], RecordingOutput]:  # fmt: skip
    """Play a performance up to a second; returns the header of its take, its reports, and what was sent."""
    engine = made.make_engine(0.1) if engine is None else engine
    header = takes.make_header(made, engine)
    clock = FakeClock([*(Arrival(at, item) for at, item in arrivals), Arrival(until, None)], oversleeps)
    output = RecordingOutput(clock)
    Player(engine, output, clock, output.reports.append).run()
    return header, output.reports, output


def recorded_take(folder: Path, header: TakeHeader, reports: Iterable[Report], limit_mb: int = 500) -> Journal:
    """Record the take of such a performance."""
    recorder = take_recorder(folder, header, limit_mb=limit_mb)
    for report in reports:
        recorder.record(report)
    recorder.close()
    kept = TakeFolder(folder)
    return Journal(kept.journal(kept.names()[-1]))


def replay_take(journal: Journal, made: Performance) -> takes.ReplayResult:
    """Replay a take with the same network."""
    header = journal.header
    return takes.compare_replay(
        journal, takes.engine_at_start(header, replace(made, settings=header.settings)), lambda _: None
    )
