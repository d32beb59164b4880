# SPDX-License-Identifier: Apache-2.0
"""The MIDI file of a take: all that was played and heard, in any program that reads MIDI files."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.core.chart.chart import ChartInfo
from sideman.core.chart.text import parse_changes
from sideman.core.events import (
    Advanced,
    BarStarted,
    ChangeSettings,
    ClockStart,
    ClockTick,
    Command,
    ControlChange,
    EventSent,
    MidiEvent,
    NoteHeard,
    NoteOff,
    NoteOn,
    PitchBend,
    PortChanged,
    QueueSong,
    Report,
    SetChart,
    SetPortPeriod,
)
from sideman.core.settings.groups.tempo import COMMON_TIME
from sideman.core.timing.pll import FASTEST_BPM
from sideman.takes.folder import TakeFolder
from sideman.takes.journal import TakeHeader
from sideman.takes.lines import RecordedReport, decode_report, encode_report
from sideman.takes.midi_file import TICKS_PER_BEAT, TakeMidiFile
from sideman.takes.score import TakeScore
from sideman_models.corpus.midi.reader import ReadingOptions, read_midi
from sideman_models.music.harmony import parse_chord
from support.clocks import steady
from support.fakes import RecordingOutput, performance, tempo_change
from support.performances import PHRASE
from support.takes import clock_config, perform_with_reports, recorded_take, replay_take


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
    assert f"@I seed: {header.seed}" in texts
    assert "@I play.rate: eighth" in texts
    markers = [message.text for message in conductor if message.type == "marker"]
    assert markers[:5] == ["Dm7", "G7", "Cmaj7", "A7alt", "Dm7"]
    assert [message.name for message in (played[0], heard[0])] == ["played", "heard"]
    assert [tuple(message.bytes()) for message in played if not message.is_meta] == [
        bytes_ for _, bytes_ in _sent(output)
    ]
    assert [message.text for message in heard if message.type == "text"] == ["@I midi.input: Keys is gone"]
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


def test_bass_and_drums_have_tracks_of_their_own(tmp_path: Path) -> None:
    """Guards against a take whose band cannot be taken apart in a sequencer, or a take that does not play again."""
    made = performance(play__comp=["bass", "shells", "drums"], play__click="backbeat")
    header, reports, output = perform_with_reports(made, PHRASE, 8.0)
    journal = recorded_take(tmp_path, header, reports)
    song = mido.MidiFile(TakeFolder(tmp_path).midi(journal.name), charset="utf-8")
    channels = {
        track.name: {message.channel for message in track if message.type == "note_on"} for track in song.tracks[1:]
    }
    assert channels == {"played": {0, 1}, "heard": {0}, "drums": {9}, "bass": {2}}
    written = sum(message.type == "note_on" for number in (1, 3, 4) for message in song.tracks[number])
    assert written == sum(message[0] & 0xF0 == 0x90 for _, message in output.sent)
    assert not replay_take(journal, made).difference


@pytest.mark.parametrize(
    ("key", "written"),
    [("Bb", "Bb"), ("F#m", "F#m"), ("Am", "Am"), ("Ebmaj7", "Eb"), ("G#", "Ab"), ("Dbm", "C#m"), ("Cb", "Cb")],
)
def test_every_track_has_the_key_of_the_chart(key: str, written: str) -> None:
    """Guards against: a solo in B flat that a score program prints without a key, full of accidentals."""
    made = performance()
    header, reports, _ = perform_with_reports(made, [], 5.0)
    assert not [message for track in tracks_of(header, reports) for message in track if message.type == "key_signature"]
    header = replace(header, chart=replace(header.chart, info=ChartInfo(key=key)))
    for track in tracks_of(header, reports):
        assert [message.key for message in track if message.type == "key_signature"] == [written]


def test_a_chart_that_takes_over_brings_its_key() -> None:
    """Guards against: the second tune of a set in the key of the first."""
    other = replace(parse_changes("| Fm7 Bb7 | Ebmaj7 |", COMMON_TIME, "test"), info=ChartInfo(key="Eb"))
    header, reports, _ = perform_with_reports(performance(play__rate="eighth"), [(5.0, SetChart(other))], 12.0)
    line = next(
        report.beat for report in reports if isinstance(report, BarStarted) and report.changes[0][1].text == "Fm7"
    )
    for track in tracks_of(header, reports):
        ticks = [tick for tick, message in timed(track) if message.type == "key_signature"]
        assert ticks == [round(line * TICKS_PER_BEAT)]


def test_the_next_song_of_a_set_brings_its_key_and_tempo() -> None:
    """Guards against: a take of a set whose MIDI file and score keep the key of the first song, or miss a tempo."""
    first, second = (parse_changes(text, COMMON_TIME, "x") for text in ("key: C\n| C | F |", "key: F\n| Dm7 | Gm7 |"))
    third = parse_changes("| A7 | D7 |", COMMON_TIME, "x")
    keys: dict[str, Any] = {"chart__set": ["one, 1 chorus", "two, 1 chorus"], "play__comp": ["bass", "drums"]}
    made = replace(performance(chart__song=1, play__rate="beat", **keys), chart=first)
    arrivals: list[tuple[float, MidiEvent | Command]] = [
        (0.05, QueueSong(2, second, 60.0)), (8.0, SetChart(third)), (9.5, ChangeSettings((("tempo.bpm", 90.0),)))
    ]  # fmt: skip
    header, made_reports, _ = perform_with_reports(made, arrivals, 20.0)
    reports = [decode_report(encode_report(each)) for each in made_reports if isinstance(each, RecordedReport)]
    conductor, *others = tracks_of(header, reports)
    bars = [each for each in reports if isinstance(each, BarStarted)]
    lines = [next(bar.beat for bar in bars if bar.changes[0][1].text == name) for name in ("Dm7", "A7")]
    assert [bar.key for bar in bars if bar.key is not None] == ["F", ""]
    ticks = [0, *(round(line * TICKS_PER_BEAT) for line in lines)]
    for track in (conductor, *others):
        changes = [(tick, message.key) for tick, message in timed(track) if message.type == "key_signature"]
        assert changes == list(zip(ticks, ["C", "F", "C"], strict=True))
    tempos = [(tick, mido.tempo2bpm(each.tempo)) for tick, each in timed(conductor) if each.type == "set_tempo"]
    assert [(tick, round(bpm)) for tick, bpm in tempos[:2]] == [(0, 120), (ticks[1], 60)]
    assert round(tempos[2][1]) == 90
    maker = TakeScore(header)
    for report in reports:
        maker.add_report(report)
    score = maker.score()
    assert (score.info.key, score.bpm) == ("C", 120.0)
    assert [(each.bar, each.key) for each in score.changes if each.key is not None] == [(2, "F"), (3, "")]
    assert [round(each.bpm) for each in score.changes if each.bpm] == [60, 90]
    assert score.swing > 0.5
    assert [part.name for part in score.parts] == ["sideman", "comp", "drums"]
    struck = [each.event for each in reports if isinstance(each, EventSent) and isinstance(each.event, NoteOn)]
    assert len(score.parts[-1].notes) == sum(each.channel == made.settings.midi.drums for each in struck)


def test_chords_are_lyrics_of_the_played_track_and_nothing_else_is() -> None:
    """Guards against: a score without chords, or with the seed and the settings below its first note.

    MuseScore prints lyrics, and texts that do not begin with "@", below the notes that begin on their ticks.
    """
    made = performance(play__rate="eighth", play__count_in=1)
    header, reports, _ = perform_with_reports(made, PHRASE, 14.0)
    conductor, played, heard = tracks_of(header, [*reports, PortChanged("midi.input", False, "Keys is gone")])
    markers = [(tick, message.text) for tick, message in timed(conductor) if message.type == "marker"]
    lyrics = [(tick, message.text) for tick, message in timed(played) if message.type == "lyrics"]
    assert lyrics == markers
    assert len(lyrics) > 5
    texts = [message.text for track in (conductor, played, heard) for message in track if message.type == "text"]
    assert texts
    assert all(text.startswith("@I ") for text in texts)


def test_a_long_take_with_a_steady_clock_is_written_in_bounded_time() -> None:
    """Guards against: files that take longer to write with every bar, until the music waits for them."""
    header, _, _ = perform_with_reports(performance(tempo__source="midi-clock"), [], 1.0)
    midi, waiting = TakeMidiFile(header), []
    chords = [parse_chord("Dm7"), parse_chord("G7")]
    for beat in range(2000):
        if beat % 4 == 0:
            midi.add_report(BarStarted(float(beat), COMMON_TIME, ((0.0, chords[beat // 4 % 2]),)))
        midi.add_report(Advanced(1.0 + beat / 2, float(beat), prepared=True))
        waiting.append(len(midi._pending))
    assert max(waiting) < 20
    song = mido.MidiFile(file=io.BytesIO(midi.contents()), charset="utf-8")
    assert sum(message.type == "marker" for message in song.tracks[0]) == 500


@pytest.mark.parametrize("frames", [64, 1024])
@pytest.mark.parametrize("bpm", [60.0, 96.0, 132.0])
def test_a_take_that_followed_a_clock_over_jack_has_its_tempo(bpm: float, frames: int) -> None:
    """Guards against: a new tempo on every beat, from ticks that come in rounds of 21 ms."""
    true, round_s = steady(64, bpm, start=1.0), frames / 48_000
    arrivals: list[tuple[float, MidiEvent | Command]] = [
        (0.2, SetPortPeriod(round_s)), (0.99, ClockStart()),
        *((float(second), ClockTick()) for second in np.ceil(true / round_s) * round_s),
    ]  # fmt: skip
    made = performance(tempo__source="midi-clock", play__rate="eighth")
    engine = made.make_engine(0.1, clocks=clock_config(made))
    header, reports, _ = perform_with_reports(made, arrivals, float(true[-1]) + 0.1, engine=engine)
    tempos = [message for message in tracks_of(header, reports)[0] if message.type == "set_tempo"]
    assert len(tempos) <= 2
    beats = np.arange(2, 64)
    off = beats * tempos[-1].tempo / 1e6 - true[beats * 24]
    assert max(abs(off - np.median(off))) < 0.005


def tracks_of(header: TakeHeader, reports: Iterable[Report]) -> list[mido.MidiTrack]:
    """The tracks of a take's MIDI file."""
    contents = TakeMidiFile(header, reports).contents()
    return list(mido.MidiFile(file=io.BytesIO(contents), charset="utf-8").tracks)


