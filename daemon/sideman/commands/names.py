# SPDX-License-Identifier: Apache-2.0
"""`sideman names`: makes up names letter by letter with a small network, and trains that network."""

from __future__ import annotations

import argparse
import secrets
import shlex
from itertools import islice
from pathlib import Path

from sideman.commands.common import MAX_SEED, add_options, check_numbers, check_out_folder
from sideman.core.errors import UsageError
from sideman.files import check_readable
from sideman_models.course import names as name_models
from sideman_models.text import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman names`."""
    add_options(
        parser,
        ("--count", "N", int, "how many names (10)"),
        ("--seed", "S", int, "the random seed: the same seed makes the same names"),
        ("--model", "FOLDER", Path, "use a name network of your own"),
    )
    add_options(
        parser.add_argument_group("training"),
        ("--train", "FILE", Path, "first train on a list with one name per line"),
        ("--out", "FOLDER", Path, "save the trained network in this folder"),
        ("--iterations", "N", int, f"how many names to train on in all ({name_models.ITERATIONS})"),
        ("--source", "TEXT", str, "where the list comes from, for the card"),
    )
    parser.set_defaults(count=10, iterations=name_models.ITERATIONS, source="")


def run(args: argparse.Namespace) -> int:
    """Train if --train is given, then print names."""
    ranges = {"count": (1, 100_000), "seed": (0, MAX_SEED), "iterations": (1, 100_000_000)}
    check_numbers(args, ranges, "a whole number from")
    if args.train is not None and args.model is not None:
        raise UsageError("--train and --model: choose one of them")
    if args.train is None and (args.out is not None or args.source):
        raise UsageError("--out and --source need --train FILE")
    check_readable(*filter(None, (args.train, args.model)))
    if args.out is not None:
        check_out_folder(args.out, name_models.NAMES_FILE, "a name model")

    def print_progress(iteration: int, loss: float, model: name_models.NameModel) -> None:
        names = " · ".join(islice(name_models.generate_names(model, iteration), 3))
        print(f"iteration {iteration:>6}   smoothed loss {loss:.6f}   {names}", flush=True)

    if args.train is None:
        model = name_models.load_name_model(args.model or name_models.DINOSAUR_MODEL)
    else:
        command = _command_line(args)
        model = name_models.train_name_model(args.train, args.source, command, args.iterations, print_progress)
        if args.out is not None:
            name_models.save_name_model(model, args.out)
            print(f"{args.out}: written")
    seed = secrets.randbelow(MAX_SEED) if args.seed is None else args.seed
    for name in islice(name_models.generate_names(model, seed), args.count):
        print(name)
    return 0


def _command_line(args: argparse.Namespace) -> str:
    """The command that makes the same network again, without the folder of the list."""
    words = ["sideman", "names", "--train", args.train.name, "--iterations", str(args.iterations)]
    words += ["--out", args.out.name] if args.out is not None else []
    return printable(shlex.join(words + (["--source", args.source] if args.source else [])))
