# SPDX-License-Identifier: Apache-2.0
"""The assignment's generated music: the place, pitch and number of its notes."""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sideman.commands import generate as command
from sideman.core.errors import NoSuchInput, UnreadableInput, UsageError
from sideman_models.course.corpus import tone_kind
from sideman_models.course.generate import (
    BAR_TICKS,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    OPENING_VALUE,
    SamplingModel,
    chord_from_pitches,
    generate_music,
    predict_and_sample,
)
from sideman_models.errors import ModelsError
from sideman_models.music.qualities import TONE_KINDS
from sideman_models.music.smoothing import NO_RULES, ORIGINAL_RULES
from sideman_models.music.values import TICKS_PER_QUARTER, parse_value
from sideman_models.network.bundle import save_bundle
from sideman_models.network.lstm import Floats, LstmState, NumpyNetwork
from support.course_midi import Span, held_chord, write_classic_midi
from support.fakes import classic_bundle, modern_bundle

BUNDLE = classic_bundle()
TEXTS = [value.text for value in BUNDLE.vocabulary.values]
pitches = st.lists(st.integers(36, 72), min_size=2, max_size=5, unique=True).map(tuple)
onsets = st.sampled_from([0.0, 0.5, 1.75, 2.0, 2.5, 3.0])
bars = st.lists(st.tuples(onsets, pitches), min_size=1, max_size=3).map(lambda bar: sorted(bar, key=lambda one: one[0]))
corpora = st.lists(bars, min_size=6, max_size=9)
few = hypothesis_settings(max_examples=12)


def player(Ty: int = 20, temperature: float = 1.0, seed: int = 0) -> SamplingModel:
    """Return an untrained classic network that samples."""
    return SamplingModel(NumpyNetwork(BUNDLE.weights), Ty, temperature, seed)


def chord_at(bar: list[tuple[float, tuple[int, ...]]], tick: int) -> tuple[int, ...]:
    """Return the chord at a tick of the bar."""
    begun = [chord for beats, chord in bar if beats * TICKS_PER_QUARTER <= tick]
    return begun[-1] if begun else bar[0][1]


@given(pitches, st.integers(0, 127))
def test_a_chord_has_the_classic_kinds(chord: tuple[int, ...], pitch: int) -> None:
    """Guards against: other chord tones in the generated music than in the corpus."""
    assert TONE_KINDS[chord_from_pitches(chord).kind_of(pitch)] == tone_kind(pitch, chord)


