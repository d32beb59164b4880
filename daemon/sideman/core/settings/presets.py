# SPDX-License-Identifier: Apache-2.0
"""A preset called, or a file read again, while it plays: what of it can change now, and what cannot.

A preset goes over what holds, as the base (what it was started with) and hands have made it. When the next one is
called, what the former one set goes back to the base, except where a hand has changed it since: so a preset sounds
alike, whichever came before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sideman.core.settings.bindings import Bindings, Target
from sideman.core.settings.read_bindings import bindings_key_of, read_binding
from sideman.core.settings.resolve import SettingsLayer, resolve_settings
from sideman.core.settings.schema import BINDING_KEYS, GROUPS, KEYS, Settings, is_live, value_of, with_values


@dataclass(frozen=True, slots=True)
class SettingsDifference:
    """The `values` to change while it plays, as `Change` takes them, and the keys that only a new start changes."""

    values: tuple[tuple[str, object], ...]
    restart_keys: tuple[str, ...]


def settings_difference(before: Settings, after: Settings) -> SettingsDifference:
    """What leads from `before` to `after`: of a file read again, from what it said to what it says."""
    differing = [name for name in KEYS if value_of(before, name) != value_of(after, name)]
    values = tuple((name, value_of(after, name)) for name in differing if is_live(name))
    return SettingsDifference(values, tuple(name for name in differing if not is_live(name)))


def preset_difference(
    settings: Settings, preset: SettingsLayer, previous: SettingsLayer, base: Settings
) -> SettingsDifference:
    """What calling `preset` changes of `settings`, after the preset `previous` (empty: none) was called before.

    `base` is what was started with, but for a preset. Raises one ConfigError with all that is wrong with `preset`.
    """
    return settings_difference(settings, with_layer(_without_layer(settings, previous, base), preset))


def with_layer(settings: Settings, layer: SettingsLayer) -> Settings:
    """`settings` with those of `layer` over them. Raises one ConfigError with all that is wrong with `layer`."""
    values, entries = _layer_contents(layer)
    settings = with_values(settings, values.items())
    for (table, number), target in entries.items():
        settings = _with_binding(settings, table, number, target)
    return settings


def _without_layer(settings: Settings, layer: SettingsLayer, base: Settings) -> Settings:
    values, entries = _layer_contents(layer)
    left = [name for name, value in values.items() if value_of(settings, name) == value]
    settings = with_values(settings, ((name, value_of(base, name)) for name in left))
    for (table, number), target in entries.items():
        if _binding_of(settings, table, number) == target:
            settings = _with_binding(settings, table, number, _binding_of(base, table, number))
    return settings


def _layer_contents(layer: SettingsLayer) -> tuple[dict[str, object], dict[tuple[str, int], Target | None]]:
    """What `layer` gives: values by key, and entries by table and number."""
    read = resolve_settings([layer])
    keys = [name for name in layer if name not in (*GROUPS, *BINDING_KEYS) and not bindings_key_of(name)]
    values = {name: value_of(read, name) for name in keys}
    if "chart.changes" in layer:
        values.setdefault("chart.file", None)
    entries = ((table, *read_binding(name, layer[name].value)) for name in layer if (table := bindings_key_of(name)))
    return values, {(table, number): target for table, number, target in entries}


def _binding_of(settings: Settings, name: str, number: int) -> Target | None:
    table = value_of(settings, name)
    return dict(table).get(number) if isinstance(table, Bindings) else None


def _with_binding(settings: Settings, name: str, number: int, target: Target | None) -> Settings:
    table = value_of(settings, name)
    return (
        with_values(settings, [(name, table.with_binding(number, target))]) if isinstance(table, Bindings) else settings
    )
