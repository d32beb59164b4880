# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies: every kind of chord, chart, value and line that a musician could write or play."""

from __future__ import annotations

from hypothesis import strategies as st

from sideman.core.chart.chart import Chart, Meter
from sideman.core.chart.text import parse_changes
from sideman_models.music.harmony import NO_CHORD, ROOT_NAMES, SHARP_NAMES, Chord, parse_chord
from sideman_models.music.line import LineNote
from sideman_models.music.qualities import QUALITIES
from sideman_models.music.solos import ChordGrid
from sideman_models.music.values import DURATION_GRID, MAX_INTERVAL, IntervalRange, Value

roots = st.sampled_from(sorted({*ROOT_NAMES, *SHARP_NAMES, "Cb", "E#", "Gb"}))


@st.composite
def chord_symbols(draw: st.DrawFn) -> str:
    """A chord symbol, sometimes with a bass note."""
    quality = draw(st.sampled_from([name for name in QUALITIES if name != "none"]))
    bass = draw(st.none() | roots)
    return draw(roots) + quality + (f"/{bass}" if bass else "")


def chords() -> st.SearchStrategy[Chord]:
    """Any chord on any root, or no chord."""
    return chord_symbols().map(parse_chord) | st.just(NO_CHORD)


def meters() -> st.SearchStrategy[Meter]:
    """Any meter a chart may have."""
    return st.builds(Meter, st.integers(1, 16), st.sampled_from([1, 2, 4, 8, 16]))


@st.composite
def charts(draw: st.DrawFn) -> Chart:
    """A chart of a few bars: several chords a bar, held chords, repeated bars and sometimes another meter."""
    meter = draw(meters())
    symbols = st.sampled_from(draw(st.lists(chord_symbols() | st.just("N.C."), min_size=1, max_size=4)))
    words, most = symbols | st.sampled_from("/."), 2 * meter.numerator
    first = [draw(symbols), *draw(st.lists(words, max_size=most - 1))]
    rest = draw(st.lists(st.lists(words, min_size=1, max_size=most) | st.just(["%"]), max_size=8))
    if draw(st.integers(0, 3)) == 0:
        other = draw(meters())
        rest.append([str(other), *draw(st.lists(words, min_size=1, max_size=2 * other.numerator))])
    return parse_changes(" | ".join(" ".join(bar) for bar in [first, *rest]), meter, "test")


def written_values() -> st.SearchStrategy[object]:
    """Any value that a configuration file or command line can give to a key, sensible or not."""
    words = st.sampled_from(["auto", "all", "none", "off", "true", "C3-C6", "C6-C3", "4/4", "0/4", "| C7 |", "| H7 |"])
    numbers = st.integers() | st.integers(-(10**400), 10**400) | st.floats() | st.integers(0, 130)
    simple = st.none() | st.booleans() | numbers | words | st.text(max_size=30)
    return simple | st.lists(simple, max_size=2) | st.dictionaries(st.text(max_size=3), simple, max_size=2)


def modern_values() -> st.SearchStrategy[Value]:
    """Any modern value: a note or a rest."""
    durations = st.sampled_from(DURATION_GRID)
    intervals = st.none() | st.integers(-MAX_INTERVAL, MAX_INTERVAL)
    notes = st.builds(Value, st.sampled_from("CSAX"), durations, intervals)
    return notes | st.builds(Value, st.just("R"), durations)


def classic_values() -> st.SearchStrategy[Value]:
    """Any classic value; the bounds of its window may be in the wrong order."""
    names = "P1 m2 M2 m3 M3 A4 d5 P5 m6 M7 P8 M9 P15 AA1 d-5 P-4 m-3 M-2 m-2 A-1 dd-5"
    spelled = st.sampled_from(names.split())
    windows = st.none() | st.builds(IntervalRange, spelled, spelled)
    return st.builds(Value, st.sampled_from("CSAX"), st.integers(1, 48), windows)


def values() -> st.SearchStrategy[Value]:
    """Any value, modern or classic."""
    return modern_values() | classic_values()


def beat_changes() -> st.SearchStrategy[ChordGrid]:
    """One chord for each beat, some of them repeated."""
    few = st.lists(chords(), min_size=1, max_size=3)
    beats = few.flatmap(lambda some: st.lists(st.sampled_from(some), min_size=1, max_size=24))
    return beats.map(lambda each: ChordGrid(tuple(each)))


@st.composite
def lines(draw: st.DrawFn) -> list[LineNote]:
    """A played line of notes: off the grid, short and long, with pauses; none overlap."""
    notes = []
    onset = draw(st.floats(0, 96))
    for _ in range(draw(st.integers(1, 24))):
        length = draw(st.floats(0.05, 60))
        pause = draw(st.sampled_from([0.0, 0.0, 1.0]) | st.floats(0, 60))
        begins = draw(st.sampled_from([None, False, True]))
        notes.append(LineNote(onset, onset + length, draw(st.integers(0, 127)), begins))
        onset += length + pause
    return notes
