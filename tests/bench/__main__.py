# SPDX-License-Identifier: Apache-2.0
"""Measure sideman on this machine: start, memory, punctuality, network, training, each beside a lower bound or peer."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from bench import (
    band,
    clocks,
    evaluation,
    hours,
    learning,
    network,
    page_sound,
    peers,
    processes,
    readers,
    reading,
    rendering,
    roundtrip,
    sockets,
    timing,
    training,
)
from bench.figures import Figure, table

SUBJECTS = (
    processes,
    network,
    peers,
    timing,
    band,
    learning,
    roundtrip,
    sockets,
    page_sound,
    clocks,
    rendering,
    evaluation,
    readers,
    reading,
    training,
    hours,
)
_NAMES = [subject.__name__.rpartition(".")[2] for subject in SUBJECTS]


def main(words: Sequence[str] | None = None) -> None:
    """Measure everything and print it. A missed budget is marked in the output; it is not an error."""
    parser = argparse.ArgumentParser("bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only", choices=_NAMES, nargs="+", help="measure only these (default: everything)")
    args = parser.parse_args(words)
    figures = measured() if args.only is None else measured(only=args.only)
    if args.json:
        print(json.dumps({"figures": [figure.object() for figure in figures]}, indent=2, ensure_ascii=False))
        return
    print("This takes about eight minutes. Let the machine do as little else as possible meanwhile.\n", file=sys.stderr)
    for figure in figures:
        print(table([figure]), flush=True)


def measured(effort: float = 1.0, only: Sequence[str] = _NAMES) -> Iterator[Figure]:
    """All figures, each as soon as it is measured. `effort` 0.01 only checks that everything can be measured."""
    for name, subject in zip(_NAMES, SUBJECTS, strict=True):
        if name in only:
            yield from subject.figures(effort)


if __name__ == "__main__":
    main()
