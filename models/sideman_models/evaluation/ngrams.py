# SPDX-License-Identifier: Apache-2.0
"""N-grams to compare a network with: interpolated modified Kneser-Ney n-grams over the same values.

The source is Chen and Goodman, *An Empirical Study of Smoothing Techniques for Language Modeling* (1998), sections 3
and 4.4. An n-gram predicts a value from its *history*: a chain of items known before it, the most useful item first.
Depth j uses the first j items, and interpolates what it has seen after them with the prediction of depth j - 1. Depth 0
uses no item, and interpolates with equal probabilities. The deepest level counts how often a value followed the whole
history. Every other level counts how many different next items of the chain it followed.

    p_j(v | h_1..h_j) = (c(h_1..h_j, v) - D(c)) / c(h_1..h_j) + γ(h_1..h_j) p_{j-1}(v | h_1..h_{j-1})

D(c) is one of three discounts, for c = 1, 2, and 3 or more. Each depth estimates them from its own counts of counts. γ
is the probability that the discounts set free.

The chain of an ordinary n-gram of order n is the previous n - 1 values, the last one first. A *context chain* also has
other items: the position of the value, and the chords around it. Before the first value of a piece there is a special
value, as often as the order needs. The end of a piece is not predicted, as in the network.

The *mask* is the one of the network. The values that clash (their interval does not lead to a pitch of their kind)
together get the share that they have in training. All other values share the rest in proportion.

The *memory* is the one of the network too: the probability of a value that continues an earlier run of the piece is
multiplied by a number for the length of the run (see `music.motifs`). These twelve numbers are fitted for the n-gram,
on a tenth of the training titles, which are left out of the n-gram while they are fitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.music.context import FEATURES, ContextFeatures
from sideman_models.music.motifs import MAX_RUN, SYMBOL_COUNT, Rows, Runs, motif_symbols, padded_rows, symbol_logits
from sideman_models.music.solos import Piece
from sideman_models.music.values import Vocabulary
from sideman_models.network.encoding import PieceEncoder
from sideman_models.network.lstm import Flags

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

MAX_ORDER = 6
CLASH_ITEM = "what fits"
"""The item that says which values clash: the kinds of all pitches around the previous one."""
CONTEXT_ITEMS = tuple(name for name, feature in FEATURES.items() if feature.max_active == 1)
"""The items that say where a value falls: those features of the network that have one row."""
PREVIOUS_IS_REST = "value -1 a rest"
PREVIOUS_DURATION, PREVIOUS_INTERVAL = "duration of value -1", "interval of value -1"
"""Items for one part of the previous value. They help if the whole value was rare in training."""
_CHUNK_ROWS = 2048
_NEWTON_STEPS = 12


def previous_value_item(steps: int) -> str:
    """Return the name of the item that is the value `steps` before; 1 is the previous value."""
    return f"value -{steps}"


def value_chain(order: int) -> tuple[str, ...]:
    """Return the chain of an ordinary n-gram of this order (1 is a unigram)."""
    return tuple(previous_value_item(steps) for steps in range(1, order))


VALUE_CHAINS = {f"order {order}": value_chain(order) for order in range(1, MAX_ORDER + 1)} | {
    f"order {order}, parted": (PREVIOUS_IS_REST, PREVIOUS_DURATION, *value_chain(order))
    for order in range(2, MAX_ORDER + 1)
}
"""N-grams on values alone, by name.

Those called `parted` fall back on parts of the previous value, instead of on nothing.
"""

_FROM_ROOT_NOW, _FROM_ROOT_NEXT = "previous pitch from the root now", "previous pitch from the root next"
_BEAT, _REGISTER, _FAMILY = "place in the beat", "register", "chord family now"
_CLASH_ITEMS_FIRST = (_FROM_ROOT_NOW, CLASH_ITEM, _BEAT, *value_chain(3))
CONTEXT_CHAINS: dict[str, tuple[str, ...]] = {
    "chain 1": ("position in the bar", previous_value_item(1)),
    "chain 2": (_BEAT, previous_value_item(1)),
    "chain 3": (PREVIOUS_IS_REST, _BEAT, PREVIOUS_DURATION, previous_value_item(1)),
    "chain 4": (PREVIOUS_IS_REST, _BEAT, PREVIOUS_DURATION, PREVIOUS_INTERVAL),
    "chain 5": _CLASH_ITEMS_FIRST,
    "chain 6": (PREVIOUS_IS_REST, *_CLASH_ITEMS_FIRST),
    "chain 7": (PREVIOUS_IS_REST, *_CLASH_ITEMS_FIRST, _FROM_ROOT_NEXT, _REGISTER),
    "chain 8": (PREVIOUS_IS_REST, *_CLASH_ITEMS_FIRST, _FAMILY, _FROM_ROOT_NEXT, _REGISTER, previous_value_item(3)),
}
"""The context chains that are compared, by name.

