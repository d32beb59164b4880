# SPDX-License-Identifier: Apache-2.0
"""Reads the chord symbols of a MusicXML score (`.musicxml`, `.xml`, compressed `.mxl`) as a chart.

The part with the most chord symbols is read, with the signs of the first part. What is read:

- `harmony`: see `score_chords`. A chord begins on the nearest beat or half-beat; chords at one place share its time;
- `attributes`: divisions, key, meter, repeated bars, and transposition: the chords of a transposing instrument are read
  as they sound;
- `note`, `forward` and `backup`: how long they last, because this says where in the bar a chord stands;
- `barline`: repeats (with `after-jump` also after a D.C. or D.S.), endings, and the double bar that ends a last ending;
- `direction` and `sound`: the signs (Segno, Coda, To Coda, Fine, D.C., D.S.) and the rehearsal marks, which become the
  sections of the chart. Words and glyphs of one direction are read together;
- the title, the composer, and the tempo in the first bar.

**Measures are not always bars.** The first measure is a pick-up, and left out, if it is shorter than its meter. Short
measures that complete each other to a bar are one bar (it is split by a repeat sign, or has a pick-up in the middle). A
short measure that the score does not count is left out. All others are played as whole bars.

All other elements and attributes are ignored, whether or not the schema of MusicXML allows them. Only a score without
chords is refused. Everything else is played as near as can be, with a warning that names the bar as it is numbered in
the score.
"""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from xml.etree import ElementTree as ET

from msgspec import Struct, field
from msgspec.structs import replace

from sideman.charts.score_chords import (
    Key,
    glyph_text,
    number_of,
    read_harmony,
    text_of,
    tonic_chord,
    with_english_names,
)
from sideman.charts.score_file import read_score
from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, Meter, bar_on_grid, parse_meter
from sideman.core.chart.form import MAX_PASSES, Form, stands_before_bar
from sideman.core.chart.styles import Style, style_of
from sideman.core.chart.text import MAX_PROBLEM_LENGTH, ReaderWarnings, section_name, unfolded_chart
from sideman_models.limits import SCORE
from sideman_models.music.harmony import NO_CHORD, Chord

_GRID = 2**10 * 3**3 * 5 * 7 * 11 * 13
"""The parts of a quarter note in which places are kept that would need a larger denominator: such numbers could grow
with each element. No rhythm that can be written with tuplets of these numbers is rounded."""

_SOUNDS = {"dacapo": "D.C.", "dalsegno": "D.S.", "tocoda": "To Coda", "coda": "Coda", "segno": "Segno", "fine": "Fine"}
_GLYPHS = ("segno", "coda")
_MAX_STYLE = 60  # longer words are no style
_WORDS = re.compile(
    r"(?P<back>d\.?\s*[cs]\b\.?|da\s+capo|dal\s+segno)"
    r"(?:.*?\bal\s*(?:la\s*)?(?:(?P<fine>fine)|(?P<coda>(?:segno\s+e\s+poi\s+la\s+)?coda)|(?P<ending>[1-9])))?.*"
    r"|(?P<tocoda>(?:to|alla|al)\s+(?:the\s+)?coda)\W*\d*|(?P<before>coda|segno)(?:\s+(?:coda|segno))?\W*\d*"
    r"|(?P<end>fine)\W*",
    re.IGNORECASE | re.DOTALL,
)
"""The signs as scores write them: `D. S. al Coda`, `Dal Segno al Fine (2nd time)`, `To Coda 1`, `CODA`, `Fine.`"""
_SYMBOLS = str.maketrans({"𝄋": " Segno ", "𝄌": " Coda ", "⊕": " Coda "})
_MAX_PIECES = 4
"""The most measures that one split bar can have."""


