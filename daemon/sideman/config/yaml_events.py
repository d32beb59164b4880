# SPDX-License-Identifier: Apache-2.0
"""Turns the events of PyYAML's parser into flat keys with line numbers. The only module that imports PyYAML."""

from __future__ import annotations

import yaml
from msgspec import Struct

from sideman.config.yaml import YamlContent, parse_scalar
from sideman.core.settings.resolve import WrittenValue
from sideman.core.settings.schema import BINDING_KEYS
from sideman.core.settings.types import quoted, quoted_name
from sideman_models.limits import SETTINGS

MAX_DEPTH = 8
# The parser of libyaml, if PyYAML was built with it, is about ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Place(Struct, frozen=True):
    """Where a key and its value stand in the text: indices of characters, for the key its column as well.

    `style` says how the value is written: as a "scalar", a "flow" group in braces or an indented "block".
    `child_column` is the column of the first key of a block.
    """

    key: int
    column: int
    start: int
    end: int
    style: str
    child_column: int = 0


class SettingsParser:
    """Goes through the events once and builds nothing but the flat values, and the `places` of all keys."""

    def __init__(self, name: str) -> None:
        self.places: dict[str, Place] = {}
        self._name = name
        self._content = YamlContent()
        self._lines: dict[str, int] = {}  # of every key and group so far
        self._depth = 0  # how many groups and lists are open
        self._events = 0

    def read(self, text: str) -> YamlContent:
        """Return the values in `text` by dotted key, in order, and a line for each problem."""
        try:
            self._loader = _LOADER(text)
            self._next()  # the start of the stream
            if isinstance(self._next(), yaml.StreamEndEvent):
                return self._content  # the file has only comments
            root = self._next()
            if isinstance(root, yaml.MappingStartEvent):
                self._is_plain(root)
                self._mapping("")
            elif not (isinstance(root, yaml.ScalarEvent) and not root.value):
                what = "a list" if isinstance(root, yaml.SequenceStartEvent) else "a single value"
                self._problem(root, f"{what}, where keys and values belong, such as `tempo: {{bpm: 120}}`")
                return self._content
            self._next()  # the end of the document
            after = self._next()
            if isinstance(after, yaml.DocumentStartEvent):
                self._problem(after, "a second document begins here; put everything into one")
        except _TooMuchError as error:
            self._problem(error.event, str(error))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
            self._content.problems.append(f"{self._name}:{mark.line + 1 if mark else 1}: not YAML: {reason}")
        return self._content

    def _problem(self, event: yaml.Event, text: str) -> None:
        self._content.problems.append(f"{self._name}:{_line(event)}: {text}")

    def _next(self) -> yaml.Event:
        event: yaml.Event = self._loader.get_event()
        self._depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if self._depth > MAX_DEPTH:
            problem = f"more than {MAX_DEPTH} levels deep; there are groups of keys, and nothing deeper"
            raise _TooMuchError(event, problem)
        self._events += 1
        if self._events > 4 * SETTINGS.count:  # a key and its value, or the beginning and the end of a group
            raise _TooMuchError(event, f"more than {SETTINGS.count} {SETTINGS.items}; is it the right file?")
        return event

    def _skip(self, event: yaml.Event) -> None:
        """Skip the whole value that begins with `event`."""
        outside = self._depth - isinstance(event, yaml.CollectionStartEvent)
        while self._depth > outside:
            self._next()

    def _mapping(self, prefix: str) -> int:
        """Read the keys of a group to its end, and return their number."""
        count = 0
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            count += 1
            name = self._key(event, numbered=prefix[:-1] in BINDING_KEYS)
            value = self._next()
            if name is None:
                self._skip(value)
            else:
                self._value(prefix + name, event, value)
        return count

    def _key(self, event: yaml.Event, *, numbered: bool) -> str | None:
        """Return the name of a key, or None if it is not valid. Bindings have `numbered` keys: whole numbers."""
        if not isinstance(event, yaml.ScalarEvent):
            self._problem(event, "a key has to be a name such as bpm, not a list, a group or an alias")
            self._skip(event)
            return None
        if not self._is_plain(event):
            return None
        if event.implicit[0] and event.value == "<<":
            self._problem(event, "merge keys (<<) are not read here; write the keys out")
            return None
        name = parse_scalar(event.value) if event.implicit[0] else event.value
        if isinstance(name, str):
            return name
        if numbered and isinstance(name, int) and not isinstance(name, bool):
            return str(name)
        self._problem(event, f"{event.value or 'nothing'} as a key; a key has to be a name such as bpm")
        return None

    def _value(self, name: str, key: yaml.Event, event: yaml.Event) -> None:
        if name in self._lines:
            self._problem(key, f"{quoted_name(name)}: given twice; line {self._lines[name]} has it already")
        self._lines.setdefault(name, _line(key))
        if not self._is_plain(event):
            self._skip(event)
            return
        value: object
        self._note_place(name, key, event)
        match event:
            case yaml.ScalarEvent():
                value = parse_scalar(event.value) if event.implicit[0] else event.value
            case yaml.SequenceStartEvent():
                value = self._items()
            case _:
                if self._mapping(f"{name}."):
                    return
                value = {}
        self._content.values.setdefault(name, WrittenValue(value, f"{self._name}:{_line(key)}"))

    def _items(self) -> list[object]:
        """Read the items of a list to its end: single values."""
        items: list[object] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._skip(event)
                self._problem(event, "a list has single values such as names, no lists or groups in it")
            elif self._is_plain(event):
                items.append(parse_scalar(event.value) if event.implicit[0] else event.value)
        return items

    def _note_place(self, name: str, key: yaml.Event, event: yaml.Event) -> None:
        style = "scalar"
        if isinstance(event, yaml.CollectionStartEvent):
            style = "flow" if event.flow_style else "block"
        at, start, end = key.start_mark, event.start_mark, event.end_mark
        if at is not None and start is not None and end is not None:
            self.places.setdefault(name, Place(at.index, at.column, start.index, end.index, style, start.column))

    def _is_plain(self, event: yaml.Event) -> bool:
        """Whether `event` has no alias, anchor or tag; each of them is a problem."""
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:  # an alias too names its anchor
            self._problem(event, "anchors (&) and aliases (*) are not read here; write the values out")
            return False
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            self._problem(event, f"tags such as {quoted(event.tag)} are not read here; write the plain value")
            return False
        return True


class _TooMuchError(Exception):
    def __init__(self, event: yaml.Event, problem: str) -> None:
        super().__init__(problem)
        self.event = event


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
