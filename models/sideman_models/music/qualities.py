# SPDX-License-Identifier: Apache-2.0
"""The qualities of chords, and how each pitch relates to a chord of a quality.

`QUALITY_TABLE` is the one table. Each row is a chord quality: the tones that its symbol names, and the scale that
players use over it (chord-scale practice). The kind of each of the 12 offsets above the root is computed from the row.
It is the first of these that holds:

- `C` chord tone: a tone of the chord.
- `S` scale tone: a tone of its scale.
- `A` approach tone: a semitone above or below a chord tone.
- `X` any other tone.

A combination of tones without a row of its own takes the row that fits best: see `nearest_quality`.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import NamedTuple

from msgspec import Struct

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
