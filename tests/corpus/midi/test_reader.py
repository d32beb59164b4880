# SPDX-License-Identifier: Apache-2.0
"""Solos from MIDI files of all kinds: melody, meter and chords, or the reason why there is no solo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman import cli
from sideman.core.chart.chart import Meter
from sideman.core.chart.text import parse_changes
from sideman_models.corpus.midi import folder, meter
from sideman_models.corpus.midi.parts import estimate_swing, remove_swing, skyline
from sideman_models.corpus.midi.reader import MidiMusic, ReadingOptions, read_midi
from sideman_models.corpus.weimar import read_solos
from sideman_models.music.harmony import NO_CHORD, parse_chord
from sideman_models.music.line import LineNote
from sideman_models.music.solos import ChordGrid, Solo, solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER
from support.data_files import data_file
from support.midi_files import (
    DIVISION,
    TWO_FIVE_ONE,
    as_midi,
    bass,
    block_chords,
    comping,
    drums,
    marker_events,
    meter_event,
    midi_bytes,
    midi_tracks,
    note_events,
    raw_chunk,
    raw_midi_bytes,
    scale_events,
    track,
    tune,
)
from support.strategies import chord_symbols


def music(*tracks: mido.MidiTrack, kind: int = 1, **options: str) -> MidiMusic:
    """Read a file of these tracks."""
    return read_midi(midi_bytes(*tracks, kind=kind), ReadingOptions(**options))  # type: ignore[arg-type]


def pitches(reading: MidiMusic) -> list[int]:
    """Return the pitches of all solos."""
    return [note.pitch for solo in reading.solos for note in solo.notes]


def chord_texts(reading: MidiMusic) -> list[str]:
    """Return the chords of the only solo, each once for as long as it stays."""
    [solo] = reading.solos
    texts = [chord.text for chord in solo.changes.chords]
    return [text for at, text in enumerate(texts) if at == 0 or texts[at - 1] != text]


# The melody.


@pytest.mark.parametrize("name", ["", "Track 4", "Tenor Sax", "LEAD VOX", "melodie"])
def test_the_melody_is_found_among_many_tracks(name: str) -> None:
    """Guards against: a network that learns bass lines, chords or drums."""
    band = [track([]), track(drums, "Drums"), track(bass, "Bass"), track(comping, "Piano"), track(tune, name)]
    reading = music(*band)
    assert reading.report.melody.startswith("track 5")
    assert set(pitches(reading)) == {67, 69, 71, 72, 74, 76, 78, 79}


def test_the_channels_of_one_track_are_separated() -> None:
    """Guards against: a type 0 file, as many keyboards write it, read as one mixture of all its parts."""
    reading = music(track([*drums, *bass, *comping, *tune]), kind=0)
    assert reading.report.melody == f"track 1, channel 4, {reading.report.melody.rpartition('channel 4, ')[2]}"
    assert len(pitches(reading)) == 64


@pytest.mark.parametrize(("wanted", "channel"), [("bass", 2), ("4", 3), ("PIANO", 3), ("Sax", 4)])
def test_the_melody_can_be_named(wanted: str, channel: int) -> None:
    """Guards against: a user who knows the melody but cannot say so."""
    band = [track([]), track(drums, "Drums"), track(bass, "Upright Bass"), track(comping, "Piano"), track(tune, "Sax")]
    reading = music(*band, melody=wanted)
    assert f"channel {channel}, as requested" in reading.report.melody
    assert music(*band, melody="Oboe").report.left_out == "no melody called 'Oboe'"
    assert music(*band, melody="drums").report.left_out == "no melody called 'drums'"


def test_a_number_names_a_channel_if_there_is_one_track() -> None:
    """Guards against: parts of a type 0 file that cannot be chosen."""
    reading = music(track([*bass, *comping, *tune]), kind=0, melody="2")
    assert "channel 2" in reading.report.melody
    assert min(pitches(reading)) == 36
    alone = track(tune, "Melody")
    assert music(track([]), alone, melody="2").report.melody == music(track([]), alone, melody="4").report.melody
    assert music(alone, melody="9" * 9999).report.left_out.startswith("no melody called '999")


def test_each_song_of_type_2_is_a_piece() -> None:
    """Guards against: songs played on top of each other that never sounded together."""
    reading = music(track(scale_events(4)), track(drums), track(scale_events(2, low=72)), kind=2)
    assert [len(solo.notes) for solo in reading.solos] == [32, 16]
    assert (reading.report.bars, reading.report.notes) == (6, 48)


def test_the_melody_of_a_piano_is_its_highest_line() -> None:
    """Guards against: the melody of a piano lost among its chords."""
    line = note_events([(at, at + 1, 76 + at % 3) for at in range(16)])
    reading = music(track([*line, *block_chords(TWO_FIVE_ONE)]))
    assert pitches(reading) == [76 + at % 3 for at in range(16)]
    assert reading.report.chords == "found from the notes below the melody"
    assert reading.report.remarks == ("16 notes below the melody in its own part",)
    assert chord_texts(reading) == ["D-7", "G7", "C^7"]


@pytest.mark.parametrize(
    ("notes", "line"),
    [
        ([(0, 12, 60), (0, 12, 64)], [64]),
        ([(0, 12, 64), (0.5, 12, 60)], [64]),
        ([(0, 24, 64), (12, 24, 60)], [64]),  # under the held note
        ([(0, 14, 64), (12, 24, 60)], [64, 60]),  # descending legato
        ([(0, 14, 60), (12, 24, 64)], [60, 64]),
        ([(0, 0.5, 64), (0.5, 1, 62), (1, 1.5, 60)], [64, 62, 60]),  # fast notes, not a chord
    ],
)
def test_the_highest_line(notes: list[tuple[float, float, int]], line: list[int]) -> None:
    """Guards against: fast runs or legato that lose notes, or chords mixed into the line."""
    assert [pitch for _, _, pitch in skyline(notes)] == line


# The meter.


def test_a_new_meter_begins_a_new_solo() -> None:
    """Guards against: downbeats in the wrong places after the first change of meter."""
    head = track([meter_event(0, 4, 4), meter_event(8, 3, 4), meter_event(14, 6, 8), meter_event(17, 7, 8)])
    reading = music(head, track(note_events([(at / 2, at / 2 + 0.5, 60 + at % 12) for at in range(48)]), "Melody"))
    assert [(solo.bar_ticks, len(solo.notes), solo.notes[0].onset) for solo in reading.solos] == [
        (48, 16, 0), (36, 18, 0), (42, 14, 0),
    ]  # fmt: skip
    assert reading.report.metres == ("4/4", "3/4", "7/8")
    assert reading.report.bars == 2 + 3 + 2


def test_a_pick_up_belongs_to_the_next_section() -> None:
    """Guards against: a pick-up, written as a bar of its own by notation programs, as a piece of one note."""
    head = track([meter_event(0, 1, 4), meter_event(1, 4, 4)])
    reading = music(head, track(note_events([(0, 1, 67), (1, 2, 72), (5, 6, 60)])))
    [solo] = reading.solos
    assert [note.onset for note in solo.notes] == [36, 48, 96]
    assert solo.bar_ticks == 48


def test_chords_of_odd_meters_are_in_their_places() -> None:
    """Guards against: chords half a beat late from the second bar of 7/8 on."""
    symbols = [(3.5 * bar, text) for bar, text in enumerate(["Dm7", "G7", "Cmaj7", "A7"])]
    notes = note_events([(3.5 * bar, 3.5 * bar + 1, 60) for bar in range(4)])
    [solo] = music(track([meter_event(0, 7, 8), *marker_events(symbols)]), track(notes)).solos
    assert [solo.changes.chord_at(note.onset / TICKS_PER_QUARTER).text for note in solo.notes] == [
        text for _, text in symbols
    ]
    assert solo.changes.next_change(0.0) == (parse_chord("G7"), 3.5)


def test_strange_meters_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a nonsensical signature that moves all bars, or thousands of them that split the music."""
    line = track(scale_events(8), "Melody")
    reading = music(track([meter_event(0, 4, 4), meter_event(2, 99, 4), meter_event(3, 3, 64)]), line)
    assert [len(solo.notes) for solo in reading.solos] == [64]
    assert reading.report.remarks == tuple(
        f"unsupported meter {one}: the previous one is kept" for one in ("99/4", "3/64")
    )
    monkeypatch.setattr(meter, "MAX_SECTIONS", 3)
    reading = music(track([meter_event(4 * bar, 3 + bar % 2, 4) for bar in range(8)]), line)
    assert len(reading.solos) == 3
    assert sum(len(solo.notes) for solo in reading.solos) == 64
    assert "more than 3 times" in reading.report.remarks[0]


