# SPDX-License-Identifier: Apache-2.0
"""Detects the format of a chart file by its content, and reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sideman.charts.songs import Song, pick_song
from sideman.core.chart.chart import Chart, ChartError, Meter
from sideman.core.chart.text import parse_changes
from sideman.files import read_file
from sideman_models.errors import ChordError
from sideman_models.limits import CHART, CHART_TEXT
from sideman_models.music.harmony import parse_chord

IREAL_LINK = re.compile(r"ireal(?:b|book)://", re.IGNORECASE)
"""How a link of iReal Pro begins. It stands here so that a chart of another format is recognised without its reader."""
_ABC_TUNE, _ABC_KEY = re.compile(r"^X:[ \t]*\d", re.MULTILINE), re.compile(r"^K:", re.MULTILINE)
_PROBE_LENGTH = 2000
CHART_SUFFIXES = (
    ".chart", ".txt", ".html", ".htm", ".abc", ".mid", ".midi", ".kar", ".musicxml", ".mxl", ".xml"
)  # fmt: skip
"""The files that are looked at in a folder of charts."""
_SCORE_SUFFIXES = (".musicxml", ".mxl", ".xml")


def split_song(named: str) -> tuple[str, str | None]:
    """Split a name such as `tunes.html#Blue Rain` or `tunes.html#3` into the file and the song in it."""
    file, mark, song = named.rpartition("#")
    return (file, song.strip() or None) if mark and file else (named, None)


def read_chart(
    path: Path, meter: Meter, song: str | None = None, before_parsing: Callable[[], None] = lambda: None
) -> Chart:
    """Read a chart file of any format.

    `meter` is for a text that gives none. `song` (a title, a part of one, or a number from 1) chooses a song of
    several. `before_parsing` is called when the file is read, before anything looks at its content. Raises NoSuchInput,
    NotPermitted or ChartError.
    """
    return pick_song(read_songs(path, meter, before_parsing), song, str(path)).read()


def read_songs(path: Path, meter: Meter, before_parsing: Callable[[], None] = lambda: None) -> list[Song]:
    """The songs of a chart file of any format, which are read one by one. See `read_chart`."""
    data = read_file(path, CHART.bytes, ChartError)
    before_parsing()
    if data.startswith((b"MThd", b"RIFF")) or path.suffix.lower() in (".mid", ".midi", ".kar"):
        from sideman.charts.midi import read_midi_chart  # loaded only if it is needed

        return [Song(path.stem, partial(read_midi_chart, data, str(path)))]
    if data.startswith(b"PK") or b"<score-" in data[:4096] or path.suffix.lower() in _SCORE_SUFFIXES:
        from sideman.charts.musicxml import read_musicxml

        return [Song(path.stem, partial(read_musicxml, data, str(path)))]
    text = _decode_text(data, path)
    if IREAL_LINK.search(text) or path.suffix.lower() in (".html", ".htm"):
        from sideman.charts.ireal import ireal_songs

        return ireal_songs(text, str(path))
    if path.suffix.lower() == ".abc" or (_ABC_TUNE.search(text) and _ABC_KEY.search(text)):
        from sideman.charts.abc import abc_songs

        return abc_songs(text, str(path))
    return [Song(path.stem, partial(_read_text, text, meter, path))]


def _read_text(text: str, meter: Meter, path: Path) -> Chart:
    if len(text) > CHART_TEXT.bytes:
        raise ChartError(f"{path}: larger than {CHART_TEXT.size_text}; is it the right file?")
    try:
        return parse_changes(text, meter, str(path))
    except ChartError:
        if _has_chords(text):
            raise
        raise ChartError(f"{path}: this is no chart, such as | Dm7 | G7 | Cmaj7 | % |") from None


def _has_chords(text: str) -> bool:
    """Whether a text with a mistake is a chart: a third of its first words are chords or signs.

    Nothing else is quoted in an error: a file that is no chart may be a secret.
    """
    words = [word for word in re.split(r"[\s|:]+", text[:_PROBE_LENGTH]) if word]
    return sum(map(_is_symbol, words)) * 3 > len(words)


def _is_symbol(word: str) -> bool:
    if word in ("%", "%%", "/", ".", "N.C."):
        return True
    try:
        parse_chord(word)
    except ChordError:
        return False
    return True


def _decode_text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if path.suffix.lower() == ".abc":
            return data.decode("latin-1")
        line = data.count(b"\n", 0, error.start) + 1
        raise ChartError(f"{path}: not text (UTF-8) from line {line} on; is it the right file?") from None
