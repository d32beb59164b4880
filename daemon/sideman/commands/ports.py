# SPDX-License-Identifier: Apache-2.0
"""`sideman ports`: lists the MIDI ports of this machine, and the ports that `auto` would choose."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence

from sideman.midi.drivers import no_system_message
from sideman.midi.ports import SystemPorts, list_ports
from sideman.midi.requested_port import IN_PROCESS

CLIENT = "sideman"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman ports`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the ports. A machine without any MIDI system is not an error."""
    listings = list_ports(CLIENT)
    output = _auto_choice(listings, f"{CLIENT}:out", lambda one: one.outputs)
    input_ = _auto_choice(listings, f"{CLIENT}-in:in", lambda one: one.inputs)
    if args.json:
        systems = [
            {"name": one.system, "library": one.library, "outputs": list(one.outputs), "inputs": list(one.inputs)}
            for one in listings
        ]
        auto = {"output": output, "input": input_}
        print(json.dumps({"systems": systems, "auto": auto}, indent=2, ensure_ascii=False))
        return 0
    lines = [] if listings else [no_system_message()]
    for one in listings:
        title = f"{one.system}, by {one.library}" if one.library else one.system
        lines += [title, *_port_lines("outputs", one.outputs), *_port_lines("inputs", one.inputs)]
    print("\n".join([*lines, f"auto would choose: output {output}, input {input_}"]))
    return 0


def _port_lines(title: str, names: Sequence[str]) -> list[str]:
    return [f"  {title if n == 0 else '':8} {name}" for n, name in enumerate(names or ["none"])]


def _auto_choice(systems: list[SystemPorts], own_name: str, names: Callable[[SystemPorts], Sequence[str]]) -> str:
    """The first virtual port, which we call `own_name`, else the first real port, as `MidiPorts` chooses."""
    virtual = [f"{own_name} ({one.system})" for one in systems if one.has_virtual_ports]
    real = [f"{name} ({one.system})" for one in systems for name in names(one)]
    return next(iter(virtual + real), IN_PROCESS)
