# SPDX-License-Identifier: Apache-2.0
"""The parts, each alone: what they announce, what they play, and what they do when the music continues elsewhere."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sideman.core.chart.timeline import ChartTimeline
from sideman.core.events import ClockContinue, ClockStart, ClockStop, ClockTick, MidiEvent, SongPosition
from sideman.core.parts.accompaniment import Accompaniment
from sideman.core.parts.count_in import CountIn
from sideman.core.parts.improviser import Improviser
from sideman.core.parts.midi_clock_out import MidiClockOut
from sideman.core.parts.part import Part, PlayedNote
from sideman.core.parts.soloist import Soloist
from sideman.core.settings.live import LiveSettings
from sideman.core.timeline import PlaySpan, Timeline
from sideman.core.turns import TurnPlan
from support.fakes import performance


class Scene:
    """The parts of a performance that starts at second 0, without an engine."""

    def __init__(self, end: float | None = None, **keys: Any) -> None:
        made = performance(**keys)
        self.live, chart = LiveSettings(made.settings), ChartTimeline(made.chart)
        self.timeline = Timeline(self.live, chart, PlaySpan(0.0, 0.0, end, has_final_note=end is not None))
        improviser = Improviser(made.bundle, made.network, chart, chart, self.live, 1)
        self.soloist = Soloist(self.timeline, improviser, TurnPlan(self.live, chart))
        self.accompaniment = Accompaniment(self.timeline, improviser)
        self.count_in = CountIn(self.timeline)
        self.clock = MidiClockOut(self.timeline)

    def play(self, part: Part, until: float, late_s: float = 0.0) -> list[PlayedNote | MidiEvent]:
        """Play one part up to a beat."""
        played: list[PlayedNote | MidiEvent] = []
        while True:
            if part is self.soloist:
                part.prepare(self.timeline.second_at(part.next_beat()) if part.next_beat() < math.inf else 0.0)
            if (beat := part.next_beat()) >= until:
                return played
            played += part.play(self.timeline.second_at(beat) + late_s)
            self.soloist.sent()


def notes(played: list[PlayedNote | MidiEvent]) -> list[PlayedNote]:
    """The notes among what was played."""
    return [each for each in played if isinstance(each, PlayedNote)]


def test_the_soloist_plays_on_its_pulse_and_within_its_turn() -> None:
    """Guards against a soloist that only plays because the engine holds it to its beats."""
    scene = Scene(play__mode="trade", play__trade_bars=1, play__rate="eighth", play__swing=0.5, play__density=4)
    played = notes(scene.play(scene.soloist, 16))
    assert {int(note.beat // 4) % 2 for note in played} == {1}
    assert {note.beat % 0.5 for note in played} == {0.0}
    assert all(note.beat < note.end <= 4 * (note.beat // 4 + 1) for note in played)


def test_a_choice_taken_back_is_made_again_alike() -> None:
    """Guards against a solo that changes because a choice was looked at twice."""
    scene = Scene(play__rate="eighth")
    scene.soloist.prepare(0.0)
    first = scene.soloist.choice
    scene.soloist.take_back()
    assert scene.soloist.choice is None
    scene.soloist.prepare(0.0)
    assert scene.soloist.choice == first


def test_the_final_note_lasts_to_the_end() -> None:
    """Guards against a solo that breaks off before the last bar is over."""
    scene = Scene(16.0, chart__choruses=1, play__rate="eighth")
    last = notes(scene.play(scene.soloist, math.inf))[-1]
    assert (last.beat, last.end) == (12.0, 16.0)
    assert scene.soloist.next_beat() == math.inf


@pytest.mark.parametrize("part", ["soloist", "accompaniment"])
def test_what_comes_too_late_is_left_out_and_counted(part: str) -> None:
    """Guards against notes off the beat after the machine stood still."""
    scene = Scene(play__rate="eighth", play__comp="bass", play__style="plain", play__density=4, play__rests=0)
    scene.accompaniment.start_bar(0)
    made: Part = getattr(scene, part)
    assert not notes(scene.play(made, 4, late_s=0.2))
    assert made.missed_notes >= 4


def test_the_accompaniment_plays_a_bar_at_a_time() -> None:
    """Guards against an accompaniment that runs on over a bar line where the style has changed."""
    scene = Scene(play__comp="bass", play__style="plain")
    scene.accompaniment.start_bar(0)
    assert [note.beat for note in notes(scene.play(scene.accompaniment, math.inf))] == [0, 1, 2, 3]
    scene.live.change([("play.comp", ())])
    scene.accompaniment.start_bar(48)
    assert scene.accompaniment.next_beat() == math.inf


def test_the_beat_of_an_onset_is_settled_when_it_is_announced() -> None:
    """Guards against an onset that is moved behind the player's back by a change of the swing."""
    scene = Scene(play__comp="shells", play__style="plain", play__swing=0.5, chart__changes="| Dm7 / / G7 |")
    scene.accompaniment.start_bar(0)
    scene.accompaniment.play(0.0)
    announced = scene.accompaniment.next_beat()
    scene.live.change([("play.swing", 0.7)])
    assert scene.accompaniment.next_beat() == announced


