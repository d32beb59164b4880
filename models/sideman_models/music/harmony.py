# SPDX-License-Identifier: Apache-2.0
"""Chords, and their symbols as jazz musicians write them.

A chord is a quality (`qualities.py`) on a root. A symbol is read in two steps. First it becomes the set of tones that
it names (`symbols.py`), then the row nearest to that set. So all spellings of a chord lead to the same row (`Cm7b5`,
`C-7b5`, `Cø`, `Ch7`), and a combination without a row of its own takes the row that fits best.

**The bass** of a slash chord is kept, but it belongs to the bass player: it does not become a chord tone (C/F has the
tones C, E and G; C/E has them too).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from msgspec import Struct

from sideman_models.errors import ChordError
from sideman_models.limits import CHORD_SYMBOL
from sideman_models.music.qualities import QUALITIES, Quality, nearest_quality
from sideman_models.music.symbols import is_understood, tones_of_suffix, usual_suffix
from sideman_models.text import closest


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


def chord_on(root: int, quality: Quality, bass: int | None = None, suffix: str | None = None) -> Chord:
    """Return the chord of a quality on a root (pitch class 0..11), over a bass (pitch class) if one is given.

    `suffix` is the text for the quality; without it, the name of the quality is used.
    """
    name = (MINOR_ROOT_NAMES if 3 in quality.tones else ROOT_NAMES)[root]
    slash = "" if bass is None else "/" + (SHARP_NAMES if "#" in name else ROOT_NAMES)[bass]
    suffix = quality.name if suffix is None else suffix
    # An accidental right after the name of the root would be taken for the root's own.
    return Chord(root, quality, bass, name + re.sub(r"^[b#][0-9]+", r"(\g<0>)", suffix) + slash)


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
        quality = nearest_quality(*tones_of_suffix(suffix))
    except ChordError as error:
        hint = "symbols look like C7, Dm7, Ebmaj7, F#ø, G7b9 or C/E"
        if near := closest(suffix, _SUGGESTED_SUFFIXES, 0.4):
            hint = f"did you mean {root.group() + near!r}?"
        raise ChordError(f"{text!r} is not a chord: {error}; {hint}") from None
    return Chord(_pitch_class(root), quality, _pitch_class(bass) if bass else None, symbol)


@lru_cache(maxsize=4096)
def _usual_text(text: str) -> str:
    """Return a chord symbol in the spelling of most lead sheets; as it is where that would say something else."""
    symbol = text.replace("6/9", "69")
    root, bass = _ROOT_PATTERN.match(symbol), _BASS_PATTERN.search(symbol)
    if root is None:
        return text
    suffix = usual_suffix(symbol[root.end() : bass.start() if bass else len(symbol)])
    usual = root.group() + suffix + (f"/{bass[1].upper()}{bass[2]}" if bass else "")
    try:
        return usual if parse_chord(usual) == parse_chord(text) else text
    except ChordError:
        return text


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
        while end > root.end() and not is_understood(symbol[root.end() : end]):
            end -= 1
        return parse_chord(_DANGLING.sub("", symbol[:end]) + (bass.group() if bass else ""))


def _pitch_class(match: re.Match[str]) -> int:
    return (_LETTER_PITCH_CLASSES[match[1].upper()] + _ACCIDENTAL_SEMITONES[match[2]]) % 12


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
