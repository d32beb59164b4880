# SPDX-License-Identifier: Apache-2.0
"""Takes that are played again: the same events, on any machine."""

from __future__ import annotations

import tempfile
from itertools import cycle
from pathlib import Path
from typing import Any

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.core.actions import Faster, NextSong, Panic, PlayVariation, Slower, Start, Stop
from sideman.core.chart.text import parse_changes
from sideman.core.errors import Unavailable
from sideman.core.events import (
    ActionRequested,
    ChangeSettings,
    ClockContinue,
    ClockStart,
    ClockStop,
    Command,
    ControlChange,
    EventSent,
    JumpToBar,
    LearnBinding,
    LinkState,
    MidiEvent,
    NoteOff,
    NoteOn,
    QueueSong,
    SendSetup,
    SetChart,
    SetMode,
    SetPortPeriod,
    SettingsChanged,
)
from sideman.core.settings.groups.tempo import COMMON_TIME
from sideman.core.targets import SettingTarget
from sideman.core.turns import MODE_NAMES
from sideman.playing.assembly import resumed_engine, state_of
from sideman.takes import replay as takes
from sideman.takes.folder import TakeFolder
from sideman.takes.midi_file import TICKS_PER_BEAT
from sideman_models.network.bundle import Bundle
from support.fakes import classic_bundle, modern_bundle, motif_bundle, performance, tempo_change
from support.performances import PHRASE
from support.recordings import ticks
from support.takes import clock_config, perform_with_reports, recorded_take, replay_take

OTHER = parse_changes("| Fm7 Bb7 | Ebmaj7 |", COMMON_TIME, "test")
STARTS = ["at once", "armed", "first note"]
MIXED = parse_changes("3/4 Am7 | 2/4 D7 | 7/8 Gmaj7 C", COMMON_TIME, "test")


arriving = st.one_of(
    st.builds(NoteOn, st.integers(40, 90), st.integers(1, 127), st.just(1)),
    st.builds(NoteOff, st.integers(40, 90), st.just(1)),
    st.builds(ControlChange, st.sampled_from([1, 20, 64]), st.integers(0, 127), st.just(1)),
    st.builds(tempo_change, st.floats(60, 300)),
    st.builds(SetChart, st.sampled_from([OTHER, MIXED])),
    st.builds(ChangeSettings, st.sampled_from([
        (("play.rate", "sixteenth"),), (("play.temperature", 0.5), ("play.density", 2.0)), (("play.mode", "off"),),
        (("play.mode", "solo"),), (("tempo.bpm", 170.0),), (("play.seed", 9),),
        (("chart.song", 2),), (("chart.set", ()),),
        (("practice.loop", "2"), ("practice.count_in", 1)), (("practice.loop", None),),
        (("practice.transpose", "fourths"), ("practice.tempo", 30.0)),
    ])),
    st.builds(JumpToBar, st.integers(0, 3)),
    st.builds(SetMode, st.sampled_from(MODE_NAMES), st.booleans()),
    st.sampled_from([Slower(), Faster()]),
    st.builds(QueueSong, st.integers(1, 3), st.sampled_from([OTHER, MIXED, None]), st.sampled_from([None, 90.0])),
    st.sampled_from([Panic(), Start(), Stop(), NextSong(), PlayVariation(), SendSetup()]),
    st.just(SendSetup("midi.output: B", True, True)),
)  # fmt: skip
arrivals = st.lists(st.tuples(st.floats(0, 6), arriving), max_size=25).map(
    lambda items: sorted(items, key=lambda i: i[0])
)
rates, modes = st.sampled_from(["beat", "sixteenth", "phrase"]), st.sampled_from(MODE_NAMES)
sleeps = st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.04, 0.2]), min_size=1, max_size=9)


