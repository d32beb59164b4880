# SPDX-License-Identifier: Apache-2.0
"""Makes an engine from the settings. Live play and rendering both start from a `Performance`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from sideman.core.chart.chart import Chart
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.engine import Engine
from sideman.core.engine_memory import EngineMemory
from sideman.core.errors import Unavailable
from sideman.core.parts.improviser import Improviser
from sideman.core.positions import reached_beat
from sideman.core.practice import check_loop
from sideman.core.settings.live import LiveSettings
from sideman.core.settings.schema import Settings, choruses_of, with_values
from sideman.core.timeline import PlaySpan
from sideman.core.timing.clock_source import CLOCK_SOURCES, INTERNAL_CLOCK, ClockConfig, ClockSource, ClockSourceOptions
from sideman_models.errors import ModelsError
from sideman_models.music.context import next_bar_line
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import BundleInfo, load_bundle
from sideman_models.network.lstm import Network, NumpyNetwork, Weights

_SEED_BYTES = 4  # of a new seed: short enough to be read aloud and typed in
_MAX_SEED = 2**63
_MAX_BEAT = 1e9
_MAX_STEPS = 100_000  # in a bar; only a memory that is broken needs more


class OtherBundle(ValueError):
    """A state of another bundle than the one that plays."""


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
        choruses, length = choruses_of(self.settings), self.chart.length
        end = None if beats is None else start + beats
        if beats is None and choruses is not None:
            end = ((0 if clocks.source else start // length) + choruses) * length
        live, timeline = LiveSettings(self.settings), ChartTimeline(self.chart)
        improviser = Improviser(self.bundle, self.network, timeline, timeline, live, self.seed)
        return Engine(live, timeline, improviser, PlaySpan(second, start, end, has_final_note=beats is None), clocks)


def load_performance(settings: Settings, chart: Chart) -> Performance:
    """Load the bundle that `settings` name, to play over `chart`. Raises an error if anything is missing or wrong."""
    check_loop(settings, chart)
    bundle = load_bundle(settings.model.bundle)
    seed = int.from_bytes(os.urandom(_SEED_BYTES)) if settings.play.seed is None else settings.play.seed
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


def state_of(memory: EngineMemory, performance: Performance) -> dict[str, Any]:
    """Return what `resumed_engine` needs, as JSON can hold it: the memory of an engine, and its bundle."""
    return {"weights": performance.bundle.fingerprint, "memory": msgspec.to_builtins(memory)}


_LONGEST_BAR = 64.0  # quarter notes, of 16/1


def resumed_engine(
    performance: Performance, state: Mapping[str, Any], second: float, clocks: ClockConfig = INTERNAL_CLOCK
) -> Engine:
    """Make an engine that continues from a saved `state` at the next bar line, which falls on `second`.

    It plays what the engine that was saved would have played from there on. If the chart, the mode or the rate is
    another by now, or if a clock is followed, which gives the place, it keeps what the network knows, and the seed.
    Raises `ValueError`, `KeyError`, `TypeError` or `ArithmeticError` if the state is of another bundle or broken.
    """
    if state["weights"] != performance.bundle.fingerprint:
        raise OtherBundle(f"it belongs to another bundle than {performance.bundle.name}")
    if "memory" not in state:
        return _resumed_network(performance, state, second, clocks)  # a state that an earlier version has saved
    memory = read_memory(state["memory"])
    place = memory.bar_line / TICKS_PER_QUARTER
    if not -1 <= place - memory.beat <= _LONGEST_BAR:
        raise ValueError(f"the bar line after beat {memory.beat:.6g} cannot be at beat {place:.6g}")
    at_once = replace(performance, settings=with_values(performance.settings, [("play.start", "at once")]))
    rehearsal = engine_from(replace(memory, start=memory.beat), at_once, 0.0)
    rehearsal.timeline.start = memory.start
    if (
        clocks.source is not None
        or not _is_same_music(memory, rehearsal, performance.chart)
        or place >= rehearsal.timeline.end
    ):
        settled = rehearsal.improviser.export_state(memory.beat * TICKS_PER_QUARTER)
        settled |= {"beat": memory.beat - memory.top, "seed": memory.improviser.seed}
        return _resumed_network(performance, settled, second, clocks)
    _play_silently(rehearsal, place)
    return engine_from(replace(rehearsal.memory(), start=place), performance, second, clocks)


def engine_from(
    memory: EngineMemory, performance: Performance, second: float, clocks: ClockConfig = INTERNAL_CLOCK
) -> Engine:
    """Make an engine that goes on from `memory` with its first bar, which falls on `second`.

    The memory is that of an engine that has not begun to play. Raises ValueError or KeyError if it is broken.
    """
    engine = replace(performance, seed=memory.improviser.seed).make_engine(second, memory.start, clocks=clocks)
    recall(engine, memory)
    return engine


def read_memory(written: object) -> EngineMemory:
    """Read the memory of an engine from plain data. Raises ValueError."""
    try:
        return msgspec.convert(written, EngineMemory)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def recall(engine: Engine, memory: EngineMemory) -> None:
    """Let `engine` go on from `memory`. Raises `ValueError` or `KeyError`."""
    try:
        engine.recall(memory)
    except ModelsError as error:  # a chord or a value that does not exist
        raise ValueError(str(error)) from None


def _is_same_music(memory: EngineMemory, rehearsal: Engine, chart: Chart) -> bool:
    """Whether the settings still ask for what was played."""
    settings = rehearsal.settings
    asked = chart, settings.play.mode, settings.play.rate, choruses_of(settings)
    return asked == (rehearsal.practice.chart, memory.turns.current.name, memory.rate, memory.choruses)


def _play_silently(engine: Engine, place: float) -> None:
    """Let `engine` play what comes before beat `place`, unheard: what the bar would have been without the break."""
    for _ in range(_MAX_STEPS):
        due = engine.deadline()
        if due is None or reached_beat(engine.timeline.beat_at(due)) >= place:
            return
        for _event in engine.advance(due):
            pass
    raise ValueError("the bar does not end")


def _resumed_network(performance: Performance, state: Mapping[str, Any], second: float, clocks: ClockConfig) -> Engine:
    """Make an engine with the network's state, the seed and the beat of `state`, at the next bar line."""
    beat, seed = float(state["beat"]), int(state["seed"])
    if not (0 <= beat < _MAX_BEAT and 0 <= seed < _MAX_SEED):
        raise ValueError("its beat or its seed is out of range")
    start = next_bar_line(ChartTimeline(performance.chart), beat * TICKS_PER_QUARTER) / TICKS_PER_QUARTER
    engine = replace(performance, seed=seed).make_engine(second, start, clocks=clocks)
    engine.improviser.restore_state(state, round(start * TICKS_PER_QUARTER))
    return engine
