# SPDX-License-Identifier: Apache-2.0
"""Chord symbols as jazz musicians write them, and how each pitch relates to a chord.

`QUALITY_TABLE` is the one table. Each row is a chord quality: the tones that its symbol names, and the scale that
players use over it (chord-scale practice). The kind of each of the 12 offsets above the root is computed from the row.
It is the first of these that holds:

- `C` chord tone: a tone of the chord.
- `S` scale tone: a tone of its scale.
- `A` approach tone: a semitone above or below a chord tone.
- `X` any other tone.

A symbol is read in two steps. First it becomes the set of tones that it names, then the row nearest to that set. So all
spellings of a chord lead to the same row (`Cm7b5`, `C-7b5`, `Cø`, `Ch7`), and a combination without a row of its own
takes the row that fits best: see `nearest_quality`.

**Accidentals** come before their number (`7b9#11`, `9#11`), as on most lead sheets, or after it (`79b13b`), as in the
Weimar Jazz Database. The rules below apply to each run of figures without a separator:

- Accidentals come *before* their numbers if the first accidental opens the run or follows a 7 (`7b9`), because a
  seventh is never altered.
- Otherwise they come *after* their numbers if the run ends with an accidental, or if two numbers precede the first
  accidental (`79b13`: only the database writes figures without separators; `69` counts as one figure).

**The bass** of a slash chord is kept, but it belongs to the bass player: it does not become a chord tone (C/F has the
tones C, E and G; C/E has them too).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from msgspec import Struct

from sideman_models.errors import ChordError
from sideman_models.limits import CHORD_SYMBOL
from sideman_models.text import closest

TONE_KINDS = "CSAX"
"""The kinds of tones over a chord: chord tone, scale tone, approach tone, any other tone."""
CHORD_TONE, SCALE_TONE, APPROACH_TONE, OTHER_TONE = range(4)


class Quality(Struct, frozen=True):
    """A chord quality: a chord without its root.

    `name` is the symbol after the root; `family` is one of `CHORD_FAMILIES`. `tones` and `scale` are semitones above
    the root (0..11, sorted). `kinds` has 12 entries: for each offset above the root, the index of its kind in
    `TONE_KINDS`.
    """

    name: str
    family: str
    tones: tuple[int, ...]
    scale: tuple[int, ...]
    kinds: tuple[int, ...]


SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "lydian #9": (0, 3, 4, 6, 7, 9, 11),
    "lydian augmented": (0, 2, 4, 6, 8, 9, 11),
    "lydian diminished": (0, 2, 3, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "lydian dominant": (0, 2, 4, 6, 7, 9, 10),
    "mixolydian b13": (0, 2, 4, 5, 7, 8, 10),
    "phrygian dominant": (0, 1, 4, 5, 7, 8, 10),
    "altered": (0, 1, 3, 4, 6, 8, 10),
    "half-whole": (0, 1, 3, 4, 6, 7, 9, 10),
    "whole-half": (0, 2, 3, 5, 6, 8, 9, 11),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "locrian #9": (0, 2, 3, 5, 6, 8, 10),
    "chromatic": tuple(range(12)),
}
"""The scales by name, in semitones above the root."""

# Name, family, tones, scale. If two rows are equally near to a symbol, the upper one is taken.
QUALITY_TABLE: tuple[tuple[str, str, str, str], ...] = (
    ("", "major", "0 4 7", "major"),
    ("5", "major", "0 7", "major"),
    ("add9", "major", "0 2 4 7", "major"),
    ("^7", "major", "0 4 7 11", "major"),
    ("^9", "major", "0 2 4 7 11", "major"),
    ("^13", "major", "0 2 4 7 9 11", "major"),
    ("^7#11", "major", "0 4 6 7 11", "lydian"),
    ("^9#11", "major", "0 2 4 6 7 11", "lydian"),
    ("^7#9", "major", "0 3 4 7 11", "lydian #9"),
    ("6", "sixth", "0 4 7 9", "major"),
    ("69", "sixth", "0 2 4 7 9", "major"),
    ("69#11", "sixth", "0 2 4 6 7 9", "lydian"),
    ("-", "minor", "0 3 7", "dorian"),
    ("-add9", "minor", "0 2 3 7", "dorian"),
    ("-b6", "minor", "0 3 7 8", "aeolian"),
    ("-7", "minor seventh", "0 3 7 10", "dorian"),
    ("-9", "minor seventh", "0 2 3 7 10", "dorian"),
    ("-11", "minor seventh", "0 2 3 5 7 10", "dorian"),
    ("-13", "minor seventh", "0 2 3 7 9 10", "dorian"),
    ("-7b9", "minor seventh", "0 1 3 7 10", "phrygian"),
    ("-7#5", "minor seventh", "0 3 8 10", "aeolian"),
    ("-6", "tonic minor", "0 3 7 9", "melodic minor"),
    ("-69", "tonic minor", "0 2 3 7 9", "melodic minor"),
    ("-^7", "tonic minor", "0 3 7 11", "melodic minor"),
    ("-^9", "tonic minor", "0 2 3 7 11", "melodic minor"),
    ("-^13", "tonic minor", "0 2 3 7 9 11", "melodic minor"),
    ("-^9#11", "tonic minor", "0 2 3 6 7 11", "lydian diminished"),
    ("7", "dominant", "0 4 7 10", "mixolydian"),
    ("9", "dominant", "0 2 4 7 10", "mixolydian"),
    ("13", "dominant", "0 2 4 7 9 10", "mixolydian"),
    ("7#11", "dominant", "0 4 6 7 10", "lydian dominant"),
    ("9#11", "dominant", "0 2 4 6 7 10", "lydian dominant"),
    ("13#11", "dominant", "0 2 4 6 7 9 10", "lydian dominant"),
    ("7b13", "dominant", "0 4 7 8 10", "mixolydian b13"),
    ("9b13", "dominant", "0 2 4 7 8 10", "mixolydian b13"),
    ("7b9", "altered", "0 1 4 7 10", "half-whole"),
    ("13b9", "altered", "0 1 4 7 9 10", "half-whole"),
    ("7b9#11", "altered", "0 1 4 6 7 10", "half-whole"),
    ("7b9b13", "altered", "0 1 4 7 8 10", "phrygian dominant"),
    ("7#9", "altered", "0 3 4 7 10", "half-whole"),
    ("7#9#11", "altered", "0 3 4 6 7 10", "half-whole"),
    ("7alt", "altered", "0 3 4 8 10", "altered"),
    ("7#5b9", "altered", "0 1 4 8 10", "altered"),
    ("+", "augmented", "0 4 8", "whole tone"),
    ("+^7", "augmented", "0 4 8 11", "lydian augmented"),
    ("7#5", "augmented", "0 4 8 10", "whole tone"),
    ("9#5", "augmented", "0 2 4 8 10", "whole tone"),
    ("9#5#11", "augmented", "0 2 4 6 8 10", "whole tone"),
    ("7b5", "augmented", "0 4 6 10", "whole tone"),
    ("sus", "sus", "0 5 7", "mixolydian"),
    ("sus2", "sus", "0 2 7", "mixolydian"),
    ("7sus", "sus", "0 5 7 10", "mixolydian"),
    ("^7sus", "sus", "0 5 7 11", "major"),
    ("9sus", "sus", "0 2 5 7 10", "mixolydian"),
    ("13sus", "sus", "0 2 5 7 9 10", "mixolydian"),
    ("7susb9", "sus", "0 1 5 7 10", "phrygian"),
    ("h7", "half-diminished", "0 3 6 10", "locrian"),
    ("h9", "half-diminished", "0 2 3 6 10", "locrian #9"),
    ("h11", "half-diminished", "0 2 3 5 6 10", "locrian #9"),
    ("o", "diminished", "0 3 6", "whole-half"),
    ("o7", "diminished", "0 3 6 9", "whole-half"),
    ("o^7", "diminished", "0 3 6 11", "whole-half"),
    ("none", "none", "", "chromatic"),
)


CHORD_FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(family for _, family, _, _ in QUALITY_TABLE))
"""The families of qualities in the order of the table, which is that of their rows in the context of the network."""


def _make_quality(name: str, family: str, tones_text: str, scale_name: str) -> Quality:
    tones, scale = tuple(int(tone) for tone in tones_text.split()), SCALES[scale_name]
    approach = [(tone + step) % 12 for tone in tones for step in (-1, 1)]
    groups = ((CHORD_TONE, tones), (SCALE_TONE, scale), (APPROACH_TONE, approach), (OTHER_TONE, range(12)))
    kinds = tuple(next(kind for kind, group in groups if offset in group) for offset in range(12))
    return Quality(name, family, tones, scale, kinds)


QUALITIES: dict[str, Quality] = {row[0]: _make_quality(*row) for row in QUALITY_TABLE}
"""The qualities by name."""

QUALITY_PRIORS: dict[str, float] = {
    "7": 0.30, "-7": 0.24, "^7": 0.11, "": 0.09, "-": 0.06, "7b9": 0.04, "h7": 0.035, "6": 0.03, "7sus": 0.025,
    "o7": 0.025, "-6": 0.02, "7alt": 0.015, "+": 0.01,
}  # fmt: skip
"""How common the most common qualities are assumed to be in chord recognition. The sum is 1."""


@cache
def nearest_quality(tones: frozenset[int]) -> Quality:
    """Return the row nearest to a set of tones, which are semitones above the root (0..11).

    Rows are compared first by how few of the tones lie outside the scale of the row, then by how few tones differ. The
    perfect fifth counts last, because players often leave it out.
    """

    def distance(quality: Quality) -> tuple[int, int, int]:
        without_fifth = tones - {7}
        return (
            len(without_fifth.difference(quality.scale)),
            len(without_fifth.symmetric_difference(quality.tones) - {7}),
            len(tones.symmetric_difference(quality.tones)),
        )

    return min((quality for quality in QUALITIES.values() if quality.tones), key=distance)


@cache
def _pitch_classes(root: int, offsets: tuple[int, ...]) -> frozenset[int]:
    return frozenset((root + offset) % 12 for offset in offsets)


class Chord(Struct, frozen=True, eq=False):
    """A quality on a root (pitch class 0..11, C is 0), with a bass (pitch class) if the symbol names one.

    `text` is the symbol as it was written. Two chords are equal if they sound the same, whatever their spelling
    (`Cmaj7` and `C^7`, `Db7` and `C#7`).
    """

    root: int
    quality: Quality
    bass: int | None
    text: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chord) and self._sound == other._sound

    def __ne__(self, other: object) -> bool:
        return not self == other  # the structs' own `!=` does not ask `__eq__`

    def __hash__(self) -> int:
        return hash(self._sound)

    @property
    def _sound(self) -> tuple[int, Quality, int | None]:
        return self.root, self.quality, self.bass

    @property
    def tones(self) -> frozenset[int]:
        """The pitch classes of the chord (0..11)."""
        return _pitch_classes(self.root, self.quality.tones)

    @property
    def scale(self) -> frozenset[int]:
        """The pitch classes of the scale that is played over the chord (0..11)."""
        return _pitch_classes(self.root, self.quality.scale)

    def kind_of(self, pitch: int) -> int:
        """Return the kind of a pitch (MIDI number or pitch class) over the chord, as an index into `TONE_KINDS`."""
        return self.quality.kinds[(pitch - self.root) % 12]

    def transposed(self, semitones: int) -> Chord:
        """Return the chord that is `semitones` higher (or lower, if negative), with root and bass spelled for it."""
        if semitones % 12 == 0 or not self.quality.tones:
            return self
        bass, root = None, _ROOT_PATTERN.match(self.text)
        suffix = self.text[root.end() if root else 0 :]
        if self.bass is not None:
            bass, suffix = (self.bass + semitones) % 12, _BASS_PATTERN.sub("", suffix)
        return chord_on((self.root + semitones) % 12, self.quality, bass, suffix)

    def __str__(self) -> str:
        return self.text


NO_CHORD = Chord(0, QUALITIES["none"], None, "N.C.")
"""The chord that stands for N.C.: no tones, and the chromatic scale."""

ROOT_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MINOR_ROOT_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
SHARP_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_LETTER_PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTAL_SEMITONES = {"": 0, "b": -1, "#": 1}

_ROOT_PATTERN = re.compile(r"([A-G])([b#]?)")
_BASS_PATTERN = re.compile(r"/([A-G])([b#]?)$")
_NO_CHORD_PATTERN = re.compile(r"n\.?c\.?", re.IGNORECASE)
_LOOKALIKES = str.maketrans("♭♯△∆−–º˚Ø∅", "b#ΔΔ--°°øø")
# Some European charts write 7-9 and 7+11 for 7b9 and 7#11.
_EUROPEAN_SIGNS = ((re.compile(r"(?<=[\d(,])-(?=\d)"), "b"), (re.compile(r"(?<=[\d(,])\+(?=\d)"), "#"))


def chord_on(root: int, quality: Quality, bass: int | None = None, suffix: str | None = None) -> Chord:
    """Return the chord of a quality on a root (pitch class 0..11), over a bass (pitch class) if one is given.

    `suffix` is the text for the quality; without it, the name of the quality is used.
    """
    name = (MINOR_ROOT_NAMES if 3 in quality.tones else ROOT_NAMES)[root]
    slash = "" if bass is None else "/" + (SHARP_NAMES if "#" in name else ROOT_NAMES)[bass]
    return Chord(root, quality, bass, name + (quality.name if suffix is None else suffix) + slash)


# What a symbol may contain after the root. If one alternative begins like another, the longer one comes first.
_TOKEN_PATTERN = re.compile(
    r"(?P<word>maj|Maj|MAJ|ma(?!d)|Ma|MA|M(?![IiAa]))"
    r"|(?P<triangle>\^|Δ|j)"
    r"|(?P<minor>min|Min|MIN|mi|Mi|MI|m|-)"
    r"|(?P<half>ø|h)"
    r"|(?P<diminished>dim|°|o(?!m))"
    r"|(?P<augmented>aug|\+)"
    r"|(?P<sus2>sus2)|(?P<sus>sus4?)|(?P<alt>alt)|(?P<add>add)"
    r"|(?P<no3>(?:no|omit)3)|(?P<no5>(?:no|omit)5)"
    r"|(?P<run>(?:13|11|[245679b#])+)|(?P<gap>[(),]+)"
)
_Figure = tuple[str, int]

# Altered and added figures in semitones above the root; 2 and 4 mean 9 and 11, b6 means b13.
_FIGURE_SEMITONES: dict[_Figure, int] = {
    ("b", 2): 1, ("b", 9): 1, ("", 2): 2, ("", 9): 2, ("#", 2): 3, ("#", 9): 3,
    ("", 4): 5, ("", 11): 5, ("#", 4): 6, ("#", 11): 6, ("b", 5): 6, ("#", 5): 8,
    ("b", 6): 8, ("b", 13): 8, ("", 6): 9, ("", 13): 9, ("", 5): 7, ("", 7): 10,
}  # fmt: skip
_NEEDS_SEVENTH: set[_Figure] = {("", 7), ("", 9), ("", 11), ("", 13), ("b", 9), ("#", 9), ("b", 13)}
_IMPLIES_NINTH: set[_Figure] = {("", 11), ("", 13)}

_SUGGESTED_SUFFIXES = [name for name in QUALITIES if name not in ("", "none")] + [
    "maj7", "m7", "m", "m7b5", "dim7", "mMaj7", "aug", "alt", "maj9", "m9", "sus4", "7sus4",
]  # fmt: skip


@lru_cache(maxsize=4096)
def parse_chord(text: str) -> Chord:
    """Read a chord symbol such as `C^7`, `Bb-7b5`, `F#7(b9,#11)/C`, `C79b13b` or `N.C.`.

    Raises `ChordError`, which names the part that cannot be read and, if there is one, a similar valid symbol.
    """
    if len(text) > CHORD_SYMBOL.bytes:
        raise ChordError(f"{text[:20]!r}… is not a chord: a symbol has {CHORD_SYMBOL.bytes} characters at most")
    symbol = "".join(text.split()).translate(_LOOKALIKES)
    if _NO_CHORD_PATTERN.fullmatch(symbol):
        return NO_CHORD
    root = _ROOT_PATTERN.match(symbol)
    if root is None:
        capital = symbol[:1].upper() + symbol[1:]
        hint = f"; did you mean {capital!r}?" if _ROOT_PATTERN.match(capital) and capital != symbol else ""
        raise ChordError(f"{text!r} is not a chord: it must begin with its root, A to G, or be 'N.C.' for none{hint}")
    body = symbol[root.end() :].replace("6/9", "69")
    bass = _BASS_PATTERN.search(body)
    suffix = body[: bass.start()] if bass else body
    try:
        quality = nearest_quality(_tones_of_suffix(suffix))
    except ChordError as error:
        hint = "symbols look like C7, Dm7, Ebmaj7, F#ø, G7b9 or C/E"
        if near := closest(suffix, _SUGGESTED_SUFFIXES, 0.4):
            hint = f"did you mean {root.group() + near!r}?"
        raise ChordError(f"{text!r} is not a chord: {error}; {hint}") from None
    return Chord(_pitch_class(root), quality, _pitch_class(bass) if bass else None, symbol)


def _pitch_class(match: re.Match[str]) -> int:
    return (_LETTER_PITCH_CLASSES[match[1]] + _ACCIDENTAL_SEMITONES[match[2]]) % 12


def _tones_of_suffix(suffix: str) -> frozenset[int]:
    """Return the tones that the text after the root names, in semitones above the root."""
    for sign, accidental in _EUROPEAN_SIGNS:
        suffix = sign.sub(accidental, suffix)
    tokens: list[tuple[str | None, str]] = []
    while suffix:
        match = _TOKEN_PATTERN.match(suffix)
        if match is None:
            raise ChordError(f"{suffix!r} is not understood")
        tokens.append((match.lastgroup, match.group()))
        suffix = suffix[match.end() :]
    marks = [name for name, _ in tokens if name and name not in ("run", "gap")]
    figures = [figure for name, run in tokens if name == "run" for figure in _read_figures(run)]
    named = marks + [f"{accidental}{number}" for accidental, number in figures]
    for word in named:
        if named.count(word) > 1:
            raise ChordError(f"{word!r} is given twice")
    return _build_tones(frozenset(marks), figures)


def _read_figures(run: str) -> list[_Figure]:
    """Return the numbers of a run with their accidentals (the module docstring says which comes first)."""
    texts = re.findall("13|11|.", run)
    first = next((index for index, text in enumerate(texts) if text in "b#"), 0)
    accidentals_follow = (
        first > 0
        and texts[first - 1] != "7"
        and (texts[-1] in "b#" or (first >= 2 and texts[first - 2 : first] != ["6", "9"]))
    )
    figures: list[_Figure] = []
    pending = ""
    for text in reversed(texts) if accidentals_follow else texts:
        if text in "b#" and not pending:
            pending = text
            continue
        if text in "b#" or (pending, int(text)) not in _FIGURE_SEMITONES:
            raise ChordError(f"{pending + text!r} is not understood")
        figures.append((pending, int(text)))
        pending = ""
    if pending:
        raise ChordError(f"{pending!r} has no number")
    return figures[::-1] if accidentals_follow else figures


def _build_tones(words: frozenset[str], figures: list[_Figure]) -> frozenset[int]:
    if "alt" in words:
        return frozenset(QUALITIES["7alt"].tones)
    if not words and figures == [("", 5)]:
        return frozenset(QUALITIES["5"].tones)
    fifths = {_FIGURE_SEMITONES[figure] for figure in figures if figure in (("b", 5), ("#", 5))}
    if words & {"half", "diminished"}:
        fifths.add(6)
    elif "augmented" in words:
        fifths.add(8)
    # C4 is a sus chord. C11 leaves out its third, which would clash with the eleventh.
    eleventh = ("", 11) in figures and not words & {"word", "triangle", "add"}
    if "sus2" in words:
        third = 2
    elif words & {"minor", "half", "diminished"} and "sus" not in words:
        third = 3
    else:
        third = 5 if "sus" in words or eleventh or (("", 4) in figures and "add" not in words) else 4
    tones = {0, third, *(fifths or {7})}
    tones |= {_FIGURE_SEMITONES[figure] for figure in figures if figure[1] not in (5, 7)}
    is_sixth_chord = ("", 6) in figures and ("", 7) not in figures
    if not is_sixth_chord and (
        words & {"triangle", "half"}
        or ("", 7) in figures
        or ("add" not in words and _NEEDS_SEVENTH.intersection(figures))
    ):
        tones.add(11 if words & {"word", "triangle"} else 9 if "diminished" in words else 10)
        if "add" not in words and _IMPLIES_NINTH.intersection(figures) and all(number != 9 for _, number in figures):
            tones.add(2)
    return frozenset(tones) - ({3, 4} if "no3" in words else set()) - ({7} if "no5" in words else set())


_PITCH_PATTERN = re.compile(r"([A-Ga-g])([b#♭♯]?)(-?\d+)")


def pitch_name(pitch: int) -> str:
    """Return the name of a MIDI pitch (0..127), spelled as in `ROOT_NAMES`; 60 is C4."""
    return f"{ROOT_NAMES[pitch % 12]}{pitch // 12 - 1}"


def parse_pitch(text: str) -> int:
    """Read a MIDI pitch 0..127 from a name (`C4` is 60) or a number. Raises `ChordError`, which says what is valid."""
    plain = text.strip()
    match = _PITCH_PATTERN.fullmatch(plain)
    pitch = -1
    if match:
        accidental = _ACCIDENTAL_SEMITONES[match[2].translate(_LOOKALIKES)]
        pitch = 12 * (int(match[3]) + 1) + _LETTER_PITCH_CLASSES[match[1].upper()] + accidental
    elif plain.isascii() and plain.isdecimal():
        pitch = int(plain)
    if not 0 <= pitch <= 127:
        raise ChordError(f"{text!r} is not a pitch: write a name such as C3 or Eb4 (C4 is middle C), or 0 to 127")
    return pitch
