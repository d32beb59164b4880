# SPDX-License-Identifier: Apache-2.0
"""Play modes: every mode keeps its turns, first notes fall on their pulse, and no change leaves a note hanging."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.actions import Panic, PlayVariation, Start, Stop
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.engine import DueItem, Engine
from sideman.core.events import (
    BarPlayed,
    ChangeSettings,
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    MidiEvent,
    ModeChanged,
    NoteOff,
    NoteOn,
    NotePlayed,
    SetMode,
    SettingsChanged,
    SongPosition,
    StateChanged,
    encode,
)
from sideman.core.settings.live import LiveSettings
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman.core.turns import MODE_NAMES, MODES, ModeName, TurnPlan
from sideman_models.music.qualities import CHORD_TONE
from support.clocks import steady
from support.fakes import CHANGES, FakeClock, RecordingOutput, hanging_notes, note_ons, performance, tempo_change
from support.fakes import play_on_fake_clock as play_live
from support.performances import RUN, phrases_as_input

Played = tuple[RecordingOutput, list[BarPlayed]]
Arrivals = list[tuple[float, MidiEvent | Command]]
BAR = 48
STRAIGHT: dict[str, Any] = {"play__swing": 0.5, "play__density": 4, "play__rests": 0}
modes = st.sampled_from(MODE_NAMES)
rates = st.sampled_from(["beat", "eighth", "triplet", "sixteenth", "phrase"])


def engine(beats: float | None = None, **keys: Any) -> Engine:
    """An engine of an untrained network over four bars, at 120 beats a minute."""
    return performance(**{**STRAIGHT, **keys}).make_engine(0.0, beats=beats)


def play(engine: Engine, until: float, arrivals: Iterable[tuple[float, MidiEvent | Command]] = ()) -> Played:
    """Drive the engine as the player does, but without collecting garbage, which would make these tests slow."""
    recorder = RecordingOutput(FakeClock())
    bars: list[BarPlayed] = []
    engine.report = recorder.reports.append

    def record(dues: Iterable[DueItem]) -> None:
        for due in dues:
            bars.append(due.item) if isinstance(due.item, BarPlayed) else recorder.send(encode(due.item))

    def send(events: Iterable[MidiEvent]) -> None:
        for event in events:
            recorder.send(encode(event))

    send(engine.open(0.0))
    for second, item in [*arrivals, (until, None)]:
        while (deadline := engine.deadline()) is not None and deadline <= second:
            recorder.clock.second = max(recorder.clock.second, deadline)
            record(engine.advance(recorder.clock.second))
            engine.prepare(recorder.clock.second)
        if deadline is None:
            break
        recorder.clock.second = second
        record(engine.advance(second))
        if item is not None:
            send(engine.receive(item, second))
            engine.prepare(second)
    send(engine.silence())
    return recorder, bars


def turn_plan(mode: ModeName) -> TurnPlan:
    """The turns in `mode`, without an engine."""
    made = performance(play__mode=mode)
    return TurnPlan(LiveSettings(made.settings), ChartTimeline(made.chart))


def onsets(recorder: RecordingOutput) -> list[float]:
    """The beats of our notes."""
    return [2 * second for second, _ in note_ons(recorder)]


def sounding(recorder: RecordingOutput) -> list[tuple[float, float]]:
    """The beats on which each of our notes starts and ends."""
    spans, since = [], dict[int, float]()
    for second, message in recorder.sent:
        if message[0] & 0xF0 == 0x90:
            since[message[1]] = 2 * second
        elif message[0] & 0xF0 == 0x80:
            spans.append((since.pop(message[1], 2 * second), 2 * second))
    return spans


def reports_of(recorder: RecordingOutput, kind: type[Any]) -> list[Any]:
    """The reports of one kind."""
    return [report for report in recorder.reports if isinstance(report, kind)]


# -- trade


@settings(max_examples=25)
@given(rates, st.integers(1, 3), st.booleans(), st.sampled_from(["4/4", "3/4", "7/8"]), st.floats(0.5, 1))
def test_in_trade_nothing_of_ours_sounds_in_your_turn(
    rate: str, bars: int, ours: bool, meter: str, gate: float
) -> None:
    """Guards against: our notes in the player's four bars."""
    first = "sideman" if ours else "you"
    made = performance(
        **STRAIGHT, play__mode="trade", play__trade_bars=bars, play__trade_first=first, play__rate=rate,
        tempo__meter=meter, play__gate=gate,
    )  # fmt: skip
    recorder, _ = play(made.make_engine(0.0, beats=made.chart.beat_of_bar(12)), 60.0)
    turn = made.chart.beat_of_bar(bars)
    spans = sounding(recorder)
    assert spans
    for start, end in spans:
        number = int(start // turn + 1e-9)
        assert number % 2 == (0 if ours else 1)
        assert end <= (number + 1) * turn + 1e-6


@pytest.mark.parametrize("rate", ["beat", "eighth", "sixteenth", "phrase"])
def test_its_turn_begins_on_the_bar_line_while_you_play_up_to_the_last_sixteenth(rate: str) -> None:
    """Guards against: a first beat that is missing because it needs time to think."""
    played = engine(32, play__mode="trade", play__trade_bars=1, play__rate=rate)
    heard = phrases_as_input((0, 0.25, RUN), (8, 0.25, RUN))
    recorder, _ = play(played, 60.0, heard)
    assert {4.0, 12.0} <= set(onsets(recorder))
    silent, _ = play(engine(32, play__mode="trade", play__trade_bars=1, play__rate=rate), 60.0)
    assert note_ons(recorder) != note_ons(silent)  # what the player played has an effect


def test_all_you_play_counts_for_its_first_note() -> None:
    """Guards against: an answer that does not know the player's last notes."""
    heard = phrases_as_input((0, 0.25, RUN))
    answers = set()
    for last in range(48, 84):
        played = engine(8, play__mode="trade", play__trade_bars=1)
        recorder, _ = play(played, 60.0, [*heard[:-2], (1.875, NoteOn(last, 70, 1)), (1.98, NoteOff(last, 1))])
        answers.add(note_ons(recorder)[0])
    assert {second for second, _ in answers} == {2.0}
    assert len(answers) > 3


# -- answer


@pytest.mark.parametrize("rate", ["beat", "eighth", "sixteenth", "phrase"])
def test_an_answer_falls_on_the_bar_line_after_your_last_sixteenth(rate: str) -> None:
    """Guards against: a beat of silence before it notices that the player has paused."""
    recorder, _ = play(engine(8, play__mode="answer", play__rate=rate), 60.0, phrases_as_input((0, 0.25, RUN)))
    assert onsets(recorder)[0] == 4.0


@settings(max_examples=25)
@given(st.lists(st.floats(-0.008, 0.008), min_size=16, max_size=16), rates, st.sampled_from([0.5, 0.6]))
def test_uneven_playing_does_not_delay_the_answer(early: list[float], rate: str, swing: Any) -> None:
    """Guards against: answers on the bar line only for players as exact as a machine."""
    heard: Arrivals = []
    for number, error in enumerate(early):
        beat = number // 4 + {0.6: (0, 0.3, 0.6, 0.8)}.get(swing, (0, 0.25, 0.5, 0.75))[number % 4]
        second = max(0.0, beat / 2 + error)
        heard += [(second, NoteOn(60 + number, 70, 1)), (second + 0.08, NoteOff(60 + number, 1))]
    played = engine(8, play__mode="answer", play__rate=rate, play__swing=swing)
    recorder, _ = play(played, 60.0, heard)
    assert onsets(recorder)[0] == 4.0


@settings(max_examples=20)
@given(st.sampled_from([0.25, 1 / 3, 0.5, 1.0]), rates, st.sampled_from([1.5, 2, 3]), st.integers(2, 9))
def test_it_answers_when_you_have_paused_by_your_own_pace(beats: float, rate: str, patience: float, notes: int) -> None:
    """Guards against: a player who is cut short in a ballad, or has to wait at a fast tempo."""
    phrase = phrases_as_input((0, beats, " ".join(RUN.split()[:notes])))
    recorder, _ = play(engine(24, play__mode="answer", play__rate=rate, play__patience=patience), 60.0, phrase)
    last = (notes - 1) * beats
    pause = last + patience * beats
    pulse = {"beat": 1, "eighth": 0.5, "triplet": 1 / 3, "sixteenth": 0.25, "phrase": 1}[rate]
    first = onsets(recorder)[0]
    assert last + beats - 1e-6 <= first < pause + pulse + 1e-6
    assert first >= pause - 1e-6 or (first % 4 == 0 and pause - first < 1 / 6)


def test_it_waits_for_your_first_phrase_and_for_a_key_that_is_held() -> None:
    """Guards against: music that begins before the player, or over the player's long notes."""
    recorder, _ = play(engine(16, play__mode="answer"), 60.0)
    assert onsets(recorder) == []
    held: Arrivals = [(0.5, NoteOn(60, 70, 1)), (4.9, NoteOff(60, 1))]
    recorder, _ = play(engine(16, play__mode="answer"), 60.0, held)
    assert onsets(recorder)[0] == 10.0


@settings(max_examples=20)
@given(rates, st.floats(4.0, 12.0))
def test_it_stops_within_a_beat_when_you_come_in(rate: str, second: float) -> None:
    """Guards against: a player who cannot get a word in."""
    come_in: Arrivals = [(second, NoteOn(60, 70, 1))]
    played = engine(32, play__mode="answer", play__rate=rate, play__gate=1)
    recorder, _ = play(played, 60.0, [*phrases_as_input((0, 0.5, "D4 F4 A4")), *come_in])
    assert any(start < 2 * second for start, _ in sounding(recorder))
    assert all(start <= 2 * second and end <= 2 * second + 1 + 1e-6 for start, end in sounding(recorder))


# -- duet


def test_in_a_duet_it_plays_the_less_the_more_you_play() -> None:
    """Guards against: two voices that talk at the same time."""
    played = []
    for beats in (None, 4.0, 1.0, 0.5, 0.25):
        yours = [] if beats is None else phrases_as_input((0, beats, " ".join(["C4"] * int(64 / beats))))
        duet = engine(64, play__mode="duet", play__rate="eighth", play__density=1, play__rests=1)
        played.append(len(note_ons(play(duet, 60.0, yours)[0])))
    assert played == sorted(played, reverse=True)
    assert played[0] > 2 * played[-1]
    assert len(set(played)) == len(played)


@given(st.lists(st.floats(0, 96), max_size=40), st.floats(0, 96))
def test_the_room_left_grows_with_every_note_of_yours(ticks: list[float], extra: float) -> None:
    """Guards against: more notes of the player that make it play more."""
    fewer, more = turn_plan("duet"), turn_plan("duet")
    for turns, all_ticks in ((fewer, sorted(ticks)), (more, sorted([*ticks, extra]))):
        for tick in all_ticks:
            turns.activity.note_on(tick)
    busier = more.mode_at(96).player_onsets_per_beat(96)
    assert busier >= fewer.mode_at(96).player_onsets_per_beat(96) - 0.25 - 1e-9
    assert busier <= 97 / 1.5 / 4


# -- a change of mode


@settings(max_examples=40)
@given(
    st.sampled_from(MODE_NAMES), st.sampled_from(MODE_NAMES), st.floats(0.01, 7.9), rates, st.booleans(), st.booleans()
)
def test_a_new_mode_begins_at_the_bar_line_or_now(
    before: str, after: Any, second: float, rate: str, now: bool, as_setting: bool
) -> None:
    """Guards against: a pedal that cuts a phrase anywhere, or leaves a note of the old mode in the new one."""
    now = now and not as_setting
    asked = ChangeSettings((("play.mode", after),)) if as_setting else SetMode(after, now)
    played = engine(24, play__mode=before, play__rate=rate, play__gate=1)
    items: Arrivals = [*phrases_as_input((0, 0.5, "D4 F4")), (second, asked)]
    recorder, _ = play(played, 60.0, sorted(items, key=lambda item: item[0]))
    sets = reports_of(recorder, ModeChanged)
    if before == after:
        assert not sets
        return
    beat = 2 * second if now else (2 * second) // 4 * 4 + 4
    assert [(change.mode, pytest.approx(beat)) for change in sets] == [(after, change.beat) for change in sets]
    assert played.settings.play.mode == after
    assert not [span for span in sounding(recorder) if span[0] < beat - 1e-6 and span[1] > beat + 1e-6]
    assert not reports_of(recorder, SettingsChanged)
    if after == "off":
        assert all(onset < beat or (now and onset == beat) for onset in onsets(recorder))
    if after in ("solo", "duet") and not now:
        assert beat in onsets(recorder)


def test_only_the_last_of_several_changes_counts() -> None:
    """Guards against: two modes at the same time after a change of mind."""
    recorder, _ = play(engine(16), 60.0, [(1.0, SetMode("off")), (1.5, SetMode("trade")), (1.7, SetMode("solo"))])
    assert not reports_of(recorder, ModeChanged)
    assert onsets(recorder)[:8] == list(range(8))


def test_a_turn_of_trade_can_be_made_longer_while_it_plays() -> None:
    """Guards against: trading eights that needs a restart."""
    played = engine(64, play__mode="trade", play__trade_bars=1)
    recorder, _ = play(played, 60.0, [(1.0, ChangeSettings((("play.trade_bars", 2),)))])
    assert {int(onset // 4) for onset in onsets(recorder)} == {3, 4, 7, 8, 11, 12, 15}


notes = st.builds(NoteOn, st.integers(40, 90), st.integers(1, 127), st.just(1)) | st.builds(
    NoteOff, st.integers(40, 90), st.just(1)
)
commands = st.one_of(
    st.builds(SetMode, st.sampled_from(MODE_NAMES), st.booleans()),
    st.sampled_from([PlayVariation(), Stop(), Start(), Panic(), tempo_change(300.0), tempo_change(90.0)]),
    st.builds(lambda rate: ChangeSettings((("play.rate", rate),)), rates),
    st.builds(lambda bars: ChangeSettings((("play.trade_bars", bars), ("play.count_in", bars - 1))), st.integers(1, 2)),
)
arrivals = st.lists(st.tuples(st.floats(0, 12), commands | notes), max_size=25).map(
    lambda items: sorted(items, key=lambda item: item[0])
)


@settings(max_examples=50)
@given(st.sampled_from(MODE_NAMES), rates, arrivals, st.sampled_from([0, -120, 90]), st.integers(0, 1))
def test_no_commands_and_no_input_leave_a_note_hanging(
    mode: str, rate: str, items: Arrivals, offset: int, counted: int
) -> None:
    """Guards against: a pedal pressed at an unlucky moment, and a note that hangs or two notes at the same time."""
    keys: dict[str, Any] = {"play__mode": mode, "play__rate": rate, "play__offset_ms": offset, "play__trade_bars": 1}
    keys.update(play__gate=1, play__count_in=counted, midi__lamp=20)
    recorders = [play(engine(**keys), 14.0, items)[0] for _ in range(2)]
    recorder = recorders[0]
    assert recorder.sent == recorders[1].sent  # a replay is the same
    assert not hanging_notes(message for _, message in recorder.sent)
    held: set[int] = set()
    for _, (status, pitch, *_) in recorder.sent:
        if status == 0x90:
            assert not held
            held.add(pitch)
        elif status == 0x80:
            held.discard(pitch)
    beats = [report.beat for report in reports_of(recorder, NotePlayed)]
    assert beats == sorted(beats)


# -- start, stop, count-in


@pytest.mark.parametrize(("meter", "clicks", "apart"), [("4/4", 4, 1.0), ("3/4", 3, 1.0), ("6/8", 6, 0.5)])
def test_it_is_counted_in(meter: str, clicks: int, apart: float) -> None:
    """Guards against: a player who does not know when to begin."""
    played = engine(8, tempo__meter=meter, play__count_in=2, midi__drums=11)
    recorder, _ = play(played, 60.0)
    drums = [(2 * second, message[2]) for second, message in recorder.sent if message[:2] == (0x9A, 37)]
    assert [beat for beat, _ in drums] == pytest.approx([apart * number for number in range(2 * clicks)])
    loud = [velocity for _, velocity in drums]
    assert loud == [112, *[80] * (clicks - 1)] * 2
    ours = [2 * second for second, message in recorder.sent if message[0] == 0x90]
    assert ours[0] == pytest.approx(2 * clicks * apart)
    assert not hanging_notes(message for _, message in recorder.sent)


def test_a_stop_silences_and_a_start_begins_at_the_top() -> None:
    """Guards against: music that continues in the middle of the song after a break."""
    played = engine(play__rate="phrase", play__gate=1, play__count_in=1)
    recorder, bars = play(played, 13.5, [(5.3, Stop()), (9.0, Start())])
    assert not hanging_notes(message for second, message in recorder.sent if second <= 5.3)
    silent = [message for second, message in recorder.sent if 5.3 < second < 9.0 + 0.1]
    assert not silent
    clicks = [second for second, message in recorder.sent if message[:2] == (0x99, 37)]
    assert clicks[4:] == pytest.approx([9.1, 9.6, 10.1, 10.6])
    onsets_after = [second for second, message in recorder.sent if message[0] == 0x90 and second > 9]
    assert onsets_after[0] == pytest.approx(11.1)
    assert [bar.number for bar in bars] == [1, 1]
    assert played.chart.chord_at(played.beat_at(11.2)).text == "Dm7"
    states = [report.state for report in reports_of(recorder, StateChanged)]
    assert states == ["listening", "playing", "idle", "listening", "playing", "idle"]


def test_while_stopped_it_waits_and_shows_idle() -> None:
    """Guards against: a daemon that ends when somebody stops the music, or shows that it plays."""
    played = engine()
    list(played.advance(1.0))
    played.receive(Stop(), 1.0)
    assert played.deadline() == float("inf")
    status = played.snapshot(5.0)
    assert (status.rolling, status.state, status.beat) == (False, "idle", 2.0)
    assert played.receive(Stop(), 5.0) == []
    played.receive(Start(), 6.0)
    assert played.snapshot(6.2).rolling
    assert played.snapshot(6.2).bar == 1


def clocked(seconds: Iterable[float]) -> Arrivals:
    """A clock that starts with its first tick."""
    arriving: Arrivals = [(float(second), ClockTick()) for second in seconds]
    return [(arriving[0][0] - 0.001, ClockStart()), *arriving]


def following(**keys: Any) -> Engine:
    """An engine that follows a clock."""
    return performance(**{**STRAIGHT, **keys}).make_engine(0.0, clocks=ClockConfig(MidiClockFollower(120.0)))


def test_with_a_clock_a_stop_lasts_until_a_start() -> None:
    """Guards against: no way to pause beside a running sequencer."""
    true = steady(24, 120.0, start=0.1)
    items: Arrivals = sorted([*clocked(true), (3.1, Stop()), (6.1, Start())], key=lambda item: item[0])
    played = following(play__gate=1)
    recorder, _ = play(played, 11.9, items)
    while_stopped = [second for second, message in recorder.sent if 3.1 < second < 6.1]
    assert not while_stopped
    later = [second for second, _ in note_ons(recorder) if second > 6.1]
    first = float(true[0])
    assert later == pytest.approx([first + beat / 2 for beat in range(13, 13 + len(later))], abs=0.003)
    assert len(later) > 5
    beat = played.beat_at(first + 10.3)
    assert played.chart.chord_at(beat) == played.chart.chart.chord_at(20.6)
    again = sorted([*clocked(true), (3.1, Stop()), (6.0999, ClockStart())], key=lambda item: item[0])
    recorder, _ = play(following(), 11.9, again)
    assert next(second for second, _ in note_ons(recorder) if second > 3.1) == pytest.approx(6.125, abs=0.03)


@pytest.mark.parametrize("mode", ["trade", "answer"])
def test_with_a_clock_the_first_note_of_a_turn_falls_on_the_bar_line(mode: str) -> None:
    """Guards against: turns that begin late as soon as a band sets the tempo."""
    true = steady(16, 120.0, start=0.1)
    first = float(true[0])
    yours = [(second + first, event) for second, event in phrases_as_input((0, 0.25, RUN))]
    items = sorted([*clocked(true), *yours], key=lambda item: item[0])
    recorder, _ = play(following(play__mode=mode, play__trade_bars=1), 7.9, items)
    assert note_ons(recorder)[0][0] == pytest.approx(first + 2.0, abs=0.001)


ticks = st.sampled_from([*[ClockTick()] * 12, ClockStart(), ClockStop(), ClockContinue(), SongPosition(18)])
gaps = st.sampled_from([1e-4, 0.0208, 0.0208, 0.0208, 0.0417, 0.7])


@settings(max_examples=40)
@given(st.lists(st.tuples(gaps, ticks | commands | notes), max_size=150), st.sampled_from(MODE_NAMES), st.booleans())
def test_no_clock_and_no_commands_leave_a_note_hanging(
    messages: list[tuple[float, MidiEvent | Command]], mode: str, sends: bool
) -> None:
    """Guards against: a pedal pressed while the sequencer winds, and a hanging note or a sent clock that runs on."""
    transport = MidiClockFollower(120.0, wait_start=False)
    made = performance(**STRAIGHT, play__mode=mode, play__rate="sixteenth", play__gate=1, play__trade_bars=1)
    second, items = 0.0, Arrivals()
    for gap, item in messages:
        second += gap
        items.append((second, item))
    recorder, _ = play(made.make_engine(0.0, clocks=ClockConfig(transport, sends)), second + 4.0, items)
    assert not hanging_notes(message for _, message in recorder.sent if message[0] < 0xF0)
    clock = [message[0] for _, message in recorder.sent if message[0] in (0xFA, 0xFB, 0xFC)]
    assert not clock or clock[-1] == 0xFC


def test_the_clock_we_send_stops_and_starts_with_the_music() -> None:
    """Guards against: a drum machine that plays through the break, or starts with the count-in."""
    played = performance(**STRAIGHT, play__count_in=1).make_engine(0.0, clocks=ClockConfig(sends_midi_clock=True))
    recorder, _ = play(played, 13.0, [(5.3, Stop()), (8.0, Start())])
    messages = [(round(s, 2), m[0]) for s, m in recorder.sent if m[0] in (0xFA, 0xFB, 0xFC)]
    assert messages == [(1.99, 0xFA), (5.3, 0xFC), (10.09, 0xFA), (13.0, 0xFC)]


def test_a_clock_that_is_passed_on_stops_too_and_continues_at_its_position() -> None:
    """Guards against: a drum machine behind us that is in another bar."""
    true = steady(24, 120.0, start=0.1)
    played = performance(**STRAIGHT).make_engine(
        0.0, clocks=ClockConfig(MidiClockFollower(120.0), sends_midi_clock=True)
    )
    items = sorted([*clocked(true), (3.1, Stop()), (6.12, Start())], key=lambda item: item[0])
    recorder, _ = play(played, 8.0, items)
    messages = [message for _, message in recorder.sent if message[0] in (0xF2, 0xFA, 0xFB, 0xFC)]
    position = 12 * 4 + 1  # sixteenths from the top: the first one after the start, at beat 12.04
    assert messages == [(0xFA,), (0xFC,), (0xF2, position, 0), (0xFB,), (0xFC,)]


def test_the_player_sends_what_these_tests_check() -> None:
    """Guards against: tests that drive the engine in another way than the player does."""
    items: Arrivals = [
        *phrases_as_input((0, 0.25, RUN)), (3.1, SetMode("answer")), (5.3, Stop()), (9.0, Start()), (12.1,
        SetMode("solo", True)),
    ]  # fmt: skip
    keys: dict[str, Any] = {"play__rate": "eighth", "play__count_in": 1, "midi__lamp": 3, "midi__program": 12}
    by_hand, _ = play(engine(**keys), 16.0, items)
    live, _ = play_live(engine(**keys), 16.0, items)
    sent = [message for _, message in live.sent]
    assert [message for _, message in by_hand.sent] == sent[: len(by_hand.sent)]


# -- the ending, variations, silence and length


@pytest.mark.parametrize("changes", [CHANGES, "| Dm7 G7 | Cmaj7 A7 | Dm7 | G7 Cmaj7 |", "| C7 . F7 . . |", "| F7 |"])
@pytest.mark.parametrize("rate", ["beat", "sixteenth", "phrase"])
def test_it_ends_on_a_tone_of_the_last_chord(changes: str, rate: str) -> None:
    """Guards against: a song that just breaks off."""
    for seed in range(6):
        made = performance(chart__changes=changes, chart__choruses=2, play__rate=rate, play__seed=seed, play__swing=0.5)
        recorder, _ = play(made.make_engine(0.0), 60.0)
        end, onset = 2 * made.chart.length, onsets(recorder)[-1]
        last = made.chart.chord_at(made.chart.length - 0.01)
        assert last.kind_of(note_ons(recorder)[-1][1]) == CHORD_TONE
        assert onset >= end - 4
        assert onset == end - 4 or made.chart.chord_at(onset - 0.01) != last
        assert 2 * recorder.sent[-1][0] == pytest.approx(end)


def test_in_your_turn_there_is_no_last_note_of_ours() -> None:
    """Guards against: our final note in the player's ending."""
    played = performance(**STRAIGHT, play__mode="trade", play__trade_bars=2, play__trade_first="sideman",
                         chart__choruses=1).make_engine(0.0)  # fmt: skip
    recorder, _ = play(played, 60.0)
    assert max(onsets(recorder)) < 8


def contour(pitches: list[int]) -> list[int]:
    """Up, down or the same, from note to note."""
    return [(after > before) - (after < before) for before, after in pairwise(pitches)]


@pytest.mark.parametrize("rate", ["eighth", "phrase"])
def test_a_variation_keeps_rhythm_and_contour_and_changes_the_notes(rate: str) -> None:
    """Guards against: a riff somebody liked that comes back as another one."""
    changed = 0
    for seed in range(8):
        keys: dict[str, Any] = {"play__rate": rate, "play__seed": seed, "play__mode": "trade", "play__trade_bars": 1}
        played = engine(24, **keys, play__density=1, play__rests=1, play__trade_first="sideman")
        recorder, bars = play(played, 60.0, [(3.0, PlayVariation())])
        first, again = ([c for c in bar.choices if c.pitch is not None] for bar in (bars[0], bars[2]))
        rhythm = [(choice.tick - first[0].tick, choice.length) for choice in first]
        start = first[0].tick % BAR + 2 * BAR
        varied = [choice for choice in again if choice.tick >= start]
        # two beats of rest end a phrase
        silent = [c for c in bars[0].choices if c.pitch is None and c.length >= 24]
        if silent:
            continue
        varied = varied[: len(first)]  # after the variation the solo goes on
        assert [(choice.tick - start, choice.length) for choice in varied] == rhythm
        assert contour([c.pitch or 0 for c in varied]) == contour([c.pitch or 0 for c in first])
        changed += [c.pitch for c in varied] != [c.pitch for c in first]
        assert not hanging_notes(message for _, message in recorder.sent)
    assert changed >= 3


def test_without_a_phrase_there_is_no_variation() -> None:
    """Guards against: a pedal pressed too early that ends the music, or begins it."""
    plain, _ = play(engine(16, play__mode="off"), 60.0)
    asked, _ = play(engine(16, play__mode="off"), 60.0, [(1.0, PlayVariation())])
    assert plain.sent == asked.sent == []
    recorder, _ = play(engine(8), 60.0, [(0.0, PlayVariation())])
    assert recorder.sent == play(engine(8), 60.0)[0].sent or onsets(recorder)


@settings(max_examples=15)
@given(st.sampled_from([2.0, 3.0, 5.5]), rates, st.integers(0, 99))
def test_a_silence_is_never_longer_than_set(silence: float, rate: str, seed: int) -> None:
    """Guards against: a band that waits for a soloist who has fallen asleep."""
    played = engine(48, play__silence=silence, play__rate=rate, play__density=0, play__rests=16, play__seed=seed)
    recorder, bars = play(played, 60.0)
    choices = [choice for bar in bars for choice in bar.choices]
    last = 0
    for choice in choices:
        if choice.pitch is not None:
            assert choice.tick - last <= 12 * silence
            last = choice.tick + choice.length
    assert len(onsets(recorder)) > 3


@settings(max_examples=15)
@given(st.sampled_from([0.25, 0.5, 0.75]), st.integers(0, 99), rates)
def test_a_note_is_never_longer_than_set(longest: float, seed: int, rate: str) -> None:
    """Guards against: a solo that drones."""
    recorder, _ = play(engine(32, play__longest=longest, play__seed=seed, play__rate=rate, play__gate=1), 60.0)
    assert all(end - start <= longest + 1e-6 for start, end in sounding(recorder))


# -- what is shown


def test_its_sound_is_chosen_first_and_again_after_a_panic() -> None:
    """Guards against: a solo with the sound that somebody left on the synth."""
    recorder, _ = play(engine(8, midi__program=66, midi__channel=3), 60.0, [(1.1, Panic())])
    assert recorder.sent[0][1] == (0xC2, 65)
    after = [message for second, message in recorder.sent if second == 1.1]
    assert after[-1] == (0xC2, 65)
    assert (0xB2, 123, 0) in after


def test_the_lamp_shows_what_it_does() -> None:
    """Guards against: a stage on which the players cannot see whose turn it is."""
    played = engine(16, play__mode="trade", play__trade_bars=1, midi__lamp=20)
    recorder, _ = play(played, 60.0, [(7.0, Stop()), (9.0, Start())])
    lamps = [(second, message[2]) for second, message in recorder.sent if message[:2] == (0xB0, 20)]
    assert lamps[:4] == [(0.0, 64), (2.0, 127), (4.0, 64), (6.0, 127)]
    assert lamps[4] == (7.0, 0)
    states = [{0: "idle", 64: "listening", 127: "playing"}[value] for _, value in lamps]
    assert states == [report.state for report in reports_of(recorder, StateChanged)]
    first = next(at for at, (second, message) in enumerate(recorder.sent) if message[0] == 0x90)
    assert recorder.sent[first - 1][1] == encode_lamp(127)


def encode_lamp(value: int) -> tuple[int, ...]:
    """The bytes of the lamp's message."""
    return 0xB0, 20, value


def test_the_snapshot_has_mode_state_and_next_choice() -> None:
    """Guards against: a screen that shows something else than what happens."""
    played = engine(play__mode="trade", play__trade_bars=1)
    list(played.advance(0.5))
    played.prepare(0.5)
    status = played.snapshot(0.5)
    assert (status.mode, status.state, status.next_choice_beat) == ("trade", "listening", 4.0)
    played.receive(SetMode("off"), 0.6)
    assert played.snapshot(0.6).mode == "trade"
    assert played.snapshot(0.6).next_choice is None
    list(played.advance(2.0))
    assert (played.snapshot(2.0).mode, played.snapshot(2.0).state) == ("off", "listening")
    assert encode(NoteOn(1, 1, 1)) == (0x90, 1, 1)


def test_a_held_key_counts_as_released_after_eight_bars() -> None:
    """Guards against: a cable pulled out, after which it listens for ever."""
    turns = turn_plan("answer")
    assert turns.next_open_tick(0) is None
    turns.activity.note_on(0.0)
    opens = turns.next_open_tick(0)
    assert opens is not None
    assert 16 * 12 <= opens <= 40 * 12


def test_every_mode_has_a_row() -> None:
    """Guards against a mode that can be set and cannot be played."""
    assert tuple(MODES) == MODE_NAMES


def test_the_end_of_a_turn_is_known_ahead() -> None:
    """Guards against: a countdown to a turn that comes on another beat, or in a mode without turns."""
    engine = performance(play__mode="trade", play__trade_bars=2).make_engine(0.0, beats=32.0)
    recorder, _ = play_live(engine, 100.0, [(3.0, SetMode("solo"))])
    states = [report for report in recorder.reports if isinstance(report, StateChanged)]
    assert [(each.state, each.until) for each in states][:2] == [("listening", 8.0), ("playing", None)]
    engine = performance(play__mode="trade", play__trade_bars=2).make_engine(0.0, beats=32.0)
    recorder, _ = play_live(engine, 100.0)
    states = [report for report in recorder.reports if isinstance(report, StateChanged)]
    assert [(each.state, each.until) for each in states][:4] == [
        ("listening", 8.0), ("playing", 16.0), ("listening", 24.0), ("playing", None)
    ]  # fmt: skip
