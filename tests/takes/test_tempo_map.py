# SPDX-License-Identifier: Apache-2.0
"""The tempo map of a take: marks where the tempo really changed, and beats at their real seconds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT
from sideman.takes.tempo_map import ExactTempo, FittedTempo, TempoMap, TempoMark
from support.clocks import Seconds, going, steady

seeds = st.integers(0, 2**32 - 1)
CLOSE_S = 0.005


def fitted(true: Seconds, jitter_s: float, seed: int, *, first_tick: int = 0) -> FittedTempo:
    """The tempo map of a clock with these ticks, each up to `jitter_s` early or late."""
    tempo = FittedTempo(500_000, first_tick / CLOCK_TICKS_PER_BEAT)
    add_ticks(tempo, true, jitter_s, seed, first_tick=first_tick)
    return tempo


def add_ticks(tempo: TempoMap, true: Seconds, jitter_s: float, seed: int, *, first_tick: int = 0) -> None:
    """Add the ticks of a clock."""
    late = np.random.default_rng(seed).uniform(-jitter_s, jitter_s, len(true))
    for number, second in enumerate((true + late).tolist(), first_tick):
        tempo.add(second, number / CLOCK_TICKS_PER_BEAT, by_command=False)


def seconds_in_file(marks: list[TempoMark], beats: Seconds) -> Seconds:
    """The seconds at which a file with these marks plays the beats."""
    starts = np.array([mark.beat for mark in marks])
    lengths = np.array([mark.beat_us / 1e6 for mark in marks])
    seconds = np.concatenate([[0.0], np.cumsum(np.diff(starts) * lengths[:-1])])
    at = np.clip(np.searchsorted(starts, beats, "right") - 1, 0, None)
    found: Seconds = seconds[at] + (beats - starts[at]) * lengths[at]
    return found


def beat_errors(tempo: TempoMap, true: Seconds) -> Seconds:
    """By how much each beat of the file is off, in seconds; where the file begins is arbitrary."""
    on_beats = true[::CLOCK_TICKS_PER_BEAT]
    off = seconds_in_file(tempo.marks, np.arange(len(on_beats), dtype=float)) - on_beats
    errors: Seconds = np.abs(off - np.median(off))
    return errors


@settings(max_examples=40, deadline=None)
@given(st.floats(20, 400), st.floats(0.0005, 0.012), st.integers(16, 120), seeds)
@example(132.0, 0.012, 120, 1)
@example(400.0, 0.012, 16, 2)
def test_a_steady_clock_has_one_tempo(bpm: float, jitter_s: float, beats: int, seed: int) -> None:
    """Guards against: a grid in the DAW with a new tempo on every beat, or beats that drift away from the notes."""
    true = steady(beats, bpm)
    tempo = fitted(true, jitter_s, seed)
    assert len(tempo.marks) <= 2
    assert max(beat_errors(tempo, true)) < CLOSE_S
    assert 60e6 / tempo.marks[-1].beat_us == pytest.approx(bpm, rel=0.005)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(60, 240), st.sampled_from([0.5, 0.8, 0.95, 0.99, 1.01, 1.05, 1.25, 2.0]), st.floats(0.0, 0.003),
    st.integers(16, 60), seeds,
)  # fmt: skip
@example(120.0, 1.1, 0.0005, 32, 1)
def test_a_new_tempo_is_found_where_it_begins(bpm: float, ratio: float, jitter_s: float, at: int, seed: int) -> None:
    """Guards against: a chorus in the new tempo on the grid of the old one."""
    true = going((bpm, bpm, at), (bpm * ratio, bpm * ratio, 16))
    tempo = fitted(true, jitter_s, seed)
    assert 2 <= len(tempo.marks) <= 4
    assert all(abs(mark.beat - at) <= 8 for mark in tempo.marks[1:])
    assert 60e6 / tempo.marks[-1].beat_us == pytest.approx(bpm * ratio, rel=0.003)
    assert max(beat_errors(tempo, true)) < CLOSE_S


@pytest.mark.parametrize("tempi", [(100.0, 140.0), (180.0, 120.0)])
@pytest.mark.parametrize("beats", [32, 64])
def test_an_accelerando_is_followed(tempi: tuple[float, float], beats: int) -> None:
    """Guards against: a ritardando that ends a bar apart from the grid."""
    first, last = tempi
    true = going((first, first, 16), (first, last, beats), (last, last, 16))
    tempo = fitted(true, 0.001, 3)
    assert max(beat_errors(tempo, true)) < CLOSE_S
    in_order = [mark.beat_us for mark in tempo.marks]
    assert len(in_order) > 4
    assert in_order == sorted(in_order, reverse=first < last)


def test_a_tempo_that_creeps_does_not_add_up() -> None:
    """Guards against: a long take of a machine that warms up, whose end is off the grid by a beat."""
    true = going((120.0, 120.0, 16), (120.0, 121.0, 800))
    tempo = fitted(true, 0.002, 4)
    assert max(beat_errors(tempo, true)) < CLOSE_S
    assert len(tempo.marks) < 80


def test_the_rounding_of_a_tempo_does_not_add_up() -> None:
    """Guards against: whole microseconds that are off by a beat's worth of milliseconds after an evening."""
    true = steady(30_000, 60e6 / 454_545.45)[:: CLOCK_TICKS_PER_BEAT // 2]
    tempo = FittedTempo(454_545, 0.0)
    for number, second in enumerate(true.tolist()):
        tempo.add(second, number / 2, by_command=False)
    off = seconds_in_file(tempo.marks, np.arange(30_000, dtype=float)) - true[::2][:30_000]
    assert max(abs(off - np.median(off))) < CLOSE_S
    assert len(tempo.marks) < 20


@settings(max_examples=30, deadline=None)
@given(
    st.floats(60, 240), st.floats(0.0005, 0.006),
    st.lists(st.tuples(st.floats(0.1, 30), st.integers(0, 16)), max_size=4), seeds,
)  # fmt: skip
def test_stops_and_jumps_are_no_tempo(bpm: float, jitter_s: float, breaks: list[tuple[float, int]], seed: int) -> None:
    """Guards against: marks of 10 or 1000 bpm where the transport was stopped or jumped to another place."""
    tempo, beats = FittedTempo(500_000, 0.0), 12
    second, tick = 10.0, 0
    for pause_s, jump in [*breaks, (0.0, 0)]:
        true = steady(beats, bpm, start=second)
        add_ticks(tempo, true, jitter_s, seed, first_tick=tick)
        second, tick = float(true[-1]), tick + beats * CLOCK_TICKS_PER_BEAT
        stands = tick / CLOCK_TICKS_PER_BEAT
        for part in (0.0, 0.5, 1.0):
            tempo.add(second + 0.01 + part * pause_s, stands, by_command=True)
        second, tick = second + 0.02 + pause_s, tick + jump * CLOCK_TICKS_PER_BEAT + CLOCK_TICKS_PER_BEAT
    assert len(tempo.marks) <= 2
    assert all(60e6 / mark.beat_us == pytest.approx(bpm, rel=0.01) for mark in tempo.marks)


def test_after_a_stop_another_tempo_begins_with_the_music() -> None:
    """Guards against: the next tune of a set on the grid of the last one."""
    tempo = FittedTempo(500_000, 0.0)
    add_ticks(tempo, steady(32, 120.0), 0.002, 1)
    for second in (27.0, 30.0):
        tempo.add(second, 32.0, by_command=True)
    add_ticks(tempo, steady(32, 180.0, start=31.0), 0.002, 2, first_tick=36 * CLOCK_TICKS_PER_BEAT)
    first, second_mark = tempo.marks
    assert (round(60e6 / first.beat_us), round(60e6 / second_mark.beat_us)) == (120, 180)
    assert second_mark.beat == pytest.approx(36, abs=0.01)


def test_nothing_changes_before_what_is_settled() -> None:
    """Guards against: chords after a new tempo that move when the tempo is found."""
    true = going((120.0, 120.0, 64), (150.0, 150.0, 16), (150.0, 100.0, 32), (100.0, 100.0, 32))
    tempo = FittedTempo(500_000, 0.0)
    late = np.random.default_rng(5).uniform(-0.003, 0.003, len(true))
    for number, second in enumerate((true + late).tolist()):
        settled, before = tempo.settled, len(tempo.marks)
        tempo.add(second, number / CLOCK_TICKS_PER_BEAT, by_command=False)
        assert all(mark.beat >= settled for mark in tempo.marks[before:])
        assert number / CLOCK_TICKS_PER_BEAT - tempo.settled < 36
    assert len(tempo.marks) > 5


def test_a_jump_within_a_beat_is_no_tempo() -> None:
    """Guards against: a start in the middle of the music that is written as a beat at twice the tempo."""
    tempo = ExactTempo(500_000, 0.0, 10.0)
    for second, beat in ((10.5, 1.0), (11.0, 2.0), (11.0, 2.6), (11.5, 3.6), (12.5, 3.6), (13.0, 4.6)):
        tempo.add(second, beat, by_command=True)
    assert tempo.marks == [TempoMark(0.0, 500_000)]


steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1e-4, 0.02, 0.13, 0.5, 3.0]), st.sampled_from([-0.01, 0.0, 1e-5, 0.04, 0.25, 1.0, 9.0])
    ),
    max_size=400,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(1, 40), st.booleans(), st.booleans())
def test_any_seconds_and_beats_give_possible_marks(
    course: list[tuple[float, float]], times: int, follows: bool, by_command: bool
) -> None:
    """Guards against: a recorder that fails in the middle of a gig, and a file that no program can read."""
    tempo: TempoMap = FittedTempo(500_000, 0.0) if follows else ExactTempo(500_000, 0.0, None)
    second = beat = 0.0
    for seconds, beats in course * times:
        second, beat = second + seconds, beat + beats
        if beat >= 0:
            tempo.add(second, beat, by_command=by_command)
    assert all(60_000 <= mark.beat_us <= 6_000_000 for mark in tempo.marks)
    places = [mark.beat for mark in tempo.marks]
    assert places == sorted(places)