# The chords.


@pytest.mark.parametrize("kind", ["marker", "text", "lyrics", "cue_marker"])
def test_chord_symbols_are_read_from_any_text(kind: str) -> None:
    """Guards against: guessed chords for lead sheets that contain chord symbols."""
    symbols = [(0, "[Dm7]"), (2, "G7"), (4, "Cmaj7/E"), (8, "verse"), (8.02, "N.C.")]
    reading = music(track(marker_events(symbols, kind)), track(scale_events(3), "Melody"), track(comping))
    assert chord_texts(reading) == ["Dm7", "G7", "Cmaj7/E", "N.C."]
    [solo] = reading.solos
    assert solo.unread_chords == ("verse",)
    assert [solo.changes.chord_at(beat).text for beat in (0, 1.9, 2, 7.9, 8)] == [
        "Dm7", "Dm7", "G7", "Cmaj7/E", "N.C.",
    ]  # fmt: skip
    kind_name = "lyric" if kind == "lyrics" else kind.partition("_")[0]
    assert reading.report.chords == f"4 symbols, {kind_name} events of track 1"


def test_chords_may_change_between_two_beats() -> None:
    """Guards against: an anticipated chord half a beat late or early."""
    symbols = [(0, "Dm7"), (1.5, "G7"), (3.52, "C^7"), (6, "A7")]
    [solo] = music(track(marker_events(symbols)), track(scale_events(2), "Melody")).solos
    beats = (0, 1.4, 1.5, 3.4, 3.5, 5.9, 6)
    assert [solo.changes.chord_at(beat).text for beat in beats] == ["Dm7", "Dm7", "G7", "G7", "C^7", "C^7", "A7"]
    assert solo.changes.next_change(0.5) == (parse_chord("G7"), 1.0)
    assert solo.changes.length_beats == 8


