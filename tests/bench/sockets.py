# SPDX-License-Identifier: Apache-2.0
"""What a note feels of those who watch, and of one who floods: how late the daemon sends, with and without them.

The whole daemon plays the same bars each time, its clients in a process of their own; in turns, so that a busy second
of the machine counts for all alike.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.figures import Budget, Figure, Samples, median, p99
from bench.scene import SEED, performance, undisturbed
from bench.timing import BUSY, daemon_lateness, unread_log
from sideman.service.service import THREAD_SWITCH_S

LIMIT_US = 150
"""What the crowd may add at the slowest hundredth: as much as the daemon itself may add to a bare sleep."""
_ROUNDS = 8
_STEPS_S = (0.0003, 0.001, 0.003, 0.01)
_NOBODY = "nobody"
_CROWDS = {"1 who watches": (1, 0), "20 who watch": (20, 0), "a flood": (0, 4)}

_CLIENTS = """
import selectors, socket, sys, time
path, watching, flooding = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
settings = [b'{"do":"set","key":"play.late_ms","value":%d}\\n' % (900 + n % 9) for n in range(999)]
floods = [b'{"do":"status"}\\n' * 1000, b"".join(settings), b'[' + b'[],' * 20000 + b'[]]\\n', b'\\0\\xff\\n' * 1000]
selector = selectors.DefaultSelector()
def join(data):
    way = socket.socket(socket.AF_UNIX)
    while way.connect_ex(path):
        time.sleep(0.005)
    if data is None:
        way.sendall(b'{"do":"watch"}\\n')
    way.setblocking(False)
    selector.register(way, selectors.EVENT_READ | (selectors.EVENT_WRITE if data else 0), data)
print("here", flush=True)
for number in range(watching + flooding):
    join(None if number < watching else floods[number % len(floods)])
while True:
    for key, events in selector.select():
        try:
            if events & selectors.EVENT_WRITE:
                key.fileobj.send(key.data)
            if events & selectors.EVENT_READ and not key.fileobj.recv(1 << 16):
                raise OSError
        except BlockingIOError:
            pass
        except OSError:
            selector.unregister(key.fileobj)
            key.fileobj.close()
            join(key.data)
"""


def figures(effort: float) -> Iterator[Figure]:
    """Lateness beside a crowd of each kind."""
    rounds = max(1, round(_ROUNDS * effort))
    late: dict[str, list[Samples]] = {name: [] for name in (_NOBODY, *_CROWDS)}
    with undisturbed(THREAD_SWITCH_S), unread_log(), tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for name, samples in late.items():
                samples.append(_late(Path(folder) / "control.sock", SEED + number, *_CROWDS.get(name, (0, 0))))
    for name in _CROWDS:
        yield _beside_nobody(f"sending beside {name}: late by", late[name], late[_NOBODY])


def _late(path: Path, seed: int, watching: int, flooding: int) -> list[float]:
    made = performance({**BUSY, "play.seed": seed, "control.socket": str(path)})
    with _crowd(path, watching, flooding):
        return daemon_lateness(made)


@contextlib.contextmanager
def _crowd(path: Path, watching: int, flooding: int) -> Iterator[None]:
    """A process with that many clients, which come as soon as there is a socket, and again when they are let go of."""
    if not watching + flooding:
        yield
        return
    command = [sys.executable, "-c", _CLIENTS, str(path), str(watching), str(flooding)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            if process.stdout is not None:
                process.stdout.readline()
            yield
        finally:
            process.kill()


def _beside_nobody(what: str, crowded: list[Samples], alone: list[Samples]) -> Figure:
    """Round by round, how far the slowest hundredth lies beyond that without a crowd: the median of the rounds."""
    further = 1e6 * median([p99(here) - p99(there) for here, there in zip(crowded, alone, strict=True)])
    budget = Budget(f"p99 at most {LIMIT_US} µs beyond that, median of rounds", LIMIT_US, further)
    here, there = (np.concatenate(each).tolist() for each in (crowded, alone))
    ratios = f"{median(here) / median(there):.2f} times as late as with nobody, {p99(here) / p99(there):.2f} at p99"
    steps = ", ".join(f"{1e3 * step:g} ms {_later(here, step):.1%} ({_later(there, step):.1%})" for step in _STEPS_S)
    beside = {_NOBODY: 1e6 * median(there), f"{_NOBODY}, p99": 1e6 * p99(there)}
    return Figure(what, "µs", 1e6 * median(here), 1e6 * p99(here), beside, budget, f"{ratios}; later than {steps}")


def _later(samples: Samples, seconds: float) -> float:
    """The share of `samples` that are more than so many seconds."""
    return sum(sample > seconds for sample in samples) / len(samples)
