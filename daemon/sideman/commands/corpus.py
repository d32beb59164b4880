# SPDX-License-Identifier: Apache-2.0
"""`sideman corpus`: what a corpus holds, as facts or as its values."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sideman.core.errors import NoSuchInput, NotPermitted, Unavailable, UsageError
from sideman_models import corpus as modern
from sideman_models.bundle import load
from sideman_models.classic import ClassicCorpus, read_classic, training_arrays
from sideman_models.values import Value, Vocabulary

Facts = Mapping[str, object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="solo database, value file or MIDI file")
    parser.add_argument("--classic", action="store_true", help="a MIDI file by the rules of the classic corpus")
    parser.add_argument("--model", metavar="BUNDLE", help="show the values as this network knows them (with --values)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the facts as JSON")
    form.add_argument(
        "--values",
        action="store_true",
        help="the values instead, parted by spaces: one piece a line, with --classic one bar",
    )


def run(args: argparse.Namespace) -> int:
    """Print the facts or the values of all files named, or with --classic of each.

    Raises NoSuchInput, NotPermitted, UsageError, or CorpusError and BundleError for what cannot be understood.
    """
    if args.model and (args.classic or not args.values):
        raise UsageError("--model goes with --values, and not with --classic")
    for path in args.files:
        _check(path)
    for line in _classic_lines(args) if args.classic else _modern_lines(args):
        print(line)
    return 0


def _check(path: Path) -> None:
    if not path.exists():
        raise NoSuchInput(f"{path}: no such file")
    if not os.access(path, os.R_OK):
        raise NotPermitted(f"{path}: may not be read by this user")


def _classic_lines(args: argparse.Namespace) -> Iterator[str]:
    for path in args.files:
        corpus = read_classic(path)
        if args.values:
            yield from (" ".join(bar) for bar in corpus.bars)
        else:
            yield _told({"file": str(path), **_classic_facts(corpus)}, as_json=args.json)


def _modern_lines(args: argparse.Namespace) -> Iterator[str]:
    for path in args.files:
        if path.suffix.lower() in (".mid", ".midi"):
            raise Unavailable(f"{path}: MIDI files are read only with --classic so far")
    corpus = modern.read(args.files)
    if args.values:
        known = load(args.model).vocabulary if args.model else None
        yield from (" ".join(_texts(piece.values, known)) for piece in corpus.pieces)
    else:
        yield _told(modern.facts(corpus), as_json=args.json)


def _texts(values: Iterable[Value], known: Vocabulary | None) -> Iterator[str]:
    """The values as text; those a network does not know as the nearest it does, rests it cannot know left out."""
    for value in values:
        index = known.nearest(value) if known else None
        if known is None:
            yield value.text
        elif index is not None:
            yield known.values[index].text


def _classic_facts(corpus: ClassicCorpus) -> Facts:
    X, Y = training_arrays(corpus)
    arrays: dict[str, object] = {}
    for name, array in (("X", X), ("Y", Y)):
        arrays |= {f"{name}_shape": list(array.shape), f"{name}_sum": int(array.sum())}
    return corpus.facts() | arrays


def _told(facts: Facts, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(facts)
    width = max(map(len, facts))
    return "\n".join(f"{name.replace('_', ' '):<{width}}  {_cell(fact)}" for name, fact in facts.items())


def _cell(fact: object) -> str:
    match fact:
        case dict():
            return "  ".join(f"{name} x {count}" for name, count in fact.items()) or "none"
        case list():
            return " ".join(map(str, fact)) or "none"
        case _:
            return str(fact)
