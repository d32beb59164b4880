# SPDX-License-Identifier: Apache-2.0
"""Trains the assignment's network on the assignment's MIDI file, with TensorFlow.

The loss is summed over the steps and averaged over the snippets. By default one LSTM layer over the whole sequence is
trained, with a compiled training step. With `ClassicRecipe.unrolled` it is the course's `djmodel`, trained by Keras'
`fit` with a loss and an accuracy for each output, as in the course's notebook. Both compute the same figures; the
second is slower.

Shapes: m snippets, Tx steps, n_values values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from msgspec import Struct
from msgspec.structs import asdict, replace

from sideman_models.course.corpus import read_classic, training_arrays
from sideman_models.course.djmodel import djmodel, sequence_model
from sideman_models.errors import TrainingError
from sideman_models.music.context import ContextFeatures
from sideman_models.music.values import Vocabulary, parse_value
from sideman_models.network.bundle import Bundle
from sideman_models.network.keras_model import Model, library_versions, make_layers, weights_from_layers
from sideman_models.network.lstm import Floats, Weights
from sideman_models.network.model_card import model_card
from sideman_models.text import printable

Optimizer = Any
Tensor = Any


class ClassicRecipe(Struct, frozen=True):
    """Adam with batches of `batch` snippets. After n steps the learning rate is `rate / (1 + decay * n)`."""

    units: int = 64
    epochs: int = 100
    seed: int = 0
    batch: int = 32
    rate: float = 0.01
    decay: float = 0.01
    unrolled: bool = False


class ClassicTrainer:
    """Trains the assignment's network on X (m, Tx, n_values) and Y (Tx, m, n_values), one epoch at a time."""

    def __init__(self, recipe: ClassicRecipe, X: Floats, Y: Floats) -> None:
        tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(recipe.seed)
        _, Tx, n_values = X.shape
        self.recipe = recipe
        self.LSTM_cell, self.densor, reshapor = make_layers(recipe.units, n_values, activation=None)
        if recipe.unrolled:
            model = djmodel(Tx, self.LSTM_cell, self.densor, reshapor)
            # All outputs have the name of the layer `densor`; their figures need different names.
            outputs = [keras.layers.Identity(name=f"step_{step}")(one) for step, one in enumerate(model.outputs, 1)]
            self._model = keras.Model(model.inputs, outputs)
            metrics = [[step_losses, step_hits] for _ in range(Tx)]
            self._model.compile(make_optimizer(recipe), loss=[step_losses] * Tx, metrics=metrics)
        else:
            model = sequence_model(Tx, self.LSTM_cell, self.densor, n_values)
            self._train_step = compile_train_step(model, make_optimizer(recipe))
        self._data = X, Y.transpose(1, 0, 2)
        self._random_source = np.random.default_rng(recipe.seed)

    def epoch(self) -> tuple[Floats, Floats]:
        """Train on all snippets once. Returns the loss in nats and the accuracy of each step, both (Tx,)."""
        order = self._random_source.permutation(len(self._data[0]))
        X, Y = (array[order] for array in self._data)
        if self.recipe.unrolled:
            return self._fit(X, Y)
        m, Tx, _ = X.shape
        losses, accuracies = np.zeros((2, Tx), np.float32)
        for start in range(0, m, self.recipe.batch):
            loss_sums, hit_sums = self._train_step(*(array[start : start + self.recipe.batch] for array in (X, Y)))
            losses += loss_sums.numpy() / m
            accuracies += hit_sums.numpy() / m
        return losses, accuracies

    def _fit(self, X: Floats, Y: Floats) -> tuple[Floats, Floats]:
        m, Tx, _ = X.shape
        zero, targets = np.zeros((m, self.recipe.units), np.float32), [Y[:, step] for step in range(Tx)]
        # `epoch` has shuffled already. The figures are those of the metrics, because Keras' own loss is a mean over the
        # batches, and the last batch may be smaller.
        fit = self._model.fit([X, zero, zero], targets, batch_size=self.recipe.batch, shuffle=False, verbose=0)
        losses, accuracies = (
            [fit.history[f"step_{step + 1}_{metric.__name__}"][-1] for step in range(Tx)]
            for metric in (step_losses, step_hits)
        )
        return np.array(losses, np.float32), np.array(accuracies, np.float32)


