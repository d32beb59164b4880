# SPDX-License-Identifier: Apache-2.0
"""The control API: answers what the control socket, OSC and the player's controllers request of the playing daemon.

It runs in the main thread. What changes the music becomes a command in the player's inbox; the API does not wait for
it, and answers with what will hold from the next note on.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct
from msgspec.structs import asdict

from sideman.config.reading import (
    BindingJob,
    Exported,
    ExportJob,
    FolderJob,
    Listing,
    NamesJob,
    Piece,
    PieceJob,
    read_piece,
)
from sideman.config.resources import CHARTS, PRESETS
from sideman.config.sources import Edited, missing_preset, read_preset
from sideman.control import protocol, requests
from sideman.control.codec import make_request
from sideman.control.events import BeatEvent, LearnedEvent
from sideman.control.readings import Pending, Steps, plain_error, read_here
from sideman.control.requests import REQUESTS, Request, request_fields
from sideman.control.settings_api import SettingsApi
from sideman.core import events
from sideman.core.actions import ACTIONS
from sideman.core.chart.chart import ChartError
from sideman.core.chart.places import find_place, section_at
from sideman.core.errors import ConfigError, SidemanError, UnreadableInput, UsageError
from sideman.core.positions import reached_beat
from sideman.core.settings.bindings import read_learn_target
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.core.settings.schema import KEYS, Settings, is_live, value_of, with_values, write_value
from sideman.core.settings.types import quoted
from sideman.core.snapshot import Snapshot
from sideman.core.turns import ModeName
from sideman_models.writing import scratch_folder

_LONG_KEYS = ("chart.changes",)  # too long for every status; `get` and the chart event have them
_STATUS_KEYS = tuple(name for name in KEYS if is_live(name) and name not in _LONG_KEYS)
CLOCK_NAME = "monotonic"
"""What the daemon's clock is called: the one of `time.monotonic()`."""
MAX_PLAYED_LATE_S = 1.0
"""How long ago a note may have been struck that comes in through the control socket."""
_TAKE_FORMS = {"mid": ".mid", "musicxml": ".musicxml", "wav": ".wav"}
"""The forms in which a take can be fetched, each with the suffix of its file. It is recorded in the first one."""

_MAX_CARD_LENGTH = 1 << 15  # characters: an answer has to fit into what a client may leave unread
_log = logging.getLogger(__name__)


