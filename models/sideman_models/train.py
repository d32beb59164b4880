# SPDX-License-Identifier: Apache-2.0
"""Training the network on modern values, with TensorFlow.

The recipe: AdamW at 3e-3 (weight decay 0.1), warm-up, then a cosine down to nothing; back-propagation through windows
of 64 values in 16 lanes, the state carried from window to window and forgotten at the start of each piece; gradients
clipped at norm 1; what counts is the running average of the weights. Dropout takes rows of the input, units of the
recurrence (each the same through a window), and outputs.

One training step is one compiled function of our own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from sideman_models.bundle import Bundle
from sideman_models.card import card
from sideman_models.context import FEATURES, Context
from sideman_models.corpus import Corpus
from sideman_models.corpus import facts as corpus_facts
from sideman_models.dataset import Batch, Encoded, Encoder, batches, build_vocabulary
from sideman_models.djmodel import (
    Keep,
    Parameters,
    Tensor,
    bits,
    fold,
    initial,
    logits,
    parts_of,
)
from sideman_models.errors import ModelsError
from sideman_models.evaluate import evaluate
from sideman_models.lstm import Flags, Floats, Weights

LITTLE_DROPOUT = (0.1, 0.1, 0.2)
MUCH_DROPOUT = (0.25, 0.3, 0.4)


def dropout_for(units: int) -> tuple[float, float, float]:
    """What suits so many units, of input rows, of recurrent units, of outputs: many learn the music by heart."""
    return LITTLE_DROPOUT if units < 96 else MUCH_DROPOUT


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. `dropout` of input rows, of recurrent units, of outputs: see `dropout_for`."""

    units: int = 64
    epochs: int = 20
    seed: int = 0
    lanes: int = 16
    steps: int = 64
    rate: float = 3e-3
    weight_decay: float = 0.1
    warm_up: int = 100
    clip: float = 1.0
    average: float = 0.998
    dropout: tuple[float, float, float] = LITTLE_DROPOUT


class TrainingError(ModelsError):
    """Training that came to nothing."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the pieces: mean bits a value in training (with dropout) and on the unseen pieces, if any."""

    number: int
    trained: float
    unseen: float | None


@dataclass(frozen=True, slots=True)
class Trained:
    """The weights of the best epoch, and how it went; `ended` says why it did."""

    weights: Weights
    best: Epoch
    epochs: tuple[Epoch, ...]
    ended: str


