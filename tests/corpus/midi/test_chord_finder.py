# SPDX-License-Identifier: Apache-2.0
"""Chords found_symbols from notes, and their accuracy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman import cli
from sideman_models.corpus.midi import chord_finder
from sideman_models.corpus.midi.chord_finder import TimeSlots, find_chords
from sideman_models.corpus.midi.parser import TimedNote
from sideman_models.errors import CorpusError
from sideman_models.evaluation.chord_accuracy import (
    Accompaniment,
    ChordAccuracy,
    accompaniment_accuracy,
    band_accompaniment,
    database_bass_accuracy,
    plain_chord_accompaniment,
)
from sideman_models.music.harmony import NO_CHORD, QUALITY_PRIORS, Chord, parse_chord
from sideman_models.music.solos import ChordGrid
from sideman_models.music.values import TICKS_PER_QUARTER
from support.corpora import BEAT_FIELDS, beat_rows, note_row, solo_record, write_database
from support.strategies import beat_changes, chord_symbols

BAR = 4 * TICKS_PER_QUARTER


def bars(*symbols: str, low: int = 48) -> list[TimedNote]:
    """Return each chord for one bar, its tones stacked on its root."""
    chords = [parse_chord(symbol) for symbol in symbols]
    return [
        (BAR * at, BAR * at + BAR - 1, low + (chord.root - low) % 12 + tone)
        for at, chord in enumerate(chords)
        for tone in chord.quality.tones
    ]


def found_symbols(notes: list[TimedNote], count: int, melody: list[TimedNote] | None = None) -> list[str]:
    """Return the symbol of the chord on each beat of `count` bars."""
    return [chord.text for chord in find_chords(notes, melody or [], TimeSlots(4 * count, TICKS_PER_QUARTER, 4))]


def test_chords_are_found_where_they_begin() -> None:
    """Guards against: a line over the previous or the next chord."""
    assert found_symbols(bars("D-7", "G7", "C^7", "Eo7", "F-", "Bb7"), 6) == [
        text for text in ("D-7", "G7", "C^7", "Eo7", "F-", "Bb7") for _ in range(4)
    ]


@pytest.mark.parametrize(
    "quality", [name for name in QUALITY_PRIORS if name not in ("7alt", "6", "-6", "o7", "+", "7b9")]
)
def test_every_quality_is_found_on_every_root(quality: str) -> None:
    """Guards against: tunes in some keys over wrong chords."""
    for root in ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"):
        chord = parse_chord(root + quality)
        [one] = {*find_chords(bars(chord.text, low=41), [], TimeSlots(4, TICKS_PER_QUARTER, 4))}
        assert one == chord


@pytest.mark.parametrize("quality", ["", "-", "7", "^7"])
def test_an_inversion_has_the_same_root(quality: str) -> None:
    """Guards against: a chord over its third or fifth that is taken for another one."""
    chord = parse_chord(f"F{quality}")
    for lowest in chord.tones:
        notes = [(0.0, BAR, 48 + (tone - lowest) % 12 + lowest) for tone in chord.tones]
        assert {one.root for one in find_chords(notes, [], TimeSlots(4, TICKS_PER_QUARTER, 4))} == {5}


def test_the_bass_decides_between_chords_of_the_same_tones() -> None:
    """Guards against: C6 and Am7 confused, because they have the same tones."""
    upper = [(0.0, BAR, pitch) for pitch in (60, 64, 67, 69)]
    assert set(found_symbols([*upper, (0.0, BAR, 36)], 1)) == {"C6"}
    assert set(found_symbols([*upper, (0.0, BAR, 33)], 1)) == {"A-7"}


def test_passing_notes_change_no_chord() -> None:
    """Guards against: leading notes of the bass that become chords of their own."""
    walking = [
        (TICKS_PER_QUARTER * beat, TICKS_PER_QUARTER * beat + 11, pitch)
        for beat, pitch in enumerate((36, 40, 43, 42, 41, 45, 48, 49))
    ]
    assert found_symbols([*walking, *bars("C^7", "F^7", low=52)], 2) == ["C^7"] * 4 + ["F^7"] * 4


def test_silence_keeps_the_chord() -> None:
    """Guards against: breaks over chords that nobody played."""
    notes = [note for note in bars("D-7", "G7", "G7", "G7") if note[0] < 2 * BAR]
    assert found_symbols(notes, 4) == ["D-7"] * 4 + ["G7"] * 12
    assert found_symbols([], 2) == [NO_CHORD.text] * 8


def test_chords_are_found_from_a_melody_alone() -> None:
    """Guards against: a melody without accompaniment that cannot be used for training."""
    line = [(6.0 * at, 6.0 * at + 6, 60 + pitch) for at, pitch in enumerate((2, 5, 9, 12, 9, 5, 2, 5) * 4)]
    assert set(found_symbols(line, 4, line)) <= {"D-", "D-7"}


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(0, 400), st.floats(0, 400), st.integers(0, 127)), max_size=40),
    st.sampled_from([(4, 12), (3, 12), (7, 6), (1, 12), (9, 3)]), st.integers(1, 40),
)  # fmt: skip
def test_any_notes_have_a_chord_in_every_slot(notes: list[TimedNote], meter: tuple[int, int], count: int) -> None:
    """Guards against: a strange piece that ends the reading with a traceback."""
    timed_notes = [(start, start + length, pitch) for start, length, pitch in notes]
    chords = find_chords(timed_notes, timed_notes[::2], TimeSlots(count, meter[1], meter[0]))
    assert len(chords) == count


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 90), st.floats(0, 90), st.integers(0, 127)), max_size=20))
def test_sounding_time_is_counted_correctly(notes: list[TimedNote]) -> None:
    """Guards against: long notes that count as nothing, or a short note that counts as a whole chord."""
    timed_notes = [(start, start + length, pitch) for start, length, pitch in notes]
    amounts = chord_finder._sounding_amounts(timed_notes, TimeSlots(10, TICKS_PER_QUARTER, 4))
    expected = np.zeros((10, 128))
    for start, end, pitch in timed_notes:
        for slot in range(10):
            expected[slot, pitch] += (
                max(0.0, min(end, TICKS_PER_QUARTER * (slot + 1)) - max(start, TICKS_PER_QUARTER * slot))
                / TICKS_PER_QUARTER
            )
    assert np.allclose(amounts, expected)


# Accuracy.


@settings(max_examples=30)
@given(beat_changes(), st.integers(0, 9), st.sampled_from([band_accompaniment, plain_chord_accompaniment]))
def test_a_generated_accompaniment_can_be_played(changes: ChordGrid, seed: int, playing: Accompaniment) -> None:
    """Guards against: an accuracy that is measured on what nobody would play."""
    chords = changes.chords
    for start, end, pitch in playing(chords, np.random.default_rng(seed)):
        assert 0 <= start < end
        assert 28 <= pitch < 76
        assert chords[int(start / TICKS_PER_QUARTER)] != NO_CHORD


@settings(max_examples=30)
@given(st.lists(st.tuples(chord_symbols(), chord_symbols()).map(lambda two: tuple(map(parse_chord, two))), max_size=9))
def test_accuracy_counts_beats(pairs: list[tuple[Chord, Chord]]) -> None:
    """Guards against: a wrong accuracy."""
    no_chord_pair = (parse_chord("C"), NO_CHORD)
    accuracy = ChordAccuracy.from_pairs([*pairs, no_chord_pair])
    assert accuracy.beats == len(pairs)
    assert 0 <= accuracy.family_share <= accuracy.root_share <= 1
    assert ChordAccuracy.from_pairs([(true, true) for _, true in pairs]).family_share == (1.0 if pairs else 0.0)
    assert ChordAccuracy.from_pairs([(NO_CHORD, true) for _, true in pairs]).root_share == 0.0


@pytest.mark.parametrize("playing", [band_accompaniment, plain_chord_accompaniment])
def test_most_chords_of_a_tune_are_found(playing: Accompaniment) -> None:
    """Guards against: training on wrong chords if the files have none, although the docs say otherwise."""
    chords = [parse_chord(text) for text in ("D-7", "G7", "C^7", "C^7", "Bb-7", "Eb7", "Ab^7", "A7") for _ in range(4)]
    accuracy = accompaniment_accuracy([(chords * 8, ())], playing)
    assert accuracy.root_share > 0.85
    assert accuracy.family_share > 0.75


def test_the_command_reports_the_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: users who cannot know how far to trust the chords that are found_symbols."""
    chart = tmp_path / "blues.txt"
    chart.write_text("| F7 | Bb7 | F7 | % |")
    rows = beat_rows(["C^7"] * 8 + ["D-7"] * 4 + ["G7"] * 4)
    basses = [*[36, None] * 4, *[38, 45] * 2, *[43, 38] * 2]
    solo = solo_record([note_row(1, 1, 64)], [[*row, low] for row, low in zip(rows, basses, strict=True)])
    solos = write_database(tmp_path / "solos.jsonl", [solo | {"beat_fields": [*BEAT_FIELDS, "bass_midi"]}])
    assert cli.main(["corpus", "--chord-accuracy", str(chart), str(solos)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[1].split(":")[0] for line in lines] == [
        "a band made up", "plain chords", "a band made up", "plain chords", "its own bass",
    ]  # fmt: skip
    assert lines[-1].endswith("of roots and families found, in 16 beats")
    assert cli.main(["corpus", "--chord-accuracy", "--json", str(solos)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["roots"] >= 0.5
    assert cli.main(["corpus", "--chord-accuracy", "--values", str(chart)]) == 2


def test_a_database_without_bass_notes_is_refused(tmp_path: Path) -> None:
    """Guards against: an accuracy that was never measured."""
    solos = write_database(tmp_path / "solos.jsonl", [solo_record([note_row(1, 1, 64)], beat_rows(["C^7"] * 4))])
    with pytest.raises(CorpusError, match=r"solos.jsonl:1: beat_fields: no column 'bass_midi'"):
        database_bass_accuracy(solos)
