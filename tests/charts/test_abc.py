# SPDX-License-Identifier: Apache-2.0
"""Tunes in ABC with chord symbols, made here, read as charts."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.charts.abc import abc_songs
from sideman.charts.detect import read_chart, read_songs
from sideman.core.chart.chart import Chart, ChartError, Meter
from sideman_models.limits import TUNE, TUNES

FOUR = Meter(4, 4)
HEAD = "X:1\nT:Our Reel\nC:sideman\nR:reel\nM:4/4\nL:1/8\nQ:1/4=120\nK:Gm\n"


def tune(music: str, head: str = HEAD) -> Chart:
    """The chart of one tune."""
    return abc_songs(head + music, "x.abc")[0].read()


def bars(music: str, head: str = HEAD) -> list[str]:
    """Each bar as text: `onset:chord onset:chord`."""
    return [" ".join(f"{at:g}:{chord}" for at, chord in bar.chords) for bar in tune(music, head).bars]


def order(music: str) -> str:
    """The first chord of each bar in the order played."""
    return " ".join(bar.chords[0][1].text for bar in tune(music).bars)


def test_the_head_of_a_tune_is_read() -> None:
    """Guards against: a tune without its name, in another key, or at another tempo."""
    info = tune('"Gm"G8|').info
    assert (info.title, info.composer, info.key, info.tempo, info.style) == ("Our Reel", "sideman", "Gm", 120, None)
    assert info.warnings == ()
    for written, key in [("D", "D"), ("Edor", "Em"), ("F# minor", "F#m"), ("AMix", "A"), ("HP", "A"), ("none", "")]:
        assert tune('"D"D8|', HEAD.replace("Gm", written)).info.key == key
    for written, tempo in [("1/4=90", 90), ("3/8=60", 90), ('"Slow" 1/2=40', 80), ("100", 100), ("fast", None)]:
        assert tune('"D"D8|', HEAD.replace("1/4=120", written)).info.tempo == tempo


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ('"Gm"G4 "C7"c4|"F"f8|', ["0:Gm 2:C7", "0:F"]),
        ('"Gm"G>A B2 "C7"c2<d2|', ["0:Gm 2:C7"]),
        ('"Gm"(3GAB (3:2:3cde "D7"d4|', ["0:Gm 2:D7"]),
        ('"Gm"[GBd]2 z2 "D7"[d/f/]4 x2|', ["0:Gm 2:D7"]),
        ('"Gm"G//A//B/ c3/2d/ e "D7"{fg}f4|', ["0:Gm 2:D7"]),
        ('"Gm"GABc defg|GABc "D7"defg|Z2|', ["0:Gm", "0:Gm 2:D7", "0:D7", "0:D7"]),
        ('"Gm"G8|[M:3/4]"D7"d6|[M:4/4][L:1/4]"Gm"G2"A7"A2|', ["0:Gm", "0:D7", "0:Gm 2:A7"]),
        ('d2|"Gm"G8|"D7"d6|', ["0:Gm", "0:D7"]),
        ('"^slowly"G8|"Gm(D7)"G8|"N.C."z8|', ["0:N.C.", "0:Gm", "0:N.C."]),
        ('"Gm"G8|% a remark | "A"\n"D7"d8|', ["0:Gm", "0:D7"]),
        ('"Gm"G8|\nw:la la "la"|\n"D7"d8|', ["0:Gm", "0:D7"]),
        ('V:1\nG8|A8|\nV:2\n"Gm"G8|"D7"d8|', ["0:Gm", "0:D7"]),
    ],
)
def test_chords_stand_where_their_notes_begin(music: str, expected: list[str]) -> None:
    """Guards against: a harmony that changes on another beat than the tune's."""
    assert bars(music) == expected


PARTS = 'P:A\n|:"C"c8|"F"f8:|\nP:B\n"G"g8|\n'


@pytest.mark.parametrize(
    ("order_", "music", "expected", "words"),
    [
        ("AABB", PARTS, "C F C F C F C F G G", ""),
        ("A.B. A", PARTS, "C F C F G C F C F", ""),
        ("B(AB)2", PARTS, "G C F C F G C F C F G", ""),
        ("B2((B)2)2A", PARTS, "G G G G G G C F C F", ""),
        ("B0A", PARTS, "G C F C F", ""),
        ("BXB", PARTS, "G G", "no part is marked X"),
        ("XY", PARTS, "C F C F G", "no such parts: played as written"),
        ("AABB", 'P:A\n"C"c8|', "C C", "no part is marked B"),
        ("AABB", '|:"C"c8:|"G"g8|', "C C G", "no such parts: played as written"),
        ("((((B999)999)999)999)", PARTS, "C F C F G", "too long: played as written"),
        ("BB", '"F"f8|\n' + PARTS, "F G G", ""),
        (")(B", PARTS, "G", ""),
    ],
)
def test_parts_are_played_in_the_order_of_the_head(order_: str, music: str, expected: str, words: str) -> None:
    """Guards against: a tune whose parts are played once each although its head says how often."""
    chart = tune(music, HEAD.replace("K:", f"P:{order_}\nK:"))
    assert " ".join(bar.chords[0][1].text for bar in chart.bars) == expected
    assert words in " ".join(chart.info.warnings)
    assert bool(words) == bool(chart.info.warnings)


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ('|:"C"c8|"F"f8:|"G"g8|]', "C F C F G"),
        ('"C"c8|"F"f8::"G"g8:|', "C F C F G G"),
        ('|:"C"c8|1"F"f8:|2"G"g8||"A"a8|', "C F C G A"),
        ('|:"C"c8|[1"F"f8:|[2"G"g8|]"A"a8|', "C F C G A"),
        ('|:"C"c8|1,2"F"f8:|3"G"g8||"A"a8|', "C F C F C G A"),
        ('|::"C"c8::|"A"a8|', "C C C A"),
        ('"C"c8|"F"f8!fine!|"G"g8!D.C.alfine!|', "C F G C F"),
        ('"C"c8|!segno!"F"f8!coda!|"G"g8!D.S.alcoda!|!coda!"A"a8|', "C F G F A"),
        ('"C"c8|"F"f8"^Fine"|"G"g8"^D.C. al Fine"|', "C F G C F"),
        ('|:d2|"C"c8|"F"f6:|d2|"G"g8|"A"a6|]', "C F C F G A"),
    ],
)
def test_the_form_of_a_tune_is_played(music: str, expected: str) -> None:
    """Guards against: a tune that is a bar short in every chorus."""
    assert order(music) == expected


