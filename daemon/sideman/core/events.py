# SPDX-License-Identifier: Apache-2.0
"""What is played, heard and asked for: small frozen facts that pass between the parts. Channels are 1..16."""

from __future__ import annotations

from dataclasses import dataclass

from sideman.core.actions import ActionCommand
from sideman.core.chart.chart import Chart
from sideman.core.settings.schema import ModeName
from sideman.core.settings.types import Target


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
class ControlChange:
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

    `beat` is the session's own count of quarter notes; its bars begin wherever that is a whole number of bars. `peers`
    is how many peers it has beside us.
    """

    bpm: float
    beat: float
    playing: bool
    peers: int


ClockMessage = ClockTick | ClockStart | ClockContinue | ClockStop | SongPosition
MidiEvent = NoteOn | NoteOff | ControlChange | ProgramChange | PitchBend | ClockMessage


@dataclass(frozen=True, slots=True)
class ReleaseChannel:
    """Release every pitch on `channel`: what an earlier process, killed, may have left sounding there."""

    channel: int


@dataclass(frozen=True, slots=True)
class SetChart:
    """Play over these changes from the next bar on."""

    chart: Chart


@dataclass(frozen=True, slots=True)
class ChangeSettings:
    """Other values for some settings, by dotted key, each as its rule reads it.

    A new play.mode waits for a bar line.
    """

    values: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class SetMode:
    """Play in another mode (one that play.mode allows), from the next bar line on or, if `now`, from here."""

    mode: ModeName
    now: bool = False


@dataclass(frozen=True, slots=True)
class LearnBinding:
    """Bind the controller that is moved next to `target`; for an action, the next controller or note."""

    target: Target


@dataclass(frozen=True, slots=True)
class SetPortPeriod:
    """The port of the clock carries its messages in rounds, so many seconds apart; 0: each at once."""

    period_s: float


Command = (
    ActionCommand | ReleaseChannel | SetChart | ChangeSettings | SetMode | LearnBinding | LinkState | SetPortPeriod
)

NOTE_OFF, NOTE_ON, CONTROL_CHANGE, PROGRAM_CHANGE, PITCH_BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
SONG_POSITION = 0xF2
PITCH_BEND_CENTRE = 8192
"""A pitch bend at rest, on the wire."""
CLOCK_MESSAGES: dict[int, ClockMessage] = {
    0xF8: ClockTick(),
    0xFA: ClockStart(),
    0xFB: ClockContinue(),
    0xFC: ClockStop(),
}
"""The messages of a clock that are one byte, by that byte."""

_CLOCK_BYTES = {type(message): byte for byte, message in CLOCK_MESSAGES.items()}


def encode(event: MidiEvent) -> tuple[int, ...]:
    """The bytes of `event` on a MIDI wire, one to three."""
    match event:
        case NoteOn(pitch, velocity, channel):
            wire: tuple[int, ...] = NOTE_ON | channel - 1, pitch, velocity
        case NoteOff(pitch, channel):
            wire = NOTE_OFF | channel - 1, pitch, 0
        case ControlChange(number, value, channel):
            wire = CONTROL_CHANGE | channel - 1, number, value
        case ProgramChange(program, channel):
            wire = PROGRAM_CHANGE | channel - 1, program
        case PitchBend(value, channel):
            wire = PITCH_BEND | channel - 1, (value + PITCH_BEND_CENTRE) & 0x7F, (value + PITCH_BEND_CENTRE) >> 7
        case SongPosition(sixteenths):
            wire = SONG_POSITION, sixteenths & 0x7F, sixteenths >> 7
        case _:
            wire = (_CLOCK_BYTES[type(event)],)
    return wire
