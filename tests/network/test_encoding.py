# SPDX-License-Identifier: Apache-2.0
"""Pieces as numbers: the network reads the same in training as when it plays."""

from __future__ import annotations

import numpy as np
import pytest

from sideman_models.corpus.corpus import Corpus, read_corpus
from sideman_models.errors import CorpusError
from sideman_models.music.context import FEATURES, ContextFeatures, clash_mask_at
from sideman_models.music.solos import Piece
from sideman_models.music.values import Value, Vocabulary
from sideman_models.network.encoding import PieceEncoder
from sideman_models.training.dataset import build_vocabulary
from support.corpora import write_tiny_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A few random pieces."""
    return read_corpus([write_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl")])


def test_a_piece_is_encoded_as_it_is_played(corpus: Corpus) -> None:
    """Guards against: training on other context or clashes than the network gets when it plays."""
    vocabulary, context = build_vocabulary(corpus.pieces), ContextFeatures(list(FEATURES))
    encoder = PieceEncoder(vocabulary, context)
    for piece in corpus.pieces[:3]:
        encoded = encoder.encode(piece)
        assert piece.places is not None
        assert len(encoded) == len(piece.values)
        assert encoded.mapped_count == sum(vocabulary.index_of(value) is None for value in piece.values)
        for step, (value, place) in enumerate(zip(piece.values, piece.places, strict=True)):
            assert encoded.indices[step] == vocabulary.nearest_index(value)
            np.testing.assert_array_equal(encoded.context_rows[step], context.active_rows(place))
            np.testing.assert_array_equal(
                encoder.clash_table()[encoded.clash_rows[step]], clash_mask_at(vocabulary, place)
            )


def test_values_without_chords_need_a_network_without_context() -> None:
    """Guards against: values without chords that are encoded as if they had chords."""
    piece = Piece("", "", (Value("C", 6, 2), Value("R", 12)))
    vocabulary = Vocabulary([Value("C", 6, 2)])
    assert list(PieceEncoder(vocabulary, ContextFeatures()).encode(piece).indices) == [0]
    with pytest.raises(CorpusError, match="without chords"):
        PieceEncoder(vocabulary, ContextFeatures(["beat"])).encode(piece)
