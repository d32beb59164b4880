# SPDX-License-Identifier: Apache-2.0
"""The network in Keras is the network in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from sideman_models.music.context import EvenBars, RowIndices, clash_mask_at, place_at
from sideman_models.music.harmony import parse_chord
from sideman_models.music.solos import ChordGrid
from sideman_models.music.values import choose_pitch
from sideman_models.network.bundle import Bundle, load_bundle
from sideman_models.network.lstm import Flags, LstmState, Network, NumpyNetwork, softmax
from support.fakes import classic_bundle, modern_bundle

tf = pytest.importorskip("tensorflow")
from sideman_models.network import keras_model  # noqa: E402

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
    numpy, keras = NumpyNetwork(bundle.weights), keras_model.TensorFlowNetwork(bundle.weights)
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
    engines: tuple[Network, Network] = NumpyNetwork(bundle.weights), keras_model.TensorFlowNetwork(bundle.weights)
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


def test_keras_weights_are_the_ones_that_play() -> None:
    """Gates would be taken for one another when a trained model is saved."""
    LSTM_cell, densor, _ = keras_model.make_layers(6, 9, activation=None)
    model = keras_model.single_step_model(LSTM_cell, densor, 9)
    weights = keras_model.weights_from_layers(LSTM_cell, densor)
    state = LstmState(*np.random.default_rng(1).normal(size=(2, 6)).astype(np.float32))
    inputs = [np.eye(9, dtype=np.float32)[[3]], state.a[None], state.c[None], np.zeros((1, 9), np.float32)]
    logits, a, c = model(inputs)
    stepped = NumpyNetwork(weights).step(3, np.zeros(0, np.intp), None, state)
    for one, other in ((logits, stepped), (a, state.a), (c, state.c)):
        np.testing.assert_allclose(one.numpy()[0], other, atol=1e-6)
