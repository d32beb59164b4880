# SPDX-License-Identifier: Apache-2.0
"""The assignment's training: its model, its arrays, its published tables."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from data import data_file
from sideman.commands import train as command
from sideman_models.bundle import load

tf = pytest.importorskip("tensorflow")
from sideman_models import djmodel, train_classic  # noqa: E402

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


def arguments(*words: str) -> argparse.Namespace:
    """A command line of `sideman train`."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_the_last_target_teaches_nothing() -> None:
    """The assignment's empty last target would pull the last steps astray, and its loss would not be 0."""
    dice = np.random.default_rng(0)
    X = np.eye(5, dtype=np.float32)[dice.integers(0, 5, (6, 4))]
    Y = np.zeros((4, 6, 5), np.float32)
    Y[:-1] = X.transpose(1, 0, 2)[1:]
    changed = X.copy()
    changed[:, -1] = np.roll(X[:, -1], 1, axis=1)
    learned = []
    for inputs in (X, changed):
        trainer = train_classic.ClassicTrainer(train_classic.ClassicRecipe(units=3, batch=4), inputs, Y)
        for _ in range(3):
            losses, accuracies = trainer.epoch()
            assert losses[-1] == 0
            assert losses.shape == accuracies.shape == (4,)
        learned.append(djmodel.weights_of(trainer.LSTM_cell, trainer.densor))
    # What the last step is fed matters to nothing, because nothing is asked of it.
    np.testing.assert_array_equal(learned[0].kernel, learned[1].kernel)
    np.testing.assert_array_equal(learned[0].densor_bias, learned[1].densor_bias)


def test_the_assignments_run_reaches_the_published_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A student of the course would not find its tables here."""
    midi = data_file("metheny/original_metheny.mid")
    assert command.run(arguments("--classic", str(midi), "--out", str(tmp_path / "classic"))) == 0
    bundle = load(str(tmp_path / "classic"))
    assert bundle.classic
    assert len(bundle.vocabulary) == 78
    assert 5.9 <= bundle.facts["figures"]["loss"] <= 6.2
    assert "loss by step: 3." in capsys.readouterr().out
