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

from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, Meter, chord_onsets, make_bar, parse_meter
from sideman.core.chart.form import MAX_BARS
from sideman_models.corpus.midi.chord_sources import (
    ChordSource,
    InferredChords,
    SymbolChords,
    chords_from_accompaniment,
    chords_from_symbols,
)
from sideman_models.corpus.midi.meter import MeterSection, find_meter_sections
from sideman_models.corpus.midi.parser import MidiError, MidiTrack, parse_midi
from sideman_models.corpus.midi.parts import MidiPart, find_melody, skyline, split_into_parts
from sideman_models.music.solos import ChordGrid
from sideman_models.music.values import TICKS_PER_QUARTER

_EPSILON = 1e-6
_MAX_OVERHANG = 0.25
"""What sounds no more than this share of a bar beyond a bar line began no bar of its own."""


def read_midi_chart(data: bytes, source: str) -> Chart:
    """The chart of a MIDI file's bytes. ChartError names `source` and what is missing."""
    try:
        midi = parse_midi(data)
    except MidiError as error:
        raise ChartError(f"{source}: {error}") from None
    numbered = [one for one in enumerate(midi.tracks, 1) if midi.file_type != 2 or one[1].notes or one[1].texts]
    tracks = numbered[:1] if midi.file_type == 2 else numbered  # of type 2, every track is a song
    pitched = [part for part in split_into_parts(tracks, midi.ticks_per_quarter) if not part.is_drums]
    chords: ChordSource | None = chords_from_symbols(tracks, midi.ticks_per_quarter) or _find_chords(
        pitched, tracks, midi.ticks_per_quarter
    )
    if chords is None:
        raise ChartError(f"{source}: no chord symbols in its texts, and no notes but drums to find chords from")
    last, end = _extent(pitched, chords)
    stretches, _ = find_meter_sections(_signatures(tracks, midi.ticks_per_quarter), end)
    bars: list[Bar] = []
    for stretch in stretches:
        bars += _bars(
            chords.chords_over(stretch),
            _meter(stretch, source),
            *_bar_range(stretch, last, final=stretch is stretches[-1]),
        )
    if len(bars) > MAX_BARS:
        raise ChartError(f"{source}: {len(bars)} bars, of which a chart has {MAX_BARS} at most")
    return Chart(tuple(bars), ChartInfo(title=_title(tracks)))


def _find_chords(
    pitched: Sequence[MidiPart], tracks: Sequence[tuple[int, MidiTrack]], division: int
) -> InferredChords | None:
    named = next((part for part in pitched if part.is_chords), None)
    if named or len(pitched) == 1:
        return InferredChords((named or pitched[0]).notes, (), "")
    if not pitched:
        return None
    bar_ticks = next(
        (round(4 * TICKS_PER_QUARTER * up / down) for _, up, down in _signatures(tracks, division)),
        4 * TICKS_PER_QUARTER,
    )
    melody, _ = find_melody(pitched, bar_ticks)
    return chords_from_accompaniment(pitched, melody, skyline(melody.notes))


def _extent(pitched: Sequence[MidiPart], chords: ChordSource) -> tuple[float, float]:
    """The last onset, and the end of all that sounds."""
    onsets_, ends = [0.0], [1.0]
    for part in pitched:
        onsets_.append(max(note[0] for note in part.notes))
        ends.append(max(note[1] for note in part.notes))
    if isinstance(chords, SymbolChords):
        onsets_.append(chords.chords[-1][0])
    return max(onsets_), max(*ends, *(at + 1 for at in onsets_))


def _signatures(tracks: Sequence[tuple[int, MidiTrack]], division: int) -> Iterator[tuple[float, int, int]]:
    for _, track in tracks:
        for tick, numerator, denominator in track.time_signatures:
            yield tick * TICKS_PER_QUARTER / division, numerator, denominator


def _meter(stretch: MeterSection, source: str) -> Meter:
    try:
        return parse_meter(stretch.meter)
    except ChartError as error:
        raise ChartError(f"{source}: {error}") from None


def _bar_range(stretch: MeterSection, last: float, *, final: bool) -> tuple[int, int]:
    """The first bar and the one after the last, counted from the stretch's start."""
    first = 1 if stretch.music_start > stretch.start else 0
    if not final:
        return first, max(first + 1, round((stretch.end - stretch.start) / stretch.bar_ticks))
    begun = floor((last - stretch.start) / stretch.bar_ticks + _EPSILON) + 1
    sounding = ceil((stretch.end - stretch.start) / stretch.bar_ticks - _MAX_OVERHANG)
    return first, max(first + 1, begun, sounding)


def _bars(changes: ChordGrid, meter: Meter, first: int, end: int) -> Iterator[Bar]:
    places: list[Fraction] = chord_onsets(2 * meter.numerator, meter)
    for number in range(first, min(end, MAX_BARS + 2)):
        at = number * float(meter.quarters) + _EPSILON
        yield make_bar([changes.chord_at(at + float(place)) for place in places], places, meter)


def _title(tracks: Sequence[tuple[int, MidiTrack]]) -> str:
    """The name of a first track that holds no notes: there, files keep their title."""
    name = tracks[0][1].name if tracks and not tracks[0][1].notes else ""
    return " ".join(name.split())[:200] if name.isprintable() else ""
