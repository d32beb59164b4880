# SPDX-License-Identifier: Apache-2.0
"""Reads charts of iReal Pro, links and exported HTML, which the tests write themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sideman.charts.detect import read_chart
from sideman.charts.ireal import find_songs, read_ireal, unscramble
from sideman.core.chart.chart import Chart, ChartError, Meter
from sideman.core.chart.form import MAX_BARS
from sideman_models.music.harmony import parse_chord
from support.ireal import MARK, html_page, playlist_link, scramble, song_text

FOUR = Meter(4, 4)


def bars(music: str) -> list[str]:
    """Each bar of a song as `onset:chord` words."""
    chart = read_ireal(playlist_link(song_text("T", music)), "x")
    return [" ".join(f"{at:g}:{chord}" for at, chord in bar.chords) for bar in chart.bars]


def order(music: str) -> str:
    """The first chords of the bars in the order played."""
    return " ".join(bar.split()[0].removeprefix("0:") for bar in bars(music))


def refusal(text: str, wanted: str | None = None) -> str:
    """The message of the error that a text raises."""
    with pytest.raises(ChartError) as caught:
        read_ireal(text, "x.html", wanted)
    return str(caught.value)


@given(st.text(alphabet="ABC-7^|{} [](),xNT4*Z", max_size=160))
def test_music_is_unscrambled(music: str) -> None:
    """Guards against: the chords of a link in the wrong order."""
    assert unscramble(scramble(music).removeprefix(MARK)) == music


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("T44*A[C^7   |A-7   |D-7   |G7   Z", "C^7 A-7 D-7 G7"),
        ("{*AT44C   |D-7   }[*BE-7   |F^7   Z", "C D-7 C D-7 E-7 F^7"),
        ("T44{C   |N1D-7   }|N2E-7   ]F^7   Z", "C D-7 C E-7 F^7"),
        ("T44{C   |N1D-7   }        N2E-7   ][F^7   Z", "C D-7 C E-7 F^7"),
        ("T44{C   |D-7   <3x>}E-7   Z", "C D-7 C D-7 C D-7 E-7"),
        ("T44[C   | x   | x   |G7   Z", "C C C G7"),
        ("T44[C   |G7   |r   |   |F   Z", "C G7 C G7 F"),
        ("T44[C   |G7   |r|F   Z", "C G7 C G7 F"),
        ("T44[C   |G7   |r   Z", "C G7 C G7"),
        ("T44[C   |    |G7   Z", "C C G7"),
        ("T44[C   |n   |p   Z", "C N.C. N.C."),
        ("T44[C   |D-7  Q|E-7   |F   <D.C. al Coda>][QG7   |A-7   Z", "C D-7 E-7 F C D-7 G7 A-7"),
        ("T44[C   |SD-7   |E-7   |QF   <D.S. al Coda>]Y[QG7   Z", "C D-7 E-7 F D-7 E-7 G7"),
        ("T44[C   |D-7   <Fine>|E-7   <D.C. al Fine>Z", "C D-7 E-7 C D-7"),
        ("T44*A{C   |N1D-7   }|N2E-7   ]*B[F   |G7   <*66D.C. al 2nd End.>Z", "C D-7 C E-7 F G7 C E-7"),
        ("T44[C   |D-7  Q|E-7   ][QF   Z", "C D-7 E-7"),
        ("T44[sC,l,   |f(G7alt)D-7(A7)  U|<hey>E-7   Z  ", "C D-7 E-7"),
        ("T44[C*7b9sus*   |W/E   |Bh7   |Eo7   Z", "C7b9sus C7b9sus/E Bh7 Eo7"),
    ],
)
def test_the_form_of_a_song_is_read(music: str, expected: str) -> None:
    """Guards against: a song played in another form than in iReal Pro."""
    assert order(music) == expected


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        (
            "T44[C G7 |F  C|  D-7 |A-7,D7,G7,C|F,p,p,CZ",
            ["0:C 2:G7", "0:F 3:C", "0:C 2:D-7", "0:A-7 1:D7 2:G7 3:C", "0:F 3:C"],
        ),
        ("T34[C   |G7 C |A-7DZ", ["0:C", "0:G7 2:C", "0:A-7 2:D"]),
        ("T44[C D E F |G Z", ["0:C 1:D 2:E 3:F", "0:G"]),
        ("T12[C   |F G7 Z", ["0:C", "0:F 3:G7"]),
        ("T44[C   |T34D  |E F |T44G A Z", ["0:C", "0:D", "0:E 2:F", "0:G 2:A"]),
    ],
)
def test_chords_stand_on_the_beats_of_their_cells(music: str, expected: list[str]) -> None:
    """Guards against: the harmony changes on another beat than the song shows."""
    assert bars(music) == expected


def test_every_chord_of_its_keyboard_is_read() -> None:
    """Guards against: a song refused for a chord that iReal Pro itself offers."""
    for quality in QUALITIES:
        read = read_ireal(playlist_link(song_text("T", f"T44[Eb{quality}/G   Z")), "x").bars[0].chords[0][1]
        assert read == parse_chord(f"Eb{quality}/G")


QUALITIES = [
    "", "5", "2", "add9", "+", "o", "h", "sus", "^", "-", "^7", "-7", "7", "7sus", "h7", "o7", "^9", "^13", "6",
    "69", "^7#11", "^9#11", "^7#5", "-6", "-69", "-^7", "-^9", "-9", "-11", "-7b5", "h9", "-b6", "-#5", "9", "7b9",
    "7#9", "7#11", "7b5", "7#5", "9#11", "9b5", "9#5", "7b13", "7#9#5", "7#9b5", "7#9#11", "7b9#11", "7b9b5",
    "7b9#5", "7b9#9", "7b9b13", "7alt", "13", "13#11", "13b9", "13#9", "7b9sus", "7susadd3", "9sus", "13sus",
    "7b13sus", "11",
]  # fmt: skip


def test_title_composer_key_and_tempo_are_read() -> None:
    """Guards against: songs of a playlist without a title; a waltz played in 4/4."""
    chart = read_ireal(playlist_link(song_text("It's Raining = Or Not"[:12], "*iT34[C   |*AF   Z", "E-", 96)), "x")
    about = chart.info
    assert (about.title, about.composer, about.key, about.tempo) == ("It's Raining", "Nobody", "Em", 96)
    assert chart.meter == Meter(3, 4)
    assert about.sections == ((0, "Intro"), (1, "A"))


def test_a_plain_link_of_the_older_kind_is_read() -> None:
    """Guards against: links written by hand, or by other programs, that cannot be read."""
    text = "irealbook://Up=Last First=Medium Swing=Ab=n=T44*A{C^7 |A-7 |D-9 |G7#5 }"
    chart = read_ireal(text, "x")
    assert [str(bar.chords[0][1]) for bar in chart.bars] == ["C^7", "A-7", "D-9", "G7#5"] * 2
    two = read_ireal(text + "=Down=Who=Ballad=C=n=T34[F Z", "x", "down")
    assert (two.info.title, two.meter, len(two.bars)) == ("Down", Meter(3, 4), 1)


@pytest.mark.parametrize(
    ("wanted", "title"), [(None, "One"), ("1", "One"), ("2", "Two & Half"), ("two & half", "Two & Half"), ("3", "3rd")]
)
def test_a_song_of_a_playlist_is_chosen(tmp_path: Path, wanted: str | None, title: str) -> None:
    """Guards against: only the first song of an exported playlist can be played."""
    first = playlist_link(song_text("One", "T44[C   Z"), song_text("Two & Half", "T44[D   Z"), name="Gig")
    file = tmp_path / "gig.html"
    file.write_text(html_page(first, playlist_link(song_text("3rd", "T44[E   Z"))), "utf-8")
    assert read_chart(file, FOUR, wanted).info.title == title


def test_an_unknown_song_is_an_error() -> None:
    """Guards against: another song than the named one is played."""
    text = html_page(playlist_link(song_text("Blue Rain", "T44[C   Z"), song_text("Red Sun", "T44[C   Z")))
    assert "it has 2 songs, but none is '3'" in refusal(text, "3")
    assert "the nearest are 1 'Blue Rain'" in refusal(text, "blue ran")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<html><body>nothing</body></html>", "it has no song of iReal Pro"),
        ("irealb://", "no song"),
        ("irealb://Title=Me", "no song"),
        (playlist_link(song_text("T", "")), "T: no bars in its music"),
        (playlist_link(song_text("T", "T44[n   |p   Z")), "T: no chords in its music"),
        (playlist_link(song_text("T", "T44[C   |" + "<" * 20_000)), "its music is too long"),
    ],
)
def test_only_what_has_no_chords_is_refused(text: str, words: str) -> None:
    """Guards against: a file without a chart that is played as something; an error that does not name the song."""
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("music", "expected", "words"),
    [
        ("T44[C   |D?   Z", "C D", "bar 2: '?' is not known"),
        ("T44[C   |Dsusb   |E   Z", "C Dsus E", "bar 2: 'Dsusb' is not understood; it is read as Dsus"),
        ("T44[C   |D*maj 7 no idea*   Z", "C Dmaj7", "bar 2: 'D*maj 7 no idea*' is not understood"),
        ("T47[C   |DZ", "C D", "bar 1: 'T47' is not a meter"),
        ("T44[C   |{D   |E   Z", "C D E", "bar 2: the repeat '|:' is never closed: played once"),
        ("T44{C   |{D   }E   }F   Z", "C D D E C D D E F", "bar 2: a repeat within a repeat"),
        ("T44{C   |{D   }E   Z", "C D D E", "bar 1: the repeat '|:' is never closed"),
        ("T44{C   |N1D   |{E   }}N2F   Z", "C D E E C F", "bar 3: a repeat within an ending"),
        ("T44[C   |D   <D.S. al Coda>Z", "C D C D", "bar 2: 'D.S. al Coda' without a Segno: played from the top"),
        ("T44[C   |D  Q|E   <D.C. al Coda>]F   Z", "C D E C D F", "bar 3: 'D.C. al Coda' without a Coda"),
        ("T44[C   |D   <D.C. al Fine>]E   Z", "C D C D E", "bar 2: 'D.C. al Fine' without a Fine: played to the end"),
        ("T44[C   <Fine>|D   <Fine>|E   <D.C. al Fine>Z", "C D E C", "'Fine' is written twice"),
        ("T44[C   |SD   |SE   |F   <D.S.>Z", "C D E F E F", "'Segno' is written twice"),
        ("T44[C   |SD   <Fine>|E   <D.C. al 3rd End.>Z", "C D E C D E", "does not reach its 3rd ending"),
        ("T44[C   |N2D   Z", "C D", "bar 2: no 1st ending before the 2nd: played as it stands"),
        ("T44{C   |N1D   ]N2E   ]F   Z", "C D C E F", "the 1st ending has no ':|'"),
        ("T44{C   |N1D   |N2E   }F   Z", "C D C E F", "the 1st ending has no ':|'"),
        ("T44{C   |N1D   }{N2E   }F   Z", "C D C E F", "a repeat opens at the 2nd ending: left out"),
        ("T44{C   |N1D   }|N3E   ]F   Z", "C D C E F", "the next ending must be the 2nd"),
        ("T44{C   |N1D   ]F   Z", "C D F", "bar 2: the 1st ending is never closed"),
        ("T44[ x   |C   Z", "N.C. C", "bar 1: a sign repeats more bars than"),
        ("T44[C   |G7   |xF  Z", "C G7 G7", "bar 3: 'x' repeats whole bars"),
        ("T44[nW/E |C   Z", "N.C. C", "bar 1: 'W/E' has no chord before it"),
        ("T44[CDEFGABCD   |F   Z", "C F", "bar 1: 9 chords"),
        ("T44[C   | G7  Z", "C G7", "bar 2: G7 is centred in its bar"),
        ("T44[C   |D   <65x>}E   Z", "C D " * 64 + "E", "'x65'"),
    ],
)
def test_a_song_is_played_as_near_as_can_be_with_a_warning(music: str, expected: str, words: str) -> None:
    """Guards against: a song refused for one sign, or played by a guess that the musician does not hear of."""
    assert order(music) == expected
    warnings = read_ireal(playlist_link(song_text("T", music)), "x.html").info.warnings
    assert any(words in each and each.startswith("x.html, T, bar ") for each in warnings), warnings


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("{*AT44C   |N1D   }        |        N2E   ][*BF   |G   Z", "C D C E F G"),
        ("{*AT44C   |N1D   }|N2E   ][*BF   <D.C. al 3rd End.>|G   ]Y|N3A   |B   Z", "C D C E F G C A B"),
        ("T44[C   |D   <Fine>][*BE   |<D.C. al Fine>F   |G   |A   ]", "C D E F G A C D"),
        ("T44[SC   |D   <Fine>][*BE   |<D.S. al Fine>F   |G   Z", "C D E F G C D"),
        ("T44[C   |D  Q|E   ][F   |<D.C. al Coda>G   |A   ][QB   Z", "C D E F G A C D B"),
        ("T44[C   | n  |F   | n  Z", "C N.C. F N.C."),
        ("T44[C7/E   |W/G   |nC   Z", "C7/E C7/G N.C."),
    ],
)
def test_what_songs_are_known_to_mean_is_no_guess(music: str, expected: str) -> None:
    """Guards against: the last bars of a bridge lost in each chorus; warnings of what is right that hide the others."""
    assert order(music) == expected
    assert read_ireal(playlist_link(song_text("T", music)), "x").info.warnings == ()


def test_links_without_percent_encoding_are_found() -> None:
    """Guards against: a link that a mail program has decoded, cut at its first blank."""
    link = "irealb://" + song_text("My Song", "T44[C   |<A tempo>G7   |<p >F   Z")
    for text in (link, f'<a href="{link}">My Song</a>', f"<html><p>{link}</p></html>", f"<p>{link}"):
        assert [str(bar.chords[0][1]) for bar in read_ireal(text, "x").bars] == ["C", "G7", "F"]


def test_few_of_very_many_warnings_are_shown() -> None:
    """Guards against: a broken song that fills the log."""
    warnings = read_ireal(playlist_link(song_text("T", "T44[C   " + "|D?   " * 500 + "Z")), "x").info.warnings
    assert len(warnings) == 21
    assert warnings[-1] == "x, T: 480 more warnings"


def _tried(text: str) -> Chart | None:
    try:
        chart = read_ireal(text, "x.html")
    except ChartError as error:
        assert str(error).startswith("x.html")  # noqa: PT017 - both outcomes are right
        return None
    assert 1 <= len(chart.bars) <= MAX_BARS
    assert chart.text()
    assert all(text.isprintable() for text in chart.info.warnings)
    return chart


_TOKENS = [
    *"|[]{}Z SQnpxrslfUY,",
    "T44",
    "T34",
    "*A",
    "N1",
    "N2",
    "N3",
    "N0",
    "C",
    "G7",
    "D-7/G",
    "W/E",
    "(A7)",
    "   ",
    "<3x>",
]
_TOKENS += ["<Fine>", "<D.C. al Fine>", "<D.S. al Coda>", "<D.C. al 2nd End.>", "<D.C. al 3rd End.>", "<", "(", "*"]


@given(st.lists(st.sampled_from([*_TOKENS, "C   |", "G7 C |", "|", "}"]), max_size=50))
@example(["[", "C", "|", "r", "}"])
@example(
    ["{", "C|", "N1", "C|", "{", "C|", "N1", "C|", "}", "N2", "C|", "<D.C.", "al", "3rd", "End.>", "]", "N3", "C|"]
)
def test_any_music_is_a_chart_or_a_chart_error(tokens: list[str]) -> None:
    """Guards against: an unusual song that causes a traceback or an endless loop, or that is refused for its signs."""
    chart = _tried(playlist_link(song_text("T", "".join(["T44[F   |", *tokens]))))
    assert chart is not None


@given(st.text(max_size=200), st.sampled_from(["", "irealb://", "irealbook://", "<a href='irealb://"]), st.data())
def test_any_file_is_a_chart_or_a_chart_error(text: str, before: str, data: st.DataObject) -> None:
    """Guards against: a broken download that causes a traceback."""
    _tried(before + text)
    whole = html_page(playlist_link(song_text("One", "T44{C   |N1D-7   }|N2E-7   ]F^7   |G7   |C   |D-7   |G7   Z")))
    first, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    _tried(whole[:first] + text[:3] + whole[end:])


def test_songs_are_found_in_a_large_file_without_reading_their_music() -> None:
    """Guards against: one broken song makes a playlist of a thousand unreadable."""
    songs = [song_text(f"Song {number}", "T44[C   |H   Z") for number in range(999)]
    text = html_page(playlist_link(*songs, song_text("Good", "T44[C   Z"), name="All"))
    assert len(list(find_songs(text))) == 1000
    assert len(read_ireal(text, "x", "good").bars) == 1


def test_german_letters_are_read() -> None:
    """Guards against: a song of a German band that is played a semitone off."""
    chart = read_ireal(playlist_link(song_text("T", "T44[H7  B7  |Es-7As7/Fis Z")), "x.html")
    assert [[str(chord) for _, chord in bar.chords] for bar in chart.bars] == [["B7", "Bb7"], ["Eb-7", "Ab7/F#"]]
    assert chart.info.warnings == ("x.html, T: its chords have German letters: H is read as B, and B as Bb",)
