# SPDX-License-Identifier: Apache-2.0
"""Presets and configuration files that are applied while sideman plays: what can change now, and what needs a restart.

A preset is applied over the current settings. When another preset follows, everything that the first one set goes back
to the base (the settings without any preset), except what somebody has changed since. So a preset sounds the same,
whichever preset came before it.
"""

from __future__ import annotations

from msgspec import Struct

from sideman.core.errors import ConfigError
from sideman.core.settings.bindings import bindings_key_of
from sideman.core.settings.resolve import (
    EntryName,
    SettingsLayer,
    conflicts,
    read_layer,
    resolve_settings,
    with_entries,
)
from sideman.core.settings.schema import KEYS, Settings, is_live, value_of


class SettingsDifference(Struct, frozen=True):
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
    # What `previous` set goes back to the base, except where the value is another one by now.
    entries, _ = read_layer(previous)
    unchanged = [name for name, value in entries.items() if _value_at(settings, name) == value]
    after = with_entries(settings, {name: _value_at(base, name) for name in unchanged})
    return settings_difference(settings, with_layer(after, preset))


def with_layer(settings: Settings, layer: SettingsLayer, *, reads_chart: bool = True) -> Settings:
    """Return `settings` with the values of `layer` over them.

    Raises one ConfigError with all problems of `layer`, or with those of its live values in these settings.
    """
    resolve_settings([layer], reads_chart=reads_chart)
    after = with_entries(settings, read_layer(layer)[0])
    live = {name: given for name, given in layer.items() if is_live(bindings_key_of(name) or name)}
    if found := conflicts(after, live):
        raise ConfigError("\n".join(problem for _, problem in found))
    return after


def _value_at(settings: Settings, name: EntryName) -> object:
    if isinstance(name, str):
        return value_of(settings, name)
    key, number = name
    return dict(value_of(settings, key)).get(number)
