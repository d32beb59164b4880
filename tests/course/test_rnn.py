# SPDX-License-Identifier: Apache-2.0
"""The course's plain recurrent network in NumPy, forward and backward."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sideman_models.course.rnn import (
    Array,
    cross_entropy,
    from_keras,
    output_backward,
    rnn_backward,
    rnn_cell_backward,
    rnn_cell_forward,
    rnn_forward,
    sigmoid,
    softmax,
    to_keras,
)
from support.gradients import assert_gradients, one_hot, random_arrays


class Size(NamedTuple):
    """The sizes of a network and its input."""

    n_x: int
    n_a: int
    n_y: int
    m: int
    T_x: int


sizes = st.builds(Size, *[st.integers(1, 4)] * 2, st.integers(2, 4), st.integers(1, 3), st.integers(1, 4))
seeds = st.integers(0, 1000)
few = hypothesis_settings(max_examples=12)


def parameters_of(size: Size, seed: int) -> dict[str, Array]:
    """Return random parameters."""
    n_x, n_a, n_y, *_ = size
    shapes = {"Wax": (n_a, n_x), "Waa": (n_a, n_a), "Wya": (n_y, n_a), "ba": (n_a, 1), "by": (n_y, 1)}
    return random_arrays(seed, **shapes)


def inputs_of(size: Size, seed: int) -> dict[str, Array]:
    """Return random x and a0."""
    return random_arrays(seed + 1, x=(size.n_x, size.m, size.T_x), a0=(size.n_a, size.m))


@given(sizes, seeds)
def test_a_step_follows_the_formulas(size: Size, seed: int) -> None:
    """Guards against: another network than the course's: one of the originals predicts from a_prev."""
    p, inputs = parameters_of(size, seed), inputs_of(size, seed)
    xt, a_prev = inputs["x"][:, :, 0], inputs["a0"]
    a_next, yt_pred, cache = rnn_cell_forward(xt, a_prev, p)
    for column in range(size.m):
        a = np.tanh(p["Wax"].dot(xt[:, column]) + p["Waa"].dot(a_prev[:, column]) + p["ba"][:, 0])
        powers = np.exp(p["Wya"].dot(a) + p["by"][:, 0])
        np.testing.assert_allclose(a_next[:, column], a, atol=1e-12)
        np.testing.assert_allclose(yt_pred[:, column], powers / powers.sum(), atol=1e-12)
    assert all(one is other for one, other in zip(cache, (a_next, a_prev, xt, p), strict=True))


@given(sizes, seeds)
def test_a_sequence_is_its_steps(size: Size, seed: int) -> None:
    """Guards against: a network without memory: one of the originals starts every step from the first state."""
    p, inputs = parameters_of(size, seed), inputs_of(size, seed)
    a, y_pred, (caches, x) = rnn_forward(**inputs, parameters=p)
    assert (a.shape, y_pred.shape) == ((size.n_a, size.m, size.T_x), (size.n_y, size.m, size.T_x))
    assert (len(caches), x is inputs["x"]) == (size.T_x, True)
    state = inputs["a0"]
    for t in range(size.T_x):
        state, predicted, _ = rnn_cell_forward(x[:, :, t], state, p)
        np.testing.assert_array_equal(a[:, :, t], state)
        np.testing.assert_array_equal(y_pred[:, :, t], predicted)


@few
@given(sizes, seeds)
def test_a_steps_gradients_are_right(size: Size, seed: int) -> None:
    """Guards against: wrong gradients of one step."""
    p, inputs = parameters_of(size, seed), inputs_of(size, seed)
    xt, a_prev = inputs["x"][:, :, 0].copy(), inputs["a0"]
    da_next = random_arrays(seed + 2, da=(size.n_a, size.m))["da"]
    gradients = rnn_cell_backward(da_next, rnn_cell_forward(xt, a_prev, p)[2])
    moved = {"xt": xt, "a_prev": a_prev, **{name: p[name] for name in ("Wax", "Waa", "ba")}}
    assert gradients.keys() == {f"d{name}" for name in moved}
    assert_gradients(lambda: float((rnn_cell_forward(xt, a_prev, p)[0] * da_next).sum()), moved, gradients)


