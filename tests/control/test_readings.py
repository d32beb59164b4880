# SPDX-License-Identifier: Apache-2.0
"""Requests that need files: they never keep the main thread, nor another request that must not wait."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sideman.config import sources
from sideman.config.reading import BindingJob, ChartJob, Job
from sideman.control import readings
from sideman.control.readings import Pending, Readings, Steps
from sideman.control.requests import PresetRequest, Request
from sideman.core.chart.chart import Chart
from sideman.core.errors import ConfigError, NoSuchInput, SidemanError
from support.control import SocketClient, control_scene, served_socket


def steps(job: Job) -> Steps:
    """A request that needs one job."""
    answer = yield job
    return answer


def finish(reader: Readings, is_done: Callable[[], bool]) -> None:
    """Serve until something is done."""
    while not is_done():
        now = time.monotonic()
        reader.selector.select(max(0.0, min(60.0, reader.wakes_at() - now)))
        reader.serve(time.monotonic())


@pytest.fixture
def reader() -> Iterator[Readings]:
    """Readings that are closed at the end."""
    with closing(Readings()) as made:
        yield made


@pytest.mark.subprocess
def test_requests_are_answered_by_processes(reader: Readings, tmp_path: Path) -> None:
    """Guards against: a chart or a mistake in one that never reaches who has asked."""
    outcomes: list[Any] = []
    reader.perform("good", steps(ChartJob({"chart.changes": "| C | F |"}))).then(outcomes.append)
    reader.perform("bad", steps(ChartJob({"chart.file": str(tmp_path / "none.chart")}))).then(outcomes.append)
    finish(reader, lambda: len(outcomes) == 2)
    assert isinstance(outcomes[0], Chart)
    assert isinstance(outcomes[1], NoSuchInput)
    assert reader.wakes_at() == math.inf


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("raise SystemExit", "cannot be read with"),
        ("import os; os.kill(os.getpid(), 9)", "cannot be read with"),
        ("from sideman.config.reading import *; limit_itself(); x = bytearray(1 << 30)", "cannot be read with"),
        ("print('x' * (1 << 23), flush=True)", "cannot be read"),
        ("print('{}', flush=True)", "cannot be read here"),
    ],
)
def test_a_process_that_fails_is_only_a_refusal(
    program: str, words: str, reader: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: a file that ends the daemon, or its requests, together with the process that reads it."""
    monkeypatch.setattr(readings, "_PROGRAM", program)
    outcomes: list[Any] = []
    reader.perform("it", steps(ChartJob({}))).then(outcomes.append)
    finish(reader, lambda: bool(outcomes))
    assert isinstance(outcomes[0], SidemanError)
    assert words in str(outcomes[0])


