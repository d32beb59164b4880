# SPDX-License-Identifier: Apache-2.0
"""The assignment's own training, with TensorFlow: the course's model on its own MIDI file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from sideman_models.bundle import Bundle
from sideman_models.card import card
from sideman_models.classic import read_classic, training_arrays
from sideman_models.context import Context
from sideman_models.djmodel import Tensor, layers, sequence_model, weights_of
from sideman_models.lstm import Floats, Weights
from sideman_models.train import TrainingError, made_with
from sideman_models.values import Vocabulary, parse_value


@dataclass(frozen=True, slots=True)
class ClassicRecipe:
    """The assignment's own: Adam, its rate divided by 1 + `decay` times the steps done."""

    units: int = 64
    epochs: int = 100
    seed: int = 0
    batch: int = 32
    rate: float = 0.01
    decay: float = 0.01


class ClassicTrainer:
    """The assignment's training, on X (m, Tx, n_values) and Y (Tx, m, n_values), as one layer over the sequence."""

    def __init__(self, recipe: ClassicRecipe, X: Floats, Y: Floats) -> None:
        tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(recipe.seed)
        _, Tx, n_values = X.shape
        self.recipe = recipe
        self.LSTM_cell, self.densor, _ = layers(recipe.units, n_values, activation=None)
        self._model = sequence_model(Tx, self.LSTM_cell, self.densor, n_values)
        self._data = X, Y.transpose(1, 0, 2)
        self._dice = np.random.default_rng(recipe.seed)
        schedule = keras.optimizers.schedules.InverseTimeDecay(recipe.rate, 1, recipe.decay)
        self._optimizer = keras.optimizers.Adam(schedule)
        self._optimizer.build(self._model.trainable_variables)
        self._step = tf.function(self._train_step, reduce_retracing=True)

    def epoch(self) -> tuple[Floats, Floats]:
        """Learn from all snippets once: the losses (Tx,) in nats and the accuracies (Tx,) step by step."""
        m = len(self._data[0])
        order = self._dice.permutation(m)
        losses = np.zeros(self._data[0].shape[1], np.float32)
        right = np.zeros_like(losses)
        for start in range(0, m, self.recipe.batch):
            X, Y = (array[order[start : start + self.recipe.batch]] for array in self._data)
            lost, found = self._step(tf.constant(X), tf.constant(Y))
            losses += lost.numpy() / m
            right += found.numpy() / m
        return losses, right

    def _train_step(self, X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor]:
        zero = tf.zeros((tf.shape(X)[0], self.recipe.units))
        told = tf.reduce_sum(Y, axis=2)
        with tf.GradientTape() as tape:
            scores = self._model([X, zero, zero])
            # The last target is all zeros. The fused loss takes labels to sum to one and would not give it the
            # gradient zero, but the whole softmax: so that step is multiplied away.
            losses = told * tf.nn.softmax_cross_entropy_with_logits(Y, scores)
            loss = tf.reduce_sum(tf.reduce_mean(losses, axis=0))
        self._optimizer.apply(tape.gradient(loss, self._model.trainable_variables), self._model.trainable_variables)
        right = told * tf.cast(tf.argmax(scores, axis=2) == tf.argmax(Y, axis=2), tf.float32)
        return tf.reduce_sum(losses, axis=0), tf.reduce_sum(right, axis=0)


def learn_classic(
    path: Path, recipe: ClassicRecipe, name: str, command: str, report: Callable[[int, Floats, Floats], None]
) -> Bundle:
    """The assignment's run on its own MIDI file: a classic bundle, without context.

    `report` is told the epoch and its losses and accuracies step by step. KeyboardInterrupt ends it early. Raises
    `CorpusError`, `TrainingError`.
    """
    corpus = read_classic(path)
    X, Y = training_arrays(corpus)
    trainer = ClassicTrainer(recipe, X, Y)
    losses: list[Floats] = []
    weights: Weights | None = None
    ended = "all epochs done"
    try:
        for epoch in range(1, recipe.epochs + 1):
            loss, accuracy = trainer.epoch()
            if not np.isfinite(loss).all():
                ended = "the loss is no longer a number"
                break
            losses.append(loss)
            weights = weights_of(trainer.LSTM_cell, trainer.densor)
            report(epoch, loss, accuracy)
    except KeyboardInterrupt:
        ended = "interrupted"
    if weights is None:
        raise TrainingError(f"nothing was learned: {ended} in the first epoch")
    facts = {
        "command": command,
        "corpus": {"pieces": 1, "left_out": {}} | corpus.facts(),
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest()},
        "sources": ["the assignment's own MIDI file: a composition under copyright, no licence stated for the file"],
        "trained_on": {"pieces": 1, "values": len(corpus.tokens)},
        "recipe": asdict(recipe),
        "epochs": len(losses),
        "best_epoch": len(losses),
        "ended": ended,
        "figures": {"loss": round(float(losses[-1].sum()), 4), "losses": [round(float(one), 4) for one in losses[-1]]},
        "made_with": made_with(),
    }
    bundle = Bundle(name, Vocabulary([parse_value(text) for text in corpus.values]), Context(), weights)
    return replace(bundle, facts=facts, card=card(bundle, facts))
