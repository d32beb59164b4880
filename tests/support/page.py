# SPDX-License-Identifier: Apache-2.0
"""The page's server in a thread of the test, beside a daemon that says what the test lets it say."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sideman.window.gate import Gate
from sideman.window.server import PAGE_FOLDER, WindowServer, page_files
from support.processes import ROOT, daemon_environment

CHROMIUM = os.environ.get("SIDEMAN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--autoplay-policy=user-gesture-required"]
TIMEOUT_S = 30.0  # seconds: against hanging only
Result = TypeVar("Result")

STATUS: dict[str, Any] = {
    "version": "1.0", "name": "sideman", "bundle": "default", "ports": "plays to a port", "clock": "internal",
    "uptime_s": 1.0, "seed": 1, "mode": "trade", "doing": "playing", "rolling": True, "bpm": 120.0, "beat": 0.0,
    "bar": 1, "top": 0.0, "form_bar": 1, "chorus": 1, "chord": "Dm7", "next_chord": "G7", "coming": None,
    "chart": {"title": "Test Tune", "bars": 4, "meter": "4/4"}, "late": 0, "heard": 0, "echoes": 0, "played": 0,
    "settings": {"play.temperature": 1.0, "play.density": 1.0, "play.harmony": 1.0, "play.contour": 1.0,
                 "play.gate": 0.9, "play.velocity": 84, "midi.transpose": 0},
    "waiting": "", "turn_ends": 16.0,
}  # fmt: skip
CHART: dict[str, Any] = {
    "title": "Test Tune", "composer": "", "key": "C", "meter": "4/4", "meters": [[0, "4/4"]],
    "bars": [["Dm7"], ["G7", "C7"], ["Cmaj7"], ["A7b9"]], "sections": [[0, "A"]],
}  # fmt: skip

MODE: dict[str, Any] = {
    "value": "trade", "default": "solo", "live": True, "about": "who plays",
    "allowed": "solo, trade, answer, duet or off",
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "play.mode": MODE,
    "play.temperature": {**MODE, "value": 1.0, "default": 1.0, "allowed": "a number from 0 to 5"},
    "play.resume": {**MODE, "value": True, "default": False, "allowed": "true or false"},
    "midi.channel": {**MODE, "value": 1, "default": 1, "live": False, "allowed": "a whole number from 1 to 16"},
}


class Loop:
    """An asyncio loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work` in the loop, and return its result."""
        future: Future[Result] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(TIMEOUT_S)

    def close(self) -> None:
        """Stop the loop, after all its tasks have been cancelled."""

        async def cancel() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.run(cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(TIMEOUT_S)
        self.loop.close()


class ScriptedDaemon:
    """What listens on a control socket and speaks version 2, or only 1: it plays no music of its own.

    `answers` has a result, or a function that returns one, for each request; `requests` are those that have come.
    """

    def __init__(self, loop: Loop, path: Path, version: int = 2) -> None:
        self.loop, self.path, self.version = loop, path, version
        self.requests: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {
            "clock": lambda _: {"clock": "monotonic", "second": time.monotonic()},
            "get": lambda request: SETTINGS if request.get("key") is None else {"key": request["key"], **MODE},
            "ports": [{"setting": "midi.output", "name": "sideman:out", "open": True, "listeners": ["synth"]}],
            "set": lambda request: {"changed": {request["key"]: request["value"]}},
            "charts": ["blues"], "presets": ["bebop"], "takes": [], "card": {"card": "# A network"},
        }  # fmt: skip
        self._writers: list[asyncio.StreamWriter] = []
        self._watchers: list[asyncio.StreamWriter] = []
        self._changed = threading.Condition()
        self._server: asyncio.Server | None = None
        self.start()

    def start(self) -> None:
        """Listen."""
        self._server = self.loop.run(asyncio.start_unix_server(self._serve, self.path))

    def stop(self) -> None:
        """Go away, as a daemon that is killed does."""

        async def stop() -> None:
            assert self._server is not None
            self._server.close()
            self.path.unlink(missing_ok=True)
            for writer in self._writers:
                writer.transport.abort()
            self._writers, self._watchers = [], []

        self.loop.run(stop())

    def send(self, *events: dict[str, Any]) -> None:
        """Send events to those who watch."""
        lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)

        async def send() -> None:
            for writer in self._watchers:
                writer.write(lines)
                await writer.drain()

        self.loop.run(send())

    def wait_for(self, name: str, found: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """Wait for a request, and return it."""

        def which() -> dict[str, Any] | None:
            return next((each for each in self.requests if each["do"] == name and found(each)), None)

        with self._changed:
            assert self._changed.wait_for(lambda: which() is not None, TIMEOUT_S), f"no {name} in {self.requests}"
        request = which()
        assert request is not None
        return request

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(OSError):
            while line := await reader.readline():
                request = json.loads(line)
                writer.write(json.dumps(self._reply(request)).encode() + b"\n")
                if request["do"] == "watch" and request.get("v", 1) == self.version:
                    self._watchers.append(writer)
                    for event in self.first_events():
                        writer.write(json.dumps(event).encode() + b"\n")
                await writer.drain()
                with self._changed:
                    self.requests.append(request)
                    self._changed.notify_all()

    def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        head = {"v": request.get("v", 1), "id": request.get("id")}
        if request.get("v", 1) > self.version or (self.version == 1 and request["do"] == "clock"):
            return {**head, "ok": False, "error": "v: this sideman speaks version 1"}
        result = self.answers.get(request["do"])
        result = result(request) if callable(result) else result
        if isinstance(result, str) and result.startswith("error: "):
            return {**head, "ok": False, "error": result.removeprefix("error: ")}
        return {**head, "ok": True, "result": result}

    def first_events(self) -> list[dict[str, Any]]:
        """What a client gets first."""
        second = {"second": time.monotonic()} if self.version == 2 else {}
        tempo = {"event": "tempo", "bpm": 120.0, "beat": 0.0, "clock": "monotonic", "rolling": True, **second}
        ports = {"event": "ports", "text": "plays to a port", "ports": self.answers["ports"], **second}
        first = [{"event": "chart", **CHART, **second}, ports, {"event": "status", **STATUS, **second}]
        return [*first, *([tempo] if second else [])]


def coming(note: int, *, second: float | None = None, **fields: Any) -> dict[str, Any]:
    """The event of a note that is planned, half a second from now unless `second` says otherwise."""
    usual = {"beat": 1.0, "beats": 0.5, "length_s": 0.25, "pitch": 64, "velocity": 90, "voice": "solo", "channel": 1}
    due = time.monotonic() + 0.5 if second is None else second
    return {"event": "coming", "note": note, **usual, "value": "C,0.500,+2", "second": due, **fields}


@contextmanager
def served_page(folder: Path, gate: Gate | None = None, version: int = 2) -> Iterator[tuple[str, ScriptedDaemon]]:
    """The page's server and a scripted daemon; yields the page's address and the daemon."""
    loop = Loop()
    daemon = ScriptedDaemon(loop, folder / "s", version)
    gate = gate or Gate()
    server = WindowServer(gate, lambda: [daemon.path], page_files(PAGE_FOLDER))
    serving = server.serving(0)
    port = loop.run(serving.__aenter__())
    try:
        yield gate.address(port), daemon
    finally:
        daemon.stop()
        loop.run(serving.__aexit__(None, None, None))
        loop.close()


@contextmanager
def played_band(home: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """What `make play` runs, without a screen and, unless `words` say otherwise, without MIDI ports.

    Yields the process and the page's address. The control socket is `home / "s"`.
    """
    recipe = next(
        line for line in (ROOT / "Makefile").read_text("utf-8").splitlines() if "sideman run --window" in line
    )
    assert "--quiet" in recipe
    assert "--preset band" in recipe
    silent = ["--set", "midi.output=none", "--set", "midi.input=none", "--set", f"control.socket={home / 's'}"]
    command = [sys.executable, "-m", "sideman", "run", "--window", "--quiet", "--preset", "band", *silent, *words]
    env = daemon_environment(HOME=str(home), XDG_RUNTIME_DIR=str(home))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        env.pop(name, None)
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            yield program, program.stdout.readline().split()[1]
        finally:
            program.kill()
