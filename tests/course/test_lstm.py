# SPDX-License-Identifier: Apache-2.0
"""The course's LSTM in NumPy, forward and backward."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sideman_models.course.lstm import (
    from_keras,
    lstm_backward,
    lstm_cell_backward,
    lstm_cell_forward,
    lstm_forward,
    to_keras,
)
from sideman_models.course.rnn import Array, cross_entropy, output_backward
from sideman_models.network.lstm import LstmState, NumpyNetwork, softmax
from support.fakes import random_weights
from support.gradients import assert_gradients, one_hot, random_arrays


class Size(NamedTuple):
    """The sizes of a network and its input."""

    n_x: int
    n_a: int
    n_y: int
    m: int
    T_x: int


sizes = st.builds(Size, *[st.integers(1, 3)] * 2, st.integers(2, 4), st.integers(1, 3), st.integers(1, 4))
seeds = st.integers(0, 1000)
few = hypothesis_settings(max_examples=12)


def parameters_of(size: Size, seed: int) -> dict[str, Array]:
    """Return random parameters."""
    n_x, n_a, n_y, *_ = size
    gates = {f"W{gate}": (n_a, n_a + n_x) for gate in "fico"} | {f"b{gate}": (n_a, 1) for gate in "fico"}
    return random_arrays(seed, **gates, Wy=(n_y, n_a), by=(n_y, 1))


def inputs_of(size: Size, seed: int) -> dict[str, Array]:
    """Return random x, a0 and c0."""
    return random_arrays(seed + 1, x=(size.n_x, size.m, size.T_x), a0=(size.n_a, size.m), c0=(size.n_a, size.m))


@given(st.tuples(st.integers(1, 30), st.integers(0, 20), st.integers(1, 17)), seeds)
def test_the_cell_is_the_one_that_plays(size: tuple[int, int, int], seed: int) -> None:
    """Guards against: course functions that differ from the network that improvises."""
    n_values, n_context, n_a = size
    weights = random_weights(n_values, n_context, n_a, 0.0, seed)
    network, state = NumpyNetwork(weights), LstmState.zero(n_a)
    w = weights
    layers = (w.kernel, w.recurrent, w.bias, w.densor_kernel, w.densor_bias)
    parameters = from_keras([one.astype(np.float64) for one in layers])
    a: Array = np.zeros((n_a, 1))
    c = a
    generator = np.random.default_rng(seed)
    for _ in range(5):
        value, rows = int(generator.integers(n_values)), np.flatnonzero(generator.random(n_context) < 0.5)
        xt = np.zeros((n_values + n_context, 1))
        xt[[value, *(n_values + rows)]] = 1
        a, c, yt_pred, _ = lstm_cell_forward(xt, a, c, parameters)
        np.testing.assert_allclose(softmax(network.step(value, rows, None, state)), yt_pred[:, 0], atol=1e-5)
        np.testing.assert_allclose(state.a, a[:, 0], atol=1e-5)
        np.testing.assert_allclose(state.c, c[:, 0], atol=1e-5)


@given(sizes, seeds)
def test_a_sequence_is_its_steps(size: Size, seed: int) -> None:
    """Guards against: a network without memory: one of the originals starts every step from the first state."""
    p, inputs = parameters_of(size, seed), inputs_of(size, seed)
    a, y, c, (caches, x) = lstm_forward(inputs["x"], inputs["a0"], p, inputs["c0"])
    assert a.shape == c.shape == (size.n_a, size.m, size.T_x)
    assert (y.shape, len(caches), x is inputs["x"]) == ((size.n_y, size.m, size.T_x), size.T_x, True)
    state, cell = inputs["a0"], inputs["c0"]
    for t in range(size.T_x):
        state, cell, predicted, _ = lstm_cell_forward(x[:, :, t], state, cell, p)
        for whole, one in ((a, state), (c, cell), (y, predicted)):
            np.testing.assert_array_equal(whole[:, :, t], one)


@given(sizes, seeds)
def test_without_c0_the_cell_state_starts_at_zero(size: Size, seed: int) -> None:
    """Guards against: a failing call without c0, which the course does not pass."""
    p, inputs = parameters_of(size, seed), inputs_of(size, seed)
    given = lstm_forward(inputs["x"], inputs["a0"], p, np.zeros_like(inputs["c0"]))
    for one, other in zip(lstm_forward(inputs["x"], inputs["a0"], p)[:3], given[:3], strict=True):
        np.testing.assert_array_equal(one, other)


@few
@given(sizes, seeds)
def test_a_steps_gradients_are_right(size: Size, seed: int) -> None:
    """Guards against: wrong gradients: one of the originals leaves out dc_next, and the forget gate in dc_prev."""
    p, inputs = parameters_of(size, seed), inputs_of(size, seed)
    xt, a_prev, c_prev = inputs["x"][:, :, 0].copy(), inputs["a0"], inputs["c0"]
    wanted = random_arrays(seed + 2, a=(size.n_a, size.m), c=(size.n_a, size.m))

    def weighted_sum() -> float:
        a_next, c_next, *_ = lstm_cell_forward(xt, a_prev, c_prev, p)
        return float((a_next * wanted["a"] + c_next * wanted["c"]).sum())

    gradients = lstm_cell_backward(wanted["a"], wanted["c"], lstm_cell_forward(xt, a_prev, c_prev, p)[3])
    gates = {name: one for name, one in p.items() if name[1] in "fico"}
    moved = {"xt": xt, "a_prev": a_prev, "c_prev": c_prev, **gates}
    assert gradients.keys() == {f"d{name}" for name in moved}
    assert_gradients(weighted_sum, moved, gradients)


@few
@given(sizes, seeds)
def test_a_sequences_gradients_are_right(size: Size, seed: int) -> None:
    """Guards against: wrong gradients: one of the originals does not carry da_prev and dc_prev from step to step."""
    p, inputs = parameters_of(size, seed), inputs_of(size, seed)
    x, a0, c0 = inputs["x"], inputs["a0"], inputs["c0"]
    target = one_hot(seed, size.n_y, size.m, size.T_x)
    target[:, 0, -1] = 0  # one sequence has no target at the last step

    def loss() -> float:
        return cross_entropy(lstm_forward(x, a0, p, c0)[1], target)[0]

    a, y, _, caches = lstm_forward(x, a0, p, c0)
    da, dWy, dby = output_backward(cross_entropy(y, target)[1], a, p["Wy"])
    gradients = lstm_backward(da, caches)
    gates = [f"d{letter}{gate}" for gate in "fico" for letter in "Wb"]
    assert set(gradients) == {"dx", "da0", "dc0", *gates}
    assert_gradients(loss, inputs | p, gradients | {"dWy": dWy, "dby": dby})


@given(sizes.filter(lambda size: size.T_x > 1), seeds)
def test_gradients_of_the_last_step_reach_the_first(size: Size, seed: int) -> None:
    """Guards against: a gradient that does not reach the first step from the last one."""
    p, inputs = parameters_of(size, seed), inputs_of(size, seed)
    *_, caches = lstm_forward(inputs["x"], inputs["a0"], p, inputs["c0"])
    da = np.zeros((size.n_a, size.m, size.T_x))
    da[:, :, -1] = 1
    gradients = lstm_backward(da, caches)
    assert (np.abs(gradients["dx"]).max(axis=(0, 1)) > 0).all()
    assert np.abs(gradients["dc0"]).min() > 0


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_the_number_type_is_kept(kind: str) -> None:
    """Guards against: a gradient check that cannot run in float64, or training that cannot run in float32."""
    size = Size(3, 4, 2, 2, 3)
    p = {name: one.astype(kind) for name, one in parameters_of(size, 0).items()}
    x, a0, _ = (one.astype(kind) for one in inputs_of(size, 0).values())
    a, y, c, caches = lstm_forward(x, a0, p)
    made = [a, y, c, *lstm_backward(a, caches).values(), *to_keras(p), *from_keras(to_keras(p)).values()]
    assert {one.dtype for one in made} == {np.dtype(kind)}


def test_it_learns_to_remember() -> None:
    """Guards against: functions that are not enough to train a network."""
    size = Size(3, 12, 3, 16, 6)
    p = parameters_of(size, 1)
    x = one_hot(5, 3, size.m, size.T_x)
    target = np.zeros_like(x)
    target[:, :, 2:] = x[:, :, :-2]  # the target is the input of two steps before; none at first
    zero, losses = np.zeros((size.n_a, size.m)), []
    for _ in range(150):
        a, y, _, caches = lstm_forward(x, zero, p)
        loss, dz = cross_entropy(y, target)
        losses.append(loss)
        da, dWy, dby = output_backward(dz, a, p["Wy"])
        gradients = lstm_backward(da, caches) | {"dWy": dWy, "dby": dby}
        for name in p:
            p[name] -= 0.2 * gradients[f"d{name}"]
    assert losses[-1] < 0.1 * losses[0]


@given(sizes, seeds)
def test_from_keras_is_the_inverse_of_to_keras(size: Size, seed: int) -> None:
    """Guards against: weights that change on the way to Keras and back."""
    p = parameters_of(size, seed)
    back = from_keras(to_keras(p))
    assert back.keys() == p.keys()
    for name, one in p.items():
        np.testing.assert_array_equal(back[name], one)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_keras_computes_the_same_both_ways() -> None:
    """Guards against: a network that differs from Keras', so that weights cannot be exchanged."""
    tf = pytest.importorskip("tensorflow")
    import keras

    size = Size(5, 7, 4, 3, 6)
    p, inputs = parameters_of(size, 3), inputs_of(size, 3)
    target = one_hot(3, size.n_y, size.m, size.T_x)
    lstm = keras.layers.LSTM(size.n_a, return_sequences=True, dtype="float64")
    dense = keras.layers.Dense(size.n_y, activation="softmax", dtype="float64")
    x, a0, c0 = (tf.constant(one) for one in (inputs["x"].transpose(1, 2, 0), inputs["a0"].T, inputs["c0"].T))
    dense(lstm(x, initial_state=[a0, c0]))  # builds the layers, so that their weights can be set
    lstm.set_weights(to_keras(p)[:3])
    dense.set_weights(to_keras(p)[3:])
    variables = [*lstm.trainable_variables, *dense.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([x, a0, c0])
        predicted = dense(lstm(x, initial_state=[a0, c0]))
        loss = -tf.reduce_sum(tf.constant(target.transpose(1, 2, 0)) * tf.math.log(predicted)) / size.m
    dx, da0, dc0, *dweights = tape.gradient(loss, [x, a0, c0, *variables])

    a, y, _, caches = lstm_forward(inputs["x"], inputs["a0"], p, inputs["c0"])
    da, dWy, dby = output_backward(cross_entropy(y, target)[1], a, p["Wy"])
    gradients = lstm_backward(da, caches) | {"dWy": dWy, "dby": dby}
    np.testing.assert_allclose(predicted.numpy().transpose(2, 0, 1), y, atol=1e-9)
    np.testing.assert_allclose(dx.numpy().transpose(2, 0, 1), gradients["dx"], atol=1e-9)
    for state, name in ((da0, "da0"), (dc0, "dc0")):
        np.testing.assert_allclose(state.numpy().T, gradients[name], atol=1e-9)
    for name, one in from_keras([one.numpy() for one in dweights]).items():
        np.testing.assert_allclose(one, gradients[f"d{name}"], atol=1e-9)
