# SPDX-License-Identifier: Apache-2.0
"""The pictures of a trained network: its learning curves, the values it learned from, and a chorus that it plays."""

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
    (LEARNING, "Bits per value, epoch by epoch"),
    (VALUES, "The values it learned from, and how often each occurs"),
    (SAMPLE, "A chorus it plays"),
)
"""The file name of each picture, and what it shows."""

_SAMPLE = Settings(play=PlaySettings(rate="phrase"))


def bundle_pictures(bundle: Bundle, curve: list[Any], counts: Mapping[str, int], chart: Chart) -> dict[str, bytes]:
    """The pictures of a bundle as PNG, by file name. The chorus is played over `chart`.

    `curve` has (epoch, bits in training, bits on unseen pieces or None), `counts` the number of each value in the music
    it learned from. Raises ModuleNotFoundError if matplotlib is not installed.
    """
    from sideman_models import pictures

    performance = Performance(_SAMPLE, chart, bundle, NumpyNetwork(bundle.weights), seed=0)
    take = render_take(performance, len(chart.bars), bundle.name)
    spans = note_spans(take.events)
    notes = [pictures.RollNote(onset, length, note.pitch, note.velocity) for onset, length, note in spans]
    chords = list(chord_symbols(chart, take.beats))
    return {
        LEARNING: pictures.learning_curves([(number, seen, unseen) for number, seen, unseen in curve], bundle.name),
        VALUES: pictures.value_frequencies(counts, f"{bundle.name}: values it learned from"),
        SAMPLE: pictures.piano_roll(notes, chords, f"{bundle.name}: a chorus", chart.beat_of_bar),
    }
