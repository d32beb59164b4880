# SPDX-License-Identifier: Apache-2.0
"""MIDI files of every kind become solos: the right melody, metre and chords, or a reason why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman import cli
from sideman.core.chart.chart import Meter, parse_changes
from sideman_models.corpus.midi import folder
from sideman_models.corpus.midi import meter as metre
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


def music(*tracks: mido.MidiTrack, kind: int = 1, **how: str) -> MidiMusic:
    """What is read of a file of these tracks."""
    return read_midi(midi_bytes(*tracks, kind=kind), ReadingOptions(**how))  # type: ignore[arg-type]


def pitches(found: MidiMusic) -> list[int]:
    """Those of all its solos."""
    return [note.pitch for solo in found.solos for note in solo.notes]


def chord_texts(found: MidiMusic) -> list[str]:
    """The chords of its only solo, each once for as long as it stays."""
    [solo] = found.solos
    texts = [chord.text for chord in solo.changes.chords]
    return [text for at, text in enumerate(texts) if at == 0 or texts[at - 1] != text]


# The melody.


@pytest.mark.parametrize("name", ["", "Track 4", "Tenor Sax", "LEAD VOX", "melodie"])
def test_the_melody_is_found_among_many_tracks(name: str) -> None:
    """The network would learn to play bass lines, chords or drums."""
    band = [track([]), track(drums, "Drums"), track(bass, "Bass"), track(comping, "Piano"), track(tune, name)]
    found = music(*band)
    assert found.report.melody.startswith("track 5")
    assert set(pitches(found)) == {67, 69, 71, 72, 74, 76, 78, 79}


def test_in_one_track_the_channels_are_parted() -> None:
    """A file of type 0, as many keyboards write it, would be one tangle of all its parts."""
    found = music(track([*drums, *bass, *comping, *tune]), kind=0)
    assert found.report.melody == f"track 1, channel 4, {found.report.melody.rpartition('channel 4, ')[2]}"
    assert len(pitches(found)) == 64


@pytest.mark.parametrize(("wanted", "channel"), [("bass", 2), ("4", 3), ("PIANO", 3), ("Sax", 4)])
def test_the_melody_can_be_named(wanted: str, channel: int) -> None:
    """Whoever knows better could not say so."""
    band = [track([]), track(drums, "Drums"), track(bass, "Upright Bass"), track(comping, "Piano"), track(tune, "Sax")]
    found = music(*band, melody=wanted)
    assert f"channel {channel}, as asked for" in found.report.melody
    assert music(*band, melody="Oboe").report.left_out == "no melody called 'Oboe'"
    assert music(*band, melody="drums").report.left_out == "no melody called 'drums'"


def test_a_number_names_a_channel_where_there_is_one_track() -> None:
    """The parts of a type 0 file could not be chosen from."""
    found = music(track([*bass, *comping, *tune]), kind=0, melody="2")
    assert "channel 2" in found.report.melody
    assert min(pitches(found)) == 36
    alone = track(tune, "Melody")
    assert music(track([]), alone, melody="2").report.melody == music(track([]), alone, melody="4").report.melody
    assert music(alone, melody="9" * 9999).report.left_out.startswith("no melody called '999")


def test_each_song_of_type_2_is_a_piece() -> None:
    """Songs that never sounded together would be played on top of each other."""
    found = music(track(scale_events(4)), track(drums), track(scale_events(2, low=72)), kind=2)
    assert [len(solo.notes) for solo in found.solos] == [32, 16]
    assert (found.report.bars, found.report.notes) == (6, 48)


def test_of_a_piano_the_highest_line_is_the_melody() -> None:
    """A piano's melody would be lost among its own chords."""
    line = note_events([(at, at + 1, 76 + at % 3) for at in range(16)])
    found = music(track([*line, *block_chords(TWO_FIVE_ONE)]))
    assert pitches(found) == [76 + at % 3 for at in range(16)]
    assert found.report.chords == "found from the notes below the melody"
    assert found.report.remarks == ("16 notes below the melody, in its own part",)
    assert chord_texts(found) == ["D-7", "G7", "C^7"]


