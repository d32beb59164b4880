# SPDX-License-Identifier: Apache-2.0
"""Takes: how a performance is written down, and how one that was written down is played again.

An engine does what it is told when, and nothing else: what arrived and when, when it was woken, and whether there was
time to choose ahead. A journal has all of that. So a player on a clock that gives out the journal's seconds does
again what was done, the notes that came too late among it, on any machine that computes the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from sideman import __version__
from sideman.core.chart.chart import Chart
from sideman.core.engine import Engine
from sideman.core.errors import Unavailable, UnreadableInput
from sideman.core.reports import Advanced, EventSent, InputReceived, PlayerEnded, Report, ReportSink
from sideman.core.settings.schema import Settings
from sideman.core.timing.clock_source import ClockConfig, make_clock_source
from sideman.playing.assembly import Performance, make_network
from sideman.playing.inbox import Arrival
from sideman.playing.player import Player
from sideman.takes.folder import TakeFolder, take_folder, write_midi_atomically
from sideman.takes.journal import Journal, TakeHeader, TakeTotals
from sideman.takes.midi_file import TakeMidiFile
from sideman.takes.recorder import TakeRecorder, timestamp
from sideman_models.course.names import generate_names
from sideman_models.course.names import load_name_model as load_names
from sideman_models.errors import ModelsError
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle, load_bundle
from sideman_models.text import printable


def make_recorder(performance: Performance) -> TakeRecorder:
    """What writes down, or remembers, a performance. What is slow about it is done here, before the music."""
    settings = performance.settings
    names = _take_names()
    if settings.takes.record:
        names = chain([next(names)], names)
    return TakeRecorder(take_folder(settings.takes.folder), settings.takes, settings.play.capture_minutes, names)


def _take_names() -> Iterator[str]:
    """Names that can be names of files; the network that makes them up is read when the first is wanted."""
    for name in generate_names(load_names(), time.time_ns() % 2**32):
        yield name.replace(" ", "-")


def make_header(performance: Performance, engine: Engine) -> TakeHeader:
    """How a take of `engine`, which has not played yet, begins."""
    bundle, tempo = performance.bundle, engine.tempo
    return TakeHeader(
        name="",
        date=timestamp(),
        whole=True,
        seed=engine.improviser.random_source.seed,
        bundle=bundle.name,
        path=str(bundle.path or ""),
        weights=bundle.fingerprint,
        start=tempo.beat,
        second=tempo.second,
        memory=engine.improviser.export_state(tempo.beat * TICKS_PER_QUARTER),
        settings=performance.settings,
        chart=performance.chart,
        sideman=__version__,
        python=platform.python_version(),
    )


def complete_journal(journal: Journal, folder: TakeFolder) -> Journal:
    """A journal that nobody writes any more, brought to its end in good order, with its MIDI file.

    One that was cut off by a kill lacks its last line, and the MIDI file of a very long take its last bars. Raises
    what `Journal` raises, and OSError.
    """
    if journal.is_complete:
        return journal
    midi, totals = TakeMidiFile(journal.header), TakeTotals.for_header(journal.header)
    with journal.path.open("r+b") as file, contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while it is being recorded
        for report in journal.reports():
            midi.add_report(report)
            totals.add_report(report)
        write_midi_atomically(folder.midi(journal.name), midi.contents(), sync=True)
        file.truncate(journal.read_to)
        file.seek(0, 2)
        file.write(totals.encode())
    return Journal(journal.path)


# -- played again


def performance_of(header: TakeHeader) -> Performance:
    """The performance that a take was made of. Raises Unavailable where its network is not to be had."""
    bundle = _find_bundle(header)
    net = make_network(header.settings.model.engine, bundle.weights)
    return Performance(header.settings, header.chart, bundle, net, header.seed)


def _find_bundle(header: TakeHeader) -> Bundle:
    """The network that played: the one of that name, or at that place, if it is still the same."""
    for name in dict.fromkeys((header.settings.model.bundle, header.path)):
        try:
            bundle = load_bundle(name)
        except ModelsError:
            continue
        if bundle.fingerprint == header.weights:
            return bundle
    raise Unavailable(
        f"{printable(header.name)}: it was played by the network {printable(header.bundle)} "
        f"({printable(header.weights[:12])}), which is not there any "
        "more, or another by now; `sideman takes export` gives what was played"
    )


def engine_at_start(header: TakeHeader, performance: Performance) -> Engine:
    """An engine that stands where the one of the take stood when it began.

    Raises Unavailable for a take that does not begin at the beginning, UnreadableInput for one that makes no sense.
    """
    if not header.whole:
        raise Unavailable(f"{printable(header.name)}: it begins in the middle of the music, and cannot be played again")
    engine = performance.make_engine(header.second, header.start, clocks=clock_config(header.settings, header.chart))
    try:
        engine.improviser.restore_state(header.memory, round(header.start * TICKS_PER_QUARTER))
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise UnreadableInput(f"{printable(header.name)}: its memory makes no sense: {error}") from None
    return engine


def clock_config(settings: Settings, chart: Chart) -> ClockConfig:
    """Return the clocks of a performance at its start; in a replay no session is asked for another tempo."""
    return ClockConfig(make_clock_source(settings.tempo, chart), settings.tempo.clock_out)


class ReplayClock:
    """A clock that does not wait: it gives out the seconds, and what arrived, of a take that was written down."""

    def __init__(self, reports: Iterator[Report]) -> None:
        self._recorded = (report for report in reports if isinstance(report, InputReceived | Advanced | PlayerEnded))
        self._second, self._had_time = 0.0, True
        self.ended = False
        """Whether the player ended as it did then, and not where the take breaks off."""
        first = next(self._recorded, None)
        if isinstance(first, Advanced):
            self._second = first.second

    def now(self) -> float:
        """The second it was."""
        return self._second

    def wait(self, until: float) -> Arrival | None:  # noqa: ARG002 - it was long enough
        """What arrived then, or None; a stop where the script ends."""
        told = next(self._recorded, None)
        arrived = told if isinstance(told, InputReceived) else None
        if arrived is not None:
            told = next(self._recorded, None)
        match told:
            case Advanced(second, _, ready):
                self._second, self._had_time = second, ready
                return None if arrived is None else Arrival(arrived.second, arrived.item)
            case PlayerEnded(second):
                self._second, self.ended = second, True
        if arrived is not None:  # the last that was written down
            self._second = arrived.second
            return Arrival(arrived.second, arrived.item)
        return Arrival(self._second, None)

    def woken_at(self, until: float) -> float:  # noqa: ARG002 - the take says when the player woke
        """Return the second at which the player woke then."""
        return self._second

    def sleep(self, until: float) -> None:
        """It was long enough."""

    def is_idle(self) -> bool:
        """Whether there was time to choose ahead."""
        return self._had_time


class _NullOutput:
    def send(self, message: tuple[int, ...]) -> None:
        """Nobody listens."""


def replay(engine: Engine, reports: Iterator[Report], on_report: ReportSink) -> bool:
    """Let `engine` play to what arrived then, when it arrived; whether it ended as it did then."""
    clock = ReplayClock(reports)
    Player(engine, _NullOutput(), clock, on_report).run()
    return clock.ended


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What came of playing a take again: how many events were the same, and the first that was not, in words."""

    same_events: int
    difference: str = ""


