# SPDX-License-Identifier: Apache-2.0
"""The MIDI file of a take: all that was played and heard, in any program that reads MIDI files."""

from __future__ import annotations

from pathlib import Path

import mido
import pytest

from sideman.core.events import Command, ControlChange, EventSent, MidiEvent, NoteHeard, NoteOn, PitchBend, PortChanged
from sideman.takes.folder import TakeFolder
from sideman.takes.midi_file import TICKS_PER_BEAT
from sideman_models.corpus.midi.reader import ReadingOptions, read_midi
from support.fakes import RecordingOutput, performance, tempo_change
from support.performances import PHRASE
from support.takes import perform_with_reports, recorded_take, replay_take


def test_the_midi_file_has_everything_played_and_heard(tmp_path: Path) -> None:
    """Guards against a file that gives other programs other notes, chords or tempos than were played."""
    made = performance(play__rate="eighth")
    wheel: list[tuple[float, MidiEvent | Command]] = [
        (5.0, PitchBend(100, 1)),
        (5.2, tempo_change(180.0)),
        (5.5, ControlChange(64, 127, 1)),
    ]
    header, reports, output = perform_with_reports(made, [*PHRASE, *wheel], 12.0)
    reports = [*reports, PortChanged("midi.input", False, "midi.input: Keys is gone")]
    journal = recorded_take(tmp_path, header, reports)
    path = TakeFolder(tmp_path).midi(journal.name)
    song = mido.MidiFile(path, charset="utf-8")
    assert song.length == pytest.approx(12.0 - header.second, abs=0.01)
    conductor, played, heard = song.tracks
    texts = [message.text for message in conductor if message.type == "text"]
    assert f"seed: {header.seed}" in texts
    assert "play.rate: eighth" in texts
    markers = [message.text for message in conductor if message.type == "marker"]
    assert markers[:5] == ["Dm7", "G7", "Cmaj7", "A7alt", "Dm7"]
    assert [message.name for message in (played[0], heard[0])] == ["played", "heard"]
    assert [tuple(message.bytes()) for message in played if not message.is_meta] == [
        bytes_ for _, bytes_ in _sent(output)
    ]
    assert [message.text for message in heard if message.type == "text"] == ["midi.input: Keys is gone"]
    notes = [message.note for message in heard if message.type == "note_on"]
    assert notes == [
        report.note.pitch for report in reports if isinstance(report, NoteHeard) and isinstance(report.note, NoteOn)
    ]
    assert {message.type for message in heard} >= {"pitchwheel", "control_change"}
    onsets = [round(report.beat * TICKS_PER_BEAT) for report in reports if isinstance(report, EventSent)]
    assert _onsets(played) == onsets


def _sent(output: RecordingOutput) -> list[tuple[float, tuple[int, ...]]]:
    """The messages that were sent, without the note-offs that are repeated at the end."""
    count = sum(isinstance(report, EventSent) for report in output.reports)
    return list(output.sent[:count])


def _onsets(track: mido.MidiTrack) -> list[int]:
    now, onsets = 0, []
    for message in track:
        now += message.time
        onsets += [] if message.is_meta else [now]
    return onsets


def test_the_count_in_is_in_the_file(tmp_path: Path) -> None:
    """Guards against clicks that all fall on the top of the file, and a file that is shorter than the take."""
    made = performance(play__count_in=2, play__rate="eighth", tempo__bpm=100)
    header, reports, _ = perform_with_reports(made, [], 14.0)
    journal = recorded_take(tmp_path, header, reports)
    song = mido.MidiFile(TakeFolder(tmp_path).midi(journal.name))
    assert song.length == pytest.approx(14.0 - header.second, abs=0.01)
    assert journal.totals().seconds == pytest.approx(14.0 - header.second, abs=0.01)
    clicks = [message.time for message in song.tracks[1] if message.type == "note_on" and message.channel == 9]
    assert len(clicks) == 8
    first = next(message for message in song.tracks[0] if message.type == "marker")
    assert first.time == 8 * TICKS_PER_BEAT
    assert not replay_take(journal, made).difference


def test_our_own_reader_reads_a_take(tmp_path: Path) -> None:
    """Guards against takes that a network cannot be trained on, because no chords or no melody are found in them."""
    header, reports, _ = perform_with_reports(performance(play__rate="eighth"), [], 40.0)
    journal = recorded_take(tmp_path, header, reports)
    music = read_midi(TakeFolder(tmp_path).midi(journal.name).read_bytes(), ReadingOptions())
    assert "played" in music.report.melody
    assert "markers" in music.report.chords or "marker" in music.report.chords
    assert music.report.notes == journal.totals().played
