# SPDX-License-Identifier: Apache-2.0
"""The daemon: starts everything in order, plays, and stops everything in the reverse order.

Four threads: the main thread runs `MainLoop`; the player's thread plays; the driver's thread leaves what it receives in
the inbox; and one takes the signals, which so wait for nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sideman import __version__
from sideman.config.sources import SettingsSources, load_chart
from sideman.control.api import ControlApi
from sideman.control.feed import EventFeed
from sideman.control.hub import ControlHub, Endpoints, open_endpoints
from sideman.control.protocol import DaemonInfo, PortInfo
from sideman.control.settings_api import SettingsApi
from sideman.core.actions import Panic
from sideman.core.chart.chart import Chart, ChartError
from sideman.core.engine import Engine
from sideman.core.engine_memory import EngineMemory
from sideman.core.errors import SidemanError
from sideman.core.events import PortChanged, ReleaseChannel, SendSetup, SetPortPeriod, encode
from sideman.core.ledger import release_channel
from sideman.core.practice import check_loop
from sideman.core.settings.presets import settings_difference
from sideman.core.settings.schema import CHART_KEYS, Settings, settings_line, value_of, with_values
from sideman.core.settings.voices import voice_channels
from sideman.core.timing.clock_source import CLOCK_SOURCES, ClockConfig
from sideman.core.words import closing_words
from sideman.exit_status import INTERRUPTED
from sideman.files import state_folder
from sideman.midi.ableton_link import LinkSession
from sideman.midi.crash_marker import CrashMarker
from sideman.midi.drivers import no_system_message
from sideman.midi.output_port import OutputPort
from sideman.midi.ports import MidiPorts
from sideman.midi.request import request_of
from sideman.playing.assembly import (
    OtherBundle,
    Performance,
    engine_from,
    load_performance,
    make_clock_source,
    resumed_engine,
)
from sideman.playing.inbox import Inbox
from sideman.playing.player import Player, Remembered
from sideman.playing.state import StateKeeper, find_state, set_aside, state_path, with_changes
from sideman.service.main_loop import MainLoop, yield_to_player
from sideman.service.systemd import check_network
from sideman.service.wakeup import STOP_SIGNALS, Wakeup
from sideman.takes.folder import take_folder
from sideman.takes.recorder import TakeRecorder
from sideman.takes.replay import make_header, prepare_recorder
from sideman_models.text import count_noun

if TYPE_CHECKING:
    from sideman.learning.learner import Learner  # loaded only with model.learn
    from sideman.midi.jack_transport import JackTransport  # loaded only to follow JACK's transport
    from sideman.sound.live import LiveSynth  # loaded only with --sound

START_LEAD_S = 0.1
"""From the moment the engine is made to the first beat."""
RELEASE_AGAIN_S = 0.1
"""From the first to the second release of what a killed daemon has left."""
MAX_REPORTS = 10_000
"""While more reports of the player than these wait for the main thread, the player takes in only what it has to."""
CLOSE_TIMEOUT_S = 5.0
THREAD_SWITCH_S = 1e-5
"""For how long at most a busy thread keeps the player from the interpreter."""

_log = logging.getLogger(__name__)


class Service:
    """One run of the daemon: `chart` played with `settings`, which were read from `sources`.

    The music goes to the MIDI output, and to `sound` as well if there is one. With `has_page` a page sounds without
    MIDI, and its first line says that there is none.
    """

    def __init__(
        self,
        settings: Settings,
        chart: Chart,
        sources: SettingsSources,
        sound: LiveSynth | None,
        *,
        has_page: bool = False,
    ) -> None:
        self._settings = settings
        self._chart = chart
        self._sources = sources
        self._sound = sound
        self._has_page = has_page
        self._inbox = Inbox()
        self._wakeup = Wakeup()
        self._inbox.is_behind = lambda: len(self._wakeup.reports) > MAX_REPORTS
        tempo, bar, wake = settings.tempo, float(chart.meter.quarters), self._wakeup.wake
        needs_link = CLOCK_SOURCES[tempo.source].needs_link
        self._link_session = link = LinkSession(tempo.bpm, bar, self._inbox.put) if needs_link else None
        self._jack_transport = jack = self._make_jack_transport()
        self._clock_source = make_clock_source(
            settings,
            chart,
            wake,
            link.request_tempo if link is not None else lambda _bpm: None,
            jack.request_rolling if jack is not None and tempo.jack_control else lambda _rolling: None,
        )
        self._port_period_s: float | None = None  # as it was passed to the clock source
        self._stop_signals = 0
        self._failure: BaseException | None = None
        self._has_begun = self._has_released = False
        self._closing_limit: threading.Timer | None = None
        self._last_preset: str | None = None  # that was applied before the restart
        self._last_song = 0  # of the set, before a chart in between
        self._state_file = state_path(settings.midi.client)
        self._crash_marker = CrashMarker(state_folder() / f"playing-{settings.midi.client}.json")

    def run(self) -> int:
        """Play until a signal or the end of the music. Returns the exit status. Call it once."""
        try:
            self._perform()
        finally:
            if self._closing_limit is not None:
                self._closing_limit.cancel()
                faulthandler.cancel_dump_traceback_later()
        if self._failure is not None:
            raise self._failure
        return 0

    def _perform(self) -> None:
        check_network(self._settings)
        wakeup = self._wakeup
        with (
            contextlib.closing(wakeup),
            wakeup.catch_signals(self._handle_signal),
            open_endpoints(self._settings) as endpoints,
        ):
            performance = load_performance(self._settings, self._chart)
            learner = self._make_learner(performance) if self._settings.model.learn else None
            with self._open_ports() as ports, contextlib.ExitStack() as at_end:
                for clock in (self._link_session, self._jack_transport):
                    if clock is not None:
                        clock.open()
                        at_end.callback(clock.close)
                at_end.callback(self._limit_closing)
                resumes = self._settings.play.resume and self._settings.play.seed is None
                left_over = [(port, self._mark_playing(port)) for port in ports.outputs]
                released_s = _release(left_over)
                if learner is not None:
                    performance = learner.performance
                    at_end.callback(learner.close)
                performance, memory = self._resume(performance) if resumes else (performance, None)
                start_recorder = prepare_recorder(performance)
                if released_s is not None:  # once more, because JACK may lose the first rounds of a new connection
                    time.sleep(max(0.0, released_s + RELEASE_AGAIN_S - time.monotonic()))
                    _release(left_over)
                prepare_interpreter()
                engine = self._make_engine(performance, memory)  # from here to the first beat, nothing slow
                recorder = start_recorder(make_header(performance, engine))
                self._log_start(performance, engine, ports)
                output = ports.player_output if self._sound is None else self._sound.with_ports(ports)
                player = Player(engine, output, self._inbox, self._wakeup.put, self._wakeup.wake)
                keeper = StateKeeper(self._state_file, performance)
                if learner is not None:
                    files, put = recorder.learned, self._inbox.put
                    learner.attach(engine.improviser, lambda: yield_to_player(player.sends_at), put, files)
                with contextlib.closing(
                    self._make_hub(performance, ports, player, recorder, endpoints, learner)
                ) as hub:
                    self._play(player, ports, hub, keeper, learner)
                recorder.close()
                if player.remembered is not None:
                    _keep(keeper, player.remembered, hub.api, sync=True)

    # -- starting

    def _make_jack_transport(self) -> JackTransport | None:
        if not CLOCK_SOURCES[self._settings.tempo.source].needs_jack:
            return None
        from sideman.midi.jack_transport import JackTransport, find_libjack

        return JackTransport(find_libjack(), f"{self._settings.midi.client}-transport", self._inbox.put)

    def _make_learner(self, performance: Performance) -> Learner:
        from sideman.learning.learner import Learner

        return Learner(performance, self._settings.midi.client)

    @contextlib.contextmanager
    def _open_ports(self) -> Iterator[MidiPorts]:
        ports = MidiPorts(request_of(self._settings), self._inbox.put)
        try:
            self._log_missing(ports.open())
            self._update_port_period(ports)
            yield ports
        finally:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            self._limit_closing()
            if not ports.close():
                _log.warning("the MIDI system stands still: what sounds there is released at the next start")
            elif self._has_released:
                self._crash_marker.clear()

    def _log_missing(self, reasons: Sequence[str]) -> None:
        no_system = no_system_message()
        if any(reason.endswith(no_system) for reason in reasons):  # one line, however many ports were asked for
            _log.log(logging.INFO if self._has_page else logging.WARNING, "%s", no_system)
        for reason in reasons:
            if not reason.endswith(no_system):
                _log.warning("%s", reason)

    def _limit_closing(self) -> None:
        """Let the process end soon, whatever happens to the ports: a JACK server that stands still never answers."""
        if self._closing_limit is not None:
            return
        failure = self._failure or sys.exception()
        status = 0 if failure is None else getattr(failure, "exit_status", SidemanError.exit_status)
        self._closing_limit = threading.Timer(CLOSE_TIMEOUT_S, os._exit, [status])
        self._closing_limit.daemon = True
        self._closing_limit.start()
        if sys.__stderr__ is not None:  # for a library that keeps Python's lock
            faulthandler.dump_traceback_later(2 * CLOSE_TIMEOUT_S, exit=True, file=sys.__stderr__)

    def _update_port_period(self, ports: MidiPorts) -> None:
        """Pass on the period of the clock's port if it has changed: a JACK server can change it while it runs."""
        period_s = ports.input_period_s
        if self._clock_source is not None and period_s != self._port_period_s:
            self._port_period_s = period_s
            self._inbox.put(SetPortPeriod(period_s))

    def _mark_playing(self, output: OutputPort) -> list[int]:
        """Leave a mark in case we are killed. Returns the channels on which the last run may have left notes here."""
        port = output.requested
        if not output.is_sending:
            return []
        played = [channel for channel in voice_channels(self._settings.midi) if channel in port.wanted.channels]
        channels = self._crash_marker.mark_playing(port.title, played)
        if channels:
            numbers = ", ".join(map(str, channels))
            _log.info("notes of the last run may sound: releasing channels %s of %s", numbers, port.title)
        return channels

    @property
    def _clocks(self) -> ClockConfig:
        return ClockConfig(self._clock_source, self._settings.tempo.clock_out)

    def _resume(self, performance: Performance) -> tuple[Performance, EngineMemory | None]:
        """Return the performance with the settings that were changed while it played, and where it goes on.

        Without a saved state that fits, it starts from the top.
        """
        found = find_state(self._state_file)
        if found is None:
            return performance, None
        path, state = found
        try:
            resumed = self._with_changes(performance, state.get("settings", {}), path)
            engine = resumed_engine(resumed, state, 0.0, self._clocks)
        except (ValueError, KeyError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
            if path != self._state_file and isinstance(error, OtherBundle):
                _log.warning("%s: %s; it stays for who plays that one; starting from the top", path, error)
            else:
                set_aside(path, str(error) if isinstance(error, OtherBundle) else f"does not fit ({error})")
            return performance, None
        preset = state.get("preset")
        self._last_preset = preset if isinstance(preset, str) else None
        song, songs = state.get("song"), resumed.settings.chart.set
        self._last_song = song if isinstance(song, int) and 0 <= song <= len(songs) else 0
        place = "the clock says where" if self._clock_source else f"bar {engine.snapshot(0.0).bar}"
        _log.info("%s: going on: %s", path, place)
        return resumed, engine.memory()

    def _with_changes(self, performance: Performance, changes: Mapping[str, Any], path: Path) -> Performance:
        settings, left = with_changes(self._settings, changes)
        if left:
            names = ", ".join(left)
            reason = "the configuration is another one by now, or does not allow it"
            _log.info("%s: changed while it played, but left out: %s: %s", path, reason, names)
        chart = self._chart
        if CHART_KEYS & changes.keys() and not CHART_KEYS & set(left):
            try:
                chart = load_chart(settings)
                for warning in chart.info.warnings:
                    _log.warning("%s", warning)
            except SidemanError as error:
                _log.warning("%s; playing over the chart of the configuration", error)
                configured = [(name, value_of(self._settings, name)) for name in CHART_KEYS]
                settings = with_values(settings, configured)
        try:
            check_loop(settings, chart)
        except ChartError as error:  # the chart file has been edited
            _log.warning("%s; playing without the loop", error)
            settings = with_values(settings, [("practice.loop", None)])
        if differing := settings_difference(self._settings, settings).values:
            _log.info("as it was changed while it played: %s", settings_line(differing))
            logging.getLogger().setLevel(settings.log.level.upper())
        return replace(performance, settings=settings, chart=chart)

    def _make_engine(self, performance: Performance, memory: EngineMemory | None) -> Engine:
        second = self._inbox.now() + START_LEAD_S + max(0.0, -performance.settings.play.offset_ms / 1000)
        if memory is None:
            return performance.make_engine(second, clocks=self._clocks)
        return engine_from(memory, performance, second, self._clocks)

    def _log_start(self, performance: Performance, engine: Engine, ports: MidiPorts) -> None:
        bundle, settings = performance.bundle, performance.settings
        network = f"{len(bundle.vocabulary)} values, {performance.network.n_a} units, {settings.model.engine}"
        _log.info("bundle %s (%s); seed %d", bundle.name, network, engine.improviser.random_source.seed)
        pulse = f"{settings.tempo.bpm:g} bpm" if self._clock_source is None else self._clock_source.status_text
        _log.info("ready: %s, %s", pulse, ports.status_text)
        if waiting := engine.transport.waiting_text:
            _log.info("%s", waiting)

    def _make_hub(
        self,
        performance: Performance,
        ports: MidiPorts,
        player: Player,
        recorder: TakeRecorder,
        endpoints: Endpoints,
        learner: Learner | None,
    ) -> ControlHub:
        inbox, reports, name = self._inbox, self._wakeup.reports, self._settings.midi.client

        def describe() -> DaemonInfo:
            clock = "internal" if self._clock_source is None else self._clock_source.status_text
            return DaemonInfo(__version__, name, performance.bundle.name, ports.status_text, clock)

        settings_api = SettingsApi(
            inbox.put,
            player.snapshot.settings,
            self._settings,
            performance.chart,
            self._sources,
            last_song=self._last_song,
        )
        api = ControlApi(
            inbox.put,
            inbox.now,
            lambda: player.snapshot,
            settings_api,
            describe,
            recorder.keep,
            hear=inbox.put,
            list_ports=lambda: [PortInfo(*each) for each in ports.connections()],
            learning=lambda: "" if learner is None else learner.status_text,
            takes_folder=str(take_folder(self._settings.takes.folder).path),
            card=performance.bundle.card,
        )
        if self._last_preset is not None:
            api.recall_preset(self._last_preset)
        feed = EventFeed(api, lambda: player.snapshot)

        def show_plan(plan: bool, choices: bool) -> None:
            player.reports_plan, player.reports_choices = plan, choices

        hub = ControlHub(
            api, feed, reports, endpoints, recorder.record, lambda: yield_to_player(player.sends_at), show_plan
        )
        api.queue_next_song()
        return hub

    # -- playing

    def _play(
        self, player: Player, ports: MidiPorts, hub: ControlHub, keeper: StateKeeper, learner: Learner | None
    ) -> None:
        """Play in a thread of its own, and serve everybody else in this one, until the player has ended."""

        def run_player() -> None:
            try:
                player.run()
            except BaseException as failure:  # noqa: BLE001 - raised again in the main thread
                self._failure = failure
            finally:
                self._wakeup.wake()

        has_rounds = CLOCK_SOURCES[self._settings.tempo.source].needs_midi_input
        loop = MainLoop(
            self._wakeup,
            player,
            ports,
            hub,
            self._clock_source,
            self._sound,
            lambda: self._inbox.overload,
            self._port_changed,
            lambda remembered: _keep(keeper, remembered, hub.api),
            self._update_port_period if has_rounds else None,
            learner,
        )
        self._has_begun = True
        thread = threading.Thread(target=run_player, name="player", daemon=True)
        thread.start()
        try:
            loop.run(thread.is_alive)
        finally:
            # Whatever happens in this thread, the player releases its notes while the port is still open.
            self._inbox.put(None)
            thread.join(CLOSE_TIMEOUT_S)
            self._has_released = not thread.is_alive()
        if player.engine.late_notes:
            late = count_noun(player.engine.late_notes, "note")
            _log.info("%s came too late and %s left out", late, "was" if player.engine.late_notes == 1 else "were")
        _log.info("%s", closing_words(player.snapshot))

    def _handle_signal(self, number: int) -> None:
        """Do what a signal asks for, in the thread that takes the signals."""
        if number == signal.SIGUSR1:
            self._inbox.put(Panic())
        elif number in STOP_SIGNALS:
            self._stop_signals += 1
            if self._stop_signals > 1 and number == signal.SIGINT:
                os._exit(INTERRUPTED.number)
            if not self._has_begun:
                self._limit_closing()
            self._inbox.put(None)

    def _port_changed(self, change: PortChanged, ports: MidiPorts) -> None:
        self._wakeup.put(change)
        if not change.listener:
            self._update_port_period(ports)
        for output in ports.outputs:
            wanted = output.requested.wanted
            if wanted.id == change.port and change.is_open:
                # The synth at the other end may have missed a note-off, and a sequencer where the music is.
                self._inbox.put(SendSetup(wanted.id, wanted.carries_clock, was_lost=not change.listener))
                for channel in [] if change.listener else self._mark_playing(output):
                    release = ReleaseChannel(channel, wanted.id)
                    self._inbox.put(release)
                    again = threading.Timer(RELEASE_AGAIN_S, self._inbox.put, [release])
                    again.daemon = True
                    again.start()


def _keep(keeper: StateKeeper, remembered: Remembered, api: ControlApi, *, sync: bool = False) -> None:
    keeper.keep(remembered, api.settings_api.configured, api.last_preset, api.last_song, sync=sync)


def _release(left_over: Sequence[tuple[OutputPort, Sequence[int]]]) -> float | None:
    """Release what a killed daemon has left on these channels of the ports; returns when, or None for nothing.

    Before there is a player, so that it comes before the first note, however slow the start is.
    """
    messages = [(port, event) for port, channels in left_over for each in channels for event in release_channel(each)]
    for port, event in messages:
        port.send(encode(event))
    return time.monotonic() if messages else None


def prepare_interpreter() -> None:
    """Prepare the process for playing: existing objects are never collected, and threads take turns quickly.

    They are not collected before either: that would take 10 ms of the start and free next to nothing. What loading has
    used and freed, 2 MB, goes back to the system.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    sys.setswitchinterval(THREAD_SWITCH_S)
    gc.freeze()
    gc.disable()
