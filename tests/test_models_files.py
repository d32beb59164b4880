# SPDX-License-Identifier: Apache-2.0
"""Reading plain files (sideman_models.files) and writing files whole (sideman_models.writing)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sideman_models.files import read_plain_file
from sideman_models.writing import write_whole

FULL = Path("/dev/full")


def test_a_file_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    """Guards against: a private file that becomes readable by everybody, or a temporary file that stays."""
    path = tmp_path / "solo.mid"
    write_whole(path, b"old")
    path.chmod(0o640)
    write_whole(path, b"new", sync=False)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    """Guards against: a file that other users and programs cannot read, as temporary files are by default."""
    (tmp_path / "plain").write_bytes(b"")
    write_whole(tmp_path / "whole", b"")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("step", ["os.fsync", "os.replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Guards against: a full disk that destroys a good file, or leaves a temporary one beside it."""
    path = tmp_path / "bundle"
    write_whole(path, b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(step, fail)
        with pytest.raises(OSError, match="No space"):
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not FULL.is_char_device(), reason="no /dev/full here")
def test_a_device_is_written_to_directly() -> None:
    """Guards against: a device file that is replaced by a regular file."""
    with pytest.raises(OSError, match="No space"):
        write_whole(FULL, b"new")
    assert FULL.is_char_device()


def test_a_pipe_and_a_file_that_is_too_large_are_refused(tmp_path: Path) -> None:
    """Guards against: a program that waits for a pipe without end, or fills the memory with a wrong file."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a plain file"):
        read_plain_file(tmp_path / "pipe", 8)
    (tmp_path / "large").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(OSError, match="larger than 1 MiB") as refusal:
        read_plain_file(tmp_path / "large", 1 << 20)
    assert refusal.value.errno == errno.EFBIG
    assert len(read_plain_file(tmp_path / "large", 1 << 21)) == (1 << 20) + 1
