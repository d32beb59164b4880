# SPDX-License-Identifier: Apache-2.0
"""The smoothing rules, note by note: each rule holds, is final, and changes nothing that already obeys it."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.music.harmony import parse_chord
from sideman_models.music.line import LineNote
from sideman_models.music.smoothing import (
    NO_RULES,
    ORIGINAL_RULES,
    SmoothingRules,
    delay_onset,
    is_repeated_too_often,
    settle_length,
    within_leap,
    without_repeated,
)
from sideman_models.music.solos import ChordGrid, Piece, Solo, solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle
from support.fakes import classic_bundle, modern_bundle
from support.smoothing_table import MODERN_GRID, ROWS, chorus_of_piece, rule_counts, table_lines

lengths = st.integers(1, 60)
pitches = st.lists(st.integers(0, 127), min_size=1, max_size=40, unique=True)
beats = st.sampled_from([12, 24, 48, 96, 480])


@given(st.integers(0, 10_000), st.integers(1, 3000), beats, st.integers(0, 100))
def test_every_note_ends_on_the_grid(onset: int, length: int, beat: int, least: int) -> None:
    """Guards against: a triplet and a sixteenth in one beat that push all later notes off the grid."""
    ends = onset + settle_length(onset, length, beat, least)
    assert ends % beat % (beat // 4) == 0 or ends % beat % (beat // 3) == 0
    assert ends - onset >= max(1, least)


@given(st.lists(lengths, max_size=30))
def test_a_beat_is_divided_into_quarters_or_thirds(drawn: list[int]) -> None:
    """Guards against: a beat that is half a triplet, which no musician can play."""
    onset, onsets = 0, [0]
    for length in drawn:
        onset += settle_length(onset, length, TICKS_PER_QUARTER)
        onsets.append(onset)
    for beat in range(onset // TICKS_PER_QUARTER + 1):
        places = {each % TICKS_PER_QUARTER for each in onsets if each // TICKS_PER_QUARTER == beat}
        assert places <= {0, 3, 6, 9} or places <= {0, 4, 8}


@given(st.integers(0, 10_000), st.integers(1, 300), beats, st.integers(0, 100))
def test_a_settled_length_stays(onset: int, length: int, beat: int, least: int) -> None:
    """Guards against: a solo that changes again each time the rules are applied."""
    once = settle_length(onset, length, beat, least)
    assert settle_length(onset, once, beat, least) == once


@pytest.mark.parametrize(
    ("onset", "length", "settled"),
    [(0, 3, 3), (0, 4, 4), (4, 3, 4), (8, 3, 4), (3, 4, 3), (6, 8, 9), (0, 7, 6), (4, 6, 8), (24, 5, 6), (7, 3, 2)],
)
def test_a_length_settles_on_the_nearest_one(onset: int, length: int, settled: int) -> None:
    """Guards against: a rhythm that is changed more than the grid requires."""
    assert settle_length(onset, length, TICKS_PER_QUARTER) == settled


@given(st.lists(st.floats(0, 20), max_size=20), st.floats(0, 2))
def test_no_two_notes_start_at_once(onsets: list[float], least: float) -> None:
    """Guards against: a voice that plays two notes together, or the later note first."""
    delayed = list(accumulate(onsets, lambda before, onset: delay_onset(onset, before, least)))
    assert all(after - before >= least - 1e-9 for before, after in pairwise(delayed))
    assert list(accumulate(delayed, lambda before, onset: delay_onset(onset, before, least))) == pytest.approx(delayed)


@given(st.integers(0, 60), st.integers(0, 60))
def test_notes_are_kept_apart_and_no_further(length: int, least: int) -> None:
    """Guards against: notes that crowd, or notes that are stretched although they have enough room."""
    rules = SmoothingRules(apart=least / TICKS_PER_QUARTER)
    apart = rules.smoothed_length(0, length, TICKS_PER_QUARTER)
    assert apart >= least
    assert apart == length or length < least
    assert rules.smoothed_length(0, apart, TICKS_PER_QUARTER) == apart


@given(pitches, st.integers(0, 127), st.integers(1, 24))
def test_no_leap_is_wider_than_it_must_be(fitting: list[int], previous: int, widest: int) -> None:
    """Guards against: a line that leaps where a step is possible."""
    left = within_leap(fitting, previous, widest)
    nearest = min(abs(pitch - previous) for pitch in fitting)
    assert left
    assert all(abs(pitch - previous) <= max(widest, nearest) for pitch in left)
    assert left == within_leap(left, previous, widest)
    assert set(left) >= {pitch for pitch in fitting if abs(pitch - previous) <= widest}


@given(pitches, st.none() | st.integers(0, 127))
def test_only_the_repeated_pitch_is_left_out(fitting: list[int], repeated: int | None) -> None:
    """Guards against: one pitch repeated on and on, or other pitches lost with it."""
    left = without_repeated(fitting, repeated)
    assert left == without_repeated(left, repeated)
    assert list(left) == ([pitch for pitch in fitting if pitch != repeated] or fitting)


@given(st.integers(0, 20), st.integers(0, 16))
def test_a_limit_of_zero_is_no_limit(times: int, most: int) -> None:
    """Guards against: a rule that is off but still blocks a pitch."""
    assert is_repeated_too_often(times, most) == (most > 0 and times >= most)
    assert not is_repeated_too_often(times, 0)


rules = st.builds(
    SmoothingRules, st.booleans(), st.integers(0, 4), st.integers(0, 12), st.sampled_from([0, 1 / 12, 0.25, 0.5])
)


@given(rules, st.lists(st.tuples(lengths, st.integers(0, 127)), max_size=20), st.integers(0, 20))
def test_each_note_is_final(kept: SmoothingRules, drawn: list[tuple[int, int]], upto: int) -> None:
    """Guards against: a sounding note that would have to change because of a later one."""
    assert smooth(kept, drawn[:upto]) == smooth(kept, drawn)[:upto]


@given(rules, st.lists(st.tuples(lengths, st.integers(0, 127)), max_size=20))
def test_a_line_that_obeys_the_rules_is_not_changed(kept: SmoothingRules, drawn: list[tuple[int, int]]) -> None:
    """Guards against: rules that undo the work of other rules."""
    once = smooth(kept, drawn)
    assert smooth(kept, once) == once
    assert smooth(NO_RULES, drawn) == drawn
    assert all(length >= round(kept.apart * TICKS_PER_QUARTER) for length, _ in once)


def test_the_original_rules_are_all_on() -> None:
    """Guards against: a classic bundle that plays the raw output of its network."""
    kept = (ORIGINAL_RULES.settle, ORIGINAL_RULES.repetition, ORIGINAL_RULES.leap, ORIGINAL_RULES.apart)
    assert all(kept)


def solo(*notes: tuple[int, int, int]) -> Piece:
    """Return a solo of notes (onset, length, pitch) over two bars of changes."""
    changes = ChordGrid(tuple(parse_chord(text) for text in ["Dm7"] * 4 + ["G7"] * 4))
    return solo_to_piece(
        Solo("test", "", tuple(LineNote(onset, onset + length, pitch) for onset, length, pitch in notes), changes)
    )


def test_the_effects_are_counted_correctly() -> None:
    """Guards against: a table of effects that does not describe what was played."""
    piece = solo((0, 3, 60), (3, 2, 60), (5, 3, 60), (8, 4, 67), (12, 12, 81))
    assert rule_counts([chorus_of_piece(piece)], MODERN_GRID) == {
        "notes": "5",
        "off the grid": "20.0 %",
        "a third time or more": "20.0 %",
        "leaps beyond a fifth": "25.0 %",
        "beyond an octave": "25.0 %",
        "nearer than 1/4 beat": "25.0 %",
        "than 1/12, swung": "–",
    }


@pytest.mark.parametrize("bundle", [classic_bundle(), modern_bundle()])
def test_the_table_shows_what_each_rule_does(bundle: Bundle) -> None:
    """Guards against: a table in which the effect of a rule cannot be seen."""
    piece = solo((0, 12, 62), (12, 12, 65), (24, 12, 69), (36, 12, 67))
    assert piece.solo is not None
    lines = [line.split("|")[1:-1] for line in table_lines(bundle, [piece], [piece.solo], 6)]
    head, rows = [cell.strip() for cell in lines[0]], {line[0].strip(): line for line in lines[2:]}
    assert [*rows] == ["*the music itself*", *ROWS]
    for rules, effect in (
        ("settle", "off the grid"),
        ("repetition 2", "a third time or more"),
        ("leap 7", "beyond an octave"),
    ):
        shares = {name: float(row[head.index(effect)].strip(" %")) for name, row in rows.items()}
        assert shares[rules] == 0


def smooth(kept: SmoothingRules, drawn: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Apply the rules to a line of (length, pitch): each note sees only the notes before it, and may take any pitch."""
    line: list[tuple[int, int]] = []
    onset, previous, times = 0, None, 0
    for drawn_length, drawn_pitch in drawn:
        length = kept.smoothed_length(onset, drawn_length, TICKS_PER_QUARTER)
        choice = within_leap(
            without_repeated(range(128), previous if is_repeated_too_often(times, kept.repetition) else None),
            previous,
            kept.leap,
        )
        pitch = min(choice, key=lambda each: (abs(each - drawn_pitch), each))
        times = times + 1 if pitch == previous else 1
        onset, previous = onset + length, pitch
        line.append((length, pitch))
    return line
