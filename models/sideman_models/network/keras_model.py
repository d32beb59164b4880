# SPDX-License-Identifier: Apache-2.0
"""The network in TensorFlow: as it is played, and as it is trained.

**Played**, in Keras: the assignment's `djmodel` and `music_inference_model`, the training model over a whole sequence
at once, and a single step, all made of the same two layers with shared weights, `LSTM_cell` and `densor`.

**Trained** on modern values it has more structure. The row of a value in the cell's kernel is the sum of rows for the
value itself, its kind, duration and interval, the size of the interval, and kind with interval, kind with duration,
duration with direction; so is its column in the softmax. A rare value so begins from what is known of its parts. At the
end these are summed once (`fold_parameters`) into the two plain matrices of `LSTM_cell` and `densor`.

Only this module, `train` and `train_classic` import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from sideman_models.course.generate import predict_and_sample as _predict_and_sample
from sideman_models.music.context import RowIndices
from sideman_models.music.values import Value, Vocabulary
from sideman_models.network.lstm import Flags, Floats, LstmState, Weights
from sideman_models.training.dataset import Batch

Layer = Any
Model = Any
Tensor = Any


def make_layers(
    n_a: int, n_values: int, n_x: int | None = None, activation: str | None = "softmax"
) -> tuple[Layer, Layer, Layer]:
    """`LSTM_cell`, `densor` and `reshapor` for `n_a` units, `n_values` symbols and inputs of `n_x` (else `n_values`).

    With `activation` None, `densor` gives logits instead of probabilities.
    """
    LSTM_cell = keras.layers.LSTM(n_a, return_state=True, unroll=True, name="LSTM_cell")
    densor = keras.layers.Dense(n_values, activation=activation, name="densor")
    reshapor = keras.layers.Reshape((1, n_x or n_values), name="reshapor")
    return LSTM_cell, densor, reshapor


def djmodel(Tx: int, LSTM_cell: Layer, densor: Layer, reshapor: Layer) -> Model:
    """The assignment's training model, unrolled over `Tx` steps.

    Inputs: X (m, Tx, n_x), a0 and c0 (m, n_a). Outputs: a list of Tx tensors (m, n_values).
    """
    n_a, n_x = LSTM_cell.units, reshapor.target_shape[-1]
    X = keras.Input((Tx, n_x), name="X")
    a0, c0 = keras.Input((n_a,), name="a0"), keras.Input((n_a,), name="c0")
    a, c = a0, c0
    outputs = []
    for step in range(Tx):
        a, _, c = LSTM_cell(reshapor(X[:, step, :]), initial_state=[a, c])
        outputs.append(densor(a))
    return keras.Model([X, a0, c0], outputs)


def sequence_model(Tx: int, LSTM_cell: Layer, densor: Layer, n_x: int) -> Model:
    """The same mathematics as `djmodel`, with one LSTM layer over the sequence: many times faster to train.

    Inputs: X (m, Tx, n_x), a0 and c0 (m, n_a). Output: (m, Tx, n_values).
    """
    X = keras.Input((Tx, n_x), name="X")
    a0, c0 = keras.Input((LSTM_cell.units,), name="a0"), keras.Input((LSTM_cell.units,), name="c0")
    hidden = keras.layers.RNN(LSTM_cell.cell, return_sequences=True)(X, initial_state=[a0, c0])
    return keras.Model([X, a0, c0], densor(hidden))


def music_inference_model(LSTM_cell: Layer, densor: Layer, Ty: int = 50) -> Model:
    """The assignment's playing model: one graph of `Ty` steps, each fed the most probable value of the step before.

    Inputs: x (m, 1, n_values), a and c (m, n_a). Outputs: a list of Ty tensors (m, n_values).
    """
    x0 = keras.Input((1, densor.units), name="x")
    a0, c0 = keras.Input((LSTM_cell.units,), name="a"), keras.Input((LSTM_cell.units,), name="c")
    x, a, c = x0, a0, c0
    outputs = []
    for _ in range(Ty):
        a, _, c = LSTM_cell(x, initial_state=[a, c])
        outputs.append(densor(a))
        x = keras.ops.one_hot(keras.ops.argmax(outputs[-1], axis=-1), densor.units)[:, None, :]
    return keras.Model([x0, a0, c0], outputs)


predict_and_sample = _predict_and_sample
"""The assignment's function; it takes Keras' model as any other."""


def single_step_model(LSTM_cell: Layer, densor: Layer, n_x: int, penalty: float = 0.0) -> Model:
    """One step of the network.

    Inputs: x (m, n_x), a and c (m, n_a), clash (m, n_values). Outputs: what `densor` gives, less `penalty` where there
    is a clash (m, n_values), and the next a and c.
    """
    x, clash = keras.Input((n_x,), name="x"), keras.Input((densor.units,), name="clash")
    a0, c0 = keras.Input((LSTM_cell.units,), name="a"), keras.Input((LSTM_cell.units,), name="c")
    a, _, c = LSTM_cell(keras.layers.Reshape((1, n_x))(x), initial_state=[a0, c0])
    return keras.Model([x, a0, c0, clash], [densor(a) - penalty * clash, a, c])


def layers_from_weights(weights: Weights, activation: str | None = "softmax") -> tuple[Layer, Layer]:
    """`LSTM_cell` and `densor` with these weights: those of a bundle, say."""
    n_x = len(weights.kernel)
    LSTM_cell, densor, _ = make_layers(weights.n_a, weights.n_values, n_x, activation)
    LSTM_cell.build((None, 1, n_x))
    densor.build((None, weights.n_a))
    LSTM_cell.set_weights([weights.kernel, weights.recurrent, weights.bias])
    densor.set_weights([weights.densor_kernel, weights.densor_bias])
    return LSTM_cell, densor


def weights_from_layers(LSTM_cell: Layer, densor: Layer, penalty: float = 0.0) -> Weights:
    """The layers' numbers, to be stepped in NumPy or saved."""
    kernel, recurrent, bias = LSTM_cell.cell.get_weights()
    out, out_bias = densor.get_weights()
    return Weights(kernel, recurrent, bias, out, out_bias, penalty)


