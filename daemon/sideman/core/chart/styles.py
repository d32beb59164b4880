# SPDX-License-Identifier: Apache-2.0
"""The styles of a band, and which of them the style on a chart means: `Medium Up Swing` is swing, `Samba` is bossa."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args

Style = Literal["swing", "bossa", "waltz", "ballad", "even"]
STYLES: tuple[Style, ...] = get_args(Style)
STRAIGHT_STYLES = ("bossa", "even")
"""Styles without swing."""

STYLE_WORDS: Mapping[Style, tuple[str, ...]] = {
    "waltz": ("waltz", "valse"),
    "ballad": ("ballad", "bolero"),
    "bossa": (
        "bossa", "samba", "latin", "cha cha", "rumba", "mambo", "salsa", "calypso", "afro", "choro", "baiao", "tango",
        "beguine",
    ),
    "swing": (
        "swing", "shuffle", "blues", "bop", "bebop", "jazz", "dixieland", "two beat", "stride", "ragtime", "big band",
    ),
    "even": (
        "even", "straight", "rock", "pop", "funk", "soul", "rnb", "reggae", "disco", "fusion", "hip hop", "gospel",
        "8ths", "16ths", "eighths",
    ),
}  # fmt: skip
"""The words of each style. The first style with a word of the text is the one that it means."""


def style_of(text: str) -> Style | None:
    """Return the style that the text on a chart means; None for one that is not known."""
    plain = " ".join(text[:200].casefold().replace("-", " ").replace("_", " ").split())
    return next(
        (style for style, words in STYLE_WORDS.items() if re.search(rf"\b(?:{'|'.join(words)})\b", plain)), None
    )


def style_list() -> str:
    """Return the styles as an error message lists them."""
    return f"{', '.join(STYLES[:-1])} or {STYLES[-1]}"
