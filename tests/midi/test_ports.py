# SPDX-License-Identifier: Apache-2.0
"""Decoding, port names, and an rtmidi that is broken, missing or fake. No MIDI system is needed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.commands import ports as command
from sideman.core.errors import Unavailable
from sideman.core.events import ControlChange, MidiEvent, NoteOff, NoteOn, PitchBend, ProgramChange, encode
from sideman.midi.decoder import MidiDecoder
from sideman.midi.input_port import InputReceiver
from sideman.midi.names import is_own_port, match_ports, nearest_port_name, same_port
from sideman.midi.ports import MidiPorts
from sideman.midi.request import PortRequest

_sevens, _channels = st.integers(0, 127), st.integers(1, 16)
_events = st.one_of(
    st.builds(NoteOn, _sevens, st.integers(1, 127), _channels),
    st.builds(NoteOff, _sevens, _channels),
    st.builds(ControlChange, _sevens, _sevens, _channels),
    st.builds(ProgramChange, _sevens, _channels),
    st.builds(PitchBend, st.integers(-8192, 8191), _channels),
)


def _decoded(messages: Sequence[Sequence[int]]) -> list[MidiEvent]:
    decoder = MidiDecoder()
    return [event for message in messages for event in decoder.feed(message)]


# -- bytes


@given(st.lists(_events))
def test_encoded_events_are_decoded(events: list[MidiEvent]) -> None:
    """Guards against: other notes are received than were played."""
    assert _decoded([encode(event) for event in events]) == events


@given(st.lists(_events), st.randoms())
def test_messages_may_come_in_pieces(events: list[MidiEvent], dice: Any) -> None:
    """Guards against: lost notes if a driver splits messages, uses running status, or inserts clock bytes."""
    stream: list[int] = []
    status = 0
    for message in map(encode, events):
        kept = message if message[0] != status or dice.random() < 0.5 else message[1:]
        status = message[0]
        for byte in kept:
            stream += [byte, 0xF8] if dice.random() < 0.3 else [byte]
    cuts = sorted(dice.randrange(len(stream) + 1) for _ in range(5))
    pieces = [stream[first:last] for first, last in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert _decoded(pieces) == events


@given(st.lists(st.lists(st.integers(0, 255))))
def test_nonsense_is_harmless(messages: list[list[int]]) -> None:
    """Guards against: a broken cable ends the input, or produces notes that were not played."""
    for event in _decoded(messages):
        numbers = encode(event)
        assert 0x80 <= numbers[0] <= 0xEF
        assert all(0 <= number <= 127 for number in numbers[1:])


@given(st.lists(st.integers(0, 127)), _events)
def test_a_dump_does_not_hide_what_follows(dump: list[int], event: MidiEvent) -> None:
    """Guards against: notes after a system exclusive dump are lost, or the dump is read as notes."""
    assert _decoded([(0xF0, *dump, 0xF7), tuple(dump), encode(event)]) == [event]


def test_note_on_without_velocity_is_a_release() -> None:
    """Guards against: notes that seem never to end, because most keyboards release them in this way."""
    assert _decoded([(0x92, 60, 0)]) == [NoteOff(60, 3)]


def test_an_error_of_the_receiver_does_not_escape(caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: one error in the receiver ends the input silently."""

    def receive(_event: MidiEvent, _second: float) -> None:
        raise RuntimeError("a defect")

    InputReceiver(receive).receive_bytes([0x90, 60, 80])
    assert "a defect" in caplog.text


@given(st.lists(_events))
def test_keys_of_a_lost_device_are_released(events: list[MidiEvent]) -> None:
    """Guards against: a key that was down when the cable was pulled, which sideman then waits for."""
    received: list[MidiEvent] = []
    receiver = InputReceiver(lambda event, _second: received.append(event))
    for event in events:
        receiver.receive_bytes(encode(event))
    receiver.release_held()
    held: set[tuple[int, int]] = set()
    for event in received:
        if isinstance(event, NoteOn):
            held.add((event.pitch, event.channel))
        elif isinstance(event, NoteOff):
            held.discard((event.pitch, event.channel))
    assert not held
    count = len(received)
    receiver.release_held()
    assert len(received) == count


