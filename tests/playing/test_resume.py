# SPDX-License-Identifier: Apache-2.0
"""A performance that was interrupted goes on as if it had not been."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.core.actions import NextSong, PlayVariation, Start
from sideman.core.chart.chart import Chart
from sideman.core.engine import Engine
from sideman.core.engine_memory import EngineMemory
from sideman.core.events import (
    BarStarted,
    ChangeSettings,
    Command,
    EventSent,
    MidiEvent,
    NoteOff,
    NoteOn,
    QueueSong,
    SetChart,
    SetMode,
)
from sideman.core.turns import MODE_NAMES
from sideman.playing.assembly import resumed_engine, state_of
from sideman.playing.overload import Arrival
from sideman.playing.player import Player, Remembered
from sideman_models.music.values import TICKS_PER_QUARTER
from support.fakes import FakeClock, RecordingOutput, classic_bundle, performance
from support.strategies import charts

BEATS_AFTER = 16.0
Arrivals = Sequence[tuple[float, MidiEvent | Command]]
Sent = tuple[float, MidiEvent]


def play(engine: Engine, arrivals: Arrivals, until: float) -> list[Sent]:
    """Play to the second `until`, with these arrivals; returns what was sent, each event with its beat."""
    sent: list[Sent] = []

    def advance(second: float) -> None:
        while (due := engine.deadline()) is not None and due <= second:
            sent.extend((item.beat, item.item) for item in engine.advance(due) if not hasattr(item.item, "choices"))
            engine.prepare(due)
        sent.extend((item.beat, item.item) for item in engine.advance(second) if not hasattr(item.item, "choices"))

    for second, item in arrivals:
        advance(second)
        sent += [(engine.timeline.beat_at(second), event) for event in engine.receive(item, second)]
        engine.prepare(second)
    advance(until)
    return sent


def from_beat(place: float, sent: list[Sent]) -> list[Sent]:
    """What was sent in the bars from beat `place` on, without the ends of notes that began before it.

    It is in order by beat and channel: which of two voices comes first on a beat is not heard.
    """
    before: set[tuple[int, int]] = set()
    kept = []
    for beat, event in sent:
        match event:
            case NoteOn(pitch, _, channel) if beat < place:
                before.add((channel, pitch))
            case NoteOff(pitch, channel) if (channel, pitch) in before:
                before.remove((channel, pitch))
            case _ if place <= beat <= place + BEATS_AFTER:
                kept.append((beat, event))
    return sorted(kept, key=lambda sent: (sent[0], getattr(sent[1], "channel", 0)))


@st.composite
def settings_keys(draw: st.DrawFn) -> dict[str, Any]:
    """Settings for any mode, at any rate."""
    return {
        "play__mode": draw(st.sampled_from(MODE_NAMES)),
        "play__rate": draw(st.sampled_from(["beat", "eighth", "triplet", "sixteenth", "phrase"])),
        "play__swing": draw(st.sampled_from(["auto", 0.5, 0.67])),
        "play__gate": draw(st.sampled_from([0.5, 0.9, 1])),
        "play__comp": draw(st.sampled_from(["off", "shells", "bass", ["bass", "shells", "drums"]])),
        "play__style": draw(st.sampled_from(["auto", "plain", "bossa", "ballad"])),
        "play__trade_bars": draw(st.integers(1, 3)),
        "play__silence": draw(st.sampled_from([0, 2])),
        "chart__set": draw(st.sampled_from([None, ["one, 1 chorus", "two"], ["one", "two, 2 choruses", "three"]])),
        "chart__choruses": draw(st.sampled_from([None, None, 1, 3])),
        "play__offset_ms": draw(st.sampled_from([0, -50, 50])),
        "play__seed": draw(st.integers(0, 1000)),
        "midi__chords": 3,
    }


changes = st.one_of(
    st.sampled_from(MODE_NAMES).map(SetMode),
    st.sampled_from(MODE_NAMES).map(lambda mode: SetMode(mode, now=True)),
    st.sampled_from([0.0, 0.7, 2.0]).map(lambda value: ChangeSettings((("play.temperature", value),))),
    st.sampled_from([0.3, 3.0]).map(lambda value: ChangeSettings((("play.density", value),))),
    st.sampled_from(["beat", "sixteenth", "phrase"]).map(lambda rate: ChangeSettings((("play.rate", rate),))),
    st.sampled_from([90.0, 230.0]).map(lambda bpm: ChangeSettings((("tempo.bpm", bpm),))),
    st.sampled_from([(), ("shells",), ("bass", "drums")]).map(lambda comp: ChangeSettings((("play.comp", comp),))),
    st.sampled_from(["plain", "even", None]).map(lambda style: ChangeSettings((("play.style", style),))),
    st.integers(1, 2**32).map(lambda seed: ChangeSettings((("play.seed", seed),))),
    charts().map(SetChart),
    st.builds(QueueSong, st.integers(1, 3), charts(), st.sampled_from([None, 90.0])),
    st.just(NextSong()),
    st.just(PlayVariation()),
    st.just(Start()),
)


@st.composite
def arrivals(draw: st.DrawFn, until: float) -> Arrivals:
    """Live changes, notes and chords of the player before a second; all keys are up by then."""
    played: list[tuple[float, MidiEvent | Command]] = []
    for _ in range(draw(st.integers(0, 6))):
        second = draw(st.floats(0.0, until))
        held = min(0.3, (until - second) / 2)
        match draw(st.sampled_from(["change", "change", "note", "note", "chord"])):
            case "change":
                played.append((second, draw(changes)))
            case "note":
                pitch = draw(st.integers(48, 84))
                played += [(second, NoteOn(pitch, 80, 1)), (second + held, NoteOff(pitch, 1))]
            case _:
                root = draw(st.integers(36, 60))
                for pitch in (root, root + 4, root + 7, root + 10):
                    played += [(second, NoteOn(pitch, 80, 3)), (second + held, NoteOff(pitch, 3))]
    return sorted(played, key=lambda arrival: arrival[0])


@st.composite
def breaks(draw: st.DrawFn) -> tuple[Arrivals, float]:
    """What comes in before the break, and the second of the break; a chord has settled by then."""
    second = draw(st.floats(0.2, 12.0))
    return draw(arrivals(second - 0.1)), second


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(settings_keys(), charts(), st.booleans(), breaks())
def test_it_goes_on_as_it_would_have_without_the_break(
    keys: dict[str, Any], chart: Chart, classic: bool, broken: tuple[Arrivals, float]
) -> None:
    """Guards against: another solo than the one that was interrupted, after a restart of the box."""
    played, second = broken
    made = replace(performance(classic_bundle() if classic else None, **keys), chart=chart)
    whole, interrupted = made.make_engine(0.0), made.make_engine(0.0)
    play(interrupted, played, second)
    memory = interrupted.memory()
    state = json.loads(json.dumps(state_of(memory, made)))
    now = replace(made, settings=interrupted.settings, chart=interrupted.chart.chart)
    again = resumed_engine(now, state, 1000.0)
    place = again.timeline.start
    if memory.bar_line >= interrupted.timeline.end_tick:
        return  # it begins again at the top: see below
    assert place == memory.bar_line / TICKS_PER_QUARTER >= memory.beat
    length = BEATS_AFTER * 60 / again.tempo.bpm + 1.0
    went_on = from_beat(place, play(again, [], 1000.0 + length))
    expected = from_beat(place, play(whole, played, interrupted.timeline.second_at(place) + length))
    assert went_on == expected


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(settings_keys(), charts(), breaks())
def test_what_is_left_once_a_bar_is_enough(keys: dict[str, Any], chart: Chart, broken: tuple[Arrivals, float]) -> None:
    """Guards against: a kill that loses more than a bar, or a bar after which another solo begins."""
    played, second = broken
    made = replace(performance(**keys), chart=chart)
    engine = made.make_engine(0.0)
    clock = FakeClock([*(Arrival(at, item) for at, item in played), Arrival(second + 8.0, None)])
    recorder = RecordingOutput(clock)
    left: list[tuple[float, Remembered, Chart]] = []

    def on_remembered() -> None:
        assert player.remembered is not None
        left.append((clock.second, player.remembered, engine.chart.chart))

    player = Player(engine, recorder, clock, recorder.reports.append, on_remembered)
    player.run()
    assert len(left) >= sum(isinstance(report, BarStarted) for report in recorder.reports)
    sent = [(report.beat, report.event) for report in recorder.reports if isinstance(report, EventSent)]
    settled = [(each.memory, each.settings, then) for at, each, then in left if at >= second]
    settled = [each for each in settled if each[0].end is None]
    for memory, keys_then, then in settled[:: max(1, len(settled) // 2)]:
        now = replace(made, settings=keys_then, chart=then)
        again = resumed_engine(now, json.loads(json.dumps(state_of(memory, made))), 0.0)
        place = again.timeline.start
        onsets = [(beat, event) for beat, event in from_beat(place, sent) if isinstance(event, NoteOn)]
        went_on = [(beat, event) for beat, event in from_beat(place, play(again, [], 9.0)) if isinstance(event, NoteOn)]
        assert went_on[: len(onsets)] == onsets


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(settings_keys(), charts(), st.floats(0.0, 12.0), st.sampled_from([60.0, 120.0, 400.0]))
def test_a_kill_at_any_moment_costs_half_a_bar_at_most(
    keys: dict[str, Any], chart: Chart, second: float, bpm: float
) -> None:
    """Guards against: a place in the music that is more than a bar from the kill when the disk takes some time."""
    made = replace(performance(**keys, tempo__bpm=bpm), chart=chart)
    engine = made.make_engine(0.0)
    clock = FakeClock([Arrival(second, None)])
    recorder = RecordingOutput(clock)
    left: list[EngineMemory] = []

    def on_remembered() -> None:
        assert player.remembered is not None
        left.append(player.remembered.memory)

    player = Player(engine, recorder, clock, recorder.reports.append, on_remembered)
    player.run()
    killed = min(engine.timeline.beat_at(second), engine.timeline.end)
    (before, bar_ticks), (_, following) = (engine.chart.bar_at(left[-2].bar_line + side) for side in (-1, 0))
    lost = max(bar_ticks, following) / TICKS_PER_QUARTER / 2
    if left[-2].beat < before / TICKS_PER_QUARTER + lost:  # a bar after one without a memory leaves it at once
        lost *= 2
    assert abs(left[-2].bar_line / TICKS_PER_QUARTER - killed) <= lost + 0.01
