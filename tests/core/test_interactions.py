# SPDX-License-Identifier: Apache-2.0
"""Where two things meet: a turn and a count-in, a mode and a halt, a key and a wheel. Each of them was wrong once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from sideman.core.actions import PlayVariation, Start
from sideman.core.chart.chart import parse_changes
from sideman.core.engine import Engine
from sideman.core.events import (
    ChangeSettings,
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    MidiEvent,
    ModeChanged,
    NoteOff,
    NoteOn,
    NotePlayed,
    PitchBend,
    SetChart,
    SetMode,
    StateChanged,
)
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman.playing.assembly import resumed_engine, state_of
from support.clocks import steady
from support.fakes import hanging_notes, note_ons, performance, play_on_fake_clock, tempo_change

BUSY: dict[str, Any] = {"play__swing": 0.5, "play__density": 4, "play__rests": 0}
Arrivals = Sequence[tuple[float, MidiEvent | Command]]


def engine(**keys: Any) -> Engine:
    """An engine of an untrained network at 120 beats a minute; by a MIDI clock if that is the source of the tempo."""
    followed = MidiClockFollower(120.0) if keys.get("tempo__source") == "midi-clock" else None
    return performance(**{**BUSY, **keys}).make_engine(0.0, clocks=ClockConfig(followed))


def clock(start: float, end: float) -> list[tuple[float, MidiEvent | Command]]:
    """The ticks of a clock of 120 beats a minute between two seconds, both on its grid."""
    seconds = steady(round(2 * (end - start)), 120.0, start).tolist()
    return [(second, ClockTick()) for second in seconds[:-1]]


def note(second: float, pitch: int, until: float) -> list[tuple[float, MidiEvent | Command]]:
    """A note of the player's."""
    return [(second, NoteOn(pitch, 80, 1)), (until, NoteOff(pitch, 1))]


@pytest.mark.parametrize("mode", ["answer", "duet", "solo"])
def test_nothing_is_played_while_bars_are_counted_in(mode: str) -> None:
    """It would answer your tuning up in the middle of the count."""
    counted = engine(play__mode=mode, play__count_in=2, play__rate="eighth")
    arrivals: Arrivals = [*note(0.5, 60, 0.7), (2.0, SetMode("answer", now=True)), *note(6.0, 60, 6.2)]
    recorder, _ = play_on_fake_clock(counted, 12.0, arrivals)
    solo = [each for each in recorder.reports if isinstance(each, NotePlayed) and each.voice == "solo"]
    assert solo
    assert all(each.beat >= 0 for each in solo)


def test_nothing_is_played_while_it_is_begun_anew() -> None:
    """The same after `ctl start`."""
    begun = engine(play__mode="answer", play__count_in=1, play__rate="eighth", tempo__bpm=240)
    arrivals: Arrivals = [(2.262, SetMode("answer", now=True)), (4.2, Start()), *note(4.245, 42, 4.986)]
    recorder, _ = play_on_fake_clock(begun, 9.0, arrivals)
    clicks = [each.beat for each in recorder.reports if isinstance(each, NotePlayed) and each.voice == "clicks"]
    solo = [each.beat for each in recorder.reports if isinstance(each, NotePlayed) and each.voice == "solo"]
    assert solo
    assert all(beat > max(clicks) for beat in solo)
    beats = [each.beat for each in recorder.reports if isinstance(each, NotePlayed)]
    assert beats == sorted(beats)


def test_what_was_to_be_played_in_the_old_mode_is_not_played_in_the_new() -> None:
    """Turned off, it would play one more note after the clock went on."""
    arrivals: list[tuple[float, MidiEvent | Command]] = [(0.4, ClockStart()), *clock(0.5, 2.5), (2.55, ClockStop())]
    arrivals = sorted([*arrivals, (1.55, SetMode("off"))], key=lambda one: one[0])
    going_on = [(3.9, ClockContinue()), *clock(4.0, 6.0)]
    recorder, _ = play_on_fake_clock(engine(tempo__source="midi-clock"), 6.0, [*arrivals, *going_on])
    off = next(index for index, each in enumerate(recorder.reports) if isinstance(each, ModeChanged))
    assert not [each for each in recorder.reports[off:] if isinstance(each, NotePlayed)]
    assert not hanging_notes(message for _, message in recorder.sent)


def test_played_ahead_of_the_beat_a_new_start_doubles_no_note() -> None:
    """A loop of the DAW would strike the downbeat twice."""
    arrivals = [(0.499, ClockStart()), *clock(0.5, 4.5), (4.499, ClockStart()), *clock(4.5, 8.5)]
    recorder, _ = play_on_fake_clock(engine(tempo__source="midi-clock", play__offset_ms=-30), 8.4, arrivals)
    onsets = [second for second, _ in note_ons(recorder)]
    assert len(onsets) > 12
    assert min(later - earlier for earlier, later in pairwise(onsets)) > 0.3


