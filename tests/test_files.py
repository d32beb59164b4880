# SPDX-License-Identifier: Apache-2.0
"""Files whole or not at all, and the errors of a rendering that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from sideman.files import write_file
from support.processes import run_sideman, write_bundle

FULL = Path("/dev/full")


def render(out: Path, folder: Path) -> tuple[int, str]:
    """Render a bar to `out`: the exit status, and what was said of it."""
    done = run_sideman("render", "--out", str(out), "--bars", "1", "--set", f"model.bundle={write_bundle(folder)}")
    return done.returncode, done.stderr


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    """Without it a crash while writing would leave half a file where a good one was."""
    path = tmp_path / "solo.mid"
    write_file(path, b"old")
    path.chmod(0o640)
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Without it writing through a link would cut the link and leave its target old."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.subprocess
@pytest.mark.skipif(not FULL.is_char_device(), reason="no /dev/full here")
def test_a_full_disk_is_said_and_nothing_is_replaced(tmp_path: Path) -> None:
    """Without it a full disk would look like a defect, or destroy what was there."""
    status, words = render(FULL, tmp_path)
    assert status == 74
    assert "/dev/full: cannot be written: No space left on device" in words
    assert FULL.is_char_device()


@pytest.mark.subprocess
@pytest.mark.parametrize("place", ["nowhere/solo.mid", "."])
def test_a_place_where_no_file_can_be_is_said(place: str, tmp_path: Path) -> None:
    """Without it a slip of the pen in the path would end in a traceback."""
    status, words = render(tmp_path / place, tmp_path)
    assert status == 73
    assert "cannot be created" in words
