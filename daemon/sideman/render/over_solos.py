# SPDX-License-Identifier: Apache-2.0
"""Plays with a network over the chords of recorded solos, for `sideman evaluate`.

The real engine plays, with the default settings but `play.rate=phrase`: with its pitch range, its rule for repeated
pitches and its choice of the nearest fitting pitch. We collect the engine's choices at their places on the grid, so
swing and gate, which only change how a note sounds, are not in them. The notes then become values in the same way as
those of the recorded solos.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from sideman.core.chart.chart import Bar, Chart, Meter
from sideman.core.engine import play_through
from sideman.core.events import BarPlayed, Choice
from sideman.core.settings.schema import PlaySettings, Settings
from sideman.playing.assembly import Performance
from sideman_models.music.context import ChordChanges
from sideman_models.music.harmony import Chord
from sideman_models.music.line import LineNote
from sideman_models.music.solos import Piece, Solo, solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle
from sideman_models.network.lstm import NumpyNetwork

RENDER_SETTINGS = Settings(play=PlaySettings(rate="phrase"))


def play_over_solos(
    bundle: Bundle, solos: Sequence[Solo], choruses: int, seed: int = 0, settings: Settings = RENDER_SETTINGS
) -> Iterator[Piece]:
    """Play `choruses` choruses, each over the chords of one solo, one solo after the other.

    A chorus has the length of its solo. Each starts with a new engine, and with the next seed from `seed` on.
    """
    network = NumpyNetwork(bundle.weights)
    for number in range(choruses if solos else 0):
        solo = solos[number % len(solos)]
        chart = chart_of_solo(solo)
        played = _choices(Performance(settings, chart, bundle, network, seed + number), chart.length)
        notes = tuple(_notes(played))
        yield solo_to_piece(Solo(solo.title, bundle.name, notes, solo.changes, solo.bar_ticks))


def _choices(performance: Performance, beats: float) -> Iterator[Choice]:
    """The engine's choices in the first `beats` beats."""
    for due in play_through(performance.make_engine(0.0, beats=beats)):
        if isinstance(due.item, BarPlayed):
            yield from due.item.choices


def _notes(choices: Iterator[Choice]) -> Iterator[LineNote]:
    for choice in choices:
        if choice.pitch is not None:
            starts_phrase = True if choice.value.interval is None else None
            yield LineNote(choice.tick, choice.tick + choice.length, choice.pitch, starts_phrase)


def chart_of_solo(solo: Solo) -> Chart:
    """The chords of a solo as a chart in its meter. The last bar is filled up."""
    meter, bar = _meter(solo.bar_ticks), Fraction(solo.bar_ticks, TICKS_PER_QUARTER)
    count = max(1, math.ceil(solo.changes.length_beats * TICKS_PER_QUARTER / solo.bar_ticks))
    return Chart(tuple(Bar(tuple(_chords(solo.changes, number * bar, bar)), meter) for number in range(count)))


def _meter(bar_ticks: int) -> Meter:
    """A meter whose bars have `bar_ticks` ticks, preferably in quarters. Raises ValueError if there is none."""
    for denominator in (4, 8, 16, 2, 1):
        numerator, rest = divmod(bar_ticks * denominator, 4 * TICKS_PER_QUARTER)
        if not rest and 1 <= numerator <= 16:
            return Meter(numerator, denominator)
    raise ValueError(f"no meter has bars of {bar_ticks} ticks")


def _chords(changes: ChordChanges, start: Fraction, beats: Fraction) -> Iterator[tuple[float, Chord]]:
    """The chords of one bar, each with its onset in beats from the bar line."""
    at = float(start)
    while at < start + beats:
        yield at - float(start), changes.chord_at(at)
        at += max(changes.next_change(at)[1], 1 / TICKS_PER_QUARTER)
