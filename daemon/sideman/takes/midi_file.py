# SPDX-License-Identifier: Apache-2.0
"""A take as a standard MIDI file that grows: a conductor track, what was played, what was heard, bass and drums.

Each track is kept as bytes, so that the file can be rewritten at every bar line: for an hour of sixteenths that takes
well under a millisecond. mido, which writes all other MIDI files, only makes whole files, takes half a second for that
hour, and would have to be loaded while the music plays. The tests read these files with mido.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Sequence

from sideman.core import events
from sideman.core.chart.chart import ChartInfo, Meter
from sideman.core.events import ControlChange, PitchBend, ProgramChange, Voice, encode
from sideman.core.ledger import is_release
from sideman.core.settings.voices import voice_of_channel
from sideman.takes.journal import TakeHeader
from sideman.takes.lines import settings_to_json
from sideman.takes.tempo_map import take_tempo
from sideman_models.music.harmony import Chord
from sideman_models.text import printable

TICKS_PER_BEAT = 960
_TEXT, _NAME, _LYRIC, _MARKER, _END, _TEMPO, _METER, _KEY = 0x01, 0x03, 0x05, 0x06, 0x2F, 0x51, 0x58, 0x59
_KEY_START = bytes((0xFF, _KEY))
_PLAYED = (events.NoteOn, events.NoteOff, ControlChange, ProgramChange, PitchBend)


class TrackWriter:
    """One track. Events are encoded when they are added; an earlier tick than the last one counts as the last one."""

    def __init__(self) -> None:
        self.current_tick = 0
        self._data = bytearray()
        self._sounding: dict[tuple[int, int], None] = {}

    def add(self, tick: int, message: Sequence[int]) -> int:
        """Add a channel message or a meta event; returns its end, see `replace`."""
        self._data += _variable_length(max(0, tick - self.current_tick)) + bytes(message)
        self.current_tick = max(self.current_tick, tick)
        kind, key = message[0] & 0xF0, (message[0] & 0x0F, message[1])
        if kind == 0x90:
            self._sounding[key] = None
        elif kind == 0x80:
            self._sounding.pop(key, None)
        return len(self._data)

    def replace(self, end: int, message: bytes) -> None:
        """Replace the event that ends there by one of the same length."""
        self._data[end - len(message) : end] = message

    def chunk(self, end: int, head: bytes = b"", pending: Iterable[tuple[int, bytes]] = ()) -> bytes:
        """The track as a chunk of a file: the bytes `head`, the events, the `pending` events and their ticks, the end.

        It ends at tick `end` or at the last event; notes that still sound are released there.
        """
        rest, now = bytearray(), self.current_tick
        releases = [(end, bytes((0x80 | channel, pitch, 0))) for channel, pitch in self._sounding]
        for tick, event in (*pending, *releases, (end, _meta_event(_END, b""))):
            rest += _variable_length(max(0, tick - now)) + event
            now = max(now, tick)
        return b"".join((b"MTrk", struct.pack(">I", len(head) + len(self._data) + len(rest)), head, self._data, rest))


def _meta_event(kind: int, content: bytes | str) -> bytes:
    content = printable(content).encode() if isinstance(content, str) else content
    return bytes((0xFF, kind)) + _variable_length(len(content)) + content


def _variable_length(number: int) -> bytes:
    """A variable-length quantity: seven bits a byte, the eighth bit set in all bytes but the last."""
    encoded = [number & 0x7F]
    while number := number >> 7:
        encoded.append(number & 0x7F | 0x80)
    return bytes(reversed(encoded))


class TakeMidiFile:
    """The MIDI file of the take with this header and these first reports."""

    def __init__(self, header: TakeHeader, reports: Iterable[events.Report] = ()) -> None:
        self._start = header.first_beat
        self._tracks = self._conductor_track, self._played_track, self._heard_track = (
            TrackWriter(), TrackWriter(), TrackWriter()
        )  # fmt: skip
        self._band_tracks: dict[Voice, TrackWriter] = {}  # of the voices that have played
        self._has_drums = "drums" in header.settings.play.comp
        self._header = header
        self._opening_meter = self._meter = header.chart.meter_at(header.start)
        self._texts = _header_texts(header)
        self._meter_tick = 0  # where a meter was last written
        self._chord = ""
        self._pending: deque[tuple[int, bytes]] = deque()  # of the conductor; a tempo may still come before them
        self._lyrics: deque[tuple[int, bytes]] = deque()  # of begun bars; notes may still come before them
        self._key = self._next_key = header.chart.info.key
        self._key_change: tuple[int, bytes] | None = None  # the last one, with its tick
        self._end_tick = 0
        self._last_beat = header.first_beat
        self._tempo = take_tempo(header)
        self._tempo_places: list[int] = []  # where the tempos after the first end in the conductor track
        for report in reports:
            self.add_report(report)

    def set_header(self, header: TakeHeader) -> None:
        """Take over the header when the take has got its name."""
        self._header, self._texts = header, _header_texts(header)

    def add_report(self, report: events.Report) -> None:
        """Add what a report says, if it belongs in the file."""
        match report:
            case events.BarStarted(beat, meter, changes, key):
                self._tempo.start_bar(beat)
                self._start_bar(beat, meter, changes, key)
            case events.EventSent(_, beat, event) if isinstance(event, _PLAYED):
                self._add_lyrics(self._tick(beat))
                wire = encode(event)
                self._track_of(event.channel, wire).add(self._tick(beat), wire)
            case events.NoteHeard(beat, note):
                self._heard_track.add(self._tick(beat), encode(note))
            case events.InputReceived(second, beat, item):
                self._advance(second, beat, by_command=True)
                if isinstance(item, events.ChangeSettings):
                    self._has_drums |= "drums" in dict(item.values).get("play.comp", ())  # type: ignore[operator]
                if isinstance(item, events.SetChart):  # in takes of earlier versions a bar does not say its key
                    self._next_key = item.chart.info.key
                if isinstance(item, ControlChange | ProgramChange | PitchBend):
                    self._heard_track.add(self._tick(beat), encode(item))
            case events.Advanced(second, beat) | events.PlayerEnded(second, beat):
                self._advance(second, beat, by_command=isinstance(report, events.PlayerEnded))  # which comes after one
            case events.PortChanged(key, _, text):
                track = self._heard_track if key in ("midi.input", "tempo.port") else self._played_track
                track.add(self._tick(self._last_beat), _information(text))

    def contents(self) -> bytes:
        """The bytes of the file."""
        opening, *later = self._tempo.marks
        for place, mark in zip(self._tempo_places, later, strict=True):
            self._conductor_track.replace(place, _tempo_event(mark.beat_us))
        tracks = (*self._tracks, *self._band_tracks.values())
        end = max(self._end_tick, *(track.current_tick for track in tracks))
        conductor = _meta_event(_NAME, self._header.name), _meter_event(self._opening_meter)
        key = _key_event(self._header.chart.info)
        heads = (
            (*conductor, key, _tempo_event(opening.beat_us), *self._texts),
            (_meta_event(_NAME, "played"), key),
            (_meta_event(_NAME, "heard"), key),
            *((_meta_event(_NAME, voice), key) for voice in self._band_tracks),
        )
        chunks = [b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), TICKS_PER_BEAT)]
        pending_events = (self._pending, self._lyrics, *((),) * (len(tracks) - 2))
        for track, head, pending in zip(tracks, heads, pending_events, strict=True):
            chunks.append(track.chunk(end, b"".join(b"\0" + event for event in head if event), pending))
        return b"".join(chunks)

    def _track_of(self, channel: int, wire: Sequence[int]) -> TrackWriter:
        """The track of what was played on `channel`: bass and drums have their own, not clicks and releases alone."""
        voice = voice_of_channel(channel, self._header.settings.midi)
        if voice != "bass" and not (voice == "drums" and self._has_drums):
            return self._played_track
        if is_release(wire) and voice not in self._band_tracks:
            return self._played_track
        if voice not in self._band_tracks:
            self._band_tracks[voice] = TrackWriter()
            if self._key_change is not None:
                self._band_tracks[voice].add(*self._key_change)
        return self._band_tracks[voice]

    def _tick(self, beat: float) -> int:
        return max(0, round((beat - self._start) * TICKS_PER_BEAT))

    def _start_bar(self, beat: float, meter: Meter, changes: Iterable[tuple[float, Chord]], key: str | None) -> None:
        """Write the meter and the key of a bar if they are new, and its chords: as markers and as lyrics."""
        tick = self._tick(beat)
        for waiting in self._pending, self._lyrics:
            while waiting and waiting[-1][0] >= tick:  # of a bar that was not played after all
                if waiting.pop()[1][:2] == _KEY_START:
                    self._key = ""  # it is written again
                self._chord = ""
        self._add_meter(tick, meter)
        self._next_key = self._next_key if key is None else key
        if self._next_key != self._key:
            self._key = self._next_key
            event = _key_event(ChartInfo(key=self._key)) or _meta_event(_KEY, bytes(2))
            self._key_change = tick, event
            self._pending.append(self._key_change)
            self._lyrics.append(self._key_change)
            for track in self._heard_track, *self._band_tracks.values():
                track.add(tick, event)
        self._end_tick = max(self._end_tick, tick)
        for at, chord in changes:
            if chord.text != self._chord:
                self._chord = chord.text
                self._pending.append((self._tick(beat + at), _meta_event(_MARKER, chord.text)))
                self._lyrics.append((self._tick(beat + at), _meta_event(_LYRIC, chord.text)))

    def _add_meter(self, tick: int, meter: Meter) -> None:
        """Write the meter of a bar if it is new, or if counting bars from the last one misses `tick`."""
        if meter != self._meter and tick == 0:
            self._opening_meter = meter
        elif meter != self._meter or (tick - self._meter_tick) % round(meter.quarters * TICKS_PER_BEAT):
            self._meter_tick = tick
            self._pending.append((tick, _meter_event(meter)))
        self._meter = meter

    def _add_lyrics(self, tick: int) -> None:
        while self._lyrics and self._lyrics[0][0] <= tick:
            self._played_track.add(*self._lyrics.popleft())

    def _advance(self, second: float, beat: float, *, by_command: bool) -> None:
        """Time advances, and with it the tempo map; `by_command`: where a command may change the tempo."""
        if beat < self._start:
            return
        self._last_beat = beat
        self._end_tick = max(self._end_tick, self._tick(beat))
        self._tempo.add(second, beat, by_command=by_command)
        for mark in self._tempo.marks[len(self._tempo_places) + 1 :]:
            tick = self._tick(mark.beat)
            self._settle(tick)
            self._tempo_places.append(self._conductor_track.add(tick, _tempo_event(mark.beat_us)))
        self._settle(self._tick(self._tempo.settled))

    def _settle(self, tick: int) -> None:
        """No tempo comes before `tick` any more."""
        while self._pending and self._pending[0][0] <= tick:
            self._conductor_track.add(*self._pending.popleft())


def _meter_event(meter: Meter) -> bytes:
    return _meta_event(_METER, bytes((meter.numerator, meter.denominator.bit_length() - 1, 24, 8)))


def _tempo_event(beat_us: int) -> bytes:
    return _meta_event(_TEMPO, beat_us.to_bytes(3, "big"))


def _key_event(info: ChartInfo) -> bytes:
    """The key signature of a chart, or nothing where the chart does not say its key."""
    signature = info.signature
    return b"" if signature is None else _meta_event(_KEY, bytes((signature[0] & 0xFF, signature[1])))


def _header_texts(header: TakeHeader) -> list[bytes]:
    """What the take was made with, as texts of the conductor track."""
    texts = [f"title: {header.chart.info.title}"] if header.chart.info.title else []
    texts += [f"seed: {header.seed}", f"bundle: {header.bundle}", f"recorded {header.date} by sideman {header.sideman}"]
    texts += [f"{name}: {value}" for name, value in settings_to_json(header.settings).items()]
    return [_information(text) for text in texts]


def _information(text: str) -> bytes:
    """A text about the take, marked as karaoke files mark theirs, so that no score program prints it under a note.

    It is one line, whatever is in it: a file with lines of somebody's choice may be taken for another kind of file.
    """
    return _meta_event(_TEXT, f"@I {text.replace(chr(10), ' ')}")
