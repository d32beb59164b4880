# SPDX-License-Identifier: Apache-2.0
"""The chord symbols of MusicXML scores (`.musicxml`, `.xml`, compressed `.mxl`) as charts.

Read are the symbols of the first part that has any (of a part for a transposing instrument as they sound), its repeats,
endings and signs (by their texts, or by what they say of the sound), rehearsal marks as sections, and meters. Chords
begin on beats or halves of them. Bars that the score does not count (pick-ups) are left out.

The elements are read, and held against the schema, by the library `musicxml` (the extra `musicxml`), one released
lately, and small. It takes milliseconds for each note, so a score is first brought down to what chords need: a note
becomes the time that it takes.
"""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Protocol
from xml.etree import ElementTree as ET

from sideman.core.chart.chart import About, Bar, Chart, ChartError, Meter, bar_of, onsets, parse_meter, section_name
from sideman.core.chart.form import MOST_BARS, SIGN, Form, begins_bar
from sideman.core.errors import Unavailable
from sideman_models.errors import ChordError
from sideman_models.music.harmony import NO_CHORD, Chord, parse_chord

LARGEST = 1 << 23
MOST_ELEMENTS = 1 << 16
"""Of those that are kept of a score; no lead sheet has nearly so many."""

KINDS = {
    "major": "", "minor": "-", "augmented": "+", "diminished": "o", "dominant": "7", "major-seventh": "^7",
    "minor-seventh": "-7", "diminished-seventh": "o7", "augmented-seventh": "7#5", "half-diminished": "h7",
    "major-minor": "-^7", "major-sixth": "6", "minor-sixth": "-6", "dominant-ninth": "9", "major-ninth": "^9",
    "minor-ninth": "-9", "dominant-11th": "11", "major-11th": "^11", "minor-11th": "-11", "dominant-13th": "13",
    "major-13th": "^13", "minor-13th": "-13", "suspended-second": "sus2", "suspended-fourth": "sus", "power": "5",
}  # fmt: skip
"""The quality that stands for a kind of harmony."""
_ALTERS = {Fraction(-1): "b", Fraction(0): "", Fraction(1): "#"}
_KEPT = ("harmony", "barline", "direction", "sound")
_DIRECTIONS = ("words", "rehearsal", "segno", "coda")
_SOUNDS = {"dacapo": "D.C.", "dalsegno": "D.S.", "tocoda": "To Coda", "coda": "Coda", "segno": "Segno", "fine": "Fine"}
_SIGN = re.compile(SIGN, re.IGNORECASE)


def read_musicxml(data: bytes, source: str) -> Chart:
    """The chart of a score. ChartError names `source` and the bar; Unavailable: the library is not installed."""
    root = _tree(_unzipped(data, source) if data.startswith(b"PK") else data, source)
    title = (root.findtext("work/work-title") or root.findtext("movement-title") or "").strip()
    composer = next((one.text or "" for one in root.iter("creator") if one.get("type") == "composer"), "").strip()
    score = _typed(_slim(root, source), source)
    bars, sections = _Score(source).read(score)
    return Chart(bars, About(section_name(title), section_name(composer), sections=sections))


