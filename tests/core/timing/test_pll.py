# SPDX-License-Identifier: Apache-2.0
"""The phase-locked loop: it finds the beat of a MIDI clock whose ticks are late, early, lost or doubled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sideman.core.timing.pll import ACQUIRE_TICKS, CLOCK_TICKS_PER_BEAT, FASTEST_BPM, SLOWEST_BPM, ClockPLL
from support.clocks import Seconds, errors, going, jittered, ramp, steady

bpms = st.floats(40, 240)
seeds = st.integers(0, 2**32 - 1)
rounds = st.sampled_from([0.0, 1024 / 48000])


def after(beat_errors: dict[int, float], beat: int) -> list[float]:
    """The errors from `beat` on."""
    return [error for number, error in beat_errors.items() if number >= beat]


def counted(arrivals: Seconds, bpm: float = 120.0, rounds: float = 0.0) -> tuple[ClockPLL, int]:
    """A loop that has received all ticks of `arrivals`, and how many ticks it has counted after the first."""
    pll = ClockPLL(bpm)
    pll.change_rounds(rounds)
    return pll, sum(pll.receive_tick(second) for second in arrivals.tolist()) - 1


@pytest.mark.parametrize("bpm", [60.0, 120.0, 180.0, 240.0])
def test_at_a_steady_tempo_the_beat_is_within_a_millisecond(bpm: float) -> None:
    """Guards against: music that rushes and drags with the jitter of the cable."""
    true = steady(800, bpm)
    beat_errors = after(errors(true, jittered(true, 0.002, 3)), 2)
    assert np.percentile(beat_errors, 99) <= 0.001
    assert max(beat_errors) < 0.002


@given(bpms, seeds)
def test_two_beats_after_the_start_it_is_locked(bpm: float, seed: int) -> None:
    """Guards against: a first bar out of time with the band."""
    true = steady(2, bpm)
    assert errors(true, jittered(true, 0.002, seed))[2] <= 0.002


@settings(max_examples=10)
@given(seeds, st.sampled_from([(90.0, 150.0), (150.0, 90.0)]))
def test_a_ramp_of_the_tempo_is_followed_closely(seed: int, tempi: tuple[float, float]) -> None:
    """Guards against: an accelerando of the band that leaves it behind."""
    true = ramp(32, *tempi)
    beat_errors = after(errors(true, jittered(true, 0.002, seed)), 2)
    assert np.percentile(beat_errors, 99) <= 0.005
    assert max(beat_errors) < 0.006


@settings(max_examples=40)
@given(bpms, seeds)
def test_three_milliseconds_of_jitter_lose_no_tick(bpm: float, seed: int) -> None:
    """Guards against: a shaky cable that moves it a tick off the beat until the next start."""
    true = steady(60, bpm)
    pll, counted_ticks = counted(jittered(true, 0.003, seed))
    assert counted_ticks == len(true) - 1
    assert pll.bpm == pytest.approx(bpm, rel=0.02)


@settings(max_examples=40)
@given(bpms, seeds, st.lists(st.integers(193, 300), max_size=3))
def test_lost_ticks_are_counted(bpm: float, seed: int, gaps: list[int]) -> None:
    """Guards against: music that falls behind with every lost tick."""
    lost = {tick for tick in np.cumsum(gaps).tolist() if tick < 30 * CLOCK_TICKS_PER_BEAT - 1}
    arrivals = jittered(steady(30, bpm), 0.002, seed)
    _, counted_ticks = counted(np.delete(arrivals, sorted(lost)))
    assert counted_ticks == len(arrivals) - 1


@settings(max_examples=20)
@given(st.floats(40, 160), seeds, st.floats(0.001, 0.01))
def test_a_cable_that_goes_on_losing_ticks_loses_no_beat(bpm: float, seed: int, share: float) -> None:
    """Guards against: a worn cable that puts it further behind the band with each song."""
    arrivals = jittered(steady(120, bpm), 0.002, seed)
    lost = np.random.default_rng(seed).random(len(arrivals)) < share
    lost[:ACQUIRE_TICKS] = lost[-1] = False
    _, counted_ticks = counted(arrivals[~lost])
    assert counted_ticks == len(arrivals) - 1


@settings(max_examples=40)
@given(
    bpms,
    seeds,
    st.sets(st.integers(2 * CLOCK_TICKS_PER_BEAT, 20 * CLOCK_TICKS_PER_BEAT), max_size=2),
    st.floats(0, 0.001),
)
def test_a_doubled_tick_counts_once(bpm: float, seed: int, twice: set[int], later: float) -> None:
    """Guards against: two cables from one machine that make it run ahead."""
    arrivals = jittered(steady(20, bpm), 0.002, seed)
    _, counted_ticks = counted(np.sort(np.concatenate([arrivals, arrivals[sorted(twice)] + later])))
    assert counted_ticks == len(arrivals) - 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("jump", [(120.0, 60.0), (120.0, 180.0), (60.0, 240.0), (200.0, 100.0), (120.0, 132.0)])
def test_a_jump_of_the_tempo_is_followed_within_two_beats(jump: tuple[float, float], seed: int) -> None:
    """Guards against: the next section of a song that is played in the old tempo."""
    first, then = jump
    true = going((first, first, 16), (then, then, 16))
    arrivals = jittered(true, 0.002, seed)
    assert max(after(errors(true, arrivals), 18)) <= 0.002
    pll, counted_ticks = counted(arrivals)
    assert counted_ticks == len(true) - 1
    assert pll.bpm == pytest.approx(then, rel=0.02)


@pytest.mark.parametrize("gap", [0.4, 0.731, 1.9])
def test_after_a_gap_the_phase_is_measured_again(gap: float) -> None:
    """Guards against: a clock that pauses without a stop, and is then followed off its beat."""
    true = steady(32, 120.0)
    true[16 * CLOCK_TICKS_PER_BEAT :] += gap
    pll, off = ClockPLL(120), []
    for number, second in enumerate(jittered(true, 0.002, 1).tolist()):
        if number > 17 * CLOCK_TICKS_PER_BEAT:
            off.append(abs(pll.last_tick_s + pll.period_s - float(true[number])))
        pll.receive_tick(second)
    assert max(off) < 0.002


def test_a_jam_changes_no_count() -> None:
    """Guards against: a machine that was busy for a moment, and is off the beat from then on."""
    arrivals = steady(16, 120.0)
    jam = slice(200, 209)
    arrivals[jam] = arrivals[208]
    _, counted_ticks = counted(arrivals)
    assert counted_ticks == len(arrivals) - 1


def test_a_start_between_two_ticks_sets_the_phase() -> None:
    """Guards against: a machine that restarts its clock with the music, and is followed in the old phase."""
    pll, _ = counted(steady(8, 120.0))
    start = pll.last_arrival_s + 0.5 * pll.period_s
    pll.restart_phase(start)
    for tick in range(24):
        pll.receive_tick(start + tick * 60 / (24 * 120.0))
        assert pll.last_tick_s == pytest.approx(start + tick * 60 / (24 * 120.0), abs=1e-4)


def test_a_start_on_a_tick_leaves_the_line_alone() -> None:
    """Guards against: a first tick, a little early or late, that moves the whole bar."""
    pll, _ = counted(steady(8, 120.0))
    expected = pll.last_tick_s + pll.period_s
    pll.restart_phase(expected + 0.003)
    pll.receive_tick(expected + 0.003)
    assert abs(pll.last_tick_s - expected) < 0.0005


@given(bpms, seeds, st.integers(2, ACQUIRE_TICKS))
def test_it_is_acquired_by_least_squares(bpm: float, seed: int, ticks: int) -> None:
    """Guards against: a first bar that depends on the jitter of its first ticks."""
    arrivals = jittered(steady(2, bpm), 0.0005, seed)[:ticks]
    pll, _ = counted(arrivals)
    period, first = np.polyfit(np.arange(ticks), arrivals - arrivals[0], 1)
    assert pll.period_s == pytest.approx(period, abs=1e-9)
    assert pll.last_tick_s == pytest.approx(arrivals[0] + first + period * (ticks - 1), abs=1e-9)


@settings(max_examples=200)
@example([0.0] * 60, 120.0, 0.02)
@example([1e9, *[1e-3] * 40, 3600.0, *[0.5] * 40], 20.0, 0.0)
@given(st.lists(st.floats(-1, 100) | st.floats(0, 0.05) | st.just(0.0), max_size=120), bpms, rounds)
def test_any_ticks_give_a_tempo_within_the_limits(gaps: list[float], bpm: float, rounds: float) -> None:
    """Guards against: a broken machine at the other end that stops the music, or gives an impossible tempo."""
    pll, second = ClockPLL(bpm), 0.0
    pll.change_rounds(rounds)
    for gap in gaps:
        second += gap
        assert isinstance(pll.receive_tick(second), int)
        if gap < 0:
            pll.restart_phase(second)
        assert SLOWEST_BPM * 0.999 <= pll.bpm <= FASTEST_BPM * 1.001
        assert math.isfinite(pll.last_tick_s)


@pytest.mark.parametrize(("bpm", "limit"), [(5.0, 20.0), (19.0, 20.0), (450.0, 400.0), (4000.0, 400.0)])
def test_an_impossible_tempo_is_followed_at_the_limit(bpm: float, limit: float) -> None:
    """Guards against: music faster than anybody can hear, or a wait without end."""
    pll, _ = counted(steady(20, bpm))
    assert pll.bpm == pytest.approx(limit, rel=0.01)


@pytest.mark.parametrize("bpm", [70.0, 97.0, 100.0, 112.0, 116.0, 120.0, 140.0, 160.0])
@pytest.mark.parametrize("frames", [64, 256, 1024])
def test_a_port_with_rounds_changes_no_tempo(bpm: float, frames: int) -> None:
    """Guards against: JACK with long periods that makes it play at the tempo of the sound card."""
    true, period = steady(60, bpm), frames / 48000
    pll, counted_ticks = counted(np.ceil(true / period) * period, rounds=period)
    assert counted_ticks == len(true) - 1
    assert pll.bpm == pytest.approx(bpm, rel=0.05)
