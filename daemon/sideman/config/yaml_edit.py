# SPDX-License-Identifier: Apache-2.0
"""One key of a configuration file given another value; all else, comments too, stays as it was written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sideman.config.yaml import MAX_CONFIG_BYTES, parse_yaml
from sideman.core.errors import ConfigError
from sideman.core.settings.resolve import WrittenValue
from sideman.core.settings.schema import GROUPS
from sideman.files import explain_write_errors, read_file, write_file


def set_key(path: Path, key: str, value: int) -> None:
    """Let the file at `path` say that `key`, such as play.offset_ms, is `value`; made if it is not there.

    Raises ConfigError where the file is broken, or laid out so that this is better done by hand; NotPermitted,
    CannotCreate or DiskError where it cannot be read or written.
    """
    before = read_file(path, MAX_CONFIG_BYTES, ConfigError) if path.exists() else b""
    after = edit_yaml(before, key, value, str(path))
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, after)


def edit_yaml(data: bytes, key: str, value: int, name: str) -> bytes:
    """`data`, the contents of the file called `name`, with `value` for `key`. Raises ConfigError."""
    read = parse_yaml(data, name)
    if read.problems:
        raise ConfigError("\n".join(read.problems))
    end = "\r\n" if b"\r\n" in data else "\n"
    lines = data.decode("utf-8").split(end)
    given = read.values.get(key)
    after = end.join(_replace_line(lines, given, value) if given else _add_line(lines, key, value)).encode()
    fresh = parse_yaml(after, name)
    if fresh.problems or _file_values(fresh.values) != {**_file_values(read.values), key: value}:
        raise ConfigError(f"{name}: not changed, as it is laid out in a way of its own; write {key}: {value} into it")
    return after


def _replace_line(lines: list[str], given: WrittenValue, value: int) -> list[str]:
    number = int(given.source.rpartition(":")[2]) - 1
    line = re.sub(r"^([^#]*?:)(?:\s[^#]*?)?(\s+#.*|\s*)$", rf"\g<1> {value}\g<2>", lines[number])
    return [*lines[:number], line, *lines[number + 1 :]]


def _add_line(lines: list[str], key: str, value: int) -> list[str]:
    group, _, last = key.rpartition(".")
    for number, line in enumerate(lines):
        if re.fullmatch(rf"{group}:\s*(#.*)?", line):
            below = lines[number + 1 :]
            return [*lines[: number + 1], f"{_indent_of(below)}{last}: {value}", *below]
    while lines and not lines[-1]:
        lines = lines[:-1]
    return [*lines, f"{key}: {value}", ""]


def _indent_of(below: list[str]) -> str:
    """That of the first key in a group, by the lines `below` its name."""
    first = next((line for line in below if line.strip() and not line.lstrip().startswith("#")), "")
    return first[: len(first) - len(first.lstrip())] or "  "


def _file_values(values: Mapping[str, WrittenValue]) -> dict[str, object]:
    """What the file says; a group with nothing in it says nothing."""
    return {name: given.value for name, given in values.items() if name not in GROUPS}
