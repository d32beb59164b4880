# SPDX-License-Identifier: Apache-2.0
"""The daemon as a process: the time until it is ready, its memory, and its use of the processor.

Beside it stands a bare process that only imports the daemon's dependencies: numpy, mido, rtmidi and msgspec. At a JACK
server with a period of 64 frames, whose 750 cycles a second wake each client, it also has an input and an output.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Budget, Figure, median
from bench.roundtrip import FRAMES, at_server, jack_server
from bench.scene import SEED
from sideman.core.errors import Unavailable

START_RATIO, MEMORY_MB, CPU_PERCENT = 2.0, 50, 0.4
_PAIRS, _SECONDS = 7, 12.0
_BARE = "bare numpy + mido + rtmidi + msgspec"
_BARE_PROGRAM = """
import numpy, mido, rtmidi, msgspec, sys
sys.stderr.write("ready\\n")
sys.stderr.flush()
sys.stdin.read()
"""
_BARE_PORTS_PROGRAM = """
import numpy, mido, msgspec, sys
from sideman.midi.rtmidi_driver import import_rtmidi
rtmidi = import_rtmidi()
ports = [kind(rtmidi.API_UNIX_JACK, name="bare") for kind in (rtmidi.MidiIn, rtmidi.MidiOut)]
for port in ports:
    port.open_virtual_port("port")
sys.stderr.write("ready\\n")
sys.stderr.flush()
sys.stdin.read()
"""
_BARE_PORTS = "a bare input and output of rtmidi"
_PROGRAMS = {"bare": _BARE_PROGRAM, "bare ports": _BARE_PORTS_PROGRAM}
_OURS = ["sideman", "run", "--set", "midi.client=sideman-bench", "--set", f"play.seed={SEED}"]
_LONGEST_S = 60.0  # against hanging only


@dataclass(frozen=True, slots=True)
class _Started:
    process: subprocess.Popen[str]
    seconds: float  # from its start to the word 'ready'


def figures(effort: float) -> Iterator[Figure]:
    """Start, memory, and use of the processor."""
    starts: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(max(1, round(_PAIRS * effort))):
        for name, seconds in starts.items():
            with _started(name) as one:
                seconds.append(one.seconds)
    yield _start(starts)
    with _started("bare") as bare, _started("ours") as ours:
        time.sleep(1.0)
        cpu = _cpu_percent(ours.process.pid, max(1.0, _SECONDS * effort))
        yield _memory(memory_mb(ours.process.pid), memory_mb(bare.process.pid))
    yield _cpu(cpu)
    yield from _with_jack(max(1.0, _SECONDS * effort))


def memory_mb(pid: int | str = "self") -> float | None:
    """The memory of a process in megabytes (10⁶ bytes): RssAnon + RssFile. None where there is no /proc."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return None
    kept = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssFile:"))]
    return sum(kept) * 1024 / 1e6


def _start(starts: dict[str, list[float]]) -> Figure:
    ours, bare = (1e3 * median(starts[name]) for name in ("ours", "bare"))
    budget = Budget(f"at most {START_RATIO} times that", START_RATIO, ours / bare)
    return Figure("start: `sideman run` to its ready line", "ms", ours, None, {_BARE: bare}, budget)


def _memory(ours: float | None, bare: float | None, where: str = "") -> Figure:
    what = f"memory of the playing process{where}"
    if ours is None or bare is None:
        return Figure(what, "MB", None, note="this system has no /proc")
    return Figure(what, "MB", ours, None, {_BARE: bare}, Budget(f"at most {MEMORY_MB} MB", MEMORY_MB, ours))


def _cpu(percent: float | None) -> Figure:
    what = "processor, 120 bpm, one value a beat"
    if percent is None:
        return Figure(what, "%", None, note="this system has no /proc")
    return Figure(what, "%", percent, budget=Budget(f"at most {CPU_PERCENT} % of a core", CPU_PERCENT, percent))


def _with_jack(seconds: float) -> Iterator[Figure]:
    """Memory and use of the processor at JACK. What a bare input and output use in each cycle is not ours."""
    where, why = f", JACK at {FRAMES} frames", ""
    if shutil.which("jackd") is None:
        why = "jackd is not installed"
    else:
        with jack_server(), _started("bare ports", at_server()) as bare, _started("ours", at_server()) as ours:
            time.sleep(1.0)
            used = [_cpu_percent(pid, seconds) for pid in (bare.process.pid, ours.process.pid)]
            memory = _memory(memory_mb(ours.process.pid), memory_mb(bare.process.pid), where)
        why = memory.note
    if why:
        yield from (
            Figure(f"{what}{where}", unit, None, note=why) for what, unit in (("memory of", "MB"), ("processor", "%"))
        )
        return
    bare_percent, percent = (each or 0.0 for each in used)
    yield memory
    text = f"at most {CPU_PERCENT} % of a core beyond that"
    budget = Budget(text, CPU_PERCENT, percent - bare_percent)
    yield Figure(
        f"processor, 120 bpm, one value a beat{where}", "%", percent, None, {_BARE_PORTS: bare_percent}, budget
    )


def _cpu_percent(pid: int, seconds: float) -> float | None:
    """The use of the processor by all threads of a process, in percent of one core."""
    before, start = _cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    after, end = _cpu_seconds(pid), time.monotonic()
    return None if before is None or after is None else 100 * (after - before) / (end - start)


def _cpu_seconds(pid: int) -> float | None:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text("ascii").split()[0]) for task in tasks) / 1e9
    except OSError:
        return None


@contextmanager
def _started(name: str, variables: Mapping[str, str] = os.environ) -> Iterator[_Started]:
    """A process that has printed that it is ready; it is ended afterwards."""
    command = ["-m", *_OURS] if name == "ours" else ["-c", _PROGRAMS[name]]
    with tempfile.TemporaryDirectory() as home:  # the user's configuration is not measured
        environment = {**variables, "XDG_CONFIG_HOME": home, "SIDEMAN_CONFIG": ""}
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *command], env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with process:
            try:
                yield _Started(process, _until_ready(process) - start)
            finally:
                _end(process)


def _until_ready(process: subprocess.Popen[str]) -> float:
    last = ""
    for line in process.stderr or ():
        if "ready" in line:
            return time.perf_counter()
        last = line
    raise Unavailable(f"the program to be measured did not start: {last.strip()}")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=_LONGEST_S)
    except subprocess.TimeoutExpired:
        process.kill()
