# SPDX-License-Identifier: Apache-2.0
"""Reads a chord symbol of a MusicXML score, a `harmony` element, as near as can be.

- **Root.** `root`, or a degree of the key: `numeral` or `function`. Of several chords in one element the first counts;
  a function before another one is a function of that one (V of II).
- **Kind.** By its name, in the spellings of old programs too; without a known name by its `text`.
- **Degrees.** `add` adds one tone and no seventh, `alter` moves a tone of the kind, `subtract` leaves one out.
- **Bass.** `bass`, or the chord's third, fifth or seventh in an `inversion`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from xml.etree import ElementTree as ET

from msgspec import Struct

from sideman.core.chart.text import printable
from sideman_models.errors import ChordError
from sideman_models.music.german import from_german
from sideman_models.music.harmony import (
    NO_CHORD,
    ROOT_NAMES,
    SHARP_NAMES,
    Chord,
    Frame,
    frame_of,
    nearest_chord,
    nearest_quality,
    parse_chord,
)

Doubt = Callable[[str], None]
"""Takes what is guessed about the element that is being read."""

KINDS = {
    "major": "", "minor": "-", "augmented": "+", "diminished": "o", "dominant": "7", "major-seventh": "^7",
    "minor-seventh": "-7", "diminished-seventh": "o7", "augmented-seventh": "7#5", "half-diminished": "h7",
    "major-minor": "-^7", "major-sixth": "6", "minor-sixth": "-6", "dominant-ninth": "9", "major-ninth": "^9",
    "minor-ninth": "-9", "dominant-11th": "11", "major-11th": "^11", "minor-11th": "-11", "dominant-13th": "13",
    "major-13th": "^13", "minor-13th": "-13", "suspended-second": "sus2", "suspended-fourth": "sus", "power": "5",
    "minor-major": "-^7", "augmented-ninth": "9#5",
    "neapolitan": "", "italian": "7(no5)", "french": "7b5", "german": "7", "pedal": "5", "tristan": "h7",
}  # fmt: skip
"""The kinds of harmony, and how a chord symbol writes each of them after its root."""
_KIND_WORDS = tuple(
    (re.compile(words), figure)
    for words, figure in (
        ("half-diminished", "h"), ("minor-major|major-minor", "m^"), ("augmented-major", "+^"),
        ("augmented(-dominant)?", "+"), ("diminished", "o"), ("minor", "m"), ("major", "^"), ("dominant", ""),
        ("suspended-second", "sus2"), ("suspended(-fourth)?", "sus"), ("six(th)?", "6"), ("seven(th)?", "7"),
        ("ninth|nine", "9"), ("eleven(th)?", "11"), ("thirteen(th)?", "13"), ("fifth|five", "5"), ("flat-", "b"),
        ("sharp-", "#"), (r"(?<=\d)th", ""), ("-", ""),
    )
)  # fmt: skip
"""The words of kinds that other programs write, such as `augmented-ninth` or `minor-major`."""
_MAX_TEXT = 40
_NO_CHORD = re.compile(r"n\.?\s*c\.?|no\s*chord|tacet", re.IGNORECASE)
_BASS = re.compile(r"/([A-G][b#♭♯]?)$")
_STEP = re.compile(r"([A-Ha-h])(bb|##|[b#♭♯x𝄫𝄪]?)")
_GERMAN_STEP = re.compile(r"[Hh]|[A-H](?:is|es)|[AE]s")
_GERMAN_LABEL = re.compile(r"(?:^|/)(?:H|[A-G](?:is|es)|[AE]s(?!us))")
_ALTERS = {"bb": -2, "b": -1, "♭": -1, "𝄫": -2, "##": 2, "#": 1, "♯": 1, "x": 2, "𝄪": 2, "": 0,
           "flat": -1, "sharp": 1, "natural": 0}  # fmt: skip
_ACCIDENTALS = {-1: "b", 0: "", 1: "#"}
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ROMAN = re.compile(r"([b#♭♯]?)(VII|VI|V|IV|III|II|I)(?![A-Z])", re.IGNORECASE)
_ROMANS = ("I", "II", "III", "IV", "V", "VI", "VII")
_SCALES = {"minor": (0, 2, 3, 5, 7, 8, 10), "harmonic": (0, 2, 3, 5, 7, 8, 11), "melodic": (0, 2, 3, 5, 7, 9, 11)}
_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_BELOW = {6: "", 9: "7", 11: "9", 13: "9"}
"""What a kind is without its highest figure."""

_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,15}\.?[0-9]{0,20}|\.[0-9]{1,20})")
"""A decimal number. The number of digits is limited to keep the arithmetic fast."""


_SIGN_GLYPHS = {
    "dalSegno": (0xE045, "D.S."), "daCapo": (0xE046, "D.C."), "segno": (0xE047, "𝄋"), "coda": (0xE048, "𝄌"),
    "codaSquare": (0xE049, "𝄌"), "segnoSerpent1": (0xE04A, "𝄋"), "segnoSerpent2": (0xE04B, "𝄋"),
}  # fmt: skip
"""Signs of SMuFL, the standard for music fonts, by their names: the place in a font, and how it is read."""
_GLYPHS = dict(_SIGN_GLYPHS.values()) | {
    0xE260: "b", 0xE261: "", 0xE262: "#", 0xE263: "##", 0xE264: "bb",  # accidentals
    0xED60: "b", 0xED61: "", 0xED62: "#", 0xED63: "##", 0xED64: "bb",  # those for chord symbols
    0xE870: "o", 0xE871: "ø", 0xE872: "+", 0xE873: "^", 0xE874: "-", 0xE875: "(", 0xE876: ")", 0xE879: "(", 0xE87A: ")",
    0xE87B: "/", 0xE87C: "/",
}  # fmt: skip
"""How characters of music fonts are read."""


class Key(Struct, frozen=True):
    """The key of a score, for degrees: its signature in fifths and its mode."""

    fifths: int = 0
    mode: str = "major"

    def pitch_of(self, degree: int) -> int:
        """Return the pitch class of a degree from 1 to 7."""
        mode = self.mode.lower()
        name = next((name for name in ("melodic", "harmonic") if name in mode), "minor")
        is_minor = any(word in mode for word in ("minor", "aeolian"))
        scale = _SCALES[name] if is_minor else _MAJOR_SCALE
        return (7 * self.fifths + (9 if is_minor else 0) + scale[degree - 1]) % 12


_FIFTHS = "FCGDAEB"
_MODES = {
    "": 0, "major": 0, "ionian": 0, "mixolydian": 1, "dorian": 2, "minor": 3, "aeolian": 3, "phrygian": 4, "locrian": 5,
    "lydian": -1,
}  # fmt: skip
"""The modes: how many fifths the tonic lies above that of the major key with the same signature."""


def tonic_chord(fifths: int, mode: str) -> str:
    """The symbol of the tonic chord of a key by its signature; a mode that is not known counts as major."""
    above = _MODES.get(mode.strip().lower(), 0)
    alter, at = divmod(fifths + above + 1, 7)
    return _FIFTHS[at] + ("#" * alter if alter > 0 else "b" * -alter) + ("m" if 2 <= above <= 5 else "")


def with_english_names(part: ET.Element) -> bool:
    """Give the chords of a part English letters, if some are written in German ones. Return whether any were."""
    notes = [(each, each.find(f"{name}-step"), name) for name in ("root", "bass") for each in part.iter(name)]
    labels = [each for each in part.iter("kind") if _GERMAN_LABEL.search(each.get("text", "")[:_MAX_TEXT])]
    is_german = any(_GERMAN_STEP.fullmatch(text_of(step)) for _, step, _ in notes)
    for note, step, name in notes if is_german else ():
        if step is not None and not text_of(note.find(f"{name}-alter")).strip("0"):
            step.text = from_german(text_of(step))
    for each in labels:
        head, slash, bass = each.get("text", "")[:_MAX_TEXT].rpartition("/")
        each.set("text", from_german(head) + slash + from_german(bass))
    return is_german or bool(labels)


def text_of(element: ET.Element | None) -> str:
    """Return the text of an element in one printable line."""
    return "" if element is None else plain_text(element.text or "")


def plain_text(text: str) -> str:
    """Return a text of a score in one printable line, with the glyphs of music fonts as plain signs."""
    return printable(text[:1000].translate(_GLYPHS))


def glyph_text(name: str) -> str:
    """Return how the glyph of a sign is read, from its name; empty for other glyphs."""
    return _SIGN_GLYPHS.get(name.strip(), (0, ""))[1]


def number_of(element: ET.Element, name: str, doubt: Doubt, default: Fraction | None = None) -> Fraction:
    """Return the number in the first child of that name; the default, or else 0, if there is none."""
    default = default or Fraction(0)
    child = element.find(name)
    if child is None:
        return default
    text = (child.text or "").strip()
    if _DECIMAL.fullmatch(text):
        return Fraction(text)
    doubt(f"<{name}> is {text[:40]!r}, which is no number: read as {default}")
    return default


def read_harmony(harmony: ET.Element, key: Key, doubt: Doubt) -> Chord | None:
    """Return the chord of a `harmony`; None if it says none. What is guessed is given to `doubt`."""
    groups = _groups(harmony)
    group = groups[0]
    root = _name(group, "root", doubt) or _root_of_degree(groups, key, doubt)
    kind = group.find("kind")
    label = plain_text(kind.get("text", "")[:_MAX_TEXT]) if kind is not None else ""
    if text_of(kind).lower() == "none" or _NO_CHORD.fullmatch(label):
        return NO_CHORD
    if root is None:
        doubt("a chord without a root: left out")
        return None
    if len(groups) > 1 and group.find("root") is not None:
        doubt(f"{len(groups)} chords in one: the first one is played")
    suffix = _suffix(root, kind, label)
    slash = _BASS.search(suffix)
    bass = _name(group, "bass", doubt) or (slash[1] if slash else None)
    suffix, figures = _with_degrees(suffix[: slash.start()] if slash else suffix, group.findall("degree"), doubt)
    text = _symbol(root, suffix) + figures + (f"/{bass}" if bass else "")
    try:
        chord = parse_chord(text)
    except ChordError:
        chord = nearest_chord(text)
        doubt(f"{text[:_MAX_TEXT]!r} is not understood; it is read as {chord}")
    return chord if bass else _inverted(chord, int(number_of(group, "inversion", doubt)))


def _symbol(root: str, suffix: str) -> str:
    """Return the symbol of a chord; an accidental right after the root would be taken for the root's own."""
    return root + re.sub(r"^[b#♭♯][0-9]+", r"(\g<0>)", suffix)


