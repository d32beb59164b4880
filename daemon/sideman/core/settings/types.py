# SPDX-License-Identifier: Apache-2.0
"""The types of settings: each one says which values are allowed, reads a written value and writes it back.

A *written* value is plain data, as YAML, JSON or a command line can hold it: text, a number, true or false, None, a
list or a mapping. Configuration files, the control socket, journals and the log all use these types.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from sideman.core.targets import Bindings
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import parse_pitch, pitch_name

MAX_QUOTE_LENGTH = 60
"""An error message quotes at most this many characters of a value."""


class PitchRange(Struct, frozen=True):
    """A lowest and a highest pitch: MIDI numbers 0..127, both included."""

    low: int
    high: int


class NumberRange(Struct, frozen=True):
    """From `low` to `high`; without `low` itself if `excludes_low`, only whole numbers if `integers_only`."""

    low: float
    high: float
    integers_only: bool = False
    excludes_low: bool = False


class ChoiceRange(Struct, frozen=True):
    """A few values, in the order in which a controller goes through them."""

    values: tuple[Any, ...]


ControllerRange = NumberRange | ChoiceRange
"""The values that a controller can turn through."""


class SettingType(Struct, frozen=True):
    """The values that a setting may have.

    - `allowed` completes the sentence "allowed is …".
    - `read` turns a written value of any kind into the value that the program uses. It raises ValueError for a value
      that is not allowed; the error has a text only where that says more than `allowed` does.
    - `write` turns a value into the written value that `read` reads as the same value.
    - `controller_range` has the values that a controller can turn through, None if it cannot turn this type.
    - `is_list`: a written value may be a list, such as `[Keystep, Digitakt]`.
    - `is_secret`: nothing ever shows the value, so it is written as None and no error quotes it.
    """

    allowed: str
    read: Callable[[object], Any]
    controller_range: ControllerRange | None = None
    write: Callable[[Any], object] = lambda value: value
    is_list: bool = False
    is_secret: bool = False

    def read_explained(self, value: object) -> Any:  # noqa: ANN401 - a value of any type
        """Read `value`. The text of the ValueError is complete: the reason, if there is one, and what is allowed."""
        try:
            return self.read(value)
        except ValueError as error:
            reason = f"{error}; " if str(error) else ""
            raise ValueError(f"{reason}allowed is {self.allowed}") from None


def integer_type(low: int, high: int) -> SettingType:
    """A whole number from `low` to `high`, both included."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return SettingType(f"a whole number from {low} to {high}", read, NumberRange(low, high, integers_only=True))


