# SPDX-License-Identifier: Apache-2.0
"""The control socket: its lines, its file, and that nobody who comes can hurt it. Time is the test's own."""

from __future__ import annotations

import json
import os
import resource
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.control.protocol import _decoder, _interruptible_decoder
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
from sideman.control.unix_listener import UnixListener
from sideman.core.errors import Unavailable, UsageError
from support.control import SocketClient, served_socket

STATUS = {"do": "status", "id": 7}


def answer(request: Mapping[str, object]) -> object:
    """A desk of one verb."""
    if request.get("do") != "status":
        raise UsageError("no such request")
    return {"bpm": 120}


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlServer]:
    """A control socket."""
    with served_socket(tmp_path, answer, lambda: [{"event": "chart"}]) as made:
        yield made


def serve(control: ControlServer, second: float, turns: int = 3) -> None:
    """As the main thread does, within one round."""
    for _ in range(turns):
        control.serve(second)


def test_a_request_is_answered_with_its_id(control: ControlServer, tmp_path: Path) -> None:
    """No program could tell which answer belongs to which request."""
    client = SocketClient(tmp_path / "s")
    for number in (7, "a", None, 1.5, True):
        client.send_request(v=1, id=number, do="status")
    serve(control, 0.0)
    assert client.lines() == [
        {"v": 1, "id": number, "ok": True, "result": {"bpm": 120}} for number in (7, "a", None, 1.5, True)
    ]
    client.send_request(do="nope", id=3)
    client.send_request(v=2, do="status")
    serve(control, 1.0)
    assert [(line["ok"], line["error"]) for line in client.lines()] == [
        (False, "no such request"),
        (False, "v: this sideman speaks version 1"),
    ]


def test_a_line_may_come_in_pieces_and_several_at_once(control: ControlServer, tmp_path: Path) -> None:
    """What the system parts or joins on its way would be lost."""
    client = SocketClient(tmp_path / "s")
    data = b"".join(json.dumps({"do": "status", "id": number}).encode() + b"\r\n\n" for number in range(3))
    for at in range(0, len(data), 5):
        client.send(data[at : at + 5])
        serve(control, float(at))
    assert [line["id"] for line in client.lines()] == [0, 1, 2]


def test_who_sends_no_more_still_gets_the_answer(control: ControlServer, tmp_path: Path) -> None:
    """`echo … | nc -U` would show nothing."""
    client = SocketClient(tmp_path / "s")
    client.send(json.dumps(STATUS).encode())
    client.connection.shutdown(socket.SHUT_WR)
    serve(control, 0.0)
    assert [line["ok"] for line in client.lines()] == [True]
    assert not client.is_open


def test_who_watches_is_told_first_how_it_stands_and_then_what_happens(control: ControlServer, tmp_path: Path) -> None:
    """A view would have to wait for a change before it could show anything."""
    watcher, other = SocketClient(tmp_path / "s"), SocketClient(tmp_path / "s")
    watcher.send_request(do="watch", id=1)
    watcher.connection.shutdown(socket.SHUT_WR)  # it may say no more, and go on reading
    other.send_request(**STATUS)
    serve(control, 0.0)
    assert control.has_watchers
    control.publish([{"event": "beat", "beat": 1}, {"event": "beat", "beat": 2}])
    told = watcher.lines()
    assert told[0] == {"v": 1, "id": 1, "ok": True, "result": None}
    assert [line.get("event") for line in told[1:]] == ["chart", "beat", "beat"]
    assert all(line["v"] == 1 for line in told)
    assert [line["id"] for line in other.lines()] == [7]
    watcher.connection.close()
    control.publish([{"event": "beat"}])
    assert not control.has_watchers


# -- those who mean no good


def test_a_flood_keeps_nobody_waiting_and_costs_a_bounded_time(control: ControlServer, tmp_path: Path) -> None:
    """A program gone mad would take the main thread from signals and from everybody else."""
    asked = 0

    def count(request: Mapping[str, object]) -> object:
        nonlocal asked
        asked += 1
        return answer(request)

    control._handle = count
    floods = [SocketClient(tmp_path / "s") for _ in range(20)]
    line = json.dumps(STATUS).encode() + b"\n"
    for flood in floods:
        flood.send(line * 2000)
    gentle = SocketClient(tmp_path / "s")
    for number in range(4):  # until all are in
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


