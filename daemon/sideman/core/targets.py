# SPDX-License-Identifier: Apache-2.0
"""What a controller, a key or a program number can be bound to: a setting that it turns, or an action."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np


class SettingTarget(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="Knob"):
    """A binding that turns the setting `key`: through its whole range, or only from `low` to `high`."""

    key: str
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """The target as it is written in a configuration: `play.density 0.2-2`."""
        if self.low is None or self.high is None:
            return self.key
        low, high = (np.format_float_positional(number, trim="-") for number in (self.low, self.high))
        return f"{self.key} {low}-{high}"


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