@pytest.mark.subprocess
def test_a_process_that_never_ends_is_killed(reader: Readings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a file on a dead disk after which no preset can be chosen any more."""
    monkeypatch.setattr(readings, "_PROGRAM", "import time; time.sleep(1000)")
    outcomes: list[Any] = []
    reader.perform("it", steps(ChartJob({}))).then(outcomes.append)
    reader.serve(0.0)
    process = reader._process
    assert process is not None
    reader.serve(process.ends_at)
    assert "longer than" in str(outcomes[0])
    assert process._process.wait(60) == -9


@pytest.mark.subprocess
def test_closing_kills_and_refuses_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a stop that waits for a file, and a process that outlives the daemon."""
    monkeypatch.setattr(readings, "_PROGRAM", "import time; time.sleep(1000)")
    outcomes: list[Any] = []
    reader = Readings()
    reader.perform("one", steps(ChartJob({}))).then(outcomes.append)
    reader.serve(0.0)
    reader.perform("two", steps(ChartJob({}))).then(outcomes.append)
    process = reader._process
    assert process is not None
    reader.close()
    assert ["sideman stops" in str(each) for each in outcomes] == [True, True]
    assert process._process.wait(60) == -9


def test_a_storm_of_presets_reads_the_last_one(reader: Readings) -> None:
    """Guards against: ten thousand program changes that are still being read when the tune is over."""
    outcomes: list[Any] = []
    for _ in range(10_000):
        reader.perform("preset", steps(ChartJob({}))).then(outcomes.append)
    assert len(outcomes) == 9_999
    assert len(reader._waiting) == 1
    assert all("requested again" in str(each) for each in outcomes)


@pytest.mark.parametrize("urgent", ["panic", "stop"])
def test_panic_and_stop_do_not_wait_for_a_file(urgent: str, tmp_path: Path) -> None:
    """Guards against: a client that cannot end the notes because its chart is still being read."""
    pending, scene = Pending(), control_scene()

    def handle(request: Request) -> object:
        return pending if isinstance(request, PresetRequest) else scene.api.answer(request)

    with served_socket(tmp_path, handle) as server:
        client = SocketClient(tmp_path / "s")
        client.send_request(do="preset", name="x", id=1)
        client.send_request(do="set", key="play.gate", value=0.5, id=2)
        client.send_request(do=urgent, id=3)
        for round_ in range(5):
            server.serve(float(round_))
        assert client.lines() == []
        assert [type(each).__name__ for each in scene.commands] == [urgent.capitalize()]
        pending.finish(NoSuchInput("gone"))
        for round_ in range(5, 10):
            server.serve(float(round_))
        assert [(each["id"], each["ok"]) for each in client.lines()] == [(1, False), (2, True), (3, True)]


def test_other_clients_do_not_wait_for_a_file(tmp_path: Path) -> None:
    """Guards against: a view that stands still, and a client that is gone, while a chart is read."""
    pending, scene = Pending(), control_scene()

    def handle(request: Request) -> object:
        return pending if isinstance(request, PresetRequest) else scene.api.answer(request)

    with served_socket(tmp_path, handle) as server:
        asking, other = SocketClient(tmp_path / "s"), SocketClient(tmp_path / "s")
        server.serve(0.0)
        asking.send_request(do="preset", name="x")
        asking.connection.close()
        other.send_request(do="get", key="play.gate")
        for round_ in range(1, 5):
            server.serve(float(round_))
        assert other.lines()[0]["ok"]
        pending.finish(None)  # the client is not there any more
        server.serve(6.0)


def test_a_flood_behind_a_request_that_waits_is_left_to_the_client(tmp_path: Path) -> None:
    """Guards against: memory that fills with requests while a file is read."""
    with served_socket(tmp_path, lambda _: Pending()) as server:
        client = SocketClient(tmp_path / "s")
        client.send_request(do="preset", name="x")
        for round_ in range(200):
            client.send(b'{"do":"status"}\n' * 1000)
            server.serve(float(round_))
        (connection,) = server._clients
        assert len(connection._received) <= 1 << 17


@pytest.mark.subprocess
def test_what_is_learned_is_written_by_a_daemon_that_looks_into_no_file(
    reader: Readings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: a huge or hostile configuration that delays a panic because a knob was learned."""
    for name in ("parse_yaml", "edit_yaml", "read_file"):
        monkeypatch.setattr(sources, name, None)
    file, outcomes = tmp_path / "config.yaml", list[Any]()
    aliases = "".join(f"a{number}: &a{number} [*a{number - 1}, *a{number - 1}]\n" for number in range(1, 60))
    for content in (b"midi: [" * 30_000, b"&a0 x\n" + aliases.encode(), b"x" * (1 << 19), b"\xff"):
        file.write_bytes(content)
        reader.perform("learn", steps(BindingJob(str(file), "midi.cc.74", "play.gate"))).then(outcomes.append)
        finish(reader, lambda: bool(outcomes))
        assert isinstance(outcomes.pop(), ConfigError)
        assert file.read_bytes() == content
    remarks = "".join(f"# {'♭' * 60} {number}\n" for number in range(1000))
    file.write_text(f"{remarks}midi:\n  cc: {{1: tap}}\n", "utf-8")
    reader.perform("learn", steps(BindingJob(str(file), "midi.cc.74", "play.gate"))).then(outcomes.append)
    finish(reader, lambda: bool(outcomes))
    assert outcomes.pop().write() == file
    assert file.read_text("utf-8") == f"{remarks}midi:\n  cc: {{74: play.gate, 1: tap}}\n"
