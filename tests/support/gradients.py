# SPDX-License-Identifier: Apache-2.0
"""Gradients by trying: what a function's value does when each number it depends on moves a little."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from sideman_models.course.rnn import Array

_STEP = 1e-3


def random_arrays(seed: int, **shapes: tuple[int, ...]) -> dict[str, Array]:
    """Arrays of these shapes, in double precision, as an untrained but lively network has them."""
    dice = np.random.default_rng(seed)
    return {name: dice.normal(0.0, 0.7, shape) for name, shape in shapes.items()}


def one_hot(seed: int, n: int, m: int, T_x: int) -> Array:
    """Random targets (n, m, T_x)."""
    return np.eye(n)[:, np.random.default_rng(seed).integers(0, n, (m, T_x))]


def numerical_gradient(function: Callable[[], float], array: Array) -> Array:
    """The gradient of `function` by every number of `array`, which is changed in place and put back.

    Four points, so that what is neglected is of the fifth order.
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
    """Every array's gradient, named with a `d` before its name, is right to a millionth."""
    for name, array in arrays.items():
        tried, told = numerical_gradient(function, array), gradients[f"d{name}"]
        assert told.shape == array.shape, name
        off = np.linalg.norm(told - tried)
        assert off <= 1e-6 * (np.linalg.norm(told) + np.linalg.norm(tried)) + 1e-11, f"d{name} is off by {off}"
