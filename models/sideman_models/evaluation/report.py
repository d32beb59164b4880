# SPDX-License-Identifier: Apache-2.0
"""The report of `sideman evaluate`: bits of the network and of n-grams, statistics of its playing, and copying.

Confidence intervals are by the bootstrap over titles: the values of one tune are not independent, and the figures
should hold for other tunes. So whole titles are drawn with replacement, as many as there are (percentile intervals:
Efron, *Bootstrap Methods*, 1979).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field, to_builtins
from msgspec.structs import replace

from sideman_models.evaluation.answers import Answers
from sideman_models.evaluation.bits import Evaluation, PieceBits, bits_of_pieces, summarize
from sideman_models.evaluation.copying import MATCH_KEYS, SharedRun, longest_shared_runs
from sideman_models.evaluation.ngrams import (
    CONTEXT_CHAINS,
    VALUE_CHAINS,
    NgramReader,
    ngram_bits_with_memory,
    ngram_value_bits,
)
from sideman_models.evaluation.statistics import Comparison, Outcome, compare_statistics, half_distances, share
from sideman_models.evaluation.touch import TouchFigures, touch_figures
from sideman_models.music.motifs import NO_ROWS
from sideman_models.music.solos import Piece
from sideman_models.music.values import Vocabulary
from sideman_models.network.bundle import Bundle

UNIGRAM = "order 1"
BASELINE_FAMILIES = (
    "Kneser-Ney on values alone",
    "Kneser-Ney on values, with the mask",
    "Kneser-Ney with a context chain",
    "Kneser-Ney with a context chain and the mask",
    "Kneser-Ney with context, mask and the memory",
)
"""The families of n-grams, from the one that knows least to the one that knows most."""
_FAMILY_CHAINS = tuple(zip(
    BASELINE_FAMILIES[:4], (VALUE_CHAINS, VALUE_CHAINS, CONTEXT_CHAINS, CONTEXT_CHAINS), (False, True, False, True),
    strict=True
))  # fmt: skip
_FITTED_EVERY = 10
"""The numbers of the memory are fitted for an n-gram on every tenth title."""
RESAMPLES = 1000
CONFIDENCE_LEVEL = 0.95
ConfidenceInterval = tuple[float, float]
"""The lower and the upper bound."""
REAL, PLAYED = "real", "played"
_MAX_MAPPED_SHARE = 0.5
"""If more than this share of the values is mapped to other values, a remark warns about the figures."""


class Baseline(Struct, frozen=True):
    """An n-gram on the same pieces.

    `bits_per_value` are its bits; `bits_ratio` is the bits of the network divided by those of the n-gram, and
    `interval` the confidence interval of that ratio.
    """

    family: str
    name: str
    chain: tuple[str, ...]
    bits_per_value: float
    bits_ratio: float
    interval: ConfidenceInterval | None

    @property
    def saving(self) -> float:
        """By which share the network needs fewer bits than the n-gram."""
        return 1.0 - self.bits_ratio

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "family": self.family,
            "name": self.name,
            "chain": list(self.chain),
            "bits_per_value": round(self.bits_per_value, 5),
            "fewer": round(self.saving, 5),
            "fewer_interval": self.interval and [round(1.0 - end, 5) for end in reversed(self.interval)],
        }


class SharedRuns(Struct, frozen=True):
    """The longest runs that pieces share with the training set, one for each piece."""

    match: str
    whose: str
    runs: Sequence[SharedRun]

    @property
    def longest(self) -> SharedRun:
        """The longest run of all, in notes."""
        return max(self.runs, key=lambda run: run.note_count)

    @property
    def median_notes(self) -> float:
        """The median over the pieces of the length in notes."""
        return float(np.median([run.note_count for run in self.runs]))

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
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


class EvaluationReport(Struct, frozen=True):
    """Everything that was measured.

    `bits_without_motifs` are the bits a value of the network without its memory of motifs; None: it has none. `answers`
    say how much it takes up of what the player plays. `missing_parts` says by its name in the JSON why a part is
    missing. `remarks` are reasons why the figures may mislead.
    """

    bundle_name: str
    vocabulary_size: int
    evaluation: Evaluation
    intervals: Mapping[str, ConfidenceInterval | None]
    bits_without_motifs: float | None = None
    baselines: Sequence[Baseline] = ()
    choruses: int = 0
    statistics: Sequence[Comparison] = ()
    half_distances: Mapping[str, float | None] = field(default_factory=dict)
    answers: Sequence[Answers] = ()
    shared_runs: Sequence[SharedRuns] = ()
    missing_parts: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    touch: TouchFigures | None = None

    @property
    def chance_bits(self) -> float:
        """Bits a value if all values are equally likely."""
        return math.log2(self.vocabulary_size)

    def best_baseline(self, family: str) -> Baseline | None:
        """Return the n-gram of a family that needs the fewest bits."""
        of_family = [one for one in self.baselines if one.family == family]
        return min(of_family, key=lambda one: one.bits_per_value, default=None)

    def unigram(self) -> Baseline | None:
        """Return the n-gram that only knows how frequent each value is."""
        return next((one for one in self.baselines if (one.family, one.name) == (BASELINE_FAMILIES[0], UNIGRAM)), None)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON. The keys of the evaluation are at the top level."""
        best = [one.as_json() for family in BASELINE_FAMILIES if (one := self.best_baseline(family)) is not None]
        unigram = self.unigram()
        return {
            "model": self.bundle_name,
            **self.evaluation.as_json(),
            "intervals": {name: _rounded(ends) for name, ends in self.intervals.items()},
            "bits_per_value_without_motifs": self.bits_without_motifs and round(self.bits_without_motifs, 5),
            "chance_bits_per_value": round(self.chance_bits, 5),
            "unigram_bits_per_value": None if unigram is None else round(unigram.bits_per_value, 5),
            "best_ngrams": best,
            "ngrams": [one.as_json() for one in self.baselines],
            "choruses": self.choruses,
            "statistics": {
                one.name: {
                    "distance": round(one.distance, 5),
                    "divergence": round(one.distance**2, 5),
                    "halves": _rounded(one.half_distance),
                    "times_halves": _rounded(one.distance_ratio),
                    "halves_of_all": _rounded(self.half_distances.get(one.name)),
                    REAL: _shares(one.real),
                    PLAYED: _shares(one.played),
                }
                for one in self.statistics
            },
            "answers": [one.as_json() for one in self.answers],
            "verbatim": [one.as_json() for one in self.shared_runs],
            "touch": None if self.touch is None else to_builtins(self.touch),
            "absent": dict(self.missing_parts),
            "remarks": list(self.remarks),
        }


