# SPDX-License-Identifier: Apache-2.0
"""Bars of several lengths: bar lines, pulses, turns, chords and files follow the bars of the chart."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import mido
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.commands.takes import _bar_lines
from sideman.core.actions import PlayVariation, Start, Stop
from sideman.core.chart.chart import Chart
from sideman.core.chart.text import parse_changes
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.engine import Engine
from sideman.core.events import (
    BarPlayed,
    BarStarted,
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    EventSent,
    MidiEvent,
    NoteOff,
    NoteOn,
    NotePlayed,
    SetChart,
    SetMode,
    SongPosition,
)
from sideman.core.input.quantize import quantize
from sideman.core.parts.improviser import PULSE_TICKS
from sideman.core.settings.groups.tempo import COMMON_TIME
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman.playing.assembly import resumed_engine, state_of
from sideman.render.render import render_take
from sideman.takes.folder import TakeFolder
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.line import LineNote, notes_to_values
from sideman_models.music.values import TICKS_PER_QUARTER
from support.clocks import steady
from support.fakes import RecordingOutput, hanging_notes, performance, play_on_fake_clock
from support.strategies import charts
from support.takes import perform_with_reports, recorded_take, replay_take

MIXED = "| Dm7 | 3/4 G7 | Cmaj7 | 4/4 A7alt | 5/4 Dm7 G7 |"
BARS = 7
STRAIGHT: dict[str, Any] = {"play__swing": 0.5, "play__density": 4, "play__rests": 0, "tempo__bpm": 60}
rates = st.sampled_from(["beat", "eighth", "triplet", "sixteenth", "phrase"])
modes = st.sampled_from(["solo", "trade", "answer", "duet"])
styles = st.sampled_from(["off", "shells", "bass"])


def chart_of(text: str) -> Chart:
    """A chart from text, in 4/4 unless the text says otherwise."""
    return parse_changes(text, COMMON_TIME, "test")


def short_charts() -> st.SearchStrategy[Chart]:
    """Charts with short bars, so that the tests are fast."""
    return charts().filter(lambda chart: chart.beat_of_bar(BARS) <= 64)


def engine(chart: Chart, bars: int | None = BARS, clocks: ClockConfig | None = None, **keys: Any) -> Engine:
    """An engine over `bars` bars of `chart`, at one beat a second."""
    made = replace(performance(**{**STRAIGHT, **keys}), chart=chart)
    beats = None if bars is None else chart.beat_of_bar(bars)
    return made.make_engine(0.0, beats=beats, clocks=clocks or ClockConfig())


def chords_of_bar(chart: Chart, number: int) -> tuple[Chord, ...]:
    """The chords of a bar, counted from 0 and on through all choruses."""
    return tuple(chord for _, chord in chart.bars[number % len(chart.bars)].chords)


def reported_bars(recorder: RecordingOutput) -> list[tuple[float, str]]:
    """The beats of the reported bar lines, and the meters."""
    return [(report.beat, str(report.meter)) for report in recorder.reports if isinstance(report, BarStarted)]


def notes_of(recorder: RecordingOutput, voice: str = "solo") -> list[NotePlayed]:
    """The notes that a voice played."""
    return [report for report in recorder.reports if isinstance(report, NotePlayed) and report.voice == voice]


def some_notes(beats: Iterable[float]) -> list[tuple[float, MidiEvent | Command]]:
    """Notes of the player."""
    return [event for beat in beats for event in ((beat, NoteOn(62, 70, 1)), (beat + 0.2, NoteOff(62, 1)))]


def expected_bars(chart: Chart, bars: Iterable[int], top: float = 0.0) -> list[tuple[float, str]]:
    """The bar lines and meters of `bars` of a chart that begins on beat `top`."""
    return [(top + chart.beat_of_bar(bar), str(chart.bars[bar % len(chart.bars)].meter)) for bar in bars]


# -- the bars


@given(charts(), st.integers(-2000, 5000), st.sampled_from([0.0, 0.25]))
def test_the_bars_of_the_timeline_are_those_of_the_chart(chart: Chart, whole: int, part: float) -> None:
    """Guards against: everything that is counted from the wrong bar line."""
    timeline, tick = ChartTimeline(chart), whole + part
    line, length = timeline.bar_at(tick)
    number, start = chart.bar_at(tick / TICKS_PER_QUARTER)
    assert line <= tick < line + length
    assert (timeline.bar_number_at(tick), line) == (number, start * TICKS_PER_QUARTER)
    assert timeline.bar_line_tick(number) == line
    assert timeline.bar_at(line + length)[0] == line + length
    assert timeline.meter_at(tick) == chart.bars[number % len(chart.bars)].meter
    assert length == timeline.meter_at(tick).quarters * TICKS_PER_QUARTER


@settings(max_examples=50)
@given(short_charts(), short_charts(), st.integers(0, 6), st.integers(0, 400))
def test_bars_are_counted_on_where_a_chart_takes_over(first: Chart, then: Chart, bar: int, tick: int) -> None:
    """Guards against: turns that shift, and bars that are numbered from 1 again, with each new chart."""
    timeline, line = ChartTimeline(first), first.beat_of_bar(bar)
    timeline.set_chart(then, line)
    if tick < line * TICKS_PER_QUARTER:
        assert timeline.bar_number_at(tick) == ChartTimeline(first).bar_number_at(tick)
    else:
        assert timeline.bar_number_at(tick) == bar + ChartTimeline(then).bar_number_at(
            tick - round(line * TICKS_PER_QUARTER)
        )
    assert timeline.bar_at(timeline.bar_line_tick(timeline.bar_number_at(tick)))[0] == timeline.bar_at(tick)[0]
    timeline.move_top(8.0)
    assert timeline.bar_number_at(8 * TICKS_PER_QUARTER) == 0


@given(charts(), st.integers(1, 40), st.floats(0, 0.03))
def test_an_early_note_belongs_to_the_bar_it_means(chart: Chart, bar: int, early: float) -> None:
    """Guards against: an early note at a change of meter that is heard in the bar before, over its chord."""
    line = chart.beat_of_bar(bar)
    assume(min(chart.meter_at(line).quarters, chart.meter_at(line - 0.01).quarters) >= 1)
    assert quantize(line - early, ChartTimeline(chart), 0.5, 1.0) == line * TICKS_PER_QUARTER


@given(charts())
def test_rests_are_split_at_the_bar_lines(chart: Chart) -> None:
    """Guards against: a network that does not see the bar lines after a change of meter."""
    bar_lines = [round(chart.beat_of_bar(bar) * TICKS_PER_QUARTER) for bar in range(6)]
    assume(bar_lines[-1] > 12)
    notes = [LineNote(0, 12, 60), LineNote(bar_lines[-1], bar_lines[-1] + 12, 62)]
    timeline = ChartTimeline(chart)
    rests = [value for value in notes_to_values(notes, timeline, timeline)[0] if value.pitch is None]
    assert sum(rest.place.tick_in_bar == 0 for rest in rests) == sum(12 <= line < bar_lines[-1] for line in bar_lines)


# -- in an engine


@settings(max_examples=30)
@given(short_charts(), rates, modes, styles, st.integers(1, 3), st.lists(st.floats(0, 20), max_size=6).map(sorted))
def test_whatever_is_played_keeps_to_the_bars(
    chart: Chart, rate: str, mode: str, style: str, turn: int, heard: list[float]
) -> None:
    """Guards against: voices that drift apart at a change of meter, or a hanging note."""
    played = engine(
        chart, play__rate=rate, play__mode=mode, play__comp=style, play__trade_bars=turn, play__anticipation=0
    )
    recorder, bars = play_on_fake_clock(played, 100.0, some_notes(heard))
    assert reported_bars(recorder) == expected_bars(chart, range(BARS))
    assert [bar.number for bar in bars] == list(range(1, BARS + 1))
    assert [bar.chords for bar in bars] == [chords_of_bar(chart, number) for number in range(BARS)]
    for number, bar in enumerate(bars):
        line, end = (round(chart.beat_of_bar(bar_number) * TICKS_PER_QUARTER) for bar_number in (number, number + 1))
        assert all(line <= choice.tick < end for choice in bar.choices)
        if rate in PULSE_TICKS and mode in ("solo", "duet"):
            assert [choice.tick for choice in bar.choices] == list(range(line, end, PULSE_TICKS[rate]))
    onsets = {report.beat for report in notes_of(recorder, "comp")}
    sounding = {beat for beat, _ in expected_bars(chart, range(BARS)) if chart.chord_at(beat).tones}
    assert style == "off" or sounding <= onsets
    assert not hanging_notes(message for _, message in recorder.sent)


@settings(max_examples=25)
@given(short_charts(), rates, st.integers(1, 3), st.booleans(), st.sampled_from(["off", "bass"]))
def test_turns_are_as_many_bars_as_are_set(chart: Chart, rate: str, turn: int, ours: bool, style: str) -> None:
    """Guards against: notes in the player's bars in a song that changes its meter."""
    first = "sideman" if ours else "you"
    keys: dict[str, Any] = {"play__mode": "trade", "play__trade_bars": turn, "play__trade_first": first}
    recorder, bars = play_on_fake_clock(engine(chart, play__rate=rate, play__comp=style, **keys), 100.0)
    for report in notes_of(recorder):
        number = chart.bar_at(report.beat)[0]
        assert number // turn % 2 == (0 if ours else 1)
        assert report.beat + report.length_beats <= chart.beat_of_bar((number // turn + 1) * turn) + 1e-6
    begins = [number for number in range(BARS) if number % turn == 0 and number // turn % 2 == (0 if ours else 1)]
    lines = {round(chart.beat_of_bar(number) * TICKS_PER_QUARTER) for number in begins}
    assert lines <= {choice.tick for bar in bars for choice in bar.choices}


@pytest.mark.slow
@settings(max_examples=30)
@given(short_charts(), short_charts(), st.floats(0, 12), rates, modes, styles, st.booleans())
def test_a_chart_of_any_meter_takes_over_at_a_bar_line(
    first: Chart, then: Chart, second: float, rate: str, mode: str, style: str, asks: bool
) -> None:
    """Guards against: a waltz after a swing song that needs a stop, or falls apart."""
    played = engine(first, None, play__rate=rate, play__mode=mode, play__comp=style, play__trade_bars=1)
    more: list[tuple[float, MidiEvent | Command]] = (
        [(second, PlayVariation()), (second, SetMode("duet"))] if asks else []
    )
    recorder, bars = play_on_fake_clock(played, 15.9, [*more, (second, SetChart(then))])
    reported = reported_bars(recorder)
    over = sum(beat <= second + 1e-9 for beat, _ in expected_bars(first, range(200)))
    line = first.beat_of_bar(over)
    expected = [*expected_bars(first, range(over)), *expected_bars(then, range(200), line)]
    assert reported == expected[: len(reported)]
    assert len(reported) == sum(beat < 16.0 for beat, _ in expected)
    chords = [*(chords_of_bar(first, bar) for bar in range(over)), *(chords_of_bar(then, bar) for bar in range(200))]
    assert [(bar.number, bar.chords) for bar in bars] == list(enumerate(chords, 1))[: len(bars)]
    ours = notes_of(recorder)
    assert all(a.beat + a.length_beats <= b.beat + 1e-6 for a, b in pairwise(ours) if b.beat < line or a.beat >= line)
    comp = [report.beat for report in notes_of(recorder, "comp")]
    assert len(comp) == len(set(comp)) or style == "shells"
    assert not hanging_notes(message for _, message in recorder.sent)


def test_a_new_chart_is_played_for_its_choruses() -> None:
    """Guards against: a song that breaks off in the middle of a bar because another chart was set."""
    made = performance(**{**STRAIGHT, "chart__choruses": 1, "chart__changes": "| C | F | G | C |"})
    recorder, bars = play_on_fake_clock(made.make_engine(0.0), 60.0, [(3.0, SetChart(chart_of("3/4 Am | Dm")))])
    assert [bar.number for bar in bars] == [1, 2, 3]
    assert recorder.sent[-1][0] == pytest.approx(4 + 2 * 3)


@pytest.mark.parametrize("stops", [True, False])
def test_a_new_chart_is_played_for_its_choruses_after_a_start(stops: bool) -> None:
    """Guards against: a song that was chosen and started after a stop, and breaks off in the middle of a bar."""
    made = performance(**{**STRAIGHT, "chart__choruses": 2, "chart__changes": "| C | F | G | C |"})
    calls: list[tuple[float, MidiEvent | Command]] = [(4.5, SetChart(chart_of("3/4 Am | Dm"))), (9.5, Start())]
    recorder, bars = play_on_fake_clock(made.make_engine(0.0), 60.0, [(3.0, Stop()), *calls] if stops else calls)
    assert [bar.number for bar in bars][-4:] == [1, 2, 3, 4]
    assert recorder.sent[-1][0] == pytest.approx(9.6 + 4 * 3)


def test_a_new_chart_does_not_start_music_that_is_over() -> None:
    """Guards against: a note or two of the next song while the last chord rings out."""
    made = performance(**{**STRAIGHT, "chart__choruses": 1, "chart__changes": "| C | F |"})
    come: list[tuple[float, MidiEvent]] = [(float(second), ClockTick()) for second in steady(30, 60.0)]
    first, last = come[0][0] - 0.01, come[20 * 24][0] - 0.01
    starts: list[tuple[float, MidiEvent | Command]] = [(first, ClockStart()), (last, ClockStart())]
    called: list[tuple[float, MidiEvent | Command]] = [(come[11 * 24][0], SetChart(chart_of("3/4 Am | Dm | E")))]
    arrivals = sorted([*come, *starts, *called], key=lambda arrival: arrival[0])
    played = made.make_engine(0.0, clocks=ClockConfig(MidiClockFollower(60.0)))
    recorder, bars = play_on_fake_clock(played, come[-1][0], arrivals)
    assert [bar.number for bar in bars] == [1, 2, 1, 2, 3]
    between = [second for second, message in recorder.sent if come[8 * 24][0] + 0.1 < second < last]
    assert between == []
    assert [chord.text for bar in bars[2:] for chord in bar.chords] == ["Am", "Dm", "E"]


def test_it_ends_with_the_last_bar() -> None:
    """Guards against: a final note that begins a bar too early, or never."""
    for seed in range(4):
        keys = {"chart__choruses": 1, "chart__changes": MIXED, "play__seed": seed, "play__rate": "eighth"}
        recorder, _ = play_on_fake_clock(performance(**{**STRAIGHT, **keys}).make_engine(0.0), 60.0)
        last = notes_of(recorder)[-1]
        assert (last.beat, last.beat + last.length_beats) == (17.0, 19.0)  # G7 on the last two of five beats
        assert parse_chord("G7").kind_of(last.note.pitch) == 0


def test_a_held_chord_keeps_the_bars() -> None:
    """Guards against: a player who holds the chords and loses the meter of the song."""
    keys = [(3.0 + place / 100, NoteOn(pitch, 80, 3)) for place, pitch in enumerate((53, 57, 60, 64))]
    recorder, bars = play_on_fake_clock(engine(chart_of(MIXED), 6, midi__chords=3), 60.0, keys)
    assert reported_bars(recorder) == expected_bars(chart_of(MIXED), range(6))
    assert [[chord.text for chord in bar.chords] for bar in bars] == [["Dm7", "F^7"], *[["F^7"]] * 5]


def test_the_count_in_is_in_the_meter_of_the_first_bar() -> None:
    """Guards against: clicks in another meter than the song."""
    recorder, _ = play_on_fake_clock(engine(chart_of("3/4 C | 4/4 F"), 4, play__count_in=2), 60.0)
    clicks = [(second, message[2]) for second, message in recorder.sent if message[0] == 0x99]
    assert clicks == [(0.0, 112), (1.0, 80), (2.0, 80), (3.0, 112), (4.0, 80), (5.0, 80)]
    assert reported_bars(recorder) == [(0.0, "3/4"), (3.0, "4/4"), (7.0, "3/4"), (10.0, "4/4")]


def test_a_start_begins_with_the_first_bar() -> None:
    """Guards against: a chart that lies beside its bar lines after a restart."""
    recorder, bars = play_on_fake_clock(engine(chart_of(MIXED), None), 20.0, [(5.6, Start())])
    reported = reported_bars(recorder)
    assert reported[:2] == [(0.0, "4/4"), (4.0, "3/4")]
    top = reported[2][0]
    assert top >= 5.6
    assert reported[2:] == expected_bars(chart_of(MIXED), range(len(reported) - 2), top)
    assert [bar.number for bar in bars] == [1, *range(1, len(bars))]


# -- with a clock that is followed


@pytest.mark.parametrize("sixteenths", [0, 16, 20, 27, 44])
def test_a_followed_clock_goes_to_any_position_of_the_chart(sixteenths: int) -> None:
    """Guards against: other bar lines than the DAW's after winding to the middle of a bar of 3/4."""
    chart, true = chart_of(MIXED), [float(second) for second in steady(30, 60.0)]
    jump, place = 9 * 24, sixteenths / 4
    wound: list[tuple[float, MidiEvent]] = [
        (true[jump] - 0.02, ClockStop()),
        (true[jump] - 0.015, SongPosition(sixteenths)),
        (true[jump] - 0.01, ClockContinue()),
    ]
    start: list[tuple[float, MidiEvent]] = [(true[0] - 0.02, SongPosition(20)), (true[0] - 0.01, ClockContinue())]
    come: list[tuple[float, MidiEvent]] = [(second, ClockTick()) for second in true]
    played = engine(chart, None, ClockConfig(MidiClockFollower(60.0)), play__late_ms=30, play__comp="bass")
    recorder, bars = play_on_fake_clock(played, true[-1], [*start, *come[:jump], *wound, *come[jump:]])
    reported = reported_bars(recorder)
    assert reported[:2] == [(7.0, "3/4"), (10.0, "4/4")]  # nine beats from the fifth beat on
    top = played.snapshot(true[-1]).top
    assert top >= 14 - place
    first = next(number for number in range(9) if chart.beat_of_bar(number) >= place)
    assert reported[2:] == expected_bars(chart, range(first, first + len(reported) - 2), top)
    assert len(reported) > 6
    assert bars[0].number == 2
    assert bars[2].number == (first + 1 if chart.beat_of_bar(first) == place else first)
    beats = [report.beat for report in notes_of(recorder, "comp")]
    assert beats == sorted(set(beats))
    assert not hanging_notes(message for second, message in recorder.sent)


# -- files


def signatures(song: mido.MidiFile) -> list[tuple[float, str]]:
    """The time signatures of a file, with their beats."""
    now, signatures_found = 0, []
    for message in song.tracks[0]:
        now += message.time
        if message.type == "time_signature":
            signatures_found.append((now / song.ticks_per_beat, f"{message.numerator}/{message.denominator}"))
    return signatures_found


def test_a_rendered_file_has_every_meter() -> None:
    """Guards against: a DAW that shows the solo in bars of the first meter only."""
    made = replace(performance(**STRAIGHT), chart=chart_of(MIXED))
    take = render_take(made, 6, "test")
    song = mido.MidiFile(file=io.BytesIO(take.midi))
    assert (take.bars, take.beats) == (6, 23.0)
    assert signatures(song) == [(0.0, "4/4"), (4.0, "3/4"), (10.0, "4/4"), (14.0, "5/4"), (19.0, "4/4")]
    assert read_back(take.midi, chart_of(MIXED))


def markers(song: mido.MidiFile) -> list[tuple[float, str]]:
    """The chords of a file, with their beats."""
    now, chords = 0, []
    for message in song.tracks[0]:
        now += message.time
        chords += [(now / 960, message.text)] if message.type == "marker" else []
    return chords


def read_back(contents: bytes, chart: Chart) -> bool:
    """Whether the markers are the chords of the chart."""
    chords = markers(mido.MidiFile(file=io.BytesIO(contents)))
    return chords == [(beat, chart.chord_at(beat).text) for beat, _ in chords] and len(chords) == 7


def test_a_take_has_every_meter_and_can_be_replayed(tmp_path: Path) -> None:
    """Guards against: a take over such a song that cannot be replayed, or is shown in wrong bars."""
    made = replace(performance(play__rate="eighth", play__comp="bass", play__count_in=1), chart=chart_of(MIXED))
    calls: list[tuple[float, MidiEvent | Command]] = [(7.0, SetChart(chart_of("3/4 Am | 2/4 Dm")))]
    header, reports, _ = perform_with_reports(made, [*some_notes([3.0, 3.3, 3.9]), *calls], 13.0)
    journal = recorded_take(tmp_path, header, reports)
    song = mido.MidiFile(TakeFolder(tmp_path).midi(journal.name))
    known = [(0.0, "4/4"), (8.0, "3/4"), (14.0, "3/4"), (17.0, "2/4"), (19.0, "3/4"), (22.0, "2/4"), (24.0, "3/4")]
    assert [signature for signature in signatures(song) if signature[0] < 25] == [known[0], known[1], *known[3:]]
    assert journal.totals().bars == 1 + sum(isinstance(report, BarStarted) for report in reports)
    assert not replay_take(journal, made).difference
    assert any(isinstance(report, EventSent) for report in reports)


def test_a_take_with_a_restart_has_its_bar_lines(tmp_path: Path) -> None:
    """Guards against: a DAW that shows wrong bars, and chords that were not played, after a restart."""
    made = replace(performance(**STRAIGHT), chart=chart_of("| Dm7 | C / / F | 3/4 G7 | Cmaj7 |"))
    header, reports, _ = perform_with_reports(made, [(5.5, Start())], 18.0)
    journal = recorded_take(tmp_path, header, reports)
    song = mido.MidiFile(TakeFolder(tmp_path).midi(journal.name))
    reported = [(report.beat, str(report.meter)) for report in reports if isinstance(report, BarStarted)]
    assert reported == [(0.0, "4/4"), (4.0, "4/4"), (6.0, "4/4"), (10.0, "4/4"), (14.0, "3/4"), (17.0, "3/4")]
    assert signatures(song)[:3] == [(0.0, "4/4"), (6.0, "4/4"), (14.0, "3/4")]
    assert markers(song)[:6] == [(0, "Dm7"), (4, "C"), (6, "Dm7"), (10, "C"), (13, "F"), (14, "G7")]


def test_the_picture_of_a_take_has_its_bar_lines() -> None:
    """Guards against: a picture in which notes stand in other bars than they were played in."""
    line = _bar_lines([(0.0, 4.0), (4.0, 3.0), (13.0, 2.0)])
    assert [line(bar) for bar in range(7)] == [0.0, 4.0, 7.0, 10.0, 13.0, 15.0, 17.0]


def test_a_resumed_performance_begins_at_the_next_bar_line() -> None:
    """Guards against: a performance that continues the next day in the middle of a bar."""
    made = replace(performance(**STRAIGHT), chart=chart_of(MIXED))
    played = made.make_engine(0.0)
    recorder, _ = play_on_fake_clock(played, 5.2)
    kept = state_of(played.memory(), made)
    following = resumed_engine(made, kept, 0.0)
    recorder, bars = play_on_fake_clock(following, 8.5)
    assert reported_bars(recorder) == [(7.0, "3/4"), (10.0, "4/4"), (14.0, "5/4")]
    assert [bar.number for bar in bars] == [3, 4]
    assert kept["memory"]["bar_line"] == 7 * TICKS_PER_QUARTER
    assert all(isinstance(bar, BarPlayed) for bar in bars)
