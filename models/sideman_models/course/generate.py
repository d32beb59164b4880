# SPDX-License-Identifier: Apache-2.0
"""The assignment's last part: values from the network, and a tune made of them over the corpus' own chords.

The tune has no introduction: it begins with the first set of chords. A *set* is the chords of one bar of the corpus,
and the tune goes over five of them: as in the course, those of the first third of the bars but the first bar's. Over
each, an opening chord tone and then the Ty values of one solo are played one after the other, for as many whole bars as
they take; the set's chords come again in each. So nothing overlaps, and nothing that was drawn is dropped.

Needs no TensorFlow: what plays is Keras' `music_inference_model`, or a `SamplingModel`, which steps the network in
NumPy and draws. Times are ticks, twelfths of a quarter note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sideman_models.course.corpus import BEATS_PER_BAR, tone_kind
from sideman_models.course.rnn import Array
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import TONE_KINDS, Chord, Quality, pitch_name
from sideman_models.music.smoothing import ORIGINAL_RULES, SmoothingRules
from sideman_models.music.values import TICKS_PER_QUARTER, Value, choose_pitch, parse_value
from sideman_models.network.lstm import Floats, LstmState, Network, softmax

BAR_TICKS = BEATS_PER_BAR * TICKS_PER_QUARTER
OPENING_VALUE = Value("C", TICKS_PER_QUARTER // 4)
"""What every solo begins with, before the values of the network."""
MIN_TEMPERATURE = 1e-6
"""A temperature below this is none."""
LOWEST_PITCH, HIGHEST_PITCH = 48, 84
"""The soloist's range, C3 to C6."""

BarChords = Sequence[tuple[float, tuple[int, ...]]]
"""The chords of a bar: quarters from the bar line, and MIDI pitches."""
_NO_ROWS = np.zeros(0, np.intp)


class InferenceModel(Protocol):
    """What plays Ty values from a start.

    `input_shape` are the shapes of its inputs x (1, 1, n_values), a and c (1, n_a), of which only the last number of
    each is looked at; its outputs are Ty arrays (1, n_values), and the greatest number of each marks the value played.
    """

    @property
    def input_shape(self) -> Sequence[Sequence[int]]:
        """The shapes of x, a and c."""
        ...

    def __call__(self, inputs: Sequence[Array]) -> Sequence[Any]:
        """Play."""
        ...


class SamplingModel:
    """Plays as `music_inference_model` does, but draws each value at `temperature` (0: the most probable).

    Its outputs are one-hot. The dice go on from one solo to the next: only the first depends on `seed` alone.
    """

    def __init__(self, network: Network, Ty: int = 50, temperature: float = 1.0, seed: int = 0) -> None:
        if network.weights.n_context:
            raise ModelsError("a network that is told its context cannot play without one: take a classic one")
        self._network = network
        self._Ty = Ty
        self._temperature = temperature
        self._random_source = np.random.default_rng(seed)

    @property
    def input_shape(self) -> Sequence[Sequence[int]]:
        """The shapes of x, a and c."""
        weights = self._network.weights
        return [(1, 1, weights.n_values), (1, weights.n_a), (1, weights.n_a)]

    def __call__(self, inputs: Sequence[Array]) -> list[Floats]:
        """Ty one-hot arrays (1, n_values), from x (1, 1, n_values), a and c (1, n_a)."""
        x, a, c = (np.asarray(one, np.float32) for one in inputs)
        state = LstmState(a[0].copy(), c[0].copy())
        value = int(x.argmax()) if x.any() else None
        played = []
        for _ in range(self._Ty):
            value = self._draw(self._network.step(value, _NO_ROWS, None, state))
            played.append(np.eye(1, x.shape[2], value, dtype=np.float32))
        return played

    def _draw(self, logits: Floats) -> int:
        if self._temperature < MIN_TEMPERATURE:
            return int(logits.argmax())
        return int(self._random_source.choice(len(logits), p=softmax(logits / np.float32(self._temperature))))


