# SPDX-License-Identifier: Apache-2.0
"""Training the network on modern values, with TensorFlow.

The recipe: AdamW at 3e-3 (weight decay 0.1), warm-up, then a cosine down to nothing; back-propagation through windows
of 32 values in 16 lanes, the state carried from window to window and forgotten at the start of each piece; gradients
clipped at norm 1; what counts is the running average of the weights. Dropout takes rows of the input, units of the
recurrence (each the same through a window), and outputs.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sideman_models.corpus.corpus import Corpus, corpus_facts
from sideman_models.errors import CheckpointError, CorpusError, TrainingError
from sideman_models.evaluation.bits import evaluate
from sideman_models.music.context import FEATURES, ContextFeatures
from sideman_models.music.solos import Piece
from sideman_models.music.values import Vocabulary
from sideman_models.network.bundle import Bundle, values_sha256
from sideman_models.network.encoding import EncodedPiece, PieceEncoder
from sideman_models.network.keras_model import library_versions
from sideman_models.network.lstm import Weights
from sideman_models.network.model_card import model_card
from sideman_models.training import checkpoint as checkpoints
from sideman_models.training.checkpoint import Checkpoint
from sideman_models.training.cluster import Cluster
from sideman_models.training.dataset import build_vocabulary, extend_vocabulary
from sideman_models.training.factored_model import initial_factored_parameters, unfold_weights, value_parts
from sideman_models.training.progress import Epoch, TrainingObserver, TrainingPlan, TrainingProgress
from sideman_models.training.recipe import Recipe
from sideman_models.training.split import SPLIT_RULE_KEY, Split, files_known_before, lineage, split_by_share
from sideman_models.training.trainer import MachineLost, Strategy, Trainer


@dataclass(frozen=True, slots=True)
class TrainedWeights:
    """The weights of the best epoch, and how it went.

    `end_reason` says why it did; what is not `finished` was cut off from outside and can be gone on with.
    """

    weights: Weights
    best: Epoch
    epochs: tuple[Epoch, ...]
    end_reason: str
    finished: bool = True


@dataclass(frozen=True, slots=True)
class TrainedBundle:
    """A new bundle (None where another machine writes it), and how its training went: see `TrainedWeights`.

    `value_counts` tells how often each value came in what it learned from.
    """

    bundle: Bundle | None
    value_counts: Mapping[str, int]
    end_reason: str
    finished: bool


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What to train, beside the music: the recipe, the bundle's name and the command that the card tells.

    `validation` is the share of titles to keep back (None: see `split.split_by_share`), `licence` the text for the
    card, `base` a bundle to begin from. After each epoch the chief of the `cluster` writes `checkpoint`, and `resume`
    goes on from it. Without `deterministic`, TensorFlow may add up in any order, which some GPUs do faster. With
    `values_only` the network is told neither chords nor metre, and no value clashes with anything.
    """

    recipe: Recipe
    name: str
    command: str
    validation: float | None = None
    licence: str = ""
    base: Bundle | None = None
    checkpoint: Path | None = None
    resume: bool = False
    cluster: Cluster = field(default_factory=Cluster)
    deterministic: bool = True
    values_only: bool = False


