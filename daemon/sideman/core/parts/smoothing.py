# SPDX-License-Identifier: Apache-2.0
"""Which smoothing rules the solo keeps; `sideman_models.music.smoothing` has the rules themselves.

With a classic bundle they work as in the originals: a value that was drawn is changed before it is played. With any
other bundle they only limit what may be drawn (`sideman.core.parts.masks`); what was drawn is never changed.
"""

from __future__ import annotations

from msgspec.structs import replace

from sideman.core.settings.schema import PlaySettings
from sideman_models.music.smoothing import ORIGINAL_RULES, SmoothingRules
from sideman_models.music.values import TICKS_PER_QUARTER

MIN_ONSET_GAP_BEATS = 1 / TICKS_PER_QUARTER
"""The least distance of two onsets of the solo, in beats, whatever the swing does to them."""

MODERN_RULES = SmoothingRules(apart=MIN_ONSET_GAP_BEATS)
"""The rules for a bundle that is not classic where the settings say `auto`: it has learned the rest from its corpus."""


def smoothing_rules(settings: PlaySettings, *, classic: bool) -> SmoothingRules:
    """Return the rules of `settings`; a rule set to `auto` is that of a classic or of any other bundle."""
    given = {name: value for name in ("settle", "leap", "apart") if (value := getattr(settings, name)) is not None}
    return replace(ORIGINAL_RULES if classic else MODERN_RULES, repetition=settings.repetition, **given)
