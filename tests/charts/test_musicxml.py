# SPDX-License-Identifier: Apache-2.0
"""The chord symbols of MusicXML scores, written here by the format's other direction."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.charts.detect import read_chart
from sideman.charts.musicxml import read_musicxml
from sideman.charts.score_chords import KINDS
from sideman.core.chart.chart import ChartError, Meter
from sideman_models.music.harmony import parse_chord
from support.scores import CHORD_SPELLINGS, FORMS, ROOTS, SPELLINGS, Song, song_bars, write_score

FOUR = Meter(4, 4)


def harmony(root: str = "C", kind: str = "major", text: str = "", more: str = "") -> str:
    """A chord symbol."""
    alter = {"b": "<root-alter>-1</root-alter>", "#": "<root-alter>1</root-alter>"}.get(root[1:], "")
    label = f' text="{text}"' if text else ""
    return f"<harmony><root><root-step>{root[0]}</root-step>{alter}</root><kind{label}>{kind}</kind>{more}</harmony>"


def rest(quarters: float = 4) -> str:
    """Silence, as notes are written."""
    return f"<note><rest/><duration>{round(4 * quarters)}</duration><voice>1</voice></note>"


def degree(value: int, alter: int, kind: str = "add") -> str:
    """An alteration of a chord."""
    return (
        f"<degree><degree-value>{value}</degree-value><degree-alter>{alter}</degree-alter>"
        f"<degree-type>{kind}</degree-type></degree>"
    )


def time(beats: int, unit: int) -> str:
    """The attributes of a first bar."""
    return (
        "<attributes><divisions>4</divisions><key><fifths>0</fifths></key>"
        f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time></attributes>"
    )


def bar(*elements: str, left: str = "", right: str = "") -> str:
    """A bar, with what stands in its bar lines."""
    before = f'<barline location="left">{left}</barline>' if left else ""
    after = f'<barline location="right">{right}</barline>' if right else ""
    return f'<measure number="1">{before}{"".join(elements) or harmony() + rest()}{after}</measure>'


def words(text: str) -> str:
    """A text above the music."""
    return f"<direction><direction-type><words>{text}</words></direction-type></direction>"


def score(*bars: str, before: str = "") -> bytes:
    """A score of one part that has chords, behind one that has none."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><score-partwise version="4.0"><work><work-title>Ours</work-title></work>'
        '<identification><creator type="composer">Nobody</creator></identification>'
        '<part-list><score-part id="P0"><part-name>a</part-name></score-part>'
        '<score-part id="P1"><part-name>b</part-name></score-part></part-list>'
        f'<part id="P0"><measure number="1">{rest()}</measure></part><part id="P1">{before}{"".join(bars)}</part>'
        "</score-partwise>"
    ).encode()


def order(*bars: str) -> str:
    """The first chords of the bars in the order played."""
    return " ".join(str(each.chords[0][1]) for each in read_musicxml(score(*bars), "x.xml").bars)


AGAIN = '<repeat direction="backward" after-jump="yes"/>'


@pytest.mark.parametrize(
    ("tempo", "read"), [("132", 132), ("87.5", 87.5), ("0", None), ("9999", None), ("fast", None), ("nan", None)]
)
def test_the_tempo_of_the_first_bar_is_that_of_the_chart(tempo: str, read: float | None) -> None:
    """Guards against: a ballad at 120, because its tempo stands in the score and nowhere else."""
    sound = f'<direction><direction-type><words>Slow</words></direction-type><sound tempo="{tempo}"/></direction>'
    assert read_musicxml(score(bar(sound, root("C"))), "x.xml").info.tempo == read
    assert read_musicxml(score(bar(root("C")), bar(sound, root("C"))), "x.xml").info.tempo is None


REPEAT, END = '<repeat direction="forward"/>', '<repeat direction="backward"/>'


def ending(number: int, kind: str) -> str:
    """A bracket's beginning or end."""
    return f'<ending number="{number}" type="{kind}"/>'


