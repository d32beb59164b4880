# SPDX-License-Identifier: Apache-2.0
"""Lessons of teachers: the network learns what its teachers expect on average, beside the music."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from sideman.commands import train as command
from sideman.core.errors import UsageError
from sideman_models.corpus.corpus import read_corpus
from sideman_models.errors import TrainingError
from sideman_models.music.motifs import motif_symbols, padded_rows, symbol_logits
from sideman_models.music.solos import Piece, Solo
from sideman_models.music.values import Value
from sideman_models.network.bundle import Bundle, load_bundle, save_bundle
from sideman_models.network.encoding import EncodedPiece, PieceEncoder
from sideman_models.network.lstm import LstmState, NumpyNetwork, softmax
from sideman_models.training.dataset import Batch, BatchWindows
from sideman_models.training.lessons import LESSONS, play_lessons, with_expectations
from sideman_models.training.progress import TrainingObserver
from sideman_models.training.recipe import Recipe, default_dropout
from support.corpora import write_tiny_corpus
from support.fakes import classic_bundle, modern_bundle, motif_bundle
from support.training import quick, train_arguments

tf = pytest.importorskip("tensorflow")

from sideman_models.training import factored_model, train  # noqa: E402
from sideman_models.training.trainer import Trainer  # noqa: E402

__all__ = ["quick"]  # a fixture

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Piece]:
    """Four random pieces."""
    return read_corpus([write_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl", titles=4)]).pieces


def teachers() -> list[Bundle]:
    """Two networks of the same values, one of which has a memory of motifs."""
    return [modern_bundle(), motif_bundle()]


def test_a_lesson_expects_what_the_teachers_expect_on_average(pieces: Sequence[Piece]) -> None:
    """Guards against: a network that learns something else than what its teachers know."""
    both = teachers()
    encoder = PieceEncoder(both[0].vocabulary, both[0].context)
    encoded = [encoder.encode(piece) for piece in pieces]
    table, symbols = encoder.clash_table(), motif_symbols(both[0].vocabulary)
    for plain, piece in zip(encoded, with_expectations(both, encoded, table), strict=True):
        means = np.zeros((len(piece), len(symbols)))
        assert plain.motif_runs is not None
        for bundle in both:
            network, state, previous = NumpyNetwork(bundle.weights), LstmState.zero(bundle.weights.n_a), None
            bonus = symbol_logits(padded_rows(network.motif), plain.motif_runs)[:, symbols]
            for step, index in enumerate(plain.indices.tolist()):
                rows, clash = plain.context_rows[step].astype(np.intp), table[plain.clash_rows[step]]
                means[step] += softmax(network.step(previous, rows, clash, state) + bonus[step]) / 2
                previous = index
        assert piece.expected is not None
        np.testing.assert_allclose(piece.expected, means, atol=1e-3)
        np.testing.assert_array_equal(piece.indices, plain.indices)


def test_a_batch_costs_the_music_by_its_values_and_a_lesson_by_what_is_expected() -> None:
    """Guards against: music that is learned as a lesson, or a lesson as if its values had been right."""
    rng = np.random.default_rng(0)

    def piece() -> EncodedPiece:
        indices, rows, clash = (rng.integers(0, 5, shape).astype(np.int32) for shape in (20, (20, 2), 20))
        return EncodedPiece(indices, rows, clash, mapped_count=0)

    music, lesson = piece(), piece()
    expected = rng.dirichlet(np.ones(5), 20).astype(np.float16)
    windows = BatchWindows([music, replace(lesson, expected=expected)], 5, 2, 24)
    batch = Batch(*map(tf.constant, windows.batch(0)))
    logits = rng.normal(size=(2, 24, 5)).astype(np.float32)
    bits = -np.log2([[softmax(row) for row in lane] for lane in logits])
    right = bits[0][np.arange(20), music.indices].sum() + (bits[1][:20] * expected).sum()
    assert float(factored_model.total_bits(tf.constant(logits), batch)) == pytest.approx(right, rel=1e-3)
    plain = BatchWindows([music], 5, 2, 24).batch(0)
    assert plain.expected.shape == (2, 24, 0)  # no room for what is not needed
    right = bits[0][np.arange(20), music.indices].sum()
    assert float(factored_model.total_bits(tf.constant(logits), Batch(*map(tf.constant, plain)))) == pytest.approx(
        right
    )


@pytest.mark.parametrize(
    ("count", "taken"), [(0, [[]] * 3), (1, [[2]] * 3), (6, [[2, 3, 4, 5, 6], [2, 3, 4, 7, 8], [5, 6, 7, 8]])], ids=str
)
def test_each_epoch_takes_the_next_lessons(count: int, taken: list[list[int]]) -> None:
    """Guards against: lessons that are never given, and a training that differs after an interruption."""

    def piece(value: int) -> EncodedPiece:
        return EncodedPiece(np.full(3, value, np.int32), np.zeros((3, 0), np.int32), np.zeros(3, np.int32), 0)

    music, lessons = (
        [piece(0), piece(1)],
        [[piece(2)], [piece(3), piece(4)], *([piece(value)] for value in range(5, 9))][:count],
    )
    trainer = Trainer(
        Recipe(units=2), factored_model.initial_factored_parameters(2, 6, 0, 0), np.eye(6, dtype=np.float32),
        np.zeros((1, 6), np.bool_), np.zeros((27, 6), np.float32),
    )  # fmt: skip

    def epochs(count: int) -> list[list[int]]:
        run = train.TrainingRun(trainer, music, [], TrainingObserver(), lessons)
        return [[int(piece.indices[0]) for piece in run._shuffle_pieces()] for _ in range(count)]

    assert [sorted(epoch) for epoch in epochs(3)] == [[0, 1, *lesson] for lesson in taken]
    assert epochs(4)[:3] == epochs(3)


def test_teachers_play_over_the_chords_of_what_swings(pieces: Sequence[Piece]) -> None:
    """Guards against: lessons over other music, or all alike, and a traceback for music without chords."""
    asked: list[tuple[str, list[str], int]] = []

    def perform(bundle: Bundle, solos: Sequence[Solo], seed: int) -> list[Piece]:
        asked.append((bundle.name, [solo.title for solo in solos], seed))
        return [pieces[0]]

    foreign = [replace(piece, solo=replace(piece.solo, other_feel=True)) for piece in pieces[:1] if piece.solo]
    played = play_lessons([modern_bundle()] * (LESSONS + 1), [*foreign, *pieces[1:]], perform, 7)
    assert played == [[pieces[0]]] * LESSONS
    assert [titles for _, titles, _ in asked] == [[piece.title for piece in pieces[1:]]] * LESSONS
    assert len({seed for _, _, seed in asked}) == LESSONS
    with pytest.raises(TrainingError, match="this music has none"):
        play_lessons([modern_bundle()], [Piece("", "", (Value("C", 6),))], perform, 0)
    assert play_lessons([], [], perform, 0) == []


@pytest.mark.usefixtures("quick")
def test_the_command_trains_with_teachers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: teachers without effect or missing on the card, or a traceback for one that cannot teach."""
    path = str(write_tiny_corpus(tmp_path / "tiny.jsonl", titles=12))

    def run(name: str, *words: str) -> Bundle:
        assert command.run(train_arguments(path, "--out", str(tmp_path / name), "--epochs", "2", *words)) == 0
        return load_bundle(str(tmp_path / name))

    one, two = run("one", "--units", "4"), run("two", "--units", "5", "--seed", "3")
    lessons = ["--teacher", str(tmp_path / "one"), "--teacher", str(tmp_path / "two")]
    capsys.readouterr()
    words = ["--units", "4", "--seed", "9"]
    plain, taught, again = run("plain", *words), run("taught", *words, *lessons), run("again", *words, *lessons)
    assert f"the teachers have played {taught.facts['lessons']:,} values, in 6 lessons" in capsys.readouterr().out
    assert plain.fingerprint != taught.fingerprint == again.fingerprint
    assert "--teacher one --teacher two" in taught.facts["command"]
    assert default_dropout(128) != default_dropout(128, has_lessons=True) == default_dropout(64)
    assert [each["weights_sha256"] for each in taught.facts["teachers"]] == [one.fingerprint, two.fingerprint]
    assert f"It was taught by one (weights {one.fingerprint}), two (weights {two.fingerprint}), in" in taught.card
    assert taught.facts["sources"] == plain.facts["sources"]
    for name, bundle in (("other", modern_bundle()), ("old", classic_bundle())):
        save_bundle(bundle, tmp_path / name)
        with pytest.raises(TrainingError, match=r"\w+ cannot teach here: a teacher must have learned from this music"):
            run("mine", "--teacher", str(tmp_path / name))
    assert not (tmp_path / "mine").exists()
    for options, message in (
        (["--classic"], "--classic trains as in the assignment: --teacher does not go with it"),
        (["--touch-only", "--from", str(tmp_path / "one")], "--touch-only trains no network: --teacher does not"),
    ):
        with pytest.raises(UsageError, match=message):
            command.run(train_arguments(path, "--out", str(tmp_path / "mine"), *lessons, *options))
