# SPDX-License-Identifier: Apache-2.0
"""Target notes: the line comes to them for certain, by its own steps."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sideman.core.actions import PlayVariation
from sideman.core.chart.chart import Chart, Meter
from sideman.core.chart.text import parse_changes
from sideman.core.events import ChangeSettings, Choice, JumpToBar, NoteOff, NoteOn, SetChart, SetMode
from sideman.core.parts.improviser import PULSE_TICKS
from sideman.core.settings.target_notes import TargetNote, pitches_of
from sideman.core.settings.types import PitchRange
from sideman_models.music.harmony import NO_CHORD, parse_chord
from sideman_models.music.values import Value, choose_pitch
from sideman_models.network.bundle import Bundle
from support.fakes import classic_bundle, modern_bundle, motif_bundle, performance, play_on_fake_clock
from support.strategies import chord_symbols

FORM = "| Dm7 | G7 | Cmaj7 A7 | Dm7 | 3/4 G7 | 4/4 Cmaj7 | N.C. | Ebmaj7 |"
RATES = ("phrase", *PULSE_TICKS)
BAR, CHORUS = 48, 7 * 48 + 36


def choices(beats: float, arrivals: Any = (), bundle: Bundle | None = None, **keys: Any) -> dict[int, Choice]:
    """Everything that is played in `beats` beats at 120, by tick."""
    made = performance(bundle, **{"chart__changes": FORM, "play__ending": "any", **keys})
    engine = made.make_engine(0.0, beats=None if made.settings.chart.choruses else beats)
    _, bars = play_on_fake_clock(engine, beats / 2 + 1, arrivals)
    return {choice.tick: choice for bar in bars for choice in bar.choices}


def pitch_at(played: dict[int, Choice], tick: int) -> int:
    """The pitch that is struck at `tick`."""
    assert tick in played
    assert played[tick].pitch is not None
    return played[tick].pitch or 0


@st.composite
def forms(draw: st.DrawFn) -> Chart:
    """A few short bars."""
    meters = st.sampled_from(["4/4", "3/4", "6/8", "5/16", "2/2"])
    bars = draw(st.lists(st.lists(chord_symbols() | st.just("N.C."), min_size=1, max_size=2), min_size=2, max_size=4))
    return parse_changes(" | ".join(f"{draw(meters)} {' '.join(bar)}" for bar in bars), Meter(4, 4), "test")


@st.composite
def tasks(draw: st.DrawFn) -> dict[str, Any]:
    """Settings of `play`, and targets in a chart, all of which have pitches in the range."""
    low = draw(st.integers(20, 90))
    pitches = PitchRange(low, low + draw(st.integers(11, 37)))
    chart = draw(forms())
    targets: dict[tuple[int, int], TargetNote] = {}
    for _ in range(draw(st.integers(1, 4))):
        bar = draw(st.integers(1, len(chart.bars)))
        meter = chart.bars[bar - 1].meter
        beat, half = draw(st.integers(1, meter.numerator)), draw(st.booleans())
        tones = draw(st.sampled_from([("root",), ("3",), ("7", "5"), ("9",), ("b9",), ("Bb",), (f"C{low // 12}",)]))
        target = TargetNote(bar, beat, half, tones)
        if (ticks := target.ticks(meter)) is not None:
            place = chart.beat_of_bar(bar - 1) + ticks / 12
            if pitches_of(tones, chart.chord_at(place), pitches):
                targets[bar, ticks] = target
    return {
        "chart": chart,
        "targets": tuple(targets.values()),
        "range": pitches,
        "rate": draw(st.sampled_from(RATES)),
        "seed": draw(st.integers(0, 1000)),
        "temperature": draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])),
        "window": draw(st.sampled_from([0, 0, 2])),
        "density": draw(st.sampled_from([0.0, 1.0, 2.0])),
        "leap": draw(st.sampled_from([None, 3, 12])),
        "rests": draw(st.integers(0, 3)),
        "bundle": draw(st.sampled_from([modern_bundle, motif_bundle, classic_bundle])),
    }


@settings(max_examples=30)
@given(tasks())
def test_every_target_sounds_exactly_in_its_place(task: dict[str, Any]) -> None:
    """Guards against a target that is missed, or that another note is played for."""
    chart, targets, pitches = task.pop("chart"), task.pop("targets"), task["range"]
    bundle = task.pop("bundle")()
    made = performance(bundle, play__ending="any", chart__changes=chart.text(), tempo__meter=str(chart.meter))
    assert made.chart == chart
    engine = made.make_engine(0.0, beats=3 * chart.length)
    engine.live.change([("play.target", targets), *((f"play.{key}", value) for key, value in task.items())])
    _, bars = play_on_fake_clock(engine, 1.5 * chart.length + 1)
    played = {choice.tick: choice for bar in bars for choice in bar.choices}
    for chorus in range(3):
        for target in targets:
            bar = target.bar - 1
            ticks = target.ticks(chart.bars[bar].meter) or 0
            place = chart.beat_of_bar(bar) + ticks / 12
            tick = round(chorus * chart.length * 12 + place * 12)
            assert pitch_at(played, tick) in pitches_of(target.tones, chart.chord_at(place), pitches)


@pytest.mark.parametrize("bundle", [modern_bundle, classic_bundle])
@pytest.mark.parametrize("rate", RATES)
def test_a_target_can_follow_another_at_once(rate: str, bundle: Any) -> None:
    """Guards against a pulse that begins on a target and is longer than the way to the next one."""
    targets = "1: root or 3 or 5, 1.1+: root or 3 or 5, 3.2: 3, 3.2+: 5"
    played = choices(32, bundle=bundle(), play__rate=rate, play__target=targets, play__window=0, play__seed=1)
    for tick in (0, 6, 2 * BAR + 12, 2 * BAR + 18):
        pitch_at(played, tick)


def test_no_note_is_moved() -> None:
    """Guards against a line that is bent to its target: each pitch is the one that its value means."""
    for seed in range(8):
        played = choices(64, play__rate="phrase", play__seed=seed, play__target="2: 3, 3.3: 9, 4: A4, 8: 3 or 7")
        before: int | None = None
        chart = performance(chart__changes=FORM).chart
        for tick, choice in sorted(played.items()):
            if choice.pitch is not None:
                chord = chart.chord_at(tick / 12)
                meant = {choose_pitch(choice.value, chord, before, 48, 84, avoid=avoid) for avoid in (None, before)}
                assert choice.pitch in meant
                assert choice.length == choice.value.ticks
                before = choice.pitch


@pytest.mark.parametrize("rate", RATES)
def test_without_a_target_nothing_is_different(rate: str) -> None:
    """Guards against targets that change the music of those who set none, or after the last one is taken away."""
    plain = choices(64, play__rate=rate)
    far = choices(64, play__rate=rate, play__target="8: root")
    taken_away = choices(64, [(0.01, ChangeSettings((("play.target", ()),)))], play__rate=rate, play__target="8: root")
    first = (CHORUS - BAR) - 96  # nothing further ahead matters
    assert {tick: each for tick, each in plain.items() if tick < first} == {
        tick: each for tick, each in far.items() if tick < first
    }
    assert plain != far
    assert {tick: each for tick, each in taken_away.items() if tick > 24} == {
        tick: each for tick, each in plain.items() if tick > 24
    }


def test_the_target_of_another_players_turn_is_left_out() -> None:
    """Guards against notes in the player's turn."""
    keys: dict[str, Any] = {"play__mode": "trade", "play__trade_bars": 2, "play__target": "2: 3, 4: root, 5: Bb"}
    played = choices(40, **keys)
    assert pitch_at(played, 3 * BAR) % 12 == 2
    assert not {tick for tick in played if tick < 2 * BAR or 4 * BAR <= tick < 5 * BAR + 36}


