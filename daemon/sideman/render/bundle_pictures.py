# SPDX-License-Identifier: Apache-2.0
"""The pictures that go with a trained network: how it learned, what it learned from, and what it plays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sideman.core.chart.chart import Chart
from sideman.core.settings.schema import PlaySettings, Settings
from sideman.playing.assembly import Performance
from sideman.render.render import chord_symbols, note_spans, render_take
from sideman_models.network.bundle import Bundle
from sideman_models.network.lstm import NumpyNetwork

LEARNING, VALUES, SAMPLE = "learning.png", "values.png", "sample.png"
PICTURES = (
    (LEARNING, "Bits a value, epoch by epoch"),
    (VALUES, "The values it learned from, and how often each comes"),
    (SAMPLE, "A chorus it plays"),
)
"""The pictures there are, by name, and what each shows."""

_SAMPLE = Settings(play=PlaySettings(rate="phrase"))


def bundle_pictures(bundle: Bundle, curve: list[Any], counts: Mapping[str, int], chart: Chart) -> dict[str, bytes]:
    """The pictures of a bundle as PNG, by name, its sample over `chart`.

    `curve` holds (epoch, bits in training, bits on unseen pieces or None), `counts` how often each value comes in what
    it learned from. Raises ModuleNotFoundError where matplotlib is not installed.
    """
    from sideman_models import pictures

    performance = Performance(_SAMPLE, chart, bundle, NumpyNetwork(bundle.weights), seed=0)
    take = render_take(performance, len(chart.bars), bundle.name)
    notes = [
        pictures.RollNote(onset, length, note.pitch, note.velocity) for onset, length, note in note_spans(take.events)
    ]
    chords = list(chord_symbols(chart, take.beats))
    return {
        LEARNING: pictures.learning_curves([(number, seen, unseen) for number, seen, unseen in curve], bundle.name),
        VALUES: pictures.value_frequencies(counts, f"{bundle.name}: values it learned from"),
        SAMPLE: pictures.piano_roll(notes, chords, f"{bundle.name}: a chorus", chart.beat_of_bar),
    }
