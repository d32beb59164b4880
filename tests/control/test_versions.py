# SPDX-License-Identifier: Apache-2.0
"""Both versions of the events, side by side: a whole daemon but for its threads, on a clock that jumps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.control.codec import decode_message, encode_line
from sideman.control.events import EVENTS_2
from sideman.core.events import NoteOff, NoteOn
from sideman_models.music.motifs import MotifMemory
from support.fakes import motif_bundle
from support.recordings import DATA
from support.watched import TURN_S, Line, WatchedPlay, watched_play

RECORDED = Path(__file__).with_name("version-1.jsonl")
"""The lines that a client of version 1 got before there was a version 2.

But for two: between two changes that came together there was one that said that no note was coming; and since the
soloist waits for more after a key was released, one status shows the music a moment earlier.
"""
TUNE: dict[str, Any] = {"play__rate": "eighth", "play__comp": "bass", "play__count_in": 1, "tempo__bpm": 200}
SCRIPT = [
    (1.5, {"do": "set", "id": 1, "key": "play.temperature", "value": 0.7}),
    (1.7, NoteOn(60, 90, 1)),
    (1.9, NoteOff(60, 1)),
    (2.2, {"do": "mode", "mode": "trade", "now": True}),
    (3.0, {"do": "set", "key": "tempo.bpm", "value": 150}),
    (3.1, {"v": 1, "do": "status"}),
    (3.6, {"do": "panic", "id": "p"}),
    (4.0, {"do": "stop"}),
    (4.2, {"do": "mode", "mode": "solo"}),
    (4.5, {"do": "start"}),
    (6.4, {"do": "set", "key": "chart.changes", "value": "| Eb7 | Ab7 |"}),
    (6.9, {"do": "set", "id": 2, "key": "play.temperature", "value": 9}),
]
VERSION_2: dict[str, Any] = {"v": 2, "choices": True}


def test_a_client_of_version_1_gets_what_it_always_got(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a program of somebody's own that an update of sideman has broken, while a page is open beside."""
    monkeypatch.setenv("XDG_DATA_HOME", str(DATA))  # the default network and the bass of that time
    tune = {**TUNE, "play__style": "plain", "play__response": 0.0}
    lines = watched_play(tmp_path, 9.0, [{}, {"v": 2}, VERSION_2], SCRIPT, **tune).lines[0]
    recorded = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    assert [line.get("event", line.get("id")) for line in lines] == [
        each.get("event", each.get("id")) for each in recorded
    ]
    for line, before in zip(lines, recorded, strict=True):
        assert _common(line, before) == before


def _common(line: Any, before: Any) -> Any:
    """What was in the line before: fields and settings may be added."""
    if isinstance(before, dict) and isinstance(line, dict):
        return {name: _common(line.get(name), each) for name, each in before.items()}
    return line


def test_every_event_of_version_2_is_sent_with_its_second_as_described(tmp_path: Path) -> None:
    """Guards against: a page, written after the protocol, that fails on what is really sent."""
    lines = watched_play(tmp_path, 9.0, [VERSION_2], SCRIPT, **TUNE).lines[0]
    events = [line for line in lines if "event" in line]
    assert {event["event"] for event in events} >= EVENTS_2.keys() - {"learned", "log"}
    for event in events:
        again = encode_line(decode_message(json.dumps(event)), 2, event["second"])
        assert json.loads(again) == event
    assert all(line["v"] == 2 for line in events)
    assert {line["v"] for line in lines if "ok" in line} == {1, 2}  # a reply is of the version of its request


def _notes(events: list[Line]) -> Iterator[tuple[int, list[str]]]:
    """What happened to each note, in order."""
    found: dict[int, list[str]] = {}
    for event in events:
        for number in event.get("notes", [event["note"]] if "note" in event else []):
            found.setdefault(number, []).append(event["event"])
    yield from found.items()


