# SPDX-License-Identifier: Apache-2.0
"""The MIDI output and input on real virtual ports, with other programs at the other ends."""

from __future__ import annotations

import os
import queue
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ports.conftest import LONG, Dump, Jackd, Others, until
from sideman.core.errors import Unavailable
from sideman.core.events import (
    ClockTick,
    ControlChange,
    MidiEvent,
    NoteOff,
    NoteOn,
    PitchBend,
    PortChanged,
    ProgramChange,
)
from sideman.midi.ports import MidiPorts, list_ports
from sideman.midi.request import PortRequest, Split
from support.processes import daemon_environment, running_daemon

pytestmark = pytest.mark.ports
Open = Callable[..., MidiPorts]


@pytest.fixture
def heard() -> queue.Queue[tuple[MidiEvent, float]]:
    """What the input receives, with its time."""
    return queue.Queue()


@pytest.fixture
def link(system: int, heard: queue.Queue[tuple[MidiEvent, float]]) -> Iterator[Open]:
    """Makes open ports, which are closed at the end."""
    links: list[MidiPorts] = []

    def make(**wanted: Any) -> MidiPorts:
        links.append(MidiPorts(PortRequest(**wanted), lambda event, second: heard.put((event, second))))
        links[-1].open()
        until(lambda: _is_open(links[-1]))
        return links[-1]

    yield make
    for each in links:
        each.close()


def _is_open(link: MidiPorts) -> bool:
    """Whether 'auto' has its port. A JACK server sometimes refuses a client; then we try again."""
    link.poll()
    return "in-process" not in link.status_text


def _changes(link: MidiPorts) -> list[PortChanged]:
    """The next changes, as the main loop gets them."""
    for _ in range(int(LONG / 0.1)):
        if changes := link.poll():
            return changes
        select.select([link], [], [], 0.1)
    raise AssertionError("nothing ever changed")


def _named(client: Any, name: str) -> list[int]:
    """The numbers of the ports whose names begin so."""
    return [number for number, port in enumerate(client.get_ports()) if port.startswith(name)]


def test_stable_names(link: Open, others: Others) -> None:
    """Guards against: port names that change, so that a patchbay cannot restore connections."""
    for _ in range(2):
        opened = link(client="sideman")
        names = others.names()
        assert [sum(name.startswith(own) for name in names) for own in ("sideman:out", "sideman-in:in")] == [1, 1]
        assert opened.output_name.startswith("sideman:out (")
        opened.close()


def test_the_period_of_the_port_is_known(link: Open, only_jack: Jackd) -> None:
    """Guards against: a clock over JACK that seems to lose ticks."""
    assert link().input_period_s == pytest.approx(only_jack.period)
    assert link(client="deaf", input="none").input_period_s == 0.0


def test_each_who_connects_is_noticed(link: Open, others: Others) -> None:
    """Guards against: a synth that is connected later and plays with a wrong sound."""
    opened = link(input="none")
    for _ in range(2):
        synth = others.client("MidiIn", "Late Synth")
        ours = until(partial(_named, synth, "sideman:out"))
        synth.open_port(ours[0], "in")
        (change,) = _changes(opened)
        assert (change.is_open, change.text) == (True, f"midi.output: {change.listener} listens now")
        assert change.listener.startswith("Late Synth:in")
        assert opened.poll() == []
        others.close()
        opened.poll()  # it is gone


def test_whole_and_in_order(link: Open, others: Others) -> None:
    """Guards against: wrong notes, or note-offs before their note-ons."""
    opened = link()
    others.listen(opened)
    sent = [(0x90 | n % 16, n % 128, 1 + n % 127) for n in range(200)]
    for message in sent:
        opened.send(message)
    assert [others.next() for _ in sent] == sent


@pytest.mark.slow
def test_release_before_closing_arrives(dump: Dump, link: Open) -> None:
    """Guards against: a note that hangs for ever when sideman ends."""
    for turn in range(100):
        opened = link(client=f"closing{turn}", input="none")
        dump.connect(f"closing{turn}:out")
        opened.send((0x90, 100, 64))
        assert dump.hears(0, silence=False)  # a connection carries from the server's next round on
        opened.send((0x91, turn, 64))
        opened.send((0x80, 100, 0))
        opened.send((0x81, turn, 0))
        opened.close()
        assert dump.hears(0, silence=True)
        assert dump.hears(1, silence=True)
        dump.notes.clear()


