# SPDX-License-Identifier: Apache-2.0
"""`sideman corpus`: what a corpus holds, as facts or as its values."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path

from sideman.core.errors import NoSuchInput, NotPermitted, Unavailable, UnreadableInput
from sideman_models.classic import ClassicCorpus, read_classic, training_arrays
from sideman_models.errors import CorpusError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a MIDI file")
    parser.add_argument("--classic", action="store_true", help="read by the rules of the classic corpus")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the facts as JSON, one object a file")
    form.add_argument("--values", action="store_true", help="the values instead, parted by spaces, one bar a line")


def run(args: argparse.Namespace) -> int:
    """Print the facts or values of every file named."""
    if not args.classic:
        return _run_modern(args)
    for path in args.files:
        _check(path)
        try:
            print(_classic(path, args))
        except CorpusError as error:
            raise UnreadableInput(str(error)) from error
    return 0


def _run_modern(args: argparse.Namespace) -> int:
    raise Unavailable(f"{args.files[0]}: only the classic corpus can be read so far; add --classic")


def _check(path: Path) -> None:
    if not path.exists():
        raise NoSuchInput(f"{path}: no such file")
    if not os.access(path, os.R_OK):
        raise NotPermitted(f"{path}: may not be read by this user")


def _classic(path: Path, args: argparse.Namespace) -> str:
    corpus = read_classic(path)
    if args.values:
        return "\n".join(" ".join(bar) for bar in corpus.bars)
    facts = _facts(corpus)
    return json.dumps({"file": str(path), **facts}) if args.json else f"{path}\n{_table(facts)}"


def _facts(corpus: ClassicCorpus) -> dict[str, object]:
    X, Y = training_arrays(corpus)
    arrays: dict[str, object] = {}
    for name, array in (("X", X), ("Y", Y)):
        arrays |= {f"{name}_shape": list(array.shape), f"{name}_sum": int(array.sum())}
    return corpus.facts() | arrays


def _table(facts: Mapping[str, object]) -> str:
    width = max(map(len, facts))
    return "\n".join(f"  {name.replace('_', ' '):<{width}}  {_cell(fact)}" for name, fact in facts.items())


def _cell(fact: object) -> str:
    match fact:
        case dict():
            return "  ".join(f"{name} x {count}" for name, count in fact.items())
        case list():
            return " ".join(map(str, fact))
        case _:
            return str(fact)
