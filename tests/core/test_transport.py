# SPDX-License-Identifier: Apache-2.0
"""The transport: its table of transitions, with our own clock and with one that is followed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.chart.timeline import ChartTimeline
from sideman.core.events import ClockContinue, ClockInput, ClockStart, ClockStop, ClockTick, SongPosition
from sideman.core.settings.live import LiveSettings
from sideman.core.settings.schema import Settings
from sideman.core.timeline import PlaySpan, Timeline
from sideman.core.timing.clock_source import ClockSource
from sideman.core.timing.tempo import Tempo
from sideman.core.transport import FOLLOWING, INTERNAL, Transition, Transport
from sideman.playing.assembly import make_clock_source
from support.fakes import performance, settings


class FakeSource:
    """A clock source whose state the test sets."""

    def __init__(self) -> None:
        self.rolling = self.relocated = False
        self.tempo = Tempo(120.0, 0.0, 0.0)
        self.tick = 0
        self.status_text = ""

    def receive(self, item: ClockInput, second: float) -> None:
        """Start, stop or jump."""
        match item:
            case ClockStart() | ClockContinue():
                self.relocated = isinstance(item, ClockStart) or self.relocated
                self.rolling = True
            case ClockStop():
                self.rolling = False
            case SongPosition():
                self.relocated = True
            case _:
                pass

    def lost_at(self) -> float:
        """A fixed second."""
        return 100.0

    def mark_lost(self) -> None:
        """Stop."""
        self.rolling = False

    def request_tempo(self, bpm: float) -> None:
        """Not needed here."""

    def request_rolling(self, rolling: bool, second: float) -> None:
        """Not needed here."""

    def set_port_period(self, period_s: float) -> None:
        """Not needed here."""


def transport(source: ClockSource | None = None) -> Transport:
    """A transport over four bars."""
    live = LiveSettings(Settings())
    return Transport(Timeline(live, ChartTimeline(performance().chart), PlaySpan(0.0)), source)


def test_our_own_clock_rolls_from_the_start() -> None:
    """Guards against a solo that waits for a start that never comes."""
    made = transport()
    assert made.rolling
    assert made.command("start", 0.0) == INTERNAL["rolling", "start"] == Transition("rolling", True, "restart")
    assert made.command("stop", 0.0).silences
    assert (made.state, made.rolling) == ("stopped", False)
    assert made.command("stop", 0.0) == Transition("stopped")
    assert made.command("start", 0.0) == Transition("rolling", then="restart")


def test_a_clock_is_waited_for_joined_and_lost() -> None:
    """Guards against playing before the DAW does, or on after it has stopped."""
    source = FakeSource()
    made = transport(source)
    assert made.state == "waiting"
    assert made.follow(ClockTick(), 0.0) == Transition("waiting")
    assert made.follow(ClockStart(), 0.0) == Transition("rolling", then="join")
    source.relocated = False
    assert made.follow(ClockTick(), 0.0) == Transition("rolling")
    assert made.follow(SongPosition(4), 0.1) == Transition("rolling", True, "join")
    assert made.follow(ClockStop(), 1.0) == Transition("waiting", silences=True)
    assert made.follow(ClockContinue(), 2.0).then == "join"
    assert made.lost_at == 100.0
    assert made.lose_clock() == Transition("waiting", silences=True)


def test_a_stop_holds_until_the_command_or_the_next_start_of_the_clock() -> None:
    """Guards against a pedal's stop that the running clock undoes at once, or that its next start does not end."""
    source = FakeSource()
    made = transport(source)
    made.follow(ClockStart(), 0.0)
    source.relocated = False
    assert made.command("stop", 0.0).silences
    assert made.follow(ClockTick(), 0.5) == Transition("stopped")
    assert made.command("start", 0.0) == Transition("rolling", then="rejoin")
    made.command("stop", 0.0)
    assert made.follow(ClockStop(), 1.0) == Transition("stopped")
    assert made.command("start", 0.0) == Transition("waiting")
    made.command("stop", 0.0)
    assert made.follow(ClockContinue(), 2.0) == Transition("rolling", then="join")


@pytest.mark.parametrize("table", [INTERNAL, FOLLOWING])
def test_only_a_music_that_rolled_is_silenced(table: dict[tuple[str, str], Transition]) -> None:
    """Guards against notes that hang when the music stops, and against a stop of a clock that was never started."""
    for (state, _), transition in table.items():
        assert transition.silences == (state == "rolling")
        assert transition.then == "" or transition.state == "rolling"


messages = st.sampled_from([ClockTick(), ClockStart(), ClockContinue(), ClockStop(), SongPosition(8)])


@given(st.lists(st.one_of(messages, st.sampled_from(["start", "stop"])), max_size=30))
def test_it_never_rolls_without_the_clock(items: list[ClockInput | str]) -> None:
    """Guards against music that goes on while the clock that it follows stands still."""
    source = make_clock_source(settings(tempo__source="midi-clock"), performance().chart)
    assert source is not None
    made = transport(source)
    for number, item in enumerate(items):
        transition = made.command(item, number / 50) if isinstance(item, str) else made.follow(item, number / 50)  # type: ignore[arg-type]
        assert made.state == transition.state
        assert source.rolling or not made.rolling


def test_where_the_music_stands_it_stays() -> None:
    """Guards against a position that runs on while the music is stopped, or goes back."""
    made = transport()
    assert made.beat_at(1.0) == 2.0
    made.command("stop", 0.0)
    made.stand_at(2.0)
    made.stand_at(1.5)
    assert made.beat_at(30.0) == 2.0
    made.note_played_to(7.0)
    assert made.furthest_beat(1.0) == 14.0
