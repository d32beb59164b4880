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
from sideman.core.events import BarPlayed, MidiEvent, NoteOff, NoteOn
from sideman.core.settings.groups.play import PlaySettings
from sideman.core.settings.schema import Settings, with_values
from sideman.playing.assembly import Performance
from sideman_models.evaluation.answers import ANSWER_BARS, Answers, Turn, turns_of
from sideman_models.music.line import LineNote
from sideman_models.music.solos import Piece, Solo, solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle
from sideman_models.network.lstm import NumpyNetwork

RENDER_SETTINGS = Settings(play=PlaySettings(rate="phrase"))
ANSWERED_MOTIFS = (0.0, 1.0, 1.5, 2.0)
"""The values of play.motif with which answers are compared."""
_RELEASED_EARLY_S = 0.001  # so that a key that is struck again is up


def play_over_solos(
    bundle: Bundle, solos: Sequence[Solo], choruses: int, seed: int = 0, settings: Settings = RENDER_SETTINGS
) -> Iterator[Piece]:
    """Play `choruses` choruses with `settings`, each over the chords of one solo, one solo after the other.

    A chorus has the length of its solo. Each starts with a new engine, and with the next seed from `seed` on.
    """
    network = NumpyNetwork(bundle.weights)
    for number in range(choruses if solos else 0):
        solo = solos[number % len(solos)]
        chart = chart_of_solo(solo)
        performance = Performance(settings, chart, bundle, network, seed + number)
        engine = performance.make_engine(0.0, beats=chart.length)
        bars = [due.item for due in play_through(engine) if isinstance(due.item, BarPlayed)]
        notes = [
            LineNote(each.tick, each.tick + each.length, each.pitch, True if each.value.interval is None else None)
            for bar in bars
            for each in bar.choices
            if each.pitch is not None
        ]
        yield solo_to_piece(Solo(solo.title, bundle.name, tuple(notes), solo.changes, solo.bar_ticks))


def answers_over_solos(bundle: Bundle, solos: Sequence[Solo], seed: int = 0) -> Iterator[Answers]:
    """Let it answer the solos, in both modes that answer, with play.motif off, as learned, and higher."""
    network = NumpyNetwork(bundle.weights)
    for mode in ("trade", "answer"):
        for motif in ANSWERED_MOTIFS if bundle.weights.motif.any() else (0.0,):
            settings = with_values(
                RENDER_SETTINGS,
                [("play.mode", mode), ("play.trade_bars", ANSWER_BARS), ("play.swing", 0.5), ("play.motif", motif)],
            )
            pairs = [
                pair
                for number, solo in enumerate(solos)
                for pair in _answered(Performance(settings, chart_of_solo(solo), bundle, network, seed + number), solo)
            ]
            yield Answers.of(f"{mode}, play.motif {motif:g}", pairs)


def _answered(performance: Performance, solo: Solo) -> Iterator[tuple[Turn, Turn]]:
    """Play every second turn of the solo to the engine, as the player; yield each of these turns with its answer."""
    length, a_tick = ANSWER_BARS * solo.bar_ticks, 60.0 / performance.settings.tempo.bpm / TICKS_PER_QUARTER
    turns = turns_of(solo)
    played = [note for note in solo.notes if note.onset >= 0 and note.onset // length % 2 == 0]
    arrivals: list[tuple[float, MidiEvent]] = [(note.onset * a_tick, NoteOn(note.pitch, 80, 1)) for note in played]
    arrivals += [(note.end * a_tick - _RELEASED_EARLY_S, NoteOff(note.pitch, 1)) for note in played]
    engine = performance.make_engine(0.0, beats=performance.chart.length)
    bars = list[BarPlayed]()
    for second, event in sorted(arrivals, key=lambda arrival: arrival[0]):
        while (due := engine.deadline()) is not None and due <= second:
            bars += [each.item for each in engine.advance(due) if isinstance(each.item, BarPlayed)]
        engine.receive(event, second)
    bars += [due.item for due in play_through(engine) if isinstance(due.item, BarPlayed)]
    answers: list[list[int]] = [[] for _ in turns]
    for choice in (choice for bar in bars for choice in bar.choices):
        if choice.pitch is not None and choice.tick // length < len(turns):
            answers[choice.tick // length].append(choice.pitch)
    yield from zip(turns[::2], answers[1::2], strict=False)


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
