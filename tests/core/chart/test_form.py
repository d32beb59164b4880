# SPDX-License-Identifier: Apache-2.0
"""Endings, D.C., D.S. and codas: in which order the bars of a chart are played."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sideman.core.chart.chart import Chart, ChartError, Meter
from sideman.core.chart.form import MAX_BARS
from sideman.core.chart.text import parse_changes
from sideman_models.music.harmony import ROOT_NAMES

FOUR = Meter(4, 4)


def read(text: str, meter: Meter = FOUR) -> Chart:
    """The chart of a text; in 4/4 by default."""
    return parse_changes(text, meter, "song.chart")


def order(text: str) -> str:
    """The first chord of each bar, in the order played."""
    return " ".join(str(bar.chords[0][1]) for bar in read(text).bars)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("|: A | [1] B :| [2] C | D", "A B A C D"),
        ("|: A | [1,2] B :| [3] C ||", "A B A B A C"),
        ("|: A | [1-3] B :| [4.] C ||", "A B A B A B A C"),
        ("|: A | [1] B :| [2] C :| D", "A B A C D"),
        ("A | [1] B :| [2] C || D", "A B A C D"),
        ("|: A | [1] B :| C", "A B A C"),
        ("|: A | [1] B :| [2] C :| [3] D || E :|", "A B A C A D E E"),
        ("|: A | [1] B :| [2] C | [B] D :|", "A B A C D D"),
        ("|: A | [1] B :| [2] C |: D :|", "A B A C D D"),
        ("|: [1] A :| [2] B ||", "A B"),
        ("|: A | [1] B :| [2,3] C || D", "A B A C A C D"),
        ("|: A | [1] B :| [2-4] C", "A B A C A C A C"),
    ],
)
def test_each_pass_takes_its_ending(text: str, expected: str) -> None:
    """Guards against: a second pass that ends with the bars of the first ending."""
    assert order(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A | B Fine | C | D D.C. al Fine", "A B C D A B"),
        ("A | B | Fine | C | D | D.C. al Fine", "A B C D A B"),
        ("A | B | C D.C.", "A B C A B C"),
        ("A | B Fine | C D.C.", "A B C A B"),
        ("A | Segno B | C To Coda | D D.S. al Coda | Coda E | F", "A B C D B C E F"),
        ("A | Segno B | C To Coda | D D.S. | Coda E", "A B C D B C E"),
        ("A | B To Coda | C | D D.C. al Coda | Coda |: E :|", "A B C D A B E E"),
        ("|: A | B :| C D.C. al Fine", None),
        ("|: A | B Fine :| C D.C. al Fine", "A B A B C A B"),
        ("|: A | [1] B :| [2] C Fine || D D.C. al Fine", "A B A C D A C"),
        ("|: A | [1] B To Coda :| [2] C || D D.C. al Coda | Coda E", "A B A C D A B E"),
        ("|: A | [1] B :| [2] C || D D.C. al 2nd ending", "A B A C D A C"),
        ("|: A | [1] B :| [2] C || D D.C. al 1", "A B A C D A B"),
        ("|: A | [1] B D.C. al 2nd End. :| [2] C || D", "A B A C D"),
        ("|: A D.C. al Fine | B Fine :|", "A B A A B"),
        ("A | Segno B | C Fine | D D.C. | E D.S.", "A B C D A B C"),
        ("A | B || Coda C | D", "A B"),
        ("A To Coda | B || Coda C | D", "A B"),
        ("A | da capo al fine", None),
        ("A Fine | B Da Capo al fine", "A B A"),
        ("A | SEGNO B | C dal segno", "A B C B C"),
    ],
)
def test_a_jump_leads_to_its_goal(text: str, expected: str | None) -> None:
    """Guards against: a head that is played wrong after the D.S., or a coda played too early or never."""
    if expected is None:
        with pytest.raises(ChartError, match=r"without a Fine; write 'Fine' where it stands"):
            read(text)
    else:
        assert order(text) == expected


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("C | [2] D", "bar 2", "the next ending must be the 1st"),
        ("|: C | [1] D :| [3] E", "bar 3", "the next ending must be the 2nd"),
        ("|: C | [1] D | [2] E", "bar 3", "the 1st ending is not closed"),
        ("|: C | [1] D | E", "bar 2", "the 1st ending is never closed"),
        ("|: C | [1] D |: E :|", "bar 3", "a repeat within an ending"),
        ("|: C | [1] D :|x3 [2] E", "bar 2", "number the endings"),
        ("|: C | [1] D :| [2]", "bar 2", "the 2nd ending has no bars"),
        ("|: C | [3-1] D :|", "bar 2", "the next ending must be the 1st"),
        ("|: C | [1-900] D :| [2] E", "bar 2", "the next ending must be the 1st"),
        ("C | D D.S.", "bar 2", "without a Segno"),
        ("C | D D.C. al Coda", "bar 2", "without a To Coda"),
        ("C To Coda | D D.C. al Coda", "bar 2", "without a Coda"),
        ("C | D D.C. al 2nd ending", "bar 2", "does not reach its 2nd ending"),
        ("C Fine | Segno D | E D.S. al Fine", "bar 3", "does not reach its Fine"),
        ("Fine C", "bar 1", "must stand after a bar, but there is none"),
        ("C | Segno", "bar 1", "has no bars after it"),
        ("Segno C | Segno D", "bar 2", "is written twice, first at bar 1"),
        ("C Segno D", "bar 1", "before the first chord"),
        ("C Fine D", "bar 1", "after the last chord"),
        ("C [A] D", "bar 1", "before the first chord"),
        ("C | [] D", "bar 2", "has no name"),
        ("Coda C | D", "bar 1", "there is only a coda"),
        ("C | %%", "bar 2", "there are fewer"),
        ("C | 3/4 %", "bar 2", "'%' repeats bars of another meter than 3/4"),
        ("C | 3/0 D", "bar 2", "'3/0' is not a meter"),
        ("C | 4/5 D", "bar 2", "is not a meter"),
        ("title: x\n\n| C |\n| D | E9x |", "line 4, bar 3", "'E9x' is not a chord"),
        ("C\nD\n|: E", "line 3, bar 3", "never closed"),
        ("C\n\n\nD D.S.\nE", "line 4, bar 2", "without a Segno"),
    ],
)
def test_an_error_of_form_names_line_bar_and_sign(text: str, place: str, problem: str) -> None:
    """Guards against: an impossible form that is played somehow, or an error that cannot be found in a long chart."""
    with pytest.raises(ChartError) as caught:
        read(text)
    assert str(caught.value).startswith(f"song.chart, {place}: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("composr: me\nC", "line 1", "the headers are title, composer, key, tempo, meter and style"),
        ("style: zydeco\nC", "line 1", "'zydeco' is not a style: write swing, bossa, waltz, ballad or even"),
        ("\ntempo: fast\nC", "line 2", "'fast' is not a tempo"),
        ("tempo: 1000\nC", "line 1", "20 to 400"),
        ("key: H\nC", "line 1", "'H' is not a key"),
        ("meter: 4/5\nC", "line 1", "is not a meter"),
        ("title: " + "x" * 300 + "\nC", "line 1", "200 printable characters"),
    ],
)
def test_a_wrong_header_is_reported(text: str, place: str, problem: str) -> None:
    """Guards against: a mistyped header that is read as music, or ignored without a word."""
    with pytest.raises(ChartError) as caught:
        read(text)
    assert str(caught.value).startswith(f"song.chart, {place}: ")
    assert problem in str(caught.value)


def test_headers_and_sections_are_read() -> None:
    """Guards against: `sideman check --chart` without title and sections, and a waltz that is played in four."""
    text = "# ours\ntitle: Rain, again\ncomposer: A. Pianist\nkey: B flat\ntempo: 92 bpm\nmeter: 3/4\n"
    text += "[A]\n|: C | % :|\n[Out] F"
    with pytest.raises(ChartError, match="line 4: key: 'B flat' is not a key"):
        read(text)
    chart = read(text.replace("B flat", "bb minor"))
    assert (chart.info.title, chart.info.composer, chart.info.key) == ("Rain, again", "A. Pianist", "Bbm")
    assert (chart.info.tempo, chart.meter) == (92, Meter(3, 4))
    assert chart.info.sections == ((0, "A"), (2, "A"), (4, "Out"))
    assert chart.text().splitlines() == ["[A]", "| C | C |", "[A]", "| C | C |", "[Out]", "| F |"]
    assert str(chart.transposed(2).info) == "Rain, again, by A. Pianist, in Cm, 92 bpm"


def test_two_bars_are_repeated_and_beats_kept() -> None:
    """Guards against: signs of a hand-written chart that are not understood."""
    assert order("C | G7 | %% | F | %") == "C G7 C G7 F F"
    bars = [" ".join(f"{at:g}:{chord}" for at, chord in bar.chords) for bar in read("C / / G7 | N.C. | C . F").bars]
    assert bars == ["0:C 3:G7", "0:N.C.", "0:C 3:F"]


def test_jumps_cannot_exceed_the_longest_chart() -> None:
    """Guards against: a few mistyped signs that keep the program busy for ever, or fill the memory."""
    nested = "|: " + "C | " * 62 + ":|x64 |: " + "D | " * 62 + " D.C. | E :| F D.C. | G D.C."
    with pytest.raises(ChartError, match=f"grows beyond {MAX_BARS} bars"):
        read(nested)


_SIGNS = ["D.C.", "D.S.", "D.C. al Fine", "D.S. al Coda", "D.C. al 2nd ending", "Segno", "Coda", "To Coda", "Fine"]
_LINES = ["|", "|:", ":|", ":|x3", "||", "\n"]
_MARKS = ["[1]", "[2]", "[3]", "[1,2]", "[A]", "[", "]", "x3", "3/4", "title: A\n", "key: C"]
_BARS = ["C |", "G7 |", "C G7 |", "% |", "%% |", "/ |", "N.C. |"]
_WORDS = st.sampled_from([*_SIGNS, *_LINES, *_MARKS, *_BARS, *_BARS])


@given(st.lists(_WORDS, max_size=40))
@example(["C", "|", "Segno", "C", "|", "D.S.", "|", "D.C."])
def test_any_signs_are_a_chart_or_a_chart_error(words: list[str]) -> None:
    """Guards against: signs in an unforeseen order that end in a traceback, or in an endless loop."""
    try:
        chart = read(" ".join(words))
    except ChartError as error:
        message = str(error)
    else:
        message = "song.chart"
        assert 1 <= len(chart.bars) <= MAX_BARS
        assert read(chart.text(), chart.meter) == chart
        assert read(chart.text(), chart.meter).info.sections == chart.info.sections
    assert message.startswith("song.chart")


@st.composite
def _written(draw: st.DrawFn) -> tuple[str, list[int]]:
    """The text of a form of several parts, and its bars in the order played, worked out part by part."""
    text, played, count = [], [], 0

    def next_bars() -> list[int]:
        nonlocal count
        first, count = count, count + draw(st.integers(1, 3))
        return list(range(first, count))

    def cells(bars: list[int]) -> str:
        return " | ".join(_CHORDS[bar] for bar in bars)

    for _ in range(draw(st.integers(1, 4))):
        match draw(st.sampled_from(["plain", "repeat", "endings"])):
            case "plain":
                bars = next_bars()
                text.append(f"| {cells(bars)} |\n")
                played += bars
            case "repeat":
                bars, times = next_bars(), draw(st.integers(2, 4))
                text.append(f"|: {cells(bars)} :|x{times}\n")
                played += bars * times
            case _:
                common, first, last = next_bars(), next_bars(), next_bars()
                times = draw(st.integers(1, 3))
                text.append(f"|: {cells(common)} | [1-{times}] {cells(first)} :| [{times + 1}] {cells(last)} ||\n")
                played += (common + first) * times + common + last
    return "".join(text), played


_CHORDS = [root + quality for quality in ("", "m", "7", "m7") for root in ROOT_NAMES]


@given(_written(), st.sampled_from(["", "D.C. al Fine", "Fine only"]))
def test_parts_in_a_row_are_played_as_written(form: tuple[str, list[int]], jump: str) -> None:
    """Guards against: parts in a row that disturb each other's repeats."""
    text, played = form
    names = [_CHORDS[bar] for bar in played]
    if jump == "Fine only":
        text, names = f"N.C. Fine\n{text}", ["N.C.", *names]
    elif jump:
        text, names = f"N.C. Fine\n{text} D.C. al Fine", ["N.C.", *names, "N.C."]
    assert order(text).split() == names
