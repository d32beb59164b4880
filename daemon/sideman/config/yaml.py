# SPDX-License-Identifier: Apache-2.0
"""Reads configuration files: a small subset of YAML, with the line number of every key. Changes single values in them.

A file maps keys to values, to lists of values or to groups of keys. Everything that settings do not need is refused,
with its line number: a list or a scalar instead of the mapping, lists in lists, duplicate keys, keys that are not text,
anchors, aliases and merge keys (with which a few lines can expand to gigabytes), tags, several documents, deep nesting.
Scalars follow YAML 1.2: `off` and `no` are words, `010` is ten and `4/4` is text.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from sideman.core.errors import ConfigError
from sideman.core.settings.resolve import WrittenValue
from sideman.core.settings.schema import BINDING_KEYS, GROUPS, LIST_KEYS
from sideman.core.settings.types import plain_text
from sideman.files import explain_write_errors, read_file, write_file
from sideman_models.limits import SETTINGS
from sideman_models.writing import make_folder, own_file

if TYPE_CHECKING:
    from sideman.config.yaml_events import Place

_WHOLE = re.compile(r"[-+]?[0-9]{1,19}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]{1,99}|[0-9]{1,99}(\.[0-9]{0,99})?)([eE][-+]?[0-9]{1,5})?")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_PLAIN = re.compile(r"[a-z][a-z0-9_.]*( [a-z0-9.-]+)*")
"""The texts of settings and actions that need no quotes."""
_COMMENT = re.compile(r"#.*")
_BINARY = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class YamlContent(Struct, frozen=True):
    """The values of a file by dotted key, in order, and a line for each problem."""

    values: dict[str, WrittenValue] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_yaml(path: Path) -> YamlContent:
    """Read the file at `path`.

    Raises NoSuchInput, NotPermitted or ConfigError if it cannot be read. Problems in its content are returned, so that
    they can be reported together with those of its values.
    """
    return parse_yaml(read_file(path, SETTINGS.bytes, ConfigError), str(path))


def parse_yaml(data: bytes, name: str) -> YamlContent:
    """Parse `data`, the content of the file called `name`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        return YamlContent(problems=[f"{name}:{number}: not text (UTF-8); is it the right file?"])
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        if _BINARY.search(line):
            problems.append(f"{name}:{number}: not a text file; is it the right one?")
            break
        if "\t" in line[: len(line) - len(line.lstrip())]:
            problems.append(f"{name}:{number}: a tab at the start of the line; indent with spaces")
    if problems:
        return YamlContent(problems=problems)
    from sideman.config.yaml_events import SettingsParser  # imports PyYAML, which only a file needs

    return SettingsParser(name).read(text)