class _DifferenceFound(Exception):
    """Here it is no longer the same."""


class _Comparison:
    """What is sent, beside what was sent then."""

    def __init__(self, then: Iterator[EventSent]) -> None:
        self.same = 0
        self.difference = ""
        self._then = then
        self._first_extra: EventSent | None = None

    def add(self, now: EventSent) -> None:
        """Compare the next event. Raises where it is the first that is not the same."""
        if self.difference:
            return  # the notes that are released when it breaks off
        then = next(self._then, None)
        if then is None:
            self._first_extra = self._first_extra or now
        elif then == now:
            self.same += 1
        else:
            self.difference = _describe_difference(then, now)
            raise _DifferenceFound

    def end(self, *, ended: bool) -> None:
        """It is over; if it `ended` then, and was not cut off, nothing more may have been sent now."""
        missing = next(self._then, None)
        if missing is not None or (self._first_extra is not None and ended):
            self.difference = _describe_difference(missing, self._first_extra)


def compare_replay(journal: Journal, engine: Engine, on_report: ReportSink) -> ReplayResult:
    """Play a take again on `engine` up to the first event that differs; pass every report to `on_report`."""
    comparison = _Comparison(_sent_events(journal.reports()))

    def heed(report: Report) -> None:
        on_report(report)
        if isinstance(report, EventSent):
            comparison.add(report)

    with contextlib.suppress(_DifferenceFound):
        comparison.end(ended=replay(engine, journal.reports(), heed))
    return ReplayResult(comparison.same, comparison.difference)


def _sent_events(reports: Iterator[Report]) -> Iterator[EventSent]:
    """What was sent, without what stands after the last second that was written down."""
    waiting: list[EventSent] = []
    ended = False
    for report in reports:
        match report:
            case EventSent():
                waiting.append(report)
            case Advanced() | PlayerEnded():
                yield from waiting
                waiting, ended = [], isinstance(report, PlayerEnded)
            case _:
                pass
    if ended:
        yield from waiting


def _describe_difference(then: EventSent | None, now: EventSent | None) -> str:
    def words(sent: EventSent | None) -> str:
        return "nothing" if sent is None else f"{sent.event} on beat {sent.beat!r}"

    return f"then {words(then)}, now {words(now)}"
