# SPDX-License-Identifier: Apache-2.0
"""The control API: what can be requested of a playing daemon, with a real engine on a clock that the test moves."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.config.sources import SettingsSources
from sideman.control.events import LearnedEvent
from sideman.control.requests import REQUESTS, PresetRequest, Request, SetRequest, request_fields
from sideman.core.actions import Panic, PlayVariation, Start, Stop, TapTempo
from sideman.core.errors import ConfigError, NoSuchInput, SidemanError, UnreadableInput
from sideman.core.events import ChangeSettings, ControlChange, ModeChanged, SetChart, SetMode, SettingsChanged
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.core.settings.schema import BINDING_KEYS, KEYS, Settings, is_live, settings_line, value_of, write_value
from sideman.core.targets import ActionTarget, SettingTarget
from sideman.playing.state import changed_settings, with_changes
from support.control import KEPT_TAKE, ControlScene, control_scene
from support.ireal import playlist_link, song_text

LIVE = [name for name in KEYS if is_live(name)]
BEAT_S = 0.5  # at 120 bpm


@pytest.mark.parametrize("name", KEYS)
def test_every_setting_is_shown_as_it_is_written(name: str) -> None:
    """Guards against: a value that `get` shows and `set` refuses."""
    default = value_of(Settings(), name)
    if name in BINDING_KEYS:
        assert write_value(name, default) == {}
        return
    written = write_value(name, default)
    assert KEYS[name].value_type.read(written) == default
    assert json.loads(json.dumps(written)) == written


@pytest.mark.parametrize("name", LIVE)
def test_every_live_setting_can_be_set_to_its_present_value(name: str) -> None:
    """Guards against: a controller that cannot go back to the value that it shows."""
    scene = control_scene()
    before = scene.api.settings
    info = scene.ask("get", key=name)
    assert info["live"]
    assert info["allowed"] == KEYS[name].value_type.allowed
    scene.ask("set", key=name, value=info["value"])
    assert scene.api.settings == before
    assert scene.engine.settings == before


def test_setting_the_present_value_again_changes_nothing() -> None:
    """Guards against: a fader that repeats its value, fills the log and has every choice made again."""
    scene = control_scene()
    assert scene.ask("set", key="play.gate", value=0.9) == {"changed": {"play.gate": 0.9}}
    scene.ask("set", key="play.gate", value=0.5)
    scene.ask("set", key="play.gate", value=0.5)
    assert scene.commands == [ChangeSettings((("play.gate", 0.5),))]


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
    """Guards against: a value that works on the command line but not on a slider, or the other way round."""
    scene = control_scene()
    assert scene.ask("set", key=key, value=value)["changed"][key] == meant
    assert scene.ask("get", key=key)["value"] == meant
    assert write_value(key, value_of(scene.engine.settings, key)) == meant


@pytest.mark.parametrize(
    ("key", "value"), [("play.temperature", 9), ("play.mode", "jazz"), ("play.range", "C5-C4"), ("play.temprature", 1)]
)
def test_a_wrong_value_is_refused_as_in_the_configuration(key: str, value: object) -> None:
    """Guards against: two messages for one mistake, one of them without what is allowed."""
    scene = control_scene()
    with pytest.raises(ConfigError) as configured:
        resolve_settings([{key: WrittenValue(value, "set")}])
    with pytest.raises(ConfigError) as requested:
        scene.ask("set", key=key, value=value)
    assert str(requested.value) == str(configured.value)
    assert not scene.commands


def test_a_setting_that_needs_a_restart_is_refused() -> None:
    """Guards against: a user who believes that the channel has changed."""
    scene = control_scene()
    with pytest.raises(ConfigError, match=r"midi.channel: cannot be changed while it plays"):
        scene.ask("set", key="midi.channel", value=5)
    with pytest.raises(ConfigError, match="allowed is a whole number from 1 to 16"):
        scene.ask("set", key="midi.channel", value=17)
    assert not scene.commands


def test_a_change_is_heard_from_the_next_note_on() -> None:
    """Guards against: a controller that does nothing, or only later."""
    scene = control_scene(play__rate="sixteenth", play__density=4, play__range="C3-C4")
    scene.play_until(4.0)
    scene.ask("set", key="play.range", value="C6-C7")
    before = len(scene.note_ons)
    scene.play_until(8.0)
    later = [pitch for _, pitch in scene.note_ons[before + 1 :]]  # one note may have been too near to be chosen again
    assert later
    assert all(84 <= pitch <= 96 for pitch in later)
    assert all(48 <= pitch <= 60 for _, pitch in scene.note_ons[:before])


def test_chord_changes_can_be_set_and_wrong_ones_leave_the_old() -> None:
    """Guards against: a typing mistake in a chord that ends the music, or is played as another chord."""
    scene = control_scene()
    scene.play_until(1.0)
    with pytest.raises(ConfigError, match="bar 2: 'H7'"):
        scene.ask("set", key="chart.changes", value="| C | H7 |")
    assert not scene.commands
    changed = scene.ask("set", key="chart.changes", value="| Eb7 | Ab7 |")["changed"]
    assert changed == {"chart.changes": "| Eb7 | Ab7 |"}
    scene.play_until(3.0)  # beat 6, in the second bar, where the new changes begin
    status = scene.ask("status")
    assert (status["chord"], status["form_bar"], status["chart"]["bars"]) == ("Eb7", 1, 2)


def test_a_chart_file_can_be_set_and_moved(tmp_path: Path) -> None:
    """Guards against: a set list that needs a restart for each song."""
    (tmp_path / "song.chart").write_text("title: Song\n| Cmaj7 | F7 |\n")
    scene = control_scene()
    scene.ask("set", key="chart.file", value=str(tmp_path / "song.chart"))
    scene.ask("set", key="chart.transpose", value=2)
    scene.play_until(0.1)
    status = scene.ask("status")
    assert (status["chart"]["title"], status["chord"]) == ("Song", "Dmaj7")
    with pytest.raises(NoSuchInput):
        scene.ask("set", key="chart.file", value="nowhere.chart")
    assert scene.ask("get", key="chart.file")["value"] == str(tmp_path / "song.chart")


def test_a_chart_file_that_is_not_clear_is_played_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards against: a song changed on the stand that is played by a guess, and no word of it."""
    (tmp_path / "gig.txt").write_text(playlist_link(song_text("Odd", "T44{C7   |F7   |G7?   Z")))
    scene = control_scene()
    answer = scene.ask("set", key="chart.file", value=str(tmp_path / "gig.txt"))
    place = f"{tmp_path / 'gig.txt'}, Odd, bar"
    expected = [
        f"{place} 3: '?' is not known in the music of iReal Pro; it is left out",
        f"{place} 1: the repeat '|:' is never closed: played once",
    ]
    assert answer["warnings"] == expected
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == expected
    assert "warnings" not in scene.ask("set", key="chart.changes", value="| C |")


