# SPDX-License-Identifier: Apache-2.0
"""The control protocol: every line that passes through the control socket, as a struct.

A line is one JSON object. A client sends requests, which are the subclasses of `Request`; the daemon replies to each
with an `Answer` or a `Refusal`. After a `watch` request it sends the events in `Event` as well. `codec` turns lines
into structs and structs into lines. It also adds `v`, the version of the protocol, to what the daemon sends, and in
version 2 the `second` of each event.

There are two versions side by side. A request says which it is of, and so is its answer; a client gets the events of
the version of its `watch` request. `EVENTS` are those of version 1, `EVENTS_2` those of version 2: they say when each
thing sounds, and every note that is planned.

`docs/control.schema.json`, the tables of `docs/control.md` and the help of `sideman ctl` are made from these structs:
their docstrings are part of it.

Within a version fields and events may be added, but never changed or removed. A field that is added to an event needs a
default here, so that a newer program still understands an older daemon.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, cast, get_args

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from sideman.core.actions import ACTIONS, Action

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
    practice: str = ""


# -- the results of requests


class SettingInfo(Struct, frozen=True, kw_only=True):
    """A setting. In the answer for all settings each stands under its name and has no `key`."""

    key: str | UnsetType = UNSET
    value: SettingValue
    default: SettingValue
    allowed: str
    live: Annotated[bool, Meta(description="whether it can be changed while the daemon plays")]
    about: str


class ChangedValues(Struct, frozen=True):
    """The settings that have been changed, and what was guessed where the file of a new chart is not clear."""

    changed: SettingValues
    warnings: list[str] | UnsetType = UNSET


class AppliedLayer(Struct, frozen=True):
    """The settings that have been changed, and those that only a restart can change. `warnings`: as in `set`."""

    changed: SettingValues
    restart: list[str]
    warnings: list[str] | UnsetType = UNSET


class ModeResult(Struct, frozen=True):
    """The mode that was requested."""

    mode: ModeWord


class MuteResult(Struct, frozen=True):
    """Whether the daemon is muted."""

    mute: bool


class JumpResult(Struct, frozen=True):
    """The bar to which the music jumps, counted from 1 in the chart."""

    bar: BarNumber


class LearnResult(Struct, frozen=True):
    """The setting or action that the next controller will be bound to; empty after `cancel`."""

    learn: str


class KeepResult(Struct, frozen=True):
    """The path of the MIDI file of the take."""

    take: str


class ClockResult(Struct, frozen=True):
    """What the daemon's clock shows at this moment. `clock` names it: the one of Python's `time.monotonic()`."""

    clock: str
    second: Second


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


class TakeInfo(Struct, frozen=True):
    """A take: when its journal was written last (seconds since 1970), and the bytes of its MIDI file."""

    name: str
    written: float
    size: Count


class TakePiece(Struct, frozen=True):
    """A piece of the file of a take: `data` in base64, from byte `offset` on, of the `size` that the file has now.

    Where `offset` and the piece's length make less than `size`, ask again from there.
    """

    name: str
    form: str
    size: Count
    offset: Count
    data: str


class CardResult(Struct, frozen=True):
    """The text of the card, as Markdown."""

    card: str


# -- requests


class Request(Struct, frozen=True, kw_only=True, tag_field="do", forbid_unknown_fields=True):
    """What a client asks of the daemon. Each subclass is one request; its docstring says what the request does."""

    results: ClassVar[tuple[object, ...]] = ()
    """What the result may be: structs, or containers of them. Without any it is null."""
    osc_replies: ClassVar[bool] = False
    """Whether an OSC client gets the answer; it always gets a refusal."""
    for_programs: ClassVar[bool] = False
    """Whether only programs need it, on the control socket: `sideman ctl` and OSC do not offer it."""
    answered_late: ClassVar[bool] = False
    """Whether it may take so long that the requests after it are answered first."""

    v: Annotated[Literal[1, 2], Meta(description="the version of the protocol")] = PROTOCOL_VERSION
    id: Annotated[RequestId, Meta(description="comes back in the reply")] = None


class StatusRequest(Request, frozen=True, tag="status"):
    """Report the mode, tempo, position in the chart, ports, note counts and live settings."""

    results = (Status,)
    osc_replies = True


class GetRequest(Request, frozen=True, tag="get"):
    """Report a setting: its value, its default, what is allowed and what it does.

    Without `key` it reports all settings, each under its name.
    """

    results = (SettingInfo, dict[str, SettingInfo])
    osc_replies = True

    key: SettingName | None = None


class SetRequest(Request, frozen=True, tag="set"):
    """Change a setting, from the next note on.

    A value that is given as text is read as on the command line.
    """

    results = (ChangedValues,)

    key: SettingName
    value: SettingValue


class ModeRequest(Request, frozen=True, tag="mode"):
    """Change the play mode, from the next bar on.

    With `now` it changes at once.
    """

    results = (ModeResult,)

    mode: ModeWord
    now: bool = False


class PresetRequest(Request, frozen=True, tag="preset"):
    """Use the settings of a preset."""

    results = (AppliedLayer,)

    name: str


class ChartRequest(Request, frozen=True, tag="chart"):
    """Play another chart from the next bar line on.

    `name` is that of a chart, the path of a file, or the number or the name of a song of `chart.set`. The
    chart is played at its own tempo if it gives one and `chart.tempo` is true.
    """

    results = (ChangedValues,)

    name: str


class JumpRequest(Request, frozen=True, tag="jump"):
    """Go on at a section or a bar of the chart, at the next bar line.

    `to` is the name of a section or the number of a bar, from 1. A place outside the loop ends the loop.
    """

    results = (JumpResult,)

    to: str | int


class LoopRequest(Request, frozen=True, tag="loop"):
    """Repeat the section that sounds, or end the loop; NAME is a section, a bar or bars such as 5-8.

    It sets `practice.loop`, from the next bar line on. `bars` are bars such as `5-8`, the number of a bar or the name
    of a section; `off` ends the loop. In a chart without sections, four bars count as one.
    """

    results = (ChangedValues,)

    bars: str | int | None = None


class KeepRequest(Request, frozen=True, tag="keep"):
    """Save the last minutes as a take."""

    results = (KeepResult,)


class MuteRequest(Request, frozen=True, tag="mute"):
    """Fall silent at once and go on listening (mode `off`), or go back to the mode before.

    `on` says which of the two; without it the request switches over.
    """

    results = (MuteResult,)

    on: bool | None = None


class ReloadRequest(Request, frozen=True, tag="reload"):
    """Read the configuration file again, with the preset and the options of the start."""

    results = (AppliedLayer,)


class LearnRequest(Request, frozen=True, tag="learn"):
    """Bind the controller that is moved next.

    `key` names a setting (`play.density 0.2-2`), `action` an action (`mode:trade`). The event `learned` says which
    controller it was. With `write` the binding is written into the configuration file. `cancel` ends the waiting.
    """

    results = (LearnResult,)

    key: str | None = None
    action: str | None = None
    write: bool = False
    cancel: bool = False


class WatchRequest(Request, frozen=True, tag="watch"):
    """Watch what is played, heard and changed: events follow the answer.

    They are of the version of the request. In version 2, `choices` asks for the probabilities of each choice as well.
    """

    choices: bool = False


class ClockRequest(Request, frozen=True, tag="clock"):
    """Report the second on the daemon's clock at once, so that a client can find out how its own clock differs."""

    results = (ClockResult,)
    for_programs = True


