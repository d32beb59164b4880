# SPDX-License-Identifier: Apache-2.0
"""All that `sideman evaluate` finds out about a network: its bits, its opponents', what it plays and what it copies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sideman_models.evaluation.bits import Cost, Evaluation, costs, summary
from sideman_models.evaluation.bootstrap import Interval, ratio_interval
from sideman_models.evaluation.copying import LIKENESSES, Run, longest_runs
from sideman_models.evaluation.ngrams import CONTEXT_CHAINS, VALUE_CHAINS, Events, Reader, Reals, value_bits
from sideman_models.evaluation.statistics import Comparison, Outcome, compare, half_distances
from sideman_models.music.solos import Piece
from sideman_models.music.values import Vocabulary
from sideman_models.network.bundle import Bundle

UNIGRAM = "order 1"
FAMILIES = (
    "Kneser-Ney on values alone",
    "Kneser-Ney on values, with the mask",
    "Kneser-Ney with a context chain",
    "Kneser-Ney with a context chain and the mask",
)
_FAMILIES = tuple(zip(
    FAMILIES, (VALUE_CHAINS, VALUE_CHAINS, CONTEXT_CHAINS, CONTEXT_CHAINS), (False, True, False, True), strict=True
))  # fmt: skip
REAL, PLAYED = "real", "played"
_FOREIGN = 0.5
"""With more of its values mapped to others than this, music is no longer itself."""


@dataclass(frozen=True, slots=True)
class Opponent:
    """An n-gram on the same pieces: what a value costs it, and the share of that which the network needs."""

    family: str
    name: str
    chain: tuple[str, ...]
    bits_per_value: float
    share: float
    interval: Interval | None

    @property
    def fewer(self) -> float:
        """By which share of the opponent's bits the network needs fewer."""
        return 1.0 - self.share

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        between = None if self.interval is None else [round(1.0 - end, 5) for end in reversed(self.interval)]
        return {
            "family": self.family,
            "name": self.name,
            "chain": list(self.chain),
            "bits_per_value": round(self.bits_per_value, 5),
            "fewer": round(self.fewer, 5),
            "fewer_interval": between,
        }


@dataclass(frozen=True, slots=True)
class Borrowed:
    """The longest runs that pieces share with the training set: one for each piece."""

    likeness: str
    whose: str
    runs: Sequence[Run]

    @property
    def longest(self) -> Run:
        """The longest of all."""
        return max(self.runs, key=lambda run: run.notes)

    @property
    def median(self) -> float:
        """Its length in a piece, in notes: the median."""
        return float(np.median([run.notes for run in self.runs]))

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        run, source = self.longest, self.longest.source
        return {
            "likeness": self.likeness,
            "whose": self.whose,
            "pieces": len(self.runs),
            "longest_notes": run.notes,
            "longest_values": run.values,
            "median_notes": self.median,
            "values": run.text,
            "in": [run.piece.title, run.piece.performer],
            "from": None if source is None else [source.title, source.performer],
        }


