# SPDX-License-Identifier: Apache-2.0
"""What a synthesizer or a sequencer that connects later is sent: its sounds, and the place in the music."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.actions import Panic, Start, Stop
from sideman.core.engine import Engine
from sideman.core.events import (
    ClockContinue,
    ClockStart,
    Command,
    ControlChange,
    EventSent,
    MidiEvent,
    NoteOff,
    NoteOn,
    ProgramChange,
    SendSetup,
    SongPosition,
    encode,
)
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman.midi.decoder import MidiDecoder
from support.fakes import hanging_notes, note_ons, performance, play_on_fake_clock

DENSE: dict[str, Any] = {"play__density": 4, "play__rests": 0}
SOUNDS: dict[str, Any] = {
    "midi__program": 67, "midi__bank": 1025, "midi__comp_program": 34, "midi__comp_bank": 5, "midi__lamp": 50,
}  # fmt: skip
SOLO = [ControlChange(0, 8, 1), ControlChange(32, 1, 1), ProgramChange(66, 1)]
COMP = [ControlChange(0, 0, 2), ControlChange(32, 5, 2), ProgramChange(33, 2)]


def engine(*, sends: bool = False, **keys: Any) -> Engine:
    """An engine at 120 beats a minute."""
    return performance(**{**DENSE, **keys}).make_engine(0.0, clocks=ClockConfig(sends_midi_clock=sends))


@settings(max_examples=20)
@given(st.floats(0.0, 8.0), st.sampled_from(["bass", "off"]))
def test_who_connects_later_gets_both_sounds_and_the_lamp_and_no_note_ends(second: float, comp: str) -> None:
    """Guards against a synth that is switched on later and plays a piano, and against gaps for those who listen."""
    made = engine(play__comp=comp, **SOUNDS)
    assert made.open(0.0)[:6] == [*SOLO, *COMP]
    list(made.advance(second))
    sent = made.receive(SendSetup(), second)
    assert sent[:6] == [*SOLO, *COMP]
    assert [type(event) for event in sent[6:]] == [ControlChange]
    assert sent[6].number == 50  # type: ignore[union-attr]


@settings(max_examples=20)
@given(st.lists(st.floats(0.0, 5.0), max_size=5).map(sorted), st.booleans())
def test_the_music_does_not_change_when_somebody_connects(seconds: list[float], clock_out: bool) -> None:
    """Guards against a solo that depends on when the synths are plugged in."""
    plain, _ = play_on_fake_clock(engine(sends=clock_out, **SOUNDS), 6.0)
    joined, _ = play_on_fake_clock(engine(sends=clock_out, **SOUNDS), 6.0, [(at, SendSetup()) for at in seconds])

    def notes(sent: list[tuple[float, tuple[int, ...]]]) -> list[tuple[float, tuple[int, ...]]]:
        return [(at, message) for at, message in sent if message[0] < 0xA0]

    assert notes(joined.sent) == notes(plain.sent)


def follower_of(sent: list[tuple[float, tuple[int, ...]]], since: float) -> MidiClockFollower:
    """A machine that hears our clock from the second `since` on."""
    follower, decoder = MidiClockFollower(120.0), MidiDecoder(clock=True)
    for second, message in sent:
        if second >= since and message[0] >= 0xF0:
            for event in decoder.feed(message):
                follower.receive(event, second)  # type: ignore[arg-type]
    return follower


@settings(max_examples=40)
@given(st.floats(0.0, 4.0), st.floats(60.0, 240.0), st.integers(0, 1))
def test_a_drum_machine_that_connects_later_joins_in_place(second: float, bpm: float, bars: int) -> None:
    """Guards against a drum machine that stands still until the next start, or begins its pattern at a wrong beat."""
    made = engine(sends=True, tempo__bpm=bpm, play__count_in=bars)
    end = second + 6 * 60 / bpm + bars * 240 / bpm
    recorder, _ = play_on_fake_clock(made, end, [(second, SendSetup())])
    recorder.sent.pop()  # the stop at the end
    recorder.sent[:] = [each for each in recorder.sent if each[1] != (0xFC,)]
    late, early = (follower_of(recorder.sent, since) for since in (second, -1.0))
    assert late.rolling
    assert late.tempo.beat_at(end) == pytest.approx(made.tempo.beat_at(end), abs=0.02)
    assert early.tempo.beat_at(end) == pytest.approx(made.tempo.beat_at(end), abs=0.02)


def test_the_place_is_sent_once_for_each_who_connects() -> None:
    """Guards against a sequencer that is set to its place again and again."""
    arrivals: list[tuple[float, MidiEvent | Command]] = [(1.01, SendSetup()), (1.02, SendSetup()), (3.0, SendSetup())]
    recorder, _ = play_on_fake_clock(engine(sends=True), 6.0, arrivals)
    wires = [message for _, message in recorder.sent]
    assert wires.count(encode(ClockContinue())) == 2
    assert wires.count(encode(ClockStart())) == 1
    at = wires.index(encode(ClockContinue()))
    assert wires[at - 1] == encode(SongPosition(9))  # sixteenths: second 1.125


@pytest.mark.parametrize("rolls", [True, False])
def test_while_nothing_rolls_no_place_is_sent(rolls: bool) -> None:
    """Guards against a drum machine that is set running by a cable while the music is stopped."""
    stops: list[tuple[float, MidiEvent | Command]] = [] if rolls else [(1.0, Stop())]
    recorder, _ = play_on_fake_clock(engine(sends=True), 4.0, [*stops, (2.0, SendSetup())])
    assert (encode(ClockContinue()) in [message for _, message in recorder.sent]) is rolls


def test_a_start_and_a_panic_send_the_sounds_again() -> None:
    """Guards against a synth that was reset between two songs and plays the next one with a wrong sound."""
    made = engine(**SOUNDS)
    made.open(0.0)
    list(made.advance(1.0))
    panicked = made.receive(Panic(), 1.0)
    assert panicked[-7:-1] == [*SOLO, *COMP]
    made.receive(Stop(), 2.0)
    started = made.receive(Start(), 3.0)
    assert [event for event in started if isinstance(event, ProgramChange)] == [
        ProgramChange(66, 1),
        ProgramChange(33, 2),
    ]
    assert not any(isinstance(event, NoteOn | NoteOff) for event in started)


def test_what_is_not_set_is_left_as_it_is() -> None:
    """Guards against a synth whose sound the player has chosen by hand and sideman changes."""
    recorder, _ = play_on_fake_clock(engine(play__comp="bass"), 4.0, [(2.0, SendSetup())])
    assert {message[0] & 0xF0 for _, message in recorder.sent} == {0x80, 0x90}
    assert note_ons(recorder)


@settings(max_examples=20)
@given(st.floats(0.0, 8.0), st.booleans(), st.booleans())
def test_one_of_several_ports_is_set_up_and_the_others_play_on(second: float, clock: bool, lost: bool) -> None:
    """Guards against a solo that breaks off, or a lamp that stays as it was, because the bass was switched on."""
    command = SendSetup("midi.comp_output: Bass", clock, lost)
    plain, _ = play_on_fake_clock(engine(play__comp="bass", play__mode="trade", **SOUNDS), 10.0)
    joined, _ = play_on_fake_clock(engine(play__comp="bass", play__mode="trade", **SOUNDS), 10.0, [(second, command)])
    to_port = joined.sent_to["midi.comp_output: Bass"]
    assert joined.sent == plain.sent
    assert [report for report in joined.reports if isinstance(report, EventSent)] == [
        report for report in plain.reports if isinstance(report, EventSent)
    ]
    sounds = [encode(event) for event in engine(play__comp="bass", **SOUNDS).sound_setup()][:-1]
    assert len(sounds) == len(SOLO) + len(COMP)
    silenced = to_port[: -len(sounds) - 1]
    assert to_port[len(silenced) : -1] == sounds
    assert to_port[-1][:2] == (0xB0, 50)
    sounding = hanging_notes((*message, 0)[:3] for at, message in plain.sent if at < second)
    assert bool(silenced) == lost
    assert not lost or not hanging_notes([*((0x90 | key[0], key[1], 1) for key in sounding), *silenced])


def test_the_place_is_sent_only_where_the_clock_goes() -> None:
    """Guards against a drum machine that gets a continue because a synth was connected to another port."""
    for has_clock in (True, False):
        recorder, _ = play_on_fake_clock(engine(sends=True), 4.0, [(2.0, SendSetup("midi.output: auto", has_clock))])
        assert (encode(ClockContinue()) in [message for _, message in recorder.sent]) == has_clock
