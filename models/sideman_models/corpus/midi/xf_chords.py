# SPDX-License-Identifier: Apache-2.0
"""Chords in Yamaha's XF format: a meta event of bytes, which keyboards write with the songs that they record.

The data is `43 7B 01`, root, type, root and type of the bass. The upper half of a root is its accidental (3 is none, 2
a flat, 4 a sharp), the lower half its letter (1 is C, 7 is B); 7F is none.
"""

from __future__ import annotations

from sideman_models.music.harmony import ROOT_NAMES

XF_CHORD = "XF chord"
"""The kind of text event that such a chord becomes: its text is the symbol."""
_HEAD = b"\x43\x7b\x01"
_LETTERS = (0, 2, 4, 5, 7, 9, 11)
_NO_CHORD_TYPE = 34
_TYPES = (
    "", "6", "^7", "^7#11", "add9", "^9", "69", "+", "-", "-6", "-7", "-7b5", "-add9", "-9", "-11", "-^7", "-^9", "o",
    "o7", "7", "7sus", "7b5", "9", "7#11", "13", "7b9", "7b13", "7#9", "^7#5", "7#5", "5", "5", "sus", "sus2",
)  # fmt: skip
"""How a symbol writes each type; that of two roots an octave apart (30) is nearest to the power chord."""


def xf_chord_text(data: bytes) -> str | None:
    """Return the symbol of the chord in the data of a meta event; None if it is another event.

    A chord whose root or type is not known is a text that is no symbol.
    """
    if not data.startswith(_HEAD) or len(data) < len(_HEAD) + 2:
        return None
    root_byte, kind, *bass = data[len(_HEAD) : len(_HEAD) + 3]
    root = _pitch_class(root_byte)
    if kind == _NO_CHORD_TYPE:
        return "N.C."
    if root is None or kind >= len(_TYPES):
        return f"XF chord of root {root_byte}, type {kind}"
    below = _pitch_class(bass[0]) if bass else None
    return ROOT_NAMES[root] + _TYPES[kind] + (f"/{ROOT_NAMES[below]}" if below not in (None, root) else "")


def _pitch_class(byte: int) -> int | None:
    accidental, letter = byte >> 4, byte & 15
    return (_LETTERS[letter - 1] + accidental - 3) % 12 if 1 <= letter <= 7 and accidental <= 6 else None