def test_a_pipe_is_refused_as_a_chart(tmp_path: Path) -> None:
    """Guards against: a daemon that reads from a pipe for ever and ignores all signals."""
    os.mkfifo(tmp_path / "pipe.chart")
    with pytest.raises(UnreadableInput, match=r"pipe.chart: not a plain file"):
        control_scene().ask("set", key="chart.file", value=str(tmp_path / "pipe.chart"))


def test_a_chart_of_another_meter_takes_over_at_the_bar_line() -> None:
    """Guards against: bars of four that are played over bars of three from then on."""
    scene = control_scene()
    scene.play_until(1.0)
    scene.ask("set", key="chart.changes", value="meter: 3/4\n| C | 2/4 F |")
    places = []
    for second in (1.5, 2.0, 3.0, 3.5, 4.5):
        scene.play_until(second + 0.01)
        status = scene.ask("status")
        places.append((status["bar"], status["top"], status["form_bar"], status["chord"]))
    assert places == [(1, 0.0, 1, "Dm7"), (2, 4.0, 1, "C"), (2, 4.0, 1, "C"), (3, 4.0, 2, "F"), (4, 4.0, 1, "C")]


def test_the_tempo_cannot_be_set_while_a_midi_clock_is_followed() -> None:
    """Guards against: a tempo that seems to have changed while the DAW keeps its own."""
    scene = control_scene(tempo__source="midi-clock")
    with pytest.raises(ConfigError, match=r"tempo\.source is midi-clock"):
        scene.ask("set", key="tempo.bpm", value=90)


