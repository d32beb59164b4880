# SPDX-License-Identifier: Apache-2.0
"""How well a network foretells music, in bits: fewer is better.

**Bits a value**: the mean of -log2 p(value | all before it in its piece, its context), the state beginning at zero with
each piece. A value outside the vocabulary counts as the known value nearest to it, which is also what is fed.

**Bits a note**: what it takes to tell a note whole: the bits of all values, rests too, and those of the pitches, over
the number of notes written. The pitch is told by its rank: the pitches of the value's kind over the chord, in order of
their distance from where the interval leads (without an interval: from the previous pitch; at the very start: from
F#4), the lower first. Rank 0 is what `values.realise` plays. It has probability `EXACT`, the further ranks share the
rest geometrically (ratio `SPREAD`), and `ASTRAY` is kept for a pitch that is not of the value's kind at all, any of
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
from sideman_models.network.lstm import Flags, Network, NumpyNetwork, State
from sideman_models.training.dataset import Encoded, Encoder

EXACT = {True: 0.994, False: 0.24}
"""Probability of rank 0 for values with an interval, and without."""
SPREAD = {True: 0.55, False: 0.77}
ASTRAY = 0.0005
_MIDDLE = 66


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
class Cost:
    """What one piece costs a network: the bits of its `values` values and, where they are told, of its pitches."""

    piece: Piece
    values: int
    mapped: int
    of_values: float
    of_pitches: float

    @property
    def notes(self) -> int:
        """How many notes were written."""
        return sum(value.kind != "R" for value in self.piece.values)


def costs(bundle: Bundle, pieces: Sequence[Piece], network: Network | None = None) -> list[Cost]:
    """What each piece costs the network. Raises `CorpusError` if it needs chords that a piece does not know."""
    network = NumpyNetwork(bundle.weights) if network is None else network
    encoder = Encoder(bundle.vocabulary, bundle.context)
    encoded = [encoder.encode(piece) for piece in pieces]
    table = encoder.clash_table()
    return [
        Cost(
            piece, len(one), _mapped(piece, one), value_bits(network, one, table), pitch_bits(bundle.vocabulary, piece)
        )
        for piece, one in zip(pieces, encoded, strict=True)
    ]


def _mapped(piece: Piece, encoded: Encoded) -> int:
    """How many values were mapped to another; the encoder also counts the rests that it left out."""
    return encoded.mapped - (len(piece.values) - len(encoded))


def evaluate(bundle: Bundle, pieces: Sequence[Piece], network: Network | None = None) -> Evaluation:
    """Measure the network on pieces. Raises `CorpusError` if it needs chords that they do not know."""
    return summary(bundle, costs(bundle, pieces, network))


def summary(bundle: Bundle, found: Sequence[Cost]) -> Evaluation:
    """The figures of all pieces together."""
    pieces = [one.piece for one in found]
    values, notes = (sum(getattr(one, name) for one in found) for name in ("values", "notes"))
    of_values = sum(one.of_values for one in found)
    in_sources = sum(piece.notes for piece in pieces)
    told = notes and not bundle.classic and all(piece.pitches is not None for piece in pieces)
    return Evaluation(
        len(pieces),
        len({piece.title for piece in pieces}),
        values,
        notes,
        sum(piece.dropped for piece in pieces) / max(1, in_sources),
        sum(one.mapped for one in found) / max(1, values),
        of_values / max(1, values),
        (of_values + sum(one.of_pitches for one in found)) / notes if told else None,
    )


def value_bits(network: Network, piece: Encoded, table: Flags) -> float:
    """The bits of a piece's values in all, the state beginning at zero."""
    state = State.zero(network.weights.n_a)
    previous, total = None, 0.0
    rows = piece.rows.astype(np.intp)
    for step, index in enumerate(piece.indices.tolist()):
        logits = network.step(previous, rows[step], table[piece.clash[step]], state)
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
        index = vocabulary.nearest(value)
        if index is not None and pitch is not None:
            total += _bits_of_rank(vocabulary.values[index], pitch_rank(vocabulary.values[index], place, pitch))
    return total


def pitch_rank(value: Value, place: Place, pitch: int) -> int | None:
    """How many pitches of the value's kind would sooner have been played; None where `pitch` is not of that kind."""
    if place.chord.kind(pitch) != VALUE_KINDS.index(value.kind):
        return None
    target = _MIDDLE if place.previous is None else place.previous
    if isinstance(value.interval, int) and place.previous is not None:
        target += value.interval
    here = (abs(pitch - target), pitch)
    kind = place.chord.kind
    around = range(max(0, target - here[0]), min(127, target + here[0]) + 1)
    return sum(kind(other) == kind(pitch) and (abs(other - target), other) < here for other in around)


def _bits_of_rank(value: Value, rank: int | None) -> float:
    if rank is None:
        return -math.log2(ASTRAY / 128)
    bounded = value.interval is not None
    exact, spread = EXACT[bounded], SPREAD[bounded]
    chance = exact if rank == 0 else (1 - exact) * (1 - spread) * spread ** (rank - 1)
    return -math.log2((1 - ASTRAY) * chance)