@settings(max_examples=20)
@given(rates, modes, st.integers(0, 1), arrivals, sleeps, st.booleans(), st.sampled_from(STARTS))
def test_a_replay_sends_the_same_events(
    rate: str,
    mode: str,
    count_in: int,
    items: list[tuple[float, MidiEvent | Command]],
    late: list[float],
    clock_out: bool,
    start: str,
) -> None:
    """Guards against a recorded performance that cannot be had again, above all where late notes were left out."""
    made = performance(
        play__rate=rate, play__mode=mode, play__count_in=count_in, play__start=start, tempo__clock_out=clock_out,
        midi__program=12, midi__bank=300, midi__comp_program=33,
        chart__set=["one, 1 chorus", "two", "three, 2 choruses"],
    )  # fmt: skip
    waits = cycle(late)
    engine = made.make_engine(0.1, clocks=clock_config(made))
    header, reports, _ = perform_with_reports(made, items, 6.0, lambda: next(waits), engine)
    with tempfile.TemporaryDirectory() as folder:
        journal = recorded_take(Path(folder), header, reports)
        sent = [report for report in journal.reports() if isinstance(report, EventSent)]
        assert sent == [report for report in reports if isinstance(report, EventSent)]
        assert replay_take(journal, made) == takes.ReplayResult(len(sent))


notes = st.lists(st.tuples(st.floats(0.2, 6), st.floats(0.02, 0.4), st.integers(50, 80)), max_size=30)


@settings(max_examples=15)
@given(
    st.sampled_from(["beat", "triplet", "phrase"]), modes, st.sampled_from(["1", "1-2", "2-3", "3"]),
    st.integers(0, 2), notes, st.none() | st.tuples(st.floats(0.5, 5), st.integers(0, 2)), sleeps,
)  # fmt: skip
def test_a_loop_that_is_counted_in_is_replayed(
    rate: str,
    mode: str,
    loop: str,
    count_in: int,
    played: list[tuple[float, float, int]],
    jump: tuple[float, int] | None,
    late: list[float],
) -> None:
    """Guards against: a take of practice over mixed meters that cannot be had again."""
    made = replace(
        performance(
            play__rate=rate, play__mode=mode, play__placement=2.0, tempo__bpm=240.0, practice__loop=loop,
            practice__count_in=count_in, play__comp="drums",
        ),
        chart=MIXED,
    )  # fmt: skip
    items: list[tuple[float, MidiEvent | Command]] = [(at, NoteOn(pitch, 80, 1)) for at, _, pitch in played]
    items += [(at + length, NoteOff(pitch, 1)) for at, length, pitch in played]
    items += [] if jump is None else [(jump[0], JumpToBar(jump[1]))]
    waits = cycle(late)
    header, reports, _ = perform_with_reports(made, sorted(items, key=lambda i: i[0]), 6.5, lambda: next(waits))
    with tempfile.TemporaryDirectory() as folder:
        journal = recorded_take(Path(folder), header, reports)
        sent = [report for report in reports if isinstance(report, EventSent)]
        assert replay_take(journal, made) == takes.ReplayResult(len(sent))


def test_a_take_with_a_midi_clock_is_replayed(tmp_path: Path) -> None:
    """Guards against takes that cannot be replayed, or whose file has another tempo, for players who follow a DAW."""
    made = performance(tempo__source="midi-clock", play__rate="eighth")
    engine = made.make_engine(0.1, clocks=clock_config(made))
    first: list[tuple[float, MidiEvent | Command]] = [
        (0.5, SetPortPeriod(0.0)),
        (1.0, ClockStart()),
        *ticks(1.02, 100, 24 * 16, 0.001),
        (10.7, ClockStop()),
    ]
    second = [(13.0, ClockContinue()), *ticks(13.02, 140, 24 * 16, 0.001)]
    header, reports, _ = perform_with_reports(made, [*first, *second], 21.0, engine=engine)
    journal = recorded_take(tmp_path, header, reports)
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))
    song = mido.MidiFile(TakeFolder(tmp_path).midi(journal.name))
    tempos = [60e6 / message.tempo for message in song.tracks[0] if message.type == "set_tempo"]
    assert min(abs(tempo - 100) for tempo in tempos) < 1
    assert min(abs(tempo - 140) for tempo in tempos) < 1
    assert song.length == pytest.approx(16 * 60 / 100 + 16 * 60 / 140, abs=1)  # without what it waited for


