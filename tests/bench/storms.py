# SPDX-License-Identifier: Apache-2.0
"""Storms: the whole daemon over real JACK ports, its socket and OSC, beside a calm run.

    python -m bench.storms [--seconds 5] [NAME…]

Each storm is a process of its own. For each of them a line says how late the daemon sent its notes (median and 99th
percentile), the same of a bare absolute sleep beside it in the same storm, the peak of its memory, and the time from a
panic to its messages, from SIGTERM to silence and from SIGTERM to the exit, all while the storm goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.figures import median, p99
from bench.processes import memory_mb
from bench.roundtrip import _line, at_server, jack_server
from bench.scene import SEED, performance
from sideman.config.sources import SettingsSources
from sideman.core.events import ControlChange, EventSent, NoteOn, PlayerEnded, Report
from sideman.service import log
from sideman.service.service import Service

LATE_MS, SILENCE_MS, EXIT_S = 0.15, 50.0, 1.0
NOTES, PROGRAMS, TICKS, CLIENTS = 75_000, 5_000, 10_000, 64
_TURN_S = 0.001
_ALL_NOTES_OFF = 123
_CLIENT = "bench"
_LONGEST_S = 60.0  # against hanging only
_KEYS: dict[str, object] = {
    "tempo.bpm": 240,
    "play.rate": "sixteenth",
    "play.late_ms": 1000,
    "play.mode": "solo",
    "midi.client": _CLIENT,
    "midi.echo_ms": 0,
}
_MORE_KEYS: dict[str, dict[str, object]] = {
    "programs": {
        f"midi.programs.{number}": name for number, name in enumerate(("ballad", "bebop", "sparse", "wild"), 1)
    },
    "clock": {"tempo.source": "midi-clock", "tempo.wait_start": False},
    "keep": {"play.capture_minutes": 5},
}


# -- the storms: each calls `turn` every millisecond, or runs by itself


def _messages(*messages: Sequence[int], per_second: int) -> Callable[[Any, Path, int], None]:
    """Send these messages in turn, that many a second."""

    def send(port: Any, _socket: Path, _osc: int) -> None:
        each, began, sent = itertools.cycle(messages), time.monotonic(), 0
        while True:
            due = int((time.monotonic() - began) * per_second)
            if sent == 0:
                due = min(due, 100)
            for message in itertools.islice(each, min(due - sent, 1000)):
                port.send_message(message)
            sent = due
            time.sleep(_TURN_S)

    return send


def _requests(*lines: bytes) -> Callable[[Any, Path, int], None]:
    """Send requests over the socket as fast as they are read."""

    def send(_port: Any, path: Path, _osc: int) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            threading.Thread(target=_drain, args=[connection], daemon=True).start()
            while True:
                for line in lines:
                    connection.sendall(line + b"\n")

    return send


def _drain(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while connection.recv(1 << 16):
            pass


def _watched(storm: Callable[[Any, Path, int], None]) -> Callable[[Any, Path, int], None]:
    """A storm that five pages watch, of which one never reads."""

    def send(port: Any, path: Path, osc: int) -> None:
        connections = [socket.socket(socket.AF_UNIX) for _ in range(5)]
        for connection in connections:
            connection.connect(str(path))
            connection.sendall(b'{"v":2,"do":"watch","choices":true}\n')
        for connection in connections[1:]:
            threading.Thread(target=_drain, args=[connection], daemon=True).start()
        storm(port, path, osc)

    return send


def _idle(_port: Any, path: Path, _osc: int) -> None:
    connections = [socket.socket(socket.AF_UNIX) for _ in range(CLIENTS)]
    for connection in connections:
        connection.connect(str(path))
    time.sleep(_LONGEST_S)


def _come_and_go(_port: Any, path: Path, _osc: int) -> None:
    while True:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b'{"do":"status"}\n')
        time.sleep(_TURN_S)


def _osc(_port: Any, _socket: Path, port: int) -> None:
    from pythonosc.udp_client import SimpleUDPClient

    client = SimpleUDPClient("127.0.0.1", port)
    for number in itertools.count():
        client.send_message("/sideman/play/gate", 0.5 + number % 5 / 10)
        client.send_message("/sideman/preset", ("ballad", "bebop")[number % 2])
        client.send_message("/sideman/panic", 1)
        time.sleep(_TURN_S / 10)


def _calm(_port: Any, _socket: Path, _osc: int) -> None:
    time.sleep(_LONGEST_S)


_ON_AND_OFF = [(status, pitch, 80) for pitch in range(40, 80) for status in (0x93, 0x83)]
_HELD = [(0x90 | channel, pitch, 80) for channel in (3, 4, 5, 6) for pitch in range(128)]
STORMS: dict[str, Callable[[Any, Path, int], None]] = {
    "calm": _calm,
    "sysex": _messages((0xF0, 0x7D, *[1] * 200, 0xF7), per_second=5000),
    "notes": _messages(*_ON_AND_OFF, per_second=NOTES),
    "held": _messages(*_HELD, per_second=NOTES),
    "programs": _messages(*((0xC0, number % 4) for number in range(4)), per_second=PROGRAMS),
    "clock": _messages((0xF8,), per_second=TICKS),
    "controllers": _messages(
        *((0xB0, number, value) for value in range(128) for number in (1, 7, 64)), per_second=NOTES
    ),
    "keep": _requests(b'{"do":"keep"}'),
    "presets": _requests(b'{"do":"preset","name":"ballad"}', b'{"do":"preset","name":"bebop"}'),
    "panics": _requests(b'{"do":"panic"}', b'{"do":"start"}', b'{"do":"stop"}', b'{"do":"start"}'),
    "osc": _osc,
    "idle": _idle,
    "clients": _come_and_go,
    "pages": _watched(_messages(*_ON_AND_OFF, per_second=NOTES)),
}


# -- what runs in the processes


class _Daemon(Service):
    """The daemon, which records when it sends."""

    def begin(self) -> dict[str, list[float]]:
        """Run to the end; returns the lateness of the notes, and the seconds of the releases and panics."""
        stamps: dict[str, list[float]] = {"late": [], "panics": [], "silent": []}
        put, ended = self._wakeup.put, False

        def record(report: Report) -> None:
            nonlocal ended
            if isinstance(report, PlayerEnded):
                ended = True
                stamps["silent"].append(time.monotonic())
            elif isinstance(report, EventSent):
                now = time.monotonic()
                if ended:
                    stamps["silent"].append(now)
                elif isinstance(report.event, NoteOn):
                    stamps["late"].append(now - report.second)
                elif isinstance(report.event, ControlChange) and report.event.number == _ALL_NOTES_OFF:
                    stamps["panics"].append(now)
            put(report)

        self._wakeup.put = record  # type: ignore[method-assign]
        self.run()
        return stamps


def _play(name: str, folder: Path, osc: int) -> None:
    """The daemon's process."""
    log.configure_logging("info")
    keys = {**_KEYS, **_MORE_KEYS.get(name, {}), "play.seed": SEED, "control.socket": str(folder / "door")}
    made = performance({**keys, "control.osc": osc, "takes.folder": str(folder)})
    stamps = _Daemon(made.settings, made.chart, SettingsSources(), None).begin()
    print(json.dumps(stamps), flush=True)  # noqa: T201 - read by the benchmark


