# SPDX-License-Identifier: Apache-2.0
"""What a controller, a key or a program number can be bound to: a setting that it turns, or an action."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import msgspec
import numpy as np

ControllerForm = Literal["absolute", "14-bit", "relative", "relative binary-offset", "relative sign-magnitude"]
"""How a controller sends its movement: its position in 7 or in 14 bits, or steps in one of three encodings."""
CONTROLLER_FORMS: tuple[ControllerForm, ...] = get_args(ControllerForm)


class SettingTarget(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="Knob"):
    """A binding that turns the setting `key`: through its whole range, or only from `low` to `high`.

    `form` says how the controller sends its movement.
    """

    key: str
    low: float | None = None
    high: float | None = None
    form: ControllerForm = "absolute"

    @property
    def text(self) -> str:
        """The target as it is written in a configuration: `play.density 0.2-2 relative`."""
        words = [self.key]
        if self.low is not None and self.high is not None:
            words.append("-".join(np.format_float_positional(number, trim="-") for number in (self.low, self.high)))
        return " ".join(words if self.form == "absolute" else [*words, self.form])


class ActionTarget(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="Action"):
    """A binding that performs an action of `sideman.core.actions`: `start`, or `mode` with the argument `trade`."""

    name: str
    argument: str = ""

    @property
    def text(self) -> str:
        """The target as it is written in a configuration: `mode:trade`."""
        return f"{self.name}:{self.argument}" if self.argument else self.name


Target = SettingTarget | ActionTarget


class Bindings(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="Table"):
    """What is bound to each number (of a controller, a pitch, or a program from 1), sorted by number."""

    entries: tuple[tuple[int, Target], ...] = ()

    def __iter__(self) -> Iterator[tuple[int, Target]]:
        return iter(self.entries)

    def with_binding(self, number: int, target: Target | None) -> Bindings:
        """Return these bindings with `number` bound to `target`, or not bound if that is None."""
        others = [entry for entry in self.entries if entry[0] != number]
        return Bindings(tuple(sorted([*others, *([(number, target)] if target else [])], key=lambda entry: entry[0])))

    def without_target(self, target: Target) -> Bindings:
        """Return these bindings without those to `target`; a setting's range makes no difference."""

        def compared(bound: Target) -> Target | str:
            return bound.key if isinstance(bound, SettingTarget) else bound

        return Bindings(tuple(entry for entry in self.entries if compared(entry[1]) != compared(target)))
