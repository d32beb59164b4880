# SPDX-License-Identifier: Apache-2.0
"""What a setting may be: each rule says it in words and turns the value as written into the value the program uses."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sideman_models.errors import ModelsError
from sideman_models.music.harmony import parse_pitch

MAX_QUOTE_LENGTH = 60
"""A value is quoted in a message up to so many characters."""


@dataclass(frozen=True, slots=True)
class NumberRange:
    """From `low` to `high`, `low` itself not if it is `excludes_low`; only whole ones if `integer_type`."""

    low: float
    high: float
    integers_only: bool = False
    excludes_low: bool = False


@dataclass(frozen=True, slots=True)
class ChoiceRange:
    """A few values to choose among, in their order."""

    values: tuple[Any, ...]


ControllerRange = NumberRange | ChoiceRange
"""What a knob's way can be laid over."""


@dataclass(frozen=True, slots=True)
class SettingType:
    """`allowed` completes the sentence "allowed is …"; `read` raises ValueError, its text empty or more to the point.

    `read` accepts anything YAML or a command line can give: text, whole numbers, numbers, booleans, None, lists.
    `controller_range` is what of it a knob can turn through, None where there is nothing of the kind.
    """

    allowed: str
    read: Callable[[object], Any]
    controller_range: ControllerRange | None = None


@dataclass(frozen=True, slots=True)
class PitchRange:
    """The pitches a voice keeps to: MIDI numbers 0..127, both included."""

    low: int
    high: int

    def __contains__(self, pitch: int) -> bool:
        """Whether the voice may play `pitch`."""
        return self.low <= pitch <= self.high


def quoted(value: object) -> str:
    """`value` as a message quotes it: one line, never long, whatever it is."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of very many digits"
    if isinstance(value, dict | list | tuple | set):
        return "a list or group"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= MAX_QUOTE_LENGTH else text[: MAX_QUOTE_LENGTH - 1] + "…"


def quoted_name(name: str) -> str:
    """A name as a message gives it: without quotes, yet one line and never long."""
    return quoted(name)[1:].removesuffix(quoted(name)[0])


def integer_type(low: int, high: int) -> SettingType:
    """A whole number from `low` to `high`, both included."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return SettingType(f"a whole number from {low} to {high}", read, NumberRange(low, high, integers_only=True))


def number_type(low: float, high: float, *, excludes_low: bool = False) -> SettingType:
    """A finite number from `low` (or, `excludes_low`, from just above it) to `high`."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError  # noqa: TRY004 - one kind of refusal for every rule
        # Compared before it is made a float: a huge whole number would not fit one.
        if not low <= value <= high or not math.isfinite(value) or (excludes_low and value == low):
            raise ValueError
        return float(value)

    allowed = f"a number above {low:g}, up to {high:g}" if excludes_low else f"a number from {low:g} to {high:g}"
    return SettingType(allowed, read, NumberRange(low, high, excludes_low=excludes_low))


def choice_type(*choices: str) -> SettingType:
    """One of a few words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError
        return value

    return SettingType(f"{', '.join(choices[:-1])} or {choices[-1]}", read, ChoiceRange(choices))


def literal_type(name: str, value: object) -> SettingType:
    """A word that stands for a value: `auto` for None."""

    def read(given: object) -> object:
        if given != name:
            raise ValueError
        return value

    return SettingType(name, read)


def null_type(meaning: str) -> SettingType:
    """Nothing at all, written `null`."""

    def read(value: object) -> None:
        if value is not None:
            raise ValueError

    return SettingType(f"null ({meaning})", read)


def either_type(first: SettingType, second: SettingType) -> SettingType:
    """What the first rule allows, else what the second does, which is also what a knob turns through."""

    def read(value: object) -> object:
        try:
            return first.read(value)
        except ValueError:
            return second.read(value)

    return SettingType(f"{first.allowed} or {second.allowed}", read, second.controller_range)


def boolean_type() -> SettingType:
    """True or false; `yes`, `no`, `on` and `off` say the same."""
    meanings = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

    def read(value: object) -> bool:
        known = value if isinstance(value, bool) else meanings.get(value.lower()) if isinstance(value, str) else None
        if known is None:
            raise ValueError
        return known

    return SettingType("true or false", read, ChoiceRange((False, True)))


def text_type(allowed: str, *, max_length: int = 4096, forbidden: str = "", multiline: bool = False) -> SettingType:
    """Printable text, not blank, without the `forbidden` characters; several lines only if `multiline`."""

    def read(value: object) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError("put quotes around it: it is text that looks like a number")  # noqa: TRY004 - as above
        if not isinstance(value, str) or not value.strip() or len(value) > max_length:
            raise ValueError
        plain = value.replace("\n", " ") if multiline else value
        if not plain.isprintable() or any(character in value for character in forbidden):
            raise ValueError
        return value.strip()

    return SettingType(allowed, read)


_PITCH_RANGE = re.compile(r"\s*([A-Ga-g][#b♯♭]*-?\d+|\d+)\s*(?:-|–|\.\.)\s*([A-Ga-g][#b♯♭]*-?\d+|\d+)\s*")


def pitch_range_type() -> SettingType:
    """A range of pitches, its two ends as names (`C3-C6`, middle C is C4) or MIDI numbers (`48-84`)."""

    def read(value: object) -> PitchRange:
        match = _PITCH_RANGE.fullmatch(value) if isinstance(value, str) and len(value) < MAX_QUOTE_LENGTH else None
        if match is None:
            raise ValueError
        try:
            low, high = (parse_pitch(each) for each in match.groups())
        except ModelsError:
            raise ValueError("MIDI pitches go from C-1 (0) to G9 (127)") from None
        if low > high:
            raise ValueError("its lowest pitch is above its highest")
        return PitchRange(low, high)

    return SettingType("two pitches, low to high, such as C3-C6 or 48-84", read)