def _storm(name: str, folder: Path, osc: int) -> None:
    """The process of a storm; it begins when it is sent a line."""
    import rtmidi

    port = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="storm")
    index = next(number for number, each in enumerate(port.get_ports()) if each.startswith(f"{_CLIENT}-in:"))
    port.open_port(index, "out")
    print("ready", flush=True)  # noqa: T201 - read by the benchmark
    sys.stdin.readline()
    with contextlib.suppress(OSError):
        STORMS[name](port, folder / "door", osc)


@contextlib.contextmanager
def _process(*words: str) -> Iterator[subprocess.Popen[str]]:
    environment = at_server()
    command = [sys.executable, "-m", "bench.storms", *words]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def measure(name: str, seconds: float, *, stderr: Callable[[str], object] = lambda _line: None) -> dict[str, float]:
    """Let the daemon play in the storm `name` for that long; returns its figures, times in milliseconds."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            osc = str(probe.getsockname()[1])
        daemon = stack.enter_context(_process("--play", name, folder, osc))
        while "ready" not in (line := _line(daemon.stderr)):
            if not line:
                raise RuntimeError("the daemon did not start")
        threading.Thread(target=lambda: [stderr(line) for line in daemon.stderr or ()], daemon=True).start()
        storm = stack.enter_context(_process("--storm", name, folder, osc))
        _line(storm.stdout)
        assert storm.stdin is not None
        storm.stdin.write("\n")
        storm.stdin.flush()
        floor, peak, panic = _floor(seconds, daemon)
        term = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        stamps: dict[str, list[float]] = json.loads(_line(daemon.stdout))
        status = daemon.wait(_LONGEST_S)
        ended = time.monotonic()
        if status:
            raise RuntimeError(f"the daemon ended with status {status}")
    late = [1e3 * each for each in stamps["late"][-int(seconds * 12) :]]
    panicked = next((second for second in stamps["panics"] if second >= panic), float("nan"))
    return {
        "late": median(late),
        "late p99": p99(late),
        "floor": 1e3 * median(floor),
        "floor p99": 1e3 * p99(floor),
        "panic": 1e3 * (panicked - panic),
        "silence": 1e3 * (max(stamps["silent"]) - term),
        "exit": 1e3 * (ended - term),
        "memory": peak,
    }


def _floor(seconds: float, daemon: subprocess.Popen[str]) -> tuple[list[float], float, float]:
    """Sleep in short steps; returns by how much each was too long, the peak of the memory and when the panic was."""
    late, peak, panic = list[float](), 0.0, 0.0
    until = time.monotonic() + seconds
    while (due := time.monotonic() + 0.02) < until:
        time.sleep(due - time.monotonic())
        late.append(time.monotonic() - due)
        peak = max(peak, memory_mb(daemon.pid) or 0.0)
        if not panic and time.monotonic() > until - seconds / 2:
            panic = time.monotonic()
            daemon.send_signal(signal.SIGUSR1)
    return late, peak, panic


def main() -> None:
    """Print a line for each storm."""
    parser = argparse.ArgumentParser("bench.storms", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each storm lasts (default: 5)")
    parser.add_argument("--log", action="store_true", help="print what the daemon logs")
    for role in ("play", "storm"):
        parser.add_argument(f"--{role}", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"storms: {', '.join(STORMS)} (default: all)")
    given = parser.parse_args()
    if given.play or given.storm:
        name, folder, osc = given.play or given.storm
        (_play if given.play else _storm)(name, Path(folder), int(osc))
        return
    heads = ("late", "p99", "floor", "p99", "panic", "silence", "exit ms", "MB")
    _say(f"{'':12}" + "".join(f"{head:>9}" for head in heads))
    with jack_server():
        for name in given.names or STORMS:
            found = measure(name, given.seconds, stderr=sys.stderr.write if given.log else lambda _line: None)
            _say(f"{name:12}" + "".join(f"{value:9.2f}" for value in found.values()) + _missed(found))


def _missed(found: Mapping[str, float]) -> str:
    limits = {"late p99": found["floor p99"] + LATE_MS, "silence": SILENCE_MS, "exit": 1e3 * EXIT_S}
    missed = [f"{name} > {limit:.2f}" for name, limit in limits.items() if found[name] > limit]
    return f"  MISSED: {', '.join(missed)}" if missed else ""


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