def test_the_status_has_the_position_in_the_chart() -> None:
    """Guards against: a musician who cannot see where in the form the band is."""
    scene = control_scene(chart__changes="| C | F G | Am |", tempo__bpm=120)
    for second, bar, form_bar, chorus, chord, after in (
        (0.6, 1, 1, 1, "C", "F"),
        (3.2, 2, 2, 1, "G", "Am"),
        (4.1, 3, 3, 1, "Am", "C"),
        (6.1, 4, 1, 2, "C", "F"),
        (12.1, 7, 1, 3, "C", "F"),
    ):
        scene.play_until(second)
        status = scene.ask("status")
        position = [status[name] for name in ("bar", "form_bar", "chorus", "chord", "next_chord")]
        assert position == [bar, form_bar, chorus, chord, after], second
        assert status["beat"] == pytest.approx(second / BEAT_S, abs=1e-3)


def test_the_coming_note_is_the_one_that_is_played() -> None:
    """Guards against: a view that announces another note than the one that is played."""
    scene = control_scene(play__density=4)
    scene.play_until(0.9)
    coming = scene.ask("status")["coming"]
    scene.play_until(1.0)
    second, pitch = scene.note_ons[-1]
    assert second == pytest.approx(coming["beat"] * BEAT_S)
    assert pitch == coming["pitch"]


