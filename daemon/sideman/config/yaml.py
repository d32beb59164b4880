# SPDX-License-Identifier: Apache-2.0
"""Reads configuration files: a small subset of YAML, with the line number of every key. Changes single values in them.

A file maps keys to values or to groups of keys. Everything that settings do not need is refused, with its line number:
a list or a scalar instead of the mapping, duplicate keys, keys that are not text, anchors, aliases and merge keys (with
which a few lines can expand to gigabytes), tags, several documents, deep nesting. Scalars follow YAML 1.2: `off` and
`no` are words, `010` is ten and `4/4` is text.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from msgspec import Struct, field

from sideman.core.errors import ConfigError
from sideman.core.settings.resolve import WrittenValue
from sideman.core.settings.schema import GROUPS
from sideman.files import explain_write_errors, read_file, write_file

MAX_CONFIG_BYTES = 1 << 20
"""The default file, which has every key with its description, has about 12,500 bytes."""

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
_LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""The line ends by which PyYAML counts lines."""
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
    return parse_yaml(read_file(path, MAX_CONFIG_BYTES, ConfigError), str(path))


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


def set_key(path: Path, key: str, value: int) -> None:
    """Set `key`, such as play.offset_ms, to `value` in the file at `path`, which is created if it does not exist.

    Everything else stays as it is, comments too. Raises ConfigError if the file has mistakes or an unusual layout;
    NotPermitted, CannotCreate or DiskError if it cannot be read or written.
    """
    before = read_file(path, MAX_CONFIG_BYTES, ConfigError) if path.exists() else b""
    after = edit_yaml(before, key, value, str(path))
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, after)


def edit_yaml(data: bytes, key: str, value: int, name: str) -> bytes:
    """Return `data`, the content of the file called `name`, with `value` for `key`. Raises ConfigError."""
    before = parse_yaml(data, name)
    if before.problems:
        raise ConfigError("\n".join(before.problems))
    end = "\r\n" if b"\r\n" in data else "\n"
    text = data.decode("utf-8")
    lines = _LINE_END.split(text)
    is_mixed = end.join(lines) != text  # it has more than one kind of line end
    group, _, last = key.rpartition(".")
    heads = [number for number, line in enumerate(lines, 1) if re.fullmatch(rf"{group}:\s*(#.*)?", line)]
    if given := before.values.get(key):
        number = int(given.source.rpartition(":")[2]) - 1
        lines[number] = re.sub(r"^([^#]*?:)(?:\s[^#]*?)?(\s+#.*|\s*)$", rf"\g<1> {value}\g<2>", lines[number])
    elif heads:
        indents = (found[1] for line in lines[heads[0] :] if (found := re.match(r"(\s*)[^\s#]", line)))
        lines.insert(heads[0], f"{next(indents, '') or '  '}{last}: {value}")
    else:
        while lines and not lines[-1]:
            lines.pop()
        lines += [f"{key}: {value}", ""]
    edited = end.join(lines).encode()
    after = parse_yaml(edited, name)
    if is_mixed or after.problems or _file_values(after) != {**_file_values(before), key: value}:
        raise ConfigError(f"{name}: not changed, because of its layout; write {key}: {value} into it yourself")
    return edited


def _file_values(content: YamlContent) -> dict[str, object]:
    """The values of a file without its empty groups."""
    return {name: given.value for name, given in content.values.items() if name not in GROUPS}
