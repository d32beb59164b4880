# SPDX-License-Identifier: Apache-2.0
"""The events that watching clients get, made from a real performance; and the hub that sends them."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace

from sideman.control.codec import decode_message, encode_line
from sideman.control.events import EVENTS, Event
from sideman.control.feed import MAX_DELAY_S, STATUS_INTERVAL_S
from sideman.control.hub import ControlHub, Endpoints
from sideman.control.readings import read_here
from sideman.core.chart.text import parse_changes
from sideman.core.events import (
    ActionRequested,
    BarPlayed,
    ChangeSettings,
    ControlChange,
    ModeChanged,
    NoteHeard,
    NoteOff,
    NoteOn,
    NotePlayed,
    SetChart,
    SettingsChanged,
    StateChanged,
)
from support.control import ControlScene, control_scene

Line = dict[str, Any]


def as_lines(events: Iterable[Event]) -> Iterator[Line]:
    """The events as they come out of the socket."""
    for event in events:
        yield json.loads(encode_line(event))


def watch(scene: ControlScene, until: float, step: float = 0.05) -> list[Line]:
    """What is sent while a scene plays until then, looked at every `step` seconds as the main thread does."""
    lines: list[Line] = []
    while scene.clock.second < until:
        scene.play_until(min(scene.clock.second + step, scene.feed.wakes_at(scene.clock.second), until))
        while scene.reports:
            report = scene.reports.popleft()
            scene.api.handle_report(report)
            lines += as_lines(scene.feed.report_events(report))
        lines += as_lines(scene.feed.timed_events(scene.clock.second))
    return lines


def make_performance() -> list[Line]:
    """A performance in which everything happens."""
    scene = control_scene(play__rate="eighth", chart__changes="title: Song\n[A]\n| Dm7 | G7 |\n[B]\n| C |")
    scene.feed.set_watched(watched=True)
    try:
        lines = [*as_lines(scene.feed.initial_events()), *watch(scene, 3.9)]
        for item in (NoteOn(60, 90, 1), NoteOff(60, 1)):
            scene.engine.receive(item, scene.clock.second)
        scene.ask("set", key="play.temperature", value=0.5)
        scene.ask("learn", key="play.gate")
        for position in (10, 20):
            scene.engine.receive(ControlChange(20, position, 1), scene.clock.second)
        scene.ask("set", key="chart.changes", value="| Eb7 |")
        scene.reports += [ModeChanged("trade", 8.0), StateChanged("listening")]
        logging.getLogger("sideman.test").warning("a port is gone")
        return [*lines, *watch(scene, 6.0)]
    finally:
        scene.feed.set_watched(watched=False)


PERFORMANCE = make_performance()


def events(kind: str) -> list[Line]:
    """The events of one kind of the performance."""
    return [event for event in PERFORMANCE if event["event"] == kind]


def test_every_kind_of_event_is_sent_as_the_protocol_describes_it() -> None:
    """Guards against: a view that was written after the documentation and fails on what is really sent."""
    assert {event["event"] for event in PERFORMANCE} == EVENTS.keys()
    for event in PERFORMANCE:
        # Decoded, an event has no field that the protocol lacks, and all fields that it requires.
        assert json.loads(encode_line(decode_message(json.dumps(event)))) == event


def test_each_beat_is_sent_once_with_its_chord() -> None:
    """Guards against: a view that lags behind the chart, or jumps."""
    beats = [(e["beat"], e["bar"], e["chord"], e["next_chord"], e["form_bar"], e["chorus"]) for e in events("beat")]
    first = [(beat, 1, "Dm7", "G7", 1, 1) for beat in range(4)]
    second = [(beat, 2, "G7", "C", 2, 1) for beat in range(4, 8)]
    other = [(beat, beat // 4 + 1, "Eb7", "Eb7", 1, beat // 4 - 1) for beat in range(8, 13)]
    assert beats == first + second + other


def test_a_chord_that_the_player_holds_replaces_the_chord_of_the_chart() -> None:
    """Guards against: a view that shows another chord than the one that is played over."""
    scene = control_scene(chart__changes="| C | F |", midi__chords=3)
    scene.play_until(0.9)
    for pitch in (58, 62, 65, 68):
        scene.put(NoteOn(pitch, 80, 3))  # type: ignore[arg-type]
    lines = watch(scene, 3.9)
    scene.ask("set", key="chart.changes", value="| Am | Dm |")
    lines += watch(scene, 8.1)
    beats = [(e["beat"], e["chord"], e["next_chord"]) for e in lines if e["event"] == "beat"]
    assert [chords for beat, *chords in beats if 2 <= beat < 8] == [["Bb7", "Bb7"]] * 6
    assert next(chords for beat, *chords in beats if beat >= 8) == ["Am", "Dm"]
    status = [e for e in lines if e["event"] == "status" and 2.5 < e["beat"] < 7.5]
    assert {e["chord"] for e in status} == {"Bb7"}


def test_notes_are_sent_as_they_were_announced() -> None:
    """Guards against: a piano roll with other notes than those that sound."""
    scene = control_scene(play__rate="eighth", play__density=4)
    before = list(scene.note_ons)
    lines = watch(scene, 4.0)
    values = [event for event in lines if event["event"] == "value"]
    assert not before
    assert [(round(e["beat"] / 2, 3), e["pitch"]) for e in values] == [(round(s, 3), p) for s, p in scene.note_ons]
    assert all(event["value"] and event["voice"] == "solo" for event in values)
    announced = {(event["beat"], event["pitch"]) for event in lines if event["event"] == "coming"}
    assert {(round(e["beat"], 4), e["pitch"]) for e in values[1:]} <= announced


def test_the_notes_of_the_player_are_sent() -> None:
    """Guards against: a player who cannot see what the daemon has heard."""
    assert [(event["on"], event["pitch"], event["velocity"]) for event in events("heard")] == [
        (True, 60, 90),
        (False, 60, 0),
    ]


def test_chords_are_sent_as_the_player_reads_them() -> None:
    """Guards against: a saxophonist who sees the changes in another key than that of the instrument."""
    scene = control_scene(chart__changes="| Dm7 | G7 |", midi__transpose=-2)
    lines = [*as_lines(scene.feed.initial_events()), *watch(scene, 2.2)]
    assert lines[0]["bars"] == [["Em7"], ["A7"]]
    assert next(event["chord"] for event in lines if event["event"] == "beat") == "Em7"
    assert next(event["chords"] for event in lines if event["event"] == "bar") == ["Em7"]
    scene.ask("set", key="midi.transpose", value=0)
    again = watch(scene, 2.4)
    assert [event["bars"] for event in again if event["event"] == "chart"] == [[["Dm7"], ["G7"]]]


def test_the_ports_are_sent_to_all_clients_when_they_change() -> None:
    """Guards against: a client that watches already misses a change, because a new client has been sent it."""
    scene = control_scene()
    ports = []
    for name in ("plays to a port", "plays to another"):
        info = replace(scene.api.describe_daemon(), ports=name)
        scene.api.describe_daemon = lambda info=info: info  # type: ignore[misc]
        ports += [event["text"] for event in as_lines(scene.feed.initial_events()) if event["event"] == "ports"]
    assert ports == ["plays to a port", "plays to another"]
    sent = [event["text"] for event in watch(scene, 2 * STATUS_INTERVAL_S) if event["event"] == "ports"]
    assert sent == ["plays to another"]


def test_the_chart_is_sent_first_and_whenever_it_changes() -> None:
    """Guards against: a view that draws an empty chart, or keeps the old one."""
    first, second = events("chart")
    assert PERFORMANCE[0] is first
    assert (first["title"], first["bars"], first["sections"]) == (
        "Song",
        [["Dm7"], ["G7"], ["C"]],
        [[0, "A"], [2, "B"]],
    )
    assert second["bars"] == [["Eb7"]]


def test_log_lines_are_sent_unless_they_are_events_as_well() -> None:
    """Guards against: a lost port that the view does not show, and against bars that are shown twice."""
    assert [(event["level"], event["text"]) for event in events("log")] == [("warning", "a port is gone")]


def test_the_status_is_sent_twice_a_second_and_at_once_after_a_change() -> None:
    """Guards against: old values in a view that has just started, or after a knob was turned."""
    scene = control_scene()
    count = sum(event["event"] == "status" for event in watch(scene, 10.0))
    assert 10 / (STATUS_INTERVAL_S + MAX_DELAY_S) <= count <= 10 / STATUS_INTERVAL_S + 1
    scene.ask("set", key="play.gate", value=0.3)
    lines = watch(scene, scene.clock.second + 0.05)
    assert [e["settings"]["play.gate"] for e in lines if e["event"] == "status"] == [0.3]


def test_beats_count_from_the_top_of_the_music_when_a_clock_is_followed() -> None:
    """Guards against: beats and notes that disagree after the DAW has jumped."""
    scene = control_scene()
    scene.engine.timeline.top = 8.0
    scene.snapshot = scene.status
    note = NoteOn(60, 80, 1)
    assert [event["beat"] for event in as_lines(scene.feed.report_events(NotePlayed(9.0, 1.0, note, "solo")))] == [1.0]
    assert [event["beat"] for event in as_lines(scene.feed.report_events(NoteHeard(10.0, note)))] == [2.0]
    assert scene.ask("status")["beat"] == pytest.approx(-8.0)


def test_halted_music_has_no_beats() -> None:
    """Guards against: a view that counts on while the DAW has stopped."""
    scene = control_scene(tempo__source="internal")
    still = [event for event in watch(scene, 1.0) if event["event"] == "beat"]
    assert [event["beat"] for event in still] == [0, 1, 2]
    scene.put(SetChart(parse_changes("| F |", scene.engine.chart.chart.meter, "test")))
    assert math.isfinite(scene.feed.wakes_at(scene.clock.second))


def test_reports_are_logged_and_the_actions_they_request_are_performed(caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: a program change that chooses nothing, and a `ctl set log.level` that changes no log."""
    scene = control_scene()
    scene.reports += [
        BarPlayed(3, (), ()),
        ActionRequested("preset", "sparse"),
        SettingsChanged((("log.level", "warning"),)),
    ]
    root = logging.getLogger()
    with (
        closing(ControlHub(scene.api, scene.feed, scene.reports, Endpoints())) as hub,
        caplog.at_level(logging.INFO),
    ):
        scene.api.read_files = read_here
        hub.serve(0.0)
        assert root.level == logging.WARNING
    assert caplog.messages[:2] == ["bar 3 | -", "log.level is warning"]
    assert any(isinstance(each, ChangeSettings) for each in scene.commands)
    assert scene.api.settings.log.level == "warning"


