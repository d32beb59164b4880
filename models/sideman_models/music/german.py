# SPDX-License-Identifier: Apache-2.0
"""Chord symbols in German letters: H is B, B is Bb, Fis is F#, Es is Eb.

A single symbol such as `B7` does not say which letters it is written in; the other symbols of its file do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sideman_models.errors import ChordError
from sideman_models.music.harmony import parse_chord

_NAME = re.compile(r"^([A-H])(is|es|s(?!us))?|(?<=/)([A-Ha-h])(is|es|s)?(?=[b#♭♯]?$)")
_ENOUGH = 2
"""How many signs of German letters are needed: one H with more behind it (`H7`), or two of the others (`H`, `Es`)."""


def from_german(symbol: str) -> str:
    """Return a symbol in German letters in English ones. `Bb`, which Germans write too, stays."""

    def english(match: re.Match[str]) -> str:
        letter, change = (match[1] or match[3]).upper(), match[2] or match[4] or ""
        is_plain_b = letter == "B" and symbol[match.end() : match.end() + 1] not in ("b", "♭", "#", "♯")
        accidental = "#" if change == "is" else "b" if change or is_plain_b else ""
        return letter.replace("H", "B") + accidental

    return _NAME.sub(english, symbol)


def is_german(symbols: Iterable[str]) -> bool:
    """Whether enough of the symbols are chords in German letters and in no other ones."""
    signs = 0
    for symbol in symbols:
        if ("H" in symbol or "h" in symbol.partition("/")[2] or "s" in symbol) and not _is_chord(symbol):
            signs += _is_chord(from_german(symbol)) * (2 if symbol[0] == "H" and len(symbol) > 1 else 1)
            if signs >= _ENOUGH:
                return True
    return False


def _is_chord(symbol: str) -> bool:
    try:
        parse_chord(symbol)
    except ChordError:
        return False
    return True