@few
@given(sizes, seeds)
def test_a_sequences_gradients_are_right(size: Size, seed: int) -> None:
    """Guards against: wrong gradients of a parameter, an input or the first state, through loss, output and time."""
    p, inputs = parameters_of(size, seed), inputs_of(size, seed)
    y = one_hot(seed, size.n_y, size.m, size.T_x)
    y[:, 0, -1] = 0  # one sequence has no target at the last step

    def loss() -> float:
        return cross_entropy(rnn_forward(**inputs, parameters=p)[1], y)[0]

    a, y_pred, caches = rnn_forward(**inputs, parameters=p)
    da, dWya, dby = output_backward(cross_entropy(y_pred, y)[1], a, p["Wya"])
    gradients = rnn_backward(da, caches)
    assert list(gradients) == ["dx", "da0", "dWax", "dWaa", "dba"]
    assert_gradients(loss, inputs | p, gradients | {"dWya": dWya, "dby": dby})


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_the_number_type_is_kept(kind: str) -> None:
    """Guards against: a gradient check that cannot run in float64, or training that cannot run in float32."""
    size = Size(3, 4, 2, 2, 3)
    p = {name: one.astype(kind) for name, one in parameters_of(size, 0).items()}
    inputs = {name: one.astype(kind) for name, one in inputs_of(size, 0).items()}
    a, y_pred, caches = rnn_forward(**inputs, parameters=p)
    _, dz = cross_entropy(y_pred, one_hot(0, 2, 2, 3).astype(kind))
    made = [a, y_pred, *output_backward(dz, a, p["Wya"]), *rnn_backward(a, caches).values()]
    assert {one.dtype for one in made} == {np.dtype(kind)}


def test_it_learns_to_echo() -> None:
    """Guards against: functions that are not enough to train a network."""
    size = Size(3, 12, 3, 16, 6)
    p = parameters_of(size, 1)
    x = one_hot(5, 3, size.m, size.T_x)
    y = np.zeros_like(x)
    y[:, :, 1:] = x[:, :, :-1]  # the target is the input of the step before; none at first
    zero = np.zeros((size.n_a, size.m))
    losses = []
    for _ in range(150):
        a, y_pred, caches = rnn_forward(x, zero, p)
        loss, dz = cross_entropy(y_pred, y)
        losses.append(loss)
        da, dWya, dby = output_backward(dz, a, p["Wya"])
        gradients = rnn_backward(da, caches) | {"dWya": dWya, "dby": dby}
        for name in p:
            p[name] -= 0.1 * gradients[f"d{name}"]
    assert losses[-1] < 0.1 * losses[0]
    predicted = rnn_forward(x, zero, p)[1].argmax(axis=0)
    assert (predicted == y.argmax(axis=0))[:, 1:].all()


def test_nothing_overflows() -> None:
    """Guards against: warnings and NaN in training as soon as a probability is nearly 0 or 1."""
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])
        certain = softmax(np.array([[1e4], [-1e4]]))[:, :, None]
        loss, dz = cross_entropy(certain, np.array([[[0.0]], [[1.0]]]))
    assert np.isfinite(loss)
    np.testing.assert_array_equal(dz[:, 0, 0], [1, -1])


@pytest.mark.tensorflow
@pytest.mark.slow
def test_keras_computes_the_same_both_ways() -> None:
    """Guards against: a network that differs from Keras', so that weights cannot be exchanged."""
    tf = pytest.importorskip("tensorflow")
    import keras

    size = Size(5, 7, 4, 3, 6)
    p, inputs = parameters_of(size, 3), inputs_of(size, 3)
    y = one_hot(3, size.n_y, size.m, size.T_x)
    rnn = keras.layers.SimpleRNN(size.n_a, return_sequences=True, dtype="float64")
    dense = keras.layers.Dense(size.n_y, activation="softmax", dtype="float64")
    x, a0 = tf.constant(inputs["x"].transpose(1, 2, 0)), tf.constant(inputs["a0"].T)
    dense(rnn(x, initial_state=a0))  # builds the layers, so that their weights can be set
    rnn.set_weights(to_keras(p)[:3])
    dense.set_weights(to_keras(p)[3:])
    variables = [*rnn.trainable_variables, *dense.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([x, a0])
        predicted = dense(rnn(x, initial_state=a0))
        loss = -tf.reduce_sum(tf.constant(y.transpose(1, 2, 0)) * tf.math.log(predicted)) / size.m
    dx, da0, *dweights = tape.gradient(loss, [x, a0, *variables])

    a, y_pred, caches = rnn_forward(**inputs, parameters=p)
    ours, dz = cross_entropy(y_pred, y)
    da, dWya, dby = output_backward(dz, a, p["Wya"])
    gradients = rnn_backward(da, caches) | {"dWya": dWya, "dby": dby}
    keras_gradients = from_keras([one.numpy() for one in dweights])
    np.testing.assert_allclose(predicted.numpy().transpose(2, 0, 1), y_pred, atol=1e-9)
    assert float(loss) == pytest.approx(ours)
    np.testing.assert_allclose(dx.numpy().transpose(2, 0, 1), gradients["dx"], atol=1e-9)
    np.testing.assert_allclose(da0.numpy().T, gradients["da0"], atol=1e-9)
    for name, one in keras_gradients.items():
        np.testing.assert_allclose(one, gradients[f"d{name}"], atol=1e-9)


@given(sizes, seeds)
def test_from_keras_is_the_inverse_of_to_keras(size: Size, seed: int) -> None:
    """Guards against: weights that change on the way to Keras and back."""
    p = parameters_of(size, seed)
    back = from_keras(to_keras(p))
    assert back.keys() == p.keys()
    for name, one in p.items():
        np.testing.assert_array_equal(back[name], one)
