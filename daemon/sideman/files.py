# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the files that a user names, with errors that say what is wrong with which path.

`sideman_models.files` reads a plain file, `sideman_models.writing` writes one whole; here their errors become ours.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sideman.core.errors import CannotCreate, DiskError, NoSuchInput, NotPermitted, SidemanError, UnreadableInput
from sideman_models.files import check_regular_file, read_plain_file
from sideman_models.text import printable
from sideman_models.writing import write_whole


def read_file(path: Path, max_bytes: int, too_large: type[SidemanError]) -> bytes:
    """Return the content of a file that must exist.

    Raises what `open_file` raises, and `too_large` for a file of more than `max_bytes` bytes.
    """
    if str(path) == os.devnull:  # the usual way to say "no file"
        return b""
    with _explain_read_errors(path):
        try:
            return read_plain_file(path, max_bytes)
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            raise too_large(f"{printable(path)}: {error.strerror}; is it the right file?") from None


def open_file(path: Path) -> BinaryIO:
    """Open a plain file that may be too large to be read at once. Raises NoSuchInput, NotPermitted, UnreadableInput."""
    with _explain_read_errors(path):
        check_regular_file(path)  # opening a pipe would block
        return path.open("rb")


def check_readable(*paths: Path) -> None:
    """Check that these are files or folders that can be read. Raises NoSuchInput, NotPermitted, UnreadableInput."""
    for path in paths:
        with _explain_read_errors(path):
            check_regular_file(path)
            path.stat()
            if not os.access(path, os.R_OK):
                raise PermissionError


@contextmanager
def _explain_read_errors(path: Path) -> Iterator[None]:
    """Turn an error while `path` is opened or read into NoSuchInput, NotPermitted or UnreadableInput."""
    name = printable(path)
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: the name contains a NUL
        raise NoSuchInput(f"{name}: {'a link to nothing' if path.is_symlink() else 'no such file'}") from None
    except IsADirectoryError:
        raise NoSuchInput(f"{name}: a folder, not a file") from None
    except PermissionError:
        raise NotPermitted(f"{name}: not permitted to read it") from None
    except OSError as error:
        advice = "; save its content to a file first" if error.errno == errno.EINVAL else ""
        raise UnreadableInput(f"{name}: {error.strerror or error}{advice}") from None


def write_file(path: Path, content: bytes) -> None:
    """Replace the content of a file whole or not at all, see `write_whole`. Raises CannotCreate or DiskError."""
    with explain_write_errors(path):
        write_whole(path, content)


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` while `path` is written into CannotCreate, or into DiskError if the disk fails."""
    try:
        yield
    except OSError as error:
        kinds = FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError
        if isinstance(error, kinds) or error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise CannotCreate(f"{printable(path)}: cannot be created: {error.strerror}") from error
        raise DiskError(f"{printable(path)}: cannot be written: {error.strerror}") from error


def state_folder() -> Path:
    """Return the folder of the saved state: of the systemd unit, else of the user, else of the system."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    base = Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"))  # noqa: PTH111 - never raises
    return base / "sideman" if base.is_absolute() else Path("/var/lib/sideman")
