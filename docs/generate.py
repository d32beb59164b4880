# SPDX-License-Identifier: Apache-2.0
"""Generates the parts of the documentation that are tables in the code, so that they cannot differ.

`python docs/generate.py` writes them, `python docs/generate.py --check` names those that differ and exits with 1. A
generated part is a whole file (`@document`; of systemd's unit one line is generated) or, in a page that people write,
a section (`@section`) between the lines `<!-- generated: NAME -->` and `<!-- end -->`. To add one, write a function
that returns its text.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import fields as struct_fields

from sideman import __version__
from sideman.control.events import EVENTS, EVENTS_2
from sideman.control.protocol import VERSIONS, Status
from sideman.control.requests import REQUESTS, Answer, Refusal, Request, WatchRequest, request_fields
from sideman.core.actions import ACTIONS
from sideman.core.chart.styles import STYLE_WORDS
from sideman.core.events import PlayState, Voice
from sideman.core.settings.schema import GROUPS, KEYS, SettingKey
from sideman.core.settings.types import plain_text
from sideman.core.timing.clock_source import CLOCK_SOURCES
from sideman.core.turns import MODE_NAMES, MODES
from sideman.exit_status import exit_statuses
from sideman_models.limits import LIMITS

ROOT = Path(__file__).parents[1]
Generator = Callable[[], str]
DOCUMENTS: dict[str, Generator] = {}
"""The generated files, by their paths below `ROOT`."""
SECTIONS: dict[str, Generator] = {}
"""The generated sections, by their names; they may be in the README, SECURITY.md and any page of `docs/`."""

_JSON_WIDTH = 110
_SECTION = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def document(path: str) -> Callable[[Generator], Generator]:
    """Register the generator of a whole file."""
    return lambda generator: DOCUMENTS.setdefault(path, generator)


def section(name: str) -> Callable[[Generator], Generator]:
    """Register the generator of a section."""
    return lambda generator: SECTIONS.setdefault(name, generator)


def generated_files() -> Iterator[tuple[Path, str]]:
    """Return each file that is generated, or has a generated section, and the text that it should have."""
    for path, generator in DOCUMENTS.items():
        yield ROOT / path, generator()
    for page in (ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = page.read_text("utf-8")
        if _SECTION.search(text):
            yield page, _SECTION.sub(lambda found: f"{found[1]}{SECTIONS[found[2]]()}{found[3]}", text)


def differing_files() -> list[Path]:
    """Return the files that are not as they would be generated."""
    return [path for path, text in generated_files() if not path.exists() or path.read_text("utf-8") != text]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    """Write the generated files, or with --check only name those that differ."""
    differing = differing_files()
    if sys.argv[1:] == ["--check"]:
        for path in differing:
            print(f"{path.relative_to(ROOT)} differs; run `make generate`")
        return 1 if differing else 0
    for path, text in generated_files():
        if path in differing:
            path.write_text(text, "utf-8")
            print(path.relative_to(ROOT))
    return 0


# -- settings

_DEFAULT_HEAD = """\
All settings of sideman, with their default values.

To change some of them, copy this file to ~/.config/sideman/config.yaml (for a service: /etc/sideman/config.yaml), \
edit the lines that you want to change and delete the others: a setting that your file leaves out keeps its default. \
`sideman check` finds mistakes.

