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

MAX_FILE_BYTES = 1 << 23
"""A file larger than this (8 MiB) is not read: it holds sounds or samples, or far more than a line of music."""
MAX_EVENTS = 250_000
"""Of one file; what comes after is not read."""
MAX_TRACKS = 1024
MAX_QUARTERS = 10_000
"""Quarter notes from the top, an hour or more; what comes after is not read."""
MAX_TEXTS, MAX_TEXT_BYTES = 4096, 256
"""Texts of one track, and bytes of one text; the rest is not read."""

TimedNote = tuple[float, float, int]
"""Onset, end and pitch of a note."""

_TEXT_META_TYPES = {0x01: "text", 0x05: "lyric", 0x06: "marker", 0x07: "cue"}
_TRACK_NAME, _INSTRUMENT_NAME, _END_OF_TRACK, _TIME_SIGNATURE = 0x03, 0x04, 0x2F, 0x58
_NOTE_OFF, _NOTE_ON, _PROGRAM_CHANGE, _CHANNEL_PRESSURE = 0x8, 0x9, 0xC, 0xD
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
_MAX_UNENDED_QUARTERS = 4


class MidiError(Exception):
    """Bytes that are no MIDI file, or one that knows no beats."""


class _BrokenTrackError(Exception):
    """Here the sense ends."""


@dataclass(frozen=True, slots=True)
class TextEvent:
    """A text event, in ticks of the file; `kind` is text, lyric, marker or cue."""

    tick: int
    kind: str
    text: str


@dataclass(slots=True)
class MidiTrack:
    """What one track holds, in ticks of the file.

    `notes` by channel (0..15), in order of onset; `programs` the sound each channel had at its first note;
    `time_signatures` as (tick, numerator, denominator). `problem` says where and why the reading ended too early;
    `notes_without_end` notes had no end.
    """

    name: str = ""
    notes: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    programs: dict[int, int] = field(default_factory=dict)
    texts: list[TextEvent] = field(default_factory=list)
    time_signatures: list[tuple[int, int, int]] = field(default_factory=list)
    problem: str = ""
    notes_without_end: int = 0


@dataclass(slots=True)
class MidiFile:
    """A file: its `file_type` (0, 1 or 2), ticks a quarter note, its tracks, and what was odd about it as a whole."""

    file_type: int
    ticks_per_quarter: int
    tracks: list[MidiTrack]
    remarks: list[str]


def parse_midi(data: bytes) -> MidiFile:
    """Read what can be read. Raises `MidiError` where nothing can: no MIDI file, or no quarter notes in it."""
    if len(data) > MAX_FILE_BYTES:
        raise MidiError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
    # Some files lie in a wrapper (RIFF, MacBinary) of a few bytes.
    start = data.find(b"MThd", 0, 1024)
    if start < 0 or len(data) < start + 14:
        raise MidiError("not a MIDI file")
    header, kind, division = (int.from_bytes(data[start + at : start + to]) for at, to in ((4, 8), (8, 10), (12, 14)))
    if division == 0:
        raise MidiError("no ticks a quarter note")
    if division >= 0x8000:
        raise MidiError("time in film frames, without quarter notes")
    midi = MidiFile(kind if kind <= 2 else 1, division, [], [])
    if kind > 2:
        midi.remarks.append(f"type {kind}, which there is not: read as type 1")
    left = MAX_EVENTS
    for first, last in _track_chunks(data, start + 8 + (header if 6 <= header < 256 else 6)):
        if len(midi.tracks) == MAX_TRACKS or left <= 0:
            midi.remarks.append(f"only the first {len(midi.tracks)} tracks are read")
            break
        reader = _TrackReader(data[first:last], first, left, MAX_QUARTERS * division)
        midi.tracks.append(reader.read(_MAX_UNENDED_QUARTERS * division))
        left = reader.events_left
    return midi


def _track_chunks(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Where the tracks' events begin and end."""
    while at + 8 <= len(data):
        name, claim = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8])
        first = at + 8
        at = first + claim
        if at > len(data) or not _is_chunk_name_or_end(data[at : at + 4]):
            following = data.find(b"MTrk", first)
            at = len(data) if following < 0 else following
        if name == b"MTrk":
            yield first, at


def _is_chunk_name_or_end(name: bytes) -> bool:
    return len(name) < 4 or (name.isascii() and name.isalpha())


