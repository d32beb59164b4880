# SPDX-License-Identifier: Apache-2.0
"""Training: what is saved is what was trained, the same each time, and never lost."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from corpora import tiny_corpus
from sideman.commands import train as command
from sideman.core.errors import NoSuchInput, UsageError
from sideman_models.bundle import CARD, VALUES, WEIGHTS, load
from sideman_models.context import FEATURES, Context
from sideman_models.corpus import Corpus, read
from sideman_models.dataset import Batch, Encoded, Encoder, batches, build_vocabulary
from sideman_models.errors import CorpusError
from sideman_models.evaluate import value_bits
from sideman_models.lstm import NumpyNetwork, State

tf = pytest.importorskip("tensorflow")
from sideman_models import djmodel, train  # noqa: E402

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

SMALL = train.Recipe(units=6, epochs=3, lanes=3, steps=8, warm_up=5, rate=0.02)


class Learned:
    """A tiny corpus, encoded."""

    def __init__(self, path: Path) -> None:
        self.corpus: Corpus = read([path])
        seen, unseen = self.corpus.split()
        self.vocabulary, self.context = build_vocabulary(seen), Context(list(FEATURES))
        encoder = Encoder(self.vocabulary, self.context)
        self.seen = [encoder.encode(piece) for piece in seen]
        self.unseen = [encoder.encode(piece) for piece in unseen]
        self.table = encoder.clash_table()

    def trainer(self, recipe: train.Recipe = SMALL) -> train.Trainer:
        """A trainer that has learned nothing."""
        return train.Trainer(recipe, djmodel.parts_of(self.vocabulary), self.table, self.context.size)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """Forty random tunes."""
    return Learned(tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl", titles=40))


def test_the_parts_tell_every_value_apart(tiny: Learned) -> None:
    """Values would share all their weights, or rare ones have none to begin with."""
    parts = djmodel.parts_of(tiny.vocabulary)
    n = len(tiny.vocabulary)
    np.testing.assert_array_equal(parts[:, :n], np.eye(n))
    np.testing.assert_array_equal(parts.sum(axis=1), 8)
    assert (parts.sum(axis=0) > 0).all()


def test_folded_weights_play_what_was_trained(tiny: Learned) -> None:
    """The bundle would hold another network than the one that was trained and measured."""
    parts = djmodel.parts_of(tiny.vocabulary)
    parameters = djmodel.initial(6, parts.shape[1], tiny.context.size, seed=5)
    [window] = list(batches(tiny.unseen[:1], tiny.context.size, 1, len(tiny.unseen[0])))
    zero = tf.zeros((1, 6))
    trained, (a, c) = djmodel.logits(
        djmodel.Parameters(*map(tf.constant, parameters)),
        tf.constant(parts),
        tf.constant(tiny.table.astype(np.float32)),
        Batch(*map(tf.constant, window)),
        (zero, zero),
        None,
    )
    network, state = NumpyNetwork(djmodel.fold(parameters, parts)), State.zero(6)
    previous = None
    for step, index in enumerate(tiny.unseen[0].indices.tolist()):
        rows, clash = tiny.unseen[0].rows[step].astype(np.intp), tiny.table[tiny.unseen[0].clash[step]]
        np.testing.assert_allclose(network.step(previous, rows, clash, state), trained[0, step], atol=2e-5)
        previous = index
    np.testing.assert_allclose(state.a, a[0], atol=1e-5)
    np.testing.assert_allclose(state.c, c[0], atol=1e-5)


def test_training_learns_and_measures_as_evaluate_does(tiny: Learned) -> None:
    """The figures while training would be others than those of the bundle; or nothing would be learned."""
    trainer = tiny.trainer()
    before = trainer.measure(tiny.unseen)
    trained = train.train(SMALL, trainer, tiny.seen, tiny.unseen)
    assert trained.ended == "all epochs done"
    assert trained.best.unseen == min(epoch.unseen or 99 for epoch in trained.epochs)
    assert (trained.best.unseen or 99) < before - 0.5
    network = NumpyNetwork(trained.weights)
    bits = sum(value_bits(network, piece, tiny.table) for piece in tiny.unseen) / sum(map(len, tiny.unseen))
    assert bits == pytest.approx(trained.best.unseen, abs=1e-4)


def test_the_state_is_carried_from_window_to_window(tiny: Learned) -> None:
    """The network would forget everything every few bars."""
    short, long = (tiny.trainer(train.Recipe(units=6, lanes=3, steps=steps)) for steps in (4, 32))
    assert short.measure(tiny.unseen) == pytest.approx(long.measure(tiny.unseen), abs=1e-4)


@pytest.mark.parametrize("fault", ["interrupt", "nan"])
def test_what_was_learned_is_kept(tiny: Learned, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Ctrl-C, or one bad step, would cost hours of training."""
    trainer = tiny.trainer()
    passes = trainer.epoch

    def failing(pieces: Sequence[Encoded], progress: object) -> float:
        if len(reported) < 2:
            return passes(pieces, progress)  # type: ignore[arg-type]
        if fault == "interrupt":
            raise KeyboardInterrupt
        for one in trainer._learned:
            one.assign(tf.fill(one.shape, np.nan))
        return passes(pieces, progress)  # type: ignore[arg-type]

    reported: list[train.Epoch] = []
    monkeypatch.setattr(trainer, "epoch", failing)
    trained = train.train(SMALL, trainer, tiny.seen, tiny.unseen, reported.append)
    assert list(trained.epochs) == reported
    assert len(reported) == 2
    assert ("interrupted" if fault == "interrupt" else "no longer a number") in trained.ended
    assert all(np.isfinite(one).all() for one in (trained.weights.kernel, trained.weights.densor_bias))
    with pytest.raises(train.TrainingError, match="nothing was learned"):
        train.train(SMALL, trainer, tiny.seen, tiny.unseen)


