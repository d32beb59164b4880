# SPDX-License-Identifier: Apache-2.0
"""Events, commands and reports: the small frozen structs that pass between the parts of the program.

- A MIDI event is what comes in or goes out on a wire.
- A command is what the program is asked to do.
- A report is what the player says about itself while it plays: for the log, for clients that watch, and for takes.

Journals of takes hold them as JSON arrays: the `tag` of the class and then its fields, in order, such as
`["NoteOn", 60, 80, 1]`. So tags and the order of fields are part of a file format: a tag is the name that the class had
when the format was made and never changes, and a new field goes to the end and has a default. The annotated types below
are the bounds that are checked when a journal is read; nothing is checked when a struct is made.

Channels are 1..16. Seconds are those of the player's clock, and beats are quarter notes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Literal

import msgspec

from sideman.core.actions import ActionCommand
from sideman.core.chart.chart import Chart, Meter
from sideman.core.targets import Target
from sideman.core.turns import ModeName
from sideman_models.music.harmony import Chord, pitch_name
from sideman_models.music.values import Value

MAX_TIME = 1e12
"""Seconds or beats: no performance lasts as long, so a larger number in a journal is a mistake."""

Pitch = Annotated[int, msgspec.Meta(ge=0, le=127)]  # middle C is 60
Velocity = Annotated[int, msgspec.Meta(ge=1, le=127)]  # of a note-on; 0 would be a note-off
Channel = Annotated[int, msgspec.Meta(ge=1, le=16)]
DataByte = Annotated[int, msgspec.Meta(ge=0, le=127)]  # any other: a controller, its value, a program
Bend = Annotated[int, msgspec.Meta(ge=-8192, le=8191)]  # the position of a pitch wheel, 0 at rest
Sixteenths = Annotated[int, msgspec.Meta(ge=0, le=16383)]  # a song position: sixteenth notes from the start
BarNumber = Annotated[int, msgspec.Meta(ge=-(10**9), le=10**9)]  # the first one after the count-in is 1
ChartBar = Annotated[int, msgspec.Meta(ge=0, le=10**6)]  # of a chorus, from 0
Real = Annotated[float, msgspec.Meta(ge=-MAX_TIME, le=MAX_TIME)]
Second = Real  # a moment of the player's clock, or a length
Beat = Real  # a moment, in quarter notes since the player began, or a length

SongNumber = Annotated[int, msgspec.Meta(ge=0, le=1000)]  # in a set, from 1
SongTempo = Annotated[float, msgspec.Meta(ge=20, le=400)]  # in quarter notes a minute

PlayState = Literal["idle", "listening", "playing"]
Voice = Literal["solo", "comp", "clicks", "bass", "drums"]


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The base of all events, commands and reports: immutable, and equal to another with the same fields."""


# -- MIDI events


class NoteOn(Message, frozen=True, tag="NoteOn"):
    """A key goes down."""

    pitch: Pitch
    velocity: Velocity
    channel: Channel


class NoteOff(Message, frozen=True, tag="NoteOff"):
    """A key comes up."""

    pitch: Pitch
    channel: Channel


class ControlChange(Message, frozen=True, tag="Control"):
    """A controller moves."""

    number: DataByte
    value: DataByte
    channel: Channel


class ProgramChange(Message, frozen=True, tag="ProgramChange"):
    """Another sound is selected: `program` is the number on the wire, from 0."""

    program: DataByte
    channel: Channel


class PitchBend(Message, frozen=True, tag="PitchBend"):
    """The pitch wheel moves."""

    value: Bend
    channel: Channel


class ClockTick(Message, frozen=True, tag="ClockTick"):
    """A MIDI clock advances by a twenty-fourth of a quarter note."""


class ClockStart(Message, frozen=True, tag="ClockStart"):
    """The next tick is the first one of the music."""


class ClockContinue(Message, frozen=True, tag="ClockContinue"):
    """The next tick continues the music from where it stopped."""


class ClockStop(Message, frozen=True, tag="ClockStop"):
    """The music stops and keeps its position."""


class SongPosition(Message, frozen=True, tag="SongPosition"):
    """The position of the next tick."""

    sixteenths: Sixteenths


ClockMessage = ClockTick | ClockStart | ClockContinue | ClockStop | SongPosition
MidiEvent = NoteOn | NoteOff | ControlChange | ProgramChange | PitchBend | ClockMessage

# -- commands; those that an action stands for are in `sideman.core.actions`


class LinkState(Message, frozen=True, tag="LinkState"):
    """The state of an Ableton Link session at the second at which it is received.

    `beat` is the session's own count of quarter notes; its bars begin wherever that is a whole number of bars. `peers`
    is the number of other programs in the session.
    """

    bpm: Real
    beat: Beat
    playing: bool
    peers: int


