# SPDX-License-Identifier: Apache-2.0
"""The statistics of music, and the distances between them."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.corpus.corpus import read_corpus
from sideman_models.evaluation.statistics import (
    HALF_SPLITS,
    STATISTICS,
    Outcome,
    compare_statistics,
    count_statistics,
    half_distances,
    jensen_shannon_distance,
    jensen_shannon_divergence,
    phrases,
)
from sideman_models.music.line import LineNote
from sideman_models.music.solos import ChordGrid, Piece, Solo, solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER, IntervalRange, Value
from support.corpora import write_tiny_corpus
from support.strategies import beat_changes, lines

counters = st.dictionaries(st.integers(0, 6), st.integers(1, 50), max_size=6).map(Counter)


def entropy(probabilities: list[float]) -> float:
    """Return the entropy in bits."""
    return -sum(p * math.log2(p) for p in probabilities if p)


@given(counters, counters)
def test_the_distance_is_that_of_jensen_and_shannon(one: Counter[Outcome], other: Counter[Outcome]) -> None:
    """Guards against: distances that cannot be compared with those of others: here they are computed from entropies."""
    distance = jensen_shannon_distance(one, other)
    if not one or not other:
        assert distance is None
        return
    shares = [[each[k] / sum(each.values()) for k in range(7)] for each in (one, other)]
    middle = [(p + q) / 2 for p, q in zip(*shares, strict=True)]
    assert distance is not None
    assert distance**2 == pytest.approx(entropy(middle) - (entropy(shares[0]) + entropy(shares[1])) / 2, abs=1e-9)
    assert jensen_shannon_distance(other, one) == pytest.approx(distance, abs=1e-7)
    assert 0 <= distance <= 1 + 1e-9


def test_the_ends_of_the_scale() -> None:
    """Guards against: a figure that cannot be interpreted: 0 is equal, 1 is nothing in common."""
    assert jensen_shannon_distance(Counter("aab"), Counter("aabaab")) == 0
    assert jensen_shannon_distance(Counter("a"), Counter("b")) == 1
    assert jensen_shannon_divergence(
        np.array([[1.0, 1.0], [2.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 3.0]])
    ).tolist() == [0, 1]


def piece(*texts: str, title: str = "") -> Piece:
    """Return a piece without chords."""
    values = []
    for text in texts:
        kind, beats, *interval = text.split(",")
        values.append(Value(kind, round(float(beats) * TICKS_PER_QUARTER), int(interval[0]) if interval else None))
    return Piece(title, "", tuple(values))


def test_what_is_counted() -> None:
    """Guards against: a statistic that counts something else than its name says."""
    line = piece("R,1", "C,1", "S,0.5,+2", "R,1", "C,0.5,+0", "R,2", "A,1", "C,0.5,-1", "R,3")
    counts = count_statistics([line])
    assert counts["kinds"] == {"C": 3, "S": 1, "A": 1, "R": 4}
    assert counts["durations"] == {12: 2, 6: 3}
    assert counts["intervals"] == {2: 1, 0: 1, -1: 1}
    assert counts["repeated pitches"] == {"again": 1, "another": 2}
    assert list(phrases(line)) == [slice(1, 5), slice(6, 8)]
    assert list(phrases(piece("R,1", "R,2"))) == []
    assert counts["phrases in notes"] == {3: 1, 2: 1}
    assert counts["phrases in beats"] == {3: 1, 2: 1}
    assert not counts["strong beats"]
    assert not counts["pitches"]
    motif = ["C,1,+2", "S,1,-2", "C,0.5,+1", "S,0.5,-1"]
    assert count_statistics([piece(*motif, *motif), piece(*motif)])["repeated motifs"] == {"new": 5, "again": 1}
    assert not count_statistics([Piece("", "", (Value("C", 6, IntervalRange("P1", "d-5")),))])["intervals"]


@given(lines(), beat_changes())
def test_every_piece_can_be_counted(notes: list[LineNote], changes: ChordGrid) -> None:
    """Guards against: a solo that cannot be compared, or that has more notes in the statistics than in the music."""
    line = solo_to_piece(Solo("", "", tuple(notes), changes))
    counts = count_statistics([line])
    note_count = sum(value.kind != "R" for value in line.values)
    assert sum(counts["kinds"].values()) == len(line.values)
    assert sum(counts["pitches"].values()) == sum(counts["durations"].values()) == note_count
    parts = [line.values[phrase] for phrase in phrases(line)]
    assert sum(value.kind != "R" for part in parts for value in part) == note_count
    assert all(part[0].kind != "R" != part[-1].kind for part in parts)
    assert sum(counts["phrases in notes"].values()) == sum(counts["ranges of phrases"].values()) == len(parts)
    strong = [
        place.tick_in_bar
        for place, pitch in zip(line.places or (), line.pitches or (), strict=True)
        if pitch is not None
    ]
    assert sum(counts["strong beats"].values()) == sum(tick in (0, 24) for tick in strong)


def leap(value: Value) -> Value:
    """Return the value with its interval a fifth wider, if it has one."""
    return Value(value.kind, value.ticks, value.interval + 7 if isinstance(value.interval, int) else None)


def test_halves_of_the_same_music_are_nearer_than_other_music(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Guards against: a distance without a scale to judge it by."""
    folder = tmp_path_factory.mktemp("corpus")
    one, same = (
        read_corpus([write_tiny_corpus(folder / f"{seed}.jsonl", titles=20, seed=seed)]).pieces for seed in (0, 1)
    )
    leaping = [Piece(each.title, "", tuple(map(leap, each.values))) for each in one]
    alike, unlike = ({each.name: each for each in compare_statistics(one, other)} for other in (same, leaping))
    assert set(alike) == set(STATISTICS)
    assert set(unlike) == set(STATISTICS) - {"strong beats", "pitches", "ranges of phrases"}
    assert (alike["kinds"].distance_ratio or 9) < 2
    assert (unlike["intervals"].distance_ratio or 0) > 5
    assert unlike["intervals"].distance > 0.9
    assert unlike["kinds"].distance == 0
    assert half_distances(one, seed=3) == half_distances(one, seed=3) != half_distances(one, seed=4)


def test_the_halves_are_halves_of_the_titles() -> None:
    """Guards against: halves that look too similar because pieces of one title are in both."""
    same = [piece("C,1", title="A"), piece("C,1", title="A"), piece("S,1", title="B"), piece("S,1", title="B")]
    assert half_distances(same)["kinds"] == 1
    assert half_distances(same[:2]) == dict.fromkeys(STATISTICS)
    [kinds] = [each for each in compare_statistics(same[:2], same) if each.name == "kinds"]
    assert kinds.half_distance is None
    assert kinds.distance_ratio is None
    assert HALF_SPLITS >= 100
