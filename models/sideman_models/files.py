# SPDX-License-Identifier: Apache-2.0
"""Reads plain files, text lines and zip archives.

No function here waits for a pipe or reads a device without end: they read only regular files.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from sideman_models.errors import ArchiveError, CorpusError
from sideman_models.limits import ARCHIVE, CORPUS_LINE, CORPUS_TEXT
from sideman_models.text import printable

_MEMBER_START = b"PK\x01\x02"


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
    # Opened without waiting, and then looked at: between a look at its name and the opening it may become a pipe.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        content = file.read(state.st_size + 1) if state.st_size <= max_bytes else b""
    if max(state.st_size, len(content)) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes / (1 << 20):.3g} MiB")
    return content


class ZipReader:
    """Reads members of the zip archive `content`, all of them together at most `max_bytes` once they are unpacked.

    What is unpacked is counted, whatever the archive says of its sizes. Members must be stored or deflated: a few bytes
    that are compressed by another method can fill the memory before they can be counted. Raises `ArchiveError`.
    """

    def __init__(self, content: bytes, max_bytes: int) -> None:
        self._left = self._max_bytes = max_bytes
        if content.count(_MEMBER_START) > ARCHIVE.count:
            raise ArchiveError(f"it has more than {ARCHIVE.count} members")
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(content))
            self.names = self._archive.namelist()
        except Exception as error:  # zipfile raises errors of many types for a broken archive
            raise ArchiveError(f"not a complete zip archive: {printable(error)[:200]}") from error

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """Return a member, of `max_bytes` at most. Raises `ArchiveError`."""
        most = self._left if max_bytes is None else min(max_bytes, self._left)
        shown = printable(name)[:100]
        try:
            method = self._archive.getinfo(name).compress_type
            if method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ArchiveError(f"{shown} is compressed by a method that is not read here; use deflate")
            with self._archive.open(name) as file:
                content = file.read(most + 1)
        except ArchiveError:
            raise
        except Exception as error:
            raise ArchiveError(f"{shown} cannot be unpacked: {printable(error)[:200]}") from error
        if len(content) > most:
            raise ArchiveError(f"{shown} is larger than {most / (1 << 20):.3g} MiB once it is unpacked")
        self._left -= len(content)
        return content


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line of a UTF-8 text file with its number, which starts at 1.

    The file may be compressed with gzip (suffix `.gz`) and may begin with a byte-order mark. Raises `CorpusError`,
    which names the file and the line, if the file cannot be read, is not UTF-8, or goes beyond `limits`.
    """
    name, number, size = printable(path), 0, 0
    try:
        check_regular_file(path)
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(CORPUS_LINE.bytes):
                number, size = number + 1, size + len(line)
                if len(line) == CORPUS_LINE.bytes:
                    raise CorpusError(f"{name}:{number}: longer than {CORPUS_LINE.size_text}")
                if size > CORPUS_TEXT.bytes:
                    raise CorpusError(f"{name}:{number}: the file is larger than {CORPUS_TEXT.size_text}")
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{name}:{number}: not text in UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(f"{name}:{number + 1}: the compressed file is broken here: {error}") from error
    except OSError as error:
        raise CorpusError(f"{name}: cannot be read: {error.strerror}") from error
