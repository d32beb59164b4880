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
from sideman.core.reports import Arrived, Ended, Report, Sent, Tell, Woke
from sideman.core.settings.schema import Settings
from sideman.core.timing.ableton_link import LinkTransport
from sideman.core.timing.midi_clock import Clocks, Followed, Transport
from sideman.playing.assembly import Performance, network
from sideman.playing.inbox import Arrival
from sideman.playing.player import Player
from sideman.takes.folder import TakeFolder, put_midi, take_folder
from sideman.takes.journal import Header, Journal, Totals
from sideman.takes.midi_file import TakeMidi
from sideman.takes.recorder import Recorder, now
from sideman_models.course.names import invent
from sideman_models.course.names import load as load_names
from sideman_models.errors import ModelsError
from sideman_models.music.values import TICKS
from sideman_models.network.bundle import Bundle, load
from sideman_models.text import printable


def recorder(performance: Performance) -> Recorder:
    """What writes down, or remembers, a performance. What is slow about it is done here, before the music."""
    settings = performance.settings
    names = _names()
    if settings.takes.record:
        names = chain([next(names)], names)
    return Recorder(take_folder(settings.takes.folder), settings.takes, settings.play.capture_minutes, names)


def _names() -> Iterator[str]:
    """Names that can be names of files; the network that makes them up is read when the first is wanted."""
    for name in invent(load_names(), time.time_ns() % 2**32):
        yield name.replace(" ", "-")


def header(performance: Performance, engine: Engine) -> Header:
    """How a take of `engine`, which has not played yet, begins."""
    bundle, tempo = performance.bundle, engine.tempo
    return Header(
        name="",
        date=now(),
        whole=True,
        seed=engine.improviser.dice.seed,
        bundle=bundle.name,
        path=str(bundle.path or ""),
        weights=bundle.fingerprint,
        start=tempo.beat,
        second=tempo.second,
        memory=engine.improviser.memory(tempo.beat * TICKS),
        settings=performance.settings,
        chart=performance.chart,
        sideman=__version__,
        python=platform.python_version(),
    )


def complete(journal: Journal, folder: TakeFolder) -> Journal:
    """A journal that nobody writes any more, brought to its end in good order, with its MIDI file.

    One that was cut off by a kill lacks its last line, and the MIDI file of a very long take its last bars. Raises
    what `Journal` raises, and OSError.
    """
    if journal.complete:
        return journal
    midi, totals = TakeMidi(journal.header), Totals.of(journal.header)
    with journal.path.open("r+b") as file, contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while it is being recorded
        for report in journal.reports():
            midi.add(report)
            totals.add(report)
        put_midi(folder.midi(journal.name), midi.contents(), lasting=True)
        file.truncate(journal.read_to)
        file.seek(0, 2)
        file.write(totals.line())
    return Journal(journal.path)


# -- played again


def performed(header: Header) -> Performance:
    """The performance that a take was made of. Raises Unavailable where its network is not to be had."""
    bundle = _bundle(header)
    net = network(header.settings.model.engine, bundle.weights)
    return Performance(header.settings, header.chart, bundle, net, header.seed)


def _bundle(header: Header) -> Bundle:
    """The network that played: the one of that name, or at that place, if it is still the same."""
    for name in dict.fromkeys((header.settings.model.bundle, header.path)):
        try:
            bundle = load(name)
        except ModelsError:
            continue
        if bundle.fingerprint == header.weights:
            return bundle
    raise Unavailable(
        f"{printable(header.name)}: it was played by the network {printable(header.bundle)} "
        f"({printable(header.weights[:12])}), which is not there any "
        "more, or another by now; `sideman takes export` gives what was played"
    )


def engine_of(header: Header, performance: Performance) -> Engine:
    """An engine that stands where the one of the take stood when it began.

    Raises Unavailable for a take that does not begin at the beginning, UnreadableInput for one that makes no sense.
    """
    if not header.whole:
        raise Unavailable(f"{printable(header.name)}: it begins in the middle of the music, and cannot be played again")
    engine = performance.engine(header.second, header.start, clocks=clocks(header.settings, header.chart))
    try:
        engine.improviser.remember(header.memory, round(header.start * TICKS))
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise UnreadableInput(f"{printable(header.name)}: its memory makes no sense: {error}") from None
    return engine


