# SPDX-License-Identifier: Apache-2.0
"""The network that plays: one LSTM cell and one softmax layer, stepped in NumPy, one musical value at a time.

A step takes the value that was played last and the context of the value to come, and returns a score (logit) for every
value of the vocabulary. Sizes: n_values values, n_context context rows, n_a units. All arrays are float32.

    x       = one-hot of the last value, then the context rows    (n_values + n_context,)
    z       = x W + a U + b                                       (4 n_a,)  four gates: i f g o
    i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)            (n_a,)    input, forget and output gate
    g       = tanh(z_g)                                           (n_a,)    candidate
    c'      = f c + i g                                           (n_a,)    cell state
    a'      = o tanh(c')                                          (n_a,)    hidden state
    logits  = a' D + d - penalty * clash                          (n_values,)

This is the LSTM of Hochreiter and Schmidhuber (1997) with the forget gate of Gers, Schmidhuber and Cummins (2000), in
the layout of Keras' `LSTM` and `Dense`. The two layers are called `LSTM_cell` and `densor`, as in the assignment of the
course *Sequence Models*. `network.keras_model` steps the same network in TensorFlow; `course.lstm` has the same cell
with its gradients.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from sideman_models.music.context import RowIndices
from sideman_models.music.motifs import NO_ROWS

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


class LstmState(Struct, frozen=True):
    """The memory of the network between two steps: hidden state `a` and cell state `c`, each (n_a,).

    There is no other memory: a copy of the state is enough to continue a solo later, or to redo a choice.
    """

    a: Floats
    c: Floats

    @classmethod
    def zero(cls, n_a: int) -> LstmState:
        """Return the state at the start of a piece: all zeros."""
        return cls(np.zeros(n_a, np.float32), np.zeros(n_a, np.float32))

    def copy(self) -> LstmState:
        """Return an independent copy."""
        return LstmState(self.a.copy(), self.c.copy())

    def assign(self, other: LstmState) -> None:
        """Copy the numbers of `other` into this state."""
        np.copyto(self.a, other.a)
        np.copyto(self.c, other.c)


TRAINED = ("kernel", "recurrent", "bias", "densor_kernel", "densor_bias")
"""The weights that learning while playing changes; the penalty, the rows of motifs and the readouts stay."""


class Weights(Struct, frozen=True):
    """The trained weights.

    The cell has `kernel` W (n_values + n_context, 4 n_a), `recurrent` U (n_a, 4 n_a) and `bias` b (4 n_a,). The softmax
    layer has `densor_kernel` D (n_a, n_values) and `densor_bias` d (n_values,). `penalty` is subtracted from the logit
    of each value whose interval does not fit the chord. `motif` (2, MAX_RUN) is added to the logits of values that
    continue an earlier run of the piece, by the length of the run: see `music.motifs`. All zeros: it has no effect.
    """

    kernel: Floats
    recurrent: Floats
    bias: Floats
    densor_kernel: Floats
    densor_bias: Floats
    penalty: float = 0.0
    motif: Floats = field(default_factory=lambda: NO_ROWS)

    @property
    def n_a(self) -> int:
        """Number of units of the cell."""
        return int(self.recurrent.shape[0])

    @property
    def n_values(self) -> int:
        """Number of values that the softmax chooses from."""
        return int(self.densor_bias.shape[0])

    @property
    def n_context(self) -> int:
        """Number of context rows; in `kernel` they stand below the rows of the values."""
        return int(self.kernel.shape[0]) - self.n_values


class Network(Protocol):
    """A trained network that can be stepped: `NumpyNetwork` here, `TensorFlowNetwork` in `network.keras_model`.

    The sizes, the penalty and `motif` are those of its `Weights`. A step does not add `motif`: what has been played
    before is known to its caller.
    """

    n_a: int
    n_values: int
    n_context: int
    penalty: float
    motif: Floats

    def step(self, value: int | None, rows: RowIndices, clash: Flags | None, state: LstmState) -> Floats:
        """Advance `state` in place by one step and return the logits (n_values,) of the next value.

        `value` is the index of the last value, 0 to n_values - 1, or None at the start of a piece. `rows` are the
        active context rows of the next value, 0 to n_context - 1; n_context stands for 'no row'. `clash` (n_values,)
        marks the values that do not fit at that place; None marks none. The returned array is overwritten by the next
        step.
        """
        ...

    def advance(self, value: int | None, rows: RowIndices, state: LstmState) -> None:
        """Advance `state` in place as `step` does, where the next value is known: no logits are computed."""
        ...


class NumpyNetwork:
    """Steps the network in NumPy. The buffers are kept, so that a step allocates no array.

    It keeps its own copy of the weights, in the order in which they are used, so that those of a bundle can be freed.
    """

    def __init__(self, weights: Weights) -> None:
        n_a = self.n_a = weights.n_a
        self.n_values, self.n_context = weights.n_values, weights.n_context
        self.penalty, self.motif = weights.penalty, weights.motif
        # One tanh computes all four gates, because sigmoid(z) = (1 + tanh(z / 2)) / 2. So the columns are put in the
        # order i f o g, and those of the three sigmoids are halved in advance (exact in binary).
        order = np.concatenate([np.arange(2 * n_a), np.arange(3 * n_a, 4 * n_a), np.arange(2 * n_a, 3 * n_a)])
        half = np.repeat(np.array([0.5, 1.0], np.float32), [3 * n_a, n_a])
        # The row of zeros at the end is 'no row'. The columns are ordered in place: copies as large as the kernel would
        # stay in the memory of the daemon.
        self._kernel = np.zeros((len(weights.kernel) + 1, 4 * n_a), np.float32)  # (n_values + n_context + 1, 4 n_a)
        np.take(weights.kernel, order, axis=1, out=self._kernel[:-1], mode="clip")
        self._kernel *= half
        self._context = self._kernel[weights.n_values :]  # (n_context + 1, 4 n_a)
        self._recurrent = np.ascontiguousarray(weights.recurrent[:, order] * half)  # (n_a, 4 n_a)
        self._bias = weights.bias[order] * half  # (4 n_a,)
        self._densor = weights.densor_kernel.copy()  # (n_a, n_values)
        self._densor_bias = weights.densor_bias.copy()  # (n_values,)
        self._penalty = np.float32(weights.penalty)
        self._z = np.empty(4 * n_a, np.float32)
        self._context_sum = np.empty(4 * n_a, np.float32)
        self._logits = np.empty(weights.n_values, np.float32)
        self._sigmoids = self._z[: 3 * n_a]  # a view of i, f and o together
        self._gates = tuple(self._z.reshape(4, n_a))  # views: i, f, o, g
        self._row_buffers: dict[int, Floats] = {}  # (count, 4 n_a), by the number of active rows

    def step(self, value: int | None, rows: RowIndices, clash: Flags | None, state: LstmState) -> Floats:
        """See `Network.step`."""
        self.advance(value, rows, state)
        # logits = a' D + d - penalty * clash
        np.dot(state.a, self._densor, out=self._logits)
        self._logits += self._densor_bias
        if clash is not None and self.penalty:
            np.subtract(self._logits, self._penalty, out=self._logits, where=clash)
        return self._logits

    def advance(self, value: int | None, rows: RowIndices, state: LstmState) -> None:
        """See `Network.advance`."""
        z, (i, f, o, g) = self._z, self._gates
        # z = x W + a U + b
        np.dot(state.a, self._recurrent, out=z)
        z += self._bias
        if value is not None:
            z += self._kernel[value]
        if count := rows.size:
            if count not in self._row_buffers:
                self._row_buffers[count] = np.empty((count, z.size), np.float32)
            active = self._row_buffers[count]
            # mode="raise" would make NumPy allocate a buffer; the rows come from the context and are in range.
            self._context.take(rows, axis=0, out=active, mode="clip")
            z += np.add.reduce(active, axis=0, out=self._context_sum)
        # The gates
        np.tanh(z, out=z)
        self._sigmoids *= np.float32(0.5)
        self._sigmoids += np.float32(0.5)
        # c' = f c + i g, a' = o tanh(c')
        i *= g
        np.multiply(state.c, f, out=state.c)
        np.add(state.c, i, out=state.c)
        np.tanh(state.c, out=state.a)
        np.multiply(state.a, o, out=state.a)


def softmax(logits: Floats) -> npt.NDArray[np.float64]:
    """Return the probabilities (n,) of `logits` (n,), in float64 so that they sum to one."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum(), np.float64)
