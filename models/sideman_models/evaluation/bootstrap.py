# SPDX-License-Identifier: Apache-2.0
"""How sure a figure is: intervals by the bootstrap over titles.

Values of one tune are anything but independent, and the figures are to hold for other tunes. So whole titles are drawn,
with replacement, as many as there are (Efron, 1979; percentile intervals).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000
CONFIDENCE_LEVEL = 0.95
ConfidenceInterval = tuple[float, float]


def ratio_interval(
    titles: Sequence[str],
    numerators: Sequence[float],
    denominators: Sequence[float],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> ConfidenceInterval | None:
    """Return the confidence interval of sum(`numerators`) / sum(`denominators`); None for fewer than two titles.

    There is one top, bottom and title for each piece.
    """
    names, title = np.unique(np.array(titles, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        return None
    top, bottom = (np.bincount(title, np.asarray(each, np.float64), len(names)) for each in (numerators, denominators))
    drawn = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    below = bottom[drawn].sum(1)
    ratios = (top[drawn].sum(1)[below > 0]) / below[below > 0]
    if not len(ratios):
        return None
    low, high = np.percentile(ratios, [50 * (1 - CONFIDENCE_LEVEL), 50 * (1 + CONFIDENCE_LEVEL)])
    return float(low), float(high)
