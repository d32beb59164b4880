# SPDX-License-Identifier: Apache-2.0
"""Writes MusicXML scores of known content, in the spellings in which notation programs write it.

`song_bars` says how a form is played and `write_score` writes it: so a test knows what a reader must find. `SPELLINGS`
has, for each choice, the ways that mean the same.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from fractions import Fraction
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from msgspec import Struct


def kind(name: str, text: str | None = None, *degrees: tuple[int, int, str]) -> str:
    """The kind of a chord and its degrees: value, alteration, type."""
    label = "" if text is None else f" text={quoteattr(text)}"
    return f"<kind{label}>{name}</kind>" + "".join(
        f"<degree><degree-value>{value}</degree-value><degree-alter>{alter}</degree-alter>"
        f"<degree-type>{change}</degree-type></degree>"
        for value, alter, change in degrees
    )


CHORD_SPELLINGS: dict[str, tuple[str, ...]] = {
    "": (
        kind("major"), kind("", ""), "", kind("Major"), kind("", "maj"), kind("augmented", None, (5, -1, "alter")),
        kind("minor", None, (3, 1, "alter")),
    ),
    "-": (
        kind("minor"), kind("min"), kind("", "m"), kind("other", "mi"), kind("diminished", None, (5, 1, "alter")),
        kind("minor", None, (3, 0, "alter")), kind("major", None, (3, -1, "alter")), kind("", "\ue874"),
    ),
    "7": (kind("dominant"), kind("dominant-seventh"), kind("7"), kind("", "7"), kind("major", None, (7, 0, "add"))),
    "^7": (kind("major-seventh"), kind("maj7"), kind("", "maj7"), kind("other", "Δ7"),
            kind("major", "", (7, 1, "add"))),
    "-7": (kind("minor-seventh"), kind("min7"), kind("other", "-7"), kind("minor", None, (7, 0, "add"))),
    "-^7": (
        kind("major-minor"), kind("minor-major", "mM7"), kind("minor-major-seventh"), kind("", "m(maj7)"),
        kind("minor", None, (7, 1, "add")), kind("minor-seventh", None, (7, 1, "alter")),
    ),
    "h7": (
        kind("half-diminished"), kind("half-diminished-seventh"), kind("", "ø7"), kind("m7b5"),
        kind("minor-seventh", None, (5, -1, "alter")), kind("diminished", None, (7, 0, "add")),
        kind("diminished-seventh", None, (7, 1, "alter")), kind("", "\ue8717"),
    ),
    "o7": (
        kind("diminished-seventh"), kind("dim7"), kind("", "o7"), kind("diminished", None, (7, -1, "add")),
        kind("half-diminished", None, (7, -1, "alter")), kind("diminished", None, (7, -2, "add")), kind("", "\ue8707"),
    ),
    "+": (kind("augmented"), kind("aug"), kind("", "+"), kind("major", None, (5, 1, "alter"))),
    "7#5": (kind("augmented-seventh"), kind("augmented-dominant-seventh"), kind("dominant", "+7", (5, 1, "alter"))),
    "9#5": (kind("augmented-ninth", "9+"), kind("dominant-ninth", None, (5, 1, "alter")), kind("other", "9#5")),
    "9": (kind("dominant-ninth"), kind("ninth"), kind("dominant", None, (9, 0, "add"))),
    "13": (kind("dominant-13th"), kind("dominant-thirteenth"), kind("dominant", None, (13, 0, "add"))),
    "7b9": (kind("dominant", None, (9, -1, "add")), kind("dominant-ninth", None, (9, -1, "alter")), kind("", "7b9")),
    "7b9b13": (kind("dominant", None, (9, -1, "add"), (13, -1, "add")), kind("other", "7(b9,b13)")),
    "7#11": (kind("dominant", None, (11, 1, "add")), kind("other", "7♯11"), kind("", "7#11")),
    "-11": (kind("minor-11th"), kind("minor-eleventh"), kind("minor-seventh", None, (11, 0, "add"))),
    "add9": (kind("major", "add9", (9, 0, "add")), kind("major", None, (2, 0, "add")), kind("other", "add9")),
    "-add9": (kind("minor", "m(add9)", (9, 0, "add")), kind("", "m(add9)")),
    "6": (kind("major-sixth"), kind("", "6"), kind("major", None, (6, 0, "add"))),
    "69": (kind("major-sixth", "6/9", (9, 0, "add")), kind("", "6/9"), kind("maj69")),
    "-6": (kind("minor-sixth"), kind("min6"), kind("minor", None, (6, 0, "add"))),
    "sus": (kind("suspended-fourth"), kind("", "sus4"), kind("sus4"), kind("suspended")),
    "7sus": (
        kind("suspended-fourth", "7sus4", (7, 0, "add")), kind("suspended-fourth-seventh"), kind("other", "7sus"),
        kind("dominant", None, (4, 0, "add"), (3, 0, "subtract")), kind("dominant", None, (3, 1, "alter")),
    ),
    "5": (kind("power"), kind("major", None, (3, 0, "subtract")), kind("other", "5")),
}  # fmt: skip
"""The qualities of chords and the ways to write them, without their root."""

ROOTS = {"C": ("C", 0), "Db": ("D", -1), "D": ("E", -2), "F#": ("F", 1), "A": ("B", -2), "G": ("F", 2), "Ab": ("A", -1)}

SPELLINGS: dict[str, tuple[str, ...]] = {
    "meter": ("4/4", "3/4", "6/8", "2+3/4"),
    "pick-up": ("none", "counted", "implicit", "zero", "padded"),
    "split": ("none", "implicit", "double bar"),
    "signs": ("words", "sound", "both", "glyphs", "parted words", "loose words", "symbols", "font", "other"),
    "endings": ("stop", "discontinue", "no repeat sign", "number with dots", "number as text"),
    "opening": ("sign", "sound", "right of the bar before"),
    "voices": ("one", "two", "offsets"),
    "parts": ("alone", "second", "by measures"),
    "attributes": ("plain", "odd"),
    "numbers": ("plain", "with X"),
    "file": (
        "plain", "utf-16", "wrong encoding", "namespace", "doctype", "entity", "ampersand", "mxl", "no container",
        "broken container", "empty container", "container of a missing file", "utf-16 container",
    ),
}  # fmt: skip
"""The choices and the ways of each; the first one is what the schema describes."""

FORMS: dict[str, tuple[str, str]] = {
    "plain": ("a b c", "abc"),
    "repeat": ("|: a b :| c", "ababc"),
    "endings": ("|: a [1 b ]1 [2 c ]2 d", "abacd"),
    "three endings": ("a |: b [1,2 c ]1 [3 d ]2", "abcbcbd"),
    "da capo": ("a b Fine c D.C.alFine", "abcab"),
    "to the coda": ("a Segno b ToCoda c D.S.alCoda Coda d", "abcbd"),
    "repeat and coda": ("|: a :| b ToCoda c D.C.alCoda Coda d", "aabcabd"),
}
"""The forms: as written, and the order in which the parts are played."""


class Song(Struct, frozen=True):
    """A song: its form, how many bars each part has, and the two chords of each bar (quality, spelling, root)."""

    form: str
    sizes: tuple[int, int, int, int]
    chords: tuple[tuple[str, int, str], ...]

    def part(self, name: str) -> list[int]:
        """The numbers of a part's bars."""
        first = sum(self.sizes["abcd".index(each)] for each in "abcd"[: "abcd".index(name)])
        return list(range(first, first + self.sizes["abcd".index(name)]))

    def chords_of(self, bar: int) -> tuple[tuple[str, int, str], ...]:
        """The chords of a bar: one on its first beat, every other bar another one on its last beat."""
        both = [self.chords[(2 * bar + at) % len(self.chords)] for at in range(1 + bar % 2)]
        return tuple(both)


