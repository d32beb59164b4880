# SPDX-License-Identifier: Apache-2.0
"""Telling the player from our own echo."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sideman.core.events import ControlChange, NoteOff, NoteOn
from sideman.core.input.echo import EchoFilter

notes = st.builds(NoteOn, st.integers(50, 55), st.integers(1, 127), st.integers(1, 16))


@given(st.lists(notes, max_size=20), st.floats(0, 0.05), st.integers(1, 16))
def test_own_notes_coming_back_are_dropped_all_of_them(sent: list[NoteOn], delay: float, channel: int) -> None:
    """Without it a looped cable would make it answer itself for ever."""
    listener = EchoFilter(None, 0.06)
    for number, note in enumerate(sent):
        listener.note_sent(note, number * 0.1)
        assert listener.filter_note(NoteOn(note.pitch, note.velocity, channel), number * 0.1 + delay) is None
        assert listener.filter_note(NoteOff(note.pitch, channel), number * 0.1 + 0.09) is None
    assert listener.echoes == len(sent)


@given(notes, st.integers(1, 127))
def test_the_players_notes_are_never_taken_for_an_echo(note: NoteOn, velocity: int) -> None:
    """Without it notes you play together with it would not be heard."""
    listener = EchoFilter(None, 0.06)
    listener.note_sent(note, 1.0)
    other = NoteOn(note.pitch, velocity, note.channel)
    assert (listener.filter_note(other, 1.01) is other) == (velocity != note.velocity)
    assert listener.filter_note(note, 1.02) is None or velocity == note.velocity
    assert listener.filter_note(note, 1.03) is note  # the second of that kind is the player's
    assert listener.filter_note(NoteOff(note.pitch, note.channel), 1.04) is not None


@given(notes)
def test_an_echo_is_not_expected_for_ever(note: NoteOn) -> None:
    """Without it a note you repeat a bar later would be lost."""
    listener = EchoFilter(None, 0.06)
    listener.note_sent(note, 1.0)
    assert listener.filter_note(note, 1.0 + 0.061) is note


def test_other_channels_and_controllers_are_not_the_line() -> None:
    """Without it a drummer on channel 10 would be heard as a melody."""
    listener = EchoFilter(2, 0.06)
    assert listener.filter_note(NoteOn(60, 80, 10), 0.0) is None
    assert listener.filter_note(ControlChange(1, 80, 2), 0.0) is None
    assert listener.filter_note(NoteOff(60, 2), 0.0) is None
    assert listener.filter_note(NoteOn(60, 80, 2), 0.0) == NoteOn(60, 80, 2)
