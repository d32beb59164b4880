# SPDX-License-Identifier: Apache-2.0
"""What a network is measured against: interpolated modified Kneser-Ney n-grams over the same values.

Chen and Goodman, *An Empirical Study of Smoothing Techniques for Language Modeling* (1998), sections 3 and 4.4. An
n-gram foretells a value from its *history*: a chain of things known before it, told in the order in which they are
worth keeping. Depth j looks at the first j of them and mixes what it has seen there with what depth j - 1 says; depth 0
looks at nothing, and mixes with all values being alike. The deepest counts how often a value came after the whole
history; every other depth counts after how many different next things of the chain it came.

    p_j(v | h_1..h_j) = (c(h_1..h_j, v) - D(c)) / c(h_1..h_j) + γ(h_1..h_j) p_{j-1}(v | h_1..h_{j-1})

D(c) is one of three discounts, for c = 1, 2, and 3 or more, which each depth estimates from its own counts of counts;
γ is the share that they free.

An ordinary n-gram of order n has the n - 1 values before as its chain, the last one first. A *context chain* has other
items in it too: where the value falls, and over which chord. Before the first value of a piece stands a value of its
own, as often as the order needs; the end of a piece is not foretold, as it is not by the network.

The *mask* is the network's: of the values whose interval does not lead to a pitch of their kind all together keep the
share that they have in training, the others share the rest as they did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sideman_models.corpus.corpus import Piece
from sideman_models.music.context import FEATURES, ContextFeatures
from sideman_models.music.values import Vocabulary
from sideman_models.network.lstm import Flags
from sideman_models.training.dataset import PieceEncoder

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

MAX_ORDER = 6
CLASH_ITEM = "what fits"
"""The item of a history that tells which values clash: the kinds of the chord's tones around the pitch before."""
CONTEXT_ITEMS = tuple(name for name, feature in FEATURES.items() if feature.max_active == 1)
"""The items that tell where a value falls: the network's own features, those of one row."""
PREVIOUS_IS_REST, PREVIOUS_DURATION, PREVIOUS_INTERVAL = (
    "value -1 a rest",
    "duration of value -1",
    "interval of value -1",
)
"""The items that tell one part of the value before: what is left of it when the whole was too rare."""
_MIN_DISCOUNT = 0.1
_DEFAULT_DISCOUNT = 0.5
_CHUNK_ROWS = 2048


def previous_value_item(steps: int) -> str:
    """The name of the item that is the value so many steps before; 1 is the last."""
    return f"value -{steps}"


def value_chain(order: int) -> tuple[str, ...]:
    """The chain of an ordinary n-gram of this order, 1 being a unigram."""
    return tuple(previous_value_item(steps) for steps in range(1, order))


VALUE_CHAINS: dict[str, tuple[str, ...]] = {
    **{f"order {order}": value_chain(order) for order in range(1, MAX_ORDER + 1)},
    **{
        f"order {order}, parted": (PREVIOUS_IS_REST, PREVIOUS_DURATION, *value_chain(order))
        for order in range(2, MAX_ORDER + 1)
    },
}
"""N-grams on values alone; `parted` ones fall back on parts of the value before, rather than on nothing."""

_FROM_ROOT_NOW, _FROM_ROOT_NEXT = "previous pitch from the root now", "previous pitch from the root next"
_BEAT, _REGISTER, _FAMILY = "place in the beat", "register", "chord family now"
_CLASH_ITEMS_FIRST = (_FROM_ROOT_NOW, CLASH_ITEM, _BEAT, *value_chain(3))
CONTEXT_CHAINS: dict[str, tuple[str, ...]] = {
    f"chain {number}": items
    for number, items in enumerate(
        (
            ("position in the bar", previous_value_item(1)),
            (_BEAT, previous_value_item(1)),
            (PREVIOUS_IS_REST, _BEAT, PREVIOUS_DURATION, previous_value_item(1)),
            (PREVIOUS_IS_REST, _BEAT, PREVIOUS_DURATION, PREVIOUS_INTERVAL),
            _CLASH_ITEMS_FIRST,
            (PREVIOUS_IS_REST, *_CLASH_ITEMS_FIRST),
            (PREVIOUS_IS_REST, *_CLASH_ITEMS_FIRST, _FROM_ROOT_NEXT, _REGISTER),
            (PREVIOUS_IS_REST, *_CLASH_ITEMS_FIRST, _FAMILY, _FROM_ROOT_NEXT, _REGISTER, previous_value_item(3)),
        ),
        1,
    )
}
"""The context chains that are tried.

They are the steps of a greedy search: as long as that spared a ten-thousandth of a bit, it put in the one item, or took
out the one, that spared most, at whichever place in the chain, among all `CONTEXT_ITEMS`, `CLASH_ITEM`, the last three
values and the parts of the last two. It was made on the very solos of the Weimar Jazz Database that the default network
is measured on, with the mask (chains 2 to 4) and without (5 to 8): what luck there is in that is the opponent's.
"""


