# SPDX-License-Identifier: Apache-2.0
"""Ableton Link itself: two peers in two processes, in a network of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sideman.core.events import LinkState
from sideman.midi import ableton_link as abletonlink
from sideman.midi.ableton_link import LinkSession
from support.link_session import FIRST_BPM, NOTES, THEN_BPM
from support.processes import OWN_NETWORK, can_unshare_network, daemon_environment, write_bundle

ALONE = "ip link set lo up && ip link set lo multicast on && ip route add 224.0.0.0/4 dev lo && exec "


class Session:
    """A Link session whose clock runs faster than ours by `drift`; reading it takes 5 µs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, drift: float = 0.0) -> None:
        self.tempo, self.playing, self.num_peers = 120.0, True, 1
        self.second, self._drift = 100.0, drift
        self.takes = [0.000005]  # in turn
        self.states: list[tuple[LinkState, float]] = []
        monkeypatch.setattr(abletonlink, "time", SimpleNamespace(monotonic=self._now))
        monkeypatch.setattr(abletonlink, "load_aalink", SimpleNamespace)
        self.ours = LinkSession(120.0, 4.0, lambda state, second: self.states.append((state, second)))

    def _now(self) -> float:
        return self.second

    @property
    def beat(self) -> float:
        """The present beat. Reading it takes time, half of it before and half of it after."""
        took = self.takes[0]
        self.takes.append(self.takes.pop(0))
        self.second += took
        return self.beat_at(self.second - took / 2)

    def beat_at(self, second: float) -> float:
        """The beat at one of our seconds."""
        return (second - 100.0) * (1 + self._drift) * 2

    def looks(self, times: int) -> None:
        """Let our session read the state this number of times."""
        for _ in range(times):
            self.second += abletonlink.POLL_S
            self.ours._poll(self)


@pytest.mark.parametrize("drift", [0.0, 20e-6, -500e-6])
def test_only_changes_are_reported_and_the_beat_stays_right(monkeypatch: pytest.MonkeyPatch, drift: float) -> None:
    """Guards against: the player is woken thirty times per second, or drifts away in a long song."""
    session = Session(monkeypatch, drift)
    for _ in range(1000):
        session.looks(1)
        state, second = session.states[-1]
        foreseen = state.beat + (session.second - second) * state.bpm / 60
        assert abs(foreseen - session.beat_at(session.second)) / 2 < 0.00025
    assert len(session.states) <= 1 + 30 * abs(drift) / abletonlink.DRIFT_S + 1


def test_every_change_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: the music goes on when the session is stopped."""
    session = Session(monkeypatch)
    for name, value in (("playing", False), ("num_peers", 0), ("playing", True)):
        session.looks(3)
        setattr(session, name, value)
        session.looks(1)
        assert getattr(session.states[-1][0], {"num_peers": "peers"}.get(name, name)) == value
    assert len(session.states) == 4
    session.ours.request_tempo(90.0)
    session.looks(1)
    assert session.tempo == session.states[-1][0].bpm == 90.0


def test_a_slow_reading_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a busy moment of the machine that makes the beat jump."""
    session = Session(monkeypatch)
    session.takes = [0.004, 0.000005, 0.02]
    session.looks(20)
    assert len(session.states) == 1
    state, second = session.states[0]
    assert state.beat == pytest.approx(session.beat_at(second), abs=1e-9)
    session.takes = [0.004]
    session.playing = False
    session.looks(5)
    assert len(session.states) == 1


def test_a_failing_library_does_not_end_the_music(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards against: a failing library ends the solo, or keeps the program from stopping."""

    def fail(_bpm: float) -> None:
        raise RuntimeError("no such network")

    monkeypatch.setattr(abletonlink, "load_aalink", lambda: SimpleNamespace(Link=fail))
    session = LinkSession(120.0, 4.0, lambda _state, _second: None)
    session.open()
    session.close()
    assert "Link has failed" in caplog.text
    assert "no such network" in caplog.text


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two peers did together."""
    if not can_unshare_network():
        pytest.skip("no network namespace may be made here")
    pytest.importorskip("aalink")
    bundle = write_bundle(tmp_path_factory.mktemp("link"))
    command = f'{ALONE}"$0" "$@"'
    script = Path(__file__).parents[1] / "support" / "link_session.py"
    python = daemon_environment()
    python["PYTHONPATH"] += f":{script.parents[1]}"
    words = [*OWN_NETWORK, "sh", "-c", command, sys.executable, str(script), str(bundle)]
    done = subprocess.run(words, env=python, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def off(beats: list[float]) -> list[float]:
    """How far each is from a beat, in beats."""
    return [beat - round(beat) for beat in beats]


@pytest.mark.link
@pytest.mark.slow
def test_two_peers_are_in_time(scene: dict[str, Any], record_property: Any) -> None:
    """Guards against: not playing in time with Live. The precision depends on the machine, so it is only printed."""
    for part, bpm in (("first", FIRST_BPM), ("faster", THEN_BPM), ("again", THEN_BPM)):
        beats = scene[part]
        assert [round(later) - round(earlier) for earlier, later in pairwise(beats)] == [1] * (NOTES - 1)
        milliseconds = sorted(60_000 / bpm * abs(each) for each in off(beats))
        record_property(f"off the peer's beat, {part}, ms", milliseconds)
        print(f"{part}: off the peer's beat by {milliseconds[NOTES // 2]:.3f} ms, at most {milliseconds[-1]:.3f}")  # noqa: T201
        assert max(abs(each) for each in off(beats)) < 0.25


@pytest.mark.link
@pytest.mark.slow
def test_a_start_begins_on_a_bar_line_and_a_stop_is_silence(scene: dict[str, Any]) -> None:
    """Guards against: a start that is not on a bar line; music that goes on after the stop."""
    assert scene["before the start"] == scene["sounding after the stop"] == scene["sounding at the end"] == 0
    assert scene["between"] == []
    assert round(scene["first"][0]) % 4 == round(scene["again"][0]) % 4 == 0
    assert scene["status"] == 0


@pytest.mark.link
@pytest.mark.slow
def test_the_session_takes_its_tempo(scene: dict[str, Any]) -> None:
    """Guards against: a tapped tempo that the session does not follow."""
    assert scene["asked"] == pytest.approx(96.0, abs=0.01)


@pytest.mark.subprocess
def test_without_the_library_it_says_how_to_get_it(tmp_path: Path) -> None:
    """Guards against: an internal error, or silence, if the library is not installed."""
    (tmp_path / "aalink.py").write_text("raise ImportError('no such thing')\n")
    env = daemon_environment()
    env["PYTHONPATH"] = f"{tmp_path}:{env['PYTHONPATH']}"
    given = (f"model.bundle={write_bundle(tmp_path)}", "tempo.source=link", "midi.output=none", "midi.input=none")
    words = [word for setting in given for word in ("--set", setting)]
    for command in ("run", "check"):
        everything = [sys.executable, "-m", "sideman", command, *words]
        done = subprocess.run(everything, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 69
        assert "pip install 'sideman[link]'" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