def test_the_first_beat_of_a_turn_can_be_a_target() -> None:
    """Guards against a turn that begins with another note, because no note came before it."""
    for seed in range(5):
        played = choices(40, play__mode="trade", play__trade_bars=2, play__seed=seed, play__target="3: G4")
        assert pitch_at(played, 2 * BAR) == 67


@given(st.lists(st.tuples(st.floats(0.0, 9.5), st.integers(20, 110)), max_size=12), st.sampled_from(RATES))
@settings(max_examples=12)
def test_what_the_player_plays_does_not_put_it_off(notes: list[tuple[float, int]], rate: str) -> None:
    """Guards against a target that is lost because the player strikes a note far away just before it."""
    heard = [item for at, pitch in notes for item in ((at, NoteOn(pitch, 80, 1)), (at + 0.1, NoteOff(pitch, 1)))]
    played = choices(20, sorted(heard, key=lambda one: one[0]), play__rate=rate, play__target="3: E5, 4: root")
    assert pitch_at(played, 2 * BAR) == 76
    assert pitch_at(played, 3 * BAR) % 12 == 2


def test_a_change_while_it_plays_holds_from_then_on() -> None:
    """Guards against a target that is set live, a new chart or another tempo that the line does not follow."""
    chart = performance(chart__changes="| C | % | % | Fmaj7 |").chart
    arrivals = [
        (1.0, ChangeSettings((("play.target", (TargetNote(4, 1, False, ("3",)),)),))),
        (7.3, ChangeSettings((("tempo.bpm", 150.0),))),
        (9.0, SetChart(chart)),
    ]
    played = choices(64, arrivals, play__rate="phrase")
    assert pitch_at(played, 3 * BAR) % 12 == 5  # F, of Dm7
    begins = 4 * BAR + 36  # the bar line after the chart was set
    assert pitch_at(played, begins + 3 * BAR) % 12 == 9  # A, of Fmaj7


