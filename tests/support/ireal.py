# SPDX-License-Identifier: Apache-2.0
"""Writes the format of iReal Pro, for the tests of its reader."""

from __future__ import annotations

import html
from urllib.parse import quote

MARK = "1r34LbKcu7"


def scramble(music: str) -> str:
    """Music as iReal Pro writes it in a link: abbreviated and shuffled in blocks of 50 characters."""
    for long, short in (("   ", "XyQ"), (" |", "LZ"), ("| x", "Kcl")):
        music = music.replace(long, short)
    out = ""
    for start in range(0, len(music), 50):
        block = music[start : start + 50]
        left = len(music) - start - 50
        if left >= 2:
            order = [49, 48, 47, 46, 45, *range(5, 10), *range(39, 25, -1), 24, 25, *range(23, 9, -1), *range(40, 45)]
            block = "".join(block[at] for at in [*order, 4, 3, 2, 1, 0])
        out += block
    return MARK + out


def song_text(title: str, music: str, key: str = "F", tempo: int = 120, composer: str = "Nobody") -> str:
    """One song of an irealb link, before quoting."""
    return f"{title}={composer}==Medium Swing={key}=={scramble(music)}=Jazz-Medium Swing={tempo}=3"


def playlist_link(*songs: str, name: str = "") -> str:
    """A link with songs and the name of their playlist."""
    return "irealb://" + quote("===".join([*songs, name]) if name else "===".join(songs))


def html_page(*links: str) -> str:
    """An HTML file such as iReal Pro exports."""
    body = "".join(f'<p><a href="{html.escape(each)}">Some &amp; more</a></p>' for each in links)
    return f"<html><head><title>x</title></head><body>{body}</body></html>"
