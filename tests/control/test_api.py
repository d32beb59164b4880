# SPDX-License-Identifier: Apache-2.0
"""The desk: what can be asked of the daemon while it plays, before a real engine on time that the test moves."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.config.sources import SettingsSources
from sideman.core.actions import Panic, PlayVariation, Start, Stop, TapTempo
from sideman.core.errors import ConfigError, NoSuchInput, SidemanError, UsageError
from sideman.core.events import ChangeSettings, ModeChanged, SetChart, SetMode, SettingsChanged
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.core.settings.schema import BINDING_KEYS, KEYS, Settings, is_live, settings_line, value_of, write_value
from support.control import ControlScene, control_scene

LIVE = [name for name in KEYS if is_live(name)]
INTERNAL = 0.5  # seconds a beat at 120 bpm


@pytest.mark.parametrize("name", KEYS)
def test_every_setting_is_told_as_it_is_written(name: str) -> None:
    """What `get` shows could not be typed back in."""
    default = value_of(Settings(), name)
    if name in BINDING_KEYS:
        assert write_value(name, default) == {}
        return
    told = write_value(name, default)
    assert KEYS[name].value_type.read(told) == default
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize("name", LIVE)
def test_every_live_setting_can_be_set_to_what_it_is(name: str) -> None:
    """A knob that shows a value could not be put back to it."""
    made = control_scene()
    before = made.api.settings
    told = made.ask("get", key=name)
    assert told["live"]
    assert told["allowed"] == KEYS[name].value_type.allowed
    made.ask("set", key=name, value=told["value"])
    assert made.api.settings == before
    assert made.engine.settings == before


def test_what_is_so_already_is_changed_for_nobody() -> None:
    """A fader that repeats itself would fill the log, and have every choice made anew."""
    made = control_scene()
    assert made.ask("set", key="play.gate", value=0.9) == {"changed": {"play.gate": 0.9}}
    made.ask("set", key="play.gate", value=0.5)
    made.ask("set", key="play.gate", value=0.5)
    assert made.commands == [ChangeSettings((("play.gate", 0.5),))]


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("play.temperature", "0.5", 0.5),
        ("play.temperature", 2, 2.0),
        ("play.range", "C4-C5", "C4-C5"),
        ("play.swing", "auto", "auto"),
        ("play.seed", None, None),
        ("play.resume", "yes", True),
        ("chart.transpose", "-2", -2),
    ],
)
def test_text_and_json_mean_the_same(key: str, value: object, meant: object) -> None:
    """What works on the command line would not work on a slider, or the other way round."""
    made = control_scene()
    assert made.ask("set", key=key, value=value)["changed"][key] == meant
    assert made.ask("get", key=key)["value"] == meant
    assert write_value(key, value_of(made.engine.settings, key)) == meant


@pytest.mark.parametrize(
    ("key", "value"), [("play.temperature", 9), ("play.mode", "jazz"), ("play.range", "C5-C4"), ("play.temprature", 1)]
)
def test_a_wrong_value_is_refused_in_the_words_of_the_configuration(key: str, value: object) -> None:
    """A mistake would be told in two ways, one of them without what is allowed."""
    made = control_scene()
    with pytest.raises(ConfigError) as configured:
        resolve_settings([{key: WrittenValue(value, "set")}])
    with pytest.raises(ConfigError) as asked:
        made.ask("set", key=key, value=value)
    assert str(asked.value) == str(configured.value)
    assert not made.commands


def test_what_wants_a_restart_says_so() -> None:
    """Somebody would believe that the channel had changed."""
    made = control_scene()
    with pytest.raises(ConfigError, match=r"midi.channel: cannot be changed while it plays"):
        made.ask("set", key="midi.channel", value=5)
    with pytest.raises(ConfigError, match="allowed is a whole number from 1 to 16"):
        made.ask("set", key="midi.channel", value=17)
    assert not made.commands


def test_a_change_is_heard_from_the_next_value_on() -> None:
    """A knob would do nothing, or only later."""
    made = control_scene(play__rate="sixteenth", play__density=4, play__range="C3-C4")
    made.play_until(4.0)
    made.ask("set", key="play.range", value="C6-C7")
    before = len(made.note_ons)
    made.play_until(8.0)
    late = [pitch for _, pitch in made.note_ons[before + 1 :]]  # one may have been chosen too near to be taken back
    assert late
    assert all(84 <= pitch <= 96 for pitch in late)
    assert all(48 <= pitch <= 60 for _, pitch in made.note_ons[:before])


def test_changes_can_be_set_and_wrong_ones_leave_the_old() -> None:
    """A slip in a chord would end the music, or be played as something else."""
    made = control_scene()
    made.play_until(1.0)
    with pytest.raises(ConfigError, match="bar 2: 'H7'"):
        made.ask("set", key="chart.changes", value="| C | H7 |")
    assert not made.commands
    told = made.ask("set", key="chart.changes", value="| Eb7 | Ab7 |")
    assert told["changed"] == {"chart.changes": "| Eb7 | Ab7 |"}
    made.play_until(3.0)  # beat 6: the second bar, from which on the new ones are played
    status = made.ask("status")
    assert (status["chord"], status["form_bar"], status["chart"]["bars"]) == ("Eb7", 1, 2)


def test_a_chart_file_can_be_set_and_moved(tmp_path: Path) -> None:
    """A set list could not be played without a restart for each song."""
    (tmp_path / "song.chart").write_text("title: Song\n| Cmaj7 | F7 |\n")
    made = control_scene()
    made.ask("set", key="chart.file", value=str(tmp_path / "song.chart"))
    made.ask("set", key="chart.transpose", value=2)
    made.play_until(0.1)
    status = made.ask("status")
    assert (status["chart"]["title"], status["chord"]) == ("Song", "Dmaj7")
    with pytest.raises(NoSuchInput):
        made.ask("set", key="chart.file", value="nowhere.chart")
    assert made.ask("get", key="chart.file")["value"] == str(tmp_path / "song.chart")


def test_a_pipe_is_no_chart(tmp_path: Path) -> None:
    """One wrong name, and the daemon would wait for ever for what comes out of it, deaf to all signals."""
    os.mkfifo(tmp_path / "pipe.chart")
    with pytest.raises(NoSuchInput, match=r"pipe.chart: not a plain file"):
        control_scene().ask("set", key="chart.file", value=str(tmp_path / "pipe.chart"))


def test_a_chart_of_another_meter_takes_over_at_the_bar_line() -> None:
    """Bars of four would be played over bars of three, out of step for ever, or the band would have to stop."""
    made = control_scene()
    made.play_until(1.0)
    made.ask("set", key="chart.changes", value="meter: 3/4\n| C | 2/4 F |")
    places = []
    for second in (1.5, 2.0, 3.0, 3.5, 4.5):
        made.play_until(second + 0.01)
        status = made.ask("status")
        places.append((status["bar"], status["top"], status["form_bar"], status["chord"]))
    assert places == [(1, 0.0, 1, "Dm7"), (2, 4.0, 1, "C"), (2, 4.0, 1, "C"), (3, 4.0, 2, "F"), (4, 4.0, 1, "C")]


def test_the_tempo_is_not_ours_where_a_clock_is_followed() -> None:
    """The tempo would seem to be changed while the DAW's goes on."""
    made = control_scene(tempo__source="midi-clock")
    with pytest.raises(ConfigError, match=r"tempo.source: midi-clock"):
        made.ask("set", key="tempo.bpm", value=90)


