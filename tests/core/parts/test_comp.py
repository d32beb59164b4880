# SPDX-License-Identifier: Apache-2.0
"""The plain accompaniment: chord tones, in time, and no effect on the solo."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.core.actions import Panic
from sideman.core.chart.chart import Chart, parse_meter
from sideman.core.chart.text import parse_changes
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.engine import Engine, play_through
from sideman.core.events import (
    ChangeSettings,
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    MidiEvent,
    NoteOff,
    NoteOn,
    NotePlayed,
    SetChart,
    SongPosition,
)
from sideman.core.parts.comp import BASS_PITCHES, SHELL_PITCHES, Comp, CompStyle, beat_ticks, shell_tones
from sideman.core.parts.random_source import RandomSource
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.values import TICKS_PER_QUARTER
from support.clocks import steady
from support.fakes import hanging_notes, performance, play_on_fake_clock, tempo_change
from support.strategies import charts as any_charts
from support.strategies import chords

BARS = 8
COMP, SOLO = 2, 1
styles = st.sampled_from(["shells", "bass"])
seeds = st.integers(0, 999)


def accompany(chart: Chart, style: CompStyle, seed: int, bars: int = BARS) -> list[tuple[int, list[NoteOn]]]:
    """The accompaniment of `bars` bars: the ticks of its onsets, and the notes there."""
    comp, draw, tick, played = Comp(ChartTimeline(chart)), RandomSource(seed).draw, 0, []
    while tick < chart.beat_of_bar(bars) * TICKS_PER_QUARTER:
        played.append((tick, comp.notes_at(style, tick, 84, 1, draw)))
        tick = comp.next_onset(style, tick, draw)
    return played


def chart_of(text: str, meter: str = "4/4") -> Chart:
    """A chart from text."""
    return parse_changes(text, parse_meter(meter), "test")


def bar_lines(chart: Chart, bars: int = BARS) -> list[int]:
    """The ticks on which `bars` bars begin, and on which the last one ends."""
    return [round(chart.beat_of_bar(number) * TICKS_PER_QUARTER) for number in range(bars + 1)]


def change_ticks(chart: Chart) -> set[int]:
    """The ticks in `BARS` bars where a chord is written, even if it is the same as before."""
    bars = [(chart.beat_of_bar(number), chart.bars[number % len(chart.bars)]) for number in range(BARS)]
    return {math.ceil(float(line + at) * TICKS_PER_QUARTER - 1e-6) for line, bar in bars for at, _ in bar.chords}


def engine(style: str, chart: Chart | None = None, beats: float | None = 32, **keys: Any) -> Engine:
    """An engine with an accompaniment."""
    made = performance(play__comp=style, play__style="plain", **keys)
    return (made if chart is None else replace(made, chart=chart)).make_engine(0.0, beats=beats)


def played_notes(recorder: Any, channel: int = COMP) -> list[tuple[float, int]]:
    """The seconds and pitches of the note-ons on `channel`."""
    return [(second, wire[1]) for second, wire in recorder.sent if wire[0] == 0x90 | channel - 1]


# -- shells


@pytest.mark.parametrize(
    ("symbol", "tones"),
    [
        ("Dm7", "F C"), ("G7", "B F"), ("Cmaj7", "E B"), ("F6", "A D"), ("Am", "C E"), ("C", "E G"),
        ("Bb7sus", "Eb Ab"), ("Bdim7", "D Ab"), ("Bm7b5", "D A"), ("G7alt", "B F"), ("C+", "E G#"), ("C5", "C G"),
        ("Csus", "F G"),
    ],
)  # fmt: skip
def test_a_shell_identifies_the_chord(symbol: str, tones: str) -> None:
    """Guards against: a chord that sounds neither major nor minor nor like a seventh."""
    assert set(shell_tones(parse_chord(symbol))) == {parse_chord(tone).root for tone in tones.split()}


@settings(max_examples=50)
@given(st.lists(chords(), min_size=2, max_size=8), seeds)
def test_shells_are_chord_tones_in_a_close_position(line: list[Chord], seed: int) -> None:
    """Guards against: an accompaniment that jumps about or collides with the bass."""
    chart = chart_of(" | ".join(chord.text for chord in line))
    for tick, notes in accompany(chart, "shells", seed):
        pitches = [note.pitch for note in notes]
        assert {pitch % 12 for pitch in pitches} == set(shell_tones(chart.chord_at(tick / TICKS_PER_QUARTER)))
        assert all(pitch in SHELL_PITCHES for pitch in pitches)
        assert len(pitches) in (0, 2)
        assert not pitches or 3 <= pitches[1] - pitches[0] <= 11


def test_shells_move_by_steps() -> None:
    """Guards against: a cadence that sounds like two pianos."""
    played = accompany(chart_of("| Dm7 | G7 | Cmaj7 | C6 |"), "shells", 1)
    voicings = [[note.pitch for note in notes] for _, notes in played]
    assert all(abs(low - low2) + abs(high - high2) <= 4 for (low, high), (low2, high2) in pairwise(voicings))


@settings(max_examples=50)
@given(any_charts(), seeds)
def test_a_shell_is_played_on_every_change_and_bar_line(chart: Chart, seed: int) -> None:
    """Guards against: a chord that is not heard, so that the player is lost."""
    onsets = [tick for tick, _ in accompany(chart, "shells", seed)]
    lines, previous = bar_lines(chart), None
    for tick in range(lines[-1]):
        chord = chart.chord_at(tick / TICKS_PER_QUARTER)
        assert tick in onsets or (tick not in lines and chord == previous)
        previous = chord


# -- bass


@settings(max_examples=50)
@given(any_charts(), seeds)
def test_the_bass_plays_every_beat_and_every_change(chart: Chart, seed: int) -> None:
    """Guards against: a bass that loses the beat or a chord in an unusual meter or chart."""
    beats = {
        tick
        for line, end in pairwise(bar_lines(chart))
        for tick in range(line, end, beat_ticks(chart.meter_at(line / TICKS_PER_QUARTER)))
    }
    played = accompany(chart, "bass", seed)
    onsets = {tick for tick, _ in played}
    assert beats <= onsets <= beats | change_ticks(chart)
    for tick, notes in played:
        assert len(notes) == (1 if chart.chord_at(tick / TICKS_PER_QUARTER).tones else 0)
        assert all(note.pitch in BASS_PITCHES for note in notes)


@settings(max_examples=100)
@given(any_charts(), seeds)
def test_the_bass_plays_the_chord_or_a_step_to_the_next(chart: Chart, seed: int) -> None:
    """Guards against: wrong notes."""
    lines = bar_lines(chart, BARS + 2)
    played = [
        (tick, chart.chord_at(tick / TICKS_PER_QUARTER), notes)
        for tick, notes in accompany(chart, "bass", seed, BARS + 1)
    ]
    before = None
    for (tick, chord, notes), (next_tick, next_chord, following) in pairwise(played):
        if notes:
            pitch = notes[0].pitch
            if chord != before:
                assert pitch % 12 == (chord.root if chord.bass is None else chord.bass)
            lands = next_tick in lines or next_chord != chord
            approaches = lands and following and abs(following[0].pitch - pitch) <= 2
            own = {*chord.tones, *chord.scale, chord.bass}
            assert pitch % 12 in own or (approaches and tick not in lines and chord == before)
            assert not following or following[0].pitch != pitch
        before = chord


def test_the_bass_walks_to_the_next_root() -> None:
    """Guards against: a bass that does not lead from chord to chord."""
    steps = []
    for seed in range(20):
        played = accompany(chart_of("| Dm7 | G7 | Cmaj7 | A7 |"), "bass", seed)
        pitches = [notes[0].pitch for _, notes in played]
        assert [pitch % 12 for pitch in pitches[::4]] == [2, 7, 0, 9] * 2
        steps += [abs(pitches[bar * 4] - pitches[bar * 4 - 1]) for bar in range(1, BARS)]
    assert set(steps) <= {1, 2}


@pytest.mark.parametrize(
    ("meter", "ticks"),
    [
        ("3/4", [0, 12, 24]),
        ("6/8", [0, 18]),
        ("5/4", [0, 12, 24, 36, 48]),
        ("7/8", [0, 12, 24, 36]),
        ("12/8", [0, 18, 36, 54]),
    ],
)
def test_a_beat_is_what_musicians_count(meter: str, ticks: list[int]) -> None:
    """Guards against: a bass in eighths in 6/8, or one that walks across the bar lines."""
    assert [tick for tick, _ in accompany(chart_of("| C7 |", meter), "bass", 1, bars=1)] == ticks


def test_a_chord_that_changes_under_it_is_followed_with_the_next_onset() -> None:
    """Guards against: held chords that are followed a bar late."""
    timeline, draw = ChartTimeline(chart_of("| C7 |")), RandomSource(1).draw
    comp = Comp(timeline)
    comp.notes_at("bass", 0, 84, 1, draw)
    assert comp.next_onset("bass", 0, draw) == 12
    timeline.hold_chord(parse_chord("F#m7"), 1.0)
    assert [note.pitch % 12 for note in comp.notes_at("bass", 12, 84, 1, draw)] == [6]
    assert {note.pitch % 12 for note in comp.notes_at("shells", 12, 84, 1, draw)} == {9, 4}


# -- in the engine


@settings(max_examples=25)
@given(styles, any_charts(), st.sampled_from(["beat", "phrase"]), seeds)
def test_the_solo_is_the_same_without_accompaniment(style: str, chart: Chart, rate: str, seed: int) -> None:
    """Guards against: a seed that plays another solo as soon as the accompaniment is on."""

    def solo(comp: str) -> list[tuple[float, MidiEvent]]:
        played = play_through(engine(comp, chart, play__rate=rate, play__seed=seed))
        notes = [(due.beat, due.item) for due in played if isinstance(due.item, NoteOn | NoteOff)]
        return [(beat, event) for beat, event in notes if event.channel == SOLO]

    assert solo(style) == solo("off")


things = st.one_of(
    st.builds(tempo_change, st.sampled_from([40.0, 133.0, 400.0])),
    st.builds(SetChart, any_charts()),
    st.just(Panic()),
    st.builds(lambda comp: ChangeSettings((("play.comp", comp),)), st.sampled_from([(), ("shells",), ("bass",)])),
    st.builds(NoteOn, st.integers(0, 127), st.integers(1, 127), st.just(1)),
)


@settings(max_examples=20)
@given(styles, any_charts(), st.lists(st.tuples(st.floats(0, 4), things), max_size=6), st.floats(0, 0.2))
def test_nothing_hangs_and_nothing_overlaps(
    style: str, chart: Chart, given_: list[tuple[float, MidiEvent | Command]], late: float
) -> None:
    """Guards against: a note of the accompaniment that hangs, or a bass that becomes a chord."""
    items = sorted(given_, key=lambda item: item[0])
    recorder, _ = play_on_fake_clock(engine(style, chart, None, play__late_ms=1000), 4.0, items, late)
    assert not hanging_notes(message for _, message in recorder.sent)
    sounding: dict[int, float] = {}
    for second, (status, pitch, velocity) in recorder.sent:
        if status == 0x90 | COMP - 1 and velocity:
            assert all(since == second for since in sounding.values())  # notes that sound together started together
            sounding[pitch] = second
        elif status == 0x80 | COMP - 1:
            sounding.pop(pitch, None)


@pytest.mark.parametrize("mode", ["solo", "off"])
def test_it_plays_in_every_mode_on_the_beat(mode: str) -> None:
    """Guards against: a player who wants only the accompaniment and has none."""
    recorder, _ = play_on_fake_clock(engine("bass", play__mode=mode, tempo__bpm=60), 100.0)
    assert [second for second, _ in played_notes(recorder)] == [float(beat) for beat in range(32)]
    reports = [report for report in recorder.reports if isinstance(report, NotePlayed) and report.voice == "comp"]
    assert [(report.beat, report.note.pitch) for report in reports] == played_notes(recorder)


def test_it_swings_with_the_solo() -> None:
    """Guards against: off-beats of solo and accompaniment that do not fall together."""
    recorder, _ = play_on_fake_clock(
        engine("shells", play__mode="off", play__swing=0.67, tempo__bpm=60, play__seed=2), 100.0
    )
    positions = {round(second % 1, 6) for second, _ in played_notes(recorder)}
    assert positions == {0.0, 0.67}


def test_another_style_begins_at_the_next_bar() -> None:
    """Guards against: a change of style in the middle of a bar, or one that needs a restart."""
    changes: Iterable[tuple[float, Command]] = (
        (1.5, ChangeSettings((("play.comp", ("bass",)),))),
        (9.5, ChangeSettings((("play.comp", ("shells",)),))),
        (13.5, ChangeSettings((("play.comp", ()),))),
    )
    recorder, _ = play_on_fake_clock(engine("off", play__mode="off", tempo__bpm=60), 24.0, changes)
    onsets = played_notes(recorder)
    assert [second for second, pitch in onsets if pitch in BASS_PITCHES and second < 12] == [
        4.0,
        5.0,
        6.0,
        7.0,
        8.0,
        9.0,
        10.0,
        11.0,
    ]
    assert {second for second, pitch in onsets if pitch in SHELL_PITCHES and second >= 12} >= {12.0}
    assert max(second for second, _ in onsets) < 16.0
    assert not hanging_notes(message for _, message in recorder.sent)


def test_its_notes_coming_back_are_not_taken_for_the_players() -> None:
    """Guards against: a DAW that passes its input on, so that it answers its own bass."""
    alone, _ = play_on_fake_clock(engine("bass", play__mode="off"), 8.0)
    heard = [(second, wire) for second, wire in alone.sent if wire[0] == 0x90 | COMP - 1]
    back = [(second + 0.01, NoteOn(pitch, velocity, COMP)) for second, (_, pitch, velocity) in heard]
    listening = engine("bass", play__mode="off")
    play_on_fake_clock(listening, 8.0, back)
    assert (listening.listening.heard_notes, listening.listening.melody.echo_filter.echoes) == (0, len(back))


def test_what_comes_too_late_is_left_out() -> None:
    """Guards against: a burst of missed beats after the machine was busy."""
    played = engine("bass", play__mode="off", tempo__bpm=60)
    list(played.advance(0.0))
    assert not [due for due in played.advance(2.5) if isinstance(due.item, NoteOn)]
    assert [due.beat for due in played.advance(3.0) if isinstance(due.item, NoteOn)] == [3.0]
    assert played.late_notes == 2


@pytest.mark.parametrize(("sixteenths", "first"), [(0, 0.0), (18, 0.25), (16, 0.0), (31, 0.125)])
def test_it_follows_a_clock_from_any_position(sixteenths: int, first: float) -> None:
    """Guards against: an accompaniment that comes in a bar late, or twice, in the middle of a song."""
    true = [float(second) for second in steady(16, 120.0)]
    ticks: list[tuple[float, MidiEvent]] = [(second, ClockTick()) for second in true]
    place: list[tuple[float, MidiEvent]] = [
        (true[0] - 0.02, SongPosition(sixteenths)),
        (true[0] - 0.01, ClockContinue()),
    ]
    start: list[tuple[float, MidiEvent]] = [(true[0] - 0.01, ClockStart())]
    made = performance(play__comp="bass", play__style="plain", play__mode="off", play__late_ms=30)
    following = made.make_engine(0.0, clocks=ClockConfig(MidiClockFollower(120.0)))
    stop: list[tuple[float, MidiEvent]] = [(true[-1] + 0.01, ClockStop())]
    recorder, _ = play_on_fake_clock(following, 60.0, [*(place if sixteenths else start), *ticks, *stop])
    seconds = [second for second, _ in played_notes(recorder)]
    assert [second - true[0] for second in seconds] == pytest.approx(
        [first + beat / 2 for beat in range(len(seconds))], abs=0.002
    )
    assert len(seconds) >= 15
    assert not hanging_notes(message for second, message in recorder.sent if second <= true[-1] + 0.02)


def test_it_follows_the_clock_to_another_position() -> None:
    """Guards against: an accompaniment at the old position, doubled or with a hanging note, after a jump."""
    true = [float(second) for second in steady(20, 120.0)]
    jump = 9 * CLOCK_TICKS_PER_BEAT + 5
    wound: list[tuple[float, MidiEvent]] = [
        (true[jump] - 0.015, ClockStop()),
        (true[jump] - 0.01, SongPosition(4 * 4)),
        (true[jump] - 0.005, ClockContinue()),
    ]
    ticks: list[tuple[float, MidiEvent]] = [(second, ClockTick()) for second in true]
    arrivals = [(true[0] - 0.01, ClockStart()), *ticks[:jump], *wound, *ticks[jump:]]
    made = performance(play__comp="bass", play__style="plain", play__mode="off", play__late_ms=30)
    recorder, _ = play_on_fake_clock(
        made.make_engine(0.0, clocks=ClockConfig(MidiClockFollower(120.0))), true[-1] + 0.01, arrivals
    )
    before = [message for second, message in recorder.sent if second < true[jump] - 0.005]
    assert not hanging_notes(before)
    onsets = played_notes(recorder)
    beats = [*true[:jump:CLOCK_TICKS_PER_BEAT], *true[jump::CLOCK_TICKS_PER_BEAT]]
    assert [second for second, _ in onsets] == pytest.approx(beats[: len(onsets)], abs=0.003)
    roots = [pitch % 12 for second, pitch in onsets if second > true[jump] - 0.005]
    assert roots[0] == parse_chord("G7").root  # the second bar
    assert roots[4] == parse_chord("Cmaj7").root
