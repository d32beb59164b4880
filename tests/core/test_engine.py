# SPDX-License-Identifier: Apache-2.0
"""The engine: everything on its beat, nothing twice, no hanging note."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sideman.core.actions import Panic, Start, Stop
from sideman.core.chart.text import parse_changes
from sideman.core.engine import DueItem, Engine, play_through
from sideman.core.events import (
    BarPlayed,
    ChangeSettings,
    Command,
    ControlChange,
    JumpToBar,
    MidiEvent,
    NoteOff,
    NoteOn,
    SetChart,
    SetMode,
    encode,
)
from sideman.core.timing.tempo import exact_tick
from support.fakes import CHANGES, hanging_notes, performance, tempo_change

rates = st.sampled_from(["beat", "eighth", "triplet", "sixteenth", "phrase"])
inputs = st.none() | st.one_of(
    st.builds(NoteOn, st.integers(40, 80), st.integers(1, 127), st.sampled_from([1, 3])),
    st.builds(NoteOff, st.integers(40, 80), st.sampled_from([1, 3])),
    st.builds(ControlChange, st.sampled_from([1, 33, 64]), st.integers(0, 127)),
    st.sampled_from([Start(), Stop(), Panic(), JumpToBar(3), SetMode("trade"), SetMode("solo", now=True)]),
    st.sampled_from(
        [
            ("tempo.bpm", 250.0), ("play.offset_ms", -40.0), ("play.rate", "sixteenth"), ("play.rate", "phrase"),
            ("play.comp", ("drums",)), ("play.swing", 0.7), ("play.click", "beats"), ("practice.loop", "1-1"),
        ]
    ).map(lambda change: ChangeSettings((change,))),
)  # fmt: skip
HOUR = 3600.0


def engine(beats: float | None = None, second: float = 0.0, **keys: Any) -> Engine:
    """An engine of an untrained network over four bars."""
    return performance(**keys).make_engine(second, beats=beats)


def events(dues: Iterator[DueItem]) -> list[tuple[float, MidiEvent]]:
    """The events that were played, with their beats."""
    return [(due.beat, due.item) for due in dues if not isinstance(due.item, BarPlayed)]


def woken(played: Engine, gaps: list[float], until: float) -> Iterator[DueItem]:
    """Advance `played` at irregular times, `gaps` seconds apart, again and again."""
    second = 0.0
    while True:
        for gap in gaps:
            second = min(second + gap, until)
            yield from played.advance(second)
            if second == until:
                return


@pytest.mark.slow
def test_an_hour_of_beats_falls_on_its_seconds() -> None:
    """Guards against: music that drifts from the band."""
    played = engine(beats=7200, play__density=4, play__rests=0, tempo__bpm=120)
    onsets = [due for due in play_through(played) if isinstance(due.item, NoteOn)]
    assert len(onsets) == 7200
    assert all(due.beat == beat and due.second == beat / 2 for beat, due in enumerate(onsets))


@settings(max_examples=60)
@given(rates, st.lists(st.tuples(st.floats(0, 0.6), inputs, st.floats(0, 0.6)), max_size=20))
def test_asking_for_the_deadline_changes_nothing(
    rate: str, called: list[tuple[float, MidiEvent | Command | None, float]]
) -> None:
    """Guards against: something due that is skipped because nothing was to come before it."""
    asked, unasked = (engine(play__rate=rate, play__comp="bass", midi__chords=3) for _ in range(2))
    second = 0.0
    for before, item, after in called:
        second += before
        assert events(asked.advance(second)) == events(unasked.advance(second))
        asked.deadline()
        if item is None:
            asked.prepare(second)
            unasked.prepare(second)
        else:
            assert asked.receive(item, second) == unasked.receive(item, second)
        second += after
        assert events(asked.advance(second)) == events(unasked.advance(second))
    assert asked.memory() == unasked.memory()


@settings(max_examples=25)
@given(rates, st.lists(st.floats(0.001, 0.9), min_size=1, max_size=9), st.sampled_from([90.0, 120.0, 251.0]))
def test_the_same_is_played_whenever_the_engine_is_called(rate: str, gaps: list[float], bpm: float) -> None:
    """Guards against: a busy machine that changes the notes and does not only delay them."""
    keys: dict[str, Any] = {"play__rate": rate, "tempo__bpm": bpm, "play__late_ms": 1000}
    smooth = events(play_through(engine(beats=32, **keys)))
    assert events(woken(engine(beats=32, **keys), gaps, 32 * 60 / bpm + 0.1)) == smooth


@settings(max_examples=25)
@example("phrase", 0.75, 0)  # a swung sixteenth falls after the next triplet
@given(rates, st.floats(0.5, 0.75), st.integers(0, 99))
def test_events_come_in_order_and_every_note_ends(rate: str, swing: float, seed: int) -> None:
    """Guards against: a note that hangs, or ends before it begins."""
    played = events(play_through(engine(beats=32, play__rate=rate, play__swing=swing, play__seed=seed)))
    beats = [beat for beat, _ in played]
    assert beats == sorted(beats)
    assert not hanging_notes(encode(event) for _, event in played)
    sounding: set[int] = set()
    for _, event in played:
        assert not isinstance(event, ControlChange)
        if isinstance(event, NoteOn):
            assert not sounding  # one voice: nothing overlaps
            sounding.add(event.pitch)
        elif isinstance(event, NoteOff):
            sounding.remove(event.pitch)


@pytest.mark.parametrize(("apart", "least"), [("auto", 1 / 12), (0.25, 1 / 12), (0.04, 0.04), (0, 0.0)])
def test_no_two_notes_start_at_once(apart: float | str, least: float) -> None:
    """Guards against: a triplet that sounds together with the swung sixteenth before it."""
    keys: dict[str, Any] = {"play__rate": "phrase", "play__swing": 0.75, "play__seed": 0, "play__apart": apart}
    onsets = [beat for beat, event in events(play_through(engine(beats=64, **keys))) if isinstance(event, NoteOn)]
    gaps = [after - before for before, after in pairwise(onsets)]
    assert min(gaps) >= least - 1e-9
    assert (min(gaps) < 1 / 12 - 1e-9) == (least < 1 / 12)


@pytest.mark.parametrize(("rate", "pulses"), [("beat", 1), ("eighth", 2), ("triplet", 3), ("sixteenth", 4)])
def test_a_pulsed_rate_decides_on_every_pulse(rate: str, pulses: int) -> None:
    """Guards against: rate `beat` that does not choose a value on every beat."""
    bars = [due.item for due in play_through(engine(beats=16, play__rate=rate)) if isinstance(due.item, BarPlayed)]
    assert [len(bar.choices) for bar in bars] == [4 * pulses] * 4
    assert [choice.tick for bar in bars for choice in bar.choices] == list(range(0, 192, 12 // pulses))


@pytest.mark.parametrize("gate", [0.05, 0.5, 0.9, 1.0])
def test_gate_is_the_share_that_sounds(gate: float) -> None:
    """Guards against: staccato and legato that sound alike."""
    played = events(play_through(engine(beats=16, play__gate=gate, play__swing=0.5)))
    starts = {event.pitch: 0.0 for _, event in played if isinstance(event, NoteOn)}
    for beat, event in played:
        if isinstance(event, NoteOn):
            starts[event.pitch] = beat
        elif isinstance(event, NoteOff):
            assert beat - starts[event.pitch] == pytest.approx(gate)


def test_a_late_note_is_left_out_and_its_end_never() -> None:
    """Guards against: notes off the beat, or a hanging note, after the machine was busy."""
    played = engine(play__density=4, play__rests=0)
    on_time = events(played.advance(0.0))
    late = events(played.advance(0.5 + 0.031))
    assert [type(event) for _, event in on_time] == [NoteOn]
    assert [type(event) for _, event in late] == [NoteOff]
    assert played.late_notes == 1
    assert [type(event) for _, event in events(played.advance(1.0))] == [NoteOn]


@given(rates, st.floats(1.0, HOUR))
def test_a_stop_of_the_machine_leaves_no_burst(rate: str, stop: float) -> None:
    """Guards against: all missed notes at the same time when the machine wakes from suspend."""
    played = engine(play__rate=rate)
    before = events(played.advance(1.0))
    after = events(played.advance(1.0 + stop))
    assert sum(isinstance(event, NoteOn) for _, event in after) <= 1
    assert len(hanging_notes(encode(event) for _, event in [*before, *after])) <= 1
    deadline = played.deadline()
    assert deadline is not None
    assert deadline <= 1.0 + stop + 2.0


def test_notes_heard_change_what_comes_next_and_only_that() -> None:
    """Guards against: a solo that does not listen."""
    silent, listening = engine(), engine()
    first = events(silent.advance(1.3))
    assert events(listening.advance(1.3)) == first
    silent.prepare(1.3)
    listening.prepare(1.3)
    assert listening.receive(NoteOn(61, 80, 1), 1.31) == []
    _, with_nothing = silent.improviser.predict(36)
    _, with_note = listening.improviser.predict(36)
    assert not (with_nothing == with_note).all()


def test_a_note_too_near_to_the_beat_leaves_the_choice_alone() -> None:
    """Guards against: a note at the last moment that makes the next one late."""
    prepared, unprepared = engine(), engine()
    for played in (prepared, unprepared):
        list(played.advance(0.9))
    prepared.prepare(0.9)
    for played in (prepared, unprepared):
        played.receive(NoteOn(61, 80, 1), 0.999)
    after = [events(played.advance(1.0)) for played in (prepared, unprepared)]
    unheard = engine()
    list(unheard.advance(0.9))
    assert after[0] == after[1] == events(unheard.advance(1.0))


def test_its_own_echo_changes_nothing() -> None:
    """Guards against: a looped cable or the thru of a DAW that feeds the solo with itself."""
    alone, looped = engine(), engine()
    expected = []
    for step in range(400):
        second = step * 0.05
        expected += events(alone.advance(second))
        for due in list(looped.advance(second)):
            if not isinstance(due.item, BarPlayed):
                assert looped.receive(due.item, second + 0.004) == []
    assert looped.listening.melody.echo_filter.echoes == sum(isinstance(event, NoteOn) for _, event in expected)
    assert looped.improviser.export_state(480) == alone.improviser.export_state(480)


def test_a_change_of_tempo_moves_no_beat() -> None:
    """Guards against: a solo that stumbles at every change of tempo."""
    played = engine()
    first = events(played.advance(0.95))
    played.receive(tempo_change(60.0), 1.0)
    rest = events(played.advance(3.0))
    onsets = [beat for beat, event in [*first, *rest] if isinstance(event, NoteOn)]
    assert onsets == sorted(set(onsets))
    assert played.tempo.beat_at(3.0) == pytest.approx(4.0)


def test_a_new_chart_takes_over_at_the_bar_line_and_leaves_no_note() -> None:
    """Guards against: a note of the old chord that sounds on over the new one."""
    meter = performance().chart.meter
    played = engine(play__rate="phrase", play__gate=1)
    sent = events(played.advance(1.2))
    played.receive(SetChart(parse_changes("| F#7 |", meter, "test")), 1.2)
    sent += events(played.advance(1.999))
    assert played.chart.chord_at(3.9).text == "Dm7"
    assert played.chart.chord_at(4.0).text == "F#7"
    assert played.chart.next_change(3.0)[0].text == "F#7"
    before_onset = [due for due in played.advance(2.0) if isinstance(due.item, NoteOff)]
    sounding = hanging_notes(encode(event) for _, event in sent)
    assert len(before_onset) >= len(sounding)


def test_of_two_new_charts_before_a_bar_line_the_last_counts() -> None:
    """Guards against: a change of mind that spoils the chords that still sound."""
    meter = performance().chart.meter
    played = engine()
    list(played.advance(1.0))
    for changes in ("| F#7 |", "| B7 |"):
        played.receive(SetChart(parse_changes(changes, meter, "test")), 1.0)
    assert played.chart.chord_at(2.0).text == "Dm7"
    assert played.chart.chord_at(4.0).text == "B7"


@pytest.mark.parametrize("rate", ["beat", "eighth", "phrase"])
def test_a_bar_of_odd_length_begins_on_its_bar_line(rate: str) -> None:
    """Guards against: swing and pulse that drift in bars of 7/8, and downbeats that come late."""
    played = engine(beats=35.0, tempo__meter="7/8", play__rate=rate, play__swing=0.67, play__density=4, play__rests=0)
    beats = [due.beat for due in play_through(played) if isinstance(due.item, NoteOn)]
    if rate != "phrase":
        assert {3.5 * bar for bar in range(10)} <= set(beats)
    assert exact_tick(3.5, played.chart, played.timeline.swing) == 42


def test_panic_silences_all_and_plays_on() -> None:
    """Guards against: a stuck synth that only a stop of the music can silence."""
    played = engine(play__density=4, play__rests=0)
    sent = events(played.advance(0.1))
    panic = played.receive(Panic(), 0.1)
    assert not hanging_notes(encode(event) for event in [*(event for _, event in sent), *panic])
    assert any(isinstance(event, NoteOn) for _, event in events(played.advance(0.5)))


@given(rates)
def test_the_end_of_the_choruses_is_the_end(rate: str) -> None:
    """Guards against: a solo that plays on after the song, or a last note that hangs."""
    played = engine(play__rate=rate, chart__choruses=2)
    sent = events(play_through(played))
    assert played.deadline() is None
    assert not hanging_notes(encode(event) for _, event in sent)
    assert max(beat for beat, _ in sent) <= 32


@given(st.integers(-200, 200))
def test_the_offset_moves_everything_alike(offset: int) -> None:
    """Guards against: a slow synth that cannot be brought into time."""
    plain = [due for due in play_through(engine(beats=8)) if not isinstance(due.item, BarPlayed)]
    moved = [
        due for due in play_through(engine(beats=8, play__offset_ms=offset)) if not isinstance(due.item, BarPlayed)
    ]
    assert [due.item for due in moved] == [due.item for due in plain]
    shifts = [late.second - due.second for late, due in zip(moved, plain, strict=True)]
    assert shifts == pytest.approx([offset / 1000] * len(shifts))


def test_off_listens_and_is_silent() -> None:
    """Guards against: no way to let it only listen."""
    played = engine(play__mode="off")
    before = played.improviser.export_state(120)
    assert events(played.advance(10.0)) == []
    for pitch in (60, 62, 64):
        played.receive(NoteOn(pitch, 80, 1), 10.0 + pitch / 10)
    assert played.improviser.export_state(240) != before
    assert played.deadline() is not None


def test_velocities_follow_beat_and_line() -> None:
    """Guards against: notes that are all equally loud, unlike any musician's."""
    played = events(play_through(engine(beats=64, play__rate="eighth", play__density=4)))
    notes = [(beat, event.velocity) for beat, event in played if isinstance(event, NoteOn)]
    on_beat = [velocity for beat, velocity in notes if beat % 1 == 0]
    off_beat = [velocity for beat, velocity in notes if beat % 1]
    assert sum(on_beat) / len(on_beat) > sum(off_beat) / len(off_beat) + 3
    assert len({velocity for _, velocity in notes}) > 8


def test_bars_are_reported_with_their_chords() -> None:
    """Guards against: a log that does not show what is played over what."""
    bars = [due.item for due in play_through(engine(beats=24)) if isinstance(due.item, BarPlayed)]
    symbols = CHANGES.replace("|", " ").split()
    assert [bar.chords[0].text for bar in bars] == [*symbols, *symbols[:2]]
    assert [bar.number for bar in bars] == [1, 2, 3, 4, 5, 6]


def test_settings_are_frozen() -> None:
    """Guards against: one part that changes the settings of another."""
    with pytest.raises(AttributeError):
        engine().settings.play.gate = 0.1  # type: ignore[misc]
