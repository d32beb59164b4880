# SPDX-License-Identifier: Apache-2.0
"""Writing a file whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sideman.core.errors import CannotCreate, DiskError


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` into what it means for `path`: `CannotCreate`, or `DiskError` where the disk fails."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise CannotCreate(f"{path}: cannot be created: {error.strerror}") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise CannotCreate(f"{path}: cannot be created: {error.strerror}") from error
        raise DiskError(f"{path}: cannot be written: {error.strerror}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Make `content` the contents of `path`: after a full disk or a power cut the old file is still there.

    A device or pipe is written to as it is. Raises `OSError`.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = path.resolve()
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as fresh:
        try:
            fresh.write(content)
            fresh.flush()
            os.fsync(fresh.fileno())
            os.fchmod(fresh.fileno(), _mode(path))
            Path(fresh.name).replace(path)
        except BaseException:
            Path(fresh.name).unlink(missing_ok=True)
            raise


def _mode(path: Path) -> int:
    """What the file's mode is, or would be if it were made the plain way."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