def _groups(harmony: ET.Element) -> list[ET.Element]:
    """Return the chords of an element, each with the elements that belong to it."""
    groups = [ET.Element("chord")]
    for child in harmony:
        if child.tag in ("root", "numeral", "function") and len(groups[-1]):
            groups.append(ET.Element("chord"))
        groups[-1].append(child)
    return groups


def _name(group: ET.Element, name: str, doubt: Doubt) -> str | None:
    """Return the name, such as `Bb`, of the root or the bass; None if there is none."""
    note = group.find(name)
    step = text_of(note.find(f"{name}-step")) if note is not None else ""
    if note is None or not step:
        return None
    match = _STEP.match(step)
    if match is None:
        doubt(f"<{name}-step> is {step[:_MAX_TEXT]!r}, which is no note: left out")
        return None
    if match.group() != step or match[1] not in _LETTERS:
        doubt(f"<{name}-step> is {step[:_MAX_TEXT]!r}: read as {match.group().upper().replace('H', 'B')}")
    letter, written = match[1].upper().replace("H", "B"), text_of(note.find(f"{name}-alter"))
    alter = _ALTERS[match[2]]
    if written.lower() in _ALTERS:
        alter = alter or _ALTERS[written.lower()]
    else:
        exact = number_of(note, f"{name}-alter", doubt)
        nearest = max(-2, min(round(exact), 2))
        if exact != nearest:
            doubt(f"<{name}-alter> is {written[:_MAX_TEXT]!r}: read as {nearest}")
        alter = alter or nearest
    # After a double accidental some figures would be taken for an altered degree.
    return letter + _ACCIDENTALS[alter] if abs(alter) < 2 else ROOT_NAMES[(_LETTERS[letter] + alter) % 12]