# -- names

PORTS = ("Midi Through:Midi Through Port-0 14:0", "nanoKEY2:nanoKEY2 MIDI 1 20:0", "Synth:in 128:0", "Synth:in 2 129:0")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("nanoKEY2:nanoKEY2 MIDI 1 20:0", [1]),
        ("nanoKEY2:nanoKEY2 MIDI 1", [1]),
        ("nanoKEY2:nanoKEY2 MIDI 1 24:0", [1]),
        ("nanokey", [1]),
        ("Synth:in", [2]),
        ("synth", [2, 3]),
        ("Moog", []),
    ],
)
def test_match(wanted: str, found: list[int]) -> None:
    """Guards against: names that need ALSA's changing numbers; a random choice between two ports."""
    assert match_ports(wanted, PORTS) == found


@given(st.lists(st.text(), unique=True), st.data())
def test_a_full_name_always_matches(names: list[str], data: st.DataObject) -> None:
    """Guards against: ports that cannot be named."""
    if names:
        wanted = data.draw(st.sampled_from(names))
        assert names.index(wanted) in match_ports(wanted, names)


@pytest.mark.parametrize(
    ("wanted", "meant"), [("nanoKEI2", PORTS[1]), ("Sinth:in", PORTS[2]), ("midi trough", PORTS[0]), ("Prophet", None)]
)
def test_nearest(wanted: str, meant: str | None) -> None:
    """Guards against: a typing mistake without a hint."""
    assert nearest_port_name(wanted, PORTS) == meant


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("sideman:out", True),
        ("sideman:out 128:0", True),
        ("sideman-in:in", True),
        ("sideman-01:out", True),
        ("sideman-in-02:in", True),
        ("sideman2:out", False),
        ("sideman-2:out", False),
        ("sideman-2-in:in", False),
        ("The sideman:out", False),
        ("sidemanX:in", False),
    ],
)
def test_own_ports(name: str, own: bool) -> None:
    """Guards against: sideman plays to itself, or ignores a port with a similar name."""
    assert is_own_port(name, "sideman") is own


@pytest.mark.parametrize(
    ("name", "other", "same"),
    [
        ("nanoKEY:MIDI 1 20:0", "nanoKEY:MIDI 1 28:0", True),
        ("Midi-Bridge:KeyStep [24]:(capture_0) out", "Midi-Bridge:KeyStep [28]:(capture_0) out", True),
        ("Synth A:in", "Synth B:in", False),
        ("Synth:in 1", "Synth:in 2", False),
    ],
)
def test_a_device_may_come_back_with_another_number(name: str, other: str, same: bool) -> None:
    """Guards against: a keyboard that is not found again, because the system counts devices."""
    assert same_port(name, other) is same


# -- an rtmidi of our own


class RtMidiError(Exception):
    """The error of rtmidi."""


class FakeClient:
    """A MidiIn or MidiOut on a machine with the given ports."""

    def __init__(self, there: list[str]) -> None:
        self._there = there
        self.opened: str | None = None
        self.sent: list[tuple[int, ...]] = []
        self.broken = False

    def get_ports(self) -> list[str]:
        """The real ports."""
        return list(self._there)

    def open_port(self, port: int, name: str) -> None:
        """Connect."""
        self.opened = self._there[port]

    def open_virtual_port(self, name: str) -> None:
        """Open a virtual port."""
        self.opened = name

    def send_message(self, message: Sequence[int]) -> None:
        """Send, or fail."""
        if self.broken:
            raise RtMidiError("the device does not answer")
        self.sent.append(tuple(message))

    def close_port(self) -> None:
        """Close."""
        self.opened = None

    def delete(self) -> None:
        """Delete the client."""
        self.opened = None

    def ignore_types(self, **_what: bool) -> None:
        """Does nothing: this client does not receive."""

    def set_callback(self, _callback: object) -> None:
        """Does nothing: this client does not receive."""

    def cancel_callback(self) -> None:
        """Does nothing: this client does not receive."""

    def get_message(self) -> None:
        """No message waits."""


