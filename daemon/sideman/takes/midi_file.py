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
from sideman.core.events import Control, NoteOff, NoteOn, PitchBend, ProgramChange, encode
from sideman.core.reports import Arrived, BarBegun, Ended, Heard, Report, Sent, Woke
from sideman.takes.journal import Header
from sideman.takes.jsonform import settings_form

TICKS_PER_BEAT = 960
_TEXT, _NAME, _MARKER, _END, _TEMPO, _METER = 0x01, 0x03, 0x06, 0x2F, 0x51, 0x58
_LEAST_US, _MOST_US = 60_000, 6_000_000  # of a beat, a thousand and ten beats a minute: anything else is a jump
_OFF_BY_S = 0.0005


class Track:
    """One track, its events encoded as they come. Ticks never go back."""

    def __init__(self) -> None:
        self.now = 0
        self._data = bytearray()
        self._sounding: dict[tuple[int, int], None] = {}

    def add(self, tick: int, message: tuple[int, ...]) -> None:
        """A message of a channel."""
        self._begin(tick)
        self._data += bytes(message)
        kind, key = message[0] & 0xF0, (message[0] & 0x0F, message[1])
        if kind == 0x90:
            self._sounding[key] = None
        elif kind == 0x80:
            self._sounding.pop(key, None)

    def meta(self, tick: int, kind: int, content: bytes) -> None:
        """A meta event."""
        self._begin(tick)
        self._data += _meta(kind, content)

    def chunk(self, head: bytes, end: int, coming: Iterable[tuple[int, int, bytes]] = ()) -> bytes:
        """The chunk of a file, with events before it and meta events to come, up to tick `end` or the last event.

        What sounds then is ended.
        """
        rest, now = bytearray(), self.now
        for tick, kind, content in coming:
            rest += _length(max(0, tick - now)) + _meta(kind, content)
            now = max(now, tick)
        for channel, pitch in self._sounding:
            rest += _length(max(0, end - now)) + bytes((0x80 | channel, pitch, 0))
            now = max(now, end)
        rest += _length(max(0, end - now)) + _meta(_END, b"")
        return b"".join((b"MTrk", struct.pack(">I", len(head) + len(self._data) + len(rest)), head, self._data, rest))

    def _begin(self, tick: int) -> None:
        self._data += _length(max(0, tick - self.now))
        self.now = max(self.now, tick)


def _meta(kind: int, content: bytes) -> bytes:
    return bytes((0xFF, kind)) + _length(len(content)) + content


def _length(number: int) -> bytes:
    """A number as MIDI files write those that may be long: seven bits a byte, the last one without the eighth."""
    encoded = [number & 0x7F]
    while number := number >> 7:
        encoded.append(number & 0x7F | 0x80)
    return bytes(reversed(encoded))