class ControlApi(Struct, dict=True):
    """Answers requests to a daemon; those about settings are answered by `settings_api`.

    `put` leaves a command for the player, and `now` is a clock that never goes back. `snapshot` returns the
    player's latest snapshot, `describe_daemon` what else belongs to the status, and `learning` what has been
    learned. `keep_take` saves the last minutes and returns the path of the MIDI file. `read_files` performs the
    steps of a request that needs files (`Readings.perform` in the daemon), `export_files` those of a request that
    may take minutes. `hear` takes a note as if it had come from the player's port at a second, `list_ports` returns
    the MIDI ports, and the takes are in `takes_folder`.
    """

    put: Callable[[events.Command], None]
    now: Callable[[], float]
    snapshot: Callable[[], Snapshot]
    settings_api: SettingsApi
    describe_daemon: Callable[[], protocol.DaemonInfo]
    keep_take: Callable[[], str]
    read_files: Callable[[str, Steps], object] = read_here
    export_files: Callable[[str, Steps], object] = read_here
    hear: Callable[[events.NoteOn | events.NoteOff, float], None] = lambda _note, _second: None
    list_ports: Callable[[], list[protocol.PortInfo]] = list
    learning: Callable[[], str] = str
    takes_folder: str = ""
    card: str = ""  # of the network

    def __post_init__(self) -> None:
        self._started_s = self.now()
        self._requested_mode: ModeName | None = None  # until it takes effect at its bar line
        self._mode_before_mute: ModeName | None = None  # while muted
        self.learned: LearnedEvent | None = None  # what was learned last
        self._writes_learned = False  # what is learned next is written into the configuration file
        self._off_confirmed = False  # the player has reported mode 'off' since it was muted
        self._handlers: dict[type[Request], Callable[[Any], object]] = {
            requests.StatusRequest: lambda _: self.status(),
            requests.GetRequest: lambda request: self.settings_api.describe(request.key),
            requests.SetRequest: lambda request: self.settings_api.set(request.key, request.value),
            requests.PresetRequest: lambda request: self.settings_api.apply_preset(request.name),
            requests.ChartRequest: lambda request: self.settings_api.play_chart(request.name),
            requests.ReloadRequest: lambda _: self.settings_api.reload(),
            requests.ModeRequest: self._change_mode,
            requests.MuteRequest: self._mute,
            requests.LearnRequest: self._learn,
            requests.JumpRequest: self._jump,
            requests.LoopRequest: self._loop,
            requests.KeepRequest: lambda _: requests.KeepResult(self.keep_take()),
            requests.ClockRequest: lambda _: requests.ClockResult(CLOCK_NAME, self.now()),
            requests.PortsRequest: lambda _: self.list_ports(),
            requests.TakesRequest: lambda _: self._list_takes(),
            requests.TakeRequest: self._read_take,
            requests.PresetsRequest: lambda _: _list_names(*PRESETS),
            requests.ChartsRequest: lambda _: _list_names(*CHARTS),
            requests.CardRequest: lambda _: requests.CardResult(self.card[:_MAX_CARD_LENGTH]),
            requests.PlayNoteRequest: self._play_note,
        }
        for action in ACTIONS.values():
            if action.command is not None:
                self._handlers[REQUESTS[action.name]] = partial(lambda command, _: self.put(command), action.command)
        self._guest_handlers: dict[type[Request], Callable[[Any], object]] = {
            requests.GetRequest: self._get_one,
            requests.SetRequest: lambda request: self.settings_api.set(request.key, request.value, by_name=True),
            requests.LearnRequest: self._learn_unwritten,
            requests.ChartRequest: lambda request: self.settings_api.play_chart(request.name, by_name=True),
        }
        self.settings_api.song_changed = self.queue_next_song
        self._exported: tuple[str, str, BinaryIO] | None = None  # the last export: name, form, file
        self._logged_for_guests = ""  # the last error that a guest was not given

    @property
    def settings(self) -> Settings:
        """The settings that hold once all requested changes have taken effect."""
        return self.settings_api.settings

    @property
    def last_preset(self) -> str | None:
        """The preset that was applied last; None: none since the settings were read."""
        last = self.settings_api.last_preset
        return None if last is None else last[0]

    @property
    def last_song(self) -> int:
        """The number of the last song of the set; 0: none yet."""
        return self.settings_api.last_song

    def recall_preset(self, name: str) -> None:
        """The settings are those with a preset that was applied before a restart; without it, if it is gone by now."""
        with contextlib.suppress(SidemanError):
            self.settings_api.last_preset = name, read_preset(name)

    def answer_guest(self, request: Request) -> object:
        """Answer someone who may ask for music, but not have our files read, shown or written: a sender of OSC.

        Charts are named, never given as a path; no error quotes a preset or the configuration; nothing is written into
        the configuration.
        """
        try:
            if request.for_programs:
                raise UsageError(f"{request.__struct_config__.tag}: only on the control socket")
            result = self.answer(request, self._guest_handlers.get(type(request)))
        except SidemanError as error:
            raise self._error_for_guest(request, error) from None
        if not isinstance(result, Pending):
            return result
        pending = Pending()
        result.then(
            lambda outcome: pending.finish(
                self._error_for_guest(request, outcome) if isinstance(outcome, SidemanError) else outcome
            )
        )
        return pending

    def _error_for_guest(self, request: Request, error: SidemanError) -> SidemanError:
        """Return `error` without what it quotes of a preset or the configuration; that is logged."""
        if not isinstance(request, requests.PresetRequest | requests.ReloadRequest) or not isinstance(
            error, ConfigError | UnreadableInput
        ):
            return error
        name, text = request.__struct_config__.tag, str(error)
        if text != self._logged_for_guests:
            self._logged_for_guests = text
            _log.warning("%s: %s", name, text)
        return type(error)(f"{name}: there is a mistake in what was to be read; the log of sideman says which")

    def answer(self, request: Request, handler: Callable[[Any], object] | None = None) -> object:
        """Do what `request` says and return its result (`Request.results`), or raise a SidemanError with the reason.

        The result is `Pending` if files have to be read first. `handler` does it in place of the usual one.
        """
        name, handler = request.__struct_config__.tag, handler or self._handlers.get(type(request))
        if handler is None:
            raise UsageError(f"{name}: only on the control socket")
        try:
            result = handler(request)
            if isinstance(result, Generator):
                exports = isinstance(request, requests.TakeRequest) and request.form != "mid"
                perform = self.export_files if exports else self.read_files
                return perform(" ".join(filter(None, [str(name), getattr(request, "key", "")])), result)
            return result
        except SidemanError:
            raise
        except Exception as error:
            raise plain_error(str(name), error) from error

    def queue_next_song(self) -> None:
        """Read the chart of the next song of the set, so that the player has it before it is asked for."""
        if self.settings.chart.set:
            self.read_files("the next song", self.settings_api.queue_next_song())

    def perform_action(self, action: str, argument: str) -> None:
        """Do what the player has requested with a controller. If it is refused, the log says why."""
        fields = request_fields(REQUESTS[action]) if argument and action in REQUESTS else ()
        try:
            result = self.answer(make_request(action, dict.fromkeys(fields[:1], argument)))
        except SidemanError as error:
            _log_refusal(error)
            return
        if isinstance(result, Pending):
            result.then(_log_refusal)

    def _take_learned(self, argument: str) -> None:
        """The player has learned `argument`, such as `midi.cc.20=play.gate`. It is written if that was requested."""
        binding, _, target = argument.partition("=")
        if not self._writes_learned:
            _log.info("learned: %s; to keep it after a restart, write it into the configuration", argument)
            self.learned = LearnedEvent(binding, target)
            return
        self._writes_learned = False
        result = self.read_files(f"learn {binding}", self._write_learned(binding, target))
        if isinstance(result, Pending):
            result.then(_log_refusal)

    def _write_learned(self, binding: str, target: str) -> Steps:
        try:
            edited: Edited = yield BindingJob(self.settings_api.sources.config, binding, target)
            file = str(edited.write())
        except SidemanError as error:
            _log.warning("learned: %s=%s; not written: %s", binding, target, error)
            self.learned = LearnedEvent(binding, target, problem=str(error))
        else:
            _log.info("learned: %s=%s; written to %s", binding, target, file)
            self.learned = LearnedEvent(binding, target, file)
            yield from self.settings_api.read_bindings()
        return None

    def handle_report(self, report: events.Report) -> None:
        """Take over what the player reports as changed."""
        match report:
            case events.ActionRequested("learned", argument):
                self._take_learned(argument)
            case events.SettingsChanged(values):
                self.settings_api.settings = with_values(self.settings, values)
                self.settings_api.take_song(dict(values).get("chart.song"))
            case events.ModeChanged(mode):
                self.settings_api.settings = with_values(self.settings, [("play.mode", mode)])
                self._requested_mode = None
                if self._off_confirmed and mode != "off":  # else the mode was requested before the mute
                    self._mode_before_mute = None
                self._off_confirmed = self._off_confirmed or mode == "off"

    def status(self) -> protocol.Status:
        """Return the present status."""
        now, snapshot = self.now(), self.snapshot()
        beats_ahead = snapshot.beats_since(now)
        chart = snapshot.chart_span(beats_ahead)[0].chart
        return protocol.Status(
            **asdict(self.describe_daemon()),
            **{**asdict(beat_event(snapshot, beats_ahead)), "beat": round(snapshot.beat + beats_ahead, 3)},
            uptime_s=round(now - self._started_s, 1),
            seed=snapshot.seed,
            mode=snapshot.mode,
            doing=snapshot.state,
            rolling=snapshot.rolling,
            bpm=round(snapshot.bpm, 3),
            coming=next_note(snapshot),
            chart=protocol.ChartSummary(chart.info.title, len(chart.bars), str(chart.meter)),
            late=snapshot.late_notes,
            heard=snapshot.heard_notes,
            echoes=snapshot.echoes,
            played=snapshot.played_notes,
            settings={name: write_value(name, value_of(self.settings, name)) for name in _STATUS_KEYS},
            waiting=snapshot.waiting,
            turn_ends=snapshot.state_until,
            start_bar=snapshot.start_bar,
            practice=snapshot.practice,
            target=snapshot.target,
            learning=self.learning(),
        )

    def _change_mode(self, request: requests.ModeRequest) -> requests.ModeResult:
        mode = resolve_settings([{"play.mode": WrittenValue(request.mode, "mode")}]).play.mode
        self._mode_before_mute, self._requested_mode = None, mode
        self.put(events.SetMode(mode, request.now))
        return requests.ModeResult(mode)

    def _jump(self, request: requests.JumpRequest) -> requests.JumpResult:
        chart = self.settings_api.chart
        try:
            bar = find_place(chart, str(request.to)).first
        except ChartError as error:
            raise ConfigError(f"jump: {error}") from None
        if (loop := self.settings.practice.loop) is not None:
            place = find_place(chart, loop)
            if not place.first <= bar < place.end:
                self.settings_api.set("practice.loop", None)
        self.put(events.JumpToBar(bar))
        return requests.JumpResult(bar + 1)

    def _loop(self, request: requests.LoopRequest) -> object:
        bars = request.bars
        if bars is None and self.settings.practice.loop is None:
            snapshot, chart = self.snapshot(), self.settings_api.chart
            bar = beat_event(snapshot, snapshot.beats_since(self.now())).form_bar - 1
            bars = section_at(chart, bar % len(chart.bars)).text
        return self.settings_api.set("practice.loop", None if bars == "off" else bars)

    def _mute(self, request: requests.MuteRequest) -> requests.MuteResult:
        mute = self._mode_before_mute is None if request.on is None else request.on
        if mute and self._mode_before_mute is None:
            playing = self.snapshot().mode
            mode = self._requested_mode or playing
            self._mode_before_mute = "solo" if mode == "off" else mode
            self._off_confirmed = playing == "off"
            self.put(events.SetMode("off", now=True))
        elif not mute and self._mode_before_mute is not None:
            self.put(events.SetMode(self._mode_before_mute, now=True))
            self._mode_before_mute = None
        return requests.MuteResult(mute)

    def _list_takes(self) -> Steps:
        found: Listing = yield FolderJob(self.takes_folder, ".jsonl", _TAKE_FORMS["mid"])
        return [requests.TakeInfo(*each) for each in found.names]

    def _read_take(self, request: requests.TakeRequest) -> Steps:
        suffix = _TAKE_FORMS.get(request.form)
        if suffix is None:
            raise UsageError(f"take: form: {quoted(request.form)}: allowed is {' or '.join(_TAKE_FORMS)}")
        if request.form == "mid":
            piece: Piece = yield PieceJob(self.takes_folder, f"{request.name}{suffix}", request.offset)
        else:
            exported = self._exported
            if request.offset == 0 or exported is None or exported[:2] != (request.name, request.form):
                exported = yield from self._export_take(request.name, request.form)
            piece = read_piece(exported[2], request.offset)
        return requests.TakePiece(request.name, request.form, piece.size, request.offset, piece.data)

    def _export_take(self, name: str, form: str) -> Generator[ExportJob, Exported, tuple[str, str, BinaryIO]]:
        """Have a take written in another form; the file stays until the next one, without a name in a folder."""
        with scratch_folder(Path(self.takes_folder, "export")) as folder:
            made = yield ExportJob(self.takes_folder, name, str(folder / f"take{_TAKE_FORMS[form]}"))
            self.close_export()
            self._exported = name, form, Path(made.path).open("rb")  # noqa: SIM115 - see `close_export`
        return self._exported

    def close_export(self) -> None:
        """Forget the take that was exported last."""
        if self._exported is not None:
            self._exported[2].close()
            self._exported = None

    def _play_note(self, request: requests.PlayNoteRequest) -> None:
        """Let a note be heard. Like one from the player's port, it counts from the second when it was struck."""
        now, midi = self.now(), self.settings.midi
        second = now if request.second is None else request.second
        if not now - MAX_PLAYED_LATE_S <= second <= now:
            late = f"allowed are the seconds from {MAX_PLAYED_LATE_S:g} s ago to now on the daemon's clock"
            raise UsageError(f"play_note: second: {second:g}: it is {now:.3f} there; {late}")
        silent = (midi.drums, midi.chords)
        channel = midi.listen or next(channel for channel in range(1, 17) if channel not in silent)
        on = events.NoteOn(request.pitch, request.velocity, channel)
        self.hear(on if request.on else events.NoteOff(request.pitch, channel), second)

    def _get_one(self, request: requests.GetRequest) -> object:
        if request.key is None:
            raise UsageError("get: name a setting; only the control socket gives all of them")
        return self.settings_api.describe(request.key)

    def _learn_unwritten(self, request: requests.LearnRequest) -> requests.LearnResult:
        if request.write:
            raise UsageError("learn: only the control socket may write into the configuration")
        return self._learn(request)

    def _learn(self, request: requests.LearnRequest) -> requests.LearnResult:
        self._writes_learned = request.write and not request.cancel
        if request.cancel:
            self.put(events.LearnBinding(None))
            return requests.LearnResult("")
        try:
            target = read_learn_target(request.action if request.key is None else request.key)
        except ValueError as error:
            raise ConfigError(f"learn: {error}") from None
        if missing := missing_preset(target):
            raise ConfigError(f"learn: {missing}")
        self.put(events.LearnBinding(target))
        return requests.LearnResult(target.text)