@pytest.mark.parametrize(
    ("notes", "line"),
    [
        ([(0, 12, 60), (0, 12, 64)], [64]),
        ([(0, 12, 64), (0.5, 12, 60)], [64]),
        ([(0, 24, 64), (12, 24, 60)], [64]),  # under the held one
        ([(0, 14, 64), (12, 24, 60)], [64, 60]),  # legato, downwards
        ([(0, 14, 60), (12, 24, 64)], [60, 64]),
        ([(0, 0.5, 64), (0.5, 1, 62), (1, 1.5, 60)], [64, 62, 60]),  # fast, not together
    ],
)
def test_the_highest_line(notes: list[tuple[float, float, int]], line: list[int]) -> None:
    """Fast runs or legato would lose notes, or chords get in between."""
    assert [pitch for _, _, pitch in skyline(notes)] == line


# The metre.


def test_a_new_metre_begins_a_new_solo() -> None:
    """After the first change all downbeats would be told as something else."""
    head = track([meter_event(0, 4, 4), meter_event(8, 3, 4), meter_event(14, 6, 8), meter_event(17, 7, 8)])
    found = music(head, track(note_events([(at / 2, at / 2 + 0.5, 60 + at % 12) for at in range(48)]), "Melody"))
    assert [(solo.bar_ticks, len(solo.notes), solo.notes[0].onset) for solo in found.solos] == [
        (48, 16, 0), (36, 18, 0), (42, 14, 0),
    ]  # fmt: skip
    assert found.report.metres == ("4/4", "3/4", "7/8")
    assert found.report.bars == 2 + 3 + 2


def test_a_pick_up_goes_with_what_follows() -> None:
    """The pick-up, which notation programs write as a bar of its own, would be a piece of one note."""
    head = track([meter_event(0, 1, 4), meter_event(1, 4, 4)])
    found = music(head, track(note_events([(0, 1, 67), (1, 2, 72), (5, 6, 60)])))
    [solo] = found.solos
    assert [note.onset for note in solo.notes] == [36, 48, 96]
    assert solo.bar_ticks == 48


def test_chords_of_odd_metres_stand_where_they_belong() -> None:
    """From the second bar of 7/8 on, every chord would come half a beat late."""
    told = [(3.5 * bar, text) for bar, text in enumerate(["Dm7", "G7", "Cmaj7", "A7"])]
    notes = note_events([(3.5 * bar, 3.5 * bar + 1, 60) for bar in range(4)])
    [solo] = music(track([meter_event(0, 7, 8), *marker_events(told)]), track(notes)).solos
    assert [solo.changes.chord_at(note.onset / TICKS_PER_QUARTER).text for note in solo.notes] == [
        text for _, text in told
    ]
    assert solo.changes.next_change(0.0) == (parse_chord("G7"), 3.5)


