# SPDX-License-Identifier: Apache-2.0
"""An audition: a network plays over the changes of given solos, through the real engine, for as long as they are.

Everything is as a user hears it who sets `play.rate=phrase` and nothing else: the range, the rule on repeated pitches,
the nearest pitch that fits. What is collected are the engine's choices, at the places where they fall on the grid: the
swing and the gate, which only say how a note is struck, are not in them. The line writer then makes values of these
notes, as it did of the solos.
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
    """What the network plays: `choruses` times once through the changes of a solo, one solo after the other.

    A chorus is over all the changes that its solo has. Each begins afresh, with a seed of its own: `seed` and onwards.
    """
    network = NumpyNetwork(bundle.weights)
    for number in range(choruses if solos else 0):
        solo = solos[number % len(solos)]
        chart = chart_of_solo(solo)
        played = _choices(Performance(settings, chart, bundle, network, seed + number), chart.length)
        notes = tuple(_notes(played))
        yield solo_to_piece(Solo(solo.title, bundle.name, notes, solo.changes, solo.bar_ticks))


def _choices(performance: Performance, beats: float) -> Iterator[Choice]:
    """All that is chosen in so many beats."""
    for due in play_through(performance.make_engine(0.0, beats=beats)):
        if isinstance(due.item, BarPlayed):
            yield from due.item.choices


def _notes(choices: Iterator[Choice]) -> Iterator[LineNote]:
    for choice in choices:
        if choice.pitch is not None:
            begins = True if choice.value.interval is None else None
            yield LineNote(choice.tick, choice.tick + choice.length, choice.pitch, begins)


def chart_of_solo(solo: Solo) -> Chart:
    """The changes of a solo as a chart in its metre, its last bar filled up."""
    meter, bar = _meter(solo.bar_ticks), Fraction(solo.bar_ticks, TICKS_PER_QUARTER)
    count = max(1, math.ceil(solo.changes.length_beats * TICKS_PER_QUARTER / solo.bar_ticks))
    return Chart(tuple(Bar(tuple(_chords(solo.changes, number * bar, bar)), meter) for number in range(count)))


def _meter(bar_ticks: int) -> Meter:
    """The meter in quarters, else the first of the others that has such bars; ValueError: none has."""
    for denominator in (4, 8, 16, 2, 1):
        numerator, left = divmod(bar_ticks * denominator, 4 * TICKS_PER_QUARTER)
        if not left and 1 <= numerator <= 16:
            return Meter(numerator, denominator)
    raise ValueError(f"no meter has bars of {bar_ticks} ticks")


def _chords(changes: ChordChanges, start: Fraction, beats: Fraction) -> Iterator[tuple[float, Chord]]:
    """The chords of one bar, each with its onset from the bar line."""
    at = float(start)
    while at < start + beats:
        yield at - float(start), changes.chord_at(at)
        at += max(changes.next_change(at)[1], 1 / TICKS_PER_QUARTER)
