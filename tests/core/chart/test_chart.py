# SPDX-License-Identifier: Apache-2.0
"""Charts read from text, and the chord, the bar and the meter at any beat."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sideman.core.chart.chart import Bar, Chart, ChartError, Meter, chord_onsets, parse_meter
from sideman.core.chart.text import parse_changes
from sideman.core.errors import ConfigError
from sideman.core.positions import EPSILON_BEATS
from sideman_models.music.harmony import ROOT_NAMES, parse_chord
from support.strategies import charts

FOUR = Meter(4, 4)


def read(text: str, meter: Meter = FOUR) -> Chart:
    """The chart of a text; in 4/4 by default."""
    return parse_changes(text, meter, "blues.txt")


def bars(text: str, meter: Meter = FOUR) -> list[str]:
    """Each bar as text: `onset:chord onset:chord`."""
    return [" ".join(f"{at:g}:{chord}" for at, chord in bar.chords) for bar in read(text, meter).bars]


@pytest.mark.parametrize(
    ("text", "meter", "expected"),
    [
        ("Dm7 G7", "4/4", "0:Dm7 2:G7"),
        ("Dm7 G7 C", "4/4", "0:Dm7 2:G7 3:C"),
        ("C F G C", "4/4", "0:C 1:F 2:G 3:C"),
        ("C D E F G", "4/4", "0:C 1:D 2:E 3:F 3.5:G"),
        ("C G", "3/4", "0:C 2:G"),
        ("C G", "6/8", "0:C 1.5:G"),
        ("C G", "7/8", "0:C 2:G"),
        ("C G", "5/4", "0:C 3:G"),
        ("C / / G7", "4/4", "0:C 3:G7"),
        ("C . G .", "4/4", "0:C 2:G"),
        ("C C G", "4/4", "0:C 3:G"),
    ],
)
def test_chords_share_their_bar(text: str, meter: str, expected: str) -> None:
    """Guards against: a harmony that changes on another beat than the musician means."""
    assert bars(f"| {text} |", parse_meter(meter)) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("| Dm7 | G7 | Cmaj7 | % |", "Dm7 G7 Cmaj7 Cmaj7"),
        ("Dm7 | G7\nCmaj7", "Dm7 G7 Cmaj7"),
        ("|| Dm7 | G7 ||\r\n|| C ||", "Dm7 G7 C"),
        ("|: A | B :| C", "A B A B C"),
        ("|: A :|x3 C", "A A A C"),
        ("|: A :| x3 | C |", "A A A C"),
        ("A | B :| C", "A B A B C"),
        ("|: A :|: B :|", "A A B B"),
        ("||: A :||\n|: B | % :||", "A A B B B B"),
        ("A | / | N.C.", "A A N.C."),
        ("# Blues for C#\nF#7 # the tonic\n  # and so on\nC#m7", "F#7 C#m7"),
    ],
)
def test_bars_and_repeats_are_written_out(text: str, expected: str) -> None:
    """Guards against: a wrong form, so that the solo is lost after the first repeat."""
    assert bars(text) == [f"0:{chord}" for chord in expected.split()]


@pytest.mark.parametrize(
    ("text", "bar", "problem"),
    [
        ("| Dm7 | Gx7 | C |", 2, "'Gx7' is not a chord"),
        ("C :| D | Q", 3, "'Q' is not a chord"),
        ("C | |: D | E", 2, "never closed"),
        ("|: C |: D :|", 2, "a repeat within a repeat"),
        ("C :| :|", 2, "no bars to repeat"),
        ("|: C :|x1", 2, "2 to 64 times"),
        ("|: C :|x999999", 2, "2 to 64 times"),
        ("C |x3", 2, "must follow the end of a repeat"),
        ("% | C", 1, "there is none"),
        ("/ C", 1, "there is none"),
        ("C | % G", 2, "'%' repeats a whole bar"),
        ("C | | D", 2, "the bar is empty"),
        ("C D E F G A B C D |", 1, "9 chords"),
        ("C | D : E", 2, "':' is not a chord"),
    ],
)
def test_an_error_names_source_bar_and_symbol(text: str, bar: int, problem: str) -> None:
    """Guards against: a musician who has to search a whole chart for one wrong sign."""
    with pytest.raises(ChartError) as caught:
        read(text)
    assert str(caught.value).startswith(f"blues.txt, bar {bar}: ")
    assert problem in str(caught.value)
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize("text", ["", " \n\n", "| |: :|", "# nothing yet", "||"])
def test_an_empty_chart_is_refused(text: str) -> None:
    """Guards against: a division by zero because a chart file was saved empty."""
    with pytest.raises(ChartError, match=r"blues\.txt"):
        read(text)


def test_repeats_cannot_exceed_the_longest_chart() -> None:
    """Guards against: a few mistyped signs that fill the memory of the machine."""
    with pytest.raises(ChartError, match="grows beyond 4096 bars"):
        read("|: " + "C | " * 100 + ":|x64")


@given(st.text(alphabet="CG7#m/|:%.x3 \n\t", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_chart_or_a_chart_error(text: str) -> None:
    """Guards against: a mistyped chart that ends the program with a traceback."""
    try:
        chart = read(text)
    except ChartError as error:
        message = str(error)
    else:
        assert read(chart.text(), chart.meter) == chart
        return
    assert "blues.txt" in message


def test_a_meter_holds_until_the_next() -> None:
    """Guards against: a song with bars of several lengths whose chords slip."""
    chart = parse_changes("| C | 3/4 Dm G | % | 4/4 C |", FOUR, "test")
    assert [bar.meter for bar in chart.bars] == [FOUR, Meter(3, 4), Meter(3, 4), FOUR]
    assert chart.length == 14.0
    assert chart.meters == ((0.0, FOUR), (4.0, Meter(3, 4)), (10.0, FOUR))
    assert [chart.chord_at(beat).text for beat in (3.9, 4, 6, 7, 9, 10, 14)] == ["C", "Dm", "G", "Dm", "G", "C", "C"]
    assert chart.text() == "| C | 3/4 Dm G | Dm G | 4/4 C |"


@given(charts(), st.integers(-50, 50), st.floats(0, 0.999))
def test_every_beat_is_in_its_bar(chart: Chart, index: int, share: float) -> None:
    """Guards against: wrong bar numbers, and turns that do not begin on a bar line."""
    start = chart.beat_of_bar(index)
    quarters = float(chart.bars[index % len(chart.bars)].meter.quarters)
    bar_index, beat = chart.bar_at(start + share * quarters)
    assert (bar_index, round(beat, 6)) == (index, round(start, 6))
    assert chart.beat_of_bar(index + 1) == pytest.approx(start + quarters)
    assert chart.chord_at(start) == chart.bars[index % len(chart.bars)].chords[0][1]


@given(charts())
def test_a_printed_chart_is_read_back(chart: Chart) -> None:
    """Guards against: a chart shown by the program that cannot be pasted back into it."""
    again = parse_changes(chart.text(), chart.meter, "again")
    assert again == chart
    assert hash(again) == hash(chart)


def test_a_chart_is_laid_out_four_bars_a_line() -> None:
    """Guards against: a long chart that people cannot read."""
    assert read("C | D G | E / / A | F | G :|").text().splitlines() == [
        "| C | D G | E / / A | F |",
        "| G | C | D G | E / / A |",
        "| F | G |",
    ]


@given(charts(), st.integers(-3, 3), st.data())
def test_the_chord_at_a_beat_is_the_one_written_there(chart: Chart, chorus: int, data: st.DataObject) -> None:
    """Guards against: notes that are chosen for the chord before or after the one that sounds."""
    number = data.draw(st.integers(0, len(chart.bars) - 1))
    chords = chart.bars[number].chords
    index = data.draw(st.integers(0, len(chords) - 1))
    start, chord = chords[index]
    end = chords[index + 1][0] if index + 1 < len(chords) else float(chart.bars[number].meter.quarters)
    top = chart.beat_of_bar(number + chorus * len(chart.bars))
    for place in (start, start - 1e-10, (start + end) / 2, end - 1e-6):
        assert chart.chord_at(top + place) == chord


@given(charts(), st.floats(-500, 500))
def test_the_next_change_is_the_next_different_chord(chart: Chart, beat: float) -> None:
    """Guards against: a network that expects a change which does not come, or comes on another beat."""
    chord, until = chart.next_change(beat)
    now = chart.chord_at(beat)
    if math.isinf(until):
        assert {other for bar in chart.bars for _, other in bar.chords} == {now} == {chord}
        return
    assert chord != now
    assert 0 < until <= chart.length
    assert chart.chord_at(beat + until) == chord
    margin = 3 * EPSILON_BEATS  # `beat` itself may be as good as the next bar line, and the sum as well
    assume(until > margin)
    for wait in (until / 4, until / 2, until - margin):
        assert chart.chord_at(beat + wait) == now


def test_the_next_change_can_be_at_the_top_of_the_next_chorus() -> None:
    """Guards against: a soloist who does not prepare the top at the end of a chorus."""
    chart = read("C | G7 | C")
    assert chart.next_change(8.0) == (parse_chord("G7"), 8.0)
    assert chart.next_change(5.0) == (parse_chord("C"), 3.0)
    assert chart.next_change(7.9999999999) == (parse_chord("G7"), 8.0)


@given(charts(), st.integers(-11, 11), st.floats(-50, 50))
def test_transposing_a_chart_transposes_each_chord(chart: Chart, semitones: int, beat: float) -> None:
    """Guards against: `chart.transpose` that changes the form of a song, or only some of its chords."""
    moved = chart.transposed(semitones)
    assert moved.chord_at(beat) == chart.chord_at(beat).transposed(semitones)
    assert moved.transposed(-semitones) == chart


@pytest.mark.parametrize(
    ("text", "quarters"), [("4/4", 4), ("3/4", 3), ("6/8", 3), ("5/4", 5), ("7/8", Fraction(7, 2)), (" 2 / 2 ", 4)]
)
def test_meters_are_read(text: str, quarters: Fraction) -> None:
    """Guards against: a waltz that is played in four."""
    meter = parse_meter(text)
    assert meter.quarters == quarters
    assert parse_meter(str(meter)) == meter


@pytest.mark.parametrize("text", ["", "4", "0/4", "17/4", "4/3", "4/0", "-3/4", "4/4/4", "four", "٤/٤", "4/32"])
def test_impossible_meters_are_refused(text: str) -> None:
    """Guards against: a daemon that an impossible meter stops later, while it plays."""
    with pytest.raises(ChartError, match="is not a meter"):
        parse_meter(text)


def test_a_chart_has_at_least_a_bar() -> None:
    """Guards against: an empty chart, made by another part of the program, that fails on stage."""
    with pytest.raises(ChartError):
        Chart(())
    assert Chart((Bar(((0.0, parse_chord("C")),), FOUR),)).length == 4.0


def test_charts_of_the_same_bars_are_equal() -> None:
    """Guards against: a chart that counts as changed, and starts again, because its title was corrected."""
    plain, titled, other = read("| F7 |"), read("title: Blues\n| F7 |"), read("| F7 | F7 |")
    assert titled.info != plain.info
    assert titled == plain
    assert not titled != plain  # noqa: SIM202 - a struct has a `!=` of its own
    assert hash(titled) == hash(plain)
    assert other != plain


@pytest.mark.parametrize(
    ("meter", "count", "expected"),
    [
        ("12/8", 3, [0, 3, 4.5]),
        ("12/8", 2, [0, 3]),
        ("12/8", 4, [0, 1.5, 3, 4.5]),
        ("12/8", 6, [0, 1, 2, 3, 4, 5]),
        ("9/8", 2, [0, 3]),
        ("9/8", 3, [0, 1.5, 3]),
        ("6/8", 2, [0, 1.5]),
        ("6/8", 3, [0, 1, 2]),
        ("3/4", 2, [0, 2]),
        ("4/4", 3, [0, 2, 3]),
    ],
)
def test_chords_share_the_beats_that_musicians_count(meter: str, count: int, expected: list[float]) -> None:
    """Guards against: a slow blues in 12/8 whose chords change within the triplets."""
    assert chord_onsets(count, parse_meter(meter)) == expected
    bar = read(f"{meter} " + " ".join(ROOT_NAMES[:count]) + " |").bars[0]
    assert [at for at, _ in bar.chords] == expected
