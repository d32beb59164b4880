# SPDX-License-Identifier: Apache-2.0
"""The page's server: who is let in, what is served, and what becomes of a page when the daemon goes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.window import gate as gate_module
from sideman.window.bridge import DAEMON_ENDED, NO_DAEMON, OTHER_USER, WRONG_TOKEN
from sideman.window.gate import Gate, is_other_user
from sideman.window.server import PAGE_FOLDER, page_files
from support.page import TIMEOUT_S, ScriptedDaemon, coming, served_page

websockets = pytest.importorskip("websockets.sync.client")
exceptions = pytest.importorskip("websockets.exceptions")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[str, ScriptedDaemon]]:
    """A server for this machine alone, and its daemon."""
    with served_page(tmp_path) as served:
        yield served


def get(address: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask for a path exactly as it is written."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=TIMEOUT_S)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    result = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return result


def open_socket(address: str, token: str = "", **options: Any) -> Any:
    """Open the WebSocket as the page does."""
    netloc = urlsplit(address).netloc
    options = {"origin": f"http://{netloc}", "open_timeout": TIMEOUT_S, "compression": None, **options}
    return websockets.connect(f"ws://{netloc}/socket?token={token}", **options)


def closing_code(address: str, token: str = "") -> int:
    """How a WebSocket ends that the server does not serve."""
    with open_socket(address, token) as socket, pytest.raises(exceptions.ConnectionClosed) as closed:
        socket.recv(TIMEOUT_S)
    assert closed.value.rcvd is not None
    return int(closed.value.rcvd.code)


def test_each_file_of_the_page_is_served_and_may_load_only_its_like(page: tuple[str, ScriptedDaemon]) -> None:
    """Guards against: a page with a part missing; a script of somebody else's that runs in it."""
    address, _ = page
    for path in page_files(PAGE_FOLDER):
        status, headers, body = get(address, path)
        assert status == 200, path
        assert int(headers["Content-Length"]) == len(body) > 0
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert get(address, path, If_None_Match=headers["ETag"])[0] == 304


def test_the_page_has_no_inline_script_or_style_and_no_foreign_address() -> None:
    """Guards against: a page that the policy breaks; a request that tells a stranger who plays."""
    for path in PAGE_FOLDER.rglob("*"):
        if path.suffix not in (".html", ".js", ".css"):
            continue
        text = path.read_text("utf-8")
        assert "https://" not in text, path
        assert not [line for line in text.splitlines() if "http://" in line and "//" not in line.lstrip()[:2]], path
        assert "innerHTML" not in text
        assert "eval(" not in text
        if path.suffix == ".html":
            assert "style=" not in text
            assert text.count("<script") == text.count('<script type="module" src=') == 1


def test_every_word_of_the_page_is_in_its_files() -> None:
    """Guards against: a key of the page's words where a musician expects a word."""
    english, chinese = (
        json.loads((PAGE_FOLDER / "words" / f"{name}.json").read_text("utf-8")) for name in ("en", "zh")
    )
    assert english.keys() == chinese.keys()
    for name, text in english.items():
        assert {part for part in chinese[name].split("{") if "}" in part[:10]} or "{" not in text, name


@given(path=st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), max_size=60))
def test_only_files_of_the_page_have_an_address(path: str) -> None:
    """Guards against: a path that leads out of the folder."""
    assert f"/{path}" not in page_files(PAGE_FOLDER) or (PAGE_FOLDER / path).is_relative_to(PAGE_FOLDER)


@pytest.mark.parametrize(
    "path", ["/../server.py", "/%2e%2e/server.py", "/views/../../server.py", "//etc/passwd", "/views", "/.."]
)
def test_a_path_that_leads_out_is_not_served(page: tuple[str, ScriptedDaemon], path: str) -> None:
    """Guards against: the user's files read through the page's server."""
    assert get(page[0], path)[0] == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "10.0.0.1", "", "[::1", "a@b"]
)
def test_a_foreign_name_for_this_machine_is_refused(page: tuple[str, ScriptedDaemon], host: str) -> None:
    """Guards against: a web page that has its own name lead to us (DNS rebinding), and then steers sideman."""
    assert get(page[0], "/", Host=host)[0] == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1", "http://127.0.0.1:1", "null", None])
