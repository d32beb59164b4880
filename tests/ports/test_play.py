# SPDX-License-Identifier: Apache-2.0
"""The whole program on real ports, with other programs that listen and play."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ports.conftest import LONG, Dump, Others, until
from support.fakes import hanging_notes
from support.processes import DaemonProcess, daemon_environment, held_daemon, run_sideman, running_daemon

pytestmark = pytest.mark.ports
TIMES = 100


class Synth:
    """A program that listens to `port` and records the time of each message."""

    def __init__(self, others: Others, port: str) -> None:
        self.heard: list[tuple[float, tuple[int, int, int]]] = []
        self._grown = threading.Condition()
        self._client: Any = others.client("MidiIn", "synth")
        self._client.set_callback(self._hear)
        self._client.open_port(_index(self._client, port), "in")

    def _hear(self, message: tuple[list[int], float], _data: object) -> None:
        second = time.monotonic()
        with self._grown:
            self.heard.append((second, (message[0][0], message[0][1], message[0][2])))
            self._grown.notify_all()

    def until(self, notes: int) -> None:
        """Wait until this number of note-ons has arrived."""
        with self._grown:
            assert self._grown.wait_for(lambda: len(self.onsets()) >= notes, LONG)

    def onsets(self) -> list[float]:
        """The times of the note-ons."""
        return [second for second, message in self.heard if message[0] & 0xF0 == 0x90 and message[2]]

    def messages(self) -> list[tuple[int, int, int]]:
        """The received messages."""
        return [message for _, message in self.heard]


def _index(client: Any, port: str) -> int:
    return int(until(lambda: [n for n, name in enumerate(client.get_ports(), 1) if name.startswith(port)])[0]) - 1


@contextmanager
def playing(folder: Path, client: str, *settings: str) -> Iterator[DaemonProcess]:
    """A daemon with its own port names."""
    with running_daemon(folder, *_patient(client), *settings) as daemon:
        yield daemon


def _patient(client: str) -> tuple[str, ...]:
    """A busy machine makes notes late, but none is left out."""
    return f"midi.client={client}", "play.density=4", "play.rests=0", "play.late_ms=1000", "midi.echo_ms=1000"


@contextmanager
def two_playing(folder: Path, *clients: str) -> Iterator[dict[str, DaemonProcess]]:
    """Two daemons that play the same eight bars at the same time; the first has begun when the second comes to JACK."""
    chart = ("tempo.bpm=300", "chart.changes=| F7 | Bb7 |", "chart.choruses=4")
    with ExitStack() as stack:
        daemons = {client: stack.enter_context(held_daemon(folder, *_patient(client), *chart)) for client in clients}
        for daemon in daemons.values():
            daemon.release()
            daemon.wait_for("ready")
        yield daemons


def bars_of(daemon: DaemonProcess) -> list[str]:
    """What it has played, bar by bar, to its own end."""
    assert daemon.stop() == 0
    return [line.partition(" bar ")[2] for line in daemon.log if " bar " in line]


def test_a_second_program_hears_one_value_a_beat(others: Others, tmp_path: Path) -> None:
    """Guards against: sideman is not heard, or not in time."""
    with playing(tmp_path, "beats", "tempo.bpm=240") as daemon:
        synth = Synth(others, "beats:out")
        synth.until(17)
        assert daemon.stop(signal.SIGTERM) == 0
    gaps = [later - earlier for earlier, later in pairwise(synth.onsets()[:17])]
    # The beat is a quarter of a second. How exactly it is kept belongs to the benchmark; here: one note for each.
    assert sum(gaps) == pytest.approx(4.0, abs=0.3)
    assert not hanging_notes(synth.messages())


def test_over_and_over_every_note_is_released_and_the_release_arrives(
    dump: Dump, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: a note that sometimes hangs when the service stops."""
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "")  # a hundred daemons: without measuring each of them again
    ends = []
    with ExitStack() as stack:

        def load(turn: int) -> DaemonProcess:
            settings = ("tempo.bpm=400", "play.gate=1", "midi.input=none")
            return stack.enter_context(held_daemon(tmp_path, *_patient(f"stop{turn}"), *settings))

        following = load(0)
        for turn in range(TIMES):
            daemon = following
            following = load(turn + 1)  # while this one plays; JACK gets its clients one after the other
            dump.notes.clear()
            daemon.release()
            daemon.wait_for("ready")
            dump.connect(f"stop{turn}:out")
            assert dump.hears(0, silence=False), daemon.log
            ends.append((daemon.stop(signal.SIGTERM), dump.hears(0, silence=True)))
    assert ends == [(0, True)] * TIMES


