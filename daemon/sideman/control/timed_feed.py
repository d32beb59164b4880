# SPDX-License-Identifier: Apache-2.0
"""The events of version 2: each with its second, and with every note that is planned, played, taken back or released.

They are made in the main thread from the events of version 1 and from the player's reports. A note has a number, which
it gets here when it is first seen: a plan that the player reports is compared with the one before. Seconds are those of
the monotonic clock, on which the player plays; the tempo, with `play.offset_ms` in it, comes from its snapshot, which
is never older than the plan that was reported last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count

from msgspec import Struct
from msgspec.structs import astuple

from sideman.control import protocol
from sideman.control.api import CLOCK_NAME, ControlApi
from sideman.control.events import (
    BeatEvent,
    ChoicesEvent,
    ComingEvent,
    ComingEvent2,
    Event,
    Event2,
    HeardEvent,
    ModeEvent,
    Option,
    PlayedEvent,
    PortsEvent,
    PortsEvent2,
    ReleasedEvent,
    StatusEvent,
    TakenBackEvent,
    TempoEvent,
    ValueEvent,
)
from sideman.core import events
from sideman.core.events import NoteOff, NoteOn, NotePlayed, NoteSent, PlannedNote
from sideman.core.snapshot import Snapshot
from sideman.core.timing.tempo import Tempo
from sideman.playing.player import WAKE_AHEAD_S

TOLERANCE_S = 0.0005
"""A tempo is sent again if the one that was sent would be wrong by more than this, now or a second later."""

TimedEvent = tuple[float, Event2]
"""An event, and its second."""
_Planned = tuple[str, float, NoteOn | None]
"""What makes two planned notes the same note: voice, beat, and pitch with velocity and channel."""
_Key = tuple[int, int]  # channel and pitch


class _Line(Struct, frozen=True):
    """The tempo as it sounds, in beats from the top; while the music does not roll, its beat is where it stands."""

    tempo: Tempo
    rolling: bool

    @classmethod
    def of(cls, snapshot: Snapshot) -> _Line:
        offset_s = snapshot.settings.play.offset_ms / 1000
        return cls(Tempo(snapshot.bpm, snapshot.second + offset_s, snapshot.beat), snapshot.rolling)

    def is_like(self, other: _Line, now: float) -> bool:
        """Whether `other` says the same as this one, now and a second later."""
        if self.rolling != other.rolling:
            return False
        if not self.rolling:
            return (self.tempo.bpm, self.tempo.beat) == (other.tempo.bpm, other.tempo.beat)
        beats = (self.tempo.beat_at(now), self.tempo.beat_at(now + 1))
        return all(abs(self.tempo.second_at(beat) - other.tempo.second_at(beat)) <= TOLERANCE_S for beat in beats)


class _Pending(Struct):
    """A note that was announced, under this number, for this second."""

    number: int
    note: PlannedNote
    second: float


class TimedFeed:
    """Makes the events of version 2, while somebody watches them. `snapshot` returns the player's latest snapshot."""

    def __init__(self, api: ControlApi, snapshot: Callable[[], Snapshot]) -> None:
        self._api, self._snapshot = api, snapshot
        self._numbers = count(1)
        self._line = _Line.of(snapshot())
        self._input_s = 0.0  # the second of what came in last
        self._ports: list[protocol.PortInfo] = []
        self._pending: dict[_Planned, _Pending] = {}
        self._struck: dict[_Key, NotePlayed] = {}  # played, and not yet sent
        self._sounding: dict[_Key, int] = {}

    def initial_events(self, first: Iterable[Event], now: float) -> Iterator[TimedEvent]:
        """Return what a new client has to know first; `first` is what one of version 1 gets."""
        for event in first:
            if isinstance(event, PortsEvent):
                yield now, self._ports_event(event.text)
            else:
                yield from self._with_second([event], now)
        yield self._tempo_event(_Line.of(self._snapshot()))
        for pending in self._pending.values():
            yield self._coming(pending)

    def report_events(self, report: events.Report, made: Iterable[Event], now: float) -> Iterator[TimedEvent]:
        """Return the events that follow from `report`, of which version 1 has `made` those."""
        match report:
            case events.InputReceived(second):
                self._input_s = second
            case events.PlanChanged(notes):
                yield from self._tempo_events(now)
                yield from self._compare_plans(notes, now)
            case events.PlayerEnded():
                yield from self._compare_plans((), now)
            case events.ChoiceMade(beat, options):
                at = beat - self._snapshot().top
                shown = [Option(value.text, pitch, round(share, 4)) for value, pitch, share in options]
                yield self._line.tempo.second_at(at), ChoicesEvent(round(at, 4), shown)
            case NotePlayed(note=note):
                self._struck[note.channel, note.pitch] = report
            case events.NoteSent():
                yield from self._note_sent(report, now)
        yield from self._with_second(made, now)

    def timed_events(self, made: Iterable[Event], now: float) -> Iterator[TimedEvent]:
        """Return the events that depend on time alone, of which version 1 has `made` those."""
        yield from self._tempo_events(now)
        for event in made:
            if isinstance(event, StatusEvent) and self._api.list_ports() != self._ports:
                yield now, self._ports_event(event.ports)
            yield from self._with_second([event], now)

    def forget(self) -> None:
        """No client watches any more: what was planned and played since is not known."""
        self._pending, self._struck, self._sounding = {}, {}, {}

    # -- seconds

    def _with_second(self, made: Iterable[Event], now: float) -> Iterator[TimedEvent]:
        for event in made:
            match event:
                case ValueEvent() | ComingEvent() | PortsEvent():
                    continue  # version 2 has others in their place
                case HeardEvent():
                    yield self._input_s, event
                case BeatEvent(beat=beat) | ModeEvent(beat=beat) if self._line.rolling:
                    yield self._line.tempo.second_at(beat), event
                case _:
                    yield now, event

    def _tempo_events(self, now: float) -> Iterator[TimedEvent]:
        """Return the tempo, if it is another one, and the planned notes that it moves."""
        line = _Line.of(self._snapshot())
        if self._line.is_like(line, now):
            return
        self._line = line
        yield self._tempo_event(line)
        for pending in self._pending.values() if line.rolling else ():
            second = self._second_of(pending.note)
            if abs(second - pending.second) > TOLERANCE_S:
                pending.second = second
                yield self._coming(pending)

    def _tempo_event(self, line: _Line) -> TimedEvent:
        bpm, second, beat = astuple(line.tempo)
        return second, TempoEvent(round(bpm, 6), round(beat, 6), line.rolling, CLOCK_NAME)

    def _second_of(self, note: PlannedNote | NotePlayed) -> float:
        return self._line.tempo.second_at(note.beat - self._snapshot().top)

    # -- notes

    def _compare_plans(self, notes: Iterable[PlannedNote], now: float) -> Iterator[TimedEvent]:
        before, self._pending = self._pending, {}
        changed = []
        for note in notes:
            key = note.voice, note.beat, note.note
            pending = before.pop(key, None)
            if pending is None or pending.note != note:
                number = next(self._numbers) if pending is None else pending.number
                pending = _Pending(number, note, self._second_of(note))
                changed.append(pending)
            self._pending[key] = pending
        # A rest whose time has come, to which the player wakes ahead, is over; a note was left out.
        over_s = now + 2 * WAKE_AHEAD_S
        gone = [each.number for each in before.values() if each.note.note is not None or each.second > over_s]
        if gone:
            yield now, TakenBackEvent(gone)
        yield from map(self._coming, changed)

    def _note_sent(self, sent: NoteSent, now: float) -> Iterator[TimedEvent]:
        key = sent.note.channel, sent.note.pitch
        if isinstance(sent.note, NoteOff):
            if (number := self._sounding.pop(key, None)) is not None:
                yield sent.second, ReleasedEvent(number)
        elif (played := self._struck.pop(key, None)) is not None:
            yield from self._tempo_events(now)
            known = self._pending.pop((played.voice, played.beat, played.note), None)
            number = self._sounding[key] = next(self._numbers) if known is None else known.number
            yield sent.second, PlayedEvent(*self._fields(number, played), sent=round(sent.sent_s, 6))

    def _coming(self, pending: _Pending) -> TimedEvent:
        return pending.second, ComingEvent2(*self._fields(pending.number, pending.note))

    def _fields(
        self, number: int, note: PlannedNote | NotePlayed
    ) -> tuple[int, float, float, float, int | None, int, str, int, str | None, int]:
        """Return the fields of an event about a note, in order."""
        beats = max(0.0, note.length_beats)
        pitch, velocity, channel = (None, 0, 1) if note.note is None else astuple(note.note)
        return (
            number,
            round(note.beat - self._snapshot().top, 4),
            round(beats, 4),
            round(beats * 60 / self._line.tempo.bpm, 6),
            pitch,
            velocity,
            note.voice,
            channel,
            None if note.value is None else note.value.text,
            note.motif,
        )

    def _ports_event(self, text: str) -> PortsEvent2:
        self._ports = self._api.list_ports()
        return PortsEvent2(text, self._ports)