def test_the_place_in_the_chart_is_told() -> None:
    """Nobody could see where in the form it is."""
    made = control_scene(chart__changes="| C | F G | Am |", tempo__bpm=120)
    for second, bar, form_bar, chorus, chord, after in (
        (0.6, 1, 1, 1, "C", "F"),
        (3.2, 2, 2, 1, "G", "Am"),
        (4.1, 3, 3, 1, "Am", "C"),
        (6.1, 4, 1, 2, "C", "F"),
        (12.1, 7, 1, 3, "C", "F"),
    ):
        made.play_until(second)
        told = made.ask("status")
        found = [told[name] for name in ("bar", "form_bar", "chorus", "chord", "next_chord")]
        assert found == [bar, form_bar, chorus, chord, after], second
        assert told["beat"] == pytest.approx(second / INTERNAL, abs=1e-3)


def test_what_is_coming_is_what_is_played() -> None:
    """A view that shows the next note would show another one."""
    made = control_scene(play__density=4)
    made.play_until(0.9)
    coming = made.ask("status")["coming"]
    made.play_until(1.0)
    second, pitch = made.note_ons[-1]
    assert second == pytest.approx(coming["beat"] * INTERNAL)
    assert pitch == coming["pitch"]


@pytest.mark.parametrize(
    ("verb", "arguments", "command"),
    [
        ("panic", {}, Panic()),
        ("tap", {}, TapTempo()),
        ("start", {}, Start()),
        ("stop", {}, Stop()),
        ("again", {}, PlayVariation()),
        ("mode", {"mode": "trade"}, SetMode("trade")),
        ("mode", {"mode": "off", "now": True}, SetMode("off", now=True)),
    ],
)
def test_a_request_becomes_its_command(verb: str, arguments: dict[str, Any], command: object) -> None:
    """A pedal would do something else than it says."""
    made = control_scene()
    made.ask(verb, **arguments)
    assert made.commands == [command]