def test_words_and_rehearsal_marks_are_no_chords() -> None:
    """Guards against: the lyrics of a song, or the letters of its sections, read as its chords."""
    words = [(at, text) for at, text in enumerate(["A", "gen", "tle", "breeze", "Am", "I", "Dreaming"])]
    marks = [(16 * at, text) for at, text in enumerate("ABAC")]
    reading = music(
        track([*marker_events(words, "lyrics"), *marker_events(marks)]), track(tune, "Melody"), track(comping)
    )
    assert reading.report.chords == "found from 1 other part"
    assert (
        music(track(marker_events(words)), track(tune), chords="text").report.left_out
        == "no chord symbols in its texts"
    )


def test_a_track_of_chords_has_priority() -> None:
    """Guards against: chords on a track of their own that are mixed with everything else."""
    odd = track(block_chords([(49, 54, 58)] * 8, channel=5), "Strings")
    band = [track(tune, "Melody"), odd, track(comping, "Chords"), track(bass, "Bass")]
    reading = music(*band)
    assert reading.report.chords == "found from track 3 'Chords', channel 3"
    assert chord_texts(reading)[:3] == ["D-7", "G7", "C^7"]
    assert set(chord_texts(music(*band, chords="track:strings"))) == {"F#"}
    assert music(*band, chords="infer").report.chords == "found from 3 other parts"
    assert music(*band, chords="track:harp").report.left_out == "no chords called 'harp'"


def test_chords_are_found_from_the_other_parts_or_the_melody() -> None:
    """Guards against: most files, which contain no chord symbols, being useless for training."""
    reading = music(track(tune, "Melody"), track(comping), track(drums))
    assert chord_texts(reading)[:3] == ["D-7", "G7", "C^7"]
    alone = music(track(tune, "Melody"), track(drums))
    assert alone.report.chords == "found from the melody alone"
    assert set(chord_texts(alone)) - {NO_CHORD.text}


# Swing.


def test_played_swing_is_written_straight() -> None:
    """Guards against: swung eighths learned as triplets, unlike any lead sheet."""
    swung = [
        (beat + half * 0.64, beat + (0.64 if not half else 1.0), 60 + beat % 7) for beat in range(32) for half in (0, 1)
    ]
    swung += [(32 + third / 3, 32 + (third + 1) / 3, 72) for third in range(3)]
    reading = music(track(note_events(swung), "Melody"))
    [solo] = reading.solos
    assert reading.report.swing == pytest.approx(0.64, abs=0.01)
    assert {value.ticks for value in solo_to_piece(solo).values[:-3]} == {6}
    assert [value.ticks for value in solo_to_piece(solo).values[-3:]] == [4, 4, 4]


