# SPDX-License-Identifier: Apache-2.0
"""Files are written whole or not at all, and errors name the path."""

from __future__ import annotations

from pathlib import Path

import pytest

from sideman.files import write_file
from support.processes import run_sideman, write_bundle

FULL = Path("/dev/full")


def render(out: Path, folder: Path) -> tuple[int, str]:
    """Render a bar to `out`. Returns the exit status and the messages."""
    done = run_sideman("render", "--out", str(out), "--bars", "1", "--set", f"model.bundle={write_bundle(folder)}")
    return done.returncode, done.stderr


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    """Guards against: a crash while writing leaves half a file."""
    path = tmp_path / "solo.mid"
    write_file(path, b"old")
    path.chmod(0o640)
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Guards against: writing through a link replaces the link."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.subprocess
@pytest.mark.skipif(not FULL.is_char_device(), reason="no /dev/full here")
def test_a_full_disk_is_an_error_and_nothing_is_replaced(tmp_path: Path) -> None:
    """Guards against: a full disk destroys the old file, or looks like an internal error."""
    status, words = render(FULL, tmp_path)
    assert status == 74
    assert "/dev/full: cannot be written: No space left on device" in words
    assert FULL.is_char_device()


@pytest.mark.subprocess
@pytest.mark.parametrize("place", ["nowhere/solo.mid", "."])
def test_an_impossible_path_is_an_error(place: str, tmp_path: Path) -> None:
    """Guards against: a wrong path that causes a traceback."""
    status, words = render(tmp_path / place, tmp_path)
    assert status == 73
    assert "cannot be created" in words
