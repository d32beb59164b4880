# SPDX-License-Identifier: Apache-2.0
"""Reads the entries of `midi.cc`, `midi.notes` and `midi.programs`: `midi.cc.20: play.density 0.2-2`."""

from __future__ import annotations

import re
from typing import get_args

from sideman.core.settings.bindings import Action, Knob, Target
from sideman.core.settings.schema import KEYS, TABLES, Mode
from sideman.core.settings.types import LONGEST, Numbers, Rule, Span
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import parse_pitch

PLAIN = ("start", "stop", "mode", "again", "panic", "tap", "keep")
"""What can be done that needs no more words; `mode` is the next mode."""
MODES: tuple[Mode, ...] = get_args(Mode)

_ACTION_WORDS = f"{', '.join(PLAIN)}, mode:NAME or preset:NAME"
_NUMBER = r"-?\d{1,12}(?:\.\d{0,12})?"
_KNOB = re.compile(rf"([a-z_]+\.[a-z_]+)(?:\s+({_NUMBER})\s*(?:-|–|\.\.)\s*({_NUMBER}))?")
_NAME = re.compile(r"[^\s:](?:[^:\n]{0,58}[^\s:])?")


def table_of(name: str) -> str | None:
    """The table that the dotted key `name` is an entry of, if it is one."""
    return next((table for table in TABLES if name.startswith(f"{table}.")), None)


def read_entry(name: str, value: object) -> tuple[int, Target | None]:
    """The number and the target of the entry `name` of a table; a value of None takes back an earlier layer's.

    Raises ValueError with the whole reason: what is wrong and what is allowed.
    """
    table = table_of(name) or ""
    number, rule = _NUMBERS[table], _TARGETS[table]
    try:
        at = number.read(name.removeprefix(f"{table}."))
    except ValueError:
        raise ValueError(f"allowed below {table} is {number.allowed}") from None
    if value is None:
        return at, None
    return at, _told(rule, value)


def learned(value: object) -> Target:
    """What `ctl learn` is to bind. Raises ValueError with the whole reason."""
    return _told(TARGET, value)


def _told(rule: Rule, value: object) -> Target:
    try:
        target: Target = rule.read(value)
    except ValueError as error:
        reason = f"{error}; " if str(error) else ""
        raise ValueError(f"{reason}allowed is {rule.allowed}") from None
    return target


def read_target(value: object) -> Target:
    """What `value` asks for, a key or an action. Raises ValueError, saying why if that is not plain."""
    words = value.strip() if isinstance(value, str) else ""
    if not words or len(words) > LONGEST:
        raise ValueError
    return _read_knob(words) if "." in words.partition(":")[0] else _read_action(words)


def span_of(knob: Knob) -> Span:
    """What the way of `knob` is laid over. Raises ValueError where there is nothing of the kind."""
    key = KEYS.get(knob.key)
    if key is None:
        from sideman.core.settings.resolve import likely_key  # which reads these tables

        likely = likely_key(knob.key)
        raise ValueError("no such key" + (f"; did you mean {likely}?" if likely else ""))
    if not knob.key.startswith("play.") and knob.key not in _TURNED:
        raise ValueError(f"{knob.key} cannot be turned while it plays")
    span = key.rule.span
    if span is None:
        raise ValueError(f"{knob.key} cannot be turned: it is {key.rule.allowed}")
    return span if knob.low is None or knob.high is None else _narrowed(knob.key, span, knob.low, knob.high)


_TURNED = ("tempo.bpm", "midi.transpose")


def _read_action(words: str) -> Action:
    verb, colon, argument = (part.strip() for part in words.partition(":"))
    if verb in PLAIN and not colon:
        return Action(verb)
    if verb == "mode" and argument in MODES:
        return Action(verb, argument)
    if verb == "mode":
        raise ValueError(f"the modes are {', '.join(MODES)}")
    if verb == "preset" and _NAME.fullmatch(argument):
        return Action(verb, argument)
    raise ValueError


def _read_switch(value: object) -> Action:
    target = read_target(value)
    if isinstance(target, Knob):
        raise ValueError("a note turns no key")  # noqa: TRY004 - one kind of refusal for every rule
    return target


def _read_preset(value: object) -> Action:
    name = value.strip().removeprefix("preset:") if isinstance(value, str) else ""
    if not _NAME.fullmatch(name):
        raise ValueError
    return Action("preset", name)


def _read_knob(words: str) -> Knob:
    match = _KNOB.fullmatch(words)
    if match is None:
        raise ValueError
    key, low, high = match.groups()
    knob = Knob(key) if low is None else Knob(key, float(low), float(high))
    span_of(knob)
    return knob


def _narrowed(key: str, span: Span, low: float, high: float) -> Numbers:
    if not isinstance(span, Numbers):
        raise ValueError(f"{key} is no number, and has no range")  # noqa: TRY004 - as above
    within = f"{key} goes from {span.low:g} to {span.high:g}"
    if not span.low <= low <= span.high or not span.low <= high <= span.high:
        raise ValueError(within)
    if low >= high:
        raise ValueError("the lower end of a range comes first")
    if span.whole and not (low.is_integer() and high.is_integer()):
        raise ValueError(f"{within} in whole numbers")
    return Numbers(low, high, span.whole, span.above_low and low == span.low)


def _counted(low: int, high: int, what: str) -> Rule:
    def read(value: object) -> int:
        if not isinstance(value, str) or not (value.isascii() and value.isdecimal() and len(value) <= LONGEST):
            raise ValueError
        if not low <= int(value) <= high:
            raise ValueError
        return int(value)

    return Rule(f"the number of a {what} from {low} to {high}", read)


def _pitch() -> Rule:
    def read(value: object) -> int:
        try:
            return parse_pitch(str(value)[:LONGEST])
        except ModelsError:
            raise ValueError from None

    return Rule("a pitch from 0 to 127 or from C-1 to G9", read)


_TURNS = "a key that changes while it plays, such as play.temperature or play.density 0.2-2"
_NUMBERS = {
    "midi.cc": _counted(0, 127, "controller"),
    "midi.notes": _pitch(),
    "midi.programs": _counted(1, 128, "program"),
}
TARGET = Rule(f"{_TURNS}, or one of {_ACTION_WORDS}", read_target)
"""What a controller can be bound to, and what can be learned."""

_TARGETS = {
    "midi.cc": TARGET,
    "midi.notes": Rule(f"one of {_ACTION_WORDS}", _read_switch),
    "midi.programs": Rule("the name of a preset, such as ballad", _read_preset),
}