def test_strange_metres_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature of no sense would move all bars, thousands of them would part the music to nothing."""
    line = track(scale_events(8), "Melody")
    found = music(track([meter_event(0, 4, 4), meter_event(2, 99, 4), meter_event(3, 3, 64)]), line)
    assert [len(solo.notes) for solo in found.solos] == [64]
    assert found.report.remarks == tuple(f"no metre of ours: {one}, counted on as before" for one in ("99/4", "3/64"))
    monkeypatch.setattr(metre, "MAX_SECTIONS", 3)
    found = music(track([meter_event(4 * bar, 3 + bar % 2, 4) for bar in range(8)]), line)
    assert len(found.solos) == 3
    assert sum(len(solo.notes) for solo in found.solos) == 64
    assert "more than 3 times" in found.report.remarks[0]


# The chords.


@pytest.mark.parametrize("kind", ["marker", "text", "lyrics", "cue_marker"])
def test_chord_symbols_are_read_from_any_text(kind: str) -> None:
    """Lead sheets with their chords written in would be guessed at."""
    told = [(0, "[Dm7]"), (2, "G7"), (4, "Cmaj7/E"), (8, "verse"), (8.02, "N.C.")]
    found = music(track(marker_events(told, kind)), track(scale_events(3), "Melody"), track(comping))
    assert chord_texts(found) == ["Dm7", "G7", "Cmaj7/E", "N.C."]
    [solo] = found.solos
    assert solo.unread_chords == ("verse",)
    assert [solo.changes.chord_at(beat).text for beat in (0, 1.9, 2, 7.9, 8)] == [
        "Dm7", "Dm7", "G7", "Cmaj7/E", "N.C.",
    ]  # fmt: skip
    assert (
        found.report.chords == f"4 symbols, {'lyric' if kind == 'lyrics' else kind.partition('_')[0]} events of track 1"
    )


def test_chords_may_change_between_two_beats() -> None:
    """A pushed chord would come half a beat late, or early."""
    told = [(0, "Dm7"), (1.5, "G7"), (3.52, "C^7"), (6, "A7")]
    [solo] = music(track(marker_events(told)), track(scale_events(2), "Melody")).solos
    beats = (0, 1.4, 1.5, 3.4, 3.5, 5.9, 6)
    assert [solo.changes.chord_at(beat).text for beat in beats] == ["Dm7", "Dm7", "G7", "G7", "C^7", "C^7", "A7"]
    assert solo.changes.next_change(0.5) == (parse_chord("G7"), 1.0)
    assert solo.changes.length_beats == 8


def test_words_and_rehearsal_marks_are_no_chords() -> None:
    """A song's words, or the letters over its parts, would be its chords."""
    words = [(at, text) for at, text in enumerate(["A", "gen", "tle", "breeze", "Am", "I", "Dreaming"])]
    marks = [(16 * at, text) for at, text in enumerate("ABAC")]
    found = music(
        track([*marker_events(words, "lyrics"), *marker_events(marks)]), track(tune, "Melody"), track(comping)
    )
    assert found.report.chords == "found from 1 other part"
    assert (
        music(track(marker_events(words)), track(tune), chords="text").report.left_out
        == "no chord symbols in its texts"
    )


def test_a_track_of_chords_goes_before_all_others() -> None:
    """A tune with its chords played on a track of their own would have them mixed up with all else."""
    odd = track(block_chords([(49, 54, 58)] * 8, channel=5), "Strings")
    band = [track(tune, "Melody"), odd, track(comping, "Chords"), track(bass, "Bass")]
    found = music(*band)
    assert found.report.chords == "found from track 3 'Chords', channel 3"
    assert chord_texts(found)[:3] == ["D-7", "G7", "C^7"]
    assert set(chord_texts(music(*band, chords="track:strings"))) == {"F#"}
    assert music(*band, chords="infer").report.chords == "found from 3 other parts"
    assert music(*band, chords="track:harp").report.left_out == "no chords called 'harp'"


def test_chords_are_found_from_all_else_or_the_melody_alone() -> None:
    """Most files in the world, which name no chord, could not be learned from."""
    found = music(track(tune, "Melody"), track(comping), track(drums))
    assert chord_texts(found)[:3] == ["D-7", "G7", "C^7"]
    alone = music(track(tune, "Melody"), track(drums))
    assert alone.report.chords == "found from the melody alone"
    assert set(chord_texts(alone)) - {NO_CHORD.text}


# Swing.


def test_played_swing_is_written_straight() -> None:
    """Swung eighths would be learned as triplets, as no lead sheet writes them."""
    swung = [
        (beat + half * 0.64, beat + (0.64 if not half else 1.0), 60 + beat % 7) for beat in range(32) for half in (0, 1)
    ]
    swung += [(32 + third / 3, 32 + (third + 1) / 3, 72) for third in range(3)]
    found = music(track(note_events(swung), "Melody"))
    [solo] = found.solos
    assert found.report.swing == pytest.approx(0.64, abs=0.01)
    assert {value.ticks for value in solo_to_piece(solo).values[:-3]} == {6}
    assert [value.ticks for value in solo_to_piece(solo).values[-3:]] == [4, 4, 4]


@pytest.mark.parametrize("second", [0.5, 0.52, None])
def test_straight_music_is_left_as_it_is(second: float | None) -> None:
    """Even eighths, or triplets, would be bent."""
    places = [0, second] if second else [0, 1 / 3, 2 / 3]
    notes = [
        (TICKS_PER_QUARTER * (beat + place), TICKS_PER_QUARTER * (beat + place) + 3, 60)
        for beat in range(40)
        for place in places
    ]
    assert estimate_swing(notes) is None


