# SPDX-License-Identifier: Apache-2.0
"""Recording: complete to the last bar whatever happens to the disk, and never in the way of the music."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import mido
import pytest

from sideman.core.chart.text import parse_changes
from sideman.core.errors import CannotCreate, DiskError, Unavailable
from sideman.core.events import (
    Advanced,
    BarPlayed,
    BarStarted,
    ChangeSettings,
    Command,
    EventSent,
    MidiEvent,
    Report,
    SetChart,
    SetMode,
)
from sideman.core.settings.groups.tempo import COMMON_TIME
from sideman.takes import replay as takes
from sideman.takes.folder import TakeFolder
from sideman.takes.journal import Journal, TakeHeader
from sideman.takes.midi_file import TICKS_PER_BEAT
from sideman.takes.recorder import KEEP_INTERVAL_S, _RecentBars, _TakeWriter
from support.fakes import performance
from support.performances import PHRASE
from support.takes import perform_with_reports, recorded_take, replay_take, take_recorder

OTHER = parse_changes("| Fm7 Bb7 | Ebmaj7 |", COMMON_TIME, "test")


def test_the_files_are_complete_at_every_bar_line(tmp_path: Path) -> None:
    """Guards against a kill -9 that costs more than the bar being played."""
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 9.0)
    recorder, folder = take_recorder(tmp_path, header), TakeFolder(tmp_path)
    started = checked = 0.0
    for report in reports:
        recorder.record(report)
        if isinstance(report, BarStarted):
            started = report.beat
        elif isinstance(report, BarPlayed):  # when the log gets its line
            (name,) = folder.names()
            played = [each for each in Journal(folder.journal(name)).reports() if isinstance(each, BarPlayed)]
            assert played[-1] == report
            song = mido.MidiFile(folder.midi(name))
            assert sum(message.time for message in song.tracks[1]) >= started * TICKS_PER_BEAT
            checked = started
    assert checked == 16.0


def test_a_take_that_grows_too_large_continues_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a service that records for weeks and fills the disk, whatever the limit says."""
    monkeypatch.setattr("sideman.takes.recorder._MEGABYTE", 40_000)
    made = performance(play__rate="sixteenth", tempo__bpm=300)
    header, reports, _ = perform_with_reports(made, [], 20.0)
    recorded_take(tmp_path, header, reports, limit_mb=1)
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


def test_a_folder_that_cannot_be_written_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a log full of warnings, and against losing the take although the disk works again."""
    monkeypatch.setattr("sideman.takes.recorder.RETRY_S", 4.0)
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 24.0)
    place = tmp_path / "takes"
    place.write_text("not a folder")
    recorder = take_recorder(place, header)
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
    """Guards against a take that ends in the middle of a line, so that everything after it is lost."""
    monkeypatch.setattr("sideman.takes.recorder.RETRY_S", 4.0)
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 24.0)
    real_write, second = os.write, 0.0

    def write(file: int, content: bytes) -> int:
        if not 8 < second < 14:
            return real_write(file, content)
        if len(content) > 100:
            return real_write(file, content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", write)
    recorder = take_recorder(tmp_path, header)
    for report in reports:
        second = report.second if isinstance(report, Advanced) else second
        recorder.record(report)
    recorder.close()
    assert caplog.text.count("No space left") == 1
    folder = TakeFolder(tmp_path)
    assert replay_take(Journal(folder.journal(folder.names()[0])), made).same_events == sum(
        isinstance(report, EventSent) for report in reports
    )


def test_a_take_whose_files_are_deleted_continues_in_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against music that is written into a file which somebody has deleted."""
    monkeypatch.setattr("sideman.takes.recorder.RETRY_S", 4.0)
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 24.0)
    folder, recorder = TakeFolder(tmp_path / "takes"), take_recorder(tmp_path / "takes", header)
    is_deleted = False
    for report in reports:
        if isinstance(report, Advanced) and report.second > 6 and not is_deleted:
            is_deleted = True
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


