# SPDX-License-Identifier: Apache-2.0
"""The protocol of a part: one voice of the performance, or the MIDI clock that we send.

The engine asks its parts; a part pushes nothing. So nothing that was announced earlier can be out of date. The beat
of an onset is settled when the part decides on it: a later change of the swing moves the onsets after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from sideman.core.events import MidiEvent, NoteOn, Voice
from sideman_models.music.values import Value

CLOCK_RANK, ONSET_RANK = 1, 3
"""What goes first on one beat: note ends and changes of mode or chart (0), the clock, bar lines (2), onsets."""


class PlayedNote(Struct, frozen=True):
    """A note that a part starts on `beat` and that ends on the beat `end`.

    `tick` is its written onset; a note of the solo has the `value` that the network chose, and
    its `motif`: see `Choice`.
    The solo plays one note at a time: its last note ends here if it still sounds.
    """

    note: NoteOn
    beat: float
    end: float
    voice: Voice
    tick: int
    value: Value | None = None
    motif: int = 0


class PlannedRest(Struct, frozen=True):
    """A rest that a part has decided on, from `beat` to the beat `end`."""

    beat: float
    end: float
    voice: Voice
    value: Value | None = None


class Part(Protocol):
    """One voice of the performance, or our clock. Beats are those of the timeline; seconds are passed in."""

    rank: int = ONSET_RANK
    """`CLOCK_RANK` or `ONSET_RANK`."""
    missed_notes: int = 0
    """How many notes were left out because they would have come too late."""

    @property
    def decision(self) -> int | None:
        """The number of the decision on the next onset (see `Timeline.decisions`); None if it is still open.

        Of two parts that play on one beat, the one that decided on it first goes first.
        """

    @property
    def planned(self) -> Sequence[PlayedNote | PlannedRest]:
        """What is decided and not yet played, in order, as it would be played now: shown, and not binding."""
        return ()

    def next_beat(self) -> float:
        """Return the beat of the next onset; infinite while that is not known."""

    def play(self, second: float) -> Sequence[PlayedNote | MidiEvent]:
        """Play what `next_beat` announced; empty for a rest, and for what comes too late at `second`."""

    def relocate(self) -> None:
        """The music continues at the start of the timeline; nothing sounds, and nothing announced is to be played."""
