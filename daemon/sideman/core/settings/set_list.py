# SPDX-License-Identifier: Apache-2.0
"""A set: songs that are played one after the other, each with its tempo, its key and its choruses.

A song is written as a bandleader calls it: `autumn.chart`, `gig.html#Blue Rain, in Bb, 160 bpm, 3 choruses`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from sideman.core.chart.chart import Chart, ChartError
from sideman.core.chart.text import parse_key, parse_tempo
from sideman.core.settings.types import SettingType
from sideman_models.music.harmony import parse_chord

MAX_SONGS = 200
_MAX_LENGTH = 1000
_PART = re.compile(
    r"(?P<rest>.*\S)\s*,\s*(?:in\s+(?P<key>[A-Ga-g][^,]{0,8})|(?P<bpm>[0-9.]{1,8})\s*bpm|(?P<choruses>[0-9]{1,7})\s*chorus(?:es)?)",
    re.DOTALL,
)

_LOOSE_PART = re.compile(r"[0-9]\s*(?:chorus|bpm)|\sin\s+[A-G][#b]?m?(?=$|[\s,])")


class SetSong(Struct, frozen=True):
    """A song of a set: the `chart` as chart.file names it. What is None is as the chart or the settings say."""

    chart: str
    key: str | None = None
    bpm: float | None = None
    choruses: int | None = None

    @property
    def text(self) -> str:
        """The song as it is written."""
        parts = [f"in {self.key}" if self.key else "", f"{self.bpm:.10g} bpm" if self.bpm else ""]
        parts += [f"{self.choruses} chorus{'' if self.choruses == 1 else 'es'}" if self.choruses else ""]
        return ", ".join(filter(None, [self.chart, *parts]))

    @property
    def name(self) -> str:
        """What it is called: its title after `#`, or the name of its file."""
        return self.chart.rpartition("#")[2].rpartition("/")[2].partition(".")[0] or self.chart

    def in_key(self, chart: Chart) -> Chart:
        """Return the chart in the key of the song, the shorter way up or down; with a warning if that is not sure."""
        if self.key is None:
            return chart
        if not chart.info.key:
            return chart.with_warning(f"it does not name its key: played as written, not in {self.key}")
        own, wanted = parse_chord(chart.info.key), parse_chord(self.key)
        semitones = (wanted.root - own.root + 5) % 12 - 5
        moved = chart.transposed(semitones) if semitones else chart
        if own.quality != wanted.quality:
            return moved.with_warning(f"it is in {chart.info.key}: played in {moved.info.key}, not in {self.key}")
        return moved


def parse_set_song(text: str) -> SetSong:
    """Read a song of a set. Raises ValueError."""
    given: dict[str, object] = {}
    rest = text.strip()
    while match := _PART.fullmatch(rest):
        name = next(name for name in ("key", "bpm", "choruses") if match[name])
        if name in given:
            raise ValueError(f"{text!r}: one key, one tempo and one number of choruses at most")
        try:
            given[name] = {"key": parse_key, "bpm": parse_tempo, "choruses": _choruses}[name](match[name])
        except (ValueError, ChartError) as error:
            raise ValueError(str(error)) from None
        rest = match["rest"]
    if not rest or rest[0] == "," or not rest.isprintable() or len(text) > _MAX_LENGTH:
        raise ValueError
    return SetSong(rest, **given)  # type: ignore[arg-type]


def has_loose_parts(song: SetSong) -> bool:
    """Whether the name of its chart looks as if it had a key, a tempo or a number of choruses in it."""
    return _LOOSE_PART.search(song.chart) is not None


def find_song(songs: Sequence[SetSong], wanted: str, *, by_part: bool = False) -> int | None:
    """Return the number, from 1, of the song that is `wanted`: by number, by chart, or by its title after `#`.

    With `by_part` a part of its name is enough, if no other song has it.
    """
    if wanted.strip().isdecimal() and len(wanted) < 6:
        return int(wanted) if 1 <= int(wanted) <= len(songs) else None
    names = [song.chart.casefold() for song in songs]
    for spellings in (names, [name.rpartition("#")[2] for name in names]):
        if wanted.strip().casefold() in spellings:
            return spellings.index(wanted.strip().casefold()) + 1
    part = wanted.strip().casefold()
    found = [number for number, song in enumerate(songs, 1) if part and part in song.name.casefold()]
    return found[0] if by_part and len(found) == 1 else None


def _choruses(text: str) -> int:
    if not 1 <= int(text) <= 1_000_000:
        raise ValueError(f"{text} choruses: 1 to 1000000")
    return int(text)


def set_list_type() -> SettingType:
    """A list of songs, as a tuple of `SetSong`; one song may stand alone, and null is an empty set."""

    def read(value: object) -> tuple[SetSong, ...]:
        songs = value if isinstance(value, list) else [] if value is None else [value]
        written = [song for song in songs if isinstance(song, str)]
        if len(songs) > MAX_SONGS or len(written) < len(songs):
            raise ValueError
        return tuple(map(parse_set_song, written))

    def write(value: tuple[SetSong, ...]) -> object:
        return [song.text for song in value] or None

    allowed = (
        "null (no set) or a list of up to 200 songs, each a chart as in chart.file, and after commas what is to be "
        "otherwise: in Bb, 160 bpm, 3 choruses"
    )
    return SettingType(allowed, read, None, write, is_list=True)
