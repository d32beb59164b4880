# SPDX-License-Identifier: Apache-2.0
"""Jumps and loops by request and by pedal: what is done, and what is refused with what would be right."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from sideman.control.codec import make_request
from sideman.core.errors import ConfigError
from sideman.core.events import ActionRequested, ControlChange, JumpToBar
from sideman.playing.assembly import load_performance
from support.control import ControlScene, control_scene
from support.fakes import performance

CHANGES = "[A] | C | F | [B] | G7 | Em |"
BAR_S = 2.0  # at 120 bpm
PEDALS = {64: "jump:B", 65: "loop", 66: "slower", 67: "jump:Bridge"}


def scene(**keys: Any) -> ControlScene:
    """A scene in the first of two sections of two bars."""
    playing = control_scene(chart__changes=CHANGES, **keys)
    playing.play_until(0.1)
    return playing


def form_bar(playing: ControlScene) -> int:
    """The bar of the chart that sounds."""
    return int(playing.ask("status")["form_bar"])


def test_a_jump_names_its_bar_and_ends_a_loop_that_it_leaves() -> None:
    """Guards against: a jump that the loop undoes a bar later."""
    playing = scene(practice__loop="A")
    assert playing.ask("jump", to="2") == {"bar": 2}
    assert playing.ask("get", key="practice.loop")["value"] == "A"
    assert playing.ask("jump", to="b") == {"bar": 3}
    assert playing.api.settings.practice.loop is None
    assert playing.ask("status")["practice"] == "bar 3 next"
    playing.play_until(BAR_S + 0.1)
    assert form_bar(playing) == 3
    playing.play_until(2 * BAR_S + 0.1)
    assert form_bar(playing) == 4
    assert playing.ask("status")["practice"] == ""


def test_loop_without_bars_repeats_the_section_and_ends_it() -> None:
    """Guards against: a pedal with which a loop can be begun and not ended."""
    playing = scene()
    playing.play_until(2 * BAR_S + 0.5)
    assert playing.ask("loop")["changed"] == {"practice.loop": "3-4"}
    playing.play_until(4 * BAR_S + 0.1)
    assert form_bar(playing) == 3
    assert playing.ask("loop")["changed"] == {"practice.loop": None}
    assert playing.ask("loop", bars=2)["changed"] == {"practice.loop": "2"}
    assert playing.ask("loop", bars="off")["changed"] == {"practice.loop": None}


def test_a_pedal_jumps_and_loops(caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: a student with both hands on the keys who has to reach for the computer."""
    playing = scene(**{f"midi__cc__{number}": name for number, name in PEDALS.items()})
    for number in PEDALS:
        playing.engine.receive(ControlChange(number, 127, 1), playing.clock.second)
        for report in [each for each in playing.reports if isinstance(each, ActionRequested)]:
            playing.reports.remove(report)
            with caplog.at_level(logging.WARNING):
                playing.api.perform_action(report.action, report.argument)
    assert JumpToBar(2) in playing.commands
    assert playing.api.settings.practice.loop == "1-2"
    assert "jump: 'Bridge': the chart has no section of that name" in caplog.text
    playing.play_until(BAR_S + 0.1)
    assert playing.engine.tempo.bpm == 108.0


@pytest.mark.parametrize(
    ("request_name", "wrong", "said"),
    [
        ("jump", {"to": "C"}, r"jump: 'C': .* its sections are A, B"),
        ("jump", {"to": 5}, r"jump: 5: the chart has no bar 5; its bars are 1-4"),
        ("loop", {"bars": "3-9"}, r"practice.loop: 3-9: the chart has no bar 9"),
        ("loop", {"bars": "4-3"}, r"practice.loop: .*no bar lies between 4 and 3.*as in 3-4"),
        ("loop", {"bars": 0}, r"practice.loop: .*bars are counted from 1"),
        ("set", {"key": "practice.transpose", "value": "tritones"}, r"practice.transpose.*fourths"),
    ],
)
def test_a_place_out_of_the_chart_is_refused(request_name: str, wrong: dict[str, object], said: str) -> None:
    """Guards against: a loop of no bars, and an error that does not say which bars there are."""
    playing = scene()
    with pytest.raises(ConfigError, match=said):
        playing.api.answer(make_request(request_name, wrong))
    assert not playing.commands
    assert playing.api.settings.practice.loop is None


def test_a_loop_that_the_chart_lacks_is_refused_at_the_start_and_ends_with_its_chart() -> None:
    """Guards against: a loop of another song that lies in wait, or keeps the next song from being played."""
    made = performance(chart__changes=CHANGES, practice__loop="7-8")
    with pytest.raises(ConfigError, match=r"practice.loop: 7-8: the chart has no bar 8; its bars are 1-4"):
        load_performance(made.settings, made.chart)
    playing = scene(practice__loop="B")
    playing.ask("set", key="chart.changes", value="| Dm7 | G7 |")
    assert playing.api.settings.practice.loop is None