class TensorFlowNetwork:
    """Steps the network as one compiled function of the Keras single-step model. See `lstm.Network`."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        n_x = len(weights.kernel)
        model = single_step_model(*layers_from_weights(weights, activation=None), n_x, weights.penalty)
        self._model = model
        shapes = (n_x, weights.n_a, weights.n_a, weights.n_values)
        signature = [tf.TensorSpec((1, size), tf.float32) for size in shapes]
        self._step = tf.function(lambda *inputs: model(list(inputs)), input_signature=signature, autograph=False)
        self._x = np.zeros((1, n_x + 1), np.float32)
        self._no_clash = np.zeros((1, weights.n_values), np.float32)
        self.step(None, np.zeros(0, np.intp), None, LstmState.zero(weights.n_a))  # compiled now, not while it plays

    def step(self, value: int | None, rows: RowIndices, clash: Flags | None, state: LstmState) -> Floats:
        """One step; see `lstm.Network.step`."""
        self._x.fill(0.0)
        if value is not None:
            self._x[0, value] = 1.0
        self._x[0, self.weights.n_values + rows] = 1.0
        clashes = self._no_clash if clash is None else clash.astype(np.float32)[None]
        logits, a, c = self._step(self._x[:, :-1], state.a[None], state.c[None], clashes)
        np.copyto(state.a, a.numpy()[0])
        np.copyto(state.c, c.numpy()[0])
        return np.asarray(logits.numpy()[0], np.float32)


class FactoredParameters(NamedTuple):
    """What is learned: n_parts rows for the parts of values, n_context context rows, n_a units.

    `parts` (n_parts, 4 n_a), `context` (n_context, 4 n_a), `recurrent` (n_a, 4 n_a), `bias` (4 n_a,),
    `out_parts` (n_parts, n_a), `out_bias` (n_parts,), `penalty` (). `foreign` (4 n_a,) is added throughout music of
    another feel and learns what sets that apart; what is played has none of it.
    """

    parts: Tensor
    context: Tensor
    recurrent: Tensor
    bias: Tensor
    out_parts: Tensor
    out_bias: Tensor
    penalty: Tensor
    foreign: Tensor


def _interval_direction(interval: object) -> object:
    return (interval > 0) - (interval < 0) if isinstance(interval, int) else interval


def value_parts(vocabulary: Vocabulary) -> Floats:
    """Which parts each value has: (n_values, n_parts), 0 or 1."""
    telling: tuple[Callable[[Value], object], ...] = (
        lambda value: value,
        lambda value: value.kind,
        lambda value: value.ticks,
        lambda value: value.interval,
        lambda value: (value.kind, value.interval),
        lambda value: (value.kind, value.ticks),
        lambda value: (value.ticks, _interval_direction(value.interval)),
        lambda value: abs(value.interval) if isinstance(value.interval, int) else value.interval,
    )
    columns = []
    for tell in telling:
        told = [tell(value) for value in vocabulary.values]
        names = list(dict.fromkeys(told))
        columns.append(np.array([[name == one for name in names] for one in told], np.float32))
    return np.concatenate(columns, axis=1)


def initial_factored_parameters(n_a: int, n_parts: int, n_context: int, seed: int) -> FactoredParameters:
    """Parameters to begin with: Glorot's uniform, an orthogonal recurrence, forget gates open."""
    dice = np.random.default_rng(seed)

    def glorot(rows: int, columns: int) -> Floats:
        limit = np.sqrt(6.0 / (rows + columns))
        return dice.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    recurrent = [np.linalg.qr(dice.normal(size=(n_a, n_a)))[0] for _ in range(4)]
    bias = np.repeat(np.array([0, 1, 0, 0], np.float32), n_a)
    return FactoredParameters(
        glorot(n_parts, 4 * n_a),
        glorot(n_context, 4 * n_a),
        np.concatenate(recurrent, axis=1).astype(np.float32),
        bias,
        glorot(n_parts, n_a),
        np.zeros(n_parts, np.float32),
        np.float32(2.0),
        np.zeros(4 * n_a, np.float32),
    )


