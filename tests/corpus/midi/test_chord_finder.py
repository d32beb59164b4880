# SPDX-License-Identifier: Apache-2.0
"""Chords found_symbols from notes, and their accuracy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman_models.corpus.midi import chord_finder
from sideman_models.corpus.midi.chord_finder import TimeSlots, find_chords
from sideman_models.corpus.midi.parser import TimedNote
from sideman_models.music.harmony import NO_CHORD, parse_chord
from sideman_models.music.qualities import QUALITY_PRIORS
from sideman_models.music.values import TICKS_PER_QUARTER

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
    """Guards against: breaks over chords that were not played."""
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