class FakeRtMidi(SimpleNamespace):
    """The module rtmidi, built for some systems, on a machine with these outputs and inputs."""

    def __init__(self, built: Sequence[int], outputs: Sequence[str] = (), inputs: Sequence[str] = ()) -> None:
        super().__init__(API_LINUX_ALSA=2, API_MACOSX_CORE=1, API_UNIX_JACK=3, API_WINDOWS_MM=4, API_RTMIDI_DUMMY=5)
        self.RtMidiError = RtMidiError
        self._rtmidi = SimpleNamespace(__file__="")
        self.outputs, self.inputs = list(outputs), list(inputs)
        self.players: list[FakeClient] = []
        self.get_compiled_api = lambda: list(built)
        self.get_api_display_name = {1: "CoreMIDI", 2: "ALSA", 3: "Jack", 4: "Windows MultiMedia"}.__getitem__

    def MidiOut(self, _system: int, name: str) -> FakeClient:  # noqa: N802 - rtmidi's name
        """A client that sends."""
        self.players.append(FakeClient(self.outputs))
        return self.players[-1]

    def MidiIn(self, _system: int, name: str, queue_size_limit: int) -> FakeClient:  # noqa: N802 - rtmidi's name
        """A client that receives."""
        return FakeClient(self.inputs)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes machines with a fake rtmidi."""

    def make(*built: int, **there: Sequence[str]) -> FakeRtMidi:
        fake = FakeRtMidi(built, **there)
        monkeypatch.setitem(sys.modules, "rtmidi", fake)
        monkeypatch.setattr("sideman.midi.jack.libjack_of", lambda _rtmidi: None)
        monkeypatch.setattr("sideman.midi.drivers._ALSA_SEQUENCER", "/nowhere")
        return fake

    return make


def _link(**wanted: Any) -> MidiPorts:
    return MidiPorts(PortRequest(**wanted), lambda _event, _second: None)


def test_without_ports_rtmidi_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: sideman needs rtmidi even without ports."""
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    link = _link(output="none", input="none")
    assert link.open() == []
    link.send((0x90, 60, 80))
    assert (link.poll(), link.status_text) == ([], "output none, input none")
    link.close()


def test_missing_rtmidi_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a traceback, or a silent daemon, if the only library for MIDI is missing."""
    monkeypatch.setattr("sideman.midi.drivers._ALSA_SEQUENCER", "/nowhere")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    with pytest.raises(Unavailable, match="python-rtmidi cannot be loaded"):
        _link()


def test_linux_plays_without_rtmidi(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a Raspberry Pi whose Python has no wheel of rtmidi, on which sideman does not even start."""
    monkeypatch.setattr("sideman.midi.drivers._ALSA_SEQUENCER", "/nowhere")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("sideman.midi.drivers.has_rtmidi", lambda: False)
    link = _link()
    assert "JACK needs python-rtmidi, which is not installed" in link.open()[0]
    assert link.status_text == "output in-process, input in-process"
    link.close()
    assert "JACK needs python-rtmidi" in _printed(capsys)


