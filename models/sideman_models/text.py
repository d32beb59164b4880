# SPDX-License-Identifier: Apache-2.0
"""Words for people: names that any file and terminal can take, and things that are counted."""

from __future__ import annotations

import unicodedata


def printable(name: object) -> str:
    r"""A path or a text with what cannot be shown or encoded written out: a newline as `\n`, a byte as `\xff`.

    A file's name may be any bytes: those that are not UTF-8 come as surrogates, which no file or hash accepts.
    """
    return "".join(letter if _is_printable(letter) else _escaped(letter) for letter in str(name))


def _is_printable(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # how Python keeps a byte that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return ascii(letter)[1:-1]


def count_noun(count: int, noun: str) -> str:
    """`1 bar`, `2 bars`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