def test_a_take_of_what_was_played_to_it_is_played_again(others: Others, tmp_path: Path) -> None:
    """Guards against: takes that can be replayed only in tests, where nothing is late."""
    env = {"XDG_DATA_HOME": str(tmp_path)}
    chosen = ("tempo.bpm=300", "play.rate=eighth", "takes.record=true", "play.late_ms=2")
    with running_daemon(tmp_path, "midi.client=taken", *chosen, **env) as daemon:
        keyboard = others.client("MidiOut", "keyboard")
        keyboard.open_port(_index(keyboard, "taken-in:in"), "out")
        for bar in range(1, 6):
            daemon.wait_for(f" bar {bar} ")
            for pitch in range(60, 66):
                keyboard.send_message([0x90, pitch, 64])
                keyboard.send_message([0xE0, 0, pitch])
                keyboard.send_message([0x80, pitch, 0])
        daemon.wait_for(" bar 6 ")
        daemon.process.kill()
    (take,) = json.loads(run_sideman("takes", "list", "--json", env=env).stdout)
    assert take["heard"] >= 6
    again = run_sideman("takes", "replay", take["name"], env=env)
    assert (again.returncode, "the same" in again.stdout) == (0, True), again


def test_what_is_played_to_it_moves_the_solo(others: Others, tmp_path: Path) -> None:
    """Guards against: sideman does not listen on a real port."""
    with two_playing(tmp_path, "apart", "duet") as daemons:
        for name, daemon in daemons.items():
            keyboard = others.client("MidiOut", "keyboard")
            keyboard.open_port(_index(keyboard, f"{name}-in:in"), "out")
            for pitch in range(50, 90) if name == "duet" else [50]:
                daemon.wait_for(" bar ")
                keyboard.send_message([0x90, pitch, 64])
                keyboard.send_message([0x80, pitch, 0])
            for odd in ([0xF8], [0xFE], [0xF0, 1, 2, 3, 0xF7], [0xB0, 1, 2], [0xE0, 0, 64], [0xF2, 1, 1]):
                keyboard.send_message(odd)
        apart, duet = map(bars_of, daemons.values())
    assert duet[0] == apart[0]
    assert duet[1:] != apart[1:]


def test_knob_pedal_and_pad_change_what_it_plays(others: Others, tmp_path: Path) -> None:
    """Guards against: nothing can be changed on stage without typing."""
    tables = ("midi.cc.20=play.velocity", "midi.cc.65=tap", "midi.notes.24=panic")
    with playing(tmp_path, "hands", "tempo.bpm=240", "play.velocity=1", *tables) as daemon:
        daemon.wait_for("ready")
        synth, hands = Synth(others, "hands:out"), others.client("MidiOut", "hands")
        hands.open_port(_index(hands, "hands-in:in"), "out")
        synth.until(2)
        for place in range(128):
            hands.send_message([0xB3, 20, place])
        daemon.wait_for("play.velocity is 127")
        hands.send_message([0x99, 24, 100])
        hands.send_message([0x89, 24, 0])
        for value in (127, 0, 127, 0, 127, 0):
            hands.send_message([0xB0, 65, value])
            threading.Event().wait(0.15)
        daemon.wait_for("tempo.bpm is")
        synth.until(len(synth.onsets()) + 4)
        assert daemon.stop(signal.SIGTERM) == 0
    loud = [velocity for status, _, velocity in synth.messages() if status & 0xF0 == 0x90 and velocity]
    assert max(loud[:2]) < 30
    assert min(loud[-2:]) > 90
    assert any(message[:2] == (0xB0, 120) for message in synth.messages())
    assert not hanging_notes(synth.messages())