def read_musicxml(data: bytes, source: str) -> Chart:
    """Read the chart of a score. ChartError names `source`."""
    warnings = ReaderWarnings(source)
    root = read_score(data, source, lambda problem: warnings.add(problem, None))
    title = root.findtext("work/work-title") or root.findtext("movement-title") or ""
    composer = next((each.text or "" for each in root.iter("creator") if each.get("type") == "composer"), "")
    parts = root.findall("part")
    counts = [sum(1 for _ in part.iter("harmony")) for part in parts]
    if not any(counts):
        raise ChartError(f"{source}: no chord symbols in it (no 'harmony' in any part)")
    part = parts[counts.index(max(counts))]
    if with_english_names(part):
        warnings.add("its chords have German letters: H is read as B, and B as Bb", None)
    measures = part.findall("measure")
    if sum(len(measure) for measure in measures) > SCORE.count:
        raise ChartError(f"{source}: far too long for a chart: more than {SCORE.count} {SCORE.items}")
    signs = parts[0].findall("measure") if parts[0] is not part else []
    first = [*measures[:1], *signs[:1]]
    info = ChartInfo(section_name(title), section_name(composer), tempo=_tempo_in(first), style=_style_in(measures[:1]))
    return _ScoreReader(source, warnings).read(measures, signs, info)


def _tempo_in(measures: list[ET.Element]) -> float | None:
    """The tempo that the first bar says, in quarter notes a minute."""
    texts = [each.get("tempo", "").strip() for measure in measures for each in measure.iter("sound")]
    tempos = (float(text) for text in texts if re.fullmatch(r"[0-9]{2,3}(?:\.[0-9]{1,9})?", text))
    return next((tempo for tempo in tempos if 20 <= tempo <= 400), None)


def _style_in(measures: list[ET.Element]) -> Style | None:
    """The style that the words above the first bar name, such as `Medium Swing`."""
    words = (text_of(each) for measure in measures for each in measure.iterfind("direction/direction-type/words"))
    return next((style for text in words if len(text) < _MAX_STYLE and (style := style_of(text))), None)


class _Measure(Struct):
    """A measure as it is written."""

    name: str
    is_counted: bool
    meter: Meter
    length: Fraction | None = None
    """In quarter notes; None if it is not known."""
    chords: list[tuple[Fraction, Chord]] = field(default_factory=list)
    """With their places, in quarter notes from the bar line."""
    repeats: int = 0
    """How many measures before it are repeated in it, and in those after it."""
    rests: int = 1
    """How many bars it stands for, if the measures after it are numbered so."""
    opens_repeat: bool = False
    ending: tuple[int, ...] | None = None
    sections: dict[str, None] = field(default_factory=dict)
    signs_before: dict[str, None] = field(default_factory=dict)
    signs_after: dict[str, str] = field(default_factory=dict)
    """By their kind."""
    closes_repeat: bool = False
    repeats_after_jump: bool = False
    times: int | None = None
    closes_ending: bool = False
    double_bar: bool = False
    is_bar: bool = True

    @property
    def is_short(self) -> bool:
        return self.length is not None and self.length < self.meter.quarters

    @property
    def is_marked(self) -> bool:
        """Whether a sign stands at its end."""
        return self.closes_repeat or self.closes_ending or self.double_bar or bool(self.signs_after)