def root(name: str, *more: str) -> str:
    """The inside of a bar of one chord."""
    return harmony(name) + "".join(more) + rest()


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        ([bar(root("C"), left=REPEAT), bar(root("D"), right=END), bar(root("E"))], "C D C D E"),
        (
            [
                bar(root("C"), left=REPEAT),
                bar(root("D"), left=ending(1, "start"), right=ending(1, "stop") + END),
                bar(root("E"), left=ending(2, "start"), right=ending(2, "discontinue")),
                bar(root("F")),
            ],
            "C D C E F",
        ),
        ([bar(root("C"), right='<repeat direction="backward" times="3"/>')], "C C C"),
        (
            [
                bar(root("C")),
                bar('<direction><direction-type><segno/></direction-type><sound segno="1"/></direction>', root("D")),
                bar(root("E"), words("To Coda")),
                bar(root("F"), words("D.S. al Coda")),
                bar("<direction><direction-type><coda/></direction-type></direction>", root("G")),
            ],
            "C D E F D E G",
        ),
        (
            [  # after a jump the first part is played once, the second one twice
                bar(root("C"), left=REPEAT, right=END),
                bar(root("D"), left=REPEAT),
                bar(root("E"), words("To Coda"), right=AGAIN),
                bar(root("F"), words("D.C. al Coda")),
                bar(words("Coda"), root("G")),
            ],
            "C C D E D E F C D E D E G",
        ),
        (
            [
                bar(root("C"), left=REPEAT),
                bar(root("D"), left=ending(1, "start"), right=ending(1, "stop") + AGAIN),
                bar(root("E"), words("Fine"), left=ending(2, "start"), right=ending(2, "stop")),
                bar(root("F"), words("D.C. al Fine")),
            ],
            "C D C E F C D C E",
        ),
        (
            [
                bar(root("C"), left=REPEAT),
                bar(root("D"), left=ending(1, "start"), right=ending(1, "stop") + AGAIN),
                bar(words("Segno"), root("E"), left=ending(2, "start"), right=ending(2, "stop")),
                bar(root("F"), words("D.S.")),
            ],
            "C D C E F E F",
        ),
        ([bar(root("C"), '<sound fine="yes"/>'), bar(root("D"), '<sound dacapo="yes"/>')], "C D C"),
        ([bar(), bar(rest()), bar(root("Eb"))], "C C Eb"),
    ],
)
def test_the_form_of_a_score_is_read(bars: list[str], expected: str) -> None:
    """Guards against: a lead sheet is played without its repeats."""
    assert order(*bars) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_chord_is_read(kind: str) -> None:
    """Guards against: a score is refused for one of its chords, or plays another."""
    bass = "<bass><bass-step>E</bass-step><bass-alter>-1</bass-alter></bass>"
    chord = read_musicxml(score(bar(harmony("Bb", kind, more=bass), rest())), "x").bars[0].chords[0][1]
    assert chord == parse_chord(f"Bb{KINDS[kind]}/Eb")


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        (harmony("C", "dominant", more=degree(9, -1) + degree(11, 1)), "C7b9#11"),
        (harmony("C", "minor-seventh", more=degree(5, -1, "alter")), "Cm7b5"),
        (harmony("F#", "suspended-fourth", more=degree(7, -1)), "F#7sus"),
        (harmony("C", "other", "7alt"), "C7alt"),
        (harmony("C", "none"), "N.C."),
        (harmony("C", "major", more=degree(3, 0, "subtract")), "C5"),
    ],
)
def test_alterations_are_read(symbol: str, expected: str) -> None:
    """Guards against: an altered dominant is played plain."""
    assert read_musicxml(score(bar(symbol, rest())), "x").bars[0].chords[0][1] == parse_chord(expected)


def test_a_meter_holds_until_the_next() -> None:
    """Guards against: a song whose bars are not all of one length cannot be played."""
    chart = read_musicxml(score(bar(), bar(time(3, 4), harmony(), rest(3)), bar(rest(3))), "x.xml")
    assert [str(each.meter) for each in chart.bars] == ["4/4", "3/4", "3/4"]


