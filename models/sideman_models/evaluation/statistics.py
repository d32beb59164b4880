# SPDX-License-Identifier: Apache-2.0
"""Statistics of music: they compare what a network plays with the music it was trained on.

A statistic is a distribution over a few outcomes, such as the kinds of values. The measure of how much two
distributions differ is the **Jensen-Shannon distance**: the square root of the Jensen-Shannon divergence in bits (Lin,
1991; Endres and Schindelin, 2003), from 0 (equal) to 1 (nothing in common). Small samples of the same music differ too.
So each distance is reported with the **half distance**: that between two random halves of the real pieces, split by
title, as the median of many splits.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.music.solos import BAR_TICKS, Piece
from sideman_models.music.values import TICKS_PER_QUARTER

Outcome = str | int
Reals = npt.NDArray[np.float64]

HALF_SPLITS = 100
MOTIF_LENGTH = 4
"""The number of values in a row that count as one motif."""
STRONG_BEAT_TICKS = (0, 2 * TICKS_PER_QUARTER)
"""The ticks of the first and the third beat in a bar of four beats."""
_NOTE_BINS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
NOTE_OVERFLOW_BIN = _NOTE_BINS[-1] + 1
"""The outcome for phrases with more notes than the last bin."""
_BEAT_BINS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_SEMITONE_BINS = (0, 3, 5, 7, 9, 12, 15, 18, 21, 24, 30)


def _intervals(piece: Piece) -> Iterator[Outcome]:
    return (value.interval for value in piece.values if isinstance(value.interval, int))


def _repeated_motifs(piece: Piece) -> Iterator[Outcome]:
    seen = set()
    for start in range(len(piece.values) - MOTIF_LENGTH + 1):
        motif = piece.values[start : start + MOTIF_LENGTH]
        yield "again" if motif in seen else "new"
        seen.add(motif)


def _phrase_ranges(piece: Piece) -> Iterator[Outcome]:
    for phrase in phrases(piece) if piece.pitches else ():
        pitches = [pitch for pitch in (piece.pitches or ())[phrase] if pitch is not None]
        yield _bin_of(max(pitches) - min(pitches), _SEMITONE_BINS)


def _bin_of(number: float, bounds: Sequence[int]) -> int:
    """Return the smallest of `bounds` that is not less than `number`, or the last one plus 1 if there is none."""
    place = bisect_left(bounds, number)
    return bounds[place] if place < len(bounds) else bounds[-1] + 1


def phrases(piece: Piece) -> Iterator[slice]:
    """Yield the slice of each phrase, first to last note. It begins at the first note or one without an interval."""
    notes = [at for at, value in enumerate(piece.values) if value.kind != "R"]
    firsts = [number for number, at in enumerate(notes) if number == 0 or piece.values[at].interval is None]
    for first, end in pairwise([*firsts, len(notes)]):
        yield slice(notes[first], notes[end - 1] + 1)


STATISTICS: dict[str, Callable[[Piece], Iterator[Outcome]]] = {
    "kinds": lambda piece: (value.kind for value in piece.values),
    "durations": lambda piece: (value.ticks for value in piece.values if value.kind != "R"),
    "intervals": _intervals,
    "strong beats": lambda piece: (
        value.kind
        for value, place in zip(piece.values, piece.places or (), strict=False)
        if value.kind != "R" and place.tick_in_bar % BAR_TICKS in STRONG_BEAT_TICKS
    ),
    "phrases in notes": lambda piece: (
        _bin_of(sum(value.kind != "R" for value in piece.values[phrase]), _NOTE_BINS) for phrase in phrases(piece)
    ),
    "phrases in beats": lambda piece: (
        _bin_of(sum(value.ticks for value in piece.values[phrase]) / TICKS_PER_QUARTER, _BEAT_BINS)
        for phrase in phrases(piece)
    ),
    "ranges of phrases": _phrase_ranges,
    "pitches": lambda piece: (pitch for pitch in piece.pitches or () if pitch is not None),
    "repeated pitches": lambda piece: ("again" if interval == 0 else "another" for interval in _intervals(piece)),
    "repeated motifs": _repeated_motifs,
}
"""The statistics by name. Each function yields the outcomes of a piece.

