# SPDX-License-Identifier: Apache-2.0
"""Learning while it plays: what it costs the punctuality, and what it takes in memory and time.

The same music is played by the whole daemon with learning and without, in turns, while a player plays one figure into
its inbox over and over. With learning, networks are exchanged meanwhile: the tempo is so high that there is much to
learn from in a short time. The daemons learn with the process that the musician's daemon learns with.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from bench.figures import Budget, Figure, Samples, median, p99, seconds_of
from bench.scene import SEED, performance, undisturbed
from bench.timing import BUSY, Daemon, unread_log
from sideman.config.sources import SettingsSources
from sideman.core.events import AdoptNetwork, NoteOff, NoteOn
from sideman.learning.learner import Learner
from sideman.service.service import THREAD_SWITCH_S
from sideman_models.network.bundle import load_bundle
from sideman_models.training.fine_tuning import LANES, FineTuning, HeardValue
from support.lines import lick, line_of

LATER_US = 200
"""By how much later a daemon that learns may send, at the 99th percentile."""
MEMORY_MB, UPDATE_MS = 90, 200
_BPM, _BEATS, _ROUNDS, _UPDATES = 300, 160, 2, 10
_PLAYED = {"tempo.bpm": _BPM, "play.mode": "trade", "play.trade_bars": 4, "play.comp": ["bass", "drums"]}


def figures(effort: float) -> Iterator[Figure]:
    """Lateness, exchanges and memory; the time of an update."""
    rounds, beats = max(1, round(_ROUNDS * effort)), 8 * max(1, round(_BEATS * min(1.0, effort) / 8))
    with (
        undisturbed(THREAD_SWITCH_S),
        unread_log(),
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict("os.environ", STATE_DIRECTORY=folder),
    ):
        yield from _playing(rounds, beats)
    yield _update(max(1, round(_UPDATES * effort)))


class _Daemon(Daemon):
    """A daemon beside a player of `beats` beats."""

    beats = 0
    exchanges = 0
    process_mb = own_mb = 0.0
    """The memory of the process that learns, and of the daemon."""

    def _play(self, *parts: Any) -> None:
        learner = parts[-1]
        if isinstance(learner, Learner):
            put = learner._put

            def counted(command: AdoptNetwork) -> None:
                self.exchanges += 1
                put(command)

            learner._put = counted
        thread = threading.Thread(target=self._play_along, args=[learner], daemon=True)
        thread.start()
        super()._play(*parts)
        thread.join()

    def _play_along(self, learner: Learner | None) -> None:
        """Eighths on the beat, as a sequencer would play them."""
        eighth = 30 / _BPM
        for number, pitch in enumerate(lick(self.beats // 4 - 1)):
            for second, note in ((0.0, NoteOn(pitch, 2, 1)), (0.9 * eighth, NoteOff(pitch, 1))):
                time.sleep(max(0.0, self.start + number * eighth + second - time.monotonic()))
                self._inbox.put(note)
        self.own_mb = _memory_mb(os.getpid())
        if learner is not None and learner._process is not None:
            self.process_mb = _memory_mb(learner._process.pid)


def _memory_mb(pid: int) -> float:
    """The memory that a process has for itself and in use; 0 where the system does not say it."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1000
    return 0.0


def _playing(rounds: int, beats: int) -> Iterator[Figure]:
    lateness: dict[bool, list[Samples]] = {False: [], True: []}
    daemons: dict[bool, list[_Daemon]] = {False: [], True: []}
    for number in range(rounds):
        for learns in (False, True):
            keys = {**BUSY, **_PLAYED, "chart.choruses": beats // 8, "model.learn": learns, "play.seed": SEED + number}
            made = performance(keys)
            daemon = _Daemon(made.settings, made.chart, SettingsSources(), None)
            daemon.beats = beats
            lateness[learns].append(daemon.lateness())
            daemons[learns].append(daemon)
    excess = 1e6 * median([p99(one) - p99(other) for one, other in zip(lateness[True], lateness[False], strict=True)])
    ours, bare = (1e6 * np.concatenate(lateness[learns]) for learns in (True, False))
    beside = _histogram("learning", ours) | _histogram("without", bare)
    exchanges = sum(daemon.exchanges for daemon in daemons[True])
    budget = Budget(f"p99 at most {LATER_US} µs later than without, median of rounds", LATER_US, excess)
    note = f"{exchanges} networks exchanged; {len(ours)} messages with learning, {len(bare)} without"
    late = median(ours.tolist()), p99(ours.tolist())
    yield Figure("sending while it learns: late by", "µs", *late, beside, budget, note)
    memory = {"the daemon, learning": max(one.own_mb for one in daemons[True])}
    own = max(one.process_mb for one in daemons[True])
    limit = Budget(f"at most {MEMORY_MB} MB", MEMORY_MB, own)
    yield Figure("memory of the process that learns", "MB", own, None, memory, limit)


def _histogram(name: str, samples: Any) -> dict[str, float]:
    """By how much some shares of the messages are late at most."""
    return {
        f"{name}: {share:g} % by at most": float(np.percentile(samples, share)) for share in (50, 90, 99, 99.9, 100)
    }


def _update(times: int) -> Figure:
    """The time of one step of the learning, with as many passages as it takes."""
    made = performance()
    tuning = FineTuning(load_bundle(str(made.bundle.path)))
    tuning.hear(map(HeardValue.of, line_of(lick(64))))
    stretches = [passage.stretch for passage in tuning._learned][:LANES]
    seconds = [seconds_of(lambda: tuning._update(stretches)) for _ in range(times)]
    late = Budget(f"at most {UPDATE_MS} ms", UPDATE_MS, 1e3 * median(seconds))
    what = f"one update of the learning, {LANES} passages"
    return Figure(what, "ms", 1e3 * median(seconds), 1e3 * p99(seconds), budget=late)
