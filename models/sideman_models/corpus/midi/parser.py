# SPDX-License-Identifier: Apache-2.0
"""The bytes of a standard MIDI file, read as far as they make sense.

mido gives a whole file or an error: a file that breaks off in its last track would give nothing, and a length of two
gigabytes is believed before it is found not to be there. Files in the wild are broken in such ways, so the bytes are
read here; what mido reads without complaint is read the same (the tests compare the two).

- A chunk ends where it says, if another chunk or the end of the file is there; if not, at the next track, or the end.
- A track is read up to its end mark, or to the first byte that makes no sense. What came before counts.
- Running status outlives meta and system exclusive messages, as many programs write it.
- A note-off ends the last note of its channel and pitch that began before it; so one that is lost costs one note its
  end, and none after it. A note without an end lasts until the next one begins on its channel, a whole note at most.
- Tempo is not looked at: times are in ticks of a quarter note, and stay so.

Nothing is believed that would need much memory or time: see the caps below.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_BYTES = 1 << 23
"""A file larger than this (8 MiB) is not read: it holds sounds or samples, or far more than a line of music."""
MOST_EVENTS = 250_000
"""Of one file; what comes after is not read."""
MOST_TRACKS = 1024
MOST_QUARTERS = 10_000
"""Quarter notes from the top, an hour or more; what comes after is not read."""
MOST_TEXTS, MOST_TEXT = 4096, 256
"""Texts of one track, and bytes of one text; the rest is not read."""

Strike = tuple[float, float, int]
"""Onset, end and pitch of a note."""

_TEXTS = {0x01: "text", 0x05: "lyric", 0x06: "marker", 0x07: "cue"}
_NAME, _INSTRUMENT, _END, _METRE = 0x03, 0x04, 0x2F, 0x58
_OFF, _ON, _PROGRAM, _PRESSURE = 0x8, 0x9, 0xC, 0xD
_SYSTEM_LENGTHS = {0xF1: 1, 0xF2: 2, 0xF3: 1}
_UNENDED = 4


class MidiError(Exception):
    """Bytes that are no MIDI file, or one that knows no beats."""


class _Broken(Exception):
    """Here the sense ends."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text event, in ticks of the file; `kind` is text, lyric, marker or cue."""

    tick: int
    kind: str
    text: str


@dataclass(slots=True)
class Track:
    """What one track holds, in ticks of the file.

    `notes` by channel (0..15), in order of onset; `programs` the sound each channel had at its first note; `metres` as
    (tick, numerator, denominator). `broken` says where and why the reading ended too early; `unended` notes had no end.
    """

    name: str = ""
    notes: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    programs: dict[int, int] = field(default_factory=dict)
    texts: list[Text] = field(default_factory=list)
    metres: list[tuple[int, int, int]] = field(default_factory=list)
    broken: str = ""
    unended: int = 0


@dataclass(slots=True)
class Midi:
    """A file: its `type` (0, 1 or 2), ticks a quarter note, its tracks, and what was odd about it as a whole."""

    type: int
    division: int
    tracks: list[Track]
    remarks: list[str]


def parse_midi(data: bytes) -> Midi:
    """Read what can be read. Raises `MidiError` where nothing can: no MIDI file, or no quarter notes in it."""
    if len(data) > MOST_BYTES:
        raise MidiError(f"larger than {MOST_BYTES >> 20} MiB")
    # Some files lie in a wrapper (RIFF, MacBinary) of a few bytes.
    start = data.find(b"MThd", 0, 1024)
    if start < 0 or len(data) < start + 14:
        raise MidiError("not a MIDI file")
    header, kind, division = (int.from_bytes(data[start + at : start + to]) for at, to in ((4, 8), (8, 10), (12, 14)))
    if division == 0:
        raise MidiError("no ticks a quarter note")
    if division >= 0x8000:
        raise MidiError("time in film frames, without quarter notes")
    midi = Midi(kind if kind <= 2 else 1, division, [], [])
    if kind > 2:
        midi.remarks.append(f"type {kind}, which there is not: read as type 1")
    left = MOST_EVENTS
    for first, last in _track_chunks(data, start + 8 + (header if 6 <= header < 256 else 6)):
        if len(midi.tracks) == MOST_TRACKS or left <= 0:
            midi.remarks.append(f"only the first {len(midi.tracks)} tracks are read")
            break
        reader = _TrackReader(data[first:last], first, left, MOST_QUARTERS * division)
        midi.tracks.append(reader.read(_UNENDED * division))
        left = reader.left
    return midi


def _track_chunks(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Where the tracks' events begin and end."""
    while at + 8 <= len(data):
        name, claim = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8])
        first = at + 8
        at = first + claim
        if at > len(data) or not _chunk_or_end(data[at : at + 4]):
            following = data.find(b"MTrk", first)
            at = len(data) if following < 0 else following
        if name == b"MTrk":
            yield first, at


