# SPDX-License-Identifier: Apache-2.0
"""Chord symbols in the spellings of notation programs, books and charts: each is read, and its tones are kept.

The table says what each spelling states: its third, fifth and seventh, in semitones above the root; `-` for none, `*`
where it leaves the fifth open. It was written from how musicians read the symbols, not from what the program does.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.errors import ChordError
from sideman_models.music.harmony import Chord, chord_on, nearest_chord, parse_chord
from sideman_models.music.qualities import QUALITIES, RARE_QUALITIES

STATED = {
    # -- triads and sixth chords
    "4 7 -": """
        maj Maj MAJ M Major major ma(add9) add9 (add9) Madd9 maj(add9) MADD9 add2 2 add4 add11 (add11) (add4) addb9
        (addb9) add#9 add(9) addb13 /9 /2 (9no7) 9no7 13(no7) (add#11) add#11 add9(#11) (#11) Madd11 majadd9 add13 6
        M6 maj6 ma6 Maj6 MAJ6 (6) add6 (add6) (add13) 69 6/9 6(9) 6add9 M69 maj6/9 ma69 6(add9) 69(#11) 6/9#11 69#11
        6#11 6(#11) M6#11 (add9,13) 6,9 Maj6(9) maj69 6/9(#11) 6(add11)
    """,
    "4 8 -": "+ aug Aug AUG augmented (#5) +5 maj#5 M#5 (+5) aug(add9) +add9 M#5add9 +(add9) +add#9",
    "4 6 -": "(b5) Mb5 majb5 (-5) maj(b5) M(b5) (b5,add9) 6b5 M6b5 6(b5) maj6(b5)",
    "3 7 -": """
        - m min Min MIN minor Minor mi Mi MI MINOR m(add9) madd9 mAdd9 madd2 m2 madd4 madd11 m(add11) -add9 minadd9
        m(add4) mb6 -b6 m(b6) m(addb9) m/9 -/9 m6 -6 min6 mi6 Min6 MIN6 m(6) m69 -69 m6/9 min6/9 m6(9) -6/9 m6add9
        min69 mi69 m(add6) madd6 minor6 m(add13)
    """,
    "3 6 -": "o dim ° dim. Dim DIM diminished º 0 mb5 -b5 m(b5) min(b5) mib5 dim(add9)",
    "3 8 -": "m#5 -#5 m(#5) min#5 m+",
    "- 7 -": """
        5 no3 (no3) omit3 (omit3) maj(no3) sus sus4 Sus SUS Sus4 SUS4 4 sus2 SUS2 Sus2 (sus4) (sus2) (sus) sus24 sus42
        sus2sus4 sus4sus2 sus4add9 sus(add9) suspended 5(add9) 5add9 sus4(add9) sus#4 add9no3 2no3 sus2(add6) 6sus
        6sus4 6(sus4) M6sus4 69sus 6/9sus4 69sus4 6sus2
    """,
    "- 6 -": "sus(b5) susb5 sus4b5 sus4(b5) sus2b5 sus2(b5)",
    "- 8 -": "sus(#5) sus#5 sus4#5 sus4(#5) sus2#5 sus2(#5) sus+ +sus4",
    # -- with a minor seventh
    "4 7 10": """
        7 dom7 dom Dom7 7th (7) 9 dom9 7/9 79 7(9) 9th 7(add9) 7add9 13 7/13 7(13) 9(13) dom13 13th 13(no9) 13(no11)
        7(9,13) 9add13 9(add13) 7add13 7(add13) 7add6 7/6 76 67 7,6 7,9,13 (9) 9/13 13(9) 7(add11) 7add11 7add4 9add11
        13add11 7(add4) 13(add11) 13/9 7#11 7(#11) 7+11 7(+11) 9#11 9(#11) 9+11 13#11 13(#11) 13(9,#11) 7#4 7(#4) 9#4
        13#4 7/#11 7(9,#11) 13+11 7add#11 7b9 7(b9) 7-9 7(-9) (b9) b9 7/b9 7b9(13) 13b9 13(b9) 13-9 7(b9,13) 7b9,13
        7b9add13 7(addb9) 7addb9 7#9 7(#9) 7+9 7(+9) (#9) 7/#9 13#9 13(#9) 7#9add13 7(#9,13) 7add#9 7b9#9 7(b9,#9)
        7b9#11 7(b9,#11) 7-9+11 7#11b9 7b9(#11) 7#9#11 7(#9,#11) 13b9#11 13(b9,#11) 13#9#11 13(#9,#11) 7b9/#11
        7,b9,#11 13b9add#11 7sus4(add3) 7susadd3 7add3sus 7sus(add3)
    """,
    "4 * 10": """
        alt 7alt 7(alt) 7alt. 7ALT Alt ALT altered 7altered alt7 alt. 7b13 7(b13) 7-13 7(-13) 9b13 9(b13) 7b6 7(b6)
        7b9b13 7(b9,b13) 7b9,b13 7#9b13 7(#9,b13) 7b9#9b13 7#11b13 7#9#11b13 7b9#11b13 9#11b13 7b5#5 7b5#9#5 7no5
        7(no5) 9no5 13no5 9(omit5) 7b9no5 7(omit5) 7b5b13 7(b5,b13) 7b5b9b13
    """,
    "4 6 10": """
        7b5 7(b5) 7-5 7(-5) 9b5 9(b5) 9-5 13b5 13(b5) 7b5b9 7(b5,b9) 7b9b5 7(b9,b5) 7b5#9 7#9b5 7(b5,#9) 7(#9,b5)
        13b5b9 7dim5 7/b5 dom7b5 7b5(b9) 7-5-9 13b9b5 13#9b5
    """,
    "4 8 10": """
        7#5 7(#5) 7+ 7+5 7(+5) +7 aug7 Aug7 AUG7 7aug 7aug5 +(7) 9#5 9(#5) 9+ 9+5 +9 aug9 7#5#9 7(#5,#9) 7#9#5 7#5b9
        7(#5,b9) 7b9#5 7+5+9 7+5-9 +7b9 +7#9 aug7b9 aug7#9 +7#11 9#5#11 7#5#11 7(#5,#11) 7#5b9#11 7/#5 aug(7) +7(b9)
        +7(#9) +13 (+13) aug13 dom7#5
    """,
    "3 7 10": """
        m7 -7 min7 mi7 Min7 MIN7 MI7 Mi7 minor7 m(7) min(7) min_7 min_7th m7th minor7th mb7 m.7 min.7 -(7) m9 -9 min9
        mi9 m7(9) m7/9 m79 minor9 m11 -11 min11 mi11 m7(11) m9(11) m9add11 m9(add11) -9(add11) m7add11 m7(add11)
        m7add4 m7(add4) m7/11 m13 -13 min13 mi13 m9(13) m9(add13) m7(13) m11(13) m7add13 m7add6 m7b9 m7(b9) -7b9 m7b13
        m7(b6) -7(b13) m7#11 m9#11 m7add9 m7(add9) m7(9,11) m7(add9,11) m7,9 m7b6 -7(9) -11(13) m13(no9) m9/11
        m11(no9) m7-9 m11b9
    """,
    "3 6 10": """
        m7b5 -7b5 m7(b5) m7-5 min7b5 mi7b5 min7(b5) ø ø7 Ø Ø7 ∅ h h7 half-dim halfdim half-diminished half-dim7
        halfdim7 m9b5 -9b5 m9(b5) h9 ø9 m11b5 m11(b5) h11 ø11 ø7(11) m7(b5,9) m7b5(9) m7b5(11) m7b5b9 m7(b5,b9)
        m7b5b13 m7(b5,11) m7dim5 m7(-5) -7-5 m7b5(b9) h7(9) ø7b9 m7b5add11 min7dim5
    """,
    "3 8 10": "m7#5 -7#5 m7(#5) m7+5 m7+ min7#5 mi7#5 m9#5 -9#5 m9(#5) m7aug5 m7(+5)",
    "- 7 10": """
        7sus 7sus4 sus7 7SUS 7Sus4 7SUS4 7(sus4) 7(sus) 7sus2 7(sus2) 9sus 9sus4 sus9 9(sus4) 9sus2 13sus 13sus4 sus13
        13(sus4) 13sus2 7/4 7(4) 9/4 11 911 7(11) 9(11) 7/11 7sus(b9) 7susb9 7b9sus 7b9sus4 7sus4(b9) 7(b9)sus susb9
        b9sus 13susb9 13sus4b9 13b9sus 7b13sus 7susb13 7sus4b13 7sus4(b13) 7sus4b9b13 7b9b13sus4 7sus(13) 7sus4(13)
        7no3 7(no3) 9no3 13no3 7(omit3) 7sus2sus4 9sus2sus4 7sus24 m7sus4 -7sus min7sus4 m7sus m9sus4 m7sus2 7sus4(#9)
        7suspended 11b9 7sus#11 sus4(7) dom7sus4 13(no3)
    """,
    "- 6 10": "7susb5 7sus(b5) 7sus4b5 7sus4(b5) 7b5sus4 7b5sus 9susb5 7sus2b5",
    "- 8 10": "7sus#5 7sus(#5) 7sus4#5 7#5sus4 7#5sus 7+sus4 +7sus 9#5sus4 7sus2(#5) aug7sus4",
    # -- with a major seventh
    "4 7 11": """
        maj7 Maj7 MAJ7 ma7 Ma7 MA7 M7 j7 j Δ Δ7 △ △7 ∆7 ^ ^7 major7 Major7 MAJOR7 7M (maj7) (M7) maj(7) major7th
        maj7th maj_7 maj.7 7maj (#7) add#7 maj9 Maj9 MAJ9 ma9 M9 Δ9 ^9 maj7(9) maj7/9 9M maj7add9 ^7(9) maj13 Maj13
        ma13 M13 ^13 Δ13 maj9(13) maj7(13) maj7add13 M7add13 maj9add13 maj7/13 maj13(no11) maj7#11 maj7(#11) ma7#11
        M7#11 Δ#11 Δ7#11 ^7#11 maj7+11 maj9#11 maj9(#11) ^9#11 M9#11 maj13#11 maj13(#11) M13#11 ^13#11 maj7#9 ^7#9
        maj7(#9) maj7#9#11 maj7b9 M7b9 maj7#4 maj7add6 maj7/6 maj7b6 M7b6 maj7b13 maj7(b13) maj11 M11 ^11 maj9add11
        maj7add11 maj7(11) maj7(b6) ^7(13) M7(9,13)
    """,
    "4 6 11": "maj7b5 ma7b5 M7b5 ^7b5 Δb5 Δ7b5 maj7(b5) maj9b5 M9b5 maj9(b5) ^9b5 maj13b5 maj7-5 7Mb5 maj7dim5",
    "4 8 11": """
        maj7#5 ma7#5 M7#5 ^7#5 Δ#5 Δ7#5 maj7(#5) maj7+5 maj7+ +maj7 +M7 +^7 +Δ augmaj7 augM7 aug(maj7) maj9#5 M9#5
        ^9#5 maj9(#5) +maj9 M7+ maj7aug5 aug/maj7 maj7#5#11 +j7 +j
    """,
    "3 7 11": """
        mM7 mMaj7 mmaj7 m(maj7) m(M7) m/maj7 m/M7 -^7 -^ -Δ -Δ7 mΔ mΔ7 m^7 minmaj7 minMaj7 min(maj7) min/maj7 mi(ma7)
        mima7 mMA7 minormajor7 MinMaj7 MINMAJ7 -maj7 -M7 -j7 m7M m(7M) m#7 m(#7) m(+7) mmajor7 mM9 mMaj9 m(maj9)
        m/maj9 -^9 -Δ9 minmaj9 mmaj9 mM11 mM13 mMaj11 mMaj13 -^13 m(maj7)(9) m(maj7,9) mMaj7(9) mMaj7b6 mM7b6 mMaj9b6
        mM9(11) -^9#11 mMaj7#11 -j79 mM7add11 min(major7)
    """,
    "3 6 11": "oM7 omaj7 dim(maj7) °M7 dimM7 dimmaj7 o^7 oΔ7 o7M7 o7(maj7) mM7b5 mMaj7b5 mMaj9b5 m(maj7)b5 -^7b5",
    "3 8 11": "mM7#5 mMaj7#5 m(maj7)#5 -^7#5 mMaj9#5",
    "- 7 11": """
        maj7sus4 maj7sus M7sus4 ^7sus ^7sus4 Δsus4 Δ7sus maj9sus4 M9sus4 maj7sus2 M7sus2 maj13sus4 maj7(sus4) maj7no3
        maj7(no3) maj7(omit3) M7no3 maj9(no3) 7Msus4
    """,
    "- 8 11": "M7#5sus4 maj7#5sus4 maj9#5sus4 M9#5sus4 maj7sus#5",
    # -- with a diminished seventh
    "3 6 9": """
        o7 dim7 °7 º7 07 Dim7 DIM7 diminished7 diminished7th dim7th o(7) dim(7) o9 dim9 dim7(9) o7(11) dim11 o7b13
        m6b5 m6(b5)
    """,
}
SYMBOLS = [(suffix, row) for row, suffixes in STATED.items() for suffix in suffixes.split()]
ROOTS = ("C", "F#", "Bb", "E♭", "Ebb", "F##", "A𝄫", "G")
BASSES = (("", None), ("/E", 4), ("/Bb", 10), ("/f#", 6), ("/Abb", 7))


def _states(chord: Chord) -> str:
    """The third, fifth and seventh that the tones of a chord have, as the table writes them."""
    tones = {(tone - chord.root) % 12 for tone in chord.tones}
    assert 0 in tones
    third = next((str(tone) for tone in (4, 3) if tone in tones), "-")
    fifth = next((str(tone) for tone in (7, 8, 6) if tone in tones), "-")
    seventh = next((str(tone) for tone in (11, 10) if tone in tones), "9" if {3, 6, 9} <= tones else "-")
    return f"{third} {fifth} {seventh}"


def test_the_table_is_large_and_has_each_symbol_once() -> None:
    """Guards against: a table that says less than it seems to."""
    assert len(SYMBOLS) == len({suffix for suffix, _ in SYMBOLS}) > 670


@pytest.mark.parametrize(("suffix", "row"), SYMBOLS)
def test_the_quality_contradicts_no_third_fifth_or_seventh(suffix: str, row: str) -> None:
    """Guards against: a solo with a major third or a seventh over a chord whose symbol says otherwise."""
    read = _states(parse_chord("C" + suffix)).split()
    assert all(stated in ("*", found) for stated, found in zip(row.split(), read, strict=True)), (row, read)


@given(st.sampled_from(SYMBOLS), st.sampled_from(ROOTS), st.sampled_from(BASSES), st.integers(-11, 11))
def test_root_and_bass_are_kept_whatever_the_quality(
    symbol: tuple[str, str], root: str, bass: tuple[str, int | None], semitones: int
) -> None:
    """Guards against: a slash chord that loses its bass, or a root that takes the accidental of the next figure."""
    suffix, row = symbol
    if suffix[:1] in "b#+" or (suffix[:1].isdigit() and root in ("Ebb", "F##", "A𝄫")):
        suffix = f"({suffix})"  # musicians set it apart, too
    elif suffix.startswith("/"):
        return
    plain, chord = parse_chord("C" + suffix), parse_chord(root + suffix + bass[0])
    assert chord.root == {"C": 0, "F#": 6, "Bb": 10, "E♭": 3, "Ebb": 2, "F##": 7, "A𝄫": 7, "G": 7}[root]
    assert (chord.bass, chord.quality) == (bass[1], plain.quality)
    moved = chord.transposed(semitones)
    assert moved == parse_chord(moved.text)
    assert moved.quality == plain.quality
    assert row.startswith("*") or _states(moved).split()[0] == row.split()[0]


@pytest.mark.parametrize(
    ("text", "read"),
    [("C7foo", "C7"), ("Cfoo/E", "C/E"), ("C7#13/E", "C7/E"), ("Cm7(wow)", "Cm7"), ("Bb7H", "Bb7"), ("C7/H", "C7")],
)
def test_a_chord_of_a_file_is_read_as_far_as_it_is_understood(text: str, read: str) -> None:
    """Guards against: a whole song refused for one word behind a chord."""
    assert nearest_chord(text) == parse_chord(read)
    assert parse_chord(nearest_chord(text).text) == parse_chord(read)


@given(st.text(max_size=80))
def test_what_has_no_root_is_no_chord(text: str) -> None:
    """Guards against: words of a file that become chords, or a traceback."""
    try:
        chord = nearest_chord(text)
    except ChordError:
        return
    assert parse_chord(chord.text) == chord


@pytest.mark.parametrize(
    ("spellings", "shown"),
    [
        ("C^7 CΔ CM7 Cmaj7 Cma7 Cj7 C△7", "Cmaj7"),
        ("C-7 Cmin7 Cmi7 Cm7", "Cm7"),
        ("C-^7 CmMaj7 Cm/maj7 C-Δ", "CmMaj7"),
        ("Ch7 Cø Cm7b5 C-7b5 CØ7", "Cm7b5"),
        ("Co7 C°7 Cdim7", "Cdim7"),
        ("C7(b9,#11) C7b9#11", "C7b9#11"),
        ("C69 C6/9", "C69"),
        ("F#-7/E F#m7/E", "F#m7/E"),
        ("N.C. NC", "N.C."),
    ],
)
def test_a_chord_is_shown_in_one_way_whatever_its_source(spellings: str, shown: str) -> None:
    """Guards against: one chord under three names on one screen: from a text, an iReal link and a MIDI file."""
    assert {parse_chord(spelling).shown().text for spelling in spellings.split()} == {shown}


@pytest.mark.parametrize("name", [*QUALITIES, *RARE_QUALITIES])
@pytest.mark.parametrize("transpose", [0, -2, -9])
def test_a_chord_is_shown_as_the_chord_that_it_is(name: str, transpose: int) -> None:
    """Guards against: a chord symbol on the screen that is another chord than the one that is played."""
    quality = (QUALITIES | RARE_QUALITIES)[name]
    if not quality.tones:
        return
    for root in range(12):
        chord = chord_on(root, quality, (root + 5) % 12)
        shown = chord.shown(transpose)
        assert parse_chord(shown.text) == chord.transposed(-transpose)
        assert shown.shown().text == shown.text


def test_what_is_shown_is_shown_again_as_it_is() -> None:
    """Guards against: a chart that is written out and read again, and then looks different."""
    for suffixes in STATED.values():
        for suffix in suffixes.split():
            shown = parse_chord(f"C{suffix}").shown()
            assert shown == parse_chord(f"C{suffix}")
            assert shown.shown().text == shown.text, suffix
