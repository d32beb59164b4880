# SPDX-License-Identifier: Apache-2.0
"""A figure: what was measured, what it is compared with, and its budget; and the table that people read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

Samples = Sequence[float]


@dataclass(frozen=True, slots=True)
class Budget:
    """The limit of a figure: `measured` may be at most `limit` or, with `at_least`, has to be at least that."""

    text: str
    limit: float
    measured: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the limit is kept."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement in `unit`: the median, and the 99th percentile where that is of interest.

    `beside` holds lower bounds and alternatives, measured in the same run and in the same unit. `value` is None if it
    could not be measured on this machine; then `note` says why.
    """

    what: str
    unit: str
    value: float | None
    p99: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    budget: Budget | None = None
    note: str = ""

    def object(self) -> dict[str, Any]:
        """The figure as a JSON object."""
        plain = asdict(self)
        if self.budget is not None:
            plain["budget"]["met"] = self.budget.met
        return plain


def median(samples: Samples) -> float:
    """The median."""
    return float(np.percentile(samples, 50))


def p99(samples: Samples) -> float:
    """The 99th percentile."""
    return float(np.percentile(samples, 99))


def in_turns(rounds: int, actions: Mapping[str, tuple[int, Callable[[], object]]]) -> dict[str, list[float]]:
    """The seconds of every call, by name: in each round every action in turn, each repeated as often as is given."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, (times, action) in actions.items():
            seconds[name] += (seconds_of(action) for _ in range(times))
    return seconds


def seconds_of(action: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter_ns()
    action()
    return (time.perf_counter_ns() - start) / 1e9


def table(figures: Iterable[Figure]) -> str:
    """The figures as text, a paragraph each."""
    return "\n".join(line for figure in figures for line in _paragraph(figure))


def _paragraph(figure: Figure) -> Iterator[str]:
    yield f"{figure.what:<46} {_values(figure)}"
    for name, value in figure.beside.items():
        yield f"  {'beside ' + name:<44} {_number(value):>9} {figure.unit}"
    if figure.budget is not None:
        result = "met" if figure.budget.met else "MISSED"
        yield f"  {'budget ' + figure.budget.text:<44} {_number(figure.budget.measured):>9} {result}"
    if figure.note:
        yield f"  {figure.note}"


def _values(figure: Figure) -> str:
    if figure.value is None:
        return "not measured here"
    tail = "" if figure.p99 is None else f"   p99 {_number(figure.p99)} {figure.unit}"
    return f"{_number(figure.value):>9} {figure.unit}{tail}"


def _number(value: float) -> str:
    """About three digits; more would be noise."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