@pytest.mark.parametrize("built", [(), (5,)])
def test_rtmidi_without_any_system_is_broken(
    machine: Any, built: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: silence without a reason if rtmidi has no MIDI system."""
    machine(*built)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Unavailable, match="built without any MIDI system"):
        _link()


def test_without_virtual_ports_auto_takes_the_first_port(machine: Any) -> None:
    """Guards against: `auto` that does not work on Windows."""
    machine(4, outputs=["Wavetable", "Piano"], inputs=["Keys"])
    link = _link()
    assert link.open() == []
    assert link.status_text == "output Wavetable (Windows MultiMedia), input Keys (Windows MultiMedia)"
    link.close()


def test_a_failed_output_is_opened_again(machine: Any) -> None:
    """Guards against: one driver error ends sideman, or silences it for good."""
    there = machine(1, outputs=["Synth:in 20:0"])
    link = _link(output="Synth", input="none")
    link.open()
    there.players[-1].broken = True
    link.send((0x90, 60, 80))
    there.players[-1].broken = False
    assert [change.is_open for change in link.poll()] == [False, True]
    link.send((0x90, 61, 80))
    assert there.players[-1].sent == [(0x90, 61, 80)]
    link.close()


def test_the_reason_for_waiting_is_reported_once(machine: Any) -> None:
    """Guards against: the same log line again and again while a synth is off."""
    there = machine(1, outputs=["Organ:in 20:0"])
    link = _link(output="Synth", input="none", wait=True)
    (reason,) = link.open()
    assert "no port is called 'Synth' (the ports are: 'Organ:in 20:0')" in reason
    assert link.poll() == link.poll() == []
    there.outputs.append("Piano:in 21:0")
    (change,) = link.poll()
    assert "Piano" in change.text
    assert link.poll() == []
    link.close()


# -- the command


class PatchBay:
    """A MIDI system with our port, to which the test connects others; or its only port, with `period_s`."""

    title, library, has_virtual_ports = "Bay", "", True
    name = "sideman:out"

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self.connected: set[str] = set()
        for quiet in ("close", "forget"):
            setattr(self, quiet, lambda: None)
        self.is_running = self.exists = self.linger = lambda: True
        self.has_died = self.is_stalled = lambda: False

    def open_port(self, *_: object, **__: object) -> PatchBay:
        """The port."""
        return self

    def peers(self) -> frozenset[str]:
        """See `DriverPort`."""
        return frozenset(self.connected)


@given(st.lists(st.sets(st.sampled_from(["Synth:in", "Box:in", "Organ:in"])), max_size=12), st.booleans())
def test_each_new_listener_is_noticed_once(looks: list[set[str]], has_periods: bool) -> None:
    """Guards against: a synth that is connected later and gets no program, or one again and again while it plays."""
    bay = PatchBay(0.02 if has_periods else 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sideman.midi.ports.load_drivers", lambda *_: [bay])
        link = MidiPorts(PortRequest(input="none"), lambda _event, _second: None)
    with closing(link):
        assert link.open() == []
        known: set[str] = set()
        before: set[str] = set()
        for connected in looks:
            bay.connected = connected
            known &= connected
            new = (connected & before if has_periods else connected) - known
            assert [change.listener for change in link.poll()] == sorted(new)
            known, before = known | new, connected


def _printed(capsys: pytest.CaptureFixture[str], **options: bool) -> str:
    assert command.run(argparse.Namespace(**{"json": False, **options})) == 0
    return capsys.readouterr().out


def test_ports_are_listed(machine: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a list without the port that a user looks for."""
    machine(1, outputs=["Synth:in 20:0", "sideman-in:in 128:0"], inputs=["Keys:out 21:0"])
    assert _printed(capsys).splitlines() == [
        "CoreMIDI",
        "  outputs  Synth:in 20:0",
        "  inputs   Keys:out 21:0",
        "auto would choose: output sideman:out (CoreMIDI), input sideman-in:in (CoreMIDI)",
    ]


def test_ports_for_programs(machine: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a list that scripts cannot read."""
    machine(4, outputs=["Piano"])
    assert json.loads(_printed(capsys, json=True)) == {
        "systems": [{"name": "Windows MultiMedia", "library": "", "outputs": ["Piano"], "inputs": []}],
        "auto": {"output": "Piano (Windows MultiMedia)", "input": "in-process"},
    }


def test_no_midi_system_is_an_answer(machine: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: an error instead of an answer on a machine without MIDI."""
    machine(3)
    assert "no MIDI here" in _printed(capsys)
