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
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from msgspec import Struct

from sideman.core import events
from sideman.core.actions import Faster, NextSong, Panic, PlayVariation, Slower, Start, Stop, TapTempo
from sideman.core.changes.bar_line import BarLine, ChangeName
from sideman.core.changes.modes import ModeChanges
from sideman.core.changes.rounds import begin_round
from sideman.core.changes.song_queue import SongQueue
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.display import Display
from sideman.core.engine_memory import EngineMemory, memory_of, recall
from sideman.core.ensemble import Ensemble
from sideman.core.events import ChangeSettings, ClockInput, Command, ControlChange, MidiEvent, NoteOff, NoteOn
from sideman.core.parts.improviser import Improviser
from sideman.core.parts.part import Part, PlayedNote
from sideman.core.positions import reached_beat, tick_at, whole_tick_at
from sideman.core.settings.live import LiveSettings
from sideman.core.settings.schema import Settings
from sideman.core.settings.voices import voice_sounds
from sideman.core.snapshot import Snapshot
from sideman.core.timeline import PlaySpan
from sideman.core.timing.clock_source import CLOCK_SOURCES, ClockConfig
from sideman.core.timing.tempo import TapTempoEstimator, Tempo
from sideman.core.transport import Transition
from sideman.core.turns import MODES, ModeName
from sideman_models.music.context import next_bar_line
from sideman_models.music.values import TICKS_PER_QUARTER

START_LEAD_S = 0.1
"""The time from the command to start to the first beat, or to the first click."""
_ROUNDING_S = 1e-6
"""More than `EPSILON_BEATS` at the slowest tempo, in seconds."""
_END_RANK, _BAR_LINE_RANK = 0, 2

_Step = Callable[[float, float], Iterator["DueItem"]]
"""Does what is due on a beat, at a second."""


class DueItem(Struct, frozen=True):
    """An event to send, or the report of a bar, with the beat and the second that were meant for it."""

    beat: float
    second: float
    item: MidiEvent | events.BarPlayed


