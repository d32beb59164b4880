# SPDX-License-Identifier: Apache-2.0
"""What is said about the music: the opening, a line for each bar with both players, whose turn it is, the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sideman.core.chart.text import parse_changes
from sideman.core.events import Command, MidiEvent, NoteOff, NoteOn, Report
from sideman.core.settings.groups.tempo import COMMON_TIME
from sideman.core.words import LINE_LENGTH, BarLine, BarWords, closing_words, opening_lines
from sideman_models.music.harmony import pitch_name
from support.fakes import performance, play_on_fake_clock, settings

_words = st.lists(st.sampled_from(["C4", "Eb4", "F#4", "Bb3", "-", "C-1"]), max_size=40)


def said(reports: list[Report], words: BarWords) -> list[str]:
    """The lines about these reports."""
    return [line for line in map(words.add, reports) if line]


@given(st.none() | st.integers(-20, 10**6), _words, _words, _words, st.text(max_size=100))
def test_a_line_fits_a_terminal(
    number: int | None, chords: list[str], own: list[str], heard: list[str], coming: str
) -> None:
    """Guards against: lines that a terminal of 80 columns breaks."""
    assert len(BarLine(number, chords, own, heard, coming).text()) <= LINE_LENGTH


@given(_words, _words)
def test_a_line_names_whose_notes_they_are(own: list[str], heard: list[str]) -> None:
    """Guards against: a line from which a player cannot tell who played what."""
    line = BarLine(3, ["F7"], own[:4], heard[:4]).text()
    assert ("sideman " + " ".join(own[:4]) in line) == bool(own)
    assert ("| you " + " ".join(heard[:4]) in line) == bool(heard)


def test_octaves_are_left_out_before_notes_are() -> None:
    """Guards against: a bar of sixteenths of which only half is shown although all of it would fit."""
    names = ["C4", "D4", "E4", "F4", "G4", "A4", "B4", "C5"] * 2
    line = BarLine(12, ["Cmaj7"], names, []).text()
    assert line == "bar 12 | Cmaj7 | sideman C4 D E F G A B C5 C4 D E F G A B C5"


def test_both_players_and_the_turns_are_in_the_log() -> None:
    """Guards against: a log that says nothing of what the player did, and not whose turn comes."""
    made = performance(play__mode="trade", play__trade_bars=2, play__seed=3, chart__changes="| C^7 | A-7 | Dm7 | G7 |")
    inputs = [(beat / 2, NoteOn(60 + beat, 80, 1)) for beat in range(8)]
    inputs += [(beat / 2 + 0.2, NoteOff(60 + beat, 1)) for beat in range(8)]  # type: ignore[misc]
    recorder, bars = play_on_fake_clock(made.make_engine(0.0, beats=32.0), 100.0, sorted(inputs, key=lambda at: at[0]))
    lines = said(recorder.reports, BarWords("trade", 0))
    assert lines[0] == "bar 1 | Cmaj7 | you C4 C#4 D4 Eb4 | next Am7: you, 1 bar".replace("C#4", pitch_name(61))
    assert lines[1].endswith("| next Dm7: sideman, 2 bars")
    own = ["-" if each.pitch is None else pitch_name(each.pitch) for each in bars[2].choices]
    assert lines[2] == f"bar 3 | Dm7 | sideman {' '.join(own)} | next G7: sideman, 1 bar"
    assert "next" not in lines[-1]


def test_a_player_alone_has_lines_too() -> None:
    """Guards against: mode off, in which nothing is said of what the player plays."""
    made = performance(play__mode="off", midi__transpose=-2)
    inputs: list[tuple[float, MidiEvent | Command]]
    inputs = [(0.0, NoteOn(60, 80, 1)), (0.3, NoteOff(60, 1)), (5.0, NoteOn(62, 80, 1)), (5.2, NoteOff(62, 1))]
    recorder, _ = play_on_fake_clock(made.make_engine(0.0, beats=16.0), 100.0, inputs)
    lines = said(recorder.reports, BarWords("off", -2, coming=False))
    assert [line.split(" | ")[0] for line in lines] == ["bar 1", "bar 3"]
    assert [line.split(" | ")[2] for line in lines] == ["you C4", "you D4"]


def test_the_opening_says_what_is_played_as_the_player_reads_it() -> None:
    """Guards against: a start that names keys of the configuration, or another key than `check`."""
    chart = parse_changes("title: Blue\nkey: F\n| F7 | Bb7 |", COMMON_TIME, "x")
    given = settings(play__mode="trade", play__rate="eighth", play__comp="bass", midi__transpose=-2)
    said = "; ".join(opening_lines(chart, given))
    assert said == ("Blue in G, 2 bars of 4/4, 120 bpm; sideman takes turns with you, 4 bars each: eighths, with bass")
    assert all(len(line) <= LINE_LENGTH for line in opening_lines(chart, given))


def test_the_end_says_how_to_hear_it_again() -> None:
    """Guards against: a good solo whose seed has scrolled away."""
    engine = performance(play__seed=7).make_engine(0.0, beats=8.0)
    assert closing_words(engine.snapshot(0.0)) == "the end: not a note was played"
    play_on_fake_clock(engine, 100.0, [])
    assert closing_words(engine.snapshot(4.0)).endswith(" notes by sideman, 0 by you; --seed 7 plays the same again")
