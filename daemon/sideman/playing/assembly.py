# SPDX-License-Identifier: Apache-2.0
"""Makes an engine from the settings. Live play and rendering both start from a `Performance`."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from sideman.core.chart.chart import Chart
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.engine import Engine
from sideman.core.errors import Unavailable
from sideman.core.parts.improviser import Improviser
from sideman.core.settings.live import LiveSettings
from sideman.core.settings.schema import Settings
from sideman.core.timeline import PlaySpan
from sideman.core.timing.clock_source import CLOCK_SOURCES, INTERNAL_CLOCK, ClockConfig, ClockSource, ClockSourceOptions
from sideman_models.music.context import next_bar_line
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import BundleInfo, load_bundle
from sideman_models.network.lstm import Network, NumpyNetwork, Weights

_SEED_COUNT = 2**32  # a new seed is below this: short enough to be read aloud and typed in
_MAX_SEED = 2**63
_MAX_BEAT = 1e9


class Performance(Struct, frozen=True):
    """Everything that an engine needs except the time at which it begins."""

    settings: Settings
    chart: Chart
    bundle: BundleInfo
    network: Network
    seed: int

    def make_engine(
        self, second: float, start: float = 0.0, beats: float | None = None, clocks: ClockConfig = INTERNAL_CLOCK
    ) -> Engine:
        """Make an engine whose beat `start` falls on `second`; it ends after `beats`, else after `chart.choruses`.

        The chorus that contains `start` is the first of these. If a clock is followed, the clock says when and where in
        the chart the music begins.
        """
        choruses, length = self.settings.chart.choruses, self.chart.length
        end = None if beats is None else start + beats
        if beats is None and choruses is not None:
            end = ((0 if clocks.source else start // length) + choruses) * length
        live, timeline = LiveSettings(self.settings), ChartTimeline(self.chart)
        improviser = Improviser(self.bundle, self.network, timeline, timeline, live, self.seed)
        return Engine(live, timeline, improviser, PlaySpan(second, start, end, has_final_note=beats is None), clocks)


def load_performance(settings: Settings, chart: Chart) -> Performance:
    """Load the bundle that `settings` name, to play over `chart`. Raises an error if it is missing or broken."""
    bundle = load_bundle(settings.model.bundle)
    seed = secrets.randbelow(_SEED_COUNT) if settings.play.seed is None else settings.play.seed
    return Performance(settings, chart, bundle.info, make_network(settings.model.engine, bundle.weights), seed)


def make_network(engine: str, weights: Weights) -> Network:
    """Make the network with the engine of `model.engine`. TensorFlow is loaded only here, and only if it is named."""
    if engine == "numpy":
        return NumpyNetwork(weights)
    try:
        module = importlib.import_module("sideman_models.network.keras_model")
    except ImportError as error:
        raise Unavailable(f"model.engine: tensorflow is not installed here ({error}); set it to numpy") from error
    made: Network = module.TensorFlowNetwork(weights)
    return made


def make_clock_source(
    settings: Settings,
    chart: Chart,
    on_change: Callable[[], None] = lambda: None,
    request_tempo: Callable[[float], None] = lambda _bpm: None,
    request_rolling: Callable[[bool], None] = lambda _rolling: None,
) -> ClockSource | None:
    """Return the clock source that `tempo.source` names; None for our own tempo. See `ClockSourceOptions`."""
    tempo, bar_beats = settings.tempo, float(chart.meter.quarters)
    options = ClockSourceOptions(
        tempo.bpm, tempo.wait_start, bar_beats, on_change, request_tempo, tempo.position, request_rolling
    )
    return CLOCK_SOURCES[tempo.source].make(options)


def resumed_engine(
    performance: Performance, state: Mapping[str, Any], second: float, clocks: ClockConfig = INTERNAL_CLOCK
) -> Engine:
    """Make an engine that continues from a saved `state`, with its seed, at the next bar line.

    Raises `ValueError`, `KeyError` or `TypeError` if the state belongs to another bundle or is broken.
    """
    if state["weights"] != performance.bundle.fingerprint:
        raise ValueError("it belongs to another bundle")
    beat, seed = float(state["beat"]), int(state["seed"])
    if not (0 <= beat < _MAX_BEAT and 0 <= seed < _MAX_SEED):
        raise ValueError("its beat or its seed is out of range")
    start = next_bar_line(ChartTimeline(performance.chart), beat * TICKS_PER_QUARTER) / TICKS_PER_QUARTER
    engine = replace(performance, seed=seed).make_engine(second, start, clocks=clocks)
    engine.improviser.restore_state(state, round(start * TICKS_PER_QUARTER))
    return engine


def state_of(engine: Engine, performance: Performance, second: float) -> dict[str, Any]:
    """Return what `resumed_engine` needs: the network's state, the beat at `second`, the seed and the bundle."""
    beat = min(max(engine.timeline.top, engine.beat_at(second)), engine.timeline.end)
    return {
        "weights": performance.bundle.fingerprint,
        "seed": engine.improviser.random_source.seed,
        "beat": beat - engine.timeline.top,
        **engine.improviser.export_state(beat * TICKS_PER_QUARTER),
    }
