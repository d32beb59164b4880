# SPDX-License-Identifier: Apache-2.0
"""Fits the readouts of a network: touch and placement, from recorded players. The network itself stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import msgspec
import numpy as np
from msgspec.structs import replace

from sideman_models.corpus.corpus import Corpus
from sideman_models.errors import CorpusError
from sideman_models.evaluation.touch import played_notes, touch_figures
from sideman_models.music.solos import Piece
from sideman_models.network.bundle import Bundle
from sideman_models.network.lstm import Floats
from sideman_models.network.model_card import model_card
from sideman_models.network.readout import READOUTS, Readout
from sideman_models.training.split import Split, read_split_rule, split_by_rule

UNITS, EPOCHS, BATCH = 32, 16, 512
RATE, WEIGHT_DECAY = 5e-3, 1e-3
MIN_NOTES = 500
"""With fewer notes whose loudness or delay is known, there is nothing to fit."""


def with_readouts(bundle: Bundle, split: Split, command: str, corpus: Corpus, seed: int = 0) -> Bundle:
    """Return the bundle with the readouts that the training side of `split` allows, and with their facts.

    They are measured on the other side. Pieces of another feel are left out: their delays are others.
    """
    played = [piece for piece in split.training if not piece.other_feel]
    fitted = {} if bundle.classic else _fit_all(bundle, played, seed)
    facts = {key: value for key, value in bundle.facts.items() if key != "readouts"}
    bundle = replace(bundle, facts=facts, **{name: fitted.get(name) for name in READOUTS})
    if not fitted:
        return bundle
    figures = touch_figures(bundle, split.held_out)
    about = {
        "command": command,
        "files": dict(corpus.files),
        "sources": list(corpus.sources),
        "pieces": len(played),
        "figures": None if figures is None else msgspec.to_builtins(figures),
    }
    return replace(bundle, facts={**facts, "readouts": about})


def refit(bundle: Bundle, corpus: Corpus, command: str, pictures: Sequence[tuple[str, str]], seed: int = 0) -> Bundle:
    """Return a trained bundle with new readouts, fitted on the titles that it has learned from, and a new card.

    Raises `CorpusError` if the music says neither how loud nor how late its notes are.
    """
    keras.config.disable_interactive_logging()
    split = split_by_rule(corpus.pieces, read_split_rule(bundle.facts, bundle.path))
    fitted = with_readouts(bundle, split, command, corpus, seed)
    if not fitted.readouts:
        raise CorpusError(
            f"nothing to fit touch and placement on: fewer than {MIN_NOTES} notes have a loudness (`loud_median`) or a"
            " delay (`onset_s` of notes and beats)"
        )
    if "trained_on" not in fitted.facts:  # it was imported: it is not known how it was trained
        return fitted
    return replace(fitted, card=model_card(fitted, fitted.facts, pictures))


def _fit_all(bundle: Bundle, pieces: Sequence[Piece], seed: int) -> Mapping[str, Readout]:
    notes = played_notes(bundle, pieces)
    fitted = {}
    for number, name in enumerate(READOUTS):
        target: Floats = getattr(notes, name)
        known = ~np.isnan(target)
        # Notes that a program has written all have the same loudness, and no delay.
        if known.sum() >= MIN_NOTES and float(target[known].std()) > 1e-4:
            fitted[name] = _fit(notes.inputs[known], target[known], seed + number)
    return fitted


def _fit(inputs: Floats, target: Floats, seed: int) -> Readout:
    """Return the readout with the least squared error."""
    keras.utils.set_random_seed(seed)
    scale = np.float32(target.std())
    hidden: Any = keras.layers.Dense(UNITS, activation="tanh")
    output: Any = keras.layers.Dense(1)
    model = keras.Sequential([hidden, output])
    steps = EPOCHS * -(-len(target) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY), "mse")
    model.fit(inputs, target / scale, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    (kernel, bias), (weights, output_bias) = hidden.get_weights(), output.get_weights()
    return Readout(kernel, bias, weights[:, 0] * scale, output_bias * scale)
