# SPDX-License-Identifier: Apache-2.0
"""Music that waits before it begins: for a start, or for the player's first note."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sideman.core.actions import Start, Stop
from sideman.core.engine import START_LEAD_S, Engine
from sideman.core.events import (
    ClockStart,
    ClockTick,
    Command,
    MidiEvent,
    NoteHeard,
    NoteOff,
    NoteOn,
    NotePlayed,
    SetMode,
    encode,
)
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman.playing.assembly import resumed_engine, state_of
from support.clocks import steady
from support.fakes import RecordingOutput, hanging_notes, note_ons, performance, play_on_fake_clock, tempo_change

DENSE: dict[str, Any] = {"play__density": 4, "play__rests": 0, "play__swing": 0.5}
Arrivals = list[tuple[float, MidiEvent | Command]]
TICK, START = encode(ClockTick()), encode(ClockStart())


def engine(*, second: float = 0.0, follows: bool = False, sends: bool = False, **keys: Any) -> Engine:
    """An engine that begins on `second` if it begins at once."""
    followed = MidiClockFollower(120.0) if follows else None
    return performance(**{**DENSE, **keys}).make_engine(second, clocks=ClockConfig(followed, sends))


def test_it_says_that_it_waits_for_a_clock_too() -> None:
    """Guards against: a player who plays note after note, and the clock that they would join was never started."""
    made = engine(follows=True, play__start="first note")
    for number in range(30):
        made.receive(ClockTick(), number * 0.02)
    assert made.snapshot(0.6).waiting == "armed: waits for a start of the clock, then for your first note"
    made.receive(ClockStart(), 0.6)
    for number in range(30):
        made.receive(ClockTick(), 0.61 + number * 0.02)
    assert made.snapshot(1.2).waiting == "armed: waits for your first note"
    made.receive(NoteOn(60, 80, 1), 1.22)
    assert made.snapshot(1.22).waiting == ""


def sent_after(recorder: RecordingOutput, second: float) -> list[tuple[Any, tuple[int, ...]]]:
    """What was sent, in seconds since `second`."""
    return [(pytest.approx(at - second, abs=1e-6), message) for at, message in recorder.sent]


def beats_of(recorder: RecordingOutput, kind: type[NotePlayed | NoteHeard]) -> list[float]:
    """The beats of the notes that were played or heard."""
    reports = [report for report in recorder.reports if isinstance(report, kind)]
    return [report.beat for report in reports if isinstance(report, NotePlayed) or isinstance(report.note, NoteOn)]


kinds = st.sampled_from(["armed", "first note"])
seconds = st.floats(0.0, 30.0)


@settings(max_examples=25)
@given(kinds, st.integers(0, 2), seconds, st.booleans(), st.sampled_from(["beat", "eighth", "phrase"]), st.booleans())
def test_after_a_start_it_plays_what_it_would_have_played_at_once(
    start: str, count_in: int, second: float, clock_out: bool, rate: str, noodles: bool
) -> None:
    """Guards against an armed start that plays another solo, without its count-in, or off the clock that it sends."""
    keys: dict[str, Any] = {"play__rate": rate, "play__count_in": count_in, "sends": clock_out}
    before: Arrivals = [(second / 2, NoteOn(60, 80, 1)), (second / 2 + 0.01, NoteOff(60, 1))] if noodles else []
    if start == "first note":
        before = []
    started = second + 0.02
    armed, _ = play_on_fake_clock(engine(play__start=start, **keys), started + 6.0, [*before, (started, Start())])
    at_once, _ = play_on_fake_clock(engine(second=1.0, **keys), 7.0 - START_LEAD_S)
    assert armed.sent[0][0] >= started
    assert sent_after(armed, started + START_LEAD_S) == [(at - 1.0, message) for at, message in at_once.sent]
    assert not beats_of(armed, NoteHeard)


@settings(max_examples=25)
@example(second=1.9990235740855375, clock_out=False, mode="solo", bars=0)  # just before it wakes by itself
@given(seconds, st.booleans(), st.sampled_from(["solo", "answer", "duet"]), st.integers(0, 2))
def test_the_first_note_is_the_first_beat_and_is_heard(second: float, clock_out: bool, mode: str, bars: int) -> None:
    """Guards against a bar that does not begin with the player's first note, or a solo that has not heard it."""
    made = engine(play__start="first note", play__mode=mode, play__count_in=bars, sends=clock_out)
    played: Arrivals = [(second, NoteOn(60, 80, 1)), (second + 0.4, NoteOff(60, 1))]
    recorder, _ = play_on_fake_clock(made, second + 6.0, played)
    assert beats_of(recorder, NoteHeard) == [0.0]
    onsets = [at for at, _ in note_ons(recorder)]
    assert onsets
    assert all((at - second) * 2 == pytest.approx(round((at - second) * 2), abs=1e-6) for at in onsets)
    if mode == "solo":
        assert onsets[0] == pytest.approx(second, abs=1e-6)
    if clock_out:
        clock = [(at, message) for at, message in recorder.sent if message in (START, TICK)]
        assert [message for _, message in clock[:2]] == [START, TICK]
        assert [at for at, _ in clock[:2]] == pytest.approx([second, second])
    assert not hanging_notes(message for _, message in recorder.sent if len(message) == 3)