@pytest.mark.parametrize(
    ("name", "fields", "command"),
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
def test_a_request_becomes_its_command(name: str, fields: dict[str, Any], command: object) -> None:
    """Guards against: a pedal that does something else than its binding says."""
    scene = control_scene()
    scene.ask(name, **fields)
    assert scene.commands == [command]


def test_unmuting_goes_back_to_the_mode_before() -> None:
    """Guards against: a daemon that plays in another mode after it was muted."""
    scene = control_scene(play__mode="duet")
    assert scene.ask("mute") == {"mute": True}
    assert scene.ask("mute", on=True) == {"mute": True}
    assert scene.ask("mute") == {"mute": False}
    assert scene.commands == [SetMode("off", now=True), SetMode("duet", now=True)]
    scene.ask("mute", on=True)
    scene.handle_reports()
    scene.api.handle_report(ModeChanged("solo", 0.0))  # a pedal has changed it meanwhile
    assert scene.ask("mute", on=False) == {"mute": False}
    assert len(scene.commands) == 3


def test_unmuting_works_after_a_mode_was_requested_just_before_the_mute() -> None:
    """Guards against: permanent silence after two pedals at the same time, one for a mode and one for the mute."""
    scene = control_scene()
    scene.ask("mode", mode="trade", now=True)
    scene.ask("mute", on=True)
    scene.handle_reports()  # the mode, and then mode off
    assert scene.ask("mute", on=False) == {"mute": False}
    assert scene.commands[-1] == SetMode("trade", now=True)


def test_a_change_by_a_controller_is_known() -> None:
    """Guards against: a setting that shows its old value after a knob was turned, and jumps back at the next reload."""
    scene = control_scene()
    scene.api.handle_report(SettingsChanged((("play.temperature", 0.3),)))
    assert scene.ask("get", key="play.temperature")["value"] == 0.3
    assert scene.ask("status")["settings"]["play.temperature"] == 0.3


@pytest.fixture
def configured(home: Path) -> ControlScene:
    """A daemon that was started with a configuration file, a preset and --set."""
    folder = home / ".config" / "sideman"
    (folder / "presets").mkdir(parents=True)
    (folder / "presets" / "mine.yaml").write_text("play:\n  gate: 0.5\n  velocity: 50\n")
    (folder / "config.yaml").write_text("play:\n  gate: 0.6\ntempo:\n  bpm: 100\n")
    sources = SettingsSources("mine", None, {"play.density": WrittenValue(2, "--set")})
    scene = control_scene(sources)
    scene.api.settings_api.settings = scene.engine.live.settings = sources.read()
    return scene


def test_a_reload_reads_all_sources_of_the_start(configured: ControlScene, home: Path) -> None:
    """Guards against: a reload that forgets the preset or the options of the command line."""
    assert configured.ask("reload") == {"changed": {}, "restart": []}
    config = home / ".config" / "sideman" / "config.yaml"
    config.write_text("play:\n  gate: 0.7\nmidi:\n  channel: 3\n")
    applied = configured.ask("reload")
    changed = {"play.gate": 0.7, "tempo.bpm": 120.0, "chart.tempo": True}  # no tempo is given there any more
    assert applied == {"changed": changed, "restart": ["midi.channel"]}
    playing = configured.engine.settings
    assert (playing.play.gate, playing.play.velocity, playing.play.density) == (0.7, 50, 2.0)
    assert playing.midi.channel == 1
    config.write_text("play:\n  gate: loud\n  rate: beet\n")
    with pytest.raises(ConfigError, match=r"(?s)config.yaml:2: play.gate.*config.yaml:3: play.rate"):
        configured.ask("reload")
    assert configured.engine.settings.play.gate == 0.7


def test_a_preset_changes_what_it_names_and_nothing_else(configured: ControlScene, home: Path) -> None:
    """Guards against: a preset that takes back a tapped tempo, or keeps what the preset before it has set."""
    configured.ask("set", key="tempo.bpm", value=77)
    (home / ".config" / "sideman" / "presets" / "other.yaml").write_text(
        "play:\n  gate: 0.4\nmidi:\n  channel: 4\nchart:\n  changes: '| Gm7 |'\n"
    )
    applied = configured.ask("preset", name="other")
    assert applied["changed"] == {"play.gate": 0.4, "play.velocity": 84, "chart.changes": "| Gm7 |"}
    assert applied["restart"] == ["midi.channel"]
    assert configured.engine.settings.tempo.bpm == 77
    assert configured.engine.chart.chart.bars[0].chords[0][1].text == "Gm7"
    with pytest.raises(NoSuchInput, match=r"bepop: no such preset.*did you mean bebop"):
        configured.ask("preset", name="bepop")


def test_a_chart_file_that_was_edited_is_read_again(configured: ControlScene, home: Path) -> None:
    """Guards against: a correction in a chart file that needs a restart, and against a reload that is half applied."""
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


def test_kept_minutes_are_a_take() -> None:
    """Guards against: a `ctl keep` that does not say where the take is."""
    assert control_scene().ask("keep") == {"take": KEPT_TAKE}


@pytest.mark.parametrize("given", ["{1: play.temperature, 64: mode}", {"1": "play.temperature", "64": "mode"}])
def test_bindings_can_be_set_as_a_group(given: object) -> None:
    """Guards against: a table of controllers that has to be set in as many requests as it has entries."""
    bound: dict[str, Any] = {"midi__cc.20": "play.gate"}
    scene = control_scene(**bound)
    assert scene.ask("set", key="midi.cc", value=given) == {
        "changed": {"midi.cc": {"1": "play.temperature", "20": "play.gate", "64": "mode"}}
    }
    for wrong in ({"1": "jump"}, "{1: jump}", "{1: tap"):
        with pytest.raises(SidemanError, match=r"set: midi\.cc"):
            scene.ask("set", key="midi.cc", value=wrong)
    with pytest.raises(SidemanError, match=r"midi\.channel: cannot be changed"):
        scene.ask("set", key="midi", value={"channel": 3})


def learned(scene: ControlScene, **request: object) -> LearnedEvent | None:
    """What is learned when a controller is moved after a request."""
    scene.ask("learn", **request)
    for position in (10, 30):
        scene.engine.receive(ControlChange(74, position, 1), scene.clock.second)
    scene.handle_reports()
    return scene.api.learned


def test_what_is_learned_can_be_written_into_the_configuration(home: Path) -> None:
    """Guards against: a knob that has to be bound again on every evening."""
    file = home / ".config" / "sideman" / "config.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("midi:\n  cc: {20: play.density, 1: tap}  # hands\n  notes: {C1: tap}\n")
    scene = control_scene(SettingsSources())
    assert learned(scene, key="play.density 0.2-2", write=True) == LearnedEvent(
        "midi.cc.74", "play.density 0.2-2", str(file)
    )
    assert file.read_text() == ("midi:\n  cc: {74: play.density 0.2-2, 1: tap}  # hands\n  notes: {C1: tap}\n")
    assert dict(SettingsSources().read().midi.cc) == {
        1: ActionTarget("tap"),
        74: SettingTarget("play.density", 0.2, 2),
    }
    assert learned(control_scene(), key="play.gate") == LearnedEvent("midi.cc.74", "play.gate")
    file.write_text("midi: [\n")
    broken = learned(control_scene(), key="play.gate", write=True)
    assert broken is not None
    assert "config.yaml:" in broken.problem
    assert file.read_text() == "midi: [\n"


def test_what_was_written_or_read_again_is_the_configuration(configured: ControlScene, home: Path) -> None:
    """Guards against: a change after a reload or `ctl learn --write` that the next start leaves out.

    A start goes on with the changes of what is not configured otherwise since.
    """
    configured.api.settings_api.configured = configured.api.settings
    configured.ask("set", key="play.gate", value=0.2)
    configured.ask("set", key="midi.cc.30", value="tap")
    config = home / ".config" / "sideman" / "config.yaml"
    config.write_text("play: {gate: 0.7}\nmidi: {cc: {30: play.motif}}\n")
    configured.ask("reload")
    assert learned(configured, key="play.motif", write=True) is not None
    configured.ask("set", key="midi.cc.31", value="mode:trade")
    configured.ask("set", key="play.gate", value=0.3)
    left = {name: value_of(configured.api.settings, name) for name in ("midi.cc", "play.gate")}
    changes = changed_settings(configured.api.settings_api.configured, configured.api.settings)
    after, problems = with_changes(SettingsSources("mine").read(), changes)
    assert {name: value_of(after, name) for name in left} == left
    assert not problems
    assert dict(after.midi.cc) == {31: ActionTarget("mode", "trade"), 74: SettingTarget("play.motif")}


def test_what_fits_only_after_a_restart_waits_for_it(configured: ControlScene, home: Path) -> None:
    """Guards against: two parts on one channel after a reload or a preset that gives them two."""
    folder = home / ".config" / "sideman"
    (folder / "config.yaml").write_text("midi: {channel: 3}\n")
    configured.api.settings_api.settings = configured.engine.live.settings = configured.api.settings_api.sources.read()
    (folder / "config.yaml").write_text("midi: {channel: 5}\nplay: {comp: [shells, bass], gate: 0.3}\n")
    applied = configured.ask("reload")
    assert applied == {"changed": {"play.gate": 0.3}, "restart": ["midi.channel", "play.comp"]}
    (folder / "presets" / "band.yaml").write_text("midi: {bass: 4}\nplay: {comp: [shells, bass], gate: 0.7}\n")
    applied = configured.ask("preset", name="band")
    assert (applied["changed"]["play.gate"], applied["restart"]) == (0.7, ["midi.bass", "play.comp"])
    (folder / "presets" / "wrong.yaml").write_text("play: {comp: [shells, bass]}\n")
    with pytest.raises(ConfigError, match=r"wrong.yaml:1: play.comp: .* are both 3: .*; give them two channels"):
        configured.ask("preset", name="wrong")


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("midi.cc.33", "tap", "set: midi.cc.33: tap: it is the second half of midi.cc.1: play.gate 14-bit"),
        (
            "midi.cc.20",
            "play.motif 14-bit",
            "set: midi.cc.20: play.motif 14-bit: its second half, midi.cc.52, is bound: stop",
        ),
        (
            "midi.cc",
            {"3": "play.motif 14-bit", "35": "tap"},
            "set: midi.cc.35: tap: it is the second half of midi.cc.3",
        ),
        ("midi.cc.033", "tap", "set: midi.cc.33: tap: it is the second half of midi.cc.1: play.gate 14-bit"),
        ("midi.cc.9", "preset:bepop", "set: midi.cc.9: bepop: no such preset; there are"),
        ("midi.programs.4", "bepop", "set: midi.programs.4: bepop: no such preset"),
        ("midi.notes.24", "preset:bepop", "set: midi.notes.24: bepop: no such preset"),
        ("midi.nrpn.16383", "tap", "set: midi.nrpn.16383: 'tap': allowed below midi.nrpn is the number of a parameter"),
        ("play.comp", ["shells", "bass"], "set: play.comp: ['shells', 'bass']: midi.bass and midi.channel are both 3"),
    ],
)
def test_what_does_not_fit_the_other_settings_is_refused(key: str, value: object, why: str) -> None:
    """Guards against: a knob that does nothing, or two parts on one channel, as the configuration may not have them."""
    bound: dict[str, Any] = {"midi__cc.1": "play.gate 14-bit", "midi__cc.52": "stop", "midi__channel": 3}
    scene = control_scene(**bound)
    with pytest.raises(ConfigError, match=f"^{re.escape(why)}"):
        scene.ask("set", key=key, value=value)
    with pytest.raises(ConfigError, match=r"^learn: bepop: no such preset"):
        scene.ask("learn", key="preset:bepop")
    assert not scene.commands


