# SPDX-License-Identifier: Apache-2.0
"""Charts and scores that are written: the readers read the same again, and notes stand where they were played."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.charts.chart_writer import CHART_WRITERS, ireal_link, ireal_page
from sideman.charts.detect import read_chart, read_songs
from sideman.charts.musicxml import read_musicxml
from sideman.charts.score_chords import Key, read_harmony
from sideman.charts.score_writer import PlayedNote, Score, ScoreChange, ScorePart, harmony_element, musicxml_bytes
from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, Meter
from sideman.core.chart.styles import STYLES, Style
from sideman.core.chart.text import parse_changes
from sideman_models.music.harmony import NO_CHORD, QUALITIES, RARE_QUALITIES, Quality, chord_on, parse_chord
from support.scores import notes_of_parts
from support.strategies import charts

FOUR = Meter(4, 4)
IREAL_METERS = ["2/2", "3/2", "2/4", "3/4", "4/4", "5/4", "6/4", "7/4", "3/8", "5/8", "6/8", "7/8", "9/8", "12/8"]
titles = st.text(max_size=20) | st.sampled_from(["A & B <C>", "A = B", "Blue [B] #1", "key: x", "Coda", "Ü ¿?%20"])
keys = st.sampled_from(["", "C", "Bb", "F#", "Db", "Am", "Ebm", "G#m"])


def read_again(chart: Chart, kind: str, transpose: int, folder: Path) -> Chart:
    """What is read from the file that is written."""
    path = folder / {"score": "x.musicxml", "ireal": "x.html", "text": "x.txt"}[kind]
    path.write_bytes(CHART_WRITERS[kind](chart, transpose))
    return read_chart(path, FOUR)


@given(
    charts(),
    titles,
    titles,
    keys,
    st.integers(-24, 24),
    st.tuples(st.sampled_from(sorted(CHART_WRITERS)), st.sampled_from(STYLES)),
)
def test_a_written_chart_is_read_again(
    tmp_path_factory: pytest.TempPathFactory,
    chart: Chart,
    title: str,
    composer: str,
    key: str,
    transpose: int,
    written: tuple[str, Style],
) -> None:
    """Guards against: a chart that other programs, or sideman itself, read with other chords than were played."""
    kind, style = written
    first = Bar(((0.0, parse_chord("C7")),), chart.meter)  # a song without any chord is no chart of iReal Pro
    chart = Chart((first, *chart.bars), ChartInfo(title, composer, key, 120.5, ((0, "A"),), style=style))
    if kind == "ireal" and any(str(bar.meter) not in IREAL_METERS for bar in chart.bars):
        with pytest.raises(ChartError, match="that iReal Pro does not have"):
            ireal_link([chart])
        return
    again = read_again(chart, kind, transpose, tmp_path_factory.mktemp("written", numbered=True))
    assert again == chart
    assert again.info.warnings == ()
    assert again.info.sections == ((0, "A"),)
    if key:
        assert parse_chord(again.info.key) == parse_chord(key)
    elif kind != "ireal":
        assert not again.info.key
    assert again.info.tempo == (120.0 if kind == "ireal" else 120.5)
    assert again.info.style == style


@pytest.mark.parametrize("quality", [*QUALITIES.values(), *RARE_QUALITIES.values()], ids=lambda quality: quality.name)
def test_every_chord_is_written(quality: Quality, tmp_path: Path) -> None:
    """Guards against: a chord that a score or iReal Pro shows as another one."""
    chord = NO_CHORD
    for root in range(12):
        chord = chord_on(root, quality, (root + 7) % 12) if quality.tones else NO_CHORD
        harmony = harmony_element(chord)
        doubts: list[str] = []
        assert read_harmony(harmony, Key(), doubts.append) == chord
        assert not doubts
        assert harmony.findtext("kind") not in (None, "other")
    chart = Chart((Bar(((0.0, chord), (2.0, parse_chord("Db7"))), FOUR),))
    assert all(read_again(chart, kind, 0, tmp_path) == chart for kind in CHART_WRITERS)


def test_a_chord_between_the_half_beats_is_written_on_the_nearest(tmp_path: Path) -> None:
    """Guards against: a chart of a MIDI file that cannot be written at all."""
    chart = Chart((Bar(((0.0, parse_chord("C7")), (1.3, parse_chord("F7"))), FOUR),))
    for kind in CHART_WRITERS:
        assert [at for at, _ in read_again(chart, kind, 0, tmp_path).bars[0].chords] == [0.0, 1.5]


RHYTHMS = {"whole": (0, 1), "eighths": (0, Fraction(1, 2), 1), "off": (Fraction(1, 2), 1),
           "triplets": (0, Fraction(1, 3), Fraction(2, 3), 1), "late triplet": (Fraction(1, 3), Fraction(2, 3), 1),
           "sixteenths": (0, Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), 1)}  # fmt: skip


@given(
    st.lists(st.sampled_from([*RHYTHMS, None]), min_size=8, max_size=8),
    st.sampled_from([0.5, 0.6, 0.64]),
    st.sampled_from([(4, 4), (3, 4), (6, 8), (7, 8), (5, 16)]),
    st.floats(0.6, 1.0),
    st.integers(-14, 14),
    st.data(),
)
def test_notes_are_written_where_they_were_played(
    beats: list[str | None], swing: float, meter: tuple[int, int], gate: float, transpose: int, data: st.DataObject
) -> None:
    """Guards against: a solo whose score has other notes, at other places, than were played."""
    bar = Bar(((0.0, parse_chord("C7")),), Meter(*meter))
    whole = float(bar.meter.quarters) % 1 == 0
    played, wanted = [], []
    bars = 12
    for at in range(8):
        rhythm, pitch = RHYTHMS[beats[at] or "whole"] if whole or beats[at] else (0, 1), 60
        if beats[at] is None or (not whole and beats[at] != "eighths"):
            continue
        line = at // int(bar.meter.quarters) * bar.meter.quarters + at % int(bar.meter.quarters)
        for onset, end in pairwise(rhythm):
            pitch = data.draw(st.integers(40, 90))
            start, stop = (sounding(Fraction(each), swing, "triplet" in str(beats[at])) for each in (onset, end))
            played.append(PlayedNote(float(line) + start, float(line) + start + (stop - start) * gate, pitch))
            wanted.append((line + Fraction(onset), pitch))
    part = ScorePart("sideman", tuple(played), transpose)
    data_bytes = musicxml_bytes(Score(ChartInfo(), (bar,) * bars, (part,), 120.0, swing))
    (notes,) = notes_of_parts(data_bytes)
    assert [(onset, pitch) for onset, _, pitch in notes] == wanted
    lengths = [sum(int(note.findtext("duration") or 0) for note in each.iter("note")) for each in measures(data_bytes)]
    assert lengths == [24 * bar.meter.quarters] * bars
    assert read_musicxml(data_bytes, "x") == Chart((bar,) * bars)


def measures(data: bytes) -> list[ET.Element]:
    """The measures of a score."""
    return list(ET.fromstring(data).iter("measure"))


def sounding(at: Fraction, swing: float, is_triplet: bool) -> float:
    """Where a place in a beat sounds."""
    if is_triplet:
        return float(at)
    return float(2 * at) * swing if at < Fraction(1, 2) else swing + float(2 * at - 1) * (1 - swing)


def test_chords_of_notes_and_long_notes_are_tied() -> None:
    """Guards against: an accompaniment of which a score shows only one tone, or notes that are cut at the bar line."""
    bars = (Bar(((0.0, parse_chord("C7")),), FOUR),) * 2
    notes = (PlayedNote(2.5, 6.0, 64), PlayedNote(2.5, 6.0, 70))
    (written,) = notes_of_parts(musicxml_bytes(Score(ChartInfo(), bars, (ScorePart("comp", notes),))))
    assert written == [(Fraction(5, 2), Fraction(7, 2), 64), (Fraction(5, 2), Fraction(7, 2), 70)]


def test_several_songs_are_one_link(tmp_path: Path) -> None:
    """Guards against: a playlist in which a song without a composer is two, or takes the name of the next."""
    one = parse_changes("title: One\nstyle: bossa\ntempo: 140\n| C7 |", FOUR, "x")
    two = parse_changes("composer: me\nkey: Gm\n3/4 | Gm7 | D7 |", FOUR, "x")
    (tmp_path / "x.html").write_text(ireal_page([one, two, one]))
    songs = read_songs(tmp_path / "x.html", FOUR)
    assert [song.title for song in songs] == ["One", "Untitled", "One"]
    infos = [song.read().info for song in songs]
    assert [(info.composer, info.key, info.style, info.tempo) for info in infos[:2]] == [
        ("", "C", "bossa", 140.0), ("me", "Gm", "waltz", None)
    ]  # fmt: skip


def test_key_tempo_and_swing_change_within_a_score() -> None:
    """Guards against: a second song under the key signature, at the tempo and with the eighths of the first."""
    bars = (Bar(((0.0, parse_chord("C7")),), FOUR), Bar(((0.0, parse_chord("A7")),), FOUR))
    notes = (PlayedNote(0.6, 0.9, 61), PlayedNote(4.5, 5.0, 61))
    change = ScoreChange(1, 0.0, "A", 180.0, 0.5)
    parts = (ScorePart("sideman", notes, -2), ScorePart("bass", notes))
    data = musicxml_bytes(Score(ChartInfo(key="Eb"), bars, parts, 90.0, 0.6, (change, ScoreChange(1, 2.0, bpm=60.0))))
    first, second, *_ = measures(data)
    assert [each.findtext("attributes/key/fifths") for each in (first, second)] == ["-1", "5"]
    assert [each.get("tempo") for each in ET.fromstring(data).iter("sound")] == ["90", "180", "60"]
    assert second.findall("direction")[-1].findtext("offset") == "48"
    assert [words.text for words in ET.fromstring(data).iter("words")] == ["Swing", "Straight"]
    assert [onset for onset, _, _ in notes_of_parts(data)[0]] == [Fraction(1, 2), Fraction(9, 2)]
    assert [each.text for each in ET.fromstring(data).findall("part[1]//step")] == ["E", "D"]
    assert read_musicxml(data, "x").info.key == "Eb"


def test_drums_are_written_with_their_instruments() -> None:
    """Guards against: a score without the drums that were played, or one that plays them as notes of a piano."""
    bars = (Bar(((0.0, parse_chord("C7")),), FOUR),)
    notes = tuple(PlayedNote(at / 2, at / 2 + 0.1, pitch) for at, pitch in enumerate((36, 42, 51, 60, 36)))
    root = ET.fromstring(musicxml_bytes(Score(ChartInfo(key="A"), bars, (ScorePart("drums", notes, is_drums=True),))))
    names = {each.get("id"): each.findtext("instrument-name") for each in root.iter("score-instrument")}
    keys = {each.get("id"): int(each.findtext("midi-unpitched") or 0) - 1 for each in root.iter("midi-instrument")}
    assert names.keys() == keys.keys()
    assert {keys[name]: text for name, text in names.items()} == {
        36: "Bass Drum 1", 42: "Closed Hi-Hat", 51: "Ride Cymbal 1", 60: "Drum 60"
    }  # fmt: skip
    assert root.findtext("part/measure/attributes/clef/sign") == "percussion"
    assert root.findtext("part/measure/attributes/key/fifths") == "0"
    played = [each for each in root.iter("note") if each.find("unpitched") is not None]
    assert [keys[each.find("instrument").get("id")] for each in played] == [36, 42, 51, 60, 36]  # type: ignore[union-attr]
    assert [each.findtext("notehead") for each in played] == [None, "x", "x", None, None]
    tags = [each.tag for each in played[1]]
    assert tags == sorted(tags, key="unpitched, duration, tie, instrument, voice, type, dot, notehead".index)


def test_a_section_that_is_called_like_a_sign_stays_a_section() -> None:
    """Guards against: a written chart that jumps, because a section of it is called Coda."""
    chart = parse_changes("[A]\n| C7 |\n[Coda]\n| F7 |", FOUR, "x")
    again = read_musicxml(CHART_WRITERS["score"](chart, 0), "x")
    assert again == chart
    assert again.info.warnings == ()
    assert replace(again.info, sections=()) == ChartInfo()
