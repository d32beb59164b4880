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

from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, Meter, parse_meter
from sideman.core.errors import ConfigError
from sideman.core.events import (
    Advanced,
    BarNumber,
    BarPlayed,
    BarStarted,
    Beat,
    ChangeSettings,
    Choice,
    DataByte,
    EventSent,
    InputReceived,
    Message,
    MidiEvent,
    NoteHeard,
    Pitch,
    PlainCommand,
    PlayerEnded,
    Real,
    Second,
    SetChart,
)
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.core.settings.schema import KEYS, Settings, value_of, with_values, write_value
from sideman.core.settings.types import PitchRange, quoted
from sideman.core.targets import Bindings
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import parse_chord
from sideman_models.music.values import parse_value

RecordedReport = BarStarted | BarPlayed | EventSent | InputReceived | NoteHeard | Advanced | PlayerEnded
_MAX_REASON_LENGTH = 300


def encode_report(report: RecordedReport) -> bytes:
    """The line of a report, with its line break."""
    match report:
        case InputReceived():
            return encode_line(_InputLine.of(report))
        case BarStarted():
            return encode_line(_BarStartedLine.of(report))
        case BarPlayed():
            return encode_line(_BarPlayedLine.of(report))
        case _:
            return encode_line(report)


def encode_line(content: msgspec.Struct) -> bytes:
    """Any struct as a line of JSON, with its line break."""
    return _ENCODER.encode(content) + b"\n"


def decode_report(line: bytes) -> RecordedReport:
    """The report of a line. Raises ValueError."""
    try:
        read = _DECODER.decode(line)
        return read.report() if isinstance(read, _InputLine | _BarStartedLine | _BarPlayedLine) else read
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


def setting_to_json(name: str, value: object) -> object:
    """`value` as people write it for the key `name`, but bindings as a tagged array and pitches as numbers."""
    match value:
        case Bindings():
            return msgspec.json.decode(msgspec.json.encode(value))
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
    tempo: Real | None
    sections: tuple[tuple[int, str], ...]


class WrittenChart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A chart bar by bar, each chord with its onset, so that any onsets can be written, unlike in `Chart.text`.

    `meter` is that of the first bar; `meters` are the bars where it changes, counted from 0.
    """

    meter: str
    bars: tuple[tuple[tuple[Beat, str], ...], ...]
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
                bars.append(_read_bar(chords, meter))
            return Chart(tuple(bars), ChartInfo(**msgspec.structs.asdict(self.about)))
        except (ChartError, ModelsError) as error:
            raise ValueError(f"not a chart: {error}") from None


def _read_bar(chords: tuple[tuple[float, str], ...], meter: Meter) -> Bar:
    onsets = [at for at, _ in chords]
    if not onsets or onsets[0] != 0 or onsets != sorted(set(onsets)) or onsets[-1] >= meter.quarters:
        raise ChartError("chords out of their bar")
    return Bar(tuple((at, parse_chord(text)) for at, text in chords), meter)


# -- reports


class _ChoiceLine(Message, frozen=True, tag="Choice"):
    tick: int
    length: int
    index: int | None
    value: str
    pitch: Pitch | None
    velocity: DataByte

    @classmethod
    def of(cls, choice: Choice) -> Self:
        return cls(choice.tick, choice.length, choice.index, choice.value.text, choice.pitch, choice.velocity)

    def choice(self) -> Choice:
        return Choice(self.tick, self.length, self.index, parse_value(self.value), self.pitch, self.velocity)


class _BarPlayedLine(Message, frozen=True, tag="BarPlayed"):
    number: BarNumber
    chords: tuple[str, ...]
    choices: tuple[_ChoiceLine, ...]

    @classmethod
    def of(cls, bar: BarPlayed) -> Self:
        return cls(bar.number, tuple(chord.text for chord in bar.chords), tuple(map(_ChoiceLine.of, bar.choices)))

    def report(self) -> BarPlayed:
        return BarPlayed(
            self.number, tuple(map(parse_chord, self.chords)), tuple(choice.choice() for choice in self.choices)
        )


class _BarStartedLine(Message, frozen=True, tag="BarBegun"):
    beat: Beat
    meter: str
    changes: tuple[tuple[Beat, str], ...]

    @classmethod
    def of(cls, bar: BarStarted) -> Self:
        return cls(bar.beat, str(bar.meter), tuple((at, chord.text) for at, chord in bar.changes))

    def report(self) -> BarStarted:
        changes = tuple((at, parse_chord(text)) for at, text in self.changes)
        return BarStarted(self.beat, parse_meter(self.meter), changes)


class _SetChartLine(Message, frozen=True, tag="SetChart"):
    chart: WrittenChart


class _ChangeSettingsLine(Message, frozen=True, tag="Change"):
    values: tuple[tuple[str, Any], ...]


class _InputLine(Message, frozen=True, tag="Arrived"):
    second: Second
    beat: Beat
    item: MidiEvent | PlainCommand | _SetChartLine | _ChangeSettingsLine

    @classmethod
    def of(cls, report: InputReceived) -> Self:
        match report.item:
            case SetChart(chart):
                return cls(report.second, report.beat, _SetChartLine(WrittenChart.of(chart)))
            case ChangeSettings(values):
                written = tuple((name, setting_to_json(name, value)) for name, value in values)
                return cls(report.second, report.beat, _ChangeSettingsLine(written))
            case item:
                return cls(report.second, report.beat, item)

    def report(self) -> InputReceived:
        match self.item:
            case _SetChartLine(form):
                return InputReceived(self.second, self.beat, SetChart(form.chart()))
            case _ChangeSettingsLine(values):
                read = tuple(_setting_from_json(name, value) for name, value in values)
                return InputReceived(self.second, self.beat, ChangeSettings(read))
            case item:
                return InputReceived(self.second, self.beat, item)


_ENCODER = msgspec.json.Encoder(enc_hook=float)
"""The hook is for numbers of NumPy's types."""
_DECODER = msgspec.json.Decoder(
    EventSent | NoteHeard | Advanced | PlayerEnded | _InputLine | _BarStartedLine | _BarPlayedLine
)
