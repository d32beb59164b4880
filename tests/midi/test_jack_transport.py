# SPDX-License-Identifier: Apache-2.0
"""Which positions of JACK's transport count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.events import JackPosition
from sideman.midi.jack_transport import POLL_S, PositionFilter, PositionStruct, position_of


def reported(readings: list[JackPosition], begin: float = 0.0) -> list[JackPosition]:
    """Those that are let through; the transport was at its frame 0 at the second `begin`, and has run on."""
    positions = PositionFilter()
    return [position for position in readings if positions.is_new(position, begin + position.transport_s)]


def at(second: float, bars_off: float = 0.0) -> JackPosition:
    """A transport that has a master at 120 bpm, which may be some bars off."""
    return JackPosition(True, second, 120.0, 2 * second + 4 * bars_off)


@given(st.lists(st.sampled_from((0.0, 0.0, 1.0, -1.0)), min_size=1, max_size=60), st.integers(0, 500))
def test_the_mistake_of_one_period_is_not_followed(bars_off: list[float], start: int) -> None:
    """Guards against: klick, which says the next bar for one period, and two bass notes at each such bar."""
    alone = [off if number and bars_off[number - 1] == 0.0 else 0.0 for number, off in enumerate(bars_off)]
    readings = [at((start + number) * POLL_S, off) for number, off in enumerate(alone)]
    assert reported(readings) == readings[:1]


@given(st.integers(1, 8), st.integers(1, 3))
def test_another_beat_counts_when_a_later_period_says_it_too(steady: int, polls: int) -> None:
    """Guards against: a tempo map that is edited while it plays, and a solo that stays in the bar of the old one."""
    before = [at(number * POLL_S) for number in range(steady)]
    jumped = [at(steady * POLL_S, 2.0)] * polls + [at((steady + polls) * POLL_S, 2.0)]
    assert reported(before + jumped)[-1] == jumped[-1]


def test_a_jump_of_the_frames_counts_at_once() -> None:
    """Guards against: a solo that comes late after the transport was moved."""
    positions = PositionFilter()
    readings = [at(0.0), at(POLL_S), at(30.0), at(30.0 + POLL_S)]
    counts = [positions.is_new(position, number * POLL_S) for number, position in enumerate(readings)]
    assert counts == [True, False, True, False]


def said(beats: float, bpm: float, beats_per_bar: int, *, bar_is_one_beat: bool) -> PositionStruct:
    """What a timebase master says at this beat from the top, in the ticks of Hydrogen."""
    frame, of_bar = round(beats * 60 / bpm * 48000), int(beats // beats_per_bar)
    ticks = int((beats - of_bar * beats_per_bar) * 48)
    ticks_per_beat = 48 * beats_per_bar if bar_is_one_beat else 48
    beat, tick = divmod(ticks, ticks_per_beat)
    return PositionStruct(
        frame=frame, frame_rate=48000, valid=0x10, bar=of_bar + 1, beat=beat + 1, tick=tick, beat_type=4.0,
        bar_start_tick=of_bar * 48 * beats_per_bar, beats_per_bar=beats_per_bar, ticks_per_beat=ticks_per_beat,
        beats_per_minute=bpm,
    )  # fmt: skip


@given(st.floats(0, 400), st.floats(30, 300), st.integers(2, 7), st.booleans())
def test_a_master_that_takes_a_bar_for_a_beat_is_understood(
    beats: float, bpm: float, beats_per_bar: int, bar_is_one_beat: bool
) -> None:
    """Guards against: Hydrogen as timebase master, with which the solo goes on at a quarter of the tempo."""
    place = position_of(1, said(beats, bpm, beats_per_bar, bar_is_one_beat=bar_is_one_beat))
    assert place.beat == pytest.approx(beats, abs=0.06)
    assert place.bpm == pytest.approx(bpm)
