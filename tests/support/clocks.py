# SPDX-License-Identifier: Apache-2.0
"""Simulated MIDI clocks: the seconds of their ticks, with jitter, and how well a clock PLL follows them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT, ClockPLL

Seconds = npt.NDArray[np.float64]


def steady(beats: int, bpm: float, start: float = 10.0) -> Seconds:
    """The seconds of the ticks of `beats` beats at one tempo, without jitter."""
    return going((bpm, bpm, beats), start=start)


def going(*parts: tuple[float, float, int], start: float = 10.0) -> Seconds:
    """The seconds of ticks through several parts: (first tempo, last tempo, beats), a line of tempo each."""
    bpms = [np.linspace(first, last, beats * CLOCK_TICKS_PER_BEAT) for first, last, beats in parts]
    seconds: Seconds = start + np.concatenate([[0.0], np.cumsum(60.0 / (CLOCK_TICKS_PER_BEAT * np.concatenate(bpms)))])
    return seconds


def ramp(beats: int, first: float, last: float) -> Seconds:
    """A tempo that rises or falls for `beats` beats, after eight and before four beats at a steady tempo."""
    return going((first, first, 8), (first, last, beats), (last, last, 4))


def jittered(seconds: Seconds, most: float, seed: int) -> Seconds:
    """Each tick up to `most` seconds early or late, at random, in the order of arrival."""
    arrivals: Seconds = np.sort(seconds + np.random.default_rng(seed).uniform(-most, most, len(seconds)))
    return arrivals


def errors(
    true: Seconds, arrivals: Seconds, lost: Collection[int] = (), bpm: float = 120.0, pause: int = 0
) -> dict[int, float]:
    """By beat, how many seconds a PLL is off the true beat, as predicted just before the tick of the beat.

    The ticks in `lost` never arrive. If `pause` is not 0, the clock was stopped before that tick and continues with it.
    """
    pll, last, found = ClockPLL(bpm), -1, dict[int, float]()
    for number, second in enumerate(arrivals.tolist()):
        if number and number % CLOCK_TICKS_PER_BEAT == 0:
            predicted = pll.last_tick_s + (number - last) * pll.period_s
            found[number // CLOCK_TICKS_PER_BEAT] = abs(predicted - float(true[number]))
        if number and number == pause:
            pll.restart_phase(second)
            pll.receive_tick(second)
            last = number
        elif number not in lost:
            last += pll.receive_tick(second)
    return found


def in_rounds(seconds: Seconds, period: float, since: float = 0.0) -> Seconds:
    """When a port delivers what comes at `seconds`, in rounds of `period` that are counted from `since`."""
    delivered: Seconds = since + np.ceil((seconds - since) / period) * period
    return delivered


def in_changed_rounds(seconds: Seconds, old: float, new: float, change: float) -> Seconds:
    """The same for a port whose rounds change at `change`; what waits then comes at the end of the next."""
    before = np.where(in_rounds(seconds, old) > change, change + new, in_rounds(seconds, old))
    delivered: Seconds = np.maximum.accumulate(np.where(seconds < change, before, in_rounds(seconds, new, change)))
    return delivered


def hidden_by_rounds(true: Seconds, arrivals: Seconds, period: float, tolerance: float) -> float:
    """How far from the last of `true` a line can be that explains all but the last twelve `arrivals`.

    The last ticks do not count: a tick that is late by itself says nothing until there is another.
    """
    numbers = np.arange(1 - len(true), 1)[:-12]
    most = 0.0
    for tick in (true[1] - true[0]) * np.linspace(0.8, 1.2, 801):
        seconds = arrivals[:-12] - numbers * tick
        earliest, latest = seconds.max() - period - tolerance, seconds.min() + tolerance
        if earliest <= latest:
            most = max(most, abs(latest - true[-1]), abs(earliest - true[-1]))
    return most
