# SPDX-License-Identifier: Apache-2.0
"""Training: the saved network is the trained one, is reproducible, and is never lost."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from sideman.commands import train as command
from sideman.core.errors import CannotCreate, DiskError, NoSuchInput, UnreadableInput, UsageError
from sideman.render.render import PICTURES
from sideman_models.corpus.corpus import Corpus, read_corpus
from sideman_models.errors import CorpusError, TrainingError
from sideman_models.evaluation.bits import network_value_bits
from sideman_models.music.context import FEATURES, ContextFeatures
from sideman_models.music.motifs import motif_symbols, padded_rows, symbol_logits
from sideman_models.music.solos import Piece
from sideman_models.music.values import Value
from sideman_models.network import storage as store
from sideman_models.network.bundle import VALUES_FILE, load_bundle, save_bundle
from sideman_models.network.encoding import EncodedPiece, PieceEncoder
from sideman_models.network.lstm import LstmState, NumpyNetwork, softmax
from sideman_models.network.storage import CARD_FILE, WEIGHTS_FILE
from sideman_models.training.dataset import (
    Batch,
    BatchWindows,
    build_vocabulary,
    extend_vocabulary,
)
from sideman_models.training.progress import Epoch, TrainingObserver
from sideman_models.training.recipe import Recipe
from sideman_models.training.split import read_split_rule, split_by_rule, split_by_share
from support.corpora import write_tiny_corpus
from support.fakes import modern_bundle
from support.training import quick, train_arguments

tf = pytest.importorskip("tensorflow")
import keras  # noqa: E402

from sideman_models.training import factored_model, train  # noqa: E402
from sideman_models.training.trainer import AdamW, Trainer, clip_by_global_norm  # noqa: E402

__all__ = ["quick"]  # a fixture

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

SMALL = Recipe(units=6, epochs=3, lanes=3, steps=8, warm_up=5, rate=0.02)


class Learned:
    """A tiny corpus, split and encoded."""

    def __init__(self, path: Path) -> None:
        self.corpus: Corpus = read_corpus([path])
        split = split_by_rule(self.corpus.pieces)
        seen, unseen = split.training, split.held_out
        self.vocabulary, self.context = build_vocabulary(seen), ContextFeatures(list(FEATURES))
        encoder = PieceEncoder(self.vocabulary, self.context)
        self.seen = [encoder.encode(piece) for piece in seen]
        self.unseen = [encoder.encode(piece) for piece in unseen]
        self.table = encoder.clash_table()

    def trainer(self, recipe: Recipe = SMALL) -> Trainer:
        """Return a new trainer."""
        parts = factored_model.value_parts(self.vocabulary)
        start = factored_model.initial_factored_parameters(
            recipe.units, parts.shape[1], self.context.n_rows, recipe.seed
        )
        return Trainer(recipe, start, parts, self.table, factored_model.value_symbols(self.vocabulary))

    def train(self, trainer: Trainer, watcher: TrainingObserver | None = None) -> train.TrainingRun:
        """Run a training without checkpoints."""
        training = train.TrainingRun(trainer, self.seen, self.unseen, watcher or TrainingObserver())
        training.run({}, None)
        return training


class Reported(TrainingObserver):
    """Remembers the epochs and the messages."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []
        self.said: list[str] = []

    def on_message(self, text: str) -> None:
        """Remember a message."""
        self.said.append(text)

    def on_epoch_end(self, epoch: Epoch, best: Epoch) -> None:
        """Remember an epoch."""
        self.epochs.append(epoch)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """Forty random pieces."""
    return Learned(write_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl", titles=40))


def test_parts_distinguish_all_values(tiny: Learned) -> None:
    """Guards against: values that share all their weights, or rare ones that share none."""
    parts = factored_model.value_parts(tiny.vocabulary)
    n = len(tiny.vocabulary)
    np.testing.assert_array_equal(parts[:, :n], np.eye(n))
    np.testing.assert_array_equal(parts.sum(axis=1), 8)
    assert (parts.sum(axis=0) > 0).all()


def test_folded_weights_compute_the_same(tiny: Learned) -> None:
    """Guards against: a bundle with another network than the one that was trained."""
    parts = factored_model.value_parts(tiny.vocabulary)
    parameters = factored_model.initial_factored_parameters(6, parts.shape[1], tiny.context.n_rows, seed=5)
    parameters = parameters._replace(motif=np.linspace(-1, 2, 12, dtype=np.float32).reshape(2, 6))
    window = BatchWindows(tiny.unseen[:1], tiny.context.n_rows, 1, len(tiny.unseen[0])).batch(0)
    zero = tf.zeros((1, 6))
    trained, (a, c) = factored_model.window_logits(
        factored_model.FactoredParameters(*map(tf.constant, parameters)),
        tf.constant(parts),
        tf.constant(tiny.table.astype(np.float32)),
        tf.constant(factored_model.value_symbols(tiny.vocabulary)),
        Batch(*map(tf.constant, window)),
        (zero, zero),
        None,
    )
    network, state = NumpyNetwork(factored_model.fold_parameters(parameters, parts)), LstmState.zero(6)
    previous, runs = None, tiny.unseen[0].motif_runs
    assert runs is not None
    assert runs.max() > 1
    bonus = symbol_logits(padded_rows(network.motif), runs)[:, motif_symbols(tiny.vocabulary)]
    for step, index in enumerate(tiny.unseen[0].indices.tolist()):
        rows, clash = tiny.unseen[0].context_rows[step].astype(np.intp), tiny.table[tiny.unseen[0].clash_rows[step]]
        logits = network.step(previous, rows, clash, state) + bonus[step]
        np.testing.assert_allclose(logits, trained[0, step], atol=2e-5)
        previous = index
    np.testing.assert_allclose(state.a, a[0], atol=1e-5)
    np.testing.assert_allclose(state.c, c[0], atol=1e-5)


def test_training_learns_and_measures_like_evaluate(tiny: Learned) -> None:
    """Guards against: training without effect, or figures that differ from those of the bundle."""
    trainer = tiny.trainer()
    before = trainer.mean_bits(tiny.unseen)
    trained = tiny.train(trainer)
    assert trained.end_reason == "all epochs done"
    assert trained.best
    best, weights = trained.best
    assert best.held_out_bits == min(epoch.held_out_bits or 99 for epoch in trained.epochs)
    assert (best.held_out_bits or 99) < before - 0.5
    assert weights.motif.any()
    network, symbols = NumpyNetwork(weights), motif_symbols(tiny.vocabulary)
    bits = sum(network_value_bits(network, piece, tiny.table, symbols) for piece in tiny.unseen)
    bits /= sum(map(len, tiny.unseen))
    assert bits == pytest.approx(best.held_out_bits, abs=1e-4)


def test_the_state_is_carried_from_window_to_window(tiny: Learned) -> None:
    """Guards against: a state that is lost between windows."""
    short, long = (tiny.trainer(Recipe(units=6, lanes=3, steps=steps)) for steps in (4, 32))
    assert short.mean_bits(tiny.unseen) == pytest.approx(long.mean_bits(tiny.unseen), abs=1e-4)


@pytest.mark.parametrize("fault", ["interrupt", "nan"])
def test_the_best_epoch_is_kept(tiny: Learned, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Guards against: hours of training lost by Ctrl-C or one bad step."""
    trainer = tiny.trainer()
    passes = trainer.train_epoch

    def failing(pieces: Sequence[EncodedPiece], progress: object) -> float:
        if len(reported.epochs) < 2:
            return passes(pieces, progress)  # type: ignore[arg-type]
        if fault == "interrupt":
            raise KeyboardInterrupt
        for one in trainer._parameters:
            one.assign(tf.fill(one.shape, np.nan))
        return passes(pieces, progress)  # type: ignore[arg-type]

    reported = Reported()
    monkeypatch.setattr(trainer, "train_epoch", failing)
    trained = tiny.train(trainer, reported)
    assert trained.epochs == reported.epochs
    assert len(reported.epochs) == 2
    assert trained.finished == (fault == "nan")
    assert ("interrupted" if fault == "interrupt" else "no longer a number") in trained.end_reason
    assert trained.best
    assert all(np.isfinite(one).all() for one in (trained.best[1].kernel, trained.best[1].densor_bias))
    with pytest.raises(TrainingError, match="nothing was learned"):
        tiny.train(trainer)


def test_the_learning_rate_falls_to_zero() -> None:
    """Guards against: a learning rate that is too high in the last epochs."""
    rates = [SMALL.learning_rate(epoch, share) for epoch in range(SMALL.epochs) for share in (0.0, 0.5)]
    assert rates[0] == SMALL.rate
    assert rates == sorted(rates, reverse=True)
    assert SMALL.learning_rate(SMALL.epochs, 0) == pytest.approx(0)


def test_the_update_is_that_of_adam_with_decoupled_decay() -> None:
    """Guards against: an optimizer that differs from Keras' AdamW."""
    recipe = Recipe(rate=0.02, weight_decay=0.1, clip=0.5)
    generator = np.random.default_rng(0)
    start = [generator.normal(size=shape).astype(np.float32) for shape in [(3, 4), (4,), ()] * 2 + [(2,)] * 3]
    ours, first, second, theirs = (factored_model.FactoredParameters(*map(tf.Variable, start)) for _ in range(4))
    for moment in (*first, *second):
        moment.assign(tf.zeros_like(moment))
    optimizer = AdamW(recipe, ours, first, second)
    keras_own = keras.optimizers.AdamW(recipe.rate, weight_decay=recipe.weight_decay, global_clipnorm=recipe.clip)
    for iteration in range(20):
        gradients = [tf.constant(generator.normal(size=one.shape).astype(np.float32)) / 9**iteration for one in start]
        rate, number = tf.constant(recipe.rate), tf.constant(iteration)
        optimizer.apply(clip_by_global_norm(gradients, recipe.clip), rate, number, tf.distribute.get_strategy())
        keras_own.apply(gradients, list(theirs))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_unfolded_weights_compute_the_same(tiny: Learned) -> None:
    """Guards against: fine-tuning that starts from a network that plays differently."""
    parts = factored_model.value_parts(tiny.vocabulary)
    generator = np.random.default_rng(1)
    rough = factored_model.FactoredParameters(
        *(
            generator.normal(size=np.shape(one))
            for one in factored_model.initial_factored_parameters(6, parts.shape[1], tiny.context.n_rows, 0)
        )
    )
    trained = factored_model.fold_parameters(rough, parts)
    new = [Value("C", 48, -11), Value("C", 6, 12), Value("R", 48)]
    longer = extend_vocabulary(tiny.vocabulary, [Piece("", "", tuple(new * 10))])
    n, n_parts = len(tiny.vocabulary), factored_model.value_parts(longer)
    assert len(longer) == n + sum(value not in tiny.vocabulary.values for value in new)
    again = factored_model.fold_parameters(factored_model.unfold_weights(trained, longer), n_parts)
    old_rows = [*range(n), *range(len(longer), len(longer) + tiny.context.n_rows)]
    np.testing.assert_allclose(again.kernel[old_rows], trained.kernel, atol=2e-5)
    np.testing.assert_allclose(again.densor_kernel[:, :n], trained.densor_kernel, atol=2e-5)
    piece, states = tiny.unseen[0], [LstmState.zero(6), LstmState.zero(6)]
    networks = NumpyNetwork(trained), NumpyNetwork(again)
    previous = None
    for step, index in enumerate(piece.indices.tolist()):
        rows = piece.context_rows[step].astype(np.intp)
        before, after = (net.step(previous, rows, None, state) for net, state in zip(networks, states, strict=True))
        # The known values have the same probabilities relative to each other.
        np.testing.assert_allclose(softmax(after[:n]), softmax(before), atol=1e-5)
        previous = index
    # A new value starts from the rows of its parts, not from zero.
    assert all(np.abs(again.densor_kernel[:, at]).max() > 0.01 for at in range(n, len(longer)))


def test_patience_ends_training_that_does_not_improve(tiny: Learned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: training without end although it no longer improves, or a wrong epoch that is kept."""
    trainer = tiny.trainer(replace(SMALL, epochs=9, patience=2))
    bits = iter([4.0, 3.0, 3.5, 3.1, 2.0, 1.0])
    monkeypatch.setattr(trainer, "train_epoch", lambda _pieces, _progress: 3.0)
    monkeypatch.setattr(trainer, "mean_bits", lambda _pieces: next(bits))
    trained = tiny.train(trainer)
    assert trained.best
    assert (trained.best[0].number, len(trained.epochs), trained.end_reason) == (2, 4, "no better for 2 epochs")
    assert trained.finished


@pytest.mark.usefixtures("quick")
def test_the_command_makes_the_same_bundle_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: bundles that cannot be reproduced byte by byte."""
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    for folder in ("one", "two"):
        words = [str(path), "--out", str(tmp_path / folder / "mine"), "--units", "5", "--epochs", "2", "--seed", "7"]
        assert command.run(train_arguments(*words)) == 0
        assert "epoch 2/2   bits a value: training" in capsys.readouterr().out
    for file in (WEIGHTS_FILE, VALUES_FILE, CARD_FILE):
        assert (tmp_path / "one" / "mine" / file).read_bytes() == (tmp_path / "two" / "mine" / file).read_bytes()
    bundle = load_bundle(str(tmp_path / "one" / "mine"))
    assert bundle.weights.n_a == 5
    assert bundle.facts["figures"]["unseen"]["pieces"] > 0
    assert "sideman train tiny.jsonl --out mine --units 5 --epochs 2 --seed 7" in bundle.card
    for picture, shown in PICTURES:
        assert f"![{shown}]({picture})" in bundle.card
        assert (tmp_path / "one" / "mine" / picture).read_bytes().startswith(b"\x89PNG")


VALUE_LINES = "\n".join(["C,0.500 S,0.500,+2 R,1.000 C,0.500,-2"] * 40)


@pytest.mark.usefixtures("quick")
def test_training_starts_from_another_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: fine-tuning on a user's own music that fails, or any training that fails without matplotlib."""
    (tmp_path / "first.txt").write_text(VALUE_LINES)
    (tmp_path / "more.txt").write_text("\n".join(["C,0.500 A,1.000,+5 C,0.500,-2"] * 40))
    (tmp_path / "terms").write_text("Mine.\nAsk me.\n")
    first = [str(tmp_path / "first.txt"), "--out", str(tmp_path / "first"), "--units", "4", "--epochs", "1"]
    assert command.run(train_arguments(*first, "--validation", "0", "--licence", "CC0")) == 0
    output, warned = capsys.readouterr()
    assert "too little music: 120 notes and 4 different values" in warned
    assert "--from default" in warned
    assert "is replaced" not in warned
    assert output.splitlines()[-1] == f"play it: sideman run --sound --set model.bundle={tmp_path / 'first'}"
    assert "none kept back, as was asked" in output
    assert "unseen" not in output
    base = load_bundle(str(tmp_path / "first"))
    assert "## Licence\n\nCC0\n" in base.card
    monkeypatch.delitem(sys.modules, "sideman_models.pictures", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    more = [str(tmp_path / "more.txt"), "--out", str(tmp_path / "more"), "--from", str(tmp_path / "first")]
    assert command.run(train_arguments(*more, "--epochs", "1", "--licence", str(tmp_path / "terms"))) == 0
    output, warned = capsys.readouterr()
    assert "too little music" not in warned  # it builds on another network
    assert "no pictures: matplotlib is not installed" in output
    assert "was trained on it" not in output
    bundle = load_bundle(str(tmp_path / "more"))
    assert bundle.vocabulary.values == (*base.vocabulary.values, Value("A", 12, 5))
    assert bundle.weights.n_a == 4
    before = {name: base.facts[name] for name in ("files", "held_back")}
    assert bundle.facts["from"] == {"name": "first", "weights_sha256": base.fingerprint, **before}
    assert not any(read_split_rule(bundle.facts["from"], "").holds_out(f"Tune {number}") for number in range(40))
    assert {*base.facts["sources"]} < {*bundle.facts["sources"]}
    assert "## Licence\n\nMine.\nAsk me.\n" in bundle.card
    assert "Training started from the network first" in bundle.card
    again = train._known_before_messages(
        read_corpus([tmp_path / "first.txt"]), base, split_by_share([Piece("mine", "", (Value("C", 6),))] * 9)
    )
    assert again == []  # nothing is held out, so nothing is measured
    again = train._known_before_messages(
        read_corpus([tmp_path / "first.txt"]), base, split_by_rule([Piece("Tune 7", "", (Value("C", 6),))])
    )
    assert again == [
        "first.txt: first was trained on it with other held-out titles: the titles held out now may not be unseen"
    ]
    assert command.run(train_arguments(*more, "--epochs", "1")) == 0
    assert f"{tmp_path / 'more'}: the network here is replaced when the training ends" in capsys.readouterr().err
    with pytest.raises(UsageError, match="first has 4 units"):
        command.run(train_arguments(*more, "--units", "5"))


@pytest.mark.usefixtures("quick")
def test_a_full_disk_loses_neither_the_old_bundle_nor_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: a full disk that destroys the old bundle or the new training."""
    (tmp_path / "values.txt").write_text(VALUE_LINES)
    words = [str(tmp_path / "values.txt"), "--out", str(tmp_path / "mine"), "--units", "4", "--epochs", "2"]
    save_bundle(modern_bundle(), tmp_path / "mine")
    old = load_bundle(str(tmp_path / "mine"))

    def full(path: Path, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_whole", full)
        with pytest.raises(DiskError, match=r"mine: cannot be written: No space left"):
            command.run(train_arguments(*words))
    assert load_bundle(str(tmp_path / "mine")).fingerprint == old.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mine.checkpoint.npz", "values.txt"]
    with pytest.raises(UsageError, match="go on with --resume"):
        command.run(train_arguments(*words))
    monkeypatch.setattr(Trainer, "train_epoch", lambda *_: pytest.fail("it was trained already"))
    assert command.run(train_arguments(*words, "--resume")) == 0
    assert "going on after epoch 2" in capsys.readouterr().out
    assert load_bundle(str(tmp_path / "mine")).weights.n_a == 4
    assert not (tmp_path / "mine.checkpoint.npz").exists()
    with pytest.raises(NoSuchInput, match="there is no training to continue"):
        command.run(train_arguments(*words, "--resume"))


def test_music_of_another_feel_has_its_own_bias(tiny: Learned) -> None:
    """Guards against: music of another feel that changes what is played."""
    foreign = [replace(piece, other_feel=True) for piece in tiny.seen[:3]]
    alike, apart = tiny.trainer(), tiny.trainer()
    alike.train_epoch(tiny.seen, lambda *_: SMALL.rate)
    apart.train_epoch([*foreign, *tiny.seen[3:]], lambda *_: SMALL.rate)
    assert not alike.state()["learned/foreign"].any()
    assert apart.state()["learned/foreign"].all()
    parts = factored_model.value_parts(tiny.vocabulary)
    learned = [apart.state()[f"learned/{name}"] for name in factored_model.FactoredParameters._fields]
    played = factored_model.fold_parameters(factored_model.FactoredParameters(*learned), parts)
    without = factored_model.fold_parameters(
        factored_model.FactoredParameters(*learned)._replace(foreign=np.zeros(4 * SMALL.units)), parts
    )
    np.testing.assert_array_equal(played.bias, without.bias)


@pytest.mark.usefixtures("quick")
def test_a_network_can_be_trained_without_context(tmp_path: Path) -> None:
    """Guards against: training on values alone that does not work."""
    corpus = write_tiny_corpus(tmp_path / "tiny.jsonl")
    words = (str(corpus), "--out", str(tmp_path / "alone"), "--units", "4", "--epochs", "1", "--values-only")
    assert command.run(train_arguments(*words)) == 0
    bundle = load_bundle(str(tmp_path / "alone"))
    assert (bundle.context.n_rows, bundle.weights.penalty) == (0, 0.0)
    assert "--values-only" in bundle.facts["command"]
    assert bundle.facts["figures"]["unseen"]["bits_per_note"] > 0


@pytest.mark.usefixtures("quick")
def test_a_value_file_makes_a_network_without_context(tmp_path: Path) -> None:
    """Guards against: a value file that cannot be trained on."""
    path = tmp_path / "values.txt"
    path.write_text(VALUE_LINES)
    assert (
        command.run(train_arguments(str(path), "--out", str(tmp_path / "mine"), "--units", "4", "--epochs", "1")) == 0
    )
    bundle = load_bundle(str(tmp_path / "mine"))
    assert (len(bundle.vocabulary), bundle.context.n_rows) == (4, 0)


def test_the_card_names_every_option_that_was_given() -> None:
    """Guards against: a card with a command that makes another network than this one."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    samples = {int: "3", float: "0.5", str: "text", None: "text"}
    for action in parser._actions:
        option = action.option_strings[-1] if action.option_strings else ""
        if action.dest in ("help", "files", "out", "resume", "no_cache"):  # none of them changes the network
            continue
        if action.dest == "dropout":
            words = [option, "0.1,0.2,0.3"]
        elif action.nargs == 0:
            words = [option]
        else:
            words = [option, str([*action.choices][-1]) if action.choices else samples[action.type]]  # type: ignore[index]
        given = command._command_line(train_arguments("music.mid", "--out", "net", *words))
        assert " ".join(words) in given, given


def test_wrong_usage_is_reported_before_training(tmp_path: Path) -> None:
    """Guards against: an error only after an hour of training."""
    corpus = str(write_tiny_corpus(tmp_path / "tiny.jsonl", titles=2))
    (tmp_path / "songs").mkdir()
    out = ["--out", str(tmp_path / "mine")]
    for words in (
        [corpus, "--out", str(tmp_path / "songs")],
        [corpus, *out, "--units", "0"],
        [corpus, *out, "--epochs", "0"],
        [corpus, *out, "--patience", "0"],
        [corpus, *out, "--patience", "3", "--validation", "0"],
        [corpus, *out, "--validation", "1"],
        [corpus, *out, "--rate", "0"],
        [corpus, *out, "--rate", "nan"],
        [corpus, *out, "--dropout", "0.1,0.1,1"],
    ):
        with pytest.raises(UsageError):
            command.run(train_arguments(*words))
    for words, message in (
        (["--seed", str(2**32)], "--seed 4294967296: a whole number from 0 to 4294967295"),
        (["--seed", "-1"], "--seed -1: a whole number from 0 to 4294967295"),
        (["--epochs", "2000000"], "--epochs 2000000: a whole number from 1 to 1048576"),
    ):
        with pytest.raises(UsageError, match=message):
            command.run(train_arguments(corpus, *out, *words))
    (tmp_path / "file").write_text("")
    for nowhere in ("/proc/x/y", str(tmp_path / "file" / "mine")):
        with pytest.raises(CannotCreate, match=f"{nowhere}: cannot be created"):
            command.run(train_arguments(corpus, "--out", nowhere, "--validation", "0"))
    with pytest.raises(UsageError, match="one MIDI file"):
        command.run(train_arguments(corpus, corpus, *out, "--classic"))
    with pytest.raises(NoSuchInput):
        command.run(train_arguments(str(tmp_path / "none.jsonl"), *out))
    (tmp_path / "song.mid").write_bytes(bytes(range(256)))
    with pytest.raises(UnreadableInput, match="not text"):
        command.run(train_arguments(corpus, *out, "--licence", str(tmp_path / "song.mid")))
    for path in ("terms/mine.md", "terms/mine", "mine.txt", "../"):
        with pytest.raises((NoSuchInput, UnreadableInput), match=f"--licence {path}: (no|cannot)"):
            command.run(train_arguments(corpus, *out, "--licence", path))
    for device in ("/dev/zero", str(tmp_path)):
        with pytest.raises(UnreadableInput, match=r"not a plain file|Is a directory"):
            command.run(train_arguments(corpus, *out, "--licence", device))
    for text in ("", "CC0", "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/", "Either MIT/BSD\nor see me.txt"):
        assert command._licence(text) == text
    few = tmp_path / "values.txt"
    few.write_text("C,0.500")
    with pytest.raises(CorpusError, match="too little"):
        command.run(train_arguments(str(few), *out))


@pytest.mark.usefixtures("quick")
def test_too_few_titles_are_all_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: one of three tunes that is not trained on, or figures that were not measured."""
    (tmp_path / "few.txt").write_text("\n".join(["C,0.500 S,0.500,+2 R,1.000 C,0.500,-2 " * 5] * 3))
    words = [str(tmp_path / "few.txt"), "--out", str(tmp_path / "mine"), "--units", "3", "--epochs", "2"]
    assert command.run(train_arguments(*words, "--patience", "1")) == 0
    output = capsys.readouterr().out
    assert "too few titles to keep any back (3)" in output
    assert "patience has no effect" in output
    bundle = load_bundle(str(tmp_path / "mine"))
    assert bundle.facts["best_epoch"] == 2
    assert "Not measured: too few titles to keep any back (3)." in bundle.card


@pytest.mark.parametrize(
    "option",
    [
        "--resume", "--from=default", "--melody=1", "--chords=infer", "--feels=all", "--no-cache", "--no-deterministic",
        "--rate=0.1", "--licence=CC0",
    ],
)  # fmt: skip
def test_options_without_effect_on_classic_training_are_refused(tmp_path: Path, option: str) -> None:
    """Guards against: an option that has no effect but is shown on the card."""
    corpus = str(write_tiny_corpus(tmp_path / "tiny.jsonl", titles=1))
    with pytest.raises(UsageError, match=f"{option.partition('=')[0]} does not go with it"):
        command.run(train_arguments(corpus, "--out", str(tmp_path / "mine"), "--classic", option))


def test_different_seeds_give_different_dropout(tiny: Learned) -> None:
    """Guards against: a large seed that is refused or equals a smaller one."""
    drawn = []
    for seed in (2**32 - 1, 2**32 - 2, 2**31, 2**29, 0):
        keep = tiny.trainer(replace(SMALL, seed=seed))._dropout_masks(tf.constant(1))
        drawn.append(np.asarray(keep.outputs).tobytes())
    assert len({*drawn}) == 5


def test_a_piece_without_chords_among_others_is_named(tiny: Learned) -> None:
    """Guards against: one value file among many songs that turns off the context without a message."""
    bare = Piece("mine.txt:1", "", tiny.corpus.pieces[0].values)
    for pieces, titles in (([*tiny.corpus.pieces, bare], ["mine.txt:1"]), (tiny.corpus.pieces, []), ([bare] * 2, [])):
        watcher = Reported()
        train._choose_symbols(pieces, train.TrainingJob(SMALL, "mine", "sideman train"), watcher)
        assert [line.partition(": ")[0] for line in watcher.said] == titles


def test_music_without_values_is_reported() -> None:
    """Guards against: a traceback for music without values."""
    with pytest.raises(CorpusError, match="none of the 2 pieces holds a value"):
        train.train_bundle(
            Corpus([Piece("One", "", ()), Piece("Two", "", ())]),
            train.TrainingJob(SMALL, "mine", "sideman train"),
            TrainingObserver(),
        )


def test_a_second_interrupt_ends_the_program(tiny: Learned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Guards against: a second Ctrl-C that has no effect, or loses the checkpoint."""
    trainer_epoch = Trainer.train_epoch
    done: list[int] = []

    def interrupted(*args: object) -> float:
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return trainer_epoch(*args)  # type: ignore[arg-type]

    def again(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "train_epoch", interrupted)
    monkeypatch.setattr(train, "evaluate", again)
    job = train.TrainingJob(SMALL, "mine", "sideman train", checkpoint=tmp_path / "mine.checkpoint.npz")
    with pytest.raises(KeyboardInterrupt):
        train.train_bundle(tiny.corpus, job, TrainingObserver())
    assert (tmp_path / "mine.checkpoint.npz").exists()


def test_too_little_memory_is_reported(tiny: Learned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a traceback when memory runs out."""

    def exhausted(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    trainer = tiny.trainer()
    monkeypatch.setattr(trainer, "_step", exhausted)
    with pytest.raises(TrainingError, match="not enough memory"):
        tiny.train(trainer)
