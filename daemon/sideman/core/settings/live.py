# SPDX-License-Identifier: Apache-2.0
"""The one cell that holds the current settings. All parts read it; only the engine changes it."""

from __future__ import annotations

from collections.abc import Iterable

from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.settings.groups.play import PlaySettings
from sideman.core.settings.schema import Settings, with_values


class LiveSettings:
    """The current settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def play(self) -> PlaySettings:
        """The settings of `play`."""
        return self.settings.play

    @property
    def midi(self) -> MidiSettings:
        """The settings of `midi`."""
        return self.settings.midi

    def change(self, values: Iterable[tuple[str, object]]) -> None:
        """Change settings: `values` by dotted key."""
        self.settings = with_values(self.settings, values)
