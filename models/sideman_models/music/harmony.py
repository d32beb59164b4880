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
takes the row that fits best: see `nearest_quality`. Figures after `add` bring no seventh
with them.

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
from collections.abc import Collection
from functools import cache, lru_cache
from typing import NamedTuple

from msgspec import Struct, field

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
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
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

RARE_QUALITIES: dict[str, Quality] = {
    row[0]: _make_quality(*row)
    for row in (
        ("b5", "major", "0 4 6", "lydian"),
        ("6b5", "sixth", "0 4 6 9", "lydian"),
        ("^7b5", "major", "0 4 6 11", "lydian"),
        ("-#5", "minor", "0 3 8", "aeolian"),
        ("-^7#5", "tonic minor", "0 3 8 11", "harmonic minor"),
        ("7b9b5", "altered", "0 1 4 6 10", "altered"),
        ("7#9b5", "altered", "0 3 4 6 10", "altered"),
        ("susb5", "sus", "0 5 6", "locrian"),
        ("sus#5", "sus", "0 5 8", "aeolian"),
        ("7susb5", "sus", "0 5 6 10", "locrian"),
        ("7sus#5", "sus", "0 5 8 10", "aeolian"),
        ("^7sus#5", "sus", "0 5 8 11", "harmonic minor"),
        ("7susb13", "sus", "0 5 7 8 10", "aeolian"),
    )
}
"""Qualities that only a symbol names, because no row of the table has its third, fifth and seventh.

They are never found from notes. Their families are those of the table, so the network knows their kinds of tones.
"""

QUALITY_PRIORS: dict[str, float] = {
    "7": 0.30, "-7": 0.24, "^7": 0.11, "": 0.09, "-": 0.06, "7b9": 0.04, "h7": 0.035, "6": 0.03, "7sus": 0.025,
    "o7": 0.025, "-6": 0.02, "7alt": 0.015, "+": 0.01,
}  # fmt: skip
"""How common the most common qualities are assumed to be in chord recognition. The sum is 1."""


class Frame(NamedTuple):
    """The tones that a symbol states and that its quality must not contradict, in semitones above the root.

    0 says that the chord has none, None that the symbol leaves it open.
    """

    third: int | None
    seventh: int | None
    fifth: int | None


def frame_of(tones: Collection[int]) -> Frame:
    """Return the frame of the tones of a quality; an altered fifth beside a perfect one is an alteration."""
    third, fifth = (next((tone for tone in row if tone in tones), 0) for row in ((4, 3), (7, 8, 6)))
    seventh = next((tone for tone in (11, 10) if tone in tones), 9 if {3, 6, 9}.issubset(tones) else 0)
    return Frame(third, seventh, fifth)


@cache
def nearest_quality(tones: frozenset[int], frame: Frame) -> Quality:
    """Return the row nearest to a set of tones, which are semitones above the root (0..11).

    Rows are compared first by the third, seventh and fifth of `frame`, then by how few of the tones lie outside the
    scale of the row, then by how few tones differ. The perfect fifth counts last, because players often leave it out.
    """

    def distance(quality: Quality) -> tuple[int | bool, ...]:
        without_fifth = tones - {7}
        pairs = zip(frame, frame_of(quality.tones), strict=True)
        return (
            *(stated not in (None, has) for stated, has in pairs),
            len(without_fifth.difference(quality.scale)),
            len(without_fifth.symmetric_difference(quality.tones) - {7}),
            len(tones.symmetric_difference(quality.tones)),
        )

    rows = [*QUALITIES.values(), *RARE_QUALITIES.values()]
    return min((quality for quality in rows if quality.tones), key=distance)


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

    @property
    def without_bass(self) -> Chord:
        """The same chord over its root."""
        return self if self.bass is None else Chord(self.root, self.quality, None, _BASS_PATTERN.sub("", self.text))

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

    def shown(self, transpose: int = 0) -> Chord:
        """Return the chord as the player reads it, written in one way wherever its symbol comes from.

        `transpose` leads from what is read to what sounds. `C^7`, `CΔ` and `CM7` all become `Cmaj7`.
        """
        chord = self.transposed(-transpose)
        return Chord(chord.root, chord.quality, chord.bass, _usual_text(chord.text))

    def __str__(self) -> str:
        return self.text


NO_CHORD = Chord(0, QUALITIES["none"], None, "N.C.")
"""The chord that stands for N.C.: no tones, and the chromatic scale."""

ROOT_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MINOR_ROOT_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
SHARP_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_LETTER_PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTAL_SEMITONES = {"": 0, "b": -1, "#": 1, "bb": -2, "##": 2}

