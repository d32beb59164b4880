# SPDX-License-Identifier: Apache-2.0
"""The assignment's training in steps per second: over the sequence, beside the course's unrolled model.

It trains on random snippets of the assignment's size, in a process of its own, and only where TensorFlow is installed.
The course trains `djmodel` with Keras' `fit`, with a loss and an accuracy for each output, and Keras spends most of the
time on these. So a third figure stands beside: `djmodel` in the compiled step that we train with.
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
from bench.network import UNITS, VALUES
from sideman_models.course.corpus import SNIPPET_COUNT, SNIPPET_LENGTH
from sideman_models.network.lstm import Floats

FASTER = 3
_ROUNDS = 12
_WHAT = f"training the assignment, {UNITS} units, {SNIPPET_LENGTH} steps"
_UNIT = "steps/s"
_FIT, _COMPILED = "djmodel through Keras' fit", "djmodel, in our compiled step"


def figures(effort: float) -> Iterator[Figure]:
    """The only figure of this module."""
    if importlib.util.find_spec("tensorflow") is None:
        yield Figure(_WHAT, _UNIT, None, note="TensorFlow is not installed here: pip install 'sideman[train]'")
        return
    sizes = max(2, round(SNIPPET_LENGTH * min(1.0, effort))), max(1, round(_ROUNDS * effort))
    command = [sys.executable, "-m", "bench.training", *map(str, sizes)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    process = subprocess.run(command, check=True, capture_output=True, env=quiet)
    rates: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    ours = rates.pop("ours")
    budget = Budget(f"at least {FASTER} times the course's", FASTER, ours / rates[_FIT], at_least=True)
    yield Figure(_WHAT, _UNIT, ours, None, rates, budget)


def snippets(Tx: int) -> tuple[Floats, Floats]:
    """Random X (60, Tx, 78) and Y (Tx, 60, 78), in the shapes of the assignment."""
    X = np.eye(VALUES, dtype=np.float32)[np.random.default_rng(0).integers(0, VALUES, (SNIPPET_COUNT, Tx))]
    X[:, 0] = 0
    Y = np.zeros((Tx, SNIPPET_COUNT, VALUES), np.float32)
    Y[:-1] = X.transpose(1, 0, 2)[1:]
    return X, Y


def main(Tx: int, rounds: int) -> None:
    """Train with each in turn and print the steps per second, by name."""
    from sideman_models.course import train as train_classic
    from sideman_models.course.djmodel import djmodel
    from sideman_models.network.keras_model import make_layers

    X, Y = snippets(Tx)
    recipe, course = train_classic.ClassicRecipe(UNITS), train_classic.ClassicRecipe(UNITS, unrolled=True)
    LSTM_cell, densor, reshapor = make_layers(UNITS, VALUES, activation=None)
    unrolled = djmodel(Tx, LSTM_cell, densor, reshapor)
    step = train_classic.compile_train_step(unrolled, train_classic.make_optimizer(recipe))
    batches = [(X[part], Y[:, part].transpose(1, 0, 2)) for part in (slice(recipe.batch), slice(recipe.batch, None))]
    actions: dict[str, tuple[int, Callable[[], object]]] = {
        "ours": (5, train_classic.ClassicTrainer(recipe, X, Y).epoch),
        _FIT: (1, train_classic.ClassicTrainer(course, X, Y).epoch),
        _COMPILED: (5, lambda: [[loss.numpy() for loss in step(*batch)] for batch in batches]),
    }
    in_turns(2, actions)  # warm up: compiling does not count
    rates = {name: len(batches) / median(seconds) for name, seconds in in_turns(rounds, actions).items()}
    sys.stdout.write("\n" + json.dumps(rates))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
