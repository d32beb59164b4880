# SPDX-License-Identifier: Apache-2.0
"""The control protocol: every line that passes through the control socket is a struct; here is what they share.

A line is one JSON object. A client sends requests, which are the subclasses of `Request`; the daemon replies to each
with an `Answer` or a `Refusal` (`requests.py`). After a `watch` request it sends events as well (`events.py`). `codec`
turns lines into structs and structs into lines. It also adds `v`, the version of the protocol, to what the daemon
sends, and in version 2 the `second` of each event.

There are two versions side by side. A request says which it is of, and so is its answer; a client gets the events of
the version of its `watch` request.

`docs/control.schema.json`, the tables of `docs/control.md` and the help of `sideman ctl` are made from these structs:
their docstrings are part of it.

Within a version fields and events may be added, but never changed or removed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

PROTOCOL_VERSION: Literal[1] = 1
"""What a line without `v` is of."""
VERSIONS = (1, 2)
MAX_ID_LENGTH = 200  # characters of a request's id, which comes back in the reply

RequestId = Annotated[str, Meta(max_length=MAX_ID_LENGTH)] | int | float | bool | None
Beat = Annotated[float, Meta(ge=-1e9, le=1e9, description="quarter notes from the top of the music")]
Pitch = Annotated[int, Meta(ge=0, le=127, description="a MIDI pitch as it sounds; middle C is 60")]
Velocity = Annotated[int, Meta(ge=0, le=127)]
BarNumber = Annotated[int, Meta(ge=-(10**12), le=10**12)]
Count = Annotated[int, Meta(ge=0, le=10**12)]
Tempo = Annotated[float, Meta(gt=0, le=1000, description="beats per minute")]
Second = Annotated[float, Meta(description="seconds on the daemon's monotonic clock")]
NoteNumber = Annotated[int, Meta(ge=1, description="the number of a note: the same in all events about it")]
SettingName = Annotated[str, Meta(description="a setting, such as play.temperature")]
SettingValue = Annotated[object, Meta(description="text, a number, true or false, null, or a list or group of these")]
SettingValues = Annotated[dict[str, object], Meta(description="values by setting")]

# These lists of words grow with the program, so a reader accepts any word. The JSON schema names the present ones.
ModeWord = Annotated[str, Meta(title="mode")]
StateWord = Annotated[str, Meta(title="state")]
VoiceWord = Annotated[str, Meta(title="voice")]


# -- what the daemon tells about itself


class DaemonInfo(Struct, frozen=True):
    """What a running daemon is, and what it is connected to."""

    version: str
    name: str
    bundle: str
    ports: str
    clock: str


class NextNote(Struct, frozen=True):
    """The note that is chosen to be played next; a rest has no pitch. Notes of the player can still change it."""

    beat: Beat
    pitch: Pitch | None
    value: str


class ChartSummary(Struct, frozen=True):
    """The chart that is played, in short."""

    title: str
    bars: Count
    meter: str


class Status(DaemonInfo, frozen=True):
    """The state of the daemon. `StatusEvent` explains the fields."""

    uptime_s: float
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    mode: ModeWord
    doing: StateWord
    rolling: bool
    bpm: Tempo
    beat: Beat
    bar: BarNumber
    top: Beat
    form_bar: BarNumber
    chorus: BarNumber
    chord: str
    next_chord: str
    coming: NextNote | None
    chart: ChartSummary
    late: Count
    heard: Count
    echoes: Count
    played: Count
    settings: SettingValues
    waiting: str = ""
    turn_ends: Beat | None = None
    start_bar: BarNumber = 1
    practice: str = ""
    target: str = ""
    learning: str = ""


class PortInfo(Struct, frozen=True):
    """A MIDI port that was asked for, and what is connected to it.

    `setting` names it in the settings; `name` is that of the open port, or what is waited for; `why` says why it is not
    open.
    """

    setting: str
    name: str
    open: bool
    listeners: list[str]
    why: str = ""
