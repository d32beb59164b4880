# SPDX-License-Identifier: Apache-2.0
"""Replays a take, and prepares what a recorder needs to write one.

What an engine plays depends only on what it received and when, on the seconds at which it was advanced, and on whether
there was time to choose ahead. A journal holds all of that. So a player whose clock gives out the journal's seconds
plays the same again, late notes included, on any machine with the same arithmetic.
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import msgspec
from msgspec import Struct

from sideman import __version__
from sideman.core.engine import Engine
from sideman.core.errors import Unavailable, UnreadableInput
from sideman.core.events import AdoptNetwork, Advanced, EventSent, InputReceived, PlayerEnded, Report, ReportSink
from sideman.core.timing.clock_source import ClockConfig
from sideman.playing.assembly import Performance, make_clock_source, make_network, read_memory, recall
from sideman.playing.overload import Arrival
from sideman.playing.player import Player
from sideman.takes.folder import TakeFolder, take_folder
from sideman.takes.journal import Journal, TakeHeader
from sideman.takes.recorder import TakeRecorder, timestamp
from sideman_models.errors import BundleError, ModelsError
from sideman_models.files import read_plain_file
from sideman_models.limits import WEIGHTS
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle, load_bundle
from sideman_models.network.learned import LearnedWeights, read_learned
from sideman_models.network.lstm import NumpyNetwork
from sideman_models.text import printable

_ENGINE = "engine"  # the key of the engine's memory in that of the header


def prepare_recorder(performance: Performance) -> Callable[[TakeHeader], TakeRecorder]:
    """What makes the recorder of a performance from its header. All that is slow is done here, before the music."""
    settings = performance.settings
    names = _take_names()
    if settings.takes.record:
        names = chain([next(names)], names)
    return partial(TakeRecorder, take_folder(settings.takes.folder), settings.takes, names)


def _take_names() -> Iterator[str]:
    """Names for files, invented by a network that is loaded when the first name is needed."""
    from sideman_models.course.names import generate_names, load_name_model  # needed only by who records

    for name in generate_names(load_name_model(), time.time_ns() % 2**32):
        yield name.replace(" ", "-")


def make_header(performance: Performance, engine: Engine) -> TakeHeader:
    """The header of a take of `engine`, which has not played yet."""
    bundle, tempo = performance.bundle, engine.tempo
    memory = engine.improviser.export_state(tempo.beat * TICKS_PER_QUARTER)
    if tempo.beat > 0:  # it goes on with music that was played before
        memory |= {_ENGINE: msgspec.to_builtins(engine.memory())}
    return TakeHeader(
        name="",
        date=timestamp(),
        whole=True,
        seed=engine.improviser.random_source.seed,
        bundle=bundle.name,
        path=str(bundle.path or ""),
        weights=performance.learned or bundle.fingerprint,
        start=tempo.beat,
        second=tempo.second,
        memory=memory,
        settings=performance.settings,
        chart=performance.chart,
        sideman=__version__,
        python=platform.python_version(),
    )


# -- replay


def replay_engine(journal: Journal) -> Engine:
    """An engine that plays the take of a journal again.

    Raises Unavailable if a network of it is gone or it starts in the middle of the music, UnreadableInput if it is
    broken.
    """
    header, folder = journal.header, TakeFolder(journal.path.parent)
    performance = performance_of(header, folder.learned(journal.name, header.weights))
    engine = engine_at_start(header, performance)
    if header.settings.model.learn:
        bundle = load_bundle(str(performance.bundle.path))
        for report in journal.reports():
            if isinstance(report, InputReceived) and isinstance(report.item, AdoptNetwork):
                fingerprint = report.item.fingerprint
                learned = _read_learned(folder.learned(journal.name, fingerprint), fingerprint, bundle)
                if learned is None:
                    raise _gone(header, f"what it learned ({fingerprint[:12]})")
                engine.improviser.prepared[fingerprint] = NumpyNetwork(learned.weights)
    return engine


def _read_learned(path: Path, fingerprint: str, bundle: Bundle) -> LearnedWeights | None:
    """The learned weights with a fingerprint in the file at `path`; None if they are not there."""
    with contextlib.suppress(OSError, ValueError, BundleError):  # ValueError: no name of a file
        learned = read_learned(read_plain_file(path, WEIGHTS.bytes), bundle, path)
        return learned if learned.fingerprint == fingerprint else None
    return None


def performance_of(header: TakeHeader, learned: Path | None = None) -> Performance:
    """The performance that the take was made from, which may have begun with the weights in the file `learned`.

    Raises Unavailable if its network is gone or has changed.
    """
    for name in dict.fromkeys((header.settings.model.bundle, header.path)):
        try:
            bundle = load_bundle(name)
        except ModelsError:
            continue
        if bundle.fingerprint == header.weights:
            weights, fingerprint = bundle.weights, ""
        elif learned is not None and (read := _read_learned(learned, header.weights, bundle)) is not None:
            weights, fingerprint = read.weights, read.fingerprint
        else:
            continue
        network = make_network(header.settings.model.engine, weights)
        return Performance(header.settings, header.chart, bundle.info, network, header.seed, fingerprint)
    raise _gone(header, f"the network that played it, {printable(header.bundle)} ({printable(header.weights[:12])}),")


def _gone(header: TakeHeader, what: str) -> Unavailable:
    how = "`sideman takes export` gives what was played"
    return Unavailable(f"{printable(header.name)}: {what} is gone or has changed; {how}")


def engine_at_start(header: TakeHeader, performance: Performance) -> Engine:
    """An engine in the state in which the engine of the take started.

    Raises Unavailable for a take that starts in the middle of the music, UnreadableInput for an impossible state.
    """
    if not header.whole:
        why = "it starts in the middle of the music, so it cannot be played again"
        raise Unavailable(f"{printable(header.name)}: {why}")
    settings = header.settings
    # A Link session is not asked to change its tempo.
    clocks = ClockConfig(make_clock_source(settings, header.chart), settings.tempo.clock_out)
    engine = performance.make_engine(header.second, header.start, clocks=clocks)
    try:
        engine.improviser.restore_state(header.memory, round(header.start * TICKS_PER_QUARTER))
        if _ENGINE in header.memory:  # takes of earlier versions have only the state of the network
            recall(engine, read_memory(header.memory[_ENGINE]))
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise UnreadableInput(f"{printable(header.name)}: the state of its network is impossible: {error}") from None
    return engine


class ReplayClock:
    """A clock that does not wait: it gives out the seconds and the input of a recorded take."""

    def __init__(self, reports: Iterator[Report]) -> None:
        self._recorded = (report for report in reports if isinstance(report, InputReceived | Advanced | PlayerEnded))
        self._second, self._had_time, self._had_more = 0.0, True, False
        self.ended = False
        """Whether the player ended as it did then; False if the take breaks off before."""
        if isinstance(first := next(self._recorded, None), Advanced):
            self._second = first.second
        self._next = next(self._recorded, None)

    def now(self) -> float:
        """The recorded second."""
        return self._second

    def wait(self, until: float) -> Arrival | None:  # noqa: ARG002 - the recorded wait counts
        """The input that was received then, or None; at the end of the take, the signal to stop."""
        arrival, self._had_more = None, False
        if isinstance(received := self._next, InputReceived):
            arrival = Arrival(received.second, received.item)
            self._next = next(self._recorded, None)
        match self._next:
            case Advanced(second, _, prepared):
                self._second, self._had_time = second, prepared
                self._next = next(self._recorded, None)
                return arrival
            case PlayerEnded(second) if arrival is None:
                self._second, self.ended = second, True
                self._next = None
            case _ if arrival is not None:  # more had come in already (the stop too), or the take breaks off
                self._second, self._had_more = arrival.second, True
        return arrival or Arrival(self._second, None)

    def woken_at(self, until: float) -> float:  # noqa: ARG002 - the take says when the player woke
        """The second at which the player woke then."""
        return self._second

    def sleep(self, until: float) -> None:
        """Return at once."""

    def is_idle(self) -> bool:
        """Whether there was time to choose ahead then."""
        return self._had_time

    def has_more(self, until: float) -> bool:  # noqa: ARG002 - the take says whether there was more
        """Whether more had come in then, or was waited for.

        In takes of earlier versions, the player went on to what was due.
        """
        return self._had_more


class _NullOutput:
    def send(self, message: tuple[int, ...]) -> None:
        """Send nothing."""

    def send_to(self, port_id: str, message: tuple[int, ...]) -> None:
        """Send nothing."""


class ReplayResult(Struct, frozen=True):
    """The result of a replay: how many events were the same, and a description of the first that was not."""

    same_events: int
    difference: str = ""


class _DifferenceFound(Exception):
    """The replay differs here."""


def compare_replay(journal: Journal, engine: Engine, on_report: ReportSink) -> ReplayResult:
    """Replay a take on `engine` up to the first event that differs; pass every report to `on_report`."""
    clock, sent_then = ReplayClock(journal.reports()), _sent_events(journal.reports())
    same = 0
    first_extra: EventSent | None = None
    different: tuple[EventSent | None, EventSent | None] | None = None  # then, now

    def compare(report: Report) -> None:
        nonlocal same, different, first_extra
        on_report(report)
        if different or not isinstance(report, EventSent):
            return  # notes are still released after the difference
        then = next(sent_then, None)
        if then is None:
            first_extra = first_extra or report
        elif then == report:
            same += 1
        else:
            different = then, report
            raise _DifferenceFound

    with contextlib.suppress(_DifferenceFound):
        Player(engine, _NullOutput(), clock, compare).run()
        missing = next(sent_then, None)
        if missing is not None or (first_extra is not None and clock.ended):  # a take that was cut off may lack events
            different = missing, first_extra
    if different is None:
        return ReplayResult(same)
    then, now = ("nothing" if sent is None else f"{sent.event} on beat {sent.beat!r}" for sent in different)
    return ReplayResult(same, f"then {then}, now {now}")


def _sent_events(reports: Iterator[Report]) -> Iterator[EventSent]:
    """The events that were sent, without those after the last `Advanced` of a take that breaks off."""
    waiting: list[EventSent] = []
    for report in reports:
        if isinstance(report, EventSent):
            waiting.append(report)
        elif isinstance(report, Advanced | PlayerEnded):
            yield from waiting
            waiting = []
            if isinstance(report, PlayerEnded):
                yield from (each for each in reports if isinstance(each, EventSent))
