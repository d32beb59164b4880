# SPDX-License-Identifier: Apache-2.0
"""The network backwards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman_models.network.gradients import Stretch, surprise, surprise_and_gradients
from sideman_models.network.lstm import TRAINED, LstmState, NumpyNetwork, Weights, softmax
from support.fakes import random_weights
from support.gradients import assert_gradients

N_VALUES, N_CONTEXT, N_A = 5, 4, 3


def random_stretch(rng: np.random.Generator, length: int) -> Stretch:
    """A stretch of random values; the last step counts, so that something does."""
    values = rng.integers(0, N_VALUES, length + 1).astype(np.int32)
    counts = rng.random(length) < 0.5
    counts[-1] = True
    rows = np.array([rng.choice(N_CONTEXT + 1, 2, replace=False) for _ in range(length)], np.int32)
    previous = np.concatenate([[-1], values[1:-1]]).astype(np.int32)
    offsets = rng.normal(0, 1, (length, N_VALUES)).astype(np.float32)
    return Stretch(previous, rows, values[1:], offsets, counts)


def doubled(weights: Weights) -> Weights:
    """The weights in double precision, as numerical gradients need them."""
    return replace(weights, **{name: getattr(weights, name).astype(np.float64) for name in TRAINED})


@given(st.integers(0, 10_000), st.lists(st.integers(1, 5), min_size=1, max_size=3))
@hypothesis_settings(max_examples=15)
def test_the_gradients_are_those_of_the_surprise(seed: int, lengths: list[int]) -> None:
    """Guards against: learning in a wrong direction, from a term of the pass back that is missing or wrong."""
    rng = np.random.default_rng(seed)
    weights = doubled(random_weights(N_VALUES, N_CONTEXT, N_A, 0.0, seed))
    stretches = [random_stretch(rng, length) for length in lengths]
    arrays = {name: getattr(weights, name) for name in TRAINED}

    def nats() -> float:
        return float(surprise(weights, stretches).mean() * np.log(2.0))

    _, gradients = surprise_and_gradients(weights, stretches)
    assert_gradients(nats, arrays, {f"d{name}": gradient for name, gradient in gradients.items()})


@given(st.integers(0, 10_000), st.lists(st.integers(1, 12), min_size=1, max_size=4))
@hypothesis_settings(max_examples=25)
def test_the_surprise_is_that_of_the_network_that_plays(seed: int, lengths: list[int]) -> None:
    """Guards against: learning with another network than the one that plays, and figures that are not its own."""
    rng = np.random.default_rng(seed)
    weights = random_weights(N_VALUES, N_CONTEXT, N_A, 0.0, seed)
    stretches, expected = [random_stretch(rng, length) for length in lengths], []
    network = NumpyNetwork(weights)
    by_step: dict[tuple[int, int], float] = {}
    for lane, one in enumerate(stretches):
        state = LstmState.zero(N_A)
        for t, (previous, target) in enumerate(zip(one.previous.tolist(), one.targets.tolist(), strict=True)):
            rows = one.rows[t].astype(np.intp)
            logits = network.step(None if previous < 0 else previous, rows, None, state) + one.offsets[t]
            by_step[t, lane] = -float(np.log2(softmax(logits)[target]))
    expected = [by_step[t, lane] for t, lane in sorted(by_step) if stretches[lane].counts[t]]
    assert surprise(weights, stretches) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_nothing_has_no_surprise() -> None:
    """Guards against: a failure where nothing was kept back."""
    assert surprise(random_weights(N_VALUES, N_CONTEXT, N_A, 0.0), []).size == 0
