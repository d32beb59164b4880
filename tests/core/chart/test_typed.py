# SPDX-License-Identifier: Apache-2.0
"""Charts as people type them: titles, headers, lines without bar lines, alternatives, all mistakes at once."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sideman.core.chart.chart import Chart, ChartError, Meter
from sideman.core.chart.form import MAX_BARS
from sideman.core.chart.text import MAX_PROBLEMS, parse_changes

CHORDS = st.sampled_from(["C6", "Dm7", "G7", "F#m7b5", "Bbmaj7", "E7b9", "Am7/G", "N.C."])


def read(text: str) -> Chart:
    """The chart of a text in 4/4."""
    return parse_changes(text, Meter(4, 4), "song.txt")


def bars(text: str) -> list[str]:
    """Each bar as text: `onset:chord onset:chord`."""
    return [" ".join(f"{at:g}:{chord}" for at, chord in bar.chords) for bar in read(text).bars]


@pytest.mark.parametrize(
    ("text", "title", "about"),
    [
        ("Blue Rain\n| C6 | F7 |", "Blue Rain", "Blue Rain"),
        ("\n  A Foggy Morning  \n\nC6 F7", "A Foggy Morning", "A Foggy Morning"),
        ("Two Five\nkey: F\ntempo: 96\nstyle: bossa\n| C6 | F7 |", "Two Five", "Two Five, in F, 96 bpm, bossa"),
        ("title: Dm7\n| C6 | F7 |", "Dm7", "Dm7"),
        ("Key=Bb, Tempo=140; Style=Jazz Swing\n| C6 | F7 |", "", "in Bb, 140 bpm, swing"),
        ("Name: My Own\nbpm: 80\nBy: me\n| C6 | F7 |", "My Own", "My Own, by me, 80 bpm"),
        ("C6 | F7\n", "", ""),
        ("N.C. Fine\nC6", "", ""),
    ],
)
def test_what_stands_before_the_music_is_understood(text: str, title: str, about: str) -> None:
    """Guards against: a chart that is refused for its title, and a tempo or a style that is not read."""
    chart = read(text)
    assert (chart.info.title, str(chart.info), len(chart.bars)) == (title, about, 2)


@given(
    st.lists(
        st.sampled_from(["title: Ours", "tempo: 66", "key: F", "tempo: |", "\t", "  ", " ", ",", ";", "Dm7", "\n"])
    )
)
@example(["\t", "\t", "title: Ours", "\t", "tempo: 66", "\n", "| C |"])
@example(["title: Ours", "\t" * 50_000, "| C |"])
@example([" " * 50_000, "title: Ours", " ", "\t" * 50_000, ",", "\n", "| C |"])
def test_headers_may_stand_anywhere_in_their_lines(parts: list[str]) -> None:
    """Guards against a chart whose blanks before a header end the program, or keep it busy for hours."""
    with contextlib.suppress(ChartError):
        read("".join(parts))


@given(st.lists(CHORDS, min_size=2, max_size=12))
def test_a_line_without_bar_lines_has_a_bar_for_each_chord(chords: list[str]) -> None:
    """Guards against: four bars that become one, and a guess without a word."""
    bare = read(" ".join(chords))
    assert bare == read(f"| {' | '.join(chords)} |")
    assert bare.info.warnings == ("song.txt: lines without bar lines are read as a bar a chord",)


@given(st.lists(st.lists(CHORDS, min_size=1, max_size=4), min_size=2, max_size=6))
def test_chords_with_a_comma_share_a_bar(groups: list[list[str]]) -> None:
    """Guards against: a paste of Band-in-a-Box whose two chords in a bar become two bars."""
    bare = read(" ".join(map(",".join, groups)))
    assert bare == read(f"| {' | '.join(map(' '.join, groups))} |")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C6 / / / F7 / G7 /", ["0:C6", "0:F7 2:G7"]),
        ("C6 / / G7", ["0:C6 3:G7"]),
        ("[A] C6 F7 [B] G7 %", ["0:C6", "0:F7", "0:G7", "0:G7"]),
        ("C6 F7 Fine\nG7 C6 D.C. al Fine", ["0:C6", "0:F7", "0:G7", "0:C6", "0:C6", "0:F7"]),
        ("3/4 C6 F7\n4/4 G7", ["0:C6", "0:F7", "0:G7"]),
        ("C6\n| F7 G7 |", ["0:C6", "0:F7 2:G7"]),
        ("| 1 C6 | 2 F7 |\n3. G7 |", ["0:C6", "0:F7", "0:G7"]),
        ("| C7(b9,b13) | Dm7, G7 |", ["0:C7(b9,b13)", "0:Dm7 2:G7"]),
        ("| Dm7,G7 C6 | C6 Dm7,G7 |", ["0:Dm7 1:G7 2:C6", "0:C6 2:Dm7 3:G7"]),
        ("| Dm7,G7 C6,F7 | Dm7,G7,C6 |", ["0:Dm7 1:G7 2:C6 3:F7", "0:Dm7 2:G7 3:C6"]),
        ("| CJ | BbH7/Ab |", ["0:Cmaj7", "0:Bbm7b5/Ab"]),
        ("| CD | F#S | ^Am7... |", ["0:Cdim", "0:F#sus", "0:Am7"]),
    ],
)
def test_lines_with_signs_and_numbers(text: str, expected: list[str]) -> None:
    """Guards against: signs, slashes and bar numbers that are lost where the bar lines are missing."""
    assert bars(text) == expected


@pytest.mark.parametrize(
    ("text", "expected", "warning"),
    [
        ("| Dm7 (Ab7) | G7 |", ["0:Dm7", "0:G7"], "(Ab7) is an alternative: left out"),
        ("| Dm7 | C6 (Em7 A7) |", ["0:Dm7", "0:C6"], "(Em7 A7) is an alternative: left out"),
        ("| Dm7 | (Gb7) |", ["0:Dm7", "0:Gb7"], None),
        ("| ^Dm7 | G7... |", ["0:Dm7", "0:G7"], "bar 1: '^Dm7' is read as 'Dm7'"),
        ("copyright: me\n| Dm7 | C(b5) |", ["0:Dm7", "0:C(b5)"], "line 1: 'copyright:' left out"),
    ],
)
def test_what_is_left_out_is_said(text: str, expected: list[str], warning: str | None) -> None:
    """Guards against: a chart that is refused for a reminder in parentheses, or plays it without a word."""
    assert bars(text) == expected
    warnings = read(text).info.warnings
    assert (warnings == ()) if warning is None else any(warning in each for each in warnings)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Verse 2\n| C |\nA: | D |\nBridge:\nE F", {0: "Verse 2", 1: "A", 2: "Bridge"}),
        ("[A]\n| C |\nOutro\n| D |", {0: "A", 1: "Outro"}),
    ],
)
def test_labels_at_the_start_of_a_line_name_sections(text: str, names: dict[int, str]) -> None:
    """Guards against: a section's name that is taken for a wrong chord."""
    assert dict(read(text).info.sections) == names


