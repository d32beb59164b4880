# SPDX-License-Identifier: Apache-2.0
"""The n-grams with which a network is compared: if they are weak or broken, each network looks good."""

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
    fit_motif_rows,
    ngram_bits_with_memory,
    ngram_value_bits,
    previous_value_item,
    value_chain,
)
from sideman_models.music.motifs import SYMBOL_COUNT, Rows, motif_symbols, padded_rows, symbol_logits
from sideman_models.music.solos import Piece
from sideman_models.music.values import Value, Vocabulary
from sideman_models.training.dataset import build_vocabulary
from sideman_models.training.split import split_by_rule
from support.corpora import write_tiny_corpus

VALUES = 5
Observation = tuple[tuple[int, ...], int]
"""A history and the value after it."""


class PlainKneserNey:
    """Interpolated modified Kneser-Ney a second time, with dictionaries, as the paper describes it."""

    def __init__(self, observed: Sequence[Observation], n_values: int) -> None:
        self.n_values = n_values
        self.depth = len(observed[0][0])
        counts: dict[tuple[int, ...], Counter[int]] = {}
        for history, value in observed:
            counts.setdefault(history, Counter())[value] += 1
        self.counts = {self.depth: counts}
        for depth in range(self.depth - 1, -1, -1):
            # Count the different items that precede each shorter history.
            continuations = {(history[: depth + 1], value) for history, value in observed}
            counts = {}
            for history, value in continuations:
                counts.setdefault(history[:depth], Counter())[value] += 1
            self.counts[depth] = counts

    def discount(self, depth: int, count: int) -> float:
        """Return D1, D2 or D3+."""
        every = Counter(min(each, 5) for values in self.counts[depth].values() for each in values.values())
        i = min(count, 3)
        if not every[1] or not every[i]:
            return 0.5
        y = every[1] / (every[1] + 2 * every[2])
        return max(0.1, i - (i + 1) * y * every[i + 1] / every[i])

    def probability(self, history: tuple[int, ...], value: int, depth: int | None = None) -> float:
        """Return the probability of `value` after `history`."""
        depth = self.depth if depth is None else depth
        below = 1 / self.n_values if depth == 0 else self.probability(history, value, depth - 1)
        counts = self.counts[depth].get(history[:depth])
        if counts is None:
            return below
        freed = sum(self.discount(depth, count) for count in counts.values())
        own = counts[value] - self.discount(depth, counts[value]) if counts[value] else 0.0
        return (own + freed * below) / sum(counts.values())


@st.composite
def observations(draw: st.DrawFn) -> tuple[list[Observation], list[Observation]]:
    """Draw observations for training and for measuring, with histories of one length."""
    depth = draw(st.integers(0, 3))
    histories = st.tuples(*[st.integers(0, 3)] * depth)
    one = st.tuples(histories, st.integers(0, VALUES - 1))
    return draw(st.lists(one, min_size=1, max_size=40)), draw(st.lists(one, min_size=1, max_size=8))


PARTS: dict[str, Callable[[Value], object]] = {
    PREVIOUS_IS_REST: lambda value: value.kind == "R",
    PREVIOUS_DURATION: lambda value: value.ticks,
    PREVIOUS_INTERVAL: lambda value: value.interval,
}
"""What each item for a part of a value holds."""


def arrays(observed: Sequence[Observation]) -> tuple[np.ndarray, np.ndarray]:
    """Return histories (T, k) and targets (T,)."""
    depth = len(observed[0][0])
    histories = np.array([history for history, _ in observed], np.int64).reshape(len(observed), depth)
    return histories, np.array([value for _, value in observed])


@given(observations())
def test_it_is_kneser_ney(drawn: tuple[list[Observation], list[Observation]]) -> None:
    """Guards against: an n-gram that is not Kneser-Ney: a program written as in the paper must agree."""
    training, measured = drawn
    plain, model = PlainKneserNey(training, VALUES), KneserNey(*arrays(training), VALUES)
    expected = [plain.probability(*each) for each in measured]
    np.testing.assert_allclose(model.target_probabilities(*arrays(measured)), expected, rtol=1e-12)


@given(observations())
def test_the_probabilities_sum_to_1(drawn: tuple[list[Observation], list[Observation]]) -> None:
    """Guards against: probabilities that do not sum to 1, or leave nothing for what was never seen."""
    training, measured = drawn
    model = KneserNey(*arrays(training), VALUES)
    histories, targets = arrays(measured)
    probabilities = model.probabilities(histories)
    np.testing.assert_allclose(probabilities.sum(1), 1.0, rtol=1e-12)
    assert (probabilities > 0).all()
    np.testing.assert_allclose(
        probabilities[np.arange(len(targets)), targets], model.target_probabilities(histories, targets)
    )


def test_after_an_unknown_history_values_with_many_histories_are_likely() -> None:
    """Guards against: a simple back-off (value 1 is frequent, but only after history 0; value 2 is after any)."""
    observed = [((0,), 1)] * 20 + [((history,), 2) for history in (0, 1, 2, 3)]
    model = KneserNey(*arrays(observed), VALUES)
    probabilities = model.probabilities(np.array([[9]]))[0]
    assert probabilities[2] > 2 * probabilities[1]


