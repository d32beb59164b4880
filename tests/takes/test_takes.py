# SPDX-License-Identifier: Apache-2.0
"""Takes: complete to the last bar whatever happens, played again note by note, never in the way of the music."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import tempfile
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.actions import Panic, PlayVariation, Start, Stop
from sideman.core.chart.chart import parse_changes
from sideman.core.errors import CannotCreate, DiskError, Unavailable, UnreadableInput
from sideman.core.events import (
    ChangeSettings,
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    ControlChange,
    LinkState,
    MidiEvent,
    NoteOff,
    NoteOn,
    PitchBend,
    SetChart,
    SetMode,
    SetPortPeriod,
)
from sideman.core.reports import Advanced, BarPlayed, BarStarted, EventSent, NoteHeard, Report
from sideman.core.settings.schema import COMMON_TIME
from sideman.playing.assembly import resumed_engine, state_of
from sideman.takes import replay as takes
from sideman.takes.folder import OpenTake, TakeFolder
from sideman.takes.journal import Journal, TakeHeader
from sideman.takes.midi_file import TICKS_PER_BEAT, TakeMidiFile
from sideman_models.corpus.midi.reader import ReadingOptions, read_midi
from support.fakes import classic_bundle, modern_bundle, performance, tempo_change
from support.performances import PHRASE
from support.takes import perform_with_reports, recorded_take, replay_take, take_recorder

OTHER = parse_changes("| Fm7 Bb7 | Ebmaj7 |", COMMON_TIME, "test")
MIXED = parse_changes("3/4 Am7 | 2/4 D7 | 7/8 Gmaj7 C", COMMON_TIME, "test")
arriving = st.one_of(
    st.builds(NoteOn, st.integers(40, 90), st.integers(1, 127), st.just(1)),
    st.builds(NoteOff, st.integers(40, 90), st.just(1)),
    st.builds(ControlChange, st.sampled_from([1, 20, 64]), st.integers(0, 127), st.just(1)),
    st.builds(tempo_change, st.floats(60, 300)),
    st.builds(SetChart, st.sampled_from([OTHER, MIXED])),
    st.builds(ChangeSettings, st.sampled_from([
        (("play.rate", "sixteenth"),), (("play.temperature", 0.5), ("play.density", 2.0)), (("play.mode", "off"),),
        (("play.mode", "solo"),), (("tempo.bpm", 170.0),), (("play.seed", 9),),
    ])),
    st.builds(SetMode, st.sampled_from(["solo", "trade", "answer", "duet", "off"]), st.booleans()),
    st.sampled_from([Panic(), Start(), Stop(), PlayVariation()]),
)  # fmt: skip
arrivals = st.lists(st.tuples(st.floats(0, 6), arriving), max_size=25).map(
    lambda items: sorted(items, key=lambda i: i[0])
)
rates, modes = st.sampled_from(["beat", "sixteenth", "phrase"]), st.sampled_from(["solo", "trade", "answer", "duet"])
sleeps = st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.04, 0.2]), min_size=1, max_size=9)


@settings(max_examples=20)
@given(rates, modes, st.integers(0, 1), arrivals, sleeps, st.booleans())
def test_a_take_is_played_again_event_by_event(
    rate: str,
    mode: str,
    count_in: int,
    items: list[tuple[float, MidiEvent | Command]],
    late: list[float],
    clock_out: bool,
) -> None:
    """What one has recorded could not be had again: least of all where notes came too late and were left out."""
    made = performance(play__rate=rate, play__mode=mode, play__count_in=count_in, tempo__clock_out=clock_out)
    waits = cycle(late)
    engine = made.make_engine(0.1, clocks=takes.clock_config(made.settings, made.chart))
    header, reports, _ = perform_with_reports(made, items, 6.0, lambda: next(waits), engine)
    with tempfile.TemporaryDirectory() as folder:
        journal = recorded_take(Path(folder), header, reports)
        sent = [report for report in journal.reports() if isinstance(report, EventSent)]
        assert sent == [report for report in reports if isinstance(report, EventSent)]
        assert replay_take(journal, made) == takes.ReplayResult(len(sent))


def ticks(start: float, bpm: float, count: int, jitter: float) -> list[tuple[float, MidiEvent]]:
    """Ticks of a clock, each a little off."""
    apart = 60 / bpm / 24
    return [(start + at * apart + jitter * ((at * 7) % 5 - 2) / 2, ClockTick()) for at in range(count)]


def test_a_take_in_the_time_of_a_clock_is_played_again(tmp_path: Path) -> None:
    """Whoever plays along with a DAW could not have a take again; its file would be in another tempo."""
    made = performance(tempo__source="midi-clock", play__rate="eighth")
    engine = made.make_engine(0.1, clocks=takes.clock_config(made.settings, made.chart))
    first: list[tuple[float, MidiEvent | Command]] = [
        (0.5, SetPortPeriod(0.0)),
        (1.0, ClockStart()),
        *ticks(1.02, 100, 24 * 16, 0.001),
        (10.7, ClockStop()),
    ]
    second = [(13.0, ClockContinue()), *ticks(13.02, 140, 24 * 16, 0.001)]
    header, reports, _ = perform_with_reports(made, [*first, *second], 21.0, engine=engine)
    journal = recorded_take(tmp_path, header, reports)
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))
    song = mido.MidiFile(TakeFolder(tmp_path).midi(journal.name))
    tempos = [60e6 / message.tempo for message in song.tracks[0] if message.type == "set_tempo"]
    assert min(abs(tempo - 100) for tempo in tempos) < 1
    assert min(abs(tempo - 140) for tempo in tempos) < 1
    assert song.length == pytest.approx(16 * 60 / 100 + 16 * 60 / 140, abs=1)  # without what it waited for


@pytest.mark.parametrize("tick", [47, 48, 96, 144])
@pytest.mark.parametrize("later", [-0.0008, -0.0003, 0.0, 0.0003])
def test_what_a_take_lasts_is_without_its_halts(tick: int, later: float, tmp_path: Path) -> None:
    """A stop that comes while a note is on its way would be a crawl in the file, and the list tell another tempo."""
    made = performance(tempo__source="midi-clock", play__rate="eighth", play__swing=0.5)
    engine = made.make_engine(0.1, clocks=takes.clock_config(made.settings, made.chart))
    come = ticks(1.02, 120, 24 * 6, 0.001) + ticks(4.02, 120, 24 * 6, 0.001)
    stop = come[tick][0] + later
    first: list[tuple[float, MidiEvent | Command]] = [(1.0, ClockStart()), *(one for one in come if one[0] < stop)]
    gap = 1.9 + come[tick][0]
    again_: list[tuple[float, MidiEvent | Command]] = [(gap - 0.01, ClockContinue()), *ticks(gap, 120, 24 * 12, 0.001)]
    header, reports, _ = perform_with_reports(made, [*first, (stop, ClockStop()), *again_], gap + 6, engine=engine)
    journal = recorded_take(tmp_path, header, reports)
    song = mido.MidiFile(TakeFolder(tmp_path).midi(journal.name))
    tempos = [60e6 / message.tempo for message in song.tracks[0] if message.type == "set_tempo"]
    assert tempos == pytest.approx([120] * len(tempos), abs=6)
    assert journal.totals().seconds == pytest.approx(stop - 1.02 + 6, abs=0.005)
    assert journal.totals().bpm == pytest.approx(120, abs=0.5)


def test_what_a_take_lasts_is_without_the_beats_it_skipped(tmp_path: Path) -> None:
    """Begun anew, it would be listed at a tempo that nobody played."""
    header, reports, _ = perform_with_reports(performance(play__rate="eighth"), [(4.3, Start()), (7.7, Start())], 10.1)
    totals = recorded_take(tmp_path, header, reports).totals()
    assert totals.seconds == pytest.approx(10.0, abs=0.01)
    assert totals.bpm == pytest.approx(120, abs=0.1)


def test_a_take_in_the_time_of_a_link_session_is_played_again(tmp_path: Path) -> None:
    """Whoever plays with others over Link could not have a take again."""
    made = performance(tempo__source="link", play__rate="eighth", tempo__clock_out=True)
    engine = made.make_engine(0.1, clocks=takes.clock_config(made.settings, made.chart))
    states = [(1 + at / 10, LinkState(120.0, at / 5 + (0.02 if at % 7 else 0.0), at > 10, 1)) for at in range(120)]
    faster = [(13.1 + at / 10, LinkState(150.0, 24 + at / 4, at < 50, 2)) for at in range(60)]
    header, reports, _ = perform_with_reports(
        made, [*states, *faster, *[(20.0, NoteOn(60, 9, 1))]], 22.0, engine=engine
    )
    journal = recorded_take(tmp_path, header, reports)
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))
    assert journal.totals().played > 20


def test_a_take_that_went_on_from_yesterday_is_played_again(tmp_path: Path) -> None:
    """A service that resumes could never play its takes again."""
    made = performance(play__rate="eighth")
    first = made.make_engine(0.0)
    perform_with_reports(made, PHRASE, 7.0, engine=first)
    engine = resumed_engine(made, state_of(first, made, 7.0), 100.0)
    header, reports, _ = perform_with_reports(
        made, [(103.0, NoteOn(60, 80, 1)), (103.3, NoteOff(60, 1))], 110.0, engine=engine
    )
    journal = recorded_take(tmp_path, header, reports)
    assert header.start == 16.0
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))
    notes = mido.MidiFile(TakeFolder(tmp_path).midi(journal.name)).tracks[1]
    assert notes[1].time < 4 * TICKS_PER_BEAT  # the file begins where the take does


def test_a_take_that_came_to_its_end_is_played_again(tmp_path: Path) -> None:
    """After the last chorus a take would be said to be another, for the time that the machine took to end it."""
    keys: dict[str, Any] = {"chart__choruses": 1, "tempo__clock_out": True, "midi__lamp": 50}
    made = performance(play__rate="eighth", **keys)
    engine = made.make_engine(0.1, clocks=takes.clock_config(made.settings, made.chart))
    header, reports, _ = perform_with_reports(made, [], 100.0, lambda: 0.0003, engine)
    journal = recorded_take(tmp_path, header, reports)
    assert journal.totals().seconds == pytest.approx(8.0, abs=0.01)
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))


def test_the_first_difference_is_told(tmp_path: Path) -> None:
    """One would believe that it is the same where it is not."""
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 6.0)
    sent = [report for report in reports if isinstance(report, EventSent)]
    other = [replace(report, event=NoteOn(1, 2, 3)) if report is sent[9] else report for report in reports]
    found = replay_take(recorded_take(tmp_path, header, other), made)
    assert found.same_events == 9
    assert "NoteOn(pitch=1, velocity=2, channel=3)" in found.difference
    missing = [report for report in reports if report is not sent[-1]]
    assert "then nothing, now" in replay_take(recorded_take(tmp_path, header, missing), made).difference
    more = [*reports, sent[-1]]
    assert replay_take(recorded_take(tmp_path, header, more), made).difference.endswith("now nothing")


def test_a_network_that_learned_anew_plays_no_take_of_the_old_one(tmp_path: Path) -> None:
    """Other notes would be passed off as the take."""
    made = performance()
    header, reports, _ = perform_with_reports(made, [], 3.0)
    journal = recorded_take(tmp_path, replace(header, weights="other"), reports)
    with pytest.raises(Unavailable, match=r"modern .* another by now"):
        takes.performance_of(journal.header)


# -- what is on the disk


def test_the_midi_file_has_all_that_was_played_and_heard(tmp_path: Path) -> None:
    """Other programs would get other notes, chords or tempos than were played."""
    made = performance(play__rate="eighth")
    wheel: list[tuple[float, MidiEvent | Command]] = [
        (5.0, PitchBend(100, 1)),
        (5.2, tempo_change(180.0)),
        (5.5, ControlChange(64, 127, 1)),
    ]
    header, reports, output = perform_with_reports(made, [*PHRASE, *wheel], 12.0)
    journal = recorded_take(tmp_path, header, reports)
    path = TakeFolder(tmp_path).midi(journal.name)
    song = mido.MidiFile(path, charset="utf-8")
    assert song.length == pytest.approx(12.0 - header.second, abs=0.01)
    conductor, played, heard = song.tracks
    texts = [message.text for message in conductor if message.type == "text"]
    assert f"seed: {header.seed}" in texts
    assert "play.rate: eighth" in texts
    markers = [message.text for message in conductor if message.type == "marker"]
    assert markers[:5] == ["Dm7", "G7", "Cmaj7", "A7alt", "Dm7"]
    assert [message.name for message in (played[0], heard[0])] == ["played", "heard"]
    assert [tuple(message.bytes()) for message in played if not message.is_meta] == [
        bytes_ for _, bytes_ in _told(output)
    ]
    notes = [message.note for message in heard if message.type == "note_on"]
    assert notes == [
        report.note.pitch for report in reports if isinstance(report, NoteHeard) and isinstance(report.note, NoteOn)
    ]
    assert {message.type for message in heard} >= {"pitchwheel", "control_change"}
    onsets = [round(report.beat * TICKS_PER_BEAT) for report in reports if isinstance(report, EventSent)]
    assert _onsets(played) == onsets


def _told(output: Any) -> list[tuple[float, tuple[int, ...]]]:
    """What was sent, without the note-offs at the end that are sent twice."""
    told = sum(isinstance(report, EventSent) for report in output.reports)
    return list(output.sent[:told])


def _onsets(track: mido.MidiTrack) -> list[int]:
    now, onsets = 0, []
    for message in track:
        now += message.time
        onsets += [] if message.is_meta else [now]
    return onsets


def test_what_is_counted_in_is_in_the_file(tmp_path: Path) -> None:
    """The clicks would all fall together at the top, and the take be longer than its file."""
    made = performance(play__count_in=2, play__rate="eighth", tempo__bpm=100)
    header, reports, _ = perform_with_reports(made, [], 14.0)
    journal = recorded_take(tmp_path, header, reports)
    song = mido.MidiFile(TakeFolder(tmp_path).midi(journal.name))
    assert song.length == pytest.approx(14.0 - header.second, abs=0.01)
    assert journal.totals().seconds == pytest.approx(14.0 - header.second, abs=0.01)
    clicks = [message.time for message in song.tracks[1] if message.type == "note_on" and message.channel == 9]
    assert len(clicks) == 8
    first = next(message for message in song.tracks[0] if message.type == "marker")
    assert first.time == 8 * TICKS_PER_BEAT
    assert not replay_take(journal, made).difference


def test_our_own_reader_learns_from_a_take(tmp_path: Path) -> None:
    """Takes could not be learned from, for want of chords or a melody that is found."""
    header, reports, _ = perform_with_reports(performance(play__rate="eighth"), [], 40.0)
    journal = recorded_take(tmp_path, header, reports)
    music = read_midi(TakeFolder(tmp_path).midi(journal.name).read_bytes(), ReadingOptions())
    assert "played" in music.report.melody
    assert "markers" in music.report.chords or "marker" in music.report.chords
    assert music.report.notes == journal.totals().played


@settings(max_examples=10)
@given(st.integers(1, 100), st.sampled_from([b"", b"{", b"\xff\xfe", b"[1", b'["Woke",1']))
def test_whatever_a_kill_leaves_is_read_up_to_the_last_line(percent: int, torn: bytes) -> None:
    """A power cut or a kill would cost the whole take."""
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
        assert not replay_take(takes.complete_journal(cut, folder), made).difference
        ended = takes.complete_journal(cut, folder)
        assert ended.is_complete
        assert list(ended.reports()) == whole[: kept - 1]
        midi = TakeMidiFile(ended.header)
        for report in whole[: kept - 1]:
            midi.add_report(report)
        assert folder.midi(ended.name).read_bytes() == midi.contents()
        assert len(mido.MidiFile(file=io.BytesIO(midi.contents())).tracks) == 3


@pytest.mark.parametrize(
    ("number", "line", "word"),
    [
        (1, b"{}\n", "not the journal of a take"),
        (1, b'{"format":"sideman take","version":9}\n', "version 9"),
        (1, b'{"format":"sideman take","version":1,"name":"x"}\n', "is not told"),
        (3, b"garbage\n", "not a line of a journal"),
        (3, b"\0\0\0\n", "not a line of a journal"),
        (4, b'["NoteOn",1,2,3]\n', "nothing of that name belongs here"),
        (4, b'["Woke",1,2]\n', "list of 4"),
    ],
)
def test_garbage_is_told_with_file_and_line(number: int, line: bytes, word: str, tmp_path: Path) -> None:
    """A broken file would crash the program, or be played as if it were right."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    path = recorded_take(tmp_path, header, reports).path
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = line
    path.write_bytes(b"".join(lines))
    with pytest.raises(UnreadableInput, match=f":{number}: .*{word}"):
        list(Journal(path).reports())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"second": float("nan")}, "second: nan: from"),
        ({"start": float("inf")}, "start: inf: from 0 to"),
        ({"start": -1.0}, "start: -1.0: from 0 to"),
        ({"second": 1e300}, r"second: 1e\+300: from"),
        ({"seed": -5}, "seed: -5: from 0 to"),
        ({"seed": 10**40}, "seed: 1000.*: from 0 to"),
        ({"settings": None}, "settings: null is not of type dict"),
        ({"chart": {"meter": "4/4", "bars": [[[0, "C"], [float("nan"), "F"], [2, "G"]]], "about": {}}}, "not a chart"),
        ({"chart": {"meter": "4/4", "bars": [[[0, "C"], [10**400, "F"]]], "about": {}}}, "not a chart"),
        ({"chart": {"meter": "4/4", "bars": [[[0, "C"]]], "about": {"tempo": "9", "sections": []}}}, "not a chart"),
    ],
)
def test_a_beginning_that_makes_no_sense_is_told(change: dict[str, Any], word: str, tmp_path: Path) -> None:
    """It would crash whoever reads it, or be waited for until the end of days."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    path = recorded_take(tmp_path, header, reports).path
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([json.dumps({**json.loads(first), **change}).encode() + b"\n", *rest]))
    with pytest.raises(UnreadableInput, match=f":1: {word}"):
        Journal(path)


@pytest.mark.parametrize(
    "change",
    [{"bars": 0.5}, {"bars": -1}, {"start": 7.0}, {"beat": None}, {"beat": -1.0}, {"seconds": None},
     {"seconds": -1.0}, {"played": 1.5}, {"heard": None}, {"played": -1}],
)  # fmt: skip
def test_a_sum_that_makes_no_sense_is_done_again(change: dict[str, Any], tmp_path: Path) -> None:
    """One wrong number would hide all takes, or be believed."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    right = recorded_take(tmp_path, header, reports)
    *lines, last = right.path.read_bytes().splitlines(keepends=True)
    wrong = {"total": {**json.loads(last)["total"], **change}}
    right.path.write_bytes(b"".join([*lines, json.dumps(wrong, separators=(",", ":")).encode() + b"\n"]))
    journal = Journal(right.path)
    assert not journal.is_complete
    assert journal.totals() == right.totals()
    assert takes.complete_journal(journal, TakeFolder(tmp_path)).is_complete
    assert right.path.read_bytes() == b"".join([*lines, last])


