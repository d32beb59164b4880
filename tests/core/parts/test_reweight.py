# SPDX-License-Identifier: Apache-2.0
"""Harmony and contour: each setting weights its own factor, and the share of rests is unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.parts.reweight import Reweighter
from sideman_models.network.bundle import Bundle
from support.fakes import classic_bundle, modern_bundle, performance

Floats = npt.NDArray[np.float64]

bundles = st.sampled_from([modern_bundle(), classic_bundle()])
seeds = st.integers(0, 2**32 - 1)
weights = st.floats(0, 4)


def logits_of(bundle: Bundle, seed: int, spread: float = 3.0) -> Floats:
    """Random logits; with a greater `spread` the network is more certain."""
    return np.random.default_rng(seed).normal(0.0, spread, len(bundle.vocabulary))


def shares(logits: Floats) -> Floats:
    """Probabilities."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def by(groups: list[Any], probabilities: Floats) -> dict[Any, float]:
    """The sum of the probabilities of each group."""
    sums: dict[Any, float] = {}
    for group, share in zip(groups, probabilities.tolist(), strict=True):
        sums[group] = sums.get(group, 0.0) + share
    return sums


def kinds(bundle: Bundle) -> list[str]:
    """The kind of every value."""
    return [value.kind for value in bundle.vocabulary.values]


def intervals(bundle: Bundle) -> list[Any]:
    """The interval of every value; rests are a group of their own."""
    return ["rest" if value.kind == "R" else str(value.interval) for value in bundle.vocabulary.values]


@given(bundles, seeds)
def test_one_changes_nothing(bundle: Bundle, seed: int) -> None:
    """Guards against: a control left at 1 that changes the solo."""
    logits = logits_of(bundle, seed)
    assert Reweighter(bundle.vocabulary).reweight(logits, 1.0, 1.0) == pytest.approx(logits)


@given(bundles, seeds, weights, weights)
def test_the_formula_holds(bundle: Bundle, seed: int, harmony: float, contour: float) -> None:
    """Guards against: controls that do something else than the documentation says."""
    logits = logits_of(bundle, seed)
    before = shares(logits)
    by_kind, by_interval = by(kinds(bundle), before), by(intervals(bundle), before)
    expected = before.copy()
    for index, value in enumerate(bundle.vocabulary.values):
        if value.kind != "R":
            share = by_interval[str(value.interval)]
            expected[index] *= by_kind[value.kind] ** (harmony - 1) * share ** (contour - 1)
    notes = ~bundle.vocabulary.is_rest
    expected[notes] *= before[notes].sum() / expected[notes].sum()
    reweighted = shares(Reweighter(bundle.vocabulary).reweight(logits, harmony, contour))
    assert reweighted == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(seeds, weights, weights)
def test_rests_come_as_often_as_before(seed: int, harmony: float, contour: float) -> None:
    """Guards against: more harmony that makes the solo fall silent."""
    bundle = modern_bundle()
    logits = logits_of(bundle, seed)
    rests = bundle.vocabulary.is_rest
    reweighted = shares(Reweighter(bundle.vocabulary).reweight(logits, harmony, contour))
    assert reweighted[rests] == pytest.approx(shares(logits)[rests], rel=1e-9)


@given(seeds, st.booleans())
def test_zero_removes_a_factor(seed: int, harmony: bool) -> None:
    """Guards against: `play.harmony 0` that still prefers chord tones."""
    bundle = modern_bundle()
    factor = Reweighter(bundle.vocabulary)
    reweighted = factor.reweight(logits_of(bundle, seed), 0.0 if harmony else 1.0, 1.0 if harmony else 0.0)
    sums = by(kinds(bundle) if harmony else intervals(bundle), shares(reweighted))
    flat = [share for group, share in sums.items() if group not in ("R", "rest")]
    assert flat == pytest.approx([flat[0]] * len(flat))


@given(seeds, st.booleans(), st.floats(1.01, 4))
def test_more_than_one_makes_the_likely_likelier(seed: int, harmony: bool, weight: float) -> None:
    """Guards against: a control that has no effect, or the opposite one."""
    bundle = modern_bundle()
    logits = logits_of(bundle, seed)
    groups = kinds(bundle) if harmony else intervals(bundle)
    reweighted = Reweighter(bundle.vocabulary).reweight(logits, weight if harmony else 1.0, 1.0 if harmony else weight)
    before, after = by(groups, shares(logits)), by(groups, shares(reweighted))
    first = max((group for group in before if group not in ("R", "rest")), key=before.__getitem__)
    assert after[first] > before[first]


@given(bundles, st.floats(0, 1000), weights, weights)
def test_a_network_that_is_almost_certain_gives_finite_numbers(
    bundle: Bundle, spread: float, harmony: float, contour: float
) -> None:
    """Guards against: a probability near 0 that ends the music with a number that is not finite."""
    reweighted = Reweighter(bundle.vocabulary).reweight(logits_of(bundle, 1, spread), harmony, contour)
    assert np.isfinite(reweighted).all()


@settings(max_examples=8)
@given(st.sampled_from(["harmony", "contour"]), st.integers(0, 2**16))
def test_harmony_and_contour_change_the_solo(name: str, seed: int) -> None:
    """Guards against: a control that is documented and has no effect."""
    drawn = {}
    for weight in (0.0, 1.0, 4.0):
        keys: dict[str, Any] = {"play__temperature": 0.7, "play__seed": seed, f"play__{name}": weight}
        player = performance(**keys).make_engine(0.0).improviser
        drawn[weight] = [player.choose(tick).value.text for tick in range(0, 480, 12)]
    assert len({tuple(solo) for solo in drawn.values()}) > 1
