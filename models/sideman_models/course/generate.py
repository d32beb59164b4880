# SPDX-License-Identifier: Apache-2.0
"""The last part of the assignment: sample values from the network, and turn them into music over the corpus' chords.

A *set* is the chords of one bar of the corpus. As in the course, the music uses the bars of the first third of the
corpus without the very first bar: five sets. Over each set, an opening chord tone and the Ty values of one solo are
played one after the other. This takes as many whole bars as are needed, and the chords of the set are repeated in each
bar. So no notes overlap, and no value is dropped. The music has no introduction.

The inference model is Keras' `djmodel.music_inference_model`, or a `SamplingModel`, which needs no TensorFlow. Times
are ticks: twelfths of a quarter note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.course.corpus import BEATS_PER_BAR, tone_kind
from sideman_models.course.rnn import Array
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import Chord, pitch_name
from sideman_models.music.qualities import TONE_KINDS, Quality
from sideman_models.music.smoothing import ORIGINAL_RULES, SmoothingRules, is_repeated_too_often
from sideman_models.music.values import TICKS_PER_QUARTER, Value, choose_pitch, parse_value
from sideman_models.network.lstm import Floats, LstmState, Network, softmax

BAR_TICKS = BEATS_PER_BAR * TICKS_PER_QUARTER
OPENING_VALUE = Value("C", TICKS_PER_QUARTER // 4)
"""The first value of every solo, before the values of the network: a chord tone, a sixteenth note long."""
MIN_TEMPERATURE = 1e-6
"""Below this temperature, the most probable value is chosen."""
LOWEST_PITCH, HIGHEST_PITCH = 48, 84
"""The range of the soloist: C3 to C6."""

BarChords = Sequence[tuple[float, tuple[int, ...]]]
"""The chords of a bar, in order: (quarter notes after the bar line, MIDI pitches)."""
_NO_ROWS = np.zeros(0, np.intp)


class InferenceModel(Protocol):
    """A model that returns a solo of Ty values, as Keras' `music_inference_model` does."""

    @property
    def input_shape(self) -> Sequence[Sequence[int]]:
        """The shapes of the inputs x (1, 1, n_values), a and c (1, n_a). Only the last size of each is used."""
        ...

    def __call__(self, inputs: Sequence[Array]) -> Sequence[Any]:
        """Return Ty arrays (1, n_values) for the inputs x, a and c. The greatest number of each marks the value."""
        ...


class SamplingModel:
    """An inference model that steps a classic network and draws each value at random.

    `temperature` divides the logits: below 1 the solos are more predictable, above 1 less, and at 0 each value is the
    most probable one. Every solo continues the same random sequence, so only the first depends on `seed` alone. Raises
    `ModelsError` for a network with context.
    """

    def __init__(self, network: Network, Ty: int = 50, temperature: float = 1.0, seed: int = 0) -> None:
        if network.n_context:
            raise ModelsError("this network needs context rows, and here are none: use a classic network")
        self._network = network
        self._Ty = Ty
        self._temperature = temperature
        self._random_source = np.random.default_rng(seed)

    @property
    def input_shape(self) -> Sequence[Sequence[int]]:
        """The shapes of x, a and c."""
        n_values, n_a = self._network.n_values, self._network.n_a
        return [(1, 1, n_values), (1, n_a), (1, n_a)]

    def __call__(self, inputs: Sequence[Array]) -> list[Floats]:
        """Return Ty one-hot arrays (1, n_values) for x (1, 1, n_values), a and c (1, n_a)."""
        x, a, c = (np.asarray(array, np.float32) for array in inputs)
        state = LstmState(a[0].copy(), c[0].copy())
        value = int(x.argmax()) if x.any() else None
        played = []
        for _ in range(self._Ty):
            logits = self._network.step(value, _NO_ROWS, None, state)
            if self._temperature < MIN_TEMPERATURE:
                value = int(logits.argmax())
            else:
                probabilities = softmax(logits / np.float32(self._temperature))
                value = int(self._random_source.choice(len(logits), p=probabilities))
            played.append(np.eye(1, x.shape[2], value, dtype=np.float32))
        return played