def test_nothing_comes_after_the_sum(tmp_path: Path) -> None:
    """What somebody has put there would be lost without a word when the take is looked at."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    journal = recorded_take(tmp_path, header, reports)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join([*lines[:5], lines[-1], *lines[5:-1]]))
    with pytest.raises(UnreadableInput, match=r":6: .*summed up"):
        list(Journal(journal.path).reports())


# -- limits, and disks that refuse


def test_the_files_are_right_at_every_bar_line(tmp_path: Path) -> None:
    """A kill -9 would cost the bars since whenever."""
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 9.0)
    recorder, folder = take_recorder(tmp_path), TakeFolder(tmp_path)
    recorder.start(header)
    begun = checked = 0.0
    for report in reports:
        recorder.record(report)
        if isinstance(report, BarStarted):
            begun = report.beat
        elif isinstance(report, BarPlayed):  # which is when the log has a line of it
            (name,) = folder.names()
            played = [one for one in Journal(folder.journal(name)).reports() if isinstance(one, BarPlayed)]
            assert played[-1] == report
            song = mido.MidiFile(folder.midi(name))
            assert sum(message.time for message in song.tracks[1]) >= begun * TICKS_PER_BEAT
            checked = begun
    assert checked == 16.0


def test_the_oldest_takes_make_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The disk would fill up, or the wrong takes go."""
    header, reports, _ = perform_with_reports(performance(), [], 5.0)
    folder = TakeFolder(tmp_path)
    for day in ("03", "01", "02"):
        name = f"2001-01-{day}-000000-Old"
        folder.journal(name).write_bytes(header.encode() + b"x" * 450_000)
        folder.midi(name).write_bytes(b"")
    stranger = tmp_path / "2001-01-01-000000-Mine.mid"
    stranger.write_bytes(b"x" * 2_000_000)
    with caplog.at_level(logging.INFO):
        journal = recorded_take(tmp_path, header, reports, take_recorder(tmp_path, limit_mb=1))
    assert folder.names() == ["2001-01-02-000000-Old", "2001-01-03-000000-Old", journal.name]
    assert not folder.midi("2001-01-01-000000-Old").exists()
    assert stranger.exists()
    assert "2001-01-01-000000-Old" in caplog.text


