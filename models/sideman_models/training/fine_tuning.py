# SPDX-License-Identifier: Apache-2.0
"""Learns from what is heard while it plays: fine-tunes a copy of the network, and measures it on what was kept back.

The line that was played and heard comes in as values. The bars in which the player plays make *passages*, of
`PASSAGE_BARS` bars at most. Every fourth passage is kept back: nothing is learned from it, it only measures. In a
passage the values of the player count, and their rests within it; our own values and the `LEAD` values before it only
lead up to them, as they did when it was heard.

After each new passage a *round* trains the copy a little: a few steps of Adam, which also pull each weight back
towards the network that the learning began from, so that what that network knows is not forgotten. The copy is accepted
if the bits that it needs for what was kept back are fewer than those of the network that plays, by `MARGIN` of them and
by twice the standard error of the difference. A copy that has become worse by `MARGIN` is thrown away.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import replace

from sideman_models.errors import ModelsError
from sideman_models.music.context import Place, clash_mask_at
from sideman_models.music.harmony import parse_chord
from sideman_models.music.line import LineValue
from sideman_models.music.motifs import MotifMemory, motif_symbols, padded_rows, symbol_logits
from sideman_models.music.values import parse_value
from sideman_models.network.bundle import Bundle
from sideman_models.network.encoding import Indices
from sideman_models.network.gradients import Stretch, surprise, surprise_and_gradients
from sideman_models.network.lstm import TRAINED, Floats, Weights

PASSAGE_BARS, PASSAGE_VALUES, LEAD = 4, 64, 16
"""The most bars and values of a passage, and how many values lead up to it."""
KEPT_BACK_EVERY = 4
"""Of this many passages one is kept back: the third of four."""
MAX_LEARNED, MAX_KEPT = 120, 40
"""How many passages are remembered to learn from, and to measure on: the latest."""
MIN_NOTES = 24
"""The least number of values of the player to learn from, and of those that were kept back."""
MAX_UPDATES = 40
"""The most steps of a round, after many passages came at once."""
ACCEPTED_BARS = 16
"""After a copy was accepted, the next one is only after this many further bars were learned from."""
MARGIN = 0.01
"""By what share of its bits a copy has to be better than the network that plays."""
UPDATES, LANES, RATE, PULL, CLIP = 2, 8, 2e-4, 10.0, 1.0
"""Steps for each new passage; passages in a step; the learning rate; the pull back, times the rate; the clip.

So each passage is seen some sixteen times. With five times as many, the copy learns single passages by heart.
"""
_FIRST_MOMENT, _SECOND_MOMENT = 0.9, 0.999
_MIN_PASSAGE = 4  # values


class HeardValue(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A value of the line as plain data, with its place: see `context.Place`; None for an infinite number of beats.

    The player played it if it is `heard`; a rest that we chose is `own`.
    """

    value: str
    tick_in_bar: int
    chord: str
    next_chord: str
    beats_to_change: float | None
    previous_pitch: int | None
    heard: bool
    own: bool

    @classmethod
    def of(cls, written: LineValue) -> HeardValue:
        """The plain form of a value of a line."""
        place = written.place
        return cls(
            written.value.text,
            place.tick_in_bar,
            place.chord.text,
            place.next_chord.text,
            None if place.beats_to_change == math.inf else place.beats_to_change,
            place.previous_pitch,
            written.heard,
            written.drawn_index is not None,
        )

    def place(self) -> Place:
        """The place. Raises `ChordError`."""
        beats = math.inf if self.beats_to_change is None else self.beats_to_change
        chord, following = parse_chord(self.chord), parse_chord(self.next_chord)
        return Place(self.tick_in_bar, chord, following, beats, self.previous_pitch)


