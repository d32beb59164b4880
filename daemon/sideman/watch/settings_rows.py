# SPDX-License-Identifier: Apache-2.0
"""The settings that the view shows: as a bar and a number, or as a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sideman_models.text import printable

_MAX_VALUE = 1e9


@dataclass(frozen=True, slots=True)
class ControlRow:
    """A setting and its label. The bar is empty at `low` and full at `high`; without them there is no bar."""

    label: str
    key: str
    low: float = 0.0
    high: float = 0.0

    def share_and_text(self, settings: Mapping[str, object]) -> tuple[float | None, str]:
        """Return how full the bar is, 0 to 1 (None: no bar), and the value as a short text."""
        value = settings.get(self.key, "-")
        number = _number(value)
        if number is None or self.high <= self.low:
            return None, _format_value(value)
        return (min(max(number, self.low), self.high) - self.low) / (self.high - self.low), f"{number:.4g}"


def _number(value: object) -> float | None:
    """Return the value if it is a number that a setting can have."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_MAX_VALUE <= value <= _MAX_VALUE else None


def _format_value(value: object) -> str:
    """Return a value as it is written in the configuration."""
    if value is None:
        return "auto"
    if isinstance(value, bool):
        return "on" if value else "off"
    number = _number(value)
    return printable(value) if number is None else f"{number:.4g}"


CONTROL_ROWS = (
    ControlRow("temperature", "play.temperature", 0, 2),
    ControlRow("density", "play.density", 0, 2),
    ControlRow("harmony", "play.harmony", 0, 2),
    ControlRow("contour", "play.contour", 0, 2),
    ControlRow("rate", "play.rate"),
    ControlRow("swing", "play.swing", 0.5, 0.75),
    ControlRow("gate", "play.gate", 0, 1),
    ControlRow("velocity", "play.velocity", 0, 127),
    ControlRow("comp", "play.comp"),
    ControlRow("range", "play.range"),
    ControlRow("repetition", "play.repetition"),
    ControlRow("top_p", "play.top_p", 0, 1),
    ControlRow("top_k", "play.top_k"),
    ControlRow("rests", "play.rests"),
    ControlRow("longest", "play.longest"),
    ControlRow("offset_ms", "play.offset_ms"),
)
"""The most important settings for a player come first, because a small terminal shows only some of them."""
