# SPDX-License-Identifier: Apache-2.0
"""The classic corpus: its facts, if the course's file is available, and its rules on small MIDI files."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.commands import corpus as command
from sideman.core.errors import NoSuchInput, UsageError
from sideman.exit_status import exit_status_and_message
from sideman_models.course.corpus import (
    DORIAN_SCALE,
    MAJOR_SCALE,
    ClassicCorpus,
    chord_scale,
    interval_name,
    interval_range_text,
    is_major,
    read_classic,
    tone_kind,
    training_arrays,
)
from sideman_models.errors import CorpusError
from sideman_models.music.values import interval_semitones, parse_value
from support.course_midi import held_chord, write_classic_midi
from support.data_files import data_file

E_FLAT = (63, 67, 70)


@pytest.fixture(scope="module")
def metheny() -> ClassicCorpus:
    """The course's corpus."""
    return read_classic(data_file("metheny/original_metheny.mid"))


def test_the_facts_of_the_classic_corpus(metheny: ClassicCorpus) -> None:
    """Guards against: a network with another vocabulary than the course's."""
    assert metheny.facts() == {
        "tokens": 193,
        "values": 78,
        "tokens_per_bar": [12, 12, 15, 12, 12, 8, 11, 7, 6, 12, 10, 11, 10, 8, 12, 19, 8, 8],
        "kinds": {"C": 117, "S": 44, "A": 25, "X": 7},
        "durations": {"0.250": 153, "0.333": 20, "0.500": 12, "0.667": 5, "0.750": 3},
        "tokens_sha256": "48fc43d86117cc42696c008624e031e6ec15669dbcdbb5505c6f9e6d5745ab12",
        "values_sha256": "4239f342d3a3aa946384e326d7923aa0741852267370ccf0cb7c8ea1b2f0aeb3",
    }


def test_every_bar_of_the_classic_corpus_has_chords(metheny: ClassicCorpus) -> None:
    """Guards against: a classic solo that cannot be played over its own chords."""
    assert len(metheny.chords) == len(metheny.bars) == 18
    for bar in metheny.chords:
        assert all(0 <= onset < 4 and len(pitches) > 1 for onset, pitches in bar)
        assert [onset for onset, _ in bar] == sorted(onset for onset, _ in bar)


def test_the_classic_training_arrays(metheny: ClassicCorpus) -> None:
    """Guards against: other snippets than the course's, so that losses cannot be compared."""
    X, Y = training_arrays(metheny)
    assert X.shape == (60, 30, 78)
    assert Y.shape == (30, 60, 78)
    assert X.sum() == Y.sum() == 1740
    assert not X[:, 0].any()
    assert not Y[29].any()
    assert np.array_equal(Y[:29], X.transpose(1, 0, 2)[1:])
    line = [metheny.values.index(token) for token in metheny.tokens]
    for snippet, start in zip(X, (47, 117, 67, 103, 9, 21, 36, 87, 70, 88), strict=False):
        assert snippet[1:].argmax(axis=1).tolist() == line[start + 1 : start + 30]


def test_every_classic_token_is_a_value(metheny: ClassicCorpus) -> None:
    """Guards against: classic tokens that the daemon cannot play."""
    for token in metheny.values:
        assert parse_value(token).text == token


def test_a_small_file_by_every_rule(tmp_path: Path) -> None:
    """Guards against: changed rules that are not noticed without the course's file."""
    # The last note of the first bar is 28 ticks long, equally near to a quarter and to a third of a beat.
    melody = [(0.0, 0.5, 75), (0.52, 0.3, 72), (1.0, 0.1, 73), (1.36, 0.3, 68), (4.0, 1.0, 63)]
    chords = [*held_chord(E_FLAT), *held_chord((62, 66, 69), onset=4.0)]
    corpus = read_classic(write_classic_midi(tmp_path, melody, chords))
    assert corpus.bars == (
        ("C,0.500", "S,0.333,<P1,d-5>", "X,0.250,<M3,d-3>", "A,0.250,<M-2,m-6>"),
        ("A,1.000",),
    )
    assert corpus.chords == (((0.0, E_FLAT),), ((0.0, (62, 66, 69)),))