def test_parts_and_tunes_are_named_and_chosen(tmp_path: Path) -> None:
    """Guards against: another tune of the book than the one that was called."""
    book = tmp_path / "book.txt"
    book.write_text(
        f'M:3/4\n\n{HEAD}P:A\n"Gm"G8|\nP:B\n"D7"d8|\n\nfree text "C"\n\nX:2\nT:Our Waltz\nL:1/4\nK:C\n"C"c3|'
    )
    assert [song.title for song in read_songs(book, FOUR)] == ["Our Reel", "Our Waltz"]
    assert dict(read_chart(book, FOUR).info.sections) == {0: "A", 1: "B"}
    for wanted in ("2", "our waltz", "WALTZ"):
        chart = read_chart(book, FOUR, wanted)
        assert (chart.info.title, str(chart.meter), len(chart.bars)) == ("Our Waltz", "3/4", 1)
    with pytest.raises(ChartError, match=r"2 of its songs have 'our'.*1 'Our Reel', 2 'Our Waltz'"):
        read_chart(book, FOUR, "our")
    with pytest.raises(ChartError, match=r"none is 'our walz'; the nearest are .*2 'Our Waltz'"):
        read_chart(book, FOUR, "our walz")


def test_a_tune_of_another_encoding_is_read(tmp_path: Path) -> None:
    """Guards against: an old collection that is refused for an accent in a title."""
    file = tmp_path / "old.abc"
    file.write_bytes((HEAD.replace("Our Reel", "Caf\xe9") + '"C"c8|').encode("latin-1"))
    assert read_chart(file, FOUR, "café").info.title == "Café"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("K:C\nCDEF|", "no tune in ABC"),
        (HEAD + "GABc|", "no chord symbols"),
        (HEAD + '"C"c8|' * (TUNE.bytes // 6), "too long"),
        ("X:1\n" * (TUNES.count + 1), f"more than {TUNES.count} tunes"),
    ],
)
def test_what_has_no_chords_or_is_too_long_is_refused(text: str, words: str) -> None:
    """Guards against: a chart of N.C., and a file that keeps sideman busy."""
    with pytest.raises(ChartError, match=words):
        abc_songs(text, "x.abc")[0].read()


@pytest.mark.parametrize(
    ("music", "expected", "words"),
    [
        ('"Cfoo"c8|', "C", "bar 1: 'Cfoo' is read as C"),
        ('"hey"c8|"C"c8|', "N.C. C", "bar 1: 'hey' is no chord"),
        ('"C"c12|"F"f8|', "C F", "bar 1: its notes are longer than a bar of 4/4"),
        ('|:"C"c8|"F"f8|', "C F", "never closed"),
        ('"C"c8|[M:7/13]"F"f8|', "C F", "'7/13' is not a meter"),
    ],
)
def test_what_is_guessed_is_said(music: str, expected: str, words: str) -> None:
    """Guards against: a tune that is refused, or played otherwise without a word."""
    assert order(music) == expected
    assert any(words in warning for warning in tune(music).info.warnings)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["C", "Am7", "F#m7b5", "Bb/D"]), st.sampled_from(["G7", "Dm", "E7b9"]), st.booleans()
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["c4{}c4", "c2c2{}(3ccc z2", "cccc{}c>cc2", "[ce]4{}c4", "c/c/c c2{}[ce]2 c2"]),
    st.sampled_from([" ", "", "\n"]),
)
def test_a_tune_made_of_known_chords_gives_these(parts: list[tuple[str, str, bool]], rhythm: str, blank: str) -> None:
    """Guards against: rhythms that move the chords of a tune."""
    music, expected = "", []
    for first, second, repeats in parts:
        bar = f'"{first}"' + rhythm.format(f'"{second}"')
        music += f"|:{blank}{bar}{blank}:|" if repeats else f"{bar}{blank}||"
        expected += [f"0:{first} 2:{second}"] * (1 + repeats)
    assert bars(music) == expected


@given(
    st.lists(
        st.sampled_from([*'|:[]"!+(){}<>/&%\\', "X:", "K:", "C", "z", "Z9", "1", "(3", '"C"', "\n", "!D.C.!", "~"])
    )
)
def test_any_text_is_a_chart_or_a_chart_error(tokens: list[str]) -> None:
    """Guards against: a file that stops sideman with an error of its own."""
    with contextlib.suppress(ChartError):
        assert tune("".join(tokens)).bars


def test_a_tune_with_german_letters() -> None:
    """Guards against: a German song book in E minor without its dominant."""
    (song,) = abc_songs('X:1\nT:Ours\nM:4/4\nL:1/1\nK:Em\n"Em"e|"H7"b|"B"b|"Em/H"e|"Fis"f|]\n', "x.abc")
    chart = song.read()
    assert [str(bar.chords[0][1]) for bar in chart.bars] == ["Em", "B7", "Bb", "Em/B", "F#"]
    assert chart.info.warnings == ("x.abc, Ours: its chords have German letters: H is read as B, and B as Bb",)
