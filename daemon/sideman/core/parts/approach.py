# SPDX-License-Identifier: Apache-2.0
"""How a line comes to a target note: which values keep it within reach, by looking ahead from the target backwards.

A line stands at a tick, on a pitch. From there a value leads to a later tick and to one of a few pitches. `Approach`
works out, tick by tick from the target back, from which pitches the target can still be reached. At a choice the values
that would miss it get no probability; the weights of the network decide among the others. So the line leads to the
target by its own steps: no note is moved.

Only what the player does can undo that (a note of theirs from which no interval of the network leads on), and a network
that lacks the lengths or intervals. Then the next limit is given up, see `Approach.masks`: the target still sounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.music.context import Bars, ChordChanges
from sideman_models.music.harmony import Chord
from sideman_models.music.smoothing import SmoothingRules, without_repeated
from sideman_models.music.values import REST_KIND, TICKS_PER_QUARTER, Value, Vocabulary

HORIZON_TICKS = 8 * TICKS_PER_QUARTER
"""How far before a target its approach begins: twice the longest value."""

WIDEST_STEP, WIDEST_FAST_STEP = 4, 2
"""The semitones that an approach counts on from note to note, and after a note shorter than an eighth: nine of ten
of the network's own steps are no wider. So the line sets out in time, and needs neither leaps nor a hurried run."""

Mask = npt.NDArray[np.bool_]
_Weights = npt.NDArray[np.float32]

_MAX_CHORDS = 24
_SLICE_LAYERS = 8
_FAR = 1_000  # semitones


class StepRules(Struct, frozen=True):
    """What limits the steps of a line: its range, and settings of `play`; `pulse` is None at rate phrase."""

    low: int
    high: int
    window: int
    pulse: int | None
    classic: bool
    smoothing: SmoothingRules


