# SPDX-License-Identifier: Apache-2.0
"""The network in Keras computes the same as the network in NumPy."""

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
    """A trained network with context and mask, an untrained one, and a classic one."""
    return BUNDLES[request.param]()


class Solo:
    """The position in a solo over the same chords, repeated."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.tick, self.pitch = 0, 60

    def input(self) -> tuple[RowIndices, Flags | None]:
        """Return the context rows and clashes of the next value."""
        place = place_at(CHANGES, EvenBars(48), self.tick % 96, self.pitch)
        clash = None if self.bundle.classic else clash_mask_at(self.bundle.vocabulary, place)
        return self.bundle.context.active_rows(place), clash

    def play(self, index: int) -> None:
        """Advance by a value."""
        value = self.bundle.vocabulary.values[index]
        chord = CHANGES.chord_at(self.tick % 96 / 12)
        pitch = choose_pitch(value, chord, self.pitch, 48, 84)
        self.pitch = self.pitch if pitch is None else pitch
        self.tick += value.ticks


def draw(probabilities: npt.NDArray[np.float64], number: float) -> int:
    """Draw a value with a uniform random number (0 <= number < 1)."""
    return min(int(np.searchsorted(np.cumsum(probabilities), number)), len(probabilities) - 1)


def uniform_numbers(count: int) -> Iterator[float]:
    """Yield uniform random numbers, the same every time."""
    return iter(np.random.default_rng(4).random(count).tolist())


def test_each_step_is_the_same_from_the_same_state(bundle: Bundle) -> None:
    """Guards against: another solo with `model.engine: tensorflow`, or a NumPy engine that differs from Keras."""
    numpy, keras = NumpyNetwork(bundle.weights), keras_model.TensorFlowNetwork(bundle.weights)
    solo, state, value = Solo(bundle), LstmState.zero(bundle.weights.n_a), None
    for number in uniform_numbers(300):
        rows, clash = solo.input()
        other = state.copy()
        probabilities = softmax(numpy.step(value, rows, clash, state))
        # Logits beyond 8 have steps of 1e-6 in float32.
        np.testing.assert_allclose(softmax(keras.step(value, rows, clash, other)), probabilities, rtol=0, atol=2e-6)
        np.testing.assert_allclose(other.a, state.a, rtol=0, atol=1e-6)
        assert (np.abs(other.c - state.c) <= 1e-6 * np.maximum(1, np.abs(state.c))).all()
        value = draw(probabilities, number)
        solo.play(value)


def test_both_engines_play_the_same_solo(bundle: Bundle) -> None:
    """Guards against: small differences that add up until the two engines improvise different solos."""
    engines: tuple[Network, Network] = NumpyNetwork(bundle.weights), keras_model.TensorFlowNetwork(bundle.weights)
    solos = Solo(bundle), Solo(bundle)
    states = LstmState.zero(bundle.weights.n_a), LstmState.zero(bundle.weights.n_a)
    value: int | None = None
    for number in uniform_numbers(1000):
        inputs = [solo.input() for solo in solos]
        one, other = (
            softmax(engine.step(value, *rows, state))
            for engine, rows, state in zip(engines, inputs, states, strict=True)
        )
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)
        value = draw(one, number)
        assert draw(other, number) == value
        for solo in solos:
            solo.play(value)


def test_weights_from_keras_layers_play_the_same() -> None:
    """Guards against: gates that are mixed up when a trained model is saved."""
    LSTM_cell, densor, _ = keras_model.make_layers(6, 9, activation=None)
    model = keras_model.single_step_model(LSTM_cell, densor, 9)
    weights = keras_model.weights_from_layers(LSTM_cell, densor)
    state = LstmState(*np.random.default_rng(1).normal(size=(2, 6)).astype(np.float32))
    x, clash = np.eye(9, dtype=np.float32)[[3]], np.zeros((1, 9), np.float32)
    outputs = model({"x": x, "a": state.a[None], "c": state.c[None], "clash": clash})
    stepped = NumpyNetwork(weights).step(3, np.zeros(0, np.intp), None, state)
    for name, other in (("logits", stepped), ("next_a", state.a), ("next_c", state.c)):
        np.testing.assert_allclose(outputs[name].numpy()[0], other, atol=1e-6)
