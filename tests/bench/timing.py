# SPDX-License-Identifier: Apache-2.0
"""How late the daemon sends, and how soon a note that arrives has reached the network's line.

Each stands beside a thread that does nothing else: one only sleeps until the same seconds, one only reads the inbox.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct

from bench.figures import Budget, Figure, Samples, median, p99
from bench.scene import SEED, performance, undisturbed
from sideman.config.sources import SettingsSources
from sideman.core.engine import Engine, play_through
from sideman.core.engine_memory import EngineMemory
from sideman.core.events import Advanced, BarPlayed, EventSent, NoteOff, NoteOn, Report
from sideman.midi.ports import MidiPorts
from sideman.midi.request import NO_PORT, PortRequest
from sideman.playing.assembly import Performance
from sideman.playing.inbox import Inbox
from sideman.playing.overload import Arrival
from sideman.playing.player import Player
from sideman.service import log
from sideman.service.service import THREAD_SWITCH_S, Service

LATE_US, HEARD_US = 0, 400
_ROUNDS = 12
_LEAD_S = 0.05
BUSY = {
    "tempo.bpm": 240,
    "play.rate": "sixteenth",
    "play.late_ms": 1000,
    "chart.changes": "| C7 | F7 |",  # two seconds, and some fifty events
    "chart.choruses": 1,
    "midi.output": NO_PORT,
    "midi.input": NO_PORT,
}
_NOTES = 30
_SHORTEST_GAP_S, _LONGEST_GAP_S = 0.01, 0.05


def figures(effort: float) -> Iterator[Figure]:
    """The lateness of sending and of hearing."""
    rounds = max(1, round(_ROUNDS * effort))
    with undisturbed(THREAD_SWITCH_S), unread_log():
        yield _sending(rounds)
        yield _hearing(rounds)


@contextlib.contextmanager
def unread_log() -> Iterator[None]:
    """Write the log, because writing takes time, but to the null device."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []  # otherwise they would be closed
    with Path(os.devnull).open("w", encoding="utf-8") as null:
        with contextlib.redirect_stderr(null):
            log.configure_logging("info")
        try:
            yield
        finally:
            root.handlers = handlers
            root.setLevel(level)


# -- sending


def _sending(rounds: int) -> Figure:
    """The whole daemon, and bare sleeps until the same seconds, alternately."""
    ours, bare = list[Samples](), list[Samples]()
    for number in range(rounds):
        made = performance({**BUSY, "play.seed": SEED + number})
        meant = _meant(made)
        ours.append(daemon_lateness(made))
        bare.append(_late(meant, *_sleeper(meant)))
    return _beyond("sending: late by", ours, "a bare absolute sleep", bare, LATE_US)


def _beyond(what: str, ours: Sequence[Samples], floor: str, bare: Sequence[Samples], limit: float) -> Figure:
    """By how much our 99th percentile exceeds the lower bound's in the same round: the median of the rounds.

    So a second in which the machine was busy with something else counts no more than any other second.
    """
    excess = 1e6 * median([p99(one) - p99(other) for one, other in zip(ours, bare, strict=True)])
    budget = Budget(f"p99 at most {limit} µs beyond that, median of rounds", limit, excess)
    all_ours, all_bare = (np.concatenate(each).tolist() for each in (ours, bare))
    beside = {floor: 1e6 * median(all_bare), f"{floor}, p99": 1e6 * p99(all_bare)}
    return Figure(what, "µs", 1e6 * median(all_ours), 1e6 * p99(all_ours), beside, budget)


def daemon_lateness(made: Performance) -> list[float]:
    """By how many seconds each message of the whole daemon is late."""
    return _late(_meant(made), *_daemon(made))


def _meant(made: Performance) -> list[float]:
    return [due.second for due in play_through(made.make_engine(0.0)) if not isinstance(due.item, BarPlayed)]


def _late(meant: Sequence[float], start: float, sent: Sequence[float]) -> list[float]:
    return [second - start - due for second, due in zip(sent, meant, strict=False)]


def _daemon(made: Performance) -> tuple[float, list[float]]:
    """The second of the daemon's first beat, and the seconds at which it sent."""
    daemon = Daemon(made.settings, made.chart, SettingsSources(), None)
    daemon.run()
    return daemon.start, daemon.output.seconds


