# SPDX-License-Identifier: Apache-2.0
"""What a knob, a pedal, a pad or a program change is there for, and the tables that tell it of each."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np


class SettingTarget(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="Knob"):
    """Turns the setting `key`: through all that it may be, or from `low` to `high` only."""

    key: str
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """As it is written in a table."""
        if self.low is None or self.high is None:
            return self.key
        return f"{self.key} {_format_number(self.low)}-{_format_number(self.high)}"


class ActionTarget(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="Action"):
    """Does something at once: `start`, or `mode` with the argument `trade`."""

    name: str
    argument: str = ""

    @property
    def text(self) -> str:
        """As it is written in a table."""
        return f"{self.name}:{self.argument}" if self.argument else self.name


Target = SettingTarget | ActionTarget


class Bindings(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="Table"):
    """What is bound to which number (of a controller, a pitch, a program from 1), in the order of the numbers."""

    entries: tuple[tuple[int, Target], ...] = ()

    def __iter__(self) -> Iterator[tuple[int, Target]]:
        return iter(self.entries)

    def __str__(self) -> str:
        return "{" + ", ".join(f"{number}: {target.text}" for number, target in self.entries) + "}"

    def with_binding(self, number: int, target: Target | None) -> Bindings:
        """With `target` for `number` in place of what was there; None: with nothing there."""
        others = [entry for entry in self.entries if entry[0] != number]
        return Bindings(tuple(sorted([*others, *([(number, target)] if target else [])], key=lambda entry: entry[0])))

    def without_target(self, target: Target) -> Bindings:
        """With no entry for what `target` is for, whatever its range."""
        return Bindings(tuple(entry for entry in self.entries if not _is_same_target(entry[1], target)))


def _is_same_target(one: Target, other: Target) -> bool:
    return one.key == other.key if isinstance(one, SettingTarget) and isinstance(other, SettingTarget) else one == other


def _format_number(number: float) -> str:
    return np.format_float_positional(number, trim="-")
