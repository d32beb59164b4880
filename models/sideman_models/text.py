# SPDX-License-Identifier: Apache-2.0
"""Texts: names that every file and terminal can hold, nearest names, nouns with their counts, and hashes of lines."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable


def printable(name: object) -> str:
    r"""Return a path or text in which unprintable characters are escaped: a newline as `\n`, a raw byte as `\xff`.

    A file name may contain any bytes. Python keeps the bytes that are not UTF-8 as surrogate characters, which cannot
    be written to a file or hashed.
    """
    text = ""
    for letter in str(name):
        if letter.isprintable() or unicodedata.category(letter) == "Zs":
            text += letter
        elif "\udc80" <= letter <= "\udcff":  # the surrogates that Python uses for bytes that are not UTF-8
            text += f"\\x{ord(letter) - 0xDC00:02x}"
        else:
            text += ascii(letter)[1:-1]
    return text


def closest(wanted: str, choices: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the choice whose spelling is nearest to `wanted`; None if all are less similar than `cutoff` (0 to 1)."""
    import difflib  # needed only after a mistake

    return next(iter(difflib.get_close_matches(wanted, list(choices), 1, cutoff)), None)


def count_noun(count: int, noun: str) -> str:
    """Return the count and the noun, with a plural s if needed: `1 bar`, `2 bars`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def sha256_of_lines(lines: Iterable[str]) -> str:
    """Return the sha256 (hexadecimal) of texts that are joined by newlines."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