def test_chords_stand_on_their_beats() -> None:
    """Guards against: the harmony changes on another beat than in the score."""
    moved = harmony("G", more="<offset>2</offset>")
    first = bar(time(3, 4), harmony(), rest(1), harmony("D"), rest(1), moved, rest(1))
    pick_up = f'<measure number="0" implicit="yes">{rest(1)}</measure>'
    chart = read_musicxml(score(pick_up, first, bar(harmony("A"), rest(3))), "x")
    printed = [[(at, str(chord)) for at, chord in each.chords] for each in chart.bars]
    assert printed == [[(0, "C"), (1, "D"), (2.5, "G")], [(0, "A")]]
    assert (chart.meter, chart.info.title, chart.info.composer) == (Meter(3, 4), "Ours", "Nobody")


def attributes(more: str) -> str:
    """The attributes of a first bar, with others among them."""
    return time(4, 4).replace("</attributes>", f"{more}</attributes>")


def test_the_part_of_a_transposing_instrument_is_read_as_it_sounds() -> None:
    """Guards against: over a tenor's part it plays a whole tone too high."""
    moved = "<transpose><diatonic>-8</diatonic><chromatic>-14</chromatic></transpose>"
    chart = read_musicxml(score(bar(attributes(moved), harmony("C", "minor-seventh"), rest()), bar(root("D"))), "x")
    assert [str(each.chords[0][1]) for each in chart.bars] == ["Bb-7", "C"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<score-partwise>", "not XML that can be read"),
        (b"<opus/>", "this is no score"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><score-partwise/>', "defines entities"),
        (score(bar(rest())), "no chord symbols in it"),
        (score(bar("<harmony><root/></harmony>", rest())), "no chord symbols in it that can be read"),
        (b"PK\x03\x04 and so on", "not a compressed score"),
    ],
)
def test_a_score_that_cannot_be_read_says_where(data: bytes, message: str) -> None:
    """Guards against: an error that does not say what is wrong with a score."""
    with pytest.raises(ChartError) as caught:
        read_musicxml(data, "x.xml")
    assert str(caught.value).startswith("x.xml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("second", "expected", "message"),
    [
        (bar("<harmony><root/><kind>major</kind></harmony>", rest()), "C", "a chord without a root: left out"),
        (bar("<harmony><function>?</function></harmony>", rest()), "C", "a chord without a root: left out"),
        (bar("<harmony><root><root-step>Gm</root-step></root><kind>major</kind></harmony>"), "G", "'Gm': read as G"),
        (bar(harmony(more="<bass><bass-step>?</bass-step></bass>")), "C", "<bass-step> is '?', which is no note"),
        (bar(harmony("D").replace("</root>", "<root-alter>0.6</root-alter></root>")), "D#", "is '0.6': read as 1"),
        (bar(harmony("D", "majr7")), "D", "'Dmajr7' is not understood"),
        (bar(harmony("D", "other", "m7xyz")), "D-7", "'Dm7xyz' is not understood; it is read as Dm7"),
        (bar(harmony("D", "strange")), "D", "'Dstrange' is not understood; it is read as D"),
        (bar(harmony("D", more=degree(9, 0).replace(">9<", ">nine<"))), "D", "<degree-value> is 'nine'"),
        (bar(harmony("D", more=degree(9, 5))), "D", "degree 9 altered by 5"),
        (bar(harmony("D", "dominant", more=degree(3, 0, "omit"))), "D7(no3)", "'omit': read as subtract"),
        (bar(harmony("D", more="<offset>late</offset>")), "D", "<offset> is 'late'"),
        (bar(harmony("D", more="<offset>99</offset>")), "C", "D stands after the end of its bar"),
        (bar(harmony("D"), "<note><duration>1e999999999</duration></note>"), "D", "<duration> is '1e999999999'"),
        (bar(harmony("D"), "<backup><duration>-4</duration></backup>"), "D", "<backup> lasts -4"),
        (bar("<attributes><divisions>0</divisions></attributes>", root("D")), "D", "<divisions> is 0"),
        (bar(time(17, 4), root("D")), "D", "'17/4' is not a meter that is played here: it stays 4/4"),
        (bar(attributes("<transpose><chromatic>up</chromatic></transpose>"), root("D")), "D", "<chromatic> is 'up'"),
        (bar(root("D"), right='<repeat direction="up"/>'), "D", "a repeat in the direction 'up': left out"),
        (bar(root("D"), left=REPEAT), "D", "the repeat '|:' is never closed: played once"),
        (bar(root("D"), words("D.S. al Fine")), "D", "'D.S. al Fine' without a Segno: played from the top"),
        (bar(harmony("D"), harmony("G"), rest()), "D", "2 chords at one place: they share its time"),
        (bar(harmony("D", more=harmony("G").removeprefix("<harmony>")[:-10]), rest()), "D", "2 chords in one"),
    ],
)
def test_what_makes_no_sense_is_played_as_near_as_can_be(second: str, expected: str, message: str) -> None:
    """Guards against: a score refused for one value; a guess that does not name the bar as it is printed."""
    first = bar(time(4, 4), root("C"))
    chart = read_musicxml(score(first, second.replace('number="1"', 'number="12b"'), bar(root("E"))), "x.xml")
    assert chart.bars[1].chords[0][1] == parse_chord(expected)
    assert any(text.startswith("x.xml, bar 12b: ") and message in text for text in chart.info.warnings)
    assert all(len(text) < 400 for text in chart.info.warnings)


