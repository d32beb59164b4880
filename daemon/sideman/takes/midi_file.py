# SPDX-License-Identifier: Apache-2.0
"""A take as a standard MIDI file that grows: tempo map, meters, chords, settings; what was played; what was heard.

The bytes of each track are kept as they come, so that the file can be made anew at every bar line: putting together an
hour of sixteenths takes well under a millisecond. mido, which writes all other files, makes whole files only, takes
half a second for that hour, and would have to be loaded by whoever plays; the tests read with it what is written here.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable

from sideman.core.chart.chart import Meter
from sideman.core.events import (
    Advanced,
    BarStarted,
    ControlChange,
    EventSent,
    InputReceived,
    NoteHeard,
    NoteOff,
    NoteOn,
    PitchBend,
    PlayerEnded,
    ProgramChange,
    Report,
    encode,
)
from sideman.takes.journal import TakeHeader
from sideman.takes.lines import settings_to_json

TICKS_PER_BEAT = 960
_TEXT, _NAME, _MARKER, _END, _TEMPO, _METER = 0x01, 0x03, 0x06, 0x2F, 0x51, 0x58
_MIN_BEAT_US, _MAX_BEAT_US = 60_000, 6_000_000  # of a beat, a thousand and ten beats a minute: anything else is a jump
_TEMPO_TOLERANCE_S = 0.0005


class TrackWriter:
    """One track, its events encoded as they come. Ticks never go back."""

    def __init__(self) -> None:
        self.current_tick = 0
        self._data = bytearray()
        self._sounding: dict[tuple[int, int], None] = {}

    def add(self, tick: int, message: tuple[int, ...]) -> None:
        """A message of a channel."""
        self._advance_to(tick)
        self._data += bytes(message)
        kind, key = message[0] & 0xF0, (message[0] & 0x0F, message[1])
        if kind == 0x90:
            self._sounding[key] = None
        elif kind == 0x80:
            self._sounding.pop(key, None)

    def meta(self, tick: int, kind: int, content: bytes) -> None:
        """A meta event."""
        self._advance_to(tick)
        self._data += _encode_meta(kind, content)

    def chunk(self, head: bytes, end: int, pending: Iterable[tuple[int, int, bytes]] = ()) -> bytes:
        """The chunk of a file, with events before it and meta events to come, up to tick `end` or the last event.

        What sounds then is ended.
        """
        rest, now = bytearray(), self.current_tick
        for tick, kind, content in pending:
            rest += _variable_length(max(0, tick - now)) + _encode_meta(kind, content)
            now = max(now, tick)
        for channel, pitch in self._sounding:
            rest += _variable_length(max(0, end - now)) + bytes((0x80 | channel, pitch, 0))
            now = max(now, end)
        rest += _variable_length(max(0, end - now)) + _encode_meta(_END, b"")
        return b"".join((b"MTrk", struct.pack(">I", len(head) + len(self._data) + len(rest)), head, self._data, rest))

    def _advance_to(self, tick: int) -> None:
        self._data += _variable_length(max(0, tick - self.current_tick))
        self.current_tick = max(self.current_tick, tick)


def _encode_meta(kind: int, content: bytes) -> bytes:
    return bytes((0xFF, kind)) + _variable_length(len(content)) + content


def _variable_length(number: int) -> bytes:
    """A number as MIDI files write those that may be long: seven bits a byte, the last one without the eighth."""
    encoded = [number & 0x7F]
    while number := number >> 7:
        encoded.append(number & 0x7F | 0x80)
    return bytes(reversed(encoded))


class TakeMidiFile:
    """The MIDI file of the take that begins as `header` says."""

    def __init__(self, header: TakeHeader) -> None:
        self._start = header.first_beat
        self._conductor_track, self._played_track, self._heard_track = TrackWriter(), TrackWriter(), TrackWriter()
        self._header = header
        self._opening_meter = self._meter = header.chart.meter_at(header.start)
        self._head = _conductor_head(header, self._opening_meter)
        self._meter_tick = 0  # the tick where the meter was written last
        self._chord = ""
        self._markers: deque[tuple[int, int, bytes]] = deque()  # told ahead, and not yet passed
        self._end_tick = 0
        self._beat_us = _microseconds(header.settings.tempo.bpm)
        self._has_exact_tempo = header.settings.tempo.source == "internal"
        self._written_beat, self._written_s = header.first_beat, header.second  # as written so far
        self._is_anchored = header.whole  # else we come in in the middle, at a second that is to be found
        self._last_point = header.second, header.first_beat
        self._skew_s = 0.0  # seconds that the clock is ahead of the file, which has no halts in it

    def set_header(self, header: TakeHeader) -> None:
        """It has its name now."""
        self._header, self._head = header, _conductor_head(header, self._opening_meter)

    def add_report(self, report: Report) -> None:
        """Write down what a report tells, if it belongs there."""
        match report:
            case BarStarted(beat, meter, changes):
                self._add_meter(beat, meter)
                self._end_tick = max(self._end_tick, self._tick(beat))
                for at, chord in changes:
                    self._add_chord(beat + at, chord.text)
            case EventSent(_, beat, NoteOn() | NoteOff() | ControlChange() | ProgramChange() | PitchBend() as event):
                self._played_track.add(self._tick(beat), encode(event))
            case NoteHeard(beat, note):
                self._heard_track.add(self._tick(beat), encode(note))
            case InputReceived(second, beat, item):
                self._advance(second, beat, immediately=self._has_exact_tempo)
                if isinstance(item, ControlChange | ProgramChange | PitchBend):
                    self._heard_track.add(self._tick(beat), encode(item))
            case Advanced(second, beat) | PlayerEnded(second, beat):
                self._advance(second, beat)
            case _:
                pass

    def contents(self) -> bytes:
        """The file."""
        tracks = (self._conductor_track, self._played_track, self._heard_track)
        end = max(self._end_tick, *(track.current_tick for track in tracks))
        head = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), TICKS_PER_BEAT)
        conductor = self._conductor_track.chunk(self._head, end, self._markers)
        voices = [
            track.chunk(_text_event(_NAME, name), end)
            for name, track in zip(("played", "heard"), tracks[1:], strict=True)
        ]
        return b"".join((head, conductor, *voices))

    def _tick(self, beat: float) -> int:
        return max(0, round((beat - self._start) * TICKS_PER_BEAT))

    def _anchor(self, second: float, beat: float) -> None:
        if not self._is_anchored and beat >= self._start:
            self._is_anchored = True
            self._written_s = second - (beat - self._start) * self._beat_us / 1e6
            self._last_point = self._written_s, self._start

    def _add_meter(self, beat: float, meter: Meter) -> None:
        """Write the meter of the bar that begins on `beat`, if it is another, or the bars before do not lead there."""
        tick = self._tick(beat)
        while self._markers and self._markers[-1][0] >= tick:  # of a bar that was left
            self._markers.pop()
            self._chord = ""
        if meter != self._meter and tick == 0:
            self._opening_meter, self._head = meter, _conductor_head(self._header, meter)
        elif meter != self._meter or (tick - self._meter_tick) % round(meter.quarters * TICKS_PER_BEAT):
            self._meter_tick = tick
            self._markers.append((tick, _METER, _signature(meter)))
        self._meter = meter

    def _add_chord(self, beat: float, chord: str) -> None:
        if chord != self._chord:
            self._chord = chord
            self._markers.append((self._tick(beat), _MARKER, chord.encode("utf-8", "replace")))

    def _advance(self, second: float, beat: float, *, immediately: bool = False) -> None:
        """Time goes on: a beat later, or where a command may change the tempo, see what it has been since."""
        self._anchor(second, beat)
        passed, here = self._last_point
        if beat == here and beat >= self._start:
            self._skew_s += second - passed  # the music is halted
        self._last_point = second, beat
        self._end_tick = max(self._end_tick, self._tick(beat))
        if beat - self._written_beat >= (1e-6 if immediately else 1.0):
            self._measure_tempo(second - self._skew_s - self._written_s, beat)

    def _measure_tempo(self, seconds: float, beat: float) -> None:
        """So many `seconds` went by up to `beat`: write the tempo for them, if the one before would be wrong."""
        beats = beat - self._written_beat
        expected = beats * self._beat_us / 1e6
        if abs(seconds - expected) > _TEMPO_TOLERANCE_S:
            us = round(seconds * 1e6 / beats)
            if _MIN_BEAT_US <= us <= _MAX_BEAT_US:
                self._beat_us, expected = us, beats * us / 1e6
                self._write_tempo(self._tick(self._written_beat), us)
            else:
                self._skew_s += seconds - expected  # the music has moved to another place
        self._written_beat, self._written_s = beat, self._written_s + expected

    def _write_tempo(self, tick: int, us: int) -> None:
        """Write a tempo from `tick` on, after the chords up to there."""
        while self._markers and self._markers[0][0] <= tick:
            self._conductor_track.meta(*self._markers.popleft())
        self._conductor_track.meta(tick, _TEMPO, us.to_bytes(3, "big"))


def _signature(meter: Meter) -> bytes:
    return bytes((meter.numerator, meter.denominator.bit_length() - 1, 24, 8))


def _conductor_head(header: TakeHeader, meter: Meter) -> bytes:
    """How the conductor's track begins: name, meter, tempo, and what the take was made of, as texts."""
    about = [f"title: {header.chart.info.title}"] if header.chart.info.title else []
    about += [f"seed: {header.seed}", f"bundle: {header.bundle}", f"recorded {header.date} by sideman {header.sideman}"]
    about += [f"{name}: {value}" for name, value in settings_to_json(header.settings).items()]
    events = [
        _text_event(_NAME, header.name),
        _meta_event(_METER, _signature(meter)),
        _meta_event(_TEMPO, _microseconds(header.settings.tempo.bpm).to_bytes(3, "big")),
    ]
    return b"".join([*events, *(_text_event(_TEXT, text) for text in about)])


def _text_event(kind: int, text: str) -> bytes:
    return _meta_event(kind, text.encode("utf-8", "replace"))


def _meta_event(kind: int, content: bytes) -> bytes:
    return _variable_length(0) + _encode_meta(kind, content)


def _microseconds(bpm: float) -> int:
    return max(_MIN_BEAT_US, min(_MAX_BEAT_US, round(60e6 / bpm)))
