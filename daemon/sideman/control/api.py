# SPDX-License-Identifier: Apache-2.0
"""The control API: answers what the control socket, OSC and the player's controllers request of the playing daemon.

It runs in the main thread. What changes the music becomes a command in the player's inbox; the API does not wait for
it, and answers with what will hold from the next note on.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, replace

from sideman.config.reading import (
    BindingJob,
    Changes,
    ChangesJob,
    ChartJob,
    Exported,
    ExportJob,
    FolderJob,
    Listing,
    NamesJob,
    Piece,
    PieceJob,
    read_piece,
    written_settings,
)
from sideman.config.resources import CHARTS, PRESETS
from sideman.config.sources import Edited, SettingsSources, chart_by_name, read_preset
from sideman.config.yaml import parse_setting
from sideman.control import protocol
from sideman.control.codec import make_request
from sideman.control.protocol import REQUESTS, Request, request_fields
from sideman.control.readings import Pending, Steps, plain_error, read_here
from sideman.core import events
from sideman.core.actions import ACTIONS
from sideman.core.chart.chart import Chart, ChartError
from sideman.core.chart.places import find_place, section_at
from sideman.core.errors import ConfigError, NoSuchInput, SidemanError, UnreadableInput, UsageError
from sideman.core.positions import reached_beat
from sideman.core.practice import check_loop
from sideman.core.settings.bindings import bindings_key_of, read_learn_target
from sideman.core.settings.presets import settings_difference, with_layer
from sideman.core.settings.resolve import SettingsLayer, WrittenValue, resolve_settings
from sideman.core.settings.schema import (
    BINDING_KEYS,
    CHART_KEYS,
    GROUPS,
    KEYS,
    Settings,
    closest_key,
    is_live,
    tempo_of,
    value_of,
    with_values,
    write_value,
)
from sideman.core.settings.set_list import find_song
from sideman.core.settings.types import quoted
from sideman.core.snapshot import Snapshot
from sideman.core.timing.clock_source import CLOCK_SOURCES
from sideman.core.turns import ModeName

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

    `put` leaves a command for the player, and `now` is a clock that never goes back. `snapshot` returns the player's
    latest snapshot and `describe_daemon` what else belongs to the status. `keep_take` saves the last minutes and
    returns the path of the MIDI file. `read_files` performs the steps of a request that needs files (`Readings.perform`
    in the daemon), `export_files` those of a request that may take minutes. `hear` takes a note as if it had come from
    the player's port at a second, `list_ports` returns the MIDI ports, and the takes are in `takes_folder`.
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
    takes_folder: str = ""
    card: str = ""  # of the network

    def __post_init__(self) -> None:
        self._started_s = self.now()
        self._requested_mode: ModeName | None = None  # until it takes effect at its bar line
        self._mode_before_mute: ModeName | None = None  # while muted
        self.learned: protocol.LearnedEvent | None = None  # what was learned last
        self._writes_learned = False  # what is learned next is written into the configuration file
        self._off_confirmed = False  # the player has reported mode 'off' since it was muted
        self._handlers: dict[type[Request], Callable[[Any], object]] = {
            protocol.StatusRequest: lambda _: self.status(),
            protocol.GetRequest: lambda request: self.settings_api.describe(request.key),
            protocol.SetRequest: lambda request: self.settings_api.set(request.key, request.value),
            protocol.PresetRequest: lambda request: self.settings_api.apply_preset(request.name),
            protocol.ChartRequest: lambda request: self.settings_api.play_chart(request.name),
            protocol.ReloadRequest: lambda _: self.settings_api.reload(),
            protocol.ModeRequest: self._change_mode,
            protocol.MuteRequest: self._mute,
            protocol.LearnRequest: self._learn,
            protocol.JumpRequest: self._jump,
            protocol.LoopRequest: self._loop,
            protocol.KeepRequest: lambda _: protocol.KeepResult(self.keep_take()),
            protocol.ClockRequest: lambda _: protocol.ClockResult(CLOCK_NAME, self.now()),
            protocol.PortsRequest: lambda _: self.list_ports(),
            protocol.TakesRequest: lambda _: self._list_takes(),
            protocol.TakeRequest: self._read_take,
            protocol.PresetsRequest: lambda _: _list_names(*PRESETS),
            protocol.ChartsRequest: lambda _: _list_names(*CHARTS),
            protocol.CardRequest: lambda _: protocol.CardResult(self.card[:_MAX_CARD_LENGTH]),
            protocol.PlayNoteRequest: self._play_note,
        }
        for action in ACTIONS.values():
            if action.command is not None:
                self._handlers[REQUESTS[action.name]] = partial(lambda command, _: self.put(command), action.command)
        self._guest_handlers: dict[type[Request], Callable[[Any], object]] = {
            protocol.GetRequest: self._get_one,
            protocol.SetRequest: lambda request: self.settings_api.set(request.key, request.value, by_name=True),
            protocol.LearnRequest: self._learn_unwritten,
            protocol.ChartRequest: lambda request: self.settings_api.play_chart(request.name, by_name=True),
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
        if not isinstance(request, protocol.PresetRequest | protocol.ReloadRequest) or not isinstance(
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
                exports = isinstance(request, protocol.TakeRequest) and request.form != "mid"
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
            self.learned = protocol.LearnedEvent(binding, target)
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
            self.learned = protocol.LearnedEvent(binding, target, problem=str(error))
        else:
            _log.info("learned: %s=%s; written to %s", binding, target, file)
            self.learned = protocol.LearnedEvent(binding, target, file)
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
            practice=snapshot.practice,
        )

    def _change_mode(self, request: protocol.ModeRequest) -> protocol.ModeResult:
        mode = resolve_settings([{"play.mode": WrittenValue(request.mode, "mode")}]).play.mode
        self._mode_before_mute, self._requested_mode = None, mode
        self.put(events.SetMode(mode, request.now))
        return protocol.ModeResult(mode)

    def _jump(self, request: protocol.JumpRequest) -> protocol.JumpResult:
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
        return protocol.JumpResult(bar + 1)

    def _loop(self, request: protocol.LoopRequest) -> object:
        bars = request.bars
        if bars is None and self.settings.practice.loop is None:
            snapshot, chart = self.snapshot(), self.settings_api.chart
            bar = beat_event(snapshot, snapshot.beats_since(self.now())).form_bar - 1
            bars = section_at(chart, bar % len(chart.bars)).text
        return self.settings_api.set("practice.loop", None if bars == "off" else bars)

    def _mute(self, request: protocol.MuteRequest) -> protocol.MuteResult:
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
        return protocol.MuteResult(mute)

    def _list_takes(self) -> Steps:
        found: Listing = yield FolderJob(self.takes_folder, ".jsonl", _TAKE_FORMS["mid"])
        return [protocol.TakeInfo(*each) for each in found.names]

    def _read_take(self, request: protocol.TakeRequest) -> Steps:
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
        return protocol.TakePiece(request.name, request.form, piece.size, request.offset, piece.data)

    def _export_take(self, name: str, form: str) -> Generator[ExportJob, Exported, tuple[str, str, BinaryIO]]:
        """Have a take written in another form; the file stays until the next one, without a name in a folder."""
        made = yield ExportJob(self.takes_folder, name, _TAKE_FORMS[form])
        self.close_export()
        path = Path(made.folder, made.name)
        self._exported = name, form, path.open("rb")
        path.unlink()
        path.parent.rmdir()
        return self._exported

    def close_export(self) -> None:
        """Forget the take that was exported last."""
        if self._exported is not None:
            self._exported[2].close()
            self._exported = None

    def _play_note(self, request: protocol.PlayNoteRequest) -> None:
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

    def _get_one(self, request: protocol.GetRequest) -> object:
        if request.key is None:
            raise UsageError("get: name a setting; only the control socket gives all of them")
        return self.settings_api.describe(request.key)

    def _learn_unwritten(self, request: protocol.LearnRequest) -> protocol.LearnResult:
        if request.write:
            raise UsageError("learn: only the control socket may write into the configuration")
        return self._learn(request)

    def _learn(self, request: protocol.LearnRequest) -> protocol.LearnResult:
        self._writes_learned = request.write and not request.cancel
        if request.cancel:
            self.put(events.LearnBinding(None))
            return protocol.LearnResult("")
        try:
            target = read_learn_target(request.action if request.key is None else request.key)
        except ValueError as error:
            raise ConfigError(f"learn: {error}") from None
        self.put(events.LearnBinding(target))
        return protocol.LearnResult(target.text)


def _list_names(kind: str, *suffixes: str) -> Steps:
    found: Listing = yield NamesJob(kind, suffixes)
    return [name for name, *_ in found.names]


def _log_refusal(outcome: object) -> None:
    if isinstance(outcome, SidemanError):
        _log.warning("%s", "; ".join(str(outcome).splitlines()))


def beat_event(snapshot: Snapshot, beats_ahead: float) -> protocol.BeatEvent:
    """Return the place in the music `beats_ahead` after the snapshot, its chords as the player reads them."""
    span, place = snapshot.chart_span(beats_ahead)
    reached = max(0.0, reached_beat(place))
    chord, next_chord = snapshot.chord_and_next(beats_ahead)
    transpose = snapshot.settings.midi.transpose
    return protocol.BeatEvent(
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


# -- settings


class SettingsApi(Struct):
    """Answers requests about the `settings`, which were first read from `sources`, and the `chart` that they lead to.

    `put` leaves a command for the player. `last_preset` was applied last: its name and its values.
    """

    put: Callable[[events.Command], None]
    settings: Settings
    chart: Chart
    sources: SettingsSources
    last_preset: tuple[str, SettingsLayer] | None = None
    song_changed: Callable[[], None] = lambda: None
    """Called when another song of the set follows."""
    next_song: events.QueueSong | None = None
    """The song of the set that the player was given to follow."""
    last_song: int = 0
    """The number of the last song of the set: after a chart in between, the one after it follows."""

    def describe(self, key: str | None) -> protocol.SettingInfo | dict[str, protocol.SettingInfo]:
        """Return what there is to know about the setting `key`, or about all."""
        if key is not None and key not in KEYS:
            likely = closest_key(key)
            raise UsageError(f"get: {quoted(key)}: no such key" + (f"; did you mean {likely}?" if likely else ""))
        infos = {
            name: protocol.SettingInfo(
                key=UNSET if key is None else name,
                value=write_value(name, value_of(self.settings, name)),
                default=write_value(name, setting.default),
                allowed=setting.value_type.allowed,
                live=is_live(name),
                about=setting.doc,
            )
            for name, setting in KEYS.items()
            if key in (None, name)
        }
        return infos if key is None else infos[key]

    def set(self, key: str, value: object, *, by_name: bool = False) -> protocol.ChangedValues | Steps:
        """Change the setting `key`, which may also be an entry of a table, such as `midi.cc.20`, or a whole group.

        Steps if another chart has to be read for it. With `by_name` no path is accepted: `chart.file` has to be the
        name of a chart.
        """
        layer, wanted = self._with_value(key, value)
        if by_name:
            layer = _named_only(layer, wanted)
            wanted = with_layer(self.settings, layer, reads_chart=False)
        changed = {bindings_key_of(name) or name for name in layer}
        if fixed := [name for name in layer if not is_live(bindings_key_of(name) or name)]:
            raise ConfigError(f"{fixed[0]}: cannot be changed while it plays; start sideman again to change it")
        source = self.settings.tempo.source
        if "tempo.bpm" in changed and not CLOCK_SOURCES[source].accepts_tempo:
            raise ConfigError(f"tempo.bpm: the tempo comes from outside, because tempo.source is {source}")
        differing = dict(settings_difference(self.settings, wanted).values)
        changed |= differing.keys()
        result = protocol.ChangedValues(
            {name: write_value(name, value_of(wanted, name)) for name in KEYS if name in changed}
        )
        if CHART_KEYS & differing.keys():
            return self._set_with_chart(differing, result)
        self._apply_values(differing)
        return result

    def play_chart(self, name: str, *, by_name: bool = False) -> Steps:
        """Play the chart `name`, or the song of the set that has this number or title, or a part of it.

        `by_name`: as in `set`.
        """
        songs = self.settings.chart.set
        number = find_song(songs, name)
        if number is None:
            file = chart_by_name(name) if by_name else name
            layer = {"chart.file": WrittenValue(file, "chart"), "chart.song": WrittenValue(0, "chart")}
        else:
            layer = {"chart.song": WrittenValue(number, "chart")}
        wanted = with_layer(self.settings, layer, reads_chart=False)
        try:
            chart = yield ChartJob.of(wanted)
        except NoSuchInput:
            number = find_song(songs, name, by_part=True)
            if number is None:
                raise
            wanted = with_values(self.settings, [("chart.song", number)])
            chart = yield ChartJob.of(wanted)
        differing = dict(settings_difference(self.settings, wanted).values)
        values = self._apply_values(differing, chart)
        changed = {name: write_value(name, value) for name, value in values.items()}
        return protocol.ChangedValues(changed, _warnings_of(chart))

    def queue_next_song(self) -> Steps:
        """Give the player the song that follows in the set. One that cannot be read is left out, which is logged."""
        self.last_song = self.settings.chart.song or self.last_song
        first = self.last_song + 1
        for number in range(first, len(self.settings.chart.set) + 1):
            wanted = with_values(self.settings, [("chart.song", number)])
            try:
                chart: Chart = yield ChartJob.of(wanted)
            except SidemanError as error:
                _log.warning("song %d of chart.set is left out: %s", number, error)
                continue
            for warning in chart.info.warnings:
                _log.warning("%s", warning)
            self.next_song = events.QueueSong(number, chart, tempo_of(wanted, chart))
            break
        else:
            self.next_song = events.QueueSong(first, None)
        self.put(self.next_song)
        return None

    def take_song(self, number: object) -> None:
        """The player has gone on to the song of this number, if it is one."""
        if number is not None:
            song = self.next_song
            if song is not None and song.number == number and song.chart is not None:
                self.chart, self.next_song = song.chart, None
                songs = self.settings.chart.set
                _log.info("song %d of %d: %s", song.number, len(songs), songs[song.number - 1].text)
            self.song_changed()

    def _set_with_chart(self, values: Mapping[str, object], result: protocol.ChangedValues) -> Steps:
        chart = yield ChartJob.of(with_values(self.settings, values.items()))
        applied = self._apply_values(values, chart, at_own_tempo="tempo.bpm" not in values)
        changed = {**result.changed, **{name: write_value(name, value) for name, value in applied.items()}}
        return replace(result, changed=changed, warnings=_warnings_of(chart))

    def _with_value(self, key: str, value: object) -> tuple[SettingsLayer, Settings]:
        """Return `value` of `key` as a layer, and the settings with it. Text is read as on the command line."""
        if isinstance(value, dict) and key in (*GROUPS, *BINDING_KEYS):
            layer: SettingsLayer = {f"{key}.{name}": WrittenValue(each, "set") for name, each in value.items()}
        else:
            layer = parse_setting(key, value.strip(), "set") if isinstance(value, str) else {}
        layer = layer or {key: WrittenValue(value, "set")}
        try:
            return layer, with_layer(self.settings, layer, reads_chart=False)
        except ConfigError as error:
            if not isinstance(value, str) or [given.value for given in layer.values()] == [value]:
                raise
            # On the command line the value looks like a number or a word of YAML, but it may be meant as text.
            layer = {key: WrittenValue(value, "set")}
            try:
                return layer, with_layer(self.settings, layer, reads_chart=False)
            except ConfigError:
                raise error from None

    def apply_preset(self, name: str) -> Steps:
        """Apply the settings of a preset, and take back those of the preset before it."""
        previous = None if self.last_preset is None else self.last_preset[1]
        changes: Changes = yield ChangesJob(written_settings(self.settings), self.sources, name, previous)
        applied = yield from self._apply_changes(changes, read_chart=bool(CHART_KEYS & changes.values.keys()))
        self.last_preset = name, changes.layer
        return applied

    def reload(self) -> Steps:
        """Read the sources again, as at the start. A chart file is read again even if its name is the same."""
        changes: Changes = yield ChangesJob(written_settings(self.settings), self.sources)
        applied = yield from self._apply_changes(changes, read_chart=True)
        self.last_preset = None
        return applied

    def _apply_changes(
        self, changes: Changes, *, read_chart: bool
    ) -> Generator[ChartJob, Chart, protocol.AppliedLayer]:
        """Apply what was read. If the chart is wrong, its error is raised and nothing is applied."""
        values = changes.settings
        chart = (yield ChartJob.of(with_values(self.settings, values.items()))) if read_chart else None
        values = dict(self._apply_values(values, chart, at_own_tempo="tempo.bpm" not in changes.layer))
        changed = {name: write_value(name, value) for name, value in values.items()}
        return protocol.AppliedLayer(changed, list(changes.restart_keys), _warnings_of(chart))

    def _apply_values(
        self, values: Mapping[str, object], chart: Chart | None = None, *, at_own_tempo: bool = True
    ) -> Mapping[str, object]:
        """Apply values of live keys, and the chart that they lead to, at its own tempo; return all that changes.

        A loop that this chart does not have ends.
        """
        wanted = with_values(self.settings, values.items())
        try:
            check_loop(wanted, self.chart if chart is None else chart)
        except ChartError:
            if "practice.loop" in values:
                raise
            values = {**values, "practice.loop": None}
        bpm = tempo_of(wanted, chart) if chart is not None and at_own_tempo else None
        if bpm is not None:
            values = {key: value for key, value in values.items() if key != "tempo.bpm"}
            values |= {"tempo.bpm": bpm} if bpm != self.settings.tempo.bpm else {}
        if chart is not None and chart != self.chart:
            for warning in chart.info.warnings:
                _log.warning("%s", warning)
            self.chart = chart
            self.put(events.SetChart(chart))
        if values:
            self.put(events.ChangeSettings(tuple(values.items())))
        self.settings = with_values(self.settings, values.items())
        if CHART_KEYS & values.keys():
            self.song_changed()
        return values


def _named_only(layer: SettingsLayer, wanted: Settings) -> SettingsLayer:
    """Return `layer` with the paths of the charts that it names in place of their names. Raises NoSuchInput."""
    if "chart.file" in layer:
        layer = {**layer, "chart.file": WrittenValue(chart_by_name(wanted.chart.file), "set")}
    if "chart.set" in layer:
        songs = [replace(song, chart=chart_by_name(song.chart)).text for song in wanted.chart.set]
        layer = {**layer, "chart.set": WrittenValue(songs, "set")}
    return layer


def _warnings_of(chart: Chart | None) -> list[str] | UnsetType:
    return list(chart.info.warnings) if chart is not None and chart.info.warnings else UNSET