class TakeMidi:
    """The MIDI file of the take that begins as `header` says."""

    def __init__(self, header: Header) -> None:
        self._start = header.opens
        self._conductor, self._played, self._heard = Track(), Track(), Track()
        self._header = header
        self._opening = self._meter = header.chart.meter_at(header.start)
        self._head = _head(header, self._opening)
        self._signed = 0  # the tick where the meter was written last
        self._chord = ""
        self._markers: deque[tuple[int, int, bytes]] = deque()  # told ahead, and not yet passed
        self._end = 0
        self._us = _microseconds(header.settings.tempo.bpm)
        self._exact = header.settings.tempo.source == "internal"
        self._at, self._second = header.opens, header.second  # as written so far
        self._anchored = header.whole  # else we come in in the middle, at a second that is to be found
        self._before = header.second, header.opens
        self._skew = 0.0  # seconds that the clock is ahead of the file, which has no halts in it

    def named(self, header: Header) -> None:
        """It has its name now."""
        self._header, self._head = header, _head(header, self._opening)

    def add(self, report: Report) -> None:
        """Write down what a report tells, if it belongs there."""
        match report:
            case BarBegun(beat, meter, changes):
                self._count(beat, meter)
                self._end = max(self._end, self._tick(beat))
                for at, chord in changes:
                    self._mark(beat + at, chord.text)
            case Sent(_, beat, NoteOn() | NoteOff() | Control() | ProgramChange() | PitchBend() as event):
                self._played.add(self._tick(beat), encode(event))
            case Heard(beat, note):
                self._heard.add(self._tick(beat), encode(note))
            case Arrived(second, beat, item):
                self._pass(second, beat, at_once=self._exact)
                if isinstance(item, Control | ProgramChange | PitchBend):
                    self._heard.add(self._tick(beat), encode(item))
            case Woke(second, beat) | Ended(second, beat):
                self._pass(second, beat)
            case _:
                pass

    def contents(self) -> bytes:
        """The file."""
        tracks = (self._conductor, self._played, self._heard)
        end = max(self._end, *(track.now for track in tracks))
        head = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), TICKS_PER_BEAT)
        conductor = self._conductor.chunk(self._head, end, self._markers)
        voices = [
            track.chunk(_at_once(_NAME, name), end) for name, track in zip(("played", "heard"), tracks[1:], strict=True)
        ]
        return b"".join((head, conductor, *voices))

    def _tick(self, beat: float) -> int:
        return max(0, round((beat - self._start) * TICKS_PER_BEAT))

    def _anchor(self, second: float, beat: float) -> None:
        if not self._anchored and beat >= self._start:
            self._anchored = True
            self._second = second - (beat - self._start) * self._us / 1e6
            self._before = self._second, self._start

    def _count(self, beat: float, meter: Meter) -> None:
        """Write the meter of the bar that begins on `beat`, if it is another, or the bars before do not lead there."""
        tick = self._tick(beat)
        while self._markers and self._markers[-1][0] >= tick:  # of a bar that was left
            self._markers.pop()
            self._chord = ""
        if meter != self._meter and tick == 0:
            self._opening, self._head = meter, _head(self._header, meter)
        elif meter != self._meter or (tick - self._signed) % round(meter.quarters * TICKS_PER_BEAT):
            self._signed = tick
            self._markers.append((tick, _METER, _signature(meter)))
        self._meter = meter

    def _mark(self, beat: float, chord: str) -> None:
        if chord != self._chord:
            self._chord = chord
            self._markers.append((self._tick(beat), _MARKER, chord.encode("utf-8", "replace")))

    def _pass(self, second: float, beat: float, *, at_once: bool = False) -> None:
        """Time goes on: a beat later, or where a command may change the tempo, see what it has been since."""
        self._anchor(second, beat)
        passed, here = self._before
        if beat == here and beat >= self._start:
            self._skew += second - passed  # the music is halted
        self._before = second, beat
        self._end = max(self._end, self._tick(beat))
        if beat - self._at >= (1e-6 if at_once else 1.0):
            self._measure(second - self._skew - self._second, beat)

    def _measure(self, seconds: float, beat: float) -> None:
        """So many `seconds` went by up to `beat`: write the tempo for them, if the one before would be wrong."""
        beats = beat - self._at
        expected = beats * self._us / 1e6
        if abs(seconds - expected) > _OFF_BY_S:
            us = round(seconds * 1e6 / beats)
            if _LEAST_US <= us <= _MOST_US:
                self._us, expected = us, beats * us / 1e6
                self._conduct(self._tick(self._at), us)
            else:
                self._skew += seconds - expected  # the music has moved to another place
        self._at, self._second = beat, self._second + expected

    def _conduct(self, tick: int, us: int) -> None:
        """Write a tempo from `tick` on, after the chords up to there."""
        while self._markers and self._markers[0][0] <= tick:
            self._conductor.meta(*self._markers.popleft())
        self._conductor.meta(tick, _TEMPO, us.to_bytes(3, "big"))


def _signature(meter: Meter) -> bytes:
    return bytes((meter.numerator, meter.denominator.bit_length() - 1, 24, 8))


def _head(header: Header, meter: Meter) -> bytes:
    """How the conductor's track begins: name, meter, tempo, and what the take was made of, as texts."""
    about = [f"title: {header.chart.about.title}"] if header.chart.about.title else []
    about += [f"seed: {header.seed}", f"bundle: {header.bundle}", f"recorded {header.date} by sideman {header.sideman}"]
    about += [f"{name}: {value}" for name, value in settings_form(header.settings).items()]
    events = [
        _at_once(_NAME, header.name),
        _meta_at_once(_METER, _signature(meter)),
        _meta_at_once(_TEMPO, _microseconds(header.settings.tempo.bpm).to_bytes(3, "big")),
    ]
    return b"".join([*events, *(_at_once(_TEXT, text) for text in about)])


def _at_once(kind: int, text: str) -> bytes:
    return _meta_at_once(kind, text.encode("utf-8", "replace"))


def _meta_at_once(kind: int, content: bytes) -> bytes:
    return _length(0) + _meta(kind, content)


def _microseconds(bpm: float) -> int:
    return max(_LEAST_US, min(_MOST_US, round(60e6 / bpm)))
