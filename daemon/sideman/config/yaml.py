# SPDX-License-Identifier: Apache-2.0
"""Configuration files: the little of YAML that they need, and the line of every key.

A file is a mapping of keys to groups of keys or to values. What a musician's settings have no use for is refused, each
thing with its line: lists and scalars in place of the mapping, duplicate keys, keys that are not text, anchors,
aliases and merge keys (with which a few lines can stand for gigabytes), tags, several documents, deep nesting.
Scalars are read as YAML 1.2 reads them: `off` and `no` are words, `010` is ten and `4/4` is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sideman.core.errors import ConfigError
from sideman.core.settings.resolve import WrittenValue
from sideman.files import read_file

MAX_CONFIG_BYTES = 1 << 20
"""Bytes; a configuration of every key, commented, has about ten thousand."""

_BINARY = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class YamlContent:
    """What a file says: its values by dotted key, in order, and a line for each thing that is wrong with it."""

    values: dict[str, WrittenValue] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_yaml(path: Path) -> YamlContent:
    """The settings in the file at `path`.

    Raises NoSuchInput, NotPermitted or ConfigError when there is nothing to read; what is wrong *in* the file comes
    back as problems, to be told together with those of its values.
    """
    return parse_yaml(read_file(path, MAX_CONFIG_BYTES, ConfigError), str(path))


def parse_yaml(data: bytes, name: str) -> YamlContent:
    """The settings in `data`, the contents of the file called `name`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return YamlContent(problems=[f"{name}:{line}: not text (UTF-8); is it the right file?"])
    problems = list(_find_bad_lines(text, name))
    if problems:
        return YamlContent(problems=problems)
    from sideman.config.yaml_events import SettingsParser  # PyYAML: not for those who have no file

    parser = SettingsParser(text, name)
    return YamlContent(parser.read(), parser.problems)


def _find_bad_lines(text: str, name: str) -> Iterator[str]:
    """Tabs where YAML wants spaces, and characters that no text file holds."""
    for number, line in enumerate(text.split("\n"), 1):
        if _BINARY.search(line):
            yield f"{name}:{number}: not a text file; is it the right one?"
            return
        if "\t" in line[: len(line) - len(line.lstrip())]:
            yield f"{name}:{number}: a tab at the start of the line; indent with spaces"
