# SPDX-License-Identifier: Apache-2.0
"""The daemon: start in order, run, stop in reverse.

The main thread is one selector loop for signals, ports, the log, systemd and whoever asks or watches; it computes
nothing. The player has a thread of its own, and rtmidi another, which only leaves what it hears in the inbox. Signal
handlers do nothing at all: Python writes the signal's number into a socket, and the loop reads it there.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sideman import __version__
from sideman.config.sources import SettingsSources
from sideman.control.api import ControlApi
from sideman.control.feed import EventFeed
from sideman.control.hub import ControlHub, Endpoints, open_endpoints
from sideman.control.protocol import DaemonInfo
from sideman.core.chart.chart import Chart
from sideman.core.engine import Engine
from sideman.core.errors import SidemanError
from sideman.core.events import Panic, ReleaseChannel, SetPortPeriod
from sideman.core.reports import (
    ActionRequested,
    BarPlayed,
    ModeChanged,
    NoteHeard,
    NotePlayed,
    Report,
    SettingsChanged,
    StateChanged,
)
from sideman.core.settings.schema import Settings
from sideman.core.timing.clock_source import ClockConfig, ClockSource, make_clock_source
from sideman.midi.ableton_link import LinkSession
from sideman.midi.crash_marker import CrashMarker
from sideman.midi.ports import OUTPUT, MidiPorts, PortRequest
from sideman.playing import state as memory
from sideman.playing.assembly import Performance, load_performance, resumed_engine, state_of
from sideman.playing.inbox import Inbox
from sideman.playing.player import Player
from sideman.service.systemd import SystemdNotifier
from sideman.takes.replay import make_header, make_recorder

if TYPE_CHECKING:
    from sideman.sound.live import LiveSynth  # loaded only where it is asked for

START_LEAD_S = 0.1
"""From the word that all is set to the first beat."""
POLL_INTERVAL_S = 1.0
CLOSE_TIMEOUT_S = 5.0
CLOCK_REPORT_INTERVAL_S = 0.2
QUIET_BEFORE_NOTE_S, SEND_TIME_S = 0.003, 0.0005  # before and after a note, in which nobody else gets busy
THREAD_SWITCH_S = 1e-5  # so that a busy thread keeps the player from the interpreter for that long at most
_FORCED_STATUS = 130
_WAKING_REPORTS = (BarPlayed, ActionRequested)  # reports that the main thread is woken for
_WATCHED_REPORTS = (
    NotePlayed,
    NoteHeard,
    SettingsChanged,
    ModeChanged,
    StateChanged,
)  # and those it is woken for while somebody watches
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = logging.getLogger(__name__)


class Service:
    """One run of the daemon with `settings`, read from `sources`, over `chart`; what is sent goes to `sound`, too."""

    def __init__(
        self,
        settings: Settings,
        chart: Chart,
        sources: SettingsSources = SettingsSources(),  # noqa: B008 - frozen
        sound: LiveSynth | None = None,
    ) -> None:
        self._settings = settings
        self._chart = chart
        self._sources = sources
        self._sound = sound
        self._inbox = Inbox()
        self._pending_reports: deque[Report] = deque()
        self._has_watchers, self._wake_pending = False, False
        self._link_session_joined = self._make_link_session()
        self._clock_source = self._make_clock_source()
        self._reported_clock = (self._clock_source.status_text if self._clock_source else "", 0.0)  # and when
        self._notifier = SystemdNotifier()
        self._stop_signals = 0
        self._turn_count = -1
        self._watchdog_s, self._poll_s = 0.0, 0.0  # when to tell systemd, and look after the ports, again
        self._failure: BaseException | None = None
        self._crash_marker = CrashMarker(memory.state_folder() / f"playing-{settings.midi.client}.json")
        self._wake_reader, self._wake_writer = socket.socketpair()
        for end in (self._wake_reader, self._wake_writer):
            end.setblocking(False)

    def run(self) -> int:
        """Play until a signal or the end; the exit status. Once only."""
        with contextlib.closing(self), self._signals(), open_endpoints(self._settings) as open_doors:
            performance = load_performance(self._settings, self._chart)
            with self._open_ports() as link, self._in_link_session():
                kept = self._saved_state()
                self._mark_playing(link)
                self._recorder = make_recorder(performance)
                prepare_interpreter()
                engine = self._make_engine(performance, kept)
                self._recorder.start(make_header(performance, engine))
                self._log_start(performance, engine, link)
                output = link if self._sound is None else self._sound.with_ports(link)
                player = Player(engine, output, self._inbox, self._queue_report)
                with contextlib.closing(self._make_hub(player, performance, link, open_doors)) as reception:
                    self._perform(player, link, reception)
                self._recorder.close()
                self._save_state(engine, performance)
        if self._failure is not None:
            raise self._failure
        return 0

    def close(self) -> None:
        """Let go of what wakes the main thread."""
        self._wake_reader.close()
        self._wake_writer.close()

    # -- starting

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        numbers = [*_STOP_SIGNALS, signal.SIGUSR1]
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            numbers.remove(signal.SIGHUP)  # started by nohup: it is to outlive its terminal
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        wakeup = signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _make_hub(self, player: Player, performance: Performance, link: MidiPorts, open_doors: Endpoints) -> ControlHub:
        def describe_daemon() -> DaemonInfo:
            clock = "internal" if self._clock_source is None else self._clock_source.status_text
            name, bundle = self._settings.midi.client, performance.bundle.name
            return DaemonInfo(__version__, name, bundle, link.status_text, clock)

        api = ControlApi(
            self._inbox,
            lambda: player.snapshot,
            performance.chart,
            self._sources,
            describe_daemon,
            self._recorder.keep,
        )
        return ControlHub(
            api,
            EventFeed(api, lambda: player.snapshot),
            self._pending_reports,
            open_doors,
            self._recorder.record,
            lambda: yield_to_player(player.sends_at),
        )

    @contextlib.contextmanager
    def _open_ports(self) -> Iterator[MidiPorts]:
        midi = self._settings.midi
        follows = self._settings.tempo.source == "midi-clock"
        link = MidiPorts(PortRequest(midi.output, midi.input, midi.client, midi.wait, follows), self._inbox.put)
        for reason in link.open():
            _log.warning("%s", reason)
        self._update_port_period(link)
        try:
            yield link
        finally:
            self._close_ports(link)

    def _make_link_session(self) -> LinkSession | None:
        tempo, bar = self._settings.tempo, float(self._chart.meter.quarters)
        return LinkSession(tempo.bpm, bar, self._inbox.put) if tempo.source == "link" else None

    def _make_clock_source(self) -> ClockSource | None:
        tempo, session = self._settings.tempo, self._link_session_joined
        if session is None:
            return make_clock_source(tempo, self._chart, self._wake_main_thread)
        return make_clock_source(tempo, self._chart, self._wake_main_thread, session.request_tempo)

    @contextlib.contextmanager
    def _in_link_session(self) -> Iterator[None]:
        """In the Link session, if we play in one."""
        if self._link_session_joined is None:
            yield
            return
        self._link_session_joined.open()
        try:
            yield
        finally:
            self._link_session_joined.close()

    def _update_port_period(self, link: MidiPorts) -> None:
        if self._clock_source is not None:
            self._inbox.put(SetPortPeriod(link.input_period_s))

    def _close_ports(self, link: MidiPorts) -> None:
        """Close the ports. All is silent by now: a JACK server that stalls must not keep us, nor Ctrl-C, waiting."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        giving_up = threading.Timer(
            CLOSE_TIMEOUT_S, os._exit, [0 if self._failure is None else SidemanError.exit_status]
        )
        giving_up.daemon = True
        giving_up.start()
        link.close()
        giving_up.cancel()

    def _saved_state(self) -> dict[str, Any] | None:
        """The state of the last run, if it is to be gone on from."""
        resumes = self._settings.play.resume and self._settings.play.seed is None
        return memory.load_state(_state_file()) if resumes else None

    def _make_engine(self, performance: Performance, kept: dict[str, Any] | None) -> Engine:
        """The engine that is about to play; nothing slow may come between this and the first beat."""
        second = self._inbox.now() + START_LEAD_S + max(0.0, -self._settings.play.offset_ms / 1000)
        clocks = ClockConfig(self._clock_source, self._settings.tempo.clock_out)
        if kept is not None:
            try:
                return resumed_engine(performance, kept, second, clocks)
            except (ValueError, KeyError, TypeError, ArithmeticError) as error:
                _log.warning("%s: does not fit (%s); starting afresh", _state_file(), error)
        return performance.make_engine(second, clocks=clocks)

    def _log_start(self, performance: Performance, engine: Engine, link: MidiPorts) -> None:
        bundle, settings = performance.bundle, self._settings
        network = f"{len(bundle.vocabulary)} values, {bundle.weights.n_a} units, {settings.model.engine}"
        _log.info("bundle %s (%s); seed %d", bundle.name, network, engine.improviser.random_source.seed)
        pulse = f"{settings.tempo.bpm:g} bpm" if self._clock_source is None else self._clock_source.status_text
        _log.info("ready: %s, one value a %s, %s", pulse, settings.play.rate, link.status_text)

    def _mark_playing(self, link: MidiPorts) -> None:
        """Leave a mark in case we are killed, and release what a killed process has left sounding on our port."""
        if not link.has_output:
            return
        midi = self._settings.midi
        left = self._crash_marker.mark_playing(link.output_name, sorted({midi.channel, midi.comp}))
        if left:
            told = ", ".join(map(str, left))
            _log.info("the last run was killed: releasing all notes on channels %s of %s", told, link.output_name)
        for channel in left:
            self._inbox.put(ReleaseChannel(channel))

    # -- running

    def _perform(self, player: Player, link: MidiPorts, reception: ControlHub) -> None:
        thread = threading.Thread(target=self._play, args=(player,), name="player", daemon=True)
        thread.start()
        self._notifier.ready(self._status_line(link))
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._wake_reader, selectors.EVENT_READ)
                selector.register(link, selectors.EVENT_READ)
                reception.register(selector)
                while thread.is_alive():
                    self._turn(selector, player, link, reception)
        finally:
            # Whatever happens here, the player releases its notes while the port is still open.
            self._inbox.put(None)
            thread.join(CLOSE_TIMEOUT_S)
            if not thread.is_alive():
                self._crash_marker.clear()
        self._notifier.stopping()
        if player.engine.late_notes:
            _log.info("%d notes came too late and were left out", player.engine.late_notes)

    def _play(self, player: Player) -> None:
        try:
            player.run()
        except BaseException as failure:  # noqa: BLE001 - raised again in the main thread
            self._failure = failure
        finally:
            self._wake_main_thread()

    def _turn(self, selector: selectors.BaseSelector, player: Player, link: MidiPorts, reception: ControlHub) -> None:
        now = time.monotonic()
        ready = selector.select(max(0.0, min(self._poll_s, self._watchdog_s, reception.wakes_at(now)) - now))
        yield_to_player(player.sends_at)
        now = time.monotonic()
        for number in self._read_wakeups():
            self._handle_signal(number)
        reception.serve(now)
        self._has_watchers = reception.has_watchers
        self._report_clock(link)
        self._check_sound(player)
        if now >= self._poll_s or any(key.fileobj is link for key, _ in ready):
            self._poll_s = now + POLL_INTERVAL_S
            self._poll_ports(link)
        if now >= self._watchdog_s:
            self._watchdog_s = now + (self._notifier.watchdog_interval_s or POLL_INTERVAL_S)
            self._notify_watchdog(player)

    def _poll_ports(self, link: MidiPorts) -> None:
        for change in link.poll():
            _log.log(logging.INFO if change.is_open else logging.WARNING, "%s", change.text)
            self._notifier.status(self._status_line(link))
            self._update_port_period(link)
            if change.is_open and change.key == OUTPUT:
                self._inbox.put(Panic())  # whoever hears us now may have missed the end of a note
                self._mark_playing(link)

    def _notify_watchdog(self, player: Player) -> None:
        if player.turn_count != self._turn_count:
            self._turn_count = player.turn_count
            self._notifier.notify_watchdog()

    def _read_wakeups(self) -> bytes:
        try:
            return self._wake_reader.recv(4096)
        except BlockingIOError:
            return b""
        finally:
            self._wake_pending = False  # what came until now is looked at next, what comes from now on wakes us again

    def _handle_signal(self, number: int) -> None:
        if number == signal.SIGUSR1:
            self._inbox.put(Panic())
        elif number in _STOP_SIGNALS:
            self._stop_signals += 1
            if self._stop_signals > 1 and number == signal.SIGINT:
                os._exit(_FORCED_STATUS)
            self._inbox.put(None)

    def _queue_report(self, report: Report) -> None:
        # In the player's thread: leave it for the main thread, which is woken for a bar, and for more if one watches.
        self._pending_reports.append(report)
        if isinstance(report, _WAKING_REPORTS) or (self._has_watchers and isinstance(report, _WATCHED_REPORTS)):
            self._wake_main_thread()

    def _wake_main_thread(self) -> None:
        """Wake the main thread, once: were its socket full, a signal would be lost."""
        if self._wake_pending:
            return
        self._wake_pending = True
        with contextlib.suppress(OSError):
            self._wake_writer.send(b"\0")

    def _check_sound(self, player: Player) -> None:
        """Say when there is none any more; let the accompaniment have the sound that suits it."""
        if self._sound is None:
            return
        if lost := self._sound.poll():
            _log.warning("%s", lost)
        self._sound.set_programs(player.snapshot.settings.midi, player.snapshot.settings.play)

    def _report_clock(self, link: MidiPorts) -> None:
        """What the clock does that we follow, when it is something else; a flood of changes only now and then."""
        if self._clock_source is None or self._clock_source.status_text == self._reported_clock[0]:
            return
        if time.monotonic() - self._reported_clock[1] < CLOCK_REPORT_INTERVAL_S:
            return
        self._reported_clock = (self._clock_source.status_text, time.monotonic())
        _log.info("%s", self._reported_clock[0])
        self._notifier.status(self._status_line(link))

    def _status_line(self, link: MidiPorts) -> str:
        return f"{'playing' if self._clock_source is None else self._clock_source.status_text}; {link.status_text}"

    # -- stopping

    def _save_state(self, engine: Engine, performance: Performance) -> None:
        if engine.settings.play.resume:
            memory.save_state(state_of(engine, performance, time.monotonic()), _state_file())


def _state_file() -> Path:
    return memory.state_folder() / "state.json"


def yield_to_player(sends_at: float) -> None:
    """Sleep if a note is about to be sent: a thread that loses its processor goes on holding the interpreter."""
    left = sends_at - time.monotonic()
    if left < QUIET_BEFORE_NOTE_S:
        time.sleep(max(0.0, left) + SEND_TIME_S)


def prepare_interpreter() -> None:
    """Make the process fit for playing: garbage is what comes from now on, and no thread holds the interpreter long."""
    sys.setswitchinterval(THREAD_SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.disable()
