# SPDX-License-Identifier: Apache-2.0
"""`sideman ports`: lists the MIDI ports of this machine, and the ports that `auto` would choose."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from sideman.midi.backends import BackendPorts, list_ports, no_backend_message
from sideman.midi.ports import IN_PROCESS

CLIENT = "sideman"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman ports`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the ports. A machine without any MIDI system is not an error."""
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
    lines.append(f"auto would choose: output {_auto_output(listings)}, input {_auto_input(listings)}")
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


def _auto_choice(choices: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    """The first virtual port, else the first real port, as `MidiPort.open` chooses."""
    virtual = [f"{name} ({system})" for system, name, _ in choices if name]
    real = [f"{name} ({system})" for system, _, names in choices for name in names]
    return next(iter(virtual + real), IN_PROCESS)
