# SPDX-License-Identifier: Apache-2.0
"""The lines of a text file, with one clear error for whatever is not one; and what is no plain file at all."""

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
    """Raises `OSError` for what would be waited for, or never end, when it is read: a pipe, a socket, a device."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "not a plain file")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a text file, which may be gzipped and begin with a byte-order mark.

    Raises `CorpusError` naming file and line.
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
