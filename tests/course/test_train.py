# SPDX-License-Identifier: Apache-2.0
"""The assignment's training and its published figures."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from sideman.commands import train as command
from sideman.core.errors import UsageError
from sideman_models.course import lstm, rnn
from sideman_models.network.bundle import load_bundle
from sideman_models.network.lstm import Floats
from support.data_files import data_file

tf = pytest.importorskip("tensorflow")
from sideman_models.course import train as train_classic  # noqa: E402
from sideman_models.course.djmodel import djmodel, sequence_model  # noqa: E402
from sideman_models.network.keras_model import make_layers, weights_from_layers  # noqa: E402

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


def arguments(*words: str) -> argparse.Namespace:
    """Parse a command line of `sideman train`."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_the_empty_last_target_has_no_effect() -> None:
    """Guards against: an empty last target that changes the gradients, or whose loss is not 0."""
    X = np.eye(5, dtype=np.float32)[np.random.default_rng(0).integers(0, 5, (6, 4))]
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
        learned.append(weights_from_layers(trainer.LSTM_cell, trainer.densor))
    # The input of the last step has no effect, because the step has no target.
    np.testing.assert_array_equal(learned[0].kernel, learned[1].kernel)
    np.testing.assert_array_equal(learned[0].densor_bias, learned[1].densor_bias)


def random_snippets(m: int, Tx: int, n_values: int) -> tuple[Floats, Floats]:
    """Return X (m, Tx, n_values) and Y (Tx, m, n_values) like the assignment's, of random values."""
    X = np.eye(n_values, dtype=np.float32)[np.random.default_rng(0).integers(0, n_values, (m, Tx))]
    X[:, 0] = 0
    Y = np.zeros((Tx, m, n_values), np.float32)
    Y[:-1] = X.transpose(1, 0, 2)[1:]
    return X, Y


def test_the_sequence_has_the_unrolled_models_losses_and_gradients() -> None:
    """Guards against: a fast training that trains something else than the assignment's model."""
    X, Y = random_snippets(6, 5, 7)
    LSTM_cell, densor, reshapor = make_layers(8, 7, activation=None)
    models = djmodel(5, LSTM_cell, densor, reshapor), sequence_model(5, LSTM_cell, densor, 7)
    batch = tf.constant(X), tf.constant(Y.transpose(1, 0, 2))
    unrolled, sequence = (train_classic.batch_gradients(model, *batch) for model in models)
    for one, other in zip([*unrolled[:2], *unrolled[2]], [*sequence[:2], *sequence[2]], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert [len(unrolled[2]), float(tf.norm(unrolled[2][0])) > 0] == [5, True]


def test_the_gradients_are_those_of_the_course_functions() -> None:
    """Guards against: course functions in NumPy whose gradients differ from those in training."""
    X, Y = random_snippets(6, 5, 7)
    LSTM_cell, densor, _ = make_layers(8, 7, activation=None)
    model, batch = sequence_model(5, LSTM_cell, densor, 7), (tf.constant(X), tf.constant(Y.transpose(1, 0, 2)))
    losses, _, keras_gradients = train_classic.batch_gradients(model, *batch)
    p = lstm.from_keras([*LSTM_cell.get_weights(), *densor.get_weights()])
    a, y, _, caches = lstm.lstm_forward(X.transpose(2, 0, 1), np.zeros((8, 6), np.float32), p)
    loss, dz = rnn.cross_entropy(y, Y.transpose(2, 1, 0))
    da, dWy, dby = rnn.output_backward(dz, a, p["Wy"])
    gradients = lstm.lstm_backward(da, caches) | {"dWy": dWy, "dby": dby}
    assert loss == pytest.approx(float(tf.reduce_sum(losses)) / 6, rel=1e-5)
    for name, one in lstm.from_keras([one.numpy() for one in keras_gradients]).items():
        np.testing.assert_allclose(one, gradients[f"d{name}"], atol=1e-5)


def test_unrolled_training_learns_the_same() -> None:
    """Guards against: another network with `--unrolled`."""
    X, Y = random_snippets(5, 3, 4)
    ways = [
        train_classic.ClassicTrainer(train_classic.ClassicRecipe(units=3, batch=3, unrolled=unrolled), X, Y)
        for unrolled in (False, True)
    ]
    for _ in range(3):
        (losses, accuracies), (others, other_accuracies) = (way.epoch() for way in ways)
        np.testing.assert_allclose(losses, others, rtol=1e-5)
        np.testing.assert_allclose(accuracies, other_accuracies, atol=1e-6)
    one, other = (weights_from_layers(way.LSTM_cell, way.densor).kernel for way in ways)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_table_names_each_step() -> None:
    """Guards against: figures that cannot be compared with the published table."""
    table = train_classic.step_table({"loss": 3.75, "losses": [3.5, 0.25, 0.0], "accuracies": [0.125, 1.0, 0.0]})
    assert table.splitlines() == [
        "loss: 3.7500",
        "  loss_1: 3.5000    accuracy_1: 0.1250",
        "  loss_2: 0.2500    accuracy_2: 1.0000",
        "  loss_3: 0.0000    accuracy_3: 0.0000",
    ]


def test_unrolled_is_refused_without_classic(tmp_path: Path) -> None:
    """Guards against: an option that has no effect and gives no error."""
    values = tmp_path / "values.txt"
    values.write_text("C,0.500")
    with pytest.raises(UsageError, match="--classic"):
        command.run(arguments("--unrolled", str(values), "--out", str(tmp_path / "mine")))


def test_the_classic_training_reaches_the_published_losses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: losses that differ from the published tables."""
    midi = data_file("metheny/original_metheny.mid")
    assert command.run(arguments("--classic", str(midi), "--out", str(tmp_path / "classic"))) == 0
    bundle = load_bundle(str(tmp_path / "classic"))
    figures = bundle.facts["figures"]
    assert bundle.classic
    assert len(bundle.vocabulary) == 78
    assert 5.9 <= figures["loss"] <= 6.2
    assert len(figures["losses"]) == len(figures["accuracies"]) == 30
    assert figures["losses"][-1] == 0
    assert set(figures["accuracies"][3:29]) == {1.0}
    assert "loss_1: 3." in capsys.readouterr().out
    assert all(np.isfinite(one).all() for one in (bundle.weights.kernel, bundle.weights.densor_kernel))
