# SPDX-License-Identifier: Apache-2.0
"""How near to the true beat a MIDI clock is followed, through what happens to clocks on their way.

The error of a beat is taken just before its own tick comes: it is that of a note played there. Beside it stands the
jitter of the ticks themselves: what a player would have who simply played when the tick comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.figures import Budget, Figure, median, p99
from bench.scene import SEED
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT, ClockPLL

Seconds = npt.NDArray[np.float64]

STEADY_MS, WORSE_MS, RAMP_MS, SETTLED_MS = 1.0, 1.5, 5.0, 2.0
JITTER_S, WORSE_JITTER_S = 0.002, 0.003
_BEATS = 4000
_RAMPS = 40
_JUMPS = 80
_SETTLES = 2  # beats, after which it is to be locked again
_LOST = 1 / 200


@dataclass(frozen=True, slots=True)
class Stream:
    """A clock: the true seconds of its ticks, and those at which they come, but for the `lost` ones.

    Before the tick `anew` something happens to it; `paused`: it is stopped there, and goes on later.
    """

    true: Seconds
    come: Seconds
    lost: Collection[int] = ()
    anew: int = 0
    paused: bool = False


def figures(effort: float) -> Iterator[Figure]:
    """The errors in milliseconds: without jitter and with it, with lost ticks too, and through changes of the tempo."""
    beats, ramps, jumps = (max(least, round(most * effort)) for least, most in ((50, _BEATS), (1, _RAMPS), (2, _JUMPS)))
    true = steady(beats, 120.0)
    shaken = jittered(true, JITTER_S, SEED)
    lost = set(np.flatnonzero(np.random.default_rng(SEED).random(len(true)) < _LOST).tolist())
    yield _figure("even ticks", [Stream(true, true)], STEADY_MS)
    yield _figure("ticks ±2 ms", [Stream(true, shaken)], STEADY_MS)
    yield _figure("ticks ±3 ms", [Stream(true, jittered(true, WORSE_JITTER_S, SEED))], WORSE_MS)
    yield _figure("1 in 200 lost", [Stream(true, shaken, lost)], STEADY_MS)
    yield _figure("90 to 150 in 8 bars", _several(ramp(32, 90.0, 150.0), ramps), RAMP_MS)
    changes = 16 * CLOCK_TICKS_PER_BEAT
    jump, pause = going((120.0, 120.0, 16), (150.0, 150.0, 16)), steady(32, 120.0)
    pause[changes:] += 3.21
    yield _figure("after a jump to 150", _several(jump, jumps, changes + 1), SETTLED_MS)
    yield _figure("after a pause", _several(pause, jumps, changes, paused=True), SETTLED_MS)


def _several(true: Seconds, times: int, anew: int = 0, *, paused: bool = False) -> list[Stream]:
    return [Stream(true, jittered(true, JITTER_S, SEED + n), anew=anew, paused=paused) for n in range(times)]


def _figure(what: str, streams: Collection[Stream], limit: float) -> Figure:
    off, raw = list[float](), list[float]()
    for stream in streams:
        settled = -(-stream.anew // CLOCK_TICKS_PER_BEAT) + _SETTLES
        found = errors(stream.true, stream.come, stream.lost, pause=stream.anew if stream.paused else 0)
        off += (1e3 * error for beat, error in found.items() if beat >= settled)
        raw += (1e3 * np.abs(stream.come - stream.true)).tolist()
    beside = {"the ticks' own jitter": median(raw), "the ticks' own jitter, p95": float(np.percentile(raw, 95)),
              "the ticks' own jitter, p99": p99(raw), "itself at p95": float(np.percentile(off, 95))}  # fmt: skip
    budget = Budget(f"p99 at most {limit:g} ms", limit, p99(off))
    return Figure(f"clock in: off the beat, {what}", "ms", median(off), p99(off), beside, budget)


# -- clocks


def steady(beats: int, bpm: float, start: float = 10.0) -> Seconds:
    """The true seconds of the ticks of so many beats."""
    return going((bpm, bpm, beats), start=start)


def going(*parts: tuple[float, float, int], start: float = 10.0) -> Seconds:
    """The true seconds of ticks whose tempo goes evenly, tick by tick, from one to another, over so many beats each."""
    bpms = [np.linspace(first, last, beats * CLOCK_TICKS_PER_BEAT) for first, last, beats in parts]
    seconds: Seconds = start + np.concatenate([[0.0], np.cumsum(60.0 / (CLOCK_TICKS_PER_BEAT * np.concatenate(bpms)))])
    return seconds


def ramp(beats: int, first: float, last: float) -> Seconds:
    """A tempo that grows or falls for so many beats, after eight beats and before four at a steady one."""
    return going((first, first, 8), (first, last, beats), (last, last, 4))


def jittered(seconds: Seconds, most: float, seed: int) -> Seconds:
    """Each up to `most` seconds early or late, by dice; in the order in which they come."""
    come: Seconds = np.sort(seconds + np.random.default_rng(seed).uniform(-most, most, len(seconds)))
    return come


def errors(
    true: Seconds, come: Seconds, lost: Collection[int] = (), bpm: float = 120.0, pause: int = 0
) -> dict[int, float]:
    """By beat, the seconds it would be off its true one, as known just before its tick.

    The `lost` ticks never come. Before the tick `pause`, if any, the clock was stopped, and is told to continue.
    """
    follower, last, found = ClockPLL(bpm), -1, dict[int, float]()
    for number, second in enumerate(come.tolist()):
        if number and number % CLOCK_TICKS_PER_BEAT == 0:
            expected = follower.last_tick_s + (number - last) * follower.period_s
            found[number // CLOCK_TICKS_PER_BEAT] = abs(expected - float(true[number]))
        if number and number == pause:
            follower.restart_phase(second)
            follower.receive_tick(second)
            last = number
        elif number not in lost:
            last += follower.receive_tick(second)
    return found
