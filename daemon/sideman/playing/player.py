# SPDX-License-Identifier: Apache-2.0
"""The only real-time loop: waits for an arrival until just before the next deadline, then sends what the engine plays.

A processor that has slept is slow at first: asking the engine then takes many times as long. So the player wakes
`WAKE_AHEAD_S` before the deadline, asks the engine, and sleeps again until the exact second.

The player owns the engine, and is the only one that sends notes. However it ends, it releases every sounding note.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec import Struct

from sideman.core import events
from sideman.core.engine import Engine
from sideman.core.engine_memory import EngineMemory
from sideman.core.events import MidiEvent, ReportSink, encode
from sideman.core.settings.schema import Settings
from sideman.playing.inbox import URGENT, Clock
from sideman.playing.overload import Arrival
from sideman_models.music.values import TICKS_PER_QUARTER

MAX_SLEEP_S = 1.0
"""The longest wait: the watchdog is fed only while the player wakes again and again."""
WAKE_AHEAD_S = 0.001
"""How long before a deadline the player wakes; what has not been taken in by then is taken in after sending."""
GATHER_S = 0.003
"""How long the soloist waits for more, after a key was struck or released, before it chooses again: hands strike
chords, and a key is often released as the next is struck. What comes in while it chooses has to wait."""
TIME_TO_CHOOSE_S = 0.01
"""It waits only if its next onset is further away."""
_MUSIC = events.MidiEvent | events.ClockInput  # commands are carried out, and shown, at once
SECOND_RELEASE_S = 0.015
"""The time between the first and the second release of the notes at the end."""
_COLLECT_S = 0.02  # garbage is collected if the next deadline is further away
_COLLECT_WITH_CLOCK_S = 0.005  # the same while a MIDI clock is sent, with a deadline every few milliseconds


class MidiOutput(Protocol):
    """Takes MIDI messages."""

    def send(self, message: tuple[int, ...]) -> object:
        """Send one MIDI message; must not block."""


class PortsOutput(MidiOutput, Protocol):
    """An output that may have several ports."""

    def send_to(self, port_id: str, message: tuple[int, ...]) -> object:
        """Send one MIDI message to the port that a command of `ForOnePort` names; must not block."""


class Remembered(Struct, frozen=True):
    """What a restart needs: the memory of the engine, and the settings in force."""

    memory: EngineMemory
    settings: Settings


class Player:
    """Plays `engine` on `output` in the time of `clock`, and passes all reports to `on_report`.

    `snapshot` is the state of the engine after the last time it woke; `wake_count` counts these times. `sends_at` is
    the second at which something may be sent, infinite after it was sent. `remembered` is what a restart needs: it is
    left before the first beat, at the half of each bar, while the music stands after each change, and at the end unless
    that is a failure; `on_remembered` is called each time. Only while `reports_plan` (or `reports_choices`) is set by
    any thread, changes of the plan and when each note was sent (and the choices of the soloist) are reported.
    """

    def __init__(
        self,
        engine: Engine,
        output: PortsOutput,
        clock: Clock,
        on_report: ReportSink,
        on_remembered: Callable[[], None] = lambda: None,
    ) -> None:
        self.engine = engine
        self.engine.report = on_report
        self.snapshot = engine.snapshot(clock.now())
        self.sends_at = math.inf
        self.wake_count = 0
        self.remembered: Remembered | None = None
        self.reports_plan = self.reports_choices = False
        self._on_remembered = on_remembered
        self._plan: tuple[events.PlannedNote, ...] = ()  # as it was reported last
        self._choice: events.Choice | None = None  # whose options were reported last
        self._remembered_at: tuple[int, Settings | None] | None = None
        self._half_beat = math.inf  # of the bar that plays, until a memory is left there
        self._choose_at = math.inf  # the second up to which the soloist waits for more before it chooses
        self._output, self._clock, self._on_report = output, clock, on_report
        self._played_to_s = -math.inf  # the second up to which the engine has played
        self._stopping = False
        self._garbage_pending = False  # a bar has passed since garbage was collected
        self._collect_s = _COLLECT_WITH_CLOCK_S if engine.settings.tempo.clock_out else _COLLECT_S

    def run(self) -> None:
        """Play until the end, or until asked to stop; then, and after any exception, release every note."""
        try:
            now = self._played_to_s = self._clock.now()
            self._send(self.engine.open(now), now)
            self.engine.prepare(now)
            self._remember_each_bar(now)
            self._on_report(events.Advanced(now, self.engine.beat_at(now), prepared=True))
            while not self._stopping and (deadline := self.engine.deadline()) is not None:
                self._wake_once(deadline)
        finally:
            self._release_all()
        self._remember()

    def _release_all(self) -> None:
        """Send every note-off twice, a moment apart, because a JACK client that misses its round loses its messages.

        A clock stop is sent once: many sequencers go back to the top at a second one.
        """
        # Music that ends by itself ends at the second up to which it was played, so that a replay ends there too.
        now = self._now() if self._stopping else self._played_to_s
        releases = self.engine.silence()
        self._on_report(events.PlayerEnded(now, self.engine.beat_at(now)))
        self._clock.sleep(now)
        self._send(releases, now)
        if releases:
            self._clock.sleep(self._clock.now() + SECOND_RELEASE_S)
            for event in releases:
                if isinstance(event, events.NoteOff):
                    self._output.send(encode(event))

    def _wake_once(self, deadline: float) -> None:
        self.sends_at = deadline
        now = self._now()
        half_s = self.engine.timeline.second_at(self._half_beat)
        until, wake_s = deadline, deadline - WAKE_AHEAD_S
        quiet_s = min(now + MAX_SLEEP_S, self._choose_at, half_s if half_s > now else math.inf)
        if quiet_s < wake_s:  # nothing is sent then
            until = wake_s = quiet_s
        arrival = self._clock.wait(wake_s)
        now = self._now()
        if arrival is None:
            now = max(now, self._clock.woken_at(until))
        else:
            self._receive(arrival, now)
        if self._stopping:
            return  # no more notes are to be played or chosen
        if arrival is not None and self._gathers(arrival, now, deadline):
            self.wake_count += 1
            return
        gathers = arrival is None and now < self._choose_at < math.inf  # something else was due meanwhile
        if not gathers:
            self._choose_at = math.inf
        self._play_until(now)
        if now >= deadline:
            self.sends_at = math.inf
        idle = self._clock.is_idle() and not gathers
        if idle:
            self.engine.prepare(now)
            self.engine.work_ahead()
            self._remember_each_bar(now)
            if self._garbage_pending and (next_s := self.engine.deadline()) is not None:
                self._collect_garbage(next_s)
        self._on_report(events.Advanced(now, self.engine.beat_at(now), prepared=idle))
        self.snapshot = self.engine.snapshot(now)
        if idle:
            self._report_plan()
        self.wake_count += 1

    def _gathers(self, arrival: Arrival, now: float, deadline: float) -> bool:
        """Whether to take in first what else has come in, or comes in within `GATHER_S`, unless something is due."""
        item, near_s = arrival.item, now + TIME_TO_CHOOSE_S
        is_key = isinstance(item, events.NoteOn | events.NoteOff)
        if is_key and (deadline > near_s or self.engine.choice_due() > near_s):
            self._choose_at = min(self._choose_at, now + GATHER_S)
        waits = self._choose_at < math.inf and isinstance(item, _MUSIC)
        return item not in URGENT and self._clock.has_more(self._choose_at if waits else now)

    def _collect_garbage(self, next_s: float) -> None:
        """Collect garbage if there is time for it before the deadline `next_s`."""
        if next_s - self._clock.now() > self._collect_s:
            self._garbage_pending = False
            gc.collect()

    def _report_plan(self) -> None:
        """Report what is planned, for those who want to see it, if that has changed."""
        if (plan := self.engine.plan() if self.reports_plan else ()) != self._plan:
            self._plan = plan
            self._on_report(events.PlanChanged(plan))
        choice = self.snapshot.next_choice if self.reports_choices else None
        if choice is not self._choice:
            self._choice = choice
            if (made := self.engine.options()) is not None:
                self._on_report(made)

    def _remember_each_bar(self, now: float) -> None:
        """Leave a memory at the half of each bar: a restart goes on at the next bar line, half a bar away at most.

        A bar that follows one without a memory leaves it at once.
        """
        engine = self.engine
        line, rolling, before = engine.next_bar_line, engine.transport.rolling, self._remembered_at
        at = line, None if rolling else engine.settings
        if at == before:
            return
        start, ticks = engine.chart.bar_at(line - 1)
        self._half_beat = (start + ticks / 2) / TICKS_PER_QUARTER
        if rolling and before is not None and before[0] == start and now < engine.timeline.second_at(self._half_beat):
            return
        self._half_beat, self._remembered_at = math.inf, at
        self._remember()

    def _remember(self) -> None:
        self.remembered = Remembered(self.engine.memory(), self.engine.settings)
        self._on_remembered()

    def _now(self) -> float:
        """Return the second of the clock, but at least the second up to which the engine has played."""
        return max(self._clock.now(), self._played_to_s)

    def _receive(self, arrival: Arrival, now: float) -> None:
        if arrival.item is None:
            self._stopping = True
            return
        second = min(arrival.second, now)
        self._play_until(second)
        self._on_report(events.InputReceived(second, self.engine.beat_at(second), arrival.item))
        sent = self.engine.receive(arrival.item, second)
        if isinstance(arrival.item, events.ForOnePort) and arrival.item.port:
            for event in sent:
                self._output.send_to(arrival.item.port, encode(event))
        else:
            self._send(sent, second)

    def _play_until(self, until: float) -> None:
        """Send everything that the engine plays up to `until`, at that second."""
        self._played_to_s = max(self._played_to_s, until)
        bars = []
        for due in self.engine.advance(until):
            if isinstance(due.item, events.BarPlayed):
                bars.append(due.item)
            else:
                message = encode(due.item)
                self._clock.sleep(until)
                self._output.send(message)
                self._report_sent(due.second, due.beat, due.item)
        for bar in bars:
            self._on_report(bar)
            self._garbage_pending = True

    def _send(self, messages: Iterable[MidiEvent], second: float) -> None:
        for event in messages:
            self._output.send(encode(event))
            self._report_sent(second, self.engine.beat_at(second), event)

    def _report_sent(self, second: float, beat: float, event: MidiEvent) -> None:
        sent_s = self._clock.now()
        self._on_report(events.EventSent(second, beat, event))
        if self.reports_plan and isinstance(event, events.NoteOn | events.NoteOff):
            self._on_report(events.NoteSent(second, sent_s, event))