def test_a_take_with_a_link_session_is_replayed(tmp_path: Path) -> None:
    """Guards against takes that cannot be replayed for players who use Ableton Link."""
    made = performance(tempo__source="link", play__rate="eighth", tempo__clock_out=True)
    engine = made.make_engine(0.1, clocks=clock_config(made))
    states = [(1 + at / 10, LinkState(120.0, at / 5 + (0.02 if at % 7 else 0.0), at > 10, 1)) for at in range(120)]
    faster = [(13.1 + at / 10, LinkState(150.0, 24 + at / 4, at < 50, 2)) for at in range(60)]
    header, reports, _ = perform_with_reports(
        made, [*states, *faster, *[(20.0, NoteOn(60, 9, 1))]], 22.0, engine=engine
    )
    journal = recorded_take(tmp_path, header, reports)
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))
    assert journal.totals().played > 20


def test_a_take_with_hands_is_replayed(tmp_path: Path) -> None:
    """Guards against: a learned knob, a bouncing pedal or feedback that makes a take impossible to play again."""
    keys: dict[str, Any] = {"midi__cc.7": "play.velocity 14-bit", "midi__nrpn.5": "play.gate", "midi__cc.66": "again"}
    made = performance(play__rate="eighth", midi__feedback=True, midi__ghost=30, **keys)
    messages: list[tuple[float, int, int]] = [(1.0 + n / 50, 7 + 32 * (n % 2), n) for n in range(100)]
    messages += [(2.0, 99, 0), (2.0, 98, 5), *((2.0 + n / 30, 6, n) for n in range(120))]
    messages += [(5.0 + n / 20, 74, (1, 1, 127)[n % 3]) for n in range(40)]
    messages += [(7.0 + n * 0.004, 66, 127 * (n % 2)) for n in range(9)]
    messages += [(0.2, 101, 0), (0.2, 100, 6), (0.2, 6, 15)]
    arrivals: list[tuple[float, MidiEvent | Command]] = [
        (at, ControlChange(number, value, 1)) for at, number, value in messages
    ]
    arrivals += [(4.9, LearnBinding(SettingTarget("play.density")))]
    arrivals += [(3.0 + n / 7, NoteOn(60 + n, 20 + n, 2 + n % 14)) for n in range(30)]
    arrivals += [(3.1 + n / 7, NoteOff(60 + n, 2 + n % 14)) for n in range(30)]
    arrivals.sort(key=lambda arrival: arrival[0])
    header, reports, _ = perform_with_reports(made, arrivals, 9.0)
    assert ActionRequested("learned", "midi.cc.74=play.density relative") in reports
    changed = {key for report in reports if isinstance(report, SettingsChanged) for key, _ in report.values}
    assert changed == {"play.velocity", "play.gate", "play.density", "midi.cc"}
    assert any(isinstance(report, EventSent) and isinstance(report.event, ControlChange) for report in reports)
    journal = recorded_take(tmp_path, header, reports)
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(one, EventSent) for one in reports))


@settings(max_examples=30)
@given(
    mode=st.sampled_from(MODE_NAMES),
    struck=st.lists(
        st.tuples(st.floats(0.2, 5.0), st.floats(0.0, 1.0), st.integers(55, 70), st.booleans()), max_size=8
    ),
)
def test_notes_that_come_up_to_a_second_after_they_were_struck_are_replayed(
    mode: str, struck: list[tuple[float, float, int, bool]]
) -> None:
    """Guards against: a take with notes of a page, over a slow network, that breaks the music or is not the same."""
    made = performance(play__mode=mode, play__rate="eighth", midi__chords=2)
    arrivals: list[tuple[float, MidiEvent | Command]] = []
    for second, late, pitch, on in sorted(struck):
        arrivals += [
            (second, ControlChange(1, 5, 1)),
            (second - late, NoteOn(pitch, 80, 1) if on else NoteOff(pitch, 1)),
        ]
    header, reports, output = perform_with_reports(made, arrivals, 6.0)
    assert len(output.sent) >= (mode == "solo")
    with tempfile.TemporaryDirectory() as folder:
        result = replay_take(recorded_take(Path(folder), header, reports), made)
    assert not result.difference