def test_many_reports_are_processed_in_pieces() -> None:
    """Guards against: a thousand controller messages a second that delay signals."""
    scene = control_scene()
    scene.reports.extend(SettingsChanged((("play.gate", 0.5),)) for _ in range(1200))
    with closing(ControlHub(scene.api, scene.feed, scene.reports, Endpoints())) as hub:
        hub.serve(0.0)
        assert 0 < len(scene.reports) < 1200
        assert hub.wakes_at(5.0) == 5.0
    assert not scene.reports


def test_of_many_presets_the_last_counts(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: minutes of reading presets after somebody has played with the program changes, and no panic."""
    done, second = list[tuple[str, str]](), 0.0
    monkeypatch.setattr("time.monotonic", lambda: second)
    scene = control_scene()
    monkeypatch.setattr(scene.api, "perform_action", lambda *asked: done.append(asked))
    scene.reports.clear()
    with closing(ControlHub(scene.api, scene.feed, scene.reports, Endpoints())) as hub:
        scene.reports.append(ActionRequested("preset", "first"))
        hub.serve(second)
        assert done == [("preset", "first")]
        scene.reports.extend(ActionRequested("preset", str(number)) for number in range(400))
        scene.reports.extend([ActionRequested("keep"), ActionRequested("preset", "last")])
        hub.serve(second)
        assert len(done) == 1  # a pause
        while hub.wakes_at(second) < math.inf:
            second = hub.wakes_at(second)
            hub.serve(second)
        assert done[1:] == [("keep", ""), ("preset", "last")]
        assert "400 actions by controllers were overtaken" in caplog.text
        scene.reports.append(ActionRequested("preset", "too late"))
    assert done[-1] == ("preset", "last")