class TrainingRun:
    """A training under way: epochs done, the best of them and its weights; what else there is, is the trainer's."""

    def __init__(
        self,
        trainer: Trainer,
        pieces: Sequence[EncodedPiece],
        held_out: Sequence[EncodedPiece],
        observer: TrainingObserver | None = None,
    ) -> None:
        self.trainer = trainer
        self.epochs: list[Epoch] = []
        self.best: tuple[Epoch, Weights] | None = None
        self._recipe = trainer.recipe
        self._pieces, self._held_out = pieces, held_out
        self._observer = observer or TrainingObserver()
        self._random_source = np.random.default_rng(self._recipe.seed)

    def resume_from(self, checkpoint: Checkpoint) -> None:
        """Stand where the checkpoint was written. Raises KeyError or ValueError if it does not fit."""
        self.trainer.restore(checkpoint.state)
        self.epochs = [*checkpoint.epochs]
        self.best = checkpoint.best, checkpoint.weights
        for _ in self.epochs:
            self._shuffle_pieces()

    def run(self, save: Callable[[Epoch, Weights], None] = lambda _epoch, _weights: None) -> TrainedWeights:
        """Train for the epochs of the recipe and keep the best: by the unseen pieces, or the last if there are none.

        After each epoch `save` is given the best epoch and its weights. KeyboardInterrupt ends it early, with the best
        so far; so do the recipe's patience, a loss that is no longer a number, and the loss of another machine. Raises
        `TrainingError` when there is nothing to keep.
        """
        ended, finished = "all epochs done", True
        try:
            while len(self.epochs) < self._recipe.epochs:
                if self._is_out_of_patience():
                    ended = f"no better for {self._recipe.patience} epochs"
                    break
                self._run_epoch(save)
        except KeyboardInterrupt:
            ended, finished = "interrupted", False
        except MachineLost as error:
            ended, finished = str(error), False
        except TrainingError as error:
            ended = str(error)
        if self.best is None:
            raise TrainingError(f"nothing was learned: {ended} in the first epoch")
        epoch, weights = self.best
        return TrainedWeights(weights, epoch, tuple(self.epochs), ended, finished)

    def _run_epoch(self, save: Callable[[Epoch, Weights], None]) -> None:
        number = len(self.epochs) + 1

        def progress(share: float, values: int, bits: float) -> float:
            self._observer.moves(TrainingProgress(number, share, values, bits))
            return self._recipe.learning_rate(number - 1, share)

        trained = self.trainer.train_epoch(self._shuffle_pieces(), progress)
        epoch = Epoch(number, trained, self.trainer.mean_bits(self._held_out) if self._held_out else None)
        if self.best is None or epoch.better_than(self.best[0]):
            self.best = epoch, self.trainer.averaged_weights()
        self.epochs.append(epoch)
        save(*self.best)
        self._observer.ends_epoch(epoch, self.best[0])

    def _shuffle_pieces(self) -> list[EncodedPiece]:
        return [self._pieces[at] for at in self._random_source.permutation(len(self._pieces))]

    def _is_out_of_patience(self) -> bool:
        if not self._recipe.patience or not self._held_out or self.best is None:
            return False
        return len(self.epochs) - self.best[0].number >= self._recipe.patience


def train_bundle(corpus: Corpus, job: TrainingJob, observer: TrainingObserver | None = None) -> TrainedBundle:
    """A bundle trained on the corpus: its card and facts tell what it learned from, and how well.

    Raises `CorpusError`, `CheckpointError`, `TrainingError`.
    """
    strategy = _make_strategy(job)
    observer = observer or TrainingObserver()
    music = _TrainingData.from_corpus(corpus, job, observer)
    recipe = job.recipe if job.base is None else replace(job.recipe, units=job.base.weights.n_a)
    identity = {**asdict(recipe), "music": music.digest(), "from": job.base.fingerprint if job.base else ""}
    training = _make_run(job, recipe, music, strategy, observer)
    if job.resume and job.checkpoint is not None:
        _resume_run(training, job.checkpoint, identity)
    for told in _known_before_messages(corpus, job.base, music.split):
        observer.says(told)
    observer.begins(_make_plan(training, music))
    if recipe.patience and not music.held_out:
        observer.says("nothing is kept back to measure on, so patience is not heeded: all epochs are done")
    training.trainer.check_agreement(
        hashlib.sha256(repr((sorted(identity.items()), len(training.epochs))).encode()).digest()
    )
    trained = training.run(_checkpoint_writer(job, training, identity, observer))
    counts = Counter(value.text for piece in music.split.training for value in piece.values)
    if not job.cluster.is_chief:
        return TrainedBundle(None, counts, trained.end_reason, trained.finished)
    bundle = Bundle(job.name, music.vocabulary, music.context, trained.weights)
    facts = _bundle_facts(corpus, replace(job, recipe=recipe), music, trained, bundle)
    return TrainedBundle(
        replace(bundle, facts=facts, card=model_card(bundle, facts)), counts, trained.end_reason, trained.finished
    )


