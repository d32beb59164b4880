# SPDX-License-Identifier: Apache-2.0
"""The accuracy of the chords that are found from notes, and the command that reports it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman import cli
from sideman_models.errors import CorpusError
from sideman_models.evaluation.chord_accuracy import (
    Accompaniment,
    ChordAccuracy,
    accompaniment_accuracy,
    band_accompaniment,
    database_bass_accuracy,
    plain_chord_accompaniment,
)
from sideman_models.music.harmony import NO_CHORD, Chord, parse_chord
from sideman_models.music.solos import ChordGrid
from sideman_models.music.values import TICKS_PER_QUARTER
from support.corpora import BEAT_FIELDS, beat_rows, note_row, solo_record, write_database
from support.strategies import beat_changes, chord_symbols


@settings(max_examples=30)
@given(beat_changes(), st.integers(0, 9), st.sampled_from([band_accompaniment, plain_chord_accompaniment]))
def test_a_generated_accompaniment_can_be_played(changes: ChordGrid, seed: int, playing: Accompaniment) -> None:
    """Guards against: an accuracy that is measured on what no musician would play."""
    chords = changes.chords
    for start, end, pitch in playing(chords, np.random.default_rng(seed)):
        assert 0 <= start < end
        assert 28 <= pitch < 76
        assert chords[int(start / TICKS_PER_QUARTER)] != NO_CHORD


@settings(max_examples=30)
@given(st.lists(st.tuples(chord_symbols(), chord_symbols()).map(lambda two: tuple(map(parse_chord, two))), max_size=9))
def test_accuracy_counts_beats(pairs: list[tuple[Chord, Chord]]) -> None:
    """Guards against: a wrong accuracy."""
    no_chord_pair = (parse_chord("C"), NO_CHORD)
    accuracy = ChordAccuracy.from_pairs([*pairs, no_chord_pair])
    assert accuracy.beats == len(pairs)
    assert 0 <= accuracy.family_share <= accuracy.root_share <= 1
    assert ChordAccuracy.from_pairs([(true, true) for _, true in pairs]).family_share == (1.0 if pairs else 0.0)
    assert ChordAccuracy.from_pairs([(NO_CHORD, true) for _, true in pairs]).root_share == 0.0


@pytest.mark.parametrize("playing", [band_accompaniment, plain_chord_accompaniment])
def test_most_chords_of_a_tune_are_found(playing: Accompaniment) -> None:
    """Guards against: training on wrong chords if the files have none, although the docs say otherwise."""
    chords = [parse_chord(text) for text in ("D-7", "G7", "C^7", "C^7", "Bb-7", "Eb7", "Ab^7", "A7") for _ in range(4)]
    accuracy = accompaniment_accuracy([(chords * 8, ())], playing)
    assert accuracy.root_share > 0.85
    assert accuracy.family_share > 0.75


def test_the_command_reports_the_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: users who cannot know how far to trust the chords that are found_symbols."""
    chart = tmp_path / "blues.txt"
    chart.write_text("| F7 | Bb7 | F7 | % |")
    rows = beat_rows(["C^7"] * 8 + ["D-7"] * 4 + ["G7"] * 4)
    basses = [*[36, None] * 4, *[38, 45] * 2, *[43, 38] * 2]
    solo = solo_record([note_row(1, 1, 64)], [[*row, low] for row, low in zip(rows, basses, strict=True)])
    solos = write_database(tmp_path / "solos.jsonl", [solo | {"beat_fields": [*BEAT_FIELDS, "bass_midi"]}])
    assert cli.main(["corpus", "--chord-accuracy", str(chart), str(solos)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[1].split(":")[0] for line in lines] == [
        "a band made up", "plain chords", "a band made up", "plain chords", "its own bass",
    ]  # fmt: skip
    assert lines[-1].endswith("of roots and families found, in 16 beats")
    assert cli.main(["corpus", "--chord-accuracy", "--json", str(solos)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["roots"] >= 0.5
    assert cli.main(["corpus", "--chord-accuracy", "--values", str(chart)]) == 2


def test_a_database_without_bass_notes_is_refused(tmp_path: Path) -> None:
    """Guards against: an accuracy that was never measured."""
    solos = write_database(tmp_path / "solos.jsonl", [solo_record([note_row(1, 1, 64)], beat_rows(["C^7"] * 4))])
    with pytest.raises(CorpusError, match=r"solos.jsonl:1: beats: .* required field `bass_midi`"):
        database_bass_accuracy(solos)
