# SPDX-License-Identifier: Apache-2.0
"""How loud and how late the notes of the solo are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.core.engine import Engine, play_through
from sideman.core.events import BarPlayed, Command, EventSent, MidiEvent, NoteOff, NoteOn, NotePlayed
from sideman.core.parts.masks import MIN_ONSET_GAP_BEATS
from sideman.core.parts.touch import EARLY_S
from sideman.playing.assembly import resumed_engine, state_of
from sideman.playing.player import WAKE_AHEAD_S
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle, load_bundle
from support.fakes import modern_bundle, performance, play_on_fake_clock, touched_bundle
from support.takes import perform_with_reports, recorded_take, replay_take

RATES = st.sampled_from(["beat", "eighth", "triplet", "sixteenth", "phrase"])


def played(engine: Engine) -> list[tuple[int, NotePlayed]]:
    """What an engine plays to its end: each note of the solo with the tick at which it is written."""
    notes: list[NotePlayed] = []
    engine.report = lambda report: notes.append(report) if isinstance(report, NotePlayed) else None
    bars = [due.item for due in play_through(engine) if isinstance(due.item, BarPlayed)]
    ticks = [choice.tick for bar in bars for choice in bar.choices if choice.pitch is not None]
    return list(zip(ticks, notes, strict=False))  # without those of the last bar


@settings(max_examples=25)
@given(st.integers(0, 5), RATES, st.floats(60, 300), st.floats(0.5, 0.75), st.sampled_from([0.5, 1.0, 2.0]))
def test_a_placed_note_keeps_to_its_own_tick(seed: int, rate: str, bpm: float, swing: float, placement: float) -> None:
    """Guards against: notes that change their order, cross a bar line, come early on a beat, or are lost as late."""
    keys: dict[str, Any] = {"play__rate": rate, "play__swing": swing, "tempo__bpm": bpm, "play__placement": placement}
    engine = performance(touched_bundle(seed), **keys).make_engine(0.0, beats=16.0)
    last, beat_s = -1.0, 60 / bpm
    for tick, note in played(engine):
        timeline = engine.timeline
        before, on_grid, after = (timeline.swung_beat(tick + step) for step in (-1, 0, 1))
        assert note.beat > last
        assert note.length_beats > 0
        if note.beat > on_grid:  # or where swung sixteenths meet triplets, just after the note before
            assert note.beat < max(after, last + MIN_ONSET_GAP_BEATS + 1e-9)
        elif note.beat < on_grid:
            assert tick % TICKS_PER_QUARTER
            assert before < note.beat
            assert (on_grid - note.beat) * beat_s <= EARLY_S + 1e-9
        last = note.beat
    assert engine.late_notes == 0


@settings(max_examples=15)
@given(st.integers(0, 5), RATES, st.floats(60, 300))
def test_at_0_all_is_as_without(seed: int, rate: str, bpm: float) -> None:
    """Guards against: a bundle with touch and placement that cannot be played as before it had them."""
    keys: dict[str, Any] = {"play__rate": rate, "tempo__bpm": bpm}
    off: dict[str, Any] = {"play__touch": 0, "play__placement": 0}
    with_both = performance(touched_bundle(seed), **keys, **off).make_engine(0.0, beats=16.0)
    without = performance(modern_bundle(), **keys).make_engine(0.0, beats=16.0)
    assert [note for _, note in played(with_both)] == [note for _, note in played(without)]


def test_each_readout_is_heard_alone() -> None:
    """Guards against: a knob that turns the other one's sound, or nothing."""

    def notes(bundle: Bundle, **keys: Any) -> list[NotePlayed]:
        made = performance(bundle, play__rate="eighth", **keys)
        return [note for _, note in played(made.make_engine(0.0, beats=16.0))]

    bundle, plain = touched_bundle(), notes(modern_bundle())
    loud, placed = notes(bundle, play__placement=0), notes(bundle, play__touch=0)
    assert [(note.beat, note.note.pitch) for note in loud] == [(note.beat, note.note.pitch) for note in plain]
    assert [note.note for note in placed] == [note.note for note in plain]
    assert [note.note for note in loud] != [note.note for note in plain]
    assert [note.beat for note in placed] != [note.beat for note in plain]
    assert notes(replace(bundle, placement=None)) == loud
    assert notes(replace(bundle, touch=None)) == placed


def player_notes(velocity: int, seconds: Iterable[float]) -> list[tuple[float, MidiEvent | Command]]:
    """Notes of the player, each released after a moment."""
    pairs = (((at, NoteOn(60, velocity, 1)), (at + 0.1, NoteOff(60, 1))) for at in seconds)
    return [event for pair in pairs for event in pair]


