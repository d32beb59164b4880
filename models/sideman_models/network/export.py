# SPDX-License-Identifier: Apache-2.0
"""Exports a network as a Keras model (`.keras`) or a LiteRT model (`.tflite`). `keras_file` imports a Keras model.

An exported model computes one step. Its inputs are float32, for a batch of m:

- `x` (m, n_values + n_context): the one-hot of the previous value, all zeros at the start of a piece, then the context
  rows of the next value, in the order of the bundle's features;
- `a`, `c` (m, n_a): the state, zeros at the start of a piece;
- `clash` (m, n_values): 1 for each value that does not fit the chord at its place, else 0.

Its outputs are `probabilities` (m, n_values) of the next value, and `next_a` and `next_c` (m, n_a), the inputs `a` and
`c` of the next step. The memory of motifs is no part of a step, so the probabilities are those without it: see
`docs/internals/network.md`. The layers of a Keras model are `LSTM_cell`, `densor`, which returns logits, and `mask`,
whose scale is minus the penalty.
"""

from __future__ import annotations

import importlib
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sideman_models.errors import ModelsError
from sideman_models.network.keras_model import Model, layers_from_weights, single_step_model
from sideman_models.network.lstm import Floats, LstmState, NumpyNetwork, Weights, softmax
from sideman_models.writing import scratch_folder

Tensor = Any
StepFunction = Callable[[dict[str, Floats]], Mapping[str, Tensor]]
"""A step of an exported model, from its inputs to its outputs, both by name; a Keras model is one."""

OUTPUT_NAMES = ("probabilities", "next_a", "next_c")
_COMPARED_STEPS, _ROW_PROBABILITY, _CLASH_PROBABILITY = 24, 0.2, 0.3


class NoLiteRT(ModelsError):
    """Neither TensorFlow nor ai_edge_litert here can write or run LiteRT models."""


# -- Keras


def make_keras_model(weights: Weights) -> Model:
    """Make the Keras model of one step with these weights."""
    layers = layers_from_weights(weights, activation=None)
    model = single_step_model(*layers, len(weights.kernel), weights.penalty)
    logits, a, c = (model.output[name] for name in ("logits", "next_a", "next_c"))
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    return keras.Model(model.input, dict(zip(OUTPUT_NAMES, (probabilities, a, c), strict=True)), name="sideman")


def keras_file_bytes(model: Model) -> bytes:
    """Return the content of a `.keras` file of a model."""
    with scratch_folder(Path(tempfile.gettempdir(), "sideman")) as folder:
        path = folder / "model.keras"
        model.save(path)
        return path.read_bytes()


# -- LiteRT


def litert_file_bytes(weights: Weights) -> bytes:
    """Return the content of a LiteRT (`.tflite`) file of one step, for a batch of one. Raises `NoLiteRT`."""
    converter = getattr(getattr(tf, "lite", None), "TFLiteConverter", None)
    if converter is None:
        raise NoLiteRT("this TensorFlow can no longer write LiteRT models")
    w = weights

    # The weights are constants of this function: the converter loses the variables of a Keras model.
    def step(x: Tensor, a: Tensor, c: Tensor, clash: Tensor) -> dict[str, Tensor]:
        i, f, g, o = tf.split(x @ w.kernel + a @ w.recurrent + w.bias, 4, axis=1)
        next_c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        next_a = tf.sigmoid(o) * tf.tanh(next_c)
        probabilities = tf.nn.softmax(next_a @ w.densor_kernel + w.densor_bias - w.penalty * clash)
        return dict(zip(OUTPUT_NAMES, (probabilities, next_a, next_c), strict=True))

    sizes = {"x": len(w.kernel), "a": w.n_a, "c": w.n_a, "clash": w.n_values}
    specs = {name: tf.TensorSpec((1, size), tf.float32, name) for name, size in sizes.items()}
    traced = tf.function(step, autograph=False).get_concrete_function(**specs)
    return bytes(converter.from_concrete_functions([traced], tf.Module()).convert())


def litert_step_function(content: bytes) -> StepFunction:
    """Return the step of a LiteRT model, run by the package `ai_edge_litert` or by TensorFlow. Raises `NoLiteRT`."""
    try:
        interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        interpreter = getattr(getattr(tf, "lite", None), "Interpreter", None)
    if interpreter is None:
        raise NoLiteRT("neither ai_edge_litert nor this TensorFlow can run LiteRT models")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*deprecated.*")
        run = interpreter(model_content=content).get_signature_runner()
    return lambda inputs: run(**inputs)


# -- check


def max_probability_difference(step: StepFunction, weights: Weights) -> float:
    """Return the largest difference between a probability of `step` and that of the network that plays.

    It compares `_COMPARED_STEPS` steps from the zero state, with random values, context rows and clashes.
    """
    generator, network, state = np.random.default_rng(0), NumpyNetwork(weights), LstmState.zero(weights.n_a)
    a, c = np.zeros((2, 1, weights.n_a), np.float32)
    largest = 0.0
    for number in range(_COMPARED_STEPS):
        value = None if number == 0 else int(generator.integers(weights.n_values))
        rows = np.flatnonzero(generator.random(weights.n_context) < _ROW_PROBABILITY)
        clash = generator.random(weights.n_values) < _CLASH_PROBABILITY
        x = np.zeros((1, len(weights.kernel)), np.float32)
        x[0, [*([] if value is None else [value]), *(weights.n_values + rows)]] = 1.0
        outputs = step({"x": x, "a": a, "c": c, "clash": clash.astype(np.float32)[None]})
        probabilities, a, c = (np.asarray(outputs[name]) for name in OUTPUT_NAMES)
        expected = softmax(network.step(value, rows, clash, state))
        largest = max(largest, float(np.abs(probabilities[0] - expected).max()))
    return largest