def test_nothing_is_sent_to_a_stalled_jack_server(only_jack: Jackd, link: Open) -> None:
    """Guards against: sideman fills a buffer of a stalled JACK server and then hangs."""
    opened = link(input="none")
    with only_jack.standing_still():
        assert [change.is_open for change in _changes(opened)] == [False]
        for number in range(5000):
            opened.send((0x90, number % 128, 64))
    assert [change.is_open for change in _changes(opened)] == [True]


def test_a_stop_does_not_wait_for_a_stalled_jack_server(only_jack: Jackd, dump: Dump, tmp_path: Path) -> None:
    """Guards against: sideman, stopped while JACK stands still, that never ends and leaves a note sounding for ever."""
    keys = "midi.client=stalled", "midi.output=dump", "midi.input=none", "play.gate=1", "play.density=4", "play.rests=0"
    with running_daemon(tmp_path, *keys) as daemon:
        assert dump.hears(0, silence=False)
        with only_jack.standing_still():
            assert daemon.stop(signal.SIGTERM) == 0
    assert any("released at the next start" in line for line in daemon.log)
    assert dump.hears(0, silence=False)
    with running_daemon(tmp_path, *keys, "play.mode=off") as daemon:
        assert dump.hears(0, silence=True)
        assert daemon.stop(signal.SIGTERM) == 0


_CLOSE_AT_STALLED_SERVER = """
from sideman.midi.ports import MidiPorts
from sideman.midi.request import PortRequest
def hold():
    ports = MidiPorts(PortRequest("dump", "none", "brief"), print)
    print(ports.open(), flush=True)
    input()
    print(ports.close())
hold()
raise SystemExit(3)
"""


def test_a_process_with_ports_ends_at_a_stalled_jack_server(only_jack: Jackd, dump: Dump) -> None:
    """Guards against: `check` or `calibrate` that never ends, not even by Ctrl-C, because JACK stands still."""
    command = [sys.executable, "-c", _CLOSE_AT_STALLED_SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "[]\n"
            with only_jack.standing_still():
                assert process.communicate("\n", timeout=LONG)[0] == "False\n"
            assert process.returncode == 3
        finally:
            process.kill()


_WAIT_BEFORE_NOWHERE = """
import sys
from sideman import cli
from sideman.midi.requested_port import RequestedPort
choose = RequestedPort._choose_target
def choose_later(port, *arguments):
    if port.wanted.name == "nowhere":
        print("looking", flush=True)
        input()
    return choose(port, *arguments)
RequestedPort._choose_target = choose_later
sys.exit(cli.main(["run", *sys.argv[1:]]))
"""


def test_a_missing_port_is_named_also_while_jack_stands_still(only_jack: Jackd, dump: Dump, tmp_path: Path) -> None:
    """Guards against: a start that fails with status 0, or never ends, because the open ports cannot be closed."""
    keys = "midi.output=dump", "midi.input=nowhere", "midi.wait=false", f"control.socket={tmp_path / 'c.sock'}"
    command = [sys.executable, "-c", _WAIT_BEFORE_NOWHERE, *(word for key in keys for word in ("--set", key))]
    pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, env=daemon_environment(), **pipes) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "looking\n"
            with only_jack.standing_still():
                assert "no port is called 'nowhere'" in process.communicate("\n", timeout=LONG)[1]
            assert process.returncode == 69
        finally:
            process.kill()


def test_a_start_at_a_stalled_jack_server_can_be_stopped(only_jack: Jackd, tmp_path: Path) -> None:
    """Guards against: a service that systemd has to kill because JACK stands still while it starts."""
    with only_jack.standing_still(), running_daemon(tmp_path, "midi.client=starting", "midi.output=dump") as daemon:
        until(lambda: _catches(daemon.process.pid, signal.SIGTERM))  # from here on it opens its ports
        assert daemon.stop(signal.SIGTERM) == 0


