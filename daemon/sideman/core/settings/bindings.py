# SPDX-License-Identifier: Apache-2.0
"""What a knob, a pedal, a pad or a program change is there for, and the tables that tell it of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Knob:
    """Turns the setting `key`: through all that it may be, or from `low` to `high` only."""

    key: str
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """As it is written in a table."""
        if self.low is None or self.high is None:
            return self.key
        return f"{self.key} {_plainly(self.low)}-{_plainly(self.high)}"


@dataclass(frozen=True, slots=True)
class Action:
    """Does something at once: `start`, or `mode` with the argument `trade`."""

    verb: str
    argument: str = ""

    @property
    def text(self) -> str:
        """As it is written in a table."""
        return f"{self.verb}:{self.argument}" if self.argument else self.verb


Target = Knob | Action


@dataclass(frozen=True, slots=True)
class Table:
    """What is bound to which number (of a controller, a pitch, a program from 1), in the order of the numbers."""

    entries: tuple[tuple[int, Target], ...] = ()

    def __iter__(self) -> Iterator[tuple[int, Target]]:
        return iter(self.entries)

    def __str__(self) -> str:
        return "{" + ", ".join(f"{number}: {target.text}" for number, target in self.entries) + "}"

    def bound(self, number: int, target: Target | None) -> Table:
        """With `target` for `number` in place of what was there; None: with nothing there."""
        others = [entry for entry in self.entries if entry[0] != number]
        return Table(tuple(sorted([*others, *([(number, target)] if target else [])], key=lambda entry: entry[0])))

    def without(self, target: Target) -> Table:
        """With no entry for what `target` is for, whatever its range."""
        return Table(tuple(entry for entry in self.entries if not _alike(entry[1], target)))


def _alike(one: Target, other: Target) -> bool:
    return one.key == other.key if isinstance(one, Knob) and isinstance(other, Knob) else one == other


def _plainly(number: float) -> str:
    return np.format_float_positional(number, trim="-")
