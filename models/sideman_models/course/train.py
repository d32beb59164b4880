# SPDX-License-Identifier: Apache-2.0
"""The assignment's own training, with TensorFlow: the course's model on its own MIDI file.

The loss is summed over the steps and averaged over the snippets. What is trained is one LSTM layer over the sequence,
in one compiled step of our own; or, if asked for, the course's `djmodel` through Keras' `fit`, as its notebook does it,
with a loss and an accuracy for each of its outputs: the same mathematics and the same figures, only slower.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sideman_models.course.corpus import read_classic, training_arrays
from sideman_models.errors import TrainingError
from sideman_models.music.context import ContextFeatures
from sideman_models.music.values import Vocabulary, parse_value
from sideman_models.network.bundle import Bundle
from sideman_models.network.keras_model import Model, Tensor, djmodel, make_layers, sequence_model, weights_from_layers
from sideman_models.network.lstm import Floats, Weights
from sideman_models.network.model_card import model_card
from sideman_models.text import printable
from sideman_models.training.train import library_versions

Optimizer = Any


@dataclass(frozen=True, slots=True)
class ClassicRecipe:
    """The assignment's own: Adam, its rate divided by 1 + `decay` times the steps done.

    `unrolled`: train the course's `djmodel` itself, as the course does.
    """

    units: int = 64
    epochs: int = 100
    seed: int = 0
    batch: int = 32
    rate: float = 0.01
    decay: float = 0.01
    unrolled: bool = False


class ClassicTrainer:
    """The assignment's training, on X (m, Tx, n_values) and Y (Tx, m, n_values)."""

    def __init__(self, recipe: ClassicRecipe, X: Floats, Y: Floats) -> None:
        tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(recipe.seed)
        _, Tx, n_values = X.shape
        self.recipe = recipe
        self.LSTM_cell, self.densor, reshapor = make_layers(recipe.units, n_values, activation=None)
        if recipe.unrolled:
            self._model = name_outputs_by_step(djmodel(Tx, self.LSTM_cell, self.densor, reshapor))
            metrics = [[step_losses, step_hits] for _ in range(Tx)]
            self._model.compile(make_optimizer(recipe), loss=[step_losses] * Tx, metrics=metrics)
        else:
            model = sequence_model(Tx, self.LSTM_cell, self.densor, n_values)
            self._train_step = compile_train_step(model, make_optimizer(recipe))
        self._data = X, Y.transpose(1, 0, 2)
        self._random_source = np.random.default_rng(recipe.seed)

    def epoch(self) -> tuple[Floats, Floats]:
        """Learn from all snippets once: the losses (Tx,) in nats and the accuracies (Tx,) step by step."""
        order = self._random_source.permutation(len(self._data[0]))
        X, Y = (array[order] for array in self._data)
        return self._fit(X, Y) if self.recipe.unrolled else self._train_steps(X, Y)

    def _train_steps(self, X: Floats, Y: Floats) -> tuple[Floats, Floats]:
        m, Tx, _ = X.shape
        losses, right = np.zeros((2, Tx), np.float32)
        for start in range(0, m, self.recipe.batch):
            lost, found = self._train_step(*(array[start : start + self.recipe.batch] for array in (X, Y)))
            losses += lost.numpy() / m
            right += found.numpy() / m
        return losses, right

    def _fit(self, X: Floats, Y: Floats) -> tuple[Floats, Floats]:
        m, Tx, _ = X.shape
        zero, targets = np.zeros((m, self.recipe.units), np.float32), [Y[:, step] for step in range(Tx)]
        # The order is ours already. What Keras itself calls a loss is the mean of the batches', large and small alike.
        told = self._model.fit([X, zero, zero], targets, batch_size=self.recipe.batch, shuffle=False, verbose=0).history
        losses, right = (
            [told[f"step_{step + 1}_{of}"][-1] for step in range(Tx)] for of in ("step_losses", "step_hits")
        )
        return np.array(losses, np.float32), np.array(right, np.float32)


def name_outputs_by_step(model: Model) -> Model:
    """`djmodel` with outputs called `step_1` to `step_Tx`: all of its own have the name of `densor`."""
    outputs = [keras.layers.Identity(name=f"step_{step}")(one) for step, one in enumerate(model.outputs, start=1)]
    return keras.Model(model.inputs, outputs)


def step_losses(Y: Tensor, scores: Tensor) -> Tensor:
    """Cross-entropies (...) of scores and targets (..., n_values); 0 where the target is all zeros.

    The assignment's last target is. The fused function takes a target to sum to one, and would not give such a one the
    gradient zero, but the whole softmax: so it is multiplied away.
    """
    return tf.reduce_sum(Y, axis=-1) * tf.nn.softmax_cross_entropy_with_logits(Y, scores)