class Steps:
    """Where the values of a vocabulary lead to, by one set of rules. `allowed` (n,) are the values that count.

    Values with the same kind and interval have one *shape*: S in all; with the same length, one number of D. There are
    P pitches in the range.
    """

    def __init__(self, vocabulary: Vocabulary, allowed: Mask, rules: StepRules) -> None:
        self.vocabulary, self.rules = vocabulary, rules
        self.pitches = np.arange(rules.low, rules.high + 1)
        parts = np.stack([vocabulary.kinds, vocabulary.has_interval, vocabulary.low, vocabulary.high])
        shapes, self.shape_of = np.unique(parts.astype(np.int16), axis=1, return_inverse=True)
        self.shape_of = self.shape_of.reshape(-1)
        self._kinds, self._least, self._most = shapes[0], shapes[2], shapes[3]
        self._has_interval: Mask = shapes[1] > 0
        lengths, self.length_of = np.unique(vocabulary.ticks, return_inverse=True)
        self.longest = int(lengths[-1]) + TICKS_PER_QUARTER * rules.classic  # which may be settled on a later beat
        if rules.pulse:
            lengths, self.length_of, self.longest = lengths[:1], np.zeros_like(self.length_of), rules.pulse
        self._lengths = lengths.astype(np.intp)
        pairs = np.zeros((len(self._kinds), len(lengths)), np.float32)
        pairs[self.shape_of[allowed], self.length_of[allowed]] = 1.0
        is_rest = self._kinds == REST_KIND
        self.note_shapes, self.rest_shapes = np.flatnonzero(~is_rest), np.flatnonzero(is_rest)
        self._pairs_of_notes = np.ascontiguousarray(pairs[self.note_shapes].T)
        self.rest_lengths = np.flatnonzero(pairs[is_rest].any(axis=0))
        usual = np.array([rules.pulse] if rules.pulse else lengths) >= TICKS_PER_QUARTER // 2
        distances = np.abs(self.pitches[:, None] - self.pitches)[:, None]
        self._is_step = distances <= np.where(usual, WIDEST_STEP, WIDEST_FAST_STEP)[:, None]
        self._chords: dict[Chord, tuple[Mask, _Weights]] = {}
        self._outside: dict[tuple[Chord, int | None], Mask] = {}  # from no pitch, or from one of the player's

    def lengths_at(self, bars: Bars, tick: int) -> npt.NDArray[np.intp]:
        """Return the ticks (D,) that a value of each length lasts when it begins at `tick`."""
        if not self.rules.pulse and not self.rules.classic:
            return self._lengths
        line, bar_ticks = bars.bar_at(tick)
        in_bar, pulse, rules = tick - line, self.rules.pulse, self.rules.smoothing
        if pulse:
            return np.array([min(pulse - in_bar % pulse, bar_ticks - in_bar)], np.intp)
        smoothed = [rules.smoothed_length(in_bar, int(each), TICKS_PER_QUARTER) for each in self._lengths]
        return np.array(smoothed, np.intp)

    def over(self, chord: Chord) -> tuple[Mask, _Weights]:
        """Return what the notes may become over `chord`, from each pitch of the range.

        First (P, S, P), by shape; then (P, D, P), by length: 1 where a note of that length leads from the first pitch
        to the second one by a usual step.
        """
        if (known := self._chords.get(chord)) is None:
            if len(self._chords) >= _MAX_CHORDS:
                del self._chords[next(iter(self._chords))]
            reached = self.reached(chord, self.pitches)
            moves = self._pairs_of_notes @ reached[:, self.note_shapes].astype(np.float32) > 0
            moves = (moves & self._is_step).astype(np.float32)
            known = self._chords[chord] = reached, moves
        return known

    def reached_from(self, chord: Chord, previous: int | None) -> Mask:
        """Return which pitches (S, P) each shape may become over `chord`, from one pitch or from none."""
        if previous is not None and self.rules.low <= previous <= self.rules.high:
            row: Mask = self.over(chord)[0][previous - self.rules.low]
            return row
        if (known := self._outside.get((chord, previous))) is None:
            if len(self._outside) >= _MAX_CHORDS:
                self._outside.clear()
            known = self.reached(chord, None if previous is None else np.array([previous]))[0]
            self._outside[chord, previous] = known
        return known

    def knows(self, chord: Chord) -> bool:
        """Whether `over` has the answer at hand."""
        return chord in self._chords

    def reached(self, chord: Chord, previous: npt.NDArray[np.intp] | None) -> Mask:
        """Return which pitches (N, S, P) `choose_pitch` may give to each shape, from each of N pitches or from none.

        A rest leads to none. From a pitch of the range, no value counts whose interval leaves it.
        """
        kinds = np.array([chord.kind_of(pitch) for pitch in range(12)], np.int16)[self.pitches % 12]
        rules, fits = self.rules, (self._kinds[:, None] == kinds)[None]
        before = np.array([(rules.low + rules.high) // 2]) if previous is None else previous
        before = before[:, None, None]
        distance = np.abs(self.pitches[None, None, :] - before)
        leap = rules.smoothing.leap
        if previous is not None and leap:
            nearest = np.where(fits, distance, _FAR).min(axis=2, keepdims=True)
            fits = fits & (distance <= np.maximum(leap, nearest))
        moved = self._has_interval[:, None] if previous is not None else np.zeros_like(self._has_interval)[:, None]
        least = np.where(moved, self._least[:, None] - rules.window, 0)
        most = np.where(moved, self._most[:, None] + rules.window, 0)
        target = before + (least + most) // 2
        low, high = rules.low, rules.high
        folded = np.where(target < low, np.minimum(high, low + (target - low) % 12), target)
        folded = np.where(target > high, np.maximum(low, high - (high - target) % 12), folded)
        cost = np.where(fits, 2 * np.abs(self.pitches - folded) + (self.pitches > folded), _FAR)
        best = np.take_along_axis(cost, cost.argmin(axis=2)[..., None], axis=2)
        reached: Mask = fits & (cost == best)
        is_window = least != most
        if previous is not None and is_window.any():
            step = self.pitches[None, None, :] - before
            inside = fits & is_window & (step >= least) & (step <= most)
            if rules.classic:
                others = inside & (step != 0)
                inside = np.where(others.any(axis=2, keepdims=True), others, inside)
            reached = np.where(inside.any(axis=2, keepdims=True), inside, reached)
        if previous is not None:
            at_home = (before >= low) & (before <= high)
            leaves = moved & ((before + most < low) | (before + least > high))
            reached &= ~(at_home & leaves)
        return reached


class Approach:
    """The way to a target at `tick`, where one of `pitches` is to sound, over `changes` and `bars`.

    `then` is the way to the target after it, which the target note itself is to keep within reach.
    """

    def __init__(
        self,
        steps: Steps,
        tick: int,
        pitches: frozenset[int],
        changes: ChordChanges,
        bars: Bars,
        then: Approach | None = None,
    ) -> None:
        self.tick, self.pitches, self.then = tick, pitches, then
        self._steps, self._changes, self._bars = steps, changes, bars
        count = HORIZON_TICKS + 1
        self._is_target = np.isin(steps.pitches, list(pitches))
        # By ticks before the target: from which pitches it can be reached, and whether in time. The last rows are no.
        self._reach = np.zeros((count + 1, len(steps.pitches)), np.bool_)
        self._in_time = np.zeros(count + 1, np.bool_)
        self._layers = 0  # how many are known
        self._is_whole = False

    def next_tick(self, tick: int) -> int | None:
        """Return where the first target after `tick` is, None if none is known."""
        return self.tick if tick < self.tick else self.then.next_tick(tick) if self.then is not None else None

    # -- ahead of time

    def work(self) -> bool:
        """Do a part of what has to be worked out, of a bounded size; returns whether there was anything to do."""
        if self.then is not None and self.then.work():
            return True
        if self._is_whole:
            return False
        chord = self._chord_at(self.tick - self._layers)
        if self._steps.knows(chord):
            self._work_to(self._layers + _SLICE_LAYERS)
        else:
            self._steps.over(chord)
        return True

    def _work_to(self, layers: int) -> None:
        """Work out what can be reached until `layers` layers are known, or the target from everywhere before."""
        steps, reach, in_time = self._steps, self._reach, self._in_time
        while self._layers < layers and not self._is_whole:
            before = self._layers
            if before == 0:
                reach[0], in_time[0] = self._landing(), True
            else:
                after = self._after(self.tick - before)
                ahead = reach[after]
                found = _leads(steps.over(self._chord_at(self.tick - before))[1], ahead)
                reach[before] = found | ahead[steps.rest_lengths].any(axis=0)
                in_time[before] = in_time[after].any()
            self._layers += 1
            last = reach[max(1, self._layers - steps.longest) : self._layers]
            settled = self._layers > steps.longest and bool(last.all())
            self._is_whole = settled or self._layers > HORIZON_TICKS

    def _after(self, tick: int) -> npt.NDArray[np.intp]:
        """Return by how many ticks a value of each length (D,) that begins at `tick` ends before the target.

        What would end after it has the number of a row without a way. A pulse that would ends on the target.
        """
        after = self.tick - tick - self._steps.lengths_at(self._bars, tick)
        after[after < 0] = 0 if self._steps.rules.pulse else HORIZON_TICKS + 1
        return after

    def _landing(self) -> Mask:
        """Return from which pitches (P,) a value leads to the target, and if it can be, keeps the next one in reach."""
        _, moves = self._steps.over(self._chord_at(self.tick))
        found = _leads(moves, self._after_target())
        return found if found.any() else _leads(moves, np.broadcast_to(self._is_target, (moves.shape[1:])))

    def _after_target(self) -> Mask:
        """Return which pitches (D, P) a note on the target may have, by its length."""
        ends = self.tick + self._steps.lengths_at(self._bars, self.tick)
        ahead = np.tile(self._is_target, (len(ends), 1))
        if self.then is not None:
            ahead &= self.then.reach_at(np.minimum(ends, self.then.tick) if self._steps.rules.pulse else ends)
        return ahead

    def reach_at(self, ticks: npt.NDArray[np.intp]) -> Mask:
        """Return from which pitches (len(ticks), P) the target can be reached at each of `ticks`."""
        before = self.tick - ticks
        self._work_to(min(int(before.max()), HORIZON_TICKS) + 1)
        is_far = before >= self._layers  # from there it can be reached from everywhere
        rows = self._reach[np.where(is_far | (before < 0), HORIZON_TICKS + 1, before)]
        return rows | is_far[:, None]

    def _chord_at(self, tick: int) -> Chord:
        return self._changes.chord_at(tick / TICKS_PER_QUARTER)

    # -- at a choice

    def at(self, tick: int, chord: Chord, previous: int | None, avoid: int | None) -> ApproachStep | None:
        """Return what keeps the target within reach at a choice for `tick`; None if everything does.

        `previous` is the pitch of the note before; the pitch `avoid` is left out where that is possible.
        """
        before, steps = self.tick - tick, self._steps
        if not 0 <= before <= HORIZON_TICKS:
            return None
        self._work_to(before + 1)
        if before >= self._layers:
            return None
        reached = steps.reached_from(chord, previous)
        if before == 0:
            return Landing(steps, reached, chord, self._after_target(), self._is_target, previous, avoid)
        after = self._after(tick)
        return Leading(steps, reached, self._reach[after], self._in_time[after], previous, avoid)


def _leads(moves: _Weights, ahead: Mask) -> Mask:
    """Return from which pitches (P,) one of `moves` (P, D, P) leads to one of `ahead` (D, P)."""
    found: Mask = moves.reshape(len(moves), -1) @ ahead.reshape(-1).astype(np.float32) > 0
    return found


class ApproachStep(Protocol):
    """What keeps a target within reach at one choice."""

    def masks(self, masks: Sequence[Mask]) -> Iterator[Mask]:
        """Yield the masks to try in place of `masks`, one after the other."""

    def pitch(self, value: Value, drawn: float) -> int | None:
        """Return the pitch of `value`, of the vocabulary, that leads to the target; `drawn` chooses among several.

        None if no pitch does.
        """


class Leading(ApproachStep):
    """A choice before the target.

    `reached` (S, P) are the pitches that a shape may become, `ahead` (D, P) those from which the target can be reached
    after a value of each length, and `in_time` (D,) the lengths after which its tick can be.
    """

    def __init__(
        self, steps: Steps, reached: Mask, ahead: Mask, in_time: Mask, previous: int | None, avoid: int | None
    ) -> None:
        self._steps, self._reached, self._ahead, self._in_time = steps, reached, ahead, in_time
        self._avoid = avoid
        here = steps.pitches == previous
        # After a note of the player outside the range, any pitch may come next.
        self._after_rest: Mask = np.any(ahead[:, here] if here.any() else ahead, axis=1)

    def masks(self, masks: Sequence[Mask]) -> Iterator[Mask]:
        """First what keeps the target within reach, from the strictest to the loosest; then what reaches its tick."""
        steps = self._steps
        for keeps in _keeping(steps, self._reached, self._ahead, self._avoid, self._after_rest):
            yield from (mask & keeps for mask in masks)
        yield keeps
        in_time = self._in_time[steps.length_of]
        yield from (mask & in_time for mask in masks)
        yield from masks

    def pitch(self, value: Value, drawn: float) -> int | None:
        """See `ApproachStep`."""
        steps, index = self._steps, self._steps.vocabulary.index_of(value)
        fitting = self._reached[steps.shape_of[index]] & self._ahead[steps.length_of[index]]
        return _drawn(steps.pitches[fitting], self._avoid, drawn)


class Landing(ApproachStep):
    """The choice on the target: `after` (D, P) are the pitches that keep the next target in reach, by length."""

    def __init__(
        self,
        steps: Steps,
        reached: Mask,
        chord: Chord,
        after: Mask,
        is_target: Mask,
        previous: int | None,
        avoid: int | None,
    ) -> None:
        self._steps, self._reached, self._chord, self._after = steps, reached, chord, after
        self._is_target, self._previous, self._avoid = is_target, previous, avoid

    def masks(self, masks: Sequence[Mask]) -> Iterator[Mask]:
        """First what leads on to the next target, too; then what leads to this one; then the notes of its kinds."""
        vocabulary = self._steps.vocabulary
        for ahead in (self._after, np.broadcast_to(self._is_target, self._after.shape)):
            for keeps in _keeping(self._steps, self._reached, ahead, self._avoid, None):
                yield from (mask & keeps for mask in masks)
            yield keeps
        kinds = [self._chord.kind_of(int(pitch)) for pitch in self._steps.pitches[self._is_target]]
        for notes in (np.isin(vocabulary.kinds, kinds), ~vocabulary.is_rest):
            yield from (mask & notes for mask in masks)
            yield notes

    def pitch(self, value: Value, drawn: float) -> int | None:
        """See `ApproachStep`; of a value that does not lead to the target, its pitch that is nearest to the line."""
        steps, index = self._steps, self._steps.vocabulary.index_of(value)
        reached, after = self._reached[steps.shape_of[index]], self._after[steps.length_of[index]]
        for fitting in (reached & after, reached & self._is_target):
            if (pitch := _drawn(steps.pitches[fitting], self._avoid, drawn)) is not None:
                return pitch
        middle = (steps.rules.low + steps.rules.high) // 2 if self._previous is None else self._previous
        pitches = [int(pitch) for pitch in steps.pitches[self._is_target]]
        return min(pitches, key=lambda pitch: (abs(pitch - middle), pitch))


def _keeping(steps: Steps, reached: Mask, ahead: Mask, avoid: int | None, after_rest: Mask | None) -> Iterator[Mask]:
    """Yield the values (n,) that lead to one of `ahead`, first without pitch `avoid`; rests by `after_rest` (D,)."""
    for pitches in [ahead] if avoid is None else [ahead & (steps.pitches != avoid), ahead]:
        keeps: Mask = reached.astype(np.float32) @ pitches.T.astype(np.float32) > 0
        if after_rest is not None:
            keeps[steps.rest_shapes] = after_rest
        yield keeps[steps.shape_of, steps.length_of]


def _drawn(pitches: npt.NDArray[np.intp], avoid: int | None, drawn: float) -> int | None:
    choice = without_repeated([int(pitch) for pitch in pitches], avoid)
    return choice[int(drawn * len(choice))] if choice else None
