# SPDX-License-Identifier: Apache-2.0
"""Touch and placement: how loud each note of the solo is, and how late, as players have learned it to be.

The readouts of the bundle (`sideman_models.network.readout`) say it from the network's state and the note. Without
them, or with `play.touch` 0, the beat and the contour make the accents; with `play.placement` 0 a note is on the grid.

How loud the solo is as a whole is `play.velocity`; with `play.follow` it moves towards the loudness of the player.

A placed note stays within its own tick: it never reaches the next place where a note could be written, nor the next bar
line. On a beat it is never early. Elsewhere it may be early by `EARLY_S`, which the soloist knows ahead: it chooses
that much sooner, so the deadline of a placed note is never already over.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from sideman.core.settings.groups.play import PlaySettings
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import BundleInfo
from sideman_models.network.lstm import Floats
from sideman_models.network.readout import NoteFacts, note_facts, ruled_accent

EARLY_S = 0.015
"""The longest time by which a note that is not on a beat may come before its place on the grid."""
LATE_S = 0.04
"""The latest that a note is placed with `play.placement` 1. At slow tempos, of which the database has few solos, the
readout goes beyond what players do."""
AUTO_FOLLOW = 0.5
"""`play.follow` for a bundle that has learned touch."""
_VELOCITY_PER_DB = 3.0
_DEVIATION_DB = 1.5
_MAX_LOUDNESS_DB = 12.0
_RULED_DEVIATION = 3
_HEARD_SHARE = 0.25  # of a new note of the player in what counts as the loudness of the player
_MAX_TICK_SHARE = 0.9


class TouchMemory(Struct, frozen=True):
    """The loudness of our last note, in decibels above the usual, and that of the player as a velocity, if known."""

    last_loudness: Annotated[float, Meta(ge=-100, le=100)] = 0.0
    heard_velocity: Annotated[float, Meta(ge=1, le=127)] | None = None


class Touched(Struct, frozen=True):
    """How a note is played: `velocity`, `delay` in beats after its place on the grid, and `loudness` in decibels."""

    velocity: int
    delay: float = 0.0
    loudness: float = 0.0


class Touch:
    """Plays notes with the readouts of `bundle`."""

    def __init__(self, bundle: BundleInfo) -> None:
        self.memory = TouchMemory()
        self._touch, self._placement = bundle.touch, bundle.placement

    def player_struck(self, velocity: int) -> None:
        """The player has struck a note with `velocity`."""
        before = self.memory.heard_velocity
        heard = velocity if before is None else before + _HEARD_SHARE * (velocity - before)
        self.memory = TouchMemory(self.memory.last_loudness, heard)

    def played(self, loudness: float) -> None:
        """We have played a note with this loudness."""
        self.memory = TouchMemory(loudness, self.memory.heard_velocity)

    def early_s(self, settings: PlaySettings, tick_in_bar: int) -> float:
        """Return how many seconds before its place on the grid a note at this tick may sound."""
        on_beat = tick_in_bar % TICKS_PER_QUARTER == 0
        return 0.0 if self._placement is None or not settings.placement or on_beat else EARLY_S

    def choose(self, settings: PlaySettings, a: Floats, note: NoteFacts, drawn: float) -> Touched:
        """Return how `note` is played, chosen from the state `a`; `drawn` (0 to 1) is for what is left to chance.

        The `last_loudness` of `note` is filled in here.
        """
        place, level = note.place, self._level(settings)
        step = 0 if place.previous_pitch is None else note.pitch - place.previous_pitch
        deviation = round(2 * _RULED_DEVIATION * (drawn - 0.5))
        ruled = ruled_accent(place.tick_in_bar % TICKS_PER_QUARTER, step) + deviation
        touch = None if not settings.touch else self._touch
        placement = None if not settings.placement else self._placement
        if touch is None and placement is None:
            return Touched(_velocity(level + ruled))
        inputs = np.concatenate((a, note_facts(note, self.memory.last_loudness)))
        loudness, accent, delay = 0.0, float(ruled), 0.0
        if touch is not None:
            loudness = float(touch.read_all(inputs)) + 2 * _DEVIATION_DB * (drawn - 0.5)
            loudness = max(-_MAX_LOUDNESS_DB, min(_MAX_LOUDNESS_DB, loudness))
            accent = ruled * max(0.0, 1.0 - settings.touch) + settings.touch * _VELOCITY_PER_DB * loudness
        if placement is not None:
            seconds = settings.placement * min(LATE_S, float(placement.read_all(inputs)))
            delay = max(-self.early_s(settings, place.tick_in_bar), seconds) * note.bpm / 60.0
        return Touched(_velocity(level + accent), delay, loudness)

    def _level(self, settings: PlaySettings) -> float:
        """Return the mean velocity of the solo: between `play.velocity` and that of the player."""
        follow, heard = settings.follow, self.memory.heard_velocity
        if follow is None:
            follow = 0.0 if self._touch is None else AUTO_FOLLOW
        return settings.velocity + follow * ((heard or settings.velocity) - settings.velocity)


def placed_beat(before: float, beat: float, after: float, delay: float) -> float:
    """Return `beat` moved by `delay` beats, but not up to the beats of the ticks `before` and `after` it."""
    if delay >= 0.0:
        return beat + min(delay, max(0.0, _MAX_TICK_SHARE * (after - beat)))
    return beat - min(-delay, max(0.0, _MAX_TICK_SHARE * (beat - before)))


def _velocity(velocity: float) -> int:
    return max(1, min(127, round(velocity)))
