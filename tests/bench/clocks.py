# SPDX-License-Identifier: Apache-2.0
"""How exactly an incoming MIDI clock is followed: with jitter, lost ticks, changes of tempo and pauses.

The error of a beat is taken just before its own tick arrives: it is the error of a note played there. Beside it stands
the jitter of the ticks: the error of a player who simply plays when the tick arrives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from bench.figures import Budget, Figure, median, p99
from bench.scene import SEED
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT
from support.clocks import Seconds, errors, going, jittered, ramp, steady

STEADY_MS, WORSE_MS, RAMP_MS, SETTLED_MS = 1.0, 1.5, 5.0, 2.0
JITTER_S, WORSE_JITTER_S = 0.002, 0.003
_BEATS = 4000
_RAMPS = 40
_JUMPS = 80
_SETTLES = 2  # beats after a change until the PLL has to be locked again
_LOST = 1 / 200  # share of the ticks


@dataclass(frozen=True, slots=True)
class Stream:
    """A clock: the true seconds of its ticks, and the seconds of their arrival; the `lost` ticks never arrive.

    If `changed_at` is not 0, the clock changes its tempo before that tick or, if `paused`, was stopped before it.
    """

    true: Seconds
    arrivals: Seconds
    lost: Collection[int] = ()
    changed_at: int = 0
    paused: bool = False


def figures(effort: float) -> Iterator[Figure]:
    """The errors in milliseconds: without and with jitter, with lost ticks, and through changes of the tempo."""
    beats, ramps, jumps = (max(least, round(most * effort)) for least, most in ((50, _BEATS), (1, _RAMPS), (2, _JUMPS)))
    true = steady(beats, 120.0)
    noisy = jittered(true, JITTER_S, SEED)
    lost = set(np.flatnonzero(np.random.default_rng(SEED).random(len(true)) < _LOST).tolist())
    yield _figure("even ticks", [Stream(true, true)], STEADY_MS)
    yield _figure("ticks ±2 ms", [Stream(true, noisy)], STEADY_MS)
    yield _figure("ticks ±3 ms", [Stream(true, jittered(true, WORSE_JITTER_S, SEED))], WORSE_MS)
    yield _figure("1 in 200 lost", [Stream(true, noisy, lost)], STEADY_MS)
    yield _figure("90 to 150 in 8 bars", _several(ramp(32, 90.0, 150.0), ramps), RAMP_MS)
    changes = 16 * CLOCK_TICKS_PER_BEAT
    jump, pause = going((120.0, 120.0, 16), (150.0, 150.0, 16)), steady(32, 120.0)
    pause[changes:] += 3.21
    yield _figure("after a jump to 150", _several(jump, jumps, changes + 1), SETTLED_MS)
    yield _figure("after a pause", _several(pause, jumps, changes, paused=True), SETTLED_MS)


def _several(true: Seconds, times: int, changed_at: int = 0, *, paused: bool = False) -> list[Stream]:
    return [Stream(true, jittered(true, JITTER_S, SEED + n), (), changed_at, paused) for n in range(times)]


def _figure(what: str, streams: Collection[Stream], limit: float) -> Figure:
    off, raw = list[float](), list[float]()
    for stream in streams:
        settled = -(-stream.changed_at // CLOCK_TICKS_PER_BEAT) + _SETTLES
        found = errors(stream.true, stream.arrivals, stream.lost, pause=stream.changed_at if stream.paused else 0)
        off += (1e3 * error for beat, error in found.items() if beat >= settled)
        raw += (1e3 * np.abs(stream.arrivals - stream.true)).tolist()
    beside = {"the ticks' own jitter": median(raw), "the ticks' own jitter, p95": float(np.percentile(raw, 95)),
              "the ticks' own jitter, p99": p99(raw), "itself at p95": float(np.percentile(off, 95))}  # fmt: skip
    budget = Budget(f"p99 at most {limit:g} ms", limit, p99(off))
    return Figure(f"clock in: off the beat, {what}", "ms", median(off), p99(off), beside, budget)