def predict_and_sample(
    inference_model: InferenceModel, x: Array | None = None, a: Array | None = None, c: Array | None = None
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return a solo of Ty values as results (Ty, n_values), one-hot, and indices (Ty, 1): the assignment's function.

    It starts from x (1, 1, n_values), the one-hot of the previous value, and the state a and c (1, n_a). The default of
    each is zeros.
    """
    sizes = [shape[-1] for shape in inference_model.input_shape]
    zeros: list[Array] = [np.zeros((1, 1, sizes[0]), np.float32)]
    zeros += [np.zeros((1, size), np.float32) for size in sizes[1:]]
    inputs = [zero if given is None else given for given, zero in zip((x, a, c), zeros, strict=True)]
    outputs = np.stack([np.asarray(output) for output in inference_model(inputs)])  # (Ty, 1, n_values)
    indices = outputs.argmax(axis=2)
    return np.eye(outputs.shape[2], dtype=np.float32)[indices[:, 0]], indices


class SoundingPitches(Struct, frozen=True):
    """MIDI pitches that sound together from tick `onset`, counted from the start of the music, for `length` ticks."""

    onset: int
    length: int
    pitches: tuple[int, ...]


class ChordSet(Struct, frozen=True):
    """The chords of one bar of the corpus, repeated for a number of bars, and the solo over them.

    `number` is the bar of the corpus, counted from 0. `values` are the texts of the values that the network chose,
    `sounds` the notes of the solo, one pitch each.
    """

    number: int
    bars: int
    values: tuple[str, ...]
    chords: tuple[SoundingPitches, ...]
    sounds: tuple[SoundingPitches, ...]

    def __str__(self) -> str:
        return f'Generated {len(self.sounds)} sounds over {self.bars} bars of the set of chords ("{self.number}")'


def generate_music(
    inference_model: InferenceModel,
    indices_values: Mapping[int, str] | Sequence[str],
    chords: Sequence[BarChords],
    seed: int = 0,
    rules: SmoothingRules = ORIGINAL_RULES,
) -> tuple[ChordSet, ...]:
    """Return the sets, one after the other, that `inference_model` plays over `chords`: the corpus' chords, bar by bar.

    `indices_values[i]` is the text of value i. A value leaves several pitches to choose from: `seed` decides among
    them. Raises `ModelsError` if there are fewer than 6 bars of chords.
    """
    numbers = range(1, len(chords) // 3)
    if not numbers:
        raise ModelsError(
            f"{len(chords)} bars of chords: at least 6 are needed, because only the first third without bar 1 is used"
        )
    random_source = np.random.default_rng(seed)
    sets: list[ChordSet] = []
    start, previous = 0, None
    for number in numbers:
        _, indices = predict_and_sample(inference_model)
        texts = tuple(indices_values[index] for index in indices[:, 0].tolist())
        values = [OPENING_VALUE, *map(parse_value, texts)]
        sounds, end = _play_solo(values, chords[number], start, previous, rules, random_source)
        previous = sounds[-1].pitches[0] if sounds else previous
        bar_starts = range(start, end, BAR_TICKS)
        comping = tuple(chord for bar_start in bar_starts for chord in _accompany_bar(chords[number], bar_start))
        sets.append(ChordSet(number, len(bar_starts), texts, comping, tuple(sounds)))
        start += len(bar_starts) * BAR_TICKS
    return tuple(sets)


def _play_solo(
    values: Sequence[Value],
    chords: BarChords,
    onset: int,
    previous_pitch: int | None,
    rules: SmoothingRules,
    random_source: np.random.Generator,
) -> tuple[list[SoundingPitches], int]:
    """Return the notes of the values from tick `onset` on, after the note `previous_pitch`, and the tick of their end.

    `onset` begins a bar. Each value is smoothed by `rules` and given a pitch before the next one.
    """
    sounds: list[SoundingPitches] = []
    repeats = 0
    for value in values:
        length = rules.smoothed_length(onset % BAR_TICKS, value.ticks, TICKS_PER_QUARTER)
        # The chord is the last one of the bar that has started, or else the first.
        started = [pitches for beats, pitches in chords if beats * TICKS_PER_QUARTER <= onset % BAR_TICKS]
        pitch = choose_pitch(
            value,
            chord_from_pitches(started[-1] if started else chords[0][1]),
            previous_pitch,
            LOWEST_PITCH,
            HIGHEST_PITCH,
            draw=random_source.random(),
            avoid=previous_pitch if is_repeated_too_often(repeats, rules.repetition) else None,
            max_leap=rules.leap,
        )
        if pitch is not None:  # without a tone of the value's kind over the chord, the value is a rest
            sounds.append(SoundingPitches(onset, length, (pitch,)))
            repeats = repeats + 1 if pitch == previous_pitch else 1
            previous_pitch = pitch
        onset += length
    return sounds, onset


@lru_cache(maxsize=256)
def chord_from_pitches(pitches: tuple[int, ...]) -> Chord:
    """Return a `Chord` of these MIDI pitches. The kinds of its twelve offsets are by the classic rules."""
    kinds = tuple(TONE_KINDS.index(tone_kind(pitch, pitches)) for pitch in range(12))
    tones = tuple(sorted({pitch % 12 for pitch in pitches}))
    scale = tuple(offset for offset in range(12) if TONE_KINDS[kinds[offset]] in "CS")
    return Chord(0, Quality("", "none", tones, scale, kinds), None, " ".join(map(pitch_name, sorted(pitches))))


def _accompany_bar(chords: BarChords, start: int) -> Iterator[SoundingPitches]:
    """Yield the chords of a bar from tick `start` on: those that start together are one, until the next one."""
    onsets = sorted({round(beats * TICKS_PER_QUARTER) for beats, _ in chords})
    for onset, end in pairwise([*onsets, BAR_TICKS]):
        together = {pitch for beats, group in chords for pitch in group if round(beats * TICKS_PER_QUARTER) == onset}
        yield SoundingPitches(start + onset, end - onset, tuple(sorted(together)))
