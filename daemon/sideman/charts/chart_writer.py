# SPDX-License-Identifier: Apache-2.0
"""Writes charts in the formats of chart files: MusicXML, a link of iReal Pro, text. The readers read them back.

A chart is written as it is played, its repeats written out, and as it sounds; only a score has the key that the player
reads besides.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from urllib.parse import quote

from msgspec.structs import replace

from sideman.charts.ireal import SCRAMBLED_MARK, unscramble
from sideman.charts.score_writer import chart_score, musicxml_bytes, name_of
from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, Meter, chord_onsets, make_bar
from sideman.core.chart.styles import STYLES, Style
from sideman.core.chart.text import parse_key, section_name
from sideman.core.settings.schema import Settings
from sideman_models.music.harmony import ROOT_NAMES, Chord

_IREAL_METERS = {
    Meter(*numbers): f"T{numbers[0]}{numbers[1]}"
    for numbers in (
        (2, 2), (3, 2), (2, 4), (3, 4), (4, 4), (5, 4), (6, 4), (7, 4), (3, 8), (5, 8), (6, 8), (7, 8), (9, 8)
    )
} | {Meter(12, 8): "T12"}  # fmt: skip
_IREAL_QUALITIES = frozenset((
    "", "-", "-#5", "-11", "-6", "-69", "-7", "-7b5", "-9", "-^7", "-^9", "-b6", "11", "13", "13#11", "13#9", "13b9",
    "13sus", "5", "6", "69", "7", "7#11", "7#5", "7#9", "7#9#11", "7#9#5", "7#9b5", "7alt", "7b13", "7b13sus", "7b5",
    "7b9", "7b9#11", "7b9#5", "7b9#9", "7b9b13", "7b9b5", "7b9sus", "7sus", "9", "9#11", "9#5", "9b5", "9sus", "^",
    "^13", "^7", "^7#11", "^7#5", "^9", "^9#11", "add9", "h", "h7", "h9", "o", "o7", "sus", "+",
))  # fmt: skip
"""What iReal Pro knows after a root. Other qualities stand between `*`, which it shows as they are."""
_IREAL_NAMES = {"7susb9": "7b9sus", "7susb13": "7b13sus", "7#5b9": "7b9#5", "+^7": "^7#5"}
_IREAL_SECTIONS = {"Intro": "i", "Verse": "v"}


def on_half_beats(chart: Chart) -> Chart:
    """The chart with each chord on the nearest half-beat, because nothing finer can be written in a chart."""
    bars = []
    for bar in chart.bars:
        places = chord_onsets(2 * bar.meter.numerator, bar.meter)
        half, last = bar.meter.quarters / len(places), bar.chords[0][1]
        begins = {min(round(at / half), len(places) - 1): chord for at, chord in bar.chords}
        bars.append(make_bar([last := begins.get(at, last) for at in range(len(places))], places, bar.meter))
    return Chart(tuple(bars), chart.info)


def chart_file_text(chart: Chart) -> str:
    """The chart as the text of a file, with its title, key and tempo."""
    chart = on_half_beats(chart).shown()
    info = chart.info
    tempo = f"{info.tempo:.4g}" if info.tempo else ""
    meter = str(chart.meter)
    headers = {"title": section_name(info.title), "composer": section_name(info.composer), "key": _key_of(info),
               "tempo": tempo, "meter": meter, "style": info.style or ""}  # fmt: skip
    lines = [f"{name}: {text}" for name, text in headers.items() if text]
    return "\n".join([*lines, "", chart.text(), ""])


_IREAL_STYLES: Mapping[Style, tuple[str, str]] = {
    "swing": ("Medium Swing", "Jazz-Medium Swing"), "bossa": ("Bossa Nova", "Jazz-Bossa Nova"),
    "waltz": ("Waltz", "Jazz-Medium Swing"), "ballad": ("Ballad", "Jazz-Ballad Swing"),
    "even": ("Even 8ths", "Jazz-Even 8ths"),
}  # fmt: skip
"""How iReal Pro calls the styles on a chart, and those of its players."""


def in_force(chart: Chart, settings: Settings) -> Chart:
    """The chart with the style and the tempo that the settings ask for."""
    style = settings.play.style if settings.play.style in STYLES else chart.info.style
    return replace(chart, info=replace(chart.info, style=style, tempo=settings.tempo.bpm))


def ireal_link(charts: Iterable[Chart]) -> str:
    """The charts as a link of iReal Pro. Raises ChartError for a meter that iReal Pro does not have."""
    return "irealb://" + "===".join(map(_ireal_song, charts))


def _ireal_song(chart: Chart) -> str:
    """A song as a part of a link, with its style and its tempo."""
    info = chart.info
    sections, music, meter = dict(info.sections), "[", None
    chart = on_half_beats(chart)
    for index, bar in enumerate(chart.bars):
        if bar.meter not in _IREAL_METERS:
            raise ChartError(f"bar {index + 1} is in {bar.meter}, a meter that iReal Pro does not have; write MusicXML")
        music += _ireal_section(sections.get(index, ""))
        music += _IREAL_METERS[bar.meter] if bar.meter != meter else ""
        meter = bar.meter
        music += _ireal_cells(bar) + ("Z" if index == len(chart.bars) - 1 else "|")
    key = parse_key(info.key) if _key_of(info) else ROOT_NAMES[chart.chord_at(0.0).root]
    title, composer = (text.replace("=", " ").strip() for text in (info.title, info.composer))
    style, players = _IREAL_STYLES[info.style or ("waltz" if chart.meter.numerator == 3 else "swing")]
    music = SCRAMBLED_MARK + unscramble(music)  # what scrambles it also unscrambles it
    tempo = f"{info.tempo:.0f}" if info.tempo else "0"
    # No two unused fields stand side by side: with `===` the next song would begin.
    names = (title or "Untitled", composer or " ", "", style, key.replace("m", "-"), "")
    return "=".join(quote(field, safe="") for field in (*names, music, "", players, tempo, "0"))


def ireal_page(charts: Sequence[Chart]) -> str:
    """A page with a link, as iReal Pro exports songs: it is opened where the program is."""
    title = html.escape(", ".join(chart.info.title or "Untitled" for chart in charts))
    link = html.escape(ireal_link(charts))
    head = f'<head><meta charset="utf-8"><title>{title}</title></head>'
    return f'<!DOCTYPE html>\n<html>{head}\n<body><p><a href="{link}">{title}</a></p></body></html>\n'


CHART_WRITERS: Mapping[str, Callable[[Chart, int], bytes]] = {
    "score": lambda chart, transpose: musicxml_bytes(chart_score(on_half_beats(chart), transpose)),
    "ireal": lambda chart, _transpose: ireal_page([chart]).encode(),
    "text": lambda chart, _transpose: chart_file_text(chart).encode(),
}
"""What writes a chart into each kind of file; the number is `midi.transpose`."""


def _key_of(info: ChartInfo) -> str:
    return info.key if info.signature is not None else ""


def _ireal_section(name: str) -> str:
    if name in _IREAL_SECTIONS:
        return f"*{_IREAL_SECTIONS[name]}"
    return f"*{name}" if len(name) == 1 and name in "ABCDEFGH" else ""


def _ireal_cells(bar: Bar) -> str:
    """A cell for each beat of a bar, or each half-beat where a chord needs it: a chord or a blank."""
    chords = {onset: _ireal_chord(chord) for onset, chord in bar.chords}
    beats, half_beats = (chord_onsets(count * bar.meter.numerator, bar.meter) for count in (1, 2))
    onsets = beats if chords.keys() <= set(map(float, beats)) else half_beats
    cells = [chords.get(float(onset), " ") for onset in onsets]
    kept_apart = (cell + "," * (" " not in pair) for pair in pairwise([*cells, " "]) for cell in pair[:1])
    return "".join(kept_apart)  # a comma between two chords is no cell


def _ireal_chord(chord: Chord) -> str:
    if not chord.quality.tones:
        return "n"
    quality = _IREAL_NAMES.get(chord.quality.name, chord.quality.name)
    bass = "" if chord.bass is None else f"/{name_of(chord.bass, chord.text.rpartition('/')[2])}"
    if quality not in _IREAL_QUALITIES:
        # An accidental right after the root would be taken for the root's own.
        quality = f"*({quality})*" if quality[:1] in "b#" else f"*{quality}*"
    return name_of(chord.root, chord.text) + quality + bass
