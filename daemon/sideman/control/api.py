# SPDX-License-Identifier: Apache-2.0
"""What can be asked of the daemon while it plays, and the answers: one desk for the socket, for OSC and for MIDI.

All of it happens in the main thread. What is to be played otherwise is left in the inbox as a command; nothing is
waited for, and what the desk answers is what holds from the next value on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from sideman.config.scalars import scalar
from sideman.config.sources import Sources, load_chart, read_preset
from sideman.core.chart.chart import Chart
from sideman.core.errors import ConfigError, SidemanError, UsageError
from sideman.core.events import Again, Begin, Change, Command, Halt, Learn, Panic, SetChart, SetMode, Tap
from sideman.core.reports import Changed, ModeSet, Report
from sideman.core.settings.presets import Difference, called, difference, overlaid
from sideman.core.settings.read_bindings import learned, table_of
from sideman.core.settings.resolve import Given, Layer, likely_key, read_settings
from sideman.core.settings.schema import KEYS, Mode, Settings, changed, is_live, value_of
from sideman.core.settings.types import plain, shown
from sideman.core.settings.written import written
from sideman.core.snapshot import Status
from sideman.core.text import shown_chord
from sideman.exit_status import verdict

CHART = frozenset({"chart.changes", "chart.file", "chart.transpose"})
_LONG = frozenset({"chart.changes"})  # told by `get`, and as a chart; too long to be part of every status
_SHOWN = tuple(name for name in KEYS if is_live(name) and name not in _LONG)

_ALMOST = 1e-6  # beats

_log = logging.getLogger(__name__)


class Post(Protocol):
    """Where commands are left for the player, and the clock that it plays by."""

    def put(self, item: Command) -> None:
        """Leave a command that comes in now."""

    def now(self) -> float:
        """Seconds that only grow."""
        ...


@dataclass(frozen=True, slots=True)
class Verb:
    """A request: what answers it, the arguments it must have, and those it may have."""

    answer: Callable[..., object]
    takes: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


class Desk:
    """Answers requests about what is played over `chart`, with `settings` read from `sources`.

    `status` gives the player's latest snapshot, `about` what else is to be told of the daemon.
    """

    def __init__(
        self,
        post: Post,
        status: Callable[[], Status],
        chart: Chart,
        sources: Sources,
        about: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self.settings = status().settings
        """As they hold once all that was asked for has come to pass."""
        self._post = post
        self._status = status
        self._chart = chart
        self._sources = sources
        self._about = about
        self._began = post.now()
        self._called: Layer | None = None  # the preset that was called last
        self._muted: Mode | None = None  # the mode to go back to
        self._silent = False  # since it was muted, the player has said so
        self._awaited: Mode | None = None  # asked for, from the next bar line on
        self.verbs = {
            "status": Verb(self.status),
            "get": Verb(self._get, may=("key",)),
            "set": Verb(self._set, ("key", "value")),
            "mode": Verb(self._mode, ("mode",), ("now",)),
            "preset": Verb(self._preset, ("name",)),
            "reload": Verb(self._reload),
            "mute": Verb(self._mute, may=("on",)),
            "panic": Verb(lambda: self._post.put(Panic())),
            "tap": Verb(lambda: self._post.put(Tap())),
            "start": Verb(lambda: self._post.put(Begin())),
            "stop": Verb(lambda: self._post.put(Halt())),
            "again": Verb(lambda: self._post.put(Again())),
            "learn": Verb(self._learn, may=("key", "action")),
        }
        """What can be asked, by name. Whoever brings a part of the daemon may put its own here."""

    def answer(self, request: Mapping[str, object]) -> object:
        """The answer to `request`, the verb being under `do` and its arguments beside it: something JSON can carry.

        Raises a SidemanError that says what is wrong with it.
        """
        name = request.get("do")
        verb = self.verbs.get(name) if isinstance(name, str) else None
        if verb is None:
            raise UsageError(f"do: {shown(name)}: no such request; there are {', '.join(self.verbs)} and watch")
        given = {key: value for key, value in request.items() if key not in ("v", "id", "do")}
        for key in (*verb.takes, *given):
            if key not in given:
                raise UsageError(f"{name}: {key} is missing; say which")
            if key not in (*verb.takes, *verb.may):
                takes = f"takes {', '.join((*verb.takes, *verb.may))}" if verb.takes or verb.may else "takes nothing"
                raise UsageError(f"{name}: {plain(key)}: {name} {takes}")
        try:
            return verb.answer(**given)
        except SidemanError:
            raise
        except Exception as error:
            if not isinstance(error, OSError):  # a defect of ours
                _log.exception("%s failed", name)
            raise SidemanError(verdict(error)[1]) from error

    def names(self, verb: str) -> tuple[str, ...]:
        """The arguments of a verb, in the order in which they are given where they have no names."""
        return (*self.verbs[verb].takes, *self.verbs[verb].may) if verb in self.verbs else ()

    def asked(self, verb: str, argument: str) -> None:
        """Do what the player's hands ask for; the log says what became of it."""
        if verb == "learned":
            _log.info("learned: %s; it holds until the next start, unless the configuration says so too", argument)
            return
        try:
            self.answer({"do": verb, **dict.fromkeys(self.names(verb)[:1] if argument else (), argument)})
        except SidemanError as error:
            _log.warning("%s", error)

    def heed(self, report: Report) -> None:
        """Take note of what the player says has changed."""
        match report:
            case Changed(values):
                self.settings = changed(self.settings, values)
            case ModeSet(mode):
                self.settings = changed(self.settings, [("play.mode", mode)])
                self._awaited = None
                self._muted = None if self._silent and mode != "off" else self._muted  # else it was asked for before
                self._silent = self._silent or mode == "off"
            case _:
                pass

    # -- telling

    def status(self) -> dict[str, object]:
        """How it stands now."""
        now, status = self._post.now(), self._status()
        gone = status.beats_since(now)
        chart, _ = status.place(gone)
        return {
            **self._about(),
            "uptime_s": round(now - self._began, 1),
            "seed": status.seed,
            "mode": status.mode,
            "doing": status.doing,
            "rolling": status.rolling,
            "bpm": round(status.bpm, 3),
            "beat": round(status.beat + gone, 3),
            "bar": status.bar_after(gone),
            **place_of(status, gone),
            "coming": coming(status),
            "chart": {"title": chart.about.title, "bars": len(chart.bars), "meter": str(chart.meter)},
            "late": status.late,
            "heard": status.heard,
            "echoes": status.echoes,
            "played": status.played,
            "settings": {name: written(name, value_of(self.settings, name)) for name in _SHOWN},
        }

    def _get(self, key: object = None) -> object:
        if key is None:
            return {name: self._told(name) for name in KEYS}
        if not isinstance(key, str) or key not in KEYS:
            likely = likely_key(key) if isinstance(key, str) else None
            raise UsageError(f"get: {shown(key)}: no such key" + (f"; did you mean {likely}?" if likely else ""))
        return {"key": key, **self._told(key)}

    def _told(self, name: str) -> dict[str, object]:
        key = KEYS[name]
        return {
            "value": written(name, value_of(self.settings, name)),
            "default": written(name, key.default),
            "allowed": key.rule.allowed,
            "live": is_live(name),
            "about": key.doc,
        }

    # -- changing

    def _set(self, key: object, value: object) -> object:
        if not isinstance(key, str):
            raise UsageError(f"set: key: {shown(key)}: want the name of a setting, such as play.temperature")
        wanted = self._with(key, value)
        if not is_live(table_of(key) or key):
            raise ConfigError(f"{key}: cannot be changed while it plays; start sideman again to change it")
        source = self.settings.tempo.source
        if key == "tempo.bpm" and source == "midi-clock":
            raise ConfigError("tempo.bpm: the tempo comes from outside, as tempo.source: midi-clock says")
        found = dict(difference(self.settings, wanted).values)
        self._hold(found)
        told = {table_of(key) or key, *found}
        return {"changed": {name: written(name, value_of(wanted, name)) for name in KEYS if name in told}}

    def _with(self, key: str, value: object) -> Settings:
        """The settings with another `value` for `key`: text is read as on the command line, else taken as it is."""
        meant = scalar(value.strip()) if isinstance(value, str) else value
        try:
            return overlaid(self.settings, {key: Given(meant, "set")})
        except ConfigError as error:
            if isinstance(meant, str) or meant == value:
                raise
            try:
                return overlaid(self.settings, {key: Given(value, "set")})  # text that looks like something else
            except ConfigError:
                raise error from None

    def _hold(self, values: Mapping[str, object]) -> dict[str, object]:
        """Let `values` of live keys hold; as they are written. Raises the error of a chart that is wrong."""
        wanted = changed(self.settings, values.items())
        if CHART & values.keys():
            self._play_over(load_chart(wanted))
        if values:
            self._post.put(Change(tuple(values.items())))
        self.settings = wanted
        return {name: written(name, value) for name, value in values.items()}

    def _play_over(self, chart: Chart) -> None:
        if chart != self._chart:
            self._chart = chart
            self._post.put(SetChart(chart))

    def _preset(self, name: object) -> object:
        if not isinstance(name, str):
            raise UsageError(f"preset: name: {shown(name)}: want the name of a preset, such as bebop")
        preset, named = self._preset_of(name), self._sources.preset
        former = self._called if self._called is not None else self._preset_of(named) if named else {}
        told = self._adopt(called(self.settings, preset, former, replace(self._sources, preset=None).read()))
        self._called = preset
        return told

    def _preset_of(self, name: str) -> Layer:
        read = read_preset(name)
        if read.problems:
            raise ConfigError("\n".join(read.problems))
        return read.values

    def _reload(self) -> object:
        found = difference(self.settings, self._sources.read())
        chart = load_chart(changed(self.settings, found.values))  # its file may be another by now
        told = self._adopt(found)
        self._play_over(chart)
        self._called = None
        return told

    def _adopt(self, found: Difference) -> dict[str, object]:
        return {"changed": self._hold(dict(found.values)), "restart": list(found.fixed)}

    # -- playing

    def _mode(self, mode: object, now: object = False) -> object:
        wanted = read_settings([{"play.mode": Given(mode, "mode")}]).play.mode
        if not isinstance(now, bool):
            raise UsageError(f"mode: now: {shown(now)}: want true or false")
        self._muted, self._awaited = None, wanted
        self._post.put(SetMode(wanted, now))
        return {"mode": wanted}

    def _learn(self, key: object = None, action: object = None) -> object:
        """Let the knob that is moved next turn `key`; or a knob or note do `action`."""
        try:
            target = learned(action if key is None else key)
        except ValueError as error:
            raise ConfigError(f"learn: {error}") from None
        self._post.put(Learn(target))
        return {"learn": target.text}

    def _mute(self, on: object = None) -> object:
        """Silent at once, listening on; or back to the mode before. Without a word, the other of the two."""
        if on is not None and not isinstance(on, bool):
            raise UsageError(f"mute: on: {shown(on)}: want true or false")
        mute = self._muted is None if on is None else on
        if mute and self._muted is None:
            mode = self._awaited or self._status().mode
            self._muted, self._silent = "solo" if mode == "off" else mode, self._status().mode == "off"
            self._post.put(SetMode("off", now=True))
        elif not mute and self._muted is not None:
            self._post.put(SetMode(self._muted, now=True))
            self._muted = None
        return {"mute": mute}


def place_of(status: Status, gone: float) -> dict[str, object]:
    """Where in its chart it is, `gone` beats after `status`: bar of the form, chorus, this chord and the next."""
    chart, place = status.place(gone)
    reached = max(0.0, place + _ALMOST)
    chord, following = (shown_chord(each, status.settings.midi.transpose) for each in status.chords(gone))
    return {
        "top": round(status.beat + gone - place, 4),
        "form_bar": chart.bar_at(reached)[0] % len(chart.bars) + 1,
        "chorus": int(reached // chart.length) + 1,
        "chord": chord,
        "next_chord": following,
    }


def coming(status: Status) -> dict[str, object] | None:
    """What is chosen to be played next, or None; a rest has no pitch."""
    if status.coming is None:
        return None
    choice = status.coming
    return {"beat": round(status.coming_beat, 4), "pitch": choice.pitch, "value": choice.value.text}