def test_waiting_lines_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a disk that is full for days and fills the memory."""
    monkeypatch.setattr("sideman.takes.recorder.MAX_WAITING_BYTES", 5000)
    header, reports, _ = perform_with_reports(performance(play__rate="eighth"), [], 20.0)
    place = tmp_path / "takes"
    place.write_text("not a folder")
    recorder = take_recorder(place, header)
    for report in reports:
        recorder.record(report)
        assert isinstance(recorder._sink, _TakeWriter)
        assert len(recorder._sink._waiting) < 10_000
    with pytest.raises((CannotCreate, DiskError)):
        recorder.keep()
    recorder.close()


def test_the_last_minutes_can_be_kept(tmp_path: Path) -> None:
    """Guards against losing the best solo of the evening because record was not pressed."""
    made = performance(play__capture_minutes=1)
    header, reports, _ = perform_with_reports(made, PHRASE, 80.0)
    recorder = take_recorder(tmp_path, header, record=False)
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
    assert isinstance(recorder._sink, _RecentBars)
    assert recorder._sink._bytes < 40_000


def test_a_storm_of_requests_keeps_little(tmp_path: Path) -> None:
    """Guards against: a client that asks a thousand times, and a folder full of the same minutes."""
    header, reports, _ = perform_with_reports(performance(play__capture_minutes=1), PHRASE, 31.0)
    recorder, folder = take_recorder(tmp_path, header, record=False), TakeFolder(tmp_path)
    refusals: list[str] = []
    second = 0.0
    for report in reports:
        recorder.record(report)
        second = report.second if isinstance(report, Advanced) else second
        if second > 1:
            try:
                recorder.keep()
            except Unavailable as error:
                refusals.append(str(error))
    assert refusals
    assert all("kept a moment ago" in refusal for refusal in refusals)
    assert 3 <= len(folder.names()) <= 30 / KEEP_INTERVAL_S
    assert all(Journal(folder.journal(name)).header.kept for name in folder.names())


def test_where_nothing_new_was_played_the_last_take_is_the_answer(tmp_path: Path) -> None:
    """Guards against: a take for each press while the music stands."""
    header, reports, _ = perform_with_reports(performance(), PHRASE, 12.0)
    recorder, folder = take_recorder(tmp_path, header, record=False), TakeFolder(tmp_path)
    for report in reports:
        recorder.record(report)
    first = Path(recorder.keep())
    for second in (60.0, 70.0):
        recorder.record(Advanced(second, 100.0, True))
        assert recorder.keep() == str(first)
    assert len(folder.names()) == 1
    folder.delete(first.stem)  # by the musician, who then asks again
    assert Path(recorder.keep()).is_file()


def test_a_storm_of_requests_does_not_wear_out_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a wait for the disk at each request while a take is recorded."""
    header, reports, _ = perform_with_reports(performance(), PHRASE, 31.0)
    recorder = take_recorder(tmp_path, header)
    syncs: list[int] = []
    monkeypatch.setattr("os.fsync", syncs.append)
    paths = set()
    for report in reports:
        recorder.record(report)
        paths.add(recorder.keep())
    assert len(paths) == 1
    assert 0 < len(syncs) <= 3 * 31 / KEEP_INTERVAL_S + 3


def test_with_zero_minutes_nothing_is_remembered(tmp_path: Path) -> None:
    """Guards against recording somebody who has switched it off."""
    header, reports, _ = perform_with_reports(performance(play__capture_minutes=0), [], 5.0)
    recorder = take_recorder(tmp_path, header, record=False)
    for report in reports:
        recorder.record(report)
    assert isinstance(recorder._sink, _RecentBars)
    assert not recorder._sink._lines
    with pytest.raises(Unavailable, match="capture_minutes"):
        recorder.keep()


def keep_take(folder: Path, header: TakeHeader, reports: list[Report]) -> Journal:
    """The take that `keep` saves at the end of a performance that is not recorded."""
    recorder = take_recorder(folder, header, record=False)
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
def test_a_whole_take_begins_with_the_first_settings(command: Command, tmp_path: Path) -> None:
    """Guards against a kept take that cannot be replayed because the player turned a knob."""
    made = performance()
    header, reports, _ = perform_with_reports(made, [(3.0, command)], 12.0)
    journal = keep_take(tmp_path, header, reports)
    assert journal.header.whole
    assert (journal.header.settings, journal.header.chart) == (header.settings, header.chart)
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))


def test_a_partial_take_begins_with_the_settings_of_its_start(tmp_path: Path) -> None:
    """Guards against a take that names a mode, a seed or a temperature it was not played with."""
    before: list[tuple[float, MidiEvent | Command]] = [
        (3.0, SetMode("duet")),
        (4.0, ChangeSettings((("play.seed", 9),))),
    ]
    after = (70.0, ChangeSettings((("play.seed", 11), ("play.temperature", 0.5))))
    header, reports, _ = perform_with_reports(performance(play__capture_minutes=1), [*before, after], 80.0)
    began = keep_take(tmp_path, header, reports).header
    assert not began.whole
    assert (began.seed, began.settings.play.seed) == (9, 9)
    assert began.settings.play.mode == "duet"
    assert began.settings.play.temperature == 1.0


@pytest.mark.parametrize("at_first", [0, 5])
def test_a_take_with_a_gap_is_not_whole(at_first: int, tmp_path: Path) -> None:
    """Guards against a take with a gap that is called whole and then fails to replay."""
    switches = [
        (second, ChangeSettings((("play.capture_minutes", minutes),))) for second, minutes in ((4.0, 0), (8.5, 5))
    ]
    header, reports, _ = perform_with_reports(performance(play__capture_minutes=at_first), switches, 20.0)
    journal = keep_take(tmp_path, header, reports)
    assert not journal.header.whole
    assert journal.header.start == 20.0
    assert journal.totals().seconds == pytest.approx(10, abs=0.1)
    assert all(report.beat >= 20.0 for report in journal.reports() if isinstance(report, EventSent | BarStarted))


def test_keep_saves_the_take_being_recorded(tmp_path: Path) -> None:
    """Guards against a second copy, or an error, for those who ask to keep what is being recorded."""
    header, reports, _ = perform_with_reports(performance(), [], 5.0)
    recorder = take_recorder(tmp_path, header)
    for report in reports[:-3]:
        recorder.record(report)
    assert Path(recorder.keep()).is_file()
    recorder.close()
    assert len(TakeFolder(tmp_path).names()) == 1
