# SPDX-License-Identifier: Apache-2.0
"""Which positions of JACK's transport count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sideman.core.events import JackPosition
from sideman.midi.jack_transport import POLL_S, PositionFilter


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
