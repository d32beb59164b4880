# SPDX-License-Identifier: Apache-2.0
"""From what people wrote to `Settings`: later layers over earlier ones, over the defaults.

`resolve_settings` raises one `ConfigError` that tells everything that is wrong. Nothing is read or written here: files
belong to `sideman.config.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from sideman.core.chart.chart import ChartError
from sideman.core.chart.text import parse_changes
from sideman.core.errors import ConfigError
from sideman.core.settings.bindings import Bindings
from sideman.core.settings.read_bindings import bindings_key_of, read_binding
from sideman.core.settings.schema import GROUPS, KEYS, NO_BINDINGS, Settings, TempoSettings, value_of
from sideman.core.settings.types import quoted, quoted_name

MAX_PROBLEMS = 50
"""Told at once; a file with more is probably not a configuration."""


@dataclass(frozen=True, slots=True)
class WrittenValue:
    """A value as somebody wrote it, and where: `sideman.yaml:12`, `--set`."""

    value: object
    source: str


SettingsLayer = Mapping[str, WrittenValue]
"""What one place says: values by dotted key, in the order they were written."""


def resolve_settings(layers: Iterable[SettingsLayer], problems: Sequence[str] = ()) -> Settings:
    """The settings that `layers` give, later ones over earlier ones, over the defaults.

    Every value of every layer is checked, also one that a later layer replaces. Raises one `ConfigError` with a line
    for each of `problems` (what was found wrong while the layers were read) and for each problem found here.
    """
    found = list(problems)
    merged: dict[str, WrittenValue] = {}
    values: dict[str, object] = {}
    for layer in layers:
        # A layer that gives changes means them to be played: it outdoes a chart file named in an earlier one.
        if "chart.changes" in layer and "chart.file" not in layer:
            values.pop("chart.file", None)
        named: dict[tuple[str, int], str] = {}
        for name, given in layer.items():
            if name in GROUPS and given.value in (None, {}):
                continue  # `play:` with every key below it commented out
            try:
                if bindings_key_of(name):
                    _add_binding(name, given, values, named)
                elif (value := _read_value(name, given)) is not NO_BINDINGS:  # a table with every entry commented out
                    values[name] = value
                    merged[name] = given
            except _SettingError as error:
                found.append(f"{given.source}: {error}")
    found += _chart_problems(values, merged) + _clock_problems(values, merged) + _channel_problems(values, merged)
    if len(found) > MAX_PROBLEMS:
        found[MAX_PROBLEMS:] = [f"… and {len(found) - MAX_PROBLEMS} problems more"]
    if found:
        raise ConfigError("\n".join(found))
    return _build_settings(values)


class _SettingError(Exception):
    """One key is wrong; the text lacks only the place."""


def _read_value(name: str, given: WrittenValue) -> object:
    key = KEYS.get(name)
    if key is None:
        raise _SettingError(_unknown_key_message(name, given.value))
    try:
        return key.value_type.read(given.value)
    except ValueError as error:
        reason = f"{error}; " if str(error) else ""
        raise _SettingError(f"{name}: {quoted(given.value)}: {reason}allowed is {key.value_type.allowed}") from None


def _add_binding(
    name: str, given: WrittenValue, values: dict[str, object], names_in_layer: dict[tuple[str, int], str]
) -> None:
    """Add the entry `name` to its table in `values`: a table is the sum of what all layers say of it.

    `named` has the entries of this layer so far: C1 and 24 are the same pitch.
    """
    table = bindings_key_of(name) or ""
    try:
        number, target = read_binding(name, given.value)
    except ValueError as error:
        raise _SettingError(f"{quoted_name(name)}: {quoted(given.value)}: {error}") from None
    if names_in_layer.setdefault((table, number), name) != name:
        raise _SettingError(
            f"{quoted_name(name)}: the same as {quoted_name(names_in_layer[table, number])}, which is given already"
        )
    bound = values.get(table)
    values[table] = (bound if isinstance(bound, Bindings) else NO_BINDINGS).with_binding(number, target)


def _unknown_key_message(name: str, value: object) -> str:
    if name in GROUPS:
        inside = ", ".join(each.name for each in fields(GROUPS[name]))
        return f"{name}: {quoted(value)}: a group, not a key; put under it any of {inside}"
    likely = closest_key(name)
    hint = f"; did you mean {likely} ({KEYS[likely].value_type.allowed})?" if likely else ""
    return f"{quoted_name(name)}: {quoted(value)}: no such key{hint}"


def closest_key(name: str) -> str | None:
    """The key that somebody who wrote `name` may have meant: one spelled nearly so, or with the group left out."""
    import difflib  # only a mistake needs it

    name = name[:100].lower()
    near = difflib.get_close_matches(name, KEYS, 1, 0.75)
    if near:
        return near[0]
    last = {key.rpartition(".")[2]: key for key in reversed(KEYS)}
    return next((last[each] for each in difflib.get_close_matches(name.rpartition(".")[2], last, 1, 0.75)), None)


def _chart_problems(values: Mapping[str, object], merged: SettingsLayer) -> list[str]:
    """The changes are read here too, so that a wrong chord is told with everything else."""
    given = merged.get("chart.changes")
    if given is None or values.get("chart.file") is not None:
        return []
    meter = values.get("tempo.meter", TempoSettings().meter)
    try:
        parse_changes(str(values["chart.changes"]), meter, f"{given.source}: chart.changes")  # type: ignore[arg-type]
    except ChartError as error:
        return [str(error)]
    return []


def _clock_problems(values: Mapping[str, object], merged: SettingsLayer) -> list[str]:
    """A clock that can reach us nowhere would be waited for in silence for ever."""
    if values.get("tempo.source") != "midi-clock" or values.get("midi.input") != "none":
        return []
    given = merged["midi.input"]
    return [
        f"{given.source}: midi.input: none: the clock of tempo.source: midi-clock comes in there; name a port, or auto"
    ]


_DISTINCT_CHANNELS = {
    ("midi.comp", "midi.channel"): "the accompaniment and the solo would cut off each other's notes",
    ("midi.chords", "midi.drums"): "you are not heard on the channel of the clicks",
    ("midi.chords", "midi.listen"): "what is held there is the changes, and you would be heard nowhere else",
}
"""Channels that must not be the same, and why."""


def _channel_problems(values: Mapping[str, object], merged: SettingsLayer) -> list[str]:
    """Two parts on one channel would get in each other's way without a word; they never do as they come."""
    settings, found = _build_settings(values), []
    for keys, reason in _DISTINCT_CHANNELS.items():
        channel, other = (value_of(settings, key) for key in keys)
        if channel is None or channel != other or (keys[0] == "midi.comp" and settings.play.comp == "off"):
            continue
        name = [key for key in merged if key in keys][-1]
        same = keys[1] if name == keys[0] else keys[0]
        found.append(f"{merged[name].source}: {name}: {channel}: the channel of {same}, too: {reason}; give it another")
    return found


def _build_settings(values: Mapping[str, object]) -> Settings:
    parts: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        group, _, key = name.partition(".")
        parts.setdefault(group, {})[key] = value
    return Settings(**{group: kind(**parts.get(group, {})) for group, kind in GROUPS.items()})
