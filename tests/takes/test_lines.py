# SPDX-License-Identifier: Apache-2.0
"""The lines of a journal: every report, command, setting and chart is written and read again."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.chart.chart import Chart, Meter
from sideman.core.chart.written import WrittenChart
from sideman.core.events import BarPlayed, Command, InputReceived, MidiEvent
from sideman.core.settings.schema import KEYS, Settings, value_of, with_values
from sideman.core.settings.voices import VOICES, voice_channels
from sideman.core.timing.clock_source import CLOCK_SOURCES
from sideman.takes.lines import (
    RecordedReport,
    decode_report,
    encode_report,
    settings_from_json,
    settings_to_json,
)
from sideman_models.music.harmony import Chord
from sideman_models.music.values import Value
from support.strategies import charts, chords, meters, modern_values, written_values


@st.composite
def changed_settings(draw: st.DrawFn) -> tuple[str, object]:
    """A key, and a value that it allows."""
    key = KEYS[draw(st.sampled_from(sorted(KEYS)))]
    try:
        return key.name, key.value_type.read(draw(written_values()))
    except ValueError:
        return key.name, key.default


LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-1000, 1000),
    str: st.text(max_size=20),
    float: st.floats(-1e6, 1e6),
    NoneType: st.none(),
    Chord: chords(),
    Value: modern_values(),
    Chart: charts(),
    Meter: meters(),
    tuple[str, object]: changed_settings(),
}


def anything_of(hint: Any) -> st.SearchStrategy[Any]:
    """Anything that a field of this type can hold."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in LEAVES or (origin is Annotated and args[0] is str):
        return LEAVES[hint] if hint in LEAVES else st.from_regex(args[1].pattern).map(str.strip)
    if origin is Annotated:
        return (st.integers if args[0] is int else st.floats)(args[1].ge, args[1].le)
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, UnionType):
        return st.one_of(*map(anything_of, args))
    if origin is tuple:
        items = args[:1] if Ellipsis in args else args
        one = st.tuples(*map(anything_of, items))
        return st.lists(one.map(lambda item: item[0]), max_size=3).map(tuple) if Ellipsis in args else one
    assert issubclass(hint, msgspec.Struct), f"{hint}: say here what it can be"
    hints = get_type_hints(hint, include_extras=True)
    return st.builds(hint, *(anything_of(hints[name]) for name in hint.__struct_fields__))


def line_of(item: str) -> bytes:
    """The line of a report that something was received."""
    return f'["Arrived",1.5,2.0,{item}]\n'.encode()


@pytest.mark.parametrize("kind", get_args(MidiEvent | Command))
def test_everything_received_comes_back(kind: Any) -> None:
    """Guards against a take that cannot be played again, or is another one, because of what was received in it."""

    @settings(max_examples=10)
    @given(anything_of(kind))
    def check(item: Any) -> None:
        report = InputReceived(1.0, 2.0, item)
        assert decode_report(encode_report(report)) == report

    check()


@settings(max_examples=100)
@given(anything_of(RecordedReport))
def test_every_report_comes_back_exactly(report: Any) -> None:
    """Guards against a take that is played again at other seconds than it was."""
    if isinstance(report, BarPlayed):  # a journal holds what came of delay and loudness: beats and velocities
        choices = tuple(msgspec.structs.replace(each, delay=0.0, loudness=0.0) for each in report.choices)
        report = msgspec.structs.replace(report, choices=choices)
    line = encode_report(report)
    assert line.count(b"\n") == 1
    assert decode_report(line) == report


@settings(max_examples=50)
@given(charts(), st.integers(-11, 11))
def test_a_chart_comes_back_as_it_was_written(chart: Chart, semitones: int) -> None:
    """Guards against chords of a take that are spelled in another way, or are others."""
    info = msgspec.structs.replace(chart.info, warnings=())  # said when the chart was read
    moved = msgspec.structs.replace(chart, info=info).transposed(semitones)
    again = msgspec.json.decode(msgspec.json.encode(WrittenChart.of(moved)), type=WrittenChart).chart()
    assert again == moved
    assert again.info == moved.info
    assert [[chord.text for _, chord in bar.chords] for bar in again.bars] == [
        [chord.text for _, chord in bar.chords] for bar in moved.bars
    ]


