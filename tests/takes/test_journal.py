# SPDX-License-Identifier: Apache-2.0
"""The journal of a take: read up to its last whole line, checked, with the totals of the take."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.actions import Start
from sideman.core.errors import UnreadableInput
from sideman.core.events import ClockContinue, ClockStart, ClockStop, Command, MidiEvent
from sideman.takes.folder import TakeFolder
from sideman.takes.journal import Journal
from sideman.takes.midi_file import TakeMidiFile
from support.fakes import performance
from support.performances import PHRASE
from support.recordings import ticks
from support.takes import clock_config, perform_with_reports, recorded_take, replay_take


@pytest.mark.parametrize("tick", [47, 48, 96, 144])
@pytest.mark.parametrize("later", [-0.0008, -0.0003, 0.0, 0.0003])
def test_totals_do_not_count_the_time_while_stopped(tick: int, later: float, tmp_path: Path) -> None:
    """Guards against a stop, while a note is on its way, that becomes a slow tempo in the file and in the list."""
    made = performance(tempo__source="midi-clock", play__rate="eighth", play__swing=0.5)
    engine = made.make_engine(0.1, clocks=clock_config(made))
    clock = ticks(1.02, 120, 24 * 6, 0.001) + ticks(4.02, 120, 24 * 6, 0.001)
    stop = clock[tick][0] + later
    first: list[tuple[float, MidiEvent | Command]] = [(1.0, ClockStart()), *(each for each in clock if each[0] < stop)]
    resumed = 1.9 + clock[tick][0]
    second: list[tuple[float, MidiEvent | Command]] = [
        (resumed - 0.01, ClockContinue()),
        *ticks(resumed, 120, 24 * 12, 0.001),
    ]
    header, reports, _ = perform_with_reports(made, [*first, (stop, ClockStop()), *second], resumed + 6, engine=engine)
    journal = recorded_take(tmp_path, header, reports)
    song = mido.MidiFile(TakeFolder(tmp_path).midi(journal.name))
    tempos = [60e6 / message.tempo for message in song.tracks[0] if message.type == "set_tempo"]
    assert tempos == pytest.approx([120] * len(tempos), abs=6)
    assert journal.totals().seconds == pytest.approx(stop - 1.02 + 6, abs=0.005)
    assert journal.totals().bpm == pytest.approx(120, abs=0.5)


def test_totals_do_not_count_skipped_beats(tmp_path: Path) -> None:
    """Guards against a list that shows a tempo that was not played, after the music was restarted."""
    header, reports, _ = perform_with_reports(performance(play__rate="eighth"), [(4.3, Start()), (7.7, Start())], 10.1)
    totals = recorded_take(tmp_path, header, reports).totals()
    assert totals.seconds == pytest.approx(10.0, abs=0.01)
    assert totals.bpm == pytest.approx(120, abs=0.1)


@settings(max_examples=10)
@given(st.integers(1, 100), st.sampled_from([b"", b"{", b"\xff\xfe", b"[1", b'["Woke",1']))
def test_a_journal_cut_off_anywhere_is_read_up_to_its_last_line(percent: int, torn: bytes) -> None:
    """Guards against a power cut or a kill that costs the whole take."""
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 6.0)
    with tempfile.TemporaryDirectory() as name:
        folder = TakeFolder(Path(name))
        journal = recorded_take(folder.path, header, reports)
        whole = list(journal.reports())
        lines = journal.path.read_bytes().splitlines(keepends=True)[:-1]
        kept = max(1, len(lines) * percent // 100)
        journal.path.write_bytes(b"".join(lines[:kept]) + torn)
        cut = Journal(journal.path)
        assert list(cut.reports()) == whole[: kept - 1]
        assert not replay_take(cut, made).difference
        midi = TakeMidiFile(cut.header, whole[: kept - 1])
        assert len(mido.MidiFile(file=io.BytesIO(midi.contents())).tracks) == 3


@pytest.mark.parametrize(
    ("number", "line", "problem"),
    [
        (1, b"{}\n", "not the journal of a take"),
        (1, b'{"format":"sideman take","version":9}\n', "version 9"),
        (1, b'{"format":"sideman take","version":1,"name":"x"}\n', "missing required field `date`"),
        (3, b"garbage\n", "not a line of a journal"),
        (3, b"\0\0\0\n", "not a line of a journal"),
        (4, b'["NoteOn",1,2,3]\n', "Invalid value 'NoteOn'"),
        (4, b'["Woke",1,2]\n', "at least length 4, got 3"),
    ],
)
def test_an_error_names_file_and_line(number: int, line: bytes, problem: str, tmp_path: Path) -> None:
    """Guards against a broken file that crashes the program, or is played as if it were right."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    path = recorded_take(tmp_path, header, reports).path
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = line
    path.write_bytes(b"".join(lines))
    with pytest.raises(UnreadableInput, match=f":{number}: .*{problem}"):
        list(Journal(path).reports())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"second": float("nan")}, "second: Expected `float` >= -1"),
        ({"start": float("inf")}, "start: Expected `float` <= 1"),
        ({"start": -1.0}, "start: Expected `float` >= 0"),
        ({"second": 1e300}, "second: Expected `float` <= 1"),
        ({"seed": -5}, "seed: Expected `int` >= 0"),
        ({"seed": 10**40}, "seed: Expected `int` <= 9223372036854775807"),
        ({"settings": None}, "settings: Expected `object`, got `null`"),
        ({"chart": {"bars": [[[0, "C"], [float("nan"), "F"]]]}}, r"chart.bars\[0\]\[1\]\[0\]: Expected `float` >= -1"),
        ({"chart": {"bars": [[[0, "C"], [10**400, "F"]]]}}, r"chart.bars\[0\]\[1\]\[0\]: Number out of range"),
        ({"chart": {"about": {"tempo": "9"}}}, "chart.about.tempo: Expected `float | null`, got `str`"),
        ({"chart": {"meter": "4/4", "bars": [[[0, "C"]]]}}, "chart: Object missing required field `about`"),
    ],
)
def test_an_impossible_header_is_refused(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    """Guards against a header that crashes the program or lets it wait for ever."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    path = recorded_take(tmp_path, header, reports).path
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([json.dumps({**json.loads(first), **change}).encode() + b"\n", *rest]))
    with pytest.raises(UnreadableInput, match=f":1: {problem}"):
        Journal(path)


@pytest.mark.parametrize(
    "change",
    [{"bars": 0.5}, {"bars": -1}, {"start": 7.0}, {"beat": None}, {"beat": -1.0}, {"seconds": None},
     {"seconds": -1.0}, {"played": 1.5}, {"heard": None}, {"played": -1}],
)  # fmt: skip
def test_impossible_totals_are_counted_again(change: dict[str, Any], tmp_path: Path) -> None:
    """Guards against one wrong number that hides all takes, or is believed."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    right = recorded_take(tmp_path, header, reports)
    *lines, last = right.path.read_bytes().splitlines(keepends=True)
    changed = {"total": {**json.loads(last)["total"], **change}}
    right.path.write_bytes(b"".join([*lines, json.dumps(changed, separators=(",", ":")).encode() + b"\n"]))
    journal = Journal(right.path)
    assert journal.written_totals is None
    assert journal.totals() == right.totals()


def test_nothing_may_follow_the_totals(tmp_path: Path) -> None:
    """Guards against lines that somebody has added and that are lost silently."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    journal = recorded_take(tmp_path, header, reports)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join([*lines[:5], lines[-1], *lines[5:-1]]))
    with pytest.raises(UnreadableInput, match=r":6: .*totals"):
        list(Journal(journal.path).reports())


def test_a_take_from_before_the_styles_plays_its_accompaniment_plainly(tmp_path: Path) -> None:
    """Guards against an old take with a bass that is played again with other notes."""
    made = performance(play__comp="bass", play__style="plain")
    header, reports, _ = perform_with_reports(made, [], 8.0)
    path = TakeFolder(tmp_path).journal(recorded_take(tmp_path, header, reports).name)
    first, *lines = path.read_text("utf-8").splitlines(keepends=True)
    written = json.loads(first)
    for key in [key for key in written["settings"] if key in ("play.style", "play.click", "midi.bass")]:
        del written["settings"][key]
    path.write_text("".join([json.dumps(written) + "\n", *lines]), "utf-8")
    journal = Journal(path)
    assert journal.header.settings.play.style == "plain"
    found = replay_take(journal, made)
    assert found.same_events > 20
    assert not found.difference
