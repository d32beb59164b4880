# SPDX-License-Identifier: Apache-2.0
"""Which titles are held out from training."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

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
    """Guards against: a tune both in training and among the measured pieces, or another split in each version."""
    titles = [f"Tune {number}" for number in range(2000)]
    assert 150 < sum(map(is_held_out, titles)) < 250
    assert [title for title in titles[:40] if is_held_out(title)] == ["Tune 7", "Tune 27", "Tune 30", "Tune 39"]
    assert all(is_held_out(title) == is_held_out(f" {title.upper()} ") for title in titles)
    split = split_by_rule([Piece(title, "", (Value("C", 6),)) for title in titles])
    assert [piece.title for piece in split.held_out] == [title for title in titles if is_held_out(title)]
    assert [piece.title for piece in split.training] == [title for title in titles if not is_held_out(title)]


@given(st.lists(st.text("abc dE", max_size=6), min_size=1, max_size=40), st.sampled_from([None, 0.01, 0.1, 0.5, 0.9]))
def test_no_title_is_on_both_sides_of_the_split(titles: list[str], share: float | None) -> None:
    """Guards against: figures of music that was trained on; or a split with nothing on one side."""
    pieces = [Piece(title, str(number), (Value("C", 6, 2),)) for number, title in enumerate(titles)]
    split = split_by_share(pieces, share)
    trained, held_out = (
        {" ".join(one.title.lower().split()) for one in side} for side in (split.training, split.held_out)
    )
    assert not trained & held_out
    assert len(split.training) + len(split.held_out) == len(pieces)
    assert trained
    assert bool(held_out) == (len(trained | held_out) >= (MIN_TITLES if share is None else 2))
    # Whether a title is held out does not depend on the other titles or their order.
    again = split_by_share(pieces[::-1], share)
    assert {one.performer for one in again.held_out} == {one.performer for one in split.held_out}
    # The facts of a bundle hold the complete rule.
    facts = json.loads(json.dumps({SPLIT_RULE_KEY: msgspec.to_builtins(split.rule)}))
    assert split_by_rule(pieces, read_split_rule(facts, "")) == split
    more = [*pieces, *(Piece(f"Tune {number}", "more", (Value("C", 6, 2),)) for number in range(50))]
    assert not {one.title for one in split_by_rule(more, read_split_rule(facts, "")).held_out} & {
        one.title for one in split.training
    }


def test_music_of_another_feel_is_never_measured_on() -> None:
    """Guards against: figures of another feel, or training on a tune that is measured on."""
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


def test_the_default_split_is_the_fixed_tenth() -> None:
    """Guards against: `evaluate --unseen` that measures on music that was trained on."""
    pieces = [Piece(f"Tune {number}", "", (Value("C", 6, 2),)) for number in range(200)]
    split = split_by_share(pieces)
    assert split == split_by_rule(pieces, read_split_rule({}, "")) == split_by_rule(pieces)
    assert [piece for piece in pieces if is_held_out(piece.title)] == [*split.held_out]
    assert 10 < len(split.held_out) < 35
    assert 80 < len(split_by_share(pieces, 0.5).held_out) < 120
    assert not split_by_share(pieces, 0).held_out


def test_a_broken_rule_is_reported() -> None:
    """Guards against: music that was trained on but is called unseen, or a traceback."""
    wrong: list[object] = [
        [],
        {"share": 0.1},
        {"words": "some", "titles": "Blues"},
        {"words": "some", "share": "a tenth"},
    ]
    for rule in wrong:
        with pytest.raises(BundleError, match="mine: facts: held_back"):
            read_split_rule({SPLIT_RULE_KEY: rule}, "mine")


def test_files_of_all_earlier_networks_are_known() -> None:
    """Guards against: figures of music that an earlier network was trained on, without a message."""
    facts = {"files": {"a.mid": "2"}, "from": {"files": {"a.mid": "1", "odd": 3}, "from": {"files": []}}}
    assert list(map(training_file_hashes, lineage(facts))) == [{"2"}, {"1"}, set()]
    assert list(map(training_file_hashes, lineage({"from": "nowhere", "teachers": 3}))) == [set()]
    taught = {"files": {"a.mid": "9"}, "from": {"files": {"b.mid": "8"}}, "teachers": [facts, "nowhere"]}
    assert list(map(training_file_hashes, lineage(taught))) == [{"9"}, {"8"}, {"2"}, {"1"}, set()]
