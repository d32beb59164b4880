# SPDX-License-Identifier: Apache-2.0
"""The control API: answers what the control socket, OSC and the player's controllers request of the playing daemon.

It runs in the main thread. What changes the music becomes a command in the player's inbox; the API does not wait for
it, and answers with what will hold from the next note on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from functools import partial
from typing import Any

from msgspec.structs import asdict

from sideman.config.sources import SettingsSources
from sideman.control import protocol
from sideman.control.codec import make_request
from sideman.control.protocol import REQUESTS, Request, request_fields
from sideman.control.settings_api import SettingsApi
from sideman.core.actions import ACTIONS
from sideman.core.chart.chart import Chart
from sideman.core.errors import ConfigError, SidemanError, UsageError
from sideman.core.events import Command, LearnBinding, ModeChanged, Report, SetMode, SettingsChanged
from sideman.core.positions import reached_beat
from sideman.core.settings.bindings import read_learn_target
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.core.settings.schema import KEYS, Settings, is_live, value_of, with_values, write_value
from sideman.core.snapshot import Snapshot
from sideman.core.text import format_chord
from sideman.core.turns import ModeName
from sideman.exit_status import exit_status_and_message

_LONG_KEYS = ("chart.changes",)  # too long for every status; `get` and the chart event have them
_STATUS_KEYS = tuple(name for name in KEYS if is_live(name) and name not in _LONG_KEYS)
_log = logging.getLogger(__name__)


@dataclass
class ControlApi:
    """Answers requests to a daemon that plays `chart` with settings read from `sources`.

    `put` leaves a command for the player, and `now` is a clock that never goes back. `snapshot` returns the player's
    latest snapshot and `describe_daemon` what else belongs to the status. `keep_take` saves the last minutes and
    returns the path of the MIDI file.
    """

    put: Callable[[Command], None]
    now: Callable[[], float]
    snapshot: Callable[[], Snapshot]
    chart: InitVar[Chart]
    sources: InitVar[SettingsSources]
    describe_daemon: Callable[[], protocol.DaemonInfo]
    keep_take: Callable[[], str]

    def __post_init__(self, chart: Chart, sources: SettingsSources) -> None:
        self._started_s = self.now()
        self._settings_api = SettingsApi(self.put, self.snapshot().settings, chart, sources)
        self._requested_mode: ModeName | None = None  # until it takes effect at its bar line
        self._mode_before_mute: ModeName | None = None  # while muted
        self._off_confirmed = False  # the player has reported mode 'off' since it was muted
        self._handlers: dict[type[Request], Callable[[Any], object]] = {
            protocol.StatusRequest: lambda _: self.status(),
            protocol.GetRequest: lambda request: self._settings_api.describe(request.key),
            protocol.SetRequest: lambda request: self._settings_api.set(request.key, request.value),
            protocol.PresetRequest: lambda request: self._settings_api.apply_preset(request.name),
            protocol.ReloadRequest: lambda _: self._settings_api.reload(),
            protocol.ModeRequest: self._change_mode,
            protocol.MuteRequest: self._mute,
            protocol.LearnRequest: self._learn,
            protocol.KeepRequest: lambda _: protocol.KeepResult(self.keep_take()),
        }
        for action in ACTIONS.values():
            if action.command is not None:
                self._handlers[REQUESTS[action.name]] = partial(lambda command, _: self.put(command), action.command)

    @property
    def settings(self) -> Settings:
        """The settings that hold once all requested changes have taken effect."""
        return self._settings_api.settings

    def answer(self, request: Request) -> object:
        """Do what `request` says and return its result, as `Request.results` describes it.

        Raises a SidemanError with the reason if it is refused.
        """
        name, handler = request.__struct_config__.tag, self._handlers.get(type(request))
        if handler is None:
            raise UsageError(f"{name}: only on the control socket")
        try:
            return handler(request)
        except SidemanError:
            raise
        except Exception as error:
            if not isinstance(error, OSError):  # an error in this program, not of the system
                _log.exception("%s failed", name)
            raise SidemanError(exit_status_and_message(error)[1]) from error

    def perform_action(self, action: str, argument: str) -> None:
        """Do what the player has requested with a controller. If it is refused, the log says why."""
        if action == "learned":
            _log.info("learned: %s; to keep it after a restart, write it into the configuration", argument)
            return
        fields = request_fields(REQUESTS[action]) if argument and action in REQUESTS else ()
        try:
            self.answer(make_request(action, dict.fromkeys(fields[:1], argument)))
        except SidemanError as error:
            _log.warning("%s", error)

    def handle_report(self, report: Report) -> None:
        """Take over what the player reports as changed."""
        match report:
            case SettingsChanged(values):
                self._settings_api.settings = with_values(self.settings, values)
            case ModeChanged(mode):
                self._settings_api.settings = with_values(self.settings, [("play.mode", mode)])
                self._requested_mode = None
                if self._off_confirmed and mode != "off":  # else the mode was requested before the mute
                    self._mode_before_mute = None
                self._off_confirmed = self._off_confirmed or mode == "off"

    def status(self) -> protocol.Status:
        """Return the present status."""
        now, snapshot = self.now(), self.snapshot()
        beats_ahead = snapshot.beats_since(now)
        chart, _ = snapshot.chart_position(beats_ahead)
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
        )

    def _change_mode(self, request: protocol.ModeRequest) -> protocol.ModeResult:
        mode = resolve_settings([{"play.mode": WrittenValue(request.mode, "mode")}]).play.mode
        self._mode_before_mute, self._requested_mode = None, mode
        self.put(SetMode(mode, request.now))
        return protocol.ModeResult(mode)

    def _mute(self, request: protocol.MuteRequest) -> protocol.MuteResult:
        mute = self._mode_before_mute is None if request.on is None else request.on
        if mute and self._mode_before_mute is None:
            playing = self.snapshot().mode
            mode = self._requested_mode or playing
            self._mode_before_mute = "solo" if mode == "off" else mode
            self._off_confirmed = playing == "off"
            self.put(SetMode("off", now=True))
        elif not mute and self._mode_before_mute is not None:
            self.put(SetMode(self._mode_before_mute, now=True))
            self._mode_before_mute = None
        return protocol.MuteResult(mute)

    def _learn(self, request: protocol.LearnRequest) -> protocol.LearnResult:
        try:
            target = read_learn_target(request.action if request.key is None else request.key)
        except ValueError as error:
            raise ConfigError(f"learn: {error}") from None
        self.put(LearnBinding(target))
        return protocol.LearnResult(target.text)


def beat_event(snapshot: Snapshot, beats_ahead: float) -> protocol.BeatEvent:
    """Return the place in the music `beats_ahead` after the snapshot, its chords as the player reads them."""
    chart, place = snapshot.chart_position(beats_ahead)
    reached = max(0.0, reached_beat(place))
    chord, next_chord = snapshot.chord_and_next(beats_ahead)
    transpose = snapshot.settings.midi.transpose
    return protocol.BeatEvent(
        beat=round(snapshot.beat + beats_ahead),
        bar=snapshot.bar_number(beats_ahead),
        top=round(snapshot.beat + beats_ahead - place, 4),
        form_bar=chart.bar_at(reached)[0] % len(chart.bars) + 1,
        chorus=int(reached // chart.length) + 1,
        chord=format_chord(chord, transpose),
        next_chord=format_chord(next_chord, transpose),
    )


def next_note(snapshot: Snapshot) -> protocol.NextNote | None:
    """Return what is chosen to be played next, if anything."""
    choice = snapshot.next_choice
    if choice is None:
        return None
    return protocol.NextNote(round(snapshot.next_choice_beat, 4), choice.pitch, choice.value.text)
