# SPDX-License-Identifier: Apache-2.0
"""A Link session with two peers in a network of their own: this process, and sideman in another.

Run inside a network namespace by tests/midi/test_ableton_link.py, with the folder of a bundle; prints what happened,
in JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from sideman.core.events import LinkState
from sideman.midi.ableton_link import LinkSession, load_aalink, read_session
from support.fakes import hanging_notes
from support.processes import daemon_environment

TIMEOUT_S = 30.0  # seconds: against hanging only
FIRST_BPM, THEN_BPM, ASKED_BPM = 160.0, 220.0, 96.0
NOTES = 6
SETTINGS = (
    *("tempo.source=link", "tempo.bpm=90", "midi.input=none", "midi.output=none"),
    *("play.seed=1", "play.density=4", "play.rests=0", "play.gate=1", "play.late_ms=1000"),
)


def wait_until(true: Callable[[], object]) -> None:
    """Wait until it is true."""
    pause = threading.Event()
    for _ in range(int(TIMEOUT_S / 0.005)):
        if true():
            return
        pause.wait(0.005)
    raise TimeoutError


class Daemon:
    """A running sideman, and what it has sent and logged so far."""

    def __init__(self, bundle: str) -> None:
        words = [word for setting in (f"model.bundle={bundle}", *SETTINGS) for word in ("--set", setting)]
        command = [sys.executable, __file__.replace("link_session", "link_daemon"), *words]
        self._process = subprocess.Popen(
            command, env=daemon_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.log: list[str] = []
        self.sent: list[tuple[float, list[int]]] = []
        for read_on in (self._read_log, self._read_sent):
            threading.Thread(target=read_on, daemon=True).start()

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line.rstrip("\n"))
            print(line, end="", file=sys.stderr)  # noqa: T201 - shown if the test fails

    def _read_sent(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            second, *message = line.split()
            self.sent.append((float(second), [int(byte) for byte in message]))

    def onsets(self, since: float) -> list[float]:
        """The seconds of note-ons after `since`."""
        return [second for second, message in self.sent if message[0] & 0xF0 == 0x90 and second > since]

    def stop(self) -> int:
        """Stop it; its exit status."""
        self._process.terminate()
        return self._process.wait(TIMEOUT_S)


class Peer:
    """The other program in the session."""

    def __init__(self) -> None:
        loop = asyncio.new_event_loop()
        self.link = loop.run_until_complete(self._make())
        self.link.quantum, self.link.start_stop_sync_enabled, self.link.enabled = 4.0, True, True

    async def _make(self) -> Any:
        return load_aalink().Link(120.0)

    def beats(self, seconds: list[float]) -> list[float]:
        """The beats of the session at these seconds."""
        now, state, _ = read_session(self.link)
        return [state.beat + (second - now) * state.bpm / 60.0 for second in seconds]


def main(bundle: str) -> dict[str, object]:
    """Start, change the tempo, stop, start again; returns what was played meanwhile, in beats of the peer."""
    peer, daemon = Peer(), Daemon(bundle)
    found: dict[str, object] = {}
    wait_until(lambda: any("1 other" in line for line in daemon.log))
    peer.link.tempo = FIRST_BPM  # the peers have agreed on either of their tempi before
    wait_until(lambda: any("waiting for the start of Link at 160.0 bpm, 1 other" in line for line in daemon.log))
    found["before the start"] = len(daemon.sent)
    begins = _start_session(peer)
    found["first"] = _played_beats(peer, daemon, begins)
    peer.link.tempo = THEN_BPM
    wait_until(lambda: any("at 220.0 bpm" in line for line in daemon.log))
    found["faster"] = _played_beats(peer, daemon, time.monotonic())
    peer.link.playing = False
    wait_until(lambda: "waiting for the start" in daemon.log[-1])
    stopped = time.monotonic()
    wait_until(lambda: not _hanging_notes(daemon))  # the log and the notes come through two pipes
    found["sounding after the stop"] = _hanging_notes(daemon)
    begins = _start_session(peer)
    found["between"] = [second for second in daemon.onsets(stopped) if second < begins]
    found["again"] = _played_beats(peer, daemon, begins)
    found["asked"] = _requested_tempo(peer)
    found["status"], found["log"] = daemon.stop(), daemon.log
    wait_until(lambda: not _hanging_notes(daemon))
    found["sounding at the end"] = _hanging_notes(daemon)
    return found


def _start_session(peer: Peer) -> float:
    """Start the session; returns the second."""
    peer.link.playing = True
    return time.monotonic()


def _played_beats(peer: Peer, daemon: Daemon, since: float) -> list[float]:
    wait_until(lambda: len(daemon.onsets(since)) >= NOTES)
    return peer.beats(daemon.onsets(since)[:NOTES])


def _hanging_notes(daemon: Daemon) -> int:
    return len(hanging_notes((message[0], message[1], message[2]) for _, message in daemon.sent))


def _requested_tempo(peer: Peer) -> float:
    """The tempo of the session after sideman's `LinkSession` has requested another one."""
    states: list[LinkState] = []
    session = LinkSession(60.0, 4.0, lambda state, _second: states.append(state))
    session.open()
    wait_until(lambda: states and states[-1].bpm > THEN_BPM - 1)
    session.request_tempo(ASKED_BPM)
    wait_until(lambda: abs(peer.link.tempo - ASKED_BPM) < 0.01)
    session.close()
    return float(peer.link.tempo)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))  # noqa: T201