def _root_of_degree(groups: list[ET.Element], key: Key, doubt: Doubt) -> str | None:
    """Return the root that a numeral or a function means in its key."""
    pitch: int | None = None
    for group in reversed(groups[:8]):
        numeral, function = group.find("numeral"), text_of(group.find("function"))
        alter = 0
        if numeral is not None:
            degree = int(number_of(numeral, "numeral-root", doubt))
            alter = max(-2, min(int(number_of(numeral, "numeral-alter", doubt)), 2))
            if (own := numeral.find("numeral-key")) is not None:
                fifths = int(number_of(own, "numeral-fifths", doubt))
                key = Key(fifths % 12, text_of(own.find("numeral-mode")))
        elif match := _ROMAN.match(function):
            degree, alter = _ROMANS.index(match[2].upper()) + 1, _ALTERS[match[1]]
            if (kind := group.find("kind")) is None or not (text_of(kind) or kind.get("text")):
                group.append(ET.Element("kind", text="m" if match[2].islower() else ""))
            if pitch is None and (target := _ROMAN.match(function.partition("/")[2])):
                pitch = (key.pitch_of(_ROMANS.index(target[2].upper()) + 1) + _ALTERS[target[1]]) % 12
        else:
            return None
        if not 1 <= degree <= 7:
            return None
        pitch = ((pitch + _MAJOR_SCALE[degree - 1]) if pitch is not None else key.pitch_of(degree)) + alter
    return None if pitch is None else ROOT_NAMES[pitch % 12]


def _suffix(root: str, kind: ET.Element | None, label: str) -> str:
    """Return the part of the symbol that the kind stands for: the first way to read it that makes a chord."""
    written = text_of(kind)[:_MAX_TEXT]
    name = re.sub(r"[\s_-]+", "-", written.lower())
    if name in KINDS:
        return KINDS[name]
    ways = [label, label.removeprefix(root)]
    if name not in ("", "other"):
        words = name
        for pattern, figure in _KIND_WORDS:
            words = pattern.sub(figure, words)
        ways = [words, written, *ways] if words else ways
    for way in ways:
        try:
            parse_chord(_symbol("C", way))
        except ChordError:
            continue
        if way or name in ("", "other"):
            return way
    return label or written


