# SPDX-License-Identifier: Apache-2.0
"""Two features together: a turn and a count-in, a mode and a stop, a key and the wheel. Each pair was wrong once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from sideman.core.actions import PlayVariation, Start
from sideman.core.chart.text import parse_changes
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
    """An engine at 120 beats a minute; it follows a MIDI clock if `tempo.source` says so."""
    followed = MidiClockFollower(120.0) if keys.get("tempo__source") == "midi-clock" else None
    return performance(**{**BUSY, **keys}).make_engine(0.0, clocks=ClockConfig(followed))


def clock(start: float, end: float) -> list[tuple[float, MidiEvent | Command]]:
    """The ticks of a clock of 120 beats a minute between two seconds, both on its grid."""
    seconds = steady(round(2 * (end - start)), 120.0, start).tolist()
    return [(second, ClockTick()) for second in seconds[:-1]]


def note(second: float, pitch: int, until: float) -> list[tuple[float, MidiEvent | Command]]:
    """A note of the player."""
    return [(second, NoteOn(pitch, 80, 1)), (until, NoteOff(pitch, 1))]


@pytest.mark.parametrize("mode", ["answer", "duet", "solo"])
def test_nothing_is_played_while_bars_are_counted_in(mode: str) -> None:
    """Guards against: answers to the player's tuning in the middle of the count-in."""
    counted = engine(play__mode=mode, play__count_in=2, play__rate="eighth")
    arrivals: Arrivals = [*note(0.5, 60, 0.7), (2.0, SetMode("answer", now=True)), *note(6.0, 60, 6.2)]
    recorder, _ = play_on_fake_clock(counted, 12.0, arrivals)
    solo = [report for report in recorder.reports if isinstance(report, NotePlayed) and report.voice == "solo"]
    assert solo
    assert all(report.beat >= 0 for report in solo)


def test_nothing_is_played_while_a_restart_is_counted_in() -> None:
    """Guards against: answers in the middle of the count-in after `ctl start`."""
    restarted = engine(play__mode="answer", play__count_in=1, play__rate="eighth", tempo__bpm=240)
    arrivals: Arrivals = [(2.262, SetMode("answer", now=True)), (4.2, Start()), *note(4.245, 42, 4.986)]
    recorder, _ = play_on_fake_clock(restarted, 9.0, arrivals)
    clicks = [report.beat for report in recorder.reports if isinstance(report, NotePlayed) and report.voice == "clicks"]
    solo = [report.beat for report in recorder.reports if isinstance(report, NotePlayed) and report.voice == "solo"]
    assert solo
    assert all(beat > max(clicks) for beat in solo)
    beats = [report.beat for report in recorder.reports if isinstance(report, NotePlayed)]
    assert beats == sorted(beats)


def test_a_choice_of_the_old_mode_is_not_played_in_the_new() -> None:
    """Guards against: one more note after the mode was set to `off`, when the clock continues."""
    arrivals: list[tuple[float, MidiEvent | Command]] = [(0.4, ClockStart()), *clock(0.5, 2.5), (2.55, ClockStop())]
    arrivals = sorted([*arrivals, (1.55, SetMode("off"))], key=lambda arrival: arrival[0])
    going_on = [(3.9, ClockContinue()), *clock(4.0, 6.0)]
    recorder, _ = play_on_fake_clock(engine(tempo__source="midi-clock"), 6.0, [*arrivals, *going_on])
    off = next(index for index, report in enumerate(recorder.reports) if isinstance(report, ModeChanged))
    assert not [report for report in recorder.reports[off:] if isinstance(report, NotePlayed)]
    assert not hanging_notes(message for _, message in recorder.sent)


def test_a_restart_with_a_negative_offset_doubles_no_note() -> None:
    """Guards against: a loop of the DAW in which the downbeat sounds twice."""
    arrivals = [(0.499, ClockStart()), *clock(0.5, 4.5), (4.499, ClockStart()), *clock(4.5, 8.5)]
    recorder, _ = play_on_fake_clock(engine(tempo__source="midi-clock", play__offset_ms=-30), 8.4, arrivals)
    onsets = [second for second, _ in note_ons(recorder)]
    assert len(onsets) > 12
    assert min(later - earlier for earlier, later in pairwise(onsets)) > 0.3


