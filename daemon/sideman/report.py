# SPDX-License-Identifier: Apache-2.0
"""A bar in one line for people: its chords, and each value with the pitch it became."""

from __future__ import annotations

from sideman.core.improviser import Choice
from sideman.core.reports import BarPlayed
from sideman_models.harmony import pitch_name


def bar_line(bar: BarPlayed) -> str:
    """For example ``bar 3 | F7 | C,0.500,+2 Eb4 · R,1.000 -``."""
    chords = " ".join(chord.text for chord in bar.chords)
    return f"bar {bar.number} | {chords} | " + (" · ".join(_played(choice) for choice in bar.choices) or "-")


def _played(choice: Choice) -> str:
    return f"{choice.value.text} {'-' if choice.pitch is None else pitch_name(choice.pitch)}"
