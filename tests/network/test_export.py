# SPDX-License-Identifier: Apache-2.0
"""Export and import: the same probabilities, and an error for every network that cannot be played."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from sideman_models.errors import BundleError
from sideman_models.network.bundle import Bundle
from sideman_models.network.lstm import Weights
from support.fakes import classic_bundle, modern_bundle, random_weights

pytest.importorskip("tensorflow")

import keras

from sideman_models.course.djmodel import djmodel
from sideman_models.network import export
from sideman_models.network.keras_file import read_keras_file
from sideman_models.network.keras_model import make_layers

pytestmark = pytest.mark.tensorflow

SAME = 1e-5
SIZES = [(9, 0, 6, 0.0), (30, 17, 8, 2.5), (5, 1, 1, 0.7)]
ARRAYS = ("kernel", "recurrent", "bias", "densor_kernel", "densor_bias")


def written(path: Path, model: Any) -> Path:
    """Write a `.keras` file of the model."""
    path.write_bytes(export.keras_file_bytes(model))
    return path


@pytest.mark.parametrize("size", SIZES)
def test_the_keras_model_has_the_same_probabilities(size: tuple[int, int, int, float]) -> None:
    """Guards against: a Keras model that differs from the network that plays in context, mask or state."""
    weights = random_weights(*size)
    assert export.max_probability_difference(export.make_keras_model(weights), weights) <= SAME


@pytest.mark.parametrize("size", SIZES)
def test_the_litert_model_has_the_same_probabilities(size: tuple[int, int, int, float]) -> None:
    """Guards against: a LiteRT model that plays something else."""
    weights = random_weights(*size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow warns that its own interpreter will be removed
            step = export.litert_step_function(export.litert_file_bytes(weights))
    except export.NoLiteRT as error:
        pytest.skip(str(error))
    assert export.max_probability_difference(step, weights) <= SAME


@pytest.mark.parametrize("name", [*ARRAYS, "penalty"])
def test_a_difference_anywhere_is_seen(name: str) -> None:
    """Guards against: a wrong export that passes the check."""
    weights = random_weights(12, 5, 4, 2.0)
    other = replace(weights, **{name: getattr(weights, name) * np.float32(1.1)})
    assert export.max_probability_difference(export.make_keras_model(other), weights) > 10 * SAME


@pytest.mark.parametrize("bundle", [modern_bundle(), classic_bundle()], ids=["modern", "classic"])
def test_an_exported_network_is_imported_unchanged(bundle: Bundle, tmp_path: Path) -> None:
    """Guards against: a network that changes on the way to Keras and back."""
    file = written(tmp_path / "there.keras", export.make_keras_model(bundle.weights))
    back = read_keras_file(file, bundle, "back")
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(back.weights, name), getattr(bundle.weights, name))
    assert back.weights.penalty == pytest.approx(bundle.weights.penalty)
    assert (back.name, back.vocabulary, back.context) == ("back", bundle.vocabulary, bundle.context)
    assert "there.keras" in back.card


def test_a_model_trained_further_keeps_the_licence_of_what_it_came_from(tmp_path: Path) -> None:
    """Guards against: an imported network that loses its sources and licences, or keeps figures of another network."""
    like = replace(modern_bundle(), card="# modern\n\nMusic under ODbL 1.0", facts={"figures": {"unseen": {"a": 1}}})
    back = read_keras_file(written(tmp_path / "a.keras", export.make_keras_model(like.weights)), like, "back")
    assert "ODbL 1.0" in back.card
    assert "figures" not in back.facts


def test_the_assignments_own_model_can_be_played(tmp_path: Path) -> None:
    """Guards against: a model of the assignment that cannot be played live."""
    like = classic_bundle()
    n = like.weights.n_values
    LSTM_cell, densor, reshapor = make_layers(7, n)
    model = djmodel(3, LSTM_cell, densor, reshapor)
    back = read_keras_file(written(tmp_path / "mine.keras", model), like, "mine")
    assert (back.weights.n_a, back.weights.n_values, back.weights.penalty) == (7, n, 0.0)
    np.testing.assert_array_equal(back.weights.recurrent, LSTM_cell.get_weights()[1])


def other_model(*layers: Any) -> Any:
    """Make a Keras model of these layers with the input of the modern bundle."""
    weights = modern_bundle().weights
    return keras.Sequential([keras.Input((1, len(weights.kernel))), *layers])


def cell(**changed: Any) -> Any:
    """Make a valid cell except for the changed options."""
    return keras.layers.LSTM(4, name="LSTM_cell", **changed)


def densor(units: int | None = None, **changed: Any) -> Any:
    """Make a valid densor except for the changed options."""
    return keras.layers.Dense(units or modern_bundle().weights.n_values, name="densor", **changed)


def not_finite() -> Any:
    """Make a network whose training has failed."""
    weights = modern_bundle().weights
    return export.make_keras_model(replace(weights, bias=np.full_like(weights.bias, np.nan)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: other_model(keras.layers.LSTM(4), densor()), "LSTM_cell: no such layer"),
        (lambda: other_model(cell()), "densor: no such layer"),
        (lambda: other_model(keras.layers.GRU(4, name="LSTM_cell"), densor()), "LSTM_cell: a layer of type GRU"),
        (lambda: other_model(cell(activation="relu"), densor()), "activation: 'relu'"),
        (lambda: other_model(cell(recurrent_activation="hard_sigmoid"), densor()), "recurrent_activation"),
        (lambda: other_model(cell(use_bias=False), densor()), "use_bias: False"),
        (lambda: other_model(cell(), densor(activation="relu")), "densor: activation"),
        (lambda: other_model(cell(), densor(5)), "densor/kernel: shape"),
        (lambda: export.make_keras_model(random_weights(9, 2, 3, 0.0)), "LSTM_cell/kernel: shape"),
        (not_finite, "not finite"),
    ],
)
def test_a_network_of_another_kind_is_refused(make: Any, words: str, tmp_path: Path) -> None:
    """Guards against: a network that computes something else and is played wrongly without an error."""
    with pytest.raises(BundleError, match=words):
        read_keras_file(written(tmp_path / "a.keras", make()), modern_bundle(), "back")


@pytest.mark.parametrize("cut", [0, 1, 100, -30])
def test_a_damaged_file_is_refused(cut: int, tmp_path: Path) -> None:
    """Guards against: a traceback of Keras for a damaged file."""
    path = tmp_path / "a.keras"
    path.write_bytes(export.keras_file_bytes(export.make_keras_model(random_weights(9, 2, 3, 0.0)))[:cut])
    with pytest.raises(BundleError, match="not a"):
        read_keras_file(path, modern_bundle(), "back")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    """Guards against: a traceback for a zip archive of something else."""
    path = tmp_path / "a.keras"
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(BundleError, match="not a Keras model"):
        read_keras_file(Path(f"{path}.npz"), modern_bundle(), "back")


def test_a_missing_litert_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a traceback with a TensorFlow that has no LiteRT."""

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(export, "tf", SimpleNamespace())
    monkeypatch.setattr("importlib.import_module", missing)
    weights: Weights = random_weights(5, 0, 2, 0.0)
    with pytest.raises(export.NoLiteRT, match="can no longer write"):
        export.litert_file_bytes(weights)
    with pytest.raises(export.NoLiteRT, match="neither ai_edge_litert"):
        export.litert_step_function(b"")
