# SPDX-License-Identifier: Apache-2.0
"""Which values may be drawn at a place, whatever the network thinks of them: range, rests and repetition.

The two parts that take time, and change only with the chord and with the pitch before, are kept once they are known.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sideman.core.settings import PlaySettings
from sideman_models.context import Place
from sideman_models.harmony import Chord
from sideman_models.values import Vocabulary

Mask = npt.NDArray[np.bool_]


class Masks:
    """The masks (n,) of a vocabulary's n values for one set of settings."""

    def __init__(self, vocabulary: Vocabulary, settings: PlaySettings) -> None:
        self._vocabulary = vocabulary
        self._window = settings.window
        self._low, self._high = settings.range.low, settings.range.high
        self._notes = ~vocabulary.rests
        self._moves = ~(vocabulary.bounded & (vocabulary.low == 0) & (vocabulary.high == 0))
        self._over: dict[Chord, Mask] = {}
        self._after: dict[int, Mask] = {}

    def at(self, place: Place, *, rested: bool, repeated: bool) -> tuple[Mask, Mask, Mask]:
        """What may be drawn: all rules kept; without the rule on repetition; and with notes shifted by octaves too.

        `rested`: there have been rests enough; `repeated`: the last pitch has been struck often enough.
        """
        playable = self._fitting(place.chord)
        if rested:
            playable = playable & self._notes
        reached = playable if place.previous is None else playable & self._within_reach(place.previous)
        return reached & self._moves if repeated else reached, reached, playable

    def _fitting(self, chord: Chord) -> Mask:
        """Rests, and the values of a kind that some pitch in range is of."""
        if chord not in self._over:
            kinds = {chord.kind(pitch) for pitch in range(self._low, min(self._high, self._low + 11) + 1)}
            self._over[chord] = self._vocabulary.rests | np.isin(self._vocabulary.kinds, list(kinds))
        return self._over[chord]

    def _within_reach(self, previous: int) -> Mask:
        """The values whose interval, widened by the window, leads from `previous` into the range."""
        if previous not in self._after:
            low, high = self._low - previous - self._window, self._high - previous + self._window
            values = self._vocabulary
            self._after[previous] = ~(values.bounded & ((values.high < low) | (values.low > high)))
        return self._after[previous]
