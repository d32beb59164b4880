# SPDX-License-Identifier: Apache-2.0
"""Endless knobs, positions of 14 bits and NRPN, as the devices send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.events import ControlChange
from sideman.core.input.controllers import (
    HALF_WAIT_S,
    MAX_FINE_POSITION,
    FineControllers,
    Movement,
    SelectedParameters,
    steps_of,
)

numbers = st.integers(0, 127)


@given(st.integers(-63, 63))
def test_the_three_encodings_of_an_endless_knob_mean_the_same_steps(steps: int) -> None:
    """Guards against: a knob that turns the wrong way, or jumps when it is turned left."""
    assert steps_of("relative", steps % 128) == steps
    assert steps_of("relative binary-offset", 64 + steps) == steps
    assert steps_of("relative sign-magnitude", steps if steps >= 0 else 64 - steps) == steps


@given(st.lists(st.integers(0, MAX_FINE_POSITION), min_size=2, max_size=30))
def test_a_position_of_14_bits_is_exact(positions: list[int]) -> None:
    """Guards against: a fine fader that jumps between two steps of its coarse half."""
    fine, moved = FineControllers(), list[int]()
    for second, position in enumerate(positions):
        for movement in (
            fine.first_half(1, "midi.cc", 7, position >> 7, second),
            fine.second_half(1, "midi.cc", 7, position & 127),
        ):
            if movement is not None:
                assert movement.top == MAX_FINE_POSITION
                moved.append(movement.position)
    assert moved[1:] == positions  # before the first second half, the first half stands alone


def test_a_first_half_that_stays_alone_counts_after_a_moment() -> None:
    """Guards against: a fader whose big movements are lost because it sends the fine half only when that changes."""
    fine = FineControllers()
    assert fine.first_half(1, "midi.cc", 7, 127, 0.0) == Movement("midi.cc", 7, MAX_FINE_POSITION, MAX_FINE_POSITION)
    fine.second_half(1, "midi.cc", 7, 5)
    assert fine.first_half(1, "midi.cc", 7, 60, 1.0) is None
    assert fine.next_due == 1.0 + HALF_WAIT_S
    assert fine.due(1.0) == []
    assert fine.due(fine.next_due) == [Movement("midi.cc", 7, 60 << 7, MAX_FINE_POSITION)]
    assert fine.due(9.0) == []
    assert fine.second_half(2, "midi.cc", 7, 5) is None  # another channel


@given(numbers, numbers)
def test_a_parameter_is_selected_on_its_channel_until_another_is(upper: int, lower: int) -> None:
    """Guards against: data entry for the pitch wheel that turns a knob, or the other way round."""
    parameters = SelectedParameters()
    for number, value in ((99, upper), (98, lower)):
        assert parameters.select(ControlChange(number, value, 3))
    number = upper << 7 | lower
    assert parameters.selected(3, "nrpn") == (None if number == MAX_FINE_POSITION else number)
    assert parameters.selected(4, "nrpn") is parameters.selected(3, "rpn") is None
    for number, value in ((101, 0), (100, 6)):
        parameters.select(ControlChange(number, value, 3))
    assert parameters.selected(3, "rpn") == 6
    assert parameters.selected(3, "nrpn") is None
    assert not parameters.select(ControlChange(6, 1, 3))


@pytest.mark.parametrize("number", [98, 99, 100, 101])
def test_the_parameter_127_127_is_none(number: int) -> None:
    """Guards against: data entry after a parameter was given up that still changes it."""
    parameters = SelectedParameters()
    for each in (number | 1, number & ~1):
        parameters.select(ControlChange(each, 127, 1))
    assert parameters.selected(1, "rpn") is parameters.selected(1, "nrpn") is None