@pytest.mark.parametrize("bundle", [modern_bundle(), motif_bundle()])
def test_a_take_that_resumes_is_replayed(tmp_path: Path, bundle: Bundle) -> None:
    """Guards against takes of a service that resumes its state and could never be replayed."""
    made = performance(bundle, play__rate="eighth")
    first = made.make_engine(0.0)
    perform_with_reports(made, PHRASE, 7.0, engine=first)
    engine = resumed_engine(made, state_of(first.memory(), made), 100.0)
    header, reports, _ = perform_with_reports(
        made, [(103.0, NoteOn(60, 80, 1)), (103.3, NoteOff(60, 1))], 110.0, engine=engine
    )
    journal = recorded_take(tmp_path, header, reports)
    assert header.start == 16.0
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))
    notes = mido.MidiFile(TakeFolder(tmp_path).midi(journal.name)).tracks[1]
    assert notes[1].time < 4 * TICKS_PER_BEAT  # the file begins where the take does


def test_a_take_that_reached_its_end_is_replayed(tmp_path: Path) -> None:
    """Guards against a false difference after the last chorus, caused by the time that the machine took to end it."""
    keys: dict[str, Any] = {"chart__choruses": 1, "tempo__clock_out": True, "midi__lamp": 50}
    made = performance(play__rate="eighth", **keys)
    engine = made.make_engine(0.1, clocks=clock_config(made))
    header, reports, _ = perform_with_reports(made, [], 100.0, lambda: 0.0003, engine)
    journal = recorded_take(tmp_path, header, reports)
    assert journal.totals().seconds == pytest.approx(8.0, abs=0.01)
    assert replay_take(journal, made) == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))


def test_the_first_difference_is_reported(tmp_path: Path) -> None:
    """Guards against a replay that is called the same although it is not."""
    made = performance(play__rate="eighth")
    header, reports, _ = perform_with_reports(made, PHRASE, 6.0)
    sent = [report for report in reports if isinstance(report, EventSent)]
    other = [replace(report, event=NoteOn(1, 2, 3)) if report is sent[9] else report for report in reports]
    result = replay_take(recorded_take(tmp_path, header, other), made)
    assert result.same_events == 9
    assert "NoteOn(pitch=1, velocity=2, channel=3)" in result.difference
    missing = [report for report in reports if report is not sent[-1]]
    assert "then nothing, now" in replay_take(recorded_take(tmp_path, header, missing), made).difference
    more = [*reports, sent[-1]]
    assert replay_take(recorded_take(tmp_path, header, more), made).difference.endswith("now nothing")


def test_a_retrained_network_replays_no_take_of_the_old_one(tmp_path: Path) -> None:
    """Guards against other notes that are passed off as the take."""
    made = performance()
    header, reports, _ = perform_with_reports(made, [], 3.0)
    journal = recorded_take(tmp_path, replace(header, weights="other"), reports)
    with pytest.raises(Unavailable, match=r"modern .* has changed"):
        takes.performance_of(journal.header)


def test_a_classic_network_replays_its_takes(tmp_path: Path) -> None:
    """Guards against takes of the course's own network that cannot be replayed."""
    made = performance(classic_bundle(), play__rate="phrase")
    header, reports, _ = perform_with_reports(made, PHRASE, 10.0)
    journal = recorded_take(tmp_path, header, reports)
    assert not replay_take(journal, made).difference
    assert replay_take(journal, performance(modern_bundle(), play__rate="phrase")).difference
