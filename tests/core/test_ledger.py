# SPDX-License-Identifier: Apache-2.0
"""No hanging note: the ledger with note-ons and releases in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sideman.core.events import ControlChange, MidiEvent, NoteOff, NoteOn, encode
from sideman.core.ledger import Ledger, release_channel
from support.fakes import hanging_notes

keys = st.tuples(st.integers(0, 4), st.integers(1, 2))
moves = st.lists(st.one_of(st.tuples(st.just("start"), keys), st.tuples(st.just("release"), st.integers(0, 30))))


def _perform(ledger: Ledger, moves: list[tuple[str, object]]) -> list[MidiEvent]:
    sent: list[MidiEvent] = []
    note_ids: list[int] = []
    for move, what in moves:
        if isinstance(what, tuple):
            pitch, channel = what
            note_id, events = ledger.note_on(NoteOn(pitch, 80, channel))
            note_ids.append(note_id)
            sent += events
        elif note_ids and isinstance(what, int):
            sent += ledger.release_note(note_ids[what % len(note_ids)])
        assert move
    return sent


@given(moves)
def test_nothing_hangs_after_all_is_released(moves: list[tuple[str, object]]) -> None:
    """Guards against: a note that sounds for ever after the program has stopped."""
    ledger = Ledger(3)
    sent = [*_perform(ledger, moves), *ledger.release_all()]
    assert not hanging_notes(encode(event) for event in sent)
    assert ledger.release_all() == []


@given(moves)
def test_every_note_off_ends_one_note_on(moves: list[tuple[str, object]]) -> None:
    """Guards against: the end of an old note that cuts off a newer one of the same pitch."""
    ledger = Ledger(3)
    sounding: set[tuple[int, int]] = set()
    for event in _perform(ledger, moves):
        assert isinstance(event, NoteOn | NoteOff)
        key = (event.pitch, event.channel)
        assert (key in sounding) == isinstance(event, NoteOff)
        sounding ^= {key}


@given(moves, st.integers(1, 2))
def test_one_channel_can_be_released_alone(moves: list[tuple[str, object]], channel: int) -> None:
    """Guards against: a new mode of the soloist that cuts off the accompaniment."""
    ledger = Ledger(3)
    sent = _perform(ledger, moves)
    before = hanging_notes(encode(event) for event in sent)
    after = hanging_notes(encode(event) for event in [*sent, *ledger.release_all(channel)])
    assert after == {key: velocity for key, velocity in before.items() if key[0] != channel - 1}
    assert len(ledger.release_all()) == len(after)


def test_a_panic_silences_every_channel_ever_used() -> None:
    """Guards against: a synth that missed a note-off and cannot be silenced."""
    ledger = Ledger(3)
    ledger.note_on(NoteOn(60, 80, 5))
    controls = [event for event in ledger.panic() if isinstance(event, ControlChange)]
    assert [(event.number, event.channel) for event in controls] == [(n, c) for c in (3, 5) for n in (64, 120, 123)]


@given(st.integers(1, 16))
def test_releasing_a_channel_releases_every_pitch(channel: int) -> None:
    """Guards against: a note of a killed process that sounds on."""
    messages = [encode(NoteOn(pitch, 80, channel)) for pitch in range(128)]
    assert not hanging_notes([*messages, *map(encode, release_channel(channel))])


@given(st.sets(st.integers(0, 127)), st.integers(1, 16))
def test_what_a_killed_process_left_is_released_around_our_own_notes(ours: set[int], channel: int) -> None:
    """Guards against: a note that is cut off because a port came back, or one that hangs beside it."""
    ledger = Ledger(channel)
    messages = [encode(NoteOn(pitch, 80, channel)) for pitch in range(128)]
    for pitch in ours:
        ledger.note_on(NoteOn(pitch, 80, channel))
    sounding = hanging_notes([*messages, *map(encode, ledger.release_rest(channel))])
    assert {pitch for _, pitch in sounding} == ours
    assert bool(ours) == (not any(isinstance(event, ControlChange) for event in ledger.release_rest(channel)))
