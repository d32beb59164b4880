# SPDX-License-Identifier: Apache-2.0
"""The engine: a pure machine that plays. Time and input go in, MIDI events come out when their time has come.

`receive` takes what is heard and commanded, `advance` yields what is to be played up to a second, `deadline` says when
to call again. Nothing here reads a clock, sends a byte or waits: live play, rendering and the tests drive this engine.

There is no music in it. It asks its parts (the soloist, the accompaniment, the clicks, the MIDI clock that we send)
for their next beat, plays them in order, and enters every note in the ledger. `Timeline` converts between seconds,
beats and ticks; `Transport` says whether the music rolls; one cell holds the settings in force.

On one beat the order is: note ends; a change of mode or chart; the clock; the bar line; onsets. Of two parts that
start a note on one beat, the one that decided on it first goes first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Literal

from msgspec import Struct

from sideman.core import events
from sideman.core.actions import Faster, NextSong, Panic, PlayVariation, Slower, Start, Stop, TapTempo
from sideman.core.chart.chart import Chart
from sideman.core.chart.timeline import ChartsMemory, ChartTimeline
from sideman.core.chart.written import WrittenChart
from sideman.core.events import (
    ChangeSettings,
    ClockInput,
    Command,
    ControlChange,
    MidiEvent,
    NoteOff,
    NoteOn,
    PlayState,
)
from sideman.core.input.midi_mapping import MidiMapping
from sideman.core.ledger import Ledger, release_channel
from sideman.core.listening import Listening
from sideman.core.parts.accompaniment import Accompaniment, AccompanimentMemory
from sideman.core.parts.band import MEMBERS, BandMemory, BandPart, MemberName
from sideman.core.parts.count_in import CountIn
from sideman.core.parts.improviser import Improviser, ImproviserMemory
from sideman.core.parts.midi_clock_out import MidiClockOut
from sideman.core.parts.part import ONSET_RANK, Part, PlayedNote
from sideman.core.parts.soloist import Soloist, SoloistMemory
from sideman.core.positions import reached_beat, tick_at, whole_tick_at
from sideman.core.practice import Coming, Practice, PracticeMemory
from sideman.core.settings.live import LiveSettings
from sideman.core.settings.schema import Settings, choruses_of
from sideman.core.settings.voices import voice_sounds
from sideman.core.snapshot import Snapshot
from sideman.core.timeline import PlaySpan, Timeline
from sideman.core.timing.clock_source import CLOCK_SOURCES, ClockConfig
from sideman.core.timing.tempo import TapTempoEstimator, Tempo
from sideman.core.transport import WAITING_TEXTS, Transition, Transport
from sideman.core.turns import MODES, ModeName, TurnPlan, TurnsMemory
from sideman_models.music.context import next_bar_line
from sideman_models.music.values import TICKS_PER_QUARTER

START_LEAD_S = 0.1
"""The time from the command to start to the first beat, or to the first click."""
MAX_OPTIONS = 8
"""How many values are reported of those that the soloist could choose."""
LAMP: dict[PlayState, int] = {"idle": 0, "listening": 64, "playing": 127}
"""What the controller `midi.lamp` is sent for each state."""
LAMP_BEFORE_NEWS: dict[PlayState, int] = {**LAMP, "listening": 80, "playing": 111}
"""The same in a bar after which practice brings something else than the next bar."""

_END_RANK, _BAR_LINE_RANK = 0, 2

ChangeName = Literal["mode", "chart", "song", "practice"]
"""What can change on a bar line."""
_Step = Callable[[float, float], Iterator["DueItem"]]
"""Does what is due on a beat, at a second."""


class DueItem(Struct, frozen=True):
    """An event to send, or the report of a bar, with the beat and the second that were meant for it."""

    beat: float
    second: float
    item: MidiEvent | events.BarPlayed


class SongMemory(Struct, frozen=True):
    """The song of the set that follows, as plain data, and the beat on which it takes over, if that is known."""

    number: events.SongNumber
    chart: WrittenChart
    bpm: events.SongTempo | None
    start: float | None


class EngineMemory(Struct, frozen=True):
    """All that an engine needs to go on with the same music, as plain data; `bar_line` is the tick of the next one.

    It has got to `beat`, nothing is played before `start`, and `end` is None if the music does not end by itself.
    `changes` are what takes effect on the next bar line, in order.
    """

    beat: float
    bar_line: int
    start: float
    top: float
    end: float | None
    changes: tuple[ChangeName, ...]
    rate: str
    choruses: int | None
    improviser: ImproviserMemory
    charts: ChartsMemory
    turns: TurnsMemory
    soloist: SoloistMemory
    accompaniment: AccompanimentMemory
    band: dict[MemberName, BandMemory] = {}  # an earlier version has none
    song: SongMemory | None = None
    practice: PracticeMemory = PracticeMemory()


class Engine:
    """Plays what `improviser` chooses over `chart`, for the time of `span`, with the clocks of `clocks`."""

    def __init__(
        self, live: LiveSettings, chart: ChartTimeline, improviser: Improviser, span: PlaySpan, clocks: ClockConfig
    ) -> None:
        self.report: events.ReportSink = events.ignore_report
        self.live = live
        self.chart = chart
        self.improviser = improviser
        self.timeline = Timeline(live, chart, span)
        self.transport = Transport(self.timeline, clocks.source)
        self.ledger = Ledger(live.midi.channel)
        self._mapping = MidiMapping()
        self._taps = TapTempoEstimator()
        self.practice = Practice(self.timeline)
        """What practice brings at the next bar line."""
        self._turns = TurnPlan(live, chart)
        self._soloist = Soloist(self.timeline, improviser, self._turns)
        self._accompaniment = Accompaniment(self.timeline, improviser)
        self._count_in = CountIn(self.timeline)
        self.listening = Listening(self.timeline, self.transport, self.ledger, self._soloist, self._turns, improviser)
        self._clock_out = MidiClockOut(self.timeline) if clocks.sends_midi_clock else None
        self.band = tuple(BandPart(name, self.timeline, improviser) for name in MEMBERS)
        """The parts that accompany; each shows what it has planned."""
        self._parts: list[Part] = [self._count_in, self._accompaniment, *self.band, self._soloist]
        if self._clock_out is not None:
            self._parts.append(self._clock_out)
            if self.transport.rolling:
                self._clock_out.start_at(span.start)
        self._state: PlayState = "idle"
        self._state_until: float | None = None
        self._lamp_value = LAMP["idle"]  # what the lamp was sent last
        self._changes: dict[ChangeName, Callable[[float], list[MidiEvent]]] = {}  # what changes on the next bar line
        self._song: events.QueueSong | None = None  # the song of the set that follows
        self._written_song: WrittenChart | None = None  # its chart as plain data; made once, as in `ChartSpan`
        self._song_start = math.inf  # the beat on which it takes over
        self._asked_end: float | None = None  # the end of the form at which to go on; NaN: the song is not there yet
        self._set_bar_line(next_bar_line(chart, round(span.start * TICKS_PER_QUARTER)))

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.live.settings

    @property
    def tempo(self) -> Tempo:
        """The tempo in force, without the offset."""
        return self.timeline.tempo

    @property
    def late_notes(self) -> int:
        """How many notes were left out because they would have come too late."""
        return sum(part.missed_notes for part in self._parts)

    def beat_at(self, second: float) -> float:
        """Return the beat at `second`; while the music does not roll, the beat at which it stands."""
        return self.transport.beat_at(second)

    def deadline(self) -> float | None:
        """Return the second at which something is to be done next; None if there is never anything more to do.

        It is infinite while that depends on what comes in: music that was stopped, or that follows a clock, can start
        again at any time.
        """
        input_due = min(self.transport.lost_at, self.listening.chord_detector.settle_at, self._mapping.next_due)
        if not self.transport.rolling:
            return min(input_due, self._free_tick_at)
        beat = min(self._next_step()[0], self._soloist.next_beat())
        if beat == math.inf:
            return None if self.transport.clock is None else input_due
        return min(self.timeline.second_at(beat), input_due)

    def open(self, second: float) -> list[MidiEvent]:
        """Return what to send before anything is played. Bars that are counted in delay the first beat."""
        if self.transport.rolling:
            self._start_tempo(self.tempo.second)
        self._run_clock_free(second)
        self._update_state(self.timeline.beat_at(second))
        return self._sent(self._setup(second), second)

    def sound_setup(self, *, general_midi: bool = False) -> list[MidiEvent]:
        """Return the sounds of the voices (see `voice_sounds`) and the lamp: what a new listener has to be sent."""
        return [*voice_sounds(self.live.midi, self.live.play, general_midi=general_midi), *self._lamp()]

    def _setup(self, second: float) -> list[MidiEvent]:
        """Return what everything at the other end of the port has to be sent: the synthesizer and the controllers."""
        return [*self.sound_setup(), *self._mapping.feedback(second, self.settings, everything=True)]

    def silence(self) -> list[MidiEvent]:
        """Release everything that sounds and stop our clock; send what this returns before you leave the engine."""
        clock = [] if self._clock_out is None else self._clock_out.stop_messages()
        return [*self.ledger.release_all(), *clock, *self._set_state("idle")]

    def snapshot(self, second: float) -> Snapshot:
        """Return how everything stands at `second`."""
        beat, top, choice = self.beat_at(second), self.timeline.top, self._soloist.choice
        sounding = whole_tick_at(max(beat, self.timeline.start)) / TICKS_PER_QUARTER
        return Snapshot(
            second=second,
            beat=beat - top,
            bar=self.chart.bar_number_at(tick_at(beat)) + 1,
            top=top,
            charts=self.chart.charts,
            bpm=self.tempo.bpm,
            rolling=self.transport.rolling,
            waiting=WAITING_TEXTS.get(self.transport.state, ""),
            mode=self.live.play.mode,
            state=self._state,
            state_until=None if self._state_until is None else self._state_until - top,
            held_chord=self.chart.held_chord_at(sounding),
            next_choice=choice,
            next_choice_beat=math.nan if choice is None else self._soloist.next_beat() - top,
            seed=self.improviser.random_source.seed,
            late_notes=self.late_notes,
            heard_notes=self.listening.heard_notes,
            echoes=self.listening.echo_filter.echoes,
            played_notes=self._soloist.played_notes,
            settings=self.settings,
            practice=self.practice.text(self.live.midi.transpose),
        )

    def plan(self) -> tuple[events.PlannedNote, ...]:
        """Return what the parts have decided and not yet played, in order; nothing while the music does not roll."""
        if not self.transport.rolling:
            return ()
        planned = [
            events.PlannedNote(
                each.beat,
                each.end - each.beat,
                each.note if isinstance(each, PlayedNote) else None,
                each.voice,
                each.value,
                each.motif if isinstance(each, PlayedNote) else 0,
            )
            for part in self._parts
            for each in part.planned
        ]
        return tuple(sorted(planned, key=lambda note: note.beat))

    def options(self) -> events.ChoiceMade | None:
        """Return what the soloist could choose when it made its present choice; None if it has made none."""
        if self._soloist.choice is None:
            return None
        return events.ChoiceMade(self._soloist.next_beat(), self.improviser.options(MAX_OPTIONS))

    # -- what comes in

    def receive(self, item: MidiEvent | Command, second: float) -> list[MidiEvent]:
        """Take in an event or a command at `second`, up to which `advance` was called; returns what to send at once."""
        is_echo = self.listening.echo_filter.is_echo(item, second)
        if is_echo and not isinstance(item, NoteOn):  # an echoed note is counted where notes are heard
            return []
        if isinstance(item, events.ForOnePort) and item.port:
            return self._sent(self._receive(item, second), second)  # nothing that all ports have to be sent
        mapped = None if is_echo else self._mapping.handle(item, second, self.settings)
        if mapped is not None:
            return self._carry_out(mapped, second)
        sent = self._receive(item, second)
        if isinstance(item, ChangeSettings | events.SetMode):
            sent = [*sent, *self._mapping.feedback(second, self.settings)]
        return self._sent([*sent, *self._update_state(self.timeline.beat_at(second))], second)

    def _sent(self, sent: list[MidiEvent], second: float) -> list[MidiEvent]:
        """Return `sent`, of which what may come back is known as echo from now on."""
        for event in sent:
            self.listening.echo_filter.event_sent(event, second)
        return sent

    def _carry_out(self, commands: Iterable[Command | events.ActionRequested], second: float) -> list[MidiEvent]:
        """Carry out what a knob, a pedal or a key asks for; what needs the main thread is reported."""
        sent: list[MidiEvent] = []
        for command in commands:
            if isinstance(command, events.ActionRequested):
                self.report(command)
            else:
                sent += self.receive(command, second)
        return sent

    def _receive(self, item: MidiEvent | Command, second: float) -> list[MidiEvent]:  # noqa: C901, PLR0911, PLR0912 - one case a message
        match item:
            case NoteOn() | NoteOff() | ControlChange() | events.PitchBend():
                return self._hear(item, second)
            case _ if isinstance(item, ClockInput):
                return self._move_transport(self.transport.follow(item, second), second)
            case Panic():
                return [*self.ledger.panic(), *self._setup(second)]  # those who follow our clock are still with it
            case events.SendSetup(_, has_clock, was_lost):
                if self._clock_out is not None and has_clock:
                    self._clock_out.invite()
                return [*(self.ledger.silencing() if was_lost else ()), *self._setup(second)]
            case events.ReleaseChannel(channel):
                return release_channel(channel)
            case Start():
                started = self._move_transport(self.transport.command("start"), second)
                return [*started, *voice_sounds(self.live.midi, self.live.play)]  # the lamp follows the state
            case Stop():
                return self._move_transport(self.transport.command("stop"), second)
            case events.SetMode(mode, now):
                return self._request_mode(mode, second, now=now)
            case PlayVariation():
                self._soloist.play_variation(self._bar_line)
            case Slower() | Faster() if self.practice.sets_tempo:
                asked = self.practice.changed_bpm(slower=isinstance(item, Slower))
                if not self.transport.rolling:
                    return self._change_settings((("tempo.bpm", asked),), second)
                self.practice.asked_bpm = asked
                self._prepare_bar_line()
            case events.JumpToBar(bar):
                self.practice.jump = bar
                self._prepare_bar_line()
            case TapTempo() if CLOCK_SOURCES[self.settings.tempo.source].accepts_tempo:
                if (bpm := self._taps.tap(second)) is not None:
                    return self.receive(ChangeSettings((("tempo.bpm", bpm),)), second)
            case events.AdoptNetwork(fingerprint):
                self.improviser.adopt(fingerprint)
            case events.SetPortPeriod(period_s) if self.transport.clock is not None:
                self.transport.clock.set_port_period(period_s)
            case ChangeSettings(values):
                return self._change_settings(values, second)
            case events.SetChart(chart):
                if self._changes.pop("song", None) is not None:  # another chart than that of the song takes over
                    self._song_start = math.inf
                self._change_chart(chart)
            case events.QueueSong():
                self._queue_song(item, second)
            case NextSong():
                self._ask_for_next_song(second)
        return []

    def _hear(self, received: MidiEvent, second: float) -> list[MidiEvent]:
        """Take in what came from the player's port. If the music waits for a note, it begins with that."""
        sent: list[MidiEvent] = []

        def begin(at: float) -> None:
            if (transition := self.transport.command("note")).then:
                sent.extend(self._move_transport(transition, at))

        for heard in self.listening.hear(received, second, begin):
            self.report(heard)
        return sent

    # -- commands

    def _change_settings(self, values: tuple[tuple[str, object], ...], second: float) -> list[MidiEvent]:
        """Apply changed settings from the next note that can still be chosen again; a mode from the next bar line."""
        changes = tuple((key, value) for key, value in values if key != "play.mode")
        modes: list[ModeName] = [value for key, value in values if key == "play.mode"]  # type: ignore[misc]
        if changes:
            tick, bpm, rate = self._soloist.next_tick(), self.settings.tempo.bpm, self.live.play.rate
            if tick is not None and self.listening.is_too_near(tick, second):
                self.prepare(second)
            self.live.change(changes)
            if any(key in ("chart.song", "chart.set") for key, _ in changes):
                self._count_choruses()
            if (new_bpm := self.settings.tempo.bpm) != bpm:
                if self.transport.clock is None:
                    self.timeline.tempo = self.tempo.with_bpm(new_bpm, second)
                else:
                    self.transport.clock.request_tempo(new_bpm)
            if tick is not None and not self.listening.is_too_near(tick, second):
                self._soloist.take_back()
            if self.live.play.rate != rate:
                self._soloist.rate_changed()
            if any(key.startswith("practice.") for key, _ in changes):
                self._prepare_bar_line()
            self.report(events.SettingsChanged(changes))
        sent = self._request_mode(modes[-1], second) if modes else []
        mode = self._turns.scheduled.name if self._turns.scheduled else self.live.play.mode
        if any(key in MODES[mode].counted_by for key, _ in changes):  # its turns are counted again
            sent += self._schedule_mode(mode)
        return sent

    def _change_chart(self, chart: Chart) -> None:
        """Play over `chart` from the next bar line. An end that was set moves to a bar line of the new chart.

        Music that has ended stays so until it is started again.
        """
        self._cancel_practice()
        end = self.timeline.end_tick
        self.chart.set_chart(chart, self._bar_line / TICKS_PER_QUARTER)
        if self._bar_line <= end < math.inf and not self.timeline.end_after_choruses(
            self._bar_line / TICKS_PER_QUARTER
        ):
            self.timeline.end = next_bar_line(self.chart, end) / TICKS_PER_QUARTER
        self._changes["chart"] = self._end_chart
        self._soloist.chart_changed(self._bar_line)
        self.practice.set_chart(chart)
        self._prepare_bar_line()

    # -- the songs of a set

    def _count_choruses(self) -> None:
        """Another song of the set is played, from the top of the chart: it ends after its own number of choruses."""
        if self._bar_line <= self.timeline.end_tick and self.timeline.has_final_note:
            self.timeline.end = self._song_start = math.inf
            self._asked_end = None
            self.timeline.end_after_choruses(self.chart.charts[1].start)
            self._let_song_follow()

    def _queue_song(self, song: events.QueueSong, second: float) -> None:
        """Let `song` follow: after the last chorus of the one that is played, or when it is asked for."""
        if "song" in self._changes:  # it begins at the next bar line, and then the one after it is asked for
            return
        self._song = None if song.chart is None else song
        self._written_song = None if song.chart is None else WrittenChart.of(song.chart)
        self._song_start = math.inf
        self._let_song_follow()
        if self._song is not None and self._asked_end is not None:
            self._asked_end = None
            self._ask_for_next_song(second)

    def _let_song_follow(self) -> None:
        """Where the music would end, the next song of the set begins, if there is one."""
        if self._song is not None and self._bar_line <= self.timeline.end_tick < math.inf:
            self._song_start, self.timeline.end = self.timeline.end, math.inf
            self._announce_song()

    def _ask_for_next_song(self, second: float) -> None:
        """Go on at the end of the form, or, where that is asked for already, at the next bar line."""
        chart, line = self.settings.chart, self._bar_line / TICKS_PER_QUARTER
        if not 0 <= chart.song <= len(chart.set) or not chart.set:
            return
        if self._song is None and chart.song < len(chart.set):
            self._asked_end = math.nan
        elif not self.transport.rolling:
            if self._song is not None and self._song.chart is not None:
                self._change_chart(self._song.chart)
                self._start_song(second)
        elif self._bar_line <= self.timeline.end_tick:
            form_end = self.chart.form_end(line)
            end, self._asked_end = line if self._asked_end == form_end else form_end, form_end
            if self._song is None:
                self.timeline.end, self.timeline.has_final_note = end, True
                self._set_bar_line(self._bar_line)
            else:
                self.timeline.end, self._song_start = math.inf, end
                self._announce_song()

    def _announce_song(self) -> None:
        """Let the next song take over at the next bar line, if that is where it begins."""
        song = self._song
        if song is None or song.chart is None or tick_at(self._song_start) > self._bar_line or "song" in self._changes:
            return
        self._change_chart(song.chart)
        self._changes["song"] = lambda beat: self._start_song(self.timeline.second_at(beat))

    def _start_song(self, second: float) -> list[MidiEvent]:
        """The next song of the set begins at `second`."""
        song, self._song, self._song_start, self._asked_end = self._song, None, math.inf, None
        if song is None:
            return []
        values: list[tuple[str, object]] = [("chart.song", song.number)]
        values += [("tempo.bpm", song.bpm)] if song.bpm is not None else []
        self.live.change(values)
        if song.bpm is not None and self.transport.clock is None:
            self.timeline.tempo = self.tempo.with_bpm(song.bpm, second - self.timeline.offset_s)
        self._count_choruses()
        self.report(events.SettingsChanged(tuple(values)))
        return []

    def _end_chart(self, beat: float) -> list[MidiEvent]:  # noqa: ARG002 - the same for every change
        return self.ledger.release_all()

    # -- practice

    def _prepare_bar_line(self) -> None:
        """Settle what practice brings at the next bar line. What moves the end moves the start of the next song."""
        moved = self.practice.end_moved
        if self.practice.prepare(self._bar_line, chart_follows="chart" in self._changes):
            self._soloist.chart_changed(self._bar_line)
        self._song_start += self.practice.end_moved - moved
        self._changes.pop("practice", None)
        if self.practice.coming is not None:
            self._changes["practice"] = self._take_up_practice
        self._bar_line_pending = self._bar_line <= self.timeline.end_tick  # it lies before the end

    def _cancel_practice(self) -> None:
        self._song_start -= self.practice.end_moved
        self.practice.cancel()

    def _take_up_practice(self, beat: float) -> list[MidiEvent]:
        coming = self.practice.begin()
        if coming is None:
            return []
        sent = self.ledger.release_all() if coming.leaves else []
        if coming.bpm is not None:
            change = ("tempo.bpm", coming.bpm)
            self.live.change([change])
            if self.transport.clock is None:
                self.timeline.tempo = Tempo(coming.bpm, self.tempo.second_at(beat), beat)
            else:
                self.transport.clock.request_tempo(coming.bpm)
            self.report(events.SettingsChanged((change,)))
            sent += self._mapping.feedback(self.timeline.second_at(beat), self.settings)
        return [*sent, *self._count_in_round(beat, coming)]

    def _count_in_round(self, beat: float, coming: Coming) -> list[MidiEvent]:
        """Play nothing but clicks from `beat` on, if the round is counted in; a scheduled mode starts with it."""
        if not coming.count_in:
            return []
        self.timeline.start = beat + coming.count_in
        sent = self._start_scheduled_mode(beat)
        for part in self._parts:
            if part is not self._soloist and part.rank == ONSET_RANK:
                part.relocate()
        self._soloist.wait_until(whole_tick_at(self.timeline.start))
        self._count_in.start(coming.count_in_bars)
        return sent

    # -- the mode

    def _request_mode(self, mode: ModeName, second: float, *, now: bool = False) -> list[MidiEvent]:
        self._soloist.take_back()
        if mode == self.live.play.mode:
            if self._turns.scheduled is not None and self._turns.scheduled.name != mode:
                self._turns.scheduled = None
            return []
        if now and self.transport.rolling:
            return self._start_mode(mode, self.timeline.beat_at(second))
        return self._schedule_mode(mode)

    def _schedule_mode(self, mode: ModeName) -> list[MidiEvent]:
        """Play in `mode` from the next bar line on, or at once while the music stands."""
        if not self.transport.rolling:
            return self._start_mode(mode, self.transport.stopped_beat)
        self._turns.schedule_mode(mode, self._bar_line)
        self._soloist.give_way(self._bar_line)
        self._changes.setdefault("mode", self._start_scheduled_mode)
        return []

    def _start_scheduled_mode(self, beat: float) -> list[MidiEvent]:
        scheduled = self._turns.scheduled
        return [] if scheduled is None else [*self._start_mode(scheduled.name, beat), *self._update_state(beat)]

    def _start_mode(self, mode: ModeName, beat: float) -> list[MidiEvent]:
        """Play in `mode` from `beat` on, where our notes end; its turns count from the bar line before."""
        beat = max(beat, self.timeline.start)  # nothing is played while bars are counted in
        tick = self.timeline.unswung_tick(beat)
        self.improviser.cut_note(tick)
        self.live.change([("play.mode", mode)])
        line, _ = self.chart.bar_at(tick_at(beat))
        self._soloist.start_mode(tick, line)
        self.report(events.ModeChanged(self.live.play.mode, beat))
        return self.ledger.release_all(self.live.midi.channel)

    # -- the transport

    def _move_transport(self, transition: Transition, second: float) -> list[MidiEvent]:
        """Do what a transition of the transport asks for."""
        sent = self._stand_still(self.transport.furthest_beat(second)) if transition.silences else []
        clock, rejoins = self.transport.clock, transition.then == "rejoin"
        if transition.silences:
            self._run_clock_free(second)
        if transition.then == "restart":
            self._restart(second)
            self._run_clock_free(second)
        elif transition.then in ("begin", "enter"):
            self._begin(second, counted_in=transition.then == "begin")
        elif clock is not None and self.transport.rolling:
            if rejoins or (transition.then == "join" and clock.relocated):
                clock.relocated = False
                self._relocate(clock.tempo.beat_at(second) if rejoins else clock.tempo.beat)
            self.timeline.tempo = Tempo(clock.tempo.bpm, clock.tempo.second, clock.tempo.beat + self.timeline.top)
            if self._clock_out is not None and rejoins:
                self._clock_out.start_after(clock.tick)
            elif self._clock_out is not None and transition.then == "join":
                sent += self._clock_out.join(clock.tick, clock.tempo.beat)
        return sent

    def _run_clock_free(self, second: float) -> None:
        """Our clock has no position now; with `tempo.clock_when_stopped` its ticks go on."""
        if self._clock_out is not None:
            self._clock_out.run_free(second)

    def _stand_still(self, reached: float) -> list[MidiEvent]:
        """The music stops at the beat `reached`: release everything; a scheduled mode starts here."""
        self.transport.stand_at(reached)
        if self._clock_out is not None:
            self._clock_out.relocate()
        sent = self.silence()
        self._soloist.take_back()  # it may have been chosen for the scheduled mode
        if self._turns.scheduled:
            sent += self._start_mode(self._turns.scheduled.name, self.transport.stopped_beat)
        return sent

    def _restart(self, second: float) -> None:
        """Start the music from its top, counted in."""
        self.practice.restart()
        counted_in = self.live.play.count_in * float(self.chart.chart.meter.quarters)
        self._relocate(0.0, counted_in + self._lead_s * self.tempo.bpm / 60)
        self._begin(second, counted_in=True)

    def _begin(self, second: float, *, counted_in: bool) -> None:
        """Start the music: counted in, or with its first beat at `second`, where the player has just struck a note."""
        if counted_in:
            self._start_tempo(second + self._lead_s)
        else:
            self.timeline.tempo = Tempo(self.tempo.bpm, second, self.timeline.start)
        if self._clock_out is not None:
            self._clock_out.start_at(self.timeline.start)

    @property
    def _lead_s(self) -> float:
        """The time from a start to the first beat, or to the first click."""
        return START_LEAD_S + max(0.0, -self.timeline.offset_s)

    def _start_tempo(self, second: float) -> None:
        """Start at `second`: with the clicks, if bars are counted in, else with the first beat."""
        self.timeline.tempo = Tempo(self.tempo.bpm, second, self._count_in.start())

    def _relocate(self, position: float, ahead: float = 0.0) -> None:
        """Continue at `position`, in beats from the top, at least `ahead` beats from here."""
        if "song" in self._changes:
            self._start_song(self.timeline.second_at(self.transport.stopped_beat))
        self._cancel_practice()
        self.timeline.move(position, self.transport.stopped_beat, ahead)
        self._changes.clear()
        self._turns.activity.clear()
        self._set_bar_line(next_bar_line(self.chart, tick_at(self.timeline.start)))
        for part in self._parts:
            part.relocate()
        self._song_start, self._asked_end = math.inf, None
        self._let_song_follow()

    # -- what is played

    def advance(self, second: float) -> Iterator[DueItem]:
        """Yield everything that is to be played up to `second`, in order. Items that are not fetched are lost."""
        if (due := self._mapping.next_due) <= second:
            yield from self._play_until(due)
            sent = self._carry_out(self._mapping.flush(due, self.settings), due)
            for event in [*sent, *self._sent(self._mapping.feedback(due, self.settings), due)]:
                yield DueItem(self.beat_at(due), due, event)
        yield from self._play_until(second)

    def _play_until(self, second: float) -> Iterator[DueItem]:
        for due in self._advance(second):
            if not isinstance(due.item, events.BarPlayed):
                self.listening.echo_filter.event_sent(due.item, second)
            yield due

    def _advance(self, second: float) -> Iterator[DueItem]:
        if (settle_at := self.listening.chord_detector.settle_at) <= second:
            self.listening.settle_chord(settle_at)
        if second >= (lost_at := self.transport.lost_at):
            reached = self.transport.furthest_beat(lost_at)
            for event in self._move_transport(self.transport.lose_clock(), lost_at):
                yield DueItem(reached, lost_at, event)
        if not self.transport.rolling:
            yield from self._play_free_ticks(second)
            return
        self.transport.note_played_to(second)
        while True:
            reached = reached_beat(self.timeline.beat_at(second))  # the tempo may change on a bar line
            if self._soloist.next_beat() <= reached:
                self.prepare(second)
            beat, step = self._next_step()
            if beat > reached:
                return
            yield from step(beat, second)

    @property
    def _free_tick_at(self) -> float:
        """The second of the next tick that our clock sends while the music stands still; infinite without one."""
        beat = math.inf if self._clock_out is None else self._clock_out.free_beat
        return math.inf if beat == math.inf else self.timeline.second_at(beat)

    def _play_free_ticks(self, second: float) -> Iterator[DueItem]:
        while self._clock_out is not None and (due := self._free_tick_at) <= second:
            for tick in self._clock_out.play_free(second):
                yield DueItem(self.transport.stopped_beat, due, tick)

    def _next_step(self) -> tuple[float, _Step]:
        """Return the beat of what comes next, and its step; of equals the first in the order of the module's text."""
        line = self._bar_line / TICKS_PER_QUARTER
        beat, rank, step = self.ledger.next_end, _END_RANK, self._end_note
        if self._changes and line < beat:
            beat, step = line, self._make_changes
        if self._bar_line_pending and line < beat:
            beat, rank, step = line, _BAR_LINE_RANK, self._cross_bar_line
        decision = 0
        for part in self._parts:
            decided = part.decision
            if decided is None:
                continue  # see `prepare`
            onset = part.next_beat()
            if (onset, part.rank, decided) < (beat, rank, decision):
                beat, rank, decision, step = onset, part.rank, decided, partial(self._play, part)
        return beat, step

    def prepare(self, second: float) -> None:
        """Let the soloist choose ahead, at `second`, what it plays next, and the band plan its next bar."""
        if self.transport.rolling:
            self._soloist.prepare(second)
            for part in self.band:
                part.prepare()

    def _play(self, part: Part, beat: float, second: float) -> Iterator[DueItem]:
        for played in part.play(second):
            sent = self._start_note(played) if isinstance(played, PlayedNote) else [played]
            yield from self._due(sent, beat)
        self._soloist.sent()

    def _start_note(self, played: PlayedNote) -> list[MidiEvent]:
        """Enter a note in the ledger; returns what to send."""
        sent = self._update_state(played.beat, played.tick) if played.voice == "solo" else []
        if played.voice == "solo" and self._soloist.note_id is not None:
            sent += self.ledger.release_note(self._soloist.note_id)
        note_id, started = self.ledger.note_on(played.note, played.end)
        if played.voice == "solo":
            self._soloist.note_id = note_id
        length = played.end - played.beat
        report = events.NotePlayed(played.beat, length, played.note, played.voice, played.value, played.motif)
        self.report(report)
        return [*sent, *started]

    def _end_note(self, beat: float, second: float) -> Iterator[DueItem]:  # noqa: ARG002 - the same for every step
        yield from self._due(self.ledger.release_next(), beat)

    def _make_changes(self, beat: float, second: float) -> Iterator[DueItem]:  # noqa: ARG002
        changes, self._changes = list(self._changes.values()), {}
        for change in changes:
            yield from self._due(change(beat), beat)

    def _cross_bar_line(self, beat: float, second: float) -> Iterator[DueItem]:
        tick, (_, bar_ticks) = self._bar_line, self.chart.bar_at(self._bar_line)
        yield from self._due(self._update_state(beat), beat)
        played = self._soloist.take_bar()
        if played or (self.live.play.mode != "off" and beat > self.timeline.start):
            last_line, _ = self.chart.bar_at(tick - 1)
            chords = self.chart.chords_in_bar(last_line / TICKS_PER_QUARTER)
            bar = events.BarPlayed(self.chart.bar_number_at(tick), chords, played)
            yield DueItem(beat, self.timeline.second_at(beat), bar)
        if beat >= self.timeline.start:  # it is not counted in
            self._accompaniment.start_bar(tick)
            for part in self.band:
                part.start_bar(tick)
        if beat < self.timeline.end:
            changes = tuple(self.chart.chords_within(beat, bar_ticks / TICKS_PER_QUARTER))
            self.report(events.BarStarted(beat, self.chart.meter_at(tick), changes))
        # If the machine stood still, continue with the bar that sounds now.
        sounding_line, _ = self.chart.bar_at(self.timeline.beat_at(second) * TICKS_PER_QUARTER)
        self._set_bar_line(max(tick + bar_ticks, sounding_line, whole_tick_at(self.timeline.start)))
        yield from self._due(self._lamp(changed=True), beat)

    def _set_bar_line(self, tick: int) -> None:
        self._bar_line = tick  # of the next bar line
        self._prepare_bar_line()
        if self._song_start < math.inf:
            self._announce_song()

    def _due(self, sent: Iterable[MidiEvent], beat: float) -> Iterator[DueItem]:
        second = self.timeline.second_at(beat)
        return (DueItem(beat, second, event) for event in sent)

    # -- saving and restoring

    @property
    def next_bar_line(self) -> int:
        """The tick of the next bar line."""
        return self._bar_line

    def memory(self) -> EngineMemory:
        """Return all that is needed to go on with the same music, as plain data that shares nothing with the engine."""
        timeline, choruses = self.timeline, choruses_of(self.settings)
        return EngineMemory(
            min(max(timeline.start, self.transport.reached_beat), timeline.end),
            self._bar_line,
            timeline.start,
            timeline.top,
            None if timeline.end == math.inf else timeline.end,
            tuple(self._changes),
            self.live.play.rate,
            choruses,
            self.improviser.memory(),
            self.chart.memory(),
            self._turns.memory(),
            self._soloist.memory(),
            self._accompaniment.memory(),
            {part.name: part.memory() for part in self.band},
            self._song_memory(),
            self.practice.memory(),
        )

    def _song_memory(self) -> SongMemory | None:
        song, start = self._song, self._song_start
        if song is None or self._written_song is None:
            return None
        return SongMemory(song.number, self._written_song, song.bpm, None if start == math.inf else start)

    def recall(self, memory: EngineMemory) -> None:
        """Go on from `memory`, which is of the same bundle. Raises ValueError, KeyError or ChordError.

        The beats of the tempo stay. Nothing sounds yet, and no key of the player is down.
        """
        timeline = self.timeline
        timeline.start, timeline.top = memory.start, memory.top
        timeline.end = math.inf if memory.end is None else memory.end
        self.chart.recall(memory.charts)
        self.improviser.recall(memory.improviser)
        self._turns.recall(memory.turns)
        self._soloist.recall(memory.soloist)
        self._accompaniment.recall(memory.accompaniment)
        for part in self.band:
            if part.name in memory.band:
                part.recall(memory.band[part.name])
            else:
                part.relocate()
        if (song := memory.song) is not None:
            self._song, self._written_song = events.QueueSong(song.number, song.chart.chart(), song.bpm), song.chart
        changes: Mapping[ChangeName, Callable[[float], list[MidiEvent]]]
        changes = {
            "mode": self._start_scheduled_mode,
            "chart": self._end_chart,
            "song": lambda beat: self._start_song(self.timeline.second_at(beat)),
            "practice": self._take_up_practice,
        }
        self._changes = {name: changes[name] for name in memory.changes}
        self._song_start = math.inf if song is None or song.start is None else song.start
        self.practice.recall(memory.practice, chart_follows="chart" in self._changes)
        self._set_bar_line(memory.bar_line)

    # -- what is shown

    def _update_state(self, beat: float, tick: int | None = None) -> list[MidiEvent]:
        """Report the state on `beat` if it has changed. `tick` is given where the written onset is known."""
        if not self.transport.rolling:
            return self._set_state("idle")
        if tick is None:
            tick = math.floor(self.timeline.unswung_tick(beat))
        started = tick_at(beat) >= tick_at(self.timeline.start)
        playing = started and self._soloist.is_our_turn(tick)
        first = tick if started else whole_tick_at(self.timeline.start)
        return self._set_state("playing" if playing else "listening", self._soloist.turn_change(first))

    def _set_state(self, state: PlayState, until: float | None = None) -> list[MidiEvent]:
        if (state, until) != (self._state, self._state_until):
            self._state, self._state_until = state, until
            self.report(events.StateChanged(state, until))
        return self._lamp(changed=True)

    def _lamp(self, *, changed: bool = False) -> list[MidiEvent]:
        """Return what the lamp is sent; with `changed`, only if that has changed."""
        midi, values = self.live.midi, LAMP if self.practice.coming is None else LAMP_BEFORE_NEWS
        value = values[self._state]
        if midi.lamp is None or (changed and value == self._lamp_value):
            return []
        self._lamp_value = value
        return [ControlChange(midi.lamp, value, midi.channel)]


def play_through(engine: Engine) -> Iterator[DueItem]:
    """Yield everything that `engine` plays to its end, each event at its exact second."""
    while (second := engine.deadline()) is not None:
        yield from engine.advance(second)