def step_losses(Y: Tensor, scores: Tensor) -> Tensor:
    """Return the cross-entropies (...) in nats of scores and one-hot targets (..., n_values).

    The loss and its gradient are 0 where the target is all zeros, as the last target of the assignment is. TensorFlow's
    function assumes that targets sum to one. For such a target its gradient would be the whole softmax, so the result
    is multiplied by zero there.
    """
    return tf.reduce_sum(Y, axis=-1) * tf.nn.softmax_cross_entropy_with_logits(Y, scores)


def step_hits(Y: Tensor, scores: Tensor) -> Tensor:
    """Return 1 where the greatest score is the target's, else 0 (...). It is 0 where the target is all zeros."""
    return tf.reduce_sum(Y, axis=-1) * tf.cast(tf.argmax(Y, axis=-1) == tf.argmax(scores, axis=-1), tf.float32)


def batch_gradients(model: Model, X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return the losses (m, Tx), the hits (m, Tx) and the gradients of all weights for a batch X, Y (m, Tx, n_values).

    `model` returns scores before the softmax, as one tensor (m, Tx, n_values) or as a list of Tx tensors.
    """
    zero = tf.zeros((tf.shape(X)[0], model.inputs[1].shape[-1]))
    with tf.GradientTape() as tape:
        scores = model([X, zero, zero])
        scores = tf.stack(scores, axis=1) if isinstance(scores, list) else scores
        losses = step_losses(Y, scores)
        loss = tf.reduce_sum(tf.reduce_mean(losses, axis=0))
    return losses, step_hits(Y, scores), tape.gradient(loss, model.trainable_variables)


def compile_train_step(model: Model, optimizer: Optimizer) -> Callable[[Floats, Floats], tuple[Tensor, Tensor]]:
    """Return a compiled step on X, Y (m, Tx, n_values). It returns losses (Tx,) and hits (Tx,), summed over m."""
    optimizer.build(model.trainable_variables)

    def step(X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor]:
        losses, hits, gradients = batch_gradients(model, X, Y)
        optimizer.apply(gradients, model.trainable_variables)
        return tf.reduce_sum(losses, axis=0), tf.reduce_sum(hits, axis=0)

    compiled: Callable[[Floats, Floats], tuple[Tensor, Tensor]]
    compiled = tf.function(step, reduce_retracing=True, autograph=False)
    return compiled


def make_optimizer(recipe: ClassicRecipe) -> Optimizer:
    """Return Adam with a learning rate that falls with the number of steps: see `ClassicRecipe.decay`."""
    return keras.optimizers.Adam(keras.optimizers.schedules.InverseTimeDecay(recipe.rate, 1, recipe.decay))


def step_table(figures: Mapping[str, Any]) -> str:
    """Return the figures of a classic bundle as the course prints them: the total loss, then each step's figures."""
    lines = [f"loss: {figures['loss']:.4f}"]
    for step, (loss, accuracy) in enumerate(zip(figures["losses"], figures["accuracies"], strict=True), start=1):
        lines.append(f"{f'loss_{step}':>8}: {loss:.4f}   {f'accuracy_{step}':>11}: {accuracy:.4f}")
    return "\n".join(lines)


def train_classic_bundle(
    path: Path, recipe: ClassicRecipe, name: str, command: str, report: Callable[[int, Floats, Floats], None]
) -> Bundle:
    """Train on the assignment's MIDI file `path` and return a classic bundle, which has no context.

    `command` is written to the model card. After each epoch, `report` gets its number, its losses (Tx,) and its
    accuracies (Tx,). A KeyboardInterrupt ends the training, and the result so far is returned. Raises `CorpusError` if
    the file cannot be read, and `TrainingError` if not even one epoch was completed.
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
    losses, accuracies = ([round(float(figure), 4) for figure in figures] for figures in epochs[-1])
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
    bundle = Bundle(name, Vocabulary([parse_value(text) for text in corpus.values]), ContextFeatures(), weights=weights)
    return replace(bundle, facts=facts, card=model_card(bundle, facts))
