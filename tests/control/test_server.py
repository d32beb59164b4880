# SPDX-License-Identifier: Apache-2.0
"""The server of the control socket: its lines, its file, and that no client can harm it. The tests move the clock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.control.protocol import (
    REQUESTS,
    BeatEvent,
    ChoicesEvent,
    LogEvent,
    ModeEvent,
    PortsEvent,
    PortsEvent2,
    ReleasedEvent,
    Request,
    SetRequest,
    StatusRequest,
    TakeRequest,
)
from sideman.control.readings import Pending
from sideman.control.server import (
    MAX_CLIENTS,
    MAX_LINE_BYTES,
    MAX_MISTAKES,
    MAX_UNSENT_BYTES,
    REQUESTS_PER_CLIENT,
    REQUESTS_PER_ROUND,
    ROUND_S,
    ControlServer,
)
from sideman.control.socket_file import UnixListener
from sideman.core.errors import Unavailable, UsageError
from sideman_models.writing import locked_file
from support.control import SocketClient, served_socket

STATUS = {"do": "status", "id": 7}


def answer(request: Request) -> object:
    """Answers one request and refuses the others."""
    if not isinstance(request, StatusRequest):
        raise UsageError("not now")
    return {"bpm": 120}


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlServer]:
    """The server of a control socket."""
    with served_socket(tmp_path, answer, lambda: [PortsEvent("none")]) as made:
        made.initial_timed_events = lambda: [(0.0, PortsEvent2("none", []))]
        yield made


def serve(control: ControlServer, second: float, turns: int = 3) -> None:
    """Serve a few times within one round, as the main thread does."""
    for _ in range(turns):
        control.serve(second)


def test_a_long_export_keeps_no_other_request(tmp_path: Path) -> None:
    """Guards against: a keyboard on the page that is dead while the sound of a take is made."""
    pending = Pending()
    with served_socket(tmp_path, lambda request: pending if isinstance(request, TakeRequest) else {"bpm": 120}) as made:
        client = SocketClient(tmp_path / "s")
        client.send_request(id=1, do="take", name="a", form="wav")
        client.send_request(id=2, do="status")
        client.connection.shutdown(socket.SHUT_WR)
        serve(made, 0.0)
        assert [line["id"] for line in client.lines()] == [2]
        assert client.is_open
        pending.finish(None)
        serve(made, 1.0)
        assert [line["id"] for line in client.lines()] == [1]
        assert not client.is_open


def test_a_request_is_answered_with_its_id(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: answers that a program cannot assign to its requests."""
    client = SocketClient(tmp_path / "s")
    for number in (7, "a", None, 1.5, True):
        client.send_request(v=1, id=number, do="status")
    serve(control, 0.0)
    assert client.lines() == [
        {"v": 1, "id": number, "ok": True, "result": {"bpm": 120}} for number in (7, "a", None, 1.5, True)
    ]
    client.send_request(do="panic", id=3)
    client.send_request(do="status", key=1, id=4)
    client.send_request(v=3, do="status", id=5)
    serve(control, 1.0)
    assert [(line["ok"], line["id"], line["error"]) for line in client.lines()] == [
        (False, 3, "not now"),
        (False, 4, "status: Object contains unknown field `key`; status takes nothing"),
        (False, 5, "v: this sideman speaks versions 1 and 2"),
    ]