class Outcome(Struct, frozen=True):
    """The result of a round: after learning from `bars` bars, measured on `kept_bars` that were kept back.

    Bits a value: of the network that the learning began from, of the one that played until now, and of the copy. If it
    is `accepted`, the copy plays from now on.
    """

    bars: int
    kept_bars: int
    bits_at_first: Annotated[float, Meta(gt=0)]
    bits_before: Annotated[float, Meta(gt=0)]
    bits: Annotated[float, Meta(ge=0)]
    accepted: bool


class _Step(Struct, frozen=True):
    """A value as numbers: see `Stretch`. A `note` sounds; it is `theirs` if the player played it."""

    previous: int
    rows: Indices
    target: int
    offsets: Floats
    note: bool
    theirs: bool
    own: bool


class _Passage(Struct, frozen=True):
    stretch: Stretch
    bars: int


class FineTuning:
    """Learns with copies of the weights `playing`, which were learned from those of `bundle`, or are those."""

    def __init__(self, bundle: Bundle, playing: Weights | None = None, seed: int = 0) -> None:
        self._vocabulary, self._context = bundle.vocabulary, bundle.context
        self._first = bundle.weights
        self.playing = bundle.weights if playing is None else playing
        """The weights that play: those that were accepted last."""
        self._motifs = MotifMemory()
        self._symbols, self._motif_rows = motif_symbols(bundle.vocabulary), padded_rows(bundle.weights.motif)
        self._lead: deque[_Step] = deque(maxlen=LEAD)
        self._open: list[_Step] = []  # the passage that goes on
        self._open_bars = 0
        self._last = -1  # the value before, -1 for none
        self._bar: list[HeardValue] = []  # that goes on
        self._passages = 0
        self._learned: deque[_Passage] = deque(maxlen=MAX_LEARNED)
        self._kept: deque[_Passage] = deque(maxlen=MAX_KEPT)
        self._new = 0  # passages to learn from that no round has had
        self._learned_bars = self._accept_from = 0
        self._random = np.random.default_rng(seed)
        self._start_copy()

    # -- what is heard

    def hear(self, values: Iterable[HeardValue]) -> None:
        """Take in the next values of the line. What cannot be a value or a chord is left out."""
        for value in values:
            if self._bar and value.tick_in_bar <= self._bar[-1].tick_in_bar:
                self._end_bar()
            self._bar.append(value)
            if len(self._bar) >= PASSAGE_VALUES:
                self._end_bar()

    def _end_bar(self) -> None:
        bar, self._bar = self._bar, []
        steps = list(filter(None, map(self._step, bar)))
        if not any(step.theirs for step in steps):
            self._end_passage()
            self._lead.extend(steps)
            return
        if len(self._open) + len(steps) > PASSAGE_VALUES:
            self._end_passage()
        self._open += steps
        self._open_bars += 1
        if self._open_bars == PASSAGE_BARS:
            self._end_passage()

    def _step(self, heard: HeardValue) -> _Step | None:
        try:
            value, place = parse_value(heard.value), heard.place()
        except ModelsError:
            return None
        index = self._vocabulary.nearest_index(value)
        if index is None:
            return None
        runs = self._motifs.longest_runs(place.previous_pitch)
        offsets = symbol_logits(self._motif_rows, runs)[self._symbols]
        if self._first.penalty:
            offsets -= np.float32(self._first.penalty) * clash_mask_at(self._vocabulary, place)
        self._motifs.append(value, place.previous_pitch, heard=heard.heard)
        rows, previous, self._last = np.array(self._context.active_rows(place), np.int32), self._last, index
        return _Step(previous, rows, index, offsets, value.kind != "R", heard.heard, heard.own)

    def _end_passage(self) -> None:
        passage, bars = self._open, self._open_bars
        self._open, self._open_bars = [], 0
        counts = _counted(passage)
        if sum(counts) >= _MIN_PASSAGE:
            steps = [*self._lead, *passage]
            stretch = Stretch(
                np.array([step.previous for step in steps], np.int32),
                np.array([step.rows for step in steps], np.int32).reshape(len(steps), -1),
                np.array([step.target for step in steps], np.int32),
                np.array([step.offsets for step in steps], np.float32),
                np.array([False] * len(self._lead) + counts),
            )
            self._passages += 1
            if self._passages % KEPT_BACK_EVERY == KEPT_BACK_EVERY - 1:
                self._kept.append(_Passage(stretch, bars))
            else:
                self._learned.append(_Passage(stretch, bars))
                self._learned_bars += bars
                self._new += 1
        self._lead.extend(passage)

    # -- learning

    def learn(self) -> Outcome | None:
        """Do a round; None if nothing new was heard, or too little so far. An accepted copy is `playing` then."""
        learned, kept = ([one.stretch for one in some] for some in (self._learned, self._kept))
        if not self._new or any(sum(int(one.counts.sum()) for one in some) < MIN_NOTES for some in (learned, kept)):
            return None
        updates, self._new = min(UPDATES * self._new, MAX_UPDATES), 0
        for _ in range(updates):
            lanes = self._random.choice(len(learned), min(LANES, len(learned)), replace=False)
            self._update([learned[lane] for lane in lanes])
        copy = replace(self.playing, **{name: array.copy() for name, array in self._copy.items()})
        at_first, before, after = (surprise(weights, kept) for weights in (self._first, self.playing, copy))
        gain = before - after
        error = float(gain.std()) / math.sqrt(len(gain))
        share = float(gain.mean() / before.mean())
        accepted = share >= MARGIN and gain.mean() > 2 * error and self._learned_bars >= self._accept_from
        if accepted:
            self.playing, self._accept_from = copy, self._learned_bars + ACCEPTED_BARS
        elif share <= -MARGIN:
            self._start_copy()
        kept_bars, means = (
            sum(one.bars for one in self._kept),
            [float(each.mean()) for each in (at_first, before, after)],
        )
        return Outcome(self._learned_bars, kept_bars, means[0], means[1], means[2], bool(accepted))

    def _start_copy(self) -> None:
        """Begin with a copy of the network that plays."""
        self._copy = {name: getattr(self.playing, name).copy() for name in TRAINED}
        self._moments = {name: (np.zeros_like(array), np.zeros_like(array)) for name, array in self._copy.items()}
        self._updates = 0

    def _update(self, stretches: Sequence[Stretch]) -> None:
        _, gradients = surprise_and_gradients(replace(self._first, **self._copy), stretches)
        norm = math.sqrt(sum(float(np.square(gradient).sum()) for gradient in gradients.values()))
        if not math.isfinite(norm):  # nothing is learned from it
            return
        self._updates += 1
        scale = np.float32(min(1.0, CLIP / norm)) if norm else np.float32(1.0)
        rate = RATE * math.sqrt(1 - _SECOND_MOMENT**self._updates) / (1 - _FIRST_MOMENT**self._updates)
        for name in TRAINED:
            gradient, (first, second) = gradients[name] * scale, self._moments[name]
            first += np.float32(1 - _FIRST_MOMENT) * (gradient - first)
            second += np.float32(1 - _SECOND_MOMENT) * (np.square(gradient) - second)
            self._copy[name] -= np.float32(rate) * first / (np.sqrt(second) + np.float32(1e-8))
            self._copy[name] -= np.float32(RATE * PULL) * (self._copy[name] - getattr(self._first, name))


def _counted(passage: Sequence[_Step]) -> list[bool]:
    """Which values of a passage are the player's: their notes, and the rests between two of them."""
    counts, rests = list[bool](), list[int]()  # the latest rests after a note of the player
    is_theirs = False
    for at, step in enumerate(passage):
        counts.append(step.note and step.theirs)
        if not step.note:
            if is_theirs and not step.own:
                rests.append(at)
            continue
        if is_theirs and step.theirs:
            for rest in rests:
                counts[rest] = True
        is_theirs, rests = step.theirs, []
    return counts