@pytest.mark.parametrize("second", [0.5, 0.52, None])
def test_straight_music_is_not_changed(second: float | None) -> None:
    """Guards against: even eighths or triplets that are distorted."""
    places = [0, second] if second else [0, 1 / 3, 2 / 3]
    notes = [
        (TICKS_PER_QUARTER * (beat + place), TICKS_PER_QUARTER * (beat + place) + 3, 60)
        for beat in range(40)
        for place in places
    ]
    assert estimate_swing(notes) is None


@given(st.lists(st.floats(0, 99), min_size=1, max_size=40), st.floats(0.55, 0.8))
def test_removing_swing_keeps_the_order_of_notes(onsets: list[float], ratio: float) -> None:
    """Guards against: notes that change places."""
    notes = [(onset, onset + 1, 60) for onset in sorted(onsets)]
    straight = remove_swing(notes, ratio)
    assert [start for start, _, _ in straight] == sorted(start for start, _, _ in straight)
    assert all(
        start <= end and abs(start - old) < TICKS_PER_QUARTER / 2
        for (start, end, _), (old, _, _) in zip(straight, notes, strict=True)
    )


# Files that are useless, or only partly useful.


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no music", "not a MIDI file"),
        (midi_bytes(track([])), "no notes"),
        (midi_bytes(track(drums)), "only drums"),
        (midi_bytes(track(scale_events(), "Perc Kit")), "only drums"),
        (raw_midi_bytes(raw_chunk(b"\x00"), division=0x8001), "film frames"),
        (raw_midi_bytes(), "no notes"),
    ],
)
def test_the_report_says_why_a_file_is_left_out(data: bytes, message: str) -> None:
    """Guards against: a user who looks for the problem in vain."""
    reading = read_midi(data, ReadingOptions())
    assert not reading.solos
    assert message in reading.report.left_out


def test_what_comes_before_an_error_is_used() -> None:
    """Guards against: half a file that is treated like none."""
    whole_file = midi_bytes(track(tune, "Melody"), track(comping))
    reading = read_midi(whole_file[: len(whole_file) // 3], ReadingOptions())
    assert 10 < reading.report.notes < 64
    assert "breaks off at byte" in reading.report.remarks[0]


def test_notes_without_an_end_are_reported() -> None:
    """Guards against: lengths that were not played, unnoticed in the music."""
    notes = [(at, mido.Message("note_on", note=60 + at, velocity=9)) for at in range(8)]
    reading = music(track(notes))
    assert reading.report.remarks == ("8 notes without an end",)
    [solo] = reading.solos
    assert [value.ticks for value in solo_to_piece(solo).values] == [12] * 7


@settings(max_examples=60)
@given(
    st.lists(midi_tracks, min_size=1, max_size=4),
    st.sampled_from([0, 1, 2]),
    st.builds(
        ReadingOptions, st.none() | st.sampled_from(["1", "a"]), st.sampled_from(["auto", "text", "infer", "track:1"])
    ),
)
def test_any_file_is_read_or_left_out(tracks: list[mido.MidiTrack], kind: int, options: ReadingOptions) -> None:
    """Guards against: a valid but unusual file that ends the training with a traceback."""
    reading = read_midi(midi_bytes(*tracks[: 1 if kind == 0 else 4], kind=kind), options)
    assert bool(reading.solos) != bool(reading.report.left_out)
    assert reading.report.notes == sum(len(solo.notes) for solo in reading.solos)
    assert folder._from_json(folder._to_json(reading)) == reading


def test_music_that_ignores_the_beat_is_reported() -> None:
    """Guards against: a free recording learned as rhythms that were not played."""
    message = "the notes ignore the beats of the file: was it recorded without a click?"
    free = [(at * 0.7183, at * 0.7183 + 0.6, 60 + at % 9) for at in range(100)]
    assert message in music(track(note_events(free))).report.remarks
    for step in (0.25, 1 / 3, 0.5, 1.0):
        hands = [(at * step + 0.02 * (at % 3 - 1) + 1, at * step + 1.2, 60 + at % 9) for at in range(100)]
        assert message not in music(track(note_events(hands))).report.remarks


whole_file = midi_bytes(
    track([meter_event(0, 3, 4), *marker_events([(0, "Dm7"), (3, "G7")])]), track(tune, "Melody"), track(comping)
)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, len(whole_file) - 1), st.integers(0, 255)), max_size=12),
    st.integers(20, len(whole_file)), st.binary(max_size=40), st.integers(14, len(whole_file)),
)  # fmt: skip
def test_any_bytes_are_read_or_left_out(changes: Sequence[tuple[int, int]], cut: int, put: bytes, at: int) -> None:
    """Guards against: one strange file among thousands that ends the training with a traceback, or blocks it."""
    mutated = bytearray(whole_file)
    for place, byte in changes:
        mutated[place] = byte
    mutated[at:at] = put
    reading = read_midi(bytes(mutated[:cut]), ReadingOptions())
    assert bool(reading.solos) != bool(reading.report.left_out)
    for solo in reading.solos:
        piece = solo_to_piece(solo)
        assert piece.source_notes - piece.dropped_notes == sum(value.kind != "R" for value in piece.values)


