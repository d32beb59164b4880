# SPDX-License-Identifier: Apache-2.0
"""The saved state of a performance."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.playing import state as memory
from sideman.playing.assembly import resumed_engine, state_of
from support.fakes import classic_bundle, performance, play_on_fake_clock


def test_a_restart_continues_where_it_stopped(tmp_path: Path) -> None:
    """Guards against: a daemon that forgets the music at every restart."""
    made = performance()
    engine = made.make_engine(0.0)
    play_on_fake_clock(engine, 5.2)
    path = tmp_path / "new" / "state.json"
    memory.save_state(state_of(engine, made, 5.2), path)
    kept = memory.load_state(path)
    assert kept is not None
    later = resumed_engine(performance(play__seed=99), kept, 100.0)
    assert later.improviser.export_state(144) == engine.improviser.export_state(engine.tempo.beat_at(5.2) * 12)
    assert later.improviser.random_source.seed == engine.improviser.random_source.seed
    assert later.tempo.beat_at(100.0) == 12.0  # the bar line after beat 10.4


def test_after_the_last_chorus_the_next_start_begins_at_the_top() -> None:
    """Guards against: a song that had ended and continues in its second bar."""
    made = performance(chart__choruses=1)
    engine = made.make_engine(0.0)
    play_on_fake_clock(engine, 60.0)
    later = resumed_engine(made, state_of(engine, made, 60.0), 0.0)
    assert later.tempo.beat_at(0.0) == 16.0
    assert later.timeline.end == 32.0


@pytest.mark.parametrize("broken", [{"seed": 1e999}, {"beat": 10**400}, {"beat": "x"}, {"a": [10**400]}, {"seed": -1}])
def test_a_damaged_number_is_refused(broken: dict[str, object]) -> None:
    """Guards against: a daemon that fails at every start until somebody deletes its state."""
    made = performance()
    kept = state_of(made.make_engine(0.0), made, 1.0)
    with pytest.raises((ValueError, KeyError, TypeError, ArithmeticError)):
        resumed_engine(made, {**kept, **broken}, 0.0)


def test_a_state_of_another_bundle_is_refused() -> None:
    """Guards against: numbers of one network that are fed to another."""
    made = performance()
    kept = state_of(made.make_engine(0.0), made, 1.0)
    with pytest.raises(ValueError, match="another bundle"):
        resumed_engine(performance(classic_bundle()), kept, 0.0)


@given(st.binary(max_size=60))
def test_a_broken_state_is_as_good_as_none(content: bytes) -> None:
    """Guards against: a file damaged by a power cut that keeps the daemon from starting."""
    path = Path(os.environ["HOME"]) / "state.json"
    path.write_bytes(content)
    assert memory.load_state(path) is None


def test_no_state_and_no_place_for_one_are_no_errors(tmp_path: Path) -> None:
    """Guards against: a first start, or a full disk at the end, that looks like a failure."""
    assert memory.load_state(tmp_path / "none.json") is None
    (tmp_path / "file").write_text("in the way")
    memory.save_state({}, tmp_path / "file" / "state.json")