# Ebb7 is a seventh chord on E double flat, Ebb5 a chord on E flat with a flat fifth.
_ROOT_PATTERN = re.compile(r"([A-G])(bb(?![24-69]|1[13])|##(?![24-59]|11)|[b#]?)")
_BASS_PATTERN = re.compile(r"/([A-Ga-g])(bb|##|[b#]?)$")
_NO_CHORD_PATTERN = re.compile(r"n\.?c\.?", re.IGNORECASE)
_LOOKALIKES = str.maketrans("♭♯△∆−–º˚Ø∅", "b#ΔΔ--°°øø") | {ord("𝄫"): "bb", ord("𝄪"): "##"}
_OTHER_SPELLINGS = (
    (re.compile(r"dom(?:inant)?7?", re.IGNORECASE), "7"),
    (re.compile(r"(?<=\d)th(?![a-z])", re.IGNORECASE), ""),
    # Some European charts write 7-9 and 7+11 for 7b9 and 7#11; other ones write 7dim5 and 7aug5.
    (re.compile(r"(?<=[\d(,])(?:-|dim)(?=\d)"), "b"),
    # (+13) is an augmented chord, as there is no #13.
    (re.compile(r"(?:(?<=[\d,])|(?<=\()(?!\+13))(?:\+|aug)(?=\d)"), "#"),
)


def chord_on(root: int, quality: Quality, bass: int | None = None, suffix: str | None = None) -> Chord:
    """Return the chord of a quality on a root (pitch class 0..11), over a bass (pitch class) if one is given.

    `suffix` is the text for the quality; without it, the name of the quality is used.
    """
    name = (MINOR_ROOT_NAMES if 3 in quality.tones else ROOT_NAMES)[root]
    slash = "" if bass is None else "/" + (SHARP_NAMES if "#" in name else ROOT_NAMES)[bass]
    suffix = quality.name if suffix is None else suffix
    # An accidental right after the name of the root would be taken for the root's own.
    return Chord(root, quality, bass, name + re.sub(r"^[b#][0-9]+", r"(\g<0>)", suffix) + slash)


# What a symbol may contain after the root. If one alternative begins like another, the longer one comes first.
_TOKEN_PATTERN = re.compile(
    r"(?P<half>(?i:half)[-_]?(?i:dim(?:inished)?)|ø|h(?!al))"
    r"|(?P<word>(?i:maj(?:or)?)|[Mm][Aa](?![DdUuLl])|M(?![Ii]|[Aa](?![DdUuLl])))"
    r"|(?P<triangle>\^|Δ|j)"
    r"|(?P<minor>(?i:min(?:or)?)|[Mm][Ii]|m|-)"
    r"|(?P<diminished>(?i:dim(?:inished)?)|°|0|o(?!mit))"
    r"|(?P<augmented>(?i:aug(?:mented)?)|\+)"
    r"|(?P<sus2>(?i:sus)2(?!4))|(?P<sus>(?i:sus(?:pended)?)4?)|(?P<alt>(?i:alt(?:ered)?))|(?P<add>(?i:add))"
    r"|(?i:(?:no|omit)(?P<no>13|11|[3579]))"
    r"|(?P<run>(?:13|11|[2-79b#])+)"
    r"|(?P<slash>/(?=[b#(]?\d))|(?P<gap>[(),._]+|/(?=[mM^Δj]|(?i:add|sus|alt)))"
)
_Figure = tuple[str, int]

# Altered and added figures in semitones above the root; 2 and 4 mean 9 and 11, b6 means b13.
_FIGURE_SEMITONES: dict[_Figure, int] = {
    ("b", 2): 1, ("b", 9): 1, ("", 2): 2, ("", 9): 2, ("#", 2): 3, ("#", 9): 3,
    ("", 4): 5, ("", 11): 5, ("#", 4): 6, ("#", 11): 6, ("b", 5): 6, ("#", 5): 8,
    ("b", 6): 8, ("b", 13): 8, ("", 6): 9, ("", 13): 9, ("", 5): 7, ("", 7): 10, ("b", 7): 10, ("#", 7): 11,
    ("", 3): 4, ("b", 3): 3,
}  # fmt: skip
_NEEDS_SEVENTH: set[_Figure] = {("", 9), ("", 11), ("", 13), ("b", 9), ("#", 9), ("b", 13)}
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
        capital = "B" + capital[1:] if capital[:1] == "H" else capital
        hint = f"; did you mean {capital!r}?" if _ROOT_PATTERN.match(capital) and capital != symbol else ""
        raise ChordError(f"{text!r} is not a chord: it must begin with its root, A to G, or be 'N.C.' for none{hint}")
    body = symbol[root.end() :].replace("6/9", "69")
    bass = _BASS_PATTERN.search(body)
    suffix = body[: bass.start()] if bass else body
    try:
        quality = nearest_quality(*_tones_of_suffix(suffix))
    except ChordError as error:
        hint = "symbols look like C7, Dm7, Ebmaj7, F#ø, G7b9 or C/E"
        if near := closest(suffix, _SUGGESTED_SUFFIXES, 0.4):
            hint = f"did you mean {root.group() + near!r}?"
        raise ChordError(f"{text!r} is not a chord: {error}; {hint}") from None
    return Chord(_pitch_class(root), quality, _pitch_class(bass) if bass else None, symbol)


