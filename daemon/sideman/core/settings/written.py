# SPDX-License-Identifier: Apache-2.0
"""Settings as people write them, and as JSON can carry them: what a key's rule reads back as the same value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sideman.core.settings.bindings import Bindings
from sideman.core.settings.schema import KEYS
from sideman.core.settings.types import PitchRange
from sideman_models.music.harmony import pitch_name

_MAX_LENGTH = 100
_WORDS_FOR_NONE = ("auto", "all")


def write_value(name: str, value: object) -> object:
    """The value of key `name` as it is written: text, a number, true or false, None, or lists and groups of these."""
    if value is None:
        return next((word for word in _WORDS_FOR_NONE if _means_none(name, word)), None)
    return _plain_value(value)


def settings_line(values: Iterable[tuple[str, object]]) -> str:
    """Settings in one line of a log: `play.gate is 0.8, play.range is E3-C6`."""
    texts = ((name, write_value(name, value)) for name, value in values)
    plain = ((name, "null" if text is None else " ".join(str(text).split())) for name, text in texts)
    return ", ".join(
        f"{name} is {text if len(text) <= _MAX_LENGTH else text[:_MAX_LENGTH] + '…'}" for name, text in plain
    )


def _means_none(name: str, word: str) -> bool:
    try:
        return KEYS[name].value_type.read(word) is None
    except ValueError:
        return False


def _plain_value(value: object) -> object:
    match value:
        case bool() | int() | float() | str() | None:
            return value
        case PitchRange(low, high):
            return f"{pitch_name(low)}-{pitch_name(high)}"
        case Bindings():
            return {str(number): target.text for number, target in value}
        case Mapping():
            return {str(key): _plain_value(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain_value(each) for each in value]
        case _:
            return str(value)