def test_mute_goes_back_to_the_mode_that_was() -> None:
    """After a rest it would play in another mode than before."""
    made = control_scene(play__mode="duet")
    assert made.ask("mute") == {"mute": True}
    assert made.ask("mute", on=True) == {"mute": True}
    assert made.ask("mute") == {"mute": False}
    assert made.commands == [SetMode("off", now=True), SetMode("duet", now=True)]
    made.ask("mute", on=True)
    made.handle_reports()
    made.api.handle_report(ModeChanged("solo", 0.0))  # by a pedal meanwhile
    assert made.ask("mute", on=False) == {"mute": False}
    assert len(made.commands) == 3


def test_mute_comes_back_whatever_was_asked_for_just_before() -> None:
    """Two pedals in one moment, a mode and mute: it would be silent for good, for it would not know of the mute."""
    made = control_scene()
    made.ask("mode", mode="trade", now=True)
    made.ask("mute", on=True)
    made.handle_reports()  # the mode, and then the silence
    assert made.ask("mute", on=False) == {"mute": False}
    assert made.commands[-1] == SetMode("trade", now=True)


def test_what_others_change_is_known() -> None:
    """A knob turned on the keyboard would show its old value everywhere else, and jump back at the next reload."""
    made = control_scene()
    made.api.handle_report(SettingsChanged((("play.temperature", 0.3),)))
    assert made.ask("get", key="play.temperature")["value"] == 0.3
    assert made.ask("status")["settings"]["play.temperature"] == 0.3


@pytest.fixture
def configured(home: Path) -> ControlScene:
    """A daemon that was started with a configuration file, a preset, and --set."""
    folder = home / ".config" / "sideman"
    (folder / "presets").mkdir(parents=True)
    (folder / "presets" / "mine.yaml").write_text("play:\n  gate: 0.5\n  velocity: 50\n")
    (folder / "config.yaml").write_text("play:\n  gate: 0.6\ntempo:\n  bpm: 100\n")
    sources = SettingsSources("mine", None, {"play.density": WrittenValue(2, "--set")})
    made = control_scene(sources)
    made.api.settings = made.engine.live.settings = sources.read()
    return made


def test_reload_reads_the_layers_as_the_start_did(configured: ControlScene, home: Path) -> None:
    """A reload would lose what was said on the command line, or the preset."""
    assert configured.ask("reload") == {"changed": {}, "restart": []}
    config = home / ".config" / "sideman" / "config.yaml"
    config.write_text("play:\n  gate: 0.7\nmidi:\n  channel: 3\n")
    told = configured.ask("reload")
    assert told == {"changed": {"play.gate": 0.7, "tempo.bpm": 120.0}, "restart": ["midi.channel"]}
    playing = configured.engine.settings
    assert (playing.play.gate, playing.play.velocity, playing.play.density) == (0.7, 50, 2.0)
    assert playing.midi.channel == 1
    config.write_text("play:\n  gate: loud\n  rate: beet\n")
    with pytest.raises(ConfigError, match=r"(?s)config.yaml:2: play.gate.*config.yaml:3: play.rate"):
        configured.ask("reload")
    assert configured.engine.settings.play.gate == 0.7


def test_a_preset_changes_what_it_names_and_nothing_else(configured: ControlScene, home: Path) -> None:
    """A preset would take back the tempo that was tapped in, or leave what the one before it had set."""
    configured.ask("set", key="tempo.bpm", value=77)
    (home / ".config" / "sideman" / "presets" / "other.yaml").write_text(
        "play:\n  gate: 0.4\nmidi:\n  channel: 4\nchart:\n  changes: '| Gm7 |'\n"
    )
    told = configured.ask("preset", name="other")
    assert told["changed"] == {"play.gate": 0.4, "play.velocity": 84, "chart.changes": "| Gm7 |"}
    assert told["restart"] == ["midi.channel"]
    assert configured.engine.settings.tempo.bpm == 77
    assert configured.engine.chart.chart.bars[0].chords[0][1].text == "Gm7"
    with pytest.raises(NoSuchInput, match=r"bepop: no such preset.*did you mean bebop"):
        configured.ask("preset", name="bepop")