@dataclass(frozen=True, slots=True)
class NgramData:
    """Pieces as an n-gram reads them, T values in all, one piece after the other.

    `targets` (T,) indices into the vocabulary; `piece_numbers` (T,) the number of its piece; `items` what each item of
    a chain holds, (T,) each, none negative; `clash_rows` (T,) rows of `clash_table` (rows, n_values): the values that
    do not fit there.
    """

    targets: Ints
    piece_numbers: Ints
    items: Mapping[str, Ints]
    clash_rows: Ints
    clash_table: Flags

    def histories(self, chain: Sequence[str]) -> Ints:
        """What the items of `chain` hold, (T, len(chain)). Raises KeyError for an item that these pieces have not."""
        return (
            np.stack([self.items[name] for name in chain], 1) if chain else np.zeros((len(self.targets), 0), np.int64)
        )


class NgramReader:
    """Reads pieces as events, all with the same numbers; `chords` says whether they know theirs."""

    def __init__(self, vocabulary: Vocabulary, *, chords: bool) -> None:
        self.vocabulary = vocabulary
        self._context_items = CONTEXT_ITEMS if chords else ()
        self._encoder = PieceEncoder(vocabulary, ContextFeatures(self._context_items))

    def read(self, pieces: Sequence[Piece]) -> NgramData:
        """The pieces as events. Raises `CorpusError` where chords are missing that should be there."""
        encoded = [self._encoder.encode(piece) for piece in pieces]
        targets, clash = (_concatenate([getattr(one, name) for one in encoded]) for name in ("indices", "clash_rows"))
        piece = np.repeat(np.arange(len(encoded)), [len(one) for one in encoded])
        items = {
            previous_value_item(steps): _concatenate(
                [_shift_back(one.indices, steps, len(self.vocabulary)) for one in encoded]
            )
            for steps in range(1, MAX_ORDER)
        }
        items |= self._value_parts(items[previous_value_item(1)])
        if self._context_items:
            rows = _concatenate([one.context_rows for one in encoded if len(one)]).reshape(
                len(targets), len(self._context_items)
            )
            items |= {name: rows[:, column] for column, name in enumerate(self._context_items)}
            items[CLASH_ITEM] = clash
        return NgramData(targets, piece, items, clash, self._encoder.clash_table())

    def _value_parts(self, values: Ints) -> dict[str, Ints]:
        """The parts of the values before; where there is none, each part is one of its own."""
        known = self.vocabulary
        middle = known.low.astype(np.int64) + known.high
        intervals = np.where(known.has_interval, middle - middle.min(initial=0) + 2, 0)
        parts = {
            PREVIOUS_IS_REST: (known.is_rest, 2),
            PREVIOUS_DURATION: (known.ticks, 0),
            PREVIOUS_INTERVAL: (intervals, 1),
        }
        return {name: np.append(of, start).astype(np.int64)[values] for name, (of, start) in parts.items()}


def _concatenate(arrays: Sequence[npt.NDArray[np.int32]]) -> Ints:
    return np.concatenate(arrays or [np.zeros(0, np.int32)]).astype(np.int64)


def _shift_back(indices: npt.NDArray[np.int32], steps: int, start: int) -> npt.NDArray[np.int32]:
    return np.concatenate([np.full(min(steps, len(indices)), start, np.int32), indices[:-steps]])


@dataclass(frozen=True, slots=True)
class _Depth:
    """What one depth has seen.

    `keys` (contexts,) sorted: parent context times `width` plus the item; `pairs` sorted: context times n_values plus
    value; `shares` the discounted share of each; `first` (contexts + 1,) where each context's pairs begin; `freed`
    (contexts,) is γ.
    """

    keys: Ints
    width: int
    pairs: Ints
    shares: Reals
    first: Ints
    freed: Reals


