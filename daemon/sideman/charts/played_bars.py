# SPDX-License-Identifier: Apache-2.0
"""The bars of a performance as they were played, and the notes in them: loops and jumps are written out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from operator import itemgetter

from msgspec import Struct
from msgspec.structs import replace

from sideman.charts.score_writer import PlayedNote
from sideman.core.chart.chart import Bar, Meter
from sideman.core.events import MidiEvent, note_spans
from sideman_models.music.harmony import NO_CHORD, Chord

NEAR = 1e-6
_MAX_GAP_BARS = 1000


class PlayedBar(Struct, frozen=True):
    """A bar as it began: its beat, its meter, the chords in it, and its key if that is new."""

    beat: float
    meter: Meter
    changes: tuple[tuple[float, Chord], ...]
    key: str | None = None


def without_gaps(bars: Sequence[PlayedBar]) -> Iterator[PlayedBar]:
    """Yield `bars`, empty bars where some passed without a report, and last the end as an empty bar."""
    end = PlayedBar(bars[-1].beat + float(bars[-1].meter.quarters), bars[-1].meter, ())
    for bar, after in pairwise([*bars, end]):
        length = float(bar.meter.quarters)
        yield bar
        for at in range(1, min(round((after.beat - bar.beat) / length), _MAX_GAP_BARS)):
            yield replace(bar, beat=bar.beat + at * length, changes=(), key=None)
    yield end


def chord_changes(bars: Iterable[PlayedBar]) -> Iterator[tuple[float, str]]:
    """Yield (beat, symbol) for each chord that differs from the one before it."""
    last = None
    for bar in bars:
        for at, chord in bar.changes:
            if chord.text != last:
                last = chord.text
                yield bar.beat + at, last


def meter_changes(bars: Sequence[PlayedBar]) -> Iterator[tuple[float, Meter]]:
    """Yield (beat, meter) for each bar with another meter than the one before it; the last of `bars` is the end."""
    last = None
    for bar, after in pairwise(bars):
        meter = _meter_between(bar, after)
        if meter != last:
            last = meter
            yield bar.beat, meter


def written_bars(bars: Sequence[PlayedBar]) -> Iterator[Bar]:
    """Yield the bars as a chart has them: the chord before goes on until the first one of a bar.

    The last of `bars` is their end.
    """
    last = NO_CHORD
    for bar, after in pairwise(bars):
        meter = _meter_between(bar, after)
        changes = {0.0: last} | {at: chord for at, chord in bar.changes if at < float(meter.quarters) - NEAR}
        kept: list[tuple[float, Chord]] = []
        for at, chord in sorted(changes.items(), key=itemgetter(0)):
            kept += [(at, chord)] if not kept or kept[-1][1] != chord else []
        last = kept[-1][1]
        yield Bar(tuple(kept), meter)


def placed_notes(
    notes: Iterable[tuple[float, MidiEvent]], bars: Sequence[PlayedBar], end: float
) -> Iterator[PlayedNote]:
    """Yield the notes with their beats in the score, where each bar has the length that it is written with.

    The last of `bars` is their end; notes that still sound end on the beat `end`.
    """
    lengths = [float(_meter_between(bar, after).quarters) for bar, after in pairwise(bars)]
    starts, beats = list(accumulate(lengths, initial=0.0)), [bar.beat for bar in bars]

    def place(beat: float) -> float:
        at = max(0, bisect_right(beats, beat + NEAR) - 1)
        return starts[at] + min(beat - beats[at], lengths[at] if at < len(lengths) else 0.0)

    for onset, length, note in note_spans(notes, end):
        if beats[0] - NEAR <= onset < beats[-1]:
            yield PlayedNote(place(onset), place(onset + length), note.pitch)


def _meter_between(bar: PlayedBar, after: PlayedBar) -> Meter:
    """The meter of a bar, or a shorter one if the bar after it began before its end."""
    quarters = after.beat - bar.beat
    if quarters < float(bar.meter.quarters) - NEAR:
        for unit in (4, 8, 16):
            count = round(quarters * unit / 4)
            if 1 <= count <= 16 and (abs(quarters * unit / 4 - count) < NEAR or unit == 16):
                return Meter(count, unit)
    return bar.meter