def number_type(low: float, high: float, *, excludes_low: bool = False) -> SettingType:
    """A finite number from `low` (with `excludes_low`: from just above it) to `high`."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError  # noqa: TRY004 - all types refuse a value with the same error
        # Compared before the conversion: a huge whole number does not fit into a float.
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


def optional_type(word: str | None, value_type: SettingType, meaning: str = "") -> SettingType:
    """The value None, or else a value of `value_type`, through which a controller turns.

    None is written as `word`, such as `auto`; without a word it is written `null`, and `meaning` says what it means.
    """

    def read(value: object) -> object:
        return None if value == word else value_type.read(value)

    def write(value: object) -> object:
        return word if value is None else value_type.write(value)

    allowed = f"{word or f'null ({meaning})'} or {value_type.allowed}"
    return SettingType(
        allowed, read, value_type.controller_range, write, is_list=value_type.is_list, is_secret=value_type.is_secret
    )


def boolean_type() -> SettingType:
    """True or false, also written `yes`, `no`, `on` and `off`."""
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


def names_type(allowed: str, name_type: SettingType, alone: str, most: int) -> SettingType:
    """One name or a list of them, up to `most`, as a tuple of names; the name `alone` stands alone."""

    def read(value: object) -> tuple[str, ...]:
        names = tuple(name_type.read(name) for name in value) if isinstance(value, list) else (name_type.read(value),)
        if not 1 <= len(names) <= most:
            raise ValueError
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"{quoted(twice)} is there twice")
        if alone in names and len(names) > 1:
            raise ValueError(f"{alone} cannot be together with others")
        return names

    def write(value: tuple[str, ...]) -> object:
        return value[0] if len(value) == 1 else list(value)

    return SettingType(allowed, read, None, write, is_list=True)


def parts_type(*parts: str, turned: tuple[tuple[str, ...], ...]) -> SettingType:
    """Any of `parts`, or several as a list, as a tuple in this order; `off` is none. A controller turns `turned`."""

    def read(value: object) -> tuple[str, ...]:
        given = value if isinstance(value, list | tuple) else () if value in ("off", None, False) else (value,)
        if unknown := next((part for part in given if part not in parts), None):
            raise ValueError(f"{quoted(unknown)} is not one of them" if len(given) > 1 else "")
        return tuple(part for part in parts if part in given)

    def write(value: tuple[str, ...]) -> object:
        return "off" if not value else value[0] if len(value) == 1 else list(value)

    allowed = f"off, {', '.join(parts[:-1])} or {parts[-1]}, or a list of these, such as [{', '.join(parts)}]"
    return SettingType(allowed, read, ChoiceRange(turned), write, is_list=True)


def secret_type(low: int, high: int) -> SettingType:
    """A key of `low` to `high` letters, digits, hyphens and underscores, which is never shown."""
    pattern = re.compile(rf"[A-Za-z0-9_-]{{{low},{high}}}")

    def read(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError
        return value

    allowed = f"a text of {low} to {high} letters, digits, hyphens and underscores, in quotes"
    return SettingType(allowed, read, None, lambda _value: None, is_secret=True)


_PITCH_RANGE = re.compile(r"\s*([A-Ga-g][#b♯♭]*-?\d+|\d+)\s*(?:-|–|\.\.)\s*([A-Ga-g][#b♯♭]*-?\d+|\d+)\s*")


def pitch_range_type() -> SettingType:
    """A range of pitches; its two ends are names (`C3-C6`, middle C is C4) or MIDI numbers (`48-84`)."""

    def read(value: object) -> PitchRange:
        match = _PITCH_RANGE.fullmatch(value) if isinstance(value, str) and len(value) < MAX_QUOTE_LENGTH else None
        if match is None:
            raise ValueError
        try:
            low, high = (parse_pitch(pitch) for pitch in match.groups())
        except ModelsError:
            raise ValueError("MIDI pitches go from C-1 (0) to G9 (127)") from None
        if low > high:
            raise ValueError("its lowest pitch is above its highest")
        return PitchRange(low, high)

    def write(value: PitchRange) -> str:
        return f"{pitch_name(value.low)}-{pitch_name(value.high)}"

    return SettingType("two pitches, low to high, such as C3-C6 or 48-84", read, None, write)


def bindings_type(allowed: str) -> SettingType:
    """Bindings by number. Only an empty group is read here: `sideman.core.settings.bindings` reads each entry."""

    def read(value: object) -> Bindings:
        if value not in (None, {}):
            raise ValueError
        return Bindings()

    def write(value: Bindings) -> dict[str, str]:
        return {str(number): target.text for number, target in value}

    return SettingType(allowed, read, None, write)


# -- written values as text


def plain_text(written: object) -> str:
    """Return a written value as one would type it: `null`, `true`, `0.9`, `C3-C6`, `{64: mode}`."""
    match written:
        case None:
            return "null"
        case bool():
            return str(written).lower()
        case list():
            return "[" + ", ".join(plain_text(item) for item in written) + "]"
        case dict():
            return "{" + ", ".join(f"{name}: {plain_text(value)}" for name, value in written.items()) + "}"
        case _:
            return str(written)


def quoted(value: object, *, inside: bool = False) -> str:
    """Return any value as an error message quotes it: one line, never long. `inside`: it is an item of a list."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of very many digits"
    if isinstance(value, dict | set) or (inside and isinstance(value, list | tuple)):
        return "a list or group"
    if isinstance(value, list | tuple):
        text = f"[{', '.join(quoted(item, inside=True) for item in value[:MAX_QUOTE_LENGTH])}]"
    else:
        text = plain_text(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= MAX_QUOTE_LENGTH else text[: MAX_QUOTE_LENGTH - 1] + "…"


def quoted_name(name: str) -> str:
    """Return a name as an error message gives it: without quotes, but on one line and never long."""
    return quoted(name)[1:].removesuffix(quoted(name)[0])
