# SPDX-License-Identifier: Apache-2.0
"""Trains a network on modern values by a `recipe.Recipe`, with TensorFlow, and returns it as a bundle."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tensorflow as tf
from msgspec import Struct
from msgspec.structs import asdict, replace

from sideman_models.corpus.corpus import Corpus, corpus_facts
from sideman_models.errors import CheckpointError, CorpusError, TrainingError
from sideman_models.evaluation.bits import evaluate
from sideman_models.music.context import FEATURES, ContextFeatures
from sideman_models.music.solos import Piece
from sideman_models.music.values import Vocabulary
from sideman_models.network.bundle import Bundle
from sideman_models.network.encoding import EncodedPiece, PieceEncoder
from sideman_models.network.keras_model import library_versions
from sideman_models.network.lstm import Weights
from sideman_models.network.model_card import model_card
from sideman_models.text import count_noun, sha256_of_lines
from sideman_models.training import checkpoint as checkpoints
from sideman_models.training.arrangements import ARRANGEMENTS_AN_EPOCH, arrangements
from sideman_models.training.checkpoint import Checkpoint, PlainJson
from sideman_models.training.cluster import Cluster
from sideman_models.training.dataset import build_vocabulary, extend_vocabulary
from sideman_models.training.factored_model import (
    initial_factored_parameters,
    unfold_weights,
    value_parts,
    value_symbols,
)
from sideman_models.training.lessons import LESSONS_AN_EPOCH, Perform, check_teachers, play_lessons, with_expectations
from sideman_models.training.progress import Epoch, TrainingObserver, TrainingPlan
from sideman_models.training.readouts import with_readouts
from sideman_models.training.recipe import Recipe
from sideman_models.training.split import SPLIT_RULE_KEY, Split, files_known_before, lineage, split_by_share
from sideman_models.training.trainer import MachineLost, Strategy, Trainer

Pieces = Sequence[EncodedPiece]


class TrainedBundle(Struct, frozen=True):
    """A trained bundle, and how its training went: see `TrainingRun`.

    `bundle` is None if another machine of the cluster writes it. `value_counts` says how often each value (its text)
    occurs in the pieces that were trained on.
    """

    bundle: Bundle | None
    value_counts: Mapping[str, int]
    end_reason: str
    finished: bool


class TrainingJob(Struct, frozen=True):
    """Everything about a training except the music.

    `name` is the name of the bundle; `command` and `licence` are texts for its model card. `validation` is the share
    (0..1) of titles to hold out (None: see `split.split_by_share`). `base` is a bundle to start from, with as many
    units as the recipe has. After each epoch the chief of the `cluster` writes the file `checkpoint`, and `resume`
    continues from it. Without `deterministic`, TensorFlow may add numbers in any order, faster on some
    GPUs. With `values_only` the network has no context: it knows neither chords nor meter, and no value clashes.
    `teachers` are networks that give lessons, for which `perform` lets them play: see `lessons`. With `arrangements`
    the network also learns from those of the music: see the module of this name.
    """

    recipe: Recipe
    name: str
    command: str
    validation: float | None = None
    licence: str = ""
    base: Bundle | None = None
    checkpoint: Path | None = None
    resume: bool = False
    cluster: Cluster = Cluster()
    deterministic: bool = True
    values_only: bool = False
    teachers: tuple[Bundle, ...] = ()
    perform: Perform = lambda _bundle, _solos, _seed: ()
    arrangements: bool = False


class TrainingRun:
    """Runs a trainer epoch by epoch, and keeps its `epochs` and the `best` one with its weights.

    Each epoch takes some of the `arrangements` and `lessons`, in turn, beside the `pieces`. `end_reason` says why it
    ended, for the model card. If it is not `finished`, it was interrupted and can be resumed.
    """

    def __init__(
        self,
        trainer: Trainer,
        pieces: Pieces,
        held_out: Pieces,
        observer: TrainingObserver,
        lessons: Sequence[Pieces] = (),
        arrangements: Sequence[Pieces] = (),
    ) -> None:
        self.trainer = trainer
        self.epochs: list[Epoch] = []
        self.best: tuple[Epoch, Weights] | None = None
        self.end_reason, self.finished = "all epochs done", True
        self._recipe = trainer.recipe
        self._pieces, self._held_out = pieces, held_out
        self._observer = observer
        each_epoch = ((arrangements, ARRANGEMENTS_AN_EPOCH), (lessons, LESSONS_AN_EPOCH))
        self._more = [(cycle(pieces), min(len(pieces), count)) for pieces, count in each_epoch]
        self._random_source = np.random.default_rng(self._recipe.seed)

    def resume_from(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint. Raises `KeyError` or `ValueError` if it does not fit the trainer."""
        self.trainer.restore(checkpoint.state)
        self.epochs = [*checkpoint.epochs]
        self.best = checkpoint.best, checkpoint.weights
        for _ in self.epochs:
            self._shuffle_pieces()  # so that the next epochs have the order that they would have had

    def run(self, identity: PlainJson, checkpoint: Path | None) -> tuple[Epoch, Weights]:
        """Train for the epochs of the recipe and return the best one: see `Epoch.better_than`.

        Each epoch is written to the file `checkpoint`, if one is given. Training ends early, with the best epoch so
        far, on a KeyboardInterrupt, when the recipe's patience is used up, when the loss is no longer a number, or when
        another machine of the cluster is lost. Raises `TrainingError` if no epoch was completed.
        """
        patience = self._recipe.patience
        try:
            while len(self.epochs) < self._recipe.epochs:
                if self.best and self._held_out and 0 < patience <= len(self.epochs) - self.best[0].number:
                    self.end_reason = f"no better for {patience} epochs"
                    break
                self._run_epoch(identity, checkpoint)
        except KeyboardInterrupt:
            self.end_reason, self.finished = "interrupted", False
        except TrainingError as error:
            self.end_reason, self.finished = str(error), not isinstance(error, MachineLost)
        if self.best is None:
            raise TrainingError(f"nothing was learned: {self.end_reason} in the first epoch")
        return self.best

    def _run_epoch(self, identity: PlainJson, path: Path | None) -> None:
        number = len(self.epochs) + 1

        def progress(share: float, values: int, bits: float) -> float:
            self._observer.on_progress(number, share, values, bits)
            return self._recipe.learning_rate(number - 1, share)

        training_bits = self.trainer.train_epoch(self._shuffle_pieces(), progress)
        epoch = Epoch(number, training_bits, self.trainer.mean_bits(self._held_out) if self._held_out else None)
        if self.best is None or epoch.better_than(self.best[0]):
            self.best = epoch, self.trainer.averaged_weights()
        self.epochs.append(epoch)
        try:
            if path is not None:
                checkpoint = Checkpoint(identity, tuple(self.epochs), *self.best, self.trainer.state())
                checkpoints.write_checkpoint(path, checkpoint)
        except OSError as error:  # a full disk may have room again when the bundle is written
            self._observer.on_message(f"{path}: cannot be written ({error.strerror}); training continues without it")
        self._observer.on_epoch_end(epoch, self.best[0])

    def _shuffle_pieces(self) -> list[EncodedPiece]:
        more = (islice(groups, count) for groups, count in self._more)
        pieces = [*self._pieces, *chain.from_iterable(chain.from_iterable(more))]
        return [pieces[index] for index in self._random_source.permutation(len(pieces))]


