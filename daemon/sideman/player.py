# SPDX-License-Identifier: Apache-2.0
"""The only loop that plays: wait for an arrival until the next deadline, then send what is due.

It owns the engine, and with it the network's state, the dice and the ledger; it alone sends. Whatever ends it, every
note that sounds is released first.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Protocol

from sideman.core.engine import Engine
from sideman.core.events import Event, NoteOff, encode
from sideman.core.reports import Arrived, BarPlayed, Ended, Sent, Tell, Woke
from sideman.core.schedule import Due
from sideman.io.clock import Arrival, Clock

LONGEST_SLEEP_S = 1.0
"""The player wakes at least so often: this is the progress that feeds the watchdog."""
AGAIN_S = 0.015
_COLLECT_S = 0.02  # time to the next deadline in which garbage may be collected
_BETWEEN_TICKS_S = 0.005  # the same where there is a deadline every few milliseconds


class Output(Protocol):
    """Where the notes go."""

    def send(self, message: tuple[int, ...]) -> object:
        """Send one MIDI message; must not block."""
        ...


class Player:
    """Plays `engine` on `output` in the time of `clock`, telling `tell` of all that comes in and goes out.

    `status` is how it stood after its last turn.
    """

    def __init__(self, engine: Engine, output: Output, clock: Clock, tell: Tell) -> None:
        self.engine = engine
        self.engine.tell = tell
        self.status = engine.status(clock.now())
        self.turns = 0
        self._output = output
        self._clock = clock
        self._tell = tell
        self._stopping = False
        self._collect_s = _BETWEEN_TICKS_S if engine.settings.tempo.clock_out else _COLLECT_S

    def run(self) -> None:
        """Play until asked to stop or until the end; then, or after any exception, release every note."""
        try:
            now = self._clock.now()
            self._send(self.engine.open(now), now)
            self.engine.prepare(now)
            self._tell(Woke(now, self.engine.beat_at(now), ready=True))
            while not self._stopping and self.engine.deadline() is not None:
                self._turn()
        finally:
            self._release_all()

    def _release_all(self) -> None:
        """Note-offs twice, a moment apart: a JACK client that misses its round loses what it should have carried.

        Not so a clock's stop: to many a sequencer a second one means to go back to the top.
        """
        now = self._clock.now()
        releases = self.engine.silence()
        self._tell(Ended(now, self.engine.beat_at(now)))
        self._send(releases, now)
        if releases:
            self._clock.wait(self._clock.now() + AGAIN_S)
            for event in releases:
                if isinstance(event, NoteOff):
                    self._output.send(encode(event))

    def _turn(self) -> None:
        arrival = self._clock.wait(self._wake())
        now = self._clock.now()
        if arrival is not None:
            self._take(arrival, now)
        if self._stopping:
            return  # nothing more is struck, and nothing is worth choosing
        self._play(self.engine.advance(now))
        ready = self._clock.idle()
        if ready:
            self._get_ready(now)
        self._tell(Woke(now, self.engine.beat_at(now), ready))
        self.status = self.engine.status(now)
        self.turns += 1

    def _wake(self) -> float:
        latest = self._clock.now() + LONGEST_SLEEP_S
        deadline = self.engine.deadline()
        return latest if deadline is None else min(deadline, latest)

    def _take(self, arrival: Arrival, now: float) -> None:
        if arrival.item is None:
            self._stopping = True
            return
        second = min(arrival.second, now)
        self._play(self.engine.advance(second))
        self._tell(Arrived(second, self.engine.beat_at(second), arrival.item))
        self._send(self.engine.receive(arrival.item, second), second)

    def _play(self, due: Iterable[Due]) -> None:
        bars = []
        for each in due:
            if isinstance(each.what, BarPlayed):
                bars.append(each.what)
            else:
                self._output.send(encode(each.what))
                self._tell(Sent(each.second, each.beat, each.what))
        for bar in bars:
            self._tell(bar)
            self._tidy = True

    def _send(self, events: Iterable[Event], second: float) -> None:
        for event in events:
            self._output.send(encode(event))
            self._tell(Sent(second, self.engine.beat_at(second), event))

    def _get_ready(self, now: float) -> None:
        self.engine.prepare(now)
        deadline = self.engine.deadline()
        if self._tidy and deadline is not None and deadline - self._clock.now() > self._collect_s:
            self._tidy = False
            gc.collect()

    _tidy = False  # a bar has passed since garbage was last collected