def _list_names(kind: str, *suffixes: str) -> Steps:
    found: Listing = yield NamesJob(kind, suffixes)
    return [name for name, *_ in found.names]


def _log_refusal(outcome: object) -> None:
    if isinstance(outcome, SidemanError):
        _log.warning("%s", "; ".join(str(outcome).splitlines()))


def beat_event(snapshot: Snapshot, beats_ahead: float) -> BeatEvent:
    """Return the place in the music `beats_ahead` after the snapshot, its chords as the player reads them."""
    span, place = snapshot.chart_span(beats_ahead)
    reached = max(0.0, reached_beat(place))
    chord, next_chord = snapshot.chord_and_next(beats_ahead)
    transpose = snapshot.settings.midi.transpose
    return BeatEvent(
        beat=round(snapshot.beat + beats_ahead),
        bar=snapshot.bar_number(beats_ahead),
        top=round(snapshot.beat + beats_ahead - place, 4),
        form_bar=span.chart.bar_at(reached)[0] % len(span.chart.bars) + 1,
        chorus=int(reached // span.chart.length) + 1,
        chord=chord.shown(transpose).text,
        next_chord=next_chord.shown(transpose).text,
    )


def next_note(snapshot: Snapshot) -> protocol.NextNote | None:
    """Return what is chosen to be played next, if anything."""
    choice = snapshot.next_choice
    if choice is None:
        return None
    return protocol.NextNote(round(snapshot.next_choice_beat, 4), choice.pitch, choice.value.text)
