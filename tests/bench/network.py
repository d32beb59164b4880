# SPDX-License-Identifier: Apache-2.0
"""One step of a network, and the whole choice of a value: what has to be computed within a beat."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count, cycle, islice

import numpy as np
from msgspec.structs import replace

from bench.figures import Budget, Figure, Samples, in_turns, median, p99, seconds_of
from bench.scene import performance, undisturbed
from sideman.core.events import Choice
from sideman.core.parts.aims import Aims
from sideman.core.parts.improviser import ChoiceConstraints, Improviser
from sideman.core.settings.target_notes import TargetNote
from sideman.core.turns import TurnPlan
from sideman.service.service import THREAD_SWITCH_S
from sideman_models.music.context import Place, clash_mask_at
from sideman_models.music.motifs import MEMORY_LIMIT
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import load_bundle
from sideman_models.network.lstm import Floats, LstmState, Network, NumpyNetwork, Weights

UNITS, VALUES = 64, 78
STEP_US, DEFAULT_STEP_US, DECISION_US = 6, 30, 200
REMEMBERED = MEMORY_LIMIT
_NO_ROWS = np.zeros(0, np.intp)
_EACH = 20  # calls in a row
_PAUSE_S = 0.02
_FLOOR = "its two matrix products alone"


def figures(effort: float) -> Iterator[Figure]:
    """The step of the assignment's network, the step of the default one, and the decision."""
    rounds = max(1, round(200 * effort))
    with undisturbed(THREAD_SWITCH_S):
        yield _classic_step(rounds)
        yield _default_step(rounds)
        yield _decision(rounds)
        yield _decision(rounds, "3", "root")