def clocks(settings: Settings, chart: Chart) -> Clocks:
    """The clocks that a performance has, as at its start; nobody is asked for another tempo."""
    tempo = settings.tempo
    followed: Followed | None = None
    if tempo.source == "midi-clock":
        followed = Transport(tempo.bpm, wait_start=tempo.wait_start)
    elif tempo.source == "link":
        followed = LinkTransport(float(chart.meter.quarters), wait_start=tempo.wait_start)
    return Clocks(followed, tempo.clock_out)


class ScriptedClock:
    """A clock that does not wait: it gives out the seconds, and what arrived, of a take that was written down."""

    def __init__(self, reports: Iterator[Report]) -> None:
        self._script = (report for report in reports if isinstance(report, Arrived | Woke | Ended))
        self._second, self._ready = 0.0, True
        self.ended = False
        """Whether the player ended as it did then, and not where the take breaks off."""
        first = next(self._script, None)
        if isinstance(first, Woke):
            self._second = first.second

    def now(self) -> float:
        """The second it was."""
        return self._second

    def wait(self, until: float) -> Arrival | None:  # noqa: ARG002 - it was long enough
        """What arrived then, or None; a stop where the script ends."""
        told = next(self._script, None)
        arrived = told if isinstance(told, Arrived) else None
        if arrived is not None:
            told = next(self._script, None)
        match told:
            case Woke(second, _, ready):
                self._second, self._ready = second, ready
                return None if arrived is None else Arrival(arrived.second, arrived.item)
            case Ended(second):
                self._second, self.ended = second, True
        if arrived is not None:  # the last that was written down
            self._second = arrived.second
            return Arrival(arrived.second, arrived.item)
        return Arrival(self._second, None)

    def sleep(self, until: float) -> None:
        """It was long enough."""

    def idle(self) -> bool:
        """Whether there was time to choose ahead."""
        return self._ready


class _Nowhere:
    def send(self, message: tuple[int, ...]) -> None:
        """Nobody listens."""


def play_again(engine: Engine, reports: Iterator[Report], tell: Tell) -> bool:
    """Let `engine` play to what arrived then, when it arrived; whether it ended as it did then."""
    clock = ScriptedClock(reports)
    Player(engine, _Nowhere(), clock, tell).run()
    return clock.ended


@dataclass(frozen=True, slots=True)
class Again:
    """What came of playing a take again: how many events were the same, and the first that was not, in words."""

    same: int
    difference: str = ""


class _DiffersError(Exception):
    """Here it is no longer the same."""


class _Comparison:
    """What is sent, beside what was sent then."""

    def __init__(self, then: Iterator[Sent]) -> None:
        self.same = 0
        self.difference = ""
        self._then = then
        self._more: Sent | None = None

    def add(self, now: Sent) -> None:
        """Compare the next event. Raises where it is the first that is not the same."""
        if self.difference:
            return  # the notes that are released when it breaks off
        then = next(self._then, None)
        if then is None:
            self._more = self._more or now
        elif then == now:
            self.same += 1
        else:
            self.difference = _difference(then, now)
            raise _DiffersError

    def end(self, *, ended: bool) -> None:
        """It is over; if it `ended` then, and was not cut off, nothing more may have been sent now."""
        missing = next(self._then, None)
        if missing is not None or (self._more is not None and ended):
            self.difference = _difference(missing, self._more)


def compare(journal: Journal, engine: Engine, told: Tell) -> Again:
    """Play a take again on `engine`, telling `told` of it, up to the first event that is not what was sent then."""
    comparison = _Comparison(_sent(journal.reports()))

    def heed(report: Report) -> None:
        told(report)
        if isinstance(report, Sent):
            comparison.add(report)

    with contextlib.suppress(_DiffersError):
        comparison.end(ended=play_again(engine, journal.reports(), heed))
    return Again(comparison.same, comparison.difference)


def _sent(reports: Iterator[Report]) -> Iterator[Sent]:
    """What was sent, without what stands after the last second that was written down."""
    waiting: list[Sent] = []
    ended = False
    for report in reports:
        match report:
            case Sent():
                waiting.append(report)
            case Woke() | Ended():
                yield from waiting
                waiting, ended = [], isinstance(report, Ended)
            case _:
                pass
    if ended:
        yield from waiting


def _difference(then: Sent | None, now: Sent | None) -> str:
    def words(sent: Sent | None) -> str:
        return "nothing" if sent is None else f"{sent.event} on beat {sent.beat!r}"

    return f"then {words(then)}, now {words(now)}"
