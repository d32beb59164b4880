# SPDX-License-Identifier: Apache-2.0
"""The requests of the control protocol, what each may give as its result, and the two kinds of replies."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, cast

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from sideman.control.protocol import (
    PROTOCOL_VERSION,
    BarNumber,
    Count,
    ModeWord,
    Pitch,
    PortInfo,
    RequestId,
    Second,
    SettingName,
    SettingValue,
    SettingValues,
    Status,
)
from sideman.core.actions import ACTIONS, Action

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


# -- replies


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
