# SPDX-License-Identifier: Apache-2.0
"""The settings of `practice`: loops, and rounds that are faster or in other keys."""

from __future__ import annotations

from msgspec import Struct

from sideman.core.chart.places import check_place
from sideman.core.settings.groups.definitions import group, setting
from sideman.core.settings.types import SettingType, choice_type, integer_type, number_type, optional_type

CYCLES = {
    "off": 0,
    "semitones": 1,
    "whole tones": 2,
    "minor thirds": 3,
    "major thirds": 4,
    "fourths": 5,
    "fifths": 7,
}
"""The semitones from one round of practice to the next, for each value of `practice.transpose`."""


def _read_loop(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError  # noqa: TRY004 - all types refuse a value with the same error
    return check_place(str(value))


LOOP_TYPE = SettingType("bars such as 5-8, the number of a bar, or the name of a section", _read_loop)


@group
class PracticeSettings(Struct, frozen=True):
    """What is played again and again, slower, faster or in other keys. A round is a chorus, or once through the loop.

    A `tempo_limit` of None is the slowest or the fastest tempo that there is.
    """

    loop: str | None = setting(
        None,
        optional_type(None, LOOP_TYPE, "the whole chart"),
        "Bars of the chart that are played again and again, from the next bar line on: 5-8 for bars, B for a section. "
        "Once through them counts as one of chart.choruses; without a number there the music does not end.",
    )
    count_in: int = setting(
        0, integer_type(0, 4), "The number of bars with clicks before each round of the loop, and after a jump."
    )
    tempo: float = setting(
        0.0,
        number_type(-50, 50),
        "How many beats per minute faster (or slower, below 0) each round is than the one before.",
    )
    tempo_limit: float | None = setting(
        None,
        optional_type(None, number_type(20, 400), "none"),
        "The tempo at which practice.tempo goes no further.",
    )
    transpose: str = setting(
        "off",
        choice_type(*CYCLES),
        "Play each round in another key, this much higher than the one before, until it is the first key again: "
        "fourths goes from C to F, B flat, E flat and so on.",
    )