def test_a_line_may_come_in_pieces_and_several_at_once(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: the loss of requests that the system splits or joins on their way."""
    client = SocketClient(tmp_path / "s")
    data = b"".join(json.dumps({"do": "status", "id": number}).encode() + b"\r\n\n" for number in range(3))
    for at in range(0, len(data), 5):
        client.send(data[at : at + 5])
        serve(control, float(at))
    assert [line["id"] for line in client.lines()] == [0, 1, 2]


def test_a_client_that_has_stopped_sending_gets_its_answer(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: an `echo … | nc -U` that shows nothing."""
    client = SocketClient(tmp_path / "s")
    client.send(json.dumps(STATUS).encode())
    client.connection.shutdown(socket.SHUT_WR)
    serve(control, 0.0)
    assert [line["ok"] for line in client.lines()] == [True]
    assert not client.is_open


def test_a_watcher_gets_the_state_first_and_then_the_events(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: a view that shows nothing until something changes."""
    watcher, other = SocketClient(tmp_path / "s"), SocketClient(tmp_path / "s")
    watcher.send_request(do="watch", id=1)
    watcher.connection.shutdown(socket.SHUT_WR)  # it may stop sending and go on reading
    other.send_request(**STATUS)
    serve(control, 0.0)
    assert control.has_watchers
    control.publish([BeatEvent(beat, 1, 0.0, 1, 1, "C", "F") for beat in (1, 2)])
    lines = watcher.lines()
    assert lines[0] == {"v": 1, "id": 1, "ok": True, "result": None}
    assert [line.get("event") for line in lines[1:]] == ["ports", "beat", "beat"]
    assert all(line["v"] == 1 for line in lines)
    assert [line["id"] for line in other.lines()] == [7]
    watcher.connection.close()
    control.publish([PortsEvent("")])
    assert not control.has_watchers


# -- clients that misbehave


def test_a_flood_delays_no_other_client_and_costs_a_bounded_time(
    control: ControlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: a program that keeps the main thread from signals and from all other clients."""
    monkeypatch.setattr("time.monotonic", lambda: 0.0)  # or a slow machine would pause earlier
    asked = 0

    def count(request: Request) -> object:
        nonlocal asked
        asked += 1
        return answer(request)

    control.handle = count
    floods = [SocketClient(tmp_path / "s") for _ in range(20)]
    line = json.dumps(STATUS).encode() + b"\n"
    for flood in floods:
        flood.send(line * 2000)
    gentle = SocketClient(tmp_path / "s")
    for number in range(4):  # until all clients are accepted
        gentle.lines()
        gentle.send_request(**STATUS)
        before = asked
        serve(control, number * 2 * ROUND_S, turns=50)
        assert asked - before <= REQUESTS_PER_ROUND
        assert control.wakes_at() == pytest.approx((2 * number + 1) * ROUND_S)
    for number in range(4, 8):
        gentle.lines()
        gentle.send_request(**STATUS)
        serve(control, number * 2 * ROUND_S, turns=50)
        assert len(gentle.lines()) >= 1
    assert asked == 8 * REQUESTS_PER_ROUND
    assert all(len(flood.lines()) <= 8 * REQUESTS_PER_CLIENT for flood in floods)


def test_connecting_again_and_again_evades_no_limit(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: a program that evades every limit by connecting again after each request."""
    for _ in range(3):
        clients = [SocketClient(tmp_path / "s") for _ in range(20)]
        serve(control, 0.0, turns=50)
        del clients
    assert len(control._clients) <= REQUESTS_PER_CLIENT
    assert control.wakes_at() == ROUND_S


def test_costly_requests_let_others_in_between(
    control: ControlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: charts of thousands of bars, one after the other, that delay signals and the watchdog."""
    second = 0.0

    def answer_slowly(request: Request) -> object:
        nonlocal second
        second += 0.8 * ROUND_S
        return answer(request)

    control.handle = answer_slowly
    monkeypatch.setattr("time.monotonic", lambda: second)
    clients = [SocketClient(tmp_path / "s") for _ in range(10)]
    for client in clients:
        client.send_request(**STATUS)
    serve(control, 0.0)
    assert sum(len(client.lines()) for client in clients) == 2
    assert control.wakes_at() > 2 * ROUND_S
    for number in range(1, 5):
        serve(control, float(number))
    assert sum(len(client.lines()) for client in clients) == 8


def test_long_requests_count_several_times(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: long lines that keep the main thread busy all the time."""
    long, short = SocketClient(tmp_path / "s"), SocketClient(tmp_path / "s")
    for _ in range(4):
        long.send(json.dumps({**STATUS, "v": 1, "id": "", "more": "x" * 20_000}).encode() + b"\n")
    for _ in range(4):
        short.send_request(**STATUS)
    serve(control, 0.0)
    assert (len(long.lines()), len(short.lines())) == (1, 4)
    serve(control, 2 * ROUND_S)
    assert not long.lines()
    for number in range(2, 10):
        serve(control, number * 2 * ROUND_S)
    assert 1 <= len(long.lines()) < 4


def test_all_requests_are_answered_in_the_end(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: a script that sends a hundred settings at once and loses some."""
    client = SocketClient(tmp_path / "s")
    for number in range(100):
        client.send_request(do="status", id=number)
    answered: list[int] = []
    for number in range(100 // REQUESTS_PER_CLIENT + 1):
        serve(control, number * 2 * ROUND_S)
        answered += [line["id"] for line in client.lines()]
    assert answered == list(range(100))


def test_a_client_that_does_not_read_is_dropped(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: a view, suspended with Ctrl-Z, that makes the daemon's memory grow without end."""
    sleeper, watcher = SocketClient(tmp_path / "s"), SocketClient(tmp_path / "s")
    for client in (sleeper, watcher):
        client.send_request(do="watch")
    serve(control, 0.0)
    event = LogEvent("info", "x" * 1000)
    read = 0
    for _ in range(2 * MAX_UNSENT_BYTES // 1000):
        control.publish([event])
        read += len(watcher.lines())
    assert read == 2 * (MAX_UNSENT_BYTES // 1000) + 2 + (2 * MAX_UNSENT_BYTES // 1000) % 2
    assert len(control._clients) == 1
    assert watcher.is_open
    sleeper.lines()
    assert not sleeper.is_open


def test_a_page_that_never_reads_delays_and_costs_nothing_while_10_000_events_a_second_are_sent(
    control: ControlServer, tmp_path: Path
) -> None:
    """Guards against: a tab that sleeps, or an old program, for which the others or the notes have to wait."""
    sleeper, page, first = (SocketClient(tmp_path / "s") for _ in range(3))
    for client, version in ((sleeper, 2), (page, 2), (first, 1)):
        client.send_request(do="watch", v=version, choices=version == 2)
    serve(control, 0.0)
    started, read = len(page.lines()), [0, 0]
    first.lines()
    for turn in range(250):  # 5 s of turns of 20 ms
        events = [(0.02 * turn, ReleasedEvent(1 + 200 * turn + number)) for number in range(200)]
        control.publish([LogEvent("info", "x")], events)
        read[0] += len(page.lines())
        read[1] += len(first.lines())
        assert all(len(client._unsent) <= MAX_UNSENT_BYTES for client in control._clients)
    assert started == 2  # the answer, and the first event
    assert read == [50_000, 250]
    assert len(control._clients) == 2
    sleeper.lines()
    assert not sleeper.is_open
    assert page.is_open
    assert first.is_open


def test_each_client_gets_the_events_of_its_version_and_choices_if_it_asks(
    control: ControlServer, tmp_path: Path
) -> None:
    """Guards against: an older program that is sent lines it cannot read, and a phone that is sent too much."""
    clients = [SocketClient(tmp_path / "s") for _ in range(3)]
    for client, request in zip(clients, ({}, {"v": 2}, {"v": 2, "choices": True}), strict=True):
        client.send_request(do="watch", **request)
    serve(control, 0.0)
    for client in clients:
        assert [line["v"] for line in client.lines()] == [1 if client is clients[0] else 2] * 2
    assert control.has_timed_watchers(choices=True)
    control.publish([ModeEvent("solo", 1.0)], [(1.5, ModeEvent("solo", 1.0)), (2.0, ChoicesEvent(1.0, []))])
    mode: dict[str, Any] = {"event": "mode", "mode": "solo", "beat": 1.0}
    choices = {"v": 2, "second": 2.0, "event": "choices", "beat": 1.0, "options": []}
    both = {"v": 2, "second": 1.5, **mode}
    assert [client.lines() for client in clients] == [[{"v": 1, **mode}], [both], [both, choices]]
    clients[2].send_request(do="watch")  # it goes back to version 1
    serve(control, 1.0)
    assert control.has_timed_watchers()
    assert not control.has_timed_watchers(choices=True)


def test_a_line_that_does_not_end_ends_the_connection(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: ten megabytes without a line end that are kept in memory."""
    client, other = SocketClient(tmp_path / "s"), SocketClient(tmp_path / "s")
    sent, second = 0, 0.0
    while sent < 10_000_000 and (count := client.send(b"x" * 100_000)):
        sent, second = sent + count, second + 1
        serve(control, second)
    assert sent < 1_000_000
    assert [line["error"] for line in client.lines()] == [f"a line of more than {MAX_LINE_BYTES} bytes; good-bye"]
    assert not client.is_open
    other.send_request(**STATUS)
    serve(control, 1000.0)
    assert len(other.lines()) == 1


def test_the_number_of_clients_is_limited(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: a program that never closes its connections and uses up the daemon's file descriptors."""
    clients = []
    for _ in range(100):
        clients.append(SocketClient(tmp_path / "s"))
        serve(control, len(clients) * 2 * ROUND_S)
    lines = [client.lines() for client in clients]
    assert [client.is_open for client in clients] == [True] * MAX_CLIENTS + [False] * (100 - MAX_CLIENTS)
    assert lines[MAX_CLIENTS:] == [lines[-1]] * (100 - MAX_CLIENTS)
    assert "come back later" in lines[-1][0]["error"]
    clients[0].connection.close()
    serve(control, 100.0)
    late = SocketClient(tmp_path / "s")
    late.send_request(**STATUS)
    serve(control, 200.0)
    assert len(late.lines()) == 1


def test_running_out_of_file_descriptors_ends_nothing(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: a main thread that spins or ends when the process has no file descriptors left."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    client, waiting = SocketClient(tmp_path / "s"), SocketClient(tmp_path / "s")
    serve(control, 0.0)
    blocked = SocketClient(tmp_path / "s")
    resource.setrlimit(resource.RLIMIT_NOFILE, (blocked.connection.fileno() + 1, before[1]))
    try:
        serve(control, 1.0)
        assert control.wakes_at() < 2.0
        client.send_request(**STATUS)
        serve(control, 1.0)
        assert len(client.lines()) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    blocked.send_request(**STATUS)
    serve(control, 2.0)
    assert len(blocked.lines()) == 1
    assert waiting.is_open


NOT_REQUESTS = [
    (b"hello", "JSON is malformed"),
    (b"\xff\xfe\x00\x01", "JSON is malformed"),
    (b"[1]", "Expected `object`"),
    (b'{"do":NaN}', "JSON is malformed"),
    (b'{"do":"status","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "nested too deeply"),
    (b'{"do":"status","id":[1]}', "id: expected a number or a text"),
    (b'{"do":"status","id":"' + b"x" * 300 + b'"}', "id: expected"),
    (b'{"do":"status","id":"' + b"x" * 3000 + b'"}', "id: expected"),
    (b'{"do":"status","id":1e999}', "id: expected"),
    (b'{"do":"status"', "truncated"),
    (b"\x00" * 100, "JSON is malformed"),
]
WRONG_REQUESTS = [
    (b"{}", "do: ''"),
    (b'{"do":"dance"}', "do: 'dance': no such request; there are status"),
    (b'{"do":"' + b"x" * 5000 + b'"}', "no such request"),
    (b'{"do":["status"]}', "no such request"),
    (b'{"do":' + b"9" * 5000 + b"}", "no such request"),
    (b'{"do":"status","x\\n":1}', "unknown field `x\\n`"),
    (b'{"do":"set","key":"\xff","value":1}', "set: "),
    (b'{"do":"set","key":"play.gate","value":1e999}', "set: Number out of range"),
    (b'{"do":"set","key":"play.gate","value":' + b"9" * 5000 + b"}", "set: Integer value out of range"),
    (b'{"do":"set","key":"play.gate","value":[' + b"[]," * 20_000 + b"[]]}", "set: more than 500 values"),
    (b'{"do":"set","key":"play.gate","value":[' + b"[]," * 20_000 + b'[]],"value":","}', "set: more than 500 values"),
    (b"{" + b'"do":1,' * 5_000 + b'"do":"status"}', "more than 500 values"),
]


@pytest.mark.parametrize(("line", "why"), NOT_REQUESTS)
def test_a_line_that_is_not_a_request_is_refused(line: bytes, why: str, control: ControlServer, tmp_path: Path) -> None:
    """Guards against: a typing mistake that ends the connection, or the daemon."""
    client = SocketClient(tmp_path / "s")
    client.send(line + b"\n")
    client.send_request(**STATUS)
    for second in range(20):
        serve(control, float(second))
    wrong, right = client.lines()
    assert (wrong["ok"], wrong["id"]) == (False, None)
    assert wrong["error"].startswith("not a request: ")
    assert why in wrong["error"]
    assert right["ok"] is True


@pytest.mark.parametrize(("line", "why"), WRONG_REQUESTS)
def test_a_wrong_request_is_refused_under_its_id(line: bytes, why: str, control: ControlServer, tmp_path: Path) -> None:
    """Guards against: a program that waits for the answer to its request for ever."""
    client = SocketClient(tmp_path / "s")
    client.send(line[:-1] + (b"," if len(line) > 2 else b"") + b'"id":8}\n')
    client.send_request(**STATUS)
    for second in range(20):
        serve(control, float(second))
    wrong, right = client.lines()
    assert (wrong["ok"], wrong["id"]) == (False, 8)
    assert why in wrong["error"]
    assert len(wrong["error"]) < 500
    assert right["ok"] is True


def test_a_long_text_may_contain_anything(tmp_path: Path) -> None:
    """Guards against: a long chart that is refused because it contains many commas and brackets."""
    requests: list[Request] = []
    text = "[A] | C, F | " * 4000
    with served_socket(tmp_path, requests.append) as control:
        client = SocketClient(tmp_path / "s")
        client.send_request(do="set", key="chart.changes", value=text)
        serve(control, 0.0)
        assert client.lines()[0]["ok"]
    assert isinstance(requests[0], SetRequest)
    assert requests[0].value == text


def test_a_file_name_that_is_not_utf8_can_be_sent(tmp_path: Path) -> None:
    """Guards against: a daemon that ends because a file name of another system stands in its status."""
    with served_socket(tmp_path, lambda _: {"settings": {"chart.file": os.fsdecode(b"\xff.chart")}}) as control:
        client = SocketClient(tmp_path / "s")
        client.send_request(do="status")
        serve(control, 0.0)
        assert client.lines()[0]["result"] == {"settings": {"chart.file": "\\udcff.chart"}}


def test_the_player_goes_first_before_each_request(tmp_path: Path) -> None:
    """Guards against: a note that waits while many requests are answered one after the other."""
    done: list[object] = []
    listener = UnixListener(tmp_path / "s")
    with (
        closing(listener),
        closing(ControlServer(listener, done.append, list, lambda: done.append("a note"))) as control,
    ):
        client = SocketClient(tmp_path / "s")
        client.send(b'{"do":"panic"}\n{"do":"tap"}\n')
        serve(control, 0.0)
        assert done == ["a note", REQUESTS["panic"](), "a note", REQUESTS["tap"]()]


def test_a_client_that_sends_no_requests_is_disconnected(control: ControlServer, tmp_path: Path) -> None:
    """Guards against: a browser, or a stream of MIDI bytes sent here by mistake, that is answered for ever."""
    client = SocketClient(tmp_path / "s")
    client.send(b"GET / HTTP/1.1\n" * 1000)
    for second in range(5):
        serve(control, float(second))
    assert not client.lines()[MAX_MISTAKES + 1 :]
    assert not client.is_open


@settings(max_examples=50)
@given(pieces=st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=60) | st.just(b"\n")), max_size=20))
def test_whatever_a_client_sends_others_are_answered(pieces: list[tuple[int, bytes]], tmp_path_factory: Any) -> None:
    """Guards against: bytes that end the daemon, and with it the music."""
    folder = tmp_path_factory.mktemp("fuzz")
    with served_socket(folder, answer) as control:
        wild = [SocketClient(folder / "s") for _ in range(3)]
        for second, (number, data) in enumerate(pieces):
            if data[:1] == b"q":
                wild[number].connection.shutdown(socket.SHUT_WR) if data[1:2] > b"a" else wild[
                    number
                ].connection.close()
            else:
                wild[number].send(data)
            serve(control, float(second))
        gentle = SocketClient(folder / "s")
        gentle.send_request(**STATUS)
        serve(control, 1e6)
        assert [line["id"] for line in gentle.lines()] == [7]
        for client in wild:
            client.connection.close()


# -- the file


def test_only_the_owner_can_use_the_socket(tmp_path: Path) -> None:
    """Guards against: other users of the machine who control the daemon."""
    before = os.umask(0)
    try:
        listener = UnixListener(tmp_path / "s")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    listener.close()
    assert not (tmp_path / "s").exists()


def test_a_socket_left_by_a_dead_process_is_replaced(tmp_path: Path) -> None:
    """Guards against: a power cut after which the daemon has no control socket until a file is removed by hand."""
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stale.bind(str(tmp_path / "s"))
    stale.listen()
    stale.close()
    with served_socket(tmp_path, answer) as control:
        client = SocketClient(tmp_path / "s")
        client.send_request(**STATUS)
        serve(control, 0.0)
        assert len(client.lines()) == 1


def test_a_second_daemon_says_how_to_use_another_socket(tmp_path: Path) -> None:
    """Guards against: two daemons that take each other's requests."""
    with served_socket(tmp_path, answer) as control:
        with pytest.raises(Unavailable, match=r"another sideman listens there; .*midi.client=NAME"):
            UnixListener(tmp_path / "s")
        serve(control, 0.0)
        client = SocketClient(tmp_path / "s")
        client.send_request(**STATUS)
        serve(control, 1.0)
        assert len(client.lines()) == 1


def test_a_lock_that_stays_busy_costs_only_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a daemon that does not start because something holds its lock."""
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    with locked_file(tmp_path / ".s.lock"), pytest.raises(OSError, match="starting there for a while"):
        UnixListener(tmp_path / "s")
    assert 0.5 < sum(pauses) < 3
    folder = os.open(tmp_path, os.O_RDONLY)  # what any user can lock
    fcntl.flock(folder, fcntl.LOCK_EX)
    UnixListener(tmp_path / "s").close()
    os.close(folder)
    assert (tmp_path / ".s.lock").stat().st_mode & 0o777 == 0o600


def test_a_lock_that_becomes_free_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: one of two daemons that start at once and has no socket."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked_file(tmp_path / ".s.lock"))
        monkeypatch.setattr("time.sleep", lambda _: stack.close())
        UnixListener(tmp_path / "s").close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("planted", ["socket", "lock"])
def test_what_another_user_plants_costs_only_the_socket(planted: str, tmp_path: Path) -> None:
    """Guards against: another user who keeps the daemon from starting, or gets its requests."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as theirs:
        place = tmp_path / ("s" if planted == "socket" else ".s.lock")
        theirs.bind(str(place))
        theirs.listen()
        os.chown(place, 4242, 4242)
        with pytest.raises(OSError, match=r"another user|not our own lock|No such device"):
            UnixListener(tmp_path / "s")
        assert place.is_socket()


def test_a_file_that_is_not_a_socket_is_not_removed(tmp_path: Path) -> None:
    """Guards against: a typing mistake in control.socket that deletes a file of the user."""
    (tmp_path / "s").write_text("my diary")
    with pytest.raises(FileExistsError):
        UnixListener(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "my diary"


def test_at_the_end_a_daemon_removes_only_its_own_socket(tmp_path: Path) -> None:
    """Guards against: an old daemon that ends late and removes the socket of the new one."""
    old = UnixListener(tmp_path / "s")
    old.socket.close()
    new = UnixListener(tmp_path / "s")
    old.close()
    assert (tmp_path / "s").exists()
    new.close()
    assert not (tmp_path / "s").exists()