def test_the_rate_falls_to_nothing() -> None:
    """The last epochs would undo what the earlier ones learned."""
    rates = [train._rate(SMALL, epoch, share) for epoch in range(SMALL.epochs) for share in (0.0, 0.5)]
    assert rates[0] == SMALL.rate
    assert rates == sorted(rates, reverse=True)
    assert train._rate(SMALL, SMALL.epochs, 0) == pytest.approx(0)


def arguments(*words: str) -> argparse.Namespace:
    """A command line of `sideman train`."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_the_command_makes_the_same_bundle_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody could check that the default network is what its command makes."""
    path = tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    for folder in ("one", "two"):
        words = [str(path), "--out", str(tmp_path / folder / "mine"), "--units", "5", "--epochs", "2", "--seed", "7"]
        assert command.run(arguments(*words)) == 0
        assert "epoch 2/2   bits a value: training" in capsys.readouterr().out
    for file in (WEIGHTS, VALUES, CARD):
        assert (tmp_path / "one" / "mine" / file).read_bytes() == (tmp_path / "two" / "mine" / file).read_bytes()
    bundle = load(str(tmp_path / "one" / "mine"))
    assert bundle.weights.n_a == 5
    assert bundle.facts["figures"]["unseen"]["pieces"] > 0
    assert "sideman train tiny.jsonl --out mine --units 5 --epochs 2 --seed 7" in bundle.card


def test_a_value_file_makes_a_network_without_context(tmp_path: Path) -> None:
    """One could not learn from values alone."""
    path = tmp_path / "values.txt"
    path.write_text("\n".join(["C,0.500 S,0.500,+2 R,1.000 C,0.500,-2"] * 40))
    assert command.run(arguments(str(path), "--out", str(tmp_path / "mine"), "--units", "4", "--epochs", "1")) == 0
    bundle = load(str(tmp_path / "mine"))
    assert (len(bundle.vocabulary), bundle.context.size) == (4, 0)


def test_wrong_usage_is_told_before_training(tmp_path: Path) -> None:
    """An hour of training would end with nowhere to write."""
    corpus = str(tiny_corpus(tmp_path / "tiny.jsonl", titles=2))
    (tmp_path / "songs").mkdir()
    out = ["--out", str(tmp_path / "mine")]
    for words in (
        [corpus, "--out", str(tmp_path / "songs")],
        [corpus, *out, "--units", "0"],
        [corpus, *out, "--epochs", "0"],
    ):
        with pytest.raises(UsageError):
            command.run(arguments(*words))
    with pytest.raises(UsageError, match="one MIDI file"):
        command.run(arguments(corpus, corpus, *out, "--classic"))
    with pytest.raises(NoSuchInput):
        command.run(arguments(str(tmp_path / "none.jsonl"), *out))
    few = tmp_path / "values.txt"
    few.write_text("C,0.500")
    with pytest.raises(CorpusError, match="too little"):
        command.run(arguments(str(few), *out))