def test_groups_are_not_melody_and_single_notes_are_not_chords(tmp_path: Path) -> None:
    """Guards against: a double stop or a single bass note that changes the training data."""
    melody = [(0.0, 0.5, 63), (1.0, 0.5, 70), (1.05, 0.5, 74)]
    chords = [*held_chord(E_FLAT), (2.0, 1.0, 40)]
    corpus = read_classic(write_classic_midi(tmp_path, melody, chords))
    assert corpus.bars == (("C,0.500",),)
    assert corpus.chords == (((0.0, E_FLAT),),)


def test_a_note_before_its_bars_first_chord_takes_that_chord(tmp_path: Path) -> None:
    """Guards against: an error, or a chord of another bar, for a note before the first chord of its bar."""
    corpus = read_classic(write_classic_midi(tmp_path, [(0.0, 0.5, 63), (2.5, 0.5, 62)], held_chord(E_FLAT, onset=2.0)))
    assert [token[0] for token in corpus.tokens] == ["C", "S"]


def test_scales_are_spelled() -> None:
    """Guards against: kinds that differ from the course's, such as G# as a scale tone over E flat major."""
    assert is_major(E_FLAT)
    assert tone_kind(73, (63, 67)) == "X"  # C#: the scale over Eb and G is Bb major
    assert tone_kind(68, (60, 63, 67)) == "A"  # G#: Bb Dorian has the same key, but as Ab
    assert tone_kind(65, E_FLAT) == "S"
    assert chord_scale((60, 63, 67))[0] == (6, -1)  # Bb Dorian is the highest scale with the tones of C minor
    assert not is_major((61, 65, 68))  # C# F G#: no third by letter


@given(st.integers(0, 127), st.integers(0, 127))
def test_the_interval_range_is_a_minor_third_up_and_down(before: int, pitch: int) -> None:
    """Guards against: an interval range that means other semitones when it is played."""
    upper, lower = interval_range_text(before, pitch).strip("<>").split(",")
    assert (interval_semitones(upper), interval_semitones(lower)) == (pitch - before + 3, pitch - before - 3)


@pytest.mark.parametrize(
    ("steps", "distance", "name"),
    [
        (0, 0, "P1"), (1, 1, "m2"), (1, 2, "M2"), (2, 4, "M3"), (3, 5, "P4"), (3, 6, "A4"), (4, 6, "d5"),
        (-2, -3, "m-3"), (-3, -5, "P-4"), (-4, -6, "d-5"), (7, 12, "P8"), (10, 17, "P11"), (4, 5, "dd5"), (1, 0, "d2"),
    ],
)  # fmt: skip
def test_intervals_have_their_usual_names(steps: int, distance: int, name: str) -> None:
    """Guards against: texts of intervals that differ from the course's."""
    assert interval_name(steps, distance) == name


@given(st.lists(st.integers(0, 127), min_size=2, max_size=8), st.integers(0, 127))
def test_any_chord_gives_any_pitch_a_kind(chord: list[int], pitch: int) -> None:
    """Guards against: a traceback for an unusual chord in another MIDI file."""
    assert tone_kind(pitch, chord) in "CSAX"
    assert tone_kind(chord[0], chord) == "C"
    steps = MAJOR_SCALE if is_major(chord) else DORIAN_SCALE
    assert len(chord_scale(chord)) == len(steps) == 7


def broken(folder: Path, name: str) -> Path:
    """Write a file that is not the classic corpus."""
    path = folder / name
    match name:
        case "text":
            path.write_text("not a MIDI file")
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(write_classic_midi(folder, [(0.0, 1.0, 60)], held_chord(E_FLAT)).read_bytes()[:-9])
        case "folder":
            path.mkdir()
        case "few tracks":
            mido.MidiFile(tracks=[mido.MidiTrack()]).save(path)
        case "no solo":
            write_classic_midi(folder, [], held_chord(E_FLAT)).rename(path)
        case "no chords":
            write_classic_midi(folder, [(0.0, 1.0, 60)], []).rename(path)
    return path


