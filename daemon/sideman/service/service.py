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
from sideman.config.sources import Sources
from sideman.control.api import Desk, Verb
from sideman.control.feed import News
from sideman.control.hub import Doors, Reception, doors
from sideman.core.chart.chart import Chart
from sideman.core.engine import Engine
from sideman.core.errors import SidemanError
from sideman.core.events import ClockRounds, Hush, Panic
from sideman.core.reports import Asked, BarPlayed, Changed, Does, Heard, ModeSet, Report, Struck
from sideman.core.settings.schema import Settings
from sideman.core.timing.ableton_link import LinkTransport
from sideman.core.timing.midi_clock import Clocks, Followed, Transport
from sideman.midi.ableton_link import LinkSession
from sideman.midi.crash_marker import Marks
from sideman.midi.ports import OUTPUT, Link, Wanted
from sideman.playing import state as memory
from sideman.playing.assembly import Performance, memory_of, prepare, resumed
from sideman.playing.inbox import Inbox
from sideman.playing.player import Player
from sideman.service.systemd import Notifier
from sideman.takes.replay import header, recorder

if TYPE_CHECKING:
    from sideman.sound.live import Sound  # loaded only where it is asked for

LEAD_S = 0.1
"""From the word that all is set to the first beat."""
POLL_S = 1.0
CLOSE_S = 5.0
CHANGES_S = 0.2
CLEAR_S, SENDING_S = 0.003, 0.0005  # before and after a note, in which nobody else gets busy
SWITCH_S = 1e-5  # so that a busy thread keeps the player from the interpreter for that long at most
_FORCED = 130
_ROUSING = (BarPlayed, Asked)  # reports that the main thread is woken for
_TOLD = (Struck, Heard, Changed, ModeSet, Does)  # and those it is woken for while somebody watches
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = logging.getLogger(__name__)


