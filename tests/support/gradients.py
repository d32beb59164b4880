# SPDX-License-Identifier: Apache-2.0
"""Numerical gradients: how a function changes when each number that it depends on moves a little."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from sideman_models.course.rnn import Array

_STEP = 1e-3


def random_arrays(seed: int, **shapes: tuple[int, ...]) -> dict[str, Array]:
    """Random arrays of these shapes, in double precision, in the size of a network's weights."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0.0, 0.7, shape) for name, shape in shapes.items()}


def one_hot(seed: int, n: int, m: int, T_x: int) -> Array:
    """Random targets (n, m, T_x)."""
    return np.eye(n)[:, np.random.default_rng(seed).integers(0, n, (m, T_x))]


def numerical_gradient(function: Callable[[], float], array: Array) -> Array:
    """The gradient of `function` by every number of `array`, which is changed in place and restored.

    It uses four points, so that the error is of the fifth order.
    """
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        kept = array[place]
        around = []
        for steps in (-2, -1, 1, 2):
            array[place] = kept + steps * _STEP
            around.append(function())
        array[place] = kept
        gradient[place] = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * _STEP)
    return gradient


def assert_gradients(
    function: Callable[[], float], arrays: Mapping[str, Array], gradients: Mapping[str, Array]
) -> None:
    """Assert that the gradient of every array, named `d` and its name, is right to a millionth."""
    for name, array in arrays.items():
        numerical, given = numerical_gradient(function, array), gradients[f"d{name}"]
        assert given.shape == array.shape, name
        off = np.linalg.norm(given - numerical)
        assert off <= 1e-6 * (np.linalg.norm(given) + np.linalg.norm(numerical)) + 1e-11, f"d{name} is off by {off}"