def song_bars(song: Song) -> list[list[str]]:
    """The symbols of the chords of each bar, in the order played."""
    order = [bar for name in FORMS[song.form][1] for bar in song.part(name)]
    return [[root + quality for quality, _, root in song.chords_of(bar)] for bar in order]


def _harmony(chord: tuple[str, int, str], offset: int = 0) -> str:
    quality, spelling, root = chord
    step, alter = ROOTS[root]
    ways = CHORD_SPELLINGS[quality]
    alters = f"<root-alter>{alter}</root-alter>" if alter else ""
    moved = f"<offset>{offset}</offset>" if offset else ""
    return f"<harmony><root><root-step>{step}</root-step>{alters}</root>{ways[spelling % len(ways)]}{moved}</harmony>"


def _note(duration: int, *, voice: int = 1) -> str:
    return f"<note><rest/><duration>{duration}</duration><voice>{voice}</voice></note>" if duration else ""


def _direction(inside: str, sound: str = "") -> str:
    return f"<direction>{f'<direction-type>{inside}</direction-type>' if inside else ''}{sound}</direction>"


_SOUNDS = {
    "Segno": 'segno="s"', "Coda": 'coda="c"', "ToCoda": 'tocoda="c"', "Fine": 'fine="yes"',
    "D.C.alFine": 'dacapo="yes"', "D.C.alCoda": 'dacapo="yes"', "D.S.alCoda": 'dalsegno="s"',
}  # fmt: skip
_WORDS = {
    "ToCoda": "To Coda", "D.C.alFine": "D.C. al Fine", "D.C.alCoda": "D.C. al Coda", "D.S.alCoda": "D.S. al Coda",
}  # fmt: skip
_LOOSE = {
    "ToCoda": "to Coda 1", "D.C.alFine": "D. C. al fine (no repeat)", "D.C.alCoda": "Da Capo al Coda",
    "D.S.alCoda": "D.S.al Coda", "Fine": "FINE.", "Coda": "CODA", "Segno": "segno",
}  # fmt: skip