def test_a_knob_is_learned_in_the_terminal_and_kept_in_the_configuration(others: Others, tmp_path: Path) -> None:
    """Guards against: a musician who has bound a knob, and has to do so again after every start."""
    config, control = tmp_path / "mine.yaml", tmp_path / "c.sock"
    config.write_text("midi:\n  cc: {1: tap}\n")
    env = {"SIDEMAN_CONFIG": str(config)}
    chosen = ("midi.client=hand", f"control.socket={control}", "midi.feedback=true")
    with running_daemon(tmp_path, *chosen, **env) as daemon:
        keyboard, ring = others.client("MidiOut", "keyboard"), Synth(others, "hand:out")
        keyboard.open_port(_index(keyboard, "hand-in:in"), "out")
        daemon.wait_for("ready")
        command = [sys.executable, "-m", "sideman", "ctl", "--socket", str(control), "learn", "play.density", "--write"]
        with subprocess.Popen(command, env=daemon_environment(), stdout=subprocess.PIPE, text=True) as ctl:
            assert ctl.stdout is not None
            assert ctl.stdout.readline() == "move the controller for play.density; Ctrl-C cancels\n"
            for value in (1, 1, 127, 127):
                for number, sent in ((101, 127), (6, 3), (74, value)):
                    keyboard.send_message([0xB0, number, sent])
            learned = f"midi.cc.74: play.density relative; written to {config}\n"
            assert (ctl.stdout.readline(), ctl.wait(LONG)) == (learned, 0)
        keyboard.send_message([0xB0, 74, 2])
        daemon.wait_for("play.density is 1.063")
        until(lambda: (0xB0, 74, 34) in ring.messages())
    assert config.read_text() == "midi:\n  cc: {74: play.density relative, 1: tap}\n"


def test_held_chords_are_played_over_and_shown_in_the_players_key(others: Others, tmp_path: Path) -> None:
    """Guards against: chords that are held on a real port have no effect."""
    keys = ("midi.chords=3", "midi.transpose=-2", "tempo.bpm=400", "chart.changes=| F7 |", "chart.choruses=12")
    with playing(tmp_path, "led", *keys) as daemon:
        keyboard = others.client("MidiOut", "left-hand")
        keyboard.open_port(_index(keyboard, "led-in:in"), "out")
        daemon.wait_for(" bar 2 ")
        for pitch in (48, 52, 55, 57):
            keyboard.send_message([0x92, pitch, 64])
        assert daemon.stop() == 0
        chords = [line.split(" | ")[1] for line in daemon.log if " | " in line]
    assert chords[0] == "G7"  # F7 as a player in B flat reads it
    assert chords[-1] == "C6"


def _pass_on(keyboard: Any, message: tuple[list[int], float], _data: object) -> None:
    keyboard.send_message(message[0])


def test_a_looped_cable_is_not_heard(others: Others, tmp_path: Path) -> None:
    """Guards against: sideman hears itself, and plays something else than alone."""
    with two_playing(tmp_path, "alone", "looped") as daemons:
        keyboard = others.client("MidiOut", "thru")
        keyboard.open_port(_index(keyboard, "looped-in:in"), "out")
        through: Any = others.client("MidiIn", "thru-in")
        through.set_callback(partial(_pass_on, keyboard))
        through.open_port(_index(through, "looped:out"), "in")
        alone, looped = map(bars_of, daemons.values())
        through.cancel_callback()
    assert looped == alone
    assert len(alone) == 8


class Band:
    """A program that sends a MIDI clock to `port`."""

    def __init__(self, others: Others, port: str, bpm: float) -> None:
        self._client: Any = others.client("MidiOut", "band")
        self._client.open_port(_index(self._client, port), "out")
        self._period = 60 / (24 * bpm)
        self.ticks: list[float] = []

    def send(self, byte: int) -> None:
        """Send start, continue or stop."""
        self._client.send_message([byte])

    def play(self, ticks: int) -> None:
        """Send this number of ticks, at absolute times."""
        first = time.monotonic()
        for number in range(ticks):
            threading.Event().wait(max(0.0, first + number * self._period - time.monotonic()))
            self.ticks.append(time.monotonic())
            self.send(0xF8)


