# SPDX-License-Identifier: Apache-2.0
"""Texts: names that every file and terminal can hold, nearest names, nouns with their counts, and hashes of lines."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import Any, TextIO

from sideman_models.digest import sha256_hex


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


def printable_lines(text: str) -> str:
    r"""Return a text of several lines in which what a terminal could obey is escaped, in JSON's way: `\u001b`.

    Line ends and tabs stay, and so does JSON. Names and titles in the text have to be `printable` before, because a
    line end in them would begin a line.
    """
    if text.isprintable():
        return text
    escaped = (letter if _is_harmless(letter) else json.dumps(letter)[1:-1] for letter in text)
    return "".join(escaped).replace("\x7f", "\\u007f")  # which JSON may leave as it is


def _is_harmless(letter: str) -> bool:
    # Surrogates stand for raw bytes: the stream escapes them.
    return letter in "\n\t" or letter.isprintable() or unicodedata.category(letter) in ("Zs", "Cs")


class PrintableStream:
    """A text stream that lets through only `printable_lines`; `terminal` is the stream behind it."""

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal

    def write(self, text: str) -> int:
        """Write a text."""
        return self.terminal.write(printable_lines(text))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - everything else is the stream's own
        return getattr(self.terminal, name)


def terminal_of(stream: TextIO) -> TextIO:
    """Return the stream behind a `PrintableStream`, for those who draw on a terminal and make all texts printable."""
    return getattr(stream, "terminal", stream)


def closest(wanted: str, choices: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the choice whose spelling is nearest to `wanted`; None if all are less similar than `cutoff` (0 to 1)."""
    import difflib  # needed only after a mistake

    return next(iter(difflib.get_close_matches(wanted, list(choices), 1, cutoff)), None)


def count_noun(count: int, noun: str) -> str:
    """Return the count and the noun, with a plural s if needed: `1 bar`, `2 bars`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def sha256_of_lines(lines: Iterable[str]) -> str:
    """Return the sha256 (hexadecimal) of texts that are joined by newlines."""
    return sha256_hex("\n".join(lines).encode())
