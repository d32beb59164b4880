# SPDX-License-Identifier: Apache-2.0
"""`sideman ports`: what the MIDI systems of this machine offer, and what `auto` would choose."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from sideman.midi.backends import BackendPorts, list_ports, no_backend_message
from sideman.midi.ports import IN_PROCESS

CLIENT = "sideman"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The one choice there is: for people or for programs."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print them. No MIDI system at all is an answer too."""
    listings = list_ports(CLIENT)
    print(json.dumps(_as_json(listings), indent=2, ensure_ascii=False) if args.json else _as_text(listings))
    return 0


def _as_json(listings: Sequence[BackendPorts]) -> dict[str, object]:
    systems = [{"name": one.backend, "outputs": list(one.outputs), "inputs": list(one.inputs)} for one in listings]
    return {"systems": systems, "auto": {"output": _auto_output(listings), "input": _auto_input(listings)}}


def _as_text(listings: Sequence[BackendPorts]) -> str:
    lines = [] if listings else [no_backend_message()]
    for one in listings:
        lines += [one.backend, *_port_lines("outputs", one.outputs), *_port_lines("inputs", one.inputs)]
    lines.append(f"auto would take: output {_auto_output(listings)}, input {_auto_input(listings)}")
    return "\n".join(lines)


def _port_lines(title: str, names: Sequence[str]) -> list[str]:
    return [f"  {title if n == 0 else '':8} {name}" for n, name in enumerate(names or ["none"])]


def _auto_output(listings: Sequence[BackendPorts]) -> str:
    return _auto_choice(
        [(one.backend, f"{CLIENT}:out" if one.has_virtual_ports else "", one.outputs) for one in listings]
    )


def _auto_input(listings: Sequence[BackendPorts]) -> str:
    return _auto_choice(
        [(one.backend, f"{CLIENT}-in:in" if one.has_virtual_ports else "", one.inputs) for one in listings]
    )


def _auto_choice(ways: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    """A virtual port before every real one, and the systems in their order: as `Side.find` has it."""
    virtual = [f"{name} ({system})" for system, name, _ in ways if name]
    real = [f"{name} ({system})" for system, _, names in ways for name in names]
    return next(iter(virtual + real), IN_PROCESS)
