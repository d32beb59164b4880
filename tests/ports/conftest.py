# SPDX-License-Identifier: Apache-2.0
"""Real virtual ports: ALSA's where there is a sequencer, else of our own JACK server, else a skip (in CI: a failure).

The server's period is long (21 ms). A listener in Python that is late by a period, as happens at 64 frames on a busy
machine without real-time rights, reads what its buffer holds by then: the same message over and over.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import pty
import queue
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sideman.core.events import ControlChange, MidiEvent
from sideman.midi.ports import MidiPorts
from sideman.midi.rtmidi_driver import import_rtmidi
from support.fakes import hanging_notes

LONG = 20.0  # seconds: against hanging only


def until(true: Callable[[], Any]) -> Any:
    """Wait until `true` returns something, and return it."""
    pause = threading.Event()
    for _ in range(int(LONG / 0.01)):
        if answer := true():
            return answer
        pause.wait(0.01)
    raise AssertionError("it never came true")


class Jackd:
    """A JACK server with the dummy driver and its own name, which can be killed and restarted."""

    def __init__(self, name: str, frames: int = 1024, realtime: bool = False) -> None:
        self.period = frames / 48000
        if shutil.which("jackd") is None:
            pytest.skip("no ALSA sequencer and no jackd here")
        self._command = ["setpriv", "--pdeathsig", "TERM", "jackd", "-n", name]
        self._command += ["--realtime" if realtime else "--no-realtime"]
        self._command += ["-d", "dummy", "-r", "48000", "-p", str(frames)]
        self._door = f"/dev/shm/jack_{name}_{os.getuid()}_0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when a client can connect."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers)

    def stop(self) -> None:
        """Stop normally."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def kill(self) -> None:
        """Kill the server."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def runs(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop the process while the context lasts."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        # Not by a client of libjack: with a dead client of our own still there, it would make the next deletion crash.
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail("jackd ends at once; a machine can run eight: see what `jackd -d dummy` says")
        with socket.socket(socket.AF_UNIX) as door:
            return door.connect_ex(self._door) == 0


@pytest.fixture(scope="session")
def jackd() -> Iterator[Jackd]:
    """A JACK server that runs as long as the tests do."""
    with running_server() as server:
        yield server


@contextlib.contextmanager
def running_server(frames: int = 1024, realtime: bool = False) -> Iterator[Jackd]:
    """A JACK server with this period, which all programs that are started meanwhile use."""
    with _server_name() as name:
        os.environ["JACK_DEFAULT_SERVER"] = name
        server = Jackd(name, frames, realtime)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def _server_name() -> Iterator[str]:
    """A name that no other run of the tests on this machine has now.

    One of a few, used again and again: libjack knows eight servers on a machine, and one that was killed keeps its
    place until the next of its name.
    """
    for number in range(4):
        name = f"sideman-tests-{number}"
        with (Path(tempfile.gettempdir()) / f"{name}.lock").open("w") as lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield name
            return
    pytest.fail("too many runs of these tests at once")


@pytest.fixture(scope="session")
def system(request: pytest.FixtureRequest) -> int:
    """The MIDI system that the tests use: ALSA, else JACK."""
    rtmidi = import_rtmidi()  # all programs in one process need one libjack
    with contextlib.suppress(Exception):
        rtmidi.MidiOut(rtmidi.API_LINUX_ALSA).delete()
        return int(rtmidi.API_LINUX_ALSA)
    request.getfixturevalue("jackd")
    return int(rtmidi.API_UNIX_JACK)


@pytest.fixture
def only_jack(jackd: Jackd, monkeypatch: pytest.MonkeyPatch) -> Jackd:
    """A machine that has only JACK, with a running server."""
    monkeypatch.setattr("sideman.midi.drivers._ALSA_SEQUENCER", "/nowhere")
    return jackd


class Others:
    """Other programs: a keyboard and a synth."""

    def __init__(self, system: int) -> None:
        self.system = system
        self._clients: list[Any] = []
        self.heard: queue.Queue[list[int]] = queue.Queue()

    def names(self) -> list[str]:
        """All ports of all programs: first those that send, then those that receive."""
        return [*self.client("MidiIn", "look").get_ports(), *self.client("MidiOut", "look").get_ports()]

    def client(self, kind: str, name: str) -> Any:
        """An rtmidi client."""
        client = getattr(import_rtmidi(), kind)(self.system, name=name)
        self._clients.append(client)
        return client

    def listen(self, link: MidiPorts) -> None:
        """Connect a synth to sideman's port; it puts what it receives into `heard`."""
        synth = self.client("MidiIn", "synth")
        synth.set_callback(self._hear)
        synth.open_port(_index(synth, "sideman:out"), "in")
        self.meet(link)

    def synth(self, name: str) -> None:
        """A synth with its own port `in`; it puts what it receives into `heard`."""
        synth = self.client("MidiIn", name)
        synth.set_callback(self._hear)
        synth.open_virtual_port("in")

    def meet(self, link: MidiPorts) -> None:
        """Wait until `link` reaches us: a connection carries from the server's next period on."""
        self.shake(link.send, self.heard)

    def keyboard(self, heard: queue.Queue[tuple[MidiEvent, float]]) -> Any:
        """A keyboard that is connected to sideman's port, which puts what it receives into `heard`."""
        keyboard = self.client("MidiOut", "keyboard")
        keyboard.open_port(_index(keyboard, "sideman-in:in"), "out")
        self.shake(keyboard.send_message, heard)
        return keyboard

    @staticmethod
    def shake(send: Callable[[Sequence[int]], object], heard: queue.Queue[Any]) -> None:
        """Send until messages arrive, several times: a new connection is not reliable at once."""
        for turn in range(2):

            def arrived(turn: int = turn) -> bool:
                send((0xBF, 119, turn))
                return not heard.empty()

            until(arrived)
            while _event(heard.get(timeout=LONG)) != ControlChange(119, turn, 16):
                pass
        send((0xBF, 119, 127))
        while _event(heard.get(timeout=LONG)) != ControlChange(119, 127, 16):
            pass

    def _hear(self, message: tuple[list[int], float], _data: object) -> None:
        self.heard.put(message[0])

    def next(self) -> tuple[int, ...]:
        """The next received message."""
        return tuple(self.heard.get(timeout=LONG))

    def close(self) -> None:
        """End all these programs; as sideman does, for rtmidi's sake (see sideman.midi.rtmidi_driver)."""
        hearing = [client for client in self._clients if hasattr(client, "cancel_callback")]
        kept = [gc.get_referents(client) for client in hearing]
        for client in hearing:
            client.cancel_callback()
        for step in ("close_port", "delete"):
            for client in self._clients:
                threading.Event().wait(0.02)
                getattr(client, step)()
        self._clients.clear()
        kept.clear()