def _assert_is_consistent(played: WatchedPlay, events: list[Line]) -> None:
    """Assert that the events about notes agree with each other, with the tempo, and with what was sent."""
    for _, happened in _notes(events):
        whole = " ".join(happened)
        rest = whole.replace("coming ", "").replace("coming", "")
        assert rest in {"", "taken_back", "played released"}, whole
    numbers = {event["note"] for event in events if event["event"] == "coming" and event["pitch"] is not None}
    done = {number for number, happened in _notes(events) if {"played", "taken_back"} & set(happened)}
    assert numbers <= done
    sent = [(message[1:], second) for second, message in played.output.sent if message[0] & 0xF0 == 0x90]
    shown = [((each["pitch"], each["velocity"]), each["sent"]) for each in events if each["event"] == "played"]
    assert [note for note, _ in shown] == [note for note, _ in sent[len(sent) - len(shown) :]]
    assert [at for _, at in shown] == pytest.approx([at for _, at in sent[len(sent) - len(shown) :]], abs=1e-6)
    assert len(shown) >= len(sent) - 2  # what was played before the client was there
    tempo, coming = {}, {}
    for event in events:
        if event["event"] == "tempo":
            tempo = event
        elif event["event"] in ("coming", "played"):
            second = tempo["second"] + (event["beat"] - tempo["beat"]) * 60 / tempo["bpm"]
            assert tempo["rolling"]
            assert second == pytest.approx(event["second"], abs=0.002)
            assert event["length_s"] == pytest.approx(event["beats"] * 60 / tempo["bpm"], abs=0.001)
            if event["event"] == "coming":
                coming[event["note"]] = event
            elif event["note"] in coming:
                planned = coming[event["note"]]
                assert planned["second"] == pytest.approx(event["second"], abs=0.002)
                assert (planned["pitch"], planned["velocity"]) == (event["pitch"], event["velocity"])


def test_notes_sound_as_they_were_announced(tmp_path: Path) -> None:
    """Guards against: a page that sounds other notes than the MIDI port, or the same at another time."""
    played = watched_play(tmp_path, 6.0, [VERSION_2], **TUNE)
    events = [line for line in played.lines[0] if "event" in line]
    _assert_is_consistent(played, events)
    voices = {event["voice"] for event in events if event["event"] == "coming"}
    assert voices == {"solo", "comp", "clicks"}
    known = [happened[0] == "coming" for _, happened in _notes(events)]
    assert known.count(False) <= 2  # the first notes, played as the client came
    back = [event for event in events if event["event"] == "taken_back"]
    assert back == [event for event in back if event["second"] > 5.9]  # at the end alone


def test_a_note_says_how_late_the_daemon_sent_it(tmp_path: Path) -> None:
    """Guards against: a page that shows the delay of its own network as the lateness of the daemon, or hides it."""
    played = watched_play(tmp_path, 4.0, [VERSION_2], late_s=0.004, **{**TUNE, "play__count_in": 0})
    events = [line for line in played.lines[0] if line.get("event") == "played"]
    _assert_is_consistent(played, [line for line in played.lines[0] if "event" in line])
    late = [event["sent"] - event["second"] for event in events]
    assert max(late) == pytest.approx(0.004, abs=1e-5)
    assert min(late) >= 0


def test_the_last_notes_end_for_those_who_watch(tmp_path: Path) -> None:
    """Guards against: a page on which the last note sounds on, or is still to come, after sideman has ended."""
    played = watched_play(tmp_path, 4.0, [{}, {"v": 2}], serves_after=False, **TUNE)
    one, two = played.lines
    assert all(line["v"] == 1 for line in one)
    _assert_is_consistent(played, [line for line in two if "event" in line])
    assert [line["event"] for line in two if line.get("event") in ("released", "taken_back")][-1] == "released"


STEPS = st.one_of(
    st.tuples(st.sampled_from([60, 62, 65]), st.booleans()).map(
        lambda each: NoteOn(each[0], 90, 1) if each[1] else NoteOff(each[0], 1)
    ),
    st.sampled_from(["stop", "start", "panic", "again"]).map(lambda name: {"do": name}),
    st.sampled_from(["solo", "trade", "answer", "off"]).map(lambda mode: {"do": "mode", "mode": mode, "now": True}),
    st.sampled_from(
        [
            ("tempo.bpm", 90),
            ("tempo.bpm", 210),
            ("play.swing", 0.66),
            ("play.offset_ms", -20),
            ("play.offset_ms", 30),
            ("play.gate", 0.4),
            ("play.comp", "shells"),
            ("play.rate", "sixteenth"),
            ("chart.changes", "| F | Bb7 |"),
        ]
    ).map(lambda each: {"do": "set", "key": each[0], "value": each[1]}),
    st.just({"do": "play_note", "on": True, "pitch": 63}),
)