class KneserNey:
    """An n-gram of `histories` (T, k) and the `targets` (T,) that came after them, over `n_values` values."""

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
            self._depths.insert(0, _make_depth(key, width, pairs, counts, n_values))
            parents = key // width
            pairs, counts = np.unique(parents[pairs // n_values] * n_values + pairs % n_values, return_counts=True)

    def target_probabilities(self, histories: Ints, targets: Ints) -> Reals:
        """The probability of each target (T,) after its history (T, k)."""
        chance = np.full(len(targets), 1.0 / self.n_values)
        for depth, context, known in self._contexts_by_depth(histories):
            pair, seen = _find_sorted(depth.pairs, context * self.n_values + targets)
            share = np.where(seen & known, depth.shares[pair], 0.0)
            chance = np.where(known, depth.freed[context] * chance + share, chance)
        return chance

    def probabilities(self, histories: Ints) -> Reals:
        """The probabilities of all values after each history, (T, n_values); each row sums to one."""
        chances = np.full((len(histories), self.n_values), 1.0 / self.n_values)
        for depth, found, known in self._contexts_by_depth(histories):
            rows = np.flatnonzero(known)
            context = found[rows]
            chances[rows] *= depth.freed[context, None]
            counts = depth.first[context + 1] - depth.first[context]
            # Where each context's pairs stand: their first, and so many after it.
            along = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            pairs = np.repeat(depth.first[context], counts) + along
            chances[np.repeat(rows, counts), depth.pairs[pairs] % self.n_values] += depth.shares[pairs]
        return chances

    def _contexts_by_depth(self, histories: Ints) -> Iterator[tuple[_Depth, Ints, Flags]]:
        """Depth by depth: the context (T,) of each history, and whether it was seen in training (else it is any)."""
        context, known = np.zeros(len(histories), np.int64), np.full(len(histories), bool(self._depths[0].keys.size))
        items = [np.zeros(len(histories), np.int64), *histories.T]
        for depth, item in zip(self._depths, items, strict=True):
            if not depth.keys.size:
                return
            context, seen = _find_sorted(depth.keys, context * depth.width + item)
            known = known & seen & (item < depth.width)
            yield depth, context, known


def _find_sorted(keys: Ints, wanted: Ints) -> tuple[Ints, Flags]:
    """Where `wanted` stand among sorted `keys`, and whether they do; somewhere among them if not."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted


def _make_depth(keys: Ints, width: int, pairs: Ints, counts: Ints, n_values: int) -> _Depth:
    context = pairs // n_values
    total = np.bincount(context, counts, len(keys))
    discount = np.array(discounts(counts))[np.minimum(counts, 3) - 1]
    freed = np.bincount(context, discount, len(keys)) / total
    return _Depth(
        keys,
        width,
        pairs,
        (counts - discount) / total[context],
        np.searchsorted(context, np.arange(len(keys) + 1)),
        freed,
    )


def discounts(counts: Ints) -> tuple[float, float, float]:
    """What is taken from things counted once, twice, and three times or more, by how many of each there are.

    With n_i things counted i times and Y = n_1 / (n_1 + 2 n_2): D_i = i - (i + 1) Y n_{i+1} / n_i. Where that says
    nothing, because there are none of a kind, it is a half; and it is never less than a tenth, so that there is always
    something left for what was never seen.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    y = n[1] / max(1, n[1] + 2 * n[2])
    told = [i - (i + 1) * y * n[i + 1] / n[i] if n[1] and n[i] else _DEFAULT_DISCOUNT for i in (1, 2, 3)]
    one, two, more = (float(max(_MIN_DISCOUNT, each)) for each in told)
    return one, two, more


def clash_share(events: NgramData) -> float:
    """The share of values that clash, among those that stand where anything could; never quite nothing."""
    could = np.asarray(events.clash_table.any(1))[events.clash_rows]
    clashed = events.clash_table[events.clash_rows, events.targets]
    return float((clashed.sum() + 0.5) / (could.sum() + 1.0))


def apply_mask(probabilities: Reals, clash_masks: Flags, share: float) -> Reals:
    """`probabilities` (T, n_values), those that `clash_masks` scaled to `share` in all, the others to the rest."""
    clashing = np.where(clash_masks, probabilities, 0.0).sum(1, keepdims=True)
    fitting = probabilities.sum(1, keepdims=True) - clashing
    could = (clashing > 0) & (fitting > 0)
    scaled = np.where(clash_masks, share / np.where(could, clashing, 1.0), (1 - share) / np.where(could, fitting, 1.0))
    return np.where(could, scaled, 1.0) * probabilities


def ngram_value_bits(
    training: NgramData, measured: NgramData, chain: Sequence[str], n_values: int, *, mask: bool = False
) -> Reals:
    """What each unseen value (T,) costs in bits, for an n-gram with this chain that has read `training`."""
    model = KneserNey(training.histories(chain), training.targets, n_values)
    histories, targets = measured.histories(chain), measured.targets
    if not mask:
        return -np.log2(model.target_probabilities(histories, targets))
    share, bits = clash_share(training), np.empty(len(targets))
    for start in range(0, len(targets), _CHUNK_ROWS):
        here = slice(start, start + _CHUNK_ROWS)
        chances = apply_mask(
            model.probabilities(histories[here]), measured.clash_table[measured.clash_rows[here]], share
        )
        bits[here] = -np.log2(chances[np.arange(len(chances)), targets[here]])
    return bits
