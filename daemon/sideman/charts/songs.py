# SPDX-License-Identifier: Apache-2.0
"""The songs of a file, of which a musician names one: by its number, its title or a part of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from sideman.core.chart.chart import Chart, ChartError
from sideman_models.text import printable

_MOST_NAMED = 5
_MAX_TITLE_LENGTH = 60


class Song(Struct, frozen=True):
    """A song of a file: its title, and what reads its chart. `read` raises ChartError."""

    title: str
    read: Callable[[], Chart]


def pick_song(songs: Sequence[Song], wanted: str | None, source: str) -> Song:
    """Return the song that is `wanted`: a number from 1, a title, or a part of one; without it the first.

    ChartError names `source`, and the songs that may be meant. A title counts before a part of one; upper and lower
    case, blanks and punctuation are the same.
    """
    if wanted is None:
        return songs[0]
    if re.fullmatch(r"[0-9]{1,6}", wanted) and 1 <= int(wanted) <= len(songs):
        return songs[int(wanted) - 1]
    titles, plain = [_plain(song.title) for song in songs], _plain(wanted)
    if plain in titles:
        return songs[titles.index(plain)]
    found = {title: at for at, title in reversed(list(enumerate(titles))) if plain and plain in title}
    if len(found) == 1:
        return songs[next(iter(found.values()))]
    if found:
        many = f"{source}: {len(found)} of its songs have {wanted!r} in their titles: {_named(songs, found.values())}"
        raise ChartError(f"{many}; give more of the title, or the number")
    import difflib  # needed only after a mistake

    near = difflib.get_close_matches(plain, titles, _MOST_NAMED, 0.5)
    nearest = f"the nearest are {_named(songs, map(titles.index, dict.fromkeys(near)))}" if near else ""
    count = f"{len(songs)} songs, but none" if len(songs) > 1 else "one song, which"
    advice = nearest or f"see them all with: sideman charts {source}"
    raise ChartError(f"{source}: it has {count} is{'' if len(songs) > 1 else ' not'} {wanted!r}; {advice}")


def _plain(title: str) -> str:
    return "".join(letter for letter in title.casefold() if letter.isalnum()) or title.casefold().strip()


def _named(songs: Sequence[Song], numbers: Iterable[int]) -> str:
    at = sorted(numbers)
    names = [f"{number + 1} {printable(songs[number].title)[:_MAX_TITLE_LENGTH]!r}" for number in at[:_MOST_NAMED]]
    return ", ".join(names) + (f" and {len(at) - _MOST_NAMED} more" if len(at) > _MOST_NAMED else "")