@dataclass(frozen=True, slots=True)
class Appraisal:
    """Everything.

    `absent` says why a part is not there, by the part's name in the JSON; `remarks` what keeps the figures from meaning
    what they seem to.
    """

    model: str
    vocabulary: int
    evaluation: Evaluation
    intervals: Mapping[str, Interval | None]
    opponents: Sequence[Opponent] = ()
    choruses: int = 0
    statistics: Sequence[Comparison] = ()
    halves_of_all: Mapping[str, float | None] = field(default_factory=dict)
    borrowed: Sequence[Borrowed] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()

    @property
    def chance(self) -> float:
        """Bits a value where all values are alike."""
        return math.log2(self.vocabulary)

    def best(self, family: str) -> Opponent | None:
        """The opponent of a family that needs the fewest bits."""
        return min((one for one in self.opponents if one.family == family), key=_bits, default=None)

    def unigram(self) -> Opponent | None:
        """The opponent that knows nothing but how often each value comes."""
        return next((one for one in self.opponents if (one.family, one.name) == (FAMILIES[0], UNIGRAM)), None)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; the keys of the evaluation stand at the top."""
        best = [one.as_json() for family in FAMILIES if (one := self.best(family)) is not None]
        unigram = self.unigram()
        return {
            "model": self.model,
            **self.evaluation.as_json(),
            "intervals": {name: _rounded(ends) for name, ends in self.intervals.items()},
            "chance_bits_per_value": round(self.chance, 5),
            "unigram_bits_per_value": None if unigram is None else round(unigram.bits_per_value, 5),
            "best_ngrams": best,
            "ngrams": [one.as_json() for one in self.opponents],
            "choruses": self.choruses,
            "statistics": {one.name: self._statistic(one) for one in self.statistics},
            "verbatim": [one.as_json() for one in self.borrowed],
            "absent": dict(self.absent),
            "remarks": list(self.remarks),
        }

    def _statistic(self, one: Comparison) -> dict[str, Any]:
        return {
            "distance": round(one.distance, 5),
            "divergence": round(one.distance**2, 5),
            "halves": _rounded(one.half),
            "times_halves": _rounded(one.ratio),
            "halves_of_all": _rounded(self.halves_of_all.get(one.name)),
            REAL: _shares(one.real),
            PLAYED: _shares(one.played),
        }


def _bits(one: Opponent) -> float:
    return one.bits_per_value


def _rounded(figure: float | Interval | None) -> Any:  # noqa: ANN401 - what JSON makes of each
    return [round(end, 5) for end in figure] if isinstance(figure, tuple) else figure and round(figure, 5)


def _shares(counts: Counter[Outcome]) -> dict[str, float]:
    whole = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda one: (isinstance(one[0], str), one[0]))
    return {str(outcome): round(count / whole, 5) for outcome, count in ordered}


def appraise(bundle: Bundle, pieces: Sequence[Piece], training: Sequence[Piece], seed: int = 0) -> Appraisal:
    """Measure the network on `pieces`, beside n-grams that have read `training` (none: no n-grams).

    Raises `CorpusError` if the network needs chords that the pieces do not know.
    """
    found = costs(bundle, pieces)
    evaluation, absent = summary(bundle, found), dict[str, str]()
    if not training:
        absent["ngrams"] = absent["verbatim"] = "no pieces to train n-grams on that are not measured themselves"
    opponents = opponents_of(bundle.vocabulary, training, found, seed) if training else []
    intervals = {"bits_per_value": _interval(found, [one.values for one in found], seed)}
    if evaluation.bits_per_note is not None:
        intervals["bits_per_note"] = _interval(found, [one.notes for one in found], seed, pitches=True)
    borrowed = [] if not training else list(_borrowed(REAL, pieces, training))
    return Appraisal(
        bundle.name, len(bundle.vocabulary), evaluation, intervals, opponents, borrowed=borrowed, absent=absent,
        remarks=list(_remarks(evaluation)),
    )  # fmt: skip


def _remarks(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.mapped_share > _FOREIGN:
        yield (
            f"{100 * evaluation.mapped_share:.1f} % of the values are none that this network knows:"
            " these figures are of the music that it takes them for, not of this"
        )


def _interval(found: Sequence[Cost], bottoms: Sequence[float], seed: int, *, pitches: bool = False) -> Interval | None:
    tops = [one.of_values + (one.of_pitches if pitches else 0.0) for one in found]
    return ratio_interval([one.piece.title for one in found], tops, bottoms, seed)


def opponents_of(
    vocabulary: Vocabulary, training: Sequence[Piece], found: Sequence[Cost], seed: int = 0
) -> list[Opponent]:
    """Every n-gram, trained on `training`, on the pieces of `found`.

    With context and mask only where all pieces know their chords, and for modern values; a classic one fits in many
    ways.
    """
    pieces = [one.piece for one in found]
    chords = not vocabulary.classic and all(piece.places is not None for piece in [*training, *pieces])
    reader = Reader(vocabulary, chords=chords)
    seen, unseen = reader.read(training), reader.read(pieces)
    opponents = []
    for family, chains, mask in _FAMILIES if chords else _FAMILIES[:1]:
        for name, chain in chains.items():
            bits = value_bits(seen, unseen, chain, len(vocabulary), mask=mask)
            opponents.append(_opponent(family, name, chain, _by_piece(unseen, bits, found), found, seed))
    return opponents


def _by_piece(events: Events, bits: Reals, found: Sequence[Cost]) -> list[float]:
    return [float(each) for each in np.bincount(events.piece, bits, len(found))]


def _opponent(
    family: str, name: str, chain: tuple[str, ...], bits: Sequence[float], found: Sequence[Cost], seed: int
) -> Opponent:
    whole, share = sum(bits), sum(one.of_values for one in found) / max(sum(bits), 1e-9)
    between = ratio_interval([one.piece.title for one in found], [one.of_values for one in found], bits, seed)
    return Opponent(family, name, chain, whole / max(1, sum(one.values for one in found)), share, between)


def with_playing(
    appraisal: Appraisal, pieces: Sequence[Piece], training: Sequence[Piece], played: Sequence[Piece], seed: int = 0
) -> Appraisal:
    """The same, and how what the network `played` compares with the pieces, and what it has from the training ones."""
    return replace(
        appraisal,
        choruses=len(played),
        statistics=compare(pieces, played, seed),
        halves_of_all=half_distances([*training, *pieces], seed),
        borrowed=[*appraisal.borrowed, *(_borrowed(PLAYED, played, training) if training else [])],
    )


def _borrowed(whose: str, pieces: Sequence[Piece], training: Sequence[Piece]) -> Iterator[Borrowed]:
    for likeness, alike in LIKENESSES.items():
        yield Borrowed(likeness, whose, longest_runs(pieces, training, alike))
