# SPDX-License-Identifier: Apache-2.0
"""MIDI files as public collections have them: of known content, spelled in every way."""

from __future__ import annotations

import random

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.charts.midi import read_midi_chart
from sideman_models.corpus.midi.reader import ReadingOptions, read_midi
from sideman_models.corpus.midi.xf_chords import xf_chord_text
from sideman_models.music.harmony import parse_chord
from support.midi_files import (
    block_chords,
    marker_events,
    midi_bytes,
    note_events,
    raw_chunk,
    raw_midi_bytes,
    scale_events,
    track,
)
from support.midi_kinds import KINDS, band, faults, tracks_of


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(number=st.integers(0, 1 << 30))
def test_a_file_of_this_kind_is_read_as_it_is_meant(kind: str, number: int) -> None:
    """Guards against: half a file lost, another tune's chords, title or melody, and a guess that nothing tells."""
    assert not faults(KINDS[kind](random.Random(number)))


@pytest.mark.parametrize(
    ("event", "clipped"),
    [
        (b"\xb0\x07\x80", 1), (b"\xb0\x87\xff", 2), (b"\xc0\xff", 1), (b"\xd0\x80", 1), (b"\xe0\x00\x80", 1),
        (b"\xa0\x3c\xff", 1), (b"\xb0\x07\x80\x00\x0a\xff", 2),
    ],
)  # fmt: skip
def test_a_value_above_127_costs_nothing_but_itself(event: bytes, clipped: int) -> None:
    """Guards against: a song that ends at a volume of 128, or at a program of 255."""
    before, after = b"\x00\x90\x3c\x50\x60\x80\x3c\x00", b"\x00\x90\x3e\xff\x60\x3e\x00\x00\xff\x2f\x00"
    reading = read_midi(raw_midi_bytes(raw_chunk(before + b"\x00" + event + after)), ReadingOptions())
    assert [note.pitch for note in reading.solos[0].notes] == [60, 62]
    assert reading.report.remarks == (f"track 1 has {clipped + 1} values above 127, read as 127",)


def test_a_text_that_is_no_chord_is_told_with_its_bar() -> None:
    """Guards against: the chord before that goes on without a word, so that the mistake is not found."""
    texts = [
        (0, "am"),
        (4, "D 7th"),
        (8, "Gmaj7xy"),
        (11.9, "C7#3"),
        (14, "F"),
        (16, "Bridge"),
        (20, "A min_7th"),
        (24, "bb/d"),
    ]
    data = midi_bytes(track(marker_events(texts)), track(scale_events(7), "Melody"))
    chart = read_midi_chart(data, "x.mid")
    assert [bar.chords[0][1].text for bar in chart.bars] == ["Am", "D7th", "D7th", "C7", "F", "Amin_7th", "Bb/d"]
    warned = [
        "'Gmaj7xy' is not a chord: the chord before it goes on",
        "'C7#3' is read as 'C7'",
        "'Bridge' is not a chord: the chord before it goes on",
    ]
    bars = (3, 4, 5)
    assert chart.info.warnings == tuple(f"x.mid, bar {bar}: {text}" for bar, text in zip(bars, warned, strict=True))
    reading = read_midi(data, ReadingOptions())
    assert reading.report.remarks == tuple(warned)
    assert reading.solos[0].unread_chords == ("Bridge", "Gmaj7xy")


def test_of_many_unread_texts_only_the_first_are_shown() -> None:
    """Guards against: a report of a thousand lines for one file."""
    texts = [(at, "Dm7" if at % 3 else f"wörd{at}") for at in range(64)]
    data = midi_bytes(track(marker_events(texts)), track(scale_events(16), "Melody"))
    assert read_midi(data, ReadingOptions()).report.remarks[-1] == "17 more texts like these"
    assert len(read_midi_chart(data, "x.mid").info.warnings) == 21


