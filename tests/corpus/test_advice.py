# SPDX-License-Identifier: Apache-2.0
"""What is said about music before a network learns from it, and takes as music to learn from."""

from __future__ import annotations

from pathlib import Path

import pytest

from sideman.core.events import NoteHeard, NoteOn
from sideman_models.corpus.advice import ENOUGH_NOTES, likely_key, shown_changes, too_little_music
from sideman_models.corpus.corpus import Corpus, read_corpus
from sideman_models.errors import CorpusError
from sideman_models.music.harmony import parse_chord
from sideman_models.music.line import LineNote
from sideman_models.music.solos import ChordGrid, Piece, Solo
from support.fakes import performance
from support.performances import PHRASE
from support.takes import perform_with_reports, recorded_take

CHANGES = ("Dm7", "G7", "Cmaj7", "Cmaj7")


def solo(up: int) -> Solo:
    """A scale over a cadence that ends in the key `up` semitones above C."""
    notes = tuple(
        LineNote(12.0 * at, 12.0 * at + 12, 60 + up + step) for at, step in enumerate((2, 4, 5, 7, 9, 7, 4, 0))
    )
    chords = tuple(parse_chord(text).transposed(up) for text in CHANGES for _ in range(4))
    return Solo("", "", notes, ChordGrid(chords))


@pytest.mark.parametrize(("up", "key"), [(0, "C"), (3, "Eb"), (6, "F#"), (10, "Bb")])
def test_the_key_and_the_changes_are_shown(up: int, key: str) -> None:
    """Guards against: chords that were guessed wrong, and nothing by which the musician can see it."""
    assert likely_key([solo(up)]) == key
    assert shown_changes(solo(0)) == "| Dm7 | G7 | Cmaj7 | Cmaj7 |"
    assert likely_key([]) == ""


def test_too_little_music_is_said() -> None:
    """Guards against: a network of seven values, after an hour of training, without a word."""
    few, enough = (Corpus([Piece("", "", (), source_notes=notes)]) for notes in (ENOUGH_NOTES - 1, ENOUGH_NOTES))
    assert "--from default" in too_little_music(few)
    assert too_little_music(enough) == ""


def test_a_take_gives_the_players_line_over_the_known_changes(tmp_path: Path) -> None:
    """Guards against: a network that learns from its own line, or over chords that are guessed though known."""
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 9.0)
    take = recorded_take(tmp_path / "takes", header, reports)
    corpus = read_corpus([tmp_path / "takes"])
    heard = [
        each.note.pitch for each in take.reports() if isinstance(each, NoteHeard) and isinstance(each.note, NoteOn)
    ]
    (piece,) = corpus.pieces
    assert piece.solo is not None
    assert [note.pitch for note in piece.solo.notes] == heard
    assert piece.solo.changes.chords[:4] == tuple(header.chart.chord_at(beat) for beat in range(4))
    assert "what the player played" in corpus.reports[0].melody
    assert not corpus.reports[0].chords.startswith("found")


def test_a_take_in_which_the_player_did_not_play_is_left_out(tmp_path: Path) -> None:
    """Guards against: a network that learns from what a network played."""
    header, reports, _ = perform_with_reports(performance(play__rate="eighth"), [], 9.0)
    recorded_take(tmp_path / "takes", header, reports)
    with pytest.raises(CorpusError, match="the player did not play"):
        read_corpus([tmp_path / "takes"])
