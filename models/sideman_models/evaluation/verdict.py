# SPDX-License-Identifier: Apache-2.0
"""The verdict of an evaluation in a musician's words: how its playing differs from the music it was measured on."""

from __future__ import annotations

from collections.abc import Iterator

from sideman_models.evaluation.report import PLAYED, EvaluationReport
from sideman_models.evaluation.statistics import share

_ALIKE = 1.25
"""Up to this ratio two shares count as alike: another choice of tunes would differ as much."""
_COPIED_NOTES = 16
_WORDS = (
    ("kinds", "R", "rests"),
    ("repeated pitches", "again", "strikes the same pitch again"),
    ("repeated motifs", "again", "repeats a figure"),
)
"""A statistic, the outcome in it that is named, and what that is called."""


def verdict_lines(report: EvaluationReport) -> Iterator[str]:
    """Yield the verdict, one finding a line; nothing where it did not play."""
    named = {one.name: one for one in report.statistics}
    for name, outcome, words in _WORDS:
        if (one := named.get(name)) is None:
            continue
        played, real = 100 * share(one.played, outcome), 100 * share(one.real, outcome)
        if max(played, real) < 0.5:
            continue
        alike = max(played, real) <= _ALIKE * min(played, real)
        measure = "as much as" if alike else "more than" if played > real else "less than"
        yield f"It {words} {measure} your music: {played:.0f} % against {real:.0f} %."
    if close := [one for one in named.values() if one.distance_ratio is not None]:
        farthest = max(close, key=lambda one: one.distance_ratio or 0.0)
        ratio = f"{farthest.distance_ratio:.1f} times as far as two halves of it"
        yield f"It is farthest from your music in {farthest.name}: {ratio}."
    runs = [one.longest.note_count for one in report.shared_runs if one.whose == PLAYED]
    if runs:
        length = max(runs)
        quotes = "quotes" if length >= _COPIED_NOTES else "does not quote"
        yield f"It {quotes}: its longest run from the music it learned from has {length} notes."
