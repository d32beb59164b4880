# SPDX-License-Identifier: Apache-2.0
"""Configuration files: the little of YAML that they need, and the line of every key.

A file is a mapping of keys to groups of keys or to values. What a musician's settings have no use for is refused, each
thing with its line: lists and scalars in place of the mapping, duplicate keys, keys that are not text, anchors,
aliases and merge keys (with which a few lines can stand for gigabytes), tags, several documents, deep nesting.
Scalars are read as YAML 1.2 reads them: `off` and `no` are words, `010` is ten and `4/4` is text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from sideman.core.errors import ConfigError, NoSuchInput, NotPermitted, SidemanError
from sideman.core.rules import plain, shown
from sideman.core.settings import Given

LARGEST = 1 << 20
"""Bytes; a configuration of every key, commented, has about ten thousand."""
DEEPEST = 8

# libyaml's parser where PyYAML was built with it: about ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_BINARY = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
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


@dataclass(frozen=True, slots=True)
class Read:
    """What a file says: its values by dotted key, in order, and a line for each thing that is wrong with it."""

    values: dict[str, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_yaml(path: Path) -> Read:
    """The settings in the file at `path`.

    Raises NoSuchInput, NotPermitted or ConfigError when there is nothing to read; what is wrong *in* the file comes
    back as problems, to be told together with those of its values.
    """
    return parse_yaml(read_file(path), str(path))


def read_file(path: Path) -> bytes:
    """The bytes of a small text file that has to be there, readable and not huge."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise refusal(path, error) from None
    if len(data) > LARGEST:
        raise ConfigError(f"{path}: larger than {LARGEST >> 20} MiB; is it the right file?")
    return data


def refusal(path: Path, error: OSError | ValueError) -> SidemanError:
    """What `error` means for somebody who asked for the file at `path`."""
    match error:
        case FileNotFoundError() | NotADirectoryError() | ValueError():
            return NoSuchInput(f"{path}: no such file")
        case IsADirectoryError():
            return NoSuchInput(f"{path}: a folder, not a file")
        case PermissionError():
            return NotPermitted(f"{path}: not permitted to read it")
        case _:
            return NoSuchInput(f"{path}: {error.strerror or error}")


def parse_yaml(data: bytes, name: str) -> Read:
    """The settings in `data`, the contents of the file called `name`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Read(problems=[f"{name}:{line}: not text (UTF-8); is it the right file?"])
    problems = list(_odd_lines(text, name))
    return Read(problems=problems) if problems else _Parser(text, name).read()


def scalar(text: str) -> object:
    """The value that a bare word stands for: None, a boolean, a number, else the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _odd_lines(text: str, name: str) -> Iterator[str]:
    """Tabs where YAML wants spaces, and characters that no text file holds."""
    for number, line in enumerate(text.split("\n"), 1):
        if _BINARY.search(line):
            yield f"{name}:{number}: not a text file; is it the right one?"
            return
        if "\t" in line[: len(line) - len(line.lstrip())]:
            yield f"{name}:{number}: a tab at the start of the line; indent with spaces"


class _Parser:
    """Goes through the parser's events once. Nothing is ever built from them but the flat values."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._read = Read()
        self._lines: dict[str, int] = {}  # of every key and group met

    def read(self) -> Read:
        try:
            self._loader = _LOADER(self._text)
            self._document()
        except _TooDeepError as error:
            self._problem(error.line, f"more than {DEEPEST} levels deep; there are groups of keys, and nothing deeper")
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
            self._problem(mark.line + 1 if mark else 1, f"not YAML: {reason}")
        return self._read

    def _problem(self, line: int, text: str) -> None:
        self._read.problems.append(f"{self._name}:{line}: {text}")

    def _next(self) -> yaml.Event:
        event: yaml.Event = self._loader.get_event()
        return event

    def _document(self) -> None:
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):
            return  # nothing but comments
        root = self._next()
        if isinstance(root, yaml.MappingStartEvent):
            self._plain(root)
            self._mapping("", 1)
        elif not (isinstance(root, yaml.ScalarEvent) and not root.value):
            what = "a list" if isinstance(root, yaml.SequenceStartEvent) else "a single value"
            self._problem(_line(root), f"{what}, where keys and values belong, such as `tempo: {{bpm: 120}}`")
            return
        self._next()  # the end of the document
        after = self._next()
        if isinstance(after, yaml.DocumentStartEvent):
            self._problem(_line(after), "a second document begins here; put everything into one")

    def _mapping(self, prefix: str, depth: int) -> int:
        """The keys of a group, to its end; how many there were."""
        count = 0
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            count += 1
            name = self._key(event)
            value = self._next()
            if name is None:
                self._skip(value)
            else:
                self._value(prefix + name, value, _line(event), depth)
        return count

    def _key(self, event: yaml.Event) -> str | None:
        """The name in `event`, or None if it is none."""
        if not isinstance(event, yaml.ScalarEvent):
            self._problem(_line(event), "a key has to be a name such as bpm, not a list, a group or an alias")
            self._skip(event)
            return None
        if not self._plain(event):
            return None
        if event.implicit[0] and event.value == "<<":
            self._problem(_line(event), "merge keys (<<) are not read here; write the keys out")
            return None
        if event.implicit[0] and not isinstance(scalar(event.value), str):
            self._problem(_line(event), f"{event.value or 'nothing'} as a key; a key has to be a name such as bpm")
            return None
        return str(event.value)

    def _value(self, name: str, event: yaml.Event, line: int, depth: int) -> None:
        if name in self._lines:
            self._problem(line, f"{plain(name)}: given twice; line {self._lines[name]} has it already")
        self._lines.setdefault(name, line)
        if not self._plain(event):
            self._skip(event)
        elif isinstance(event, yaml.ScalarEvent):
            self._give(name, scalar(event.value) if event.implicit[0] else event.value, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._skip(event)
            self._give(name, [], line)
        elif depth >= DEEPEST:
            raise _TooDeepError(_line(event))
        elif not self._mapping(f"{name}.", depth + 1):
            self._give(name, {}, line)

    def _give(self, name: str, value: object, line: int) -> None:
        self._read.values.setdefault(name, Given(value, f"{self._name}:{line}"))

    def _plain(self, event: yaml.Event) -> bool:
        """Whether `event` is plain: no alias, anchor or tag, of which each is a problem."""
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:  # an alias too names its anchor
            self._problem(_line(event), "anchors (&) and aliases (*) are not read here; write the values out")
            return False
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            self._problem(_line(event), f"tags such as {shown(event.tag)} are not read here; write the plain value")
            return False
        return True

    def _skip(self, event: yaml.Event) -> None:
        """Pass over the whole value that begins with `event`."""
        depth = 0
        while True:
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth == 0:
                return
            if depth > DEEPEST:
                raise _TooDeepError(_line(event))
            event = self._next()


class _TooDeepError(Exception):
    def __init__(self, line: int) -> None:
        self.line = line


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
