# SPDX-License-Identifier: Apache-2.0
"""The network in Keras is the network in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from sideman_models.course.generate import SamplingModel
from sideman_models.music.context import EvenBars, RowIndices, clash_mask_at, place_at
from sideman_models.music.harmony import parse_chord
from sideman_models.music.solos import ChordGrid
from sideman_models.music.values import choose_pitch
from sideman_models.network.bundle import Bundle, load_bundle
from sideman_models.network.lstm import Flags, LstmState, Network, NumpyNetwork, softmax
from support.fakes import classic_bundle, modern_bundle, random_weights

tf = pytest.importorskip("tensorflow")
from sideman_models.network import keras_model as djmodel  # noqa: E402

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

CHANGES = ChordGrid(tuple(parse_chord(name) for name in ["Dm7", "Dm7", "G7", "G7alt", "C^7", "C^7", "A7b9", "N.C."]))
BUNDLES: dict[str, Callable[[], Bundle]] = {
    "default": lambda: load_bundle("default"),
    "modern": modern_bundle,
    "classic": classic_bundle,
}


@pytest.fixture(scope="module", params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """A trained network with context and mask, an untrained one, a classic one."""
    return BUNDLES[request.param]()


class Solo:
    """Where a solo stands that goes round and round the same changes."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.tick, self.pitch = 0, 60

    def told(self) -> tuple[RowIndices, Flags | None]:
        """The context rows and clashes of the coming value."""
        place = place_at(CHANGES, EvenBars(48), self.tick % 96, self.pitch)
        clash = None if self.bundle.classic else clash_mask_at(self.bundle.vocabulary, place)
        return self.bundle.context.active_rows(place), clash

    def play(self, index: int) -> None:
        """Go on by a value."""
        value = self.bundle.vocabulary.values[index]
        chord = CHANGES.chord_at(self.tick % 96 / 12)
        pitch = choose_pitch(value, chord, self.pitch, 48, 84)
        self.pitch = self.pitch if pitch is None else pitch
        self.tick += value.ticks


def draw(probabilities: npt.NDArray[np.float64], dice: float) -> int:
    """The value that the dice (0 <= dice < 1) fall on."""
    return min(int(np.searchsorted(np.cumsum(probabilities), dice)), len(probabilities) - 1)


def thrown(count: int) -> Iterator[float]:
    """Dice, the same each time."""
    return iter(np.random.default_rng(4).random(count).tolist())


def test_each_step_is_the_same_from_the_same_state(bundle: Bundle) -> None:
    """`model.engine: tensorflow` would play another solo, and Keras would not show that the NumPy engine is right."""
    numpy, keras = NumpyNetwork(bundle.weights), djmodel.TensorFlowNetwork(bundle.weights)
    solo, state, value = Solo(bundle), LstmState.zero(bundle.weights.n_a), None
    for dice in thrown(300):
        rows, clash = solo.told()
        other = state.copy()
        probabilities = softmax(numpy.step(value, rows, clash, state))
        np.testing.assert_allclose(softmax(keras.step(value, rows, clash, other)), probabilities, rtol=0, atol=1e-6)
        np.testing.assert_allclose(other.a, state.a, rtol=0, atol=1e-6)
        assert (np.abs(other.c - state.c) <= 1e-6 * np.maximum(1, np.abs(state.c))).all()
        value = draw(probabilities, dice)
        solo.play(value)


def test_left_to_themselves_they_play_the_same(bundle: Bundle) -> None:
    """Small differences would add up until the two engines improvise different solos."""
    engines: tuple[Network, Network] = NumpyNetwork(bundle.weights), djmodel.TensorFlowNetwork(bundle.weights)
    solos = Solo(bundle), Solo(bundle)
    states = LstmState.zero(bundle.weights.n_a), LstmState.zero(bundle.weights.n_a)
    value: int | None = None
    for dice in thrown(1000):
        told = [solo.told() for solo in solos]
        one, other = (
            softmax(engine.step(value, *what, state)) for engine, what, state in zip(engines, told, states, strict=True)
        )
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)
        value = draw(one, dice)
        assert draw(other, dice) == value
        for solo in solos:
            solo.play(value)


def test_the_sequence_is_the_unrolled_model() -> None:
    """Training one layer over the sequence would not be training the assignment's model."""
    LSTM_cell, densor, reshapor = djmodel.make_layers(6, 9)
    unrolled = djmodel.djmodel(5, LSTM_cell, densor, reshapor)
    sequence = djmodel.sequence_model(5, LSTM_cell, densor, 9)
    dice = np.random.default_rng(0)
    X = np.eye(9, dtype=np.float32)[dice.integers(0, 9, (4, 5))]
    a0, c0 = dice.normal(size=(2, 4, 6)).astype(np.float32)
    steps = np.stack([step.numpy() for step in unrolled([X, a0, c0])], axis=1)
    np.testing.assert_allclose(sequence([X, a0, c0]).numpy(), steps, atol=1e-6)
    np.testing.assert_allclose(steps.sum(axis=2), 1, atol=1e-5)
    assert unrolled.count_params() == sequence.count_params() == 4 * 6 * (9 + 6 + 1) + 9 * 7


def test_the_inference_model_plays_as_numpy_does() -> None:
    """The course's solo would not be the one played live; its graph would not feed back what it chose, or its state."""
    weights = [random_weights(24, 0, 10, 0.0, seed) for seed in range(4)]
    LSTM_cell, densor = djmodel.layers_from_weights(weights[0])
    model = djmodel.music_inference_model(LSTM_cell, densor, 50)
    assert model.count_params() == 4 * 10 * (24 + 10 + 1) + 24 * 11
    solos = set()
    for one in weights:
        LSTM_cell.set_weights([one.kernel, one.recurrent, one.bias])
        densor.set_weights([one.densor_kernel, one.densor_bias])
        zeros = np.zeros((1, 1, 24)), np.zeros((1, 10)), np.zeros((1, 10))
        results, indices = djmodel.predict_and_sample(model, *zeros)
        assert (results.shape, indices.shape) == ((50, 24), (50, 1))
        _, stepped = djmodel.predict_and_sample(SamplingModel(NumpyNetwork(one), 50, temperature=0), *zeros)
        np.testing.assert_array_equal(indices, stepped)
        solos.add(tuple(indices[:, 0]))
    assert len(solos) > 1


def test_the_assignments_model_has_the_assignments_size() -> None:
    """A student could not compare the summary with the course's."""
    LSTM_cell, densor, reshapor = djmodel.make_layers(64, 78)
    model = djmodel.djmodel(3, LSTM_cell, densor, reshapor)
    assert model.count_params() == 41_678
    assert [tuple(output.shape) for output in model.outputs] == [(None, 78)] * 3


def test_keras_weights_are_the_ones_that_play() -> None:
    """Gates would be taken for one another when a trained model is saved."""
    LSTM_cell, densor, _ = djmodel.make_layers(6, 9, activation=None)
    model = djmodel.single_step_model(LSTM_cell, densor, 9)
    weights = djmodel.weights_from_layers(LSTM_cell, densor)
    state = LstmState(*np.random.default_rng(1).normal(size=(2, 6)).astype(np.float32))
    inputs = [np.eye(9, dtype=np.float32)[[3]], state.a[None], state.c[None], np.zeros((1, 9), np.float32)]
    logits, a, c = model(inputs)
    stepped = NumpyNetwork(weights).step(3, np.zeros(0, np.intp), None, state)
    for one, other in ((logits, stepped), (a, state.a), (c, state.c)):
        np.testing.assert_allclose(one.numpy()[0], other, atol=1e-6)
