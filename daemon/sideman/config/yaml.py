# SPDX-License-Identifier: Apache-2.0
"""Reads configuration files: a small subset of YAML, with the line number of every key.

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
from sideman.files import read_file

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

    parser = SettingsParser(text, name)
    return YamlContent(parser.read(), parser.problems)


def parse_scalar(text: str) -> object:
    """Return the value of a plain scalar of YAML 1.2, in a file or on the command line: else the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
