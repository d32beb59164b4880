# SPDX-License-Identifier: Apache-2.0
"""What the player tells of itself while it plays: facts for the log, for those who watch, and for takes.

They are told in the player's own thread, whose time is dear: whoever is told puts them aside and looks at them later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sideman.core.chart.chart import Meter
from sideman.core.events import Command, MidiEvent, NoteOff, NoteOn
from sideman.core.parts.improviser import Choice
from sideman.core.settings.schema import ModeName
from sideman_models.music.harmony import Chord
from sideman_models.music.values import Value

PlayState = Literal["idle", "listening", "playing"]
Voice = Literal["solo", "comp", "clicks"]


@dataclass(frozen=True, slots=True)
class BarPlayed:
    """A bar that is over: its number from 1, its chords, and what was played in it."""

    number: int
    chords: tuple[Chord, ...]
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class BarStarted:
    """A bar begins on `beat`, with these changes: quarter notes from its bar line, and the chord from there on."""

    beat: float
    meter: Meter
    changes: tuple[tuple[float, Chord], ...]


@dataclass(frozen=True, slots=True)
class Advanced:
    """The player has sent what was due at `second`, on `beat`, and then, if it was `prepared`, chosen ahead.

    With what arrived, this is all that an engine is ever told: told the same again it does the same again, late or not.
    """

    second: float
    beat: float
    prepared: bool


@dataclass(frozen=True, slots=True)
class PlayerEnded:
    """The player ends at `second`, on `beat`: what still sounds is released."""

    second: float
    beat: float


@dataclass(frozen=True, slots=True)
class EventSent:
    """`event` was sent; it was meant for `second`, on `beat`."""

    second: float
    beat: float
    event: MidiEvent


@dataclass(frozen=True, slots=True)
class InputReceived:
    """Something came in, stamped with `second`, on `beat`: all that ever does is told, so that it can come in again."""

    second: float
    beat: float
    item: MidiEvent | Command


@dataclass(frozen=True, slots=True)
class NotePlayed:
    """We played a note on `beat`. It lasts `length_beats` unless it is cut short; a note of the solo has a `value`."""

    beat: float
    length_beats: float
    note: NoteOn
    voice: Voice
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class NoteHeard:
    """The player strikes, or lets go of, a note on `beat` (as it sounds, not as it is written)."""

    beat: float
    note: NoteOn | NoteOff


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """Settings have other values from now on, by dotted key."""

    values: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class ModeChanged:
    """The mode is another from `beat` on."""

    mode: ModeName
    beat: float


@dataclass(frozen=True, slots=True)
class StateChanged:
    """It does something else from now on: `idle`, `listening` or `playing`."""

    state: PlayState


@dataclass(frozen=True, slots=True)
class ActionRequested:
    """The player's hands ask for what the player's thread cannot do: `action` as of the control socket, `argument`."""

    action: str
    argument: str = ""


Report = (
    BarPlayed
    | BarStarted
    | Advanced
    | PlayerEnded
    | EventSent
    | InputReceived
    | NotePlayed
    | NoteHeard
    | SettingsChanged
    | ModeChanged
    | StateChanged
    | ActionRequested
)
ReportSink = Callable[[Report], None]


def ignore_report(report: Report) -> None:
    """Tell nobody."""