def _unzipped(data: bytes, source: str) -> bytes:
    """The score in a compressed file: the one that its container names, else the first."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if not name.startswith("META-INF/")]
            scores = [name for name in names if name.lower().endswith((".xml", ".musicxml"))]
            if "META-INF/container.xml" in archive.namelist():
                container = _tree(_member(archive, "META-INF/container.xml", source), source)
                roots = [one.get("full-path") for one in container.iter() if one.tag.endswith("rootfile")]
                scores = [name for name in roots if name in names] or scores
            if not scores:
                raise ChartError(f"{source}: no score in this compressed file")
            return _member(archive, scores[0], source)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ChartError(f"{source}: not a compressed score: {error}") from None


def _member(archive: zipfile.ZipFile, name: str, source: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ChartError(f"{source}: {name} is larger than {LARGEST >> 20} MiB")
    return data


def _tree(data: bytes, source: str) -> ET.Element:
    if any("<!ENTITY".encode(code) in data for code in ("ascii", "utf-16-le", "utf-16-be")):
        raise ChartError(f"{source}: it defines entities, which no score needs")
    try:
        return ET.fromstring(data)  # noqa: S314 - without entities there is nothing to blow up
    except (ET.ParseError, ValueError, LookupError) as error:
        raise ChartError(f"{source}: not XML that can be read: {error}") from None


def _slim(root: ET.Element, source: str) -> ET.Element:
    """A score of one part, its chords and signs and the time of everything else."""
    if root.tag != "score-partwise":
        raise ChartError(f"{source}: {root.tag!r} is no score; save it as MusicXML, part by part (score-partwise)")
    part = next((part for part in root.iter("part") if next(part.iter("harmony"), None) is not None), None)
    if part is None:
        raise ChartError(f"{source}: no chord symbols in it (no 'harmony' in any part)")
    slim = ET.Element("score-partwise", version="4.0")
    ET.SubElement(ET.SubElement(ET.SubElement(slim, "part-list"), "score-part", id="P1"), "part-name").text = "1"
    made = ET.SubElement(slim, "part", id="P1")
    for number, measure in enumerate(part.findall("measure"), 1):
        if measure.get("implicit") != "yes":
            one = ET.SubElement(made, "measure", number=str(number))
            one.extend(kept for each in measure for kept in _kept(each))
    if sum(1 for _ in slim.iter()) > MOST_ELEMENTS or len(made) > MOST_BARS:
        raise ChartError(f"{source}: far too long for a chart, which has {MOST_BARS} bars at most")
    return slim


def _kept(element: ET.Element) -> Iterator[ET.Element]:
    match element.tag:
        case "note" if element.find("chord") is None and element.find("duration") is not None:
            yield _with("forward", element, "duration")
        case "forward" | "backup" if element.find("duration") is not None:
            yield _with(element.tag, element, "duration")
        case "attributes":
            yield _with("attributes", element, "divisions", "time", "transpose")
        case "direction":
            kinds = [each for each in element.findall("direction-type") if len(each) and each[0].tag in _DIRECTIONS]
            if kinds:
                kept = ET.Element("direction")
                kept.extend([*kinds, *element.findall("sound")])
                yield kept
            else:
                yield from element.findall("sound")
        case tag if tag in _KEPT:
            yield element


def _with(tag: str, element: ET.Element, *children: str) -> ET.Element:
    made = ET.Element(tag)
    made.extend(each for name in children for each in element.findall(name))
    return made


class _Element(Protocol):
    """What the library makes of an element."""

    @property
    def name(self) -> str: ...

    @property
    def value_(self) -> object: ...

    @property
    def attributes(self) -> Mapping[str, str]: ...

    def get_children(self) -> Sequence[_Element]: ...


def _typed(slim: ET.Element, source: str) -> _Element:
    """The score as the library has it."""
    try:
        from musicxml.parser.parser import parse_musicxml
    except ImportError:
        raise Unavailable(f"{source}: to read MusicXML, install sideman[musicxml]") from None
    with tempfile.NamedTemporaryFile(suffix=".musicxml") as file:
        ET.ElementTree(slim).write(file, "us-ascii", xml_declaration=True)
        file.flush()
        try:
            score: _Element = parse_musicxml(file.name)
            return score
        except Exception as error:  # noqa: BLE001 - it has no error of its own that all others are kinds of
            told = " ".join(str(error).split())[:200]
            raise ChartError(f"{source}: not as MusicXML should be: {told or type(error).__name__}") from None


def _all(element: _Element, name: str) -> list[_Element]:
    return [child for child in element.get_children() if child.name == name]


def _told(element: _Element, *path: str) -> str | None:
    """What stands in the first element down this path; None if it is not there."""
    for name in path:
        found = _all(element, name)
        if not found:
            return None
        element = found[0]
    return str(element.value_)


def _number(element: _Element, *path: str) -> Fraction:
    """The number that stands there; 0 if none does."""
    try:
        return Fraction(_told(element, *path) or 0)
    except ValueError:
        return Fraction(0)


class _Score:
    """Goes through the bars of a score once."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._form: Form[Bar] = Form(self._error)
        self._meter = Meter(4, 4)
        self._divisions = Fraction(1)
        self._transpose = 0
        self._last: Chord = NO_CHORD
        self._behind: list[str] = []

    def read(self, score: _Element) -> tuple[tuple[Bar, ...], tuple[tuple[int, str], ...]]:
        for measure in _all(_all(score, "part")[0], "measure"):
            self._measure(measure)
        bars, sections = self._form.play()
        if not bars:
            raise ChartError(f"{self._source}: no bars in it")
        return tuple(bars), sections

    def _error(self, problem: str, bar: int | None = None) -> ChartError:
        return ChartError(f"{self._source}, bar {bar or len(self._form) + 1}: {problem}")

    def _measure(self, measure: _Element) -> None:
        at, chords = Fraction(0), list[tuple[Fraction, Chord]]()
        closing: list[_Element] = []
        for element in measure.get_children():
            match element.name:
                case "attributes":
                    self._attributes(element)
                case "forward" | "backup":
                    time = _number(element, "duration") / self._divisions
                    at = max(Fraction(0), at + (time if element.name == "forward" else -time))
                case "harmony":
                    offset = _number(element, "offset") / self._divisions
                    chords.append((at + offset, self._chord(element)))
                case "barline" if element.attributes.get("location") == "left":
                    self._opening(element)
                case "barline":
                    closing.append(element)
                case "direction" | "sound":
                    self._direction(element)
        self._form.add(self._bar(chords))
        for sign in self._behind:
            self._form.sign(sign)
        self._behind = []
        for barline in closing:
            self._closing(barline)

    def _attributes(self, element: _Element) -> None:
        divisions = _number(element, "divisions")
        if divisions > 0:
            self._divisions = divisions
        for transpose in _all(element, "transpose"):
            self._transpose = int(_number(transpose, "chromatic")) % 12
        for time in _all(element, "time"):
            try:
                self._meter = parse_meter(f"{_told(time, 'beats')}/{_told(time, 'beat-type')}")
            except ChartError as error:
                raise self._error(str(error)) from None

    def _chord(self, harmony: _Element) -> Chord:
        name = _told(harmony, "kind")
        if name == "none":
            return NO_CHORD
        root = self._note(harmony, "root")
        if root is None:
            raise self._error("a chord without a root; write chord symbols, not numerals")
        told = next((kind.attributes.get("text") for kind in _all(harmony, "kind")), None) or ""
        quality = told if name == "other" else KINDS.get(name or "")
        if quality is None:
            raise self._error(f"{name!r} is no kind of chord that is played here")
        figures = [figure for degree in _all(harmony, "degree") if (figure := self._figure(degree))]
        bass = self._note(harmony, "bass")
        extra = f"({','.join(figures)})" if figures else ""
        try:
            written = parse_chord(root + quality + extra + (f"/{bass}" if bass else ""))
        except ChordError as error:
            raise self._error(str(error)) from None
        return written.transposed(self._transpose)

    def _note(self, harmony: _Element, name: str) -> str | None:
        step = _told(harmony, name, f"{name}-step")
        if step is None:
            return None
        alter = _number(harmony, name, f"{name}-alter")
        if alter not in _ALTERS:
            raise self._error(f"a {name} on {step} altered by {alter}: write it as a plain note, with one accidental")
        return step + _ALTERS[alter]

    def _figure(self, degree: _Element) -> str:
        number, alter = _number(degree, "degree-value"), _number(degree, "degree-alter")
        if _told(degree, "degree-type") == "subtract":
            return f"no{number}" if number in (3, 5) else ""
        if number == 7:  # of a dominant chord, as it is counted from; a major one has a kind of its own
            return "7"
        return _ALTERS.get(alter, "") + str(number)

    def _bar(self, chords: list[tuple[Fraction, Chord]]) -> Bar:
        """The bar in half-beats, each chord from the nearest on."""
        meter = self._meter
        places = onsets(2 * meter.numerator, meter)
        filled: list[Chord] = []
        half = meter.quarters / len(places)
        starts = [(min(max(0, round(at / half)), len(places) - 1), chord) for at, chord in chords]
        for slot in range(len(places)):
            self._last = next((chord for at, chord in reversed(starts) if at == slot), self._last)
            filled.append(self._last)
        return bar_of(filled, places, meter)

    def _opening(self, barline: _Element) -> None:
        for repeat in _all(barline, "repeat"):
            if repeat.attributes.get("direction") == "forward":
                self._form.open_repeat()
        for ending in _all(barline, "ending"):
            if ending.attributes.get("type") == "start":
                numbers = re.findall(r"\d+", ending.attributes.get("number") or "")
                self._form.ending(tuple(int(number) for number in numbers[:64]) or (self._form.next_ending,))

    def _closing(self, barline: _Element) -> None:
        backward = [one for one in _all(barline, "repeat") if one.attributes.get("direction") == "backward"]
        endings = [one.attributes.get("type") for one in _all(barline, "ending")]
        if backward:
            times = backward[0].attributes.get("times")
            self._form.close_repeat(int(times) if times and not endings else None)
        elif "stop" in endings or "discontinue" in endings or _told(barline, "bar-style") == "light-light":
            self._form.double_bar()

    def _direction(self, element: _Element) -> None:
        """Its sign, if it is one: by its words, else by what it says of the sound, else by its glyph."""
        sounds = [element] if element.name == "sound" else _all(element, "sound")
        kinds = [kind for each in _all(element, "direction-type") for kind in each.get_children()]
        words = [str(kind.value_).strip() for kind in kinds if kind.name == "words"]
        signs = [word for word in words if _SIGN.fullmatch(word)]
        signs = signs or [text for one in sounds for name, text in _SOUNDS.items() if one.attributes.get(name)]
        signs = signs or [kind.name.capitalize() for kind in kinds if kind.name in ("segno", "coda")]
        for sign in signs[:1]:
            if begins_bar(sign):
                self._form.sign(sign)
            else:
                self._behind.append(sign)
        for kind in kinds:
            if kind.name == "rehearsal" and (name := section_name(str(kind.value_))):
                self._form.section(name)
