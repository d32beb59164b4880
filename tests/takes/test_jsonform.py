# SPDX-License-Identifier: Apache-2.0
"""What comes in and is told, written as JSON and read again: every event, command and report, every setting."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.chart.chart import Chart, Meter
from sideman.core.events import Command, MidiEvent
from sideman.core.settings.schema import KEYS, Settings, with_values
from sideman.takes import jsonform
from sideman.takes.journal import RECORDED_TYPES, RecordedReport
from sideman_models.music.harmony import Chord
from sideman_models.music.values import Value
from support.strategies import charts, chords, meters, modern_values, written_values

ARRIVING = jsonform.classes_by_name(MidiEvent | Command)
NUMBERS = {
    "pitch": st.integers(0, 127),
    "velocity": st.integers(0, 127),
    "channel": st.integers(1, 16),
    "number": st.integers(0, 127),
    "program": st.integers(0, 127),
    "value": st.integers(0, 127),
    "sixteenths": st.integers(0, 16383),
    "bpm": st.floats(20, 400),
    "NoteOn.velocity": st.integers(1, 127),
    "PitchBend.value": st.integers(-8192, 8191),
}


@st.composite
def settings_given(draw: st.DrawFn) -> tuple[str, object]:
    """A key, and a value that its rule allows."""
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
    tuple[str, object]: settings_given(),
}


def anything_of(hint: Any) -> st.SearchStrategy[Any]:
    """Anything that a field of this type can hold."""
    if hint in LEAVES:
        return LEAVES[hint]
    args = get_args(hint)
    if get_origin(hint) is Literal:
        return st.sampled_from(args)
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*map(anything_of, args))
    if get_origin(hint) is tuple and args[1:] == (Ellipsis,):
        return st.lists(anything_of(args[0]), max_size=3).map(tuple)
    if get_origin(hint) is tuple:
        return st.tuples(*map(anything_of, args))
    assert is_dataclass(hint), f"{hint}: say here what it can be"
    hints, name = get_type_hints(hint), getattr(hint, "__name__", "")
    given = {each.name: field(name, each.name, hints[each.name]) for each in fields(hint)}
    return st.builds(hint, **given)  # type: ignore[arg-type]


def field(kind: str, name: str, hint: Any) -> st.SearchStrategy[Any]:
    """Anything that this field of a class can hold."""
    number = NUMBERS.get(f"{kind}.{name}", NUMBERS.get(name))
    if number is None or hint not in (int, float, int | None):
        return anything_of(hint)
    return number | st.none() if hint == int | None else number


def through(item: object, kinds: dict[str, type]) -> object:
    """`item`, written into a file and read again."""
    return jsonform.from_json(json.loads(json.dumps(jsonform.to_json(item))), kinds)


@pytest.mark.parametrize("kind", ARRIVING.values(), ids=ARRIVING)
def test_whatever_arrives_comes_back(kind: Any) -> None:
    """A take in which it came could not be played again, or would be another."""

    @settings(max_examples=10)
    @given(anything_of(kind))
    def check(item: object) -> None:
        assert through(item, ARRIVING) == item

    check()


@settings(max_examples=100)
@given(anything_of(RecordedReport))
def test_what_is_told_comes_back_exactly(report: object) -> None:
    """A take would be played again at other seconds than it was."""
    assert through(report, RECORDED_TYPES) == report


@settings(max_examples=50)
@given(charts(), st.integers(-11, 11))
def test_a_chart_comes_back_as_it_was_written(chart: Chart, semitones: int) -> None:
    """The chords of a take would be spelled in another way, or be others."""
    moved = chart.transposed(semitones)
    again = jsonform.chart_from_json(json.loads(json.dumps(jsonform.chart_to_json(moved))))
    assert again == moved
    assert again.info == moved.info
    assert [[chord.text for _, chord in bar.chords] for bar in again.bars] == [
        [chord.text for _, chord in bar.chords] for bar in moved.bars
    ]


@settings(max_examples=100)
@given(st.lists(settings_given(), max_size=8))
def test_all_settings_come_back(values: list[tuple[str, object]]) -> None:
    """A take would be played again with other settings."""
    chosen = with_values(Settings(), values)
    midi = chosen.midi
    shared = midi.comp == midi.channel or (midi.chords is not None and midi.chords in (midi.drums, midi.listen))
    if shared or chosen.chart.changes != Settings().chart.changes or chosen.tempo.source == "midi-clock":
        return  # read together with others, these are checked further
    form = json.loads(json.dumps(jsonform.settings_to_json(chosen)))
    assert jsonform.settings_from_json(form, "take") == chosen


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
def test_whatever_else_stands_there_is_refused(content: object) -> None:
    """A journal that somebody has edited would crash the program."""
    with pytest.raises(ValueError, match=r".{5,500}"):
        jsonform.from_json(content, RECORDED_TYPES)  # none of these has all its parts
    with pytest.raises(ValueError, match="not a chart"):
        jsonform.chart_from_json(content)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (["NoteOn", 60, 0, 1], "velocity 0: from 1 to 127"),
        (["NoteOn", 60, 80], "list"),
        (["NoteOn", 60.5, 80, 1], "not of type int"),
        (["Noteon", 60, 80, 1], "nothing of that name"),
        (["Change", [["tempo.bpm", 0]]], "20 to 400"),
        (["Change", [["play.rate", "often"]]], "allowed is beat"),
        (["Change", [["play.rates", "beat"]]], "no such key"),
    ],
)
def test_it_says_what_is_wrong(content: list[object], word: str) -> None:
    """Nobody could mend a journal by hand."""
    with pytest.raises(ValueError, match=word):
        jsonform.from_json(content, ARRIVING)
