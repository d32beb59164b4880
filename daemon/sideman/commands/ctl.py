# SPDX-License-Identifier: Apache-2.0
"""`sideman ctl`: sends one request to the running daemon and prints the answer, or watches the daemon.

It needs only the control socket and loads little, so that a key that is bound to it acts at once.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import os
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import asdict

from sideman.commands.parser import Parser
from sideman.config.resources import CHARTS, PRESETS, resource_names
from sideman.control.client import ControlClient, RequestRefused, connect
from sideman.control.codec import Message, decode_message, make_request
from sideman.control.events import LearnedEvent
from sideman.control.requests import REQUESTS, Answer, Refusal, Request, request_fields, request_summary
from sideman.control.socket_file import daemon_paths
from sideman.core.errors import Unavailable, UsageError
from sideman_models.text import count_noun, printable

if TYPE_CHECKING:
    from sideman.core.timing.clock_source import ClockSourceName


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The requests with their arguments. --json, --socket and --name may stand before or after the request."""
    parser.set_defaults(json=False, socket=None, name=None)
    requests = parser.add_subparsers(dest="verb", metavar="REQUEST", required=True)
    parsers = {
        name: requests.add_parser(name, help=request_summary(kind), allow_abbrev=False)
        for name, kind in REQUESTS.items()
        if not kind.for_programs
    }
    unset, socket = argparse.SUPPRESS, "the socket of the daemon, instead of the usual one"
    for each in (parser, *parsers.values()):
        each.add_argument("--socket", metavar="PATH", default=unset, help=socket)
        each.add_argument("--name", metavar="NAME", default=unset, help="the daemon whose midi.client is NAME")
        each.add_argument("--json", action="store_true", default=unset, help="print JSON, for programs")
    for name, each in parsers.items():
        each.description = f"{inspect.cleandoc(REQUESTS[name].__doc__ or '')}"
        if name in _WITH_CHOICES and isinstance(each, Parser):
            each.more_help = partial(_choices, name)
    parsers["get"].add_argument("key", metavar="KEY", nargs="?")
    parsers["set"].add_argument("key", metavar="KEY", help="such as play.temperature; or KEY=VALUE")
    parsers["set"].add_argument("value", metavar="VALUE", nargs="?")
    parsers["mode"].add_argument("mode", metavar="MODE", help="a mode that play.mode allows, such as trade")
    parsers["mode"].add_argument("--now", action="store_true", help="at once, instead of from the next bar on")
    parsers["mute"].add_argument("on", choices=("on", "off"), nargs="?")
    parsers["preset"].add_argument("preset", metavar="PRESET", nargs="?", help="without it: list the presets")
    chart = "a chart, a file, or a song of the set; without it: list the charts that have a name"
    parsers["chart"].add_argument("chart", metavar="NAME", nargs="?", help=chart)
    parsers["jump"].add_argument("named", metavar="PLACE", help="a section, such as B, or the number of a bar")
    loop = "bars such as 5-8, a section, or off; without it, the section that is played, or the end of the loop"
    parsers["loop"].add_argument("named", metavar="BARS", nargs="?", help=loop)
    parsers["learn"].add_argument("target", metavar="TARGET", help="a setting, such as play.temperature, or an action")
    parsers["learn"].add_argument("--write", action="store_true", help="write it into the configuration file as well")