class Service:
    """One run of the daemon with `settings`, read from `sources`, over `chart`; what is sent goes to `sound`, too."""

    def __init__(
        self,
        settings: Settings,
        chart: Chart,
        sources: Sources = Sources(),  # noqa: B008 - frozen
        sound: Sound | None = None,
    ) -> None:
        self._settings = settings
        self._chart = chart
        self._sources = sources
        self._sound = sound
        self._inbox = Inbox()
        self._reports: deque[Report] = deque()
        self._watched, self._stirred = False, False
        self._session = self._link_session()
        self._transport = self._clock_to_follow()
        self._told = (self._transport.text if self._transport else "", 0.0)  # and when
        self._notifier = Notifier()
        self._stops = 0
        self._turns = -1
        self._alive_at, self._poll_at = 0.0, 0.0  # when to tell systemd, and look after the ports, again
        self._failure: BaseException | None = None
        self._marks = Marks(memory.state_folder() / f"playing-{settings.midi.client}.json")
        self._awake, self._wake = socket.socketpair()
        for end in (self._awake, self._wake):
            end.setblocking(False)

    def run(self) -> int:
        """Play until a signal or the end; the exit status. Once only."""
        with contextlib.closing(self), self._signals(), doors(self._settings) as open_doors:
            performance = prepare(self._settings, self._chart)
            with self._ports() as link, self._joined():
                kept = self._kept()
                self._mark(link)
                self._recorder = recorder(performance)
                make_fit()
                engine = self._engine(performance, kept)
                self._recorder.begin(header(performance, engine))
                self._announce(performance, engine, link)
                output = link if self._sound is None else self._sound.beside(link)
                player = Player(engine, output, self._inbox, self._tell)
                with contextlib.closing(self._reception(player, performance, link, open_doors)) as reception:
                    self._perform(player, link, reception)
                self._recorder.close()
                self._keep(engine, performance)
        if self._failure is not None:
            raise self._failure
        return 0

    def close(self) -> None:
        """Let go of what wakes the main thread."""
        self._awake.close()
        self._wake.close()

    # -- starting

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        numbers = [*_STOPPING, signal.SIGUSR1]
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            numbers.remove(signal.SIGHUP)  # started by nohup: it is to outlive its terminal
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        wakeup = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _reception(self, player: Player, performance: Performance, link: Link, open_doors: Doors) -> Reception:
        def about() -> dict[str, object]:
            clock = "internal" if self._transport is None else self._transport.text
            name, bundle = self._settings.midi.client, performance.bundle.name
            return {"version": __version__, "name": name, "bundle": bundle, "ports": link.text, "clock": clock}

        desk = Desk(self._inbox, lambda: player.status, performance.chart, self._sources, about)
        desk.verbs["keep"] = Verb(lambda: {"take": self._recorder.keep()})
        news = News(desk, lambda: player.status)
        return Reception(
            desk, news, self._reports, open_doors, self._recorder.heed, lambda: step_aside(player.sends_at)
        )

    @contextlib.contextmanager
    def _ports(self) -> Iterator[Link]:
        midi = self._settings.midi
        follows = self._settings.tempo.source == "midi-clock"
        link = Link(Wanted(midi.output, midi.input, midi.client, midi.wait, follows), self._inbox.put)
        for reason in link.open():
            _log.warning("%s", reason)
        self._know_rounds(link)
        try:
            yield link
        finally:
            self._let_go(link)

    def _link_session(self) -> LinkSession | None:
        tempo, bar = self._settings.tempo, float(self._chart.meter.quarters)
        return LinkSession(tempo.bpm, bar, self._inbox.put) if tempo.source == "link" else None

    def _clock_to_follow(self) -> Followed | None:
        tempo, bar = self._settings.tempo, float(self._chart.meter.quarters)
        if self._session is not None:
            return LinkTransport(bar, wait_start=tempo.wait_start, tell=self._stir, ask=self._session.ask)
        if tempo.source == "midi-clock":
            return Transport(tempo.bpm, wait_start=tempo.wait_start, tell=self._stir)
        return None

    @contextlib.contextmanager
    def _joined(self) -> Iterator[None]:
        """In the Link session, if we play in one."""
        if self._session is None:
            yield
            return
        self._session.open()
        try:
            yield
        finally:
            self._session.close()

    def _know_rounds(self, link: Link) -> None:
        if isinstance(self._transport, Transport):
            self._inbox.put(ClockRounds(link.rounds))

    def _let_go(self, link: Link) -> None:
        """Close the ports. All is silent by now: a JACK server that stalls must not keep us, nor Ctrl-C, waiting."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        giving_up = threading.Timer(CLOSE_S, os._exit, [0 if self._failure is None else SidemanError.status])
        giving_up.daemon = True
        giving_up.start()
        link.close()
        giving_up.cancel()

    def _kept(self) -> dict[str, Any] | None:
        """The state of the last run, if it is to be gone on from."""
        resumes = self._settings.play.resume and self._settings.play.seed is None
        return memory.recall(_state_file()) if resumes else None

    def _engine(self, performance: Performance, kept: dict[str, Any] | None) -> Engine:
        """The engine that is about to play; nothing slow may come between this and the first beat."""
        second = self._inbox.now() + LEAD_S + max(0.0, -self._settings.play.offset_ms / 1000)
        clocks = Clocks(self._transport, self._settings.tempo.clock_out)
        if kept is not None:
            try:
                return resumed(performance, kept, second, clocks)
            except (ValueError, KeyError, TypeError, ArithmeticError) as error:
                _log.warning("%s: does not fit (%s); starting afresh", _state_file(), error)
        return performance.engine(second, clocks=clocks)

    def _announce(self, performance: Performance, engine: Engine, link: Link) -> None:
        bundle, settings = performance.bundle, self._settings
        network = f"{len(bundle.vocabulary)} values, {bundle.weights.n_a} units, {settings.model.engine}"
        _log.info("bundle %s (%s); seed %d", bundle.name, network, engine.improviser.dice.seed)
        pulse = f"{settings.tempo.bpm:g} bpm" if self._transport is None else self._transport.text
        _log.info("ready: %s, one value a %s, %s", pulse, settings.play.rate, link.text)

    def _mark(self, link: Link) -> None:
        """Leave a mark in case we are killed, and release what a killed process has left sounding on our port."""
        if not link.plays:
            return
        midi = self._settings.midi
        left = self._marks.opened(link.name, sorted({midi.channel, midi.comp}))
        if left:
            told = ", ".join(map(str, left))
            _log.info("the last run was killed: releasing all notes on channels %s of %s", told, link.name)
        for channel in left:
            self._inbox.put(Hush(channel))

    # -- running

    def _perform(self, player: Player, link: Link, reception: Reception) -> None:
        thread = threading.Thread(target=self._play, args=(player,), name="player", daemon=True)
        thread.start()
        self._notifier.ready(self._status(link))
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._awake, selectors.EVENT_READ)
                selector.register(link, selectors.EVENT_READ)
                reception.register(selector)
                while thread.is_alive():
                    self._turn(selector, player, link, reception)
        finally:
            # Whatever happens here, the player releases its notes while the port is still open.
            self._inbox.put(None)
            thread.join(CLOSE_S)
            if not thread.is_alive():
                self._marks.released()
        self._notifier.stopping()
        if player.engine.late:
            _log.info("%d notes came too late and were left out", player.engine.late)

    def _play(self, player: Player) -> None:
        try:
            player.run()
        except BaseException as failure:  # noqa: BLE001 - raised again in the main thread
            self._failure = failure
        finally:
            self._stir()

    def _turn(self, selector: selectors.BaseSelector, player: Player, link: Link, reception: Reception) -> None:
        now = time.monotonic()
        ready = selector.select(max(0.0, min(self._poll_at, self._alive_at, reception.wakes_at(now)) - now))
        step_aside(player.sends_at)
        now = time.monotonic()
        for number in self._woken():
            self._signalled(number)
        reception.serve(now)
        self._watched = reception.watched
        self._tell_clock(link)
        self._heed_sound(player)
        if now >= self._poll_at or any(key.fileobj is link for key, _ in ready):
            self._poll_at = now + POLL_S
            self._look_after(link)
        if now >= self._alive_at:
            self._alive_at = now + (self._notifier.interval or POLL_S)
            self._tell_alive(player)

    def _look_after(self, link: Link) -> None:
        for change in link.poll():
            _log.log(logging.INFO if change.open else logging.WARNING, "%s", change.text)
            self._notifier.status(self._status(link))
            self._know_rounds(link)
            if change.open and change.key == OUTPUT:
                self._inbox.put(Panic())  # whoever hears us now may have missed the end of a note
                self._mark(link)

    def _tell_alive(self, player: Player) -> None:
        if player.turns != self._turns:
            self._turns = player.turns
            self._notifier.alive()

    def _woken(self) -> bytes:
        try:
            return self._awake.recv(4096)
        except BlockingIOError:
            return b""
        finally:
            self._stirred = False  # what came until now is looked at next, what comes from now on wakes us again

    def _signalled(self, number: int) -> None:
        if number == signal.SIGUSR1:
            self._inbox.put(Panic())
        elif number in _STOPPING:
            self._stops += 1
            if self._stops > 1 and number == signal.SIGINT:
                os._exit(_FORCED)
            self._inbox.put(None)

    def _tell(self, report: Report) -> None:
        # In the player's thread: leave it for the main thread, which is woken for a bar, and for more if one watches.
        self._reports.append(report)
        if isinstance(report, _ROUSING) or (self._watched and isinstance(report, _TOLD)):
            self._stir()

    def _stir(self) -> None:
        """Wake the main thread, once: were its socket full, a signal would be lost."""
        if self._stirred:
            return
        self._stirred = True
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    def _heed_sound(self, player: Player) -> None:
        """Say when there is none any more; let the accompaniment have the sound that suits it."""
        if self._sound is None:
            return
        if lost := self._sound.poll():
            _log.warning("%s", lost)
        self._sound.choose(player.status.settings.midi, player.status.settings.play)

    def _tell_clock(self, link: Link) -> None:
        """What the clock does that we follow, when it is something else; a flood of changes only now and then."""
        if self._transport is None or self._transport.text == self._told[0]:
            return
        if time.monotonic() - self._told[1] < CHANGES_S:
            return
        self._told = (self._transport.text, time.monotonic())
        _log.info("%s", self._told[0])
        self._notifier.status(self._status(link))

    def _status(self, link: Link) -> str:
        return f"{'playing' if self._transport is None else self._transport.text}; {link.text}"

    # -- stopping

    def _keep(self, engine: Engine, performance: Performance) -> None:
        if engine.settings.play.resume:
            memory.save(memory_of(engine, performance, time.monotonic()), _state_file())


def _state_file() -> Path:
    return memory.state_folder() / "state.json"


def step_aside(sends_at: float) -> None:
    """Sleep if a note is about to be sent: a thread that loses its processor goes on holding the interpreter."""
    left = sends_at - time.monotonic()
    if left < CLEAR_S:
        time.sleep(max(0.0, left) + SENDING_S)


def make_fit() -> None:
    """Make the process fit for playing: garbage is what comes from now on, and no thread holds the interpreter long."""
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.disable()