def parse_scalar(text: str) -> object:
    """Return the value of a plain scalar of YAML 1.2, in a file or on the command line: else the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def parse_setting(name: str, text: str, source: str) -> dict[str, WrittenValue]:
    """Return the values that `text`, typed for the key `name`, gives: one, a list, or a group such as `{1: tap}`.

    Raises ConfigError if it is a list or a group with mistakes.
    """
    is_list = text.startswith("[") and name in LIST_KEYS
    if not is_list and not (text.startswith("{") and name in (*GROUPS, *BINDING_KEYS)):
        return {name: WrittenValue(parse_scalar(text), source)}
    content = parse_yaml(f"{name}: {text}".encode(errors="surrogateescape"), source)
    if content.problems:
        raise ConfigError("\n".join(re.sub(r":\d+:", f": {name}:", problem, count=1) for problem in content.problems))
    if not all(each == name or each.startswith(f"{name}.") for each in content.values):
        raise ConfigError(f"{source}: {name}: more than one group; write one, such as {{1: tap, 64: mode}}")
    return {each: WrittenValue(given.value, source) for each, given in content.values.items()}


def set_keys(path: Path, changes: Mapping[str, int | str | None]) -> None:
    """Set each key of `changes` in the file at `path`, which is created if it does not exist; None removes a key.

    Everything else stays as it is, comments too. Raises ConfigError if the file has mistakes or an unusual layout;
    NotPermitted, CannotCreate or DiskError if it cannot be read or written.
    """
    before = read_file(path, SETTINGS.bytes, ConfigError) if path.exists() else b""
    write_over(path, edit_yaml(before, changes, str(path)))


def write_over(path: Path, after: bytes) -> None:
    """Make `after` the content of a file that the user may link to. Raises NotPermitted, CannotCreate or DiskError."""
    with explain_write_errors(path):
        path = own_file(path)
        make_folder(path.parent)
    write_file(path, after)


def edit_yaml(data: bytes, changes: Mapping[str, int | str | None], name: str) -> bytes:
    """Return `data`, the content of the file called `name`, with `changes` made. Raises ConfigError."""
    before = parse_yaml(data, name)
    if before.problems:
        raise ConfigError("\n".join(before.problems))
    wanted = {**_file_values(before), **changes}
    for keeps_null in (False, True):  # comments in braces may stand in the way of removing an entry
        text = data.decode("utf-8-sig")
        for key, value in changes.items():
            text = _with_key(text, key, value, keeps_null=keeps_null)
        edited = data[: len(codecs.BOM_UTF8) * data.startswith(codecs.BOM_UTF8)] + text.encode()
        after = parse_yaml(edited, name)
        found = {key: value for key, value in wanted.items() if key in after.values}
        missing = [key for key, value in wanted.items() if value is not None and key not in after.values]
        if not after.problems and not missing and _file_values(after) == found:
            return edited
    return _refuse(changes, name)


def _refuse(changes: Mapping[str, int | str | None], name: str) -> bytes:
    lines = [f"write {key}: {value} into it yourself" for key, value in changes.items() if value is not None]
    removed = [f"remove {key} from it" for key, value in changes.items() if value is None]
    raise ConfigError(f"{name}: not changed, because of its layout; {', '.join([*lines, *removed])}")


def _with_key(text: str, key: str, value: int | str | None, *, keeps_null: bool = False) -> str:
    """Return the text of a file with `value` for `key`; None removes it, or in braces writes null if `keeps_null`."""
    from sideman.config.yaml_events import SettingsParser

    parser = SettingsParser("")
    parser.read(text)
    end, written = "\r\n" if "\r\n" in text else "\n", _scalar_text(value)
    if (place := parser.places.get(key)) is not None:
        if value is None:
            around = next((parser.places[name] for name in _groups_of(key) if name in parser.places), None)
            in_braces = around is not None and around.style == "flow"
            edited = _without_entry(text, place, in_braces=in_braces)
            if not in_braces or not (keeps_null or {*_COMMENT.findall(edited)} - {*_COMMENT.findall(text)}):
                return edited
        space = "" if text[place.start - 1 : place.start].isspace() else " "
        return f"{text[: place.start]}{space}{written}{text[place.end :]}"
    if value is None:
        return text
    for group in _groups_of(key):
        if (place := parser.places.get(group)) is None:
            continue
        entry = f"{key.removeprefix(f'{group}.')}: {written}"
        if place.style == "flow" and group in BINDING_KEYS:
            comma = "" if text[place.end :].lstrip().startswith("}") else ", "
            return f"{text[: place.end]}{entry}{comma}{text[place.end :]}"
        if place.style == "block" or (place.style == "scalar" and not text[place.start : place.end].strip()):
            head = text.find("\n", place.key) + 1 or len(text)
            before = text[:head] if text[:head].endswith("\n") else text[:head] + end
            indent = place.child_column if place.style == "block" else place.column + 2
            return f"{before}{' ' * indent}{entry}{end}{text[head:]}"
    return f"{text.rstrip(end) + end if text.strip(end) else ''}{key}: {written}{end}"


def _without_entry(text: str, place: Place, *, in_braces: bool) -> str:
    """Return the text of a file without the line of the entry at `place`, or in braces without it and its comma."""
    if not in_braces:
        line = text.rfind("\n", 0, place.key) + 1
        return text[:line] + text[text.find("\n", place.end) + 1 or len(text) :]
    before, after = text[: place.key], text[place.end :].lstrip()
    if after.startswith(","):
        return before + after[1:].lstrip()
    if before.rstrip().endswith(","):  # it is the last entry
        before = before.rstrip().removesuffix(",")
    return before + after


def _groups_of(key: str) -> Iterator[str]:
    """Return the names of the groups that `key` can stand in, the nearest one first."""
    while key := key.rpartition(".")[0]:
        yield key


def _scalar_text(value: int | str | None) -> str:
    plain = value is None or isinstance(value, int) or _PLAIN.fullmatch(value) is not None
    return plain_text(value) if plain else json.dumps(value, ensure_ascii=False)


def _file_values(content: YamlContent) -> dict[str, object]:
    """The values of a file without its empty groups."""
    return {name: given.value for name, given in content.values.items() if name not in (*GROUPS, *BINDING_KEYS)}