def step_hits(Y: Tensor, scores: Tensor) -> Tensor:
    """Whether the greatest score is the target's: 0 or 1, and 0 where the target is all zeros."""
    return tf.reduce_sum(Y, axis=-1) * tf.cast(tf.argmax(Y, axis=-1) == tf.argmax(scores, axis=-1), tf.float32)


def batch_gradients(model: Model, X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Of a batch X, Y (m, Tx, n_values): losses (m, Tx), whether right (m, Tx), and the gradient of every weight.

    `model` gives scores before the softmax, over the sequence at once or as a list of steps.
    """
    zero = tf.zeros((tf.shape(X)[0], model.inputs[1].shape[-1]))
    with tf.GradientTape() as tape:
        scores = model([X, zero, zero])
        scores = tf.stack(scores, axis=1) if isinstance(scores, list) else scores
        losses = step_losses(Y, scores)
        loss = tf.reduce_sum(tf.reduce_mean(losses, axis=0))
    return losses, step_hits(Y, scores), tape.gradient(loss, model.trainable_variables)


def compile_train_step(model: Model, optimizer: Optimizer) -> Callable[[Floats, Floats], tuple[Tensor, Tensor]]:
    """One step of learning from a batch X, Y (m, Tx, n_values), as one function of TensorFlow's.

    It returns the losses and how many were right, step by step (Tx,), summed over the batch.
    """
    optimizer.build(model.trainable_variables)

    def step(X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor]:
        losses, right, gradient = batch_gradients(model, X, Y)
        optimizer.apply(gradient, model.trainable_variables)
        return tf.reduce_sum(losses, axis=0), tf.reduce_sum(right, axis=0)

    compiled: Callable[[Floats, Floats], tuple[Tensor, Tensor]]
    compiled = tf.function(step, reduce_retracing=True, autograph=False)
    return compiled


def make_optimizer(recipe: ClassicRecipe) -> Optimizer:
    """Adam, its rate falling with the steps done."""
    return keras.optimizers.Adam(keras.optimizers.schedules.InverseTimeDecay(recipe.rate, 1, recipe.decay))


def step_table(figures: Mapping[str, Any]) -> str:
    """The figures of a classic bundle as the course prints them: the loss in all; losses and accuracies by step."""
    lines = [f"loss: {figures['loss']:.4f}"]
    for step, (loss, accuracy) in enumerate(zip(figures["losses"], figures["accuracies"], strict=True), start=1):
        lines.append(f"{f'loss_{step}':>8}: {loss:.4f}   {f'accuracy_{step}':>11}: {accuracy:.4f}")
    return "\n".join(lines)


def train_classic_bundle(
    path: Path, recipe: ClassicRecipe, name: str, command: str, report: Callable[[int, Floats, Floats], None]
) -> Bundle:
    """The assignment's run on its own MIDI file: a classic bundle, without context.

    `report` is told the epoch and its losses and accuracies step by step. KeyboardInterrupt ends it early. Raises
    `CorpusError`, `TrainingError`.
    """
    corpus = read_classic(path)
    X, Y = training_arrays(corpus)
    trainer = ClassicTrainer(recipe, X, Y)
    epochs: list[tuple[Floats, Floats]] = []
    weights: Weights | None = None
    ended = "all epochs done"
    try:
        for epoch in range(1, recipe.epochs + 1):
            loss, accuracy = trainer.epoch()
            if not np.isfinite(loss).all():
                ended = "the loss is no longer a number"
                break
            epochs.append((loss, accuracy))
            weights = weights_from_layers(trainer.LSTM_cell, trainer.densor)
            report(epoch, loss, accuracy)
    except KeyboardInterrupt:
        ended = "interrupted"
    if weights is None:
        raise TrainingError(f"nothing was learned: {ended} in the first epoch")
    losses, accuracies = ([round(float(one), 4) for one in last] for last in epochs[-1])
    facts = {
        "command": command,
        "corpus": {"pieces": 1, "left_out": {}} | corpus.facts(),
        "files": {printable(path.name): hashlib.sha256(path.read_bytes()).hexdigest()},
        "sources": ["the assignment's own MIDI file: a composition under copyright, no licence stated for the file"],
        "trained_on": {"pieces": 1, "values": len(corpus.tokens)},
        "recipe": asdict(recipe),
        "epochs": len(epochs),
        "best_epoch": len(epochs),
        "ended": ended,
        "figures": {"loss": round(float(epochs[-1][0].sum()), 4), "losses": losses, "accuracies": accuracies},
        "made_with": library_versions(),
    }
    bundle = Bundle(name, Vocabulary([parse_value(text) for text in corpus.values]), ContextFeatures(), weights)
    return replace(bundle, facts=facts, card=model_card(bundle, facts))
