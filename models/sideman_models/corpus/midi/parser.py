# SPDX-License-Identifier: Apache-2.0
"""Reads the bytes of a standard MIDI file, as far as they make sense.

mido returns either a whole file or an error: it returns nothing of a file that ends in the middle of its last track,
and it believes a chunk length of two gigabytes before it finds that the data is missing. Many real files are broken in
such ways, so this module reads the bytes itself. What mido reads without an error is read in the same way here (the
tests compare both).

- A chunk ends where its header says, if another chunk or the end of the file is there. If not, it ends at the next
  track or at the end of the file.
- A track is read up to its end mark, or up to the first byte that makes no sense. Everything before that counts.
- A value above 127 in the message of a channel is read as 127, because the length of the message is known all the same.
- Running status survives meta and system exclusive messages, because many programs write files that need this.
- A note-off ends the latest note of its channel and pitch that began before it. So a missing note-off affects one note
  only. A note without an end lasts until the next note on its channel begins, at most a whole note.
- The name of a track that plays all parts of the file is the title of the music, so no part has it.
- Tempo is ignored: times are in ticks of `TICKS_PER_QUARTER`, whatever the ticks of the file are.

Limits on memory and time are below: no number in a file can exceed them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct, field

from sideman_models.corpus.midi.xf_chords import XF_CHORD, xf_chord_text
from sideman_models.limits import MIDI
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.text import count_noun

MAX_FILE_BYTES, MAX_EVENTS = MIDI.bytes, MIDI.count
"""Larger files contain samples, or far more than a line of music. Of more events the first ones are read."""
MAX_TRACKS = 1024
"""The most tracks that are read from one file."""
MAX_QUARTERS = 10_000
"""The most quarter notes from the top that are read, an hour or more."""
MAX_TEXTS, MAX_TEXT_BYTES = 4096, 256
"""The most text events of one track, and the most bytes of one text."""

TimedNote = tuple[float, float, int]
"""Onset, end and pitch of a note."""

_TEXT_META_TYPES = {0x01: "text", 0x05: "lyric", 0x06: "marker", 0x07: "cue"}
_TRACK_NAME, _INSTRUMENT_NAME, _END_OF_TRACK, _TIME_SIGNATURE, _OF_ONE_MAKER = 0x03, 0x04, 0x2F, 0x58, 0x7F
_NOTE_OFF, _NOTE_ON, _PROGRAM_CHANGE, _CHANNEL_PRESSURE = 0x8, 0x9, 0xC, 0xD
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
_MAX_UNENDED_QUARTERS = 4


class MidiError(Exception):
    """The bytes are not a MIDI file, or its time is not measured in quarter notes."""


class _BrokenTrackError(Exception):
    """The rest of this track makes no sense."""


class TextEvent(Struct, frozen=True):
    """A text event; `kind` is text, lyric, marker, cue or `XF_CHORD`."""

    tick: float
    kind: str
    text: str


class MidiTrack(Struct):
    """The content of one track, in ticks of `TICKS_PER_QUARTER`.

    `notes` has (onset, end, pitch) by channel (0..15), in order of onset; `programs` the program of each channel at its
    first note; `time_signatures` are (tick, numerator, denominator). `problem` says where and why reading stopped too
    early, or is empty; `notes_without_end` counts notes without a note-off, `clipped_values` the values above 127.
    """

    name: str = ""
    notes: defaultdict[int, list[TimedNote]] = field(default_factory=lambda: defaultdict(list))
    programs: dict[int, int] = field(default_factory=dict)
    texts: list[TextEvent] = field(default_factory=list)
    time_signatures: list[tuple[float, int, int]] = field(default_factory=list)
    problem: str = ""
    notes_without_end: int = 0
    clipped_values: int = 0


class MidiFile(Struct):
    """A MIDI file: its `file_type` (0, 1 or 2), its tracks, and remarks on the whole file.

    `name` is that of the music: of the first track without notes, or of the track that plays all parts.
    """

    file_type: int
    tracks: list[MidiTrack]
    remarks: list[str]
    name: str = ""

    def all_remarks(self) -> list[str]:
        """Return the remarks on the whole file and on its tracks: what was not read as it stands there."""
        remarks = list(self.remarks)
        for number, track in enumerate(self.tracks, 1):
            if track.problem:
                remarks.append(f"track {number} {track.problem}")
            if track.clipped_values:
                clipped = count_noun(track.clipped_values, "value")
                remarks.append(f"track {number} has {clipped} above 127, read as 127")
        if unended := sum(track.notes_without_end for track in self.tracks):
            remarks.append(f"{count_noun(unended, 'note')} without an end")
        return remarks


def parse_midi(data: bytes) -> MidiFile:
    """Read what can be read of a MIDI file. Raises `MidiError` if nothing can be read."""
    if len(data) > MAX_FILE_BYTES:
        raise MidiError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
    # Some files begin with a wrapper (RIFF, MacBinary) of a few bytes.
    start = data.find(b"MThd", 0, 1024)
    if start < 0 or len(data) < start + 14:
        raise MidiError("not a MIDI file")
    header, kind, division = (int.from_bytes(data[start + at : start + to]) for at, to in ((4, 8), (8, 10), (12, 14)))
    if division == 0:
        raise MidiError("no ticks a quarter note")
    if division >= 0x8000:
        raise MidiError("time in film frames, without quarter notes")
    midi = MidiFile(kind if kind <= 2 else 1, [], [])
    if kind > 2:
        midi.remarks.append(f"unknown type {kind}: read as type 1")
    left = MAX_EVENTS
    for first, last in _track_chunks(data, start + 8 + (header if 6 <= header < 256 else 6)):
        if len(midi.tracks) == MAX_TRACKS or left <= 0:
            midi.remarks.append(f"only the first {len(midi.tracks)} tracks are read")
            break
        reader = _TrackReader(data[first:last], first, left, division)
        midi.tracks.append(reader.read())
        left = reader.events_left
    _name_music(midi)
    return midi


def _name_music(midi: MidiFile) -> None:
    """Give the file its name. A name that would be that of all parts is taken from the track."""
    sounding = [track for track in midi.tracks if track.notes]
    if midi.file_type != 2 and midi.tracks and not midi.tracks[0].notes:
        midi.name = midi.tracks[0].name
    if midi.file_type != 2 and len(sounding) == 1 and (midi.file_type == 0 or len(sounding[0].notes) > 1):
        midi.name = midi.name or sounding[0].name
        sounding[0].name = ""


def _track_chunks(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Yield where the events of each track begin and end."""
    while at + 8 <= len(data):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8])
        first = at + 8
        at = first + length
        following = data[at : at + 4]
        if at > len(data) or (len(following) == 4 and not (following.isascii() and following.isalpha())):
            track = data.find(b"MTrk", first)
            at = len(data) if track < 0 else track
        if name == b"MTrk":
            yield first, at


