# SPDX-License-Identifier: Apache-2.0
"""`play.offset_ms`: everything earlier or later by the same time, with every clock source."""

from __future__ import annotations

from typing import Any

import pytest

from sideman.core.engine import play_through
from sideman.core.events import ChangeSettings, ClockStart, ClockTick, LinkState, MidiEvent, NoteOn
from sideman.core.timing.ableton_link import LinkFollower
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT
from support.clocks import steady
from support.fakes import hanging_notes, note_ons, performance, play_on_fake_clock

DENSE: dict[str, Any] = {"play__density": 4, "play__rests": 0}
offsets = pytest.mark.parametrize("offset", [-200, -37, 0, 55, 200])


@offsets
@pytest.mark.parametrize("rate", ["beat", "sixteenth", "phrase"])
def test_with_our_own_tempo_everything_moves_by_the_offset(offset: int, rate: str) -> None:
    """Guards against: a late synth that stays late, or notes that leave the drum machine that follows our clock."""
    sent = []
    for moved in (0, offset):
        engine = performance(**DENSE, play__rate=rate, play__offset_ms=moved).make_engine(
            1.0, clocks=ClockConfig(sends_midi_clock=True)
        )
        recorder, _ = play_on_fake_clock(engine, 9.0 + moved / 1000)
        sent.append([(second - moved / 1000, message) for second, message in recorder.sent])
    (seconds, messages), (moved_seconds, moved_messages) = (zip(*messages_sent, strict=True) for messages_sent in sent)
    assert moved_messages[: len(messages) - 9] == messages[:-9]  # the last ones may fall before or after the end
    assert moved_seconds[: len(messages) - 9] == pytest.approx(seconds[:-9], abs=1e-6)


@offsets
def test_a_midi_clock_is_followed_with_the_offset(offset: int) -> None:
    """Guards against: a slow synth that is always late beside a DAW; early means before its ticks arrive."""
    true = steady(17, 120.0)
    engine = performance(**DENSE, play__offset_ms=offset, play__late_ms=30).make_engine(
        0.0, clocks=ClockConfig(MidiClockFollower(120.0))
    )
    arrivals: list[tuple[float, MidiEvent]] = [(float(true[0]) - 0.001, ClockStart())]
    arrivals += [(float(second), ClockTick()) for second in true]
    recorder, _ = play_on_fake_clock(engine, float(true[-1]), arrivals)
    onsets = [second for second, _ in note_ons(recorder)]
    expected = [
        float(second) + offset / 1000 for second in true[::CLOCK_TICKS_PER_BEAT] if second + offset / 1000 <= true[-1]
    ]
    if offset < 0:
        expected = expected[1:]  # nothing is played before the start, which comes with the first tick
        onsets = [second for second in onsets if second > true[0]]
    assert onsets == pytest.approx(expected[: len(onsets)], abs=1e-4)
    assert len(onsets) >= 16
    assert engine.late_notes == (1 if offset < -30 else 0)
    assert not hanging_notes(message for _, message in recorder.sent)


@offsets
def test_a_link_session_is_followed_with_the_offset(offset: int) -> None:
    """Guards against: a slow synth that is always late beside Live, on its first bar line too."""
    engine = performance(**DENSE, play__offset_ms=offset).make_engine(0.0, clocks=ClockConfig(LinkFollower(4.0)))
    recorder, _ = play_on_fake_clock(engine, 8.99 + offset / 1000, [(0.5, LinkState(120.0, 1.0, True, 1))])
    onsets = [second for second, _ in note_ons(recorder)]
    assert onsets == pytest.approx([2.0 + beat / 2 + offset / 1000 for beat in range(14)])


def test_a_change_of_the_offset_loses_no_note() -> None:
    """Guards against: notes that are lost or hang while a musician adjusts the offset by ear."""
    made = {**DENSE, "play__gate": 1, "play__swing": 0.5, "play__rate": "eighth"}
    engine = performance(**made).make_engine(1.0)
    turns = [(2.1, -120), (3.1, 90), (4.1, 0)]
    recorder, _ = play_on_fake_clock(
        engine, 7.01, [(second, ChangeSettings((("play.offset_ms", ms),))) for second, ms in turns]
    )
    pitches = [pitch for _, pitch in note_ons(recorder)]
    alone = [due.item for due in play_through(performance(**made).make_engine(1.0, beats=12.0))]
    assert pitches[:24] == [note.pitch for note in alone if isinstance(note, NoteOn)]
    assert engine.late_notes == 0
    assert not hanging_notes(message for _, message in recorder.sent)
    at = [second for second, _ in note_ons(recorder)]
    assert at[5:8] == pytest.approx([2.13 + 0.25 * n for n in range(3)])
    assert at[-4:] == pytest.approx([6.25, 6.5, 6.75, 7.0])
