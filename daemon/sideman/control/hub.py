# SPDX-License-Identifier: Apache-2.0
"""The hub between the player and everybody else: distributes the player's reports and serves clients.

Each report of the player is recorded, logged, acted on, and sent to the clients that watch. The requests of clients go
to the control API. All of it happens in the main thread, a bounded piece at a time.
"""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
from collections import deque
from collections.abc import Callable, Iterator

from msgspec import Struct

from sideman.control.api import ControlApi
from sideman.control.feed import EventFeed
from sideman.control.osc import OscPort, OscServer
from sideman.control.protocol import Event
from sideman.control.readings import Readings
from sideman.control.server import ControlServer
from sideman.control.socket_file import UnixListener, socket_path
from sideman.control.tally import Tally
from sideman.control.timed_feed import TimedEvent, TimedFeed
from sideman.core.events import ActionRequested, BarPlayed, ModeChanged, Report, SettingsChanged, ignore_report
from sideman.core.settings.schema import Settings, settings_line
from sideman.core.words import BarWords
from sideman_models.writing import make_folder

_MAX_REPORTS = 500  # reports in one piece, so that signals and systemd do not wait long
ACTION_PAUSE_S = 0.1
"""From one action that a controller asks for to the next; both read files."""
_PUBLISHED = {"published": True}  # marks log lines that clients also get as events

_log = logging.getLogger(__name__)


class Endpoints(Struct, frozen=True):
    """Where clients can reach the daemon; None for what is not open."""

    listener: UnixListener | None = None
    osc: OscPort | None = None


@contextlib.contextmanager
def open_endpoints(settings: Settings) -> Iterator[Endpoints]:
    """Open the control socket and the OSC port that `settings` ask for, and close them at the end.

    If the control socket cannot be made, the log says why and the daemon plays without it. Raises Unavailable if
    another daemon of this user listens on the socket, or if the OSC port cannot be opened.
    """
    control, listener, osc = settings.control, None, None
    with contextlib.ExitStack() as stack:
        path = socket_path(control.socket, settings.midi.client)
        if path is not None:
            try:
                if control.socket is None:
                    make_folder(path.parent, 0o700)
                listener = stack.enter_context(contextlib.closing(UnixListener(path)))
            except OSError as error:
                _log.warning("control.socket: %s: %s; playing without", path, error.strerror or error)
        if control.osc is not None:
            osc = stack.enter_context(contextlib.closing(OscPort(control.osc_host, control.osc, control.osc_key)))
            if not osc.is_local and control.osc_key is None:
                reach = "everybody who reaches it can control sideman; only this machine gets answers"
                _log.warning("control.osc_host: %s: no control.osc_key is set: %s", control.osc_host, reach)
        yield Endpoints(listener, osc)


