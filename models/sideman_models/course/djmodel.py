# SPDX-License-Identifier: Apache-2.0
"""The Keras models of the course's assignment "Improvise a Jazz Solo with an LSTM Network".

All of them are made of the layers of `network.keras_model.make_layers`, which share their weights. Sizes: m examples,
Tx steps in training, Ty steps in playing, n_x inputs, n_values values, n_a units. `generate.predict_and_sample` plays a
solo with `music_inference_model`.
"""

from __future__ import annotations

import keras

from sideman_models.network.keras_model import Layer, Model


def djmodel(Tx: int, LSTM_cell: Layer, densor: Layer, reshapor: Layer) -> Model:
    """Make the assignment's training model, unrolled over `Tx` steps.

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
    """Make a model that computes the same as `djmodel` with one LSTM layer over the sequence.

    It is many times faster to train. Inputs: X (m, Tx, n_x), a0 and c0 (m, n_a). Output: (m, Tx, n_values).
    """
    X = keras.Input((Tx, n_x), name="X")
    a0, c0 = keras.Input((LSTM_cell.units,), name="a0"), keras.Input((LSTM_cell.units,), name="c0")
    hidden = keras.layers.RNN(LSTM_cell.cell, return_sequences=True)(X, initial_state=[a0, c0])
    return keras.Model([X, a0, c0], densor(hidden))


def music_inference_model(LSTM_cell: Layer, densor: Layer, Ty: int = 50) -> Model:
    """Make the assignment's model for playing: `Ty` steps, each fed the most probable value of the previous step.

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