def test_the_take_that_is_being_written_is_never_deleted(tmp_path: Path) -> None:
    """A long take would be lost while it is played."""
    header, _, _ = perform_with_reports(performance(), [], 1.0)
    folder = TakeFolder(tmp_path)
    sheet = OpenTake(folder, replace(header, name="2001-01-01-Now"))
    sheet.append(b" " * 2000 + b"\n")
    assert folder.prune(10) == []
    sheet.close()
    assert folder.prune(10) == ["2001-01-01-Now"]


def test_a_take_that_grows_too_large_goes_on_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that records for weeks would fill the disk, whatever the limit says."""
    monkeypatch.setattr("sideman.takes.recorder._MEGABYTE", 40_000)
    made = performance(play__rate="sixteenth", tempo__bpm=300)
    header, reports, _ = perform_with_reports(made, [], 20.0)
    recorded_take(tmp_path, header, reports, take_recorder(tmp_path, limit_mb=1))
    folder = TakeFolder(tmp_path)
    names = folder.names()
    assert len(names) > 1
    assert sum(map(folder.size, names)) < 60_000
    last = Journal(folder.journal(names[-1]))
    assert not last.header.whole
    assert last.header.start % 4 == 0
    with pytest.raises(Unavailable, match="in the middle"):
        takes.engine_at_start(last.header, made)
    first = mido.MidiFile(folder.midi(names[-1]), charset="utf-8")
    assert first.length == pytest.approx(last.totals().seconds, abs=0.1)


def test_a_folder_that_cannot_be_written_is_told_once_and_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log would fill; or the take would be lost although the disk is right again."""
    monkeypatch.setattr("sideman.takes.recorder.RETRY_S", 4.0)
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 24.0)
    place = tmp_path / "takes"
    place.write_text("a file in its place")
    recorder = take_recorder(place)
    recorder.start(header)
    with caplog.at_level(logging.INFO):
        for report in reports:
            if isinstance(report, Advanced) and report.second > 12 and place.is_file():
                place.unlink()
            recorder.record(report)
        recorder.close()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    folder = TakeFolder(place)
    journal = Journal(folder.journal(folder.names()[0]))
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))


