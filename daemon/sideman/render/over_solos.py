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
from sideman.core.events import BarPlayed
from sideman.core.settings.schema import PlaySettings, Settings
from sideman.playing.assembly import Performance
from sideman_models.music.line import LineNote
from sideman_models.music.solos import Piece, Solo, solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle
from sideman_models.network.lstm import NumpyNetwork

RENDER_SETTINGS = Settings(play=PlaySettings(rate="phrase"))


def play_over_solos(bundle: Bundle, solos: Sequence[Solo], choruses: int, seed: int = 0) -> Iterator[Piece]:
    """Play `choruses` choruses, each over the chords of one solo, one solo after the other.

    A chorus has the length of its solo. Each starts with a new engine, and with the next seed from `seed` on.
    """
    network = NumpyNetwork(bundle.weights)
    for number in range(choruses if solos else 0):
        solo = solos[number % len(solos)]
        chart = chart_of_solo(solo)
        performance = Performance(RENDER_SETTINGS, chart, bundle, network, seed + number)
        engine = performance.make_engine(0.0, beats=chart.length)
        bars = [due.item for due in play_through(engine) if isinstance(due.item, BarPlayed)]
        notes = [
            LineNote(each.tick, each.tick + each.length, each.pitch, True if each.value.interval is None else None)
            for bar in bars
            for each in bar.choices
            if each.pitch is not None
        ]
        yield solo_to_piece(Solo(solo.title, bundle.name, tuple(notes), solo.changes, solo.bar_ticks))


def chart_of_solo(solo: Solo) -> Chart:
    """The chords of a solo as a chart in its meter. The last bar is filled up."""
    meter, bar = _meter(solo.bar_ticks), Fraction(solo.bar_ticks, TICKS_PER_QUARTER)
    count = max(1, math.ceil(solo.changes.length_beats * TICKS_PER_QUARTER / solo.bar_ticks))
    bars: list[Bar] = []
    for start in (number * bar for number in range(count)):
        chords, at = [], float(start)
        while at < start + bar:
            chords.append((at - float(start), solo.changes.chord_at(at)))
            at += max(solo.changes.next_change(at)[1], 1 / TICKS_PER_QUARTER)
        bars.append(Bar(tuple(chords), meter))
    return Chart(tuple(bars))


def _meter(bar_ticks: int) -> Meter:
    """A meter whose bars have `bar_ticks` ticks, preferably in quarters. Raises ValueError if there is none."""
    for denominator in (4, 8, 16, 2, 1):
        numerator, rest = divmod(bar_ticks * denominator, 4 * TICKS_PER_QUARTER)
        if not rest and 1 <= numerator <= 16:
            return Meter(numerator, denominator)
    raise ValueError(f"no meter has bars of {bar_ticks} ticks")