# Writing and reading again.


@settings(max_examples=50)
@given(st.data())
def test_a_solo_comes_back_as_it_was_written(data: st.DataObject) -> None:
    """Guards against: exported music that cannot be used for training."""
    beats = data.draw(st.lists(chord_symbols().map(parse_chord), min_size=1, max_size=16))
    chords = [*beats, *[parse_chord("C^7"), parse_chord("G7")] * 16]
    notes, onset = [], 0
    for _ in range(data.draw(st.integers(1, 30))):
        length = data.draw(st.sampled_from([2, 3, 4, 6, 6, 6, 12, 18, 24]))
        gap = data.draw(st.sampled_from([0, 0, 0, 3, 12, 30]))
        notes.append(LineNote(onset, onset + length, data.draw(st.integers(36, 96))))
        onset += length + gap
    solo = Solo("", "", tuple(notes), ChordGrid(tuple(chords)))
    reading = read_midi(as_midi(solo), ReadingOptions())
    if reading.report.swing is None:
        assert [solo_to_piece(one).values for one in reading.solos] == [solo_to_piece(solo).values]
        assert [note.pitch for note in reading.solos[0].notes] == [note.pitch for note in notes]


def test_the_database_comes_back_from_midi_value_for_value() -> None:
    """Guards against: real solos that lose notes, rests or chords on their way through a file."""
    tick = TICKS_PER_QUARTER / DIVISION
    for one in islice(read_solos(data_file("wjd/solos_train.jsonl.gz")), 12):
        rounded = [(tick * round(note.onset / tick), tick * round(note.end / tick), note.pitch) for note in one.notes]
        notes = tuple(LineNote(start, max(end, start + tick), pitch) for start, end, pitch in rounded)
        solo = replace(one, notes=notes)
        [read_again] = read_midi(as_midi(solo), ReadingOptions()).solos
        assert solo_to_piece(read_again).values == solo_to_piece(solo).values
        assert solo_to_piece(read_again).pitches == solo_to_piece(solo).pitches


def test_what_render_wrote_is_read_back_value_for_value(tmp_path: Path) -> None:
    """Guards against: own takes that cannot be used for training, or only over guessed chords."""
    out, changes = tmp_path / "take.mid", "| Dm7 | G7b9 Db7 | CΔ | A7alt |"
    options = ["--bars", "16", "--set", "play.seed=1", "--set", f"chart.changes={changes}"]
    assert cli.main(["render", "--out", str(out), *options]) == 0
    chart = parse_changes(changes, Meter(4, 4), "test")
    [solo] = read_midi(out.read_bytes(), ReadingOptions()).solos
    assert [chord.text for chord in solo.changes.chords] == [chart.chord_at(beat).text for beat in range(64)]
    played = list(_notes_of_last_track(mido.MidiFile(out)))
    over_the_chart = ChordGrid(tuple(chart.chord_at(beat) for beat in range(64)))
    assert solo_to_piece(solo).values == solo_to_piece(Solo("", "", tuple(played), over_the_chart)).values
    assert [note.pitch for note in solo.notes] == [note.pitch for note in played]


def _notes_of_last_track(file: mido.MidiFile) -> Iterator[LineNote]:
    """Yield the notes of the last track of a file, none of which overlap."""
    now, onsets = 0, dict[int, float]()
    for message in file.tracks[-1]:
        now += message.time
        tick = TICKS_PER_QUARTER * now / file.ticks_per_beat
        if message.type == "note_on" and message.velocity:
            onsets[message.note] = tick
        elif message.type in ("note_on", "note_off"):
            yield LineNote(onsets.pop(message.note), tick, message.note)
