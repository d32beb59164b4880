# SPDX-License-Identifier: Apache-2.0
"""The assignment's models in Keras."""

from __future__ import annotations

import numpy as np
import pytest

from sideman_models.course.generate import SamplingModel, predict_and_sample
from sideman_models.network.lstm import NumpyNetwork
from support.fakes import random_weights

pytest.importorskip("tensorflow")
from sideman_models.course.djmodel import djmodel, music_inference_model, sequence_model
from sideman_models.network.keras_model import layers_from_weights, make_layers

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


def test_the_sequence_model_computes_the_same_as_djmodel() -> None:
    """Guards against: a fast training model that computes something else than the assignment's."""
    LSTM_cell, densor, reshapor = make_layers(6, 9)
    unrolled = djmodel(5, LSTM_cell, densor, reshapor)
    sequence = sequence_model(5, LSTM_cell, densor, 9)
    generator = np.random.default_rng(0)
    X = np.eye(9, dtype=np.float32)[generator.integers(0, 9, (4, 5))]
    a0, c0 = generator.normal(size=(2, 4, 6)).astype(np.float32)
    steps = np.stack([step.numpy() for step in unrolled([X, a0, c0])], axis=1)
    np.testing.assert_allclose(sequence([X, a0, c0]).numpy(), steps, atol=1e-6)
    np.testing.assert_allclose(steps.sum(axis=2), 1, atol=1e-5)
    assert unrolled.count_params() == sequence.count_params() == 4 * 6 * (9 + 6 + 1) + 9 * 7


def test_the_inference_model_plays_the_same_as_numpy() -> None:
    """Guards against: a course model that does not feed back its choices or its state, or plays another solo."""
    weights = [random_weights(24, 0, 10, 0.0, seed) for seed in range(4)]
    LSTM_cell, densor = layers_from_weights(weights[0])
    model = music_inference_model(LSTM_cell, densor, 50)
    assert model.count_params() == 4 * 10 * (24 + 10 + 1) + 24 * 11
    solos = set()
    for one in weights:
        LSTM_cell.set_weights([one.kernel, one.recurrent, one.bias])
        densor.set_weights([one.densor_kernel, one.densor_bias])
        zeros = np.zeros((1, 1, 24)), np.zeros((1, 10)), np.zeros((1, 10))
        results, indices = predict_and_sample(model, *zeros)
        assert (results.shape, indices.shape) == ((50, 24), (50, 1))
        _, stepped = predict_and_sample(SamplingModel(NumpyNetwork(one), 50, temperature=0), *zeros)
        np.testing.assert_array_equal(indices, stepped)
        solos.add(tuple(indices[:, 0]))
    assert len(solos) > 1


def test_the_assignments_model_has_the_assignments_size() -> None:
    """Guards against: a model whose summary differs from the course's."""
    LSTM_cell, densor, reshapor = make_layers(64, 78)
    model = djmodel(3, LSTM_cell, densor, reshapor)
    assert model.count_params() == 41_678
    assert [tuple(output.shape) for output in model.outputs] == [(None, 78)] * 3