class PortsRequest(Request, frozen=True, tag="ports"):
    """Report the MIDI ports, whether they are open, and who is connected."""

    results = (list[PortInfo],)
    for_programs = True


class TakesRequest(Request, frozen=True, tag="takes"):
    """Report the takes, the oldest first."""

    results = (list[TakeInfo],)
    for_programs = True


class TakeRequest(Request, frozen=True, tag="take"):
    """Report a piece of the file of a take, from byte `offset` on.

    `form` is `mid`, a MIDI file, `musicxml`, a score, or `wav`, its sound, which needs fluidsynth and a sound font. A
    score or a sound is made when its first piece is asked for, which may take a minute; the pieces that follow are of
    that file until another one is made. Requests that come meanwhile are answered first: an answer has the `id` of its
    request.
    """

    results = (TakePiece,)
    for_programs = True
    answered_late = True

    name: str
    form: str = "mid"
    offset: Count = 0


class PresetsRequest(Request, frozen=True, tag="presets"):
    """Report the names of the presets."""

    results = (list[str],)
    for_programs = True


class ChartsRequest(Request, frozen=True, tag="charts"):
    """Report the names of the charts."""

    results = (list[str],)
    for_programs = True


class CardRequest(Request, frozen=True, tag="card"):
    """Report the card of the network that plays: what it learned from, its licence, how well it predicts."""

    results = (CardResult,)
    for_programs = True


class PlayNoteRequest(Request, frozen=True, tag="play_note"):
    """Strike a note (`on`) or release it, as if it had come from the player's keyboard at `second`; without it, now.

    The second is one on the daemon's clock (see `clock`), at most a second ago.
    """

    for_programs = True

    on: bool
    pitch: Pitch
    velocity: Annotated[int, Meta(ge=1, le=127)] = 80
    second: Second | None = None


def _action_request(action: Action) -> type[Request]:
    """Return the request for an action that the engine performs without further fields, such as PanicRequest."""
    doc = f"{action.help[0].upper()}{action.help[1:]}."
    name = f"{action.name.capitalize()}Request"
    options: dict[str, Any] = {"frozen": True, "tag": action.name, "module": __name__, "namespace": {"__doc__": doc}}
    return cast("type[Request]", defstruct(name, [], bases=(Request,), **options))


REQUESTS: dict[str, type[Request]] = {str(kind.__struct_config__.tag): kind for kind in Request.__subclasses__()}
REQUESTS |= {action.name: _action_request(action) for action in ACTIONS.values() if action.command is not None}
"""The table of requests, by name: what the daemon answers, `sideman ctl` offers and the documentation describes."""


def request_fields(kind: type[Request]) -> tuple[str, ...]:
    """The names of a request's own fields, in the order in which OSC gives them."""
    return kind.__match_args__


def request_summary(kind: type[Request]) -> str:
    """What a request does, in one sentence, as a help text: without a capital letter and a full stop."""
    sentence = (kind.__doc__ or "").splitlines()[0]
    return sentence[0].lower() + sentence[1:].removesuffix(".")


# -- replies and events


class Answer(Struct, frozen=True):
    """The reply to a request that was done. `result` depends on the request; see `result_of`."""

    id: RequestId
    ok: Annotated[bool, Meta(extra_json_schema={"const": True})]
    result: object


class Refusal(Struct, frozen=True):
    """The reply to a request that was refused. `error` says what is wrong, one line for each problem."""

    id: RequestId
    ok: Annotated[bool, Meta(extra_json_schema={"const": False})]
    error: str


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
    `practice` says what practice brings next, as in `bars 5-8 again, then in Bb`.
    """


class BeatEvent(_Event, frozen=True, tag="beat"):
    """A beat begins.

    `bar` counts from 1 in the whole music. `top` is the beat on which the current chart began; `form_bar` and `chorus`
    count from 1 in it.
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
    """A note has been struck, for `second`. It has a new number if it did not come before."""


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

Message = Answer | Refusal | Event | Event2
"""What the daemon sends."""
