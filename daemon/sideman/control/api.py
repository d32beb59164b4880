# SPDX-License-Identifier: Apache-2.0
"""What can be asked of the daemon while it plays, and the answers: one desk for the socket, for OSC and for MIDI.

All of it happens in the main thread. What is to be played otherwise is left in the inbox as a command; nothing is
waited for, and what the desk answers is what holds from the next value on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from sideman.config.scalars import parse_scalar
from sideman.config.sources import SettingsSources, load_chart, read_preset
from sideman.core.actions import ACTIONS
from sideman.core.chart.chart import Chart
from sideman.core.errors import ConfigError, SidemanError, UsageError
from sideman.core.events import (
    ChangeSettings,
    Command,
    LearnBinding,
    ModeChanged,
    Report,
    SetChart,
    SetMode,
    SettingsChanged,
)
from sideman.core.settings.bindings import bindings_key_of, read_learn_target
from sideman.core.settings.presets import SettingsDifference, preset_difference, settings_difference, with_layer
from sideman.core.settings.resolve import SettingsLayer, WrittenValue, resolve_settings
from sideman.core.settings.schema import (
    KEYS,
    Settings,
    closest_key,
    is_live,
    value_of,
    with_values,
    write_value,
)
from sideman.core.settings.types import quoted, quoted_name
from sideman.core.snapshot import Snapshot
from sideman.core.text import format_chord
from sideman.core.turns import ModeName
from sideman.exit_status import exit_status_and_message

CHART_KEYS = frozenset({"chart.changes", "chart.file", "chart.transpose"})
_LONG_KEYS = frozenset({"chart.changes"})  # told by `get`, and as a chart; too long to be part of every status
_STATUS_KEYS = tuple(name for name in KEYS if is_live(name) and name not in _LONG_KEYS)

_ALMOST = 1e-6  # beats

_log = logging.getLogger(__name__)


class CommandSink(Protocol):
    """Where commands are left for the player, and the clock that it plays by."""

    def put(self, item: Command) -> None:
        """Leave a command that comes in now."""

    def now(self) -> float:
        """Seconds that only grow."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """A request: what answers it, the arguments it must have, and those it may have."""

    handler: Callable[..., object]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


class ControlApi:
    """Answers requests about what is played over `chart`, with `settings` read from `sources`.

    `status` gives the player's latest snapshot, `about` what else is to be told of the daemon.
    """

    def __init__(
        self,
        commands: CommandSink,
        status: Callable[[], Snapshot],
        chart: Chart,
        sources: SettingsSources,
        about: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self.settings = status().settings
        """As they hold once all that was asked for has come to pass."""
        self._commands = commands
        self._status = status
        self._chart = chart
        self._sources = sources
        self._about = about
        self._started_s = commands.now()
        self._last_preset: SettingsLayer | None = None  # the preset that was called last
        self._mode_before_mute: ModeName | None = None  # the mode to go back to
        self._off_confirmed = False  # since it was muted, the player has said so
        self._requested_mode: ModeName | None = None  # asked for, from the next bar line on
        self.requests = {
            "status": Request(self.status),
            "get": Request(self._get, optional=("key",)),
            "set": Request(self._set, ("key", "value")),
            "mode": Request(self._mode, ("mode",), ("now",)),
            "preset": Request(self._preset, ("name",)),
            "reload": Request(self._reload),
            "mute": Request(self._mute, optional=("on",)),
            "learn": Request(self._learn, optional=("key", "action")),
            **{
                action.name: Request(partial(self._commands.put, action.command))
                for action in ACTIONS.values()
                if action.command
            },
        }
        """What can be asked, by name. Whoever brings a part of the daemon may put its own here."""

    def answer(self, request: Mapping[str, object]) -> object:
        """The answer to `request`, the verb being under `do` and its arguments beside it: something JSON can carry.

        Raises a SidemanError that says what is wrong with it.
        """
        name = request.get("do")
        verb = self.requests.get(name) if isinstance(name, str) else None
        if verb is None:
            raise UsageError(f"do: {quoted(name)}: no such request; there are {', '.join(self.requests)} and watch")
        given = {key: value for key, value in request.items() if key not in ("v", "id", "do")}
        for key in (*verb.required, *given):
            if key not in given:
                raise UsageError(f"{name}: {key} is missing; say which")
            if key not in (*verb.required, *verb.optional):
                takes = (
                    f"takes {', '.join((*verb.required, *verb.optional))}"
                    if verb.required or verb.optional
                    else "takes nothing"
                )
                raise UsageError(f"{name}: {quoted_name(key)}: {name} {takes}")
        try:
            return verb.handler(**given)
        except SidemanError:
            raise
        except Exception as error:
            if not isinstance(error, OSError):  # a defect of ours
                _log.exception("%s failed", name)
            raise SidemanError(exit_status_and_message(error)[1]) from error

    def argument_names(self, verb: str) -> tuple[str, ...]:
        """The arguments of a verb, in the order in which they are given where they have no names."""
        return (*self.requests[verb].required, *self.requests[verb].optional) if verb in self.requests else ()

    def perform_action(self, action: str, argument: str) -> None:
        """Do what the player's hands ask for; the log says what became of it."""
        if action == "learned":
            _log.info("learned: %s; it holds until the next start, unless the configuration says so too", argument)
            return
        try:
            self.answer({"do": action, **dict.fromkeys(self.argument_names(action)[:1] if argument else (), argument)})
        except SidemanError as error:
            _log.warning("%s", error)

    def handle_report(self, report: Report) -> None:
        """Take note of what the player says has changed."""
        match report:
            case SettingsChanged(values):
                self.settings = with_values(self.settings, values)
            case ModeChanged(mode):
                self.settings = with_values(self.settings, [("play.mode", mode)])
                self._requested_mode = None
                self._mode_before_mute = (
                    None if self._off_confirmed and mode != "off" else self._mode_before_mute
                )  # else it was asked for before
                self._off_confirmed = self._off_confirmed or mode == "off"
            case _:
                pass

    # -- telling

    def status(self) -> dict[str, object]:
        """How it stands now."""
        now, status = self._commands.now(), self._status()
        gone = status.beats_since(now)
        chart, _ = status.chart_position(gone)
        return {
            **self._about(),
            "uptime_s": round(now - self._started_s, 1),
            "seed": status.seed,
            "mode": status.mode,
            "doing": status.state,
            "rolling": status.rolling,
            "bpm": round(status.bpm, 3),
            "beat": round(status.beat + gone, 3),
            "bar": status.bar_number(gone),
            **position_fields(status, gone),
            "coming": next_note_fields(status),
            "chart": {"title": chart.info.title, "bars": len(chart.bars), "meter": str(chart.meter)},
            "late": status.late_notes,
            "heard": status.heard_notes,
            "echoes": status.echoes,
            "played": status.played_notes,
            "settings": {name: write_value(name, value_of(self.settings, name)) for name in _STATUS_KEYS},
        }

    def _get(self, key: object = None) -> object:
        if key is None:
            return {name: self._describe_setting(name) for name in KEYS}
        if not isinstance(key, str) or key not in KEYS:
            likely = closest_key(key) if isinstance(key, str) else None
            raise UsageError(f"get: {quoted(key)}: no such key" + (f"; did you mean {likely}?" if likely else ""))
        return {"key": key, **self._describe_setting(key)}

    def _describe_setting(self, name: str) -> dict[str, object]:
        key = KEYS[name]
        return {
            "value": write_value(name, value_of(self.settings, name)),
            "default": write_value(name, key.default),
            "allowed": key.value_type.allowed,
            "live": is_live(name),
            "about": key.doc,
        }

    # -- changing

    def _set(self, key: object, value: object) -> object:
        if not isinstance(key, str):
            raise UsageError(f"set: key: {quoted(key)}: want the name of a setting, such as play.temperature")
        wanted = self._settings_with(key, value)
        if not is_live(bindings_key_of(key) or key):
            raise ConfigError(f"{key}: cannot be changed while it plays; start sideman again to change it")
        source = self.settings.tempo.source
        if key == "tempo.bpm" and source == "midi-clock":
            raise ConfigError("tempo.bpm: the tempo comes from outside, as tempo.source: midi-clock says")
        found = dict(settings_difference(self.settings, wanted).values)
        self._apply_values(found)
        told = {bindings_key_of(key) or key, *found}
        return {"changed": {name: write_value(name, value_of(wanted, name)) for name in KEYS if name in told}}

    def _settings_with(self, key: str, value: object) -> Settings:
        """The settings with another `value` for `key`: text is read as on the command line, else taken as it is."""
        meant = parse_scalar(value.strip()) if isinstance(value, str) else value
        try:
            return with_layer(self.settings, {key: WrittenValue(meant, "set")})
        except ConfigError as error:
            if isinstance(meant, str) or meant == value:
                raise
            try:
                return with_layer(
                    self.settings, {key: WrittenValue(value, "set")}
                )  # text that looks like something else
            except ConfigError:
                raise error from None

    def _apply_values(self, values: Mapping[str, object]) -> dict[str, object]:
        """Let `values` of live keys hold; as they are written. Raises the error of a chart that is wrong."""
        wanted = with_values(self.settings, values.items())
        if CHART_KEYS & values.keys():
            self._change_chart(load_chart(wanted))
        if values:
            self._commands.put(ChangeSettings(tuple(values.items())))
        self.settings = wanted
        return {name: write_value(name, value) for name, value in values.items()}

    def _change_chart(self, chart: Chart) -> None:
        if chart != self._chart:
            self._chart = chart
            self._commands.put(SetChart(chart))

    def _preset(self, name: object) -> object:
        if not isinstance(name, str):
            raise UsageError(f"preset: name: {quoted(name)}: want the name of a preset, such as bebop")
        preset, named = self._read_preset(name), self._sources.preset
        former = self._last_preset if self._last_preset is not None else self._read_preset(named) if named else {}
        told = self._apply_difference(
            preset_difference(self.settings, preset, former, replace(self._sources, preset=None).read())
        )
        self._last_preset = preset
        return told

    def _read_preset(self, name: str) -> SettingsLayer:
        read = read_preset(name)
        if read.problems:
            raise ConfigError("\n".join(read.problems))
        return read.values

    def _reload(self) -> object:
        found = settings_difference(self.settings, self._sources.read())
        chart = load_chart(with_values(self.settings, found.values))  # its file may be another by now
        told = self._apply_difference(found)
        self._change_chart(chart)
        self._last_preset = None
        return told

    def _apply_difference(self, found: SettingsDifference) -> dict[str, object]:
        return {"changed": self._apply_values(dict(found.values)), "restart": list(found.restart_keys)}

    # -- playing

    def _mode(self, mode: object, now: object = False) -> object:
        wanted = resolve_settings([{"play.mode": WrittenValue(mode, "mode")}]).play.mode
        if not isinstance(now, bool):
            raise UsageError(f"mode: now: {quoted(now)}: want true or false")
        self._mode_before_mute, self._requested_mode = None, wanted
        self._commands.put(SetMode(wanted, now))
        return {"mode": wanted}

    def _learn(self, key: object = None, action: object = None) -> object:
        """Let the knob that is moved next turn `key`; or a knob or note do `action`."""
        try:
            target = read_learn_target(action if key is None else key)
        except ValueError as error:
            raise ConfigError(f"learn: {error}") from None
        self._commands.put(LearnBinding(target))
        return {"learn": target.text}

    def _mute(self, on: object = None) -> object:
        """Silent at once, listening on; or back to the mode before. Without a word, the other of the two."""
        if on is not None and not isinstance(on, bool):
            raise UsageError(f"mute: on: {quoted(on)}: want true or false")
        mute = self._mode_before_mute is None if on is None else on
        if mute and self._mode_before_mute is None:
            mode = self._requested_mode or self._status().mode
            self._mode_before_mute, self._off_confirmed = (
                "solo" if mode == "off" else mode,
                self._status().mode == "off",
            )
            self._commands.put(SetMode("off", now=True))
        elif not mute and self._mode_before_mute is not None:
            self._commands.put(SetMode(self._mode_before_mute, now=True))
            self._mode_before_mute = None
        return {"mute": mute}


def position_fields(status: Snapshot, beats_ahead: float) -> dict[str, object]:
    """Return the position in the chart `beats_ahead` after the snapshot: bar of the form, chorus, chord, next chord."""
    chart, place = status.chart_position(beats_ahead)
    reached = max(0.0, place + _ALMOST)
    chord, following = (
        format_chord(each, status.settings.midi.transpose) for each in status.chord_and_next(beats_ahead)
    )
    return {
        "top": round(status.beat + beats_ahead - place, 4),
        "form_bar": chart.bar_at(reached)[0] % len(chart.bars) + 1,
        "chorus": int(reached // chart.length) + 1,
        "chord": chord,
        "next_chord": following,
    }


def next_note_fields(status: Snapshot) -> dict[str, object] | None:
    """What is chosen to be played next, or None; a rest has no pitch."""
    if status.next_choice is None:
        return None
    choice = status.next_choice
    return {"beat": round(status.next_choice_beat, 4), "pitch": choice.pitch, "value": choice.value.text}