def _with_degrees(suffix: str, degrees: list[ET.Element], doubt: Doubt) -> tuple[str, str]:
    """Return the suffix and what the degrees add to it."""
    if not degrees:
        return suffix, ""
    changes: dict[tuple[str, int, int], None] = {}
    for degree in degrees:
        value, alter = number_of(degree, "degree-value", doubt), number_of(degree, "degree-alter", doubt)
        change = text_of(degree.find("degree-type")).lower() or "add"
        if change not in ("add", "alter", "subtract"):
            read_as = "subtract" if change.startswith(("sub", "omit", "no", "remove")) else "add"
            doubt(f"<degree-type> is {change[:_MAX_TEXT]!r}: read as {read_as}")
            change = read_as
        value -= 7 if value in (8, 10, 12, 14, 15) else 0
        if value == 7 and alter == -2 and suffix[:1] in ("o", "h"):  # a diminished seventh, counted from a major one
            alter = Fraction(-1)
        if not 2 <= value <= 13 or value.denominator != 1 or alter not in _ACCIDENTALS:
            doubt(f"degree {value} altered by {alter} is not known in a chord: left out")
        else:
            changes[change, int(value), int(alter)] = None
    suffix = _with_moved_tones(suffix, changes)
    frame = frame_of(nearest_chord(_symbol("C", suffix)).quality.tones)
    if any(number == 7 and change != "subtract" for change, number, _ in changes):
        frame = frame._replace(seventh=frame.seventh or 10)
    figures = []
    for change, number, sharps in changes:
        if change != "subtract" and sharps and number in _BELOW and suffix.endswith(str(number)):
            suffix = suffix.removesuffix(str(number)) + _BELOW[number]
        figures.append(_figure(change, number, sharps, frame))
    return suffix, "".join(f"({figure})" for figure in figures if figure)


def _with_moved_tones(suffix: str, changes: dict[tuple[str, int, int], None]) -> str:
    """Return the suffix with the tones moved that it has altered itself; take these changes out.

    `alter` counts from the tone that the kind has: an augmented chord with its fifth lowered has a perfect fifth.
    """
    for each in list(changes):
        change, number, sharps = each
        tones = frozenset(nearest_chord(_symbol("C", suffix)).quality.tones)
        frame = frame_of(tones)
        tone = {3: frame.third, 5: frame.fifth, 7: frame.seventh}.get(number)
        is_diminished = (frame.third, frame.fifth) == (3, 6)
        moves = [(3, 4), (4, 5)] if number == 3 else [(8, 7), (6, 7)] if number == 5 else [(10, 9)] * is_diminished
        if change == "alter" and tone and (tone, tone + sharps) in moves:
            tones = tones - {tone} | {tone + sharps}
            suffix = nearest_quality(tones, frame_of(tones)).name
            del changes[each]
    return suffix


def _figure(change: str, number: int, alter: int, frame: Frame) -> str:
    """Return a change of a chord as its symbol writes it: `b9`, `add9`, `no3`. Empty if the tone is there anyway."""
    if change == "subtract":
        return f"no{number}" if number in (3, 5, 7, 9, 11, 13) else ""
    if number == 7:  # degrees are counted from a dominant chord
        if (frame.third, frame.fifth) == (3, 6):
            return ("b7", "#7", "7")[alter] if change == "add" or frame.seventh != 9 else ("", "b7", "7")[alter]
        return ("7", "#7", "b7")[alter]
    if number == 5:
        return f"{_ACCIDENTALS[alter]}5" if alter else ""
    if number == 3:
        return "b3" if alter < 0 else "" if alter or frame.third == 4 or change == "alter" else "add3"
    if frame.seventh:
        number = {2: 9, 4: 11, 6: 13}.get(number, number)
    has_third = number == 11 and not alter and frame.third == 4  # C11 would leave it out
    return ("" if frame.seventh and not has_third else "add") + f"{_ACCIDENTALS[alter]}{number}"


def _inverted(chord: Chord, inversion: int) -> Chord:
    """Return the chord over its third, fifth or seventh (inversion 1, 2, 3)."""
    frame = frame_of(chord.quality.tones)
    tone = {1: frame.third, 2: frame.fifth, 3: frame.seventh}.get(inversion)
    if not tone:
        return chord
    bass = (chord.root + tone) % 12
    name = (SHARP_NAMES if "#" in chord.text[:2] else ROOT_NAMES)[bass]
    return Chord(chord.root, chord.quality, bass, f"{chord.text}/{name}")
