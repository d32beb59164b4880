# SPDX-License-Identifier: Apache-2.0
"""The text after the root of a chord symbol: the tones that it names, and its usual spelling.

Figures after `add` bring no seventh with them.

**Accidentals** come before their number (`7b9#11`, `9#11`), as on most lead sheets, or after it (`79b13b`), as in the
Weimar Jazz Database. The rules below apply to each run of figures without a separator:

- Accidentals come *before* their numbers if the first accidental opens the run or follows a 7 (`7b9`), because a
  seventh is never altered.
- Otherwise they come *after* their numbers if the run ends with an accidental, or if two numbers precede the first
  accidental (`79b13`: only the database writes figures without separators; `69` counts as one figure).
"""

from __future__ import annotations

import re

from msgspec import Struct, field

from sideman_models.errors import ChordError
from sideman_models.music.qualities import QUALITIES, Frame, frame_of

_OTHER_SPELLINGS = (
    (re.compile(r"dom(?:inant)?7?", re.IGNORECASE), "7"),
    (re.compile(r"(?<=\d)th(?![a-z])", re.IGNORECASE), ""),
    # Some European charts write 7-9 and 7+11 for 7b9 and 7#11; other ones write 7dim5 and 7aug5.
    (re.compile(r"(?<=[\d(,])(?:-|dim)(?=\d)"), "b"),
    # (+13) is an augmented chord, as there is no #13.
    (re.compile(r"(?:(?<=[\d,])|(?<=\()(?!\+13))(?:\+|aug)(?=\d)"), "#"),
)

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

_USUAL_WORDS = {
    "minor": "m", "diminished": "dim", "augmented": "+", "sus": "sus", "sus2": "sus2", "alt": "alt", "add": "add",
    "half": "ø", "slash": "/",
}  # fmt: skip


def usual_suffix(suffix: str) -> str:
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


def is_understood(suffix: str) -> bool:
    """Whether the text after a root can be read."""
    try:
        tones_of_suffix(suffix)
    except ChordError:
        return False
    return True


class _Symbol(Struct):
    """What the text after the root says: its words, its figures, those after `add`, and the degrees left out."""

    words: list[str] = field(default_factory=list)
    figures: list[_Figure] = field(default_factory=list)
    added: list[_Figure] = field(default_factory=list)
    omitted: list[int] = field(default_factory=list)


def tones_of_suffix(suffix: str) -> tuple[frozenset[int], Frame]:
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
