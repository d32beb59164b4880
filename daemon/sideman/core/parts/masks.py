# SPDX-License-Identifier: Apache-2.0
"""Which values may be drawn at a place, whatever their probability: range, rests, repetition and smoothing rules.

With a classic bundle the smoothing rules work as in the originals: a value that was drawn is changed before it is
played. With any other bundle they only limit what may be drawn; what was drawn is never changed.
`sideman_models.music.smoothing` has the rules themselves.

The masks that take time to compute depend only on the chord, the previous pitch or the tick in the beat. They are
computed once and kept.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from sideman.core.settings.groups.play import PlaySettings
from sideman_models.music.context import Place
from sideman_models.music.harmony import Chord
from sideman_models.music.smoothing import (
    ORIGINAL_RULES,
    SmoothingRules,
    settle_length,
    within_leap,
    without_repeated,
)
from sideman_models.music.values import TICKS_PER_QUARTER, Vocabulary

MOST_REPEATS = 8
"""The limit of repeats at rate phrase: a note that is repeated for bars is a copy of a solo where one was."""
MASK_SETTINGS = ("range", "rate", "window", "leap", "apart", "settle", "repetition", "longest")
"""The settings from which the masks and the smoothing rules are made."""

MIN_ONSET_GAP_BEATS = 1 / TICKS_PER_QUARTER
"""The least distance of two onsets of the solo, in beats, whatever the swing does to them."""

Mask = npt.NDArray[np.bool_]

_GRID_DIVISIONS = (4, 6)  # of a beat; modern durations include sixths


def smoothing_rules(settings: PlaySettings, *, classic: bool) -> SmoothingRules:
    """Return the rules of `settings`; a rule set to `auto` is that of a classic or of any other bundle.

    By itself a bundle that is not classic keeps at rate phrase only the gap between onsets, and a loose limit of
    repeats: it has learned the rest from its corpus. At the other rates its durations are not those that it learned
    with, so the limit is that of a classic one.
    """
    names = "settle", "leap", "apart", "repetition"
    given = {name: value for name in names if (value := getattr(settings, name)) is not None}
    repetition = MOST_REPEATS if settings.rate == "phrase" else ORIGINAL_RULES.repetition
    automatic = ORIGINAL_RULES if classic else SmoothingRules(repetition=repetition, apart=MIN_ONSET_GAP_BEATS)
    return replace(automatic, **given)


class ValueMasks:
    """The masks (n,) over the n values of a vocabulary, for one set of settings."""

    def __init__(self, vocabulary: Vocabulary, settings: PlaySettings, rules: SmoothingRules) -> None:
        self._vocabulary = vocabulary
        self._rules = replace(rules, settle=rules.settle and settings.rate == "phrase")
        shapes = np.ones(len(vocabulary), np.bool_)  # the intervals and durations that the rules allow at every place
        if rules.leap:
            shapes &= ~(vocabulary.has_interval & ((vocabulary.low > rules.leap) | (vocabulary.high < -rules.leap)))
        if settings.rate == "phrase":
            shortest, longest = rules.min_ticks(TICKS_PER_QUARTER), settings.longest * TICKS_PER_QUARTER
            shapes &= vocabulary.is_rest | (vocabulary.ticks >= shortest) & (vocabulary.ticks <= longest)
        self._allowed_shapes = shapes
        self._has_smoothing = bool(self._rules.settle or self._rules.leap or not self._allowed_shapes.all())
        self._window = settings.window
        self._low, self._high = settings.range.low, settings.range.high
        self._notes = ~vocabulary.is_rest
        self._changes_pitch = ~(vocabulary.has_interval & (vocabulary.low == 0) & (vocabulary.high == 0))
        self._chord_masks: dict[Chord, Mask] = {}
        self._reach_masks: dict[int, Mask] = {}
        self._grid_masks: dict[int, Mask] = {}
        self._leap_masks: dict[tuple[Chord, int, bool], Mask] = {}

    def masks_at(self, place: Place, *, must_sound: bool, avoid_repeat: bool) -> tuple[Mask, ...]:
        """Return the masks to try one after the other, because the stricter ones may be empty.

        The first one keeps all rules. The next ones also allow, step by step: what the smoothing rules forbid; a pitch
        repeated too often; an interval that leaves the range (its pitch is moved by octaves). `must_sound` forbids
        rests, `avoid_repeat` the last pitch.
        """
        playable = self._chord_mask(place.chord)
        if must_sound:
            playable = playable & self._notes
        in_range = playable if place.previous_pitch is None else playable & self._reach_mask(place.previous_pitch)
        moving = in_range & self._changes_pitch if avoid_repeat else in_range
        if not self._has_smoothing:
            return moving, in_range, playable
        smooth = moving & self._allowed_shapes
        if self._rules.settle:
            smooth &= self._grid_mask(place.tick_in_bar % TICKS_PER_QUARTER)
        if self._rules.leap and place.previous_pitch is not None:
            smooth &= self._leap_mask(place.chord, place.previous_pitch, avoid_repeat=avoid_repeat)
        return smooth if (smooth & self._notes).any() else moving, moving, in_range, playable

    def _leap_mask(self, chord: Chord, previous: int, *, avoid_repeat: bool) -> Mask:
        """Return rests, and the values of a kind that some pitch within the widest leap has."""
        key = chord, previous, avoid_repeat
        if key not in self._leap_masks:
            pitches = without_repeated(range(self._low, self._high + 1), previous if avoid_repeat else None)
            kinds = {chord.kind_of(pitch) for pitch in within_leap(pitches, previous, self._rules.leap)}
            self._leap_masks[key] = self._kind_mask(kinds)
        return self._leap_masks[key]

    def _grid_mask(self, tick: int) -> Mask:
        """Return the values that begin at `tick` of a beat and whose length the grid rule does not change."""
        if tick not in self._grid_masks:
            lengths, length_indices = np.unique(self._vocabulary.ticks, return_inverse=True)
            settled = [settle_length(tick, int(n), TICKS_PER_QUARTER, divisions=_GRID_DIVISIONS) for n in lengths]
            self._grid_masks[tick] = (np.array(settled) == lengths)[length_indices]
        return self._grid_masks[tick]

    def _chord_mask(self, chord: Chord) -> Mask:
        """Return rests, and the values of a kind that some pitch in the range has."""
        if chord not in self._chord_masks:
            kinds = {chord.kind_of(pitch) for pitch in range(self._low, min(self._high, self._low + 11) + 1)}
            self._chord_masks[chord] = self._kind_mask(kinds)
        return self._chord_masks[chord]

    def _kind_mask(self, kinds: Iterable[int]) -> Mask:
        return self._vocabulary.is_rest | np.isin(self._vocabulary.kinds, list(kinds))

    def _reach_mask(self, previous: int) -> Mask:
        """Return the values whose interval, widened by `play.window`, leads from `previous` into the range."""
        if previous not in self._reach_masks:
            low, high = self._low - previous - self._window, self._high - previous + self._window
            values = self._vocabulary
            self._reach_masks[previous] = ~(values.has_interval & ((values.high < low) | (values.low > high)))
        return self._reach_masks[previous]