def _rounded(figure: float | ConfidenceInterval | None) -> Any:  # noqa: ANN401 - the JSON of either
    return [round(end, 5) for end in figure] if isinstance(figure, tuple) else figure and round(figure, 5)


def _shares(counts: Counter[Outcome]) -> dict[str, float]:
    ordered = sorted(counts, key=lambda outcome: (isinstance(outcome, str), outcome))
    return {str(outcome): round(share(counts, outcome), 5) for outcome in ordered}


def make_report(bundle: Bundle, pieces: Sequence[Piece], training: Sequence[Piece], seed: int) -> EvaluationReport:
    """Measure the network on `pieces`, and n-grams that are trained on `training` (empty: no n-grams).

    Raises `CorpusError` if the network needs chords and a piece has none.
    """
    all_bits = bits_of_pieces(bundle, pieces)
    evaluation, missing_parts, remarks = summarize(bundle, all_bits), dict[str, str](), []
    if evaluation.mapped_share > _MAX_MAPPED_SHARE:
        remarks.append(
            f"{100 * evaluation.mapped_share:.1f} % of the values are not in the vocabulary of the network:"
            " the figures describe the values they are mapped to, not this music"
        )
    if not training:
        missing_parts["ngrams"] = missing_parts["verbatim"] = "no pieces to train n-grams on besides the measured ones"
    titles, bits = [one.piece.title for one in all_bits], [one.value_bits for one in all_bits]
    intervals = {"bits_per_value": ratio_interval(titles, bits, [one.value_count for one in all_bits], seed)}
    if evaluation.bits_per_note is not None:
        bits = [one.value_bits + one.pitch_bits for one in all_bits]
        intervals["bits_per_note"] = ratio_interval(titles, bits, [one.note_count for one in all_bits], seed)
    return EvaluationReport(
        bundle.name, len(bundle.vocabulary), evaluation, intervals, _bits_without_motifs(bundle, pieces),
        measure_baselines(bundle.vocabulary, training, all_bits, seed) if training else [],
        shared_runs=list(_shared_runs(REAL, pieces, training)), missing_parts=missing_parts, remarks=remarks,
        touch=touch_figures(bundle, pieces),
    )  # fmt: skip


