# SPDX-License-Identifier: Apache-2.0
"""To go on from a trained network: its folded weights taken apart again, its vocabulary extended."""

from __future__ import annotations

import numpy as np

from sideman_models.music.values import Vocabulary
from sideman_models.network.keras_model import FactoredParameters, value_parts
from sideman_models.network.lstm import Floats, Weights


def unfold_weights(weights: Weights, vocabulary: Vocabulary) -> FactoredParameters:
    """Parameters for `vocabulary`, whose first values are those of `weights`, that fold to these weights.

    Of all rows for parts that sum up to the trained rows of the values, the least (by their squares): what values have
    in common goes to the parts they share, what is a value's own to itself. So a value that is new begins from what is
    known of its parts, and parts that are new begin from nothing.
    """
    old = value_parts(vocabulary)[: weights.n_values].astype(np.float64)
    shared = np.linalg.pinv(old)
    n_values = weights.n_values

    def parts(rows: Floats) -> Floats:
        found: Floats = (shared @ rows).astype(np.float32)
        return found

    return FactoredParameters(
        parts(weights.kernel[:n_values]),
        weights.kernel[n_values:].copy(),
        weights.recurrent.copy(),
        weights.bias.copy(),
        parts(weights.densor_kernel.T),
        parts(weights.densor_bias),
        np.float32(weights.penalty),
        np.zeros_like(weights.bias),
    )
