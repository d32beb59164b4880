# SPDX-License-Identifier: Apache-2.0
"""The part of the control API that changes settings while the music plays: one, a preset, or all from the file again.

A change becomes commands for the player, which applies it with the next note. `settings` is already what will hold once
the player has done so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from msgspec import UNSET

from sideman.config.sources import SettingsSources, load_chart, read_preset
from sideman.config.yaml import parse_scalar
from sideman.control.protocol import AppliedLayer, ChangedValues, SettingInfo
from sideman.core.chart.chart import Chart
from sideman.core.errors import ConfigError, UsageError
from sideman.core.events import ChangeSettings, Command, SetChart
from sideman.core.settings.bindings import bindings_key_of
from sideman.core.settings.presets import SettingsDifference, preset_difference, settings_difference, with_layer
from sideman.core.settings.resolve import SettingsLayer, WrittenValue
from sideman.core.settings.schema import KEYS, Settings, closest_key, is_live, value_of, with_values, write_value
from sideman.core.settings.types import quoted
from sideman.core.timing.clock_source import CLOCK_SOURCES

_CHART_KEYS = {"chart.changes", "chart.file", "chart.transpose"}  # that lead to another chart


@dataclass
class SettingsApi:
    """Answers requests about the `settings`, which were first read from `sources`, and the `chart` that they lead to.

    `put` leaves a command for the player. `last_preset` was applied last.
    """

    put: Callable[[Command], None]
    settings: Settings
    chart: Chart
    sources: SettingsSources
    last_preset: SettingsLayer | None = None

    def describe(self, key: str | None) -> SettingInfo | dict[str, SettingInfo]:
        """Return what there is to know about the setting `key`, or about all."""
        if key is not None and key not in KEYS:
            likely = closest_key(key)
            raise UsageError(f"get: {quoted(key)}: no such key" + (f"; did you mean {likely}?" if likely else ""))
        infos = {
            name: SettingInfo(
                key=UNSET if key is None else name,
                value=write_value(name, value_of(self.settings, name)),
                default=write_value(name, setting.default),
                allowed=setting.value_type.allowed,
                live=is_live(name),
                about=setting.doc,
            )
            for name, setting in KEYS.items()
            if key in (None, name)
        }
        return infos if key is None else infos[key]

    def set(self, key: str, value: object) -> ChangedValues:
        """Change the setting `key`, which may also be an entry of a table, such as `midi.cc.20`."""
        meant = parse_scalar(value.strip()) if isinstance(value, str) else value  # text is read as on the command line
        try:
            wanted = with_layer(self.settings, {key: WrittenValue(meant, "set")})
        except ConfigError as error:
            if isinstance(meant, str) or meant == value:
                raise
            # On the command line the value looks like a number or a word of YAML, but it may be meant as text.
            try:
                wanted = with_layer(self.settings, {key: WrittenValue(value, "set")})
            except ConfigError:
                raise error from None
        table = bindings_key_of(key)
        if not is_live(table or key):
            raise ConfigError(f"{key}: cannot be changed while it plays; start sideman again to change it")
        source = self.settings.tempo.source
        if key == "tempo.bpm" and not CLOCK_SOURCES[source].accepts_tempo:
            raise ConfigError(f"tempo.bpm: the tempo comes from outside, because tempo.source is {source}")
        differing = dict(settings_difference(self.settings, wanted).values)
        self._apply_values(differing)
        changed = {table or key, *differing}
        return ChangedValues({name: write_value(name, value_of(wanted, name)) for name in KEYS if name in changed})

    def apply_preset(self, name: str) -> AppliedLayer:
        """Apply the settings of a preset, and take back those of the preset before it."""
        preset, named = _preset_layer(name), self.sources.preset
        previous = self.last_preset if self.last_preset is not None else _preset_layer(named) if named else {}
        base = replace(self.sources, preset=None).read()
        applied = self._apply_difference(preset_difference(self.settings, preset, previous, base))
        self.last_preset = preset
        return applied

    def reload(self) -> AppliedLayer:
        """Read the sources again, as at the start. A chart file is read again even if its name is the same."""
        difference = settings_difference(self.settings, self.sources.read())
        chart = load_chart(with_values(self.settings, difference.values))
        applied = self._apply_difference(difference)
        self._change_chart(chart)
        self.last_preset = None
        return applied

    def _apply_difference(self, difference: SettingsDifference) -> AppliedLayer:
        values = dict(difference.values)
        self._apply_values(values)
        changed = {name: write_value(name, value) for name, value in values.items()}
        return AppliedLayer(changed, list(difference.restart_keys))

    def _apply_values(self, values: Mapping[str, object]) -> None:
        """Apply values of live keys. If the chart is wrong, raises its error and applies nothing."""
        wanted = with_values(self.settings, values.items())
        if _CHART_KEYS & values.keys():
            self._change_chart(load_chart(wanted))
        if values:
            self.put(ChangeSettings(tuple(values.items())))
        self.settings = wanted

    def _change_chart(self, chart: Chart) -> None:
        if chart != self.chart:
            self.chart = chart
            self.put(SetChart(chart))


def _preset_layer(name: str) -> SettingsLayer:
    content = read_preset(name)
    if content.problems:
        raise ConfigError("\n".join(content.problems))
    return content.values
