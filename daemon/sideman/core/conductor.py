# SPDX-License-Identifier: Apache-2.0
"""When: beats and seconds, the place in the music, its beginning and halting, the clocks that are followed and sent.

The beats of a `Conductor` never go back: where the music moves to another place, they go on from the next one that lies
the same way in its bar (where bars are of several lengths: in its quarter note), and the chart is moved under them.
While the music does not roll, nothing is due and nothing that is played is heard. What is played is the business of the
`Engine`, which is one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from sideman.core.chart.chart import Meter
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.events import (
    ClockMessage,
    ClockTick,
    ControlChange,
    LinkState,
    MidiEvent,
    NoteOn,
    PlayState,
    ProgramChange,
    ReportSink,
    StateChanged,
    ignore_report,
)
from sideman.core.input.quantize import exact_tick
from sideman.core.parts.soloist import Soloist
from sideman.core.schedule import BAR_LINE, ONSET, BarLine, DueItem, Schedule, Strike, Tick
from sideman.core.settings.schema import Settings
from sideman.core.timing.midi_clock import ClockConfig, ClockSource
from sideman.core.timing.midi_clock_out import MidiClockOut, next_sixteenth
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT
from sideman.core.timing.tempo import Tempo, default_swing, swung_beat
from sideman_models.music.context import next_bar_line
from sideman_models.music.values import TICKS_PER_QUARTER

BEGIN_S = 0.1
"""From the word to begin to the first beat, or to the first click."""
CLICK, CLICK_BEATS = 37, 0.1
"""The side stick of a General MIDI drum kit, and how long it is held."""
ACCENT, PLAIN = 112, 80
"""The velocities of the first click of a bar and of the others."""

LAMP: dict[PlayState, int] = {"idle": 0, "listening": 64, "playing": 127}
"""What `midi.lamp` is sent for each thing it does."""

_ALMOST = 1e-7  # beats; what arithmetic may leave between a deadline and the beat it was computed from
ALMOST_TICKS = 1.2e-6
"""The same for ticks of bar lines."""


@dataclass(frozen=True, slots=True)
class PlaySpan:
    """From beat `start` (a bar line), which falls on `second`, to beat `end` (None: for ever).

    Where a clock is followed, that says when. `has_final_note`: the last note is a tone of the last chord, and lasts to
    the end.
    """

    second: float
    start: float = 0.0
    end: float | None = None
    has_final_note: bool = False


class Conductor(ABC):
    """Conducts `soloist` over `tune`: time as `span` and the `clocks` have it."""

    def __init__(
        self, settings: Settings, tune: ChartTimeline, soloist: Soloist, span: PlaySpan, clocks: ClockConfig
    ) -> None:
        self.settings = settings
        self.tune = tune
        self.soloist = soloist
        self.tempo = Tempo(settings.tempo.bpm, span.second, span.start)
        self._schedule = Schedule()
        self._start = span.start
        self._top = 0.0  # the beat on which the music begins, as its clock counts
        self._reached = span.start
        self._played_to = -math.inf  # the second up to which all that was due has been sent
        self.tell: ReportSink = ignore_report
        self._doing: PlayState = "idle"
        self._halted = False  # by word of mouth; a clock that is followed may go on
        self._transport = clocks.source
        self._clock_out = MidiClockOut(self._schedule) if clocks.sends_midi_clock else None
        self._end_at(span.end)
        self._line = 0  # the tick of the bar line to come
        self._put_bar_line(next_bar_line(tune, round(span.start * TICKS_PER_QUARTER)))
        if clocks.source is None:
            self._put_clock(round(span.start * CLOCK_TICKS_PER_BEAT), begins=True)

    def _end_at(self, end: float | None) -> None:
        self.end = end
        self.soloist.end = math.inf if end is None else end * TICKS_PER_QUARTER

    def _end_after_choruses(self, top: float) -> bool:
        """End once the chart set last, begun on beat `top`, has been played as often as is asked for, if that is."""
        choruses = self.settings.chart.choruses
        if not self.soloist.rounds_off or choruses is None:
            return False
        self._end_at(top + choruses * self.tune.chart.length)
        return True

    @abstractmethod
    def silence(self) -> list[MidiEvent]:
        """The note-offs of all that sounds, and the end of our clock: what must be sent before it is left."""

    @abstractmethod
    def _settle(self) -> list[MidiEvent]:
        """The music has halted: let hold now what was to hold from a bar line to come; returns what to send."""

    # -- time

    @property
    def _offset_s(self) -> float:
        return self.settings.play.offset_ms / 1000

    @property
    def _counted_in(self) -> float:
        """Beats that are counted in: bars in the meter of the first."""
        return self.settings.play.count_in * float(self._meter.quarters)

    @property
    def _meter(self) -> Meter:
        """The meter in which the music begins."""
        return self.tune.meter_at(self._start * TICKS_PER_QUARTER)

    @property
    def swing(self) -> float:
        """How far into its beat the second eighth falls."""
        swing = self.settings.play.swing
        return default_swing(self.tempo.bpm) if swing is None else swing

    @property
    def _rolls(self) -> bool:
        return not self._halted and (self._transport is None or self._transport.rolling)

    def beat_at(self, second: float) -> float:
        """The beat at `second`; while the music is halted, where it was."""
        return self.tempo.beat_at(second) if self._rolls else self._reached

    def _got_to(self, second: float) -> float:
        """How far the beats have come at `second`: where we play ahead of them, what was played counts."""
        second = max(second, self._played_to)
        return max(self.tempo.beat_at(second), self._beat_of(second))

    @property
    def top(self) -> float:
        """The beat on which the music began, from its top, the last time."""
        return self._top

    def _beat_of(self, second: float) -> float:
        return self.tempo.beat_at(second - self._offset_s)

    def _second_of(self, beat: float) -> float:
        return self.tempo.second_at(beat) + self._offset_s

    def _swung(self, tick: int) -> float:
        """The beat on which the written `tick` sounds. Swing begins anew at each bar line, be the bar of odd length."""
        line, _ = self.tune.bar_at(tick)
        return line / TICKS_PER_QUARTER + swung_beat(tick - line, self.swing)

    def _unswung(self, beat: float) -> float:
        return exact_tick(beat, self.tune, self.swing)

    def _put_bar_line(self, tick: int) -> None:
        self._line = tick
        if self.end is None or tick <= self.end * TICKS_PER_QUARTER:
            self._schedule.put(tick / TICKS_PER_QUARTER, BAR_LINE, BarLine(tick))

    # -- beginning and halting

    def _put_off(self) -> None:
        """Let the first beat come as much later as the bars last that are counted in."""
        if self._transport is None:
            self.tempo = Tempo(self.tempo.bpm, self.tempo.second, self._start - self._counted_in)
            self._count_in()

    def _count_in(self) -> None:
        meter, drums = self._meter, self.settings.midi.drums
        clicks = self.settings.play.count_in * meter.numerator
        for number in range(clicks):
            beat = self._start - (clicks - number) * 4 / meter.denominator
            note = NoteOn(CLICK, PLAIN if number % meter.numerator else ACCENT, drums)
            self._schedule.put(beat, ONSET, Strike(note, CLICK_BEATS, "clicks"))

    def _begin(self, second: float) -> list[MidiEvent]:
        """Begin anew from the top; by a clock that is followed, only go on."""
        if self._transport is not None:
            return self._go_on(self._transport, second) if self._halted else []
        sent = self._halt_here(second)
        self._halted = False
        counted = self.settings.play.count_in * float(self.tune.chart.meter.quarters)
        lead = BEGIN_S + max(0.0, -self._offset_s)
        self._move(0.0, counted + lead * self.tempo.bpm / 60)
        second += lead
        self.tempo = Tempo(self.tempo.bpm, second, self._start - counted)
        self._count_in()
        self._put_clock(round(self._start * CLOCK_TICKS_PER_BEAT), begins=True)
        return sent

    def _go_on(self, transport: ClockSource, second: float) -> list[MidiEvent]:
        """Play again by a clock that may have gone on meanwhile."""
        self._halted = False
        if transport.rolling:
            transport.relocated = False
            self._move(transport.tempo.beat_at(second))
            self._take_tempo(transport)
            self._put_clock(next_sixteenth(transport.tick + round(self._top * CLOCK_TICKS_PER_BEAT)), begins=True)
        return []

    def _halt_here(self, second: float) -> list[MidiEvent]:
        sent = self._halt(self._got_to(second)) if self._rolls else []
        self._halted = True
        return sent

    def _halt(self, reached: float) -> list[MidiEvent]:
        self._reached = max(self._reached, reached)
        if self._clock_out is not None:
            self._clock_out.cancel()
        return [*self.silence(), *self._settle()]

    def _move(self, place: float, ahead: float = 0.0) -> None:
        """Go on from `place`, in beats from the top of the music, but leave so many beats `ahead` of it.

        Below 0 the music begins when that is reached.
        """
        step = self._steps()
        top = max(0, math.ceil((self._reached + ahead - place) / step - _ALMOST)) * step
        if not self._end_after_choruses(top) and self.end is not None:
            self._end_at(self.end + top - self._top)
        self._top, self._start = top, max(place, 0.0) + top
        self.tune.move_top(top)
        self._schedule.clear()  # all notes have been released
        self._put_bar_line(next_bar_line(self.tune, round(self._start * TICKS_PER_QUARTER, 6)))
        self.soloist.move(
            self.soloist.next_pulse(self._start * TICKS_PER_QUARTER - _ALMOST), round(top * TICKS_PER_QUARTER)
        )

    def _steps(self) -> float:
        """By how many beats the chart is moved: whole bars, or where they are of several lengths, quarter notes."""
        lengths = {bar.meter.quarters for bar in self.tune.chart.bars}
        return float(lengths.pop()) if len(lengths) == 1 else 1.0

    # -- what it does

    def _do(self, beat: float) -> list[MidiEvent]:
        """Tell what it does on `beat`, if that is something else than before."""
        if not self._rolls:
            return self._does("idle")
        return self._do_on(math.floor(self._unswung(beat) + _ALMOST), beat)

    def _do_on(self, tick: int, beat: float) -> list[MidiEvent]:
        """The same, where the written `tick` that sounds on `beat` is known: swing leaves triplets where they are."""
        return self._does("playing" if beat >= self._start - _ALMOST and self.soloist.ours(tick) else "listening")

    def _does(self, doing: PlayState) -> list[MidiEvent]:
        if doing == self._doing:
            return []
        self._doing = doing
        self.tell(StateChanged(doing))
        return self._lamp()

    def _lamp(self) -> list[MidiEvent]:
        midi = self.settings.midi
        return [] if midi.lamp is None else [ControlChange(midi.lamp, LAMP[self._doing], midi.channel)]

    def voice(self) -> list[MidiEvent]:
        """The sound that is chosen, and what the lamp shows: what a synth that was gone has to be told again."""
        midi = self.settings.midi
        program = [] if midi.program is None else [ProgramChange(midi.program - 1, midi.channel)]
        return [*program, *self._lamp()]

    # -- somebody else's clock

    def _follow(self, item: ClockMessage | LinkState, second: float) -> list[MidiEvent]:
        """Take in what comes of the clock; returns what to send at once."""
        if self._transport is None:
            return []
        rolled, went, reached = self._rolls, self._transport.rolling, self._got_to(second)
        self._transport.receive(item, second)
        self._halted = self._halted and (went or not self._transport.rolling)
        goes_on = rolled and self._rolls and not self._transport.relocated
        sent = self._halt(reached) if rolled and not goes_on else []
        if not self._rolls:
            return sent
        line = self._transport.tempo
        if self._transport.relocated:
            self._transport.relocated = False
            self._move(line.beat)
        self._take_tempo(self._transport)
        return [] if goes_on else [*sent, *self._join_clock(self._transport.tick, line.beat)]

    def _take_tempo(self, transport: ClockSource) -> None:
        line = transport.tempo
        self.tempo = Tempo(line.bpm, line.second, line.beat + self._top)

    def _pull(self, bpm: float, second: float) -> None:
        """Go on in another tempo, or ask for it whom we follow."""
        if self._transport is None:
            self.tempo = self.tempo.with_bpm(bpm, second)
        else:
            self._transport.request_tempo(bpm)

    def _lose(self, transport: ClockSource) -> Iterator[DueItem]:
        second, rolled = transport.lost_at(), self._rolls
        transport.mark_lost()
        beat = self._got_to(second)
        yield from (DueItem(beat, second, event) for event in (self._halt(beat) if rolled else ()))

    # -- the clock we send

    def _put_clock(self, number: int, *, begins: bool) -> None:
        if self._clock_out is not None and (self.end is None or number < self.end * CLOCK_TICKS_PER_BEAT):
            self._clock_out.schedule_tick(number, starts=begins)

    def _join_clock(self, tick: int, place: float) -> list[MidiEvent]:
        """Let our clock begin with `tick`: now, where the music is at that `place`, or when it comes there."""
        if tick <= place * CLOCK_TICKS_PER_BEAT + _ALMOST:
            return self._begin_clock(tick)
        self._put_clock(tick + round(self._top * CLOCK_TICKS_PER_BEAT), begins=True)
        return []

    def _begin_clock(self, place: int) -> list[MidiEvent]:
        """What to send before the tick `place`, counted from the top of the music; from there on ticks are due."""
        if self._clock_out is None:
            return []
        self._put_clock(
            self._clock_out.first_unsent_tick(place) + round(self._top * CLOCK_TICKS_PER_BEAT), begins=False
        )
        return self._clock_out.start_messages(place)

    def _clock_falls_due(self, tick: Tick, second: float) -> list[MidiEvent]:
        """What to send for `tick`. After a stop of the machine the clock ends, to begin anew at a place it tells."""
        if self._clock_out is None or not self._clock_out.is_pending(tick):
            return []
        self._clock_out.cancel()
        if tick.begins:
            return self._begin_clock(tick.number - round(self._top * CLOCK_TICKS_PER_BEAT))
        now = math.floor(self._beat_of(second) * CLOCK_TICKS_PER_BEAT)
        if now - tick.number > CLOCK_TICKS_PER_BEAT:
            self._put_clock(next_sixteenth(now), begins=True)
            return self._clock_out.stop_messages()
        self._put_clock(tick.number + 1, begins=False)
        self._clock_out.last_sent_tick = tick.number - round(self._top * CLOCK_TICKS_PER_BEAT)
        return [ClockTick()]
