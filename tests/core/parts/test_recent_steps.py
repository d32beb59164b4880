# SPDX-License-Identifier: Apache-2.0
"""Steps that are not computed again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.parts.recent_steps import RecentSteps
from sideman_models.network.lstm import LstmState, NumpyNetwork
from support.fakes import RecordingNetwork, modern_bundle, performance

_BUNDLE = modern_bundle()
_ROWS = [np.array(rows, np.intp) for rows in ([], [0], [0, 1], [1])]
calls = st.lists(
    st.tuples(st.booleans(), st.sampled_from([None, 0, 1]), st.sampled_from(range(len(_ROWS))), st.integers(0, 2)),
    max_size=40,
)


@given(calls)
def test_the_results_are_those_of_the_network(taken: list[tuple[bool, int | None, int, int]]) -> None:
    """Guards against: a solo that is another one because a result was kept that belongs to another step."""
    recent, alone = RecentSteps(NumpyNetwork(_BUNDLE.weights)), NumpyNetwork(_BUNDLE.weights)
    states = [(LstmState.zero(alone.n_a), LstmState.zero(alone.n_a)) for _ in range(3)]
    for steps, value, rows, at in taken:
        ours, theirs = states[at]
        if steps:
            logits = recent.step(value, _ROWS[rows], None, ours).copy()
            np.testing.assert_array_equal(logits, alone.step(value, _ROWS[rows], None, theirs))
        else:
            recent.advance(value, _ROWS[rows], ours)
            alone.advance(value, _ROWS[rows], theirs)
        np.testing.assert_array_equal((ours.a, ours.c), (theirs.a, theirs.c))


def test_a_solo_takes_each_step_once() -> None:
    """Guards against: three times the work for each note."""
    network = RecordingNetwork(_BUNDLE.weights)
    player = performance(_BUNDLE, network, play__rate="eighth").make_engine(0.0).improviser
    for tick in range(0, 120, 6):
        player.record_played(player.choose(tick))
    assert len(network.fed_values) == 20
