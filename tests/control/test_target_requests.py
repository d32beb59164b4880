# SPDX-License-Identifier: Apache-2.0
"""Target notes by request and in a configuration: what is done, and what is refused with what would be right."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sideman.control.codec import make_request
from sideman.core.errors import ConfigError
from sideman.core.events import ChangeSettings, SettingsChanged
from sideman.core.settings.schema import KEYS, write_value
from sideman.core.settings.target_notes import read_targets
from sideman.playing.assembly import load_performance, resumed_engine, state_of
from support.control import control_scene
from support.fakes import modern_bundle, performance, play_on_fake_clock
from support.takes import perform_with_reports, recorded_take, replay_take

CHANGES = "| Dm7 | G7 | Cmaj7 | 3/4 N.C. |"


def test_a_target_is_set_and_shown() -> None:
    """Guards against a target that is accepted, and of which nothing can be seen."""
    playing = control_scene(chart__changes=CHANGES)
    playing.play_until(0.1)
    assert playing.ask("status")["target"] == ""
    assert playing.ask("set", key="play.target", value="3:3 ,4.2: Bb")["changed"] == {"play.target": "3: 3, 4.2: Bb"}
    playing.play_until(0.2)
    assert playing.ask("status")["target"] == "target: 3 of Cmaj7 in bar 3"
    assert playing.ask("set", key="play.ending", value=3)["changed"] == {"play.ending": "3"}
    playing.ask("set", key="chart.changes", value="| Dm7 | G7 |")
    playing.play_until(4.5)
    assert playing.ask("status")["target"] == "target: the form has no bar 3; its bars are 1-2"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("9: 3", r"play.target: 9: 3: the form has no bar 9; its bars are 1-4"),
        ("4.4: Bb", r"play.target: 4.4: Bb: bar 4, in 3/4, has no such place"),
        ("4: 3", r"play.target: 4: 3: there is no chord there \(N.C.\); name a note, such as Bb"),
        ("3: C8", r"play.target: 3: C8: outside play.range, C3-C6"),
        ("1: 3, 1: 5", r"1 is there twice"),
        ("0: 3", r"'0' is no place: write a bar, from 1 on"),
        ("1: 14", r"'14' is no tone: write root, 3, 7, b9, Bb or Bb4"),
        ("1: C12", r"'C12' is no "),
        ("1 3", r"'1 3' is no target: write a bar, a colon and a tone"),
        ([1], r"allowed is off or bars with tones"),
        ("1: 3," * 600, r"longer than 2000 characters"),
    ],
)
def test_a_target_that_cannot_be_played_is_refused(value: object, said: str) -> None:
    """Guards against an error that does not say what is wrong, or a target that is left out later."""
    playing = control_scene(chart__changes=CHANGES)
    with pytest.raises(ConfigError, match=said):
        playing.api.answer(make_request("set", {"key": "play.target", "value": value}))
    assert not playing.commands
    assert playing.api.settings.play.target == ()


def test_a_target_that_the_chart_lacks_is_refused_at_the_start() -> None:
    """Guards against a mistake in a configuration that is heard, or not, only in bar 40."""
    made = performance(chart__changes=CHANGES, play__target="40: 3")
    with pytest.raises(ConfigError, match=r"play.target: 40: 3: the form has no bar 40"):
        load_performance(made.settings, made.chart)


@example("17: 3, 32.4+: Bb4 or root, 2: ♭9")
@given(st.text(alphabet="0123456789.,:+ #b♭ABG-orot", max_size=30))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    """Guards against a crash, and against targets that a file cannot keep."""
    kind = KEYS["play.target"].value_type
    try:
        targets = kind.read(text)
    except ValueError:
        return
    assert kind.read(write_value("play.target", targets)) == targets


def test_a_take_with_targets_is_played_again(tmp_path: Path) -> None:
    """Guards against a take that does not say what the line was led to."""
    made = performance(chart__changes=CHANGES, play__target="2: 3", play__rate="phrase", chart__choruses=2)
    later = ChangeSettings((("play.target", read_targets("3: B4")), ("play.ending", ("9",))))
    header, reports, _ = perform_with_reports(made, [(5.0, later)], 40.0)
    assert any(isinstance(report, SettingsChanged) for report in reports)
    journal = recorded_take(tmp_path, header, reports)
    assert journal.header.settings.play.target == read_targets("2: 3")
    result = replay_take(journal, made)
    assert result.same_events > 20
    assert not result.difference


def test_the_music_goes_on_to_its_target_after_a_restart() -> None:
    """Guards against a saved state from which the line takes another way."""
    made = performance(modern_bundle(), chart__changes=CHANGES, play__target="3: B4", play__rate="phrase")
    second = random.Random(1).uniform(2.5, 3.5)
    whole, stopped = made.make_engine(0.0, beats=24), made.make_engine(0.0)
    _, bars = play_on_fake_clock(whole, 12.5)
    play_on_fake_clock(stopped, second)
    resumed = resumed_engine(made, state_of(stopped.memory(), made), 0.0)
    _, later = play_on_fake_clock(resumed, 6.0)
    before = {choice.tick: choice for bar in bars for choice in bar.choices}
    after = {choice.tick: choice for bar in later for choice in bar.choices if choice.tick < 180}
    assert after
    assert after[96].pitch == 71
    assert all(before[tick] == choice for tick, choice in after.items())
