# SPDX-License-Identifier: Apache-2.0
"""The LSTM in NumPy: the network that plays, one step at a time; and the course's functions, forward and backward.

**The network that plays**, one LSTM cell, `LSTM_cell`, and one softmax layer, `densor`, is stepped into buffers made
once. Shapes: n_values symbols, n_context context rows, n_a units. Gates stand in Keras' order i f c o. All is float32.

    z = x W + a U + b                      (4 n_a,)  x: one-hot of the value before, context of the coming one
    i, f, o = sigmoid(z_i, z_f, z_o)       g = tanh(z_c)
    c' = f c + i g        a' = o tanh(c')  (n_a,)
    logits = a' D + d - penalty * clash    (n_values,)

**The functions of the course** *Sequence Models* (`lstm_cell_forward` to `lstm_backward`) compute the same cell for m
sequences side by side, and its gradients. Columns are sequences: n_x inputs, n_a units, n_y symbols, T_x steps.
`parameters` are, for the gates f (forget), i (update), c (candidate) and o (output), `Wf` (n_a, n_a + n_x), which acts
on a_prev above xt, and `bf` (n_a, 1); and `Wy` (n_y, n_a), `by` (n_y, 1). What comes out has the number type of what
went in. The way back begins with `rnn.cross_entropy` and `rnn.output_backward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sideman_models.course import rnn
from sideman_models.course.rnn import Array, Gradients, Parameters, sigmoid
from sideman_models.music.context import RowIndices

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Cache = tuple[Array, Array, Array, Array, Array, Array, Array, Array, Array, Parameters]
"""What a step needs on the way back: a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt and the parameters."""

KERAS_GATE_ORDER = "ifco"
"""The order in which Keras' matrices hold the gates."""


@dataclass(frozen=True, slots=True)
class LstmState:
    """The network's only memory: hidden state `a` and cell state `c`, each (n_a,)."""

    a: Floats
    c: Floats

    @classmethod
    def zero(cls, n_a: int) -> LstmState:
        """The state before anything has been heard or played."""
        return cls(np.zeros(n_a, np.float32), np.zeros(n_a, np.float32))

    def copy(self) -> LstmState:
        """The same state, to go on from separately."""
        return LstmState(self.a.copy(), self.c.copy())

    def assign(self, other: LstmState) -> None:
        """Become equal to `other`, in place."""
        np.copyto(self.a, other.a)
        np.copyto(self.c, other.c)


@dataclass(frozen=True, slots=True)
class Weights:
    """The trained numbers.

    `kernel` (n_values + n_context, 4 n_a), `recurrent` (n_a, 4 n_a), `bias` (4 n_a,), `densor_kernel` (n_a, n_values),
    `densor_bias` (n_values,), and `penalty`: what the logit of a value loses whose interval clashes with the chord.
    """

    kernel: Floats
    recurrent: Floats
    bias: Floats
    densor_kernel: Floats
    densor_bias: Floats
    penalty: float = 0.0

    @property
    def n_a(self) -> int:
        """Units of the cell."""
        return int(self.recurrent.shape[0])

    @property
    def n_values(self) -> int:
        """Symbols of the softmax."""
        return int(self.densor_bias.shape[0])

    @property
    def n_context(self) -> int:
        """Context rows below the values' own."""
        return int(self.kernel.shape[0]) - self.n_values


class Network(Protocol):
    """A trained network that can be stepped: NumPy and Keras are two of these."""

    weights: Weights

    def step(self, value: int | None, rows: RowIndices, clash: Flags | None, state: LstmState) -> Floats:
        """Move `state` on, in place, and return the logits (n_values,) of the coming value, valid until the next step.

        `value` is the index of the value before, or None at the very start; `rows` the context rows of the coming one
        (`n_context` stands for 'no row'); `clash` (n_values,) marks the values that do not fit there.
        """
        ...


