# SPDX-License-Identifier: Apache-2.0
"""Following the transport of JACK: frames, bars, starts, stops and jumps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.actions import Start, Stop
from sideman.core.engine import Engine
from sideman.core.events import Command, JackPosition, MidiEvent
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.jack_transport import GRACE_S, BarBeatTick, JackTransportFollower
from support.fakes import hanging_notes, note_ons, performance, play_on_fake_clock, tempo_change

Arrivals = list[tuple[float, MidiEvent | Command]]
DENSE: dict[str, Any] = {"play__density": 4, "play__rests": 0}


def following(bpm: float = 120.0, **keys: Any) -> tuple[Engine, JackTransportFollower, list[Any]]:
    """An engine that follows a transport, the follower, and its status texts and what it asked of the transport."""
    reported: list[Any] = []
    follower = JackTransportFollower(bpm, lambda: reported.append(follower.status_text), reported.append)
    return performance(**{**DENSE, **keys}).make_engine(0.0, clocks=ClockConfig(follower)), follower, reported


def frames(transport_s: float, *, rolling: bool = True) -> JackPosition:
    """A position without a timebase master."""
    return JackPosition(rolling, transport_s, 0.0, 0.0)


def bars(beat: float, bpm: float = 100.0, *, rolling: bool = True) -> JackPosition:
    """A position of a timebase master."""
    return JackPosition(rolling, beat * 60 / bpm, bpm, beat)


def onsets(engine: Engine, until: float, arrivals: Arrivals) -> list[float]:
    """The seconds of the note-ons; every note must be released."""
    recorder, _ = play_on_fake_clock(engine, until, arrivals)
    assert not hanging_notes(message for _, message in recorder.sent if len(message) == 3 and message[0] < 0xF0)
    return [second for second, _ in note_ons(recorder)]


@given(st.floats(0, GRACE_S * 0.4), st.floats(60, 240))
def test_without_a_master_the_frames_give_the_beat(late: float, bpm: float) -> None:
    """Guards against: a first note that is missing because the start was noticed a moment after it."""
    engine, _, _ = following(bpm, tempo__bpm=bpm)
    seconds = onsets(engine, 5.0, [(0.5, frames(0.0, rolling=False)), (1.0 + late, frames(late))])
    expected = [1.0 + beat * 60 / bpm for beat in range(len(seconds))]
    assert seconds[0] == pytest.approx(1.0 + late, abs=1e-6)
    assert seconds[1:] == pytest.approx(expected[1:], abs=1e-6)
    assert len(seconds) >= 3


@given(st.floats(0, 60), st.floats(60, 200))
@settings(max_examples=30)
def test_with_a_master_its_beats_and_tempo_are_ours(beat: float, bpm: float) -> None:
    """Guards against: a solo beside the DAW, or over the chords of another bar."""
    engine, follower, reported = following()
    seconds = onsets(engine, 6.0, [(1.0, bars(beat, bpm))])
    assert follower.tempo.beat_at(1.0) == pytest.approx(beat)
    for second in seconds[1:]:
        place = beat + (second - 1.0) * bpm / 60
        assert place == pytest.approx(round(place), abs=1e-4)
    position = beat + 4.9 * bpm / 60
    assert engine.chart.chord_at(engine.beat_at(5.9)) == engine.chart.chart.chord_at(position % 16)
    assert reported == [f"following JACK's transport at {bpm:.1f} bpm"]


def test_a_stop_silences_and_a_start_continues_where_the_transport_is() -> None:
    """Guards against: a solo that goes on alone, or starts at the top when the DAW continues."""
    engine, follower, _ = following(play__gate=1)
    arrivals: Arrivals = [(0.0, bars(0.0)), (3.1, bars(3.1 / 0.6, rolling=False)), (5.0, bars(8.0))]
    seconds = onsets(engine, 6.3, arrivals)
    assert not [second for second in seconds if 3.1 < second < 5.0]
    assert [second for second in seconds if second > 4] == pytest.approx([5.0, 5.6, 6.2])
    assert follower.tempo.beat_at(5.6) == pytest.approx(9.0)


@pytest.mark.parametrize(("to", "jumps"), [(30.0, True), (5.05, False)])
def test_a_locate_is_a_jump_and_a_correction_is_none(to: float, jumps: bool) -> None:
    """Guards against: a locate that is ignored, or notes that are cut at each small correction."""
    _, follower, _ = following()
    follower.receive(bars(0.0), 10.0)
    follower.relocated = False
    follower.receive(bars(to), 13.0)  # beat 5 was expected
    assert follower.relocated == jumps
    assert follower.tempo.beat_at(13.0) == pytest.approx(to)


def test_our_own_tempo_can_change_while_the_transport_rolls() -> None:
    """Guards against: a tempo knob that throws the music to another bar."""
    engine, follower, _ = following()
    engine.receive(frames(0.0), 0.0)
    engine.receive(frames(4.0), 4.0)
    engine.receive(tempo_change(60.0), 4.0)
    engine.receive(frames(6.0), 6.0)
    assert follower.tempo.beat_at(6.0) == pytest.approx(8 + 2)
    assert not follower.relocated
    assert engine.beat_at(6.0) == pytest.approx(8 + 2 + engine.timeline.top)


def test_start_and_stop_are_passed_on() -> None:
    """Guards against: a foot switch that starts sideman alone although it is to start the band."""
    engine, _, reported = following()
    engine.receive(frames(0.0), 0.0)
    engine.receive(Stop(), 1.0)
    engine.receive(frames(1.0, rolling=False), 1.01)
    engine.receive(Start(), 2.0)
    assert [item for item in reported if isinstance(item, bool)] == [False, True]
    assert not engine.transport.rolling  # until the transport does
    engine.receive(frames(1.0), 2.01)
    assert engine.transport.rolling


@pytest.mark.parametrize(
    ("place", "quarters"),
    [
        (BarBeatTick(1, 1, 0, 1920, 4, 4), 0.0),
        (BarBeatTick(3, 2, 960, 1920, 4, 4), 9.5),
        (BarBeatTick(2, 3, 0, 1920, 6, 8), 4.0),
        (BarBeatTick(5, 1, 0, 0, 4, 4), None),
        (BarBeatTick(5, 1, 0, 1920, 0, 4), None),
    ],
)
def test_bars_beats_and_ticks_are_quarter_notes(place: BarBeatTick, quarters: float | None) -> None:
    """Guards against: a waltz or a 6/8 over the chords of another bar, or a broken master that ends the solo."""
    assert place.quarters == quarters


positions = st.builds(
    JackPosition,
    st.booleans(),
    st.floats(0, 1e4),
    st.sampled_from([0.0, 1.0, 60.0, 120.0, 5000.0]),
    st.floats(-8, 1e4) | st.sampled_from([0.0, 4.0]),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.01, 0.4, 2.0]), positions | st.sampled_from([Start(), Stop()])), max_size=30
    )
)
def test_no_transport_leaves_a_note_sounding(items: Sequence[tuple[float, MidiEvent | Command]]) -> None:
    """Guards against: a DAW that locates all the time and ends the solo, or leaves a note hanging."""
    engine, _, _ = following(play__rate="sixteenth", play__gate=1)
    second, arrivals = 0.0, []
    for gap, item in items:
        second += gap
        arrivals.append((second, item))
    onsets(engine, second + 2.0, arrivals)