_FONT = {
    "Coda": ("coda", "\ue048"), "Segno": ("segno", "\ue047"), "D.C.": ("daCapo", "\ue046"),
    "D.S.": ("dalSegno", "\ue045"),
}  # fmt: skip
"""The signs as music fonts have them: name and character."""
_FONT_GLYPHS = re.compile("^D\\.[CS]\\.|Segno|Coda")


def _drawn(words: str, form: str) -> str:
    """Words with glyphs between them, each in an element of its own."""
    pieces = re.split(f"({_FONT_GLYPHS.pattern})", words)
    texts = (
        form.format(_FONT[each][0]) if each in _FONT else f"<words>{each}</words>" for each in pieces if each.strip()
    )
    return "</direction-type><direction-type>".join(texts)


def _sign(sign: str, way: str) -> str:
    words, sound = _WORDS.get(sign, sign), f"<sound {_SOUNDS[sign]}/>"
    glyph = {"Segno": "<segno/>", "Coda": "<coda/>", "ToCoda": "<coda/>"}.get(sign, f"<words>{words}</words>")
    parted = f"<words>{words}</words>".replace(" al ", " al </words><words> ")
    parted = parted.replace("To Coda", "To</words></direction-type><direction-type><coda/><words>")
    return {
        "words": _direction(f"<words>{words}</words>"),
        "sound": sound,
        "both": _direction(f"<words>{words}</words>") + _direction("", sound),
        "glyphs": _direction(glyph),
        "parted words": _direction(parted),
        "symbols": _direction(_drawn(words, "<symbol>{}</symbol>")),
        "other": _direction(_drawn(words, '<other-direction smufl="{}"/>')),
        "font": _direction(f"<words>{_FONT_GLYPHS.sub(lambda each: _FONT[each[0]][1], words)}</words>"),
        "loose words": _direction(f"<words>{_LOOSE[sign]}</words>"),
    }[way]


class _Measure(Struct):
    bar: int = -1
    left: str = ""
    right: str = ""
    before: str = ""
    after: str = ""


def _written(song: Song, how: Mapping[str, str]) -> list[_Measure]:
    """The measures with their signs."""
    measures: list[_Measure] = []
    left = before = ""
    number = {"number with dots": '"{0}."/>', "number as text": '"">{0}.</ending>'}.get(how["endings"], '"{0}"/>')
    for word in FORMS[song.form][0].split():
        if word in ("a", "b", "c", "d"):
            added = [_Measure(bar) for bar in song.part(word)]
            added[0].left, added[0].before = left, before
            measures, left, before = measures + added, "", ""
        elif word == "|:":
            opening = how["opening"] if measures or how["opening"] == "sound" else "sign"
            before += '<sound forward-repeat="yes"/>' if opening == "sound" else ""
            left += '<repeat direction="forward"/>' if opening == "sign" else ""
            if opening == "right of the bar before":
                measures[-1].right += '<repeat direction="forward"/>'
        elif word.startswith("["):
            left += f'<ending type="start" number={number.format(word[1:])}'
        elif word in ("Segno", "Coda"):
            before += _sign(word, how["signs"])
        elif word in _SOUNDS:
            measures[-1].after += _sign(word, how["signs"])
        else:
            measures[-1].right += _closing(word, how["endings"])
    return measures