def test_a_request_to_learn_can_be_cancelled() -> None:
    """Guards against: a knob that is bound an hour later because Ctrl-C was not heard."""
    scene = control_scene()
    scene.ask("learn", key="play.gate", write=True)
    assert scene.ask("learn", cancel=True) == {"learn": ""}
    for position in (10, 30):
        scene.engine.receive(ControlChange(74, position, 1), scene.clock.second)
    scene.handle_reports()
    assert scene.api.learned is None
    assert not dict(scene.engine.settings.midi.cc)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"do": "learned"}, "do: 'learned': no such request; there are status"),  # an action of the player, for the log
        ({"do": "watch"}, "watch: only on the control socket"),
        ({"do": "mode"}, "mode: Object missing required field `mode`; mode takes mode, now"),
        ({"do": "mode", "mode": "trade", "now": 1}, r"mode: Expected `bool`, got `int` - at `\$.now`"),
        ({"do": "mode", "mode": "jazz"}, "mode: play.mode: .jazz.: allowed is"),
        ({"do": "panic", "hard": True}, "panic: Object contains unknown field `hard`; panic takes nothing"),
        ({"do": "set", "key": "play.gate"}, "set: Object missing required field `value`; set takes key, value"),
        ({"do": "set", "key": 3, "value": 3}, r"set: Expected `str`, got `int` - at `\$.key`"),
        ({"do": "get", "key": "play.gat"}, "did you mean play.gate"),
        ({"do": "preset", "name": None}, "preset: Expected `str`, got `null`"),
        ({"do": "mute", "on": "yes"}, "mute: Expected `bool . null`, got `str`"),
        ({"do": "learn"}, "learn: allowed is a setting"),
    ],
)
def test_a_wrong_request_is_refused_with_the_reason(request_: dict[str, Any], why: str) -> None:
    """Guards against: authors of controllers who have to guess what is wrong."""
    scene = control_scene()
    with pytest.raises(SidemanError, match=why):
        scene.ask(request_.pop("do"), **request_)
    assert not scene.commands