def test_who_comes_again_and_again_gets_no_more(control: ControlServer, tmp_path: Path) -> None:
    """A program that is let go of, and joins anew, would get round every limit."""
    for _ in range(3):
        clients = [SocketClient(tmp_path / "s") for _ in range(20)]
        serve(control, 0.0, turns=50)
        del clients
    assert len(control._clients) <= REQUESTS_PER_CLIENT
    assert control.wakes_at() == ROUND_S


def test_costly_requests_let_others_in_between(
    control: ControlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Charts of thousands of bars, one after the other, would keep signals and the watchdog waiting for seconds."""
    second = 0.0

    def think(request: Mapping[str, object]) -> object:
        nonlocal second
        second += 0.8 * ROUND_S
        return answer(request)

    control._handle = think
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


def test_long_requests_count_for_more(control: ControlServer, tmp_path: Path) -> None:
    """Lines of nothing but brackets would keep the main thread busy all the time."""
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


def test_all_that_is_asked_is_answered_in_the_end(control: ControlServer, tmp_path: Path) -> None:
    """A script that sends a hundred settings at once would lose some."""
    client = SocketClient(tmp_path / "s")
    for number in range(100):
        client.send_request(do="status", id=number)
    told: list[int] = []
    for number in range(100 // REQUESTS_PER_CLIENT + 1):
        serve(control, number * 2 * ROUND_S)
        told += [line["id"] for line in client.lines()]
    assert told == list(range(100))


def test_who_does_not_read_is_dropped(control: ControlServer, tmp_path: Path) -> None:
    """A viewer that was stopped with Ctrl-Z would make the daemon's memory grow for ever."""
    sleeper, watcher = SocketClient(tmp_path / "s"), SocketClient(tmp_path / "s")
    for client in (sleeper, watcher):
        client.send_request(do="watch")
    serve(control, 0.0)
    event = {"event": "status", "text": "x" * 1000}
    read = 0
    for _ in range(2 * MAX_UNSENT_BYTES // 1000):
        control.publish([event])
        read += len(watcher.lines())
    assert read == 2 * (MAX_UNSENT_BYTES // 1000) + 2 + (2 * MAX_UNSENT_BYTES // 1000) % 2
    assert len(control._clients) == 1
    assert watcher.is_open
    sleeper.lines()
    assert not sleeper.is_open


def test_a_line_without_end_is_told_so_and_dropped(control: ControlServer, tmp_path: Path) -> None:
    """Ten megabytes without a line's end would be kept in memory."""
    client, other = SocketClient(tmp_path / "s"), SocketClient(tmp_path / "s")
    sent, second = 0, 0.0
    while sent < 10_000_000 and (went := client.send(b"x" * 100_000)):
        sent, second = sent + went, second + 1
        serve(control, second)
    assert sent < 1_000_000
    assert [line["error"] for line in client.lines()] == [f"a line of more than {MAX_LINE_BYTES} bytes; good-bye"]
    assert not client.is_open
    other.send_request(**STATUS)
    serve(control, 1000.0)
    assert len(other.lines()) == 1


def test_only_so_many_come_in(control: ControlServer, tmp_path: Path) -> None:
    """A program that never closes its connections would take all our files."""
    clients = []
    for _ in range(100):
        clients.append(SocketClient(tmp_path / "s"))
        serve(control, len(clients) * 2 * ROUND_S)
    told = [client.lines() for client in clients]
    assert [client.is_open for client in clients] == [True] * MAX_CLIENTS + [False] * (100 - MAX_CLIENTS)
    assert told[MAX_CLIENTS:] == [told[-1]] * (100 - MAX_CLIENTS)
    assert "come back later" in told[-1][0]["error"]
    clients[0].connection.close()
    serve(control, 100.0)
    late = SocketClient(tmp_path / "s")
    late.send_request(**STATUS)
    serve(control, 200.0)
    assert len(late.lines()) == 1


def test_no_more_files_is_no_end(control: ControlServer, tmp_path: Path) -> None:
    """On a machine that is short of files the main thread would spin, or end."""
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


WRONG = [
    (b"hello", "no JSON"),
    (b"\xff\xfe\x00\x01", "no text"),
    (b"[1]", "want an object"),
    (b'{"do":NaN}', "NaN: no JSON"),
    (b'{"do":1e999}', "too large a number"),
    (b'{"do":' + b"9" * 5000 + b"}", "too large a number"),
    (b'{"do":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "nested too deeply"),
    (b'{"do":[' + b"[]," * 20_000 + b"[]]}", "more than 500 values"),
    (b"{" + b'"do":1,' * 5_000 + b'"do":"status"}', "more than 500 values"),
    (b'{"do":"status","id":[1]}', "id: want a number or a text"),
    (b'{"do":"status","id":"' + b"x" * 300 + b'"}', "id: want"),
    (b'{"do":"status"', "no JSON"),
    (b"\x00" * 100, "no JSON"),
]


@pytest.mark.parametrize(("line", "why"), WRONG)
def test_a_wrong_line_is_told_what_is_wrong(line: bytes, why: str, control: ControlServer, tmp_path: Path) -> None:
    """A slip of the pen would end the connection, or the daemon."""
    client = SocketClient(tmp_path / "s")
    client.send(line + b"\n")
    client.send_request(**STATUS)
    for second in range(20):
        serve(control, float(second))
    wrong, right = client.lines()
    assert wrong["ok"] is False
    assert why in wrong["error"]
    assert right["ok"] is True


def test_what_is_more_urgent_goes_before_each_request(tmp_path: Path) -> None:
    """A note would wait while many are answered one after the other."""
    done: list[object] = []
    listener = UnixListener(tmp_path / "s")
    with (
        closing(listener),
        closing(ControlServer(listener, done.append, list, lambda: done.append("a note"))) as control,
    ):
        client = SocketClient(tmp_path / "s")
        client.send(b'{"do":1}\n{"do":2}\n')
        serve(control, 0.0)
        assert done == ["a note", {"do": 1}, "a note", {"do": 2}]


def test_who_never_means_us_is_let_go(control: ControlServer, tmp_path: Path) -> None:
    """A browser, or a stream of MIDI bytes, sent here by mistake would be answered for ever."""
    client = SocketClient(tmp_path / "s")
    client.send(b"GET / HTTP/1.1\n" * 1000)
    for second in range(5):
        serve(control, float(second))
    assert not client.lines()[MAX_MISTAKES + 1 :]
    assert not client.is_open


@settings(max_examples=50)
@given(pieces=st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=60) | st.just(b"\n")), max_size=20))
def test_whatever_comes_others_are_answered(pieces: list[tuple[int, bytes]], tmp_path_factory: Any) -> None:
    """Some unlucky bytes would end the daemon, and with it the music."""
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


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=50)
@given(json_values, st.booleans(), st.booleans())
def test_long_lines_are_read_as_short_ones(value: object, ascii_: bool, spaced: bool) -> None:
    """A long chart would come out as another one than a short one."""
    text = json.dumps(value, ensure_ascii=ascii_, indent=1 if spaced else None)
    assert _interruptible_decoder.decode(text) == _decoder.decode(text) == value


