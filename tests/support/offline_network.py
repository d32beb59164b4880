# SPDX-License-Identifier: Apache-2.0
"""The distribution that the network predicts after some notes, computed by a second implementation, all at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sideman.core.chart.timeline import ChartTimeline
from sideman_models.music.context import EvenBars, Place, clash_mask_at, place_at
from sideman_models.music.line import LineNote, LineValue, MelodicLine
from sideman_models.network.bundle import Bundle
from support.fakes import performance

BARS = EvenBars(48)


def offline_distribution(bundle: Bundle, notes: list[LineNote], tick: int) -> npt.NDArray[np.float64]:
    """The distribution at `tick` after `notes` as a corpus writes them, over `fakes.CHANGES`."""
    changes = ChartTimeline(performance().chart)
    line = MelodicLine(changes, BARS)
    written: list[LineValue] = []
    for note in notes:
        written += line.add_note(note.onset, note.pitch, heard=True, starts_phrase=note.starts_phrase)
        line.release(note.end)
    written += line.add_note(tick, 60, heard=True)
    return distribution_after(bundle, written, place_at(changes, BARS, tick, notes[-1].pitch))


def distribution_after(bundle: Bundle, written: list[LineValue], place: Place) -> npt.NDArray[np.float64]:
    """The distribution at `place` after some values, by another LSTM, in double precision."""
    w = bundle.weights
    a, c = np.zeros(w.n_a), np.zeros(w.n_a)
    fed: int | None = None
    places = [(one.place, bundle.vocabulary.nearest_index(one.value)) for one in written]
    logits = np.zeros(w.n_values)
    for where, index in [*places, (place, None)]:
        x = np.zeros(w.kernel.shape[0] + 1)
        x[w.n_values + bundle.context.active_rows(where)] = 1
        if fed is not None:
            x[fed] = 1
        z = x[:-1] @ w.kernel.astype(float) + a @ w.recurrent + w.bias
        i, f, g, o = np.split(z, 4)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        a = o * np.tanh(c)
        logits = a @ w.densor_kernel.astype(float) + w.densor_bias - w.penalty * clash_mask_at(bundle.vocabulary, where)
        fed = index
    return softmax(logits + _motif_logits(bundle, written, place))


def _motif_logits(bundle: Bundle, written: list[LineValue], place: Place) -> npt.NDArray[np.float64]:
    """What the memory of motifs adds to each value, by comparing every earlier place with the end."""
    symbols = [(one.value.kind == "R", one.value.interval) for one in written]
    longest: dict[tuple[object, bool], int] = {}
    for at, symbol in enumerate(symbols):
        run = next((n for n in range(min(at, 6)) if symbols[at - 1 - n] != symbols[-1 - n]), min(at, 6))
        same = place.previous_pitch is not None and written[at].place.previous_pitch == place.previous_pitch
        for key in [(symbol, False), (symbol, True)][: 1 + same]:
            longest[key] = max(longest.get(key, 0), run)
    rows = np.pad(bundle.weights.motif, ((0, 0), (1, 0)))
    values = [(value.kind == "R", value.interval) for value in bundle.vocabulary.values]
    return np.array([rows[0][longest.get((one, False), 0)] + rows[1][longest.get((one, True), 0)] for one in values])


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Probabilities from logits (n,)."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())
