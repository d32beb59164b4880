# SPDX-License-Identifier: Apache-2.0
"""Texts for people: names that every file and terminal can hold, and nouns with their counts."""

from __future__ import annotations

import unicodedata


def printable(name: object) -> str:
    r"""Return a path or text in which unprintable characters are escaped: a newline as `\n`, a raw byte as `\xff`.

    A file name may contain any bytes. Python keeps the bytes that are not UTF-8 as surrogate characters, which cannot
    be written to a file or hashed.
    """
    return "".join(letter if _is_printable(letter) else _escaped(letter) for letter in str(name))


def _is_printable(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # the surrogates that Python uses for bytes that are not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return ascii(letter)[1:-1]


def count_noun(count: int, noun: str) -> str:
    """Return the count and the noun, with a plural s if needed: `1 bar`, `2 bars`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
