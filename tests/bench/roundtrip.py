# SPDX-License-Identifier: Apache-2.0
"""Over real ports, with another program at their other ends: from a note that arrives to the answer.

Three processes use a JACK server of their own (dummy driver, 64 frames): another program, which plays notes and records
what it receives; and, alternately, sideman and a bare echo, which sends on at once what it receives. The time that
sideman waits on purpose, for the beat or for a pause, is subtracted: what is left is the way in, the way out, and the
cost of hearing and answering. All of them read the same clock.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.figures import Budget, Figure, median, p99
from bench.scene import SEED, performance
from sideman.core.events import EventSent, MidiEvent, NoteOff, NoteOn, Report, encode
from sideman.midi.ports import MidiPorts
from sideman.midi.request import PortRequest
from sideman.playing.inbox import Inbox
from sideman.playing.overload import Arrival
from sideman.playing.player import Player
from sideman.service.service import prepare_interpreter

FRAMES, RATE = 64, 48000
HEARD_MS, ROUND_TRIP = 0.7, 1.25
_SERVER = "sideman-bench"
_WHAT = (
    "ports: note in until the state has moved",
    "ports: note in until answered, less the pause",
    "ports: round trip in a duet, 64 frames",
)
_NOTES, _PHRASES, _PHRASE = 200, 24, 6
_LONGEST_S = 60.0  # against hanging only
_WAY_S = 0.01
_PAUSE_S = 0.8
_KEYS: dict[str, dict[str, object]] = {
    "duet": {"tempo.bpm": 300, "play.rate": "eighth", "play.density": 4, "play.rests": 1},
    "answer": {"tempo.bpm": 300, "play.rate": "sixteenth", "play.density": 4, "play.rests": 0},
}


def figures(effort: float) -> Iterator[Figure]:
    """From a note in until it is heard; until it is answered; round trip in a duet."""
    if shutil.which("jackd") is None:
        yield from (Figure(what, "ms", None, note="jackd is not installed") for what in _WHAT)
        return
    notes, phrases = max(10, round(_NOTES * effort)), max(2, round(_PHRASES * effort))
    with jack_server():
        echo = _together("echo", notes, phrases=0)
        duet = _together("duet", notes, phrases=0)
        answer = _together("answer", 0, phrases)
    yield _heard(duet, echo)
    yield _answered(answer, echo)
    yield _round_trip(duet, echo)


Seconds = Sequence[float]
Stamps = dict[str, list[float]]
"""Seconds by event: `struck`, `back` in the other program; `came`, `taken`, `due` in the program that is measured."""


def _heard(duet: Stamps, echo: Stamps) -> Figure:
    ours, floor = _differences(duet["struck"], duet["taken"]), _differences(echo["struck"], echo["came"])
    beyond = p99(ours) - p99(floor)
    budget = Budget(f"p99 at most {HEARD_MS:g} ms beyond that", HEARD_MS, beyond)
    return _figure(_WHAT[0], ours, "a bare port's way in", floor, budget)


def _answered(answer: Stamps, echo: Stamps) -> Figure:
    """From the last note of a phrase to the first note of the answer, without the pause that it waits for."""
    way_in = _differences(answer["struck"], answer["came"])
    due = np.array(answer["due"])
    first = due[np.searchsorted(due, answer["struck"]).clip(max=len(due) - 1)]
    ours, floor = _sums(way_in, _ways_out(first.tolist(), answer["back"])), _differences(echo["struck"], echo["back"])
    budget = Budget(f"p99 at most {ROUND_TRIP:g} times that", ROUND_TRIP, p99(ours) / p99(floor))
    return _figure(_WHAT[1], ours, "a bare echo", floor, budget)


def _round_trip(duet: Stamps, echo: Stamps) -> Figure:
    ours = _sums(_differences(duet["struck"], duet["taken"]), _ways_out(duet["due"], duet["back"]))
    floor = _differences(echo["struck"], echo["back"])
    budget = Budget(f"p99 at most {ROUND_TRIP:g} times that", ROUND_TRIP, p99(ours) / p99(floor))
    return _figure(_WHAT[2], ours, "a bare echo", floor, budget)


def _figure(what: str, ours: Seconds, floor_is: str, floor: Seconds, budget: Budget) -> Figure:
    beside = {floor_is: median(floor), f"{floor_is}, p99": p99(floor)}
    return Figure(what, "ms", median(ours), p99(ours), beside, budget)


def _differences(earlier: Seconds, later: Seconds) -> list[float]:
    """Milliseconds from each second to the next one in `later`; a note that was lost on the way does not count."""
    found = np.searchsorted(later, earlier)
    pairs = zip(earlier, found, strict=True)
    return [1e3 * (later[index] - second) for second, index in pairs if index < len(later)]


def _ways_out(due: Seconds, back: Seconds) -> list[float]:
    """The same for our own notes, while the other program was there to receive them."""
    return _differences([second for second in due if back[0] - _WAY_S < second < back[-1]], back)


def _sums(in_: Seconds, out: Seconds) -> list[float]:
    """The sums of a way in and a way out; the two are independent, so any pairs will do."""
    return [there + back for there, back in zip(in_, np.resize(out, len(in_)).tolist(), strict=True)]


# -- the server and the programs


@contextmanager
def jack_server() -> Iterator[None]:
    """Run a JACK server of our own; what is started with `at_server` uses it."""
    command = ["jackd", "-n", _SERVER, "--no-realtime", "-d", "dummy", "-r", str(RATE), "-p", str(FRAMES)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for_socket(Path(f"/dev/shm/jack_{_SERVER}_{os.getuid()}_0"), server)
        yield
    finally:
        server.terminate()
        server.wait()


def at_server() -> dict[str, str]:
    """The environment of a program that uses the server of `jack_server`."""
    return {**os.environ, "JACK_DEFAULT_SERVER": _SERVER, "JACK_NO_START_SERVER": "1"}


def _wait_for_socket(path: Path, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server accepts connections at its socket."""
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until and server.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError("jackd does not answer")


