# SPDX-License-Identifier: Apache-2.0
"""A take as a standard MIDI file that grows: a conductor track, what was played, and what was heard.

Each track is kept as bytes, so that the file can be rewritten at every bar line: for an hour of sixteenths that takes
well under a millisecond. mido, which writes all other MIDI files, only makes whole files, takes half a second for that
hour, and would have to be loaded while the music plays. The tests read these files with mido.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Sequence

from sideman.core import events
from sideman.core.chart.chart import Meter
from sideman.core.events import ControlChange, PitchBend, ProgramChange, encode
from sideman.takes.journal import TakeHeader
from sideman.takes.lines import settings_to_json

TICKS_PER_BEAT = 960
_TEXT, _NAME, _MARKER, _END, _TEMPO, _METER = 0x01, 0x03, 0x06, 0x2F, 0x51, 0x58
_PLAYED = (events.NoteOn, events.NoteOff, ControlChange, ProgramChange, PitchBend)
_MIN_BEAT_US, _MAX_BEAT_US = 60_000, 6_000_000
"""The length of a beat at 1000 and at 10 bpm, in microseconds; anything else is a jump and no tempo."""
_TEMPO_TOLERANCE_S = 0.0005
"""A new tempo is written if the old one would be wrong by more than this."""


class TrackWriter:
    """One track. Events are encoded when they are added; an earlier tick than the last one counts as the last one."""

    def __init__(self) -> None:
        self.current_tick = 0
        self._data = bytearray()
        self._sounding: dict[tuple[int, int], None] = {}

    def add(self, tick: int, message: Sequence[int]) -> None:
        """Add a channel message or a meta event."""
        self._data += _variable_length(max(0, tick - self.current_tick)) + bytes(message)
        self.current_tick = max(self.current_tick, tick)
        kind, key = message[0] & 0xF0, (message[0] & 0x0F, message[1])
        if kind == 0x90:
            self._sounding[key] = None
        elif kind == 0x80:
            self._sounding.pop(key, None)

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
    content = content.encode("utf-8", "replace") if isinstance(content, str) else content
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
        self._conductor_track, self._played_track, self._heard_track = TrackWriter(), TrackWriter(), TrackWriter()
        self._played_track.add(0, _meta_event(_NAME, "played"))
        self._heard_track.add(0, _meta_event(_NAME, "heard"))
        self._header = header
        self._opening_meter = self._meter = header.chart.meter_at(header.start)
        self._head = _conductor_head(header, self._opening_meter)
        self._meter_tick = 0  # where a meter was last written
        self._chord = ""
        self._markers: deque[tuple[int, bytes]] = deque()  # of bars reported ahead of time
        self._end_tick = 0
        self._beat_us = _microseconds(header.settings.tempo.bpm)
        self._has_exact_tempo = header.settings.tempo.source == "internal"
        self._written_beat, self._written_s = header.first_beat, header.second  # the tempo map reaches up to here
        self._is_anchored = header.whole  # otherwise the second of the first beat is still to be found
        self._last_point = header.second, header.first_beat
        self._skew_s = 0.0  # by how much the clock is ahead of the file, which leaves out the time while stopped
        for report in reports:
            self.add_report(report)

    def set_header(self, header: TakeHeader) -> None:
        """Take over the header when the take has got its name."""
        self._header, self._head = header, _conductor_head(header, self._opening_meter)

    def add_report(self, report: events.Report) -> None:
        """Add what a report says, if it belongs in the file."""
        match report:
            case events.BarStarted(beat, meter, changes):
                self._add_meter(beat, meter)
                self._end_tick = max(self._end_tick, self._tick(beat))
                for at, chord in changes:
                    if chord.text != self._chord:
                        self._chord = chord.text
                        self._markers.append((self._tick(beat + at), _meta_event(_MARKER, chord.text)))
            case events.EventSent(_, beat, event) if isinstance(event, _PLAYED):
                self._played_track.add(self._tick(beat), encode(event))
            case events.NoteHeard(beat, note):
                self._heard_track.add(self._tick(beat), encode(note))
            case events.InputReceived(second, beat, item):
                self._advance(second, beat, immediately=self._has_exact_tempo)
                if isinstance(item, ControlChange | ProgramChange | PitchBend):
                    self._heard_track.add(self._tick(beat), encode(item))
            case events.Advanced(second, beat) | events.PlayerEnded(second, beat):
                self._advance(second, beat)
            case events.PortChanged(key, _, text):
                track = self._heard_track if key == "midi.input" else self._played_track
                track.add(self._tick(self._last_point[1]), _meta_event(_TEXT, text))

    def contents(self) -> bytes:
        """The bytes of the file."""
        tracks = (self._conductor_track, self._played_track, self._heard_track)
        end = max(self._end_tick, *(track.current_tick for track in tracks))
        head = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), TICKS_PER_BEAT)
        conductor = self._conductor_track.chunk(end, self._head, self._markers)
        return b"".join((head, conductor, self._played_track.chunk(end), self._heard_track.chunk(end)))

    def _tick(self, beat: float) -> int:
        return max(0, round((beat - self._start) * TICKS_PER_BEAT))

    def _add_meter(self, beat: float, meter: Meter) -> None:
        """Write the meter of the bar on `beat` if it is new, or if counting bars from the last one misses `beat`."""
        tick = self._tick(beat)
        while self._markers and self._markers[-1][0] >= tick:  # of a bar that was not played after all
            self._markers.pop()
            self._chord = ""
        if meter != self._meter and tick == 0:
            self._opening_meter, self._head = meter, _conductor_head(self._header, meter)
        elif meter != self._meter or (tick - self._meter_tick) % round(meter.quarters * TICKS_PER_BEAT):
            self._meter_tick = tick
            self._markers.append((tick, _meter_event(meter)))
        self._meter = meter

    def _advance(self, second: float, beat: float, *, immediately: bool = False) -> None:
        """Time advances: measure the tempo after each beat, or `immediately` where a command may change it."""
        if not self._is_anchored and beat >= self._start:
            self._is_anchored = True
            self._written_s = second - (beat - self._start) * self._beat_us / 1e6
            self._last_point = self._written_s, self._start
        last_second, last_beat = self._last_point
        if beat == last_beat and beat >= self._start:
            self._skew_s += second - last_second  # the music is stopped
        self._last_point = second, beat
        self._end_tick = max(self._end_tick, self._tick(beat))
        if beat - self._written_beat >= (1e-6 if immediately else 1.0):
            self._measure_tempo(second - self._skew_s - self._written_s, beat)

    def _measure_tempo(self, seconds: float, beat: float) -> None:
        """Write the tempo of the last beats, which took `seconds`, if the current tempo would be wrong for them."""
        beats = beat - self._written_beat
        expected = beats * self._beat_us / 1e6
        if abs(seconds - expected) > _TEMPO_TOLERANCE_S:
            us = round(seconds * 1e6 / beats)
            if _MIN_BEAT_US <= us <= _MAX_BEAT_US:
                self._beat_us, expected = us, beats * us / 1e6
                tick = self._tick(self._written_beat)
                while self._markers and self._markers[0][0] <= tick:
                    self._conductor_track.add(*self._markers.popleft())
                self._conductor_track.add(tick, _tempo_event(us))
            else:
                self._skew_s += seconds - expected  # the music jumped to another place
        self._written_beat, self._written_s = beat, self._written_s + expected


def _meter_event(meter: Meter) -> bytes:
    return _meta_event(_METER, bytes((meter.numerator, meter.denominator.bit_length() - 1, 24, 8)))


def _tempo_event(beat_us: int) -> bytes:
    return _meta_event(_TEMPO, beat_us.to_bytes(3, "big"))


def _conductor_head(header: TakeHeader, meter: Meter) -> bytes:
    """The start of the conductor track: name, meter, tempo, and as texts what the take was made with."""
    texts = [f"title: {header.chart.info.title}"] if header.chart.info.title else []
    texts += [f"seed: {header.seed}", f"bundle: {header.bundle}", f"recorded {header.date} by sideman {header.sideman}"]
    texts += [f"{name}: {value}" for name, value in settings_to_json(header.settings).items()]
    beat_us = _microseconds(header.settings.tempo.bpm)
    opening = _meta_event(_NAME, header.name), _meter_event(meter), _tempo_event(beat_us)
    return b"".join(b"\0" + event for event in (*opening, *(_meta_event(_TEXT, text) for text in texts)))


def _microseconds(bpm: float) -> int:
    return max(_MIN_BEAT_US, min(_MAX_BEAT_US, round(60e6 / bpm)))
