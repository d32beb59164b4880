# SPDX-License-Identifier: Apache-2.0
"""How much an answer takes up of what was played before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sideman.render.over_solos import answers_over_solos
from sideman_models.evaluation.answers import Answers, interval_runs, real_answers, turns_of
from sideman_models.music.harmony import parse_chord
from sideman_models.music.line import LineNote
from sideman_models.music.solos import ChordGrid, Solo
from support.fakes import modern_bundle, motif_bundle

pitches = st.lists(st.integers(40, 90), max_size=20)
MOTIF = [60, 62, 65, 64, 67, 63]


def solo_of(*turns: list[int]) -> Solo:
    """A solo whose turns of four bars have these pitches, in eighths."""
    notes = [
        LineNote(192 * number + 6 * at, 192 * number + 6 * at + 5, pitch)
        for number, turn in enumerate(turns)
        for at, pitch in enumerate(turn)
    ]
    return Solo("Blues", "", tuple(notes), ChordGrid((parse_chord("F7"),) * 16 * len(turns)))


@given(pitches, st.integers(-12, 12))
def test_a_turn_transposed_is_taken_up_whole(turn: list[int], up: int) -> None:
    """Guards against: an answer that counts as another because it is at another pitch, or over another chord."""
    answers = Answers.of("", [(turn, [pitch + up for pitch in turn])])
    assert (answers.runs, answers.share) == (len(interval_runs(turn)), float(len(turn) > 4))


@given(pitches, pitches, st.integers(1, 8))
def test_the_share_is_over_all_runs_of_the_answers(turn: list[int], answer: list[int], times: int) -> None:
    """Guards against: long answers that count as much as short ones."""
    once, often = (Answers.of("", [(turn, answer)] * count) for count in (1, times))
    assert (often.share, often.runs) == (once.share, once.runs * times)


def test_every_second_turn_answers_the_one_before() -> None:
    """Guards against: answers that are compared with another turn than the one before them."""
    other = [60, 61, 62, 63, 64, 65]
    assert turns_of(solo_of(MOTIF, other)) == [MOTIF, other]
    own, others = real_answers([solo_of(MOTIF, MOTIF, other, MOTIF), solo_of(other, other, MOTIF, other)])
    assert (own.runs, own.share) == (8, 0.5)
    assert (others.runs, others.share) == (8, 0.5)


def test_a_network_that_learned_from_motifs_takes_up_more() -> None:
    """Guards against: a player whose motif is not heard in the answer, in either mode that answers."""
    turn = (MOTIF * 6)[:32]  # up to the bar line, so that no rests are what it takes up
    solo = solo_of(turn, [], turn, [])
    shares = {one.who: one.share for one in answers_over_solos(motif_bundle(), [solo])}
    assert list(shares) == [f"{mode}, play.motif {motif}" for mode in ("trade", "answer") for motif in (0, 1, 1.5, 2)]
    for mode in ("trade", "answer"):
        off, learned, more = (shares[f"{mode}, play.motif {motif}"] for motif in (0, 1, 2))
        assert off < 0.1 < min(learned, more)
    assert len(list(answers_over_solos(modern_bundle(), [solo]))) == 2
