# SPDX-License-Identifier: Apache-2.0
"""Settings changed while it plays: each holds from the next value on, as if it had been so from there."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import classic_bundle, hanging, modern_bundle, performance, play, struck
from sideman.core.controls import present, value_at
from sideman.core.engine import Engine, play_through
from sideman.core.events import Change, Event, NoteOff, NoteOn
from sideman.core.improviser import PULSES, Improviser
from sideman.core.reports import BarPlayed, Struck
from sideman.core.rules import Range
from sideman.core.settings import KEYS
from sideman_models.bundle import Bundle
from sideman_models.values import TICKS

PLAY = [key for key in KEYS if key.startswith("play.")]
PHRASE: list[tuple[float, Event]] = [(1.1, NoteOn(61, 70, 1)), (1.3, NoteOff(61, 1)), (1.35, NoteOn(68, 70, 1))]


@st.composite
def play_values(draw: st.DrawFn, keys: list[str] = PLAY) -> tuple[str, Any]:
    """A key of `play`, and a value that it may have."""
    key = draw(st.sampled_from(keys))
    rule = KEYS[key].rule
    if key == "play.range":
        low = draw(st.integers(0, 100))
        return key, Range(low, draw(st.integers(low, 127)))
    if rule.span is None:
        raise AssertionError(key)
    value = value_at(rule.span, draw(st.integers(0, 127)))
    odd = [each for each in (None, "auto") if _allows(key, each)]
    return key, draw(st.sampled_from([value, value, *(rule.read(each) for each in odd)]))


def _allows(key: str, value: object) -> bool:
    try:
        KEYS[key].rule.read(value)
    except ValueError:
        return False
    return True


def afresh(engine: Engine) -> Improviser:
    """An improviser made with the settings that hold now, in the state of the one of `engine`."""
    old = engine.improviser
    made = performance(old.bundle)
    bar = engine.bar_ticks
    new = Improviser(old.bundle, made.network, engine.tune, bar, engine.settings.play, old.dice.seed)
    for name in ("state", "_line", "_last", "_rests", "_repeats"):
        setattr(new, name, copy.copy(getattr(old, name)))
    new.state, new._line = old.state.copy(), old._line.copy()
    return new


@settings(max_examples=60)
@given(play_values(), st.sampled_from(["beat", "eighth", "phrase"]), st.floats(1.4, 5.0), st.booleans())
def test_the_next_choice_is_that_of_an_improviser_with_these_settings(
    change: tuple[str, Any], rate: str, second: float, classic: bool
) -> None:
    """A knob would be turned, and what is played go on as before, or be something that no setting ever gives."""
    key, value = change
    engine = performance(classic_bundle() if classic else modern_bundle(), play__rate=rate).engine(0.0)
    for at, event in PHRASE:
        list(engine.advance(at))
        engine.receive(event, at)
    list(engine.advance(second))
    seed = engine.improviser.dice.seed if key != "play.seed" or value is None else value
    assert engine.receive(Change(((key, value),)), second) == []
    if key != "play.mode":
        assert present(engine.status(second).settings, key) == value
    assert engine.improviser.settings == engine.settings.play
    assert engine.improviser.dice.seed == seed
    engine.prepare(second)
    coming = engine.status(second).coming
    if coming is not None and engine.tempo.second_at(engine.status(second).coming_beat) > second + 0.01:
        assert coming == afresh(engine).choose(coming.tick)
    assert engine.improviser.choose(96) == afresh(engine).choose(96)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(0.5, 5.0), play_values()), max_size=6), st.sampled_from(["eighth", "phrase"]))
def test_whatever_is_changed_notes_stay_in_order_and_none_hangs(
    changes: list[tuple[float, tuple[str, Any]]], rate: str
) -> None:
    """Turning a knob would double a note, let one overtake another, or leave one ringing."""
    engine = performance(play__rate=rate).engine(0.0)
    arrivals = [(second, Change((change,))) for second, change in sorted(changes, key=lambda each: each[0])]
    recorder, bars = play(engine, 6.5, arrivals)
    assert not hanging(message for _, message in recorder.sent)
    ticks = [choice.tick for bar in bars for choice in bar.choices]
    assert all(after > before for before, after in pairwise(ticks))
    sounding: set[int] = set()
    for status, pitch, velocity in (message for _, message in recorder.sent if message[0] & 0x0F == 0):
        if status & 0xF0 == 0x90 and velocity:
            assert pitch not in sounding
            sounding.add(pitch)
        else:
            sounding.discard(pitch)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.floats(0.5, 6.0), st.integers(-200, 200)), min_size=1, max_size=5))
def test_the_offset_moved_while_it_plays_doubles_and_reorders_nothing(moves: list[tuple[float, int]]) -> None:
    """Fitting the offset by ear, the way it is done, would stutter."""
    keys: dict[str, Any] = {"play__rate": "eighth", "play__density": 4, "play__rests": 0}
    engine = performance(**keys).engine(0.0)
    arrivals = [(second, Change((("play.offset_ms", offset),))) for second, offset in sorted(moves)]
    recorder, _ = play(engine, 6.5, arrivals)
    seconds = [second for second, _ in struck(recorder)]
    assert seconds == sorted(seconds)
    beats = [report.beat for report in recorder.reports if isinstance(report, Struck)]
    assert all(after > before for before, after in pairwise(beats))
    assert not hanging(message for _, message in recorder.sent)


@settings(max_examples=40)
@given(
    st.sampled_from([*PULSES, "phrase"]),
    st.sampled_from(list(PULSES)),
    st.integers(1, 40),
    st.sampled_from([0.001, 0.1]),
)
def test_a_new_rate_falls_on_its_own_pulses(before: str, after: str, place: int, ahead: float) -> None:
    """From sixteenths to beats, each beat would come off the beat."""
    engine = performance(play__rate=before, play__swing=0.5).engine(0.0, beats=24.0)
    second = engine.tempo.second_at(place / 4) - ahead
    bars = [due.what for due in engine.advance(second)]
    engine.receive(Change((("play.rate", after),)), second)
    bars += [due.what for due in play_through(engine)]
    ticks = [choice.tick for bar in bars if isinstance(bar, BarPlayed) for choice in bar.choices]
    changed_at = (place / 4 - ahead * 2) * TICKS
    # The choice that stood may go on; then one leads to the next pulse.
    new = [tick for tick in ticks if tick >= changed_at][2:]
    assert all(tick % PULSES[after] == 0 for tick in new)
    assert all(later - tick == PULSES[after] for tick, later in pairwise(new))


@pytest.mark.parametrize("bundle", [modern_bundle(), classic_bundle()], ids=["modern", "classic"])
def test_a_change_too_near_the_next_note_leaves_that_note(bundle: Bundle) -> None:
    """A knob turned at the last moment would make the note late."""
    changed, left = (performance(bundle).engine(0.0) for _ in range(2))
    for engine in (changed, left):
        list(engine.advance(0.9))
    changed.receive(Change((("play.range", Range(90, 100)), ("play.velocity", 1))), 0.999)
    sent = [[due.what for due in engine.advance(1.0)] for engine in (changed, left)]
    assert sent[0] == sent[1]
