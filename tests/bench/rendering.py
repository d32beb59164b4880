# SPDX-License-Identifier: Apache-2.0
"""How much faster than real time a solo is rendered, beside the steps of the network that it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
from msgspec.structs import replace

from bench.figures import Budget, Figure, median
from bench.scene import SEED, performance, undisturbed
from sideman.playing.assembly import Performance
from sideman.render.render import render_take
from sideman.service.service import THREAD_SWITCH_S
from sideman_models.music.context import RowIndices
from sideman_models.network.lstm import Flags, Floats, LstmState, Network

FASTER = 200
_BARS = 32
_ROUNDS = 12
_RATES = ("beat", "phrase")


def figures(effort: float) -> Iterator[Figure]:
    """Rendering with the default settings, and with the network's own phrasing."""
    rounds = max(1, round(_ROUNDS * effort))
    with undisturbed(THREAD_SWITCH_S):
        for rate in _RATES:
            yield _rendering(performance({"play.rate": rate}), rate, rounds)


def _rendering(made: Performance, rate: str, rounds: int) -> Figure:
    """Takes with another seed each round, up to the contents of a MIDI file."""
    ours, bare = list[float](), list[float]()
    for number in range(rounds):
        counting = _Counting(made.network)
        start = time.perf_counter()
        take = render_take(replace(made, network=counting, seed=SEED + number), _BARS, "the benchmark")
        ours.append(take.seconds / (time.perf_counter() - start))
        bare.append(take.seconds / _seconds_of_steps(made, counting.steps, counting.advances))
    budget = Budget(f"at least {FASTER} times real time", FASTER, median(ours), at_least=True)
    return Figure(
        f"rendering at rate {rate}",
        "× real time",
        median(ours),
        None,
        {"its network steps alone": median(bare)},
        budget,
    )


class _Counting:
    """A network that counts its steps."""

    def __init__(self, network: Network) -> None:
        self.n_a, self.n_values, self.n_context = network.n_a, network.n_values, network.n_context
        self.penalty, self.motif = network.penalty, network.motif
        self.steps = self.advances = 0
        self._step, self._advance = network.step, network.advance

    def step(self, value: int | None, rows: RowIndices, clash: Flags | None, state: LstmState) -> Floats:
        """See `Network.step`."""
        self.steps += 1
        return self._step(value, rows, clash, state)

    def advance(self, value: int | None, rows: RowIndices, state: LstmState) -> None:
        """See `Network.advance`."""
        self.advances += 1
        self._advance(value, rows, state)


def _seconds_of_steps(made: Performance, steps: int, advances: int) -> float:
    """How long these steps, with and without logits, take alone, with the most context rows and a mask."""
    n_values, state = made.network.n_values, LstmState.zero(made.network.n_a)
    rows, clash = np.arange(made.bundle.context.max_active), np.zeros(n_values, np.bool_)
    step: Callable[..., Floats] = made.network.step
    start = time.perf_counter()
    for number in range(steps):
        step(number % n_values, rows, clash, state)
    for number in range(advances):
        made.network.advance(number % n_values, rows, state)
    return time.perf_counter() - start