def run(args: argparse.Namespace) -> int:
    """Send the request and print the answer. Returns the exit status."""
    if args.verb in ("preset", "chart") and getattr(args, args.verb) is None:
        names = resource_names(*{"preset": PRESETS, "chart": CHARTS}[args.verb])
        print(json.dumps(names, ensure_ascii=False) if args.json else "\n".join(names))
        return 0
    arguments = _request_arguments(args)
    with contextlib.closing(connect(daemon_paths(args.socket, args.name))) as client:
        if args.verb == "learn":
            learned = _learn(client, arguments, "" if args.json else "move the controller for {}; Ctrl-C cancels")
            print(json.dumps(asdict(learned), ensure_ascii=False) if args.json else _format_learned(learned))
            return 0
        before = client.request("status") if args.verb in _NEEDS_BEFORE and not args.json else {}
        result = client.request(args.verb, **arguments)
        if args.verb == "watch" and not args.json:
            from sideman.watch import watch

            return watch(client.lines(), sys.stdout, client.send, _typed_request)
        if args.verb == "watch":
            for line in client.lines():
                print(line, end="", flush=True)
        elif args.json:
            print(json.dumps(result, ensure_ascii=False))
        elif args.verb in _DONE:
            source = client.request("get", key="tempo.source")["value"]
            print(printable(_DONE[args.verb](_Moment(before, client.request("status"), source))))
        elif result is not None:
            print(_FORMATTERS.get(args.verb, _format_value)(result))
    return 0


def _typed_request(text: str) -> Request:
    """Read a request as it is typed after `sideman ctl`. Raises UsageError."""
    parser = Parser("", allow_abbrev=False)
    add_arguments(parser)
    try:
        args = parser.parse_all([word for word in shlex.split(text) if word not in ("-h", "--help")])
    except ValueError as error:  # quotes that are not closed
        raise UsageError(f"{text}: {error}") from None
    return make_request(args.verb, _request_arguments(args))


def _learn(client: ControlClient, arguments: Mapping[str, object], prompt: str) -> LearnedEvent:
    """Request to learn, print `prompt` with what is learned, and wait until a controller was moved."""
    client.request("watch")
    client.send({"do": "learn", **arguments})
    asked = None
    try:
        for line in client.lines():
            match _message(line):
                case Answer(result=result):
                    asked = result["learn"]  # type: ignore[index]
                    if prompt:
                        print(prompt.format(asked), flush=True)
                case Refusal(error=reason):
                    raise RequestRefused(reason)
                case LearnedEvent() as learned if asked is not None:
                    return _checked(learned, asked)
    except KeyboardInterrupt:
        client.send({"do": "learn", "cancel": True})
        raise
    raise Unavailable("the daemon ended before a controller was moved")


def _message(line: str) -> Message | None:
    """Return the message in `line`; None for one that a newer daemon sends."""
    with contextlib.suppress(ValueError):
        return decode_message(line)
    return None


def _checked(learned: LearnedEvent, asked: str) -> LearnedEvent:
    """Return `learned` if it answers what was `asked` and was written as requested. Raises RequestRefused."""
    if learned.target != asked and not learned.target.startswith(f"{asked} "):
        raise RequestRefused(f"learn: another request came in between: {_format_learned(learned)}")
    if learned.problem:
        raise RequestRefused(f"{_format_learned(learned)}; not written: {learned.problem}")
    return learned


def _request_arguments(args: argparse.Namespace) -> dict[str, object]:
    given: dict[str, object] = {}
    match args.verb:
        case "get" if args.key is not None:
            given = {"key": args.key}
        case "set":
            key, equals, value = args.key.partition("=") if args.value is None else (args.key, "=", args.value)
            if not equals:
                raise UsageError(f"set {key}: write KEY VALUE, such as tempo.bpm 160")
            key, value = key.strip(), value.strip()
            given = {"key": key, "value": _path_for_daemon(value) if key == "chart.file" else value}
        case "mode":
            given = {"mode": args.mode, "now": args.now}
        case "mute" if args.on is not None:
            given = {"on": args.on == "on"}
        case "chart":
            given = {"name": _path_for_daemon(args.chart)}
        case "preset" | "jump" | "loop":
            named = args.preset if args.verb == "preset" else args.named
            given = {request_fields(REQUESTS[args.verb])[0]: named}
        case "learn":
            given = {"key" if "." in args.target else "action": args.target, "write": args.write}
    return given


def _path_for_daemon(chart: str) -> str:
    """Return the name of a chart; if it is a file here, its whole path: the daemon runs in another folder."""
    exists = Path(chart).is_file() or Path(chart.partition("#")[0]).is_file()
    return os.path.abspath(chart) if exists else chart  # noqa: PTH100 - a song may follow it


# -- help


