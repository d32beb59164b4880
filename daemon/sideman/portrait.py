# SPDX-License-Identifier: Apache-2.0
"""The pictures that go with a trained network: how it learned, what it learned from, and what it plays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sideman.core.chart import Chart
from sideman.core.engine import BarPlayed, play_through
from sideman.core.improviser import Choice
from sideman.core.settings import PlaySettings, Settings
from sideman.performance import Performance
from sideman_models.bundle import Bundle
from sideman_models.lstm import NumpyNetwork
from sideman_models.values import TICKS

LEARNING, VALUES, SAMPLE = "learning.png", "values.png", "sample.png"
SHOWN = (
    (LEARNING, "Bits a value, epoch by epoch"),
    (VALUES, "The values it learned from, and how often each comes"),
    (SAMPLE, "A chorus it plays"),
)
"""The pictures there are, by name, and what each shows."""

_SAMPLE = Settings(play=PlaySettings(rate="phrase"))


def portrait(bundle: Bundle, curve: list[Any], counts: Mapping[str, int], chart: Chart) -> dict[str, bytes]:
    """The pictures of a bundle as PNG, by name, its sample over `chart`.

    `curve` holds (epoch, bits in training, bits on unseen pieces or None), `counts` how often each value comes in what
    it learned from. Raises ModuleNotFoundError where matplotlib is not installed.
    """
    from sideman_models import pictures

    notes = [
        pictures.RollNote(choice.tick / TICKS, choice.length / TICKS, choice.pitch, choice.velocity)
        for choice in _sample(bundle, chart)
        if choice.pitch is not None
    ]
    bar = float(chart.meter.quarters)
    chords = [
        (number * bar + onset, chord.text) for number, one in enumerate(chart.bars) for onset, chord in one.chords
    ]
    return {
        LEARNING: pictures.learning_curves([(number, seen, unseen) for number, seen, unseen in curve], bundle.name),
        VALUES: pictures.frequencies(counts, f"{bundle.name}: values it learned from"),
        SAMPLE: pictures.piano_roll(notes, chords, f"{bundle.name}: a chorus", bar),
    }


def _sample(bundle: Bundle, chart: Chart) -> Iterator[Choice]:
    """One chorus, the same each time."""
    performance = Performance(_SAMPLE, chart, bundle, NumpyNetwork(bundle.weights), seed=0)
    for due in play_through(performance.engine(0.0, beats=chart.length)):
        if isinstance(due.what, BarPlayed):
            yield from due.what.choices