class JackPosition(Message, frozen=True, tag="JackPosition"):
    """Where the transport of JACK is at the second at which it is received: at `transport_s` from its frame 0.

    With a timebase master, `bpm` is its tempo and `beat` its position in quarter notes from bar 1; without one, `bpm`
    is 0.
    """

    rolling: bool
    transport_s: Second
    bpm: Real
    beat: Beat


ClockInput = ClockMessage | LinkState | JackPosition
"""What the clocks that are followed send."""


class ReleaseChannel(Message, frozen=True, tag="Hush"):
    """Release every pitch on `channel`: an earlier process that was killed may have left notes sounding there.

    With a `port`, only there (see `SendSetup`).
    """

    channel: Channel
    port: str = ""


class SetChart(Message, frozen=True):
    """Play over another chart from the next bar on."""

    chart: Chart


class QueueSong(Message, frozen=True):
    """Song `number` of the set follows the one that is played, over `chart` and at `bpm`; without a chart, none does.

    A `bpm` of None leaves the tempo as it is.
    """

    number: SongNumber
    chart: Chart | None
    bpm: SongTempo | None = None


class ChangeSettings(Message, frozen=True):
    """Change settings: `values` are dotted keys with their new values. A new play.mode waits for a bar line."""

    values: tuple[tuple[str, object], ...]


class SetMode(Message, frozen=True, tag="SetMode"):
    """Play in another mode (one that play.mode allows), from the next bar line on or, if `now`, at once."""

    mode: ModeName
    now: bool = False


class JumpToBar(Message, frozen=True, tag="Jump"):
    """Go on at a bar of the chart, counted from 0, at the next bar line; without one, go on as before."""

    bar: ChartBar | None


class LearnBinding(Message, frozen=True, tag="Learn"):
    """Bind the next controller that a hand moves to `target`; if that is an action, the next controller or note.

    None ends the waiting for it.
    """

    target: Target | None


class SetPortPeriod(Message, frozen=True, tag="ClockRounds"):
    """The port of the clock delivers its messages every `period_s` seconds; 0: each message at once."""

    period_s: Second


class SendSetup(Message, frozen=True, tag="Setup"):
    """Send again what a synthesizer or a sequencer that has just connected has missed; notes that sound go on.

    With a `port`, as `PortChanged` names it, only that port is sent it; without `has_clock`, our clock does not go
    there.
    With `was_lost`, it is silenced first: what is connected there may have missed note-offs.
    """

    port: str = ""
    has_clock: bool = True
    was_lost: bool = False


ForOnePort = ReleaseChannel | SendSetup
"""The commands that may be for one port; then what they send goes only there, and is no part of the music."""
PlainCommand = (
    ActionCommand
    | ReleaseChannel
    | SetMode
    | JumpToBar
    | LearnBinding
    | LinkState
    | JackPosition
    | SetPortPeriod
    | SendSetup
)
"""The commands that a journal holds field by field."""
Command = PlainCommand | SetChart | QueueSong | ChangeSettings

# -- reports


class Choice(Message, frozen=True):
    """A value chosen for the onset at `tick`, of `length` ticks; a rest has no `pitch`.

    `index` is the value's place in the vocabulary. It is None for a rest that was played because no value was allowed.
    `delay` and `loudness` are those of `parts.touch`; a journal holds what came of them: the beat and the velocity.
    `motif` says how many of the player's notes and rests it repeats in a row, itself included; 0 below four.
    """

    tick: int
    length: int
    index: int | None
    value: Value
    pitch: Pitch | None
    velocity: DataByte
    delay: float = 0.0
    loudness: float = 0.0
    motif: DataByte = 0


class BarPlayed(Message, frozen=True):
    """A bar is over: its number, its chords, and what was played in it."""

    number: BarNumber
    chords: tuple[Chord, ...]
    choices: tuple[Choice, ...]

    def text(self, transpose: int = 0) -> str:
        """Return a line such as ``bar 3 | F7 | C,0.500,+2 Eb4 · R,1.000 -``, in the key of the player's instrument.

        `transpose` is `midi.transpose`, the semitones from the written to the sounding pitch. Inside the program all
        pitches are sounding pitches; only what is shown is transposed.
        """
        chords = " ".join(chord.transposed(-transpose).text for chord in self.chords)
        pitches = ("-" if choice.pitch is None else pitch_name(choice.pitch - transpose) for choice in self.choices)
        choices = (f"{choice.value.text} {pitch}" for choice, pitch in zip(self.choices, pitches, strict=True))
        return f"bar {self.number} | {chords} | {' · '.join(choices) or '-'}"


class BarStarted(Message, frozen=True):
    """A bar begins on `beat`. `changes` are its chords, each with its onset in quarter notes from the bar line.

    `key` is the key of its chart, empty if that names none; None if it is that of the bar before.
    """

    beat: Beat
    meter: Meter
    changes: tuple[tuple[float, Chord], ...]
    key: str | None = None