def test_it_plays_by_the_clock_of_another_program(others: Others, tmp_path: Path) -> None:
    """Guards against: sideman cannot play with a DAW or a drum machine."""
    with playing(tmp_path, "band", "tempo.source=midi-clock", "tempo.bpm=60", "play.rate=beat") as daemon:
        daemon.wait_for("ready: waiting for clock")
        synth, band = Synth(others, "band:out"), Band(others, "band-in:in", 100)
        band.play(24 * 8)  # until the tempo has settled in rounds of 21 ms
        daemon.wait_for("waiting for its start")
        assert not synth.onsets()
        band.ticks.clear()
        band.send(0xFA)
        band.play(24 * 5 + 12)
        band.send(0xFC)
        daemon.wait_for("stopped by the clock")
        onsets = synth.onsets()
        # One for each beat: the nearest by the ticks that had been sent when it came.
        sent = [sum(tick <= onset for tick in band.ticks) for onset in onsets]
        assert [round((count - 1) / 24) for count in sent] == list(range(6))
        band.send(0xFB)
        band.play(48)
        synth.until(8)
        daemon.wait_for("clock lost")
        assert daemon.stop(signal.SIGTERM) == 0
    assert any("following" in line for line in daemon.log)
    assert not hanging_notes(synth.messages())


def test_another_program_can_follow_its_clock(others: Others, tmp_path: Path) -> None:
    """Guards against: a drum machine has to be started by hand, and is not in time."""
    heard: list[int] = []
    with playing(tmp_path, "leader", "tempo.clock_out=true", "tempo.bpm=240", "midi.input=none") as daemon:
        daemon.wait_for("ready")
        client: Any = others.client("MidiIn", "drums")
        client.ignore_types(timing=False)
        client.set_callback(
            lambda message, _data: heard.append(message[0][0] & (0xFF if message[0][0] > 0xEF else 0xF0))
        )
        client.open_port(_index(client, "leader:out"), "in")
        until(lambda: heard.count(0x90) >= 6)
        assert daemon.stop(signal.SIGTERM) == 0
        until(lambda: 0xFC in heard)
    strikes = [number for number, kind in enumerate(heard) if kind == 0x90]
    assert [heard[a:b].count(0xF8) for a, b in pairwise(strikes[:6])] == [24] * 5
    assert all(kind in (0x80, 0xFC) for kind in heard[heard.index(0xFC) :])


def test_a_synth_that_is_connected_late_gets_the_sounds_and_the_place(others: Others, tmp_path: Path) -> None:
    """Guards against: a service that plays a piano on every synth that is switched on after it."""
    sounds = ("midi.program=12", "midi.bank=130", "midi.comp_program=33", "play.comp=bass")
    heard: list[list[int]] = []
    with playing(tmp_path, "late", "tempo.clock_out=true", "tempo.bpm=300", "midi.input=none", *sounds) as daemon:
        daemon.wait_for(" bar 2 ")
        client: Any = others.client("MidiIn", "synth")
        client.ignore_types(timing=False)
        client.set_callback(lambda message, _data: heard.append(message[0]))
        client.open_port(_index(client, "late:out"), "in")
        daemon.wait_for("midi.output: synth:in")
        until(lambda: [0xFB] in heard)
        assert daemon.stop(signal.SIGTERM) == 0
    first = heard.index([0xB0, 0, 1])
    assert heard[first : first + 4] == [[0xB0, 0, 1], [0xB0, 32, 2], [0xC0, 11], [0xC1, 32]]
    assert heard[heard.index([0xFB]) - 1][0] == 0xF2
    assert sum("listens now" in line for line in daemon.log) == 1


def test_each_part_has_its_port_and_is_set_up_alone(others: Others, tmp_path: Path) -> None:
    """Guards against: a bass on the synth of the solo; a solo that is cut because the bass was switched on."""
    heard = dict[str, list[tuple[int, ...]]]()

    def join(port: str, gets: tuple[int, ...]) -> None:
        """Listen to `port` until `gets` comes. A listener in Python may lose it on a busy machine; then another one."""
        got = heard.setdefault(port, [])
        for turn in range(3):
            client: Any = others.client("MidiIn", f"listener{turn}")
            client.ignore_types(timing=False)
            client.set_callback(lambda message, _data: got.append(tuple(message[0])))
            client.open_port(_index(client, port), "in")
            with suppress(AssertionError):
                until(lambda: gets in [message[: len(gets)] for message in got])
                return
        raise AssertionError(f"{gets} never came from {port}: {daemon.log}")

    split = ("midi.comp_output=auto", "tempo.clock_output=auto", "tempo.clock_out=true", "play.comp=bass")
    sounds = ("midi.program=12", "midi.comp_program=33", "midi.input=[auto, Pads]", "midi.wait=true")
    with playing(tmp_path, "band", "tempo.bpm=300", *split, *sounds) as daemon:
        daemon.wait_for(" bar 1 ")
        join("band:out", (0xC0, 11))
        join("band-comp:out", (0xC1, 32))
        join("band-clock:out", (0xFB,))
        for part, status in (("band:out", 0x90), ("band-comp:out", 0x91)):
            until(partial(lambda port, status: any(message[0] == status for message in heard[port]), part, status))
        assert daemon.stop(signal.SIGTERM) == 0
    kinds = {port: {status if status >= 0xF0 else status & 0x0F for status, *_ in got} for port, got in heard.items()}
    assert (kinds["band:out"], kinds["band-comp:out"]) == ({0}, {1})
    assert kinds["band-clock:out"] >= {0xF2, 0xF8, 0xFB}
    assert min(kinds["band-clock:out"]) >= 0xF0
    (ready,) = [line for line in daemon.log if "ready" in line]
    assert "accompaniment to band-comp:out" in ready
    assert "waiting for 'Pads'" in ready


