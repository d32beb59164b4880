# SPDX-License-Identifier: Apache-2.0
"""Harmony and contour as two factors of what is likely: each can be told to count for more, or for less.

With P the probabilities of the values as the network gives them, H(value) is the sum of P over all notes of the same
kind, C(value) over all with the same interval. `weighed` makes of P, for notes,

    P · H^(harmony − 1) · C^(contour − 1)

and gives all notes together the share they had before, so that rests come as often as they did. 1 leaves a factor as
it is; 0 takes it away: every kind, or every interval, is then as likely as any other; above 1 the likelier ones gain.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sideman_models.music.values import Vocabulary

Logits = npt.NDArray[np.float64]

_MIN_SHARE = np.finfo(np.float64).tiny  # of a probability: for its logarithm's sake


class Reweighter:
    """The factors of a vocabulary's n values."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._notes = np.flatnonzero(~vocabulary.is_rest)
        self._kinds = vocabulary.kinds[self._notes].astype(np.intp)
        ways = np.stack([vocabulary.has_interval, vocabulary.low, vocabulary.high])[:, self._notes]
        _, intervals = np.unique(ways, axis=1, return_inverse=True)
        self._intervals = intervals.reshape(-1)

    def reweight(self, logits: Logits, harmony: float, contour: float) -> Logits:
        """`logits` (n,) with the factors counting for so much; those of rests stay as they are."""
        notes = logits[self._notes]
        highest = notes.max()
        likely = np.exp(notes - highest)
        told = notes
        for groups, weight in ((self._kinds, harmony), (self._intervals, contour)):
            if weight != 1.0:
                shares = np.maximum(np.bincount(groups, likely), _MIN_SHARE)
                told = told + ((weight - 1.0) * np.log(shares))[groups]
        highest_told = told.max()
        lost = highest - highest_told + math.log(likely.sum() / np.exp(told - highest_told).sum())
        weighed = logits.copy()
        weighed[self._notes] = told + lost
        return weighed