class NumpyNetwork:
    """Steps the network in NumPy, into buffers made once: no step allocates."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        n_a = weights.n_a
        # The three sigmoids stand together, and sigmoid(z) = (1 + tanh(z / 2)) / 2, with the half already in the
        # weights (exact in binary): so one tanh serves all four gates. A row of zeros at the end is 'no row'.
        order = np.concatenate([np.arange(2 * n_a), np.arange(3 * n_a, 4 * n_a), np.arange(2 * n_a, 3 * n_a)])
        half = np.repeat(np.array([0.5, 1.0], np.float32), [3 * n_a, n_a])
        # Contiguous by rows, or `take` would copy the whole of it at every step.
        kernel = np.vstack([weights.kernel, np.zeros((1, 4 * n_a), np.float32)])
        self._kernel = np.ascontiguousarray(kernel[:, order] * half)
        self._context = self._kernel[weights.n_values :]
        self._recurrent = np.ascontiguousarray(weights.recurrent[:, order] * half)
        self._bias = weights.bias[order] * half
        self._densor = np.ascontiguousarray(weights.densor_kernel)
        self._z = np.empty(4 * n_a, np.float32)
        self._context_sum = np.empty(4 * n_a, np.float32)
        self._sigmoid_gates = self._z[: 3 * n_a]
        self._i, self._f, self._o, self._g = self._z.reshape(4, n_a)
        self._logits = np.empty(weights.n_values, np.float32)
        self._penalty = np.float32(weights.penalty)
        self._row_buffers: dict[int, Floats] = {}

    def step(self, value: int | None, rows: RowIndices, clash: Flags | None, state: LstmState) -> Floats:
        """One step; see `Network.step`."""
        z, total = self._z, self._context_sum
        np.dot(state.a, self._recurrent, out=z)
        z += self._bias
        if value is not None:
            z += self._kernel[value]
        if rows.size:
            # 'clip' because 'raise' would make NumPy buffer the output; the rows are the context's own and in range.
            active = self._row_buffer(rows.size)
            self._context.take(rows, axis=0, out=active, mode="clip")
            np.add.reduce(active, axis=0, out=total)
            z += total
        self._step_cell(state)
        np.dot(state.a, self._densor, out=self._logits)
        self._logits += self.weights.densor_bias
        if clash is not None and self.weights.penalty:
            np.subtract(self._logits, self._penalty, out=self._logits, where=clash)
        return self._logits

    def _step_cell(self, state: LstmState) -> None:
        np.tanh(self._z, out=self._z)
        self._sigmoid_gates *= np.float32(0.5)
        self._sigmoid_gates += np.float32(0.5)
        self._i *= self._g
        np.multiply(state.c, self._f, out=state.c)
        np.add(state.c, self._i, out=state.c)
        np.tanh(state.c, out=state.a)
        np.multiply(state.a, self._o, out=state.a)

    def _row_buffer(self, count: int) -> Floats:
        if count not in self._row_buffers:
            self._row_buffers[count] = np.empty((count, self._z.size), np.float32)
        return self._row_buffers[count]


def softmax(logits: Floats) -> npt.NDArray[np.float64]:
    """Probabilities (n,) of `logits` (n,), in double precision so that they sum to one."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum(), np.float64)


# The course's functions: columns are sequences, parameters by gate


def lstm_cell_forward(
    xt: Array, a_prev: Array, c_prev: Array, parameters: Parameters
) -> tuple[Array, Array, Array, Cache]:
    """One step, from xt (n_x, m), a_prev and c_prev (n_a, m): a_next, c_next (n_a, m), yt_pred (n_y, m), the cache."""
    p = parameters
    above = np.concatenate([a_prev, xt])  # (n_a + n_x, m)
    ft = sigmoid(p["Wf"] @ above + p["bf"])  # forget, (n_a, m) as all the gates
    it = sigmoid(p["Wi"] @ above + p["bi"])  # update
    cct = np.tanh(p["Wc"] @ above + p["bc"])  # candidate
    ot = sigmoid(p["Wo"] @ above + p["bo"])  # output
    c_next = ft * c_prev + it * cct
    a_next = ot * np.tanh(c_next)
    yt_pred = rnn.softmax(p["Wy"] @ a_next + p["by"])
    return a_next, c_next, yt_pred, (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters)


def lstm_forward(
    x: Array, a0: Array, parameters: Parameters, c0: Array | None = None
) -> tuple[Array, Array, Array, tuple[list[Cache], Array]]:
    """All steps, from x (n_x, m, T_x), a0 and c0 (n_a, m), c0 zero unless given.

    Returns a (n_a, m, T_x), y (n_y, m, T_x), c (n_a, m, T_x) and (caches by step, x).
    """
    a_next, c_next = a0, np.zeros_like(a0) if c0 is None else c0
    hidden, predicted, cells, caches = [], [], [], []
    for t in range(x.shape[2]):
        a_next, c_next, yt_pred, cache = lstm_cell_forward(x[:, :, t], a_next, c_next, parameters)
        hidden.append(a_next)
        predicted.append(yt_pred)
        cells.append(c_next)
        caches.append(cache)
    return np.stack(hidden, axis=2), np.stack(predicted, axis=2), np.stack(cells, axis=2), (caches, x)