They are the steps of a greedy search. Each step added or removed the one item, at any place of the chain, that saved
most bits, until it saved less than 0.0001 bits. The items were all `CONTEXT_ITEMS`, `CLASH_ITEM`, the last three values
and the parts of the last two. The search used the very solos of the Weimar Jazz Database on which the default network
is measured, with the mask (chains 2 to 4) and without it (5 to 8). So any luck of the search favours the n-grams.
"""


class NgramData(Struct, frozen=True):
    """Pieces as an n-gram reads them: T values in all, one piece after the other.

    `targets` (T,) are indices into the vocabulary; `piece_numbers` (T,) say to which piece each belongs; `items` has by
    name the number (T,) of each item, 0 or more. `clash_rows` (T,) are rows of `clash_table` (rows, n_values), which
    says which values clash there. `motif_runs` (T, 2, SYMBOL_COUNT) are the runs that each symbol would continue.
    """

    targets: Ints
    piece_numbers: Ints
    items: Mapping[str, Ints]
    clash_rows: Ints
    clash_table: Flags
    motif_runs: Runs

    def histories(self, chain: Sequence[str]) -> Ints:
        """Return the items of `chain` (T, len(chain)). Raises KeyError for an item that these pieces do not have."""
        empty = np.zeros((len(self.targets), 0), np.int64)
        return np.stack([self.items[name] for name in chain], 1) if chain else empty


class NgramReader:
    """Reads pieces as `NgramData` with one vocabulary. `chords` says whether all pieces have chords."""

    def __init__(self, vocabulary: Vocabulary, *, chords: bool) -> None:
        self.vocabulary = vocabulary
        self._context_items = CONTEXT_ITEMS if chords else ()
        self._encoder = PieceEncoder(vocabulary, ContextFeatures(self._context_items))

    def read(self, pieces: Sequence[Piece]) -> NgramData:
        """Return the pieces as numbers. Raises `CorpusError` if a piece has no chords although `chords` is set."""
        encoded = [self._encoder.encode(piece) for piece in pieces]
        targets = _concatenate([piece.indices for piece in encoded])
        clash_rows = _concatenate([piece.clash_rows for piece in encoded])
        piece_numbers = np.repeat(np.arange(len(encoded)), [len(one) for one in encoded])
        start = len(self.vocabulary)  # the special value before the first one
        items = {
            previous_value_item(steps): _concatenate(
                [np.append(np.full(steps, start, np.int32), one.indices)[: len(one)] for one in encoded]
            )
            for steps in range(1, MAX_ORDER)
        }
        # The parts of the previous values. Before the first value each part has a number of its own.
        vocabulary, previous = self.vocabulary, items[previous_value_item(1)]
        middle = vocabulary.low.astype(np.int64) + vocabulary.high
        intervals = np.where(vocabulary.has_interval, middle - middle.min(initial=0) + 2, 0)
        for name, numbers, before_first in (
            (PREVIOUS_IS_REST, vocabulary.is_rest, 2),
            (PREVIOUS_DURATION, vocabulary.ticks, 0),
            (PREVIOUS_INTERVAL, intervals, 1),
        ):
            items[name] = np.append(numbers, before_first).astype(np.int64)[previous]
        if self._context_items:
            rows = _concatenate([one.context_rows for one in encoded if len(one)])
            columns = rows.reshape(len(targets), len(self._context_items)).T
            items |= {**dict(zip(self._context_items, columns, strict=True)), CLASH_ITEM: clash_rows}
        runs = [one.motif_runs for one in encoded if one.motif_runs is not None]
        motif_runs = np.concatenate([np.zeros((0, 2, SYMBOL_COUNT), np.uint8), *runs])
        return NgramData(targets, piece_numbers, items, clash_rows, self._encoder.clash_table(), motif_runs)


def _concatenate(arrays: Sequence[npt.NDArray[np.int32]]) -> Ints:
    return np.concatenate(arrays or [np.zeros(0, np.int32)]).astype(np.int64)


class _Depth(Struct, frozen=True):
    """The counts of one depth.

    `keys` (contexts,) are sorted: number of the parent context times `width` plus the item. `pairs` are sorted: context
    times n_values plus value; `shares` is the discounted share of each pair. `first` (contexts + 1,) is where the pairs
    of each context begin; `freed` (contexts,) is γ.
    """

    keys: Ints
    width: int
    pairs: Ints
    shares: Reals
    first: Ints
    freed: Reals


class KneserNey:
    """An n-gram over `n_values` values, trained on `histories` (T, k) and the `targets` (T,) that followed them."""

    def __init__(self, histories: Ints, targets: Ints, n_values: int) -> None:
        self.n_values = n_values
        contexts = [np.zeros(len(targets), np.int64)]
        keys, widths = [np.zeros(min(1, len(targets)), np.int64)], [1]
        for item in histories.T:
            widths.append(int(item.max(initial=0)) + 1)
            key, context = np.unique(contexts[-1] * widths[-1] + item, return_inverse=True)
            keys.append(key)
            contexts.append(context.reshape(-1))
        pairs, counts = np.unique(contexts[-1] * n_values + targets, return_counts=True)
        self._depths: list[_Depth] = []
        for key, width in zip(reversed(keys), reversed(widths), strict=True):
            context = pairs // n_values
            total = np.bincount(context, counts, len(key))
            discount = np.array(discounts(counts))[np.minimum(counts, 3) - 1]
            shares, freed = (counts - discount) / total[context], np.bincount(context, discount, len(key)) / total
            first = np.searchsorted(context, np.arange(len(key) + 1))
            self._depths.insert(0, _Depth(key, width, pairs, shares, first, freed))
            parents = key // width
            pairs, counts = np.unique(parents[pairs // n_values] * n_values + pairs % n_values, return_counts=True)

    def target_probabilities(self, histories: Ints, targets: Ints) -> Reals:
        """Return the probability (T,) of each target after its history (T, k)."""
        probabilities = np.full(len(targets), 1.0 / self.n_values)
        for depth, context, known in self._contexts_by_depth(histories):
            pair, seen = _find_sorted(depth.pairs, context * self.n_values + targets)
            share = np.where(seen & known, depth.shares[pair], 0.0)
            probabilities = np.where(known, depth.freed[context] * probabilities + share, probabilities)
        return probabilities

    def probabilities(self, histories: Ints) -> Reals:
        """Return the probabilities (T, n_values) of all values after each history (T, k). Each row sums to 1."""
        probabilities = np.full((len(histories), self.n_values), 1.0 / self.n_values)
        for depth, contexts, known in self._contexts_by_depth(histories):
            rows = np.flatnonzero(known)
            context = contexts[rows]
            probabilities[rows] *= depth.freed[context, None]
            counts = depth.first[context + 1] - depth.first[context]
            # The indices of the pairs of each context: the first, and then one after the other.
            steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            pairs = np.repeat(depth.first[context], counts) + steps
            probabilities[np.repeat(rows, counts), depth.pairs[pairs] % self.n_values] += depth.shares[pairs]
        return probabilities

    def _contexts_by_depth(self, histories: Ints) -> Iterator[tuple[_Depth, Ints, Flags]]:
        """Yield by depth the context (T,) of each history, and whether training saw it; if not, it is arbitrary."""
        context, known = np.zeros(len(histories), np.int64), np.full(len(histories), bool(self._depths[0].keys.size))
        items = [np.zeros(len(histories), np.int64), *histories.T]
        for depth, item in zip(self._depths, items, strict=True):
            if not depth.keys.size:
                return
            context, seen = _find_sorted(depth.keys, context * depth.width + item)
            known = known & seen & (item < depth.width)
            yield depth, context, known


def _find_sorted(keys: Ints, wanted: Ints) -> tuple[Ints, Flags]:
    """Return the index of each of `wanted` among the sorted `keys` (or any index), and whether it is there."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted


