# SPDX-License-Identifier: Apache-2.0
"""Ask something of the daemon that plays: how it stands, other settings, another mode, silence; or watch it.

It knows nothing but the control socket, and loads little, so that a key bound to it acts at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sideman.config.resources import expand_user
from sideman.control.client import ControlClient, connect
from sideman.control.paths import DEFAULT_CLIENT, NO_SOCKET, candidate_socket_paths, socket_path
from sideman.control.protocol import REQUESTS, request_summary
from sideman.core.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The requests, each with its own arguments; --json, --socket and --name go before or behind."""
    parser.set_defaults(json=False, socket=None, name=None)
    _add_common_options(parser)
    requests = parser.add_subparsers(dest="verb", metavar="REQUEST", required=True)
    made = {
        name: requests.add_parser(name, help=request_summary(kind), allow_abbrev=False)
        for name, kind in REQUESTS.items()
    }
    for each in made.values():
        _add_common_options(each)
    made["get"].add_argument("key", metavar="KEY", nargs="?")
    made["set"].add_argument("key", metavar="KEY", help="such as play.temperature; or KEY=VALUE")
    made["set"].add_argument("value", metavar="VALUE", nargs="?")
    made["mode"].add_argument("mode", metavar="MODE", help="solo, trade, answer, duet or off")
    made["mode"].add_argument("--now", action="store_true", help="at once, not only from the next bar on")
    made["mute"].add_argument("on", choices=("on", "off"), nargs="?")
    made["preset"].add_argument("preset", metavar="PRESET")
    made["learn"].add_argument("target", metavar="TARGET", help="a setting, such as play.temperature, or a request")


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    """The options that may stand before the request, or behind it: what is not given there changes nothing."""
    for name, what, hint in (
        ("--socket", "PATH", "the daemon's socket, instead of the usual one"),
        ("--name", "NAME", "the daemon whose midi.client is NAME"),
    ):
        parser.add_argument(name, metavar=what, default=argparse.SUPPRESS, help=hint)
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON, for programs")


def run(args: argparse.Namespace) -> int:
    """Ask, and print the answer. 0, or the status of what is wrong."""
    arguments = _request_arguments(args)
    caller = connect(_socket_paths(args.socket, args.name))
    try:
        result = caller.request(args.verb, **arguments)
        if args.verb == "watch":
            return _watch(caller, plain=args.json)
        text = (
            json.dumps(result, ensure_ascii=False) if args.json else _FORMATTERS.get(args.verb, _format_default)(result)
        )
        if text:
            print(text)
        return 0
    finally:
        caller.close()


def _socket_paths(named: str | None, name: str | None) -> Iterator[Path]:
    """Where the daemon is looked for: where it was said, else in the usual places, and where the configuration says."""
    if named is not None:
        yield expand_user(named)
        return
    usual = list(candidate_socket_paths(name or DEFAULT_CLIENT))
    yield from usual[:-1]
    configured = _configured_path(name)
    if configured is not None and configured not in usual:
        yield configured
    yield usual[-1]


def _configured_path(name: str | None) -> Path | None:
    from sideman.config.resources import default_config_file

    named = os.environ.get("SIDEMAN_CONFIG")
    path = expand_user(named) if named else default_config_file()
    if path is None:
        return None
    from sideman.config.yaml import read_yaml  # only where there is a configuration, and nobody in the usual place
    from sideman.core.errors import SidemanError

    try:
        values = {key: given.value for key, given in read_yaml(path).values.items()}
    except SidemanError:
        return None
    wanted, client = values.get("control.socket"), values.get("midi.client")
    known = wanted if isinstance(wanted, str) and wanted not in ("auto", NO_SOCKET) else None
    return socket_path(known, name or (client if isinstance(client, str) else DEFAULT_CLIENT))


def _request_arguments(args: argparse.Namespace) -> dict[str, object]:
    """What goes along with the request."""
    given: dict[str, object] = {}
    match args.verb:
        case "get" if args.key is not None:
            given = {"key": args.key}
        case "set":
            given = _set_arguments(args.key, args.value)
        case "mode":
            given = {"mode": args.mode, "now": args.now}
        case "mute" if args.on is not None:
            given = {"on": args.on == "on"}
        case "preset":
            given = {"name": args.preset}
        case "learn":
            given = {"key" if "." in args.target else "action": args.target}
    return given


def _set_arguments(key: str, value: str | None) -> dict[str, object]:
    if value is None:
        key, equals, value = key.partition("=")
        if not equals:
            raise UsageError(f"set {key}: write KEY VALUE, such as tempo.bpm 160")
    key, value = key.strip(), value.strip()
    if key == "chart.file" and Path(value.partition("#")[0]).exists():
        value = os.path.abspath(value)  # noqa: PTH100 - with the song behind it; the daemon has another folder
    return {"key": key, "value": value}


# -- answers for people


def _format_status(told: Mapping[str, Any]) -> str:
    chart, coming = told["chart"], told["coming"]
    place = f"bar {told['form_bar']} of {chart['bars']}, chorus {told['chorus']}"
    lines = {
        "mode": f"{told['mode']}, {told['doing']}",
        "place": f"{place}: {told['chord']}, then {told['next_chord']}",
        "next": "" if coming is None else f"{coming['value']} on beat {coming['beat']:g}",
        "tempo": f"{told['bpm']:g} bpm, {chart['meter']}; clock {told['clock']}",
        "chart": chart["title"],
        "ports": told["ports"],
        "notes": f"{told['played']} played, {told['heard']} heard, {told['late']} late, {told['echoes']} echoes",
        "bundle": f"{told['bundle']}; seed {told['seed']}",
        "sideman": f"{told['version']}, '{told['name']}', up {_format_uptime(told['uptime_s'])}",
    }
    return "\n".join(f"{name:8} {text}" for name, text in lines.items() if text)


def _format_uptime(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def _format_settings(told: Mapping[str, Any]) -> str:
    if "key" not in told:
        return "\n".join(f"{name}: {_format_value(one['value'])}" for name, one in told.items())
    live = "can be changed while it plays" if told["live"] else "needs a restart to change"
    head = f"{told['key']} is {_format_value(told['value'])}"
    default = _format_value(told["default"])
    return f"{head}\n  {told['about']}\n  Allowed: {told['allowed']}. Default: {default}.\n  It {live}."


def _format_changes(told: Mapping[str, Any]) -> str:
    lines = [f"{name} is {_format_value(value)}" for name, value in told["changed"].items()]
    later = told.get("restart")
    return "\n".join([*lines, f"only after a restart: {', '.join(later)}"] if later else lines or ["nothing changes"])


def _format_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _format_default(told: object) -> str:
    return "" if told is None else _format_value(told)


_FORMATTERS: dict[str, Callable[[Any], str]] = {
    "status": _format_status,
    "get": _format_settings,
    "set": _format_changes,
    "preset": _format_changes,
    "reload": _format_changes,
    "mode": lambda told: f"mode {told['mode']}",
    "keep": lambda told: str(told["take"]),
    "learn": lambda told: f"move what is to do {told['learn']}",
    "mute": lambda told: f"mute {'on' if told['mute'] else 'off'}",
}


# -- watching


def _watch(client: ControlClient, *, plain: bool) -> int:
    """Show what comes until the daemon ends or the user does."""
    if not plain:
        from sideman.watch import watch  # which draws, or writes plain lines

        return watch(client.lines(), sys.stdout, send=client.send)
    for line in client.lines():
        print(line, end="", flush=True)
    return 0
