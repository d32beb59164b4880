# SPDX-License-Identifier: Apache-2.0
"""Turns the events of PyYAML's parser into flat keys with line numbers. The only module that imports PyYAML."""

from __future__ import annotations

import yaml

from sideman.config.yaml import parse_scalar
from sideman.core.settings.resolve import WrittenValue
from sideman.core.settings.schema import BINDING_KEYS
from sideman.core.settings.types import quoted, quoted_name

MAX_DEPTH = 8
# The parser of libyaml, if PyYAML was built with it, is about ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class SettingsParser:
    """Goes through the events once and builds nothing but the flat values."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._values: dict[str, WrittenValue] = {}
        self.problems: list[str] = []
        self._lines: dict[str, int] = {}  # of every key and group so far

    def read(self) -> dict[str, WrittenValue]:
        """Return the values by dotted key, in order; `problems` then has a line for each problem."""
        try:
            self._loader = _LOADER(self._text)
            self._document()
        except _NestingError as error:
            problem = f"more than {MAX_DEPTH} levels deep; there are groups of keys, and nothing deeper"
            self._problem(error.line, problem)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
            self._problem(mark.line + 1 if mark else 1, f"not YAML: {reason}")
        return self._values

    def _problem(self, line: int, text: str) -> None:
        self.problems.append(f"{self._name}:{line}: {text}")

    def _next(self) -> yaml.Event:
        event: yaml.Event = self._loader.get_event()
        return event

    def _document(self) -> None:
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):
            return  # the file has only comments
        root = self._next()
        if isinstance(root, yaml.MappingStartEvent):
            self._is_plain(root)
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
        """Read the keys of a group to its end, and return their number."""
        count = 0
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            count += 1
            name = self._key(event, numbered=prefix[:-1] in BINDING_KEYS)
            value = self._next()
            if name is None:
                self._skip(value)
            else:
                self._value(prefix + name, value, _line(event), depth)
        return count

    def _key(self, event: yaml.Event, *, numbered: bool) -> str | None:
        """Return the name of a key, or None if it is not valid. Bindings have `numbered` keys: whole numbers."""
        if not isinstance(event, yaml.ScalarEvent):
            self._problem(_line(event), "a key has to be a name such as bpm, not a list, a group or an alias")
            self._skip(event)
            return None
        if not self._is_plain(event):
            return None
        if event.implicit[0] and event.value == "<<":
            self._problem(_line(event), "merge keys (<<) are not read here; write the keys out")
            return None
        name = parse_scalar(event.value) if event.implicit[0] else event.value
        if numbered and isinstance(name, int) and not isinstance(name, bool):
            return str(name)
        if not isinstance(name, str):
            self._problem(_line(event), f"{event.value or 'nothing'} as a key; a key has to be a name such as bpm")
            return None
        return name

    def _value(self, name: str, event: yaml.Event, line: int, depth: int) -> None:
        if name in self._lines:
            self._problem(line, f"{quoted_name(name)}: given twice; line {self._lines[name]} has it already")
        self._lines.setdefault(name, line)
        if not self._is_plain(event):
            self._skip(event)
        elif isinstance(event, yaml.ScalarEvent):
            self._add_value(name, parse_scalar(event.value) if event.implicit[0] else event.value, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._skip(event)
            self._add_value(name, [], line)
        elif depth >= MAX_DEPTH:
            raise _NestingError(_line(event))
        elif not self._mapping(f"{name}.", depth + 1):
            self._add_value(name, {}, line)

    def _add_value(self, name: str, value: object, line: int) -> None:
        self._values.setdefault(name, WrittenValue(value, f"{self._name}:{line}"))

    def _is_plain(self, event: yaml.Event) -> bool:
        """Whether `event` has no alias, anchor or tag; each of them is a problem."""
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:  # an alias too names its anchor
            self._problem(_line(event), "anchors (&) and aliases (*) are not read here; write the values out")
            return False
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            self._problem(_line(event), f"tags such as {quoted(event.tag)} are not read here; write the plain value")
            return False
        return True

    def _skip(self, event: yaml.Event) -> None:
        """Skip the whole value that begins with `event`."""
        depth = 0
        while True:
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth == 0:
                return
            if depth > MAX_DEPTH:
                raise _NestingError(_line(event))
            event = self._next()


class _NestingError(Exception):
    def __init__(self, line: int) -> None:
        self.line = line


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