def _calibrate(others: Others, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Run the command with its output connected to its input."""
    command = [sys.executable, "-m", "sideman", "calibrate", "--set", "midi.client=loop", "--notes", "8", *arguments]
    process = subprocess.Popen(
        command, env=daemon_environment(HOME=str(folder)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    keyboard, through = others.client("MidiOut", "thru"), others.client("MidiIn", "thru-in")
    keyboard.open_port(_index(keyboard, "loop-calibrate-in:in"), "out")
    through.set_callback(partial(_pass_on, keyboard))
    through.open_port(_index(through, "loop-calibrate:out"), "in")
    return process


def test_a_loop_is_measured_and_the_result_is_written(others: Others, tmp_path: Path) -> None:
    """Guards against: a delay that users cannot measure."""
    config = tmp_path / ".config" / "sideman" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("# mine\nplay:\n  density: 2\n")
    process = _calibrate(others, tmp_path, "--json", "--write")
    printed, said = process.communicate(timeout=LONG)
    assert process.returncode == 0, said
    found = json.loads(printed)
    assert found["notes"] == found["back"] == 8
    assert 0 < found["median_ms"] <= found["p95_ms"]
    assert found["offset_ms"] == -round(found["median_ms"] / 2)
    assert config.read_text() == f"# mine\nplay:\n  offset_ms: {found['offset_ms']}\n  density: 2\n"
    assert "connect the output to the input now" in said


def test_without_a_loop_it_says_what_to_connect(others: Others, tmp_path: Path) -> None:
    """Guards against: a meaningless result, or endless waiting, with a wrong connection."""
    others.synth("deaf")
    others.client("MidiOut", "mute").open_virtual_port("out")
    done = run_sideman("calibrate", "--output", "deaf", "--input", "mute", env={"HOME": str(tmp_path)})
    assert done.returncode == 69
    assert "no note came back" in done.stderr
    assert "cable" in done.stderr
    assert not hanging_notes((message[0], message[1], message[2]) for message in list(others.heard.queue))
    assert others.heard.qsize() == 6


HOSTILE = "in\n12:00:00.000 forged\r\x1b[2J\x7f\u202e\u2028end"


def test_the_name_of_a_port_forges_no_line(others: Others, tmp_path: Path) -> None:
    """Guards against: a program whose port writes lines of our log, or gives orders to the terminal that shows them."""
    others.client("MidiIn", "evil").open_virtual_port(HOSTILE)
    others.client("MidiOut", "evil").open_virtual_port(HOSTILE)
    with playing(
        tmp_path, "plain", "midi.output=evil", "midi.input=evil", f"control.socket={tmp_path / 'control'}"
    ) as daemon:
        daemon.wait_for("ready: ")
        printed = [run_sideman("ports").stdout, run_sideman("ports", "--json").stdout]
        words = ("ctl", "--socket", str(tmp_path / "control"), "status")
        printed += [run_sideman(*words).stdout, run_sideman(*words, "--json").stdout]
        assert daemon.stop(signal.SIGTERM) == 0
    lines = [*daemon.log, *(line for text in printed for line in text.splitlines())]
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("12:00:00.000 forged") for line in lines)
    assert any("forged" in line for line in daemon.log)
    assert all("forged" in text for text in printed)
