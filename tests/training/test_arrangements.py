# SPDX-License-Identifier: Apache-2.0
"""Arrangements of the music: the same notes over the same chords at another time, or one chord in place of two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.commands import train as command
from sideman.core.errors import UsageError
from sideman_models.errors import TrainingError
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.line import LineNote
from sideman_models.music.solos import ChordGrid, Piece, Solo, solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle, load_bundle
from sideman_models.network.encoding import EncodedPiece
from sideman_models.training.arrangements import (
    arrangements,
    half_a_bar_later,
    in_other_time,
    with_fewer_chords,
    with_more_chords,
)
from sideman_models.training.progress import TrainingObserver
from sideman_models.training.recipe import Recipe
from support.corpora import write_tiny_corpus
from support.strategies import chords
from support.training import quick, train_arguments

__all__ = ["quick"]  # a fixture

GRIDS = st.builds(
    lambda some, slots: ChordGrid(tuple(some), slots),
    st.lists(chords(), min_size=1, max_size=24),
    st.sampled_from((1, 2)),
)


@st.composite
def solos(draw: st.DrawFn) -> Solo:
    """A line of any rhythm over any chords, in bars of three, four or five beats."""
    onsets = sorted(draw(st.sets(st.integers(0, 200), min_size=2, max_size=30)))
    pitches = draw(st.lists(st.integers(40, 90), min_size=len(onsets), max_size=len(onsets)))
    notes = tuple(LineNote(float(onset), onset + 2.0, pitch) for onset, pitch in zip(onsets, pitches, strict=True))
    return Solo("Tune", "", notes, draw(GRIDS), draw(st.sampled_from((36, 48, 60))))


def sounding(solo: Solo) -> list[tuple[int, Chord]]:
    """The pitch of each note, and the chord over which it is played."""
    return [(note.pitch, solo.changes.chord_at(note.onset / TICKS_PER_QUARTER)) for note in solo.notes]


@given(solos())
def test_every_note_stays_over_its_chord(solo: Solo) -> None:
    """Guards against: a network that learns lines over chords over which they were never played."""
    for arranged in (in_other_time(solo), half_a_bar_later(solo)):
        if arranged is not None:
            assert sounding(arranged) == sounding(solo)
            assert arranged != solo


@given(solos())
def test_another_time_is_twice_as_fast_or_half_as_fast(solo: Solo) -> None:
    """Guards against: a solo in eighths that becomes one in quarters and halves."""
    arranged = in_other_time(solo)
    assert arranged is not None
    factor = arranged.notes[-1].onset / solo.notes[-1].onset
    assert [note.onset for note in arranged.notes] == [factor * note.onset for note in solo.notes]
    apart = sorted(after.onset - note.onset for note, after in zip(solo.notes, solo.notes[1:], strict=False))
    assert factor == (0.5 if (apart[len(apart) // 2] + apart[(len(apart) - 1) // 2]) / 2 >= 6 else 2.0)


@given(solos())
def test_half_a_bar_later_keeps_the_place_in_the_beat(solo: Solo) -> None:
    """Guards against: a waltz that begins a beat and a half later, between the beats."""
    arranged = half_a_bar_later(solo)
    assert (arranged is None) == (solo.bar_ticks != 48)
    if arranged is not None:
        assert [(note.onset - 24, note.end - 24) for note in arranged.notes] == [(n.onset, n.end) for n in solo.notes]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Dm7 Dm7 G7 G7 C6 C6", "G7 G7 G7 G7 C6 C6"),
        ("Dm7 G7 C6 Fm7 Bb7 Eb6", "G7 G7 C6 Fm7 Fm7 Eb6"),
        ("Bm7b5 E7alt Am6 N.C.", "E7alt E7alt Am6 N.C."),
        ("Dm7 Dm7 G7sus4 G7", "G7sus4 G7sus4 G7sus4 G7"),
        ("C6 F7 Dm7 A7", None),
        ("N.C. N.C.", None),
    ],
)
def test_one_chord_lasts_for_two_that_prepare_the_same(before: str, after: str | None) -> None:
    """Guards against: other chords exchanged than those over which soloists play the same lines."""
    grid = ChordGrid(tuple(map(parse_chord, before.split())))
    arranged = with_fewer_chords(Solo("", "", (), grid))
    assert (arranged and arranged.changes.chords) == (after and tuple(map(parse_chord, after.split())))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("G7 G7 G7 G7 C6 C6", "Dm7 Dm7 G7 G7 C6 C6"),
        ("E7alt E7alt E7alt E7alt Am7", "Bm7b5 Bm7b5 E7alt E7alt Am7"),
        ("C6 G7sus4 G7sus4 G7sus4 G7sus4 G7sus4 Cm7", "C6 Dm7 Dm7 G7sus4 G7sus4 G7sus4 Cm7"),
        ("G7 G7 C6 C6", None),
        ("Dm7 G7 G7 G7 G7 C6", None),
        ("F7 F7 F7 F7 Bb7 Bb7 Bb7 Bb7 F7", "Cm7 Cm7 F7 F7 Bb7 Bb7 Bb7 Bb7 F7"),
    ],
)
def test_a_long_chord_that_leads_on_becomes_two(before: str, after: str | None) -> None:
    """Guards against: other chords exchanged than those over which soloists play the same lines."""
    arranged = with_more_chords(Solo("", "", (), ChordGrid(tuple(map(parse_chord, before.split())))))
    assert (arranged and arranged.changes.chords) == (after and tuple(map(parse_chord, after.split())))


@given(solos())
def test_other_chords_last_as_long_as_those_that_they_replace(solo: Solo) -> None:
    """Guards against: a solo that slips off its changes."""
    for arranged in (with_fewer_chords(solo), with_fewer_chords(solo, 0), with_more_chords(solo)):
        if arranged is not None:
            assert arranged.notes == solo.notes
            assert len(arranged.changes.chords) == len(solo.changes.chords)
            changed = [
                pair for pair in zip(solo.changes.chords, arranged.changes.chords, strict=True) if len({*pair}) > 1
            ]
            assert changed
            assert all((one.root - other.root) % 12 in (5, 7) for one, other in changed)


class Takes:
    """A trainer that notes the pieces of each epoch."""

    def __init__(self, epochs: int) -> None:
        self.recipe = Recipe(epochs=epochs)
        self.epochs: list[list[str]] = []

    def train_epoch(self, pieces: Sequence[EncodedPiece], progress: object) -> float:
        """Train on nothing."""
        self.epochs.append([str(piece) for piece in pieces])
        return 1.0

    def averaged_weights(self) -> None:
        """No weights."""


@pytest.mark.tensorflow
def test_each_epoch_takes_the_next_kinds() -> None:
    """Guards against: kinds of arrangements that are never heard."""
    pytest.importorskip("tensorflow")
    from sideman_models.training.train import TrainingRun

    trainer, kinds = Takes(4), [[f"{number}a", f"{number}b"] for number in range(5)]
    run = TrainingRun(trainer, ["music"], [], TrainingObserver(), [["lesson"]], kinds)  # type: ignore[arg-type, list-item]
    run.run({}, None)
    assert all(sorted(each for each in epoch if each.isalpha()) == ["lesson", "music"] for epoch in trainer.epochs)
    heard = [sorted({int(each[0]) for each in epoch if not each.isalpha()}) for epoch in trainer.epochs]
    assert heard == [[0, 1, 2], [0, 3, 4], [1, 2, 3], [0, 1, 4]]


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_arrangements_are_learned_from_and_never_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: figures, values or titles of a network that come from music that was made up."""
    pytest.importorskip("tensorflow")
    music = str(write_tiny_corpus(tmp_path / "tiny.jsonl", titles=12))

    def run(name: str, *words: str) -> Bundle:
        words = (*words, "--out", str(tmp_path / name), "--units", "4", "--epochs", "1")
        assert command.run(train_arguments(music, *words)) == 0
        return load_bundle(str(tmp_path / name))

    plain, arranged = run("plain"), run("arranged", "--arrangements")
    assert arranged.vocabulary.values == plain.vocabulary.values
    assert arranged.facts["trained_on"] == plain.facts["trained_on"]
    assert arranged.facts["figures"]["unseen"]["values"] == plain.facts["figures"]["unseen"]["values"]
    assert "arrangements" not in plain.facts
    assert arranged.facts["arrangements"] > arranged.facts["trained_on"]["values"]
    assert arranged.fingerprint != plain.fingerprint
    assert f"{arranged.facts['arrangements']:,} values" in arranged.card
    assert "--arrangements" in arranged.facts["command"]
    assert (
        f"the arrangements of the music have {arranged.facts['arrangements']:,} values, of " in capsys.readouterr().out
    )


