# SPDX-License-Identifier: Apache-2.0
"""Lessons: what trained networks play, and what all of them expect in it, for a new network to learn from.

A network that has learned from little music knows some of it by heart. Networks that were trained with different seeds
know different parts by heart, and share what holds for other music, too. So the mean of their probabilities predicts
unseen music better than each of them. A new network learns this mean (Hinton, Vinyals and Dean, 2015) from lessons: its
*teachers* play over the chords of the training music, and at each step the target is not the value that was played but
what the teachers expect on average. On the training music itself the teachers would pass on what they know by heart;
there, the target is the value.

Each lesson is played by one teacher over all solos; the teachers take turns. Each epoch of training takes
`LESSONS_AN_EPOCH` of them, in turn, beside the music.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import cycle

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from sideman_models.errors import TrainingError
from sideman_models.evaluation.bits import piece_logits
from sideman_models.music.context import ContextFeatures
from sideman_models.music.motifs import motif_symbols
from sideman_models.music.solos import Piece, Solo
from sideman_models.music.values import Vocabulary
from sideman_models.network.bundle import Bundle
from sideman_models.network.encoding import EncodedPiece
from sideman_models.network.lstm import Flags, NumpyNetwork, softmax

LESSONS = 6
"""How many lessons there are. If there are more teachers, only the first ones play; all say what they expect.

A lesson takes 1.3 kB a value.
"""
LESSONS_AN_EPOCH = 4
"""How many lessons each epoch takes beside the music."""

Perform = Callable[[Bundle, Sequence[Solo], int], Iterable[Piece]]
"""Lets a network play once over the chords of each solo; the number is a seed."""


def check_teachers(teachers: Sequence[Bundle], vocabulary: Vocabulary, context: ContextFeatures) -> None:
    """Check that the teachers have these values and this context. Raises `TrainingError`."""
    for teacher in teachers:
        if teacher.vocabulary.values != vocabulary.values or teacher.context.names != context.names:
            raise TrainingError(
                f"{teacher.name} cannot teach here: a teacher must have learned from this music with the same options,"
                " so that it has the same values and context"
            )


def play_lessons(teachers: Sequence[Bundle], pieces: Sequence[Piece], perform: Perform, seed: int) -> list[list[Piece]]:
    """Let the teachers play over the chords of the pieces that are not of another feel.

    Raises `TrainingError` if no piece has chords.
    """
    solos = [piece.solo for piece in pieces if piece.solo is not None and not piece.other_feel]
    if teachers and not solos:
        raise TrainingError("teachers play over the chords of the music, and this music has none")
    first = [seed + number * len(solos) for number in range(LESSONS)] if teachers else []
    return [list(perform(teacher, solos, start)) for teacher, start in zip(cycle(teachers), first, strict=False)]


def with_expectations(teachers: Sequence[Bundle], lesson: Sequence[EncodedPiece], table: Flags) -> list[EncodedPiece]:
    """Return the pieces of a lesson with the mean probabilities of the teachers as `EncodedPiece.expected`.

    `table` is from `PieceEncoder.clash_table`.
    """
    networks, symbols = [NumpyNetwork(teacher.weights) for teacher in teachers], motif_symbols(teachers[0].vocabulary)

    def expected(piece: EncodedPiece) -> npt.NDArray[np.float16]:
        each = (piece_logits(network, piece, table, symbols) for network in networks)
        means = [sum(map(softmax, logits)) / len(networks) for logits in zip(*each, strict=True)]
        return np.array(means, np.float16)

    return [replace(piece, expected=expected(piece)) for piece in lesson]