def _together(role: str, notes: int, phrases: int) -> Stamps:
    """Let the program `role` and the other program play together; returns the stamps of both."""
    with ExitStack() as stack:
        measured = stack.enter_context(_program(role))
        _line(measured.stdout)  # its ports are open
        other = stack.enter_context(_program("other", str(notes), str(phrases)))
        _line(other.stdout)
        stamps: Stamps = json.loads(_line(other.stdout))
        _close(measured.stdin)
        stamps.update(json.loads(_line(measured.stdout)))
    return stamps


@contextmanager
def _program(*words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.roundtrip", *words]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": at_server()}
    with subprocess.Popen(command, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def _line(file: IO[str] | None) -> str:
    return "" if file is None else file.readline()


def _close(file: IO[str] | None) -> None:
    if file is not None:
        file.close()


# -- what runs in the processes


def _echo() -> Stamps:
    """Send on every note at once."""
    came: list[float] = []

    def hear(event: MidiEvent, second: float) -> None:
        if isinstance(event, NoteOn):
            came.append(second)
        ports.send(encode(event))

    ports = MidiPorts(PortRequest(client="bench"), hear)
    with _open(ports):
        sys.stdin.read()
    return {"came": came}


def _sideman(mode: str) -> Stamps:
    """Play in `mode`, and record when each note arrived, when it had been received, and when our notes were due."""
    inbox = Inbox()
    ports = MidiPorts(PortRequest(client="bench"), inbox.put)
    made = performance({**_KEYS[mode], "play.mode": mode, "play.late_ms": 1000, "play.seed": SEED, "midi.echo_ms": 0})
    with _open(ports):
        prepare_interpreter()
        player = _Player(made.make_engine(inbox.now() + 0.1), ports, inbox, lambda _: None)
        player.begin()
        sys.stdin.read()
        inbox.put(None)
        player.ended()
    return player.stamps


class _Player(Player):
    """A player in a thread of its own that records what it does."""

    def begin(self) -> None:
        """Start to play."""
        import threading

        self.stamps: Stamps = {"came": [], "taken": [], "due": []}
        self.engine.report = self._on_report = self._note
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()

    def ended(self) -> None:
        """Wait until it has ended."""
        self._thread.join(_LONGEST_S)

    def _note(self, report: Report) -> None:
        if isinstance(report, EventSent) and isinstance(report.event, NoteOn):
            self.stamps["due"].append(report.second)

    def _receive(self, arrival: Arrival, now: float) -> None:
        super()._receive(arrival, now)
        if isinstance(arrival.item, NoteOn):
            self.stamps["came"].append(arrival.second)
            self.stamps["taken"].append(time.monotonic())


def _other(notes: int, phrases: int) -> Stamps:
    """Play `notes` notes at random times, then `phrases` phrases with a pause after each; record what comes back."""
    back: list[float] = []
    struck: list[float] = []

    def hear(event: MidiEvent, second: float) -> None:
        if isinstance(event, NoteOn):
            back.append(second)

    ports, rng = MidiPorts(PortRequest("bench-in:in", "bench:out", "other"), hear), np.random.default_rng(SEED)
    with _open(ports):
        time.sleep(0.3)  # a connection takes a period or two
        struck += [_strike(ports, rng.uniform(0.015, 0.06)) for _ in range(notes)]
        for _ in range(phrases):
            struck.append([_strike(ports, 0.05) for _ in range(_PHRASE)][-1])
            time.sleep(_PAUSE_S)
        time.sleep(0.1)
    return {"struck": struck, "back": back}


def _strike(ports: MidiPorts, seconds: float) -> float:
    """Play a note and wait, `seconds` in all, two thirds of them with the note on; returns when it was struck."""
    second = time.monotonic()
    ports.send(encode(NoteOn(60, 2, 5)))
    time.sleep(seconds * 2 / 3)
    ports.send(encode(NoteOff(60, 5)))
    time.sleep(seconds / 3)
    return second


@contextmanager
def _open(ports: MidiPorts) -> Iterator[None]:
    for reason in ports.open():
        raise RuntimeError(reason)
    print("open", flush=True)  # noqa: T201 - read by the benchmark
    try:
        yield
    finally:
        ports.close()


def main() -> None:
    """Run the program that the command line names."""
    role, *counts = sys.argv[1:]
    stamps = _echo() if role == "echo" else _other(*map(int, counts)) if role == "other" else _sideman(role)
    print(json.dumps(stamps), flush=True)  # noqa: T201 - read by the benchmark


if __name__ == "__main__":
    main()
