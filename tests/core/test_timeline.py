# SPDX-License-Identifier: Apache-2.0
"""The timeline: seconds, beats and written ticks, and where the music begins and ends."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.core.chart.timeline import ChartTimeline
from sideman.core.positions import reached_beat
from sideman.core.settings.live import LiveSettings
from sideman.core.timeline import PlaySpan, Timeline
from support.fakes import performance

swings = st.one_of(st.none(), st.floats(0.5, 0.75))
offsets = st.integers(-200, 200)


def timeline(span: PlaySpan | None = None, **keys: Any) -> tuple[Timeline, LiveSettings, ChartTimeline]:
    """A timeline, by default over four bars of 4/4, with its settings and its chart."""
    made = performance(**keys)
    live, chart = LiveSettings(made.settings), ChartTimeline(made.chart)
    return Timeline(live, chart, span or PlaySpan(1.0)), live, chart


@given(st.floats(0, 1000), st.floats(20, 400), offsets)
def test_a_second_and_its_beat_are_each_others_inverse(beat: float, bpm: float, offset: int) -> None:
    """Guards against notes that come earlier or later than the beat for which they were asked."""
    made, _, _ = timeline(tempo__bpm=bpm, play__offset_ms=offset)
    assert made.beat_at(made.second_at(beat)) == pytest.approx(beat, abs=1e-6)
    assert reached_beat(made.beat_at(made.second_at(beat))) >= beat


@given(st.integers(0, 2000), swings, st.sampled_from(["4/4", "3/4", "5/4"]))
def test_swing_is_undone_exactly(tick: int, swing: float | None, meter: str) -> None:
    """Guards against a note of our solo that the network would see at another place than it was written."""
    made, _, _ = timeline(tempo__meter=meter, play__swing="auto" if swing is None else swing)
    straight = tick % 12 not in (2, 4, 8, 10)  # triplets stay where swung sixteenths move
    if straight:
        assert made.unswung_tick(made.swung_beat(tick)) == pytest.approx(tick, abs=1e-5)


def test_settings_hold_at_once() -> None:
    """Guards against a part that keeps settings of its own and goes on with old ones."""
    made, live, _ = timeline()
    before = made.second_at(4.0)
    live.change([("play.offset_ms", 50), ("play.swing", 0.66)])
    assert made.second_at(4.0) == pytest.approx(before + 0.05)
    assert made.swung_beat(6) == pytest.approx(0.66)


@given(st.floats(0, 200), st.floats(-3, 60), st.floats(0, 9))
def test_after_a_move_the_beats_have_only_grown(reached: float, position: float, ahead: float) -> None:
    """Guards against a beat that comes twice, and against bars that no longer lie as the clock's do."""
    made, _, chart = timeline()
    made.move(position, reached, ahead)
    assert made.top + position >= reached + ahead - 1e-6
    assert made.top % 4 == 0
    assert made.start == made.top + max(position, 0.0)
    assert chart.chord_at(made.top).text == "Dm7"


def test_where_bars_have_several_lengths_the_music_continues_on_a_quarter_note() -> None:
    """Guards against waiting for minutes until bars of mixed meters lie alike."""
    made, _, _ = timeline(chart__changes="4/4 Dm7 | 7/8 G7 | 3/4 Cmaj7")
    made.move(2.5, 17.2)
    assert made.top == 15.0


@pytest.mark.parametrize("choruses", [1, 3])
def test_the_end_follows_the_top(choruses: int) -> None:
    """Guards against a last chorus that is cut short, or never ends, after a new start."""
    made, _, _ = timeline(PlaySpan(0.0, 0.0, 16.0 * choruses, has_final_note=True), chart__choruses=choruses)
    made.move(0.0, 9.0)
    assert (made.top, made.end, made.end_tick) == (12.0, 12.0 + 16 * choruses, 144 + 192 * choruses)
    endless, _, _ = timeline()
    endless.move(0.0, 9.0)
    assert endless.end == math.inf


def test_late_is_later_than_the_settings_allow() -> None:
    """Guards against leaving out notes that are on time, or playing some far behind the beat."""
    made, live, _ = timeline(play__late_ms=30)
    on_time = made.second_at(4.0)
    assert not made.is_late(4.0, on_time + 0.0299)
    assert made.is_late(4.0, on_time + 0.0301)
    live.settings = replace(live.settings, play=replace(live.play, late_ms=100))
    assert not made.is_late(4.0, on_time + 0.0301)
