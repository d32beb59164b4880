# SPDX-License-Identifier: Apache-2.0
"""The control API: answers what the control socket, OSC and the player's controllers request of the playing daemon.

It runs in the main thread. What changes the music becomes a command in the player's inbox; the API does not wait for
it, and answers with what will hold from the next note on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from sideman.config.sources import SettingsSources
from sideman.control.codec import make_request
from sideman.control.live_settings import LiveSettings
from sideman.control.protocol import (
    REQUESTS,
    DaemonInfo,
    GetRequest,
    KeepRequest,
    KeepResult,
    LearnRequest,
    LearnResult,
    ModeRequest,
    ModeResult,
    MuteRequest,
    MuteResult,
    PresetRequest,
    ReloadRequest,
    Request,
    SetRequest,
    Status,
    StatusRequest,
    request_fields,
)
from sideman.control.status import make_status
from sideman.core.actions import ACTIONS
from sideman.core.chart.chart import Chart
from sideman.core.errors import ConfigError, SidemanError, UsageError
from sideman.core.events import Command, LearnBinding, ModeChanged, Report, SetMode, SettingsChanged
from sideman.core.settings.bindings import read_learn_target
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.core.settings.schema import Settings, with_values
from sideman.core.snapshot import Snapshot
from sideman.core.turns import ModeName
from sideman.exit_status import exit_status_and_message

_log = logging.getLogger(__name__)


class CommandSink(Protocol):
    """The player's inbox: where commands are left for the player, and the clock that it plays by."""

    def put(self, item: Command) -> None:
        """Leave a command, stamped with the current second."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        ...


class ControlApi:
    """Answers requests to a daemon that plays `chart` with settings read from `sources`.

    `snapshot` returns the player's latest snapshot and `describe_daemon` what else belongs to the status. `keep_take`
    saves the last minutes and returns the path of the MIDI file.
    """

    def __init__(
        self,
        commands: CommandSink,
        snapshot: Callable[[], Snapshot],
        chart: Chart,
        sources: SettingsSources,
        describe_daemon: Callable[[], DaemonInfo],
        keep_take: Callable[[], str],
    ) -> None:
        self._commands = commands
        self._snapshot = snapshot
        self._describe_daemon = describe_daemon
        self._started_s = commands.now()
        self._live_settings = LiveSettings(commands.put, snapshot().settings, chart, sources)
        self._requested_mode: ModeName | None = None  # until it takes effect at its bar line
        self._mode_before_mute: ModeName | None = None  # while muted
        self._off_confirmed = False  # the player has reported mode 'off' since it was muted
        self._handlers: dict[type[Request], Callable[[Any], object]] = {
            StatusRequest: lambda _: self.status(),
            GetRequest: lambda request: self._live_settings.describe(request.key),
            SetRequest: lambda request: self._live_settings.set(request.key, request.value),
            PresetRequest: lambda request: self._live_settings.apply_preset(request.name),
            ReloadRequest: lambda _: self._live_settings.reload(),
            ModeRequest: self._change_mode,
            MuteRequest: self._mute,
            LearnRequest: self._learn,
            KeepRequest: lambda _: KeepResult(keep_take()),
            **{
                REQUESTS[action.name]: partial(self._perform, action.command)
                for action in ACTIONS.values()
                if action.command is not None
            },
        }

    @property
    def settings(self) -> Settings:
        """The settings that hold once all requested changes have taken effect."""
        return self._live_settings.settings

    def answer(self, request: Request) -> object:
        """Do what `request` says and return its result, as `Request.results` describes it.

        Raises a SidemanError with the reason if it is refused.
        """
        handler = self._handlers.get(type(request))
        if handler is None:
            raise UsageError(f"{request.__struct_config__.tag}: only on the control socket")
        try:
            return handler(request)
        except SidemanError:
            raise
        except Exception as error:
            if not isinstance(error, OSError):  # an error in this program, not of the system
                _log.exception("%s failed", request.__struct_config__.tag)
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
                self._live_settings.settings = with_values(self.settings, values)
            case ModeChanged(mode):
                self._live_settings.settings = with_values(self.settings, [("play.mode", mode)])
                self._requested_mode = None
                if self._off_confirmed and mode != "off":  # else the mode was requested before the mute
                    self._mode_before_mute = None
                self._off_confirmed = self._off_confirmed or mode == "off"
            case _:
                pass

    def status(self) -> Status:
        """Return the present status."""
        now, snapshot = self._commands.now(), self._snapshot()
        beats_ahead, uptime_s = snapshot.beats_since(now), now - self._started_s
        return make_status(snapshot, self._describe_daemon(), self.settings, beats_ahead, uptime_s)

    # -- actions and the play mode

    def _perform(self, command: Command, _request: Request) -> None:
        self._commands.put(command)

    def _change_mode(self, request: ModeRequest) -> ModeResult:
        mode = resolve_settings([{"play.mode": WrittenValue(request.mode, "mode")}]).play.mode
        self._mode_before_mute, self._requested_mode = None, mode
        self._commands.put(SetMode(mode, request.now))
        return ModeResult(mode)

    def _mute(self, request: MuteRequest) -> MuteResult:
        mute = self._mode_before_mute is None if request.on is None else request.on
        if mute and self._mode_before_mute is None:
            playing = self._snapshot().mode
            mode = self._requested_mode or playing
            self._mode_before_mute = "solo" if mode == "off" else mode
            self._off_confirmed = playing == "off"
            self._commands.put(SetMode("off", now=True))
        elif not mute and self._mode_before_mute is not None:
            self._commands.put(SetMode(self._mode_before_mute, now=True))
            self._mode_before_mute = None
        return MuteResult(mute)

    def _learn(self, request: LearnRequest) -> LearnResult:
        try:
            target = read_learn_target(request.action if request.key is None else request.key)
        except ValueError as error:
            raise ConfigError(f"learn: {error}") from None
        self._commands.put(LearnBinding(target))
        return LearnResult(target.text)
