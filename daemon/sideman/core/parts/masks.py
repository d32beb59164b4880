# SPDX-License-Identifier: Apache-2.0
"""Which values may be drawn at a place, whatever the network thinks of them: range, rests, repetition and smoothness.

The parts that take time, and change only with the chord, the pitch before or the place in the beat, are kept once they
are known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sideman.core.settings.schema import PlaySettings
from sideman_models.music.context import Place
from sideman_models.music.harmony import Chord
from sideman_models.music.smoothing import NONE, Rules, settle, unrepeated, within_leap
from sideman_models.music.values import TICKS, Vocabulary

Mask = npt.NDArray[np.bool_]

_GRID = (4, 6)  # modern durations know sixths of a beat too


class Masks:
    """The masks (n,) of a vocabulary's n values for one set of settings."""

    def __init__(self, vocabulary: Vocabulary, settings: PlaySettings, rules: Rules = NONE) -> None:
        self._vocabulary = vocabulary
        self._rules = replace(rules, settle=rules.settle and settings.rate == "phrase")
        self._longest = settings.longest * TICKS
        self._shaped = self._of_good_shape(pulsed=settings.rate != "phrase")
        self._smooths = bool(self._rules.settle or self._rules.leap or not self._shaped.all())
        self._window = settings.window
        self._low, self._high = settings.range.low, settings.range.high
        self._notes = ~vocabulary.rests
        self._moves = ~(vocabulary.bounded & (vocabulary.low == 0) & (vocabulary.high == 0))
        self._over: dict[Chord, Mask] = {}
        self._after: dict[int, Mask] = {}
        self._settled: dict[int, Mask] = {}
        self._nearby: dict[tuple[Chord, int, bool], Mask] = {}

    def at(self, place: Place, *, rested: bool, repeated: bool) -> tuple[Mask, ...]:
        """What may be drawn: all rules kept; rougher; a pitch too often in a row as well; and shifted by octaves too.

        `rested`: there have been rests enough; `repeated`: the last pitch has been struck often enough.
        """
        playable = self._fitting(place.chord)
        if rested:
            playable = playable & self._notes
        reached = playable if place.previous is None else playable & self._within_reach(place.previous)
        moving = reached & self._moves if repeated else reached
        if not self._smooths:
            return moving, reached, playable
        return self._smooth(moving, place, repeated=repeated), moving, reached, playable

    def _smooth(self, mask: Mask, place: Place, *, repeated: bool) -> Mask:
        """`mask` with what the rules on leaps and durations leave of it, unless they would leave no note."""
        smooth = mask & self._shaped
        if self._rules.settle:
            smooth &= self._settling(place.tick % TICKS)
        if self._rules.leap and place.previous is not None:
            smooth &= self._near(place.chord, place.previous, repeated=repeated)
        return smooth if (smooth & self._notes).any() else mask

    def _of_good_shape(self, *, pulsed: bool) -> Mask:
        """The values whose interval and duration the rules allow anywhere."""
        values, rules = self._vocabulary, self._rules
        shaped = np.ones(len(values), np.bool_)
        if rules.leap:
            shaped &= ~(values.bounded & ((values.low > rules.leap) | (values.high < -rules.leap)))
        if not pulsed:
            shaped &= values.rests | (values.ticks >= rules.least(TICKS)) & (values.ticks <= self._longest)
        return shaped

    def _near(self, chord: Chord, previous: int, *, repeated: bool) -> Mask:
        """Rests, and the values of a kind that a pitch is of which lies within the widest leap."""
        key = chord, previous, repeated
        if key not in self._nearby:
            pitches = unrepeated(range(self._low, self._high + 1), previous if repeated else None)
            kinds = {chord.kind(pitch) for pitch in within_leap(pitches, previous, self._rules.leap)}
            self._nearby[key] = self._of_kinds(kinds)
        return self._nearby[key]

    def _settling(self, tick: int) -> Mask:
        """The values that, begun at `tick` of a beat, the rule on the grid leaves alone."""
        if tick not in self._settled:
            lengths, which = np.unique(self._vocabulary.ticks, return_inverse=True)
            settled = [settle(tick, int(each), TICKS, parts=_GRID) == each for each in lengths]
            self._settled[tick] = np.array(settled)[which]
        return self._settled[tick]

    def _fitting(self, chord: Chord) -> Mask:
        """Rests, and the values of a kind that some pitch in range is of."""
        if chord not in self._over:
            kinds = {chord.kind(pitch) for pitch in range(self._low, min(self._high, self._low + 11) + 1)}
            self._over[chord] = self._of_kinds(kinds)
        return self._over[chord]

    def _of_kinds(self, kinds: Iterable[int]) -> Mask:
        return self._vocabulary.rests | np.isin(self._vocabulary.kinds, list(kinds))

    def _within_reach(self, previous: int) -> Mask:
        """The values whose interval, widened by the window, leads from `previous` into the range."""
        if previous not in self._after:
            low, high = self._low - previous - self._window, self._high - previous + self._window
            values = self._vocabulary
            self._after[previous] = ~(values.bounded & ((values.high < low) | (values.low > high)))
        return self._after[previous]
