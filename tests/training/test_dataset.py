# SPDX-License-Identifier: Apache-2.0
"""The vocabulary, and windows of encoded pieces."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.corpus.corpus import Corpus, read_corpus
from sideman_models.errors import CorpusError
from sideman_models.music.context import ContextFeatures
from sideman_models.music.solos import Piece
from sideman_models.music.values import Value, Vocabulary
from sideman_models.network.encoding import EncodedPiece, PieceEncoder
from sideman_models.training.dataset import BatchWindows, build_vocabulary, extend_vocabulary
from support.corpora import write_tiny_corpus
from support.strategies import modern_values


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A few random pieces."""
    return read_corpus([write_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl")])


def test_the_vocabulary_holds_the_frequent_values() -> None:
    """Guards against: rare values in the vocabulary, or frequent ones missing from it."""
    frequent, rare = Value("C", 6, 2), Value("X", 48, -11)
    pieces = [Piece("", "", (frequent,) * 6 + (rare,) * 9), Piece("", "", (frequent,) * 4 + (Value("R", 12),) * 10)]
    assert build_vocabulary(pieces).values == (frequent, Value("R", 12))
    with pytest.raises(CorpusError, match="too little music"):
        build_vocabulary([Piece("", "", (Value("R", 12),) * 50 + (rare,))])


def test_music_with_a_single_frequent_value_is_refused() -> None:
    """Guards against: a network that has nothing to choose from."""
    with pytest.raises(CorpusError, match=r"only C,0\.500,\+2 occurs 10 times"):
        build_vocabulary([Piece("", "", (Value("C", 6, 2),) * 50 + (Value("X", 48, -11),))])


@given(st.lists(modern_values(), max_size=30, unique=True), st.lists(modern_values(), max_size=30))
def test_an_extended_vocabulary_starts_with_the_old_one(old: list[Value], music: list[Value]) -> None:
    """Guards against: fine-tuning that mixes up the known values, or leaves out new ones."""
    known = Vocabulary([*old, *({Value("C", 6, 2)} - {*old})])
    longer = extend_vocabulary(known, [Piece("", "", tuple(music))], min_count=2).values
    assert longer[: len(known)] == known.values
    assert {*longer} == {*known.values} | {value for value in music if music.count(value) > 1}
    assert len({*longer}) == len(longer)


@given(st.lists(modern_values(), max_size=40))
def test_the_order_of_values_does_not_depend_on_the_order_of_pieces(values: list[Value]) -> None:
    """Guards against: different bundles from the same music."""
    values = [*values, Value("C", 6, 2), Value("S", 6, 1)]
    one = build_vocabulary([Piece("", "", tuple(values))], min_count=1)
    assert one.values == build_vocabulary([Piece("", "", tuple(reversed(values)))], min_count=1).values


@st.composite
def encoded_pieces(draw: st.DrawFn) -> list[EncodedPiece]:
    """Draw pieces of different lengths over five values and three context rows."""
    pieces = []
    for length in draw(st.lists(st.integers(1, 40), min_size=1, max_size=12)):
        generator = np.random.default_rng(length)
        rows = np.sort(generator.integers(0, 4, (length, 2)), axis=1)
        indices, clash = (generator.integers(0, size, length).astype(np.int32) for size in (5, 3))
        pieces.append(EncodedPiece(indices, rows.astype(np.int32), clash, mapped_count=0))
    return pieces


@given(encoded_pieces(), st.integers(1, 5), st.integers(1, 9))
def test_windows_hold_every_piece_whole_and_once(pieces: list[EncodedPiece], lanes: int, steps: int) -> None:
    """Guards against: music that is lost, trained on twice, or joined to the next piece."""
    batches = BatchWindows(pieces, 3, lanes, steps)
    windows = [batches.batch(number) for number in range(len(batches))]
    assert [batches.value_count(number) for number in range(len(batches))] == [window.valid.sum() for window in windows]
    assert all(window.targets.shape == (lanes, steps) for window in windows)
    inputs, targets, context, clash_rows, keeps_state, valid = (
        np.concatenate([window[part] for window in windows], axis=1) for part in range(6)
    )
    found = []
    for lane in range(lanes):
        length = int(valid[lane].sum())
        assert valid[lane, :length].all()
        starts = [*np.flatnonzero(~keeps_state[lane, :length]), length]
        for start, end in pairwise(starts):
            part = slice(start, end)
            assert inputs[lane, start] == -1
            np.testing.assert_array_equal(inputs[lane, start + 1 : end], targets[lane, start : end - 1])
            active = [tuple(np.flatnonzero(row)) for row in context[lane, part]]
            found.append((tuple(targets[lane, part]), tuple(clash_rows[lane, part]), tuple(active)))
    expected = [
        (
            tuple(piece.indices),
            tuple(piece.clash_rows),
            tuple(tuple(sorted({*row} - {3})) for row in piece.context_rows.tolist()),
        )
        for piece in pieces
    ]
    assert sorted(found) == sorted(expected)


@given(encoded_pieces(), st.integers(1, 9), st.sampled_from([(4, 1), (4, 2), (6, 3), (6, 6)]))
def test_lanes_can_be_divided_among_machines(pieces: list[EncodedPiece], steps: int, shares: tuple[int, int]) -> None:
    """Guards against: a cluster that trains on other windows than a single machine."""
    lanes, machines = shares
    whole = BatchWindows(pieces, 3, lanes, steps)
    share = lanes // machines
    for number in range(len(whole)):
        parts = [whole.batch(number, range(rank * share, (rank + 1) * share)) for rank in range(machines)]
        for together, alone in zip(zip(*parts, strict=True), whole.batch(number), strict=True):
            np.testing.assert_array_equal(np.concatenate(together), alone)


def test_the_memory_for_a_window_does_not_grow_with_the_music() -> None:
    """Guards against: training that needs memory for all the music at once."""
    generator = np.random.default_rng(0)

    def piece() -> EncodedPiece:
        indices, rows, clash = (generator.integers(0, 3, shape).astype(np.int32) for shape in (50, (50, 2), 50))
        return EncodedPiece(indices, rows, clash, mapped_count=0)

    costs = []
    for count in (4, 400):
        pieces = [piece() for _ in range(count)]
        batches = BatchWindows(pieces, 300, 2, 16)
        tracemalloc.start()
        for number in range(len(batches)):
            batches.batch(number)
        costs.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert costs[1] < 1.5 * costs[0]


def test_lanes_are_about_equally_long(corpus: Corpus, tmp_path: Path) -> None:
    """Guards against: training steps that are mostly empty."""
    encoder = PieceEncoder(build_vocabulary(corpus.pieces), ContextFeatures())
    pieces = [encoder.encode(piece) for piece in corpus.pieces]
    batches = BatchWindows(pieces, 0, 3, 16)
    windows = [batches.batch(number) for number in range(len(batches))]
    counted = sum(int(window.valid.sum()) for window in windows)
    assert counted == sum(map(len, pieces))
    assert counted > 0.7 * sum(window.valid.size for window in windows)