class _TrackReader:
    """Reads the events of one track once. An index beyond the bytes means that an event is cut off."""

    def __init__(self, data: bytes, offset: int, left: int, ticks_per_quarter: int) -> None:
        self.events_left = left
        self._data = data
        self._file_offset = offset
        self._ticks_per_quarter = ticks_per_quarter
        self._position = self._tick = self._running_status = 0
        self._track = MidiTrack()
        self._programs: dict[int, int] = {}
        self._sounding: dict[tuple[int, int], list[int]] = {}

    def read(self) -> MidiTrack:
        """Return the track."""
        event_start = 0
        try:
            while self._position < len(self._data):
                event_start = self._position
                self._read_event()
        except IndexError:
            self._track.problem = f"breaks off at byte {self._file_offset + event_start}"
        except _BrokenTrackError as error:
            self._track.problem = f"{error}, at byte {self._file_offset + event_start}"
        self._end_sounding_notes()
        for channel, notes in self._track.notes.items():
            self._track.notes[channel] = sorted(
                (self._scaled(start), self._scaled(end), pitch) for start, end, pitch in notes
            )
        return self._track

    def _scaled(self, tick: float) -> float:
        """Return a tick of the file in ticks of `TICKS_PER_QUARTER`."""
        return tick * TICKS_PER_QUARTER / self._ticks_per_quarter

    def _read_event(self) -> None:
        self.events_left -= 1
        if self.events_left < 0:
            raise _BrokenTrackError(f"more than {MAX_EVENTS:,} events")
        tick = self._tick + self._read_variable_length()
        status = self._data[self._position]
        if tick > MAX_QUARTERS * self._ticks_per_quarter:
            raise _BrokenTrackError(f"continues beyond quarter note {MAX_QUARTERS:,}")
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
            raise _BrokenTrackError("not the first byte of an event")

    def _read_variable_length(self) -> int:
        """Read a number of one to four bytes with seven bits each."""
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
        has_second = kind not in (_PROGRAM_CHANGE, _CHANNEL_PRESSURE)
        second = self._data[self._position + 1] if has_second else 0
        self._position += 1 + has_second
        if (first | second) > 127:
            self._track.clipped_values += (first > 127) + (second > 127)
            first, second = min(first, 127), min(second, 127)
        if kind == _NOTE_ON and second:
            self._sounding.setdefault((channel, first), []).append(self._tick)
            if channel in self._programs:
                self._track.programs.setdefault(channel, self._programs[channel])
        elif kind in (_NOTE_ON, _NOTE_OFF):
            if onsets := self._sounding.get((channel, first)):
                # A key may be struck again at the tick at which it is released, and before the release.
                earlier = bisect_left(onsets, self._tick)
                self._track.notes[channel].append((onsets.pop(earlier - 1), self._tick, first))
        elif kind == _PROGRAM_CHANGE:
            self._programs[channel] = first

    def _read_meta_event(self) -> None:
        kind = self._data[self._position]
        self._position += 1
        payload = self._read_payload()
        if kind == _END_OF_TRACK:
            self._position = len(self._data)
        elif kind == _TIME_SIGNATURE and len(payload) >= 2 and payload[0] and payload[1] <= 6:
            self._track.time_signatures.append((self._scaled(self._tick), payload[0], 1 << payload[1]))
        elif kind in _TEXT_META_TYPES and payload:
            self._add_text(_TEXT_META_TYPES[kind], _decode_text(payload))
        elif kind == _OF_ONE_MAKER and (symbol := xf_chord_text(payload)):
            self._add_text(XF_CHORD, symbol)
        elif kind == _TRACK_NAME or (kind == _INSTRUMENT_NAME and not self._track.name):
            self._track.name = _decode_text(payload)

    def _add_text(self, kind: str, text: str) -> None:
        if len(self._track.texts) < MAX_TEXTS:
            self._track.texts.append(TextEvent(self._scaled(self._tick), kind, text))

    def _end_sounding_notes(self) -> None:
        """End the notes that have no note-off."""
        longest = _MAX_UNENDED_QUARTERS * self._ticks_per_quarter
        onsets = {channel: [start for start, _, _ in notes] for channel, notes in self._track.notes.items()}
        for (channel, _), starts in self._sounding.items():
            onsets.setdefault(channel, []).extend(starts)
        for in_channel in onsets.values():
            in_channel.sort()
        for (channel, pitch), starts in self._sounding.items():
            self._track.notes_without_end += len(starts)
            for start in starts:
                following = bisect_right(onsets[channel], start)
                end = onsets[channel][following] if following < len(onsets[channel]) else self._tick
                self._track.notes[channel].append((start, min(end, start + longest), pitch))


def _decode_text(payload: bytes) -> str:
    """Return the text without control characters. Bytes that are not UTF-8 are read as Latin-1."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = payload.decode("latin-1")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
