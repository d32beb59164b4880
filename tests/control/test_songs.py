# SPDX-License-Identifier: Apache-2.0
"""Another tune while it plays: by name, at its own tempo, and the songs of a set one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sideman.config.sources import SettingsSources
from sideman.control.codec import make_request
from sideman.control.requests import ChangedValues
from sideman.core.errors import ConfigError, NoSuchInput, SidemanError
from sideman.core.events import ControlChange, ProgramChange, QueueSong, SetChart
from support.control import ControlScene, control_scene
from support.ireal import playlist_link, song_text

BEAT_S = 0.5  # at 120 bpm


@pytest.fixture
def charts(home: Path) -> Path:
    """The user's folder of charts, with three songs; the blues has a tempo."""
    folder = home / ".config" / "sideman" / "charts"
    folder.mkdir(parents=True)
    (folder / "slow.chart").write_text("title: Slow One\nkey: F\ntempo: 60\n| Dm7 | G7 |", "utf-8")
    (folder / "plain.chart").write_text("| C | F |", "utf-8")
    (folder / "gig.txt").write_text(playlist_link(song_text("Blue Rain", "T44[C6|F6Z"), song_text("Sun", "T44[G6Z")))
    return folder


def playing(*songs: str, **keys: Any) -> ControlScene:
    """A scene with a set, of which the first song plays and the next one is known to the player."""
    scene = control_scene(chart__set=list(songs), chart__changes="| C | F |", **keys)
    scene.api.queue_next_song()
    scene.commands.clear()
    return scene


def test_a_chart_is_called_by_its_name(charts: Path) -> None:
    """Guards against: a tune that can only be changed with a whole path, and starts at the tempo of the last one."""
    scene = control_scene()
    answer = scene.ask("chart", name="slow")
    assert answer["changed"] == {"chart.file": "slow", "chart.song": 0, "tempo.bpm": 60}
    scene.play_until(4 * BEAT_S + 0.1)
    assert (scene.engine.chart.chart.info.title, scene.engine.tempo.bpm) == ("Slow One", 60)
    assert scene.ask("chart", name="plain")["changed"] == {"chart.file": "plain"}
    assert scene.engine.tempo.bpm == 60
    assert scene.ask("chart", name=str(charts / "gig.txt") + "#rain")["changed"]["chart.file"].endswith("#rain")
    with pytest.raises(NoSuchInput, match=r"no chart of that name.*did you mean plain"):
        scene.ask("chart", name="plane")


def test_a_guest_calls_charts_by_name_only(charts: Path) -> None:
    """Guards against: anyone in the network who can have any file of this machine read."""
    scene = control_scene()
    with pytest.raises(NoSuchInput, match="no chart of that name"):
        scene.api.answer_guest(make_request("chart", {"name": str(charts / "slow.chart")}))
    with pytest.raises(NoSuchInput, match="no chart of that name"):
        scene.api.answer_guest(make_request("set", {"key": "chart.set", "value": [str(charts / "slow.chart")]}))
    scene.api.answer_guest(make_request("set", {"key": "chart.set", "value": ["slow, in G"]}))
    assert [song.text for song in scene.api.settings.chart.set] == [f"{charts / 'slow.chart'}, in G"]
    answer = scene.api.answer_guest(make_request("chart", {"name": "plain"}))
    assert isinstance(answer, ChangedValues)
    assert answer.changed["chart.file"] == str(charts / "plain.chart")


def test_a_tempo_that_was_set_goes_before_that_of_the_chart(charts: Path) -> None:
    """Guards against: a tempo in the configuration that a chart overrides, and one in a chart that is ignored."""
    sources = SettingsSources(None, None, {})
    assert sources.read().chart.tempo
    config = charts.parent / "config.yaml"
    config.write_text("tempo:\n  bpm: 100\n", "utf-8")
    assert not sources.read().chart.tempo
    config.write_text("tempo:\n  bpm: 100\nchart:\n  tempo: true\n", "utf-8")
    assert sources.read().chart.tempo
    scene = control_scene(chart__tempo=False)
    assert "tempo.bpm" not in scene.ask("chart", name="slow")["changed"]
    assert "tempo.bpm" not in control_scene(tempo__source="midi-clock").ask("chart", name="slow")["changed"]
    assert control_scene().ask("set", key="chart.file", value="slow")["changed"]["tempo.bpm"] == 60


