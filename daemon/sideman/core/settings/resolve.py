# SPDX-License-Identifier: Apache-2.0
"""Combines layers of written values into `Settings` and reports all mistakes at once.

Nothing is read or written here: `sideman.config` reads the files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from msgspec import Struct

from sideman.core.chart.chart import ChartError
from sideman.core.chart.text import parse_changes
from sideman.core.errors import ConfigError
from sideman.core.settings.bindings import bindings_key_of, read_binding, second_halves
from sideman.core.settings.schema import GROUPS, KEYS, Settings, closest_key, value_of, with_values
from sideman.core.settings.types import quoted, quoted_name
from sideman.core.settings.voices import VOICES
from sideman.core.targets import Bindings
from sideman.core.timing.clock_source import CLOCK_SOURCES

MAX_PROBLEMS = 50
"""At most this many problems are reported. A file with more is probably not a configuration."""


class WrittenValue(Struct, frozen=True):
    """A value as a person wrote it, and where: `sideman.yaml:12`, `--set`."""

    value: object
    source: str


SettingsLayer = Mapping[str, WrittenValue]
"""The values of one source by dotted key, in the order in which they were written."""

EntryName = str | tuple[str, int]
"""What a layer gives a value to: the dotted key of a setting, or the key and the number of a binding."""


def resolve_settings(
    layers: Iterable[SettingsLayer], problems: Sequence[str] = (), *, reads_chart: bool = True
) -> Settings:
    """Return the settings of `layers`: later layers override earlier ones, and all override the defaults.

    Every value of every layer is checked, also one that a later layer overrides. Raises one ConfigError with a line for
    each of `problems` (those found while the layers were read) and for each problem found here. `reads_chart`: whether
    the chords of chart.changes are checked, too, which may take long.
    """
    found, settings = list(problems), Settings()
    written: dict[str, WrittenValue] = {}
    for layer in layers:
        entries, layer_problems = read_layer(layer)
        found += layer_problems
        settings = with_entries(settings, entries)
        given = {name: value for name, value in layer.items() if name in entries or bindings_key_of(name)}
        written = {**{name: value for name, value in written.items() if name not in given}, **given}
    if "tempo.bpm" in written and "chart.tempo" not in written:
        settings = with_values(settings, [("chart.tempo", False)])
    # The chords are read here as well, so that a wrong chord is reported together with everything else.
    if reads_chart and "chart.changes" in written and settings.chart.file is None:
        try:
            parse_changes(
                settings.chart.changes, settings.tempo.meter, f"{written['chart.changes'].source}: chart.changes"
            )
        except ChartError as error:
            found.append(str(error))
    found += [problem for _, problem in conflicts(settings, written)]
    if len(found) > MAX_PROBLEMS:
        found[MAX_PROBLEMS:] = ["… and more problems"]
    if found:
        raise ConfigError("\n".join(found))
    return settings


def with_entries(settings: Settings, entries: Mapping[EntryName, Any]) -> Settings:
    """Return `settings` with other values for some settings and bindings; a target of None removes a binding."""
    settings = with_values(settings, ((name, value) for name, value in entries.items() if isinstance(name, str)))
    for name, value in entries.items():
        if not isinstance(name, str):
            key, number = name
            settings = with_values(settings, [(key, value_of(settings, key).with_binding(number, value))])
    return settings


def read_layer(layer: SettingsLayer) -> tuple[dict[EntryName, Any], list[str]]:
    """Return what `layer` gives, and its problems."""
    entries: dict[EntryName, Any] = {}
    # A layer with chords asks for these chords: they override the chart file of an earlier layer.
    if "chart.changes" in layer and "chart.file" not in layer:
        entries["chart.file"] = None
    # In the same way one chart is asked for in place of the set of an earlier layer.
    if {"chart.changes", "chart.file"} & layer.keys() and not {"chart.set", "chart.song"} & layer.keys():
        entries["chart.set"] = ()
    problems = []
    first_names: dict[EntryName, str] = {}  # of the bindings: C1 and 24 mean the same pitch
    for name, given in layer.items():
        if name in GROUPS and given.value in (None, {}):
            continue  # `play:` with every key below it commented out
        place = f"{given.source}: {quoted_name(name)}"
        try:
            if key := bindings_key_of(name):
                number, target = read_binding(name, given.value)
                if (first_name := first_names.setdefault((key, number), name)) == name:
                    entries[key, number] = target
                else:
                    problems.append(f"{place}: the same as {quoted_name(first_name)}, which is given already")
            elif not isinstance(value := _read_value(name, given.value), Bindings):  # a group without entries
                entries[name] = value
        except ValueError as error:
            shown = "a secret" if name in KEYS and KEYS[name].value_type.is_secret else quoted(given.value)
            problems.append(f"{place}: {shown}: {error}")
        if len(problems) > MAX_PROBLEMS:  # to look for a similar key each time would take long
            break
    return entries, problems


def _read_value(name: str, value: object) -> object:
    if key := KEYS.get(name):
        return key.value_type.read_explained(value)
    if name in GROUPS:
        inside = ", ".join(GROUPS[name].__struct_fields__)
        raise ValueError(f"a group, not a key; put under it any of {inside}")
    likely = closest_key(name)
    hint = f"; did you mean {likely} ({KEYS[likely].value_type.allowed})?" if likely else ""
    raise ValueError(f"no such key{hint}")


_DISTINCT_CHANNELS = {
    **{
        (other.channel_key, row.channel_key): f"{other.text} and {row.text} would cut off each other's notes"
        for row, other in combinations(VOICES.values(), 2)
    },
    ("midi.chords", "midi.drums"): "sideman does not hear you on the channel of the clicks",
    ("midi.chords", "midi.listen"): "what you hold there are chords, and your notes are heard nowhere else",
}
"""Channels that must differ, and why."""


def conflicts(settings: Settings, written: SettingsLayer) -> list[tuple[str, str]]:
    """Return which values of `written`, which `settings` hold, do not fit others in them: the name, and a line."""
    found = [*_port_conflicts(settings, written), *_second_half_conflicts(settings, written)]
    if settings.model.learn and settings.model.engine != "numpy":
        name = _last_of(written, "model.learn", "model.engine")
        found += [] if name is None else [(name, f"{name}: learning needs model.engine: numpy")]
    for row in VOICES.values():
        bank, name = value_of(settings, row.bank_key), _last_of(written, row.bank_key)
        if bank is not None and value_of(settings, row.program_key) is None and name is not None:
            found.append((name, f"{name}: {bank}: a bank takes effect with a program; set {row.program_key}, too"))
    found += _channel_conflicts(settings, written)
    return [(name, f"{written[name].source}: {problem}") for name, problem in found]


def _last_of(written: SettingsLayer, *names: str) -> str | None:
    """Return which of `names` was written last, if one was."""
    return next((name for name in reversed([*written]) if name in names), None)


def _port_conflicts(settings: Settings, written: SettingsLayer) -> Iterator[tuple[str, str]]:
    # Without a MIDI input sideman would wait in silence for ever for a clock that comes in there.
    clock = settings.tempo.source
    key = "tempo.port" if settings.tempo.port else "midi.input"
    if CLOCK_SOURCES[clock].needs_midi_input and value_of(settings, key) in ("none", ("none",)) and key in written:
        yield key, f"{key}: none: the clock of tempo.source: {clock} comes in there; name a port, or auto"
    key = "midi.drums_output"
    for row in (row for voice, row in VOICES.items() if voice != "drums"):
        if settings.midi.drums_output and row.channel(settings.midi) == settings.midi.drums and key in written:
            yield key, f"{key}: midi.drums is the channel of {row.text}, too ({row.channel_key}); choose another"


def _second_half_conflicts(settings: Settings, written: SettingsLayer) -> Iterator[tuple[str, str]]:
    bound, names = dict(settings.midi.cc), dict[int, str]()
    for name in written:
        if bindings_key_of(name) == "midi.cc":
            with contextlib.suppress(ValueError):  # which `read_layer` reports
                names[read_binding(name, None)[0]] = name
    for first, second in second_halves(settings.midi.cc):
        if second in names:
            reason = f"it is the second half of midi.cc.{first}: {bound[first].text}; choose another"
            yield names[second], f"midi.cc.{second}: {bound[second].text}: {reason}"
        elif first in names:
            reason = f"its second half, midi.cc.{second}, is bound: {bound[second].text}"
            yield names[first], f"midi.cc.{first}: {bound[first].text}: {reason}"


def _channel_conflicts(settings: Settings, written: SettingsLayer) -> Iterator[tuple[str, str]]:
    for keys, reason in _DISTINCT_CHANNELS.items():
        rows = {row.channel_key: row for row in VOICES.values() if row.channel_key in keys}
        channel, other = (rows[key].channel(settings.midi) if key in rows else value_of(settings, key) for key in keys)
        idle = len(rows) > 1 and any(not row.plays(settings.midi, settings.play) for row in rows.values())
        if channel is None or channel != other or idle:
            continue
        if (name := _last_of(written, *keys)) is not None:
            same = keys[1] if name == keys[0] else keys[0]
            yield name, f"{name}: {channel}: the channel of {same}, too: {reason}; choose another"
        elif len(rows) > 1 and (name := _last_of(written, "play.comp", "play.style")) is not None:
            shown = f"{name}: {quoted(written[name].value)}: {keys[0]} and {keys[1]} are both {channel}"
            yield name, f"{shown}: {reason}; give them two channels, and start sideman again"