@pytest.mark.parametrize("told", [[("play.trade_bars", 2), ("play.mode", "trade")], [("play.trade_bars", 2)]])
@pytest.mark.parametrize("said_again", [False, True])
def test_a_preset_of_the_mode_that_holds_changes_its_turns(told: list[tuple[str, object]], said_again: bool) -> None:
    """`preset fours` would do nothing while you trade twos."""
    again: Arrivals = [(1.1, SetMode("trade"))] if said_again else []
    arrivals = [(1.0, ChangeSettings(tuple(told))), *again]
    recorder, _ = play_on_fake_clock(engine(play__mode="trade", play__trade_bars=1), 39.9, arrivals)
    bars = {int(second * 2 // 4) for second, _ in note_ons(recorder)}
    assert bars == {bar for bar in range(1, 20) if (bar - 1) % 4 >= 2}


def test_a_key_that_comes_up_while_the_clock_stands_is_up() -> None:
    """It would not answer for eight bars, because it believed that you still held the note."""
    answering = engine(tempo__source="midi-clock", play__mode="answer", play__rate="eighth")
    arrivals = [(0.4, ClockStart()), *clock(0.5, 3.0), *note(2.5, 60, 3.5), (2.99, ClockStop())]
    going_on = [(3.9, ClockContinue()), *clock(4.0, 9.0)]
    recorder, _ = play_on_fake_clock(answering, 9.0, sorted([*arrivals, *going_on], key=lambda one: one[0]))
    assert 4.0 <= note_ons(recorder)[0][0] < 6.0


def test_a_wheel_that_moves_while_a_key_is_down_does_not_hold_it_down() -> None:
    """A bent note would keep it from answering."""
    arrivals: Arrivals = [
        (0.5, NoteOn(60, 80, 1)),
        (0.6, PitchBend(8191, 1)),
        (0.8, NoteOn(60, 80, 1)),
        (1.0, NoteOff(60, 1)),
    ]
    recorder, _ = play_on_fake_clock(engine(play__mode="answer", play__rate="eighth"), 6.0, arrivals)
    assert note_ons(recorder)[0][0] < 3.0


def test_the_lamp_shows_triplets_too() -> None:
    """It would say that it listens while it plays."""
    answering = engine(play__mode="answer", play__rate="triplet", play__swing=0.67, midi__lamp=20)
    recorder, _ = play_on_fake_clock(answering, 8.0, [*note(0.4, 60, 0.5), *note(1.3, 62, 1.4)])
    doing = "idle"
    for each in recorder.reports:
        doing = each.state if isinstance(each, StateChanged) else doing
        assert not isinstance(each, NotePlayed) or doing == "playing"


@pytest.mark.parametrize("second", [1.17, 1.34, 1.5])
def test_a_mode_set_at_once_plays_no_triplet_again(second: float) -> None:
    """Swing moves what lies between the triplets, and it would take one that was played for one to come."""
    swinging = engine(play__rate="triplet", play__swing=0.67)
    recorder, _ = play_on_fake_clock(swinging, 4.0, [(second, SetMode("duet", now=True))])
    onsets = [second for second, _ in note_ons(recorder)]
    assert min(later - earlier for earlier, later in pairwise(onsets)) > 0.15


def test_after_a_new_beginning_it_resumes_in_its_place() -> None:
    """The service would go on in another bar of the song than it was stopped in."""
    made = performance(**BUSY)
    begun = made.make_engine(0.0)
    play_on_fake_clock(begun, 9.2, [(5.0, Start())])
    place = begun.snapshot(9.2).beat
    memory = state_of(begun, made, 9.2)
    assert memory["beat"] == pytest.approx(place)
    again = resumed_engine(made, memory, 0.0)
    assert again.snapshot(0.0).beat == pytest.approx(12.0)
    assert again.snapshot(0.0).chord_and_next()[0].text == "A7alt"


def test_a_tempo_that_changes_the_swing_lets_no_two_notes_sound_at_once() -> None:
    """One voice would be two for a moment, which a monophonic synth turns into a wrong legato."""
    faster = engine(play__rate="phrase", play__swing="auto", play__gate=1, tempo__bpm=215)
    turns = [(0.4 * number, tempo_change(230.0 if number % 2 else 210.0)) for number in range(1, 40)]
    recorder, _ = play_on_fake_clock(faster, 16.0, turns)
    sounding = 0
    for _, message in recorder.sent:
        sounding += (message[0] == 0x90) - (message[0] == 0x80)
        assert sounding <= 1


def test_a_chart_set_live_is_played_as_often_as_it_is_asked_for() -> None:
    """With a longer song it would stop in the middle of the form."""
    twice = engine(chart__choruses=2, play__rate="beat")
    longer = parse_changes("| C | Dm7 | G7 | C | F | Em7 | A7 | D7 |", twice.chart.chart.meter, "test")
    _, bars = play_on_fake_clock(twice, 100.0, [(3.0, SetChart(longer))])
    assert len(bars) == 2 + 16


def test_asked_for_again_and_for_another_mode_it_begins_its_turn_on_the_bar_line() -> None:
    """What was to be varied would be played in the turn that takes its place."""
    trading = engine(play__rate="eighth", play__trade_first="sideman", play__trade_bars=1)
    recorder, _ = play_on_fake_clock(trading, 8.0, [(4.2, SetMode("trade")), (4.3, PlayVariation())])
    assert 6.0 in [second for second, _ in note_ons(recorder)]