def test_clicks_count_in_and_a_late_one_is_only_left_out() -> None:
    """Guards against clicks after the first beat, or against a count-in without its accent."""
    scene = Scene(play__count_in=2)
    assert scene.count_in.start() == -8
    played = notes(scene.play(scene.count_in, 0))
    assert [note.beat for note in played] == [*range(-8, 0)]
    assert [note.note.velocity > 100 for note in played] == [True, False, False, False] * 2
    scene.count_in.start()
    assert not notes(scene.play(scene.count_in, 0, late_s=1.0))
    assert scene.count_in.missed_notes == 0


def test_the_clock_starts_ticks_and_stops() -> None:
    """Guards against followers that start a tick early, or never stop."""
    scene = Scene()
    scene.clock.start_at(0.0)
    assert scene.clock.play(0.0) == [ClockStart()]
    assert scene.play(scene.clock, 1) == [ClockTick()] * 24
    assert scene.clock.stop_messages() == [ClockStop()]
    assert scene.clock.stop_messages() == []


def test_after_the_machine_stood_still_the_clock_starts_at_a_position_that_it_can_tell() -> None:
    """Guards against followers that are sent a burst of ticks and run ahead."""
    scene = Scene()
    scene.clock.start_at(0.0)
    scene.clock.play(0.0)
    assert scene.clock.play(scene.timeline.second_at(3.1)) == [ClockStop()]
    beat = scene.clock.next_beat()
    assert scene.clock.play(scene.timeline.second_at(beat)) == [SongPosition(13), ClockContinue()]
    assert scene.clock.next_beat() == 3.25


def test_a_clock_that_is_passed_on_joins_now_or_when_the_music_comes_there() -> None:
    """Guards against a follower that is one tick off the clock that we follow ourselves."""
    scene = Scene()
    assert scene.clock.join(24, 1.0) == [SongPosition(4), ClockContinue()]
    assert scene.clock.next_beat() == 1.0
    assert scene.clock.join(48, 1.5) == []
    assert scene.clock.next_beat() == pytest.approx(2 - 0.5 / 24)


@pytest.mark.parametrize("part", ["soloist", "accompaniment", "count_in", "clock"])
def test_a_jump_leaves_nothing_announced_before_it(part: str) -> None:
    """Guards against a note of the old place that sounds after a DAW has jumped."""
    scene = Scene(play__comp="bass", play__style="plain", play__count_in=1, play__rate="eighth")
    scene.accompaniment.start_bar(0)
    scene.count_in.start()
    scene.clock.start_at(0.0)
    scene.soloist.prepare(0.0)
    scene.timeline.move(2.0, 30.0)
    made: Part = getattr(scene, part)
    made.relocate()
    assert made.next_beat() >= scene.timeline.start == 30.0