def test_a_full_disk_leaves_no_half_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A take would end in the middle of a line, and whatever comes after it be lost."""
    monkeypatch.setattr("sideman.takes.recorder.RETRY_S", 4.0)
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 24.0)
    really, second = os.write, 0.0

    def write(file: int, content: bytes) -> int:
        if not 8 < second < 14:
            return really(file, content)
        if len(content) > 100:
            return really(file, content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", write)
    recorder = take_recorder(tmp_path)
    recorder.start(header)
    for report in reports:
        second = report.second if isinstance(report, Advanced) else second
        recorder.record(report)
    recorder.close()
    assert caplog.text.count("No space left") == 1
    folder = TakeFolder(tmp_path)
    assert replay_take(Journal(folder.journal(folder.names()[0])), made).same_events == sum(
        isinstance(one, EventSent) for one in reports
    )


def test_a_take_whose_files_are_taken_away_goes_on_in_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is played after somebody has tidied up would be written into a file that is gone."""
    monkeypatch.setattr("sideman.takes.recorder.RETRY_S", 4.0)
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 24.0)
    folder, recorder = TakeFolder(tmp_path / "takes"), take_recorder(tmp_path / "takes")
    recorder.start(header)
    gone = False
    for report in reports:
        if isinstance(report, Advanced) and report.second > 6 and not gone:
            gone = True
            for path in folder.path.iterdir():
                path.unlink()
            folder.path.rmdir()
        recorder.record(report)
    recorder.close()
    (name,) = folder.names()
    journal = Journal(folder.journal(name))
    assert not journal.header.whole
    assert 5 < journal.totals().seconds < 20
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def test_more_than_there_is_room_for_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full for days would fill the memory."""
    monkeypatch.setattr("sideman.takes.recorder.MAX_WAITING_BYTES", 5000)
    header, reports, _ = perform_with_reports(performance(play__rate="eighth"), [], 20.0)
    place = tmp_path / "takes"
    place.write_text("a file in its place")
    recorder = take_recorder(place)
    recorder.start(header)
    for report in reports:
        recorder.record(report)
        assert recorder._writer is not None
        assert recorder._writer._waiting_bytes < 10_000
    with pytest.raises((CannotCreate, DiskError)):
        recorder.keep()
    recorder.close()


# -- the last minutes


def test_the_last_minutes_can_be_kept(tmp_path: Path) -> None:
    """The best solo of the evening would be gone, because nobody had pressed record."""
    made = performance()
    header, reports, _ = perform_with_reports(made, PHRASE, 80.0)
    recorder = take_recorder(tmp_path, record=False, minutes=1)
    recorder.start(header)
    folder = TakeFolder(tmp_path)
    for report in reports:
        if isinstance(report, Advanced) and 20 < report.second < 21 and not folder.names():
            assert Path(recorder.keep()).is_file()
        recorder.record(report)
    recorder.keep()
    recorder.close()
    whole, part = (Journal(folder.journal(name)) for name in folder.names())
    assert whole.header.whole
    assert whole.totals().seconds == pytest.approx(20, abs=2)
    assert not replay_take(whole, made).difference
    assert not part.header.whole
    assert part.totals().seconds == pytest.approx(61, abs=3)
    assert mido.MidiFile(folder.midi(part.name)).length == pytest.approx(part.totals().seconds, abs=0.1)
    assert recorder._recent is not None
    assert recorder._recent._bytes < 40_000


def test_without_minutes_nothing_is_remembered(tmp_path: Path) -> None:
    """Whoever switched it off would be recorded all the same."""
    header, reports, _ = perform_with_reports(performance(), [], 5.0)
    recorder = take_recorder(tmp_path, record=False, minutes=0)
    recorder.start(header)
    for report in reports:
        recorder.record(report)
    assert recorder._recent is not None
    assert not recorder._recent._lines
    with pytest.raises(Unavailable, match="capture_minutes"):
        recorder.keep()


def kept(folder: Path, header: TakeHeader, reports: list[Report], minutes: int = 5) -> Journal:
    """What is kept, at the end, of a performance that nobody records."""
    recorder = take_recorder(folder, record=False, minutes=minutes)
    recorder.start(header)
    for report in reports:
        recorder.record(report)
    return Journal(TakeFolder(folder).journal(Path(recorder.keep()).stem))


@pytest.mark.parametrize(
    "command",
    [
        ChangeSettings((("play.temperature", 0.0), ("play.rate", "sixteenth"))),
        ChangeSettings((("play.count_in", 1), ("play.offset_ms", 50))),
        ChangeSettings((("play.seed", 9),)),
        SetMode("duet"),
        SetChart(OTHER),
    ],
)
def test_what_is_kept_whole_begins_as_it_began(command: Command, tmp_path: Path) -> None:
    """Whoever turned a knob could never play again what was kept."""
    made = performance()
    header, reports, _ = perform_with_reports(made, [(3.0, command)], 12.0)
    journal = kept(tmp_path, header, reports)
    assert journal.header.whole
    assert (journal.header.settings, journal.header.chart) == (header.settings, header.chart)
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))


def test_a_take_from_the_middle_begins_as_it_was_then(tmp_path: Path) -> None:
    """It would tell a mode, a seed or a temperature that it was not played with."""
    before: list[tuple[float, MidiEvent | Command]] = [
        (3.0, SetMode("duet")),
        (4.0, ChangeSettings((("play.seed", 9),))),
    ]
    after = (70.0, ChangeSettings((("play.seed", 11), ("play.temperature", 0.5))))
    header, reports, _ = perform_with_reports(performance(play__capture_minutes=1), [*before, after], 80.0)
    began = kept(tmp_path, header, reports, minutes=1).header
    assert not began.whole
    assert (began.seed, began.settings.play.seed) == (9, 9)
    assert began.settings.play.mode == "duet"
    assert began.settings.play.temperature == 1.0


@pytest.mark.parametrize("at_first", [0, 5])
def test_what_was_not_remembered_is_not_passed_off_as_whole(at_first: int, tmp_path: Path) -> None:
    """A take with a hole in it would be said to be everything, and fail to be played again."""
    switches = [
        (second, ChangeSettings((("play.capture_minutes", minutes),))) for second, minutes in ((4.0, 0), (8.5, 5))
    ]
    header, reports, _ = perform_with_reports(performance(play__capture_minutes=at_first), switches, 20.0)
    journal = kept(tmp_path, header, reports, minutes=at_first)
    assert not journal.header.whole
    assert journal.header.start == 20.0
    assert journal.totals().seconds == pytest.approx(10, abs=0.1)
    assert all(report.beat >= 20.0 for report in journal.reports() if isinstance(report, EventSent | BarStarted))


def test_while_it_records_keeping_saves_the_take(tmp_path: Path) -> None:
    """Who asks to keep it would get a second copy, or an error."""
    header, reports, _ = perform_with_reports(performance(), [], 5.0)
    recorder = take_recorder(tmp_path)
    recorder.start(header)
    for report in reports[:-3]:
        recorder.record(report)
    assert Path(recorder.keep()).is_file()
    recorder.close()
    assert len(TakeFolder(tmp_path).names()) == 1


def test_a_new_name_is_found_where_one_is_taken(tmp_path: Path) -> None:
    """Two daemons that start in the same second would write into one file."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    first, second = (recorded_take(tmp_path, header, reports) for _ in range(2))
    assert first.name != second.name
    assert json.loads(second.path.read_bytes().splitlines()[0])["name"] == second.name
    assert not replay_take(second, performance()).difference


def test_a_classic_network_plays_its_takes_again(tmp_path: Path) -> None:
    """Takes of the course's own network could not be had again."""
    made = performance(classic_bundle(), play__rate="phrase")
    header, reports, _ = perform_with_reports(made, PHRASE, 10.0)
    journal = recorded_take(tmp_path, header, reports)
    assert not replay_take(journal, made).difference
    assert replay_take(journal, performance(modern_bundle(), play__rate="phrase")).difference
