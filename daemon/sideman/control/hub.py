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

from sideman.control.api import Desk
from sideman.control.feed import Event, News
from sideman.control.osc import Osc, OscPort
from sideman.control.paths import socket_path
from sideman.control.server import Control
from sideman.control.unix_listener import Listener
from sideman.core.reports import Asked, BarPlayed, Changed, ModeSet, Report, nobody
from sideman.core.settings.schema import Settings
from sideman.core.settings.written import in_a_line
from sideman.core.text import bar_line

_MOST = 500  # reports that are looked at in one go: signals and systemd come in between

_log = logging.getLogger(__name__)
_TOLD = {"told": True}  # those who watch are told of it otherwise


@dataclass(frozen=True, slots=True)
class Doors:
    """Where others come in, each of which there may be none."""

    listener: Listener | None = None
    osc: OscPort | None = None


@contextlib.contextmanager
def doors(settings: Settings) -> Iterator[Doors]:
    """The doors that `settings` ask for, closed again at the end.

    Where the control socket cannot be made, the log says so and there is none. Raises Unavailable where another
    daemon listens there, and for an OSC port that is not to be had.
    """
    with contextlib.ExitStack() as stack:
        listener = _listener(settings)
        if listener is not None:
            stack.enter_context(contextlib.closing(listener))
        control = settings.control
        osc = None
        if control.osc is not None:
            osc = stack.enter_context(contextlib.closing(OscPort(control.osc_host, control.osc)))
        yield Doors(listener, osc)


def _listener(settings: Settings) -> Listener | None:
    wanted = settings.control.socket
    path = socket_path(wanted, settings.midi.client)
    if path is None:
        return None
    try:
        if wanted is None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Listener(path)
    except OSError as error:
        _log.warning("control.socket: %s: %s; playing without", path, error.strerror or error)
        return None


class Reception:
    """Takes in the `reports` that the player leaves, and serves those who come to the `doors`.

    The `recorder` is given every report first; `step_aside` is called before each request, to let a note go first.
    """

    def __init__(
        self,
        desk: Desk,
        news: News,
        reports: deque[Report],
        doors: Doors,
        recorder: Callable[[Report], None] = nobody,
        step_aside: Callable[[], None] = lambda: None,
    ) -> None:
        self._desk = desk
        self._news = news
        self._reports = reports
        self._record = recorder
        self._control: Control | None = None
        if doors.listener is not None:
            self._control = Control(doors.listener, desk.answer, news.welcome, step_aside)
        self._osc = Osc(doors.osc, desk.answer, desk.names, step_aside) if doors.osc is not None else None

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return self._control is not None and self._control.watched

    @property
    def _ways(self) -> list[Control | Osc]:
        return [way for way in (self._control, self._osc) if way is not None]

    def register(self, selector: selectors.BaseSelector) -> None:
        """Let `selector` wait for those who come."""
        for way in self._ways:
            selector.register(way, selectors.EVENT_READ)

    def wakes_at(self, now: float) -> float:
        """The second when there is something to do, whatever the selector says; infinite if never."""
        if len(self._reports) > _MOST:
            return now
        news = self._news.wakes_at(now) if self.watched else math.inf
        return min([news, *(way.wakes_at() for way in self._ways)])

    def serve(self, now: float) -> None:
        """Look at what the player reports, answer what is asked, tell what there is to tell."""
        events = list(self._heed())
        if self._control is not None and self._control.watched:
            self._control.tell([*events, *self._news.due(now)])
        for way in self._ways:
            way.serve(now)
        self._news.watch(watched=self.watched)

    def close(self) -> None:
        """Take in the last reports, and let go of everybody."""
        while self._reports:
            list(self._heed())
        for way in self._ways:
            way.close()
        self._news.watch(watched=False)

    def _heed(self) -> Iterator[Event]:
        watched = self.watched
        for _ in range(min(_MOST, len(self._reports))):
            report = self._reports.popleft()
            self._record(report)
            self._desk.heed(report)
            self._note(report)
            if watched:
                yield from self._news.told(report)

    def _note(self, report: Report) -> None:
        match report:
            case BarPlayed() as bar:
                _log.info("%s", bar_line(bar, self._desk.settings.midi.transpose), extra=_TOLD)
            case Changed(values):
                _log.info("%s", in_a_line(values), extra=_TOLD)
                level = dict(values).get("log.level")
                if isinstance(level, str):
                    logging.getLogger().setLevel(level.upper())
            case ModeSet(mode):
                _log.info("play.mode is %s", mode, extra=_TOLD)
            case Asked(verb, argument):
                self._desk.asked(verb, argument)
