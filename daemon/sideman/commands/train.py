# SPDX-License-Identifier: Apache-2.0
"""`sideman train`: a network from a corpus, written as a bundle."""

from __future__ import annotations

import argparse
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sideman.core.errors import NoSuchInput, UsageError
from sideman_models.bundle import VALUES, Bundle, save
from sideman_models.corpus import read

if TYPE_CHECKING:
    from sideman_models.lstm import Floats
    from sideman_models.train import Epoch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="solo database (.jsonl, .jsonl.gz) or value file; with --classic a MIDI file",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="BUNDLE", help="the folder to write")
    parser.add_argument("--name", help="what the card calls it (default: the folder's name)")
    parser.add_argument("--classic", action="store_true", help="the assignment's own training, on its own MIDI file")
    parser.add_argument("--unrolled", action="store_true", help="with --classic: the course's unrolled model, by fit")
    parser.add_argument("--units", type=int, default=64, metavar="N", help="units of the LSTM cell (64)")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the music (20; with --classic 100)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="for the first weights, the order and the dropout (0)"
    )


def run(args: argparse.Namespace) -> int:
    """Train and write the bundle. An interrupt (Ctrl-C) keeps the best so far.

    Raises UsageError, NoSuchInput, or BundleError, CorpusError and TrainingError of the models' package.
    """
    _check(args)
    bundle = _learn_classic(args) if args.classic else _learn(args)
    save(bundle, args.out)
    print(f"{args.out}: written ({bundle.facts['ended']}, epoch {bundle.facts['best_epoch']} kept)")
    return 0


def _check(args: argparse.Namespace) -> None:
    for name, least in (("units", 1), ("epochs", 1), ("seed", 0)):
        number = getattr(args, name)
        if number is not None and not least <= number <= 1 << 20:
            raise UsageError(f"--{name} {number}: a whole number of at least {least}")
    for path in args.files:
        if not path.exists():
            raise NoSuchInput(f"{path}: no such file")
    if args.classic and len(args.files) != 1:
        raise UsageError("--classic learns from one MIDI file")
    if args.unrolled and not args.classic:
        raise UsageError("--unrolled goes with --classic")
    if args.out.exists() and not (args.out / VALUES).is_file():
        raise UsageError(f"--out {args.out}: something that is not a bundle is already there")


def _learn(args: argparse.Namespace) -> Bundle:
    corpus = read(args.files)
    _quiet()
    from sideman_models.train import Recipe, dropout_for, learn

    epochs = args.epochs or Recipe().epochs
    recipe = Recipe(units=args.units, epochs=epochs, seed=args.seed, dropout=dropout_for(args.units))
    return learn(corpus, recipe, args.name or args.out.name, _command(args), _progress(recipe.epochs))


def _learn_classic(args: argparse.Namespace) -> Bundle:
    _quiet()
    from sideman_models.train_classic import ClassicRecipe, learn_classic, step_table

    recipe = ClassicRecipe(
        units=args.units, epochs=args.epochs or ClassicRecipe().epochs, seed=args.seed, unrolled=args.unrolled
    )
    bundle = learn_classic(args.files[0], recipe, args.name or args.out.name, _command(args), _classic_progress)
    print(step_table(bundle.facts["figures"]))
    return bundle


def _classic_progress(epoch: int, losses: Floats, accuracies: Floats) -> None:
    """Prints every tenth epoch."""
    if epoch == 1 or epoch % 10 == 0:
        print(
            f"epoch {epoch}   summed loss {losses.sum():.4f}   mean accuracy {accuracies[:-1].mean():.4f}", flush=True
        )


def _progress(epochs: int) -> Callable[[Epoch], None]:
    """Prints a line an epoch."""
    start = time.monotonic()

    def report(epoch: Epoch) -> None:
        each = (time.monotonic() - start) / epoch.number
        unseen = "" if epoch.unseen is None else f"   unseen {epoch.unseen:.4f}"
        left = f"{each * (epochs - epoch.number):.0f} s left"
        print(
            f"epoch {epoch.number}/{epochs}   bits a value: training {epoch.trained:.4f}{unseen}   {left}", flush=True
        )

    return report


def _command(args: argparse.Namespace) -> str:
    """The command that makes the same bundle again, wherever the files lie."""
    words = ["sideman", "train", *(path.name for path in args.files), "--out", args.out.name]
    words += ["--classic"] if args.classic else []
    words += ["--unrolled"] if args.unrolled else []
    for name in ("name", "units", "epochs", "seed"):
        if getattr(args, name) is not None:
            words += [f"--{name}", str(getattr(args, name))]
    return shlex.join(words)


def _quiet() -> None:
    """Keep TensorFlow from chatting about the machine."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
