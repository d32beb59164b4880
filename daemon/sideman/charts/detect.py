# SPDX-License-Identifier: Apache-2.0
"""Which kind of chart a file is, told by what it holds rather than by its name; and its contents, if it is not huge."""

from __future__ import annotations

from pathlib import Path

from sideman.charts.ireal import IREAL_LINK, read_ireal
from sideman.core.chart.chart import Chart, ChartError, Meter, parse_changes
from sideman.files import read_file

MAX_CHART_BYTES = 1 << 23
"""A file larger than this (8 MiB) is not read: no chart is, and hardly a score."""
MAX_TEXT_BYTES = 1 << 20
_SCORE_SUFFIXES = (".musicxml", ".mxl", ".xml")


def split_song(named: str) -> tuple[str, str | None]:
    """The file and the song in it that a name such as `tunes.html#Blue Rain` or `tunes.html#3` stands for."""
    file, mark, song = named.rpartition("#")
    return (file, song.strip() or None) if mark and file else (named, None)


def read_chart(path: Path, meter: Meter, song: str | None = None) -> Chart:
    """The chart of a file of any kind.

    `meter` is that of a text which gives none; `song` (a title or a number from 1) chooses one of a playlist's. Raises
    NoSuchInput or NotPermitted for a file that is not to be had, ChartError for one of no sense.
    """
    data = read_file(path, MAX_CHART_BYTES, ChartError)
    if data.startswith((b"MThd", b"RIFF")) or path.suffix.lower() in (".mid", ".midi", ".kar"):
        from sideman.charts.midi import read_midi_chart  # most charts are no MIDI files

        _reject_song(path, song)
        return read_midi_chart(data, str(path))
    if data.startswith(b"PK") or b"<score-" in data[:4096] or path.suffix.lower() in _SCORE_SUFFIXES:
        from sideman.charts.musicxml import read_musicxml

        _reject_song(path, song)
        return read_musicxml(data, str(path))
    text = _decode_text(data, path)
    if IREAL_LINK.search(text) or path.suffix.lower() in (".html", ".htm"):
        return read_ireal(text, str(path), song)
    _reject_song(path, song)
    if len(text) > MAX_TEXT_BYTES:
        raise ChartError(f"{path}: larger than {MAX_TEXT_BYTES >> 20} MiB; is it the right file?")
    return parse_changes(text, meter, str(path))


def _reject_song(path: Path, song: str | None) -> None:
    if song is not None:
        raise ChartError(f"{path}: a chart of one song, not a playlist: leave out '#{song}'")


def _decode_text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ChartError(f"{path}: not text (UTF-8) from line {line} on; is it the right file?") from None
