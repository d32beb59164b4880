# SPDX-License-Identifier: Apache-2.0
"""Musical values: their written form, duration grid and vocabulary, and the pitches that play them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sideman_models.errors import ValueTextError
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.values import (
    DURATION_GRID,
    TICKS_PER_QUARTER,
    VALUE_KINDS,
    IntervalRange,
    Value,
    Vocabulary,
    choose_pitch,
    clip_interval,
    interval_bounds,
    interval_semitones,
    parse_value,
    quantize_duration,
)
from support.strategies import chords, modern_values, values

pitches = st.integers(0, 127)
ranges = st.tuples(pitches, pitches).map(lambda ends: (min(ends), max(ends)))


@given(values())
def test_a_value_is_read_as_it_was_written(value: Value) -> None:
    """Guards against: a bundle or value file that is read as other music than was saved."""
    assert parse_value(value.text) == value
    assert " " not in value.text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("C,0.250,<P1,d-5>", Value("C", 3, IntervalRange("P1", "d-5"))),
        ("C,0.500,+2", Value("C", 6, 2)),
        ("S,0.333,-1", Value("S", 4, -1)),
        ("A,0.500,+0", Value("A", 6, 0)),
        ("R,1.000", Value("R", 12)),
        ("X,0.167", Value("X", 2)),
    ],
)
def test_the_written_form_follows_the_grammar(text: str, value: Value) -> None:
    """Guards against: values that differ from those of the course and of other programs."""
    assert parse_value(text) == value
    assert value.text == text


@pytest.mark.parametrize(
    "text",
    ["", "C", "C,0.5", "Q,0.500", "C,0.510", "C,0.000", "R,1.000,+1", "C,0.500,2", "C,0.500,<P1>", "C,0.500,<P3,m3>"],
)
def test_an_invalid_text_is_refused(text: str) -> None:
    """Guards against: a broken vocabulary that plays something at random instead of being refused."""
    with pytest.raises(ValueTextError):
        parse_value(text)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Guards against: a value file that ends the program with a traceback."""
    try:
        assert parse_value(text).text == text
    except ValueTextError as error:
        assert str(error)  # noqa: PT017 - any message is fine, only the class matters


@given(st.floats(0, 200))
def test_a_length_goes_to_the_nearest_grid_duration(ticks: float) -> None:
    """Guards against: values that are not what was played."""
    length = quantize_duration(ticks)
    if ticks < 1:
        assert length == 0
    else:
        assert length in DURATION_GRID
        assert (
            abs(length - min(ticks, DURATION_GRID[-1]))
            <= min(abs(grid - min(ticks, DURATION_GRID[-1])) for grid in DURATION_GRID) + 1e-9
        )


def test_grid_durations_do_not_change() -> None:
    """Guards against: an exactly played value that is read as another one."""
    assert all(quantize_duration(ticks) == ticks for ticks in DURATION_GRID)
    assert DURATION_GRID[0] == TICKS_PER_QUARTER // 6
    assert all(part in DURATION_GRID for part in (2, 3, 4, 6, 8, 9, 10, 12, 48))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("P1", 0),
        ("m2", 1),
        ("M3", 4),
        ("A4", 6),
        ("d5", 6),
        ("P8", 12),
        ("M9", 14),
        ("P-4", -5),
        ("d-5", -6),
        ("AA1", 2),
        ("d1", -1),
    ],
)
def test_spelled_intervals_have_their_size(name: str, size: int) -> None:
    """Guards against: classic windows around the wrong pitches."""
    assert interval_semitones(name) == size


@pytest.mark.parametrize("name", ["", "P3", "M5", "m4", "X2", "P0", "p1", "AAAAA1"])
def test_intervals_that_do_not_exist_are_refused(name: str) -> None:
    """Guards against: a misspelled interval that is played as another one."""
    with pytest.raises(ValueTextError):
        interval_semitones(name)


@given(st.lists(values(), min_size=1, unique=True), values())
def test_every_note_has_a_nearest_value(known: list[Value], heard: Value) -> None:
    """Guards against: a note of the player that crashes the daemon or is ignored."""
    assume(any(value.kind != "R" for value in known))
    vocabulary = Vocabulary(known)
    index = vocabulary.nearest_index(heard)
    if index is None:
        assert heard.kind == "R"
        assert not vocabulary.is_rest.any()
        return
    nearest = known[index]
    assert (nearest.kind == "R") == (heard.kind == "R")
    if any(value.kind == heard.kind for value in known):
        assert nearest.kind == heard.kind
    if heard in known:
        assert nearest == heard