@pytest.mark.tensorflow
def test_what_has_no_arrangements_is_refused(tmp_path: Path) -> None:
    """Guards against: an option that is taken and has no effect."""
    pytest.importorskip("tensorflow")
    values = tmp_path / "values.txt"
    values.write_text("C,1.000 S,0.500,+2 C,0.500,-2\n" * 20)
    words = (str(values), "--out", str(tmp_path / "net"), "--arrangements")
    with pytest.raises(TrainingError, match="no arrangements of this music: they need at least two notes"):
        command.run(train_arguments(*words))
    for option in ("--classic", "--touch-only"):
        with pytest.raises(UsageError, match=f"{option} trains .*: --arrangements does not go with it"):
            command.run(train_arguments(*words, option, *(["--from", "default"] if option == "--touch-only" else [])))


def test_arrangements_are_marked() -> None:
    """Guards against: music that was made up and counts as music that was played."""
    notes = tuple(LineNote(6.0 * at, 6.0 * at + 6, 60 + at) for at in range(16))
    piece = solo_to_piece(Solo("Tune", "", notes, ChordGrid(tuple(map(parse_chord, ("Dm7", "G7", "C6", "C6"))))))
    kinds = arrangements([piece, Piece("", "", piece.values)])
    assert len(kinds) == 9  # here no chord lasts a bar and leads to the next
    assert all(each.other_feel and each.title == "Tune" for kind in kinds for each in kind)
    made = {(each.values, tuple(each.solo.changes.chords)) for (each,) in kinds if each.solo is not None}
    assert len(made | {(piece.values, piece.solo.changes.chords if piece.solo else ())}) == 10
