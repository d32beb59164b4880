# SPDX-License-Identifier: Apache-2.0
"""Several inputs and outputs: what goes where, and ports that come and go by themselves. No MIDI system is needed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sideman.core.errors import Unavailable
from sideman.core.events import (
    ClockContinue,
    ClockMessage,
    ClockStart,
    ClockStop,
    ClockTick,
    ControlChange,
    MidiEvent,
    NoteOff,
    NoteOn,
    PortChanged,
    ProgramChange,
    SongPosition,
    encode,
)
from sideman.core.settings.voices import VOICES
from sideman.midi.driver import DriverError
from sideman.midi.input_port import CLOCK_SILENCE_S, ClockChoice
from sideman.midi.request import AUTO, CLOCK, NO_PORT, Split, request_of
from support.fakes import settings
from support.midi_bay import Bay, BayPort

COMP = Split("midi.comp_output", "comp", "Bass", 2)
CLICKS = Split("midi.drums_output", "clicks", "Drums", 10)
OUR_CLOCK = Split("tempo.clock_output", "clock", "Box")
SYNTHS = ("Synth", "Bass", "Drums", "Box")
MESSAGES = [(0x90, 60, 80), (0x91, 40, 80), (0x99, 37, 80), (0xF8,), (0xF2, 1, 2), (0xC1, 3), (0x95, 1, 1)]
_devices = st.sets(st.sampled_from(SYNTHS))


# -- what goes where


@given(st.lists(st.tuples(_devices, st.sampled_from(MESSAGES)), max_size=12))
def test_each_part_goes_to_its_own_port_whichever_others_are_there(turns: list[tuple[set[str], Any]]) -> None:
    """Guards against: a bass that is unplugged and silences the solo, or gets the solo when it comes back."""
    home = {0x91: "Bass", 0xC1: "Bass", 0x99: "Drums", 0xF8: "Box", 0xF2: "Box"}
    bay = Bay(SYNTHS)
    with bay.open(output="Synth", input=NO_PORT, splits=(COMP, CLICKS, OUR_CLOCK), wait=True) as ports:
        for there, message in turns:
            for synth in SYNTHS:
                if synth not in there:
                    bay.unplug(synth)
                elif synth not in bay.synths:
                    bay.synths.append(synth)
            ports.poll()
            ports.send(message)
            goes_to = home.get(message[0], "Synth")
            assert bay.received == ({goes_to: [message]} if goes_to in there else {})
            bay.received.clear()


def test_a_system_that_changes_while_it_is_asked_is_asked_again() -> None:
    """Guards against: another program that ends while its ports are listed, and ends sideman, or releases its keys."""
    bay = Bay(SYNTHS, ["Keys"])
    heard: list[Any] = []
    with bay.open(heard, output="Synth", input="Keys") as ports, pytest.MonkeyPatch.context() as patch:
        bay.play("Keys", NoteOn(60, 80, 1))

        def fail(*_: object) -> None:
            raise DriverError("No such device or address")

        patch.setattr(BayPort, "is_connected", fail)
        patch.setattr(BayPort, "peers", fail)
        assert ports.poll() == ports.poll() == []
        patch.undo()
        assert ports.poll() == []
        ports.send(MESSAGES[0])
        assert bay.take("Synth") == [MESSAGES[0]]
        assert heard == [NoteOn(60, 80, 1)]


def test_with_a_list_everything_goes_to_each() -> None:
    """Guards against: a second synth or a recorder that gets only a part of the music."""
    bay = Bay(SYNTHS)
    with bay.open(output=("Synth", "Bass"), input=NO_PORT) as ports:
        for message in MESSAGES:
            ports.send(message)
        assert bay.take("Synth") == bay.take("Bass") == MESSAGES
        assert ports.status_text == "output Synth (Bay) + Bass (Bay), input none"


def test_one_name_in_two_settings_is_one_port() -> None:
    """Guards against: a synth that gets each note of the accompaniment twice, or is opened twice."""
    bay = Bay(SYNTHS)
    split = Split("midi.comp_output", "comp", ("Synth", "Bass"), 2)
    with bay.open(output="Synth", input=NO_PORT, splits=(split,)) as ports:
        for message in MESSAGES:
            ports.send(message)
        assert bay.take("Synth") == MESSAGES
        assert bay.take("Bass") == [(0x91, 40, 80), (0xC1, 3)]
        assert len(bay.ports) == 2


def test_virtual_ports_are_named_by_what_they_carry() -> None:
    """Guards against: a patchbay in which one cannot see which port is the bass, or finds another name each time."""
    auto = [Split(split.key, split.label, AUTO, split.channel) for split in (COMP, CLICKS, OUR_CLOCK)]
    bay = Bay(["Synth"], ["Keys"])
    with bay.open(splits=tuple(auto), input=("Keys", AUTO), clock=True, clock_input=AUTO) as ports:
        names = [port.name for port in bay.ports]
        assert names[:4] == ["sideman:out", "sideman-comp:out", "sideman-clicks:out", "sideman-clock:out"]
        assert names[4:] == ["sideman-in:in", "sideman-port2-in:in", "sideman-clock-in:in"]
        assert ports.status_text == (
            "output sideman:out (Bay), accompaniment to sideman-comp:out (Bay), clicks to sideman-clicks:out (Bay), "
            "clock to sideman-clock:out (Bay), input sideman-in:in (Bay) + Keys (Bay), "
            "clock from sideman-clock-in:in (Bay)"
        )
    with bay.open():
        assert [port.name for port in bay.ports] == ["sideman:out", "sideman-in:in"]


@given(st.integers(1, 16), st.integers(1, 16), st.booleans(), st.booleans(), st.integers(0, 0xFF))
@example(solo=2, comp=2, has_comp=True, has_clock=True, status=0x91)
def test_the_settings_say_where_each_message_goes(
    solo: int, comp: int, has_comp: bool, has_clock: bool, status: int
) -> None:
    """Guards against: a solo on the port of the accompaniment, which does not play; a message without any port.

    The bass of a band goes where the accompaniment goes.
    """
    chosen: dict[str, Any] = {"midi__output": "Synth", "midi__channel": solo, "midi__comp": comp}
    chosen |= {"midi__comp_output": "Bass"} if has_comp else {}
    chosen |= {"tempo__clock_output": ["Box", "Drums"]} if has_clock else {}
    made = settings(**chosen)
    wanted = request_of(made).outputs
    found = [port.name for port in wanted if status in port.carries]
    if status < 0x80:
        assert found == []
    elif status in CLOCK and has_clock:
        assert found == ["Box", "Drums"]
    elif has_comp and status < 0xF0 and (status & 0x0F) + 1 in {comp, VOICES["bass"].channel(made.midi)} - {solo}:
        assert found == ["Bass"]
    else:
        assert found == ["Synth"]


# -- who connects later


def test_a_port_that_comes_back_is_set_up_alone() -> None:
    """Guards against: notes of the solo that are cut because the bass was switched on."""
    bay = Bay(SYNTHS)
    with bay.open(output="Synth", input=NO_PORT, splits=(COMP,), wait=True) as ports:
        bay.unplug("Bass")
        (lost,) = [change for change in ports.poll() if not change.is_open and "gone" in change.text]
        bay.synths.append("Bass")
        (back,) = ports.poll()
        assert (lost.port, back.port, back.is_open) == ("midi.comp_output: Bass", lost.port, True)
        bay.ports[0].connected.add("Organ")
        (listens,) = ports.poll()
        assert (listens.listener, listens.port) == ("Organ", "midi.output: Synth")
        sent: list[MidiEvent] = [ProgramChange(3, 1), ProgramChange(4, 2), ControlChange(123, 0, 5), NoteOff(60, 7)]
        for event in sent:
            ports.send_to(back.port, encode(event))
        # Its own program; and what releases notes on any channel, which an earlier run may have played there.
        assert bay.take("Bass") == [encode(event) for event in sent[1:]]
        assert bay.received == {}


def test_it_starts_with_the_ports_that_are_there() -> None:
    """Guards against: no music at all because one of two synths is switched on later; or a typing mistake unnoticed."""
    bay = Bay(["Synth"])
    with bay.open(output=("Synth", "Late"), input=NO_PORT, wait=True) as ports:
        assert ports.status_text == "output Synth (Bay) + waiting for 'Late', input none"
        ports.send((0x90, 60, 80))
        assert bay.take("Synth") == [(0x90, 60, 80)]
    bay = Bay(["Synth"])
    with (
        pytest.raises(Unavailable, match=r"midi\.output: no port is called 'Late'"),
        bay.open(output=("Synth", "Late")),
    ):
        pass
    assert bay.ports == []


@pytest.mark.parametrize("direction", ["output", "input"])
def test_one_device_under_two_names_is_not_opened_twice(direction: str) -> None:
    """Guards against: each note twice, because a keyboard is named by two parts of its name."""
    bay = Bay(["Keystep MIDI 1", "Other"], ["Keystep MIDI 1", "Other"])
    other: dict[str, Any] = {"input": NO_PORT} if direction == "output" else {"output": NO_PORT}
    other[direction] = "Keystep", "MIDI 1"
    twice, refused = bay.open(**other), "'MIDI 1' is connected under another name"
    with pytest.raises(Unavailable, match=refused), twice:
        pass
    # What carries something else may go to the same device.
    with bay.open(output="Keystep", input=NO_PORT, splits=(Split("midi.comp_output", "comp", "MIDI 1", 2),)) as ports:
        ports.send((0x90, 60, 80))
        ports.send((0x91, 40, 80))
        assert bay.take("Keystep MIDI 1") == [(0x90, 60, 80), (0x91, 40, 80)]


def test_two_devices_of_one_name_are_both_found_again() -> None:
    """Guards against: two equal keyboards, of which one is heard twice and the other never once both were unplugged."""
    names = ["nanoKEY2:MIDI 1 20:0", "nanoKEY2:MIDI 1 24:0"]
    bay, heard = Bay(keyboards=names), list[Any]()
    with bay.open(heard, output=NO_PORT, input=tuple(names), wait=True) as ports:
        for name in names:
            bay.unplug(name)
        ports.poll()
        again = ["nanoKEY2:MIDI 1 28:0", "nanoKEY2:MIDI 1 32:0"]
        bay.keyboards += again
        ports.poll()
        for pitch, name in enumerate(again):
            bay.play(name, NoteOn(pitch, 80, 1))
        assert heard == [NoteOn(0, 80, 1), NoteOn(1, 80, 1)]


# -- keys that are down

_strokes = st.tuples(st.sampled_from(["Keys", "Pads"]), st.integers(60, 63), st.booleans())


@given(st.lists(_strokes), st.sampled_from(["Keys", "Pads"]))
def test_only_the_keys_of_the_keyboard_that_is_gone_are_released(strokes: list[Any], gone: str) -> None:
    """Guards against: a chord that breaks off because another keyboard was unplugged; a key that hangs for ever."""
    bay, heard = Bay(keyboards=["Keys", "Pads"]), list[Any]()
    held: dict[str, set[int]] = {"Keys": set(), "Pads": set()}
    with bay.open(heard, output=NO_PORT, input=("Keys", "Pads"), wait=True) as ports:
        for keyboard, pitch, is_down in strokes:
            bay.play(keyboard, NoteOn(pitch, 80, 1) if is_down else NoteOff(pitch, 1))
            (held[keyboard].add if is_down else held[keyboard].discard)(pitch)
        heard.clear()
        bay.unplug(gone)
        ports.poll()
        other = "Pads" if gone == "Keys" else "Keys"
        assert heard == [NoteOff(pitch, 1) for pitch in sorted(held[gone] - held[other])]
        bay.play(other, NoteOn(70, 80, 1))
        assert heard[-1] == NoteOn(70, 80, 1)


@pytest.mark.parametrize("wanted", [AUTO, "Keys"])
def test_a_keyboard_that_leaves_our_own_port_releases_its_keys(wanted: str) -> None:
    """Guards against: a key that hangs because the keyboard was connected to our virtual port when it was unplugged."""
    bay, heard = Bay(keyboards=["Keys"]), list[Any]()
    with bay.open(heard, output=NO_PORT, input=wanted) as ports:
        bay.ports[0].connected.add("Late")
        assert ports.poll() == []
        bay.play("Late", NoteOn(60, 80, 1))
        bay.unplug("Late")
        (change,) = ports.poll()
        assert change == PortChanged(
            "midi.input",
            True,
            "midi.input: Late is no longer connected; its keys are released",
            port=f"midi.input: {wanted}",
        )
        assert heard == [NoteOn(60, 80, 1), NoteOff(60, 1)]
        assert ports.poll() == []


# -- clocks


@pytest.mark.parametrize("same", [False, True])
def test_with_a_port_of_its_own_only_that_clock_is_read(same: bool) -> None:
    """Guards against: the clock of a keyboard beside that of the sequencer, and a tempo that doubles."""
    bay, heard = Bay(keyboards=["Keys", "Box"]), list[Any]()
    inputs = ("Keys", "Box") if same else "Keys"
    with bay.open(heard, output=NO_PORT, input=inputs, clock=True, clock_input="Box") as ports:
        for device in ("Keys", "Box"):
            bay.play(device, ClockStart(), ClockTick(), NoteOn(60, len(device), 1), SongPosition(4))
        notes = [NoteOn(60, 4, 1)]
        box: list[Any] = [ClockStart(), ClockTick(), NoteOn(60, 3, 1), SongPosition(4)]
        assert heard == notes + (box if same else [event for event in box if event != NoteOn(60, 3, 1)])
        assert len(bay.ports) == 2
        assert not [change for change in ports.poll() if "clock" in change.text]


def test_of_two_clocks_one_is_followed_and_it_says_so_once() -> None:
    """Guards against: a tempo that doubles because a keyboard sends a clock, too, and nothing that says why."""
    bay, heard = Bay(keyboards=["Keys", "Box"]), list[Any]()
    with bay.open(heard, output=NO_PORT, input=("Keys", "Box"), clock=True, wait=True) as ports:
        for _ in range(3):
            bay.play("Box", ClockTick())
            bay.play("Keys", ClockTick())
        assert heard == [ClockTick()] * 3
        (change,) = ports.poll()
        text = "several MIDI clocks come in: following that of Box, not of Keys; tempo.port chooses"
        assert change.text == f"midi.input: {text}"
        assert ports.poll() == []
        bay.unplug("Box")
        ports.poll()
        bay.play("Keys", ClockTick())
        assert heard == [ClockTick()] * 4


_messages: st.SearchStrategy[ClockMessage] = st.sampled_from(
    [ClockTick(), ClockTick(), ClockTick(), ClockStart(), ClockStop(), ClockContinue(), SongPosition(8)]
)


@given(st.lists(st.tuples(st.sampled_from("ABC"), _messages, st.sampled_from([0.0, 0.02, 0.5, CLOCK_SILENCE_S]))))
def test_never_two_clocks_at_once(messages: list[tuple[str, ClockMessage, float]]) -> None:
    """Guards against: a tempo that doubles; a sequencer whose start is not heard because a keyboard only ticks."""
    choice, second = ClockChoice(), 10.0
    followed, rolling, last_s = "", False, 0.0
    for port, message, pause in messages:
        second += pause
        accepted = choice.accepts(port, message, second)
        if accepted and port != followed:
            starts = not isinstance(message, ClockTick | ClockStop) and not rolling
            assert not followed or starts or second - last_s >= CLOCK_SILENCE_S
            followed, rolling = port, False
        if accepted:
            last_s = second
            rolling = isinstance(message, ClockStart | ClockContinue) or (
                rolling and not isinstance(message, ClockStop)
            )
        else:
            assert port != followed
            assert rolling or isinstance(message, ClockTick | ClockStop)
        assert choice.followed == followed