def test_a_loop_and_a_jump_come_to_their_targets() -> None:
    """Guards against targets that are aimed at where the form would go, and not where practice goes."""
    keys: dict[str, Any] = {"play__rate": "phrase", "play__target": "3: 3, 4: Bb", "practice__loop": "3-4"}
    played = choices(40, **keys)
    assert [pitch_at(played, tick) % 12 for tick in range(2 * BAR, 9 * BAR, 2 * BAR)] == [4] * 4
    assert [pitch_at(played, tick) % 12 for tick in range(3 * BAR, 9 * BAR, 2 * BAR)] == [10] * 3
    jumped = choices(16, [(2.5, JumpToBar(7))], play__rate="beat", play__target="8: 3")
    assert pitch_at(jumped, 2 * BAR) % 12 == 7


def test_another_mode_from_a_bar_line_on() -> None:
    """Guards against a target that is missed because the line breaks off where the mode changes."""
    played = choices(16, [(2.2, SetMode("duet")), (4.2, SetMode("solo"))], play__rate="phrase", play__target="4: root")
    assert pitch_at(played, 3 * BAR) % 12 == 2


@given(st.integers(0, 200), st.sampled_from(RATES), st.sampled_from(["root", "3", "7", "9", "Bb", "root or 5"]))
@settings(max_examples=12)
def test_the_ending_comes_to_its_tone(seed: int, rate: str, tone: str) -> None:
    """Guards against an ending on another tone than the one that is asked for."""
    keys: dict[str, Any] = {"chart__choruses": 1, "play__ending": tone, "play__rate": rate, "play__seed": seed}
    played = choices(32, chart__changes="| Dm7 | G7 | Cmaj7 |", **keys)
    last = played[max(played)]
    assert (last.tick, last.length) == (2 * BAR, BAR)
    wanted = {"root": {0}, "3": {4}, "7": {11}, "9": {2}, "Bb": {10}, "root or 5": {0, 7}}[tone]
    assert last.pitch is not None
    assert last.pitch % 12 in wanted


def test_a_target_on_the_last_note_comes_before_the_ending() -> None:
    """Guards against an ending that overrules the note that the player has asked for there."""
    keys: dict[str, Any] = {"chart__choruses": 1, "play__ending": "root", "play__target": "3: 9, 3.3: 3"}
    played = choices(32, chart__changes="| Dm7 | G7 | Cmaj7 |", **keys)
    assert pitch_at(played, 2 * BAR) % 12 == 2
    assert max(played) == 2 * BAR


def test_an_ending_without_a_chord_is_any_note() -> None:
    """Guards against an error, or silence, at the end of a chart that ends without a chord."""
    played = choices(32, chart__choruses=1, chart__changes="| Dm7 | N.C. |", play__ending="3")
    assert pitch_at(played, BAR)


