# SPDX-License-Identifier: Apache-2.0
"""The verdict with which an evaluation begins."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from sideman_models.evaluation.statistics import Comparison, Outcome
from sideman_models.evaluation.verdict import verdict_lines


def report(real: int, played: int) -> Any:
    """A report of music with this many rests and repeated pitches among a hundred."""
    counts: list[Counter[Outcome]] = [Counter({"R": rests, "C": 100 - rests}) for rests in (real, played)]
    kinds = Comparison("kinds", counts[0], counts[1], 0.3, 0.1)
    return SimpleNamespace(statistics=[kinds], shared_runs=[])


@pytest.mark.parametrize(
    ("real", "played", "words"),
    [
        (5, 27, "rests more than your music: 27 % against 5 %"),
        (30, 10, "rests less than"),
        (20, 21, "rests as much as"),
    ],
)
def test_a_verdict_says_what_is_different(real: int, played: int, words: str) -> None:
    """Guards against: a page of figures that no musician can read."""
    first, second = verdict_lines(report(real, played))
    assert words in first
    assert "kinds: 3.0 times as far" in second


def test_without_playing_there_is_no_verdict() -> None:
    """Guards against: a verdict on music that was not played."""
    assert not list(verdict_lines(SimpleNamespace(statistics=[], shared_runs=[])))  # type: ignore[arg-type]
