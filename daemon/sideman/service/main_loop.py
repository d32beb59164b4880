# SPDX-License-Identifier: Apache-2.0
"""The main thread's loop: one selector for MIDI ports, control clients, the log and systemd.

It computes nothing musical, and it does nothing in the three milliseconds before a note is sent: Python runs one thread
at a time, and the note would be late.
"""

from __future__ import annotations

import faulthandler
import logging
import math
import selectors
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from sideman.control.hub import ControlHub
from sideman.core.events import PortChanged
from sideman.core.timing.clock_source import ClockSource
from sideman.midi.ports import MidiPorts
from sideman.playing.overload import Overload
from sideman.playing.player import Player, Remembered
from sideman.service.systemd import SystemdNotifier
from sideman.service.wakeup import Wakeup

if TYPE_CHECKING:
    from sideman.sound.live import LiveSynth  # loaded only with --sound

POLL_INTERVAL_S = 0.4  # a device that was away for a moment is heard again within a second
PORT_PERIOD_INTERVAL_S = 0.1
"""How often the period of the input's port is read while a MIDI clock is followed: far less than `RECOUNT_S` apart."""
STATE_REPORT_INTERVAL_S = 0.2
OVERLOAD_INTERVAL_S = 10.0
HANG_TIMEOUT_S = 10.0
QUIET_BEFORE_NOTE_S, SEND_TIME_S = 0.003, 0.0005

_log = logging.getLogger(__name__)


class MainLoop(Struct, dict=True):
    """Everything the main thread looks after while the player plays."""

    wakeup: Wakeup
    player: Player
    ports: MidiPorts
    hub: ControlHub
    clock_source: ClockSource | None
    sound: LiveSynth | None
    overload: Callable[[], Overload]
    handle_port_change: Callable[[PortChanged, MidiPorts], None]
    keep_state: Callable[[Remembered], None]
    watch_port_period: Callable[[MidiPorts], None] | None

    def __post_init__(self) -> None:
        self._notifier = SystemdNotifier()
        self._next_poll_s, self._next_watchdog_s, self._next_guard_s = 0.0, 0.0, 0.0
        self._next_overload_s, self._logged_overload = 0.0, Overload()
        self._next_period_s = math.inf if self.watch_port_period is None else 0.0
        self._wake_count = -1  # of the player, when systemd's watchdog was last fed
        self._reported_state = self._state_text
        self._state_reported_s = 0.0
        self._kept: Remembered | None = None  # what was passed on last

    def run(self, is_playing: Callable[[], bool]) -> None:
        """Tell systemd that we are ready, then serve everybody until the player's thread has ended."""
        self._notifier.ready(self._status_line)
        with selectors.DefaultSelector() as selector:
            selector.register(self.wakeup, selectors.EVENT_READ)
            selector.register(self.ports, selectors.EVENT_READ)
            self.hub.register(selector)
            try:
                while is_playing():
                    self._guard_against_hanging()
                    self.turn(selector)
            finally:
                faulthandler.cancel_dump_traceback_later()
        self._notifier.stopping()

    def _guard_against_hanging(self) -> None:
        """Let the process end, with all stacks on stderr, if this is not called again for `HANG_TIMEOUT_S`.

        A library that never returns and keeps Python's lock stops all our threads, and signals too.
        The next start releases the notes that sound.
        """
        if sys.__stderr__ is not None and (now := time.monotonic()) >= self._next_guard_s:
            self._next_guard_s = now + HANG_TIMEOUT_S / 4
            faulthandler.dump_traceback_later(HANG_TIMEOUT_S, exit=True, file=sys.__stderr__)

    def turn(self, selector: selectors.BaseSelector) -> None:
        """Wait until something happens or is due, then do it."""
        now = time.monotonic()
        next_s = min(self._next_poll_s, self._next_period_s, self._next_watchdog_s, self.hub.wakes_at(now))
        ready = selector.select(max(0.0, next_s - now))
        yield_to_player(self.player.sends_at)
        now = time.monotonic()
        self.wakeup.clear()
        self._keep_state()  # before what takes longer
        self.hub.serve(now)
        self.wakeup.has_watchers = self.hub.has_watchers
        if self._state_text != self._reported_state and now - self._state_reported_s >= STATE_REPORT_INTERVAL_S:
            self._reported_state, self._state_reported_s = self._state_text, now
            _log.info("%s", self._reported_state)
            self._notifier.status(self._status_line)
        if self.sound is not None:
            if lost := self.sound.poll():  # fluidsynth has ended
                _log.warning("%s", lost)
            settings = self.player.snapshot.settings
            self.sound.set_programs(settings.midi, settings.play)  # does nothing if they are as before
        if self.watch_port_period is not None and now >= self._next_period_s:
            self._next_period_s = now + PORT_PERIOD_INTERVAL_S
            self.watch_port_period(self.ports)
        if now >= self._next_poll_s or any(key.fileobj is self.ports for key, _ in ready):
            self._next_poll_s = now + POLL_INTERVAL_S
            for change in self.ports.poll():
                _log.log(logging.INFO if change.is_open else logging.WARNING, "%s", change.text)
                self._notifier.status(self._status_line)
                self.handle_port_change(change, self.ports)
        if now >= self._next_overload_s:
            self._next_overload_s = now + OVERLOAD_INTERVAL_S
            self._log_overload()
        if now >= self._next_watchdog_s:
            self._next_watchdog_s = now + (self._notifier.watchdog_interval_s or POLL_INTERVAL_S)
            if self.player.wake_count != self._wake_count:  # the watchdog is fed by the player's progress alone
                self._wake_count = self.player.wake_count
                self._notifier.notify_watchdog()

    def _log_overload(self) -> None:
        """Say once in a while that more came in than the player takes in."""
        total, before = self.overload(), self._logged_overload
        if total != before:
            self._logged_overload = total
            left_out = f"left out {total.notes - before.notes:,} notes and {total.ticks - before.ticks:,} clock ticks"
            overtaken = f"{total.overtaken - before.overtaken:,} other messages were overtaken by newer ones"
            _log.warning("more comes in than sideman takes: %s; %s", left_out, overtaken)

    def _keep_state(self) -> None:
        """Pass on what the player has left once a bar for the next start, if it is new."""
        remembered = self.player.remembered
        if remembered is not None and remembered is not self._kept:
            yield_to_player(self.player.sends_at)
            self.keep_state(remembered)
            self._kept = remembered

    @property
    def _state_text(self) -> str:
        """What the music waits for before it begins; then the state of the clock that is followed."""
        clock = "playing" if self.clock_source is None else self.clock_source.status_text
        return self.player.snapshot.waiting or clock

    @property
    def _status_line(self) -> str:
        return f"{self._state_text}; {self.ports.status_text}"


def yield_to_player(sends_at: float) -> None:
    """Sleep if a note is about to be sent: a thread that loses its processor goes on holding the interpreter."""
    left = sends_at - time.monotonic()
    if left < QUIET_BEFORE_NOTE_S:
        time.sleep(max(0.0, left) + SEND_TIME_S)
