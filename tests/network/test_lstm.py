# SPDX-License-Identifier: Apache-2.0
"""The network that plays, stepped in NumPy."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.network.lstm import LstmState, NumpyNetwork, Weights, softmax
from support.fakes import random_weights

sizes = st.tuples(st.integers(1, 30), st.integers(0, 20), st.integers(1, 17))


def textbook_step(weights: Weights, x: np.ndarray, clash: np.ndarray, state: tuple[np.ndarray, np.ndarray]) -> tuple:  # type: ignore[type-arg]
    """Compute one step by the formulas of the course, in float64."""
    a, c = state
    z = x @ weights.kernel.astype(np.float64) + a @ weights.recurrent.astype(np.float64) + weights.bias
    i, f, g, o = np.split(z, 4)
    i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
    c = f * c + i * np.tanh(g)
    a = o * np.tanh(c)
    return a @ weights.densor_kernel.astype(np.float64) + weights.densor_bias - weights.penalty * clash, (a, c)


@given(sizes, st.integers(0, 1000), st.data())
def test_a_step_follows_the_formulas(size: tuple[int, int, int], seed: int, data: st.DataObject) -> None:
    """Guards against: a daemon that plays another network than the one that was trained."""
    n_values, n_context, n_a = size
    weights = random_weights(n_values, n_context, n_a, 1.5, seed)
    network, state = NumpyNetwork(weights), LstmState.zero(n_a)
    expected = np.zeros(n_a), np.zeros(n_a)
    active = data.draw(st.integers(0, n_context))
    generator = np.random.default_rng(seed)
    for step in range(8):
        value = None if step == 0 else int(generator.integers(n_values))
        rows = generator.permutation(n_context)[:active].astype(np.intp)
        clash = generator.random(n_values) < 0.3
        x = np.zeros(n_values + n_context)
        if value is not None:
            x[value] = 1
        x[n_values + rows] = 1
        logits = network.step(value, np.append(rows, n_context), clash, state)
        scores, expected = textbook_step(weights, x, clash, expected)
        np.testing.assert_allclose(logits, scores, atol=2e-4)
        np.testing.assert_allclose(state.a, expected[0], atol=1e-5)
        np.testing.assert_allclose(state.c, expected[1], atol=1e-5)


def test_the_state_is_the_only_memory() -> None:
    """Guards against: a solo that continues differently after it is resumed, or after a choice is redone."""
    weights = random_weights(20, 6, 8, 1.5)
    network, other = NumpyNetwork(weights), NumpyNetwork(weights)
    state = LstmState.zero(8)
    for value in range(10):
        network.step(value, np.array([value % 6]), None, state)
    kept = state.copy()
    first = network.step(3, np.array([1]), None, state).copy()
    network.step(5, np.array([2]), None, state)
    np.testing.assert_array_equal(other.step(3, np.array([1]), None, kept), first)
    state.assign(LstmState.zero(8))
    assert not state.a.any()
    assert not state.c.any()


def test_the_row_for_no_row_adds_nothing() -> None:
    """Guards against: a network that reads a previous pitch before the first note."""
    weights = random_weights(10, 4, 8, 1.5)
    with_no_row, without = LstmState.zero(8), LstmState.zero(8)
    np.testing.assert_array_equal(
        NumpyNetwork(weights).step(1, np.array([2, 4, 4]), None, with_no_row).copy(),
        NumpyNetwork(weights).step(1, np.array([2]), None, without),
    )


def test_the_penalty_is_subtracted_from_clashing_values() -> None:
    """Guards against: a mask that forbids nothing, or the wrong values."""
    weights = random_weights(6, 0, 4, 2.0)
    none, rows = np.zeros(6, np.bool_), np.zeros(0, np.intp)
    clash = np.array([True, False, True, False, False, False])
    free = NumpyNetwork(weights).step(1, rows, none, LstmState.zero(4)).copy()
    masked = NumpyNetwork(weights).step(1, rows, clash, LstmState.zero(4))
    np.testing.assert_allclose(free - masked, 2.0 * clash, atol=1e-6)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=50))
def test_probabilities_sum_to_one(logits: list[float]) -> None:
    """Guards against: probabilities from which no value can be drawn."""
    probabilities = softmax(np.array(logits, np.float32))
    assert probabilities.sum() == pytest.approx(1)
    assert (probabilities >= 0).all()


@pytest.mark.slow
def test_a_step_allocates_no_array() -> None:
    """Guards against: memory allocation in every step, in the real-time thread."""
    weights = random_weights(2000, 100, 1024, 1.5)
    network, state = NumpyNetwork(weights), LstmState.zero(1024)
    rows, clash = np.arange(0, 100, 3), np.zeros(2000, np.bool_)
    network.step(3, rows, clash, state)
    tracemalloc.start()
    try:
        for value in range(100):
            network.step(value, rows, clash, state)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < state.a.nbytes  # views are small objects; the smallest array has 4 KB