BROKEN = {
    "text": "not a readable MIDI file",
    "empty": "not a readable MIDI file",
    "truncated": "not a readable MIDI file",
    "folder": "not a readable MIDI file",
    "few tracks": "no track 11",
    "no solo": "track 11 has no notes",
    "no chords": "no chord in bar 119",
}


@pytest.mark.parametrize(("name", "problem"), BROKEN.items())
def test_another_file_is_refused_with_its_name(tmp_path: Path, name: str, problem: str) -> None:
    """Guards against: a wrong file that ends in a traceback or in another corpus."""
    path = broken(tmp_path, name)
    with pytest.raises(CorpusError) as caught:
        read_classic(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)


def test_too_short_a_corpus_cannot_be_trained_on() -> None:
    """Guards against: an error deep in NumPy for a corpus of a few notes."""
    with pytest.raises(CorpusError, match="snippets of 30"):
        training_arrays(ClassicCorpus((("C,0.500",),), ((),)))


def run(*words: object) -> int:
    """Run the command with these arguments."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def test_the_command_prints_facts_and_values(metheny: ClassicCorpus, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: facts of a corpus that cannot be checked from the command line."""
    path = data_file("metheny/original_metheny.mid")
    assert run(path, "--classic") == 0
    table = capsys.readouterr().out
    for fact in (str(path), "193", "78", "12 12 15", "C x 117", "48fc43d8", "4239f342", "60 30 78", "30 60 78", "1740"):
        assert fact in table
    run(path, "--classic", "--values")
    assert capsys.readouterr().out.splitlines() == [" ".join(bar) for bar in metheny.bars]
    run(path, "--classic", "--json")
    facts = json.loads(capsys.readouterr().out)
    assert facts["tokens"] == 193
    assert facts["X_sum"] == facts["Y_sum"] == 1740


@pytest.mark.parametrize("name", BROKEN)
def test_the_command_ends_with_a_status_for_unreadable_input(tmp_path: Path, name: str) -> None:
    """Guards against: a broken corpus that looks like a defect of the program to a script."""
    with pytest.raises(CorpusError) as caught:
        run(broken(tmp_path, name), "--classic")
    assert exit_status_and_message(caught.value)[0] == 65


def test_the_command_reports_a_missing_file(tmp_path: Path) -> None:
    """Guards against: a mistyped name that looks like a broken file."""
    with pytest.raises(NoSuchInput, match=r"none\.mid") as caught:
        run(tmp_path / "none.mid", "--classic")
    assert caught.value.exit_status == 66


VALUE_FILE = "C,0.500 S,0.250,+2 R,1.000\nX,0.500,-1\n"


def test_the_command_prints_value_files_a_piece_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: value files that cannot be read back or passed to another tool."""
    path = tmp_path / "values.txt"
    path.write_text(VALUE_FILE)
    run(path, "--values")
    assert capsys.readouterr().out == VALUE_FILE
    run(path, "--json")
    facts = json.loads(capsys.readouterr().out)
    assert (facts["pieces"], facts["values"]) == (2, 4)
    run(path)
    assert "C x 1" in capsys.readouterr().out


def test_the_command_refuses_options_without_effect(tmp_path: Path) -> None:
    """Guards against: an option that has no effect and gives no error."""
    path = write_classic_midi(tmp_path, [(0.0, 1.0, 60)], held_chord(E_FLAT))
    with pytest.raises(UsageError, match="--model"):
        run(path, "--classic", "--model", "default")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """Guards against: a program that waits forever for a pipe."""
    os.mkfifo(tmp_path / "pipe.mid")
    with pytest.raises(CorpusError, match=r"pipe.mid: not a readable MIDI file \(not a plain file\)"):
        read_classic(tmp_path / "pipe.mid")