def measure(number: str, quarters: float, chord: str = "", more: str = "") -> str:
    """A measure of a length; a number that ends in `i` is not counted."""
    implicit = ' implicit="yes"' if number.endswith("i") else ""
    inside = (harmony(chord) if chord else "") + (rest(quarters) if quarters else "")
    return f'<measure number="{number.rstrip("i")}"{implicit}>{more}{inside}</measure>'


COUNT = time(4, 4)


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ([measure("1", 1, more=COUNT), measure("2", 4, "C"), measure("3", 3, "D")], "C | D"),
        ([measure("1", 1, "G", COUNT), measure("2", 4), measure("3", 3, "D")], "G | D"),
        ([measure("0", 4, more=COUNT), measure("1", 4, "C")], "C"),
        ([measure("1i", 1, more=time(1, 4)), measure("2", 4, "C", COUNT)], "C"),
        ([measure("1", 2, "C", COUNT), measure("1i", 2, "D"), measure("2", 4, "E")], "C D | E"),
        ([measure("1", 4, "C", COUNT), measure("2", 3, "D"), measure("X1i", 1, "G"), measure("3", 4, "E")],
         "C | D / / G | E"),
        ([measure("1", 4, "C", COUNT), measure("X1i", 8, "D", "<attributes><divisions>8</divisions></attributes>"),
          measure("2", 8, "E")], "C | D | E"),
        ([measure("1", 3, "C", COUNT), measure("2", 3, "D"), measure("3", 3, "E")], "C | D | E"),
        ([measure("1", 4, "C", COUNT), measure("2", 0, "D"), measure("3", 2, "E"), measure("4", 4, "F")],
         "C | D | E | F"),
        ([measure("1", 4, "C", COUNT), measure("2", 4, "D"),
          measure("3", 4, "", "<attributes><measure-style><measure-repeat type='start'>2</measure-repeat>"
                  "</measure-style></attributes>"), measure("4", 4)], "C | D | C | D"),
        ([measure("1", 4, "C", COUNT), measure("2", 4, "", "<attributes><measure-style><multiple-rest>3</multiple-rest>"
                  "</measure-style></attributes>"), measure("5", 4, "D")], "C | C | C | C | D"),
        ([measure("1", 3, "C", "<attributes><divisions>4</divisions></attributes>"), measure("2", 3, "D")], "C | D"),
    ],
)  # fmt: skip
def test_measures_become_bars(measures: list[str], expected: str) -> None:
    """Guards against: a song with a bar too many or too few in each chorus."""
    text = read_musicxml(score(*measures), "x.xml").text()
    assert text.replace(" |\n| ", " | ") == f"| {expected} |"


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("<harmony><numeral><numeral-root>5</numeral-root></numeral><kind>dominant</kind></harmony>", "D7"),
        ("<harmony><function>ii</function></harmony>", "Am"),
        ("<harmony><function>bVII</function><kind>dominant</kind></harmony>", "F7"),
        ("<harmony><function>V/V</function><kind>dominant</kind></harmony>", "A7"),
        (harmony("C", "dominant", more="<inversion>3</inversion>"), "C7/Bb"),
        (harmony("C", "", "N.C."), "N.C."),
        (harmony("C", "other", "7/E"), "C7/E"),
        (harmony("C", "", "C7"), "C7"),
    ],
)
def test_other_ways_to_write_a_chord(symbol: str, expected: str) -> None:
    """Guards against: a score of degrees, inversions or texts that is refused or played as triads."""
    in_g = "<attributes><key><fifths>1</fifths></key></attributes>"
    assert read_musicxml(score(bar(in_g, symbol, rest()), bar(root("E"))), "x").bars[0].chords[0][1] == parse_chord(
        expected
    )


