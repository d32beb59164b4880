# SPDX-License-Identifier: Apache-2.0
"""Exact positions, and the one rounding error that is allowed for."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.positions import EPSILON_BEATS, next_multiple, reached_beat, snapped_beat, tick_at, whole_tick_at
from sideman.core.timing.tempo import Tempo

ticks = st.integers(-10_000, 1_000_000)


@given(ticks, st.floats(20, 400), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_the_second_of_a_beat_reaches_that_beat(tick: int, bpm: float, second: float, beat: float) -> None:
    """Guards against a note that is never played: its deadline came, and its beat seemed not to be reached."""
    tempo = Tempo(bpm, second, beat)
    onset = tick / 12
    assert reached_beat(tempo.beat_at(tempo.second_at(onset))) >= onset


def test_without_the_allowance_a_note_would_be_missed() -> None:
    """Guards against taking the allowance away: here the beat of the deadline comes out below the beat."""
    tempo = Tempo(117.3, 0.1, 0.0)
    missed = [tick for tick in range(1, 200) if tempo.beat_at(tempo.second_at(tick / 12)) < tick / 12]
    assert missed
    assert all(reached_beat(tempo.beat_at(tempo.second_at(tick / 12))) >= tick / 12 for tick in missed)


@given(ticks, st.floats(-0.9, 0.9))
def test_a_rounding_error_does_not_move_a_position(tick: int, share: float) -> None:
    """Guards against the chord or the bar before a bar line being taken for a note on the bar line."""
    error = share * EPSILON_BEATS
    assert tick_at(tick / 12 + error) == tick
    assert whole_tick_at(tick / 12 + error) == tick
    assert snapped_beat(tick / 12 + error) == tick / 12


@given(ticks)
def test_half_ticks_are_positions_too(tick: int) -> None:
    """Guards against chords on half-beats of a sixteenth being rounded away."""
    assert tick_at((tick + 0.5) / 12) == tick + 0.5


@given(ticks, st.floats(0.01, 0.4))
def test_what_is_between_two_ticks_stays_there(tick: int, share: float) -> None:
    """Guards against hearing a note at another time than it was played."""
    assert tick_at((tick + share) / 12) == pytest.approx(tick + share)
    assert whole_tick_at((tick + share) / 12) == tick


@given(st.integers(0, 4000), st.sampled_from([1.0, 3.0, 3.5, 4.0, 5.0]), st.floats(-0.9, 0.9))
def test_the_next_multiple_of_a_multiple_is_itself(count: int, step: float, share: float) -> None:
    """Guards against a stop on a bar line that costs a whole bar when the music continues."""
    assert next_multiple(count * step + share * EPSILON_BEATS, step) == count * step
    assert next_multiple(-step, step) == 0


def test_every_bar_line_is_a_number_that_floats_hold_exactly() -> None:
    """Guards against bar lines that drift: the lengths of bars must add up without a rounding error."""
    for numerator in range(1, 17):
        for denominator in (1, 2, 4, 8, 16):
            quarters = Fraction(4 * numerator, denominator)
            assert Fraction(float(quarters)) == quarters
            assert (quarters * 12).denominator == 1