def train_bundle(corpus: Corpus, job: TrainingJob, observer: TrainingObserver) -> TrainedBundle:
    """Train a network on the corpus and return it as a bundle, with its facts and its model card.

    Raises `CorpusError` if there is too little music, `CheckpointError` if the checkpoint to resume from is broken or
    of another training, and `TrainingError` if no epoch was completed.
    """
    # Both must be called before anything else in TensorFlow.
    if job.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if len(job.cluster.machines) > 1 else None
    music = _TrainingData.from_corpus(corpus, job, observer)
    identity = {
        **asdict(job.recipe),
        "music": music.digest(),
        "from": job.base.fingerprint if job.base else "",
        "teachers": [teacher.fingerprint for teacher in job.teachers],
    }
    trainer = _make_trainer(job, music, strategy)
    training = TrainingRun(trainer, music.training, music.held_out, observer, music.lessons, music.arrangements)
    if job.resume and job.checkpoint is not None:
        checkpoint = checkpoints.read_checkpoint(job.checkpoint, identity)
        try:
            training.resume_from(checkpoint)
        except (KeyError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{job.checkpoint}: not a complete checkpoint ({error}); remove it and start again"
            ) from error
    for network in filter(None, (job.base, *job.teachers)):
        for message in _known_before_messages(corpus, network, music.split):
            observer.on_message(message)
    plan = TrainingPlan(
        epochs=job.recipe.epochs,
        done=len(training.epochs),
        pieces=len(music.training),
        values=sum(map(len, music.training)),
        vocabulary=len(music.vocabulary),
        held_out=music.split.rule.description,
        device=device_name(),
    )
    observer.on_start(plan)
    if job.recipe.patience and not music.held_out:
        observer.on_message("no titles are held out to measure on, so patience has no effect: all epochs are run")
    agreed = hashlib.sha256(repr((sorted(identity.items()), len(training.epochs))).encode()).digest()
    training.trainer.check_agreement(agreed)
    best, weights = training.run(identity, job.checkpoint if job.cluster.is_chief else None)
    counts = Counter(value.text for piece in music.split.training for value in piece.values)
    bundle = None
    if job.cluster.is_chief:
        bundle = Bundle(job.name, music.vocabulary, music.context, weights=weights)
        bundle = replace(bundle, facts=_bundle_facts(corpus, job, music, training, best, bundle))
        bundle = with_readouts(bundle, music.split, job.command, corpus, job.recipe.seed)
        bundle = replace(bundle, card=model_card(bundle, bundle.facts))
    return TrainedBundle(bundle, counts, training.end_reason, training.finished)


