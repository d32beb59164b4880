# SPDX-License-Identifier: Apache-2.0
"""Following an Ableton Link session: beats, bar lines, starts and stops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sideman.core.actions import Start, Stop
from sideman.core.engine import Engine
from sideman.core.events import (
    ChangeSettings,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    LinkState,
    MidiEvent,
    NoteOff,
    NoteOn,
    SongPosition,
    encode,
)
from sideman.core.timing.ableton_link import LinkFollower
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT
from sideman.midi.decoder import MidiDecoder
from sideman.playing.player import WAKE_AHEAD_S
from support.fakes import hanging_notes, note_ons, performance, play_on_fake_clock, tempo_change

Arrivals = list[tuple[float, MidiEvent | Command]]
DENSE: dict[str, Any] = {"play__density": 4, "play__rests": 0}
START, STOP, TICK = (encode(event) for event in (ClockStart(), ClockStop(), ClockTick()))


def following(*, wait_start: bool = True, sends: bool = False, **keys: Any) -> tuple[Engine, LinkFollower, list[Any]]:
    """An engine in a session with bars of four beats, the follower, and its status texts and requested tempos."""
    reported: list[Any] = []
    follower = LinkFollower(
        4.0,
        wait_start=wait_start,
        on_change=lambda: reported.append(follower.status_text),
        request_tempo=reported.append,
    )
    return performance(**{**DENSE, **keys}).make_engine(0.0, clocks=ClockConfig(follower, sends)), follower, reported


def state(beat: float, bpm: float = 120.0, *, playing: bool = True, others: int = 1) -> LinkState:
    """The state of a session."""
    return LinkState(bpm, beat, playing, others)


def onsets(engine: Engine, until: float, arrivals: Arrivals) -> list[float]:
    """The seconds of the note-ons; every note must be released."""
    recorder, _ = play_on_fake_clock(engine, until, arrivals)
    assert not hanging_notes(message for _, message in recorder.sent if len(message) == 3 and message[0] < 0xF0)
    return [second for second, _ in note_ons(recorder)]


def test_it_begins_at_the_top_with_the_next_bar_line() -> None:
    """Guards against: a start anywhere in the bar, so that its first chord meets the third beat of the others."""
    engine, follower, reported = following()
    seconds = onsets(engine, 9.99, [(1.0, state(101.0))])  # beat 104 falls on second 2.5
    assert seconds == pytest.approx([2.5 + beat / 2 for beat in range(len(seconds))])
    assert len(seconds) == 15
    assert follower.tempo.beat_at(2.5) == pytest.approx(0.0)
    assert engine.chart.chord_at(engine.beat_at(4.6)) == engine.chart.chart.chord_at(4.2)
    assert reported == ["following Link at 120.0 bpm, 1 other"]


def test_it_waits_while_the_session_is_stopped() -> None:
    """Guards against: music that starts while everybody else waits for the first beat."""
    engine, _, reported = following()
    arrivals: Arrivals = [(0.0, state(0.3, playing=False)), (3.0, state(6.3, playing=False)), (5.0, state(10.3))]
    assert onsets(engine, 7.01, arrivals) == pytest.approx([5.85, 6.35, 6.85])
    assert reported == ["waiting for the start of Link at 120.0 bpm, 1 other", "following Link at 120.0 bpm, 1 other"]


def test_without_wait_start_it_starts_in_a_stopped_session() -> None:
    """Guards against: silence beside programs that share no start and stop, as Live by default."""
    engine, _, _ = following(wait_start=False)
    stopped = state(11.0, playing=False)
    assert onsets(engine, 3.01, [(1.0, stopped)]) == pytest.approx([1.5, 2.0, 2.5, 3.0])
    engine, _, _ = following(wait_start=False)
    arrivals: Arrivals = [(1.0, stopped), (2.1, state(13.2)), (2.6, state(14.2, playing=False))]
    assert onsets(engine, 9.0, arrivals) == pytest.approx([1.5, 2.0, 2.5])


@pytest.mark.parametrize("start", ["at once", "armed", "first note"])
def test_a_start_of_ones_own_joins_on_the_next_bar_line(start: str) -> None:
    """Guards against: a start that does nothing, because Link does not tell who joins that the session plays."""
    engine, follower, _ = following(play__start=start)
    arrivals: Arrivals = [(0.1, state(9.0, playing=False)), (2.0, Start())]
    heard = onsets(engine, 8.0, arrivals)
    assert min(heard) == pytest.approx(3.6)  # beat 16 of the session: 2 s after the start it was on 12.8
    assert follower.rolling
    engine, _, _ = following(play__start=start)
    stops: Arrivals = [(4.0, state(16.8)), (5.0, state(18.8, playing=False))]
    assert max(onsets(engine, 9.0, [*arrivals, *stops])) < 5.0


def test_ones_own_stop_and_start_keep_to_bar_lines() -> None:
    """Guards against: a second start in the middle of a bar, and a start of the session that is missed."""
    alone = state(9.0, playing=False)
    arrivals: Arrivals = [(0.1, alone), (2.0, Start()), (6.0, Stop()), (8.0, Start())]
    heard = onsets(following()[0], 12.0, arrivals)
    assert not [second for second in heard if 6.0 < second < 9.6]
    assert min(second for second in heard if second > 6.0) == pytest.approx(9.6)  # beat 28 of the session
    session: Arrivals = [*arrivals[:3], (7.0, state(22.8, 100.0, playing=False)), (8.0, state(24.8))]
    heard = onsets(following()[0], 12.0, session)
    assert min(second for second in heard if second > 6.0) == pytest.approx(9.6)
    early: Arrivals = [(0.05, Start()), (0.1, alone)]
    assert min(onsets(following()[0], 4.0, early)) == pytest.approx(1.6)  # asked for before the session was found


def test_a_stop_silences_at_once_and_a_start_is_the_top() -> None:
    """Guards against: a note that sounds on after the stop, or a second take in the middle of the changes."""
    engine, follower, _ = following(play__gate=1)
    arrivals: Arrivals = [(0.0, state(0.0)), (5.3, state(10.6, playing=False)), (8.0, state(16.1))]
    recorder, bars = play_on_fake_clock(engine, 12.01, arrivals)
    assert not hanging_notes(message for second, message in recorder.sent if second <= 5.3)
    seconds = [second for second, _ in note_ons(recorder)]
    assert next(second for second in seconds if second > 5.3) == pytest.approx(9.95)
    assert follower.tempo.beat_at(9.95) == pytest.approx(0)
    assert [bar.number for bar in bars] == [1, 2, 1]


@pytest.mark.parametrize("bpm", [60.0, 97.0, 180.0])
def test_a_tempo_that_changes_is_followed_on_the_beat(bpm: float) -> None:
    """Guards against: music that stays in the old tempo beside the others."""
    engine, _, _ = following()
    changes = 4.25  # in the middle of beat 8
    beats = 8.5 + bpm / 60 * 5
    seconds = onsets(engine, changes + 5.0, [(0.0, state(0.0)), (changes, state(8.5, bpm))])
    expected = [beat / 2 for beat in range(9)] + [
        changes + (beat - 8.5) * 60 / bpm for beat in range(9, math.ceil(beats))
    ]
    assert seconds == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(0.01, 0.5), st.floats(40, 240)), min_size=1, max_size=40))
@example([(0.4991, 60.0), (0.5, 60.0)])  # the tempo halves 0.9 ms before beat 1
@settings(max_examples=25)
def test_a_tempo_that_is_always_moving_loses_no_beat(moves: list[tuple[float, float]]) -> None:
    """Guards against an accelerando, dialled by somebody in the session, that skips beats or plays one twice.

    Every beat is played once, in order, at the second at which the session has it. There is one exception: the player
    decides what it sends `WAKE_AHEAD_S` before the beat. If the tempo changes within that millisecond, the beat keeps
    the second that it had in the old tempo.
    """
    second, beat, bpm = 0.0, 0.0, 120.0
    arrivals: Arrivals = [(0.0, state(0.0))]
    true, decided = list[float](), dict[int, float]()
    for gap, new in moves:
        true += [second + (n - beat) * 60 / bpm for n in range(math.ceil(beat), math.ceil(beat + gap * bpm / 60))]
        second, beat = second + gap, beat + gap * bpm / 60
        to_next_beat = (math.ceil(beat) - beat) * 60 / bpm
        if to_next_beat <= WAKE_AHEAD_S + 1e-6:
            decided[math.ceil(beat)] = second + to_next_beat
        bpm = new
        arrivals.append((second, state(beat, bpm)))
    engine, _, _ = following()
    played = onsets(engine, second, arrivals)
    assert len(played) >= len(true)
    for n, (onset, expected) in enumerate(zip(played, true, strict=False)):
        assert onset in (pytest.approx(expected, abs=1e-6), pytest.approx(decided.get(n, expected), abs=1e-6))


@pytest.mark.parametrize(("to", "place"), [(31.0, 11.0), (30.0, 10.0), (29.5, 9.5), (25.0, 9.0), (28.4, 12.4)])
def test_a_jump_of_the_beat_keeps_the_bar(to: float, place: float) -> None:
    """Guards against: two sessions that join, after which the song starts again or the bar lines differ."""
    engine, follower, _ = following(play__gate=1)
    jumps = 5.3  # at beat 10.6 of the music
    recorder, _ = play_on_fake_clock(engine, 9.0, [(0.0, state(0.0)), (jumps, state(to))])
    assert follower.tempo.beat_at(jumps) == pytest.approx(place)
    assert engine.chart.chord_at(engine.beat_at(8.9)) == engine.chart.chart.chord_at(place + 7.2)
    assert not hanging_notes(message for _, message in recorder.sent)
    after = [second for second, _ in note_ons(recorder) if second > jumps - 0.01]
    first = jumps + (math.ceil(place) - place) / 2
    assert after == pytest.approx([first + n / 2 for n in range(len(after))])
    assert len(after) >= 6


def test_a_beat_corrected_by_a_little_is_no_jump() -> None:
    """Guards against: a note that is cut at every small correction of the clock."""
    engine, follower, _ = following(play__gate=1)
    recorder, _ = play_on_fake_clock(engine, 4.3, [(0.0, state(0.0)), (2.2, state(4.401)), (3.2, state(14.4))])
    assert follower.tempo.beat_at(3.2) == pytest.approx(6.4)
    assert not follower.relocated
    assert [second for second, _ in note_ons(recorder)][-1] == pytest.approx(4.0)
    offs = [second for second, message in recorder.sent if message[0] & 0xF0 == 0x80]
    assert not [second for second in offs if second in (2.2, 3.2)]


def test_a_changed_tempo_setting_is_passed_to_the_session() -> None:
    """Guards against: a tempo knob that takes us out of time with everybody else."""
    engine, _, reported = following()
    engine.receive(state(0.0), 0.0)
    engine.receive(tempo_change(90.0), 1.0)
    engine.receive(ChangeSettings((("tempo.bpm", 100.0),)), 1.1)
    assert reported[1:] == [90.0, 100.0]
    assert engine.tempo.bpm == 120.0


def test_what_is_played_before_its_first_bar_line_is_heard() -> None:
    """Guards against: a pick-up into the first bar that is not heard."""
    engine, _, _ = following()
    engine.receive(state(1.0), 0.0)
    engine.receive(NoteOn(60, 64, 1), 0.5)
    engine.receive(NoteOff(60, 1), 0.9)
    assert engine.listening.heard_notes == 1


changes = st.builds(
    LinkState,
    st.sampled_from([20.0, 60.0, 120.0, 999.0]),
    st.floats(-50, 5000) | st.sampled_from([0.0, 4.0, 8.0, 3.999999]),
    st.booleans(),
    st.integers(0, 3),
)
other = st.sampled_from(
    [ClockTick(), ClockStart(), ClockStop(), SongPosition(7), NoteOn(60, 9, 1), tempo_change(300.0)]
)
gaps = st.sampled_from([0.0, 1e-4, 0.03, 0.4, 2.0])


@settings(max_examples=60)
@given(st.lists(st.tuples(gaps, changes | other), max_size=40), st.booleans(), st.booleans())
def test_no_session_leaves_a_note_sounding_or_takes_a_beat_back(
    items: Sequence[tuple[float, MidiEvent | Command]], wait_start: bool, sends: bool
) -> None:
    """Guards against: a jumping peer that ends the solo, leaves a note hanging, or confuses what was heard."""
    engine, _, _ = following(wait_start=wait_start, sends=sends, play__rate="sixteenth", play__gate=1)
    second, arrivals, beats = 0.0, [], [0.0]
    for gap, item in items:
        second += gap
        arrivals.append((second, item))
    for when, item in arrivals:
        beats += [due.beat for due in engine.advance(when)]
        engine.receive(item, when)
        beats.append(engine.beat_at(when))
    engine, _, _ = following(wait_start=wait_start, sends=sends, play__rate="sixteenth", play__gate=1)
    recorder, _ = play_on_fake_clock(engine, second + 2.0, arrivals)
    assert not hanging_notes(message for _, message in recorder.sent if len(message) == 3 and message[0] < 0xF0)
    words = [message for _, message in recorder.sent if message in (START, STOP, (0xFB,))]
    assert not words or words[-1] == STOP
    # A correction that is no jump may move a beat back a little.
    assert all(later >= earlier - 0.1001 for earlier, later in pairwise(beats))


def test_the_clock_it_sends_goes_with_the_session() -> None:
    """Guards against: a drum machine behind us that does not stop with Live, or is off after a jump."""
    engine, _, _ = following(sends=True, play__gate=1)
    jump = 5.3
    arrivals: Arrivals = [(0.0, state(1.0)), (jump, state(40.2)), (9.0, state(47.6, playing=False))]
    recorder, _ = play_on_fake_clock(engine, 12.0, arrivals)
    followed, decoder = MidiClockFollower(120.0), MidiDecoder(clock=True)
    words = []
    for second, message in recorder.sent:
        for event in decoder.feed(message):
            if isinstance(event, NoteOn | NoteOff):
                continue
            followed.receive(event, second)  # type: ignore[arg-type]
            if not isinstance(event, ClockTick):
                words.append((round(second, 2), type(event).__name__))
                continue
            place = followed.tempo.beat_at(second)  # beat 4 of the session is on second 1.5, after the jump 40 on 5.2
            expected = (second - 1.5) * 2 if second < jump else 8 + (second - 5.2) * 2
            assert place == pytest.approx(expected, abs=0.5 / CLOCK_TICKS_PER_BEAT)
    assert [word for _, word in words] == ["ClockStart", "ClockStop", "SongPosition", "ClockContinue", "ClockStop"]
    assert words[0][0] == pytest.approx(1.5, abs=0.02)
    assert words[-1][0] == 9.0