@given(st.lists(st.floats(0, 99), min_size=1, max_size=40), st.floats(0.55, 0.8))
def test_nothing_overtakes_when_it_is_straightened(onsets: list[float], ratio: float) -> None:
    """Notes would change places."""
    notes = [(onset, onset + 1, 60) for onset in sorted(onsets)]
    straight = remove_swing(notes, ratio)
    assert [start for start, _, _ in straight] == sorted(start for start, _, _ in straight)
    assert all(
        start <= end and abs(start - old) < TICKS_PER_QUARTER / 2
        for (start, end, _), (old, _, _) in zip(straight, notes, strict=True)
    )


# Files that are no use, or only partly.


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"no music", "not a MIDI file"),
        (midi_bytes(track([])), "no notes"),
        (midi_bytes(track(drums)), "only drums"),
        (midi_bytes(track(scale_events(), "Perc Kit")), "only drums"),
        (raw_midi_bytes(raw_chunk(b"\x00"), division=0x8001), "film frames"),
        (raw_midi_bytes(), "no notes"),
    ],
)
def test_a_file_of_no_use_says_why(data: bytes, says: str) -> None:
    """One would look for the fault in vain."""
    found = read_midi(data, ReadingOptions())
    assert not found.solos
    assert says in found.report.left_out


def test_what_was_read_before_the_break_is_used() -> None:
    """Half a file would be as good as none."""
    whole = midi_bytes(track(tune, "Melody"), track(comping))
    found = read_midi(whole[: len(whole) // 3], ReadingOptions())
    assert 10 < found.report.notes < 64
    assert "breaks off at byte" in found.report.remarks[0]


def test_notes_without_an_end_are_told_of() -> None:
    """Lengths that nobody played would pass for the music's own."""
    notes = [(at, mido.Message("note_on", note=60 + at, velocity=9)) for at in range(8)]
    found = music(track(notes))
    assert found.report.remarks == ("8 notes without an end",)
    [solo] = found.solos
    assert [value.ticks for value in solo_to_piece(solo).values] == [12] * 7


@settings(max_examples=60)
@given(
    st.lists(midi_tracks, min_size=1, max_size=4),
    st.sampled_from([0, 1, 2]),
    st.builds(
        ReadingOptions, st.none() | st.sampled_from(["1", "a"]), st.sampled_from(["auto", "text", "infer", "track:1"])
    ),
)
def test_any_file_there_can_be_is_read_or_left_out(
    tracks: list[mido.MidiTrack], kind: int, how: ReadingOptions
) -> None:
    """Some honest but unusual file would end the training with a traceback."""
    found = read_midi(midi_bytes(*tracks[: 1 if kind == 0 else 4], kind=kind), how)
    assert bool(found.solos) != bool(found.report.left_out)
    assert found.report.notes == sum(len(solo.notes) for solo in found.solos)
    assert folder._from_json(folder._to_json(found)) == found


def test_music_without_a_beat_is_told_of() -> None:
    """A free recording would be learned as rhythms that nobody played, and nobody would know."""
    says = "its notes do not follow its beats: was it recorded without a click?"
    free = [(at * 0.7183, at * 0.7183 + 0.6, 60 + at % 9) for at in range(100)]
    assert says in music(track(note_events(free))).report.remarks
    for step in (0.25, 1 / 3, 0.5, 1.0):
        hands = [(at * step + 0.02 * (at % 3 - 1) + 1, at * step + 1.2, 60 + at % 9) for at in range(100)]
        assert says not in music(track(note_events(hands))).report.remarks


whole = midi_bytes(
    track([meter_event(0, 3, 4), *marker_events([(0, "Dm7"), (3, "G7")])]), track(tune, "Melody"), track(comping)
)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=12),
    st.integers(20, len(whole)), st.binary(max_size=40), st.integers(14, len(whole)),
)  # fmt: skip
def test_no_file_does_worse_than_be_left_out(changes: Sequence[tuple[int, int]], cut: int, put: bytes, at: int) -> None:
    """One strange file among thousands would end the training with a traceback, or never end."""
    mutated = bytearray(whole)
    for place, byte in changes:
        mutated[place] = byte
    mutated[at:at] = put
    found = read_midi(bytes(mutated[:cut]), ReadingOptions())
    assert bool(found.solos) != bool(found.report.left_out)
    for solo in found.solos:
        piece = solo_to_piece(solo)
        assert piece.source_notes - piece.dropped_notes == sum(value.kind != "R" for value in piece.values)