def test_in_a_trade_the_first_note_begins_your_turn() -> None:
    """Guards against an armed trade in which sideman takes the turn of the player who has just begun."""
    made = engine(play__start="first note", play__mode="trade", play__trade_bars=2)
    recorder, _ = play_on_fake_clock(made, 20.0, [(3.3, NoteOn(60, 80, 1))])
    assert note_ons(recorder)[0][0] == pytest.approx(3.3 + 8 * 0.5)


@pytest.mark.parametrize(
    ("keys", "event"),
    [
        ({"midi__chords": 3}, NoteOn(60, 80, 3)),
        ({"midi__notes.60": "panic"}, NoteOn(60, 80, 1)),
        ({}, NoteOn(40, 80, 10)),
        ({"midi__listen": 2}, NoteOn(60, 80, 1)),
    ],
)
def test_only_a_note_of_the_melody_begins_the_music(keys: dict[str, Any], event: NoteOn) -> None:
    """Guards against a held chord, a pad, or the drummer's first stroke that begins the music for the player."""
    made = engine(play__start="first note", **keys)
    recorder, _ = play_on_fake_clock(made, 5.0, [(1.0, event)])
    assert made.snapshot(5.0).waiting == "armed: waits for your first note"
    assert not note_ons(recorder)


def test_while_it_waits_it_says_so_and_changes_hold_from_the_start() -> None:
    """Guards against a daemon that seems dead, and against settings that are lost while it waits."""
    made = engine(play__start="armed")
    made.open(0.0)
    assert made.snapshot(1.0).waiting == "armed: waits for start"
    assert (made.snapshot(9.0).rolling, made.snapshot(9.0).beat) == (False, 0.0)
    made.receive(tempo_change(60.0), 9.0)
    made.receive(SetMode("trade"), 9.0)
    assert made.snapshot(9.0).mode == "trade"
    made.receive(Start(), 10.0)
    assert made.snapshot(10.0).waiting == ""
    assert made.beat_at(14.1) == pytest.approx(4.0)


def test_a_stop_takes_the_first_note_back_and_keeps_the_place() -> None:
    """Guards against a player who wants to warm up first and cannot."""
    made = engine(play__start="first note")
    recorder, _ = play_on_fake_clock(made, 9.0, [(1.0, Stop()), (2.0, NoteOn(60, 80, 1)), (3.0, Start())])
    assert note_ons(recorder)[0][0] == pytest.approx(3.0 + START_LEAD_S)
    assert not beats_of(recorder, NoteHeard)


@settings(max_examples=10)
@given(st.floats(1.0, 30.0), st.sampled_from(["armed", "first note"]))
def test_a_resumed_solo_waits_at_its_place(until: float, start: str) -> None:
    """Guards against a service that plays into an empty room after each start, or forgets its place while it waits."""
    at_once, waiting = (performance(**DENSE, play__start=value) for value in ("at once", start))
    first = at_once.make_engine(0.0)
    play_on_fake_clock(first, until)
    state = state_of(first.memory(), at_once)
    resumed = resumed_engine(waiting, state, 0.0)
    silent, _ = play_on_fake_clock(resumed, 100.0)
    assert not note_ons(silent)
    again = resumed_engine(waiting, state_of(resumed.memory(), waiting), 0.0)
    armed, _ = play_on_fake_clock(again, 6.0, [(1.0, Start())])
    reference, _ = play_on_fake_clock(resumed_engine(at_once, state, 0.0), 5.0 - START_LEAD_S)
    assert sent_after(armed, 1.0 + START_LEAD_S) == reference.sent


def test_with_a_clock_that_is_followed_the_first_note_joins_it_in_place() -> None:
    """Guards against a solo that jumps to the top of the chart while the DAW is in bar 3, or plays before it."""
    clock: Arrivals = [(1.0, ClockStart()), *((at, ClockTick()) for at in steady(32, 120.0, 1.02).tolist())]
    notes: Arrivals = [(0.5, NoteOn(60, 80, 1)), (0.6, NoteOff(60, 1)), (5.02, NoteOn(62, 80, 1))]
    made = engine(follows=True, play__start="first note")
    recorder, _ = play_on_fake_clock(made, 9.0, sorted([*clock, *notes], key=lambda arrival: arrival[0]))
    assert note_ons(recorder)[0][0] == pytest.approx(5.02, abs=0.51)
    assert made.beat_at(9.0) - made.timeline.top == pytest.approx(2 * (9.0 - 1.02), abs=0.05)
    assert len(beats_of(recorder, NoteHeard)) == 1


def test_with_a_clock_that_is_followed_an_armed_start_is_the_clocks() -> None:
    """Guards against an armed sideman that misses the start of the clock, or does not wait for the clock."""
    clock: Arrivals = [(1.0, ClockStart()), *((at, ClockTick()) for at in steady(8, 120.0, 1.02).tolist())]
    recorder, _ = play_on_fake_clock(engine(follows=True, play__start="armed"), 4.0, clock)
    assert note_ons(recorder)[0][0] == pytest.approx(1.02, abs=0.01)
    made = engine(follows=True, play__start="armed")
    made.receive(Start(), 0.5)
    assert (made.snapshot(0.5).waiting, made.transport.state) == ("", "waiting")
