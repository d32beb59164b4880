# SPDX-License-Identifier: Apache-2.0
"""`sideman corpus`: what it says of music to learn from, and how sure that is."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from sideman.commands import corpus
from support.midi_files import block_chords, marker_events, scale_events, track, write_midi

CADENCE = [(50, 53, 57, 60), (55, 59, 62, 65), (48, 52, 55, 59), (48, 52, 55, 59)]


def lines_of(capsys: pytest.CaptureFixture[str], *files: Path) -> list[str]:
    """What the command prints."""
    parser = argparse.ArgumentParser()
    corpus.add_arguments(parser)
    assert corpus.run(parser.parse_args([*map(str, files), "--no-cache"])) == 0
    return capsys.readouterr().out.splitlines()


def test_written_chords_and_guessed_ones_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: chords that were guessed and are taken for those of the tune, and a key without a doubt."""
    melody = track(scale_events(bars=8), "Melody")
    symbols = marker_events([(4.0 * bar, ("Dm7", "G7", "Cmaj7", "Cmaj7")[bar % 4]) for bar in range(8)])
    written = lines_of(capsys, write_midi(tmp_path / "written.mid", melody, track(symbols)))
    guessed = lines_of(capsys, write_midi(tmp_path / "guessed.mid", melody, track(block_chords(CADENCE * 2), "Piano")))
    for lines, sure in ((written, "as written in the file"), (guessed, "a guess: compare some bars with the tune")):
        at = next(number for number, line in enumerate(lines) if line.startswith("    chords: "))
        assert lines[at].endswith(sure)
        assert lines[at + 1].split("|")[1:5] == [" Dm7 ", " G7 ", " Cmaj7 ", " Cmaj7 "]
        assert "    key: C, a guess from the notes and chords" in lines
        assert any(line.startswith("too little music: ") and "--from default" in line for line in lines)