class ControlHub(Struct, dict=True):
    """Distributes the `reports` that the player leaves, and serves the clients at `endpoints`.

    `record` gets each report first. `yield_to_player` is called before each request: a note that is due goes first.
    `show_plan` says whether the player is to report what is planned, and what could be chosen.
    """

    api: ControlApi
    feed: EventFeed
    reports: deque[Report]
    endpoints: Endpoints
    record: Callable[[Report], None] = ignore_report
    yield_to_player: Callable[[], None] = lambda: None
    show_plan: Callable[[bool, bool], None] = lambda _plan, _choices: None

    def __post_init__(self) -> None:
        self._socket_server: ControlServer | None = None
        self._timed = TimedFeed(self.api, self.api.snapshot)
        self._shown = False, False
        self._requested: dict[str, str] = {}  # actions with their arguments, by controllers; the last of each counts
        self._next_action_s = -math.inf
        self._overtaken = Tally(_log, "%s actions by controllers were overtaken by newer ones")
        readings, exports = Readings(self.yield_to_player), Readings(self.yield_to_player)
        self.api.read_files, self.api.export_files = readings.perform, exports.perform
        self._servers: list[ControlServer | OscServer | Readings] = [readings, exports]
        now = self.api.snapshot()
        self._bar_words = BarWords(now.mode, self.api.settings.midi.transpose, now.bar)
        answer, listener, osc = self.api.answer, self.endpoints.listener, self.endpoints.osc
        if listener is not None:
            self._socket_server = ControlServer(
                listener,
                answer,
                self.feed.initial_events,
                self.yield_to_player,
                lambda: self._timed.initial_events(self.feed.initial_events(), self.api.now()),
            )
            self._servers.append(self._socket_server)
        if osc is not None:
            self._servers.append(OscServer(osc, self.api.answer_guest, self.yield_to_player))

    @property
    def has_watchers(self) -> bool:
        """Whether a client watches."""
        return self._socket_server is not None and self._socket_server.has_watchers

    def register(self, selector: selectors.BaseSelector) -> None:
        """Let `selector` wait for clients."""
        for server in self._servers:
            selector.register(server.selector, selectors.EVENT_READ)

    def wakes_at(self, now: float) -> float:
        """Return the second when `serve` has something to do even if the selector reports nothing."""
        if len(self.reports) > _MAX_REPORTS:
            return now
        next_action_s = self._next_action_s if self._requested else math.inf
        feed_wakes_at = self.feed.wakes_at(now) if self.has_watchers else math.inf
        return min([feed_wakes_at, next_action_s, *(server.wakes_at() for server in self._servers)])

    def serve(self, now: float) -> None:
        """Distribute reports, send events and answer requests."""
        events, timed = self._process_reports(now, watched=self.has_watchers)
        if self._socket_server is not None and self.has_watchers:
            made = list(self.feed.timed_events(now))
            if self._shows_plan:
                timed += self._timed.timed_events(made, now)
            self._socket_server.publish([*events, *made], timed)
        self._perform_action(now)
        for server in self._servers:
            server.serve(now)
        self.feed.set_watched(watched=self.has_watchers)
        self._update_shown()

    def close(self) -> None:
        """Distribute the last reports and close all connections. What was asked for and not begun is left out."""
        while self.reports:
            self._process_reports(self.api.now(), watched=False)
        for server in self._servers:
            server.close()
        self.api.close_export()
        self.feed.set_watched(watched=False)

    def _perform_action(self, now: float) -> None:
        """Do what a controller has asked for, one thing at a time, with a pause after each."""
        self._overtaken.log(now)
        if not self._requested or now < self._next_action_s:
            return
        action = next(iter(self._requested))
        self.yield_to_player()
        self._next_action_s = now + ACTION_PAUSE_S
        self.api.perform_action(action, self._requested.pop(action))

    @property
    def _shows_plan(self) -> bool:
        return self._shown[0]

    def _update_shown(self) -> None:
        """Let the player report what the clients want to see, and no more."""
        server = self._socket_server
        shown = (False, False)
        if server is not None:
            shown = server.has_timed_watchers(), server.has_timed_watchers(choices=True)
        if shown != self._shown:
            self._shown = shown
            self.show_plan(*shown)
            if not shown[0]:
                self._timed.forget()

    def _process_reports(self, now: float, *, watched: bool) -> tuple[list[Event], list[TimedEvent]]:
        """Distribute a bounded number of reports; returns the events that follow, of version 1 and of version 2."""
        events, timed = list[Event](), list[TimedEvent]()
        for _ in range(min(_MAX_REPORTS, len(self.reports))):
            report = self.reports.popleft()
            self.record(report)
            self.api.handle_report(report)
            self._bar_words.transpose = self.api.settings.midi.transpose
            if line := self._bar_words.add(report):
                _log.info("%s", line, extra=_PUBLISHED)
            match report:
                case BarPlayed() as bar:
                    _log.debug("%s", bar.text(self.api.settings.midi.transpose), extra=_PUBLISHED)
                case SettingsChanged(values):
                    _log.info("%s", settings_line(values), extra=_PUBLISHED)
                    level = dict(values).get("log.level")
                    if isinstance(level, str):
                        logging.getLogger().setLevel(level.upper())
                case ModeChanged(mode):
                    _log.info("play.mode is %s", mode, extra=_PUBLISHED)
                case ActionRequested(action, argument) if action != "learned":
                    self._overtaken.count += self._requested.pop(action, None) is not None
                    self._requested[action] = argument
            if watched:
                made = list(self.feed.report_events(report))
                events += made
                if self._shows_plan:
                    timed += self._timed.report_events(report, made, now)
        return events, timed
