# SPDX-License-Identifier: Apache-2.0
"""How a network is trained: the numbers of the recipe, and the learning rate they make."""

from __future__ import annotations

import math
from dataclasses import dataclass

LOW_DROPOUT = (0.1, 0.1, 0.2)
HIGH_DROPOUT = (0.25, 0.3, 0.4)
FINE_TUNING_RATE = 3e-4
"""The learning rate for a network that has learned already: a tenth of the usual, or it forgets more than it learns."""


def default_dropout(units: int) -> tuple[float, float, float]:
    """What suits so many units, of input rows, of recurrent units, of outputs: many learn the music by heart."""
    return LOW_DROPOUT if units < 96 else HIGH_DROPOUT


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    `dropout` of input rows, of recurrent units, of outputs: see `default_dropout`. `patience`: after so many epochs
    that were no better, it ends (0: never).
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
        """The cosine: from the full rate down to nothing, after so many epochs and that share of the next."""
        return self.rate * 0.5 * (1.0 + math.cos(math.pi * (epochs + share) / self.epochs))
