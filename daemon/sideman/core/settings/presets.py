# SPDX-License-Identifier: Apache-2.0
"""Presets and configuration files that are applied while sideman plays: what can change now, and what needs a restart.

A preset is applied over the current settings. When another preset follows, everything that the first one set goes back
to the base (the settings without any preset), except what somebody has changed since. So a preset sounds the same,
whichever preset came before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sideman.core.settings.bindings import bindings_key_of, read_binding
from sideman.core.settings.resolve import SettingsLayer, resolve_settings
from sideman.core.settings.schema import BINDING_KEYS, GROUPS, KEYS, Settings, is_live, value_of, with_values
from sideman.core.targets import Target


@dataclass(frozen=True, slots=True)
class SettingsDifference:
    """The `values` to change while sideman plays, as `ChangeSettings` takes them, and the keys that need a restart."""

    values: tuple[tuple[str, object], ...]
    restart_keys: tuple[str, ...]


def settings_difference(before: Settings, after: Settings) -> SettingsDifference:
    """Return what has to change to get from `before` to `after`."""
    differing = [name for name in KEYS if value_of(before, name) != value_of(after, name)]
    values = tuple((name, value_of(after, name)) for name in differing if is_live(name))
    return SettingsDifference(values, tuple(name for name in differing if not is_live(name)))


def preset_difference(
    settings: Settings, preset: SettingsLayer, previous: SettingsLayer, base: Settings
) -> SettingsDifference:
    """Return what applying `preset` changes in `settings`, to which the preset `previous` (empty: none) was applied.

    `base` is the settings without any preset. Raises one ConfigError with all problems of `preset`.
    """
    values, bindings = _read_layer(previous)
    # What `previous` set goes back to the base, except where the value is another one by now.
    unchanged = [name for name, value in values.items() if value_of(settings, name) == value]
    after = with_values(settings, ((name, value_of(base, name)) for name in unchanged))
    for (key, number), target in bindings.items():
        if dict(value_of(after, key)).get(number) == target:
            after = _with_binding(after, key, number, dict(value_of(base, key)).get(number))
    return settings_difference(settings, with_layer(after, preset))


def with_layer(settings: Settings, layer: SettingsLayer) -> Settings:
    """Return `settings` with the values of `layer` over them. Raises one ConfigError with all problems of `layer`."""
    values, bindings = _read_layer(layer)
    settings = with_values(settings, values.items())
    for (key, number), target in bindings.items():
        settings = _with_binding(settings, key, number, target)
    return settings


def _read_layer(layer: SettingsLayer) -> tuple[dict[str, object], dict[tuple[str, int], Target | None]]:
    """Return the values of `layer` by key, and its bindings by key and number."""
    read = resolve_settings([layer])
    names = [name for name in layer if name not in (*GROUPS, *BINDING_KEYS) and not bindings_key_of(name)]
    values = {name: value_of(read, name) for name in names}
    if "chart.changes" in layer:
        values.setdefault("chart.file", None)
    bindings = {}
    for name, given in layer.items():
        if key := bindings_key_of(name):
            number, target = read_binding(name, given.value)
            bindings[key, number] = target
    return values, bindings


def _with_binding(settings: Settings, key: str, number: int, target: Target | None) -> Settings:
    return with_values(settings, [(key, value_of(settings, key).with_binding(number, target))])