class _TrainingData(Struct, frozen=True):
    """The music as the network reads it, on both sides of the split."""

    split: Split
    vocabulary: Vocabulary
    context: ContextFeatures
    encoder: PieceEncoder
    training: Pieces
    held_out: Pieces
    lessons: Sequence[Pieces]
    arrangements: Sequence[Pieces]

    @classmethod
    def from_corpus(cls, corpus: Corpus, job: TrainingJob, observer: TrainingObserver) -> _TrainingData:
        split = split_by_share(corpus.pieces, job.validation)
        if not split.training:
            raise CorpusError(f"nothing to learn from: none of the {len(corpus.pieces)} pieces holds a value")
        vocabulary, context = _choose_symbols(split.training, job, observer)
        encoder = PieceEncoder(vocabulary, context)
        check_teachers(job.teachers, vocabulary, context)
        arranged = arrangements(split.training) if job.arrangements else []
        if job.arrangements and not arranged:
            raise TrainingError(
                "there are no arrangements of this music: they need at least two notes, not only values"
            )
        played = play_lessons(job.teachers, split.training, job.perform, job.recipe.seed)

        def encode(pieces: Sequence[Piece]) -> list[EncodedPiece]:
            read = [replace(piece, places=None) for piece in pieces] if job.values_only else pieces
            return [encoder.encode(piece) for piece in read]

        training, held_out, lessons = encode(split.training), encode(split.held_out), list(map(encode, played))
        more = list(map(encode, arranged))
        table = encoder.clash_table()  # when all are encoded
        lessons = [with_expectations(job.teachers, lesson, table) for lesson in lessons]
        if lessons:
            values = sum(len(piece) for lesson in lessons for piece in lesson)
            observer.on_message(f"the teachers have played {values:,} values, in {count_noun(len(lessons), 'lesson')}")
        if more:
            values = sum(len(piece) for kind in more for piece in kind)
            observer.on_message(f"the arrangements of the music have {values:,} values, of {len(more)} kinds")
        return cls(split, vocabulary, context, encoder, training, held_out, lessons, more)

    def digest(self) -> str:
        """Return a hash (hexadecimal) of the music, how it is split and how it is encoded."""
        digest = hashlib.sha256(sha256_of_lines(value.text for value in self.vocabulary.values).encode())
        digest.update(repr(self.context.names).encode())
        for side in (self.training, *self.arrangements, self.held_out, *self.lessons):
            digest.update(b"side")
            for piece in side:
                digest.update(bytes([piece.other_feel]))
                for array in (piece.indices, piece.context_rows, piece.clash_rows, piece.motif_runs):
                    digest.update(b"" if array is None else array.tobytes())
        return digest.hexdigest()


