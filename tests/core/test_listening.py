# SPDX-License-Identifier: Apache-2.0
"""Listening alone: how the soloist reacts to the player, without an engine."""

from __future__ import annotations

from typing import Any

import pytest

from sideman.core.chart.timeline import ChartTimeline
from sideman.core.events import ControlChange, NoteOff, NoteOn
from sideman.core.ledger import Ledger
from sideman.core.listening import TAKE_BACK_S, Listening
from sideman.core.parts.improviser import Improviser
from sideman.core.parts.soloist import Soloist
from sideman.core.settings.live import LiveSettings
from sideman.core.timeline import PlaySpan, Timeline
from sideman.core.transport import Transport
from sideman.core.turns import TurnPlan
from support.fakes import performance


class Scene:
    """A soloist that listens, at 120 bpm from second 0."""

    def __init__(self, **keys: Any) -> None:
        made = performance(**keys)
        live, chart = LiveSettings(made.settings), ChartTimeline(made.chart)
        improviser = Improviser(made.bundle, made.network, chart, chart, live, 1)
        self.improviser, self.ledger, self.chart = improviser, Ledger(1), chart
        self.timeline = Timeline(live, chart, PlaySpan(0.0))
        self.transport = Transport(self.timeline, None)
        self.turns = TurnPlan(live, chart)
        self.soloist = Soloist(self.timeline, improviser, self.turns)
        self.listening = Listening(self.timeline, self.transport, self.ledger, self.soloist, self.turns, improviser)


@pytest.mark.parametrize(("before_s", "stands"), [(2 * TAKE_BACK_S, False), (TAKE_BACK_S / 2, True)])
def test_a_choice_is_taken_back_while_there_is_time(before_s: float, stands: bool) -> None:
    """Guards against an answer that ignores your last note, and against a note that comes late because of it."""
    scene = Scene()
    scene.soloist.prepare(0.0)
    scene.soloist.play(0.0)
    scene.soloist.sent()
    scene.soloist.prepare(0.1)
    onset_s = scene.timeline.second_at(scene.soloist.next_beat())
    assert len(list(scene.listening.hear(NoteOn(60, 80, 1), onset_s - before_s))) == 1
    assert (scene.soloist.choice is not None) is stands


def test_a_mode_that_gives_way_ends_our_note_on_the_next_beat() -> None:
    """Guards against two who play over each other in mode answer."""
    scene = Scene(play__mode="answer")
    scene.soloist.note_id, _ = scene.ledger.note_on(NoteOn(72, 80, 1), 4.0)
    list(scene.listening.hear(NoteOn(60, 80, 1), 0.3))  # on beat 0.6
    assert scene.ledger.next_end == 1.0


def test_a_note_that_began_before_a_stop_ends_in_it() -> None:
    """Guards against a key that counts as held for ever after a stop."""
    scene = Scene()
    list(scene.listening.hear(NoteOn(60, 80, 1), 0.1))
    assert scene.listening.melody.keys_held
    scene.transport.command("stop", 0.0)
    assert list(scene.listening.hear(NoteOn(64, 80, 1), 1.0)) == []
    assert len(list(scene.listening.hear(NoteOff(60, 1), 1.1))) == 1
    assert scene.listening.heard_notes == 1


def test_the_pedal_is_no_note() -> None:
    """Guards against a pedal that is counted and reported as a note of yours."""
    scene = Scene()
    list(scene.listening.hear(ControlChange(64, 127, 1), 0.1))
    assert list(scene.listening.hear(ControlChange(64, 0, 1), 0.2)) == []
    assert scene.listening.heard_notes == 0


def test_a_held_chord_holds_from_when_its_keys_went_down() -> None:
    """Guards against chords that change the music only after they have settled."""
    scene = Scene(midi__chords=3)
    for pitch in (53, 57, 60, 63):
        assert list(scene.listening.hear(NoteOn(pitch, 70, 3), 2.0)) == []
    scene.listening.settle_chord(scene.listening.chord_detector.settle_at)
    assert scene.chart.chord_at(4.0).text == "F7"
    assert scene.chart.chord_at(3.9).text == "Dm7"