def test_the_text_says_what_comes_and_why_something_does_not() -> None:
    """Guards against a target that is left out without a word."""

    def text(second: float = 0.0, again_s: float = math.inf, **keys: Any) -> str:
        made = performance(chart__changes=FORM, **keys)
        engine = made.make_engine(0.0)
        play_on_fake_clock(engine, second, [(again_s, PlayVariation())] if again_s < second else [])
        return engine.snapshot(second).target

    assert text() == ""
    assert text(play__target="3: 3") == "target: 3 of Cmaj7 in bar 3"
    assert text(play__target="3.3: root, 8: Bb4") == "target: root of A7 in bar 3, beat 3"
    assert text(5.1, play__target="3.3: root, 8.2+: Bb4") == "target: Bb4 in bar 8, beat 2+"
    assert text(play__target="3: 3", play__mode="off").endswith(": sideman only listens")
    assert text(play__target="3: 3", play__mode="trade").endswith(": your turn")
    assert text(play__target="7: 3").endswith(": there is no chord there (N.C.); name a note, such as Bb")
    assert text(play__target="40: 3") == "target: the form has no bar 40; its bars are 1-8"
    assert "outside play.range" in text(play__target="3: C8")
    assert text(3.2, 3.0, play__target="3: 3").endswith(": the last phrase comes again")
    assert text(3.2, 3.0, play__target="8: 3") == "target: 3 of Ebmaj7 in bar 8"
    ended = text(play__target="8.3: 3", chart__choruses=1)
    assert ended.endswith(": the last note sounds")


def test_degrees_are_those_of_the_chord() -> None:
    """Guards against a third that is not the chord's, or a degree that is another one's tone."""
    wanted = {
        "Cmaj7": {"root": 0, "3": 4, "5": 7, "7": 11, "9": 2, "11": 5, "13": 9, "b9": 1, "#11": 6},
        "Cm7": {"3": 3, "7": 10, "9": 2, "4": 5, "6": 9},
        "C7b9": {"9": 1, "13": 9, "7": 10},
        "C7#9": {"9": 3, "3": 4},
        "C7alt": {"5": 8, "11": 6},
        "Cm7b5": {"5": 6, "11": 5, "9": 1, "13": 8},
        "Cdim7": {"7": 9, "5": 6, "13": 8},
        "C6": {"6": 9, "7": 11},
        "F7": {"root": 5, "3": 9, "7": 3},
        "Csus": {"4": 5, "3": 4},
    }
    for symbol, tones in wanted.items():
        for tone, pitch_class in tones.items():
            found = pitches_of((tone,), parse_chord(symbol), PitchRange(60, 71))
            assert {pitch % 12 for pitch in found} == {pitch_class}, (symbol, tone)
    assert not pitches_of(("3",), NO_CHORD, PitchRange(0, 127))
    assert pitches_of(("Bb", "C4"), NO_CHORD, PitchRange(48, 72)) == {58, 60, 70}


@example(Value("C", 12, 0))
@given(st.sampled_from([*modern_bundle().vocabulary.values, *classic_bundle().vocabulary.values]))
def test_what_a_value_may_become_is_what_it_becomes(value: Value) -> None:
    """Guards against an approach that counts on a step which the line then does not take."""
    bundle = modern_bundle() if value in modern_bundle().vocabulary.values else classic_bundle()
    chord = parse_chord("G7b9")
    for window in (0, 2):
        for leap in (0, 4):
            keys: dict[str, Any] = {
                "play__window": window,
                "play__leap": leap,
                "play__rate": "phrase",
                "play__range": "C3-C5",
            }
            steps = performance(bundle, **keys).make_engine(0.0).improviser.steps
            shape = steps.shape_of[bundle.vocabulary.index_of(value)]
            for previous in range(48, 73, 5):
                may = {int(each) for each in steps.pitches[steps.over(chord)[0][previous - 48, shape]]}
                draws = [number / 50 for number in range(50)]
                becomes = {
                    choose_pitch(value, chord, previous, 48, 72, window, drawn, max_leap=leap) for drawn in draws
                } - {None}
                assert may in (becomes, set())  # none if the interval leaves the range


def test_a_chart_object_is_what_it_says() -> None:
    """Guards against a test of places in a chart that is not the one above."""
    chart: Chart = performance(chart__changes=FORM).chart
    assert round(chart.length * 12) == CHORUS