@pytest.mark.parametrize(("bundle", "follow", "follows"), [
    (touched_bundle(), None, True), (touched_bundle(), 0, False), (modern_bundle(), None, False),
    (modern_bundle(), 1, True),
])  # fmt: skip
def test_it_plays_softer_when_you_do(bundle: Bundle, follow: float | None, follows: bool) -> None:
    """Guards against: a solo that drowns a soft player, and one that follows although it was not asked for."""

    def mean_velocity(velocity: int) -> float:
        keys: dict[str, Any] = {} if follow is None else {"play__follow": follow}
        engine = performance(bundle, play__mode="trade", play__trade_bars=1, **keys).make_engine(0.0, beats=32.0)
        arrivals = player_notes(velocity, (bar * 2.0 + beat * 0.5 for bar in (0, 2, 4, 6) for beat in range(3)))
        _, reports, _ = perform_with_reports(performance(bundle), arrivals, 17.0, engine=engine)
        return fmean(report.note.velocity for report in reports if isinstance(report, NotePlayed))

    soft, loud = mean_velocity(30), mean_velocity(120)
    assert (soft < loud - 15) if follows else soft == loud


@settings(max_examples=8)
@given(
    st.lists(st.tuples(st.floats(0, 6), st.integers(40, 80), st.integers(1, 127)), max_size=12),
    st.sampled_from([0.0, 0.001, 0.04]), st.sampled_from(["eighth", "phrase"]),
)  # fmt: skip
def test_a_take_with_touch_replays_the_same(heard: list[tuple[float, int, int]], sleep: float, rate: str) -> None:
    """Guards against: a take whose replay is not what was played, or whose notes lose their places."""
    made = performance(touched_bundle(), play__rate=rate, takes__record=True)
    arrivals = [(at, NoteOn(pitch, velocity, 1)) for at, pitch, velocity in sorted(heard)]
    header, reports, _ = perform_with_reports(made, arrivals, 8.0, lambda: sleep)
    with tempfile.TemporaryDirectory() as folder:
        result = replay_take(recorded_take(Path(folder), header, reports), made)
    assert not result.difference
    assert result.same_events == sum(isinstance(report, EventSent) for report in reports)


@given(st.lists(st.tuples(st.floats(0.05, 3.9), st.integers(40, 80)), max_size=8))
@settings(max_examples=15)
def test_choosing_ahead_or_at_the_last_moment_is_the_same(heard: list[tuple[float, int]]) -> None:
    """Guards against: a solo that depends on whether the machine had time to choose a placed note ahead."""
    arrivals = [(at, NoteOn(pitch, 80, 1)) for at, pitch in sorted(heard)]
    ahead, _ = play_on_fake_clock(
        performance(touched_bundle(), play__rate="eighth").make_engine(0.0, beats=8.0), 5.0, arrivals
    )
    engine = performance(touched_bundle(), play__rate="eighth").make_engine(0.0, beats=8.0)
    sent: list[MidiEvent] = []
    for at, note in [*arrivals, (5.0, None)]:
        while (due := engine.deadline()) is not None and due <= at:
            sent += [item.item for item in engine.advance(due) if isinstance(item.item, NoteOn)]
        if note is not None:
            assume(due is None or due - at > 2 * WAKE_AHEAD_S)  # what comes when the player has woken comes too late
            engine.receive(note, at)
    assert [(message[1], message[2]) for _, message in ahead.sent if message[0] == 0x90] == [
        (note.pitch, note.velocity) for note in sent if isinstance(note, NoteOn)
    ]


def test_the_state_of_touch_survives() -> None:
    """Guards against: a service that forgets after a restart how loud it and you were."""
    made = performance(touched_bundle(), play__rate="eighth")
    engine = made.make_engine(0.0)
    perform_with_reports(made, player_notes(40, (0.3, 0.8)), 3.0, engine=engine)
    kept = engine.improviser.touch.memory
    assert kept.heard_velocity == 40
    assert kept.last_loudness
    resumed = resumed_engine(made, state_of(engine.memory(), made), 0.0)  # it has played on to the next bar line
    assert resumed.improviser.touch.memory.heard_velocity == 40
    saved = engine.improviser.export_state(48)
    later = made.make_engine(0.0).improviser
    later.restore_state(saved, 48)
    assert later.touch.memory == kept
    later = made.make_engine(0.0).improviser
    later.recall(engine.improviser.memory())
    assert later.touch.memory == kept
    for broken in ({"last_loudness": 1e9}, {"heard_velocity": "loud"}, 3):
        with pytest.raises(ValueError, match="touch"):
            later.restore_state({**saved, "touch": broken}, 48)
    later.restore_state({name: saved[name] for name in ("a", "c", "last", "pitch")}, 48)  # of an earlier version


@pytest.mark.slow
def test_the_default_network_plays_downbeats_late_by_tempo() -> None:
    """Guards against: placement that is stiff at slow tempos or drags at fast ones.

    Players: 29 ms in the median below 120 bpm, 24 up to 160, 18 up to 200, 13 up to 240, 6 above.
    """
    default, means = load_bundle("default"), []
    for bpm, least, most in ((100, 20, 45), (140, 15, 35), (180, 10, 28), (220, 6, 20), (290, 1, 12)):
        engine = performance(default, play__rate="phrase", tempo__bpm=bpm).make_engine(0.0, beats=128.0)
        notes = played(engine)
        late_s = [(note.beat - engine.timeline.swung_beat(tick)) * 60 / bpm for tick, note in notes if tick % 12 == 0]
        means.append(1000 * fmean(late_s))
        assert least < means[-1] < most
        assert np.std([note.note.velocity for _, note in notes]) > 3
    assert means == sorted(means, reverse=True)
