# SPDX-License-Identifier: Apache-2.0
"""A control API with a real engine behind it, on a clock that the test moves; and clients of a real control socket."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sideman.config.sources import SettingsSources
from sideman.control.api import ControlApi
from sideman.control.codec import encode_line, make_request
from sideman.control.feed import EventFeed
from sideman.control.protocol import DaemonInfo
from sideman.control.requests import Answer
from sideman.control.server import ControlServer, RequestHandler
from sideman.control.settings_api import SettingsApi
from sideman.control.socket_file import UnixListener
from sideman.core.engine import Engine
from sideman.core.events import BarPlayed, Command, InputReceived, NoteOn, Report
from sideman.core.snapshot import Snapshot
from support.fakes import FakeClock, performance

DAEMON = DaemonInfo(version="1.0", name="sideman", bundle="modern", ports="plays to a port", clock="internal")
KEPT_TAKE = "/takes/kept.mid"


@dataclass
class ControlScene:
    """An engine that plays while `play_until` lets time pass, its control API and feed, and what they have produced."""

    engine: Engine
    sources: SettingsSources = field(default_factory=SettingsSources)
    clock: FakeClock = field(default_factory=FakeClock)
    commands: list[Command] = field(default_factory=list)
    reports: deque[Report] = field(default_factory=deque)
    note_ons: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine.report = self.reports.append
        self.snapshot = self.engine.snapshot(0.0)
        settings = self.snapshot.settings
        settings_api = SettingsApi(self.put, settings, settings, self.engine.chart.chart, self.sources)
        self.api = ControlApi(
            self.put, self.now, lambda: self.snapshot, settings_api, lambda: DAEMON, lambda: KEPT_TAKE
        )
        self.feed = EventFeed(self.api, lambda: self.snapshot)

    @property
    def status(self) -> Snapshot:
        """The present snapshot."""
        return self.engine.snapshot(self.clock.second)

    def put(self, item: Command) -> None:
        """Let the engine receive a command at once, as the inbox and the player do."""
        self.commands.append(item)
        self.reports.append(InputReceived(self.clock.second, self.engine.beat_at(self.clock.second), item))
        self.engine.receive(item, self.clock.second)
        self.snapshot = self.status

    def now(self) -> float:
        """The present second."""
        return self.clock.second

    def play_until(self, until: float) -> None:
        """Let the engine play until a second."""
        while self.clock.second < until:
            self.engine.prepare(self.clock.second)
            deadline = self.engine.deadline()
            self.clock.second = until if deadline is None else min(deadline, until)
            for due in self.engine.advance(self.clock.second):
                if isinstance(due.item, BarPlayed):
                    self.reports.append(due.item)
                elif isinstance(due.item, NoteOn):
                    self.note_ons.append((due.second, due.item.pitch))
            self.engine.prepare(self.clock.second)
            self.snapshot = self.status

    def ask(self, name: str, /, **fields: object) -> Any:
        """The result of a request, as it comes out of the socket."""
        return json.loads(encode_line(Answer(None, True, self.api.answer(make_request(name, fields)))))["result"]

    def handle_reports(self) -> None:
        """Let the API handle what the engine has reported."""
        while self.reports:
            self.api.handle_report(self.reports.popleft())


def control_scene(sources: SettingsSources | None = None, **keys: Any) -> ControlScene:
    """A scene with some settings given, a dot written as two underscores."""
    return ControlScene(performance(**keys).make_engine(0.0), sources or SettingsSources())


class SocketClient:
    """A client of the control socket that never waits."""

    def __init__(self, path: Path) -> None:
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.connect(str(path))
        self.connection.setblocking(False)
        self.is_open = True
        self._received = b""

    def __del__(self) -> None:
        self.connection.close()

    def send(self, data: bytes) -> int:
        """Send as much as can be sent at once, and return how much that was."""
        try:
            return self.connection.send(data)
        except OSError:
            return 0

    def send_request(self, **request: object) -> None:
        """Send a request."""
        self.send(json.dumps(request).encode() + b"\n")

    def lines(self) -> list[dict[str, Any]]:
        """The whole lines that have come by now; `is_open` says whether more can come."""
        try:
            while data := self.connection.recv(1 << 20):
                self._received += data
            self.is_open = False
        except BlockingIOError:
            pass
        except OSError:
            self.is_open = False
        *lines, self._received = self._received.split(b"\n")
        return [json.loads(line) for line in lines]


@contextmanager
def served_socket(folder: Path, handle: RequestHandler, initial_events: Any = list) -> Iterator[ControlServer]:
    """The server of a control socket `folder/s`; the test calls `serve`."""
    listener = UnixListener(folder / "s")
    control = ControlServer(listener, handle, initial_events, lambda: None)
    try:
        yield control
    finally:
        control.close()
        listener.close()