# There and back.


@settings(max_examples=50)
@given(st.data())
def test_a_solo_comes_back_as_it_was_written(data: st.DataObject) -> None:
    """What is exported for others to play could not be learned from."""
    beats = data.draw(st.lists(chord_symbols().map(parse_chord), min_size=1, max_size=16))
    chords = [*beats, *[parse_chord("C^7"), parse_chord("G7")] * 16]
    notes, onset = [], 0
    for _ in range(data.draw(st.integers(1, 30))):
        length = data.draw(st.sampled_from([2, 3, 4, 6, 6, 6, 12, 18, 24]))
        gap = data.draw(st.sampled_from([0, 0, 0, 3, 12, 30]))
        notes.append(LineNote(onset, onset + length, data.draw(st.integers(36, 96))))
        onset += length + gap
    solo = Solo("", "", tuple(notes), ChordGrid(tuple(chords)))
    found = read_midi(as_midi(solo), ReadingOptions())
    if found.report.swing is None:
        assert [solo_to_piece(one).values for one in found.solos] == [solo_to_piece(solo).values]
        assert [note.pitch for note in found.solos[0].notes] == [note.pitch for note in notes]


def test_the_database_comes_back_from_midi_value_for_value() -> None:
    """Real solos would lose notes, rests or chords on their way through a file."""
    tick = TICKS_PER_QUARTER / DIVISION
    for one in islice(read_solos(data_file("wjd/solos_train.jsonl.gz")), 12):
        rounded = [(tick * round(note.onset / tick), tick * round(note.end / tick), note.pitch) for note in one.notes]
        notes = tuple(LineNote(start, max(end, start + tick), pitch) for start, end, pitch in rounded)
        solo = replace(one, notes=notes)
        [back] = read_midi(as_midi(solo), ReadingOptions()).solos
        assert solo_to_piece(back).values == solo_to_piece(solo).values
        assert solo_to_piece(back).pitches == solo_to_piece(solo).pitches


def test_what_render_wrote_is_read_back_value_for_value(tmp_path: Path) -> None:
    """Our own takes could not be learned from, or only over chords that are guessed at."""
    out, changes = tmp_path / "take.mid", "| Dm7 | G7b9 Db7 | CΔ | A7alt |"
    options = ["--bars", "16", "--set", "play.seed=1", "--set", f"chart.changes={changes}"]
    assert cli.main(["render", "--out", str(out), *options]) == 0
    chart = parse_changes(changes, Meter(4, 4), "test")
    [solo] = read_midi(out.read_bytes(), ReadingOptions()).solos
    assert [chord.text for chord in solo.changes.chords] == [chart.chord_at(beat).text for beat in range(64)]
    strikes = list(_strikes(mido.MidiFile(out)))
    over_the_chart = ChordGrid(tuple(chart.chord_at(beat) for beat in range(64)))
    assert solo_to_piece(solo).values == solo_to_piece(Solo("", "", tuple(strikes), over_the_chart)).values
    assert [note.pitch for note in solo.notes] == [note.pitch for note in strikes]


def _strikes(file: mido.MidiFile) -> Iterator[LineNote]:
    """The notes of a file's last track, of which none overlap."""
    now, struck = 0, dict[int, float]()
    for message in file.tracks[-1]:
        now += message.time
        tick = TICKS_PER_QUARTER * now / file.ticks_per_beat
        if message.type == "note_on" and message.velocity:
            struck[message.note] = tick
        elif message.type in ("note_on", "note_off"):
            yield LineNote(struck.pop(message.note), tick, message.note)
