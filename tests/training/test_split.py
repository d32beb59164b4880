# SPDX-License-Identifier: Apache-2.0
"""Which titles are held out from training."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.errors import BundleError
from sideman_models.music.harmony import NO_CHORD
from sideman_models.music.solos import ChordGrid, Piece, Solo
from sideman_models.music.values import Value
from sideman_models.training.split import (
    MIN_TITLES,
    SPLIT_RULE_KEY,
    is_held_out,
    lineage,
    read_split_rule,
    split_by_rule,
    split_by_share,
    training_file_hashes,
)


def test_the_split_is_by_title_and_fixed() -> None:
    """A tune would be learned from one player and measured on another, or every version would measure another tenth."""
    titles = [f"Tune {number}" for number in range(2000)]
    assert 150 < sum(map(is_held_out, titles)) < 250
    assert [title for title in titles[:40] if is_held_out(title)] == ["Tune 7", "Tune 27", "Tune 30", "Tune 39"]
    assert all(is_held_out(title) == is_held_out(f" {title.upper()} ") for title in titles)
    split = split_by_rule([Piece(title, "", (Value("C", 6),)) for title in titles])
    assert [piece.title for piece in split.held_out] == [title for title in titles if is_held_out(title)]
    assert [piece.title for piece in split.training] == [title for title in titles if not is_held_out(title)]


@given(st.lists(st.text("abc dE", max_size=6), min_size=1, max_size=40), st.sampled_from([None, 0.01, 0.1, 0.5, 0.9]))
def test_no_title_is_on_both_sides_of_the_split(titles: list[str], share: float | None) -> None:
    """The figures would be of music that the network knows by heart; or nothing would be measured, or learned."""
    pieces = [Piece(title, str(number), (Value("C", 6, 2),)) for number, title in enumerate(titles)]
    split = split_by_share(pieces, share)
    seen, unseen = ({" ".join(one.title.lower().split()) for one in side} for side in (split.training, split.held_out))
    assert not seen & unseen
    assert len(split.training) + len(split.held_out) == len(pieces)
    assert seen
    assert bool(unseen) == (len(seen | unseen) >= (MIN_TITLES if share is None else 2))
    # Who is kept depends on the title alone, not on who else is there in what order.
    again = split_by_share(pieces[::-1], share)
    assert {one.performer for one in again.held_out} == {one.performer for one in split.held_out}
    # And the bundle's facts tell the rule whole.
    told = json.loads(json.dumps({SPLIT_RULE_KEY: split.rule.as_json()}))
    assert split_by_rule(pieces, read_split_rule(told, "")) == split
    more = [*pieces, *(Piece(f"Tune {number}", "more", (Value("C", 6, 2),)) for number in range(50))]
    assert not {one.title for one in split_by_rule(more, read_split_rule(told, "")).held_out} & {
        one.title for one in split.training
    }


def test_foreign_music_is_only_learned_from() -> None:
    """The figures would be of funk, or the network would have heard a tune that it is measured on."""
    solo = Solo("", "", (), ChordGrid((NO_CHORD,)), other_feel=True)
    ours = [Piece(f"Tune {number}", "we", (Value("C", 6, 2),)) for number in range(100)]
    theirs = [replace(piece, performer="they", solo=solo) for piece in ours]
    for share in (None, 0.3):
        split = split_by_share([*theirs, *ours], share)
        assert {piece.performer for piece in split.held_out} == {"we"}
        learned = {piece.title for piece in split.training if piece.other_feel}
        assert learned
        assert not learned & {piece.title for piece in split.held_out}
        assert not any(map(is_held_out, learned))


def test_the_usual_split_is_the_one_that_evaluate_knows() -> None:
    """`evaluate --unseen` would measure on music that the network was trained on."""
    pieces = [Piece(f"Tune {number}", "", (Value("C", 6, 2),)) for number in range(200)]
    split = split_by_share(pieces)
    assert split == split_by_rule(pieces, read_split_rule({}, "")) == split_by_rule(pieces)
    assert [piece for piece in pieces if is_held_out(piece.title)] == [*split.held_out]
    assert 10 < len(split.held_out) < 35
    assert 80 < len(split_by_share(pieces, 0.5).held_out) < 120
    assert not split_by_share(pieces, 0).held_out


def test_a_rule_of_no_sense_is_told() -> None:
    """Music that a network knows by heart would be called unseen, or the program look broken."""
    wrong: list[object] = [
        [],
        {"share": 0.1},
        {"words": "some", "titles": "Blues"},
        {"words": "some", "share": "a tenth"},
    ]
    for told in wrong:
        with pytest.raises(BundleError, match="mine: facts: held_back"):
            read_split_rule({SPLIT_RULE_KEY: told}, "mine")


def test_all_files_that_a_network_ever_learned_from_are_known() -> None:
    """Music that the network one began from knows by heart would be measured without a word."""
    facts = {"files": {"a.mid": "2"}, "from": {"files": {"a.mid": "1", "odd": 3}, "from": {"files": []}}}
    assert list(map(training_file_hashes, lineage(facts))) == [{"2"}, {"1"}, set()]
    assert list(map(training_file_hashes, lineage({"from": "nowhere"}))) == [set()]
