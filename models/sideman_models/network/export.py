# SPDX-License-Identifier: Apache-2.0
"""Exports a network as a Keras model (`.keras`) or a LiteRT model (`.tflite`), and imports a Keras model.

An exported model computes one step. Its inputs are float32, for a batch of m:

- `x` (m, n_values + n_context): the one-hot of the previous value, all zeros at the start of a piece, then the context
  rows of the next value, in the order of the bundle's features;
- `a`, `c` (m, n_a): the state, zeros at the start of a piece;
- `clash` (m, n_values): 1 for each value that does not fit the chord at its place, else 0.

Its outputs are `probabilities` (m, n_values) of the next value, and `next_a` and `next_c` (m, n_a), the inputs `a` and
`c` of the next step. The layers of a Keras model are `LSTM_cell`, `densor`, which returns logits, and `mask`, whose
scale is minus the penalty.
"""

from __future__ import annotations

import hashlib
import importlib
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sideman_models.errors import BundleError, ModelsError
from sideman_models.network.bundle import Bundle, check_weight_arrays, weight_arrays
from sideman_models.network.keras_model import Layer, Model, layers_from_weights, single_step_model, weights_from_layers
from sideman_models.network.lstm import Floats, LstmState, NumpyNetwork, Weights, softmax
from sideman_models.network.storage import MAX_BYTES
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


def read_keras_file(path: Path, template: Bundle, name: str) -> Bundle:
    """Read the network in a `.keras` file as a bundle called `name`, with the values and context of `template`.

    It reads the layers `LSTM_cell` and `densor`, with any number of units, and the penalty of the layer `mask`. Without
    that layer the penalty is that of `template`, so models of the assignment can be read too. Raises `BundleError` if
    the file is not a Keras model, or the network computes something else than what plays.
    """
    layers = {layer.name: layer for layer in getattr(_load_model(path), "layers", ())}
    LSTM_cell = _layer(path, layers, "LSTM_cell", keras.layers.LSTM)
    densor = _layer(path, layers, "densor", keras.layers.Dense)
    for layer, setting, known in (
        (LSTM_cell, "activation", ("tanh",)),
        (LSTM_cell, "recurrent_activation", ("sigmoid",)),
        (LSTM_cell, "use_bias", (True,)),
        (densor, "activation", ("linear", "softmax")),
        (densor, "use_bias", (True,)),
    ):
        found = layer.get_config()[setting]
        if found not in known:
            raise BundleError(f"{path}: {layer.name}: {setting}: {found!r}, but sideman plays only {known[0]!r}")
    penalty = -float(getattr(layers["mask"], "scale", float("nan"))) if "mask" in layers else template.weights.penalty
    weights = weights_from_layers(LSTM_cell, densor, penalty)
    check_weight_arrays(path, weight_arrays(weights), template.weights.n_values, template.weights.n_context)
    facts = {"imported_from": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "like": template.name}
    like_card = template.card.strip() or "It has no card."
    card = _CARD_TEMPLATE.format(name=name, **facts, n_a=weights.n_a, like_card=like_card)
    return Bundle(name, template.vocabulary, template.context, facts, card, weights=weights)


_CARD_TEMPLATE = """# {name}

A network for sideman with {n_a} units, imported from the Keras model `{imported_from}`, sha256 {sha256}. Its values
and its context are those of {like}. Its figures have not been measured since (`sideman evaluate` measures them). The
card of {like} follows; its sources and licences also apply to networks that are made from it:

---

{like_card}
"""


def _load_model(path: Path) -> Model:
    if path.stat().st_size > MAX_BYTES:
        raise BundleError(f"{path}: larger than {MAX_BYTES >> 20} MiB")
    if not zipfile.is_zipfile(path):
        raise BundleError(f"{path}: not a .keras file (those are zip archives)")
    try:
        # Safe mode runs no code that is in the file.
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises errors of any type for a broken file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BundleError(f"{path}: not a Keras model that can be read here: {reason[:200]}") from error


def _layer(path: Path, layers: Mapping[str, Layer], name: str, kind: type) -> Layer:
    found = layers.get(name)
    if not isinstance(found, kind):
        problem = "no such layer" if found is None else f"a layer of type {type(found).__name__}"
        raise BundleError(f"{path}: {name}: {problem}; a layer of type {kind.__name__} is needed")
    return found


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
