# SPDX-License-Identifier: Apache-2.0
"""The lines of a journal: reports, settings and charts as JSON, and back.

A report is the array of its tag and its fields: `["Sent",1.5,3.0,["NoteOn",60,80,1]]`. Most structs of
`sideman.core.events` are written by msgspec just as they are. Those that hold chords, values, meters, settings or a
chart have a struct here in which these are written as people write them (`Dm7`, `C,0.500,+2`, `3/4`).

What is read is checked, and `ValueError` says what is wrong and where in the line.
"""

from __future__ import annotations

from typing import Any, Self

import msgspec

from sideman.core import events
from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, parse_meter
from sideman.core.errors import ConfigError
from sideman.core.events import Advanced, BarPlayed, BarStarted, EventSent, InputReceived, NoteHeard, PlayerEnded
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.core.settings.schema import KEYS, Settings, value_of, with_values, write_value
from sideman.core.settings.types import PitchRange, quoted
from sideman.core.targets import Bindings, SettingTarget
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import parse_chord
from sideman_models.music.values import parse_value

RecordedReport = BarStarted | BarPlayed | EventSent | InputReceived | NoteHeard | Advanced | PlayerEnded
_MAX_REASON_LENGTH = 300


def encode_report(report: RecordedReport) -> bytes:
    """The line of a report, with its line break."""
    line: msgspec.Struct = report
    match report:
        case InputReceived(second, beat, item):
            if isinstance(item, events.SetChart):
                line = _InputLine(second, beat, _SetChartLine(WrittenChart.of(item.chart)))
            elif isinstance(item, events.ChangeSettings):
                values = tuple((name, _setting_to_json(name, value)) for name, value in item.values)
                line = _InputLine(second, beat, _ChangeSettingsLine(values))
            else:
                line = _InputLine(second, beat, item)
        case BarStarted(beat, meter, changes):
            line = _BarStartedLine(beat, str(meter), tuple((at, chord.text) for at, chord in changes))
        case BarPlayed(number, chords, choices):
            lines = tuple(
                _ChoiceLine(each.tick, each.length, each.index, each.value.text, each.pitch, each.velocity)
                for each in choices
            )
            line = _BarPlayedLine(number, tuple(chord.text for chord in chords), lines)
    return encode_line(line)


def encode_line(content: object) -> bytes:
    """Any struct, or a dict of structs, as a line of JSON, with its line break."""
    return _ENCODER.encode(content) + b"\n"


