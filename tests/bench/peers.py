# SPDX-License-Identifier: Apache-2.0
"""A step in NumPy beside the same step in Keras: `predict`, a direct call, and one compiled function.

It runs in a process of its own, because TensorFlow takes half a gigabyte and several threads, and only where TensorFlow
is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np

from bench.figures import Budget, Figure, in_turns, median
from bench.network import UNITS, VALUES, classic_weights, stepping
from sideman_models.network.lstm import NumpyNetwork

FASTER = 5000
_ROUNDS = 30
_WHAT = f"step beside Keras, {UNITS} units, {VALUES} values"
_PREDICT, _CALL, _FUNCTION = "Keras predict", "calling the Keras model", "tf.function"


def figures(effort: float) -> Iterator[Figure]:
    """The only figure of this module."""
    if importlib.util.find_spec("tensorflow") is None:
        yield Figure(_WHAT, "µs", None, note="TensorFlow is not installed here: pip install 'sideman[train]'")
        return
    command = [sys.executable, "-m", "bench.peers", str(max(1, round(_ROUNDS * effort)))]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    process = subprocess.run(command, check=True, capture_output=True, env=quiet)
    us: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    ours = us.pop("ours")
    budget = Budget(f"predict takes at least {FASTER:,} times as long", FASTER, us[_PREDICT] / ours, at_least=True)
    yield Figure(_WHAT, "µs", ours, None, us, budget)


def main(rounds: int) -> None:
    """Take steps with each in turn and print the medians in microseconds, by name."""
    from sideman_models.network import keras_model

    weights = classic_weights()
    LSTM_cell, densor, _ = keras_model.make_layers(UNITS, VALUES)
    model = keras_model.single_step_model(LSTM_cell, densor, VALUES)
    LSTM_cell.set_weights([weights.kernel, weights.recurrent, weights.bias])
    densor.set_weights([weights.densor_kernel, weights.densor_bias])
    inputs = {
        "x": np.eye(1, VALUES, dtype=np.float32),
        "a": np.zeros((1, UNITS), np.float32),
        "c": np.zeros((1, UNITS), np.float32),
        "clash": np.zeros((1, VALUES), np.float32),
    }
    actions: dict[str, tuple[int, Callable[[], object]]] = {
        "ours": (100, stepping(NumpyNetwork(weights))),
        _PREDICT: (2, lambda: model.predict(inputs, verbose=0)),
        _CALL: (5, lambda: model(inputs)),
        _FUNCTION: (20, stepping(keras_model.TensorFlowNetwork(weights))),
    }
    in_turns(2, actions)  # warm up: compiling and filling caches does not count
    medians = {name: 1e6 * median(seconds) for name, seconds in in_turns(rounds, actions).items()}
    sys.stdout.write("\n" + json.dumps(medians))


if __name__ == "__main__":
    main(int(sys.argv[1]))
