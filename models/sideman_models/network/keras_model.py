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
    """Make a model of one step of the network, with its inputs and outputs by name.

    Inputs: `x` (m, n_x), `a` and `c` (m, n_a), `clash` (m, n_values). Outputs: `logits` (m, n_values), the result of
    `densor` minus `penalty` where `clash` is 1, and `next_a` and `next_c` (m, n_a).
    """
    sizes = {"x": n_x, "a": LSTM_cell.units, "c": LSTM_cell.units, "clash": densor.units}
    inputs = {name: keras.Input((size,), name=name) for name, size in sizes.items()}
    x = keras.layers.Reshape((1, n_x), name="reshapor")(inputs["x"])
    a, _, c = LSTM_cell(x, initial_state=[inputs["a"], inputs["c"]])
    mask = keras.layers.Rescaling(-penalty, name="mask")
    logits = keras.layers.Add(name="logits")([densor(a), mask(inputs["clash"])])
    return keras.Model(inputs, {"logits": logits, "next_a": a, "next_c": c})


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
    return Weights(*[*LSTM_cell.cell.get_weights(), *densor.get_weights(), penalty])


class TensorFlowNetwork:
    """Steps the network with a compiled TensorFlow function, made from `single_step_model`. See `lstm.Network`."""

    def __init__(self, weights: Weights) -> None:
        self.n_a, self.n_values, self.n_context = weights.n_a, weights.n_values, weights.n_context
        self.penalty, self.motif, n_x = weights.penalty, weights.motif, len(weights.kernel)
        model = single_step_model(*layers_from_weights(weights, activation=None), n_x, weights.penalty)
        signature = {name: tf.TensorSpec((1, one.shape[1]), tf.float32) for name, one in model.input.items()}
        self._step = tf.function(model, input_signature=[signature], autograph=False)
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
        next_step = self._step({"x": self._x[:, :-1], "a": state.a[None], "c": state.c[None], "clash": clashes})
        np.copyto(state.a, next_step["next_a"].numpy()[0])
        np.copyto(state.c, next_step["next_c"].numpy()[0])
        return np.asarray(next_step["logits"].numpy()[0], np.float32)

    def advance(self, value: int | None, rows: RowIndices, state: LstmState) -> None:
        """See `lstm.Network.advance`."""
        self.step(value, rows, None, state)


def library_versions() -> dict[str, str]:
    """Return the versions of TensorFlow, Keras and NumPy, for the facts of a trained bundle."""
    return {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
