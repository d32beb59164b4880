# SPDX-License-Identifier: Apache-2.0
"""Following a MIDI clock: where the beat really is, whatever becomes of the ticks on their way."""

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


def after(found: dict[int, float], beat: int) -> list[float]:
    """The errors from `beat` on."""
    return [error for number, error in found.items() if number >= beat]


def counted(come: Seconds, bpm: float = 120.0, rounds: float = 0.0) -> tuple[ClockPLL, int]:
    """A filter that has heard all of `come`, and how far it has counted from the first."""
    follower = ClockPLL(bpm, rounds)
    return follower, sum(follower.receive_tick(second) for second in come.tolist()) - 1


@pytest.mark.parametrize("bpm", [60.0, 120.0, 180.0, 240.0])
def test_at_a_steady_tempo_the_beat_is_within_a_millisecond(bpm: float) -> None:
    """It would rush and drag with every wobble of the cable, as who plays when the tick comes."""
    true = steady(800, bpm)
    found = after(errors(true, jittered(true, 0.002, 3)), 2)
    assert np.percentile(found, 99) <= 0.001
    assert max(found) < 0.002


@given(bpms, seeds)
def test_two_beats_after_the_start_it_is_locked(bpm: float, seed: int) -> None:
    """The first bar would be out of time with the band."""
    true = steady(2, bpm)
    assert errors(true, jittered(true, 0.002, seed))[2] <= 0.002


@settings(max_examples=10)
@given(seeds, st.sampled_from([(90.0, 150.0), (150.0, 90.0)]))
def test_through_a_ramp_it_stays_near(seed: int, tempi: tuple[float, float]) -> None:
    """An accelerando of the band would leave it behind."""
    true = ramp(32, *tempi)
    found = after(errors(true, jittered(true, 0.002, seed)), 2)
    assert np.percentile(found, 99) <= 0.005
    assert max(found) < 0.006


@settings(max_examples=40)
@given(bpms, seeds)
def test_three_milliseconds_of_jitter_lose_no_tick(bpm: float, seed: int) -> None:
    """A shaky cable would put it a tick off the beat, and no start would ever come to mend it."""
    true = steady(60, bpm)
    follower, heard = counted(jittered(true, 0.003, seed))
    assert heard == len(true) - 1
    assert follower.bpm == pytest.approx(bpm, rel=0.02)


@settings(max_examples=40)
@given(bpms, seeds, st.lists(st.integers(193, 300), max_size=3))
def test_lost_ticks_are_counted_in(bpm: float, seed: int, gaps: list[int]) -> None:
    """Each lost tick would put it further behind the beat."""
    lost = {tick for tick in np.cumsum(gaps).tolist() if tick < 30 * CLOCK_TICKS_PER_BEAT - 1}
    come = jittered(steady(30, bpm), 0.002, seed)
    follower, heard = counted(np.delete(come, sorted(lost)))
    assert heard == len(come) - 1
    assert follower.lost_ticks == len(lost)


@settings(max_examples=20)
@given(st.floats(40, 160), seeds, st.floats(0.001, 0.01))
def test_a_cable_that_goes_on_losing_ticks_loses_no_beat(bpm: float, seed: int, share: float) -> None:
    """A worn cable would put it a tick behind the band again and again, and further with each song."""
    come = jittered(steady(120, bpm), 0.002, seed)
    lost = np.random.default_rng(seed).random(len(come)) < share
    lost[:ACQUIRE_TICKS] = lost[-1] = False
    _, heard = counted(come[~lost])
    assert heard == len(come) - 1


@settings(max_examples=40)
@given(
    bpms,
    seeds,
    st.sets(st.integers(2 * CLOCK_TICKS_PER_BEAT, 20 * CLOCK_TICKS_PER_BEAT), max_size=2),
    st.floats(0, 0.001),
)
def test_a_tick_that_comes_twice_is_one(bpm: float, seed: int, twice: set[int], later: float) -> None:
    """Two cables from one machine would make it run ahead."""
    come = jittered(steady(20, bpm), 0.002, seed)
    _, heard = counted(np.sort(np.concatenate([come, come[sorted(twice)] + later])))
    assert heard == len(come) - 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("jump", [(120.0, 60.0), (120.0, 180.0), (60.0, 240.0), (200.0, 100.0), (120.0, 132.0)])
def test_a_jump_of_the_tempo_is_followed_within_two_beats(jump: tuple[float, float], seed: int) -> None:
    """The next section of a song with another tempo would be played in the old one."""
    first, then = jump
    true = going((first, first, 16), (then, then, 16))
    come = jittered(true, 0.002, seed)
    assert max(after(errors(true, come), 18)) <= 0.002
    follower, heard = counted(come)
    assert heard == len(true) - 1
    assert follower.bpm == pytest.approx(then, rel=0.02)


