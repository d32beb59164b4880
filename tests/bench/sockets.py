# SPDX-License-Identifier: Apache-2.0
"""How late the daemon sends its notes while clients watch it, or flood its control socket, compared with no clients.

The whole daemon plays the same bars each time; the clients are in a process of their own. The cases alternate, so that
a busy second of the machine affects all of them alike.
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
"""By how much clients may increase the 99th percentile of the lateness."""
_ROUNDS = 8
_STEPS_S = (0.0003, 0.001, 0.003, 0.01)
_NO_CLIENTS = "no clients"
_CLIENTS = {"1 watching": (1, 0, 0), "20 watching": (20, 0, 0), "5 pages": (0, 5, 0), "a flood": (0, 0, 4)}


def figures(effort: float) -> Iterator[Figure]:
    """The lateness with clients of each kind."""
    rounds = max(1, round(_ROUNDS * effort))
    late: dict[str, list[Samples]] = {name: [] for name in (_NO_CLIENTS, *_CLIENTS)}
    with undisturbed(THREAD_SWITCH_S), unread_log(), tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for name, samples in late.items():
                samples.append(_late(Path(folder) / "control.sock", SEED + number, *_CLIENTS.get(name, (0, 0, 0))))
    for name in _CLIENTS:
        yield _beside_no_clients(f"sending beside {name}: late by", late[name], late[_NO_CLIENTS])


def _late(path: Path, seed: int, *clients: int) -> list[float]:
    made = performance({**BUSY, "play.seed": seed, "control.socket": str(path)})
    with _clients(path, *clients):
        return daemon_lateness(made)


@contextlib.contextmanager
def _clients(path: Path, *clients: int) -> Iterator[None]:
    """A process with that many clients of each kind, see `bench.clients`."""
    if not any(clients):
        yield
        return
    command = [sys.executable, "-m", "bench.clients", str(path), *map(str, clients)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            if process.stdout is not None:
                process.stdout.readline()
            yield
        finally:
            process.kill()


def _beside_no_clients(what: str, with_clients: list[Samples], without: list[Samples]) -> Figure:
    """By how much clients increase the 99th percentile: the median of the rounds."""
    increase = 1e6 * median([p99(crowded) - p99(alone) for crowded, alone in zip(with_clients, without, strict=True)])
    budget = Budget(f"p99 at most {LIMIT_US} µs more, median of rounds", LIMIT_US, increase)
    crowded, alone = (np.concatenate(rounds).tolist() for rounds in (with_clients, without))
    ratios = f"{median(crowded) / median(alone):.2f} times as late as without clients, "
    ratios += f"{p99(crowded) / p99(alone):.2f} at p99"
    steps = ", ".join(f"{1e3 * step:g} ms {_share(crowded, step):.1%} ({_share(alone, step):.1%})" for step in _STEPS_S)
    note = f"{ratios}; later than {steps}"
    beside = {_NO_CLIENTS: 1e6 * median(alone), f"{_NO_CLIENTS}, p99": 1e6 * p99(alone)}
    return Figure(what, "µs", 1e6 * median(crowded), 1e6 * p99(crowded), beside, budget, note)


def _share(samples: Samples, seconds: float) -> float:
    """The share of `samples` that are longer than `seconds`."""
    return sum(sample > seconds for sample in samples) / len(samples)