Settings from several places override each other in this order: these defaults, a preset (--preset bebop), your file, \
single settings on the command line (--set play.temperature=1.3 --set tempo.bpm=180)."""


@document("config/default.yaml")
def default_yaml() -> str:
    """Return the default configuration: every setting with its default and its description."""
    lines = [line for paragraph in _DEFAULT_HEAD.split("\n") for line in _comment(paragraph, "")]
    for name, group in GROUPS.items():
        lines += ["", *_comment((group.__doc__ or "").partition("\n")[0], ""), f"{name}:"]
        keys = [key for key in KEYS.values() if key.name.startswith(f"{name}.")]
        for number, key in enumerate(keys):
            lines += [*([""] if number else []), *_setting(key)]
    return "\n".join(lines) + "\n"


def _setting(key: SettingKey) -> Iterator[str]:
    yield from _comment(key.doc, "  ")
    yield from _comment(f"Allowed: {key.value_type.allowed}.", "  ")
    name, text = key.name.partition(".")[2], plain_text(key.value_type.write(key.default))
    if "\n" in text:
        yield f"  {name}: |"
        yield textwrap.indent(text, "    ")
    else:
        yield f"  {name}: {text}"


def _comment(paragraph: str, indent: str) -> list[str]:
    start = f"{indent}# "
    wrapper = textwrap.TextWrapper(100, start, start, break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(paragraph) or [start.rstrip()]


@section("actions")
def actions() -> str:
    """Return the table of actions."""
    rows = [
        (", ".join(f"`{spelling}`" for spelling in action.spellings), action.help, f"`{action.key}`" * bool(action.key))
        for action in ACTIONS.values()
    ]
    return table(("action", "what it does", "key in `ctl watch`"), rows)


@section("styles")
def styles() -> str:
    """Return the table of the words that name a style on a chart."""
    rows = ((f"`{style}`", ", ".join(words)) for style, words in STYLE_WORDS.items())
    return table(("style", "words"), rows)


@section("modes")
def modes() -> str:
    """Return the table of play modes."""
    return table(("`play.mode`", "what sideman does"), ((f"`{name}`", row.text) for name, row in MODES.items()))


@section("clock-sources")
def clock_sources() -> str:
    """Return the table of clock sources."""
    return table(("`tempo.source`", "what it does"), ((f"`{name}`", row.text) for name, row in CLOCK_SOURCES.items()))


@section("exit-statuses")
def exit_status_table() -> str:
    """Return the table of exit statuses."""
    helps = {True: "yes", False: "no", None: ""}
    rows = [(str(row.number), " ".join(row.meaning.split()), helps[row.restart_helps]) for row in exit_statuses()]
    return table(("status", "meaning", "does a restart help?"), [("0", "Everything went well.", ""), *rows])


@section("limits")
def limits() -> str:
    """Return the table of the limits of what is read."""
    rows = ((each.what, each.size_text, f"{each.count} {each.items}" if each.count else "") for each in LIMITS)
    return table(("what", "bytes", "items"), rows)


@document("systemd/sideman.service")
def systemd_unit() -> str:
    """Return systemd's unit, with the exit statuses after which a restart does not help."""
    numbers = " ".join(str(row.number) for row in exit_statuses() if row.restart_helps is False)
    unit = (ROOT / "systemd/sideman.service").read_text("utf-8")
    return re.sub(r"(?m)^(RestartPreventExitStatus=).*$", rf"\g<1>{numbers}", unit)


# -- the bill of materials

_PIN = re.compile(r"^([\w.-]+)==([^ ;]+)(?: ; ([^\\]+))? \\\n((?:    --hash=sha256:\w+(?: \\\n)?)+)", re.MULTILINE)


@document("docs/sideman.cdx.json")
def bill_of_materials() -> str:
    """Return the wheel's bill of materials in the form of CycloneDX: the packages of the lock, and the network."""
    lock = _PIN.findall((ROOT / "requirements.lock").read_text("utf-8"))
    names = {name for name, *_ in lock}
    build = _with_dependencies({"editables", "hatchling"}) - _with_dependencies({"mido"})  # the group `build`
    bundle = ROOT / "models/sideman_models/bundles/default/weights.npz"
    network = {
        "type": "machine-learning-model",
        "bom-ref": "bundle:default",
        "name": "default",
        "description": "the trained network; sideman_models/bundles/default/CARD.md names its music and licences",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(bundle.read_bytes()).hexdigest()}],
    }
    packages = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{version}",
            "name": name,
            "version": version,
            "scope": "excluded" if name in build & names else "required",
            "purl": f"pkg:pypi/{name}@{version}",
            "hashes": [{"alg": "SHA-256", "content": each} for each in re.findall(r"sha256:(\w+)", hashes)],
            **({"properties": [{"name": "sideman:installed-if", "value": when.strip()}]} if when else {}),
        }
        for name, version, when, hashes in lock
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    itself = {
        "type": "application",
        "bom-ref": f"pkg:pypi/sideman@{__version__}",
        "name": "sideman",
        "version": __version__,
        "licenses": [{"expression": project["license"]}],
        "purl": f"pkg:pypi/sideman@{__version__}",
    }
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": itself},
        "components": [*packages, network],
    }
    return json.dumps(bill, indent=1, ensure_ascii=False) + "\n"


def _with_dependencies(names: set[str]) -> set[str]:
    """Return the names and what they need. All of them are installed on every system that has the tools."""
    found: set[str] = set()
    while names:
        name = names.pop()
        found.add(name)
        try:
            needed = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # for an older Python: not in the lock either
            needed = []
        names |= {re.split(r"[^\w-]", each)[0].lower() for each in needed if "extra ==" not in each} - found
    return found


# -- the control socket


WORDS = {"mode": MODE_NAMES, "state": get_args(PlayState), "voice": get_args(Voice)}
"""The present words of the protocol's lists, which readers must expect to grow."""