def test_a_socket_from_another_page_is_refused(page: tuple[str, ScriptedDaemon], origin: str | None) -> None:
    """Guards against: any web page that is open in the same browser steers sideman."""
    with pytest.raises(exceptions.InvalidStatus) as refused:
        open_socket(page[0], origin=origin).close()
    assert refused.value.response.status_code == 403
    assert page[1].requests == []


def test_two_origins_are_none(page: tuple[str, ScriptedDaemon]) -> None:
    """Guards against: a header that is given twice, of which we would check one and the browser mean the other."""
    with pytest.raises(exceptions.InvalidStatus):
        open_socket(page[0], additional_headers={"Origin": "http://evil.example"}).close()


def test_others_in_the_network_need_the_token(tmp_path: Path) -> None:
    """Guards against: everybody in the same café plays our set."""
    with served_page(tmp_path, Gate.of("127.0.0.1")) as (address, daemon):
        token = urlsplit(address).fragment
        assert len(token) >= 12
        for wrong in ("", token[:-1], token + "x", "ä"):
            assert closing_code(address, wrong) == WRONG_TOKEN
        assert daemon.requests == []
        with open_socket(address, token) as socket:
            socket.send('{"do":"clock","id":1}')
            assert json.loads(socket.recv(TIMEOUT_S))["ok"]


def test_tokens_differ() -> None:
    """Guards against: yesterday's address that still opens the door."""
    assert len({Gate.of("0.0.0.0").token for _ in range(20)}) == 20


