# SPDX-License-Identifier: Apache-2.0
"""What the network is trained on: the vocabulary of the pieces, and windows of encoded pieces."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sideman_models.errors import CorpusError
from sideman_models.music.motifs import SYMBOL_COUNT, Runs
from sideman_models.music.solos import Piece
from sideman_models.music.values import Value, Vocabulary
from sideman_models.network.encoding import EncodedPiece, Indices
from sideman_models.network.lstm import Flags

MIN_VALUE_COUNT = 10
"""A value that occurs this often in training is in the vocabulary. Any other value maps to the nearest one in it."""


def build_vocabulary(pieces: Iterable[Piece], min_count: int = MIN_VALUE_COUNT) -> Vocabulary:
    """Return the values that occur at least `min_count` times, sorted. Raises `CorpusError` if they are too few."""
    vocabulary = extend_vocabulary(Vocabulary([]), pieces, min_count)
    kept = vocabulary.values
    if all(value.kind == "R" for value in kept):
        raise CorpusError(f"too little music to learn from: no note value occurs {min_count} times in it")
    if len(kept) == 1:
        raise CorpusError(
            f"too little music to learn from: only {kept[0]} occurs {min_count} times, so there is nothing to choose"
        )
    return vocabulary


def extend_vocabulary(vocabulary: Vocabulary, pieces: Iterable[Piece], min_count: int = MIN_VALUE_COUNT) -> Vocabulary:
    """Return the values of `vocabulary` in their order, followed by the new frequent values of the pieces, sorted."""
    counts = Counter(value for piece in pieces for value in piece.values)
    frequent = [value for value, count in counts.items() if count >= min_count]
    new = [value for value in frequent if vocabulary.index_of(value) is None]

    def sort_key(value: Value) -> tuple[str, int, bool, int]:
        interval = value.interval if isinstance(value.interval, int) else 0
        return value.kind, value.ticks, value.interval is not None, interval

    return Vocabulary([*vocabulary.values, *sorted(new, key=sort_key)])


class Batch(NamedTuple):
    """One window: B lanes side by side, S steps long. A lane holds one piece after the other.

    `inputs` (B, S) are the previous values, -1 at the start of a piece; `targets` (B, S) the values to predict;
    `context` (B, S, n_context) is True for active rows; `clash_rows` (B, S) are rows of `PieceEncoder.clash_table`.
    `keeps_state` (B, S) is False where a piece starts and the state is reset, `valid` (B, S) False after the end of a
    lane, and `other_feel` (B, S) True throughout a piece of another feel. `motif_runs` (B, S, 2, SYMBOL_COUNT) are the
    runs that each symbol would continue. `expected` (B, S, n_values) are the probabilities to learn in place of the
    targets, all 0 where the target itself is to be learned; n_values is 0 without lessons.
    """

    inputs: Indices
    targets: Indices
    context: Flags
    clash_rows: Indices
    keeps_state: Flags
    valid: Flags
    other_feel: Flags
    motif_runs: Runs
    expected: npt.NDArray[np.float16]

    def add_piece(self, lane: int, start: int, piece: EncodedPiece) -> None:
        """Write a piece into a lane from step `start`, which may be negative. What does not fit is left out."""
        first, last = max(0, -start), min(len(piece), self.targets.shape[1] - start)
        if first >= last:
            return
        steps, part = slice(start + first, start + last), slice(first, last)
        second = max(1, first)  # the first step of a piece has no previous value
        self.inputs[lane, start + second : start + last] = piece.indices[second - 1 : last - 1]
        self.targets[lane, steps] = piece.indices[part]
        step, active = np.nonzero(piece.context_rows[part] < self.context.shape[2])
        self.context[lane, start + first + step, piece.context_rows[part][step, active]] = True
        self.clash_rows[lane, steps] = piece.clash_rows[part]
        self.keeps_state[lane, start + second : start + last] = True
        self.valid[lane, steps] = True
        self.other_feel[lane, steps] = piece.other_feel
        if piece.motif_runs is not None:
            self.motif_runs[lane, steps] = piece.motif_runs[part]
        if piece.expected is not None:
            self.expected[lane, steps] = piece.expected[part]


class BatchWindows:
    """Pieces laid end to end in `lanes` lanes of about equal length, cut into windows of `steps` values.

    The caller carries the state of each lane from window to window; `Batch.keeps_state` says where it is reset. A
    window is made when it is asked for, so that only one has to be in memory.
    """

    def __init__(self, pieces: Sequence[EncodedPiece], n_context: int, lanes: int, steps: int) -> None:
        self.steps = steps
        self._n_context = n_context
        self._n_expected = max((piece.expected.shape[1] for piece in pieces if piece.expected is not None), default=0)
        self._lane_lengths = [0] * lanes
        self._pieces: list[list[EncodedPiece]] = [[] for _ in range(lanes)]
        self._starts: list[list[int]] = [[] for _ in range(lanes)]
        for piece in pieces:
            lane = self._lane_lengths.index(min(self._lane_lengths))
            self._pieces[lane].append(piece)
            self._starts[lane].append(self._lane_lengths[lane])
            self._lane_lengths[lane] += len(piece)

    def __len__(self) -> int:
        return (max(self._lane_lengths) + self.steps - 1) // self.steps

    def value_count(self, window: int) -> int:
        """Return the number of values in a window, over all its lanes."""
        start = window * self.steps
        return sum(max(0, min(self.steps, length - start)) for length in self._lane_lengths)

    def batch(self, window: int, lanes: range | None = None) -> Batch:
        """Make a window, numbered from 0, of all lanes or of the given ones."""
        start = window * self.steps
        chosen = range(len(self._lane_lengths)) if lanes is None else lanes
        shape = len(chosen), self.steps
        inputs, targets, clash_rows = np.full(shape, -1, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        keeps_state, valid, other_feel = (np.zeros(shape, np.bool_) for _ in range(3))
        context = np.zeros((*shape, self._n_context), np.bool_)
        motif_runs = np.zeros((*shape, 2, SYMBOL_COUNT), np.uint8)
        expected = np.zeros((*shape, self._n_expected), np.float16)
        batch = Batch(inputs, targets, context, clash_rows, keeps_state, valid, other_feel, motif_runs, expected)
        for row, lane in enumerate(chosen):
            starts = self._starts[lane]
            first = max(0, bisect_right(starts, start) - 1)
            for number in range(first, bisect_left(starts, start + self.steps)):
                batch.add_piece(row, starts[number] - start, self._pieces[lane][number])
        return batch