class Engine:
    """Plays what `improviser` chooses over `chart`, for the time of `span`, with the clocks of `clocks`."""

    def __init__(
        self, live: LiveSettings, chart: ChartTimeline, improviser: Improviser, span: PlaySpan, clocks: ClockConfig
    ) -> None:
        self._ensemble = ensemble = Ensemble(live, chart, improviser, span, clocks)
        self.live, self.chart, self.improviser = live, chart, improviser
        self.timeline, self.transport, self.ledger = ensemble.timeline, ensemble.transport, ensemble.ledger
        self.listening = ensemble.listening
        self.practice = ensemble.practice
        """What practice brings at the next bar line."""
        self.band = ensemble.band
        """The parts that accompany; each shows what it has planned."""
        self._parts, self._soloist, self._clock_out = ensemble.parts, ensemble.soloist, ensemble.clock_out
        self._mapping, self._turns = ensemble.mapping, ensemble.turns
        self._taps = TapTempoEstimator()
        self._key = chart.chart.info.key  # of the bar that began last
        self._nothing_until = -math.inf  # nothing is to be played before this second
        self._display = Display(ensemble)
        self._bar_line = BarLine(ensemble)
        self._songs = SongQueue(ensemble, self._bar_line)
        self._modes = modes = ModeChanges(ensemble, self._bar_line, self._display)
        self._changes: dict[ChangeName, Callable[[float], list[MidiEvent]]] = {
            "mode": modes.start_scheduled,
            "chart": lambda _beat: self.ledger.release_all(),
            "song": self._songs.begin,
            "practice": lambda beat: begin_round(beat, ensemble, modes),
        }
        self._set_bar_line(next_bar_line(chart, round(span.start * TICKS_PER_QUARTER)))

    @property
    def report(self) -> events.ReportSink:
        """Takes every report."""
        return self._ensemble.report

    @report.setter
    def report(self, sink: events.ReportSink) -> None:
        self._ensemble.report = sink

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
        return self._ensemble.late_notes

    def beat_at(self, second: float) -> float:
        """Return the beat at `second`; while the music does not roll, the beat at which it stands."""
        return self.transport.beat_at(second)

    def deadline(self) -> float | None:
        """Return the second at which something is to be done next; None if there is never anything more to do.

        It is infinite while that depends on what comes in: music that was stopped, or that follows a clock, can start
        again at any time.
        """
        due = self._next_due()
        self._nothing_until = -math.inf if due is None else due - _ROUNDING_S
        return due

    def _next_due(self) -> float | None:
        input_due = min(self.transport.lost_at, self.listening.chord_detector.settle_at, self._mapping.next_due)
        if not self.transport.rolling:
            return min(input_due, self._free_tick_at)
        beat = min(self._next_step()[0], self._soloist.next_beat())
        if beat == math.inf:
            return None if self.transport.clock is None else input_due
        return min(self.timeline.second_at(beat), input_due)

    def choice_due(self) -> float:
        """Return the second by which the soloist has to choose what it plays next; infinite if it need not."""
        if not self.transport.rolling or self._soloist.decision is not None:
            return math.inf
        return self.timeline.second_at(self._soloist.next_beat())

    def open(self, second: float) -> list[MidiEvent]:
        """Return what to send before anything is played. Bars that are counted in delay the first beat."""
        self._nothing_until = -math.inf
        if self.transport.rolling:
            self._start_tempo(self.tempo.second)
        self._run_clock_free(second)
        self._display.update_state(self.timeline.beat_at(second))
        return self._sent(self._setup(second), second)

    def sound_setup(self, *, general_midi: bool = False) -> list[MidiEvent]:
        """Return the sounds of the voices (see `voice_sounds`) and the lamp: what a new listener has to be sent."""
        return [*voice_sounds(self.live.midi, self.live.play, general_midi=general_midi), *self._display.lamp()]

    def _setup(self, second: float) -> list[MidiEvent]:
        """Return what everything at the other end of the port has to be sent: the synthesizer and the controllers."""
        return [*self.sound_setup(), *self._mapping.feedback(second, self.settings, everything=True)]

    def silence(self) -> list[MidiEvent]:
        """Release everything that sounds and stop our clock; send what this returns before you leave the engine."""
        clock = [] if self._clock_out is None else self._clock_out.stop_messages()
        return [*self.ledger.release_all(), *clock, *self._display.set_state("idle")]

    def snapshot(self, second: float) -> Snapshot:
        """Return how everything stands at `second`."""
        return self._display.snapshot(second)

    def plan(self) -> tuple[events.PlannedNote, ...]:
        """Return what the parts have decided and not yet played, in order; nothing while the music does not roll."""
        return self._display.plan()

    def options(self) -> events.ChoiceMade | None:
        """Return what the soloist could choose when it made its present choice; None if it has made none."""
        return self._display.options()

    # -- what comes in

    def receive(self, item: MidiEvent | Command, second: float) -> list[MidiEvent]:
        """Take in an event or a command at `second`, up to which `advance` was called; returns what to send at once."""
        self._nothing_until = -math.inf
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
        return self._sent([*sent, *self._display.update_state(self.timeline.beat_at(second))], second)

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
                return self.ledger.release_rest(channel)
            case Start():
                started = self._move_transport(self.transport.command("start", second), second)
                return [*started, *voice_sounds(self.live.midi, self.live.play)]  # the lamp follows the state
            case Stop():
                return self._move_transport(self.transport.command("stop", second), second)
            case events.SetMode(mode, now):
                return self._modes.request(mode, second, now=now)
            case PlayVariation():
                self._soloist.play_variation(self._bar_line.tick)
            case Slower() | Faster() if self.practice.sets_tempo:
                asked = self.practice.changed_bpm(slower=isinstance(item, Slower))
                if not self.transport.rolling:
                    return self._change_settings((("tempo.bpm", asked),), second)
                self.practice.asked_bpm = asked
                self._bar_line.prepare()
            case events.JumpToBar(bar):
                self.practice.jump = bar
                self._bar_line.prepare()
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
                self._songs.replace_chart(chart)
            case events.QueueSong():
                self._songs.queue(item, second)
            case NextSong():
                self._songs.ask_for_next(second)
        return []

    def _hear(self, received: MidiEvent, second: float) -> list[MidiEvent]:
        """Take in what came from the player's port. If the music waits for a note, it begins with that."""
        sent: list[MidiEvent] = []

        def begin(at: float) -> None:
            if (transition := self.transport.command("note", at)).then:
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
                self._songs.count_choruses()
            if self.settings.tempo.bpm != bpm:
                self._tempo_changed(second)
            if tick is not None and not self.listening.is_too_near(tick, second):
                self._soloist.take_back()
            if self.live.play.rate != rate:
                self._soloist.rate_changed()
            if any(key.startswith(("practice.", "tempo.bpm")) for key, _ in changes):
                self._bar_line.prepare()
            self.report(events.SettingsChanged(changes))
        sent = self._modes.request(modes[-1], second) if modes else []
        if any(key in MODES[self._modes.latest].counted_by for key, _ in changes):
            sent += self._modes.count_again()
        return sent

    def _tempo_changed(self, second: float) -> None:
        """`tempo.bpm` is another one: that counts, not what `slower` or `faster` has asked for before."""
        self.practice.asked_bpm = None
        if self.transport.clock is None:
            self.timeline.tempo = self.tempo.with_bpm(self.settings.tempo.bpm, second)
        else:
            self.transport.clock.request_tempo(self.settings.tempo.bpm)

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
        return [*sent, *self._modes.stand_at(self.transport.stopped_beat)]

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
        self.timeline.tempo = Tempo(self.tempo.bpm, second, self._ensemble.count_in.start())

    def _relocate(self, position: float, ahead: float = 0.0) -> None:
        """Continue at `position`, in beats from the top, at least `ahead` beats from here."""
        if "song" in self._bar_line.changes:
            self._songs.begin(self.transport.stopped_beat)
        self.practice.cancel()
        self.timeline.move(position, self.transport.stopped_beat, ahead)
        self._bar_line.changes.clear()
        self._turns.activity.clear()
        self._set_bar_line(next_bar_line(self.chart, tick_at(self.timeline.start)))
        for part in self._parts:
            part.relocate()
        self._songs.relocate()

    # -- what is played

    def advance(self, second: float) -> Iterator[DueItem]:
        """Yield everything that is to be played up to `second`, in order. Items that are not fetched are lost."""
        if second < self._nothing_until:
            if self.transport.rolling:
                self.transport.note_played_to(second)
            return
        self._nothing_until = -math.inf
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
        line = self._bar_line.beat
        beat, rank, step = self.ledger.next_end, _END_RANK, self._end_note
        if self._bar_line.changes and line < beat:
            beat, step = line, self._make_changes
        if self._bar_line.lies_before_end and line < beat:
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
            self._nothing_until = -math.inf
            self._soloist.prepare(second)
            for part in self.band:
                part.prepare()

    def work_ahead(self) -> None:
        """Work out a part of what a later choice needs, of a bounded size: when there is time, and nothing to play."""
        if self.transport.rolling:
            self._soloist.work_ahead()

    def _play(self, part: Part, beat: float, second: float) -> Iterator[DueItem]:
        for played in part.play(second):
            sent = self._start_note(played) if isinstance(played, PlayedNote) else [played]
            yield from self._due(sent, beat)
        self._soloist.sent()

    def _start_note(self, played: PlayedNote) -> list[MidiEvent]:
        """Enter a note in the ledger; returns what to send."""
        sent = self._display.update_state(played.beat, played.tick) if played.voice == "solo" else []
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
        for change in self._bar_line.take_changes():
            yield from self._due(self._changes[change](beat), beat)

    def _cross_bar_line(self, beat: float, second: float) -> Iterator[DueItem]:
        tick = self._bar_line.tick
        _, bar_ticks = self.chart.bar_at(tick)
        yield from self._due(self._display.update_state(beat), beat)
        played = self._soloist.take_bar()
        if played or (self.live.play.mode != "off" and beat > self.timeline.start):
            last_line, _ = self.chart.bar_at(tick - 1)
            chords = self.chart.chords_in_bar(last_line / TICKS_PER_QUARTER)
            bar = events.BarPlayed(self.chart.bar_number_at(tick), chords, played)
            yield DueItem(beat, self.timeline.second_at(beat), bar)
        if beat >= self.timeline.start:  # it is not counted in
            self._ensemble.accompaniment.start_bar(tick)
            for part in self.band:
                part.start_bar(tick)
        if beat < self.timeline.end:
            changes = tuple(self.chart.chords_within(beat, bar_ticks / TICKS_PER_QUARTER))
            key, self._key = self._key, self.chart.key_at(tick)
            new_key = self._key if self._key != key else None
            self.report(events.BarStarted(beat, self.chart.meter_at(tick), changes, new_key))
        # If the machine stood still, continue with the bar that sounds now.
        sounding_line, _ = self.chart.bar_at(self.timeline.beat_at(second) * TICKS_PER_QUARTER)
        self._set_bar_line(max(tick + bar_ticks, sounding_line, whole_tick_at(self.timeline.start)))
        yield from self._due(self._display.lamp(changed=True), beat)

    def _set_bar_line(self, tick: int) -> None:
        self._bar_line.move_to(tick)
        self._songs.announce()

    def _due(self, sent: Iterable[MidiEvent], beat: float) -> Iterator[DueItem]:
        second = self.timeline.second_at(beat)
        return (DueItem(beat, second, event) for event in sent)

    # -- saving and restoring

    @property
    def next_bar_line(self) -> int:
        """The tick of the next bar line."""
        return self._bar_line.tick

    def memory(self) -> EngineMemory:
        """Return all that is needed to go on with the same music, as plain data that shares nothing with the engine."""
        return memory_of(self._ensemble, self._bar_line, self._songs)

    def recall(self, memory: EngineMemory) -> None:
        """Go on from `memory`, which is of the same bundle. Raises ValueError, KeyError or ChordError.

        The beats of the tempo stay. Nothing sounds yet, and no key of the player is down.
        """
        self._nothing_until = -math.inf
        recall(memory, self._ensemble, self._bar_line, self._songs)
        self._key = self.chart.key_at(memory.bar_line - 1)


def play_through(engine: Engine) -> Iterator[DueItem]:
    """Yield everything that `engine` plays to its end, each event at its exact second."""
    while (second := engine.deadline()) is not None:
        yield from engine.advance(second)
