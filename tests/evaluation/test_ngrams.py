# SPDX-License-Identifier: Apache-2.0
"""The n-grams a network is measured against: a weak or broken opponent would make every network look good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.corpus.corpus import read_corpus
from sideman_models.errors import CorpusError
from sideman_models.evaluation.ngrams import (
    CLASH_ITEM,
    CONTEXT_CHAINS,
    CONTEXT_ITEMS,
    MAX_ORDER,
    PREVIOUS_DURATION,
    PREVIOUS_INTERVAL,
    PREVIOUS_IS_REST,
    VALUE_CHAINS,
    KneserNey,
    NgramData,
    NgramReader,
    apply_mask,
    clash_share,
    discounts,
    ngram_value_bits,
    previous_value_item,
    value_chain,
)
from sideman_models.music.solos import Piece
from sideman_models.music.values import Value, Vocabulary
from sideman_models.training.dataset import build_vocabulary
from sideman_models.training.split import split_by_rule as parted
from support.corpora import write_tiny_corpus

VALUES = 5
Told = tuple[tuple[int, ...], int]
"""A history and the value after it."""


class Plain:
    """Interpolated modified Kneser-Ney again, written down with dictionaries as the paper has it."""

    def __init__(self, told: Sequence[Told], n_values: int) -> None:
        self.n_values = n_values
        self.depth = len(told[0][0])
        counts: dict[tuple[int, ...], Counter[int]] = {}
        for history, value in told:
            counts.setdefault(history, Counter())[value] += 1
        self.counts = {self.depth: counts}
        for depth in range(self.depth - 1, -1, -1):
            # In how many different ways one item more comes before this.
            ways = {(history[: depth + 1], value) for history, value in told}
            counts = {}
            for history, value in ways:
                counts.setdefault(history[:depth], Counter())[value] += 1
            self.counts[depth] = counts

    def discount(self, depth: int, count: int) -> float:
        """D1, D2 or D3+."""
        every = Counter(min(each, 5) for values in self.counts[depth].values() for each in values.values())
        i = min(count, 3)
        if not every[1] or not every[i]:
            return 0.5
        y = every[1] / (every[1] + 2 * every[2])
        return max(0.1, i - (i + 1) * y * every[i + 1] / every[i])

    def chance(self, history: tuple[int, ...], value: int, depth: int | None = None) -> float:
        """The probability of `value` after `history`."""
        depth = self.depth if depth is None else depth
        below = 1 / self.n_values if depth == 0 else self.chance(history, value, depth - 1)
        counts = self.counts[depth].get(history[:depth])
        if counts is None:
            return below
        freed = sum(self.discount(depth, count) for count in counts.values())
        own = counts[value] - self.discount(depth, counts[value]) if counts[value] else 0.0
        return (own + freed * below) / sum(counts.values())


@st.composite
def tellings(draw: st.DrawFn) -> tuple[list[Told], list[Told]]:
    """What was read, and what is to be foretold, with histories of one length."""
    depth = draw(st.integers(0, 3))
    histories = st.tuples(*[st.integers(0, 3)] * depth)
    one = st.tuples(histories, st.integers(0, VALUES - 1))
    return draw(st.lists(one, min_size=1, max_size=40)), draw(st.lists(one, min_size=1, max_size=8))


PARTS: dict[str, Callable[[Value], object]] = {
    PREVIOUS_IS_REST: lambda value: value.kind == "R",
    PREVIOUS_DURATION: lambda value: value.ticks,
    PREVIOUS_INTERVAL: lambda value: value.interval,
}
"""What the items that tell a part of a value tell of it."""


def arrays(told: Sequence[Told]) -> tuple[np.ndarray, np.ndarray]:
    """Histories (T, k) and targets (T,)."""
    depth = len(told[0][0])
    return np.array([history for history, _ in told], np.int64).reshape(len(told), depth), np.array(
        [v for _, v in told]
    )


@given(tellings())
def test_it_is_kneser_ney(drawn: tuple[list[Told], list[Told]]) -> None:
    """The opponent would not be the one it is called; here a second program, as the paper writes it, says the same."""
    training, asked = drawn
    plain, model = Plain(training, VALUES), KneserNey(*arrays(training), VALUES)
    expected = [plain.chance(*each) for each in asked]
    np.testing.assert_allclose(model.target_probabilities(*arrays(asked)), expected, rtol=1e-12)


@given(tellings())
def test_the_chances_are_chances(drawn: tuple[list[Told], list[Told]]) -> None:
    """Bits would be told of what is no code: not summing to one, or nothing left for what was never seen."""
    training, asked = drawn
    model = KneserNey(*arrays(training), VALUES)
    histories, targets = arrays(asked)
    everything = model.probabilities(histories)
    np.testing.assert_allclose(everything.sum(1), 1.0, rtol=1e-12)
    assert (everything > 0).all()
    np.testing.assert_allclose(
        everything[np.arange(len(targets)), targets], model.target_probabilities(histories, targets)
    )


def test_what_was_never_seen_before_counts_by_the_company_it_keeps() -> None:
    """It would be an ordinary back-off: `b` is frequent, but only ever after `a`; `c` comes after anything."""
    told = [((0,), 1)] * 20 + [((history,), 2) for history in (0, 1, 2, 3)]
    model = KneserNey(*arrays(told), VALUES)
    chances = model.probabilities(np.array([[9]]))[0]
    assert chances[2] > 2 * chances[1]


def test_with_nothing_read_all_values_are_alike() -> None:
    """An evaluation without training pieces would fail instead of telling the worst."""
    model = KneserNey(np.zeros((0, 2), np.int64), np.zeros(0, np.int64), VALUES)
    np.testing.assert_allclose(model.probabilities(np.array([[1, 2]])), 1 / VALUES)


def test_the_discounts_are_chen_and_goodmans() -> None:
    """The opponent would be weaker than it could be."""
    counts = np.repeat([1, 2, 3, 4, 9], [40, 20, 10, 5, 3])
    y = 40 / (40 + 2 * 20)
    assert discounts(counts) == pytest.approx((1 - 2 * y * 20 / 40, 2 - 3 * y * 10 / 20, 3 - 4 * y * 5 / 10))
    assert discounts(np.array([7, 8])) == (0.5, 0.5, 0.5)


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 0.5))
def test_the_mask_leaves_what_clashes_its_share(seed: int, share: float) -> None:
    """The masked opponent would be no distribution, or would be denied what the network is given."""
    dice = np.random.default_rng(seed)
    chances = dice.dirichlet(np.ones(6), 4)
    clash = dice.random((4, 6)) < 0.5
    clash[0], clash[1] = False, True
    after = apply_mask(chances, clash, share)
    np.testing.assert_allclose(after.sum(1), 1.0)
    np.testing.assert_array_equal(after[:2], chances[:2])
    for row in (2, 3):
        if clash[row].any() and not clash[row].all():
            assert after[row][clash[row]].sum() == pytest.approx(share)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> tuple[Vocabulary, list[Piece], list[Piece]]:
    """A few random tunes: the vocabulary of those to learn from, these, and the others."""
    corpus = read_corpus([write_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl", titles=60)])
    split = parted(corpus.pieces)
    return build_vocabulary(split.training), [*split.training], [*split.held_out]


def test_histories_hold_what_was_before(music: tuple[Vocabulary, list[Piece], list[Piece]]) -> None:
    """The opponent would see the value it is to foretell, or one of another piece."""
    vocabulary, seen, _ = music
    events = NgramReader(vocabulary, chords=True).read(seen[:3])
    indices = [[vocabulary.nearest_index(value) for value in piece.values] for piece in seen[:3]]
    assert events.targets.tolist() == list(chain(*indices))
    assert events.piece_numbers.tolist() == list(
        chain(*([number] * len(piece) for number, piece in enumerate(indices)))
    )
    start = len(vocabulary)
    for steps in range(1, MAX_ORDER):
        before = list(chain(*(([start] * steps + piece)[: len(piece)] for piece in indices)))
        assert events.items[previous_value_item(steps)].tolist() == before
    places = [place for piece in seen[:3] for place in piece.places or ()]
    assert events.items["position in the bar"].tolist() == [place.tick_in_bar for place in places]
    assert set(events.items) == {*CONTEXT_ITEMS, CLASH_ITEM, *PARTS, *map(previous_value_item, range(1, MAX_ORDER))}
    for name, part in PARTS.items():
        told: dict[int, set[object]] = {}
        for last, item in zip(events.items[previous_value_item(1)].tolist(), events.items[name].tolist(), strict=True):
            told.setdefault(item, set()).add("none" if last == start else part(vocabulary.values[last]))
        assert all(len(parts) == 1 for parts in told.values())
        assert len(told) == len(set().union(*told.values()))
    for at, place in enumerate(places):
        flags = vocabulary.clash_mask(place.chord, place.previous_pitch)
        np.testing.assert_array_equal(events.clash_table[events.clash_rows[at]], flags)


def test_knowing_more_costs_fewer_bits(music: tuple[Vocabulary, list[Piece], list[Piece]]) -> None:
    """Chain and mask would be for show: in tunes of eighths in a few keys they must tell something."""
    vocabulary, seen, unseen = music
    reader = NgramReader(vocabulary, chords=True)
    training, rest = reader.read(seen), reader.read(unseen)
    n = len(vocabulary)
    unigram = ngram_value_bits(training, rest, value_chain(1), n).mean()
    bigram = ngram_value_bits(training, rest, value_chain(2), n).mean()
    assert bigram < unigram < np.log2(n)
    assert ngram_value_bits(training, rest, value_chain(2), n, mask=True).mean() < bigram - 0.2
    assert ngram_value_bits(training, rest, (CLASH_ITEM, previous_value_item(1)), n).mean() < bigram - 0.2
    assert 0 < clash_share(training) < 0.05
    both = ngram_value_bits(training, rest, (CLASH_ITEM, previous_value_item(1)), n, mask=True)
    assert both.shape == rest.targets.shape
    assert (both > 0).all()


def test_lines_without_chords_have_no_items_of_chords() -> None:
    """A value file could not be measured."""
    vocabulary = Vocabulary([Value("C", 6, 2), Value("S", 6, 1), Value("R", 12)])
    piece = Piece("", "", (Value("C", 6, 2), Value("S", 6, 1), Value("R", 12)) * 4)
    events = NgramReader(vocabulary, chords=False).read([piece])
    assert set(events.items) == {*PARTS, *(previous_value_item(steps) for steps in range(1, MAX_ORDER))}
    assert all(set(chain) <= set(events.items) for chain in VALUE_CHAINS.values())
    assert not any(set(chain) <= set(events.items) for chain in CONTEXT_CHAINS.values())
    assert isinstance(events, NgramData)
    assert ngram_value_bits(events, events, value_chain(6), 3).mean() < 0.5
    with pytest.raises(CorpusError, match="without chords"):
        NgramReader(vocabulary, chords=True).read([piece])


def test_a_piece_of_which_nothing_is_known_is_no_event(music: tuple[Vocabulary, list[Piece], list[Piece]]) -> None:
    """One solo of silence would stop the evaluation of a network that knows no rests."""
    vocabulary, seen, _ = music
    restless = Vocabulary([value for value in vocabulary.values if value.kind != "R"])
    first = seen[0]
    assert first.places is not None
    silence = Piece("", "", (Value("R", 12),) * 2, first.places[:2], (None, None))
    reader = NgramReader(restless, chords=True)
    alone, beside = reader.read([silence]), reader.read([silence, first])
    assert not len(alone.targets)
    assert set(beside.piece_numbers.tolist()) == {1}
    assert ngram_value_bits(beside, alone, value_chain(2), len(restless)).shape == (0,)
    assert ngram_value_bits(alone, beside, (CLASH_ITEM, previous_value_item(1)), len(restless), mask=True).mean() > 0
