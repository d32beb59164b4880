# SPDX-License-Identifier: Apache-2.0
"""Ableton Link itself: two peers in two processes, in a network of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from conftest import OWN_NETWORK, has_networks_of_its_own
from linkscene import FIRST_BPM, NOTES, THEN_BPM
from processes import bundle_in, environment

ALONE = "ip link set lo up && ip link set lo multicast on && ip route add 224.0.0.0/4 dev lo && exec "


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two peers did together."""
    if not has_networks_of_its_own():
        pytest.skip("no network namespace may be made here")
    pytest.importorskip("aalink")
    bundle = bundle_in(tmp_path_factory.mktemp("link"))
    command = f'{ALONE}"$0" "$@"'
    script = Path(__file__).with_name("linkscene.py")
    python = environment()
    python["PYTHONPATH"] += f":{script.parent}"
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
    """It would play beside Live instead of with it. How near it is, is told and not judged: that is the machine's."""
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
    """It would come in when it likes, or play on when the song is over."""
    assert scene["before the start"] == scene["sounding after the stop"] == scene["sounding at the end"] == 0
    assert scene["between"] == []
    assert round(scene["first"][0]) % 4 == round(scene["again"][0]) % 4 == 0
    assert scene["status"] == 0


@pytest.mark.link
@pytest.mark.slow
def test_the_session_takes_its_tempo(scene: dict[str, Any]) -> None:
    """A tempo tapped would be its own alone."""
    assert scene["asked"] == pytest.approx(96.0, abs=0.01)


def test_without_the_library_it_says_how_to_get_it(tmp_path: Path) -> None:
    """Whoever sets tempo.source: link on a plain installation would get a defect's words, or silence."""
    (tmp_path / "aalink.py").write_text("raise ImportError('no such thing')\n")
    env = environment()
    env["PYTHONPATH"] = f"{tmp_path}:{env['PYTHONPATH']}"
    given = (f"model.bundle={bundle_in(tmp_path)}", "tempo.source=link", "midi.output=none", "midi.input=none")
    words = [word for setting in given for word in ("--set", setting)]
    for command in ("run", "check"):
        everything = [sys.executable, "-m", "sideman", command, *words]
        done = subprocess.run(everything, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 69
        assert "pip install 'sideman[link]'" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
