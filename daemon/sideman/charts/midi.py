# SPDX-License-Identifier: Apache-2.0
"""The chords of a MIDI file as a chart, in the order in which they sound.

They are the first of these that there is: chord symbols in its texts, what a track called the chords plays, what its
other parts play under the melody, and what its one part plays (`sideman_models.midi` says how each is read). Its
meter may change. Chords begin on beats, or halves of them (in meters of sixteenths on beats); a pick-up is left out;
the last bar in which anything begins is the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, floor

from sideman.core.chart.chart import About, Bar, Chart, ChartError, Meter, bar_of, onsets, parse_meter
from sideman.core.chart.form import MOST_BARS
from sideman_models.corpus.midi.chord_sources import Chords, FoundChords, SymbolChords, found_below, symbol_chords
from sideman_models.corpus.midi.meter import Stretch, find_stretches
from sideman_models.corpus.midi.parser import MidiError, Track, parse_midi
from sideman_models.corpus.midi.parts import Part, find_melody, highest_line, parts
from sideman_models.music.solos import BeatChanges
from sideman_models.music.values import TICKS

_HAIR = 1e-6
_OVERHANG = 0.25
"""What sounds no more than this share of a bar beyond a bar line began no bar of its own."""


def read_midi_chart(data: bytes, source: str) -> Chart:
    """The chart of a MIDI file's bytes. ChartError names `source` and what is missing."""
    try:
        midi = parse_midi(data)
    except MidiError as error:
        raise ChartError(f"{source}: {error}") from None
    numbered = [one for one in enumerate(midi.tracks, 1) if midi.type != 2 or one[1].notes or one[1].texts]
    tracks = numbered[:1] if midi.type == 2 else numbered  # of type 2, every track is a song
    pitched = [part for part in parts(tracks, midi.division) if not part.drums]
    chords: Chords | None = symbol_chords(tracks, midi.division) or _found(pitched, tracks, midi.division)
    if chords is None:
        raise ChartError(f"{source}: no chord symbols in its texts, and no notes but drums to find chords from")
    last, end = _extent(pitched, chords)
    stretches, _ = find_stretches(_signatures(tracks, midi.division), end)
    bars: list[Bar] = []
    for stretch in stretches:
        bars += _bars(
            chords.over(stretch), _meter(stretch, source), *_span(stretch, last, final=stretch is stretches[-1])
        )
    if len(bars) > MOST_BARS:
        raise ChartError(f"{source}: {len(bars)} bars, of which a chart has {MOST_BARS} at most")
    return Chart(tuple(bars), About(title=_title(tracks)))


def _found(pitched: Sequence[Part], tracks: Sequence[tuple[int, Track]], division: int) -> FoundChords | None:
    named = next((part for part in pitched if part.chords), None)
    if named or len(pitched) == 1:
        return FoundChords((named or pitched[0]).notes, (), "")
    if not pitched:
        return None
    bar_ticks = next((round(4 * TICKS * up / down) for _, up, down in _signatures(tracks, division)), 4 * TICKS)
    melody, _ = find_melody(pitched, bar_ticks)
    return found_below(pitched, melody, highest_line(melody.notes))


def _extent(pitched: Sequence[Part], chords: Chords) -> tuple[float, float]:
    """The last onset, and the end of all that sounds."""
    onsets_, ends = [0.0], [1.0]
    for part in pitched:
        onsets_.append(max(note[0] for note in part.notes))
        ends.append(max(note[1] for note in part.notes))
    if isinstance(chords, SymbolChords):
        onsets_.append(chords.chords[-1][0])
    return max(onsets_), max(*ends, *(at + 1 for at in onsets_))


def _signatures(tracks: Sequence[tuple[int, Track]], division: int) -> Iterator[tuple[float, int, int]]:
    for _, track in tracks:
        for tick, numerator, denominator in track.metres:
            yield tick * TICKS / division, numerator, denominator


def _meter(stretch: Stretch, source: str) -> Meter:
    try:
        return parse_meter(stretch.metre)
    except ChartError as error:
        raise ChartError(f"{source}: {error}") from None


def _span(stretch: Stretch, last: float, *, final: bool) -> tuple[int, int]:
    """The first bar and the one after the last, counted from the stretch's start."""
    first = 1 if stretch.first > stretch.start else 0
    if not final:
        return first, max(first + 1, round((stretch.end - stretch.start) / stretch.bar_ticks))
    begun = floor((last - stretch.start) / stretch.bar_ticks + _HAIR) + 1
    sounding = ceil((stretch.end - stretch.start) / stretch.bar_ticks - _OVERHANG)
    return first, max(first + 1, begun, sounding)


def _bars(changes: BeatChanges, meter: Meter, first: int, end: int) -> Iterator[Bar]:
    places: list[Fraction] = onsets(2 * meter.numerator, meter)
    for number in range(first, min(end, MOST_BARS + 2)):
        at = number * float(meter.quarters) + _HAIR
        yield bar_of([changes.chord_at(at + float(place)) for place in places], places, meter)


def _title(tracks: Sequence[tuple[int, Track]]) -> str:
    """The name of a first track that holds no notes: there, files keep their title."""
    name = tracks[0][1].name if tracks and not tracks[0][1].notes else ""
    return " ".join(name.split())[:200] if name.isprintable() else ""
