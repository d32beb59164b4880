# SPDX-License-Identifier: Apache-2.0
"""The memory of motifs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.music.motifs import (
    MAX_RUN,
    MEMORY_LIMIT,
    NO_ROWS,
    RECENT,
    SYMBOL_COUNT,
    MotifMemory,
    Runs,
    motif_symbol,
    padded_rows,
    symbol_logits,
)
from sideman_models.music.values import Value

VALUES = [Value("C", 6, 2), Value("S", 3, 2), Value("A", 6, -1), Value("C", 12), Value("R", 12)]
Played = list[tuple[Value, int | None, bool]]
"""Values with the pitches before them, and whether they were heard."""

played_lines = st.lists(
    st.tuples(st.sampled_from(VALUES), st.sampled_from([None, 60, 62, 64]), st.booleans()), max_size=150
)


def remembered(played: Played, limit: int = MEMORY_LIMIT) -> MotifMemory:
    """A memory of these values."""
    memory = MotifMemory(limit)
    for value, pitch, heard in played:
        memory.append(value, pitch, heard=heard)
    return memory


def searched_runs(played: Played, pitch: int | None, *, heard: bool = False) -> Runs:
    """The longest runs, found by comparing every earlier place with the end; `heard`: only the places of the player."""
    symbols, longest = [motif_symbol(value) for value, _, _ in played], np.zeros((2, SYMBOL_COUNT), np.uint8)
    for place, symbol in enumerate(symbols):
        if heard and not played[place][2]:
            continue
        run = 0
        while run < min(place, MAX_RUN) and symbols[place - 1 - run] == symbols[-1 - run]:
            run += 1
        longest[0, symbol] = max(longest[0, symbol], run)
        if pitch is not None and played[place][1] == pitch:
            longest[1, symbol] = max(longest[1, symbol], run)
    return longest


@given(played_lines, st.sampled_from([None, 60, 62, 64]), st.sampled_from([1, 5, 6, 7, 20, MEMORY_LIMIT]))
def test_runs_are_those_that_a_search_finds(played: Played, pitch: int | None, limit: int) -> None:
    """Guards against: motifs that are missed or invented, above all when the oldest notes are forgotten."""
    memory = remembered(played, limit)
    for heard in (False, True):
        found = memory.longest_runs(pitch, heard=heard)
        np.testing.assert_array_equal(found, searched_runs(played[-limit:], pitch, heard=heard))
    latest = [each for _, each, _ in played[-min(limit, RECENT) :]]
    assert memory.recent_pitches() == len({*latest} - {None})
    assert len(memory) == min(limit, len(played))


@given(played_lines, st.sampled_from([5, 20, MEMORY_LIMIT]))
def test_a_memory_that_was_saved_goes_on_as_it_would_have(played: Played, limit: int) -> None:
    """Guards against: a restart or a replay after which the solo is another one."""
    before, after, copied = remembered(played, limit), remembered(played[:3], limit), remembered(played[:3], limit)
    after.recall(before.memory())
    copied.assign(before)
    for memory in (after, copied):
        assert memory.memory() == before.memory()
    for value, pitch, heard in played:
        for memory in (before, after, copied):
            memory.append(value, pitch, heard=heard)
        for memory in (after, copied):
            np.testing.assert_array_equal(memory.longest_runs(62), before.longest_runs(62))


def test_the_memory_is_bounded() -> None:
    """Guards against: a long evening whose memory grows, in the process and in its saved state."""
    memory, rng = MotifMemory(), np.random.default_rng(0)
    for step in rng.integers(-12, 13, 100_000).tolist():
        memory.append(Value("C", 6, step), 60)
    assert len(memory) == len(memory.memory()) == MEMORY_LIMIT
    longer = MotifMemory()
    longer.recall([0] * 100_000)
    assert len(longer) == MEMORY_LIMIT


@pytest.mark.parametrize("code", [-1, 27, 1 << 14, 200 << 5, 1 << 70])
def test_a_broken_memory_is_refused(code: int) -> None:
    """Guards against: a damaged state file that stops the player."""
    with pytest.raises(ValueError, match="is not a note or a rest"):
        MotifMemory().recall([0, code])


def test_a_motif_of_the_players_is_recognised_from_its_fourth_symbol_on() -> None:
    """Guards against: a view that says it plays something of yours when it repeats itself, or does not say it."""
    motif = [Value("C", 6, step) for step in (2, 3, -1, 4)]
    yours: Played = [(value, 60, True) for value in [Value("C", 6), *motif]]
    ours: Played = [(value, 67, False) for value in [Value("C", 6, 7), *motif[:3]]]

    def repeated(played: Played, value: Value) -> int:
        memory = remembered(played)
        return memory.continues_yours(value, memory.longest_runs(None))

    assert repeated([*yours, *ours], motif[3]) == 4
    assert repeated([*yours, *ours], Value("C", 6, 5)) == 0
    assert repeated([*yours, *ours[:-1]], motif[2]) == 0
    assert repeated([(value, pitch, False) for value, pitch, _ in yours] + ours, motif[3]) == 0


def test_longer_runs_count_by_their_own_numbers() -> None:
    """Guards against: numbers of the wrong length or row, or an effect where nothing is continued."""
    rows = np.arange(1, 13, dtype=np.float32).reshape(2, MAX_RUN)
    runs = np.zeros((2, SYMBOL_COUNT), np.uint8)
    runs[0, :3], runs[1, 2] = (1, 6, 2), 1
    np.testing.assert_array_equal(symbol_logits(padded_rows(rows), runs)[:4], [1, 6, 2 + 7, 0])
    assert not symbol_logits(padded_rows(NO_ROWS), runs).any()