def lstm_cell_backward(da_next: Array, dc_next: Array, cache: Cache) -> Gradients:
    """Back through one step, from da_next and dc_next (n_a, m), what comes from the hidden state and from the cell's.

    Returns dxt (n_x, m), da_prev, dc_prev (n_a, m), dWf, dbf, dWi, dbi, dWc, dbc, dWo, dbo.
    """
    _, c_next, a_prev, c_prev, ft, it, cct, ot, xt, p = cache
    n_a = len(a_prev)
    above = np.concatenate([a_prev, xt])
    tanh_c = np.tanh(c_next)
    dc = dc_next + da_next * ot * (1 - tanh_c**2)  # (n_a, m): by both of the cell state's ways on
    # By what is inside each gate's sigmoid or tanh.
    dz = {
        "f": dc * c_prev * ft * (1 - ft),
        "i": dc * cct * it * (1 - it),
        "c": dc * it * (1 - cct**2),
        "o": da_next * tanh_c * ot * (1 - ot),
    }
    dabove = sum((p[f"W{gate}"].T @ dz[gate] for gate in "fico"), np.zeros_like(above))  # (n_a + n_x, m)
    gradients = {"dxt": dabove[n_a:], "da_prev": dabove[:n_a], "dc_prev": dc * ft}
    for gate in "fico":
        gradients |= {f"dW{gate}": dz[gate] @ above.T, f"db{gate}": dz[gate].sum(axis=1, keepdims=True)}
    return gradients


def lstm_backward(da: Array, caches: tuple[list[Cache], Array]) -> Gradients:
    """Back through all steps, from da (n_a, m, T_x), what comes to each hidden state from its own output.

    Returns dx (n_x, m, T_x), da0 (n_a, m), dWf, dbf, dWi, dbi, dWc, dbc, dWo, dbo, and dc0 (n_a, m) beyond the course.
    """
    steps, _ = caches
    da_prev = dc_prev = np.zeros_like(da[:, :, 0])
    back = []
    for t in reversed(range(len(steps))):
        back.append(lstm_cell_backward(da[:, :, t] + da_prev, dc_prev, steps[t]))
        da_prev, dc_prev = back[-1]["da_prev"], back[-1]["dc_prev"]
    dx = np.stack([step["dxt"] for step in reversed(back)], axis=2)
    shared = [f"d{letter}{gate}" for gate in "fico" for letter in "Wb"]
    return {"dx": dx, "da0": da_prev, "dc0": dc_prev} | rnn.sum_over_steps(back, shared)


def to_keras(parameters: Parameters) -> list[Array]:
    """The weights as Keras has them, those of `LSTM_cell` and then those of `densor`: the first five of `Weights`.

    kernel (n_x, 4 n_a), recurrent (n_a, 4 n_a), bias (4 n_a,), kernel (n_a, n_y), bias (n_y,).
    """
    p = parameters
    n_a = len(p["bf"])
    both = np.concatenate([p[f"W{gate}"] for gate in KERAS_GATE_ORDER]).T  # (n_a + n_x, 4 n_a)
    bias = np.concatenate([p[f"b{gate}"] for gate in KERAS_GATE_ORDER])[:, 0]
    return [both[n_a:], both[:n_a], bias, p["Wy"].T, p["by"][:, 0]]


def from_keras(weights: Sequence[Array]) -> dict[str, Array]:
    """The parameters whose `to_keras` is `weights`."""
    kernel, recurrent, bias, densor, densor_bias = weights
    both = np.split(np.concatenate([recurrent, kernel]).T, 4)
    parameters = {f"W{gate}": one for gate, one in zip(KERAS_GATE_ORDER, both, strict=True)}
    parameters |= {f"b{gate}": one[:, None] for gate, one in zip(KERAS_GATE_ORDER, np.split(bias, 4), strict=True)}
    return parameters | {"Wy": densor.T, "by": densor_bias[:, None]}
