# SPDX-License-Identifier: Apache-2.0
"""The events of the control protocol: what a client gets after `watch`.

`EVENTS` are those of version 1, `EVENTS_2` those of version 2: they say when each thing sounds, and every note that is
planned. A field that is added to an event needs a default here, so that a newer program still understands an older
daemon.
"""

from __future__ import annotations

from typing import Annotated, get_args

from msgspec import Meta, Struct

from sideman.control.protocol import (
    BarNumber,
    Beat,
    Count,
    ModeWord,
    NoteNumber,
    Pitch,
    PortInfo,
    Second,
    SettingValues,
    StateWord,
    Status,
    Tempo,
    Velocity,
    VoiceWord,
)


class _Event(Struct, frozen=True, tag_field="event"):
    """What a client gets after `watch`."""


class ChartEvent(_Event, frozen=True, tag="chart"):
    """The chart that is played: sent first, and again whenever another one takes over.

    `bars` has the chords of each bar. `meters` and `sections` are pairs of a bar, counted from 0, and the meter or the
    name of the section that begins there.
    """

    title: str
    composer: str
    key: str
    meter: str
    meters: list[tuple[BarNumber, str]]
    bars: list[list[str]]
    sections: list[tuple[BarNumber, str]]


class PortsEvent(_Event, frozen=True, tag="ports"):
    """The MIDI ports in one line: sent first, and again whenever a port comes or goes."""

    text: str


class StatusEvent(_Event, Status, frozen=True, tag="status"):
    """The state of the daemon: sent first, twice a second, and whenever a setting changes.

    `top` is the beat on which the current chart began. `form_bar` and `chorus` count from 1 in the chart, `bar` counts
    from 1 in the whole music. `late` counts the notes that were left out because they would have come too late, `heard`
    the notes of the player, `echoes` the daemon's own notes that came back to it, `played` the notes it has played.
    `waiting` says what the music waits for before it begins, as in `armed: waits for start`; then it is empty.
    `turn_ends` is the beat on which the turn goes to the other player; null where that is not known ahead.
    A start begins with the bar `start_bar` of the chart, or where the clock is that is followed. `practice` says what
    practice brings next, as in `bars 5-8 again, then in Bb`. `target` is the next target note, as in
    `target: 3 of Cmaj7 in bar 17`; where it will not be played, it says why. `learning` says what has been learned
    so far while it plays; it is empty without `model.learn`.
    """


class BeatEvent(_Event, frozen=True, tag="beat"):
    """A beat begins.

    `bar` counts from 1 in the whole music. `top` is the beat on which the current chart began; `form_bar` and `chorus`
    count from 1 in it. A bar of clicks before a round of practice counts as the bar that is counted in.
    """

    beat: Annotated[int, Meta(ge=-(10**9), le=10**9, description="quarter notes from the top of the music")]
    bar: BarNumber
    top: Beat
    form_bar: BarNumber
    chorus: BarNumber
    chord: str
    next_chord: str


class ValueEvent(_Event, frozen=True, tag="value"):
    """The daemon plays a note of `beats` beats. `value` is what the network chose; null for a note made by a rule.

    `motif` says how many of the player's notes and rests it repeats in a row; it is 0 below four.
    """

    beat: Beat
    value: str | None
    pitch: Pitch
    beats: Annotated[float, Meta(ge=0, le=1000)]
    velocity: Velocity
    voice: VoiceWord
    motif: Count = 0


class HeardEvent(_Event, frozen=True, tag="heard"):
    """The player strikes a note (`on`) or releases it."""

    beat: Beat
    on: bool
    pitch: Pitch
    velocity: Velocity


class BarValue(Struct, frozen=True):
    """A note of a bar, or a rest, which has no pitch."""

    value: str
    pitch: Pitch | None


class BarEvent(_Event, frozen=True, tag="bar"):
    """A bar is over: its chords, and the values and pitches that were played in it."""

    number: BarNumber
    chords: list[str]
    values: list[BarValue]


class ComingEvent(_Event, frozen=True, tag="coming"):
    """Another note is chosen to be played next, unless the player plays before; all null if there is none."""

    beat: Beat | None
    pitch: Pitch | None
    value: str | None


class ModeEvent(_Event, frozen=True, tag="mode"):
    """The play mode has changed."""

    mode: ModeWord
    beat: Beat


class ChangedEvent(_Event, frozen=True, tag="changed"):
    """Settings have new values: changed by a request, a controller or the daemon."""

    values: SettingValues


