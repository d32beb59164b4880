# SPDX-License-Identifier: Apache-2.0
"""The only loop that plays: wait for an arrival until just before the next deadline, then send what is due.

A processor that has slept is slow at first: what is due takes many times as long to find out as when it is awake. So
the player wakes a moment ahead, finds it out, and sleeps again, to the very second.

It owns the engine, and with it the network's state, the dice and the ledger; it alone sends. Whatever ends it, every
note that sounds is released first.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable
from typing import Protocol

from sideman.core.engine import Engine
from sideman.core.events import (
    Advanced,
    BarPlayed,
    EventSent,
    InputReceived,
    MidiEvent,
    NoteOff,
    PlayerEnded,
    ReportSink,
    encode,
)
from sideman.playing.inbox import Arrival, Clock

MAX_SLEEP_S = 1.0
"""The player wakes at least so often: this is the progress that feeds the watchdog."""
WAKE_AHEAD_S = 0.001
"""What is due is found out so long before its second; what arrives meanwhile is taken in once it is sent."""
SECOND_RELEASE_S = 0.015
_COLLECT_S = 0.02  # time to the next deadline in which garbage may be collected
_COLLECT_WITH_CLOCK_S = 0.005  # the same where there is a deadline every few milliseconds


class MidiOutput(Protocol):
    """Where the notes go."""

    def send(self, message: tuple[int, ...]) -> object:
        """Send one MIDI message; must not block."""
        ...


class Player:
    """Plays `engine` on `output` in the time of `clock`, telling `on_report` of all that comes in and goes out.

    `snapshot` is how it stood after its last turn; `sends_at` the second when something may be sent, infinite once it
    is.
    """

    def __init__(self, engine: Engine, output: MidiOutput, clock: Clock, on_report: ReportSink) -> None:
        self.engine = engine
        self.engine.report = on_report
        self.snapshot = engine.snapshot(clock.now())
        self.sends_at = math.inf
        self.turn_count = 0
        self._output = output
        self._clock = clock
        self._on_report = on_report
        self._played_to_s = -math.inf  # the second up to which the engine has played
        self._stopping = False
        self._collect_s = _COLLECT_WITH_CLOCK_S if engine.settings.tempo.clock_out else _COLLECT_S

    def run(self) -> None:
        """Play until asked to stop or until the end; then, or after any exception, release every note."""
        try:
            now = self._played_to_s = self._clock.now()
            self._send(self.engine.open(now), now)
            self.engine.prepare(now)
            self._on_report(Advanced(now, self.engine.beat_at(now), prepared=True))
            while not self._stopping and (deadline := self.engine.deadline()) is not None:
                self._run_turn(deadline)
        finally:
            self._release_all()

    def _release_all(self) -> None:
        """Note-offs twice, a moment apart: a JACK client that misses its round loses what it should have carried.

        Not so a clock's stop: to many a sequencer a second one means to go back to the top.
        """
        # Music that ends by itself ends at that second, whenever it is found out: played again it is the same.
        now = self._now() if self._stopping else self._played_to_s
        releases = self.engine.silence()
        self._on_report(PlayerEnded(now, self.engine.beat_at(now)))
        self._clock.sleep(now)
        self._send(releases, now)
        if releases:
            self._clock.wait(self._clock.now() + SECOND_RELEASE_S)
            for event in releases:
                if isinstance(event, NoteOff):
                    self._output.send(encode(event))

    def _run_turn(self, deadline: float) -> None:
        self.sends_at = deadline
        now = self._wait(min(deadline, self._now() + MAX_SLEEP_S))
        if self._stopping:
            return  # nothing more is struck, and nothing is worth choosing
        self._play_until(now)
        if now >= deadline:
            self.sends_at = math.inf
        ready = self._clock.is_idle()
        if ready:
            self._prepare_ahead(now)
        self._on_report(Advanced(now, self.engine.beat_at(now), ready))
        self.snapshot = self.engine.snapshot(now)
        self.turn_count += 1

    def _wait(self, until: float) -> float:
        """Take in what arrives, or wait until just before `until`; the second to play up to."""
        arrival = self._clock.wait(until - WAKE_AHEAD_S)
        now = self._now()
        if arrival is None:
            return max(now, self._clock.woken_at(until))
        self._receive(arrival, now)
        return now

    def _now(self) -> float:
        """The second it is, for whoever has played some of it ahead."""
        return max(self._clock.now(), self._played_to_s)

    def _receive(self, arrival: Arrival, now: float) -> None:
        if arrival.item is None:
            self._stopping = True
            return
        second = min(arrival.second, now)
        self._play_until(second)
        self._on_report(InputReceived(second, self.engine.beat_at(second), arrival.item))
        self._send(self.engine.receive(arrival.item, second), second)

    def _play_until(self, until: float) -> None:
        """Send all that is due up to the second `until`, and not before it."""
        self._played_to_s = max(self._played_to_s, until)
        bars = []
        for each in self.engine.advance(until):
            if isinstance(each.item, BarPlayed):
                bars.append(each.item)
            else:
                message = encode(each.item)
                self._clock.sleep(until)
                self._output.send(message)
                self._on_report(EventSent(each.second, each.beat, each.item))
        for bar in bars:
            self._on_report(bar)
            self._garbage_pending = True

    def _send(self, events: Iterable[MidiEvent], second: float) -> None:
        for event in events:
            self._output.send(encode(event))
            self._on_report(EventSent(second, self.engine.beat_at(second), event))

    def _prepare_ahead(self, now: float) -> None:
        self.engine.prepare(now)
        deadline = self.engine.deadline()
        if self._garbage_pending and deadline is not None and deadline - self._clock.now() > self._collect_s:
            self._garbage_pending = False
            gc.collect()

    _garbage_pending = False  # a bar has passed since garbage was last collected
