# SPDX-License-Identifier: Apache-2.0
"""The benchmark: it measures everything, alternately, and compares it with its budgets. No test asks for a speed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import __main__ as bench
from bench import peers
from bench.figures import Budget, Figure, in_turns, median, p99, table
from bench.readers import KEPT, READERS
from support.processes import daemon_environment

EVERYTHING = ["start", "memory of", "processor", "memory of", "processor", "step, ", "step of default",
              "a whole decision", "a decision", "step beside Keras",
              "sending: late", "hearing", *["band: "] * 4, "sending while it learns",
              "memory of the process", "one update", *["ports: "] * 3, *["sending beside"] * 4, *["page "] * 3,
              *["clock in: off the beat"] * 7, "rendering at rate beat", "rendering at rate phrase", "evaluate",
              *["reading "] * len(READERS), *["the main thread while"] * len(KEPT), "reading MIDI files",
              "training the assignment", "memory: growth"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.tensorflow
def test_all_that_is_promised_is_measured_and_judged(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Guards against a figure that is missing from the report, so that what it measures gets slow unnoticed."""
    measured = bench.measured
    monkeypatch.setenv("PYTHONPATH", daemon_environment()["PYTHONPATH"])
    monkeypatch.setattr(bench, "measured", lambda: measured(0.01))
    bench.main(["--json"])
    figures = json.loads(capfd.readouterr().out)["figures"]
    assert len(figures) == len(EVERYTHING)
    for figure, what in zip(figures, EVERYTHING, strict=True):
        assert figure["what"].startswith(what)
        assert figure["note"] if figure["value"] is None else isinstance(figure["budget"]["met"], bool)


def test_without_tensorflow_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a benchmark that fails where only what playing needs is installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    (figure,) = peers.figures(0.01)
    assert figure.value is None
    assert "TensorFlow is not installed" in table([figure])


def test_what_is_compared_is_measured_in_turns() -> None:
    """Guards against a busy minute of the machine that counts against one side only."""
    done: list[str] = []
    actions = {name: (2, lambda name=name: done.append(name)) for name in "ab"}
    times = in_turns(3, actions)
    assert "".join(done) == "aabb" * 3
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 6, "b": 6}


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_budget_is_met_up_to_its_limit(limit: float, measured: float) -> None:
    """Guards against a report that calls a missed budget met."""
    assert Budget("", limit, measured).met == (measured <= limit)
    assert Budget("", limit, measured, at_least=True).met == (measured >= limit)


@given(st.lists(st.floats(0, 1), min_size=1))
def test_the_slowest_hundredth_lies_between_the_middle_and_the_end(samples: list[float]) -> None:
    """Guards against a median or 99th percentile that is something else."""
    assert min(samples) <= median(samples) <= p99(samples) <= max(samples)


def test_a_missed_budget_is_seen_at_a_glance() -> None:
    """Guards against a missed budget that is overlooked in the table."""
    text = table([Figure("late by", "µs", 10, 900, {"a bare sleep": 8}, Budget("at most 150", 150, 892))])
    assert "MISSED" in text
    assert "a bare sleep" in text
