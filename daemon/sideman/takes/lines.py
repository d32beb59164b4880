# SPDX-License-Identifier: Apache-2.0
"""The lines of a journal: reports, settings and charts as JSON, and back.

A report is the array of its tag and its fields: `["Sent",1.5,3.0,["NoteOn",60,80,1]]`. Most structs of
`sideman.core.events` are written by msgspec just as they are. Those that hold chords, values, meters, settings or a
chart have a struct here in which these are written as people write them (`Dm7`, `C,0.500,+2`, `3/4`).

What is read is checked, and `ValueError` says what is wrong and where in the line.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sideman.core import events
from sideman.core.chart.chart import ChartError, parse_meter
from sideman.core.chart.written import WrittenChart
from sideman.core.errors import ConfigError
from sideman.core.events import (
    Advanced,
    BarPlayed,
    BarStarted,
    EventSent,
    InputReceived,
    NoteHeard,
    PlayerEnded,
    PortChanged,
)
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.core.settings.schema import KEYS, Settings, value_of, with_values
from sideman.core.settings.types import quoted
from sideman.core.settings.written import setting_from_json, setting_to_json
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import parse_chord
from sideman_models.music.values import parse_value

RecordedReport = BarStarted | BarPlayed | EventSent | InputReceived | NoteHeard | Advanced | PlayerEnded | PortChanged
_MAX_REASON_LENGTH = 300


def encode_report(report: RecordedReport) -> bytes:
    """The line of a report, with its line break."""
    line: msgspec.Struct = report
    match report:
        case InputReceived(second, beat, item):
            if isinstance(item, events.SetChart):
                line = _InputLine(second, beat, _SetChartLine(WrittenChart.of(item.chart)))
            elif isinstance(item, events.QueueSong):
                chart = None if item.chart is None else WrittenChart.of(item.chart)
                line = _InputLine(second, beat, _QueueSongLine(item.number, chart, item.bpm))
            elif isinstance(item, events.ChangeSettings):
                values = tuple((name, setting_to_json(name, value)) for name, value in item.values)
                line = _InputLine(second, beat, _ChangeSettingsLine(values))
            else:
                line = _InputLine(second, beat, item)
        case BarStarted(beat, meter, changes, key):
            chords = tuple((at, chord.text) for at, chord in changes)
            in_key = None if key is None else _BarInKeyLine(beat, str(meter), chords, key)
            line = in_key or _BarStartedLine(beat, str(meter), chords)
        case BarPlayed(number, chords, choices):
            lines = tuple(
                _ChoiceLine(each.tick, each.length, each.index, each.value.text, each.pitch, each.velocity, each.motif)
                for each in choices
            )
            line = _BarPlayedLine(number, tuple(chord.text for chord in chords), lines)
    return encode_line(line)


def _read_item(item: _WrittenItem) -> events.MidiEvent | events.Command:
    match item:
        case _SetChartLine(chart):
            return events.SetChart(chart.chart())
        case _QueueSongLine(number, chart, bpm):
            return events.QueueSong(number, None if chart is None else chart.chart(), bpm)
        case _ChangeSettingsLine(values):
            return events.ChangeSettings(tuple(setting_from_json(name, value) for name, value in values))
        case _:
            return item


def encode_line(content: object) -> bytes:
    """Any struct, or a dict of structs, as a line of JSON, with its line break."""
    return _ENCODER.encode(content) + b"\n"


def decode_report(line: bytes) -> RecordedReport:
    """The report of a line. Raises ValueError."""
    try:
        read: RecordedReport | _InputLine | _BarInKeyLine | _BarPlayedLine = _DECODER.decode(line)
        match read:
            case _InputLine(second, beat, item):
                return InputReceived(second, beat, _read_item(item))
            case _BarInKeyLine(beat, meter, changes, key):
                chords = tuple((at, parse_chord(text)) for at, text in changes)
                return BarStarted(beat, parse_meter(meter), chords, key)
            case _BarPlayedLine(number, texts, lines):
                choices = tuple(
                    events.Choice(
                        one.tick,
                        one.length,
                        one.index,
                        parse_value(one.value),
                        one.pitch,
                        one.velocity,
                        motif=one.motif,
                    )
                    for one in lines
                )
                return BarPlayed(number, tuple(map(parse_chord, texts)), choices)
            case report:
                return report
    except msgspec.ValidationError as error:
        raise ValueError(explain(error)) from None
    except (ChartError, ModelsError) as error:
        raise ValueError(str(error)[:_MAX_REASON_LENGTH]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"not a line of a journal: {quoted(line[:40].decode('utf-8', 'replace'))}") from None


def explain(error: msgspec.ValidationError) -> str:
    """The text of an error in one short line, with the place first: `[3][2]: Expected `int` <= 127`."""
    reason, _, place = str(error)[:_MAX_REASON_LENGTH].partition(" - at `$")
    return f"{place.strip('.`')}: {reason}" if place else reason


# -- settings


def settings_to_json(settings: Settings) -> dict[str, Any]:
    """Every key with its value as people write it."""
    return {name: setting_to_json(name, value_of(settings, name)) for name in KEYS}


def settings_from_json(written: dict[str, Any], where: str) -> Settings:
    """The settings written so. Raises ConfigError, naming `where`, with everything that is wrong."""
    bindings = {name: value for name, value in written.items() if isinstance(value, list) and name in KEYS}
    others = {name: WrittenValue(value, where) for name, value in written.items() if name not in bindings}
    try:
        return with_values(resolve_settings([others]), [setting_from_json(*each) for each in bindings.items()])
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


# -- reports


class _ChoiceLine(events.Message, frozen=True, tag="Choice"):
    tick: int
    length: int
    index: int | None
    value: str
    pitch: events.Pitch | None
    velocity: events.DataByte
    motif: events.DataByte = 0


class _BarPlayedLine(events.Message, frozen=True, tag="BarPlayed"):
    number: events.BarNumber
    chords: tuple[str, ...]
    choices: tuple[_ChoiceLine, ...]


class _BarStartedLine(events.Message, frozen=True, tag="BarBegun"):
    beat: events.Beat
    meter: str
    changes: tuple[tuple[events.Beat, str], ...]


class _BarInKeyLine(_BarStartedLine, frozen=True, tag="BarBegun"):
    """The line of a bar in another key than the bar before; also what reads both."""

    key: str | None = None


class _SetChartLine(events.Message, frozen=True, tag="SetChart"):
    chart: WrittenChart


class _QueueSongLine(events.Message, frozen=True, tag="QueueSong"):
    number: events.SongNumber
    chart: WrittenChart | None
    bpm: events.SongTempo | None


class _ChangeSettingsLine(events.Message, frozen=True, tag="Change"):
    values: tuple[tuple[str, Any], ...]


_WrittenItem = events.MidiEvent | events.PlainCommand | _SetChartLine | _QueueSongLine | _ChangeSettingsLine


class _InputLine(events.Message, frozen=True, tag="Arrived"):
    second: events.Second
    beat: events.Beat
    item: _WrittenItem


_ENCODER = msgspec.json.Encoder(enc_hook=float)
"""The hook is for numbers of NumPy's types."""
_DECODER = msgspec.json.Decoder(
    EventSent | NoteHeard | Advanced | PlayerEnded | PortChanged | _InputLine | _BarInKeyLine | _BarPlayedLine
)