def fold_parameters(parameters: FactoredParameters, parts: Floats) -> Weights:
    """The plain weights of `LSTM_cell` and `densor` that do the same."""
    p = FactoredParameters(*(np.asarray(one, np.float64) for one in parameters))
    kernel = np.concatenate([parts @ p.parts, p.context])
    kernel, recurrent, bias, out, out_bias = (
        np.ascontiguousarray(one, np.float32)
        for one in (kernel, p.recurrent, p.bias, (parts @ p.out_parts).T, parts @ p.out_bias)
    )
    return Weights(kernel, recurrent, bias, out, out_bias, float(np.float32(p.penalty)))


class DropoutMasks(NamedTuple):
    """What dropout leaves, scaled to the same mean.

    `values` (B, n_values + 1) and `context` (B, 1, n_context) input rows, `recurrent` (B, n_a) units, `outputs`
    (B, S, n_a).
    """

    values: Tensor
    context: Tensor
    recurrent: Tensor
    outputs: Tensor


def window_logits(
    parameters: FactoredParameters,
    parts: Tensor,
    clash_table: Tensor,
    batch: Batch,
    state: tuple[Tensor, Tensor],
    dropout: DropoutMasks | None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The network over a window: logits (B, S, n_values) and the state (a, c) it ends in, each (B, n_a)."""
    p = parameters
    rows = tf.pad(parts @ p.parts, [[0, 1], [0, 0]])
    n_values = tf.shape(parts)[0]
    previous = tf.where(batch.inputs < 0, n_values, batch.inputs)
    fed = tf.gather(rows, previous)
    context = tf.cast(batch.context, tf.float32)
    if dropout is not None:
        fed *= tf.gather(dropout.values, previous, axis=1, batch_dims=1)[..., None]
        context *= dropout.context
    z = fed + tf.tensordot(context, p.context, 1) + p.bias
    z += tf.cast(batch.other_feel, tf.float32)[..., None] * p.foreign
    hidden, state = _run_lstm(z, tf.cast(batch.keeps_state, tf.float32), p.recurrent, state, dropout)
    if dropout is not None:
        hidden *= dropout.outputs
    scores = tf.tensordot(hidden, parts @ p.out_parts, [[2], [1]]) + tf.linalg.matvec(parts, p.out_bias)
    return scores - p.penalty * tf.gather(clash_table, batch.clash_rows), state


def _run_lstm(
    z: Tensor, goes_on: Tensor, recurrent: Tensor, state: tuple[Tensor, Tensor], dropout: DropoutMasks | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    a, c = state
    hidden = []
    for step in range(z.shape[1]):
        here = goes_on[:, step, None]
        a, c = a * here, c * here
        fed_back = a if dropout is None else a * dropout.recurrent
        i, f, g, o = tf.split(z[:, step] + fed_back @ recurrent, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        a = tf.sigmoid(o) * tf.tanh(c)
        hidden.append(a)
    return tf.stack(hidden, axis=1), (a, c)


def total_bits(scores: Tensor, batch: Batch) -> Tensor:
    """The bits that the batch's values cost in all."""
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(batch.targets, scores)
    return tf.reduce_sum(nats * tf.cast(batch.valid, tf.float32)) / np.log(2.0)