def test_another_user_of_the_machine_stays_outside(
    page: tuple[str, ScriptedDaemon], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Guards against: a door on loopback that is wider than the control socket, which only its owner may open."""
    table = tmp_path / "tcp"
    row = "   0: 0100007F:{:04X} 0100007F:{:04X} 01 0:0 00:0 0 {:>8}        0 1 1 0 100 0 0 10 0\n"
    monkeypatch.setattr(gate_module, "_TCP_TABLE", table)
    for user, is_other in ((os.geteuid(), False), (0, False), (os.geteuid() + 1, True)):
        table.write_text("heading\n" + row.format(4000, 8765, user) + row.format(8765, 4000, os.geteuid()))
        assert is_other_user(4000, 8765) is is_other
    table.unlink()
    assert not is_other_user(4000, 8765)
    monkeypatch.setattr("sideman.window.server.is_other_user", lambda *_: True)
    assert closing_code(page[0]) == OTHER_USER


def test_another_user_who_has_left_already_stays_outside() -> None:
    """Guards against: another user's request that is done because its sender has hung up before it was looked at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        client.sendall(b"a request")
        accepted, (_, peer_port) = server.accept()
        with accepted:
            own_port = server.getsockname()[1]
            assert not is_other_user(peer_port, own_port)
            client.close()
            assert is_other_user(peer_port, own_port) is gate_module._TCP_TABLE.exists()
            with contextlib.suppress(OSError):  # until the system forgets the connection
                while True:
                    accepted.sendall(b"an answer")
            assert is_other_user(peer_port, own_port) is gate_module._TCP_TABLE.exists()


@pytest.mark.parametrize(
    "line", [b"GET //[ HTTP/1.1", b"\x1b[31mforged", b"GET /\x1b[2J HTTP/1.1", b"GET /socket HTTP/9"]
)
def test_what_strangers_send_is_never_written_to_a_terminal(
    page: tuple[str, ScriptedDaemon], line: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a terminal that obeys each who reaches the page's port; a log that a stranger can fill."""
    netloc = urlsplit(page[0]).netloc
    with socket.create_connection(("127.0.0.1", int(netloc.rpartition(":")[2])), TIMEOUT_S) as connection:
        connection.sendall(line + f"\r\nHost: {netloc}\r\n\r\n".encode())
        while connection.recv(1 << 16):
            pass
    assert get(page[0], "/")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_the_end_waits_for_no_page(tmp_path: Path) -> None:
    """Guards against: `sideman run --window` that ends only when a phone, asleep in a pocket, has read everything."""
    asked = threading.Event()

    def card(_request: object) -> dict[str, str]:
        asked.set()
        return {"card": "x" * (1 << 24)}  # more than any buffer holds

    with served_page(tmp_path) as (address, daemon):
        daemon.answers["card"] = card
        netloc = urlsplit(address).netloc
        deaf = socket.create_connection(("127.0.0.1", int(netloc.rpartition(":")[2])))
        key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
        upgrade = f"Origin: http://{netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}"
        deaf.sendall(f"GET /socket HTTP/1.1\r\nHost: {netloc}\r\n{upgrade}\r\n\r\n".encode())
        deaf.sendall(b"\x81\x8d\0\0\0\0" + b'{"do":"card"}')
        mute = socket.create_connection(("127.0.0.1", int(netloc.rpartition(":")[2])))  # sends no request at all
        assert asked.wait(TIMEOUT_S)
    deaf.close()
    mute.close()


def test_a_line_goes_through_as_it_is(page: tuple[str, ScriptedDaemon]) -> None:
    """Guards against: a page that sees other events than any client of the control socket."""
    address, daemon = page
    with open_socket(address) as socket:
        socket.send('{"do":"watch","v":2,\n"id":7,"choices":true}')  # a line end in it does not make two lines
        received = "\n".join(socket.recv(TIMEOUT_S) for _ in range(1))
        daemon.wait_for("watch")
        while received.count("\n") < 4:
            received += "\n" + socket.recv(TIMEOUT_S)
        answer, *first = map(json.loads, received.split("\n"))
        assert (answer["id"], answer["ok"]) == (7, True)
        assert [each["event"] for each in first] == ["chart", "ports", "status", "tempo"]
        event = coming(1, voice="Größe \u2028 ♭")
        daemon.send(event)
        assert json.loads(socket.recv(TIMEOUT_S)) == event


def test_ten_thousand_events_come_in_order(page: tuple[str, ScriptedDaemon]) -> None:
    """Guards against: a flood that loses or mixes lines."""
    address, daemon = page
    with open_socket(address) as socket:
        socket.send('{"do":"watch","v":2}')
        daemon.wait_for("watch")
        daemon.send(
            *({"event": "log", "level": "info", "text": "x" * (number % 90), "n": number} for number in range(10_000))
        )
        numbers: list[int] = []
        while len(numbers) < 10_000:
            events = map(json.loads, socket.recv(TIMEOUT_S).split("\n"))
            numbers += [each["n"] for each in events if each.get("event") == "log"]
        assert numbers == list(range(10_000))


def test_without_a_daemon_the_page_is_told_and_with_one_it_is_served(page: tuple[str, ScriptedDaemon]) -> None:
    """Guards against: a page that has to be loaded again after a restart of the daemon."""
    address, daemon = page
    with open_socket(address) as socket:
        socket.send('{"do":"clock"}')
        socket.recv(TIMEOUT_S)
        daemon.stop()
        with pytest.raises(exceptions.ConnectionClosed) as closed:
            socket.recv(TIMEOUT_S)
        assert closed.value.rcvd.code == DAEMON_ENDED
    assert closing_code(address) == NO_DAEMON
    daemon.start()
    with open_socket(address) as socket:
        socket.send('{"do":"clock"}')
        assert json.loads(socket.recv(TIMEOUT_S))["ok"]


def test_a_page_that_does_not_read_holds_up_nobody_else(page: tuple[str, ScriptedDaemon]) -> None:
    """Guards against: one sleeping phone that silences the page beside it."""
    address, daemon = page
    with open_socket(address) as sleeper, open_socket(address) as other:
        sleeper.send('{"do":"watch","v":2}')
        daemon.wait_for("watch")
        loop = daemon.loop.loop
        flood = b'{"event":"log","level":"info","text":"' + b"x" * 60_000 + b'"}\n'
        for watcher in daemon._watchers:
            loop.call_soon_threadsafe(watcher.write, flood * 200)
        for number in range(20):
            other.send(json.dumps({"do": "clock", "id": number}))
            assert json.loads(other.recv(TIMEOUT_S))["id"] == number


def test_addresses() -> None:
    """Guards against: an address on the terminal that leads nowhere."""
    assert Gate().address(8765) == "http://127.0.0.1:8765"
    assert Gate("::1", "t").address(1) == "http://[::1]:1/#t"
    assert "0.0.0.0" not in Gate("0.0.0.0", "t").address(1)
