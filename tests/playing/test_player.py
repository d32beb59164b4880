# SPDX-License-Identifier: Apache-2.0
"""The real-time loop, on a clock that jumps: it sends what is rendered, and leaves no note sounding."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import mido
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sideman.core.actions import Panic, Stop
from sideman.core.engine import play_through
from sideman.core.events import (
    Advanced,
    BarPlayed,
    ChangeSettings,
    Command,
    ControlChange,
    EventSent,
    InputReceived,
    MidiEvent,
    NoteOff,
    NoteOn,
    PitchBend,
    Report,
    encode,
)
from sideman.core.timing.clock_source import ClockConfig
from sideman.playing.overload import Arrival
from sideman.playing.player import GATHER_S, MAX_SLEEP_S, TIME_TO_CHOOSE_S, WAKE_AHEAD_S, Player
from sideman.render.midi_file import TICKS_PER_BEAT, midi_file_bytes
from support.fakes import FakeClock, RecordingOutput, hanging_notes, note_ons, performance, play_on_fake_clock

rates = st.sampled_from(["beat", "eighth", "triplet", "sixteenth", "phrase"])
messages = st.one_of(
    st.builds(NoteOn, st.integers(0, 127), st.integers(1, 127), st.integers(1, 16)),
    st.builds(NoteOff, st.integers(0, 127), st.integers(1, 16)),
    st.builds(ControlChange, st.integers(0, 127), st.integers(0, 127), st.integers(1, 16)),
    st.builds(PitchBend, st.integers(-8192, 8191), st.integers(1, 16)),
    st.just(Panic()),
)
arrivals = st.lists(st.tuples(st.floats(0, 8), messages), max_size=30).map(
    lambda items: sorted(items, key=lambda i: i[0])
)


@pytest.mark.parametrize("rate", ["beat", "eighth", "triplet", "sixteenth", "phrase"])
def test_what_is_rendered_is_what_is_played(rate: str, tmp_path: Path) -> None:
    """Guards against: a rendered solo that is not the one that was heard."""
    made = performance(play__rate=rate)
    live, _ = play_on_fake_clock(made.make_engine(0.0, beats=32), 1e6)
    dues = list(play_through(performance(play__rate=rate).make_engine(0.0, beats=32)))
    sounding = [due for due in dues if not isinstance(due.item, BarPlayed)]
    assert [message for _, message in live.sent] == [encode(due.item) for due in sounding]  # type: ignore[arg-type]
    assert [second for second, _ in live.sent] == pytest.approx([due.second for due in sounding], abs=1e-6)
    path = tmp_path / "solo.mid"
    events = [(due.beat, due.item) for due in dues if not isinstance(due.item, BarPlayed)]
    path.write_bytes(midi_file_bytes([("test", events)], 120.0, [(0.0, made.chart.meter)], 32.0))
    now, written = 0, []
    for message in mido.MidiFile(path).tracks[1]:
        now += message.time
        if not message.is_meta:
            written.append((now, tuple(message.bytes())))
    assert written == [(round(due.beat * TICKS_PER_BEAT), encode(due.item)) for due in sounding]  # type: ignore[arg-type]
    assert now == 32 * TICKS_PER_BEAT


@settings(max_examples=60)
@given(rates, arrivals, st.floats(0, 0.2))
def test_nothing_hangs_with_any_input_and_any_delay(
    rate: str, items: list[tuple[float, MidiEvent]], oversleeps: float
) -> None:
    """Guards against: an unlucky moment to stop that leaves a note sounding."""
    recorder, _ = play_on_fake_clock(
        performance(play__rate=rate, midi__chords=3).make_engine(0.1), 8.0, items, oversleeps
    )
    assert not hanging_notes(message for _, message in recorder.sent)


@settings(max_examples=30)
@given(rates, arrivals)
def test_the_same_playing_gives_the_same_solo(rate: str, items: list[tuple[float, MidiEvent]]) -> None:
    """Guards against: a take that cannot be replayed note for note."""
    first, again = (
        play_on_fake_clock(performance(play__rate=rate).make_engine(0.1), 8.0, items)[0].sent for _ in range(2)
    )
    assert first == again


@settings(max_examples=30)
@given(arrivals)
def test_a_busy_input_makes_no_note_late(items: list[tuple[float, MidiEvent]]) -> None:
    """Guards against: the player's notes that push ours off the beat."""
    recorder, _ = play_on_fake_clock(performance(play__density=4, play__rests=0).make_engine(0.0), 8.0, items)
    seconds = [second for second, _ in note_ons(recorder)]
    assert seconds == pytest.approx([beat / 2 for beat in range(len(seconds))], abs=1e-6)
    assert len(seconds) >= 16


