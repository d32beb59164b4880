# SPDX-License-Identifier: Apache-2.0
"""Reads the chords of MIDI files as charts, and detects the format of a chart file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sideman.charts.detect import read_chart, split_song
from sideman.charts.midi import read_midi_chart
from sideman.core.chart.chart import Chart, ChartError, Meter
from sideman.core.chart.text import parse_changes
from sideman_models.music.harmony import NO_CHORD
from support import midi_files
from support.strategies import charts

FOUR = Meter(4, 4)


def bars(data: bytes) -> list[str]:
    """Each bar of a MIDI file's chart as `onset:chord` words."""
    chart = read_midi_chart(data, "x.mid")
    return [" ".join(f"{at:g}:{chord}" for at, chord in bar.chords) for bar in chart.bars]


def as_midi(chart: Chart) -> bytes:
    """A MIDI file with the chord symbols of a chart, and a click until its end."""
    numbered = enumerate(chart.bars)
    symbols = [(chart.beat_of_bar(number) + at, chord.text) for number, bar in numbered for at, chord in bar.chords]
    meters = [midi_files.meter_event(beat, meter.numerator, meter.denominator) for beat, meter in chart.meters]
    head = [*meters, *midi_files.marker_events(symbols)]
    return midi_files.midi_bytes(
        midi_files.track(head, "Ours"), midi_files.track(midi_files.note_events([(0, chart.length, 60)]), "Pad")
    )


@given(charts())
def test_chord_symbols_become_the_same_chart(chart: Chart) -> None:
    """Guards against: a take, or a file of chord symbols, that becomes another tune as a chart."""
    assume(len(chart.meters) == 1)  # a bar before another meter may be taken for a pick-up
    assume(chart.meter.denominator < 16)  # half a sixteenth is beyond the grid that MIDI files are read on
    assume(any(len(chord.text) > 1 for bar in chart.bars for _, chord in bar.chords))  # letters alone are no symbols
    read = read_midi_chart(as_midi(chart), "x.mid")
    assert (read, read.info.title) == (chart, "Ours")


def test_a_meter_holds_until_the_next() -> None:
    """Guards against: wrong chords, or an error, for a file that changes its meter."""
    chart = parse_changes("| Dm7 G7 | Cmaj7 | 3/4 Fmaj7 | Em7 A7 / | 4/4 Dm7 |", Meter(4, 4), "test")
    assert read_midi_chart(as_midi(chart), "x.mid") == chart


TRIADS = ([48, 64, 67, 71], [50, 65, 69, 72], [55, 65, 71, 74], [48, 64, 67, 71])


def test_the_chords_of_a_chord_track_become_a_chart() -> None:
    """Guards against: a backing track that cannot be used as a chart."""
    comp = midi_files.track(midi_files.block_chords(TRIADS), "Chords")
    data = midi_files.midi_bytes(
        midi_files.track([midi_files.meter_event(0, 4, 4)]),
        midi_files.track(midi_files.scale_events(4, 72), "Lead"),
        comp,
    )
    roots = [bar.chords[0][1].root for bar in read_midi_chart(data, "x.mid").bars]
    assert roots == [0, 2, 7, 0]
    assert [bar.chords[0][1].root for bar in read_midi_chart(midi_files.midi_bytes(comp), "x.mid").bars] == roots


def test_pick_up_and_overhang_are_no_bars() -> None:
    """Guards against: a form that is one bar too long, so that the second chorus is wrong."""
    texts = midi_files.marker_events([(1, "Dm7"), (5, "G7"), (7, "Db7"), (9, "Cmaj7")])
    meters = [midi_files.meter_event(0, 1, 4), midi_files.meter_event(1, 4, 4)]
    notes = midi_files.note_events([(0.5, 1, 69), (1, 9, 62), (9, 13.2, 60)])
    assert bars(midi_files.midi_bytes(midi_files.track([*meters, *texts]), midi_files.track(notes))) == [
        "0:Dm7",
        "0:G7 2:Db7",
        "0:Cmaj7",
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"MThd", "x.mid: not a MIDI file"),
        (midi_files.midi_bytes(midi_files.track([])), "no chord symbols in its texts, and no notes but drums"),
        (midi_files.midi_bytes(midi_files.track(midi_files.scale_events(2, 40, channel=9))), "no notes but drums"),
    ],
)
def test_a_file_without_a_chart_says_why(data: bytes, words: str) -> None:
    """Guards against: a refused MIDI file without a reason."""
    with pytest.raises(ChartError, match=r"x\.mid: ") as caught:
        read_midi_chart(data, "x.mid")
    assert words in str(caught.value)


@given(st.data())
def test_a_broken_midi_file_is_a_chart_or_a_chart_error(data: st.DataObject) -> None:
    """Guards against: a truncated file that causes a traceback."""
    whole = bytearray(
        midi_files.midi_bytes(
            midi_files.track(midi_files.marker_events([(0, "Dm7"), (4, "G7")])),
            midi_files.track(midi_files.scale_events(2)),
        )
    )
    for at, value in data.draw(
        st.dictionaries(st.integers(0, len(whole) - 1), st.integers(0, 255), max_size=8)
    ).items():
        whole[at] = value
    try:
        chart = read_midi_chart(bytes(whole[: data.draw(st.integers(0, len(whole)))]), "x.mid")
    except ChartError as error:
        assert "x.mid: " in str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert chart.text()
        assert all(chord == NO_CHORD or chord.tones for bar in chart.bars for _, chord in bar.chords)


def test_the_format_is_detected_by_the_content(tmp_path: Path) -> None:
    """Guards against: a chart with an unusual suffix that is not read."""
    odd = tmp_path / "odd.dat"
    odd.write_bytes(midi_files.midi_bytes(midi_files.track(midi_files.marker_events([(0, "Dm7"), (4, "G7")]))))
    assert [str(bar.chords[0][1]) for bar in read_chart(odd, FOUR).bars] == ["Dm7", "G7"]
    odd.write_text("title: X\n| C |", "utf-8")
    assert read_chart(odd, FOUR).info.title == "X"
    with pytest.raises(ChartError, match="it has one song"):
        read_chart(odd, FOUR, "2")
    odd.write_bytes(b"C | " * (1 << 19))
    with pytest.raises(ChartError, match="larger than 1 MiB"):
        read_chart(odd, FOUR)


@pytest.mark.parametrize(
    ("named", "parts"),
    [("a.html#3", ("a.html", "3")), ("a#b#Song#x", ("a#b#Song", "x")), ("a", ("a", None)), ("a#", ("a", None))],
)
def test_a_song_is_named_after_its_file(named: str, parts: tuple[str, str | None]) -> None:
    """Guards against: a configuration that cannot name a song of a playlist."""
    assert split_song(named) == parts