class LearnedEvent(_Event, frozen=True, tag="learned"):
    """A controller that was moved is bound: `binding` is its entry (`midi.cc.20`), `target` what it is bound to.

    `file` is the configuration file in which that was written, `problem` why it was not, if that was asked for.
    """

    binding: str
    target: str
    file: str = ""
    problem: str = ""


class DoingEvent(_Event, frozen=True, tag="doing"):
    """The daemon is now idle, listening or playing; until the beat `turn_ends`, null where that is not known ahead."""

    doing: StateWord
    turn_ends: Beat | None = None


class TimingEvent(_Event, frozen=True, tag="timing"):
    """The note counts so far: left out because they would have come too late, heard, echoes, and played."""

    late: Count
    heard: Count
    echoes: Count
    played: Count


class LogEvent(_Event, frozen=True, tag="log"):
    """A line of the log."""

    level: Annotated[str, Meta(description="debug, info, warning, error or critical")]
    text: str


Event = (
    ChartEvent | PortsEvent | StatusEvent | BeatEvent | ValueEvent | HeardEvent | BarEvent | ComingEvent | ModeEvent
    | ChangedEvent | LearnedEvent | DoingEvent | TimingEvent | LogEvent
)  # fmt: skip
EVENTS: dict[str, type[Struct]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Event)}
"""The table of the events of version 1, by name."""


# -- the events of version 2; each line of them has a `second` as well


class PortsEvent2(PortsEvent, frozen=True, tag="ports"):
    """The MIDI ports: sent first, and again whenever a port comes or goes, or somebody connects to one."""

    ports: list[PortInfo]


class TempoEvent(_Event, frozen=True, tag="tempo"):
    """The tempo: sent first, and whenever it or the offset changes, and at a start and a stop.

    While the music is `rolling`, `beat` sounds at `second`, and the others on the straight line through it. Else it
    stands at `beat`. `clock` names the clock of every `second` (see the request `clock`).
    """

    bpm: Tempo
    beat: Beat
    rolling: bool
    clock: str


class _NoteEvent(_Event, frozen=True):
    """A note, with its length in beats and in seconds, as long as it is not cut short."""

    note: NoteNumber
    beat: Beat
    beats: Annotated[float, Meta(ge=0, le=1000)]
    length_s: Annotated[float, Meta(ge=0, le=1e6)]
    pitch: Pitch | None
    velocity: Velocity
    voice: VoiceWord
    channel: Annotated[int, Meta(ge=1, le=16)]
    value: str | None
    motif: Count = 0


class ComingEvent2(_NoteEvent, frozen=True, tag="coming"):
    """A note is planned, of any part, for `second`; a planned rest of the soloist has no pitch.

    `value` is what the network chose; null for a note made by a rule. `motif` is as in the event `value` of version 1.
    If it comes again with the same number, the plan has changed: its length, or its second after a change of tempo.
    """


class PlayedEvent(_NoteEvent, frozen=True, tag="played"):
    """A note has been struck, for `second`. It has a new number if it did not come before.

    `sent` is the second at which it had been passed to its port: `sent` less `second` is how late the daemon was.
    """

    sent: Second | None = None


class TakenBackEvent(_Event, frozen=True, tag="taken_back"):
    """These notes were planned and will not sound."""

    notes: list[NoteNumber]


class ReleasedEvent(_Event, frozen=True, tag="released"):
    """A note that was struck ends, early or not."""

    note: NoteNumber


class Option(Struct, frozen=True):
    """A value that the network can choose, its probability, and the pitch that it would become; null for a rest."""

    value: str
    pitch: Pitch | None
    probability: Annotated[float, Meta(ge=0, le=1)]


class ChoicesEvent(_Event, frozen=True, tag="choices"):
    """The likeliest values at the choice for `beat`, the likeliest first; only if `watch` asks for it."""

    beat: Beat
    options: list[Option]


Event2 = (
    ChartEvent | PortsEvent2 | StatusEvent | TempoEvent | BeatEvent | ComingEvent2 | TakenBackEvent | PlayedEvent
    | ReleasedEvent | ChoicesEvent | HeardEvent | BarEvent | ModeEvent | ChangedEvent | LearnedEvent | DoingEvent
    | TimingEvent | LogEvent
)  # fmt: skip
EVENTS_2: dict[str, type[Struct]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Event2)}
"""The table of the events of version 2, by name."""