def _event(heard: Any) -> MidiEvent:
    return ControlChange(heard[1], heard[2], 16) if isinstance(heard, list) else heard[0]


def _index(client: Any, port: str) -> int:
    def index() -> int:
        return next((n for n, name in enumerate(client.get_ports(), 1) if name.startswith(port)), 0)

    return int(until(index)) - 1


@pytest.fixture
def others(system: int) -> Iterator[Others]:
    """Other programs on the same MIDI system."""
    programs = Others(system)
    yield programs
    programs.close()


@contextlib.contextmanager
def midi_programs() -> Iterator[Others]:
    """Other programs, for a script: on ALSA, or else on a JACK server that runs meanwhile."""
    import rtmidi

    system = int(rtmidi.API_LINUX_ALSA)
    with contextlib.ExitStack() as stack:
        try:
            rtmidi.MidiOut(system).delete()
        except rtmidi.SystemError:
            stack.enter_context(running_server())
            system = int(rtmidi.API_UNIX_JACK)
        yield stack.enter_context(contextlib.closing(Others(system)))


class Dump:
    """JACK's own MIDI monitor. It is written in C, so it loses nothing on a busy machine."""

    def __init__(self, others: Others) -> None:
        look = others.client("MidiOut", "look")
        self.notes: dict[int, list[tuple[int, int, int]]] = {}
        ours, its = pty.openpty()  # a terminal, for it to write line by line
        self._process = subprocess.Popen(["jack_midi_dump", "dump"], stdout=its, stderr=subprocess.DEVNULL)
        os.close(its)
        self._lines = os.fdopen(ours, "r")
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        # Clients that come to JACK's server all at once can make it stand still; so one after the other.
        until(lambda: any(name.startswith("dump:") for name in look.get_ports()))

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # how a terminal ends
            for line in self._lines:
                message = re.match(r"\s*\d+: ([89])([0-9a-f]) ([0-9a-f]{2}) ([0-9a-f]{2})", line)
                if message:
                    with self._grown:
                        kind, channel, pitch, velocity = (int(part, 16) for part in message.groups())
                        self.notes.setdefault(channel, []).append((kind << 4, pitch, velocity))
                        self._grown.notify_all()

    def connect(self, port: str) -> None:
        """Listen to `port` too."""
        command = ["jack_connect", port, "dump:input"]
        until(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)

    def hears(self, channel: int, silence: bool) -> bool:
        """Whether, before long, a note of `channel` (from 0) sounds; or, for `silence`, none does any more."""
        return self.until(lambda: channel in self.notes and (not hanging_notes(self.notes[channel])) == silence)

    def until(self, true: Callable[[], bool]) -> bool:
        """Whether `true` comes true before long; it is asked at each note."""
        with self._grown:
            return self._grown.wait_for(true, LONG)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        self._reader.join(LONG)
        self._lines.close()


@pytest.fixture
def dump(only_jack: Jackd, others: Others) -> Iterator[Dump]:
    """JACK's MIDI monitor, connected to nothing yet."""
    assert only_jack.runs()
    with contextlib.closing(Dump(others)) as monitor:
        yield monitor
