# SPDX-License-Identifier: Apache-2.0
"""The plain recurrent network of the course *Sequence Models*, forward and backward through time, in NumPy alone.

Columns are sequences, as in the course. Sizes: n_x inputs, n_a units, n_y symbols, m sequences, T_x steps.

    a_next  = tanh(Wax xt + Waa a_prev + ba)     (n_a, m)
    yt_pred = softmax(Wya a_next + by)           (n_y, m)

`parameters` holds `Wax` (n_a, n_x), `Waa` (n_a, n_a), `Wya` (n_y, n_a), `ba` (n_a, 1) and `by` (n_y, 1). The gradient
of a parameter or an input has the same shape and the same name with `d` before it. Results have the number type
(float32 or float64) of the arguments.

The course leaves out the backward pass of the output layer. `cross_entropy` and `output_backward` add it, for this
network and for the LSTM, so that these functions are enough for a whole step of training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Parameters = Mapping[str, Array]
Gradients = dict[str, Array]
Cache = tuple[Array, Array, Array, Parameters]
"""What the backward pass of a step needs: a_next, a_prev, xt and the parameters."""


def rnn_cell_forward(xt: Array, a_prev: Array, parameters: Parameters) -> tuple[Array, Array, Cache]:
    """Compute a step from xt (n_x, m), a_prev (n_a, m). Returns a_next (n_a, m), yt_pred (n_y, m) and its cache."""
    p = parameters
    a_next = np.tanh(p["Wax"] @ xt + p["Waa"] @ a_prev + p["ba"])
    yt_pred = softmax(p["Wya"] @ a_next + p["by"])
    return a_next, yt_pred, (a_next, a_prev, xt, parameters)


def rnn_forward(x: Array, a0: Array, parameters: Parameters) -> tuple[Array, Array, tuple[list[Cache], Array]]:
    """Compute all steps of x (n_x, m, T_x) from a0 (n_a, m): a (n_a, m, T_x), y_pred (n_y, m, T_x), (caches, x)."""
    a_next, steps = a0, []
    for t in range(x.shape[2]):
        steps.append(rnn_cell_forward(x[:, :, t], a_next, parameters))
        a_next = steps[-1][0]
    hidden, predicted, caches = zip(*steps, strict=True)
    return np.stack(hidden, axis=2), np.stack(predicted, axis=2), ([*caches], x)


def rnn_cell_backward(da_next: Array, cache: Cache) -> Gradients:
    """Compute a step's gradients from da_next (n_a, m): dxt (n_x, m), da_prev (n_a, m), dWax, dWaa and dba."""
    a_next, a_prev, xt, p = cache
    dz = da_next * (1 - a_next**2)  # (n_a, m): through the tanh
    return {
        "dxt": p["Wax"].T @ dz,
        "da_prev": p["Waa"].T @ dz,
        "dWax": dz @ xt.T,
        "dWaa": dz @ a_prev.T,
        "dba": dz.sum(axis=1, keepdims=True),
    }


def rnn_backward(da: Array, caches: tuple[list[Cache], Array]) -> Gradients:
    """Compute the gradients of all steps from da (n_a, m, T_x).

    `da[:, :, t]` is the gradient that reaches the hidden state of step t from the output of that step alone; the
    gradient from later steps is added here. Returns dx (n_x, m, T_x), da0 (n_a, m), dWax, dWaa and dba.
    """
    steps, _ = caches
    da_prev = np.zeros_like(da[:, :, 0])
    back = []
    for t in reversed(range(len(steps))):
        back.append(rnn_cell_backward(da[:, :, t] + da_prev, steps[t]))
        da_prev = back[-1]["da_prev"]
    dx = np.stack([step["dxt"] for step in reversed(back)], axis=2)
    return {"dx": dx, "da0": da_prev} | sum_over_steps(back, ("dWax", "dWaa", "dba"))


def sum_over_steps(steps: Sequence[Gradients], names: Iterable[str]) -> Gradients:
    """Return the gradients of the parameters `names`, which all steps share: the sum over the steps."""
    return {name: np.add.reduce([step[name] for step in steps]) for name in names}


# The output layer and its loss


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), in a form that does not overflow for any z."""
    return (np.tanh(z / 2) + 1) / 2


def softmax(scores: Array) -> Array:
    """Return the probabilities of `scores` (n_y, ...). They sum to one along the first axis."""
    powers = np.exp(scores - scores.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0))


def cross_entropy(y_pred: Array, y: Array) -> tuple[float, Array]:
    """Return the cross-entropy loss and its gradient dz (n_y, m, T_x) with respect to the scores before the softmax.

    `y_pred` and `y` are (n_y, m, T_x), `y` one-hot. The loss is in nats, summed over the steps and averaged over the m
    sequences. A step whose target is all zeros adds nothing to the loss, and its gradient is zero.
    """
    has_target = y.sum(axis=0)
    m = y.shape[1]
    # A probability too small for the number type counts as the smallest positive number, so that the loss is finite.
    likelihood = np.maximum((y_pred * y).sum(axis=0), np.finfo(y_pred.dtype).tiny)
    return float(-(has_target * np.log(likelihood)).sum() / m), (has_target * y_pred - y) / m


def output_backward(dz: Array, a: Array, W: Array) -> tuple[Array, Array, Array]:
    """Compute the gradients of the output layer z = W a + b from dz (n_y, m, T_x), a (n_a, m, T_x) and W (n_y, n_a).

    Returns da (n_a, m, T_x), dW (n_y, n_a) and db (n_y, 1).
    """
    da = np.tensordot(W.T, dz, axes=1)
    dW = np.tensordot(dz, a, axes=((1, 2), (1, 2)))
    return da, dW, dz.sum(axis=(1, 2))[:, None]


# Keras' layout


def to_keras(parameters: Parameters) -> list[Array]:
    """Return the parameters in Keras' layout: the weights of `SimpleRNN`, then those of `Dense`.

    These are kernel (n_x, n_a), recurrent (n_a, n_a), bias (n_a,), kernel (n_a, n_y) and bias (n_y,).
    """
    p = parameters
    return [p["Wax"].T, p["Waa"].T, p["ba"][:, 0], p["Wya"].T, p["by"][:, 0]]


def from_keras(weights: Sequence[Array]) -> dict[str, Array]:
    """Return the parameters of weights in Keras' layout: the inverse of `to_keras`."""
    kernel, recurrent, bias, dense, dense_bias = weights
    return {"Wax": kernel.T, "Waa": recurrent.T, "ba": bias[:, None], "Wya": dense.T, "by": dense_bias[:, None]}