In order: the kinds of all values; the durations of notes in ticks; the intervals in semitones; the kinds of the notes
that begin on the first or third beat; by bins, the lengths of phrases in notes and in beats, and the semitones from the
lowest to the highest note of a phrase; the pitches; whether an interval repeats the pitch; whether a run of
`MOTIF_LENGTH` values occurred before in the piece.
"""


def count_statistics(pieces: Sequence[Piece]) -> Mapping[str, Counter[Outcome]]:
    """Count all statistics over the pieces. A statistic that needs what the pieces do not have is empty."""
    return {name: Counter(chain.from_iterable(map(outcomes, pieces))) for name, outcomes in STATISTICS.items()}


def share(counts: Counter[Outcome], outcome: Outcome) -> float:
    """Return the share of one outcome (0..1)."""
    return counts[outcome] / max(1, sum(counts.values()))


def jensen_shannon_divergence(one: Reals, other: Reals) -> Reals:
    """Return the Jensen-Shannon divergence in bits along the last axis. Counts need not be normalised."""
    both = np.stack([counts / counts.sum(-1, keepdims=True) for counts in (one, other)])
    # The mean of the Kullback-Leibler divergences of each from their middle; 0 log 0 counts as 0.
    logarithms = np.log2(np.divide(both, both.mean(0), out=np.ones_like(both), where=both > 0))
    return np.asarray(np.maximum(0.0, (both * logarithms).sum(-1).mean(0)))


def jensen_shannon_distance(one: Counter[Outcome], other: Counter[Outcome]) -> float | None:
    """Return the Jensen-Shannon distance of two statistics (0..1), or None if one of them is empty."""
    if not one or not other:
        return None
    outcomes = sorted({*one, *other}, key=str)
    counts = (np.array([float(each[outcome]) for outcome in outcomes]) for each in (one, other))
    return math.sqrt(float(jensen_shannon_divergence(*counts)))


def half_distances(pieces: Sequence[Piece], seed: int = 0) -> dict[str, float | None]:
    """Return by statistic the median distance of random halves of the titles (None: empty, or under two titles)."""
    titles = sorted({piece.title for piece in pieces})
    by_title = [count_statistics([piece for piece in pieces if piece.title == title]) for title in titles]
    medians: dict[str, float | None] = dict.fromkeys(STATISTICS)
    if len(titles) < 2:
        return medians
    random_source = np.random.default_rng(seed)
    in_first_half = np.array([random_source.permutation(len(titles)) < len(titles) // 2 for _ in range(HALF_SPLITS)])
    for name in STATISTICS:
        outcomes = sorted(set().union(*(counts[name] for counts in by_title)), key=str)
        table = np.array([[float(counts[name][outcome]) for outcome in outcomes] for counts in by_title])
        one, other = in_first_half @ table, ~in_first_half @ table  # (splits, outcomes)
        filled = (one.sum(1) > 0) & (other.sum(1) > 0)
        if filled.any():
            medians[name] = float(np.median(np.sqrt(jensen_shannon_divergence(one[filled], other[filled]))))
    return medians


class Comparison(Struct, frozen=True):
    """One statistic of `real` and `played` music, with the distance between them and the half distance."""

    name: str
    real: Counter[Outcome]
    played: Counter[Outcome]
    distance: float
    half_distance: float | None

    @property
    def distance_ratio(self) -> float | None:
        """The distance divided by the half distance."""
        return self.distance / self.half_distance if self.half_distance else None


def compare_statistics(real: Sequence[Piece], played: Sequence[Piece], seed: int = 0) -> list[Comparison]:
    """Compare each statistic that both have. The half distances are those of the real pieces."""
    real_counts, played_counts = count_statistics(real), count_statistics(played)
    halves = half_distances(real, seed)
    return [
        Comparison(name, real_counts[name], played_counts[name], distance, halves[name])
        for name in STATISTICS
        if (distance := jensen_shannon_distance(real_counts[name], played_counts[name])) is not None
    ]
