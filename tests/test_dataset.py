# SPDX-License-Identifier: Apache-2.0
"""Pieces as numbers: what the network is fed in training is what it is fed in play."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import tiny_corpus
from sideman_models.context import FEATURES, Context, clashes
from sideman_models.corpus import Corpus, Piece, read
from sideman_models.dataset import Encoded, Encoder, batches, build_vocabulary
from sideman_models.errors import CorpusError
from sideman_models.values import Value, Vocabulary
from strategies import modern_values


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A few random tunes."""
    return read([tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl")])


def test_the_vocabulary_holds_what_is_seen_often_enough() -> None:
    """Values seen once would bloat the network, or common ones be missing from it."""
    often, seldom = Value("C", 6, 2), Value("X", 48, -11)
    pieces = [Piece("", "", (often,) * 6 + (seldom,) * 9), Piece("", "", (often,) * 4 + (Value("R", 12),) * 10)]
    assert build_vocabulary(pieces).values == (often, Value("R", 12))
    with pytest.raises(CorpusError, match="too little music"):
        build_vocabulary([Piece("", "", (Value("R", 12),) * 50 + (seldom,))])


@given(st.lists(modern_values(), max_size=40))
def test_the_order_of_values_does_not_depend_on_the_order_of_pieces(values: list[Value]) -> None:
    """The same music would make other bundles from day to day."""
    values = [*values, Value("C", 6, 2)]
    one = build_vocabulary([Piece("", "", tuple(values))], seen=1)
    assert one.values == build_vocabulary([Piece("", "", tuple(reversed(values)))], seen=1).values


def test_a_piece_is_told_as_it_is_when_it_is_played(corpus: Corpus) -> None:
    """The network would be trained on other context and clashes than it is given on stage."""
    vocabulary, context = build_vocabulary(corpus.pieces), Context(list(FEATURES))
    encoder = Encoder(vocabulary, context)
    for piece in corpus.pieces[:3]:
        encoded = encoder.encode(piece)
        assert piece.places is not None
        assert len(encoded) == len(piece.values)
        assert encoded.mapped == sum(vocabulary.index(value) is None for value in piece.values)
        for step, (value, place) in enumerate(zip(piece.values, piece.places, strict=True)):
            assert encoded.indices[step] == vocabulary.nearest(value)
            np.testing.assert_array_equal(encoded.rows[step], context.rows(place))
            np.testing.assert_array_equal(encoder.clash_table()[encoded.clash[step]], clashes(vocabulary, place))


def test_values_without_chords_serve_a_network_without_context() -> None:
    """A value file would be learned over chords that are not there."""
    piece = Piece("", "", (Value("C", 6, 2), Value("R", 12)))
    vocabulary = Vocabulary([Value("C", 6, 2)])
    assert list(Encoder(vocabulary, Context()).encode(piece).indices) == [0]
    with pytest.raises(CorpusError, match="without chords"):
        Encoder(vocabulary, Context(["beat"])).encode(piece)


@st.composite
def encoded_pieces(draw: st.DrawFn) -> list[Encoded]:
    """Pieces of different lengths over five values and three context rows."""
    pieces = []
    for length in draw(st.lists(st.integers(1, 40), min_size=1, max_size=12)):
        dice = np.random.default_rng(length)
        rows = np.sort(dice.integers(0, 4, (length, 2)), axis=1)
        indices, clash = (dice.integers(0, size, length).astype(np.int32) for size in (5, 3))
        pieces.append(Encoded(indices, rows.astype(np.int32), clash, mapped=0))
    return pieces


@given(encoded_pieces(), st.integers(1, 5), st.integers(1, 9))
def test_batches_hold_every_piece_whole_and_once(pieces: list[Encoded], lanes: int, steps: int) -> None:
    """Music would be lost in training, learned twice, or run on into the next piece."""
    windows = list(batches(pieces, 3, lanes, steps))
    assert all(window.targets.shape == (lanes, steps) for window in windows)
    previous, targets, context, clash, goes_on, counts = (
        np.concatenate([window[part] for window in windows], axis=1) for part in range(6)
    )
    found = []
    for lane in range(lanes):
        length = int(counts[lane].sum())
        assert counts[lane, :length].all()
        starts = [*np.flatnonzero(~goes_on[lane, :length]), length]
        for start, end in pairwise(starts):
            here = slice(start, end)
            assert previous[lane, start] == -1
            np.testing.assert_array_equal(previous[lane, start + 1 : end], targets[lane, start : end - 1])
            lit = [tuple(np.flatnonzero(row)) for row in context[lane, here]]
            found.append((tuple(targets[lane, here]), tuple(clash[lane, here]), tuple(lit)))
    expected = [
        (tuple(one.indices), tuple(one.clash), tuple(tuple(sorted({*row} - {3})) for row in one.rows.tolist()))
        for one in pieces
    ]
    assert sorted(found) == sorted(expected)


def test_lanes_are_about_equally_long(corpus: Corpus, tmp_path: Path) -> None:
    """Half of every step of training would be spent on nothing."""
    encoder = Encoder(build_vocabulary(corpus.pieces), Context())
    pieces = [encoder.encode(piece) for piece in corpus.pieces]
    windows = list(batches(pieces, 0, 3, 16))
    counted = sum(int(window.counts.sum()) for window in windows)
    assert counted == sum(map(len, pieces))
    assert counted > 0.7 * sum(window.counts.size for window in windows)
