# SPDX-License-Identifier: Apache-2.0
"""The network that plays, in Keras: the layers `LSTM_cell` and `densor`, a model of one step, and an engine made of it.

`TensorFlowNetwork` computes the same numbers as `lstm.NumpyNetwork`. The models of the course's assignment, in
`course.djmodel`, are made of the same two layers.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sideman_models.music.context import RowIndices
from sideman_models.network.lstm import Flags, Floats, LstmState, Weights

Layer = Any
Model = Any


def make_layers(
    n_a: int, n_values: int, n_x: int | None = None, activation: str | None = "softmax"
) -> tuple[Layer, Layer, Layer]:
    """Make `LSTM_cell`, `densor` and `reshapor` for `n_a` units and `n_values` values.

    `n_x` is the width of the input, `n_values` by default. With `activation` None, `densor` returns logits instead of
    probabilities.
    """
    LSTM_cell = keras.layers.LSTM(n_a, return_state=True, unroll=True, name="LSTM_cell")
    densor = keras.layers.Dense(n_values, activation=activation, name="densor")
    reshapor = keras.layers.Reshape((1, n_x or n_values), name="reshapor")
    return LSTM_cell, densor, reshapor


def single_step_model(LSTM_cell: Layer, densor: Layer, n_x: int, penalty: float = 0.0) -> Model:
    """Make a model of one step of the network.

    Inputs: x (m, n_x), a and c (m, n_a), clash (m, n_values). Outputs: the result of `densor` minus `penalty` where
    `clash` is 1 (m, n_values), and the next a and c (m, n_a).
    """
    x, clash = keras.Input((n_x,), name="x"), keras.Input((densor.units,), name="clash")
    a0, c0 = keras.Input((LSTM_cell.units,), name="a"), keras.Input((LSTM_cell.units,), name="c")
    a, _, c = LSTM_cell(keras.layers.Reshape((1, n_x))(x), initial_state=[a0, c0])
    return keras.Model([x, a0, c0, clash], [densor(a) - penalty * clash, a, c])


def layers_from_weights(weights: Weights, activation: str | None = "softmax") -> tuple[Layer, Layer]:
    """Make `LSTM_cell` and `densor` with these weights, such as those of a bundle."""
    n_x = len(weights.kernel)
    LSTM_cell, densor, _ = make_layers(weights.n_a, weights.n_values, n_x, activation)
    LSTM_cell.build((None, 1, n_x))
    densor.build((None, weights.n_a))
    LSTM_cell.set_weights([weights.kernel, weights.recurrent, weights.bias])
    densor.set_weights([weights.densor_kernel, weights.densor_bias])
    return LSTM_cell, densor


def weights_from_layers(LSTM_cell: Layer, densor: Layer, penalty: float = 0.0) -> Weights:
    """Return the weights of the two layers, to be stepped in NumPy or saved in a bundle."""
    kernel, recurrent, bias = LSTM_cell.cell.get_weights()
    densor_kernel, densor_bias = densor.get_weights()
    return Weights(kernel, recurrent, bias, densor_kernel, densor_bias, penalty)


class TensorFlowNetwork:
    """Steps the network with a compiled TensorFlow function, made from `single_step_model`. See `lstm.Network`."""

    def __init__(self, weights: Weights) -> None:
        self.n_a, self.n_values, self.n_context = weights.n_a, weights.n_values, weights.n_context
        self.penalty, n_x = weights.penalty, len(weights.kernel)
        model = single_step_model(*layers_from_weights(weights, activation=None), n_x, weights.penalty)
        self._model = model
        shapes = (n_x, weights.n_a, weights.n_a, weights.n_values)
        signature = [tf.TensorSpec((1, size), tf.float32) for size in shapes]
        self._step = tf.function(lambda *inputs: model(list(inputs)), input_signature=signature, autograph=False)
        self._x = np.zeros((1, n_x + 1), np.float32)  # the last column is 'no row'; it is cut off
        self._no_clash = np.zeros((1, weights.n_values), np.float32)
        self.step(None, np.zeros(0, np.intp), None, LstmState.zero(weights.n_a))  # compile before playing

    def step(self, value: int | None, rows: RowIndices, clash: Flags | None, state: LstmState) -> Floats:
        """See `lstm.Network.step`."""
        self._x.fill(0.0)
        if value is not None:
            self._x[0, value] = 1.0
        self._x[0, self.n_values + rows] = 1.0
        clashes = self._no_clash if clash is None else clash.astype(np.float32)[None]
        logits, a, c = self._step(self._x[:, :-1], state.a[None], state.c[None], clashes)
        np.copyto(state.a, a.numpy()[0])
        np.copyto(state.c, c.numpy()[0])
        return np.asarray(logits.numpy()[0], np.float32)


def library_versions() -> dict[str, str]:
    """Return the versions of TensorFlow, Keras and NumPy, for the facts of a trained bundle."""
    return {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
