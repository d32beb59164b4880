# SPDX-License-Identifier: Apache-2.0
"""The value of a setting as JSON: how journals and saved states hold it."""

from __future__ import annotations

import msgspec

from sideman.core.settings.schema import KEYS, write_value
from sideman.core.settings.types import PitchRange, quoted
from sideman.core.targets import Bindings, SettingTarget


def setting_to_json(name: str, value: object) -> object:
    """`value` as people write it for the key `name`, but bindings as a tagged array and pitches as numbers."""
    match value:
        case Bindings():
            written = msgspec.json.decode(msgspec.json.encode(value))
            for _, target in written[1]:
                if target[-1] == SettingTarget.__struct_defaults__[-1]:  # so most bindings look as they always did
                    target.pop()
            return written
        case PitchRange(low, high):
            return f"{low}-{high}"
        case _:
            return write_value(name, value)


def setting_from_json(name: str, value: object) -> tuple[str, object]:
    """The key `name` with the value that `setting_to_json` wrote. Raises ValueError with what is allowed."""
    key = KEYS.get(name)
    if key is None:
        raise ValueError(f"{quoted(name)}: no such key")
    try:
        if isinstance(value, list) and isinstance(key.default, Bindings):
            return name, msgspec.convert(value, Bindings)
        return name, key.value_type.read(value)
    except ValueError:
        raise ValueError(f"{name}: {quoted(value)}: allowed is {key.value_type.allowed}") from None