@given(st.binary(max_size=12))
def test_any_bytes_of_an_xf_chord_are_a_chord_or_told(data: bytes) -> None:
    """Guards against: a file of a newer keyboard that ends the program."""
    text = xf_chord_text(b"\x43\x7b\x01" + data)
    assert (text is None) == (len(data) < 2)
    assert text is None or text.startswith("XF chord of root") or parse_chord(text).root in range(12)


def test_a_slash_chord_and_an_unknown_type_of_a_yamaha_keyboard() -> None:
    """Guards against: a bass that is lost; and a chord of a newer keyboard that silently becomes the one before it."""
    data = [(0x31, 0x13, 0x37, 0x7F), (0x31, 0x7B, 0x7F, 0x7F), (0x07, 0, 0x7F, 0x7F), (0x64, 0, 0x7F, 0x7F)]
    events = [
        (4 * at, mido.MetaMessage("sequencer_specific", data=(0x43, 0x7B, 1, *each))) for at, each in enumerate(data)
    ]
    chart = read_midi_chart(midi_bytes(track(events), track(scale_events(4), "Melody")), "x.mid")
    assert [bar.chords[0][1].text for bar in chart.bars] == ["C7/B", "C7/B", "Ab", "Ab"]
    warned = "'XF chord of root 49, type 123' is not a chord: the chord before it goes on"
    assert chart.info.warnings == (f"x.mid, bar 2: {warned}",)


@pytest.mark.parametrize(
    ("texts", "chords"),
    [
        (["Em", "H7", "Em/H", "B"], ["Em", "B7", "Em/B", "Bb"]),
        (["Em", "B7", "Bm", "Bb"], ["Em", "B7", "Bm", "Bb"]),  # no H: B is B
        (["Em7", "H", "Am7", "B7"], ["Em7", "Em7", "Am7", "B7"]),  # one H alone is a rehearsal mark
        (["Em7", "H", "Am7", "H"], ["Em7", "B", "Am7", "B"]),
        (["Esus4", "Asus", "Bdim", "A7"], ["Esus4", "Asus", "Bdim", "A7"]),
        (["Cism", "Fis7", "Hm/Fis", "Dis°"], ["C#m", "F#7", "Bm/F#", "D#°"]),
    ],
)
def test_german_letters_are_read_where_the_other_chords_show_them(texts: list[str], chords: list[str]) -> None:
    """Guards against: German songs without their dominant; and English ones a semitone off."""
    events = marker_events([(4 * bar, text) for bar, text in enumerate(texts)])
    chart = read_midi_chart(midi_bytes(track(events), track(scale_events(4), "Melody")), "x.mid")
    assert [bar.chords[0][1] for bar in chart.bars] == [parse_chord(chord) for chord in chords]


@pytest.mark.parametrize(
    ("texts", "chords"),
    [(["c7", "am", "d", "g"], ["C7", "Am", "D", "G"]), (["C7", "Am", "d", "G"], ["C7", "Am", "Am", "G"])],
)
def test_a_small_letter_alone_is_a_chord_among_small_letters(texts: list[str], chords: list[str]) -> None:
    """Guards against: a minor chord that is played as major, because some write d for D minor."""
    events = marker_events([(4 * bar, text) for bar, text in enumerate(texts)])
    chart = read_midi_chart(midi_bytes(track(events), track(scale_events(4), "Melody")), "x.mid")
    assert [bar.chords[0][1].text for bar in chart.bars] == chords


