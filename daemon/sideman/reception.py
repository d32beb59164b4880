# SPDX-License-Identifier: Apache-2.0
"""Where the daemon meets everybody else: what the player reports is logged, told and done; what others ask is answered.

All of it happens in the main thread, a bounded piece at a time.
"""

from __future__ import annotations

import logging
import math
import selectors
from collections import deque
from collections.abc import Iterator

from sideman.core.reports import Asked, BarPlayed, Changed, Report
from sideman.core.written import in_a_line
from sideman.io.control import Control, Listener
from sideman.news import Event, News
from sideman.report import bar_line
from sideman.requests import Desk

_MOST = 500  # reports that are looked at in one go: signals and systemd come in between

_log = logging.getLogger(__name__)
_TOLD = {"told": True}  # those who watch are told of it otherwise


class Reception:
    """Serves those who come to `listener`, if there is one, and takes in the `reports` that the player leaves."""

    def __init__(self, desk: Desk, news: News, reports: deque[Report], listener: Listener | None = None) -> None:
        self._desk = desk
        self._news = news
        self._reports = reports
        self._control = Control(listener, desk.answer, news.welcome) if listener is not None else None

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return self._control is not None and self._control.watched

    def register(self, selector: selectors.BaseSelector) -> None:
        """Let `selector` wait for those who come."""
        if self._control is not None:
            selector.register(self._control, selectors.EVENT_READ)

    def wakes_at(self, now: float) -> float:
        """The second when there is something to serve, whatever `selector` says; infinite if never."""
        if self._control is None:
            return math.inf
        if self._reports and len(self._reports) > _MOST:
            return now
        return min(self._control.wakes_at(), self._news.wakes_at(now) if self._control.watched else math.inf)

    def serve(self, now: float) -> None:
        """Look at what the player reports, answer what is asked, tell what there is to tell."""
        events = list(self._heed(_MOST))
        if self._control is None:
            return
        if self._control.watched:
            events += self._news.due(now)
            self._control.tell(events)
        self._control.serve(now)
        self._news.watch(watched=self._control.watched)

    def close(self) -> None:
        """Take in the last reports, and let go of everybody."""
        while self._reports:
            list(self._heed(_MOST))
        if self._control is not None:
            self._control.close()
        self._news.watch(watched=False)

    def _heed(self, most: int) -> Iterator[Event]:
        watched = self.watched
        for _ in range(min(most, len(self._reports))):
            report = self._reports.popleft()
            self._desk.heed(report)
            self._note(report)
            if watched:
                yield from self._news.told(report)

    def _note(self, report: Report) -> None:
        match report:
            case BarPlayed() as bar:
                _log.info("%s", bar_line(bar), extra=_TOLD)
            case Changed(values):
                _log.info("%s", in_a_line(values), extra=_TOLD)
                level = dict(values).get("log.level")
                if isinstance(level, str):
                    logging.getLogger().setLevel(level.upper())
            case Asked(verb, argument):
                self._desk.asked(verb, argument)