def classic_weights() -> Weights:
    """An untrained network of the assignment's size; training would not change the time that a step takes."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Floats:
        return rng.normal(0.0, 0.3, shape).astype(np.float32)

    n = 4 * UNITS
    return Weights(normal(VALUES, n), normal(UNITS, n), normal(n), normal(UNITS, VALUES), normal(VALUES))


def stepping(network: Network) -> Callable[[], object]:
    """A function that takes one step after another of a network without context."""
    state, values = LstmState.zero(network.n_a), cycle(range(network.n_values))
    return lambda: network.step(next(values), _NO_ROWS, None, state)


def _classic_step(rounds: int) -> Figure:
    weights = classic_weights()
    actions = {"ours": (_EACH, stepping(NumpyNetwork(weights))), "products": (_EACH, _products(weights))}
    times = in_turns(rounds, actions)
    budget = Budget(f"p50 at most {STEP_US} µs", STEP_US, 1e6 * median(times["ours"]))
    return _in_us(f"step, {UNITS} units, {VALUES} values", times["ours"], {_FLOOR: times["products"]}, budget)


def _default_step(rounds: int) -> Figure:
    made = performance()
    improviser, weights = made.make_engine(0.0).improviser, load_bundle(made.settings.model.bundle).weights
    places, step = cycle(_places(improviser)), _step_at(improviser, made.network)
    actions = {"ours": (_EACH, lambda: step(next(places))), "products": (_EACH, _products(weights))}
    times = in_turns(rounds, actions)
    budget = Budget(f"p50 at most {DEFAULT_STEP_US} µs", DEFAULT_STEP_US, 1e6 * median(times["ours"]))
    what = f"step of default: context, mask, {weights.n_values} values"
    return _in_us(what, times["ours"], {_FLOOR: times["products"]}, budget)


def _decision(rounds: int, *tones: str) -> Figure:
    """The choice of the next value: write the last note as a value, then step, motifs, masks, draw and pitch.

    The memory of motifs is as full as after an evening. With `tones`, each bar has a target note, in turn one of them,
    to which the way has been worked out when there was time.

    The budget is for the processor time of the thread: of such a short time on the wall clock, the 99th percentile
    belongs mostly to other programs.
    """
    made = performance()
    network = made.network
    network.motif = np.ones_like(network.motif)  # whatever the bundle has learned
    engine = made.make_engine(0.0)
    improviser = engine.improviser
    bars = range(1, len(made.chart.bars) + 1)
    engine.live.change(
        [("play.target", tuple(TargetNote(bar, 1, False, tones[bar % 2 :][:1]) for bar in bars if tones))]
    )
    aims = Aims(engine.timeline, improviser, TurnPlan(engine.live, engine.chart))
    _remember_motifs(improviser)
    places, step = cycle(_places(improviser)), _step_at(improviser, network)
    wall, own, steps, cold = list[float](), list[float](), list[float](), list[float]()
    ticks = count(0, TICKS_PER_QUARTER)
    for tick in islice(ticks, rounds * _EACH):
        steps.append(seconds_of(lambda: step(next(places))))
        while aims.work_ahead(tick):
            pass
        start = time.thread_time_ns()
        wall.append(_choose(improviser, tick, aims))
        own.append((time.thread_time_ns() - start) / 1e9)
        improviser.record_played(_choice(improviser, tick, aims))
    for tick in islice(ticks, max(2, rounds // 4)):
        time.sleep(_PAUSE_S)
        cold.append(_choose(improviser, tick, aims))
        improviser.record_played(_choice(improviser, tick, aims))
    beside = {"one of its steps": steps, f"after a pause of {1e3 * _PAUSE_S:.0f} ms, as while playing": cold}
    own_p99 = 1e6 * p99(own)
    budget = Budget(f"p99 of its processor time at most {DECISION_US} µs", DECISION_US, own_p99)
    what = "a decision of default on the way to a target" if tones else "a whole decision of default"
    return _in_us(f"{what}, {REMEMBERED:,} values remembered", wall, beside, budget)


def _remember_motifs(improviser: Improviser) -> None:
    """Fill the memory of motifs with intervals as often as soloists play them."""
    rng, memory = np.random.default_rng(0), improviser.memory()
    steps = rng.laplace(0.0, 2.5, REMEMBERED).round().clip(-12, 12).astype(int) + 12
    codes = (rng.integers(48, 84, REMEMBERED) * 32 + steps).tolist()
    improviser.recall(replace(memory, motifs=codes))


def _choose(improviser: Improviser, tick: int, aims: Aims) -> float:
    return seconds_of(lambda: _choice(improviser, tick, aims))


def _choice(improviser: Improviser, tick: int, aims: Aims) -> Choice:
    return improviser.choose(tick, ChoiceConstraints(approach=aims.approach(tick, math.inf)))


def _places(improviser: Improviser) -> list[Place]:
    """The places of the values of a solo; `improviser` plays it."""
    places = []
    for tick in range(0, 64 * TICKS_PER_QUARTER, TICKS_PER_QUARTER):
        places.append(improviser.predict(tick)[0])
        improviser.record_played(improviser.choose(tick))
    return places


def _step_at(improviser: Improviser, network: Network) -> Callable[[Place], Floats]:
    """A step as the improviser takes it: the context rows of the place, its clash mask, and the network."""
    bundle, state = improviser.bundle, LstmState.zero(network.n_a)
    values = cycle(range(network.n_values))

    def step(place: Place) -> Floats:
        clash = clash_mask_at(bundle.vocabulary, place) if network.penalty else None
        return network.step(next(values), bundle.context.active_rows(place), clash, state)

    return step


def _products(weights: Weights) -> Callable[[], object]:
    """The least that a step has to do: multiply the state with each of the two matrices."""
    state, z, logits = (np.zeros(n, np.float32) for n in (weights.n_a, 4 * weights.n_a, weights.n_values))
    recurrent, densor = np.ascontiguousarray(weights.recurrent), np.ascontiguousarray(weights.densor_kernel)

    def multiply() -> None:
        np.dot(state, recurrent, out=z)
        np.dot(state, densor, out=logits)

    return multiply


def _in_us(what: str, seconds: Samples, beside: Mapping[str, Samples], budget: Budget) -> Figure:
    medians = {name: 1e6 * median(each) for name, each in beside.items()}
    return Figure(what, "µs", 1e6 * median(seconds), 1e6 * p99(seconds), medians, budget)
