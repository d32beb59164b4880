# SPDX-License-Identifier: Apache-2.0
"""How many files of each kind are read right: `python tests/support/kinds_table.py COUNT` prints the table.

The files are made of known content, in the spellings in which programs write it: MIDI files (`midi_kinds`), scores
(`scores`), and songs as links of iReal Pro, text and scores that sideman writes itself. The same COUNT makes the same
files, so that the tables of two versions can be compared.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT.parent / "daemon"), str(ROOT.parent / "models")]

from sideman.charts.chart_writer import CHART_WRITERS  # noqa: E402
from sideman.charts.detect import read_chart  # noqa: E402
from sideman.charts.musicxml import read_musicxml  # noqa: E402
from sideman.core.chart.chart import Bar, Chart, ChartInfo, Meter  # noqa: E402
from sideman.core.chart.styles import STYLES  # noqa: E402
from sideman_models.music.harmony import chord_on, parse_chord  # noqa: E402
from sideman_models.music.qualities import QUALITIES  # noqa: E402
from support.midi_kinds import KINDS, faults  # noqa: E402
from support.scores import CHORD_SPELLINGS, FORMS, ROOTS, SPELLINGS, Song, song_bars, write_score  # noqa: E402

FOUR = Meter(4, 4)
Trial = Callable[[random.Random], bool]
"""Makes a file and says whether it is read right."""


def is_score_right(choice: str, way: str, rng: random.Random) -> bool:
    """A score with this way of a choice, the others as the schema describes them."""
    chords = tuple((rng.choice([*CHORD_SPELLINGS]), rng.randrange(8), rng.choice([*ROOTS])) for _ in range(12))
    song = Song(rng.choice([*FORMS]), (2, 3, 2, 2), chords)
    how = {each: ways[0] for each, ways in SPELLINGS.items()} | {choice: way}
    chart = read_musicxml(write_score(song, how), "x.xml")
    expected = [[parse_chord(symbol) for symbol in bar] for bar in song_bars(song)]
    kept = [[each for at, each in enumerate(bar) if at == 0 or each != bar[at - 1]] for bar in expected]
    return [[chord for _, chord in bar.chords] for bar in chart.bars] == kept


def is_chart_right(kind: str, rng: random.Random) -> bool:
    """A chart that sideman writes, with its key, tempo and style."""
    qualities = [quality for quality in QUALITIES.values() if quality.tones]
    chords = [chord_on(rng.randrange(12), rng.choice(qualities), None) for _ in range(16)]
    style = rng.choice(STYLES)
    info = ChartInfo("Ours", "us", rng.choice(["Bb", "F#m", "C", "Ebm"]), float(rng.randint(40, 300)), style=style)
    chart = Chart(tuple(Bar(((0.0, chord),), FOUR) for chord in chords), info)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, {"score": "x.musicxml", "ireal": "x.html", "text": "x.txt"}[kind])
        path.write_bytes(CHART_WRITERS[kind](chart, rng.randint(-12, 12)))
        again = read_chart(path, FOUR)
    same_key = parse_chord(again.info.key) == parse_chord(info.key)
    return again == chart and same_key and (again.info.tempo, again.info.style) == (info.tempo, style)


def trials() -> Iterator[tuple[str, Trial]]:
    """Yield the kinds of files."""
    for name, make in KINDS.items():
        yield f"MIDI: {name.replace('_', ' ')}", lambda rng, make=make: not faults(make(rng))  # type: ignore[misc]
    for choice, ways in SPELLINGS.items():
        for way in ways:
            yield f"score: {choice}: {way}", partial(is_score_right, choice, way)
    for kind in CHART_WRITERS:
        yield f"written by sideman: {kind}", partial(is_chart_right, kind)


def row(name: str, trial: Trial, count: int) -> str:
    """The row of a kind; a file that is refused is not read right."""
    right, began = 0, time.perf_counter()
    for number in range(count):
        try:
            right += trial(random.Random(f"{name} {number}"))
        except Exception as error:  # noqa: BLE001 - it is counted
            sys.stderr.write(f"{name} {number}: {error}\n")
    return f"| {name} | {count} | {right} | {(time.perf_counter() - began) / count * 1000:.0f} |"


def main(count: int) -> None:
    """Print the table."""
    sys.stdout.write("| kind | files | read right | ms a file |\n| --- | --- | --- | --- |\n")
    for name, trial in trials():
        sys.stdout.write(f"{row(name, trial, count)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