class Advanced(Message, frozen=True, tag="Woke"):
    """The player has sent everything up to `second`, on `beat`, and then, if `prepared`, chosen notes ahead.

    These reports and the `InputReceived` ones are all that an engine depends on: an engine that is given the same
    again plays the same again, late notes included.
    """

    second: Second
    beat: Beat
    prepared: bool


class PlayerEnded(Message, frozen=True, tag="Ended"):
    """The player ends at `second`, on `beat`, and releases the notes that still sound."""

    second: Second
    beat: Beat


class EventSent(Message, frozen=True, tag="Sent"):
    """`event` was sent; it was due at `second`, on `beat`."""

    second: Second
    beat: Beat
    event: MidiEvent


class InputReceived(Message, frozen=True):
    """An event or command was received at `second`, on `beat`. All are reported, so that a replay can repeat them."""

    second: Second
    beat: Beat
    item: MidiEvent | Command


class NotePlayed(Message, frozen=True):
    """We played a note on `beat`. It lasts `length_beats` unless it is cut short; a note of the solo has a `value`.

    For `motif` see `Choice`.
    """

    beat: Beat
    length_beats: float
    note: NoteOn
    voice: Voice
    value: Value | None = None
    motif: DataByte = 0


class PlannedNote(Message, frozen=True):
    """A note that is to be played on `beat`, as `NotePlayed` would report it then; a rest has no `note`."""

    beat: Beat
    length_beats: float
    note: NoteOn | None
    voice: Voice
    value: Value | None = None
    motif: DataByte = 0


class PlanChanged(Message, frozen=True):
    """These notes are planned now, of all parts; what was planned before, was not played and is not here is not to be.

    It is reported only while somebody wants to see the plan.
    """

    notes: tuple[PlannedNote, ...]


class ChoiceMade(Message, frozen=True):
    """What the soloist could choose for `beat`: the likeliest values, with their pitches and probabilities.

    It is reported only while somebody wants to see the choices.
    """

    beat: Beat
    options: tuple[tuple[Value, Pitch | None, float], ...]


class NoteHeard(Message, frozen=True, tag="Heard"):
    """The musician strikes or releases a note on `beat`, at sounding pitch."""

    beat: Beat
    note: NoteOn | NoteOff


class SettingsChanged(Message, frozen=True):
    """Settings have new values from now on: dotted keys with their values."""

    values: tuple[tuple[str, object], ...]


class ModeChanged(Message, frozen=True):
    """From `beat` on another mode is played."""

    mode: ModeName
    beat: Beat


class StateChanged(Message, frozen=True):
    """From now on it is idle, listens or plays, and until the beat `until`; None where that is not known ahead."""

    state: PlayState
    until: Beat | None = None


class ActionRequested(Message, frozen=True):
    """A pedal or pad asks for an action that the player's thread cannot do, named as in the control socket."""

    action: str
    argument: str = ""


class PortChanged(Message, frozen=True, tag="PortChanged"):
    """A port was opened or lost, or cannot be opened for a new reason. `key` is its setting; `text` is for the log.

    With a `listener`, only this has changed: the port of that name is connected to our output now. `port` says which of
    several ports it is: the setting that names it, and its name there.
    """

    key: str
    is_open: bool
    text: str
    listener: str = ""
    port: str = ""


Report = (
    BarPlayed
    | BarStarted
    | Advanced
    | PlayerEnded
    | EventSent
    | InputReceived
    | NotePlayed
    | PlanChanged
    | ChoiceMade
    | NoteHeard
    | SettingsChanged
    | ModeChanged
    | StateChanged
    | ActionRequested
    | PortChanged
)
ReportSink = Callable[[Report], None]
"""What reports are given to. It is called in the player's thread, where time is short: it stores them for later."""


def ignore_report(report: Report) -> None:
    """Do nothing: the sink where no reports are wanted."""


# -- MIDI bytes

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
"""The clock messages that are one byte long, by that byte."""

_CLOCK_BYTES = {type(message): byte for byte, message in CLOCK_MESSAGES.items()}


def encode(event: MidiEvent) -> tuple[int, ...]:
    """The one to three bytes of `event` on a MIDI wire."""
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


def note_spans(
    events: Iterable[tuple[float, MidiEvent]], end: float | None = None
) -> Iterator[tuple[float, float, NoteOn]]:
    """Yield onset, length (both in beats) and note-on of each note, in the order of their ends.

    A note that is never released lasts to `end`; without an `end` it is left out.
    """
    sounding: dict[tuple[int, int], tuple[float, NoteOn]] = {}
    for beat, event in events:
        if isinstance(event, NoteOn):
            sounding[event.channel, event.pitch] = beat, event
        elif isinstance(event, NoteOff) and (event.channel, event.pitch) in sounding:
            onset, note = sounding.pop((event.channel, event.pitch))
            yield onset, beat - onset, note
    if end is not None:
        yield from ((onset, max(0.0, end - onset), note) for onset, note in sounding.values())