_USUAL_WORDS = {
    "minor": "m", "diminished": "dim", "augmented": "+", "sus": "sus", "sus2": "sus2", "alt": "alt", "add": "add",
    "half": "ø", "slash": "/",
}  # fmt: skip


@lru_cache(maxsize=4096)
def _usual_text(text: str) -> str:
    """Return a chord symbol in the spelling of most lead sheets; as it is where that would say something else."""
    symbol = text.replace("6/9", "69")
    root, bass = _ROOT_PATTERN.match(symbol), _BASS_PATTERN.search(symbol)
    if root is None:
        return text
    suffix = _usual_suffix(symbol[root.end() : bass.start() if bass else len(symbol)])
    usual = root.group() + suffix + (f"/{bass[1].upper()}{bass[2]}" if bass else "")
    try:
        return usual if parse_chord(usual) == parse_chord(text) else text
    except ChordError:
        return text


def _usual_suffix(suffix: str) -> str:
    """Return the text after a root in its usual spelling, as well as it can be done token by token."""
    for spelling, plain in _OTHER_SPELLINGS:
        suffix = spelling.sub(plain, suffix)
    tokens: list[tuple[str, str]] = []  # kind and text
    while match := _TOKEN_PATTERN.match(suffix):
        kind, suffix = match.lastgroup or "", suffix[match.end() :]
        if kind != "gap":
            tokens.append((kind, f"no{match['no']}" if kind == "no" else match.group()))
    usual, before = "", ""
    for index, (kind, text) in enumerate(tokens):
        usual += _usual_token(kind, text, before, "".join(each for _, each in tokens[index + 1 : index + 2]))
        before = kind
    usual = re.sub(r"ø(13|11|9|7|)", lambda found: f"m{found[1] or '7'}b5", usual) + suffix
    return f"({usual})" if usual[:1] in ("b", "#") else usual


def _usual_token(kind: str, text: str, before: str, following: str) -> str:
    """Return the usual spelling of a token, which stands after one of the kind `before`; that of `half` is ø."""
    if kind == "run":
        try:
            return "".join(f"{accidental}{number}" for accidental, number in _read_figures(text))
        except ChordError:
            return text
    if kind in ("word", "triangle"):
        seventh = "7" if kind == "triangle" and not following[:1].isdigit() else ""  # a triangle alone is a seventh
        return ("Maj" if before in ("minor", "diminished") else "maj") + seventh
    return _USUAL_WORDS.get(kind, text)


_DANGLING = re.compile(r"(?:[(,/._]|(?i:add))+$")


def nearest_chord(text: str) -> Chord:
    """Read a chord symbol of a file as far as it is understood, from its root on.

    The text of the chord is what was understood. Raises `ChordError` if that is nothing.
    """
    try:
        return parse_chord(text)
    except ChordError:
        symbol = "".join(text[: CHORD_SYMBOL.bytes].split()).translate(_LOOKALIKES)
        root, bass = _ROOT_PATTERN.match(symbol), _BASS_PATTERN.search(symbol)
        if root is None:
            raise
        end = bass.start() if bass else len(symbol)
        while end > root.end() and not _is_understood(symbol[root.end() : end]):
            end -= 1
        return parse_chord(_DANGLING.sub("", symbol[:end]) + (bass.group() if bass else ""))


def _is_understood(suffix: str) -> bool:
    try:
        _tones_of_suffix(suffix)
    except ChordError:
        return False
    return True


def _pitch_class(match: re.Match[str]) -> int:
    return (_LETTER_PITCH_CLASSES[match[1].upper()] + _ACCIDENTAL_SEMITONES[match[2]]) % 12


class _Symbol(Struct):
    """What the text after the root says: its words, its figures, those after `add`, and the degrees left out."""

    words: list[str] = field(default_factory=list)
    figures: list[_Figure] = field(default_factory=list)
    added: list[_Figure] = field(default_factory=list)
    omitted: list[int] = field(default_factory=list)