def _catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for this signal."""
    caught = re.search(r"SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
    return caught is not None and bool(int(caught.group(1), 16) >> (number - 1) & 1)


def test_hears_notes_and_controllers(link: Open, others: Others, heard: queue.Queue[tuple[MidiEvent, float]]) -> None:
    """Guards against: sideman does not hear what is played to it."""
    link(output="none")
    keyboard = others.keyboard(heard)
    before = time.monotonic()
    messages = [(0x90, 60, 100), (0x90, 60, 0), (0x8F, 61, 3), (0xB2, 64, 127), (0xE0, 0, 64), (0xC0, 5), (0x92, 62, 1)]
    for message in messages:
        keyboard.send_message(message)
    got = [heard.get(timeout=LONG) for _ in messages]
    events = [NoteOn(60, 100, 1), NoteOff(60, 1), NoteOff(61, 16), ControlChange(64, 127, 3)]
    events += [PitchBend(0, 1), ProgramChange(5, 1), NoteOn(62, 1, 3)]
    assert [event for event, _ in got] == events
    seconds = [second for _, second in got]
    assert sorted(seconds) == seconds
    assert before <= seconds[0] <= seconds[-1] <= time.monotonic()


def test_odd_bytes_are_harmless(link: Open, others: Others, heard: queue.Queue[tuple[MidiEvent, float]]) -> None:
    """Guards against: clock, active sensing or a dump of a keyboard blocks the notes."""
    link(output="none")
    keyboard = others.keyboard(heard)
    for message in [(0xFE,), (0xF8,), (0xF0, 1, 2, 3, 0xF7), (0xF2, 1, 1), (0xFA,), (0xD0, 3), (0xF6,), (0x90, 64, 80)]:
        keyboard.send_message(message)
    assert heard.get(timeout=LONG)[0] == NoteOn(64, 80, 1)


def test_failing_receiver_is_survived(system: int, others: Others, caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: one error in the receiver ends the input silently."""
    heard: queue.Queue[tuple[MidiEvent, float]] = queue.Queue()

    def receive(event: MidiEvent, second: float) -> None:
        heard.put((event, second))
        raise RuntimeError("a defect")

    link = MidiPorts(PortRequest(output="none"), receive)
    link.open()
    keyboard = others.keyboard(heard)
    for pitch in (60, 61):
        keyboard.send_message((0x90, pitch, 80))
        assert heard.get(timeout=LONG)[0] == NoteOn(pitch, 80, 1)
    link.close()
    assert "a defect" in caplog.text


@pytest.mark.slow
def test_closing_while_notes_pour_in(link: Open, others: Others, heard: queue.Queue[tuple[MidiEvent, float]]) -> None:
    """Guards against: sideman hangs or crashes at its end while somebody plays."""
    keys = others.client("MidiOut", "Keys")
    keys.open_virtual_port("out")
    done = threading.Event()

    def pour() -> None:
        while not done.is_set():
            keys.send_message((0x90, 60, 80))
            done.wait(0.001)

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        for _ in range(30):
            opened = link(output="none", input="Keys")
            heard.get(timeout=LONG)
            opened.close()
            while not heard.empty():
                heard.get()
    finally:
        done.set()
        thread.join()


def test_named_port(link: Open, others: Others, heard: queue.Queue[tuple[MidiEvent, float]]) -> None:
    """Guards against: named ports that have to be connected by hand."""
    others.synth("Big Synth")
    keys = others.client("MidiOut", "nanoKEY2")
    keys.open_virtual_port("keys")
    opened = link(output="big synth", input="nanoKEY2:keys")
    assert "Big Synth:in" in opened.status_text
    assert "nanoKEY2:keys" in opened.status_text
    others.meet(opened)
    opened.send((0x90, 60, 80))
    assert others.next() == (0x90, 60, 80)
    others.shake(keys.send_message, heard)
    keys.send_message((0x90, 61, 80))
    assert heard.get(timeout=LONG)[0] == NoteOn(61, 80, 1)


def test_ambiguous_name_is_an_error(link: Open, others: Others) -> None:
    """Guards against: a random choice between two synths."""
    for name in ("Synth A", "Synth B"):
        others.client("MidiIn", name).open_virtual_port("in")
    with pytest.raises(Unavailable, match=r"(?s)midi.output: 'synth' matches .*'Synth A:in.*'Synth B:in"):
        link(output="synth", input="none")
    assert "Synth B:in" in link(output="Synth B", input="none").output_name


