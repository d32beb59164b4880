# SPDX-License-Identifier: Apache-2.0
"""Evaluating a network: values per second, beside the bare steps of the network over the same music.

The program brings no corpus, so the music is what the network itself plays over the default changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np

from bench.figures import Budget, Figure, in_turns, median
from bench.scene import SEED, performance, undisturbed
from sideman.core.chart.chart import Chart
from sideman.render.over_solos import play_over_solos
from sideman.service.service import THREAD_SWITCH_S
from sideman_models.evaluation.bits import bits_of_pieces
from sideman_models.music.solos import ChordGrid, Piece, Solo
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle, load_bundle
from sideman_models.network.encoding import PieceEncoder
from sideman_models.network.lstm import LstmState, NumpyNetwork

TIMES_A_STEP = 3
_CHORUSES = 4


def figures(effort: float) -> Iterator[Figure]:
    """The only figure of this module."""
    made = performance()
    bundle = load_bundle(made.settings.model.bundle)
    pieces = list(play_over_solos(bundle, [_solo(made.chart)], max(1, round(_CHORUSES * effort)), SEED))
    values = sum(len(piece.values) for piece in pieces)
    actions = {"ours": (1, lambda: bits_of_pieces(bundle, pieces)), "steps": (1, _steps(bundle, pieces))}
    with undisturbed(THREAD_SWITCH_S):
        seconds = {name: median(each) for name, each in in_turns(max(1, round(10 * effort)), actions).items()}
    ratio = seconds["ours"] / seconds["steps"]
    yield Figure(
        f"evaluate: {values} values by default",
        "values/s",
        values / seconds["ours"],
        beside={"bare steps over the same": values / seconds["steps"]},
        budget=Budget(f"at most {TIMES_A_STEP} times its bare steps", TIMES_A_STEP, ratio),
    )


def _solo(chart: Chart) -> Solo:
    """A solo without notes over a chart: only its changes are used."""
    chords = tuple(chart.chord_at(beat) for beat in range(int(chart.length)))
    return Solo("", "", (), ChordGrid(chords), round(chart.meter.quarters * TICKS_PER_QUARTER))


def _steps(bundle: Bundle, pieces: Sequence[Piece]) -> Callable[[], object]:
    """Only the steps of the network; their inputs are computed before."""
    encoder, network = PieceEncoder(bundle.vocabulary, bundle.context), NumpyNetwork(bundle.weights)
    encoded = [encoder.encode(piece) for piece in pieces]
    table, state = encoder.clash_table(), LstmState.zero(bundle.weights.n_a)
    rows = [row for piece in encoded for row in piece.context_rows.astype(np.intp)]
    clash = [table[index] for index in chain(*(piece.clash_rows for piece in encoded))]
    values = [int(index) for piece in encoded for index in piece.indices]

    def step() -> None:
        for value, active, clashing in zip(values, rows, clash, strict=True):
            network.step(value, active, clashing, state)

    return step