def _bits_without_motifs(bundle: Bundle, pieces: Sequence[Piece]) -> float | None:
    if not bundle.weights.motif.any():
        return None
    without = replace(bundle, weights=replace(bundle.weights, motif=NO_ROWS))
    return summarize(bundle, bits_of_pieces(without, pieces)).bits_per_value


def ratio_interval(
    titles: Sequence[str], numerators: Sequence[float], denominators: Sequence[float], seed: int = 0
) -> ConfidenceInterval | None:
    """Return the confidence interval of sum(`numerators`) / sum(`denominators`), or None for fewer than two titles.

    All three sequences have one entry for each piece. `CONFIDENCE_LEVEL` is the level.
    """
    names, title = np.unique(np.array(titles, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        return None
    top, bottom = (np.bincount(title, np.asarray(each, np.float64), len(names)) for each in (numerators, denominators))
    drawn = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    bottoms = bottom[drawn].sum(1)
    ratios = (top[drawn].sum(1)[bottoms > 0]) / bottoms[bottoms > 0]
    if not len(ratios):
        return None
    low, high = np.percentile(ratios, [50 * (1 - CONFIDENCE_LEVEL), 50 * (1 + CONFIDENCE_LEVEL)])
    return float(low), float(high)


def measure_baselines(
    vocabulary: Vocabulary, training: Sequence[Piece], all_bits: Sequence[PieceBits], seed: int
) -> list[Baseline]:
    """Measure each n-gram, trained on `training`, on the pieces of `all_bits`.

    Context chains and the mask are used only if all pieces have chords, and only for modern values: a classic value
    allows several pitches. The best n-gram with both is measured once more with the memory of the piece.
    """
    pieces, titles = [one.piece for one in all_bits], [one.piece.title for one in all_bits]
    network_bits, value_count = [one.value_bits for one in all_bits], sum(one.value_count for one in all_bits)
    chords = not vocabulary.classic and all(piece.places is not None for piece in [*training, *pieces])
    reader = NgramReader(vocabulary, chords=chords)
    training_data, measured_data = reader.read(training), reader.read(pieces)
    baselines = list[Baseline]()

    def add(family: str, name: str, chain: tuple[str, ...], bits: npt.NDArray[np.float64]) -> None:
        by_piece = np.bincount(measured_data.piece_numbers, bits, len(all_bits)).tolist()
        ratio = sum(network_bits) / max(sum(by_piece), 1e-9)
        interval = ratio_interval(titles, network_bits, by_piece, seed)
        baselines.append(Baseline(family, name, chain, sum(by_piece) / max(1, value_count), ratio, interval))

    for family, chains, mask in _FAMILY_CHAINS if chords else _FAMILY_CHAINS[:1]:
        for name, chain in chains.items():
            add(family, name, chain, ngram_value_bits(training_data, measured_data, chain, len(vocabulary), mask=mask))
    fitted_titles = set(sorted({piece.title for piece in training})[::_FITTED_EVERY])
    fitted = [piece for piece in training if piece.title in fitted_titles]
    if chords and 0 < len(fitted) < len(training):
        best = min((one for one in baselines if one.family == BASELINE_FAMILIES[3]), key=lambda one: one.bits_per_value)
        others = [piece for piece in training if piece not in fitted]
        fitting = reader.read(others), reader.read(fitted)
        bits = ngram_bits_with_memory(training_data, fitting, measured_data, best.chain, vocabulary)
        add(BASELINE_FAMILIES[4], best.name, best.chain, bits)
    return baselines


def with_played_music(
    report: EvaluationReport,
    pieces: Sequence[Piece],
    training: Sequence[Piece],
    played: Sequence[Piece],
    answers: Sequence[Answers],
    seed: int,
) -> EvaluationReport:
    """Return the report with statistics of `played` beside `pieces`, its `answers`, and what it copies."""
    return replace(
        report,
        choruses=len(played),
        answers=answers,
        statistics=compare_statistics(pieces, played, seed),
        half_distances=half_distances([*training, *pieces], seed),
        shared_runs=[*report.shared_runs, *_shared_runs(PLAYED, played, training)],
    )


def _shared_runs(whose: str, pieces: Sequence[Piece], training: Sequence[Piece]) -> Iterator[SharedRuns]:
    for match, match_key in MATCH_KEYS.items() if training else ():
        yield SharedRuns(match, whose, longest_shared_runs(pieces, training, match_key))
