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
    """Return the song that is `wanted` (see `pick_title`); without it the first. ChartError names `source`."""
    titles = [song.title for song in songs]
    return songs[0 if wanted is None else pick_title(titles, wanted, source, f"sideman charts {source}")]


def pick_title(titles: Sequence[str], wanted: str, source: str, command: str) -> int:
    """Return the index of the title that is `wanted`: a number from 1, a title, or a part of one.

    ChartError names `source`, and the titles that may be meant, or else the `command` that lists them. A title counts
    before a part of one; upper and lower case, blanks and punctuation are the same.
    """
    if re.fullmatch(r"[0-9]{1,6}", wanted) and 1 <= int(wanted) <= len(titles):
        return int(wanted) - 1
    plain_titles, plain = [_plain(title) for title in titles], _plain(wanted)
    if plain in plain_titles:
        return plain_titles.index(plain)
    found = {title: at for at, title in reversed(list(enumerate(plain_titles))) if plain and plain in title}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        many = f"{source}: {len(found)} of its songs have {wanted!r} in their titles: {_named(titles, found.values())}"
        raise ChartError(f"{many}; give more of the title, or the number")
    import difflib  # needed only after a mistake

    near = difflib.get_close_matches(plain, plain_titles, _MOST_NAMED, 0.5)
    nearest = f"the nearest are {_named(titles, map(plain_titles.index, dict.fromkeys(near)))}" if near else ""
    count = f"{len(titles)} songs, but none" if len(titles) > 1 else "one song, which"
    advice = nearest or f"see them all with: {command}"
    raise ChartError(f"{source}: it has {count} is{'' if len(titles) > 1 else ' not'} {wanted!r}; {advice}")


def _plain(title: str) -> str:
    return "".join(letter for letter in title.casefold() if letter.isalnum()) or title.casefold().strip()


def _named(titles: Sequence[str], numbers: Iterable[int]) -> str:
    at = sorted(numbers)
    names = [f"{number + 1} {printable(titles[number])[:_MAX_TITLE_LENGTH]!r}" for number in at[:_MOST_NAMED]]
    return ", ".join(names) + (f" and {len(at) - _MOST_NAMED} more" if len(at) > _MOST_NAMED else "")