_WITH_CHOICES = ("get", "set", "mode", "preset", "chart", "learn")


def _choices(verb: str) -> str:
    """What can be chosen for a request, for its help."""
    from sideman.core.actions import action_list
    from sideman.core.settings.schema import KEYS, is_live
    from sideman.core.turns import MODES

    live = f"settings that can be changed while it plays:\n{_columns(name for name in KEYS if is_live(name))}"
    match verb:
        case "get":
            return f"settings:\n{_columns(KEYS)}"
        case "mode":
            return "\n".join(["modes:", *(f"  {name:8}{row.text}" for name, row in MODES.items())])
        case "preset":
            return f"presets:\n{_columns(resource_names(*PRESETS))}"
        case "chart":
            return f"charts:\n{_columns(resource_names(*CHARTS))}"
        case "learn":
            return f"{live}\nactions: {action_list()}"
    return live


def _columns(names: Iterable[str]) -> str:
    return textwrap.fill("  ".join(names), 78, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


# -- answers for people


class _Moment(Struct, frozen=True):
    """The status before a request and after it, and where the tempo comes from (`tempo.source`)."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    tempo_source: ClockSourceName

    @property
    def has_own_tempo(self) -> bool:
        """Whether the tempo can be set here."""
        from sideman.core.timing.clock_source import CLOCK_SOURCES  # loaded only here, after the request was sent

        return CLOCK_SOURCES[self.tempo_source].accepts_tempo

    @property
    def follows(self) -> bool:
        """Whether a clock says where the music is."""
        return self.tempo_source != "internal"

    @property
    def place(self) -> str:
        """Where a start begins."""
        bar = self.before.get("start_bar", 1)  # a daemon of an earlier version does not say it
        return "from the top" if bar == 1 else f"in bar {bar}"


def _started(moment: _Moment) -> str:
    chart, bars = moment.after["chart"], moment.before["settings"].get("play.count_in", 0)
    title = chart["title"] or "the chart"
    if moment.follows:
        return f"{title} with the clock: {moment.after['clock']}"
    counted = f" after {count_noun(bars, 'bar')} of clicks" if bars else ""
    return f"starts {title} {moment.place}{counted}, at {moment.after['bpm']:g} bpm"


def _stopped(moment: _Moment) -> str:
    at = moment.after
    begins = "goes on with the clock" if moment.follows else f"begins {moment.place.replace('from', 'at')}"
    return f"stops in bar {at['form_bar']} of {at['chart']['bars']}; start {begins}"


def _tapped(moment: _Moment) -> str:
    if not moment.has_own_tempo:
        return _tempo_of_clock(moment)
    return f"the tempo is {moment.after['bpm']:g} bpm; tap again on the next beat"


def _changed_tempo(word: Literal["slower", "faster"]) -> Callable[[_Moment], str]:
    def words(moment: _Moment) -> str:
        from sideman.core.timing.pll import FASTEST_BPM, SLOWEST_BPM

        bpm = moment.before["bpm"]
        if not moment.has_own_tempo:
            return _tempo_of_clock(moment)
        if bpm == (SLOWEST_BPM if word == "slower" else FASTEST_BPM):
            return f"no {word} than {bpm:g} bpm"
        when = "from the next bar line on" if moment.before["rolling"] else "from the next start on"
        return f"{word} than {bpm:g} bpm {when}"

    return words


def _tempo_of_clock(moment: _Moment) -> str:
    return f"the tempo is that of the clock: {moment.after['clock']}"


def _next_follows(moment: _Moment) -> str:
    settings = moment.before["settings"]
    songs, song = settings.get("chart.set") or [], settings.get("chart.song", 0)
    if not songs:
        return "no song follows: chart.set names the songs of a set"
    is_last = song == len(songs)
    if not moment.before["rolling"]:
        return "no song follows the last one" if is_last else "start begins the next song of the set, if one follows"
    what = "the music ends, after the last song," if is_last else "the next song of the set, if one follows, begins"
    return f"{what} at the end of the form; asked for twice, at the next bar line"


_DONE: dict[str, Callable[[_Moment], str]] = {
    "start": _started,
    "stop": _stopped,
    "panic": lambda moment: (
        f"every note is silenced; the music {'goes on' if moment.after['rolling'] else 'stands still'}"
    ),
    "tap": _tapped,
    "slower": _changed_tempo("slower"),
    "faster": _changed_tempo("faster"),
    "next": _next_follows,
    "again": lambda moment: (
        "plays the last phrase again, varied" if moment.after["played"] else "there is no phrase yet"
    ),
}
"""What to say about a request that has no result of its own."""
_NEEDS_BEFORE = ("start", "stop", "slower", "faster", "next")
"""Requests about which something is said that only the status before them knows."""


def _format_status(answer: Mapping[str, Any]) -> str:
    chart, coming = answer["chart"], answer["coming"]
    notes = "{played} played, {heard} heard, {late} late, {echoes} echoes"
    minutes, second = divmod(int(answer["uptime_s"]), 60)
    place = f"bar {answer['form_bar']} of {chart['bars']}, chorus {answer['chorus']}"
    lines = {
        "mode": f"{answer['mode']}, {answer.get('waiting') or answer['doing']}",
        "place": f"{place}: {answer['chord']}, then {answer['next_chord']}",
        "next": "" if coming is None else f"{_note(answer)} on beat {coming['beat']:g} ({coming['value']})",
        "practice": answer.get("practice", ""),
        "target": answer.get("target", "").removeprefix("target: "),
        "tempo": f"{answer['bpm']:g} bpm, {chart['meter']}; clock {answer['clock']}",
        "chart": chart["title"],
        "ports": answer["ports"],
        "notes": notes.format_map(answer),
        "learning": answer.get("learning", ""),
        "bundle": f"{answer['bundle']}; seed {answer['seed']}",
        "sideman": f"{answer['version']}, '{answer['name']}', up {minutes // 60}:{minutes % 60:02}:{second:02}",
    }
    return "\n".join(f"{name:8} {printable(text)}" for name, text in lines.items() if text)


def _note(status: Mapping[str, Any]) -> str:
    """The next note as the player reads it."""
    from sideman_models.music.harmony import pitch_name

    pitch = status["coming"]["pitch"]
    shown = -1 if pitch is None else pitch - status["settings"].get("midi.transpose", 0)
    return "rest" if pitch is None else pitch_name(shown) if 0 <= shown <= 127 else str(shown)


def _format_settings(answer: Mapping[str, Any]) -> str:
    if "key" not in answer:
        return "\n".join(f"{name}: {_format_value(one['value'])}" for name, one in answer.items())
    live = "can be changed while it plays" if answer["live"] else "takes effect only after a restart"
    head = f"{answer['key']} is {_format_value(answer['value'])}"
    default = _format_value(answer["default"])
    return f"{head}\n  {answer['about']}\n  Allowed: {answer['allowed']}. Default: {default}.\n  It {live}."


def _format_changes(answer: Mapping[str, Any]) -> str:
    lines = [f"{name} is {_format_value(value)}" for name, value in answer["changed"].items()]
    lines += [f"only after a restart: {', '.join(later)}"] if (later := answer.get("restart")) else []
    return "\n".join([*(lines or ["nothing changed"]), *(f"warning: {text}" for text in answer.get("warnings", ()))])


def _format_learned(learned: LearnedEvent) -> str:
    return f"{learned.binding}: {learned.target}" + (f"; written to {learned.file}" if learned.file else "")


def _format_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_FORMATTERS: dict[str, Callable[[Any], str]] = {
    "status": _format_status,
    "get": _format_settings,
    "set": _format_changes,
    "preset": _format_changes,
    "chart": _format_changes,
    "reload": _format_changes,
    "loop": _format_changes,
    "jump": lambda answer: f"bar {answer['bar']} from the next bar line on",
    "mode": lambda answer: f"mode {answer['mode']}",
    "keep": lambda answer: printable(answer["take"]),
    "mute": lambda answer: f"mute {'on' if answer['mute'] else 'off'}",
}
