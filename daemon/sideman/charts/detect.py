# SPDX-License-Identifier: Apache-2.0
"""Detects the format of a chart file by its content, and reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from sideman.core.chart.chart import Chart, ChartError, Meter
from sideman.core.chart.text import parse_changes
from sideman.files import read_file
from sideman_models.errors import ChordError
from sideman_models.limits import CHART, CHART_TEXT
from sideman_models.music.harmony import parse_chord

IREAL_LINK = re.compile(r"ireal(?:b|book)://", re.IGNORECASE)
"""How a link of iReal Pro begins. It stands here so that a chart of another format is recognised without its reader."""
_PROBE_LENGTH = 2000
_SCORE_SUFFIXES = (".musicxml", ".mxl", ".xml")


def split_song(named: str) -> tuple[str, str | None]:
    """Split a name such as `tunes.html#Blue Rain` or `tunes.html#3` into the file and the song in it."""
    file, mark, song = named.rpartition("#")
    return (file, song.strip() or None) if mark and file else (named, None)


def read_chart(
    path: Path, meter: Meter, song: str | None = None, before_parsing: Callable[[], None] = lambda: None
) -> Chart:
    """Read a chart file of any format.

    `meter` is for a text that gives none. `song` (a title, or a number from 1) chooses a song of a playlist.
    `before_parsing` is called when the file is read, before anything looks at its content. Raises NoSuchInput,
    NotPermitted or ChartError.
    """
    data = read_file(path, CHART.bytes, ChartError)
    before_parsing()
    if data.startswith((b"MThd", b"RIFF")) or path.suffix.lower() in (".mid", ".midi", ".kar"):
        from sideman.charts.midi import read_midi_chart  # loaded only if it is needed

        chart = read_midi_chart(data, str(path))
    elif data.startswith(b"PK") or b"<score-" in data[:4096] or path.suffix.lower() in _SCORE_SUFFIXES:
        from sideman.charts.musicxml import read_musicxml

        chart = read_musicxml(data, str(path))
    elif IREAL_LINK.search(text := _decode_text(data, path)) or path.suffix.lower() in (".html", ".htm"):
        from sideman.charts.ireal import read_ireal

        return read_ireal(text, str(path), song)
    elif len(text) > CHART_TEXT.bytes:
        raise ChartError(f"{path}: larger than {CHART_TEXT.size_text}; is it the right file?")
    else:
        try:
            chart = parse_changes(text, meter, str(path))
        except ChartError:
            if _has_chords(text):
                raise
            raise ChartError(f"{path}: this is no chart, such as | Dm7 | G7 | Cmaj7 | % |") from None
    if song is not None:
        raise ChartError(f"{path}: it has one song and is no playlist: leave out '#{song}'")
    return chart


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
        line = data.count(b"\n", 0, error.start) + 1
        raise ChartError(f"{path}: not text (UTF-8) from line {line} on; is it the right file?") from None
