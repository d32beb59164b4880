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

LONGEST = 60
"""A value is quoted in a message up to so many characters."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """From `low` to `high`, `low` itself not if it is `above_low`; only whole ones if `whole`."""

    low: float
    high: float
    whole: bool = False
    above_low: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """A few values to choose among, in their order."""

    values: tuple[Any, ...]


Span = Numbers | Choices
"""What a knob's way can be laid over."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`allowed` completes the sentence "allowed is …"; `read` raises ValueError, its text empty or more to the point.

    `read` accepts anything YAML or a command line can give: text, whole numbers, numbers, booleans, None, lists.
    `span` is what of it a knob can turn through, None where there is nothing of the kind.
    """

    allowed: str
    read: Callable[[object], Any]
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """The pitches a voice keeps to: MIDI numbers 0..127, both included."""

    low: int
    high: int

    def __contains__(self, pitch: int) -> bool:
        """Whether the voice may play `pitch`."""
        return self.low <= pitch <= self.high


def shown(value: object) -> str:
    """`value` as a message quotes it: one line, never long, whatever it is."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of very many digits"
    if isinstance(value, dict | list | tuple | set):
        return "a list or group"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def plain(name: str) -> str:
    """A name as a message gives it: without quotes, yet one line and never long."""
    return shown(name)[1:].removesuffix(shown(name)[0])


def whole(low: int, high: int) -> Rule:
    """A whole number from `low` to `high`, both included."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return Rule(f"a whole number from {low} to {high}", read, Numbers(low, high, whole=True))


def number(low: float, high: float, *, above_low: bool = False) -> Rule:
    """A finite number from `low` (or, `above_low`, from just above it) to `high`."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError  # noqa: TRY004 - one kind of refusal for every rule
        # Compared before it is made a float: a huge whole number would not fit one.
        if not low <= value <= high or not math.isfinite(value) or (above_low and value == low):
            raise ValueError
        return float(value)

    allowed = f"a number above {low:g}, up to {high:g}" if above_low else f"a number from {low:g} to {high:g}"
    return Rule(allowed, read, Numbers(low, high, above_low=above_low))


def word(*choices: str) -> Rule:
    """One of a few words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError
        return value

    return Rule(f"{', '.join(choices[:-1])} or {choices[-1]}", read, Choices(choices))


def standing_for(name: str, value: object) -> Rule:
    """A word that stands for a value: `auto` for None."""

    def read(given: object) -> object:
        if given != name:
            raise ValueError
        return value

    return Rule(name, read)


def nothing(meaning: str) -> Rule:
    """Nothing at all, written `null`."""

    def read(value: object) -> None:
        if value is not None:
            raise ValueError

    return Rule(f"null ({meaning})", read)


def either(first: Rule, second: Rule) -> Rule:
    """What the first rule allows, else what the second does, which is also what a knob turns through."""

    def read(value: object) -> object:
        try:
            return first.read(value)
        except ValueError:
            return second.read(value)

    return Rule(f"{first.allowed} or {second.allowed}", read, second.span)


def switch() -> Rule:
    """True or false; `yes`, `no`, `on` and `off` say the same."""
    meanings = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

    def read(value: object) -> bool:
        known = value if isinstance(value, bool) else meanings.get(value.lower()) if isinstance(value, str) else None
        if known is None:
            raise ValueError
        return known

    return Rule("true or false", read, Choices((False, True)))


def text(allowed: str, *, longest: int = 4096, without: str = "", lines: bool = False) -> Rule:
    """Some text, not blank, printable, none of the characters `without` in it; of several lines only if `lines`."""

    def read(value: object) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError("put quotes around it: it is text that looks like a number")  # noqa: TRY004 - as above
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise ValueError
        plain = value.replace("\n", " ") if lines else value
        if not plain.isprintable() or any(character in value for character in without):
            raise ValueError
        return value.strip()

    return Rule(allowed, read)


_PITCHES = re.compile(r"\s*([A-Ga-g][#b♯♭]*-?\d+|\d+)\s*(?:-|–|\.\.)\s*([A-Ga-g][#b♯♭]*-?\d+|\d+)\s*")


def pitches() -> Rule:
    """A range of pitches, its two ends as names (`C3-C6`, middle C is C4) or MIDI numbers (`48-84`)."""

    def read(value: object) -> Range:
        match = _PITCHES.fullmatch(value) if isinstance(value, str) and len(value) < LONGEST else None
        if match is None:
            raise ValueError
        try:
            low, high = (parse_pitch(each) for each in match.groups())
        except ModelsError:
            raise ValueError("MIDI pitches go from C-1 (0) to G9 (127)") from None
        if low > high:
            raise ValueError("its lowest pitch is above its highest")
        return Range(low, high)

    return Rule("two pitches, low to high, such as C3-C6 or 48-84", read)
