# SPDX-License-Identifier: Apache-2.0
"""How a setting is defined: a field of a group, with its default, its type and its text.

A field of a struct has no room for the type and the text. They are kept beside the group, in the order of its fields.
"""

from __future__ import annotations

from typing import Any, TypeVar

from sideman.core.settings.types import SettingType, names_type, text_type

PORT = text_type("auto, none, or a port's name or part of it", max_length=200)
PORTS = names_type("auto, none, or a port's name or part of it, or a list of up to 16 such names", PORT, "none", 16)

_Group = TypeVar("_Group")
_definitions: list[tuple[SettingType, str]] = []  # of the group whose fields are being read
_groups: dict[type, tuple[tuple[SettingType, str], ...]] = {}


def setting(default: Any, value_type: SettingType, doc: str) -> Any:  # noqa: ANN401 - a field of any type
    """Define a setting: a field of a `group`."""
    _definitions.append((value_type, doc))
    return default


def group(kind: type[_Group]) -> type[_Group]:
    """Make the struct `kind` a group of settings; all its fields are made by `setting`."""
    _groups[kind] = tuple(_definitions)
    _definitions.clear()
    return kind


def definitions_of(kind: type) -> tuple[tuple[SettingType, str], ...]:
    """Return the type and the text of each setting of the group `kind`, in the order of its fields."""
    return _groups[kind]
