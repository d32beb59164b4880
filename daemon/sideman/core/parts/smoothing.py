# SPDX-License-Identifier: Apache-2.0
"""Which rules of post-processing a voice keeps, and how: see `sideman_models.music.smoothing` for the rules themselves.

A classic bundle keeps them as the originals did: a value drawn is changed before its time comes. With any other bundle
the same aims only narrow what may be drawn (`sideman.core.parts.masks`); nothing that was drawn is ever changed.
"""

from __future__ import annotations

from dataclasses import replace

from sideman.core.settings.schema import PlaySettings
from sideman_models.music.smoothing import ORIGINAL_RULES, SmoothingRules
from sideman_models.music.values import TICKS_PER_QUARTER

MIN_ONSET_GAP_BEATS = 1 / TICKS_PER_QUARTER
"""Beats between two onsets of a voice, whatever the swing does to them."""

MODERN_RULES = SmoothingRules(apart=MIN_ONSET_GAP_BEATS)
"""What a bundle other than a classic one keeps unless told otherwise: it has learned the rest from what it heard."""


def smoothing_rules(settings: PlaySettings, *, classic: bool) -> SmoothingRules:
    """The rules that `settings` give, those left to `auto` as the dialect of the bundle wants them."""
    told = {name: value for name in ("settle", "leap", "apart") if (value := getattr(settings, name)) is not None}
    return replace(ORIGINAL_RULES if classic else MODERN_RULES, repetition=settings.repetition, **told)
