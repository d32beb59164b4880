# SPDX-License-Identifier: Apache-2.0
"""The pure machine that plays: time goes in, events that are due come out.

`receive` takes what is heard and asked for; `advance` yields what is due; `deadline` says when to call again. Nothing
here reads a clock, sends a byte or waits. Live play, rendering and the tests drive this same engine.

The schedule is a heap keyed by *beat*, so a tempo change moves nothing in it; equal beats keep their order, and at the
same beat a note-off goes before anything else. `prepare` makes the next choice ahead of its time, when the caller has
nothing better to do; an onset that comes due unprepared is chosen then and there, and is the same.

With a `Transport` the beats are those of somebody else's clock. While that does not roll, nothing is due and nothing
that is played is heard. Our beats never go back: where the music moves to another place, they go on from the next one
that lies the same way in its bar, and the chart is moved under them.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from sideman.core.chart import Chart
from sideman.core.clockfilter import TICKS_A_BEAT
from sideman.core.clockout import AHEAD_TICKS, ClockOut, next_sixteenth
from sideman.core.events import (
    Change,
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    Control,
    Event,
    Hush,
    NoteOff,
    NoteOn,
    Panic,
    SetChart,
    SetTempo,
    SongPosition,
    Timing,
)
from sideman.core.improviser import PULSES, Choice, Improviser
from sideman.core.ledger import Ledger, hush
from sideman.core.listener import Listener
from sideman.core.reports import BarPlayed, Changed, Doing, Heard, Struck, Tell, nobody
from sideman.core.settings import Settings, changed
from sideman.core.smoothing import NARROWEST
from sideman.core.status import Status
from sideman.core.tempo import Tempo, default_swing, swung, unswung
from sideman.core.transport import ALONE, Clocks, Transport
from sideman.core.tune import Tune
from sideman_models.postprocess import in_turn
from sideman_models.values import TICKS

TAKE_BACK_S = 0.003
"""A choice is taken back for a note heard at least so many seconds before its onset: time enough to choose anew."""

_ALMOST = 1e-9  # beats; what arithmetic may leave between a deadline and the beat it was computed from
_RELEASE, _CLOCK, _BAR_LINE, _ONSET = range(4)


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


@dataclass(frozen=True, slots=True)
class _Tick:
    number: int  # from beat 0
    begins: bool  # what is due is not the tick, but the word that it is the next


_Item = _Release | _ReleaseAll | _BarLine | _Tick | Choice


@dataclass(order=True, slots=True)
class _Scheduled:
    beat: float
    rank: int
    serial: int
    what: _Item = field(compare=False)


class Engine:
    """Plays from beat `start` (a bar line) on, which falls on `second`; `end` is the beat it stops at (None: never).

    Where a clock is followed, that says when; where one is sent, it is among what is due.
    """

    def __init__(
        self,
        settings: Settings,
        tune: Tune,
        improviser: Improviser,
        *,
        second: float,
        start: float = 0.0,
        end: float | None = None,
        clocks: Clocks = ALONE,
    ) -> None:
        self.settings = settings
        self.tune = tune
        self.tempo = Tempo(settings.tempo.bpm, second, start)
        self.bar_ticks = round(tune.chart.meter.quarters * TICKS)
        self.improviser = improviser
        self.listener = Listener(settings.midi.listen, settings.midi.echo_ms / 1000)
        self.ledger = Ledger(settings.midi.channel)
        self.end = end
        self.late, self.heard, self.played = 0, 0, 0
        self.tell: Tell = nobody
        self._serial = count()
        self._heap: list[_Scheduled] = []
        self._start = start
        self._top = 0.0  # the beat on which the music begins, as its clock counts
        self._reached = start
        self._transport = clocks.followed
        self._clock_out = ClockOut() if clocks.sent else None
        self._due_tick: _Tick | None = None  # any other in the heap is passed over
        self._next_tick = round(start * TICKS)
        self._choice: Choice | None = None
        self._played: list[Choice] = []
        self._struck = -math.inf
        self._schedule(start, _BAR_LINE, _BarLine(round(self._next_tick / self.bar_ticks)))
        if clocks.followed is None:
            self._schedule_clock(round(start * TICKS_A_BEAT), begins=True)

    # -- time

    @property
    def _late_s(self) -> float:
        return self.settings.play.late_ms / 1000

    @property
    def _offset_s(self) -> float:
        return self.settings.play.offset_ms / 1000

    @property
    def _apart(self) -> float:
        return min(self.improviser.rules.apart, NARROWEST)

    @property
    def swing(self) -> float:
        """How far into its beat the second eighth falls."""
        swing = self.settings.play.swing
        return default_swing(self.tempo.bpm) if swing is None else swing

    def deadline(self) -> float | None:
        """The second when something is next due, or None when nothing ever will be; infinite while nobody knows.

        Whoever follows a clock is never done: after the last chorus it may be started anew.
        """
        lost = math.inf if self._transport is None else self._transport.ends_at()
        if not self._rolls:
            return lost
        beats = [self._heap[0].beat] if self._heap else []
        if self._choice is None and self._plays():
            beats.append(self._sounds_at(self._next_tick))
        if not beats:
            return None if self._transport is None else lost
        return min(self._second_of(min(beats)), lost)

    @property
    def _rolls(self) -> bool:
        return self._transport is None or self._transport.rolling

    def beat_at(self, second: float) -> float:
        """The beat at `second`; while the music is halted, where it was."""
        return self.tempo.beat_at(second) if self._rolls else self._reached

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
                if self._transport is None:
                    self.tempo = self.tempo.changed(bpm, second)
            case SetChart(chart):
                self._take_over(chart, second)
            case Change(values):
                self._change(values, second)
            case NoteOn() | NoteOff() | Control():
                self._hear(item, second)
            case ClockTick() | ClockStart() | ClockContinue() | ClockStop() | SongPosition():
                return self._follow(item, second)
        return []

    def _change(self, values: tuple[tuple[str, object], ...], second: float) -> None:
        """Let other settings hold, from the next value on that there is still time to choose."""
        bpm, rate = self.settings.tempo.bpm, self.settings.play.rate
        self.settings = changed(self.settings, values)
        if self.settings.tempo.bpm != bpm and self._transport is None:
            self.tempo = self.tempo.changed(self.settings.tempo.bpm, second)
        if self._plays():
            self._heed(second)
        self.improviser.adopt(self.settings.play)
        if self._choice is None and self.settings.play.rate != rate:
            self._next_tick = self._next_pulse(self._next_tick, PULSES.get(self.settings.play.rate, 1))
        self.tell(Changed(values))

    def _hear(self, event: Event, second: float) -> None:
        heard = self.listener.hears(event, second)
        if heard is None or not self._rolls:
            return
        if self._plays():
            self._heed(second)
        tick = self._unswung(self.tempo.beat_at(second))
        if isinstance(heard, NoteOn):
            self.heard += 1
            self.improviser.hear(tick, heard.pitch)
        else:
            self.improviser.hear_release(tick, heard.pitch)
        self.tell(Heard(self.tempo.beat_at(second), heard))

    def _heed(self, second: float) -> None:
        """Let what is heard at `second` count for the next choice, unless that is too near: then it stands."""
        onset = self._second_of(self._sounds_at(self._next_tick))
        if onset - second >= TAKE_BACK_S:
            self._take_back()
        else:
            self.prepare(second)

    def _take_over(self, chart: Chart, second: float) -> None:
        bar = self.bar_ticks / TICKS
        beat = math.ceil(self.beat_at(second) / bar - _ALMOST) * bar
        self.tune.change(chart, beat)
        self._schedule(beat, _RELEASE, _ReleaseAll())
        self._take_back()

    def _take_back(self) -> None:
        # Its entry stays in the heap and is passed over when its time comes.
        self._choice = None

    # -- somebody else's clock

    def _follow(self, item: Timing, second: float) -> list[Event]:
        """Take in a message of the clock; returns what to send at once."""
        if self._transport is None:
            return []
        rolled, reached = self._transport.rolling, self.tempo.beat_at(second)
        self._transport.hear(item, second)
        sent = self._halt(reached) if rolled and not self._transport.rolling else []
        if not self._transport.rolling:
            return sent
        line = self._transport.line
        if self._transport.moved:
            self._transport.moved = False
            self._move(line.beat)
        self.tempo = Tempo(line.bpm, line.second, line.beat + self._top)
        return sent if rolled else [*sent, *self._begin_clock(self._transport.tick)]

    def _lose(self, transport: Transport) -> Iterator[Due]:
        second, rolled = transport.ends_at(), transport.rolling
        transport.lose()
        beat = self.tempo.beat_at(second)
        yield from (Due(beat, second, event) for event in (self._halt(beat) if rolled else ()))

    def _halt(self, reached: float) -> list[Event]:
        self._reached = max(self._reached, reached)
        self._due_tick = None
        return self.silence()

    def _move(self, place: float) -> None:
        """Go on from `place`, in beats from the top of the music."""
        bar = self.bar_ticks / TICKS
        top = max(0, math.ceil((self._reached - place) / bar - _ALMOST)) * bar
        if self.end is not None:
            self.end += top - self._top
        self._top, self._start = top, place + top
        self.tune.move(top)
        self._take_back()
        self._heap.clear()  # all notes have been released
        self._played = []
        line = math.ceil(self._start / bar - _ALMOST)
        self._schedule(line * bar, _BAR_LINE, _BarLine(line))
        pulse = PULSES.get(self.settings.play.rate, TICKS)
        self._next_tick = self._next_pulse(self._start * TICKS - _ALMOST, pulse)

    # -- the clock we send

    def _begin_clock(self, place: int) -> list[Event]:
        """What to send before the tick `place`, counted from the top of the music; from there on ticks are due."""
        if self._clock_out is None:
            return []
        number = place + round(self._top * TICKS_A_BEAT)
        self._schedule_clock(number, begins=False)
        return self._clock_out.begin(place)

    def _schedule_clock(self, number: int, *, begins: bool) -> None:
        if self._clock_out is not None and (self.end is None or number < self.end * TICKS_A_BEAT):
            beat = (number - AHEAD_TICKS if begins else number) / TICKS_A_BEAT
            self._due_tick = _Tick(number, begins)
            self._schedule(beat, _CLOCK, self._due_tick)

    def _clock_falls_due(self, tick: _Tick, second: float) -> list[Event]:
        """What to send for `tick`. After a stop of the machine the clock ends, to begin anew at a place it tells."""
        if self._clock_out is None:
            return []
        number = tick.number
        if tick.begins:
            return self._begin_clock(number - round(self._top * TICKS_A_BEAT))
        now = math.floor(self._beat_of(second) * TICKS_A_BEAT)
        if now - number > TICKS_A_BEAT:
            self._schedule_clock(next_sixteenth(now), begins=True)
            return self._clock_out.end()
        self._schedule_clock(number + 1, begins=False)
        return [ClockTick()]

    # -- what is due

    def advance(self, second: float) -> Iterator[Due]:
        """Yield all that is due up to `second`, in order. To be exhausted: what it has not yielded stays due."""
        if self._transport is not None and second >= self._transport.ends_at():
            yield from self._lose(self._transport)
        if not self._rolls:
            return
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
            case _Tick() as tick if tick is self._due_tick:
                events = self._clock_falls_due(tick, second)
                yield from (Due(item.beat, meant, event) for event in events)
            case Choice() as choice if choice is self._choice:
                yield from self._play(choice, item.beat, meant, second)
            case _:
                return  # an onset, or a tick, that was taken back

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
            ends = self._ends_at(choice, beat)
            self._schedule(ends, _RELEASE, _Release(NoteOff(note.pitch, note.channel), strike))
            self.tell(Struck(beat, ends - beat, note, "solo", choice.value))
            self.played += 1
            self._struck = beat
        self._played.append(choice)
        self.improviser.played(choice)

    def _bar_line(self, beat: float, bar: int, second: float) -> Iterator[Due]:
        if self._played or (self._plays_through and beat > self._start):
            before = beat - self.bar_ticks / TICKS
            number = bar - round(self._top * TICKS / self.bar_ticks)
            played = BarPlayed(number, self.tune.chords_in_bar(before), tuple(self._played))
            yield Due(beat, self._second_of(beat), played)
            self._played = []
        # After a stop of the machine, go on from the bar that is really sounding.
        bar = max(bar + 1, math.floor(self._beat_of(second) * TICKS / self.bar_ticks))
        if self.end is None or bar * self.bar_ticks <= self.end * TICKS:
            self._schedule(bar * self.bar_ticks / TICKS, _BAR_LINE, _BarLine(bar))

    def silence(self) -> list[Event]:
        """The note-offs of all that sounds, and the end of our clock: what must be sent before the engine is left."""
        return [*self.ledger.release_all(), *(self._clock_out.end() if self._clock_out else ())]

    def status(self, second: float) -> Status:
        """How it stands at `second`."""
        beat, coming, play = self.beat_at(second), self._choice, self.settings.play
        sounding = math.floor(max(beat, self._start) * TICKS + _ALMOST) / TICKS
        return Status(
            second=second,
            beat=beat - self._top,
            bar=math.floor((beat - self._top) * TICKS / self.bar_ticks + _ALMOST) + 1,
            top=self._top,
            charts=self.tune.charts,
            bpm=self.tempo.bpm,
            rolling=self._rolls,
            mode=play.mode,
            doing=self._doing,
            chord=self.tune.chord_at(sounding),
            chord_next=self.tune.next_change(sounding)[0],
            coming=coming,
            coming_beat=math.nan if coming is None else self._sounds_at(coming.tick) - self._top,
            seed=self.improviser.dice.seed,
            late=self.late,
            heard=self.heard,
            echoes=self.listener.echoes,
            played=self.played,
            settings=self.settings,
        )

    @property
    def _doing(self) -> Doing:
        if not self._rolls:
            return "idle"
        return "playing" if self._plays() else "listening"

    # -- what comes next

    @property
    def _plays_through(self) -> bool:
        return self.settings.play.mode != "off"

    def _plays(self) -> bool:
        return self._plays_through and (self.end is None or self._next_tick < self.end * TICKS)

    def prepare(self, second: float) -> None:
        """Choose for the next onset, if that is not done; one already too late is passed over with all before it."""
        if self._choice is not None or not self._rolls or not self._plays():
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

    def _schedule(self, beat: float, rank: int, what: _Item) -> None:
        heapq.heappush(self._heap, _Scheduled(beat, rank, next(self._serial), what))


def play_through(engine: Engine) -> Iterator[Due]:
    """All that `engine` plays to its end, each event at its very second."""
    while (second := engine.deadline()) is not None:
        yield from engine.advance(second)
