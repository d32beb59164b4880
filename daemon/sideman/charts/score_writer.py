# SPDX-License-Identifier: Apache-2.0
"""Writes scores as MusicXML: the bars and chords of charts, and what was played and heard over them as notation.

`musicxml` reads the bars and chords back as they were. Notes are written as a musician would: each quarter of a bar in
eighths, triplets or sixteenths, whichever is nearest to its onsets; swing is taken out; short gaps are closed. Drums
stand on a staff of their own, each with its instrument of General MIDI.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate, pairwise
from math import floor
from operator import itemgetter
from typing import NamedTuple
from xml.etree import ElementTree as ET

from msgspec import Struct

from sideman.charts.score_chords import KINDS, Key, read_harmony
from sideman.core.chart.chart import Bar, Chart, ChartInfo
from sideman.core.chart.form import SIGN_PATTERN
from sideman_models.music.harmony import ROOT_NAMES, SHARP_NAMES, Chord, Quality, parse_chord

DIVISIONS = 24
"""The ticks of a quarter note: sixteenths, triplets, and the half-beats of every meter are whole ticks."""
_GRIDS = ((DIVISIONS // 2, 0.0), (DIVISIONS // 3, 0.02), (DIVISIONS // 4, 0.03))
"""How a quarter can be divided, and how much nearer (in beats) the onsets have to be until it is."""
_TRIPLET = DIVISIONS // 3
_TYPES = {
    4 * DIVISIONS: ("whole", 0), 3 * DIVISIONS: ("half", 1), 2 * DIVISIONS: ("half", 0), DIVISIONS: ("quarter", 0),
    18: ("eighth", 1), 16: ("quarter", 0), 12: ("eighth", 0), 8: ("eighth", 0), 6: ("16th", 0),
}  # fmt: skip
"""The name and the dots of the note that lasts this many ticks; 8 and 16 belong to triplets."""
_LOWEST_TREBLE = 55
"""A part whose mean pitch is lower is written in the bass clef."""
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_FLAT_NAMES = tuple("Gb" if name == "F#" else name for name in ROOT_NAMES)
_NAME = re.compile(r"([A-G])([b#]?)")
_ALTERS = {"b": -1, "": 0, "#": 1}
_DEGREES = {
    0: (), 1: ((9, -1),), 2: ((9, 0),), 3: ((9, 1),), 4: (), 5: ((11, 0),), 6: ((11, 1),), 7: (), 8: ((13, -1),),
    9: ((13, 0), (6, 0)), 10: ((7, 0),), 11: ((7, 1),),
}  # fmt: skip
"""The degrees, with their alterations, that a tone (in semitones above the root) can be when it is added."""
_FIFTHS = {6: -1, 8: 1}
_SIGN = re.compile(rf"(?:{SIGN_PATTERN})|coda|segno|fine", re.IGNORECASE)
_DOCTYPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 '
    'Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">\n'
)


class _Drum(NamedTuple):
    name: str
    place: str = "C5"
    """Where it is written, as a note in the treble clef."""
    head: str = ""


_DRUMS = {
    35: _Drum("Acoustic Bass Drum", "F4"), 36: _Drum("Bass Drum 1", "F4"), 37: _Drum("Side Stick", "C5", "x"),
    38: _Drum("Acoustic Snare"), 39: _Drum("Hand Clap", "E5", "x"), 40: _Drum("Electric Snare"),
    41: _Drum("Low Floor Tom", "A4"), 42: _Drum("Closed Hi-Hat", "G5", "x"), 43: _Drum("High Floor Tom", "A4"),
    44: _Drum("Pedal Hi-Hat", "D4", "x"), 45: _Drum("Low Tom", "B4"), 46: _Drum("Open Hi-Hat", "G5", "circle-x"),
    47: _Drum("Low-Mid Tom", "D5"), 48: _Drum("Hi-Mid Tom", "E5"), 49: _Drum("Crash Cymbal 1", "A5", "x"),
    50: _Drum("High Tom", "E5"), 51: _Drum("Ride Cymbal 1", "F5", "x"), 53: _Drum("Ride Bell", "F5", "diamond"),
    57: _Drum("Crash Cymbal 2", "A5", "x"), 59: _Drum("Ride Cymbal 2", "F5", "x"),
    76: _Drum("High Wood Block", "E5", "triangle"), 77: _Drum("Low Wood Block", "B4", "triangle"),
}  # fmt: skip
"""The drums of General MIDI that a kit of jazz has. Others stand where the snare drum does."""
_DRUM_CHANNEL = 10


class PlayedNote(NamedTuple):
    """A note as it sounds: its onset and its end in beats from the first bar line of the score."""

    onset: float
    end: float
    pitch: int


class ScorePart(Struct, frozen=True):
    """What one player plays, at sounding pitch. `transpose` leads from what the player reads to what sounds.

    The pitches of `is_drums` are the drums of General MIDI.
    """

    name: str
    notes: tuple[PlayedNote, ...] = ()
    transpose: int = 0
    is_drums: bool = False


class ScoreChange(Struct, frozen=True):
    """What is new from `at` quarter notes into the bar `bar` (an index) on; None for what stays as it is.

    `key` is the symbol of the tonic chord, empty where it is not known; a key changes on a bar line.
    """

    bar: int
    at: float = 0.0
    key: str | None = None
    bpm: float | None = None
    swing: float | None = None


class Score(Struct, frozen=True):
    """Bars with their chords, and the parts over them; the symbols stand over the first part.

    `swing` is the place of the second eighth note in a beat (0.5: straight). `info.sections` are those of `bars`. The
    key of `info`, `bpm` and `swing` hold until one of the `changes`, which are in order.
    """

    info: ChartInfo
    bars: tuple[Bar, ...]
    parts: tuple[ScorePart, ...] = (ScorePart("Chords"),)
    bpm: float | None = None
    swing: float = 0.5
    changes: tuple[ScoreChange, ...] = ()


def chart_score(chart: Chart, transpose: int = 0) -> Score:
    """The score of a chart alone: a chorus of its chords, as the player reads them."""
    return Score(chart.info, chart.bars, (ScorePart("Chords", transpose=transpose),), chart.info.tempo)


def musicxml_bytes(score: Score) -> bytes:
    """The content of a MusicXML file."""
    root = ET.Element("score-partwise", version="3.1")
    if score.info.title:
        _text(ET.SubElement(root, "work"), "work-title", score.info.title)
    identification = ET.SubElement(root, "identification")
    if score.info.composer:
        _text(identification, "creator", score.info.composer, type="composer")
    _text(ET.SubElement(identification, "encoding"), "software", "sideman")
    names = ET.SubElement(root, "part-list")
    for number, part in enumerate(score.parts, 1):
        listed = ET.SubElement(names, "score-part", id=f"P{number}")
        _text(listed, "part-name", part.name)
        _list_drums(listed, part, f"P{number}")
    for number, part in enumerate(score.parts, 1):
        element = ET.SubElement(root, "part", id=f"P{number}")
        _PartWriter(score, part, f"P{number}", has_chords=number == 1).write(element)
    ET.indent(root, " ")
    return (_DOCTYPE + ET.tostring(root, encoding="unicode") + "\n").encode()


def _text(parent: ET.Element, name: str, content: str | int, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, name, attributes)
    child.text = str(content)  # titles and names are printable
    return child


def _list_drums(listed: ET.Element, part: ScorePart, name: str) -> None:
    """Write which drums a part has, each with its key of General MIDI, which MusicXML counts from 1."""
    drums = sorted({note.pitch for note in part.notes} if part.is_drums else ())
    for pitch in drums:
        instrument = ET.SubElement(listed, "score-instrument", id=f"{name}-I{pitch + 1}")
        _text(instrument, "instrument-name", _drum(pitch).name)
    for pitch in drums:
        instrument = ET.SubElement(listed, "midi-instrument", id=f"{name}-I{pitch + 1}")
        _text(instrument, "midi-channel", _DRUM_CHANNEL)
        _text(instrument, "midi-program", 1)
        _text(instrument, "midi-unpitched", pitch + 1)


def _drum(pitch: int) -> _Drum:
    return _DRUMS.get(pitch, _Drum(f"Drum {pitch}"))


# -- notation


class _Written(Struct):
    """Notes that begin together, in ticks from the top."""

    start: int
    end: int
    pitches: tuple[int, ...]


class _PartWriter:
    """Writes the measures of one part."""

    def __init__(self, score: Score, part: ScorePart, name: str, *, has_chords: bool) -> None:
        self._score, self._part, self._name, self._has_chords = score, part, name, has_chords
        self._lines = list(accumulate((round(bar.meter.quarters * DIVISIONS) for bar in score.bars), initial=0))
        swings = [(self._lines[each.bar] + round(each.at * DIVISIONS), each.swing) for each in score.changes]
        self._swings = [(0, score.swing), *((tick, swing) for tick, swing in swings if swing is not None)]
        self._grids: dict[int, int] = {}  # by the tick on which a quarter begins
        self._written = self._notation()
        self._names = _FLAT_NAMES

    def write(self, element: ET.Element) -> None:
        """Write the measures into the element of the part."""
        sections = dict(self._score.info.sections)
        score, opening = self._score, self._score.info.key
        changes: dict[int, list[ScoreChange]] = {}
        for change in (
            ScoreChange(0, 0.0, opening, score.bpm, score.swing if score.swing > 0.5 else None),
            *score.changes,
        ):
            changes.setdefault(change.bar, []).append(change)
        before: Bar | None = None
        for index, bar in enumerate(score.bars):
            measure = ET.SubElement(element, "measure", number=str(index + 1))
            key = next((change.key for change in reversed(changes.get(index, [])) if change.key is not None), None)
            self._write_attributes(measure, bar, before, key)
            if self._has_chords:
                self._write_section(measure, sections.get(index, ""))
                if index == 0 and score.info.style:
                    self._write_words(measure, score.info.style.capitalize())
                self._write_changes(measure, changes.get(index, ()))
                last = before.chords[-1][1] if before is not None and index not in sections else None
                self._write_chords(measure, bar, last)
            self._write_notes(measure, self._lines[index], self._lines[index + 1])
            before = bar
        if len(element):
            _text(ET.SubElement(element[-1], "barline", location="right"), "bar-style", "light-heavy")

    def _write_attributes(self, measure: ET.Element, bar: Bar, before: Bar | None, key: str | None) -> None:
        """Write what is new in a bar; `key` is the symbol of its key if that begins here."""
        attributes, has_meter = ET.Element("attributes"), before is None or before.meter != bar.meter
        if before is None:
            _text(attributes, "divisions", DIVISIONS)
        if key is not None:
            self._write_key(attributes, key, bar.chords[0][1], is_named=before is not None or bool(key))
        if has_meter:
            time = ET.SubElement(attributes, "time")
            _text(time, "beats", bar.meter.numerator)
            _text(time, "beat-type", bar.meter.denominator)
        if before is None:
            self._write_clef(attributes)
        if len(attributes):
            measure.append(attributes)

    def _write_key(self, attributes: ET.Element, key: str, first: Chord, *, is_named: bool) -> None:
        """Write the key signature if it `is_named`, and choose the names of notes. Drums have none."""
        shift = -self._part.transpose
        signature = ChartInfo(key=key).transposed(shift).signature
        is_sharp = signature[0] > 0 if signature is not None else "#" in first.transposed(shift).text[:2]
        self._names = SHARP_NAMES if is_sharp else _FLAT_NAMES
        if not is_named:
            return
        fifths, is_minor = signature if signature is not None and not self._part.is_drums else (0, False)
        element = ET.SubElement(attributes, "key")
        _text(element, "fifths", fifths)
        _text(element, "mode", "minor" if is_minor else "major")

    def _write_clef(self, attributes: ET.Element) -> None:
        if self._part.is_drums:
            _text(ET.SubElement(attributes, "clef"), "sign", "percussion")
            return
        pitches = [note.pitch - self._part.transpose for note in self._part.notes]
        is_low = bool(pitches) and sum(pitches) < _LOWEST_TREBLE * len(pitches)
        clef = ET.SubElement(attributes, "clef")
        _text(clef, "sign", "F" if is_low else "G")
        _text(clef, "line", 4 if is_low else 2)
        if self._part.transpose:
            octaves = int(self._part.transpose / 12)
            transpose = ET.SubElement(attributes, "transpose")
            _text(transpose, "chromatic", self._part.transpose - 12 * octaves)
            if octaves:
                _text(transpose, "octave-change", octaves)

    def _write_section(self, measure: ET.Element, section: str) -> None:
        if section and not _SIGN.match(section):  # a section that is called like a sign would be read as that sign
            direction = ET.SubElement(measure, "direction", placement="above")
            _text(ET.SubElement(direction, "direction-type"), "rehearsal", section)

    def _write_changes(self, measure: ET.Element, changes: Iterable[ScoreChange]) -> None:
        """Write new tempos, and where swing begins and ends."""
        for change in changes:
            if change.bpm:
                direction = ET.SubElement(measure, "direction", placement="above")
                metronome = ET.SubElement(ET.SubElement(direction, "direction-type"), "metronome")
                _text(metronome, "beat-unit", "quarter")
                _text(metronome, "per-minute", f"{change.bpm:g}")
                if at := round(change.at * DIVISIONS):
                    _text(direction, "offset", at, sound="yes")
                ET.SubElement(direction, "sound", tempo=f"{change.bpm:g}")
            if change.swing is not None:
                self._write_words(measure, "Swing" if change.swing > 0.5 else "Straight")

    def _write_words(self, measure: ET.Element, words: str) -> None:
        direction = ET.SubElement(measure, "direction", placement="above")
        _text(ET.SubElement(direction, "direction-type"), "words", words)

    def _write_chords(self, measure: ET.Element, bar: Bar, last: Chord | None) -> None:
        for onset, chord in bar.chords:
            if chord != last:
                harmony = harmony_element(chord.shown(self._part.transpose))
                if at := round(onset * DIVISIONS):
                    _text(harmony, "offset", at)
                measure.append(harmony)
            last = chord

    def _notation(self) -> list[_Written]:
        """The notes of the part as they are written, in order and without overlaps."""
        places = sorted((*self._place(note.onset), note) for note in self._part.notes)
        onsets: dict[int, list[float]] = {}
        for line, position, _ in places:
            onsets.setdefault(line + floor(position) * DIVISIONS, []).append(position % 1)
        self._grids = {quarter: self._grid(quarter, shares) for quarter, shares in onsets.items()}
        written: dict[int, _Written] = {}
        for line, position, note in places:
            start = self._tick(line, position)
            end = max(self._tick(*self._place(note.end)), start + self._step(start))
            group = written.setdefault(start, _Written(start, end, ()))
            group.end, group.pitches = max(group.end, end), tuple(sorted({*group.pitches, note.pitch}))
        notes = [each for _, each in sorted(written.items()) if each.start < self._lines[-1]]
        for each, after in pairwise(notes):
            if each.end > after.start - DIVISIONS // 2:
                each.end = after.start
        if notes:
            notes[-1].end = min(notes[-1].end, self._lines[-1])
        return notes

    def _place(self, beat: float) -> tuple[int, float]:
        """The tick of the bar line before a beat, and the quarter notes from there."""
        ticks = max(0.0, beat * DIVISIONS + 1e-6)
        bar = bisect_right(self._lines, ticks, 1, len(self._lines) - 1) - 1
        return self._lines[bar], max(0.0, beat - self._lines[bar] / DIVISIONS)

    def _grid(self, quarter: int, shares: Sequence[float]) -> int:
        """The ticks of the division of a quarter that is nearest to the onsets in it."""
        end = self._lines[min(bisect_right(self._lines, quarter), len(self._lines) - 1)]
        grids = [grid for grid in _GRIDS if grid[0] != _TRIPLET or end - quarter >= DIVISIONS]

        def distance(grid: tuple[int, float]) -> float:
            return sum(min(abs(share - place) for place in self._places(grid[0], quarter)) for share in shares)

        return min(grids, key=lambda grid: distance(grid) / len(shares) + grid[1])[0]

    def _places(self, step: int, quarter: int) -> list[float]:
        """Where the parts of the quarter that begins at this tick sound, as shares of it; triplets do not swing."""
        straight = [tick / DIVISIONS for tick in range(0, DIVISIONS + 1, step)]
        if step == _TRIPLET:
            return straight
        swing = self._swings[bisect_right(self._swings, quarter, 1, key=itemgetter(0)) - 1][1]
        return [2 * at * swing if at < 0.5 else swing + (2 * at - 1) * (1 - swing) for at in straight]

    def _step(self, tick: int) -> int:
        line = self._lines[bisect_right(self._lines, tick) - 1]
        return self._grids.get(line + (tick - line) // DIVISIONS * DIVISIONS, DIVISIONS // 2)

    def _tick(self, line: int, position: float) -> int:
        quarter, share = line + floor(position) * DIVISIONS, position % 1
        step = self._grids.get(quarter, DIVISIONS // 2)
        places = self._places(step, quarter)
        nearest = min(range(len(places)), key=lambda index: abs(places[index] - share))
        return quarter + nearest * step

    def _write_notes(self, measure: ET.Element, line: int, end: int) -> None:
        now = line
        for note in self._written:
            if note.end <= line or note.start >= end:
                continue
            self._write_span(measure, line, (now, note.start), None)
            now = min(note.end, end)
            self._write_span(measure, line, (max(note.start, line), now), note)
        if now == line:
            rest = ET.SubElement(measure, "note")
            ET.SubElement(rest, "rest", measure="yes")
            _text(rest, "duration", end - line)
            _text(rest, "voice", 1)
        else:
            self._write_span(measure, line, (now, end), None)

    def _write_span(self, measure: ET.Element, line: int, span: tuple[int, int], note: _Written | None) -> None:
        """Write a note or a rest that lasts for `span`, cut into notes that can be written."""
        for at, length in self._pieces(line, *span):
            pitches: Iterable[int | None] = note.pitches if note is not None else (None,)
            for index, pitch in enumerate(pitches):
                element = ET.SubElement(measure, "note")
                if index:
                    ET.SubElement(element, "chord")
                ties = []
                if pitch is None:
                    ET.SubElement(element, "rest")
                elif note is not None:
                    self._write_pitch(element, pitch)
                    ties = [
                        kind for kind, is_on in (("stop", at > note.start), ("start", at + length < note.end)) if is_on
                    ]
                self._write_length(element, at, line, length, ties, is_first=index == 0, drum=pitch)

    def _pieces(self, line: int, at: int, end: int) -> Iterator[tuple[int, int]]:
        while at < end:
            into = (at - line) % DIVISIONS
            whole = 0 if into else min((end - at) // DIVISIONS, 4)
            length = whole * DIVISIONS or min(DIVISIONS - into, end - at)
            yield at, length
            at += length

    def _write_pitch(self, element: ET.Element, sounding: int) -> None:
        if self._part.is_drums:
            place, unpitched = _drum(sounding).place, ET.SubElement(element, "unpitched")
            _text(unpitched, "display-step", place[0])
            _text(unpitched, "display-octave", place[1])
            return
        pitch = sounding - self._part.transpose
        name = self._names[pitch % 12]
        written = ET.SubElement(element, "pitch")
        _text(written, "step", name[0])
        if name[1:]:
            _text(written, "alter", _ALTERS[name[1:]])
        _text(written, "octave", (pitch - _ALTERS[name[1:]]) // 12 - 1)

    def _write_length(
        self,
        element: ET.Element,
        at: int,
        line: int,
        length: int,
        ties: Sequence[str],
        *,
        is_first: bool,
        drum: int | None,
    ) -> None:
        drum = drum if self._part.is_drums else None
        _text(element, "duration", length)
        for tie in ties:
            ET.SubElement(element, "tie", type=tie)
        if drum is not None:
            ET.SubElement(element, "instrument", id=f"{self._name}-I{drum + 1}")
        _text(element, "voice", 1)
        kind, dots = _TYPES[length]
        _text(element, "type", kind)
        for _ in range(dots):
            ET.SubElement(element, "dot")
        tuplets: list[str] = []
        if length in (_TRIPLET, 2 * _TRIPLET):
            modification = ET.SubElement(element, "time-modification")
            _text(modification, "actual-notes", 3)
            _text(modification, "normal-notes", 2)
            into = (at - line) % DIVISIONS
            marks = (("start", into == 0), ("stop", into + length == DIVISIONS))
            tuplets = [mark for mark, is_there in marks if is_there and is_first]
        if drum is not None and (head := _drum(drum).head):
            _text(element, "notehead", head)
        if ties or tuplets:
            notations = ET.SubElement(element, "notations")
            for tie in ties:
                ET.SubElement(notations, "tied", type=tie)
            for mark in tuplets:
                ET.SubElement(notations, "tuplet", type=mark)


# -- chord symbols


def harmony_element(chord: Chord) -> ET.Element:
    """The `harmony` of a chord, from which `read_harmony` reads the same chord."""
    harmony = ET.Element("harmony")
    root = ET.SubElement(harmony, "root")
    if not chord.quality.tones:
        _text(root, "root-step", "C", text="")
        _text(harmony, "kind", "none", text="N.C.")
        return harmony
    symbol, _, bass = chord.text.partition("/") if chord.bass is not None else (chord.text, "", "")
    name = name_of(chord.root, symbol)
    _text(root, "root-step", name[0])
    _text(root, "root-alter", _ALTERS[name[1:]])
    kind, degrees = _kind_and_degrees(chord.quality)
    _text(harmony, "kind", kind, text=symbol[len(name) :] if symbol.startswith(name) else chord.quality.name)
    if chord.bass is not None:
        bass_name = name_of(chord.bass, bass)
        element = ET.SubElement(harmony, "bass")
        _text(element, "bass-step", bass_name[0])
        _text(element, "bass-alter", _ALTERS[bass_name[1:]])
    for degree in degrees:
        harmony.append(degree.element())
    return harmony


def name_of(pitch_class: int, text: str) -> str:
    """Return the name at the start of a text if it means this pitch class, else a usual one."""
    match = _NAME.match(text)
    is_right = match is not None and (_LETTERS[match[1]] + _ALTERS[match[2]]) % 12 == pitch_class
    return match.group() if match is not None and is_right else ROOT_NAMES[pitch_class]


class _Degree(NamedTuple):
    number: int
    alter: int
    change: str

    def element(self) -> ET.Element:
        degree = ET.Element("degree")
        _text(degree, "degree-value", self.number)
        _text(degree, "degree-alter", self.alter)
        _text(degree, "degree-type", self.change)
        return degree


@cache
def _kind_and_degrees(quality: Quality) -> tuple[str, tuple[_Degree, ...]]:
    """The kind of a quality, and what it has besides: the fewest degrees from which the same quality is read."""
    ways = [
        (kind, degrees)
        for kind, figure in KINDS.items()
        if kind not in ("neapolitan", "italian", "french", "german", "pedal", "tristan")
        for degrees in _ways_from(parse_chord("C" + figure).quality, quality)
    ]
    for kind, degrees in sorted(ways, key=lambda way: len(way[1])):
        harmony = ET.Element("harmony")
        _text(ET.SubElement(harmony, "root"), "root-step", "C")
        _text(harmony, "kind", kind)
        harmony.extend(degree.element() for degree in degrees)
        chord = read_harmony(harmony, Key(), lambda _problem: None)
        if chord is not None and chord.quality == quality:
            return kind, degrees
    return "other", ()


def _ways_from(base: Quality, wanted: Quality) -> Iterator[tuple[_Degree, ...]]:
    more, less = sorted(set(wanted.tones) - set(base.tones)), set(base.tones) - set(wanted.tones)
    degrees: list[_Degree] = []
    fifth = next((tone for tone in more if tone in _FIFTHS and 7 in less), None)
    if fifth is not None:
        degrees.append(_Degree(5, _FIFTHS[fifth], "alter"))
        more.remove(fifth)
        less.discard(7)
    if less or any(not _DEGREES[tone] for tone in more):
        return
    for choice in (0, -1):
        yield (*degrees, *(_Degree(*_DEGREES[tone][choice], "add") for tone in more))
