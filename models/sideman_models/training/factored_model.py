# SPDX-License-Identifier: Apache-2.0
"""The network as it is trained on modern values: its weights are factored by the parts of a value.

In the network that plays, every value has a row of its own in the kernel and a column of its own in the softmax. In
training, that row is a sum of rows for the parts of the value:

- the value itself,
- its kind, its duration, its interval, the size of its interval,
- kind with interval, kind with duration, duration with the direction of the interval.

So is the column. A rare value therefore starts from what is known about its parts. After training, `fold_parameters`
computes these sums once and returns the plain weights of `LSTM_cell` and `densor`; `unfold_weights` is the way back,
for training that continues from a trained network.

Sizes: n_parts parts, n_values values, n_context context rows, n_a units, B lanes of a batch, S steps of a window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from sideman_models.music.motifs import MAX_RUN, NO_ROWS, SYMBOL_COUNT, motif_symbols
from sideman_models.music.values import Value, Vocabulary
from sideman_models.network.lstm import Floats, Weights
from sideman_models.training.dataset import Batch

Tensor = Any


class FactoredParameters(NamedTuple):
    """The parameters that are trained. The names of the fields are keys of the checkpoint file.

    `parts` (n_parts, 4 n_a), `context` (n_context, 4 n_a), `recurrent` (n_a, 4 n_a), `bias` (4 n_a,), `out_parts`
    (n_parts, n_a), `out_bias` (n_parts,), `penalty` (). `foreign` (4 n_a,) is added to the bias throughout a piece of
    another feel: it learns how such music differs, and folding leaves it out. `motif` (2, MAX_RUN) is that of
    `Weights`.
    """

    parts: Tensor
    context: Tensor
    recurrent: Tensor
    bias: Tensor
    out_parts: Tensor
    out_bias: Tensor
    penalty: Tensor
    foreign: Tensor
    motif: Tensor


_PARTS: tuple[Callable[[Value], object], ...] = (
    lambda value: value,
    lambda value: value.kind,
    lambda value: value.ticks,
    lambda value: value.interval,
    lambda value: (value.kind, value.interval),
    lambda value: (value.kind, value.ticks),
    lambda value: (value.ticks, np.sign(value.interval) if isinstance(value.interval, int) else value.interval),
    lambda value: abs(value.interval) if isinstance(value.interval, int) else value.interval,
)


def value_parts(vocabulary: Vocabulary) -> Floats:
    """Return which parts each value has: (n_values, n_parts) of 0 and 1. Every row holds `len(_PARTS)` ones."""
    columns = []
    for part_of in _PARTS:
        parts = [part_of(value) for value in vocabulary.values]
        different = list(dict.fromkeys(parts))
        columns.append(np.array([[part == one for one in different] for part in parts], np.float32))
    return np.concatenate(columns, axis=1)


def value_symbols(vocabulary: Vocabulary) -> Floats:
    """Return which values have each symbol of the memory of motifs: (SYMBOL_COUNT, n_values) of 0 and 1."""
    return np.asarray(np.arange(SYMBOL_COUNT)[:, None] == motif_symbols(vocabulary), np.float32)


def initial_factored_parameters(n_a: int, n_parts: int, n_context: int, seed: int) -> FactoredParameters:
    """Return parameters to start from; the same for the same `seed`.

    Input and output rows are uniform (Glorot and Bengio, 2010), the recurrent matrices orthogonal, the forget gates
    open (bias 1), and the penalty is 2.
    """
    generator = np.random.default_rng(seed)

    def glorot(rows: int, columns: int) -> Floats:
        limit = np.sqrt(6.0 / (rows + columns))
        return generator.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    recurrent = [np.linalg.qr(generator.normal(size=(n_a, n_a)))[0] for _ in range(4)]
    return FactoredParameters(
        parts=glorot(n_parts, 4 * n_a),
        context=glorot(n_context, 4 * n_a),
        recurrent=np.concatenate(recurrent, axis=1).astype(np.float32),
        bias=np.repeat(np.array([0, 1, 0, 0], np.float32), n_a),
        out_parts=glorot(n_parts, n_a),
        out_bias=np.zeros(n_parts, np.float32),
        penalty=np.float32(2.0),
        foreign=np.zeros(4 * n_a, np.float32),
        motif=NO_ROWS,
    )


def fold_parameters(parameters: FactoredParameters, parts: Floats) -> Weights:
    """Return the plain weights of `LSTM_cell` and `densor` that compute the same. `parts` is from `value_parts`."""
    p = FactoredParameters(*(np.asarray(array, np.float64) for array in parameters))
    kernel = np.concatenate([parts @ p.parts, p.context])
    kernel, recurrent, bias, densor_kernel, densor_bias, motif = (
        np.ascontiguousarray(array, np.float32)
        for array in (kernel, p.recurrent, p.bias, (parts @ p.out_parts).T, parts @ p.out_bias, p.motif)
    )
    return Weights(kernel, recurrent, bias, densor_kernel, densor_bias, float(np.float32(p.penalty)), motif)


def unfold_weights(weights: Weights, vocabulary: Vocabulary) -> FactoredParameters:
    """Return parameters for `vocabulary` that fold to `weights`. Its first values must be those of `weights`.

    Many parameters fold to the same weights. These are the ones with the least sum of squares: what values have in
    common is in the rows of the parts they share, and what is special to a value is in its own row. A new value starts
    from the known rows of its parts; a new part starts at zero.
    """
    n_values = weights.n_values
    inverse = np.linalg.pinv(value_parts(vocabulary)[:n_values].astype(np.float64))
    by_value = (weights.kernel[:n_values], weights.densor_kernel.T, weights.densor_bias)
    parts, out_parts, out_bias = ((inverse @ rows).astype(np.float32) for rows in by_value)
    return FactoredParameters(
        parts=parts,
        context=weights.kernel[n_values:].copy(),
        recurrent=weights.recurrent.copy(),
        bias=weights.bias.copy(),
        out_parts=out_parts,
        out_bias=out_bias,
        penalty=np.float32(weights.penalty),
        foreign=np.zeros_like(weights.bias),
        motif=weights.motif.copy(),
    )


class DropoutMasks(NamedTuple):
    """What dropout keeps: 0 for a dropped number, else 1 / (1 - the dropped share), so that the mean stays the same.

    `values` (B, n_values + 1) are for the rows of values, the last for 'no value'; `context` (B, 1, n_context) for the
    context rows; `recurrent` (B, n_a) for the hidden units fed back; `outputs` (B, S, n_a) for the hidden units
    that the softmax reads. All but the last are the same throughout the window.
    """

    values: Tensor
    context: Tensor
    recurrent: Tensor
    outputs: Tensor


def window_logits(
    parameters: FactoredParameters,
    parts: Tensor,
    clash_table: Tensor,
    symbols: Tensor,
    batch: Batch,
    state: tuple[Tensor, Tensor],
    dropout: DropoutMasks | None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run the network over a window: return logits (B, S, n_values) and the final state (a, c), each (B, n_a).

    `parts` is from `value_parts`, `clash_table` (rows, n_values) of 0 and 1 from `PieceEncoder.clash_table`,
    `symbols` (SYMBOL_COUNT, n_values) of 0 and 1 from `value_symbols`.
    """
    p = parameters
    rows = tf.pad(parts @ p.parts, [[0, 1], [0, 0]])  # (n_values + 1, 4 n_a): the last is 'no value'
    previous = tf.where(batch.inputs < 0, tf.shape(parts)[0], batch.inputs)
    value_input = tf.gather(rows, previous)
    context = tf.cast(batch.context, tf.float32)
    if dropout is not None:
        value_input *= tf.gather(dropout.values, previous, axis=1, batch_dims=1)[..., None]
        context *= dropout.context
    z = value_input + tf.tensordot(context, p.context, 1) + p.bias
    z += tf.cast(batch.other_feel, tf.float32)[..., None] * p.foreign  # (B, S, 4 n_a)
    keeps_state, (a, c), steps = tf.cast(batch.keeps_state, tf.float32), state, []
    for step in range(z.shape[1]):
        kept = keeps_state[:, step, None]  # 0 where a piece starts
        a, c = a * kept, c * kept
        fed_back = a if dropout is None else a * dropout.recurrent
        i, f, g, o = tf.split(z[:, step] + fed_back @ p.recurrent, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        a = tf.sigmoid(o) * tf.tanh(c)
        steps.append(a)
    hidden = tf.stack(steps, axis=1)  # (B, S, n_a)
    if dropout is not None:
        hidden *= dropout.outputs
    logits = tf.tensordot(hidden, parts @ p.out_parts, [[2], [1]]) + tf.linalg.matvec(parts, p.out_bias)
    logits -= p.penalty * tf.gather(clash_table, batch.clash_rows)
    lengths = np.arange(1, MAX_RUN + 1, dtype=np.uint8)  # runs of length 0 add nothing
    runs = tf.cast(batch.motif_runs[..., None] == lengths, tf.float32)  # (B, S, 2, SYMBOL_COUNT, MAX_RUN)
    by_symbol = tf.tensordot(runs, p.motif, [[2, 4], [0, 1]])
    return logits + tf.tensordot(by_symbol, symbols, 1), (a, c)


def total_bits(logits: Tensor, batch: Batch) -> Tensor:
    """Return the cross-entropy of the batch's values in bits, summed over all valid steps.

    In lessons, it is that of what the teachers expect: see `Batch.expected`.
    """
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(batch.targets, logits)
    if batch.expected.shape[2]:
        expected = tf.cast(batch.expected, tf.float32)
        taught = tf.nn.softmax_cross_entropy_with_logits(expected, logits)
        nats = tf.where(tf.reduce_any(expected > 0, axis=2), taught, nats)
    return tf.reduce_sum(nats * tf.cast(batch.valid, tf.float32)) / np.log(2.0)
