# SPDX-License-Identifier: Apache-2.0
"""Separating the player's notes from our own echo."""

from __future__ import annotations

import heapq
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.events import (
    ActionRequested,
    BarPlayed,
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    ControlChange,
    MidiEvent,
    NoteOff,
    NoteOn,
    ProgramChange,
    SongPosition,
)
from sideman.core.input.echo import EchoFilter
from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from support.fakes import performance

channels = st.integers(1, 16).filter(lambda channel: channel != MidiSettings().drums)
notes = st.builds(NoteOn, st.integers(50, 55), st.integers(1, 127), channels)


@given(st.lists(notes, max_size=20), st.floats(0, 0.05), channels)
def test_all_echoes_are_dropped(sent: list[NoteOn], delay: float, channel: int) -> None:
    """Guards against: a looped cable that makes it answer itself for ever."""
    echo_filter = EchoFilter(MidiSettings(echo_ms=60))
    for number, note in enumerate(sent):
        echo_filter.event_sent(note, number * 0.1)
        assert echo_filter.filter_note(NoteOn(note.pitch, note.velocity, channel), number * 0.1 + delay) is None
        assert echo_filter.filter_note(NoteOff(note.pitch, channel), number * 0.1 + 0.09) is None
    assert echo_filter.echoes == len(sent)


@given(notes, st.integers(1, 3), st.integers(1, 3))
def test_an_echo_may_come_by_each_way_once(note: NoteOn, outputs: int, inputs: int) -> None:
    """Guards against: two looped ports, and sideman answers the second echo of its own notes."""
    midi = MidiSettings(output=("Synth",) * outputs, input=("Keys",) * inputs, echo_ms=60)
    echo_filter = EchoFilter(midi)
    echo_filter.event_sent(note, 1.0)
    assert [echo_filter.filter_note(note, 1.01) for _ in range(outputs * inputs)] == [None] * (outputs * inputs)
    assert echo_filter.filter_note(note, 1.02) is note


@given(notes, st.integers(1, 127))
def test_the_players_notes_are_never_taken_for_an_echo(note: NoteOn, velocity: int) -> None:
    """Guards against: the player's notes that are not heard because we play the same note."""
    echo_filter = EchoFilter(MidiSettings(echo_ms=60))
    echo_filter.event_sent(note, 1.0)
    other = NoteOn(note.pitch, velocity, note.channel)
    assert (echo_filter.filter_note(other, 1.01) is other) == (velocity != note.velocity)
    assert echo_filter.filter_note(note, 1.02) is None or velocity == note.velocity
    assert echo_filter.filter_note(note, 1.03) is note  # the second of that kind is the player's
    assert echo_filter.filter_note(NoteOff(note.pitch, note.channel), 1.04) is not None


@given(notes)
def test_an_echo_is_not_expected_for_ever(note: NoteOn) -> None:
    """Guards against: a note that is lost because the player repeats ours a bar later."""
    echo_filter = EchoFilter(MidiSettings(echo_ms=60))
    echo_filter.event_sent(note, 1.0)
    assert echo_filter.filter_note(note, 1.0 + 0.061) is note


def test_other_channels_and_controllers_are_not_notes_of_the_player() -> None:
    """Guards against: a drummer on channel 10 who is heard as a melody."""
    echo_filter = EchoFilter(MidiSettings(listen=2, echo_ms=60))
    assert echo_filter.filter_note(NoteOn(60, 80, 10), 0.0) is None
    assert echo_filter.filter_note(ControlChange(1, 80, 2), 0.0) is None
    assert echo_filter.filter_note(NoteOff(60, 2), 0.0) is None
    assert echo_filter.filter_note(NoteOn(60, 80, 2), 0.0) == NoteOn(60, 80, 2)


@pytest.mark.parametrize(
    "event",
    [ProgramChange(3, 1), ControlChange(20, 7, 1), ClockStart(), ClockContinue(), ClockStop(), SongPosition(8)],
)
def test_what_we_send_besides_notes_comes_back_as_an_echo_once(event: MidiEvent) -> None:
    """Guards against: our own program change that selects a preset, or our own start that begins the music again."""
    echo_filter = EchoFilter(MidiSettings(echo_ms=60))
    assert not echo_filter.is_echo(event, 0.9)
    echo_filter.event_sent(event, 1.0)
    assert echo_filter.is_echo(event, 1.05)
    assert not echo_filter.is_echo(event, 1.05)
    echo_filter.event_sent(event, 2.0)
    assert not echo_filter.is_echo(event, 2.07)


