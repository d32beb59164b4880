# SPDX-License-Identifier: Apache-2.0
"""Learning from what is heard."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sideman_models.music.line import LineValue
from sideman_models.network.bundle import Bundle
from sideman_models.network.encoding import PieceEncoder
from sideman_models.network.lstm import TRAINED
from sideman_models.training.fine_tuning import KEPT_BACK_EVERY, MARGIN, PASSAGE_BARS, FineTuning, HeardValue, Outcome
from support.fakes import classic_bundle, modern_bundle, motif_bundle
from support.lines import lick, line_of


def heard(written: list[LineValue]) -> list[HeardValue]:
    """The same in its plain form."""
    return [HeardValue.of(one) for one in written]


def rounds(tuning: FineTuning, pitches: list[int]) -> list[Outcome]:
    """What comes of each round, one after every four bars."""
    values, outcomes = heard(line_of(pitches)), list[Outcome]()
    for first in range(0, len(values), 32):
        tuning.hear(values[first : first + 32])
        if (outcome := tuning.learn()) is not None:
            outcomes.append(outcome)
    return outcomes


@pytest.mark.parametrize("bundle", [modern_bundle(), motif_bundle(), classic_bundle()], ids=lambda each: each.name)
def test_it_learns_what_a_player_repeats(bundle: Bundle) -> None:
    """Guards against: hours beside a player of whom nothing is learned, with a bundle of any dialect."""
    tuning = FineTuning(bundle)
    outcomes = rounds(tuning, lick(96))
    accepted = [outcome for outcome in outcomes if outcome.accepted]
    assert accepted
    assert accepted[-1].bits < 0.99 * accepted[0].bits_at_first
    assert all(outcome.bits <= 0.99 * outcome.bits_before for outcome in accepted)
    assert all(np.isfinite(getattr(tuning.playing, name)).all() for name in TRAINED)
    assert tuning.playing.penalty == bundle.weights.penalty


def test_only_a_copy_that_is_better_on_what_was_kept_back_plays() -> None:
    """Guards against: a network that is changed by what holds for nothing else, such as a cat on the keys."""
    noise = np.random.default_rng(3).integers(30, 90, 8 * 64).tolist()
    values, tuning, accepted = heard(line_of(lick(48) + noise)), FineTuning(modern_bundle()), list[bool]()
    for first in range(0, len(values), 32):
        tuning.hear(values[first : first + 32])
        before = tuning.playing
        if (outcome := tuning.learn()) is None:
            continue
        accepted.append(outcome.accepted)
        assert (tuning.playing is not before) == outcome.accepted
        assert not outcome.accepted or outcome.bits <= (1 - MARGIN) * outcome.bits_before
    assert set(accepted) == {True, False}


def test_nothing_comes_of_nothing() -> None:
    """Guards against: a process that is busy although the player only listens."""
    tuning = FineTuning(modern_bundle())
    assert tuning.learn() is None
    tuning.hear(heard(line_of(lick(64), heard=False)))
    assert tuning.learn() is None
    assert rounds(tuning, lick(2 * PASSAGE_BARS)) == []


def test_a_round_needs_something_new() -> None:
    """Guards against: learning the same bars again and again in a long pause."""
    tuning = FineTuning(modern_bundle())
    assert rounds(tuning, lick(PASSAGE_BARS * KEPT_BACK_EVERY + 1))
    assert tuning.learn() is None


def test_only_the_players_values_count() -> None:
    """Guards against: a network that learns from itself, and so plays more and more of the same."""
    own, theirs = line_of(lick(4), heard=False), line_of(lick(4))
    tuning = FineTuning(modern_bundle())
    tuning.hear(heard([*own, *theirs, *own, *theirs[:8], *own]))
    counted = [int(passage.stretch.counts.sum()) for passage in [*tuning._learned, *tuning._kept]]
    assert counted == [len(theirs), 8]


def test_a_value_means_the_same_as_in_a_corpus() -> None:
    """Guards against: another reading of the player's notes than that of a corpus, so that what is learned is wrong."""
    written, bundle = line_of(lick(PASSAGE_BARS)), motif_bundle()
    tuning = FineTuning(bundle)
    tuning.hear([*heard(written), *heard(line_of(lick(1), heard=False))])
    [passage] = tuning._learned
    known = PieceEncoder(bundle.vocabulary, bundle.context)
    count = len(passage.stretch)
    places = [one.place for one in written[:count]]
    assert passage.stretch.targets.tolist() == [bundle.vocabulary.nearest_index(one.value) for one in written[:count]]
    assert passage.stretch.rows.tolist() == [known.context.active_rows(place).tolist() for place in places]


values = st.builds(
    HeardValue,
    st.sampled_from(["C,0.500,+2", "R,1.000", "S,0.250", "nonsense", "", "X,4.000,-12"]),
    st.integers(-5, 500),
    st.sampled_from(["Dm7", "G7", "nothing", ""]),
    st.sampled_from(["Cmaj7", "H", "NC"]),
    st.sampled_from([None, 0.0, 2.5, math.inf, 1e300]),
    st.sampled_from([None, 0, 60, 127]),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(values, max_size=400))
@hypothesis_settings(max_examples=30, deadline=None)
def test_whatever_is_heard_does_no_harm(some: list[HeardValue]) -> None:
    """Guards against: a process that dies of what somebody plays."""
    tuning = FineTuning(modern_bundle())
    tuning.hear(some)
    tuning.learn()
    assert all(np.isfinite(getattr(tuning.playing, name)).all() for name in TRAINED)
