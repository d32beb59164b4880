# SPDX-License-Identifier: Apache-2.0
"""From pieces to numbers: the vocabulary, and what the network is fed at every step of every piece.

Step t of a piece is fed value t-1 (nothing at the start) and the context of value t, and is to foretell value t.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sideman_models.errors import CorpusError
from sideman_models.music.context import ContextFeatures, Place, RowIndices, clash_mask_at
from sideman_models.music.solos import Piece
from sideman_models.music.values import Value, Vocabulary
from sideman_models.network.lstm import Flags

MIN_VALUE_COUNT = 10
"""Values seen so many times in training are in the vocabulary; the others map to the nearest of these."""

Indices = npt.NDArray[np.int32]


def build_vocabulary(pieces: Iterable[Piece], min_count: int = MIN_VALUE_COUNT) -> Vocabulary:
    """The values of the pieces to train on, sorted. Raises `CorpusError` where they are too few."""
    kept = sorted(_frequent_values(pieces, min_count), key=_sort_key)
    if all(value.kind == "R" for value in kept):
        raise CorpusError(f"too little music to learn from: no value of a note occurs {min_count} times in it")
    if len(kept) == 1:
        raise CorpusError(
            f"too little music to learn from: only {kept[0]} occurs {min_count} times, so nothing is to choose"
        )
    return Vocabulary(kept)


def extend_vocabulary(vocabulary: Vocabulary, pieces: Iterable[Piece], min_count: int = MIN_VALUE_COUNT) -> Vocabulary:
    """The values of `vocabulary` in their order, then those of the pieces that it lacks, sorted."""
    new = [value for value in _frequent_values(pieces, min_count) if vocabulary.index_of(value) is None]
    return Vocabulary([*vocabulary.values, *sorted(new, key=_sort_key)])


def _frequent_values(pieces: Iterable[Piece], min_count: int) -> list[Value]:
    counts = Counter(value for piece in pieces for value in piece.values)
    return [value for value, count in counts.items() if count >= min_count]


def _sort_key(value: Value) -> tuple[str, int, bool, int | str]:
    played = value.interval if isinstance(value.interval, int) else 0
    return value.kind, value.ticks, value.interval is not None, played


@dataclass(frozen=True, slots=True)
class EncodedPiece:
    """A piece of T values as numbers.

    `indices` (T,) into the vocabulary; `context_rows` (T, active) the context rows that are on, as
    `ContextFeatures.active_rows` gives them; `clash_rows` (T,) into the rows of `PieceEncoder.clash_table`;
    `mapped_count` of the values were not in the vocabulary; `other_feel`: see `solos.Solo`.
    """

    indices: Indices
    context_rows: Indices
    clash_rows: Indices
    mapped_count: int
    other_feel: bool = False

    def __len__(self) -> int:
        return len(self.indices)


class PieceEncoder:
    """Writes pieces as numbers, for one vocabulary and context.

    Very many places share the same clashes: the table holds each once; row 0 is 'nothing clashes'.
    """

    def __init__(self, vocabulary: Vocabulary, context: ContextFeatures) -> None:
        self.vocabulary = vocabulary
        self.context = context
        self._clash_row_numbers: dict[bytes, int] = {}
        self._table: list[Flags] = []
        self._clash_row(np.zeros(len(vocabulary), np.bool_))

    def encode(self, piece: Piece) -> EncodedPiece:
        """The piece as numbers. Raises `CorpusError` if the context needs chords that the piece does not know."""
        if piece.places is None and self.context.n_rows:
            raise CorpusError(
                f"{piece.title}: a line of values without chords, but this network wants to know the chords"
            )
        near = [self.vocabulary.nearest_index(value) for value in piece.values]
        kept = [step for step, index in enumerate(near) if index is not None]
        mapped = sum(self.vocabulary.index_of(value) is None for value in piece.values)
        places = [piece.places[step] for step in kept] if piece.places is not None else []
        return EncodedPiece(
            np.array([near[step] for step in kept], np.int32),
            self._context_rows(places, len(kept)),
            np.array([self._clash_row_at(place) for place in places] or [0] * len(kept), np.int32),
            mapped,
            piece.other_feel,
        )

    def clash_table(self) -> Flags:
        """All rows of clashes that the pieces encoded so far have met, (rows, n_values).

        It grows with every piece: ask for it when all are encoded, for only then do their `clash` all point into it.
        """
        return np.array(self._table)

    def _context_rows(self, places: Sequence[Place], length: int) -> Indices:
        if not places or not self.context.max_active:
            return np.zeros((length, 0), np.int32)
        rows: list[RowIndices] = [self.context.active_rows(place) for place in places]
        return np.array(rows, np.int32)

    def _clash_row_at(self, place: Place) -> int:
        return self._clash_row(clash_mask_at(self.vocabulary, place))

    def _clash_row(self, clash: Flags) -> int:
        key = np.packbits(clash).tobytes()
        if key not in self._clash_row_numbers:
            self._clash_row_numbers[key] = len(self._table)
            self._table.append(clash)
        return self._clash_row_numbers[key]


class Batch(NamedTuple):
    """B lanes side by side, S steps long, each with one piece after the other.

    `inputs`, `targets` (B, S) indices, `inputs` -1 where nothing came before; `context` (B, S, n_context); `clash_rows`
    (B, S) rows of the clash table; `keeps_state` (B, S) False where a piece begins; `valid` (B, S) False beyond the end
    of a lane; `other_feel` (B, S) True throughout a foreign piece.
    """

    inputs: Indices
    targets: Indices
    context: Flags
    clash_rows: Indices
    keeps_state: Flags
    valid: Flags
    other_feel: Flags

    @classmethod
    def empty(cls, lanes: int, steps: int, n_context: int) -> Batch:
        """All beyond the end."""
        return cls(
            np.full((lanes, steps), -1, np.int32),
            np.zeros((lanes, steps), np.int32),
            np.zeros((lanes, steps, n_context), np.bool_),
            np.zeros((lanes, steps), np.int32),
            np.zeros((lanes, steps), np.bool_),
            np.zeros((lanes, steps), np.bool_),
            np.zeros((lanes, steps), np.bool_),
        )

    def add_piece(self, lane: int, start: int, piece: EncodedPiece) -> None:
        """Lay a piece into a lane from step `start` on, which may be negative; what does not fit is left out."""
        first, last = max(0, -start), min(len(piece), self.targets.shape[1] - start)
        if first >= last:
            return
        here, told = slice(start + first, start + last), slice(first, last)
        begun = max(1, first)
        self.inputs[lane, start + begun : start + last] = piece.indices[begun - 1 : last - 1]
        self.targets[lane, here] = piece.indices[told]
        step, active = np.nonzero(piece.context_rows[told] < self.context.shape[2])
        self.context[lane, start + first + step, piece.context_rows[told][step, active]] = True
        self.clash_rows[lane, here] = piece.clash_rows[told]
        self.keeps_state[lane, start + begun : start + last] = True
        self.valid[lane, here] = True
        self.other_feel[lane, here] = piece.other_feel


class BatchWindows:
    """Pieces laid end to end in `lanes` rows of about equal length, cut into windows of `steps` values.

    The state is to be carried from window to window, in its lane, and forgotten where a piece does not go on. A window
    is made when it is asked for: no more than one needs to be in memory.
    """

    def __init__(self, pieces: Sequence[EncodedPiece], n_context: int, lanes: int, steps: int) -> None:
        self.steps = steps
        self._n_context = n_context
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
        """How many values a window holds, in all its lanes."""
        start = window * self.steps
        return sum(max(0, min(self.steps, filled - start)) for filled in self._lane_lengths)

    def batch(self, window: int, lanes: range | None = None) -> Batch:
        """One window, or these lanes of it."""
        start = window * self.steps
        chosen = range(len(self._lane_lengths)) if lanes is None else lanes
        batch = Batch.empty(len(chosen), self.steps, self._n_context)
        for row, lane in enumerate(chosen):
            starts = self._starts[lane]
            first = max(0, bisect_right(starts, start) - 1)
            for at in range(first, bisect_left(starts, start + self.steps)):
                batch.add_piece(row, starts[at] - start, self._pieces[lane][at])
        return batch
