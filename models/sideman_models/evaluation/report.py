# SPDX-License-Identifier: Apache-2.0
"""All that `sideman evaluate` finds out about a network: its bits, its opponents', what it plays and what it copies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sideman_models.evaluation.bits import Evaluation, PieceBits, bits_of_pieces, summarize
from sideman_models.evaluation.bootstrap import ConfidenceInterval, ratio_interval
from sideman_models.evaluation.copying import MATCH_KEYS, SharedRun, longest_shared_runs
from sideman_models.evaluation.ngrams import (
    CONTEXT_CHAINS,
    VALUE_CHAINS,
    NgramData,
    NgramReader,
    Reals,
    ngram_value_bits,
)
from sideman_models.evaluation.statistics import Comparison, Outcome, compare_statistics, half_distances
from sideman_models.music.solos import Piece
from sideman_models.music.values import Vocabulary
from sideman_models.network.bundle import Bundle

UNIGRAM = "order 1"
BASELINE_FAMILIES = (
    "Kneser-Ney on values alone",
    "Kneser-Ney on values, with the mask",
    "Kneser-Ney with a context chain",
    "Kneser-Ney with a context chain and the mask",
)
_FAMILY_CHAINS = tuple(zip(
    BASELINE_FAMILIES, (VALUE_CHAINS, VALUE_CHAINS, CONTEXT_CHAINS, CONTEXT_CHAINS), (False, True, False, True),
    strict=True
))  # fmt: skip
REAL, PLAYED = "real", "played"
_MAX_MAPPED_SHARE = 0.5
"""With more of its values mapped to others than this, music is no longer itself."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An n-gram on the same pieces: what a value costs it, and the share of that which the network needs."""

    family: str
    name: str
    chain: tuple[str, ...]
    bits_per_value: float
    bits_ratio: float
    interval: ConfidenceInterval | None

    @property
    def saving(self) -> float:
        """By which share of the opponent's bits the network needs fewer."""
        return 1.0 - self.bits_ratio

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        between = None if self.interval is None else [round(1.0 - end, 5) for end in reversed(self.interval)]
        return {
            "family": self.family,
            "name": self.name,
            "chain": list(self.chain),
            "bits_per_value": round(self.bits_per_value, 5),
            "fewer": round(self.saving, 5),
            "fewer_interval": between,
        }


@dataclass(frozen=True, slots=True)
class SharedRuns:
    """The longest runs that pieces share with the training set: one for each piece."""

    match: str
    whose: str
    runs: Sequence[SharedRun]

    @property
    def longest(self) -> SharedRun:
        """The longest of all."""
        return max(self.runs, key=lambda run: run.note_count)

    @property
    def median_notes(self) -> float:
        """Its length in a piece, in notes: the median."""
        return float(np.median([run.note_count for run in self.runs]))

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        run, source = self.longest, self.longest.source
        return {
            "likeness": self.match,
            "whose": self.whose,
            "pieces": len(self.runs),
            "longest_notes": run.note_count,
            "longest_values": run.value_count,
            "median_notes": self.median_notes,
            "values": run.text,
            "in": [run.piece.title, run.piece.performer],
            "from": None if source is None else [source.title, source.performer],
        }


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Everything.

    `missing_parts` says why a part is not there, by the part's name in the JSON; `remarks` what keeps the figures from
    meaning what they seem to.
    """

    bundle_name: str
    vocabulary_size: int
    evaluation: Evaluation
    intervals: Mapping[str, ConfidenceInterval | None]
    baselines: Sequence[Baseline] = ()
    choruses: int = 0
    statistics: Sequence[Comparison] = ()
    half_distances: Mapping[str, float | None] = field(default_factory=dict)
    shared_runs: Sequence[SharedRuns] = ()
    missing_parts: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()

    @property
    def chance_bits(self) -> float:
        """Bits a value where all values are alike."""
        return math.log2(self.vocabulary_size)

    def best_baseline(self, family: str) -> Baseline | None:
        """The opponent of a family that needs the fewest bits."""
        return min((one for one in self.baselines if one.family == family), key=_bits_per_value, default=None)

    def unigram(self) -> Baseline | None:
        """The opponent that knows nothing but how often each value comes."""
        return next((one for one in self.baselines if (one.family, one.name) == (BASELINE_FAMILIES[0], UNIGRAM)), None)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; the keys of the evaluation stand at the top."""
        best = [one.as_json() for family in BASELINE_FAMILIES if (one := self.best_baseline(family)) is not None]
        unigram = self.unigram()
        return {
            "model": self.bundle_name,
            **self.evaluation.as_json(),
            "intervals": {name: _rounded(ends) for name, ends in self.intervals.items()},
            "chance_bits_per_value": round(self.chance_bits, 5),
            "unigram_bits_per_value": None if unigram is None else round(unigram.bits_per_value, 5),
            "best_ngrams": best,
            "ngrams": [one.as_json() for one in self.baselines],
            "choruses": self.choruses,
            "statistics": {one.name: self._statistic_json(one) for one in self.statistics},
            "verbatim": [one.as_json() for one in self.shared_runs],
            "absent": dict(self.missing_parts),
            "remarks": list(self.remarks),
        }

    def _statistic_json(self, one: Comparison) -> dict[str, Any]:
        return {
            "distance": round(one.distance, 5),
            "divergence": round(one.distance**2, 5),
            "halves": _rounded(one.half_distance),
            "times_halves": _rounded(one.distance_ratio),
            "halves_of_all": _rounded(self.half_distances.get(one.name)),
            REAL: _shares(one.real),
            PLAYED: _shares(one.played),
        }


