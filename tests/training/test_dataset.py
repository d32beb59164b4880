# SPDX-License-Identifier: Apache-2.0
"""Pieces as numbers: what the network is fed in training is what it is fed in play."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.corpus.corpus import Corpus, read_corpus
from sideman_models.errors import BundleError, CorpusError
from sideman_models.music.context import FEATURES, ContextFeatures, clash_mask_at
from sideman_models.music.harmony import NO_CHORD
from sideman_models.music.solos import ChordGrid, Piece, Solo
from sideman_models.music.values import Value, Vocabulary
from sideman_models.training.dataset import (
    BatchWindows,
    EncodedPiece,
    PieceEncoder,
    build_vocabulary,
    extend_vocabulary,
)
from sideman_models.training.split import (
    MIN_TITLES,
    SPLIT_RULE_KEY,
    is_held_out,
    lineage,
    read_split_rule,
    split_by_rule,
    split_by_share,
    training_file_hashes,
)
from support.corpora import write_tiny_corpus
from support.strategies import modern_values


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A few random tunes."""
    return read_corpus([write_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl")])


def test_the_vocabulary_holds_what_is_seen_often_enough() -> None:
    """Values seen once would bloat the network, or common ones be missing from it."""
    often, seldom = Value("C", 6, 2), Value("X", 48, -11)
    pieces = [Piece("", "", (often,) * 6 + (seldom,) * 9), Piece("", "", (often,) * 4 + (Value("R", 12),) * 10)]
    assert build_vocabulary(pieces).values == (often, Value("R", 12))
    with pytest.raises(CorpusError, match="too little music"):
        build_vocabulary([Piece("", "", (Value("R", 12),) * 50 + (seldom,))])


def test_music_that_says_one_thing_only_is_refused() -> None:
    """A network would be trained that has nothing to choose from."""
    with pytest.raises(CorpusError, match=r"only C,0\.500,\+2 occurs 10 times"):
        build_vocabulary([Piece("", "", (Value("C", 6, 2),) * 50 + (Value("X", 48, -11),))])


@given(st.lists(modern_values(), max_size=30, unique=True), st.lists(modern_values(), max_size=30))
def test_a_longer_vocabulary_begins_with_the_old_one(old: list[Value], music: list[Value]) -> None:
    """Fine-tuning would mix up what the network has learned, or leave out what is new."""
    known = Vocabulary([*old, *({Value("C", 6, 2)} - {*old})])
    longer = extend_vocabulary(known, [Piece("", "", tuple(music))], min_count=2).values
    assert longer[: len(known)] == known.values
    assert {*longer} == {*known.values} | {value for value in music if music.count(value) > 1}
    assert len({*longer}) == len(longer)


@given(st.lists(modern_values(), max_size=40))
def test_the_order_of_values_does_not_depend_on_the_order_of_pieces(values: list[Value]) -> None:
    """The same music would make other bundles from day to day."""
    values = [*values, Value("C", 6, 2), Value("S", 6, 1)]
    one = build_vocabulary([Piece("", "", tuple(values))], min_count=1)
    assert one.values == build_vocabulary([Piece("", "", tuple(reversed(values)))], min_count=1).values


def test_a_piece_is_told_as_it_is_when_it_is_played(corpus: Corpus) -> None:
    """The network would be trained on other context and clashes than it is given on stage."""
    vocabulary, context = build_vocabulary(corpus.pieces), ContextFeatures(list(FEATURES))
    encoder = PieceEncoder(vocabulary, context)
    for piece in corpus.pieces[:3]:
        encoded = encoder.encode(piece)
        assert piece.places is not None
        assert len(encoded) == len(piece.values)
        assert encoded.mapped_count == sum(vocabulary.index_of(value) is None for value in piece.values)
        for step, (value, place) in enumerate(zip(piece.values, piece.places, strict=True)):
            assert encoded.indices[step] == vocabulary.nearest_index(value)
            np.testing.assert_array_equal(encoded.context_rows[step], context.active_rows(place))
            np.testing.assert_array_equal(
                encoder.clash_table()[encoded.clash_rows[step]], clash_mask_at(vocabulary, place)
            )


def test_values_without_chords_serve_a_network_without_context() -> None:
    """A value file would be learned over chords that are not there."""
    piece = Piece("", "", (Value("C", 6, 2), Value("R", 12)))
    vocabulary = Vocabulary([Value("C", 6, 2)])
    assert list(PieceEncoder(vocabulary, ContextFeatures()).encode(piece).indices) == [0]
    with pytest.raises(CorpusError, match="without chords"):
        PieceEncoder(vocabulary, ContextFeatures(["beat"])).encode(piece)


@st.composite
def encoded_pieces(draw: st.DrawFn) -> list[EncodedPiece]:
    """Pieces of different lengths over five values and three context rows."""
    pieces = []
    for length in draw(st.lists(st.integers(1, 40), min_size=1, max_size=12)):
        dice = np.random.default_rng(length)
        rows = np.sort(dice.integers(0, 4, (length, 2)), axis=1)
        indices, clash = (dice.integers(0, size, length).astype(np.int32) for size in (5, 3))
        pieces.append(EncodedPiece(indices, rows.astype(np.int32), clash, mapped_count=0))
    return pieces


@given(encoded_pieces(), st.integers(1, 5), st.integers(1, 9))
def test_batches_hold_every_piece_whole_and_once(pieces: list[EncodedPiece], lanes: int, steps: int) -> None:
    """Music would be lost in training, learned twice, or run on into the next piece."""
    laid = BatchWindows(pieces, 3, lanes, steps)
    windows = [laid.batch(at) for at in range(len(laid))]
    assert [laid.value_count(at) for at in range(len(laid))] == [window.valid.sum() for window in windows]
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
        (
            tuple(one.indices),
            tuple(one.clash_rows),
            tuple(tuple(sorted({*row} - {3})) for row in one.context_rows.tolist()),
        )
        for one in pieces
    ]
    assert sorted(found) == sorted(expected)


@given(encoded_pieces(), st.integers(1, 9), st.sampled_from([(4, 1), (4, 2), (6, 3), (6, 6)]))
def test_lanes_can_be_shared_out(pieces: list[EncodedPiece], steps: int, shares: tuple[int, int]) -> None:
    """Machines that train together would not learn from the same windows as one alone."""
    lanes, machines = shares
    whole = BatchWindows(pieces, 3, lanes, steps)
    each = lanes // machines
    for at in range(len(whole)):
        parts = [whole.batch(at, range(rank * each, (rank + 1) * each)) for rank in range(machines)]
        for together, alone in zip(zip(*parts, strict=True), whole.batch(at), strict=True):
            np.testing.assert_array_equal(np.concatenate(together), alone)


def test_a_window_costs_no_more_for_more_music() -> None:
    """More music than memory could not be learned from."""
    dice = np.random.default_rng(0)

    def piece() -> EncodedPiece:
        indices, rows, clash = (dice.integers(0, 3, shape).astype(np.int32) for shape in (50, (50, 2), 50))
        return EncodedPiece(indices, rows, clash, mapped_count=0)

    costs = []
    for count in (4, 400):
        pieces = [piece() for _ in range(count)]
        laid = BatchWindows(pieces, 300, 2, 16)
        tracemalloc.start()
        for at in range(len(laid)):
            laid.batch(at)
        costs.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert costs[1] < 1.5 * costs[0]


def test_lanes_are_about_equally_long(corpus: Corpus, tmp_path: Path) -> None:
    """Half of every step of training would be spent on nothing."""
    encoder = PieceEncoder(build_vocabulary(corpus.pieces), ContextFeatures())
    pieces = [encoder.encode(piece) for piece in corpus.pieces]
    laid = BatchWindows(pieces, 0, 3, 16)
    windows = [laid.batch(at) for at in range(len(laid))]
    counted = sum(int(window.valid.sum()) for window in windows)
    assert counted == sum(map(len, pieces))
    assert counted > 0.7 * sum(window.valid.size for window in windows)


def test_the_split_is_by_title_and_fixed() -> None:
    """A tune would be learned from one player and measured on another, or every version would measure another tenth."""
    titles = [f"Tune {number}" for number in range(2000)]
    assert 150 < sum(map(is_held_out, titles)) < 250
    assert [title for title in titles[:40] if is_held_out(title)] == ["Tune 7", "Tune 27", "Tune 30", "Tune 39"]
    assert all(is_held_out(title) == is_held_out(f" {title.upper()} ") for title in titles)
    split = split_by_rule([Piece(title, "", (Value("C", 6),)) for title in titles])
    assert [piece.title for piece in split.held_out] == [title for title in titles if is_held_out(title)]
    assert [piece.title for piece in split.training] == [title for title in titles if not is_held_out(title)]


@given(st.lists(st.text("abc dE", max_size=6), min_size=1, max_size=40), st.sampled_from([None, 0.01, 0.1, 0.5, 0.9]))
def test_no_title_is_on_both_sides_of_the_split(titles: list[str], share: float | None) -> None:
    """The figures would be of music that the network knows by heart; or nothing would be measured, or learned."""
    pieces = [Piece(title, str(number), (Value("C", 6, 2),)) for number, title in enumerate(titles)]
    split = split_by_share(pieces, share)
    seen, unseen = ({" ".join(one.title.lower().split()) for one in side} for side in (split.training, split.held_out))
    assert not seen & unseen
    assert len(split.training) + len(split.held_out) == len(pieces)
    assert seen
    assert bool(unseen) == (len(seen | unseen) >= (MIN_TITLES if share is None else 2))
    # Who is kept depends on the title alone, not on who else is there in what order.
    again = split_by_share(pieces[::-1], share)
    assert {one.performer for one in again.held_out} == {one.performer for one in split.held_out}
    # And the bundle's facts tell the rule whole.
    told = json.loads(json.dumps({SPLIT_RULE_KEY: split.rule.as_json()}))
    assert split_by_rule(pieces, read_split_rule(told, "")) == split
    more = [*pieces, *(Piece(f"Tune {number}", "more", (Value("C", 6, 2),)) for number in range(50))]
    assert not {one.title for one in split_by_rule(more, read_split_rule(told, "")).held_out} & {
        one.title for one in split.training
    }


def test_foreign_music_is_only_learned_from() -> None:
    """The figures would be of funk, or the network would have heard a tune that it is measured on."""
    solo = Solo("", "", (), ChordGrid((NO_CHORD,)), other_feel=True)
    ours = [Piece(f"Tune {number}", "we", (Value("C", 6, 2),)) for number in range(100)]
    theirs = [replace(piece, performer="they", solo=solo) for piece in ours]
    for share in (None, 0.3):
        split = split_by_share([*theirs, *ours], share)
        assert {piece.performer for piece in split.held_out} == {"we"}
        learned = {piece.title for piece in split.training if piece.other_feel}
        assert learned
        assert not learned & {piece.title for piece in split.held_out}
        assert not any(map(is_held_out, learned))


def test_the_usual_split_is_the_one_that_evaluate_knows() -> None:
    """`evaluate --unseen` would measure on music that the network was trained on."""
    pieces = [Piece(f"Tune {number}", "", (Value("C", 6, 2),)) for number in range(200)]
    split = split_by_share(pieces)
    assert split == split_by_rule(pieces, read_split_rule({}, "")) == split_by_rule(pieces)
    assert [piece for piece in pieces if is_held_out(piece.title)] == [*split.held_out]
    assert 10 < len(split.held_out) < 35
    assert 80 < len(split_by_share(pieces, 0.5).held_out) < 120
    assert not split_by_share(pieces, 0).held_out


def test_a_rule_of_no_sense_is_told() -> None:
    """Music that a network knows by heart would be called unseen, or the program look broken."""
    wrong: list[object] = [
        [],
        {"share": 0.1},
        {"words": "some", "titles": "Blues"},
        {"words": "some", "share": "a tenth"},
    ]
    for told in wrong:
        with pytest.raises(BundleError, match="mine: facts: held_back"):
            read_split_rule({SPLIT_RULE_KEY: told}, "mine")


def test_all_files_that_a_network_ever_learned_from_are_known() -> None:
    """Music that the network one began from knows by heart would be measured without a word."""
    facts = {"files": {"a.mid": "2"}, "from": {"files": {"a.mid": "1", "odd": 3}, "from": {"files": []}}}
    assert list(map(training_file_hashes, lineage(facts))) == [{"2"}, {"1"}, set()]
    assert list(map(training_file_hashes, lineage({"from": "nowhere"}))) == [set()]
