# SPDX-License-Identifier: Apache-2.0
"""Reads the chord symbols of a MusicXML score (`.musicxml`, `.xml`, compressed `.mxl`) as a chart.

Only the first part that has a chord symbol is read, from a score written part by part (`score-partwise`):

- `harmony`: root, kind, degrees, bass, and the offset from its place. The `text` of a kind counts only if the kind is
  `other`. A chord begins on the nearest beat or half-beat;
- `attributes`: divisions, meter, and transposition: the chords of a transposing instrument are read as they sound;
- `note`, `forward` and `backup`: how long they last, because this says where in the bar a chord stands;
- `barline`: repeats, endings, and the double bar that ends a last ending;
- `direction` and `sound`: the signs (Segno, Coda, To Coda, Fine, D.C., D.S.) and the rehearsal marks, which become the
  sections of the chart;
- the title and the composer.

Measures with `implicit="yes"` (pick-ups) are skipped. All other elements and attributes are ignored, whether or not the
schema of MusicXML allows them. A value that is read but makes no sense is a ChartError that names the bar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from xml.etree import ElementTree as ET

from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, Meter, chord_onsets, make_bar, parse_meter
from sideman.core.chart.form import SIGN_PATTERN, Form, stands_before_bar
from sideman.core.chart.text import MAX_PROBLEM_LENGTH, section_name, unfolded_chart
from sideman_models.errors import ArchiveError, ChordError
from sideman_models.files import ZipReader
from sideman_models.limits import SCORE, XML_TAGS
from sideman_models.music.harmony import NO_CHORD, Chord, parse_chord

_GRID = 2**10 * 3**3 * 5 * 7 * 11 * 13
"""The parts of a quarter note in which places are kept that would need a larger denominator: such numbers could grow
with each element. No rhythm that can be written with tuplets of these numbers is rounded."""

KINDS = {
    "major": "", "minor": "-", "augmented": "+", "diminished": "o", "dominant": "7", "major-seventh": "^7",
    "minor-seventh": "-7", "diminished-seventh": "o7", "augmented-seventh": "7#5", "half-diminished": "h7",
    "major-minor": "-^7", "major-sixth": "6", "minor-sixth": "-6", "dominant-ninth": "9", "major-ninth": "^9",
    "minor-ninth": "-9", "dominant-11th": "11", "major-11th": "^11", "minor-11th": "-11", "dominant-13th": "13",
    "major-13th": "^13", "minor-13th": "-13", "suspended-second": "sus2", "suspended-fourth": "sus", "power": "5",
}  # fmt: skip
"""The kinds of harmony, and how a chord symbol writes each of them after its root."""
_ALTERS = {Fraction(-1): "b", Fraction(0): "", Fraction(1): "#"}
_SOUNDS = {"dacapo": "D.C.", "dalsegno": "D.S.", "tocoda": "To Coda", "coda": "Coda", "segno": "Segno", "fine": "Fine"}
_GLYPHS = ("segno", "coda")
_SIGN = re.compile(SIGN_PATTERN, re.IGNORECASE)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,15}\.?[0-9]{0,20}|\.[0-9]{1,20})")
"""A decimal number. The number of digits is limited to keep the arithmetic fast."""
_LONGEST_LIST = 300


class _ElementError(Exception):
    """An element that cannot be read. `_ScoreReader` adds where it stands."""


def read_musicxml(data: bytes, source: str) -> Chart:
    """Read the chart of a score. ChartError names `source` and, where one is at fault, the bar."""
    root = _parsed(_unzipped(data, source) if data.startswith(b"PK") else data, source)
    title = root.findtext("work/work-title") or root.findtext("movement-title") or ""
    composer = next((each.text or "" for each in root.iter("creator") if each.get("type") == "composer"), "")
    if root.tag != "score-partwise":
        raise ChartError(f"{source}: this is no score; save it as MusicXML, part by part (score-partwise)")
    part = next((part for part in root.iter("part") if next(part.iter("harmony"), None) is not None), None)
    if part is None:
        raise ChartError(f"{source}: no chord symbols in it (no 'harmony' in any part)")
    measures = [measure for measure in part.findall("measure") if measure.get("implicit") != "yes"]
    if sum(len(measure) for measure in measures) > SCORE.count:
        raise ChartError(f"{source}: far too long for a chart: more than {SCORE.count} {SCORE.items}")
    return _ScoreReader(source).read(measures, ChartInfo(section_name(title), section_name(composer)))


def _unzipped(data: bytes, source: str) -> bytes:
    """Decompress the score: the first one that the container names, or else the first one in the archive."""
    try:
        archive = ZipReader(data, SCORE.bytes)
        names = [name for name in archive.names if not name.startswith("META-INF/")]
        scores = [name for name in names if name.lower().endswith((".xml", ".musicxml"))]
        if "META-INF/container.xml" in archive.names:
            container = _parsed(archive.read("META-INF/container.xml"), source)
            named = [each.get("full-path") for each in container.iter() if each.tag.endswith("rootfile")]
            scores = [name for name in named if name in names] or scores
        if not scores:
            raise ChartError(f"{source}: no score in this compressed file")
        return archive.read(scores[0])
    except ArchiveError as error:
        raise ChartError(f"{source}: not a compressed score: {error}") from None


def _parsed(data: bytes, source: str) -> ET.Element:
    """Parse XML, but never an entity: a few of them can fill the memory, and others read files.

    Expat reads a document in UTF-16 or in an encoding that contains ASCII. So a declaration of an entity can only look
    like one of the three byte strings that are searched for. External DTDs, which many scores name, are not loaded.
    """
    if any("<!ENTITY".encode(encoding) in data for encoding in ("ascii", "utf-16-le", "utf-16-be")):
        raise ChartError(f"{source}: it defines entities, which no score needs")
    if data.count(b"<") > XML_TAGS.count:
        raise ChartError(f"{source}: far too long for a chart: more than {XML_TAGS.count} tags")
    try:
        return ET.fromstring(data)  # noqa: S314 - entities have been refused above
    except (ET.ParseError, ValueError, LookupError) as error:
        raise ChartError(f"{source}: not XML that can be read: {error}") from None


def _chord(harmony: ET.Element) -> Chord:
    """The chord as written. Raises ChordError."""
    kind = harmony.find("kind")
    name = "" if kind is None else _text(kind)
    if name == "none":
        return NO_CHORD
    root, bass = _note(harmony, "root"), _note(harmony, "bass")
    if root is None:
        raise _ElementError("a chord without a root; write chord symbols, not numerals")
    quality = kind.get("text", "") if kind is not None and name == "other" else KINDS.get(name)
    if quality is None:
        raise _ElementError(f"{name!r} is no kind of chord that is played here")
    figures = ",".join(filter(None, map(_figure, harmony.findall("degree"))))
    return parse_chord(root + quality + (f"({figures})" if figures else "") + (f"/{bass}" if bass else ""))


def _note(harmony: ET.Element, name: str) -> str | None:
    """The name, such as `Bb`, of the root or the bass; None if there is none."""
    note = harmony.find(name)
    if note is None or (step := note.findtext(f"{name}-step")) is None:
        return None
    step = step.strip()
    if step not in tuple("ABCDEFG"):
        raise _ElementError(f"<{name}-step> is {step!r}; it must be A to G")
    alter = _number(note, f"{name}-alter")
    if alter not in _ALTERS:
        raise _ElementError(f"a {name} on {step} altered by {alter}: write it as a plain note, with one accidental")
    return step + _ALTERS[alter]


def _figure(degree: ET.Element) -> str:
    """An alteration as a chord symbol writes it: `b9`, `no3`. Empty for what chord symbols cannot leave out."""
    number, alter = _number(degree, "degree-value"), _number(degree, "degree-alter")
    if number < 1 or number.denominator != 1:
        raise _ElementError(f"<degree-value> is {number}; it must be a whole number from 1")
    change = degree.findtext("degree-type", "add").strip()
    if change not in ("add", "alter", "subtract"):
        raise _ElementError(f"<degree-type> is {change!r}; it must be add, alter or subtract")
    if change == "subtract":
        return f"no{number}" if number in (3, 5) else ""
    if number == 7:  # degrees are counted from a dominant chord; chords with a major seventh have kinds of their own
        return "7"
    return _ALTERS.get(alter, "") + str(number)


def _text(element: ET.Element) -> str:
    return (element.text or "").strip()


def _number(element: ET.Element, name: str) -> Fraction:
    """The number in the first child of that name; 0 if there is none."""
    text = element.findtext(name, "0").strip()
    if not _DECIMAL.fullmatch(text):
        raise _ElementError(f"<{name}> is {text!r}; it must be a number")
    return Fraction(text)


def _on_grid(position: Fraction) -> Fraction:
    return position if position.denominator <= _GRID else Fraction(round(position * _GRID), _GRID)


def _choice(element: ET.Element, attribute: str, *allowed: str) -> str | None:
    """The value of an attribute that must have one of the allowed values; None if it is not there."""
    value = element.get(attribute)
    if value is not None and value not in allowed:
        raise _ElementError(f"the {attribute} of <{element.tag}> is {value!r}; it must be {' or '.join(allowed)}")
    return value


class _ScoreReader:
    """Goes through the measures of a part once, in order, and keeps what each element means for those after it."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._form: Form[Bar] = Form(self._error)
        self._meter = Meter(4, 4)
        self._divisions = Fraction(1)  # of a quarter note: the unit of durations and offsets
        self._transpose = 0  # in semitones, from the written to the sounding pitch
        self._last_chord: Chord = NO_CHORD

    def read(self, measures: Iterable[ET.Element], info: ChartInfo) -> Chart:
        for number, measure in enumerate(measures, 1):
            try:
                self._measure(measure)
            except (_ElementError, ChordError) as error:
                raise self._error(str(error), number) from None
        return unfolded_chart(self._form, info, f"{self._source}: no bars in it")

    def _error(self, problem: str, bar: int) -> ChartError:
        """The error for a problem in a bar. Bars are counted from 1 as written, without pick-ups."""
        return ChartError(f"{self._source}, bar {bar}: {problem[:MAX_PROBLEM_LENGTH]}")

    def _measure(self, measure: ET.Element) -> None:
        position = Fraction(0)  # in quarter notes from the bar line
        chords: list[tuple[Fraction, Chord]] = []
        closing_signs: list[str] = []
        closing_lines: list[ET.Element] = []
        for element in measure:
            match element.tag:
                case "attributes":
                    self._attributes(element)
                case "note" | "forward" | "backup" if element.find("chord") is None:
                    position = _on_grid(max(Fraction(0), position + self._time(element)))
                case "harmony":
                    offset = _number(element, "offset") / self._divisions
                    chords.append((position + offset, _chord(element).transposed(self._transpose)))
                case "barline" if _choice(element, "location", "left", "middle", "right") == "left":
                    self._open(element)
                case "barline":
                    closing_lines.append(element)
                case "direction" | "sound":
                    closing_signs += self._direction(element)
        self._form.add_bar(self._bar(chords))
        for sign in closing_signs:
            self._form.add_sign(sign)
        for barline in closing_lines:
            self._close(barline)

    def _attributes(self, attributes: ET.Element) -> None:
        if attributes.find("divisions") is not None:
            self._divisions = _number(attributes, "divisions")
            if self._divisions <= 0:
                raise _ElementError(f"<divisions> is {self._divisions}; it must be greater than 0")
        for transpose in attributes.findall("transpose"):
            self._transpose = int(_number(transpose, "chromatic"))
        for time in attributes.findall("time"):
            beats, unit = time.findtext("beats", "").strip(), time.findtext("beat-type", "").strip()
            try:
                self._meter = parse_meter(f"{beats}/{unit}")
            except ChartError as error:
                raise _ElementError(str(error)) from None

    def _time(self, element: ET.Element) -> Fraction:
        """How far an element moves the position; 0 if it has no duration, as grace notes."""
        duration = _number(element, "duration")
        if duration < 0:
            raise _ElementError(f"<{element.tag}> lasts {duration}; a duration must not be negative")
        return (-duration if element.tag == "backup" else duration) / self._divisions

    def _direction(self, direction: ET.Element) -> list[str]:
        """Enter the sign or the section that begins with this bar. Return the sign that belongs to its end.

        The words say which sign it is, or else the attributes for the sound, or else the glyph.
        """
        signs = [text for words in direction.findall("direction-type/words") if _SIGN.fullmatch(text := _text(words))]
        signs += [
            sign for sound in direction.iter("sound") for attribute, sign in _SOUNDS.items() if sound.get(attribute)
        ]
        signs += [glyph.tag.capitalize() for glyph in direction.findall("direction-type/*") if glyph.tag in _GLYPHS]
        sign = signs[0] if signs else ""
        if stands_before_bar(sign):
            self._form.add_sign(sign)
        for rehearsal in direction.findall("direction-type/rehearsal"):
            if name := section_name(_text(rehearsal)):
                self._form.start_section(name)
        return [sign] if sign and not stands_before_bar(sign) else []

    def _open(self, barline: ET.Element) -> None:
        for repeat in barline.findall("repeat"):
            if _choice(repeat, "direction", "forward", "backward") == "forward":
                self._form.open_repeat()
        for ending in barline.findall("ending"):
            if _choice(ending, "type", "start", "stop", "discontinue") == "start":
                numbers = ending.get("number", "")
                if numbers.strip("0123456789,. ") or len(numbers) > _LONGEST_LIST:
                    raise _ElementError(f"the number of <ending> is {numbers!r}; it must be such as '1' or '1,2'")
                self._form.start_ending(tuple(map(int, re.findall(r"[0-9]+", numbers))) or (self._form.next_ending,))

    def _close(self, barline: ET.Element) -> None:
        endings = [_choice(each, "type", "start", "stop", "discontinue") for each in barline.findall("ending")]
        for repeat in barline.findall("repeat"):
            if _choice(repeat, "direction", "forward", "backward") == "backward":
                times = "0" if endings else repeat.get("times", "0").strip()
                if not re.fullmatch(r"[0-9]{1,9}", times):
                    raise _ElementError(f"the times of <repeat> is {times!r}; it must be a whole number")
                self._form.close_repeat(int(times) or None)
                return
        if "stop" in endings or "discontinue" in endings or barline.findtext("bar-style", "").strip() == "light-light":
            self._form.double_bar()

    def _bar(self, chords: list[tuple[Fraction, Chord]]) -> Bar:
        """A bar of half-beats, in which each chord begins on the nearest one and lasts until the next chord."""
        places = chord_onsets(2 * self._meter.numerator, self._meter)
        half_beat = self._meter.quarters / len(places)
        begins = {min(max(0, round(at / half_beat)), len(places) - 1): chord for at, chord in chords}
        last = self._last_chord
        filled = [last := begins.get(index, last) for index in range(len(places))]
        self._last_chord = last
        return make_bar(filled, places, self._meter)
