# SPDX-License-Identifier: Apache-2.0
"""The longest runs that a line shares with the training set."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from sideman_models.evaluation.copying import (
    MATCH_KEYS,
    MatchKey,
    longest_shared_runs,
    performer_of,
)
from sideman_models.music.solos import Piece
from sideman_models.music.values import Value

ALPHABET = [Value("C", 6, 2), Value("S", 6, 2), Value("C", 6, -1), Value("C", 3, 2), Value("R", 6)]


def pieces() -> st.SearchStrategy[list[Piece]]:
    """Draw a few short pieces of few values by few performers, some of them unknown."""
    values = st.lists(st.sampled_from(ALPHABET), max_size=14).map(tuple)
    return st.lists(st.builds(Piece, st.sampled_from("TUV"), st.sampled_from(["", "A", "B"]), values), max_size=5)


def longest_by_trying(piece: Piece, training: Sequence[Piece], match_key: MatchKey) -> int:
    """Return the length of the longest shared run in notes, by trying all runs."""
    own = [match_key(value) for value in piece.values]
    most = 0
    for other in training:
        theirs = [match_key(value) for value in other.values]
        for start in range(len(own)):
            for end in range(start + 1, len(own) + 1):
                run = own[start:end]
                occurs = any(theirs[at : at + len(run)] == run for at in range(len(theirs)))
                if occurs and performer_of(other) != performer_of(piece):
                    most = max(most, sum(value.kind != "R" for value in piece.values[start:end]))
    return most


@given(pieces(), pieces(), st.sampled_from(sorted(MATCH_KEYS)))
def test_the_run_is_the_longest_one(probes: list[Piece], training: list[Piece], match: str) -> None:
    """Guards against: a copied solo that passes for an invention, or the reverse."""
    match_key = MATCH_KEYS[match]
    runs = longest_shared_runs(probes, training, match_key)
    assert [run.note_count for run in runs] == [longest_by_trying(piece, training, match_key) for piece in probes]
    for run, piece in zip(runs, probes, strict=True):
        assert run.piece is piece
        assert len(run.text.split()) == run.value_count
        if run.source is None:
            assert run.note_count == run.value_count == 0
            continue
        assert run.source in training
        assert performer_of(run.source) != performer_of(piece)
        copied = [match_key(value) for value in piece.values[run.start : run.start + run.value_count]]
        theirs = [match_key(value) for value in run.source.values]
        assert any(theirs[at : at + run.value_count] == copied for at in range(len(theirs)))


def test_a_copied_solo_is_found_with_its_source() -> None:
    """Guards against: a copy that is not found, or whose source is not named."""
    solo = tuple(ALPHABET[at * at % 5] for at in range(60))
    original, other = Piece("Ours", "A", solo), Piece("Other", "B", (ALPHABET[0],) * 60)
    [run] = longest_shared_runs([Piece("New", "net", (ALPHABET[4], *solo))], [other, original], MATCH_KEYS["values"])
    assert run.source is original
    assert run.value_count in (60, 61)
    assert run.note_count == sum(value.kind != "R" for value in solo)


def test_a_melody_is_the_same_over_other_chords() -> None:
    """Guards against: a tune copied over other chords that is not found."""
    one, other = Piece("", "A", (ALPHABET[0],) * 9), Piece("", "B", (ALPHABET[1],) * 9)
    assert longest_shared_runs([one], [other], MATCH_KEYS["values"])[0].note_count == 0
    assert longest_shared_runs([one], [other], MATCH_KEYS["melody"])[0].note_count == 9