@few
@given(corpora, st.integers(0, 1000))
def test_sets_follow_one_another(chords: list[list[tuple[float, tuple[int, ...]]]], seed: int) -> None:
    """Guards against: overlapping sets and notes, as in one of the originals."""
    tune = generate_music(player(seed=seed), TEXTS, chords, seed)
    assert [one.number for one in tune] == list(range(1, len(chords) // 3))
    start = 0
    for one in tune:
        end = start + one.bars * BAR_TICKS
        onsets = [sound.onset for sound in one.sounds]
        assert all(start <= sound.onset < sound.onset + sound.length <= end for sound in one.sounds)
        assert all(first.onset + first.length <= then.onset for first, then in pairwise(one.sounds))
        assert len(onsets) <= len(one.values) + 1
        assert [chord.onset for chord in one.chords if chord.onset % BAR_TICKS == one.chords[0].onset % BAR_TICKS] == [
            one.chords[0].onset + bar * BAR_TICKS for bar in range(one.bars)
        ]
        start = end


@few
@given(corpora, st.integers(0, 1000))
def test_every_sound_plays_its_value(chords: list[list[tuple[float, tuple[int, ...]]]], seed: int) -> None:
    """Guards against: a note of another kind than its value, or an error if no pitch fits."""
    tune = generate_music(player(seed=seed), TEXTS, chords, seed, NO_RULES)
    for one in tune:
        start = one.chords[0].onset - round(chords[one.number][0][0] * TICKS_PER_QUARTER)
        sounds = {sound.onset: sound for sound in one.sounds}
        onset = start
        for value in [OPENING_VALUE, *map(parse_value, one.values)]:
            chord = chord_at(chords[one.number], onset % BAR_TICKS)
            fitting = [
                pitch for pitch in range(LOWEST_PITCH, HIGHEST_PITCH + 1) if tone_kind(pitch, chord) == value.kind
            ]
            sound = sounds.pop(onset, None)
            assert (sound is None) == (not fitting)
            if sound is not None:
                assert sound.length == value.ticks
                assert sound.pitches[0] in fitting
            onset += value.ticks
        assert not sounds


@few
@given(corpora, st.integers(0, 1000))
def test_the_rules_of_the_originals_are_kept(chords: list[list[tuple[float, tuple[int, ...]]]], seed: int) -> None:
    """Guards against: post-processing without effect on the grid, the shortest lengths or leaps."""
    before: int | None = None
    for one in generate_music(player(seed=seed), TEXTS, chords, seed):
        for sound in one.sounds:
            assert sound.onset % TICKS_PER_QUARTER % 3 == 0 or sound.onset % TICKS_PER_QUARTER % 4 == 0
            assert sound.length >= ORIGINAL_RULES.min_ticks(TICKS_PER_QUARTER)
            pitch, chord = sound.pitches[0], chord_at(chords[one.number], sound.onset % BAR_TICKS)
            same = [
                other
                for other in range(LOWEST_PITCH, HIGHEST_PITCH + 1)
                if tone_kind(other, chord) == tone_kind(pitch, chord)
            ]
            others = [other for other in same if other != before] or same
            if before is not None:
                assert abs(pitch - before) <= max(ORIGINAL_RULES.leap, min(abs(other - before) for other in others))
            before = pitch


def _runs(pitches: list[int]) -> list[list[int]]:
    """Group equal neighbours."""
    runs: list[list[int]] = []
    for pitch in pitches:
        if runs and runs[-1][0] == pitch:
            runs[-1].append(pitch)
        else:
            runs.append([pitch])
    return runs


def test_a_pitch_repeated_too_often_is_avoided() -> None:
    """Guards against: a pitch that is repeated without end."""
    same = [TEXTS.index("C,0.250")]  # no interval: the nearest chord tone, which is the previous pitch
    chords = [[(0.0, (60, 64, 67))]] * 6
    free, kept = (
        generate_music(Scripted(same * 20), TEXTS, chords, 0, rules)[0] for rules in (NO_RULES, ORIGINAL_RULES)
    )
    assert len(set(free.sounds[0].pitches + free.sounds[-1].pitches)) == 1
    assert len(_runs([sound.pitches[0] for sound in free.sounds])) == 1
    assert max(map(len, _runs([sound.pitches[0] for sound in kept.sounds]))) == ORIGINAL_RULES.repetition


class Scripted:
    """An inference model that plays the given values."""

    def __init__(self, indices: list[int]) -> None:
        self.indices = indices
        self.input_shape = [(1, 1, len(TEXTS)), (1, 4), (1, 4)]

    def __call__(self, inputs: object) -> list[Floats]:
        """Return the given values."""
        return [np.eye(1, len(TEXTS), index, dtype=np.float32) for index in self.indices]


def test_samples_have_the_courses_shapes() -> None:
    """Guards against: shapes that differ from the course's."""
    results, indices = predict_and_sample(player(7))
    assert (results.shape, indices.shape) == ((7, len(TEXTS)), (7, 1))
    np.testing.assert_array_equal(results.argmax(axis=1), indices[:, 0])
    np.testing.assert_array_equal(results.sum(axis=1), 1)


def test_a_solo_starts_from_the_given_state() -> None:
    """Guards against: a given start that is ignored, or a state that is not passed on."""
    a, c = np.random.default_rng(0).normal(size=(2, 1, BUNDLE.weights.n_a)).astype(np.float32)
    x = np.eye(1, len(TEXTS), 3, dtype=np.float32)[None]
    _, indices = predict_and_sample(player(12, temperature=0), x, a, c)
    network, state, value = NumpyNetwork(BUNDLE.weights), LstmState(a[0].copy(), c[0].copy()), 3
    for index in indices[:, 0].tolist():
        value = int(network.step(value, np.zeros(0, np.intp), None, state).argmax())
        assert index == value


def test_solos_differ_unless_the_temperature_is_zero() -> None:
    """Guards against: sampling that always plays the same solo, as argmax does, or that cannot be repeated."""
    chords = [[(0.0, (60, 64, 67))]] * 18
    cold, warm, again = (generate_music(player(50, t), TEXTS, chords) for t in (0.0, 1.0, 1.0))
    assert len({one.values for one in cold}) == 1
    assert len({one.values for one in warm}) == len(warm) == 5
    assert warm == again


def test_too_few_bars_or_a_network_with_context_are_refused() -> None:
    """Guards against: an error deep in the code for too few bars or a network with context."""
    with pytest.raises(ModelsError, match="at least 6"):
        generate_music(player(), TEXTS, [[(0.0, (60, 64, 67))]] * 5)
    with pytest.raises(ModelsError, match="classic"):
        SamplingModel(NumpyNetwork(modern_bundle().weights))


def arguments(*words: str) -> argparse.Namespace:
    """Parse a command line of `sideman generate`."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A MIDI file like the course's, of eighteen bars."""
    triads = [(60, 64, 67), (58, 62, 65), (57, 60, 64), (62, 65, 69)]
    melody: list[Span] = [(4.0 * bar + 1, 1.0, 72) for bar in range(18)]
    return write_classic_midi(
        tmp_path, melody, [span for bar in range(18) for span in held_chord(triads[bar % 4], 4.0 * bar)]
    )


def test_the_file_holds_the_printed_number_of_sounds(
    tmp_path: Path, course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a printed number of sounds that is not the number in the file, as in the originals."""
    save_bundle(BUNDLE, tmp_path / "classic")
    out = tmp_path / "solo.mid"
    words = [str(course), "--model", str(tmp_path / "classic"), "--out", str(out), "--seed", "3"]
    assert command.run(arguments(*words)) == 0
    lines = capsys.readouterr().out.splitlines()
    song = mido.MidiFile(out)
    now, sounding, struck, starts = 0.0, set[int](), 0, []
    for message in song.tracks[1]:
        now += message.time / song.ticks_per_beat
        if message.type == "note_on" and message.channel == 0:
            assert not sounding  # the voice never plays two notes at once
            struck += 1
            starts.append(now)
            sounding.add(message.note)
        elif message.type == "note_off" and message.channel == 0:
            sounding.remove(message.note)
    assert not sounding
    counts = [int(line.split()[1]) for line in lines[:5]]
    assert [line.startswith("Generated") for line in lines] == [True] * 5 + [False]
    assert struck == sum(counts) == int(lines[5].split()[1])
    assert now == pytest.approx(4 * int(lines[5].split()[3]))
    assert starts[0] == 0  # no introduction

    first = out.read_bytes()
    assert command.run(arguments(*words)) == 0
    assert out.read_bytes() == first


def test_wrong_usage_is_reported(tmp_path: Path, course: Path) -> None:
    """Guards against: a traceback for wrong usage."""
    save_bundle(BUNDLE, tmp_path / "classic")
    save_bundle(modern_bundle(), tmp_path / "modern")
    model, out = ["--model", str(tmp_path / "classic")], ["--out", str(tmp_path / "solo.mid")]
    for wrong in (["--steps", "0"], ["--temperature", "-1"], ["--seed", "-1"], ["--keras", "--temperature", "1"]):
        with pytest.raises(UsageError):
            command.run(arguments(str(course), *model, *out, *wrong))
    with pytest.raises(NoSuchInput):
        command.run(arguments(str(tmp_path / "none.mid"), *model, *out))
    with pytest.raises(UnreadableInput, match="train --classic"):
        command.run(arguments(str(course), "--model", str(tmp_path / "modern"), *out))
    assert not (tmp_path / "solo.mid").exists()


@pytest.mark.tensorflow
def test_keras_makes_the_same_file(tmp_path: Path, course: Path) -> None:
    """Guards against `--keras` failing, or making another file than the NumPy network does at temperature 0."""
    pytest.importorskip("tensorflow")
    save_bundle(BUNDLE, tmp_path / "classic")
    words = [str(course), "--model", str(tmp_path / "classic"), "--seed", "3", "--steps", "4"]
    files = tmp_path / "numpy.mid", tmp_path / "keras.mid"
    for file, options in zip(files, (["--temperature", "0"], ["--keras"]), strict=True):
        assert command.run(arguments(*words, "--out", str(file), *options)) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
