# SPDX-License-Identifier: Apache-2.0
"""The folder of takes: the oldest go first, and never the one that is being written."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from sideman.core.errors import UsageError
from sideman.core.events import Report
from sideman.takes import recorder as recorder_module
from sideman.takes.folder import OpenTake, TakeFolder, is_recording, reading
from sideman.takes.journal import Journal, TakeHeader
from sideman.takes.midi_file import TakeMidiFile
from support.fakes import performance
from support.takes import perform_with_reports, recorded_take, replay_take, take_recorder


def test_the_oldest_takes_are_deleted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Guards against a disk that fills up, or the wrong takes being deleted."""
    header, reports, _ = perform_with_reports(performance(), [], 5.0)
    folder = TakeFolder(tmp_path)
    for day in ("03", "01", "02"):
        name = f"2001-01-{day}-000000-Old"
        folder.journal(name).write_bytes(header.encode() + b"x" * 450_000)
        folder.midi(name).write_bytes(b"")
    stranger = tmp_path / "2001-01-01-000000-Mine.mid"
    stranger.write_bytes(b"x" * 2_000_000)
    with caplog.at_level(logging.INFO):
        journal = recorded_take(tmp_path, header, reports, limit_mb=1)
    assert folder.names() == ["2001-01-02-000000-Old", "2001-01-03-000000-Old", journal.name]
    assert not folder.midi("2001-01-01-000000-Old").exists()
    assert stranger.exists()
    assert "2001-01-01-000000-Old" in caplog.text


def test_the_take_being_written_is_never_deleted(tmp_path: Path) -> None:
    """Guards against the loss of a long take while it is being recorded."""
    header, _, _ = perform_with_reports(performance(), [], 1.0)
    folder = TakeFolder(tmp_path)
    sheet = OpenTake(folder, replace(header, name="2001-01-01-Now"))
    sheet.append(b" " * 2000 + b"\n")
    folder.prune(10)
    assert folder.names() == ["2001-01-01-Now"]
    sheet.close()
    folder.prune(10)
    assert folder.names() == []


def kept_take(folder: Path, header: TakeHeader, reports: list[Report]) -> Journal:
    """The take that is kept from memory at the end of such a performance."""
    recorder = take_recorder(folder, header, record=False)
    for report in reports:
        recorder.record(report)
    return Journal(TakeFolder(folder).journal(Path(recorder.keep()).stem))


def test_recorded_and_kept_takes_never_give_way_to_each_other(tmp_path: Path) -> None:
    """Guards against: a pad that is pressed again and again, or a program, that costs the recordings of the evening."""
    header, reports, _ = perform_with_reports(performance(), [], 5.0)
    folder = TakeFolder(tmp_path)
    recorded = [recorded_take(tmp_path, header, reports).name for _ in range(2)]
    kept = [kept_take(tmp_path, header, reports).name for _ in range(3)]
    folder.prune(1, kept=kept[-1])
    assert folder.names() == [*recorded, kept[-1]]
    folder.prune(folder.size(recorded[0]) + 1)
    assert folder.names() == [recorded[-1], kept[-1]]


