# SPDX-License-Identifier: Apache-2.0
"""Whether the memory stays constant: eight hours of playing and listening, on a clock that jumps.

It runs in a process of its own, which prints its memory after ten minutes and at the end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from bench.figures import Budget, Figure
from bench.processes import memory_mb
from bench.scene import performance, undisturbed
from sideman.core.events import NoteOff, NoteOn
from sideman.playing.overload import Arrival
from sideman.playing.player import Player
from sideman.service.service import THREAD_SWITCH_S

GROWTH_MB = 1
_HOURS = 8.0
_SETTLED_S = 600.0  # every cache that is filled while playing is full by then
_NOTE_EVERY_S = 1.3


def figures(effort: float) -> Iterator[Figure]:
    """The growth of the memory."""
    hours = max(0.25, _HOURS * effort)
    command = [sys.executable, "-m", "bench.hours", str(hours)]
    printed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    what = f"memory: growth in {hours:g} simulated hours"
    if printed is None:
        yield Figure(what, "MB", None, note="this system has no /proc")
        return
    settled, end = printed
    yield Figure(what, "MB", end - settled, None, {"all of it after 10 minutes": settled},
                 Budget(f"flat: at most {GROWTH_MB} MB", GROWTH_MB, end - settled))  # fmt: skip


@dataclass
class _JumpingClock:
    """A clock that jumps to the next event; from time to time a note arrives."""

    second: float = 0.0
    end: float = 0.0
    heard: int = 0

    def now(self) -> float:
        """The present second."""
        return self.second

    def wait(self, until: float) -> Arrival | None:
        """The next note on or off, the end, or None at `until`."""
        arrival = (self.heard + 1) * _NOTE_EVERY_S / 2
        if self.end <= min(arrival, until):
            return Arrival(self.end, None)
        if arrival > until:
            self.second = max(self.second, until)
            return None
        self.second = max(self.second, arrival)
        pitch = 48 + self.heard // 2 * 7 % 36
        self.heard += 1
        return Arrival(arrival, NoteOn(pitch, 1, 1) if self.heard % 2 else NoteOff(pitch, 1))

    def woken_at(self, until: float) -> float:
        """See `Clock`."""
        return max(self.now(), until)

    def sleep(self, until: float) -> None:
        """Jump."""
        self.second = max(self.second, until)

    def is_idle(self) -> bool:
        """Whether no arrival is waiting."""
        return True

    def has_more(self, until: float) -> bool:
        """See `Clock`."""
        return self.second < until


class _Nowhere:
    def send(self, message: tuple[int, ...]) -> None:
        """Nothing is sent."""

    def send_to(self, port_id: str, message: tuple[int, ...]) -> None:
        """Send nothing."""


def main(hours: float) -> None:
    """Play for `hours` and print [MB after ten minutes, MB at the end], or null."""
    engine, clock, memory = performance().make_engine(0.0), _JumpingClock(), []
    with undisturbed(THREAD_SWITCH_S):
        for clock.end in (_SETTLED_S, 3600 * hours):
            Player(engine, _Nowhere(), clock, lambda _bar: None).run()
            memory.append(memory_mb())
    json.dump(None if None in memory else memory, sys.stdout)


if __name__ == "__main__":
    main(float(sys.argv[1]))
