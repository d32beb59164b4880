# SPDX-License-Identifier: Apache-2.0
"""The parser of MIDI files: equal to mido where mido can read, and as far as possible where it cannot."""

from __future__ import annotations

import io
import tracemalloc
from collections import defaultdict

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman_models.corpus.midi import parser as parsing
from sideman_models.corpus.midi.parser import MidiError, MidiTrack, parse_midi
from sideman_models.music.values import TICKS_PER_QUARTER
from support.midi_files import (
    DIVISION,
    midi_bytes,
    midi_tracks,
    note_events,
    raw_chunk,
    raw_midi_bytes,
    scale_events,
)
from support.midi_files import (
    track as midi_track,
)

END = b"\x00\xff\x2f\x00"
NOTE = b"\x00\x90\x3c\x50\x60\x80\x3c\x00"
"""Middle C for 96 ticks."""

KINDS = {"text": "text", "lyrics": "lyric", "marker": "marker", "cue_marker": "cue"}


def by_mido(messages: mido.MidiTrack) -> MidiTrack:
    """Convert a track of mido. A note-off ends the latest note that began before it."""
    track = MidiTrack()
    tick = 0
    sounding: dict[tuple[int, int], list[float]] = defaultdict(list)
    for message in messages:
        tick += message.time
        now = tick * TICKS_PER_QUARTER / DIVISION
        if message.type in ("note_on", "note_off"):
            onsets = sounding[message.channel, message.note]
            if message.type == "note_on" and message.velocity:
                onsets.append(now)
            elif onsets:
                start = max([start for start in onsets if start < now] or onsets)
                onsets.remove(start)
                track.notes.setdefault(message.channel, []).append((start, now, message.note))
        elif message.type == "time_signature":
            track.time_signatures.append((now, message.numerator, message.denominator))
        elif message.type in KINDS and message.text:
            text = message.text.strip()
            track.texts.append(parsing.TextEvent(now, KINDS[message.type], text))
    track.notes_without_end = sum(map(len, sounding.values()))
    return track


@given(st.lists(midi_tracks, min_size=1, max_size=3), st.sampled_from([0, 1, 2]))
def test_what_mido_reads_is_read_in_the_same_way(tracks: list[mido.MidiTrack], kind: int) -> None:
    """Guards against: ordinary files that are read with other notes than they have."""
    data = midi_bytes(*tracks[: 1 if kind == 0 else 3], kind=kind)
    read, expected = parse_midi(data), mido.MidiFile(file=io.BytesIO(data))
    assert read.file_type == expected.type
    assert len(read.tracks) == len(expected.tracks)
    for track, messages in zip(read.tracks, expected.tracks, strict=True):
        expected_track = by_mido(messages)
        assert not track.problem
        assert (track.time_signatures, track.notes_without_end) == (
            expected_track.time_signatures,
            expected_track.notes_without_end,
        )
        assert [(one.tick, one.kind) for one in track.texts] == [(one.tick, one.kind) for one in expected_track.texts]
        expected_notes = sorted(
            (channel, *note) for channel, of_channel in expected_track.notes.items() for note in of_channel
        )
        notes = sorted((channel, *note) for channel, of_channel in track.notes.items() for note in of_channel)
        assert len(notes) == len(expected_notes) + track.notes_without_end
        assert not set(expected_notes) - set(notes)


def test_text_may_be_utf_8_or_latin_1() -> None:
    """Guards against: chord symbols and titles that are lost because of a flat sign or an accent."""
    head = b"".join(b"\x00\xff\x01" + bytes([len(text)]) + text for text in ("B♭7".encode(), b"Caf\xe9 \x07", b" "))
    [one] = parse_midi(raw_midi_bytes(raw_chunk(head + END))).tracks
    assert [text.text for text in one.texts] == ["B♭7", "Café", ""]


