# SPDX-License-Identifier: Apache-2.0
"""Steps that are not computed again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.parts.recent_steps import RecentSteps
from sideman_models.network.lstm import LstmState, NumpyNetwork
from support.fakes import RecordingNetwork, modern_bundle, performance, random_weights

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


def test_a_note_heard_after_rests_takes_no_step_again() -> None:
    """Guards against: a note of the player's that waits for steps that were taken for the last choice."""
    network = RecordingNetwork(_BUNDLE.weights)
    player = performance(_BUNDLE, network).make_engine(0.0).improviser
    player.player_note_on(0, 60)
    player.player_note_off(6, 60)
    player.choose(96)  # after two rests, up to the bar lines
    network.fed_values.clear()
    player.player_note_on(96, 62)
    assert not network.fed_values


def test_another_network_takes_its_own_steps() -> None:
    """Guards against: a network that has learned, and a solo that goes on from steps of the one before."""
    sizes = _BUNDLE.weights.n_values, _BUNDLE.weights.n_context, _BUNDLE.weights.n_a
    other = NumpyNetwork(random_weights(*sizes, penalty=4.0, seed=1))
    made = [performance(_BUNDLE).make_engine(0.0).improviser for _ in range(2)]
    for player in made:
        player.player_note_on(0, 60)
    made[0].predict(12)
    for player in made:
        player.prepared["other"] = other
        player.adopt("other")
        player.player_note_on(12, 62)
    np.testing.assert_array_equal(made[0].state.a, made[1].state.a)


def test_a_solo_takes_each_step_once() -> None:
    """Guards against: three times the work for each note."""
    network = RecordingNetwork(_BUNDLE.weights)
    player = performance(_BUNDLE, network, play__rate="eighth").make_engine(0.0).improviser
    for tick in range(0, 120, 6):
        player.record_played(player.choose(tick))
    assert len(network.fed_values) == 20
