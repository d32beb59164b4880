# SPDX-License-Identifier: Apache-2.0
"""Bits: the figures that say whether one network is better than another."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import tiny_corpus
from fakes import random_weights
from sideman.commands import evaluate as command
from sideman.core.errors import NoSuchInput
from sideman_models.bundle import Bundle, save
from sideman_models.context import FEATURES, Context, Place
from sideman_models.corpus import Corpus, Piece, read
from sideman_models.dataset import build_vocabulary
from sideman_models.errors import CorpusError
from sideman_models.evaluate import ASTRAY, EXACT, evaluate, pitch_bits, pitch_rank
from sideman_models.harmony import Chord, parse_chord
from sideman_models.lstm import Weights
from sideman_models.values import VALUE_KINDS, Value, Vocabulary, realise
from strategies import chords, modern_values


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A few random tunes."""
    return read([tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl", titles=40)])


def uniform(vocabulary: Vocabulary, context: Context) -> Weights:
    """A network that knows nothing."""
    n = len(vocabulary)
    shapes = ((n + context.size, 8), (2, 8), (8,), (2, n), (n,))
    kernel, recurrent, bias, out, out_bias = (np.zeros(shape, np.float32) for shape in shapes)
    return Weights(kernel, recurrent, bias, out, out_bias, 0.0)


def test_a_network_that_knows_nothing_costs_the_size_of_its_vocabulary(corpus: Corpus) -> None:
    """The figures would not be bits."""
    vocabulary, context = build_vocabulary(corpus.pieces), Context(list(FEATURES))
    bundle = Bundle("uniform", vocabulary, context, uniform(vocabulary, context))
    figures = evaluate(bundle, corpus.pieces)
    assert figures.bits_per_value == pytest.approx(math.log2(len(vocabulary)))
    assert figures.values == sum(len(piece.values) for piece in corpus.pieces)
    assert figures.bits_per_note is not None
    pitches = sum(pitch_bits(vocabulary, piece) for piece in corpus.pieces)
    assert figures.bits_per_note == pytest.approx((figures.values * figures.bits_per_value + pitches) / figures.notes)


def test_every_piece_begins_afresh(corpus: Corpus) -> None:
    """The figures would depend on the order of the pieces."""
    vocabulary, context = build_vocabulary(corpus.pieces), Context(list(FEATURES))
    bundle = Bundle("any", vocabulary, context, random_weights(len(vocabulary), context.size, 6, 1.0))
    one, other = (evaluate(bundle, pieces) for pieces in (corpus.pieces, corpus.pieces[::-1]))
    assert one.bits_per_value == pytest.approx(other.bits_per_value)


def test_pieces_without_pitches_have_no_bits_a_note() -> None:
    """A figure would be told that is none."""
    vocabulary = Vocabulary([Value("C", 6, 2), Value("R", 12)])
    bundle = Bundle("any", vocabulary, Context(), random_weights(2, 0, 3, 0.0))
    figures = evaluate(bundle, [Piece("", "", (Value("C", 6, 2), Value("C", 6, 3)), notes=2)])
    assert figures.bits_per_note is None
    assert figures.mapped_share == 0.5
    with pytest.raises(CorpusError, match="without chords"):
        evaluate(
            Bundle("any", vocabulary, Context(["beat"]), random_weights(2, 4, 3, 0.0)),
            [Piece("", "", (Value("C", 6),))],
        )


def place(chord: Chord, previous: int | None) -> Place:
    """Somewhere."""
    return Place(0, chord, chord, math.inf, previous)


@given(modern_values(), chords(), st.integers(12, 115))
def test_rank_nought_is_what_would_be_played(value: Value, chord: Chord, previous: int) -> None:
    """The bits of a pitch would be those of another way of playing the values."""
    played = realise(value, chord, previous, 0, 127)
    if played is not None:
        assert pitch_rank(value, place(chord, previous), played) == 0


@given(modern_values(), chords(), st.none() | st.integers(0, 127))
def test_the_pitches_chances_sum_to_no_more_than_one(value: Value, chord: Chord, previous: int | None) -> None:
    """Bits a note would be too few: a code that cannot be."""
    if value.kind == "R":
        return
    here = place(chord, previous)
    costs = [pitch_bits(Vocabulary([value]), Piece("", "", (value,), (here,), (pitch,))) for pitch in range(128)]
    assert sum(2**-cost for cost in costs) <= 1 + 1e-9
    fitting = [cost for pitch, cost in enumerate(costs) if VALUE_KINDS[chord.kind(pitch)] == value.kind]
    if fitting:
        assert min(fitting) == pytest.approx(-math.log2((1 - ASTRAY) * EXACT[value.interval is not None]))


def test_a_pitch_of_another_kind_is_astray_but_not_impossible() -> None:
    """One mapped value would make the bits infinite."""
    value, here = Value("C", 6, 2), place(parse_chord("C"), 60)
    assert pitch_rank(value, here, 62) is None
    assert pitch_bits(Vocabulary([value]), Piece("", "", (value,), (here,), (62,))) == pytest.approx(
        -math.log2(ASTRAY / 128)
    )


def test_the_command_prints_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus) -> None:
    """Nobody could measure a network, or compare it by machine."""
    path = tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    vocabulary = build_vocabulary(corpus.pieces)
    save(Bundle("any", vocabulary, Context(), random_weights(len(vocabulary), 0, 6, 0.0)), tmp_path / "any")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    model = ["--model", str(tmp_path / "any")]
    assert command.run(parser.parse_args([*model, "--json", "--unseen", str(path)])) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"bits_per_value", "bits_per_note", "values", "pieces", "dropped_share", "mapped_share"} <= set(told)
    assert told["pieces"] == len(corpus.split()[1])
    assert command.run(parser.parse_args([*model, str(path)])) == 0
    assert "bits per value" in capsys.readouterr().out
    with pytest.raises(NoSuchInput):
        command.run(parser.parse_args([*model, str(tmp_path / "none.jsonl")]))
    with pytest.raises(CorpusError, match="keeps back"):
        command.run(parser.parse_args([*model, "--unseen", str(tiny_corpus(tmp_path / "few.jsonl", titles=2))]))