def test_the_program_is_that_of_the_first_note() -> None:
    """Guards against: a saxophone taken for the piano that was on its channel before or after."""
    sounds = b"\x00\xc0\x01\x00\xc0\x41" + NOTE + b"\x00\xc0\x02" + NOTE
    [one] = parse_midi(raw_midi_bytes(raw_chunk(b"\x00\xff\x03\x03Sax" + sounds + END))).tracks
    assert (one.name, one.programs) == ("Sax", {0: 0x41})


def notes_of(data: bytes) -> list[parsing.TimedNote]:
    """Return all notes on channel 1 of a file."""
    return [note for one in parse_midi(data).tracks for note in one.notes.get(0, [])]


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        (b"\x00\x90\x3c\x50\x60\x3c\x00", [(0, 96, 60)]),  # running status, and a note-off by velocity 0
        (b"\x00\x90\x3c\x50\x30\xff\x51\x03\x00\x00\x00\x30\x3c\x00", [(0, 96, 60)]),  # with a tempo of 0 in between
        (b"\x00\x90\x3c\x50\x30\xf0\x02\x01\xf7\x30\x3c\x00", [(0, 96, 60)]),  # with a system message in between
        (b"\x00\x90\x3c\x50\x30\x90\x3c\x50\x30\x80\x3c\x00", [(0, 48, 60), (48, 96, 60)]),  # the first has no note-off
        (b"\x00\x90\x3c\x50\x30\x3c\x50\x00\x3c\x00\x30\x3c\x00", [(0, 48, 60), (48, 96, 60)]),  # struck, then released
        (b"\x00\x90\x3c\x50\x30\x40\x50", [(0, 48, 60), (48, 48, 64)]),  # no note-off at all
        (b"\x00\x90\x3c\x50\xa0\x00\xff\x01\x00", [(0, 4 * DIVISION, 60)]),  # a late end of the track
        (b"\x00\x80\x3c\x00", []),  # a note-off without a note
    ],
)  # fmt: skip
def test_each_note_has_its_own_end(body: bytes, notes: list[tuple[int, int, int]]) -> None:
    """Guards against: a missing note-off that changes the lengths of all later notes."""
    ticks = [
        (start * TICKS_PER_QUARTER / DIVISION, end * TICKS_PER_QUARTER / DIVISION, key) for start, end, key in notes
    ]
    assert notes_of(raw_midi_bytes(raw_chunk(body + END))) == ticks


@pytest.mark.parametrize(
    ("data", "notes", "message"),
    [
        (raw_midi_bytes(raw_chunk(NOTE + b"\x00\x90\x3c")), 1, "breaks off at byte 30"),
        (raw_midi_bytes(raw_chunk(NOTE + b"\x00\xff\x01\x7fab")), 1, "breaks off"),
        (raw_midi_bytes(raw_chunk(NOTE + b"\xff\xff\xff\xff\xff\x7f\x90\x3c\x50")), 1, "more than four bytes"),
        (raw_midi_bytes(raw_chunk(b"\x00\x3c\x50")), 0, "not the first byte of an event"),
        (raw_midi_bytes(raw_chunk(NOTE + b"\xff\xff\xff\x7f\x90\x3c\x50", claim=None)), 1, "beyond quarter note"),
        (raw_midi_bytes(raw_chunk(NOTE * 2 + END, claim=0xFFFFFFFF)), 2, ""),
        (raw_midi_bytes(raw_chunk(NOTE + END, claim=1 << 30), raw_chunk(NOTE + END)), 2, ""),
        (raw_midi_bytes(raw_chunk(NOTE + END, claim=3), raw_chunk(NOTE + END)), 2, ""),
        (raw_midi_bytes(raw_chunk(NOTE + END, claim=0), raw_chunk(NOTE + END)), 2, ""),
        (raw_midi_bytes(raw_chunk(b"junk", name=b"XFIH"), raw_chunk(NOTE + END)), 1, ""),
        (raw_midi_bytes(raw_chunk(b"junk", name=b"XFIH", claim=1 << 31), raw_chunk(NOTE + END)), 1, ""),
        (raw_midi_bytes(raw_chunk(NOTE + END), count=60_000), 1, ""),
        (raw_midi_bytes(raw_chunk(NOTE + END)) + bytes(5000), 1, ""),
        (b"RIFF....RMIDdata...." + raw_midi_bytes(raw_chunk(NOTE + END)), 1, ""),
        (raw_midi_bytes(raw_chunk(NOTE + END), kind=9), 1, ""),
    ],
)  # fmt: skip
def test_what_comes_before_an_error_is_used(data: bytes, notes: int, message: str) -> None:
    """Guards against: a file that is lost as a whole, or cut without a remark, after one error."""
    midi = parse_midi(data)
    assert len(notes_of(data)) == notes
    problems = "".join(one.problem for one in midi.tracks)
    assert message in problems if message else not problems


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a MIDI file"),
        (b"MThd", "not a MIDI file"),
        (b"\x89PNG" * 99, "not a MIDI file"),
        (raw_midi_bytes(raw_chunk(NOTE), division=0), "no ticks"),
        (raw_midi_bytes(raw_chunk(NOTE), division=0xE728), "film frames"),
        (raw_midi_bytes(raw_chunk(NOTE)) + bytes(parsing.MAX_FILE_BYTES), "larger than 8 MiB"),
    ],
)
def test_the_error_says_what_the_file_is_not(data: bytes, message: str) -> None:
    """Guards against: a file that is left out without a reason."""
    with pytest.raises(MidiError, match=message):
        parse_midi(data)