@settings(max_examples=100)
@given(st.lists(changed_settings(), max_size=8))
def test_all_settings_come_back(values: list[tuple[str, object]]) -> None:
    """Guards against a take that is played again with other settings."""
    chosen = with_values(Settings(), values)
    midi = chosen.midi
    shared = len(voice_channels(midi)) < len(VOICES)
    shared = shared or (midi.chords is not None and midi.chords in (midi.drums, midi.listen))
    clock = CLOCK_SOURCES[chosen.tempo.source].needs_midi_input
    banks = [(value_of(chosen, row.bank_key), value_of(chosen, row.program_key)) for row in VOICES.values()]
    lone = any(bank is not None and program is None for bank, program in banks)
    if shared or clock or lone or chosen.chart.changes != Settings().chart.changes:
        return  # these are checked together with other keys when they are read
    written = msgspec.json.decode(msgspec.json.encode(settings_to_json(chosen)))
    assert settings_from_json(written, "take") == chosen


@settings(max_examples=200)
@given(
    st.recursive(
        st.sampled_from(["NoteOn", "Sent", "Arrived", "Change", "SetChart", "play.rate"])
        | st.integers()
        | st.floats()
        | st.none()
        | st.booleans()
        | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
)
def test_anything_else_is_refused(content: Any) -> None:
    """Guards against a journal that somebody has edited and that crashes the program."""
    line = msgspec.json.encode(content)
    with pytest.raises(ValueError, match=r".{5,500}"):
        decode_report(line)  # none of these has all parts of a report
    with pytest.raises(ValueError, match=r".{5,500}"):
        decode_report(line_of(f'["SetChart",{line.decode()}]'))


CHART = '"meter":"4/4","about":{"title":"","composer":"","key":"","tempo":null,"sections":[]}'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"garbage\n", "not a line of a journal: 'garbage"),
        (b'["Woke",NaN,1,true]\n', "not a line of a journal"),
        (b"[" * 100_000, "not a line of a journal"),
        (b'["Woke",1,2]\n', "at least length 4, got 3"),
        (b'["Woke",1' + b"0" * 400 + b",2,true]\n", r"\[1\]: Number out of range"),
        (b'["Woke",1e13,2,true]\n', r"\[1\]: Expected `float` <= 1"),
        (b'["NoteOn",60,80,1]\n', "Invalid value 'NoteOn'"),
        (b'["' + b"x" * 10_000 + b'",1]\n', "^.{1,400}$"),
        (line_of('["NoteOn",60,0,1]'), r"\[3\]\[2\]: Expected `int` >= 1"),
        (line_of('["Change",[["tempo.bpm",0]]]'), "tempo.bpm: 0: allowed is a number from 20 to 400"),
        (line_of('["Change",[["play.rate","often"]]]'), "allowed is beat"),
        (line_of('["Change",[["play.rates","beat"]]]'), "no such key"),
        (line_of('["Change",[["midi.cc",["Table",[[20,["Knob"]]]]]]]'), r"midi.cc: \['Table', a list or group\]: all"),
        (line_of('["Change",[["midi.cc",' + "[" * 100_000), "not a line of a journal"),
        (line_of(f'["SetChart",{{{CHART},"bars":[]}}]'), "not a chart: .* at least one bar"),
        (line_of(f'["SetChart",{{{CHART},"bars":[[[1,"C"]]]}}]'), "not a chart: chords out of their bar"),
        (line_of(f'["SetChart",{{{CHART},"bars":[[[0,"C"],[4,"F"]]]}}]'), "not a chart: chords out of their bar"),
        (line_of(f'["SetChart",{{{CHART},"bars":[[[0,"H"]]]}}]'), "not a chart: 'H' is not a chord"),
        (line_of(f'["SetChart",{{{CHART},"bars":[[[0,"C"]]],"meters":[[0,"4/5"]]}}]'), "not a chart: '4/5'"),
        (line_of(f'["SetChart",{{{CHART},"bars":[[[0,"C"]]],"coda":1}}]'), "unknown field `coda`"),
        (line_of(f'["QueueSong",2,{{{CHART},"bars":[]}},90]'), "not a chart: .* at least one bar"),
        (line_of('["QueueSong",2,null,9]'), ">= 20"),
        (line_of('["SetChart",{"meter":"4/4","bars":[[[0,"C"]]],"about":{}}]'), "missing required field `title`"),
    ],
)  # fmt: skip
def test_an_error_says_what_is_wrong(line: bytes, problem: str) -> None:
    """Guards against a journal that cannot be repaired by hand."""
    with pytest.raises(ValueError, match=problem):
        decode_report(line)
