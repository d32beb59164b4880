# SPDX-License-Identifier: Apache-2.0
"""Following a MIDI clock, and sending one: beats, positions, starts and stops."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

import mido
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sideman.core.actions import Start, Stop
from sideman.core.engine import DueItem, Engine, play_through
from sideman.core.events import (
    BarPlayed,
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    MidiEvent,
    NoteOff,
    NoteOn,
    SongPosition,
    encode,
)
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT, FASTEST_BPM, SLOWEST_BPM
from sideman.midi.decoder import MidiDecoder
from sideman.playing.assembly import resumed_engine, state_of
from support.clocks import Seconds, going, in_rounds, jittered, steady
from support.fakes import hanging_notes, note_ons, performance, play_on_fake_clock, tempo_change

Arrivals = list[tuple[float, MidiEvent]]
DENSE: dict[str, Any] = {"play__density": 4, "play__rests": 0, "play__late_ms": 30}
START, CONTINUE, STOP, TICK = (encode(event)[0] for event in (ClockStart(), ClockContinue(), ClockStop(), ClockTick()))


def ticks(seconds: Iterable[float]) -> Arrivals:
    """A clock tick at each of these seconds."""
    return [(float(second), ClockTick()) for second in seconds]


def following(
    *, beats: float | None = None, wait_start: bool = True, sends: bool = False, **keys: Any
) -> tuple[Engine, MidiClockFollower, list[str]]:
    """An engine that follows a clock, the follower, and the status texts that it reports."""
    texts: list[str] = []
    follower = MidiClockFollower(120.0, wait_start=wait_start, on_change=lambda: texts.append(follower.status_text))
    engine = performance(**{**DENSE, **keys}).make_engine(0.0, beats=beats, clocks=ClockConfig(follower, sends))
    return engine, follower, texts


def reported(arrivals: Seconds, period: float = 0.0) -> list[str]:
    """What is reported while a clock is followed from its start, with a port whose rounds take `period`."""
    texts: list[str] = []
    follower = MidiClockFollower(120.0, on_change=lambda: texts.append(follower.status_text))
    follower.set_port_period(period)
    follower.receive(ClockStart(), float(arrivals[0]) - 0.001)
    for second in arrivals.tolist():
        follower.receive(ClockTick(), second)
    return texts


def band(true: Seconds, seed: int = 1) -> Arrivals:
    """A clock that starts with its first tick and stops after its last, its ticks up to 2 ms early or late."""
    arriving = ticks(jittered(true, 0.002, seed))
    return [(arriving[0][0] - 0.001, ClockStart()), *arriving, (arriving[-1][0] + 0.001, ClockStop())]


def off(onsets: Sequence[float], beats: Sequence[float]) -> list[float]:
    """The distance of each onset from its beat; there must be one onset for each beat."""
    assert len(onsets) == len(beats)
    return [abs(onset - beat) for onset, beat in zip(onsets, beats, strict=True)]


@pytest.mark.parametrize("bpm", [60.0, 97.0, 180.0])
def test_every_note_falls_on_the_beat_of_the_clock(bpm: float) -> None:
    """Guards against: a solo beside the band: too fast, too slow, or off its beat."""
    true = steady(32, bpm)
    engine, _, _ = following()
    recorder, bars = play_on_fake_clock(engine, 100.0, band(true))
    onsets = [second for second, _ in note_ons(recorder)]
    beats = true[::CLOCK_TICKS_PER_BEAT].tolist()
    errors = off(onsets[:32], beats[:32])
    assert max(errors[2:]) <= 0.002
    assert max(errors) <= 0.004
    assert [bar.number for bar in bars] == list(range(1, len(bars) + 1))


def test_a_clock_changes_no_note() -> None:
    """Guards against: a clock that changes the notes and not only their time."""
    alone = performance(**DENSE).make_engine(0.0, beats=31)
    expected = [due.item.pitch for due in play_through(alone) if isinstance(due.item, NoteOn)]
    engine, _, _ = following(beats=31)
    assert [
        pitch for _, pitch in note_ons(play_on_fake_clock(engine, 100.0, band(going((90, 150, 32))))[0])
    ] == expected


def test_a_running_clock_is_followed_in_silence_until_it_starts() -> None:
    """Guards against: a solo that comes in anywhere in the bar as soon as a machine is switched on."""
    true = steady(24, 100.0)
    engine, _, texts = following()
    arrivals = ticks(true)
    arrivals.insert(16 * CLOCK_TICKS_PER_BEAT + 7, (float(true[16 * CLOCK_TICKS_PER_BEAT + 7]) - 0.01, ClockStart()))
    recorder, _ = play_on_fake_clock(engine, float(true[-1]), arrivals)
    onsets = [second for second, _ in note_ons(recorder)]
    assert max(off(onsets, true[16 * CLOCK_TICKS_PER_BEAT + 7 :: CLOCK_TICKS_PER_BEAT].tolist())) < 0.001
    assert texts == [
        "hearing a clock, waiting for its start",
        "hearing a clock at 100.0 bpm, waiting for its start",
        "following 100.0 bpm",
    ]


def test_without_wait_start_the_first_tick_is_a_beat() -> None:
    """Guards against: silence beside a drum machine that never sends a start."""
    true = steady(8, 100.0)
    engine, _, _ = following(wait_start=False)
    recorder, _ = play_on_fake_clock(engine, float(true[-1]) + 0.02, ticks(true))
    assert max(off([second for second, _ in note_ons(recorder)], true[::CLOCK_TICKS_PER_BEAT].tolist())) < 0.001


@pytest.mark.parametrize("words", [(ClockContinue(),), (SongPosition(18),), (SongPosition(18), ClockContinue())])
def test_a_running_clock_is_joined_at_its_position(words: Sequence[MidiEvent]) -> None:
    """Guards against: a solo switched on in the middle of the song that plays the chords of the first bar."""
    true = steady(12, 120.0)
    joins = 4 * CLOCK_TICKS_PER_BEAT
    arrivals = ticks(true)
    arrivals[joins:joins] = [(float(true[joins]) - 0.01, word) for word in words]
    engine, follower, _ = following()
    recorder, _ = play_on_fake_clock(engine, float(true[-1]) + 0.02, arrivals)
    place = 4.5 if SongPosition(18) in words else 0.0
    assert follower.tempo.beat_at(float(true[joins])) == pytest.approx(place, abs=1e-6)
    seconds = [second for second, _ in note_ons(recorder)]
    first = float(true[joins]) + (0.25 if place else 0.0)  # the next beat is half a beat later
    assert max(off(seconds, [first + beat / 2 for beat in range(len(seconds))])) < 0.001
    beat = engine.beat_at(float(true[-1]))
    assert engine.chart.chord_at(beat) == engine.chart.chart.chord_at(place + 8)


@given(st.integers(1, 300), st.floats(0.0, 0.02), st.booleans())
@settings(max_examples=15)
def test_a_stop_silences_at_once_and_continue_goes_on_in_place(tick: int, later: float, ticking: bool) -> None:
    """Guards against: a note that hangs after a stop, or a continue that repeats or skips a part of the line."""
    true, pause = steady(16, 120.0), 3.21
    last = float(true[tick - 1]) + later * 0.9
    rest = true[tick:] + pause
    between = ticks(true[tick : tick + 100] if ticking else ())
    stopped: Arrivals = [(float(true[0]) - 0.001, ClockStart()), *ticks(true[:tick]), (last, ClockStop())]
    goes_on: Arrivals = [(float(rest[0]) - 0.001, ClockContinue()), *ticks(rest)] if len(rest) else []
    engine, _, _ = following(play__rate="eighth", play__gate=1)
    meanwhile = [(second, event) for second, event in between if last < second < float(true[tick]) + pause - 0.01]
    recorder, _ = play_on_fake_clock(engine, float(true[-1]) + pause + 0.02, [*stopped, *meanwhile, *goes_on])
    before = [message for second, message in recorder.sent if second <= last + 1e-9]
    assert not hanging_notes(before)
    assert not [second for second, _ in note_ons(recorder) if last + 1e-9 < second < last + pause - later - 0.03]
    through, _, _ = following(play__rate="eighth", play__gate=1)
    whole, _ = play_on_fake_clock(through, float(true[-1]) + 0.02, band(true)[:-1])
    assert [pitch for _, pitch in note_ons(recorder)] == [pitch for _, pitch in note_ons(whole)]


def test_a_new_start_is_the_top_of_the_chart() -> None:
    """Guards against: a second take that begins in the middle of the changes."""
    first, again = steady(6, 120.0), steady(9, 120.0, start=20.0)
    engine, _, _ = following(chart__choruses=2)
    recorder, bars = play_on_fake_clock(engine, 24.52, [*band(first), *band(again)[:-1]])
    beat = engine.beat_at(24.2)
    assert engine.chart.chord_at(beat).text == engine.chart.chart.chord_at(8.4).text
    assert engine.timeline.end == pytest.approx(beat - 8.4 + 32.0, abs=0.01)
    assert [bar.number for bar in bars] == [1, 1, 2]
    assert max(off([s for s, _ in note_ons(recorder) if s > 19], again[::CLOCK_TICKS_PER_BEAT].tolist())) < 0.004


def test_after_the_last_chorus_it_waits_for_the_next_start() -> None:
    """Guards against: a daemon that is gone when the band counts in the second song, or winds past the end."""
    first, again = steady(20, 120.0), steady(20, 120.0, start=40.0)
    engine, _, _ = following(chart__choruses=1, play__gate=1)
    recorder, bars = play_on_fake_clock(engine, 100.0, [*band(first), *band(again)])
    onsets = [second for second, _ in note_ons(recorder)]
    assert [bar.number for bar in bars] == [1, 2, 3, 4] * 2
    # The last of the four bars is one note.
    assert sum(second < 20 for second in onsets) == sum(second > 39 for second in onsets) == 13
    assert not hanging_notes(message for _, message in recorder.sent)
    engine, _, _ = following(chart__choruses=1)
    wound: Arrivals = [(0.0, SongPosition(64)), (0.01, ClockContinue()), *ticks(steady(8, 120.0)), (9.0, ClockStop())]
    recorder, _ = play_on_fake_clock(engine, 100.0, [*wound, *band(again)])
    assert sum(second > 39 for second, _ in note_ons(recorder)) == 13


def test_a_start_while_the_music_rolls_starts_again() -> None:
    """Guards against: a press of the start button that is ignored, so that band and solo are in different bars."""
    true = steady(16, 120.0)
    arrivals = band(true)
    arrivals.insert(7 * CLOCK_TICKS_PER_BEAT + 1, (float(true[7 * CLOCK_TICKS_PER_BEAT]) - 0.004, ClockStart()))
    engine, follower, _ = following(play__gate=1)
    recorder, _ = play_on_fake_clock(engine, float(true[-1]) + 0.02, arrivals)
    assert follower.tempo.beat_at(float(true[12 * CLOCK_TICKS_PER_BEAT])) == pytest.approx(5, abs=0.02)
    assert engine.chart.chord_at(engine.beat_at(float(true[-1]) - 0.1)).text == engine.chart.chart.chord_at(8.9).text
    assert not hanging_notes(message for _, message in recorder.sent)


@pytest.mark.parametrize(
    "words", [(SongPosition(0),), (ClockStart(),), (ClockStop(), SongPosition(0), ClockContinue())]
)
@pytest.mark.parametrize("ahead", [0.00001, 0.0002, 0.0006, 0.0015])
def test_a_loop_begins_with_its_first_note(words: tuple[MidiEvent, ...], ahead: float) -> None:
    """Guards against: a sequencer that loops, and whose first note is missing or late each time."""
    beats, loops = 4, 6
    arriving = jittered(steady(beats * loops, 120.0), 0.001, 1)
    arrivals: Arrivals = [(float(arriving[0]) - 0.01, ClockStart()), *ticks(arriving)]
    tops = [float(arriving[number * beats * CLOCK_TICKS_PER_BEAT]) for number in range(1, loops)]
    arrivals += [(top - ahead, word) for top in tops for word in words]
    engine, _, _ = following(play__rate="eighth")
    recorder, _ = play_on_fake_clock(engine, float(arriving[-1]), sorted(arrivals, key=lambda arrival: arrival[0]))
    for top in tops:
        *_, last = (second for second, _ in note_ons(recorder) if second < top + 0.2)
        assert last == pytest.approx(top, abs=0.003)
        assert hanging_notes(message for second, message in recorder.sent if second < top + 0.1)


@pytest.mark.parametrize("bpm", [60.0, 120.0, 240.0])
def test_a_lost_clock_is_noticed_within_two_beats(bpm: float) -> None:
    """Guards against: a cable pulled out, and a solo that goes on without a band and without a word."""
    true = steady(16, bpm)
    engine, follower, texts = following(play__rate="phrase", play__gate=1)
    recorder, _ = play_on_fake_clock(engine, 60.0, band(true)[:-1])
    silent = float(true[-1]) + 2 * 60 / bpm
    assert not hanging_notes(message for second, message in recorder.sent if second <= silent)
    assert not [second for second, _ in note_ons(recorder) if second > silent]
    assert texts[-1] == follower.status_text == "clock lost, waiting for it"


def test_a_doubled_clock_is_reported() -> None:
    """Guards against: a second cable, or the thru of a DAW, that nothing points to."""
    once = steady(8, 120.0)
    twice = np.sort(np.concatenate([once, once[4 * CLOCK_TICKS_PER_BEAT :] + 0.0011]))
    fast = steady(16, 600.0)
    for true, arriving, bpm in ((once, twice, 120.0), (fast, fast, 400.0)):
        engine, _, texts = following()
        play_on_fake_clock(engine, float(true[-1]), [(float(true[0]) - 0.001, ClockStart()), *ticks(arriving)])
        text, _, warning = texts[-1].partition("; ")
        assert warning == "more ticks come than that: is the clock connected twice?"
        assert float(text.split()[1]) == pytest.approx(bpm, rel=0.01)
    engine, _, texts = following()
    play_on_fake_clock(engine, float(once[-1]), band(once)[:-1])
    assert texts[-1] == "following 120.0 bpm"


@pytest.mark.parametrize("period", [64 / 48000, 256 / 48000, 1024 / 48000])
@pytest.mark.parametrize("bpm", [60.0, 97.3, 117.1875, 120.0, 180.0])
def test_a_steady_clock_is_reported_once(bpm: float, period: float) -> None:
    """Guards against: a log that shows another tempo twice a second although the tempo never changes."""
    true = steady(120, bpm)
    late = np.random.default_rng(1).exponential(0.0005, len(true))
    texts = reported(np.maximum.accumulate(in_rounds(true, period) + late), period)
    assert texts[0] == "following the clock"
    assert len(texts) == 2
    assert float(texts[1].split()[1]) == pytest.approx(bpm, rel=0.01)


@pytest.mark.parametrize("period", [0.0, 64 / 48000, 256 / 48000, 1024 / 48000])
@pytest.mark.parametrize("then", [121.5, 132.0, 180.0, 60.0])
def test_a_changed_tempo_is_reported_once(then: float, period: float) -> None:
    """Guards against: a change of the tempo that the log conceals, or shows in many steps that were never played."""
    true = going((120, 120, 16), (then, then, 32))
    _, first, second = reported(in_rounds(true, period) if period else true, period)
    assert float(first.split()[1]) == pytest.approx(120, rel=0.01)
    assert float(second.split()[1]) == pytest.approx(then, rel=0.01)


@pytest.mark.parametrize("period", [0.0, 64 / 48000, 1024 / 48000])
def test_an_accelerando_is_reported_every_few_beats(period: float) -> None:
    """Guards against: a line in the log for each beat of an accelerando, or none."""
    true = going((90, 90, 16), (90, 150, 32), (150, 150, 16))
    bpms = [float(text.split()[1]) for text in reported(in_rounds(true, period) if period else true, period)[1:]]
    assert 6 <= len(bpms) <= 12
    assert bpms == sorted(bpms)
    assert bpms[-1] == pytest.approx(150, rel=0.01)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(
        [
            lambda random: random.exponential(0.0208, 2000),
            lambda random: random.choice([0.0, 0.001, 0.02, 0.05, 0.1], 2000),
            lambda random: np.full(5_000, 60 / (24 * 5000.0)),
        ]
    ),
    st.integers(0, 2**32 - 1),
)
def test_a_storm_is_reported_once(gaps: Callable[[np.random.Generator], Seconds], seed: int) -> None:
    """Guards against: a broken machine that fills the log, or gives an impossible tempo."""
    texts = reported(10 + np.cumsum(gaps(np.random.default_rng(seed))))
    assert len(texts) <= 5
    if any("unsteady" in text or "connected twice" in text for text in texts):
        return
    # Now and then two measurements of chance agree, and then none, so that nothing more is said.
    shown = [float(text.split()[1]) for text in texts if "bpm" in text]
    assert all(SLOWEST_BPM <= bpm <= FASTEST_BPM for bpm in shown)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 0.05) | st.just(0.0), min_size=50, max_size=300), st.sampled_from([0.0, 1024 / 48000]))
def test_each_message_costs_a_bounded_amount_of_work(gaps: list[float], period: float) -> None:
    """Guards against: a clock of thousands of beats a minute that keeps the player from its notes."""
    follower = MidiClockFollower(120.0)
    follower.set_port_period(period)
    steps: list[int] = []
    second = 0.0

    def count(_frame: object, _event: str, _argument: object) -> None:
        steps[-1] += 1

    for gap in gaps * 4:
        second += gap
        steps.append(0)
        sys.setprofile(count)
        try:
            follower.receive(ClockTick(), second)
        finally:
            sys.setprofile(None)
    assert max(steps) < 25_000


def test_the_period_of_the_port_reaches_the_clock() -> None:
    """Guards against: JACK with long periods that makes the daemon play at the tempo of the sound card."""
    true, period = steady(60, 112.0), 1024 / 48000
    engine, follower, _ = following()
    follower.set_port_period(period)
    arriving = np.ceil(true / period) * period
    play_on_fake_clock(engine, float(true[-1]), [(float(arriving[0]) - 0.001, ClockStart()), *ticks(arriving)])
    assert follower.tempo.beat_at(float(true[-1])) == pytest.approx(60, abs=0.05)


@pytest.mark.parametrize("wait_start", [True, False])
def test_a_clock_that_comes_back_is_followed_again(wait_start: bool) -> None:
    """Guards against: one moment without a cable that ends the music."""
    before, later = steady(8, 120.0), steady(8, 100.0, start=30.0)
    arriving = ticks(later) if not wait_start else [(29.9, ClockStart()), *ticks(later)]
    engine, follower, texts = following(wait_start=wait_start)
    recorder, _ = play_on_fake_clock(engine, float(later[-1]) + 0.02, [*band(before)[:-1], *arriving])
    seconds = [second for second, _ in note_ons(recorder) if second > 29]
    assert max(off(seconds, later[::CLOCK_TICKS_PER_BEAT].tolist()[-len(seconds) :])) < 0.001
    assert len(seconds) >= 6
    assert texts[-1] == follower.status_text == "following 100.0 bpm"


def test_notes_before_the_start_are_not_heard() -> None:
    """Guards against: the tuning before the song that becomes its first phrase."""
    engine, _, _ = following()
    before = engine.improviser.export_state(0)
    engine.receive(NoteOn(60, 64, 1), 1.0)
    engine.receive(NoteOff(60, 1), 1.5)
    engine.receive(tempo_change(200.0), 1.5)
    assert engine.improviser.export_state(0) == before
    assert engine.tempo.bpm == 120.0


timing = st.sampled_from([*[ClockTick()] * 8, ClockStart(), ClockContinue(), ClockStop()]) | st.builds(
    SongPosition, st.integers(0, 16383)
)
gaps = st.sampled_from([0.0, 1e-4, 0.0105, 0.0208, 0.0208, 0.0417, 0.7, 5.0])


@settings(max_examples=100)
@given(st.lists(st.tuples(gaps, timing | st.just(NoteOn(60, 9, 1))), max_size=150), st.booleans(), st.booleans())
def test_no_clock_leaves_a_note_sounding(
    messages: list[tuple[float, MidiEvent]], wait_start: bool, sends: bool
) -> None:
    """Guards against: a machine that sends nonsense and ends the solo, or leaves a note hanging."""
    engine, _, _ = following(wait_start=wait_start, sends=sends, play__rate="sixteenth", play__gate=1)
    second, arrivals = 0.0, []
    for gap, event in messages:
        second += gap
        arrivals.append((second, event))
    recorder, _ = play_on_fake_clock(engine, second + 4.0, arrivals)
    assert not hanging_notes(message for _, message in recorder.sent if len(message) == 3 and message[0] < 0xF0)
    beats = [message for _, message in recorder.sent if message[0] in (START, CONTINUE, STOP)]
    assert not beats or beats[-1] == (STOP,)


chunks = st.lists(st.sampled_from([0xF8, 0xF8, 0xF8, 0xFA, 0xFB, 0xFC, 0xF2, 0x90, 0xF0, 0x00, 0x45, 0x7F]), max_size=5)


@settings(max_examples=40)
@given(st.lists(st.tuples(gaps, chunks), max_size=80), st.sampled_from([-200, 0, 200]), st.booleans())
def test_no_bytes_at_any_rate_leave_a_note_sounding(
    heard: list[tuple[float, list[int]]], offset: int, coarse: bool
) -> None:
    """Guards against: a broken cable, or a clock that comes in clumps, that ends the solo or leaves a note hanging."""
    engine, follower, _ = following(wait_start=False, sends=True, play__rate="sixteenth", play__offset_ms=offset)
    follower.set_port_period(1024 / 48000 if coarse else 0.0)
    second, arrivals, decoder = 0.0, [], MidiDecoder(clock=True)
    for gap, chunk in heard:
        second += gap
        arrivals += [(second, event) for event in decoder.feed(chunk)]
    recorder, _ = play_on_fake_clock(engine, second + 3.0, arrivals)
    assert not hanging_notes(message for _, message in recorder.sent if len(message) == 3 and message[0] < 0xF0)
    words = [message for _, message in recorder.sent if message[0] in (START, CONTINUE, STOP)]
    assert not words or words[-1] == (STOP,)
    assert not any(message == after == (STOP,) for message, after in pairwise(words))


# -- song positions


def at_position(
    unit: Literal["sixteenths", "clocks"], *positions: int, beats: int = 4
) -> tuple[MidiClockFollower, list[str]]:
    """A clock that rolls `beats` beats from the top, and then, stopped each time, from each of `positions`."""
    texts: list[str] = []
    follower = MidiClockFollower(120.0, position=unit, on_change=lambda: texts.append(follower.status_text))
    second = 10.0
    for word in (ClockStart(), *[message for at in positions for message in (SongPosition(at), ClockContinue())]):
        follower.receive(word, second)
        if isinstance(word, SongPosition):
            continue
        for _ in range(beats * CLOCK_TICKS_PER_BEAT):
            second += 60 / (24 * 120.0)
            follower.receive(ClockTick(), second)
        follower.receive(ClockStop(), second + 0.001)
        second += 0.5
    return follower, texts


def test_positions_in_clocks_are_read_as_clocks() -> None:
    """Guards against: Ardour at bar 5, and a solo over the chords of bar 25."""
    follower, texts = at_position("clocks", 384)
    assert follower.tempo.beat == pytest.approx(16 + 4 - 1 / CLOCK_TICKS_PER_BEAT)
    assert not any("tempo.position" in text for text in texts)
    follower, _ = at_position("sixteenths", 384)
    assert follower.tempo.beat == pytest.approx(96 + 4 - 1 / CLOCK_TICKS_PER_BEAT)


@pytest.mark.parametrize(("unit", "other", "position"), [("sixteenths", "clocks", 96), ("clocks", "sixteenths", 16)])
def test_a_position_in_the_other_unit_is_reported_with_its_setting(
    unit: Literal["sixteenths", "clocks"], other: str, position: int
) -> None:
    """Guards against: wrong chords from the first locate on, and nothing that says why."""
    _, texts = at_position(unit, position)  # stopped at the end of bar 1, it continues there
    assert texts[-1].endswith(f"set tempo.position to {other}?")
    assert f"song position {position} is beat" in texts[-1]


def test_positions_that_are_all_whole_beats_of_clocks_are_reported() -> None:
    """Guards against: a DAW that is located by hand, so that no position is where the clock stands."""
    _, texts = at_position("sixteenths", 384, 960)
    assert not any("tempo.position" in text for text in texts)
    _, texts = at_position("sixteenths", 384, 960, 1536)
    assert "set tempo.position to clocks?" in texts[-1]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_a_sender_that_continues_in_place_is_never_suspected(pauses: list[int]) -> None:
    """Guards against: a hint that makes somebody break what works."""
    texts: list[str] = []
    follower = MidiClockFollower(120.0, on_change=lambda: texts.append(follower.status_text))
    follower.receive(ClockStart(), 10.0)
    second, tick = 10.0, 0
    for sixteenths in pauses:
        for _ in range(6 * (sixteenths + 1)):
            second += 60 / (24 * 120.0)
            tick += 1
            follower.receive(ClockTick(), second)
        follower.receive(ClockStop(), second + 0.001)
        follower.receive(SongPosition(tick // 6), second + 0.4)
        follower.receive(ClockContinue(), second + 0.5)
        second += 0.5
    assert not any("tempo.position" in text for text in texts)


@given(st.integers(0, 40), st.integers(1, 20))
def test_a_sender_that_is_located_to_a_bar_line_is_not_suspected_at_once(played: int, bar: int) -> None:
    """Guards against: a hint that leads to wrong chords, because a sequencer near its top was moved to another bar."""
    texts: list[str] = []
    follower = MidiClockFollower(120.0, on_change=lambda: texts.append(follower.status_text))
    follower.receive(ClockStart(), 10.0)
    for tick in range(played):
        follower.receive(ClockTick(), 10.0 + tick / 48)
    assume(abs(played - 16 * bar) >= CLOCK_TICKS_PER_BEAT / 4)
    follower.receive(ClockStop(), 20.0)
    follower.receive(SongPosition(16 * bar), 20.1)
    follower.receive(ClockContinue(), 20.2)
    follower.receive(ClockTick(), 20.21)
    assert follower.tick == 96 * bar
    assert not any("tempo.position" in text for text in texts)


# -- the clock that is sent


def sending(beats: float | None = None, **keys: Any) -> Engine:
    """An engine that sends a clock."""
    return performance(**{**DENSE, **keys}).make_engine(0.0, beats=beats, clocks=ClockConfig(sends_midi_clock=True))


@pytest.mark.slow
def test_an_hour_of_sent_ticks_has_no_drift() -> None:
    """Guards against: a follower that is out of time before the set is over."""
    beats = 7200
    seconds = [due.second for due in play_through(sending(beats, play__mode="off")) if due.item == ClockTick()]
    assert len(seconds) == beats * CLOCK_TICKS_PER_BEAT
    assert max(abs(second - number / (2 * CLOCK_TICKS_PER_BEAT)) for number, second in enumerate(seconds)) < 1e-9


@pytest.mark.parametrize("rate", ["beat", "triplet", "sixteenth", "phrase"])
def test_the_notes_are_as_without_a_clock(rate: str) -> None:
    """Guards against: a sent clock that changes or moves the notes."""
    with_clock = [due for due in play_through(sending(32, play__rate=rate)) if isinstance(due.item, NoteOn | NoteOff)]
    alone = performance(**DENSE, play__rate=rate).make_engine(0.0, beats=32)
    assert with_clock == [due for due in play_through(alone) if not isinstance(due.item, BarPlayed)]


def test_start_comes_first_and_stop_last_and_ticks_before_their_notes() -> None:
    """Guards against: a drum machine that begins a tick late, or runs on after the end."""
    recorder, _ = play_on_fake_clock(sending(8, play__gate=1, play__swing=0.5), 100.0)
    messages = [message[0] for _, message in recorder.sent]
    assert messages[:3] == [START, TICK, 0x90]
    assert messages.count(STOP) == 1
    assert messages[-1] == STOP
    assert messages.count(TICK) == 8 * CLOCK_TICKS_PER_BEAT
    beat = [message[0] & 0xF0 if message[0] < 0xF0 else message[0] for s, message in recorder.sent if s == 2.0]
    assert beat == [0x80, TICK, 0x90]


@pytest.mark.parametrize("goes_on", [False, True])
def test_while_stopped_the_ticks_go_on_at_choice(goes_on: bool) -> None:
    """Guards against: an arpeggio that freezes at each stop, or a clock that runs although that was not asked for."""
    engine = sending(tempo__clock_when_stopped=goes_on, play__count_in=1)
    recorder, _ = play_on_fake_clock(engine, 14.0, [(4.003, Stop()), (8.001, Start())])
    seconds = [second for second, message in recorder.sent if message == (TICK,)]
    words = [(second, message) for second, message in recorder.sent if message[0] in (0xF2, START, CONTINUE, STOP)]
    assert [message[0] for _, message in words] == [START, STOP, START, STOP]
    stopped = [second for second in seconds if 4.003 < second < 8.001]
    if not goes_on:
        assert not stopped
        return
    assert seconds[0] == pytest.approx(1 / 48, abs=1 / 48)  # also while bars are counted in
    gaps = [after - before for before, after in pairwise(seconds)]
    assert len(stopped) in (191, 192)
    assert max(gaps) < 2.2 / 48
    assert sum(gap < 0.99 / 48 for gap in gaps) <= 1  # the new start begins a new line
    first = words[2][0]
    assert min(second for second in seconds if second > first) == pytest.approx(first + 0.5 / 48)
    assert max(second for second in seconds if second < first) == pytest.approx(first - 0.5 / 48)


def test_a_changed_tempo_holds_for_the_clock_while_stopped() -> None:
    """Guards against: a delay that stays in the old tempo until the music starts."""
    engine = sending(tempo__clock_when_stopped=True)
    recorder, _ = play_on_fake_clock(engine, 8.0, [(2.003, Stop()), (4.001, tempo_change(240.0))])
    seconds = [second for second, message in recorder.sent if message == (TICK,)]
    assert sum(2.003 < second < 4.001 for second in seconds) in (95, 96)
    assert sum(4.001 < second < 8.0 for second in seconds) in range(382, 386)


def test_a_machine_that_slept_while_stopped_sends_no_flood() -> None:
    """Guards against: hours of ticks that are sent at once when the laptop is opened."""
    engine = sending(tempo__clock_when_stopped=True)
    list(engine.advance(1.0))
    engine.receive(Stop(), 1.0)
    assert len(list(engine.advance(5000.0))) < 2 * CLOCK_TICKS_PER_BEAT


def listening(sent: Iterable[tuple[float, MidiEvent]]) -> MidiClockFollower:
    """A follower that has received every clock message that was sent."""
    follower = MidiClockFollower(120.0)
    for second, event in sent:
        if not isinstance(event, NoteOn | NoteOff):
            follower.receive(event, second)  # type: ignore[arg-type]
    return follower


def sent(dues: Iterable[DueItem]) -> Iterator[tuple[float, MidiEvent]]:
    """The sent events with their seconds."""
    return ((due.second, due.item) for due in dues if not isinstance(due.item, BarPlayed))


def test_a_follower_is_at_our_position_after_the_machine_stood_still() -> None:
    """Guards against: a laptop that slept for a while and leaves the drum machine bars behind."""
    engine = sending()
    out = []
    for second in (*range(4), 3.3, *(400 + n / 100 for n in range(300))):
        out += [(max(float(second), due), event) for due, event in sent(engine.advance(float(second)))]
    follower = listening(out)
    assert ClockStop() in [event for _, event in out]
    assert follower.rolling
    assert follower.tempo.beat_at(403.0) == pytest.approx(engine.beat_at(403.0), abs=0.05)
    assert len(out) < 400


def test_a_resumed_performance_sends_its_position() -> None:
    """Guards against: a drum machine that is sent to the top when the performance continues."""
    made = performance(**DENSE)
    engine = made.make_engine(0.0)
    list(engine.advance(5.1))
    again = resumed_engine(made, state_of(engine.memory(), made), 0.5, ClockConfig(sends_midi_clock=True))
    out = [item for tenth in range(1, 21) for item in sent(again.advance(tenth / 10))]
    assert [event for _, event in out][:3] == [SongPosition(48), ClockContinue(), ClockTick()]
    assert out[2][0] == 0.5
    assert listening(out).tempo.beat_at(2.0) == pytest.approx(again.beat_at(2.0))


@pytest.mark.parametrize("number", [97, 99, 101, 102, 103])
@pytest.mark.parametrize("later", [-0.0008, -0.0003, 0.0001, 0.0004])
def test_a_follower_behind_us_stays_in_step_over_a_stop(number: int, later: float) -> None:
    """Guards against: a stop close to a tick that puts the drum machine behind us a tick off."""
    true = jittered(steady(8, 120.0), 0.0005, 3)
    stop, pause = float(true[number]) + later, 2.0
    arriving = [second if second < stop else second + pause for second in map(float, true)]
    words: Arrivals = [(arriving[0] - 0.01, ClockStart()), (stop, ClockStop()), (stop + pause - 0.02, ClockContinue())]
    engine, _, _ = following(sends=True, play__mode="off")
    recorder, _ = play_on_fake_clock(
        engine, arriving[-1] + 0.005, sorted([*ticks(arriving), *words], key=lambda arrival: arrival[0])
    )
    place = 0
    for _, message in recorder.sent:
        if message[0] == encode(SongPosition(0))[0]:
            place = (message[1] + 128 * message[2]) * 6
        place += message[0] == TICK
    assert place == len(true)


def test_a_followed_clock_is_passed_on() -> None:
    """Guards against: a drum machine behind us that does not know that the band stops and continues."""
    true = steady(8, 120.0)
    engine, _, _ = following(sends=True)
    pause: Arrivals = [(14.5, ClockContinue()), *ticks(steady(4, 120.0, start=14.6))]
    recorder, _ = play_on_fake_clock(engine, 16.62, [*band(true), *pause])
    words = [
        (round(second, 3), message) for second, message in recorder.sent if message[0] in (0xF2, START, CONTINUE, STOP)
    ]
    assert [message[0] for _, message in words] == [START, STOP, CONTINUE, STOP]
    assert words[1][0] == pytest.approx(true[-1], abs=0.004)
    assert sum(message == (TICK,) for _, message in recorder.sent) in range(
        12 * CLOCK_TICKS_PER_BEAT, 12 * CLOCK_TICKS_PER_BEAT + 4
    )


# -- as bytes


@given(st.lists(timing, max_size=20))
def test_a_clock_is_read_as_mido_writes_it(events: list[MidiEvent]) -> None:
    """Guards against: music that goes on when the band stops, or is in another bar."""
    names = {ClockTick: "clock", ClockStart: "start", ClockContinue: "continue", ClockStop: "stop"}
    for event in events:
        position = {"pos": event.sixteenths} if isinstance(event, SongPosition) else {}
        written = mido.Message(names.get(type(event), "songpos"), **position).bytes()
        assert written == list(encode(event))
        assert list(MidiDecoder(clock=True).feed(written)) == [event]
        assert list(MidiDecoder().feed(written)) == []


@given(st.lists(st.binary(max_size=6), max_size=20))
def test_no_bytes_of_a_clock_change_the_notes(messages: list[bytes]) -> None:
    """Guards against: a clock message in the middle of a note that swallows the note."""
    heard = [[], []]  # type: list[list[MidiEvent]]
    for events, decoder in zip(heard, (MidiDecoder(), MidiDecoder(clock=True)), strict=True):
        for message in messages:
            events += [event for event in decoder.feed(message) if type(event) in (NoteOn, NoteOff)]
    assert heard[0] == heard[1]


@given(st.integers(1, 400), st.integers(1, 200))
def test_a_position_before_the_first_tick_waits_for_continue(position: int, count: int) -> None:
    """Guards against: jack_midi_clock, which ticks for two seconds before its continue, and a solo bars ahead of it."""
    follower = MidiClockFollower(120.0)
    follower.receive(SongPosition(position), 0.0)
    for number in range(count):
        follower.receive(ClockTick(), number / 48)
        assert not follower.rolling
    follower.receive(ClockContinue(), count / 48 - 0.001)
    follower.receive(ClockTick(), count / 48)
    assert (follower.rolling, follower.tick) == (True, 6 * position)