# -- the file


def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    """Anybody on the machine could play with it."""
    before = os.umask(0)
    try:
        listener = UnixListener(tmp_path / "s")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    listener.close()
    assert not (tmp_path / "s").exists()


def test_a_socket_left_by_a_dead_process_is_replaced(tmp_path: Path) -> None:
    """After a power cut there would be no control until somebody removed a file."""
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(tmp_path / "s"))
    left.listen()
    left.close()
    with served_socket(tmp_path, answer) as control:
        client = SocketClient(tmp_path / "s")
        client.send_request(**STATUS)
        serve(control, 0.0)
        assert len(client.lines()) == 1


def test_a_second_daemon_is_told_how_to_be_another(tmp_path: Path) -> None:
    """Two daemons would steal each other's requests."""
    with served_socket(tmp_path, answer) as control:
        with pytest.raises(Unavailable, match=r"another sideman listens there; .*midi.client=NAME"):
            UnixListener(tmp_path / "s")
        serve(control, 0.0)
        client = SocketClient(tmp_path / "s")
        client.send_request(**STATUS)
        serve(control, 1.0)
        assert len(client.lines()) == 1


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """A slip in control.socket would delete a file of the user's."""
    (tmp_path / "s").write_text("my diary")
    with pytest.raises(FileExistsError):
        UnixListener(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "my diary"


def test_at_the_end_only_our_own_socket_is_removed(tmp_path: Path) -> None:
    """An old daemon that ends late would cut off the new one."""
    old = UnixListener(tmp_path / "s")
    old.socket.close()
    new = UnixListener(tmp_path / "s")
    old.close()
    assert (tmp_path / "s").exists()
    new.close()
    assert not (tmp_path / "s").exists()