def _closing(word: str, how: str) -> str:
    """The end of a repeat or of an ending."""
    repeat = '<repeat direction="backward"/>'
    if word == ":|":
        return repeat
    kind = "discontinue" if how == "discontinue" and word == "]2" else "stop"
    return f'<ending number="1" type="{kind}"/>' + (repeat if word == "]1" and how != "no repeat sign" else "")


def _measure_text(song: Song, measure: _Measure, name: str, how: Mapping[str, str]) -> str:
    """One measure of a bar, or its halves."""
    size, last = _bar_size(how["meter"])
    chords = song.chords_of(measure.bar)
    left = f'<barline location="left">{measure.left}</barline>' if measure.left else ""
    right = f'<barline location="right">{measure.right}</barline>' if measure.right else ""
    first = size - last if len(chords) > 1 else size
    if how["split"] != "none" and measure.bar % 3 == 1 and len(chords) > 1:
        implicit = ' implicit="yes"' if how["split"] == "implicit" else ""
        mark = '<barline location="right"><bar-style>light-light</bar-style></barline>'
        return (
            f'<measure number="{name}">{left}{measure.before}{_harmony(chords[0])}{_note(first)}'
            f'{mark if not implicit else ""}</measure><measure number="{"X1" if implicit else name + "a"}"{implicit}>'
            f"{_harmony(chords[1])}{_note(last)}{measure.after}{right}</measure>"
        )
    if how["voices"] == "offsets":
        inside = "".join(_harmony(chord, at * first) for at, chord in enumerate(chords)) + _note(size)
    else:
        inside = _harmony(chords[0]) + _note(first)
        inside += _harmony(chords[1]) + _note(last) if len(chords) > 1 else ""
        if how["voices"] == "two":
            inside += f"<backup><duration>{size}</duration></backup>{_note(size // 2, voice=2)}"
    return f'<measure number="{name}">{left}{measure.before}{inside}{measure.after}{right}</measure>'


def _bar_size(meter: str) -> tuple[int, int]:
    """The length of a bar and of its last beat, in twelfths of a quarter note."""
    beats, unit = meter.split("/")
    beat = 12 * 4 // int(unit)
    return sum(map(int, beats.split("+"))) * beat, beat


def _pick_up(how: Mapping[str, str], attributes: str) -> str:
    size, beat = _bar_size(how["meter"])
    marks = {"counted": 'number="1"', "implicit": 'number="1" implicit="yes"', "zero": 'number="0"'}
    mark = marks.get(how["pick-up"], 'number="0" implicit="yes"')
    return f"<measure {mark}>{attributes}{_note(size if how['pick-up'] == 'padded' else beat)}</measure>"


def write_score(song: Song, how: Mapping[str, str]) -> bytes:
    """The file of a song; `how` names a way for each choice of `SPELLINGS`."""
    beats, unit = how["meter"].split("/")
    attributes = (
        "<attributes><divisions>12</divisions><key><fifths>-1</fifths></key>"
        f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time></attributes>"
    )
    measures = _written(song, how)
    head = "" if how["pick-up"] == "none" else _pick_up(how, attributes)
    first = len(head) > 0
    names = [f"X{at}" if how["numbers"] == "with X" and at % 4 == 3 else str(at + 1 + first) for at in range(99)]
    texts = [_measure_text(song, each, names[at], how) for at, each in enumerate(measures)]
    if not head:
        texts[0] = texts[0].replace(">", f">{attributes}", 1)
    body = head + "".join(texts)
    if how["attributes"] == "odd":
        body = body.replace("<harmony>", '<harmony default-y="high" xml:lang="en" print-frame="maybe">')
        body = body.replace("<note>", '<note default-x="?" dynamics="loud"><listen/>')
        body = body.replace("<words>", '<words xml:lang="it" font-size="big" relative-x="">')
    return _packed(_document(body, how), how["file"])


