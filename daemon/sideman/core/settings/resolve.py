# SPDX-License-Identifier: Apache-2.0
"""Combines layers of written values into `Settings` and reports all mistakes at once.

Nothing is read or written here: `sideman.config` reads the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations

from sideman.core.chart.chart import ChartError
from sideman.core.chart.text import parse_changes
from sideman.core.errors import ConfigError
from sideman.core.settings.bindings import bindings_key_of, read_binding
from sideman.core.settings.schema import GROUPS, KEYS, NO_BINDINGS, Settings, TempoSettings, closest_key, value_of
from sideman.core.settings.types import quoted, quoted_name
from sideman.core.settings.voices import VOICES
from sideman.core.targets import Bindings
from sideman.core.timing.clock_source import CLOCK_SOURCES

MAX_PROBLEMS = 50
"""At most this many problems are reported. A file with more is probably not a configuration."""


@dataclass(frozen=True, slots=True)
class WrittenValue:
    """A value as a person wrote it, and where: `sideman.yaml:12`, `--set`."""

    value: object
    source: str


SettingsLayer = Mapping[str, WrittenValue]
"""The values of one source by dotted key, in the order in which they were written."""


def resolve_settings(layers: Iterable[SettingsLayer], problems: Sequence[str] = ()) -> Settings:
    """Return the settings of `layers`: later layers override earlier ones, and all override the defaults.

    Every value of every layer is checked, also one that a later layer overrides. Raises one ConfigError with a line for
    each of `problems` (those found while the layers were read) and for each problem found here.
    """
    found = list(problems)
    values: dict[str, object] = {}
    written: dict[str, WrittenValue] = {}
    for layer in layers:
        # A layer with chords asks for these chords: they override the chart file of an earlier layer.
        if "chart.changes" in layer and "chart.file" not in layer:
            values.pop("chart.file", None)
        names: dict[tuple[str, int], str] = {}
        for name, given in layer.items():
            if name in GROUPS and given.value in (None, {}):
                continue  # `play:` with every key below it commented out
            try:
                if bindings_key_of(name):
                    _add_binding(name, given, values, names)
                elif not isinstance(
                    value := _read_value(name, given), Bindings
                ):  # a group with no entries says nothing
                    values[name] = value
                    written[name] = given
            except _SettingError as error:
                found.append(f"{given.source}: {error}")
    settings = _build_settings(values)
    found += [*_chart_problems(values, written), *_clock_problems(settings, written)]
    found += _channel_problems(settings, written)
    if len(found) > MAX_PROBLEMS:
        found[MAX_PROBLEMS:] = [f"… and {len(found) - MAX_PROBLEMS} problems more"]
    if found:
        raise ConfigError("\n".join(found))
    return settings


class _SettingError(Exception):
    """One key is wrong; the text lacks only the place."""


def _read_value(name: str, given: WrittenValue) -> object:
    key = KEYS.get(name)
    if key is None:
        raise _SettingError(_unknown_key_message(name, given.value))
    try:
        return key.value_type.read_explained(given.value)
    except ValueError as error:
        raise _SettingError(f"{name}: {quoted(given.value)}: {error}") from None


def _unknown_key_message(name: str, value: object) -> str:
    if name in GROUPS:
        inside = ", ".join(each.name for each in fields(GROUPS[name]))
        return f"{name}: {quoted(value)}: a group, not a key; put under it any of {inside}"
    likely = closest_key(name)
    hint = f"; did you mean {likely} ({KEYS[likely].value_type.allowed})?" if likely else ""
    return f"{quoted_name(name)}: {quoted(value)}: no such key{hint}"


def _add_binding(name: str, given: WrittenValue, values: dict[str, object], names: dict[tuple[str, int], str]) -> None:
    """Add the entry `name` to the bindings in `values`, which collect the entries of all layers.

    `names` has the entries of this layer so far: the names C1 and 24 mean the same pitch.
    """
    key = bindings_key_of(name) or ""
    try:
        number, target = read_binding(name, given.value)
    except ValueError as error:
        raise _SettingError(f"{quoted_name(name)}: {quoted(given.value)}: {error}") from None
    first_name = names.setdefault((key, number), name)
    if first_name != name:
        raise _SettingError(f"{quoted_name(name)}: the same as {quoted_name(first_name)}, which is given already")
    bindings = values.get(key)
    values[key] = (bindings if isinstance(bindings, Bindings) else NO_BINDINGS).with_binding(number, target)


def _build_settings(values: Mapping[str, object]) -> Settings:
    groups: dict[str, dict[str, object]] = {name: {} for name in GROUPS}
    for name, value in values.items():
        group, _, key = name.partition(".")
        groups[group][key] = value
    return Settings(**{name: GROUPS[name](**members) for name, members in groups.items()})


# -- problems between settings


def _chart_problems(values: Mapping[str, object], written: SettingsLayer) -> list[str]:
    """Read the chords here as well, so that a wrong chord is reported together with everything else."""
    given = written.get("chart.changes")
    if given is None or values.get("chart.file") is not None:
        return []
    meter = values.get("tempo.meter", TempoSettings().meter)
    try:
        parse_changes(str(values["chart.changes"]), meter, f"{given.source}: chart.changes")  # type: ignore[arg-type]
    except ChartError as error:
        return [str(error)]
    return []


def _clock_problems(settings: Settings, written: SettingsLayer) -> list[str]:
    """Without a MIDI input sideman would wait in silence for ever for a clock that comes in there."""
    source = settings.tempo.source
    if not CLOCK_SOURCES[source].needs_midi_input or settings.midi.input != "none":
        return []
    where = written["midi.input"].source
    return [f"{where}: midi.input: none: the clock of tempo.source: {source} comes in there; name a port, or auto"]


_DISTINCT_CHANNELS = {
    **{
        (other.channel_key, row.channel_key): f"{other.text} and {row.text} would cut off each other's notes"
        for row, other in combinations(VOICES.values(), 2)
    },
    ("midi.chords", "midi.drums"): "sideman does not hear you on the channel of the clicks",
    ("midi.chords", "midi.listen"): "what you hold there are chords, and your notes are heard nowhere else",
}
"""Channels that must differ, and why."""


def _channel_problems(settings: Settings, written: SettingsLayer) -> list[str]:
    """Report channels that must differ and do not. The defaults differ, so one of the two was written."""
    problems = []
    for keys, reason in _DISTINCT_CHANNELS.items():
        channel, other = (value_of(settings, key) for key in keys)
        idle = any(row.channel_key in keys and not row.plays(settings.play) for row in VOICES.values())
        if channel is None or channel != other or idle:
            continue
        name = [key for key in written if key in keys][-1]
        same = keys[1] if name == keys[0] else keys[0]
        problems.append(
            f"{written[name].source}: {name}: {channel}: the channel of {same}, too: {reason}; choose another"
        )
    return problems