def test_an_unknown_name_lists_the_ports(link: Open, others: Others) -> None:
    """Guards against: a typing mistake without a hint; our own ports in the list."""
    others.client("MidiIn", "Fantom").open_virtual_port("in")
    link(output="auto", input="auto")
    with pytest.raises(Unavailable) as error:
        link(output="Fantm", input="none")
    assert error.value.exit_status == 69
    assert "midi.output: no port is called 'Fantm'; did you mean 'Fantom:in" in str(error.value)
    assert "sideman" not in str(error.value)


def test_waiting_for_a_port(link: Open, others: Others) -> None:
    """Guards against: the service ends because the synth is switched on later."""
    opened = link(output="Late Synth", input="none", wait=True)
    assert opened.output_name == "waiting for 'Late Synth'"
    opened.send((0x90, 60, 80))
    others.synth("Late Synth")
    (change,) = _changes(opened)
    assert change.is_open
    assert "Late Synth:in" in opened.output_name
    others.meet(opened)
    opened.send((0x90, 61, 80))
    assert others.next() == (0x90, 61, 80)


def test_named_port_goes_and_comes_back(link: Open, others: Others) -> None:
    """Guards against: sideman must be restarted after a synth was unplugged."""
    opened = link(output="Synth", input="none", wait=True)
    for turn in range(3):
        others.synth("Synth")
        assert [change.is_open for change in _changes(opened)] == [True]
        others.meet(opened)
        opened.send((0x90, turn, 80))
        assert others.next() == (0x90, turn, 80)
        others.close()
        assert not _changes(opened)[0].is_open
        opened.send((0x90, 99, 80))
        assert opened.output_name == "waiting for 'Synth'"


def test_only_ports_of_other_programs_are_listed(link: Open, others: Others) -> None:
    """Guards against: `sideman ports` lists sideman itself, or omits a synth."""
    link()
    others.client("MidiIn", "Synth").open_virtual_port("in")
    others.client("MidiOut", "Keys").open_virtual_port("out")
    (listing,) = list_ports()
    assert any(name.startswith("Synth:in") for name in listing.outputs)
    assert any(name.startswith("Keys:out") for name in listing.inputs)
    assert not any("sideman" in name for name in listing.outputs + listing.inputs)


def test_jack_dies_and_returns(only_jack: Jackd, link: Open, others: Others, capfd: pytest.CaptureFixture[str]) -> None:
    """Guards against: sideman hangs, crashes or stays silent after the JACK server has died."""
    opened = link()
    stop = threading.Event()

    def play() -> None:
        while not stop.is_set():
            opened.send((0x90, 60, 80))
            stop.wait(0.0005)

    player = threading.Thread(target=play)
    player.start()
    try:
        for _ in range(3):
            others.listen(opened)
            assert others.next() == (0x90, 60, 80)
            others.close()
            only_jack.kill()
            gone = _changes(opened)
            assert [(c.key, c.is_open) for c in gone[:2]] == [("midi.output", False), ("midi.input", False)]
            assert opened.output_name == "in-process"
            assert opened.poll() == []
            only_jack.start()
            assert [(c.key, c.is_open) for c in _changes(opened)] == [("midi.output", True), ("midi.input", True)]
    finally:
        stop.set()
        player.join()
    assert capfd.readouterr() == ("", "")


def test_jack_restarts_before_we_notice(only_jack: Jackd, link: Open, others: Others) -> None:
    """Guards against: sideman stays with the dead server, or crashes, after a quick restart of JACK."""
    opened = link()
    only_jack.kill()
    opened.send((0x90, 60, 80))
    only_jack.start()
    assert [change.is_open for change in _changes(opened)] == [False, False, True, True]
    others.listen(opened)
    opened.send((0x90, 61, 80))
    assert others.next() == (0x90, 61, 80)


def test_closing_when_jack_is_dead(only_jack: Jackd, link: Open) -> None:
    """Guards against: sideman cannot be stopped after the JACK server has died."""
    try:
        opened = link()
        only_jack.kill()
        opened.close()
    finally:
        only_jack.start()