class Daemon(Service):
    """The daemon, with an output that only records when it sent."""

    start = 0.0
    output: _Output
    due: list[float]
    """The seconds at which each message was due, as the engine said then."""

    def lateness(self) -> list[float]:
        """Play; by how many seconds each message was late."""
        self.run()
        return [second - due for second, due in zip(self.output.seconds, self.due, strict=False)]

    @contextlib.contextmanager
    def _open_ports(self) -> Iterator[MidiPorts]:
        self.output = _Output(PortRequest(NO_PORT, NO_PORT), self._inbox.put)
        try:
            yield self.output
        finally:
            self.output.close()

    def _make_engine(self, performance: Performance, memory: EngineMemory | None) -> Engine:
        engine = super()._make_engine(performance, memory)
        self.start = engine.tempo.second
        self.due, put = [], self._wakeup.put

        def counted(report: Report) -> None:
            if isinstance(report, EventSent):
                self.due.append(report.second)
            put(report)

        self._wakeup.put = counted  # type: ignore[method-assign]
        return engine

    def _handle_signal(self, number: int) -> None:
        if number:
            os._exit(130)  # the signal is meant for the benchmark


class _Output(MidiPorts):
    def __init__(self, wanted: PortRequest, receive: Callable[..., None]) -> None:
        super().__init__(wanted, receive)
        self.seconds: list[float] = []

    def send(self, message: Sequence[int]) -> None:
        self.seconds.append(time.monotonic())


def _sleeper(meant: Sequence[float]) -> tuple[float, list[float]]:
    """The same for a thread that only sleeps until each second."""
    start, woken = time.monotonic() + _LEAD_S, list[float]()

    def sleep() -> None:
        for due in meant:
            time.sleep(max(0.0, start + due - time.monotonic()))
            woken.append(time.monotonic())

    _in_a_thread(sleep)
    return start, woken


# -- hearing


def _hearing(rounds: int) -> Figure:
    """From the arrival in the inbox until the note is pending in the network's line and the next choice is redone."""
    ours, bare = list[Samples](), list[Samples]()
    for number in range(rounds):
        ours.append(_heard_by(_player(SEED + number), number))
        bare.append(_heard_by(_reader(), number))
    return _beyond("hearing: a note is in after", ours, "a thread that only reads the inbox", bare, HEARD_US)


class Hearer(Struct):
    """An inbox, a function that reads it until it is stopped, the delay of each note; `begun` is set when it reads."""

    inbox: Inbox
    run: Callable[[], object]
    delays: list[float]
    begun: threading.Event


def _player(seed: int) -> Hearer:
    inbox, delays, begun = Inbox(), list[float](), threading.Event()
    engine = performance({"play.seed": seed}).make_engine(inbox.now())

    def report(item: Report) -> None:
        if isinstance(item, Advanced) and not begun.is_set():
            begun.set()

    player = _Player(engine, _NullOutput(), inbox, report)
    player.delays = delays
    return Hearer(inbox, player.run, delays, begun)


class _Player(Player):
    """A player that records how long it took until each note had been received."""

    delays: list[float]

    def _receive(self, arrival: Arrival, now: float) -> None:
        super()._receive(arrival, now)
        if isinstance(arrival.item, NoteOn):
            self.delays.append(time.monotonic() - arrival.second)


class _NullOutput:
    def send(self, message: tuple[int, ...]) -> None:
        """Send nothing."""

    def send_to(self, port_id: str, message: tuple[int, ...]) -> None:
        """Send nothing."""


def _reader() -> Hearer:
    inbox, delays, begun = Inbox(), list[float](), threading.Event()

    def take() -> None:
        begun.set()
        while (arrival := inbox.wait(inbox.now() + 1.0)) is None or arrival.item is not None:
            if arrival is not None and isinstance(arrival.item, NoteOn):
                delays.append(time.monotonic() - arrival.second)

    return Hearer(inbox, take, delays, begun)


def _heard_by(hearer: Hearer, seed: int) -> list[float]:
    """How long it took to hear each note of a phrase, which begins when the music has begun."""
    inbox, rng = hearer.inbox, np.random.default_rng(seed)
    thread = threading.Thread(target=hearer.run, daemon=True)
    thread.start()
    hearer.begun.wait()
    time.sleep(_LONGEST_GAP_S)
    for pitch in rng.integers(48, 84, _NOTES).tolist():
        inbox.put(NoteOn(pitch, 1, 1))  # so soft that none is taken for an echo of our own notes
        time.sleep(rng.uniform(_SHORTEST_GAP_S, _LONGEST_GAP_S))
        inbox.put(NoteOff(pitch, 1))
    inbox.put(None)
    thread.join()
    return hearer.delays


def _in_a_thread(action: Callable[[], object]) -> None:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join()
