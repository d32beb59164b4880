# SPDX-License-Identifier: Apache-2.0
"""A performance: what the settings ask for, put together. Live play and rendering start from the same one."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sideman.core.chart.chart import Chart
from sideman.core.chart.timeline import Tune
from sideman.core.conductor import Span
from sideman.core.engine import Engine
from sideman.core.errors import Unavailable
from sideman.core.parts.improviser import Improviser
from sideman.core.settings.schema import Settings
from sideman.core.timing.midi_clock import ALONE, Clocks
from sideman_models.music.context import next_line
from sideman_models.music.values import TICKS
from sideman_models.network.bundle import Bundle, load
from sideman_models.network.lstm import Network, NumpyNetwork, Weights

_SEEDS = 2**32  # a new one is drawn from these: short enough to be read out and typed in
_LARGEST_SEED = 2**63
_LATEST_BEAT = 1e9


@dataclass(frozen=True, slots=True)
class Performance:
    """The chart, the bundle and its network, and the seed: all that an engine needs but the time to begin."""

    settings: Settings
    chart: Chart
    bundle: Bundle
    network: Network
    seed: int

    def engine(self, second: float, start: float = 0.0, beats: float | None = None, clocks: Clocks = ALONE) -> Engine:
        """An engine whose beat `start` falls on `second`; it ends after `beats`, else after the choruses asked for.

        A chorus that was under way at `start` is the first of these. A clock that is followed says when and where in
        the changes the music begins.
        """
        choruses, length = self.settings.chart.choruses, self.chart.length
        end = None if beats is None else start + beats
        if beats is None and choruses is not None:
            end = ((0 if clocks.followed else start // length) + choruses) * length
        settings, tune = self.settings, Tune(self.chart)
        improviser = Improviser(self.bundle, self.network, tune, tune, settings.play, self.seed)
        span = Span(second, start, end, rounds_off=beats is None)
        return Engine(settings, tune, improviser, span, clocks)


def prepare(settings: Settings, chart: Chart) -> Performance:
    """Load the network that `settings` name, to play over `chart`. Raises the error of what is missing or broken."""
    bundle = load(settings.model.bundle)
    seed = secrets.randbelow(_SEEDS) if settings.play.seed is None else settings.play.seed
    return Performance(settings, chart, bundle, network(settings.model.engine, bundle.weights), seed)


def network(engine: str, weights: Weights) -> Network:
    """The engine of that name. TensorFlow is found by name only: nothing of ours loads it unless it is asked for."""
    if engine == "numpy":
        return NumpyNetwork(weights)
    try:
        module: Any = importlib.import_module("sideman_models.network.keras_model")
    except ImportError as error:
        raise Unavailable(f"model.engine: tensorflow is not installed here ({error}); set it to numpy") from error
    made: Network = module.TensorFlowNetwork(weights)
    return made


def resumed(performance: Performance, memory: Mapping[str, Any], second: float, clocks: Clocks = ALONE) -> Engine:
    """An engine that goes on from `memory`, with its dice, at the bar line after the place where it was left.

    Raises `ValueError`, `KeyError` or `TypeError` for a memory of another bundle, or one that is broken.
    """
    if memory["weights"] != performance.bundle.fingerprint:
        raise ValueError("it belongs to another bundle")
    beat, seed = float(memory["beat"]), int(memory["seed"])
    if not (0 <= beat < _LATEST_BEAT and 0 <= seed < _LARGEST_SEED):
        raise ValueError("its beat or seed is none")
    start = next_line(Tune(performance.chart), beat * TICKS) / TICKS
    engine = replace(performance, seed=seed).engine(second, start, clocks=clocks)
    engine.improviser.remember(memory, round(start * TICKS))
    return engine


def memory_of(engine: Engine, performance: Performance, second: float) -> dict[str, Any]:
    """What must be kept to go on later: the network's state, the place at `second`, the seed, and whose state it is."""
    beat = max(engine.top, engine.beat_at(second))
    if engine.end is not None:
        beat = min(beat, engine.end)
    whose = {"weights": performance.bundle.fingerprint, "seed": engine.improviser.dice.seed, "beat": beat - engine.top}
    return {**whose, **engine.improviser.memory(beat * TICKS)}
