# SPDX-License-Identifier: Apache-2.0
"""Chord symbols, and the kinds of pitches over chords."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.errors import ChordError
from sideman_models.music.harmony import NO_CHORD, Chord, parse_chord, parse_pitch, pitch_name
from sideman_models.music.qualities import CHORD_FAMILIES, QUALITIES, QUALITY_TABLE, TONE_KINDS, Quality
from support.data_files import data_file
from support.strategies import chords

# For each row the texts after the root that must be read as it.
SPELLINGS = {
    "": ("", "M", "maj", "Maj"),
    "^7": ("^7", "^", "maj7", "Maj7", "MAJ7", "ma7", "M7", "j7", "Δ", "Δ7", "△7", "(maj7)"),
    "^9": ("maj9", "^9", "j79", "Δ9", "maj7(9)"),
    "^7#11": ("^7#11", "maj7#11", "maj7(#11)", "Δ#11"),
    "^9#11": ("j7911#", "^9#11", "maj9#11"),
    "^7#9": ("j79#", "^7#9"),
    "6": ("6", "maj6"),
    "69": ("69", "6/9", "6(9)", "6add9"),
    "69#11": ("6911#", "69#11", "6/9#11"),
    "add9": ("add9", "2", "add2", "(add9)"),
    "5": ("5", "no3"),
    "-": ("-", "m", "min", "mi", "MIN"),
    "-7": ("-7", "m7", "min7", "mi7", "MI7", "−7"),
    "-9": ("-9", "m9", "-79", "m7(9)"),
    "-11": ("-11", "-7911", "m11"),
    "-13": ("-7913", "m13"),
    "-7b9": ("-79b", "m7b9"),
    "-6": ("-6", "m6"),
    "-69": ("-69", "m6/9"),
    "-^7": ("-^7", "mMaj7", "-j7", "mM7", "m(maj7)", "minmaj7", "-Δ"),
    "-^13": ("-j7913",),
    "-^9#11": ("-j7911#",),
    "7": ("7",),
    "9": ("9", "79", "7(9)"),
    "13": ("13", "7913", "9(13)"),
    "7#11": ("7#11", "7+11", "711#", "7(#11)"),
    "9#11": ("9#11", "7911#"),
    "7b13": ("7b13", "7-13", "713b"),
    "9b13": ("7913b", "9b13"),
    "7b9": ("7b9", "79b", "7-9", "(b9)", "7(b9)", "7♭9", "9b"),
    "7#9": ("7#9", "79#", "7+9", "7♯9"),
    "13b9": ("13b9", "79b13", "7b9(13)"),
    "7b9#11": ("7b9#11", "7(b9,#11)", "79b11#"),
    "7b9b13": ("7b9b13", "79b13b"),
    "7#9#11": ("7#9#11", "79#11#"),
    "7alt": ("alt", "7alt", "+79#", "7#9b13", "7#5#9"),
    "7#5b9": ("7#5b9", "+7b9"),
    "+": ("+", "aug", "(#5)"),
    "+^7": ("+j7", "+^7", "maj7#5"),
    "7#5": ("+7", "7#5", "7+", "aug7", "7+5"),
    "9#5": ("+79", "9#5"),
    "9#5#11": ("+7911#",),
    "7b5": ("7b5", "7-5"),
    "sus": ("sus", "sus4", "4"),
    "sus2": ("sus2",),
    "7sus": ("sus7", "7sus", "7sus4"),
    "9sus": ("9sus", "sus79", "11", "7911", "9sus4"),
    "13sus": ("13sus", "sus7913"),
    "7susb9": ("7susb9", "7b9sus", "7sus4(b9)"),
    "h7": ("ø", "ø7", "h", "h7", "m7b5", "-7b5", "m7(b5)", "Ø7", "m7-5"),
    "h9": ("h9", "m9b5"),
    "o": ("o", "dim", "°", "mb5"),
    "o7": ("o7", "dim7", "°7", "º7"),
}


@pytest.mark.parametrize(
    ("row", "suffix"), [(row, suffix) for row, suffixes in SPELLINGS.items() for suffix in suffixes]
)
def test_every_usual_spelling_is_read_as_its_quality(row: str, suffix: str) -> None:
    """Guards against: a chart from another book, or the solo database, played over the wrong chords."""
    for root in ("C", "F#", "Bb", "E♭"):
        assert parse_chord(root + suffix).quality is QUALITIES[row]


@pytest.mark.parametrize("text", ["N.C.", "NC", "n.c.", "N. C.", " nc "])
def test_without_a_chord_every_pitch_is_a_scale_tone(text: str) -> None:
    """Guards against: a bar without chords that is refused, or in which each note looks wrong to the network."""
    assert parse_chord(text) == NO_CHORD
    assert {TONE_KINDS[NO_CHORD.kind_of(pitch)] for pitch in range(128)} == {"S"}


@pytest.mark.parametrize("quality", QUALITIES.values(), ids=lambda quality: quality.name or "major")
def test_every_row_is_consistent(quality: Quality) -> None:
    """Guards against: a mistyped row whose chord tones are not in its scale."""
    assert set(quality.tones) <= set(quality.scale) <= set(range(12))
    assert quality.tones == tuple(sorted(set(quality.tones)))
    assert quality.family in CHORD_FAMILIES
    for offset, kind in enumerate(quality.kinds):
        near = {(tone + step) % 12 for tone in quality.tones for step in (1, 11)}
        in_order = (offset in quality.tones, offset in quality.scale, offset in near, True)
        assert kind == in_order.index(True)


def test_rows_and_families_are_all_used_and_different() -> None:
    """Guards against: a row that is never chosen, or an input of the network that is never on."""
    assert len(QUALITIES) == len(QUALITY_TABLE)
    assert len({(quality.tones, quality.scale) for quality in QUALITIES.values()}) == len(QUALITY_TABLE)
    assert {quality.family for quality in QUALITIES.values()} == set(CHORD_FAMILIES)
    assert CHORD_FAMILIES[-1] == NO_CHORD.quality.family == "none"


@pytest.mark.parametrize("name", [name for name in QUALITIES if name != "none"])
def test_a_row_is_read_back_from_its_own_name(name: str) -> None:
    """Guards against: a symbol that the program prints but cannot read."""
    assert parse_chord("Eb" + name).quality is QUALITIES[name]


@given(st.text(max_size=12) | st.from_regex(r"[A-G][b#]?[-0-9mMajb#^()sudiot+,/ø]{0,10}", fullmatch=True))
def test_any_text_is_a_chord_or_a_chord_error(text: str) -> None:
    """Guards against: a traceback for a typing mistake in a chart, instead of one clear line."""
    try:
        chord = parse_chord(text)
    except ChordError as error:
        message = str(error)
    else:
        assert parse_chord(chord.text) == chord
        return
    assert "is not a chord" in message


@given(chords(), st.integers(0, 127))
def test_kinds_do_not_depend_on_the_octave(chord: Chord, pitch: int) -> None:
    """Guards against: a line that means something else to the network an octave higher."""
    assert chord.kind_of(pitch) == chord.kind_of(pitch % 12) == chord.kind_of(pitch + 12)
    assert (chord.kind_of(pitch) == TONE_KINDS.index("C")) == (pitch % 12 in chord.tones)
    assert (pitch % 12 in chord.scale) == (TONE_KINDS[chord.kind_of(pitch)] in "CS")


@given(chords(), st.integers(-24, 24), st.integers(0, 127))
def test_transposing_moves_all_parts_of_a_chord(chord: Chord, semitones: int, pitch: int) -> None:
    """Guards against: a chart that is another song after it was transposed for another instrument."""
    moved = chord.transposed(semitones)
    assert moved.quality is chord.quality
    assert moved == parse_chord(moved.text)
    assert moved.transposed(-semitones) == chord
    if chord != NO_CHORD:
        assert moved.kind_of(pitch + semitones) == chord.kind_of(pitch)


@given(chords())
def test_transposing_by_an_octave_changes_nothing(chord: Chord) -> None:
    """Guards against: a chord that is respelled although nothing was transposed."""
    assert chord.transposed(12) == chord
    assert chord.transposed(-12).text == chord.text


def test_the_bass_is_kept_but_is_no_chord_tone() -> None:
    """Guards against: a pedal note under a chord that turns clashing notes into chord tones."""
    over_f = parse_chord("C/F")
    assert (over_f.root, over_f.bass, over_f.tones) == (0, 5, frozenset({0, 4, 7}))
    assert parse_chord("D-7/C#").transposed(1).text == "Eb-7/D"
    assert parse_chord("A7/C#").bass == 1
    assert parse_chord("C6/9").bass is None
    assert parse_chord("C6/9/E").bass == 4


def test_chords_that_sound_the_same_are_equal() -> None:
    """Guards against: a chart that writes one chord in two ways and so seems to change chords."""
    assert parse_chord("Db^7") == parse_chord("C#maj7")
    assert not parse_chord("Db^7") != parse_chord("C#maj7")  # noqa: SIM202 - a struct has a `!=` of its own
    assert parse_chord("Db^7") != parse_chord("Db^7/F")
    assert hash(parse_chord("Db^7")) == hash(parse_chord("C#maj7"))
    assert parse_chord("C/E") != parse_chord("C")


@pytest.mark.parametrize(
    ("text", "part", "hint"),
    [
        ("Cfoo", "'foo' is not understood", "did you mean"),
        ("H7", "it must begin with its root", "did you mean 'B7'"),
        ("dm7", "root", "'Dm7'"),
        ("Hm7", "root", "A to G"),
        ("Cmaj7x", "'x' is not understood", "'Cmaj7'"),
        ("C7#13", "'#13' is not understood", "did you mean"),
        ("C7b", "'b' has no number", "did you mean"),
        ("C77", "'7' is given twice", "'C7'"),
        ("C/H", "'/H' is not understood", "C/E"),
        ("", "root", "N.C."),
    ],
)
def test_the_error_names_the_unreadable_part(text: str, part: str, hint: str) -> None:
    """Guards against: an error that does not say which part of which chord is wrong."""
    with pytest.raises(ChordError) as caught:
        parse_chord(text)
    assert part in str(caught.value)
    assert hint in str(caught.value)


def test_every_symbol_of_the_solo_database_is_read() -> None:
    """Guards against: training solos that lose their chords unnoticed."""
    symbols = set()
    with gzip.open(data_file("wjd/solos_train.jsonl.gz"), "rt") as lines:
        for line in lines:
            solo = json.loads(line)
            column = solo["beat_fields"].index("chord")
            symbols |= {beat[column] for beat in solo["beats"]}
    assert len(symbols) > 300
    assert all(parse_chord(symbol).text == symbol for symbol in symbols if symbol != "NC")


@given(st.integers(0, 127))
def test_a_pitch_is_read_back_from_its_name(pitch: int) -> None:
    """Guards against: a range that the program prints but reads as other notes."""
    assert parse_pitch(pitch_name(pitch)) == parse_pitch(str(pitch)) == pitch


@pytest.mark.parametrize(
    ("text", "pitch"), [("C4", 60), ("Eb3", 51), ("e♭3", 51), ("B#3", 60), ("Cb4", 59), ("C-1", 0)]
)
def test_pitch_names_count_from_middle_c(text: str, pitch: int) -> None:
    """Guards against: a solo that sounds an octave too high or too low."""
    assert parse_pitch(text) == pitch


@pytest.mark.parametrize("text", ["", "H4", "C", "128", "-1", "C10", "Cb-1", "4.5", "²", "C99999"])
def test_an_invalid_pitch_is_refused(text: str) -> None:
    """Guards against: a mistyped range that is silently read as another one."""
    with pytest.raises(ChordError, match="is not a pitch"):
        parse_pitch(text)
