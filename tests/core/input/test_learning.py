# SPDX-License-Identifier: Apache-2.0
"""Learning finds the controller that a hand moves, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sideman.core.events import ControlChange
from sideman.core.input.controllers import SelectedParameters
from sideman.core.input.learning import STREAM_REST_S, UNBINDABLE_CONTROLLERS, ControllerLearner, Learned
from sideman.core.targets import ActionTarget, SettingTarget, Target

KNOB, PEDAL = SettingTarget("play.density"), ActionTarget("tap")


class LearningScene:
    """A learner that waits for `target`; messages come 20 ms apart."""

    def __init__(self, target: Target = KNOB) -> None:
        self.learner = ControllerLearner()
        self.parameters = SelectedParameters()
        self.second = 10.0
        self.learner.begin(target, self.second)

    def hear(self, number: int, *values: int, after: float = 0.02, channel: int = 1) -> Learned | None:
        """Let a controller send `values`; returns what was learned."""
        for value in values:
            self.second += after
            item = ControlChange(number, value, channel)
            self.parameters.select(item)
            found = self.learner.hear(item, self.second, self.parameters.selected(channel, "nrpn"))
            if isinstance(found, Learned):
                return found
        return None


@given(st.integers(0, 127), st.integers(2, 125), st.lists(st.integers(-2, 2), min_size=1, max_size=300))
@example(1, 125, [2] * 20)
def test_a_knob_that_trembles_is_not_learned(number: int, rest: int, twitches: list[int]) -> None:
    """Guards against: a setting bound to a knob that was leaned against, or that has a dirty contact."""
    scene, sent = LearningScene(), [rest + twitch for twitch in twitches]
    assume(number != 70)
    assume(64 in sent or not {63, 65} <= {*sent})  # no position between two others is left out
    assert scene.hear(number, *sent, after=0.3 if {1, 63, 65, 127} & {*sent} else 0.02) is None
    assert scene.hear(70, 10, 20) == Learned("midi.cc", 70, 20, "absolute")


@given(st.sampled_from(sorted(UNBINDABLE_CONTROLLERS)), st.lists(st.integers(0, 127), max_size=40))
def test_what_no_hand_moves_is_not_learned(number: int, values: list[int]) -> None:
    """Guards against: a bank selection, a data entry or a parameter number that is bound instead of the knob."""
    scene = LearningScene()
    assert scene.hear(number, *values) is None
    assert scene.hear(101, 0) is scene.hear(100, 0) is scene.hear(6, 2, 12, 24) is scene.hear(38, 0, 90) is None


def test_what_moved_before_is_not_learned_until_it_rests() -> None:
    """Guards against: a DAW's automation or a drifting sensor that is bound before the hand reaches its knob."""
    scene = LearningScene()
    scene.learner.begin(None, 0.0)
    assert scene.hear(1, *range(0, 100, 9)) is None
    scene.learner.begin(KNOB, scene.second)
    assert scene.hear(1, *range(0, 100, 3)) is None
    assert scene.hear(1, 3, after=STREAM_REST_S) is None
    assert scene.hear(1, 60) == Learned("midi.cc", 1, 60, "absolute")


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ((1, 1, 127, 127), "relative"),
        ((1, 127, 1, 127), "relative"),
        ((1, 1, 2, 3, 3, 2, 1, 126, 127, 127), "relative"),
        ((1,) * 8, "relative"),
        ((65, 65, 63, 63), "relative binary-offset"),
        ((65,) * 8, "relative binary-offset"),
        ((63, 63, 63, 65), "relative binary-offset"),
        ((1, 1, 65, 65), "relative sign-magnitude"),
        ((2, 65, 1, 1, 66, 65, 1, 65), "relative sign-magnitude"),
        (tuple(range(1, 20)), "absolute"),
        (tuple(range(60, 80)), "absolute"),
        ((5, 6, 6, 7, 8, 9, 10, 11, 12), "absolute"),
        ((62, 63, 63, 65, 66, 67, 68, 69), "absolute"),
        ((127, 0), "absolute"),
    ],
)
def test_an_endless_knob_is_recognised_by_what_it_sends(values: tuple[int, ...], form: str) -> None:
    """Guards against: an endless knob that jumps between two values, or a fader that only steps."""
    found = LearningScene().hear(20, *values)
    assert found is not None
    assert (found.key, found.number, found.form) == ("midi.cc", 20, form)


def test_a_fader_with_14_bits_is_recognised_as_a_pair() -> None:
    """Guards against: a fader of which only the fine half is bound, so that it runs through its range 128 times."""
    scene = LearningScene()
    found = None
    for first in range(63, 70):
        for second in (5, 60, 120):
            found = found or scene.hear(7, first) or scene.hear(39, second, after=0.001)
    assert found == Learned("midi.cc", 7, 68, "14-bit")
    assert scene.learner.target is None


def test_the_fine_half_that_comes_first_is_not_learned() -> None:
    """Guards against: a device that sends the fine half first, and loses the coarse one."""
    scene = LearningScene()
    found = None
    for first in range(50, 60):
        found = found or scene.hear(39, first * 17 % 128) or scene.hear(7, first, after=0.001)
    assert found is not None
    assert found.number == 7


def test_a_button_of_the_upper_numbers_can_be_learned() -> None:
    """Guards against: pads on controllers 32 to 63 that cannot be bound because they could be a second half."""
    assert LearningScene(PEDAL).hear(40, 100, 0) == Learned("midi.cc", 40, 0, "absolute")
    assert LearningScene().hear(40, 10, 30) == Learned("midi.cc", 40, 30, "absolute")


def test_a_knob_that_sends_nrpn_is_learned_by_its_parameter() -> None:
    """Guards against: a knob that is bound as data entry, together with every other knob of its synthesizer."""
    scene, found = LearningScene(), None
    for value in (40, 50, 60):
        found = scene.hear(99, 8) or scene.hear(98, 10) or scene.hear(6, value)
        if found:
            break
    assert found == Learned("midi.nrpn", 8 * 128 + 10, 50, "absolute")


@pytest.mark.parametrize("values", [(127,), (90, 0), (0, 127), (10, 40, 80)])
def test_an_action_is_learned_from_any_press(values: tuple[int, ...]) -> None:
    """Guards against: a button without release, a soft button or a damper pedal that cannot be learned."""
    assert LearningScene(PEDAL).hear(66, *values) == Learned("midi.cc", 66, values[-1], "absolute")


def test_a_pedal_that_only_trembles_or_comes_up_is_no_press() -> None:
    """Guards against: an action bound to an expression pedal that was not touched on purpose."""
    scene = LearningScene(PEDAL)
    assert scene.hear(11, 100, 101, 99, 100) is None
    assert scene.hear(4, 30, 10, 0) is None


def test_an_encoding_that_is_named_is_taken_from_knobs_that_have_it() -> None:
    """Guards against: `learn "play.gate relative sign-magnitude"` that binds a fader which trembled."""
    target = SettingTarget("play.gate", form="relative sign-magnitude")
    scene = LearningScene(target)
    assert scene.hear(7, 100, 101, 99, 100) is None
    assert scene.hear(20, 1, 1, 65) == Learned("midi.cc", 20, 65, target.form)


def test_learning_can_be_cancelled() -> None:
    """Guards against: a knob that is bound long after the request was given up."""
    scene = LearningScene()
    assert scene.hear(20, 10) is None
    scene.learner.begin(None, scene.second)
    assert scene.hear(20, 90, 100) is None
