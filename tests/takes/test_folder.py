# SPDX-License-Identifier: Apache-2.0
"""The folder of takes: the oldest go first, and never the one that is being written."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from msgspec.structs import replace

from sideman.takes.folder import OpenTake, TakeFolder
from support.fakes import performance
from support.takes import perform_with_reports, recorded_take, replay_take


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


def test_a_taken_name_is_not_used_again(tmp_path: Path) -> None:
    """Guards against two daemons that start in the same second and write into one file."""
    header, reports, _ = perform_with_reports(performance(), [], 3.0)
    first, second = (recorded_take(tmp_path, header, reports) for _ in range(2))
    assert first.name != second.name
    assert json.loads(second.path.read_bytes().splitlines()[0])["name"] == second.name
    assert not replay_take(second, performance()).difference