def test_nothing_is_sent_before_the_end() -> None:
    """Guards against: a lamp that goes out while the last beat still sounds."""
    made = performance(chart__choruses=1, play__mode="off", midi__lamp=20)
    recorder, _ = play_on_fake_clock(made.make_engine(0.0), 60.0)
    assert [second for second, _ in recorder.sent] == [0.0, 8.0]


class Sleepy(FakeClock):
    """A machine that is slow to wake after a long wait, and does not oversleep a short one."""

    watched: Player
    promised = True  # whether `sends_at` was known before every sleep until a note

    def sleep(self, until: float) -> None:
        """Jump to the exact second."""
        self.promised &= self.watched.sends_at <= until or not self.arrivals  # the last arrival is the stop
        self.second = max(self.second, until)


def on_a_sleepy_machine(
    items: list[tuple[float, MidiEvent | Command]], until: float = 8.0
) -> tuple[RecordingOutput, Sleepy]:
    """What is sent and reported if each wait takes almost a millisecond too long."""
    clock = Sleepy(
        [*(Arrival(second, item) for second, item in items), Arrival(until, None)], lambda: 0.9 * WAKE_AHEAD_S
    )
    recorder = RecordingOutput(clock)
    engine = performance(play__density=4, play__rests=0).make_engine(0.0)
    clock.watched = Player(engine, recorder, clock, recorder.reports.append)
    clock.watched.run()
    return recorder, clock


@settings(max_examples=30)
@given(arrivals)
def test_a_machine_slow_to_wake_plays_on_time(items: list[tuple[float, MidiEvent]]) -> None:
    """Guards against: notes that are late because the processor has slept or others are busy."""
    recorder, clock = on_a_sleepy_machine([*items])
    sent = [report for report in recorder.reports if isinstance(report, EventSent)]
    both = zip(recorder.sent, sent, strict=False)
    due = [(second, report.second) for (second, _), report in both if isinstance(report.event, NoteOn)]
    late = [second - meant for second, meant in due if meant * 2 == round(meant * 2)]
    assert late.count(0.0) >= len(late) - len(items)  # a note may fall due while an arrival is taken in
    assert clock.promised


near = st.tuples(st.integers(1, 15), st.floats(-2 * WAKE_AHEAD_S, WAKE_AHEAD_S), messages)


@settings(max_examples=30)
@given(st.lists(near, min_size=1, max_size=10))
def test_what_arrives_while_a_note_waits_to_be_sent_comes_after_it(items: list[tuple[int, float, MidiEvent]]) -> None:
    """Guards against: input that gets another time than it had, or a take whose time runs backwards."""
    timed = sorted(((beat / 2 + off, item) for beat, off, item in items), key=lambda arrival: arrival[0])
    recorder, _ = on_a_sleepy_machine([*timed])
    seconds = [report.second for report in recorder.reports if isinstance(report, Advanced)]
    assert seconds == sorted(seconds)
    arrived = [report for report in recorder.reports if isinstance(report, InputReceived)]
    assert [(report.second, report.item) for report in arrived] == timed


@given(
    st.dictionaries(st.integers(40, 80), st.floats(0, 0.9 * GATHER_S), min_size=2, max_size=6),
    st.floats(0.1, 3.9),
    st.booleans(),
)
@settings(max_examples=20)
def test_a_chord_is_heard_before_it_chooses(pitches: dict[int, float], second: float, sends: bool) -> None:
    """Guards against: the notes of a chord that wait until it has chosen again after the first of them."""
    left = -second % 0.5
    assume(TIME_TO_CHOOSE_S + 2 * GATHER_S < left < 0.5 - 4 * WAKE_AHEAD_S)  # something due goes first
    chord = sorted((second + spread, pitch) for pitch, spread in pitches.items())
    pedal = Arrival(chord[0][0], ControlChange(64, 127, 1))
    notes = [Arrival(at, NoteOn(pitch, 80, 1)) for at, pitch in chord]
    clock = FakeClock([notes[0], pedal, *notes[1:], Arrival(5.0, None)])
    recorder = RecordingOutput(clock)
    engine = performance().make_engine(0.0, clocks=ClockConfig(None, sends_midi_clock=sends))
    Player(engine, recorder, clock, recorder.reports.append).run()
    woken = [report for report in recorder.reports if isinstance(report, InputReceived | Advanced)]
    received = [at for at, report in enumerate(woken) if isinstance(report, InputReceived)]
    assert len(received) == len(notes) + 1
    assert not any(isinstance(each, Advanced) and each.prepared for each in woken[received[0] : received[-1]])
    assert recorder.reports[-1].second == 5.0  # type: ignore[union-attr]