def _document(body: str, how: Mapping[str, str]) -> str:
    title = {"entity": "Caf&eacute;&nbsp;Ours", "ampersand": "Me & Ours"}.get(how["file"], "Ours")
    open_tag = '<score-partwise version="4.0">'
    if how["file"] == "namespace":
        open_tag = '<score-partwise xmlns="http://www.musicxml.org/ns">'
    listed = '<part-list><score-part id="P0"/><score-part id="P1"/></part-list>'
    other = f'<part id="P0"><measure number="1">{_harmony(("7", 0, "C"))}{_note(12)}</measure></part>'
    parts = f'{other if how["parts"] == "second" else ""}<part id="P1">{body}</part>'
    text = f"{open_tag}<work><work-title>{title}</work-title></work>{listed}{parts}</score-partwise>"
    if how["parts"] == "by measures":
        turned = body.replace("</measure>", "</part></measure>")
        pieces = turned.split("<measure ")
        opened = '><part id="P1">'
        turned = "".join("<measure " + each.replace(">", opened, 1) for each in pieces[1:])
        text = text.replace(f'<part id="P1">{body}</part>', turned).replace("score-partwise", "score-timewise")
    return text


def _packed(text: str, how: str) -> bytes:
    start = '<?xml version="1.0" encoding="UTF-8"?>\n'
    doctype = '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 Partwise//EN" "http://x/partwise.dtd">'
    match how:
        case "utf-16":
            return (start.replace("UTF-8", "UTF-16") + text).encode("utf-16")
        case "wrong encoding":
            return (start.replace("UTF-8", "UTF-16") + text).encode()
        case "doctype":
            return (start + doctype + text).encode()
        case "plain" | "namespace" | "entity" | "ampersand":
            return (start + text).encode()
    name = "It's Ours.xml"
    rootfile = "<container><rootfiles><rootfile full-path={}/></rootfiles></container>"
    containers = {
        "mxl": rootfile.format(f'"{name}"').encode(),
        "broken container": rootfile.format(f"'{name}'").encode(),
        "empty container": b"",
        "container of a missing file": rootfile.format('"gone.xml"').encode(),
        "utf-16 container": (start.replace("UTF-8", "UTF-16") + rootfile.format(f'"{name}"')).encode("utf-16"),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        if how in containers:
            archive.writestr("META-INF/container.xml", containers[how])
        archive.writestr("__MACOSX/._It's Ours.xml", b"\0\x05\x16\x07")
        archive.writestr("cover.png", b"\x89PNG")
        archive.writestr(name, start + text)
    return file.getvalue()


def notes_of_parts(data: bytes) -> list[list[tuple[Fraction, Fraction, int]]]:
    """Read the notes of each part of a score: onset and length in quarters from the top, and the sounding pitch.

    Tied notes are one. Written for the tests, without the program's own reader.
    """
    steps = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
    parts = []
    for part in ET.fromstring(data).iter("part"):
        notes: list[list[Fraction | int]] = []
        now, divisions, shift = Fraction(0), 1, 0
        onset = now
        for element in part.iter():
            if element.tag == "divisions":
                divisions = int(element.text or 1)
            elif element.tag == "transpose":
                shift = int(element.findtext("chromatic") or 0) + 12 * int(element.findtext("octave-change") or 0)
            elif element.tag == "note":
                length = Fraction(int(element.findtext("duration") or 0), divisions)
                if element.find("chord") is None:
                    onset, now = now, now + length
                pitch = element.find("pitch")
                if pitch is None:
                    continue
                octave, alter = int(pitch.findtext("octave") or 0), int(pitch.findtext("alter") or 0)
                midi = 12 * (octave + 1) + steps[pitch.findtext("step") or ""] + alter + shift
                if any(tie.get("type") == "stop" for tie in element.iter("tie")):
                    next(note for note in reversed(notes) if note[2] == midi)[1] += length
                else:
                    notes.append([onset, length, midi])
        parts.append([(Fraction(at), Fraction(length), int(midi)) for at, length, midi in notes])
    return parts
