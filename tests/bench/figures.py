# SPDX-License-Identifier: Apache-2.0
"""A figure: what was measured, beside what, against which budget; and the table people read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

Samples = Sequence[float]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a figure has to keep to: `measured` at most `limit`, or at least."""

    text: str
    limit: float
    measured: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it does."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, in `unit`: the median, and the 99th percentile where it tells something.

    `beside` are the floors and peers of the same run, in the same unit. Without a `value` it could not be measured
    here, and `note` says why.
    """

    what: str
    unit: str
    value: float | None
    p99: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    budget: Budget | None = None
    note: str = ""

    def object(self) -> dict[str, Any]:
        """As JSON has it."""
        plain = asdict(self)
        if self.budget is not None:
            plain["budget"]["met"] = self.budget.met
        return plain


def median(samples: Samples) -> float:
    """The value in the middle."""
    return float(np.percentile(samples, 50))


def p99(samples: Samples) -> float:
    """The value that one in a hundred exceeds."""
    return float(np.percentile(samples, 99))


def in_turns(rounds: int, actions: Mapping[str, tuple[int, Callable[[], object]]]) -> dict[str, list[float]]:
    """The seconds of every call, by name: in each round every action in turn, each so many times as is said."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, (times, action) in actions.items():
            seconds[name] += (seconds_of(action) for _ in range(times))
    return seconds


def seconds_of(action: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter_ns()
    action()
    return (time.perf_counter_ns() - start) / 1e9


def table(figures: Iterable[Figure]) -> str:
    """The figures for people, a paragraph each."""
    return "\n".join(line for figure in figures for line in _paragraph(figure))


def _paragraph(figure: Figure) -> Iterator[str]:
    yield f"{figure.what:<46} {_values(figure)}"
    for name, value in figure.beside.items():
        yield f"  {'beside ' + name:<44} {_number(value):>9} {figure.unit}"
    if figure.budget is not None:
        verdict = "met" if figure.budget.met else "MISSED"
        yield f"  {'budget ' + figure.budget.text:<44} {_number(figure.budget.measured):>9} {verdict}"
    if figure.note:
        yield f"  {figure.note}"


def _values(figure: Figure) -> str:
    if figure.value is None:
        return "not measured here"
    tail = "" if figure.p99 is None else f"   p99 {_number(figure.p99)} {figure.unit}"
    return f"{_number(figure.value):>9} {figure.unit}{tail}"


def _number(value: float) -> str:
    """Three figures or so: more of them would be noise."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