@settings(max_examples=20)
@given(st.floats(0.004, 0.9 * TIME_TO_CHOOSE_S))
def test_near_its_onset_it_chooses_at_once(left: float) -> None:
    """Guards against: a choice that is made too late because more could have come in."""
    recorder, _ = play_on_fake_clock(performance().make_engine(0.0), 5.0, [(1.5 - left, NoteOn(60, 80, 1))])
    woken = [report for report in recorder.reports if isinstance(report, InputReceived | Advanced)]
    after = woken[[type(each) for each in woken].index(InputReceived) + 1]
    assert isinstance(after, Advanced)
    assert after.prepared
    assert after.second == 1.5 - left


def test_it_chooses_in_a_storm_of_notes_too() -> None:
    """Guards against: somebody who never stops playing, and a solo that stands still meanwhile."""
    storm = [Arrival(1.1 + 0.002 * number, NoteOn(40 + number % 40, 80, 1)) for number in range(100)]
    clock = FakeClock([*storm, Arrival(5.0, None)])
    recorder = RecordingOutput(clock)
    Player(performance().make_engine(0.0), recorder, clock, recorder.reports.append).run()
    woken = [each for each in recorder.reports if isinstance(each, Advanced) and 1.1 < each.second < 1.3]
    chosen = [each.second for each in woken if each.prepared]
    assert max(later - earlier for earlier, later in pairwise([1.1, *chosen, 1.3])) <= 3 * GATHER_S


@pytest.mark.parametrize("urgent", [Panic(), Stop()])
def test_what_asks_for_silence_is_shown_at_once(urgent: Panic | Stop) -> None:
    """Guards against: a status that goes on as before for a second after a panic or a stop."""
    clock = FakeClock([Arrival(1.1, urgent), Arrival(1.1, ChangeSettings((("play.gate", 0.5),))), Arrival(3.0, None)])
    recorder = RecordingOutput(clock)
    Player(performance().make_engine(0.0), recorder, clock, recorder.reports.append).run()
    kinds = [type(report) for report in recorder.reports if isinstance(report, InputReceived | Advanced)]
    assert kinds[kinds.index(InputReceived) + 1] is Advanced


def test_an_exception_releases_every_note_first() -> None:
    """Guards against: a defect that ends with a note that sounds for ever."""

    def fail(report: Report) -> None:
        if isinstance(report, BarPlayed):
            raise ArithmeticError("a defect")  # noqa: TRY004 - not of a type

    clock = FakeClock()
    recorder = RecordingOutput(clock)
    engine = performance(play__rate="phrase", play__gate=1).make_engine(0.0)
    with pytest.raises(ArithmeticError):
        Player(engine, recorder, clock, fail).run()
    assert recorder.sent
    assert not hanging_notes(message for _, message in recorder.sent)


def test_it_wakes_once_a_second_with_nothing_to_do() -> None:
    """Guards against: a watchdog that kills a player who only listens."""
    clock = FakeClock([Arrival(10.0, None)])
    player = Player(
        performance(play__mode="off", tempo__bpm=20).make_engine(0.0), RecordingOutput(clock), clock, lambda _: None
    )
    player.run()
    assert player.wake_count >= 10 / MAX_SLEEP_S


def test_it_waits_for_absolute_deadlines() -> None:
    """Guards against: a tempo that drags because every delay is added to the last."""
    recorder, _ = play_on_fake_clock(
        performance(play__density=4, play__rests=0).make_engine(0.0), 60.0, oversleeps=0.002
    )
    seconds = [second for second, _ in note_ons(recorder)]
    assert max(abs(second - beat / 2) for beat, second in enumerate(seconds)) < 0.0021