@dataclass(frozen=True, slots=True)
class _TrainingData:
    """The music as the network is told it, on both sides of the split."""

    split: Split
    vocabulary: Vocabulary
    context: ContextFeatures
    encoder: PieceEncoder
    training: Sequence[EncodedPiece]
    held_out: Sequence[EncodedPiece]

    @classmethod
    def from_corpus(cls, corpus: Corpus, job: TrainingJob, observer: TrainingObserver) -> _TrainingData:
        split = split_by_share(corpus.pieces, job.validation)
        if not split.training:
            raise CorpusError(f"nothing to learn from: none of the {len(corpus.pieces)} pieces holds a value")
        vocabulary, context = _choose_symbols(split.training, job, observer)
        encoder = PieceEncoder(vocabulary, context)
        sides = [_without_places(side) if job.values_only else side for side in (split.training, split.held_out)]
        seen, unseen = ([encoder.encode(piece) for piece in side] for side in sides)
        return cls(split, vocabulary, context, encoder, seen, unseen)

    def digest(self) -> str:
        """The same for the same music, split in the same way and told with the same symbols."""
        digest = hashlib.sha256(values_sha256(value.text for value in self.vocabulary.values).encode())
        digest.update(repr(self.context.names).encode())
        for side in (self.training, self.held_out):
            digest.update(b"side")
            for piece in side:
                digest.update(bytes([piece.other_feel]))
                for array in (piece.indices, piece.context_rows, piece.clash_rows):
                    digest.update(array.tobytes())
        return digest.hexdigest()


def _without_places(pieces: Iterable[Piece]) -> Sequence[Piece]:
    return [replace(piece, places=None, pitches=None) for piece in pieces]


def _choose_symbols(
    pieces: Sequence[Piece], job: TrainingJob, observer: TrainingObserver
) -> tuple[Vocabulary, ContextFeatures]:
    """What the network chooses from, and what it is told beside. Foreign music adds no value of its own."""
    base = job.base
    bare = [] if job.values_only else [piece for piece in pieces if piece.places is None]
    told = not job.values_only and not bare
    if base is None and 0 < len(bare) < len(pieces):
        observer.says(
            f"{bare[0].title}: a line of values without chords, the first of {len(bare)} among {len(pieces)} pieces;"
            " so the network is told neither chords nor metre"
        )
    pieces = [piece for piece in pieces if not piece.other_feel]
    if base is None:
        return build_vocabulary(pieces), ContextFeatures(tuple(FEATURES) if told else ())
    if base.classic:
        raise TrainingError(f"{base.name}: a classic network, whose values only the assignment's own music has")
    return extend_vocabulary(base.vocabulary, pieces), base.context


def _make_strategy(job: TrainingJob) -> Strategy | None:
    """What spreads a step over the cluster. Must be made before TensorFlow does anything else."""
    if job.deterministic:
        tf.config.experimental.enable_op_determinism()
    return tf.distribute.MultiWorkerMirroredStrategy() if len(job.cluster.machines) > 1 else None


def _make_run(
    job: TrainingJob, recipe: Recipe, music: _TrainingData, strategy: Strategy | None, observer: TrainingObserver
) -> TrainingRun:
    parts = value_parts(music.vocabulary)
    if job.base is None:
        start = initial_factored_parameters(recipe.units, parts.shape[1], music.context.n_rows, recipe.seed)
    else:
        start = unfold_weights(job.base.weights, music.vocabulary)
    table = music.encoder.clash_table()
    if len(table) == 1:  # where nothing clashes no penalty is learned, and none is to be played with
        start = start._replace(penalty=np.float32(0.0))
    trainer = Trainer(recipe, start, parts, table, strategy)
    return TrainingRun(trainer, music.training, music.held_out, observer)