def discounts(counts: Ints) -> tuple[float, ...]:
    """Return the discounts of counts 1, 2, and 3 or more, from all counts.

    With n_i things counted i times and Y = n_1 / (n_1 + 2 n_2), D_i = i - (i + 1) Y n_{i+1} / n_i. If there are none of
    a kind, the discount is 0.5. It is at least 0.1, so that something is always left for what was never seen.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    y = n[1] / max(1, n[1] + 2 * n[2])
    return tuple(max(0.1, float(i - (i + 1) * y * n[i + 1] / n[i])) if n[1] and n[i] else 0.5 for i in (1, 2, 3))


def clash_share(data: NgramData) -> float:
    """Return the share of values that clash among those that could. It is never exactly 0 or 1."""
    can_clash = np.asarray(data.clash_table.any(1))[data.clash_rows]
    clashed = data.clash_table[data.clash_rows, data.targets]
    return float((clashed.sum() + 0.5) / (can_clash.sum() + 1.0))


def apply_mask(probabilities: Reals, clash_masks: Flags, share: float) -> Reals:
    """Scale `probabilities` (T, n_values) so that those of `clash_masks` sum to `share`, and all others to the rest."""
    clashing = np.where(clash_masks, probabilities, 0.0).sum(1, keepdims=True)
    fitting = probabilities.sum(1, keepdims=True) - clashing
    both = (clashing > 0) & (fitting > 0)
    scaled = np.where(clash_masks, share / np.where(both, clashing, 1.0), (1 - share) / np.where(both, fitting, 1.0))
    return np.where(both, scaled, 1.0) * probabilities


def ngram_value_bits(
    training: NgramData, measured: NgramData, chain: Sequence[str], n_values: int, *, mask: bool = False
) -> Reals:
    """Return the bits (T,) of each value of `measured` for an n-gram with this chain, trained on `training`."""
    model = KneserNey(training.histories(chain), training.targets, n_values)
    histories, targets = measured.histories(chain), measured.targets
    if not mask:
        return -np.log2(model.target_probabilities(histories, targets))
    share, bits = clash_share(training), np.empty(len(targets))
    for rows, probabilities in _masked_probabilities(model, measured, histories, share):
        bits[rows] = -np.log2(probabilities[np.arange(len(probabilities)), targets[rows]])
    return bits


def _masked_probabilities(
    model: KneserNey, measured: NgramData, histories: Ints, share: float
) -> Iterator[tuple[slice, Reals]]:
    """Yield the probabilities of all values with the mask, for some steps after the others."""
    for start in range(0, len(histories), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        clashes = measured.clash_table[measured.clash_rows[rows]]
        yield rows, apply_mask(model.probabilities(histories[rows]), clashes, share)


def ngram_bits_with_memory(
    training: NgramData,
    fitting: tuple[NgramData, NgramData],
    measured: NgramData,
    chain: Sequence[str],
    vocabulary: Vocabulary,
) -> Reals:
    """Return the bits (T,) of each value of `measured` for an n-gram with the mask and the memory of the piece.

    The numbers of the memory are fitted to the second of `fitting`, for an n-gram that is trained on the first.
    """
    symbols = motif_symbols(vocabulary)
    rows = fit_motif_rows(fitting[1], _symbol_shares(*fitting, chain, symbols), symbols)
    factors = symbol_logits(padded_rows(rows), measured.motif_runs)
    scale = (_symbol_shares(training, measured, chain, symbols) * np.exp(factors)).sum(1)
    added = factors[np.arange(len(factors)), symbols[measured.targets]] - np.log(scale)
    return np.asarray(ngram_value_bits(training, measured, chain, len(vocabulary), mask=True) - added / np.log(2.0))


def _symbol_shares(
    training: NgramData, measured: NgramData, chain: Sequence[str], symbols: npt.NDArray[np.intp]
) -> Reals:
    """Return the probability (T, SYMBOL_COUNT) of all values with each symbol, for an n-gram with the mask."""
    histories, has_symbol = measured.histories(chain), symbols[:, None] == np.arange(SYMBOL_COUNT)
    model, share = KneserNey(training.histories(chain), training.targets, len(symbols)), clash_share(training)
    parts = [each @ has_symbol for _, each in _masked_probabilities(model, measured, histories, share)]
    return np.concatenate([np.zeros((0, SYMBOL_COUNT)), *parts])


def fit_motif_rows(data: NgramData, shares: Reals, symbols: npt.NDArray[np.intp]) -> Rows:
    """Return the rows of the memory with which `data` needs the fewest bits, by Newton's method.

    `shares` (T, SYMBOL_COUNT) are the probabilities of the symbols without the memory. A small penalty on the squares
    keeps a length that never occurs at 0.
    """
    lengths = np.arange(1, MAX_RUN + 1)
    reached = data.motif_runs.transpose(0, 2, 1)[..., None] == lengths
    features = reached.reshape(*shares.shape, 2 * MAX_RUN).astype(np.float32)
    target = features[np.arange(len(shares)), symbols[data.targets]].sum(0, dtype=np.float64)
    weights = np.zeros(2 * MAX_RUN)
    for _ in range(_NEWTON_STEPS):
        powers = shares * np.exp(features @ weights)
        powers /= powers.sum(1, keepdims=True)
        means = np.einsum("ts,tsf->tf", powers, features)
        squares = np.einsum("ts,tsf,tsg->fg", powers, features, features, optimize=True)
        curvature = squares - means.T @ means + np.eye(len(weights))
        weights += np.linalg.solve(curvature, target - means.sum(0) - weights)
    return weights.reshape(2, MAX_RUN).astype(np.float32)
