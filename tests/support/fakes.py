# SPDX-License-Identifier: Apache-2.0
"""Small implementations for tests: a clock that jumps, an output that records, untrained networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from msgspec.structs import replace

from sideman.core.chart.text import parse_changes
from sideman.core.engine import Engine
from sideman.core.events import BarPlayed, ChangeSettings, Command, MidiEvent, Report
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.core.settings.schema import Settings
from sideman.playing.assembly import Performance, make_network
from sideman.playing.overload import Arrival
from sideman.playing.player import Player
from sideman_models.music.context import FEATURES, ContextFeatures, RowIndices
from sideman_models.music.values import IntervalRange, Value, Vocabulary
from sideman_models.network.bundle import Bundle
from sideman_models.network.lstm import Flags, Floats, LstmState, Network, NumpyNetwork, Weights
from sideman_models.network.readout import N_FACTS, Readout

UNITS = 16
CHANGES = "| Dm7 | G7 | Cmaj7 | A7alt |"


def random_weights(n_values: int, n_context: int, units: int, penalty: float, seed: int = 7) -> Weights:
    """Random weights, large enough that the network does not play the same value all the time."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Floats:
        return rng.normal(0.0, 0.6, shape).astype(np.float32)

    return Weights(
        normal(n_values + n_context, 4 * units),
        normal(units, 4 * units),
        normal(4 * units),
        normal(units, n_values),
        normal(n_values),
        penalty,
    )


@cache
def modern_bundle() -> Bundle:
    """A modern bundle with rests, context and mask; its weights are random."""
    notes = [Value(kind, ticks, leap) for kind in "CSAX" for ticks in (3, 4, 6, 12) for leap in (None, *range(-5, 6))]
    vocabulary = Vocabulary([*notes, *(Value("R", ticks) for ticks in (3, 6, 12, 24))])
    context = ContextFeatures(list(FEATURES))
    weights = random_weights(len(vocabulary), context.n_rows, UNITS, penalty=4.0)
    return Bundle("modern", vocabulary, context, weights=weights, fingerprint="modern")


def random_readout(units: int, scale: float, seed: int) -> Readout:
    """A readout of a network of `units` units, whose results are mostly as large as `scale`."""
    rng = np.random.default_rng(seed)
    kernel, output = rng.normal(0, 0.5, (units + N_FACTS, 4)), rng.normal(0, scale, 4)
    arrays = kernel, rng.normal(0, 0.5, 4), output, rng.normal(0, scale / 2, 1)
    return Readout(*(array.astype(np.float32) for array in arrays))


@cache
def touched_bundle(seed: int = 1, delay_s: float = 0.03) -> Bundle:
    """The modern bundle with random touch and placement."""
    touch, placement = random_readout(UNITS, 3.0, seed), random_readout(UNITS, delay_s, seed + 1)
    return replace(modern_bundle(), touch=touch, placement=placement)


@cache
def motif_bundle() -> Bundle:
    """The modern bundle with a memory of motifs that decides what is played."""
    rows = np.arange(1, 13, dtype=np.float32).reshape(2, 6)
    bundle = modern_bundle()
    return replace(bundle, name="motif", weights=replace(bundle.weights, motif=rows), fingerprint="motif")


@cache
def classic_bundle() -> Bundle:
    """A classic bundle: windows for intervals, no rests, no context."""
    windows = [
        None,
        IntervalRange("P1", "d-5"),
        IntervalRange("A4", "P1"),
        IntervalRange("P5", "M2"),
        IntervalRange("m3", "m-3"),
    ]
    notes = [Value(kind, ticks, window) for kind in "CSAX" for ticks in (3, 4, 6) for window in windows]
    vocabulary = Vocabulary(notes)
    weights = random_weights(len(vocabulary), 0, UNITS, penalty=0.0)
    return Bundle("classic", vocabulary, ContextFeatures(), weights=weights, fingerprint="classic")


def settings(**keys: Any) -> Settings:
    """Settings with some keys given, a dot written as two underscores: `play__rate="phrase"`."""
    given = {"chart__changes": CHANGES, "play__seed": 1, "play__repetition": 2, "control__socket": "none", **keys}
    return resolve_settings([{name.replace("__", "."): WrittenValue(value, "test") for name, value in given.items()}])