def decode_report(line: bytes) -> RecordedReport:
    """The report of a line. Raises ValueError."""
    try:
        read: RecordedReport | _InputLine | _BarStartedLine | _BarPlayedLine = _DECODER.decode(line)
        match read:
            case _InputLine(second, beat, item):
                if isinstance(item, _SetChartLine):
                    return InputReceived(second, beat, events.SetChart(item.chart.chart()))
                if isinstance(item, _ChangeSettingsLine):
                    values = tuple(_setting_from_json(name, value) for name, value in item.values)
                    return InputReceived(second, beat, events.ChangeSettings(values))
                return InputReceived(second, beat, item)
            case _BarStartedLine(beat, meter, changes):
                chords = tuple((at, parse_chord(text)) for at, text in changes)
                return BarStarted(beat, parse_meter(meter), chords)
            case _BarPlayedLine(number, texts, lines):
                choices = tuple(
                    events.Choice(one.tick, one.length, one.index, parse_value(one.value), one.pitch, one.velocity)
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
    return {name: _setting_to_json(name, value_of(settings, name)) for name in KEYS}


def _setting_to_json(name: str, value: object) -> object:
    """`value` as people write it for the key `name`, but bindings as a tagged array and pitches as numbers."""
    match value:
        case Bindings():
            written = msgspec.json.decode(msgspec.json.encode(value))
            for _, target in written[1]:
                if target[-1] == SettingTarget.__struct_defaults__[-1]:  # so most bindings look as they always did
                    target.pop()
            return written
        case PitchRange(low, high):
            return f"{low}-{high}"
        case _:
            return write_value(name, value)


def settings_from_json(written: dict[str, Any], where: str) -> Settings:
    """The settings written so. Raises ConfigError, naming `where`, with everything that is wrong."""
    bindings = {name: value for name, value in written.items() if isinstance(value, list) and name in KEYS}
    others = {name: WrittenValue(value, where) for name, value in written.items() if name not in bindings}
    try:
        return with_values(resolve_settings([others]), [_setting_from_json(*each) for each in bindings.items()])
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _setting_from_json(name: str, value: object) -> tuple[str, object]:
    key = KEYS.get(name)
    if key is None:
        raise ValueError(f"{quoted(name)}: no such key")
    try:
        if isinstance(value, list) and isinstance(key.default, Bindings):
            return name, msgspec.convert(value, Bindings)
        return name, key.value_type.read(value)
    except ValueError:
        raise ValueError(f"{name}: {quoted(value)}: allowed is {key.value_type.allowed}") from None


# -- charts


class WrittenInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written about a chart besides its chords: the fields of `ChartInfo`."""

    title: str
    composer: str
    key: str
    tempo: events.Real | None
    sections: tuple[tuple[int, str], ...]


class WrittenChart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A chart bar by bar, each chord with its onset, so that any onsets can be written, unlike in `Chart.text`.

    `meter` is that of the first bar; `meters` are the bars where it changes, counted from 0.
    """

    meter: str
    bars: tuple[tuple[tuple[events.Beat, str], ...], ...]
    meters: tuple[tuple[int, str], ...] = ()
    about: WrittenInfo

    @classmethod
    def of(cls, chart: Chart) -> Self:
        """The form of a chart."""
        before = [chart.meter, *(bar.meter for bar in chart.bars)]
        return cls(
            meter=str(chart.meter),
            bars=tuple(tuple((at, chord.text) for at, chord in bar.chords) for bar in chart.bars),
            meters=tuple((at, str(bar.meter)) for at, bar in enumerate(chart.bars) if bar.meter != before[at]),
            about=msgspec.convert(chart.info, WrittenInfo, from_attributes=True),
        )

    def chart(self) -> Chart:
        """The chart of this form. Raises ValueError."""
        try:
            meter, changes = parse_meter(self.meter), dict(self.meters)
            bars = []
            for number, chords in enumerate(self.bars):
                meter = parse_meter(changes[number]) if number in changes else meter
                onsets = [at for at, _ in chords]
                if not onsets or onsets[0] != 0 or onsets != sorted(set(onsets)) or onsets[-1] >= meter.quarters:
                    raise ChartError("chords out of their bar")
                bars.append(Bar(tuple((at, parse_chord(text)) for at, text in chords), meter))
            return Chart(tuple(bars), ChartInfo(**msgspec.structs.asdict(self.about)))
        except (ChartError, ModelsError) as error:
            raise ValueError(f"not a chart: {error}") from None


# -- reports


class _ChoiceLine(events.Message, frozen=True, tag="Choice"):
    tick: int
    length: int
    index: int | None
    value: str
    pitch: events.Pitch | None
    velocity: events.DataByte


class _BarPlayedLine(events.Message, frozen=True, tag="BarPlayed"):
    number: events.BarNumber
    chords: tuple[str, ...]
    choices: tuple[_ChoiceLine, ...]


class _BarStartedLine(events.Message, frozen=True, tag="BarBegun"):
    beat: events.Beat
    meter: str
    changes: tuple[tuple[events.Beat, str], ...]


class _SetChartLine(events.Message, frozen=True, tag="SetChart"):
    chart: WrittenChart


class _ChangeSettingsLine(events.Message, frozen=True, tag="Change"):
    values: tuple[tuple[str, Any], ...]


class _InputLine(events.Message, frozen=True, tag="Arrived"):
    second: events.Second
    beat: events.Beat
    item: events.MidiEvent | events.PlainCommand | _SetChartLine | _ChangeSettingsLine


_ENCODER = msgspec.json.Encoder(enc_hook=float)
"""The hook is for numbers of NumPy's types."""
_DECODER = msgspec.json.Decoder(
    EventSent | NoteHeard | Advanced | PlayerEnded | _InputLine | _BarStartedLine | _BarPlayedLine
)