def test_no_da_capo_is_none() -> None:
    """Guards against: a song that begins again where the score says that it does not."""
    assert order(bar(root("C")), bar(root("D"), '<sound dacapo="no"/>'), bar(root("E"))) == "C D E"


def test_a_damaged_score_is_played_up_to_its_end() -> None:
    """Guards against: a download that breaks off and cannot be used at all."""
    whole = score(bar(time(4, 4), root("C")), bar(root("D")), bar(root("E")))
    chart = read_musicxml(whole[: whole.index(b"<root-step>E")], "x.xml")
    assert chart.text() == "| C | D | % |".replace("%", "D")
    assert any("the XML is damaged" in text for text in chart.info.warnings)


def ways() -> st.SearchStrategy[dict[str, str]]:
    """A way for each choice of a score."""
    return st.fixed_dictionaries({choice: st.sampled_from(ways) for choice, ways in SPELLINGS.items()})


def songs() -> st.SearchStrategy[Song]:
    """Any song."""
    chord = st.tuples(st.sampled_from(list(CHORD_SPELLINGS)), st.integers(0, 12), st.sampled_from(list(ROOTS)))
    sizes = st.tuples(*[st.integers(1, 3)] * 4)
    return st.builds(Song, st.sampled_from(list(FORMS)), sizes, st.tuples(*[chord] * 7))


@settings(max_examples=150)
@given(songs(), ways())
def test_a_score_is_read_in_every_spelling(song: Song, how: dict[str, str]) -> None:
    """Guards against: a song refused, a bar short, or with other chords, for the way in which a program writes it."""
    chart = read_musicxml(write_score(song, how), "x.xml")
    bars = [[chord for _, chord in bar.chords] for bar in chart.bars]
    expected = [[parse_chord(symbol) for symbol in bar] for bar in song_bars(song)]
    assert bars == [[each for at, each in enumerate(bar) if at == 0 or each != bar[at - 1]] for bar in expected]


@pytest.mark.parametrize("quality", CHORD_SPELLINGS)
def test_every_spelling_of_a_chord_is_read(quality: str) -> None:
    """Guards against: a chord of an older program that is refused, or plays a seventh that is not written."""
    plain = {choice: ways[0] for choice, ways in SPELLINGS.items()}
    for spelling in range(len(CHORD_SPELLINGS[quality])):
        chart = read_musicxml(write_score(Song("plain", (1, 1, 1, 1), ((quality, spelling, "D"),)), plain), "x")
        assert {chord for bar in chart.bars for _, chord in bar.chords} == {parse_chord(f"D{quality}")}
        assert not chart.info.warnings


@pytest.mark.parametrize(
    "data",
    [
        score(bar(words("Swing").replace("<words", '<words xml:lang="en"'), root("C"))),
        score(bar("<harmony color='red'>" + harmony("C").removeprefix("<harmony>"), rest(), "<listening/>")),
        score(bar(root("C"), "<note><rest/><duration>0</duration></note>")),
        score(bar(root("C"), left="<bar-style>zigzag</bar-style>")),
        score(bar(root("C"))).replace(b"<score-", b'<!DOCTYPE a SYSTEM "file:///dev/zero"><score-', 1),
    ],
)
def test_what_no_chart_needs_is_ignored(data: bytes) -> None:
    """Guards against: a score refused for an element or an attribute that no chart needs."""
    assert read_musicxml(data, "x.xml").text() == "| C |"


