# SPDX-License-Identifier: Apache-2.0
"""What properties are tested with: every kind of chord, meter and chart a musician could write."""

from __future__ import annotations

from hypothesis import strategies as st

from sideman.core.chart import Chart, Meter, parse_changes
from sideman_models.harmony import NO_CHORD, QUALITIES, ROOT_NAMES, SHARP_NAMES, Chord, parse_chord

roots = st.sampled_from(sorted({*ROOT_NAMES, *SHARP_NAMES, "Cb", "E#", "Gb"}))


@st.composite
def chord_symbols(draw: st.DrawFn) -> str:
    """A chord as one may write it, with a bass note now and then."""
    quality = draw(st.sampled_from([name for name in QUALITIES if name != "none"]))
    bass = draw(st.none() | roots)
    return draw(roots) + quality + (f"/{bass}" if bass else "")


def chords() -> st.SearchStrategy[Chord]:
    """Any chord at any root, or none."""
    return chord_symbols().map(parse_chord) | st.just(NO_CHORD)


def meters() -> st.SearchStrategy[Meter]:
    """Any meter a chart may have."""
    return st.builds(Meter, st.integers(1, 16), st.sampled_from([1, 2, 4, 8, 16]))


@st.composite
def charts(draw: st.DrawFn) -> Chart:
    """A chart of a few bars, with shared bars, kept chords and repeated bars."""
    meter = draw(meters())
    symbols = st.sampled_from(draw(st.lists(chord_symbols() | st.just("N.C."), min_size=1, max_size=4)))
    words, most = symbols | st.sampled_from("/."), 2 * meter.numerator
    first = [draw(symbols), *draw(st.lists(words, max_size=most - 1))]
    rest = draw(st.lists(st.lists(words, min_size=1, max_size=most) | st.just(["%"]), max_size=8))
    return parse_changes(" | ".join(" ".join(bar) for bar in [first, *rest]), meter, "test")


def written_values() -> st.SearchStrategy[object]:
    """Anything that a configuration file or a command line can give a key, sensible or not."""
    words = st.sampled_from(["auto", "all", "none", "off", "true", "C3-C6", "C6-C3", "4/4", "0/4", "| C7 |", "| H7 |"])
    numbers = st.integers() | st.integers(-(10**400), 10**400) | st.floats() | st.integers(0, 130)
    simple = st.none() | st.booleans() | numbers | words | st.text(max_size=30)
    return simple | st.lists(simple, max_size=2) | st.dictionaries(st.text(max_size=3), simple, max_size=2)