huge = st.sampled_from([10**400, -(10**400), 1e300, float("inf")])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | huge | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
requests = st.builds(
    lambda kind, fields: (kind, {name: value for name, value in fields.items() if name in request_fields(kind)}),
    st.sampled_from(list(REQUESTS.values())),
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(sorted(KEYS)) | anything,
            "value": anything | st.sampled_from(["auto", "| C |", "1.0", "C3-C6", "off"]),
            "name": st.sampled_from(["bebop", "", "../x"]) | anything,
            "mode": st.sampled_from(["trade", "off"]) | anything,
        },
        optional={"now": st.booleans() | anything, "on": st.booleans() | anything, "action": st.text() | anything},
    ),
)


@settings(max_examples=100)
@given(st.lists(requests, max_size=6))
def test_every_request_is_answered_or_refused_and_the_music_goes_on(
    requested: list[tuple[type[Request], dict[str, Any]]],
) -> None:
    """Guards against: an unlucky request that ends the music."""
    scene = control_scene()
    second = 0.0
    for kind, fields in requested:
        second += 0.3
        scene.play_until(second)
        try:
            scene.ask(str(kind.__struct_config__.tag), **fields)
        except SidemanError as error:
            assert str(error)  # noqa: PT017 - both outcomes are right
    scene.handle_reports()
    now = scene.engine.settings
    play = replace(scene.api.settings.play, mode=now.play.mode)  # a requested mode may wait for its bar line
    assert replace(scene.api.settings, play=play, chart=now.chart) == now


