# SPDX-License-Identifier: Apache-2.0
"""`sideman ports`: what the MIDI systems of this machine offer, and what `auto` would choose."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from sideman.midi.backends import Listing, no_system, survey
from sideman.midi.ports import IN_PROCESS

CLIENT = "sideman"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The one choice there is: for people or for programs."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print them. No MIDI system at all is an answer too."""
    listings = survey(CLIENT)
    print(json.dumps(_object(listings), indent=2, ensure_ascii=False) if args.json else _text(listings))
    return 0


def _object(listings: Sequence[Listing]) -> dict[str, object]:
    systems = [{"name": one.system, "outputs": list(one.outputs), "inputs": list(one.inputs)} for one in listings]
    return {"systems": systems, "auto": {"output": _auto_output(listings), "input": _auto_input(listings)}}


def _text(listings: Sequence[Listing]) -> str:
    lines = [] if listings else [no_system()]
    for one in listings:
        lines += [one.system, *_column("outputs", one.outputs), *_column("inputs", one.inputs)]
    lines.append(f"auto would take: output {_auto_output(listings)}, input {_auto_input(listings)}")
    return "\n".join(lines)


def _column(title: str, names: Sequence[str]) -> list[str]:
    return [f"  {title if n == 0 else '':8} {name}" for n, name in enumerate(names or ["none"])]


def _auto_output(listings: Sequence[Listing]) -> str:
    return _auto([(one.system, f"{CLIENT}:out" if one.virtual else "", one.outputs) for one in listings])


def _auto_input(listings: Sequence[Listing]) -> str:
    return _auto([(one.system, f"{CLIENT}-in:in" if one.virtual else "", one.inputs) for one in listings])


def _auto(ways: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    """A virtual port before every real one, and the systems in their order: as `Side.find` has it."""
    virtual = [f"{name} ({system})" for system, name, _ in ways if name]
    real = [f"{name} ({system})" for system, _, names in ways for name in names]
    return next(iter(virtual + real), IN_PROCESS)
