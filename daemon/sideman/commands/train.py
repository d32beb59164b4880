# SPDX-License-Identifier: Apache-2.0
"""`sideman train`: trains a network on a corpus and writes it as a bundle."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sideman.commands.common import (
    MAX_SEED,
    add_options,
    add_reading_options,
    check_numbers,
    check_out_folder,
    read_music,
    silence_stderr,
)
from sideman.config.sources import load_chart
from sideman.core.errors import NoSuchInput, UnreadableInput, UsageError
from sideman.core.settings.schema import Settings, with_values
from sideman.files import check_readable, explain_write_errors
from sideman.watch.training_progress import BarProgress, PlainProgress
from sideman_models.corpus.advice import too_little_music
from sideman_models.files import read_plain_file
from sideman_models.music.solos import Piece, Solo
from sideman_models.network.bundle import VALUES_FILE, Bundle, load_bundle, save_bundle
from sideman_models.network.model_card import model_card
from sideman_models.text import printable
from sideman_models.training import checkpoint
from sideman_models.training.cluster import Cluster, read_cluster
from sideman_models.training.recipe import FINE_TUNING_RATE, Recipe, default_dropout
from sideman_models.writing import delete, make_folder, scratch_folder

if TYPE_CHECKING:
    from sideman_models.network.lstm import Floats

_MODERN_ONLY: dict[str, Any] = {
    "rate": None, "dropout": None, "patience": None, "validation": None, "licence": None, "base": None,
    "teachers": [], "arrangements": False, "resume": False, "values_only": False, "touch_only": False,
    "deterministic": True, "melody": None, "chords": "auto", "no_cache": False, "feels": "swing",
}  # fmt: skip
"""The options that --classic excludes, with their defaults."""
_TRAINING_ONLY = (
    "units",
    "epochs",
    "rate",
    "dropout",
    "patience",
    "validation",
    "licence",
    "teachers",
    "arrangements",
    "resume",
    "values_only",
)
"""The options that --touch-only excludes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman train`."""
    parser.add_argument("--out", required=True, type=Path, metavar="BUNDLE", help="the folder to write")
    parser.add_argument("--name", help="its name on the card (default: the name of the folder)")
    parser.add_argument("--classic", action="store_true", help="train as in the assignment, on its MIDI file")
    unrolled = "with --classic: the course's unrolled model, trained by fit"
    parser.add_argument("--unrolled", action="store_true", help=unrolled)
    usual = Recipe()
    dropout = "the shares of input rows, recurrent units and outputs to drop, such as 0.1,0.1,0.2 (by the units)"
    add_options(parser, ("--licence", "TEXT|FILE", str, "the licence for the card: a text, or a file with it"))
    add_options(
        parser.add_argument_group("the recipe"),
        ("--units", "N", int, f"units of the LSTM cell ({usual.units})"),
        ("--epochs", "N", int, f"passes over the music ({usual.epochs}; classic 100)"),
        ("--seed", "N", int, "the random seed of initial weights, order and dropout (0)"),
        ("--rate", "R", float, f"the highest learning rate ({usual.rate}; with --from {FINE_TUNING_RATE})"),
        ("--dropout", "ROWS,RECURRENT,OUTPUTS", _three_shares, dropout),
        ("--patience", "N", int, "stop after N epochs without improvement (never)"),
        ("--validation", "SHARE", float, "the share of titles to hold out for measuring, 0 for none (a fixed tenth)"),
    )
    group = parser.add_argument_group("training")
    group.add_argument("--from", dest="base", metavar="BUNDLE", help="start from this network, and keep its values")
    teacher = "also learn what this trained network plays and expects over the chords of the music; several: repeat it"
    group.add_argument("--teacher", dest="teachers", action="append", default=[], metavar="BUNDLE", help=teacher)
    arranged = "also learn from arrangements of the music: in half or double time, half a bar later, over other chords"
    group.add_argument("--arrangements", action="store_true", help=arranged)
    touch = "keep the network of --from, and only fit its touch and placement again"
    group.add_argument("--touch-only", action="store_true", help=touch)
    group.add_argument("--values-only", action="store_true", help="train without the context of chords and meter")
    group.add_argument("--resume", action="store_true", help="continue a training that was interrupted")
    same = "the same command makes the same bundle; some GPUs are faster without it"
    group.add_argument("--deterministic", action=argparse.BooleanOptionalAction, default=True, help=same)
    add_reading_options(parser, "; with --classic the assignment's MIDI file")
    parser.set_defaults(seed=0)


def _three_shares(text: str) -> tuple[float, float, float]:
    try:
        rows, recurrent, outputs = (float(each) for each in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three shares such as 0.1,0.1,0.2") from None
    return rows, recurrent, outputs


def run(args: argparse.Namespace) -> int:
    """Train and write the bundle. Ctrl-C stops and writes the best network so far; a second Ctrl-C gives up.

    Raises UsageError, NoSuchInput, or BundleError, CorpusError, CheckpointError and TrainingError of the models'
    package. If the bundle cannot be written (CannotCreate, DiskError), an older bundle is still there.
    """
    _check(args)
    (_train_classic if args.classic else _refit if args.touch_only else _train)(args)
    return 0


def _save(bundle: Bundle, folder: Path, pictures: Mapping[str, bytes] | None = None) -> None:
    with explain_write_errors(folder):
        save_bundle(bundle, folder, pictures)
    print(f"{folder}: written ({bundle.facts['ended']}, epoch {bundle.facts['best_epoch']} kept)")
    name = shlex.quote(str(folder.resolve()))
    if pictures:
        print(f"how it learned and what it plays: {', '.join(str(folder / picture) for picture in pictures)}")
    print(f"play it: sideman run --sound --set model.bundle={name}")


def _check(args: argparse.Namespace) -> None:
    whole = dict.fromkeys(("units", "epochs", "patience"), (1, 1 << 20)) | {"seed": (0, MAX_SEED)}
    check_numbers(args, whole, "a whole number from")
    check_readable(*args.files)
    if args.classic and len(args.files) != 1:
        raise UsageError("--classic needs exactly one MIDI file")
    if args.classic and (given := [name for name, usual in _MODERN_ONLY.items() if getattr(args, name) != usual]):
        names = {"base": "from", "teachers": "teacher", "deterministic": "no-deterministic"}
        option = names.get(given[0], given[0].replace("_", "-"))
        raise UsageError(f"--classic trains as in the assignment: --{option} does not go with it")
    if args.unrolled and not args.classic:
        raise UsageError("--unrolled needs --classic")
    if args.rate is not None and not 0 < args.rate <= 1:
        raise UsageError(f"--rate {args.rate}: must be more than 0 and at most 1")
    if args.dropout is not None and not all(0 <= share < 1 for share in args.dropout):
        raise UsageError("--dropout: three shares, each at least 0 and less than 1")
    if args.validation is not None and not 0 <= args.validation <= 0.9:
        raise UsageError(f"--validation {args.validation}: a share of the titles from 0 to 0.9")
    if args.values_only and args.base is not None:
        raise UsageError("--values-only cannot be combined with --from: the context of that network is fixed")
    if args.patience is not None and args.validation == 0:
        raise UsageError("--patience needs held-out titles, and --validation 0 holds out none")
    with explain_write_errors(args.out):
        check_out_folder(args.out, VALUES_FILE, "a bundle")


def _try_to_write(path: Path) -> None:
    """Make the bundle's parent folder and write into it, so that an error does not come only after the training."""
    with explain_write_errors(path):
        make_folder(path.parent)
        with scratch_folder(path):
            pass


def _replaced(folder: Path) -> str:
    """A line on the network that stands in the folder, which the new one replaces; empty without one."""
    return f"{folder}: the network here is replaced when the training ends" if (folder / VALUES_FILE).is_file() else ""


def _train(args: argparse.Namespace) -> None:
    cluster = read_cluster(os.environ)
    unfinished = checkpoint.checkpoint_path(args.out)
    if args.resume and not unfinished.exists():
        raise NoSuchInput(f"{unfinished}: there is no training to continue; leave --resume out")
    if unfinished.exists() and not args.resume and cluster.is_chief:
        raise UsageError(f"{unfinished}: a training was interrupted here: go on with --resume, or remove this file")
    base = None if args.base is None else load_bundle(args.base)
    if base is not None and args.units not in (None, base.weights.n_a):
        raise UsageError(f"--units {args.units}: {base.name} has {base.weights.n_a} units; leave --units out")
    teachers = tuple(map(load_bundle, args.teachers))
    licence = _licence(args.licence)
    corpus = read_music(args.files, args)
    warning = "" if base is not None else too_little_music(corpus)
    for line in filter(None, [warning, _replaced(args.out)]):
        print(line, file=sys.stderr)
    if cluster.is_chief:
        _try_to_write(args.out)
    with silence_stderr():
        from sideman_models.training.train import TrainingJob, train_bundle
    recipe = _make_recipe(args, base)
    name = printable(args.name or args.out.name)
    job = TrainingJob(
        recipe, name, _command_line(args), args.validation, licence, base, unfinished, args.resume,
        cluster, args.deterministic, args.values_only, teachers, _perform, args.arrangements,
    )  # fmt: skip
    with _make_watcher(cluster) as watcher:
        learned = train_bundle(corpus, job, watcher)
    if learned.bundle is None:
        print(f"machine {cluster.rank} of TF_CONFIG: {learned.end_reason}; {cluster.machines[0]} writes the bundle")
        return
    bundle, pictures = _with_pictures(learned.bundle, learned.value_counts)
    _save(bundle, args.out, pictures)
    if learned.finished:
        delete(unfinished)
    elif unfinished.exists():
        print(f"{unfinished}: to continue, give the same command with --resume")


def _perform(bundle: Bundle, solos: Sequence[Solo], seed: int) -> Iterator[Piece]:
    """Let a teacher play over the chords of the solos, as often taking up a motif as it has learned."""
    from sideman.render.over_solos import RENDER_SETTINGS, play_over_solos

    return play_over_solos(bundle, solos, len(solos), seed, with_values(RENDER_SETTINGS, [("play.motif", 1.0)]))


def _refit(args: argparse.Namespace) -> None:
    """Fit touch and placement again; the network, its facts and its pictures stay as they are."""
    if args.base is None:
        raise UsageError("--touch-only needs the network whose touch is to be fitted: --from BUNDLE")
    if given := [name for name in _TRAINING_ONLY if getattr(args, name)]:
        option = "teacher" if given[0] == "teachers" else given[0].replace("_", "-")
        raise UsageError(f"--touch-only trains no network: --{option} does not go with it")
    base, corpus = load_bundle(args.base), read_music(args.files, args)
    if base.classic or base.path is None:
        raise UsageError(f"--touch-only: {base.name} is a classic network, which has no touch")
    _try_to_write(args.out)
    from sideman.render.render import PICTURES

    with silence_stderr():
        from sideman_models.training.readouts import refit
    pictures = {path.name: path.read_bytes() for name, _ in PICTURES if (path := base.path / name).is_file()}
    base = replace(base, name=printable(args.name or args.out.resolve().name))
    shown = [each for each in PICTURES if each[0] in pictures]
    bundle = refit(base, corpus, _command_line(args), shown, args.seed)
    with explain_write_errors(args.out):
        save_bundle(bundle, args.out, pictures)
    print(f"{args.out}: written, with {' and '.join(bundle.readouts)}")


def _make_recipe(args: argparse.Namespace, base: Bundle | None) -> Recipe:
    usual = Recipe()
    units = base.weights.n_a if base is not None else args.units or usual.units
    return replace(
        usual,
        units=units,
        epochs=args.epochs or usual.epochs,
        seed=args.seed,
        rate=args.rate or (usual.rate if base is None else FINE_TUNING_RATE),
        dropout=args.dropout or default_dropout(units, has_lessons=bool(args.teachers)),
        patience=args.patience or 0,
    )


def _licence(given: str | None) -> str:
    """The licence: the given text, or the text in the given file."""
    if not given:
        return ""
    try:
        if Path(given).exists():
            return read_plain_file(Path(given), 1 << 16).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableInput(f"--licence {given}: not text (UTF-8); is it the right file?") from None
    except OSError as error:
        if "\n" in given or len(given) > 255:  # a text that is too long for a file name
            return given
        raise UnreadableInput(f"--licence {given}: cannot be read: {error.strerror}") from error
    # A text that looks like the path of a file is a mistake; a web address or a sentence is not.
    is_path = given.endswith((".txt", ".md")) or (len(given.split()) == 1 and os.sep in given)
    if is_path and "\n" not in given and "://" not in given:
        raise NoSuchInput(f"--licence {given}: no such file (a text must not look like a file name)")
    return given


def _make_watcher(cluster: Cluster) -> PlainProgress:
    if not cluster.is_chief:
        return PlainProgress(lambda _line: None)  # only one machine of a cluster reports
    if sys.stdout is not None and sys.stdout.isatty():
        try:
            return BarProgress()
        except ModuleNotFoundError:
            print("rich is not installed: one line per epoch instead of a progress bar")
    return PlainProgress()


def _with_pictures(bundle: Bundle, counts: Mapping[str, int]) -> tuple[Bundle, dict[str, bytes]]:
    """The bundle with pictures on its card, and the pictures."""
    from sideman.render.render import PICTURES, bundle_pictures

    try:
        pictures = bundle_pictures(bundle, bundle.facts["curve"], counts, load_chart(Settings()))
    except ModuleNotFoundError as error:
        print(f"no pictures: {error.name} is not installed; it comes with sideman[train]")
        return bundle, {}
    return replace(bundle, card=model_card(bundle, bundle.facts, PICTURES)), pictures


def _train_classic(args: argparse.Namespace) -> None:
    if replaced := _replaced(args.out):
        print(replaced, file=sys.stderr)
    _try_to_write(args.out)
    with silence_stderr():
        from sideman_models.course.train import ClassicRecipe, step_table, train_classic_bundle

    usual = ClassicRecipe()
    units, epochs = args.units or usual.units, args.epochs or usual.epochs
    recipe = ClassicRecipe(units=units, epochs=epochs, seed=args.seed, unrolled=args.unrolled)

    def print_progress(epoch: int, losses: Floats, accuracies: Floats) -> None:
        if epoch == 1 or epoch % 10 == 0:
            accuracy = accuracies[:-1].mean()
            print(f"epoch {epoch}   summed loss {losses.sum():.4f}   mean accuracy {accuracy:.4f}", flush=True)

    name = printable(args.name or args.out.name)
    bundle = train_classic_bundle(args.files[0], recipe, name, _command_line(args), print_progress)
    print(step_table(bundle.facts["figures"]))
    _save(bundle, args.out)


def _command_line(args: argparse.Namespace) -> str:
    """The command that makes the same bundle again, without the folders of the files."""
    words = ["sideman", "train", *(path.name or path.resolve().name for path in args.files), "--out", args.out.name]
    words += ["--classic"] if args.classic else []
    words += ["--unrolled"] if args.unrolled else []
    words += ["--from", Path(args.base).name] if args.base else []
    for teacher in args.teachers:
        words += ["--teacher", Path(teacher).name]
    words += ["--feels", args.feels] if args.feels != "swing" else []
    words += ["--arrangements"] if args.arrangements else []
    words += ["--touch-only"] if args.touch_only else []
    words += ["--values-only"] if args.values_only else []
    names = ("name", "licence", "units", "epochs", "seed", "rate", "patience", "validation")
    options: dict[str, Any] = {name: getattr(args, name) for name in names}
    options |= {"melody": args.melody, "chords": None if args.chords == "auto" else args.chords}
    options["dropout"] = None if args.dropout is None else ",".join(f"{share:g}" for share in args.dropout)
    for name, given in options.items():
        words += [] if given is None else [f"--{name}", str(given)]
    words += [] if args.deterministic else ["--no-deterministic"]
    return printable(shlex.join(words))
