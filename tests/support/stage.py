# SPDX-License-Identifier: Apache-2.0
"""A stage for trials with real programs: a JACK server, an ear, the programs, and sideman among them."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from ports.conftest import running_server, until
from sideman.control.client import ControlClient
from sideman.midi.jack import IS_INPUT, IS_OUTPUT
from support.jack_ear import HeardMidi, JackEar
from support.processes import DaemonProcess, running_daemon

FRAMES = 256
"""The period of the server."""


class Stage:
    """The programs of one trial, in a folder of their own, which is also their home."""

    def __init__(self, folder: Path, ear: JackEar, stack: ExitStack) -> None:
        self.folder, self.ear, self._stack = folder, ear, stack
        self._daemons = 0

    def start(self, *command: str, **env: str) -> subprocess.Popen[str]:
        """Start a program; what it prints goes to a file named after it. It ends with the trial."""
        with (self.folder / f"{Path(command[0]).name}.log").open("w") as log:
            process = subprocess.Popen(
                command, env=self.environment(**env), stdin=subprocess.PIPE, stdout=log, stderr=log, text=True
            )
        self._stack.callback(_end, process)
        return process

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a program without a screen."""
        return {**os.environ, "HOME": str(self.folder), "QT_QPA_PLATFORM": "offscreen", **more}

    def sideman(self, *settings: str, name: str = "sideman") -> DaemonProcess:
        """A sideman with a state of its own by its `name`; it is ready."""
        given = (f"midi.client={name}", f"control.socket={self.folder / name}", "play.late_ms=1000", *settings)
        state = self.folder / f"{name}-state"
        state.mkdir(exist_ok=True)
        daemon = self._stack.enter_context(running_daemon(self.folder, *given, STATE_DIRECTORY=str(state)))
        daemon.wait_for("ready")
        return daemon

    def ask(self, request: str, name: str = "sideman", **fields: Any) -> Any:
        """The answer of a sideman to a request."""
        with closing(ControlClient(self.folder / name)) as control:
            return control.request(request, **fields)

    def connect(self, source: str, destination: str) -> None:
        """Connect two ports by parts of their names, as soon as both are there; those of the ear have no client."""

        def connected() -> bool:
            found = self.ear.find(source, IS_OUTPUT)
            other = destination if destination in self.ear.inputs else self.ear.find(destination, IS_INPUT)
            return bool(found and other and self.ear.connect(found, other))

        until(connected)

    def listen(self, seconds: float) -> tuple[int, int]:
        """Let that many seconds pass; returns the first frame and the one after the last."""
        start = self.ear.frame
        time.sleep(seconds)
        return start, self.ear.frame

    def next_onset(self, port: int = 1) -> int:
        """Wait for the next note; returns its frame."""
        start = self.ear.frame
        notes: list[HeardMidi] = until(
            lambda: self.ear.heard(start, 2**62, lambda event: event.port == port and event.is_onset)
        )
        return notes[0].frame


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


@contextmanager
def stage(midi_inputs: int = 1, server: Callable[[], Any] | None = None) -> Iterator[Stage]:
    """A stage with a JACK server of its own, which has real-time rights if we have them; or with another `server`."""
    realtime = subprocess.run(["chrt", "-f", "10", "true"], capture_output=True, check=False).returncode == 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        stack.enter_context(server() if server else running_server(FRAMES, realtime))
        ear = stack.enter_context(closing(JackEar(midi_inputs=midi_inputs)))
        yield Stage(folder, ear, stack)
