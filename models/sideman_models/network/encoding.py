# SPDX-License-Identifier: Apache-2.0
"""Pieces as numbers: what the network reads at each step of a piece, in training and in evaluation.

At step t of a piece, the network reads value t-1 (none at the start) and the context of value t, and predicts value t.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.errors import CorpusError
from sideman_models.music.context import ContextFeatures, clash_mask_at
from sideman_models.music.motifs import SYMBOL_COUNT, MotifMemory
from sideman_models.music.solos import Piece
from sideman_models.music.values import Vocabulary
from sideman_models.network.lstm import Flags

Indices = npt.NDArray[np.int32]


class EncodedPiece(Struct, frozen=True):
    """A piece of T values as numbers.

    `indices` (T,) are the values, as indices into the vocabulary; `context_rows` (T, active) the active context rows,
    see `ContextFeatures.active_rows`; `clash_rows` (T,) rows of `PieceEncoder.clash_table`. `mapped_count` values were
    not in the vocabulary and are replaced by the nearest one. For `other_feel` see `solos.Solo`. `motif_runs` (T, 2,
    SYMBOL_COUNT) are the runs that each symbol would continue: see `motifs.MotifMemory.longest_runs`; None: none.
    `expected` (T, n_values) are the probabilities to learn in place of the values themselves: see `training.lessons`.
    """

    indices: Indices
    context_rows: Indices
    clash_rows: Indices
    mapped_count: int
    other_feel: bool = False
    motif_runs: npt.NDArray[np.uint8] | None = None
    expected: npt.NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.indices)


class PieceEncoder:
    """Encodes pieces for one vocabulary and context.

    Most places share their set of clashing values with many others, so the sets are kept once, as rows of a table. Row
    0 is 'nothing clashes'.
    """

    def __init__(self, vocabulary: Vocabulary, context: ContextFeatures) -> None:
        self.vocabulary = vocabulary
        self.context = context
        self._clash_rows = {bytes(len(vocabulary)): 0}  # the row of each set, whose key is its flags, a byte each

    def encode(self, piece: Piece) -> EncodedPiece:
        """Encode a piece. A value without a nearest one is left out. Raises `CorpusError` if it lacks needed chords."""
        if piece.places is None and self.context.n_rows:
            raise CorpusError(f"{piece.title}: its values come without chords, but this network needs them as context")
        nearest = [self.vocabulary.nearest_index(value) for value in piece.values]
        kept = [step for step, index in enumerate(nearest) if index is not None]
        mapped = sum(self.vocabulary.index_of(value) is None for value in piece.values)
        places = [piece.places[step] for step in kept] if piece.places is not None else []
        sets = (clash_mask_at(self.vocabulary, place).tobytes() for place in places)
        clashes = [self._clash_rows.setdefault(flags, len(self._clash_rows)) for flags in sets] or [0] * len(kept)
        rows = np.array([self.context.active_rows(place) for place in places], np.int32)
        indices = np.array([nearest[step] for step in kept], np.int32)
        context_rows = rows.reshape(len(kept), self.context.max_active)
        runs = _motif_runs(piece, kept)
        return EncodedPiece(indices, context_rows, np.array(clashes, np.int32), mapped, piece.other_feel, runs)

    def clash_table(self) -> Flags:
        """Return all sets of clashing values found so far, (rows, n_values).

        Call it when all pieces are encoded: the table grows with every piece, and `clash_rows` point into it.
        """
        return np.array([np.frombuffer(flags, np.bool_) for flags in self._clash_rows])


def _motif_runs(piece: Piece, kept: Iterable[int]) -> npt.NDArray[np.uint8]:
    """Return the runs (T, 2, SYMBOL_COUNT) that each symbol would continue at each step that is `kept`."""
    memory, pitch, runs = MotifMemory(), None, []
    for step in kept:
        runs.append(memory.longest_runs(pitch))
        memory.append(piece.values[step], pitch)
        if piece.pitches is not None and piece.pitches[step] is not None:
            pitch = piece.pitches[step]
    return np.array(runs, np.uint8).reshape(-1, 2, SYMBOL_COUNT)
