# SPDX-License-Identifier: Apache-2.0
"""A desk with a real engine behind it, on time that the test moves; and clients of a real control socket."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sideman.config.sources import Sources
from sideman.control.api import Desk
from sideman.control.feed import News
from sideman.control.server import Answer, Control
from sideman.control.unix_listener import Listener
from sideman.core.engine import Engine
from sideman.core.events import Command, NoteOn
from sideman.core.reports import Arrived, BarPlayed, Report
from sideman.core.snapshot import Status
from support.fakes import FakeClock, performance

ABOUT: dict[str, object] = dict.fromkeys(("version", "name", "bundle", "ports", "clock"), "the same throughout")


@dataclass
class House:
    """An engine that plays while `go` lets time pass, a desk in front of it, and what came of both."""

    engine: Engine
    sources: Sources = field(default_factory=Sources)
    clock: FakeClock = field(default_factory=FakeClock)
    put_in: list[Command] = field(default_factory=list)
    reports: deque[Report] = field(default_factory=deque)
    struck: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine.tell = self.reports.append
        self.snapshot = self.engine.status(0.0)
        self.desk = Desk(self, lambda: self.snapshot, self.engine.tune.chart, self.sources, lambda: ABOUT)
        self.news = News(self.desk, lambda: self.snapshot)

    @property
    def status(self) -> Status:
        """How it stands."""
        return self.engine.status(self.clock.second)

    def put(self, item: Command) -> None:
        """As the inbox and the player do it, at once."""
        self.put_in.append(item)
        self.reports.append(Arrived(self.clock.second, self.engine.beat_at(self.clock.second), item))
        self.engine.receive(item, self.clock.second)
        self.snapshot = self.status

    def now(self) -> float:
        """The second it is."""
        return self.clock.second

    def go(self, until: float) -> None:
        """Let the engine play until a second."""
        while self.clock.second < until:
            self.engine.prepare(self.clock.second)
            deadline = self.engine.deadline()
            self.clock.second = until if deadline is None else min(deadline, until)
            for due in self.engine.advance(self.clock.second):
                if isinstance(due.what, BarPlayed):
                    self.reports.append(due.what)
                elif isinstance(due.what, NoteOn):
                    self.struck.append((due.second, due.what.pitch))
            self.engine.prepare(self.clock.second)
            self.snapshot = self.status

    def ask(self, verb: str, **arguments: object) -> Any:
        """The desk's answer, as it comes out of the socket."""
        return json.loads(json.dumps(self.desk.answer({"do": verb, **arguments}), allow_nan=False))

    def heed(self) -> None:
        """Let the desk know what the engine has reported."""
        while self.reports:
            self.desk.heed(self.reports.popleft())


def house(sources: Sources | None = None, **keys: Any) -> House:
    """A house with some settings given, a dot written as two underscores."""
    return House(performance(**keys).engine(0.0), sources or Sources())


class Client:
    """A program at the other end of the socket, which never waits."""

    def __init__(self, path: Path) -> None:
        self.way = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.way.connect(str(path))
        self.way.setblocking(False)
        self.open = True
        self._received = b""

    def __del__(self) -> None:
        self.way.close()

    def send(self, data: bytes) -> int:
        """Send as much as goes in at once; how much that was."""
        try:
            return self.way.send(data)
        except OSError:
            return 0

    def ask(self, **request: object) -> None:
        """Send a request."""
        self.send(json.dumps(request).encode() + b"\n")

    def lines(self) -> list[dict[str, Any]]:
        """What has come by now, whole lines only; `open` tells whether more can come."""
        try:
            while data := self.way.recv(1 << 20):
                self._received += data
            self.open = False
        except BlockingIOError:
            pass
        except OSError:
            self.open = False
        *lines, self._received = self._received.split(b"\n")
        return [json.loads(line) for line in lines]


@contextmanager
def serving(folder: Path, answer: Answer, welcome: Any = list) -> Iterator[Control]:
    """A control socket `folder/s`, served by whoever calls `serve`."""
    listener = Listener(folder / "s")
    control = Control(listener, answer, welcome)
    try:
        yield control
    finally:
        control.close()
        listener.close()