def _bits_per_value(one: Baseline) -> float:
    return one.bits_per_value


def _rounded(figure: float | ConfidenceInterval | None) -> Any:  # noqa: ANN401 - what JSON makes of each
    return [round(end, 5) for end in figure] if isinstance(figure, tuple) else figure and round(figure, 5)


def _shares(counts: Counter[Outcome]) -> dict[str, float]:
    whole = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda one: (isinstance(one[0], str), one[0]))
    return {str(outcome): round(count / whole, 5) for outcome, count in ordered}


def make_report(bundle: Bundle, pieces: Sequence[Piece], training: Sequence[Piece], seed: int = 0) -> EvaluationReport:
    """Measure the network on `pieces`, beside n-grams that have read `training` (none: no n-grams).

    Raises `CorpusError` if the network needs chords that the pieces do not know.
    """
    found = bits_of_pieces(bundle, pieces)
    evaluation, absent = summarize(bundle, found), dict[str, str]()
    if not training:
        absent["ngrams"] = absent["verbatim"] = "no pieces to train n-grams on that are not measured themselves"
    opponents = measure_baselines(bundle.vocabulary, training, found, seed) if training else []
    intervals = {"bits_per_value": _bits_interval(found, [one.value_count for one in found], seed)}
    if evaluation.bits_per_note is not None:
        intervals["bits_per_note"] = _bits_interval(found, [one.note_count for one in found], seed, pitches=True)
    borrowed = [] if not training else list(_shared_runs(REAL, pieces, training))
    return EvaluationReport(
        bundle.name, len(bundle.vocabulary), evaluation, intervals, opponents, shared_runs=borrowed,
        missing_parts=absent, remarks=list(_remarks(evaluation)),
    )  # fmt: skip


def _remarks(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.mapped_share > _MAX_MAPPED_SHARE:
        yield (
            f"{100 * evaluation.mapped_share:.1f} % of the values are none that this network knows:"
            " these figures are of the music that it takes them for, not of this"
        )


def _bits_interval(
    all_bits: Sequence[PieceBits], denominators: Sequence[float], seed: int, *, pitches: bool = False
) -> ConfidenceInterval | None:
    tops = [one.value_bits + (one.pitch_bits if pitches else 0.0) for one in all_bits]
    return ratio_interval([one.piece.title for one in all_bits], tops, denominators, seed)


def measure_baselines(
    vocabulary: Vocabulary, training: Sequence[Piece], all_bits: Sequence[PieceBits], seed: int = 0
) -> list[Baseline]:
    """Every n-gram, trained on `training`, on the pieces of `all_bits`.

    With context and mask only where all pieces know their chords, and for modern values; a classic one fits in many
    ways.
    """
    pieces = [one.piece for one in all_bits]
    chords = not vocabulary.classic and all(piece.places is not None for piece in [*training, *pieces])
    reader = NgramReader(vocabulary, chords=chords)
    seen, unseen = reader.read(training), reader.read(pieces)
    opponents = []
    for family, chains, mask in _FAMILY_CHAINS if chords else _FAMILY_CHAINS[:1]:
        for name, chain in chains.items():
            bits = ngram_value_bits(seen, unseen, chain, len(vocabulary), mask=mask)
            opponents.append(
                _make_baseline(family, name, chain, _bits_by_piece(unseen, bits, all_bits), all_bits, seed)
            )
    return opponents


def _bits_by_piece(events: NgramData, bits: Reals, all_bits: Sequence[PieceBits]) -> list[float]:
    return [float(each) for each in np.bincount(events.piece_numbers, bits, len(all_bits))]


def _make_baseline(
    family: str, name: str, chain: tuple[str, ...], bits: Sequence[float], all_bits: Sequence[PieceBits], seed: int
) -> Baseline:
    whole, share = sum(bits), sum(one.value_bits for one in all_bits) / max(sum(bits), 1e-9)
    between = ratio_interval([one.piece.title for one in all_bits], [one.value_bits for one in all_bits], bits, seed)
    return Baseline(family, name, chain, whole / max(1, sum(one.value_count for one in all_bits)), share, between)


def with_played_music(
    report: EvaluationReport, pieces: Sequence[Piece], training: Sequence[Piece], played: Sequence[Piece], seed: int = 0
) -> EvaluationReport:
    """The same, and how what the network `played` compares with the pieces, and what it has from the training ones."""
    return replace(
        report,
        choruses=len(played),
        statistics=compare_statistics(pieces, played, seed),
        half_distances=half_distances([*training, *pieces], seed),
        shared_runs=[*report.shared_runs, *(_shared_runs(PLAYED, played, training) if training else [])],
    )


def _shared_runs(whose: str, pieces: Sequence[Piece], training: Sequence[Piece]) -> Iterator[SharedRuns]:
    for likeness, alike in MATCH_KEYS.items():
        yield SharedRuns(likeness, whose, longest_shared_runs(pieces, training, alike))