@settings(max_examples=15)
@given(steps=st.lists(st.tuples(st.floats(0.3, 4.5), STEPS), max_size=8))
def test_whatever_happens_each_note_sounds_or_is_taken_back(
    steps: list[tuple[float, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Guards against: notes that hang on a page, or wait there for ever, after a stop, a panic or another tempo."""
    played = watched_play(tmp_path_factory.mktemp("s"), 5.0, [{"v": 2}], steps, **{**TUNE, "play__count_in": 0})
    _assert_is_consistent(played, [line for line in played.lines[0] if "event" in line])


def test_both_versions_say_that_a_motif_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a page that never marks what the player is answered with, or marks the bass."""
    monkeypatch.setattr(MotifMemory, "continues_yours", lambda *_: 5)
    one, two = watched_play(tmp_path, 5.0, [{}, {"v": 2}], bundle=motif_bundle(), **TUNE).lines
    by_beat = {each["beat"]: each["motif"] for each in one if each.get("event") == "value" and each["voice"] == "solo"}
    assert set(by_beat.values()) == {5}
    for name in ("coming", "played"):
        events = [line for line in two if line.get("event") == name and line["pitch"] is not None]
        assert {(line["voice"] == "solo", line["motif"]) for line in events} == {(True, 5), (False, 0)}


def test_without_a_client_of_version_2_the_player_reports_no_plan(tmp_path: Path) -> None:
    """Guards against: work in the player's thread for those who do not watch, which makes notes late."""
    watching: list[list[dict[str, Any]]] = [[{}], [{}, {"v": 2}], [VERSION_2]]
    kinds = [
        {type(report).__name__ for report in watched_play(tmp_path, 3.0, watches, **TUNE).reports}
        for watches in watching
    ]
    assert [{"PlanChanged", "ChoiceMade"} & each for each in kinds] == [
        set(),
        {"PlanChanged"},
        {"PlanChanged", "ChoiceMade"},
    ]


def test_the_choice_is_among_the_options_that_are_shown(tmp_path: Path) -> None:
    """Guards against: a page that explains a note with probabilities of another one."""
    tune = {**TUNE, "play__top_k": 6}
    events = [line for line in watched_play(tmp_path, 5.0, [VERSION_2], **tune).lines[0] if "event" in line]
    solo = {(e["beat"], e["value"], e["pitch"]) for e in events if e["event"] == "coming" and e["voice"] == "solo"}
    shown = [event for event in events if event["event"] == "choices"]
    assert len(shown) > 10
    for event in shown:
        options = event["options"]
        assert sum(each["probability"] for each in options) == pytest.approx(1, abs=0.001)  # there are six at most
        assert [each["probability"] for each in options] == sorted((e["probability"] for e in options), reverse=True)
        assert solo & {(event["beat"], each["value"], each["pitch"]) for each in options}


def test_a_note_from_a_program_counts_from_when_it_was_struck(tmp_path: Path) -> None:
    """Guards against: a page whose keys are heard late by what the network between costs."""
    script = [
        (1.0, {"v": 2, "id": 1, "do": "play_note", "on": True, "pitch": 61, "second": 0.9}),
        (1.0, {"v": 2, "id": 2, "do": "play_note", "on": False, "pitch": 61}),
        (1.0, {"v": 2, "id": 3, "do": "play_note", "on": True, "pitch": 61, "second": 2.0}),
        (2.5, {"v": 2, "id": 4, "do": "play_note", "on": True, "pitch": 61, "second": 1.4}),
    ]
    lines = watched_play(tmp_path, 3.0, [VERSION_2], script, midi__listen=3).lines[0]
    heard = [line for line in lines if line.get("event") == "heard"]
    seconds = [line["second"] for line in heard]
    assert seconds[0] == 0.9
    assert seconds[1] == pytest.approx(1.0, abs=TURN_S)
    assert [(line["on"], line["pitch"]) for line in heard] == [(True, 61), (False, 61)]
    assert [line["beat"] for line in heard] == pytest.approx([2 * (second - 0.1) for second in seconds], abs=0.001)
    replies = {line["id"]: line for line in lines if "id" in line and line["id"] is not None}
    assert [replies[number]["ok"] for number in (1, 2, 3, 4)] == [True, True, False, False]
    assert "allowed are the seconds from 1 s ago to now" in replies[3]["error"]
