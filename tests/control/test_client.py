# SPDX-License-Identifier: Apache-2.0
"""The control client, and that a playing daemon sends exactly what the protocol describes. No MIDI ports are needed."""

from __future__ import annotations

import base64
import json
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sideman.control.client import RequestRefused, connect
from sideman.control.codec import decode_message, encode_json, encode_line
from sideman.control.protocol import EVENTS, REQUESTS
from sideman.core.errors import Unavailable
from support.processes import running_daemon

FIELDS: dict[str, dict[str, Any]] = {
    "get": {"key": "play.gate"},
    "set": {"key": "play.gate", "value": 0.5},
    "mode": {"mode": "trade", "now": True},
    "mute": {"on": True},
    "jump": {"to": 2},
    "preset": {"name": "bebop"},
    "chart": {"name": "waltz"},
    "learn": {"key": "play.density 0.2-2"},
    "play_note": {"on": True, "pitch": 60},
}


SOUND_BYTES = 200_000_000


def write_fluidsynth(folder: Path) -> None:
    """A fluidsynth that writes a silent sound, and a sound font where the user would keep it."""
    program, fonts = folder / "fluidsynth", folder / "soundfonts"
    lines = (f"#!{sys.executable}", "import sys", "file = open(sys.argv[sys.argv.index('-F') + 1], 'wb')",
             "file.write(b'RIFF')", f"file.truncate({SOUND_BYTES})")  # fmt: skip
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    fonts.mkdir()
    (fonts / "some.sf2").write_bytes(b"RIFF\0\0\0\0sfbk")


@pytest.mark.subprocess
def test_a_playing_daemon_sends_what_the_protocol_describes(tmp_path: Path) -> None:
    """Guards against: programs, written after the protocol, that fail on what a daemon really sends."""
    path = tmp_path / "c.sock"
    tune = ("tempo.bpm=240", "play.rate=eighth", "play.capture_minutes=1", f"takes.folder={tmp_path}")
    with running_daemon(tmp_path, "midi.output=none", "midi.input=none", f"control.socket={path}", *tune) as daemon:
        daemon.wait_for("ready")
        with closing(connect([path])) as watcher, closing(connect([path])) as client:
            watcher.request("watch")
            lines = watcher.lines()
            kinds = {_assert_is_as_described(next(lines)) for _ in range(3)}
            for name in sorted(
                REQUESTS.keys() - {"watch", "take"}, key="start".__eq__
            ):  # the last one starts the music again
                _assert_is_one_of(REQUESTS[name].results, client.request(name, **FIELDS.get(name, {})))
            _assert_is_one_of(REQUESTS["get"].results, client.request("get"))
            take = client.request("takes")[-1]
            piece = client.request("take", name=take["name"])
            _assert_is_one_of(REQUESTS["take"].results, piece)
            assert base64.b64decode(piece["data"])[:4] == b"MThd"
            client.request("mode", mode="solo", now=True)
            wanted = EVENTS.keys() - {"heard", "learned", "log"}  # no player takes part, and nothing goes wrong
            for line in islice(lines, 500):
                kinds.add(_assert_is_as_described(line))
                if kinds >= wanted:
                    break
            assert kinds >= wanted
            with pytest.raises(RequestRefused, match="allowed is a number from 0 to 5"):
                client.request("set", key="play.temperature", value=9)


@pytest.mark.subprocess
def test_a_take_can_be_fetched_as_a_score_and_as_sound(tmp_path: Path) -> None:
    """Guards against: a take that a page can save only as MIDI, or a refusal that does not say what is missing."""
    path, homes = tmp_path / "c.sock", {"PATH": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    keys = ("midi.output=none", "midi.input=none", f"control.socket={path}", f"takes.folder={tmp_path}")
    with running_daemon(tmp_path, *keys, "tempo.bpm=240", "play.capture_minutes=1", **homes) as daemon:
        daemon.wait_for("bar 2")
        with closing(connect([path])) as client:
            name = Path(client.request("keep")["take"]).stem

            def fetch(form: str, offset: int = 0) -> Any:
                piece = client.request("take", name=name, form=form, offset=offset)
                _assert_is_one_of(REQUESTS["take"].results, piece)
                return piece["size"], base64.b64decode(piece["data"])

            size, score = fetch("musicxml")
            assert (len(score), score.count(b"</score-partwise>")) == (size, 1)
            assert fetch("musicxml", 100) == (size, score[100:])
            wrong = ((name, "wav", "^fluidsynth is not installed"), (name, "ogg", "allowed is mid or musicxml or wav"),
                     ("../config", "mid", "no such file"), ("../config", "musicxml", "no such file"))  # fmt: skip
            for name_, form, why in wrong:
                with pytest.raises(RequestRefused, match=why):
                    client.request("take", name=name_, form=form)
            write_fluidsynth(tmp_path)
            size, sound = fetch("wav")
            assert (size, sound[:4]) == (SOUND_BYTES, b"RIFF")


def _assert_is_as_described(line: str) -> str:
    """Assert that an event has all fields that the protocol describes, and no others. Return its name."""
    assert json.loads(encode_line(decode_message(line))) == json.loads(line)
    return str(json.loads(line)["event"])


def _assert_is_one_of(types: tuple[object, ...], result: object) -> None:
    """Assert that a result has the fields of one of the types, and no others."""
    if not types:
        assert result is None
        return
    for kind in types:
        try:
            decoded = msgspec.convert(result, kind)
        except msgspec.ValidationError:
            continue
        if json.loads(encode_json(decoded)) == result:
            return
    raise AssertionError(f"{result} is none of {types}")


def test_without_a_daemon_the_client_says_where_it_looked(tmp_path: Path) -> None:
    """Guards against: a program that cannot tell its user which socket is missing."""
    with pytest.raises(Unavailable, match=f"looked at {tmp_path / 'a'}, {tmp_path / 'b'}"):
        connect([tmp_path / "a", tmp_path / "b"])