def test_jack_period_is_known(only_jack: Jackd, link: Open) -> None:
    """Guards against: the last notes are lost at a server with long periods."""
    opened = link()
    assert opened.input_period_s == pytest.approx(only_jack.period)


def test_no_file_is_left_open(only_jack: Jackd, others: Others) -> None:
    """Guards against: sideman runs out of file descriptors after many restarts of JACK."""
    counts = []
    for _ in range(4):
        opened = MidiPorts(PortRequest(), lambda _event, _second: None)
        opened.open()
        opened.close()
        counts.append(len(list(Path("/proc/self/fd").iterdir())))
    assert counts[1] == counts[-1]


@pytest.mark.parametrize("is_noticed", [True, False], ids=["long", "too short to be noticed"])
def test_an_unplugged_keyboard_is_heard_again(
    link: Open, others: Others, heard: queue.Queue[tuple[MidiEvent, float]], is_noticed: bool
) -> None:
    """Guards against: a keyboard that comes back, is logged as open, and stays deaf for ever; a key that hangs."""
    opened = link(output="none", input="Keys", wait=True)
    for turn in range(4):
        keys = others.client("MidiOut", "Keys")
        keys.open_virtual_port("out")
        if turn == 0 or is_noticed:
            until(lambda: any(change.is_open for change in opened.poll()))
        else:
            assert [change.is_open for change in _changes(opened)] == [False, True]
            assert heard.get(timeout=LONG)[0] == NoteOff(59 + turn, 1)
        others.shake(keys.send_message, heard)
        keys.send_message((0x90, 60 + turn, 80))
        assert heard.get(timeout=LONG)[0] == NoteOn(60 + turn, 80, 1)
        others.close()
        if is_noticed:
            until(lambda: any(not change.is_open for change in opened.poll()))
            assert heard.get(timeout=LONG)[0] == NoteOff(60 + turn, 1)


