# SPDX-License-Identifier: Apache-2.0
"""Measure sideman on this machine: start, memory, punctuality, network, learning, each beside its floor or peer."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from sideman.bench import (
    clocks,
    evaluation,
    hours,
    network,
    peers,
    processes,
    reading,
    rendering,
    roundtrip,
    sockets,
    timing,
    training,
)
from sideman.bench.figures import Figure, table

SUBJECTS = (
    processes,
    network,
    peers,
    timing,
    roundtrip,
    sockets,
    clocks,
    rendering,
    evaluation,
    reading,
    training,
    hours,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The one choice there is: for people or for programs."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure everything and print it. A budget that is missed is told, and is no error."""
    if args.json:
        print(json.dumps({"figures": [figure.object() for figure in measured()]}, indent=2, ensure_ascii=False))
        return 0
    print("This takes about five minutes; the less else the machine does meanwhile, the better.\n", file=sys.stderr)
    for figure in measured():
        print(table([figure]), flush=True)
    return 0


def measured(effort: float = 1.0) -> Iterator[Figure]:
    """Every figure in turn, each as soon as it is known. `effort` 0.01 only tries whether all of them can be."""
    for subject in SUBJECTS:
        yield from subject.figures(effort)