def test_all_mistakes_are_named_at_once() -> None:
    """Guards against: a chart that is mended and refused again and again, for one mistake at a time."""
    text = "tempo: fast\nkey: X\n| C | Qm | D % |\n| C D E F G A B C D | E9x |\n|: F | 0/4 G |\nkey: F"
    with pytest.raises(ChartError) as caught:
        read(text)
    lines = str(caught.value).splitlines()
    for place, word in [
        ("line 1", "'fast'"), ("line 2", "'X'"), ("line 3, bar 2", "'Qm'"), ("line 3, bar 3", "'%'"),
        ("line 4, bar 4", "9 chords"), ("line 4, bar 5", "'E9x'"), ("line 5, bar 7", "0/4"),
        ("line 5, bar 6", "never closed"), ("line 6", "before the first bar"),
    ]:  # fmt: skip
        assert any(line.startswith(f"song.txt, {place}: ") and word in line for line in lines), (place, lines)
    assert len(lines) == len(set(lines)) == 9


@given(st.lists(st.tuples(CHORDS, st.sampled_from(["Hx", "Qm7", "C9x"]), st.booleans()), min_size=1, max_size=60))
def test_each_wrong_chord_is_named_and_no_other(cells: list[tuple[str, str, bool]]) -> None:
    """Guards against: a mistake that hides another, or makes a right bar look wrong."""
    text = "| " + " | ".join(wrong if is_wrong else right for right, wrong, is_wrong in cells) + " |"
    expected = [number for number, (_, _, is_wrong) in enumerate(cells, 1) if is_wrong]
    if not expected:
        assert len(read(text).bars) == len(cells)
        return
    with pytest.raises(ChartError) as caught:
        read(text)
    named = [line.partition("bar ")[2].partition(":")[0] for line in str(caught.value).splitlines()]
    assert named[:MAX_PROBLEMS] == [str(number) for number in expected[:MAX_PROBLEMS]]
    assert len(named) == min(len(expected), MAX_PROBLEMS + 1)


def test_a_text_of_far_too_many_bars_is_refused_with_few_words() -> None:
    """Guards against: a wrong file whose errors fill the screen."""
    with pytest.raises(ChartError) as caught:
        read("| C " * (MAX_BARS + 50_000))
    assert len(str(caught.value).splitlines()) <= MAX_PROBLEMS + 1