@pytest.mark.parametrize("values", [[("play.trade_bars", 2), ("play.mode", "trade")], [("play.trade_bars", 2)]])
@pytest.mark.parametrize("repeated", [False, True])
def test_a_preset_of_the_same_mode_changes_its_turns(values: list[tuple[str, object]], repeated: bool) -> None:
    """Guards against: `preset fours` that does nothing while twos are traded."""
    again: Arrivals = [(1.1, SetMode("trade"))] if repeated else []
    arrivals = [(1.0, ChangeSettings(tuple(values))), *again]
    recorder, _ = play_on_fake_clock(engine(play__mode="trade", play__trade_bars=1), 39.9, arrivals)
    bars = {int(second * 2 // 4) for second, _ in note_ons(recorder)}
    assert bars == {bar for bar in range(1, 20) if (bar - 1) % 4 >= 2}


def test_a_key_released_while_the_clock_is_stopped_is_released() -> None:
    """Guards against: eight bars without an answer because a note counts as held."""
    answering = engine(tempo__source="midi-clock", play__mode="answer", play__rate="eighth")
    arrivals = [(0.4, ClockStart()), *clock(0.5, 3.0), *note(2.5, 60, 3.5), (2.99, ClockStop())]
    going_on = [(3.9, ClockContinue()), *clock(4.0, 9.0)]
    recorder, _ = play_on_fake_clock(answering, 9.0, sorted([*arrivals, *going_on], key=lambda arrival: arrival[0]))
    assert 4.0 <= note_ons(recorder)[0][0] < 6.0


def test_a_bend_of_a_held_key_does_not_keep_it_held() -> None:
    """Guards against: a bent note that keeps it from answering."""
    arrivals: Arrivals = [
        (0.5, NoteOn(60, 80, 1)),
        (0.6, PitchBend(8191, 1)),
        (0.8, NoteOn(60, 80, 1)),
        (1.0, NoteOff(60, 1)),
    ]
    recorder, _ = play_on_fake_clock(engine(play__mode="answer", play__rate="eighth"), 6.0, arrivals)
    assert note_ons(recorder)[0][0] < 3.0


def test_the_lamp_shows_triplets_too() -> None:
    """Guards against: a lamp that shows listening while it plays."""
    answering = engine(play__mode="answer", play__rate="triplet", play__swing=0.67, midi__lamp=20)
    recorder, _ = play_on_fake_clock(answering, 8.0, [*note(0.4, 60, 0.5), *note(1.3, 62, 1.4)])
    state = "idle"
    for report in recorder.reports:
        state = report.state if isinstance(report, StateChanged) else state
        assert not isinstance(report, NotePlayed) or state == "playing"


@pytest.mark.parametrize("second", [1.17, 1.34, 1.5])
def test_a_mode_set_at_once_plays_no_triplet_again(second: float) -> None:
    """Guards against: a triplet played twice, because swing moves the ticks between the triplets."""
    swinging = engine(play__rate="triplet", play__swing=0.67)
    recorder, _ = play_on_fake_clock(swinging, 4.0, [(second, SetMode("duet", now=True))])
    onsets = [second for second, _ in note_ons(recorder)]
    assert min(later - earlier for earlier, later in pairwise(onsets)) > 0.15


def test_after_a_restart_a_performance_resumes_at_its_position() -> None:
    """Guards against: a performance that continues in another bar of the song than it was stopped in."""
    made = performance(**BUSY)
    restarted = made.make_engine(0.0)
    play_on_fake_clock(restarted, 9.2, [(5.0, Start())])
    position = restarted.snapshot(9.2).beat
    saved = state_of(restarted.memory(), made)
    assert saved["memory"]["beat"] - saved["memory"]["top"] == pytest.approx(position, abs=1.0)
    again = resumed_engine(made, saved, 0.0)
    assert again.snapshot(0.0).beat == pytest.approx(12.0)
    assert again.snapshot(0.0).chord_and_next()[0].text == "A7alt"


def test_a_change_of_swing_leaves_one_voice() -> None:
    """Guards against: two notes at the same time, which a monophonic synth plays as a wrong legato."""
    faster = engine(play__rate="phrase", play__swing="auto", play__gate=1, tempo__bpm=215)
    turns = [(0.4 * number, tempo_change(230.0 if number % 2 else 210.0)) for number in range(1, 40)]
    recorder, _ = play_on_fake_clock(faster, 16.0, turns)
    sounding = 0
    for _, message in recorder.sent:
        sounding += (message[0] == 0x90) - (message[0] == 0x80)
        assert sounding <= 1


def test_a_chart_set_while_playing_is_played_for_its_choruses() -> None:
    """Guards against: a longer song that stops in the middle of the form."""
    twice = engine(chart__choruses=2, play__rate="beat")
    longer = parse_changes("| C | Dm7 | G7 | C | F | Em7 | A7 | D7 |", twice.chart.chart.meter, "test")
    _, bars = play_on_fake_clock(twice, 100.0, [(3.0, SetChart(longer))])
    assert len(bars) == 2 + 16


def test_a_variation_asked_for_with_a_mode_does_not_delay_the_turn() -> None:
    """Guards against: a variation that is played in the turn that follows it."""
    trading = engine(play__rate="eighth", play__trade_first="sideman", play__trade_bars=1)
    recorder, _ = play_on_fake_clock(trading, 8.0, [(4.2, SetMode("trade")), (4.3, PlayVariation())])
    assert 6.0 in [second for second, _ in note_ons(recorder)]
