# SPDX-License-Identifier: Apache-2.0
"""The charts of a performance, one after another, and held chords that replace their chords."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.chart.chart import Meter
from sideman.core.chart.text import parse_changes
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.engine import DueItem, Engine, play_through
from sideman.core.events import BarPlayed, Command, MidiEvent, NoteOff, NoteOn, SetChart
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.qualities import TONE_KINDS
from support.fakes import performance
from support.strategies import chord_symbols

FOUR = Meter(4, 4)
CHORDS = 3
C7, FMAJ7 = (48, 52, 55, 58), (53, 57, 60, 64)


def chart(changes: str) -> Any:
    """A chart in 4/4."""
    return parse_changes(changes, FOUR, "test")


def held_keys(pitches: tuple[int, ...], second: float, length: float = 0.5) -> list[tuple[float, MidiEvent | Command]]:
    """Keys of the chord channel that are held for `length` seconds."""
    downs: list[tuple[float, MidiEvent | Command]] = [(second, NoteOn(pitch, 80, CHORDS)) for pitch in pitches]
    return [*downs, *((second + length, NoteOff(pitch, CHORDS)) for pitch in pitches)]


def play(engine: Engine, arrivals: list[tuple[float, MidiEvent | Command]]) -> list[DueItem]:
    """Everything that is played to the end while `arrivals` come in."""
    dues: list[DueItem] = []
    for second, item in sorted(arrivals, key=lambda arrival: arrival[0]):
        while (deadline := engine.deadline()) is not None and deadline <= second:
            dues += engine.advance(deadline)
        dues += engine.advance(second)
        engine.receive(item, second)
    return [*dues, *play_through(engine)]


def bars(dues: list[DueItem]) -> list[list[str]]:
    """The reported chords of each bar."""
    return [[chord.text for chord in due.item.chords] for due in dues if isinstance(due.item, BarPlayed)]


def engine(beats: float, **keys: Any) -> Engine:
    """An engine at one beat a second, without swing; chords are held on channel 3."""
    given: dict[str, Any] = {"midi__chords": CHORDS, "tempo__bpm": 60, "play__swing": 0.5, "play__density": 4, **keys}
    return performance(**given).make_engine(0.0, beats=beats)


# The chart timeline alone


@given(st.lists(st.tuples(st.floats(0, 8), chord_symbols()), max_size=12), st.floats(0, 100))
def test_a_held_chord_lasts_until_the_next(gaps: list[tuple[float, str]], ask: float) -> None:
    """Guards against: a harmony that falls back to the chart, or bars that are reported with other chords later."""
    timeline, beat = ChartTimeline(chart("| Dm7 | G7 C |")), 0.0
    chords: list[tuple[float, Chord]] = []
    for gap, symbol in gaps:
        beat += gap
        timeline.hold_chord(parse_chord(symbol), beat)
        chords = [(since, chord) for since, chord in chords if since < beat] + [(beat, parse_chord(symbol))]
    latest = [chord for since, chord in chords if since <= ask]
    assert timeline.chord_at(ask) == (latest[-1] if latest else timeline.chart.chord_at(ask))
    if latest:
        assert timeline.next_change(ask) == (latest[-1], math.inf)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=4),
    st.lists(st.integers(0, 400), max_size=20),
)
def test_a_bar_is_the_same_whatever_was_asked_before(steps: list[tuple[int, int, int]], asked: list[int]) -> None:
    """Guards against: a take that cannot be replayed, because a view had asked for a bar while it was played."""
    timeline, beat = ChartTimeline(chart("3/4 C | 5/4 F | 7/8 G | 2/4 A")), 0.0
    for step, place, counted_in in steps:  # a chart may also take over within a bar
        beat += step
        line = timeline.chart.bar_at(float(place))[1]
        timeline.set_chart(timeline.chart, beat, line, counted_in)
    for tick in asked:
        known = timeline.bar_at(tick)
        again = ChartTimeline(timeline.chart)
        again.recall(timeline.memory())
        assert known == again.bar_at(tick)


def test_a_bar_has_the_chords_that_were_held_in_it() -> None:
    """Guards against: a log that shows chords over which nothing was played."""
    timeline = ChartTimeline(chart("| Dm7 G7 |"))
    timeline.hold_chord(parse_chord("F"), 1.0)
    timeline.hold_chord(parse_chord("Bb"), 6.0)
    shown = [[chord.text for chord in timeline.chords_in_bar(beat)] for beat in (0.0, 4.0, 8.0)]
    assert shown == [["Dm7", "F"], ["F", "Bb"], ["Bb"]]


def test_a_new_chart_ends_a_held_chord_at_its_bar_line() -> None:
    """Guards against: a chart that cannot be played again after a held chord, or that cuts into a bar."""
    timeline = ChartTimeline(chart("| Dm7 |"))
    timeline.hold_chord(parse_chord("F"), 1.0)
    timeline.set_chart(chart("| Eb7 | Ab7 |"), 8.0)
    timeline.hold_chord(parse_chord("Bb"), 6.0)  # after the chart was set, before it takes over
    assert [timeline.chord_at(beat).text for beat in (0.0, 2.0, 7.9, 8.0, 12.0)] == ["Dm7", "F", "Bb", "Eb7", "Ab7"]
    assert timeline.next_change(7.0) == (parse_chord("Eb7"), 1.0)
    timeline.hold_chord(parse_chord("C"), 9.0)
    assert timeline.chord_at(100.0).text == "C"


# In an engine


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.floats(0.1, 4), st.sampled_from([C7, FMAJ7, (50, 53, 57), (48, 55)])), max_size=6),
    st.sampled_from(["beat", "eighth", "phrase"]),
    st.booleans(),
)
def test_every_value_is_played_over_the_chord_at_its_onset(
    gaps: list[tuple[float, tuple[int, ...]]], rate: str, sets: bool
) -> None:
    """Guards against: a solo that stays on the chord before, or on a chord that is over."""
    second = 0.0
    arrivals: list[tuple[float, MidiEvent | Command]] = []
    changing: list[float] = []  # near these seconds a value may belong to the chord before or after
    for gap, pitches in gaps:
        second += gap
        changing.append(second)
        arrivals += held_keys(pitches, second, 0.09)
        second += 0.1
    if sets:
        arrivals.append((6.3, SetChart(chart("| Eb7 | Ab7 | B |"))))
    played = engine(32, play__rate=rate)
    checked = 0
    for due in play(played, arrivals):
        for choice in due.item.choices if isinstance(due.item, BarPlayed) else ():
            near = any(abs(choice.tick / 12 - change) < 0.11 for change in changing)
            if choice.pitch is not None and not near:
                checked += 1
                assert TONE_KINDS[played.chart.chord_at(choice.tick / 12).kind_of(choice.pitch)] == choice.value.kind
    assert checked > 4


def test_a_held_chord_begins_at_its_intended_beat() -> None:
    """Guards against: a chord played on the bar line that comes a beat late, or is shown in the wrong bar."""
    arrivals = [
        *held_keys(C7, 3.97),
        *held_keys(FMAJ7, 10.02),
        *held_keys((48, 55), 12.0),
        (17.0, SetChart(chart("| Eb7 |"))),
    ]
    shown = bars(play(engine(24), arrivals))
    assert shown == [["Dm7"], ["C7"], ["C7", "F^7"], ["F^7"], ["F^7"], ["Eb7"]]


def test_a_held_chord_wakes_the_player_and_takes_back_the_choice() -> None:
    """Guards against: a held chord that is noticed only when something else happens."""
    played = engine(16, play__rate="beat")
    list(played.advance(1.2))
    played.prepare(1.2)
    for second, item in held_keys(FMAJ7, 1.3):
        played.receive(item, second)
    assert played.deadline() == pytest.approx(1.34)
    assert list(played.advance(1.34)) == []
    assert played.snapshot(1.34).chord_and_next()[0].text == "F^7"
    assert played.snapshot(1.34).next_choice is None
    assert played.deadline() == pytest.approx(2.0)


def test_keys_on_the_chord_channel_are_not_melody() -> None:
    """Guards against: a left hand that is answered as if it were the melody."""
    played = engine(16, play__mode="off")
    before = played.improviser.export_state(0)
    for second, item in held_keys(C7, 1.0):
        played.receive(item, second)
    assert played.improviser.export_state(0) == before
    assert played.listening.heard_notes == 0
    assert not played.listening.melody.keys_held


@pytest.mark.parametrize(("first", "kind"), [(0.0, "C"), (0.02, "C"), (-0.02, "C"), (0.6, "A")])
def test_a_melody_note_struck_with_its_chord_is_heard_over_it(first: float, kind: str) -> None:
    """Guards against: a two-handed player whose notes are heard over the chord before, at every change."""
    played = engine(16, play__mode="off")
    arrivals = [*held_keys((54, 58, 61, 65), 4.0 + first), (4.0, NoteOn(66, 80, 1))]
    for second, item in sorted(arrivals, key=lambda arrival: arrival[0]):
        list(played.advance(second))
        played.receive(item, second)
    list(played.advance(5.0))
    [value] = [written.value for written in played.improviser._line.copy().finish_at(60)]
    assert value.kind == kind  # F#: the root of F#maj7, not a tone of G7


def test_chords_of_a_transposing_player_sound_in_concert_pitch() -> None:
    """Guards against: an accordion or chord pad in another key that leads the band into that key."""
    shown = bars(play(engine(8, midi__transpose=-2), held_keys(C7, 0.1)))
    assert shown == [["Dm7", "Bb7"], ["Bb7"]]


def test_chords_can_be_held_before_the_music_starts() -> None:
    """Guards against: a player who holds the first chord before pressing start, and is not understood."""
    made = performance(midi__chords=CHORDS, tempo__source="midi-clock")
    played = made.make_engine(
        0.0, clocks=ClockConfig(MidiClockFollower(120.0, wait_start=True, on_change=lambda: None))
    )
    assert played.deadline() == math.inf
    for second, item in held_keys(C7, 1.0):
        played.receive(item, second)
    assert played.deadline() == pytest.approx(1.04)
    assert list(played.advance(1.04)) == []
    assert played.chart.chord_at(0.0).text == "C7"
    assert played.deadline() == math.inf


@settings(max_examples=20)
@given(st.sampled_from(["beat", "eighth", "phrase"]), st.floats(0.05, 15.9), st.integers(0, 9))
def test_a_new_chart_leaves_no_note_and_no_old_chord(rate: str, second: float, seed: int) -> None:
    """Guards against: a new song that begins with a hanging note, or goes on over the old changes."""
    played = engine(32, play__rate=rate, play__seed=seed, midi__chords=None, play__gate=1)
    dues = play(played, [(second, SetChart(chart("| Eb7 | Ab7 Db |")))])
    line = math.floor(second / 4 + 1e-9) + 1  # the bar that has begun is played to its end
    old, new = [["Dm7"], ["G7"], ["Cmaj7"], ["A7alt"]], [["Eb7"], ["Ab7", "Db"]]
    assert bars(dues) == [old[bar % 4] if bar < line else new[(bar - line) % 2] for bar in range(8)]
    sounding: set[int] = set()
    for due in dues:
        if isinstance(due.item, NoteOn):
            sounding.add(due.item.pitch)
        elif isinstance(due.item, NoteOff):
            sounding.discard(due.item.pitch)
        elif isinstance(due.item, BarPlayed) and due.beat == 4 * line:
            assert not sounding
    assert not sounding