def _chunk_or_end(name: bytes) -> bool:
    return len(name) < 4 or (name.isascii() and name.isalpha())


class _TrackReader:
    """Goes through the events of one track once. An index beyond the bytes is an event that breaks off."""

    def __init__(self, data: bytes, offset: int, left: int, last_tick: int) -> None:
        self.left = left
        self._data = data
        self._offset = offset
        self._last_tick = last_tick
        self._at = self._tick = self._running = 0
        self._ended = False
        self._track = Track()
        self._programs: dict[int, int] = {}
        self._open: dict[tuple[int, int], list[int]] = {}

    def read(self, longest_unended: int) -> Track:
        """The track. `longest_unended` ticks is what a note without an end may last."""
        begun = 0
        try:
            while self._at < len(self._data) and not self._ended:
                begun = self._at
                self._event()
        except IndexError:
            self._track.broken = f"breaks off at byte {self._offset + begun}"
        except _Broken as error:
            self._track.broken = f"{error}, at byte {self._offset + begun}"
        self._close_all(longest_unended)
        for notes in self._track.notes.values():
            notes.sort()
        return self._track

    def _event(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _Broken(f"more than {MOST_EVENTS:,} events")
        tick = self._tick + self._number()
        status = self._data[self._at]
        if tick > self._last_tick:
            raise _Broken(f"goes on beyond quarter note {MOST_QUARTERS:,}")
        self._tick = tick
        if status < 0x80:
            status = self._running
        else:
            self._at += 1
        if 0x80 <= status < 0xF0:
            self._running = status
            self._voice(status >> 4, status & 15)
        elif status == 0xFF:
            self._meta()
        elif status in (0xF0, 0xF7):
            self._payload()
        elif status:
            self._at += _SYSTEM_LENGTHS.get(status, 0)
        else:
            raise _Broken("no event begins like this")

    def _number(self) -> int:
        """A number of one to four bytes, seven bits each."""
        number = 0
        for _ in range(4):
            byte = self._data[self._at]
            self._at += 1
            number = number << 7 | byte & 0x7F
            if byte < 0x80:
                return number
        raise _Broken("a number of more than four bytes")

    def _payload(self) -> bytes:
        length = self._number()
        first = self._at
        if first + length > len(self._data):
            raise IndexError
        self._at += length
        return self._data[first : first + min(length, MOST_TEXT)]

    def _voice(self, kind: int, channel: int) -> None:
        first = self._data[self._at]
        second = 0 if kind in (_PROGRAM, _PRESSURE) else self._data[self._at + 1]
        if (first | second) > 127:
            raise _Broken("a data byte above 127")
        self._at += 1 if kind in (_PROGRAM, _PRESSURE) else 2
        if kind == _ON and second:
            self._open.setdefault((channel, first), []).append(self._tick)
            if channel in self._programs:
                self._track.programs.setdefault(channel, self._programs[channel])
        elif kind in (_ON, _OFF):
            if begun := self._open.get((channel, first)):
                # A key may be struck again before it is released, at the same tick.
                earlier = bisect_left(begun, self._tick)
                self._note(channel, begun.pop(earlier - 1), self._tick, first)
        elif kind == _PROGRAM:
            self._programs[channel] = first

    def _meta(self) -> None:
        kind = self._data[self._at]
        self._at += 1
        payload = self._payload()
        if kind == _END:
            self._ended = True
        elif kind == _METRE and len(payload) >= 2 and payload[0] and payload[1] <= 6:
            self._track.metres.append((self._tick, payload[0], 1 << payload[1]))
        elif kind in _TEXTS and payload and len(self._track.texts) < MOST_TEXTS:
            self._track.texts.append(Text(self._tick, _TEXTS[kind], _decoded(payload)))
        elif kind == _NAME or (kind == _INSTRUMENT and not self._track.name):
            self._track.name = _decoded(payload)

    def _note(self, channel: int, start: int, end: int, pitch: int) -> None:
        self._track.notes.setdefault(channel, []).append((start, end, pitch))

    def _close_all(self, longest: int) -> None:
        """End the notes that nothing has ended."""
        begun = {channel: set[int]() for channel, _ in self._open}
        for channel, notes in self._track.notes.items():
            begun.setdefault(channel, set()).update(start for start, _, _ in notes)
        for (channel, _), starts in self._open.items():
            begun[channel].update(starts)
        onsets = {channel: sorted(starts) for channel, starts in begun.items()}
        for (channel, pitch), starts in self._open.items():
            self._track.unended += len(starts)
            for start in starts:
                following = bisect_right(onsets[channel], start)
                end = onsets[channel][following] if following < len(onsets[channel]) else self._tick
                self._note(channel, start, min(end, start + longest), pitch)


def _decoded(payload: bytes) -> str:
    """Text without control characters: UTF-8 where it is that, else Latin-1, which anything is."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = payload.decode("latin-1")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
