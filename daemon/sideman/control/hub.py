# SPDX-License-Identifier: Apache-2.0
"""Where the daemon meets everybody else: what the player reports is logged, told and done; what others ask is answered.

All of it happens in the main thread, a bounded piece at a time.
"""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sideman.control.api import ControlApi
from sideman.control.feed import EventFeed, FeedEvent
from sideman.control.osc import OscPort, OscServer
from sideman.control.paths import socket_path
from sideman.control.server import ControlServer
from sideman.control.unix_listener import UnixListener
from sideman.core.events import ActionRequested, BarPlayed, ModeChanged, Report, SettingsChanged, ignore_report
from sideman.core.settings.schema import Settings, settings_line
from sideman.core.text import format_bar

_MAX_REPORTS = 500  # reports that are looked at in one go: signals and systemd come in between

_log = logging.getLogger(__name__)
_PUBLISHED = {"told": True}  # those who watch are told of it otherwise


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where others come in, each of which there may be none."""

    listener: UnixListener | None = None
    osc: OscPort | None = None


@contextlib.contextmanager
def open_endpoints(settings: Settings) -> Iterator[Endpoints]:
    """The doors that `settings` ask for, closed again at the end.

    Where the control socket cannot be made, the log says so and there is none. Raises Unavailable where another
    daemon listens there, and for an OSC port that is not to be had.
    """
    with contextlib.ExitStack() as stack:
        listener = _open_listener(settings)
        if listener is not None:
            stack.enter_context(contextlib.closing(listener))
        control = settings.control
        osc = None
        if control.osc is not None:
            osc = stack.enter_context(contextlib.closing(OscPort(control.osc_host, control.osc)))
        yield Endpoints(listener, osc)


def _open_listener(settings: Settings) -> UnixListener | None:
    wanted = settings.control.socket
    path = socket_path(wanted, settings.midi.client)
    if path is None:
        return None
    try:
        if wanted is None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return UnixListener(path)
    except OSError as error:
        _log.warning("control.socket: %s: %s; playing without", path, error.strerror or error)
        return None


class ControlHub:
    """Takes in the `reports` that the player leaves, and serves those who come to the `open_endpoints`.

    The `record` is given every report first; `yield_to_player` is called before each request, to let a note go first.
    """

    def __init__(
        self,
        api: ControlApi,
        feed: EventFeed,
        reports: deque[Report],
        endpoints: Endpoints,
        record: Callable[[Report], None] = ignore_report,
        yield_to_player: Callable[[], None] = lambda: None,
    ) -> None:
        self._api = api
        self._feed = feed
        self._reports = reports
        self._record = record
        self._control: ControlServer | None = None
        if endpoints.listener is not None:
            self._control = ControlServer(endpoints.listener, api.answer, feed.initial_events, yield_to_player)
        self._osc = (
            OscServer(endpoints.osc, api.answer, api.argument_names, yield_to_player)
            if endpoints.osc is not None
            else None
        )

    @property
    def has_watchers(self) -> bool:
        """Whether anybody watches."""
        return self._control is not None and self._control.has_watchers

    @property
    def _servers(self) -> list[ControlServer | OscServer]:
        return [way for way in (self._control, self._osc) if way is not None]

    def register(self, selector: selectors.BaseSelector) -> None:
        """Let `selector` wait for those who come."""
        for way in self._servers:
            selector.register(way, selectors.EVENT_READ)

    def wakes_at(self, now: float) -> float:
        """The second when there is something to do, whatever the selector says; infinite if never."""
        if len(self._reports) > _MAX_REPORTS:
            return now
        news = self._feed.wakes_at(now) if self.has_watchers else math.inf
        return min([news, *(way.wakes_at() for way in self._servers)])

    def serve(self, now: float) -> None:
        """Look at what the player reports, answer what is asked, tell what there is to tell."""
        events = list(self._process_reports())
        if self._control is not None and self._control.has_watchers:
            self._control.publish([*events, *self._feed.timed_events(now)])
        for way in self._servers:
            way.serve(now)
        self._feed.set_watched(watched=self.has_watchers)

    def close(self) -> None:
        """Take in the last reports, and let go of everybody."""
        while self._reports:
            list(self._process_reports())
        for way in self._servers:
            way.close()
        self._feed.set_watched(watched=False)

    def _process_reports(self) -> Iterator[FeedEvent]:
        watched = self.has_watchers
        for _ in range(min(_MAX_REPORTS, len(self._reports))):
            report = self._reports.popleft()
            self._record(report)
            self._api.handle_report(report)
            self._handle_report(report)
            if watched:
                yield from self._feed.report_events(report)

    def _handle_report(self, report: Report) -> None:
        match report:
            case BarPlayed() as bar:
                _log.info("%s", format_bar(bar, self._api.settings.midi.transpose), extra=_PUBLISHED)
            case SettingsChanged(values):
                _log.info("%s", settings_line(values), extra=_PUBLISHED)
                level = dict(values).get("log.level")
                if isinstance(level, str):
                    logging.getLogger().setLevel(level.upper())
            case ModeChanged(mode):
                _log.info("play.mode is %s", mode, extra=_PUBLISHED)
            case ActionRequested(verb, argument):
                self._api.perform_action(verb, argument)
