# SPDX-License-Identifier: Apache-2.0
"""The network backwards: how its surprise about a stretch of music changes with each weight, in NumPy.

It is the network of `network.lstm`, computed for a batch of stretches at once. The pass back goes through all steps of
a stretch and no further (truncated back-propagation through time). Sizes: B stretches, T steps, N = T B; the others as
in `network.lstm`. All arrays are float32 unless the weights are of another type, as in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.network.encoding import Indices
from sideman_models.network.lstm import Flags, Floats, Weights

Gradients = dict[str, Floats]
"""By the names of `lstm.TRAINED`."""


class Stretch(Struct, frozen=True):
    """Some values in a row, T steps. The state is zero before the first of them.

    `previous` (T,) is the value that each step reads, -1 for none; `rows` (T, active) are the context rows, n_context
    for none; `targets` (T,) are the values that came; `offsets` (T, n_values) is what is added to the logits: the
    penalty, and what the motifs add. Only the steps that `counts` (T,) count; the others lead up to them.
    """

    previous: Indices
    rows: Indices
    targets: Indices
    offsets: Floats
    counts: Flags

    def __len__(self) -> int:
        return len(self.targets)


class _Batch(Struct, frozen=True):
    """Stretches side by side, step by step (T, B, …), the shorter ones filled up with steps that do not count."""

    inputs: Floats  # (T, B, n_values + n_context)
    counted: Flags  # (T, B)
    targets: Indices  # (counted steps,), in the order of `counted`
    offsets: Floats  # (counted steps, n_values)


def _batch(weights: Weights, stretches: Sequence[Stretch]) -> _Batch:
    n_inputs, steps = len(weights.kernel), max(map(len, stretches))
    inputs = np.zeros((steps, len(stretches), n_inputs + 1), weights.kernel.dtype)  # the last column: 'no row'
    counted = np.zeros((steps, len(stretches)), np.bool_)
    targets = np.zeros((steps, len(stretches)), np.int32)
    offsets = np.zeros((steps, len(stretches), weights.n_values), weights.kernel.dtype)
    for lane, one in enumerate(stretches):
        at, length = np.arange(len(one)), len(one)
        inputs[at[:, None], lane, weights.n_values + one.rows] = 1.0
        inputs[at, lane, np.where(one.previous < 0, n_inputs, one.previous)] = 1.0
        counted[:length, lane], targets[:length, lane] = one.counts, one.targets
        offsets[:length, lane] = one.offsets
    return _Batch(inputs[..., :n_inputs], counted, targets[counted], offsets[counted])


class _Forward(Struct, frozen=True):
    """What the pass back needs of each step, (T, B, n_a), and the bits of the counted steps with their error."""

    gates: list[tuple[Floats, Floats, Floats, Floats]]  # i, f, g, o
    cells: Floats  # (T + 1, B, n_a), from the zero state on
    hidden: Floats  # (T + 1, B, n_a)
    bits: npt.NDArray[np.float64]  # (counted steps,)
    errors: Floats  # (counted steps, n_values): how the surprise in nats changes with each logit


def _sigmoid(z: Floats) -> Floats:
    half = z.dtype.type(0.5)
    sigmoid: Floats = half + half * np.tanh(half * z)
    return sigmoid


def _forward(weights: Weights, batch: _Batch) -> _Forward:
    steps, lanes, n_a = *batch.counted.shape, weights.n_a
    z = batch.inputs.reshape(steps * lanes, -1) @ weights.kernel + weights.bias
    z = z.reshape(steps, lanes, 4 * n_a)
    cells, hidden = (np.zeros((steps + 1, lanes, n_a), z.dtype) for _ in range(2))
    gates = []
    for t in range(steps):
        at = z[t] + hidden[t] @ weights.recurrent
        i, f, o = (_sigmoid(at[:, part * n_a : (part + 1) * n_a]) for part in (0, 1, 3))
        g = np.tanh(at[:, 2 * n_a : 3 * n_a])
        cells[t + 1] = f * cells[t] + i * g
        hidden[t + 1] = o * np.tanh(cells[t + 1])
        gates.append((i, f, g, o))
    logits = hidden[1:][batch.counted] @ weights.densor_kernel + weights.densor_bias + batch.offsets
    logits -= logits.max(axis=1, keepdims=True)
    errors = np.exp(logits)
    totals = errors.sum(axis=1, keepdims=True)
    errors /= totals
    each = np.arange(len(logits))
    nats = np.log(totals[:, 0]) - logits[each, batch.targets]
    errors[each, batch.targets] -= 1.0
    return _Forward(gates, cells, hidden, nats.astype(np.float64) / math.log(2.0), errors)


def surprise(weights: Weights, stretches: Sequence[Stretch]) -> npt.NDArray[np.float64]:
    """Return the bits of each counted value: -log2 of the probability that the network gave it. None: none."""
    return _forward(weights, _batch(weights, stretches)).bits if stretches else np.zeros(0)


def surprise_and_gradients(weights: Weights, stretches: Sequence[Stretch]) -> tuple[npt.NDArray[np.float64], Gradients]:
    """Return the bits of each counted value, and the gradients of their mean in nats. At least one has to count."""
    batch = _batch(weights, stretches)
    forward = _forward(weights, batch)
    steps, lanes, n_a = *batch.counted.shape, weights.n_a
    errors = forward.errors / len(forward.errors)
    from_output = np.zeros((steps, lanes, n_a), errors.dtype)
    from_output[batch.counted] = errors @ weights.densor_kernel.T
    dz = np.zeros((steps, lanes, 4 * n_a), errors.dtype)
    da_next = dc_next = np.zeros((lanes, n_a), errors.dtype)
    for t in reversed(range(steps)):
        i, f, g, o = forward.gates[t]
        tanh_c = np.tanh(forward.cells[t + 1])
        da = from_output[t] + da_next
        dc = dc_next + da * o * (1 - tanh_c**2)
        by_gate = (dc * g * i * (1 - i), dc * forward.cells[t] * f * (1 - f), dc * i * (1 - g**2))
        np.concatenate([*by_gate, da * tanh_c * o * (1 - o)], axis=1, out=dz[t])
        da_next, dc_next = dz[t] @ weights.recurrent.T, dc * f
    flat = dz.reshape(steps * lanes, -1)
    return forward.bits, {
        "kernel": batch.inputs.reshape(steps * lanes, -1).T @ flat,
        "recurrent": forward.hidden[:-1].reshape(steps * lanes, -1).T @ flat,
        "bias": flat.sum(axis=0),
        "densor_kernel": forward.hidden[1:][batch.counted].T @ errors,
        "densor_bias": errors.sum(axis=0),
    }
