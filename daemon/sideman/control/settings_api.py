# SPDX-License-Identifier: Apache-2.0
"""The part of the control API that answers requests about settings, presets and charts, and applies what they change.

What needs a file is a generator of jobs (`Steps`), which a process that reads performs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from sideman.config.reading import Changes, ChangesJob, ChartJob, written_settings
from sideman.config.sources import SettingsSources, chart_by_name, missing_presets
from sideman.config.yaml import parse_setting
from sideman.control import requests
from sideman.control.readings import Steps
from sideman.core import events
from sideman.core.chart.chart import Chart, ChartError
from sideman.core.errors import ConfigError, NoSuchInput, SidemanError, UsageError
from sideman.core.practice import check_loop
from sideman.core.settings.bindings import bindings_key_of, learnable
from sideman.core.settings.presets import settings_difference, with_layer
from sideman.core.settings.resolve import SettingsLayer, WrittenValue, conflicts
from sideman.core.settings.schema import (
    BINDING_KEYS,
    CHART_KEYS,
    GROUPS,
    KEYS,
    Settings,
    closest_key,
    is_live,
    tempo_of,
    value_of,
    with_values,
    write_value,
)
from sideman.core.settings.set_list import find_song
from sideman.core.settings.target_notes import check_targets
from sideman.core.settings.types import quoted
from sideman.core.timing.clock_source import CLOCK_SOURCES

_log = logging.getLogger(__name__)


class SettingsApi(Struct):
    """Answers requests about the `settings`, which were first read from `sources`, and the `chart` that they lead to.

    `put` leaves a command for the player. `configured` are the settings without what was changed while it played.
    `last_preset` was applied last: its name and its values.
    """

    put: Callable[[events.Command], None]
    settings: Settings
    configured: Settings
    chart: Chart
    sources: SettingsSources
    last_preset: tuple[str, SettingsLayer] | None = None
    song_changed: Callable[[], None] = lambda: None
    """Called when another song of the set follows."""
    next_song: events.QueueSong | None = None
    """The song of the set that the player was given to follow."""
    last_song: int = 0
    """The number of the last song of the set: after a chart in between, the one after it follows."""

    def describe(self, key: str | None) -> requests.SettingInfo | dict[str, requests.SettingInfo]:
        """Return what there is to know about the setting `key`, or about all."""
        if key is not None and key not in KEYS:
            likely = closest_key(key)
            raise UsageError(f"get: {quoted(key)}: no such key" + (f"; did you mean {likely}?" if likely else ""))
        infos = {
            name: requests.SettingInfo(
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

    def set(self, key: str, value: object, *, by_name: bool = False) -> requests.ChangedValues | Steps:
        """Change the setting `key`, which may also be an entry of a table, such as `midi.cc.20`, or a whole group.

        Steps if another chart has to be read for it. With `by_name` no path is accepted: `chart.file` has to be the
        name of a chart.
        """
        layer, wanted = self._with_value(key, value)
        if by_name:
            layer = _named_only(layer, wanted)
            wanted = with_layer(self.settings, layer, reads_chart=False)
        changed = {bindings_key_of(name) or name for name in layer}
        if fixed := [name for name in layer if not is_live(bindings_key_of(name) or name)]:
            raise ConfigError(f"{fixed[0]}: cannot be changed while it plays; start sideman again to change it")
        source = self.settings.tempo.source
        if "tempo.bpm" in changed and not CLOCK_SOURCES[source].accepts_tempo:
            raise ConfigError(f"tempo.bpm: the tempo comes from outside, because tempo.source is {source}")
        differing = dict(settings_difference(self.settings, wanted).values)
        changed |= differing.keys()
        result = requests.ChangedValues(
            {name: write_value(name, value_of(wanted, name)) for name in KEYS if name in changed}
        )
        if CHART_KEYS & differing.keys():
            return self._set_with_chart(differing, result)
        self._apply_values(differing)
        return result

    def play_chart(self, name: str, *, by_name: bool = False) -> Steps:
        """Play the chart `name`, or the song of the set that has this number or title, or a part of it.

        `by_name`: as in `set`.
        """
        songs = self.settings.chart.set
        number = find_song(songs, name)
        if number is None:
            file = chart_by_name(name) if by_name else name
            layer = {"chart.file": WrittenValue(file, "chart"), "chart.song": WrittenValue(0, "chart")}
        else:
            layer = {"chart.song": WrittenValue(number, "chart")}
        wanted = with_layer(self.settings, layer, reads_chart=False)
        try:
            chart = yield ChartJob.of(wanted)
        except NoSuchInput:
            number = find_song(songs, name, by_part=True)
            if number is None:
                raise
            wanted = with_values(self.settings, [("chart.song", number)])
            chart = yield ChartJob.of(wanted)
        differing = dict(settings_difference(self.settings, wanted).values)
        values = self._apply_values(differing, chart)
        changed = {name: write_value(name, value) for name, value in values.items()}
        return requests.ChangedValues(changed, _warnings_of(chart))

    def queue_next_song(self) -> Steps:
        """Give the player the song that follows in the set. One that cannot be read is left out, which is logged."""
        self.last_song = self.settings.chart.song or self.last_song
        first = self.last_song + 1
        for number in range(first, len(self.settings.chart.set) + 1):
            wanted = with_values(self.settings, [("chart.song", number)])
            try:
                chart: Chart = yield ChartJob.of(wanted)
            except SidemanError as error:
                _log.warning("song %d of chart.set is left out: %s", number, error)
                continue
            for warning in chart.info.warnings:
                _log.warning("%s", warning)
            self.next_song = events.QueueSong(number, chart, tempo_of(wanted, chart))
            break
        else:
            self.next_song = events.QueueSong(first, None)
        self.put(self.next_song)
        return None

    def take_song(self, number: object) -> None:
        """The player has gone on to the song of this number, if it is one."""
        if number is not None:
            song = self.next_song
            if song is not None and song.number == number and song.chart is not None:
                self.chart, self.next_song = song.chart, None
                songs = self.settings.chart.set
                _log.info("song %d of %d: %s", song.number, len(songs), songs[song.number - 1].text)
            self.song_changed()

    def _set_with_chart(self, values: Mapping[str, object], result: requests.ChangedValues) -> Steps:
        chart = yield ChartJob.of(with_values(self.settings, values.items()))
        applied = self._apply_values(values, chart, at_own_tempo="tempo.bpm" not in values)
        changed = {**result.changed, **{name: write_value(name, value) for name, value in applied.items()}}
        return replace(result, changed=changed, warnings=_warnings_of(chart))

    def _with_value(self, key: str, value: object) -> tuple[SettingsLayer, Settings]:
        """Return `value` of `key` as a layer, and the settings with it. Text is read as on the command line."""
        if isinstance(value, dict) and key in (*GROUPS, *BINDING_KEYS):
            layer: SettingsLayer = {f"{key}.{name}": WrittenValue(each, "set") for name, each in value.items()}
        else:
            layer = parse_setting(key, value.strip(), "set") if isinstance(value, str) else {}
        layer = layer or {key: WrittenValue(value, "set")}
        if problems := missing_presets(layer):
            raise ConfigError("\n".join(problems))
        try:
            return layer, with_layer(self.settings, layer, reads_chart=False)
        except ConfigError as error:
            if not isinstance(value, str) or [given.value for given in layer.values()] == [value]:
                raise
            # On the command line the value looks like a number or a word of YAML, but it may be meant as text.
            layer = {key: WrittenValue(value, "set")}
            try:
                return layer, with_layer(self.settings, layer, reads_chart=False)
            except ConfigError:
                raise error from None

    def apply_preset(self, name: str) -> Steps:
        """Apply the settings of a preset, and take back those of the preset before it."""
        previous = None if self.last_preset is None else self.last_preset[1]
        changes: Changes = yield ChangesJob(written_settings(self.settings), self.sources, name, previous)
        applied = yield from self._apply_changes(changes, read_chart=bool(CHART_KEYS & changes.values.keys()))
        self.last_preset = name, changes.layer
        return applied

    def reload(self) -> Steps:
        """Read the sources again, as at the start. A chart file is read again even if its name is the same."""
        before = self.settings
        changes: Changes = yield ChangesJob(written_settings(before), self.sources)
        applied = yield from self._apply_changes(changes, read_chart=True)
        self.configured = with_values(before, [(name, value_of(self.settings, name)) for name in applied.changed])
        self.last_preset = None
        return applied

    def read_bindings(self) -> Steps:
        """A binding was written into the configuration file: read what is bound there now."""
        changes: Changes = yield ChangesJob(written_settings(self.configured), self.sources)
        read = with_values(self.configured, changes.settings.items())
        self.configured = with_values(self.configured, learnable(read.midi).items())
        return None

    def _apply_changes(
        self, changes: Changes, *, read_chart: bool
    ) -> Generator[ChartJob, Chart, requests.AppliedLayer]:
        """Apply what was read. If the chart is wrong, its error is raised and nothing is applied."""
        values, later = dict(changes.settings), list(changes.restart_keys)
        live = {name: WrittenValue(value, "") for name, value in values.items()}
        while fixed := [
            name for name, _ in conflicts(with_values(self.settings, values.items()), live) if name in values
        ]:
            later += [fixed[0]]  # it fits only what needs a restart, too
            del values[fixed[0]], live[fixed[0]]
        chart = (yield ChartJob.of(with_values(self.settings, values.items()))) if read_chart else None
        values = dict(self._apply_values(values, chart, at_own_tempo="tempo.bpm" not in changes.layer))
        changed = {name: write_value(name, value) for name, value in values.items()}
        return requests.AppliedLayer(changed, later, _warnings_of(chart))

    def _apply_values(
        self, values: Mapping[str, object], chart: Chart | None = None, *, at_own_tempo: bool = True
    ) -> Mapping[str, object]:
        """Apply values of live keys, and the chart that they lead to, at its own tempo; return all that changes.

        A loop that this chart does not have ends; targets that it does not have stay, for the next chart.
        """
        wanted = with_values(self.settings, values.items())
        if "play.target" in values:
            check_targets(wanted.play.target, self.chart if chart is None else chart, wanted.play.range)
        try:
            check_loop(wanted, self.chart if chart is None else chart)
        except ChartError:
            if "practice.loop" in values:
                raise
            values = {**values, "practice.loop": None}
        bpm = tempo_of(wanted, chart) if chart is not None and at_own_tempo else None
        if bpm is not None:
            values = {key: value for key, value in values.items() if key != "tempo.bpm"}
            values |= {"tempo.bpm": bpm} if bpm != self.settings.tempo.bpm else {}
        if chart is not None and chart != self.chart:
            for warning in chart.info.warnings:
                _log.warning("%s", warning)
            self.chart = chart
            self.put(events.SetChart(chart))
        if values:
            self.put(events.ChangeSettings(tuple(values.items())))
        self.settings = with_values(self.settings, values.items())
        if CHART_KEYS & values.keys():
            self.song_changed()
        return values


def _named_only(layer: SettingsLayer, wanted: Settings) -> SettingsLayer:
    """Return `layer` with the paths of the charts that it names in place of their names. Raises NoSuchInput."""
    if "chart.file" in layer:
        layer = {**layer, "chart.file": WrittenValue(chart_by_name(wanted.chart.file), "set")}
    if "chart.set" in layer:
        songs = [replace(song, chart=chart_by_name(song.chart)).text for song in wanted.chart.set]
        layer = {**layer, "chart.set": WrittenValue(songs, "set")}
    return layer


def _warnings_of(chart: Chart | None) -> list[str] | UnsetType:
    return list(chart.info.warnings) if chart is not None and chart.info.warnings else UNSET
