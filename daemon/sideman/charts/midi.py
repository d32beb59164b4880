# SPDX-License-Identifier: Apache-2.0
"""Reads the chords of a MIDI file as a chart, in the order in which they sound.

The chords come from the first source that the file has: chord symbols in its texts; a track that is named as the
chords; the parts under the melody; the only part. `sideman_models.corpus.midi` reads and explains each of them. The
meter may change. Chords begin on beats or half-beats (in meters of sixteenths on beats). A pick-up is left out. The
chart ends with the last bar in which a note or a chord begins. What was not read as it stands there is a warning, with
the bar of a chord symbol.

The parser is `sideman_models.corpus.midi.parser` instead of mido, because it also reads damaged files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import ceil, floor

from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, chord_onsets, make_bar, parse_meter
from sideman.core.chart.form import MAX_BARS
from sideman.core.chart.text import MAX_NAME_LENGTH, ReaderWarnings, check_size, printable
from sideman_models.corpus.midi import chord_sources
from sideman_models.corpus.midi.meter import MeterSection, find_meter_sections
from sideman_models.corpus.midi.parser import MidiError, parse_midi
from sideman_models.corpus.midi.parts import MidiPart, find_melody, skyline, split_into_parts
from sideman_models.corpus.midi.shift import without_shift
from sideman_models.corpus.midi.titles import find_title
from sideman_models.music.values import TICKS_PER_QUARTER

_EPSILON = 1e-6
_NEAREST_BEAT = TICKS_PER_QUARTER / 4
"""A chord that is written at most this long before a bar line begins there."""
_MAX_OVERHANG = 0.25
"""Notes that ring beyond the last bar line by less than this share of a bar do not add a bar."""


def read_midi_chart(data: bytes, source: str) -> Chart:
    """The chart in the content of a MIDI file. ChartError names `source` and what is missing."""
    try:
        midi = parse_midi(data)
    except MidiError as error:
        raise ChartError(f"{source}: {error}") from None
    warnings = ReaderWarnings(source)
    for remark in midi.all_remarks():
        warnings.add(remark, None)
    numbered = [each for each in enumerate(midi.tracks, 1) if midi.file_type != 2 or each[1].notes or each[1].texts]
    tracks = numbered[:1] if midi.file_type == 2 else numbered  # in type 2, every track is a song of its own
    tracks, shifts = without_shift(tracks)
    for remark in shifts:
        warnings.add(remark, None)
    pitched = [part for part in split_into_parts(tracks) if not part.is_drums]
    signatures = [signature for _, track in tracks for signature in track.time_signatures]
    chords = chord_sources.chords_from_symbols(tracks, pitched) or _find_chords(pitched, signatures)
    if chords is None:
        missing = "no chord symbols in its texts, and no notes but drums to detect chords from"
        raise ChartError(f"{source}: it has {missing}")
    onsets = [0.0, *(note[0] for part in pitched for note in part.notes)]
    onsets += [chords.chords[-1][0]] if isinstance(chords, chord_sources.SymbolChords) else []
    end = max([max(onsets) + 1, *(note[1] for part in pitched for note in part.notes)])
    sections, _ = find_meter_sections(signatures, end)
    bars: list[Bar] = []
    problems = deque(chords.problems)
    for section in sections:
        try:
            meter = parse_meter(section.meter)
        except ChartError as error:
            raise ChartError(f"{source}: {error}") from None
        first, after = _bar_range(section, max(onsets), is_last=section is sections[-1])
        while problems and problems[0][0] < section.end:
            tick, problem = problems.popleft()
            bar = int((tick - section.start + _NEAREST_BEAT) / section.bar_ticks)
            warnings.add(problem, len(bars) + max(bar, first) - first + 1)
        places, grid = chord_onsets(2 * meter.numerator, meter), chords.chords_over(section)
        for number in range(first, min(after, MAX_BARS + 2)):
            at = number * float(meter.quarters) + _EPSILON
            bars.append(make_bar([grid.chord_at(at + float(place)) for place in places], places, meter))
    if len(bars) > MAX_BARS:
        raise ChartError(f"{source}: {len(bars)} bars; a chart has at most {MAX_BARS}")
    check_size(bars, source)
    title = printable(find_title(midi))[:MAX_NAME_LENGTH]
    return Chart(tuple(bars), ChartInfo(title=title, warnings=warnings.texts))


def _find_chords(
    pitched: Sequence[MidiPart], signatures: Sequence[tuple[float, int, int]]
) -> chord_sources.ChordSource | None:
    named = next((part for part in pitched if part.is_chords), None)
    if named or len(pitched) == 1:
        return chord_sources.InferredChords((named or pitched[0]).notes, (), "")
    if not pitched:
        return None
    _, numerator, denominator = signatures[0] if signatures else (0.0, 4, 4)
    melody, _ = find_melody(pitched, round(4 * TICKS_PER_QUARTER * numerator / denominator))
    return chord_sources.chords_from_accompaniment(pitched, melody, skyline(melody.notes))


def _bar_range(section: MeterSection, last: float, *, is_last: bool) -> tuple[int, int]:
    """The first bar, and the one after the last, counted from the start of the section."""
    first = 1 if section.music_start > section.start else 0
    if not is_last:
        return first, max(first + 1, round((section.end - section.start) / section.bar_ticks))
    begun = floor((last - section.start) / section.bar_ticks + _EPSILON) + 1
    sounding = ceil((section.end - section.start) / section.bar_ticks - _MAX_OVERHANG)
    return first, max(first + 1, begun, sounding)