@pytest.mark.parametrize("request_", [PresetRequest("x" * 300), SetRequest("chart.file", "x" * 300)])
def test_a_name_too_long_for_a_file_leaves_no_traceback(request_: Request, caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: a traceback in the log for a mistake of the user."""
    with pytest.raises(SidemanError, match="too long"):
        control_scene().api.answer(request_)
    assert not caplog.records


def test_a_log_line_is_a_line() -> None:
    """Guards against: a chart, set while playing, that fills the log with its bars."""
    values = [("play.range", KEYS["play.range"].default), ("chart.changes", "| C |\n" * 100), ("play.swing", None)]
    line = settings_line(values)
    assert "\n" not in line
    assert line.startswith("play.range is C3-C6, chart.changes is | C | | C |")
    assert line.endswith("…, play.swing is auto")


def test_a_controller_gets_the_action_it_requests(caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: a program change that chooses no preset, or ends the daemon."""
    scene = control_scene()
    scene.api.perform_action("preset", "sparse")
    assert any(isinstance(each, ChangeSettings) for each in scene.commands)
    scene.api.perform_action("preset", "nope")
    scene.api.perform_action("nonsense", "1")
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "no such preset" in caplog.text


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("passwd", "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"),
        ("key", "-----BEGIN KEY-----\nhunter2hunter2hunter2\n-----END KEY-----\n"),
        ("script", "cat secret | grep hunter2 | sort\n"),
        ("notes.txt", "title: hunter2\npassword: hunter2\n"),
        ("fonts.xml", "<?xml version='1.0'?>\n<hunter2><password>hunter2</password></hunter2>\n"),
        ("page.html", "<html>hunter2</html>"),
        ("song.mid", "MThd hunter2 hunter2 hunter2"),
    ],
)
def test_an_error_quotes_no_file_that_is_not_a_chart(tmp_path: Path, name: str, secret: str) -> None:
    """Guards against: a program that reads its user's secrets by asking for them as a chart."""
    file = tmp_path / name
    file.write_text(secret)
    with pytest.raises(SidemanError) as refusal:
        control_scene().ask("set", key="chart.file", value=str(file))
    quoted = str(refusal.value).replace(str(file), "")
    assert not any(word in quoted for word in ("hunter2", "root", "BEGIN", "password"))
