# SPDX-License-Identifier: Apache-2.0
"""The recipe of training: its numbers, and the learning rate that follows from them."""

from __future__ import annotations

import math

from msgspec import Struct

LOW_DROPOUT = (0.1, 0.1, 0.2)
FINE_TUNING_RATE = 3e-4
"""The learning rate for a network that is already trained: a tenth of the usual, so that it does not forget."""


def default_dropout(units: int, *, has_lessons: bool = False) -> tuple[float, float, float]:
    """Return the dropout of input rows, recurrent units and outputs for a number of units.

    Many units overfit more, but not with lessons.
    """
    return LOW_DROPOUT if units < 96 or has_lessons else (0.25, 0.3, 0.4)


class Recipe(Struct, frozen=True):
    """How to train. The names of the fields are keys of bundles and checkpoints.

    `lanes` sequences are trained side by side, in windows of `steps` values. The learning rate rises to `rate` within
    `warm_up` steps and then falls: see `learning_rate`. `clip` is the highest norm of all gradients together, `average`
    the decay of the running average of the weights. `dropout` is the share (0..1) of input rows, recurrent units and
    outputs that is dropped: see `default_dropout`. Training ends after `patience` epochs without a better one (0:
    never).
    """

    units: int = 64
    epochs: int = 20
    seed: int = 0
    lanes: int = 16
    steps: int = 32
    rate: float = 3e-3
    weight_decay: float = 0.1
    warm_up: int = 100
    clip: float = 1.0
    average: float = 0.998
    dropout: tuple[float, float, float] = LOW_DROPOUT
    patience: int = 0

    def learning_rate(self, epochs: int, share: float) -> float:
        """Return the learning rate after `epochs` epochs and a `share` (0..1) of the next: a cosine to 0."""
        return self.rate * 0.5 * (1.0 + math.cos(math.pi * (epochs + share) / self.epochs))
