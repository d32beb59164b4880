# SPDX-License-Identifier: Apache-2.0
"""The daemon: starts everything in order, plays, and stops everything in the reverse order.

Three threads: the main thread runs `MainLoop`; the player's thread plays; rtmidi's thread leaves what it receives in
the inbox.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sideman import __version__
from sideman.config.sources import SettingsSources
from sideman.control.api import ControlApi, SettingsApi
from sideman.control.feed import EventFeed
from sideman.control.hub import ControlHub, Endpoints, open_endpoints
from sideman.control.protocol import DaemonInfo
from sideman.core.actions import Panic
from sideman.core.chart.chart import Chart
from sideman.core.engine import Engine
from sideman.core.errors import SidemanError
from sideman.core.events import PortChanged, ReleaseChannel, SendSetup, SetPortPeriod
from sideman.core.settings.schema import Settings
from sideman.core.settings.voices import voice_channels
from sideman.core.timing.clock_source import CLOCK_SOURCES, ClockConfig
from sideman.core.transport import WAITING_TEXTS
from sideman.exit_status import INTERRUPTED
from sideman.midi.ableton_link import LinkSession
from sideman.midi.crash_marker import CrashMarker
from sideman.midi.ports import OUTPUT, MidiPorts, PortRequest
from sideman.playing.assembly import Performance, load_performance, make_clock_source, resumed_engine, state_of
from sideman.playing.inbox import Inbox
from sideman.playing.player import Player
from sideman.playing.state import load_state, save_state, state_folder
from sideman.service.main_loop import MainLoop, yield_to_player
from sideman.service.wakeup import STOP_SIGNALS, Wakeup
from sideman.takes.recorder import TakeRecorder
from sideman.takes.replay import make_header, prepare_recorder

if TYPE_CHECKING:
    from sideman.sound.live import LiveSynth  # loaded only with --sound

START_LEAD_S = 0.1
"""From the moment the engine is made to the first beat."""
CLOSE_TIMEOUT_S = 5.0
THREAD_SWITCH_S = 1e-5
"""For how long at most a busy thread keeps the player from the interpreter."""

_log = logging.getLogger(__name__)


class Service:
    """One run of the daemon: `chart` played with `settings`, which were read from `sources`.

    The music goes to the MIDI output, and to `sound` as well if there is one.
    """

    def __init__(self, settings: Settings, chart: Chart, sources: SettingsSources, sound: LiveSynth | None) -> None:
        self._settings = settings
        self._chart = chart
        self._sources = sources
        self._sound = sound
        self._inbox = Inbox()
        self._wakeup = Wakeup()
        tempo, bar, wake = settings.tempo, float(chart.meter.quarters), self._wakeup.wake
        needs_link = CLOCK_SOURCES[tempo.source].needs_link
        self._link_session = link = LinkSession(tempo.bpm, bar, self._inbox.put) if needs_link else None
        request_tempo = [link.request_tempo] if link is not None else []
        self._clock_source = make_clock_source(settings, chart, wake, *request_tempo)
        self._stop_signals = 0
        self._failure: BaseException | None = None
        self._state_file = state_folder() / "state.json"
        self._crash_marker = CrashMarker(state_folder() / f"playing-{settings.midi.client}.json")

    def run(self) -> int:
        """Play until a signal or the end of the music. Returns the exit status. Call it once."""
        wakeup = self._wakeup
        with contextlib.closing(wakeup), wakeup.catch_signals(), open_endpoints(self._settings) as endpoints:
            performance = load_performance(self._settings, self._chart)
            with self._open_ports() as ports, contextlib.ExitStack() as at_end:
                if self._link_session is not None:
                    self._link_session.open()
                    at_end.callback(self._link_session.close)
                resumes = self._settings.play.resume and self._settings.play.seed is None
                saved = load_state(self._state_file) if resumes else None
                self._mark_playing(ports)
                start_recorder = prepare_recorder(performance)
                prepare_interpreter()
                engine = self._make_engine(performance, saved)  # from here to the first beat, nothing slow
                recorder = start_recorder(make_header(performance, engine))
                self._log_start(performance, engine, ports)
                output = ports if self._sound is None else self._sound.with_ports(ports)
                player = Player(engine, output, self._inbox, self._wakeup.put)
                with contextlib.closing(self._make_hub(performance, ports, player, recorder, endpoints)) as hub:
                    self._play(player, ports, hub)
                recorder.close()
                if engine.settings.play.resume:
                    save_state(state_of(engine, performance, time.monotonic()), self._state_file)
        if self._failure is not None:
            raise self._failure
        return 0

    # -- starting

    @contextlib.contextmanager
    def _open_ports(self) -> Iterator[MidiPorts]:
        midi, follows_clock = self._settings.midi, CLOCK_SOURCES[self._settings.tempo.source].needs_midi_input
        request = PortRequest(midi.output, midi.input, midi.client, midi.wait, follows_clock)
        ports = MidiPorts(request, self._inbox.put)
        for reason in ports.open():
            _log.warning("%s", reason)
        self._update_port_period(ports)
        try:
            yield ports
        finally:
            # All notes are released by now: do not let a JACK server that hangs delay us, nor Ctrl-C.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            status = 0 if self._failure is None else SidemanError.exit_status
            timeout = threading.Timer(CLOSE_TIMEOUT_S, os._exit, [status])
            timeout.daemon = True
            timeout.start()
            ports.close()
            timeout.cancel()

    def _update_port_period(self, ports: MidiPorts) -> None:
        if self._clock_source is not None:
            self._inbox.put(SetPortPeriod(ports.input_period_s))

    def _mark_playing(self, ports: MidiPorts) -> None:
        """Leave a mark in case we are killed. Release the notes that a killed daemon has left on this port."""
        if not ports.has_output:
            return
        channels = self._crash_marker.mark_playing(ports.output_name, voice_channels(self._settings.midi))
        if channels:
            numbers = ", ".join(map(str, channels))
            _log.info("the last run was killed: releasing all notes on channels %s of %s", numbers, ports.output_name)
        for channel in channels:
            self._inbox.put(ReleaseChannel(channel))

    def _make_engine(self, performance: Performance, saved: dict[str, Any] | None) -> Engine:
        second = self._inbox.now() + START_LEAD_S + max(0.0, -self._settings.play.offset_ms / 1000)
        clocks = ClockConfig(self._clock_source, self._settings.tempo.clock_out)
        if saved is not None:
            try:
                return resumed_engine(performance, saved, second, clocks)
            except (ValueError, KeyError, TypeError, ArithmeticError) as error:
                _log.warning("%s: does not fit (%s); starting from the top", self._state_file, error)
        return performance.make_engine(second, clocks=clocks)

    def _log_start(self, performance: Performance, engine: Engine, ports: MidiPorts) -> None:
        bundle, settings = performance.bundle, self._settings
        network = f"{len(bundle.vocabulary)} values, {performance.network.n_a} units, {settings.model.engine}"
        _log.info("bundle %s (%s); seed %d", bundle.name, network, engine.improviser.random_source.seed)
        pulse = f"{settings.tempo.bpm:g} bpm" if self._clock_source is None else self._clock_source.status_text
        _log.info("ready: %s, one value a %s, %s", pulse, settings.play.rate, ports.status_text)
        if waiting := WAITING_TEXTS.get(engine.transport.state):
            _log.info("%s", waiting)

    def _make_hub(
        self, performance: Performance, ports: MidiPorts, player: Player, recorder: TakeRecorder, endpoints: Endpoints
    ) -> ControlHub:
        inbox, reports, name = self._inbox, self._wakeup.reports, self._settings.midi.client

        def describe() -> DaemonInfo:
            clock = "internal" if self._clock_source is None else self._clock_source.status_text
            return DaemonInfo(__version__, name, performance.bundle.name, ports.status_text, clock)

        settings_api = SettingsApi(inbox.put, player.snapshot.settings, performance.chart, self._sources)
        api = ControlApi(inbox.put, inbox.now, lambda: player.snapshot, settings_api, describe, recorder.keep)
        feed = EventFeed(api, lambda: player.snapshot)
        return ControlHub(api, feed, reports, endpoints, recorder.record, lambda: yield_to_player(player.sends_at))

    # -- playing

    def _play(self, player: Player, ports: MidiPorts, hub: ControlHub) -> None:
        """Play in a thread of its own, and serve everybody else in this one, until the player has ended."""

        def run_player() -> None:
            try:
                player.run()
            except BaseException as failure:  # noqa: BLE001 - raised again in the main thread
                self._failure = failure
            finally:
                self._wakeup.wake()

        loop = MainLoop(
            self._wakeup, player, ports, hub, self._clock_source, self._sound, self._handle_signal, self._port_changed
        )
        thread = threading.Thread(target=run_player, name="player", daemon=True)
        thread.start()
        try:
            loop.run(thread.is_alive)
        finally:
            # Whatever happens in this thread, the player releases its notes while the port is still open.
            self._inbox.put(None)
            thread.join(CLOSE_TIMEOUT_S)
            if not thread.is_alive():
                self._crash_marker.clear()
        if player.engine.late_notes:
            _log.info("%d notes came too late and were left out", player.engine.late_notes)

    def _handle_signal(self, number: int) -> None:
        if number == signal.SIGUSR1:
            self._inbox.put(Panic())
        elif number in STOP_SIGNALS:
            self._stop_signals += 1
            if self._stop_signals > 1 and number == signal.SIGINT:
                os._exit(INTERRUPTED.number)
            self._inbox.put(None)

    def _port_changed(self, change: PortChanged, ports: MidiPorts) -> None:
        self._wakeup.put(change)
        if change.listener:
            self._inbox.put(SendSetup())
            return
        self._update_port_period(ports)
        if change.is_open and change.key == OUTPUT:
            self._inbox.put(Panic())  # the synth at the other end may have missed a note-off
            self._inbox.put(SendSetup())  # and a sequencer where the music is
            self._mark_playing(ports)


def prepare_interpreter() -> None:
    """Prepare the process for playing: existing objects are never collected, and threads take turns quickly.

    They are not collected before either: that would take 10 ms of the start and free next to nothing.
    """
    sys.setswitchinterval(THREAD_SWITCH_S)
    gc.freeze()
    gc.disable()
