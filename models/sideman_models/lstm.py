# SPDX-License-Identifier: Apache-2.0
"""The network that plays: one LSTM cell, `LSTM_cell`, and one softmax layer, `densor`, stepped in NumPy.

Shapes: n_values symbols, n_context context rows, n_a units. Gates stand in Keras' order i f c o. All is float32.

    z = x W + a U + b                      (4 n_a,)  x: one-hot of the value before, context of the coming one
    i, f, o = sigmoid(z_i, z_f, z_o)       g = tanh(z_c)
    c' = f c + i g        a' = o tanh(c')  (n_a,)
    logits = a' D + d - penalty * clash    (n_values,)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sideman_models.context import Rows

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class State:
    """The network's only memory: hidden state `a` and cell state `c`, each (n_a,)."""

    a: Floats
    c: Floats

    @classmethod
    def zero(cls, n_a: int) -> State:
        """The state before anything has been heard or played."""
        return cls(np.zeros(n_a, np.float32), np.zeros(n_a, np.float32))

    def copy(self) -> State:
        """The same state, to go on from separately."""
        return State(self.a.copy(), self.c.copy())

    def set(self, other: State) -> None:
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

    def step(self, value: int | None, rows: Rows, clash: Flags | None, state: State) -> Floats:
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
        self._sum = np.empty(4 * n_a, np.float32)
        self._gates = self._z[: 3 * n_a]
        self._i, self._f, self._o, self._g = self._z.reshape(4, n_a)
        self._logits = np.empty(weights.n_values, np.float32)
        self._penalty = np.float32(weights.penalty)
        self._rows: dict[int, Floats] = {}

    def step(self, value: int | None, rows: Rows, clash: Flags | None, state: State) -> Floats:
        """One step; see `Network.step`."""
        z, total = self._z, self._sum
        np.dot(state.a, self._recurrent, out=z)
        z += self._bias
        if value is not None:
            z += self._kernel[value]
        if rows.size:
            # 'clip' because 'raise' would make NumPy buffer the output; the rows are the context's own and in range.
            active = self._buffer(rows.size)
            self._context.take(rows, axis=0, out=active, mode="clip")
            np.add.reduce(active, axis=0, out=total)
            z += total
        self._cell(state)
        np.dot(state.a, self._densor, out=self._logits)
        self._logits += self.weights.densor_bias
        if clash is not None and self.weights.penalty:
            np.subtract(self._logits, self._penalty, out=self._logits, where=clash)
        return self._logits

    def _cell(self, state: State) -> None:
        np.tanh(self._z, out=self._z)
        self._gates *= np.float32(0.5)
        self._gates += np.float32(0.5)
        self._i *= self._g
        np.multiply(state.c, self._f, out=state.c)
        np.add(state.c, self._i, out=state.c)
        np.tanh(state.c, out=state.a)
        np.multiply(state.a, self._o, out=state.a)

    def _buffer(self, active: int) -> Floats:
        if active not in self._rows:
            self._rows[active] = np.empty((active, self._z.size), np.float32)
        return self._rows[active]


def softmax(logits: Floats) -> npt.NDArray[np.float64]:
    """Probabilities (n,) of `logits` (n,), in double precision so that they sum to one."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum(), np.float64)