def test_a_pedal_that_comes_up_after_a_panic_is_the_players() -> None:
    """Guards against: a sustain pedal that hangs because its release looks like ours."""
    echo_filter = EchoFilter(MidiSettings(echo_ms=60))
    echo_filter.event_sent(ControlChange(64, 0, 1), 1.0)
    assert not echo_filter.is_echo(ControlChange(64, 0, 1), 1.01)


@given(st.floats(0.001, 0.05), st.floats(40, 300), st.floats(-0.4, 0.4))
def test_the_ticks_of_our_clock_that_come_back_are_told_from_those_that_we_follow(
    delay: float, bpm: float, offset: float
) -> None:
    """Guards against: a tempo that doubles because our own clock is heard, or a clock that is lost without a loop."""
    echo_filter, period = EchoFilter(MidiSettings(echo_ms=60)), 60 / bpm / 24
    echo_filter.event_sent(ClockStart(), 0.0)
    assert echo_filter.is_echo(ClockStart(), delay)
    sent = [number * period for number in range(1, 200)]
    arrivals = sorted(
        [(at + offset * period, 1) for at in sent] + [(at + delay, 2) for at in sent] + [(at, 0) for at in sent]
    )
    heard = 0
    for second, kind in arrivals:
        if kind == 0:
            echo_filter.event_sent(ClockTick(), second)
        else:
            heard += not echo_filter.is_echo(ClockTick(), second)
    assert abs(heard - len(sent)) <= 3
    without_loop = [number * period for number in range(200, 400)]
    heard = 0
    for second in without_loop:
        echo_filter.event_sent(ClockTick(), second)
        heard += not echo_filter.is_echo(ClockTick(), second + 0.0001)
    assert heard >= len(without_loop) - 50


@pytest.mark.parametrize("delay", [0.002, 0.007, 0.015])
def test_a_clock_that_we_follow_and_pass_on_into_a_loop_starts_once_and_keeps_its_tempo(delay: float) -> None:
    """Guards against: music that begins again and again because its own start comes back, or runs twice as fast."""
    keys: dict[str, Any] = {"tempo__source": "midi-clock", "tempo__clock_out": True, "midi__program": 5}
    keys["midi__programs.5"] = "wild"
    made = performance(**keys)
    clock = MidiClockFollower(120.0)
    engine, order = made.make_engine(0.0, clocks=ClockConfig(clock, sends_midi_clock=True)), count()
    arrivals: list[tuple[float, int, MidiEvent]] = []

    def arrive(second: float, event: MidiEvent) -> None:
        heapq.heappush(arrivals, (second, next(order), event))

    arrive(1.0, ClockStart())
    for tick in range(24 * 16):
        arrive(1.02 + tick / 48, ClockTick())
    sent: list[MidiEvent] = []
    reports: list[object] = []
    engine.report = reports.append

    def send(events: list[MidiEvent], second: float) -> None:
        sent.extend(events)
        for event in events:
            arrive(second + delay, event)

    send(engine.open(0.0), 0.0)
    while arrivals and arrivals[0][0] < 8.0:
        second = min(arrivals[0][0], max(engine.deadline() or 0.0, 0.0))
        send([due.item for due in engine.advance(second) if not isinstance(due.item, BarPlayed)], second)
        while arrivals and arrivals[0][0] <= second:
            at, _, event = heapq.heappop(arrivals)
            send(engine.receive(event, at), at)
    assert sent.count(ClockStart()) == 1
    assert sent.count(ClockTick()) == pytest.approx(7 * 48, abs=3)
    assert clock.rolling
    assert clock.tempo.bpm == pytest.approx(120, abs=1)
    assert clock.tick == pytest.approx(48 * 6.98, abs=3)
    assert not [report for report in reports if isinstance(report, ActionRequested)]
    assert engine.listening.heard_notes == 0
