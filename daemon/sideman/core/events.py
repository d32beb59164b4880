# SPDX-License-Identifier: Apache-2.0
"""What is played, heard and asked for: small frozen facts that pass between the parts. Channels are 1..16."""

from __future__ import annotations

from dataclasses import dataclass

from sideman.core.chart.chart import Chart
from sideman.core.settings.bindings import Target
from sideman.core.settings.schema import Mode


@dataclass(frozen=True, slots=True)
class NoteOn:
    """A key goes down: MIDI pitch 0..127 (middle C is 60), velocity 1..127."""

    pitch: int
    velocity: int
    channel: int


@dataclass(frozen=True, slots=True)
class NoteOff:
    """A key comes up."""

    pitch: int
    channel: int


@dataclass(frozen=True, slots=True)
class Control:
    """A controller moves: number and value 0..127."""

    number: int
    value: int
    channel: int


@dataclass(frozen=True, slots=True)
class ProgramChange:
    """Another sound: the number on the wire, 0..127."""

    program: int
    channel: int


@dataclass(frozen=True, slots=True)
class PitchBend:
    """The wheel moves: -8192..8191, 0 at rest."""

    value: int
    channel: int


@dataclass(frozen=True, slots=True)
class ClockTick:
    """A MIDI clock goes on by a twenty-fourth of a quarter note."""


@dataclass(frozen=True, slots=True)
class ClockStart:
    """The next tick is the first of the music."""


@dataclass(frozen=True, slots=True)
class ClockContinue:
    """The next tick goes on with the music where it is."""


@dataclass(frozen=True, slots=True)
class ClockStop:
    """The music stops, and stays where it is."""


@dataclass(frozen=True, slots=True)
class SongPosition:
    """The place of the next tick: sixteenth notes from the start, 0..16383."""

    sixteenths: int


@dataclass(frozen=True, slots=True)
class LinkState:
    """How an Ableton Link session stands at the second at which this is taken in.

    `beat` is the session's own count of quarter notes; its bars begin wherever that is a whole number of bars. `others`
    is how many peers it has beside us.
    """

    bpm: float
    beat: float
    playing: bool
    others: int


Timing = ClockTick | ClockStart | ClockContinue | ClockStop | SongPosition
Event = NoteOn | NoteOff | Control | ProgramChange | PitchBend | Timing


@dataclass(frozen=True, slots=True)
class Panic:
    """Silence everything at once, on every channel we play, and play on."""


@dataclass(frozen=True, slots=True)
class Hush:
    """Release every pitch on `channel`: what an earlier process, killed, may have left sounding there."""

    channel: int


@dataclass(frozen=True, slots=True)
class SetChart:
    """Play over these changes from the next bar on."""

    chart: Chart


@dataclass(frozen=True, slots=True)
class Change:
    """Other values for some settings, by dotted key, each as its rule reads it.

    A new play.mode waits for a bar line.
    """

    values: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class SetMode:
    """Play in another mode (one that play.mode allows), from the next bar line on or, if `now`, from here."""

    mode: Mode
    now: bool = False


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin the music from its top, counted in as play.count_in says."""


@dataclass(frozen=True, slots=True)
class Halt:
    """End the music here, until it is begun anew."""


@dataclass(frozen=True, slots=True)
class Again:
    """Play the last phrase once more, varied: its rhythm and contour with other notes."""


@dataclass(frozen=True, slots=True)
class Tap:
    """A tap of a foot: several give the tempo."""


@dataclass(frozen=True, slots=True)
class Learn:
    """Bind the controller that is moved next to `target`; for an action, the next controller or note."""

    target: Target


@dataclass(frozen=True, slots=True)
class ClockRounds:
    """The port of the clock carries its messages in rounds, so many seconds apart; 0: each at once."""

    seconds: float


Command = Panic | Hush | SetChart | Change | SetMode | Begin | Halt | Again | Tap | Learn | LinkState | ClockRounds

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
SONG_POSITION = 0xF2
CENTRE = 8192
"""A pitch bend at rest, on the wire."""
TIMING: dict[int, Timing] = {0xF8: ClockTick(), 0xFA: ClockStart(), 0xFB: ClockContinue(), 0xFC: ClockStop()}
"""The messages of a clock that are one byte, by that byte."""

_BYTES = {type(message): byte for byte, message in TIMING.items()}


def encode(event: Event) -> tuple[int, ...]:
    """The bytes of `event` on a MIDI wire, one to three."""
    match event:
        case NoteOn(pitch, velocity, channel):
            wire: tuple[int, ...] = NOTE_ON | channel - 1, pitch, velocity
        case NoteOff(pitch, channel):
            wire = NOTE_OFF | channel - 1, pitch, 0
        case Control(number, value, channel):
            wire = CONTROL | channel - 1, number, value
        case ProgramChange(program, channel):
            wire = PROGRAM | channel - 1, program
        case PitchBend(value, channel):
            wire = BEND | channel - 1, (value + CENTRE) & 0x7F, (value + CENTRE) >> 7
        case SongPosition(sixteenths):
            wire = SONG_POSITION, sixteenths & 0x7F, sixteenths >> 7
        case _:
            wire = (_BYTES[type(event)],)
    return wire
