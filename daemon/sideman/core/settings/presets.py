# SPDX-License-Identifier: Apache-2.0
"""A preset called, or a file read again, while it plays: what of it can change now, and what cannot.

A preset goes over what holds, as the base (what it was started with) and hands have made it. When the next one is
called, what the former one set goes back to the base, except where a hand has changed it since: so a preset sounds
alike, whichever came before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sideman.core.settings.bindings import Table, Target
from sideman.core.settings.read_bindings import read_entry, table_of
from sideman.core.settings.resolve import Layer, read_settings
from sideman.core.settings.schema import GROUPS, KEYS, TABLES, Settings, changed, is_live, value_of


@dataclass(frozen=True, slots=True)
class Difference:
    """The `values` to change while it plays, as `Change` takes them, and the keys that only a new start changes."""

    values: tuple[tuple[str, object], ...]
    fixed: tuple[str, ...]


def difference(before: Settings, after: Settings) -> Difference:
    """What leads from `before` to `after`: of a file read again, from what it said to what it says."""
    differing = [name for name in KEYS if value_of(before, name) != value_of(after, name)]
    values = tuple((name, value_of(after, name)) for name in differing if is_live(name))
    return Difference(values, tuple(name for name in differing if not is_live(name)))


def called(settings: Settings, preset: Layer, former: Layer, base: Settings) -> Difference:
    """What calling `preset` changes of `settings`, after the preset `former` (empty: none) was called before.

    `base` is what was started with, but for a preset. Raises one ConfigError with all that is wrong with `preset`.
    """
    return difference(settings, overlaid(_taken_back(settings, former, base), preset))


def overlaid(settings: Settings, layer: Layer) -> Settings:
    """`settings` with those of `layer` over them. Raises one ConfigError with all that is wrong with `layer`."""
    values, entries = _said(layer)
    settings = changed(settings, values.items())
    for (table, number), target in entries.items():
        settings = _with_entry(settings, table, number, target)
    return settings


def _taken_back(settings: Settings, layer: Layer, base: Settings) -> Settings:
    values, entries = _said(layer)
    left = [name for name, value in values.items() if value_of(settings, name) == value]
    settings = changed(settings, ((name, value_of(base, name)) for name in left))
    for (table, number), target in entries.items():
        if _entry(settings, table, number) == target:
            settings = _with_entry(settings, table, number, _entry(base, table, number))
    return settings


def _said(layer: Layer) -> tuple[dict[str, object], dict[tuple[str, int], Target | None]]:
    """What `layer` gives: values by key, and entries by table and number."""
    read = read_settings([layer])
    keys = [name for name in layer if name not in (*GROUPS, *TABLES) and not table_of(name)]
    values = {name: value_of(read, name) for name in keys}
    if "chart.changes" in layer:
        values.setdefault("chart.file", None)
    entries = ((table, *read_entry(name, layer[name].value)) for name in layer if (table := table_of(name)))
    return values, {(table, number): target for table, number, target in entries}


def _entry(settings: Settings, name: str, number: int) -> Target | None:
    table = value_of(settings, name)
    return dict(table).get(number) if isinstance(table, Table) else None


def _with_entry(settings: Settings, name: str, number: int, target: Target | None) -> Settings:
    table = value_of(settings, name)
    return changed(settings, [(name, table.bound(number, target))]) if isinstance(table, Table) else settings