def test_a_port_that_jack_has_removed_is_made_again(
    only_jack: Jackd, link: Open, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: sideman goes on saying that its port is open after JACK has thrown its client out."""
    opened = link(input="none")
    ours = opened.outputs[0].requested.port
    assert ours is not None
    assert ours.exists()
    monkeypatch.setattr(ours, "exists", lambda: False)  # only JACK itself can remove the client of a living process
    assert [change.is_open for change in _changes(opened)] == [False, True]
    others.listen(opened)
    opened.send((0x90, 61, 80))
    assert others.next() == (0x90, 61, 80)


@pytest.mark.subprocess
def test_there_is_one_libjack_and_it_is_the_systems(only_jack: Jackd) -> None:
    """Guards against: two versions of libjack in one process, which break the graph of the server for all programs."""
    program = "from sideman.midi.rtmidi_driver import import_rtmidi; r = import_rtmidi(); r.MidiOut(r.API_UNIX_JACK)"
    environment = {**os.environ, "LD_DEBUG": "bindings", "LD_BIND_NOW": "1"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    bound = re.findall(r"binding file \S*_rtmidi\S* \[0\] to (\S+) \[0\]: normal symbol `jack_\w+'", run.stderr)
    assert bound
    assert {Path(file).name.partition(".")[0] for file in bound} == {"libjack"}


# -- several ports


def _synth(others: Others, name: str) -> list[tuple[int, ...]]:
    """A synth with its own port; returns what it hears."""
    synth, got = others.client("MidiIn", name), list[tuple[int, ...]]()
    synth.ignore_types(timing=False)
    synth.set_callback(lambda message, _data: got.append(tuple(message[0])))
    synth.open_virtual_port("in")
    return got


def _reaches(link: MidiPorts, message: tuple[int, ...], got: list[tuple[int, ...]]) -> None:
    """Wait until a new connection carries."""

    def arrived() -> bool:
        link.send(message)
        return message in got

    until(arrived)


def test_a_split_goes_to_several_ports_which_come_and_go(link: Open, others: Others) -> None:
    """Guards against: a bass on the port of the solo; a solo that stops because the bass was switched off."""
    solo = _synth(others, "Big Synth")
    splits = (
        Split("midi.comp_output", "comp", "Bass Box", 2),
        Split("midi.drums_output", "clicks", "auto", 10),
        Split("tempo.clock_output", "clock", "Bass Box"),
    )
    opened = link(output="Big Synth", input="none", splits=splits, wait=True)
    assert any(name.startswith("sideman-clicks:out") for name in others.names())
    assert "waiting for 'Bass Box'" in opened.status_text
    _reaches(opened, (0xB0, 1, 1), solo)
    bass = _synth(others, "Bass Box")
    (change,) = _changes(opened)
    assert (change.is_open, change.port) == (True, "midi.comp_output: Bass Box")
    _reaches(opened, (0xB1, 1, 1), bass)
    for message in ((0x91, 40, 80), (0xF8,), (0x90, 60, 80), (0x99, 37, 80)):
        opened.send(message)
    until(lambda: (0xF8,) in bass and (0x90, 60, 80) in solo)
    assert bass[-2:] == [(0x91, 40, 80), (0xF8,)]
    assert not {message[0] for message in solo} & {0xB1, 0x91, 0xF8, 0x99}
    opened.send_to(change.port, (0xC1, 5))
    opened.send_to(change.port, (0xC0, 5))
    until(lambda: (0xC1, 5) in bass)
    assert (0xC0, 5) not in bass


def test_two_keyboards_of_which_one_is_unplugged(
    link: Open, others: Others, heard: queue.Queue[tuple[MidiEvent, float]]
) -> None:
    """Guards against: a keyboard that is deaf, or a chord that breaks off, because another keyboard was unplugged."""
    keys, pads = Others(others.system), others.client("MidiOut", "Pads")
    piano = keys.client("MidiOut", "Keys")
    piano.open_virtual_port("out")
    pads.open_virtual_port("out")
    opened = link(output="none", input=("Keys", "Pads"), wait=True)
    for keyboard, pitch in ((piano, 60), (pads, 72)):
        others.shake(keyboard.send_message, heard)
        keyboard.send_message((0x90, pitch, 80))
        assert heard.get(timeout=LONG)[0] == NoteOn(pitch, 80, 1)
    keys.close()
    change, *_ = _changes(opened)
    assert (change.is_open, change.port) == (False, "midi.input: Keys")
    assert heard.get(timeout=LONG)[0] == NoteOff(60, 1)
    pads.send_message((0x80, 72, 0))
    assert heard.get(timeout=LONG)[0] == NoteOff(72, 1)


def test_a_keyboard_that_is_unplugged_from_our_own_port_releases_its_keys(
    link: Open, others: Others, heard: queue.Queue[tuple[MidiEvent, float]]
) -> None:
    """Guards against: a key that sideman waits for because the keyboard was connected to its virtual port."""
    opened = link(output="none")
    for turn in range(3):
        keyboard = others.keyboard(heard)
        assert opened.poll() == []
        keyboard.send_message((0x90, 60 + turn, 80))
        assert heard.get(timeout=LONG)[0] == NoteOn(60 + turn, 80, 1)
        others.close()
        (change,) = _changes(opened)
        assert (change.is_open, change.port) == (True, "midi.input: auto")
        assert "no longer connected; its keys are released" in change.text
        assert heard.get(timeout=LONG)[0] == NoteOff(60 + turn, 1)


@pytest.mark.parametrize("port", ["", "Box"])
def test_two_clocks_never_double_the_tempo(
    link: Open, others: Others, heard: queue.Queue[tuple[MidiEvent, float]], port: str
) -> None:
    """Guards against: a tempo that doubles because a keyboard sends a clock beside that of the sequencer."""
    senders = {name: others.client("MidiOut", name) for name in ("Box", "Keys")}
    for sender in senders.values():
        sender.open_virtual_port("out")
    opened = link(output="none", input=("Box", "Keys"), clock=True, clock_input=port)
    for sender in senders.values():
        others.shake(sender.send_message, heard)
    for _ in range(24):
        for sender in senders.values():
            sender.send_message((0xF8,))
    for sender in senders.values():
        sender.send_message((0x90, 60, 80))
    events = [heard.get(timeout=LONG)[0]]
    while events.count(NoteOn(60, 80, 1)) < 2:
        events.append(heard.get(timeout=LONG)[0])
    assert events.count(ClockTick()) == 24
    texts = [change.text for change in opened.poll() if "clock" in change.text]
    assert len(texts) == (not port)
