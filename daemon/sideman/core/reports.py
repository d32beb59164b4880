# SPDX-License-Identifier: Apache-2.0
"""What the player tells of itself while it plays: facts for the log, for those who watch, and for takes.

They are told in the player's own thread, whose time is dear: whoever is told puts them aside and looks at them later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sideman.core.chart.chart import Meter
from sideman.core.events import Command, Event, NoteOff, NoteOn
from sideman.core.parts.improviser import Choice
from sideman.core.settings.schema import Mode
from sideman_models.music.harmony import Chord
from sideman_models.music.values import Value

Doing = Literal["idle", "listening", "playing"]
Voice = Literal["solo", "comp", "clicks"]


@dataclass(frozen=True, slots=True)
class BarPlayed:
    """A bar that is over: its number from 1, its chords, and what was played in it."""

    number: int
    chords: tuple[Chord, ...]
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class BarBegun:
    """A bar begins on `beat`, with these changes: quarter notes from its bar line, and the chord from there on."""

    beat: float
    meter: Meter
    changes: tuple[tuple[float, Chord], ...]


@dataclass(frozen=True, slots=True)
class Woke:
    """The player has sent what was due at `second`, on `beat`, and then, if it was `ready`, chosen ahead.

    With what arrived, this is all that an engine is ever told: told the same again it does the same again, late or not.
    """

    second: float
    beat: float
    ready: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The player ends at `second`, on `beat`: what still sounds is released."""

    second: float
    beat: float


@dataclass(frozen=True, slots=True)
class Sent:
    """`event` was sent; it was meant for `second`, on `beat`."""

    second: float
    beat: float
    event: Event


@dataclass(frozen=True, slots=True)
class Arrived:
    """Something came in, stamped with `second`, on `beat`: all that ever does is told, so that it can come in again."""

    second: float
    beat: float
    item: Event | Command


@dataclass(frozen=True, slots=True)
class Struck:
    """We strike a note on `beat`, of `beats` length if nothing comes between; one the network chose has a `value`."""

    beat: float
    beats: float
    note: NoteOn
    voice: Voice
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """The player strikes, or lets go of, a note on `beat` (as it sounds, not as it is written)."""

    beat: float
    note: NoteOn | NoteOff


@dataclass(frozen=True, slots=True)
class Changed:
    """Settings have other values from now on, by dotted key."""

    values: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class ModeSet:
    """The mode is another from `beat` on."""

    mode: Mode
    beat: float


@dataclass(frozen=True, slots=True)
class Does:
    """It does something else from now on: `idle`, `listening` or `playing`."""

    doing: Doing


@dataclass(frozen=True, slots=True)
class Asked:
    """The player's hands ask for what the player's thread cannot do: `verb` as of the control socket, `argument`."""

    verb: str
    argument: str = ""


Report = BarPlayed | BarBegun | Woke | Ended | Sent | Arrived | Struck | Heard | Changed | ModeSet | Does | Asked
Tell = Callable[[Report], None]


def nobody(report: Report) -> None:
    """Tell nobody."""
