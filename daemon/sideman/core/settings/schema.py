# SPDX-License-Identifier: Apache-2.0
"""Every setting, defined once: its default, its type, and what it does in a musician's words.

How to add a setting: add a field to one of the groups in `groups/`, each in a file of its own. `config/default.yaml` is
generated from them. A setting of `play` or `practice` can be changed while sideman plays; so can the others in
`LIVE_KEYS`. The first line of a group's docstring and the texts of its settings are the comments of default.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from sideman.core.chart.chart import Chart
from sideman.core.settings.groups.chart import ChartSettings
from sideman.core.settings.groups.control import ControlSettings
from sideman.core.settings.groups.definitions import definitions_of
from sideman.core.settings.groups.log import LogSettings
from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.settings.groups.model import ModelSettings
from sideman.core.settings.groups.play import PlaySettings
from sideman.core.settings.groups.practice import PracticeSettings
from sideman.core.settings.groups.takes import TakesSettings
from sideman.core.settings.groups.tempo import TempoSettings
from sideman.core.settings.set_list import SetSong
from sideman.core.settings.types import SettingType, plain_text
from sideman.core.targets import Bindings
from sideman.core.timing.clock_source import CLOCK_SOURCES
from sideman_models.text import closest


class Settings(Struct, frozen=True):
    """All settings. Every field of every group is one key of the configuration: `play.rate` is `.play.rate`."""

    midi: MidiSettings = MidiSettings()
    model: ModelSettings = ModelSettings()
    play: PlaySettings = PlaySettings()
    tempo: TempoSettings = TempoSettings()
    chart: ChartSettings = ChartSettings()
    practice: PracticeSettings = PracticeSettings()
    control: ControlSettings = ControlSettings()
    takes: TakesSettings = TakesSettings()
    log: LogSettings = LogSettings()


# -- The keys


class SettingKey(Struct, frozen=True):
    """The definition of one setting: its dotted name, its default, its type, and what it does."""

    name: str
    default: object
    value_type: SettingType
    doc: str


GROUPS: dict[str, type[Any]] = {name: type(getattr(Settings(), name)) for name in Settings.__struct_fields__}

KEYS: dict[str, SettingKey] = {
    f"{group}.{name}": SettingKey(f"{group}.{name}", default, value_type, doc)
    for group, kind in GROUPS.items()
    for name, default, (value_type, doc) in zip(
        kind.__struct_fields__, kind.__struct_defaults__, definitions_of(kind), strict=True
    )
}
"""Every setting by its dotted name, in the order of the default file."""

LIST_KEYS = frozenset(name for name, key in KEYS.items() if key.value_type.is_list)
"""The keys that may have a list, such as `[Keystep, Launchpad]`."""

BINDING_KEYS = tuple(name for name, key in KEYS.items() if isinstance(key.default, Bindings))
"""The keys that have numbered keys below them, such as `midi.cc.20`."""

CHART_KEYS = frozenset({"chart.changes", "chart.file", "chart.transpose", "chart.set", "chart.song"})
"""The keys that lead to another chart."""

LIVE_KEYS = frozenset(
    {"tempo.bpm", "chart.tempo", "midi.transpose", "midi.ghost", "log.level", *CHART_KEYS, *BINDING_KEYS}
)
"""The keys that can be changed while sideman plays, besides all keys of `play` and `practice`."""


def is_live(name: str) -> bool:
    """Whether the setting `name` can be changed while sideman plays."""
    return name.startswith(("play.", "practice.")) or name in LIVE_KEYS


def closest_key(name: str) -> str | None:
    """Return the key that was probably meant by `name`: one with a similar spelling, or with its group left out."""
    name = name[:100].lower()
    if near := closest(name, KEYS, 0.75):
        return near
    last_parts = {key.rpartition(".")[2]: key for key in reversed(KEYS)}
    return last_parts.get(closest(name.rpartition(".")[2], last_parts, 0.75) or "")


# -- The values


def value_of(settings: Settings, name: str) -> Any:  # noqa: ANN401 - a value of any type
    """Return the value of the key `name`."""
    group, _, key = name.partition(".")
    return getattr(getattr(settings, group), key)


def with_values(settings: Settings, values: Iterable[tuple[str, object]]) -> Settings:
    """Return `settings` with other values for some keys."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in values:
        group, _, key = name.partition(".")
        groups.setdefault(group, {})[key] = value
    return replace(settings, **{name: replace(getattr(settings, name), **changed) for name, changed in groups.items()})


def song_of(settings: Settings) -> SetSong | None:
    """Return the song of the set that is played; None if there is no set, or another chart is played."""
    chart = settings.chart
    return chart.set[chart.song - 1] if 1 <= chart.song <= len(chart.set) else None


def choruses_of(settings: Settings) -> int | None:
    """Return how many choruses are played, of the song of the set or else of the chart; None: without end."""
    song = song_of(settings)
    return settings.chart.choruses if song is None or song.choruses is None else song.choruses


def tempo_of(settings: Settings, chart: Chart) -> float | None:
    """Return the tempo that a song of a set or its chart asks for; None if it is `tempo.bpm` as it stands."""
    song = song_of(settings)
    if not CLOCK_SOURCES[settings.tempo.source].accepts_tempo:
        return None
    return (song.bpm if song else None) or (chart.info.tempo if settings.chart.tempo else None)


def write_value(name: str, value: object) -> object:
    """Return the value of the key `name` as it is written: plain data that JSON and YAML can hold."""
    return KEYS[name].value_type.write(value)


def settings_line(values: Iterable[tuple[str, object]]) -> str:
    """Return values of keys as one line of the log: `play.gate is 0.8, play.range is E3-C6`."""
    texts = ((name, " ".join(plain_text(write_value(name, value)).split())) for name, value in values)
    return ", ".join(f"{name} is {text if len(text) <= 100 else text[:100] + '…'}" for name, text in texts)
