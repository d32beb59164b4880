# SPDX-License-Identifier: Apache-2.0
"""How well a network foretells music, in bits: fewer is better.

**Bits a value**: the mean of -log2 p(value | all before it in its piece, its context), the state beginning at zero with
each piece. A value outside the vocabulary counts as the known value nearest to it, which is also what is fed.

**Bits a note**: what it takes to tell a note whole: the bits of all values, rests too, and those of the pitches, over
the number of notes written. The pitch is told by its rank: the pitches of the value's kind over the chord, in order of
their distance from where the interval leads (without an interval: from the previous pitch; at the very start: from
F#4), the lower first. Rank 0 is what `values.choose_pitch` plays. It has probability `EXACT_PROBABILITY`, the further
ranks share the rest geometrically (ratio `RANK_RATIO`), and `OTHER_KIND_PROBABILITY` is kept for a pitch that is not of
the value's kind at all, any of
128. These constants are rounded from the training titles; they are the same for every network.

Not told, and so reported beside: notes that fell out of the line, and values that were mapped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from sideman_models.corpus.corpus import Piece
from sideman_models.music.context import Place
from sideman_models.music.values import VALUE_KINDS, Value, Vocabulary
from sideman_models.network.bundle import Bundle
from sideman_models.network.lstm import Flags, LstmState, Network, NumpyNetwork
from sideman_models.training.dataset import EncodedPiece, PieceEncoder

EXACT_PROBABILITY = {True: 0.994, False: 0.24}
"""Probability of rank 0 for values with an interval, and without."""
RANK_RATIO = {True: 0.55, False: 0.77}
OTHER_KIND_PROBABILITY = 0.0005
_FIRST_TARGET = 66


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found; `bits_per_note` is None where the pieces do not tell their pitches."""

    pieces: int
    titles: int
    values: int
    notes: int
    dropped_share: float
    mapped_share: float
    bits_per_value: float
    bits_per_note: float | None

    def as_json(self) -> dict[str, float | None]:
        """Plain JSON, rounded to what means something."""
        return {name: round(one, 5) if isinstance(one, float) else one for name, one in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class PieceBits:
    """What one piece costs a network: the bits of its `value_count` values and, where they are told, of its pitches."""

    piece: Piece
    value_count: int
    mapped_count: int
    value_bits: float
    pitch_bits: float

    @property
    def note_count(self) -> int:
        """How many notes were written."""
        return sum(value.kind != "R" for value in self.piece.values)


def bits_of_pieces(bundle: Bundle, pieces: Sequence[Piece], network: Network | None = None) -> list[PieceBits]:
    """What each piece costs the network. Raises `CorpusError` if it needs chords that a piece does not know."""
    network = NumpyNetwork(bundle.weights) if network is None else network
    encoder = PieceEncoder(bundle.vocabulary, bundle.context)
    encoded = [encoder.encode(piece) for piece in pieces]
    table = encoder.clash_table()
    return [
        PieceBits(
            piece,
            len(one),
            _count_mapped(piece, one),
            network_value_bits(network, one, table),
            pitch_bits(bundle.vocabulary, piece),
        )
        for piece, one in zip(pieces, encoded, strict=True)
    ]


def _count_mapped(piece: Piece, encoded: EncodedPiece) -> int:
    """How many values were mapped to another; the encoder also counts the rests that it left out."""
    return encoded.mapped_count - (len(piece.values) - len(encoded))


def evaluate(bundle: Bundle, pieces: Sequence[Piece], network: Network | None = None) -> Evaluation:
    """Measure the network on pieces. Raises `CorpusError` if it needs chords that they do not know."""
    return summarize(bundle, bits_of_pieces(bundle, pieces, network))


def summarize(bundle: Bundle, all_bits: Sequence[PieceBits]) -> Evaluation:
    """The figures of all pieces together."""
    pieces = [one.piece for one in all_bits]
    values, notes = (sum(getattr(one, name) for one in all_bits) for name in ("value_count", "note_count"))
    of_values = sum(one.value_bits for one in all_bits)
    in_sources = sum(piece.source_notes for piece in pieces)
    told = notes and not bundle.classic and all(piece.pitches is not None for piece in pieces)
    return Evaluation(
        len(pieces),
        len({piece.title for piece in pieces}),
        values,
        notes,
        sum(piece.dropped_notes for piece in pieces) / max(1, in_sources),
        sum(one.mapped_count for one in all_bits) / max(1, values),
        of_values / max(1, values),
        (of_values + sum(one.pitch_bits for one in all_bits)) / notes if told else None,
    )


def network_value_bits(network: Network, piece: EncodedPiece, clash_table: Flags) -> float:
    """The bits of a piece's values in all, the state beginning at zero."""
    state = LstmState.zero(network.weights.n_a)
    previous, total = None, 0.0
    rows = piece.context_rows.astype(np.intp)
    for step, index in enumerate(piece.indices.tolist()):
        logits = network.step(previous, rows[step], clash_table[piece.clash_rows[step]], state)
        highest = float(logits.max())
        total += math.log(np.exp(logits - highest).sum()) + highest - float(logits[index])
        previous = index
    return total / math.log(2.0)


def pitch_bits(vocabulary: Vocabulary, piece: Piece) -> float:
    """The bits of a piece's pitches in all, given its values as the vocabulary knows them."""
    if piece.places is None or piece.pitches is None:
        return 0.0
    total = 0.0
    for value, place, pitch in zip(piece.values, piece.places, piece.pitches, strict=True):
        index = vocabulary.nearest_index(value)
        if index is not None and pitch is not None:
            total += _rank_bits(vocabulary.values[index], pitch_rank(vocabulary.values[index], place, pitch))
    return total


def pitch_rank(value: Value, place: Place, pitch: int) -> int | None:
    """How many pitches of the value's kind would sooner have been played; None where `pitch` is not of that kind."""
    if place.chord.kind_of(pitch) != VALUE_KINDS.index(value.kind):
        return None
    target = _FIRST_TARGET if place.previous_pitch is None else place.previous_pitch
    if isinstance(value.interval, int) and place.previous_pitch is not None:
        target += value.interval
    here = (abs(pitch - target), pitch)
    kind = place.chord.kind_of
    around = range(max(0, target - here[0]), min(127, target + here[0]) + 1)
    return sum(kind(other) == kind(pitch) and (abs(other - target), other) < here for other in around)


def _rank_bits(value: Value, rank: int | None) -> float:
    if rank is None:
        return -math.log2(OTHER_KIND_PROBABILITY / 128)
    bounded = value.interval is not None
    exact, spread = EXACT_PROBABILITY[bounded], RANK_RATIO[bounded]
    chance = exact if rank == 0 else (1 - exact) * (1 - spread) * spread ** (rank - 1)
    return -math.log2((1 - OTHER_KIND_PROBABILITY) * chance)