def test_a_score_of_far_too_many_elements_is_refused() -> None:
    """Guards against: a file made for it that keeps sideman busy for minutes."""
    with pytest.raises(ChartError, match=r"^x\.xml: far too long"):
        read_musicxml(score(bar(harmony(), "<note/>" * (1 << 16))), "x.xml")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_no_entity_is_expanded(tmp_path: Path, encoding: str) -> None:
    """Guards against: a score that fills the memory, or shows the contents of other files."""
    secret = tmp_path / "secret"
    secret.write_text("top secret")
    laughs = "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 20}">' for at in range(1, 20))
    for entities in (f'<!ENTITY a0 "ha">{laughs}', f'<!ENTITY a19 SYSTEM "{secret.as_uri()}">', '<!ENTITY % a "">'):
        text = f'<?xml version="1.0"?><!DOCTYPE a [{entities}]>' + score(bar(root("C"))).decode().partition("?>")[2]
        with pytest.raises(ChartError, match=r"^x\.xml: it defines entities"):
            read_musicxml(text.replace("Ours", "&a19;").encode(encoding), "x.xml")


def compressed(
    data: bytes, name: str = "a/score.xml", *, container: bool = True, method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """A compressed score."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        if container:
            listed = f'<container><rootfiles><rootfile full-path="{name}"/></rootfiles></container>'
            archive.writestr("META-INF/container.xml", listed)
        archive.writestr("0.xml", "<nothing/>" if container else data)
        archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize("container", [True, False])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_compressed_score_is_read(tmp_path: Path, container: bool, method: int) -> None:
    """Guards against: what notation programs save by default is not read."""
    file = tmp_path / "tune.mxl"
    file.write_bytes(compressed(score(bar(root("C")), bar(root("D"))), container=container))
    assert len(read_chart(file, FOUR).bars) == 2


def test_another_compression_is_refused() -> None:
    """Guards against: a traceback, or a lot of memory, for a damaged file of a kind that no notation program writes."""
    with pytest.raises(ChartError, match=r"^x\.mxl: not a compressed score: 0\.xml is compressed by a method"):
        read_musicxml(compressed(score(bar(root("C"))), method=zipfile.ZIP_LZMA), "x.mxl")


def test_a_score_blown_up_by_compression_is_refused() -> None:
    """Guards against: a small file fills the memory."""
    with pytest.raises(ChartError, match="larger than 8 MiB"):
        read_musicxml(compressed(b"<a>" + b" " * (9 << 20)), "x.mxl")


_PIECES = [root("C"), rest(), time(4, 4), words("Fine"), words("D.C."), "<backup><duration>4</duration></backup>"]
_PIECES += ["<forward><duration>99</duration></forward>", '<sound coda="x"/>', "<harmony/>", "<note/>", "<barline/>"]
_ENDS = st.sampled_from(
    ["", REPEAT, END, ending(1, "start"), ending(2, "start"), ending(1, "stop"), '<ending number=""/>']
)


@settings(max_examples=40)
@given(st.lists(st.tuples(_ENDS, st.lists(st.sampled_from(_PIECES), max_size=3), _ENDS), max_size=4), st.data())
def test_any_score_is_a_chart_or_a_chart_error(bars: list[tuple[str, list[str], str]], data: st.DataObject) -> None:
    """Guards against: a score that is a little different, or breaks off, ends in a traceback."""
    whole = score(*(bar(*inside or [root("D")], left=left, right=right) for left, inside, right in bars))
    cut = data.draw(st.none() | st.integers(0, len(whole)))
    for each in (whole[:cut], compressed(whole)[:cut]):
        try:
            chart = read_musicxml(each, "x.xml")
        except ChartError as error:
            assert str(error).startswith("x.xml")  # noqa: PT017 - both outcomes are right
        else:
            assert chart.text()


def test_german_letters_are_read() -> None:
    """Guards against: a score whose B flat chords are a semitone too high, or whose H and Es are left out."""
    steps = [
        f"<harmony><root><root-step>{step}</root-step></root><kind>dominant</kind></harmony>"
        for step in ("H", "B", "Es")
    ]
    chart = read_musicxml(score("".join(bar(each, rest()) for each in (*steps, harmony("G", "", "7/Fis")))), "x")
    assert [str(each.chords[0][1]) for each in chart.bars] == ["B7", "Bb7", "Eb7", "G7/F#"]
    assert any("H is read as B" in text for text in chart.info.warnings)
