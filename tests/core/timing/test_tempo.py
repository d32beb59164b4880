# SPDX-License-Identifier: Apache-2.0
"""Beats, seconds, and swing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.timing.tempo import Tempo, default_swing, exact_tick
from sideman_models.music.context import EvenBars
from sideman_models.music.swing import swung_beat, swung_in_order

bpms = st.floats(20, 400)
seconds = st.floats(-1e4, 1e5)
swings = st.floats(0.5, 0.75)
ticks = st.integers(0, 10_000)


@given(bpms, seconds, st.floats(0, 1e5))
def test_beats_and_seconds_convert_back(bpm: float, second: float, beat: float) -> None:
    """Guards against: a note that sounds at another place than the one it was chosen for."""
    tempo = Tempo(bpm, second, 8.0)
    assert tempo.beat_at(tempo.second_at(beat)) == pytest.approx(beat, abs=1e-6)


@given(bpms, bpms, st.floats(0, 1e4))
def test_a_tempo_change_moves_no_beat(before: float, after: float, second: float) -> None:
    """Guards against: music that stumbles when the tempo knob is turned."""
    tempo = Tempo(before, 3.0, 0.0)
    assert tempo.with_bpm(after, second).beat_at(second) == pytest.approx(tempo.beat_at(second))


@given(ticks, swings)
def test_what_is_swung_can_be_unswung(tick: int, swing: float) -> None:
    """Guards against: an eighth that the player swings as we do, and that is not heard as an eighth."""
    if tick % 12 not in (2, 4, 8, 10):
        assert exact_tick(swung_beat(tick, swing), EvenBars(48), swing) == pytest.approx(tick, abs=1e-6)


@given(st.integers(0, 1000), swings)
def test_swing_moves_eighths_and_leaves_beats_and_triplets(beat: int, swing: float) -> None:
    """Guards against: swing that drags the beat or bends triplets."""
    assert swung_beat(12 * beat, swing) == beat
    assert swung_beat(12 * beat + 6, swing) == pytest.approx(beat + swing)
    assert swung_beat(12 * beat + 4, swing) == pytest.approx(beat + 1 / 3)
    assert swung_beat(12 * beat + 3, swing) == pytest.approx(beat + swing / 2)


@given(st.integers(0, 1000), swings)
def test_swing_lets_no_note_of_the_band_sound_before_an_earlier_one(beat: int, swing: float) -> None:
    """Guards against: a note that ends before it begins where swing is hard; other onsets where it is not."""
    ticks = [12 * beat + tick for tick in (0, 1, 2, 3, 4, 6, 8, 9, 10, 11, 12)]
    sounding = [swung_in_order(tick, swing) for tick in ticks]
    assert sounding == sorted(sounding)
    if swing <= 0.666:
        assert sounding == [swung_beat(tick, swing) for tick in ticks]


def test_fast_tempos_are_straight_by_default() -> None:
    """Guards against: fast songs that limp."""
    assert default_swing(120) == 0.54
    assert default_swing(221) == 0.5