@document("docs/control.schema.json")
def control_schema() -> str:
    """Return the JSON schema of the control socket's lines."""
    results = [result for kind in REQUESTS.values() for result in kind.results]
    kinds_of = {"event": list(EVENTS.values()), "event_2": list(EVENTS_2.values())}
    types = [*REQUESTS.values(), Answer, Refusal, *kinds_of["event"], *kinds_of["event_2"], *results]
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=lambda _: {"description": "any JSON value"}, ref_template="#/$defs/{name}"
    )
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    for reply in (Answer, Refusal):
        _add_fields(components[reply.__name__], v={"enum": list(VERSIONS)})
    seconds = {"description": "seconds on the daemon's monotonic clock", "type": "number"}
    for kind in dict.fromkeys([*kinds_of["event"], *kinds_of["event_2"]]):
        # What both versions have is described once: in version 2 each event has a `second` as well.
        versions = [version for version, kinds in zip(VERSIONS, kinds_of.values(), strict=True) if kind in kinds]
        second = {"second": seconds} if 2 in versions else {}
        _add_fields(components[kind.__name__], v={"enum": versions}, **second)
        if 1 in versions and second:
            components[kind.__name__]["required"].remove("second")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"The lines of sideman's control socket, versions {' and '.join(map(str, VERSIONS))}",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in ("request", "reply", *kinds_of)],
        "$defs": {
            "request": {"oneOf": [schema_of[repr(kind)] for kind in REQUESTS.values()]},
            "reply": {"oneOf": [schema_of[repr(kind)] for kind in (Answer, Refusal)]},
            **{
                name: {
                    "description": f"an event of version {version}",
                    "type": "object",
                    "properties": {"v": {"const": version}},
                    "required": ["v", "second"] if version == 2 else ["v"],
                    "oneOf": [schema_of[repr(kind)] for kind in kinds],
                }
                for version, (name, kinds) in zip(VERSIONS, kinds_of.items(), strict=True)
            },
            "result_of": {
                "description": "the result of each request; null for a request that is not named here",
                "type": "object",
                "properties": {
                    name: {"anyOf": [schema_of[repr(result)] for result in kind.results]}
                    for name, kind in REQUESTS.items()
                    if kind.results
                },
            },
            **components,
        },
    }
    return _formatted_json(_with_words(schema)) + "\n"


def _formatted_json(value: Any, indent: str = "") -> str:
    """Return JSON that puts into one line what has room there."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(indent) + len(line) <= _JSON_WIDTH:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {_formatted_json(each, inner)}" for name, each in value.items()]
    else:
        parts = [_formatted_json(each, inner) for each in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{closing}"


def _add_fields(schema: dict[str, Any], **fields: object) -> None:
    """Add what `encode_line` adds to each line of the daemon."""
    schema["properties"] = {**fields, **schema["properties"]}
    schema["required"] = [*fields, *schema["required"]]


def _with_words(schema: Any) -> Any:
    """Return the schema with the lists of words, and each docstring in one line."""
    match schema:
        case {"type": "string", "title": str(title), **other} if title in WORDS:
            return {**other, "enum": list(WORDS[title])}
        case dict():
            return {
                name: " ".join(each.split()) if name == "description" and isinstance(each, str) else _with_words(each)
                for name, each in schema.items()
            }
        case list():
            return [_with_words(each) for each in schema]
        case _:
            return schema


@section("control-requests")
def control_requests() -> str:
    """Return the table of requests."""
    rows = [(f"`{name}`", _field_list(kind), _in_one_line(kind), _result(kind)) for name, kind in REQUESTS.items()]
    return table(("`do`", "fields", "what it does", "`result`"), rows)


@section("control-events")
def control_events() -> str:
    """Return the table of events."""
    return _event_table(EVENTS)


@section("control-events-2")
def control_events_2() -> str:
    """Return the table of the events of version 2 that version 1 does not have."""
    return _event_table({name: kind for name, kind in EVENTS_2.items() if kind is not EVENTS.get(name)})


def _event_table(kinds: Mapping[str, type[Struct]]) -> str:
    rows = [(f"`{name}`", _names(kind.__struct_fields__), _in_one_line(kind)) for name, kind in kinds.items()]
    return table(("event", "fields", "when, and what it says"), rows)


@section("control-osc")
def control_osc() -> str:
    """Return the table of OSC addresses."""
    kinds = {name: kind for name, kind in REQUESTS.items() if not kind.for_programs and kind is not WatchRequest}
    plain = [name for name, kind in kinds.items() if not request_fields(kind)]
    rows = [("`/sideman/GROUP/KEY`, such as `/sideman/play/temperature`", "the value")]
    rows += [(f"`/sideman/{name}`", _field_list(kind)) for name, kind in kinds.items() if name not in plain]
    rows += [(", ".join(f"`/sideman/{name}`" for name in plain), "none; a 0, when a button is released, does nothing")]
    return table(("address", "arguments"), rows)


def _field_list(kind: type[Request]) -> str:
    fields = (field for field in struct_fields(kind) if field.name in request_fields(kind))
    return ", ".join(f"`{field.name}`" + ("" if field.default is NODEFAULT else " (optional)") for field in fields)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _result(kind: type[Request]) -> str:
    if Status in kind.results:
        return "the fields of the event `status`, below"
    many = [get_args(result)[0] for result in kind.results if get_origin(result) is list]
    structs = [result for result in (*kind.results, *many) if isinstance(result, type(Struct))]
    fields = _names(structs[0].__struct_fields__) if structs else "names" if many else ""
    return f"a list of {fields}" if many else fields


def _in_one_line(kind: type[Struct]) -> str:
    return " ".join((kind.__doc__ or "").split())


if __name__ == "__main__":
    sys.exit(main())
