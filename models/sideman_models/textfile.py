# SPDX-License-Identifier: Apache-2.0
"""The lines of a text file, with one clear error for whatever is not one."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from sideman_models.errors import CorpusError

_LONGEST_LINE = 1 << 26


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a text file, which may be gzipped. Raises `CorpusError` naming file and line."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise CorpusError(f"{path}:{number}: longer than {_LONGEST_LINE >> 20} MiB")
                yield number, line.decode()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}:{number}: not text in UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(f"{path}:{number + 1}: the compressed file is broken here: {error}") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