def _resume_run(training: TrainingRun, path: Path, identity: dict[str, Any]) -> None:
    checkpoint = checkpoints.read_checkpoint(path, identity)
    try:
        training.resume_from(checkpoint)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint ({error}); remove it and begin anew") from error


def _checkpoint_writer(
    job: TrainingJob, training: TrainingRun, identity: dict[str, Any], observer: TrainingObserver
) -> Callable[[Epoch, Weights], None]:
    """Writes the checkpoint, where there is one to write."""

    def save(best: Epoch, weights: Weights) -> None:
        if job.checkpoint is None or not job.cluster.is_chief:
            return
        state = training.trainer.state()
        try:
            checkpoints.write_checkpoint(
                job.checkpoint, Checkpoint(identity, tuple(training.epochs), best, weights, state)
            )
        except OSError as error:  # a full disk may have room again when the bundle is to be written
            observer.says(f"{job.checkpoint}: cannot be written ({error.strerror}); training goes on without")

    return save


def _known_before_messages(corpus: Corpus, base: Bundle | None, split: Split) -> list[str]:
    """What is to be said of music to measure on that the network it begins from has learned from."""
    if base is None or not split.held_out:
        return []
    files = files_known_before(lineage(base.facts), split.rule, corpus.files, base.path)
    return [
        f"{name}: {base.name} learned from it and kept other titles back: the unseen ones are not new" for name in files
    ]


def _make_plan(training: TrainingRun, music: _TrainingData) -> TrainingPlan:
    return TrainingPlan(
        epochs=training.trainer.recipe.epochs,
        done=len(training.epochs),
        pieces=len(music.training),
        values=sum(map(len, music.training)),
        vocabulary=len(music.vocabulary),
        held_out=music.split.rule.description,
        device=device_name(),
    )


def device_name() -> str:
    """What TensorFlow computes on here."""
    found = tf.config.list_physical_devices("GPU")
    if not found:
        return "the CPU"
    return f"the GPU ({tf.config.experimental.get_device_details(found[0]).get('device_name', found[0].name)})"


def _bundle_facts(
    corpus: Corpus, job: TrainingJob, music: _TrainingData, trained: TrainedWeights, bundle: Bundle
) -> dict[str, Any]:
    measured = {"unseen": evaluate(bundle, music.split.held_out)} if music.split.held_out else {}
    facts = {
        "command": job.command,
        "corpus": corpus_facts(corpus),
        "files": corpus.files,
        "sources": _all_sources(corpus, job.base),
        "licence": job.licence,
        "trained_on": {"pieces": len(music.training), "values": sum(map(len, music.training))},
        "kept_back": music.split.rule.description,
        SPLIT_RULE_KEY: music.split.rule.as_json(),
        "recipe": asdict(job.recipe),
        "epochs": len(trained.epochs),
        "best_epoch": trained.best.number,
        "ended": trained.end_reason,
        "curve": [
            [epoch.number, _rounded(epoch.training_bits), _rounded(epoch.held_out_bits)] for epoch in trained.epochs
        ],
        "figures": {side: one.as_json() for side, one in measured.items()},
        "made_with": library_versions(),
    }
    if job.base is not None:
        facts["from"] = _base_facts(job.base)
    return facts


def _base_facts(base: Bundle) -> dict[str, Any]:
    """What is told of the network it began from: which, and what that had learned from."""
    return {
        "name": base.name,
        "weights_sha256": base.fingerprint,
        **{name: base.facts[name] for name in ("files", SPLIT_RULE_KEY, "from") if name in base.facts},
    }


def _all_sources(corpus: Corpus, base: Bundle | None) -> list[str]:
    """Where the music comes from, that of the network it began from included."""
    told = base.facts.get("sources", []) if base is not None else []
    earlier = [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
    return list(dict.fromkeys([*earlier, *corpus.sources]))


def _rounded(bits: float | None) -> float | None:
    return None if bits is None else round(bits, 5)