def test_the_songs_of_a_set_follow_each_other(charts: Path) -> None:
    """Guards against: a set in which a song is left out, or played at another tempo or in another key than its own."""
    scene = playing("plain, 1 chorus", "slow, in G, 1 chorus", "gig#2, 240 bpm")
    scene.play_until(8 * BEAT_S + 0.1)
    scene.handle_reports()
    status = scene.ask("status")
    assert (status["chart"]["title"], status["bpm"], status["chord"]) == ("Slow One", 60, "Em7")
    assert scene.api.settings.chart.song == 2
    assert scene.api.settings_api.chart == scene.engine.chart.chart
    scene.play_until(8 * BEAT_S + 8.0 + 0.1)
    scene.handle_reports()
    assert (scene.ask("status")["chart"]["title"], scene.engine.tempo.bpm) == ("Sun", 240)
    assert [command.number for command in scene.commands if isinstance(command, QueueSong)] == [3, 4]


@pytest.mark.parametrize("way", ["request", "pedal", "program"])
def test_the_next_song_is_asked_for_in_every_way(charts: Path, way: str) -> None:
    """Guards against: a player who has no hand for a keyboard."""
    scene = playing("plain", "slow", midi__cc__64="next", midi__programs__5="next")
    ask: dict[str, ControlChange | ProgramChange] = {"pedal": ControlChange(64, 127, 1), "program": ProgramChange(4, 1)}
    if way == "request":
        scene.ask("next")
    else:
        scene.engine.receive(ask[way], scene.clock.second)
    scene.play_until(8 * BEAT_S + 0.1)
    assert scene.engine.chart.chart.info.title == "Slow One"


def test_a_song_of_the_set_is_called_by_number_or_name(charts: Path) -> None:
    """Guards against: a set that can only be played in its order."""
    scene = playing("plain", "slow", "gig#Blue Rain")
    assert scene.ask("chart", name="3")["changed"] == {"chart.song": 3}
    assert scene.ask("chart", name="blue rain")["changed"] == {}
    assert scene.ask("chart", name="slow")["changed"] == {"chart.song": 2, "tempo.bpm": 60}
    queued = [command for command in scene.commands if isinstance(command, QueueSong)]
    assert [(each.number, each.chart is None) for each in queued] == [(4, True), (3, False)]
    scene.api.perform_action("chart", "1")
    assert scene.api.settings.chart.song == 1


def test_a_song_that_cannot_be_read_is_left_out(charts: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: an evening that ends at a mistyped name."""
    scene = playing("plain", "slw", "slow")
    scene.ask("next")
    scene.play_until(8 * BEAT_S + 0.1)
    assert scene.engine.settings.chart.song == 3
    assert "song 2 of chart.set is left out" in caplog.text
    assert "did you mean slow" in caplog.text


def test_a_chart_in_between_leaves_the_set_as_it_is(charts: Path) -> None:
    """Guards against: a request from the audience that costs the rest of the set."""
    scene = playing("plain", "slow")
    scene.ask("chart", name="gig#Sun")
    assert scene.api.settings.chart.song == 0
    scene.play_until(4 * BEAT_S + 0.1)
    scene.handle_reports()
    assert scene.engine.chart.chart.info.title == "Sun"
    scene.ask("next")
    scene.play_until(9 * BEAT_S)
    assert (scene.engine.settings.chart.song, scene.engine.chart.chart.info.title) == (2, "Slow One")


def test_a_set_that_is_wrong_is_refused(charts: Path) -> None:
    """Guards against: a song at a tempo that cannot be played, which is found out on the stage."""
    scene = control_scene()
    with pytest.raises(ConfigError, match=r"20 to 400"):
        scene.ask("set", key="chart.set", value=["plain, 1 bpm"])
    with pytest.raises(SidemanError, match="no chart of that name"):
        scene.ask("set", key="chart.set", value=["nowhere"])
    assert scene.api.settings.chart.set == ()
    assert not [command for command in scene.commands if isinstance(command, SetChart)]