def _tones_of_suffix(suffix: str) -> tuple[frozenset[int], Frame]:
    """Return the tones that the text after the root names, in semitones above the root, and which of them it states."""
    for spelling, plain in _OTHER_SPELLINGS:
        suffix = spelling.sub(plain, suffix)
    symbol, adds = _Symbol(), False
    while suffix:
        match = _TOKEN_PATTERN.match(suffix)
        if match is None:
            raise ChordError(f"{suffix!r} is not understood")
        kind, text, suffix = match.lastgroup or "", match.group(), suffix[match.end() :]
        match kind:
            case "run":
                (symbol.added if adds else symbol.figures).extend(_read_figures(text))
            case "gap" if ")" in text:
                adds = False
            case "slash":  # C7/9 has its seventh already, C/9 gets none
                adds = not symbol.figures
            case "no":
                symbol.omitted.append(int(match[kind]))
            case "gap":
                pass
            case _:
                adds = kind == "add"
                symbol.words += [] if adds else [kind]
    _refuse_repeated(symbol.words)
    if ("", 3) in symbol.figures and not {"sus", "sus2"} & set(symbol.words):
        raise ChordError("'3' is not understood")
    return _build_tones(symbol)


def _refuse_repeated(words: list[str]) -> None:
    for word in words:
        if words.count(word) > 1:
            raise ChordError(f"{word!r} is given twice")


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
    _refuse_repeated([f"{accidental}{number}" for accidental, number in figures])
    return figures[::-1] if accidentals_follow else figures


def _build_tones(symbol: _Symbol) -> tuple[frozenset[int], Frame]:
    words, every = set(symbol.words), symbol.figures + symbol.added
    if "alt" in words:
        altered = QUALITIES["7alt"].tones
        return frozenset(altered), frame_of(altered)
    third, fifths, seventh = _third(symbol), _fifths(words, every), _seventh(symbol)
    if not words and symbol.figures == [("", 5)]:
        third = 0
    tones = {third, *fifths, seventh} | {_FIGURE_SEMITONES[each] for each in every if each[1] not in (3, 5, 7)}
    if "sus2" in words and "sus" in words:
        tones |= {2, 5}
    # An eleventh or a thirteenth has the ninth below it, unless the symbol says otherwise.
    if seventh and _IMPLIES_NINTH.intersection(symbol.figures) and all(number != 9 for _, number in every):
        tones.add(2)
    for degree in symbol.omitted:
        tones -= {3: {3, 4}, 5: set(fifths), 7: {seventh}, 9: {2}, 11: {5}, 13: {9}}[degree]
    tones.add(0)
    stated = frozenset(tones)
    has_flat_thirteenth = stated >= {4, 7, 8, 10}  # in an altered chord it may stand in place of the fifth
    fifth = None if 5 in symbol.omitted or len(fifths) > 1 or has_flat_thirteenth else min(fifths)
    if {3, 6, 9} <= stated and not seventh:
        seventh = 9  # a minor sixth chord with a flat fifth is a diminished seventh chord
    has_third = third in (3, 4) and 3 not in symbol.omitted
    return stated, Frame(third if has_third else 0, 0 if 7 in symbol.omitted else seventh, fifth)


def _third(symbol: _Symbol) -> int:
    """Return the third, in a suspended chord the tone in its place; then it is not a third but 2, 5 or none."""
    words, figures = set(symbol.words), symbol.figures
    for figure in (("", 3), ("b", 3)):
        if figure in figures + symbol.added:
            return _FIGURE_SEMITONES[figure]
    if "sus2" in words:
        return 2
    if words & {"minor", "half", "diminished"} and "sus" not in words:
        return 3
    if "sus" in words and ("#", 4) in figures:
        return 6
    # C4 is a sus chord. C11 leaves out its third, which would clash with the eleventh.
    eleventh = ("", 11) in figures and not words & {"word", "triangle"} and not symbol.added
    return 5 if "sus" in words or eleventh or ("", 4) in figures else 4


def _fifths(words: set[str], figures: list[_Figure]) -> set[int]:
    fifths = {_FIGURE_SEMITONES[figure] for figure in figures if figure in (("b", 5), ("#", 5))}
    if words & {"half", "diminished"}:
        fifths.add(6)
    elif "augmented" in words:
        fifths.add(8)
    return fifths or {7}


def _seventh(symbol: _Symbol) -> int:
    """Return the seventh; 0 without one."""
    words, figures = set(symbol.words), symbol.figures
    for figure, seventh in ((("b", 7), 10), (("#", 7), 11)):
        if figure in figures + symbol.added:
            return seventh
    named = ("", 7) in figures + symbol.added
    is_sixth_chord = ("", 6) in figures and not named
    if is_sixth_chord or not (named or words & {"triangle", "half"} or _NEEDS_SEVENTH.intersection(figures)):
        return 0
    return 11 if words & {"word", "triangle"} else 9 if "diminished" in words else 10


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
