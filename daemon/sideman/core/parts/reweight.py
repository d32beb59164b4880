# SPDX-License-Identifier: Apache-2.0
"""Makes harmony or contour count for more or less in the probabilities of the network.

P is the probability of a value. H is the sum of P over all notes of the same kind, C the sum over all notes with the
same interval. `reweight` replaces P, for notes, by

    P · H^(harmony − 1) · C^(contour − 1)

scaled so that all notes together keep their share: rests stay as likely as before. With 1 a factor is unchanged; with 0
it has no effect any more: all kinds, or all intervals, are equally likely; above 1 the likely ones become likelier.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sideman_models.music.values import Vocabulary

Logits = npt.NDArray[np.float64]

_MIN_SHARE = np.finfo(np.float64).tiny  # in place of 0, for its logarithm


class Reweighter:
    """Reweights the logits of a vocabulary's n values."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._notes = np.flatnonzero(~vocabulary.is_rest)
        self._kinds = vocabulary.kinds[self._notes].astype(np.intp)
        intervals = np.stack([vocabulary.has_interval, vocabulary.low, vocabulary.high])[:, self._notes]
        _, interval_numbers = np.unique(intervals, axis=1, return_inverse=True)
        self._intervals = interval_numbers.reshape(-1)

    def reweight(self, logits: Logits, harmony: float, contour: float) -> Logits:
        """Return `logits` (n,) with these exponents applied; those of rests are unchanged."""
        notes = logits[self._notes]
        highest = notes.max()
        shares = np.exp(notes - highest)
        weighted = notes
        for groups, exponent in ((self._kinds, harmony), (self._intervals, contour)):
            if exponent != 1.0:
                group_shares = np.maximum(np.bincount(groups, shares), _MIN_SHARE)
                weighted = weighted + ((exponent - 1.0) * np.log(group_shares))[groups]
        highest_weighted = weighted.max()
        scale = highest - highest_weighted + math.log(shares.sum() / np.exp(weighted - highest_weighted).sum())
        reweighted = logits.copy()
        reweighted[self._notes] = weighted + scale
        return reweighted
