# SPDX-License-Identifier: Apache-2.0
"""Changes the value of one key in a configuration file. Everything else stays as it is, comments too."""

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
    """Set `key`, such as play.offset_ms, to `value` in the file at `path`, which is created if it does not exist.

    Raises ConfigError if the file has mistakes or an unusual layout; NotPermitted, CannotCreate or DiskError if it
    cannot be read or written.
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
    lines = data.decode("utf-8").split(end)
    if given := before.values.get(key):
        number = int(given.source.rpartition(":")[2]) - 1
        lines[number] = re.sub(r"^([^#]*?:)(?:\s[^#]*?)?(\s+#.*|\s*)$", rf"\g<1> {value}\g<2>", lines[number])
    else:
        lines = _with_line(lines, key, value)
    edited = end.join(lines).encode()
    after = parse_yaml(edited, name)
    if after.problems or _file_values(after.values) != {**_file_values(before.values), key: value}:
        raise ConfigError(f"{name}: not changed, because of its layout; write {key}: {value} into it yourself")
    return edited


def _with_line(lines: list[str], key: str, value: int) -> list[str]:
    group, _, last = key.rpartition(".")
    for number, line in enumerate(lines):
        if re.fullmatch(rf"{group}:\s*(#.*)?", line):
            below = lines[number + 1 :]
            first = next((line for line in below if line.strip() and not line.lstrip().startswith("#")), "")
            indent = first[: len(first) - len(first.lstrip())] or "  "
            return [*lines[: number + 1], f"{indent}{last}: {value}", *below]
    while lines and not lines[-1]:
        lines = lines[:-1]
    return [*lines, f"{key}: {value}", ""]


def _file_values(values: Mapping[str, WrittenValue]) -> dict[str, object]:
    """Return the values of a file without its empty groups."""
    return {name: given.value for name, given in values.items() if name not in GROUPS}
