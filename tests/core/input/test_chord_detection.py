# SPDX-License-Identifier: Apache-2.0
"""Chords that are held are recognised, count from the moment they are held, and last until the next."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.input.chord_detection import SETTLE_S, ChordDetector, detect_chord
from sideman_models.music.harmony import QUALITIES, QUALITY_PRIORS, Chord, chord_on, parse_chord, parse_pitch

sought = [quality for quality in QUALITIES.values() if len(quality.tones) > 2]


@st.composite
def grips(draw: st.DrawFn, qualities: list[str]) -> tuple[Chord, list[int]]:
    """A chord and its tones as they may lie under the hands: any of them lowest, perhaps without the fifth."""
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
    """Whether these are the tones of `chord`, but perhaps for its fifth."""
    held = {pitch % 12 for pitch in pitches}
    return held <= chord.tones and chord.tones - held <= {(chord.root + 7) % 12}


def blemishes(chord: Chord, pitches: list[int]) -> int:
    """Those of the rule."""
    rare = chord.quality.name not in QUALITY_PRIORS and len(chord.tones) > 3
    return (min(pitches) % 12 != chord.root) + ({pitch % 12 for pitch in pitches} != chord.tones) + rare


@settings(max_examples=300)
@given(grips([quality.name for quality in sought]))
def test_its_own_tones_give_a_chord_back_unless_they_are_another_one_too(grip: tuple[Chord, list[int]]) -> None:
    """Without it the chords you hold would not be those that are played over."""
    chord, pitches = grip
    found = detect_chord(pitches)
    assert found is not None
    assert fits(found, pitches)
    if (found.root, found.quality.family) != (chord.root, chord.quality.family):
        assert chord.quality.name in ("-b6", "-7#5", "69#11") or blemishes(found, pitches) <= blemishes(chord, pitches)
    assert found.bass == (None if min(pitches) % 12 == found.root else min(pitches) % 12)


@pytest.mark.parametrize("name", ["", "-", "7", "^7", "7b9", "9", "-9"])
@pytest.mark.parametrize("fifth", [True, False])
def test_plain_chords_are_never_mistaken(name: str, fifth: bool) -> None:
    """Without it the most usual chords would depend on how they lie under the hand."""
    tones = [tone for tone in QUALITIES[name].tones if fifth or tone != 7]
    for root in range(12):
        for bass in tones if len(tones) > 2 else ():
            found = detect_chord([36 + root + bass, *(60 + root + tone for tone in tones)])
            assert found == chord_on(root, QUALITIES[name], (root + bass) % 12 if bass else None)


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
def test_it_is_told_as_the_rule_says(keys: str, symbol: str) -> None:
    """Without it ambiguous grips would be settled by chance."""
    found = detect_chord([parse_pitch(key) for key in keys.split()])
    assert found == parse_chord(symbol)
    assert found == parse_chord(found.text)


@pytest.mark.parametrize("keys", ["", "C3", "C3 G3", "C3 C4 G4", "C3 C#3 D3 D#3 E3 F3 F#3"])
def test_too_few_notes_and_clusters_are_no_chord(keys: str) -> None:
    """Without it a bass note, or a forearm, would change the harmony."""
    assert detect_chord([parse_pitch(key) for key in keys.split()]) is None


def told(held: ChordDetector) -> str | None:
    """What is recognised when the time has come."""
    assert held.settle_at < math.inf
    found = held.detect()
    assert held.settle_at == math.inf
    return found and found[0].text


def test_the_keys_need_not_come_down_at_once_and_the_chord_lasts() -> None:
    """Without it half a chord would count, or the chord would go when the hand does."""
    held = ChordDetector()
    for number, pitch in enumerate((48, 52, 55, 58)):
        assert held.settle_at == (math.inf if number == 0 else pytest.approx(1 + 0.03 * (number - 1) + SETTLE_S))
        held.note_on(pitch, 1 + 0.03 * number)
    found = held.detect()
    assert found is not None
    assert found[0].text == "C7"
    assert found[1] == pytest.approx(1.09)
    for pitch in (58, 55, 52, 48):
        held.note_off(pitch, 2.0 + pitch / 10)
        assert held.settle_at == math.inf


def test_keys_left_over_from_the_chord_before_do_not_belong_to_the_next() -> None:
    """Without it legato playing would smear one chord into the next."""
    held = ChordDetector()
    for pitch in (48, 52, 55):
        held.note_on(pitch, 1.0)
    assert told(held) == "C"
    for pitch in (53, 57, 60):
        held.note_on(pitch, 2.0)
    told(held)
    for pitch in (48, 52, 55):
        held.note_off(pitch, 2.1)
    assert told(held) == "F"
    held.note_off(60, 3.0)  # the new one goes, key by key
    assert held.settle_at == math.inf


def test_a_bass_that_is_held_on_belongs_to_the_next_chord() -> None:
    """Without it a pedal point could not be held."""
    held = ChordDetector()
    for pitch in (36, 52, 55, 58):
        held.note_on(pitch, 1.0)
    assert told(held) == "C7"
    for pitch in (52, 55, 58):
        held.note_off(pitch, 1.5)
    for pitch in (53, 57, 60):
        held.note_on(pitch, 2.0)
    assert told(held) == "F/C"


def test_a_staccato_chord_counts_whole() -> None:
    """Without it stabs would not be heard as chords."""
    held = ChordDetector()
    for pitch in (48, 52, 55):
        held.note_on(pitch, 1.0)
    for pitch in (48, 52, 55):
        held.note_off(pitch, 1.02)
    assert told(held) == "C"
    held.note_on(53, 2.0)
    assert told(held) is None


def test_a_stab_over_a_chord_that_is_held_lasts_when_that_comes_up() -> None:
    """Without it letting go of the chord before would bring part of it back."""
    held = ChordDetector()
    for pitch in (48, 52, 55, 58):
        held.note_on(pitch, 1.0)
    told(held)
    for pitch in (65, 69, 72):
        held.note_on(pitch, 2.0)
    for pitch in (65, 69, 72):
        held.note_off(pitch, 2.02)
    told(held)
    held.note_off(48, 3.0)
    assert held.settle_at == math.inf


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 127), st.floats(0, 0.1)), max_size=60))
def test_whatever_is_held_it_is_a_chord_or_none(steps: list[tuple[bool, int, float]]) -> None:
    """Without it some grip would stop the music."""
    held, second = ChordDetector(), 0.0
    for strikes, pitch, gap in steps:
        second += gap
        if held.settle_at <= second:
            found = held.detect()
            assert found is None or (found[0] == parse_chord(found[0].text) and found[1] <= second)
        (held.note_on if strikes else held.note_off)(pitch, second)
        assert held.settle_at == math.inf or second <= held.settle_at <= second + SETTLE_S
