# SPDX-License-Identifier: Apache-2.0
"""`sideman evaluate`: how well a network foretells music, in bits."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sideman.core.errors import NoSuchInput
from sideman_models.bundle import load
from sideman_models.corpus import read
from sideman_models.errors import CorpusError
from sideman_models.evaluate import evaluate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="solo database (.jsonl, .jsonl.gz) or value file"
    )
    parser.add_argument("--model", required=True, metavar="BUNDLE", help="the network: a bundle's name, or its folder")
    parser.add_argument("--unseen", action="store_true", help="only the titles that training always keeps back")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the figures. Raises NoSuchInput, or BundleError and CorpusError for what cannot be understood."""
    bundle = load(args.model)
    for path in args.files:
        if not path.exists():
            raise NoSuchInput(f"{path}: no such file")
    seen, unseen = read(args.files).split()
    pieces = unseen if args.unseen else seen + unseen
    if not pieces:
        raise CorpusError("none of these pieces is of a title that training keeps back")
    figures = {"model": bundle.name, **evaluate(bundle, pieces).as_json()}
    if args.json:
        print(json.dumps(figures))
    else:
        width = max(map(len, figures))
        print("\n".join(f"{name.replace('_', ' '):<{width}}  {value}" for name, value in figures.items()))
    return 0