@pytest.mark.parametrize(
    ("symbols", "bars_apart", "alone", "are_chords"),
    [
        (["Am", "C"], 30, False, False),
        (["Am", "C"], 30, True, True),  # nothing else tells the chords
        (["Am", "C", "Dm", "F"], 4, False, True),
        (["Dm7", "Ebm7"], 30, False, True),  # no names of keys
    ],
)
def test_few_plain_chords_over_many_bars_are_keys(
    symbols: list[str], bars_apart: int, *, alone: bool, are_chords: bool
) -> None:
    """Guards against: one chord for forty bars; and a modal tune that loses its two chords."""
    texts = marker_events([(4 * bars_apart * at, symbol) for at, symbol in enumerate(symbols)])
    bars = bars_apart * len(symbols)
    comp = [] if alone else [track(block_chords([(48, 52, 55), (50, 53, 57)] * (bars // 2)), "Piano")]
    data = midi_bytes(track(texts), track(scale_events(bars, 67), "Melody"), *comp)
    assert ("symbols" in read_midi(data, ReadingOptions()).report.chords) == are_chords
    assert "symbols" in read_midi(data, ReadingOptions(chords="text")).report.chords
    roots = {chord.root for bar in read_midi_chart(data, "x.mid").bars for _, chord in bar.chords}
    assert (roots == {chord.root for chord in map(parse_chord, symbols)}) == are_chords


@pytest.mark.parametrize("name", ["Track 1", "Soft karaoke", "Piano", "www.midi.example"])
def test_the_name_that_a_program_gave_is_no_title(name: str) -> None:
    """Guards against: all karaoke files as one tune, on one side of the split."""
    data = midi_bytes(track([], name), track(scale_events(4), "Melody"))
    assert (read_midi(data, ReadingOptions()).report.title, read_midi_chart(data, "x.mid").info.title) == ("", "")


def test_only_what_is_late_is_moved() -> None:
    """Guards against: a band that is moved off its beats because the melody was recorded late."""
    made = band(random.Random(1), 16, 0.5)
    made.tune = [(start + 0.2, end + 0.2, pitch) for start, end, pitch in made.tune]
    reading = read_midi(midi_bytes(*tracks_of(made)), ReadingOptions())
    [solo] = reading.solos
    assert [note.onset / 12 for note in solo.notes] == pytest.approx([start - 0.2 for start, _, _ in made.tune])
    assert "1 part 0.20 of a beat late: moved to the beats" in reading.report.remarks


@pytest.mark.parametrize("step", [0.7183, 0.611, 1.037])
def test_free_time_is_no_shift(step: float) -> None:
    """Guards against: a recording without a click that is moved about."""
    notes = [(at * step, at * step + 0.5, 60 + at % 9) for at in range(200)]
    reading = read_midi(midi_bytes(track(note_events(notes))), ReadingOptions())
    assert reading.report.remarks == ("the notes ignore the beats of the file: was it recorded without a click?",)


@given(st.lists(st.integers(0, 40_000), min_size=64, max_size=120), st.integers(0, 11))
def test_any_onsets_keep_their_order(ticks: list[int], places: int) -> None:
    """Guards against: notes that change places, or begin before the piece, when a shift is taken off."""
    messages = [(tick / 480 + places / 12, mido.Message("note_on", note=60, velocity=9)) for tick in sorted(ticks)]
    solos = read_midi(midi_bytes(track(messages)), ReadingOptions()).solos
    onsets = [note.onset for solo in solos for note in solo.notes]
    assert onsets == sorted(onsets)
    assert onsets[0] >= 0


@pytest.mark.parametrize(
    ("names", "melody"),
    [
        (["Lead Guitar", "Vocals"], "Vocals"),
        (["Lead Guitar", "Alto Sax Jim"], "Alto Sax Jim"),
        (["Vocals", "Melody"], "Melody"),
        (["Sax", "Vocals", "Guitar Solo"], "Vocals"),
        (["Rhythm Guitar", "Lead Guitar"], "Lead Guitar"),
        (["Voice Oohs", "Solo"], "Solo"),
        (["Lead 1 (square)", "Sax"], "Sax"),
        (["Backing Vocals", "Lead Vocal"], "Lead Vocal"),
        (["Sax", "Solo Harmonica"], "Solo Harmonica"),
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_the_melody_is_found_by_its_name(names: list[str], melody: str, first: int) -> None:
    """Guards against: a network that learns the fills of the lead guitar instead of the song."""
    parts = [
        track(scale_events(4, 72 if name == melody else 67, channel, 1.0), name) for channel, name in enumerate(names)
    ]
    order = [*parts[first:], *parts[:first]]
    report = read_midi(midi_bytes(track([]), *order), ReadingOptions()).report
    assert f"{melody!r}" in report.melody
    assert report.melody.endswith("by its name")
