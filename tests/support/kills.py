# SPDX-License-Identifier: Apache-2.0
"""Kills a playing daemon again and again, and compares what a listener hears with the solo without a break."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct

from sideman.control.client import ControlClient
from sideman.core.engine import play_through
from sideman.core.events import NoteOn
from support.fakes import hanging_notes, performance
from support.processes import TIMEOUT_S, DaemonProcess, running_daemon

BPM, BAR_BEATS = 240.0, 4.0  # if no other tempo is given
LISTENER = "listener"
_MAX_UNHEARD = 2  # notes in a row
PLAYED: dict[str, Any] = {
    "play.rests": 0,
    "play.density": 4,
    "play.gate": 1,
    "chart.changes": "| Dm7 | G7 | C6 | % |",
}
"""A note on each beat, which sounds up to the next one. The rest is as usual, for the daemon and for the comparison."""


class Kill(Struct):
    """One kill, and the start after it: beats count from the top of the music.

    `sounding` notes had not ended at the kill, `hanging` ones of these not before the first note of the next start,
    which was on beat `again` and came `gap_beats` after the kill. `wrong` notes were others than without the break;
    `unheard` ones did not reach the listener, as happens on a machine that is too busy for JACK.
    """

    beat: float
    again: int
    sounding: int
    hanging: int
    gap_beats: float
    wrong: int = 0
    unheard: int = 0

    @property
    def lost_bars(self) -> float:
        """The bars from the kill to where it goes on, back or forth."""
        return abs(self.again - self.beat) / BAR_BEATS


class Listener:
    """A program with a port of its own, which outlives the daemons that play into it."""

    def __init__(self, client: Any) -> None:
        self.heard: list[tuple[float, tuple[int, ...]]] = []
        self._grown = threading.Condition()
        client.set_callback(self._hear)
        client.open_virtual_port("in")

    def _hear(self, message: tuple[list[int], float], _data: object) -> None:
        second = time.monotonic()
        with self._grown:
            self.heard.append((second, tuple(message[0])))
            self._grown.notify_all()

    def onsets(self, start: int = 0) -> list[tuple[float, int]]:
        """The second and the pitch of each note-on from the message number `start` on."""
        return [(second, bytes_[1]) for second, bytes_ in self.heard[start:] if bytes_[0] & 0xF0 == 0x90 and bytes_[2]]

    def until(self, count: int, start: int) -> None:
        """Wait until this number of note-ons has come since the message number `start`."""
        with self._grown:
            assert self._grown.wait_for(lambda: len(self.onsets(start)) >= count, TIMEOUT_S), "no note comes"

    def hanging(self, end: int) -> int:
        """How many notes sound after the first `end` messages."""
        return len(hanging_notes(message for _, message in self.heard[:end] if len(message) == 3))


def kill_again_and_again(client: Any, folder: Path, kills: int, random: Random, bpm: float = BPM) -> Iterator[Kill]:
    """Yield what came of each kill of a daemon that plays to a `client` of rtmidi."""
    listener = Listener(client)
    with _daemon(folder, bpm) as daemon:
        listener.until(2, 0)
        seed = next(int(line.partition("seed ")[2]) for line in daemon.log if "seed " in line)
        solo = _Solo(seed)
        beat, killed_s = _kill(daemon, folder, random, bpm)
    for number in range(1, kills + 1):
        end = _settled(listener)
        sounding = listener.hanging(end)
        with _daemon(folder, bpm) as daemon:
            listener.until(4, end)
            again = _place(daemon)
            (first_s, _), first = listener.onsets(end)[0], _first_onset(listener, end)
            kill = Kill(beat, again, sounding, listener.hanging(first), (first_s - killed_s) * bpm / 60)
            if number < kills:
                beat, killed_s = _kill(daemon, folder, random, bpm)
            else:
                assert daemon.stop(signal.SIGTERM) == 0
            played = [pitch for _, pitch in listener.onsets(end)[:-1]]
            kill.wrong, kill.unheard = solo.compare(again, played)
            yield kill


@contextmanager
def _daemon(folder: Path, bpm: float) -> Iterator[DaemonProcess]:
    given = [f"tempo.bpm={bpm}", *(f"{key}={value}" for key, value in PLAYED.items())]
    socket, env = f"control.socket={folder / 'socket'}", {"STATE_DIRECTORY": str(folder), "COVERAGE_PROCESS_CONFIG": ""}
    late = ("play.late_ms=1000", f"midi.output={LISTENER}", "midi.input=none")  # a busy machine leaves no note out
    with running_daemon(folder, *given, *late, socket, "play.resume=true", "play.seed=null", **env) as daemon:
        daemon.wait_for("ready")
        yield daemon


def _kill(daemon: DaemonProcess, folder: Path, random: Random, bpm: float) -> tuple[float, float]:
    """Kill it within two bars; returns the beat and the second."""
    threading.Event().wait(random.uniform(0.0, 2 * BAR_BEATS * 60 / bpm))
    with closing(ControlClient(folder / "socket")) as control:
        beat, asked_s = control.request("status")["beat"], time.monotonic()
        daemon.process.kill()
        killed_s = time.monotonic()
    daemon.process.wait()
    return beat + (killed_s - asked_s) * bpm / 60, killed_s


def _settled(listener: Listener) -> int:
    """The number of messages when those that were on their way at the kill have come."""
    count = -1
    while count != len(listener.heard):
        count = len(listener.heard)
        threading.Event().wait(0.1)
    return count


def _first_onset(listener: Listener, start: int) -> int:
    return next(
        number for number, (_, message) in enumerate(listener.heard) if number >= start and message[0] & 0xF0 == 0x90
    )


def _place(daemon: DaemonProcess) -> int:
    """The beat from which the daemon says that it goes on."""
    bar = next(int(line.rpartition("going on: bar ")[2]) for line in daemon.log if "going on: bar " in line)
    return round((bar - 1) * BAR_BEATS)


class _Solo:
    """The solo without a break, as far as it was asked for."""

    def __init__(self, seed: int) -> None:
        keys = {key.replace(".", "__"): value for key, value in PLAYED.items()}
        self._due = play_through(performance(**keys, play__seed=seed).make_engine(0.0))
        self._pitches: dict[int, int] = {}

    def compare(self, beat: int, played: list[int]) -> tuple[int, int]:
        """Compare what was played from `beat` on: how many notes were others, and how many were not there."""
        wrong = unheard = 0
        for pitch in played:
            coming = [self.pitch_at(beat + more) for more in range(_MAX_UNHEARD + 1)]
            missing = coming.index(pitch) if pitch in coming else 0
            wrong += pitch not in coming
            unheard += missing
            beat += missing + 1
        return wrong, unheard

    def pitch_at(self, beat: int) -> int:
        """The pitch of the note on this beat."""
        while beat not in self._pitches:
            due = next(self._due)
            if isinstance(due.item, NoteOn):
                self._pitches[round(due.beat)] = due.item.pitch
        return self._pitches[beat]
