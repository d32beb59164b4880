# SPDX-License-Identifier: Apache-2.0
"""Files are written whole or not at all, and errors name the path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sideman.core.errors import CannotCreate, ConfigError, NoSuchInput, UnreadableInput
from sideman.files import check_readable, open_file, read_file, write_file
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


def test_a_link_is_refused(tmp_path: Path) -> None:
    """Guards against: `--out` into an unpacked folder, whose links lead to files of the user."""
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "a\nlink").symlink_to(tmp_path / "target")
    with pytest.raises(CannotCreate, match=r"/a\\nlink: cannot be created: a link; name the file that it leads to"):
        write_file(tmp_path / "a\nlink", b"new")
    assert (tmp_path / "target").read_bytes() == b"old"


@pytest.mark.parametrize("read", [open_file, check_readable, lambda path: read_file(path, 8, ConfigError)])
def test_what_cannot_be_read_has_the_same_error_everywhere(read: Callable[[Path], object], tmp_path: Path) -> None:
    """Guards against: another exit status for the same mistake, a pipe that blocks, a name that moves the cursor."""
    os.mkfifo(tmp_path / "a\x1bpipe")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UnreadableInput, match=r"/a\\x1bpipe: not a plain file; save its content to a file first$"):
        read(tmp_path / "a\x1bpipe")
    with pytest.raises(NoSuchInput, match=r"/link: a link to nothing$"):
        read(tmp_path / "link")
    for name in ("none", "no\0name"):
        with pytest.raises(NoSuchInput, match=r"no such file$"):
            read(tmp_path / name)


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
