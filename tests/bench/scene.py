# SPDX-License-Identifier: Apache-2.0
"""What is measured: the program with its default settings, not the user's, in a process prepared like the daemon's."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sideman.core.chart.text import parse_changes
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.playing.assembly import Performance, load_performance

SEED = 1


def performance(keys: Mapping[str, object] | None = None) -> Performance:
    """A performance with the default settings, except the given ones."""
    given = {"play.seed": SEED, "control.socket": "none", **(keys or {})}
    settings = resolve_settings([{name: WrittenValue(value, "the benchmark") for name, value in given.items()}])
    return load_performance(settings, parse_changes(settings.chart.changes, settings.tempo.meter, "chart.changes"))


@contextmanager
def undisturbed(switch: float) -> Iterator[None]:
    """Collect no garbage, and switch threads every `switch` seconds, as while the daemon plays."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(switch)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        sys.setswitchinterval(before)
