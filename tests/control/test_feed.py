# SPDX-License-Identifier: Apache-2.0
"""What those who watch are told, of a real performance; and that all that is said is what docs/control.md says."""

from __future__ import annotations

import json
import logging
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sideman.commands.ctl import REQUESTS
from sideman.control.feed import MAX_DELAY_S, STATUS_INTERVAL_S
from sideman.control.hub import ControlHub, Endpoints
from sideman.core.chart.chart import parse_changes
from sideman.core.events import (
    ActionRequested,
    BarPlayed,
    ChangeSettings,
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
from support.json_schema import schema_problems
from support.processes import ROOT

SCHEMA = json.loads((ROOT / "docs" / "control.schema.json").read_text())
DOCS = (ROOT / "docs" / "control.md").read_text()
BROUGHT = {"watch", "keep"}  # the first by the socket, the other by what makes takes

Told = dict[str, Any]


def fits(message: Told, kind: str) -> list[str]:
    """What is wrong with a message, by the schema."""
    return list(schema_problems(message, SCHEMA["$defs"][kind], SCHEMA))


def as_sent(events: Iterable[dict[str, object]]) -> Iterator[Told]:
    """As they come out of the socket."""
    for event in events:
        yield json.loads(json.dumps({"v": 1, **event}, allow_nan=False))


def watch(made: ControlScene, until: float, step: float = 0.05) -> list[Told]:
    """What is told while a house plays until then, looked at every `step` seconds as the main thread does."""
    told: list[Told] = []
    while made.clock.second < until:
        made.play_until(min(made.clock.second + step, made.feed.wakes_at(made.clock.second), until))
        while made.reports:
            report = made.reports.popleft()
            made.api.handle_report(report)
            told += as_sent(made.feed.report_events(report))
        told += as_sent(made.feed.timed_events(made.clock.second))
    return told


def a_performance() -> list[Told]:
    """One in which everything happens."""
    made = control_scene(play__rate="eighth", chart__changes="title: Song\n[A]\n| Dm7 | G7 |\n[B]\n| C |")
    made.feed.set_watched(watched=True)
    try:
        told = [*as_sent(made.feed.initial_events()), *watch(made, 3.9)]
        for item in (NoteOn(60, 90, 1), NoteOff(60, 1)):
            made.engine.receive(item, made.clock.second)
        made.ask("set", key="play.temperature", value=0.5)
        made.ask("set", key="chart.changes", value="| Eb7 |")
        made.reports += [ModeChanged("trade", 8.0), StateChanged("listening")]
        logging.getLogger("sideman.test").warning("a port is gone")
        return [*told, *watch(made, 6.0)]
    finally:
        made.feed.set_watched(watched=False)


PERFORMANCE = a_performance()


def events(kind: str) -> list[Told]:
    """Those of a kind, of the performance."""
    return [event for event in PERFORMANCE if event["event"] == kind]


def test_every_event_is_as_the_schema_says() -> None:
    """A view written after the documentation would fail on what really comes."""
    wrong = [problem for event in PERFORMANCE for problem in fits(event, "event")]
    assert not wrong
    kinds = {one["properties"]["event"]["const"] for one in SCHEMA["$defs"]["event"]["oneOf"]}
    assert {event["event"] for event in PERFORMANCE} == kinds


def test_the_schema_refuses_what_is_wrong() -> None:
    """A schema that fits everything would prove nothing."""
    assert fits({"v": 1, "event": "mode", "mode": "jazz", "beat": 1}, "event")
    assert fits({"v": 1, "event": "mode", "mode": "solo"}, "event")
    assert fits({"v": 1, "event": "ports", "text": "x", "more": 1}, "event")
    assert fits({"do": "set", "key": "play.gate"}, "request")
    assert not fits({"do": "set", "key": "play.gate", "value": 1}, "request")


def test_every_request_is_described_and_answered_as_described() -> None:
    """A request could be documented that nobody answers, or answered that nobody knows of."""
    described = {one["properties"]["do"]["const"]: one for one in SCHEMA["$defs"]["request"]["oneOf"]}
    made = control_scene()
    assert described.keys() == made.api.requests.keys() | BROUGHT == REQUESTS.keys()
    results = SCHEMA["$defs"]["result_of"]["properties"]
    examples: dict[str, Told] = defaultdict(
        dict,
        set={"key": "play.gate", "value": 0.5},
        get={"key": "play.gate"},
        mode={"mode": "trade", "now": False},
        mute={"on": True},
        preset={"name": "bebop"},
        learn={"key": "play.density 0.2-2"},
    )
    for verb, one in made.api.requests.items():
        assert {*one.required, *one.optional} == described[verb]["properties"].keys() - {"v", "id", "do"}
        assert {*one.required} == {*described[verb]["required"]} - {"do"}
        result = made.ask(verb, **examples[verb])
        assert not fits({"v": 1, "id": 1, "do": verb, **examples[verb]}, "request")
        if verb in results:
            wanted = results[verb]
            assert not list(schema_problems(result, wanted, SCHEMA))
        else:
            assert result is None
    assert made.ask("get").keys() >= {"play.gate", "midi.channel"}


def test_the_page_tells_of_every_request_and_event() -> None:
    """Whoever reads the page would not learn what there is."""
    for part, name in (("request", "do"), ("event", "event")):
        for one in SCHEMA["$defs"][part]["oneOf"]:
            word = one["properties"][name]["const"]
            assert re.search(rf"^\| `{word}", DOCS, re.MULTILINE), word


def test_the_examples_on_the_page_are_right() -> None:
    """The first thing that anybody tries would not work."""
    lines = [json.loads(line) for line in re.findall(r"^(?:> |< )?(\{.*\})$", DOCS, re.MULTILINE)]
    kinds = [("request" if "do" in line else "event" if "event" in line else "reply") for line in lines]
    assert {"request", "reply", "event"} <= set(kinds)
    assert not [problem for line, kind in zip(lines, kinds, strict=True) for problem in fits(line, kind)]


def test_a_beat_is_told_once_and_with_its_chord() -> None:
    """A view would lag behind the chart, or jump."""
    told = [(e["beat"], e["bar"], e["chord"], e["next_chord"], e["form_bar"], e["chorus"]) for e in events("beat")]
    first = [(beat, 1, "Dm7", "G7", 1, 1) for beat in range(4)]
    second = [(beat, 2, "G7", "C", 2, 1) for beat in range(4, 8)]
    other = [(beat, beat // 4 + 1, "Eb7", "Eb7", 1, beat // 4 - 1) for beat in range(8, 13)]
    assert told == first + second + other


def test_a_chord_that_is_held_is_told_in_place_of_the_charts() -> None:
    """Whoever holds the chords by hand would see another than what is played over."""
    made = control_scene(chart__changes="| C | F |", midi__chords=3)
    made.play_until(0.9)
    for pitch in (58, 62, 65, 68):
        made.put(NoteOn(pitch, 80, 3))  # type: ignore[arg-type]
    told = watch(made, 3.9)
    made.ask("set", key="chart.changes", value="| Am | Dm |")
    told += watch(made, 8.1)
    beats = [(e["beat"], e["chord"], e["next_chord"]) for e in told if e["event"] == "beat"]
    assert [chords for beat, *chords in beats if 2 <= beat < 8] == [["Bb7", "Bb7"]] * 6
    assert next(chords for beat, *chords in beats if beat >= 8) == ["Am", "Dm"]
    status = [e for e in told if e["event"] == "status" and 2.5 < e["beat"] < 7.5]
    assert {e["chord"] for e in status} == {"Bb7"}


def test_what_is_struck_is_told_as_it_was_foreseen() -> None:
    """The piano roll would show other notes than those that sound."""
    made = control_scene(play__rate="eighth", play__density=4)
    before = list(made.note_ons)
    told = watch(made, 4.0)
    values = [event for event in told if event["event"] == "value"]
    assert not before
    assert [(round(e["beat"] / 2, 3), e["pitch"]) for e in values] == [(round(s, 3), p) for s, p in made.note_ons]
    assert all(event["value"] and event["voice"] == "solo" for event in values)
    foreseen = {(event["beat"], event["pitch"]) for event in told if event["event"] == "coming"}
    assert {(round(e["beat"], 4), e["pitch"]) for e in values[1:]} <= foreseen


def test_the_player_is_told_as_heard() -> None:
    """Nobody could see what it has understood of the playing."""
    assert [(event["on"], event["pitch"], event["velocity"]) for event in events("heard")] == [
        (True, 60, 90),
        (False, 60, 0),
    ]


def test_chords_are_told_as_the_player_reads_them() -> None:
    """A saxophonist would see changes in a key that is not theirs."""
    made = control_scene(chart__changes="| Dm7 | G7 |", midi__transpose=-2)
    told = [*as_sent(made.feed.initial_events()), *watch(made, 2.2)]
    assert told[0]["bars"] == [["Em7"], ["A7"]]
    assert next(event["chord"] for event in told if event["event"] == "beat") == "Em7"
    assert next(event["chords"] for event in told if event["event"] == "bar") == ["Em7"]
    made.ask("set", key="midi.transpose", value=0)
    again = watch(made, 2.4)
    assert [event["bars"] for event in again if event["event"] == "chart"] == [[["Dm7"], ["G7"]]]


def test_who_comes_learns_the_chart_first_and_whenever_it_changes() -> None:
    """A view would draw an empty chart, or go on with the old one."""
    first, second = events("chart")
    assert PERFORMANCE[0] is first
    assert (first["title"], first["bars"], first["sections"]) == (
        "Song",
        [["Dm7"], ["G7"], ["C"]],
        [[0, "A"], [2, "B"]],
    )
    assert second["bars"] == [["Eb7"]]


def test_the_log_is_told_but_nothing_twice() -> None:
    """A lost port would go unseen in the view; or each bar would be told twice."""
    assert [(event["level"], event["text"]) for event in events("log")] == [("warning", "a port is gone")]


def test_it_stands_so_at_least_every_half_second_and_at_once_after_a_change() -> None:
    """A view that has just begun, or a knob that was turned, would show old values."""
    made = control_scene()
    count = sum(event["event"] == "status" for event in watch(made, 10.0))
    assert 10 / (STATUS_INTERVAL_S + MAX_DELAY_S) <= count <= 10 / STATUS_INTERVAL_S + 1
    made.ask("set", key="play.gate", value=0.3)
    told = watch(made, made.clock.second + 0.05)
    assert [e["settings"]["play.gate"] for e in told if e["event"] == "status"] == [0.3]


def test_beats_count_from_the_top_where_a_clock_is_followed() -> None:
    """Beat and notes would lie apart once the DAW has jumped."""
    made = control_scene()
    made.engine.timeline.top = 8.0
    made.snapshot = made.status
    note = NoteOn(60, 80, 1)
    assert [event["beat"] for event in made.feed.report_events(NotePlayed(9.0, 1.0, note, "solo"))] == [1.0]
    assert [event["beat"] for event in made.feed.report_events(NoteHeard(10.0, note))] == [2.0]
    assert made.ask("status")["beat"] == pytest.approx(-8.0)


def test_halted_music_has_no_beats() -> None:
    """The view would go on counting while the DAW stands still."""
    made = control_scene(tempo__source="internal")
    still = [event for event in watch(made, 1.0) if event["event"] == "beat"]
    assert [event["beat"] for event in still] == [0, 1, 2]
    made.put(SetChart(parse_changes("| F |", made.engine.chart.chart.meter, "test")))
    assert math.isfinite(made.feed.wakes_at(made.clock.second))


def test_the_schema_is_named_on_the_page() -> None:
    """Nobody would find it."""
    assert Path("docs/control.schema.json").name in DOCS


def test_what_the_player_reports_is_logged_and_what_its_hands_ask_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """A program change would choose nothing, and `ctl set log.level` would change a word and no log."""
    made = control_scene()
    made.reports += [
        BarPlayed(3, (), ()),
        ActionRequested("preset", "sparse"),
        SettingsChanged((("log.level", "warning"),)),
    ]
    root = logging.getLogger()
    with (
        closing(ControlHub(made.api, made.feed, made.reports, Endpoints())) as reception,
        caplog.at_level(logging.INFO),
    ):
        reception.serve(0.0)
        assert root.level == logging.WARNING
    assert caplog.messages[:2] == ["bar 3 |  | -", "log.level is warning"]
    assert any(isinstance(each, ChangeSettings) for each in made.commands)
    assert made.api.settings.log.level == "warning"


def test_a_storm_of_reports_is_taken_in_pieces() -> None:
    """A thousand controllers a second would keep signals waiting."""
    made = control_scene()
    made.reports.extend(SettingsChanged((("play.gate", 0.5),)) for _ in range(1200))
    with closing(ControlHub(made.api, made.feed, made.reports, Endpoints())) as reception:
        reception.serve(0.0)
        assert 0 < len(made.reports) < 1200
        assert reception.wakes_at(5.0) == 5.0
    assert not made.reports
