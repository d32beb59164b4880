# SPDX-License-Identifier: Apache-2.0
"""How the benchmark finds onsets in what was recorded, and compares the browser's clock with the daemon's."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.sound_page import Recording, performance_epoch

RATE, SECOND = 44100, 1.0
TOLERANCE_S = 0.002
Note = tuple[float, float, float]
"""Its second, and its frequency and decay, both in Hz."""


def recorded(*notes: Note) -> Recording:
    """Two seconds of one part that strikes these notes, each with the partials of a string and a little noise."""
    seconds = np.arange(2 * RATE) / RATE
    wave = 1e-6 * np.random.default_rng(1).standard_normal(len(seconds))
    for second, frequency, decay in notes:
        after = np.maximum(0.0, seconds - second)
        partials = sum(np.sin(2 * np.pi * frequency * number * after) / number for number in range(1, 8))
        wave += 0.2 * np.minimum(1.0, after / 0.001) * np.exp(-decay * after) * partials
    readings = np.stack([seconds[::4410], seconds[::4410]], axis=1)
    return Recording({"bass": wave.astype(np.float32)}, {"bass": 0.0}, readings, RATE)


frequencies, decays = st.floats(50, 700), st.floats(1, 10)


@given(st.floats(-0.015, 0.05), frequencies, decays, st.floats(0.15, 0.6), frequencies, decays)
def test_an_onset_is_found_while_the_note_before_rings_on(
    late: float, frequency: float, decay: float, before: float, other: float, others_decay: float
) -> None:
    """Guards against: a page that is on time in the report, whatever it does, or off it where notes are tied."""
    recording = recorded((SECOND - before, other, others_decay), (SECOND + late, frequency, decay))
    error = recording.onset_error("bass", SECOND)
    assert error is not None
    assert abs(error - late) <= TOLERANCE_S


@given(frequencies, decays, st.floats(0.15, 0.6))
def test_a_note_that_only_rings_on_is_no_onset(frequency: float, decay: float, before: float) -> None:
    """Guards against: notes that did not sound and are counted as punctual."""
    assert recorded((SECOND - before, frequency, decay)).onset_error("bass", SECOND) is None


class Page:
    """A page of a browser whose clock is off by some seconds; it is its own context and session."""

    def __init__(self, off: float) -> None:
        self.off = off
        self.start = time.monotonic()

    context = property(lambda self: self)

    def new_cdp_session(self, _page: object) -> Page:
        """Itself."""
        return self

    def send(self, name: str) -> dict[str, Any]:
        """What the browser says of its clock."""
        metrics = {"NavigationStart": self.start + self.off, "Timestamp": time.monotonic() + self.off}
        listed = [{"name": name, "value": value} for name, value in metrics.items()]
        return {"metrics": listed} if name == "Performance.getMetrics" else {}

    def evaluate(self, _script: str) -> float:
        """What the page's `performance.now()` is."""
        return 1000 * (time.monotonic() - self.start)

    def detach(self) -> None:
        """Nothing to end."""


def test_a_browser_that_counts_by_another_clock_is_not_compared() -> None:
    """Guards against: errors of the page that are the difference of two clocks."""
    page: Any = Page(0.0)
    assert performance_epoch(page) == page.start
    for off in (-5.0, 5.0):
        strange: Any = Page(off)
        with pytest.raises(RuntimeError, match="clock"):
            performance_epoch(strange)