def test_files_of_others_and_links_neither_count_nor_go(tmp_path: Path) -> None:
    """Guards against: a planted link to a large file, for which all recordings are deleted; a number that ends all."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    folder = TakeFolder(tmp_path / "takes")
    name = recorded_take(folder.path, header, reports).name
    (tmp_path / "large").write_bytes(bytes(1_000_000))
    folder.journal("link").symlink_to(tmp_path / "large")
    folder.midi(name).unlink()
    folder.midi(name).symlink_to(tmp_path / "large")
    folder.prune(folder.size(name))
    assert name in folder.names()
    assert folder.journal("link").is_symlink()
    planted = json.loads(header.encode()) | {"number": 10**18 - 1}
    folder.journal("planted").write_text(json.dumps(planted, separators=(",", ":")) + "\n")
    if os.geteuid() == 0:
        os.chown(folder.journal("planted"), 4242, 4242)
    newest = ""
    for number in range(2, 4):
        recorded_take(folder.path, header, reports)
        *before, newest = (each for each in folder.names() if each not in ("planted", "link"))
        assert len(before) == number - 1
        assert newest.endswith(f"-Name-{number - 1}")
    folder.prune(folder.size(newest) + folder.size("planted"))
    assert newest in folder.names()
    assert (os.geteuid() == 0) == folder.journal("planted").exists()


def test_only_we_may_lock_a_journal(tmp_path: Path) -> None:
    """Guards against: another user who locks a journal, so that it is never deleted, or counts as being recorded."""
    header, reports, _ = perform_with_reports(performance(), [], 1.0)
    mask = os.umask(0)
    try:
        assert recorded_take(tmp_path, header, reports).path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(mask)


def test_a_clock_that_jumps_back_changes_no_order(tmp_path: Path) -> None:
    """Guards against: a Pi without a clock of its own that deletes the newest takes, and keeps those of last year."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    folder, size = TakeFolder(tmp_path), 0
    old = json.loads(header.encode()) | {"name": "2025-01-01-000000-Old"}
    del old["number"]
    folder.journal(old["name"]).write_text(json.dumps(old) + "\n")
    made = []
    for year in ("2026", "1970", "2027", "1970"):
        date = f"{year}-01-01T00:00:00+00:00"
        made.append(recorded_take(tmp_path, replace(header, date=date), reports).name)
        size = max(size, folder.size(made[-1]))
    assert len(set(made)) == 4
    assert folder.names() == [old["name"], *made]
    assert [Journal(folder.journal(name)).header.number for name in folder.names()] == [0, 1, 2, 3, 4]
    folder.prune(2 * size)
    assert folder.names() == made[2:]


@pytest.mark.parametrize("record", [True, False])
def test_older_takes_stay_until_the_new_one_is_on_the_disk(
    record: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: a power cut between the deletion of the old takes and the last line of the new one."""
    header, reports, _ = perform_with_reports(performance(play__rate="eighth"), [], 20.0)
    folder = TakeFolder(tmp_path)
    make = recorded_take if record else kept_take
    names = [make(tmp_path, header, reports).name for _ in range(2)]
    share = 1 if record else recorder_module._KEPT_SHARE
    monkeypatch.setattr("sideman.takes.recorder._MEGABYTE", 2 * share * max(map(folder.size, names)))
    deleted: list[str] = []

    def delete(self: TakeFolder, name: str) -> None:
        newest = Journal(self.journal(self.names()[-1]))
        assert newest.written_totals is not None
        assert self.midi(newest.name).read_bytes() == TakeMidiFile(newest.header, newest.reports()).contents()
        deleted.append(name)
        real_delete(self, name)

    real_delete = TakeFolder.delete
    monkeypatch.setattr(TakeFolder, "delete", delete)
    recorder = take_recorder(tmp_path, header, record=record, limit_mb=1)
    for report in reports:
        recorder.record(report)
    if not record:
        recorder.keep()
    recorder.close()
    assert deleted
    assert deleted == names[: len(deleted)]
    assert [name for name in folder.names() if name not in names]


def test_a_take_that_is_being_read_is_not_deleted(tmp_path: Path) -> None:
    """Guards against: a replay that breaks off because the recorder deletes its take, or a newer one in its place."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    folder = TakeFolder(tmp_path)
    names = [recorded_take(tmp_path, header, reports).name for _ in range(3)]
    with reading(folder.journal(names[0])), reading(folder.journal(names[0])):
        folder.prune(2 * folder.size(names[0]) + 100)
        assert folder.names() == names
        with pytest.raises(UsageError, match="being read"):
            folder.delete(names[0])
        assert not is_recording(folder.journal(names[0]))
    folder.prune(2 * folder.size(names[0]) + 100)
    assert folder.names() == names[1:]


def test_a_midi_file_of_another_program_is_not_replaced(tmp_path: Path) -> None:
    """Guards against: a song of the musician's that is overwritten because it has the name of a new take."""
    header, _, _ = perform_with_reports(performance(), [], 1.0)
    folder = TakeFolder(tmp_path)
    folder.midi("2001-01-01-Now").write_bytes(b"a song")
    with pytest.raises(FileExistsError):
        OpenTake(folder, replace(header, name="2001-01-01-Now"))
    assert folder.midi("2001-01-01-Now").read_bytes() == b"a song"
    assert not folder.names()


def test_a_taken_name_is_not_used_again(tmp_path: Path) -> None:
    """Guards against two daemons that start in the same second and write into one file."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    first, second = (recorded_take(tmp_path, header, reports) for _ in range(2))
    assert first.name != second.name
    assert json.loads(second.path.read_bytes().splitlines()[0])["name"] == second.name
    assert not replay_take(second, performance()).difference