class Trainer:
    """Learns from encoded pieces. `table` is the encoder's table of clashes, `parts` as `parts_of` gives them."""

    def __init__(self, recipe: Recipe, parts: Floats, table: Flags, n_context: int) -> None:
        tf.config.experimental.enable_op_determinism()
        self.recipe = recipe
        self.n_context = n_context
        self._parts = parts
        self._table = table.astype(np.float32)
        start = initial(recipe.units, parts.shape[1], n_context, recipe.seed)
        self._learned = Parameters(*(tf.Variable(one) for one in start))
        self._average = Parameters(*(tf.Variable(one) for one in start))
        self._optimizer = keras.optimizers.AdamW(
            recipe.rate, weight_decay=recipe.weight_decay, global_clipnorm=recipe.clip
        )
        self._optimizer.build(list(self._learned))
        self._iteration = 0
        self._step = tf.function(self._train_step)
        self._measure = tf.function(self._measure_step)

    def weights(self) -> Weights:
        """The averaged weights so far, as they are played."""
        return fold(Parameters(*(one.numpy() for one in self._average)), self._parts)

    def epoch(self, pieces: Sequence[Encoded], progress: Callable[[float], float]) -> float:
        """Learn from the pieces once, in this order; returns bits a value.

        `progress` is told the share of the epoch that is done and answers the learning rate. Raises `TrainingError`
        when the loss is no longer a number.
        """
        windows = list(batches(pieces, self.n_context, self.recipe.lanes, self.recipe.steps))
        state = self._zero()
        total = 0.0
        for done, window in enumerate(windows):
            rate = progress(done / len(windows)) * min(1.0, (self._iteration + 1) / self.recipe.warm_up)
            loss, state = self._step(
                _tensors(window), state, tf.constant(rate, tf.float32), tf.constant(self._iteration)
            )
            self._iteration += 1
            total += float(loss)
            if not math.isfinite(total):
                raise TrainingError(f"the loss is no longer a number (step {self._iteration})")
        return total / sum(map(len, pieces))

    def measure(self, pieces: Sequence[Encoded]) -> float:
        """Bits a value of the averaged weights on pieces, without dropout."""
        state = self._zero()
        total = 0.0
        for window in batches(pieces, self.n_context, self.recipe.lanes, self.recipe.steps):
            loss, state = self._measure(_tensors(window), state)
            total += float(loss)
        return total / sum(map(len, pieces))

    def _zero(self) -> tuple[Tensor, Tensor]:
        zero = tf.zeros((self.recipe.lanes, self.recipe.units))
        return zero, zero

    def _train_step(
        self, window: Batch, state: tuple[Tensor, Tensor], rate: Tensor, iteration: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step of learning: the window's bits in all, and the state it ends in."""
        counted = tf.reduce_sum(tf.cast(window.counts, tf.float32))
        with tf.GradientTape() as tape:
            scores, state = logits(
                _values(self._learned), self._parts, self._table, window, state, self._dice(iteration)
            )
            cost = bits(scores, window)
            loss = cost * math.log(2.0) / counted
        gradients = tape.gradient(loss, list(self._learned))
        self._optimizer.learning_rate = rate
        self._optimizer.apply(gradients, list(self._learned))
        # Young averages forget sooner, or they would remember how training began.
        age = tf.cast(iteration, tf.float32)
        kept = tf.minimum(self.recipe.average, (1.0 + age) / (10.0 + age))
        for average, learned in zip(self._average, self._learned, strict=True):
            average.assign(kept * average + (1.0 - kept) * learned)
        return cost, state

    def _measure_step(self, window: Batch, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        scores, state = logits(_values(self._average), self._parts, self._table, window, state, None)
        return bits(scores, window), state

    def _dice(self, iteration: Tensor) -> Keep:
        """What dropout leaves at this step: the same for the same seed and step."""
        lanes, steps, units = self.recipe.lanes, self.recipe.steps, self.recipe.units
        rows, recurrent, outputs = self.recipe.dropout
        shapes = ((lanes, len(self._parts) + 1), (lanes, 1, self.n_context), (lanes, units), (lanes, steps, units))
        keep = []
        for place, (shape, share) in enumerate(zip(shapes, (rows, rows, recurrent, outputs), strict=True)):
            dice = tf.random.stateless_uniform(shape, [self.recipe.seed * len(shapes) + place, iteration])
            keep.append(tf.cast(dice >= share, tf.float32) / (1.0 - share))
        return Keep(*keep)


def _values(variables: Parameters) -> Parameters:
    return Parameters(*(tf.convert_to_tensor(one) for one in variables))


def _tensors(window: Batch) -> Batch:
    return Batch(*(tf.constant(array) for array in window))


def train(
    recipe: Recipe,
    trainer: Trainer,
    pieces: Sequence[Encoded],
    unseen: Sequence[Encoded],
    report: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """Train for the epochs of the recipe and keep the best: by the unseen pieces, or the last where there are none.

    KeyboardInterrupt ends it early, with the best so far; so does a loss that is no longer a number. Raises
    `TrainingError` when there is nothing to keep.
    """
    dice = np.random.default_rng(recipe.seed)
    epochs: list[Epoch] = []
    best: tuple[Epoch, Weights] | None = None
    ended = "all epochs done"
    try:
        for number in range(1, recipe.epochs + 1):
            shuffled = [pieces[at] for at in dice.permutation(len(pieces))]
            trained = trainer.epoch(shuffled, partial(_rate, recipe, number - 1))
            epoch = Epoch(number, trained, trainer.measure(unseen) if unseen else None)
            epochs.append(epoch)
            if best is None or epoch.unseen is None or epoch.unseen < (best[0].unseen or math.inf):
                best = epoch, trainer.weights()
            report(epoch)
    except KeyboardInterrupt:
        ended = "interrupted"
    except TrainingError as error:
        ended = str(error)
    if best is None:
        raise TrainingError(f"nothing was learned: {ended} in the first epoch")
    return Trained(best[1], best[0], tuple(epochs), ended)


def _rate(recipe: Recipe, epochs: int, share: float) -> float:
    """The cosine: from the full learning rate down to nothing, after so many epochs and that share of the next."""
    return recipe.rate * 0.5 * (1.0 + math.cos(math.pi * (epochs + share) / recipe.epochs))


def learn(
    corpus: Corpus,
    recipe: Recipe,
    name: str,
    command: str,
    report: Callable[[Epoch], None] = lambda _: None,
) -> Bundle:
    """A bundle trained on the corpus: its card and facts tell what it learned from, and how well.

    Titles that are `unseen` are kept from training and measured on. Raises `CorpusError`, `TrainingError`.
    """
    seen, unseen = corpus.split()
    vocabulary = build_vocabulary(seen)
    context = Context(tuple(FEATURES) if all(piece.places is not None for piece in seen) else ())
    encoder = Encoder(vocabulary, context)
    known, kept_back = ([encoder.encode(piece) for piece in side] for side in (seen, unseen))
    trainer = Trainer(recipe, parts_of(vocabulary), encoder.clash_table(), context.size)
    trained = train(recipe, trainer, known, kept_back, report)
    bundle = Bundle(name, vocabulary, context, trained.weights)
    measured = {"unseen": evaluate(bundle, unseen)} if unseen else {}
    facts = {
        "command": command,
        "corpus": corpus_facts(corpus),
        "files": corpus.files,
        "sources": corpus.sources,
        "trained_on": {"pieces": len(seen), "values": sum(map(len, known))},
        "recipe": asdict(recipe),
        "epochs": len(trained.epochs),
        "best_epoch": trained.best.number,
        "ended": trained.ended,
        "figures": {side: one.as_json() for side, one in measured.items()},
        "made_with": made_with(),
    }
    return replace(bundle, facts=facts, card=card(bundle, facts))


def made_with() -> dict[str, str]:
    """The versions of what trained it."""
    return {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