class _ScoreReader:
    """Reads the measures of a part in order, finds out which of them are bars, and enters them into a form."""

    def __init__(self, source: str, warnings: ReaderWarnings) -> None:
        self._source = source
        self._warnings = warnings
        self._form: Form[Bar] = Form(self._error, lambda problem, bar: self._warnings.add(problem, self._name(bar)))
        self._measures: list[_Measure] = []
        self._bar_names: list[str] = []
        self._meter = Meter(4, 4)
        self._has_meter = self._has_divisions = False
        self._is_free = False  # without a meter: a measure of any length is a bar
        self._key = Key()
        self._first_key: tuple[int, str] | None = None  # its fifths and its mode
        self._divisions = Fraction(1)  # of a quarter note: the unit of durations and offsets
        self._transpose = 0  # in semitones, from the written to the sounding pitch
        self._first_transpose: int | None = None
        self._repeats = 0
        self._next: list[ET.Element] = []  # bar lines at the end of a measure that open what comes next
        self._last_chord: Chord = NO_CHORD

    def read(self, measures: list[ET.Element], signs: list[ET.Element], info: ChartInfo) -> Chart:
        for index, element in enumerate(measures):
            self._read_measure(element, index)
            for sign in signs[index] if index < len(signs) else ():
                self._take_sign(sign, Fraction(0))
        if not any(measure.chords for measure in self._measures):
            raise ChartError(f"{self._source}: no chord symbols in it that can be read")
        self._guess_meter()
        self._find_bars()
        for measure in self._measures:
            self._enter(measure)
        self._bar_names.append(self._bar_names[-1] if self._bar_names else "1")
        info = replace(info, key=self._tonic())
        return unfolded_chart(self._form, info, f"{self._source}: no bars in it", self._warnings)

    def _tonic(self) -> str:
        """The symbol of the tonic chord as it sounds, of the first key; empty if the score has none.

        Where the key does not say its mode, a last chord that is the minor tonic does.
        """
        if self._first_key is None or not -7 <= self._first_key[0] <= 7:
            return ""
        fifths, mode = self._first_key
        last = self._last_chord
        if not mode and 3 in last.quality.tones and last.root == Key(fifths % 12, "minor").pitch_of(1):
            mode = "minor"
        key = tonic_chord(fifths, mode)
        return ChartInfo(key=key).transposed(self._first_transpose).key if self._first_transpose else key

    def _name(self, bar: int) -> str:
        return self._bar_names[min(bar, len(self._bar_names)) - 1] if self._bar_names else str(bar)

    def _error(self, problem: str, bar: int) -> ChartError:
        return ChartError(f"{self._source}, bar {self._name(bar)}: {problem[:MAX_PROBLEM_LENGTH]}")

    def _doubt(self, problem: str) -> None:
        self._warnings.add(problem, self._measures[-1].name)

    def _read_measure(self, element: ET.Element, index: int) -> None:
        name = element.get("number", "")[:20].strip() or str(index + 1)
        is_counted = element.get("implicit") != "yes" and name != "0" and name[0] not in "Xx"
        measure = _Measure(name, is_counted, self._meter)
        self._measures.append(measure)
        for barline in self._next:
            self._open(barline)
        self._next = []
        position = longest = Fraction(0)  # in quarter notes from the bar line
        has_notes = False
        for child in element:
            match child.tag:
                case "attributes":
                    self._read_attributes(child)
                case "note" | "forward" | "backup" if child.find("chord") is None:
                    has_notes = has_notes or child.tag == "note"
                    position = _on_grid(max(Fraction(0), position + self._duration(child)))
                    longest = max(longest, position)
                case "harmony":
                    self._read_chord(child, position)
                case _:
                    self._take_sign(child, position)
        measure.meter, measure.repeats = self._meter, self._repeats
        if has_notes and longest and self._has_divisions and not self._is_free:
            measure.length = longest

    def _read_chord(self, harmony: ET.Element, position: Fraction) -> None:
        at = position + number_of(harmony, "offset", self._doubt) / self._divisions
        if (chord := read_harmony(harmony, self._key, self._doubt)) is not None:
            if at > self._meter.quarters:
                self._doubt(f"{chord} stands after the end of its bar: played at its end")
            self._measures[-1].chords.append((_on_grid(at), chord.transposed(self._transpose)))

    def _read_attributes(self, attributes: ET.Element) -> None:
        self._has_divisions |= attributes.find("divisions") is not None
        divisions = number_of(attributes, "divisions", self._doubt, self._divisions)
        if divisions > 0:
            self._divisions = divisions
        else:
            self._doubt(f"<divisions> is {divisions}, which is not possible: it stays {self._divisions}")
        if (key := attributes.find("key")) is not None:
            fifths, mode = int(number_of(key, "fifths", self._doubt)), text_of(key.find("mode"))
            self._key = Key(fifths % 12, mode)
            self._first_key = self._first_key or (fifths, mode)
        if (transpose := attributes.find("transpose")) is not None:
            self._transpose = int(number_of(transpose, "chromatic", self._doubt)) % 12
        self._first_transpose = self._transpose if self._first_transpose is None else self._first_transpose
        if (time := attributes.find("time")) is not None:
            self._read_meter(time)
        for style in attributes.iterfind("measure-style/*"):
            if style.tag == "measure-repeat":
                count = text_of(style)
                starts = style.get("type") != "stop"
                self._repeats = min(int(count), 8) if starts and re.fullmatch("[0-9]{1,4}", count) else int(starts)
            elif style.tag == "multiple-rest" and re.fullmatch("[0-9]{1,3}", text_of(style)):
                self._measures[-1].rests = int(text_of(style))

    def _read_meter(self, time: ET.Element) -> None:
        """Read a meter; of an additive one, such as 3+2/8 or 3/8 and 1/4, the sum."""
        self._is_free = time.find("senza-misura") is not None
        if self._is_free:
            return
        written = [(text_of(each), time.findall("beat-type")) for each in time.findall("beats")]
        texts = [
            f"{beats}/{text_of(units[min(at, len(units) - 1)]) if units else ''}"
            for at, (beats, units) in enumerate(written[:8])
        ]
        try:
            numbers = [re.fullmatch(r"([0-9]{1,2}(?:\s*\+\s*[0-9]{1,2}){0,7})/([0-9]{1,2})", text) for text in texts]
            pairs = [(sum(map(int, match[1].split("+"))), int(match[2])) for match in numbers if match]
            unit = max((unit for _, unit in pairs), default=0)
            whole = len(pairs) == len(texts) and all(each and unit % each == 0 for _, each in pairs)
            beats = sum(count * unit // each for count, each in pairs) if whole else 0
            self._meter = parse_meter(f"{beats}/{unit}" if beats else " and ".join(texts)[:40])
            self._has_meter = True
        except ChartError:
            self._doubt(f"{' and '.join(texts)[:40]!r} is not a meter that is played here: it stays {self._meter}")

    def _duration(self, element: ET.Element) -> Fraction:
        """How far an element moves the position; 0 if it has no duration, as grace notes."""
        duration = number_of(element, "duration", self._doubt)
        if duration < 0:
            self._doubt(f"<{element.tag}> lasts {duration}, which is not possible: read as 0")
            return Fraction(0)
        return (-duration if element.tag == "backup" else duration) / self._divisions

    def _take_sign(self, element: ET.Element, position: Fraction) -> None:
        match element.tag:
            case "direction" | "sound":
                self._read_direction(element, position)
            case "barline":
                location = element.get("location", "right" if position else "left")
                if location == "left":
                    self._open(element)
                elif any(each.get("direction") == "forward" for each in element.iterfind("repeat")) or any(
                    each.get("type") == "start" for each in element.iterfind("ending")
                ):
                    self._next.append(element)
                self._close(element, at_left=location == "left")

    def _read_direction(self, direction: ET.Element, position: Fraction) -> None:
        """Read signs and sections. The words say which sign it is, or else the sound, or else the glyph."""
        measure = self._measures[-1]
        kinds = direction.findall("direction-type/*")[:20]
        words = [text_of(each).translate(_SYMBOLS) for each in kinds if each.tag in ("words", "rehearsal")]
        glyphs = [sign for each in kinds if (sign := _glyph(each))]
        parts = (_glyph(each) or (text_of(each).translate(_SYMBOLS) if each.tag == "words" else "") for each in kinds)
        whole = " ".join(filter(None, parts))
        sounds = list(direction.iter("sound"))
        measure.opens_repeat |= any(each.get("forward-repeat") == "yes" for each in sounds)
        played = [
            sign for each in sounds for name, sign in _SOUNDS.items()
            if each.get(name, "no") not in ("", "no") and (name != "dacapo" or each.get(name) == "yes")
        ]  # fmt: skip
        signs = [sign for text in (whole, *words) if (sign := _sign_of(text))] or played or glyphs
        for sign in signs[:1]:
            self._take(sign, position)
        for each in kinds:
            if each.tag == "rehearsal" and (name := section_name(text_of(each))):
                measure.sections[name] = None

    def _take(self, sign: str, position: Fraction) -> None:
        measure = self._measures[-1]
        if sign in ("Segno", "Coda"):
            if 2 * position < self._meter.quarters:
                measure.signs_before[sign] = None
            else:
                measure.signs_after.setdefault(sign, sign)
            return
        kind = "back" if sign.startswith("D.") else sign
        measure.signs_after[kind] = max(measure.signs_after.get(kind, ""), sign, key=len)

    def _open(self, barline: ET.Element) -> None:
        measure = self._measures[-1]
        measure.opens_repeat |= any(each.get("direction") == "forward" for each in barline.iterfind("repeat"))
        for ending in barline.iterfind("ending"):
            if ending.get("type", "start") == "start":
                measure.ending = _ending_numbers(ending.get("number", "")) or _ending_numbers(text_of(ending))

    def _close(self, barline: ET.Element, *, at_left: bool) -> None:
        measure = self._measures[-2 if at_left and len(self._measures) > 1 else -1]
        endings = [each.get("type") for each in barline.iterfind("ending")]
        closes = [each for each in barline.iterfind("repeat") if each.get("direction") == "backward"]
        for repeat in barline.iterfind("repeat"):
            if repeat.get("direction") not in ("forward", "backward"):
                self._doubt(f"a repeat in the direction {repeat.get('direction', '')[:40]!r}: left out")
        for repeat in closes:
            measure.closes_repeat = True
            measure.repeats_after_jump |= repeat.get("after-jump") == "yes"
            times = repeat.get("times", "").strip()
            if re.fullmatch(r"[0-9]{1,4}", times):
                measure.times = int(times) or None
            elif times:
                self._doubt(f"the times of <repeat> is {times[:40]!r}, which is no number: played twice")
        measure.closes_ending |= "stop" in endings or "discontinue" in endings
        measure.double_bar |= text_of(barline.find("bar-style")) in ("light-light", "light-heavy")

    def _guess_meter(self) -> None:
        """Without any meter in the score, most of its measures say how long a bar is."""
        lengths = Counter(measure.length for measure in self._measures if measure.length)
        if self._has_meter or self._is_free or not lengths:
            return
        common = lengths.most_common(1)[0][0]
        numerator, denominator = (common, 4) if common and common.denominator == 1 else ((common or 0) * 2, 8)
        try:
            meter = parse_meter(f"{numerator}/{denominator}")
        except ChartError:
            return
        if meter != self._meter:
            self._warnings.add(f"it has no meter: read as {meter}, the length of most bars", None)
        for measure in self._measures:
            measure.meter = meter

    def _find_bars(self) -> None:
        """Find the measures that are no bars of their own: `is_bar` becomes false, and their chords move."""
        measures = self._measures
        self._find_pick_up()
        for measure, after in pairwise([*measures, _Measure("", True, self._meter)]):
            numbers = [each.name for each in (measure, after) if re.fullmatch("[0-9]{1,5}", each.name)]
            if len(numbers) < 2 or int(numbers[1]) - int(numbers[0]) != measure.rests:
                measure.rests = 1  # each of the bars has a measure
        is_sloppy = 2 * sum(measure.is_short for measure in measures) > len(measures)
        at = 0
        while at < len(measures):
            head = measures[at]
            count = self._pieces_at(at, is_sloppy=is_sloppy) if head.is_bar else 1
            place = head.length or Fraction(0)
            for piece in measures[at + 1 : at + count]:
                head.chords += [(place + where, chord) for where, chord in piece.chords]
                place += piece.length or 0
                piece.is_bar, piece.chords = False, []
            if count == 1 and head.is_bar and head.is_short and not head.is_counted and at:
                head.is_bar = False
                if head.chords:
                    self._warnings.add("a short bar that the score does not count: left out", head.name)
            at += count

    def _find_pick_up(self) -> None:
        first, after = self._measures[0], self._measures[1:]
        if not after:
            return
        quarters = max(first.meter.quarters, after[0].meter.quarters) if not first.is_counted else first.meter.quarters
        is_short = first.length is not None and first.length < quarters
        if is_short and first.chords and self._pieces_at(0, is_sloppy=False) > 1:
            return  # a split bar
        alike = all(measure.length == first.length for measure in after)
        first.is_bar = not (
            (is_short and not (alike and first.is_counted)) or (not first.is_counted and not first.chords)
        )

    def _pieces_at(self, at: int, *, is_sloppy: bool) -> int:
        """How many measures from this one on are one bar that is split. In a sloppy score only signs split bars."""
        head, total = self._measures[at], Fraction(0)
        for count, piece in enumerate(self._measures[at : at + _MAX_PIECES], 1):
            if not piece.is_short or piece.meter != head.meter or (count > 1 and piece.ending):
                return 1
            if count > 1 and is_sloppy and piece.is_counted and not self._measures[at + count - 2].is_marked:
                return 1
            total += piece.length or 0
            if total >= head.meter.quarters:
                return count if total == head.meter.quarters else 1
        return 1

    def _enter(self, measure: _Measure) -> None:
        """Enter a measure into the form, in the order of what is written."""
        form = self._form
        self._bar_names[len(form) :] = [measure.name]
        if measure.opens_repeat:
            form.open_repeat()
        if measure.ending is not None:
            form.start_ending(measure.ending or (form.next_ending,))
        for sign in measure.signs_before:
            form.add_sign(sign)
        for name in measure.sections:
            form.start_section(name)
        if measure.is_bar:
            self._enter_bar(measure)
        elif measure.chords:
            self._last_chord = measure.chords[-1][1]
        if len(form):
            self._enter_end(measure)

    def _enter_end(self, measure: _Measure) -> None:
        starts_next = [sign for sign in measure.signs_after.values() if stands_before_bar(sign)]
        for sign in measure.signs_after.values():
            if sign not in starts_next:
                self._form.add_sign(sign)
        if measure.closes_repeat:
            times = None if measure.closes_ending else measure.times
            self._form.close_repeat(times, after_jump=measure.repeats_after_jump)
        elif measure.closes_ending or measure.double_bar:
            self._form.double_bar()
        for sign in starts_next:
            self._form.add_sign(sign)

    def _enter_bar(self, measure: _Measure) -> None:
        if measure.repeats and not measure.chords and (bars := self._form.last_bars(measure.repeats)):
            bar = bars[0]
        else:
            bar = bar_on_grid(self._shared(measure), measure.meter, self._last_chord)
        self._last_chord = bar.chords[-1][1]
        self._form.add_bar(bar)
        self._bar_names += [measure.name] * (measure.rests - 1)
        for _ in range(measure.rests - 1):
            self._form.add_bar(Bar(((0.0, self._last_chord),), measure.meter))

    def _shared(self, measure: _Measure) -> list[tuple[Fraction, Chord]]:
        """Return the chords with their places; those at one place share the time until the next one."""
        quarters = measure.meter.quarters
        groups: dict[Fraction, dict[Chord, None]] = {}
        for at, chord in measure.chords:
            groups.setdefault(min(max(Fraction(0), at), quarters), {})[chord] = None
        starts = sorted(groups)
        chords: list[tuple[Fraction, Chord]] = []
        for at, end in pairwise([*starts, quarters]):
            group = groups[at]
            if len(group) > 1:
                self._warnings.add(f"{len(group)} chords at one place: they share its time", measure.name)
            chords += [(at + (end - at) * Fraction(index, len(group)), chord) for index, chord in enumerate(group)]
        return chords


def _on_grid(position: Fraction) -> Fraction:
    return position if position.denominator <= _GRID else Fraction(round(position * _GRID), _GRID)


def _glyph(kind: ET.Element) -> str:
    """Return the sign that an element of a direction draws, empty if it is none."""
    if kind.tag in _GLYPHS:
        return kind.tag.capitalize()
    name = text_of(kind) if kind.tag == "symbol" else kind.get("smufl", "")
    return glyph_text(name).translate(_SYMBOLS).strip()


def _sign_of(text: str) -> str:
    """Return the sign that a text is, as a form names it; empty if it is none."""
    match = _WORDS.fullmatch(text.strip()[:100])
    if match is None:
        return ""
    if match["back"]:
        goal = "Fine" if match["fine"] else "Coda" if match["coda"] else ""
        name = "D.S." if re.match(r"d\.?\s*s|dal", match["back"], re.IGNORECASE) else "D.C."
        goal = goal or (f"{match['ending']}. Ending" if match["ending"] else "")
        return f"{name} al {goal}" if goal else name
    if match["before"]:
        return match["before"].capitalize()
    return "To Coda" if match["tocoda"] else "Fine"


def _ending_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of an ending: `1`, `1,2`, `1. 2.`, `1-3`."""
    numbers: set[int] = set()
    for first, last in re.findall(r"([0-9]{1,3})[.\s]*(?:[-–][.\s]*([0-9]{1,3}))?", text[:300]):
        numbers |= set(range(int(first), min(int(last or first), int(first) + MAX_PASSES) + 1))
    return tuple(sorted(numbers - {0}))
