# SPDX-License-Identifier: Apache-2.0
"""The LSTM of the course *Sequence Models*, forward and backward through time, in NumPy alone.

It is the cell that plays (`network.lstm`), computed for m sequences at once and with its gradients. Columns are
sequences, as in the course. Sizes: n_x inputs, n_a units, n_y symbols, m sequences, T_x steps.

    f, i, o = sigmoid(Wf [a_prev; xt] + bf), and so on    (n_a, m)
    c       = tanh(Wc [a_prev; xt] + bc)                  (n_a, m)
    c_next  = f c_prev + i c                              (n_a, m)
    a_next  = o tanh(c_next)                              (n_a, m)
    yt_pred = softmax(Wy a_next + by)                     (n_y, m)

`parameters` holds, for each of the gates f (forget), i (update), c (candidate) and o (output), `Wf` (n_a, n_a + n_x),
which multiplies a_prev stacked on xt, and `bf` (n_a, 1); and `Wy` (n_y, n_a) and `by` (n_y, 1). Results have the number
type (float32 or float64) of the arguments. The backward pass starts with `rnn.cross_entropy` and `rnn.output_backward`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sideman_models.course.rnn import Array, Gradients, Parameters, sigmoid, softmax, sum_over_steps

Cache = tuple[Array, Array, Array, Array, Array, Array, Array, Array, Array, Parameters]
"""What the backward pass of a step needs: a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt and the parameters."""

KERAS_GATE_ORDER = "ifco"
"""The order of the gates in Keras' matrices."""


def lstm_cell_forward(
    xt: Array, a_prev: Array, c_prev: Array, parameters: Parameters
) -> tuple[Array, Array, Array, Cache]:
    """Compute a step from xt (n_x, m), a_prev, c_prev (n_a, m): a_next, c_next (n_a, m), yt_pred (n_y, m), cache."""
    p = parameters
    stacked = np.concatenate([a_prev, xt])  # (n_a + n_x, m)
    ft = sigmoid(p["Wf"] @ stacked + p["bf"])  # forget, (n_a, m) like all gates
    it = sigmoid(p["Wi"] @ stacked + p["bi"])  # update
    cct = np.tanh(p["Wc"] @ stacked + p["bc"])  # candidate
    ot = sigmoid(p["Wo"] @ stacked + p["bo"])  # output
    c_next = ft * c_prev + it * cct
    a_next = ot * np.tanh(c_next)
    yt_pred = softmax(p["Wy"] @ a_next + p["by"])
    return a_next, c_next, yt_pred, (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters)


def lstm_forward(
    x: Array, a0: Array, parameters: Parameters, c0: Array | None = None
) -> tuple[Array, Array, Array, tuple[list[Cache], Array]]:
    """Compute all steps from x (n_x, m, T_x), a0 and c0 (n_a, m). Without c0 the cell state starts at zero.

    Returns a (n_a, m, T_x), y (n_y, m, T_x), c (n_a, m, T_x), and the pair (caches by step, x).
    """
    a_next, c_next, steps = a0, np.zeros_like(a0) if c0 is None else c0, []
    for t in range(x.shape[2]):
        steps.append(lstm_cell_forward(x[:, :, t], a_next, c_next, parameters))
        a_next, c_next = steps[-1][:2]
    hidden, cells, predicted, caches = zip(*steps, strict=True)
    return np.stack(hidden, axis=2), np.stack(predicted, axis=2), np.stack(cells, axis=2), ([*caches], x)


def lstm_cell_backward(da_next: Array, dc_next: Array, cache: Cache) -> Gradients:
    """Compute the gradients of one step from those of its results, da_next and dc_next (n_a, m).

    Returns dxt (n_x, m), da_prev, dc_prev (n_a, m), dWf, dbf, dWi, dbi, dWc, dbc, dWo, dbo.
    """
    _, c_next, a_prev, c_prev, ft, it, cct, ot, xt, p = cache
    n_a = len(a_prev)
    stacked = np.concatenate([a_prev, xt])
    tanh_c = np.tanh(c_next)
    dc = dc_next + da_next * ot * (1 - tanh_c**2)  # (n_a, m): through the next step, and through a_next
    # Gradients with respect to the argument of each gate's sigmoid or tanh.
    dz = {
        "f": dc * c_prev * ft * (1 - ft),
        "i": dc * cct * it * (1 - it),
        "c": dc * it * (1 - cct**2),
        "o": da_next * tanh_c * ot * (1 - ot),
    }
    dstacked = sum((p[f"W{gate}"].T @ dz[gate] for gate in "fico"), np.zeros_like(stacked))  # (n_a + n_x, m)
    gradients = {"dxt": dstacked[n_a:], "da_prev": dstacked[:n_a], "dc_prev": dc * ft}
    for gate in "fico":
        gradients |= {f"dW{gate}": dz[gate] @ stacked.T, f"db{gate}": dz[gate].sum(axis=1, keepdims=True)}
    return gradients


def lstm_backward(da: Array, caches: tuple[list[Cache], Array]) -> Gradients:
    """Compute the gradients of all steps from da (n_a, m, T_x).

    `da[:, :, t]` is the gradient that reaches the hidden state of step t from the output of that step alone.
    Returns dx (n_x, m, T_x), da0 (n_a, m), dWf, dbf, dWi, dbi, dWc, dbc, dWo, dbo, and dc0 (n_a, m), which the course
    leaves out.
    """
    steps, _ = caches
    da_prev = dc_prev = np.zeros_like(da[:, :, 0])
    back = []
    for t in reversed(range(len(steps))):
        back.append(lstm_cell_backward(da[:, :, t] + da_prev, dc_prev, steps[t]))
        da_prev, dc_prev = back[-1]["da_prev"], back[-1]["dc_prev"]
    dx = np.stack([step["dxt"] for step in reversed(back)], axis=2)
    shared = [f"d{letter}{gate}" for gate in "fico" for letter in "Wb"]
    return {"dx": dx, "da0": da_prev, "dc0": dc_prev} | sum_over_steps(back, shared)


def to_keras(parameters: Parameters) -> list[Array]:
    """Return the parameters in Keras' layout: the weights of `LSTM_cell`, then those of `densor`.

    These are the first five fields of `network.lstm.Weights`: kernel (n_x, 4 n_a), recurrent (n_a, 4 n_a), bias
    (4 n_a,), densor_kernel (n_a, n_y) and densor_bias (n_y,).
    """
    p = parameters
    n_a = len(p["bf"])
    joined = np.concatenate([p[f"W{gate}"] for gate in KERAS_GATE_ORDER]).T  # (n_a + n_x, 4 n_a)
    bias = np.concatenate([p[f"b{gate}"] for gate in KERAS_GATE_ORDER])[:, 0]
    return [joined[n_a:], joined[:n_a], bias, p["Wy"].T, p["by"][:, 0]]


def from_keras(weights: Sequence[Array]) -> dict[str, Array]:
    """Return the parameters of weights in Keras' layout: the inverse of `to_keras`."""
    kernel, recurrent, bias, densor, densor_bias = weights
    gate_weights = zip(KERAS_GATE_ORDER, np.split(np.concatenate([recurrent, kernel]).T, 4), strict=True)
    gate_biases = zip(KERAS_GATE_ORDER, np.split(bias, 4), strict=True)
    parameters = {f"W{gate}": weight for gate, weight in gate_weights}
    parameters |= {f"b{gate}": column[:, None] for gate, column in gate_biases}
    return parameters | {"Wy": densor.T, "by": densor_bias[:, None]}
