# SPDX-License-Identifier: Apache-2.0
"""The marker file with which the next start releases notes that a killed daemon left sounding."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.config.sources import SettingsSources, load_chart
from sideman.core.events import NoteOn, encode
from sideman.midi.crash_marker import CrashMarker
from sideman.service.service import Service
from support.fakes import hanging_notes, settings
from support.midi_bay import Bay
from support.processes import write_bundle


def test_a_mark_stays_until_its_port_is_open_again(tmp_path: Path) -> None:
    """Guards against: a note that sounds on at a synth that is switched on later."""
    path = tmp_path / "state" / "playing.json"
    assert CrashMarker(path).mark_playing("Synth", [7, 2]) == []  # and is killed
    waiting = CrashMarker(path)
    assert waiting.mark_playing("Other", [1]) == []  # and is killed too
    third = CrashMarker(path)
    assert third.mark_playing("Synth", [3]) == [7, 2]
    assert third.mark_playing("Other", [3]) == [1]
    third.clear()
    assert not path.exists()


def test_a_normal_end_keeps_the_marks_of_other_ports(tmp_path: Path) -> None:
    """Guards against: the mark of a port that does not exist yet is lost."""
    path = tmp_path / "playing.json"
    CrashMarker(path).mark_playing("Synth", [7])
    other = CrashMarker(path)
    other.mark_playing("Other", [1])
    other.clear()
    assert CrashMarker(path).mark_playing("Synth", [1]) == [7]


@given(st.binary(max_size=40) | st.sampled_from([b'{"b": [99]}', b'{"b": "x"}', b"[1]", b"7", b'{"b": [[]]}']))
def test_a_broken_file_has_no_marks(content: bytes) -> None:
    """Guards against: a damaged file keeps the service from starting."""
    path = Path.home() / "playing.json"
    path.write_bytes(content)
    assert CrashMarker(path).mark_playing("b", [1]) == []


def test_a_marker_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """Guards against: a read-only disk stops the music."""
    (tmp_path / "file").write_text("in the way")
    assert CrashMarker(tmp_path / "file" / "playing.json").mark_playing("a", [1]) == []


def test_hanging_notes_are_released_before_the_first_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a note that sounds after a kill until somebody switches the synth off."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    bundle = str(write_bundle(tmp_path))
    marker = CrashMarker(tmp_path / "playing-sideman.json")
    marker.mark_playing("Synth (Bay)", [7, 2])
    marker.mark_playing("Bass (Bay)", [2])
    ports = {"midi__output": "Synth", "midi__comp_output": "Bass", "midi__input": "none"}
    chosen = settings(**ports, model__bundle=bundle, chart__choruses=1, tempo__bpm=400)
    monkeypatch.setattr("sideman.service.service.prepare_interpreter", lambda: None)
    bay = Bay(["Synth", "Bass"])
    with bay.being_the_only_one():
        assert Service(chosen, load_chart(chosen), SettingsSources(), None).run() == 0
    for synth, channels in (("Synth", (7, 2)), ("Bass", (2,))):
        sent = [(*message, 0)[:3] for message in bay.received[synth]]
        first = next((number for number, message in enumerate(sent) if message[0] & 0xF0 == 0x90), len(sent))
        left = [encode(NoteOn(pitch, 80, channel)) for pitch in range(128) for channel in channels]
        assert not hanging_notes([*left, *sent[:first]])
    assert all(message[0] & 0x0F == 1 for message in bay.received["Bass"])
    assert not (tmp_path / "playing-sideman.json").exists()