def _choose_symbols(
    pieces: Sequence[Piece], job: TrainingJob, observer: TrainingObserver
) -> tuple[Vocabulary, ContextFeatures]:
    """Return the values that the network chooses from and its context. Pieces of another feel add no values."""
    base = job.base
    without_chords = [] if job.values_only else [piece for piece in pieces if piece.places is None]
    with_context = not job.values_only and not without_chords
    if base is None and 0 < len(without_chords) < len(pieces):
        observer.on_message(
            f"{without_chords[0].title}: a line of values without chords, the first of {len(without_chords)} among"
            f" {len(pieces)} pieces; so the network is trained without chords and meter"
        )
    pieces = [piece for piece in pieces if not piece.other_feel]
    if base is None:
        return build_vocabulary(pieces), ContextFeatures(tuple(FEATURES) if with_context else ())
    if base.classic:
        raise TrainingError(f"{base.name}: a classic network; its values occur only in the assignment's own music")
    return extend_vocabulary(base.vocabulary, pieces), base.context


def _make_trainer(job: TrainingJob, music: _TrainingData, strategy: Strategy) -> Trainer:
    recipe = job.recipe
    parts = value_parts(music.vocabulary)
    if job.base is None:
        start = initial_factored_parameters(recipe.units, parts.shape[1], music.context.n_rows, recipe.seed)
    else:
        start = unfold_weights(job.base.weights, music.vocabulary)
    table = music.encoder.clash_table()
    if len(table) == 1:  # no value ever clashes, so no penalty can be learned
        start = start._replace(penalty=np.float32(0.0))
    return Trainer(recipe, start, parts, table, value_symbols(music.vocabulary), strategy)


def _known_before_messages(corpus: Corpus, network: Bundle, split: Split) -> list[str]:
    """Return a message for each file whose held-out titles the `network` that it builds on may have learned from."""
    if not split.held_out:
        return []
    files = files_known_before(lineage(network.facts), split.rule, corpus.files, network.path)
    return [
        f"{name}: {network.name} was trained on it with other held-out titles:"
        " the titles held out now may not be unseen"
        for name in files
    ]


def device_name() -> str:
    """Return what TensorFlow computes on: 'the CPU', or 'the GPU' with its name."""
    if not (gpus := tf.config.list_physical_devices("GPU")):
        return "the CPU"
    return f"the GPU ({tf.config.experimental.get_device_details(gpus[0]).get('device_name', gpus[0].name)})"


def _bundle_facts(
    corpus: Corpus, job: TrainingJob, music: _TrainingData, training: TrainingRun, best: Epoch, bundle: Bundle
) -> dict[str, Any]:
    figures = {"unseen": evaluate(bundle, music.split.held_out).as_json()} if music.split.held_out else {}
    earlier: list[str] = []
    for network in filter(None, (job.base, *job.teachers)):
        known = network.facts.get("sources")
        earlier += [source for source in known if isinstance(source, str)] if isinstance(known, list) else []
    facts = {
        "command": job.command,
        "corpus": corpus_facts(corpus),
        "files": corpus.files,
        "sources": list(dict.fromkeys([*earlier, *corpus.sources])),
        "licence": job.licence,
        "trained_on": {"pieces": len(music.training), "values": sum(map(len, music.training))},
        "kept_back": music.split.rule.description,
        SPLIT_RULE_KEY: msgspec.to_builtins(music.split.rule),
        "recipe": asdict(job.recipe),
        "epochs": len(training.epochs),
        "best_epoch": best.number,
        "ended": training.end_reason,
        "curve": [
            [epoch.number, round(epoch.training_bits, 5), epoch.held_out_bits and round(epoch.held_out_bits, 5)]
            for epoch in training.epochs
        ],
        "figures": figures,
        "made_with": library_versions(),
    }
    if music.arrangements:
        facts["arrangements"] = sum(len(piece) for kind in music.arrangements for piece in kind)
    if job.base is not None:
        facts["from"] = _network_facts(job.base)
    if job.teachers:
        facts["teachers"] = [_network_facts(teacher) for teacher in job.teachers]
        facts["lessons"] = sum(len(piece) for lesson in music.lessons for piece in lesson)
    return facts


def _network_facts(network: Bundle) -> dict[str, Any]:
    """What a bundle says about a network that its training built on."""
    kept = ("files", SPLIT_RULE_KEY, "from", "teachers")
    known = {key: network.facts[key] for key in kept if key in network.facts}
    return {"name": network.name, "weights_sha256": network.fingerprint, **known}
