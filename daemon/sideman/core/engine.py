# SPDX-License-Identifier: Apache-2.0
"""The pure machine that plays: time goes in, events that are due come out.

`receive` takes what is heard and asked for; `advance` yields what is due; `deadline` says when to call again. Nothing
here reads a clock, sends a byte or waits. Live play, rendering and the tests drive this same engine.

The schedule is a heap keyed by *beat*, so a tempo change moves nothing in it. When a beat is, says the `Conductor`;
what is played next, and in whose turn, says the `Soloist`. `prepare` makes the next choice ahead of its time, when the
caller has nothing better to do; an onset that comes due unprepared is chosen then and there, and is the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from sideman.core.actions import Panic, PlayVariation, Start, Stop, TapTempo
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.conductor import ALMOST_TICKS, PlaySpan
from sideman.core.events import (
    ActionRequested,
    BarPlayed,
    BarStarted,
    ChangeSettings,
    Choice,
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    ControlChange,
    LinkState,
    MidiEvent,
    NoteHeard,
    NoteOff,
    NoteOn,
    NotePlayed,
    PitchBend,
    ReleaseChannel,
    SetChart,
    SetMode,
    SetPortPeriod,
    SettingsChanged,
    SongPosition,
    Voice,
)
from sideman.core.input.melody import MelodyTracker, PlayerEvent
from sideman.core.input.midi_mapping import MidiMapping
from sideman.core.leader import Leader
from sideman.core.ledger import release_channel
from sideman.core.parts.comp import GATES, Comp, CompStyle
from sideman.core.parts.improviser import Improviser
from sideman.core.parts.smoothing import MIN_ONSET_GAP_BEATS
from sideman.core.parts.soloist import Soloist
from sideman.core.schedule import (
    ONSET,
    RELEASE,
    BarLine,
    CompOnset,
    DueItem,
    Item,
    NewMode,
    Release,
    ReleaseAll,
    Scheduled,
    Strike,
    Tick,
)
from sideman.core.settings.schema import ModeName, Settings, with_values
from sideman.core.snapshot import Snapshot
from sideman.core.timing.midi_clock import INTERNAL_CLOCK, ClockConfig, MidiClockFollower
from sideman.core.timing.tap_tempo import TapTempoEstimator
from sideman.core.timing.tempo import Tempo
from sideman_models.music.context import ticks_after_bar_line
from sideman_models.music.smoothing import delay_onset
from sideman_models.music.values import TICKS_PER_QUARTER, Value

TAKE_BACK_S = 0.003
"""A choice is taken back for a note heard at least so many seconds before its onset: time enough to choose anew."""

_UNHEARD_S = 0.003  # a note that was released so soon has not been heard
_ALMOST = 1e-7  # beats; what arithmetic may leave between a deadline and the beat it was computed from
_TURNS = {"play.trade_bars", "play.trade_first"}


class Engine(Leader):
    """Plays what `improviser` chooses over `tune`, in the time of a `span` and of the `clocks`."""

    def __init__(
        self,
        settings: Settings,
        tune: ChartTimeline,
        improviser: Improviser,
        span: PlaySpan,
        clocks: ClockConfig = INTERNAL_CLOCK,
    ) -> None:
        soloist = Soloist(
            settings.play, tune, improviser, round(span.start * TICKS_PER_QUARTER), rounds_off=span.has_final_note
        )
        super().__init__(settings, tune, soloist, span, clocks)
        self.hearing = MelodyTracker(settings.midi, tune)
        self.listener = self.hearing.echo_filter
        self.comp = Comp(tune)
        self.controls = MidiMapping()
        self.late, self.heard, self.played = 0, 0, 0
        self._taps = TapTempoEstimator()
        self._played: list[Choice] = []
        self._struck = self._struck_for = -math.inf  # the beat, and the second meant, of the last note
        self._comp_coming: CompOnset | None = None
        self._sounds: Choice | None = None  # what has been struck, and is not yet known to the network
        self._sounding: Release | None = None  # the end of the solo's last note

    # -- time

    @property
    def _late_s(self) -> float:
        return self.settings.play.late_ms / 1000

    @property
    def _apart(self) -> float:
        return min(self.improviser.rules.apart, MIN_ONSET_GAP_BEATS)

    def deadline(self) -> float | None:
        """The second when something is next due, or None when nothing ever will be; infinite while nobody knows.

        Who follows a clock is never done, nor who was halted: either may be started anew.
        """
        lost = math.inf if self._transport is None else self._transport.lost_at()
        lost = min(lost, self.hearing.chord_detector.settle_at, self.controls.next_due)
        if not self._rolls:
            return lost
        beat = min(self._schedule.next_beat, self._undecided())
        if beat == math.inf:
            return None if self._transport is None else lost
        return min(self._second_of(beat), lost)

    def _undecided(self) -> float:
        """The beat of a choice that has still to be made; infinite where there is none."""
        coming = self.soloist.coming() if self.soloist.choice is None else None
        return math.inf if coming is None else self._sounds_at(coming)

    def open(self, second: float) -> list[MidiEvent]:
        """What to send at once, before anything is played; the bars that are counted in put off the first beat."""
        self._put_off()
        self._do(self._beat_of(second))
        return self.voice()

    # -- what is heard and asked for

    def receive(self, item: MidiEvent | Command, second: float) -> list[MidiEvent]:
        """Take in a note heard, or a command, at `second`; returns what to send at once. `advance` to it first."""
        ours = isinstance(item, NoteOn) and self.listener.is_echo(item, second)
        orders = None if ours else self.controls.handle(item, second, self.settings)
        if orders is not None:
            return self._do_as_asked(orders, second)
        sent = self._receive(item, second)
        return [*sent, *self._do(self._beat_of(second))]

    def _receive(self, item: MidiEvent | Command, second: float) -> list[MidiEvent]:
        match item:
            case NoteOn() | NoteOff() | ControlChange() | PitchBend():
                self._hear(item, second)
            case ClockTick() | ClockStart() | ClockContinue() | ClockStop() | SongPosition() | LinkState():
                return self._follow(item, second)
            case Panic():
                return [*self.ledger.panic(), *self.voice()]
            case ReleaseChannel(channel):
                return release_channel(channel)
            case Start() | Stop() | SetMode() | PlayVariation() | TapTempo() | SetPortPeriod():
                return self._obey(item, second)
            case ChangeSettings(values):
                return self._change(values, second)
            case SetChart(chart):
                self._take_over(chart)
        return []

    def _do_as_asked(self, orders: Iterable[Command | ActionRequested], second: float) -> list[MidiEvent]:
        """Do what the player's hands ask for; returns what to send at once."""
        sent = []
        for order in orders:
            if isinstance(order, ActionRequested):
                self.tell(order)
            else:
                sent += self.receive(order, second)
        return sent

    def _obey(
        self, order: Start | Stop | SetMode | PlayVariation | TapTempo | SetPortPeriod, second: float
    ) -> list[MidiEvent]:
        match order:
            case Start():
                return self._begin(second)
            case Stop():
                return self._halt_here(second)
            case SetMode(mode, now):
                return self._ask_mode(mode, second, now=now)
            case PlayVariation():
                self.soloist.vary(self._line)
            case TapTempo():
                return self._tap(second)
            case SetPortPeriod(seconds) if isinstance(self._transport, MidiClockFollower):
                self._transport.set_port_period(seconds)
        return []

    def _tap(self, second: float) -> list[MidiEvent]:
        """A MIDI clock has its own tempo; a Link session can be asked for another."""
        bpm = None if self.settings.tempo.source == "midi-clock" else self._taps.tap(second)
        return [] if bpm is None else self.receive(ChangeSettings((("tempo.bpm", bpm),)), second)

    def _change(self, values: tuple[tuple[str, object], ...], second: float) -> list[MidiEvent]:
        """Let other settings hold, from the next value on that there is still time to choose; a mode from a bar on."""
        told = tuple((name, value) for name, value in values if name != "play.mode")
        modes: list[ModeName] = [value for name, value in values if name == "play.mode"]  # type: ignore[misc]
        if told:
            bpm = self.settings.tempo.bpm
            self.settings = with_values(self.settings, told)
            if self.settings.tempo.bpm != bpm:
                self._pull(self.settings.tempo.bpm, second)
            self._heed(second)
            self.soloist.adopt(self.settings.play)
            self.hearing.transpose = self.settings.midi.transpose
            self.tell(SettingsChanged(told))
        sent = self._ask_mode(modes[-1], second) if modes else []
        return [*sent, *self._count_anew()] if any(name in _TURNS for name, _ in told) else sent

    def _hear(self, event: MidiEvent, second: float) -> None:
        for played in self.hearing.player_events(event, second):
            if self._rolls or not isinstance(played, NoteOn):  # what was struck before a halt may end in it
                self._take_in(played, second)

    def _take_in(self, played: PlayerEvent, second: float) -> None:
        tempo = self.tempo if self._rolls else Tempo(self.tempo.bpm, second, self._reached)
        beat = tempo.beat_at(second)
        if isinstance(played, NoteOn):
            self._make_room(math.floor(self._unswung(beat)), second)
            self.heard += 1
        else:
            self._heed(second)
        self.hearing.track(played, second, tempo, self.swing, self.improviser)
        if isinstance(played, ControlChange):
            return
        if isinstance(played, NoteOn):
            self.soloist.rota.activity.note_on(self._unswung(beat))
        else:
            self.soloist.rota.activity.note_off(self._unswung(beat), keys_held=self.hearing.keys_held)
        self.tell(NoteHeard(beat, played))

    def _settle_chord(self, second: float) -> None:
        """The keys that are held have settled by `second`: from where they went down on, their chord counts."""
        held = self.hearing.chord_detector.detect()
        if held is None:
            return
        self._heed(second)
        chord, since = held
        self.tune.hold_chord(
            chord, self.hearing.intended_beat(since, self.tempo, self.swing) if self._rolls else self._reached
        )
        self.improviser.reconsider_changes()

    def _make_room(self, tick: int, second: float) -> None:
        """The player strikes: where we are to give way we stop at the next beat, else what is coming may be another."""
        if not self.soloist.rota.gives_way(tick):
            self._heed(second)
            return
        stops = self.soloist.next_pulse(tick + 1, TICKS_PER_QUARTER)
        self.soloist.give_way(stops)
        if self._sounding is not None:
            self._schedule.put(stops / TICKS_PER_QUARTER, RELEASE, self._sounding)

    def _heed(self, second: float) -> None:
        """Let what is heard at `second` count for the next choice, unless that is too near: then it stands."""
        coming = self.soloist.coming()
        if coming is None:
            return
        if self._second_of(self._sounds_at(coming)) - second >= TAKE_BACK_S:
            self.soloist.take_back()
        else:
            self.prepare(second)

    # -- what is due

    def advance(self, second: float) -> Iterator[DueItem]:
        """Yield all that is due up to `second`, in order. To be exhausted: what it has not yielded stays due."""
        if (turned := self.controls.next_due) <= second:
            yield from self._advance(turned)
            events = self._do_as_asked(self.controls.flush(turned), turned)
            yield from (DueItem(self.beat_at(turned), turned, event) for event in events)
        yield from self._advance(second)

    def _advance(self, second: float) -> Iterator[DueItem]:
        if self.hearing.chord_detector.settle_at <= second:
            self._settle_chord(self.hearing.chord_detector.settle_at)
        if self._transport is not None and second >= self._transport.lost_at():
            yield from self._lose(self._transport)
        if not self._rolls:
            return
        self._played_to = max(self._played_to, second)
        beat = self._beat_of(second) + _ALMOST
        while True:
            if self._undecided() <= beat:
                self.prepare(second)
            if self._schedule.next_beat > beat:
                return
            yield from self._falls_due(self._schedule.pop(), second)

    def _falls_due(self, item: Scheduled, second: float) -> Iterator[DueItem]:
        meant = self._second_of(item.beat)
        if isinstance(item.what, BarLine):
            yield from self._bar_line(item.what.tick, second)
        else:
            yield from (DueItem(item.beat, meant, event) for event in self._events(item.what, item.beat, second))
            self._take_note()

    def _take_note(self) -> None:
        """Let the network know of what has just been played: only now, since its step takes longer than all else."""
        if self._sounds is not None:
            choice, self._sounds = self._sounds, None
            self.soloist.played(choice)

    def _events(self, what: Item, beat: float, second: float) -> list[MidiEvent]:  # noqa: PLR0911 - one for each kind
        """What to send for `what`, which is due on `beat`."""
        match what:
            case Release(note, strike):
                return self.ledger.note_off(note, strike)
            case ReleaseAll():
                return self.ledger.release_all()
            case NewMode():
                return self._turn_over(beat)
            case Tick():
                return self._clock_falls_due(what, second)
            case Strike(note, beats, voice) if second - self._second_of(beat) <= self._late_s:
                return self._strike(note, beat, beat + beats, voice, second)
            case CompOnset(tick, style) if what is self._comp_coming:
                return self._comp(tick, style, beat, second)
            case Choice() if what is self.soloist.choice:
                return self._play(beat, second)
        return []  # a bar line, or what was taken back or is too late

    def _play(self, beat: float, second: float) -> list[MidiEvent]:
        choice = self.soloist.take()
        if choice.pitch is None:
            self._played.append(choice)
            self.soloist.played(choice)
            return []
        meant = self._second_of(beat)
        # Sent early, the first note of a new start may have been played as what would have come without it.
        played = meant <= self._struck_for + _ALMOST and second - self._struck_for > _UNHEARD_S
        if played or second - meant > self._late_s:
            self.late += 1
            self.soloist.missed(choice)
            return []
        note = NoteOn(choice.pitch, choice.velocity, self.settings.midi.channel)
        shows = self._do_on(choice.tick, beat)
        cut = self._events(self._sounding, beat, second) if self._sounding else []  # a swing may have moved its end
        events = self._strike(note, beat, self._ends_at(choice, beat), "solo", second, choice.value)
        self.played += 1
        self._struck, self._struck_for = beat, meant
        self._played.append(choice)
        self._sounds = choice
        return [*shows, *cut, *events]

    def _strike(
        self, note: NoteOn, beat: float, ends: float, voice: Voice, second: float, value: Value | None = None
    ) -> list[MidiEvent]:
        """Strike `note` on `beat`, and see to its end; returns what to send at `second`."""
        strike, events = self.ledger.note_on(note)
        self.listener.note_sent(note, second)
        release = Release(NoteOff(note.pitch, note.channel), strike)
        self._schedule.put(ends, RELEASE, release)
        if voice == "solo":
            self._sounding = release
        self.tell(NotePlayed(beat, ends - beat, note, voice, value))
        return events

    # -- the accompaniment

    def _accompany(self, tick: int) -> None:
        """Let the accompaniment play from `tick` to the end of its bar."""
        self._put_comp(self.comp.first_onset(tick), tick, self.settings.play.comp)

    def _comp(self, tick: int, style: CompStyle, beat: float, second: float) -> list[MidiEvent]:
        """Strike what the accompaniment has for `tick`, which sounds on `beat`."""
        roll = self.improviser.random_source.draw
        following = self.comp.next_onset(style, tick, roll)
        self._put_comp(following, tick, style)
        if second - self._second_of(beat) > self._late_s:
            self.late += 1
            return []
        ends = beat + (self._swung(following) - beat) * GATES[style]
        ends = ends if self.end is None else min(ends, self.end)
        struck = self.comp.notes_at(style, tick, self.settings.play.velocity, roll)
        notes = [NoteOn(each.pitch, each.velocity, self.settings.midi.comp) for each in struck]
        return [event for note in notes for event in self._strike(note, beat, ends, "comp", second)]

    def _put_comp(self, onset: int, tick: int, style: CompStyle) -> None:
        """Let the accompaniment strike at `onset`, if that is in the bar of `tick`: each bar line begins anew."""
        same_bar = self.tune.bar_at(onset)[0] == self.tune.bar_at(tick)[0]
        if style != "off" and same_bar and (self.end is None or onset < self.end * TICKS_PER_QUARTER):
            self._comp_coming = CompOnset(onset, style)
            self._schedule.put(self._swung(onset), ONSET, self._comp_coming)

    # -- bars

    def _move(self, place: float, ahead: float = 0.0) -> None:
        super()._move(place, ahead)
        self._played = []
        self._struck = -math.inf  # that note has been released
        tick = math.ceil(self._start * TICKS_PER_QUARTER - _ALMOST)
        if ticks_after_bar_line(self.tune, tick):
            self._accompany(tick)

    def _bar_line(self, tick: int, second: float) -> Iterator[DueItem]:
        beat, (_, length) = tick / TICKS_PER_QUARTER, self.tune.bar_at(tick)
        yield from (DueItem(beat, self._second_of(beat), event) for event in self._do(beat))
        if self._played or (self.settings.play.mode != "off" and beat > self._start):
            over, _ = self.tune.bar_at(tick - 1)
            chords = self.tune.chords_in_bar(over / TICKS_PER_QUARTER)
            played = BarPlayed(self.tune.bar_number_at(tick), chords, tuple(self._played))
            yield DueItem(beat, self._second_of(beat), played)
            self._played = []
        self._accompany(tick)
        # After a stop of the machine, go on from the bar that is really sounding.
        if self.end is None or beat < self.end:
            changes = tuple(self.tune.chords_within(beat, length / TICKS_PER_QUARTER))
            self.tell(BarStarted(beat, self.tune.meter_at(tick), changes))
        self._put_bar_line(max(tick + length, self.tune.bar_at(self._beat_of(second) * TICKS_PER_QUARTER)[0]))

    def silence(self) -> list[MidiEvent]:
        """The note-offs of all that sounds, and the end of our clock: what must be sent before the engine is left."""
        clock = self._clock_out.stop_messages() if self._clock_out else ()
        return [*self.ledger.release_all(), *clock, *self._does("idle")]

    def status(self, second: float) -> Snapshot:
        """How it stands at `second`."""
        beat, coming, play = self.beat_at(second), self.soloist.choice, self.settings.play
        sounding = math.floor(max(beat, self._start) * TICKS_PER_QUARTER + _ALMOST) / TICKS_PER_QUARTER
        return Snapshot(
            second=second,
            beat=beat - self._top,
            bar=self.tune.bar_number_at(beat * TICKS_PER_QUARTER + ALMOST_TICKS) + 1,
            top=self._top,
            charts=self.tune.charts,
            bpm=self.tempo.bpm,
            rolling=self._rolls,
            mode=play.mode,
            state=self._doing,
            held_chord=self.tune.held_chord_at(sounding),
            next_choice=coming,
            next_choice_beat=math.nan if coming is None else self._sounds_at(coming.tick) - self._top,
            seed=self.improviser.random_source.seed,
            late_notes=self.late,
            heard_notes=self.heard,
            echoes=self.listener.echoes,
            played_notes=self.played,
            settings=self.settings,
        )

    # -- what comes next

    def prepare(self, second: float) -> None:
        """Choose for the next onset, if that is not done; one already too late is passed over with all before it."""
        if self.soloist.choice is not None or not self._rolls:
            return
        coming = self.soloist.coming()
        if coming is not None and second - self._second_of(self._sounds_at(coming)) > self._late_s:
            self.soloist.skip(self._beat_of(second) * TICKS_PER_QUARTER)
            self.late += 1
            coming = self.soloist.coming()
        if coming is not None:
            self._schedule.put(self._sounds_at(coming), ONSET, self.soloist.prepare())

    def _sounds_at(self, tick: int) -> float:
        # Triplets stay where swung sixteenths move, so two onsets of one beat could meet, or change places.
        return delay_onset(self._swung(tick), self._struck, self._apart)

    def _ends_at(self, choice: Choice, beat: float) -> float:
        """The beat of the note-off: `gate` of the time to the next onset, and never beyond the end."""
        if self.end is not None and self.soloist.is_last(choice):
            return self.end
        written = choice.length
        until = max(self._swung(choice.tick + written), beat + MIN_ONSET_GAP_BEATS)
        ends = beat + (until - beat) * self.improviser.sounding_ticks(written) / written
        return ends if self.end is None else min(ends, self.end)


def play_through(engine: Engine) -> Iterator[DueItem]:
    """All that `engine` plays to its end, each event at its very second."""
    while (second := engine.deadline()) is not None:
        yield from engine.advance(second)