def timed(track: mido.MidiTrack) -> list[tuple[int, mido.Message]]:
    """The messages of a track with their ticks."""
    return list(zip(accumulate(message.time for message in track), track, strict=True))


def test_our_own_reader_reads_a_take(tmp_path: Path) -> None:
    """Guards against takes that a network cannot be trained on, because no chords or no melody are found in them."""
    notes = [(at + 0.5 * beat, note) for beat in range(64) for at, note in struck(60 + beat % 7, 0.4)]
    header, reports, _ = perform_with_reports(performance(play__rate="eighth"), notes, 40.0)
    journal = recorded_take(tmp_path, header, reports)
    music = read_midi(TakeFolder(tmp_path).midi(journal.name).read_bytes(), ReadingOptions())
    assert "heard" in music.report.melody
    assert "marker" in music.report.chords
    assert music.report.notes == 64


def struck(pitch: int, length_s: float) -> list[tuple[float, NoteOn | NoteOff]]:
    """A note of the player."""
    return [(0.0, NoteOn(pitch, 80, 1)), (length_s, NoteOff(pitch, 1))]


@settings(max_examples=20)
@given(
    st.floats(60, 240),
    st.sampled_from([-7.5, 5.0, 20.0]),
    st.sampled_from(["beat", "eighth", "phrase"]),
    st.sampled_from(["1", "2-3"]),
    st.integers(0, 1),
    st.sampled_from([0.0, 0.003]),
)
def test_a_tempo_that_changes_with_the_round_changes_on_the_bar_line(
    bpm: float, step: float, rate: str, loop: str, count_in: int, oversleeps: float
) -> None:
    """Guards against: practice whose notes stand beside the beats in a sequencer, from the first faster round on."""
    keys = {"tempo__bpm": bpm, "play__rate": rate, "practice__loop": loop, "practice__tempo": step}
    made = performance(**keys, practice__count_in=count_in, play__late_ms=1000)
    header, reports, _ = perform_with_reports(made, [], 20.0, lambda: oversleeps)
    midi = TakeMidiFile(header, reports)
    song, tick, tempos = mido.MidiFile(file=io.BytesIO(midi.contents())), 0, list[tuple[float, float]]()
    for message in song.tracks[0]:
        tick += message.time
        if message.type == "set_tempo":
            tempos.append((tick / TICKS_PER_BEAT, 6e7 / message.tempo))
    begun = {report.beat - header.first_beat for report in reports if isinstance(report, BarStarted)}
    assert {beat for beat, _ in tempos} <= {0.0} | begun
    assert [tempo for _, tempo in tempos] == pytest.approx(
        [min(bpm + step * number, FASTEST_BPM) for number in range(len(tempos))], 1e-3
    )
    assert song.length == pytest.approx(20.0 - header.second, abs=0.02)
