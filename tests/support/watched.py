# SPDX-License-Identifier: Apache-2.0
"""A player, the hub and clients of a real control socket in one thread, on a clock that the test moves.

The main thread of the daemon has its turn while the player waits: that is when the hub serves the clients here.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sideman.config.sources import SettingsSources
from sideman.control.api import ControlApi
from sideman.control.feed import EventFeed
from sideman.control.hub import ControlHub, Endpoints
from sideman.control.readings import read_here
from sideman.control.settings_api import SettingsApi
from sideman.control.socket_file import UnixListener
from sideman.core.events import Report
from sideman.playing.overload import Arrival
from sideman.playing.player import Player
from support.control import DAEMON, KEPT_TAKE, SocketClient
from support.fakes import FakeClock, RecordingOutput, performance

Line = dict[str, Any]
Request = Mapping[str, object]
TURN_S = 0.02
"""From one turn of the main thread to the next, at most."""


@dataclass
class ServingClock(FakeClock):
    """A clock that lets the hub serve while the player waits."""

    serve: Callable[[], None] = lambda: None

    def put(self, item: Any, second: float | None = None) -> None:
        """Leave something for the player."""
        arrival = Arrival(self.second if second is None else second, item)
        bisect.insort(self.arrivals, arrival, key=lambda each: each.second)

    def wait(self, until: float) -> Arrival | None:
        """See `Clock`."""
        self.serve()
        while True:
            if self.arrivals and self.arrivals[0].second <= max(self.second, min(until, self.second + TURN_S)):
                arrival = self.arrivals.pop(0)
                self.second = max(self.second, arrival.second)
                return arrival
            if self.second + TURN_S >= until:
                self.second = max(self.second, until)
                return None
            self.second += TURN_S
            self.serve()

    def is_idle(self) -> bool:
        """See `Clock`."""
        return not self.arrivals or self.arrivals[0].second > self.second

    def has_more(self, until: float) -> bool:
        """See `Clock`."""
        return self.second < until or not self.is_idle()


@dataclass
class WatchedPlay:
    """What was sent to the MIDI output, and the lines that each client got."""

    output: RecordingOutput
    lines: list[list[Line]]
    reports: list[Report] = field(default_factory=list)


def watched_play(
    folder: Path,
    until: float,
    watches: Sequence[Request],
    script: Sequence[tuple[float, object]] = (),
    *,
    late_s: float = 0.0,
    serves_after: bool = True,
    **keys: Any,
) -> WatchedPlay:
    """Play until that second while clients watch, each with its request; `script` says what happens when.

    That is a request, which the first client sends, or an event or a command, which the player receives. Each note is
    sent `late_s` late. `serves_after` says whether the hub serves once more between the player's end and its own.
    """
    clock, reports = ServingClock(oversleeps=lambda: late_s), deque[Report]()
    todo = sorted(script, key=lambda step: step[0])
    played = WatchedPlay(RecordingOutput(clock), [[] for _ in watches])
    engine = performance(**keys).make_engine(0.1)

    def report(each: Report) -> None:
        reports.append(each)
        played.reports.append(each)

    player = Player(engine, played.output, clock, report)
    settings = player.snapshot.settings
    settings_api = SettingsApi(clock.put, settings, settings, engine.chart.chart, SettingsSources())
    api = ControlApi(clock.put, clock.now, lambda: player.snapshot, settings_api, lambda: DAEMON, lambda: KEPT_TAKE)
    api.hear = clock.put
    listener = UnixListener(folder / "s")
    feed = EventFeed(api, lambda: player.snapshot)
    hub = ControlHub(api, feed, reports, Endpoints(listener), show_plan=partial(_show_plan, player))
    api.read_files = read_here  # at once, on this clock
    with closing(listener):
        clients = [SocketClient(folder / "s") for _ in watches]
        for client, request in zip(clients, watches, strict=True):
            client.send_request(do="watch", **request)

        def serve() -> None:
            while todo and todo[0][0] <= clock.second:
                _, step = todo.pop(0)
                if isinstance(step, Mapping):
                    clients[0].send_request(**step)
                else:
                    clock.put(step)
            for _ in range(2):  # what came in, and what follows from it
                hub.serve(clock.second)
            for client, lines in zip(clients, played.lines, strict=True):
                lines.extend(client.lines())

        clock.serve = serve
        clock.put(None, until)
        player.run()
        for _ in range(2 if serves_after else 0):
            serve()
            clock.second += 0.1
        hub.close()
        for client, lines in zip(clients, played.lines, strict=True):
            lines.extend(client.lines())
    return played


def _show_plan(player: Player, plan: bool, choices: bool) -> None:
    player.reports_plan, player.reports_choices = plan, choices
