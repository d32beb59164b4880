# SPDX-License-Identifier: Apache-2.0
"""Events, commands and reports: values that never change, and names that journals depend on."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from sideman.core.events import (
    BarPlayed,
    BarStarted,
    Command,
    EventSent,
    LearnBinding,
    MidiEvent,
    NoteOn,
    PlainCommand,
    Report,
)
from sideman.core.targets import Bindings, SettingTarget, Target

WRITTEN = {
    "NoteOn": "pitch velocity channel",
    "NoteOff": "pitch channel",
    "Control": "number value channel",
    "ProgramChange": "program channel",
    "PitchBend": "value channel",
    "ClockTick": "",
    "ClockStart": "",
    "ClockContinue": "",
    "ClockStop": "",
    "SongPosition": "sixteenths",
    "LinkState": "bpm beat playing peers",
    "JackPosition": "rolling transport_s bpm beat",
    "Panic": "",
    "Hush": "channel port",
    "SetMode": "mode now",
    "Begin": "",
    "Halt": "",
    "Again": "",
    "Tap": "",
    "NextSong": "",
    "Slower": "",
    "Faster": "",
    "Jump": "bar",
    "Learn": "target",
    "ClockRounds": "period_s",
    "Setup": "port has_clock was_lost",
    "PortChanged": "key is_open text listener port",
    "Woke": "second beat prepared",
    "Ended": "second beat",
    "Sent": "second beat event",
    "Heard": "beat note",
    "Knob": "key low high",
    "Action": "name argument",
    "Table": "entries",
    "Adopt": "fingerprint",
}
"""The names and the order of the fields in the journals of 22 November 2026, and of what came later."""


def test_the_written_names_and_fields_never_change() -> None:
    """Guards against a renamed class or a moved field that makes all earlier takes unreadable."""
    classes = [*get_args(MidiEvent | Command | Report | Target), Bindings]
    tagged = {kind.__struct_config__.tag: kind for kind in classes if kind.__struct_config__.tag is not None}
    assert tagged.keys() == WRITTEN.keys()
    for tag, written in WRITTEN.items():
        then, now = written.split(), list(tagged[tag].__struct_fields__)
        assert now[: len(then)] == then
        assert len(tagged[tag].__struct_defaults__) >= len(now) - len(then)  # a new field has a default


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ('["NoteOn",60,80,1]', ""),
        ('["NoteOn",60,0,1]', "`int` >= 1 "),
        ('["NoteOn",128,80,1]', "`int` <= 127 "),
        ('["NoteOn",60,80,0]', "`int` >= 1 "),
        ('["NoteOn",60,80,17]', "`int` <= 16 "),
        ('["NoteOn",60.5,80,1]', "got `float`"),
        ('["NoteOn",true,80,1]', "got `bool`"),
        ('["NoteOn",60,80]', "at least length 4"),
        ('["NoteOn",60,80,1,1]', "at most length"),
        ('["Noteon",60,80,1]', "Invalid value 'Noteon'"),
        ('["PitchBend",-8192,16]', ""),
        ('["PitchBend",8192,1]', "`int` <= 8191 "),
        ('["SongPosition",16384]', "`int` <= 16383 "),
        ('["SetMode","loud",false]', "Invalid enum value 'loud'"),
        ('["Learn",["Knob","play.gate",0.2,0.8,"relative"]]', ""),
        ('["Learn",["Knob","play.gate",0.2,0.8,"sideways"]]', "Invalid enum value 'sideways'"),
        ('["Learn",["Lever","play.gate",0.2,0.8]]', "Invalid value 'Lever'"),
        ('["ClockRounds",1e13]', "`float` <= 1"),
    ],
)
def test_what_is_read_is_checked(written: str, problem: str) -> None:
    """Guards against a journal with impossible numbers that is played as if it were right."""
    decoder = msgspec.json.Decoder(MidiEvent | PlainCommand)
    if problem:
        with pytest.raises(msgspec.ValidationError) as error:
            decoder.decode(written)
        assert problem in str(error.value)
    else:
        assert msgspec.json.encode(decoder.decode(written)).decode() == written


def test_a_binding_of_an_earlier_take_is_absolute() -> None:
    """Guards against an old take whose knob is read as an endless one, or not at all."""
    read = msgspec.json.decode('["Learn",["Knob","play.gate",0.2,0.8]]', type=PlainCommand)
    assert read == LearnBinding(SettingTarget("play.gate", 0.2, 0.8, "absolute"))


def test_events_are_values() -> None:
    """Guards against an event that is changed on its way, or that two parts of the program see differently."""
    note = NoteOn(60, 80, 1)
    assert note == NoteOn(60, 80, 1)
    assert note != NoteOn(60, 81, 1)
    assert {note: 1}[NoteOn(60, 80, 1)] == 1
    assert repr(EventSent(1.0, 2.0, note)) == (
        "EventSent(second=1.0, beat=2.0, event=NoteOn(pitch=60, velocity=80, channel=1))"
    )
    with pytest.raises(AttributeError):
        note.pitch = 61  # type: ignore[misc]
    assert BarPlayed(1, (), ()) != BarStarted(1, (), ())  # type: ignore[arg-type]
