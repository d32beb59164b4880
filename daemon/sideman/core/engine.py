# SPDX-License-Identifier: Apache-2.0
"""The pure machine that plays: time goes in, events that are due come out.

`receive` takes what is heard and asked for; `advance` yields what is due; `deadline` says when to call again. Nothing
here reads a clock, sends a byte or waits. Live play, rendering and the tests drive this same engine.

The schedule is a heap keyed by *beat*, so a tempo change moves nothing in it; equal beats keep their order, and at the
same beat a note-off goes before anything else. `prepare` makes the next choice ahead of its time, when the caller has
nothing better to do; an onset that comes due unprepared is chosen then and there, and is the same.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from sideman.core.chart import Chart
from sideman.core.events import Command, Control, Event, Hush, NoteOff, NoteOn, Panic, SetChart, SetTempo
from sideman.core.improviser import PULSES, Choice, Improviser
from sideman.core.ledger import Ledger, hush
from sideman.core.listener import Listener
from sideman.core.settings import Settings
from sideman.core.smoothing import NARROWEST
from sideman.core.tempo import Tempo, default_swing, swung, unswung
from sideman.core.tune import Tune
from sideman_models.harmony import Chord
from sideman_models.postprocess import in_turn
from sideman_models.values import TICKS

TAKE_BACK_S = 0.003
"""A choice is taken back for a note heard at least so many seconds before its onset: time enough to choose anew."""

_ALMOST = 1e-9  # beats; what arithmetic may leave between a deadline and the beat it was computed from
_RELEASE, _BAR_LINE, _ONSET = range(3)


@dataclass(frozen=True, slots=True)
class BarPlayed:
    """A bar that is over: its number from 1, its chords, and what was played in it."""

    number: int
    chords: tuple[Chord, ...]
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """An event, or the report of a bar, with the beat and the second it was meant for."""

    beat: float
    second: float
    what: Event | BarPlayed


@dataclass(frozen=True, slots=True)
class _Release:
    note: NoteOff
    strike: int


@dataclass(frozen=True, slots=True)
class _ReleaseAll:
    pass


@dataclass(frozen=True, slots=True)
class _BarLine:
    bar: int


@dataclass(order=True, slots=True)
class _Scheduled:
    beat: float
    rank: int
    serial: int
    what: _Release | _ReleaseAll | _BarLine | Choice = field(compare=False)


class Engine:
    """Plays from beat `start` (a bar line) on, which falls on `second`; `end` is the beat it stops at (None: never)."""

    def __init__(
        self,
        settings: Settings,
        tune: Tune,
        improviser: Improviser,
        *,
        second: float,
        start: float = 0.0,
        end: float | None = None,
    ) -> None:
        self.settings = settings
        self.tune = tune
        self.tempo = Tempo(settings.tempo.bpm, second, start)
        self.bar_ticks = round(tune.chart.meter.quarters * TICKS)
        self.improviser = improviser
        self.listener = Listener(settings.midi.listen, settings.midi.echo_ms / 1000)
        self.ledger = Ledger(settings.midi.channel)
        self.end = end
        self.late = 0
        self._late_s = settings.play.late_ms / 1000
        self._offset_s = settings.play.offset_ms / 1000
        self._apart = min(improviser.rules.apart, NARROWEST)
        self._serial = count()
        self._heap: list[_Scheduled] = []
        self._start = start
        self._next_tick = round(start * TICKS)
        self._choice: Choice | None = None
        self._played: list[Choice] = []
        self._struck = -math.inf
        self._schedule(start, _BAR_LINE, _BarLine(round(self._next_tick / self.bar_ticks)))

    # -- time

    @property
    def swing(self) -> float:
        """How far into its beat the second eighth falls."""
        swing = self.settings.play.swing
        return default_swing(self.tempo.bpm) if swing is None else swing

    def deadline(self) -> float | None:
        """The second when something is next due, or None when nothing ever will be."""
        beats = [self._heap[0].beat] if self._heap else []
        if self._choice is None and self._plays():
            beats.append(self._sounds_at(self._next_tick))
        return self._second_of(min(beats)) if beats else None

    def _beat_of(self, second: float) -> float:
        return self.tempo.beat_at(second - self._offset_s)

    def _second_of(self, beat: float) -> float:
        return self.tempo.second_at(beat) + self._offset_s

    # -- what is heard and asked for

    def receive(self, item: Event | Command, second: float) -> list[Event]:
        """Take in a note heard, or a command, at `second`; returns what to send at once. `advance` to it first."""
        match item:
            case Panic():
                return self.ledger.panic()
            case Hush(channel):
                return hush(channel)
            case SetTempo(bpm):
                self.tempo = self.tempo.changed(bpm, second)
            case SetChart(chart):
                self._take_over(chart, second)
            case NoteOn() | NoteOff() | Control():
                self._hear(item, second)
        return []

    def _hear(self, event: Event, second: float) -> None:
        heard = self.listener.hears(event, second)
        if heard is None:
            return
        if self._plays():
            self._heed(second)
        tick = self._unswung(self.tempo.beat_at(second))
        if isinstance(heard, NoteOn):
            self.improviser.hear(tick, heard.pitch)
        else:
            self.improviser.hear_release(tick, heard.pitch)

    def _heed(self, second: float) -> None:
        """Let what is heard at `second` count for the next choice, unless that is too near: then it stands."""
        onset = self._second_of(self._sounds_at(self._next_tick))
        if onset - second >= TAKE_BACK_S:
            self._take_back()
        else:
            self.prepare(second)

    def _take_over(self, chart: Chart, second: float) -> None:
        bar = self.bar_ticks / TICKS
        beat = math.ceil(self.tempo.beat_at(second) / bar - _ALMOST) * bar
        self.tune.change(chart, beat)
        self._schedule(beat, _RELEASE, _ReleaseAll())
        self._take_back()

    def _take_back(self) -> None:
        # Its entry stays in the heap and is passed over when its time comes.
        self._choice = None

    # -- what is due

    def advance(self, second: float) -> Iterator[Due]:
        """Yield all that is due up to `second`, in order. To be exhausted: what it has not yielded stays due."""
        beat = self._beat_of(second) + _ALMOST
        while True:
            if self._choice is None and self._plays() and self._sounds_at(self._next_tick) <= beat:
                self.prepare(second)
            if not self._heap or self._heap[0].beat > beat:
                return
            yield from self._falls_due(heapq.heappop(self._heap), second)

    def _falls_due(self, item: _Scheduled, second: float) -> Iterator[Due]:
        meant = self._second_of(item.beat)
        match item.what:
            case _Release(note, strike):
                yield from (Due(item.beat, meant, event) for event in self.ledger.release(note, strike))
            case _ReleaseAll():
                yield from (Due(item.beat, meant, event) for event in self.ledger.release_all())
            case _BarLine(bar):
                yield from self._bar_line(item.beat, bar, second)
            case Choice() as choice if choice is self._choice:
                yield from self._play(choice, item.beat, meant, second)
            case _:
                return  # an onset that was taken back

    def _play(self, choice: Choice, beat: float, meant: float, second: float) -> Iterator[Due]:
        self._choice = None
        self._next_tick = choice.tick + choice.length
        if choice.pitch is not None and second - meant > self._late_s:
            self.late += 1
            self.improviser.missed(choice)
            return
        if choice.pitch is not None:
            note = NoteOn(choice.pitch, choice.velocity, self.settings.midi.channel)
            strike, events = self.ledger.strike(note)
            yield from (Due(beat, meant, event) for event in events)
            self.listener.sent(note, second)
            self._schedule(self._ends_at(choice, beat), _RELEASE, _Release(NoteOff(note.pitch, note.channel), strike))
            self._struck = beat
        self._played.append(choice)
        self.improviser.played(choice)

    def _bar_line(self, beat: float, bar: int, second: float) -> Iterator[Due]:
        if self._played or (self._plays_through and beat > self._start):
            before = beat - self.bar_ticks / TICKS
            yield Due(beat, self._second_of(beat), BarPlayed(bar, self.tune.chords_in_bar(before), tuple(self._played)))
            self._played = []
        # After a stop of the machine, go on from the bar that is really sounding.
        bar = max(bar + 1, math.floor(self._beat_of(second) * TICKS / self.bar_ticks))
        if self.end is None or bar * self.bar_ticks <= self.end * TICKS:
            self._schedule(bar * self.bar_ticks / TICKS, _BAR_LINE, _BarLine(bar))

    def silence(self) -> list[Event]:
        """The note-offs of all that sounds: what must be sent before the engine is left."""
        return self.ledger.release_all()

    # -- what comes next

    @property
    def _plays_through(self) -> bool:
        return self.settings.play.mode != "off"

    def _plays(self) -> bool:
        return self._plays_through and (self.end is None or self._next_tick < self.end * TICKS)

    def prepare(self, second: float) -> None:
        """Choose for the next onset, if that is not done; one already too late is passed over with all before it."""
        if self._choice is not None or not self._plays():
            return
        if second - self._second_of(self._sounds_at(self._next_tick)) > self._late_s:
            pulse = PULSES.get(self.settings.play.rate, TICKS)
            self._next_tick = self._next_pulse(self._beat_of(second) * TICKS, pulse)
            self.late += 1
            if not self._plays():
                return
        self._choice = self.improviser.choose(self._next_tick)
        self._schedule(self._sounds_at(self._choice.tick), _ONSET, self._choice)

    def _next_pulse(self, tick: float, pulse: int) -> int:
        """The first pulse at or after `tick`; there is one on every bar line."""
        bar = math.floor(tick / self.bar_ticks) * self.bar_ticks
        return bar + min(math.ceil((tick - bar) / pulse) * pulse, self.bar_ticks)

    def _swung(self, tick: int) -> float:
        """The beat on which the written `tick` sounds. Swing begins anew at each bar line, be the bar of odd length."""
        bar, place = divmod(tick, self.bar_ticks)
        return bar * self.bar_ticks / TICKS + swung(place, self.swing)

    def _unswung(self, beat: float) -> float:
        bar = math.floor(beat * TICKS / self.bar_ticks)
        return bar * self.bar_ticks + unswung(beat - bar * self.bar_ticks / TICKS, self.swing)

    def _sounds_at(self, tick: int) -> float:
        # Triplets stay where swung sixteenths move, so two onsets of one beat could meet, or change places.
        return in_turn(self._swung(tick), self._struck, self._apart)

    def _ends_at(self, choice: Choice, beat: float) -> float:
        """The beat of the note-off: `gate` of the time to the next onset, and never beyond the end."""
        written = choice.length
        until = max(self._swung(choice.tick + written), beat + NARROWEST)
        ends = beat + (until - beat) * self.improviser.sounding(written) / written
        return ends if self.end is None else min(ends, self.end)

    def _schedule(self, beat: float, rank: int, what: _Release | _ReleaseAll | _BarLine | Choice) -> None:
        heapq.heappush(self._heap, _Scheduled(beat, rank, next(self._serial), what))


def play_through(engine: Engine) -> Iterator[Due]:
    """All that `engine` plays to its end, each event at its very second."""
    while (second := engine.deadline()) is not None:
        yield from engine.advance(second)
