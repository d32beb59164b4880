# SPDX-License-Identifier: Apache-2.0
"""Measures how well a network predicts music, in bits. Fewer bits are better.

**Bits a value** is the mean of -log2 p(value | the values before it in its piece, its context). The state is zero at
the beginning of each piece. A value outside the vocabulary counts as the nearest known value, which is also the input
of the next step.

**Bits a note** is what a whole note costs: the bits of all values, rests included, and of all pitches, divided by the
number of notes. The cost of a pitch depends on its rank among the pitches of the same kind over the chord. They are
ordered by their distance from the target, the lower one first. The target is the pitch to which the interval leads;
without an interval, it is the previous pitch, and before the first note F#4. Rank 0 is the pitch that
`values.choose_pitch` plays. It has the probability `EXACT_PROBABILITY`; the other ranks share the rest as a geometric
series with the ratio `RANK_RATIO`. A pitch that is not of the kind has `OTHER_KIND_PROBABILITY`, divided equally among
128 pitches. These constants are rounded from the training titles and are the same for all networks.

Two losses are not part of these figures and are reported beside them: dropped notes and mapped values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct, structs

from sideman_models.music.context import Place
from sideman_models.music.motifs import motif_symbols, padded_rows, symbol_logits
from sideman_models.music.solos import Piece
from sideman_models.music.values import VALUE_KINDS, Value, Vocabulary
from sideman_models.network.bundle import Bundle
from sideman_models.network.encoding import EncodedPiece, PieceEncoder
from sideman_models.network.lstm import Flags, Floats, LstmState, Network, NumpyNetwork

EXACT_PROBABILITY = {True: 0.994, False: 0.24}
"""The probability of rank 0 for values with an interval (True) and without (False)."""
RANK_RATIO = {True: 0.55, False: 0.77}
"""The ratio of the probabilities of successive ranks from 1 on, with and without an interval."""
OTHER_KIND_PROBABILITY = 0.0005
"""The probability that a pitch is not of the kind of its value."""
_FIRST_TARGET = 66


class Evaluation(Struct, frozen=True):
    """The result of `evaluate` over all pieces.

    `dropped_share` is the share of the source notes that have no value; `mapped_share` is the share of values outside
    the vocabulary. `bits_per_note` is None if a piece has no pitches.
    """

    pieces: int
    titles: int
    values: int
    notes: int
    dropped_share: float
    mapped_share: float
    bits_per_value: float
    bits_per_note: float | None

    def as_json(self) -> dict[str, float | None]:
        """Return plain JSON, rounded to five decimals."""
        return {name: round(one, 5) if isinstance(one, float) else one for name, one in structs.asdict(self).items()}


class PieceBits(Struct, frozen=True):
    """The bits of one piece: of its `value_count` values, and of its pitches (0 if it has none)."""

    piece: Piece
    value_count: int
    mapped_count: int
    value_bits: float
    pitch_bits: float

    @property
    def note_count(self) -> int:
        """The number of notes among the values of the piece."""
        return sum(value.kind != "R" for value in self.piece.values)


def bits_of_pieces(bundle: Bundle, pieces: Sequence[Piece]) -> list[PieceBits]:
    """Return the bits of each piece. Raises `CorpusError` if the network needs chords and a piece has none."""
    network, encoder = NumpyNetwork(bundle.weights), PieceEncoder(bundle.vocabulary, bundle.context)
    encoded = [encoder.encode(piece) for piece in pieces]
    table, symbols = encoder.clash_table(), motif_symbols(bundle.vocabulary)
    all_bits = []
    for piece, numbers in zip(pieces, encoded, strict=True):
        # The encoder also counts the rests that it leaves out because the vocabulary has none.
        mapped = numbers.mapped_count - (len(piece.values) - len(numbers))
        bits = network_value_bits(network, numbers, table, symbols), pitch_bits(bundle.vocabulary, piece)
        all_bits.append(PieceBits(piece, len(numbers), mapped, *bits))
    return all_bits


def evaluate(bundle: Bundle, pieces: Sequence[Piece]) -> Evaluation:
    """Measure the network on pieces. Raises `CorpusError` if the network needs chords and a piece has none."""
    return summarize(bundle, bits_of_pieces(bundle, pieces))


def summarize(bundle: Bundle, all_bits: Sequence[PieceBits]) -> Evaluation:
    """Return the figures of all pieces together."""
    pieces = [one.piece for one in all_bits]
    values, notes = sum(one.value_count for one in all_bits), sum(one.note_count for one in all_bits)
    value_bits = sum(one.value_bits for one in all_bits)
    has_pitches = notes and not bundle.classic and all(piece.pitches is not None for piece in pieces)
    return Evaluation(
        len(pieces),
        len({piece.title for piece in pieces}),
        values,
        notes,
        sum(piece.dropped_notes for piece in pieces) / max(1, sum(piece.source_notes for piece in pieces)),
        sum(one.mapped_count for one in all_bits) / max(1, values),
        value_bits / max(1, values),
        (value_bits + sum(one.pitch_bits for one in all_bits)) / notes if has_pitches else None,
    )


def network_value_bits(
    network: Network, piece: EncodedPiece, clash_table: Flags, symbols: npt.NDArray[np.intp]
) -> float:
    """Return the sum of the bits of the values of a piece: see `piece_logits`."""
    total = 0.0
    for index, logits in zip(piece.indices.tolist(), piece_logits(network, piece, clash_table, symbols), strict=True):
        highest = float(logits.max())
        total += math.log(np.exp(logits - highest).sum()) + highest - float(logits[index])
    return total / math.log(2.0)


def piece_logits(
    network: Network, piece: EncodedPiece, clash_table: Flags, symbols: npt.NDArray[np.intp]
) -> Iterator[Floats]:
    """Yield the logits (n_values,) at each step of a piece. The state begins at zero.

    `symbols` are the symbols of the vocabulary: see `motifs.motif_symbols`. The array is overwritten by the next step.
    """
    repeats = piece.motif_runs is not None and network.motif.any()
    bonus = (
        symbol_logits(padded_rows(network.motif), piece.motif_runs)
        if repeats and piece.motif_runs is not None
        else None
    )
    state = LstmState.zero(network.n_a)
    previous = None
    rows = piece.context_rows.astype(np.intp)
    for step, index in enumerate(piece.indices.tolist()):
        logits = network.step(previous, rows[step], clash_table[piece.clash_rows[step]], state)
        if bonus is not None:
            logits += bonus[step][symbols]
        yield logits
        previous = index


def pitch_bits(vocabulary: Vocabulary, piece: Piece) -> float:
    """Return the sum of the bits of the pitches of a piece, given its values mapped to the vocabulary."""
    if piece.places is None or piece.pitches is None:
        return 0.0
    total = 0.0
    for value, place, pitch in zip(piece.values, piece.places, piece.pitches, strict=True):
        index = vocabulary.nearest_index(value)
        if index is None or pitch is None:
            continue
        known = vocabulary.values[index]
        rank, has_interval = pitch_rank(known, place, pitch), known.interval is not None
        exact, ratio = EXACT_PROBABILITY[has_interval], RANK_RATIO[has_interval]
        if rank is None:
            probability = OTHER_KIND_PROBABILITY / 128
        else:
            share = exact if rank == 0 else (1 - exact) * (1 - ratio) * ratio ** (rank - 1)
            probability = (1 - OTHER_KIND_PROBABILITY) * share
        total -= math.log2(probability)
    return total


def pitch_rank(value: Value, place: Place, pitch: int) -> int | None:
    """Return how many pitches of the value's kind are nearer to its target than `pitch`, or None if that is not one."""
    if place.chord.kind_of(pitch) != VALUE_KINDS.index(value.kind):
        return None
    target = _FIRST_TARGET if place.previous_pitch is None else place.previous_pitch
    if isinstance(value.interval, int) and place.previous_pitch is not None:
        target += value.interval
    order, kind = (abs(pitch - target), pitch), place.chord.kind_of
    around = range(max(0, target - order[0]), min(127, target + order[0]) + 1)
    return sum(kind(other) == kind(pitch) and (abs(other - target), other) < order for other in around)
