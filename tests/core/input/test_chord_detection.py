# SPDX-License-Identifier: Apache-2.0
"""Held chords are detected, count from the moment when they are held, and last until the next one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.input.chord_detection import SETTLE_S, ChordDetector, detect_chord
from sideman_models.music.harmony import Chord, chord_on, parse_chord, parse_pitch
from sideman_models.music.qualities import QUALITIES, QUALITY_PRIORS

detectable = [quality for quality in QUALITIES.values() if len(quality.tones) > 2]


@st.composite
def held_chords(draw: st.DrawFn, qualities: list[str]) -> tuple[Chord, list[int]]:
    """A chord and the keys with which it is held: any tone lowest, perhaps without the fifth, perhaps doubled."""
    chord = chord_on(draw(st.integers(0, 11)), QUALITIES[draw(st.sampled_from(qualities))])
    tones = set(chord.tones)
    if len(tones) > 3 and draw(st.booleans()):
        tones.discard((chord.root + 7) % 12)
    bass = draw(st.sampled_from(sorted(tones)))
    above = [tone + 12 * draw(st.integers(4, 8)) for tone in sorted(tones - {bass})]
    doubled = [
        tone + 12 * draw(st.integers(4, 8)) for tone in draw(st.lists(st.sampled_from(sorted(tones)), max_size=2))
    ]
    return chord, draw(st.permutations([bass + 36, *above, *doubled]))


def fits(chord: Chord, pitches: list[int]) -> bool:
    """Whether these are the tones of `chord`, with or without its fifth."""
    held = {pitch % 12 for pitch in pitches}
    return held <= chord.tones and chord.tones - held <= {(chord.root + 7) % 12}


def flaws(chord: Chord, pitches: list[int]) -> int:
    """The number of flaws (see the second rule)."""
    rare = chord.quality.name not in QUALITY_PRIORS and len(chord.tones) > 3
    return (min(pitches) % 12 != chord.root) + ({pitch % 12 for pitch in pitches} != chord.tones) + rare


@settings(max_examples=300)
@given(held_chords([quality.name for quality in detectable]))
def test_the_tones_of_a_chord_are_detected_as_that_chord_or_an_equal_one(example: tuple[Chord, list[int]]) -> None:
    """Guards against: a solo over other chords than those that are held."""
    chord, pitches = example
    detected = detect_chord(pitches)
    assert detected is not None
    assert fits(detected, pitches)
    if (detected.root, detected.quality.family) != (chord.root, chord.quality.family):
        assert chord.quality.name in ("-b6", "-7#5", "69#11") or flaws(detected, pitches) <= flaws(chord, pitches)
    assert detected.bass == (None if min(pitches) % 12 == detected.root else min(pitches) % 12)


@pytest.mark.parametrize("name", ["", "-", "7", "^7", "7b9", "9", "-9"])
@pytest.mark.parametrize("fifth", [True, False])
def test_plain_chords_are_never_mistaken(name: str, fifth: bool) -> None:
    """Guards against: common chords whose detection depends on how they lie under the hand."""
    tones = [tone for tone in QUALITIES[name].tones if fifth or tone != 7]
    for root in range(12):
        for bass in tones if len(tones) > 2 else ():
            detected = detect_chord([36 + root + bass, *(60 + root + tone for tone in tones)])
            assert detected == chord_on(root, QUALITIES[name], (root + bass) % 12 if bass else None)


@pytest.mark.parametrize(
    ("keys", "symbol"),
    [
        ("C3 E3 G3", "C"),
        ("E3 G3 C4", "C/E"),
        ("G3 C4 E4", "C/G"),
        ("C3 E3 Bb3", "C7"),
        ("C3 E3 B3", "Cmaj7"),
        ("C3 Eb3 Bb3", "Cm7"),
        ("C3 Eb3 A3", "Cm6"),
        ("C3 E3 A3", "Am/C"),
        ("A2 C3 Eb3", "Adim"),
        ("C3 E3 G3 A3", "C6"),
        ("A2 C3 E3 G3", "Am7"),
        ("E3 G3 A3 C4", "Am7/E"),
        ("C3 Eb3 Gb3 A3", "Cdim7"),
        ("Gb3 A3 C4 Eb4", "F#dim7"),
        ("C3 E3 G#3", "C+"),
        ("E3 G#3 C4", "E+"),
        ("C3 F3 G3", "Csus"),
        ("F3 G3 C4", "Fsus2"),
        ("G2 C3 F3", "G7sus"),
        ("D3 C4 E4 G4", "D9sus"),
        ("F2 C4 E4 G4", "C/F"),
        ("B2 D3 F3 A3", "Bm7b5"),
        ("D3 F3 A3 B3", "Dm6"),
        ("G2 F3 B3 E4", "G7"),
        ("C3 E3 Bb3 D#4", "C7#9"),
        ("C3 E3 G#3 Bb3 D#4", "C7alt"),
        ("F#2 A#2 C#3", "F#"),
    ],
)
def test_ambiguous_keys_are_read_by_the_rules(keys: str, symbol: str) -> None:
    """Guards against: ambiguous chords that are read at random."""
    detected = detect_chord([parse_pitch(key) for key in keys.split()])
    assert detected == parse_chord(symbol)
    assert detected == parse_chord(detected.text)


@pytest.mark.parametrize("keys", ["", "C3", "C3 G3", "C3 C4 G4", "C3 C#3 D3 D#3 E3 F3 F#3"])
def test_too_few_notes_and_clusters_are_no_chord(keys: str) -> None:
    """Guards against: a bass note, or a forearm on the keys, that changes the harmony."""
    assert detect_chord([parse_pitch(key) for key in keys.split()]) is None


def settled(held: ChordDetector) -> str | None:
    """The symbol of the chord that is detected after it has settled."""
    assert held.settle_at < math.inf
    detected = held.detect()
    assert held.settle_at == math.inf
    return detected and detected[0].text


def test_keys_pressed_one_after_the_other_are_a_chord_that_lasts() -> None:
    """Guards against: half a chord that counts, or a chord that ends when the hand moves."""
    held = ChordDetector()
    for number, pitch in enumerate((48, 52, 55, 58)):
        assert held.settle_at == (math.inf if number == 0 else pytest.approx(1 + 0.03 * (number - 1) + SETTLE_S))
        held.note_on(pitch, 1 + 0.03 * number)
    detected = held.detect()
    assert detected is not None
    assert detected[0].text == "C7"
    assert detected[1] == pytest.approx(1.09)
    for pitch in (58, 55, 52, 48):
        held.note_off(pitch, 2.0 + pitch / 10)
        assert held.settle_at == math.inf


def test_keys_left_over_from_the_chord_before_do_not_belong_to_the_next() -> None:
    """Guards against: legato playing that smears one chord into the next."""
    held = ChordDetector()
    for pitch in (48, 52, 55):
        held.note_on(pitch, 1.0)
    assert settled(held) == "C"
    for pitch in (53, 57, 60):
        held.note_on(pitch, 2.0)
    settled(held)
    for pitch in (48, 52, 55):
        held.note_off(pitch, 2.1)
    assert settled(held) == "F"
    held.note_off(60, 3.0)  # the new chord is released key by key
    assert held.settle_at == math.inf


def test_a_bass_that_is_held_on_belongs_to_the_next_chord() -> None:
    """Guards against: a pedal point that cannot be held."""
    held = ChordDetector()
    for pitch in (36, 52, 55, 58):
        held.note_on(pitch, 1.0)
    assert settled(held) == "C7"
    for pitch in (52, 55, 58):
        held.note_off(pitch, 1.5)
    for pitch in (53, 57, 60):
        held.note_on(pitch, 2.0)
    assert settled(held) == "F/C"


def test_a_staccato_chord_counts_whole() -> None:
    """Guards against: stabs that are not heard as chords."""
    held = ChordDetector()
    for pitch in (48, 52, 55):
        held.note_on(pitch, 1.0)
    for pitch in (48, 52, 55):
        held.note_off(pitch, 1.02)
    assert settled(held) == "C"
    held.note_on(53, 2.0)
    assert settled(held) is None


def test_a_stab_over_a_held_chord_outlasts_it() -> None:
    """Guards against: the release of an old chord that brings part of it back."""
    held = ChordDetector()
    for pitch in (48, 52, 55, 58):
        held.note_on(pitch, 1.0)
    settled(held)
    for pitch in (65, 69, 72):
        held.note_on(pitch, 2.0)
    for pitch in (65, 69, 72):
        held.note_off(pitch, 2.02)
    settled(held)
    held.note_off(48, 3.0)
    assert held.settle_at == math.inf


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 127), st.floats(0, 0.1)), max_size=60))
def test_any_keys_are_a_chord_or_none(steps: list[tuple[bool, int, float]]) -> None:
    """Guards against: keys that stop the music."""
    held, second = ChordDetector(), 0.0
    for presses, pitch, gap in steps:
        second += gap
        if held.settle_at <= second:
            detected = held.detect()
            assert detected is None or (detected[0] == parse_chord(detected[0].text) and detected[1] <= second)
        (held.note_on if presses else held.note_off)(pitch, second)
        assert held.settle_at == math.inf or second <= held.settle_at <= second + SETTLE_S