def test_events_tracks_and_texts_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a file without end that blocks the training."""
    monkeypatch.setattr(parsing, "MAX_EVENTS", 25)
    monkeypatch.setattr(parsing, "MAX_TRACKS", 4)
    monkeypatch.setattr(parsing, "MAX_TEXTS", 3)
    midi = parse_midi(raw_midi_bytes(*[raw_chunk(NOTE * 5 + END)] * 9))
    assert [len(one.notes.get(0, [])) for one in midi.tracks] == [5, 5, 2]
    assert midi.tracks[2].problem.startswith("more than 25 events")
    assert midi.remarks == ["only the first 3 tracks are read"]
    assert parse_midi(raw_midi_bytes(*[raw_chunk(END)] * 9)).remarks == ["only the first 4 tracks are read"]
    [one] = parse_midi(raw_midi_bytes(raw_chunk(b"\x00\xff\x01\x01A" * 9))).tracks
    assert len(one.texts) == 3


def test_a_wrong_length_costs_no_memory() -> None:
    """Guards against: thirty bytes that use up all memory."""
    data_with_wrong_lengths = raw_midi_bytes(
        raw_chunk(b"\x00\xff\x01\xff\xff\xff\x7f", claim=0x7FFFFFFF),
        raw_chunk(b"\x00\xf0\xff\xff\xff\x7f"),
        count=0xFFFF,
    )
    tracemalloc.start()
    try:
        parse_midi(data_with_wrong_lengths)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


sound = midi_bytes(midi_track(scale_events(), "Melody"), midi_track(note_events([(0, 4, 48), (4, 8, 53)], 1)))


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(sound) - 1), st.integers(0, 255)), max_size=8),
    st.integers(0, len(sound)), st.binary(max_size=64) | st.just(b""), st.integers(0, len(sound)),
)  # fmt: skip
def test_any_bytes_are_read_or_refused(changes: list[tuple[int, int]], cut: int, put: bytes, at: int) -> None:
    """Guards against: a strange file that ends the training with a traceback."""
    mutated = bytearray(sound)
    for place, byte in changes:
        mutated[place] = byte
    mutated[at:at] = put
    for data in (bytes(mutated), bytes(mutated[:cut]), sound[:14] + put):
        try:
            midi = parse_midi(data)
        except MidiError:
            continue
        for one in midi.tracks:
            for start, end, pitch in (note for notes in one.notes.values() for note in notes):
                assert 0 <= start <= end
                assert 0 <= pitch < 128
