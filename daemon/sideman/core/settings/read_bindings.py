# SPDX-License-Identifier: Apache-2.0
"""Reads the entries of `midi.cc`, `midi.notes` and `midi.programs`: `midi.cc.20: play.density 0.2-2`."""

from __future__ import annotations

import re
from typing import get_args

from sideman.core.settings.bindings import ActionTarget, SettingTarget, Target
from sideman.core.settings.schema import BINDING_KEYS, KEYS, ModeName
from sideman.core.settings.types import MAX_QUOTE_LENGTH, ControllerRange, NumberRange, SettingType
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import parse_pitch

ACTION_NAMES = ("start", "stop", "mode", "again", "panic", "tap", "keep")
"""What can be done that needs no more words; `mode` is the next mode."""
MODES: tuple[ModeName, ...] = get_args(ModeName)

_ACTION_WORDS = f"{', '.join(ACTION_NAMES)}, mode:NAME or preset:NAME"
_NUMBER = r"-?\d{1,12}(?:\.\d{0,12})?"
_SETTING_TARGET = re.compile(rf"([a-z_]+\.[a-z_]+)(?:\s+({_NUMBER})\s*(?:-|–|\.\.)\s*({_NUMBER}))?")
_NAME = re.compile(r"[^\s:](?:[^:\n]{0,58}[^\s:])?")


def bindings_key_of(name: str) -> str | None:
    """The table that the dotted key `name` is an entry of, if it is one."""
    return next((table for table in BINDING_KEYS if name.startswith(f"{table}.")), None)


def read_binding(name: str, value: object) -> tuple[int, Target | None]:
    """The number and the target of the entry `name` of a table; a value of None takes back an earlier layer's.

    Raises ValueError with the whole reason: what is wrong and what is allowed.
    """
    table = bindings_key_of(name) or ""
    number, rule = _NUMBER_TYPES[table], _TARGET_TYPES[table]
    try:
        at = number.read(name.removeprefix(f"{table}."))
    except ValueError:
        raise ValueError(f"allowed below {table} is {number.allowed}") from None
    if value is None:
        return at, None
    return at, _read_with_reason(rule, value)


def read_learn_target(value: object) -> Target:
    """What `ctl learn` is to bind. Raises ValueError with the whole reason."""
    return _read_with_reason(TARGET_TYPE, value)


def _read_with_reason(rule: SettingType, value: object) -> Target:
    try:
        target: Target = rule.read(value)
    except ValueError as error:
        reason = f"{error}; " if str(error) else ""
        raise ValueError(f"{reason}allowed is {rule.allowed}") from None
    return target


def read_target(value: object) -> Target:
    """What `value` asks for, a key or an action. Raises ValueError, saying why if that is not plain."""
    words = value.strip() if isinstance(value, str) else ""
    if not words or len(words) > MAX_QUOTE_LENGTH:
        raise ValueError
    return _read_setting_target(words) if "." in words.partition(":")[0] else _read_action(words)


def controller_range_of(target: SettingTarget) -> ControllerRange:
    """What the way of `target` is laid over. Raises ValueError where there is nothing of the kind."""
    key = KEYS.get(target.key)
    if key is None:
        from sideman.core.settings.resolve import closest_key  # which reads these tables

        likely = closest_key(target.key)
        raise ValueError("no such key" + (f"; did you mean {likely}?" if likely else ""))
    if not target.key.startswith("play.") and target.key not in _CONTROLLABLE_KEYS:
        raise ValueError(f"{target.key} cannot be turned while it plays")
    span = key.value_type.controller_range
    if span is None:
        raise ValueError(f"{target.key} cannot be turned: it is {key.value_type.allowed}")
    return (
        span if target.low is None or target.high is None else _narrow_range(target.key, span, target.low, target.high)
    )


_CONTROLLABLE_KEYS = ("tempo.bpm", "midi.transpose")


def _read_action(words: str) -> ActionTarget:
    verb, colon, argument = (part.strip() for part in words.partition(":"))
    if verb in ACTION_NAMES and not colon:
        return ActionTarget(verb)
    if verb == "mode" and argument in MODES:
        return ActionTarget(verb, argument)
    if verb == "mode":
        raise ValueError(f"the modes are {', '.join(MODES)}")
    if verb == "preset" and _NAME.fullmatch(argument):
        return ActionTarget(verb, argument)
    raise ValueError


def _read_note_target(value: object) -> ActionTarget:
    target = read_target(value)
    if isinstance(target, SettingTarget):
        raise ValueError("a note turns no key")  # noqa: TRY004 - one kind of refusal for every rule
    return target


def _read_program_target(value: object) -> ActionTarget:
    name = value.strip().removeprefix("preset:") if isinstance(value, str) else ""
    if not _NAME.fullmatch(name):
        raise ValueError
    return ActionTarget("preset", name)


def _read_setting_target(words: str) -> SettingTarget:
    match = _SETTING_TARGET.fullmatch(words)
    if match is None:
        raise ValueError
    key, low, high = match.groups()
    knob = SettingTarget(key) if low is None else SettingTarget(key, float(low), float(high))
    controller_range_of(knob)
    return knob


def _narrow_range(key: str, span: ControllerRange, low: float, high: float) -> NumberRange:
    if not isinstance(span, NumberRange):
        raise ValueError(f"{key} is no number, and has no range")  # noqa: TRY004 - as above
    within = f"{key} goes from {span.low:g} to {span.high:g}"
    if not span.low <= low <= span.high or not span.low <= high <= span.high:
        raise ValueError(within)
    if low >= high:
        raise ValueError("the lower end of a range comes first")
    if span.integers_only and not (low.is_integer() and high.is_integer()):
        raise ValueError(f"{within} in whole numbers")
    return NumberRange(low, high, span.integers_only, span.excludes_low and low == span.low)


def _number_type(low: int, high: int, what: str) -> SettingType:
    def read(value: object) -> int:
        if not isinstance(value, str) or not (value.isascii() and value.isdecimal() and len(value) <= MAX_QUOTE_LENGTH):
            raise ValueError
        if not low <= int(value) <= high:
            raise ValueError
        return int(value)

    return SettingType(f"the number of a {what} from {low} to {high}", read)


def _pitch_type() -> SettingType:
    def read(value: object) -> int:
        try:
            return parse_pitch(str(value)[:MAX_QUOTE_LENGTH])
        except ModelsError:
            raise ValueError from None

    return SettingType("a pitch from 0 to 127 or from C-1 to G9", read)


_SETTING_WORDS = "a key that changes while it plays, such as play.temperature or play.density 0.2-2"
_NUMBER_TYPES = {
    "midi.cc": _number_type(0, 127, "controller"),
    "midi.notes": _pitch_type(),
    "midi.programs": _number_type(1, 128, "program"),
}
TARGET_TYPE = SettingType(f"{_SETTING_WORDS}, or one of {_ACTION_WORDS}", read_target)
"""What a controller can be bound to, and what can be learned."""

_TARGET_TYPES = {
    "midi.cc": TARGET_TYPE,
    "midi.notes": SettingType(f"one of {_ACTION_WORDS}", _read_note_target),
    "midi.programs": SettingType("the name of a preset, such as ballad", _read_program_target),
}
