# SPDX-License-Identifier: Apache-2.0
"""How near to the true beat a MIDI clock is followed, through what happens to clocks on their way.

The error of a beat is taken just before its own tick comes: it is that of a note played there. Beside it stands the
jitter of the ticks themselves: what a player would have who simply played when the tick comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt

from sideman.bench.figures import Budget, Figure, median, p99
from sideman.bench.scene import SEED
from sideman.core.clockfilter import TICKS_A_BEAT, ClockFilter

Seconds = npt.NDArray[np.float64]

STEADY_MS, RAMP_MS = 1.0, 5.0
JITTER_S = 0.002
_BEATS = 4000
_RAMPS = 40
_ACQUIRED = 2  # beats
_LOST_EVERY = 200


def figures(effort: float) -> Iterator[Figure]:
    """The errors in milliseconds: without jitter, with it, with lost ticks too, and while the tempo grows."""
    beats, ramps = max(50, round(_BEATS * effort)), max(1, round(_RAMPS * effort))
    true = steady(beats, 120.0)
    lost = set(range(_LOST_EVERY, len(true), _LOST_EVERY))
    shaken = jittered(true, JITTER_S, SEED)
    yield _figure("clock in: off the beat, even ticks", [(true, true, ())], STEADY_MS)
    yield _figure("clock in: off the beat, ticks ±2 ms", [(true, shaken, ())], STEADY_MS)
    yield _figure("clock in: off the beat, 1 in 200 lost", [(true, shaken, lost)], STEADY_MS)
    true = ramp(32, 90.0, 150.0)
    streams = [(true, jittered(true, JITTER_S, SEED + number), ()) for number in range(ramps)]
    yield _figure("clock in: off the beat, 90 to 150 in 8 bars", streams, RAMP_MS)


def _figure(what: str, streams: Collection[tuple[Seconds, Seconds, Collection[int]]], limit: float) -> Figure:
    off, raw = list[float](), list[float]()
    for true, come, lost in streams:
        off += (1e3 * error for beat, error in errors(true, come, lost).items() if beat >= _ACQUIRED)
        raw += (1e3 * np.abs(come - true)).tolist()
    beside = {"the ticks' own jitter": median(raw), "the ticks' own jitter, p95": float(np.percentile(raw, 95)),
              "the ticks' own jitter, p99": p99(raw), "itself at p95": float(np.percentile(off, 95))}  # fmt: skip
    return Figure(what, "ms", median(off), p99(off), beside, Budget(f"p99 at most {limit:g} ms", limit, p99(off)))


# -- clocks


def steady(beats: int, bpm: float, start: float = 10.0) -> Seconds:
    """The true seconds of the ticks of so many beats."""
    return going((bpm, bpm, beats), start=start)


def going(*parts: tuple[float, float, int], start: float = 10.0) -> Seconds:
    """The true seconds of ticks whose tempo goes evenly, tick by tick, from one to another, over so many beats each."""
    bpms = [np.linspace(first, last, beats * TICKS_A_BEAT) for first, last, beats in parts]
    seconds: Seconds = start + np.concatenate([[0.0], np.cumsum(60.0 / (TICKS_A_BEAT * np.concatenate(bpms)))])
    return seconds


def ramp(beats: int, first: float, last: float) -> Seconds:
    """A tempo that grows or falls for so many beats, after eight beats and before four at a steady one."""
    return going((first, first, 8), (first, last, beats), (last, last, 4))


def jittered(seconds: Seconds, most: float, seed: int) -> Seconds:
    """Each up to `most` seconds early or late, by dice; in the order in which they come."""
    come: Seconds = np.sort(seconds + np.random.default_rng(seed).uniform(-most, most, len(seconds)))
    return come


def errors(true: Seconds, come: Seconds, lost: Collection[int] = (), bpm: float = 120.0) -> dict[int, float]:
    """By beat, the seconds it would be off its true one, as known just before its tick. The `lost` ticks never come."""
    follower, last, found = ClockFilter(bpm), -1, dict[int, float]()
    for number, second in enumerate(come.tolist()):
        if number and number % TICKS_A_BEAT == 0:
            expected = follower.second + (number - last) * follower.period
            found[number // TICKS_A_BEAT] = abs(expected - float(true[number]))
        if number not in lost:
            last += follower.tick(second)
    return found
