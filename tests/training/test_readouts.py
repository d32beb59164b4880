# SPDX-License-Identifier: Apache-2.0
"""Touch and placement are learned from recorded players, and measured on titles that were held out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sideman import cli
from sideman.core.errors import UnreadableInput
from sideman_models.corpus.corpus import read_corpus
from sideman_models.evaluation.report import make_report
from sideman_models.evaluation.text import report_text
from sideman_models.evaluation.touch import played_notes, touch_figures
from sideman_models.network.bundle import load_bundle, save_bundle
from sideman_models.training.split import split_by_rule
from support.corpora import BEAT_S, NOTE_FIELDS, beat_rows, note_row, solo_record, write_database, write_tiny_corpus
from support.data_files import data_file
from support.fakes import modern_bundle

pytest.importorskip("tensorflow")

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
BARS, TITLES, LATE_S = 16, 40, 0.03


def write_played_corpus(path: Path) -> Path:
    """Players whose high notes are loud, and whose downbeats are late: by these rules and a little chance."""
    rng, records = np.random.default_rng(3), []
    for number in range(TITLES):
        notes, level = [], float(rng.uniform(40, 70))
        for at in range(BARS * 8):
            pitch, late = int(rng.integers(50, 80)), 0.0 if at % 2 else LATE_S
            row = note_row(1 + at // 8, 1 + at // 2 % 4, pitch, 1 + at % 2, 2, 0.5, phrase_begin=int(at == 0))
            row[0] += late + rng.normal(0, 0.005)
            notes.append([*row, level + 0.5 * (pitch - 65) + rng.normal(0, 1.0)])
        chords = [["C^7", "D-7", "G7", "A7b9"][(at // 4 + number) % 4] for at in range(BARS * 4)]
        record = solo_record(notes, beat_rows(chords), title=f"Tune {number}")
        records.append({**record, "note_fields": [*NOTE_FIELDS, "loud_median"]})
    return write_database(path, records)


def test_what_players_do_is_read(tmp_path: Path) -> None:
    """Guards against: loudness and delays that belong to other notes, or are measured from another beat."""
    (piece, *_) = read_corpus([write_played_corpus(tmp_path / "played.jsonl")]).pieces
    assert len(piece.notes) == sum(pitch is not None for pitch in piece.pitches or ())
    for note in piece.notes:
        late = 0.0 if note.onset % 12 else LATE_S
        assert note.delay == pytest.approx(late / BEAT_S, abs=0.06)
        assert note.loudness is not None
    assert piece.solo is not None
    assert piece.solo.bpm == pytest.approx(60 / BEAT_S)


def test_a_network_is_given_touch_and_placement_by_one_command(tmp_path: Path) -> None:
    """Guards against: readouts that learn nothing, a network that is changed with them, or a card that hides it."""
    music = write_played_corpus(tmp_path / "played.jsonl")
    save_bundle(modern_bundle(), tmp_path / "plain")
    command = ["train", str(music), "--from", str(tmp_path / "plain"), "--touch-only", "--out", str(tmp_path / "new")]
    assert cli.main(command) == 0
    plain, new = load_bundle(str(tmp_path / "plain")), load_bundle(str(tmp_path / "new"))
    assert set(new.readouts) == {"touch", "placement"}
    np.testing.assert_array_equal(new.weights.kernel, plain.weights.kernel)
    split = split_by_rule(read_corpus([music]).pieces)
    figures = touch_figures(new, split.held_out)
    assert figures is not None
    assert figures.loudness_correlation is not None
    assert figures.loudness_correlation > 0.9
    assert figures.placement_explained is not None
    assert figures.placement_explained > 0.8
    assert new.facts["readouts"]["figures"]["notes"] == figures.notes
    report = make_report(new, split.held_out, [], 0)
    assert "placement: explained around each solo's mean" in report_text(report)
    assert json.loads(json.dumps(report.as_json()))["touch"]["loudness_correlation"] == figures.loudness_correlation
    cli.main([*command[:-1], str(tmp_path / "again")])
    for name, readout in load_bundle(str(tmp_path / "again")).readouts.items():
        np.testing.assert_array_equal(readout.kernel, new.readouts[name].kernel)


def test_training_gives_touch_where_the_music_has_it(tmp_path: Path) -> None:
    """Guards against: a trained network without touch though its music tells it, and touch made of nothing."""
    options = ["--units", "6", "--epochs", "1"]
    music = write_played_corpus(tmp_path / "played.jsonl")
    assert cli.main(["train", str(music), "--out", str(tmp_path / "new"), *options]) == 0
    new = load_bundle(str(tmp_path / "new"))
    assert set(new.readouts) == {"touch", "placement"}
    assert "## Touch and placement" in new.card
    stiff = write_tiny_corpus(tmp_path / "stiff.jsonl", titles=20)
    assert cli.main(["train", str(stiff), "--out", str(tmp_path / "other"), *options]) == 0
    assert not load_bundle(str(tmp_path / "other")).readouts


def test_music_without_loudness_and_delays_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a bundle that has lost its touch because it was fitted on a score."""
    save_bundle(modern_bundle(), tmp_path / "plain")
    stiff = write_tiny_corpus(tmp_path / "stiff.jsonl", titles=20)
    command = ["train", str(stiff), "--from", str(tmp_path / "plain"), "--out", str(tmp_path / "new"), "--touch-only"]
    assert cli.main(command) == UnreadableInput.exit_status
    assert "nothing to fit touch and placement on" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_the_default_network_touches_the_keys_like_a_player() -> None:
    """Guards against: a default network whose figures are not those of its card, or below what was promised."""
    default = load_bundle("default")
    split = split_by_rule(read_corpus([data_file("wjd/solos_train.jsonl.gz")]).pieces)
    figures = touch_figures(default, split.held_out)
    assert figures is not None
    assert figures.loudness_alone is not None
    assert figures.loudness_alone >= 0.28
    assert figures.placement_explained is not None
    assert figures.placement_explained >= 0.15
    assert figures.ruled_correlation == pytest.approx(0.10, abs=0.02)
    assert default.facts["readouts"]["figures"]["loudness_alone"] == pytest.approx(figures.loudness_alone, abs=0.002)
    assert len(played_notes(default, split.held_out[:2]).piece) > 100