def test_a_chart_file_that_was_edited_is_read_again(configured: ControlScene, home: Path) -> None:
    """A chord put right in the editor would be wrong until the next start; one put wrong, and half of it would hold."""
    chart = home / ".config" / "sideman" / "song.chart"
    chart.write_text("| C | F |\n")
    (home / ".config" / "sideman" / "config.yaml").write_text("chart:\n  file: song.chart\n")
    assert configured.ask("reload")["changed"]["chart.file"] == str(chart)
    chart.write_text("| C | Fm |\n")
    configured.commands.clear()
    assert configured.ask("reload")["changed"] == {}
    assert [type(each) for each in configured.commands] == [SetChart]
    chart.write_text("| C | Hm |\n")
    (home / ".config" / "sideman" / "config.yaml").write_text("chart:\n  file: song.chart\nplay:\n  gate: 0.3\n")
    with pytest.raises(SidemanError, match="bar 2"):
        configured.ask("reload")
    assert configured.engine.settings.play.gate != 0.3


def test_what_nobody_brings_says_so() -> None:
    """`ctl keep` would say nothing, and keep nothing."""
    made = control_scene()
    with pytest.raises(UsageError, match="'keep': no such request; there are status"):
        made.ask("keep")
    with pytest.raises(UsageError, match="'learned': no such request"):  # only the player's hands say so, to the log
        made.ask("learned", entry="play.gate\n00:00:00.000 a line of somebody's own")


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({}, "do: null: no such request"),
        ({"do": ["x"]}, "do: a list or group"),
        ({"do": "mode"}, "mode: mode is missing"),
        ({"do": "mode", "mode": "trade", "now": 1}, "now: 1: want true or false"),
        ({"do": "panic", "hard": True}, "panic: hard: panic takes nothing"),
        ({"do": "set", "key": "play.gate"}, "set: value is missing"),
        ({"do": "set", "key": 3, "value": 3}, "key: 3: want the name of a setting"),
        ({"do": "get", "key": "play.gat"}, "did you mean play.gate"),
        ({"do": "preset", "name": None}, "name: null"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(request_: dict[str, object], why: str) -> None:
    """Whoever writes a controller would have to guess."""
    made = control_scene()
    with pytest.raises(SidemanError, match=why):
        made.api.answer(request_)
    assert not made.commands


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
verbs = sorted(control_scene().api.requests)
requests = st.fixed_dictionaries(
    {"do": st.sampled_from(verbs) | anything},
    optional={
        "key": st.sampled_from(sorted(KEYS)) | anything,
        "value": anything | st.sampled_from(["auto", "| C |", "1.0", "C3-C6", "off"]),
        "name": st.sampled_from(["bebop", "", "../x"]) | anything,
        "mode": st.sampled_from(["trade", "off"]) | anything,
        "now": anything,
        "on": anything,
    },
)


@settings(max_examples=60)
@given(st.lists(requests, max_size=6))
def test_whatever_is_asked_it_is_answered_or_refused_and_plays_on(asked: list[dict[str, Any]]) -> None:
    """Some unlucky request would end the music."""
    made = control_scene()
    second = 0.0
    for request in asked:
        second += 0.3
        made.play_until(second)
        try:
            json.dumps(made.api.answer(request), allow_nan=False)
        except SidemanError as error:
            assert str(error)  # noqa: PT017 - both ways out are right
    made.handle_reports()
    now = made.engine.settings
    mode = replace(made.api.settings.play, mode=now.play.mode)  # one that was asked for may wait for its bar line
    assert replace(made.api.settings, play=mode, chart=now.chart) == now


@pytest.mark.parametrize(
    "asked", [{"do": "preset", "name": "x" * 300}, {"do": "set", "key": "chart.file", "value": "x" * 300}]
)
def test_a_name_too_long_for_a_file_is_no_defect(asked: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Whoever mistypes would find a traceback in the log, and look for a defect that is none."""
    with pytest.raises(SidemanError, match="too long"):
        control_scene().api.answer(asked)
    assert not caplog.records


def test_a_log_line_is_a_line() -> None:
    """A chart set live would fill the log with its bars."""
    values = [("play.range", KEYS["play.range"].default), ("chart.changes", "| C |\n" * 100), ("play.swing", None)]
    line = settings_line(values)
    assert "\n" not in line
    assert line.startswith("play.range is C3-C6, chart.changes is | C | | C |")
    assert line.endswith("…, play.swing is auto")


def test_hands_get_what_they_ask_for(caplog: pytest.LogCaptureFixture) -> None:
    """A program change would choose no preset, or a wrong one would end the daemon."""
    made = control_scene()
    made.api.perform_action("preset", "sparse")
    assert any(isinstance(each, ChangeSettings) for each in made.commands)
    made.api.perform_action("preset", "nope")
    made.api.perform_action("nonsense", "1")
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "no such preset" in caplog.text
