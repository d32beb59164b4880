# SPDX-License-Identifier: Apache-2.0
"""`sideman ports`: lists the MIDI ports of this machine, and the ports that `auto` would choose."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from sideman.midi.backends import list_ports, no_backend_message
from sideman.midi.ports import IN_PROCESS

CLIENT = "sideman"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman ports`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the ports. A machine without any MIDI system is not an error."""
    listings = list_ports(CLIENT)
    output = _auto_choice([(one.backend, one.has_virtual_ports, one.outputs) for one in listings], f"{CLIENT}:out")
    input_ = _auto_choice([(one.backend, one.has_virtual_ports, one.inputs) for one in listings], f"{CLIENT}-in:in")
    if args.json:
        systems = [{"name": one.backend, "outputs": list(one.outputs), "inputs": list(one.inputs)} for one in listings]
        facts = {"systems": systems, "auto": {"output": output, "input": input_}}
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return 0
    lines = [] if listings else [no_backend_message()]
    for one in listings:
        lines += [one.backend, *_port_lines("outputs", one.outputs), *_port_lines("inputs", one.inputs)]
    print("\n".join([*lines, f"auto would choose: output {output}, input {input_}"]))
    return 0


def _port_lines(title: str, names: Sequence[str]) -> list[str]:
    return [f"  {title if n == 0 else '':8} {name}" for n, name in enumerate(names or ["none"])]


def _auto_choice(systems: Sequence[tuple[str, bool, Sequence[str]]], own_name: str) -> str:
    """The first virtual port, which we call `own_name`, else the first real port, as `MidiPort.open` chooses.

    `systems` has the name of each system, whether it has virtual ports, and its real ports.
    """
    virtual = [f"{own_name} ({system})" for system, has_virtual_ports, _ in systems if has_virtual_ports]
    real = [f"{name} ({system})" for system, _, names in systems for name in names]
    return next(iter(virtual + real), IN_PROCESS)