class _TrackReader:
    """Goes through the events of one track once. An index beyond the bytes is an event that breaks off."""

    def __init__(self, data: bytes, offset: int, left: int, last_tick: int) -> None:
        self.events_left = left
        self._data = data
        self._file_offset = offset
        self._last_tick = last_tick
        self._position = self._tick = self._running_status = 0
        self._ended = False
        self._track = MidiTrack()
        self._programs: dict[int, int] = {}
        self._sounding: dict[tuple[int, int], list[int]] = {}

    def read(self, longest_unended: int) -> MidiTrack:
        """The track. `longest_unended` ticks is what a note without an end may last."""
        begun = 0
        try:
            while self._position < len(self._data) and not self._ended:
                begun = self._position
                self._read_event()
        except IndexError:
            self._track.problem = f"breaks off at byte {self._file_offset + begun}"
        except _BrokenTrackError as error:
            self._track.problem = f"{error}, at byte {self._file_offset + begun}"
        self._end_sounding_notes(longest_unended)
        for notes in self._track.notes.values():
            notes.sort()
        return self._track

    def _read_event(self) -> None:
        self.events_left -= 1
        if self.events_left < 0:
            raise _BrokenTrackError(f"more than {MAX_EVENTS:,} events")
        tick = self._tick + self._read_variable_length()
        status = self._data[self._position]
        if tick > self._last_tick:
            raise _BrokenTrackError(f"goes on beyond quarter note {MAX_QUARTERS:,}")
        self._tick = tick
        if status < 0x80:
            status = self._running_status
        else:
            self._position += 1
        if 0x80 <= status < 0xF0:
            self._running_status = status
            self._read_channel_message(status >> 4, status & 15)
        elif status == 0xFF:
            self._read_meta_event()
        elif status in (0xF0, 0xF7):
            self._read_payload()
        elif status:
            self._position += _SYSTEM_DATA_BYTES.get(status, 0)
        else:
            raise _BrokenTrackError("no event begins like this")

    def _read_variable_length(self) -> int:
        """A number of one to four bytes, seven bits each."""
        number = 0
        for _ in range(4):
            byte = self._data[self._position]
            self._position += 1
            number = number << 7 | byte & 0x7F
            if byte < 0x80:
                return number
        raise _BrokenTrackError("a number of more than four bytes")

    def _read_payload(self) -> bytes:
        length = self._read_variable_length()
        first = self._position
        if first + length > len(self._data):
            raise IndexError
        self._position += length
        return self._data[first : first + min(length, MAX_TEXT_BYTES)]

    def _read_channel_message(self, kind: int, channel: int) -> None:
        first = self._data[self._position]
        second = 0 if kind in (_PROGRAM_CHANGE, _CHANNEL_PRESSURE) else self._data[self._position + 1]
        if (first | second) > 127:
            raise _BrokenTrackError("a data byte above 127")
        self._position += 1 if kind in (_PROGRAM_CHANGE, _CHANNEL_PRESSURE) else 2
        if kind == _NOTE_ON and second:
            self._sounding.setdefault((channel, first), []).append(self._tick)
            if channel in self._programs:
                self._track.programs.setdefault(channel, self._programs[channel])
        elif kind in (_NOTE_ON, _NOTE_OFF):
            if begun := self._sounding.get((channel, first)):
                # A key may be struck again before it is released, at the same tick.
                earlier = bisect_left(begun, self._tick)
                self._add_note(channel, begun.pop(earlier - 1), self._tick, first)
        elif kind == _PROGRAM_CHANGE:
            self._programs[channel] = first

    def _read_meta_event(self) -> None:
        kind = self._data[self._position]
        self._position += 1
        payload = self._read_payload()
        if kind == _END_OF_TRACK:
            self._ended = True
        elif kind == _TIME_SIGNATURE and len(payload) >= 2 and payload[0] and payload[1] <= 6:
            self._track.time_signatures.append((self._tick, payload[0], 1 << payload[1]))
        elif kind in _TEXT_META_TYPES and payload and len(self._track.texts) < MAX_TEXTS:
            self._track.texts.append(TextEvent(self._tick, _TEXT_META_TYPES[kind], _decode_text(payload)))
        elif kind == _TRACK_NAME or (kind == _INSTRUMENT_NAME and not self._track.name):
            self._track.name = _decode_text(payload)

    def _add_note(self, channel: int, start: int, end: int, pitch: int) -> None:
        self._track.notes.setdefault(channel, []).append((start, end, pitch))

    def _end_sounding_notes(self, longest: int) -> None:
        """End the notes that nothing has ended."""
        begun = {channel: set[int]() for channel, _ in self._sounding}
        for channel, notes in self._track.notes.items():
            begun.setdefault(channel, set()).update(start for start, _, _ in notes)
        for (channel, _), starts in self._sounding.items():
            begun[channel].update(starts)
        onsets = {channel: sorted(starts) for channel, starts in begun.items()}
        for (channel, pitch), starts in self._sounding.items():
            self._track.notes_without_end += len(starts)
            for start in starts:
                following = bisect_right(onsets[channel], start)
                end = onsets[channel][following] if following < len(onsets[channel]) else self._tick
                self._add_note(channel, start, min(end, start + longest), pitch)


def _decode_text(payload: bytes) -> str:
    """Text without control characters: UTF-8 where it is that, else Latin-1, which anything is."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = payload.decode("latin-1")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
