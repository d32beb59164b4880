# SPDX-License-Identifier: Apache-2.0
"""Reads plain files and text lines.

No function here waits for a pipe or reads a device without end: they read only regular files.
"""

from __future__ import annotations

import errno
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from sideman_models.errors import CorpusError
from sideman_models.text import printable

_MAX_LINE_BYTES = 1 << 26


def check_regular_file(path: Path) -> None:
    """Refuse a pipe, a socket or a device: reading it could block, or never end.

    A path that does not exist and a folder pass, because opening them fails with a clear error of its own. Raises
    `OSError`.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "not a plain file")


def read_plain_file(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Raises `OSError` if the file cannot be read, is not a regular file, or is larger than `max_bytes` (errno `EFBIG`).
    `OSError.strerror` says which, without the path.
    """
    check_regular_file(path)
    if path.stat().st_size > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes / (1 << 20):.3g} MiB")
    return path.read_bytes()


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line of a UTF-8 text file with its number, which starts at 1.

    The file may be compressed with gzip (suffix `.gz`) and may begin with a byte-order mark. Raises `CorpusError`,
    which names the file and the line, if the file cannot be read, is not UTF-8, or has a line of 64 MiB or more.
    """
    name, number = printable(path), 0
    try:
        check_regular_file(path)
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(_MAX_LINE_BYTES):
                number += 1
                if len(line) == _MAX_LINE_BYTES:
                    raise CorpusError(f"{name}:{number}: longer than {_MAX_LINE_BYTES >> 20} MiB")
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{name}:{number}: not text in UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(f"{name}:{number + 1}: the compressed file is broken here: {error}") from error
    except OSError as error:
        raise CorpusError(f"{name}: cannot be read: {error.strerror}") from error