@pytest.mark.parametrize("gap", [0.4, 0.731, 1.9])
def test_after_a_gap_the_phase_is_taken_anew(gap: float) -> None:
    """A clock that paused without a word would be followed off its beat."""
    true = steady(32, 120.0)
    true[16 * CLOCK_TICKS_PER_BEAT :] += gap
    follower, off = ClockPLL(120), []
    for number, second in enumerate(jittered(true, 0.002, 1).tolist()):
        if number > 17 * CLOCK_TICKS_PER_BEAT:
            off.append(abs(follower.last_tick_s + follower.period_s - float(true[number])))
        follower.receive_tick(second)
    assert max(off) < 0.002


def test_a_jam_changes_no_count() -> None:
    """A machine that was busy for a moment would be off the beat ever after."""
    come = steady(16, 120.0)
    jam = slice(200, 209)
    come[jam] = come[208]
    _, heard = counted(come)
    assert heard == len(come) - 1


def test_a_start_where_no_tick_was_due_is_the_new_phase() -> None:
    """A machine whose clock starts anew with its music would be followed in the phase of its idling."""
    follower, _ = counted(steady(8, 120.0))
    begins = follower.last_arrival_s + 0.5 * follower.period_s
    follower.restart_phase(begins)
    for tick in range(24):
        follower.receive_tick(begins + tick * 60 / (24 * 120.0))
        assert follower.last_tick_s == pytest.approx(begins + tick * 60 / (24 * 120.0), abs=1e-4)


def test_a_start_on_a_tick_leaves_the_line_alone() -> None:
    """The one tick of the start, early or late as it may be, would move the whole bar."""
    follower, _ = counted(steady(8, 120.0))
    due = follower.last_tick_s + follower.period_s
    follower.restart_phase(due + 0.003)
    follower.receive_tick(due + 0.003)
    assert abs(follower.last_tick_s - due) < 0.0005


@given(bpms, seeds, st.integers(2, ACQUIRE_TICKS))
def test_it_is_acquired_by_least_squares(bpm: float, seed: int, ticks: int) -> None:
    """The first bar would depend on its first few ticks, be they early or late."""
    come = jittered(steady(2, bpm), 0.0005, seed)[:ticks]
    follower, _ = counted(come)
    period, first = np.polyfit(np.arange(ticks), come - come[0], 1)
    assert follower.period_s == pytest.approx(period, abs=1e-9)
    assert follower.last_tick_s == pytest.approx(come[0] + first + period * (ticks - 1), abs=1e-9)


@settings(max_examples=200)
@example([0.0] * 60, 120.0, 0.02)
@example([1e9, *[1e-3] * 40, 3600.0, *[0.5] * 40], 20.0, 0.0)
@given(st.lists(st.floats(-1, 100) | st.floats(0, 0.05) | st.just(0.0), max_size=120), bpms, rounds)
def test_no_ticks_do_worse_than_be_wrong(gaps: list[float], bpm: float, rounds: float) -> None:
    """A broken machine at the other end would stop the music, or send it to a tempo that is none."""
    follower, second = ClockPLL(bpm, rounds), 0.0
    for gap in gaps:
        second += gap
        assert isinstance(follower.receive_tick(second), int)
        if gap < 0:
            follower.restart_phase(second)
        assert SLOWEST_BPM * 0.999 <= follower.bpm <= FASTEST_BPM * 1.001
        assert math.isfinite(follower.last_tick_s)
        assert follower.lost_ticks >= 0


@pytest.mark.parametrize(("bpm", "limit"), [(5.0, 20.0), (19.0, 20.0), (450.0, 400.0), (4000.0, 400.0)])
def test_a_tempo_nobody_plays_is_followed_at_the_limit(bpm: float, limit: float) -> None:
    """It would play faster than anybody can hear, or wait for ever."""
    follower, _ = counted(steady(20, bpm))
    assert follower.bpm == pytest.approx(limit, rel=0.01)


@pytest.mark.parametrize("bpm", [70.0, 97.0, 100.0, 112.0, 116.0, 120.0, 140.0, 160.0])
@pytest.mark.parametrize("frames", [64, 256, 1024])
def test_a_port_that_carries_in_rounds_changes_no_tempo(bpm: float, frames: int) -> None:
    """Over JACK at long periods it would play at the tempo of the sound card."""
    true, period = steady(60, bpm), frames / 48000
    follower, heard = counted(np.ceil(true / period) * period, rounds=period)
    assert heard == len(true) - 1
    assert follower.bpm == pytest.approx(bpm, rel=0.05)