@given(st.lists(values(), min_size=1, unique=True), st.sampled_from(DURATION_GRID) | st.integers(1, 60))
def test_the_nearest_value_is_the_one_that_a_search_finds(known: list[Value], ticks: int) -> None:
    """Guards against: a note of the player that enters the network as one that is less like it."""
    vocabulary = Vocabulary(known)
    for interval in (None, *range(-14, 15)):
        heard = Value("C", ticks, interval)
        if heard in known or not any(value.kind == "C" for value in known):
            continue
        low, high = interval_bounds(heard.interval)

        def distance(index: int, middle: float = (low + high) / 2, heard: Value = heard) -> float:
            value, ours = known[index], sum(interval_bounds(known[index].interval)) / 2
            far = 6.0 if (value.interval is None) != (heard.interval is None) else abs(ours - middle)
            return float(4.0 * abs(np.log2(value.ticks / heard.ticks)) + far)

        alike = [index for index, value in enumerate(known) if value.kind == "C"]
        assert vocabulary.nearest_index(heard) == min(alike, key=distance)


def test_the_nearest_value_weighs_duration_and_interval() -> None:
    """Guards against: a rare value that is replaced by a very different one."""
    known = [Value("C", 6, 2), Value("C", 12, 2), Value("C", 6, 9), Value("S", 6, 2), Value("C", 6)]
    vocabulary = Vocabulary(known)
    assert vocabulary.nearest_index(Value("C", 6, 3)) == 0
    assert vocabulary.nearest_index(Value("C", 10, 2)) == 1
    assert vocabulary.nearest_index(Value("C", 6, 11)) == 2
    assert vocabulary.nearest_index(Value("C", 4)) == 4


@given(values(), chords(), st.none() | pitches, ranges, st.integers(0, 6), st.floats(0, 1, exclude_max=True))
def test_any_value_can_be_played_anywhere(
    value: Value, chord: Chord, previous: int | None, within: tuple[int, int], widen: int, draw: float
) -> None:
    """Guards against: a chord, range or value that ends the solo with an error, or a pitch outside the range."""
    pitch = choose_pitch(value, chord, previous, *within, widen, draw)
    fitting = [one for one in range(within[0], within[1] + 1) if VALUE_KINDS[chord.kind_of(one)] == value.kind]
    if pitch is None:
        assert value.kind == "R" or not fitting
    else:
        assert pitch in fitting


@given(modern_values(), chords(), pitches)
def test_a_modern_value_takes_the_fitting_pitch_nearest_to_its_interval(
    value: Value, chord: Chord, previous: int
) -> None:
    """Guards against: a line that does not follow the intervals of the network."""
    pitch = choose_pitch(value, chord, previous, 0, 127)
    if pitch is None:
        return
    assert isinstance(value.interval, int | None)
    target = previous + (value.interval or 0)
    assume(0 <= target <= 127)
    fitting = [one for one in range(128) if VALUE_KINDS[chord.kind_of(one)] == value.kind]
    assert abs(pitch - target) == min(abs(one - target) for one in fitting)


@given(chords(), st.integers(40, 90), st.sampled_from(DURATION_GRID), st.integers(-12, 12))
def test_what_was_played_can_be_played_back(chord: Chord, previous: int, ticks: int, interval: int) -> None:
    """Guards against: a heard phrase that is played back with other pitches."""
    pitch = previous + interval
    value = Value(VALUE_KINDS[chord.kind_of(pitch)], ticks, interval)
    assert choose_pitch(value, chord, previous, 0, 127) == pitch


def test_a_classic_value_chooses_within_its_window_but_not_the_same_pitch() -> None:
    """Guards against: a classic solo that stays on one note."""
    value = Value("C", 3, IntervalRange("m3", "m-3"))
    chosen = {choose_pitch(value, parse_chord("C"), 60, 48, 84, draw=step / 10) for step in range(10)}
    assert chosen == {60} - {60} | {60} if chosen == {60} else chosen <= {57, 58, 59, 61, 62, 63}
    arpeggio = Value("C", 3, IntervalRange("P5", "P-5"))
    assert {choose_pitch(arpeggio, parse_chord("C"), 60, 48, 84, draw=step / 10) for step in range(10)} == {55, 64, 67}


def test_the_first_pitch_is_near_the_middle_of_the_range() -> None:
    """Guards against: a solo that begins at the edge of the range of the instrument."""
    assert choose_pitch(Value("C", 6), parse_chord("C"), None, 48, 84) in (64, 67)


@given(st.integers(-200, 200))
def test_intervals_are_clipped_to_an_octave(interval: int) -> None:
    """Guards against: a leap that has no value."""
    assert -12 <= clip_interval(interval) <= 12
    assert clip_interval(interval) == interval or abs(interval) > 12
