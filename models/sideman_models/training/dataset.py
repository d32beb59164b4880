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

from sideman_models.corpus.corpus import Piece
from sideman_models.errors import CorpusError
from sideman_models.music.context import Context, Place, Rows, clashes
from sideman_models.music.values import Value, Vocabulary
from sideman_models.network.lstm import Flags

SEEN = 10
"""Values seen so many times in training are in the vocabulary; the others map to the nearest of these."""

Indices = npt.NDArray[np.int32]


def build_vocabulary(pieces: Iterable[Piece], seen: int = SEEN) -> Vocabulary:
    """The values of the pieces to train on, sorted. Raises `CorpusError` where they are too few."""
    kept = sorted(_often(pieces, seen), key=_order)
    if all(value.kind == "R" for value in kept):
        raise CorpusError(f"too little music to learn from: no value of a note occurs {seen} times in it")
    if len(kept) == 1:
        raise CorpusError(
            f"too little music to learn from: only {kept[0]} occurs {seen} times, so nothing is to choose"
        )
    return Vocabulary(kept)


def extend_vocabulary(vocabulary: Vocabulary, pieces: Iterable[Piece], seen: int = SEEN) -> Vocabulary:
    """The values of `vocabulary` in their order, then those of the pieces that it lacks, sorted."""
    new = [value for value in _often(pieces, seen) if vocabulary.index(value) is None]
    return Vocabulary([*vocabulary.values, *sorted(new, key=_order)])


def _often(pieces: Iterable[Piece], seen: int) -> list[Value]:
    counts = Counter(value for piece in pieces for value in piece.values)
    return [value for value, count in counts.items() if count >= seen]


def _order(value: Value) -> tuple[str, int, bool, int | str]:
    played = value.interval if isinstance(value.interval, int) else 0
    return value.kind, value.ticks, value.interval is not None, played


@dataclass(frozen=True, slots=True)
class Encoded:
    """A piece of T values as numbers.

    `indices` (T,) into the vocabulary; `rows` (T, active) the context rows that are on, as `Context.rows` gives them;
    `clash` (T,) into the rows of `Encoder.clash_table`; `mapped` of the values were not in the vocabulary; `foreign`:
    see `solos.Solo`.
    """

    indices: Indices
    rows: Indices
    clash: Indices
    mapped: int
    foreign: bool = False

    def __len__(self) -> int:
        return len(self.indices)


class Encoder:
    """Writes pieces as numbers, for one vocabulary and context.

    Very many places share the same clashes: the table holds each once; row 0 is 'nothing clashes'.
    """

    def __init__(self, vocabulary: Vocabulary, context: Context) -> None:
        self.vocabulary = vocabulary
        self.context = context
        self._clashes: dict[bytes, int] = {}
        self._table: list[Flags] = []
        self._clash_row(np.zeros(len(vocabulary), np.bool_))

    def encode(self, piece: Piece) -> Encoded:
        """The piece as numbers. Raises `CorpusError` if the context needs chords that the piece does not know."""
        if piece.places is None and self.context.size:
            raise CorpusError(
                f"{piece.title}: a line of values without chords, but this network wants to know the chords"
            )
        near = [self.vocabulary.nearest(value) for value in piece.values]
        kept = [step for step, index in enumerate(near) if index is not None]
        mapped = sum(self.vocabulary.index(value) is None for value in piece.values)
        places = [piece.places[step] for step in kept] if piece.places is not None else []
        return Encoded(
            np.array([near[step] for step in kept], np.int32),
            self._rows(places, len(kept)),
            np.array([self._clash(place) for place in places] or [0] * len(kept), np.int32),
            mapped,
            piece.foreign,
        )

    def clash_table(self) -> Flags:
        """All rows of clashes that the pieces encoded so far have met, (rows, n_values).

        It grows with every piece: ask for it when all are encoded, for only then do their `clash` all point into it.
        """
        return np.array(self._table)

    def _rows(self, places: Sequence[Place], length: int) -> Indices:
        if not places or not self.context.active:
            return np.zeros((length, 0), np.int32)
        rows: list[Rows] = [self.context.rows(place) for place in places]
        return np.array(rows, np.int32)

    def _clash(self, place: Place) -> int:
        return self._clash_row(clashes(self.vocabulary, place))

    def _clash_row(self, clash: Flags) -> int:
        key = np.packbits(clash).tobytes()
        if key not in self._clashes:
            self._clashes[key] = len(self._table)
            self._table.append(clash)
        return self._clashes[key]


class Batch(NamedTuple):
    """B lanes side by side, S steps long, each with one piece after the other.

    `previous`, `targets` (B, S) indices, `previous` -1 where nothing came before; `context` (B, S, n_context);
    `clash` (B, S) rows of the clash table; `goes_on` (B, S) False where a piece begins; `counts` (B, S) False beyond
    the end of a lane; `foreign` (B, S) True throughout a foreign piece.
    """

    previous: Indices
    targets: Indices
    context: Flags
    clash: Indices
    goes_on: Flags
    counts: Flags
    foreign: Flags

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

    def put(self, lane: int, start: int, piece: Encoded) -> None:
        """Lay a piece into a lane from step `start` on, which may be negative; what does not fit is left out."""
        first, last = max(0, -start), min(len(piece), self.targets.shape[1] - start)
        if first >= last:
            return
        here, told = slice(start + first, start + last), slice(first, last)
        begun = max(1, first)
        self.previous[lane, start + begun : start + last] = piece.indices[begun - 1 : last - 1]
        self.targets[lane, here] = piece.indices[told]
        step, active = np.nonzero(piece.rows[told] < self.context.shape[2])
        self.context[lane, start + first + step, piece.rows[told][step, active]] = True
        self.clash[lane, here] = piece.clash[told]
        self.goes_on[lane, start + begun : start + last] = True
        self.counts[lane, here] = True
        self.foreign[lane, here] = piece.foreign


class Windows:
    """Pieces laid end to end in `lanes` rows of about equal length, cut into windows of `steps` values.

    The state is to be carried from window to window, in its lane, and forgotten where a piece does not go on. A window
    is made when it is asked for: no more than one needs to be in memory.
    """

    def __init__(self, pieces: Sequence[Encoded], n_context: int, lanes: int, steps: int) -> None:
        self.steps = steps
        self._n_context = n_context
        self._filled = [0] * lanes
        self._pieces: list[list[Encoded]] = [[] for _ in range(lanes)]
        self._starts: list[list[int]] = [[] for _ in range(lanes)]
        for piece in pieces:
            lane = self._filled.index(min(self._filled))
            self._pieces[lane].append(piece)
            self._starts[lane].append(self._filled[lane])
            self._filled[lane] += len(piece)

    def __len__(self) -> int:
        return (max(self._filled) + self.steps - 1) // self.steps

    def values(self, window: int) -> int:
        """How many values a window holds, in all its lanes."""
        start = window * self.steps
        return sum(max(0, min(self.steps, filled - start)) for filled in self._filled)

    def batch(self, window: int, lanes: range | None = None) -> Batch:
        """One window, or these lanes of it."""
        start = window * self.steps
        chosen = range(len(self._filled)) if lanes is None else lanes
        batch = Batch.empty(len(chosen), self.steps, self._n_context)
        for row, lane in enumerate(chosen):
            starts = self._starts[lane]
            first = max(0, bisect_right(starts, start) - 1)
            for at in range(first, bisect_left(starts, start + self.steps)):
                batch.put(row, starts[at] - start, self._pieces[lane][at])
        return batch