def predict_and_sample(
    inference_model: InferenceModel, x: Array | None = None, a: Array | None = None, c: Array | None = None
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """A solo of Ty values from x (1, 1, n_values), a and c (1, n_a), each zero unless given.

    Returns results (Ty, n_values), one-hot, and indices (Ty, 1).
    """
    sizes = [shape[-1] for shape in inference_model.input_shape]
    zeros: list[Array] = [
        np.zeros((1, 1, sizes[0]), np.float32),
        *(np.zeros((1, size), np.float32) for size in sizes[1:]),
    ]
    inputs = [zero if one is None else one for one, zero in zip((x, a, c), zeros, strict=True)]
    outputs = np.stack([np.asarray(one) for one in inference_model(inputs)])  # (Ty, 1, n_values)
    indices = outputs.argmax(axis=2)
    return np.eye(outputs.shape[2], dtype=np.float32)[indices[:, 0]], indices


@dataclass(frozen=True, slots=True)
class SoundingPitches:
    """Pitches sounding together from `onset` for `length`, in ticks from the start of the tune."""

    onset: int
    length: int
    pitches: tuple[int, ...]

    def shifted(self, ticks: int) -> SoundingPitches:
        """The same, so many ticks later."""
        return replace(self, onset=self.onset + ticks)


@dataclass(frozen=True, slots=True)
class ChordSet:
    """One set of chords, of the corpus' bar `number` (from 0), and what is played over it: `sounds` are single notes.

    `values` are the texts of the network's values.
    """

    number: int
    bars: int
    values: tuple[str, ...]
    chords: tuple[SoundingPitches, ...]
    sounds: tuple[SoundingPitches, ...]

    def __str__(self) -> str:
        return f'Generated {len(self.sounds)} sounds over {self.bars} bars of the set of chords ("{self.number}")'


@dataclass(frozen=True, slots=True)
class GeneratedMusic:
    """The sets, one after the other."""

    sets: tuple[ChordSet, ...]

    @property
    def length_beats(self) -> int:
        """Its length in quarter notes."""
        return BEATS_PER_BAR * sum(one.bars for one in self.sets)


def generate_music(
    inference_model: InferenceModel,
    indices_values: Mapping[int, str] | Sequence[str],
    chords: Sequence[BarChords],
    seed: int = 0,
    rules: SmoothingRules = ORIGINAL_RULES,
) -> GeneratedMusic:
    """The tune that `inference_model` plays over the sets of `chords`, the corpus' bars of chords.

    `indices_values[i]` is the text of value i. `seed` is for the pitches, of which a value leaves several open. Raises
    ModelsError if there are too few bars for a set.
    """
    numbers = range(1, len(chords) // 3)
    if not numbers:
        raise ModelsError(
            f"{len(chords)} bars of chords: a tune takes at least 6, of the first third all but the first"
        )
    dice = np.random.default_rng(seed)
    sets: list[ChordSet] = []
    start, previous = 0, None
    for number in numbers:
        _, indices = predict_and_sample(inference_model)
        texts = tuple(indices_values[index] for index in indices[:, 0].tolist())
        sounds, ticks = _play_solo([OPENING_VALUE, *map(parse_value, texts)], chords[number], previous, rules, dice)
        previous = sounds[-1].pitches[0] if sounds else previous
        bars = -(-ticks // BAR_TICKS)
        comping = [bar * BAR_TICKS for bar in range(bars)]
        sets.append(
            ChordSet(
                number,
                bars,
                texts,
                tuple(one.shifted(start + bar) for bar in comping for one in _accompany_bar(chords[number])),
                tuple(one.shifted(start) for one in sounds),
            )
        )
        start += bars * BAR_TICKS
    return GeneratedMusic(tuple(sets))


def _play_solo(
    values: Sequence[Value],
    chords: BarChords,
    previous_pitch: int | None,
    rules: SmoothingRules,
    random_source: np.random.Generator,
) -> tuple[list[SoundingPitches], int]:
    """Return the values as notes after `previous_pitch`, post-processed one by one, and the ticks that they take."""
    sounds: list[SoundingPitches] = []
    onset = times = 0
    for value in values:
        chord, length = (
            _chord_at(chords, onset % BAR_TICKS),
            rules.smoothed_length(onset % BAR_TICKS, value.ticks, TICKS_PER_QUARTER),
        )
        worn = rules.repeated_too_often(previous_pitch, times)
        pitch = choose_pitch(
            value,
            chord,
            previous_pitch,
            LOWEST_PITCH,
            HIGHEST_PITCH,
            draw=random_source.random(),
            avoid=worn,
            max_leap=rules.leap,
        )
        if pitch is not None:  # over a chord with no tone of the value's kind it is a rest
            sounds.append(SoundingPitches(onset, length, (pitch,)))
            times = times + 1 if pitch == previous_pitch else 1
            previous_pitch = pitch
        onset += length
    return sounds, onset


def _chord_at(chords: BarChords, tick: int) -> Chord:
    """The chord sounding at a tick of the bar: the last that has begun, else the first."""
    begun = [pitches for beats, pitches in chords if beats * TICKS_PER_QUARTER <= tick]
    return chord_from_pitches(begun[-1] if begun else chords[0][1])


@lru_cache(maxsize=256)
def chord_from_pitches(pitches: tuple[int, ...]) -> Chord:
    """Classic chord pitches as a chord that says how any pitch sits in it, by the classic rules."""
    kinds = tuple(TONE_KINDS.index(tone_kind(pitch, pitches)) for pitch in range(12))
    tones = tuple(sorted({pitch % 12 for pitch in pitches}))
    scale = tuple(offset for offset in range(12) if TONE_KINDS[kinds[offset]] in "CS")
    return Chord(0, Quality("", "none", tones, scale, kinds), None, " ".join(map(pitch_name, sorted(pitches))))


def _accompany_bar(chords: BarChords) -> Iterator[SoundingPitches]:
    """The chords of a bar, those that begin together as one, each lasting until the next."""
    onsets = sorted({round(beats * TICKS_PER_QUARTER) for beats, _ in chords})
    for onset, end in pairwise([*onsets, BAR_TICKS]):
        together = {
            pitch for beats, pitches in chords for pitch in pitches if round(beats * TICKS_PER_QUARTER) == onset
        }
        yield SoundingPitches(onset, end - onset, tuple(sorted(together)))
