# SPDX-License-Identifier: Apache-2.0
"""Over real ports, with another program at their other ends: a note in, and what comes of it.

Three processes on a JACK server of their own (dummy driver, 64 frames): another program, which strikes notes and
writes down what it hears; and in turns sideman and a bare echo, which passes on what it hears at once. Whatever
sideman means to wait for, the beat or your pause, is taken away from its figures: what is left is the way in, the way
out and what it costs to hear and to answer. All of them read the same clock.
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
from sideman.core.events import MidiEvent, NoteOff, NoteOn, encode
from sideman.core.reports import EventSent, Report
from sideman.midi.ports import MidiPorts, PortRequest
from sideman.playing.inbox import Arrival, Inbox
from sideman.playing.player import Player
from sideman.service.service import prepare_interpreter

FRAMES, RATE = 64, 48000
HEARD_MS, ROUND_TRIP = 1.0, 1.5
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
    """Note in until heard; until answered; round trip in a duet."""
    if shutil.which("jackd") is None:
        yield from (Figure(what, "ms", None, note="jackd is not installed") for what in _WHAT)
        return
    notes, phrases = max(10, round(_NOTES * effort)), max(2, round(_PHRASES * effort))
    with _server():
        echo = _together("echo", notes, phrases=0)
        duet = _together("duet", notes, phrases=0)
        answer = _together("answer", 0, phrases)
    yield _heard(duet, echo)
    yield _answered(answer, echo)
    yield _round_trip(duet, echo)


Seconds = Sequence[float]
Stamps = dict[str, list[float]]
"""By what happened: `struck` and `back` at the other program; `came`, `taken`, `due` at the one that is measured."""


def _heard(duet: Stamps, echo: Stamps) -> Figure:
    ours, floor = _differences(duet["struck"], duet["taken"]), _differences(echo["struck"], echo["came"])
    beyond = p99(ours) - p99(floor)
    budget = Budget(f"p99 at most {HEARD_MS:g} ms beyond that", HEARD_MS, beyond)
    return _figure(_WHAT[0], ours, "a bare port's way in", floor, budget)


def _answered(answer: Stamps, echo: Stamps) -> Figure:
    """From the last note of a phrase to the first of the answer, less the pause that is waited for."""
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
    """Milliseconds from each second to the next of those that came later: a note lost on the way counts for nothing."""
    found = np.searchsorted(later, earlier)
    pairs = zip(earlier, found, strict=True)
    return [1e3 * (later[index] - second) for second, index in pairs if index < len(later)]


def _ways_out(due: Seconds, back: Seconds) -> list[float]:
    """The same for notes of ours, as long as the other program was there to hear them."""
    return _differences([second for second in due if back[0] - _WAY_S < second < back[-1]], back)


def _sums(in_: Seconds, out: Seconds) -> list[float]:
    """Each way in with a way out: they have nothing to do with each other, so that any will do."""
    return [there + back for there, back in zip(in_, np.resize(out, len(in_)).tolist(), strict=True)]


# -- the server and the programs


@contextmanager
def _server() -> Iterator[None]:
    command = ["jackd", "-n", _SERVER, "--no-realtime", "-d", "dummy", "-r", str(RATE), "-p", str(FRAMES)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for_door(Path(f"/dev/shm/jack_{_SERVER}_{os.getuid()}_0"), server)
        yield
    finally:
        server.terminate()
        server.wait()


def _wait_for_door(door: Path, server: subprocess.Popen[bytes]) -> None:
    """Until the server answers at its socket."""
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until and server.poll() is None:
        with socket.socket(socket.AF_UNIX) as knocking:
            if knocking.connect_ex(str(door)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError("jackd does not answer")


def _together(role: str, notes: int, phrases: int) -> Stamps:
    """Let the program `role` and the other one play together; all their stamps."""
    with ExitStack() as stack:
        measured = stack.enter_context(_program(role))
        _line(measured.stdout)  # its ports are there
        other = stack.enter_context(_program("other", str(notes), str(phrases)))
        _line(other.stdout)
        stamps: Stamps = json.loads(_line(other.stdout))
        _close(measured.stdin)
        stamps.update(json.loads(_line(measured.stdout)))
    return stamps


@contextmanager
def _program(*words: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "JACK_DEFAULT_SERVER": _SERVER, "JACK_NO_START_SERVER": "1"}
    command = [sys.executable, "-m", "bench.roundtrip", *words]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
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


# -- what runs in them


def _echo() -> Stamps:
    """Pass on every note at once."""
    came: list[float] = []

    def hear(event: MidiEvent, second: float) -> None:
        if isinstance(event, NoteOn):
            came.append(second)
        link.send(encode(event))

    link = MidiPorts(PortRequest(client="bench"), hear)
    with _open(link):
        sys.stdin.read()
    return {"came": came}


def _sideman(mode: str) -> Stamps:
    """Play in `mode`, and write down when a note came, when it was taken in, and when notes were due."""
    inbox = Inbox()
    link = MidiPorts(PortRequest(client="bench"), inbox.put)
    made = performance({**_KEYS[mode], "play.mode": mode, "play.late_ms": 1000, "play.seed": SEED, "midi.echo_ms": 0})
    with _open(link):
        prepare_interpreter()
        player = _Player(made.make_engine(inbox.now() + 0.1), link, inbox, lambda _: None)
        player.begin()
        sys.stdin.read()
        inbox.put(None)
        player.ended()
    return player.stamps


class _Player(Player):
    """A player in a thread of its own that writes down what it does."""

    def begin(self) -> None:
        """Play."""
        import threading

        self.stamps: Stamps = {"came": [], "taken": [], "due": []}
        self.engine.report = self._on_report = self._note
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()

    def ended(self) -> None:
        """Wait for its end."""
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
    """Strike `notes` at random moments, then `phrases` with a pause after each; write down what comes back."""
    back: list[float] = []
    struck: list[float] = []

    def hear(event: MidiEvent, second: float) -> None:
        if isinstance(event, NoteOn):
            back.append(second)

    link, dice = MidiPorts(PortRequest("bench-in:in", "bench:out", "other"), hear), np.random.default_rng(SEED)
    with _open(link):
        time.sleep(0.3)  # a connection takes a round or two
        struck += [_strike(link, dice.uniform(0.015, 0.06)) for _ in range(notes)]
        for _ in range(phrases):
            struck.append([_strike(link, 0.05) for _ in range(_PHRASE)][-1])
            time.sleep(_PAUSE_S)
        time.sleep(0.1)
    return {"struck": struck, "back": back}


def _strike(link: MidiPorts, seconds: float) -> float:
    """A note of so many seconds, two thirds of them sounding; when it was struck."""
    second = time.monotonic()
    link.send(encode(NoteOn(60, 2, 5)))
    time.sleep(seconds * 2 / 3)
    link.send(encode(NoteOff(60, 5)))
    time.sleep(seconds / 3)
    return second


@contextmanager
def _open(link: MidiPorts) -> Iterator[None]:
    for reason in link.open():
        raise RuntimeError(reason)
    print("open", flush=True)  # noqa: T201 - to its parent
    try:
        yield
    finally:
        link.close()


def main() -> None:
    """Be one of the programs, as the command line says."""
    role, *counts = sys.argv[1:]
    stamps = _echo() if role == "echo" else _other(*map(int, counts)) if role == "other" else _sideman(role)
    print(json.dumps(stamps), flush=True)  # noqa: T201 - to its parent


if __name__ == "__main__":
    main()