def test_without_training_all_values_are_equally_likely() -> None:
    """Guards against: an evaluation without training pieces that fails instead of showing the worst figure."""
    model = KneserNey(np.zeros((0, 2), np.int64), np.zeros(0, np.int64), VALUES)
    np.testing.assert_allclose(model.probabilities(np.array([[1, 2]])), 1 / VALUES)


def test_the_discounts_are_chen_and_goodmans() -> None:
    """Guards against: an n-gram that is weaker than it could be."""
    counts = np.repeat([1, 2, 3, 4, 9], [40, 20, 10, 5, 3])
    y = 40 / (40 + 2 * 20)
    assert discounts(counts) == pytest.approx((1 - 2 * y * 20 / 40, 2 - 3 * y * 10 / 20, 3 - 4 * y * 5 / 10))
    assert discounts(np.array([7, 8])) == (0.5, 0.5, 0.5)


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 0.5))
def test_the_mask_scales_the_clashing_values_to_their_share(seed: int, share: float) -> None:
    """Guards against: a masked n-gram that is no distribution, or lacks knowledge that the network has."""
    random_source = np.random.default_rng(seed)
    probabilities = random_source.dirichlet(np.ones(6), 4)
    clash = random_source.random((4, 6)) < 0.5
    clash[0], clash[1] = False, True
    after = apply_mask(probabilities, clash, share)
    np.testing.assert_allclose(after.sum(1), 1.0)
    np.testing.assert_array_equal(after[:2], probabilities[:2])
    for row in (2, 3):
        if clash[row].any() and not clash[row].all():
            assert after[row][clash[row]].sum() == pytest.approx(share)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> tuple[Vocabulary, list[Piece], list[Piece]]:
    """Return the vocabulary of the training pieces of a few random tunes, these pieces, and the others."""
    corpus = read_corpus([write_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl", titles=60)])
    split = split_by_rule(corpus.pieces)
    return build_vocabulary(split.training), [*split.training], [*split.held_out]


def test_histories_hold_what_came_before(music: tuple[Vocabulary, list[Piece], list[Piece]]) -> None:
    """Guards against: an n-gram that sees the value which it predicts, or a value of another piece."""
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
        parts_by_item: dict[int, set[object]] = {}
        for last, item in zip(events.items[previous_value_item(1)].tolist(), events.items[name].tolist(), strict=True):
            parts_by_item.setdefault(item, set()).add("none" if last == start else part(vocabulary.values[last]))
        assert all(len(parts) == 1 for parts in parts_by_item.values())
        assert len(parts_by_item) == len(set().union(*parts_by_item.values()))
    for at, place in enumerate(places):
        flags = vocabulary.clash_mask(place.chord, place.previous_pitch)
        np.testing.assert_array_equal(events.clash_table[events.clash_rows[at]], flags)


def test_more_knowledge_needs_fewer_bits(music: tuple[Vocabulary, list[Piece], list[Piece]]) -> None:
    """Guards against: chains and masks without effect: in tunes of eighths in a few keys they must help."""
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
    """Guards against: a value file that cannot be measured."""
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


def test_a_piece_without_known_values_is_empty(music: tuple[Vocabulary, list[Piece], list[Piece]]) -> None:
    """Guards against: a solo of silence that stops the evaluation of a network without rests."""
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


def test_the_memory_of_the_piece_is_fitted_where_it_helps(music: tuple[Vocabulary, list[Piece], list[Piece]]) -> None:
    """Guards against: an unfair opponent, whose memory makes it worse, or does not see that a piece repeats itself."""
    vocabulary, seen, unseen = music
    reader, chain = NgramReader(vocabulary, chords=True), value_chain(2)
    fitting, n = (reader.read(seen[::2]), reader.read(seen[1::2])), len(vocabulary)
    twice = [
        Piece(piece.title, "", piece.values * 2, (piece.places or ()) * 2, (piece.pitches or ()) * 2)
        for piece in unseen
    ]
    gains = []
    for pieces in (unseen, twice):
        measured = reader.read(pieces)
        without = ngram_value_bits(reader.read(seen), measured, chain, n, mask=True).mean()
        own = ngram_bits_with_memory(reader.read(seen), (reader.read(seen), measured), measured, chain, vocabulary)
        assert own.mean() <= without + 1e-6
        fitted = ngram_bits_with_memory(reader.read(seen), fitting, measured, chain, vocabulary)
        assert fitted.mean() < without + 0.05
        gains.append(without - own.mean())
    assert gains[1] > 0.2  # the second time, everything has been played before


def test_the_fitted_numbers_are_the_best(music: tuple[Vocabulary, list[Piece], list[Piece]]) -> None:
    """Guards against: numbers of the memory that are not where the bits are fewest."""
    vocabulary, _, unseen = music
    data, symbols = NgramReader(vocabulary, chords=True).read(unseen), motif_symbols(vocabulary)
    shares = np.full((len(data.targets), SYMBOL_COUNT), 1.0 / SYMBOL_COUNT)

    def nats(rows: Rows) -> float:
        added = symbol_logits(padded_rows(rows), data.motif_runs).astype(np.float64)
        target = added[np.arange(len(added)), symbols[data.targets]]
        return float(
            (np.log((shares * np.exp(added)).sum(1)) - target).sum() + (rows.astype(np.float64) ** 2).sum() / 2
        )

    rows = fit_motif_rows(data, shares, symbols)
    for at in np.ndindex(*rows.shape):
        for step in (-0.05, 0.05):
            other = rows.copy()
            other[at] += step
            assert nats(other) > nats(rows)