def performance(bundle: Bundle | None = None, net: Network | None = None, **keys: Any) -> Performance:
    """A performance of an untrained bundle over four bars, with some settings given."""
    chosen, bundle = settings(**keys), bundle or modern_bundle()
    chart = parse_changes(chosen.chart.changes, chosen.tempo.meter, "test").transposed(chosen.chart.transpose)
    seed = chosen.play.seed or 0
    return Performance(chosen, chart, bundle, net or make_network(chosen.model.engine, bundle.weights), seed)


def tempo_change(bpm: float) -> ChangeSettings:
    """The command for another tempo."""
    return ChangeSettings((("tempo.bpm", bpm),))


@dataclass
class FakeClock:
    """A clock that jumps to the next arrival, or to the second waited for plus `oversleeps` seconds."""

    arrivals: list[Arrival] = field(default_factory=list)
    oversleeps: Callable[[], float] = lambda: 0.0
    second: float = 0.0

    def now(self) -> float:
        """The present second."""
        return self.second

    def wait(self, until: float) -> Arrival | None:
        """Jump."""
        if self.arrivals and self.arrivals[0].second <= until and self.second < until:
            arrival = self.arrivals.pop(0)
            self.second = max(self.second, arrival.second) + self.oversleeps()
            return arrival
        self.second = max(self.second, until + self.oversleeps())
        return None

    def woken_at(self, until: float) -> float:
        """See `Clock`."""
        return max(self.now(), until)

    def sleep(self, until: float) -> None:
        """Jump."""
        if until > self.second:
            self.second = until + self.oversleeps()

    def is_idle(self) -> bool:
        """Whether nothing that has arrived is waiting."""
        return not self.arrivals or self.arrivals[0].second > self.second

    def has_more(self, until: float) -> bool:
        """See `Clock`."""
        return self.second < until or not self.is_idle()


@dataclass
class RecordingOutput:
    """An output that records what was sent and when, and the reports of the player."""

    clock: FakeClock
    sent: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    sent_to: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)

    def send(self, message: tuple[int, ...]) -> None:
        """Remember."""
        self.sent.append((self.clock.second, message))

    def send_to(self, port_id: str, message: tuple[int, ...]) -> None:
        """Remember."""
        self.sent_to.setdefault(port_id, []).append(message)


class RecordingNetwork:
    """A network that records the values it is fed, and steps the real one."""

    def __init__(self, weights: Weights) -> None:
        self.n_a, self.n_values, self.n_context = weights.n_a, weights.n_values, weights.n_context
        self.penalty, self.motif = weights.penalty, weights.motif
        self.fed_values: list[int | None] = []
        self._real = NumpyNetwork(weights)

    def step(self, value: int | None, rows: RowIndices, clash: Flags | None, state: LstmState) -> Floats:
        """See `Network.step`."""
        self.fed_values.append(value)
        return self._real.step(value, rows, clash, state)

    def advance(self, value: int | None, rows: RowIndices, state: LstmState) -> None:
        """See `Network.advance`."""
        self.fed_values.append(value)
        self._real.advance(value, rows, state)


def play_on_fake_clock(
    engine: Engine, until: float, arrivals: Iterable[tuple[float, MidiEvent | Command]] = (), oversleeps: float = 0.0
) -> tuple[RecordingOutput, list[BarPlayed]]:
    """Let a player play `engine` until a second of a fake clock, with these arrivals."""
    stop = Arrival(until, None)
    clock = FakeClock([*(Arrival(second, item) for second, item in arrivals), stop], lambda: oversleeps)
    recorder = RecordingOutput(clock)
    Player(engine, recorder, clock, recorder.reports.append).run()
    return recorder, [report for report in recorder.reports if isinstance(report, BarPlayed)]


def note_ons(recorder: RecordingOutput) -> list[tuple[float, int]]:
    """The note-ons of a recorder: second and pitch."""
    return [(second, message[1]) for second, message in recorder.sent if message[0] & 0xF0 == 0x90 and message[2]]


def hanging_notes(messages: Iterable[tuple[int, ...]]) -> Mapping[tuple[int, int], int]:
    """The velocities of the notes, by channel and pitch, that were struck and never released."""
    sounding: dict[tuple[int, int], int] = {}
    for status, pitch, velocity in messages:
        if status & 0xF0 == 0x90 and velocity:
            sounding[status & 0x0F, pitch] = velocity
        elif status & 0xE0 == 0x80:
            sounding.pop((status & 0x0F, pitch), None)
    return sounding
