# SPDX-License-Identifier: Apache-2.0
"""Tap tempo."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.actions import TapTempo
from sideman.core.timing.ableton_link import LinkFollower
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman.core.timing.tempo import MAX_TAP_GAP_S, TapTempoEstimator
from support.fakes import performance


@given(st.floats(40, 400), st.integers(2, 20), st.lists(st.floats(-0.05, 0.05), min_size=20, max_size=20))
def test_a_steady_foot_gives_its_tempo(true_bpm: float, count: int, errors: list[float]) -> None:
    """Guards against: another tempo than that of the record along which somebody taps."""
    taps = TapTempoEstimator()
    tapped = [taps.tap(60 / true_bpm * (beat + errors[beat])) for beat in range(count)]
    assert [bpm is None for bpm in tapped] == [True, *[False] * (count - 1)]
    assert tapped[-1] == pytest.approx(true_bpm, rel=0.12)


@given(st.lists(st.floats(0, 3), max_size=30))
def test_any_taps_give_a_tempo_that_can_be_played(pauses: list[float]) -> None:
    """Guards against: a bouncing pedal that sets an impossible tempo."""
    taps, second = TapTempoEstimator(), 0.0
    for pause in pauses:
        second += pause
        tapped = taps.tap(second)
        assert tapped is None or 20 <= tapped <= 400


def test_one_missed_tap_does_no_harm() -> None:
    """Guards against: a foot that slips once and halves the tempo."""
    taps = TapTempoEstimator()
    tapped = [taps.tap(0.5 * beat) for beat in range(9) if beat != 6]
    assert tapped[-1] == 120.0


def test_a_pause_starts_the_count_again() -> None:
    """Guards against: an old tempo that influences the new one."""
    taps = TapTempoEstimator()
    for beat in range(8):
        taps.tap(0.5 * beat)
    assert taps.tap(3.5 + MAX_TAP_GAP_S + 0.01) is None
    assert taps.tap(3.5 + MAX_TAP_GAP_S + 1.01) == 60.0


def test_tapping_moves_no_beat_and_sets_the_shown_tempo() -> None:
    """Guards against: a solo that stumbles at every tap, or a shown tempo that is not the one played."""
    engine = performance().make_engine(0.0)
    for second in (1.0, 1.4, 1.8):
        list(engine.advance(second))
        beat = engine.beat_at(second)
        engine.receive(TapTempo(), second)
        assert engine.beat_at(second) == pytest.approx(beat)
    assert engine.tempo.bpm == engine.snapshot(1.8).settings.tempo.bpm == 150.0


def test_taps_do_not_change_the_tempo_of_a_midi_clock() -> None:
    """Guards against: a tap that separates us from the drum machine."""
    engine = performance(tempo__source="midi-clock").make_engine(
        0.0, clocks=ClockConfig(MidiClockFollower(120.0, wait_start=True, on_change=lambda: None))
    )
    for second in (1.0, 1.4, 1.8):
        engine.receive(TapTempo(), second)
    assert engine.settings.tempo.bpm == 120.0


def test_a_link_session_is_asked_for_the_tapped_tempo() -> None:
    """Guards against: a Link session whose tempo cannot be set from here."""
    requested: list[float] = []
    transport = LinkFollower(4.0, wait_start=False, on_change=lambda: None, request_tempo=requested.append)
    engine = performance(tempo__source="link").make_engine(0.0, clocks=ClockConfig(transport))
    for second in (1.0, 1.4, 1.8):
        engine.receive(TapTempo(), second)
    assert requested == [150.0]
