# SPDX-License-Identifier: Apache-2.0
"""Bindings: reads the entries of `midi.cc`, `midi.nrpn`, `midi.notes` and `midi.programs`.

An entry such as `midi.cc.20: play.density 0.2-2 relative` binds a number (of a controller, of an NRPN, of a pitch, of a
program from 1) to a target: a setting, perhaps with a range and the form of the controller's messages, or an action.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec.structs import replace

from sideman.core.actions import ACTIONS, action_list
from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.settings.schema import BINDING_KEYS, KEYS, closest_key
from sideman.core.settings.types import MAX_QUOTE_LENGTH, ControllerRange, NumberRange, SettingType
from sideman.core.targets import CONTROLLER_FORMS, ActionTarget, Bindings, ControllerForm, SettingTarget, Target
from sideman.core.turns import MODE_NAMES
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import parse_pitch

_CONTROLLABLE_KEYS = ("tempo.bpm", "midi.transpose", "midi.ghost")  # besides those of `play`
_NUMBER = r"-?\d{1,12}(?:\.\d{0,12})?"
_SETTING_TARGET = re.compile(rf"([a-z_]+\.[a-z_]+)(?:\s+({_NUMBER})\s*(?:-|–|\.\.)\s*({_NUMBER}))?(?:\s+(.*))?")
_WRITTEN_FORMS: dict[str, ControllerForm] = {form: form for form in CONTROLLER_FORMS if form != "absolute"}
FIRST_FINE_CONTROLLER = 32
"""The second half of the 14-bit controller N, 0 to 31, is the controller N + 32."""
_DIGITS = re.compile(rf"[0-9]{{1,{MAX_QUOTE_LENGTH}}}")
_NAME = re.compile(r"[^\s:](?:[^:\n]{0,58}[^\s:])?")


def bindings_key_of(name: str) -> str | None:
    """Return the key of the bindings that `name` is an entry of, such as `midi.cc` for `midi.cc.20`; else None."""
    return next((key for key in BINDING_KEYS if name.startswith(f"{key}.")), None)


def read_binding(name: str, value: object) -> tuple[int, Target | None]:
    """Return the number and the target of the entry `name`; a target of None removes what an earlier layer has bound.

    Raises ValueError with the complete reason.
    """
    key = bindings_key_of(name) or ""
    number_type, target_type = _ENTRY_TYPES[key]
    try:
        number: int = number_type.read(name.removeprefix(f"{key}."))
    except ValueError:
        raise ValueError(f"allowed below {key} is {number_type.allowed}") from None
    if value is None:
        return number, None
    target: Target = target_type.read_explained(value)
    form = target.form if isinstance(target, SettingTarget) else "absolute"
    if key == "midi.nrpn" and form != "absolute":
        raise ValueError(f"{form}: an NRPN always has 14 bits; write the setting and its range alone")
    if form == "14-bit" and number >= FIRST_FINE_CONTROLLER:
        raise ValueError("14-bit: such a controller is one from 0 to 31, and its second half is the one 32 higher")
    return number, target


def second_halves(controllers: Bindings) -> list[tuple[int, int]]:
    """Return which bound controllers are the second half of another one: its number, and theirs."""
    numbers = {number for number, _ in controllers}
    fine = [number for number, target in controllers if isinstance(target, SettingTarget) and target.form == "14-bit"]
    return [(first, first + FIRST_FINE_CONTROLLER) for first in fine if first + FIRST_FINE_CONTROLLER in numbers]


def with_learned(bindings: Mapping[str, Bindings], binding: str, target: Target) -> dict[str, Bindings]:
    """Return the bindings of controllers, parameters and notes by their keys, with `target` bound as `binding`.

    What was bound to the same target is no longer bound, nor is a controller that is one half of the other. `binding`
    is such as `midi.cc.20`.
    """
    key = bindings_key_of(binding) or ""
    number, _ = read_binding(binding, None)
    after = {name: each.without_target(target) for name, each in bindings.items()}
    after[key] = after[key].with_binding(number, target)
    for pair in second_halves(after["midi.cc"]) if key == "midi.cc" else ():
        if number in pair:
            after[key] = after[key].with_binding(sum(pair) - number, None)
    return after


def learnable(midi: MidiSettings) -> dict[str, Bindings]:
    """Return the bindings that can be learned by their keys."""
    return {"midi.cc": midi.cc, "midi.nrpn": midi.nrpn, "midi.notes": midi.notes}


def read_learn_target(value: object) -> Target:
    """Return the target that `sideman ctl learn` is to bind. Raises ValueError with the complete reason."""
    target: Target = CONTROLLER_TARGET.read_explained(value)
    return target


@lru_cache  # it is asked for at every turn of a controller
def controller_range_of(target: SettingTarget) -> ControllerRange:
    """Return the values that a controller bound to `target` turns through. Raises ValueError if there are none."""
    key = KEYS.get(target.key)
    if key is None:
        likely = closest_key(target.key)
        raise ValueError("no such key" + (f"; did you mean {likely}?" if likely else ""))
    if not target.key.startswith("play.") and target.key not in _CONTROLLABLE_KEYS:
        raise ValueError(f"{target.key} cannot be turned by a controller")
    whole = key.value_type.controller_range
    if whole is None:
        raise ValueError(f"{target.key} cannot be turned: it is {key.value_type.allowed}")
    low, high = target.low, target.high
    if low is None or high is None:
        return whole
    if not isinstance(whole, NumberRange):
        raise ValueError(f"{target.key} is not a number, so it has no range")  # noqa: TRY004 - one error for all refusals
    bounds = f"{target.key} goes from {whole.low:g} to {whole.high:g}"
    if not whole.low <= low <= whole.high or not whole.low <= high <= whole.high:
        raise ValueError(bounds)
    if low >= high:
        raise ValueError("the lower end of a range comes first")
    if whole.integers_only and not (low.is_integer() and high.is_integer()):
        raise ValueError(f"{bounds} in whole numbers")
    return NumberRange(low, high, whole.integers_only, whole.excludes_low and low == whole.low)


# -- numbers


def _index_type(low: int, high: int, noun: str) -> SettingType:
    def read(value: object) -> int:
        if not isinstance(value, str) or not _DIGITS.fullmatch(value) or not low <= int(value) <= high:
            raise ValueError
        return int(value)

    return SettingType(f"the number of a {noun} from {low} to {high}", read)


def _read_pitch(value: object) -> int:
    try:
        return parse_pitch(str(value)[:MAX_QUOTE_LENGTH])
    except ModelsError:
        raise ValueError from None


# -- targets


def _read_target(value: object) -> Target:
    words = value.strip() if isinstance(value, str) else ""
    if not words or len(words) > MAX_QUOTE_LENGTH:
        raise ValueError
    name, colon, argument = (part.strip() for part in words.partition(":"))
    if "." in name:
        match = _SETTING_TARGET.fullmatch(words)
        if match is None:
            raise ValueError
        return _setting_target(*match.groups())
    action = ACTIONS.get(name)
    if action is None or action.argument == ("none" if colon else "required"):
        raise ValueError
    if colon and name == "mode" and argument not in MODE_NAMES:
        raise ValueError(f"the modes are {', '.join(MODE_NAMES)}")
    if colon and not _NAME.fullmatch(argument):
        raise ValueError
    return ActionTarget(name, argument)


def _setting_target(key: str, low: str | None, high: str | None, words: str | None) -> SettingTarget:
    target = SettingTarget(key) if low is None or high is None else SettingTarget(key, float(low), float(high))
    controller_range_of(target)  # refuses what cannot be turned
    if words is None:
        return target
    form = _WRITTEN_FORMS.get(" ".join(words.split()))
    if form is None:
        raise ValueError(f"after the setting and its range may come {', '.join(_WRITTEN_FORMS)}")
    return replace(target, form=form)


def _read_note_target(value: object) -> ActionTarget:
    target = _read_target(value)
    if isinstance(target, SettingTarget):
        raise ValueError("a note cannot turn a setting")  # noqa: TRY004 - as above
    return target


def _read_program_target(value: object) -> ActionTarget:
    name = value.strip().removeprefix("preset:") if isinstance(value, str) else ""
    if name == "next" or name.startswith("chart:"):
        return _read_note_target(name)
    if not _NAME.fullmatch(name):
        raise ValueError
    return ActionTarget("preset", name)


_ACTIONS_ALLOWED = f"one of {action_list()}"
CONTROLLER_TARGET = SettingType(
    "a setting that changes while sideman plays, such as play.temperature or play.density 0.2-2 or play.gate relative, "
    f"or {_ACTIONS_ALLOWED}",
    _read_target,
)
"""What a controller can be bound to."""

_ENTRY_TYPES = {
    "midi.cc": (_index_type(0, 127, "controller"), CONTROLLER_TARGET),
    "midi.nrpn": (_index_type(0, 16382, "parameter"), CONTROLLER_TARGET),
    "midi.notes": (
        SettingType("a pitch from 0 to 127 or from C-1 to G9", _read_pitch),
        SettingType(_ACTIONS_ALLOWED, _read_note_target),
    ),
    "midi.programs": (
        _index_type(1, 128, "program"),
        SettingType("the name of a preset, such as ballad, or next, or chart:NAME", _read_program_target),
    ),
}
"""The types of the number and of the target of an entry, by the key of the bindings."""
